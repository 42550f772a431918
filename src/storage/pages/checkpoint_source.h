// CheckpointSource: what a checkpoint needs from transactions and the log, implemented by `txn` (storage.md
// §6, §6.3).
#pragma once

#include <cstdint>
#include <string>

#include "rustbd/base/bytes.h"
#include "rustbd/base/ids.h"
#include "rustbd/io/disk.h"

namespace rustbd::storage {

/// Records of the undo snapshot stream. The body's format is the source's own (kFree is the page layer's).
enum class SnapshotRecord : std::uint8_t {
  kActive = 1,    // undo of a transaction that was active at the gate
  kPrepared = 2,  // a prepared transaction: where its PREPARE stands in the log
  kPurge = 3,     // an entry of the purge queue
  kFree = 4,  // u64 page, u8 PendingKind; the source may add some, the page layer reads them (twice is once)
  kSequence = 5,       // sequence values
  kRowCounter = 6,     // the next row id of a table (I17)
  kDroppedLayout = 7,  // of a table whose tree is still to be freed
  kSetAside = 8,  // a tree that nobody may use any more, and the page that cannot be read; before all others
  kOwed = 9,      // a row of which entries may be left that nobody could take out
};

/// Limit of one record's body. A transaction with more undo gives several records, in order.
inline constexpr std::size_t kSnapshotRecordBytesMax = std::size_t{16} << 20;

/// Takes the stream. Buffers 1 MiB and writes it to extents; add() may block for that write.
class SnapshotSink {
 public:
  virtual ~SnapshotSink() = default;
  /// After a failure every call fails and the checkpoint will not become durable; the source may just go on.
  virtual io::IoResult<> add(SnapshotRecord kind, ByteSpan body) = 0;
};

/// The positions that the superblock carries for the layers above.
struct CheckpointPositions {
  Lsn lsn;  // ckpt_lsn: the pages are the state at this end of the log (with the undo snapshot)
  CommitTimestamp commit_ts;  // ckpt_commit_ts
  TransactionId next_txid;
  std::uint32_t next_object_id = 16384;
  std::uint64_t catalog_version = 0;
};

/// Calls come from the checkpoint thread only, in this order for each checkpoint:
/// capture, write_snapshot, wait_durable, log_keep_lsn, finished.
class CheckpointSource {
 public:
  virtual ~CheckpointSource() = default;

  /// With the gate closed (no action runs anywhere). Notes, without I/O and without waiting: the log's tail,
  /// last commit timestamp, the undo tail of each active transaction, the prepared list, the purge-queue
  /// tail, the SEQ values. `epoch` is E: the epoch of all changes up to now; changes after the gate opens
  /// have E+1. Target: under 1 ms. What the capture refers to must be kept until finished() (the "checkpoint
  /// hold").
  virtual CheckpointPositions capture(std::uint64_t epoch) = 0;

  /// Gate open, others run. Writes the records that describe the captured transactions (undo records with
  /// undone_epoch = 0 or > E). Not empty: why it cannot, and the checkpoint fails.
  [[nodiscard]] virtual std::string write_snapshot(std::uint64_t epoch, SnapshotSink& sink) = 0;

  /// Blocks until the log is durable up to `lsn`. False: it cannot become so; the checkpoint fails.
  virtual bool wait_durable(Lsn lsn) = 0;

  /// I12: the first byte of the log that must be kept once this checkpoint is durable.
  virtual Lsn log_keep_lsn() = 0;

  /// `durable`: the checkpoint is the newest one on disk; log segments before `log_keep` may be recycled.
  /// Else it failed (`why`), the one before it stays. The hold ends in both cases.
  virtual void finished(bool durable, Lsn log_keep, const std::string& why) = 0;

  /// After a durable checkpoint: where the log that anybody may still ask for begins.
  virtual Lsn log_kept_from() = 0;

  /// At open, in the order of the stream: see Storage::deliver_undo_snapshot(). The buffer manager works,
  /// there are no other users, no checkpoint runs. May throw Error; the open then fails.
  virtual void restore(SnapshotRecord kind, ByteSpan body) = 0;
};

}  // namespace rustbd::storage
