// Space: extents for whoever may block: allocates, and grows the data file when there is none.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "rustbd/io/wait.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/extent_allocator.h"

namespace rustbd::storage {

/// Threads: any that may block. The file grows by `grow_blocks`, or by less when the disk is nearly full.
class Space {
 public:
  Space(DataFile& file, ExtentAllocator& allocator, std::uint64_t grow_blocks)
      : file_(file), allocator_(allocator), grow_blocks_(grow_blocks) {}

  /// Nothing: the disk is full.
  std::optional<Extent> allocate(std::uint32_t blocks);
  /// An extent only if the file has one already: for long runs that may as well be in pieces.
  std::optional<Extent> allocate_present(std::uint32_t blocks) { return allocator_.allocate(blocks); }
  /// Grows until at least so many blocks are free. False: the disk is full.
  bool keep_free(std::uint64_t blocks);
  /// The last growth failed.
  [[nodiscard]] bool full() const { return full_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t grow_blocks() const { return grow_blocks_; }

 private:
  bool grow(std::uint64_t seen_blocks);

  DataFile& file_;
  ExtentAllocator& allocator_;
  const std::uint64_t grow_blocks_;
  std::atomic<bool> full_{false};
  std::mutex mutex_;       // protects growing_
  io::WaitToken growing_;  // somebody grows the file; fires when that has ended
};

}  // namespace rustbd::storage
