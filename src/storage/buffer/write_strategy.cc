// Writing dirty pages before a checkpoint or an eviction needs it: write-through at once, write-behind when
// they have been dirty for a while. An image made here is one like eviction's, only that the page stays in
// memory.
#include <chrono>

#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/buffer/image_writer.h"

namespace rustbd::storage {
namespace {
/// A page that was dirty in two sweeps is written: it has been dirty for 250 to 500 ms.
constexpr std::chrono::microseconds kSweepInterval{250'000};
constexpr std::uint64_t kDirtyPercentMax = 30;
}  // namespace

std::string_view to_text(WriteStrategy strategy) {
  static constexpr std::string_view kNames[] = {"writeback", "writethrough", "writebehind"};
  return kNames[static_cast<std::size_t>(strategy)];
}

void BufferManager::set_write_strategy(WriteStrategy strategy) {
  write_strategy_.store(strategy, std::memory_order_relaxed);
  wake_pool();
}

bool BufferManager::many_dirty() const {
  return dirty_count() * 100 > std::uint64_t{frames_.count()} * kDirtyPercentMax;
}

// Only write-through asks for single pages; write-behind's sweep finds them again.
void BufferManager::want_flush(std::uint64_t id) {
  if (write_strategy_.load(std::memory_order_relaxed) != WriteStrategy::kWriteThrough) return;
  const std::lock_guard lock(flush_mutex_);
  flush_wanted_.push_back(id);
}

// Called for a page that becomes dirty, with its exclusive latch.
void BufferManager::note_for_strategy(std::uint64_t id) {
  switch (write_strategy_.load(std::memory_order_relaxed)) {
    case WriteStrategy::kWriteBack: return;
    case WriteStrategy::kWriteThrough: want_flush(id); break;
    case WriteStrategy::kWriteBehind:
      if (sweep_wanted_.exchange(true, std::memory_order_seq_cst) && !many_dirty()) return;
      break;
  }
  wake_pool();
}

std::vector<std::uint64_t> BufferManager::pages_to_flush() {
  std::vector<std::uint64_t> pages;
  {
    const std::lock_guard lock(flush_mutex_);
    pages.swap(flush_wanted_);
  }
  if (write_strategy_.load(std::memory_order_relaxed) != WriteStrategy::kWriteBehind) return pages;
  const bool all = many_dirty();
  if (!all && !sweep_timer_.fired()) return pages;
  sweep_wanted_.store(false, std::memory_order_seq_cst);  // whatever becomes dirty from here on asks anew
  bool again = false;
  for (std::uint32_t frame = 0; frame < frames_.count(); ++frame) {
    FrameMeta& meta = frames_.meta(frame);
    const std::uint64_t id = meta.page.load(std::memory_order_acquire);
    const PageEntry* entry = id != 0 ? &directory_.entry(id) : nullptr;
    const bool dirty = entry != nullptr && entry->has(PageEntry::kDirty) && !entry->has(PageEntry::kTemp);
    if (dirty && (all || meta.seen_dirty.load(std::memory_order_relaxed) != 0)) pages.push_back(id);
    meta.seen_dirty.store(dirty ? 1 : 0, std::memory_order_relaxed);
    again = again || dirty;
  }
  if (again) sweep_wanted_.store(true, std::memory_order_seq_cst);
  sweep_timer_ = environment_.executor->after(kSweepInterval);
  return pages;
}

// The pool thread. Returns whether pages are left: latched just now, or changed while they were written.
bool BufferManager::flush_pages(ImageWriter& writer) {
  writer.images.clear();
  for (const std::uint64_t id : pages_to_flush()) {
    PageEntry& entry = directory_.entry(id);
    std::uint64_t word = entry.state.load(std::memory_order_acquire);
    const std::uint64_t latch = LatchWord::latch(word);
    if (latch == LatchWord::kEvicted || latch == LatchWord::kLoading) continue;  // it was written
    const bool marked = latch == LatchWord::kMarked;
    if ((!marked && latch >= LatchWord::kSharedMax) ||
        !entry.state.compare_exchange_strong(
            word, LatchWord::make(marked ? 1 : latch + 1, LatchWord::version(word)),
            std::memory_order_acq_rel)) {
      want_flush(id);
      continue;
    }
    if (entry.has(PageEntry::kDirty) && !entry.has(PageEntry::kTemp) &&
        !stage_image(entry, id, LatchWord::version(word), writer)) {
      want_flush(id);
    }
    unlatch_shared(entry);
    if (writer.full()) (void)finish_images(writer, AfterWrite::kKeep);
  }
  if (!writer.images.empty()) (void)finish_images(writer, AfterWrite::kKeep);
  const std::lock_guard lock(flush_mutex_);
  return !flush_wanted_.empty();
}

// Write-behind sweeps although nobody wakes the pool thread.
void BufferManager::wake_for_sweep(const io::WaitToken& wake) {
  if (!sweep_wanted_.load(std::memory_order_seq_cst)) return;
  if (sweep_timer_.fired()) sweep_timer_ = environment_.executor->after(kSweepInterval);
  sweep_timer_.then(environment_.executor->workers(), [wake] { wake.fire(); });
}

}  // namespace rustbd::storage
