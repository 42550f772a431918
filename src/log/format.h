// The bytes of the log: segment header, batch header, fragments, and where a position lies in which segment.
//
// An Lsn is a byte position in the endless log. Segment n holds the positions [n*S, (n+1)*S), its first 4096
// bytes are its header. Batches start at multiples of 8 and may cross a segment end: they go on at byte 4096
// of the next one. "Stream position": the same position without the header bytes; batches are contiguous
// there. A PAD's checksum covers its header alone, and its body is skipped, whatever it holds.
//
// A sealed batch (kFlagEncrypted, key_id) has u64 counter of the nonce and u8[16] tag before its events,
// which are encrypted; the header as it was before the batch got its place, and the fragment, are
// authenticated with them. The checksum covers the sealed bytes, so that the end of the log is found without
// any key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "rustbd/base/bytes.h"
#include "rustbd/base/ids.h"
#include "rustbd/security/key_ring.h"

namespace rustbd::log {

inline constexpr std::size_t kSegmentHeaderBytes = 4096;
inline constexpr std::size_t kBlockBytes = 4096;
inline constexpr std::uint64_t kSegmentBytesDefault = 64ull << 20;
inline constexpr std::uint64_t kRingBytesDefault = 16ull << 20;
inline constexpr std::uint32_t kBatchMagic = 0x54424452;  // "RDBT"
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kBatchAlignment = 8;

struct SegmentHeader {  // the first 64 of 4096 bytes; the rest is zero
  char magic[8];        // "RUSTBDWL"
  std::uint32_t version;
  std::uint32_t crc;  // CRC-32C over the 4096 bytes with this field 0
  std::uint64_t first_lsn;
  std::uint64_t segment_no;
  std::uint64_t wal_uuid;
  std::uint64_t timeline;
  std::uint32_t key_id;  // 0: not encrypted
  std::uint32_t zero;
  std::uint64_t salt;  // random, new at each start
};
static_assert(sizeof(SegmentHeader) == 64 && offsetof(SegmentHeader, first_lsn) == 16 &&
              offsetof(SegmentHeader, key_id) == 48 && offsetof(SegmentHeader, salt) == 56);

enum class BatchKind : std::uint8_t {
  kCommit = 1,
  kFragment = 2,
  kCommitLarge = 3,
  kAbortLarge = 4,
  kPrepare = 5,
  kCommitPrepared = 6,
  kAbortPrepared = 7,
  kNonTransactional = 8,
  kCheckpoint = 9,
  kPad = 10,
  kConfig = 11,
  kPrepareLarge = 12,
};
inline constexpr std::uint8_t kFlagEncrypted = 1;
inline constexpr std::uint8_t kFlagCompressed = 2;

struct BatchHeader {
  std::uint32_t magic = kBatchMagic;
  BatchKind kind{};
  std::uint8_t flags = 0;
  std::uint16_t zero = 0;
  std::uint64_t lsn = 0;
  std::uint32_t len = 0;  // header included, without the padding to 8
  std::uint32_t crc = 0;  // CRC-32C of salt, header with crc = 0, body
  std::uint64_t txid = 0;
  std::uint64_t commit_ts = 0;
  std::uint64_t wall_clock_us = 0;
  std::uint64_t durable_lsn = 0;  // as known when written
  std::uint32_t n_events = 0;
  std::uint32_t prev_crc = 0;  // crc of the batch before; 0 in a PAD that recovery wrote without knowing it
  std::uint64_t leader_epoch = 0;
  std::uint32_t group = 0;
  std::uint32_t role_oid = 0;
  std::uint64_t catalog_version = 0;
  std::uint32_t key_id = 0;
  std::uint32_t zero2 = 0;
};
static_assert(sizeof(BatchHeader) == 96 && offsetof(BatchHeader, lsn) == 8 &&
              offsetof(BatchHeader, crc) == 20 && offsetof(BatchHeader, durable_lsn) == 48 &&
              offsetof(BatchHeader, prev_crc) == 60 && offsetof(BatchHeader, leader_epoch) == 64 &&
              offsetof(BatchHeader, role_oid) == 76 && offsetof(BatchHeader, catalog_version) == 80 &&
              offsetof(BatchHeader, key_id) == 88);

/// Start of the body of FRAGMENT, COMMIT_LARGE, ABORT_LARGE and PREPARE_LARGE: of the fragment at prev_lsn
/// only the first `keep` events count. prev_lsn none: there is no earlier one. 12 bytes on disk.
struct Fragment {
  Lsn prev_lsn;
  std::uint32_t keep = 0;
  bool operator==(const Fragment&) const = default;
};
inline constexpr std::size_t kFragmentBytes = 12;
inline constexpr std::size_t kSealBytes = 24;
void store_fragment(const Fragment& fragment, std::byte* to);
Fragment load_fragment(const std::byte* from);
[[nodiscard]] constexpr bool has_fragment(BatchKind kind) {
  return kind == BatchKind::kFragment || kind == BatchKind::kCommitLarge || kind == BatchKind::kAbortLarge ||
         kind == BatchKind::kPrepareLarge;
}

/// Where segments begin and end. All components of one log share one geometry.
class Geometry {
 public:
  constexpr explicit Geometry(std::uint64_t segment_bytes = kSegmentBytesDefault)
      : segment_bytes_(segment_bytes) {}
  [[nodiscard]] constexpr std::uint64_t segment_bytes() const { return segment_bytes_; }
  [[nodiscard]] constexpr std::uint64_t payload_bytes() const { return segment_bytes_ - kSegmentHeaderBytes; }
  [[nodiscard]] constexpr std::uint64_t segment_of(Lsn lsn) const { return lsn.raw() / segment_bytes_; }
  [[nodiscard]] constexpr Lsn first_lsn(std::uint64_t segment) const { return Lsn{segment * segment_bytes_}; }
  /// Where the first batch of an empty log, or of segment n, stands.
  [[nodiscard]] constexpr Lsn first_batch(std::uint64_t segment) const {
    return Lsn{segment * segment_bytes_ + kSegmentHeaderBytes};
  }
  [[nodiscard]] constexpr std::uint64_t to_stream(Lsn lsn) const {
    const std::uint64_t inside = lsn.raw() % segment_bytes_;
    return segment_of(lsn) * payload_bytes() +
           (inside < kSegmentHeaderBytes ? 0 : inside - kSegmentHeaderBytes);
  }
  /// A position at a segment's end is the first batch position of the next one.
  [[nodiscard]] constexpr Lsn to_lsn(std::uint64_t stream) const {
    return Lsn{stream / payload_bytes() * segment_bytes_ + kSegmentHeaderBytes + stream % payload_bytes()};
  }
  /// Where the batch after one of `len` bytes at `start` stands.
  [[nodiscard]] constexpr Lsn next_batch(Lsn start, std::uint64_t len) const {
    return to_lsn(to_stream(start) + padded(len));
  }
  [[nodiscard]] static constexpr std::uint64_t padded(std::uint64_t len) {
    return (len + kBatchAlignment - 1) / kBatchAlignment * kBatchAlignment;
  }

 private:
  std::uint64_t segment_bytes_;
};

/// The crc of a batch from that of its body; header.crc is ignored. PADs pass body_crc 0 and body_bytes 0.
std::uint32_t batch_crc(std::uint64_t salt, BatchHeader header, std::uint32_t body_crc,
                        std::size_t body_bytes);

/// A finished batch before it has its place in the log. Borrows the events: they stay until LogWriter::fill()
/// is over. Moved, not copied.
struct PreparedBatch {
  PreparedBatch() = default;
  PreparedBatch(PreparedBatch&&) = default;
  PreparedBatch& operator=(PreparedBatch&&) = default;
  BatchHeader header;  // kind, txid, role_oid, catalog_version, n_events, len are set
  std::array<std::byte, kFragmentBytes + kSealBytes> prefix{};
  std::uint32_t prefix_bytes = 0;  // fragment, seal
  ByteSpan events;                 // sealed: those in `sealed`
  security::KeyUse key;            // until it stands in the log; empty: not sealed
  Bytes sealed;
  std::uint32_t body_crc = 0;
  std::uint64_t sequence = 0;  // of all batches of this writer; set by LogWriter::assign()
  [[nodiscard]] std::uint64_t ring_bytes() const { return Geometry::padded(header.len); }
};

struct BatchInfo {
  BatchKind kind{};
  TransactionId txid;
  std::uint32_t role_oid = 0;
  std::uint64_t catalog_version = 0;
};
/// Seals (with a key) and sums the body; O(bytes), so call it before the commit mutex. `fragment` only for
/// kinds that have one.
PreparedBatch prepare_batch(const BatchInfo& info, ByteSpan events, std::uint32_t n_events,
                            Fragment fragment = {}, security::KeyUse key = {});

/// Of a sealed batch's header: what is authenticated.
[[nodiscard]] BatchHeader sealed_header(BatchHeader header);

/// A batch read back. Spans live until the reader moves on.
struct BatchView {
  Lsn start;
  Lsn end;  // where the next one stands; what durable_lsn has to reach
  BatchHeader header;
  Fragment fragment;  // only if has_fragment(kind)
  ByteSpan events;    // body behind the fragment
};

/// 20 digits of the first Lsn, ".wal".
std::string segment_name(Lsn first_lsn);

}  // namespace rustbd::log
