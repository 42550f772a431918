// The bytes of a simulated file: chunks of 4 KiB that exist only where something was written; copies share
// chunks.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>

namespace rustbd::io {

class SparseImage {
 public:
  static constexpr std::uint64_t kChunkBytes = 4096;

  void read(std::uint64_t offset, std::span<std::byte> into) const {
    while (!into.empty()) {
      const std::uint64_t inside = offset % kChunkBytes;
      const std::size_t n = std::min<std::size_t>(into.size(), kChunkBytes - inside);
      if (const auto it = chunks_.find(offset / kChunkBytes); it != chunks_.end()) {
        std::memcpy(into.data(), it->second->data() + inside, n);
      } else {
        std::memset(into.data(), 0, n);
      }
      into = into.subspan(n);
      offset += n;
    }
  }
  void write(std::uint64_t offset, std::span<const std::byte> from) {
    while (!from.empty()) {
      const std::uint64_t inside = offset % kChunkBytes;
      const std::size_t n = std::min<std::size_t>(from.size(), kChunkBytes - inside);
      std::memcpy(own(offset / kChunkBytes).data() + inside, from.data(), n);
      from = from.subspan(n);
      offset += n;
    }
  }
  /// What is behind `bytes` reads as zero from now on.
  void cut(std::uint64_t bytes) {
    chunks_.erase(chunks_.lower_bound((bytes + kChunkBytes - 1) / kChunkBytes), chunks_.end());
    if (bytes % kChunkBytes != 0 && chunks_.contains(bytes / kChunkBytes)) {
      auto& chunk = own(bytes / kChunkBytes);
      std::memset(chunk.data() + bytes % kChunkBytes, 0, kChunkBytes - bytes % kChunkBytes);
    }
  }
  void flip(std::uint64_t offset, std::uint8_t mask) {
    own(offset / kChunkBytes)[offset % kChunkBytes] ^= static_cast<std::byte>(mask);
  }
  template <class Visit>
  void for_each_chunk(Visit&& visit) const {
    for (const auto& [number, chunk] : chunks_) visit(number);
  }

 private:
  using Chunk = std::array<std::byte, kChunkBytes>;
  Chunk& own(std::uint64_t number) {
    std::shared_ptr<Chunk>& chunk = chunks_[number];
    if (!chunk) {
      chunk = std::make_shared<Chunk>();
      chunk->fill(std::byte{0});
    } else if (chunk.use_count() > 1) {
      chunk = std::make_shared<Chunk>(*chunk);
    }
    return *chunk;
  }
  std::map<std::uint64_t, std::shared_ptr<Chunk>> chunks_;
};

}  // namespace rustbd::io
