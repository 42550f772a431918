#include "rustbd/storage/pages/stored_extents.h"

#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/base/hash.h"
#include "rustbd/storage/pages/page_directory.h"
#include "rustbd/storage/pages/snapshot_stream.h"

namespace rustbd::storage {
namespace {

Error damaged(std::string_view what) {
  return error(sqlstate::kDataCorrupted, "the checkpoint cannot be read: {} is damaged", what);
}

void add_entries(std::uint64_t number, const AlignedBuffer& chunk, std::vector<StoredExtent>& out) {
  for (std::uint64_t index = 0; index < kChunkEntries; ++index) {
    const auto entry = load<StoredEntry>(chunk.data() + index * sizeof(StoredEntry));
    if ((entry.flags & PageEntry::kFreePage) != 0) continue;
    if (Extent::unpack(entry.extent).none())
      throw damaged(fmt::format("the entry of page {}", number * kChunkEntries + index));
    out.push_back({entry.extent, entry.checksum});
  }
}

void add_directory(DataFile& file, const Superblock& superblock, std::vector<StoredExtent>& out) {
  const std::uint64_t chunks = (superblock.state.next_page_id + kChunkEntries - 1) / kChunkEntries;
  const ExtentPointer& pointer = superblock.directory_root;
  if (pointer.raw_len != chunks * 16 || pointer.extent().bytes() < pointer.raw_len)
    throw damaged("the page directory");
  AlignedBuffer root(std::max<std::size_t>(pointer.extent().bytes(), kBlockBytes));
  if (!read_checked(file, pointer, root)) throw damaged("the root of the page directory");
  out.push_back({pointer.extent().packed(), pointer.checksum});
  AlignedBuffer chunk(kChunkBytes);
  for (std::uint64_t number = 0; number < chunks; ++number) {
    const StoredExtent stored{load<std::uint64_t>(root.data() + number * 16),
                              load<std::uint64_t>(root.data() + number * 16 + 8)};
    if (stored.extent().none()) continue;
    if (stored.extent().bytes() != kChunkBytes || !read_stored(file, stored, chunk))
      throw damaged(fmt::format("chunk {} of the page directory", number));
    out.push_back(stored);
    add_entries(number, chunk, out);
  }
}

}  // namespace

bool read_stored(DataFile& file, const StoredExtent& stored, AlignedBuffer& into) {
  const Extent extent = stored.extent();
  if (into.size() < extent.bytes()) into = AlignedBuffer(extent.bytes());
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (file.read(extent.offset(), into.first(extent.bytes())) &&
        xxh3_64(into.data(), extent.bytes()) == stored.checksum)
      return true;
  }
  return false;
}

std::vector<StoredExtent> stored_extents(DataFile& file, const Superblock& superblock) {
  const auto blocks = file.size_blocks();
  if (!blocks)
    throw error(sqlstate::kIoError, "could not read the size of the data file: {}", to_text(blocks.error()));
  std::vector<StoredExtent> out;
  add_directory(file, superblock, out);
  std::vector<ExtentPointer> snapshot;
  if (!snapshot_extents(file, superblock.undo_snapshot, snapshot)) throw damaged("the undo snapshot");
  for (const ExtentPointer& pointer : snapshot) out.push_back({pointer.extent().packed(), pointer.checksum});
  std::ranges::sort(out);
  std::uint64_t end = 1;
  for (const StoredExtent& stored : out) {
    const Extent extent = stored.extent();
    if (extent.first_block < end || extent.first_block + extent.blocks > *blocks)
      throw damaged(fmt::format("the extent at block {}", extent.first_block));
    end = extent.first_block + extent.blocks;
  }
  return out;
}

}  // namespace rustbd::storage
