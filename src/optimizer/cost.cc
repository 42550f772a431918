#include "rustbd/optimizer/cost.h"

#include <algorithm>
#include <cmath>

#include "rustbd/types/compare.h"

namespace rustbd::optimizer {

namespace oid = types::oid;
using plan::NodeKind;
using plan::PlanNode;

namespace {

constexpr double kUnknownEqual = 0.005, kUnknownRange = 1.0 / 3, kUnknownOther = 1.0 / 3,
                 kUnknownDistinct = 200;
constexpr double kL2Bytes = 1 << 20, kL3Bytes = 16 << 20;

/// Numbers and dates as points on a line, for the part of a histogram's bucket below a value.
bool as_number(const types::Datum& d, const TypeRef& type, double* out) {
  switch (type.phys) {
    case types::Phys::kI16: *out = d.i16; return true;
    case types::Phys::kI32: *out = d.i32; return true;
    case types::Phys::kI64:
    case types::Phys::kD64: *out = static_cast<double>(d.i64); return true;
    case types::Phys::kU32: *out = d.u32; return true;
    case types::Phys::kF32: *out = d.f32; return true;
    case types::Phys::kF64: *out = d.f64; return true;
    case types::Phys::kD128: *out = static_cast<double>(d.i128); return true;
    default: return false;
  }
}

/// The share of the histogram's values below `value`.
double histogram_below(const catalog::ColumnStatistics& s, const types::Datum& value, const TypeRef& type) {
  const auto& bounds = s.bounds;
  if (bounds.size() < 2) return 0.5;
  const auto at = std::ranges::lower_bound(
      bounds, value, [&](const auto& a, const auto& b) { return types::compare(a, b, type) < 0; });
  if (at == bounds.begin()) return 0;
  if (at == bounds.end()) return 1;
  const auto bucket = static_cast<double>(at - bounds.begin() - 1),
             buckets = static_cast<double>(bounds.size() - 1);
  double low, high, v, inside = 0.5;
  if (as_number(*(at - 1), type, &low) && as_number(*at, type, &high) && as_number(value, type, &v) &&
      high > low)
    inside = std::clamp((v - low) / (high - low), 0.0, 1.0);
  return (bucket + inside) / buckets;
}

const Expression& strip_casts(const Expression& e) {
  const Expression* x = &e;
  while (x->kind == Kind::kPhysicalCast) x = x->args[0].get();
  return *x;
}

}  // namespace

double hash_build_ns(double bytes) { return bytes <= kL2Bytes ? 20 : (bytes <= kL3Bytes ? 25 : 40); }
double hash_probe_ns(double bytes) { return bytes <= kL2Bytes ? 7 : (bytes <= kL3Bytes ? 26 : 45); }

double Estimator::table_rows(const catalog::Relation& relation) {
  const auto [it, is_new] = rows_.try_emplace(relation.oid, 0);
  if (is_new)
    it->second = std::max(
        1.0, planner_.input.table_size ? planner_.input.table_size(relation).rows : TableSize{}.rows);
  return it->second;
}

const catalog::ColumnStatistics* Estimator::statistics(const catalog::Relation& relation,
                                                       catalog::AttributeNumber attribute) {
  if (relation.statistics == nullptr || attribute <= 0) return nullptr;
  const auto at = static_cast<std::size_t>(attribute - 1);
  return at < relation.statistics->columns.size() ? &relation.statistics->columns[at] : nullptr;
}

const catalog::ColumnStatistics* Estimator::statistics(ColumnId id) {
  const auto& info = planner_.columns[id];
  if (info.relation == 0 || planner_.input.catalog == nullptr) return nullptr;
  const auto relation = planner_.input.catalog->relation(info.relation);
  return relation == nullptr ? nullptr : statistics(*relation, info.attribute);
}

double Estimator::distinct(const catalog::Relation& relation, catalog::AttributeNumber attribute,
                           double fallback) {
  const double rows = table_rows(relation);
  if (const auto* s = statistics(relation, attribute); s != nullptr && s->distinct != 0)
    return std::clamp(s->distinct > 0 ? s->distinct : -s->distinct * rows, 1.0, rows);
  for (const auto& index : relation.indexes)
    if (index->unique && index->columns.size() == 1 && index->columns[0].attribute == attribute) return rows;
  return std::min(fallback, rows);
}

double Estimator::distinct(ColumnId id, double fallback) {
  const auto& info = planner_.columns[id];
  if (info.relation == 0 || info.attribute <= 0 || planner_.input.catalog == nullptr) return fallback;
  const auto relation = planner_.input.catalog->relation(info.relation);
  return relation == nullptr ? fallback : distinct(*relation, info.attribute, fallback);
}

double Estimator::distinct(const Expression& e, double rows) {
  const auto& x = strip_casts(e);
  const double fallback = std::max(1.0, std::min(rows, std::max(kUnknownDistinct, rows / 10)));
  return x.kind == Kind::kColumn ? std::min(std::max(1.0, rows), distinct(x.column, fallback)) : fallback;
}

double Estimator::compare_constant(const catalog::ColumnStatistics& s, const TypeRef& type, Comparison c,
                                   const Expression& value, double rows) {
  const double known = 1 - s.null_fraction;
  const auto same_type =
      value.type.oid == type.oid && value.type.phys == type.phys && value.type.scale == type.scale;
  if (value.kind != Kind::kConstant || !same_type) {
    const double distinct =
        s.distinct == 0 ? kUnknownDistinct : (s.distinct > 0 ? s.distinct : -s.distinct * rows);
    return c == Comparison::kEqual ? known / std::max(1.0, distinct) : known * kUnknownRange;
  }
  if (value.is_null) return 0;
  double common_total = 0, common_true = 0;
  const std::size_t common = std::min(s.common_values.size(), s.common_frequencies.size());
  for (std::size_t i = 0; i < common; ++i) {
    const int order = types::compare(s.common_values[i], value.value, type);
    common_total += s.common_frequencies[i];
    if (order == 0 && c == Comparison::kEqual) return s.common_frequencies[i];
    const bool is_true = (order < 0 && (c == Comparison::kLess || c == Comparison::kLessEqual)) ||
                         (order > 0 && (c == Comparison::kGreater || c == Comparison::kGreaterEqual)) ||
                         (order == 0 && (c == Comparison::kLessEqual || c == Comparison::kGreaterEqual));
    if (is_true) common_true += s.common_frequencies[i];
  }
  const double others = std::max(0.0, known - common_total);
  if (c == Comparison::kEqual) {
    const double distinct = s.distinct > 0 ? s.distinct : -s.distinct * rows;
    return others / std::max(1.0, distinct - static_cast<double>(common));
  }
  const double below = histogram_below(s, value.value, type);
  const bool less = c == Comparison::kLess || c == Comparison::kLessEqual;
  return common_true + others * (less ? below : 1 - below);
}

double Estimator::comparison(const Expression& e) {
  auto c = comparison_of(e);
  const Expression* column = &strip_casts(*e.args[0]);
  const Expression* value = &strip_casts(*e.args[1]);
  if (column->kind != Kind::kColumn ||
      (value->kind == Kind::kColumn && statistics(column->column) == nullptr)) {
    std::swap(column, value);
    c = commute(c);
  }
  const auto guess = c == Comparison::kEqual ? kUnknownEqual : kUnknownRange;
  if (column->kind != Kind::kColumn) return c == Comparison::kNotEqual ? 1 - kUnknownEqual : guess;
  const auto& info = planner_.columns[column->column];
  const auto relation = info.relation == 0 || planner_.input.catalog == nullptr
                            ? nullptr
                            : planner_.input.catalog->relation(info.relation);
  if (relation == nullptr) return c == Comparison::kNotEqual ? 1 - kUnknownEqual : guess;
  const double equal_or_range =
      known_fraction(*relation, info.attribute, c == Comparison::kNotEqual ? Comparison::kEqual : c, value);
  return c == Comparison::kNotEqual ? std::max(0.0, 1 - equal_or_range) : equal_or_range;
}

double Estimator::known_fraction(const catalog::Relation& relation, catalog::AttributeNumber attribute,
                                 Comparison c, const Expression* value) {
  const double rows = table_rows(relation);
  if (const auto* s = statistics(relation, attribute); s != nullptr && value != nullptr)
    return std::clamp(compare_constant(*s, relation.column(attribute).type, c, *value, rows), 0.5 / rows,
                      1.0);
  if (c != Comparison::kEqual) return kUnknownRange;
  return 1 / std::max(1.0, distinct(relation, attribute, kUnknownDistinct));
}

double Estimator::selectivity(const Conjuncts& conditions) {
  std::vector<double> all;
  for (const auto& e : conditions) all.push_back(selectivity(*e));
  std::ranges::sort(all);
  double product = 1, exponent = 1;
  for (std::size_t i = 0; i < all.size() && i < 4; ++i, exponent /= 2) product *= std::pow(all[i], exponent);
  return product;
}

double Estimator::selectivity(const Expression& e) {
  switch (e.kind) {
    case Kind::kConstant: return is_false(e) ? 0 : 1;
    case Kind::kAnd: return selectivity(e.args);
    case Kind::kOr: {
      double none = 1;
      for (const auto& a : e.args) none *= 1 - selectivity(*a);
      return 1 - none;
    }
    case Kind::kNot: return 1 - selectivity(*e.args[0]);
    case Kind::kBooleanTest: return selectivity(*e.args[0]);
    case Kind::kIsNull:
    case Kind::kIsNotNull: {
      const auto& x = strip_casts(*e.args[0]);
      const auto* s = x.kind == Kind::kColumn ? statistics(x.column) : nullptr;
      double null = s != nullptr ? s->null_fraction : 0.005;
      if (x.kind == Kind::kColumn && !planner_.columns[x.column].nullable && s == nullptr) null = 0.0001;
      return e.kind == Kind::kIsNull ? null : 1 - null;
    }
    case Kind::kInList: {
      const auto& x = strip_casts(*e.args[0]);
      double sum = 0;
      for (std::size_t i = 1; i < e.args.size(); ++i) {
        if (x.kind != Kind::kColumn) {
          sum += kUnknownEqual;
          continue;
        }
        const auto& info = planner_.columns[x.column];
        const auto relation =
            planner_.input.catalog == nullptr ? nullptr : planner_.input.catalog->relation(info.relation);
        sum += relation == nullptr
                   ? kUnknownEqual
                   : known_fraction(*relation, info.attribute, Comparison::kEqual, e.args[i].get());
      }
      sum = std::min(sum, 1.0);
      return e.negated ? 1 - sum : sum;
    }
    default: break;
  }
  if (comparison_of(e) != Comparison::kNone) return comparison(e);
  if (e.kind == Kind::kCall && e.function.declaration != nullptr) {
    const auto name = e.function.declaration->name;
    if (name.ends_with("like"))
      return name.find("not") == 0 || name.find("nlike") != std::string_view::npos ? 0.95 : 0.05;
  }
  return e.kind == Kind::kColumn ? 0.5 : kUnknownOther;
}

double Estimator::index_rows(const catalog::Relation& relation, const catalog::Index& index,
                             const plan::IndexRange& range) {
  const double rows = table_rows(relation);
  double share = 1, exponent = 1;
  std::vector<double> parts;
  for (std::size_t i = 0; i < range.equal.size(); ++i) {
    if (range.equal[i] == nullptr) {
      const auto* s = statistics(relation, index.columns[i].attribute);
      parts.push_back(s != nullptr ? s->null_fraction : 0.005);
    } else {
      parts.push_back(
          known_fraction(relation, index.columns[i].attribute, Comparison::kEqual, range.equal[i].get()));
    }
  }
  if (index.unique && range.equal.size() == index.columns.size()) return 1;
  auto part = range.equal.size();
  if (!range.in_list.empty()) {
    double sum = 0;
    for (const auto& e : range.in_list)
      sum += known_fraction(relation, index.columns[part].attribute, Comparison::kEqual, e.get());
    parts.push_back(std::min(1.0, sum));
    ++part;
  }
  double between = 1;
  const auto add = [&](const ExpressionPtr& e, Comparison c) {
    if (e != nullptr) between -= 1 - known_fraction(relation, index.columns[part].attribute, c, e.get());
  };
  add(range.lower, Comparison::kGreaterEqual);
  add(range.upper, Comparison::kLessEqual);
  if (range.lower != nullptr || range.upper != nullptr) parts.push_back(std::max(between, 0.005));
  std::ranges::sort(parts);
  for (std::size_t i = 0; i < parts.size() && i < 4; ++i, exponent /= 2)
    share *= std::pow(parts[i], exponent);
  return std::max(1.0, rows * share);
}

double Estimator::scan_cost(const PlanNode& node, double rows) {
  const double values = kCost.value * static_cast<double>(node.columns.size());
  const double filter = node.filter != nullptr ? kCost.predicate : 0;
  if (node.kind == NodeKind::kTableScan) return rows * (kCost.row + values + filter);
  const double probes = static_cast<double>(std::max<std::size_t>(1, node.range.in_list.size()));
  return probes * kCost.index_probe + rows * (kCost.row_fetch + values + filter);
}

double Estimator::join_rows(const PlanNode& node) {
  const double left = node.children[0]->estimated_rows, right = node.children[1]->estimated_rows;
  std::vector<double> parts;
  for (const auto& key : node.hash_keys)
    parts.push_back(1 / std::max({1.0, distinct(*key.left, left), distinct(*key.right, right)}));
  std::ranges::sort(parts);
  double share = 1, exponent = 1;
  for (const auto p : parts) {
    share *= std::pow(p, exponent);
    exponent /= 2;
  }
  if (node.condition != nullptr) share *= selectivity(*node.condition);
  const double pairs = left * right * share;
  switch (node.join) {
    case JoinType::kInner: return pairs;
    case JoinType::kLeft: return std::max(pairs, left);
    case JoinType::kRight: return std::max(pairs, right);
    case JoinType::kFull: return std::max({pairs, left, right});
    case JoinType::kMark:
    case JoinType::kSingle: return left;
    case JoinType::kSemi:
    case JoinType::kAnti: {
      double matched = std::min(0.9, left <= 0 ? 1 : pairs / left);
      if (!node.hash_keys.empty()) {
        const auto& key = node.hash_keys[0];
        matched = std::clamp(distinct(*key.right, right) / distinct(*key.left, left), 0.01, 0.99);
      }
      return node.join == JoinType::kSemi ? left * matched : left * (1 - matched);
    }
  }
  return pairs;
}

double Estimator::join_cost(const PlanNode& node) {
  const auto& left = *node.children[0];
  const auto& right = *node.children[1];
  const double l = left.estimated_rows, r = right.estimated_rows;
  if (node.kind == NodeKind::kApply) return left.total_cost + l * (right.total_cost + 500);
  if (node.kind == NodeKind::kIndexJoin) return left.total_cost + l * right.total_cost;
  const double bytes = r * (right.estimated_width + 24);
  const double both = left.total_cost + right.total_cost + r * hash_build_ns(bytes);
  if (node.kind == NodeKind::kHashJoin) return both + l * hash_probe_ns(bytes);
  return both + l * r * 3;
}

void Estimator::estimate(PlanNode& node, double known_rows) {
  double rows = 1, cost = 0, startup = 0;
  for (const auto& child : node.children) cost += child->total_cost;
  const double input = node.children.empty() ? 1 : node.children[0]->estimated_rows;
  if (!node.children.empty()) startup = node.children[0]->startup_cost;
  switch (node.kind) {
    case NodeKind::kTableScan:
    case NodeKind::kIndexScan:
    case NodeKind::kIndexOnlyScan: {
      const bool table = node.kind == NodeKind::kTableScan;
      rows = table ? table_rows(*node.relation) : index_rows(*node.relation, *node.index, node.range);
      cost = scan_cost(node, rows);
      if (!table) startup = kCost.index_probe;
      if (node.filter != nullptr) rows *= selectivity(*node.filter);
      break;
    }
    case NodeKind::kValues:
      rows = static_cast<double>(node.rows.size());
      cost = rows * 100;
      break;
    case NodeKind::kFunctionScan:
    case NodeKind::kWorkTableScan:
      rows = 100;
      cost = rows * 20;
      break;
    case NodeKind::kCteScan:
      rows = known_rows >= 0 ? known_rows : 100;
      cost = rows * 10;
      break;
    case NodeKind::kFilter:
      rows = input * selectivity(*node.filter);
      cost += input * kCost.predicate;
      break;
    case NodeKind::kProject:
      rows = input;
      cost += input * kCost.projection * static_cast<double>(node.computed.size());
      break;
    case NodeKind::kProjectSet:
      rows = input * 10;
      cost += rows * 20;
      break;
    case NodeKind::kHashJoin:
    case NodeKind::kNestedLoopJoin:
    case NodeKind::kApply:
    case NodeKind::kIndexJoin:
      rows = join_rows(node);
      cost = join_cost(node) + rows * 2;
      if (node.kind == NodeKind::kHashJoin) startup += node.children[1]->total_cost;
      break;
    case NodeKind::kAggregate: {
      double groups = 1, exponent = 1;
      std::vector<double> parts;
      for (const auto& g : node.groups) parts.push_back(distinct(*g.expression, input));
      std::ranges::sort(parts, std::greater{});
      for (const auto p : parts) {
        groups *= std::pow(p, exponent);
        exponent /= 2;
      }
      rows = node.groups.empty() ? 1 : std::min(groups, input);
      cost += input * kCost.group_row * static_cast<double>(1 + node.aggregates.size()) / 2;
      startup = cost;
      break;
    }
    case NodeKind::kSort:
    case NodeKind::kTopN:
    case NodeKind::kWindow:
      rows = input;
      cost += kCost.sort_compare * input * std::log2(std::max(2.0, input)) + input * 10;
      startup = cost;
      if (node.kind == NodeKind::kTopN && node.limit->kind == Kind::kConstant && !node.limit->is_null)
        rows = std::min(input, static_cast<double>(node.limit->value.i64));
      break;
    case NodeKind::kLimit:
      rows = input;
      if (node.limit != nullptr && node.limit->kind == Kind::kConstant && !node.limit->is_null)
        rows = std::min(input, std::max(0.0, static_cast<double>(node.limit->value.i64)));
      cost = startup + (cost - startup) * std::min(1.0, rows / std::max(1.0, input));
      break;
    case NodeKind::kSetOperation:
    case NodeKind::kAppend:
    case NodeKind::kRecursiveUnion:
      rows = 0;
      for (const auto& child : node.children) rows += child->estimated_rows;
      cost += node.kind == NodeKind::kAppend ? 0 : rows * kCost.group_row;
      if (node.kind == NodeKind::kRecursiveUnion) rows *= 10;
      break;
    case NodeKind::kCteBind: rows = node.children[1]->estimated_rows; break;
    case NodeKind::kModify:
      rows = input;
      cost += rows * 1'000;
      break;
    default: rows = input; break;
  }
  node.estimated_rows = std::max(1.0, known_rows >= 0 ? known_rows : rows);
  node.total_cost = cost;
  node.startup_cost = std::min(startup, cost);
  std::uint32_t width = 0;
  for (const auto id : node.output) width += types::width_of(planner_.columns[id].type.phys);
  node.estimated_width = width;
}

}  // namespace rustbd::optimizer
