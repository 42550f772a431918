#include "rustbd/txn/transaction_system.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

SystemParts::SystemParts(io::Environment env, Options opts) : environment(env), options(std::move(opts)) {
  if (!options.on_fatal) {
    options.on_fatal = [](std::string_view why) {
      std::fprintf(stderr, "PANIC: %.*s\n", static_cast<int>(why.size()), why.data());
      std::fflush(stderr);
      ::_exit(70);
    };
  }
  if (options.metrics == nullptr) own_metrics = std::make_unique<metrics::Registry>();
  registry = options.metrics != nullptr ? options.metrics : own_metrics.get();
  locks = std::make_unique<LockTable>(environment.executor, registry, &published_ts);
  transactions_total = &registry->counter("rustbd_transactions_total", "Transactions ended");
  commits_total = &registry->counter("rustbd_transactions_by_outcome_total", "Transactions ended, by outcome",
                                     {{"outcome", "commit"}});
  aborts_total = &registry->counter("rustbd_transactions_by_outcome_total", "Transactions ended, by outcome",
                                    {{"outcome", "rollback"}});
  active_gauge =
      &registry->gauge("rustbd_transactions_active", "Transactions that have written and not ended");
  commit_seconds =
      &registry->histogram("rustbd_commit_duration_seconds", "From COMMIT to its acknowledgement");
  callbacks.push_back(registry->gauge_callback("rustbd_recovery_seconds", "Duration of the last recovery",
                                               [this] { return recovery_seconds; }));
  callbacks.push_back(registry->gauge_callback("rustbd_recovery_log_bytes",
                                               "Log that the last recovery has replayed",
                                               [this] { return static_cast<double>(replayed_bytes); }));
  callbacks.push_back(
      registry->gauge_callback("rustbd_checkpoint_log_limit_bytes", "A checkpoint starts after that much log",
                               [this] { return static_cast<double>(checkpoint_log_limit()); }));
  callbacks.push_back(registry->gauge_callback("rustbd_prepared_transactions",
                                               "Transactions that are prepared and not decided", [this] {
                                                 std::lock_guard lock(prepared_mutex);
                                                 return static_cast<double>(prepared.size());
                                               }));
  callbacks.push_back(registry->gauge_callback("rustbd_prepared_transactions_oldest_seconds",
                                               "Since the oldest of them was prepared; 0: there is none",
                                               [this] { return oldest_prepared_seconds(); }));
  callbacks.push_back(registry->gauge_callback(
      "rustbd_trees_set_aside", "Tables and indexes that are of no use because of a damaged page", [this] {
        std::lock_guard lock(damage_mutex);
        return static_cast<double>(trees_set_aside.size());
      }));
  callbacks.push_back(registry->gauge_callback(
      "rustbd_rows_owed_to_collection",
      "Rows and index entries that collection could not clean up because a page cannot be read", [this] {
        std::lock_guard lock(damage_mutex);
        std::size_t rows = 0;
        for (const auto& [table, owed] : owed_rows) rows += owed.size();
        return static_cast<double>(rows);
      }));
  callbacks.push_back(registry->gauge_callback(
      "rustbd_version_chain_bytes", "Memory of undo records",
      [this] { return static_cast<double>(undo_total.load(std::memory_order_relaxed)); }));
}

SystemParts::~SystemParts() {
  backups.reset();
  stop_background();
  callbacks.clear();
  // A running checkpoint uses what is here until its thread has ended.
  if (storage != nullptr) static_cast<void>(storage->close(false));
  storage.reset();
  log.reset();
  for (auto& [gid, entry] : prepared)
    if (entry.transaction != nullptr) entry.transaction->finished_ = true;
  prepared.clear();
  for (auto& [stamp, state] : ended) delete state;
  for (TxnState* state : committed) delete state;
  for (TxnState* state : active) delete state;
}

void SystemParts::start_background() {
  if (!options.background) return;
  collector = environment.executor->start_background("collector", [this] { run_collector(); });
}

void SystemParts::stop_background() {
  stopping.store(true, std::memory_order_release);
  wake_collector();
  if (collector != nullptr) collector->join();
  collector.reset();
}

TransactionSystem::TransactionSystem() = default;
TransactionSystem::~TransactionSystem() = default;

std::unique_ptr<TransactionSystem> TransactionSystem::open(io::Environment environment, Options options) {
  std::unique_ptr<TransactionSystem> system(new TransactionSystem);
  system->parts_ = std::make_unique<SystemParts>(environment, std::move(options));
  SystemParts& parts = *system->parts_;
  try {
    parts.open_all();
    system->recreate_prepared();
  } catch (Error& e) {
    if (e.state == sqlstate::kDataCorrupted && e.hint.empty())
      e.hint =
          "\"rustbd check\" lists everything that is damaged. Restore the directory from a backup or a "
          "replica.";
    throw;
  }
  parts.backups = std::make_unique<BackupJobs>(*system, *parts.registry);
  parts.start_background();
  if (parts.options.background) parts.storage->request_checkpoint(storage::CheckpointTrigger::kRecovery);
  return system;
}

void TransactionSystem::close() {
  SystemParts& parts = *parts_;
  if (parts.closed) return;
  parts.closed = true;
  parts.backups->stop();
  parts.stop_background();
  parts.log->durable(parts.log->tail()).wait_blocking();
  for (int rounds = 0; rounds < 1000; ++rounds) {
    const bool dropped = parts.drop_step();
    if (parts.collect_garbage() == 0 && !dropped) break;
  }
  // Keys go with the second checkpoint that finds them unused: short runs must let them go, too.
  if (const auto* keys = parts.storage->keys(); keys != nullptr && keys->has_many())
    (void)parts.storage->checkpoint(storage::CheckpointTrigger::kRequest);
  const auto result = parts.storage->close(true);
  parts.log->stop();
  if (!result.durable && parts.options.log_line)
    parts.options.log_line.warning("the final checkpoint failed: " + result.why);
}

bool TransactionSystem::created() const { return parts_->created; }

std::unique_ptr<Locker> TransactionSystem::make_locker(std::int32_t process_id) {
  return std::make_unique<Locker>(*parts_->locks, process_id);
}

std::unique_ptr<Transaction> TransactionSystem::begin(Locker& locker, const TransactionOptions& options) {
  return std::make_unique<Transaction>(*this, locker, options);
}

LockTable& TransactionSystem::locks() { return *parts_->locks; }
io::Environment& TransactionSystem::environment() { return parts_->environment; }
metrics::Registry& TransactionSystem::metrics() { return *parts_->registry; }
const Options& TransactionSystem::options() const { return parts_->options; }

std::shared_ptr<const storage::TableLayout> TransactionSystem::layout(TableId table) const {
  std::shared_lock lock(parts_->tables_mutex);
  const auto at = parts_->by_table.find(table);
  return at == parts_->by_table.end() ? nullptr : at->second;
}

std::shared_ptr<const storage::TableLayout> TransactionSystem::layout_of(Oid database, Oid relation) const {
  std::shared_lock lock(parts_->tables_mutex);
  const auto at = parts_->layouts.find({database, relation});
  return at == parts_->layouts.end() ? nullptr : at->second;
}

std::vector<std::shared_ptr<const storage::TableLayout>> TransactionSystem::layouts() const {
  std::shared_lock lock(parts_->tables_mutex);
  std::vector<std::shared_ptr<const storage::TableLayout>> out;
  for (const auto& [key, layout] : parts_->layouts) out.push_back(layout);
  return out;
}

Oid TransactionSystem::new_object_id() {
  const std::uint32_t id = parts_->next_object.fetch_add(1, std::memory_order_relaxed);
  if (id >= 0xFFFFFF00u) {
    parts_->next_object.store(0xFFFFFF00u);
    throw error(sqlstate::kProgramLimitExceeded, "no object identifiers are left");
  }
  return id;
}

void TransactionSystem::raise_object_id(Oid used) { parts_->raise_object_id(used); }

Lsn TransactionSystem::durable_lsn() const { return parts_->log->durable_lsn(); }
CommitTimestamp TransactionSystem::durable_timestamp() const { return parts_->log->durable_ts(); }
CommitTimestamp TransactionSystem::last_timestamp() const {
  return CommitTimestamp{parts_->published_ts.load()};
}

io::WaitToken TransactionSystem::when_durable(Lsn lsn) {
  if (parts_->log->is_durable(lsn)) return {};
  return parts_->log->durable(lsn);
}

namespace {
[[noreturn]] void throw_checkpoint_failure(const storage::CheckpointResult& result) {
  throw error(sqlstate::kIoError, "checkpoint failed: {}", result.why);
}
}  // namespace

Task<> TransactionSystem::checkpoint() {
  const io::WaitToken done = io::WaitToken::make(io::WaitReason::kTask);
  storage::CheckpointResult result;
  auto thread = parts_->environment.executor->start_background("checkpoint request", [&] {
    result = parts_->storage->checkpoint(storage::CheckpointTrigger::kRequest);
    done.fire();
  });
  co_await done;
  thread->join();
  if (!result.durable) throw_checkpoint_failure(result);
}

void TransactionSystem::checkpoint_blocking() {
  const auto result = parts_->storage->checkpoint(storage::CheckpointTrigger::kRequest);
  if (!result.durable) throw_checkpoint_failure(result);
}

void TransactionSystem::set_buffer_behaviour(storage::EvictionPolicyKind policy,
                                             storage::WriteStrategy strategy,
                                             storage::PageCompression compression) {
  auto& buffer = parts_->buffer();
  buffer.set_eviction_policy(policy);
  buffer.set_write_strategy(strategy);
  buffer.set_compression(compression);
}

std::size_t TransactionSystem::collect_garbage() {
  const std::size_t n = parts_->collect_garbage();
  while (parts_->drop_step()) {}
  return n;
}

namespace {

void require_consumer(log::ConsumerStatus status, const std::string& name) {
  switch (status) {
    case log::ConsumerStatus::kOk: return;
    case log::ConsumerStatus::kExists:
      throw error(sqlstate::kDuplicateObject, "replication slot \"{}\" already exists", name);
    case log::ConsumerStatus::kNotFound:
      throw error(sqlstate::kUndefinedObject, "replication slot \"{}\" does not exist", name);
    case log::ConsumerStatus::kIoError:
      throw error(sqlstate::kIoError, "the list of replication slots cannot be written");
    case log::ConsumerStatus::kNoSpace:
      throw error(sqlstate::kDiskFull,
                  "the list of replication slots cannot be written: no space left on device");
  }
}

}  // namespace

Lsn TransactionSystem::create_log_consumer(const std::string& name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (name.empty() || name.size() > 63)
    throw error(sqlstate::kInvalidName, "replication slot name \"{}\" is too {}", name,
                name.empty() ? "short" : "long");
  if (!std::ranges::all_of(name, allowed))
    throw error(sqlstate::kInvalidName, "replication slot name \"{}\" contains invalid character", name);
  const Lsn position = parts_->log->durable_lsn();
  require_consumer(parts_->consumers->create(name, position), name);
  return position;
}

void TransactionSystem::advance_log_consumer(const std::string& name, Lsn position) {
  require_consumer(parts_->consumers->advance(name, position), name);
  parts_->log->hold_changed();
}

void TransactionSystem::drop_log_consumer(const std::string& name) {
  require_consumer(parts_->consumers->drop(name), name);
  parts_->log->hold_changed();
}

std::vector<TransactionSystem::LogConsumer> TransactionSystem::log_consumers() const {
  std::vector<LogConsumer> out;
  for (const auto& consumer : parts_->consumers->list()) out.push_back({consumer.name, consumer.position});
  return out;
}

bool TransactionSystem::read_only() const {
  return parts_->log->failed() || parts_->buffer().admit_write() == storage::WriteAdmission::kStopped;
}

Statistics TransactionSystem::statistics() const {
  Statistics s;
  s.committed = parts_->commits_total->value();
  s.aborted = parts_->aborts_total->value();
  s.active = static_cast<std::uint64_t>(parts_->active_gauge->value());
  s.checkpoints = parts_->checkpoints.load();
  s.undo_bytes = parts_->undo_total.load();
  s.versions = parts_->versions.size();
  s.recovery_seconds = parts_->recovery_seconds;
  s.replayed_bytes = parts_->replayed_bytes;
  s.log_end = parts_->log->tail();
  s.durable_lsn = parts_->log->durable_lsn();
  return s;
}

BackupJobs& TransactionSystem::backups() { return *parts_->backups; }

void TransactionSystem::rotate_data_key() { parts_->storage->rotate_data_key(); }

void TransactionSystem::change_master_key(const security::MasterKey& master) {
  if (parts_->storage->keys() == nullptr)
    throw error(sqlstate::kObjectNotInPrerequisiteState, "the data directory is not encrypted");
  parts_->storage->keys()->rewrap(master);
}

std::vector<security::KeyInfo> TransactionSystem::keys() const {
  const security::KeyRing* ring = parts_->storage->keys();
  return ring != nullptr ? ring->keys() : std::vector<security::KeyInfo>{};
}

storage::KeyRotation TransactionSystem::key_rotation() const { return parts_->storage->key_rotation(); }

std::vector<ActiveTransaction> TransactionSystem::active_transactions() const {
  std::vector<ActiveTransaction> out;
  std::lock_guard lock(parts_->active_mutex);
  for (TxnState* state : parts_->active) {
    std::lock_guard records(state->records_mutex);
    out.push_back({TransactionId{state->id}, state->locker.load()->process_id(), state->began_us,
                   state->records.size()});
  }
  return out;
}

std::string TransactionSystem::log_position_text() const { return to_text(parts_->log->tail()); }

void TransactionSystem::name_trees_by(std::function<std::string(std::uint32_t)> names) {
  parts_->tree_names = std::move(names);
}

std::string TransactionSystem::tree_name(std::uint32_t id) const {
  std::string name = parts_->tree_names ? parts_->tree_names(id) : std::string();
  if (!name.empty()) return name;
  if (id == 0) return "the database";
  if (id == kLayoutTable.raw() || id == kLayoutIndex.raw()) return "the built-in table of layouts";
  return fmt::format("{} {}", parts_->is_index(id) ? "index" : "table", id);
}

void TransactionSystem::throw_outcome(const Outcome& outcome, const Locker* locker) const {
  switch (outcome.status) {
    case Status::kSerialization:
      throw error(sqlstate::kSerializationFailure, "could not serialize access due to concurrent update");
    case Status::kDeadlock: {
      Error e = error(sqlstate::kDeadlockDetected, "deadlock detected");
      if (locker != nullptr) e.detail = locker->deadlock_detail();
      e.hint = "See server log for query details.";
      throw e;
    }
    case Status::kLockNotAvailable:
      throw error(sqlstate::kLockNotAvailable, "canceling statement due to lock timeout");
    case Status::kDamaged:
      throw error(sqlstate::kDataCorrupted, "page {} of {} is damaged", outcome.page.raw(),
                  tree_name(outcome.owner))
          .with_hint(parts_->is_index(outcome.owner)
                         ? "REINDEX builds the index anew from its table."
                         : "Only statements that need this page fail; \"rustbd check --deep\" on the stopped "
                           "directory lists everything that is damaged.");
    case Status::kNoSpace:
      if (parts_->log->short_of_resources())
        throw error(sqlstate::kInsufficientResources, "the log cannot grow: too many open files");
      throw error(sqlstate::kDiskFull, "could not extend the database: no space left on device");
    case Status::kNoMemory: throw error(sqlstate::kOutOfMemory, "out of memory");
    case Status::kIoError:
      throw error(sqlstate::kIoError, "the outcome of the transaction is unknown: the log failed");
    case Status::kReadOnly:
      throw error(sqlstate::kIoError, "the database has stopped writing after an input/output error");
    case Status::kTooLarge:
      if (!outcome.index.is_none()) {
        throw error(sqlstate::kProgramLimitExceeded, "index row size exceeds maximum {} for index {}",
                    storage::kIndexKeyBytesMax, outcome.index.raw());
      }
      throw error(sqlstate::kProgramLimitExceeded, "row is too big");
    default:
      throw error(sqlstate::kInternalError, "unexpected outcome {} of a row operation",
                  static_cast<int>(outcome.status));
  }
}

}  // namespace rustbd::txn
