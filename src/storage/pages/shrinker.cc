#include "rustbd/storage/pages/shrinker.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "rustbd/storage/pages/aligned_buffer.h"

namespace rustbd::storage {
namespace {
constexpr std::uint64_t kPauseBytes = 256 << 10;  // moved between two pauses
/// A checkpoint that ran when a round ended, and the one after it.
constexpr int kCheckpointsOfRound = 2;
}  // namespace

Shrinker::Shrinker(Parts parts, std::uint64_t bytes_per_second)
    : parts_(std::move(parts)), bytes_per_second_(bytes_per_second) {}

Shrinker::~Shrinker() { stop(); }

void Shrinker::start() {
  if (bytes_per_second_ == 0) return;
  thread_ = parts_.environment.executor->start_background("shrinker", [this] { run(); });
}

void Shrinker::stop() {
  if (!thread_) return;
  io::WaitToken wake;
  {
    const std::lock_guard lock(mutex_);
    stopping_.store(true, std::memory_order_seq_cst);
    wake = std::exchange(wake_, {});
  }
  wake.fire();
  thread_->join();
  thread_.reset();
}

// As much stays free as was written since the checkpoint before: under a steady load the file keeps its size.
void Shrinker::checkpoint_done() {
  const std::uint64_t written = parts_.buffer->statistics().written_blocks;
  const std::uint64_t recent = written - std::exchange(written_before_, written);
  const std::uint64_t keep = std::max(parts_.space->needed_inside(parts_.buffer->room_wanted()), recent);
  parts_.space->cut(keep);
  if (bytes_per_second_ == 0) return;
  const std::uint64_t size = parts_.allocator->file_blocks();
  const std::uint64_t inside = parts_.allocator->free_blocks();
  const std::uint64_t step = parts_.space->step();
  io::WaitToken wake;
  {
    const std::lock_guard lock(mutex_);
    if (end_ != 0) return;
    judge_round(size, inside);
    const bool worth = inside > keep + std::max(size / 4, 2 * step);
    const bool tried = fruitless_ != kNever && inside < fruitless_ + step;
    if (!worth || tried || checkpoints_left_ > 0) return;
    end_ = size - inside + keep + step;
    size_ = size;
    wake = std::exchange(wake_, {});
  }
  wake.fire();
}

// mutex_ held. A round that could not make the file smaller is not tried again before more is free.
void Shrinker::judge_round(std::uint64_t size, std::uint64_t inside) {
  if (checkpoints_left_ == 0) return;
  if (size < size_) {
    checkpoints_left_ = 0;
    fruitless_ = kNever;
  } else if (--checkpoints_left_ == 0) {
    fruitless_ = inside;
  }
}

void Shrinker::run() {
  for (;;) {
    std::uint64_t end = 0;
    io::WaitToken wake;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_.load(std::memory_order_relaxed)) return;
      end = end_;
      if (end == 0) wake = wake_ = io::WaitToken::make(io::WaitReason::kTask);
    }
    if (end == 0) {
      parts_.environment.executor->block_on(wake);
      continue;
    }
    const bool freed = move_behind(end);
    {
      const std::lock_guard lock(mutex_);
      end_ = 0;
      checkpoints_left_ = kCheckpointsOfRound;
    }
    if (freed) parts_.request_checkpoint();
  }
}

// stop() ends it.
void Shrinker::pause(std::chrono::microseconds span) {
  io::WaitToken wake;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_.load(std::memory_order_relaxed)) return;
    wake = wake_ = io::WaitToken::make(io::WaitReason::kTask);
  }
  parts_.environment.executor->block_on(wake, span);
}

bool Shrinker::move_behind(std::uint64_t end) {
  std::vector<EntryLedger::Place> places = parts_.ledger->images_behind(end);
  std::ranges::sort(places, std::greater{}, &EntryLedger::Place::block);
  AlignedBuffer buffer(kFrameBytes);
  std::size_t moved = 0;
  std::uint64_t since_pause = 0;
  for (const EntryLedger::Place& place : places) {
    if (stopping_.load(std::memory_order_relaxed)) break;
    const auto result = parts_.buffer->relocate(place.page, end, buffer.span());
    if (result == BufferManager::Relocation::kNoRoom) break;
    if (result == BufferManager::Relocation::kNotNow) continue;
    ++moved;
    since_pause += kFrameBytes;
    if (since_pause < kPauseBytes) continue;
    pause(std::chrono::microseconds(since_pause * 1'000'000 / bytes_per_second_));
    since_pause = 0;
  }
  const Action action(*parts_.gate);
  return parts_.ledger->rewrite_chunks_behind(end, parts_.gate->epoch()) > 0 || moved > 0;
}

}  // namespace rustbd::storage
