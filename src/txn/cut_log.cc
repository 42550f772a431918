#include "rustbd/txn/cut_log.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "rustbd/base/error.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/log/segments.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/superblock.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::txn {
namespace {

constexpr const char* kDirectory = "wal";
constexpr std::size_t kZeroBytes = 1 << 20;

void require(const io::IoResult<>& done, std::string_view what) {
  if (!done) throw error(sqlstate::kIoError, "could not {}: {}", what, io::to_text(done.error()));
}

std::string segment_path(Lsn first) { return fmt::format("{}/{}", kDirectory, log::segment_name(first)); }

/// The next start goes on under it.
void write_wal_uuid(io::Disk& disk, std::uint64_t wal_uuid) {
  auto opened = disk.open(storage::kDataFileName, {});
  if (!opened)
    throw error(sqlstate::kIoError, "could not open the data file: {}", io::to_text(opened.error()));
  storage::DataFile file(std::move(*opened), nullptr);
  const auto blocks = file.size_blocks();
  require(blocks ? io::IoResult<>{} : std::unexpected{blocks.error()}, "read the data file");
  const auto reading = storage::read_superblocks(file, *blocks * storage::kBlockBytes);
  if (!reading.newest || reading.foreign)
    throw error(sqlstate::kDataCorrupted, "all copies of the superblock are damaged");
  storage::Superblock superblock = *reading.newest;
  superblock.state.wal_uuid = wal_uuid;
  ++superblock.state.generation;  // the pair that is good stays
  require(storage::write_superblock(file, superblock), "write the superblock");
  require(file.datasync(), "sync the data file");
}

std::optional<log::SegmentHeader> header_of(const Bytes& block, Lsn first) {
  auto header = log::decode_segment_header(std::span<const std::byte, log::kSegmentHeaderBytes>{block});
  return header && header->first_lsn == first.raw() ? header : std::nullopt;
}

std::optional<log::SegmentHeader> header_of(io::Disk& disk, Lsn first) {
  const auto file = disk.open(segment_path(first), {.read_only = true});
  Bytes block(log::kSegmentHeaderBytes);
  return file && (*file)->read(0, block) ? header_of(block, first) : std::nullopt;
}

io::IoResult<> write_header(io::File& segment, const log::SegmentHeader& header) {
  Bytes block(log::kSegmentHeaderBytes);
  log::encode_segment_header(header, std::span<std::byte, log::kSegmentHeaderBytes>{block});
  if (const auto written = segment.write(0, block); !written) return written;
  return segment.datasync();
}

void give_to(log::SegmentHeader& header, std::uint64_t wal_uuid) {
  header.wal_uuid = wal_uuid;
  ++header.timeline;
}

std::vector<Lsn> segments_of(io::Disk& disk) {
  auto all = log::list_segments(disk, kDirectory);
  if (!all) throw error(sqlstate::kIoError, "the log cannot be listed: {}", io::to_text(all.error()));
  return std::move(*all);
}

std::unique_ptr<io::File> open_segment(io::Disk& disk, Lsn first, bool create) {
  auto file = disk.open(segment_path(first), {.create = create});
  if (!file) throw error(sqlstate::kIoError, "could not open the log: {}", io::to_text(file.error()));
  return std::move(*file);
}

}  // namespace

io::IoResult<> begin_other_log(io::File& segment, Lsn first, std::uint64_t wal_uuid) {
  Bytes block(log::kSegmentHeaderBytes);
  if (const auto read = segment.read(0, block); !read) return read;
  auto header = header_of(block, first);
  if (!header) return {};
  give_to(*header, wal_uuid);
  return write_header(segment, *header);
}

io::IoResult<> clear_behind(io::File& segment, const log::Geometry& geometry, Lsn end) {
  const std::uint64_t all = geometry.segment_bytes();
  const Bytes zeros(std::min<std::uint64_t>(kZeroBytes, all));
  for (std::uint64_t at = end.raw() % all; at < all;) {
    const std::size_t now = std::min<std::uint64_t>(zeros.size(), all - at);
    if (const auto written = segment.write(at, ByteSpan{zeros}.first(now)); !written) return written;
    at += now;
  }
  return segment.datasync();
}

LogPlace::LogPlace(io::Disk& disk) {
  const auto state = storage::read_database_state(disk);
  if (!state) throw error(sqlstate::kDataCorrupted, "all copies of the superblock are damaged");
  geometry = log::Geometry(state->log_segment_bytes);
  checkpoint = state->positions.lsn.is_none() ? geometry.first_batch(0) : state->positions.lsn;
  kept = state->log_keep_lsn.is_none() ? checkpoint : std::min(state->log_keep_lsn, checkpoint);
}

void require_position(io::Disk& disk, const LogPlace& place, Lsn at) {
  if (at < place.checkpoint)
    throw error(sqlstate::kInvalidParameterValue, "the last checkpoint needs the log up to {}",
                to_text(place.checkpoint));
  log::LogReader reader(disk, kDirectory, place.geometry);
  reader.leave_sealed();
  reader.seek(place.checkpoint);  // a batch began or ended there, whatever of the log can still be read
  reader.set_limit(at);           // also where it lies behind a PAD
  while (reader.next() == log::ReadOutcome::kBatch) {}
  if (reader.position() != at)
    throw error(sqlstate::kInvalidParameterValue, "no batch begins at {}; the log can be read up to {}",
                to_text(at), to_text(reader.position()));
}

bool header_is_lost(io::Disk& disk, const LogPlace& place, Lsn at) {
  const std::uint64_t home = place.geometry.segment_of(at);
  return at != place.geometry.first_batch(home) && !header_of(disk, place.geometry.first_lsn(home));
}

void cut_log(io::Disk& disk, io::Random& random, const LogPlace& place, Lsn at) {
  const std::uint64_t wal_uuid = random.next_u64() | 1, home = place.geometry.segment_of(at);
  const Lsn first = place.geometry.first_lsn(home);
  const std::vector<Lsn> all = segments_of(disk);
  const bool lost = header_is_lost(disk, place, at);
  log::SegmentHeader header{};
  if (lost) {  // what the segment held cannot be verified any more: another salt
    for (const Lsn other : all)
      if (const auto known = header_of(disk, other)) header = *known;
    header.first_lsn = first.raw();
    header.segment_no = home;
    header.salt = random.next_u64() | 1;
    give_to(header, wal_uuid);
  }
  // It is another log before anything of the old one goes; what stands before the end stays valid.
  write_wal_uuid(disk, wal_uuid);
  if (!lost && disk.exists(segment_path(first)))
    require(begin_other_log(*open_segment(disk, first, false), first, wal_uuid), "write the log");
  // Newer segments first, so that no gap can be mistaken for a lost one if this is cut short.
  for (auto segment = all.rbegin(); segment != all.rend(); ++segment) {
    if (place.geometry.segment_of(*segment) <= home) break;
    require(disk.remove(segment_path(*segment)), "remove a segment");
    require(disk.sync_directory(kDirectory), "sync the log's directory");
  }
  if (!lost && !disk.exists(segment_path(first))) return;  // it would begin at `at`
  const auto file = open_segment(disk, first, lost);
  const auto size = file->size();
  if (!size) throw error(sqlstate::kIoError, "could not read the log: {}", io::to_text(size.error()));
  if (*size < place.geometry.segment_bytes())  // it was cut short
    require(file->allocate(0, place.geometry.segment_bytes()), "make room for the log");
  // Under another salt nothing before `at` counts either.
  require(clear_behind(*file, place.geometry, lost ? place.geometry.first_batch(home) : at), "write the log");
  if (lost) require(write_header(*file, header), "write the log");
  require(disk.sync_directory(kDirectory), "sync the log's directory");
}

}  // namespace rustbd::txn
