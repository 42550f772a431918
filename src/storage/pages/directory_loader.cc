#include "rustbd/storage/pages/directory_loader.h"

#include <algorithm>

#include "rustbd/base/bytes.h"
#include "rustbd/base/error.h"
#include "rustbd/base/hash.h"
#include "rustbd/storage/pages/aligned_buffer.h"
#include "rustbd/storage/pages/snapshot_stream.h"

namespace rustbd::storage {
namespace {

Error damaged(std::string_view what) {
  return error(sqlstate::kDataCorrupted, "the page directory is damaged: {}", what);
}

std::uint16_t key_index(std::uint64_t page, std::uint32_t key_id, const security::KeyRing* keys) {
  if (key_id == 0) return 0;
  const security::DataKey* key = keys != nullptr ? keys->find(key_id) : nullptr;
  if (key == nullptr)
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "page {} is sealed with encryption key {}, which is not in the table of keys", page, key_id);
  return key->index();
}

void load_chunk(std::uint64_t number, std::uint64_t next_page_id, const std::byte* image,
                PageDirectory& directory, ExtentAllocator& allocator, const security::KeyRing* keys) {
  for (std::uint64_t index = 0; index < kChunkEntries; ++index) {
    const auto stored = load<StoredEntry>(image + index * sizeof(StoredEntry));
    const std::uint64_t id = number * kChunkEntries + index;
    if ((stored.flags & PageEntry::kFreePage) != 0) continue;
    const Extent extent = Extent::unpack(stored.extent);
    const PageClass page_class = stored.class_kind >> 4;
    if (id == 0 || id >= next_page_id || page_class > kPageClassMax ||
        extent.blocks > page_blocks(page_class)) {
      throw damaged(fmt::format("entry of page {}", id));
    }
    if (!allocator.mark_used(extent))
      throw damaged(fmt::format("the extent of page {} overlaps another one", id));
    PageEntry& entry = directory.entry(id);
    entry.extent = stored.extent;
    entry.checksum = stored.checksum;
    entry.key_index = key_index(id, stored.key_id, keys);
    entry.class_kind = stored.class_kind;
    entry.flags.store(0, std::memory_order_release);
  }
}

}  // namespace

void load_directory(DataFile& file, PageDirectory& directory, ExtentAllocator& allocator,
                    const Superblock& superblock, const security::KeyRing* keys,
                    std::vector<std::uint64_t>& free_ids) {
  const std::uint64_t next = superblock.state.next_page_id;
  const std::uint64_t chunks = (next + kChunkEntries - 1) / kChunkEntries;
  const ExtentPointer& root_pointer = superblock.directory_root;
  if (next > PageDirectory::kMaxPages || root_pointer.raw_len != chunks * 16 || !directory.grow(next)) {
    throw damaged("its size");
  }
  if (!allocator.mark_used(root_pointer.extent())) throw damaged("its root lies outside the file");
  AlignedBuffer root(std::max<std::size_t>(root_pointer.extent().bytes(), 4096));
  if (!read_checked(file, root_pointer, root)) throw damaged("its root");
  AlignedBuffer image(kChunkBytes);
  for (std::uint64_t number = 0; number < chunks; ++number) {
    DirectoryChunk& chunk = directory.chunk(number);
    chunk.extent = Extent::unpack(load<std::uint64_t>(root.data() + number * 16));
    chunk.checksum = load<std::uint64_t>(root.data() + number * 16 + 8);
    if (chunk.extent.none()) continue;
    if (chunk.extent.bytes() != kChunkBytes || !allocator.mark_used(chunk.extent)) {
      throw damaged(fmt::format("the extent of chunk {}", number));
    }
    if (!file.read(chunk.extent.offset(), image.span()) ||
        xxh3_64(image.data(), kChunkBytes) != chunk.checksum) {
      throw damaged(fmt::format("chunk {}", number));
    }
    load_chunk(number, next, image.data(), directory, allocator, keys);
  }
  for (std::uint64_t id = next; id-- > 1;) {
    if (directory.entry(id).has(PageEntry::kFreePage)) free_ids.push_back(id);
  }
}

}  // namespace rustbd::storage
