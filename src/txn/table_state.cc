// Trees, formats and layouts in memory: made from the root map and the layout rows.
#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

using storage::Action;

std::uint32_t SnapshotRegistry::claim(std::uint32_t hint) {
  for (std::uint32_t tries = 0;; ++tries) {
    RUSTBD_ASSERT(tries < 4 * kSlots, "more snapshots at once than slots");
    const std::uint32_t slot = 1 + (hint + tries) % (tries < 64 ? 63 : kSlots - 1);
    std::uint64_t expected = kFree;
    if (slots_[slot].ts.load(std::memory_order_relaxed) != kFree) continue;
    std::uint32_t bound = bound_.load(std::memory_order_seq_cst);
    while (bound <= slot && !bound_.compare_exchange_weak(bound, slot + 1, std::memory_order_seq_cst)) {}
    if (slots_[slot].ts.compare_exchange_strong(expected, kAcquiring, std::memory_order_seq_cst)) return slot;
  }
}

Outcome to_outcome(const storage::Status& status, bool* restart, TableId table) {
  *restart = false;
  Outcome out;
  switch (status.outcome) {
    case storage::Outcome::kOk: break;
    case storage::Outcome::kMiss:
      *restart = !status.wait;
      out = Outcome::blocked_on(status.wait);
      break;
    case storage::Outcome::kRestart:
    case storage::Outcome::kFull: *restart = true; break;
    case storage::Outcome::kNoSpace: out.status = Status::kNoSpace; break;
    case storage::Outcome::kNoFrame: out.status = Status::kNoMemory; break;
    case storage::Outcome::kStopped: out.status = Status::kReadOnly; break;
    case storage::Outcome::kDamaged:
      out.status = Status::kDamaged;
      out.page = status.page;
      out.owner = status.owner != 0 ? status.owner : table.raw();
      break;
    case storage::Outcome::kTooLarge: out.status = Status::kTooLarge; break;
  }
  return out;
}

std::shared_ptr<TreeState> SystemParts::tree_state(TableId id) {
  {
    std::shared_lock lock(tables_mutex);
    if (const auto at = trees.find(id); at != trees.end()) return at->second;
  }
  const PageId root = storage->roots().get(id.raw());
  if (root.is_none()) return nullptr;
  std::unique_lock lock(tables_mutex);
  auto& state = trees[id];
  if (state == nullptr) {
    state = std::make_shared<TreeState>();
    state->id = id;
    state->tree = std::make_unique<storage::TableTree>(buffer(), id, root);
  }
  return state;
}

std::shared_ptr<storage::IndexTree> SystemParts::index_tree(IndexId id) {
  {
    std::shared_lock lock(tables_mutex);
    if (const auto at = index_trees.find(id); at != index_trees.end()) return at->second;
  }
  const PageId root = storage->roots().get(id.raw());
  if (root.is_none()) return nullptr;
  std::unique_lock lock(tables_mutex);
  auto& tree = index_trees[id];
  if (tree == nullptr) tree = std::make_shared<storage::IndexTree>(buffer(), id, root);
  return tree;
}

bool SystemParts::is_index(std::uint32_t id) const {
  std::shared_lock lock(tables_mutex);
  return index_trees.contains(IndexId{id});
}

std::vector<std::shared_ptr<const storage::TableLayout>> SystemParts::all_layouts() const {
  std::vector<std::shared_ptr<const storage::TableLayout>> all{layout_table};
  for (const auto& [key, layout] : layouts) all.push_back(layout);
  return all;
}

std::shared_ptr<const TableFormat> SystemParts::format_of(
    const std::shared_ptr<const storage::TableLayout>& layout) {
  const auto state = tree_state(layout->table);
  RUSTBD_ASSERT(state != nullptr, "a layout's table has a tree");
  return format_of(layout, *state);
}

std::shared_ptr<const TableFormat> SystemParts::format_of(
    const std::shared_ptr<const storage::TableLayout>& layout, TreeState& state) {
  {
    std::lock_guard lock(state.mutex);
    if (state.newest != nullptr && state.newest->layout == layout) return state.newest;
  }
  auto format = std::make_shared<TableFormat>(layout);
  for (IndexPart& part : format->indexes) {
    part.tree = index_tree(part.layout->id);
    RUSTBD_ASSERT(part.tree != nullptr, "a layout's index has a tree");
  }
  std::lock_guard lock(state.mutex);
  if (state.newest == nullptr) state.newest = state.upkeep = format;
  return format;
}

namespace {
/// The same rows with more indexes.
std::shared_ptr<const TableFormat> with_indexes(const TableFormat& format,
                                                const std::vector<IndexPart>& more) {
  auto layout = std::make_shared<storage::TableLayout>(*format.layout);
  for (const IndexPart& part : more) layout->indexes.push_back(*part.layout);
  std::sort(layout->indexes.begin(), layout->indexes.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  auto out = std::make_shared<TableFormat>(layout);
  for (IndexPart& part : out->indexes) {
    for (const auto* known : {&format.indexes, &more})
      for (const IndexPart& from : *known)
        if (from.layout->id == part.layout->id) part.tree = from.tree;
  }
  return out;
}
}  // namespace

void SystemParts::set_newest(const std::shared_ptr<const storage::TableLayout>& layout, Lacking lacking) {
  const auto state = tree_state(layout->table);
  if (state == nullptr) return;
  const auto format = format_of(layout);
  std::lock_guard lock(state->mutex);
  std::vector<IndexPart> more;
  if (lacking != Lacking::kGone && state->upkeep != nullptr) {
    for (const IndexPart& part : state->upkeep->indexes) {
      const IndexId id = part.layout->id;
      if (layout->find_index(id) != nullptr) continue;
      if (lacking == Lacking::kUndone && state->newest->layout->find_index(id) != nullptr) continue;
      more.push_back(part);
    }
  }
  state->upkeep = more.empty() ? format : with_indexes(*format, more);
  state->newest = format;
}

namespace {

/// One action: a new empty tree and its entry in the root map.
template <class Create>
storage::Status make_root(SystemParts& parts, std::uint32_t id, Create&& create) {
  const Action action(parts.gate());
  storage::ExclusiveGuard root;
  if (auto status = create(&root); !status) return status;
  const auto entered = parts.storage->roots().try_set(id, root.page_id());
  if (entered) return {};
  parts.buffer().free(std::move(root));
  if (entered.status == storage::RootStatus::kNoSpace) return {storage::Outcome::kNoSpace, {}, {}};
  return entered.wait ? storage::Status::miss(entered.wait) : storage::Status::restart();
}

template <class Operation>
storage::Status without_restarts(Operation&& operation) {
  for (;;) {
    storage::Status status = operation();
    if (status.outcome == storage::Outcome::kRestart) continue;
    if (status.outcome == storage::Outcome::kMiss && !status.wait) continue;
    return status;
  }
}

}  // namespace

storage::Status SystemParts::make_trees(const std::shared_ptr<const storage::TableLayout>& layout) {
  if (storage->roots().get(layout->table.raw()).is_none()) {
    const storage::RowFormat format(layout);
    auto status = without_restarts([&] {
      return make_root(*this, layout->table.raw(), [&](storage::ExclusiveGuard* root) {
        return storage::TableTree::create(buffer(), layout->table, format, root);
      });
    });
    if (!status) return status;
  }
  for (const auto& index : layout->indexes) {
    if (!storage->roots().get(index.id.raw()).is_none()) continue;
    auto status = without_restarts([&] {
      return make_root(*this, index.id.raw(), [&](storage::ExclusiveGuard* root) {
        return storage::IndexTree::create(buffer(), index.id, root);
      });
    });
    if (!status) return status;
  }
  return {};
}

/// Gives the trees of `layout` that `kept` does not name to the collector.
void SystemParts::forget_trees(const storage::TableLayout& layout, const storage::TableLayout* kept) {
  std::vector<DroppedTree> gone;
  for (const auto& index : layout.indexes) {
    if (kept != nullptr && kept->find_index(index.id) != nullptr) continue;
    gone.push_back({index.id.raw(), true, nullptr, nullptr, index_tree(index.id)});
  }
  if (kept == nullptr || kept->table != layout.table) {
    const auto state = tree_state(layout.table);
    if (state != nullptr) {
      state->dropped.store(true, std::memory_order_release);
      gone.push_back({layout.table.raw(), false, state->format(), state, nullptr});
    }
  }
  {
    std::lock_guard lock(damage_mutex);
    for (const auto& g : gone) {
      trees_set_aside.erase(g.id);
      if (!g.is_index) owed_rows.erase(TableId{g.id});
      else if (const auto owed = owed_rows.find(layout.table); owed != owed_rows.end())
        std::erase_if(owed->second, [&](const OwedRow& row) { return row.index == IndexId{g.id}; });
    }
  }
  {
    std::unique_lock lock(tables_mutex);
    for (const auto& g : gone) {
      if (g.is_index) index_trees.erase(IndexId{g.id});
      else trees.erase(TableId{g.id});
    }
  }
  {
    std::lock_guard lock(drop_mutex);
    for (auto& g : gone) {
      if (!g.is_index && g.format != nullptr) dropped_formats[TableId{g.id}] = g.format;
      dropped.push_back(std::move(g));
    }
  }
  if (layout.is_sequence && (kept == nullptr || kept->table != layout.table)) {
    std::lock_guard lock(sequence_mutex);
    sequences.erase(layout.table);
  }
  wake_collector();
}

/// The format of a table's rows, of a dropped one too; nullptr: not known.
std::shared_ptr<const TableFormat> SystemParts::format_for_chains(TableId table) {
  {
    std::lock_guard lock(drop_mutex);
    if (const auto at = dropped_formats.find(table); at != dropped_formats.end()) return at->second;
  }
  const auto tree = tree_state(table);
  return tree != nullptr ? tree->format() : nullptr;
}

void SystemParts::publish_layout(Oid database, Oid relation,
                                 std::shared_ptr<const storage::TableLayout> layout) {
  std::unique_lock lock(tables_mutex);
  auto& place = layouts[{database, relation}];
  if (place != nullptr && (layout == nullptr || layout->table != place->table)) by_table.erase(place->table);
  if (layout == nullptr) {
    layouts.erase({database, relation});
    return;
  }
  by_table[layout->table] = layout;
  place = std::move(layout);
}

bool SystemParts::drop_step() {
  // One at a time: the collector's thread, VACUUM and the end of a DROP all come here.
  const std::unique_lock turn(dropping, std::try_to_lock);
  return turn && free_front_tree();
}

bool SystemParts::free_front_tree() {
  DroppedTree tree;
  {
    std::lock_guard lock(drop_mutex);
    if (dropped.empty()) return false;
    tree = dropped.front();
  }
  const PageId root = tree.is_index ? (tree.index != nullptr ? tree.index->root() : PageId{})
                                    : (tree.tree != nullptr ? tree.tree->tree->root() : PageId{});
  bool done = root.is_none();
  if (!done && !tree.unlinked) {
    // The root leaves the map and goes on the list of pages pending free, in one action.
    for (;;) {
      io::WaitToken wait;
      {
        const Action action(gate());
        // A checkpoint in the middle may carry the tree as one that is still there, and reads what is to be
        // purged from it.
        if (snapshot_pending.load(std::memory_order_acquire)) return false;
        const auto erased = storage->roots().try_erase(tree.id);
        if (erased) {
          storage->pending().add(
              root, tree.is_index ? storage::PendingKind::kIndexTree : storage::PendingKind::kTableTree);
          break;
        }
        if (erased.status == storage::RootStatus::kNoSpace) return false;
        wait = erased.wait;
      }
      wait.wait_blocking();
    }
    std::lock_guard lock(drop_mutex);
    dropped.front().unlinked = true;
  }
  std::vector<storage::OverflowRef> chains;
  bool later = false;  // there is no frame
  for (int steps = 0; !done && !later && steps < 64; ++steps) {
    const auto status = storage::run_blocking([&] {
      if (tree.is_index) return tree.index->free_step(&done);
      const auto format = tree.format;
      return tree.tree->tree->free_step(format != nullptr ? &format->rows : nullptr, &storage->pending(),
                                        &done, &chains);
    });
    later = status.outcome == storage::Outcome::kNoFrame;
    if (!status && !later) {
      done = true;  // damaged: what is left stays lost, and `check` says so
      buffer().note_freed_unread();
    }
  }
  if (!chains.empty()) {
    const auto by_page = [](const auto& a, const auto& b) { return a.first < b.first; };
    std::sort(chains.begin(), chains.end(), by_page);
    chains.erase(std::unique(chains.begin(), chains.end(),
                             [](const auto& a, const auto& b) { return a.first == b.first; }),
                 chains.end());
    std::lock_guard lock(queue_mutex);
    unused_chains.insert(unused_chains.end(), chains.begin(), chains.end());
  }
  if (done) {
    std::lock_guard lock(drop_mutex);
    dropped.pop_front();
  }
  return !later;
}

/// Sets next_row above every row id in the tree. Blocks.
bool SystemParts::find_next_row(TreeState& state) {
  const auto format = state.format();
  std::uint64_t last = 0;
  const auto status = storage::run_blocking([&]() -> storage::Status {
    const auto pin = epochs().pin();
    storage::SharedGuard leaf;
    if (auto s = state.tree->fix_leaf(RowId{~std::uint64_t{0} >> 1}, &leaf); !s) return s;
    storage::LeafView view;
    if (!storage::LeafView::open(leaf.data(), format->rows, &view))
      return storage::Status::damaged(leaf.page_id());
    last = view.rows() == 0 ? view.base_rowid() : view.rowid(view.rows() - 1).raw();
    return {};
  });
  if (!status) return false;
  state.raise_next_row(RowId{last});
  return true;
}

void SystemParts::raise_object_id(std::uint32_t seen) {
  std::uint32_t now = next_object.load(std::memory_order_relaxed);
  while (now <= seen && !next_object.compare_exchange_weak(now, seen + 1)) {}
}

}  // namespace rustbd::txn
