// Taking changes back: one action a record (storage.md §4.4).
#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/row_writer.h"

namespace rustbd::txn {

using storage::LeafPage;
using storage::LeafView;
using storage::Room;

bool SystemParts::load_payload(const UndoRec& record, Bytes& scratch, ByteSpan* out,
                               storage::Status* status) {
  *out = record.payload();
  if ((record.flags & UndoRec::kSpilled) == 0) return true;
  const auto* p = out->data();
  const PageId page{load<std::uint64_t>(p)};
  const auto offset = load<std::uint32_t>(p + 8), bytes = load<std::uint32_t>(p + 12);
  auto guard = buffer().try_fix_shared(page);
  if (!guard) {
    switch (guard.status) {
      case storage::FixStatus::kMiss: *status = storage::Status::miss(guard.wait); break;
      case storage::FixStatus::kBusy: *status = storage::Status::restart(); break;
      case storage::FixStatus::kDamaged: *status = storage::Status::damaged(page); break;
      default: *status = {storage::Outcome::kNoFrame, {}, {}}; break;
    }
    return false;
  }
  scratch.assign(guard->data() + offset, guard->data() + offset + bytes);
  *out = scratch;
  return true;
}

namespace {

bool cells_equal(const Cell& a, const Cell& b, types::Phys phys) {
  if (a.kind != b.kind) return false;
  if (a.kind == CellKind::kNull) return true;
  if (a.kind == CellKind::kOverflow) return a.overflow_ref().first == b.overflow_ref().first;
  if (types::is_variable(phys)) return a.value.str == b.value.str;
  return std::memcmp(&a.value, &b.value, types::width_of(phys)) == 0;
}

const ComputedEntry* find_computed(const std::vector<ComputedEntry>& list, IndexId id) {
  for (const auto& e : list)
    if (e.index == id) return &e;
  return nullptr;
}

/// Whether some version older than `record` (or the restored row) has this key in the index.
struct OlderKeys {
  SystemParts& parts;
  const TableFormat& format;
  Arena& arena;
  storage::Status status{};

  bool any(const IndexPart& part, ByteSpan key, std::vector<Cell> image, const UndoRec* older) {
    for (;;) {
      if (!part.computed) {
        Bytes present;
        bool null = false;
        if (status = parts.load_key_cells(format, &image, arena); !status) return true;
        append_entry_key(format, *part.layout, image, arena, present, &null);
        if (as_chars(present) == as_chars(key)) return true;
      }
      if (older == nullptr) return false;
      Bytes scratch;
      ByteSpan payload;
      if (!parts.load_payload(*older, scratch, &payload, &status)) return true;
      std::vector<ComputedEntry> computed;
      if (older->op == UndoOp::kUpdate) {
        const ByteSpan kept = arena.copy(payload);
        read_undo_update(
            kept, format, [&](storage::ColumnNumber c, const Cell& cell) { image[c] = cell; }, &computed);
      } else {
        read_undo_other(payload, &computed);
      }
      if (part.computed) {
        const auto* e = find_computed(computed, part.layout->id);
        if (e != nullptr && ((e->had && as_chars(e->before) == as_chars(key)) ||
                             (e->has && as_chars(e->after) == as_chars(key)))) {
          return true;
        }
      }
      if (older->op == UndoOp::kInsert) return false;
      older = older->older.load(std::memory_order_acquire);
    }
  }
};

/// A leaf without rows has no chains either: the collector may take it out of the tree.
void remove_inserted(SystemParts& parts, storage::ExclusiveGuard& leaf, LeafPage& page, std::uint32_t slot,
                     TableId table, RowId row) {
  page.remove(slot);
  if (page.rows() != 0) return;
  leaf.set_has_versions(false);
  const std::lock_guard lock(parts.queue_mutex);
  parts.emptied_leaves.push_back({table, IndexId{}, {}, row});
}

}  // namespace

/// Rows from the last one on. Each goes in an action of its own: a checkpoint in between saves the record,
/// whose undo finds the rest.
storage::Status SystemParts::undo_bulk(UndoRec& record) {
  while (record.placed > 0) {
    const RowId row{record.row + record.placed - 1};
    if (auto status = undo_row(record, row); !status) return status;
    --record.placed;
  }
  const storage::Action action(gate());
  versions.clear_bulk(&record);
  record.undone_epoch.store(gate().epoch(), std::memory_order_release);
  return {};
}

storage::Status SystemParts::undo_record(UndoRec& record) {
  return record.op == UndoOp::kBulk ? undo_bulk(record) : undo_row(record, RowId{record.row});
}

/// Takes back what the record did to the row.
storage::Status SystemParts::undo_row(UndoRec& record, RowId row) {
  const auto trees_of = tree_state(TableId{record.table});
  RUSTBD_ASSERT(trees_of != nullptr, "a table with undo has its trees");
  TreeState& tree = *trees_of;
  const auto format_ref = tree.upkeep_format();
  const TableFormat& format = *format_ref;
  const bool inserted = record.op == UndoOp::kInsert || record.op == UndoOp::kBulk;
  bool split_leaf = false;
  std::vector<storage::OverflowRef> chains;
  {
    const auto pin = epochs().pin();
    Bytes scratch;
    ByteSpan payload;
    storage::Status status;
    if (!load_payload(record, scratch, &payload, &status)) return status;
    const storage::Action action(gate());
    Arena arena(2048);
    storage::ExclusiveGuard leaf;
    if (status = tree.tree->fix_leaf(row, &leaf); !status) return status;
    if (auto dirty = leaf.mark_dirty(); !dirty) return storage::Status::miss(dirty.retry);
    LeafPage page(leaf.mutable_bytes(), format.rows);
    const std::uint32_t slot = page.find(row);
    RUSTBD_ASSERT(slot != storage::kNoSlot, "a row with running undo is in its leaf");
    std::vector<Cell> present(format.phys.size());
    RUSTBD_ASSERT(page.row(slot, present), "a latched leaf is sound");
    EntryLatches entries(format.indexes.size());
    std::vector<ComputedEntry> computed;
    std::vector<storage::ColumnNumber> columns;
    std::vector<Cell> before;
    if (record.op == UndoOp::kUpdate) {
      read_undo_update(
          payload, format,
          [&](storage::ColumnNumber c, const Cell& cell) {
            columns.push_back(c);
            before.push_back(cell);
          },
          &computed);
    } else {
      read_undo_other(payload, &computed);
    }
    if (record.op != UndoOp::kDelete) {
      std::vector<Cell> old_row = present, keys = present;
      for (std::size_t i = 0; i < columns.size(); ++i) old_row[columns[i]] = before[i];
      if (status = load_key_cells(format, &keys, arena); !status) return status;
      if (status = load_key_cells(format, &old_row, arena); !status) return status;
      for (const IndexPart& part : format.indexes) {
        Bytes key;
        bool null = false;
        if (part.computed) {
          const auto* e = find_computed(computed, part.layout->id);
          if (e == nullptr || !e->has || (e->had && e->before == e->after)) continue;
          key = e->after;
        } else {
          append_entry_key(format, *part.layout, keys, arena, key, &null);
        }
        if (record.op == UndoOp::kUpdate) {
          OlderKeys older{*this, format, arena};
          const bool needed = older.any(part, key, old_row, record.older.load(std::memory_order_acquire));
          if (!older.status) return older.status;
          if (needed) continue;
        }
        if (part.tree->is_set_aside()) continue;
        if (status = entries.remove(*part.tree, key, row); !status) return status;
      }
    }
    if (record.op == UndoOp::kUpdate && page.room_for_update(slot, columns, before) == Room::kFull) {
      split_leaf = true;
    } else {
      if (auto dirty = entries.mark_dirty(); !dirty) return storage::Status::miss(dirty.retry);
      // Overflow values that only the undone version had.
      for (std::size_t i = 0; i < present.size(); ++i) {
        if (present[i].kind != CellKind::kOverflow || record.op == UndoOp::kDelete) continue;
        const auto at = std::find(columns.begin(), columns.end(), i);
        if (record.op == UndoOp::kUpdate &&
            (at == columns.end() || cells_equal(before[static_cast<std::size_t>(at - columns.begin())],
                                                present[i], format.phys[i]))) {
          continue;
        }
        chains.push_back(present[i].overflow_ref());
        storage->pending().add(chains.back().first, storage::PendingKind::kChain);
      }
      if (inserted) remove_inserted(*this, leaf, page, slot, TableId{record.table}, row);
      else if (record.op == UndoOp::kUpdate) page.update(slot, columns, before);
      else page.set_tombstone(slot, false);
      entries.apply();
      note_emptied(*this, TableId{record.table}, format, std::move(entries.emptied));
      if (record.op == UndoOp::kBulk) {
        RUSTBD_ASSERT(versions.head(TableId{record.table}, row).head == nullptr,
                      "I21: later changes are undone first");
      } else {
        versions.pop(&record);
        record.undone_epoch.store(gate().epoch(), std::memory_order_release);
      }
    }
  }
  if (split_leaf) {
    if (auto status = tree.tree->split_leaf(row, format.rows); !status) return status;
    return storage::Status::restart();
  }
  if (!chains.empty()) {
    std::lock_guard lock(queue_mutex);
    unused_chains.insert(unused_chains.end(), chains.begin(), chains.end());
  }
  return {};
}

}  // namespace rustbd::txn
