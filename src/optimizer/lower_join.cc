// Joins: hash keys out of conditions, lookups by index, and Apply for what depends on rows of its left side.
#include <algorithm>

#include "rustbd/optimizer/lowering.h"

namespace rustbd::optimizer {

namespace oid = types::oid;

/// Columns of the left side that the right one reads become parameters in all of the right tree.
std::vector<PlanNode::Binding> Lowering::bind_parameters(LogicalNode& right, const ColumnSet& left) {
  std::vector<PlanNode::Binding> bindings;
  std::unordered_map<ColumnId, std::uint32_t> numbers;
  common(free_columns(right), left).for_each([&](ColumnId id) {
    numbers[id] = planner_.next_parameter;
    bindings.push_back({id, planner_.next_parameter++});
  });
  if (bindings.empty()) return bindings;
  for_each_node(right, [&](LogicalNode& node) {
    for_each_expression(node, [&](ExpressionPtr& e) {
      expression::rewrite(e, [&](ExpressionPtr& x) {
        if (x->kind != Kind::kColumn) return;
        const auto it = numbers.find(x->column);
        if (it == numbers.end()) return;
        x->kind = Kind::kParameter;
        x->index = it->second;
      });
    });
  });
  return bindings;
}

const LogicalNode* table_of(const LogicalNode& node, Conjuncts& conditions) {
  const LogicalNode* get = &node;
  if (node.kind == LogicalKind::kFilter) {
    get = node.children[0].get();
    if (get->kind == LogicalKind::kGet) split(node.condition->clone(), conditions);
  }
  return get->kind == LogicalKind::kGet ? get : nullptr;
}

bool Lowering::is_superfluous(const LogicalNode& join, const ColumnSet& required) {
  if (join.kind != LogicalKind::kJoin || join.join != JoinType::kLeft ||
      !planner_.enabled(Rule::kJoinElimination))
    return false;
  if (join.condition == nullptr || required.intersects(outputs_of(*join.children[1]))) return false;
  Conjuncts conditions;
  const auto* get = table_of(*join.children[1], conditions);
  if (get == nullptr) return false;
  split(join.condition->clone(), conditions);
  const auto paths = index_paths(planner_, *get, conditions, outputs_of(*join.children[0]));
  return std::ranges::any_of(paths,
                             [](const auto& path) { return path.unique_row && !path.index->deferrable; });
}

PlanNodePtr Lowering::lower_join(LogicalNode& node, const ColumnSet& required) {
  if (node.join == JoinType::kRight) {
    std::swap(node.children[0], node.children[1]);
    node.join = JoinType::kLeft;
  }
  if (is_superfluous(node, required)) {
    planner_.note(Rule::kJoinElimination);
    return lower(*node.children[0], required);
  }
  const auto left_columns = outputs_of(*node.children[0]), right_columns = outputs_of(*node.children[1]);
  auto bindings = node.kind == LogicalKind::kDependentJoin ? bind_parameters(*node.children[1], left_columns)
                                                           : std::vector<PlanNode::Binding>{};
  if (bindings.empty() && node.join == JoinType::kInner && planner_.enabled(Rule::kJoinOrder) &&
      count_block_tables(node) <= 64) {
    node.kind = LogicalKind::kJoin;
    return lower_block(node, required);
  }
  Conjuncts conditions;
  split(std::move(node.condition), conditions);
  auto join = make_plan_node(bindings.empty() ? NodeKind::kNestedLoopJoin : NodeKind::kApply);
  join->join = node.join;
  join->mark = node.mark;
  auto below = required;
  for (const auto& e : conditions) add_columns(*e, below);
  for (const auto& b : bindings) below.add(b.column);
  join->bindings = std::move(bindings);
  // ON FALSE: the right side is not read, and every left row gets NULLs.
  const bool never = node.join == JoinType::kLeft && join->bindings.empty() &&
                     !changes_rows(*node.children[1]) && planner_.enabled(Rule::kEmptyInput) &&
                     std::ranges::any_of(conditions, [](const auto& e) { return is_false(*e); });
  auto left = lower(*node.children[0], common(below, left_columns));
  if (never) {
    planner_.note(Rule::kEmptyInput);
    join->children.push_back(std::move(left));
    join->children.push_back(make_empty(*node.children[1], common(below, right_columns)));
    set_join_output(*join, required);
    return join;
  }
  if (join->kind == NodeKind::kNestedLoopJoin) {
    if (auto by_index = lower_by_index(node, conditions, left, below, required)) return by_index;
    if (planner_.settings.hashjoin) take_hash_keys(*join, conditions, left_columns, right_columns);
  }
  if (!conditions.empty()) join->condition = expression::make_and(std::move(conditions));
  join->children.push_back(std::move(left));
  join->children.push_back(lower(*node.children[1], common(below, right_columns)));
  set_join_output(*join, required);
  return join;
}

/// The right side looked up by an index for each left row, when that costs less than reading all of it.
PlanNodePtr Lowering::lower_by_index(LogicalNode& node, Conjuncts& conditions, PlanNodePtr& left,
                                     const ColumnSet& below, const ColumnSet& required) {
  if (node.join == JoinType::kMark || node.join == JoinType::kFull) return nullptr;
  if (!planner_.settings.indexscan || !planner_.settings.nestloop || !planner_.enabled(Rule::kIndexJoin))
    return nullptr;
  Conjuncts all;
  const auto* get = table_of(*node.children[1], all);
  if (get == nullptr) return nullptr;
  const auto own = all.size();
  for (const auto& e : conditions) all.push_back(e->clone());
  auto paths = index_paths(planner_, *get, all, outputs_of(*node.children[0]));
  IndexPath* best = nullptr;
  const double rows = estimator_.table_rows(*get->relation);
  double best_cost = rows * (kCost.row + 2 * kCost.value + hash_build_ns(rows * 40));
  for (auto& path : paths) {
    if (std::ranges::none_of(path.used, [own](auto i) { return i >= own; })) continue;
    const double per_row =
        kCost.index_probe + estimator_.index_rows(*get->relation, *path.index, path.range) * kCost.row_fetch;
    if (left->estimated_rows * per_row >= best_cost) continue;
    best_cost = left->estimated_rows * per_row;
    best = &path;
  }
  if (best == nullptr) return nullptr;
  planner_.note(Rule::kIndexJoin);
  Conjuncts inner, residual;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (std::ranges::find(best->used, i) != best->used.end()) continue;
    (i < own ? inner : residual).push_back(std::move(all[i]));
  }
  best->used.clear();
  auto join = make_plan_node(NodeKind::kIndexJoin);
  join->join = node.join;
  join->children.push_back(std::move(left));
  join->children.push_back(make_scan(*get, std::move(inner), common(below, outputs_of(*get)), best));
  if (!residual.empty()) join->condition = expression::make_and(std::move(residual));
  set_join_output(*join, required);
  return join;
}

void Lowering::set_join_output(PlanNode& join, const ColumnSet& required) {
  join.output = select_columns(join.children[0]->output, required);
  if (join.join == JoinType::kMark) {
    join.output.push_back(join.mark);
  } else if (join.join != JoinType::kSemi && join.join != JoinType::kAnti) {
    for (const auto id : select_columns(join.children[1]->output, required)) join.output.push_back(id);
  }
}

/// The sides of a key changed places: the operator's function too, where it tells them apart.
void Lowering::commute_equality(PlanNode::HashKey& key) {
  const auto* declaration = key.equality.declaration;
  if (declaration == nullptr || declaration->arguments.size() != 2 ||
      declaration->arguments[0] == declaration->arguments[1])
    return;
  for (const auto* op : functions::Registry::instance().operators("=")) {
    if (op->left != declaration->arguments[1] || op->right != declaration->arguments[0]) continue;
    const TypeRef types[] = {key.left->type, key.right->type};
    key.equality = functions::resolve_kernels(*functions::Registry::instance().function(op->function), types);
    return;
  }
}

void Lowering::take_hash_keys(PlanNode& join, Conjuncts& conditions, const ColumnSet& left,
                              const ColumnSet& right) {
  Conjuncts rest;
  for (auto& e : conditions) {
    // A pulled-up correlation names the group of rows that IN looks at.
    const bool selects = join.join == JoinType::kMark && e->kind == Kind::kBooleanTest &&
                         e->test == expression::BooleanTest::kTrue && is_hashable_equality(*e->args[0]);
    if (selects) e = std::move(ExpressionPtr{std::move(e->args[0])});
    const auto put_back = [&] {
      if (selects) {
        e = make_test(Kind::kBooleanTest, std::move(e));
        e->test = expression::BooleanTest::kTrue;
      }
      rest.push_back(std::move(e));
    };
    if (!is_hashable_equality(*e) || expression::is_volatile(*e)) {
      put_back();
      continue;
    }
    const auto a = columns_of(*e->args[0]), b = columns_of(*e->args[1]);
    const bool straight = !a.empty() && !b.empty() && left.contains_all(a) && right.contains_all(b);
    const bool crossed = !a.empty() && !b.empty() && left.contains_all(b) && right.contains_all(a);
    if (!straight && !crossed) {
      put_back();
      continue;
    }
    PlanNode::HashKey key;
    key.selects = selects;
    key.null_safe = e->kind == Kind::kIsNotDistinct;
    key.equality = e->function;
    key.left = std::move(e->args[straight ? 0 : 1]);
    key.right = std::move(e->args[straight ? 1 : 0]);
    if (crossed) commute_equality(key);
    join.hash_keys.push_back(std::move(key));
  }
  conditions = std::move(rest);
  if (!join.hash_keys.empty()) join.kind = NodeKind::kHashJoin;
}

}  // namespace rustbd::optimizer
