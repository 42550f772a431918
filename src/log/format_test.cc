#include "rustbd/log/format.h"

#include <gtest/gtest.h>

#include "rustbd/log/events.h"
#include "rustbd/log/segments.h"

namespace rustbd::log {
namespace {

std::string hex(ByteSpan bytes) {
  std::string out;
  for (const std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
  return out;
}

// The bit-by-bit definition, so that the format does not rest on the code under test.
std::uint32_t slow_crc(ByteSpan bytes) {
  std::uint32_t crc = ~0u;
  for (const std::byte b : bytes) {
    crc ^= static_cast<std::uint8_t>(b);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

TEST(Format, GoldenCommitBatch) {
  EventWriter events;
  constexpr ColumnForm forms[] = {
      {ValueForm::kInteger, 0}, {ValueForm::kVariable, 0}, {ValueForm::kFixed, 4}};
  const std::uint32_t fixed = 0x01020304;
  ColumnValue row[3];
  row[0] = {false, -3, {}};
  row[1] = {false, 0, as_bytes("ab")};
  row[2] = {false, 0, {reinterpret_cast<const std::byte*>(&fixed), 4}};
  write_row_image(events.begin_event(EventOp::kInsert, TableId{16384}, RowId{100}), forms, row);
  events.end_event();
  row[1].is_null = true;
  write_row_image(events.begin_event(EventOp::kDelete, TableId{16384}, RowId{99}), forms, row);
  events.end_event();
  const std::string expected_events =
      "01"
      "808001"
      "c801"
      "09"
      "00"
      "05"
      "026162"
      "04030201"  // insert: table, +100, 9 bytes, no null, -3, 'ab', fixed
      "03"
      "808001"
      "01"
      "06"
      "02"
      "05"
      "04030201";  // delete: -1 row, 6 bytes, column 1 null
  EXPECT_EQ(hex(events.bytes()), expected_events);

  PreparedBatch batch =
      prepare_batch({BatchKind::kCommit, TransactionId{7}, 10, 3}, events.bytes(), events.count());
  batch.header.lsn = 4096;
  batch.header.commit_ts = 0x11;
  batch.header.wall_clock_us = 0x22;
  batch.header.durable_lsn = 0x33;
  batch.header.prev_crc = 0xAABBCCDD;
  const std::uint64_t salt = 0x0807060504030201;
  batch.header.crc = batch_crc(salt, batch.header, batch.body_crc, batch.events.size());
  const std::string head = hex({reinterpret_cast<const std::byte*>(&batch.header), sizeof batch.header});
  const std::string before_crc =
      "52444254"
      "01"
      "00"
      "0000"
      "0010000000000000"
      "7c000000";
  const std::string after_crc =
      "0700000000000000"
      "1100000000000000"
      "2200000000000000"
      "3300000000000000"
      "02000000"
      "ddccbbaa"
      "0000000000000000"
      "00000000"
      "0a000000"
      "0300000000000000"
      "00000000"
      "00000000";
  EXPECT_EQ(head.substr(0, 40), before_crc);
  EXPECT_EQ(head.substr(48), after_crc);
  Bytes summed;
  ByteWriter all{summed};
  all.fixed(salt);
  BatchHeader without = batch.header;
  without.crc = 0;
  all.fixed(without);
  all.raw(events.bytes());
  EXPECT_EQ(batch.header.crc, slow_crc(summed));
}

TEST(Format, FragmentHeadIsTwelveBytesBeforeTheEvents) {
  const PreparedBatch batch =
      prepare_batch({BatchKind::kFragment, TransactionId{7}}, as_bytes("xyz"), 1, {Lsn{0x1234}, 5});
  EXPECT_EQ(hex({batch.prefix.data(), batch.prefix_bytes}), "341200000000000005000000");
  EXPECT_EQ(batch.header.len, 96u + 12 + 3);
  EXPECT_EQ(batch.ring_bytes(), 112u);
  EXPECT_EQ(load_fragment(batch.prefix.data()), (Fragment{Lsn{0x1234}, 5}));
}

TEST(Format, GeometrySkipsSegmentHeaders) {
  const Geometry g{16384};
  EXPECT_EQ(g.first_batch(0), Lsn{4096});
  EXPECT_EQ(g.to_lsn(12287), Lsn{16383});
  EXPECT_EQ(g.to_lsn(12288), Lsn{16384 + 4096});
  EXPECT_EQ(g.next_batch(Lsn{16384 - 96}, 96), Lsn{16384 + 4096});       // ends with the segment
  EXPECT_EQ(g.next_batch(Lsn{16384 - 96}, 101), Lsn{16384 + 4096 + 8});  // crosses, padded to 8
  for (std::uint64_t stream = 0; stream < 40000; stream += 8)
    ASSERT_EQ(g.to_stream(g.to_lsn(stream)), stream);
}

TEST(Format, SegmentHeaderRoundTripAndDamage) {
  SegmentHeader header{};
  header.first_lsn = 1 << 20;
  header.segment_no = 3;
  header.wal_uuid = 5;
  header.timeline = 1;
  header.salt = 42;
  Bytes block(kSegmentHeaderBytes);
  const std::span<std::byte, kSegmentHeaderBytes> span{block};
  EXPECT_FALSE(decode_segment_header(span));
  encode_segment_header(header, span);
  EXPECT_EQ(as_chars(span).substr(0, 8), "RUSTBDWL");
  const auto back = decode_segment_header(span);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->salt, 42u);
  EXPECT_EQ(back->first_lsn, 1u << 20);
  for (const std::size_t at : {0u, 8u, 20u, 60u, 64u, 4095u}) {
    block[at] ^= std::byte{4};
    EXPECT_FALSE(decode_segment_header(span)) << at;
    block[at] ^= std::byte{4};
  }
  EXPECT_EQ(segment_name(Lsn{67108864}), "00000000000067108864.wal");
}

}  // namespace
}  // namespace rustbd::log
