// Locks of prepared transactions: they go to a holder that is no session, and recovery takes them again.
#include <algorithm>
#include <utility>

#include "rustbd/base/assert.h"
#include "rustbd/txn/locks.h"
#include "rustbd/txn/txn_state.h"

namespace rustbd::txn {

std::vector<LockTable::HeldLock> LockTable::transaction_locks(const Locker& who) const {
  std::vector<HeldLock> out;
  for (const auto& held : who.held_) out.push_back({held.key, held.mode});
  return out;
}

bool LockTable::mixes_scopes(const Locker& who) const {
  return std::ranges::any_of(who.session_held_, [&](const Locker::Held& a) {
    return std::ranges::any_of(who.held_, [&](const Locker::Held& b) { return a.key == b.key; });
  });
}

void LockTable::hand_over(Locker& from, Locker& to, TxnState& writer) {
  RUSTBD_ASSERT(to.held_.empty(), "the new holder is fresh");
  end_wait(from);
  {
    std::lock_guard all(lockers_mutex_);  // so that nobody moves them to the table meanwhile
    std::scoped_lock both(from.fast_mutex_, to.fast_mutex_);
    to.fast_ = std::exchange(from.fast_, {});
  }
  for (const auto& held : from.held_) {
    to.held_.push_back(held);
    Shard& shard = shard_of(held.key);
    std::lock_guard lock(shard.mutex);
    const auto found = shard.queues.find(held.key);
    if (found == shard.queues.end()) continue;  // in a fast slot
    Queue& queue = found->second;
    const auto old = std::find_if(queue.holders.begin(), queue.holders.end(),
                                  [&](const Holder& h) { return h.who == &from && h.mode == held.mode; });
    if (old == queue.holders.end()) continue;
    if (--old->count == 0) queue.holders.erase(old);
    const auto mine = std::find_if(queue.holders.begin(), queue.holders.end(),
                                   [&](const Holder& h) { return h.who == &to && h.mode == held.mode; });
    if (mine != queue.holders.end()) ++mine->count;
    else queue.holders.push_back({&to, held.mode, 1});
    refresh_edges(queue, held.key.kind);
  }
  from.held_.clear();
  std::vector<LockKey> rows;
  {
    // Who began to wait before this is on the list; who does later, waits for the new one.
    std::lock_guard lock(writer.wait_mutex);
    writer.locker.store(&to, std::memory_order_release);
    rows = writer.waited_rows;
  }
  for (const LockKey& key : rows) {
    Shard& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    const auto found = shard.queues.find(key);
    if (found == shard.queues.end()) continue;
    for (Waiter& w : found->second.waiters)
      if (w.running == &writer) w.running_locker = &to;
    refresh_edges(found->second, key.kind);
  }
}

bool LockTable::take_again(Locker& who, const HeldLock& lock) {
  switch (lock.key.kind) {
    case LockKind::kTable:
      return lock_table(who, static_cast<Oid>(lock.key.a), static_cast<Oid>(lock.key.b),
                        static_cast<TableLockMode>(lock.mode), WaitPolicy::kNoWait)
          .ok();
    case LockKind::kRow: return take_row(who, lock.key, static_cast<RowLockMode>(lock.mode)) == Status::kOk;
    case LockKind::kAdvisory:
      return lock_advisory(who, lock.key, static_cast<AdvisoryMode>(lock.mode), WaitPolicy::kNoWait, false)
          .ok();
  }
  return false;
}

}  // namespace rustbd::txn
