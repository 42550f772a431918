#include "rustbd/optimizer/access_path.h"

#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/types/cast.h"

namespace rustbd::optimizer {

namespace oid = types::oid;
using types::Datum;
using types::Phys;

namespace {

/// One condition as an index sees it: column (an attribute) compared with something known.
struct Bound {
  std::size_t condition;
  catalog::AttributeNumber attribute;
  Comparison comparison = Comparison::kNone;
  ExpressionPtr value;              // nullptr: IS NULL
  std::vector<ExpressionPtr> list;  // IN
};

bool is_integer(Oid type) { return type == oid::kInt2 || type == oid::kInt4 || type == oid::kInt8; }
bool is_plain_string(Oid type) { return type == oid::kText || type == oid::kVarchar || type == oid::kName; }

std::int64_t integer_of(const Expression& e) {
  return e.type.phys == Phys::kI16 ? e.value.i16 : (e.type.phys == Phys::kI32 ? e.value.i32 : e.value.i64);
}

/// `value` as a value of the column's type, when every comparison stays what it was; else nullptr.
ExpressionPtr convert(const Planner& planner, const Expression& value, const TypeRef& column) {
  const auto& type = value.type;
  const bool same_form =
      type.phys == column.phys && (type.scale == column.scale || column.oid != oid::kNumeric);
  if (type.oid == column.oid && same_form) return value.clone();
  if (is_plain_string(type.oid) && is_plain_string(column.oid)) return value.clone();
  if (value.kind != Kind::kConstant) {
    // Widening never fails and keeps the order.
    return nullptr;
  }
  if (value.is_null) return expression::make_null(column);
  if (is_integer(type.oid) && is_integer(column.oid)) {
    const auto v = integer_of(value);
    Datum d;
    switch (column.phys) {
      case Phys::kI16:
        if (v < INT16_MIN || v > INT16_MAX) return nullptr;
        d = Datum::of(static_cast<std::int16_t>(v));
        break;
      case Phys::kI32:
        if (v < INT32_MIN || v > INT32_MAX) return nullptr;
        d = Datum::of(static_cast<std::int32_t>(v));
        break;
      default: d = Datum::of(v);
    }
    return expression::make_constant({column, false, d}, value.location);
  }
  if (type.oid == oid::kNumeric && column.oid == oid::kNumeric) {
    try {
      auto& arena = *planner.plan.arena;
      const auto there = types::convert_decimal(value.value, type, column, arena);
      const auto back = types::convert_decimal(there, column, type, arena);
      if (types::compare(back, value.value, type) != 0) return nullptr;
      return expression::make_constant({column, false, there}, value.location);
    } catch (const Error&) {
      return nullptr;
    }
  }
  return nullptr;
}

/// The column of `get` behind casts that change no order.
const Expression* strip(const Expression& e, const LogicalNode& get) {
  const Expression* x = &e;
  while (x->kind == Kind::kPhysicalCast) {
    const auto& inner = *x->args[0];
    const bool decimal = x->type.oid == oid::kNumeric && inner.type.oid == oid::kNumeric &&
                         (x->type.phys == Phys::kNumeric || x->type.scale >= inner.type.scale);
    const bool relabel = is_plain_string(x->type.oid) && is_plain_string(inner.type.oid);
    if (!decimal && !relabel) return nullptr;
    x = &inner;
  }
  if (x->kind != Kind::kColumn) return nullptr;
  const bool own =
      std::ranges::any_of(get.columns, [&](const auto& c) { return c.id == x->column && c.attribute > 0; });
  return own ? x : nullptr;
}

catalog::AttributeNumber attribute_of(const LogicalNode& get, ColumnId id) {
  for (const auto& c : get.columns)
    if (c.id == id) return c.attribute;
  return 0;
}

class BoundFinder {
 public:
  BoundFinder(const Planner& planner, const LogicalNode& get, const ColumnSet& outer)
      : planner_(planner), get_(get), outer_(outer) {}

  void find(std::size_t i, const Expression& e, std::vector<Bound>& out) const {
    switch (e.kind) {
      case Kind::kIsNull:
        if (const auto* column = strip(*e.args[0], get_))
          out.push_back({i, attribute_of(get_, column->column), Comparison::kEqual, nullptr, {}});
        return;
      case Kind::kInList: return find_list(i, e, out);
      case Kind::kColumn:  // a boolean column is a condition
        if (const auto* column = strip(e, get_))
          out.push_back(
              {i, attribute_of(get_, column->column), Comparison::kEqual, expression::make_bool(true), {}});
        return;
      case Kind::kNot:
        if (const auto* column = e.args[0]->type.oid == oid::kBool ? strip(*e.args[0], get_) : nullptr)
          out.push_back(
              {i, attribute_of(get_, column->column), Comparison::kEqual, expression::make_bool(false), {}});
        return;
      default: break;
    }
    const auto comparison = comparison_of(e);
    if (comparison == Comparison::kNone || comparison == Comparison::kNotEqual) return;
    find_side(i, *e.args[0], *e.args[1], comparison, out);
    find_side(i, *e.args[1], *e.args[0], commute(comparison), out);
  }

 private:
  [[nodiscard]] bool is_known(const Expression& e) const {
    return outer_.contains_all(columns_of(e)) && !expression::is_volatile(e) &&
           !expression::contains(e, Kind::kSubquery);
  }
  void find_side(std::size_t i, const Expression& column_side, const Expression& value_side,
                 Comparison comparison, std::vector<Bound>& out) const {
    const auto* column = strip(column_side, get_);
    if (column == nullptr || !is_known(value_side)) return;
    auto value = to_column(value_side, column->type);
    if (value != nullptr)
      out.push_back({i, attribute_of(get_, column->column), comparison, std::move(value), {}});
  }
  [[nodiscard]] ExpressionPtr to_column(const Expression& e, const TypeRef& column) const {
    const Expression* x = &e;
    // A cast of a value to what the comparison needed is undone when the value was of the column's type
    // before.
    while (x->kind == Kind::kPhysicalCast && x->type.oid == x->args[0]->type.oid &&
           x->args[0]->type == column)
      x = x->args[0].get();
    return convert(planner_, *x, column);
  }
  void find_list(std::size_t i, const Expression& e, std::vector<Bound>& out) const {
    if (e.negated) return;
    const auto* column = strip(*e.args[0], get_);
    if (column == nullptr) return;
    Bound bound{i, attribute_of(get_, column->column), Comparison::kEqual, nullptr, {}};
    for (std::size_t a = 1; a < e.args.size(); ++a) {
      if (!is_known(*e.args[a])) return;
      auto value = to_column(*e.args[a], column->type);
      if (value == nullptr) return;
      bound.list.push_back(std::move(value));
    }
    out.push_back(std::move(bound));
  }
  const Planner& planner_;
  const LogicalNode& get_;
  const ColumnSet& outer_;
};

const Bound* find_bound(const std::vector<Bound>& bounds, catalog::AttributeNumber attribute, auto accept) {
  for (const auto& b : bounds)
    if (b.attribute == attribute && accept(b)) return &b;
  return nullptr;
}

void add_range(const std::vector<Bound>& bounds, catalog::AttributeNumber attribute, IndexPath& path) {
  for (const auto& b : bounds) {
    if (b.attribute != attribute || b.value == nullptr || !b.list.empty()) continue;
    if (b.comparison == Comparison::kGreater || b.comparison == Comparison::kGreaterEqual) {
      if (path.range.lower != nullptr) continue;
      path.range.lower = b.value->clone();
      path.range.lower_inclusive = b.comparison == Comparison::kGreaterEqual;
      path.used.push_back(b.condition);
    } else if (b.comparison == Comparison::kLess || b.comparison == Comparison::kLessEqual) {
      if (path.range.upper != nullptr) continue;
      path.range.upper = b.value->clone();
      path.range.upper_inclusive = b.comparison == Comparison::kLessEqual;
      path.used.push_back(b.condition);
    }
  }
}

bool try_index(const std::shared_ptr<const catalog::Index>& index, const std::vector<Bound>& bounds,
               IndexPath& path) {
  path.index = index;
  bool has_null = false;
  std::size_t part = 0;
  for (; part < index->columns.size(); ++part) {
    const auto attribute = index->columns[part].attribute;
    if (attribute == 0) break;
    const auto* equal = find_bound(bounds, attribute, [](const Bound& b) {
      return b.comparison == Comparison::kEqual && b.list.empty();
    });
    if (equal == nullptr) break;
    has_null = has_null || equal->value == nullptr;
    path.range.equal.push_back(equal->value == nullptr ? nullptr : equal->value->clone());
    path.range.null_safe.push_back(equal->value == nullptr);
    path.used.push_back(equal->condition);
  }
  path.equal_parts = part;
  path.unique_row = index->unique && part == index->columns.size() && !has_null;
  if (part < index->columns.size() && index->columns[part].attribute != 0) {
    const auto attribute = index->columns[part].attribute;
    if (const auto* list = find_bound(bounds, attribute, [](const Bound& b) { return !b.list.empty(); })) {
      path.range.in_list = clone_all(list->list);
      path.used.push_back(list->condition);
      if (part + 1 < index->columns.size() && index->columns[part + 1].attribute != 0)
        add_range(bounds, index->columns[part + 1].attribute, path);
    } else {
      add_range(bounds, attribute, path);
    }
  }
  return !path.used.empty();
}

}  // namespace

std::vector<IndexPath> index_paths(const Planner& planner, const LogicalNode& get,
                                   const Conjuncts& conditions, const ColumnSet& outer) {
  std::vector<IndexPath> paths;
  const auto& relation = *get.relation;
  if (relation.indexes.empty() || relation.source != catalog::RowSource::kStored || conditions.empty())
    return paths;
  if (!planner.enabled(Rule::kIndexScan)) return paths;
  std::vector<Bound> bounds;
  const BoundFinder finder{planner, get, outer};
  for (std::size_t i = 0; i < conditions.size(); ++i) finder.find(i, *conditions[i], bounds);
  if (bounds.empty()) return paths;
  for (const auto& index : relation.indexes) {
    if (!index->valid || !index->predicate_sql.empty()) continue;
    IndexPath path;
    if (try_index(index, bounds, path)) paths.push_back(std::move(path));
  }
  return paths;
}

}  // namespace rustbd::optimizer
