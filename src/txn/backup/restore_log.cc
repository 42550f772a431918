#include "rustbd/txn/backup/restore_log.h"

#include <algorithm>
#include <utility>

#include "rustbd/log/segments.h"
#include "rustbd/txn/backup/restore_point.h"
#include "rustbd/txn/cut_log.h"

namespace rustbd::txn {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;

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
      keys_(keys),
      archived_(options, manifest_) {
  archived_.leave_out_strangers(backup);
}

std::string RestoreLog::segment_path(std::uint64_t number) const {
  return fmt::format("{}/{}", kLogDirectory, segment(number));
}

// The backup has the beginning only of the segment in which it ends.
void RestoreLog::require_segments() const {
  const std::uint64_t own = geometry_.segment_of(manifest_.end);
  std::uint64_t last = std::max(own, archived_.last().value_or(own));
  if (options_.target.lsn) {
    last = *options_.target.lsn <= manifest_.end ? own : geometry_.segment_of(*options_.target.lsn);
    // A position at a segment's beginning is the end of the one before.
    if (last > own && *options_.target.lsn <= geometry_.first_batch(last)) --last;
  }
  const bool within = options_.target.time_us && *options_.target.time_us <= manifest_.ended_us;
  if (within) last = own;
  const bool whole = options_.target.lsn ? *options_.target.lsn > manifest_.end : last > own;
  if (whole || !(within || options_.target.lsn || options_.target.name)) archived_.require_own();
  for (std::uint64_t number = whole ? own : own + 1; number <= last; ++number) {
    if (!archived_.has(number))
      throw error(sqlstate::kUndefinedFile, "the log segment {} is in no archive", segment(number));
  }
  // Otherwise run() tells, and where the log ends.
  const auto foreign = archived_.last_foreign();
  if (options_.to == nullptr && open_end() && foreign && *foreign >= last)
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the log goes on as another one: the archived segment {} is of that, as after a restore or "
                "\"rustbd log truncate\"",
                segment(*foreign))
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

void RestoreLog::copy_in(std::uint64_t number, const ArchivedSegment& version) {
  const auto from = open_file(*version.disk, version.path, {.read_only = true});
  Bytes piece;
  for (std::uint64_t at = 0; at < geometry_.segment_bytes(); at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(kPieceBytes, geometry_.segment_bytes() - at));
    require_backup(from->read(at, piece), "read", version.path);
    write_piece(number, at, piece);
  }
  finish_file();
}

/// From the last batch that was read on, with what wal/ has now.
RestoreLog::Reach RestoreLog::try_out() const {
  log::LogReader reader(*options_.to, kLogDirectory, geometry_);
  reader.leave_sealed();
  reader.seek(last_batch_);
  Reach reach;
  while (reader.next() == log::ReadOutcome::kBatch)
    reach = {reader.batch().end, {}, reader.batch().start, reader.batch().header.crc};
  reach.position = reader.position();
  return reach;
}

/// From an archive. False: none has it.
bool RestoreLog::bring(std::uint64_t number) {
  const auto& versions = archived_.versions(number);
  if (versions.empty()) return false;
  if (versions.size() == 1) copy_in(number, versions.front());
  else bring_best(number, versions);
  return true;
}

// One may end before another: a copy from before it was complete, a damaged one, or one that another database
// closed there, which was restored to that moment.
void RestoreLog::bring_best(std::uint64_t number, const std::vector<ArchivedSegment>& versions) {
  std::vector<Reach> reached(versions.size());
  std::optional<std::size_t> best, there;
  std::optional<Error> failure;
  for (std::size_t i = 0; i < versions.size(); ++i) {
    there.reset();
    try {
      copy_in(number, versions[i]);
    } catch (const Error& e) {
      failure = e;
      continue;
    }
    there = i;
    reached[i] = try_out();
    if (!best || reached[i] > reached[*best]) best = i;
  }
  if (!best) throw *failure;
  if (there != best) copy_in(number, versions[*best]);
  log::LogReader reader(*options_.to, kLogDirectory, geometry_);
  reader.leave_sealed();
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (i == *best || reached[i].end <= geometry_.first_batch(number)) continue;
    Bytes content;
    log::BatchView batch;
    if (reader.read_at(reached[i].batch, content, batch) && batch.header.crc == reached[i].crc) continue;
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the log segment {} of archive {} and that of archive {} are of two databases that were one",
                segment(number), versions[*best].archive, versions[i].archive)
        .with_hint("Name with --archive only those of the one that is wanted.");
  }
  if (options_.log_line)
    options_.log_line(fmt::format("segment {} is taken from archive {}: there the log reaches farthest",
                                  segment(number), versions[*best].archive));
}

void RestoreLog::run(RestoreResult& result, std::uint64_t wal_uuid) {
  const auto made = options_.to->make_directory(kLogDirectory);
  require_backup(made, "make", kLogDirectory);
  write_own();
  log::LogReader reader(*options_.to, kLogDirectory, geometry_, keys_);
  if (keys_ == nullptr) reader.leave_sealed();
  reader.seek(manifest_.checkpoint);
  found_.end = last_batch_ = manifest_.checkpoint;
  // What the backup has itself needs no archive.
  bool reached = read_on(reader, manifest_.end);
  // Batches that begin before the newest segment that is there can be read: the rest may lack its end.
  std::uint64_t next = geometry_.segment_of(manifest_.end);  // complete in an archive
  if (!reached) archived_.require_own();
  for (; !reached && bring(next); ++next) reached = read_on(reader, geometry_.first_lsn(next));
  if (!reached) reached = read_on(reader, {});
  if (!reached) judge_end(reader, next);
  cut(wal_uuid);
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
    last_batch_ = batch.start;
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
  if (archived_.has_from(missing))
    throw error(sqlstate::kUndefinedFile, "the log segment {} is in no archive", segment(missing));
  // Restored elsewhere, or cut by hand: what came after is not in this log.
  if (const auto foreign = archived_.last_foreign(); foreign && *foreign + 1 >= missing)
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the log ends at {}, and the archived segment {} is of another log, as after a restore or "
                "\"rustbd log truncate\"",
                to_text(found_.end), segment(*foreign))
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

// Newer segments first, so that no gap can be mistaken for a lost one. From the end on it is another log: no
// archive may take the segment that holds it for that of the old one.
void RestoreLog::cut(std::uint64_t wal_uuid) {
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
  require_backup(begin_other_log(*file, geometry_.first_lsn(last), wal_uuid), "write", path);
  require_backup(clear_behind(*file, geometry_, found_.end), "write", path);
}

}  // namespace rustbd::txn
