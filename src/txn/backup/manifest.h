// The manifest of a backup: what it holds and what it needs. It is written last: a directory without one
// holds no backup.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/base/ids.h"
#include "rustbd/txn/backup/stream.h"

namespace rustbd::txn {

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kExtentsName = "extents";  // superblock; every extent of the checkpoint
inline constexpr const char* kPagesName = "pages";      // the extents that the parent does not have
inline constexpr const char* kBackupLogName = "log";    // from log_from to end
inline constexpr const char* kBackupKeysName = "keys.tab";

struct BackupManifest {
  std::uint64_t id = 0;      // random
  std::uint64_t parent = 0;  // incremental: the id of the backup that has the rest; 0: a full one
  std::string parent_path;   // where it was then
  std::string database;      // uuid, 32 hexadecimal digits
  std::uint64_t wal_uuid = 0;
  std::uint64_t segment_bytes = 0;
  std::uint64_t epoch = 0;  // of the checkpoint
  Lsn checkpoint;           // it can be restored to any position from here on
  Lsn log_from;             // <= checkpoint: fragments of large transactions
  Lsn end;                  // up to here without an archive
  // Wall clock, microseconds since 1970. No commit before `checkpoint` is younger than checkpoint_us; none
  // that was acknowledged by ended_us lies behind `end`.
  std::int64_t began_us = 0, checkpoint_us = 0, ended_us = 0;
  bool encrypted = false;
  std::uint64_t extents = 0, extents_stored = 0, data_bytes = 0;  // data_bytes: of all extents
  std::vector<BackupFile> files;

  [[nodiscard]] const BackupFile* file(std::string_view name) const;
  [[nodiscard]] std::uint64_t bytes() const;  // of all files
};

/// JSON, with a checksum over the rest.
std::string encode_manifest(const BackupManifest& manifest);
/// Throws Error XX001: damaged; 0A000: of a version that this program does not know. `path`: for the message.
BackupManifest decode_manifest(std::string_view text, const std::string& path);
/// Throws as above; 58P01: there is none, so the directory holds no (finished) backup.
BackupManifest read_manifest(io::Disk& disk, const std::string& directory);

/// `directory` empty: the disk's root.
std::string backup_path(const std::string& directory, std::string_view name);

}  // namespace rustbd::txn
