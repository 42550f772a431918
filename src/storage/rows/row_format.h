// RowFormat: where each column of a row stands in a table leaf (storage.md §1.4), for every schema version of
// the table.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/storage/pages/page.h"
#include "rustbd/storage/rows/table_layout.h"
#include "rustbd/types/value.h"

namespace rustbd::storage {

inline constexpr std::uint32_t kLeafHeaderBytes = 64;  // page header and the leaf's own fields
inline constexpr std::uint32_t kRowInLeafBytesMax =
    4000;  // above it the largest values move to overflow pages
/// Of a row without heap in a leaf of its own; above it: 54011 at CREATE and ALTER TABLE.
inline constexpr std::uint32_t kFixedPartBytesMax = kPageBytes - kLeafHeaderBytes;
inline constexpr std::uint64_t kNoHighFence = ~0ull;  // high_fence of the rightmost leaf

/// Value that stands in overflow pages: a chain of pages of kind 5.
struct OverflowRef {
  PageId first;
  std::uint64_t bytes = 0;
};

enum class CellKind : std::uint8_t { kValue, kNull, kOverflow };

/// One value as a leaf stores it. kValue: fixed columns their datum; variable ones `value.str` = the STORED
/// bytes (types::append_stored: for kStr the text itself, for kNumeric not a Numeric). kOverflow: the
/// reference, for bytes that are already in overflow pages. What it points to belongs to somebody else
/// (arena, page under a latch, caller).
struct Cell {
  types::Datum value{};
  CellKind kind = CellKind::kNull;

  static Cell null() { return {}; }
  static Cell fixed(const types::Datum& value) { return {value, CellKind::kValue}; }
  static Cell stored(std::string_view bytes) {
    return {types::Datum::of(types::Str{bytes}), CellKind::kValue};
  }
  static Cell overflow(const OverflowRef& ref) {
    Cell cell{types::Datum::of(types::Uuid{ref.first.raw(), ref.bytes}), CellKind::kOverflow};
    return cell;
  }
  [[nodiscard]] bool is_null() const { return kind == CellKind::kNull; }
  [[nodiscard]] OverflowRef overflow_ref() const { return {PageId{value.uuid.hi}, value.uuid.lo}; }
};

/// Datum to cell. Numerics are encoded into `arena`; strings keep pointing where they point.
Cell make_cell(const types::Datum& value, bool is_null, types::Phys phys, Arena& arena);
/// Cell (not kOverflow, not null) to datum. Strings point where the cell points; big numerics go to the
/// arena.
types::Datum load_cell(const Cell& cell, types::Phys phys, Arena& arena);
/// Copies what the cell points to into the arena.
Cell copy_cell(const Cell& cell, types::Phys phys, Arena& arena);

/// Layout of the leaves of one schema version: offsets are a pure function of (version, capacity).
///
/// Array order (§1.4): delta u16, rowflags u8, null bitmaps in column order (capacity bits rounded up to 8
/// bytes), fixed arrays in column order, descriptor arrays of variable columns in column order; each array
/// starts 8-aligned. Dropped columns keep their place. A column is in leaves of its since_version and later,
/// its bitmap in leaves of its bitmap_since and later; so every version's layout follows from the newest
/// TableLayout alone.
class LeafLayout {
 public:
  struct Place {
    bool stored = false;  // false: the leaf is older than the column; its missing value counts
    bool variable = false;
    std::uint8_t width = 0;  // of the array element: the value, or 8 for a descriptor
    types::Phys phys = types::Phys::kI32;
    std::int32_t bitmap = -1;      // ordinal of its null bitmap; -1: never null
    std::uint16_t before[5] = {};  // arrays of width 1, 2, 4, 8, 16 that stand before it
  };

  LeafLayout(const TableLayout& table, std::uint32_t version);

  [[nodiscard]] std::uint32_t version() const { return version_; }
  [[nodiscard]] std::uint32_t column_count() const { return static_cast<std::uint32_t>(places_.size()); }
  [[nodiscard]] const Place& place(std::uint32_t column) const { return places_[column]; }
  /// Bytes of a row without heap in a leaf of many: delta, flags, arrays (bitmaps not counted).
  [[nodiscard]] std::uint32_t row_bytes() const { return row_bytes_; }
  [[nodiscard]] std::uint32_t variable_count() const { return variable_count_; }
  [[nodiscard]] std::uint32_t capacity_max() const { return capacity_max_; }

  [[nodiscard]] static std::uint32_t delta_offset() { return kLeafHeaderBytes; }
  [[nodiscard]] static std::uint32_t flags_offset(std::uint32_t capacity) {
    return kLeafHeaderBytes + align8(2 * capacity);
  }
  [[nodiscard]] std::uint32_t bitmap_offset(std::uint32_t capacity, std::uint32_t bitmap) const {
    return flags_offset(capacity) + align8(capacity) + bitmap * bitmap_bytes(capacity);
  }
  [[nodiscard]] std::uint32_t array_offset(std::uint32_t capacity, const Place& place) const {
    return bitmap_offset(capacity, bitmap_count_) + array_bytes(capacity, place.before);
  }
  /// End of the arrays, where free space begins.
  [[nodiscard]] std::uint32_t arrays_end(std::uint32_t capacity) const {
    return bitmap_offset(capacity, bitmap_count_) + array_bytes(capacity, total_);
  }
  /// Largest capacity whose arrays leave room for `heap_bytes_per_row` each; at least 1.
  [[nodiscard]] std::uint32_t capacity_for(std::uint32_t heap_bytes_per_row) const;

 private:
  static constexpr std::uint32_t align8(std::uint32_t n) { return (n + 7) & ~7u; }
  static constexpr std::uint32_t bitmap_bytes(std::uint32_t capacity) { return (capacity + 63) / 64 * 8; }
  static std::uint32_t array_bytes(std::uint32_t c, const std::uint16_t (&n)[5]) {
    return n[0] * align8(c) + n[1] * align8(2 * c) + n[2] * align8(4 * c) + n[3] * 8 * c + n[4] * 16 * c;
  }

  std::uint32_t version_;
  std::uint32_t row_bytes_ = 3, variable_count_ = 0, capacity_max_ = 0, bitmap_count_ = 0;
  std::uint16_t total_[5] = {};
  std::vector<Place> places_;
};

/// All layouts of a table. Immutable; made anew when the TableLayout changes. Threads: any.
///
/// Rule for transactional ALTER: leaves are written in the newest version, so before a change of the schema
/// version is undone every leaf of a higher version is brought back (TableTree::downgrade_leaves) while this
/// format is still at hand.
class RowFormat {
 public:
  explicit RowFormat(std::shared_ptr<const TableLayout> table);

  [[nodiscard]] const TableLayout& table() const { return *table_; }
  [[nodiscard]] std::uint32_t column_count() const {
    return static_cast<std::uint32_t>(table_->columns.size());
  }
  [[nodiscard]] const LeafLayout& current() const { return versions_.back(); }
  /// Layout of leaves of that schema version; nullptr for 0 and for versions above the table's.
  [[nodiscard]] const LeafLayout* find(std::uint32_t schema_version) const;
  [[nodiscard]] types::Phys phys(std::uint32_t column) const { return table_->columns[column].type.phys; }
  /// What a leaf older than the column shows.
  [[nodiscard]] const Cell& missing(std::uint32_t column) const { return missing_[column]; }

  /// What a row takes besides its heap in a leaf of its own (54011 above kFixedPartBytesMax).
  [[nodiscard]] std::uint32_t fixed_part_bytes() const { return current().arrays_end(1) - kLeafHeaderBytes; }
  /// Whether any row of an earlier version of the table fits in a leaf of this one, with the missing values
  /// of the columns that were added since, and when it is changed or a change is undone there.
  [[nodiscard]] bool holds_earlier_rows() const;
  /// Which values of a full row must move to overflow pages so that it takes at most kRowInLeafBytesMax:
  /// appends column numbers, largest value first. It then fits in a leaf alone, so that splits end. False: it
  /// cannot be stored at all (54000).
  [[nodiscard]] bool choose_overflow(std::span<const Cell> row, std::vector<ColumnNumber>* move) const;

 private:
  std::shared_ptr<const TableLayout> table_;
  std::vector<LeafLayout> versions_;  // ascending; each holds up to the version before the next
  std::vector<Cell> missing_;
};

inline constexpr std::uint32_t kOverflowCellBytes = 16;

/// Bytes of the leaf's heap that the cell takes in a variable column.
inline std::uint32_t heap_bytes(const Cell& cell) {
  if (cell.kind == CellKind::kNull) return 0;
  if (cell.kind == CellKind::kOverflow) return kOverflowCellBytes;
  return cell.value.str.len <= 4 ? 0 : cell.value.str.len;
}

}  // namespace rustbd::storage
