#include "rustbd/txn/row_codec.h"

#include "rustbd/base/assert.h"
#include "rustbd/base/small_vector.h"

namespace rustbd::txn {

using storage::ColumnNumber;
using storage::IndexLayout;
using types::Phys;

namespace {

log::ColumnForm form_of(Phys phys) {
  switch (phys) {
    case Phys::kI16:
    case Phys::kI32:
    case Phys::kI64:
    case Phys::kU32: return {log::ValueForm::kInteger, 0};
    case Phys::kStr:
    case Phys::kNumeric: return {log::ValueForm::kVariable, 0};
    default: return {log::ValueForm::kFixed, static_cast<std::uint8_t>(types::width_of(phys))};
  }
}

ByteSpan str_bytes(const types::Str& s) { return {reinterpret_cast<const std::byte*>(s.data()), s.len}; }
std::string_view arena_copy(ByteSpan bytes, Arena& arena) { return arena.copy(as_chars(bytes)); }

void write_computed(std::span<const ComputedEntry> computed, ByteWriter& out) {
  out.varint(computed.size());
  for (const ComputedEntry& e : computed) {
    out.varint(e.index.raw());
    out.fixed(static_cast<std::uint8_t>((e.had ? 1 : 0) | (e.has ? 2 : 0)));
    out.text(as_chars(e.before));
    out.text(as_chars(e.after));
  }
}

bool read_computed(ByteReader& in, std::vector<ComputedEntry>* computed) {
  const std::uint64_t n = in.varint();
  for (std::uint64_t i = 0; i < n && in.ok(); ++i) {
    ComputedEntry e;
    e.index = IndexId{static_cast<std::uint32_t>(in.varint())};
    const auto flags = in.fixed<std::uint8_t>();
    e.had = (flags & 1) != 0;
    e.has = (flags & 2) != 0;
    const auto before = as_bytes(in.text());
    e.before.assign(before.begin(), before.end());
    const auto after = as_bytes(in.text());
    e.after.assign(after.begin(), after.end());
    if (computed != nullptr) computed->push_back(std::move(e));
  }
  return in.ok();
}

void write_cell(const Cell& cell, Phys phys, ByteWriter& out) {
  out.fixed(static_cast<std::uint8_t>(cell.kind));
  if (cell.kind == CellKind::kNull) return;
  if (cell.kind == CellKind::kOverflow) {
    out.fixed(cell.value.uuid.hi);
    out.fixed(cell.value.uuid.lo);
  } else if (types::is_variable(phys)) {
    out.text(cell.value.str.view());
  } else {
    out.raw(&cell.value, types::width_of(phys));
  }
}

Cell read_cell(ByteReader& in, Phys phys) {
  const auto kind = static_cast<CellKind>(in.fixed<std::uint8_t>());
  if (kind == CellKind::kNull) return Cell::null();
  if (kind == CellKind::kOverflow) {
    const auto page = in.fixed<std::uint64_t>();
    const auto bytes = in.fixed<std::uint64_t>();
    return Cell::overflow({PageId{page}, bytes});
  }
  if (types::is_variable(phys)) return Cell::stored(in.text());
  const auto raw = in.raw(types::width_of(phys));
  if (!in.ok()) return Cell::null();
  return Cell::fixed(types::load_datum(raw.data(), types::width_of(phys)));
}

}  // namespace

TableFormat::TableFormat(std::shared_ptr<const storage::TableLayout> table)
    : layout(std::move(table)), rows(layout) {
  for (const auto& c : layout->columns) {
    phys.push_back(c.type.phys);
    forms.push_back(form_of(c.type.phys));
  }
  unique_key_columns.resize(layout->columns.size());
  key_columns.resize(layout->columns.size());
  for (const IndexLayout& index : layout->indexes) {
    const bool computed = index.partial || index.has_expressions();
    has_computed = has_computed || computed;
    indexes.push_back({&index, nullptr, computed});
    for (const auto& part : index.parts) {
      if (part.column == IndexLayout::kExpressionColumn) continue;
      key_columns[part.column] = true;
      if (index.unique) unique_key_columns[part.column] = true;
    }
  }
}

void append_computed_key(const TableFormat& format, const IndexLayout& index, std::span<const Cell> cells,
                         const types::Vector* expressions, std::uint32_t row, Arena& arena, Bytes& out,
                         bool* has_null) {
  *has_null = false;
  std::size_t expression = 0;
  for (const auto& part : index.parts) {
    if (part.column == IndexLayout::kExpressionColumn) {
      const types::Vector& v = expressions[expression++];
      const bool is_null = !v.is_valid(row);
      *has_null = *has_null || is_null;
      types::append_key(is_null ? types::Datum{} : v.datum(row), is_null, part.key, out);
      continue;
    }
    const Cell& cell = cells[part.column];
    if (cell.is_null()) {
      *has_null = true;
      types::append_key(types::Datum{}, true, part.key, out);
    } else {
      RUSTBD_ASSERT(cell.kind == CellKind::kValue, "key columns are given in full");
      types::append_key(storage::load_cell(cell, format.phys[part.column], arena), false, part.key, out);
    }
  }
}

void append_entry_key(const TableFormat& format, const IndexLayout& index, std::span<const Cell> row,
                      Arena& arena, Bytes& out, bool* has_null) {
  append_computed_key(format, index, row, nullptr, 0, arena, out, has_null);
}

void write_undo_update(std::span<const ColumnNumber> columns, std::span<const Cell> before,
                       const TableFormat& format, std::span<const ComputedEntry> computed, Bytes& out) {
  ByteWriter w(out);
  w.varint(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    w.varint(columns[i]);
    write_cell(before[i], format.phys[columns[i]], w);
  }
  write_computed(computed, w);
}

void write_undo_other(std::span<const ComputedEntry> computed, Bytes& out) {
  ByteWriter w(out);
  write_computed(computed, w);
}

bool read_undo_update(ByteSpan payload, const TableFormat& format,
                      const std::function<void(ColumnNumber, const Cell&)>& visit,
                      std::vector<ComputedEntry>* computed) {
  ByteReader in(payload);
  const std::uint64_t n = in.varint();
  for (std::uint64_t i = 0; i < n && in.ok(); ++i) {
    const auto column = static_cast<ColumnNumber>(in.varint());
    if (column >= format.phys.size()) return false;
    const Cell cell = read_cell(in, format.phys[column]);
    if (in.ok()) visit(column, cell);
  }
  return computed == nullptr ? in.ok() : read_computed(in, computed);
}

bool read_undo_other(ByteSpan payload, std::vector<ComputedEntry>* computed) {
  ByteReader in(payload);
  return read_computed(in, computed);
}

log::ColumnValue to_log_value(const Cell& cell, Phys phys) {
  log::ColumnValue v;
  if (cell.is_null()) return v;
  RUSTBD_ASSERT(cell.kind == CellKind::kValue, "the log holds full values");
  v.is_null = false;
  switch (phys) {
    case Phys::kI16: v.integer = cell.value.i16; break;
    case Phys::kI32: v.integer = cell.value.i32; break;
    case Phys::kI64: v.integer = cell.value.i64; break;
    case Phys::kU32: v.integer = cell.value.u32; break;
    case Phys::kStr:
    case Phys::kNumeric: v.bytes = str_bytes(cell.value.str); break;
    default: v.bytes = {reinterpret_cast<const std::byte*>(&cell.value), types::width_of(phys)}; break;
  }
  return v;
}

Cell from_log_value(const log::ColumnValue& v, Phys phys, Arena& arena) {
  if (v.is_null) return Cell::null();
  switch (phys) {
    case Phys::kI16: return Cell::fixed(types::Datum::of(static_cast<std::int16_t>(v.integer)));
    case Phys::kI32: return Cell::fixed(types::Datum::of(static_cast<std::int32_t>(v.integer)));
    case Phys::kI64: return Cell::fixed(types::Datum::of(static_cast<std::int64_t>(v.integer)));
    case Phys::kU32: return Cell::fixed(types::Datum::of(static_cast<std::uint32_t>(v.integer)));
    case Phys::kStr:
    case Phys::kNumeric: return Cell::stored(arena_copy(v.bytes, arena));
    default: return Cell::fixed(types::load_datum(v.bytes.data(), types::width_of(phys)));
  }
}

namespace {
// Values borrow from the cells: fixed ones point into the Cell itself, so the span must stay.
using LogValues = SmallVector<log::ColumnValue, 8>;
LogValues log_values(const TableFormat& format, std::span<const Cell> cells,
                     std::span<const ColumnNumber> columns) {
  LogValues values;
  values.reserve(cells.size());
  for (std::size_t i = 0; i < cells.size(); ++i)
    values.push_back(to_log_value(cells[i], format.phys[columns.empty() ? i : columns[i]]));
  return values;
}
}  // namespace

void write_row_event(ByteWriter& out, const TableFormat& format, std::span<const Cell> row,
                     std::span<const ComputedEntry> computed) {
  log::write_row_image(out, format.forms, log_values(format, row, {}));
  if (!computed.empty()) write_computed(computed, out);
}

bool read_row_event(ByteSpan body, const TableFormat& format, Arena& arena, std::vector<Cell>* row,
                    std::vector<ComputedEntry>* computed) {
  ByteReader in(body);
  std::vector<log::ColumnValue> values;
  if (!log::read_row_image(in, format.forms, values)) return false;
  row->clear();
  for (std::size_t i = 0; i < values.size(); ++i)
    row->push_back(from_log_value(values[i], format.phys[i], arena));
  return in.at_end() || read_computed(in, computed);
}

void write_update_event(ByteWriter& out, const TableFormat& format, std::span<const ColumnNumber> columns,
                        std::span<const Cell> before, std::span<const Cell> after,
                        std::span<const ComputedEntry> computed) {
  log::write_update_body(out, format.forms, columns, log_values(format, before, columns),
                         log_values(format, after, columns));
  if (!computed.empty()) write_computed(computed, out);
}

bool read_update_event(ByteSpan body, const TableFormat& format, Arena& arena,
                       std::vector<ColumnNumber>* columns, std::vector<Cell>* before,
                       std::vector<Cell>* after, std::vector<ComputedEntry>* computed) {
  ByteReader in(body);
  std::vector<log::ColumnValue> old_values, new_values;
  if (!log::read_update_body(in, format.forms, *columns, old_values, new_values)) return false;
  before->clear();
  after->clear();
  for (std::size_t i = 0; i < columns->size(); ++i) {
    before->push_back(from_log_value(old_values[i], format.phys[(*columns)[i]], arena));
    after->push_back(from_log_value(new_values[i], format.phys[(*columns)[i]], arena));
  }
  return in.at_end() || read_computed(in, computed);
}

}  // namespace rustbd::txn
