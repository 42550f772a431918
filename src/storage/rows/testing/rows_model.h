// For tests: a table of every kind of column, random rows for it, and rows as plain strings to compare with a
// model.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rustbd/io/executor.h"
#include "rustbd/storage/rows/leaf_page.h"

namespace rustbd::storage::testing {

using types::Phys;

inline types::TypeRef type_of(Phys phys) { return {types::oid::kUnknown, -1, phys, 0, 0}; }

/// Columns: int4 without bitmap, int8, bool, text, int2, text, uuid, char.
inline TableLayout sample_table() {
  TableLayout table;
  table.table = TableId{20000};
  for (const Phys phys :
       {Phys::kI32, Phys::kI64, Phys::kBool, Phys::kStr, Phys::kI16, Phys::kStr, Phys::kU128, Phys::kI8}) {
    ColumnLayout column;
    column.type = type_of(phys);
    table.columns.push_back(column);
  }
  table.columns[0].nullable = false;
  table.columns[0].bitmap_since = ColumnLayout::kNoBitmap;
  return table;
}

/// A row that owns its strings; "~" stands for null.
using ModelRow = std::vector<std::string>;

inline std::string random_text(io::SeededRandom& random, std::size_t max) {
  std::string text(random.below(max + 1), ' ');
  for (char& c : text) c = static_cast<char>('a' + random.below(20));
  return text;
}

inline std::string random_value(io::SeededRandom& random, Phys phys, bool nullable, std::size_t text_max) {
  if (nullable && random.chance(150)) return "~";
  if (types::is_variable(phys))
    return random_text(random, random.chance(700) ? std::min<std::size_t>(text_max, 14) : text_max);
  std::string bytes(types::width_of(phys), '\0');
  for (char& c : bytes) c = static_cast<char>(phys == Phys::kBool ? random.below(2) : random.below(256));
  return bytes;
}

inline ModelRow random_row(io::SeededRandom& random, const TableLayout& table, std::size_t text_max) {
  ModelRow row;
  for (const auto& column : table.columns)
    row.push_back(random_value(random, column.type.phys, column.nullable, text_max));
  return row;
}

/// Points into `value`.
inline Cell cell_of(const std::string& value, Phys phys) {
  if (value == "~") return Cell::null();
  if (types::is_variable(phys)) return Cell::stored(value);
  return Cell::fixed(types::load_datum(value.data(), types::width_of(phys)));
}
inline std::vector<Cell> cells_of(const ModelRow& row, const TableLayout& table) {
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < row.size(); ++i) cells.push_back(cell_of(row[i], table.columns[i].type.phys));
  return cells;
}

inline std::string text_of(const Cell& cell, Phys phys) {
  if (cell.is_null()) return "~";
  if (cell.kind == CellKind::kOverflow) return "overflow " + std::to_string(cell.overflow_ref().first.raw());
  if (types::is_variable(phys)) return std::string(cell.value.str.view());
  return std::string(reinterpret_cast<const char*>(&cell.value), types::width_of(phys));
}
inline ModelRow row_of(const LeafView& view, std::uint32_t slot) {
  ModelRow row;
  for (std::uint32_t c = 0; c < view.format().column_count(); ++c) {
    Cell cell;
    row.push_back(view.cell(slot, c, &cell) ? text_of(cell, view.format().phys(c)) : "damaged");
  }
  return row;
}
/// All rows without tombstone, by rowid.
inline std::map<std::uint64_t, ModelRow> rows_of(const LeafView& view) {
  std::map<std::uint64_t, ModelRow> rows;
  for (std::uint32_t slot = 0; slot < view.rows(); ++slot)
    if (!view.tombstone(slot)) rows[view.rowid(slot).raw()] = row_of(view, slot);
  return rows;
}

inline RowFormat format_of(const TableLayout& table) {
  return RowFormat(std::make_shared<TableLayout>(table));
}

/// A page that belongs to nobody.
struct alignas(64) LoosePage {
  std::byte bytes[kPageBytes] = {};
  explicit LoosePage(std::uint64_t id) { reinterpret_cast<PageHeader*>(bytes)->page_id = id; }
  std::span<std::byte> span() { return bytes; }
};

}  // namespace rustbd::storage::testing
