// The log segments that archives have behind a backup: which of them are of its log.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/log/format.h"
#include "rustbd/txn/backup/reader.h"
#include "rustbd/txn/backup/restore.h"

namespace rustbd::txn {

struct ArchivedSegment {
  io::Disk* disk;
  std::string path;
  std::size_t archive;  // which one of those that were named, from 1
};

/// A segment of which several archives have copies that differ is kept in all its versions: who reads them
/// sees which one goes on with the log. Throws Error 58030. Threads: one, which blocks.
class ArchivedLog {
 public:
  /// Throws Error 55000: an archive holds only what is older, and another log's.
  ArchivedLog(const RestoreOptions& options, const BackupManifest& manifest);

  /// Leaves out those copies of the segment in which the backup ends that are not what the backup has of it:
  /// a database that was restored to a moment before the backup's end may have gone on in them.
  void leave_out_strangers(const BackupReader& backup);
  /// Throws Error 55000: a copy of the segment in which the backup ends was left out, and there is no other.
  void require_own() const;

  /// Different versions of that segment of the backup's log; empty: no archive has it.
  [[nodiscard]] const std::vector<ArchivedSegment>& versions(std::uint64_t number);
  [[nodiscard]] bool has(std::uint64_t number) const { return found_.contains(number); }
  /// From that segment on there is one.
  [[nodiscard]] bool has_from(std::uint64_t number) const {
    return found_.lower_bound(number) != found_.end();
  }
  [[nodiscard]] std::optional<std::uint64_t> last() const {
    return found_.empty() ? std::nullopt : std::optional(found_.rbegin()->first);
  }
  /// The last segment of another log that is not older than the backup's end.
  [[nodiscard]] std::optional<std::uint64_t> last_foreign() const { return foreign_; }

 private:
  struct Stranger {
    std::size_t archive;
    Lsn at;  // where it differs
  };
  struct Versions {
    std::vector<ArchivedSegment> all;
    bool compared = false;  // equal ones are left out
  };
  void find(const BackupPlace& archive, std::size_t order);
  [[nodiscard]] std::optional<std::uint64_t> log_of(const BackupPlace& archive, Lsn first) const;
  [[nodiscard]] bool equal(const ArchivedSegment& a, const ArchivedSegment& b) const;
  [[nodiscard]] std::string name(std::uint64_t number) const {
    return log::segment_name(geometry_.first_lsn(number));
  }

  const RestoreOptions& options_;
  const BackupManifest& manifest_;
  const log::Geometry geometry_;
  const std::uint64_t own_;  // the segment in which the backup ends
  std::map<std::uint64_t, Versions> found_;
  std::optional<std::uint64_t> foreign_;
  std::optional<Stranger> stranger_;
};

}  // namespace rustbd::txn
