#include "rustbd/exec/testing/plan_maker.h"
#include "rustbd/io/executor.h"

namespace rustbd::exec::testing {
namespace {

std::vector<std::vector<IntRow>> inputs() {
  std::vector<IntRow> many, duplicates;
  for (int i = 0; i < 2500; ++i) many.push_back({i, i % 10 == 0 ? std::nullopt : std::optional(i % 7)});
  for (int i = 0; i < 1500; ++i) duplicates.push_back({3, 4});
  return {{}, {{5, 6}}, {{std::nullopt, std::nullopt}, {std::nullopt, std::nullopt}}, many, duplicates};
}

TEST(Scan, FilterProjectAgainstModel) {
  for (const auto& input : inputs()) {
    MemoryDatabase database;
    auto relation = make_relation(1, "t", 2);
    fill(database.add(relation), input);
    PlanMaker m;
    auto scan = m.scan(relation);
    const auto a = scan->output[0], b = scan->output[1];
    scan->filter = op("<", m.ref(b), int4(4));
    auto project = m.over(NodeKind::kProject, std::move(scan));
    project->output = {b};
    m.compute(*project, op("+", m.ref(a), m.ref(b)));
    TextRows expected;
    for (const auto& row : input)
      if (row[1] && *row[1] < 4)
        expected.push_back(text_of(IntRow{row[1], row[0] ? std::optional(*row[0] + *row[1]) : std::nullopt}));
    expect_rows(database, m.finish(std::move(project)), expected);
  }
}

TEST(Scan, CountsRowsWithoutColumns) {
  MemoryDatabase database;
  auto relation = make_relation(1, "t", 1);
  fill(database.add(relation), std::vector<IntRow>(2050, {1}));
  PlanMaker m;
  auto scan = m.node(NodeKind::kTableScan);
  scan->relation = relation;
  auto count = m.over(NodeKind::kAggregate, std::move(scan));
  count->strategy = plan::AggregateStrategy::kPlain;
  auto call = aggregate("count", {});
  const auto id = m.column(call->type);
  count->output = {id};
  count->aggregates.push_back({id, std::move(call)});
  expect_rows(database, m.finish(std::move(count)), {"2050"});
}

TEST(Scan, IndexRangesAndLists) {
  MemoryDatabase database;
  auto relation = make_relation(1, "t", 2);
  const auto index = add_index(*relation, 50, {1}, false);
  std::vector<IntRow> rows;
  for (int i = 0; i < 60; ++i) rows.push_back({i % 20, i});
  rows.push_back({std::nullopt, 99});
  fill(database.add(relation), rows);
  const auto make = [&](auto&& set) {
    PlanMaker m;
    auto scan = m.scan(relation);
    scan->kind = NodeKind::kIndexScan;
    scan->index = index;
    set(*scan);
    return m.finish(std::move(scan));
  };
  const auto expected = [&](auto&& pass) {
    TextRows out;
    for (const auto& row : rows)
      if (row[0] ? pass(*row[0]) : false) out.push_back(text_of(row));
    return out;
  };
  expect_rows(database, make([](auto& n) { n.range.equal.push_back(int4(7)); }),
              expected([](int a) { return a == 7; }));
  expect_rows(database, make([](auto& n) {
                n.range.lower = int4(3);
                n.range.upper = int4(9);
                n.range.lower_inclusive = false;
              }),
              expected([](int a) { return a > 3 && a <= 9; }));
  expect_rows(database, make([](auto& n) {
                for (const int v : {9, 2, 9, 100}) n.range.in_list.push_back(int4(v));
                n.range.in_list.push_back(expression::make_null(kInt4Type));
              }),
              expected([](int a) { return a == 2 || a == 9; }));
  expect_rows(database, make([](auto& n) { n.range.equal.push_back(expression::make_null(kInt4Type)); }), {});
  expect_rows(database, make([](auto& n) {
                n.range.lower = expression::make_null(kInt4Type);
                n.range.upper = int4(9);
              }),
              {});
  expect_rows(database, make([](auto& n) {
                n.range.equal.push_back(nullptr);
                n.range.null_safe.push_back(true);
              }),
              {"NULL|99"});
}

// A run that serves another execution reads that one's tables, with its parameters, and keeps nothing of
// before.
TEST(RunAgain, ReadsTheTablesOfItsExecution) {
  auto relation = make_relation(1, "t", 2);
  const auto index = add_index(*relation, 50, {1}, false);
  MemoryDatabase databases[2];
  for (int d = 0; d < 2; ++d) {
    std::vector<IntRow> rows;
    for (int i = 0; i < 3000; ++i) rows.push_back({i, i + 10000 * d});
    fill(databases[d].add(relation), rows);
  }
  for (const auto kind : {NodeKind::kIndexScan, NodeKind::kTableScan}) {
    PlanMaker m;
    auto scan = m.scan(relation);
    const auto b = scan->output[1];
    scan->kind = kind;
    if (kind == NodeKind::kIndexScan) {
      scan->index = index;
      scan->range.lower = int4_parameter(0);
    } else {
      scan->filter = op(">=", m.ref(scan->output[0]), int4_parameter(0));
    }
    auto project = m.over(NodeKind::kProject, std::move(scan));
    m.compute(*project, op("+", m.ref(b), int4_parameter(0)));
    const auto plan = m.finish(std::move(project));
    std::unique_ptr<QueryRun> run;
    for (const int from : {2990, 0, 2999, 5000, 1500}) {
      for (int d = 0; d < 2; ++d) {
        const types::Value value{kInt4Type, false, types::Datum::of(from)};
        auto context = context_of(databases[d], 7);
        context.parameters = {&value, 1};
        databases[d].begin_statement();
        if (run == nullptr) {
          run = QueryRun::start(plan, context);
        } else {
          ASSERT_TRUE(run->rest());
          run->run_again(context);
        }
        TextRows expected;
        for (int i = from; i < 3000; ++i)
          expected.push_back(fmt::format("{}|{}|{}", i, i + 10000 * d, i + 10000 * d + from));
        auto rows = drain(run.get(), context).rows;
        std::ranges::sort(rows);
        std::ranges::sort(expected);
        EXPECT_EQ(rows, expected);
      }
    }
  }
}

// What was not read to its end, or has a part that keeps rows, is no good for another execution.
TEST(RunAgain, OnlyAfterTheEnd) {
  MemoryDatabase database;
  auto relation = make_relation(1, "t", 2);
  fill(database.add(relation), std::vector<IntRow>(100, {1, 2}));
  database.begin_statement();
  PlanMaker m;
  auto run = QueryRun::start(m.finish(m.scan(relation)), context_of(database, 7));
  types::Chunk chunk;
  ASSERT_EQ(run->next(&chunk, 0).state, State::kHaveOutput);
  EXPECT_FALSE(run->rest());
}

TEST(Values, RowsAndResult) {
  MemoryDatabase database;
  PlanMaker m;
  auto values = m.values({{1, 2}, {std::nullopt, 3}}, 2);
  expect_rows(database, m.finish(std::move(values)), {"1|2", "NULL|3"}, true);
  PlanMaker m2;
  auto project = m2.over(NodeKind::kProject, m2.node(NodeKind::kResult));
  m2.compute(*project, op("+", int4(1), int4(2)));
  expect_rows(database, m2.finish(std::move(project)), {"3"});
}

TEST(Limit, OffsetTiesAndErrors) {
  MemoryDatabase database;
  const auto limited = [&](ExpressionPtr limit, ExpressionPtr offset, bool ties) {
    PlanMaker m;
    auto node = m.over(NodeKind::kLimit, m.values({{1}, {2}, {2}, {2}, {3}, {4}}, 1));
    node->limit = std::move(limit);
    node->offset = std::move(offset);
    node->with_ties = ties;
    if (ties) node->sort_keys.push_back({node->output[0]});
    return m.finish(std::move(node));
  };
  expect_rows(database, limited(int8(2), nullptr, false), {"1", "2"}, true);
  expect_rows(database, limited(int8(2), int8(3), false), {"2", "3"}, true);
  expect_rows(database, limited(nullptr, int8(5), false), {"4"}, true);
  expect_rows(database, limited(expression::make_null(kInt8Type), nullptr, false),
              {"1", "2", "2", "2", "3", "4"}, true);
  expect_rows(database, limited(int8(0), nullptr, false), {}, true);
  expect_rows(database, limited(int8(2), nullptr, true), {"1", "2", "2", "2"}, true);
  expect_rows(database, limited(int8(1), int8(1), true), {"2", "2", "2"}, true);
  expect_rows(database, limited(int8(0), nullptr, true), {}, true);
  for (const bool is_limit : {true, false}) {
    try {
      run_with(is_limit ? limited(int8(-1), nullptr, false) : limited(nullptr, int8(-1), false),
               context_of(database, 7));
      FAIL() << "a negative count must fail";
    } catch (const Error& e) {
      EXPECT_EQ(e.state.text(), is_limit ? "2201W" : "2201X");
      EXPECT_EQ(e.message, is_limit ? "LIMIT must not be negative" : "OFFSET must not be negative");
    }
  }
}

TEST(Run, MaxRowsGoesOnWhereItStopped) {
  MemoryDatabase database;
  auto relation = make_relation(1, "t", 1);
  std::vector<IntRow> rows;
  TextRows expected;
  for (int i = 0; i < 100; ++i) {
    rows.push_back({i});
    expected.push_back(std::to_string(i));
  }
  fill(database.add(relation), rows);
  PlanMaker m;
  auto plan = m.finish(m.scan(relation));
  database.begin_statement();
  EXPECT_EQ(run_with(plan, context_of(database, 64), 3).rows, expected);
}

TEST(Run, CancelAndMemoryLimit) {
  MemoryDatabase database;
  auto relation = make_relation(1, "t", 2);
  std::vector<IntRow> rows;
  for (int i = 0; i < 5000; ++i) rows.push_back({i, i});
  fill(database.add(relation), rows);
  PlanMaker m;
  auto sort = m.over(NodeKind::kSort, m.scan(relation));
  sort->sort_keys.push_back({sort->output[0]});
  const auto plan = m.finish(std::move(sort));
  auto context = context_of(database, 1024);
  functions::CancelFlag cancel;
  context.cancel = &cancel;
  cancel.reason = static_cast<std::uint32_t>(functions::CancelReason::kUser);
  database.begin_statement();
  try {
    run_with(plan, context);
    FAIL() << "cancelled";
  } catch (const Error& e) {
    EXPECT_EQ(e.state.text(), "57014");
  }
  context.cancel = nullptr;
  context.memory_limit = 100000;
  try {
    run_with(plan, context);
    FAIL() << "over the limit";
  } catch (const Error& e) {
    EXPECT_EQ(e.state.text(), "53200");
    EXPECT_EQ(e.message, "out of memory");
  }
  context.memory_limit = 100 << 20;
  EXPECT_EQ(run_with(plan, context).rows.size(), 5000u);
}

TEST(Run, StatisticsCountRowsAndLoops) {
  MemoryDatabase database;
  auto relation = make_relation(1, "t", 1);
  std::vector<IntRow> rows;
  for (int i = 0; i < 100; ++i) rows.push_back({i});
  fill(database.add(relation), rows);
  PlanMaker m;
  auto scan = m.scan(relation);
  scan->filter = op("<", m.ref(scan->output[0]), int4(30));
  const auto id = scan->output[0];
  auto filter = m.over(NodeKind::kFilter, std::move(scan));
  filter->filter = op(">", m.ref(id), int4(9));
  const auto plan = m.finish(std::move(filter));
  auto context = context_of(database, 7);
  context.collect_statistics = true;
  database.begin_statement();
  auto run = QueryRun::start(plan, context);
  types::Chunk chunk;
  while (run->next(&chunk, 0).state == State::kHaveOutput) {}
  EXPECT_EQ(run->statistics()[0].rows, 20u);
  EXPECT_EQ(run->statistics()[0].filtered, 10u);
  EXPECT_EQ(run->statistics()[1].rows, 30u);
  EXPECT_EQ(run->statistics()[1].filtered, 70u);
  EXPECT_EQ(run->statistics()[1].loops, 1u);
  EXPECT_GE(run->statistics()[0].total_ns, run->statistics()[1].total_ns);
}

}  // namespace
}  // namespace rustbd::exec::testing
