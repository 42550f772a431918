// Blocks for the values of vectors: a short statement needs some dozen of them for a row each, so they are
// kept by the thread that gives them back, last in first out, where its cache still has their first lines.
#pragma once

#include <cstddef>

namespace rustbd::types {

/// Of each block: kVectorSize values of 16 bytes, aligned for a cache line.
inline constexpr std::size_t kVectorBlockBytes = std::size_t{1024} * 16;
/// Blocks that one thread keeps at most (2 MiB).
inline constexpr std::size_t kVectorBlocksKept = 128;

/// Its bytes are undefined. Throws std::bad_alloc. Threads: any; a block may be given back by another thread.
[[nodiscard]] void* take_vector_block();
void give_vector_block(void* block) noexcept;

}  // namespace rustbd::types
