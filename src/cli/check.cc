// `rustbd check`: every page, index and the log of a stopped directory.
#include <cstdio>

#include "rustbd/base/error.h"
#include "rustbd/cli/commands.h"
#include "rustbd/io/executor.h"
#include "rustbd/server/data_directory.h"
#include "rustbd/server/overlay_disk.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::cli {

namespace {
std::string json_text(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else out += c;
  }
  return out + '"';
}

int report(const CheckOptions& options, const std::vector<std::string>& findings, std::string_view position) {
  if (options.json) {
    std::string list;
    for (const auto& f : findings) list += (list.empty() ? "" : ",") + json_text(f);
    fmt::print("{{\"data\":{},\"log_position\":{},\"ok\":{},\"findings\":[{}]}}\n", json_text(options.data),
               json_text(position), findings.empty(), list);
  } else {
    for (const auto& f : findings) fmt::print("{}\n", f);
    if (findings.empty()) fmt::print("{}: no damage found, log up to {}\n", options.data, position);
    else fmt::print("{}: {} finding{}\n", options.data, findings.size(), findings.size() == 1 ? "" : "s");
  }
  return findings.empty() ? kOk : kDamage;
}
}  // namespace

int run_check(const CheckOptions& options) {
  const auto clock = io::make_system_clock();
  const auto random = io::make_system_random();
  const auto executor = io::make_thread_executor(1);
  try {
    const auto directory = server::open_data_directory(options.data, false);
    auto findings = txn::TransactionSystem::check_stored_pages(*directory.disk);
    // Recovery runs as at a start, but what it writes stays in memory.
    const auto disk = server::make_overlay_disk(*directory.disk);
    txn::Options o;
    o.read_only = true;
    o.background = false;
    o.preallocate_log = false;
    const auto system =
        txn::TransactionSystem::open({disk.get(), clock.get(), random.get(), executor.get()}, o);
    for (auto& f : system->check()) findings.push_back(std::move(f));
    return report(options, findings, system->log_position_text());
  } catch (const Error& e) {
    if (e.state == sqlstate::kDataCorrupted)
      return report(options, {e.message + (e.detail.empty() ? "" : ": " + e.detail)}, "");
    fmt::print(stderr, "rustbd check: {}\n", e.message);
    return kFailed;
  }
}

int run_config(const server::Config& config, bool json) {
  bool first = true;
  if (json) fmt::print("[");
  for (const auto& key : server::config_keys()) {
    const auto& v = config.all().find(key.name)->second;
    if (json)
      fmt::print("{}{{\"key\":{},\"value\":{},\"source\":\"{}\"}}", std::exchange(first, false) ? "" : ",\n ",
                 json_text(key.name), json_text(v.text), server::to_text(v.source));
    else
      fmt::print("{:<38} {:<36} {:<12} {}\n", key.name, v.text.empty() ? "\"\"" : v.text,
                 server::to_text(v.source), key.help);
  }
  if (json) fmt::print("]\n");
  return kOk;
}

}  // namespace rustbd::cli
