// Bytes on disk that must never change by accident: superblock, extent image, directory entry; and the
// superblock's open rule.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "rustbd/base/crc32c.h"
#include "rustbd/base/hash.h"
#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/io/simulated/simulated_executor.h"
#include "rustbd/storage/pages/aligned_buffer.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/extent_image.h"
#include "rustbd/storage/pages/page_directory.h"
#include "rustbd/storage/pages/superblock.h"
#include "rustbd/storage/pages/testing/storage_fixture.h"

namespace rustbd::storage {
namespace {

Superblock example() {
  Superblock out;
  out.state.uuid = static_cast<unsigned __int128>(0x1112131415161718) << 64 | 0x0102030405060708;
  out.state.generation = 0x21;
  out.state.epoch = 0x22;
  out.state.positions = {Lsn{0x23}, CommitTimestamp{0x24}, TransactionId{0x25}, 0x26, 0x27};
  out.state.log_keep_lsn = Lsn{0x28};
  out.state.next_page_id = 0x29;
  out.state.boot_count = 0x2A;
  out.state.wal_uuid = 0x2B;
  out.state.db_flags = 0x2C;
  out.state.log_segment_bytes = 0x2E;
  out.directory_root = {0x31, 0x32, 0x33, 0x34, 0x35, 1, 2, 0};
  out.undo_snapshot = {0x41, 0x42, 0x43, 0x44, 0, 0, 0, 0};
  out.file_blocks = 0x2D;
  return out;
}

TEST(SuperblockFormat, FieldsStandWhereTheDocumentSays) {
  SuperblockImage image;
  encode_superblock(example(), image);
  const auto u64 = [&](std::size_t at) { return load<std::uint64_t>(image.data() + at); };
  const auto u32 = [&](std::size_t at) { return load<std::uint32_t>(image.data() + at); };
  EXPECT_EQ(std::memcmp(image.data(), "RUSTBDSB", 8), 0);
  EXPECT_EQ(u32(8), 1u);
  EXPECT_EQ(u64(16), 0x0102030405060708u);
  EXPECT_EQ(u64(24), 0x1112131415161718u);
  const std::pair<std::size_t, std::uint64_t> wide[] = {
      {32, 0x21}, {40, 0x22},  {48, 0x23},  {56, 0x24},  {64, 0x25},  {72, 0x29},  {80, 0x28},
      {96, 0x31}, {112, 0x34}, {128, 0x41}, {160, 0x2D}, {168, 0x2B}, {184, 0x27}, {192, 0x2E}};
  for (const auto& [at, value] : wide) EXPECT_EQ(u64(at), value) << at;
  const std::pair<std::size_t, std::uint32_t> narrow[] = {{88, 0x2A},  {92, 14},    {104, 0x32},
                                                          {108, 0x33}, {120, 0x35}, {136, 0x42},
                                                          {140, 0x43}, {176, 0x2C}, {180, 0x26}};
  for (const auto& [at, value] : narrow) EXPECT_EQ(u32(at), value) << at;
  EXPECT_EQ(image[124], std::byte{1});
  EXPECT_EQ(image[125], std::byte{2});
  for (std::size_t at = 200; at < image.size(); ++at) ASSERT_EQ(image[at], std::byte{0}) << at;
  SuperblockImage zeroed = image;
  std::memset(zeroed.data() + 12, 0, 4);
  EXPECT_EQ(u32(12), crc32c(0, zeroed.data(), zeroed.size()));
}

TEST(SuperblockFormat, DecodesWhatItEncodedAndNothingElse) {
  SuperblockImage image;
  encode_superblock(example(), image);
  const auto decoded = decode_superblock(image);
  ASSERT_TRUE(decoded);
  SuperblockImage again;
  encode_superblock(*decoded, again);
  EXPECT_EQ(image, again);
  for (std::size_t at = 0; at < image.size(); ++at) {
    image[at] ^= std::byte{1};
    ASSERT_FALSE(decode_superblock(image)) << at;
    image[at] ^= std::byte{1};
  }
}

TEST(ExtentImageFormat, FieldsStandWhereTheDocumentSays) {
  std::vector<std::byte> page(kPageBytes);
  testing::fill_page(page.data(), 5);
  std::vector<std::byte> image(kFrameBytes);
  const auto written = encode_page_image(PageId{0x1234}, 0, 77, PageCompression::kNone, nullptr, page, image);
  EXPECT_EQ(written.blocks, page_blocks(0));
  EXPECT_EQ(std::memcmp(image.data(), "RDPX", 4), 0);
  EXPECT_EQ(image[4], std::byte{1});
  for (const std::size_t at : {5, 6, 7}) EXPECT_EQ(image[at], std::byte{0});
  EXPECT_EQ(load<std::uint64_t>(image.data() + 8), 0x1234u);
  EXPECT_EQ(load<std::uint32_t>(image.data() + 16), 0u);
  EXPECT_EQ(load<std::uint32_t>(image.data() + 20), kPageBytes);
  EXPECT_EQ(load<std::uint32_t>(image.data() + 24), kPageBytes);
  EXPECT_EQ(load<std::uint64_t>(image.data() + 32), 77u);
  EXPECT_EQ(std::memcmp(image.data() + 72, page.data(), page.size()), 0);
  EXPECT_EQ(written.checksum, xxh3_64(image.data(), image.size()));
  std::vector<std::byte> out(kPageBytes);
  EXPECT_EQ(decode_page_image(PageId{0x1234}, 0, written.checksum, image, out, nullptr), ImageProblem::kNone);
  EXPECT_EQ(out, page);
  EXPECT_EQ(decode_page_image(PageId{0x1235}, 0, written.checksum, image, out, nullptr),
            ImageProblem::kPageId);
  EXPECT_EQ(decode_page_image(PageId{0x1234}, 0, written.checksum + 1, image, out, nullptr),
            ImageProblem::kChecksum);
  image[6] = std::byte{1};
  EXPECT_EQ(decode_page_image(PageId{0x1234}, 0, xxh3_64(image.data(), image.size()), image, out, nullptr),
            ImageProblem::kKey);
  image[6] = std::byte{3};
  EXPECT_EQ(decode_page_image(PageId{0x1234}, 0, xxh3_64(image.data(), image.size()), image, out, nullptr),
            ImageProblem::kCodec);
}

TEST(PageImage, SealedImagesOpenWithTheirKeyAlone) {
  for (const auto cipher : {security::Cipher::kAes256Gcm, security::Cipher::kChaCha20Poly1305}) {
    io::SimulatedDisk disk(1);
    io::SimulatedExecutor executor(2);
    const io::Environment environment{&disk, &executor.clock(), &executor.random(), &executor};
    security::KeyBytes bytes{};
    const auto ring = security::KeyRing::open(environment, security::MasterKey{bytes}, cipher, true);
    io::SeededRandom random(7);
    for (int round = 0; round < 60; ++round) {
      const auto compression = static_cast<PageCompression>(round % 3);
      std::vector<std::byte> page(kPageBytes), image(kFrameBytes), out(kPageBytes);
      random.fill(std::span{page}.first(random.below(kPageBytes)));
      const security::KeyUse key = ring->current();
      const auto written = encode_page_image(PageId{9}, 0, 1, compression, key.get(), page, image);
      image.resize(written.blocks * kBlockBytes);
      EXPECT_EQ(load<ExtentHeader>(image.data()).key_id, key->id());
      const auto stored = image;
      ASSERT_EQ(decode_page_image(PageId{9}, 0, written.checksum, stored, out, ring.get()),
                ImageProblem::kNone);
      EXPECT_EQ(out, page);
      image.resize(kFrameBytes);  // in place, as the page reader does it
      ASSERT_EQ(decode_page_image(PageId{9}, 0, written.checksum, std::span{image}.first(stored.size()),
                                  {image.data(), kPageBytes}, ring.get()),
                ImageProblem::kNone);
      EXPECT_EQ(std::memcmp(image.data(), page.data(), page.size()), 0);
      EXPECT_EQ(decode_page_image(PageId{9}, 0, written.checksum, stored, out, nullptr), ImageProblem::kKey);
      // A forger who knows the checksum, but not the key: each changed bit of header or payload shows.
      auto forged = stored;
      const auto header = load<ExtentHeader>(stored.data());
      const std::size_t at = round % 2 == 0 ? 32 + random.below(8) : 72 + random.below(header.stored_len);
      forged[at] ^= std::byte{1};
      EXPECT_EQ(
          decode_page_image(PageId{9}, 0, xxh3_64(forged.data(), forged.size()), forged, out, ring.get()),
          ImageProblem::kSeal);
    }
  }
}

/// A page of which about `percent` can be guessed.
std::vector<std::byte> page_of(std::mt19937_64& random, unsigned percent) {
  std::vector<std::byte> page(kPageBytes);
  for (std::size_t i = 0; i < page.size(); ++i)
    page[i] = random() % 100 < percent ? std::byte(i / 64) : std::byte(random());
  return page;
}

TEST(ExtentImageFormat, CompressedImagesComeBackAndSaveBlocks) {
  std::mt19937_64 random(7);
  for (const auto compression : {PageCompression::kLz4, PageCompression::kZstd}) {
    for (unsigned percent = 0; percent <= 100; percent += 4) {
      const auto page = page_of(random, percent);
      std::vector<std::byte> image(kFrameBytes, std::byte{0xEE});
      const auto written = encode_page_image(PageId{9}, 0, 1, compression, nullptr, page, image);
      const auto header = load<ExtentHeader>(image.data());
      if (percent == 0) EXPECT_EQ(header.compression, 0) << "noise does not shrink";
      if (percent == 100) EXPECT_EQ(written.blocks, 1u);
      EXPECT_EQ(written.blocks < page_blocks(0),
                header.compression == static_cast<std::uint8_t>(compression));
      for (std::size_t at = kExtentHeaderBytes + header.stored_len; at < written.blocks * kBlockBytes; ++at)
        ASSERT_EQ(image[at], std::byte{0}) << "padding";
      std::vector<std::byte> out(kPageBytes);
      const std::span<const std::byte> stored{image.data(), written.blocks * kBlockBytes};
      ASSERT_EQ(decode_page_image(PageId{9}, 0, written.checksum, stored, out, nullptr), ImageProblem::kNone);
      EXPECT_EQ(out, page);
      // In place, as the page reader does it.
      ASSERT_EQ(
          decode_page_image(PageId{9}, 0, written.checksum, stored, {image.data(), kPageBytes}, nullptr),
          ImageProblem::kNone);
      EXPECT_EQ(std::memcmp(image.data(), page.data(), page.size()), 0);
    }
  }
}

/// Bytes that a valid checksum covers may still be wrong (a bug, an attack): no access leaves the buffers.
TEST(ExtentImageFormat, ForgedPayloadsAreRefused) {
  std::mt19937_64 random(11);
  unsigned refused = 0;
  for (unsigned round = 0; round < 2000; ++round) {
    const auto compression = round % 2 == 0 ? PageCompression::kLz4 : PageCompression::kZstd;
    const auto page = page_of(random, 95);
    std::vector<std::byte> whole(kFrameBytes);
    const auto written = encode_page_image(PageId{9}, 0, 1, compression, nullptr, page, whole);
    std::vector<std::byte> image(whole.begin(), whole.begin() + written.blocks * kBlockBytes);
    auto header = load<ExtentHeader>(image.data());
    if (round % 4 < 2) {
      header.stored_len = static_cast<std::uint32_t>(random() % (2 * kFrameBytes));
      store(image.data(), header);
    } else {
      image[kExtentHeaderBytes + random() % header.stored_len] ^= std::byte(1 + random() % 255);
    }
    std::vector<std::byte> out(kPageBytes);
    const auto found =
        decode_page_image(PageId{9}, 0, xxh3_64(image.data(), image.size()), image, out, nullptr);
    if (found != ImageProblem::kNone) ++refused;
  }
  EXPECT_GT(refused, 800u);
}

TEST(DirectoryFormat, EntryIs24Bytes) {
  const StoredEntry entry{Extent{0x123, 4}.packed(), 0x55, 0x66, 0x0A, 8, 0};
  std::byte image[24];
  store(image, entry);
  EXPECT_EQ(load<std::uint64_t>(image), 0x123ull << 20 | 4);
  EXPECT_EQ(load<std::uint64_t>(image + 8), 0x55u);
  EXPECT_EQ(load<std::uint32_t>(image + 16), 0x66u);
  EXPECT_EQ(image[20], std::byte{0x0A});
  EXPECT_EQ(image[21], std::byte{8});
}

// The four slots: G good of that generation, x damaged, 0 zero.
struct OpenCase {
  const char* name;
  int slots[4];  // generation; -1 damaged; 0 zero
  int newest;    // 0: none
  bool twin_bad;
  bool never_opened;
};

TEST(Superblock, OpenRule) {
  constexpr OpenCase cases[] = {
      {"both pairs good", {4, 4, 3, 3}, 4, false, false},
      {"odd generation newer", {4, 4, 5, 5}, 5, false, false},
      {"one copy of the newest bad", {4, -1, 3, 3}, 4, true, false},
      {"the other copy", {-1, 4, 3, 3}, 4, true, false},
      {"publication torn in both copies", {4, 4, -1, -1}, 4, false, false},
      {"publication torn, one copy made it", {4, 4, -1, 5}, 5, true, false},
      {"first generation only", {0, 0, 1, 1}, 1, false, false},
      {"creation cut short", {0, 0, -1, 0}, 0, false, true},
      {"everything damaged", {-1, -1, -1, -1}, 0, false, false},
      {"empty file", {0, 0, 0, 0}, 0, false, true},
  };
  for (const OpenCase& c : cases) {
    SCOPED_TRACE(c.name);
    io::SimulatedDisk disk(1);
    DataFile file(std::move(*disk.open("db", {.create = true})), nullptr);
    ASSERT_TRUE(file.extend(0, 512));
    for (int slot = 0; slot < 4; ++slot) {
      if (c.slots[slot] == 0) continue;
      Superblock superblock = example();
      superblock.state.generation = static_cast<std::uint64_t>(std::max(c.slots[slot], 1));
      SuperblockImage image;
      encode_superblock(superblock, image);
      if (c.slots[slot] < 0) image[100] ^= std::byte{4};
      ASSERT_TRUE(file.write(kSuperblockOffsets[slot], image));
    }
    const SuperblockReading reading = read_superblocks(file, 512 * 4096);
    EXPECT_EQ(reading.newest ? static_cast<int>(reading.newest->state.generation) : 0, c.newest);
    EXPECT_EQ(reading.twin_bad, c.twin_bad);
    EXPECT_EQ(reading.never_opened, c.never_opened);
  }
}

TEST(Superblock, AGenerationNeverOverwritesTheOneBefore) {
  io::SimulatedDisk disk(1);
  DataFile file(std::move(*disk.open("db", {.create = true})), nullptr);
  ASSERT_TRUE(file.extend(0, 512));
  for (std::uint64_t generation = 1; generation < 6; ++generation) {
    Superblock superblock = example();
    superblock.state.generation = generation;
    ASSERT_TRUE(write_superblock(file, superblock));
    const std::uint64_t pair = generation % 2 == 0 ? 0 : 1 << 20;
    for (const std::uint64_t offset : {pair, pair + 4096}) {
      AlignedBuffer buffer(4096);
      ASSERT_TRUE(file.read(offset, buffer.span()));
      const auto read = decode_superblock(buffer.span());
      ASSERT_TRUE(read);
      EXPECT_EQ(read->state.generation, generation);
    }
  }
}

}  // namespace
}  // namespace rustbd::storage
