#include "rustbd/storage/pages/extent_image.h"

#include <lz4.h>
#include <zstd.h>

#include <cstring>
#include <vector>

#include "rustbd/base/assert.h"
#include "rustbd/base/bytes.h"
#include "rustbd/base/hash.h"

namespace rustbd::storage {

namespace {

constexpr int kZstdLevel = 1;

// 0: does not fit `into`.
std::size_t compress(PageCompression compression, std::span<const std::byte> page,
                     std::span<std::byte> into) {
  switch (compression) {
    case PageCompression::kNone: return 0;
    case PageCompression::kLz4:
      return static_cast<std::size_t>(LZ4_compress_default(
          reinterpret_cast<const char*>(page.data()), reinterpret_cast<char*>(into.data()),
          static_cast<int>(page.size()), static_cast<int>(into.size())));
    case PageCompression::kZstd: {
      const auto written = ZSTD_compress(into.data(), into.size(), page.data(), page.size(), kZstdLevel);
      return ZSTD_isError(written) ? 0 : written;
    }
  }
  return 0;
}

bool decompress(std::uint8_t compression, std::span<const std::byte> stored, std::span<std::byte> page) {
  if (compression == static_cast<std::uint8_t>(PageCompression::kLz4)) {
    return LZ4_decompress_safe(reinterpret_cast<const char*>(stored.data()),
                               reinterpret_cast<char*>(page.data()), static_cast<int>(stored.size()),
                               static_cast<int>(page.size())) == static_cast<int>(page.size());
  }
  return ZSTD_decompress(page.data(), page.size(), stored.data(), stored.size()) == page.size();
}

/// Memory for the stored bytes of an image that is decoded in place; one per thread, as large as needed
/// so far.
std::span<std::byte> scratch(std::size_t bytes) {
  thread_local std::vector<std::byte> memory;
  if (memory.size() < bytes) memory.resize(bytes);
  return {memory.data(), bytes};
}

constexpr std::size_t kSealedHeaderBytes = offsetof(ExtentHeader, nonce);

ByteSpan sealed_header(const ExtentHeader& header) {
  return std::as_bytes(std::span{&header, 1}).first(kSealedHeaderBytes);
}

// The rest of the header must be complete: it is authenticated.
void seal(ExtentHeader& header, const security::DataKey& key, std::span<std::byte> payload) {
  header.encryption = static_cast<std::uint8_t>(key.cipher());
  header.key_id = key.id();
  const auto sealed = key.seal(security::Purpose::kPage, sealed_header(header), payload);
  const auto nonce = security::counter_nonce(sealed.counter);
  std::memcpy(header.nonce, nonce.data(), nonce.size());
  std::memcpy(header.tag, sealed.tag.data(), sealed.tag.size());
}

bool unseal(const ExtentHeader& header, const security::DataKey& key, std::span<std::byte> payload) {
  security::Seal seal{load<std::uint64_t>(header.nonce + 4), {}};
  std::memcpy(seal.tag.data(), header.tag, seal.tag.size());
  return header.encryption == static_cast<std::uint8_t>(key.cipher()) &&
         key.open(security::Purpose::kPage, seal, sealed_header(header), payload);
}

}  // namespace

EncodedImage encode_page_image(PageId id, PageClass page_class, std::uint64_t epoch,
                               PageCompression compression, const security::DataKey* key,
                               std::span<const std::byte> page, std::span<std::byte> into) {
  RUSTBD_ASSERT(page.size() == page_bytes(page_class) &&
                into.size() == page_blocks(page_class) * kBlockBytes);
  ExtentHeader header{};
  header.magic = kExtentMagic;
  header.version = kExtentVersion;
  header.page_class = page_class;
  header.page_id = id.raw();
  header.raw_len = static_cast<std::uint32_t>(page.size());
  header.epoch = epoch;
  const std::size_t stored = compress(
      compression, page, into.subspan(kExtentHeaderBytes, into.size() - kBlockBytes - kExtentHeaderBytes));
  if (stored != 0) header.compression = static_cast<std::uint8_t>(compression);
  else std::memcpy(into.data() + kExtentHeaderBytes, page.data(), page.size());
  header.stored_len = static_cast<std::uint32_t>(stored != 0 ? stored : page.size());
  if (key != nullptr) seal(header, *key, into.subspan(kExtentHeaderBytes, header.stored_len));
  store(into.data(), header);
  const std::size_t end = kExtentHeaderBytes + header.stored_len;
  EncodedImage image;
  image.blocks = static_cast<std::uint32_t>((end + kBlockBytes - 1) / kBlockBytes);
  std::memset(into.data() + end, 0, image.blocks * kBlockBytes - end);
  image.checksum = xxh3_64(into.data(), image.blocks * kBlockBytes);
  return image;
}

ImageProblem decode_page_image(PageId id, PageClass page_class, std::uint64_t checksum,
                               std::span<const std::byte> image, std::span<std::byte> page,
                               const security::KeyRing* keys) {
  if (page_class > kPageClassMax || image.size() < kExtentHeaderBytes) return ImageProblem::kClass;
  if (xxh3_64(image.data(), image.size()) != checksum) return ImageProblem::kChecksum;
  const auto header = load<ExtentHeader>(image.data());
  if (header.magic != kExtentMagic || header.version != kExtentVersion) return ImageProblem::kMagic;
  if (header.page_id != id.raw()) return ImageProblem::kPageId;
  if (header.page_class != page_class) return ImageProblem::kClass;
  if (header.compression > static_cast<std::uint8_t>(PageCompression::kZstd) ||
      header.encryption > static_cast<std::uint8_t>(security::Cipher::kChaCha20Poly1305))
    return ImageProblem::kCodec;
  if (header.raw_len != page_bytes(page_class) || page.size() != header.raw_len ||
      header.stored_len > image.size() - kExtentHeaderBytes ||
      (header.compression == 0 && header.stored_len != header.raw_len)) {
    return ImageProblem::kLength;
  }
  const auto stored = image.subspan(kExtentHeaderBytes, header.stored_len);
  if (header.compression == 0 && header.encryption == 0) {
    std::memmove(page.data(), stored.data(), stored.size());
    return ImageProblem::kNone;
  }
  const auto copy = scratch(stored.size());
  std::memcpy(copy.data(), stored.data(), stored.size());
  if (header.encryption != 0) {
    const security::DataKey* key = keys != nullptr ? keys->find(header.key_id) : nullptr;
    if (key == nullptr) return ImageProblem::kKey;
    if (!unseal(header, *key, copy)) return ImageProblem::kSeal;
  }
  if (header.compression == 0) {
    std::memcpy(page.data(), copy.data(), copy.size());
    return ImageProblem::kNone;
  }
  return decompress(header.compression, copy, page) ? ImageProblem::kNone : ImageProblem::kPayload;
}

std::string_view to_text(ImageProblem problem) {
  switch (problem) {
    case ImageProblem::kNone: return "good";
    case ImageProblem::kChecksum: return "checksum mismatch";
    case ImageProblem::kMagic: return "no page image there";
    case ImageProblem::kPageId: return "image of another page";
    case ImageProblem::kClass: return "wrong page class";
    case ImageProblem::kLength: return "wrong length";
    case ImageProblem::kCodec: return "unknown compression or encryption";
    case ImageProblem::kPayload: return "cannot be decompressed";
    case ImageProblem::kKey: return "sealed with a key that is not there";
    case ImageProblem::kSeal:
      return "not what was sealed, or sealed with another key than keys.tab has under its number";
  }
  return "?";
}

}  // namespace rustbd::storage
