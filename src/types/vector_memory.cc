#include "rustbd/types/vector_memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "rustbd/types/vector.h"

namespace rustbd::types {

static_assert(kVectorBlockBytes == std::size_t{kVectorSize} * 16);

namespace {
constexpr std::size_t kLine = 64;
// Blocks of a power of two would have their first rows, often their only ones, in the same few sets of the
// cache: each begins some lines further into its memory than the last one (colouring: Bonwick, The Slab
// Allocator, USENIX 1994).
constexpr std::size_t kColours = 61;
constexpr std::size_t kBytes = kVectorBlockBytes + kColours * kLine;

/// In front of a block's first value: where its memory begins.
struct Header {
  void* memory;
};

void* new_block() {
  thread_local std::size_t colour = 0;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kLine, kBytes));
  if (memory == nullptr) throw std::bad_alloc();
  colour = (colour + 7) % (kColours - 1);
  std::byte* block = memory + (colour + 1) * kLine;
  reinterpret_cast<Header*>(block)[-1].memory = memory;
  return block;
}

void free_block(void* block) { std::free(static_cast<Header*>(block)[-1].memory); }

#if defined(RUSTBD_ASAN)
constexpr std::size_t kKept = 0;  // who uses a block after its end must be found
#else
constexpr std::size_t kKept = kVectorBlocksKept;
#endif

/// Plain memory, so that it is there until the thread's very end; the guard empties it before.
struct Kept {
  void* blocks[kVectorBlocksKept];
  std::size_t count;
  bool closed;
};
constinit thread_local Kept kept{};
struct Guard {
  bool used = false;
  ~Guard() {
    kept.closed = true;  // what later destructors of the thread give back goes at once
    while (kept.count != 0) free_block(kept.blocks[--kept.count]);
  }
};
thread_local Guard guard;
}  // namespace

void* take_vector_block() {
  void* block = kept.count != 0 ? kept.blocks[--kept.count] : new_block();
#if defined(RUSTBD_ASAN)
  std::memset(block, 0xA5, kVectorBlockBytes);  // as a string: long, and somewhere that nothing is
#endif
  return block;
}

void give_vector_block(void* block) noexcept {
  if (kept.count >= kKept || kept.closed) {
    free_block(block);
    return;
  }
  if (kept.count == 0) guard.used = true;  // makes it, so that it ends with the thread
  kept.blocks[kept.count++] = block;
}

}  // namespace rustbd::types
