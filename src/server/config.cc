#include "rustbd/server/config.h"

#include <unistd.h>

#include <charconv>
#include <cmath>
#include <fstream>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"

namespace rustbd::server {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

const ConfigKey* find_key(std::string_view name) {
  for (const auto& k : config_keys())
    if (k.name == name) return &k;
  return nullptr;
}
std::string_view nearest_key(std::string_view name) {
  const auto& keys = config_keys();
  return std::min_element(keys.begin(), keys.end(),
                          [&](const auto& a, const auto& b) {
                            return edit_distance(a.name, name) < edit_distance(b.name, name);
                          })
      ->name;
}

/// No key, but the section of one, or nearly one.
bool is_misspelt(std::string_view name) {
  const std::string_view section = name.substr(0, name.find('.') + 1);
  const auto has_section = [&](const ConfigKey& key) { return key.name.starts_with(section); };
  return std::ranges::any_of(config_keys(), has_section) || edit_distance(nearest_key(name), name) <= 2;
}

/// The number at the start of `text` and the unit behind it.
std::pair<double, std::string_view> number_and_unit(std::string_view text, std::string_view what) {
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || number < 0 || !std::isfinite(number))
    throw error(sqlstate::kInvalidParameterValue, "\"{}\" is not a {}", text, what);
  auto unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  return {number, unit};
}

bool parse_boolean(std::string_view text) {
  if (text == "true" || text == "on" || text == "yes" || text == "1") return true;
  if (text == "false" || text == "off" || text == "no" || text == "0") return false;
  throw error(sqlstate::kInvalidParameterValue, "\"{}\" is not true or false", text);
}
std::uint64_t parse_count(std::string_view text) {
  std::uint64_t v = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (failure != std::errc{} || end != text.data() + text.size())
    throw error(sqlstate::kInvalidParameterValue, "\"{}\" is not a whole number", text);
  return v;
}
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    auto item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) out.emplace_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

void check_value(const ConfigKey& key, std::string_view value) {
  switch (key.kind) {
    case ValueKind::kBool: parse_boolean(value); break;
    case ValueKind::kCount:
      if (const auto n = value.empty() ? key.min : parse_count(value); n < key.min || n > key.max)
        throw error(sqlstate::kInvalidParameterValue, "{} is not between {} and {}", n, key.min, key.max);
      break;
    case ValueKind::kBytes:
      if (!value.empty() && parse_bytes(value) < key.min)
        throw error(sqlstate::kInvalidParameterValue, "\"{}\" is less than {} MiB", value, key.min >> 20);
      break;
    case ValueKind::kDuration: parse_duration_us(value); break;
    case ValueKind::kChoice: {
      const auto choices = split(key.choices);
      if (std::find(choices.begin(), choices.end(), value) == choices.end())
        throw error(sqlstate::kInvalidParameterValue, "\"{}\" is not one of {}", value, key.choices);
      break;
    }
    case ValueKind::kText:
    case ValueKind::kList: break;
  }
}
}  // namespace

std::string_view to_text(Source source) {
  static constexpr std::string_view kNames[] = {"default", "file", "environment", "flag"};
  return kNames[static_cast<int>(source)];
}

const std::vector<ConfigKey>& config_keys() {
  using enum ValueKind;
  static const std::vector<ConfigKey> keys{
      {"server.listen", kList, "127.0.0.1:5433,[::1]:5433", "", "addresses of the PostgreSQL protocol"},
      {"server.http", kList, "127.0.0.1:8433,[::1]:8433", "", "addresses of health and metrics; empty: none"},
      {"server.max_connections", kCount, "10000", "", "sessions at once", 1, kConnectionsMax},
      {"server.connection_timeout", kDuration, "10s", "", "for start-up and authentication of a connection"},
      {"server.shutdown_timeout", kDuration, "30s", "",
       "how long running transactions may go on after SIGTERM"},
      {"server.max_message_size", kBytes, "1GiB", "", "the largest message a client may send"},
      {"server.network_threads", kCount, "0", "",
       "threads that serve connections; 0: one per core, at most 16", 0, kNetworkThreadsMax},
      {"tls.cert", kText, "", "", "certificate chain (PEM); empty: no TLS"},
      {"tls.key", kText, "", "", "private key (PEM)"},
      {"buffer.size", kBytes, "", "", "page buffer; empty: 25 % of memory"},
      {"buffer.eviction_policy", kChoice, "clock", "clock,lru,random", "which pages leave the page buffer"},
      {"buffer.direct_io", kBool, "false", "", "pages pass by the kernel's page cache (O_DIRECT)"},
      {"buffer.write_strategy", kChoice, "writeback", "writeback,writethrough,writebehind",
       "when changed pages are written: by eviction and checkpoints, at once, or within half a second"},
      {"storage.compression", kChoice, "lz4", "lz4,zstd,none", "how pages are written from now on"},
      {"storage.relocation_rate", kBytes, "32MiB", "",
       "bytes a second that move to the front of the data file after mass deletion, so that it shrinks; 0: "
       "none"},
      {"encryption.enabled", kBool, "false", "",
       "pages and log are encrypted; once on, a data directory stays encrypted"},
      {"encryption.algorithm", kChoice, "auto", "auto,aes256,chacha20",
       "of new data keys; auto: what the CPU does fast"},
      {"encryption.key_source", kText, "", "",
       "the master key (32 bytes, or their hexadecimal or base64 form): file:PATH, env:NAME or cmd:COMMAND"},
      {"encryption.reseal_rate", kBytes, "32MiB", "",
       "bytes a second that are encrypted anew after a rotation of the data key"},
      {"wal.sync", kChoice, "on", "on,off", "off: a commit is acknowledged before it is on disk"},
      {"wal.segment_size", kBytes, "64MiB", "", "size of one log file"},
      {"wal.retention", kDuration, "0", "", "how long log files are kept after their end; 0: while needed"},
      {"wal.retention_size", kBytes, "0", "", "what wal.retention keeps at most; 0: no limit"},
      {"wal.archive_to", kText, "", "",
       "directory to which complete log files are copied before they are used again; empty: none"},
      {"checkpoint.timeout", kDuration, "5m", "", "longest time between checkpoints"},
      {"checkpoint.wal_volume", kBytes, "256MiB", "", "a checkpoint starts after that much log"},
      {"checkpoint.recovery_target", kDuration, "30s", "",
       "checkpoints start early enough that a start replays at most so long; 0: by the others alone"},
      {"recovery.workers", kCount, "0", "", "threads that replay the log at a start; 0: one per core", 0,
       kRecoveryWorkersMax},
      {"exec.query_memory_limit", kBytes, "", "",
       "memory of one statement; empty: 25 % of what the page buffer leaves"},
      {"exec.threads", kCount, "0", "", "worker threads; 0: one per core", 0, kExecThreadsMax},
      {"exec.statement_timeout", kDuration, "0", "", "longest time of a statement; 0: any"},
      {"exec.lock_timeout", kDuration, "0", "", "longest wait for a lock; 0: any"},
      {"exec.idle_in_transaction_timeout", kDuration, "0", "",
       "longest idle time inside a transaction; 0: any"},
      {"txn.default_isolation", kChoice, "read committed", "read committed,repeatable read",
       "isolation level of new transactions"},
      {"txn.max_prepared_transactions", kCount, "64", "",
       "prepared transactions (PREPARE TRANSACTION) at once; 0: none", 0, 262143},
      {"txn.undo_limit", kBytes, "", "", "memory for old row versions; empty: 25 % of memory",
       std::uint64_t{1} << 20},
      {"log.level", kChoice, "info", "debug,info,warning,error", "what is logged"},
      {"log.format", kChoice, "text", "text,json", "form of log lines"},
  };
  return keys;
}

std::uint64_t parse_bytes(std::string_view text) {
  const auto [number, unit] = number_and_unit(text, "size (such as 64MiB)");
  static constexpr std::pair<std::string_view, int> kUnits[] = {
      {"", 0},     {"B", 0},   {"kB", 10},  {"KB", 10}, {"KiB", 10}, {"MB", 20},
      {"MiB", 20}, {"GB", 30}, {"GiB", 30}, {"TB", 40}, {"TiB", 40}};
  for (const auto& [name, shift] : kUnits)
    if (name == unit && number < 1e18 / static_cast<double>(std::uint64_t{1} << shift))
      return static_cast<std::uint64_t>(number * static_cast<double>(std::uint64_t{1} << shift));
  throw error(sqlstate::kInvalidParameterValue, "\"{}\" is not a size (such as 64MiB)", text);
}

std::int64_t parse_duration_us(std::string_view text) {
  const auto [number, unit] = number_and_unit(text, "duration (such as 30s)");
  if (unit.empty() && number == 0) return 0;
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 6e7}, {"min", 6e7}, {"h", 3.6e9}, {"d", 8.64e10}};
  for (const auto& [name, us] : kUnits)
    if (name == unit && number * us < 9e18) return static_cast<std::int64_t>(number * us);
  throw error(sqlstate::kInvalidParameterValue, "\"{}\" is not a duration (such as 30s)", text);
}

std::uint64_t available_memory() {
  auto memory =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::uint64_t limit = 0;
    if (std::ifstream file{path}; file >> limit && limit > 0) memory = std::min(memory, limit);
  }
  return memory;
}

Config::Config() {
  for (const auto& k : config_keys())
    values_[std::string{k.name}] = {std::string{k.default_value}, Source::kDefault};
}

void Config::set(std::string_view name, std::string_view value, Source source) {
  const auto* key = find_key(name);
  if (key == nullptr)
    throw error(sqlstate::kInvalidParameterValue, "unknown configuration key \"{}\"", name)
        .with_hint(fmt::format("Perhaps you meant \"{}\".", nearest_key(name)));
  try {
    check_value(*key, value);
  } catch (Error& e) {
    throw error(sqlstate::kInvalidParameterValue, "{}: {}", name, e.message);
  }
  auto& v = values_.find(name)->second;
  if (source >= v.source) v = {std::string{value}, source};
}

void Config::read_environment(char** environment) {
  static constexpr std::string_view kPrefix = "RUSTBD_";
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    std::string_view entry = *environment;
    if (!entry.starts_with(kPrefix)) continue;
    entry.remove_prefix(kPrefix.size());
    const auto equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    std::string name{entry.substr(0, equals)};
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto section = name.find('_');
    if (section == std::string::npos) continue;
    name[section] = '.';
    // Others with this prefix are no settings: of tests, or what an orchestrator says of a service of this
    // name.
    if (find_key(name) != nullptr || is_misspelt(name))
      set(name, entry.substr(equals + 1), Source::kVariable);
  }
}

const ConfigValue& Config::at(std::string_view key) const {
  const auto it = values_.find(key);
  RUSTBD_ASSERT(it != values_.end(), "a configuration key that does not exist");
  return it->second;
}
const std::string& Config::text(std::string_view key) const { return at(key).text; }
Source Config::source(std::string_view key) const { return at(key).source; }
bool Config::boolean(std::string_view key) const { return parse_boolean(at(key).text); }
std::uint64_t Config::count(std::string_view key) const { return parse_count(at(key).text); }
std::uint64_t Config::bytes(std::string_view key) const { return parse_bytes(at(key).text); }
std::int64_t Config::microseconds(std::string_view key) const { return parse_duration_us(at(key).text); }
std::vector<std::string> Config::list(std::string_view key) const { return split(at(key).text); }

}  // namespace rustbd::server
