#include "rustbd/storage/pages/thread_slot.h"

#include <atomic>

#include "rustbd/base/assert.h"

namespace rustbd::storage {
namespace {

std::atomic<bool> slot_used[kThreadSlots];
std::atomic<std::uint32_t> slot_bound{1};

struct SlotHolder {
  std::uint32_t slot = 0;
  ~SlotHolder() {
    detail::thread_slot = 0;
    if (slot != 0) slot_used[slot].store(false, std::memory_order_release);
  }
};

}  // namespace

std::uint32_t detail::assign_thread_slot() {
  thread_local SlotHolder holder;
  for (std::uint32_t slot = 1; slot < kThreadSlots; ++slot) {
    bool expected = false;
    if (slot_used[slot].load(std::memory_order_relaxed) ||
        !slot_used[slot].compare_exchange_strong(expected, true, std::memory_order_acq_rel)) {
      continue;
    }
    std::uint32_t bound = slot_bound.load(std::memory_order_relaxed);
    while (bound <= slot && !slot_bound.compare_exchange_weak(bound, slot + 1, std::memory_order_seq_cst)) {}
    holder.slot = slot;
    detail::thread_slot = slot;
    return slot;
  }
  RUSTBD_UNREACHABLE("more threads than slots");
}

std::uint32_t thread_slot_bound() { return slot_bound.load(std::memory_order_seq_cst); }

}  // namespace rustbd::storage
