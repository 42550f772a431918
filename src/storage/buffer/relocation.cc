// Moving the image of a page to another place of the file as it is, without decoding it: how the file's end
// becomes free.
#include "rustbd/base/hash.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/entry_ledger.h"
#include "rustbd/storage/pages/extent_allocator.h"

namespace rustbd::storage {

// The copy is made without a latch: the checksum tells whether it is the image that the entry named, and the
// entry is changed only if it still names it.
BufferManager::Relocation BufferManager::relocate(std::uint64_t id, std::uint64_t end,
                                                  std::span<std::byte> buffer) {
  PageEntry& entry = directory_.entry(id);
  const StoredEntry image = ledger_.image_of(id);
  const Extent from = Extent::unpack(image.extent);
  if (from.none() || from.bytes() > buffer.size()) return Relocation::kNotNow;
  const auto bytes = buffer.first(from.bytes());
  if (!file_.read(from.offset(), bytes) || xxh3_64(bytes.data(), bytes.size()) != image.checksum) {
    return Relocation::kNotNow;  // replaced meanwhile, or damaged: whoever reads the page will tell
  }
  const auto to = allocator_.allocate_before(from.blocks, end);
  if (!to) return Relocation::kNoRoom;
  if (!file_.write(to->offset(), bytes)) {
    allocator_.quarantine(*to);
    return Relocation::kNotNow;
  }
  const Action action(gate_);  // the epoch stands still
  std::uint64_t word = entry.state.load(std::memory_order_acquire);
  const std::uint64_t latch = LatchWord::latch(word), version = LatchWord::version(word);
  const bool latched =
      (latch == LatchWord::kFree || latch == LatchWord::kMarked || latch == LatchWord::kEvicted) &&
      entry.state.compare_exchange_strong(word, LatchWord::make(LatchWord::kExclusive, version),
                                          std::memory_order_acq_rel);
  const bool moved =
      latched && !entry.has(PageEntry::kDirty) && ledger_.move_image(id, entry, image, *to, gate_.epoch());
  if (latched) {  // the content is the same: optimistic readers need not start again
    const auto now = latch == LatchWord::kEvicted ? LatchWord::kEvicted : LatchWord::kFree;
    entry.state.store(LatchWord::make(now, version), std::memory_order_release);
  }
  if (!moved) {
    allocator_.free(*to);
    return Relocation::kNotNow;
  }
  page_moves_.fetch_add(1, std::memory_order_relaxed);
  return Relocation::kMoved;
}

}  // namespace rustbd::storage
