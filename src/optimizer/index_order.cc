// Order out of an index: ORDER BY, most of all with LIMIT, and min/max as the first row of one.
#include <algorithm>
#include <cmath>

#include "rustbd/optimizer/lowering.h"

namespace rustbd::optimizer {

namespace {

/// The table below projections that only pass columns on, with the filter over it.
const LogicalNode* ordered_table(const LogicalNode& node, Conjuncts& conditions) {
  const LogicalNode* at = &node;
  while (at->kind == LogicalKind::kProject && at->computed.empty() && at->children.size() == 1)
    at = at->children[0].get();
  return table_of(*at, conditions);
}

catalog::AttributeNumber attribute_of(const LogicalNode& get, ColumnId id) {
  for (const auto& c : get.columns)
    if (c.id == id) return c.attribute;
  return 0;
}

/// Whether the index, behind `equal` leading parts with one value, delivers rows by `keys`; `backward` tells
/// how.
bool delivers(const LogicalNode& get, const catalog::Index& index, const plan::IndexRange& range,
              const std::vector<plan::SortKey>& keys, bool* backward) {
  std::size_t part = range.equal.size();
  bool decided = false;
  for (const auto& key : keys) {
    const auto attribute = attribute_of(get, key.column);
    if (attribute <= 0) return false;
    const auto fixed = std::find_if(index.columns.begin(),
                                    index.columns.begin() + static_cast<std::ptrdiff_t>(range.equal.size()),
                                    [&](const auto& c) { return c.attribute == attribute; });
    if (fixed != index.columns.begin() + static_cast<std::ptrdiff_t>(range.equal.size())) continue;
    if (part >= index.columns.size() || index.columns[part].attribute != attribute) return false;
    const auto& column = index.columns[part++];
    const bool same_direction = column.descending == key.descending;
    const bool nulls_matter = !get.relation->column(attribute).not_null;
    if (nulls_matter && (column.nulls_first == key.nulls_first) != same_direction) return false;
    if (decided && *backward == same_direction) return false;
    *backward = !same_direction;
    decided = true;
  }
  return true;
}

}  // namespace

/// `sort` by an index of its table; nullptr when there is none or it costs more. `wanted`: rows that are
/// asked for (LIMIT), infinite without one.
PlanNodePtr Lowering::lower_sort_by_index(LogicalNode& sort, const ColumnSet& required, double wanted) {
  if (!planner_.settings.indexscan || !planner_.enabled(Rule::kIndexOrder) ||
      !planner_.enabled(Rule::kIndexScan))
    return nullptr;
  Conjuncts conditions;
  const auto* get = ordered_table(*sort.children[0], conditions);
  if (get == nullptr || get->relation->source != catalog::RowSource::kStored ||
      get->relation->indexes.empty())
    return nullptr;
  auto paths = index_paths(planner_, *get, conditions, {});
  for (const auto& index : get->relation->indexes) {
    if (!index->valid || !index->predicate_sql.empty()) continue;
    const bool known = std::ranges::any_of(paths, [&](const auto& p) { return p.index == index; });
    if (!known) {
      IndexPath whole;
      whole.index = index;
      paths.push_back(std::move(whole));
    }
  }
  // What sorting costs: all rows read as cheaply as can be, and compared.
  const double rows = estimator_.table_rows(*get->relation),
               passing = std::max(1.0, rows * estimator_.selectivity(conditions));
  double read = rows * kCost.row;
  for (const auto& p : paths)
    if (!p.used.empty())
      read = std::min(read, kCost.index_probe +
                                estimator_.index_rows(*get->relation, *p.index, p.range) * kCost.row_fetch);
  const double compares = std::min(passing, wanted) >= passing ? std::log2(std::max(2.0, passing)) : 2;
  double best_cost = planner_.settings.sort ? read + passing * (kCost.sort_compare * compares + 10) : 1e18;
  IndexPath* best = nullptr;
  bool backward = false;
  for (auto& p : paths) {
    bool direction = false;
    if (!p.range.in_list.empty() || !delivers(*get, *p.index, p.range, sort.sort_keys, &direction)) continue;
    ++planner_.plans_considered;
    const double in_range = p.used.empty() ? rows : estimator_.index_rows(*get->relation, *p.index, p.range);
    const double share = std::min(1.0, wanted / passing);
    const double cost = kCost.index_probe + std::max(1.0, in_range * share) * (kCost.row_fetch + kCost.value);
    if (cost >= best_cost) continue;
    best_cost = cost;
    best = &p;
    backward = direction;
  }
  if (best == nullptr) return nullptr;
  planner_.note(Rule::kIndexOrder);
  auto scan = make_scan(*get, std::move(conditions), required, best);
  scan->backward = backward;
  return scan;
}

/// min(x) and max(x) without groups: the first row by x that is not NULL, when an index gives that order.
void use_min_max_order(Planner& planner, LogicalNode& node) {
  if (!planner.enabled(Rule::kMinMaxIndex) || !planner.settings.indexscan) return;
  for (auto& child : node.children) use_min_max_order(planner, *child);
  if (node.kind != LogicalKind::kAggregate || !node.groups.empty() || !node.grouping_sets.empty() ||
      node.aggregates.size() != 1)
    return;
  const auto& call = *node.aggregates[0].expression;
  if (call.aggregate.declaration == nullptr || call.args.size() != 1 || call.args[0]->kind != Kind::kColumn)
    return;
  if (call.filter != nullptr || call.distinct) return;
  const auto name = call.aggregate.declaration->name;
  if (name != "min" && name != "max") return;
  Conjuncts conditions;
  const auto* get = ordered_table(*node.children[0], conditions);
  if (get == nullptr || get->relation->source != catalog::RowSource::kStored) return;
  const auto column = call.args[0]->column;
  const auto attribute = attribute_of(*get, column);
  const bool indexed =
      attribute > 0 && std::ranges::any_of(get->relation->indexes, [&](const auto& index) {
        return std::ranges::any_of(index->columns, [&](const auto& c) { return c.attribute == attribute; });
      });
  if (!indexed || !free_columns(node).empty()) return;  // a correlated one had better be unnested
  auto child = std::move(node.children[0]);
  if (!get->relation->column(attribute).not_null) {
    Conjuncts not_null;
    not_null.push_back(make_test(Kind::kIsNotNull, planner.column(column)));
    child = make_filter(std::move(child), std::move(not_null));
  }
  auto sort = make_node(LogicalKind::kSort);
  sort->sort_keys.push_back({column, name == "max", name == "max"});
  sort->output = child->output;
  sort->children.push_back(std::move(child));
  auto limit = make_node(LogicalKind::kLimit);
  limit->limit = expression::make_constant(
      {types::make_type(types::oid::kInt8), false, types::Datum::of(std::int64_t{1})});
  limit->output = sort->output;
  limit->children.push_back(std::move(sort));
  node.children[0] = std::move(limit);
  planner.note(Rule::kMinMaxIndex);
}

}  // namespace rustbd::optimizer
