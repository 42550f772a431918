// Restore: a backup and its parents become a data directory; with archived log segments that of a later
// moment. The start of the server then replays the log up to there, as after a crash.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/io/executor.h"
#include "rustbd/security/master_key.h"
#include "rustbd/txn/backup/backup.h"

namespace rustbd::txn {

/// All before it and nothing behind it; none of the three: everything that there is.
struct RestoreTarget {
  std::optional<Lsn> lsn;               // the last batch that counts ends there or before
  std::optional<std::int64_t> time_us;  // up to the first commit that is younger; wall clock
  std::optional<std::string> name;      // of a restore point
};

inline constexpr const char* kLogDirectory = "wal";  // of a data directory

struct RestoreOptions {
  std::vector<BackupPlace> chain;  // the full backup first, then each incremental one, the wanted one last
  std::vector<BackupPlace>
      archives;  // directories of log segments: wal.archive_to, or "wal" of a data directory
  RestoreTarget target;
  io::Disk* to = nullptr;  // an empty directory is its root; nullptr: only look whether it can be done
  io::Random* random = nullptr;
  std::optional<security::MasterKey> master_key;  // only to find a restore point in a sealed log
  std::function<void(std::string_view)> log_line;
};

struct RestoreResult {
  Lsn end;                          // of the log that the database keeps; without `to`: at least up to there
  std::uint64_t commits = 0;        // behind the checkpoint
  std::int64_t last_commit_us = 0;  // wall clock; 0: none behind the checkpoint
  std::uint64_t data_bytes = 0;     // of the data file
};

/// Everything is verified on the way in, and the data file once more when it is there. Durable on return; the
/// superblock and LOCK come last, so that a start refuses a directory that is not finished. The database gets
/// another wal_uuid: archives of the old one and of the new one cannot be taken for each other. Throws Error:
/// XX001 damaged; 58P01 a file, a parent or a log segment is missing (says which); 22023 the target lies
/// before the backup's checkpoint, or the directory is not empty; 55000 the log ends before the target, or
/// goes on as another one, or a key is missing or another database's; 28000 another master key; 58030, 53100.
/// Threads: one, which blocks.
RestoreResult restore_backup(const RestoreOptions& options);

}  // namespace rustbd::txn
