// EntryLedger: all changes of what the directory stores about a page (extent, allocated or free), with the
// rules that keep the last durable and the running checkpoint intact (storage.md §2.1 "image epoch", §6 step
// 3; I1, I9).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "rustbd/security/key_ring.h"
#include "rustbd/storage/pages/extent.h"
#include "rustbd/storage/pages/extent_allocator.h"
#include "rustbd/storage/pages/page_directory.h"

namespace rustbd::storage {

/// While checkpoint E runs the current epoch is E+1. `epoch` below is the epoch that a change belongs to: E
/// for an image of the page as it was at the gate, else the current one. A change of E+1 first notes the
/// value for E as an override, until E has taken the chunk.
///
/// Threads: any; the caller holds the page's latch as each function says, and is inside the gate or is the
/// checkpointer.
class EntryLedger {
 public:
  /// `keys`: nullptr without encryption.
  EntryLedger(PageDirectory& directory, ExtentAllocator& allocator, const security::KeyRing* keys)
      : directory_(directory), allocator_(allocator), keys_(keys) {}

  /// Pages whose image is sealed with a key (DataKey::index(), 0: none) that `wanted` says; at most `most`.
  std::vector<std::uint64_t> images_sealed(const std::function<bool(std::uint16_t)>& wanted,
                                           std::size_t most = ~std::size_t{0});

  /// The running checkpoint's epoch; 0: none.
  [[nodiscard]] std::uint64_t running() const { return running_.load(std::memory_order_seq_cst); }

  /// Shared or exclusive latch, `FrameMeta.writing` set. The extent that is replaced becomes free by I9.
  /// `kind`: of the image, which may be another one than that of the image before. `key`: with which it is
  /// sealed; nullptr: none.
  void set_image(std::uint64_t page, PageEntry& entry, PageKind kind, Extent extent, std::uint64_t checksum,
                 const security::DataKey* key, std::uint64_t epoch);
  /// What the entry says of the image on disk; no extent: there is none, or it is not for ever. No latch.
  [[nodiscard]] StoredEntry image_of(std::uint64_t page);
  /// Exclusive latch, page clean. If the entry still names `image`: its bytes stand at `to` now.
  [[nodiscard]] bool move_image(std::uint64_t page, PageEntry& entry, const StoredEntry& image, Extent to,
                                std::uint64_t epoch);
  /// Pages whose image ends behind block `end`, with the block where it begins.
  struct Place {
    std::uint64_t block, page;
  };
  std::vector<Place> images_behind(std::uint64_t end);
  /// Inside the gate, `epoch` the current one. The checkpoint of it writes directory chunks anew that end
  /// behind block `end`. Returns how many.
  std::size_t rewrite_chunks_behind(std::uint64_t end, std::uint64_t epoch);
  /// Exclusive latch. The entry becomes dirty and has no extent.
  void set_allocated(std::uint64_t page, PageEntry& entry, PageClass page_class, PageKind kind,
                     std::uint64_t epoch);
  /// Exclusive latch.
  void set_free(std::uint64_t page, PageEntry& entry, std::uint64_t epoch);

  void begin(std::uint64_t epoch);  // gate closed
  /// Drops overrides; what was not encoded is left to the next checkpoint.
  void end();

  enum class ChunkState : std::uint8_t { kUnchanged, kAllFree, kEncoded };
  /// The chunk's image for the running checkpoint, if it has changed. Afterwards no override is noted for it
  /// any more.
  ChunkState encode_chunk(std::uint64_t number, std::span<std::byte> into);
  /// Where it was written; the extent before it is freed with the running checkpoint.
  void set_chunk_extent(std::uint64_t number, Extent extent, std::uint64_t checksum);
  /// It could not be written: the next checkpoint encodes it again.
  void chunk_failed(std::uint64_t number);

 private:
  void before_change(DirectoryChunk& chunk, std::uint64_t page, const PageEntry& entry, std::uint64_t epoch);
  void replace_extent(const PageEntry& entry, std::uint64_t epoch);
  [[nodiscard]] StoredEntry stored_value(const PageEntry& entry) const;

  PageDirectory& directory_;
  ExtentAllocator& allocator_;
  const security::KeyRing* const keys_;
  std::atomic<std::uint64_t> running_{0};
  std::mutex fresh_mutex_;
  std::vector<std::uint64_t>
      fresh_[2];  // fresh_mutex_; pages whose extent has an image epoch of this parity, not yet durable
};

}  // namespace rustbd::storage
