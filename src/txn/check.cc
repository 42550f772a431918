// Deep check: trees, and tables against their indexes both ways (`rustbd check`). Nothing else may run.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/table.h"

namespace rustbd::txn {

namespace {

void check_index(SystemParts& parts, TreeState& state, const TableFormat& format, const IndexPart& part,
                 std::vector<std::string>* problems) {
  std::vector<std::pair<Bytes, RowId>> entries;
  const storage::TreeReport report = part.tree->check(&entries);
  for (const auto& p : report.problems)
    problems->push_back(fmt::format("index {}: {}", part.layout->id.raw(), p));
  if (part.computed) return;
  std::map<std::uint64_t, std::vector<Bytes>> by_row;
  for (auto& [key, row] : entries) by_row[row.raw()].push_back(std::move(key));
  std::map<std::string, std::uint64_t> unique;
  RowId next{1};
  for (bool end = false; !end;) {
    const auto status = storage::run_blocking([&]() -> storage::Status {
      const auto pin = parts.epochs().pin();
      storage::SharedGuard leaf;
      if (auto s = state.tree->fix_leaf(next, &leaf); !s) return s;
      storage::LeafView view;
      if (!storage::LeafView::open(leaf.data(), format.rows, &view))
        return storage::Status::damaged(leaf.page_id());
      Arena arena(4096);
      std::vector<Cell> row(format.phys.size());
      for (std::uint32_t slot = view.lower_bound(next); slot < view.rows(); ++slot) {
        const std::uint64_t id = view.rowid(slot).raw();
        if (view.tombstone(slot)) {
          by_row.erase(id);
          continue;
        }
        if (!view.row(slot, row)) return storage::Status::damaged(leaf.page_id());
        for (const auto& p : part.layout->parts) {
          if (row[p.column].kind != CellKind::kOverflow) continue;
          const auto ref = row[p.column].overflow_ref();
          char* to = static_cast<char*>(arena.allocate(ref.bytes + 1, 1));
          storage::OverflowRead read(ref, to);
          if (auto s = storage::run_blocking([&] { return read.run(parts.buffer()); }); !s) return s;
          row[p.column] = Cell::stored({to, ref.bytes});
        }
        Bytes key;
        bool null = false;
        append_entry_key(format, *part.layout, row, arena, key, &null);
        auto at = by_row.find(id);
        if (at == by_row.end() || std::find(at->second.begin(), at->second.end(), key) == at->second.end()) {
          problems->push_back(fmt::format("index {}: row {} has no entry", part.layout->id.raw(), id));
        } else {
          std::erase(at->second, key);
          const bool versions = !parts.versions.head(state.id, RowId{id}).empty();
          if (!at->second.empty() && !versions) {
            problems->push_back(fmt::format("index {}: row {} has a stale entry", part.layout->id.raw(), id));
          }
          by_row.erase(at);
        }
        if (part.layout->unique && (!null || part.layout->nulls_not_distinct) &&
            !unique.emplace(std::string(as_chars(key)), id).second) {
          problems->push_back(
              fmt::format("index {}: the key of row {} is there twice", part.layout->id.raw(), id));
        }
      }
      end = view.high_fence() == storage::kNoHighFence;
      if (!end) next = RowId{view.high_fence()};
      return {};
    });
    if (!status) {
      problems->push_back(fmt::format("table {}: page {} cannot be read", state.id.raw(), status.page.raw()));
      return;
    }
  }
  for (const auto& [row, keys] : by_row) {
    if (parts.versions.head(state.id, RowId{row}).empty()) {
      problems->push_back(
          fmt::format("index {}: entry of row {}, which is not there", part.layout->id.raw(), row));
    }
  }
}

}  // namespace

std::vector<std::string> TransactionSystem::check_stored_pages(io::Disk& disk) {
  return storage::verify_pages(disk).problems;
}

std::vector<std::string> TransactionSystem::check() {
  SystemParts& parts = *parts_;
  std::vector<std::string> problems;
  auto all = layouts();
  all.push_back(parts.layout_table);
  for (const auto& layout : all) {
    const auto state = parts.tree_state(layout->table);
    if (state == nullptr) {
      problems.push_back(fmt::format("table {} has no tree", layout->table.raw()));
      continue;
    }
    const auto format = parts.format_of(layout);
    const auto report = state->tree->check(format->rows);
    for (const auto& p : report.problems)
      problems.push_back(fmt::format("table {}: {}", layout->table.raw(), p));
    for (const IndexPart& part : format->indexes) check_index(parts, *state, *format, part, &problems);
  }
  return problems;
}

}  // namespace rustbd::txn
