// Reads one backup back; everything is verified against its checksums and the manifest.
#pragma once

#include <functional>
#include <vector>

#include "rustbd/storage/pages/stored_extents.h"
#include "rustbd/txn/backup/manifest.h"

namespace rustbd::txn {

/// Throws Error XX001 (damaged: which file, where), 58P01 (a file is missing), 58030. Threads: one, which
/// blocks.
class BackupReader {
 public:
  BackupReader(io::Disk& disk, std::string directory);
  [[nodiscard]] const BackupManifest& manifest() const { return manifest_; }

  struct Contents {
    storage::Superblock superblock;
    std::vector<storage::StoredExtent> extents;  // of the whole checkpoint, ascending
  };
  [[nodiscard]] Contents contents() const;
  /// The extents that this backup has itself, ascending.
  void each_page(const std::function<void(const storage::StoredExtent&, ByteSpan)>& visit) const;
  /// Pieces of the log's segments, ascending; each segment has its header and ends where the backup does.
  void each_log_piece(
      const std::function<void(std::uint64_t segment, std::uint32_t offset, ByteSpan)>& visit) const;
  /// keys.tab; empty: not encrypted.
  [[nodiscard]] Bytes keys() const;
  /// Reads all of it.
  void verify() const;

 private:
  [[nodiscard]] const BackupFile& expected(const char* name) const;
  [[nodiscard]] std::string path(const char* name) const { return backup_path(directory_, name); }

  io::Disk& disk_;
  const std::string directory_;
  const BackupManifest manifest_;
};

}  // namespace rustbd::txn
