// Collection: cuts version chains at the horizon, takes away rows and index entries that nobody can see any
// more, frees undo memory, dropped trees and unused overflow chains (storage.md §4.7).
#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/row_writer.h"

namespace rustbd::txn {

using storage::LeafPage;
using storage::LeafView;

/// The row's leaf is latched by the caller, so neither the chain's head nor the row in place changes.
storage::Status SystemParts::old_keys(const TableFormat& format, const std::vector<IndexPart>& indexes,
                                      const UndoRec& record, const LeafView& leaf, std::uint64_t until,
                                      std::vector<OldKey>* out, bool* reachable) {
  *reachable = false;
  const RowId row{record.row};
  const ChainHead chain = versions.head(TableId{record.table}, row);
  const UndoRec* at = chain.head;
  while (at != nullptr && at != &record) at = at->older.load(std::memory_order_acquire);
  if (at == nullptr) return {};
  *reachable = true;
  const std::uint32_t slot = leaf.find(row);
  if (slot == storage::kNoSlot) return {};
  Arena arena(1024);
  std::vector<Cell> image(format.phys.size());
  if (!leaf.row(slot, image)) return storage::Status::damaged({});
  const auto full_key = [&](const IndexPart& part, Bytes& key) -> storage::Status {
    std::vector<Cell> cells = image;
    for (const auto& p : part.layout->parts) {
      Cell& cell = cells[p.column];
      if (cell.kind != CellKind::kOverflow) continue;
      const auto ref = cell.overflow_ref();
      char* to = static_cast<char*>(arena.allocate(ref.bytes + 1, 1));
      storage::OverflowRead read(ref, to);
      if (auto status = read.run(buffer()); !status) return status;
      cell = Cell::stored({to, ref.bytes});
    }
    bool null = false;
    append_entry_key(format, *part.layout, cells, arena, key, &null);
    return {};
  };
  std::vector<std::vector<Bytes>> newer(indexes.size());
  std::vector<ComputedEntry> computed;
  for (const UndoRec* r = chain.head;; r = r->older.load(std::memory_order_acquire)) {
    const std::uint64_t ts = r->owner->commit_ts.load(std::memory_order_acquire);
    const bool counts = until == kAborted || (ts != kRunning && ts <= until);
    for (std::size_t i = 0; i < indexes.size(); ++i) {
      if (indexes[i].computed || !counts) continue;
      newer[i].emplace_back();
      if (auto status = full_key(indexes[i], newer[i].back()); !status) return status;
    }
    Bytes scratch;
    ByteSpan payload;
    storage::Status status;
    if (!load_payload(*r, scratch, &payload, &status)) return status;
    computed.clear();
    if (r->op == UndoOp::kUpdate) {
      const ByteSpan kept = arena.copy(payload);
      read_undo_update(
          kept, format, [&](ColumnNumber c, const Cell& cell) { image[c] = cell; }, &computed);
    } else {
      read_undo_other(payload, &computed);
    }
    if (r == &record) break;
    if (!counts) continue;
    for (const ComputedEntry& e : computed) {  // newer versions' computed keys
      for (std::size_t i = 0; i < indexes.size(); ++i) {
        if (indexes[i].layout->id != e.index) continue;
        if (e.has) newer[i].push_back(e.after);
        if (e.had) newer[i].push_back(e.before);
      }
    }
  }
  const bool removal = record.op == UndoOp::kDelete;
  for (std::size_t i = 0; i < indexes.size(); ++i) {
    const IndexPart& part = indexes[i];
    Bytes key;
    if (part.computed) {
      const auto e = std::find_if(computed.begin(), computed.end(),
                                  [&](const ComputedEntry& x) { return x.index == part.layout->id; });
      if (e == computed.end() || !e->had) continue;
      if (!removal && e->has && e->before == e->after) continue;
      key = e->before;
      if (std::find(newer[i].begin(), newer[i].end(), key) != newer[i].end()) continue;
    } else {
      if (auto status = full_key(part, key); !status) return status;
      if (!removal && std::find(newer[i].begin(), newer[i].end(), key) != newer[i].end()) continue;
    }
    out->push_back({part.layout->id, part.tree, std::move(key)});
  }
  return {};
}

/// Blocks for pages, and so do what others had to leave open in those trees: one that is larger than the pool
/// shrinks, too.
void SystemParts::remove_emptied_leaves(const std::function<void()>& look) {
  std::vector<EmptiedLeaf> leaves;
  {
    const std::lock_guard lock(queue_mutex);
    leaves.swap(emptied_leaves);
  }
  for (EmptiedLeaf& leaf : leaves) {
    if (look) look();
    const auto table = tree_state(leaf.table);
    if (table == nullptr || table->dropped.load(std::memory_order_acquire)) continue;
    const auto format = table->upkeep_format();
    if (format == nullptr) continue;
    storage::Status status;
    const auto take_out = [&](auto& tree, auto&&... of) {
      if (tree.is_set_aside()) return;
      status = storage::run_blocking([&] { return tree.remove_empty_leaf(of...); });
      if (tree.unsettled() > 0) static_cast<void>(storage::run_blocking([&] { return tree.settle(); }));
    };
    if (leaf.index.is_none()) take_out(*table->tree, leaf.row);
    for (const IndexPart& part : format->indexes)
      if (part.layout->id == leaf.index) take_out(*part.tree, ByteSpan{leaf.key}, leaf.row);
    if (status || status.outcome == storage::Outcome::kDamaged) continue;
    const std::lock_guard lock(queue_mutex);  // no frame, say: later
    emptied_leaves.push_back(std::move(leaf));
  }
}

bool SystemParts::purge_record(UndoRec& record) {
  const auto tree = tree_state(TableId{record.table});
  if (tree == nullptr || tree->dropped.load(std::memory_order_acquire)) return true;
  if (tree->tree->is_set_aside()) return true;
  const auto format_ref = tree->upkeep_format();
  if (format_ref == nullptr) return true;
  const TableFormat& format = *format_ref;
  const RowId row{record.row};
  const bool removal = record.op == UndoOp::kDelete;
  std::vector<EntryLatches::Emptied> emptied;
  std::vector<storage::OverflowRef> chains;
  bool leaf_empty = false, later = false, changed = false;
  const auto status = storage::run_blocking([&]() -> storage::Status {
    emptied.clear();
    chains.clear();
    const auto pin = epochs().pin();
    const storage::Action action(gate());
    if (snapshot_pending.load(std::memory_order_acquire)) {
      later = true;
      return {};
    }
    storage::ExclusiveGuard leaf;
    if (auto s = tree->tree->fix_leaf(row, &leaf); !s) return s;
    LeafView view;
    // An index may have been built since the format was looked up: it has entries of this very version. One
    // that is built from now on finds the chain cut.
    changed = tree->upkeep_format() != format_ref;
    if (changed) return {};
    if (!LeafView::open(leaf.data(), format.rows, &view)) return storage::Status::damaged(leaf.page_id());
    std::vector<OldKey> keys;
    bool reachable = false;
    if (auto s = old_keys(format, format.indexes, record, view, kAborted, &keys, &reachable); !s) {
      if (s.outcome != storage::Outcome::kDamaged) return s;
      // The row can be read and its old keys cannot: there are entries that nobody can find, but by a
      // look-up.
      for (const IndexPart& part : format.indexes) set_index_aside(part.layout->id, s.page);
      return {};
    }
    if (!reachable) return {};
    EntryLatches entries(keys.size());
    for (const OldKey& k : keys) {
      if (k.tree->is_set_aside()) continue;
      auto s = entries.remove(*k.tree, k.key, row);
      // An entry in a bad page is not readable either. Those in the other indexes must go all the same: once
      // the chain is cut, they would count as right.
      if (!s && s.outcome != storage::Outcome::kDamaged) return s;
      if (s) continue;
      changed = tree->upkeep_format() != format_ref;  // the index may be on its way out
      if (changed) return {};
      owe_row(TableId{record.table}, {row, k.index}, s.page);
    }
    if (removal) {
      if (auto dirty = leaf.mark_dirty(); !dirty) return storage::Status::miss(dirty.retry);
    }
    if (auto dirty = entries.mark_dirty(); !dirty) return storage::Status::miss(dirty.retry);
    if (removal) {
      LeafPage page(leaf.mutable_bytes(), format.rows);
      const std::uint32_t slot = page.find(row);
      if (slot != storage::kNoSlot) {
        std::vector<Cell> cells(format.phys.size());
        if (page.row(slot, cells)) {
          for (const Cell& cell : cells)
            if (cell.kind == CellKind::kOverflow) chains.push_back(cell.overflow_ref());
        }
        page.remove(slot);
        leaf_empty = page.rows() == 0;
      }
    }
    entries.apply();
    emptied = std::move(entries.emptied);
    for (const auto& c : chains) storage->pending().add(c.first, storage::PendingKind::kChain);
    versions.cut(&record);
    // The flag goes with the last chain of the leaf's range, so that an emptied leaf can leave the tree.
    if (leaf_empty) leaf.set_has_versions(false);
    return {};
  });
  if (later) return false;
  // ALTER TABLE may have laid the leaf out anew since the format was looked up.
  if (changed || (!status && tree->upkeep_format() != format_ref)) return purge_record(record);
  if (!status && tree->dropped.load(std::memory_order_acquire)) return true;
  if (!status && status.outcome != storage::Outcome::kDamaged) return false;  // no frame, say
  if (!status) owe_row(TableId{record.table}, {row, {}}, status.page);
  note_emptied(*this, TableId{record.table}, format, std::move(emptied));
  if (leaf_empty || !chains.empty()) {
    std::lock_guard lock(queue_mutex);
    if (leaf_empty) emptied_leaves.push_back({TableId{record.table}, IndexId{}, {}, row});
    unused_chains.insert(unused_chains.end(), chains.begin(), chains.end());
  }
  return true;
}

bool SystemParts::leaves_entries(const UndoRec& record) {
  if (record.op == UndoOp::kDelete || (record.flags & UndoRec::kAnyKey) != 0) return true;
  if (record.op != UndoOp::kUpdate || record.owner->id >= index_built_at.load(std::memory_order_acquire))
    return false;
  const auto tree = tree_state(TableId{record.table});
  return tree != nullptr && record.owner->id < tree->index_built_at.load(std::memory_order_acquire);
}

/// False: a checkpoint is about to note what is to be purged, or there is no frame; later.
bool SystemParts::collect_record(TxnState& state, std::size_t position) {
  UndoRec* r = state.records[position];
  std::vector<storage::OverflowRef> chains;
  if (r->undone_epoch.load(std::memory_order_acquire) == 0) {
    if (leaves_entries(*r) && !purge_record(*r)) return false;
    if ((r->flags & UndoRec::kOverflowBefore) != 0) old_chains(*r, &chains);
  }
  {
    const storage::Action action(gate());  // a checkpoint sees the chains either here or in the record
    for (const auto& c : chains) storage->pending().add(c.first, storage::PendingKind::kChain);
    state.collected_records.store(position + 1, std::memory_order_release);
  }
  if (r->undone_epoch.load(std::memory_order_acquire) == 0) {
    if (r->op == UndoOp::kBulk) versions.clear_bulk(r);
    else versions.cut(r);
  }
  if (chains.empty()) return true;
  std::lock_guard lock(queue_mutex);
  unused_chains.insert(unused_chains.end(), chains.begin(), chains.end());
  return true;
}

/// Overflow chains that only the version before an update refers to. Blocks for pages.
void SystemParts::old_chains(const UndoRec& record, std::vector<storage::OverflowRef>* out) {
  const auto format = format_for_chains(TableId{record.table});
  Bytes scratch;
  ByteSpan payload;
  const auto loaded = storage::run_blocking([&]() -> storage::Status {
    storage::Status status;
    load_payload(record, scratch, &payload, &status);
    return status;
  });
  if (!loaded) buffer().note_freed_unread();
  if (!loaded || format == nullptr) return;
  read_undo_update(
      payload, *format,
      [&](ColumnNumber, const Cell& cell) {
        if (cell.kind == CellKind::kOverflow) out->push_back(cell.overflow_ref());
      },
      nullptr);
}

std::size_t SystemParts::collect_garbage(const std::function<void()>& look) {
  const std::unique_lock turn(collecting, std::try_to_lock);
  if (!turn) return 0;
  std::size_t collected = 0;
  std::uint64_t limit = std::min(published_ts.load(std::memory_order_seq_cst), log->durable_ts().raw());
  std::uint64_t now = 0;
  if (snapshots.oldest(limit, &now)) horizon.store(now, std::memory_order_release);
  const std::uint64_t until = horizon.load(std::memory_order_acquire);
  for (;;) {
    TxnState* state = nullptr;
    {
      std::lock_guard lock(queue_mutex);
      if (committed.empty()) break;
      state = committed.front();
    }
    if (state->commit_ts.load(std::memory_order_acquire) > until) break;
    if (snapshot_pending.load(std::memory_order_acquire)) break;
    bool complete = true;
    for (std::size_t i = state->collected_records.load(); i < state->records.size(); ++i) {
      if (!collect_record(*state, i)) {
        complete = false;
        break;
      }
      if (++collected % kRecordsBetweenLooks == 0 && look) look();
    }
    if (!complete) break;
    std::lock_guard lock(queue_mutex);
    committed.pop_front();
    ended.push_back({epochs().retire_stamp(), state});
  }
  {
    std::lock_guard drop(drop_mutex);
    std::lock_guard queue(queue_mutex);
    if (committed.empty() && dropped.empty()) dropped_formats.clear();
  }
  free_ended(false);
  remove_emptied_leaves(look);
  std::vector<storage::OverflowRef> chains;
  {
    std::lock_guard lock(queue_mutex);
    chains.swap(unused_chains);
  }
  for (const auto& ref : chains) {
    storage::OverflowFree free(ref);
    const auto status = storage::run_blocking([&] { return free.run(buffer(), storage->pending()); });
    if (!status && status.outcome != storage::Outcome::kDamaged) {  // no frame, say: later
      std::lock_guard lock(queue_mutex);
      unused_chains.push_back({free.rest(), ref.bytes});
    }
    if (look) look();
  }
  return collected;
}

void SystemParts::give_up_chain(const storage::OverflowRef& ref) {
  {
    const storage::Action action(gate());
    storage->pending().add(ref.first, storage::PendingKind::kChain);
  }
  std::lock_guard lock(queue_mutex);
  unused_chains.push_back(ref);
}

void SystemParts::retire_state(TxnState* state) {
  std::lock_guard lock(queue_mutex);
  ended.push_back({epochs().retire_stamp(), state});
}

std::size_t SystemParts::free_ended(bool all) {
  std::vector<TxnState*> due;
  {
    std::lock_guard lock(queue_mutex);
    const std::uint64_t oldest = epochs().oldest_pinned();
    for (std::size_t n = ended.size(); n > 0; --n) {
      auto entry = ended.front();
      ended.pop_front();
      if (all || (entry.first < oldest && entry.second->holds.load(std::memory_order_acquire) == 0)) {
        due.push_back(entry.second);
      } else {
        ended.push_back(entry);
      }
    }
  }
  for (TxnState* state : due) free_state(state);
  return due.size();
}

void SystemParts::free_state(TxnState* state) {
  undo_total.fetch_sub(state->undo_bytes.load(), std::memory_order_relaxed);
  for (const PageId page : state->temp_pages) {
    const storage::Action action(gate());
    buffer().free_unread(page);
  }
  delete state;
}

void SystemParts::wake_collector() {
  std::lock_guard lock(wake_mutex);
  wake.fire();
}

void SystemParts::look_at_log_volume() {
  // Before the tail, so that it is never above it.
  const std::uint64_t last = last_checkpoint_lsn.load(std::memory_order_acquire);
  const std::uint64_t written = log->tail().raw() - last;
  if (written > checkpoint_log_limit() && !checkpoint_asked.exchange(true, std::memory_order_acq_rel))
    storage->request_checkpoint(storage::CheckpointTrigger::kLogVolume);
}

void SystemParts::run_collector() {
  std::int64_t delay_us = 10'000;
  while (!stopping.load(std::memory_order_acquire)) {
    io::WaitToken token = io::WaitToken::make(io::WaitReason::kTimer);
    {
      std::lock_guard lock(wake_mutex);
      wake = token;
    }
    if (!stopping.load(std::memory_order_acquire)) {
      environment.executor->after(std::chrono::microseconds(delay_us))
          .then(environment.executor->workers(), [token] { token.fire(); });
      environment.executor->block_on(token);
    }
    if (stopping.load(std::memory_order_acquire)) break;
    // What a mass deletion leaves to collect may take long, and the log grows meanwhile.
    look_at_log_volume();
    const std::size_t collected = collect_garbage([this] { look_at_log_volume(); });
    const bool dropped_some = drop_step();
    delay_us = dropped_some ? 100 : collected > 0 ? 5'000 : std::min<std::int64_t>(delay_us * 2, 200'000);
  }
}

}  // namespace rustbd::txn
