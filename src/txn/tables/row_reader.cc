#include "rustbd/txn/tables/row_reader.h"

#include "rustbd/base/assert.h"

namespace rustbd::txn {

void put_value(types::ChunkBuffer& out, std::uint32_t column, std::uint32_t row, const types::Datum& value,
               bool is_null) {
  types::Vector& v = out.chunk()[column];
  if (!is_null && v.validity != nullptr) v.validity[row >> 6] |= std::uint64_t{1} << (row & 63);
  out.put(column, row, value, is_null);
}

bool RowReader::visible(const ChainHead& chain, bool tombstone, bool note) {
  bool alive = !tombstone;
  const auto seen = [&](const TxnState& owner) {
    if (!note || &owner == view_.self || view_.transaction == nullptr) return;
    view_.transaction->note_seen(owner.commit_ts.load(std::memory_order_acquire),
                                 owner.end_lsn.load(std::memory_order_acquire));
  };
  for (const UndoRec* r = chain.head; r != nullptr; r = r->older.load(std::memory_order_acquire)) {
    if (view_stops(view_, *r)) {
      seen(*r->owner);
      return alive;
    }
    if (r->op == UndoOp::kInsert) return false;
    if (r->op == UndoOp::kDelete) alive = true;
  }
  if (chain.bulk != nullptr) {
    if (!view_sees_bulk(view_, *chain.bulk)) return false;
    seen(*chain.bulk);
  }
  return alive;
}

storage::Status RowReader::rewind_chunk(const ChainHead& chain, std::span<const ColumnNumber> columns,
                                        types::ChunkBuffer& out, std::uint32_t row, OverflowList* overflow) {
  return rewind(chain, [&](ColumnNumber c, const Cell& cell, const UndoRec&) {
    for (std::uint32_t i = 0; i < columns.size(); ++i) {
      if (columns[i] != c) continue;
      overflow->forget(i, row);
      if (cell.kind == CellKind::kOverflow) {
        overflow->values.push_back({i, row, cell.overflow_ref()});
        put_value(out, i, row, types::Datum{}, false);
      } else if (cell.is_null()) {
        put_value(out, i, row, types::Datum{}, true);
      } else {
        put_value(out, i, row, storage::load_cell(cell, format_.phys[c], out.arena()), false);
      }
    }
  });
}

storage::Status RowReader::read_overflow(const storage::OverflowValue& value, ColumnNumber column,
                                         types::ChunkBuffer& out) {
  char* bytes = static_cast<char*>(out.arena().allocate(value.ref.bytes + 1, 1));
  storage::OverflowRead read(value.ref, bytes);
  for (;;) {
    storage::Status status = read.run(parts_.buffer());
    if (status.outcome == storage::Outcome::kRestart) continue;
    if (!status) return status;
    break;
  }
  const Cell cell = Cell::stored({bytes, value.ref.bytes});
  types::Vector& v = out.chunk()[value.chunk_column];
  if (v.validity != nullptr) v.validity[value.row >> 6] |= std::uint64_t{1} << (value.row & 63);
  out.put(value.chunk_column, value.row, storage::load_cell(cell, format_.phys[column], out.arena()), false, false);
  return {};
}

}  // namespace rustbd::txn
