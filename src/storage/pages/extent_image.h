// The image of a page in its extent: 72 bytes of header, the payload, zero padding (storage.md §1.2). The
// codec chain: compress, seal, checksum over all blocks. Sealed: the payload is encrypted, the header's first
// 40 bytes are authenticated with it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "rustbd/base/ids.h"
#include "rustbd/security/key_ring.h"
#include "rustbd/storage/pages/choices.h"
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

struct EncodedImage {
  std::uint64_t checksum = 0;  // XXH3-64 of all blocks: goes to the directory entry
  std::uint32_t blocks = 0;    // 1..page_blocks(class)
};
/// Writes `blocks` * 4096 bytes to the front of `into`, which has room for page_blocks(class). Compressed
/// only where that saves a block; sealed if there is a key.
EncodedImage encode_page_image(PageId id, PageClass page_class, std::uint64_t epoch,
                               PageCompression compression, const security::DataKey* key,
                               std::span<const std::byte> page, std::span<std::byte> into);

enum class ImageProblem : std::uint8_t {
  kNone,
  kChecksum,
  kMagic,
  kPageId,
  kClass,
  kLength,
  kCodec,
  kPayload,
  kKey,  // sealed with a key that is not in the ring
  kSeal
};
std::string_view to_text(ImageProblem problem);
/// Checks the stored bytes against the entry, then fills `page` (page_bytes(class) bytes), which may be the
/// memory of `image`. Reads and writes nothing outside the two whatever the bytes are; on a problem `page` is
/// undefined. `keys`: nullptr where there is no encryption.
ImageProblem decode_page_image(PageId id, PageClass page_class, std::uint64_t checksum,
                               std::span<const std::byte> image, std::span<std::byte> page,
                               const security::KeyRing* keys);

}  // namespace rustbd::storage
