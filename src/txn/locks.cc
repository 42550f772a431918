#include "rustbd/txn/locks.h"

#include <fmt/format.h>

#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/base/hash.h"
#include "rustbd/txn/tables/row_writer.h"
#include "rustbd/txn/txn_state.h"

namespace rustbd::txn {
namespace {

// Bit m of row n: mode n conflicts with mode m (PostgreSQL manual, table 13.2).
constexpr std::uint16_t bits(std::initializer_list<TableLockMode> modes) {
  std::uint16_t set = 0;
  for (const auto m : modes) set = static_cast<std::uint16_t>(set | (1u << static_cast<unsigned>(m)));
  return set;
}
using enum TableLockMode;
constexpr std::uint16_t kTableConflicts[9] = {
    0,
    bits({kAccessExclusive}),
    bits({kExclusive, kAccessExclusive}),
    bits({kShare, kShareRowExclusive, kExclusive, kAccessExclusive}),
    bits({kShareUpdateExclusive, kShare, kShareRowExclusive, kExclusive, kAccessExclusive}),
    bits({kRowExclusive, kShareUpdateExclusive, kShareRowExclusive, kExclusive, kAccessExclusive}),
    bits({kRowExclusive, kShareUpdateExclusive, kShare, kShareRowExclusive, kExclusive, kAccessExclusive}),
    bits({kRowShare, kRowExclusive, kShareUpdateExclusive, kShare, kShareRowExclusive, kExclusive,
          kAccessExclusive}),
    bits({kAccessShare, kRowShare, kRowExclusive, kShareUpdateExclusive, kShare, kShareRowExclusive,
          kExclusive, kAccessExclusive}),
};
constexpr std::uint8_t kRowConflicts[5] = {0, 0b10000, 0b11000, 0b11100, 0b11110};

bool modes_conflict(LockKind kind, std::uint8_t a, std::uint8_t b) {
  switch (kind) {
    case LockKind::kTable: return (kTableConflicts[a] >> b & 1) != 0;
    case LockKind::kRow: return (kRowConflicts[a] >> b & 1) != 0;
    case LockKind::kAdvisory: return a == 2 || b == 2;
  }
  return true;
}

constexpr std::uint8_t kWeakMax = 3;    // AccessShare, RowShare, RowExclusive never conflict with each other
constexpr std::uint8_t kStrongMin = 5;  // these conflict with some weak mode

}  // namespace

bool conflicts(TableLockMode a, TableLockMode b) {
  return modes_conflict(LockKind::kTable, static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(b));
}
bool conflicts(RowLockMode a, RowLockMode b) {
  return modes_conflict(LockKind::kRow, static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(b));
}

std::string_view to_text(TableLockMode mode) {
  static constexpr std::string_view kNames[] = {
      "NoLock",    "AccessShareLock",       "RowShareLock",  "RowExclusiveLock",   "ShareUpdateExclusiveLock",
      "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"};
  return kNames[static_cast<std::size_t>(mode)];
}

std::size_t LockTable::KeyHash::operator()(const LockKey& k) const noexcept {
  return static_cast<std::size_t>(hash_combine(hash_u64(k.a * 4 + static_cast<std::uint64_t>(k.kind)), k.b));
}

Locker::Locker(LockTable& table, std::int32_t process_id) : table_(table), process_id_(process_id) {
  std::lock_guard lock(table_.lockers_mutex_);
  serial_ = ++table_.serials_;
  table_.lockers_.push_back(this);
}

Locker::~Locker() {
  table_.release_all(*this);
  std::lock_guard lock(table_.lockers_mutex_);
  std::erase(table_.lockers_, this);
}

void Locker::cancel_wait() {
  LockKey key;
  {
    std::lock_guard lock(cancel_mutex_);
    key = wait_where_;
  }
  if (wait_state_.load(std::memory_order_acquire) != WaitState::kQueued) return;
  table_.leave_queue(table_.shard_of(key), key, *this, WaitState::kCancelled, nullptr);
}

LockTable::LockTable(io::Executor* executor, metrics::Registry* metrics,
                     const std::atomic<std::uint64_t>* published)
    : executor_(executor), published_(published), timer_gate_(std::make_shared<TimerGate>()) {
  timer_gate_->table = this;
  if (metrics != nullptr)
    deadlocks_ = &metrics->counter("rustbd_deadlocks_total", "Transactions ended by 40P01");
}

LockTable::~LockTable() {
  std::lock_guard lock(timer_gate_->mutex);
  timer_gate_->table = nullptr;
}

LockTable::Queue& LockTable::queue_of(Shard& shard, const LockKey& key) {
  const auto [at, made] = shard.queues.try_emplace(key);
  if (made && key.kind == LockKind::kRow) shard.row_queues.fetch_add(1, std::memory_order_release);
  return at->second;
}

void LockTable::drop_if_empty(Shard& shard, const LockKey& key) {
  const auto at = shard.queues.find(key);
  if (at == shard.queues.end() || !at->second.holders.empty() || !at->second.waiters.empty()) return;
  shard.queues.erase(at);
  if (key.kind == LockKind::kRow) shard.row_queues.fetch_sub(1, std::memory_order_release);
}

bool LockTable::may_take(const Queue& queue, const Locker& who, LockKind kind, std::uint8_t mode) const {
  bool holds_some = false;
  for (const Holder& h : queue.holders) {
    if (h.who == &who) holds_some = true;
    else if (modes_conflict(kind, h.mode, mode)) return false;
  }
  for (const Waiter& w : queue.waiters) {
    if (w.who == &who) {
      if (w.granted) return true;  // whoever stands behind came later
      continue;
    }
    // Who holds already must not queue behind those that wait for it.
    if (modes_conflict(kind, w.mode, mode) && (w.granted || !holds_some)) return false;
  }
  return true;
}

/// The outcome of a wait that `who` comes back from; nullopt: it did not wait for this, or may try again.
std::optional<Outcome> LockTable::resume_wait(Shard& shard, Locker& who, LockKey key, std::uint8_t mode) {
  using State = Locker::WaitState;
  const State state = who.wait_state_.load(std::memory_order_acquire);
  if (state == State::kNone) return std::nullopt;
  if (!(who.wait_key_ == key) || who.wait_mode_ != mode) {
    end_wait(who);
    return std::nullopt;
  }
  std::lock_guard lock(shard.mutex);
  switch (who.wait_state_.load(std::memory_order_acquire)) {
    case State::kQueued: return Outcome::blocked_on(who.wait_token_);
    case State::kTimedOut:
      who.wait_state_.store(State::kNone, std::memory_order_release);
      return Outcome{Status::kLockNotAvailable};
    case State::kCancelled:
      who.wait_state_.store(State::kNone, std::memory_order_release);
      return std::nullopt;
    default: return std::nullopt;
  }
}

Outcome LockTable::acquire(Locker& who, LockKey key, std::uint8_t mode, WaitPolicy policy,
                           bool session_scope) {
  Shard& shard = shard_of(key);
  if (auto outcome = resume_wait(shard, who, key, mode)) return std::move(*outcome);
  std::lock_guard lock(shard.mutex);
  Queue& queue = queue_of(shard, key);
  if (who.wait_state_.load(std::memory_order_relaxed) == Locker::WaitState::kGranted) {
    // The grant made it a holder.
    std::erase_if(queue.waiters, [&](const Waiter& w) { return w.who == &who; });
    who.wait_state_.store(Locker::WaitState::kNone, std::memory_order_release);
    (session_scope ? who.session_held_ : who.held_).push_back({key, mode});
    note_published(who);
    return {};
  }
  Holder* own = nullptr;
  for (Holder& h : queue.holders)
    if (h.who == &who && h.mode == mode) own = &h;
  if (own != nullptr && key.kind == LockKind::kTable) return {};  // transaction scope: once is enough
  if (own != nullptr || may_take(queue, who, key.kind, mode)) {
    if (own != nullptr) ++own->count;
    else queue.holders.push_back({&who, mode, 1});
    if (!queue.waiters.empty()) refresh_edges(queue, key.kind);
    (session_scope ? who.session_held_ : who.held_).push_back({key, mode});
    note_published(who);
    return {};
  }
  if (policy == WaitPolicy::kNoWait) {
    drop_if_empty(shard, key);
    return {Status::kLockNotAvailable};
  }
  return enqueue(shard, queue, key, {&who, mode, false, true, nullptr, nullptr});
}

/// With the shard's mutex. kBlocked, or kDeadlock if the wait would close a cycle.
Outcome LockTable::enqueue(Shard& shard, Queue& queue, LockKey key, Waiter waiter) {
  Locker& who = *waiter.who;
  // A holder's request for more goes before those that wait for it; the rest is first come, first served.
  const bool holds =
      std::any_of(queue.holders.begin(), queue.holders.end(), [&](const Holder& h) { return h.who == &who; });
  auto at = queue.waiters.end();
  if (holds) {
    at = std::find_if(queue.waiters.begin(), queue.waiters.end(), [](const Waiter& w) { return !w.granted; });
  }
  queue.waiters.insert(at, waiter);
  {
    std::lock_guard graph(graph_mutex_);
    who.wait_key_ = key;
    who.wait_mode_ = waiter.mode;
  }
  {
    std::lock_guard cancel(who.cancel_mutex_);
    who.wait_where_ = key;
  }
  who.wait_token_ =
      io::WaitToken::make(key.kind == LockKind::kRow ? io::WaitReason::kRowLock : io::WaitReason::kTableLock);
  ++who.wait_round_;
  who.wait_state_.store(Locker::WaitState::kQueued, std::memory_order_release);
  refresh_edges(queue, key.kind);
  std::string detail;
  if (find_cycle(who, &detail)) {
    who.deadlock_detail_ = std::move(detail);
    std::erase_if(queue.waiters, [&](const Waiter& w) { return w.who == &who; });
    who.wait_state_.store(Locker::WaitState::kNone, std::memory_order_release);
    {
      std::lock_guard graph(graph_mutex_);
      who.waits_for_.clear();
    }
    grant_waiters(queue, key.kind);
    refresh_edges(queue, key.kind);
    drop_if_empty(shard, key);
    if (deadlocks_ != nullptr) deadlocks_->inc();
    return {Status::kDeadlock};
  }
  if (who.lock_timeout_.count() > 0) start_timer(who);
  return Outcome::blocked_on(who.wait_token_);
}

/// With the shard's mutex: lets waiters in, first come first served, each as far as it is compatible with all
/// before it.
void LockTable::grant_waiters(Queue& queue, LockKind kind) {
  for (std::size_t i = 0; i < queue.waiters.size(); ++i) {
    Waiter& w = queue.waiters[i];
    if (w.granted || w.running != nullptr) continue;
    const auto against = [&](std::uint8_t mode, const Locker* other) {
      return other != w.who && modes_conflict(kind, mode, w.mode);
    };
    bool free = std::none_of(queue.holders.begin(), queue.holders.end(),
                             [&](const Holder& h) { return against(h.mode, h.who); });
    for (std::size_t j = 0; free && j < queue.waiters.size(); ++j) {
      const Waiter& other = queue.waiters[j];
      if ((j < i || other.granted) && against(other.mode, other.who)) free = false;
    }
    if (!free) continue;
    w.granted = true;
    if (w.becomes_holder) queue.holders.push_back({w.who, w.mode, 1});
    {
      std::lock_guard graph(graph_mutex_);
      w.who->waits_for_.clear();
    }
    w.who->wait_state_.store(Locker::WaitState::kGranted, std::memory_order_release);
    w.who->wait_token_.fire();
  }
}

/// With the shard's mutex: makes the waiters' edges those of the queue.
void LockTable::refresh_edges(Queue& queue, LockKind kind) {
  std::lock_guard graph(graph_mutex_);
  for (std::size_t i = 0; i < queue.waiters.size(); ++i) {
    const Waiter& w = queue.waiters[i];
    if (w.granted) continue;
    auto& edges = w.who->waits_for_;
    edges.clear();
    const auto add = [&](Locker* other) {
      if (other != nullptr && other != w.who && std::find(edges.begin(), edges.end(), other) == edges.end()) {
        edges.push_back(other);
      }
    };
    if (w.running != nullptr) add(w.running_locker);
    for (const Holder& h : queue.holders)
      if (modes_conflict(kind, h.mode, w.mode)) add(h.who);
    for (std::size_t j = 0; j < queue.waiters.size(); ++j) {
      const Waiter& other = queue.waiters[j];
      if ((j < i || other.granted) && modes_conflict(kind, other.mode, w.mode)) add(other.who);
    }
  }
}

std::string LockTable::describe(const Locker& who, const Locker& blocker) {
  const LockKey& k = who.wait_key_;
  std::string what;
  switch (k.kind) {
    case LockKind::kTable:
      what = fmt::format("{} on relation {} of database {}",
                         to_text(static_cast<TableLockMode>(who.wait_mode_)), k.a, k.b);
      break;
    case LockKind::kRow: what = fmt::format("ShareLock on transaction {}", blocker.transaction_id()); break;
    case LockKind::kAdvisory:
      what = fmt::format("{} on advisory lock [{},{},{},{}]",
                         who.wait_mode_ == 2 ? "ExclusiveLock" : "ShareLock", k.a & 0xFFFFFFFFu, k.b >> 32,
                         k.b & 0xFFFFFFFFu, k.a >> 32);
      break;
  }
  return fmt::format("Process {} waits for {}; blocked by process {}.", who.process_id(), what,
                     blocker.process_id());
}

/// Depth-first search over waits_for_ from `start`.
bool LockTable::find_cycle(Locker& start, std::string* detail) {
  std::lock_guard graph(graph_mutex_);
  const std::uint64_t round = ++visit_round_;
  struct Step {
    Locker* who;
    std::size_t next;
  };
  std::vector<Step> path{{&start, 0}};
  start.visited_ = round;
  while (!path.empty()) {
    Step& top = path.back();
    if (top.next == top.who->waits_for_.size()) {
      path.pop_back();
      continue;
    }
    Locker* to = top.who->waits_for_[top.next++];
    if (to == &start) {
      for (std::size_t i = 0; i < path.size(); ++i) {
        const Locker& blocker = i + 1 < path.size() ? *path[i + 1].who : start;
        if (i != 0) *detail += '\n';
        *detail += describe(*path[i].who, blocker);
      }
      return true;
    }
    if (to->visited_ == round) continue;
    to->visited_ = round;
    path.push_back({to, 0});
  }
  return false;
}

void LockTable::leave_queue(Shard& shard, LockKey key, Locker& who, Locker::WaitState state, TxnState* owner,
                            std::optional<std::uint64_t> round) {
  std::lock_guard lock(shard.mutex);
  const auto found = shard.queues.find(key);
  const auto present = who.wait_state_.load(std::memory_order_acquire);
  // A time-out or a cancellation that comes too late changes nothing: the session may wait elsewhere by now,
  // or here again.
  const bool late = present != Locker::WaitState::kQueued || found == shard.queues.end() ||
                    (round && who.wait_round_ != *round);
  if (state != Locker::WaitState::kNone && late) return;
  if (found == shard.queues.end()) {
    who.wait_state_.store(state, std::memory_order_release);
    return;
  }
  Queue& queue = found->second;
  const auto mine = std::find_if(queue.waiters.begin(), queue.waiters.end(),
                                 [&](const Waiter& w) { return w.who == &who; });
  if (mine == queue.waiters.end()) {
    if (state == Locker::WaitState::kNone) who.wait_state_.store(state, std::memory_order_release);
    return;
  }
  if (mine->granted && mine->becomes_holder) {  // granted, but nobody wants it any more
    const auto mode = mine->mode;
    std::erase_if(queue.holders,
                  [&](Holder& h) { return h.who == &who && h.mode == mode && --h.count == 0; });
  }
  queue.waiters.erase(mine);
  {
    std::lock_guard graph(graph_mutex_);
    who.waits_for_.clear();
  }
  who.wait_state_.store(state, std::memory_order_release);
  if (state != Locker::WaitState::kNone) who.wait_token_.fire();
  if (owner != nullptr && !queue.waiters.empty()) {
    // The writer is the row's lock now: those behind it wait for its end.
    std::lock_guard ended(owner->wait_mutex);
    if (!owner->ended) {
      owner->waited_rows.push_back(key);
      for (Waiter& w : queue.waiters) {
        if (w.granted) continue;
        w.running = owner;
        w.running_locker = owner->locker.load(std::memory_order_acquire);
      }
    }
  }
  grant_waiters(queue, key.kind);
  refresh_edges(queue, key.kind);
  drop_if_empty(shard, key);
}

void LockTable::end_wait(Locker& who, TxnState* owner, LockKey written) {
  if (who.wait_state_.load(std::memory_order_acquire) == Locker::WaitState::kNone) return;
  const LockKey key = who.wait_key_;
  leave_queue(shard_of(key), key, who, Locker::WaitState::kNone, written == key ? owner : nullptr);
  if (who.wait_counts_strong_) {
    who.wait_counts_strong_ = false;
    strong(static_cast<Oid>(key.a)).fetch_sub(1, std::memory_order_seq_cst);
  }
}

// --- Table locks ---

bool LockTable::take_fast(Locker& who, Oid object, Oid database, TableLockMode mode, bool* already) {
  std::lock_guard lock(who.fast_mutex_);
  if (strong(object).load(std::memory_order_seq_cst) != 0) return false;
  Locker::FastSlot* free = nullptr;
  for (auto& slot : who.fast_) {
    if (slot.modes != 0 && slot.object == object && slot.database == database) {
      free = &slot;
      break;
    }
    if (slot.modes == 0 && free == nullptr) free = &slot;
  }
  if (free == nullptr) return false;
  const auto bit = static_cast<std::uint8_t>(1u << static_cast<unsigned>(mode));
  if (free->modes == 0) *free = {object, database, 0};
  *already = (free->modes & bit) != 0;
  free->modes |= bit;
  return true;
}

void LockTable::move_fast_locks(Oid object, Oid database) {
  const LockKey key = LockKey::table(object, database);
  std::lock_guard all(lockers_mutex_);
  for (Locker* who : lockers_) {
    std::lock_guard lock(who->fast_mutex_);
    for (auto& slot : who->fast_) {
      if (slot.modes == 0 || slot.object != object || slot.database != database) continue;
      Shard& shard = shard_of(key);
      std::lock_guard shard_lock(shard.mutex);
      Queue& queue = queue_of(shard, key);
      for (std::uint8_t mode = 1; mode <= kWeakMax; ++mode)
        if ((slot.modes >> mode & 1) != 0) queue.holders.push_back({who, mode, 1});
      slot.modes = 0;
    }
  }
}

bool LockTable::release_fast(Locker& who, const Locker::Held& held) {
  std::lock_guard lock(who.fast_mutex_);
  const auto bit = static_cast<std::uint8_t>(1u << held.mode);
  for (auto& slot : who.fast_) {
    if ((slot.modes & bit) == 0 || slot.object != held.key.a || slot.database != held.key.b) continue;
    slot.modes = static_cast<std::uint8_t>(slot.modes & ~bit);
    return true;
  }
  return false;
}

Outcome LockTable::lock_table(Locker& who, Oid object, Oid database, TableLockMode mode, WaitPolicy policy) {
  const LockKey key = LockKey::table(object, database);
  const auto raw = static_cast<std::uint8_t>(mode);
  if (raw <= kWeakMax) {
    bool already = false;
    if (who.wait_state_.load(std::memory_order_relaxed) == Locker::WaitState::kNone &&
        take_fast(who, object, database, mode, &already)) {
      if (!already) who.held_.push_back({key, raw});
      return {};
    }
    return acquire(who, key, raw, policy, false);
  }
  if (raw < kStrongMin) return acquire(who, key, raw, policy, false);
  const bool resumes = who.wait_counts_strong_ && who.wait_key_ == key && who.wait_mode_ == raw;
  if (!resumes) {
    end_wait(who);
    strong(object).fetch_add(1, std::memory_order_seq_cst);
    move_fast_locks(object, database);
  }
  const std::size_t held = who.held_.size();
  Outcome outcome = acquire(who, key, raw, policy, false);
  who.wait_counts_strong_ = outcome.blocked();
  // The count stays with a lock newly held or a wait; else it goes.
  if (!outcome.blocked() && who.held_.size() == held) strong(object).fetch_sub(1, std::memory_order_seq_cst);
  return outcome;
}

TableLockMode LockTable::held_table_mode(Locker& who, Oid object, Oid database) {
  std::uint8_t best = 0;
  for (const auto& h : who.held_) {
    if (h.key.kind == LockKind::kTable && h.key.a == object && h.key.b == database)
      best = std::max(best, h.mode);
  }
  return static_cast<TableLockMode>(best);
}

// --- Advisory locks ---

Outcome LockTable::lock_advisory(Locker& who, LockKey key, AdvisoryMode mode, WaitPolicy policy,
                                 bool session_scope) {
  return acquire(who, key, static_cast<std::uint8_t>(mode), policy, session_scope);
}

bool LockTable::unlock_advisory(Locker& who, LockKey key, AdvisoryMode mode) {
  auto& locks = who.session_held_;
  const auto at = std::find_if(locks.rbegin(), locks.rend(), [&](const Locker::Held& held) {
    return held.key == key && held.mode == static_cast<std::uint8_t>(mode);
  });
  if (at == locks.rend()) return false;
  const Locker::Held held = *at;
  locks.erase(std::next(at).base());
  release_one(who, held);
  return true;
}

void LockTable::unlock_all_advisory(Locker& who) {
  for (; !who.session_held_.empty(); who.session_held_.pop_back()) release_one(who, who.session_held_.back());
}

// --- Rows ---

Status LockTable::take_row(Locker& who, LockKey key, RowLockMode mode) {
  const auto raw = static_cast<std::uint8_t>(mode);
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  Queue& queue = queue_of(shard, key);
  for (const Holder& h : queue.holders)
    if (h.who == &who && h.mode >= raw) return Status::kOk;
  if (!may_take(queue, who, LockKind::kRow, raw)) {
    drop_if_empty(shard, key);
    return Status::kLockNotAvailable;
  }
  queue.holders.push_back({&who, raw, 1});
  who.held_.push_back({key, raw});
  note_published(who);
  if (!queue.waiters.empty()) refresh_edges(queue, LockKind::kRow);
  return Status::kOk;
}

bool LockTable::row_conflicts(const Locker& who, LockKey key, RowLockMode mode) {
  Shard& shard = shard_of(key);
  if (shard.row_queues.load(std::memory_order_acquire) == 0) return false;
  std::lock_guard lock(shard.mutex);
  const auto found = shard.queues.find(key);
  return found != shard.queues.end() &&
         !may_take(found->second, who, LockKind::kRow, static_cast<std::uint8_t>(mode));
}

Outcome LockTable::wait_row(Locker& who, LockKey key, RowLockMode mode, WaitPolicy policy, TxnState* running,
                            std::uint32_t rollbacks) {
  const auto raw = static_cast<std::uint8_t>(mode);
  Shard& shard = shard_of(key);
  if (auto outcome = resume_wait(shard, who, key, raw)) return std::move(*outcome);
  std::lock_guard lock(shard.mutex);
  Queue& queue = queue_of(shard, key);
  const auto mine = std::find_if(queue.waiters.begin(), queue.waiters.end(),
                                 [&](const Waiter& w) { return w.who == &who; });
  Locker* running_locker = nullptr;
  if (running != nullptr) {
    std::lock_guard ended(running->wait_mutex);
    if (running->ended || running->rollbacks.load(std::memory_order_acquire) != rollbacks) {
      running = nullptr;
    } else {
      running_locker = running->locker.load(std::memory_order_acquire);
      if (policy == WaitPolicy::kWait) running->waited_rows.push_back(key);
    }
  }
  if (running == nullptr && may_take(queue, who, LockKind::kRow, raw)) {
    drop_if_empty(shard, key);
    return Outcome::blocked_on({});  // the way is free by now
  }
  if (policy == WaitPolicy::kNoWait) {
    drop_if_empty(shard, key);
    return {Status::kLockNotAvailable};
  }
  if (mine != queue.waiters.end()) {
    // It had the right of way, but met somebody else after all: its reservation goes, for whoever waited for
    // it.
    queue.waiters.erase(mine);
    grant_waiters(queue, key.kind);
  }
  return enqueue(shard, queue, key, {&who, raw, false, false, running, running_locker});
}

void LockTable::transaction_ended(TxnState& transaction) {
  {
    std::lock_guard lock(transaction.wait_mutex);
    transaction.ended = true;
  }
  wake_row_waiters(transaction, [](const LockKey&) { return false; });
}

void LockTable::wake_row_waiters(TxnState& transaction,
                                 const std::function<bool(const LockKey&)>& still_written) {
  std::vector<LockKey> rows;
  {
    std::lock_guard lock(transaction.wait_mutex);
    transaction.rollbacks.fetch_add(1, std::memory_order_acq_rel);
    rows.swap(transaction.waited_rows);
    for (const LockKey& key : rows)
      if (still_written(key)) transaction.waited_rows.push_back(key);
  }
  std::erase_if(rows, still_written);
  for (const LockKey& key : rows) {
    Shard& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    const auto found = shard.queues.find(key);
    if (found == shard.queues.end()) continue;
    for (Waiter& w : found->second.waiters) {
      if (w.running != &transaction) continue;
      w.running = nullptr;
      w.running_locker = nullptr;
    }
    grant_waiters(found->second, key.kind);
    refresh_edges(found->second, key.kind);
  }
}

// --- Release ---

void LockTable::release_one(Locker& who, const Locker::Held& held) {
  if (held.key.kind == LockKind::kTable) {
    if (held.mode >= kStrongMin) strong(static_cast<Oid>(held.key.a)).fetch_sub(1, std::memory_order_seq_cst);
    if (held.mode <= kWeakMax && release_fast(who, held)) return;
  }
  Shard& shard = shard_of(held.key);
  std::lock_guard lock(shard.mutex);
  const auto found = shard.queues.find(held.key);
  if (found == shard.queues.end()) return;
  Queue& queue = found->second;
  for (std::size_t i = 0; i < queue.holders.size(); ++i) {
    Holder& h = queue.holders[i];
    if (h.who != &who || h.mode != held.mode) continue;
    if (--h.count == 0) queue.holders.erase(queue.holders.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  grant_waiters(queue, held.key.kind);
  refresh_edges(queue, held.key.kind);
  drop_if_empty(shard, held.key);
}

void LockTable::release_to(Locker& who, std::size_t position) {
  end_wait(who);
  for (; who.held_.size() > position; who.held_.pop_back()) release_one(who, who.held_.back());
}

void LockTable::release_all(Locker& who) {
  release_to(who, 0);
  unlock_all_advisory(who);
}

// --- Time-outs ---

void LockTable::start_timer(Locker& who) {
  if (executor_ == nullptr) return;
  const std::uint64_t serial = who.serial_, round = who.wait_round_;
  executor_->after(who.lock_timeout_).then(executor_->workers(), [gate = timer_gate_, serial, round] {
    std::lock_guard lock(gate->mutex);
    if (gate->table != nullptr) gate->table->timed_out(serial, round);
  });
}

void LockTable::timed_out(std::uint64_t serial, std::uint64_t round) {
  std::lock_guard lock(lockers_mutex_);
  for (Locker* who : lockers_) {
    if (who->serial_ != serial) continue;
    LockKey key;
    {
      std::lock_guard cancel(who->cancel_mutex_);
      key = who->wait_where_;
    }
    leave_queue(shard_of(key), key, *who, Locker::WaitState::kTimedOut, nullptr, round);
    return;
  }
}

// --- Information ---

std::vector<LockListEntry> LockTable::list() {
  std::vector<LockListEntry> out;
  std::lock_guard all(lockers_mutex_);
  for (Locker* who : lockers_) {
    std::lock_guard lock(who->fast_mutex_);
    for (const auto& slot : who->fast_) {
      for (std::uint8_t mode = 1; mode <= kWeakMax; ++mode) {
        if ((slot.modes >> mode & 1) == 0) continue;
        out.push_back({LockKey::table(slot.object, slot.database), mode, true, true, who->process_id_,
                       who->transaction_id()});
      }
    }
  }
  for (Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (const auto& [key, queue] : shard.queues) {
      for (const Holder& h : queue.holders)
        out.push_back({key, h.mode, true, false, h.who->process_id(), h.who->transaction_id()});
      for (const Waiter& w : queue.waiters) {
        if (!w.granted)
          out.push_back({key, w.mode, false, false, w.who->process_id(), w.who->transaction_id()});
      }
    }
  }
  return out;
}

std::vector<std::int32_t> LockTable::blockers_of(std::int32_t process_id) {
  std::vector<std::int32_t> out;
  std::lock_guard all(lockers_mutex_);
  std::lock_guard graph(graph_mutex_);
  for (const Locker* who : lockers_) {
    if (who->process_id_ != process_id) continue;
    for (const Locker* other : who->waits_for_) out.push_back(other->process_id_);
  }
  return out;
}

}  // namespace rustbd::txn
