#include "rustbd/exec/testing/plan_maker.h"
#include "rustbd/io/executor.h"

namespace rustbd::exec::testing {
namespace {

using plan::JoinType;

constexpr JoinType kAllTypes[] = {JoinType::kInner, JoinType::kLeft, JoinType::kRight, JoinType::kFull,
                                  JoinType::kSemi,  JoinType::kAnti, JoinType::kMark,  JoinType::kSingle};

enum class Truth { kFalse, kTrue, kNull };
Truth both(Truth a, Truth b) {
  if (a == Truth::kFalse || b == Truth::kFalse) return Truth::kFalse;
  return a == Truth::kTrue && b == Truth::kTrue ? Truth::kTrue : Truth::kNull;
}
template <class Compare>
Truth compare(const std::optional<int>& a, const std::optional<int>& b, Compare&& c) {
  if (!a || !b) return Truth::kNull;
  return c(*a, *b) ? Truth::kTrue : Truth::kFalse;
}

/// The join as its definition says. nullopt: a single join that fails.
std::optional<TextRows> model(const std::vector<IntRow>& left, const std::vector<IntRow>& right,
                              JoinType type, bool condition, bool null_safe) {
  TextRows out;
  std::vector<bool> right_matched(right.size());
  const auto pair = [](IntRow l, const IntRow& r) {
    l.insert(l.end(), r.begin(), r.end());
    return text_of(l);
  };
  const IntRow nulls(2);
  for (const auto& l : left) {
    int matches = 0;
    bool unknown = false;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const auto& r = right[j];
      Truth t =
          null_safe ? (l[0] == r[0] ? Truth::kTrue : Truth::kFalse) : compare(l[0], r[0], std::equal_to<>());
      if (condition) t = both(t, compare(l[1], r[1], std::less<>()));
      unknown |= t == Truth::kNull;
      if (t != Truth::kTrue) continue;
      ++matches;
      right_matched[j] = true;
      if (type == JoinType::kInner || type == JoinType::kLeft || type == JoinType::kRight ||
          type == JoinType::kFull || type == JoinType::kSingle)
        out.push_back(pair(l, r));
    }
    if (type == JoinType::kSingle && matches > 1) return std::nullopt;
    if (matches == 0 && (type == JoinType::kLeft || type == JoinType::kFull || type == JoinType::kSingle))
      out.push_back(pair(l, nulls));
    if (type == JoinType::kSemi && matches > 0) out.push_back(text_of(l));
    if (type == JoinType::kAnti && matches == 0) out.push_back(text_of(l));
    if (type == JoinType::kMark)
      out.push_back(text_of(l) + (matches > 0 ? "|t" : (unknown ? "|NULL" : "|f")));
  }
  if (type == JoinType::kRight || type == JoinType::kFull)
    for (std::size_t j = 0; j < right.size(); ++j)
      if (!right_matched[j]) out.push_back(pair(nulls, right[j]));
  return out;
}

enum class How { kHash, kNestedLoop, kIndex, kApply };

std::shared_ptr<const plan::ExecutionPlan> make_plan(How how, JoinType type, bool condition, bool null_safe,
                                                     const std::shared_ptr<catalog::Relation>& left,
                                                     const std::shared_ptr<catalog::Relation>& right) {
  PlanMaker m;
  auto l = m.scan(left), r = m.scan(right);
  const auto a = l->output[0], b = l->output[1], c = r->output[0], d = r->output[1];
  const auto kind =
      how == How::kHash
          ? NodeKind::kHashJoin
          : (how == How::kNestedLoop ? NodeKind::kNestedLoopJoin
                                     : (how == How::kIndex ? NodeKind::kIndexJoin : NodeKind::kApply));
  std::vector<ExpressionPtr> conjuncts;
  if (how == How::kIndex) {
    r->kind = NodeKind::kIndexScan;
    r->index = right->indexes[0];
    r->range.equal.push_back(m.ref(a));
    if (null_safe) r->range.null_safe.push_back(true);
  } else if (how == How::kApply) {
    auto parameter = std::make_unique<expression::Expression>();
    parameter->kind = expression::Kind::kParameter;
    parameter->type = kInt4Type;
    parameter->index = 0;
    m.plan().parameter_slots = 1;
    if (type == JoinType::kMark) {
      conjuncts.push_back(op("=", m.ref(a), m.ref(c)));  // three-valued, so it can't be a filter below
    } else {
      r->filter = op("=", m.ref(c), std::move(parameter));
    }
  } else if (how == How::kNestedLoop) {
    conjuncts.push_back(op("=", m.ref(a), m.ref(c)));
  }
  if (condition) conjuncts.push_back(op("<", m.ref(b), m.ref(d)));
  auto join = m.join(kind, type, std::move(l), std::move(r));
  if (how == How::kHash) {
    plan::PlanNode::HashKey key;
    key.left = m.ref(a);
    key.right = m.ref(c);
    key.null_safe = null_safe;
    join->hash_keys.push_back(std::move(key));
  }
  if (how == How::kApply) join->bindings.push_back({a, 0});
  if (!conjuncts.empty()) join->condition = expression::make_and(std::move(conjuncts));
  return m.finish(std::move(join));
}

std::vector<IntRow> random_rows(io::SeededRandom& random, std::size_t n, std::uint64_t domain,
                                std::uint32_t nulls_per_mille) {
  std::vector<IntRow> rows;
  for (std::size_t i = 0; i < n; ++i) {
    IntRow row;
    for (const std::uint64_t d : {domain, std::uint64_t{4}})
      row.push_back(random.chance(nulls_per_mille) ? std::nullopt
                                                   : std::optional(static_cast<int>(random.below(d))));
    rows.push_back(row);
  }
  return rows;
}

void check(How how, JoinType type, bool condition, bool null_safe, const std::vector<IntRow>& left,
           const std::vector<IntRow>& right) {
  SCOPED_TRACE(fmt::format("how {} type {} condition {} null_safe {} sizes {} {}", static_cast<int>(how),
                           static_cast<int>(type), condition, null_safe, left.size(), right.size()));
  MemoryDatabase database;
  auto l = make_relation(1, "l", 2), r = make_relation(2, "r", 2);
  add_index(*r, 60, {1}, false);
  fill(database.add(l), left);
  fill(database.add(r), right);
  const auto plan = make_plan(how, type, condition, null_safe, l, r);
  const auto expected = model(left, right, type, condition, null_safe);
  if (expected) return expect_rows(database, plan, *expected);
  database.begin_statement();
  try {
    run_with(plan, context_of(database, 7));
    ADD_FAILURE() << "two rows for one";
  } catch (const Error& e) {
    EXPECT_EQ(e.state.text(), "21000");
    EXPECT_EQ(e.message, "more than one row returned by a subquery used as an expression");
  }
}

TEST(Join, EveryTypeAgainstTheDefinition) {
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE(seed);
    io::SeededRandom random(seed);
    const std::size_t sizes[] = {0, 1, 5, 40};
    const auto left = random_rows(random, sizes[random.below(4)], 6, 200);
    const auto right = random_rows(random, sizes[random.below(4)], seed % 2 == 0 ? 200 : 6, 150);
    for (const auto type : kAllTypes) {
      for (const bool condition : {false, true}) {
        check(How::kHash, type, condition, false, left, right);
        check(How::kHash, type, condition, true, left, right);
        check(How::kNestedLoop, type, condition, false, left, right);
        if (type == JoinType::kRight || type == JoinType::kFull) continue;
        check(How::kApply, type, condition, false, left, right);
        if (type != JoinType::kMark) check(How::kIndex, type, condition, false, left, right);
      }
    }
  }
}

TEST(Join, ManyDuplicatesAndManyChunks) {
  std::vector<IntRow> left, right;
  for (int i = 0; i < 1300; ++i) left.push_back({i % 3 == 0 ? 7 : i, i % 4});
  for (int i = 0; i < 40; ++i) right.push_back({7, i % 4});
  right.push_back({std::nullopt, 1});
  for (const auto type : {JoinType::kInner, JoinType::kFull, JoinType::kSemi, JoinType::kMark})
    check(How::kHash, type, true, false, left, right);
}

TEST(Join, NotInWithNullsIsNeverTrue) {
  // x NOT IN (1, NULL): FALSE for 1, NULL for all else; over no rows always FALSE for IN.
  check(How::kHash, JoinType::kMark, false, false, {{1, 0}, {2, 0}, {std::nullopt, 0}},
        {{1, 0}, {std::nullopt, 0}});
  check(How::kHash, JoinType::kMark, false, false, {{1, 0}, {std::nullopt, 0}}, {});
  check(How::kHash, JoinType::kMark, false, false, {{std::nullopt, 0}}, {{1, 0}});
}

TEST(Join, SelectingKeysOfAMarkNeverMakeItNull) {
  MemoryDatabase database;
  auto l = make_relation(1, "l", 2), r = make_relation(2, "r", 2);
  fill(database.add(l), {{1, 5}, {std::nullopt, 5}, {2, std::nullopt}, {1, 6}});
  fill(database.add(r), {{1, 5}, {1, std::nullopt}, {3, 5}, {std::nullopt, 5}});
  PlanMaker m;
  auto left = m.scan(l), right = m.scan(r);
  std::vector<plan::PlanNode::HashKey> keys(2);
  for (int k = 0; k < 2; ++k) {
    keys[static_cast<std::size_t>(k)].left = m.ref(left->output[static_cast<std::size_t>(k)]);
    keys[static_cast<std::size_t>(k)].right = m.ref(right->output[static_cast<std::size_t>(k)]);
  }
  keys[0].selects = true;  // l.b IN (select r.b where r.a = l.a)
  auto join = m.join(NodeKind::kHashJoin, JoinType::kMark, std::move(left), std::move(right));
  join->hash_keys = std::move(keys);
  expect_rows(database, m.finish(std::move(join)), {"1|5|t", "NULL|5|f", "2|NULL|f", "1|6|NULL"});
}

TEST(Join, KeysOfTwoIntegerTypes) {
  MemoryDatabase database;
  auto l = make_relation(1, "l", 1), r = make_relation(2, "r", 1);
  fill(database.add(l), {{1}, {2}, {-3}});
  fill(database.add(r), {{2}, {-3}, {4}});
  PlanMaker m;
  auto left = m.scan(l), right = m.scan(r);
  plan::PlanNode::HashKey key;
  key.left = m.ref(left->output[0]);
  key.right = op("+", m.ref(right->output[0]), int8(0));
  auto join = m.join(NodeKind::kHashJoin, JoinType::kInner, std::move(left), std::move(right));
  join->hash_keys.push_back(std::move(key));
  expect_rows(database, m.finish(std::move(join)), {"2|2", "-3|-3"});
}

}  // namespace
}  // namespace rustbd::exec::testing
