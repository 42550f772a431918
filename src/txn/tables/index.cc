#include "rustbd/txn/tables/index.h"

#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/read_ahead.h"
#include "rustbd/txn/tables/row_reader.h"

namespace rustbd::txn {

using storage::LeafView;

void append_index_key(const storage::IndexLayout& index, std::span<const types::Datum> values,
                      std::span<const bool> nulls, Bytes& out) {
  for (std::size_t i = 0; i < values.size(); ++i)
    types::append_key(values[i], nulls[i], index.parts[i].key, out);
}

namespace {

/// False: the range is empty. Keeps the memory of `out`.
bool to_storage_range(const KeyRange& range, storage::KeyRange* out) {
  out->low.clear();
  out->high.clear();
  if (range.has_lower) {
    out->low = range.lower;
    if (!range.lower_inclusive) out->low = storage::after_prefix(std::move(out->low));
    if (!range.lower_inclusive && out->low.empty()) return false;
  }
  if (range.has_upper) {
    out->high = range.upper;
    if (range.upper_inclusive) out->high = storage::after_prefix(std::move(out->high));
    if (!range.upper_inclusive && out->high.empty()) return false;
  }
  return true;
}

const IndexPart& part_of(const TableFormat& format, IndexId index) {
  for (const IndexPart& part : format.indexes)
    if (part.layout->id == index) return part;
  RUSTBD_UNREACHABLE("the index belongs to the table's layout");
}

}  // namespace

struct IndexScan::Cursor {
  Cursor(const IndexPart& index, bool backward)
      : part(&index), cursor(*index.tree, storage::KeyRange{}, backward, true) {}
  const IndexPart* const part;
  storage::IndexCursor cursor;
  storage::KeyRange bounds;
  storage::IndexBatch batch;
  std::size_t at = 0;
  bool end = false;
};

IndexScan::IndexScan(Table& table, IndexId index, const ReadView& view, const KeyRange& range,
                     ScanDirection direction, std::span<const ColumnNumber> columns, bool with_row_ids)
    : table_(table),
      columns_(columns.begin(), columns.end()),
      phys_(phys_of(table.format(), columns, with_row_ids)),
      with_row_ids_(with_row_ids),
      cursor_(
          std::make_unique<Cursor>(part_of(table.format(), index), direction == ScanDirection::kBackward)) {
  restart(view, range);
}
IndexScan::~IndexScan() = default;
IndexScan::IndexScan(IndexScan&&) noexcept = default;

void IndexScan::restart(const ReadView& view, const KeyRange& range) {
  view_ = view;
  Cursor& c = *cursor_;
  c.batch.clear();
  c.at = 0;
  c.end = !to_storage_range(range, &c.bounds);
  if (!c.end) c.cursor.restart(c.bounds);
}

std::size_t IndexScan::bytes_kept() const {
  const Cursor& c = *cursor_;
  return c.batch.keys.capacity() + c.batch.entries.capacity() * sizeof(storage::IndexBatch::Entry) +
         c.bounds.low.capacity() + c.bounds.high.capacity();
}

Outcome IndexScan::next(types::ChunkBuffer& out, std::uint32_t limit) {
  SystemParts& parts = table_.system_.parts();
  Cursor& c = *cursor_;
  prepare_chunk(out, phys_);
  limit = std::min(limit, types::kVectorSize);
  std::uint32_t filled = 0;
  Outcome outcome;
  const auto pin = parts.epochs().pin();
  RowFetcher fetcher(parts, *table_.state_, *table_.format_, view_, columns_, out);
  std::uint64_t* ids = with_row_ids_ ? out.chunk()[columns_.size()].values<std::uint64_t>() : nullptr;
  while (filled < limit) {
    if (c.at == c.batch.entries.size()) {
      fetcher.release();
      if (c.end) break;
      const auto status = c.cursor.next(&c.batch, limit - filled);
      c.at = 0;
      if (!status) {
        c.batch.clear();
        bool restart = false;
        outcome = to_outcome(status, &restart);
        if (restart) {
          outcome = {};
          continue;
        }
        break;
      }
      if (c.batch.entries.empty()) c.end = true;
      continue;
    }
    const auto& entry = c.batch.entries[c.at];
    const IndexHit hit{*c.part, c.batch.key(entry), c.batch.removals};
    const auto result = fetcher.add(entry.rowid, filled, &hit, &outcome);
    if (result == RowFetcher::Result::kStop) {
      if (outcome.blocked()) {
        read_rows_ahead(parts, *table_.state_, c.batch.entries.size() - c.at - 1,
                        [&](std::size_t i) { return c.batch.entries[c.at + 1 + i].rowid; });
      }
      break;
    }
    ++c.at;
    if (result == RowFetcher::Result::kSkipped) continue;
    if (ids != nullptr) ids[filled] = entry.rowid.raw();
    ++filled;
  }
  out.chunk().select_all(filled);
  if (filled > 0) return {};  // a failure comes again with the next call
  return outcome.ok() ? Outcome{Status::kEnd} : outcome;
}

namespace {

Outcome lookup(Table& table, SystemParts& parts, IndexId index, const ReadView& view, ByteSpan key,
               RowId* out) {
  const IndexPart& part = part_of(table.format(), index);
  storage::KeyRange bounds;
  to_storage_range(KeyRange::equal(Bytes(key.begin(), key.end())), &bounds);
  storage::IndexCursor cursor(*part.tree, bounds, false, true);
  storage::IndexBatch batch;
  types::ChunkBuffer none;
  const auto pin = parts.epochs().pin();
  RowFetcher fetcher(parts, table.trees(), table.format(), view, {}, none);
  for (;;) {
    const auto status = cursor.next(&batch);
    if (!status) {
      bool restart = false;
      Outcome o = to_outcome(status, &restart);
      if (restart) continue;
      return o;
    }
    if (batch.entries.empty()) return {Status::kEnd};
    for (const auto& entry : batch.entries) {
      Outcome o;
      const IndexHit hit{part, batch.key(entry), batch.removals};
      switch (fetcher.add(entry.rowid, 0, &hit, &o)) {
        case RowFetcher::Result::kStop: return o;
        case RowFetcher::Result::kSkipped: break;
        case RowFetcher::Result::kAdded: *out = entry.rowid; return {};
      }
    }
    fetcher.release();
  }
}

}  // namespace

Outcome lookup_unique(Table& table, IndexId index, const ReadView& view, ByteSpan key, RowId* out) {
  return lookup(table, table.system().parts(), index, view, key, out);
}

Outcome lookup_newest(Table& table, Transaction& txn, IndexId index, ByteSpan key, RowId* out) {
  SystemParts& parts = table.system().parts();
  const ReadView view{parts.published_ts.load(std::memory_order_seq_cst), ~CommandId{0}, txn.state(), &txn};
  return lookup(table, parts, index, view, key, out);
}

// --- Build ---

namespace {

/// Entries of one leaf's rows.
struct BuildEntry {
  std::uint32_t offset, bytes;
  RowId row;
  bool live;  // counts for uniqueness
};

struct BuildRun {
  Bytes keys;
  std::vector<BuildEntry> entries;
  std::vector<RowId> chained;  // rows of which some snapshot may see an older version
  [[nodiscard]] std::string_view key(const BuildEntry& e) const {
    return as_chars(ByteSpan{keys}.subspan(e.offset, e.bytes));
  }
  void add(ByteSpan key, RowId row, bool live) {
    entries.push_back(
        {static_cast<std::uint32_t>(keys.size()), static_cast<std::uint32_t>(key.size()), row, live});
    keys.insert(keys.end(), key.begin(), key.end());
  }
};

/// The key of a row's image. Values in overflow pages are read; `image` keeps them, in `arena`.
storage::Status key_of_image(SystemParts& parts, const TableFormat& format, const IndexPart& part,
                             std::vector<Cell>& image, Arena& arena, Bytes* key, bool* has_null) {
  for (const auto& p : part.layout->parts) {
    Cell& cell = image[p.column];
    if (cell.kind != CellKind::kOverflow) continue;
    const auto ref = cell.overflow_ref();
    char* to = static_cast<char*>(arena.allocate(ref.bytes + 1, 1));
    storage::OverflowRead read(ref, to);
    if (auto s = read.run(parts.buffer()); !s) return s;
    cell = Cell::stored({to, ref.bytes});
  }
  *has_null = false;
  key->clear();
  append_entry_key(format, *part.layout, image, arena, *key, has_null);
  return {};
}

/// The newest versions of the rows of the leaf that covers `*next`, which are committed or own: nobody else
/// writes.
storage::Status read_leaf(SystemParts& parts, TreeState& state, const TableFormat& format,
                          const IndexPart& part, RowId* next, bool* end, BuildRun* run) {
  const std::size_t kept_entries = run->entries.size(), kept_bytes = run->keys.size(),
                    kept_rows = run->chained.size();
  const auto give_up = [&](storage::Status status) {
    run->entries.resize(kept_entries);
    run->keys.resize(kept_bytes);
    run->chained.resize(kept_rows);
    return status;
  };
  const auto pin = parts.epochs().pin();
  storage::SharedGuard leaf;
  if (auto s = state.tree->fix_leaf(*next, &leaf); !s) return s;
  LeafView view;
  if (!LeafView::open(leaf.data(), format.rows, &view)) return storage::Status::damaged(leaf.page_id());
  std::vector<Cell> image(format.phys.size());
  Arena arena(4096);
  Bytes key;
  for (std::uint32_t slot = view.lower_bound(*next); slot < view.rows(); ++slot) {
    const RowId row = view.rowid(slot);
    if (parts.versions.head(state.id, row).head != nullptr) run->chained.push_back(row);
    if (view.tombstone(slot)) continue;
    if (!view.row(slot, image)) return give_up(storage::Status::damaged(leaf.page_id()));
    bool null = false;
    if (auto s = key_of_image(parts, format, part, image, arena, &key, &null); !s) return give_up(s);
    run->add(key, row, !null || part.layout->nulls_not_distinct);
  }
  *end = view.high_fence() == storage::kNoHighFence;
  if (!*end) *next = RowId{view.high_fence()};
  return {};
}

/// One entry of an older version of the row, of a key that is not in `done` yet; one action. Its leaf is
/// latched, so the version is not collected before the entry is in (a collected one would leave it for ever).
/// `*more`: call again. kFull: the leaf of `*full` has no room.
storage::Status add_older_version(SystemParts& parts, TreeState& state, const TableFormat& format,
                                  const IndexPart& part, RowId row, std::vector<Bytes>* done, bool* more,
                                  Bytes* full) {
  *more = false;
  const auto pin = parts.epochs().pin();
  const storage::Action action(parts.gate());
  storage::SharedGuard leaf;
  if (auto s = state.tree->fix_leaf(row, &leaf); !s) return s;
  LeafView view;
  if (!LeafView::open(leaf.data(), format.rows, &view)) return storage::Status::damaged(leaf.page_id());
  const std::uint32_t slot = view.find(row);
  if (slot == storage::kNoSlot) return {};
  std::vector<Cell> image(format.phys.size());
  if (!view.row(slot, image)) return storage::Status::damaged(leaf.page_id());
  Arena arena(4096);
  Bytes key, scratch;
  for (const UndoRec* r = parts.versions.head(state.id, row).head; r != nullptr && r->op != UndoOp::kInsert;
       r = r->older.load(std::memory_order_acquire)) {
    if (r->op == UndoOp::kUpdate) {
      ByteSpan payload;
      storage::Status status;
      if (!parts.load_payload(*r, scratch, &payload, &status)) return status;
      const ByteSpan kept = arena.copy(payload);
      read_undo_update(
          kept, format, [&](ColumnNumber c, const Cell& cell) { image[c] = cell; }, nullptr);
    }
    bool null = false;
    if (auto s = key_of_image(parts, format, part, image, arena, &key, &null); !s) return s;
    if (std::find(done->begin(), done->end(), key) != done->end()) continue;
    storage::IndexInsert insert;
    if (auto s = part.tree->prepare_insert(key, row, &insert); !s) {
      *full = std::move(key);
      return s;
    }
    if (auto dirty = insert.mark_dirty(); !dirty) return storage::Status::miss(dirty.retry);
    insert.apply();
    done->push_back(key);
    *more = true;
    return {};
  }
  return {};
}

/// Awaits what a storage status asks for; false: it is final and `*out` says why.
Task<bool> again(storage::Status status, TableId table, Outcome* out) {
  bool restart = false;
  *out = to_outcome(status, &restart, table);
  if (restart) co_return true;
  if (!out->blocked()) co_return false;
  co_await out->token;
  co_return true;
}

Task<Outcome> add_older_versions(SystemParts& parts, TreeState& state, const TableFormat& format,
                                 const IndexPart& part, RowId row) {
  Outcome outcome;
  std::vector<Bytes> done;
  for (bool more = true; more;) {
    Bytes full;
    storage::Status status = add_older_version(parts, state, format, part, row, &done, &more, &full);
    if (status) continue;
    more = true;
    if (status.outcome == storage::Outcome::kFull) status = part.tree->split(full, row);
    if (!status && !co_await again(status, state.id, &outcome)) co_return outcome;
  }
  co_return Outcome{};
}

/// Keys of an index with expressions or a predicate, from the caller's function; and their events.
Task<Outcome> read_computed(Table& table, const IndexPart& part, Transaction& txn, ComputeKeys& compute,
                            BuildRun* run) {
  ReadView view = txn.fresh_view();
  view.command = ~CommandId{0};
  ComputedKeyScan scan(table, part, view, compute);
  Bytes text;
  for (;;) {
    text.clear();
    std::uint32_t events = 0;
    Outcome o = scan.next([&](RowId row, ByteSpan key, bool null) {
      run->add(key, row, !null || part.layout->nulls_not_distinct);
      ByteWriter w(text);
      w.varint(row.raw());
      w.text(as_chars(key));
      ++events;
    });
    if (o.blocked()) {
      co_await o.token;
      continue;
    }
    if (o.status == Status::kEnd) break;
    if (!o.ok()) co_return o;
    if (events == 0) continue;
    for (;;) {
      Outcome ready = txn.prepare_write();
      if (ready.ok()) break;
      if (!ready.blocked()) co_return ready;
      co_await ready.token;
    }
    txn.writable_state().events.add_ddl(part.layout->id.raw(), kDdlIndexEntries, as_chars(text));
  }
  co_return Outcome{};
}

}  // namespace

Task<Outcome> build_index(Table& table, IndexId index, Transaction& txn, ComputeKeys* compute) {
  SystemParts& parts = table.system().parts();
  TreeState& state = table.trees();
  const IndexPart& part = part_of(table.format(), index);
  BuildRun run;
  Outcome outcome;
  const std::uint64_t next_txid = parts.next_txid.load(std::memory_order_acquire);
  state.index_built_at.store(next_txid, std::memory_order_release);
  for (std::uint64_t known = parts.index_built_at.load(); known < next_txid;)
    if (parts.index_built_at.compare_exchange_weak(known, next_txid)) break;
  if (part.computed) {
    RUSTBD_ASSERT(compute != nullptr, "an index with expressions needs somebody to compute them");
    outcome = co_await read_computed(table, part, txn, *compute, &run);
    if (!outcome.ok()) co_return outcome;
  } else {
    RowId next{1};
    for (bool end = false; !end;) {
      const storage::Status status = read_leaf(parts, state, table.format(), part, &next, &end, &run);
      if (!status && !co_await again(status, state.id, &outcome)) co_return outcome;
    }
  }
  std::sort(run.entries.begin(), run.entries.end(), [&](const BuildEntry& a, const BuildEntry& b) {
    const int order = run.key(a).compare(run.key(b));
    return order != 0 ? order < 0 : a.row < b.row;
  });
  storage::IndexBuilder builder(*part.tree);
  const BuildEntry* live = nullptr;
  for (const BuildEntry& e : run.entries) {
    if (e.bytes > storage::kIndexKeyBytesMax) {
      outcome = {Status::kTooLarge};
      outcome.index = index;
      co_return outcome;
    }
    if (part.layout->unique && e.live) {
      if (live != nullptr && run.key(*live) == run.key(e) && live->row != e.row) {
        outcome = {Status::kDuplicate};
        outcome.index = index;
        outcome.row = e.row;
        outcome.row_state = ConflictState::kCommitted;
        co_return outcome;
      }
      live = &e;
    }
    storage::Status status = builder.add(as_bytes(run.key(e)), e.row);
    while (!status) {
      if (!co_await again(status, state.id, &outcome)) co_return outcome;
      status = builder.flush();
    }
  }
  for (;;) {
    const storage::Status status = builder.flush();
    if (status) break;
    if (!co_await again(status, state.id, &outcome)) co_return outcome;
  }
  for (const RowId row : run.chained) {
    outcome = co_await add_older_versions(parts, state, table.format(), part, row);
    if (!outcome.ok()) co_return outcome;
  }
  co_return Outcome{};
}

}  // namespace rustbd::txn
