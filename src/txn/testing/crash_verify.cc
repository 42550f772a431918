#include "rustbd/txn/testing/crash_verify.h"

#include <fmt/format.h>

#include "rustbd/storage/pages/storage.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/crash_keys.h"

namespace rustbd::txn::testing {

bool tells_of_damage(std::string_view line) {
  for (const std::string_view word : {"damage", "cannot be read", "checksum", "is bad", "overlap"})
    if (line.find(word) != std::string_view::npos) return true;
  return false;
}

namespace {

class TableVerifier {
 public:
  TableVerifier(CrashWorld& world, TransactionSystem& system, const std::string& when, Transaction& txn,
                const LayoutPtr& layout, std::uint64_t ts)
      : world_(world),
        what_(fmt::format("{} at {}: table {}", when, ts, layout->table.raw())),
        txn_(txn),
        layout_(*layout),
        table_(system, layout),
        columns_(all_columns(*layout)),
        expected_(world.model.rows_at(layout->table, ts)) {}

  void run() {
    if (!verify_rows()) return;
    for (const auto& index : layout_.indexes) verify_index(index);
  }

 private:
  /// False: it may not end like this.
  bool tolerated(const Outcome& o, const std::string& what) {
    if (world_.tolerates(o.status)) return true;
    world_.problem(fmt::format("{}: a scan ended with {}", what, static_cast<int>(o.status)));
    return false;
  }

  bool verify_rows() {
    RowCollector found(world_, what_, layout_);
    Rows readable = expected_;
    types::ChunkBuffer out;
    for (std::uint64_t next = 1;;) {
      TableScan scan(table_, txn_.view(), columns_, {next});
      Outcome o;
      while ((o = until_done_blocking([&] { return scan.next(out); })).ok()) found.take(out.chunk());
      if (o.status == Status::kEnd) break;
      if (!tolerated(o, what_)) return false;
      // The next row that should be there cannot be read; those behind it may be.
      if (!found.rows.empty()) next = std::max(next, found.rows.rbegin()->first + 1);
      const auto lost = expected_.lower_bound(next);
      if (lost == expected_.end()) break;
      next = lost->first + 1;
      readable.erase(lost->first);
    }
    compare_rows(world_, what_, readable, found.rows, layout_);
    if (layout_.relation == world_.bank && readable.size() == expected_.size()) {
      std::int64_t sum = 0;
      for (const auto& [row, image] : found.rows) sum += image.value.value_or(0);
      if (sum != world_.bank_sum)
        world_.problem(fmt::format("{}: the sum of the balances is {}", what_, sum));
    }
    return true;
  }

  void verify_index(const storage::IndexLayout& index) {
    const std::string what = fmt::format("{}: index {}", what_, index.id.raw());
    const Rows expected = members(index, expected_);
    RowCollector found(world_, what, layout_);
    OrderCheck order(world_, index, false);
    types::ChunkBuffer out;
    IndexScan entries(table_, index.id, txn_.view(), KeyRange::all(), ScanDirection::kForward, columns_);
    Outcome o;
    while ((o = until_done_blocking([&] { return entries.next(out); })).ok())
      found.take(out.chunk(), [&](std::uint64_t row, const Image& image) { order.see(row, image); });
    if (o.status == Status::kEnd) return compare_rows(world_, what, expected, found.rows, layout_);
    if (!tolerated(o, what)) return;
    Rows part;
    for (const auto& [row, image] : expected)
      if (found.rows.contains(row)) part.emplace(row, image);
    compare_rows(world_, what, part, found.rows, layout_);
    for (const auto& [row, image] : expected)
      if (!found.rows.contains(row)) look_up(index, what, row, padded(image, layout_));
  }

  /// A query by the row's key gives the row or XX001, never an answer without it.
  void look_up(const storage::IndexLayout& index, const std::string& what, std::uint64_t row,
               const Image& image) {
    types::Datum value = types::Datum::of(std::int64_t{0});
    bool null = false;
    if (index.parts[0].column == 2) {
      null = !image.note;
      value = types::Datum::of(types::Str{image.note ? std::string_view{*image.note} : std::string_view{}});
    } else {
      const auto key = key_of(index, image);
      null = !key;
      value = types::Datum::of(key.value_or(0));
    }
    Bytes key;
    append_index_key(index, {&value, 1}, {&null, 1}, key);
    IndexScan entries(table_, index.id, txn_.view(), KeyRange::equal(std::move(key)), ScanDirection::kForward,
                      columns_);
    RowCollector found(world_, what, layout_);
    types::ChunkBuffer out;
    Outcome o;
    while ((o = until_done_blocking([&] { return entries.next(out); })).ok()) found.take(out.chunk());
    if (o.status != Status::kEnd) return static_cast<void>(tolerated(o, what));
    if (!found.rows.contains(row))
      world_.problem(fmt::format("{}: a look-up does not find row {} {}", what, row, to_text(image)));
  }

  CrashWorld& world_;
  const std::string what_;
  Transaction& txn_;
  const storage::TableLayout& layout_;
  Table table_;
  const std::vector<ColumnNumber> columns_;
  const Rows expected_;
};

void deep_check(CrashWorld& world, TransactionSystem& system, const std::string& when) {
  const std::vector<std::string> findings = system.check(false, computed_keys_of);
  // What is damaged may have referred to what now looks lost. A page that nothing refers to any more stays
  // lost when the one that did was given up.
  const auto explained = [](const std::string& line) {
    return tells_of_damage(line) || line.find("that nothing refers to") != std::string::npos;
  };
  if (world.wounded() && std::ranges::any_of(findings, explained)) {
    world.detections.findings += findings.size();
    return;
  }
  for (const auto& p : findings)
    if (!world.explains_loss(p)) world.problem(when + ": " + p);
}

}  // namespace

void verify_state(CrashWorld& world, const std::string& when) {
  TransactionSystem& system = *world.system;
  const std::uint64_t ts = system.last_timestamp().raw();
  if (ts < world.model.acknowledged()) {
    world.problem(fmt::format("{}: the state is that at {}, but {} was acknowledged", when, ts,
                              world.model.acknowledged()));
    return;
  }
  if (ts < world.model.shown()) {
    world.problem(fmt::format("{}: the state is that at {}, but a result told of the commit at {}", when, ts,
                              world.model.shown()));
    return;
  }
  if (world.has(kTwoPhase)) world.two_phase.verify(world, when);
  world.model.cut_after(ts);
  verify_database(world, system, when, ts);
}

void verify_database(CrashWorld& world, TransactionSystem& system, const std::string& when,
                     std::uint64_t ts) {
  const auto expected = world.model.layouts_at(ts);
  for (const auto& layout : system.layouts()) {
    if (!expected.contains(layout->relation))
      world.problem(fmt::format("{}: relation {} should not be there", when, layout->relation));
  }
  const auto locker = system.make_locker(98);
  const auto txn = system.begin(*locker);
  txn->begin_statement();
  for (const auto& [relation, wanted] : expected) {
    const auto layout = system.layout_of(kCrashDatabase, relation);
    if (layout == nullptr) {
      world.problem(fmt::format("{}: relation {} is not there", when, relation));
      continue;
    }
    Bytes a, b;
    layout->serialize(a);
    wanted->serialize(b);
    if (a != b) {
      world.problem(fmt::format("{}: relation {} has another layout", when, relation));
      continue;
    }
    if (!layout->is_sequence) TableVerifier(world, system, when, *txn, layout, ts).run();
  }
  deep_check(world, system, when);
}

std::set<std::uint64_t> reachable_pages(CrashWorld& world) {
  SystemParts& parts = world.system->parts();
  std::set<std::uint64_t> pages;
  const auto add_chain = [&](PageId page) {
    while (!page.is_none()) {
      if (!pages.insert(page.raw()).second)
        world.problem(fmt::format("page {} is reachable twice", page.raw()));
      auto guard = parts.buffer().fix_shared(page);
      if (!guard) return world.problem(fmt::format("page {} cannot be read", page.raw()));
      page = PageId{guard->header().right_sibling};
    }
  };
  add_chain(PageId{1});  // the root map
  auto all = world.system->layouts();
  all.push_back(parts.layout_table);
  for (const auto& layout : all) {
    const auto format = parts.format_of(layout);
    const auto state = parts.tree_state(layout->table);
    for (const PageId p : state->tree->check(format->rows).pages) pages.insert(p.raw());
    for (const IndexPart& part : format->indexes)
      for (const PageId p : part.tree->check().pages) pages.insert(p.raw());
    std::vector<PageId> chains;
    RowId next{1};
    for (bool end = false; !end;) {
      const auto pin = parts.epochs().pin();
      storage::SharedGuard leaf;
      const auto status = storage::run_blocking([&] { return state->tree->fix_leaf(next, &leaf); });
      storage::LeafView view;
      if (!status || !storage::LeafView::open(leaf.data(), format->rows, &view)) {
        world.problem("a leaf cannot be read");
        break;
      }
      for (std::uint32_t slot = 0; slot < view.rows(); ++slot) {
        Cell cell;
        for (std::uint32_t c = 0; c < format->rows.column_count(); ++c)
          if (view.cell(slot, c, &cell) && cell.kind == CellKind::kOverflow)
            chains.push_back(cell.overflow_ref().first);
      }
      end = view.high_fence() == storage::kNoHighFence;
      if (!end) next = RowId{view.high_fence()};
    }
    for (const PageId first : chains) add_chain(first);
  }
  return pages;
}

}  // namespace rustbd::txn::testing
