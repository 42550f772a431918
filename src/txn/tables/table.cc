#include "rustbd/txn/tables/table.h"

#include <algorithm>
#include <thread>

#include "rustbd/base/assert.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/read_ahead.h"
#include "rustbd/txn/tables/row_reader.h"
#include "rustbd/txn/tables/row_writer.h"

namespace rustbd::txn {

using storage::LeafView;

Table::Table(TransactionSystem& system, std::shared_ptr<const storage::TableLayout> layout)
    : system_(system), layout_(std::move(layout)) {
  SystemParts& parts = system_.parts();
  state_ = parts.tree_state(layout_->table);
  RUSTBD_ASSERT(state_ != nullptr, "a table's layout names an existing tree");
  format_ = parts.format_of(layout_, *state_);
}
Table::~Table() = default;
Table::Table(Table&&) noexcept = default;

Outcome Table::insert(Transaction& txn, RowRef row, const WriteExtras& extras, RowId* out) {
  if (Outcome o = txn.prepare_write(); !o.ok()) return o;
  return RowWriter(*this, txn).insert(row, extras, false, out);
}

Outcome Table::update(Transaction& txn, RowId row, std::span<const ColumnNumber> changed, RowRef values,
                      const WriteExtras& extras, std::uint64_t accept_newer) {
  if (Outcome o = txn.prepare_write(); !o.ok()) return o;
  return RowWriter(*this, txn).update(row, changed, values, extras, accept_newer);
}

Outcome Table::remove(Transaction& txn, RowId row, const WriteExtras& extras, std::uint64_t accept_newer) {
  if (Outcome o = txn.prepare_write(); !o.ok()) return o;
  return RowWriter(*this, txn).remove(row, extras, accept_newer);
}

Outcome Table::lock_row(Transaction& txn, RowId row, RowLockMode mode, WaitPolicy policy,
                        std::uint64_t accept_newer) {
  return RowWriter(*this, txn).lock(row, mode, policy, accept_newer);
}

Outcome Table::check_deferred_unique(Transaction& txn, const DeferredUnique& list, std::size_t* done) {
  for (; *done < list.suspects.size(); ++*done) {
    const auto& suspect = list.suspects[*done];
    if (suspect.table != layout_->table) continue;
    for (const IndexPart& part : format_->indexes) {
      if (part.layout->id != suspect.index) continue;
      if (Outcome o = RowWriter(*this, txn).check_unique(part, suspect.key, suspect.row); !o.ok()) return o;
    }
  }
  return {};
}

// --- Fetch ---

Outcome Table::fetch(const ReadView& view, std::span<const RowId> rows, std::span<const ColumnNumber> columns,
                     types::ChunkBuffer& out, std::uint16_t* positions, std::uint32_t* consumed) {
  SystemParts& parts = system_.parts();
  prepare_chunk(out, phys_of(*format_, columns, false));
  std::uint32_t filled = 0, done = 0;
  Outcome outcome;
  {
    const auto pin = parts.epochs().pin();
    RowFetcher fetcher(parts, *state_, *format_, view, columns, out);
    for (; done < rows.size(); ++done) {
      const auto result = fetcher.add(rows[done], filled, nullptr, &outcome);
      if (result == RowFetcher::Result::kStop) break;
      if (result == RowFetcher::Result::kSkipped) continue;
      if (positions != nullptr) positions[filled] = static_cast<std::uint16_t>(done);
      ++filled;
    }
  }
  if (outcome.blocked()) {
    read_rows_ahead(parts, *state_, rows.size() - done - 1,
                    [&](std::size_t i) { return rows[done + 1 + i]; });
  }
  out.chunk().select_all(filled);
  if (consumed == nullptr) return outcome;
  *consumed = done;
  if (!outcome.ok() && done > 0) return {};  // what came before counts; the failure comes again
  return outcome;
}

Outcome Table::bulk_append(Transaction& txn, const types::Chunk& chunk, const WriteExtras& extras,
                           std::uint32_t* done, std::uint64_t* row_ids) {
  const auto& indexes = format_->indexes;
  const bool computed =
      std::any_of(indexes.begin(), indexes.end(), [](const IndexPart& p) { return p.computed; });
  const bool bulk = !computed && chunk.count() >= system_.parts().options.bulk_rows_min;
  for (; *done < chunk.count(); ++*done) {
    if (Outcome o = txn.prepare_write(); !o.ok()) return o;
    RowId row;
    WriteExtras at = extras;
    at.row = chunk.selection[*done];
    if (Outcome o = RowWriter(*this, txn).insert({chunk.columns, at.row}, at, bulk, &row); !o.ok()) return o;
    if (row_ids != nullptr) row_ids[*done] = row.raw();
  }
  return {};
}

Outcome Table::fetch_newest(Transaction& txn, RowId row, std::span<const ColumnNumber> columns,
                            types::ChunkBuffer& out, std::uint64_t* version) {
  SystemParts& parts = system_.parts();
  // Everything committed by now, and all own changes whatever their command.
  ReadView view{parts.published_ts.load(std::memory_order_seq_cst), ~CommandId{0}, txn.state(), &txn};
  *version = 0;
  RowId one[1] = {row};
  std::uint16_t position = 0;
  // The version's name must belong to the image: both are read under one latch when the head does not change
  // between.
  for (;;) {
    const auto pin = parts.epochs().pin();
    const auto newest = [&]() -> std::uint64_t {
      const ChainHead chain = parts.versions.head(state_->id, row);
      for (const UndoRec* r = chain.head; r != nullptr; r = r->older.load(std::memory_order_acquire))
        if (view_stops(view, *r)) return r->owner->commit_ts.load(std::memory_order_acquire);
      if (chain.bulk == nullptr || !view_stops(view, *chain.bulk)) return 0;
      return chain.bulk->owner->commit_ts.load(std::memory_order_acquire);
    };
    const std::uint64_t before = newest();
    if (Outcome o = fetch(view, one, columns, out, &position); !o.ok()) return o;
    if (newest() != before) continue;
    *version = before;
    return {};
  }
}

// --- Estimates and cuts ---

double Table::row_count() const {
  return static_cast<double>(std::max<std::int64_t>(0, state_->live_rows.load(std::memory_order_relaxed)));
}

double Table::page_count() const {
  const double bytes = static_cast<double>(format_->rows.current().row_bytes()) +
                       16.0 * format_->rows.current().variable_count();
  return std::max(1.0, row_count() * bytes / static_cast<double>(storage::kPageBytes) * 1.3);
}

Outcome Table::morsel_boundaries(std::uint32_t wanted, std::vector<std::uint64_t>* out) {
  out->clear();
  SystemParts& parts = system_.parts();
  std::vector<storage::LeafRange> leaves;
  RowId from{1};
  for (unsigned rounds = 0; rounds < 4096; ++rounds) {
    const auto pin = parts.epochs().pin();
    RowId next;
    const auto status = state_->tree->leaves_from(from, 1024, &leaves, &next);
    if (!status) {
      bool restart = false;
      Outcome o = to_outcome(status, &restart, layout_->table);
      if (restart) continue;
      return o;
    }
    if (next.is_none()) break;
    from = next;
  }
  const std::size_t step = std::max<std::size_t>(1, leaves.size() / std::max(1u, wanted));
  for (std::size_t i = step; i < leaves.size(); i += step) {
    const std::uint64_t cut = leaves[i].first_rowid.raw();
    if (out->empty() || cut > out->back()) out->push_back(cut);
  }
  return {};
}

// --- Scan ---

TableScan::TableScan(Table& table, const ReadView& view, std::span<const ColumnNumber> columns,
                     RowRange range, bool with_row_ids)
    : table_(table),
      view_(view),
      columns_(columns.begin(), columns.end()),
      phys_(phys_of(table.format(), columns, with_row_ids)),
      range_(range),
      next_row_(std::max<std::uint64_t>(1, range.first)),
      with_row_ids_(with_row_ids) {}
TableScan::~TableScan() = default;

namespace {
/// A leaf that cannot be read in the scan's format: the statement's error, and nothing else's.
Outcome unreadable(PageId page, const TreeState& state) {
  bool restart = false;
  return to_outcome(storage::Status::damaged(page, state.id.raw()), &restart, state.id);
}
}  // namespace

/// From the leaf `left`, which is not latched any more, to the one that begins at `row`.
void TableScan::go_on(std::uint64_t row, PageId left) {
  if (ahead_) ahead_->leave(left);
  next_row_ = row;
  end_ = row == storage::kNoHighFence;
  entering_ = !end_;
}

Outcome TableScan::next(types::ChunkBuffer& out) {
  SystemParts& parts = table_.system_.parts();
  const TableFormat& format = *table_.format_;
  TreeState& state = *table_.state_;
  RowReader reader(parts, format, view_);
  std::vector<VersionMap::RowChain> chains;
  std::vector<VersionMap::BulkRange> bulk;
  std::vector<std::uint64_t> ids;
  std::vector<bool> dead;
  OverflowList overflow;
  for (unsigned tries = 0;; ++tries) {
    if (end_ || next_row_ > range_.last) return {Status::kEnd};
    if (tries > 0 && tries % 64 == 0) std::this_thread::yield();
    if (std::exchange(entering_, false)) {
      if (!ahead_) ahead_ = std::make_unique<ReadAhead>(parts, state, range_.last);
      ahead_->enter(next_row_);
    }
    prepare_chunk(out, phys_);
    const auto pin = parts.epochs().pin();
    storage::SharedGuard leaf;
    if (const auto status = state.tree->fix_leaf(RowId{next_row_}, &leaf); !status) {
      bool restart = false;
      Outcome o = to_outcome(status, &restart, state.id);
      if (restart) continue;
      return o;
    }
    LeafView page;
    if (!LeafView::open(leaf.data(), format.rows, &page)) return unreadable(leaf.page_id(), state);
    const std::uint64_t fence = page.high_fence();
    const std::uint32_t first = page.lower_bound(RowId{next_row_});
    const std::uint32_t limit = range_.last >= fence ? page.rows() : page.lower_bound(RowId{range_.last + 1});
    const std::uint32_t last = std::min(limit, first + types::kVectorSize);
    if (first >= last) {
      const PageId left = leaf.page_id();
      leaf.release();
      go_on(fence, left);
      continue;
    }
    const std::uint32_t n = last - first;
    const std::uint64_t after = last < page.rows() ? page.rowid(last).raw() : fence;
    overflow.values.clear();
    chains.clear();
    bulk.clear();
    ids.resize(n);
    page.copy_rowids(first, last, ids.data());
    if (!page.copy_columns(first, last, columns_, out, 0, &overflow.values))
      return unreadable(leaf.page_id(), state);
    dead.assign(n, false);
    const bool tombstones = page.any_tombstone(first, last);
    if (tombstones)
      for (std::uint32_t i = 0; i < n; ++i) dead[i] = page.tombstone(first + i);
    if (leaf.has_versions()) {
      const bool whole = first == 0 && last == page.rows();
      parts.versions.collect(state.id, whole ? page.base_rowid() : ids.front(),
                             whole && fence != storage::kNoHighFence ? fence - 1 : ids.back(), &chains,
                             &bulk);
      if (whole && chains.empty() && bulk.empty()) {
        if (auto exclusive = leaf.upgrade()) exclusive->set_has_versions(false);
      }
    }
    const PageId leaf_page = leaf.page_id();
    leaf.release();

    // What the view sees of each row.
    selected_.clear();
    storage::Status status;
    std::size_t c = 0, b = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
      while (c < chains.size() && chains[c].row < ids[i]) ++c;
      while (b < bulk.size() && bulk[b].last < ids[i]) ++b;
      ChainHead chain;
      if (c < chains.size() && chains[c].row == ids[i]) chain.head = chains[c].head;
      if (b < bulk.size() && bulk[b].first <= ids[i]) chain.bulk = bulk[b].record;
      if (chain.empty()) {
        if (!dead[i]) selected_.push_back(static_cast<std::uint16_t>(i));
        continue;
      }
      if (!reader.visible(chain, dead[i], true)) continue;
      if (chain.head != nullptr) {
        if (status = reader.rewind_chunk(chain, columns_, out, i, &overflow); !status) break;
      }
      selected_.push_back(static_cast<std::uint16_t>(i));
    }
    if (!status) {
      bool restart = false;
      Outcome o = to_outcome(status, &restart, state.id);
      if (restart) continue;
      return o;
    }
    std::uint64_t resume = after;
    bool restarted = false;
    if (!overflow.values.empty()) {
      std::sort(overflow.values.begin(), overflow.values.end(),
                [](const auto& x, const auto& y) { return x.row < y.row; });
      std::size_t v = 0;
      for (std::size_t k = 0; k < selected_.size() && !restarted; ++k) {
        const std::uint32_t row = selected_[k];
        while (v < overflow.values.size() && overflow.values[v].row < row) ++v;
        for (std::size_t w = v; w < overflow.values.size() && overflow.values[w].row == row; ++w) {
          const auto& value = overflow.values[w];
          if (status = reader.read_overflow(value, columns_[value.chunk_column], out); status) continue;
          if (k > 0) {  // hand out what is complete; the rest comes with the next call
            selected_.resize(k);
            resume = ids[row];
            break;
          }
          bool restart = false;
          Outcome o = to_outcome(status, &restart, state.id);
          if (!restart) return o;
          restarted = true;
          break;
        }
      }
    }
    if (restarted) continue;
    if (resume == fence) go_on(fence, leaf_page);
    else next_row_ = resume;
    if (selected_.empty()) continue;
    if (with_row_ids_) {
      std::copy(ids.begin(), ids.end(), out.chunk()[columns_.size()].values<std::uint64_t>());
    }
    types::Chunk& chunk = out.chunk();
    chunk.select_all(n);
    if (selected_.size() != n)
      chunk.selection = {selected_.data(), static_cast<std::uint32_t>(selected_.size())};
    return {};
  }
}

}  // namespace rustbd::txn
