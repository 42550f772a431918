// The log of a restore: segments from the backup and the archives, read up to the target and cut there.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "rustbd/base/error.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/txn/backup/reader.h"
#include "rustbd/txn/backup/restore.h"

namespace rustbd::txn {

/// 55000: the log is sealed with a key that is in no table of keys.
[[nodiscard]] Error missing_key(std::uint32_t id);
/// 55000: a restore point is looked for in a sealed log.
[[nodiscard]] Error no_master_key();

class RestoreLog {
 public:
  /// `keys`: only to find a restore point in a sealed log.
  RestoreLog(const RestoreOptions& options, const BackupReader& backup, const security::KeyRing* keys);

  /// Whether the segments that the target needs are there, as far as their names and headers tell.
  void require_segments() const;
  /// Makes wal/ and brings in what the target needs; the log ends there.
  void run(RestoreResult& result);
  /// Data keys that sealed batches of the log that stays, and of what else was read.
  [[nodiscard]] const std::set<std::uint32_t>& key_ids() const { return key_ids_; }

 private:
  struct Archived {
    io::Disk* disk;
    std::string path;
  };
  void find_archived();
  [[nodiscard]] std::optional<std::uint64_t> log_of(const BackupPlace& archive, Lsn first) const;
  void write_own();
  bool bring(std::uint64_t number);
  void write_piece(std::uint64_t number, std::uint64_t offset, ByteSpan bytes);
  bool read_on(log::LogReader& reader, Lsn limit);
  bool is_beyond(const log::BatchView& batch) const;
  bool is_named(log::LogReader& reader, const log::BatchView& batch) const;
  void judge_end(const log::LogReader& reader, std::uint64_t missing) const;
  void cut();
  [[nodiscard]] bool open_end() const {
    return !options_.target.lsn && !options_.target.time_us && !options_.target.name;
  }
  void finish_file();
  [[nodiscard]] std::string segment_path(std::uint64_t number) const;
  [[nodiscard]] std::string segment(std::uint64_t number) const {
    return log::segment_name(geometry_.first_lsn(number));
  }

  const RestoreOptions& options_;
  const BackupReader& backup_;
  const BackupManifest& manifest_;
  const log::Geometry geometry_;
  const security::KeyRing* const keys_;
  std::map<std::uint64_t, Archived> archived_;  // by segment; of this log
  std::uint64_t foreign_ = 0;                   // the last segment of another log in the archives; 0: none
  std::unique_ptr<io::File> file_;              // being written
  std::uint64_t file_number_ = 0;
  std::set<std::uint32_t> key_ids_;
  RestoreResult found_;
  std::int64_t last_us_ = 0;  // of any batch
};

}  // namespace rustbd::txn
