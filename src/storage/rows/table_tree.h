// TableTree: the leaves of a table by rowid (B-link tree, Lehman and Yao 1981; storage.md §1.5). Knows no
// transaction.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rustbd/storage/btree/status.h"
#include "rustbd/storage/btree/tree_report.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/rows/leaf_page.h"

namespace rustbd::storage {

class TableBlink;

/// One leaf of a plan of work: a scan's morsels, or pages to prefetch. Only a hint: leaves split.
struct LeafRange {
  PageId page;
  RowId first_rowid;  // lower bound of its rowids
};

/// A leaf as its parents know it. Where a split's separator is not posted yet, the range is wider than the
/// leaf's own.
struct LeafPlace {
  PageId page;
  PageId left, right;      // neighbours, dead ones among them; none at the ends
  std::uint64_t low = 0;   // lowest rowid
  std::uint64_t high = 0;  // exclusive; kNoHighFence: no limit
};

/// Invariants: (1) the root's page id never changes; (2) a leaf holds rowids in [low, high_fence) and
/// right_sibling covers from high_fence on; (3) base_rowid >= low; (4) a tree whose parent lacks a separator
/// is correct, readers walk right; (5) a dead leaf's link leads to the leaf that took its range. Threads: all
/// functions from any. "in the gate": the caller is inside an action. The others enter it themselves, or need
/// none; the caller then holds no latch. Nothing waits, nothing throws.
class TableTree {
 public:
  TableTree(BufferManager& buffer, TableId table, PageId root);
  ~TableTree();
  TableTree(const TableTree&) = delete;
  TableTree& operator=(const TableTree&) = delete;

  /// In the gate: an empty tree; the caller enters root's page id in the root map in the same action.
  static Status create(BufferManager& buffer, TableId table, const RowFormat& format, ExclusiveGuard* root);

  [[nodiscard]] PageId root() const { return root_; }
  [[nodiscard]] TableId table() const { return table_; }

  /// Page of the leaf that covers the rowid, just now.
  Status locate(RowId rowid, PageId* leaf);
  /// The leaf that covers the rowid. A sound leaf of this table is guaranteed, but for LeafView::open.
  /// `hint`: page that may cover it (0: none), set to the page found; a stale one costs a descent.
  Status fix_leaf(RowId rowid, OptimisticGuard* leaf, PageId* hint = nullptr);
  Status fix_leaf(RowId rowid, SharedGuard* leaf, PageId* hint = nullptr);
  /// The same for one who will read those columns of the row: their memory is asked for early.
  Status fix_leaf(RowId rowid, SharedGuard* leaf, PageId* hint, const RowFormat& format,
                  std::span<const ColumnNumber> columns);
  Status fix_leaf(RowId rowid, ExclusiveGuard* leaf, PageId* hint = nullptr);  // in the gate
  /// Page of the last leaf as last seen: hint for appends.
  [[nodiscard]] PageId append_hint() const;

  /// Up to `limit` leaves from the one that covers `from` on, out of one parent page; `*next`: where to go
  /// on, or 0 at the end. Scan by leaf: fix_leaf(rowid), read, rowid = high_fence, until kNoHighFence.
  Status leaves_from(RowId from, std::size_t limit, std::vector<LeafRange>* leaves, RowId* next);

  /// The place of the leaf that covers the rowid, without reading that leaf. Damaged: a page above it is.
  Status place_of(RowId rowid, LeafPlace* place);
  /// Starts to read the leaf that covers the rowid, if its parents are in memory and it is not.
  /// BufferManager::submit_reads() after several.
  void prefetch_leaf(RowId rowid);
  /// Instead of a leaf that cannot be read an empty one at the same place, of rowids [low, place.high). An
  /// action of its own; nobody else uses the tree. kDamaged: the page can be read after all.
  Status remake_leaf(const LeafPlace& place, std::uint64_t low, const RowFormat& format);

  /// See Blink::set_aside(): a page of the table cannot be read, and changes of it had to be left out.
  void set_aside(PageId page, std::uint32_t owner);
  [[nodiscard]] bool is_set_aside() const;

  /// Splits the leaf that covers the rowid so that a row of this rowid finds more room. An action of its own;
  /// kOk also if somebody else split it meanwhile. HAS_VERSIONS goes to both halves.
  Status split_leaf(RowId rowid, const RowFormat& format);
  /// Takes the leaf that covers the rowid out of the tree if it has no rows and no HAS_VERSIONS. Its own
  /// action. kOk also when there is nothing to do.
  Status remove_empty_leaf(RowId rowid);
  /// Finishes what earlier actions left open because a page was not resident (separators, links of dead
  /// leaves).
  Status settle();
  [[nodiscard]] std::size_t unsettled() const;

  /// Lays every leaf of a schema version above `to`'s out as `to` has it; `from` knows them. For the undo of
  /// ALTER TABLE. Actions of its own. Resumable: call again with the same `position` (begin with 1) after
  /// kMiss.
  Status downgrade_leaves(const RowFormat& from, const RowFormat& to, RowId* position);

  /// One step (one action, at most some pages) of freeing the whole tree, child before parent, root last. No
  /// other user may exist. Repeat until *done; survives a crash between steps when PendingFree lists the
  /// root. Overflow chains: `format` given, each leaf's chains are handed to PendingFree before it goes, and
  /// appended to `chains` (perhaps twice) for the caller to free.
  Status free_step(const RowFormat* format, PendingFree* pending, bool* done,
                   std::vector<OverflowRef>* chains = nullptr);

  /// Verifies order, fences, links, levels, counts and every leaf's inside. Blocking; no writer may be
  /// active.
  TreeReport check(const RowFormat& format);

 private:
  BufferManager& buffer_;
  const TableId table_;
  const PageId root_;
  std::unique_ptr<TableBlink> tree_;
};

}  // namespace rustbd::storage
