// Two-phase commit (storage.md §4.4): a prepared transaction goes on as a running one that belongs to no
// session. Its PREPARE batch holds its events and its locks; its decision is a batch of its own, and the
// decision's place in the log is the transaction's.
#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/row_writer.h"

namespace rustbd::txn {

namespace {

constexpr std::size_t kGlobalIdBytesMax = 199;  // PostgreSQL's GIDSIZE without the terminating zero

/// Puts the global id on the list, so that nobody else takes it.
void claim_name(SystemParts& parts, const std::string& gid, TransactionId id, const TwoPhaseUser& user) {
  const std::uint32_t limit = parts.options.prepared_transactions_max;
  if (gid.size() > kGlobalIdBytesMax)
    throw error(sqlstate::kInvalidParameterValue, "transaction identifier \"{}\" is too long", gid);
  if (limit == 0) {
    throw error(sqlstate::kObjectNotInPrerequisiteState, "prepared transactions are disabled")
        .with_hint("Set max_prepared_transactions to a nonzero value.");
  }
  std::lock_guard lock(parts.prepared_mutex);
  if (parts.prepared.contains(gid))
    throw error(sqlstate::kDuplicateObject, "transaction identifier \"{}\" is already in use", gid);
  if (parts.prepared.size() >= limit) {
    throw error(sqlstate::kConfigurationLimitExceeded, "maximum number of prepared transactions reached")
        .with_hint(fmt::format("Increase max_prepared_transactions (currently {}).", limit));
  }
  PreparedEntry& entry = parts.prepared[gid];
  entry.id = id;
  entry.owner = user.role;
  entry.database = user.database;
}

/// Of this global id, for its decision: nobody else decides until its stage is kPrepared again.
PreparedEntry& claim_decision(SystemParts& parts, const std::string& gid, const TwoPhaseUser& user) {
  std::lock_guard lock(parts.prepared_mutex);
  const auto at = parts.prepared.find(gid);
  if (at == parts.prepared.end() || at->second.stage == PreparedEntry::Stage::kPreparing)
    throw error(sqlstate::kUndefinedObject, "prepared transaction with identifier \"{}\" does not exist",
                gid);
  PreparedEntry& entry = at->second;
  if (entry.stage == PreparedEntry::Stage::kDeciding)
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "prepared transaction with identifier \"{}\" is busy", gid);
  if (entry.owner != user.role && !user.superuser) {
    throw error(sqlstate::kInsufficientPrivilege, "permission denied to finish prepared transaction")
        .with_hint("Must be superuser or the user that prepared the transaction.");
  }
  if (entry.database != user.database) {
    throw error(sqlstate::kFeatureNotSupported, "prepared transaction belongs to another database")
        .with_hint("Connect to the database where the transaction was prepared to finish it.");
  }
  entry.stage = PreparedEntry::Stage::kDeciding;
  return entry;
}

}  // namespace

std::unique_ptr<Transaction> SystemParts::take_prepared(const std::string& gid) {
  std::lock_guard lock(prepared_mutex);
  const auto at = prepared.find(gid);
  RUSTBD_ASSERT(at != prepared.end(), "it is on the list until it is decided");
  std::unique_ptr<Transaction> transaction = std::move(at->second.transaction);
  prepared.erase(at);
  return transaction;
}

double SystemParts::oldest_prepared_seconds() const {
  const std::int64_t now = environment.clock->wall_us();
  std::int64_t age = 0;
  std::lock_guard lock(prepared_mutex);
  for (const auto& [gid, entry] : prepared)
    if (!entry.lsn.is_none()) age = std::max(age, now - entry.prepared_us);
  return static_cast<double>(age) * 1e-6;
}

std::vector<PreparedTransaction> TransactionSystem::prepared_transactions() const {
  std::vector<PreparedTransaction> out;
  std::lock_guard lock(parts_->prepared_mutex);
  for (const auto& [gid, entry] : parts_->prepared)
    if (entry.stage != PreparedEntry::Stage::kPreparing)
      out.push_back({entry.id, gid, entry.prepared_us, entry.owner, entry.database});
  return out;
}

// --- PREPARE ---

Task<Outcome> TransactionSystem::prepare(std::unique_ptr<Transaction>& txn, const std::string& gid,
                                         TwoPhaseUser user) {
  SystemParts& parts = *parts_;
  const TxnState& state = txn->writable_state();
  if (!state.layout_changes.empty())
    throw error(sqlstate::kFeatureNotSupported,
                "cannot PREPARE a transaction that has changed a table's layout");
  if (parts.locks->mixes_scopes(txn->locker())) {
    throw error(
        sqlstate::kFeatureNotSupported,
        "cannot PREPARE while holding both session-level and transaction-level locks on the same object");
  }
  claim_name(parts, gid, TransactionId{state.id}, user);
  Lsn end;
  const Outcome written = co_await txn->write_prepare(gid, user.database, &end);
  if (!written.ok()) {
    std::lock_guard lock(parts.prepared_mutex);
    parts.prepared.erase(gid);
    co_return written;
  }
  txn->leave_session();
  {
    std::lock_guard lock(parts.prepared_mutex);
    parts.prepared.at(gid).transaction = std::move(txn);
  }
  if (!parts.log->is_durable(end)) co_await parts.log->durable(end);
  if (!parts.log->is_durable(end)) co_return Outcome{Status::kIoError};
  std::lock_guard lock(parts.prepared_mutex);
  parts.prepared.at(gid).stage = PreparedEntry::Stage::kPrepared;
  co_return Outcome{};
}

/// The locks as events, and the PREPARE batch. kOk: it is in the log and on the list.
Task<Outcome> Transaction::write_prepare(const std::string& gid, Oid database, Lsn* end) {
  SystemParts& parts = system_.parts();
  TxnState& state = *this->state();
  parts.locks->end_wait(*locker_);
  for (const auto& lock : parts.locks->transaction_locks(*locker_)) {
    state.events.add_lock({static_cast<std::uint8_t>(lock.key.kind), lock.mode, lock.key.a, lock.key.b});
    while (state.events.bytes().size() >= fragment_bytes()) {
      if (Outcome o = flush_fragment(); o.blocked()) co_await o.token;
      else if (!o.ok()) co_return o;
    }
  }
  Oid owner = 0;
  {
    std::lock_guard lock(parts.prepared_mutex);
    owner = parts.prepared.at(gid).owner;
  }
  state.events.add_global_id({gid, database, owner});
  log::PreparedBatch batch;
  log::Reservation reservation;
  const Outcome room = co_await reserve_last_batch(log::BatchKind::kPrepare, log::BatchKind::kPrepareLarge,
                                                   &batch, &reservation);
  if (!room.ok()) co_return room;
  const storage::Action action(parts.gate());
  std::lock_guard commit(parts.commit_mutex);
  const Lsn start = parts.log->append(batch, reservation);
  *end = parts.log->end_of(batch);
  if (state.fragments.empty()) state.first_fragment.store(start.raw(), std::memory_order_release);
  std::lock_guard lock(parts.prepared_mutex);
  PreparedEntry& entry = parts.prepared.at(gid);
  entry.lsn = start;
  entry.prepared_us = static_cast<std::int64_t>(batch.header.wall_clock_us);
  co_return Outcome{};
}

/// What belongs to the session goes, the locks go to a holder of the transaction's own.
void Transaction::leave_session() {
  SystemParts& parts = system_.parts();
  TxnState& state = *this->state();
  drop_snapshots();
  give_up_staged();
  state.events.clear();
  state.fragments.clear();
  on_commit_.clear();
  on_abort_.clear();
  own_locker_ = std::make_unique<Locker>(*parts.locks, 0);
  own_locker_->set_transaction_id(state.id);
  parts.locks->hand_over(*locker_, *own_locker_, state);
  // Who lists the active transactions may still look at the session's locker.
  { std::lock_guard lock(parts.active_mutex); }
  locker_->set_transaction_id(0);
  locker_ = own_locker_.get();
}

// --- The decision ---

Task<Outcome> TransactionSystem::commit_prepared(const std::string& gid, TwoPhaseUser user,
                                                 std::move_only_function<void(CommitTimestamp)>* on_commit) {
  return decide(gid, user, true, on_commit);
}

Task<Outcome> TransactionSystem::rollback_prepared(const std::string& gid, TwoPhaseUser user) {
  return decide(gid, user, false, nullptr);
}

Task<Outcome> TransactionSystem::decide(const std::string& gid, TwoPhaseUser user, bool commit,
                                        std::move_only_function<void(CommitTimestamp)>* on_commit) {
  SystemParts& parts = *parts_;
  PreparedEntry& entry = claim_decision(parts, gid, user);
  Transaction& txn = *entry.transaction;
  log::EventWriter events;
  events.add_global_id({gid, entry.database, entry.owner});
  const log::BatchInfo info{commit ? log::BatchKind::kCommitPrepared : log::BatchKind::kAbortPrepared,
                            entry.id, user.role, parts.catalog_version.load(std::memory_order_relaxed)};
  log::PreparedBatch batch = log::prepare_batch(info, events.bytes(), events.count(), {}, parts.log_key());
  log::Reservation reservation;
  for (bool reserved = false; !reserved;) {
    // Essential: what it holds back, locks and log, gives room.
    const log::ReserveOutcome room = parts.log->reserve(batch.ring_bytes(), &reservation, true);
    reserved = room.status == log::ReserveStatus::kReserved;
    if (room.status == log::ReserveStatus::kWait) co_await room.token;
    if (reserved || room.status == log::ReserveStatus::kWait) continue;
    std::lock_guard lock(parts.prepared_mutex);
    entry.stage = PreparedEntry::Stage::kPrepared;
    co_return Outcome{room.status == log::ReserveStatus::kNoSpace ? Status::kNoSpace : Status::kIoError};
  }
  std::unique_ptr<Transaction> owned;
  if (commit) {
    if (on_commit != nullptr) txn.on_commit(std::move(*on_commit));
    owned = txn.place_commit(batch, reservation, &gid);
  } else {
    {
      const storage::Action action(parts.gate());
      std::lock_guard lock(parts.commit_mutex);
      parts.log->append(batch, reservation);
      owned = parts.take_prepared(gid);
    }
    co_await owned->abort();
  }
  const Lsn end = parts.log->end_of(batch);
  if (!parts.log->is_durable(end)) co_await parts.log->durable(end);
  co_return Outcome{parts.log->is_durable(end) ? Status::kOk : Status::kIoError};
}

// --- Recovery ---

void SystemParts::replay_decision(log::LogReader& reader, const log::BatchView& batch,
                                  const std::function<void(const log::Event&)>& replay_one) {
  const auto at = undecided.find(batch.header.txid);
  const auto damaged = [&](std::string_view what) {
    return error(sqlstate::kDataCorrupted, "the log is damaged: the PREPARE of transaction {} {}",
                 batch.header.txid, what);
  };
  if (at == undecided.end()) throw damaged("is not there");
  const Lsn prepared_at = at->second;
  undecided.erase(at);
  if (batch.header.kind == log::BatchKind::kAbortPrepared) return;
  Bytes content;
  log::BatchView prepare;
  if (!reader.read_at(prepared_at, content, prepare) || !reader.for_each_event(prepare, replay_one))
    throw damaged("cannot be read");
}

namespace {

/// A transaction that is prepared at the end of the log, from its PREPARE batch.
struct Undecided {
  std::uint64_t id = 0;
  Lsn lsn, first;  // of the PREPARE, of its first batch
  std::string gid;
  Oid owner = 0, database = 0;
  std::int64_t prepared_us = 0;
  std::vector<LockTable::HeldLock> locks;
};

class PreparedLog {
 public:
  explicit PreparedLog(SystemParts& parts)
      : reader_(*parts.environment.disk, "wal", log::Geometry(parts.storage->state().log_segment_bytes),
                parts.storage->keys()) {}

  Undecided read(std::uint64_t id, Lsn lsn) {
    Undecided out;
    out.id = id;
    out.lsn = lsn;
    bool named = false, good = true;
    each_event(id, lsn, [&](const log::Event& event) {
      if (event.op == log::EventOp::kGlobalId) {
        log::GlobalIdBody body;
        good = good && log::read_global_id_body(event.body, body);
        out.gid = body.gid;
        out.database = body.database;
        out.owner = body.owner;
        named = true;
      } else if (event.op == log::EventOp::kLock) {
        log::LockBody body;
        good = good && log::read_lock_body(event, body);
        out.locks.push_back({{static_cast<LockKind>(body.kind), body.a, body.b}, body.mode});
      }
    });
    if (!named || !good) throw damaged(id);
    out.prepared_us = static_cast<std::int64_t>(batch_.header.wall_clock_us);
    const auto chain = reader_.read_fragment_chain(batch_);
    out.first = chain && !chain->empty() ? chain->front().lsn : lsn;
    return out;
  }

  void each_event(std::uint64_t id, Lsn lsn, const std::function<void(const log::Event&)>& visit) {
    const bool good = reader_.read_at(lsn, content_, batch_) && batch_.header.txid == id &&
                      (batch_.header.kind == log::BatchKind::kPrepare ||
                       batch_.header.kind == log::BatchKind::kPrepareLarge) &&
                      reader_.for_each_event(batch_, visit);
    if (!good) throw damaged(id);
  }

  static Error damaged(std::uint64_t id) {
    return error(sqlstate::kDataCorrupted, "the log is damaged: the PREPARE of transaction {} cannot be read",
                 id)
        .with_hint("\"rustbd log dump\" shows what can be read. Restore from a backup or a replica.");
  }

 private:
  log::LogReader reader_;
  Bytes content_;
  log::BatchView batch_;
};

}  // namespace

/// Recovery's step 8: what is prepared at the end of the log runs again: its locks first, then its changes.
void TransactionSystem::recreate_prepared() {
  SystemParts& parts = *parts_;
  if (parts.undecided.empty() || !parts.options.replay_log) return;
  const std::int64_t began = parts.environment.clock->monotonic_us();
  PreparedLog prepared_log(parts);
  std::vector<Undecided> all;
  for (const auto& [id, lsn] : parts.undecided)
    parts.examined([&] { all.push_back(prepared_log.read(id, lsn)); });
  parts.undecided.clear();
  if (parts.options.examine) return;  // the tables are as everybody but its owner sees them
  // All are on the list before the first changes a page: a checkpoint in between names all of them.
  for (const Undecided& u : all) {
    auto locker = std::make_unique<Locker>(*parts.locks, 0);
    auto txn = std::make_unique<Transaction>(*this, *locker, TransactionOptions{.role = u.owner});
    TxnState& state = txn->make_state(u.id);
    state.began_us = u.prepared_us;
    state.first_fragment.store(u.first.raw());
    txn->own_locker_ = std::move(locker);
    std::lock_guard lock(parts.prepared_mutex);
    PreparedEntry entry{PreparedEntry::Stage::kPrepared,
                        TransactionId{u.id},
                        u.owner,
                        u.database,
                        u.prepared_us,
                        u.lsn,
                        std::move(txn)};
    parts.prepared.emplace(u.gid, std::move(entry));
  }
  for (const Undecided& u : all) {
    Locker& locker = parts.prepared.at(u.gid).transaction->locker();
    for (const auto& lock : u.locks)
      if (!parts.locks->take_again(locker, lock)) throw PreparedLog::damaged(u.id);
  }
  for (const Undecided& u : all) {
    Transaction& txn = *parts.prepared.at(u.gid).transaction;
    prepared_log.each_event(u.id, u.lsn, [&](const log::Event& event) { redo(txn, event); });
  }
  if (parts.options.log_line)
    parts.options.log_line(
        fmt::format("recovery: {} prepared transactions wait for their decision", all.size()));
  parts.recovery_seconds += static_cast<double>(parts.environment.clock->monotonic_us() - began) * 1e-6;
}

/// One change of a prepared transaction, as a running one's. Blocks.
void TransactionSystem::redo(Transaction& txn, const log::Event& event) {
  if (event.op == log::EventOp::kLock || event.op == log::EventOp::kGlobalId ||
      event.op == log::EventOp::kMessage)
    return;
  const auto layout = event.table == kLayoutTable ? nullptr : this->layout(event.table);
  if (layout == nullptr || !SystemParts::is_row_event(event)) throw PreparedLog::damaged(txn.id().raw());
  SystemParts& parts = *parts_;
  if (parts.tree_state(event.table)->tree->is_set_aside()) return;  // nobody reads it any more
  txn.make_undo_room();
  Table table(*this, layout);
  Outcome outcome;
  do {  // it can be made without an index that is set aside
    outcome = until_done_blocking([&] { return RowWriter(table, txn).redo(event); });
  } while (outcome.status == Status::kDamaged && parts.is_index(outcome.owner) &&
           !parts.may_be_sound(outcome.page) && parts.set_index_aside(IndexId{outcome.owner}, outcome.page));
  if (outcome.ok()) return;
  switch (outcome.status) {
    case Status::kNoSpace:
      throw error(sqlstate::kDiskFull, "recovery: no space left (a prepared transaction)");
    case Status::kNoMemory:
      throw error(sqlstate::kOutOfMemory, "recovery: buffer pool too small (a prepared transaction)");
    case Status::kReadOnly:
    case Status::kIoError:
      throw error(sqlstate::kIoError, "recovery: a page cannot be written (a prepared transaction)");
    default:
      if (parts.may_be_sound(outcome.page))
        throw error(sqlstate::kIoError,
                    "recovery: page {} cannot be read, the disk gives an error (a prepared transaction)",
                    outcome.page.raw())
            .with_hint("If it does so at every start, \"rustbd check --repair\" takes the page for damaged.");
      throw error(sqlstate::kDataCorrupted,
                  "recovery: a change of prepared transaction {} does not fit table {} (page {})",
                  txn.id().raw(), event.table.raw(), outcome.page.raw())
          .with_hint("\"rustbd check --repair\" makes the page anew if the log has all of its rows.");
  }
}

}  // namespace rustbd::txn
