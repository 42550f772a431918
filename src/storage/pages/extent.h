// Extent: a run of 4 KiB blocks of the data file; and Ext, the superblock's self-checking pointer to one.
#pragma once

#include <cstdint>

namespace rustbd::storage {

/// first_block:44 | nblocks:20. Block 0 is the superblock's, so packed 0 means none.
struct Extent {
  std::uint64_t first_block = 0;
  std::uint32_t blocks = 0;

  [[nodiscard]] constexpr bool none() const { return blocks == 0; }
  [[nodiscard]] constexpr std::uint64_t packed() const { return first_block << 20 | blocks; }
  static constexpr Extent unpack(std::uint64_t packed) {
    return Extent{packed >> 20, static_cast<std::uint32_t>(packed & 0xFFFFF)};
  }
  [[nodiscard]] constexpr std::uint64_t offset() const { return first_block * 4096; }
  [[nodiscard]] constexpr std::uint64_t bytes() const { return std::uint64_t{blocks} * 4096; }
  constexpr bool operator==(const Extent&) const = default;
};
inline constexpr std::uint32_t kExtentBlocksMax = (1u << 20) - 1;

/// 32 bytes as stored in the superblock and in undo-snapshot extents. blocks = 0: none.
struct ExtentPointer {
  std::uint64_t first_block = 0;
  std::uint32_t blocks = 0;
  std::uint32_t raw_len = 0;   // bytes of content
  std::uint64_t checksum = 0;  // XXH3-64 over all stored blocks
  std::uint32_t key_id = 0;
  std::uint8_t compression = 0;
  std::uint8_t encryption = 0;
  std::uint16_t reserved = 0;
  [[nodiscard]] Extent extent() const { return Extent{first_block, blocks}; }
  bool operator==(const ExtentPointer&) const = default;
};
static_assert(sizeof(ExtentPointer) == 32);

}  // namespace rustbd::storage
