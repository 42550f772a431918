#include "rustbd/txn/tables/row_reader.h"

#include <algorithm>
#include <thread>

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
    if (!view_stops(view_, *chain.bulk)) return false;
    seen(*chain.bulk->owner);
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
  out.put(value.chunk_column, value.row, storage::load_cell(cell, format_.phys[column], out.arena()), false,
          false);
  return {};
}

PhysList phys_of(const TableFormat& format, std::span<const ColumnNumber> columns, bool row_ids) {
  PhysList out;
  out.reserve(columns.size() + 1);
  for (const ColumnNumber c : columns) out.push_back(format.phys[c]);
  if (row_ids) out.push_back(types::Phys::kU64);
  return out;
}

void prepare_chunk(types::ChunkBuffer& out, std::span<const types::Phys> phys) {
  bool same = out.chunk().column_count == phys.size() && !phys.empty();
  for (std::uint32_t i = 0; same && i < phys.size(); ++i) same = out.chunk()[i].phys == phys[i];
  if (!same) out.reset(phys);
  out.begin();
}

/// Whether the version that the view sees has the entry's key. The row's leaf is latched, so its entries
/// stay: a key that no record of the chain speaks of is right if the entry is still there (entries go under
/// that latch, with the chain).
storage::Status RowFetcher::key_matches(const IndexHit& hit, RowId row, const ChainHead& chain,
                                        std::uint32_t slot, bool* same) {
  bool decided = false;
  *same = true;
  arena_.reset();
  if (chain.head != nullptr) {
    storage::Status status;
    if (hit.part.computed) {
      status = computed_key_matches(hit, chain, same, &decided);
    } else {
      status = stored_key_matches(hit, chain, slot, same);
      decided = true;
    }
    if (!status) return status;
  }
  if (decided || hit.part.tree->removals() == hit.removals) return {};
  return hit.part.tree->contains(hit.key, row, same);
}

storage::Status RowFetcher::computed_key_matches(const IndexHit& hit, const ChainHead& chain, bool* same,
                                                 bool* decided) {
  // The oldest change that the view does not see names the key before it; else the newest one the key after
  // it.
  for (const UndoRec* r = chain.head; r != nullptr; r = r->older.load(std::memory_order_acquire)) {
    const bool stops = view_stops(reader_.view(), *r);
    Bytes scratch;
    ByteSpan payload;
    storage::Status status;
    if (!parts_.load_payload(*r, scratch, &payload, &status)) return status;
    std::vector<ComputedEntry> computed;
    if (r->op == UndoOp::kUpdate)
      read_undo_update(
          payload, format_, [](ColumnNumber, const Cell&) {}, &computed);
    else read_undo_other(payload, &computed);
    const auto at = std::find_if(computed.begin(), computed.end(),
                                 [&](const ComputedEntry& e) { return e.index == hit.part.layout->id; });
    if (at != computed.end() && (!stops || !*decided)) {
      *same = stops ? at->has && as_chars(at->after) == as_chars(hit.key)
                    : at->had && as_chars(at->before) == as_chars(hit.key);
      *decided = true;
    }
    if (stops) break;
  }
  return {};
}

storage::Status RowFetcher::stored_key_matches(const IndexHit& hit, const ChainHead& chain,
                                               std::uint32_t slot, bool* same) {
  const IndexPart& part = hit.part;
  std::vector<Cell> cells(format_.phys.size());
  for (const auto& p : part.layout->parts) {
    if (!page_.cell(slot, p.column, &cells[p.column])) return unreadable();
  }
  auto status = reader_.rewind(chain, [&](ColumnNumber c, const Cell& cell, const UndoRec&) {
    if (format_.key_columns[c]) cells[c] = storage::copy_cell(cell, format_.phys[c], arena_);
  });
  if (!status) return status;
  for (const auto& p : part.layout->parts) {
    Cell& cell = cells[p.column];
    if (cell.kind != CellKind::kOverflow) continue;
    const auto ref = cell.overflow_ref();
    char* to = static_cast<char*>(arena_.allocate(ref.bytes + 1, 1));
    storage::OverflowRead read(ref, to);
    if (status = read.run(parts_.buffer()); !status) return status;
    cell = Cell::stored({to, ref.bytes});
  }
  Bytes present;
  bool null = false;
  append_entry_key(format_, *part.layout, cells, arena_, present, &null);
  *same = as_chars(present) == as_chars(hit.key);
  return {};
}

storage::Status RowFetcher::try_add(RowId row, std::uint32_t at, const IndexHit* hit, bool* added) {
  *added = false;
  if (!leaf_.held() || row.raw() < page_.base_rowid() || row.raw() >= page_.high_fence()) {
    leaf_.release();
    if (auto status = state_.tree->fix_leaf(row, &leaf_, &hint_, format_.rows, columns_); !status)
      return status;
    if (!storage::LeafView::open(leaf_.data(), format_.rows, &page_)) return unreadable();
  }
  page_.prefetch(row, columns_);
  const std::uint32_t slot = page_.find(row);
  if (slot == storage::kNoSlot) return {};
  const ChainHead chain = leaf_.has_versions() ? parts_.versions.head(state_.id, row) : ChainHead{};
  if (!reader_.visible(chain, page_.tombstone(slot), true)) return {};
  if (hit != nullptr) {
    bool same = true;
    if (auto status = key_matches(*hit, row, chain, slot, &same); !status) return status;
    if (!same) return {};
  }
  overflow_.values.clear();
  if (!page_.copy_columns(slot, slot + 1, columns_, out_, at, &overflow_.values)) return unreadable();
  if (chain.head != nullptr) {
    if (auto status = reader_.rewind_chunk(chain, columns_, out_, at, &overflow_); !status) return status;
  }
  if (!overflow_.values.empty()) {
    leaf_.release();
    for (const auto& v : overflow_.values) {
      if (auto status = reader_.read_overflow(v, columns_[v.chunk_column], out_); !status) return status;
    }
  }
  *added = true;
  return {};
}

RowFetcher::Result RowFetcher::add(RowId row, std::uint32_t at, const IndexHit* hit, Outcome* outcome) {
  for (unsigned tries = 1;; ++tries) {
    bool added = false;
    const storage::Status status = try_add(row, at, hit, &added);
    if (status) return added ? Result::kAdded : Result::kSkipped;
    leaf_.release();
    bool restart = false;
    *outcome = to_outcome(status, &restart, state_.id);
    if (!restart) return Result::kStop;
    if (tries % 64 == 0) std::this_thread::yield();
  }
}

}  // namespace rustbd::txn
