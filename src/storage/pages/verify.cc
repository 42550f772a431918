// Offline verification of the data file, for `rustbd check`: reads everything that the newest superblock
// reaches.
#include <fmt/format.h>

#include <algorithm>

#include "rustbd/base/bytes.h"
#include "rustbd/base/hash.h"
#include "rustbd/storage/pages/aligned_buffer.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/extent_allocator.h"
#include "rustbd/storage/pages/extent_image.h"
#include "rustbd/storage/pages/page_directory.h"
#include "rustbd/storage/pages/snapshot_stream.h"
#include "rustbd/storage/pages/storage.h"
#include "rustbd/storage/pages/superblock.h"

namespace rustbd::storage {
namespace {

class Verifier {
 public:
  Verifier(DataFile& file, VerifyReport& report, const security::KeyRing* keys)
      : file_(file),
        keys_(keys),
        report_(report),
        image_(kFrameBytes << kPageClassMax),
        page_(kFrameBytes << kPageClassMax) {}

  void run() {
    const auto blocks = file_.size_blocks();
    if (!blocks) return problem("the size of the data file cannot be read");
    report_.file_blocks = *blocks;
    const SuperblockReading reading = read_superblocks(file_, *blocks * kBlockBytes);
    report_.warnings = reading.warnings;
    if (!reading.newest) return problem("no good copy of the superblock");
    if (reading.foreign) problem("superblock copies belong to different databases");
    superblock_ = *reading.newest;
    report_.state = superblock_.state;
    allocator_.set_file_blocks(*blocks);
    const std::uint64_t usable = allocator_.free_blocks();
    check_directory();
    check_snapshot();
    report_.blocks_used = usable - allocator_.free_blocks();
  }

 private:
  void problem(std::string text) { report_.problems.push_back(std::move(text)); }

  bool take(Extent extent, std::string_view whose) {
    if (allocator_.mark_used(extent)) return true;
    problem(fmt::format("{}: its extent (block {}, {} blocks) overlaps another or lies outside the file",
                        whose, extent.first_block, extent.blocks));
    return false;
  }

  void check_directory() {
    const std::uint64_t next = superblock_.state.next_page_id;
    const std::uint64_t chunks = (next + kChunkEntries - 1) / kChunkEntries;
    const ExtentPointer& pointer = superblock_.directory_root;
    if (next > PageDirectory::kMaxPages || pointer.raw_len != chunks * 16)
      return problem("page directory: wrong size");
    if (!take(pointer.extent(), "page directory root")) return;
    AlignedBuffer root(std::max<std::size_t>(pointer.extent().bytes(), kBlockBytes));
    if (!read_checked(file_, pointer, root)) return problem("page directory root: checksum mismatch");
    AlignedBuffer image(kChunkBytes);
    for (std::uint64_t number = 0; number < chunks; ++number) {
      const Extent extent = Extent::unpack(load<std::uint64_t>(root.data() + number * 16));
      const auto checksum = load<std::uint64_t>(root.data() + number * 16 + 8);
      const std::string name = fmt::format("page directory chunk {}", number);
      if (extent.none()) {
        report_.free_pages += kChunkEntries;
      } else if (extent.bytes() != kChunkBytes) {
        problem(name + ": wrong length");
      } else if (take(extent, name)) {
        if (!file_.read(extent.offset(), image.span()) || xxh3_64(image.data(), kChunkBytes) != checksum) {
          problem(name + ": checksum mismatch");
        } else {
          check_chunk(number, image);
        }
      }
    }
  }

  void check_chunk(std::uint64_t number, const AlignedBuffer& chunk) {
    for (std::uint64_t index = 0; index < kChunkEntries; ++index) {
      const auto stored = load<StoredEntry>(chunk.data() + index * sizeof(StoredEntry));
      if ((stored.flags & PageEntry::kFreePage) != 0) {
        ++report_.free_pages;
      } else {
        check_page(number * kChunkEntries + index, stored);
      }
    }
  }

  void check_page(std::uint64_t id, const StoredEntry& stored) {
    ++report_.pages;
    ++report_.sealed[stored.key_id].pages;
    const std::string name = fmt::format("page {}", id);
    const Extent extent = Extent::unpack(stored.extent);
    const PageClass page_class = stored.class_kind >> 4;
    if (id == 0 || id >= superblock_.state.next_page_id || page_class > kPageClassMax ||
        extent.blocks > page_blocks(page_class)) {
      return problem(name + ": impossible directory entry");
    }
    if (!take(extent, name)) return;
    const auto bytes = image_.first(extent.bytes());
    if (!file_.read(extent.offset(), bytes)) return problem(name + ": cannot be read");
    const ImageProblem found = decode_page_image(PageId{id}, page_class, stored.checksum, bytes,
                                                 page_.first(page_bytes(page_class)), keys_);
    if (found != ImageProblem::kNone) return problem(fmt::format("{}: {}", name, to_text(found)));
    const auto header = load<ExtentHeader>(image_.data());
    const auto page = load<PageHeader>(page_.data());
    if (header.epoch > superblock_.state.epoch)
      problem(name + ": image of a later epoch than the checkpoint's");
    if (header.key_id != stored.key_id)
      problem(
          fmt::format("{}: sealed with key {}, the directory says {}", name, header.key_id, stored.key_id));
    if (page.page_id != id) problem(fmt::format("{}: its header says page {}", name, page.page_id));
    if (static_cast<std::uint8_t>(page.kind) != (stored.class_kind & 15))
      problem(fmt::format("{}: kind {} in its header, {} in the directory", name, static_cast<int>(page.kind),
                          stored.class_kind & 15));
  }

  void check_snapshot() {
    std::vector<ExtentPointer> extents;
    if (!snapshot_extents(file_, superblock_.undo_snapshot, extents))
      return problem("undo snapshot: checksum mismatch");
    for (const ExtentPointer& pointer : extents) {
      (void)take(pointer.extent(), "undo snapshot");
      ++report_.sealed[pointer.key_id].snapshot_extents;
    }
    if (!read_snapshot(file_, extents, keys_, [](SnapshotRecord, ByteSpan) {}))
      problem("undo snapshot: damaged stream");
  }

  DataFile& file_;
  const security::KeyRing* keys_;
  VerifyReport& report_;
  AlignedBuffer image_, page_;
  Superblock superblock_;
  ExtentAllocator allocator_;
};

}  // namespace

std::optional<DatabaseState> read_database_state(io::Disk& disk, const std::string& path) {
  auto opened = disk.open(path, {.read_only = true});
  if (!opened) return std::nullopt;
  DataFile file(std::move(*opened), nullptr);
  const auto blocks = file.size_blocks();
  if (!blocks) return std::nullopt;
  const SuperblockReading reading = read_superblocks(file, *blocks * kBlockBytes);
  return reading.newest ? std::optional(reading.newest->state) : std::nullopt;
}

VerifyReport verify_pages(io::Disk& disk, const security::KeyRing* keys) {
  const std::string path = kDataFileName;
  VerifyReport report;
  auto opened = disk.open(path, {.read_only = true});
  if (!opened) {
    report.problems.push_back(fmt::format("{} cannot be opened: {}", path, io::to_text(opened.error())));
    return report;
  }
  DataFile file(std::move(*opened), nullptr);
  Verifier(file, report, keys).run();
  return report;
}

}  // namespace rustbd::storage
