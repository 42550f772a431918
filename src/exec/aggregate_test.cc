#include <map>
#include <set>

#include "rustbd/exec/testing/plan_maker.h"
#include "rustbd/io/executor.h"

namespace rustbd::exec::testing {
namespace {

struct Model {
  std::int64_t rows = 0, count = 0, sum = 0;
  std::optional<int> least, most;
  std::set<int> distinct;
  std::int64_t filtered = 0;
  void add(const std::optional<int>& v) {
    ++rows;
    if (!v) return;
    ++count;
    sum += *v;
    least = least ? std::min(*least, *v) : *v;
    most = most ? std::max(*most, *v) : *v;
    distinct.insert(*v);
    if (*v < 3) ++filtered;
  }
  [[nodiscard]] std::string text() const {
    const auto number = [](const std::optional<int>& v) {
      return v ? std::to_string(*v) : std::string("NULL");
    };
    return fmt::format("{}|{}|{}|{}|{}|{}|{}", rows, count, count == 0 ? "NULL" : std::to_string(sum),
                       number(least), number(most), distinct.size(), filtered);
  }
};

void add_calls(PlanMaker& m, plan::PlanNode& node, ColumnId v) {
  std::vector<ExpressionPtr> calls;
  calls.push_back(aggregate("count", {}));
  calls.push_back(aggregate("count", list(m.ref(v))));
  calls.push_back(aggregate("sum", list(m.ref(v))));
  calls.push_back(aggregate("min", list(m.ref(v))));
  calls.push_back(aggregate("max", list(m.ref(v))));
  calls.push_back(aggregate("count", list(m.ref(v))));
  calls.back()->distinct = true;
  calls.push_back(aggregate("count", {}));
  calls.back()->filter = op("<", m.ref(v), int4(3));
  for (auto& call : calls) {
    const auto id = m.column(call->type);
    node.output.push_back(id);
    node.aggregates.push_back({id, std::move(call)});
  }
}

std::vector<IntRow> random_rows(std::uint64_t seed, std::size_t n, std::uint64_t groups) {
  io::SeededRandom random(seed);
  std::vector<IntRow> rows;
  for (std::size_t i = 0; i < n; ++i) {
    IntRow row;
    for (const auto domain : {groups, std::uint64_t{6}})
      row.push_back(random.chance(150) ? std::nullopt
                                       : std::optional(static_cast<int>(random.below(domain))));
    rows.push_back(row);
  }
  return rows;
}

TEST(Aggregate, GroupsAgainstAMap) {
  for (const auto& [n, groups] :
       {std::pair<std::size_t, std::uint64_t>{0, 1}, {1, 1}, {900, 5}, {2500, 2000}}) {
    const auto rows = random_rows(n + 7, n, groups);
    MemoryDatabase database;
    auto relation = make_relation(1, "t", 2);
    fill(database.add(relation), rows);
    for (const bool grouped : {false, true}) {
      PlanMaker m;
      auto scan = m.scan(relation);
      const auto g = scan->output[0], v = scan->output[1];
      auto node = m.node(NodeKind::kAggregate);
      if (grouped) {
        const auto id = m.column(kInt4Type);
        node->groups.push_back({id, m.ref(g)});
        node->output.push_back(id);
      } else {
        node->strategy = plan::AggregateStrategy::kPlain;
      }
      add_calls(m, *node, v);
      node->children.push_back(std::move(scan));
      std::map<std::optional<int>, Model> model;
      if (!grouped) model[std::nullopt];
      for (const auto& row : rows) model[grouped ? row[0] : std::nullopt].add(row[1]);
      TextRows expected;
      for (const auto& [key, value] : model)
        expected.push_back(grouped ? text_of(IntRow{key}) + "|" + value.text() : value.text());
      expect_rows(database, m.finish(std::move(node)), expected);
    }
  }
}

TEST(Aggregate, GroupingSetsAndGrouping) {
  for (const std::size_t n : {0u, 500u}) {
    const auto rows = random_rows(3, n, 4);
    MemoryDatabase database;
    auto relation = make_relation(1, "t", 2);
    fill(database.add(relation), rows);
    PlanMaker m;
    auto scan = m.scan(relation);
    const auto a = scan->output[0], b = scan->output[1];
    auto node = m.node(NodeKind::kAggregate);
    const auto ga = m.column(kInt4Type), gb = m.column(kInt4Type), grouping = m.column(kInt4Type);
    node->groups.push_back({ga, m.ref(a)});
    node->groups.push_back({gb, m.ref(b)});
    node->grouping_sets = {{{0, 1}}, {{0}}, {{}}};
    node->grouping_calls.push_back({grouping, {0, 1}});
    auto call = aggregate("count", {});
    const auto count = m.column(call->type);
    node->aggregates.push_back({count, std::move(call)});
    node->output = {ga, gb, grouping, count};
    node->children.push_back(std::move(scan));
    std::map<std::vector<std::optional<int>>, std::int64_t> pairs, singles;
    for (const auto& row : rows) {
      ++pairs[{row[0], row[1]}];
      ++singles[{row[0]}];
    }
    TextRows expected{fmt::format("NULL|NULL|3|{}", n)};
    for (const auto& [key, c] : pairs) expected.push_back(text_of(key) + fmt::format("|0|{}", c));
    for (const auto& [key, c] : singles) expected.push_back(text_of(key) + fmt::format("|NULL|1|{}", c));
    expect_rows(database, m.finish(std::move(node)), expected);
  }
}

TEST(Aggregate, OrderedArgumentsAndDistinctText) {
  MemoryDatabase database;
  PlanMaker m;
  auto values = m.node(NodeKind::kValues);
  const auto g = m.column(kInt4Type), s = m.column(kTextType);
  values->output = {g, s};
  const auto text = [](std::string_view t) {
    return expression::make_constant({kTextType, false, types::Datum::of(types::Str{t})});
  };
  for (const auto& [group, word] :
       {std::pair{1, "b"}, {2, "z"}, {1, "a long word of many letters"}, {1, "b"}, {2, "y"}})
    values->rows.push_back(list(int4(group), text(word)));
  auto node = m.node(NodeKind::kAggregate);
  const auto id = m.column(kInt4Type);
  node->groups.push_back({id, m.ref(g)});
  node->output = {id};
  for (const bool distinct : {false, true}) {
    auto call = aggregate("string_agg", list(m.ref(s), text(",")));
    call->distinct = distinct;
    if (!distinct) {
      expression::OrderKey key;
      key.expression = m.ref(s);
      key.descending = true;
      call->order_by.push_back(std::move(key));
    }
    const auto out = m.column(call->type);
    node->aggregates.push_back({out, std::move(call)});
    node->output.push_back(out);
  }
  node->children.push_back(std::move(values));
  expect_rows(database, m.finish(std::move(node)),
              {"1|b,b,a long word of many letters|a long word of many letters,b", "2|z,y|y,z"});
}

TEST(SetOperation, AllKindsAgainstMultisets) {
  const auto left = random_rows(1, 300, 5), right = random_rows(2, 200, 6);
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> counts;
  for (const auto& row : left) ++counts[text_of(row)].first;
  for (const auto& row : right) ++counts[text_of(row)].second;
  MemoryDatabase database;
  auto l = make_relation(1, "l", 2), r = make_relation(2, "r", 2);
  fill(database.add(l), left);
  fill(database.add(r), right);
  for (const auto kind : {plan::SetOperationKind::kUnion, plan::SetOperationKind::kIntersect,
                          plan::SetOperationKind::kExcept}) {
    for (const bool all : {false, true}) {
      PlanMaker m;
      auto node = m.node(NodeKind::kSetOperation);
      node->set_operation = kind;
      node->set_all = all;
      node->output = {m.column(kInt4Type), m.column(kInt4Type)};
      node->children.push_back(m.scan(l));
      node->children.push_back(m.scan(r));
      TextRows expected;
      for (const auto& [text, c] : counts) {
        std::int64_t n = 0;
        if (kind == plan::SetOperationKind::kUnion) n = all ? c.first + c.second : 1;
        if (kind == plan::SetOperationKind::kIntersect)
          n = all ? std::min(c.first, c.second) : (c.first != 0 && c.second != 0);
        if (kind == plan::SetOperationKind::kExcept)
          n = all ? std::max<std::int64_t>(0, c.first - c.second) : (c.first != 0 && c.second == 0);
        for (; n > 0; --n) expected.push_back(text);
      }
      expect_rows(database, m.finish(std::move(node)), expected);
    }
  }
}

}  // namespace
}  // namespace rustbd::exec::testing
