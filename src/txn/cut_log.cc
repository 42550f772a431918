#include "rustbd/txn/cut_log.h"

#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/log/segments.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/superblock.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::txn {
namespace {

constexpr const char* kDirectory = "wal";

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

/// What stands before the end stays valid: the salt is the same. Without a valid header nothing does.
void rename_log(io::File& segment, std::uint64_t wal_uuid) {
  Bytes block(log::kSegmentHeaderBytes);
  const std::span<std::byte, log::kSegmentHeaderBytes> bytes{block};
  require(segment.read(0, block), "read the log");
  auto header = log::decode_segment_header(bytes);
  if (!header) return;
  header->wal_uuid = wal_uuid;
  ++header->timeline;
  log::encode_segment_header(*header, bytes);
  require(segment.write(0, block), "write the log");
  require(segment.datasync(), "sync the log");
}

}  // namespace

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
                TransactionSystem::lsn_text(place.checkpoint));
  log::LogReader reader(disk, kDirectory, place.geometry);
  reader.leave_sealed();
  reader.seek(place.kept);
  reader.set_limit(at);  // also where it lies behind a PAD
  while (reader.next() == log::ReadOutcome::kBatch) {}
  if (reader.position() != at)
    throw error(sqlstate::kInvalidParameterValue, "no batch begins at {}; the log can be read up to {}",
                TransactionSystem::lsn_text(at), TransactionSystem::lsn_text(reader.position()));
}

void cut_log(io::Disk& disk, io::Random& random, const LogPlace& place, Lsn at) {
  const std::uint64_t wal_uuid = random.next_u64() | 1, home = place.geometry.segment_of(at);
  const Lsn first = place.geometry.first_lsn(home);
  auto file = disk.open(segment_path(first), {});
  if (!file) throw error(sqlstate::kIoError, "could not open the log: {}", io::to_text(file.error()));
  const auto size = (*file)->size();
  if (!size) throw error(sqlstate::kIoError, "could not read the log: {}", io::to_text(size.error()));
  const auto all = log::list_segments(disk, kDirectory);
  if (!all) throw error(sqlstate::kIoError, "the log cannot be listed: {}", io::to_text(all.error()));
  // It is another log before anything of the old one goes.
  write_wal_uuid(disk, wal_uuid);
  rename_log(**file, wal_uuid);
  // Newer segments first, so that no gap can be mistaken for a lost one if this is cut short.
  for (auto segment = all->rbegin(); segment != all->rend(); ++segment) {
    if (place.geometry.segment_of(*segment) <= home) break;
    require(disk.remove(segment_path(*segment)), "remove a segment");
    require(disk.sync_directory(kDirectory), "sync the log's directory");
  }
  if (const std::uint64_t begin = at.raw() - first.raw(); begin < *size) {
    const Bytes zeros(*size - begin);
    require((*file)->write(begin, zeros), "write the log");
  }
  require((*file)->datasync(), "sync the log");
}

}  // namespace rustbd::txn
