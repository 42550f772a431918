// The image of a page in its extent: 72 bytes of header, the payload, zero padding (storage.md §1.2).
// Compression and encryption have their fields; so far comp = 0 and enc = 0 are the only values written and
// read.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "rustbd/base/ids.h"
#include "rustbd/storage/pages/page.h"

namespace rustbd::storage {

struct ExtentHeader {
  std::uint32_t magic;  // 'RDPX'
  std::uint8_t version;
  std::uint8_t compression;  // 0 none, 1 lz4, 2 zstd
  std::uint8_t encryption;   // 0 none, 1 AES-256-GCM, 2 ChaCha20-Poly1305
  std::uint8_t page_class;
  std::uint64_t page_id;
  std::uint32_t key_id;
  std::uint32_t raw_len;
  std::uint32_t stored_len;
  std::uint32_t reserved;
  std::uint64_t epoch;
  std::uint8_t nonce[12];
  std::uint8_t reserved2[4];
  std::uint8_t tag[16];
};
static_assert(sizeof(ExtentHeader) == kExtentHeaderBytes);
static_assert(offsetof(ExtentHeader, page_id) == 8 && offsetof(ExtentHeader, key_id) == 16);
static_assert(offsetof(ExtentHeader, epoch) == 32 && offsetof(ExtentHeader, nonce) == 40);
static_assert(offsetof(ExtentHeader, tag) == 56);
inline constexpr std::uint32_t kExtentMagic = 0x58504452;  // "RDPX"
inline constexpr std::uint8_t kExtentVersion = 1;

/// Writes page_blocks(class) * 4096 bytes to `into` and returns their XXH3-64, which goes to the directory
/// entry.
std::uint64_t encode_page_image(PageId id, PageClass page_class, std::uint64_t epoch,
                                std::span<const std::byte> page, std::span<std::byte> into);

enum class ImageProblem : std::uint8_t { kNone, kChecksum, kMagic, kPageId, kClass, kLength, kCodec };
std::string_view to_text(ImageProblem problem);
/// Checks the stored bytes against the entry. On kNone the page's bytes are image[72, 72 + raw_len).
ImageProblem verify_page_image(PageId id, PageClass page_class, std::uint64_t checksum,
                               std::span<const std::byte> image);

}  // namespace rustbd::storage
