// Logical nodes to plan nodes: columns that nobody reads are left out, conditions become index ranges and
// filters. Joins are in lower_join.cc.
#include "rustbd/optimizer/lowering.h"

#include <algorithm>

#include "rustbd/base/statement_assert.h"

namespace rustbd::optimizer {

namespace oid = types::oid;

PlanNodePtr make_plan_node(NodeKind kind) {
  auto node = std::make_unique<PlanNode>();
  node->kind = kind;
  return node;
}

PlanNodePtr Lowering::lower(LogicalNode& node, const ColumnSet& required) {
  auto out = lower_kind(node, required);
  estimator_.estimate(*out);
  return out;
}

PlanNodePtr Lowering::lower_exact(LogicalNode& node, const std::vector<ColumnId>& output) {
  auto out = lower(node, ColumnSet{output});
  if (out->output == output) return out;
  if (out->kind == NodeKind::kProject) {
    out->output = output;
    return out;
  }
  auto project = over(NodeKind::kProject, std::move(out));
  project->output = output;
  estimator_.estimate(*project);
  return project;
}

PlanNodePtr Lowering::over(NodeKind kind, PlanNodePtr child) {
  auto node = make_plan_node(kind);
  node->children.push_back(std::move(child));
  return node;
}

PlanNodePtr Lowering::lower_kind(LogicalNode& node, const ColumnSet& required) {
  switch (node.kind) {
    case LogicalKind::kGet: return lower_get(node, {}, required);
    case LogicalKind::kValues: return lower_values(node, required);
    case LogicalKind::kFunctionScan: return lower_function_scan(node, required);
    case LogicalKind::kFilter: return lower_filter(node, required);
    case LogicalKind::kProject: return lower_project(node, required);
    case LogicalKind::kProjectSet: return lower_project_set(node, required);
    case LogicalKind::kJoin:
    case LogicalKind::kDependentJoin: return lower_join(node, required);
    case LogicalKind::kAggregate: return lower_aggregate(node, required);
    case LogicalKind::kWindow: return lower_window(node, required);
    case LogicalKind::kSort: return lower_sort(node, required);
    case LogicalKind::kLimit: return lower_limit(node, required);
    case LogicalKind::kDistinct: return lower_distinct(node, required);
    case LogicalKind::kSetOperation: return lower_set_operation(node, required);
    case LogicalKind::kCteScan:
    case LogicalKind::kWorkTableScan: return lower_cte_scan(node, required);
    case LogicalKind::kCteBind: return lower_cte_bind(node, required);
    case LogicalKind::kRecursiveUnion: return lower_recursive_union(node);
    case LogicalKind::kModify: return lower_modify(node, required);
    case LogicalKind::kLockRows: return lower_lock_rows(node, required);
    case LogicalKind::kResult: return make_plan_node(NodeKind::kResult);
  }
  RUSTBD_STATEMENT_UNREACHABLE("logical kind");
}

namespace {
constexpr double kPlannedRowsMin = 100;
}  // namespace

PlanNodePtr Lowering::lower_get(LogicalNode& node, Conjuncts conditions, const ColumnSet& required) {
  auto best = make_scan(node, clone_all(conditions), required, nullptr);
  // A small table may grow while the plan is kept.
  const double rows = estimator_.table_rows(*node.relation);
  double best_cost = best->total_cost * std::max(1.0, kPlannedRowsMin / rows);
  if (!planner_.settings.seqscan) best_cost += 1e14;
  if (!planner_.settings.indexscan) return best;
  IndexPath* chosen = nullptr;
  auto paths = index_paths(planner_, node, conditions, {});
  for (auto& path : paths) {
    ++planner_.plans_considered;
    const double rows = estimator_.index_rows(*node.relation, *path.index, path.range);
    const double probes = static_cast<double>(std::max<std::size_t>(1, path.range.in_list.size()));
    const double cost = probes * kCost.index_probe +
                        rows * (kCost.row_fetch + kCost.value * static_cast<double>(best->columns.size()));
    if (cost >= best_cost && !path.unique_row) continue;
    best_cost = cost;
    chosen = &path;
    if (path.unique_row) break;  // one row is the least to read, and to lock
  }
  if (chosen == nullptr) return best;
  planner_.note(Rule::kIndexScan);
  return make_scan(node, std::move(conditions), required, chosen);
}

PlanNodePtr Lowering::make_scan(const LogicalNode& get, Conjuncts conditions, const ColumnSet& required,
                                IndexPath* path) {
  auto scan = make_plan_node(NodeKind::kTableScan);
  scan->relation = get.relation;
  scan->alias = get.alias;
  if (path != nullptr) {
    scan->kind = NodeKind::kIndexScan;
    scan->index = path->index;
    scan->range = std::move(path->range);
    std::ranges::sort(path->used, std::greater{});
    path->used.erase(std::unique(path->used.begin(), path->used.end()), path->used.end());
    for (const auto i : path->used) conditions.erase(conditions.begin() + static_cast<std::ptrdiff_t>(i));
  }
  auto read = required;
  for (const auto& e : conditions) add_columns(*e, read);
  for (const auto& c : get.columns) {
    if (!read.contains(c.id)) continue;
    scan->columns.push_back(c);
    if (required.contains(c.id)) scan->output.push_back(c.id);
  }
  if (!conditions.empty()) scan->filter = expression::make_and(std::move(conditions));
  estimator_.estimate(*scan);
  return scan;
}

PlanNodePtr Lowering::lower_values(LogicalNode& node, const ColumnSet& required) {
  auto values = make_plan_node(NodeKind::kValues);
  values->alias = "*VALUES*";
  for (std::size_t c = 0; c < node.output.size(); ++c)
    if (required.contains(node.output[c])) values->output.push_back(node.output[c]);
  const bool all = values->output.size() == node.output.size();
  for (auto& row : node.rows) {
    if (all) {
      values->rows.push_back(std::move(row));
      continue;
    }
    values->rows.emplace_back();
    for (std::size_t c = 0; c < row.size(); ++c)
      if (required.contains(node.output[c])) values->rows.back().push_back(std::move(row[c]));
  }
  return values;
}

PlanNodePtr Lowering::lower_function_scan(LogicalNode& node, const ColumnSet& required) {
  auto scan = make_plan_node(NodeKind::kFunctionScan);
  scan->alias = node.alias;
  scan->functions = std::move(node.functions);
  scan->ordinality = node.ordinality;
  scan->has_ordinality = node.has_ordinality;
  scan->output = select_columns(node.output, required);
  return scan;
}

bool Lowering::changes_rows(const LogicalNode& node) {
  return node.kind == LogicalKind::kModify ||
         std::ranges::any_of(node.children, [](const auto& c) { return changes_rows(*c); });
}

/// No rows: a Result whose condition is FALSE.
PlanNodePtr Lowering::make_empty(const LogicalNode& node, const ColumnSet& required) {
  auto result = make_plan_node(NodeKind::kResult);
  result->filter = expression::make_bool(false);
  result->output = select_columns(node.output, required);
  for (const auto id : result->output)
    result->computed.push_back({id, expression::make_null(planner_.columns[id].type)});
  return result;
}

PlanNodePtr Lowering::lower_filter(LogicalNode& node, const ColumnSet& required) {
  auto& child = *node.children[0];
  const auto& condition = *node.condition;
  const bool never = is_false(condition) ||
                     (condition.kind == Kind::kAnd &&
                      std::ranges::any_of(condition.args, [](const auto& a) { return is_false(*a); }));
  if (never && planner_.enabled(Rule::kEmptyInput) && !changes_rows(child)) {
    planner_.note(Rule::kEmptyInput);
    return make_empty(node, required);
  }
  if (child.kind == LogicalKind::kGet) {
    Conjuncts conditions;
    split(std::move(node.condition), conditions);
    return lower_get(child, std::move(conditions), required);
  }
  auto below = required;
  add_columns(*node.condition, below);
  auto input = lower(child, below);
  if (input->kind == NodeKind::kResult && input->children.empty() && input->computed.empty() &&
      input->filter == nullptr) {
    input->filter = std::move(node.condition);
    return input;
  }
  auto filter = over(NodeKind::kFilter, std::move(input));
  filter->filter = std::move(node.condition);
  filter->output = select_columns(filter->children[0]->output, required);
  return filter;
}

PlanNodePtr Lowering::lower_project(LogicalNode& node, const ColumnSet& required) {
  ColumnSet below;
  std::vector<plan::ComputedColumn> computed;
  ColumnSet made;
  for (auto& c : node.computed) {
    if (!required.contains(c.id) && !expression::is_volatile(*c.expression)) continue;
    add_columns(*c.expression, below);
    made.add(c.id);
    computed.push_back(std::move(c));
  }
  for (const auto id : node.output)
    if (required.contains(id) && !made.contains(id)) below.add(id);
  PlanNodePtr input =
      node.children.empty() ? make_plan_node(NodeKind::kResult) : lower(*node.children[0], below);
  if (computed.empty()) return input;  // columns have names of their own: passing them on is nothing
  auto wanted = required;
  for (const auto& c : computed) wanted.add(c.id);
  const bool bare = input->kind == NodeKind::kResult && input->children.empty() && input->computed.empty() &&
                    input->output.empty();
  auto project = bare ? std::move(input) : over(NodeKind::kProject, std::move(input));
  project->computed = std::move(computed);
  project->output = select_columns(node.output, wanted);
  return project;
}

PlanNodePtr Lowering::lower_project_set(LogicalNode& node, const ColumnSet& required) {
  auto below = required;
  for (const auto& f : node.functions) add_columns(*f.call, below);
  auto set = over(NodeKind::kProjectSet, lower(*node.children[0], below));
  set->functions = std::move(node.functions);
  set->output = select_columns(node.output, required);
  return set;
}

PlanNodePtr Lowering::lower_aggregate(LogicalNode& node, const ColumnSet& required) {
  ColumnSet below;
  auto aggregate = make_plan_node(NodeKind::kAggregate);
  for (auto& g : node.groups) add_columns(*g.expression, below);
  for (auto& a : node.aggregates) {
    if (!required.contains(a.id)) continue;
    add_columns(*a.expression, below);
    aggregate->aggregates.push_back(std::move(a));
  }
  aggregate->children.push_back(lower(*node.children[0], below));
  aggregate->groups = std::move(node.groups);
  aggregate->grouping_sets = std::move(node.grouping_sets);
  aggregate->grouping_calls = std::move(node.grouping_calls);
  const bool plain = aggregate->groups.empty() && aggregate->grouping_sets.empty();
  aggregate->strategy = plain ? plan::AggregateStrategy::kPlain : plan::AggregateStrategy::kHash;
  aggregate->output = select_columns(node.output, required);
  return aggregate;
}

PlanNodePtr Lowering::lower_window(LogicalNode& node, const ColumnSet& required) {
  auto window = make_plan_node(NodeKind::kWindow);
  ColumnSet below = required;
  for (auto& w : node.windows) {
    if (!required.contains(w.id)) continue;
    add_columns(*w.expression, below);
    window->windows.push_back(std::move(w));
  }
  if (window->windows.empty()) return lower(*node.children[0], required);
  below.add(node.partition_by);
  for (const auto& k : node.sort_keys) below.add(k.column);
  window->children.push_back(lower(*node.children[0], below));
  window->partition_by = std::move(node.partition_by);
  window->sort_keys = std::move(node.sort_keys);
  window->frame = node.frame;
  window->frame_start = std::move(node.frame_start);
  window->frame_end = std::move(node.frame_end);
  window->output = select_columns(node.output, required);
  return window;
}

PlanNodePtr Lowering::lower_sort(LogicalNode& node, const ColumnSet& required) {
  if (auto ordered = lower_sort_by_index(node, required, 1e18)) return ordered;
  auto below = required;
  for (const auto& k : node.sort_keys) below.add(k.column);
  auto sort = over(NodeKind::kSort, lower(*node.children[0], below));
  sort->sort_keys = std::move(node.sort_keys);
  sort->output = select_columns(sort->children[0]->output, required);
  return sort;
}

/// Rows that a LIMIT asks for; a guess when it isn't known.
double Lowering::rows_wanted(const LogicalNode& limit) {
  constexpr double kUnknownLimit = 100;
  double rows = 0;
  for (const auto* e : {limit.limit.get(), limit.offset.get()}) {
    if (e == nullptr) continue;
    if (e->kind != Kind::kConstant) rows += kUnknownLimit;
    else if (e->is_null) rows += e == limit.limit.get() ? 1e18 : 0;
    else rows += static_cast<double>(e->value.i64);
  }
  return std::max(1.0, rows);
}

PlanNodePtr Lowering::lower_limit(LogicalNode& node, const ColumnSet& required) {
  auto& child = *node.children[0];
  if (child.kind == LogicalKind::kSort && !node.with_ties && node.limit != nullptr) {
    if (auto ordered = lower_sort_by_index(child, required, rows_wanted(node))) {
      auto limit = over(NodeKind::kLimit, std::move(ordered));
      limit->limit = std::move(node.limit);
      limit->offset = std::move(node.offset);
      limit->output = limit->children[0]->output;
      return limit;
    }
  }
  if (child.kind == LogicalKind::kSort && node.limit != nullptr && planner_.enabled(Rule::kTopN)) {
    planner_.note(Rule::kTopN);
    auto below = required;
    for (const auto& k : child.sort_keys) below.add(k.column);
    auto top = over(NodeKind::kTopN, lower(*child.children[0], below));
    top->sort_keys = std::move(child.sort_keys);
    top->output = select_columns(top->children[0]->output, required);
    top->limit = std::move(node.limit);
    top->offset = std::move(node.offset);
    top->with_ties = node.with_ties;
    return top;
  }
  auto below = required;
  std::vector<plan::SortKey> keys;
  if (node.with_ties) {
    const LogicalNode* sorted = &child;
    while (sorted->kind != LogicalKind::kSort && !sorted->children.empty())
      sorted = sorted->children[0].get();
    keys = sorted->sort_keys;
    for (const auto& k : keys) below.add(k.column);
  }
  auto limit = over(NodeKind::kLimit, lower(child, below));
  limit->limit = std::move(node.limit);
  limit->offset = std::move(node.offset);
  limit->with_ties = node.with_ties;
  limit->sort_keys = std::move(keys);
  limit->output = select_columns(limit->children[0]->output, required);
  return limit;
}

PlanNodePtr Lowering::lower_distinct(LogicalNode& node, const ColumnSet& required) {
  auto& child = *node.children[0];
  if (node.is_distinct_on) {
    auto below = required;
    below.add(node.distinct_on);
    auto distinct = over(NodeKind::kDistinctOn, lower(child, below));
    distinct->distinct_on = std::move(node.distinct_on);
    distinct->output = select_columns(distinct->children[0]->output, required);
    return distinct;
  }
  // All columns count, whether read above or not.
  auto aggregate = over(NodeKind::kAggregate, lower(child, outputs_of(node)));
  for (const auto id : select_columns(node.output, outputs_of(node))) {
    aggregate->groups.push_back({id, planner_.column(id)});
    if (required.contains(id)) aggregate->output.push_back(id);
  }
  // No columns at all: at most one row.
  if (aggregate->groups.empty()) {
    aggregate->kind = NodeKind::kLimit;
    aggregate->limit =
        expression::make_constant({types::make_type(oid::kInt8), false, types::Datum::of(std::int64_t{1})});
  }
  return aggregate;
}

PlanNodePtr Lowering::lower_set_operation(LogicalNode& node, const ColumnSet& required) {
  const bool append = node.set_operation == plan::SetOperationKind::kUnion && node.set_all;
  auto set = make_plan_node(append ? NodeKind::kAppend : NodeKind::kSetOperation);
  set->set_operation = node.set_operation;
  set->set_all = node.set_all;
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < node.output.size(); ++i)
    if (!append || required.contains(node.output[i])) kept.push_back(i);
  for (const auto i : kept) set->output.push_back(node.output[i]);
  for (auto& child : node.children) {
    std::vector<ColumnId> columns;
    for (const auto i : kept) columns.push_back(child->output[i]);
    set->children.push_back(lower_exact(*child, columns));
  }
  return set;
}

PlanNodePtr Lowering::lower_cte_scan(LogicalNode& node, const ColumnSet& required) {
  auto scan =
      make_plan_node(node.kind == LogicalKind::kCteScan ? NodeKind::kCteScan : NodeKind::kWorkTableScan);
  scan->alias = node.alias;
  scan->cte = node.cte;
  scan->cte_name = node.cte_name;
  for (std::size_t i = 0; i < node.output.size(); ++i) {
    if (!required.contains(node.output[i])) continue;
    scan->output.push_back(node.output[i]);
    scan->cte_columns.push_back(node.cte_columns[i]);
  }
  return scan;
}

PlanNodePtr Lowering::lower_cte_bind(LogicalNode& node, const ColumnSet& required) {
  auto bind = make_plan_node(NodeKind::kCteBind);
  bind->cte = node.cte;
  bind->cte_name = node.cte_name;
  bind->cte_columns = node.cte_columns;
  bind->children.push_back(lower(*node.children[0], ColumnSet{node.cte_columns}));
  bind->children.push_back(lower(*node.children[1], required));
  bind->output = bind->children[1]->output;
  return bind;
}

PlanNodePtr Lowering::lower_recursive_union(LogicalNode& node) {
  auto both = make_plan_node(NodeKind::kRecursiveUnion);
  both->cte = node.cte;
  both->cte_name = node.cte_name;
  both->set_all = node.set_all;
  both->output = node.output;
  for (auto& child : node.children) both->children.push_back(lower_exact(*child, child->output));
  return both;
}

PlanNodePtr Lowering::lower_modify(LogicalNode& node, const ColumnSet& required) {
  auto& modify = *node.modify;
  auto below = required;
  for (auto& a : modify.assignments) add_columns(*a.value, below);
  if (modify.recheck) add_columns(*modify.recheck, below);
  if (modify.kind != plan::ModifyKind::kInsert) below.add(modify.row_id);
  // The whole new row is made of the old one.
  if (modify.kind == plan::ModifyKind::kUpdate)
    for (const auto& c : modify.old_columns) below.add(c.id);
  auto out = over(NodeKind::kModify, lower(*node.children[0], below));
  out->relation = modify.target;
  out->alias = modify.alias;
  for (const auto id : select_columns(node.output, required)) {
    const bool is_new = modify.kind != plan::ModifyKind::kDelete &&
                        std::ranges::any_of(modify.new_columns, [id](const auto& c) { return c.id == id; });
    if (is_new || std::ranges::find(out->children[0]->output, id) != out->children[0]->output.end())
      out->output.push_back(id);
  }
  planner_.may_restart |= modify.recheck_needs_restart;
  out->modify = std::move(node.modify);
  return out;
}

PlanNodePtr Lowering::lower_lock_rows(LogicalNode& node, const ColumnSet& required) {
  auto below = required;
  if (node.condition) add_columns(*node.condition, below);
  for (const auto& lock : node.locks) below.add(lock.row_id);
  auto lock = over(NodeKind::kLockRows, lower(*node.children[0], below));
  lock->filter = std::move(node.condition);
  lock->locks = std::move(node.locks);
  lock->recheck_needs_restart = node.recheck_needs_restart;
  planner_.may_restart |= node.recheck_needs_restart;
  lock->output = select_columns(lock->children[0]->output, required);
  return lock;
}

PlanNodePtr make_physical(Planner& planner, LogicalPtr root) {
  ColumnSet required;
  for (const auto& r : planner.plan.result) required.add(r.column);
  return Lowering{planner}.lower(*root, required);
}

}  // namespace rustbd::optimizer
