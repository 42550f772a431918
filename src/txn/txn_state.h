// TxnState and undo records: what a writing transaction leaves in the version chains (storage.md §4).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/base/bytes.h"
#include "rustbd/base/ids.h"
#include "rustbd/log/events.h"
#include "rustbd/log/format.h"
#include "rustbd/storage/rows/table_layout.h"
#include "rustbd/txn/locks.h"

namespace rustbd::txn {

struct TxnState;
struct TreeState;

inline constexpr std::uint64_t kRunning = 0;
inline constexpr std::uint64_t kAborted = ~std::uint64_t{0};

enum class UndoOp : std::uint8_t {
  kInsert = 1,  // before: the row was absent
  kUpdate = 2,  // before: the changed columns (row_codec.h, UpdateImage)
  kDelete = 3,  // before: the tombstone was not there
  kBulk = 4,    // before: the whole block of 1024 row ids from `row` on was absent; the end of each of its
                // rows' chains
};

/// A link of a version chain, newest first. Immutable once pushed, except `older` and `undone_epoch`.
/// Owned by its transaction's undo buffer.
struct UndoRec {
  static constexpr std::uint8_t kUniqueKey =
      1;                                      // a column of a unique index changed: as strong as FOR UPDATE
  static constexpr std::uint8_t kAnyKey = 2;  // a key column of some index changed: an entry to purge
  static constexpr std::uint8_t kOverflowBefore = 8;  // before values stand in overflow pages of their own
  static constexpr std::uint8_t kSpilled = 4;  // payload is {u64 page, u32 offset, u32 bytes} of TEMP pages

  std::atomic<UndoRec*> older{nullptr};
  TxnState* owner = nullptr;
  std::uint64_t row = 0;
  std::uint32_t table = 0;
  CommandId command = 0;
  UndoOp op{};
  std::uint8_t flags = 0;
  std::uint16_t placed = 0;  // kBulk: rows that stand, from the first on; its transaction's thread
  std::uint32_t bytes = 0;   // of the payload
  std::atomic<std::uint64_t> undone_epoch{0};  // epoch of the action that took the change back
  [[nodiscard]] ByteSpan payload() const { return {reinterpret_cast<const std::byte*>(this + 1), bytes}; }
};
static_assert(sizeof(UndoRec) <= 56);

/// A change of a relation's layout that the transaction has made and not committed.
struct LayoutChange {
  Oid database = 0;
  Oid relation = 0;
  std::shared_ptr<const storage::TableLayout> before;  // nullptr: created
  std::shared_ptr<const storage::TableLayout> after;   // nullptr: dropped
  std::size_t undo_position = 0;                       // it goes when the undo is cut below
};

/// Threads: fields without a comment belong to the transaction's thread.
struct TxnState {
  std::atomic<std::uint64_t> commit_ts{kRunning};  // one store commits; readers load it with acquire
  std::atomic<std::uint64_t> end_lsn{0};           // end of its batch; stored before commit_ts
  std::uint64_t id = 0;
  std::atomic<Locker*> locker{nullptr};  // while it runs; another one's once it is prepared
  std::int64_t began_us = 0;

  // Undo.
  std::mutex records_mutex;       // protects records: the checkpointer reads what it has noted
  std::vector<UndoRec*> records;  // oldest first; undone ones stay
  Arena arena{1024};
  std::atomic<std::uint64_t> undo_bytes{0};
  std::uint64_t arena_bytes = 0;  // payload bytes in memory; beyond the limit they go to TEMP pages
  std::vector<PageId> temp_pages;
  std::uint32_t temp_used = 0;  // bytes of the last one

  // Log.
  log::EventWriter events;
  std::atomic<std::uint64_t> first_fragment{0};  // I12: kept until the end
  std::vector<log::Fragment> fragments;          // those written, oldest first: start and events that count

  // Ends of waits.
  std::mutex wait_mutex;  // protects the two below
  bool ended = false;
  /// How often changes were taken back. Who met one notes it under the row's latch, and does not wait if it
  /// has gone up.
  std::atomic<std::uint32_t> rollbacks{0};
  std::vector<LockKey> waited_rows;

  UndoRec* bulk_block = nullptr;  // the block that bulk_append() fills
  struct RowDelta {
    std::shared_ptr<TreeState> trees;
    std::int64_t rows = 0;
  };
  std::vector<RowDelta> row_deltas;
  std::vector<LayoutChange> layout_changes;
  bool has_layout_events = false;

  std::atomic<std::uint32_t> holds{0};            // checkpoints that refer to it
  std::atomic<std::size_t> collected_records{0};  // the collector's progress; changed inside actions
  bool needs_purge = false;                       // some record leaves an index entry or a row to take away

  [[nodiscard]] bool running() const { return commit_ts.load(std::memory_order_acquire) == kRunning; }
};

}  // namespace rustbd::txn
