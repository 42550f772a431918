// Page ids: giving out new pages, and taking back those that were given up once nobody can see them any more.
#include <cstring>

#include "rustbd/base/error.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/pages/entry_ledger.h"

namespace rustbd::storage {
namespace {
constexpr std::uint64_t kGivenUpWake = 64;  // pages given up before the pool thread looks

void clear_page(std::byte* memory, std::uint64_t id, PageKind kind, std::uint32_t owner) {
  std::memset(memory, 0, kPageBytes);
  PageHeader header{};
  header.page_id = id;
  header.kind = kind;
  header.owner = owner;
  std::memcpy(memory, &header, sizeof header);
}

}  // namespace

void BufferManager::set_next_page_id(std::uint64_t next, std::vector<std::uint64_t> free_ids) {
  const std::lock_guard lock(id_mutex_);
  next_page_id_.store(next, std::memory_order_release);
  free_ids_ = std::move(free_ids);
}

// 0: none left.
std::uint64_t BufferManager::take_page_id() {
  const std::lock_guard lock(id_mutex_);
  if (!free_ids_.empty()) {
    const std::uint64_t id = free_ids_.back();
    free_ids_.pop_back();
    return id;
  }
  const std::uint64_t id = next_page_id_.load(std::memory_order_relaxed);
  if (!directory_.grow(id + 1)) return 0;
  next_page_id_.store(id + 1, std::memory_order_release);
  return id;
}

Allocated BufferManager::alloc(PageKind kind, std::uint32_t owner, PageClass page_class) {
  RUSTBD_DEBUG_ASSERT(gate_.inside(), "I5: pages are made inside the gate");
  if (page_class != 0) throw not_supported("a page class above 0");
  switch (admit_write()) {
    case WriteAdmission::kNoSpace: return {AllocStatus::kNoSpace, {}, {}};
    case WriteAdmission::kStopped: return {AllocStatus::kStopped, {}, {}};
    case WriteAdmission::kOk: break;
  }
  io::WaitToken wait;
  const std::uint32_t frame = take_frame(wait);
  if (frame == kNoFrameIndex) return {AllocStatus::kNoFrame, {}, std::move(wait)};
  const std::uint64_t id = take_page_id();
  if (id == 0) {
    give_frame(frame);
    return {AllocStatus::kNoSpace, {}, {}};
  }
  PageEntry& entry = directory_.entry(id);
  std::uint64_t word = entry.state.load(std::memory_order_acquire);
  for (;;) {  // somebody with a stale id may look at it for a moment
    word = LatchWord::make(LatchWord::kEvicted, LatchWord::version(word));
    const std::uint64_t locked = LatchWord::make(LatchWord::kExclusive, LatchWord::version(word));
    if (entry.state.compare_exchange_weak(word, locked, std::memory_order_acq_rel)) break;
  }
  ledger_.set_allocated(id, entry, page_class, kind, gate_.epoch());
  std::byte* memory = frames_.memory(frame);
  clear_page(memory, id, kind, owner);
  FrameMeta& meta = frames_.meta(frame);
  meta.dirty_epoch.store(static_cast<std::uint32_t>(gate_.epoch()), std::memory_order_relaxed);
  meta.page.store(id, std::memory_order_release);
  entry.frame.store(frame, std::memory_order_release);
  dirty_count_.fetch_add(1, std::memory_order_relaxed);
  meta.seen_dirty.store(0, std::memory_order_relaxed);
  note_access(frame);
  if (kind != PageKind::kTemp) {
    note_dirty(id);
    note_for_strategy(id);
  }
  Allocated out;
  out.guard = ExclusiveGuard(this, &entry, PageId{id}, memory, LatchWord::version(word));
  return out;
}

Allocated BufferManager::remake(PageId id, PageKind kind, std::uint32_t owner) {
  RUSTBD_DEBUG_ASSERT(gate_.inside(), "I5: pages are made inside the gate");
  io::WaitToken wait;
  const std::uint32_t frame = take_frame(wait);
  if (frame == kNoFrameIndex) return {AllocStatus::kNoFrame, {}, std::move(wait)};
  PageEntry& entry = entry_of(id);
  std::uint64_t word = entry.state.load(std::memory_order_acquire);
  const std::uint64_t version = LatchWord::version(word);
  if (LatchWord::latch(word) != LatchWord::kEvicted || !entry.has(PageEntry::kBad) ||
      !entry.state.compare_exchange_strong(word, LatchWord::make(LatchWord::kExclusive, version),
                                           std::memory_order_acq_rel)) {
    give_frame(frame);
    return {AllocStatus::kStopped, {}, {}};
  }
  std::byte* memory = frames_.memory(frame);
  clear_page(memory, id.raw(), kind, owner);
  FrameMeta& meta = frames_.meta(frame);
  meta.dirty_epoch.store(0, std::memory_order_relaxed);
  meta.seen_dirty.store(0, std::memory_order_relaxed);
  note_access(frame);
  meta.page.store(id.raw(), std::memory_order_release);
  entry.frame.store(frame, std::memory_order_release);
  entry.clear(PageEntry::kBad);
  Allocated out;
  out.guard = ExclusiveGuard(this, &entry, id, memory, version);
  static_cast<void>(mark_dirty(entry, id.raw()));  // of a clean page: never refused
  return out;
}

void BufferManager::free(ExclusiveGuard&& guard) {
  RUSTBD_DEBUG_ASSERT(gate_.inside(), "I5: pages are given up inside the gate");
  const PageId id = guard.page_id();
  guard.release();
  free_unread(id);
}

void BufferManager::free_unread(PageId id) {
  RUSTBD_DEBUG_ASSERT(gate_.inside(), "I5: pages are given up inside the gate");
  RUSTBD_ASSERT(known(id) && !entry_of(id).has(PageEntry::kFreePage), "a page is given up once");
  if (!entry_of(id).has(PageEntry::kTemp)) pending_.add(id, PendingKind::kPage);
  const std::lock_guard lock(id_mutex_);
  given_up_.push_back({id.raw(), epochs_.retire_stamp()});
  if (given_up_count_.fetch_add(1, std::memory_order_relaxed) + 1 >= kGivenUpWake) wake_pool();
}

// In an action. False: somebody uses the page just now, or a checkpoint has not written it yet.
bool BufferManager::reclaim_one(std::uint64_t id) {
  PageEntry& entry = directory_.entry(id);
  std::uint64_t word = entry.state.load(std::memory_order_acquire);
  const std::uint64_t latch = LatchWord::latch(word);
  const std::uint64_t version = LatchWord::version(word);
  if (latch != LatchWord::kFree && latch != LatchWord::kMarked && latch != LatchWord::kEvicted) return false;
  if (!entry.state.compare_exchange_strong(word, LatchWord::make(LatchWord::kExclusive, version),
                                           std::memory_order_acq_rel)) {
    return false;
  }
  const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
  if (latch == LatchWord::kEvicted) {
    ledger_.set_free(id, entry, gate_.epoch());
    entry.state.store(LatchWord::make(LatchWord::kEvicted, version + 1), std::memory_order_release);
    return true;
  }
  FrameMeta& meta = frames_.meta(frame);
  const std::uint64_t running = ledger_.running();
  const bool dirty = entry.has(PageEntry::kDirty);
  const bool needed = running != 0 && dirty && !entry.has(PageEntry::kTemp) &&
                      meta.dirty_epoch.load(std::memory_order_acquire) <= static_cast<std::uint32_t>(running);
  if (needed || meta.writing.load(std::memory_order_acquire) != 0 ||
      meta.pins.load(std::memory_order_acquire) != 0 ||
      meta.checkpoint_copy.load(std::memory_order_acquire) != kNoFrameIndex) {
    entry.state.store(LatchWord::make(LatchWord::kFree, version), std::memory_order_release);
    return false;
  }
  if (dirty) dirty_count_.fetch_sub(1, std::memory_order_relaxed);
  ledger_.set_free(id, entry, gate_.epoch());
  give_frame(drop_frame(entry, frame, version));
  return true;
}

std::size_t BufferManager::reclaim_freed(std::size_t limit) {
  std::deque<GivenUp> due;
  {
    const std::lock_guard lock(id_mutex_);
    if (given_up_.empty()) return 0;
    const std::uint64_t oldest = epochs_.oldest_pinned();
    while (due.size() < limit && !given_up_.empty() && given_up_.front().stamp < oldest) {
      due.push_back(given_up_.front());
      given_up_.pop_front();
    }
  }
  std::size_t freed = 0;
  std::deque<GivenUp> again;
  for (const GivenUp& page : due) {
    const Action action(gate_);
    if (!reclaim_one(page.page)) {
      again.push_back(page);
      continue;
    }
    ++freed;
    pending_.remove(PageId{page.page});
    const std::lock_guard lock(id_mutex_);
    free_ids_.push_back(page.page);
    given_up_count_.fetch_sub(1, std::memory_order_relaxed);
  }
  const std::lock_guard lock(id_mutex_);
  given_up_.insert(given_up_.begin(), again.begin(), again.end());
  return freed;
}

}  // namespace rustbd::storage
