#include "rustbd/txn/tables/row_writer.h"

#include <algorithm>
#include <thread>

#include "rustbd/base/assert.h"

namespace rustbd::txn {

using storage::LeafPage;
using storage::LeafView;
using storage::Room;

// --- EntryLatches ---

storage::Status EntryLatches::note_full(storage::Status status, storage::IndexTree& tree, ByteSpan key,
                                        RowId row) {
  if (status.outcome == storage::Outcome::kFull) {
    full_tree = &tree;
    full_key.assign(key.begin(), key.end());
    full_row = row;
  }
  return status;
}

storage::Status EntryLatches::insert(storage::IndexTree& tree, ByteSpan key, RowId row) {
  inserts_.emplace_back();
  return note_full(tree.prepare_insert(key, row, &inserts_.back()), tree, key, row);
}

storage::Status EntryLatches::insert_probed(storage::UniqueProbe&& probe, storage::IndexTree& tree,
                                            ByteSpan key, RowId row) {
  probes_.push_back(std::move(probe));
  inserts_.emplace_back();
  return note_full(probes_.back().prepare_insert(row, &inserts_.back()), tree, key, row);
}

storage::Status EntryLatches::remove(storage::IndexTree& tree, ByteSpan key, RowId row) {
  removes_.push_back({&tree, Bytes(key.begin(), key.end()), row, {}});
  storage::Status status = tree.prepare_remove(key, row, &removes_.back().remove);
  if (status.outcome == storage::Outcome::kDamaged) removes_.pop_back();
  return status;
}

storage::DirtyResult EntryLatches::mark_dirty() {
  for (auto& i : inserts_)
    if (auto r = i.mark_dirty(); !r) return r;
  for (auto& r : removes_)
    if (auto d = r.remove.mark_dirty(); !d) return d;
  return {};
}

void EntryLatches::apply() {
  for (auto& i : inserts_) i.apply();
  for (auto& r : removes_) {
    if (r.remove.found() && r.remove.apply()) emptied.push_back({r.tree, std::move(r.key), r.row});
  }
}

// --- RowWriter: control ---

RowWriter::RowWriter(Table& table, Transaction& txn)
    : table_(table),
      txn_(txn),
      parts_(table.system_.parts()),
      state_(*table.state_),
      format_(*table.format_),
      s_(txn.scratch()) {}

RowWriter::Step RowWriter::status_step(const storage::Status& status, Outcome* out) {
  bool restart = false;
  *out = to_outcome(status, &restart, state_.id);
  return restart ? Step::kRestart : Step::kReturn;
}

RowWriter::Step RowWriter::dirty_step(const storage::DirtyResult& dirty, Outcome* out) {
  *out = Outcome::blocked_on(dirty.retry);
  return Step::kReturn;
}

void note_emptied(SystemParts& parts, TableId table, const TableFormat& format,
                  std::vector<EntryLatches::Emptied>&& leaves) {
  for (EntryLatches::Emptied& leaf : leaves)
    for (const IndexPart& part : format.indexes)
      if (part.tree.get() == leaf.tree) {
        const std::lock_guard lock(parts.queue_mutex);
        parts.emptied_leaves.push_back({table, part.layout->id, std::move(leaf.key), leaf.row});
      }
}

// RowFormat::choose_overflow() sees to it that any row fits in a leaf alone.
RowWriter::Step RowWriter::too_large(Outcome* out) {
  *out = Outcome{Status::kTooLarge};
  return Step::kReturn;
}

template <class Body>
Outcome RowWriter::run(WaitPolicy policy, Body&& body) {
  for (unsigned tries = 0;; ++tries) {
    if (tries > 0 && tries % 64 == 0) std::this_thread::yield();
    After after;
    Outcome out;
    Step step;
    const auto pin = parts_.epochs().pin();
    {
      const storage::Action action(parts_.gate());
      step = body(&out, &after);
    }
    if (step == Step::kRestart) out = do_after(after, policy, &step);
    if (step != Step::kRestart) {
      // After kConflict the right of way is kept: the caller comes back with the newer version.
      if (!out.blocked() && out.status != Status::kConflict) {
        parts_.locks->end_wait(txn_.locker(), out.ok() ? txn_.state() : nullptr,
                               LockKey::row(state_.id, written_));
      }
      return out;
    }
  }
}

Outcome RowWriter::do_after(After& after, WaitPolicy policy, Step* step) {
  Outcome out;
  if (after.wait) {
    out = parts_.locks->wait_row(txn_.locker(), after.wait_key, after.wait_mode, policy, after.running,
                                 after.rollbacks);
    if (!(out.blocked() && out.token.fired())) *step = Step::kReturn;
    return out;
  }
  if (after.log_bytes > 0) {
    out = txn_.make_log_room(after.log_bytes);
    if (!out.ok()) *step = Step::kReturn;
    return out;
  }
  storage::Status status;
  if (after.split_tree != nullptr) status = after.split_tree->split(after.split_key, after.split_row);
  else if (after.split_leaf) status = state_.tree->split_leaf(after.split_row, format_.rows);
  else if (!after.look_at.is_none()) {
    storage::SharedGuard leaf;
    status = state_.tree->fix_leaf(after.look_at, &leaf);
    LeafView view;
    if (status && LeafView::open(leaf.data(), format_.rows, &view) &&
        view.find(after.look_at) == storage::kNoSlot) {
      s_.gone.push_back(after.look_at);  // row ids are never reused: its entry is a leftover for ever
    }
  } else if (after.read_overflow) {
    std::string bytes(after.overflow.bytes, '\0');
    storage::OverflowRead read(after.overflow, bytes.data());
    status = read.run(parts_.buffer());
    if (status) s_.known.push_back({after.overflow, std::move(bytes)});
  }
  if (!status) *step = status_step(status, &out);
  return out;
}

// --- values ---

void RowWriter::given_row(RowRef row) {
  if (redo_ != nullptr) {
    s_.full = redo_->cells;
    return;
  }
  const auto& columns = format_.layout->columns;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const types::Vector& v = row.columns[i];
    if (columns[i].dropped || v.data == nullptr) {
      s_.full.push_back(Cell::null());
    } else {
      s_.full.push_back(
          storage::make_cell(v.datum(row.row), !v.is_valid(row.row), format_.phys[i], s_.arena));
    }
  }
}

void RowWriter::given_columns(std::span<const ColumnNumber> changed, RowRef values) {
  if (redo_ != nullptr) {
    s_.full = redo_->cells;
    return;
  }
  for (std::size_t i = 0; i < changed.size(); ++i) {
    const types::Vector& v = values.columns[i];
    s_.full.push_back(
        storage::make_cell(v.datum(values.row), !v.is_valid(values.row), format_.phys[changed[i]], s_.arena));
  }
}

const WriteScratch::Staged* RowWriter::staged(ColumnNumber column) const {
  for (const auto& st : s_.staged)
    if (st.table == state_.id && st.column == column) return &st;
  return nullptr;
}

/// Gives up what another row's attempt has left: all that is not of these columns of this table.
void RowWriter::drop_staging(std::span<const ColumnNumber> kept) {
  std::erase_if(s_.staged, [&](WriteScratch::Staged& st) {
    if (st.table == state_.id && std::find(kept.begin(), kept.end(), st.column) != kept.end()) return false;
    std::lock_guard lock(parts_.queue_mutex);
    if (!st.write->ref().first.is_none()) parts_.unused_chains.push_back(st.write->ref());
    return true;
  });
}

/// Begins to stage the value unless that has happened; true if it is new.
bool RowWriter::needs_staging(ColumnNumber column, std::string_view bytes) {
  if (const auto* st = staged(column)) {
    if (st->bytes == bytes) return false;
    drop_staging({});
  }
  s_.staged.push_back({state_.id, column, std::string(bytes), nullptr, false});
  auto& st = s_.staged.back();
  st.write = std::make_unique<storage::OverflowWrite>(st.bytes, state_.id.raw(), parts_.storage->pending());
  return true;
}

/// Whether the event of these values (of `columns`; empty: of all; an upper bound of its size) fits into the
/// log buffer; else that is to be done.
bool RowWriter::log_has_room(std::span<const ColumnNumber> columns, std::span<const Cell> a,
                             std::span<const Cell> b, After* after) const {
  if (redo_ != nullptr) return true;
  std::size_t bytes = 16;
  const auto add = [&](std::span<const Cell> cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const bool text = types::is_variable(format_.phys[columns.empty() ? i : columns[i]]);
      bytes += 24 + (text && cells[i].kind == CellKind::kValue ? cells[i].value.str.view().size() : 0);
    }
  };
  add(a);
  add(b);
  for (const auto& e : s_.computed) bytes += 32 + e.before.size() + e.after.size();
  if (txn_.has_log_room(bytes)) return true;
  after->log_bytes = bytes;
  return false;
}

/// Outside the gate.
Outcome RowWriter::run_staging() {
  for (auto& st : s_.staged) {
    if (st.done) continue;
    for (;;) {
      const storage::Status status = st.write->run(parts_.buffer());
      if (status) break;
      Outcome out;
      if (status_step(status, &out) == Step::kReturn) return out;
    }
    st.done = true;
  }
  return {};
}

/// Makes a full value of an overflow cell. False: it must be read first (after), or is unreadable.
bool RowWriter::resolve(Cell* cell, ColumnNumber column, After* after) {
  if (cell->kind != CellKind::kOverflow) return true;
  static_cast<void>(column);
  const storage::OverflowRef ref = cell->overflow_ref();
  for (const auto& k : s_.known) {
    if (k.ref.first == ref.first) {
      *cell = Cell::stored(k.bytes);
      return true;
    }
  }
  after->read_overflow = true;
  after->overflow = ref;
  return false;
}

bool RowWriter::resolve_columns(std::vector<Cell>& row, const std::vector<bool>* wanted, After* after) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (wanted != nullptr && !(*wanted)[i]) continue;
    if (!resolve(&row[i], static_cast<ColumnNumber>(i), after)) return false;
  }
  return true;
}

void RowWriter::computed_entries(const WriteExtras& extras, std::span<const Cell> old_row,
                                 std::span<const Cell> new_row) {
  if (redo_ != nullptr) {
    s_.computed = redo_->computed;
    return;
  }
  s_.computed.clear();
  for (const ComputedKey& c : extras.computed) {
    const storage::IndexLayout* index = format_.layout->find_index(c.index);
    if (index == nullptr) continue;
    ComputedEntry e{c.index, c.had_entry && !old_row.empty(), c.has_entry && !new_row.empty(), {}, {}};
    bool has_null = false;
    if (e.had)
      append_computed_key(format_, *index, old_row, c.before, extras.row, s_.arena, e.before, &has_null);
    if (e.has)
      append_computed_key(format_, *index, new_row, c.after, extras.row, s_.arena, e.after, &has_null);
    s_.computed.push_back(std::move(e));
  }
}

// --- conflicts (storage.md §4.3 steps 2 and 3) ---

namespace {
RowLockMode implied_mode(const UndoRec* head) {
  return head->op == UndoOp::kUpdate && (head->flags & UndoRec::kUniqueKey) == 0 ? RowLockMode::kNoKeyUpdate
                                                                                 : RowLockMode::kUpdate;
}
const UndoRec* older_of(const ChainHead& chain, const UndoRec* record) {
  if (record == chain.bulk) return nullptr;
  const UndoRec* next = record->older.load(std::memory_order_acquire);
  return next != nullptr ? next : chain.bulk;
}
}  // namespace

/// Whether commits after the snapshot stand against `mode`. `newest`: the chain's newest committed record, or
/// nullptr.
RowWriter::Step RowWriter::check_newer(const ChainHead& chain, const UndoRec* newest, bool tombstone,
                                       RowLockMode mode, std::uint64_t accept_newer, Outcome* out) {
  const auto answer = [&](Status status) {
    out->status = status;
    return Step::kReturn;
  };
  const std::uint64_t snapshot = txn_.view().snapshot;
  const auto ts_of = [](const UndoRec* r) { return r->owner->commit_ts.load(std::memory_order_acquire); };
  if (newest != nullptr) {
    const std::uint64_t ts = ts_of(newest);
    // Whatever comes of it tells of that commit (I8).
    txn_.note_seen(ts, newest->owner->end_lsn.load(std::memory_order_acquire));
    // Layout rows are like PostgreSQL's catalog: always the newest.
    if (ts > snapshot && txn_.isolation() != Isolation::kReadCommitted && state_.id != kLayoutTable) {
      // KEY SHARE goes with all that left the key alone.
      const UndoRec* r = newest;
      while (r != nullptr && ts_of(r) > snapshot && !conflicts(mode, implied_mode(r))) r = older_of(chain, r);
      if (r != nullptr && ts_of(r) > snapshot) return answer(Status::kSerialization);
    } else if (ts > snapshot && !tombstone && accept_newer != ts) {
      return answer(Status::kConflict);
    }
  }
  return tombstone ? answer(Status::kGone) : Step::kDone;
}

RowWriter::Step RowWriter::check_conflict(RowId row, bool found, bool tombstone, RowLockMode mode,
                                          std::uint64_t accept_newer, Outcome* out, After* after) {
  const auto answer = [&](Status status) {
    out->status = status;
    return Step::kReturn;
  };
  if (!found) return answer(Status::kGone);
  if (redo_ != nullptr) return tombstone ? answer(Status::kGone) : Step::kDone;
  const ChainHead chain = parts_.versions.head(state_.id, row);
  const UndoRec* newest = chain.newest();
  TxnState* owner = newest != nullptr ? newest->owner : nullptr;
  if (owner != nullptr && owner == txn_.state()) {
    if (newest->command >= txn_.command()) return answer(Status::kSelfModified);
    if (tombstone) return answer(Status::kGone);
  } else {
    const std::uint64_t ts = owner != nullptr ? owner->commit_ts.load(std::memory_order_acquire) : kRunning;
    if (owner != nullptr && (ts == kRunning || ts == kAborted)) {
      if (conflicts(mode, implied_mode(newest))) {
        after->wait = true;
        after->wait_key = LockKey::row(state_.id, row);
        after->wait_mode = mode;
        after->running = owner;
        after->rollbacks = owner->rollbacks.load(std::memory_order_acquire);
        return Step::kRestart;
      }
      // It goes with the lock; what it stands on is committed, and may not.
      while (newest != nullptr && newest->owner == owner) newest = older_of(chain, newest);
    }
    if (const Step step = check_newer(chain, newest, tombstone, mode, accept_newer, out); step != Step::kDone)
      return step;
  }
  if (parts_.locks->row_conflicts(txn_.locker(), LockKey::row(state_.id, row), mode)) {
    after->wait = true;
    after->wait_key = LockKey::row(state_.id, row);
    after->wait_mode = mode;
    return Step::kRestart;
  }
  return Step::kDone;
}

// --- entries (step 4) ---

/// Latches the leaves of all new entries, checking the unique ones.
RowWriter::Step RowWriter::add_entries(EntryLatches& latches, const LeafView* own_leaf, RowId row,
                                       const WriteExtras& extras, Outcome* out, After* after) {
  for (const auto& e : s_.entries) {
    const storage::IndexLayout& index = *e.part->layout;
    if (redo_ != nullptr && e.part->tree->is_set_aside()) continue;  // it is built anew from the rows
    const bool check = index.unique && (!e.has_null || index.nulls_not_distinct) && redo_ == nullptr;
    storage::Status status;
    if (!check) {
      status = latches.insert(*e.part->tree, e.key, row);
    } else {
      storage::UniqueProbe probe;
      std::vector<RowId> others;
      status = probe.start(*e.part->tree, e.key);
      if (status) status = probe.collect(&others);
      if (!status) return status_step(status, out);
      const bool later = extras.deferred != nullptr && (!extras.deferrable_only || index.deferrable);
      Step step = check_others(*e.part, e.key, row, others, own_leaf, out, after);
      if (step == Step::kReturn && out->status == Status::kDuplicate && later) {
        extras.deferred->suspects.push_back({state_.id, index.id, row, e.key});
        *out = {};
        step = Step::kDone;
      }
      if (step != Step::kDone) return step;
      status = latches.insert_probed(std::move(probe), *e.part->tree, e.key, row);
    }
    if (status.outcome == storage::Outcome::kFull) {
      after->split_tree = latches.full_tree;
      after->split_key = latches.full_key;
      after->split_row = latches.full_row;
      return Step::kRestart;
    }
    if (!status) return status_step(status, out);
  }
  return Step::kDone;
}

Outcome RowWriter::check_unique(const IndexPart& part, ByteSpan key, RowId row) {
  return run(WaitPolicy::kWait, [&](Outcome* out, After* after) {
    // The row itself must still have the key: a later command may have changed it again.
    storage::SharedGuard own;
    if (const auto status = state_.tree->fix_leaf(row, &own, &hint_); !status)
      return status_step(status, out);
    LeafView leaf;
    RUSTBD_ASSERT(LeafView::open(own.data(), format_.rows, &leaf), "a latched leaf is sound");
    const std::uint32_t slot = leaf.find(row);
    if (slot == storage::kNoSlot || leaf.tombstone(slot)) return Step::kDone;
    if (!part.computed) {
      std::vector<Cell> cells(format_.phys.size());
      for (const auto& p : part.layout->parts) {
        if (!leaf.cell(slot, p.column, &cells[p.column])) return Step::kRestart;
        if (!resolve(&cells[p.column], p.column, after)) return Step::kRestart;
      }
      Bytes present;
      bool has_null = false;
      append_entry_key(format_, *part.layout, cells, s_.arena, present, &has_null);
      if (as_chars(present) != as_chars(key)) return Step::kDone;
    }
    storage::UniqueProbe probe;
    std::vector<RowId> others;
    auto status = probe.start(*part.tree, key);
    if (status) status = probe.collect(&others);
    if (!status) return status_step(status, out);
    return check_others(part, key, row, others, &leaf, out, after);
  });
}

// --- the change (steps 5 and 6) ---

UndoRec* RowWriter::push_record(UndoOp op, std::uint8_t flags, RowId row) {
  TxnState& state = txn_.writable_state();
  ByteSpan payload = s_.payload;
  std::byte spilled[16];
  if (state.arena_bytes > parts_.options.undo_spill_bytes && !state.temp_pages.empty() &&
      payload.size() > 16 && state.temp_used + payload.size() <= storage::kPageBytes) {
    auto page = parts_.buffer().try_fix_exclusive(state.temp_pages.back());
    if (page && page->mark_dirty()) {
      std::memcpy(page->mutable_data() + state.temp_used, payload.data(), payload.size());
      store(spilled, state.temp_pages.back().raw());
      store(spilled + 8, state.temp_used);
      store(spilled + 12, static_cast<std::uint32_t>(payload.size()));
      state.temp_used += static_cast<std::uint32_t>(payload.size());
      payload = spilled;
      flags |= UndoRec::kSpilled;
    }
  }
  auto* record = new (state.arena.allocate(sizeof(UndoRec) + payload.size(), alignof(UndoRec))) UndoRec;
  record->owner = &state;
  record->row = row.raw();
  record->table = state_.id.raw();
  record->command = txn_.command();
  record->op = op;
  record->flags = flags;
  record->bytes = static_cast<std::uint32_t>(payload.size());
  if (!payload.empty()) std::memcpy(static_cast<void*>(record + 1), payload.data(), payload.size());
  const std::uint64_t bytes = sizeof(UndoRec) + payload.size() + sizeof(UndoRec*);
  state.arena_bytes += bytes;
  state.undo_bytes.fetch_add(bytes, std::memory_order_relaxed);
  parts_.undo_total.fetch_add(bytes, std::memory_order_relaxed);
  if (op == UndoOp::kDelete || (flags & (UndoRec::kAnyKey | UndoRec::kOverflowBefore)) != 0)
    state.needs_purge = true;
  {
    std::lock_guard lock(state.records_mutex);
    state.records.push_back(record);
  }
  if (op == UndoOp::kBulk) parts_.versions.set_bulk(record);
  else parts_.versions.push(record);
  written_ = row;
  return record;
}

/// The block that this command's bulk insert into the table fills, if it has room.
UndoRec* RowWriter::open_block() const {
  const TxnState* state = txn_.state();
  UndoRec* block = state != nullptr ? state->bulk_block : nullptr;
  if (block == nullptr || block->table != state_.id.raw() || block->command != txn_.command()) return nullptr;
  if (block->placed == kBlockRows || block->undone_epoch.load(std::memory_order_relaxed) != 0) return nullptr;
  return block;
}

/// Takes the next whole block of row ids. Ids that it does not use are lost, as are those of failed inserts.
UndoRec* RowWriter::begin_block() {
  TxnState& state = txn_.writable_state();
  std::uint64_t next = state_.next_row.load(std::memory_order_relaxed), first = 0;
  do {
    first = (next + kBlockRows - 1) / kBlockRows * kBlockRows;
  } while (!state_.next_row.compare_exchange_weak(next, first + kBlockRows, std::memory_order_relaxed));
  const storage::Action action(parts_.gate());
  s_.payload.clear();
  state.bulk_block = push_record(UndoOp::kBulk, 0, RowId{first});
  return state.bulk_block;
}

void RowWriter::count_rows(std::int64_t delta) {
  TxnState& state = txn_.writable_state();
  for (auto& d : state.row_deltas) {
    if (d.trees.get() == &state_) {
      d.rows += delta;
      return;
    }
  }
  state.row_deltas.push_back({table_.state_, delta});
}

Outcome RowWriter::insert(RowRef row, const WriteExtras& extras, bool bulk, RowId* out_row) {
  s_.begin();
  given_row(row);
  std::vector<ColumnNumber> move;
  if (!format_.rows.choose_overflow(s_.full, &move)) return {Status::kTooLarge};
  drop_staging(move);
  for (const ColumnNumber c : move) needs_staging(c, s_.full[c].value.str.view());
  if (Outcome staged_all = run_staging(); !staged_all.ok()) return staged_all;
  s_.new_row = s_.full;
  for (const ColumnNumber c : move) s_.new_row[c] = Cell::overflow(staged(c)->write->ref());
  computed_entries(extras, {}, s_.full);
  for (const IndexPart& part : format_.indexes) {
    WriteScratch::Entry e{&part, {}, false};
    if (part.computed) {
      const auto c = std::find_if(s_.computed.begin(), s_.computed.end(),
                                  [&](const ComputedEntry& x) { return x.index == part.layout->id; });
      if (c == s_.computed.end() || !c->has) continue;
      e.key = c->after;
    } else {
      append_entry_key(format_, *part.layout, s_.full, s_.arena, e.key, &e.has_null);
    }
    if (e.key.size() > storage::kIndexKeyBytesMax) {
      Outcome large{Status::kTooLarge};
      large.index = part.layout->id;
      return large;
    }
    s_.entries.push_back(std::move(e));
  }
  if (!s_.computed.empty()) write_undo_other(s_.computed, s_.payload);
  if (redo_ == nullptr) {
    ByteWriter body(s_.body);
    write_row_event(body, format_, s_.full, s_.computed);
    if (Outcome room = txn_.make_log_room(s_.body.size()); !room.ok()) return room;
  }
  TxnState& mine = txn_.writable_state();
  UndoRec* block = redo_ == nullptr ? open_block() : nullptr;
  if (block == nullptr && bulk) block = begin_block();
  const RowId id = redo_ != nullptr   ? redo_->row
                   : block != nullptr ? RowId{block->row + block->placed}
                                      : RowId{state_.next_row.fetch_add(1, std::memory_order_relaxed)};
  hint_ = state_.tree->append_hint();

  Outcome result = run(WaitPolicy::kWait, [&](Outcome* out, After* after) {
    storage::ExclusiveGuard leaf;
    if (const auto status = state_.tree->fix_leaf(id, &leaf, &hint_); !status)
      return status_step(status, out);
    if (auto dirty = leaf.mark_dirty(); !dirty) return dirty_step(dirty, out);
    LeafPage page(leaf.mutable_bytes(), format_.rows);
    if (redo_ != nullptr && page.find(id) != storage::kNoSlot) {
      out->status = Status::kGone;
      return Step::kReturn;
    }
    if (page.room_for_insert(id, s_.new_row) == Room::kFull) {
      if (page.rows() == 0) return too_large(out);
      after->split_leaf = true;
      after->split_row = id;
      return Step::kRestart;
    }
    EntryLatches entries(s_.entries.size());
    if (const Step step = add_entries(entries, &page, id, extras, out, after); step != Step::kDone) {
      return step;
    }
    if (auto dirty = entries.mark_dirty(); !dirty) return dirty_step(dirty, out);
    if (block == nullptr) push_record(UndoOp::kInsert, 0, id);
    else ++block->placed;
    written_ = id;
    leaf.set_has_versions(true);
    page.insert(id, s_.new_row);
    entries.apply();
    for (const auto& st : s_.staged) parts_.storage->pending().remove(st.write->ref().first);
    s_.staged.clear();
    if (redo_ == nullptr) mine.events.add(log::EventOp::kInsert, state_.id, id, s_.body);
    return Step::kDone;
  });
  if (result.ok()) {
    count_rows(1);
    s_.known.clear();
    if (out_row != nullptr) *out_row = id;
  }
  return result;
}

Outcome RowWriter::update(RowId row, std::span<const ColumnNumber> changed, RowRef values,
                          const WriteExtras& extras, std::uint64_t accept_newer) {
  s_.begin();
  given_columns(changed, values);
  if (Outcome staged_all = run_staging(); !staged_all.ok()) return staged_all;
  TxnState& mine = txn_.writable_state();
  const std::size_t suspects = extras.deferred != nullptr ? extras.deferred->suspects.size() : 0;

  for (;;) {
    bool restage = false;
    Outcome result = run(WaitPolicy::kWait, [&](Outcome* out, After* after) {
      s_.entries.clear();
      s_.payload.clear();
      if (extras.deferred != nullptr) extras.deferred->suspects.resize(suspects);
      storage::ExclusiveGuard leaf;
      if (const auto status = state_.tree->fix_leaf(row, &leaf, &hint_); !status)
        return status_step(status, out);
      LeafView view;
      RUSTBD_ASSERT(LeafView::open(leaf.data(), format_.rows, &view), "a latched leaf is sound");
      const std::uint32_t slot = view.find(row);
      if (slot == storage::kNoSlot) {
        out->status = Status::kGone;
        return Step::kReturn;
      }
      s_.old_row.resize(format_.phys.size());
      RUSTBD_ASSERT(view.row(slot, s_.old_row), "a latched leaf is sound");
      s_.changed.assign(changed.begin(), changed.end());
      s_.new_row = s_.old_row;
      for (std::size_t i = 0; i < changed.size(); ++i) s_.new_row[changed[i]] = s_.full[i];
      // The keys first: they decide the strength of the lock.
      auto& old_keys = s_.old_keys = s_.old_row;
      auto& new_keys = s_.new_keys = s_.new_row;
      if (!resolve_columns(old_keys, &format_.key_columns, after)) return Step::kRestart;
      if (!resolve_columns(new_keys, &format_.key_columns, after)) return Step::kRestart;
      computed_entries(extras, old_keys, new_keys);
      std::uint8_t flags = 0;
      for (const IndexPart& part : format_.indexes) {
        WriteScratch::Entry e{&part, {}, false};
        Bytes before;
        bool null_before = false, moved = false, has = true;
        if (part.computed) {
          const auto c = std::find_if(s_.computed.begin(), s_.computed.end(),
                                      [&](const ComputedEntry& x) { return x.index == part.layout->id; });
          if (c == s_.computed.end()) continue;
          has = c->has;
          moved = c->had != c->has || c->before != c->after;
          e.key = c->after;
        } else {
          const bool touched =
              std::any_of(part.layout->parts.begin(), part.layout->parts.end(), [&](const auto& p) {
                return std::find(changed.begin(), changed.end(), p.column) != changed.end();
              });
          if (!touched) continue;
          append_entry_key(format_, *part.layout, old_keys, s_.arena, before, &null_before);
          append_entry_key(format_, *part.layout, new_keys, s_.arena, e.key, &e.has_null);
          moved = before != e.key;
        }
        if (!moved) continue;
        flags |= UndoRec::kAnyKey;
        if (part.layout->unique) flags |= UndoRec::kUniqueKey;
        if (e.key.size() > storage::kIndexKeyBytesMax) {
          out->status = Status::kTooLarge;
          out->index = part.layout->id;
          return Step::kReturn;
        }
        if (has) s_.entries.push_back(std::move(e));
      }
      const RowLockMode mode =
          (flags & UndoRec::kUniqueKey) != 0 ? RowLockMode::kUpdate : RowLockMode::kNoKeyUpdate;
      if (const Step step = check_conflict(row, true, view.tombstone(slot), mode, accept_newer, out, after);
          step != Step::kDone) {
        return step;
      }
      const ChainHead chain = parts_.versions.head(state_.id, row);
      const UndoRec* newest = chain.newest();
      if (newest != nullptr && newest->owner == &mine &&
          (newest->op != UndoOp::kUpdate || (newest->flags & UndoRec::kUniqueKey) != 0)) {
        flags |= UndoRec::kUniqueKey;  // as strong as what this transaction did to the row before
      }
      // Large values go to overflow pages, outside the gate.
      std::vector<ColumnNumber> move;
      if (!format_.rows.choose_overflow(s_.new_row, &move)) {
        out->status = Status::kTooLarge;
        return Step::kReturn;
      }
      drop_staging(move);
      for (const ColumnNumber c : move) {
        if (needs_staging(c, s_.new_row[c].value.str.view())) restage = true;
        if (std::find(s_.changed.begin(), s_.changed.end(), c) == s_.changed.end()) s_.changed.push_back(c);
      }
      if (restage) return Step::kReturn;
      std::sort(s_.changed.begin(), s_.changed.end());
      s_.before.clear();
      s_.after.clear();
      auto& log_before = s_.log_before;
      auto& log_after = s_.log_after;
      log_before.clear();
      log_after.clear();
      for (const ColumnNumber c : s_.changed) {
        s_.before.push_back(s_.old_row[c]);
        if (s_.old_row[c].kind == CellKind::kOverflow) flags |= UndoRec::kOverflowBefore;
        Cell full = s_.old_row[c];
        if (!resolve(&full, c, after)) return Step::kRestart;
        log_before.push_back(full);
        log_after.push_back(s_.new_row[c]);
        const bool moves = std::find(move.begin(), move.end(), c) != move.end();
        s_.after.push_back(moves ? Cell::overflow(staged(c)->write->ref()) : s_.new_row[c]);
      }
      if (!log_has_room(s_.changed, log_before, log_after, after)) return Step::kRestart;
      if (auto dirty = leaf.mark_dirty(); !dirty) return dirty_step(dirty, out);
      LeafPage page(leaf.mutable_bytes(), format_.rows);
      if (page.room_for_update(slot, s_.changed, s_.after) == Room::kFull) {
        if (page.rows() == 1) return too_large(out);
        after->split_leaf = true;
        after->split_row = row;
        return Step::kRestart;
      }
      EntryLatches entries(s_.entries.size());
      if (const Step step = add_entries(entries, &page, row, extras, out, after); step != Step::kDone) {
        return step;
      }
      if (auto dirty = entries.mark_dirty(); !dirty) return dirty_step(dirty, out);
      write_undo_update(s_.changed, s_.before, format_, s_.computed, s_.payload);
      if (redo_ == nullptr) {
        ByteWriter& body = mine.events.begin_event(log::EventOp::kUpdate, state_.id, row);
        write_update_event(body, format_, s_.changed, log_before, log_after, s_.computed);
        mine.events.end_event();
      }
      push_record(UndoOp::kUpdate, flags, row);
      leaf.set_has_versions(true);
      page.update(slot, s_.changed, s_.after);
      entries.apply();
      for (const auto& st : s_.staged) parts_.storage->pending().remove(st.write->ref().first);
      s_.staged.clear();
      return Step::kDone;
    });
    if (restage) {
      if (Outcome staged_all = run_staging(); !staged_all.ok()) return staged_all;
      continue;
    }
    if (result.ok()) s_.known.clear();
    return result;
  }
}

Outcome RowWriter::remove(RowId row, const WriteExtras& extras, std::uint64_t accept_newer) {
  s_.begin();
  TxnState& mine = txn_.writable_state();
  Outcome result = run(WaitPolicy::kWait, [&](Outcome* out, After* after) {
    s_.payload.clear();
    storage::ExclusiveGuard leaf;
    if (const auto status = state_.tree->fix_leaf(row, &leaf, &hint_); !status)
      return status_step(status, out);
    LeafView view;
    RUSTBD_ASSERT(LeafView::open(leaf.data(), format_.rows, &view), "a latched leaf is sound");
    const std::uint32_t slot = view.find(row);
    const bool found = slot != storage::kNoSlot;
    if (const Step step = check_conflict(row, found, found && view.tombstone(slot), RowLockMode::kUpdate,
                                         accept_newer, out, after);
        step != Step::kDone) {
      return step;
    }
    s_.old_row.resize(format_.phys.size());
    RUSTBD_ASSERT(view.row(slot, s_.old_row), "a latched leaf is sound");
    if (!resolve_columns(s_.old_row, nullptr, after)) return Step::kRestart;
    computed_entries(extras, s_.old_row, {});
    if (!s_.computed.empty()) write_undo_other(s_.computed, s_.payload);
    if (!log_has_room({}, s_.old_row, {}, after)) return Step::kRestart;
    if (auto dirty = leaf.mark_dirty(); !dirty) return dirty_step(dirty, out);
    LeafPage page(leaf.mutable_bytes(), format_.rows);
    if (redo_ == nullptr) {
      ByteWriter& body = mine.events.begin_event(log::EventOp::kDelete, state_.id, row);
      write_row_event(body, format_, s_.old_row, s_.computed);
      mine.events.end_event();
    }
    push_record(UndoOp::kDelete, UndoRec::kUniqueKey | UndoRec::kAnyKey, row);
    leaf.set_has_versions(true);
    page.set_tombstone(slot, true);
    return Step::kDone;
  });
  if (result.ok()) {
    count_rows(-1);
    s_.known.clear();
  }
  return result;
}

Outcome RowWriter::lock(RowId row, RowLockMode mode, WaitPolicy policy, std::uint64_t accept_newer) {
  Outcome result = run(policy, [&](Outcome* out, After* after) {
    storage::SharedGuard leaf;
    if (const auto status = state_.tree->fix_leaf(row, &leaf, &hint_); !status)
      return status_step(status, out);
    LeafView view;
    RUSTBD_ASSERT(LeafView::open(leaf.data(), format_.rows, &view), "a latched leaf is sound");
    const std::uint32_t slot = view.find(row);
    const bool found = slot != storage::kNoSlot;
    const ChainHead chain = parts_.versions.head(state_.id, row);
    const UndoRec* newest = chain.newest();
    const bool own = newest != nullptr && newest->owner == txn_.state() && txn_.state() != nullptr;
    if (own) {
      if (found && view.tombstone(slot)) out->status = Status::kGone;
      // By a later command: this one goes on (ResumedStatement), and does not see what is newest.
      else if (newest->command > txn_.command()) out->status = Status::kSelfModified;
      if (!out->ok()) return Step::kReturn;
      if (implied_mode(newest) >= mode) return Step::kDone;  // its change locks the row as much already
    } else if (const Step step =
                   check_conflict(row, found, found && view.tombstone(slot), mode, accept_newer, out, after);
               step != Step::kDone) {
      return step;
    }
    if (parts_.locks->take_row(txn_.locker(), LockKey::row(state_.id, row), mode) == Status::kOk)
      return Step::kDone;
    after->wait = true;
    after->wait_key = LockKey::row(state_.id, row);
    after->wait_mode = mode;
    return Step::kRestart;
  });
  return result;
}

}  // namespace rustbd::txn
