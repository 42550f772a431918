// Conditions move to where their columns come from; on the way outer joins whose NULL rows no condition lets
// through become inner ones (query.md §7, rules 5 and 7). Nothing moves past LIMIT, past something volatile,
// or into the side of an outer join that is filled with NULLs.
#include <algorithm>

#include "rustbd/optimizer/planner.h"

namespace rustbd::optimizer {

namespace {

class FilterPusher {
 public:
  explicit FilterPusher(Planner& planner)
      : planner_(planner), moves_(planner.enabled(Rule::kFilterPushDown)) {}

  /// Puts `conditions` over or into `node`.
  void push(LogicalPtr& node, Conjuncts conditions) {
    switch (node->kind) {
      case LogicalKind::kFilter: return push_filter(node, std::move(conditions));
      case LogicalKind::kJoin:
      case LogicalKind::kDependentJoin: return push_join(node, std::move(conditions));
      case LogicalKind::kProject: return push_project(node, std::move(conditions));
      case LogicalKind::kAggregate: return push_aggregate(node, std::move(conditions));
      case LogicalKind::kWindow:
        return push_by_columns(node, std::move(conditions), ColumnSet{node->partition_by});
      case LogicalKind::kProjectSet:
        return push_by_columns(node, std::move(conditions), outputs_of(*node->children[0]));
      case LogicalKind::kSort: return push_by_columns(node, std::move(conditions), outputs_of(*node));
      case LogicalKind::kDistinct:
        return push_by_columns(node, std::move(conditions),
                               node->is_distinct_on ? ColumnSet{node->distinct_on} : outputs_of(*node));
      case LogicalKind::kSetOperation: return push_set_operation(node, std::move(conditions));
      case LogicalKind::kCteBind:
        push(node->children[0], {});
        push(node->children[1], std::move(conditions));
        set_output(*node);
        return;
      default:
        for (auto& child : node->children) push(child, {});
        stay(node, std::move(conditions));
    }
  }

 private:
  static void stay(LogicalPtr& node, Conjuncts conditions) {
    set_output(*node);
    node = make_filter(std::move(node), std::move(conditions));
  }
  void move(Conjuncts& to, ExpressionPtr e) {
    planner_.note(Rule::kFilterPushDown);
    to.push_back(std::move(e));
  }

  void push_filter(LogicalPtr& node, Conjuncts conditions) {
    Conjuncts own;
    split(std::move(node->condition), own);
    auto child = std::move(node->children[0]);
    const bool any_volatile =
        std::ranges::any_of(own, [](const auto& e) { return expression::is_volatile(*e); });
    if (any_volatile || !moves_) {
      push(child, {});
      // A volatile condition is evaluated as often as it stands: nothing above it comes below it.
      for (auto& e : conditions) own.push_back(std::move(e));
      node = make_filter(std::move(child), std::move(own));
      return;
    }
    for (auto& e : conditions) own.push_back(std::move(e));
    node = std::move(child);
    push(node, std::move(own));
  }

  /// Conditions over `movable` columns go below the node, the others stay above.
  void push_by_columns(LogicalPtr& node, Conjuncts conditions, const ColumnSet& movable) {
    Conjuncts below, above;
    const auto own = outputs_of(*node);
    for (auto& e : conditions) {
      const auto used = common(columns_of(*e), own);
      if (moves_ && !used.empty() && movable.contains_all(used) && !expression::is_volatile(*e))
        move(below, std::move(e));
      else above.push_back(std::move(e));
    }
    push(node->children[0], std::move(below));
    stay(node, std::move(above));
  }

  void push_project(LogicalPtr& node, Conjuncts conditions) {
    if (node->children.empty()) return stay(node, std::move(conditions));
    const bool any_volatile = std::ranges::any_of(
        node->computed, [](const auto& c) { return expression::is_volatile(*c.expression); });
    Conjuncts below, above;
    for (auto& e : conditions) {
      if (!moves_ || any_volatile || expression::is_volatile(*e)) {
        above.push_back(std::move(e));
        continue;
      }
      put_in(e, node->computed);
      move(below, std::move(e));
    }
    push(node->children[0], std::move(below));
    stay(node, std::move(above));
  }

  static void put_in(ExpressionPtr& e, const std::vector<plan::ComputedColumn>& computed) {
    expression::rewrite(e, [&](ExpressionPtr& x) {
      if (x->kind != Kind::kColumn) return;
      const auto it = std::ranges::find(computed, x->column, &plan::ComputedColumn::id);
      if (it != computed.end()) x = it->expression->clone();
    });
  }

  void push_aggregate(LogicalPtr& node, Conjuncts conditions) {
    Conjuncts below, above;
    ColumnSet groups;
    if (node->grouping_sets.empty())
      for (const auto& g : node->groups)
        if (!expression::is_volatile(*g.expression)) groups.add(g.id);
    const auto own = outputs_of(*node);
    for (auto& e : conditions) {
      const auto used = common(columns_of(*e), own);
      if (!moves_ || used.empty() || !groups.contains_all(used) || expression::is_volatile(*e)) {
        above.push_back(std::move(e));
        continue;
      }
      put_in(e, node->groups);
      move(below, std::move(e));
    }
    push(node->children[0], std::move(below));
    stay(node, std::move(above));
  }

  void push_set_operation(LogicalPtr& node, Conjuncts conditions) {
    std::vector<Conjuncts> below(node->children.size());
    Conjuncts above;
    for (auto& e : conditions) {
      if (!moves_ || columns_of(*e).empty() || expression::is_volatile(*e)) {
        above.push_back(std::move(e));
        continue;
      }
      for (std::size_t i = 0; i < below.size(); ++i) {
        ColumnMap map;
        for (std::size_t c = 0; c < node->output.size(); ++c)
          map[node->output[c]] = node->children[i]->output[c];
        auto copy = e->clone();
        rename_columns(copy, map);
        move(below[i], std::move(copy));
      }
    }
    for (std::size_t i = 0; i < below.size(); ++i) {
      // The children's outputs are positions: what is put over one keeps them.
      push(node->children[i], std::move(below[i]));
    }
    stay(node, std::move(above));
  }

  void weaken(LogicalNode& node, const Conjuncts& conditions, const ColumnSet& left, const ColumnSet& right) {
    if (!planner_.enabled(Rule::kOuterToInner)) return;
    const auto rejected = [&](const ColumnSet& side) {
      return std::ranges::any_of(conditions, [&](const auto& e) { return rejects_nulls(*e, side); });
    };
    const auto before = node.join;
    if (node.join == JoinType::kLeft && rejected(right)) node.join = JoinType::kInner;
    if (node.join == JoinType::kFull) {
      const bool no_left_nulls = rejected(left), no_right_nulls = rejected(right);
      if (no_left_nulls && no_right_nulls) node.join = JoinType::kInner;
      else if (no_left_nulls) node.join = JoinType::kLeft;
      else if (no_right_nulls) {
        node.join = JoinType::kLeft;
        std::swap(node.children[0], node.children[1]);
      }
    }
    if (node.join != before) planner_.note(Rule::kOuterToInner);
  }

  void push_join(LogicalPtr& node, Conjuncts conditions) {
    if (node->join == JoinType::kRight) {
      std::swap(node->children[0], node->children[1]);
      node->join = JoinType::kLeft;
    }
    weaken(*node, conditions, outputs_of(*node->children[0]), outputs_of(*node->children[1]));
    const auto left = outputs_of(*node->children[0]), right = outputs_of(*node->children[1]);
    Conjuncts on, to_left, to_right, above;
    split(std::move(node->condition), on);
    node->condition = nullptr;
    const auto join = node->join;
    if (join == JoinType::kInner) {
      for (auto& e : conditions) on.push_back(std::move(e));
    } else {
      const bool left_is_kept = join != JoinType::kFull;
      for (auto& e : conditions) {
        const auto used = columns_of(*e);
        const bool reads_right =
            used.intersects(right) || (join == JoinType::kMark && used.contains(node->mark));
        const bool movable = moves_ && left_is_kept && !reads_right && !expression::is_volatile(*e);
        if (movable) move(to_left, std::move(e));
        else above.push_back(std::move(e));
      }
    }
    const bool on_to_left = join == JoinType::kInner || join == JoinType::kSemi;
    const bool on_to_right = join == JoinType::kInner || join == JoinType::kSemi || join == JoinType::kLeft ||
                             join == JoinType::kAnti || join == JoinType::kSingle;
    Conjuncts stays;
    for (auto& e : on) {
      const auto used = columns_of(*e);
      const bool movable = moves_ && !expression::is_volatile(*e);
      if (movable && on_to_left && !used.intersects(right)) move(to_left, std::move(e));
      else if (movable && on_to_right && !used.empty() && !used.intersects(left))
        move(to_right, std::move(e));
      else stays.push_back(std::move(e));
    }
    if (!stays.empty()) node->condition = expression::make_and(std::move(stays));
    push(node->children[0], std::move(to_left));
    push(node->children[1], std::move(to_right));
    stay(node, std::move(above));
  }

  Planner& planner_;
  const bool moves_;
};

}  // namespace

void push_filters(Planner& planner, LogicalPtr& root) { FilterPusher{planner}.push(root, {}); }

}  // namespace rustbd::optimizer
