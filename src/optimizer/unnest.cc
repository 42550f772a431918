// Dependent joins become joins where the conditions that tie the inner side to the outer one can be pulled up
// to the join: the pull-up of query.md §7 (after Neumann and Kemper, "Unnesting Arbitrary Queries", BTW 2015,
// with D' substituted at once by the equality `outer = inner`). What it can't pull stays dependent and runs
// as an Apply with remembered results.
#include <algorithm>

#include "rustbd/optimizer/planner.h"

namespace rustbd::optimizer {

namespace oid = types::oid;

namespace {

class Unnester {
 public:
  explicit Unnester(Planner& planner) : planner_(planner) {}

  void run(LogicalPtr& node) {
    for (auto& child : node->children) run(child);
    if (node->kind == LogicalKind::kDependentJoin) unnest(node);
    set_output(*node);
  }

 private:
  void unnest(LogicalPtr& node) {
    auto& left = *node->children[0];
    free_ = free_columns(*node->children[1]);
    outer_ = common(free_, outputs_of(left));
    if (outer_.empty()) {
      node->kind = LogicalKind::kJoin;
      return;
    }
    if (node->join == JoinType::kRight || node->join == JoinType::kFull) return;
    keeps_duplicates_ =
        node->join == JoinType::kInner || node->join == JoinType::kLeft || node->join == JoinType::kSingle;
    // One row for each outer row, whether inner rows exist or not: the rows that the join lacks are made
    // above it.
    LogicalNode* scalar = scalar_aggregate(*node->children[1]);
    const bool allows_scalar =
        node->join == JoinType::kSingle || node->join == JoinType::kLeft || node->join == JoinType::kInner;
    if (scalar != nullptr && !allows_scalar) return;
    if (scalar != nullptr && node->join == JoinType::kLeft && node->condition != nullptr) return;
    if (scalar == nullptr && has_scalar_aggregate(*node->children[1])) return;
    if (!can_pull(*node->children[1], scalar)) return;
    planner_.note(Rule::kUnnest);
    if (scalar != nullptr) return unnest_scalar(node, *scalar);
    Conjuncts pulled;
    pull(node->children[1], pulled);
    join_on(*node, std::move(pulled));
  }

  void join_on(LogicalNode& node, Conjuncts pulled) {
    Conjuncts all;
    split(std::move(node.condition), all);
    for (auto& e : pulled) {
      // Rows that the subquery's own WHERE leaves out as NULL don't make the mark NULL.
      if (node.join == JoinType::kMark) {
        e = make_test(Kind::kBooleanTest, std::move(e));
        e->test = expression::BooleanTest::kTrue;
      }
      all.push_back(std::move(e));
    }
    node.condition = all.empty() ? nullptr : expression::make_and(std::move(all));
    node.kind = LogicalKind::kJoin;
  }

  /// The aggregate without groups that makes the one row of the subquery; only projections stand above it.
  static LogicalNode* scalar_aggregate(LogicalNode& root) {
    LogicalNode* node = &root;
    while (node->kind == LogicalKind::kProject && node->children.size() == 1) node = node->children[0].get();
    if (node->kind != LogicalKind::kAggregate || !node->groups.empty() || !node->grouping_sets.empty())
      return nullptr;
    return node;
  }
  bool has_scalar_aggregate(LogicalNode& node) {
    if (!common(free_columns(node), outer_).empty() && node.kind == LogicalKind::kAggregate &&
        node.groups.empty())
      return true;
    return std::ranges::any_of(node.children, [&](auto& child) { return has_scalar_aggregate(*child); });
  }

  [[nodiscard]] bool is_outer(const Expression& e) const { return columns_of(e).intersects(outer_); }
  [[nodiscard]] bool depends(const LogicalNode& node) const { return free_columns(node).intersects(outer_); }

  /// `inner = outer` with each side on its own: 0 or 1, which argument is the inner one; -1: no such thing.
  [[nodiscard]] int inner_side(const Expression& e) const {
    if (!is_hashable_equality(e) || e.kind == Kind::kIsNotDistinct) return -1;
    for (const int side : {0, 1}) {
      const auto inner = columns_of(*e.args[static_cast<std::size_t>(side)]),
                 outer = columns_of(*e.args[static_cast<std::size_t>(1 - side)]);
      if (!inner.empty() && !inner.intersects(free_) && !outer.empty() && outer_.contains_all(outer))
        return side;
    }
    return -1;
  }

  struct Above {
    bool equalities_only = false, plain_columns_only = false;
  };

  bool can_pull(LogicalNode& root, const LogicalNode* scalar) { return can_pull_below(root, {}, scalar); }
  bool can_pull_condition(const Expression& e, Above above) const {
    if (!above.equalities_only) return !expression::is_volatile(e);
    const int side = inner_side(e);
    if (side < 0) return false;
    return !above.plain_columns_only || e.args[static_cast<std::size_t>(side)]->kind == Kind::kColumn;
  }
  bool can_pull_conditions(const ExpressionPtr& condition, Above above) const {
    if (condition == nullptr) return true;
    if (condition->kind != Kind::kAnd) return !is_outer(*condition) || can_pull_condition(*condition, above);
    return std::ranges::all_of(condition->args, [&](const auto& e) { return can_pull_conditions(e, above); });
  }
  bool own_is_free_of_outer(LogicalNode& node) const {
    bool free = true;
    for_each_expression(node, [&](ExpressionPtr& e) { free = free && !is_outer(*e); });
    return free;
  }

  bool can_pull_below(LogicalNode& node, Above above, const LogicalNode* scalar) {
    if (!depends(node)) return true;
    switch (node.kind) {
      case LogicalKind::kFilter:
        return can_pull_conditions(node.condition, above) && can_pull_below(*node.children[0], above, scalar);
      case LogicalKind::kProject:
      case LogicalKind::kSort:
        return own_is_free_of_outer(node) && !node.children.empty() &&
               can_pull_below(*node.children[0], above, scalar);
      case LogicalKind::kJoin:
        if (node.join == JoinType::kInner)
          return can_pull_conditions(node.condition, above) &&
                 can_pull_below(*node.children[0], above, scalar) &&
                 can_pull_below(*node.children[1], above, scalar);
        if (node.join == JoinType::kFull || node.join == JoinType::kRight) return false;
        return own_is_free_of_outer(node) && !depends(*node.children[1]) &&
               can_pull_below(*node.children[0], above, scalar);
      case LogicalKind::kAggregate:
        if (!node.grouping_sets.empty() || (node.groups.empty() && &node != scalar)) return false;
        above.equalities_only = true;
        return own_is_free_of_outer(node) && can_pull_below(*node.children[0], above, scalar);
      case LogicalKind::kDistinct:
        if (node.is_distinct_on) return false;
        above.equalities_only = above.equalities_only || keeps_duplicates_;
        return can_pull_below(*node.children[0], above, scalar);
      case LogicalKind::kWindow:
        above.equalities_only = above.plain_columns_only = true;
        return own_is_free_of_outer(node) && can_pull_below(*node.children[0], above, scalar);
      default: return false;
    }
  }

  /// Takes the conditions with outer columns out of the tree; what they read inside, the tree then delivers.
  void pull(LogicalPtr& node, Conjuncts& pulled) {
    if (!depends(*node)) return;
    Conjuncts here;
    for (auto& child : node->children) pull(child, here);
    switch (node->kind) {
      case LogicalKind::kFilter: {
        Conjuncts kept = take_conditions(*node, here);
        auto child = std::move(node->children[0]);
        node = make_filter(std::move(child), std::move(kept));
        break;
      }
      case LogicalKind::kJoin:
        if (node->join == JoinType::kInner) {
          Conjuncts kept = take_conditions(*node, here);
          node->condition = kept.empty() ? nullptr : expression::make_and(std::move(kept));
        }
        break;
      case LogicalKind::kProject: pass_on(*node, here); break;
      case LogicalKind::kAggregate: group_by(*node, here); break;
      case LogicalKind::kWindow:
        for (const auto& e : here) {
          const auto id = e->args[static_cast<std::size_t>(inner_side(*e))]->column;
          if (std::ranges::find(node->partition_by, id) == node->partition_by.end())
            node->partition_by.push_back(id);
        }
        break;
      default: break;
    }
    set_output(*node);
    for (auto& e : here) pulled.push_back(std::move(e));
  }

  Conjuncts take_conditions(LogicalNode& node, Conjuncts& pulled) const {
    Conjuncts all, kept;
    split(std::move(node.condition), all);
    for (auto& e : all) (is_outer(*e) ? pulled : kept).push_back(std::move(e));
    return kept;
  }

  void pass_on(LogicalNode& project, const Conjuncts& conditions) const {
    auto have = outputs_of(project);
    const auto below = outputs_of(*project.children[0]);
    for (const auto& e : conditions) {
      columns_of(*e).for_each([&](ColumnId id) {
        if (have.contains(id) || !below.contains(id)) return;
        have.add(id);
        project.output.push_back(id);
      });
    }
  }

  /// Inner sides of the equalities become groups, and the equalities read those.
  void group_by(LogicalNode& aggregate, Conjuncts& conditions) {
    for (auto& e : conditions) {
      auto& inner = e->args[static_cast<std::size_t>(inner_side(*e))];
      const auto same = std::ranges::find_if(
          aggregate.groups, [&](const auto& g) { return expression::same(*g.expression, *inner); });
      const auto type = inner->type;
      ColumnId id;
      if (same != aggregate.groups.end()) {
        id = same->id;
      } else {
        id = inner->kind == Kind::kColumn ? inner->column : planner_.add_column("key", type);
        aggregate.groups.push_back({id, std::move(inner)});
        aggregate.output.push_back(id);
      }
      inner = expression::make_column(id, type);
    }
  }

  static bool is_count(const Expression& e) {
    return e.aggregate.declaration != nullptr && (e.aggregate.declaration->name == "count" ||
                                                  e.aggregate.declaration->name.starts_with("regr_count"));
  }

  /// What `e` gives when its aggregates saw no row.
  ExpressionPtr on_no_rows(const Expression& e, const LogicalNode& root, const LogicalNode& aggregate) const {
    auto copy = e.clone();
    expression::rewrite(copy, [&](ExpressionPtr& x) {
      if (x->kind != Kind::kColumn) return;
      for (const auto& a : aggregate.aggregates) {
        if (a.id != x->column) continue;
        x = is_count(*a.expression)
                ? expression::make_constant({x->type, false, types::Datum::of(std::int64_t{0})})
                : expression::make_null(x->type);
        return;
      }
      for (const LogicalNode* node = &root; node != &aggregate; node = node->children[0].get())
        for (const auto& c : node->computed)
          if (c.id == x->column) {
            x = on_no_rows(*c.expression, *node->children[0], aggregate);
            return;
          }
    });
    return copy;
  }

  /// A subquery that is one aggregate: grouped by its keys it gives no row where the aggregate would give one
  /// over nothing. A left join and, where that row isn't all NULL, a choice above it put this right.
  void unnest_scalar(LogicalPtr& node, LogicalNode& aggregate) {
    const auto wanted = node->children[1]->output;
    std::vector<std::pair<ColumnId, ExpressionPtr>> defaults;
    for (const auto id : wanted) {
      auto value = on_no_rows(*planner_.column(id), *node->children[1], aggregate);
      fold_expression(planner_, value);
      if (value->kind == Kind::kConstant && value->is_null) continue;
      defaults.emplace_back(id, std::move(value));
    }
    Conjuncts pulled;
    pull(node->children[1], pulled);
    const auto left_output = node->children[0]->output;
    ColumnId marker = 0;
    ColumnMap renamed;
    if (!defaults.empty()) {
      // The right side's values under other numbers, and a column that tells a real row.
      auto project = make_node(LogicalKind::kProject);
      project->output = node->children[1]->output;
      marker = planner_.add_column("found", types::make_type(oid::kBool));
      project->computed.push_back({marker, expression::make_bool(true)});
      project->output.push_back(marker);
      for (const auto& [id, value] : defaults) {
        renamed[id] = planner_.add_column(planner_.columns[id].name, planner_.columns[id].type);
        project->computed.push_back({renamed[id], planner_.column(id)});
        std::ranges::replace(project->output, id, renamed[id]);
      }
      project->children.push_back(std::move(node->children[1]));
      node->children[1] = std::move(project);
    }
    Conjuncts own_conditions;  // ON of an inner lateral join: conditions like any others
    split(std::move(node->condition), own_conditions);
    node->condition = nullptr;
    join_on(*node, std::move(pulled));
    node->join = JoinType::kLeft;  // groups are unique by the keys: at most one match
    set_output(*node);
    if (!defaults.empty())
      node = choose_defaults(std::move(node), left_output, wanted, defaults, renamed, marker);
    node = make_filter(std::move(node), std::move(own_conditions));
  }

  LogicalPtr choose_defaults(LogicalPtr node, const std::vector<ColumnId>& left_output,
                             const std::vector<ColumnId>& wanted,
                             std::vector<std::pair<ColumnId, ExpressionPtr>>& defaults,
                             const ColumnMap& renamed, ColumnId marker) {
    auto project = make_node(LogicalKind::kProject);
    project->output = left_output;
    project->output.insert(project->output.end(), wanted.begin(), wanted.end());
    for (auto& [id, value] : defaults) {
      auto choice = std::make_unique<Expression>();
      choice->kind = Kind::kCase;
      choice->type = planner_.columns[id].type;
      choice->args.push_back(make_test(Kind::kIsNull, planner_.column(marker)));
      choice->args.push_back(std::move(value));
      choice->args.push_back(planner_.column(renamed.at(id)));
      project->computed.push_back({id, std::move(choice)});
    }
    project->children.push_back(std::move(node));
    return project;
  }

  Planner& planner_;
  ColumnSet outer_;               // of the join at hand: left columns that its right side reads
  ColumnSet free_;                // all columns that the right side reads and does not make
  bool keeps_duplicates_ = true;  // duplicates of right rows change the result
};

}  // namespace

void unnest_joins(Planner& planner, LogicalPtr& root) {
  if (planner.enabled(Rule::kUnnest)) Unnester{planner}.run(root);
}

}  // namespace rustbd::optimizer
