#include "rustbd/storage/pages/superblock.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "rustbd/base/crc32c.h"
#include "rustbd/storage/pages/aligned_buffer.h"
#include "rustbd/storage/pages/data_file.h"

namespace rustbd::storage {
namespace {

/// The bytes that mean something; the rest of the 4096 is zero.
struct StoredSuperblock {
  char magic[8];
  std::uint32_t format_version;
  std::uint32_t crc;
  std::uint64_t uuid[2];
  std::uint64_t generation, epoch, ckpt_lsn, ckpt_commit_ts, next_txid, next_page_id, log_keep_lsn;
  std::uint32_t boot_count, page_size_log2;
  ExtentPointer directory_root, undo_snapshot;
  std::uint64_t file_blocks, wal_uuid;
  std::uint32_t db_flags, next_object_id;
  std::uint64_t catalog_version, log_segment_bytes;
  std::uint32_t next_key_id, zero;
};
static_assert(offsetof(StoredSuperblock, crc) == 12 && offsetof(StoredSuperblock, uuid) == 16);
static_assert(offsetof(StoredSuperblock, generation) == 32 && offsetof(StoredSuperblock, ckpt_lsn) == 48);
static_assert(offsetof(StoredSuperblock, next_page_id) == 72 &&
              offsetof(StoredSuperblock, log_keep_lsn) == 80);
static_assert(offsetof(StoredSuperblock, boot_count) == 88 &&
              offsetof(StoredSuperblock, directory_root) == 96);
static_assert(offsetof(StoredSuperblock, undo_snapshot) == 128 &&
              offsetof(StoredSuperblock, file_blocks) == 160);
static_assert(offsetof(StoredSuperblock, wal_uuid) == 168 && offsetof(StoredSuperblock, db_flags) == 176);
static_assert(offsetof(StoredSuperblock, next_object_id) == 180 &&
              offsetof(StoredSuperblock, catalog_version) == 184);
static_assert(offsetof(StoredSuperblock, log_segment_bytes) == 192 &&
              offsetof(StoredSuperblock, next_key_id) == 200 && sizeof(StoredSuperblock) == 208);

constexpr char kMagic[9] = "RUSTBDSB";

std::uint32_t crc_of(ByteSpan image) {
  SuperblockImage copy;
  std::memcpy(copy.data(), image.data(), kSuperblockBytes);
  std::memset(copy.data() + offsetof(StoredSuperblock, crc), 0, 4);
  return crc32c(0, copy.data(), copy.size());
}

}  // namespace

void encode_superblock(const Superblock& from, SuperblockImage& into) {
  const DatabaseState& state = from.state;
  StoredSuperblock stored{};
  std::memcpy(stored.magic, kMagic, 8);
  stored.format_version = from.format_version;
  stored.uuid[0] = static_cast<std::uint64_t>(state.uuid);
  stored.uuid[1] = static_cast<std::uint64_t>(state.uuid >> 64);
  stored.generation = state.generation;
  stored.epoch = state.epoch;
  stored.ckpt_lsn = state.positions.lsn.raw();
  stored.ckpt_commit_ts = state.positions.commit_ts.raw();
  stored.next_txid = state.positions.next_txid.raw();
  stored.next_page_id = state.next_page_id;
  stored.log_keep_lsn = state.log_keep_lsn.raw();
  stored.boot_count = state.boot_count;
  stored.page_size_log2 = from.page_size_log2;
  stored.directory_root = from.directory_root;
  stored.undo_snapshot = from.undo_snapshot;
  stored.file_blocks = from.file_blocks;
  stored.wal_uuid = state.wal_uuid;
  stored.db_flags = state.db_flags;
  stored.next_object_id = state.positions.next_object_id;
  stored.catalog_version = state.positions.catalog_version;
  stored.log_segment_bytes = state.log_segment_bytes;
  stored.next_key_id = state.next_key_id;
  into.fill(std::byte{0});
  std::memcpy(into.data(), &stored, sizeof stored);
  store(into.data() + offsetof(StoredSuperblock, crc), crc_of(into));
}

std::optional<Superblock> decode_superblock(ByteSpan image) {
  if (image.size() < kSuperblockBytes) return std::nullopt;
  const auto stored = load<StoredSuperblock>(image.data());
  if (std::memcmp(stored.magic, kMagic, 8) != 0 || stored.crc != crc_of(image)) return std::nullopt;
  Superblock out;
  out.format_version = stored.format_version;
  out.state.uuid = static_cast<unsigned __int128>(stored.uuid[1]) << 64 | stored.uuid[0];
  out.state.generation = stored.generation;
  out.state.epoch = stored.epoch;
  out.state.positions.lsn = Lsn{stored.ckpt_lsn};
  out.state.positions.commit_ts = CommitTimestamp{stored.ckpt_commit_ts};
  out.state.positions.next_txid = TransactionId{stored.next_txid};
  out.state.positions.next_object_id = stored.next_object_id;
  out.state.positions.catalog_version = stored.catalog_version;
  out.state.log_keep_lsn = Lsn{stored.log_keep_lsn};
  out.state.next_page_id = stored.next_page_id;
  out.state.boot_count = stored.boot_count;
  out.state.wal_uuid = stored.wal_uuid;
  out.state.db_flags = stored.db_flags;
  out.state.log_segment_bytes = stored.log_segment_bytes;
  out.state.next_key_id = stored.next_key_id;
  out.directory_root = stored.directory_root;
  out.undo_snapshot = stored.undo_snapshot;
  out.file_blocks = stored.file_blocks;
  out.page_size_log2 = stored.page_size_log2;
  return out;
}

SuperblockReading read_superblocks(DataFile& file, std::uint64_t file_bytes) {
  SuperblockReading reading;
  AlignedBuffer buffer(kSuperblockBytes);
  std::array<std::optional<Superblock>, 4> slots;
  std::array<bool, 4> zero{};
  std::array<SuperblockImage, 4> images;
  for (int slot = 0; slot < 4; ++slot) {
    if (kSuperblockOffsets[slot] + kSuperblockBytes > file_bytes) {
      zero[slot] = true;
      continue;
    }
    const bool readable = file.read(kSuperblockOffsets[slot], buffer.span()).has_value();
    if (readable) std::memcpy(images[slot].data(), buffer.data(), kSuperblockBytes);
    zero[slot] = readable && std::ranges::all_of(images[slot], [](std::byte b) { return b == std::byte{0}; });
    if (readable) slots[slot] = decode_superblock(images[slot]);
    reading.all_zero = reading.all_zero && zero[slot];
    if (slots[slot] &&
        (!reading.newest || std::pair(slots[slot]->state.generation, slots[slot]->state.epoch) >
                                std::pair(reading.newest->state.generation, reading.newest->state.epoch))) {
      reading.newest = slots[slot];
      reading.newest_slot = slot;
    }
  }
  if (!reading.newest) {
    reading.never_opened = zero[0] && zero[1];
    return reading;
  }
  for (const auto& slot : slots) reading.foreign |= slot && slot->state.uuid != reading.newest->state.uuid;
  const int twin = reading.newest_slot ^ 1;
  reading.twin_bad = !slots[twin] || images[twin] != images[reading.newest_slot];
  if (reading.twin_bad) {
    reading.warnings.push_back(fmt::format("superblock copy {} is bad; its twin (generation {}) is used",
                                           twin, reading.newest->state.generation));
  }
  const int other = reading.newest_slot < 2 ? 2 : 0;
  if (!slots[other] && !slots[other + 1] && !zero[other] && !zero[other + 1]) {
    reading.warnings.push_back(
        fmt::format("generation {} was not published completely; generation {} is used",
                    reading.newest->state.generation + 1, reading.newest->state.generation));
  }
  return reading;
}

io::IoResult<> write_superblock(DataFile& file, const Superblock& superblock) {
  AlignedBuffer buffer(kSuperblockBytes);
  SuperblockImage image;
  encode_superblock(superblock, image);
  std::memcpy(buffer.data(), image.data(), image.size());
  const int first = superblock.state.generation % 2 == 0 ? 0 : 2;
  for (int slot = first; slot < first + 2; ++slot) {
    if (auto done = file.write(kSuperblockOffsets[slot], buffer.span()); !done) return done;
  }
  return {};
}

io::IoResult<> rewrite_twin(DataFile& file, const Superblock& superblock, int good_slot) {
  AlignedBuffer buffer(kSuperblockBytes);
  SuperblockImage image;
  encode_superblock(superblock, image);
  std::memcpy(buffer.data(), image.data(), image.size());
  return file.write(kSuperblockOffsets[good_slot ^ 1], buffer.span());
}

}  // namespace rustbd::storage
