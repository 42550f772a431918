// Table leaf (page kind 2, PAX; storage.md §1.4): rows by column. LeafView reads, LeafPage also changes.
//
// A variable value of up to 4 bytes stands in its descriptor's prefix (off = 0) and takes no heap.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rustbd/storage/pages/page.h"
#include "rustbd/storage/rows/leaf_fields.h"
#include "rustbd/storage/rows/row_format.h"
#include "rustbd/types/vector.h"

namespace rustbd::storage {

inline constexpr std::uint8_t kLeafDead = 1;      // PageHeader::flags: emptied; follow right_sibling
inline constexpr std::uint8_t kRowTombstone = 1;  // rowflags
inline constexpr std::uint16_t kOverflowLength = 0xFFFF;
inline constexpr std::uint32_t kNoSlot = ~0u;

/// A value that copy_columns() met in overflow pages: the caller reads it (overflow.h) and puts it in place.
struct OverflowValue {
  std::uint32_t chunk_column;
  std::uint32_t row;  // of the chunk
  OverflowRef ref;
};

/// Reads a leaf under any guard. Safe on any bytes: open() takes the header once and checks it, every later
/// access stays inside the page; under an optimistic guard the results count only after check() (I7). Owns
/// nothing, copied freely.
class LeafView {
 public:
  LeafView() = default;
  /// False: no sound leaf of this format (damaged, torn, or a newer schema version than `format` knows).
  static bool open(const std::byte* page, const RowFormat& format, LeafView* view);

  [[nodiscard]] std::uint32_t rows() const { return rows_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint64_t base_rowid() const { return base_; }
  [[nodiscard]] std::uint64_t high_fence() const { return high_fence_; }  // exclusive; kNoHighFence: no limit
  [[nodiscard]] PageId right_sibling() const { return right_; }
  [[nodiscard]] bool dead() const { return dead_; }
  [[nodiscard]] std::uint32_t schema_version() const { return version_; }
  [[nodiscard]] const RowFormat& format() const { return *format_; }
  [[nodiscard]] bool current_version() const { return version_ == format_->table().schema_version; }

  [[nodiscard]] RowId rowid(std::uint32_t slot) const { return RowId{base_ + delta(slot)}; }
  /// Asks for the memory that a reader of those columns of the row will want, all of it at once; right where
  /// the leaf has all rows of its range, and else harmless.
  void prefetch(RowId rowid, std::span<const ColumnNumber> columns) const;
  /// The same before anything of the leaf is read, by the shape of another one: its capacity, and how many
  /// bytes of heap a row has there (0: not known).
  static void prefetch(const std::byte* page, const LeafLayout& layout, std::uint32_t capacity,
                       std::uint32_t heap_per_row, std::uint32_t slot, std::span<const ColumnNumber> columns);
  /// Slot of the row, or kNoSlot.
  [[nodiscard]] std::uint32_t find(RowId rowid) const;
  /// First slot whose rowid is not below; rows() if there is none.
  [[nodiscard]] std::uint32_t lower_bound(RowId rowid) const;
  [[nodiscard]] bool tombstone(std::uint32_t slot) const {
    return (static_cast<std::uint8_t>(page_[LeafLayout::flags_offset(capacity_) + slot]) & kRowTombstone) !=
           0;
  }
  /// The value as stored, or the column's missing value. Strings point into the page. False: damaged (or
  /// torn).
  [[nodiscard]] bool cell(std::uint32_t slot, std::uint32_t column, Cell* out) const;
  /// All columns of the table's newest version.
  [[nodiscard]] bool row(std::uint32_t slot, std::span<Cell> out) const;
  /// cell() as a datum, bytes copied into the arena. kOverflow values come back in `overflow` and count as
  /// not null.
  enum class Read : std::uint8_t { kOk, kOverflow, kDamaged };
  [[nodiscard]] Read value(std::uint32_t slot, std::uint32_t column, Arena& arena, types::Datum* out,
                           bool* is_null, OverflowRef* overflow) const;

  void copy_rowids(std::uint32_t first, std::uint32_t last, std::uint64_t* out) const;
  /// Whether a row of [first, last) has one.
  [[nodiscard]] bool any_tombstone(std::uint32_t first, std::uint32_t last) const;
  /// Copies columns[i] of the rows [first, last) to column i of the buffer's chunk, rows at_row onwards, and
  /// text to its arena. The chunk's `rows` and selection are the caller's business. False: damaged (or torn).
  [[nodiscard]] bool copy_columns(std::uint32_t first, std::uint32_t last,
                                  std::span<const ColumnNumber> columns, types::ChunkBuffer& out,
                                  std::uint32_t at_row, std::vector<OverflowValue>* overflow) const;
  /// Checks all that can be checked inside the page; nullptr if sound, else what is wrong.
  [[nodiscard]] const char* verify() const;

 protected:
  friend class LeafPage;
  friend struct LeafWriter;
  [[nodiscard]] std::uint32_t delta(std::uint32_t slot) const;
  [[nodiscard]] bool is_null(std::uint32_t slot, const LeafLayout::Place& place) const;
  [[nodiscard]] bool variable_cell(std::uint32_t slot, const LeafLayout::Place& place, Cell* out) const;
  [[nodiscard]] bool copy_variable(std::uint32_t first, std::uint32_t last, const LeafLayout::Place& place,
                                   types::ChunkBuffer& out, std::uint32_t chunk_column, std::uint32_t at_row,
                                   std::vector<OverflowValue>* overflow) const;

  const std::byte* page_ = nullptr;
  const RowFormat* format_ = nullptr;
  const LeafLayout* layout_ = nullptr;
  std::uint64_t base_ = 0, high_fence_ = 0;
  PageId right_;
  std::uint32_t version_ = 0, capacity_ = 0, rows_ = 0, heap_lo_ = 0, garbage_ = 0;
  bool dead_ = false;
};

/// Whether a change fits. kRebuild: after the page is laid out anew (compaction, other capacity, base or
/// schema version); the change does that itself.
enum class Room : std::uint8_t { kFits, kRebuild, kFull };

/// Changes a leaf under its exclusive latch, after mark_dirty(). The room_ functions change nothing; a change
/// is made only when its room is not kFull.
class LeafPage : public LeafView {
 public:
  /// The page must be sound (LeafView::open true): latched pages are.
  LeafPage(std::span<std::byte> bytes, const RowFormat& format);

  /// Makes an empty leaf of `page` (header: id, kind and owner are set already). `heap_bytes_per_row` decides
  /// capacity.
  static void init(std::span<std::byte> page, const RowFormat& format, std::uint64_t base_rowid,
                   std::uint64_t high_fence, PageId right_sibling, std::uint32_t heap_bytes_per_row);
  /// First guess for a table that has no rows yet.
  static std::uint32_t expected_heap_bytes(const RowFormat& format);

  /// `row`: one cell per column of the newest version. The rowid is not in the leaf.
  [[nodiscard]] Room room_for_insert(RowId rowid, std::span<const Cell> row) const;
  std::uint32_t insert(RowId rowid, std::span<const Cell> row);  // slot of the new row

  /// cells[i] is the new value of columns[i]; it does not point into this page. Each column at most once.
  [[nodiscard]] Room room_for_update(std::uint32_t slot, std::span<const ColumnNumber> columns,
                                     std::span<const Cell> cells) const;
  void update(std::uint32_t slot, std::span<const ColumnNumber> columns, std::span<const Cell> cells);

  void set_tombstone(std::uint32_t slot, bool on);
  /// Takes the row out altogether.
  void remove(std::uint32_t slot);
  void set_right_sibling(PageId page);
  /// Of an empty leaf: its range went to the right neighbour.
  void mark_dead();
  /// Writes every field as it stands; for init and for root splits.
  void set_fence(std::uint64_t high_fence, PageId right_sibling);

  /// Whether any row at all would find room; then a split for the sake of `rowid` is not needed any more.
  [[nodiscard]] bool room_for_any(RowId rowid) const;
  /// Where a split for the sake of `rowid` cuts: the rowids from the result on go right. Above the low fence,
  /// at most the high fence - 1; the half that gets `rowid` has more room than before. None: an empty leaf
  /// has nothing to split.
  [[nodiscard]] RowId split_point(RowId rowid) const;
  /// Moves the rows from `at` on to `right` (a new page with its header set), links it. Each half gets the
  /// newest version if it fits there: otherwise another split makes it smaller.
  void split(RowId at, RowId inserting, std::span<std::byte> right, PageId right_id);
  /// Lays the page out in the version of `other` (same table, lower schema version). False: no room; nothing
  /// changed.
  bool convert(const RowFormat& other);

  /// What rows need when they are laid out anew.
  struct Fit {
    std::uint32_t rows = 0, heap = 0;  // heap: bytes
  };

 private:
  struct Change {  // the room that the page has after it is laid out anew with one more row, or with one row
                   // changed
    Fit fit;
    std::uint64_t base;
  };
  [[nodiscard]] bool insert_change(RowId rowid, std::span<const Cell> row, Change* change) const;
  struct Half {  // of a split
    const LeafLayout* layout;
    std::uint32_t version;
    Fit fit;
  };
  static void init(std::span<std::byte> page, const LeafLayout& layout, std::uint32_t version,
                   std::uint64_t base_rowid, std::uint64_t high_fence, PageId right_sibling,
                   std::uint32_t heap_bytes_per_row);
  [[nodiscard]] Half half(std::uint32_t first, std::uint32_t last) const;
  [[nodiscard]] Fit live(const RowFormat& target, const LeafLayout& layout, std::uint32_t first,
                         std::uint32_t last) const;
  [[nodiscard]] std::uint32_t variable_bytes(std::uint32_t slot, const LeafLayout::Place& place) const;
  void rebuild(const RowFormat& target, const LeafLayout& layout, std::uint32_t version, std::uint64_t base,
               const Fit& fit);
  void require_apart() const;
  void put_cell(std::uint32_t slot, const LeafLayout::Place& place, const Cell& cell);
  void put_variable(std::uint32_t slot, const LeafLayout::Place& place, const Cell& cell);
  void release_variable(std::uint32_t slot, const LeafLayout::Place& place);
  void open_row(std::uint32_t slot);
  void close_row(std::uint32_t slot);
  void store_header();
  [[nodiscard]] Descriptor descriptor(std::uint32_t slot, const LeafLayout::Place& place) const;
  void store_descriptor(std::uint32_t slot, const LeafLayout::Place& place, const Descriptor& d);
  friend struct LeafWriter;

  std::byte* mutable_;
};

}  // namespace rustbd::storage
