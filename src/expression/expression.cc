#include "rustbd/expression/expression.h"

#include <algorithm>

#include "rustbd/types/compare.h"

namespace rustbd::expression {

namespace oid = types::oid;

ExpressionPtr Expression::clone() const {
  auto copy = std::make_unique<Expression>();
  copy->kind = kind;
  copy->type = type;
  copy->location = location;
  copy->args.reserve(args.size());
  for (const auto& a : args) copy->args.push_back(a->clone());
  copy->value = value;
  copy->is_null = is_null;
  copy->column = column;
  copy->outer_levels = outer_levels;
  copy->index = index;
  copy->function = function;
  copy->test = test;
  copy->all = all;
  copy->negated = negated;
  copy->aggregate = aggregate;
  copy->distinct = distinct;
  copy->star = star;
  if (filter) copy->filter = filter->clone();
  copy->order_by.reserve(order_by.size());
  for (const auto& k : order_by) copy->order_by.push_back(k.clone());
  copy->window_function = window_function;
  copy->subquery = subquery;
  copy->subquery_kind = subquery_kind;
  return copy;
}

ExpressionPtr make_constant(const types::Value& value, std::int32_t location) {
  auto e = std::make_unique<Expression>();
  e->kind = Kind::kConstant;
  e->type = value.type;
  e->value = value.datum;
  e->is_null = value.is_null;
  e->location = location;
  return e;
}
ExpressionPtr make_null(const TypeRef& type) { return make_constant({type, true, Datum{}}); }
ExpressionPtr make_bool(bool value) {
  return make_constant({types::make_type(oid::kBool), false, Datum::of(value)});
}
ExpressionPtr make_column(ColumnId column, const TypeRef& type, std::int32_t location) {
  auto e = std::make_unique<Expression>();
  e->kind = Kind::kColumn;
  e->type = type;
  e->column = column;
  e->location = location;
  return e;
}
ExpressionPtr make_call(functions::ResolvedFunction function, std::vector<ExpressionPtr> args,
                        std::int32_t location) {
  auto e = std::make_unique<Expression>();
  e->kind = Kind::kCall;
  e->type = function.result;
  e->function = std::move(function);
  e->args = std::move(args);
  e->location = location;
  return e;
}

namespace {
ExpressionPtr make_junction(Kind kind, std::vector<ExpressionPtr> parts) {
  if (parts.empty()) return make_bool(kind == Kind::kAnd);
  if (parts.size() == 1) return std::move(parts[0]);
  auto e = std::make_unique<Expression>();
  e->kind = kind;
  e->type = types::make_type(oid::kBool);
  e->location = parts[0]->location;
  e->args = std::move(parts);
  return e;
}
}  // namespace
ExpressionPtr make_and(std::vector<ExpressionPtr> conjuncts) {
  return make_junction(Kind::kAnd, std::move(conjuncts));
}
ExpressionPtr make_or(std::vector<ExpressionPtr> disjuncts) {
  return make_junction(Kind::kOr, std::move(disjuncts));
}

namespace {

bool same_lists(const std::vector<ExpressionPtr>& a, const std::vector<ExpressionPtr>& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return same(*x, *y); });
}
bool same_optional(const ExpressionPtr& a, const ExpressionPtr& b) {
  return a == nullptr || b == nullptr ? a == b : same(*a, *b);
}
bool same_keys(const std::vector<OrderKey>& a, const std::vector<OrderKey>& b) {
  return std::ranges::equal(a, b, [](const OrderKey& x, const OrderKey& y) {
    return x.descending == y.descending && x.nulls_first == y.nulls_first &&
           same(*x.expression, *y.expression);
  });
}
/// Representation, not SQL equality: 1.0 and 1.00 differ, as do 0.0 and -0.0.
bool same_value(const Expression& a, const Expression& b) {
  if (a.is_null || b.is_null) return a.is_null == b.is_null;
  Bytes x, y;
  if (types::is_variable(a.type.phys)) {
    types::append_stored(a.value, a.type.phys, x);
    types::append_stored(b.value, b.type.phys, y);
    return x == y;
  }
  return std::memcmp(static_cast<const void*>(&a.value), static_cast<const void*>(&b.value),
                     types::width_of(a.type.phys)) == 0;
}

}  // namespace

bool same(const Expression& a, const Expression& b) {
  if (&a == &b) return true;
  if (a.kind != b.kind || a.type != b.type || a.args.size() != b.args.size()) return false;
  if (a.index != b.index || a.column != b.column || a.outer_levels != b.outer_levels || a.test != b.test ||
      a.all != b.all || a.negated != b.negated || a.distinct != b.distinct || a.star != b.star ||
      a.subquery != b.subquery || a.subquery_kind != b.subquery_kind ||
      a.window_function != b.window_function)
    return false;
  if (a.function.declaration != b.function.declaration || a.function.kernels != b.function.kernels ||
      a.aggregate.declaration != b.aggregate.declaration || a.aggregate.kernels != b.aggregate.kernels)
    return false;
  if (a.kind == Kind::kConstant && !same_value(a, b)) return false;
  return same_lists(a.args, b.args) && same_optional(a.filter, b.filter) && same_keys(a.order_by, b.order_by);
}

void visit(const Expression& e, const std::function<void(const Expression&)>& fn) {
  for (const auto& a : e.args) visit(*a, fn);
  if (e.filter) visit(*e.filter, fn);
  for (const auto& k : e.order_by) visit(*k.expression, fn);
  fn(e);
}

void rewrite(ExpressionPtr& e, const std::function<void(ExpressionPtr&)>& fn) {
  for (auto& a : e->args) rewrite(a, fn);
  if (e->filter) rewrite(e->filter, fn);
  for (auto& k : e->order_by) rewrite(k.expression, fn);
  fn(e);
}

namespace {

bool any(const Expression& e, bool (*test)(const Expression&)) {
  if (test(e)) return true;
  for (const auto& a : e.args)
    if (any(*a, test)) return true;
  if (e.filter && any(*e.filter, test)) return true;
  for (const auto& k : e.order_by)
    if (any(*k.expression, test)) return true;
  return false;
}

/// Text forms that depend on settings (DateStyle, TimeZone, bytea_output) or on the catalog.
bool has_stable_text(Oid type) {
  switch (type) {
    case oid::kBool:
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
    case oid::kFloat4:
    case oid::kFloat8:
    case oid::kNumeric:
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kChar:
    case oid::kUuid:
    case oid::kOid:
    case oid::kUnknown:
    case oid::kInt4Array:
    case oid::kInt8Array:
    case oid::kTextArray: return true;
    default: return false;
  }
}
bool is_not_immutable(const Expression& e) {
  switch (e.kind) {
    case Kind::kParameter:
    case Kind::kSubquery:
    case Kind::kAggregate:
    case Kind::kWindow: return true;
    case Kind::kTypedInput: return !has_stable_text(e.type.oid) || !has_stable_text(e.args[0]->type.oid);
    default:
      return e.function.declaration != nullptr && (!e.function.declaration->is(functions::kImmutable) ||
                                                   e.function.declaration->is(functions::kSetReturning));
  }
}

}  // namespace

bool is_volatile(const Expression& e) {
  return any(e, [](const Expression& x) {
    return x.function.declaration != nullptr && x.function.declaration->is(functions::kVolatile);
  });
}
bool is_immutable(const Expression& e) { return !any(e, &is_not_immutable); }
bool can_error(const Expression& e) {
  return any(e, [](const Expression& x) {
    switch (x.kind) {
      case Kind::kTypedInput:
      case Kind::kCoerceLength:
      case Kind::kSubquery:
      case Kind::kPhysicalCast:
      case Kind::kArray: return true;
      default: return x.function.declaration != nullptr && x.function.declaration->is(functions::kCanError);
    }
  });
}
bool is_constant(const Expression& e) {
  return !any(e, [](const Expression& x) {
    return x.kind == Kind::kColumn || x.kind == Kind::kParameter || x.kind == Kind::kSubquery ||
           x.kind == Kind::kAggregate || x.kind == Kind::kWindow;
  });
}
void collect_columns(const Expression& e, std::vector<ColumnId>& out) {
  visit(e, [&](const Expression& x) {
    if (x.kind == Kind::kColumn && x.outer_levels == 0 && std::ranges::find(out, x.column) == out.end())
      out.push_back(x.column);
  });
}
bool contains(const Expression& e, Kind kind) {
  bool found = false;
  visit(e, [&](const Expression& x) { found |= x.kind == kind; });
  return found;
}
void split_conjuncts(ExpressionPtr e, std::vector<ExpressionPtr>& out) {
  if (e->kind != Kind::kAnd) {
    out.push_back(std::move(e));
    return;
  }
  for (auto& a : e->args) split_conjuncts(std::move(a), out);
}

}  // namespace rustbd::expression
