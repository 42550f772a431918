// What waits for its next use (an idle run, its stages, their buffers) keeps little memory.
#pragma once

#include <cstddef>

namespace rustbd {

/// Bytes that each part of it may keep.
inline constexpr std::size_t kRestBytesMax = 16384;

}  // namespace rustbd
