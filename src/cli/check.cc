// `rustbd check`: pages and log of a stopped directory; with --deep tables and indexes too; --repair changes
// it.
#include <algorithm>
#include <cstdio>
#include <map>

#include "rustbd/base/error.h"
#include "rustbd/catalog/store.h"
#include "rustbd/cli/commands.h"
#include "rustbd/engine/access/index_keys.h"
#include "rustbd/engine/database.h"
#include "rustbd/io/executor.h"
#include "rustbd/server/data_directory.h"
#include "rustbd/server/embedded.h"
#include "rustbd/server/overlay_disk.h"
#include "rustbd/server/rebuild_indexes.h"
#include "rustbd/storage/pages/storage.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::cli {

std::string json_text(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else out += c;
  }
  return out + '"';
}

namespace {

struct Findings {
  std::vector<std::string> damage, warnings, repaired;
  std::string position;  // end of the log
  storage::SealedByKeys sealed;
  std::vector<security::KeyInfo> keys;  // of keys.tab

  void add(std::vector<std::string> more) {
    for (auto& f : more)
      if (std::find(damage.begin(), damage.end(), f) == damage.end()) damage.push_back(std::move(f));
  }
};

std::string json_list(const std::vector<std::string>& texts) {
  std::string list;
  for (const auto& t : texts) list += (list.empty() ? "" : ",") + json_text(t);
  return '[' + list + ']';
}

/// A line or a JSON object for each key of keys.tab and each that something is sealed with; nothing without
/// encryption.
std::vector<std::string> tell_keys(const Findings& found, bool json) {
  std::vector<std::string> out;
  if (found.keys.empty()) return out;
  storage::SealedByKeys sealed = found.sealed;
  std::map<std::uint32_t, std::string_view> states;
  for (const security::KeyInfo& key : found.keys) {
    (void)sealed[key.id];  // also one that has sealed nothing that is left
    states[key.id] = key.state == security::KeyState::kRetiring ? "retiring" : "active";
  }
  for (const auto& [id, by] : sealed) {
    const auto known = states.find(id);
    const std::string_view state = id == 0 ? "none" : known == states.end() ? "missing" : known->second;
    const std::string end = by.log_batches == 0 ? "" : to_text(by.log_end);
    if (json) {
      out.push_back(fmt::format(
          "{{\"key_id\":{},\"state\":\"{}\",\"pages\":{},\"snapshot_extents\":{},\"log_batches\":{},"
          "\"log_end\":{}}}",
          id, state, by.pages, by.snapshot_extents, by.log_batches, end.empty() ? "null" : json_text(end)));
    } else {
      out.push_back(fmt::format("{}: {} pages, {} extents of the undo snapshot, {} batches of the log{}",
                                id == 0 ? "not sealed" : fmt::format("key {} ({})", id, state), by.pages,
                                by.snapshot_extents, by.log_batches, end.empty() ? "" : " up to " + end));
    }
  }
  return out;
}

int report(const CheckOptions& options, const Findings& found) {
  const auto& damage = found.damage;
  const auto keys = tell_keys(found, options.json);
  if (options.json) {
    fmt::print(
        "{{\"data\":{},\"mode\":\"{}\",\"log_position\":{},\"ok\":{},\"repaired\":{},\"findings\":{},"
        "\"warnings\":{},\"keys\":[{}]}}\n",
        json_text(options.data),
        options.repair ? "repair"
        : options.deep ? "deep"
                       : "fast",
        json_text(found.position), damage.empty(), json_list(found.repaired), json_list(damage),
        json_list(found.warnings), fmt::join(keys, ","));
  } else {
    for (const auto& r : found.repaired) fmt::print("repaired: {}\n", r);
    for (const auto& k : keys) fmt::print("{}\n", k);
    for (const auto& w : found.warnings) fmt::print("warning: {}\n", w);
    for (const auto& f : damage) fmt::print("{}\n", f);
    if (!damage.empty())
      fmt::print("{}: {} finding{}\n", options.data, damage.size(), damage.size() == 1 ? "" : "s");
    else
      fmt::print(
          "{}: no damage found{}, log up to {}\n", options.data,
          options.deep || options.repair ? "" : " in pages and log (--deep also verifies tables and indexes)",
          found.position);
  }
  return damage.empty() ? kOk : kDamage;
}

/// `examine`: recovery runs as at a start, but what it writes stays in memory, and what it cannot read is a
/// finding. Else it is a start, with a look at all pages, and an end.
/// Returns how many indexes are set aside that a session could build anew.
std::size_t check_tables(io::Environment environment, txn::Options o, bool examine, Findings* found) {
  std::unique_ptr<io::Disk> overlay;
  if (examine) {
    overlay = server::make_overlay_disk(*environment.disk);
    environment.disk = overlay.get();
  }
  o.read_only = o.examine = examine;
  o.repair = !examine;
  o.background = false;
  o.preallocate_log = false;
  auto transactions = txn::TransactionSystem::open(environment, o);
  std::unique_ptr<engine::Database> database;
  std::unique_ptr<engine::Session> session;
  try {
    if (transactions->layout_of(0, catalog::CatalogStore::kObjectTable) != nullptr)
      database = engine::Database::open_on(transactions, environment, {.storage = o});
  } catch (const Error& e) {
    found->add({"the catalog cannot be read, tables have numbers only: " + e.message});
  }
  txn::TransactionSystem& system = database != nullptr ? database->transactions() : *transactions;
  txn::KeysOf keys_of;
  try {
    if (database != nullptr) {
      session = database->connect({});
      keys_of = engine::index_keys(*session);
    }
  } catch (const Error& e) {  // the role postgres may not log in
    found->warnings.push_back(
        "keys of indexes with expressions or a predicate were not verified, only their rows: " + e.message);
  }
  for (auto& repair : system.repairs())
    (repair.done ? found->repaired : found->damage).push_back(std::move(repair.text));
  found->add(system.recovery_findings());
  found->add(system.check(!examine, keys_of));
  found->position = system.log_position_text();
  const std::size_t set_aside = system.indexes_set_aside().size();
  session.reset();
  if (!examine) database != nullptr ? database->close() : transactions->close();
  return set_aside;
}

/// For indexes whose keys only a session can compute. Returns whether any was built anew.
bool rebuild_by_sessions(const std::string& data, const server::Config& config, Findings* found) {
  server::EmbeddedDatabase database(data, config, server::EmbeddedDatabase::Access::kOpen);
  bool any = false;
  for (auto& repair : server::rebuild_indexes_set_aside(database.database())) {
    any = any || repair.done;
    (repair.done ? found->repaired : found->damage).push_back(std::move(repair.text));
  }
  return any;
}

/// Of a directory that is to be changed: as its server would open it.
void repair(io::Environment environment, const CheckOptions& options, const server::Config& config,
            Findings* found) {
  const auto once = [&](Findings* into) {
    txn::Options o = server::database_options(config).storage;
    const auto archive = server::open_archive(config, options.data, o);
    return check_tables(environment, std::move(o), false, into);
  };
  if (once(found) == 0) return;
  Findings after;
  if (!rebuild_by_sessions(options.data, config, &after)) {
    found->add(std::move(after.damage));
    return;
  }
  once(&after);  // what was found before may be no more
  after.repaired.insert(after.repaired.begin(), found->repaired.begin(), found->repaired.end());
  *found = std::move(after);
}

}  // namespace

int run_check(const CheckOptions& options) {
  const auto clock = io::make_system_clock();
  const auto random = io::make_system_random();
  const auto executor = io::make_thread_executor(1);
  try {
    const auto directory = server::open_data_directory(options.data, false);
    auto lock = directory.disk->lock(storage::kLockFileName);
    if (!lock && lock.error() == io::IoFailure::kBusy)
      throw error(sqlstate::kObjectInUse, "data directory is in use by another server");
    const io::Environment environment{directory.disk.get(), clock.get(), random.get(), executor.get()};
    const server::Config config = server::config_of(options.data);
    const auto encryption = server::encryption_options(config);
    Findings found;
    if (options.repair) {
      if (lock) lock->reset();  // the open takes it again
      repair(environment, options, config, &found);
      return report(options, found);
    }
    const auto keys = server::open_keys(environment, encryption);
    if (keys) found.keys = keys->keys();
    found.add(txn::TransactionSystem::check_stored_pages(*directory.disk, keys.get(), &found.warnings,
                                                         &found.sealed));
    found.add(txn::TransactionSystem::check_log(*directory.disk, keys.get(), &found.position, &found.sealed));
    if (options.deep) {
      if (lock) lock->reset();  // the open takes it again
      try {
        txn::Options o;
        o.encryption = encryption;
        check_tables(environment, std::move(o), true, &found);
      } catch (const Error& e) {
        if (e.state != sqlstate::kDataCorrupted) throw;
        found.add({"the database cannot be opened, tables and indexes were not verified: " + e.message});
      }
    }
    return report(options, found);
  } catch (const Error& e) {
    fmt::print(stderr, "rustbd check: {}\n", e.message);
    return e.state == sqlstate::kDataCorrupted ? kDamage : kFailed;
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
