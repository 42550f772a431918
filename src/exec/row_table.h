// Rows in memory for joins, aggregates, sorts, windows and CTEs (query.md §10.1). A row is
//   [next pointer 8][hash 8][flag 1][null bits][fixed columns, naturally aligned][extra bytes, 16-aligned]
// and never moves; strings longer than 12 bytes and big numerics lie in the table's heap.
// Threads: one at a time. Memory is charged to the query's tracker.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "rustbd/exec/columns.h"

namespace rustbd::exec {

using Row = std::byte*;

class RowLayout {
 public:
  RowLayout() = default;
  explicit RowLayout(std::vector<TypeRef> columns, std::uint32_t extra_bytes = 0);
  [[nodiscard]] std::size_t size() const { return types_.size(); }
  [[nodiscard]] const TypeRef& type(std::size_t i) const { return types_[i]; }
  [[nodiscard]] const std::vector<TypeRef>& types() const { return types_; }
  [[nodiscard]] std::uint32_t row_bytes() const { return row_bytes_; }
  [[nodiscard]] std::uint32_t extra_offset() const { return extra_offset_; }
  [[nodiscard]] std::uint32_t null_bytes() const { return static_cast<std::uint32_t>(types_.size() + 7) / 8; }
  [[nodiscard]] bool is_null(const std::byte* row, std::size_t column) const {
    return (static_cast<unsigned>(row[kNulls + column / 8]) >> (column % 8) & 1) != 0;
  }
  void set_null(Row row, std::size_t column) const {
    row[kNulls + column / 8] |= static_cast<std::byte>(1u << (column % 8));
  }
  [[nodiscard]] const std::byte* at(const std::byte* row, std::size_t column) const {
    return row + offsets_[column];
  }
  [[nodiscard]] Row at(Row row, std::size_t column) const { return row + offsets_[column]; }
  [[nodiscard]] Datum datum(const std::byte* row, std::size_t column) const {
    return types::load_datum(row + offsets_[column], types::width_of(types_[column].phys));
  }
  static Row& next(Row row) { return *reinterpret_cast<Row*>(row); }
  static std::uint64_t& hash(Row row) { return *reinterpret_cast<std::uint64_t*>(row + 8); }
  static std::uint64_t hash(const std::byte* row) { return *reinterpret_cast<const std::uint64_t*>(row + 8); }
  static std::byte& flag(Row row) { return row[16]; }

 private:
  static constexpr std::size_t kNulls = 17;
  std::vector<TypeRef> types_;
  std::vector<std::uint32_t> offsets_;
  std::uint32_t extra_offset_ = 0, row_bytes_ = 32;
};

class RowTable {
 public:
  RowTable(MemoryTracker& memory, RowLayout layout) : memory_(&memory), layout_(std::move(layout)) {}
  ~RowTable() { memory_->charge(-charged_); }
  RowTable(const RowTable&) = delete;
  RowTable& operator=(const RowTable&) = delete;
  [[nodiscard]] const RowLayout& layout() const { return layout_; }
  [[nodiscard]] std::uint64_t size() const { return rows_; }
  /// A zeroed row: no nulls.
  Row append_row();
  void put(Row row, std::size_t column, const Datum& value, bool is_null);
  /// Appends the selected rows of columns[0..size). `rows` (optional) gets their places.
  void append(const Vector* columns, const Selection& selection, Row* rows = nullptr);
  /// A copy of a row of another table with the same layout; extra bytes and header too.
  Row append_copy(const std::byte* row);
  /// Takes over all rows of `other`, which is empty afterwards.
  void adopt(RowTable& other);
  void clear();
  [[nodiscard]] std::uint64_t bytes() const { return static_cast<std::uint64_t>(charged_); }

  /// Walks the rows in the order in which they were appended; rows appended meanwhile are seen too.
  struct Cursor {
    std::size_t block = 0;
    std::uint32_t index = 0;
  };
  std::uint32_t next(Cursor& cursor, Row* rows, std::uint32_t max) const;
  [[nodiscard]] std::vector<Row> all_rows() const;

 private:
  struct Block {
    std::unique_ptr<std::byte[]> memory;
    Row first;
    std::uint32_t rows, capacity;
  };
  void charge();
  MemoryTracker* memory_;
  RowLayout layout_;
  std::vector<Block> blocks_;
  Arena heap_{512};
  std::vector<Arena> adopted_heaps_;
  std::uint64_t rows_ = 0;
  std::int64_t block_bytes_ = 0, adopted_bytes_ = 0, charged_ = 0;
  std::uint32_t next_block_bytes_ = 2048;
};

/// One column of many rows as a flat vector; a null pointer gives NULL. Strings stay in the table.
void gather_rows(const RowLayout& layout, std::span<const Row> rows, std::size_t column, VectorBuffer& memory,
                 Vector& out);

/// Equality as GROUP BY sees it, and hashes that agree with it; also across the integer and the float types.
bool equal_values(const Datum& a, const TypeRef& a_type, const Datum& b, const TypeRef& b_type);
std::uint64_t hash_value(const Datum& value, const TypeRef& type);
/// hashes[i] for the i-th selected row; `combine` mixes into what is there. NULL has a hash of its own.
void hash_column(const Vector& v, const TypeRef& type, const Selection& selection, std::uint64_t* hashes,
                 bool combine);
/// True if values of the types can be compared by equal_values.
bool comparable(const TypeRef& a, const TypeRef& b);

/// A hash table of distinct keys, NULLs equal; each row has `extra_bytes` for its owner (aggregate states,
/// counters). Open addressing: 16 bits of salt and a 48-bit pointer per slot. Rows keep the order of their
/// first appearance.
class KeyTable {
 public:
  KeyTable(MemoryTracker& memory, std::vector<TypeRef> keys, std::uint32_t extra_bytes = 0);
  ~KeyTable();
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;
  /// rows[i] for the i-th selected row; is_new[i]: it was not there before (its extra bytes are zero).
  void find_or_insert(const Vector* keys, const Selection& selection, Row* rows, bool* is_new);
  /// Without inserting: rows[i] = nullptr when absent.
  void find(const Vector* keys, const Selection& selection, Row* rows) const;
  /// The row with the same keys as `row` of a table with the same keys.
  Row find_or_insert_row(const std::byte* row, const RowLayout& from, bool* is_new);
  [[nodiscard]] RowTable& rows() { return rows_; }
  [[nodiscard]] const RowLayout& layout() const { return rows_.layout(); }
  void* extra(Row row) const { return row + layout().extra_offset(); }
  void clear();

 private:
  void hash_keys(const Vector* keys, const Selection& selection, std::uint64_t* hashes) const;
  [[nodiscard]] std::uint64_t* find_slot(const Vector* keys, std::uint32_t row, std::uint64_t hash) const;
  void grow();
  MemoryTracker* memory_;
  RowTable rows_;
  std::vector<std::uint64_t> slots_;
};

}  // namespace rustbd::exec
