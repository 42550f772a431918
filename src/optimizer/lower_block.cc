// A block of inner joins: its tables and conditions go to join_order.cc, and the tree that comes back becomes
// plan nodes.
#include <algorithm>
#include <bit>

#include "rustbd/optimizer/join_order.h"
#include "rustbd/optimizer/lowering.h"

namespace rustbd::optimizer {

/// One block being planned. Tables are its leaves: base tables, filtered or not, and whole subtrees.
class JoinBlock {
 public:
  JoinBlock(Lowering& lowering, LogicalNode& root, const ColumnSet& required)
      : lowering_(lowering), planner_(lowering.planner_), required_(required) {
    collect(root);
  }

  PlanNodePtr run() {
    find_groups();
    for (auto& c : conditions_) c.tables = tables_of(*c.expression);
    make_tables();
    std::vector<JoinEdge> edges;
    for (const auto& c : conditions_)
      if (std::popcount(c.tables) > 1) edges.push_back(make_edge(c));
    const auto order =
        order_joins(tables_, std::move(edges), planner_.settings.hashjoin, &planner_.plans_considered);
    if (leaves_.size() > 2) planner_.note(Rule::kJoinOrder);
    auto out = build(order, static_cast<int>(order.size()) - 1);
    return add_rest(std::move(out));
  }

 private:
  static constexpr std::uint32_t kNoGroup = UINT32_MAX;
  struct Condition {
    ExpressionPtr expression;
    TableMask tables = 0;
    std::uint32_t group = kNoGroup;  // of plain column equalities
    bool done = false;
  };

  void collect(LogicalNode& node) {
    for (auto& child : node.children) {
      if (child->kind == LogicalKind::kJoin && child->join == JoinType::kInner) collect(*child);
      else leaves_.push_back(std::move(child));
    }
    Conjuncts own;
    split(std::move(node.condition), own);
    for (auto& e : own) conditions_.push_back({std::move(e)});
  }

  [[nodiscard]] TableMask tables_of(const Expression& e) const {
    TableMask mask = 0;
    columns_of(e).for_each([&](ColumnId id) {
      if (const auto it = table_of_column_.find(id); it != table_of_column_.end())
        mask |= TableMask{1} << it->second;
    });
    return mask;
  }

  /// Columns that equalities tie together; equalities that follow are added, so that any two of them can meet
  /// first.
  void find_groups() {
    for (std::size_t i = 0; i < leaves_.size(); ++i)
      for (const auto id : leaves_[i]->output) table_of_column_[id] = i;
    std::vector<std::vector<ColumnId>> groups;
    const auto group_of = [&](ColumnId id) {
      for (std::size_t g = 0; g < groups.size(); ++g)
        if (std::ranges::find(groups[g], id) != groups[g].end()) return g;
      groups.push_back({id});
      return groups.size() - 1;
    };
    const auto is_plain = [&](const Condition& c) {
      const auto& e = *c.expression;
      return comparison_of(e) == Comparison::kEqual && is_hashable_equality(e) &&
             e.args[0]->kind == Kind::kColumn && e.args[1]->kind == Kind::kColumn &&
             std::popcount(tables_of(e)) == 2;
    };
    for (const auto& c : conditions_) {
      if (!is_plain(c)) continue;
      const auto a = group_of(c.expression->args[0]->column), b = group_of(c.expression->args[1]->column);
      if (a == b) continue;
      groups[a].insert(groups[a].end(), groups[b].begin(), groups[b].end());
      groups[b].clear();
    }
    for (auto& c : conditions_)
      if (is_plain(c)) c.group = static_cast<std::uint32_t>(group_of(c.expression->args[0]->column));
    if (planner_.enabled(Rule::kTransitiveEquality)) add_transitive(groups);
  }

  void add_transitive(const std::vector<std::vector<ColumnId>>& groups) {
    const auto direct = conditions_.size();
    for (std::uint32_t g = 0; g < groups.size(); ++g) {
      for (std::size_t i = 0; i < groups[g].size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) add_pair(g, groups[g][i], groups[g][j], direct);
      }
    }
  }
  void add_pair(std::uint32_t group, ColumnId a, ColumnId b, std::size_t direct) {
    if (table_of_column_.at(a) == table_of_column_.at(b) ||
        !(planner_.columns[a].type == planner_.columns[b].type))
      return;
    const Condition* pattern = nullptr;
    for (std::size_t i = 0; i < direct; ++i) {
      const auto& c = conditions_[i];
      if (c.group != group) continue;
      const auto x = c.expression->args[0]->column, y = c.expression->args[1]->column;
      if ((x == a && y == b) || (x == b && y == a)) return;
      if (c.expression->args[0]->type == planner_.columns[a].type &&
          c.expression->args[1]->type == planner_.columns[a].type)
        pattern = &c;
    }
    if (pattern == nullptr) return;
    auto e = pattern->expression->clone();
    e->args[0] = planner_.column(a);
    e->args[1] = planner_.column(b);
    conditions_.push_back({std::move(e), 0, group});
    planner_.note(Rule::kTransitiveEquality);
  }

  /// What the nodes over `done` still read.
  [[nodiscard]] ColumnSet needed_above(TableMask done) const {
    auto needed = required_;
    for (const auto& c : conditions_)
      if (!c.done && (c.tables & ~done) != 0) add_columns(*c.expression, needed);
    for (const auto& c : conditions_)
      if (std::popcount(c.tables) <= 1) add_columns(*c.expression, needed);
    return needed;
  }

  void make_tables() {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      const auto columns = outputs_of(*leaves_[i]);
      Conjuncts own;
      const auto* get = optimizer::table_of(*leaves_[i], own);
      JoinTable table;
      if (get != nullptr) find_lookups(i, *get, own, table);
      own_.push_back(std::move(own));
      gets_.push_back(get);
      auto plan = get != nullptr ? lowering_.lower_get(const_cast<LogicalNode&>(*get), clone_all(own_.back()),
                                                       common(needed_above(0), columns))
                                 : lowering_.lower(*leaves_[i], common(needed_above(0), columns));
      table.rows = plan->estimated_rows;
      table.cost = plan->total_cost;
      table.width = plan->estimated_width;
      tables_.push_back(std::move(table));
      plans_.push_back(std::move(plan));
    }
  }

  void find_lookups(std::size_t table, const LogicalNode& get, const Conjuncts& own, JoinTable& out) {
    if (!planner_.settings.indexscan || !planner_.settings.nestloop || !planner_.enabled(Rule::kIndexJoin))
      return;
    const TableMask self = TableMask{1} << table;
    std::vector<TableMask> partners;
    TableMask all = 0;
    for (const auto& c : conditions_) {
      if ((c.tables & self) == 0 || std::popcount(c.tables) != 2 ||
          comparison_of(*c.expression) != Comparison::kEqual)
        continue;
      const auto other = c.tables & ~self;
      if (std::ranges::find(partners, other) == partners.end()) partners.push_back(other);
      all |= other;
    }
    if (partners.size() > 1) partners.push_back(all);
    for (const auto partner : partners) {
      auto conditions = clone_all(own);
      std::vector<std::size_t> numbers;  // of the join conditions among conditions_
      for (std::size_t i = 0; i < conditions_.size(); ++i) {
        const auto& c = conditions_[i];
        if ((c.tables & self) == 0 || (c.tables & ~(self | partner)) != 0 || c.tables == self) continue;
        if (comparison_of(*c.expression) != Comparison::kEqual) continue;
        conditions.push_back(c.expression->clone());
        numbers.push_back(i);
      }
      ColumnSet outer;
      for (auto m = partner; m != 0; m &= m - 1)
        outer.add(leaves_[static_cast<std::size_t>(std::countr_zero(m))]->output);
      for (auto& path : index_paths(planner_, get, conditions, outer))
        add_lookup(path, own.size(), numbers, get, self, out);
    }
  }
  struct Lookup {
    IndexPath path;
    std::vector<std::size_t> joins;  // positions in conditions_ that it answers
    std::vector<std::size_t> own;    // and in the table's own conditions
  };
  void add_lookup(IndexPath& path, std::size_t own, const std::vector<std::size_t>& numbers,
                  const LogicalNode& get, TableMask self, JoinTable& out) {
    Lookup lookup;
    JoinTable::Lookup cost;
    for (const auto used : path.used) {
      if (used < own) {
        lookup.own.push_back(used);
        continue;
      }
      lookup.joins.push_back(numbers[used - own]);
      cost.needs |= conditions_[numbers[used - own]].tables & ~self;
    }
    if (lookup.joins.empty()) return;
    cost.rows = lowering_.estimator_.index_rows(*get.relation, *path.index, path.range);
    cost.cost = kCost.index_probe + cost.rows * (kCost.row_fetch + 3 * kCost.value);
    cost.id = static_cast<std::uint32_t>(lookups_.size());
    lookup.path = std::move(path);
    lookups_.push_back(std::move(lookup));
    out.lookups.push_back(cost);
  }

  JoinEdge make_edge(const Condition& c) {
    JoinEdge edge;
    edge.tables = c.tables;
    edge.group = c.group;
    const auto& e = *c.expression;
    auto& estimator = lowering_.estimator_;
    if (is_hashable_equality(e)) {
      const auto left = tables_of(*e.args[0]), right = tables_of(*e.args[1]);
      if (left != 0 && right != 0 && (left & right) == 0) {
        edge.left = left;
        edge.right = right;
        const auto distinct = [&](const Expression& side, TableMask mask) {
          double rows = 1;
          for (auto m = mask; m != 0; m &= m - 1)
            rows *= tables_[static_cast<std::size_t>(std::countr_zero(m))].rows;
          return estimator.distinct(side, rows);
        };
        edge.selectivity = 1 / std::max({1.0, distinct(*e.args[0], left), distinct(*e.args[1], right)});
        return edge;
      }
    }
    edge.selectivity = std::clamp(estimator.selectivity(e), 1e-9, 1.0);
    return edge;
  }

  PlanNodePtr build(const std::vector<JoinTree>& order, int at) {
    const auto& tree = order[static_cast<std::size_t>(at)];
    if (tree.left < 0) return std::move(plans_[static_cast<std::size_t>(tree.table)]);
    auto left = build(order, tree.left);
    const auto& right_tree = order[static_cast<std::size_t>(tree.right)];
    const TableMask l = order[static_cast<std::size_t>(tree.left)].tables, r = right_tree.tables;
    PlanNodePtr join;
    if (tree.uses_lookup) join = build_lookup(std::move(left), l, right_tree.table, tree.lookup);
    else join = build_hash(std::move(left), l, build(order, tree.right), r);
    Lowering::set_join_output(*join, needed_above(tree.tables));
    lowering_.estimator_.estimate(*join, tree.rows);
    return join;
  }

  /// Notes that the sides of a plain equality are equal from here on; false: they are already.
  bool unite(const Condition& c) {
    const auto a = representative(c.expression->args[0]->column),
               b = representative(c.expression->args[1]->column);
    if (a == b) return false;
    equal_to_[a] = b;
    return true;
  }
  ColumnId representative(ColumnId id) const {
    for (auto it = equal_to_.find(id); it != equal_to_.end(); it = equal_to_.find(id)) id = it->second;
    return id;
  }

  /// Conditions that become decidable when `l` and `r` meet, without equalities that follow from the others.
  Conjuncts take_conditions(TableMask l, TableMask r) {
    Conjuncts out;
    for (auto& c : conditions_) {
      if (c.done || (c.tables & ~(l | r)) != 0 || (c.tables & l) == 0 || (c.tables & r) == 0) continue;
      c.done = true;
      if (c.group != kNoGroup && !unite(c)) continue;
      out.push_back(std::move(c.expression));
      c.expression = expression::make_bool(true);
    }
    return out;
  }

  PlanNodePtr build_hash(PlanNodePtr left, TableMask l, PlanNodePtr right, TableMask r) {
    auto join = make_plan_node(NodeKind::kNestedLoopJoin);
    auto conditions = take_conditions(l, r);
    if (planner_.settings.hashjoin)
      lowering_.take_hash_keys(*join, conditions, ColumnSet{left->output}, ColumnSet{right->output});
    if (!conditions.empty()) join->condition = expression::make_and(std::move(conditions));
    join->children.push_back(std::move(left));
    join->children.push_back(std::move(right));
    return join;
  }

  PlanNodePtr build_lookup(PlanNodePtr left, TableMask l, int table, std::uint32_t id) {
    planner_.note(Rule::kIndexJoin);
    auto& lookup = lookups_[id];
    const TableMask r = TableMask{1} << table;
    for (const auto i : lookup.joins) {
      conditions_[i].done = true;
      if (conditions_[i].group != kNoGroup) unite(conditions_[i]);
    }
    auto residual = take_conditions(l, r);
    const auto at = static_cast<std::size_t>(table);
    Conjuncts own;
    for (std::size_t i = 0; i < own_[at].size(); ++i)
      if (std::ranges::find(lookup.own, i) == lookup.own.end()) own.push_back(own_[at][i]->clone());
    auto needed = needed_above(l | r);
    for (const auto& e : residual) add_columns(*e, needed);
    lookup.path.used.clear();
    auto join = make_plan_node(NodeKind::kIndexJoin);
    join->children.push_back(std::move(left));
    join->children.push_back(lowering_.make_scan(*gets_[at], std::move(own),
                                                 common(needed, outputs_of(*gets_[at])), &lookup.path));
    if (!residual.empty()) join->condition = expression::make_and(std::move(residual));
    return join;
  }

  /// Conditions over one table or none, which push-down leaves when it is switched off.
  PlanNodePtr add_rest(PlanNodePtr out) {
    Conjuncts rest;
    for (auto& c : conditions_)
      if (std::popcount(c.tables) <= 1) rest.push_back(std::move(c.expression));
    if (rest.empty()) return out;
    auto filter = make_plan_node(NodeKind::kFilter);
    filter->filter = expression::make_and(std::move(rest));
    filter->output = select_columns(out->output, required_);
    filter->children.push_back(std::move(out));
    return filter;
  }

  Lowering& lowering_;
  Planner& planner_;
  const ColumnSet required_;
  std::vector<LogicalPtr> leaves_;
  std::vector<Condition> conditions_;
  std::unordered_map<ColumnId, std::size_t> table_of_column_;
  std::unordered_map<ColumnId, ColumnId> equal_to_;  // union-find over plain equalities applied so far
  std::vector<JoinTable> tables_;
  std::vector<PlanNodePtr> plans_;        // of each table by itself
  std::vector<const LogicalNode*> gets_;  // base tables; else nullptr
  std::vector<Conjuncts> own_;            // their conditions
  std::vector<Lookup> lookups_;
};

std::size_t Lowering::count_block_tables(const LogicalNode& node) {
  std::size_t count = 0;
  for (const auto& child : node.children)
    count +=
        child->kind == LogicalKind::kJoin && child->join == JoinType::kInner ? count_block_tables(*child) : 1;
  return count;
}

PlanNodePtr Lowering::lower_block(LogicalNode& node, const ColumnSet& required) {
  return JoinBlock{*this, node, required}.run();
}

}  // namespace rustbd::optimizer
