// ImageWriter: a batch of page images on its way to new extents, contiguous where possible (1 MiB runs).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rustbd/io/disk.h"
#include "rustbd/storage/pages/aligned_buffer.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/extent.h"
#include "rustbd/storage/pages/extent_image.h"
#include "rustbd/storage/pages/page_directory.h"
#include "rustbd/storage/pages/space.h"

namespace rustbd::storage {

/// One image, encoded under the shared latch with `FrameMeta.writing` set, which stays set until it is
/// completed.
struct PageImage {
  std::uint64_t page = 0;
  PageEntry* entry = nullptr;
  std::uint32_t frame = 0;
  std::uint64_t version = 0;      // of the page when it was encoded
  std::uint32_t dirty_epoch = 0;  // likewise
  std::uint64_t checksum = 0;
  security::KeyUse key;                  // with which it is sealed
  std::uint32_t offset = 0, blocks = 0;  // in the staging memory, in blocks
  Extent extent;                         // none: it could not be written
  PageKind kind{};                       // in its header: a root that was split has another one than before
};

/// Threads: one.
class ImageWriter {
 public:
  static constexpr std::size_t kImagesMax = 64;
  /// `keys`: nullptr without encryption. `at_once`: images of a batch, 1..kImagesMax.
  ImageWriter(DataFile& file, Space& space, ExtentAllocator& allocator, const security::KeyRing* keys,
              std::size_t at_once = kImagesMax)
      : file_(file),
        space_(space),
        allocator_(allocator),
        keys_(keys),
        at_once_(at_once),
        staging_(at_once * kFrameBytes) {}

  [[nodiscard]] bool full() const { return images.size() == at_once_; }
  /// Encodes the page and pushes `image`, completed by checksum, kind, key and place. @pre !full().
  void add(PageImage image, std::uint64_t epoch, PageCompression compression, const std::byte* page);
  /// Blocking. Writes all; an image whose extent cannot be written is tried on another extent once. The error
  /// is that of the first image that could not be written; its extent is none, and those of the others are
  /// good.
  io::IoResult<> write();

  std::vector<PageImage> images;

 private:
  io::IoResult<> place();
  io::IoResult<> write_again(PageImage& image);
  [[nodiscard]] std::span<std::byte> bytes_of(const PageImage& image) {
    return staging_.span().subspan(std::size_t{image.offset} * kBlockBytes, image.blocks * kBlockBytes);
  }

  DataFile& file_;
  Space& space_;
  ExtentAllocator& allocator_;
  const security::KeyRing* const keys_;
  const std::size_t at_once_;
  AlignedBuffer staging_;
};

}  // namespace rustbd::storage
