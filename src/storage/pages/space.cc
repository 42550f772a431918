#include "rustbd/storage/pages/space.h"

#include <algorithm>

namespace rustbd::storage {

std::optional<Extent> Space::allocate(std::uint32_t blocks) {
  for (;;) {
    const std::uint64_t seen = allocator_.file_blocks();
    if (const auto extent = allocator_.allocate(blocks)) return extent;
    if (!grow(seen)) return std::nullopt;
  }
}

bool Space::keep_free(std::uint64_t blocks) {
  for (;;) {
    const std::uint64_t seen = allocator_.file_blocks();
    if (allocator_.free_blocks() >= blocks) {
      full_.store(false, std::memory_order_relaxed);
      return true;
    }
    if (!grow(seen)) return false;
  }
}

// `seen_blocks`: the size at which the caller found no room; if the file has grown since, that is success.
bool Space::grow(std::uint64_t seen_blocks) {
  io::WaitToken other;
  io::WaitToken mine;
  {
    const std::lock_guard lock(mutex_);
    if (allocator_.file_blocks() > seen_blocks) return true;
    if (growing_) {
      other = growing_;
    } else {
      mine = growing_ = io::WaitToken::make(io::WaitReason::kTask);
    }
  }
  if (other) {
    file_.executor()->block_on(other);
    return allocator_.file_blocks() > seen_blocks;
  }
  bool grown = false;
  for (std::uint64_t step = grow_blocks_; step >= std::min<std::uint64_t>(64, grow_blocks_) && !grown;
       step /= 4) {
    if (file_.extend(seen_blocks, seen_blocks + step)) {
      allocator_.set_file_blocks(seen_blocks + step);
      grown = true;
    }
  }
  full_.store(!grown, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    growing_ = {};
  }
  mine.fire();
  return grown;
}

}  // namespace rustbd::storage
