// Pages that cannot be read: what recovery leaves out for the moment, what it makes anew at the end, and what
// is set aside, by it or by a rollback; what collection could not purge for them (decisions 042, 045 to 047).
#include <fmt/format.h>

#include "rustbd/base/error.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

using storage::Action;

void SystemParts::recover_entry(const IndexPart& part, ByteSpan key, RowId row, bool present) {
  const IndexId id = part.layout->id;
  if (part.tree->is_set_aside()) return;
  if (any_damaged_index.load(std::memory_order_relaxed)) {
    std::lock_guard lock(damage_mutex);
    if (damaged_indexes.contains(id)) return;
  }
  const auto status = storage::run_blocking(
      [&] { return present ? part.tree->insert(key, row) : part.tree->remove(key, row); });
  const bool damaged = status.outcome == storage::Outcome::kDamaged && !options.examine;
  if (damaged && !part.computed) {
    std::lock_guard lock(damage_mutex);
    damaged_indexes.insert(id);
    any_damaged_index.store(true, std::memory_order_relaxed);
  } else if (damaged && !may_be_sound(status.page)) {
    set_index_aside(id, status.page);  // its keys are a caller's to compute: REINDEX
  } else {
    check_recovery(status, present ? "writing an index entry" : "removing an index entry");
  }
}

// --- Leaves of tables ---

bool SystemParts::set_aside(const storage::Status& status, TableId table, RowId row, LeftOut what) {
  if (status.outcome != storage::Outcome::kDamaged || options.examine || table == kLayoutTable) return false;
  if (may_be_sound(status.page)) return false;  // the next start may find it sound
  DamagedLeaf found{.table = table, .place = {}, .needed = true, .absent = {}, .present = {}};
  const auto tree = tree_state(table);
  const auto placed = storage::run_blocking([&] { return tree->tree->place_of(row, &found.place); });
  if (leaves_are_final || !placed || found.place.page != status.page ||
      buffer().fix_shared(status.page).status != storage::FixStatus::kDamaged) {
    set_table_aside(table, status.page);
    return true;
  }
  std::lock_guard lock(damage_mutex);
  auto known = std::ranges::find_if(damaged_leaves, [&](const DamagedLeaf& leaf) {
    return leaf.table == table && leaf.place.page == status.page;
  });
  if (known == damaged_leaves.end()) known = damaged_leaves.insert(known, std::move(found));
  known->needed = true;
  // The last one counts: what was running at the checkpoint is taken back first, and its commit replayed.
  if (what == LeftOut::kRemoval) {
    known->present.erase(row.raw());
    known->absent.insert(row.raw());
  } else if (what == LeftOut::kWrite) {
    known->absent.erase(row.raw());
    known->present.insert(row.raw());
  }
  return true;
}

/// With Options::repair: all pages of the table are looked at. False: it cannot be read, and not for a leaf
/// alone.
bool SystemParts::find_damaged_leaves(TreeState& state) {
  const auto format = state.format();
  for (RowId next{1}; !next.is_none();) {
    std::uint64_t end = storage::kNoHighFence;
    const auto status = storage::run_blocking([&]() -> storage::Status {
      storage::SharedGuard leaf;
      if (auto s = state.tree->fix_leaf(next, &leaf); !s) return s;
      storage::LeafView view;
      if (!storage::LeafView::open(leaf.data(), format->rows, &view))
        return storage::Status::damaged(leaf.page_id());
      end = view.high_fence();
      return {};
    });
    if (!status) {
      DamagedLeaf found{.table = state.id, .place = {}, .needed = false, .absent = {}, .present = {}};
      const auto placed = storage::run_blocking([&] { return state.tree->place_of(next, &found.place); });
      if (!placed || found.place.page != status.page) return false;
      end = found.place.high;
      const bool known = std::ranges::any_of(
          damaged_leaves, [&](const DamagedLeaf& leaf) { return leaf.place.page == status.page; });
      if (!known) damaged_leaves.push_back(std::move(found));
    }
    next = end == storage::kNoHighFence ? RowId{} : RowId{end};
  }
  return true;
}

void SystemParts::rebuild_damaged_leaves(Lsn end) {
  std::set<TableId> unreadable;
  if (options.repair) {
    for (const auto& [key, layout] : layouts)
      if (!find_damaged_leaves(*tree_state(layout->table))) unreadable.insert(layout->table);
  }
  std::map<PageId, bool> needed;
  for (const auto& leaf : damaged_leaves) needed[leaf.place.page] = leaf.needed;
  leaves_are_final = true;
  if (!damaged_leaves.empty()) {
    for (auto& repair : LeafRebuild(*this, std::exchange(damaged_leaves, {}), end).run()) {
      const bool changed = needed[repair.page];
      const bool made = repair.why_not.empty();
      if (options.log_line) {
        options.log_line.warning(
            fmt::format("page {} of table {} {}", repair.page.raw(), repair.table.raw(), repair.what()));
      }
      if (made) renew_indexes(repair.table, repair.page);
      else if (changed) set_table_aside(repair.table, repair.page);
      if (!made) unreadable.insert(repair.table);
      leaf_repairs.push_back(std::move(repair));
    }
  }
  if (options.repair) find_damaged_indexes(unreadable);
}

/// Of a table of which a leaf was made anew: what recovery has left out of the leaf it has left out of them
/// too, and so has collection in an earlier life, which could not read the leaf.
void SystemParts::renew_indexes(TableId table, PageId page) {
  owed_rows.erase(table);
  const auto format = tree_state(table)->format();
  for (const IndexPart& part : format->indexes) {
    if (part.computed) set_index_aside(part.layout->id, page);
    else damaged_indexes.insert(part.layout->id);
  }
}

/// With Options::repair: those that can be built anew from the rows of their tables; by REINDEX where only a
/// session can compute their keys.
void SystemParts::find_damaged_indexes(const std::set<TableId>& unreadable) {
  for (const auto& layout : all_layouts()) {
    if (unreadable.contains(layout->table)) continue;
    const auto format = tree_state(layout->table)->format();
    for (const IndexPart& part : format->indexes)
      if (!part.tree->is_set_aside() && !part.tree->check().problems.empty()) {
        if (part.computed) set_index_aside(part.layout->id, part.tree->root());
        else damaged_indexes.insert(part.layout->id);
      }
  }
}

// --- What nobody may use any more ---

void SystemParts::set_table_aside(TableId table, PageId page) {
  const auto state = tree_state(table);
  if (state == nullptr) return;
  {
    std::lock_guard lock(damage_mutex);
    if (!trees_set_aside.try_emplace(table.raw(), page).second) return;
  }
  apply_set_aside(*state, page);
}

void SystemParts::apply_set_aside(TreeState& state, PageId page) {
  if (options.log_line && !state.tree->is_set_aside())
    options.log_line.warning(
        fmt::format("page {} of table {} is damaged, and changes of it had to be left out: the table is set "
                    "aside until it is dropped, truncated or restored",
                    page.raw(), state.id.raw()));
  state.tree->set_aside(page, state.id.raw());
  if (const auto format = state.upkeep_format())
    for (const IndexPart& part : format->indexes) part.tree->set_aside(page, state.id.raw());
}

bool SystemParts::set_index_aside(IndexId index, PageId page) {
  {
    std::lock_guard lock(damage_mutex);
    if (!trees_set_aside.try_emplace(index.raw(), page).second) return false;
  }
  if (const auto tree = index_tree(index)) tree->set_aside(page, index.raw());
  if (options.log_line)
    options.log_line.warning(fmt::format(
        "page {} of index {} is damaged, and changes of it had to be left out: {} makes it usable again",
        page.raw(), index.raw(), index == kLayoutIndex ? "the next start" : "REINDEX"));
  return true;
}

/// The layout may come only with the undo of a DROP that was running at the checkpoint.
void SystemParts::restore_set_aside(std::uint32_t tree, PageId page) {
  {
    std::lock_guard lock(damage_mutex);
    trees_set_aside[tree] = page;
  }
  for (const auto& layout : all_layouts()) keep_set_aside(*layout);
}

/// A layout that recovery has just learnt of. An index that came later has the rows of its table as little as
/// the others; one that was set aside itself is built anew in the end, if recovery can make its keys.
void SystemParts::keep_set_aside(const storage::TableLayout& layout) {
  const auto page_of = [&](std::uint32_t tree) {
    const auto known = trees_set_aside.find(tree);
    return known != trees_set_aside.end() ? known->second : PageId{};
  };
  const auto state = tree_state(layout.table);
  std::unique_lock lock(damage_mutex);
  const auto format = state->format();
  for (const IndexPart& part : format->indexes) {
    const IndexId id = part.layout->id;
    const PageId page = page_of(id.raw());
    if (page.is_none()) continue;
    if (part.computed || options.examine) {
      part.tree->set_aside(page, id.raw());
    } else {
      trees_set_aside.erase(id.raw());
      damaged_indexes.insert(id);
      any_damaged_index.store(true, std::memory_order_relaxed);
    }
  }
  const PageId page = page_of(layout.table.raw());
  lock.unlock();
  if (!page.is_none()) apply_set_aside(*state, page);
}

bool SystemParts::give_up_undo(UndoRec& record, const storage::Status& status) {
  // The change can be taken back without an index that is set aside.
  if (is_index(status.owner) && set_index_aside(IndexId{status.owner}, status.page)) return true;
  // The next start would take a layout that nobody committed for the table's.
  if (TableId{record.table} == kLayoutTable) return false;
  set_table_aside(TableId{record.table}, status.page);
  const Action action(gate());
  if (record.op == UndoOp::kBulk) versions.clear_bulk(&record);
  else versions.pop(&record);
  record.undone_epoch.store(gate().epoch(), std::memory_order_release);
  return true;
}

// --- Rows that collection could not purge ---

void SystemParts::owe_row(TableId table, OwedRow owed, PageId page) {
  constexpr std::size_t kRowsMax = 20'000;  // of a table; a checkpoint copies them with the gate closed
  std::unique_lock lock(damage_mutex);
  std::set<OwedRow>& rows = owed_rows[table];
  const bool first = rows.empty();
  if (!owed.index.is_none() && rows.size() >= kRowsMax) {
    lock.unlock();
    set_index_aside(owed.index, page);
    return;
  }
  rows.insert(owed);
  if (first && options.log_line)
    options.log_line.warning(
        fmt::format("page {} cannot be read: what older versions of rows of table {} left in its indexes is "
                    "taken out by a start that can",
                    page.raw(), table.raw()));
}

void SystemParts::settle_owed_rows() {
  for (auto owed = owed_rows.begin(); owed != owed_rows.end();) {
    const auto state = tree_state(owed->first);
    const bool dropped = state == nullptr || state->format() == nullptr;
    if (!dropped && !state->tree->is_set_aside()) settle_owed_rows(*state, &owed->second);
    owed = dropped || owed->second.empty() ? owed_rows.erase(owed) : std::next(owed);
  }
}

void SystemParts::settle_owed_rows(TreeState& state, std::set<OwedRow>* rows) {
  const auto format = state.format();
  std::map<RowId, std::vector<Cell>> images;  // of the rows that can be read; empty: it is gone
  std::vector<RowId> deleted;
  Arena arena(4096);
  for (const OwedRow& owed : *rows) {
    if (images.contains(owed.row)) continue;
    bool found = false, tombstone = false;
    std::vector<Cell> cells;
    auto status = find_row(state, *format, owed.row, &cells, arena, &found, &tombstone);
    if (status.outcome == storage::Outcome::kDamaged) continue;  // still not
    check_recovery(status, "reading a row");
    if (found) status = storage::run_blocking([&] { return load_key_cells(*format, &cells, arena); });
    if (!status && !options.examine)  // its key is not known, so every entry of it counts
      for (const IndexPart& part : format->indexes) set_index_aside(part.layout->id, status.page);
    if (tombstone && status) deleted.push_back(owed.row);
    images[owed.row] = found && !tombstone && status ? std::move(cells) : std::vector<Cell>{};
  }
  for (const IndexPart& part : format->indexes) {
    const IndexId id = part.layout->id;
    const bool concerned = std::ranges::any_of(*rows, [&](const OwedRow& owed) {
      return (owed.index.is_none() || owed.index == id) && images.contains(owed.row);
    });
    if (!concerned || part.tree->is_set_aside()) continue;
    if (part.computed) {
      if (!options.examine) set_index_aside(id, part.tree->root());
      continue;
    }
    std::vector<std::pair<Bytes, RowId>> stale;
    Bytes present;
    const bool whole = storage::for_each_entry(*part.tree, [&](ByteSpan key, RowId row) {
      const auto image = images.find(row);
      if (image == images.end()) return;
      present.clear();
      bool null = false;
      if (!image->second.empty())
        append_entry_key(*format, *part.layout, image->second, arena, present, &null);
      if (as_chars(present) != as_chars(key)) stale.emplace_back(Bytes(key.begin(), key.end()), row);
    });
    for (const auto& [key, row] : stale) recover_entry(part, key, row, false);
    if (whole || options.examine) continue;
    std::lock_guard lock(damage_mutex);  // what stands behind its bad page would count as right
    damaged_indexes.insert(id);
    any_damaged_index.store(true, std::memory_order_relaxed);
  }
  for (const RowId row : deleted) recover_remove(state.id, row, {});
  std::erase_if(*rows, [&](const OwedRow& owed) { return images.contains(owed.row); });
}

// --- Indexes ---

/// Once all rows are in place: what recover_entry() has left out comes from them.
void SystemParts::rebuild_damaged_indexes() {
  const auto all = all_layouts();
  for (const auto& layout : all)  // of a table that is set aside no row can be read
    if (tree_state(layout->table)->tree->is_set_aside())
      for (const auto& index : layout->indexes) damaged_indexes.erase(index.id);
  for (const auto& layout : all) {
    bool any = false;
    for (const auto& index : layout->indexes) {
      if (!damaged_indexes.contains(index.id)) continue;
      if (options.log_line) {
        options.log_line.warning(fmt::format("index {} of table {} has a damaged page: building it anew",
                                             index.id.raw(), layout->table.raw()));
      }
      any = true;
      const PageId root = storage->roots().get(index.id.raw());
      for (io::WaitToken wait;; wait.wait_blocking()) {
        const Action action(gate());
        const auto erased = storage->roots().try_erase(index.id.raw());
        if (erased) {
          storage->pending().add(root, storage::PendingKind::kIndexTree);
          break;
        }
        if (erased.status == storage::RootStatus::kNoSpace)
          throw error(sqlstate::kDiskFull, "recovery: no space left (building an index)");
        wait = erased.wait;
      }
      std::unique_lock lock(tables_mutex);
      index_trees.erase(index.id);
    }
    if (!any) continue;
    check_recovery(storage::run_blocking([&] { return make_trees(layout); }), "making an index");
    const auto state = tree_state(layout->table);
    {
      std::lock_guard lock(state->mutex);
      state->newest = state->upkeep = nullptr;
    }
    set_newest(layout);
    const auto format = state->format();
    for (const IndexPart& part : format->indexes)
      if (damaged_indexes.erase(part.layout->id) != 0) {
        recover_build_index(*format, part, true);
        if (!part.tree->is_set_aside()) rebuilt_indexes.push_back(part.layout->id);
      }
  }
  damaged_indexes.clear();
}

}  // namespace rustbd::txn
