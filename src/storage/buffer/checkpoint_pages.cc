// Dirty pages: marking them, and writing those of a checkpoint while others go on changing them (storage.md
// §6 step 2).
#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>
#include <thread>

#include "rustbd/base/bytes.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/buffer/image_writer.h"
#include "rustbd/storage/pages/entry_ledger.h"
#include "rustbd/storage/pages/extent_image.h"

namespace rustbd::storage {
namespace {
constexpr std::chrono::microseconds kInFlightPause{200};  // an eviction's write of the same page is under way
}

// Exclusive latch held. A page that the running checkpoint has not written yet is copied first.
DirtyResult BufferManager::mark_dirty(PageEntry& entry, std::uint64_t id) {
  RUSTBD_DEBUG_ASSERT(gate_.inside(), "I5: pages change inside the gate");
  const std::uint32_t frame = entry.frame.load(std::memory_order_relaxed);
  FrameMeta& meta = frames_.meta(frame);
  const auto epoch = static_cast<std::uint32_t>(gate_.epoch());
  const bool dirty = entry.has(PageEntry::kDirty);
  if (dirty && meta.dirty_epoch.load(std::memory_order_relaxed) == epoch) return {};
  if (dirty && !entry.has(PageEntry::kTemp) && ledger_.running() != 0) {
    DirtyResult copied = copy_for_checkpoint(meta, frame, id);
    if (!copied) return copied;
  }
  if (!dirty) {
    entry.set(PageEntry::kDirty);
    dirty_count_.fetch_add(1, std::memory_order_relaxed);
  }
  meta.dirty_epoch.store(epoch, std::memory_order_release);
  if (!entry.has(PageEntry::kTemp)) {
    note_dirty(id);
    if (!dirty) note_for_strategy(id);
  }
  return {};
}

DirtyResult BufferManager::copy_for_checkpoint(FrameMeta& meta, std::uint32_t frame, std::uint64_t id) {
  std::uint32_t copy = frames_.take_reserve();
  if (copy == kNoFrameIndex) copy = frames_.take();
  if (copy == kNoFrameIndex) {
    const std::lock_guard lock(copy_mutex_);
    if (ledger_.running() == 0) return {};  // it has ended: nobody needs the copy
    copy_wanted_.push_back(id);
    if (!copy_wait_) copy_wait_ = io::WaitToken::make(io::WaitReason::kMemory);
    return {false, copy_wait_};
  }
  std::memcpy(frames_.memory(copy), frames_.memory(frame), kPageBytes);
  meta.checkpoint_copy.store(copy, std::memory_order_release);
  return {};
}

void BufferManager::note_dirty(std::uint64_t id) {
  DirtyShard& shard = dirty_[thread_slot() % kDirtyShards];
  const std::lock_guard lock(shard.mutex);
  shard.pages.push_back(id);
}

std::vector<std::uint64_t> BufferManager::begin_checkpoint() {
  std::vector<std::uint64_t> pages = std::move(checkpoint_left_);
  checkpoint_left_.clear();
  for (DirtyShard& shard : dirty_) {
    std::vector<std::uint64_t> taken;
    {
      const std::lock_guard lock(shard.mutex);
      taken.swap(shard.pages);
    }
    pages.insert(pages.end(), taken.begin(), taken.end());
  }
  return pages;
}

BufferManager::Staging BufferManager::stage_for_checkpoint(std::uint64_t id, ImageWriter& writer) {
  const std::uint64_t running = ledger_.running();
  PageEntry& entry = directory_.entry(id);
  std::uint64_t word = entry.state.load(std::memory_order_acquire);
  for (;;) {
    const std::uint64_t latch = LatchWord::latch(word);
    if (latch == LatchWord::kEvicted || latch == LatchWord::kLoading)
      return Staging::kNothingToDo;  // it was written
    if (latch < LatchWord::kSharedMax || latch == LatchWord::kMarked) {
      const std::uint64_t holders = latch == LatchWord::kMarked ? 1 : latch + 1;
      if (entry.state.compare_exchange_weak(word, LatchWord::make(holders, LatchWord::version(word)),
                                            std::memory_order_acq_rel)) {
        break;
      }
      continue;
    }
    std::this_thread::yield();
    word = entry.state.load(std::memory_order_acquire);
  }
  const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
  FrameMeta& meta = frames_.meta(frame);
  const std::uint32_t dirty_epoch = meta.dirty_epoch.load(std::memory_order_acquire);
  const std::uint32_t copy = meta.checkpoint_copy.load(std::memory_order_acquire);
  Staging result = Staging::kNothingToDo;
  if (entry.has(PageEntry::kDirty) && !entry.has(PageEntry::kTemp) &&
      (copy != kNoFrameIndex || dirty_epoch <= static_cast<std::uint32_t>(running))) {
    if (meta.writing.exchange(1, std::memory_order_acq_rel) != 0) {
      result = Staging::kLater;
    } else {
      PageImage image;
      image.page = id;
      image.entry = &entry;
      image.frame = frame;
      image.version = LatchWord::version(word);
      image.dirty_epoch = dirty_epoch;
      const std::byte* source = frames_.memory(copy != kNoFrameIndex ? copy : frame);
      writer.add(std::move(image), running, compression(), source);
      result = Staging::kStaged;
    }
  }
  unlatch_shared(entry);
  return result;
}

// If the page was marked dirty since it was encoded there is a copy of it by now (and it stays dirty); if
// there is none it has not changed, for any change of it would have needed mark_dirty() in the new epoch.
void BufferManager::finish_checkpoint_image(const PageImage& image) {
  PageEntry& entry = *image.entry;
  FrameMeta& meta = frames_.meta(image.frame);
  Outcome ignored{};
  while (!latch_shared(entry, image.page, ignored)) std::this_thread::yield();
  if (!image.extent.none()) {
    ledger_.set_image(image.page, entry, image.kind, image.extent, image.checksum, image.key.get(),
                      ledger_.running());
    page_writes_.fetch_add(1, std::memory_order_relaxed);
    written_blocks_.fetch_add(image.blocks, std::memory_order_relaxed);
    const std::uint32_t copy = meta.checkpoint_copy.exchange(kNoFrameIndex, std::memory_order_acq_rel);
    if (copy != kNoFrameIndex) {
      give_frame(copy);
    } else if (meta.dirty_epoch.load(std::memory_order_acquire) == image.dirty_epoch) {
      entry.clear(PageEntry::kDirty);
      dirty_count_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  meta.writing.store(0, std::memory_order_release);
  unlatch_shared(entry);
}

std::vector<std::uint64_t> BufferManager::take_wanted() {
  const std::lock_guard lock(copy_mutex_);
  return std::exchange(copy_wanted_, {});
}

void BufferManager::fire_copy_wait() {
  io::WaitToken wait;
  {
    const std::lock_guard lock(copy_mutex_);
    wait = std::move(copy_wait_);
    copy_wait_ = {};
  }
  wait.fire();
}

io::IoResult<> BufferManager::write_checkpoint_pages(std::vector<std::uint64_t> pages) {
  std::ranges::sort(pages);
  pages.erase(std::ranges::unique(pages).begin(), pages.end());
  ImageWriter writer(file_, space_, allocator_, keys_,
                     std::clamp<std::size_t>(pages.size(), 1, ImageWriter::kImagesMax));
  checkpoint_left_ = pages;  // until all are written
  std::size_t next = 0;
  std::vector<std::uint64_t> first;  // what writers wait for, and what an eviction was writing
  while (next < pages.size() || !first.empty()) {
    std::vector<std::uint64_t> later;
    std::vector<std::uint64_t> wanted = take_wanted();
    first.insert(first.end(), wanted.begin(), wanted.end());
    std::size_t taken = 0;
    for (; taken < first.size() && !writer.full(); ++taken) {
      if (stage_for_checkpoint(first[taken], writer) == Staging::kLater) later.push_back(first[taken]);
    }
    first.erase(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(taken));
    for (; next < pages.size() && !writer.full(); ++next) {
      if (stage_for_checkpoint(pages[next], writer) == Staging::kLater) later.push_back(pages[next]);
    }
    first.insert(first.end(), later.begin(), later.end());
    if (writer.images.empty()) {
      if (first.empty()) break;
      environment_.executor->block_on(environment_.executor->after(kInFlightPause));
      continue;
    }
    const auto written = writer.write();
    for (const PageImage& image : writer.images) finish_checkpoint_image(image);
    writer.images.clear();
    fire_copy_wait();
    if (!written) {
      note_write_failure(written.error());
      return written;
    }
  }
  checkpoint_left_.clear();
  return {};
}

void BufferManager::end_checkpoint(bool durable) {
  if (durable) {
    writes_stopped_.store(false, std::memory_order_relaxed);
    RUSTBD_ASSERT(checkpoint_left_.empty());
  }
  // No checkpoint runs any more, so no new copy is made once the latch was ours.
  for (const std::uint64_t id : checkpoint_left_) {
    PageEntry& entry = directory_.entry(id);
    std::uint64_t word = entry.state.load(std::memory_order_acquire);
    while (LatchWord::latch(word) != LatchWord::kEvicted && LatchWord::latch(word) != LatchWord::kLoading) {
      if (LatchWord::latch(word) < LatchWord::kSharedMax || LatchWord::latch(word) == LatchWord::kMarked) {
        const std::uint64_t holders =
            LatchWord::latch(word) == LatchWord::kMarked ? 1 : LatchWord::latch(word) + 1;
        if (!entry.state.compare_exchange_weak(word, LatchWord::make(holders, LatchWord::version(word)),
                                               std::memory_order_acq_rel)) {
          continue;
        }
        FrameMeta& meta = frames_.meta(entry.frame.load(std::memory_order_acquire));
        const std::uint32_t copy = meta.checkpoint_copy.exchange(kNoFrameIndex, std::memory_order_acq_rel);
        if (copy != kNoFrameIndex) give_frame(copy);
        unlatch_shared(entry);
        break;
      }
      std::this_thread::yield();
      word = entry.state.load(std::memory_order_acquire);
    }
  }
  (void)take_wanted();
  fire_copy_wait();
}

}  // namespace rustbd::storage
