#include "rustbd/storage/pages/extent_image.h"

#include <cstring>

#include "rustbd/base/assert.h"
#include "rustbd/base/bytes.h"
#include "rustbd/base/hash.h"

namespace rustbd::storage {

std::uint64_t encode_page_image(PageId id, PageClass page_class, std::uint64_t epoch,
                                std::span<const std::byte> page, std::span<std::byte> into) {
  RUSTBD_ASSERT(page.size() == page_bytes(page_class) &&
                into.size() == page_blocks(page_class) * kBlockBytes);
  ExtentHeader header{};
  header.magic = kExtentMagic;
  header.version = kExtentVersion;
  header.page_class = page_class;
  header.page_id = id.raw();
  header.raw_len = static_cast<std::uint32_t>(page.size());
  header.stored_len = header.raw_len;
  header.epoch = epoch;
  store(into.data(), header);
  std::memcpy(into.data() + kExtentHeaderBytes, page.data(), page.size());
  return xxh3_64(into.data(), into.size());
}

ImageProblem verify_page_image(PageId id, PageClass page_class, std::uint64_t checksum,
                               std::span<const std::byte> image) {
  if (page_class > kPageClassMax || image.size() < kExtentHeaderBytes) return ImageProblem::kClass;
  if (xxh3_64(image.data(), image.size()) != checksum) return ImageProblem::kChecksum;
  const auto header = load<ExtentHeader>(image.data());
  if (header.magic != kExtentMagic || header.version != kExtentVersion) return ImageProblem::kMagic;
  if (header.page_id != id.raw()) return ImageProblem::kPageId;
  if (header.page_class != page_class) return ImageProblem::kClass;
  if (header.compression != 0 || header.encryption != 0) return ImageProblem::kCodec;
  if (header.raw_len != page_bytes(page_class) || header.stored_len != header.raw_len ||
      kExtentHeaderBytes + header.stored_len > image.size()) {
    return ImageProblem::kLength;
  }
  return ImageProblem::kNone;
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
  }
  return "?";
}

}  // namespace rustbd::storage
