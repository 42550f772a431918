#include "rustbd/storage/pages/space.h"

#include <algorithm>

namespace rustbd::storage {
namespace {
/// 1 GiB of the file system's room are never counted on, nor is half of the rest: others write there too.
constexpr std::uint64_t kNeverLent = (std::uint64_t{1} << 30) / 4096;
/// More than was asked for: the file system is asked again each time that changed pages need this much more.
constexpr std::uint64_t kLentAhead = (std::uint64_t{16} << 20) / 4096;
constexpr std::uint64_t kStepMin = 64;
constexpr std::uint64_t kCutAtOnce = 65536;  // blocks under one hold of the allocator's lock
}  // namespace

std::optional<Extent> Space::allocate(std::uint32_t blocks) {
  for (;;) {
    const std::uint64_t seen = allocator_.file_blocks();
    if (const auto extent = allocator_.allocate(blocks)) return extent;
    if (!grow(seen, blocks)) return std::nullopt;
  }
}

std::uint64_t Space::step() const {
  const std::uint64_t used =
      allocator_.file_blocks() - std::min(allocator_.file_blocks(), allocator_.free_blocks());
  return std::clamp(used / 8, std::min(kStepMin, grow_blocks_), grow_blocks_);
}

std::uint64_t Space::lendable() const {
  if (full()) return 0;  // whatever it says: it has refused
  const std::uint64_t outside = outside_() / 4096;
  return outside > kNeverLent ? (outside - kNeverLent) / 2 : 0;
}

std::uint64_t Space::needed_inside(std::uint64_t blocks) const {
  const std::uint64_t outside = lendable();
  return blocks > outside ? blocks - outside : 0;
}

bool Space::secure(std::uint64_t blocks) {
  for (;;) {
    const std::uint64_t seen = allocator_.file_blocks();
    const std::uint64_t inside = allocator_.free_blocks();
    const std::uint64_t missing = blocks > inside ? blocks - inside : 0;
    const std::uint64_t lent = std::min(lendable(), missing + kLentAhead);
    lent_.store(lent, std::memory_order_relaxed);
    if (lent >= missing) return true;
    if (!grow(seen, missing - lent)) return false;
  }
}

// `seen_blocks`: the size at which the caller found no room; if the file has grown since, that is success.
bool Space::grow(std::uint64_t seen_blocks, std::uint64_t wanted) {
  io::WaitToken mine;
  while (!mine) {
    io::WaitToken other;
    {
      const std::lock_guard lock(mutex_);
      if (allocator_.file_blocks() > seen_blocks) return true;
      if (resizing_) other = resizing_;
      else mine = resizing_ = io::WaitToken::make(io::WaitReason::kTask);
    }
    if (other) file_.executor()->block_on(other);
  }
  const std::uint64_t size = allocator_.file_blocks();  // it may have been cut since
  const std::uint64_t first = std::clamp(wanted, step(), std::max(step(), grow_blocks_));
  bool grown = false;
  for (std::uint64_t more = first; more >= std::min(kStepMin, first) && !grown; more /= 4) {
    if (file_.extend(size, size + more)) {
      allocator_.set_file_blocks(size + more);
      grown = true;
    }
  }
  full_.store(!grown, std::memory_order_relaxed);
  if (!grown) lent_.store(0, std::memory_order_relaxed);
  end_resize(mine);
  return grown;
}

void Space::end_resize(const io::WaitToken& mine) {
  {
    const std::lock_guard lock(mutex_);
    resizing_ = {};
  }
  mine.fire();
}

std::uint64_t Space::cut(std::uint64_t keep) {
  const std::uint64_t spare = step();
  const std::uint64_t inside = allocator_.free_blocks();
  if (inside < keep + 2 * spare) return 0;
  io::WaitToken mine;
  {
    const std::lock_guard lock(mutex_);
    if (resizing_) return 0;
    mine = resizing_ = io::WaitToken::make(io::WaitReason::kTask);
  }
  const std::uint64_t most = inside - keep - spare;
  std::uint64_t gone = 0;
  for (std::uint64_t piece = kCutAtOnce; piece == kCutAtOnce && gone < most; gone += piece) {
    piece = allocator_.cut_tail(std::min(kCutAtOnce, most - gone), kFileBlocksMin);
  }
  // A file that stays longer does no harm: nobody looks there, and the next growth takes it over.
  if (gone > 0) (void)file_.cut(allocator_.file_blocks());
  end_resize(mine);
  return gone;
}

}  // namespace rustbd::storage
