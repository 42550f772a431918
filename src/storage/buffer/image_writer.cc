#include "rustbd/storage/buffer/image_writer.h"

#include <deque>

namespace rustbd::storage {

// One run for the whole batch if the file has it; else extents one by one.
io::IoResult<> ImageWriter::place() {
  const auto blocks_each = page_blocks(0);
  const auto count = static_cast<std::uint32_t>(images.size());
  if (count > 1) {
    if (const auto run = space_.allocate_present(blocks_each * count)) {
      for (std::uint32_t i = 0; i < count; ++i) {
        images[i].extent = {run->first_block + std::uint64_t{i} * blocks_each, blocks_each};
      }
      return {};
    }
  }
  io::IoResult<> result;
  for (PageImage& image : images) {
    const auto extent = space_.allocate(blocks_each);
    image.extent = extent.value_or(Extent{});
    if (!extent) result = std::unexpected(io::IoFailure::kNoSpace);
  }
  return result;
}

io::IoResult<> ImageWriter::write_again(std::size_t index) {
  PageImage& image = images[index];
  allocator_.quarantine(image.extent);
  image.extent = {};
  const auto extent = space_.allocate(page_blocks(0));
  if (!extent) return std::unexpected(io::IoFailure::kNoSpace);
  const auto bytes = staging_.span().subspan(index * kFrameBytes, kFrameBytes);
  if (auto done = file_.write(extent->offset(), bytes); !done) {
    allocator_.quarantine(*extent);
    return done;
  }
  image.extent = *extent;
  return {};
}

io::IoResult<> ImageWriter::write() {
  struct Piece {
    std::size_t first, count;
    io::IoRequest request;
  };
  io::IoResult<> result = place();
  std::deque<Piece> pieces;
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (images[i].extent.none()) continue;
    if (!pieces.empty() && pieces.back().first + pieces.back().count == i &&
        images[i - 1].extent.first_block + images[i - 1].extent.blocks == images[i].extent.first_block) {
      ++pieces.back().count;
    } else {
      pieces.push_back({i, 1, {}});
    }
  }
  for (Piece& piece : pieces) {
    piece.request.done = io::WaitToken::make(io::WaitReason::kPage);
    file_.write_async(images[piece.first].extent.offset(),
                      staging_.span().subspan(piece.first * kFrameBytes, piece.count * kFrameBytes),
                      &piece.request);
  }
  for (Piece& piece : pieces) {
    const io::WaitToken done = piece.request.done;
    file_.executor()->block_on(done);
  }
  for (Piece& piece : pieces) {
    if (piece.request.status) continue;
    for (std::size_t i = piece.first; i < piece.first + piece.count; ++i) {
      if (auto again = write_again(i); !again && result) result = again;
    }
  }
  return result;
}

}  // namespace rustbd::storage
