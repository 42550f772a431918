// The frames: one reservation of memory, cut into 16 KiB frames, each with 32 bytes beside it; and the free
// list.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "rustbd/storage/pages/page.h"

namespace rustbd::storage {

inline constexpr std::uint32_t kNoFrameIndex = ~0u;

/// 32 bytes per frame. `page` is set under the page's exclusive latch; the rest as each says.
struct FrameMeta {
  std::atomic<std::uint64_t> page{0};         // page id in the frame; 0: none
  std::atomic<std::uint32_t> dirty_epoch{0};  // epoch of the last mark_dirty(); exclusive latch
  std::atomic<std::uint32_t> checkpoint_copy{
      kNoFrameIndex};                    // frame with the image of the running checkpoint's epoch;
                                         // set under X, taken under S by the one that set `writing`
  std::atomic<std::uint16_t> pins{0};    // > 0: never evicted
  std::atomic<std::uint8_t> writing{0};  // an image is on its way to disk: nobody else encodes, evicts, frees
  std::atomic<std::uint8_t> seen_dirty{0};    // write-behind's last sweep found the page dirty
  std::atomic<std::uint64_t> last_access{0};  // LRU's time; older is smaller
};
static_assert(sizeof(FrameMeta) == 32);

/// Threads: any. Invariant: a frame is in at most one of: free list, reserve, a page, a checkpoint copy, a
/// running read.
class FramePool {
 public:
  explicit FramePool(std::uint64_t bytes);
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] std::byte* memory(std::uint32_t frame) const {
    return base_ + std::size_t{frame} * kFrameBytes;
  }
  [[nodiscard]] FrameMeta& meta(std::uint32_t frame) const { return meta_[frame]; }

  std::uint32_t take();            // kNoFrameIndex: none free
  std::uint32_t take_reserve();    // for copies of pages that a running checkpoint still needs
  void give(std::uint32_t frame);  // refills the reserve first
  [[nodiscard]] std::uint32_t free_count() const { return free_count_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t reserve_target() const { return reserve_target_; }
  /// Touches the next 2 MiB that were never used, so that no query pays the page faults. False: all are
  /// touched.
  bool populate_ahead();

 private:
  std::byte* base_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t reserve_target_ = 0;
  std::unique_ptr<FrameMeta[]> meta_;
  std::mutex mutex_;  // protects the following
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> reserve_;
  std::uint32_t never_used_ = 0;  // frames from here on have never been handed out
  std::uint32_t populated_ = 0;
  std::atomic<std::uint32_t> free_count_{0};
};

}  // namespace rustbd::storage
