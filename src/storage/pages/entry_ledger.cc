#include "rustbd/storage/pages/entry_ledger.h"

#include <cstring>

#include "rustbd/base/assert.h"
#include "rustbd/base/bytes.h"

namespace rustbd::storage {
namespace {

constexpr std::uint8_t kFreshMask = 3 << PageEntry::kFreshShift;
std::uint8_t fresh_tag(std::uint64_t epoch) {
  return static_cast<std::uint8_t>((1 + (epoch & 1)) << PageEntry::kFreshShift);
}
void set_fresh(PageEntry& entry, std::uint8_t tag) {
  entry.clear(kFreshMask);
  if (tag != 0) entry.set(tag);
}

}  // namespace

StoredEntry EntryLedger::stored_value(const PageEntry& entry) const {
  StoredEntry stored;
  if (entry.has(PageEntry::kFreePage | PageEntry::kTemp)) {
    stored.flags = PageEntry::kFreePage;
    return stored;
  }
  stored.extent = entry.extent;
  stored.checksum = entry.checksum;
  if (entry.key_index != 0) stored.key_id = keys_->at(entry.key_index)->id();
  stored.class_kind = entry.class_kind;
  return stored;
}

void EntryLedger::before_change(DirectoryChunk& chunk, std::uint64_t page, const PageEntry& entry,
                                std::uint64_t epoch) {
  const std::uint64_t running = running_.load(std::memory_order_seq_cst);
  const auto index = static_cast<std::uint32_t>(page % kChunkEntries);
  if (running != 0 && epoch > running && chunk.encoded_epoch != running) {
    chunk.overrides.try_emplace(index, stored_value(entry));
  }
  if (running != 0 && epoch == running) {
    RUSTBD_ASSERT(chunk.encoded_epoch != running && !chunk.overrides.contains(index),
                  "I9: an image of the running checkpoint is set before any later change of the entry");
  }
  chunk.dirty[epoch & 1] = true;
}

void EntryLedger::replace_extent(const PageEntry& entry, std::uint64_t epoch) {
  const Extent old = Extent::unpack(entry.extent);
  if (old.none()) return;
  if ((entry.flags.load(std::memory_order_acquire) & kFreshMask) == fresh_tag(epoch)) {
    allocator_.free(old);
  } else {
    allocator_.defer(old, running_.load(std::memory_order_seq_cst) == epoch);
  }
}

void EntryLedger::set_image(std::uint64_t page, PageEntry& entry, PageKind kind, Extent extent,
                            std::uint64_t checksum, const security::DataKey* key, std::uint64_t epoch) {
  const std::uint16_t key_index = key != nullptr ? key->index() : 0;
  DirectoryChunk& chunk = directory_.chunk(page / kChunkEntries);
  const std::lock_guard lock(chunk.mutex);
  if (entry.has(PageEntry::kTemp)) {
    allocator_.free(Extent::unpack(entry.extent));
    entry.extent = extent.packed();
    entry.checksum = checksum;
    entry.key_index = key_index;
    return;
  }
  before_change(chunk, page, entry, epoch);
  replace_extent(entry, epoch);
  entry.class_kind = static_cast<std::uint8_t>(entry.page_class() << 4 | static_cast<std::uint8_t>(kind));
  entry.extent = extent.packed();
  entry.checksum = checksum;
  entry.key_index = key_index;
  set_fresh(entry, fresh_tag(epoch));
  const std::lock_guard fresh_lock(fresh_mutex_);
  fresh_[epoch & 1].push_back(page);
}

StoredEntry EntryLedger::image_of(std::uint64_t page) {
  DirectoryChunk& chunk = directory_.chunk(page / kChunkEntries);
  const std::lock_guard lock(chunk.mutex);
  return stored_value(directory_.entry(page));
}

bool EntryLedger::move_image(std::uint64_t page, PageEntry& entry, const StoredEntry& image, Extent to,
                             std::uint64_t epoch) {
  DirectoryChunk& chunk = directory_.chunk(page / kChunkEntries);
  const std::lock_guard lock(chunk.mutex);
  if (stored_value(entry) != image) return false;
  before_change(chunk, page, entry, epoch);
  replace_extent(entry, epoch);
  entry.extent = to.packed();
  set_fresh(entry, fresh_tag(epoch));
  const std::lock_guard fresh_lock(fresh_mutex_);
  fresh_[epoch & 1].push_back(page);
  return true;
}

std::vector<EntryLedger::Place> EntryLedger::images_behind(std::uint64_t end) {
  std::vector<Place> found;
  for (std::uint64_t number = 0; number < directory_.chunk_count(); ++number) {
    const std::lock_guard lock(directory_.chunk(number).mutex);
    for (std::uint64_t page = number * kChunkEntries; page < (number + 1) * kChunkEntries; ++page) {
      const Extent extent = Extent::unpack(stored_value(directory_.entry(page)).extent);
      if (extent.first_block + extent.blocks > end) found.push_back({extent.first_block, page});
    }
  }
  return found;
}

std::vector<std::uint64_t> EntryLedger::images_sealed(const std::function<bool(std::uint16_t)>& wanted,
                                                      std::size_t most) {
  std::vector<std::uint64_t> found;
  for (std::uint64_t number = 0; number < directory_.chunk_count(); ++number) {
    const std::lock_guard lock(directory_.chunk(number).mutex);
    for (std::uint64_t page = number * kChunkEntries; page < (number + 1) * kChunkEntries; ++page) {
      const PageEntry& entry = directory_.entry(page);
      if (entry.has(PageEntry::kFreePage) || entry.extent == 0 || !wanted(entry.key_index)) continue;
      found.push_back(page);
      if (found.size() >= most) return found;
    }
  }
  return found;
}

std::size_t EntryLedger::rewrite_chunks_behind(std::uint64_t end, std::uint64_t epoch) {
  std::size_t found = 0;
  for (std::uint64_t number = 0; number < directory_.chunk_count(); ++number) {
    DirectoryChunk& chunk = directory_.chunk(number);
    const std::lock_guard lock(chunk.mutex);
    if (chunk.extent.first_block + chunk.extent.blocks <= end) continue;
    chunk.dirty[epoch & 1] = true;
    ++found;
  }
  return found;
}

void EntryLedger::set_allocated(std::uint64_t page, PageEntry& entry, PageClass page_class, PageKind kind,
                                std::uint64_t epoch) {
  DirectoryChunk& chunk = directory_.chunk(page / kChunkEntries);
  const std::lock_guard lock(chunk.mutex);
  RUSTBD_ASSERT(entry.has(PageEntry::kFreePage), "a page id is given out once");
  const bool temporary = kind == PageKind::kTemp;
  if (!temporary) before_change(chunk, page, entry, epoch);
  entry.class_kind = static_cast<std::uint8_t>(page_class << 4 | static_cast<std::uint8_t>(kind));
  entry.extent = 0;
  entry.checksum = 0;
  entry.key_index = 0;
  entry.flags.store(PageEntry::kDirty | (temporary ? PageEntry::kTemp : 0), std::memory_order_release);
}

void EntryLedger::set_free(std::uint64_t page, PageEntry& entry, std::uint64_t epoch) {
  DirectoryChunk& chunk = directory_.chunk(page / kChunkEntries);
  const std::lock_guard lock(chunk.mutex);
  if (entry.has(PageEntry::kTemp)) {
    allocator_.free(Extent::unpack(entry.extent));
  } else {
    before_change(chunk, page, entry, epoch);
    replace_extent(entry, epoch);
  }
  entry.class_kind = 0;
  entry.extent = 0;
  entry.checksum = 0;
  entry.key_index = 0;
  entry.flags.store(PageEntry::kFreePage, std::memory_order_release);
}

void EntryLedger::begin(std::uint64_t epoch) {
  allocator_.begin_checkpoint();
  running_.store(epoch, std::memory_order_seq_cst);
}

void EntryLedger::end() {
  const std::uint64_t epoch = running_.exchange(0, std::memory_order_seq_cst);
  RUSTBD_ASSERT(epoch != 0);
  for (std::uint64_t number = 0; number < directory_.chunk_count(); ++number) {
    DirectoryChunk& chunk = directory_.chunk(number);
    const std::lock_guard lock(chunk.mutex);
    chunk.overrides.clear();
    if (chunk.dirty[epoch & 1]) chunk.dirty[(epoch + 1) & 1] = true;
    chunk.dirty[epoch & 1] = false;
  }
  std::vector<std::uint64_t> fresh;
  {
    const std::lock_guard lock(fresh_mutex_);
    fresh.swap(fresh_[epoch & 1]);
  }
  for (const std::uint64_t page : fresh) {
    DirectoryChunk& chunk = directory_.chunk(page / kChunkEntries);
    const std::lock_guard lock(chunk.mutex);
    PageEntry& entry = directory_.entry(page);
    if ((entry.flags.load(std::memory_order_acquire) & kFreshMask) == fresh_tag(epoch)) set_fresh(entry, 0);
  }
}

EntryLedger::ChunkState EntryLedger::encode_chunk(std::uint64_t number, std::span<std::byte> into) {
  const std::uint64_t epoch = running_.load(std::memory_order_seq_cst);
  RUSTBD_ASSERT(epoch != 0 && into.size() == kChunkBytes);
  DirectoryChunk& chunk = directory_.chunk(number);
  const std::lock_guard lock(chunk.mutex);
  chunk.encoded_epoch = epoch;
  if (!chunk.dirty[epoch & 1]) {
    chunk.overrides.clear();
    return ChunkState::kUnchanged;
  }
  bool any = false;
  for (std::uint32_t index = 0; index < kChunkEntries; ++index) {
    const auto found = chunk.overrides.find(index);
    const StoredEntry value = found != chunk.overrides.end()
                                  ? found->second
                                  : stored_value(directory_.entry(number * kChunkEntries + index));
    RUSTBD_ASSERT((value.flags & PageEntry::kFreePage) != 0 || value.extent != 0,
                  "I2: every page of a checkpoint has an image");
    any |= (value.flags & PageEntry::kFreePage) == 0;
    store(into.data() + index * sizeof(StoredEntry), value);
  }
  chunk.overrides.clear();
  chunk.dirty[epoch & 1] = false;
  return any ? ChunkState::kEncoded : ChunkState::kAllFree;
}

void EntryLedger::set_chunk_extent(std::uint64_t number, Extent extent, std::uint64_t checksum) {
  DirectoryChunk& chunk = directory_.chunk(number);
  const std::lock_guard lock(chunk.mutex);
  allocator_.defer(chunk.extent, true);
  chunk.extent = extent;
  chunk.checksum = checksum;
}

void EntryLedger::chunk_failed(std::uint64_t number) {
  DirectoryChunk& chunk = directory_.chunk(number);
  const std::lock_guard lock(chunk.mutex);
  chunk.dirty[(running_.load(std::memory_order_seq_cst) + 1) & 1] = true;
}

}  // namespace rustbd::storage
