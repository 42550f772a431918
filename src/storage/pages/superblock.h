// The superblock: the one place that is rewritten in place. 4 slots = 2 generations × 2 copies (storage.md §0
// item 9, §1.1).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/io/disk.h"
#include "rustbd/storage/pages/extent.h"
#include "rustbd/storage/pages/storage.h"

namespace rustbd::storage {

class DataFile;

inline constexpr std::uint64_t kSuperblockOffsets[4] = {0, 4096, 1 << 20, (1 << 20) + 4096};
inline constexpr std::size_t kSuperblockBytes = 4096;
inline constexpr std::uint32_t kFormatVersion = 1;

struct Superblock {
  DatabaseState state;
  ExtentPointer directory_root;
  ExtentPointer undo_snapshot;
  std::uint64_t file_blocks = 0;
  std::uint32_t page_size_log2 = 14;
  std::uint32_t format_version = kFormatVersion;
};

using SuperblockImage = std::array<std::byte, kSuperblockBytes>;
void encode_superblock(const Superblock& from, SuperblockImage& into);
/// Nothing if the magic or the crc is wrong.
std::optional<Superblock> decode_superblock(ByteSpan image);

/// What the four slots say.
struct SuperblockReading {
  std::optional<Superblock> newest;
  int newest_slot = -1;
  bool twin_bad = false;      // the other copy of the newest generation differs: rewrite it from this one
  bool all_zero = true;       // a file that was never a database
  bool never_opened = false;  // no good slot, and the pair that the first start writes is still zero
  bool foreign = false;       // good copies with different uuids
  std::vector<std::string> warnings;
};
/// Open rule of §1.1. Unreadable slots count as bad, slots beyond the end of the file (`file_bytes`) as zero.
SuperblockReading read_superblocks(DataFile& file, std::uint64_t file_bytes);

/// Writes both copies of the pair of `superblock.state.generation`; no sync.
io::IoResult<> write_superblock(DataFile& file, const Superblock& superblock);
io::IoResult<> rewrite_twin(DataFile& file, const Superblock& superblock, int good_slot);

}  // namespace rustbd::storage
