// Deep check: trees, rows, overflow chains, tables against their indexes both ways, and the account of space
// (`rustbd check --deep`). Nothing else may run.
//
// Memory, whatever the size of the tables: 4 bytes a page for the account, 32 KiB an index; for computed
// keys, a leaf's rows with their long values. A table and an index agree if the sums of their entries' hashes
// do, in each of 1024 parts; only the entries of parts that differ are then held, at most kEntriesMax of
// them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "rustbd/base/hash.h"
#include "rustbd/log/consumers.h"
#include "rustbd/txn/deep_check.h"
#include "rustbd/txn/tables/table.h"

namespace rustbd::txn {

void DeepCheck::tree_problems(const std::string& name, const storage::TreeReport& report) {
  for (const auto& p : report.problems) problem(name, p);
  incomplete_ = incomplete_ || !report.problems.empty();
}

void DeepCheck::own(PageId page, std::uint32_t owner) {
  if (page.raw() >= owners_.size()) return;
  auto& known = owners_[page.raw()];
  if (known != 0)
    problem(owner_name(owner), fmt::format("page {} belongs to {} too", page.raw(), owner_name(known)));
  known = owner;
}

std::string DeepCheck::owner_name(std::uint32_t owner) const {
  if (owner == kRootMap) return "the root map";
  if (owner == kPendingFree) return "the list of pages to be freed";
  return system_.tree_name(owner);
}

// --- Overflow chains ---

/// Every page of the chain is read: kind, owner, lengths; and belongs to this value alone.
void DeepCheck::check_chain(TableId table, RowId row, const storage::OverflowRef& ref) {
  std::uint64_t bytes = 0, pages = 0;
  for (PageId at = ref.first; !at.is_none(); ++pages) {
    auto fix = parts_.buffer().fix_shared(at);
    const auto chain_problem = [&](std::string_view what) {
      problem(system_.tree_name(table.raw()),
              fmt::format("page {} of a long value of row {}: {}", at.raw(), row.raw(), what));
      incomplete_ = true;
    };
    if (!fix) return chain_problem("cannot be read");
    const auto header = fix->header();
    if (header.kind != storage::PageKind::kOverflow || header.owner != table.raw())
      return chain_problem("is no page of a long value of this table");
    own(at, table.raw());
    bytes += storage::overflow_bytes(fix->data());
    if (pages > owners_.size()) return chain_problem("the chain has a loop");
    at = PageId{header.right_sibling};
  }
  if (bytes != ref.bytes) {
    problem(system_.tree_name(table.raw()),
            fmt::format("a long value of row {} has {} bytes, not {}", row.raw(), bytes, ref.bytes));
  }
}

// --- Rows ---

/// Fills key columns that stand in chains.
storage::Status DeepCheck::fill_keys(const TableFormat& format, std::vector<Cell>& row, Arena& arena) {
  return storage::run_blocking([&] { return parts_.load_key_cells(format, &row, arena); });
}

/// Calls visit(row id, cells, tombstone) for every row; goes on behind a leaf that cannot be read. False:
/// some could not.
bool DeepCheck::each_row(TreeState& state, const TableFormat& format,
                         const std::function<void(RowId, std::vector<Cell>&, bool tombstone)>& visit) {
  bool whole = true;
  RowId next{1};
  while (!next.is_none()) {
    storage::SharedGuard leaf;
    const auto pin = parts_.epochs().pin();
    const auto found = storage::run_blocking([&] { return state.tree->fix_leaf(next, &leaf); });
    storage::LeafView view;
    if (!found || !storage::LeafView::open(leaf.data(), format.rows, &view)) {
      leaf.release();
      whole = false;
      std::vector<storage::LeafRange> leaves;
      RowId after;
      const auto around = storage::run_blocking([&] {
        leaves.clear();
        return state.tree->leaves_from(next, 2, &leaves, &after);
      });
      if (!around) return false;
      next = leaves.size() > 1 ? leaves[1].first_rowid : after;
      continue;
    }
    std::vector<Cell> row(format.phys.size());
    for (std::uint32_t slot = view.lower_bound(next); slot < view.rows(); ++slot) {
      if (view.row(slot, row)) {
        visit(view.rowid(slot), row, view.tombstone(slot));
      } else {
        whole = false;
        problem(system_.tree_name(state.id.raw()),
                fmt::format("page {}: row {} cannot be read", leaf.page_id().raw(), view.rowid(slot).raw()));
      }
    }
    next = view.high_fence() == storage::kNoHighFence ? RowId{} : RowId{view.high_fence()};
  }
  return whole;
}

bool DeepCheck::has_versions(TableId table, RowId row) const {
  return !parts_.versions.head(table, row).empty();
}

// --- A table against its indexes ---

std::uint64_t DeepCheck::hash_entry(ByteSpan key, RowId row) {
  return hash_combine(xxh3_64(key.data(), key.size()), hash_u64(row.raw()));
}

/// Calls visit() for the entry that each row without older versions has in an index whose keys can be
/// computed. False: some row could not be read, or its key not be computed.
bool DeepCheck::each_computed_key(TreeState& state, IndexCheck& index,
                                  const std::function<void(RowId, ByteSpan key, bool null)>& visit) {
  try {
    Table table(system_, state.format()->layout);
    const auto locker = system_.make_locker(0);
    const auto transaction = system_.begin(*locker);
    transaction->begin_statement();
    ComputedKeyScan scan(table, index.part, transaction->view(), *index.compute);
    for (;;) {
      const Outcome outcome = scan.next([&](RowId row, ByteSpan key, bool null) {
        if (!has_versions(state.id, row)) visit(row, key, null);
      });
      if (outcome.blocked()) outcome.token.wait_blocking();
      if (outcome.ok() || outcome.blocked()) continue;
      if (outcome.status != Status::kEnd && outcome.status != Status::kDamaged)  // that is told elsewhere
        problem(system_.tree_name(index.part.layout->id.raw()), "the rows for its keys cannot be read");
      return outcome.status == Status::kEnd;
    }
  } catch (const Error& e) {
    problem(system_.tree_name(index.part.layout->id.raw()), "a key cannot be computed: " + e.message);
    return false;
  }
}

void DeepCheck::find_keys(IndexCheck& index) {
  std::string why = "the catalog does not have it";
  try {
    index.compute = keys_of_(*index.part.layout);
  } catch (const Error& e) {
    why = e.message;
  }
  if (!index.compute)
    problem(system_.tree_name(index.part.layout->id.raw()),
            "its keys cannot be computed, so only its rows were compared: " + why);
}

void DeepCheck::compute_side(TreeState& state, IndexCheck& index) {
  const bool nulls_differ = index.part.layout->unique && !index.part.layout->nulls_not_distinct;
  index.whole = each_computed_key(state, index, [&](RowId row, ByteSpan key, bool null) {
    index.table_side.add(hash_entry(key, row));
    if (null && nulls_differ && index.null_keys.size() < kEntriesMax)
      index.null_keys.insert(xxh3_64(key.data(), key.size()));
  });
}

void DeepCheck::check_table(const std::shared_ptr<const storage::TableLayout>& layout) {
  const std::string name = system_.tree_name(layout->table.raw());
  const auto state = parts_.tree_state(layout->table);
  if (state == nullptr) return problem(name, "has no tree");
  for (const auto& index : layout->indexes)
    if (parts_.index_tree(index.id) == nullptr)
      return problem(system_.tree_name(index.id.raw()), "has no tree");
  const auto format = parts_.format_of(layout);
  static_cast<void>(storage::run_blocking([&] { return state->tree->settle(); }));
  const auto report = state->tree->check(format->rows);
  tree_problems(name, report);
  for (const PageId page : report.pages) own(page, layout->table.raw());

  std::vector<IndexCheck> indexes;
  for (const IndexPart& part : format->indexes) {
    auto& index = indexes.emplace_back(IndexCheck{part});
    if (part.computed && keys_of_) find_keys(index);
  }
  tombstones_.clear();
  std::uint64_t rows = 0;
  Arena arena(4096);
  Bytes key;
  bool readable = true;
  const bool whole = each_row(*state, *format, [&](RowId id, std::vector<Cell>& row, bool tombstone) {
    ++rows;
    arena.reset();
    for (const Cell& cell : row)
      if (cell.kind == CellKind::kOverflow) check_chain(layout->table, id, cell.overflow_ref());
    if (tombstone) {
      tombstones_.insert(id.raw());
      return;
    }
    if (!fill_keys(*format, row, arena)) {
      readable = false;
      return;
    }
    const bool versions = has_versions(layout->table, id);
    for (IndexCheck& index : indexes) {
      if (index.compute) continue;  // later
      if (index.by_row_id()) {
        if (!versions) index.table_side.add(hash_entry({}, id));
        continue;
      }
      key.clear();
      bool null = false;
      append_entry_key(*format, *index.part.layout, row, arena, key, &null);
      if (!versions) {
        index.table_side.add(hash_entry(key, id));
        continue;
      }
      bool found = false;
      const auto status = storage::run_blocking([&] { return index.part.tree->contains(key, id, &found); });
      if (status && !found)
        problem(system_.tree_name(index.part.layout->id.raw()), fmt::format("row {} has no entry", id.raw()));
    }
  });
  if (report.problems.empty() && whole && rows != report.entries)
    problem(name, fmt::format("has {} rows, its leaves say {}", rows, report.entries));
  for (IndexCheck& index : indexes) {
    if (index.compute) {
      if (whole && report.problems.empty()) compute_side(*state, index);
      else index.whole = false;
    }
    check_index(*state, *format, index, whole && readable);
  }
}

void DeepCheck::check_index(TreeState& state, const TableFormat& format, IndexCheck& index,
                            bool table_whole) {
  const IndexPart& part = index.part;
  const std::string name = system_.tree_name(part.layout->id.raw());
  static_cast<void>(storage::run_blocking([&] { return part.tree->settle(); }));
  const auto report = part.tree->check();
  tree_problems(name, report);
  for (const PageId page : report.pages) own(page, part.layout->id.raw());
  Side side;
  Bytes last_key;
  RowId last_row;
  bool doubled = false;
  const bool whole = storage::for_each_entry(*part.tree, [&](ByteSpan key, RowId row) {
    if (tombstones_.contains(row.raw()) || has_versions(state.id, row)) return;
    side.add(hash_entry(index.by_row_id() ? ByteSpan{} : key, row));
    if (part.layout->unique && !last_row.is_none() && as_chars(last_key) == as_chars(key) && !doubled &&
        counts_as_double(state, format, index, key, last_row)) {
      problem(name, fmt::format("rows {} and {} have the same key", last_row.raw(), row.raw()));
      doubled = true;  // one is enough to say
    }
    last_key.assign(key.begin(), key.end());
    last_row = row;
  });
  if (!whole && report.problems.empty()) problem(name, "cannot be read to its end");
  if (!whole || !table_whole || !index.whole) return;
  if (index.by_row_id() && part.layout->partial) {
    // Which rows belong is not known here: every entry must have a row.
    name_strays(state, format, part);
  } else if (side != index.table_side) {
    name_differences(state, format, index, [&](std::uint64_t hash) {
      return Side::part_of(hash, side) != Side::part_of(hash, index.table_side);
    });
  }
}

/// Equal keys are allowed where a part is null, unless nulls are not distinct.
bool DeepCheck::counts_as_double(TreeState& state, const TableFormat& format, const IndexCheck& index,
                                 ByteSpan same, RowId id) {
  const storage::IndexLayout& layout = *index.part.layout;
  if (layout.nulls_not_distinct) return true;
  if (index.compute) {
    return index.whole && index.null_keys.size() < kEntriesMax &&
           !index.null_keys.contains(xxh3_64(same.data(), same.size()));
  }
  if (index.by_row_id()) return false;  // not known here whether a part is null
  Arena arena(1024);
  Bytes key;
  bool null = true, tombstone = false;
  std::vector<Cell> row;
  bool found = false;
  const auto read = parts_.find_row(state, format, id, &row, arena, &found, &tombstone);
  if (!read || !found || !fill_keys(format, row, arena)) return false;
  append_entry_key(format, layout, row, arena, key, &null);
  return !null;
}

/// Entries of rows that are not there: one look-up an entry.
void DeepCheck::name_strays(TreeState& state, const TableFormat& format, const IndexPart& part) {
  const std::string name = system_.tree_name(part.layout->id.raw());
  std::uint64_t strays = 0;
  storage::for_each_entry(*part.tree, [&](ByteSpan, RowId row) {
    if (tombstones_.contains(row.raw()) || has_versions(state.id, row)) return;
    std::vector<Cell> cells;
    Arena arena(1024);
    bool tombstone = false;
    bool found = false;
    if (!parts_.find_row(state, format, row, &cells, arena, &found, &tombstone) || found) return;
    if (strays++ < kNamedMax) problem(name, fmt::format("entry of row {}, which is not there", row.raw()));
  });
}

/// Holds the entries whose hash is `wanted` of both sides and names those that only one has.
void DeepCheck::name_differences(TreeState& state, const TableFormat& format, IndexCheck& index,
                                 const std::function<bool(std::uint64_t)>& wanted) {
  const IndexPart& part = index.part;
  const std::string name = system_.tree_name(part.layout->id.raw());
  std::map<std::pair<std::uint64_t, std::uint64_t>, int>
      balance;  // (row, hash): of the table less of the index
  bool more = false;
  const auto count = [&](RowId row, std::uint64_t hash, int by) {
    if (!wanted(hash)) return;
    if (balance.size() >= kEntriesMax) {
      more = true;
      return;
    }
    auto [at, fresh] = balance.try_emplace({row.raw(), hash}, 0);
    if ((at->second += by) == 0) balance.erase(at);
  };
  if (index.compute) {
    each_computed_key(state, index,
                      [&](RowId row, ByteSpan key, bool) { count(row, hash_entry(key, row), 1); });
  } else {
    Arena arena(4096);
    Bytes key;
    each_row(state, format, [&](RowId id, std::vector<Cell>& row, bool tombstone) {
      arena.reset();
      key.clear();
      bool null = false;
      if (tombstone || has_versions(state.id, id) || !fill_keys(format, row, arena)) return;
      if (!index.by_row_id()) append_entry_key(format, *part.layout, row, arena, key, &null);
      count(id, hash_entry(key, id), 1);
    });
  }
  storage::for_each_entry(*part.tree, [&](ByteSpan entry, RowId row) {
    if (!tombstones_.contains(row.raw()) && !has_versions(state.id, row))
      count(row, hash_entry(index.by_row_id() ? ByteSpan{} : entry, row), -1);
  });
  std::uint64_t missing = 0, stale = 0;
  for (const auto& [entry, n] : balance) {
    auto& so_far = n > 0 ? missing : stale;
    if (so_far++ >= kNamedMax) continue;
    problem(name, n > 0 ? fmt::format("row {} has no entry", entry.first)
                        : fmt::format("an entry of row {} is not that of the row", entry.first));
  }
  if (missing > kNamedMax || stale > kNamedMax || more)
    problem(name, fmt::format("{}{} rows without entry, {}{} entries without row", more ? "at least " : "",
                              missing, more ? "at least " : "", stale));
}

// --- The account of space ---

void DeepCheck::check_space() {
  own_chain(storage::kCatalogRootPage, kRootMap);
  for (const auto& entry : parts_.storage->pending().list()) {
    if (entry.kind == storage::PendingKind::kPage) own(entry.first_page, kPendingFree);
    else own_chain(entry.first_page, kPendingFree);
  }
  std::map<std::uint32_t, std::vector<PageId>> lost;
  for (std::uint64_t id = 1; id < owners_.size(); ++id) {
    const PageId page{id};
    const bool stored = parts_.buffer().stored(page);
    if (owners_[id] != 0 && owners_[id] != kPendingFree &&
        !stored)  // the pool frees what is pending meanwhile
      problem(owner_name(owners_[id]), fmt::format("page {} is free and in use at once", id));
    if (owners_[id] != 0 || !stored) continue;
    auto fix = parts_.buffer().fix_shared(page);
    lost[fix ? fix->header().owner : 0].push_back(page);
  }
  for (const auto& [owner, pages] : lost) {
    if (free_lost_ && problems_.empty() && owner != 0) {
      const storage::Action action(parts_.gate());
      for (const PageId page : pages) parts_.buffer().free_unread(page);
      continue;
    }
    problem(owner_name(owner),
            fmt::format("{} page{} in use that nothing refers to, the first is page {}{}", pages.size(),
                        pages.size() == 1 ? "" : "s", pages[0].raw(),
                        incomplete_ ? " (what is damaged may have referred to them)" : ""));
  }
}

void DeepCheck::own_chain(PageId first, std::uint32_t owner) {
  std::uint64_t pages = 0;
  for (PageId at = first; !at.is_none() && pages < owners_.size(); ++pages) {
    own(at, owner);
    auto fix = parts_.buffer().fix_shared(at);
    if (!fix) {
      incomplete_ = true;
      return problem(owner_name(owner), fmt::format("page {} cannot be read", at.raw()));
    }
    at = PageId{fix->header().right_sibling};
  }
}

std::vector<std::string> DeepCheck::run() {
  const auto quiet = [&] {  // no transaction and no old version refers to pages outside the tables
    std::scoped_lock lock(parts_.active_mutex, parts_.queue_mutex);
    return parts_.active.empty() && parts_.committed.empty();
  };
  if (quiet()) {
    // What is on its way out goes first.
    for (int rounds = 0; rounds < 1000 && (system_.collect_garbage() != 0 || parts_.drop_step()); ++rounds) {}
  }
  // From here on nothing goes: pages that leave a tree after it was walked would seem to be in two places.
  const std::scoped_lock turns(parts_.collecting, parts_.dropping);
  owners_.resize(parts_.buffer().next_page_id());
  auto all = system_.layouts();
  all.push_back(parts_.layout_table);
  for (const auto& layout : all) check_table(layout);
  bool dropping = false;
  {
    std::lock_guard lock(parts_.drop_mutex);
    dropping = !parts_.dropped.empty();
  }
  if (quiet() && !dropping) check_space();
  return std::move(problems_);
}

std::vector<std::string> TransactionSystem::check_stored_pages(io::Disk& disk, const security::KeyRing* keys,
                                                               std::vector<std::string>* warnings,
                                                               storage::SealedByKeys* sealed) {
  auto report = storage::verify_pages(disk, keys);
  if (warnings != nullptr) *warnings = std::move(report.warnings);
  if (sealed != nullptr) *sealed = std::move(report.sealed);
  return std::move(report.problems);
}

namespace {

/// The log before `needed`, where a start would begin: named consumers, or wal.retention, keep it.
void check_older_log(io::Disk& disk, const log::Geometry& geometry, Lsn needed, Lsn hold,
                     std::vector<std::string>* findings, storage::SealedByKeys* sealed) {
  log::LogReader reader(disk, "wal", geometry);
  reader.leave_sealed();  // of what nobody needs any more the keys may be gone
  const auto add = [&](std::string_view what) {
    findings->push_back(fmt::format("log before {}, which no start needs: {}", to_text(needed), what));
  };
  if (const auto found = reader.seek_oldest(needed); !found) return add("it cannot be read");
  if (!hold.is_none() && geometry.segment_of(hold) < geometry.segment_of(reader.position()))
    add(fmt::format("a consumer needs it from {} on, but it begins at {}", to_text(hold),
                    to_text(reader.position())));
  reader.set_limit(needed);
  auto got = log::ReadOutcome::kBatch;
  while ((got = reader.next()) == log::ReadOutcome::kBatch) {
    if (sealed == nullptr || hold.is_none() || reader.batch().start < hold) continue;
    storage::SealedByKey& by = (*sealed)[reader.batch().header.key_id];
    ++by.log_batches;
    by.log_end = std::max(by.log_end, reader.batch().end);
  }
  if (got != log::ReadOutcome::kEnd) return add(reader.problem());
  if (reader.position() < needed) add(fmt::format("it ends at {}", to_text(reader.position())));
}

}  // namespace

std::vector<std::string> TransactionSystem::check_log(io::Disk& disk, const security::KeyRing* keys,
                                                      std::string* end, storage::SealedByKeys* sealed) {
  std::vector<std::string> findings;
  const auto state = storage::read_database_state(disk);
  if (!state) return {"the log cannot be found: no good superblock says where it begins"};
  const log::Geometry geometry(state->log_segment_bytes);
  log::LogReader reader(disk, "wal", geometry, keys);
  const Lsn keep = state->log_keep_lsn.is_none() ? state->positions.lsn : state->log_keep_lsn;
  const Lsn kept = keep.is_none() ? geometry.first_batch(0) : keep;
  log::LogConsumers consumers(disk, "wal", geometry);
  if (!consumers.load()) findings.push_back("log: the list of consumers is damaged");
  check_older_log(disk, geometry, kept, consumers.hold(), &findings, sealed);
  reader.seek(kept);
  for (;;) {
    const auto got = reader.next();
    if (got != log::ReadOutcome::kBatch) {
      if (got != log::ReadOutcome::kEnd) findings.push_back("log: " + reader.problem());
      break;
    }
    const auto kind = reader.batch().header.kind;
    if (sealed != nullptr) {
      storage::SealedByKey& by = (*sealed)[reader.batch().header.key_id];
      ++by.log_batches;
      by.log_end = reader.batch().end;
    }
    if (kind == log::BatchKind::kFragment || kind == log::BatchKind::kAbortLarge) continue;
    // A fragment from before the checkpoint counts only for a transaction that recovery replays.
    const Lsn at = reader.batch().start;
    if (!reader.for_each_event(reader.batch(), [](const log::Event&) {}) && at >= state->positions.lsn)
      findings.push_back(fmt::format("log: batch at {}: {}", to_text(at), reader.problem()));
  }
  *end = to_text(reader.position());
  return findings;
}

const std::vector<std::string>& TransactionSystem::recovery_findings() const { return parts_->findings; }

std::vector<Repair> TransactionSystem::repairs() const {
  std::vector<Repair> lines;
  for (const LeafRepair& r : parts_->leaf_repairs)
    lines.push_back(
        {r.why_not.empty(), fmt::format("{}: page {} {}", tree_name(r.table.raw()), r.page.raw(), r.what())});
  for (const IndexId id : parts_->rebuilt_indexes)
    lines.push_back({true, fmt::format("{}: was damaged and is built anew", tree_name(id.raw()))});
  std::lock_guard lock(parts_->damage_mutex);
  for (const auto& [tree, page] : parts_->trees_set_aside)
    lines.push_back(
        {false, fmt::format("{}: page {} is damaged, and changes of it had to be left out: it is set aside",
                            tree_name(tree), page.raw())});
  return lines;
}

std::vector<IndexId> TransactionSystem::indexes_set_aside() const {
  std::vector<IndexId> found;
  std::lock_guard lock(parts_->damage_mutex);
  for (const auto& [key, layout] : parts_->layouts) {
    if (parts_->trees_set_aside.contains(layout->table.raw())) continue;
    for (const auto& index : layout->indexes)
      if (parts_->trees_set_aside.contains(index.id.raw())) found.push_back(index.id);
  }
  return found;
}

std::vector<std::string> TransactionSystem::check(bool free_lost, const KeysOf& keys_of) {
  return DeepCheck(*this, free_lost, keys_of).run();
}

}  // namespace rustbd::txn
