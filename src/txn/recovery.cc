// Recovery (storage.md §7): pages of the last checkpoint, its undo snapshot, then the log from there on. Rows
// are written in place without versions, index entries are kept from the image before and the image after.
#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"
#include "rustbd/base/hash.h"
#include "rustbd/log/segments.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/row_writer.h"

namespace rustbd::txn {

using storage::Action;
using storage::LeafPage;
using storage::LeafView;
using storage::Room;

namespace {

std::shared_ptr<const storage::TableLayout> layout_table_layout() {
  auto layout = std::make_shared<storage::TableLayout>();
  layout->table = kLayoutTable;
  layout->relation = kLayoutTable.raw();
  layout->columns.resize(3);
  layout->columns[0].type = types::make_type(types::oid::kOid);
  layout->columns[1].type = types::make_type(types::oid::kOid);
  layout->columns[2].type = types::make_type(types::oid::kBytea);
  for (auto& c : layout->columns) c.nullable = false;
  storage::IndexLayout index;
  index.id = kLayoutIndex;
  index.unique = true;
  for (ColumnNumber c = 0; c < 2; ++c)
    index.parts.push_back({c, types::KeyPart{layout->columns[c].type, false, false}});
  layout->indexes.push_back(std::move(index));
  return layout;
}

const ComputedEntry* find_computed(const std::vector<ComputedEntry>& list, IndexId id) {
  for (const auto& e : list)
    if (e.index == id) return &e;
  return nullptr;
}

}  // namespace

void SystemParts::check_recovery(const storage::Status& status, const char* what, TableId table) {
  if (status) return;
  switch (status.outcome) {
    case storage::Outcome::kNoSpace: throw error(sqlstate::kDiskFull, "recovery: no space left ({})", what);
    case storage::Outcome::kStopped:
      throw error(sqlstate::kIoError, "recovery: a page cannot be written ({})", what);
    case storage::Outcome::kNoFrame:
      throw error(sqlstate::kOutOfMemory, "recovery: buffer pool too small ({})", what);
    default:
      const std::uint32_t owner = status.owner != 0 ? status.owner : table.raw();
      if (may_be_sound(status.page)) {
        throw error(sqlstate::kIoError,
                    "recovery: page {} of {} {} cannot be read, the disk gives an error ({})",
                    status.page.raw(), is_index(owner) ? "index" : "table", owner, what)
            .with_hint(
                "If it does so at every start, \"rustbd check --repair\" takes the page for damaged: it "
                "makes "
                "it anew if the log has all of its rows, else sets the table aside. Copy the directory "
                "first.");
      }
      throw error(sqlstate::kDataCorrupted, "recovery: page {} of {} {} is damaged ({})", status.page.raw(),
                  is_index(owner) ? "index" : "table", owner, what)
          .with_hint(
              "\"rustbd check --deep\" names everything that is damaged. What the log says about this page "
              "cannot "
              "be brought in: restore the directory from a backup or a replica.");
  }
}

// --- Rows in place ---

storage::Status SystemParts::find_row(TreeState& tree, const TableFormat& format, RowId row,
                                      std::vector<Cell>* cells, Arena& arena, bool* found, bool* tombstone) {
  return storage::run_blocking([&]() -> storage::Status {
    const auto pin = epochs().pin();
    storage::SharedGuard leaf;
    if (auto s = tree.tree->fix_leaf(row, &leaf); !s) return s;
    LeafView view;
    if (!LeafView::open(leaf.data(), format.rows, &view)) return storage::Status::damaged(leaf.page_id());
    const std::uint32_t slot = view.find(row);
    *found = slot != storage::kNoSlot;
    if (!*found) return {};
    cells->assign(format.phys.size(), {});
    if (!view.row(slot, *cells)) return storage::Status::damaged(leaf.page_id());
    for (std::size_t i = 0; i < cells->size(); ++i)
      (*cells)[i] = storage::copy_cell((*cells)[i], format.phys[i], arena);
    *tombstone = view.tombstone(slot);
    return {};
  });
}

storage::Status SystemParts::load_key_cells(const TableFormat& format, std::vector<Cell>* row, Arena& arena) {
  for (std::size_t i = 0; i < row->size(); ++i) {
    Cell& cell = (*row)[i];
    if (!format.key_columns[i] || cell.kind != CellKind::kOverflow) continue;
    const auto ref = cell.overflow_ref();
    char* to = static_cast<char*>(arena.allocate(ref.bytes + 1, 1));
    storage::OverflowRead read(ref, to);
    if (auto s = read.run(buffer()); !s) return s;
    cell = Cell::stored({to, ref.bytes});
  }
  return {};
}

template <class Change>
storage::Status SystemParts::change_leaf(TreeState& tree, const TableFormat& format, RowId row,
                                         Change&& change) {
  return storage::run_blocking([&]() -> storage::Status {
    const auto pin = epochs().pin();
    const storage::Action action(gate());
    storage::ExclusiveGuard leaf;
    if (auto s = tree.tree->fix_leaf(row, &leaf); !s) return s;
    if (auto dirty = leaf.mark_dirty(); !dirty) return storage::Status::miss(dirty.retry);
    LeafPage page(leaf.mutable_bytes(), format.rows);
    return change(page) ? storage::Status::ok() : storage::Status::damaged(leaf.page_id());
  });
}

namespace {

Bytes entry_key(SystemParts& parts, const TableFormat& format, const IndexPart& part, std::vector<Cell> row,
                Arena& arena) {
  Bytes key;
  bool null = false;
  parts.check_recovery(storage::run_blocking([&] { return parts.load_key_cells(format, &row, arena); }),
                       "reading a long value");
  append_entry_key(format, *part.layout, row, arena, key, &null);
  return key;
}

/// Moves values that are too long for the leaf to overflow pages; the chains come back in `written`.
void move_out(SystemParts& parts, const TableFormat& format, TableId table, std::vector<Cell>& row,
              std::vector<storage::OverflowRef>* written) {
  std::vector<ColumnNumber> move;
  if (!format.rows.choose_overflow(row, &move))
    throw error(sqlstate::kDataCorrupted, "recovery: a row is too large");
  for (const ColumnNumber c : move) {
    storage::OverflowWrite write(row[c].value.str.view(), table.raw(), parts.storage->pending());
    parts.check_recovery(storage::run_blocking([&] { return write.run(parts.buffer()); }),
                         "writing a long value");
    row[c] = Cell::overflow(write.ref());
    written->push_back(write.ref());
  }
}

}  // namespace

storage::Status SystemParts::place_row(TreeState& tree, const TableFormat& format, RowId row,
                                       std::vector<Cell> cells) {
  std::vector<storage::OverflowRef> chains;
  move_out(*this, format, tree.id, cells, &chains);
  for (;;) {
    bool split = false;
    const auto status = change_leaf(tree, format, row, [&](LeafPage& page) {
      if (page.find(row) != storage::kNoSlot) return false;
      split = page.room_for_insert(row, cells) == Room::kFull;
      if (split) return true;
      page.insert(row, cells);
      for (const auto& c : chains) storage->pending().remove(c.first);
      return true;
    });
    if (!status)
      for (const auto& c : chains) give_up_chain(c);
    if (!status || !split) return status;
    check_recovery(storage::run_blocking([&] { return tree.tree->split_leaf(row, format.rows); }),
                   "splitting a leaf");
  }
}

void SystemParts::recover_insert(TableId table, RowId row, std::vector<Cell> cells,
                                 const std::vector<ComputedEntry>& computed) {
  const auto tree = tree_state(table);
  const auto format = tree->format();
  Arena arena(1024);
  const std::vector<Cell> full = cells;
  const auto status = place_row(*tree, *format, row, std::move(cells));
  tree->raise_next_row(row);
  if (set_aside(status, table, row, LeftOut::kWrite)) return recover_computed(*format, row, computed, false);
  check_recovery(status, "writing a row");
  for (const IndexPart& part : format->indexes) {
    Bytes key;
    if (part.computed) {
      const auto* e = find_computed(computed, part.layout->id);
      if (e == nullptr || !e->has) continue;
      key = e->after;
    } else {
      key = entry_key(*this, *format, part, full, arena);
    }
    recover_entry(part, key, row, true);
  }
}

void SystemParts::recover_computed(const TableFormat& format, RowId row,
                                   const std::vector<ComputedEntry>& computed, bool backwards) {
  for (const IndexPart& part : format.indexes) {
    const auto* e = part.computed ? find_computed(computed, part.layout->id) : nullptr;
    if (e == nullptr) continue;
    const bool had = backwards ? e->has : e->had, has = backwards ? e->had : e->has;
    if (had) recover_entry(part, backwards ? e->after : e->before, row, false);
    if (has) recover_entry(part, backwards ? e->before : e->after, row, true);
  }
}

/// `backwards`: undo of an update, whose computed entries are the other way round.
void SystemParts::recover_update(TableId table, RowId row, const std::vector<ColumnNumber>& columns,
                                 std::vector<Cell> values, const std::vector<ComputedEntry>& computed,
                                 bool backwards) {
  const auto tree = tree_state(table);
  const auto format = tree->format();
  Arena arena(1024);
  std::vector<Cell> old_row;
  bool tombstone = false, found = false;
  const auto status = find_row(*tree, *format, row, &old_row, arena, &found, &tombstone);
  if (set_aside(status, table, row, LeftOut::kWrite))
    return recover_computed(*format, row, computed, backwards);
  check_recovery(status, "reading a row");
  if (!found) {
    throw error(sqlstate::kDataCorrupted, "recovery: table {} has no row {}", table.raw(), row.raw());
  }
  std::vector<Cell> new_row = old_row;
  for (std::size_t i = 0; i < columns.size(); ++i) new_row[columns[i]] = values[i];
  const std::vector<Cell> full = new_row;
  std::vector<storage::OverflowRef> chains;
  move_out(*this, *format, table, new_row, &chains);
  std::vector<ColumnNumber> changed;
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < new_row.size(); ++i) {
    const bool named = std::find(columns.begin(), columns.end(), i) != columns.end();
    if (!named && new_row[i].kind == old_row[i].kind) continue;
    changed.push_back(static_cast<ColumnNumber>(i));
    cells.push_back(new_row[i]);
  }
  for (bool done = false; !done;) {
    bool split = false;
    const auto written = change_leaf(*tree, *format, row, [&](LeafPage& page) {
      const std::uint32_t slot = page.find(row);
      split = page.room_for_update(slot, changed, cells) == Room::kFull;
      if (split) return true;
      page.update(slot, changed, cells);
      for (const auto& c : chains) storage->pending().remove(c.first);
      return true;
    });
    check_recovery(written, "changing a row");
    done = !split;
    if (split) {
      check_recovery(storage::run_blocking([&] { return tree->tree->split_leaf(row, format->rows); }),
                     "splitting a leaf");
    }
  }
  for (const IndexPart& part : format->indexes) {
    Bytes before, after;
    bool had = true, has = true;
    if (part.computed) {
      const auto* e = find_computed(computed, part.layout->id);
      if (e == nullptr) continue;
      had = backwards ? e->has : e->had;
      has = backwards ? e->had : e->has;
      before = backwards ? e->after : e->before;
      after = backwards ? e->before : e->after;
    } else {
      before = entry_key(*this, *format, part, old_row, arena);
      after = entry_key(*this, *format, part, full, arena);
    }
    if (had && has && before == after) continue;
    if (had) {
      recover_entry(part, before, row, false);
    }
    if (has) {
      recover_entry(part, after, row, true);
    }
  }
  for (std::size_t i = 0; i < old_row.size(); ++i) {
    if (old_row[i].kind != CellKind::kOverflow) continue;
    const bool same = new_row[i].kind == CellKind::kOverflow &&
                      new_row[i].overflow_ref().first == old_row[i].overflow_ref().first;
    if (!same) give_up_chain(old_row[i].overflow_ref());
  }
}

void SystemParts::recover_remove(TableId table, RowId row, const std::vector<ComputedEntry>& computed) {
  const auto tree = tree_state(table);
  const auto format = tree->format();
  Arena arena(1024);
  std::vector<Cell> old_row;
  bool tombstone = false, empty = false, found = false;
  const auto status = find_row(*tree, *format, row, &old_row, arena, &found, &tombstone);
  const bool aside = set_aside(status, table, row, LeftOut::kRemoval);
  if (!aside) check_recovery(status, "reading a row");
  if (!found && !aside) {
    throw error(sqlstate::kDataCorrupted, "recovery: table {} has no row {}", table.raw(), row.raw());
  }
  for (const IndexPart& part : format->indexes) {
    Bytes key;
    if (part.computed) {
      const auto* e = find_computed(computed, part.layout->id);
      if (e == nullptr) continue;
      key = e->had ? e->before : e->after;
    } else if (aside) {
      continue;
    } else {
      key = entry_key(*this, *format, part, old_row, arena);
    }
    recover_entry(part, key, row, false);
  }
  if (aside) return;
  const auto written = change_leaf(*tree, *format, row, [&](LeafPage& page) {
    page.remove(page.find(row));
    empty = page.rows() == 0;
    return true;
  });
  check_recovery(written, "removing a row");
  if (empty) {
    const auto removed = storage::run_blocking([&] { return tree->tree->remove_empty_leaf(row); });
    // It stays where it is, empty, if its neighbour cannot be read.
    if (removed.outcome != storage::Outcome::kDamaged) check_recovery(removed, "removing a leaf");
  }
  for (const Cell& c : old_row)
    if (c.kind == CellKind::kOverflow) give_up_chain(c.overflow_ref());
}

void SystemParts::recover_tombstone(TableId table, RowId row) {
  const auto tree = tree_state(table);
  const auto format = tree->format();
  const auto status = change_leaf(*tree, *format, row, [&](LeafPage& page) {
    const std::uint32_t slot = page.find(row);
    if (slot == storage::kNoSlot) return false;
    page.set_tombstone(slot, false);
    return true;
  });
  if (!set_aside(status, table, row, LeftOut::kWrite)) check_recovery(status, "restoring a row");
}

// --- The undo snapshot ---

namespace {
Error damaged_snapshot() { return error(sqlstate::kDataCorrupted, "the undo snapshot is damaged"); }
}  // namespace

void SystemParts::restore(storage::SnapshotRecord kind, ByteSpan body) {
  ByteReader in(body);
  if (kind == storage::SnapshotRecord::kSequence) {
    const TableId id{static_cast<std::uint32_t>(in.varint())};
    Sequence sequence;
    sequence.value = sequence.logged = in.signed_varint();
    sequence.called = in.fixed<std::uint8_t>() != 0;
    if (!in.ok()) throw damaged_snapshot();
    sequences[id] = sequence;
  } else if (kind == storage::SnapshotRecord::kRowCounter) {
    const TableId id{static_cast<std::uint32_t>(in.varint())};
    const std::uint64_t next_row = in.varint();
    if (!in.ok()) throw damaged_snapshot();
    if (const auto tree = tree_state(id)) tree->next_row.store(std::max(tree->next_row.load(), next_row));
  } else if (kind == storage::SnapshotRecord::kPrepared) {
    const std::uint64_t id = in.varint();
    const Lsn lsn{in.varint()};
    if (!in.ok()) throw damaged_snapshot();
    undecided[id] = lsn;
  } else if (kind == storage::SnapshotRecord::kDroppedLayout) {
    auto layout = std::make_shared<storage::TableLayout>();
    if (!storage::TableLayout::deserialize(body, layout.get())) throw damaged_snapshot();
    dropped_formats[layout->table] = std::make_shared<TableFormat>(layout);
  } else if (kind == storage::SnapshotRecord::kSetAside) {
    const auto tree = static_cast<std::uint32_t>(in.varint());
    const PageId page{in.varint()};
    if (!in.ok()) throw damaged_snapshot();
    restore_set_aside(tree, page);
  } else if (kind == storage::SnapshotRecord::kOwed) {
    const TableId table{static_cast<std::uint32_t>(in.varint())};
    const RowId row{in.varint()};
    const IndexId index{static_cast<std::uint32_t>(in.varint())};
    if (!in.ok()) throw damaged_snapshot();
    owed_rows[table].insert({row, index});
  } else if (kind == storage::SnapshotRecord::kPurge) {
    restore_purge(in);
  } else if (kind == storage::SnapshotRecord::kActive) {
    restore_active(in);
  }
}

/// What collection still owed at the checkpoint: a row, or an entry of one.
void SystemParts::restore_purge(ByteReader& in) {
  const TableId table{static_cast<std::uint32_t>(in.varint())};
  const RowId row{in.varint()};
  const IndexId index{static_cast<std::uint32_t>(in.varint())};
  const ByteSpan key = as_bytes(in.text());
  if (!in.ok()) throw damaged_snapshot();
  const auto tree = tree_state(table);
  if (tree == nullptr || tree->format() == nullptr || tree->tree->is_set_aside()) return;
  const auto format = tree->format();
  Arena arena(1024);
  std::vector<Cell> cells;
  bool tombstone = false, found = false;
  const auto status = find_row(*tree, *format, row, &cells, arena, &found, &tombstone);
  const bool aside = set_aside(status, table, row, index.is_none() ? LeftOut::kRemoval : LeftOut::kNoRow);
  if (!aside) check_recovery(status, "reading a row");
  if (index.is_none()) {
    if (found && tombstone) recover_remove(table, row, {});
    return;
  }
  for (const IndexPart& part : format->indexes) {
    if (part.layout->id != index) continue;
    if (aside && !part.computed) continue;  // its key of now may be the same; the index is built anew
    if (found && !part.computed) {
      const Bytes present = entry_key(*this, *format, part, cells, arena);
      if (as_chars(present) == as_chars(key)) continue;
    }
    recover_entry(part, key, row, false);
  }
}

/// Takes back what a transaction that ran at the checkpoint had done by then.
void SystemParts::restore_active(ByteReader& in) {
  in.varint();
  while (in.ok() && !in.at_end()) {
    const TableId table{static_cast<std::uint32_t>(in.varint())};
    const RowId row{in.varint()};
    const auto op = static_cast<UndoOp>(in.fixed<std::uint8_t>());
    const ByteSpan payload = as_bytes(in.text());
    if (!in.ok()) throw damaged_snapshot();
    const auto tree = tree_state(table);
    if (tree == nullptr || tree->format() == nullptr) throw damaged_snapshot();
    if (tree->tree->is_set_aside()) continue;
    const auto format = tree->format();
    std::vector<ComputedEntry> computed;
    if (op == UndoOp::kUpdate) {
      std::vector<ColumnNumber> columns;
      std::vector<Cell> before;
      if (!read_undo_update(
              payload, *format,
              [&](ColumnNumber c, const Cell& cell) {
                columns.push_back(c);
                before.push_back(cell);
              },
              &computed)) {
        throw damaged_snapshot();
      }
      recover_update(table, row, columns, before, computed, true);
    } else {
      read_undo_other(payload, &computed);
      if (op == UndoOp::kBulk) {
        Arena arena(1024);
        std::vector<Cell> cells;
        bool tombstone = false;
        for (std::uint64_t i = 0; i < kBlockRows; ++i) {
          const RowId at{row.raw() + i};
          bool found = false;
          const auto status = find_row(*tree, *format, at, &cells, arena, &found, &tombstone);
          if (!set_aside(status, table, at, LeftOut::kRemoval)) check_recovery(status, "reading a row");
          if (found) recover_remove(table, at, {});
          arena.reset();
        }
      } else if (op == UndoOp::kInsert) {
        recover_remove(table, row, computed);
      } else {
        recover_tombstone(table, row);
      }
    }
    if (table == kLayoutTable) layout_row_changed(row);
  }
  if (!in.ok()) throw damaged_snapshot();
}

// --- Layouts ---

/// The built-in table's row has a new image (or none).
void SystemParts::layout_row_changed(RowId row) {
  const auto tree = tree_state(kLayoutTable);
  const auto format = tree->format();
  Arena arena(1024);
  std::vector<Cell> cells;
  bool found = false, tombstone = false;
  check_recovery(find_row(*tree, *format, row, &cells, arena, &found, &tombstone), "reading a row");
  found = found && !tombstone;
  std::pair<Oid, Oid> key{};
  if (found) {
    key = {cells[0].value.u32, cells[1].value.u32};
    layout_rows[key] = row.raw();
  } else {
    for (const auto& [k, r] : layout_rows)
      if (r == row.raw()) key = k;
    layout_rows.erase(key);
    layout_changed(key.first, key.second, nullptr);
    return;
  }
  std::string bytes;
  if (cells[2].kind == CellKind::kOverflow) {
    const auto ref = cells[2].overflow_ref();
    bytes.resize(ref.bytes);
    storage::OverflowRead read(ref, bytes.data());
    check_recovery(storage::run_blocking([&] { return read.run(buffer()); }), "reading a layout");
  } else {
    bytes = cells[2].value.str.view();
  }
  auto layout = std::make_shared<storage::TableLayout>();
  if (!storage::TableLayout::deserialize(as_bytes(bytes), layout.get())) {
    throw error(sqlstate::kDataCorrupted, "the layout of relation {} is damaged", key.second);
  }
  layout_changed(key.first, key.second, layout);
}

void SystemParts::layout_changed(Oid database, Oid relation,
                                 std::shared_ptr<const storage::TableLayout> layout) {
  const auto found = layouts.find({database, relation});
  const auto before = found != layouts.end() ? found->second : nullptr;
  if (layout != nullptr) {
    raise_object_id(relation);
    raise_object_id(layout->table.raw());
    for (const auto& index : layout->indexes) raise_object_id(index.id.raw());
    const bool altered = before != nullptr && before->table == layout->table;
    if (altered &&
        open_done) {  // in replay: an index that is new to an existing table is built from its rows
      for (const auto& index : layout->indexes) {
        if (before->find_index(index.id) != nullptr) continue;
        if (auto old = index_tree(index.id)) {  // the beginning of a build that the checkpoint has seen
          forget_trees(*layout, before.get());
          while (drop_step()) {}
        }
      }
    }
    if (altered && layout->schema_version < before->schema_version) {
      const storage::RowFormat from(before), to(layout);
      RowId position{1};
      const auto status = storage::run_blocking(
          [&] { return tree_state(layout->table)->tree->downgrade_leaves(from, to, &position); });
      if (!set_aside(status, layout->table, position, LeftOut::kNoRow))
        check_recovery(status, "undoing ALTER TABLE");
    }
    check_recovery(storage::run_blocking([&] { return make_trees(layout); }), "making a table");
    set_newest(layout);
    keep_set_aside(*layout);
    if (altered && open_done) {
      const auto format = tree_state(layout->table)->format();
      for (const IndexPart& part : format->indexes)
        if (before->find_index(part.layout->id) == nullptr) recover_build_index(*format, part, false);
    }
  }
  publish_layout(database, relation, layout);
}

void SystemParts::recover_build_index(const TableFormat& format, const IndexPart& part, bool anew) {
  if (part.computed) return;  // its entries follow as events of the DDL batch
  RowId next{1};
  for (bool end = false; !end;) {
    std::vector<std::pair<Bytes, RowId>> entries;
    const auto status =
        storage::run_blocking([&] { return entries_of_leaf(format, part, &next, &end, &entries); });
    if (anew && status.outcome == storage::Outcome::kDamaged && !options.examine) {
      set_index_aside(part.layout->id, status.page);
      return;
    }
    if (set_aside(status, format.layout->table, next, LeftOut::kNoRow)) {
      if (tree_state(format.layout->table)->tree->is_set_aside()) return;
      std::lock_guard lock(damage_mutex);
      partly_built_indexes.insert(part.layout->id);
      damaged_indexes.insert(part.layout->id);
      any_damaged_index.store(true, std::memory_order_relaxed);
      return;
    }
    check_recovery(status, "reading a table for an index");
    for (const auto& [key, row] : entries) recover_entry(part, key, row, true);
  }
}

/// Entries of the rows of the leaf that covers `*next`, which goes to the leaf behind.
storage::Status SystemParts::entries_of_leaf(const TableFormat& format, const IndexPart& part, RowId* next,
                                             bool* end, std::vector<std::pair<Bytes, RowId>>* entries) {
  entries->clear();
  const auto pin = epochs().pin();
  storage::SharedGuard leaf;
  if (auto s = tree_state(format.layout->table)->tree->fix_leaf(*next, &leaf); !s) return s;
  LeafView view;
  if (!LeafView::open(leaf.data(), format.rows, &view)) return storage::Status::damaged(leaf.page_id());
  std::vector<Cell> row(format.phys.size());
  Arena arena(4096);
  for (std::uint32_t slot = view.lower_bound(*next); slot < view.rows(); ++slot) {
    if (view.tombstone(slot)) continue;
    if (!view.row(slot, row)) return storage::Status::damaged(leaf.page_id());
    if (auto s = load_key_cells(format, &row, arena); !s) return s;
    Bytes key;
    bool null = false;
    append_entry_key(format, *part.layout, row, arena, key, &null);
    entries->emplace_back(std::move(key), view.rowid(slot));
  }
  *end = view.high_fence() == storage::kNoHighFence;
  if (!*end) *next = RowId{view.high_fence()};
  return {};
}

void SystemParts::load_layouts() {
  const auto tree = tree_state(kLayoutTable);
  const auto format = tree->format();
  std::vector<RowId> rows;
  RowId next{1};
  for (bool end = false; !end;) {
    check_recovery(storage::run_blocking([&]() -> storage::Status {
                     const auto pin = epochs().pin();
                     storage::SharedGuard leaf;
                     if (auto s = tree->tree->fix_leaf(next, &leaf); !s) return s;
                     LeafView view;
                     if (!LeafView::open(leaf.data(), format->rows, &view))
                       return storage::Status::damaged(leaf.page_id());
                     for (std::uint32_t slot = view.lower_bound(next); slot < view.rows(); ++slot)
                       if (!view.tombstone(slot)) rows.push_back(view.rowid(slot));
                     end = view.high_fence() == storage::kNoHighFence;
                     if (!end) next = RowId{view.high_fence()};
                     return {};
                   }),
                   "reading the layouts");
  }
  for (const RowId row : rows) examined([&] { layout_row_changed(row); });
}

// --- Start and end ---

void SystemParts::bootstrap() {
  layout_table = layout_table_layout();
  check_recovery(storage::run_blocking([&] { return make_trees(layout_table); }),
                 "making the built-in table");
  set_newest(layout_table);
}

/// Frees trees that no layout names, sets the row counters.
void SystemParts::finish_recovery() {
  std::unordered_map<std::uint32_t, bool> named{{kLayoutTable.raw(), true}, {kLayoutIndex.raw(), true}};
  for (const auto& [key, layout] : layouts) {
    named[layout->table.raw()] = true;
    for (const auto& index : layout->indexes) named[index.id.raw()] = true;
  }
  std::erase_if(sequences, [&](const auto& s) { return !named.contains(s.first.raw()); });  // never committed
  const auto give_up = [&](std::uint32_t id, PageId root, bool unlinked) {
    auto page = buffer().fix_shared(root);
    if (!page) return;
    const auto kind = page->header().kind;
    page->release();
    DroppedTree tree{id,      kind == storage::PageKind::kIndexInner || kind == storage::PageKind::kIndexLeaf,
                     nullptr, nullptr,
                     nullptr, unlinked};
    if (tree.is_index) {
      tree.index = std::make_shared<storage::IndexTree>(buffer(), IndexId{id}, root);
    } else {
      tree.tree = std::make_shared<TreeState>();
      tree.tree->id = TableId{id};
      tree.tree->tree = std::make_unique<storage::TableTree>(buffer(), TableId{id}, root);
      if (const auto known = trees.find(TableId{id}); known != trees.end())
        tree.format = known->second->format();
      if (const auto known = dropped_formats.find(TableId{id});
          tree.format == nullptr && known != dropped_formats.end()) {
        tree.format = known->second;
      }
    }
    std::lock_guard lock(drop_mutex);
    dropped.push_back(std::move(tree));
  };
  for (const auto& entry : storage->roots().list()) {
    if (!named.contains(entry.id)) {
      raise_object_id(entry.id);
      give_up(entry.id, PageId{entry.root_page}, false);
    }
  }
  for (const auto& entry : storage->pending().list()) {
    if (entry.kind != storage::PendingKind::kTableTree && entry.kind != storage::PendingKind::kIndexTree)
      continue;
    auto page = buffer().fix_shared(entry.first_page);
    if (!page) {
      if (page.status == storage::FixStatus::kDamaged && !may_be_sound(entry.first_page)) {
        const Action action(gate());
        buffer().note_freed_unread();  // what only it led to stays lost, until check --repair
        buffer().free_unread(entry.first_page);
      }
      continue;
    }
    const std::uint32_t owner = page->header().owner;
    page->release();
    give_up(owner, entry.first_page, true);
  }
  {
    std::unique_lock lock(tables_mutex);
    for (const auto& d : dropped) {
      if (!named.contains(d.id)) trees.erase(TableId{d.id});
      if (!named.contains(d.id)) index_trees.erase(IndexId{d.id});  // else it was built anew
    }
  }
  {
    std::lock_guard lock(damage_mutex);
    std::erase_if(trees_set_aside, [&](const auto& entry) { return !named.contains(entry.first); });
  }
  std::vector<std::shared_ptr<TreeState>> all;
  for (const auto& [id, tree] : trees) all.push_back(tree);
  for (const auto& tree : all) {
    if (tree->format() == nullptr) continue;
    // A damaged page is met again by the statements that need it; the row counter is also in the checkpoint.
    if (!find_next_row(*tree)) {
      if (options.log_line)
        options.log_line.warning(
            fmt::format("table {} has a damaged page; the other tables are not affected", tree->id.raw()));
      continue;
    }
    // An estimate: leaves times the rows of the first one.
    std::vector<storage::LeafRange> leaves;
    RowId next{1};
    for (int rounds = 0; rounds < 64 && !next.is_none(); ++rounds) {
      RowId after;
      const auto status =
          storage::run_blocking([&] { return tree->tree->leaves_from(next, 4096, &leaves, &after); });
      next = status ? after : RowId{};
    }
    std::uint32_t in_first = 0;
    const auto format = tree->format();
    static_cast<void>(storage::run_blocking([&]() -> storage::Status {
      const auto pin = epochs().pin();
      storage::SharedGuard leaf;
      if (auto s = tree->tree->fix_leaf(RowId{1}, &leaf); !s) return s;
      LeafView view;
      if (LeafView::open(leaf.data(), format->rows, &view)) in_first = view.rows();
      return {};
    }));
    tree->live_rows.store(static_cast<std::int64_t>(in_first) *
                          static_cast<std::int64_t>(std::max<std::size_t>(1, leaves.size())));
  }
}

void SystemParts::open_all() {
  const std::int64_t began = environment.clock->monotonic_us();
  storage::StorageOptions storage_options;
  storage_options.log_segment_bytes = options.log_segment_bytes;
  storage_options.encryption = options.encryption;
  storage_options.log = options.log_line;
  storage_options.metrics = registry;
  storage_options.freed_unread =
      options.freed_unread != nullptr
          ? options.freed_unread
          : &registry->counter(
                "rustbd_pages_freed_unread_total",
                "Pages that were freed although they could not be read: what only they refer to "
                "stays in use until check --repair");
  storage_options.buffer_bytes = options.buffer_bytes;
  storage_options.compression = options.page_compression;
  storage_options.eviction_policy = options.eviction_policy;
  storage_options.write_strategy = options.write_strategy;
  storage_options.direct_io = options.direct_io;
  storage_options.take_lock = options.replay_log;
  storage_options.checkpoint_interval_us =
      options.background ? static_cast<std::int64_t>(options.checkpoint_interval_us) : 0;
  storage_options.relocation_bytes_per_second = options.relocation_bytes_per_second;
  if (options.data_grow_bytes != 0) storage_options.grow_bytes = options.data_grow_bytes;
  storage_options.fatal = [this](std::string_view why) { options.on_fatal(why); };
  // The log begins after the superblock was durable: with a log, what looks like no database was one.
  const auto segments = log::list_segments(*environment.disk, "wal");
  storage_options.create = !segments || segments->empty();
  try {
    storage = storage::Storage::open(environment, storage_options, *this);
  } catch (const Error& e) {
    if (storage_options.create || e.state != sqlstate::kUndefinedFile) throw;
    throw error(sqlstate::kDataCorrupted, "there is a log, but {} holds no copy of the superblock",
                storage::kDataFileName);
  }
  const auto state = storage->state();
  last_ts = std::max<std::uint64_t>(1, state.positions.commit_ts.raw());
  next_txid.store(std::max<std::uint64_t>(1, state.positions.next_txid.raw()));
  next_object.store(std::max(kFirstObjectId, state.positions.next_object_id));
  catalog_version.store(std::max<std::uint64_t>(1, state.positions.catalog_version));
  created = state.positions.lsn.is_none();
  bootstrap();
  load_layouts();
  storage->deliver_undo_snapshot();
  examined([&] { settle_owed_rows(); });
  replay();
  published_ts.store(last_ts);
  horizon.store(last_ts);
  rebuild_damaged_indexes();
  finish_recovery();
  if (!layouts.empty()) created = false;
  last_checkpoint_lsn.store(log->tail().raw());
  recovery_seconds = static_cast<double>(environment.clock->monotonic_us() - began) * 1e-6;
}

}  // namespace rustbd::txn
