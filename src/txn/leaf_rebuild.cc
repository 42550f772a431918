#include "rustbd/txn/leaf_rebuild.h"

#include <fmt/format.h>

#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/log/segments.h"
#include "rustbd/storage/btree/index_tree.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

namespace {

constexpr ColumnNumber kLayoutBytesColumn = 2;  // of the built-in table

using FormatPointer = std::shared_ptr<const TableFormat>;

FormatPointer format_in(const Cell& bytes) {
  auto layout = std::make_shared<storage::TableLayout>();
  if (bytes.kind != CellKind::kValue ||
      !storage::TableLayout::deserialize(as_bytes(bytes.value.str.view()), layout.get()))
    return nullptr;
  return std::make_shared<TableFormat>(std::move(layout));
}

/// What an event of the built-in table says; nullptr: nothing.
struct LayoutEvent {
  FormatPointer before, after;
};
LayoutEvent layout_event(const log::Event& event, const TableFormat& built_in) {
  Arena arena(1024);
  std::vector<ColumnNumber> columns;
  std::vector<Cell> before, after;
  std::vector<ComputedEntry> computed;
  LayoutEvent change;
  if (event.op == log::EventOp::kInsert) {
    if (read_row_event(event.body, built_in, arena, &after, &computed))
      change.after = format_in(after[kLayoutBytesColumn]);
  } else if (event.op == log::EventOp::kUpdate) {
    if (!read_update_event(event.body, built_in, arena, &columns, &before, &after, &computed)) return {};
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i] != kLayoutBytesColumn) continue;
      change.before = format_in(before[i]);
      change.after = format_in(after[i]);
    }
  }
  return change;
}

}  // namespace

std::string LeafRepair::what() const {
  return why_not.empty() ? fmt::format("was damaged; its {} rows were made anew from the log", rows)
                         : "is damaged and cannot be made anew from the log: " + why_not;
}

LeafRebuild::LeafRebuild(SystemParts& parts, std::vector<DamagedLeaf> leaves, Lsn end)
    : parts_(parts), end_(end) {
  for (auto& leaf : leaves) {
    if (!parts_.by_table.contains(leaf.table)) continue;  // of a table that is no more
    layouts_[leaf.table];
    histories_.emplace_back().leaf = std::move(leaf);
  }
}

std::vector<LeafRepair> LeafRebuild::run() {
  find_ranges();
  read_log();
  std::vector<LeafRepair> results;
  for (History& history : histories_) {
    if (history.why_not.empty()) history.why_not = log_problem_;
    if (history.why_not.empty()) history.why_not = missing_rows(history);
    results.push_back(history.why_not.empty()
                          ? make(history)
                          : LeafRepair{history.leaf.table, history.leaf.place.page, 0, history.why_not});
  }
  return results;
}

void LeafRebuild::find_ranges() {
  for (History& history : histories_) find_range(history);
  std::ranges::sort(histories_, {}, [](const History& h) { return std::pair(h.leaf.table, h.low); });
}

/// A dead neighbour on the left has left its range to this leaf. One that cannot be read either gets its own
/// back: if it was dead, what it had left is made anew there, or stays what cannot be read.
void LeafRebuild::find_range(History& history) {
  storage::TableTree& tree = *parts_.tree_state(history.leaf.table)->tree;
  storage::LeafPlace& place = history.leaf.place;
  const PageId page = place.page;
  const RowId first{std::max<std::uint64_t>(place.low, 1)};
  if (!storage::run_blocking([&] { return tree.place_of(first, &place); }) || place.page != page) {
    history.why_not = "a page above it cannot be read";
    return;
  }
  history.low = place.low;
  for (storage::LeafPlace left = place; !left.left.is_none(); history.low = left.low) {
    auto neighbour = parts_.buffer().fix_shared(left.left);
    if (!neighbour || (neighbour->header().flags & storage::kLeafDead) == 0) return;
    const RowId before{history.low - 1};
    if (storage::run_blocking([&] { return tree.place_of(before, &left); })) continue;
    history.why_not = "a page above the one before it cannot be read";
    return;
  }
}

// --- The kept log ---

void LeafRebuild::read_log() {
  io::Disk& disk = *parts_.environment.disk;
  const log::Geometry geometry(parts_.storage->state().log_segment_bytes);
  const auto segments = log::list_segments(disk, "wal");
  log::LogReader reader(disk, "wal", geometry, parts_.storage->keys());
  bool whole = false;
  for (std::size_t i = 0; segments && i < segments->size() && !whole; ++i) {
    const std::uint64_t number = geometry.segment_of((*segments)[i]);
    if (geometry.first_lsn(number) >= end_ || !reader.seek_segment(number).value_or(false)) continue;
    forget();
    whole = read_from(reader, reader.position(), Look::kLayouts);
    if (whole) break;
    // Behind what cannot be read the log begins anew.
    while (i + 1 < segments->size() &&
           geometry.segment_of((*segments)[i + 1]) <= geometry.segment_of(reader.position()))
      ++i;
  }
  if (whole) {
    for (auto& [table, layouts] : layouts_)
      if (!layouts.seen) layouts.format = parts_.tree_state(table)->format();
    whole = read_from(reader, from_, Look::kRows);
  }
  if (!whole) log_problem_ = "the log that is kept cannot be read";
}

void LeafRebuild::forget() {
  for (auto& [table, layouts] : layouts_) layouts = {};
  prepared_.clear();
}

/// Up to the log's end. False: the log cannot be read further than to the reader's position.
bool LeafRebuild::read_from(log::LogReader& reader, Lsn from, Look look) {
  const auto visit = [&](const log::Event& event) {
    if (event.table == kLayoutTable) learn(event, look);
    else if (look == Look::kRows) take(event);
  };
  reader.seek(from);
  reader.set_limit(end_);
  prepared_.clear();
  from_ = from;
  for (;;) {
    const auto got = reader.next();
    if (got != log::ReadOutcome::kBatch) return got == log::ReadOutcome::kEnd && reader.position() == end_;
    const log::BatchView& batch = reader.batch();
    bool good = true;
    switch (batch.header.kind) {
      case log::BatchKind::kCommit:
      case log::BatchKind::kCommitLarge:
      case log::BatchKind::kNonTransactional: good = reader.for_each_event(batch, visit); break;
      case log::BatchKind::kPrepare:
      case log::BatchKind::kPrepareLarge: prepared_[batch.header.txid] = batch.start; break;
      case log::BatchKind::kAbortPrepared: prepared_.erase(batch.header.txid); break;
      case log::BatchKind::kCommitPrepared: {
        const auto at = prepared_.find(batch.header.txid);
        Bytes content;
        log::BatchView prepare;
        good = at != prepared_.end() && reader.read_at(at->second, content, prepare) &&
               reader.for_each_event(prepare, visit);
        prepared_.erase(batch.header.txid);
        break;
      }
      default: break;
    }
    if (good) continue;
    if (look == Look::kRows) return false;
    // A transaction that began before the kept log: whole is what comes after it.
    forget();
    from_ = reader.position();
  }
}

void LeafRebuild::learn(const log::Event& event, Look look) {
  const LayoutEvent change = layout_event(event, *parts_.tree_state(kLayoutTable)->format());
  if (change.after == nullptr) return;
  const auto known = layouts_.find(change.after->layout->table);
  if (known == layouts_.end()) return;
  Layouts& layouts = known->second;
  if (look == Look::kRows) {
    layouts.format = change.after;
  } else if (!std::exchange(layouts.seen, true)) {
    layouts.began = change.before == nullptr || change.before->layout->table != change.after->layout->table;
    if (!layouts.began) layouts.format = change.before;
  }
}

LeafRebuild::History* LeafRebuild::find(TableId table, RowId row) {
  const auto behind =
      std::ranges::upper_bound(histories_, std::pair(table, row.raw()), {},
                               [](const History& h) { return std::pair(h.leaf.table, h.low); });
  if (behind == histories_.begin()) return nullptr;
  History& history = *std::prev(behind);
  return history.leaf.table == table && row.raw() < history.leaf.place.high ? &history : nullptr;
}

void LeafRebuild::take(const log::Event& event) {
  if (!SystemParts::is_row_event(event)) return;
  History* history = find(event.table, event.row);
  if (history == nullptr || !history->why_not.empty()) return;
  const auto& format = layouts_.at(event.table).format;
  if (format == nullptr) {
    history->why_not = "the log has rows of it from before the table was made";
    return;
  }
  bring_to(*history, format);
  if (history->why_not.empty()) take_row(*history, *format, event);
}

void LeafRebuild::take_row(History& history, const TableFormat& format, const log::Event& event) {
  Arena arena(1024);
  std::vector<ColumnNumber> columns;
  std::vector<Cell> before, after, cells;
  std::vector<ComputedEntry> computed;
  Row& row = history.rows[event.row.raw()];
  bool good = true;
  switch (event.op) {
    case log::EventOp::kInsert:
      good = !row.known && read_row_event(event.body, format, arena, &cells, &computed);
      row.known = row.present = true;
      break;
    case log::EventOp::kUpdate:
      if (!row.known) return;  // from before the log
      good =
          row.present && read_update_event(event.body, format, arena, &columns, &before, &after, &computed);
      cells = row.cells;
      if (good)
        for (std::size_t i = 0; i < columns.size(); ++i) cells[columns[i]] = after[i];
      break;
    default: row = {.known = true, .present = false, .cells = {}, .arena = nullptr}; return;
  }
  if (good) keep(row, format, cells);
  else history.why_not = fmt::format("the log does not fit row {}", event.row.raw());
}

void LeafRebuild::keep(Row& row, const TableFormat& format, const std::vector<Cell>& cells) {
  auto arena = std::make_unique<Arena>(256);
  std::vector<Cell> copies(cells.size());
  for (std::size_t i = 0; i < cells.size(); ++i)
    copies[i] = storage::copy_cell(cells[i], format.phys[i], *arena);
  row.cells = std::move(copies);
  row.arena = std::move(arena);
}

/// Rows that were written before a column came show its missing value.
void LeafRebuild::bring_to(History& history, const FormatPointer& format) {
  const auto from = std::exchange(history.format, format);
  if (from == nullptr || from == format || from->layout->schema_version == format->layout->schema_version)
    return;
  const std::size_t had = from->phys.size(), has = format->phys.size();
  if (has < had || !std::equal(from->phys.begin(), from->phys.end(), format->phys.begin())) {
    history.why_not = "the table's columns are others by now";
    return;
  }
  if (has == had) return;
  for (auto& [id, row] : history.rows) {
    if (!row.present) continue;
    std::vector<Cell> cells = row.cells;
    for (std::size_t c = had; c < has; ++c)
      cells.push_back(format->rows.missing(static_cast<std::uint32_t>(c)));
    keep(row, *format, cells);
  }
}

// --- The proof ---

std::string LeafRebuild::before_the_log(std::uint64_t row) const {
  return fmt::format("row {} is older than the log that is kept, which is whole from {} on", row,
                     to_text(from_));
}

bool LeafRebuild::is_explained(const History& history, std::uint64_t row) const {
  const auto at = history.rows.find(row);
  return at != history.rows.end() ? at->second.known : history.leaf.absent.contains(row);
}

/// Empty: of each row of the range it is known what became of it.
std::string LeafRebuild::missing_rows(const History& history) const {
  for (const auto& [id, row] : history.rows)
    if (!row.known) return before_the_log(id);
  for (const std::uint64_t row : history.leaf.present)
    if (!is_explained(history, row)) return before_the_log(row);
  const TableId table = history.leaf.table;
  if (layouts_.at(table).began) return {};
  // All rows have an entry in every index without a predicate; what has none was never there, or went long
  // ago.
  const auto state = parts_.tree_state(table);
  const auto format = state->format();
  for (const IndexPart& part : format->indexes) {
    if (part.computed || parts_.partly_built_indexes.contains(part.layout->id)) continue;
    std::uint64_t unknown = 0;
    const bool whole = storage::for_each_entry(*part.tree, [&](ByteSpan, RowId row) {
      if (row.raw() >= history.low && row.raw() < history.leaf.place.high &&
          !is_explained(history, row.raw()))
        unknown = row.raw();
    });
    if (!whole) continue;
    return unknown == 0 ? std::string() : before_the_log(unknown);
  }
  // Without an index: each single id up to the last one that was given out.
  const std::uint64_t end = std::min(history.leaf.place.high, state->next_row.load());
  for (std::uint64_t row = std::max<std::uint64_t>(history.low, 1); row < end; ++row)
    if (!is_explained(history, row)) return before_the_log(row);
  return {};
}

// --- The new leaf ---

LeafRepair LeafRebuild::make(History& history) {
  const TableId table = history.leaf.table;
  LeafRepair repair{table, history.leaf.place.page, 0, {}};
  const auto state = parts_.tree_state(table);
  const auto format = state->format();
  if (history.format != nullptr) bring_to(history, format);
  if (!history.why_not.empty()) {
    repair.why_not = history.why_not;
    return repair;
  }
  const auto status = storage::run_blocking(
      [&] { return state->tree->remake_leaf(history.leaf.place, history.low, format->rows); });
  if (status.outcome == storage::Outcome::kDamaged) {
    repair.why_not = "it can be read, but what is in it is not sound";
    return repair;
  }
  parts_.check_recovery(status, "making a leaf anew", table);
  for (auto& [id, row] : history.rows) {
    if (!row.present) continue;
    parts_.check_recovery(parts_.place_row(*state, *format, RowId{id}, row.cells), "writing a row", table);
    ++repair.rows;
  }
  return repair;
}

}  // namespace rustbd::txn
