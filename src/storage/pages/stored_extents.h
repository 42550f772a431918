// Everything that a superblock reaches, as places with checksums: what a backup copies and a restore puts
// back.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "rustbd/storage/pages/aligned_buffer.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/superblock.h"

namespace rustbd::storage {

/// The same in two checkpoints means the same bytes at the same place.
struct StoredExtent {
  std::uint64_t packed = 0;    // Extent::packed()
  std::uint64_t checksum = 0;  // XXH3-64 of its blocks
  [[nodiscard]] Extent extent() const { return Extent::unpack(packed); }
  auto operator<=>(const StoredExtent&) const = default;
};
static_assert(sizeof(StoredExtent) == 16);

/// Page images, page directory and undo snapshot, ascending by place, disjoint, all in the file. Reads the
/// directory and the snapshot. Throws Error XX001: one of them is damaged.
std::vector<StoredExtent> stored_extents(DataFile& file, const Superblock& superblock);

/// Reads and checks one (twice, if the first time is bad); `into` grows as needed. False: it cannot be read,
/// or is not what was written.
[[nodiscard]] bool read_stored(DataFile& file, const StoredExtent& stored, AlignedBuffer& into);

}  // namespace rustbd::storage
