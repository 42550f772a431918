// Layouts as rows of the built-in table: creating, altering and dropping tables inside transactions (§0 items
// 14-16).
#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"
#include "rustbd/storage/rows/row_format.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/index.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/types/vector.h"

namespace rustbd::txn {

namespace {

/// One row of the built-in table as constant vectors.
struct LayoutRow {
  Arena arena{1024};
  Bytes bytes;
  types::Vector columns[3];

  LayoutRow(Oid database, Oid relation, const storage::TableLayout& layout) {
    layout.serialize(bytes);
    columns[0] =
        types::make_constant(types::Datum::of(std::uint32_t{database}), false, types::Phys::kU32, arena);
    columns[1] =
        types::make_constant(types::Datum::of(std::uint32_t{relation}), false, types::Phys::kU32, arena);
    columns[2] =
        types::make_constant(types::Datum::of(types::Str{as_chars(bytes)}), false, types::Phys::kStr, arena);
  }
};

Bytes layout_key(const storage::TableLayout& table, Oid database, Oid relation) {
  const types::Datum values[2] = {types::Datum::of(std::uint32_t{database}),
                                  types::Datum::of(std::uint32_t{relation})};
  const bool nulls[2] = {false, false};
  Bytes key;
  append_index_key(table.indexes[0], values, nulls, key);
  return key;
}

/// What storage relies on. Throws 54011: too many columns, or too wide ones.
std::shared_ptr<storage::TableLayout> normalised(const storage::TableLayout& layout) {
  auto copy = std::make_shared<storage::TableLayout>(layout);
  for (auto& c : copy->columns)
    if (c.dropped) c.nullable = true;
  std::sort(copy->indexes.begin(), copy->indexes.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  const std::uint32_t fixed = storage::RowFormat(copy).fixed_part_bytes();
  if (fixed > storage::kFixedPartBytesMax)
    throw error(
        sqlstate::kTooManyColumns,
        "the columns of the table are too many or too wide: without texts they take {} bytes in a row, of "
        "which there can be {}",
        fixed, storage::kFixedPartBytesMax)
        .with_hint("Columns that have been dropped count, until the table is made anew.");
  return copy;
}

}  // namespace

std::shared_ptr<const storage::TableLayout> TransactionSystem::layout_for(Transaction& txn, Oid database,
                                                                          Oid relation) {
  if (const TxnState* state = txn.state()) {
    for (auto at = state->layout_changes.rbegin(); at != state->layout_changes.rend(); ++at)
      if (at->database == database && at->relation == relation) return at->after;
  }
  return layout_of(database, relation);
}

Outcome TransactionSystem::create_table(Transaction& txn, const storage::TableLayout& given) {
  const auto layout = normalised(given);
  if (auto status = parts_->make_trees(layout); !status) {
    bool restart = false;
    Outcome o = to_outcome(status, &restart);
    return restart ? Outcome::blocked_on({}) : o;
  }
  Table table(*this, parts_->layout_table);
  const LayoutRow row(layout->database, layout->relation, *layout);
  Outcome o = table.insert(txn, {row.columns, 0}, {}, nullptr);
  if (!o.ok()) return o;
  TxnState& state = txn.writable_state();
  state.events.add_ddl(layout->relation, kDdlLayout, {});
  state.layout_changes.push_back({layout->database, layout->relation, nullptr, layout, state.records.size()});
  parts_->set_newest(layout);
  return {};
}

Outcome TransactionSystem::alter_table(Transaction& txn, const storage::TableLayout& given) {
  const auto layout = normalised(given);
  const auto before = layout_for(txn, layout->database, layout->relation);
  RUSTBD_ASSERT(before != nullptr, "alter_table() needs a present layout");
  if (auto status = parts_->make_trees(layout); !status) {
    bool restart = false;
    Outcome o = to_outcome(status, &restart);
    return restart ? Outcome::blocked_on({}) : o;
  }
  Table table(*this, parts_->layout_table);
  RowId row;
  Outcome o = lookup_newest(table, txn, kLayoutIndex,
                            layout_key(*parts_->layout_table, layout->database, layout->relation), &row);
  if (!o.ok()) return o;
  const LayoutRow values(layout->database, layout->relation, *layout);
  static constexpr ColumnNumber kChanged[1] = {2};
  // The caller's table lock makes this the only writer; a version newer than the snapshot is the one that it
  // altered.
  for (std::uint64_t accept = 0;;) {
    o = table.update(txn, row, kChanged, {values.columns + 2, 0}, {}, accept);
    if (o.status != Status::kConflict) break;
    types::ChunkBuffer out;
    static constexpr ColumnNumber kOne[1] = {0};
    if (Outcome newest = table.fetch_newest(txn, row, kOne, out, &accept); !newest.ok()) return newest;
  }
  if (o.status ==
      Status::kSelfModified) {  // two changes in one command: the second one needs a number of its own
    txn.next_command();
    o = table.update(txn, row, kChanged, {values.columns + 2, 0}, {});
  }
  if (!o.ok()) return o;
  TxnState& state = txn.writable_state();
  if (before->table != layout->table && !layout->is_sequence)
    state.events.add_truncate(before->table, layout->table);
  else state.events.add_ddl(layout->relation, kDdlLayout, {});
  state.layout_changes.push_back({layout->database, layout->relation, before, layout, state.records.size()});
  parts_->set_newest(layout, SystemParts::Lacking::kMayReturn);
  return {};
}

Outcome TransactionSystem::drop_table(Transaction& txn, Oid database, Oid relation) {
  const auto before = layout_for(txn, database, relation);
  RUSTBD_ASSERT(before != nullptr, "drop_table() needs a present layout");
  Table table(*this, parts_->layout_table);
  RowId row;
  Outcome o =
      lookup_newest(table, txn, kLayoutIndex, layout_key(*parts_->layout_table, database, relation), &row);
  if (!o.ok()) return o;
  for (std::uint64_t accept = 0;;) {
    o = table.remove(txn, row, {}, accept);
    if (o.status == Status::kSelfModified) {
      txn.next_command();
      continue;
    }
    if (o.status != Status::kConflict) break;
    types::ChunkBuffer out;
    static constexpr ColumnNumber kOne[1] = {0};
    if (Outcome newest = table.fetch_newest(txn, row, kOne, out, &accept); !newest.ok()) return newest;
  }
  if (!o.ok()) return o;
  TxnState& state = txn.writable_state();
  state.events.add_ddl(relation, kDdlLayout, {});
  state.layout_changes.push_back({database, relation, before, nullptr, state.records.size()});
  return {};
}

}  // namespace rustbd::txn
