// The log of a restore: segments from the backup and the archives, read up to the target and cut there.
#pragma once

#include <compare>
#include <memory>
#include <set>
#include <vector>

#include "rustbd/base/error.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/txn/backup/archived_log.h"
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
  /// Makes wal/ and brings in what the target needs; the log ends there, and goes on as `wal_uuid`.
  void run(RestoreResult& result, std::uint64_t wal_uuid);
  /// Data keys that sealed batches of the log that stays, and of what else was read.
  [[nodiscard]] const std::set<std::uint32_t>& key_ids() const { return key_ids_; }

 private:
  /// How far the log can be read; that of batches counts before that of a PAD.
  struct Reach {
    Lsn end, position;  // of the last batch; behind a PAD, too
    Lsn batch;          // the last one
    std::uint32_t crc = 0;
    auto operator<=>(const Reach&) const = default;
  };
  void write_own();
  bool bring(std::uint64_t number);
  void bring_best(std::uint64_t number, const std::vector<ArchivedSegment>& versions);
  void copy_in(std::uint64_t number, const ArchivedSegment& version);
  [[nodiscard]] Reach try_out() const;
  void write_piece(std::uint64_t number, std::uint64_t offset, ByteSpan bytes);
  bool read_on(log::LogReader& reader, Lsn limit);
  bool is_beyond(const log::BatchView& batch) const;
  bool is_named(log::LogReader& reader, const log::BatchView& batch) const;
  void judge_end(const log::LogReader& reader, std::uint64_t missing) const;
  void cut(std::uint64_t wal_uuid);
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
  ArchivedLog archived_;
  Lsn last_batch_;                  // that was read; at first the checkpoint
  std::unique_ptr<io::File> file_;  // being written
  std::uint64_t file_number_ = 0;
  std::set<std::uint32_t> key_ids_;
  RestoreResult found_;
  std::int64_t last_us_ = 0;  // of any batch
};

}  // namespace rustbd::txn
