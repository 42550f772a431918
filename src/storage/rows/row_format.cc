#include "rustbd/storage/rows/row_format.h"

#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/types/compare.h"

namespace rustbd::storage {

Cell make_cell(const types::Datum& value, bool is_null, types::Phys phys, Arena& arena) {
  if (is_null) return Cell::null();
  if (phys != types::Phys::kNumeric) return Cell::fixed(value);  // a kStr datum is its stored bytes
  Bytes stored;
  types::append_stored(value, phys, stored);
  return Cell::stored(arena.copy(as_chars(stored)));
}

types::Datum load_cell(const Cell& cell, types::Phys phys, Arena& arena) {
  if (phys != types::Phys::kNumeric) return cell.value;
  std::string_view stored = cell.value.str.view();
  return types::load_stored(as_bytes(arena.copy(stored)), phys, arena);  // the datum may point into the bytes
}

Cell copy_cell(const Cell& cell, types::Phys phys, Arena& arena) {
  if (cell.kind != CellKind::kValue || !types::is_variable(phys)) return cell;
  return Cell{types::Datum::of(types::Str::copy(cell.value.str.view(), arena)), CellKind::kValue};
}

LeafLayout::LeafLayout(const TableLayout& table, std::uint32_t version) : version_(version) {
  const auto class_of = [](std::uint32_t width) {
    return width == 1 ? 0 : width == 2 ? 1 : width == 4 ? 2 : width == 8 ? 3 : 4;
  };
  places_.resize(table.columns.size());
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const ColumnLayout& column = table.columns[i];
    Place& place = places_[i];
    place.phys = column.type.phys;
    place.variable = types::is_variable(place.phys);
    place.stored = column.since_version <= version;
    place.width = static_cast<std::uint8_t>(place.variable ? 8 : types::width_of(place.phys));
    if (place.stored && column.bitmap_since <= version)
      place.bitmap = static_cast<std::int32_t>(bitmap_count_++);
  }
  for (const bool variable : {false, true}) {
    for (Place& place : places_) {
      if (!place.stored || place.variable != variable) continue;
      std::copy(std::begin(total_), std::end(total_), std::begin(place.before));
      ++total_[class_of(place.width)];
      row_bytes_ += place.width;
      variable_count_ += variable;
    }
  }
  capacity_max_ = capacity_for(0);
}

std::uint32_t LeafLayout::capacity_for(std::uint32_t heap_bytes_per_row) const {
  const auto fits = [&](std::uint32_t c) {
    return arrays_end(c) + std::uint64_t{c} * heap_bytes_per_row <= kPageBytes;
  };
  std::uint32_t low = 1, high = (kPageBytes - kLeafHeaderBytes) / (row_bytes_ + heap_bytes_per_row) + 1;
  while (low < high) {  // largest that fits
    const std::uint32_t middle = (low + high + 1) / 2;
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

RowFormat::RowFormat(std::shared_ptr<const TableLayout> table) : table_(std::move(table)) {
  RUSTBD_ASSERT(table_->schema_version != 0, "schema versions begin with 1");
  std::vector<std::uint32_t> changes{1, table_->schema_version};
  for (const ColumnLayout& column : table_->columns) {
    for (const std::uint32_t v : {column.since_version, column.bitmap_since})
      if (v > 1 && v < table_->schema_version) changes.push_back(v);
  }
  std::sort(changes.begin(), changes.end());
  changes.erase(std::unique(changes.begin(), changes.end()), changes.end());
  for (const std::uint32_t v : changes) versions_.emplace_back(*table_, v);
  for (const ColumnLayout& column : table_->columns) {
    if (!column.has_missing_value) {
      missing_.push_back(Cell::null());
    } else if (types::is_variable(column.type.phys)) {
      missing_.push_back(Cell::stored(as_chars(column.missing_value)));
    } else {
      const std::uint32_t width = types::width_of(column.type.phys);
      RUSTBD_ASSERT(column.missing_value.size() == width, "a missing value has the width of its type");
      missing_.push_back(Cell::fixed(types::load_datum(column.missing_value.data(), width)));
    }
  }
}

const LeafLayout* RowFormat::find(std::uint32_t schema_version) const {
  if (schema_version == 0 || schema_version > table_->schema_version) return nullptr;
  for (std::size_t i = versions_.size(); i-- > 0;)
    if (versions_[i].version() <= schema_version) return &versions_[i];
  return nullptr;
}

bool RowFormat::holds_earlier_rows() const {
  std::uint32_t missing = 0;
  for (std::uint32_t c = 0; c < column_count(); ++c)
    if (current().place(c).variable) missing += heap_bytes(missing_[c]);
  // What choose_overflow() leaves in a row.
  const std::uint32_t texts = current().variable_count();
  const std::uint32_t heap = texts == 0 ? 0 : std::max(kRowInLeafBytesMax, kOverflowCellBytes * texts);
  return fixed_part_bytes() + heap + missing <= kFixedPartBytesMax;
}

bool RowFormat::choose_overflow(std::span<const Cell> row, std::vector<ColumnNumber>* move) const {
  std::uint32_t bytes = current().row_bytes();
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!types::is_variable(phys(static_cast<std::uint32_t>(i))) || row[i].is_null()) continue;
    if (row[i].kind == CellKind::kValue && row[i].value.str.len >= kRowInLeafBytesMax) {
      bytes += kRowInLeafBytesMax;  // it moves in any case; keeps the sum small
    } else {
      bytes += heap_bytes(row[i]);
    }
  }
  const auto fits_alone = [&] {
    return fixed_part_bytes() + bytes - current().row_bytes() <= kFixedPartBytesMax;
  };
  if (bytes <= kRowInLeafBytesMax && fits_alone()) return true;
  std::vector<bool> moved(row.size());
  while (bytes > kRowInLeafBytesMax || !fits_alone()) {
    std::size_t largest = row.size();
    std::uint32_t largest_bytes = kOverflowCellBytes;  // moving a smaller value gains nothing
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (moved[i] || !types::is_variable(phys(static_cast<std::uint32_t>(i)))) continue;
      if (row[i].kind != CellKind::kValue || heap_bytes(row[i]) <= largest_bytes) continue;
      largest = i;
      largest_bytes = heap_bytes(row[i]);
    }
    if (largest == row.size()) return fits_alone();
    moved[largest] = true;
    move->push_back(static_cast<ColumnNumber>(largest));
    bytes -= std::min(largest_bytes, kRowInLeafBytesMax) - kOverflowCellBytes;
  }
  return true;
}

}  // namespace rustbd::storage
