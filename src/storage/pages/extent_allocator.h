// Which blocks of the data file are free: a bitmap in memory, derived from the directory at start and never
// stored (storage.md §6.2); and the extents that become free only with the next durable checkpoint (I1, I9).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "rustbd/storage/pages/extent.h"

namespace rustbd::storage {

/// Threads: any. Does no I/O: the owner grows the file and then tells set_file_blocks().
/// Invariant: a block is in exactly one of: free, used by one extent, deferred, held, quarantined,
/// superblock.
class ExtentAllocator {
 public:
  static constexpr std::uint32_t kRegionBlocks = 16384;  // 64 MiB

  /// The file has this many blocks now, not fewer than before; new ones are free, except the superblock's
  /// slots.
  void set_file_blocks(std::uint64_t blocks);
  /// The owner will cut the file: takes away up to `most` free blocks from its end, and leaves at least
  /// `least`. Returns how many went.
  std::uint64_t cut_tail(std::uint64_t most, std::uint64_t least);
  [[nodiscard]] std::uint64_t file_blocks() const { return file_blocks_.load(std::memory_order_relaxed); }

  /// First fit for up to 16 blocks, next fit for runs (from the file's beginning with each checkpoint). An
  /// extent never crosses a 64 MiB region.
  [[nodiscard]] std::optional<Extent> allocate(std::uint32_t blocks);
  /// The lowest place that lies wholly before block `end`: for what moves there.
  [[nodiscard]] std::optional<Extent> allocate_before(std::uint32_t blocks, std::uint64_t end);
  void free(Extent extent);
  /// At start: takes these blocks. False: out of the file, or one of them is in use already (two extents
  /// overlap).
  [[nodiscard]] bool mark_used(Extent extent);
  /// Never handed out again by this process: a write there failed.
  void quarantine(Extent extent);

  /// Free once the checkpoint that is running (`of_running`), or else the next one, is durable.
  void defer(Extent extent, bool of_running);
  void begin_checkpoint();  // what was deferred so far belongs to the checkpoint that begins now
  void end_checkpoint(
      bool durable);  // durable: its deferred extents are free; else they wait for the next one

  /// Between the two, what would become free with a durable checkpoint stays as it is: whatever the
  /// checkpoint that is durable at hold() reaches can be read until release(). Counted.
  void hold();
  void release();
  [[nodiscard]] bool held() const { return holders_.load(std::memory_order_seq_cst) != 0; }

  [[nodiscard]] std::uint64_t free_blocks() const { return free_blocks_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t deferred_blocks() const {
    return deferred_blocks_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_free(std::uint64_t block) const;  // tests

 private:
  struct Region {
    std::uint64_t used[kRegionBlocks / 64] = {};  // bit set: not free
    std::uint32_t free = 0;
    std::uint32_t first_free_word = 0;  // no free bit in a word before it
  };
  std::optional<std::uint32_t> find(Region& region, std::uint32_t blocks, std::uint32_t from_bit) const;
  void set_used(Extent extent);
  void set_free(Extent extent);
  Extent take(std::size_t region, std::uint32_t bit, std::uint32_t blocks);

  mutable std::mutex mutex_;  // protects the following
  std::vector<std::unique_ptr<Region>> regions_;
  std::size_t low_region_ = 0;  // regions before it have no free block
  std::size_t run_region_ = 0;  // next fit: where the last run ended
  std::uint32_t run_bit_ = 0;
  std::vector<Extent> deferred_;           // for the next checkpoint
  std::vector<Extent> deferred_running_;   // for the running one
  std::vector<Extent> held_;               // free once nobody holds
  std::atomic<std::uint32_t> holders_{0};  // written under mutex_
  std::atomic<std::uint64_t> file_blocks_{0}, free_blocks_{0}, deferred_blocks_{0};  // written under mutex_
};

}  // namespace rustbd::storage
