#include "rustbd/storage/buffer/image_writer.h"

#include <deque>

#include "rustbd/base/bytes.h"

namespace rustbd::storage {

void ImageWriter::add(PageImage image, std::uint64_t epoch, PageCompression compression,
                      const std::byte* page) {
  image.offset = images.empty() ? 0 : images.back().offset + images.back().blocks;
  image.kind = load<PageHeader>(page).kind;
  if (keys_ != nullptr) image.key = keys_->current();
  const auto encoded =
      encode_page_image(PageId{image.page}, 0, epoch, compression, image.key.get(), {page, kPageBytes},
                        staging_.span().subspan(std::size_t{image.offset} * kBlockBytes, kFrameBytes));
  image.checksum = encoded.checksum;
  image.blocks = encoded.blocks;
  images.push_back(std::move(image));
}

// One run for the whole batch if the file has it; else extents one by one.
io::IoResult<> ImageWriter::place() {
  if (images.size() > 1) {
    const std::uint32_t all = images.back().offset + images.back().blocks;
    if (const auto run = space_.allocate_present(all)) {
      for (PageImage& image : images) image.extent = {run->first_block + image.offset, image.blocks};
      return {};
    }
  }
  io::IoResult<> result;
  for (PageImage& image : images) {
    const auto extent = space_.allocate(image.blocks);
    image.extent = extent.value_or(Extent{});
    if (!extent) result = std::unexpected(io::IoFailure::kNoSpace);
  }
  return result;
}

io::IoResult<> ImageWriter::write_again(PageImage& image) {
  allocator_.quarantine(image.extent);
  image.extent = {};
  const auto extent = space_.allocate(image.blocks);
  if (!extent) return std::unexpected(io::IoFailure::kNoSpace);
  if (auto done = file_.write(extent->offset(), bytes_of(image)); !done) {
    allocator_.quarantine(*extent);
    return done;
  }
  image.extent = *extent;
  return {};
}

io::IoResult<> ImageWriter::write() {
  struct Piece {
    std::size_t first, count;
    std::uint32_t blocks;
    io::IoRequest request;
  };
  io::IoResult<> result = place();
  std::deque<Piece> pieces;
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (images[i].extent.none()) continue;
    if (!pieces.empty() && pieces.back().first + pieces.back().count == i &&
        images[i - 1].extent.first_block + images[i - 1].extent.blocks == images[i].extent.first_block) {
      ++pieces.back().count;
      pieces.back().blocks += images[i].blocks;
    } else {
      pieces.push_back({i, 1, images[i].blocks, {}});
    }
  }
  const std::int64_t began = file_.now_us();
  for (Piece& piece : pieces) {
    piece.request.done = io::WaitToken::make(io::WaitReason::kPage);
    const PageImage& first = images[piece.first];
    file_.write_async(
        first.extent.offset(),
        staging_.span().subspan(std::size_t{first.offset} * kBlockBytes, piece.blocks * kBlockBytes),
        &piece.request);
  }
  for (Piece& piece : pieces) {
    const io::WaitToken done = piece.request.done;
    file_.executor()->block_on(done);
  }
  if (!pieces.empty()) file_.note_time(&IoTimes::write, began);
  for (Piece& piece : pieces) {
    if (piece.request.status) continue;
    for (std::size_t i = piece.first; i < piece.first + piece.count; ++i) {
      if (auto again = write_again(images[i]); !again && result) result = again;
    }
  }
  return result;
}

}  // namespace rustbd::storage
