// Bound expressions: what the binder makes, rules rewrite, and the evaluator runs. Names are gone: columns
// are numbers unique in the plan, functions and types are oids, so a tree can be serialised without pointers
// (query.md §3, §15).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rustbd/functions/registry.h"
#include "rustbd/types/io.h"

namespace rustbd::expression {

using types::Datum;
using types::TypeRef;

/// A column of a plan, unique in the whole statement ("information unit"): moving operators never renumbers.
using ColumnId = std::uint32_t;
/// Index into the plan's list of subplans.
using SubqueryId = std::uint32_t;

enum class Kind : std::uint8_t {
  kConstant,      // value
  kParameter,     // $n: index (0-based)
  kColumn,        // column
  kCall,          // function, args   (operators and casts too)
  kPhysicalCast,  // args[0] between kD64(scale), kD128(scale) and kNumeric; also rescales. Never fails but
                  // 22003
  kAnd,
  kOr,
  kNot,
  kIsNull,
  kIsNotNull,
  kBooleanTest,  // test: IS [NOT] TRUE/FALSE/UNKNOWN
  kIsDistinct,
  kIsNotDistinct,  // args[0], args[1]
  kCase,           // args: when1, then1, when2, then2, ..., else (always there)
  kCoalesce,
  kNullIf,  // args[0], args[1]; function = the equality
  kGreatest,
  kLeast,
  kArray,        // ARRAY[...] of args; type is the array type. Elements that are arrays make more dimensions
  kRow,          // ROW(...)
  kFieldSelect,  // args[0] is a record of kRow or a composite; index = field
  kSubscript,  // args[0] array, args[1..] subscripts;  slices: index = number of dims, args lower/upper pairs
  kScalarArray,  // args[0] op ANY/ALL (args[1] array); function = op's function; all = true for ALL
  kInList,       // args[0] IN (args[1..]) with equality `function`; negated for NOT IN
  kAggregate,    // only inside plan::Aggregate's list
  kWindow,       // only inside plan::Window's list
  kSubquery,  // subquery, subquery_kind, args: the operands that are compared with its rows; before unnesting
  kTypedInput,    // args[0] text -> type by its input function (explicit I/O cast); to text when target is a
                  // string type
  kCoerceLength,  // args[0] to the typmod of `type`; index = 1 for an explicit cast. numeric: args[0] is
                  // kNumeric, the result has type.phys (kD64, kD128 or kNumeric) and the precision is checked
};

enum class BooleanTest : std::uint8_t { kTrue, kNotTrue, kFalse, kNotFalse, kUnknown, kNotUnknown };
enum class SubqueryKind : std::uint8_t { kExists, kScalar, kAny, kAll, kArray, kRow };

struct OrderKey;

/// A node. Trees are owned (unique_ptr) and copied by clone(); plain otherwise.
struct Expression {
  Kind kind = Kind::kConstant;
  TypeRef type{};
  std::int32_t location = -1;  // byte offset in the statement, for error positions
  std::vector<std::unique_ptr<Expression>> args;

  // kConstant. Long strings and big numerics point into the plan's arena.
  Datum value{};
  bool is_null = false;
  ColumnId column = 0;             // kColumn
  std::uint32_t outer_levels = 0;  // always 0: ids are unique, plan::Subplan::correlated lists outer ones
  std::uint32_t index = 0;         // kParameter, kFieldSelect, ...
  functions::ResolvedFunction function{};  // kCall, kNullIf, kScalarArray, kInList, kIsDistinct(eq)
  BooleanTest test{};
  bool all = false, negated = false;
  // kAggregate, kWindow
  functions::ResolvedAggregate aggregate{};
  bool distinct = false;
  bool star = false;  // count(*)
  std::unique_ptr<Expression> filter;
  std::vector<OrderKey> order_by;  // inside the aggregate
  std::string window_function;     // kWindow without an aggregate: "row_number", ...
  SubqueryId subquery = 0;
  SubqueryKind subquery_kind{};

  [[nodiscard]] std::unique_ptr<Expression> clone() const;
};
using ExpressionPtr = std::unique_ptr<Expression>;

struct OrderKey {
  ExpressionPtr expression;
  bool descending = false;
  bool nulls_first = false;
  [[nodiscard]] OrderKey clone() const { return {expression->clone(), descending, nulls_first}; }
};

// Makers.
ExpressionPtr make_constant(const types::Value& value, std::int32_t location = -1);
ExpressionPtr make_null(const TypeRef& type);
ExpressionPtr make_bool(bool value);
ExpressionPtr make_column(ColumnId column, const TypeRef& type, std::int32_t location = -1);
ExpressionPtr make_call(functions::ResolvedFunction function, std::vector<ExpressionPtr> args,
                        std::int32_t location = -1);
ExpressionPtr make_and(std::vector<ExpressionPtr> conjuncts);  // TRUE for none, the one for one
ExpressionPtr make_or(std::vector<ExpressionPtr> disjuncts);

// Questions.
bool same(const Expression& a, const Expression& b);  // structurally equal (locations ignored)
bool is_volatile(const Expression& e);
bool is_immutable(const Expression& e);  // foldable when its arguments are constants
bool can_error(const Expression& e);
bool is_constant(const Expression& e);  // no column, subquery, aggregate; parameters count as non-constant
void collect_columns(const Expression& e,
                     std::vector<ColumnId>& out);  // in order of appearance, with repeats
bool contains(const Expression& e, Kind kind);
/// Calls fn(ExpressionPtr&) for each node, children first; fn may replace the node.
void rewrite(ExpressionPtr& e, const std::function<void(ExpressionPtr&)>& fn);
void visit(const Expression& e, const std::function<void(const Expression&)>& fn);
void split_conjuncts(ExpressionPtr e, std::vector<ExpressionPtr>& out);
/// The name of a column for deparse.
using ColumnNamer = std::function<std::string(ColumnId)>;
/// SQL text in PostgreSQL's EXPLAIN style: "(a.x = 5)", "((x)::text ~~ 'a%'::text)".
/// `objects` names what reg* constants and enums refer to; without it they show as numbers.
std::string to_sql(const Expression& e, const ColumnNamer& names, types::ObjectNames* objects = nullptr);

}  // namespace rustbd::expression
