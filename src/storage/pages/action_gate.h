// ActionGate: every change of pages is an action inside the gate; a checkpoint closes it for a moment and so
// sees no action half done (storage.md §3, §6).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "rustbd/base/assert.h"
#include "rustbd/storage/pages/thread_slot.h"

namespace rustbd::storage {

/// Action = one write of a row with its index entries, one split, one undo step, one commit step.
///
/// Invariants: (1) while closed, no thread is inside; (2) epoch() changes only while closed, so it is
/// constant within an action (I6). Cost of enter and exit: about 10 ns, no shared cache line is written.
/// Threads: enter/exit any, strictly paired on one thread, not nested; close/open: the checkpointer.
/// Inside the gate it is forbidden to suspend, to read the disk, to wait for a row lock, durability or log
/// space.
class ActionGate {
 public:
  ActionGate();
  ActionGate(const ActionGate&) = delete;
  ActionGate& operator=(const ActionGate&) = delete;

  void enter() {
    Slot& slot = slots_[thread_slot()];
    RUSTBD_DEBUG_ASSERT(slot.inside.load(std::memory_order_relaxed) == 0, "an action does not nest");
    slot.inside.store(1, std::memory_order_seq_cst);
    if (__builtin_expect(closed_.load(std::memory_order_seq_cst) != 0, 0)) enter_slow(slot.inside);
  }
  void exit() { slots_[thread_slot()].inside.store(0, std::memory_order_release); }
  /// Whether the calling thread is inside an action.
  [[nodiscard]] bool inside() const {
    return slots_[thread_slot()].inside.load(std::memory_order_relaxed) != 0;
  }

  /// Epoch of page changes; constant inside an action. 1 + epoch of the last checkpoint begun.
  [[nodiscard]] std::uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }

  /// Shuts the gate and waits until every action has ended (at most the length of one action).
  void close();
  void open();
  /// Only while closed, or before the first enter().
  void set_epoch(std::uint64_t epoch) { epoch_.store(epoch, std::memory_order_release); }

 private:
  struct alignas(64) Slot {
    std::atomic<std::uint32_t> inside{0};
  };
  void enter_slow(std::atomic<std::uint32_t>& inside);

  std::atomic<std::uint32_t> closed_{0};
  std::atomic<std::uint64_t> epoch_{1};
  std::unique_ptr<Slot[]> slots_;  // one per thread slot; written by its thread, read by close()
};

/// RAII for one action. `{ Action action(gate); ... }`
class Action {
 public:
  explicit Action(ActionGate& gate) : gate_(gate) { gate_.enter(); }
  ~Action() { gate_.exit(); }
  Action(const Action&) = delete;
  Action& operator=(const Action&) = delete;

 private:
  ActionGate& gate_;
};

}  // namespace rustbd::storage
