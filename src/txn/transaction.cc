#include "rustbd/txn/transaction.h"

#include <fmt/format.h>

#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/storage/pages/thread_slot.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/row_writer.h"

namespace rustbd::txn {

namespace {

void atomic_max(std::atomic<std::uint64_t>& to, std::uint64_t value) {
  std::uint64_t now = to.load(std::memory_order_relaxed);
  while (now < value && !to.compare_exchange_weak(now, value, std::memory_order_acq_rel)) {}
}

}  // namespace

Transaction::Transaction(TransactionSystem& system, Locker& locker, const TransactionOptions& options)
    : system_(system), locker_(&locker), options_(options) {}

Transaction::~Transaction() {
  RUSTBD_ASSERT(finished_ || !has_written(), "a transaction that wrote is committed or aborted");
  RUSTBD_ASSERT(held_.empty(), "held snapshots end before their transaction");
  if (finished_) return;
  drop_snapshots();
  system_.parts().locks->release_to(*locker_, 0);
}

TransactionId Transaction::id() const { return id_; }

bool Transaction::has_written() const { return state_.load(std::memory_order_acquire) != nullptr; }

TransactionId Transaction::assign_id() { return TransactionId{writable_state().id}; }

TxnState& Transaction::writable_state() {
  if (TxnState* state = state_.load(std::memory_order_acquire)) return *state;
  RUSTBD_ASSERT(!finished_, "no write after the end of a transaction");
  return make_state(system_.parts().next_txid.fetch_add(1, std::memory_order_relaxed));
}

TxnState& Transaction::make_state(std::uint64_t id) {
  SystemParts& parts = system_.parts();
  auto made = std::make_unique<TxnState>();
  made->id = id;
  made->locker = locker_;
  made->holds.store(1, std::memory_order_relaxed);  // its own, until finish()
  id_ = TransactionId{made->id};
  made->began_us = parts.environment.clock->wall_us();
  locker_->set_transaction_id(made->id);
  TxnState* state = made.release();
  {
    std::lock_guard lock(parts.active_mutex);
    parts.active.push_back(state);
  }
  parts.active_gauge->add(1);
  state_.store(state, std::memory_order_release);
  return *state;
}

WriteScratch& Transaction::scratch() {
  if (scratch_ == nullptr) scratch_ = std::move(locker_->scratch_);
  if (scratch_ == nullptr) scratch_ = std::make_unique<WriteScratch>();
  return *scratch_;
}
void Transaction::leave_scratch() {
  if (scratch_ == nullptr || scratch_->is_large()) return;
  scratch_->known.clear();
  locker_->scratch_ = std::move(scratch_);
}

// --- Statements and snapshots ---

void Transaction::begin_statement() {
  SystemParts& parts = system_.parts();
  parts.locks->end_wait(*locker_);
  ++command_;
  if (snapshot_ != 0 && options_.isolation != Isolation::kReadCommitted) return;
  give_back_snapshot();
  snapshot_slot_ = parts.snapshots.acquire(
      storage::thread_slot(),
      [&] {
        const std::uint64_t published = parts.published_ts.load(std::memory_order_seq_cst);
        if (!options_.single_read) return published;
        return std::min(published, std::max({parts.log->durable_ts().raw(), options_.seen.raw(),
                                             parts.unsynced_ts.load(std::memory_order_acquire),
                                             locker_->after_ts(), std::uint64_t{1}}));
      },
      &snapshot_);
}

void Transaction::end_statement() {
  SystemParts& parts = system_.parts();
  parts.locks->end_wait(*locker_);
  if (fresh_slot_ != 0) parts.snapshots.release(std::exchange(fresh_slot_, 0));
  if (options_.isolation != Isolation::kReadCommitted) return;
  give_back_snapshot();
  snapshot_ = 0;
}

/// Lets go of the slot, or keeps it for those that hold its snapshot. It is handed over and not taken anew:
/// whoever looks for the oldest one passes each slot once.
void Transaction::give_back_snapshot() {
  if (snapshot_slot_ == 0) return;
  const std::uint32_t slot = std::exchange(snapshot_slot_, 0);
  if (held_.empty() || held_slot_ != 0) system_.parts().snapshots.release(slot);
  else held_slot_ = slot;
}

void Transaction::drop_snapshots() {
  SystemParts& parts = system_.parts();
  if (fresh_slot_ != 0) parts.snapshots.release(std::exchange(fresh_slot_, 0));
  if (snapshot_slot_ != 0) parts.snapshots.release(std::exchange(snapshot_slot_, 0));
  if (held_slot_ != 0) parts.snapshots.release(std::exchange(held_slot_, 0));
}

HeldSnapshot Transaction::hold(const ReadView& view) {
  RUSTBD_ASSERT(snapshot_slot_ != 0 && view.snapshot == snapshot_, "a view is held by its own statement");
  ++held_[view.snapshot];
  HeldSnapshot held;
  held.transaction_ = this;
  held.snapshot_ = view.snapshot;
  held.command_ = view.command;
  return held;
}

void Transaction::let_go(std::uint64_t held) {
  const auto at = held_.find(held);
  if (--at->second != 0) return;
  held_.erase(at);
  if (held_slot_ == 0) return;
  SnapshotRegistry& snapshots = system_.parts().snapshots;
  if (held_.empty()) snapshots.release(std::exchange(held_slot_, 0));
  else snapshots.raise(held_slot_, held_.begin()->first);
}

HeldSnapshot& HeldSnapshot::operator=(HeldSnapshot&& other) noexcept {
  std::swap(transaction_, other.transaction_);
  std::swap(snapshot_, other.snapshot_);
  std::swap(command_, other.command_);
  return *this;
}

void HeldSnapshot::reset() {
  if (transaction_ != nullptr) std::exchange(transaction_, nullptr)->let_go(snapshot_);
}

ResumedStatement::ResumedStatement(const HeldSnapshot& held) : transaction_(held.transaction_) {
  if (transaction_ == nullptr) return;
  snapshot_ = std::exchange(transaction_->snapshot_, held.snapshot_);
  command_ = std::exchange(transaction_->command_, held.command_);
}

ResumedStatement::~ResumedStatement() {
  if (transaction_ == nullptr) return;
  transaction_->snapshot_ = snapshot_;
  transaction_->command_ = command_;
}

ReadView Transaction::view() {
  RUSTBD_ASSERT(snapshot_ != 0, "begin_statement() comes first");
  return {snapshot_, command_, state(), this};
}

ReadView Transaction::fresh_view() {
  SystemParts& parts = system_.parts();
  if (fresh_slot_ != 0) parts.snapshots.release(fresh_slot_);
  std::uint64_t ts = 0;
  fresh_slot_ = parts.snapshots.acquire(
      storage::thread_slot(), [&] { return parts.published_ts.load(std::memory_order_seq_cst); }, &ts);
  return {ts, command_, state(), this};
}

void Transaction::note_seen(std::uint64_t commit_ts, std::uint64_t end_lsn) {
  atomic_max(max_seen_ts_, commit_ts);
  atomic_max(hold_lsn_, end_lsn);
}

Outcome Transaction::lock_table(Oid object, Oid database, TableLockMode mode, WaitPolicy policy) {
  return system_.parts().locks->lock_table(*locker_, object, database, mode, policy);
}

Outcome Transaction::lock_advisory(LockKey key, AdvisoryMode mode, WaitPolicy policy) {
  return system_.parts().locks->lock_advisory(*locker_, key, mode, policy, false);
}

// --- Writing ---

Outcome Transaction::prepare_write() {
  SystemParts& parts = system_.parts();
  if (parts.log->failed()) return {Status::kIoError};
  if (parts.log->out_of_space()) return {Status::kNoSpace};
  switch (parts.buffer().admit_write()) {
    case storage::WriteAdmission::kOk: break;
    case storage::WriteAdmission::kNoSpace: return {Status::kNoSpace};
    case storage::WriteAdmission::kStopped: return {Status::kReadOnly};
  }
  if (parts.undo_total.load(std::memory_order_relaxed) > parts.options.undo_limit_bytes)
    return {Status::kNoMemory};
  TxnState* state = state_.load(std::memory_order_acquire);
  if (state == nullptr) return {};
  if (state->events.bytes().size() >= fragment_bytes()) {
    if (Outcome o = flush_fragment(); !o.ok()) return o;
  }
  make_undo_room();
  return {};
}

std::uint64_t Transaction::fragment_bytes() const {
  const SystemParts& parts = system_.parts();
  return std::min<std::uint64_t>(parts.options.log_fragment_bytes, parts.log->batch_bytes_max() / 2);
}

void Transaction::make_undo_room() {
  SystemParts& parts = system_.parts();
  TxnState& state = *this->state();
  if (state.arena_bytes <= parts.options.undo_spill_bytes ||
      (!state.temp_pages.empty() && state.temp_used <= storage::kPageBytes / 4 * 3))
    return;
  const storage::Action action(parts.gate());
  auto page = parts.buffer().alloc(storage::PageKind::kTemp, 0);
  if (!page) return;  // without one the payloads stay in memory
  state.temp_pages.push_back(page.guard.page_id());
  state.temp_used = storage::kPageHeaderBytes;
}

namespace {
/// A batch with that many bytes of events, and one more event with a body of that size.
std::size_t batch_bytes(std::size_t events, std::size_t body) {
  constexpr std::size_t kEventHeader = 32;
  return sizeof(log::BatchHeader) + log::kFragmentBytes + log::kSealBytes + events + body + kEventHeader;
}
}  // namespace

bool Transaction::has_log_room(std::size_t body_bytes) const {
  const TxnState* state = state_.load(std::memory_order_acquire);
  const std::size_t events = state != nullptr ? state->events.bytes().size() : 0;
  return batch_bytes(events, body_bytes) <= system_.parts().log->batch_bytes_max();
}

Outcome Transaction::make_log_room(std::size_t body_bytes) {
  if (batch_bytes(0, body_bytes) > system_.parts().log->batch_bytes_max()) return {Status::kTooLarge};
  return has_log_room(body_bytes) ? Outcome{} : flush_fragment();
}

/// Writes the log buffer as a FRAGMENT. Outside the gate.
Outcome Transaction::flush_fragment() {
  SystemParts& parts = system_.parts();
  TxnState& state = writable_state();
  const log::BatchInfo info{log::BatchKind::kFragment, TransactionId{state.id}, options_.role,
                            parts.catalog_version.load(std::memory_order_relaxed)};
  const log::Fragment previous = state.fragments.empty() ? log::Fragment{} : state.fragments.back();
  log::PreparedBatch batch =
      log::prepare_batch(info, state.events.bytes(), state.events.count(), previous, parts.log_key());
  log::Reservation reservation;
  const log::ReserveOutcome room = parts.log->reserve(batch.ring_bytes(), &reservation);
  switch (room.status) {
    case log::ReserveStatus::kReserved: break;
    case log::ReserveStatus::kWait: return Outcome::blocked_on(room.token);
    case log::ReserveStatus::kNoSpace: return {Status::kNoSpace};
    case log::ReserveStatus::kFailed: return {Status::kIoError};
  }
  {
    const storage::Action action(parts.gate());
    std::lock_guard lock(parts.commit_mutex);
    const Lsn start = parts.log->append(batch, reservation);
    if (state.fragments.empty()) state.first_fragment.store(start.raw(), std::memory_order_release);
    state.fragments.push_back({start, state.events.count()});
  }
  state.events.clear();
  return {};
}

Outcome Transaction::log_message(std::string_view prefix, ByteSpan body) {
  if (Outcome o = prepare_write(); !o.ok()) return o;
  writable_state().events.add_message(prefix, body);
  return {};
}

// --- Savepoints and undo ---

Savepoint Transaction::savepoint() {
  Savepoint sp;
  sp.locks = system_.parts().locks->position(*locker_);
  if (const TxnState* state = this->state()) {
    sp.undo_records = state->records.size();
    const auto at = state->events.position();
    sp.log_bytes = at.bytes;
    sp.log_events = at.events;
    sp.fragments = state->fragments.size();
  }
  return sp;
}

Task<> Transaction::rollback_to(Savepoint savepoint) {
  SystemParts& parts = system_.parts();
  parts.locks->end_wait(*locker_);
  if (TxnState* state = this->state()) {
    co_await undo_to(savepoint.undo_records);
    parts.locks->wake_row_waiters(*state, [&](const LockKey& key) {
      const auto* newest =
          parts.versions.head(TableId{static_cast<std::uint32_t>(key.a)}, RowId{key.b}).newest();
      return newest != nullptr && newest->owner == state;
    });
    if (state->fragments.size() == savepoint.fragments) {
      state->events.cut_to({savepoint.log_bytes, savepoint.log_events});
    } else {
      // The position lies in the first fragment written since.
      log::Fragment cut = state->fragments[savepoint.fragments];
      cut.keep = savepoint.log_events;
      state->fragments.resize(savepoint.fragments);
      if (cut.keep > 0) state->fragments.push_back(cut);
      state->events.clear();
    }
    for (auto& d : state->row_deltas) d.rows = 0;
    for (const UndoRec* r : state->records) {
      if (r->undone_epoch.load(std::memory_order_relaxed) != 0 || r->op == UndoOp::kUpdate) continue;
      const int rows = r->op == UndoOp::kBulk ? r->placed : r->op == UndoOp::kInsert ? 1 : -1;
      for (auto& d : state->row_deltas)
        if (d.trees->id.raw() == r->table) d.rows += rows;
    }
  }
  parts.locks->release_to(*locker_, savepoint.locks);
}

/// Awaits what stands in the way of a rollback. For room, in the data file or in memory, it waits as long as
/// it takes. False: a page cannot be read or written.
Task<bool> Transaction::undo_may_go_on(const storage::Status& status) {
  constexpr std::chrono::milliseconds kPatience{20};
  SystemParts& parts = system_.parts();
  switch (status.outcome) {
    case storage::Outcome::kMiss: co_await status.wait; co_return true;
    case storage::Outcome::kNoFrame:
    case storage::Outcome::kNoSpace:
      if (parts.buffer().admit_write() == storage::WriteAdmission::kStopped) co_return false;
      co_await parts.environment.executor->after(kPatience);
      co_return true;
    case storage::Outcome::kRestart:
    case storage::Outcome::kFull: co_return true;
    default: co_return false;
  }
}

/// Layout changes made after `undo_records`, newest first: the trees go back to the layout before.
Task<> Transaction::revert_layouts(std::size_t undo_records) {
  SystemParts& parts = system_.parts();
  TxnState& state = *this->state();
  while (!state.layout_changes.empty() && state.layout_changes.back().undo_position > undo_records) {
    const LayoutChange change = state.layout_changes.back();
    state.layout_changes.pop_back();
    if (change.after == nullptr) continue;
    if (change.before == nullptr || change.before->table != change.after->table) {
      parts.forget_trees(*change.after, nullptr);
      continue;
    }
    if (change.after->schema_version > change.before->schema_version) {
      const storage::RowFormat from(change.after), to(change.before);
      const auto tree = parts.tree_state(change.after->table);
      RowId position{1};
      for (;;) {
        auto status = tree->tree->downgrade_leaves(from, to, &position);
        if (status) break;
        if (status.outcome == storage::Outcome::kDamaged && !parts.may_be_sound(status.page)) {
          parts.set_table_aside(change.after->table, status.page);
          break;
        }
        if (co_await undo_may_go_on(status)) continue;
        parts.options.on_fatal("ALTER TABLE could not be taken back: a page cannot be read or written");
        break;
      }
    }
    parts.set_newest(change.before, SystemParts::Lacking::kUndone);
    parts.forget_trees(*change.after, change.before.get());
  }
}

Task<> Transaction::undo_to(std::size_t undo_records) {
  SystemParts& parts = system_.parts();
  TxnState& state = *this->state();
  for (std::size_t i = state.records.size(); i-- > undo_records;) {
    UndoRec* record = state.records[i];  // only this thread appends
    if (record->undone_epoch.load(std::memory_order_relaxed) != 0) continue;
    co_await revert_layouts(i);
    for (;;) {
      storage::Status status = parts.undo_record(*record);
      if (status) break;
      if (status.outcome == storage::Outcome::kDamaged && !parts.may_be_sound(status.page)) {
        if (!parts.give_up_undo(*record, status)) {
          parts.options.on_fatal(fmt::format(
              "a change of a table's layout could not be taken back: page {} is damaged", status.page.raw()));
          co_return;
        }
        if (record->undone_epoch.load(std::memory_order_relaxed) != 0) break;
      } else if (!co_await undo_may_go_on(status)) {
        parts.options.on_fatal("a change could not be taken back: the page cannot be read or written");
        co_return;
      }
    }
  }
  co_await revert_layouts(undo_records);
}

// --- The end ---

void Transaction::finish() {
  SystemParts& parts = system_.parts();
  drop_snapshots();
  if (TxnState* state = this->state()) {
    parts.active_gauge->add(-1);
    parts.locks->transaction_ended(*state);
  }
  parts.locks->release_to(*locker_, 0);
  locker_->set_transaction_id(0);
  give_up_staged();
  leave_scratch();
  finished_ = true;
  if (TxnState* state = state_.load(std::memory_order_acquire))
    state->holds.fetch_sub(1, std::memory_order_acq_rel);
  parts.transactions_total->inc();
}

void Transaction::give_up_staged() {
  if (scratch_ == nullptr || scratch_->staged.empty()) return;
  SystemParts& parts = system_.parts();
  std::lock_guard lock(parts.queue_mutex);
  for (const auto& st : scratch_->staged)
    if (!st.write->ref().first.is_none()) parts.unused_chains.push_back(st.write->ref());
  scratch_->staged.clear();
}

void Transaction::abandon() {
  if (finished_) return;
  drop_snapshots();
  system_.parts().locks->release_to(*locker_, 0);
  finished_ = true;
}

Task<> Transaction::wait_until_durable(std::uint64_t lsn, bool* durable) {
  SystemParts& parts = system_.parts();
  const Lsn end{lsn};
  if (!parts.log->is_durable(end)) co_await parts.log->durable(end);
  *durable = parts.log->is_durable(end);
}

bool Transaction::try_commit(CommitMode mode) {
  RUSTBD_ASSERT(!finished_, "a transaction ends once");
  SystemParts& parts = system_.parts();
  if (state() != nullptr || !on_commit_.empty()) return false;
  if (mode == CommitMode::kSync && !parts.log->is_durable(Lsn{hold_lsn_.load()})) return false;
  finish();
  parts.commits_total->inc();
  return true;
}

Task<Outcome> Transaction::commit(CommitMode mode) {
  if (try_commit(mode)) co_return Outcome{};
  SystemParts& parts = system_.parts();
  TxnState* state = this->state();
  Outcome outcome;
  if (state != nullptr) {
    const bool changes = !state->events.empty() || !state->fragments.empty();
    if (changes) {
      const std::int64_t began = parts.environment.clock->monotonic_us();
      outcome = co_await commit_writes(mode);
      if (!finished_) {
        co_await abort();
        co_return outcome;
      }
      parts.commit_seconds->observe(static_cast<double>(parts.environment.clock->monotonic_us() - began) *
                                    1e-6);
      co_return outcome;
    }
    // It wrote nothing that is left: like an abort without undo.
    {
      const storage::Action action(parts.gate());
      std::lock_guard lock(parts.active_mutex);
      std::erase(parts.active, state);
      state->commit_ts.store(kAborted, std::memory_order_release);
    }
  }
  for (auto& action : on_commit_) action(CommitTimestamp{});
  finish();
  parts.commits_total->inc();
  if (state != nullptr) parts.retire_state(state);
  bool durable = true;
  const std::uint64_t seen = hold_lsn_.load();
  if (mode == CommitMode::kSync && !parts.log->is_durable(Lsn{seen}))
    co_await wait_until_durable(seen, &durable);
  if (!durable) outcome.status = Status::kIoError;
  co_return outcome;
}

Task<Outcome> Transaction::commit_writes(CommitMode mode) {
  log::PreparedBatch batch;
  log::Reservation reservation;
  const Outcome room = co_await reserve_last_batch(log::BatchKind::kCommit, log::BatchKind::kCommitLarge,
                                                   &batch, &reservation);
  if (!room.ok()) co_return room;
  static_cast<void>(place_commit(batch, reservation, nullptr));
  bool durable = true;
  if (mode == CommitMode::kSync) co_await wait_until_durable(commit_end_lsn_, &durable);
  else atomic_max(system_.parts().unsynced_ts, commit_ts_.raw());
  if (!durable) co_return Outcome{Status::kIoError};
  co_return Outcome{};
}

Task<Outcome> Transaction::reserve_last_batch(log::BatchKind kind, log::BatchKind large_kind,
                                              log::PreparedBatch* batch, log::Reservation* reservation) {
  SystemParts& parts = system_.parts();
  TxnState& state = *this->state();
  for (;;) {
    if (state.events.bytes().size() + log::kFragmentBytes + log::kSealBytes + sizeof(log::BatchHeader) + 8 >
        parts.log->batch_bytes_max()) {
      if (Outcome o = flush_fragment(); o.blocked()) co_await o.token;
      else if (!o.ok()) co_return o;
      continue;
    }
    const bool large = !state.fragments.empty();
    const log::BatchInfo info{large ? large_kind : kind, TransactionId{state.id}, options_.role,
                              parts.catalog_version.load(std::memory_order_relaxed)};
    *batch = log::prepare_batch(info, state.events.bytes(), state.events.count(),
                                large ? state.fragments.back() : log::Fragment{}, parts.log_key());
    const log::ReserveOutcome room = parts.log->reserve(batch->ring_bytes(), reservation);
    switch (room.status) {
      case log::ReserveStatus::kReserved: co_return Outcome{};
      case log::ReserveStatus::kWait: co_await room.token; break;
      case log::ReserveStatus::kNoSpace: co_return Outcome{Status::kNoSpace};
      case log::ReserveStatus::kFailed: co_return Outcome{Status::kIoError};
    }
  }
}

std::unique_ptr<Transaction> Transaction::place_commit(log::PreparedBatch& batch,
                                                       log::Reservation& reservation,
                                                       const std::string* gid) {
  SystemParts& parts = system_.parts();
  TxnState& state = *this->state();
  std::unique_ptr<Transaction> owned;
  std::uint64_t ts = 0, end = 0;
  {
    const storage::Action action(parts.gate());
    {
      std::lock_guard lock(parts.commit_mutex);
      ts = ++parts.last_ts;
      parts.log->assign(batch, CommitTimestamp{ts});
      end = parts.log->end_of(batch).raw();
      if (gid != nullptr) owned = parts.take_prepared(*gid);
      state.end_lsn.store(end, std::memory_order_release);
      for (const LayoutChange& c : state.layout_changes) {
        if (c.after != nullptr && c.before != nullptr && c.before->table == c.after->table)
          parts.set_newest(c.after);
        parts.publish_layout(c.database, c.relation, c.after);
      }
      state.commit_ts.store(ts, std::memory_order_release);
      parts.published_ts.store(ts, std::memory_order_seq_cst);
      std::lock_guard queue(parts.queue_mutex);
      parts.committed.push_back(&state);
    }
    parts.log->fill(batch, reservation);
    std::lock_guard lock(parts.active_mutex);
    std::erase(parts.active, &state);
  }
  commit_ts_ = CommitTimestamp{ts};
  commit_end_lsn_ = end;
  if (!state.layout_changes.empty()) parts.catalog_version.fetch_add(1, std::memory_order_relaxed);
  for (const auto& d : state.row_deltas) d.trees->live_rows.fetch_add(d.rows, std::memory_order_relaxed);
  note_seen(ts, end);
  for (auto& action : on_commit_) action(commit_ts_);
  // After the catalog is published: who finds a sequence gone finds the new one there.
  for (const LayoutChange& c : state.layout_changes) {
    if (c.before != nullptr) parts.forget_trees(*c.before, c.after.get());
  }
  finish();  // early lock release: whoever sees this commit waits for its flush
  parts.commits_total->inc();
  return owned;
}

Task<> Transaction::abort() {
  RUSTBD_ASSERT(!finished_, "a transaction ends once");
  SystemParts& parts = system_.parts();
  parts.locks->end_wait(*locker_);
  TxnState* state = this->state();
  if (state != nullptr) {
    co_await undo_to(0);
    if (!state->fragments.empty()) {
      const log::BatchInfo info{log::BatchKind::kAbortLarge, TransactionId{state->id}, options_.role, 0};
      log::PreparedBatch batch = log::prepare_batch(info, {}, 0, state->fragments.back(), parts.log_key());
      log::Reservation reservation;
      if (parts.log->reserve(batch.ring_bytes(), &reservation).status == log::ReserveStatus::kReserved) {
        parts.log->append(batch,
                          reservation);  // only tells readers early; without it the fragments are ignored too
      }
    }
    const storage::Action action(parts.gate());
    std::lock_guard lock(parts.active_mutex);
    std::erase(parts.active, state);
    state->commit_ts.store(kAborted, std::memory_order_release);
  }
  for (auto& action : on_abort_) action();
  finish();
  parts.aborts_total->inc();
  if (state != nullptr) parts.retire_state(state);
}

}  // namespace rustbd::txn
