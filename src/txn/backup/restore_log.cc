#include "rustbd/txn/backup/restore_log.h"

#include <algorithm>
#include <utility>

#include "rustbd/log/segments.h"
#include "rustbd/txn/backup/restore_point.h"

namespace rustbd::txn {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;

std::unique_ptr<io::File> open_file(io::Disk& disk, const std::string& path, io::OpenOptions options) {
  auto file = disk.open(path, options);
  require_backup(file, "open", path);
  return std::move(*file);
}

bool is_commit(log::BatchKind kind) {
  return kind == log::BatchKind::kCommit || kind == log::BatchKind::kCommitLarge ||
         kind == log::BatchKind::kCommitPrepared;
}

}  // namespace

Error no_master_key() {
  return error(sqlstate::kObjectNotInPrerequisiteState,
               "a restore point of an encrypted database can be found with its master key only")
      .with_hint(
          "Set RUSTBD_ENCRYPTION_ENABLED and RUSTBD_ENCRYPTION_KEY_SOURCE, or give the position that "
          "rustbd_create_restore_point() returned.");
}

Error missing_key(std::uint32_t id) {
  return error(sqlstate::kObjectNotInPrerequisiteState,
               "the log is sealed with encryption key {}, which is in no table of keys", id)
      .with_hint(
          "The table that has it, keys.tab, stands beside the archived segments, and that of a data "
          "directory's wal/ in the data directory: name them with --archive.");
}

RestoreLog::RestoreLog(const RestoreOptions& options, const BackupReader& backup,
                       const security::KeyRing* keys)
    : options_(options),
      backup_(backup),
      manifest_(backup.manifest()),
      geometry_(manifest_.segment_bytes),
      keys_(keys) {
  find_archived();
}

std::string RestoreLog::segment_path(std::uint64_t number) const {
  return fmt::format("{}/{}", kLogDirectory, segment(number));
}

/// Which log the archived segment is of; nothing: of no segment size of ours, or it has no good header.
std::optional<std::uint64_t> RestoreLog::log_of(const BackupPlace& archive, Lsn first) const {
  const std::string path = backup_path(archive.directory, log::segment_name(first));
  const auto file = open_file(*archive.disk, path, {.read_only = true});
  Bytes block(log::kSegmentHeaderBytes);
  const auto size = file->size();
  if (!size || *size != geometry_.segment_bytes()) return std::nullopt;
  require_backup(file->read(0, block), "read", path);
  const auto header = log::decode_segment_header(std::span<const std::byte, log::kSegmentHeaderBytes>{block});
  if (!header || header->first_lsn != first.raw()) return std::nullopt;
  return header->wal_uuid;
}

// Segments of other logs, of which a directory may hold some, are not ours. The first archive counts.
void RestoreLog::find_archived() {
  for (const BackupPlace& archive : options_.archives) {
    const auto all = log::list_segments(*archive.disk, archive.directory);
    require_backup(all, "list", archive.directory);
    bool later = false;  // it has some that may follow the backup
    for (const Lsn first : *all) {
      const std::uint64_t number = geometry_.segment_of(first);
      if (geometry_.first_lsn(number) != first || number < geometry_.segment_of(manifest_.end)) continue;
      later = true;
      const auto wal_uuid = log_of(archive, first);
      if (wal_uuid == manifest_.wal_uuid)
        archived_.try_emplace(number, archive.disk, backup_path(archive.directory, log::segment_name(first)));
      else if (wal_uuid) foreign_ = std::max(foreign_, number);
    }
    if (!later && !all->empty() && log_of(archive, all->back()) != manifest_.wal_uuid)
      throw error(sqlstate::kObjectNotInPrerequisiteState,
                  "the archived segment {}, the last one of its directory, is not of the backup's log",
                  log::segment_name(all->back()))
          .with_hint("Name with --archive only directories that have the log behind the backup.");
  }
}

// The backup has the beginning only of the segment in which it ends.
void RestoreLog::require_segments() const {
  const std::uint64_t own = geometry_.segment_of(manifest_.end);
  std::uint64_t last = archived_.empty() ? own : std::max(own, archived_.rbegin()->first);
  if (options_.target.lsn) {
    last = *options_.target.lsn <= manifest_.end ? own : geometry_.segment_of(*options_.target.lsn);
    // A position at a segment's beginning is the end of the one before.
    if (last > own && *options_.target.lsn <= geometry_.first_batch(last)) --last;
  }
  const bool within = options_.target.time_us && *options_.target.time_us <= manifest_.ended_us;
  if (within) last = own;
  const bool whole = options_.target.lsn ? *options_.target.lsn > manifest_.end : last > own;
  for (std::uint64_t number = whole ? own : own + 1; number <= last; ++number) {
    if (!archived_.contains(number))
      throw error(sqlstate::kUndefinedFile, "the log segment {} is in no archive", segment(number));
  }
  // Otherwise run() tells, and where the log ends.
  if (options_.to == nullptr && open_end() && foreign_ >= last)
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the log goes on as another one: the archived segment {} is of that, as after a restore or "
                "\"rustbd log truncate\"",
                segment(foreign_))
        .with_hint(
            "For what came after take a backup made since. Without --dry-run it is told up to which position "
            "--target-lsn can restore.");
}

void RestoreLog::finish_file() {
  if (!file_) return;
  require_backup(file_->datasync(), "sync", segment_path(file_number_));
  file_.reset();
}

void RestoreLog::write_piece(std::uint64_t number, std::uint64_t offset, ByteSpan bytes) {
  const std::string path = segment_path(number);
  if (!file_ || file_number_ != number) {
    finish_file();
    file_ = open_file(*options_.to, path, {.create = true});
    file_number_ = number;
    require_backup(file_->allocate(0, geometry_.segment_bytes()), "write", path);
  }
  require_backup(file_->write(offset, bytes), "write", path);
}

void RestoreLog::write_own() {
  backup_.each_log_piece([this](std::uint64_t number, std::uint32_t offset, ByteSpan bytes) {
    write_piece(number, offset, bytes);
  });
  finish_file();
}

/// From an archive. False: none has it.
bool RestoreLog::bring(std::uint64_t number) {
  const auto found = archived_.find(number);
  if (found == archived_.end()) return false;
  const auto from = open_file(*found->second.disk, found->second.path, {.read_only = true});
  Bytes piece;
  for (std::uint64_t at = 0; at < geometry_.segment_bytes(); at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(kPieceBytes, geometry_.segment_bytes() - at));
    require_backup(from->read(at, piece), "read", found->second.path);
    write_piece(number, at, piece);
  }
  finish_file();
  return true;
}

void RestoreLog::run(RestoreResult& result) {
  const auto made = options_.to->make_directory(kLogDirectory);
  require_backup(made, "make", kLogDirectory);
  write_own();
  log::LogReader reader(*options_.to, kLogDirectory, geometry_, keys_);
  if (keys_ == nullptr) reader.leave_sealed();
  reader.seek(manifest_.checkpoint);
  found_.end = manifest_.checkpoint;
  // Batches that begin before the newest segment that is there can be read: the rest may lack its end.
  std::uint64_t number = geometry_.segment_of(manifest_.end);
  const bool whole = bring(number);  // complete there; of what comes behind it nothing can be read without it
  bool reached = read_on(reader, geometry_.first_lsn(number));
  while (!reached && whole && bring(number + 1)) reached = read_on(reader, geometry_.first_lsn(++number));
  if (!reached) reached = read_on(reader, {});
  if (!reached) judge_end(reader, number + 1);
  cut();
  require_backup(options_.to->sync_directory(kLogDirectory), "sync", kLogDirectory);
  result.end = found_.end;
  result.commits = found_.commits;
  result.last_commit_us = found_.last_commit_us;
}

bool RestoreLog::is_beyond(const log::BatchView& batch) const {
  const RestoreTarget& target = options_.target;
  if (target.lsn) return batch.end > *target.lsn;
  return target.time_us && is_commit(batch.header.kind) &&
         static_cast<std::int64_t>(batch.header.wall_clock_us) > *target.time_us;
}

bool RestoreLog::is_named(log::LogReader& reader, const log::BatchView& batch) const {
  if (!options_.target.name) return false;
  if ((batch.header.flags & log::kFlagEncrypted) != 0 && keys_ == nullptr) throw no_master_key();
  return restore_point_name(reader, batch) == *options_.target.name;
}

/// True: the target is reached.
bool RestoreLog::read_on(log::LogReader& reader, Lsn limit) {
  reader.set_limit(limit);
  for (;;) {
    if (options_.target.lsn && reader.position() >= *options_.target.lsn) return true;
    const auto outcome = reader.next();
    if (outcome == log::ReadOutcome::kEnd) {
      // Behind a PAD, which may end a segment. A target inside it is reached: nothing happened there.
      found_.end = std::max(found_.end, reader.position());
      return options_.target.lsn && found_.end >= *options_.target.lsn;
    }
    if (outcome == log::ReadOutcome::kIoError) throw Error{sqlstate::kIoError, reader.problem()};
    if (outcome == log::ReadOutcome::kDamaged && reader.missing_key() != 0)
      throw missing_key(reader.missing_key());
    if (outcome != log::ReadOutcome::kBatch)
      throw error(sqlstate::kDataCorrupted, "the log cannot be read behind {}: {}", to_text(found_.end),
                  reader.problem());
    const log::BatchView& batch = reader.batch();
    if (is_beyond(batch)) {
      found_.end = batch.start;
      return true;
    }
    found_.end = batch.end;
    last_us_ = std::max(last_us_, static_cast<std::int64_t>(batch.header.wall_clock_us));
    if ((batch.header.flags & log::kFlagEncrypted) != 0) key_ids_.insert(batch.header.key_id);
    if (is_commit(batch.header.kind)) {
      ++found_.commits;
      found_.last_commit_us = static_cast<std::int64_t>(batch.header.wall_clock_us);
    }
    if (is_named(reader, batch)) return true;
  }
}

// The log that there is ends before the target.
void RestoreLog::judge_end(const log::LogReader& reader, std::uint64_t missing) const {
  if (found_.end < manifest_.end)
    throw error(sqlstate::kDataCorrupted, "the log of the backup ends at {} instead of {}: {}",
                to_text(found_.end), to_text(manifest_.end), reader.problem());
  const RestoreTarget& target = options_.target;
  const bool quiet = target.time_us && *target.time_us <= std::max(manifest_.ended_us, last_us_);
  if (quiet) return;
  if (archived_.lower_bound(missing) != archived_.end())
    throw error(sqlstate::kUndefinedFile, "the log segment {} is in no archive", segment(missing));
  // Restored elsewhere, or cut by hand: what came after is not in this log.
  if (foreign_ != 0 && foreign_ + 1 >= missing)
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the log ends at {}, and the archived segment {} is of another log, as after a restore or "
                "\"rustbd log truncate\"",
                to_text(found_.end), segment(foreign_))
        .with_hint(fmt::format("For what came after take a backup made since. --target-lsn {} restores up to "
                               "there.",
                               to_text(found_.end)));
  if (open_end()) return;
  throw error(sqlstate::kObjectNotInPrerequisiteState, "the log ends at {}, before the target of the restore",
              to_text(found_.end))
      .with_hint(fmt::format("The log segment {} would be next. Name the directory that holds it with "
                             "--archive; the last segments are in the old data directory's wal/.",
                             segment(missing)));
}

// Newer segments first, so that no gap can be mistaken for a lost one.
void RestoreLog::cut() {
  const std::uint64_t last = geometry_.segment_of(found_.end);
  const auto all = log::list_segments(*options_.to, kLogDirectory);
  require_backup(all, "list", kLogDirectory);
  for (auto first = all->rbegin(); first != all->rend() && geometry_.segment_of(*first) > last; ++first) {
    const std::string path = segment_path(geometry_.segment_of(*first));
    require_backup(options_.to->remove(path), "remove", path);
  }
  const std::string path = segment_path(last);
  if (!options_.to->exists(path)) return;
  const auto file = open_file(*options_.to, path, {});
  const Bytes zeros(kPieceBytes);
  for (std::uint64_t at = found_.end.raw() - geometry_.first_lsn(last).raw();
       at < geometry_.segment_bytes();) {
    const std::size_t now = std::min<std::uint64_t>(zeros.size(), geometry_.segment_bytes() - at);
    require_backup(file->write(at, ByteSpan{zeros}.first(now)), "write", path);
    at += now;
  }
  require_backup(file->datasync(), "sync", path);
}

}  // namespace rustbd::txn
