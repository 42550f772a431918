// A small number for each live thread of the process: the index of its cache line in the per-thread arrays of
// ActionGate, Epochs and the buffer counters.
#pragma once

#include <cstdint>

namespace rustbd::storage {

inline constexpr std::uint32_t kThreadSlots =
    1024;  // more threads at once break an invariant (the process stops)

namespace detail {
inline constinit thread_local std::uint32_t thread_slot = 0;  // 0: none yet; slots are 1..kThreadSlots-1
std::uint32_t assign_thread_slot();                           // freed again when the thread ends
}  // namespace detail

/// Slot of the calling thread, 1..kThreadSlots-1. Two live threads never share one.
inline std::uint32_t thread_slot() {
  const std::uint32_t slot = detail::thread_slot;
  return __builtin_expect(slot != 0, 1) ? slot : detail::assign_thread_slot();
}

/// Every slot in use so far is below this; never goes back.
std::uint32_t thread_slot_bound();

}  // namespace rustbd::storage
