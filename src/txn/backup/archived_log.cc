#include "rustbd/txn/backup/archived_log.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "rustbd/base/error.h"
#include "rustbd/log/segments.h"

namespace rustbd::txn {

ArchivedLog::ArchivedLog(const RestoreOptions& options, const BackupManifest& manifest)
    : options_(options),
      manifest_(manifest),
      geometry_(manifest.segment_bytes),
      own_(geometry_.segment_of(manifest.end)) {
  std::size_t order = 0;
  for (const BackupPlace& archive : options_.archives) find(archive, ++order);
}

/// Which log the archived segment is of; nothing: of no segment size of ours, or it has no good header.
std::optional<std::uint64_t> ArchivedLog::log_of(const BackupPlace& archive, Lsn first) const {
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

// Segments of other logs, of which a directory may hold some, are not ours.
void ArchivedLog::find(const BackupPlace& archive, std::size_t order) {
  const auto all = log::list_segments(*archive.disk, archive.directory);
  require_backup(all, "list", archive.directory);
  bool later = false;  // it has some that may follow the backup
  for (const Lsn first : *all) {
    const std::uint64_t number = geometry_.segment_of(first);
    if (geometry_.first_lsn(number) != first || number < own_) continue;
    later = true;
    const auto wal_uuid = log_of(archive, first);
    if (wal_uuid == manifest_.wal_uuid)
      found_[number].all.push_back(
          {archive.disk, backup_path(archive.directory, log::segment_name(first)), order});
    else if (wal_uuid) foreign_ = std::max(foreign_.value_or(0), number);
  }
  if (!later && !all->empty() && log_of(archive, all->back()) != manifest_.wal_uuid)
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the archived segment {}, the last one of its directory, is not of the backup's log",
                log::segment_name(all->back()))
        .with_hint("Name with --archive only directories that have the log behind the backup.");
}

void ArchivedLog::leave_out_strangers(const BackupReader& backup) {
  const auto found = found_.find(own_);
  if (found == found_.end()) return;
  struct Copy {
    ArchivedSegment segment;
    std::unique_ptr<io::File> file;
    std::optional<Lsn> differs;
  };
  std::vector<Copy> copies;
  for (const ArchivedSegment& segment : found->second.all)
    copies.push_back({segment, open_file(*segment.disk, segment.path, {.read_only = true}), {}});
  Bytes theirs;
  backup.each_log_piece([&](std::uint64_t number, std::uint32_t offset, ByteSpan bytes) {
    if (number != own_) return;
    theirs.resize(bytes.size());
    for (Copy& copy : copies) {
      if (copy.differs) continue;
      if (!copy.file->read(offset, theirs)) continue;  // who brings it in will tell
      const auto at = static_cast<std::uint64_t>(std::ranges::mismatch(theirs, bytes).in1 - theirs.begin());
      if (at < bytes.size()) copy.differs = Lsn{geometry_.first_lsn(own_).raw() + offset + at};
    }
  });
  found->second.all.clear();
  for (Copy& copy : copies) {
    if (!copy.differs) {
      found->second.all.push_back(std::move(copy.segment));
      continue;
    }
    stranger_ = Stranger{copy.segment.archive, *copy.differs};
    if (options_.log_line)
      options_.log_line(
          fmt::format("segment {} of archive {} is left out: it is not the backup's log from {} on",
                      name(own_), copy.segment.archive, to_text(*copy.differs)));
  }
  if (found->second.all.empty()) found_.erase(found);
  else stranger_.reset();
}

void ArchivedLog::require_own() const {
  if (!stranger_) return;
  throw error(sqlstate::kObjectNotInPrerequisiteState,
              "the archived segment {} (archive {}) is not the log of the backup, which differs from {} on",
              name(own_), stranger_->archive, to_text(stranger_->at))
      .with_hint(
          fmt::format("The file is damaged, or of a copy of the database that wrote to the same archive. "
                      "--target-lsn {} restores all that the backup has.",
                      to_text(manifest_.end)));
}

// One that cannot be read is no other's equal.
bool ArchivedLog::equal(const ArchivedSegment& a, const ArchivedSegment& b) const {
  const auto one = open_file(*a.disk, a.path, {.read_only = true}),
             other = open_file(*b.disk, b.path, {.read_only = true});
  return log::first_difference(*one, *other, geometry_.segment_bytes()) == geometry_.segment_bytes();
}

const std::vector<ArchivedSegment>& ArchivedLog::versions(std::uint64_t number) {
  static const std::vector<ArchivedSegment> kNone;
  const auto found = found_.find(number);
  if (found == found_.end()) return kNone;
  Versions& versions = found->second;
  if (std::exchange(versions.compared, true)) return versions.all;
  std::vector<ArchivedSegment> different;
  for (ArchivedSegment& segment : versions.all)
    if (std::ranges::none_of(different, [&](const ArchivedSegment& known) { return equal(known, segment); }))
      different.push_back(std::move(segment));
  versions.all = std::move(different);
  return versions.all;
}

}  // namespace rustbd::txn
