// Storage: pages on one data directory. Opens or creates `rustbd.db`, wires buffer manager, gate, allocator,
// root map and checkpointer, and is what `txn`, `storage/btree` and `storage/rows` are given.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/base/ids.h"
#include "rustbd/base/log_line.h"
#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/metrics/registry.h"
#include "rustbd/security/key_ring.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/pages/action_gate.h"
#include "rustbd/storage/pages/checkpoint_source.h"
#include "rustbd/storage/pages/choices.h"
#include "rustbd/storage/pages/epoch.h"
#include "rustbd/storage/pages/pending_free.h"
#include "rustbd/storage/pages/root_map.h"

namespace rustbd::storage {

inline constexpr const char* kDataFileName = "rustbd.db";
inline constexpr const char* kLockFileName = "LOCK";

struct StorageOptions {
  EncryptionOptions encryption;
  std::uint64_t buffer_bytes = 64ull << 20;  // hard limit of the frames
  bool direct_io = false;
  PageCompression compression = PageCompression::kLz4;
  EvictionPolicyKind eviction_policy = EvictionPolicyKind::kClock;
  WriteStrategy write_strategy = WriteStrategy::kWriteBack;
  bool create = true;                      // make the database if there is none
  bool take_lock = true;                   // LOCK held for the life of Storage; kBusy: 55006
  std::uint64_t grow_bytes = 64ull << 20;  // largest step by which the data file grows; a multiple of 4096
  /// Rate at which pages move to the front of the data file after mass deletion, so that its end can be cut;
  /// 0: they stay.
  std::uint64_t relocation_bytes_per_second = 32ull << 20;
  std::int64_t checkpoint_interval_us = 0;  // > 0: a checkpoint this long after the last one (trigger "time")
  CheckpointPositions initial;              // what the superblock of a new database says
  std::uint64_t log_segment_bytes = 64ull << 20;  // likewise
  metrics::Registry* metrics = nullptr;           // outlives the Storage
  metrics::Counter* freed_unread = nullptr;       // see BufferManager::note_freed_unread; outlives it too
  /// Called once when a sync of the data file failed (I20); must end the process (default: message, exit code
  /// 70). The simulation may return: from then on every checkpoint fails.
  std::function<void(std::string_view)> fatal;
  /// One line per event that an operator should see (default: standard error).
  LogLine log;
};

enum class CheckpointTrigger : std::uint8_t {
  kRequest,
  kLogVolume,
  kTime,
  kSpace,
  kShutdown,
  kRecovery,
  kKeyRotation
};
std::string_view to_text(CheckpointTrigger trigger);

struct CheckpointResult {
  bool durable = false;
  std::string why;          // when not durable
  std::uint64_t pages = 0;  // images written
  std::int64_t duration_us = 0;
  std::int64_t gate_closed_us = 0;  // how long writers stood still
};

inline constexpr std::uint32_t kFlagEncrypted = 1;  // of db_flags

/// What the superblock says about the last durable checkpoint.
struct DatabaseState {
  unsigned __int128 uuid = 0;
  std::uint64_t generation = 0;
  std::uint64_t epoch = 0;        // E of the checkpoint; page changes now have a higher one
  CheckpointPositions positions;  // ckpt_lsn, ckpt_commit_ts, next_txid, next_object_id, catalog_version
  Lsn log_keep_lsn;
  std::uint64_t next_page_id = 2;
  std::uint32_t boot_count = 0;
  std::uint64_t wal_uuid = 0;
  std::uint32_t db_flags = 0;
  std::uint64_t log_segment_bytes = 0;  // fixed when the database is made: positions in the log depend on it
  std::uint32_t next_key_id = 0;  // no data key that was in use has this id or a higher one; 0: none had

  [[nodiscard]] bool encrypted() const { return (db_flags & kFlagEncrypted) != 0; }
};

class CheckpointPin;

/// Threads: open and close by one thread that may block; all else from any.
class Storage {
 public:
  /// Opens (superblock, directory, free map) or creates the database. The new boot count is durable when it
  /// returns, and the state of the pages is that of the last durable checkpoint (undo snapshot not yet
  /// applied). Throws Error: XX001 damaged, 58030 I/O error, 53100 no room, 55006 in use, 58P01 no database
  /// and !create. `source` outlives the Storage. No checkpoint runs before deliver_undo_snapshot().
  static std::unique_ptr<Storage> open(io::Environment environment, StorageOptions options,
                                       CheckpointSource& source);
  ~Storage();  // without close(): as a crash, nothing more is written

  [[nodiscard]] bool created() const;  // open() made a new, empty database

  /// Recovery step 3: hands the records of the undo snapshot to source.restore(), in order. Call exactly
  /// once, before the first checkpoint and before anything else changes pages. kFree: pages and chains are
  /// freed here, trees stay in pending() for their owners. Throws Error XX001 if the stream is damaged.
  void deliver_undo_snapshot();

  /// Blocks until a checkpoint that began after the call is durable or has failed.
  CheckpointResult checkpoint(CheckpointTrigger trigger);
  /// Asks for one in the background; requests that come meanwhile are one. Returns at once; callable inside
  /// the gate. The first one (or checkpoint()) also allows those that Storage begins by itself (kTime,
  /// kSpace): recovery has ended.
  void request_checkpoint(CheckpointTrigger trigger);

  /// With `final_checkpoint`: one more checkpoint, then stops the background threads. No guard, no action, no
  /// pin may exist.
  CheckpointResult close(bool final_checkpoint = true);

  [[nodiscard]] BufferManager& buffer();
  [[nodiscard]] ActionGate& gate();
  [[nodiscard]] Epochs& epochs();
  [[nodiscard]] RootMap& roots();
  [[nodiscard]] PendingFree& pending();
  /// The last durable checkpoint; a copy.
  [[nodiscard]] DatabaseState state() const;
  /// The last durable checkpoint, to be read while others follow (checkpoint_pin.h); for backups. Destroy it
  /// before close().
  [[nodiscard]] std::unique_ptr<CheckpointPin> pin_checkpoint();
  /// wal_uuid of a new database is chosen at creation; this one replaces it with the next checkpoint
  /// (restore, fork).
  void set_wal_uuid(std::uint64_t wal_uuid);

  // --- Encryption ---
  /// nullptr: none.
  [[nodiscard]] security::KeyRing* keys();
  /// A new data key seals from now on; what older ones have sealed is sealed anew in the background. Blocks
  /// while keys.tab is written. Throws Error 55000 without encryption, 58030, 53100.
  void rotate_data_key();
  [[nodiscard]] KeyRotation key_rotation() const;

  [[nodiscard]] std::uint64_t file_blocks() const;
  [[nodiscard]] std::uint64_t free_blocks() const;
  [[nodiscard]] std::uint64_t deferred_blocks() const;  // free once the next checkpoint is durable

 private:
  struct Parts;
  explicit Storage(std::unique_ptr<Parts> parts);
  void free_after_restart(const PendingEntry& entry);
  std::unique_ptr<Parts> parts_;
};

/// What `rustbd check` finds wrong with the pages; empty: nothing. Offline: opens the file read-only, changes
/// nothing.
struct VerifyReport {
  std::vector<std::string> problems;  // one line each: what, where
  std::vector<std::string> warnings;  // e.g. a superblock copy is bad, its twin is used
  std::uint64_t pages = 0, free_pages = 0, blocks_used = 0, file_blocks = 0;
  SealedByKeys sealed;  // pages as the directory says, which their images must confirm
  DatabaseState state;
};
/// What the newest good superblock says; nullopt: there is none. Reads only.
std::optional<DatabaseState> read_database_state(io::Disk& disk, const std::string& path = kDataFileName);
/// Superblock copies, directory, every page image (checksum, id, class, epoch: P7), extents disjoint (P6),
/// undo snapshot.
/// `keys`: nullptr without encryption.
VerifyReport verify_pages(io::Disk& disk, const security::KeyRing* keys = nullptr);

}  // namespace rustbd::storage
