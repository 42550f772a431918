// Frames for pages that come: eviction of what the policy names, shadow writes of dirty pages, and the pool
// thread (storage.md §2.1).
#include <algorithm>
#include <chrono>
#include <thread>

#include "rustbd/base/bytes.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/buffer/image_writer.h"
#include "rustbd/storage/pages/entry_ledger.h"
#include "rustbd/storage/pages/extent_image.h"

namespace rustbd::storage {
namespace {
constexpr std::size_t kForegroundScan = 256;  // frames that a fix looks at itself when none is free
constexpr std::size_t kEvictBatch = 64;
constexpr std::size_t kPickBatch = kForegroundScan;  // candidates asked for at once
constexpr unsigned kFruitlessRoundsMax =
    20;  // full sweeps of the pool thread before it says that nothing can go
constexpr std::chrono::microseconds kFruitlessPause{500};
constexpr std::uint64_t kMarginBlocksMax = 1024;    // 4 MiB of room that new writes must leave
constexpr std::uint64_t kSnapshotBlocks = 256;      // room kept for the undo snapshot's first extent
constexpr std::uint64_t kDeferredBlocksMin = 8192;  // 32 MiB that wait for a checkpoint do not start one
constexpr std::chrono::microseconds kRoomInterval{1'000'000};
}  // namespace

std::uint32_t BufferManager::take_frame(io::WaitToken& wait) {
  const std::uint32_t low = std::max<std::uint32_t>(2, frames_.count() / 100);
  if (frames_.free_count() <= low) wake_pool();
  std::uint32_t frame = frames_.take();
  if (frame != kNoFrameIndex) return frame;
  for (unsigned sweep = 0; sweep < 2; ++sweep) {  // the first may only mark
    if (evict_round(1, kForegroundScan, nullptr) > 0 && (frame = frames_.take()) != kNoFrameIndex)
      return frame;
  }
  if (frames_exhausted_.exchange(false)) return kNoFrameIndex;
  {
    const std::lock_guard lock(frame_mutex_);
    if (!frame_wait_) frame_wait_ = io::WaitToken::make(io::WaitReason::kMemory);
    wait = frame_wait_;
    frame_wanted_.store(true, std::memory_order_seq_cst);
  }
  frame = frames_.take();  // one may have come between the look and the wish
  if (frame == kNoFrameIndex) {
    frame_waits_.fetch_add(1, std::memory_order_relaxed);
    wake_pool();
  }
  return frame;
}

void BufferManager::give_frame(std::uint32_t frame) {
  frames_.give(frame);
  if (frames_exhausted_.load(std::memory_order_relaxed))  // it was for those who wait no longer
    frames_exhausted_.store(false, std::memory_order_seq_cst);
  if (frame_wanted_.load(std::memory_order_seq_cst)) fire_frame_wait();
}

void BufferManager::fire_frame_wait() {
  io::WaitToken wait;
  {
    const std::lock_guard lock(frame_mutex_);
    wait = std::move(frame_wait_);
    frame_wait_ = {};
    frame_wanted_.store(false, std::memory_order_seq_cst);
  }
  wait.fire();
}

// Exclusive latch held. Leaves the page evicted; the frame is the caller's.
std::uint32_t BufferManager::drop_frame(PageEntry& entry, std::uint32_t frame, std::uint64_t version) {
  frames_.meta(frame).page.store(0, std::memory_order_release);
  entry.frame.store(PageEntry::kNoFrame, std::memory_order_release);
  entry.state.store(LatchWord::make(LatchWord::kEvicted, version + 1), std::memory_order_release);
  return frame;
}

bool BufferManager::drop_clean(PageEntry& entry, std::uint32_t frame) {
  std::uint64_t word = entry.state.load(std::memory_order_acquire);
  const std::uint64_t version = LatchWord::version(word);
  if (LatchWord::latch(word) != LatchWord::kMarked ||
      !entry.state.compare_exchange_strong(word, LatchWord::make(LatchWord::kExclusive, version),
                                           std::memory_order_acq_rel)) {
    return false;
  }
  FrameMeta& meta = frames_.meta(frame);
  const bool can_go = entry.frame.load(std::memory_order_acquire) == frame && !entry.has(PageEntry::kDirty) &&
                      meta.writing.load(std::memory_order_acquire) == 0 &&
                      meta.checkpoint_copy.load(std::memory_order_acquire) == kNoFrameIndex &&
                      meta.pins.load(std::memory_order_acquire) == 0;
  if (!can_go) {
    entry.state.store(LatchWord::make(LatchWord::kFree, version),
                      std::memory_order_release);  // nothing changed
    return false;
  }
  give_frame(drop_frame(entry, frame, version));
  count_eviction();
  return true;
}

void BufferManager::leave(PageId id) {
  if (!known(id)) return;
  PageEntry& entry = entry_of(id);
  std::uint64_t word = entry.state.load(std::memory_order_acquire);
  if (LatchWord::latch(word) != LatchWord::kFree) return;
  entry.state.compare_exchange_strong(word, LatchWord::make(LatchWord::kMarked, LatchWord::version(word)),
                                      std::memory_order_acq_rel);
}

void BufferManager::drop_if_left(PageId id) {
  if (!known(id)) return;
  PageEntry& entry = entry_of(id);
  if (LatchWord::latch(entry.state.load(std::memory_order_acquire)) != LatchWord::kMarked) return;
  const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
  if (frame < frames_.count() && drop_clean(entry, frame))
    left_dropped_.fetch_add(1, std::memory_order_relaxed);
}

// `writer`: dirty pages too. Returns how many went.
std::size_t BufferManager::evict_round(std::size_t wanted, std::size_t scan, ImageWriter* writer) {
  const auto kind = policy_kind_.load(std::memory_order_relaxed);
  EvictionPolicy& policy = *policies_[static_cast<std::size_t>(kind)];
  std::size_t gone = 0;
  std::vector<std::uint32_t> candidates;
  if (writer != nullptr) writer->images.clear();
  const auto enough = [&] { return gone + (writer != nullptr ? writer->images.size() : 0) >= wanted; };
  for (std::size_t tried = 0; tried < scan && !enough();) {
    candidates.clear();
    policy.pick(std::min(kPickBatch, scan - tried), candidates);
    if (candidates.empty()) break;
    tried += candidates.size();
    for (const std::uint32_t frame : candidates) {
      if (enough() || (writer != nullptr && writer->full())) break;
      const std::size_t staged = writer != nullptr ? writer->images.size() : 0;
      if (try_evict(frame, policy, writer)) ++gone;
      else if (writer != nullptr && writer->images.size() == staged) policy.on_access(frames_.meta(frame));
    }
    if (writer != nullptr && writer->full()) break;
  }
  if (writer != nullptr && !writer->images.empty()) gone += finish_images(*writer, AfterWrite::kDrop);
  return gone;
}

// True: its page went. A dirty one is staged in `writer` instead.
bool BufferManager::try_evict(std::uint32_t frame, const EvictionPolicy& policy, ImageWriter* writer) {
  const std::uint64_t id = frames_.meta(frame).page.load(std::memory_order_acquire);
  if (id == 0 || frames_.meta(frame).pins.load(std::memory_order_relaxed) != 0) return false;
  PageEntry& entry = directory_.entry(id);
  std::uint64_t word = entry.state.load(std::memory_order_acquire);
  if (LatchWord::latch(word) == LatchWord::kFree) {
    const bool marked = entry.state.compare_exchange_strong(
        word, LatchWord::make(LatchWord::kMarked, LatchWord::version(word)), std::memory_order_acq_rel);
    if (!marked || policy.second_chance()) return false;
  } else if (LatchWord::latch(word) != LatchWord::kMarked) {
    return false;
  }
  if (!entry.has(PageEntry::kDirty)) return drop_clean(entry, frame);
  if (writer != nullptr) (void)stage_for_eviction(entry, id, *writer);
  return false;
}

bool BufferManager::stage_for_eviction(PageEntry& entry, std::uint64_t id, ImageWriter& writer) {
  std::uint64_t word = entry.state.load(std::memory_order_acquire);
  const std::uint64_t version = LatchWord::version(word);
  if (LatchWord::latch(word) != LatchWord::kMarked ||
      !entry.state.compare_exchange_strong(word, LatchWord::make(1, version), std::memory_order_acq_rel)) {
    return false;
  }
  const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
  const bool staged = entry.has(PageEntry::kDirty) &&
                      frames_.meta(frame).pins.load(std::memory_order_acquire) == 0 &&
                      stage_image(entry, id, version, writer);
  unlatch_shared(entry);
  return staged;
}

// Shared latch held, page dirty. False: the running checkpoint still needs its copy, or an image is on its
// way.
bool BufferManager::stage_image(PageEntry& entry, std::uint64_t id, std::uint64_t version,
                                ImageWriter& writer) {
  const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
  FrameMeta& meta = frames_.meta(frame);
  if (meta.checkpoint_copy.load(std::memory_order_acquire) != kNoFrameIndex ||
      meta.writing.exchange(1, std::memory_order_acq_rel) != 0) {
    return false;
  }
  PageImage image;
  image.page = id;
  image.entry = &entry;
  image.frame = frame;
  image.version = version;
  image.dirty_epoch = meta.dirty_epoch.load(std::memory_order_acquire);
  writer.add(std::move(image), image_epoch(image.dirty_epoch), compression(), frames_.memory(frame));
  return true;
}

// storage.md §2.1: an image of a page that was last changed before the running checkpoint's epoch ended is
// its. The gate's epoch comes first: a checkpoint that begins between the two looks has set running() before
// it ends the epoch, so it is either seen, or the epoch is still its.
std::uint64_t BufferManager::image_epoch(std::uint32_t dirty_epoch) const {
  const std::uint64_t epoch = gate_.epoch();
  const std::uint64_t running = ledger_.running();
  return running != 0 && dirty_epoch <= static_cast<std::uint32_t>(running) ? running : epoch;
}

// How many were written and taken over.
std::size_t BufferManager::finish_images(ImageWriter& writer, AfterWrite after) {
  if (auto written = writer.write(); !written) note_write_failure(written.error());
  std::size_t done = 0;
  for (const PageImage& image : writer.images) done += finish_image(image, after) ? 1 : 0;
  writer.images.clear();
  return done;
}

// An image of a page that has changed since is worth nothing: nobody knows its extent, which is free again.
bool BufferManager::finish_image(const PageImage& image, AfterWrite after) {
  const Action action(gate_);  // the epoch stands still
  PageEntry& entry = *image.entry;
  FrameMeta& meta = frames_.meta(image.frame);
  std::optional<std::uint64_t> word;
  if (!image.extent.none() &&
      LatchWord::version(entry.state.load(std::memory_order_acquire)) == image.version) {
    Outcome ignored{};
    word = latch_exclusive(entry, image.page, ignored);
  }
  const std::uint32_t dirty_epoch = meta.dirty_epoch.load(std::memory_order_acquire);
  const bool good = word && LatchWord::version(*word) == image.version && dirty_epoch == image.dirty_epoch &&
                    entry.has(PageEntry::kDirty);
  const auto unlatch_unchanged = [&] {
    entry.state.store(LatchWord::make(LatchWord::kFree, LatchWord::version(*word)),
                      std::memory_order_release);
  };
  if (!good) {
    allocator_.free(image.extent);
    meta.writing.store(0, std::memory_order_release);
    if (word) unlatch_unchanged();
    if (after == AfterWrite::kKeep && !image.extent.none()) want_flush(image.page);  // changed meanwhile
    return false;
  }
  ledger_.set_image(image.page, entry, image.kind, image.extent, image.checksum, image.key.get(),
                    image_epoch(dirty_epoch));
  entry.clear(PageEntry::kDirty);
  dirty_count_.fetch_sub(1, std::memory_order_relaxed);
  page_writes_.fetch_add(1, std::memory_order_relaxed);
  written_blocks_.fetch_add(image.blocks, std::memory_order_relaxed);
  meta.writing.store(0, std::memory_order_release);
  if (after == AfterWrite::kKeep) {
    unlatch_unchanged();
    return true;
  }
  count_eviction();
  give_frame(drop_frame(entry, image.frame, image.version));
  return true;
}

void BufferManager::note_write_failure(io::IoFailure failure) {
  if (failure != io::IoFailure::kNoSpace) writes_stopped_.store(true, std::memory_order_relaxed);
}

std::size_t BufferManager::evict(std::size_t count) {
  ImageWriter writer(file_, space_, allocator_, keys_,
                     std::clamp<std::size_t>(count, 1, ImageWriter::kImagesMax));
  std::size_t gone = 0;
  for (unsigned fruitless = 0; gone < count && fruitless < 2;) {
    const std::size_t now = evict_round(count - gone, frames_.count(), &writer);
    gone += now;
    fruitless = now == 0 ? fruitless + 1 : 0;
  }
  return gone;
}

// Blocks that must be there so that every dirty page and the directory can be written, however little the
// pages compress (ENOSPC: reads and checkpoints go on).
std::uint64_t BufferManager::reserved_blocks() const {
  const std::uint64_t dirty = dirty_count();
  const std::uint64_t chunks = directory_.chunk_count();
  return dirty * page_blocks(0) + std::min(chunks, dirty + 1) * 3 + chunks * 16 / kBlockBytes + 1 +
         kSnapshotBlocks;
}

std::uint64_t BufferManager::room_wanted() const { return reserved_blocks() + write_margin() * 4; }

std::uint64_t BufferManager::write_margin() const {
  return std::min(kMarginBlocksMax, space_.grow_blocks() / 4);
}

WriteAdmission BufferManager::admit_write() const {
  if (writes_stopped_.load(std::memory_order_relaxed)) return WriteAdmission::kStopped;
  const std::uint64_t margin = write_margin();
  if (__builtin_expect(space_.available() >= reserved_blocks() + margin * 2, 1)) return WriteAdmission::kOk;
  const_cast<BufferManager*>(this)->wake_pool();  // it asks the file system, or grows the file
  if (space_.full() && allocator_.free_blocks() < reserved_blocks() + margin) return WriteAdmission::kNoSpace;
  return WriteAdmission::kOk;
}

void BufferManager::wake_pool() {
  if (pool_wanted_.exchange(true, std::memory_order_seq_cst)) return;
  io::WaitToken wake;
  {
    const std::lock_guard lock(frame_mutex_);
    wake = std::move(pool_wake_);
    pool_wake_ = {};
  }
  wake.fire();
}

void BufferManager::pool_loop() {
  ImageWriter writer(file_, space_, allocator_, keys_);
  while (!stopping_.load(std::memory_order_seq_cst)) {
    pool_wanted_.store(false, std::memory_order_seq_cst);
    pool_work(writer);
    io::WaitToken wake;
    {
      const std::lock_guard lock(frame_mutex_);
      if (pool_wanted_.load(std::memory_order_seq_cst) || stopping_.load(std::memory_order_seq_cst)) continue;
      wake = pool_wake_ = io::WaitToken::make(io::WaitReason::kTask);
    }
    wake_for_sweep(wake);
    wake_for_room(wake);
    environment_.executor->block_on(wake);
  }
  fire_frame_wait();
}

void BufferManager::pool_work(ImageWriter& writer) {
  while (frames_.populate_ahead()) {}
  const std::uint32_t target = std::max<std::uint32_t>(3, frames_.count() / 50);
  unsigned fruitless = 0;
  while (frames_.free_count() < std::min(target, frames_.count() / 4) &&
         !stopping_.load(std::memory_order_seq_cst)) {
    if (evict_round(kEvictBatch, std::size_t{2} * frames_.count(), &writer) > 0) {
      fruitless = 0;
      continue;
    }
    if (!frame_wanted_.load(std::memory_order_seq_cst)) break;
    if (++fruitless > kFruitlessRoundsMax) {
      frames_exhausted_.store(true, std::memory_order_seq_cst);
      fire_frame_wait();
      break;
    }
    environment_.executor->block_on(
        environment_.executor->after(kFruitlessPause));  // latches are held for microseconds
  }
  if (flush_pages(writer) && !stopping_.load(std::memory_order_seq_cst)) {
    pool_wanted_.store(true, std::memory_order_seq_cst);
    environment_.executor->block_on(environment_.executor->after(kFruitlessPause));
  }
  while (reclaim_freed(256) > 0) {}
  epochs_.collect(256);
  (void)space_.secure(room_wanted());
  const std::uint64_t deferred = allocator_.deferred_blocks();
  if (on_deferred_full_ && deferred > kDeferredBlocksMin && deferred * 5 > allocator_.file_blocks())
    on_deferred_full_();
}

// What the file system lends may be taken by others meanwhile: it is asked again while changed pages count on
// it.
void BufferManager::wake_for_room(const io::WaitToken& wake) {
  if (allocator_.free_blocks() >= room_wanted()) return;
  if (room_timer_.fired()) room_timer_ = environment_.executor->after(kRoomInterval);
  room_timer_.then(environment_.executor->workers(), [wake] { wake.fire(); });
}

}  // namespace rustbd::storage
