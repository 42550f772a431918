#include "rustbd/storage/buffer/frame_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "rustbd/base/assert.h"

namespace rustbd::storage {
namespace {
constexpr std::uint32_t kPopulateFrames = 128;  // 2 MiB
}

FramePool::FramePool(std::uint64_t bytes)
    : count_(static_cast<std::uint32_t>(std::max<std::uint64_t>(bytes / kFrameBytes, 8))),
      reserve_target_(std::max<std::uint32_t>(1, count_ / 32)),
      meta_(std::make_unique<FrameMeta[]>(count_)) {
  void* memory = mmap(nullptr, std::size_t{count_} * kFrameBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<std::byte*>(memory);
  madvise(base_, std::size_t{count_} * kFrameBytes, MADV_HUGEPAGE);
  for (std::uint32_t i = 0; i < reserve_target_; ++i) reserve_.push_back(never_used_++);
  populated_ = never_used_;  // the reserve gets its memory when it is needed
  free_count_.store(count_ - never_used_, std::memory_order_relaxed);
}

FramePool::~FramePool() { munmap(base_, std::size_t{count_} * kFrameBytes); }

std::uint32_t FramePool::take() {
  const std::lock_guard lock(mutex_);
  std::uint32_t frame = kNoFrameIndex;
  if (!free_.empty()) {
    frame = free_.back();
    free_.pop_back();
  } else if (never_used_ < count_) {
    frame = never_used_++;
  } else {
    return kNoFrameIndex;
  }
  free_count_.fetch_sub(1, std::memory_order_relaxed);
  return frame;
}

std::uint32_t FramePool::take_reserve() {
  const std::lock_guard lock(mutex_);
  if (reserve_.empty()) return kNoFrameIndex;
  const std::uint32_t frame = reserve_.back();
  reserve_.pop_back();
  return frame;
}

void FramePool::give(std::uint32_t frame) {
  const std::lock_guard lock(mutex_);
  if (reserve_.size() < reserve_target_) {
    reserve_.push_back(frame);
    return;
  }
  free_.push_back(frame);
  free_count_.fetch_add(1, std::memory_order_relaxed);
}

bool FramePool::populate_ahead() {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  {
    const std::lock_guard lock(mutex_);
    if (populated_ >= count_ || populated_ >= never_used_ + 2 * kPopulateFrames) return false;
    first = populated_;
    last = populated_ = std::min(count_, populated_ + kPopulateFrames);
  }
#ifdef MADV_POPULATE_WRITE
  madvise(memory(first), std::size_t{last - first} * kFrameBytes,
          MADV_POPULATE_WRITE);  // an older kernel refuses: no harm
#endif
  return last > first;
}

}  // namespace rustbd::storage
