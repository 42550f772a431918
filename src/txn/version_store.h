// VersionMap: (table, row id) -> newest undo record, for rows that somebody may see differently than they
// stand in the page (storage.md §4). Stable under page splits and eviction.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "rustbd/base/ids.h"
#include "rustbd/txn/transaction.h"
#include "rustbd/txn/txn_state.h"

namespace rustbd::txn {

/// Rows of a block of the version map, and of a bulk insert.
inline constexpr std::uint64_t kBlockRows = 1024;

/// What the chain of a row begins with. `bulk`: the block's bulk insert (storage.md §4.2, bulk_owner), which
/// all chains of the block end with: the record after the last one of `head`, or the only one.
struct ChainHead {
  UndoRec* head = nullptr;
  UndoRec* bulk = nullptr;
  [[nodiscard]] const UndoRec* newest() const { return head != nullptr ? head : bulk; }
  [[nodiscard]] bool empty() const { return head == nullptr && bulk == nullptr; }
};

/// Threads: any. push() and the reading of heads happen under the row's leaf latch; walks below the head need
/// an epoch pin only. Memory: blocks of 1024 row ids, freed when the last chain goes.
class VersionMap {
 public:
  VersionMap();
  ~VersionMap();
  VersionMap(const VersionMap&) = delete;
  VersionMap& operator=(const VersionMap&) = delete;

  [[nodiscard]] ChainHead head(TableId table, RowId row) const;
  /// Sets record->older to the present head. With the row's leaf latched exclusively.
  void push(UndoRec* record);
  /// Takes a transaction's own record, which must be the head, off again (undo).
  void pop(UndoRec* record);
  /// Collection: cuts the chain at the record; it and all older ones go.
  void cut(UndoRec* record);

  struct RowChain {
    std::uint64_t row;
    UndoRec* head;
  };
  struct BulkRange {
    std::uint64_t first, last;  // row ids, inclusive
    UndoRec* record;
  };
  /// Chains of the rows first..last ascending, and the bulk blocks among them. Appends.
  void collect(TableId table, std::uint64_t first, std::uint64_t last, std::vector<RowChain>* chains,
               std::vector<BulkRange>* bulk) const;

  /// A kBulk record, before its block has rows: every row of it is inserted by that transaction.
  void set_bulk(UndoRec* record);
  void clear_bulk(UndoRec* record);
  [[nodiscard]] std::uint64_t size() const { return heads_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    std::uint16_t low;
    UndoRec* head;
  };
  struct Block {
    std::uint32_t table;
    std::uint64_t number;
    UndoRec* bulk = nullptr;
    std::vector<Entry> entries;  // ascending by low
    std::unique_ptr<Block> next;
  };
  struct Bucket {
    mutable std::atomic<bool> latch{false};
    std::unique_ptr<Block> first;
  };
  class Latched;
  static constexpr std::size_t kBuckets = 1 << 15;
  static std::size_t bucket_of(std::uint32_t table, std::uint64_t block);
  Block* find(const Bucket& bucket, std::uint32_t table, std::uint64_t block) const;
  Block& find_or_make(Bucket& bucket, std::uint32_t table, std::uint64_t block);
  void set_head(Bucket& bucket, Block& block, std::uint16_t low, UndoRec* head);
  static void drop_if_empty(Bucket& bucket, Block& block);

  std::unique_ptr<Bucket[]> buckets_;
  std::atomic<std::uint64_t> heads_{0};
};

/// Whether a read with this view stops at the record: the state after it is what the view sees.
inline bool view_stops(const ReadView& view, const UndoRec& record) {
  if (record.owner == view.self) return record.command < view.command;
  const std::uint64_t ts = record.owner->commit_ts.load(std::memory_order_acquire);
  return ts != kRunning && ts <= view.snapshot;  // kAborted is above every snapshot
}

}  // namespace rustbd::txn
