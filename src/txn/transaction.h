// Transaction: what a session holds between BEGIN and COMMIT: snapshot, command number, undo, events, locks
// (storage.md §4).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/base/ids.h"
#include "rustbd/base/task.h"
#include "rustbd/storage/btree/status.h"
#include "rustbd/txn/locks.h"
#include "rustbd/txn/outcome.h"

namespace rustbd::log {
enum class BatchKind : std::uint8_t;
struct PreparedBatch;
class Reservation;
}  // namespace rustbd::log

namespace rustbd::txn {

class TransactionSystem;
struct SystemParts;
struct TxnState;
struct WriteScratch;

/// kReadUncommitted is kReadCommitted. kSerializable is not supported yet (the engine answers 0A000).
enum class Isolation : std::uint8_t { kReadCommitted, kRepeatableRead, kSerializable };

struct TransactionOptions {
  Isolation isolation = Isolation::kReadCommitted;
  /// A read-only statement outside a transaction block: its snapshot is that of the last durable commit, so
  /// that it does not wait for a flush, unless it must see more (§4.1): `seen`, the session's last commit;
  /// commits that were acknowledged without a flush; and what was published when the session last took a lock
  /// that is not one of the weak ones of a table that nobody locks strongly. What it shows of those it waits
  /// for.
  bool single_read = false;
  CommitTimestamp seen{};
  Oid role = 0;  // for the log's batch header
};

/// What a read sees: everything committed at or before `snapshot`, and what `self` wrote with a command below
/// `command`. A plain value; valid while the transaction's statement (at REPEATABLE READ: the transaction)
/// runs, or as long as a HeldSnapshot is there. Scans may use copies on several threads.
struct ReadView {
  std::uint64_t snapshot = 0;
  CommandId command = 0;
  TxnState* self = nullptr;  // nullptr: wrote nothing so far
  class Transaction* transaction = nullptr;
};

/// Keeps a statement's view valid beyond the statement's end, for a portal that goes on later. It ends before
/// its transaction is destroyed.
class HeldSnapshot {
 public:
  HeldSnapshot() = default;
  HeldSnapshot(HeldSnapshot&& other) noexcept : HeldSnapshot() { *this = std::move(other); }
  HeldSnapshot& operator=(HeldSnapshot&& other) noexcept;
  ~HeldSnapshot() { reset(); }
  void reset();
  explicit operator bool() const { return transaction_ != nullptr; }

 private:
  friend class Transaction;
  friend class ResumedStatement;
  class Transaction* transaction_ = nullptr;
  std::uint64_t snapshot_ = 0;
  CommandId command_ = 0;
};

struct Savepoint {
  std::size_t undo_records = 0;
  std::size_t log_bytes = 0;
  std::uint32_t log_events = 0;
  std::size_t fragments = 0;
  std::size_t locks = 0;
};

enum class CommitMode : std::uint8_t { kSync, kAsync };

/// Threads: one at a time, except note_seen() and view() copies. Destroying an unfinished transaction that
/// wrote is a bug; one that only read may just be dropped.
class Transaction {
 public:
  Transaction(TransactionSystem& system, Locker& locker, const TransactionOptions& options);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  [[nodiscard]] TransactionSystem& system() { return system_; }
  [[nodiscard]] Locker& locker() { return *locker_; }
  [[nodiscard]] Isolation isolation() const { return options_.isolation; }
  /// From the next statement on; locks stay. @pre no statement runs, nothing was written, no snapshot is
  /// held.
  void set_isolation(Isolation isolation) { options_.isolation = isolation; }
  /// None until the first write.
  [[nodiscard]] TransactionId id() const;
  /// Gives it an id now (txid_current()).
  TransactionId assign_id();
  [[nodiscard]] bool has_written() const;

  /// Begins a statement: a new command number, and at READ COMMITTED (or for the first statement) a new
  /// snapshot.
  void begin_statement();
  /// READ COMMITTED: gives the snapshot back, so that it holds up nothing while the session is idle.
  /// Optional.
  void end_statement();
  /// The view of the statement that runs, which then outlives it.
  [[nodiscard]] HeldSnapshot hold(const ReadView& view);
  /// Raises the command number inside a statement (constraint checks, triggers, each statement of a
  /// function).
  CommandId next_command() { return ++command_; }
  [[nodiscard]] CommandId command() const { return command_; }
  /// The view of the current command. @pre begin_statement() was called, and since then no end_statement().
  [[nodiscard]] ReadView view();
  /// Everything committed by now and all own changes (foreign-key checks); registered like the statement's
  /// snapshot until end_statement() or the transaction's end.
  [[nodiscard]] ReadView fresh_view();

  Outcome lock_table(Oid object, Oid database, TableLockMode mode, WaitPolicy policy = WaitPolicy::kWait);
  Outcome lock_advisory(LockKey key, AdvisoryMode mode, WaitPolicy policy);
  /// Gives up a wait for a lock; any thread. See Locker::cancel_wait.
  void cancel_wait() { locker_->cancel_wait(); }

  [[nodiscard]] Savepoint savepoint();
  /// Takes back everything since, newest first; locks too. Never fails: I/O errors end the process (58030).
  Task<> rollback_to(Savepoint savepoint);

  /// Ends it. kOk: durable (kAsync: at least ordered). kIoError: outcome unknown, the process is about to
  /// end. kNoSpace and kNoMemory: it was rolled back.
  Task<Outcome> commit(CommitMode mode = CommitMode::kSync);
  /// The same of one that only read and has nothing to wait for. False: it has not ended, commit() is needed.
  [[nodiscard]] bool try_commit(CommitMode mode = CommitMode::kSync);
  Task<> abort();
  [[nodiscard]] bool finished() const { return finished_; }
  /// For the end of the process and crash tests: lets go of everything without undo. The system must not be
  /// used for anything but destruction afterwards.
  void abandon();
  /// After a commit that wrote.
  [[nodiscard]] CommitTimestamp commit_timestamp() const { return commit_ts_; }
  [[nodiscard]] Lsn commit_lsn() const { return Lsn{commit_end_lsn_}; }

  /// I8: no byte of a result may leave before durable_lsn() >= hold_lsn(). Grows while the transaction reads.
  [[nodiscard]] Lsn hold_lsn() const { return Lsn{hold_lsn_.load(std::memory_order_acquire)}; }
  [[nodiscard]] CommitTimestamp max_seen() const {
    return CommitTimestamp{max_seen_ts_.load(std::memory_order_acquire)};
  }
  /// Called by reads for what they show; also by sequences. Any thread.
  void note_seen(std::uint64_t commit_ts, std::uint64_t end_lsn);
  /// The next statement depends on this commit: also a single read sees it, durable or not.
  void depend_on(CommitTimestamp ts, Lsn end) {
    options_.seen = std::max(options_.seen, ts);
    note_seen(ts.raw(), end.raw());
  }

  /// Runs after a commit, when it is ordered and before it is acknowledged; and after an abort. For caches of
  /// the layers above (catalog snapshots). In order of registration. A transaction that is prepared loses
  /// them: who needs them to run must not let it be prepared.
  void on_commit(std::move_only_function<void(CommitTimestamp)> action) {
    on_commit_.push_back(std::move(action));
  }
  void on_abort(std::move_only_function<void()> action) { on_abort_.push_back(std::move(action)); }

  /// A MESSAGE event for subscribers; part of the transaction.
  Outcome log_message(std::string_view prefix, ByteSpan body);

  // --- for txn/tables only ---
  [[nodiscard]] TxnState* state() { return state_.load(std::memory_order_acquire); }
  TxnState& writable_state();
  /// Before each write, outside the gate: admission, undo limit, fragments of the log buffer. kOk: go on.
  Outcome prepare_write();
  /// Before the event of a write, outside the gate: room for its body in a batch. kTooLarge: no batch can
  /// hold it.
  Outcome make_log_room(std::size_t body_bytes);
  [[nodiscard]] bool has_log_room(std::size_t body_bytes) const;
  /// Memory of the write that is under way, kept over kBlocked.
  WriteScratch& scratch();

 private:
  friend class TransactionSystem;
  friend struct SystemParts;
  friend class HeldSnapshot;
  friend class ResumedStatement;
  TxnState& make_state(std::uint64_t id);
  void make_undo_room();
  Task<> undo_to(std::size_t undo_records);
  Task<bool> undo_may_go_on(const storage::Status& status);
  Task<Outcome> commit_writes(CommitMode mode);
  /// The batch with the rest of its events, and room for it in the log.
  Task<Outcome> reserve_last_batch(log::BatchKind kind, log::BatchKind large, log::PreparedBatch* batch,
                                   log::Reservation* reservation);
  /// Gives the batch its place: from there on the transaction is committed. `gid`: of a prepared one, which
  /// is no longer that then; what is returned keeps it until its end.
  std::unique_ptr<Transaction> place_commit(log::PreparedBatch& batch, log::Reservation& reservation,
                                            const std::string* gid);
  Outcome flush_fragment();
  [[nodiscard]] std::uint64_t fragment_bytes() const;
  // Two-phase commit (two_phase.cc).
  Task<Outcome> write_prepare(const std::string& gid, Oid database, Lsn* end);
  void leave_session();
  void give_up_staged();
  void give_back_snapshot();
  void let_go(std::uint64_t held);
  void drop_snapshots();
  Task<> revert_layouts(std::size_t undo_records);
  Task<> wait_until_durable(std::uint64_t lsn, bool* durable);
  void finish();

  TransactionSystem& system_;
  Locker* locker_;  // the session's; of a prepared transaction: own_locker_
  TransactionOptions options_;
  std::atomic<TxnState*> state_{nullptr};      // made at the first write; the system owns it
  std::uint64_t snapshot_ = 0;                 // 0: none
  std::uint32_t snapshot_slot_ = 0;            // 0: none
  std::uint32_t held_slot_ = 0;                // 0: none, or snapshot_ is the only one held
  std::map<std::uint64_t, std::size_t> held_;  // snapshots held, how often; held_slot_ has the oldest
  std::uint32_t fresh_slot_ = 0;
  CommandId command_ = 0;
  TransactionId id_;
  bool finished_ = false;
  CommitTimestamp commit_ts_{};
  std::uint64_t commit_end_lsn_ = 0;
  std::atomic<std::uint64_t> hold_lsn_{0};
  std::atomic<std::uint64_t> max_seen_ts_{0};
  std::vector<std::move_only_function<void(CommitTimestamp)>> on_commit_;
  std::vector<std::move_only_function<void()>> on_abort_;
  std::unique_ptr<WriteScratch> scratch_;  // nullptr: the locker has it, or nobody
  void leave_scratch();                    // to the session's next transaction
  std::unique_ptr<Locker> own_locker_;
};

/// While it lives, the transaction reads and locks rows as the statement did whose snapshot was held: a
/// portal goes on. Without one nothing changes.
class ResumedStatement {
 public:
  explicit ResumedStatement(const HeldSnapshot& held);
  ~ResumedStatement();
  ResumedStatement(const ResumedStatement&) = delete;
  ResumedStatement& operator=(const ResumedStatement&) = delete;

 private:
  Transaction* transaction_;
  std::uint64_t snapshot_ = 0;  // of the statement that resumes it
  CommandId command_ = 0;
};

/// Awaits and repeats an attempt until it is not kBlocked: `co_await until_done([&] { return
/// table.insert(...); })`. `cancelled` (optional) is asked before each repetition; true ends it with the last
/// kBlocked outcome.
template <class Attempt>
Task<Outcome> until_done(Attempt attempt, std::move_only_function<bool()> cancelled = {}) {
  for (;;) {
    Outcome outcome = attempt();
    if (!outcome.blocked()) co_return outcome;
    co_await outcome.token;
    if (cancelled && cancelled()) co_return outcome;
  }
}
/// The same for threads that may block (start-up, tools, tests).
template <class Attempt>
Outcome until_done_blocking(Attempt attempt) {
  for (;;) {
    Outcome outcome = attempt();
    if (!outcome.blocked()) return outcome;
    outcome.token.wait_blocking();
  }
}

}  // namespace rustbd::txn
