// Space: extents for whoever may block: allocates, grows the data file when there is none, and cuts its free
// tail off.
//
// What a checkpoint will need at most is kept available (docs/decisions/023): where the file system has far
// more room than that, it stays there, and the file grows only as images are written; where it has not, the
// file holds it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "rustbd/io/wait.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/extent_allocator.h"

namespace rustbd::storage {

/// Threads: any that may block. The file grows by step(), at most by `grow_blocks`, or by less when the disk
/// is nearly full.
class Space {
 public:
  static constexpr std::uint64_t kFileBlocksMin = 512;  // 2 MiB: a new file

  /// `outside`: bytes that the file system could still give; 0: not known.
  Space(DataFile& file, ExtentAllocator& allocator, std::uint64_t grow_blocks,
        std::function<std::uint64_t()> outside)
      : file_(file), allocator_(allocator), grow_blocks_(grow_blocks), outside_(std::move(outside)) {}

  /// Nothing: the disk is full.
  std::optional<Extent> allocate(std::uint32_t blocks);
  /// An extent only if the file has one already: for long runs that may as well be in pieces.
  std::optional<Extent> allocate_present(std::uint32_t blocks) { return allocator_.allocate(blocks); }
  /// Sees to it that so many blocks can be had, and that available() says so. False: the disk is full.
  bool secure(std::uint64_t blocks);
  /// Blocks that can be had without a growth that may fail: free ones of the file, and those lent by the file
  /// system at the last secure().
  [[nodiscard]] std::uint64_t available() const {
    return allocator_.free_blocks() + lent_.load(std::memory_order_relaxed);
  }
  /// The last growth failed.
  [[nodiscard]] bool full() const { return full_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t grow_blocks() const { return grow_blocks_; }
  /// An eighth of the blocks in use: by so much the file grows, and so much stays free when it is cut.
  [[nodiscard]] std::uint64_t step() const;
  /// How many free blocks the file must hold so that `blocks` can be had.
  [[nodiscard]] std::uint64_t needed_inside(std::uint64_t blocks) const;
  /// Cuts the free tail off, except that `keep` blocks and one step stay free. Call after a checkpoint has
  /// become durable: what is free then, no superblock on disk reaches (I1). Returns the blocks cut.
  std::uint64_t cut(std::uint64_t keep);

 private:
  [[nodiscard]] std::uint64_t lendable() const;
  bool grow(std::uint64_t seen_blocks, std::uint64_t wanted);
  void end_resize(const io::WaitToken& mine);

  DataFile& file_;
  ExtentAllocator& allocator_;
  const std::uint64_t grow_blocks_;
  const std::function<std::uint64_t()> outside_;
  std::atomic<std::uint64_t> lent_{0};
  std::atomic<bool> full_{false};
  std::mutex mutex_;        // protects resizing_
  io::WaitToken resizing_;  // somebody grows or cuts the file; fires when that has ended
};

}  // namespace rustbd::storage
