// Checkpointer: makes the state of all pages at one moment durable beside the last one (storage.md §6).
// Action-consistent shadow paging: nothing that the last durable superblock reaches is overwritten (I1, I2).
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/io/executor.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/pages/checkpoint_source.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/entry_ledger.h"
#include "rustbd/storage/pages/space.h"
#include "rustbd/storage/pages/storage.h"
#include "rustbd/storage/pages/superblock.h"

namespace rustbd::storage {

/// Threads: run() from one thread at a time, which may block; superblock() from any.
class Checkpointer {
 public:
  struct Parts {
    io::Environment environment;
    DataFile* file;
    Space* space;
    ExtentAllocator* allocator;
    PageDirectory* directory;
    EntryLedger* ledger;
    ActionGate* gate;
    BufferManager* buffer;
    PendingFree* pending;
    CheckpointSource* source;  // nullptr: the empty state of a new database
    std::function<void(std::string_view)> fatal;
    const security::KeyRing* keys;  // nullptr: no encryption
  };
  /// `current`: the superblock on disk; `snapshot`: extents of its undo snapshot.
  Checkpointer(Parts parts, Superblock current, std::vector<Extent> snapshot);

  CheckpointResult run();

  /// The last durable one.
  [[nodiscard]] Superblock superblock() const;
  /// What the start has published. Before the first run().
  void set_superblock(const Superblock& superblock);
  void set_wal_uuid(std::uint64_t wal_uuid);
  void set_source(CheckpointSource* source) { parts_.source = source; }

 private:
  struct Capture {
    std::uint64_t epoch = 0;
    CheckpointPositions positions;
    std::uint64_t next_page_id = 0;
    std::vector<PendingEntry> pending;
    std::vector<std::uint64_t> dirty;
  };
  Capture capture(CheckpointResult& result);
  /// Steps 2 to 8. Empty: durable; else why not.
  std::string write(Capture& capture, Superblock& next, Lsn& keep);
  std::string write_snapshot(const Capture& capture, ExtentPointer& into);
  std::string write_directory(const Capture& capture, ExtentPointer& into);
  std::string flush_chunks(std::vector<std::uint64_t>& numbers, std::span<const std::byte> images);
  std::string publish(const Superblock& next);
  std::string sync(std::string_view what);
  void release_old(bool durable, const Superblock& next);

  Parts parts_;
  mutable std::mutex mutex_;  // protects superblock_
  Superblock superblock_;
  std::vector<Extent> snapshot_;     // extents of the durable undo snapshot
  std::vector<Extent> new_extents_;  // root and snapshot of the checkpoint that runs
  std::vector<Extent> new_snapshot_;
  std::uint64_t wal_uuid_ = 0;    // mutex_; 0: as it is
  bool failed_for_good_ = false;  // a sync failed (I20)
};

}  // namespace rustbd::storage
