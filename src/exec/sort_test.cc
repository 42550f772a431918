// Sort, TopN, DistinctOn, Window, CTEs and set-returning functions.
#include "rustbd/exec/testing/plan_maker.h"
#include "rustbd/io/executor.h"

namespace rustbd::exec::testing {
namespace {

std::vector<IntRow> random_rows(std::uint64_t seed, std::size_t n) {
  io::SeededRandom random(seed);
  std::vector<IntRow> rows;
  for (std::size_t i = 0; i < n; ++i)
    rows.push_back(
        {random.chance(100) ? std::nullopt : std::optional(static_cast<int>(random.below(50)) - 25),
         static_cast<int>(i)});
  return rows;
}

/// By the first column with nulls where they belong, then by the second.
bool before(const IntRow& a, const IntRow& b, bool descending, bool nulls_first) {
  if (a[0] != b[0]) {
    if (!a[0]) return nulls_first;
    if (!b[0]) return !nulls_first;
    return descending ? *a[0] > *b[0] : *a[0] < *b[0];
  }
  return *a[1] < *b[1];
}

TEST(Sort, OrdersAndTopN) {
  for (const std::size_t n : {0u, 1u, 3000u}) {
    auto rows = random_rows(n, n);
    MemoryDatabase database;
    auto relation = make_relation(1, "t", 2);
    fill(database.add(relation), rows);
    for (const bool descending : {false, true}) {
      for (const std::int64_t limit : {-1, 0, 5, 700}) {
        PlanMaker m;
        auto node = m.over(limit < 0 ? NodeKind::kSort : NodeKind::kTopN, m.scan(relation));
        node->sort_keys = {{node->output[0], descending, descending}, {node->output[1]}};
        if (limit >= 0) node->limit = int8(limit), node->offset = int8(3);
        auto sorted = rows;
        std::ranges::sort(
            sorted, [&](const IntRow& a, const IntRow& b) { return before(a, b, descending, descending); });
        TextRows expected;
        for (std::size_t i = 0; i < sorted.size(); ++i)
          if (limit < 0 || (i >= 3 && i < 3 + static_cast<std::size_t>(limit)))
            expected.push_back(text_of(sorted[i]));
        expect_rows(database, m.finish(std::move(node)), expected, true);
      }
    }
  }
}

TEST(Sort, TopNKeepsItsMemorySmall) {
  MemoryDatabase database;
  auto relation = make_relation(1, "t", 2);
  std::vector<IntRow> rows;
  for (int i = 0; i < 60000; ++i) rows.push_back({60000 - i, i});
  fill(database.add(relation), rows);
  PlanMaker m;
  auto node = m.over(NodeKind::kTopN, m.scan(relation));
  node->sort_keys = {{node->output[0]}};
  node->limit = int8(2);
  auto plan = m.finish(std::move(node));
  auto context = context_of(database, 1024);
  context.memory_limit = 1500000;
  database.begin_statement();
  EXPECT_EQ(run_with(plan, context).rows, (TextRows{"1|59999", "2|59998"}));
}

TEST(Sort, DistinctOnKeepsTheFirst) {
  MemoryDatabase database;
  PlanMaker m;
  auto node = m.over(NodeKind::kDistinctOn,
                     m.values({{1, 9}, {1, 8}, {2, 1}, {std::nullopt, 5}, {std::nullopt, 6}}, 2));
  node->distinct_on = {node->output[0]};
  expect_rows(database, m.finish(std::move(node)), {"1|9", "2|1", "NULL|5"}, true);
}

ExpressionPtr window_function(std::string name, const TypeRef& type, std::vector<ExpressionPtr> args = {}) {
  auto e = std::make_unique<expression::Expression>();
  e->kind = expression::Kind::kWindow;
  e->window_function = std::move(name);
  e->type = type;
  e->args = std::move(args);
  return e;
}
ExpressionPtr window_aggregate(std::string_view name, std::vector<ExpressionPtr> args) {
  auto e = aggregate(name, std::move(args));
  e->kind = expression::Kind::kWindow;
  return e;
}
using Frame = plan::LogicalNode::Frame;

TEST(Window, RanksAndNeighbours) {
  MemoryDatabase database;
  PlanMaker m;
  auto values = m.values({{1, 10}, {1, 20}, {1, 20}, {1, 30}, {2, 5}}, 2);
  const auto g = values->output[0], v = values->output[1];
  auto node = m.over(NodeKind::kWindow, std::move(values));
  node->partition_by = {g};
  node->sort_keys = {{v}};
  const auto add = [&](ExpressionPtr e) {
    const auto id = m.column(e->type);
    node->output.push_back(id);
    node->windows.push_back({id, std::move(e)});
  };
  const auto float8 = types::make_type(types::oid::kFloat8);
  add(window_function("rank", kInt8Type));
  add(window_function("dense_rank", kInt8Type));
  add(window_function("percent_rank", float8));
  add(window_function("cume_dist", float8));
  add(window_function("ntile", kInt4Type, list(int4(3))));
  add(window_function("lag", kInt4Type, list(m.ref(v))));
  add(window_function("lead", kInt4Type, list(m.ref(v), int4(2), int4(-1))));
  add(window_function("last_value", kInt4Type, list(m.ref(v))));
  add(window_aggregate("sum", list(m.ref(v))));
  // As PostgreSQL 15 answers.
  expect_rows(
      database, m.finish(std::move(node)),
      {"1|10|1|1|0|0.25|1|NULL|20|10|10", "1|20|2|2|0.333333|0.75|1|10|30|20|50",
       "1|20|2|2|0.333333|0.75|2|20|-1|20|50", "1|30|4|3|1|1|3|20|-1|30|80", "2|5|1|1|0|1|1|NULL|-1|5|5"});
}

TEST(Window, FramesAgainstTheDefinition) {
  io::SeededRandom random(5);
  std::vector<IntRow> rows;
  for (int i = 0; i < 150; ++i)
    rows.push_back(
        {random.chance(100) ? std::nullopt : std::optional(static_cast<int>(random.below(30))), i});
  auto sorted = rows;
  std::ranges::sort(sorted, [](const IntRow& a, const IntRow& b) { return before(a, b, false, false); });
  MemoryDatabase database;
  auto relation = make_relation(1, "t", 2);
  fill(database.add(relation), rows);
  for (const auto unit : {Frame::Unit::kRows, Frame::Unit::kRange, Frame::Unit::kGroups}) {
    for (const auto exclude : {Frame::Exclude::kNone, Frame::Exclude::kCurrentRow, Frame::Exclude::kGroup,
                               Frame::Exclude::kTies}) {
      for (const auto start :
           {Frame::Bound::kUnboundedPreceding, Frame::Bound::kPreceding, Frame::Bound::kCurrentRow}) {
        SCOPED_TRACE(fmt::format("{} {} {}", static_cast<int>(unit), static_cast<int>(exclude),
                                 static_cast<int>(start)));
        PlanMaker m;
        auto scan = m.scan(relation);
        const auto k = scan->output[0], v = scan->output[1];
        auto node = m.over(NodeKind::kWindow, std::move(scan));
        node->sort_keys = {{k}};
        node->frame = {unit, start, Frame::Bound::kFollowing, exclude};
        const bool by_value = unit == Frame::Unit::kRange;
        if (start == Frame::Bound::kPreceding) node->frame_start = by_value ? int4(2) : int8(2);
        node->frame_end = by_value ? int4(1) : int8(1);
        // A sum over ties must not depend on their order: ROWS frames count rows instead.
        auto call = unit == Frame::Unit::kRows ? window_aggregate("count", {})
                                               : window_aggregate("sum", list(m.ref(v)));
        const auto id = m.column(call->type);
        node->output = {k, id};
        node->windows.push_back({id, std::move(call)});
        std::vector<int> group;
        for (std::size_t i = 0; i < sorted.size(); ++i)
          group.push_back(i == 0 ? 0 : group.back() + (sorted[i][0] != sorted[i - 1][0] ? 1 : 0));
        TextRows expected;
        for (int i = 0; i < static_cast<int>(sorted.size()); ++i) {
          std::int64_t sum = 0, count = 0;
          for (int j = 0; j < static_cast<int>(sorted.size()); ++j) {
            const auto at = static_cast<std::size_t>(i), other = static_cast<std::size_t>(j);
            bool inside = false;
            if (unit == Frame::Unit::kRows) {
              inside = j <= i + 1 && (start != Frame::Bound::kPreceding || j >= i - 2) &&
                       (start != Frame::Bound::kCurrentRow || j >= i);
            } else if (unit == Frame::Unit::kGroups) {
              const int a = group[at], b = group[other];
              inside = b <= a + 1 && (start != Frame::Bound::kPreceding || b >= a - 2) &&
                       (start != Frame::Bound::kCurrentRow || b >= a);
            } else if (!sorted[at][0]) {
              inside = !sorted[other][0] || start == Frame::Bound::kUnboundedPreceding;
            } else if (sorted[other][0]) {
              const int a = *sorted[at][0], b = *sorted[other][0];
              inside = b <= a + 1 && (start != Frame::Bound::kPreceding || b >= a - 2) &&
                       (start != Frame::Bound::kCurrentRow || b >= a);
            }
            if (exclude == Frame::Exclude::kCurrentRow && i == j) inside = false;
            if (exclude == Frame::Exclude::kGroup && group[at] == group[other]) inside = false;
            if (exclude == Frame::Exclude::kTies && group[at] == group[other] && i != j) inside = false;
            if (!inside) continue;
            ++count;
            sum += *sorted[other][1];
          }
          const auto value = unit == Frame::Unit::kRows ? std::to_string(count)
                                                        : (count == 0 ? "NULL" : std::to_string(sum));
          expected.push_back(text_of(IntRow{sorted[static_cast<std::size_t>(i)][0]}) + "|" + value);
        }
        // With EXCLUDE inside a peer group of a SUM, which of the ties a row is decides; the multiset is the
        // same.
        expect_rows(database, m.finish(std::move(node)), expected);
      }
    }
  }
}

TEST(Cte, EndlessRecursionEndsAtTheLimit) {
  MemoryDatabase database;
  for (const bool all : {true, false}) {
    PlanMaker m;
    auto seed = m.values({{1}}, 1);
    auto work = m.node(NodeKind::kWorkTableScan);
    const auto n = m.column(kInt4Type), out = m.column(kInt4Type);
    work->output = {n};
    work->cte_columns = {out};
    auto step = m.over(NodeKind::kProject, std::move(work));
    step->output.clear();
    m.compute(*step, op("+", m.ref(n), int4(1)));
    auto recursive = m.node(NodeKind::kRecursiveUnion);
    recursive->set_all = all;
    recursive->output = {out};
    recursive->children.push_back(std::move(seed));
    recursive->children.push_back(std::move(step));
    auto scan = m.node(NodeKind::kCteScan);
    scan->cte = 4;
    scan->output = {m.column(kInt4Type)};
    scan->cte_columns = {out};
    auto limit = m.over(NodeKind::kLimit, std::move(scan));
    limit->limit = int8(4);
    auto bind = m.node(NodeKind::kCteBind);
    bind->cte = 4;
    bind->output = limit->output;
    bind->children.push_back(std::move(recursive));
    bind->children.push_back(std::move(limit));
    expect_rows(database, m.finish(std::move(bind)), {"1", "2", "3", "4"}, true);
  }
}

TEST(Functions, SeriesSideBySide) {
  MemoryDatabase database;
  const auto& registry = functions::Registry::instance();
  const functions::FunctionDeclaration* series = nullptr;
  for (const auto* f : registry.functions("generate_series"))
    if (f->arguments.size() == 2 && f->arguments[0] == types::oid::kInt4) series = f;
  ASSERT_NE(series, nullptr);
  const auto call = [&](ExpressionPtr from, ExpressionPtr to) {
    const TypeRef types[] = {kInt4Type, kInt4Type};
    return expression::make_call(functions::resolve_kernels(*series, types),
                                 list(std::move(from), std::move(to)));
  };
  PlanMaker m;
  auto scan = m.node(NodeKind::kFunctionScan);
  for (const int n : {3, 5}) {
    const auto id = m.column(kInt4Type);
    scan->functions.push_back({call(int4(1), int4(n)), {id}, true});
    scan->output.push_back(id);
  }
  scan->has_ordinality = true;
  scan->ordinality = m.column(kInt8Type);
  scan->output.push_back(scan->ordinality);
  expect_rows(database, m.finish(std::move(scan)), {"1|1|1", "2|2|2", "3|3|3", "NULL|4|4", "NULL|5|5"}, true);

  PlanMaker m2;
  auto values = m2.values({{2, 0}, {0, 1}, {std::nullopt, 7}, {1, 3}}, 2);
  const auto a = values->output[0], b = values->output[1];
  auto set = m2.over(NodeKind::kProjectSet, std::move(values));
  set->output = {b};
  for (const int extra : {0, 1}) {
    const auto id = m2.column(kInt4Type);
    set->functions.push_back(
        {call(int4(1), extra == 0 ? m2.ref(a) : op("-", m2.ref(a), int4(1))), {id}, true});
    set->output.push_back(id);
  }
  expect_rows(database, m2.finish(std::move(set)), {"0|1|1", "0|2|NULL", "3|1|NULL"}, true);
}

}  // namespace
}  // namespace rustbd::exec::testing
