// Locks: table locks (PostgreSQL's eight modes), row locks (four strengths) and advisory locks share one lock
// table, one kind of fair queue and one waits-for graph (storage.md §4.6).
//
// Nobody blocks a thread here: a request that must wait answers kBlocked with a token; the caller awaits it
// and repeats the same call. A request that would close a cycle of waits answers kDeadlock at once.
//
// Invariants: (1) a Locker waits for at most one lock; (2) the edges of the graph are those of the queues at
// any moment at which the graph mutex is free; (3) a granted waiter stands in the queue until it comes back
// or gives up, so nobody overtakes it; (4) lock-table latches are taken after every page and version latch,
// the graph mutex last.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rustbd/base/ids.h"
#include "rustbd/io/executor.h"
#include "rustbd/metrics/registry.h"
#include "rustbd/txn/outcome.h"

namespace rustbd::txn {

/// In PostgreSQL's order and with its conflicts.
enum class TableLockMode : std::uint8_t {
  kNone,
  kAccessShare,
  kRowShare,
  kRowExclusive,
  kShareUpdateExclusive,
  kShare,
  kShareRowExclusive,
  kExclusive,
  kAccessExclusive
};
enum class RowLockMode : std::uint8_t { kNone, kKeyShare, kShare, kNoKeyUpdate, kUpdate };
enum class AdvisoryMode : std::uint8_t { kNone, kShared, kExclusive };
enum class WaitPolicy : std::uint8_t {
  kWait,
  kNoWait
};  // SKIP LOCKED: kNoWait, then skip on kLockNotAvailable

bool conflicts(TableLockMode a, TableLockMode b);
bool conflicts(RowLockMode a, RowLockMode b);
/// "AccessShareLock", as pg_locks and deadlock details say it.
std::string_view to_text(TableLockMode mode);

enum class LockKind : std::uint8_t { kTable, kRow, kAdvisory };

/// What is locked. kTable: a = object oid, b = database oid; kRow: a = table id, b = row id; kAdvisory: a =
/// database oid and class (1: one bigint, 2: two ints), b = the key.
struct LockKey {
  LockKind kind = LockKind::kTable;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  bool operator==(const LockKey&) const = default;
  static LockKey table(Oid object, Oid database) { return {LockKind::kTable, object, database}; }
  static LockKey row(TableId table, RowId row) { return {LockKind::kRow, table.raw(), row.raw()}; }
  static LockKey advisory(Oid database, std::int64_t key, std::uint32_t key_class = 1) {
    return {LockKind::kAdvisory, (std::uint64_t{key_class} << 32) | database,
            static_cast<std::uint64_t>(key)};
  }
};

class LockTable;
struct TxnState;
struct WriteScratch;

/// Who holds and waits: one per session (or per internal transaction). Used by one thread at a time, except
/// that cancel() may come from any thread. Must hold nothing when destroyed (release_all does it).
class Locker {
 public:
  Locker(LockTable& table, std::int32_t process_id);
  ~Locker();
  Locker(const Locker&) = delete;
  Locker& operator=(const Locker&) = delete;
  [[nodiscard]] std::int32_t process_id() const { return process_id_; }
  /// Whoever had held a lock before this locker took it had committed at or before that, durably or not. By
  /// its own thread.
  [[nodiscard]] std::uint64_t after_ts() const { return after_ts_; }

  /// Zero: wait without limit. Applies to waits that begin later.
  void set_lock_timeout(std::chrono::microseconds limit) { lock_timeout_ = limit; }
  /// PostgreSQL's text of the cycle after kDeadlock (for Error::detail).
  [[nodiscard]] const std::string& deadlock_detail() const { return deadlock_detail_; }
  /// Gives up the present wait, if there is one: its token fires, its place in the queue goes. Any thread.
  /// The caller's next attempt would queue again, so whoever cancels a statement sets its cancel flag first.
  void cancel_wait();
  [[nodiscard]] bool waiting() const {
    return wait_state_.load(std::memory_order_acquire) == WaitState::kQueued;
  }
  /// For texts of deadlocks and pg_locks.
  void set_transaction_id(std::uint64_t id) { transaction_id_.store(id, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t transaction_id() const {
    return transaction_id_.load(std::memory_order_relaxed);
  }

 private:
  friend class LockTable;
  struct Held {
    LockKey key;
    std::uint8_t mode;
  };
  struct FastSlot {  // a weak table lock of the running transaction
    Oid object = 0;
    Oid database = 0;
    std::uint8_t modes = 0;  // bit per TableLockMode 1..3; 0: free
  };
  static constexpr std::size_t kFastSlots = 16;

  LockTable& table_;
  const std::int32_t process_id_;
  std::chrono::microseconds lock_timeout_{0};
  std::string deadlock_detail_;
  // Own thread only; in order of acquisition. Locks of the session are no part of any position().
  std::vector<Held> held_, session_held_;
  std::uint64_t after_ts_ = 0;
  std::mutex fast_mutex_;  // protects fast_
  std::array<FastSlot, kFastSlots> fast_;
  // The present wait: changed by the owner, or under the mutex of wait_key_'s shard.
  enum class WaitState : std::uint8_t { kNone, kQueued, kGranted, kCancelled, kTimedOut };
  std::atomic<WaitState> wait_state_{WaitState::kNone};
  LockKey wait_key_;                          // graph mutex, and the owner
  std::uint8_t wait_mode_ = 0;                // the same
  bool wait_counts_strong_ = false;           // the owner
  io::WaitToken wait_token_;                  // shard mutex
  std::atomic<std::uint64_t> wait_round_{0};  // shard mutex to write; tells a late timer from a present wait
  std::mutex cancel_mutex_;                   // protects wait_where_
  LockKey wait_where_;                        // copy of wait_key_ for cancel_wait()
  std::vector<Locker*> waits_for_;            // graph mutex
  std::uint64_t visited_ = 0;                 // graph mutex
  std::atomic<std::uint64_t> transaction_id_{0};  // for texts; 0: none yet
  std::uint64_t serial_ = 0;                      // lockers mutex at creation, then constant
  std::unique_ptr<WriteScratch> scratch_;         // buffers that the session's next transaction writes with
  friend class Transaction;
};

/// One row of pg_locks.
struct LockListEntry {
  LockKey key;
  std::uint8_t mode;  // of the kind's enum
  bool granted;
  bool fast_path;
  std::int32_t process_id;
  std::uint64_t transaction_id;
};

/// Threads: any. A Locker's calls come from one thread at a time.
class LockTable {
 public:
  /// `published`: the highest commit timestamp that is visible. A transaction raises it before it lets its
  /// locks go.
  LockTable(io::Executor* executor, metrics::Registry* metrics,
            const std::atomic<std::uint64_t>* published = nullptr);
  ~LockTable();

  /// Position to give back to release_to(): the number of locks of transaction scope.
  [[nodiscard]] std::size_t position(const Locker& who) const { return who.held_.size(); }

  Outcome lock_table(Locker& who, Oid object, Oid database, TableLockMode mode, WaitPolicy policy);
  /// Strongest mode that `who` holds on the object (for assertions and pg_locks).
  [[nodiscard]] TableLockMode held_table_mode(Locker& who, Oid object, Oid database);
  Outcome lock_advisory(Locker& who, LockKey key, AdvisoryMode mode, WaitPolicy policy, bool session_scope);
  /// False: it was not held (a warning in SQL). Session scope only.
  bool unlock_advisory(Locker& who, LockKey key, AdvisoryMode mode);
  void unlock_all_advisory(Locker& who);

  // --- rows, for `Table`. A writer is no holder: being the running owner of the chain's head is its lock.
  // ---
  /// Takes a row lock as holder, with the row's leaf latched. kLockNotAvailable: somebody stands against it.
  Status take_row(Locker& who, LockKey key, RowLockMode mode);
  /// Whether a holder or a reservation of another locker stands against that mode. With the row's leaf
  /// latched, so that no holder can be added meanwhile.
  [[nodiscard]] bool row_conflicts(const Locker& who, LockKey key, RowLockMode mode);
  /// Queues for the row, after all latches were given back. `running`: the transaction at the chain's head
  /// whose mode conflicts, or nullptr; the caller has an epoch pin. kBlocked, kDeadlock, kLockNotAvailable
  /// (also after a time-out). A token that has already fired means: try again.
  Outcome wait_row(Locker& who, LockKey key, RowLockMode mode, WaitPolicy policy, TxnState* running,
                   std::uint32_t rollbacks);
  /// Leaves the queue that it stands in, if any. If that is of the row `written`, `owner` is the transaction
  /// that is at the head of its chain now: those behind wait for its end.
  void end_wait(Locker& who, TxnState* owner = nullptr, LockKey written = {});
  /// Wakes who waits for rows that this transaction wrote. After commit_ts was stored, or the abort has
  /// undone all.
  void transaction_ended(TxnState& transaction);
  /// Likewise after a rollback to a savepoint, for the rows that have no change of it any more. From its own
  /// thread.
  void wake_row_waiters(TxnState& transaction, const std::function<bool(const LockKey&)>& still_written);

  /// Releases locks of transaction scope beyond `position` (savepoint) or all of them (0).
  void release_to(Locker& who, std::size_t position);
  void release_all(Locker& who);  // session end

  // --- prepared transactions ---
  struct HeldLock {
    LockKey key;
    std::uint8_t mode;  // of the kind's enum
  };
  /// Locks of transaction scope, in order of acquisition. From `who`'s thread.
  [[nodiscard]] std::vector<HeldLock> transaction_locks(const Locker& who) const;
  /// Whether `who` holds a lock both for its session and for its transaction.
  [[nodiscard]] bool mixes_scopes(const Locker& who) const;
  /// The locks of transaction scope go from one locker to another that holds nothing; who waits for them or
  /// for rows that `writer` wrote waits for `to` then. From the thread of both lockers.
  void hand_over(Locker& from, Locker& to, TxnState& writer);
  /// Takes such a lock for a transaction that recovery makes anew. False: it is not free.
  bool take_again(Locker& who, const HeldLock& lock);

  std::vector<LockListEntry> list();
  /// Process ids that the given one waits for (pg_blocking_pids).
  std::vector<std::int32_t> blockers_of(std::int32_t process_id);

 private:
  friend class Locker;
  struct KeyHash {
    std::size_t operator()(const LockKey& k) const noexcept;
  };
  struct Holder {
    Locker* who;
    std::uint8_t mode;
    std::uint32_t count;
  };
  struct Waiter {
    Locker* who;
    std::uint8_t mode;
    bool granted;         // right of way: the place is reserved until it comes back
    bool becomes_holder;  // false for rows: the reservation is used up under the row's leaf latch
    TxnState* running;    // implied holder that it waits for; nullptr once that has ended
    Locker* running_locker;
  };
  struct Queue {
    std::vector<Holder> holders;
    std::deque<Waiter> waiters;
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<LockKey, Queue, KeyHash> queues;
    std::atomic<std::uint32_t> row_queues{0};
  };
  struct TimerGate {
    std::mutex mutex;
    LockTable* table;
  };
  static constexpr std::size_t kShards = 64;
  static constexpr std::size_t kStrongCounters = 1024;

  Shard& shard_of(const LockKey& key) { return shards_[KeyHash{}(key) % kShards]; }
  std::atomic<std::uint32_t>& strong(Oid object) { return strong_[object % kStrongCounters]; }
  Queue& queue_of(Shard& shard, const LockKey& key);
  Outcome acquire(Locker& who, LockKey key, std::uint8_t mode, WaitPolicy policy, bool session_scope);
  std::optional<Outcome> resume_wait(Shard& shard, Locker& who, LockKey key, std::uint8_t mode);
  bool may_take(const Queue& queue, const Locker& who, LockKind kind, std::uint8_t mode) const;
  Outcome enqueue(Shard& shard, Queue& queue, LockKey key, Waiter waiter);
  void grant_waiters(Queue& queue, LockKind kind);
  void refresh_edges(Queue& queue, LockKind kind);
  bool find_cycle(Locker& start, std::string* detail);
  /// `round`: of the wait that is meant.
  void leave_queue(Shard& shard, LockKey key, Locker& who, Locker::WaitState state, TxnState* owner,
                   std::optional<std::uint64_t> round = {});
  void drop_if_empty(Shard& shard, const LockKey& key);
  void release_one(Locker& who, const Locker::Held& held);
  bool take_fast(Locker& who, Oid object, Oid database, TableLockMode mode, bool* already);
  bool release_fast(Locker& who, const Locker::Held& held);
  void move_fast_locks(Oid object, Oid database);
  void start_timer(Locker& who);
  void timed_out(std::uint64_t serial, std::uint64_t round);
  static std::string describe(const Locker& who, const Locker& blocker);
  /// A lock was taken, with its shard's mutex: what its last holder committed is published by now.
  void note_published(Locker& who) const {
    if (published_ != nullptr) who.after_ts_ = published_->load(std::memory_order_acquire);
  }

  io::Executor* executor_;
  const std::atomic<std::uint64_t>* const published_;
  metrics::Counter* deadlocks_ = nullptr;
  std::array<Shard, kShards> shards_;
  std::mutex graph_mutex_;  // protects all waits_for_, visited_, visit_round_
  std::uint64_t visit_round_ = 0;
  std::mutex lockers_mutex_;  // protects lockers_, serials_; taken before any shard's mutex
  std::vector<Locker*> lockers_;
  std::uint64_t serials_ = 0;
  std::shared_ptr<TimerGate> timer_gate_;
  // Per hash of the object: how many strong requests or holders exist; while not 0 weak requests use the
  // table.
  std::array<std::atomic<std::uint32_t>, kStrongCounters> strong_{};
};

}  // namespace rustbd::txn
