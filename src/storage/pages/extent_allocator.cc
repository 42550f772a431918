#include "rustbd/storage/pages/extent_allocator.h"

#include <algorithm>
#include <bit>

#include "rustbd/base/assert.h"
#include "rustbd/storage/pages/superblock.h"

namespace rustbd::storage {
namespace {
constexpr std::uint32_t kFirstFitMax = 16;
constexpr std::uint32_t kRegionWords = ExtentAllocator::kRegionBlocks / 64;

bool is_superblock(std::uint64_t block) {
  return std::ranges::any_of(kSuperblockOffsets,
                             [&](std::uint64_t offset) { return offset / 4096 == block; });
}
}  // namespace

void ExtentAllocator::set_file_blocks(std::uint64_t blocks) {
  const std::lock_guard lock(mutex_);
  std::uint64_t block = file_blocks_.load(std::memory_order_relaxed);
  if (blocks <= block) return;
  while (regions_.size() * kRegionBlocks < blocks) {
    auto region = std::make_unique<Region>();
    std::ranges::fill(region->used, ~0ull);
    region->first_free_word = kRegionWords;
    regions_.push_back(std::move(region));
  }
  for (; block < blocks; ++block) {
    if (!is_superblock(block)) set_free({block, 1});
  }
  file_blocks_.store(blocks, std::memory_order_relaxed);
}

std::uint64_t ExtentAllocator::cut_tail(std::uint64_t most, std::uint64_t least) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t before = file_blocks_.load(std::memory_order_relaxed);
  std::uint64_t end = before;
  while (end > least && before - end < most) {
    const std::uint64_t block = end - 1;
    const auto bit = static_cast<std::uint32_t>(block % kRegionBlocks);
    if ((regions_[block / kRegionBlocks]->used[bit / 64] >> (bit % 64) & 1) != 0) break;
    set_used({block, 1});
    end = block;
  }
  file_blocks_.store(end, std::memory_order_relaxed);
  return before - end;
}

void ExtentAllocator::set_free(Extent extent) {
  Region& region = *regions_[extent.first_block / kRegionBlocks];
  const auto first = static_cast<std::uint32_t>(extent.first_block % kRegionBlocks);
  for (std::uint32_t bit = first; bit < first + extent.blocks; ++bit) {
    RUSTBD_ASSERT((region.used[bit / 64] >> (bit % 64) & 1) != 0, "a block is freed once");
    region.used[bit / 64] &= ~(1ull << (bit % 64));
  }
  region.free += extent.blocks;
  region.first_free_word = std::min(region.first_free_word, first / 64);
  low_region_ = std::min(low_region_, static_cast<std::size_t>(extent.first_block / kRegionBlocks));
  free_blocks_.fetch_add(extent.blocks, std::memory_order_relaxed);
}

void ExtentAllocator::set_used(Extent extent) {
  Region& region = *regions_[extent.first_block / kRegionBlocks];
  const auto first = static_cast<std::uint32_t>(extent.first_block % kRegionBlocks);
  for (std::uint32_t bit = first; bit < first + extent.blocks; ++bit) {
    RUSTBD_ASSERT((region.used[bit / 64] >> (bit % 64) & 1) == 0, "a block is taken once");
    region.used[bit / 64] |= 1ull << (bit % 64);
  }
  region.free -= extent.blocks;
  free_blocks_.fetch_sub(extent.blocks, std::memory_order_relaxed);
}

std::optional<std::uint32_t> ExtentAllocator::find(Region& region, std::uint32_t blocks,
                                                   std::uint32_t from_bit) const {
  if (region.free < blocks) return std::nullopt;
  std::uint32_t bit = std::max(from_bit, region.first_free_word * 64);
  std::uint32_t run = 0;
  while (bit < kRegionBlocks) {
    const std::uint64_t word = region.used[bit / 64] >> (bit % 64);
    const std::uint32_t left = 64 - bit % 64;
    const std::uint32_t zeros = std::min<std::uint32_t>(left, std::countr_zero(word));  // 64 for word 0
    run += zeros;
    bit += zeros;
    if (run >= blocks) return bit - run;
    if (zeros < left) {
      run = 0;
      bit += std::countr_one(region.used[bit / 64] >> (bit % 64));
    }
  }
  return std::nullopt;
}

Extent ExtentAllocator::take(std::size_t region, std::uint32_t bit, std::uint32_t blocks) {
  const Extent extent{region * kRegionBlocks + bit, blocks};
  set_used(extent);
  Region& taken = *regions_[region];
  while (taken.first_free_word < kRegionWords && taken.used[taken.first_free_word] == ~0ull)
    ++taken.first_free_word;
  while (low_region_ < regions_.size() && regions_[low_region_]->free == 0) ++low_region_;
  return extent;
}

std::optional<Extent> ExtentAllocator::allocate(std::uint32_t blocks) {
  RUSTBD_ASSERT(blocks > 0 && blocks <= kRegionBlocks);
  const std::lock_guard lock(mutex_);
  if (blocks <= kFirstFitMax) {
    for (std::size_t region = low_region_; region < regions_.size(); ++region) {
      if (const auto bit = find(*regions_[region], blocks, 0)) return take(region, *bit, blocks);
    }
    return std::nullopt;
  }
  for (std::size_t step = 0; step <= regions_.size(); ++step) {
    if (regions_.empty()) break;
    const std::size_t region = (run_region_ + step) % regions_.size();
    const auto bit = find(*regions_[region], blocks, step == 0 ? run_bit_ : 0);
    if (!bit) continue;
    run_region_ = region;
    run_bit_ = *bit + blocks;
    return take(region, *bit, blocks);
  }
  return std::nullopt;
}

std::optional<Extent> ExtentAllocator::allocate_before(std::uint32_t blocks, std::uint64_t end) {
  RUSTBD_ASSERT(blocks > 0 && blocks <= kRegionBlocks);
  const std::lock_guard lock(mutex_);
  for (std::size_t region = low_region_; region < regions_.size(); ++region) {
    const auto bit = find(*regions_[region], blocks, 0);
    if (!bit) continue;
    if (region * kRegionBlocks + *bit + blocks > end) return std::nullopt;
    return take(region, *bit, blocks);
  }
  return std::nullopt;
}

void ExtentAllocator::free(Extent extent) {
  if (extent.none()) return;
  const std::lock_guard lock(mutex_);
  set_free(extent);
}

bool ExtentAllocator::mark_used(Extent extent) {
  if (extent.none() || extent.first_block + extent.blocks > file_blocks() ||
      extent.first_block / kRegionBlocks != (extent.first_block + extent.blocks - 1) / kRegionBlocks) {
    return false;
  }
  const std::lock_guard lock(mutex_);
  const Region& region = *regions_[extent.first_block / kRegionBlocks];
  for (std::uint64_t block = extent.first_block; block < extent.first_block + extent.blocks; ++block) {
    const auto bit = static_cast<std::uint32_t>(block % kRegionBlocks);
    if ((region.used[bit / 64] >> (bit % 64) & 1) != 0) return false;
  }
  set_used(extent);
  return true;
}

void ExtentAllocator::quarantine(Extent) {}  // stays marked as used; the next start finds it free again

void ExtentAllocator::defer(Extent extent, bool of_running) {
  if (extent.none()) return;
  const std::lock_guard lock(mutex_);
  (of_running ? deferred_running_ : deferred_).push_back(extent);
  deferred_blocks_.fetch_add(extent.blocks, std::memory_order_relaxed);
}

void ExtentAllocator::begin_checkpoint() {
  const std::lock_guard lock(mutex_);
  RUSTBD_ASSERT(deferred_running_.empty(), "one checkpoint at a time");
  run_region_ = 0;
  run_bit_ = 0;
  deferred_running_.swap(deferred_);
}

void ExtentAllocator::end_checkpoint(bool durable) {
  const std::lock_guard lock(mutex_);
  if (durable) {
    for (const Extent extent : deferred_running_) {
      if (held()) held_.push_back(extent);
      else set_free(extent);
      deferred_blocks_.fetch_sub(extent.blocks, std::memory_order_relaxed);
    }
  } else {
    deferred_.insert(deferred_.end(), deferred_running_.begin(), deferred_running_.end());
  }
  deferred_running_.clear();
}

void ExtentAllocator::hold() {
  const std::lock_guard lock(mutex_);
  holders_.fetch_add(1, std::memory_order_seq_cst);
}

void ExtentAllocator::release() {
  const std::lock_guard lock(mutex_);
  RUSTBD_ASSERT(held(), "a hold is given back once");
  if (holders_.fetch_sub(1, std::memory_order_seq_cst) != 1) return;
  for (const Extent extent : held_) set_free(extent);
  held_.clear();
}

bool ExtentAllocator::is_free(std::uint64_t block) const {
  const std::lock_guard lock(mutex_);
  if (block >= file_blocks()) return false;
  const auto bit = static_cast<std::uint32_t>(block % kRegionBlocks);
  return (regions_[block / kRegionBlocks]->used[bit / 64] >> (bit % 64) & 1) == 0;
}

}  // namespace rustbd::storage
