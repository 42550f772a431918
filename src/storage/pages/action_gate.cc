#include "rustbd/storage/pages/action_gate.h"

#include <thread>

namespace rustbd::storage {

ActionGate::ActionGate() : slots_(std::make_unique<Slot[]>(kThreadSlots)) {}

// The flag is raised before the slots are read, and a slot is set before the flag is read, both sequentially
// consistent: either close() sees the slot or enter() sees the flag.
void ActionGate::enter_slow(std::atomic<std::uint32_t>& inside) {
  for (;;) {
    inside.store(0, std::memory_order_release);
    while (closed_.load(std::memory_order_acquire) != 0) closed_.wait(1, std::memory_order_acquire);
    inside.store(1, std::memory_order_seq_cst);
    if (closed_.load(std::memory_order_seq_cst) == 0) return;
  }
}

void ActionGate::close() {
  RUSTBD_ASSERT(closed_.exchange(1, std::memory_order_seq_cst) == 0,
                "one checkpoint at a time closes the gate");
  for (std::uint32_t slot = 1; slot < thread_slot_bound(); ++slot) {
    for (unsigned spins = 0; slots_[slot].inside.load(std::memory_order_acquire) != 0; ++spins) {
      if (spins < 64) {
        __builtin_ia32_pause();
      } else {
        std::this_thread::yield();
      }
    }
  }
}

void ActionGate::open() {
  closed_.store(0, std::memory_order_seq_cst);
  closed_.notify_all();
}

}  // namespace rustbd::storage
