#include <gtest/gtest.h>

#include <random>

#include "rustbd/base/error.h"
#include "rustbd/expression/evaluator.h"
#include "rustbd/types/array.h"

namespace rustbd::expression {
namespace {

namespace oid = types::oid;
using types::Chunk;
using types::Vector;

// Constant-initialised: the type table may not be ready while globals are made.
constexpr TypeRef kInt4{oid::kInt4, -1, types::Phys::kI32}, kBool{oid::kBool, -1, types::Phys::kBool},
    kText{oid::kText, -1, types::Phys::kStr, 0, types::collation::kDefault};
constexpr Oid kInt4Add = 177, kInt4Div = 154, kInt4Eq = 65, kInt4Lt = 66, kInt4Gt = 147, kTextCat = 1258;

ExpressionPtr integer(std::int32_t v) { return make_constant({kInt4, false, Datum::of(v)}); }
ExpressionPtr string(const char* v) {
  return make_constant({kText, false, Datum::of(types::Str{std::string_view{v}})});
}
ExpressionPtr column(ColumnId id, const TypeRef& type = kInt4) { return make_column(id, type); }
template <class... Args>
std::vector<ExpressionPtr> list(Args... args) {
  std::vector<ExpressionPtr> out;
  (out.push_back(std::move(args)), ...);
  return out;
}
functions::ResolvedFunction resolved(Oid function, std::vector<TypeRef> types) {
  return functions::resolve_kernels(*functions::Registry::instance().function(function), types);
}
ExpressionPtr call(Oid function, ExpressionPtr a, ExpressionPtr b) {
  auto f = resolved(function, {a->type, b->type});
  return make_call(std::move(f), list(std::move(a), std::move(b)));
}
ExpressionPtr node(Kind kind, const TypeRef& type, std::vector<ExpressionPtr> args) {
  auto e = std::make_unique<Expression>();
  e->kind = kind;
  e->type = type;
  e->args = std::move(args);
  return e;
}

/// Two int4 columns with ids 1 and 2, nulls where the value is -999.
struct Table {
  std::vector<std::int32_t> a, b;
  std::vector<std::uint64_t> valid_a, valid_b;
  std::vector<Vector> columns;
  Chunk chunk;
  std::vector<std::uint16_t> selected;
  Table(std::vector<std::int32_t> x, std::vector<std::int32_t> y) : a(std::move(x)), b(std::move(y)) {
    const auto n = static_cast<std::uint32_t>(a.size());
    a.resize(types::kVectorSize);
    b.resize(types::kVectorSize);
    const auto add = [&](std::vector<std::int32_t>& data, std::vector<std::uint64_t>& valid) {
      valid.assign(types::kValidityWords, ~0ull);
      for (std::size_t i = 0; i < data.size(); ++i)
        if (data[i] == -999) valid[i / 64] &= ~(1ull << (i % 64));
      Vector v;
      v.phys = types::Phys::kI32;
      v.width = 4;
      v.data = data.data();
      v.validity = valid.data();
      columns.push_back(v);
    };
    add(a, valid_a);
    add(b, valid_b);
    chunk.columns = columns.data();
    chunk.column_count = 2;
    chunk.select_all(n);
  }
};
const ColumnMap kLayout = {{1, 0}, {2, 1}};

std::vector<std::string> evaluate(const Expression& e, Table& t) {
  const Expression* expressions[] = {&e};
  const auto program = Program::compile(expressions, kLayout);
  const auto local = program->make_local();
  Vector out[1];
  program->evaluate(*local, {}, t.chunk, out);
  std::vector<std::string> rows;
  for (std::uint32_t i = 0; i < t.chunk.selection.count; ++i) {
    const auto row = t.chunk.selection[i];
    if (!out[0].is_valid(row)) {
      rows.emplace_back("null");
      continue;
    }
    const Datum d = out[0].datum(row);
    if (e.type.oid == oid::kBool) rows.emplace_back(d.boolean ? "t" : "f");
    else if (e.type.oid == oid::kText) rows.emplace_back(d.str.view());
    else rows.push_back(std::to_string(d.i32));
  }
  return rows;
}
using Rows = std::vector<std::string>;

TEST(Evaluator, CaseRunsBranchesOnlyWhereChosen) {
  Table t{{10, 10, -999, 7}, {2, 0, 0, 0}};
  // case when b > 0 then a / b else -1 end
  const auto e =
      node(Kind::kCase, kInt4,
           list(call(kInt4Gt, column(2), integer(0)), call(kInt4Div, column(1), column(2)), integer(-1)));
  EXPECT_EQ(evaluate(*e, t), (Rows{"5", "-1", "-1", "-1"}));
  EXPECT_THROW(evaluate(*call(kInt4Div, column(1), column(2)), t), Error);
}

TEST(Evaluator, CoalesceStopsAtTheFirstValue) {
  Table t{{4, -999}, {0, 2}};
  const auto e = node(Kind::kCoalesce, kInt4, list(column(1), call(kInt4Div, integer(8), column(2))));
  EXPECT_EQ(evaluate(*e, t), (Rows{"4", "4"}));
}

TEST(Evaluator, AndAndOrAreThreeValued) {
  std::vector<std::int32_t> x, y;
  for (const int p : {0, 1, -999})
    for (const int q : {0, 1, -999}) {
      x.push_back(p);
      y.push_back(q);
    }
  Table t{x, y};
  const auto truth = [](ColumnId id) { return call(kInt4Eq, column(id), integer(1)); };
  EXPECT_EQ(evaluate(*make_and(list(truth(1), truth(2))), t),
            (Rows{"f", "f", "f", "f", "t", "null", "f", "null", "null"}));
  EXPECT_EQ(evaluate(*make_or(list(truth(1), truth(2))), t),
            (Rows{"f", "t", "null", "t", "t", "t", "null", "t", "null"}));
  EXPECT_EQ(evaluate(*node(Kind::kNot, kBool, list(truth(1))), t)[8], "null");
}

TEST(Evaluator, FailingKernelsSeeNoNullRows) {
  Table t{{-999, 6}, {0, 3}};
  EXPECT_EQ(evaluate(*call(kInt4Div, column(1), column(2)), t), (Rows{"null", "2"}));
}

TEST(Evaluator, UnselectedRowsAreNotComputed) {
  Table t{{1, 6, 8}, {0, 3, 4}};
  const std::uint16_t selected[] = {1, 2};
  t.chunk.selection = {selected, 2};
  EXPECT_EQ(evaluate(*call(kInt4Div, column(1), column(2)), t), (Rows{"2", "2"}));
  t.chunk.selection = {selected, 0};
  EXPECT_EQ(evaluate(*call(kInt4Div, integer(1), integer(0)), t), Rows{});
}

TEST(Evaluator, FilterNarrowsConjunctByConjunct) {
  Table t{{1, 6, 8, -999}, {0, 3, 9, 1}};
  // b > 0 and a / b = 2: the division sees no zero.
  const auto e = make_and(list(call(kInt4Gt, column(2), integer(0)),
                               call(kInt4Eq, call(kInt4Div, column(1), column(2)), integer(2))));
  const Expression* expressions[] = {e.get()};
  const auto program = Program::compile(expressions, kLayout);
  const auto local = program->make_local();
  const auto kept = program->filter(*local, {}, t.chunk);
  ASSERT_EQ(kept.count, 1u);
  EXPECT_EQ(kept[0], 1u);
}

TEST(Evaluator, ConstantsStayConstantAndColumnsPassThrough) {
  Table t{{1, 2}, {3, 4}};
  const auto sum = call(kInt4Add, integer(1), integer(2));
  const auto plain = column(1);
  const Expression* expressions[] = {sum.get(), plain.get()};
  const auto program = Program::compile(expressions, kLayout);
  const auto local = program->make_local();
  Vector out[2];
  program->evaluate(*local, {}, t.chunk, out);
  EXPECT_EQ(out[0].form, types::Form::kConst);
  EXPECT_EQ(out[0].datum(0).i32, 3);
  EXPECT_EQ(out[1].data, t.columns[0].data);
}

ExpressionPtr in_list(std::vector<std::int32_t> values, bool with_null, bool negated) {
  auto e = node(Kind::kInList, kBool, list(column(1)));
  for (const auto v : values) e->args.push_back(integer(v));
  if (with_null) e->args.push_back(make_null(kInt4));
  e->function = resolved(kInt4Eq, {kInt4, kInt4});
  e->negated = negated;
  return e;
}
TEST(Evaluator, InListAsLoopAndAsSetAgree) {
  Table t{{1, 5, 30, -999}, {0, 0, 0, 0}};
  std::vector<std::int32_t> few{1, 2, 3}, many;
  for (int i = 1; i <= 25; ++i) many.push_back(i);
  EXPECT_EQ(evaluate(*in_list(few, false, false), t), (Rows{"t", "f", "f", "null"}));
  EXPECT_EQ(evaluate(*in_list(few, true, false), t), (Rows{"t", "null", "null", "null"}));
  EXPECT_EQ(evaluate(*in_list(few, true, true), t), (Rows{"f", "null", "null", "null"}));
  EXPECT_EQ(evaluate(*in_list(many, false, false), t), (Rows{"t", "t", "f", "null"}));
  EXPECT_EQ(evaluate(*in_list(many, true, true), t), (Rows{"f", "f", "null", "null"}));
}

TEST(Evaluator, ArraysAndAny) {
  Table t{{1, 2, -999}, {2, 2, 2}};
  const TypeRef array_type = types::make_type(oid::kInt4Array);
  auto any = node(Kind::kScalarArray, kBool,
                  list(column(1), node(Kind::kArray, array_type, list(column(2), integer(7)))));
  any->function = resolved(kInt4Eq, {kInt4, kInt4});
  EXPECT_EQ(evaluate(*any, t), (Rows{"f", "t", "null"}));
  any->all = true;
  EXPECT_EQ(evaluate(*any, t), (Rows{"f", "f", "null"}));
  const auto second = node(Kind::kSubscript, kInt4,
                           list(node(Kind::kArray, array_type, list(column(2), integer(7))), column(1)));
  EXPECT_EQ(evaluate(*second, t), (Rows{"2", "7", "null"}));
}

TEST(Evaluator, NullIfDistinctGreatestAndTests) {
  Table t{{1, 2, -999, -999}, {1, 3, 4, -999}};
  auto null_if = node(Kind::kNullIf, kInt4, list(column(1), column(2)));
  null_if->function = resolved(kInt4Eq, {kInt4, kInt4});
  EXPECT_EQ(evaluate(*null_if, t), (Rows{"null", "2", "null", "null"}));
  auto distinct = node(Kind::kIsDistinct, kBool, list(column(1), column(2)));
  distinct->function = resolved(kInt4Eq, {kInt4, kInt4});
  EXPECT_EQ(evaluate(*distinct, t), (Rows{"f", "t", "t", "f"}));
  EXPECT_EQ(evaluate(*node(Kind::kGreatest, kInt4, list(column(1), column(2))), t),
            (Rows{"1", "3", "4", "null"}));
  auto test = node(Kind::kBooleanTest, kBool, list(call(kInt4Eq, column(1), column(2))));
  test->test = BooleanTest::kNotTrue;
  EXPECT_EQ(evaluate(*test, t), (Rows{"f", "t", "t", "t"}));
}

TEST(Evaluator, TextAndInput) {
  Table t{{1, -42}, {0, 0}};
  const auto text = node(Kind::kTypedInput, kText, list(column(1)));
  EXPECT_EQ(evaluate(*call(kTextCat, string("value: "), text->clone()), t), (Rows{"value: 1", "value: -42"}));
  const auto back = node(Kind::kTypedInput, kInt4, list(text->clone()));
  EXPECT_EQ(evaluate(*back, t), (Rows{"1", "-42"}));
  Arena arena;
  const auto bad = node(Kind::kTypedInput, kInt4, list(string("1.5")));
  EXPECT_THROW(evaluate_constant(*bad, {}, arena), Error);
}

TEST(Expression, CloneIsSameAndDifferencesShow) {
  const auto e = make_and(list(call(kInt4Lt, column(1), integer(5)), call(kInt4Eq, column(2), integer(6))));
  const auto copy = e->clone();
  EXPECT_TRUE(same(*e, *copy));
  copy->args[1]->args[1] = integer(7);
  EXPECT_FALSE(same(*e, *copy));
  EXPECT_FALSE(is_constant(*e));
  EXPECT_TRUE(is_immutable(*e));
  std::vector<ColumnId> columns;
  collect_columns(*e, columns);
  EXPECT_EQ(columns, (std::vector<ColumnId>{1, 2}));
}

TEST(Expression, SqlTextIsThatOfExplain) {
  const ColumnNamer names = [](ColumnId id) { return "t.c" + std::to_string(id); };
  EXPECT_EQ(to_sql(*call(kInt4Lt, column(1), integer(5)), names), "(t.c1 < 5)");
  EXPECT_EQ(to_sql(*make_and(list(call(kInt4Lt, column(1), integer(-5)),
                                  node(Kind::kIsNull, kBool, list(column(2))))),
                   names),
            "((t.c1 < '-5'::integer) AND (t.c2 IS NULL))");
  EXPECT_EQ(to_sql(*call(kTextCat, node(Kind::kTypedInput, kText, list(column(1))), string("it's")), names),
            "((t.c1)::text || 'it''s'::text)");
  EXPECT_EQ(to_sql(*in_list({1, 2}, false, false), names), "(t.c1 = ANY ('{1,2}'::integer[]))");
}

}  // namespace
}  // namespace rustbd::expression
