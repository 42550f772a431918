// Rows in their three written forms: cells (storage), row images of log events, and the payload of undo
// records; and the normalised keys of index entries.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/base/bytes.h"
#include "rustbd/log/events.h"
#include "rustbd/storage/btree/index_tree.h"
#include "rustbd/storage/rows/row_format.h"
#include "rustbd/storage/rows/table_layout.h"
#include "rustbd/txn/tables/table.h"

namespace rustbd::txn {

using storage::Cell;
using storage::CellKind;

/// One index of a table as writers need it.
struct IndexPart {
  const storage::IndexLayout* layout;
  std::shared_ptr<storage::IndexTree> tree;
  bool computed;  // has expressions or a predicate: its keys come from the writer
};

/// A layout with all that is derived from it. Immutable; shared.
struct TableFormat {
  explicit TableFormat(std::shared_ptr<const storage::TableLayout> table);

  std::shared_ptr<const storage::TableLayout> layout;
  storage::RowFormat rows;
  std::vector<log::ColumnForm> forms;
  std::vector<types::Phys> phys;
  std::vector<IndexPart> indexes;        // ascending by id
  std::vector<bool> unique_key_columns;  // per column: in a unique index
  std::vector<bool> key_columns;         // per column: in any index
  bool has_computed = false;
};

/// The key of an entry that the writer computed, as records and events carry it.
struct ComputedEntry {
  IndexId index;
  bool had = false, has = false;
  Bytes before, after;  // normalised keys
};

/// Appends the normalised key (without row id) of an index that has no expressions. Cells hold full values
/// (no kOverflow in key columns). `*has_null`: some part is null.
void append_entry_key(const TableFormat& format, const storage::IndexLayout& index, std::span<const Cell> row,
                      Arena& arena, Bytes& out, bool* has_null);
/// The same with expression parts taken from vectors at `row`.
void append_computed_key(const TableFormat& format, const storage::IndexLayout& index,
                         std::span<const Cell> cells, const types::Vector* expressions, std::uint32_t row,
                         Arena& arena, Bytes& out, bool* has_null);

// --- Undo payloads. UPDATE: varint n, n x (varint column, cell); all: varint m, m x computed entry. ---
void write_undo_update(std::span<const storage::ColumnNumber> columns, std::span<const Cell> before,
                       const TableFormat& format, std::span<const ComputedEntry> computed, Bytes& out);
void write_undo_other(std::span<const ComputedEntry> computed, Bytes& out);
/// Calls visit(column, cell) for each before value. Cells point into the payload. False: malformed.
bool read_undo_update(ByteSpan payload, const TableFormat& format,
                      const std::function<void(storage::ColumnNumber, const Cell&)>& visit,
                      std::vector<ComputedEntry>* computed);
bool read_undo_other(ByteSpan payload, std::vector<ComputedEntry>* computed);

// --- Log images. Cells must hold full values. ---
log::ColumnValue to_log_value(const Cell& cell, types::Phys phys);
Cell from_log_value(const log::ColumnValue& value, types::Phys phys, Arena& arena);
void write_row_event(ByteWriter& out, const TableFormat& format, std::span<const Cell> row,
                     std::span<const ComputedEntry> computed);
bool read_row_event(ByteSpan body, const TableFormat& format, Arena& arena, std::vector<Cell>* row,
                    std::vector<ComputedEntry>* computed);
void write_update_event(ByteWriter& out, const TableFormat& format,
                        std::span<const storage::ColumnNumber> columns, std::span<const Cell> before,
                        std::span<const Cell> after, std::span<const ComputedEntry> computed);
bool read_update_event(ByteSpan body, const TableFormat& format, Arena& arena,
                       std::vector<storage::ColumnNumber>* columns, std::vector<Cell>* before,
                       std::vector<Cell>* after, std::vector<ComputedEntry>* computed);

}  // namespace rustbd::txn
