// The page directory in memory: one 32-byte entry per page id, an array translation without hash table or
// lock (vmcache: Leis et al., SIGMOD 2023; the persisted half is storage.md §6 steps 3 and 5).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "rustbd/base/ids.h"
#include "rustbd/storage/pages/extent.h"
#include "rustbd/storage/pages/page.h"

namespace rustbd::storage {

/// Latch word: bits 63..56 latch, 55..0 version. The version never goes back, also not across page-id reuse
/// (I18).
struct LatchWord {
  static constexpr std::uint64_t kVersionMask = (1ull << 56) - 1;
  static constexpr std::uint64_t kFree = 0;  // 1..251: number of shared holders
  static constexpr std::uint64_t kSharedMax = 251;
  static constexpr std::uint64_t kLoading = 252;  // exclusive, a read from disk is under way
  static constexpr std::uint64_t kExclusive = 253;
  static constexpr std::uint64_t kMarked =
      254;  // free, and the clock hand has passed once since the last access
  static constexpr std::uint64_t kEvicted = 255;  // no frame
  static constexpr std::uint64_t latch(std::uint64_t word) { return word >> 56; }
  static constexpr std::uint64_t version(std::uint64_t word) { return word & kVersionMask; }
  static constexpr std::uint64_t make(std::uint64_t latch, std::uint64_t version) {
    return latch << 56 | (version & kVersionMask);
  }
};

struct PageEntry {
  static constexpr std::uint8_t kDirty = 1;        // the frame is newer than the extent
  static constexpr std::uint8_t kHasVersions = 2;  // "look in the version map"; never persisted
  static constexpr std::uint8_t kTemp = 4;         // persisted as free
  static constexpr std::uint8_t kFreePage = 8;     // the id is not in use
  static constexpr std::uint8_t kBad = 16;         // verification failed
  static constexpr std::uint8_t kFreshShift =
      5;  // two bits: 0, or 1 + (image epoch & 1) while that epoch is not durable
  static constexpr std::uint32_t kNoFrame = ~0u;

  std::atomic<std::uint64_t> state;
  std::atomic<std::uint32_t> frame;  // changed by whoever holds the exclusive latch
  std::uint8_t class_kind;  // class << 4 | kind of the last image; changed under a latch and the chunk's lock
  std::atomic<std::uint8_t> flags;
  std::uint16_t key_index;  // DataKey::index() of the extent's key, 0: not sealed; changed as extent is
  std::uint64_t extent;     // Extent::packed(); changed under a latch and the chunk's lock
  std::uint64_t checksum;   // XXH3-64 of the extent's blocks

  [[nodiscard]] PageClass page_class() const { return class_kind >> 4; }
  [[nodiscard]] PageKind kind() const { return static_cast<PageKind>(class_kind & 15); }
  [[nodiscard]] bool has(std::uint8_t flag) const {
    return (flags.load(std::memory_order_acquire) & flag) != 0;
  }
  void set(std::uint8_t flag) { flags.fetch_or(flag, std::memory_order_acq_rel); }
  void clear(std::uint8_t flag) {
    flags.fetch_and(static_cast<std::uint8_t>(~flag), std::memory_order_acq_rel);
  }
};
static_assert(sizeof(PageEntry) == 32);

/// An entry as it is stored: 24 bytes.
struct StoredEntry {
  std::uint64_t extent = 0;
  std::uint64_t checksum = 0;
  std::uint32_t key_id = 0;
  std::uint8_t class_kind = 0;
  std::uint8_t flags = 0;  // kFreePage or 0
  std::uint16_t reserved = 0;
  bool operator==(const StoredEntry&) const = default;
};
static_assert(sizeof(StoredEntry) == 24);

inline constexpr std::uint32_t kChunkEntries = 512;
inline constexpr std::uint32_t kChunkBytes = kChunkEntries * sizeof(StoredEntry);  // 12288 = 3 blocks

/// Unit in which the directory is stored. Everything but `mutex` is protected by it.
struct DirectoryChunk {
  std::mutex mutex;
  bool dirty[2] = {false, false};   // by epoch parity: an entry's value for that epoch differs from `stored`
  std::uint64_t encoded_epoch = 0;  // the checkpoint that has taken its image last
  Extent extent;                    // where it is stored; none: all entries are free
  std::uint64_t checksum = 0;
  std::unordered_map<std::uint32_t, StoredEntry> overrides;  // index -> value for the running checkpoint
};

/// Threads: entry() from any for ids below limit(). Memory: a reservation of 64 GiB of addresses, committed
/// by 2 MiB.
class PageDirectory {
 public:
  PageDirectory();
  ~PageDirectory();
  PageDirectory(const PageDirectory&) = delete;
  PageDirectory& operator=(const PageDirectory&) = delete;

  static constexpr std::uint64_t kMaxPages = 1ull << 31;

  /// Ids 1..limit()-1 have an initialised entry.
  [[nodiscard]] std::uint64_t limit() const { return limit_.load(std::memory_order_acquire); }
  [[nodiscard]] PageEntry& entry(std::uint64_t id) { return entries_[id]; }
  [[nodiscard]] const PageEntry& entry(std::uint64_t id) const { return entries_[id]; }
  [[nodiscard]] std::uint64_t chunk_count() const { return (limit() + kChunkEntries - 1) / kChunkEntries; }
  DirectoryChunk& chunk(std::uint64_t number);

  /// Makes entries below `limit` (rounded up to a whole chunk); new ones are free and evicted. False: out of
  /// ids or memory.
  bool grow(std::uint64_t limit);

 private:
  static constexpr std::uint64_t kBlockChunks = 1024;
  PageEntry* entries_ = nullptr;
  std::atomic<std::uint64_t> limit_{0};
  std::uint64_t committed_ = 0;  // entries whose memory is writable; grow_mutex_
  std::mutex grow_mutex_;
  std::unique_ptr<std::atomic<DirectoryChunk*>[]> chunk_blocks_;  // kMaxPages / kChunkEntries / kBlockChunks
};

}  // namespace rustbd::storage
