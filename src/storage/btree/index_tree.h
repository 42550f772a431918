// IndexTree: entries (normalised key ‖ rowid) in memcmp order (B-link tree, Lehman and Yao 1981; storage.md
// §1.5). Several entries of one key are ordinary: uniqueness is checked by the caller (UniqueProbe). Knows no
// transaction.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/base/small_vector.h"
#include "rustbd/storage/btree/status.h"
#include "rustbd/storage/btree/tree_report.h"
#include "rustbd/storage/buffer/buffer_manager.h"

namespace rustbd::storage {

class IndexBlink;

inline constexpr std::size_t kIndexKeyBytesMax = 4000;  // without the rowid; above it: kTooLarge (54000)

/// Range of entries: low <= key‖rowid < high, bytewise. Empty high: no upper limit. Normalised keys are
/// prefix-free per column, so a bound on leading columns is its bytes: `>= k`: low = k; `> k`: low =
/// after_prefix(k); `< k`: high = k; `<= k`: high = after_prefix(k); `= k`: both.
struct KeyRange {
  Bytes low;
  Bytes high;
};
/// The smallest byte string above every string that begins with `prefix`; empty: there is none (prefix all
/// FF).
Bytes after_prefix(Bytes prefix);

/// Entries copied out of one leaf.
struct IndexBatch {
  struct Entry {
    RowId rowid;
    std::uint32_t key_offset = 0,
                  key_bytes = 0;  // into keys, without the rowid; only when keys were asked for
  };
  SmallVector<Entry, 2> entries;
  SmallVector<std::byte, 48> keys;
  std::uint64_t removals = 0;  // IndexTree::removals() from before the leaf was read
  [[nodiscard]] ByteSpan key(const Entry& e) const {
    return ByteSpan{keys.data(), keys.size()}.subspan(e.key_offset, e.key_bytes);
  }
  void clear() {
    entries.clear();
    keys.clear();
  }
};

class IndexTree;

/// Walks a range forward or backward, leaf by leaf, without latches held between calls. Sees every entry that
/// is there all the while, once; of those added or removed meanwhile any. Threads: one.
class IndexCursor {
 public:
  IndexCursor(IndexTree& tree, const KeyRange& range, bool backward = false, bool with_keys = false);
  /// Begins another range of the same tree, keeping its memory.
  void restart(const KeyRange& range);
  /// Clears and fills `batch` with up to `limit` entries (order of the walk). kMiss, kRestart: call again. An
  /// empty batch with kOk only at the end.
  Status next(IndexBatch* batch, std::size_t limit = ~std::size_t{0});
  [[nodiscard]] bool at_end() const { return done_; }

 private:
  friend class IndexTree;
  IndexTree* tree_;
  Bytes low_, high_;        // what is left of the range
  bool high_open_ = false;  // no upper limit
  const bool backward_, with_keys_;
  bool done_ = false;
  PageId hint_;
};

/// Entries in order, for threads that may block. False: the index cannot be read to its end.
template <class Visit>
bool for_each_entry(IndexTree& tree, Visit&& visit) {
  IndexCursor cursor(tree, {}, false, true);
  for (IndexBatch batch;;) {
    if (!run_blocking([&] { return cursor.next(&batch); })) return false;
    if (batch.entries.empty()) return true;
    for (const auto& entry : batch.entries) visit(batch.key(entry), entry.rowid);
  }
}

/// A leaf held exclusively for one entry: nothing is changed before apply().
class IndexInsert {
 public:
  /// kFull: IndexTree::split(key, rowid), restart. `exists()`: the entry is there already; apply() does
  /// nothing then.
  [[nodiscard]] bool exists() const { return exists_; }
  [[nodiscard]] DirtyResult mark_dirty() { return exists_ ? DirtyResult{} : leaf_.mark_dirty(); }
  void apply();
  void release() { leaf_.release(); }

 private:
  friend class IndexTree;
  friend class UniqueProbe;
  Status inspect();
  ExclusiveGuard leaf_;
  Bytes entry_;
  bool exists_ = false;
};
class IndexRemove {
 public:
  [[nodiscard]] bool found() const { return found_; }
  [[nodiscard]] DirtyResult mark_dirty() { return found_ ? leaf_.mark_dirty() : DirtyResult{}; }
  /// Whether the leaf is empty now: IndexTree::remove_empty_leaf(key, rowid) may follow, outside.
  bool apply();
  void release() { leaf_.release(); }

 private:
  friend class IndexTree;
  IndexTree* tree_ = nullptr;
  ExclusiveGuard leaf_;
  Bytes entry_;
  bool found_ = false;
};

/// Step 4 of storage.md §4.3: holds the leaf that covers key‖0 exclusively, gives every rowid of the key,
/// walks right with latches, and turns into the insert. While it lives no other probe of this key can begin.
class UniqueProbe {
 public:
  /// In the gate. Positions on the first leaf of the key.
  Status start(IndexTree& tree, ByteSpan key);
  /// Appends the rowids of all entries of the key.
  Status collect(std::vector<RowId>* rowids);
  /// Goes on to the leaf that takes key‖rowid. `insert` gets that leaf's latch; the probe keeps the others,
  /// and when it is the first leaf itself that one latch is enough. Keep the probe until apply() is done.
  Status prepare_insert(RowId rowid, IndexInsert* insert);
  void release() { leaves_.clear(); }

 private:
  Status step_right();
  IndexTree* tree_ = nullptr;
  Bytes key_;
  std::vector<ExclusiveGuard> leaves_;  // left to right
};

/// Invariants: (1) the root's page id never changes; (2) every entry of a page lies in [lower fence, upper
/// fence); (3) prefix_len is the length of the fences' common prefix; (4) a tree whose parent lacks a
/// separator is correct. Threads and gate: as TableTree.
class IndexTree {
 public:
  IndexTree(BufferManager& buffer, IndexId index, PageId root);
  ~IndexTree();
  IndexTree(const IndexTree&) = delete;
  IndexTree& operator=(const IndexTree&) = delete;

  /// In the gate: an empty tree; the caller enters the root in the root map in the same action.
  static Status create(BufferManager& buffer, IndexId index, ExclusiveGuard* root);

  [[nodiscard]] PageId root() const { return root_; }
  [[nodiscard]] IndexId index() const { return index_; }
  /// How many entries have been taken out since the tree was opened: a reader of a batch learns whether its
  /// copies may be out of date. Counted with the entry's leaf latched, before the entry goes.
  [[nodiscard]] std::uint64_t removals() const { return removals_.load(std::memory_order_acquire); }

  /// In the gate. Latches the leaf, checks room (kFull) and size (kTooLarge); changes nothing.
  Status prepare_insert(ByteSpan key, RowId rowid, IndexInsert* insert);
  Status prepare_remove(ByteSpan key, RowId rowid, IndexRemove* remove);

  /// Whole operations in actions of their own, splitting where needed: for recovery, index build, tests.
  Status insert(ByteSpan key, RowId rowid);
  Status remove(ByteSpan key, RowId rowid, bool* found = nullptr);
  /// Whether the entry is there.
  Status contains(ByteSpan key, RowId rowid, bool* found);

  /// Makes room for the entry: an action of its own.
  Status split(ByteSpan key, RowId rowid);
  /// Takes the leaf that covers the entry out of the tree if it is empty: an action of its own.
  Status remove_empty_leaf(ByteSpan key, RowId rowid);
  Status settle();
  /// See Blink::set_aside(). `owner`: the table whose page it is, or this index.
  void set_aside(PageId page, std::uint32_t owner);
  [[nodiscard]] bool is_set_aside() const;
  [[nodiscard]] std::size_t unsettled() const;

  /// One step of freeing the whole tree, as TableTree::free_step.
  Status free_step(bool* done);
  /// As TableTree::check. `entries`, if given, gets every entry in order.
  TreeReport check(std::vector<std::pair<Bytes, RowId>>* entries = nullptr);

 private:
  friend class IndexCursor;
  friend class IndexRemove;
  friend class UniqueProbe;
  friend class IndexBuilder;
  Status read_forward(IndexCursor& cursor, IndexBatch* batch, std::size_t limit);
  Status read_backward(IndexCursor& cursor, IndexBatch* batch, std::size_t limit);

  BufferManager& buffer_;
  const IndexId index_;
  const PageId root_;
  std::atomic<std::uint64_t> removals_{0};
  std::unique_ptr<IndexBlink> tree_;
};

/// Fills an index from sorted input: entries go to the last leaf, many per action, and full leaves stay full.
/// Unsorted input is allowed and merely slow.
class IndexBuilder {
 public:
  explicit IndexBuilder(IndexTree& tree) : tree_(tree) {}
  /// Buffers; kMiss: await, then flush() until it is kOk (the entry was taken).
  Status add(ByteSpan key, RowId rowid);
  Status flush();

 private:
  struct Item {
    std::uint32_t offset, bytes;
    RowId rowid;
  };
  static constexpr std::size_t kItems = 64;  // per action: bounds how long the gate may stay closed
  Status append(ByteSpan first_key);
  IndexTree& tree_;
  Bytes keys_;
  std::vector<Item> items_;
  std::size_t done_ = 0;
};

}  // namespace rustbd::storage
