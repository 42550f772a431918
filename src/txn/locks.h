// Locks: table locks (PostgreSQL's eight modes), row locks (four strengths) and advisory locks share one lock table,
// one kind of fair queue and one waits-for graph (storage.md §4.6).
//
// Nobody blocks a thread here: a request that must wait answers kBlocked with a token; the caller awaits it and repeats
// the same call. A request that would close a cycle of waits answers kDeadlock at once.
//
// Invariants: (1) a Locker waits for at most one lock; (2) the edges of the graph are those of the queues at any moment
// at which the graph mutex is free; (3) a granted waiter stands in the queue until it comes back or gives up, so nobody
// overtakes it; (4) lock-table latches are taken after every page and version latch, the graph mutex last.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "rustbd/base/ids.h"
#include "rustbd/io/executor.h"
#include "rustbd/metrics/registry.h"
#include "rustbd/txn/outcome.h"

namespace rustbd::txn {

/// In PostgreSQL's order and with its conflicts.
enum class TableLockMode : std::uint8_t {
  kNone, kAccessShare, kRowShare, kRowExclusive, kShareUpdateExclusive, kShare, kShareRowExclusive, kExclusive,
  kAccessExclusive
};
enum class RowLockMode : std::uint8_t { kNone, kKeyShare, kShare, kNoKeyUpdate, kUpdate };
enum class AdvisoryMode : std::uint8_t { kNone, kShared, kExclusive };
enum class WaitPolicy : std::uint8_t { kWait, kNoWait };  // SKIP LOCKED: kNoWait, then skip on kLockNotAvailable

bool conflicts(TableLockMode a, TableLockMode b);
bool conflicts(RowLockMode a, RowLockMode b);
/// "AccessShareLock", as pg_locks and deadlock details say it.
std::string_view to_text(TableLockMode mode);

enum class LockKind : std::uint8_t { kTable, kRow, kAdvisory };

/// What is locked. kTable: a = object oid, b = database oid; kRow: a = table id, b = row id; kAdvisory: a = database
/// oid and class (1: one bigint, 2: two ints), b = the key.
struct LockKey {
  LockKind kind = LockKind::kTable;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  bool operator==(const LockKey&) const = default;
  static LockKey table(Oid object, Oid database) { return {LockKind::kTable, object, database}; }
  static LockKey row(TableId table, RowId row) { return {LockKind::kRow, table.raw(), row.raw()}; }
  static LockKey advisory(Oid database, std::int64_t key, std::uint32_t key_class = 1) {
    return {LockKind::kAdvisory, (std::uint64_t{key_class} << 32) | database, static_cast<std::uint64_t>(key)};
  }
};

class LockTable;
struct TxnState;

/// Who holds and waits: one per session (or per internal transaction). Used by one thread at a time, except that
/// cancel() may come from any thread. Must hold nothing when destroyed (release_all does it).
class Locker {
 public:
  Locker(LockTable& table, std::int32_t process_id);
  ~Locker();
  Locker(const Locker&) = delete;
  Locker& operator=(const Locker&) = delete;
  [[nodiscard]] std::int32_t process_id() const { return process_id_; }

  /// Zero: wait without limit. Applies to waits that begin later.
  void set_lock_timeout(std::chrono::microseconds limit) { lock_timeout_ = limit; }
  /// PostgreSQL's text of the cycle after kDeadlock (for Error::detail).
  [[nodiscard]] const std::string& deadlock_detail() const { return deadlock_detail_; }
  /// Gives up the present wait, if there is one: its token fires, its place in the queue goes. Any thread. The caller's
  /// next attempt would queue again, so whoever cancels a statement sets its cancel flag first.
  void cancel_wait();
  [[nodiscard]] bool waiting() const { return waiting_.load(std::memory_order_acquire); }

 private:
  friend class LockTable;
  struct Held {
    LockKey key;
    std::uint8_t mode;
    bool session_scope;
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
  std::vector<Held> held_;                       // own thread only; in order of acquisition
  std::mutex fast_mutex_;                        // protects fast_
  std::array<FastSlot, kFastSlots> fast_;
  // The present wait. Changed under the shard's mutex of wait_key_; read by the owner.
  std::atomic<bool> waiting_{false};
  LockKey wait_key_;
  std::uint8_t wait_mode_ = 0;
  enum class WaitState : std::uint8_t { kNone, kQueued, kGranted, kCancelled, kTimedOut };
  std::atomic<WaitState> wait_state_{WaitState::kNone};
  io::WaitToken wait_token_;
  std::vector<Locker*> waits_for_;               // protected by the graph mutex
  std::atomic<std::uint64_t> transaction_id_{0}; // for texts; 0: none yet
  std::uint64_t visited_ = 0;                    // graph mutex
  std::uint64_t timer_round_ = 0;                // which wait a timer belongs to; shard mutex
  friend class Transaction;
};

/// One row of pg_locks.
struct LockListEntry {
  LockKey key;
  std::uint8_t mode;          // of the kind's enum
  bool granted;
  bool fast_path;
  std::int32_t process_id;
  std::uint64_t transaction_id;
};

/// Threads: any. A Locker's calls come from one thread at a time.
class LockTable {
 public:
  LockTable(io::Executor* executor, metrics::Registry* metrics);
  ~LockTable();

  /// Position to give back to release_to(): the number of locks held.
  [[nodiscard]] std::size_t position(const Locker& who) const { return who.held_.size(); }

  Outcome lock_table(Locker& who, Oid object, Oid database, TableLockMode mode, WaitPolicy policy);
  /// Strongest mode that `who` holds on the object (for assertions and pg_locks).
  [[nodiscard]] TableLockMode held_table_mode(Locker& who, Oid object, Oid database);
  Outcome lock_advisory(Locker& who, LockKey key, AdvisoryMode mode, WaitPolicy policy, bool session_scope);
  /// False: it was not held (a warning in SQL). Session scope only.
  bool unlock_advisory(Locker& who, LockKey key, AdvisoryMode mode);
  void unlock_all_advisory(Locker& who);

  /// For `Table`. Takes a row lock as holder. Called with the row's leaf latched shared: never blocks a thread.
  /// `running` is the other transaction at the head of the row's chain whose implied mode conflicts, or nullptr.
  Outcome lock_row(Locker& who, LockKey key, RowLockMode mode, WaitPolicy policy);
  /// Cheap test whether some other locker's holder or reservation stands against a write of that strength.
  [[nodiscard]] bool row_conflicts(const Locker& who, LockKey key, RowLockMode mode);
  /// Queues for the row (after latches were given back). `running` (may be nullptr): the transaction at the chain's head;
  /// the caller has an epoch pin. kBlocked, kDeadlock or kLockNotAvailable; a token already fired means: try again.
  Outcome wait_row(Locker& who, LockKey key, RowLockMode mode, WaitPolicy policy, TxnState* running);
  /// The write has happened or was given up: leaves the queue of the row.
  void end_row_wait(Locker& who);

  /// Wakes who waits for rows that this transaction wrote. After commit_ts was stored or the abort has undone all.
  void transaction_ended(TxnState& transaction);
  /// Releases locks of transaction scope beyond `position` (savepoint) or all of them (0).
  void release_to(Locker& who, std::size_t position);
  void release_all(Locker& who);  // session end

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
    bool granted;        // right of way: the place is reserved until it comes back
    bool becomes_holder; // table, advisory and row locks; false for a writer, whose undo record is its lock
    TxnState* running;   // implied holder that it waits for; nullptr once that has ended
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
  static constexpr std::size_t kShards = 64;

  Shard& shard_of(const LockKey& key) { return shards_[KeyHash{}(key) % kShards]; }
  Outcome acquire(Locker& who, LockKey key, std::uint8_t mode, WaitPolicy policy, bool session_scope);
  bool may_take(const Queue& queue, const Locker& who, LockKind kind, std::uint8_t mode, bool holds_some,
                const Waiter* up_to) const;
  Outcome enqueue(Shard& shard, Queue& queue, Locker& who, LockKey key, std::uint8_t mode, bool becomes_holder,
                  TxnState* running, std::unique_lock<std::mutex>& lock);
  void grant_waiters(Queue& queue, LockKind kind);
  void refresh_edges(Queue& queue, LockKind kind);
  bool find_cycle(Locker& start);
  void remove_waiter(Shard& shard, LockKey key, Locker& who);
  void drop_if_empty(Shard& shard, LockKey key);
  void release_one(Locker& who, const Locker::Held& held);
  void start_timer(Locker& who, LockKey key);
  bool move_fast_locks(Oid object, Oid database);
  std::string describe_wait(const Locker& who, const Locker& blocker) const;
  void add_locker(Locker* who);
  void remove_locker(Locker* who);

  io::Executor* executor_;
  metrics::Counter* deadlocks_ = nullptr;
  std::array<Shard, kShards> shards_;
  std::mutex graph_mutex_;                 // protects all waits_for_, visited_, visit_round_
  std::uint64_t visit_round_ = 0;
  std::mutex lockers_mutex_;               // protects lockers_
  std::vector<Locker*> lockers_;
  // Per hash of the object: how many strong requests or holders exist; while not 0 weak requests use the table.
  std::array<std::atomic<std::uint32_t>, 1024> strong_{};
};

}  // namespace rustbd::txn
