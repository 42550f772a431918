// A backup of a running database: the extents of one checkpoint, as they are stored, and the log from there
// to the end of the backup. Sealed pages and batches stay sealed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "rustbd/io/disk.h"
#include "rustbd/storage/pages/extent_image.h"
#include "rustbd/txn/backup/manifest.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::txn {

struct BackupPlace {
  io::Disk* disk = nullptr;
  std::string directory;  // empty: the disk's root
};

struct BackupOptions {
  BackupPlace to;  // an existing, empty directory
  /// The backup whose extents are left out; no disk: a full backup. `parent_path` is noted for the restore.
  BackupPlace parent;
  std::string parent_path;
  storage::PageCompression compression = storage::PageCompression::kZstd;
  std::uint64_t bytes_per_second = 0;             // read and written; 0: as fast as it goes
  const std::atomic<bool>* cancelled = nullptr;   // 57014 soon after it has become true
  std::atomic<std::uint64_t>* written = nullptr;  // bytes so far, for whoever watches
};

/// Makes a checkpoint and copies it while writers go on. Durable and verified on return; on an error what was
/// written is removed again. Throws Error: 58030, 53100, 57014, XX001 (a page of the database, or the parent,
/// is damaged), 55006 (another one runs), 22023 (the directory is not empty; a parent of another database).
/// Meanwhile the log is kept from that checkpoint on, and the data file grows by what newer checkpoints
/// replace. Blocks for as long as it takes. Threads: one at a time, on a thread that may block.
BackupManifest make_backup(TransactionSystem& system, const BackupOptions& options);

}  // namespace rustbd::txn
