// The undo snapshot on disk (storage.md §6.3): records in a list of extents. The extent written last comes
// first in the list and each names the one before it, so that every pointer carries the checksum of what it
// points to; a reader collects the list and then reads it backwards.
//
// Extent: u32 magic 'RDUS', u32 content bytes, ExtentPointer to the one before (32 B), content, zeros to the
// block. Sealed (key_id and encryption of the pointer to it): before the content u64 counter of the nonce and
// u8[16] tag; the content is encrypted, the first 40 bytes are authenticated with it. Content: records {u8
// kind, u8[3] 0, u32 length, body}, running over extent ends; the last is END (255) with the CRC-32C of all
// bytes before it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/security/key_ring.h"
#include "rustbd/storage/pages/aligned_buffer.h"
#include "rustbd/storage/pages/checkpoint_source.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/extent.h"
#include "rustbd/storage/pages/space.h"

namespace rustbd::storage {

inline constexpr std::uint32_t kSnapshotMagic = 0x53554452;  // "RDUS"
inline constexpr std::size_t kSnapshotHeaderBytes = 40;
inline constexpr std::size_t kSnapshotSealBytes = 24;
inline constexpr std::uint32_t kSnapshotExtentBlocks = 256;  // 1 MiB

class SnapshotWriter final : public SnapshotSink {
 public:
  /// `keys`: nullptr without encryption.
  SnapshotWriter(DataFile& file, Space& space, const security::KeyRing* keys);
  io::IoResult<> add(SnapshotRecord kind, ByteSpan body) override;
  /// Writes END. A stream without records has no extent at all.
  io::IoResult<ExtentPointer> finish();
  [[nodiscard]] const std::vector<Extent>& extents() const { return extents_; }

 private:
  void append(const void* data, std::size_t bytes);
  io::IoResult<> flush();
  void seal();

  DataFile& file_;
  Space& space_;
  const security::KeyUse key_;
  AlignedBuffer buffer_;
  const std::size_t header_bytes_;
  std::size_t used_;
  std::uint32_t crc_ = 0;
  bool any_ = false;
  io::IoResult<> status_;
  ExtentPointer previous_;
  std::vector<Extent> extents_;
};

/// The extents of the stream, the first written first. False: damaged.
bool snapshot_extents(DataFile& file, const ExtentPointer& last, std::vector<ExtentPointer>& out);
/// Calls `take` for each record. False: damaged, or sealed with a key that is not there.
bool read_snapshot(DataFile& file, const std::vector<ExtentPointer>& extents, const security::KeyRing* keys,
                   const std::function<void(SnapshotRecord, ByteSpan)>& take);
/// Reads the blocks and checks XXH3-64.
bool read_checked(DataFile& file, const ExtentPointer& pointer, AlignedBuffer& into);

}  // namespace rustbd::storage
