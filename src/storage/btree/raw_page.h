// Reads from page bytes that may change under the reader: every field that later decides an address is read
// exactly once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rustbd/base/bytes.h"

namespace rustbd::storage {

/// One load that the compiler may not repeat. `at` is aligned for T (pages are 16-aligned, fields by format).
template <class T>
[[nodiscard]] inline T read_once(const std::byte* at) {
  return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_RELAXED);
}

}  // namespace rustbd::storage
