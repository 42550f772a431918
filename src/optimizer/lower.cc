// Logical nodes to plan nodes: columns that nobody reads are left out, conditions become index ranges, hash keys and
// filters, and what depends on rows of its left side becomes an Apply with parameters.
#include <algorithm>
#include <cmath>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"
#include "rustbd/optimizer/access_path.h"
#include "rustbd/optimizer/cost.h"

namespace rustbd::optimizer {

namespace oid = types::oid;
using plan::NodeKind;
using plan::PlanNode;
using plan::PlanNodePtr;

namespace {

PlanNodePtr make_plan_node(NodeKind kind) {
  auto node = std::make_unique<PlanNode>();
  node->kind = kind;
  return node;
}

class Lowering {
 public:
  explicit Lowering(Planner& planner) : planner_(planner) {}

  /// A plan that delivers the columns of `required` that `node` has.
  PlanNodePtr lower(LogicalNode& node, const ColumnSet& required) {
    auto out = lower_kind(node, required);
    estimate(planner_, *out);
    return out;
  }
  /// A plan that delivers exactly these columns in this order.
  PlanNodePtr lower_exact(LogicalNode& node, const std::vector<ColumnId>& output) {
    auto out = lower(node, ColumnSet{output});
    if (out->output == output) return out;
    if (out->kind == NodeKind::kProject) {
      out->output = output;
      return out;
    }
    auto project = over(NodeKind::kProject, std::move(out));
    project->output = output;
    estimate(planner_, *project);
    return project;
  }

 private:
  static PlanNodePtr over(NodeKind kind, PlanNodePtr child) {
    auto node = make_plan_node(kind);
    node->children.push_back(std::move(child));
    return node;
  }

  PlanNodePtr lower_kind(LogicalNode& node, const ColumnSet& required) {
    switch (node.kind) {
      case LogicalKind::kGet: return lower_get(node, {}, required);
      case LogicalKind::kValues: return lower_values(node, required);
      case LogicalKind::kFunctionScan: return lower_function_scan(node, required);
      case LogicalKind::kFilter: return lower_filter(node, required);
      case LogicalKind::kProject: return lower_project(node, required);
      case LogicalKind::kProjectSet: return lower_project_set(node, required);
      case LogicalKind::kJoin: case LogicalKind::kDependentJoin: return lower_join(node, required);
      case LogicalKind::kAggregate: return lower_aggregate(node, required);
      case LogicalKind::kWindow: return lower_window(node, required);
      case LogicalKind::kSort: return lower_sort(node, required);
      case LogicalKind::kLimit: return lower_limit(node, required);
      case LogicalKind::kDistinct: return lower_distinct(node, required);
      case LogicalKind::kSetOperation: return lower_set_operation(node, required);
      case LogicalKind::kCteScan: case LogicalKind::kWorkTableScan: return lower_cte_scan(node, required);
      case LogicalKind::kCteBind: return lower_cte_bind(node, required);
      case LogicalKind::kRecursiveUnion: return lower_recursive_union(node);
      case LogicalKind::kModify: return lower_modify(node, required);
      case LogicalKind::kLockRows: return lower_lock_rows(node, required);
      case LogicalKind::kResult: return make_plan_node(NodeKind::kResult);
    }
    RUSTBD_UNREACHABLE("logical kind");
  }

  PlanNodePtr lower_get(LogicalNode& node, Conjuncts conditions, const ColumnSet& required) {
    auto scan = make_plan_node(NodeKind::kTableScan);
    scan->relation = node.relation;
    scan->alias = node.alias;
    auto paths = planner_.settings.indexscan ? index_paths(planner_, node, conditions, {}) : std::vector<IndexPath>{};
    if (auto* best = choose(paths)) {
      planner_.note(Rule::kIndexScan);
      scan->kind = NodeKind::kIndexScan;
      scan->index = best->index;
      scan->range = std::move(best->range);
      std::ranges::sort(best->used, std::greater{});
      best->used.erase(std::unique(best->used.begin(), best->used.end()), best->used.end());
      for (const auto i : best->used) conditions.erase(conditions.begin() + static_cast<std::ptrdiff_t>(i));
    }
    auto read = required;
    for (const auto& e : conditions) add_columns(*e, read);
    for (const auto& c : node.columns) {
      if (!read.contains(c.id)) continue;
      scan->columns.push_back(c);
      if (required.contains(c.id)) scan->output.push_back(c.id);
    }
    if (!conditions.empty()) scan->filter = expression::make_and(std::move(conditions));
    return scan;
  }

  static IndexPath* choose(std::vector<IndexPath>& paths) {
    IndexPath* best = nullptr;
    const auto score = [](const IndexPath& p) {
      return (p.unique_row ? 1000 : 0) + static_cast<int>(p.equal_parts) * 10 + (p.range.in_list.empty() ? 0 : 8) +
             (p.range.lower != nullptr ? 2 : 0) + (p.range.upper != nullptr ? 2 : 0);
    };
    for (auto& p : paths)
      if (best == nullptr || score(p) > score(*best)) best = &p;
    return best;
  }

  PlanNodePtr lower_values(LogicalNode& node, const ColumnSet& required) {
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

  PlanNodePtr lower_function_scan(LogicalNode& node, const ColumnSet& required) {
    auto scan = make_plan_node(NodeKind::kFunctionScan);
    scan->alias = node.alias;
    scan->functions = std::move(node.functions);
    scan->ordinality = node.ordinality;
    scan->has_ordinality = node.has_ordinality;
    scan->output = select_columns(node.output, required);
    return scan;
  }

  PlanNodePtr lower_filter(LogicalNode& node, const ColumnSet& required) {
    auto& child = *node.children[0];
    if (child.kind == LogicalKind::kGet) {
      Conjuncts conditions;
      split(std::move(node.condition), conditions);
      return lower_get(child, std::move(conditions), required);
    }
    auto below = required;
    add_columns(*node.condition, below);
    auto input = lower(child, below);
    if (input->kind == NodeKind::kResult && input->children.empty() && input->computed.empty() && input->filter == nullptr) {
      input->filter = std::move(node.condition);
      return input;
    }
    auto filter = over(NodeKind::kFilter, std::move(input));
    filter->filter = std::move(node.condition);
    filter->output = select_columns(filter->children[0]->output, required);
    return filter;
  }

  PlanNodePtr lower_project(LogicalNode& node, const ColumnSet& required) {
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
    PlanNodePtr input = node.children.empty() ? make_plan_node(NodeKind::kResult) : lower(*node.children[0], below);
    if (computed.empty()) return input;   // columns have names of their own: passing them on is nothing
    auto wanted = required;
    for (const auto& c : computed) wanted.add(c.id);
    const bool bare = input->kind == NodeKind::kResult && input->children.empty() && input->computed.empty();
    auto project = bare ? std::move(input) : over(NodeKind::kProject, std::move(input));
    project->computed = std::move(computed);
    project->output = select_columns(node.output, wanted);
    return project;
  }

  PlanNodePtr lower_project_set(LogicalNode& node, const ColumnSet& required) {
    auto below = required;
    for (const auto& f : node.functions) add_columns(*f.call, below);
    auto set = over(NodeKind::kProjectSet, lower(*node.children[0], below));
    set->functions = std::move(node.functions);
    set->output = select_columns(node.output, required);
    return set;
  }

  PlanNodePtr lower_aggregate(LogicalNode& node, const ColumnSet& required) {
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

  PlanNodePtr lower_window(LogicalNode& node, const ColumnSet& required) {
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

  PlanNodePtr lower_sort(LogicalNode& node, const ColumnSet& required) {
    auto below = required;
    for (const auto& k : node.sort_keys) below.add(k.column);
    auto sort = over(NodeKind::kSort, lower(*node.children[0], below));
    sort->sort_keys = std::move(node.sort_keys);
    sort->output = select_columns(sort->children[0]->output, required);
    return sort;
  }

  PlanNodePtr lower_limit(LogicalNode& node, const ColumnSet& required) {
    auto& child = *node.children[0];
    if (child.kind == LogicalKind::kSort && node.limit != nullptr && planner_.enabled(Rule::kTopN)) {
      planner_.note(Rule::kTopN);
      auto top = lower_sort(child, required);
      top->kind = NodeKind::kTopN;
      top->limit = std::move(node.limit);
      top->offset = std::move(node.offset);
      top->with_ties = node.with_ties;
      return top;
    }
    auto below = required;
    std::vector<plan::SortKey> keys;
    if (node.with_ties) {
      const LogicalNode* sorted = &child;
      while (sorted->kind != LogicalKind::kSort && !sorted->children.empty()) sorted = sorted->children[0].get();
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

  PlanNodePtr lower_distinct(LogicalNode& node, const ColumnSet& required) {
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
      aggregate->limit = expression::make_constant({types::make_type(oid::kInt8), false, types::Datum::of(std::int64_t{1})});
    }
    return aggregate;
  }

  PlanNodePtr lower_set_operation(LogicalNode& node, const ColumnSet& required) {
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

  PlanNodePtr lower_cte_scan(LogicalNode& node, const ColumnSet& required) {
    auto scan = make_plan_node(node.kind == LogicalKind::kCteScan ? NodeKind::kCteScan : NodeKind::kWorkTableScan);
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

  PlanNodePtr lower_cte_bind(LogicalNode& node, const ColumnSet& required) {
    auto bind = make_plan_node(NodeKind::kCteBind);
    bind->cte = node.cte;
    bind->cte_name = node.cte_name;
    bind->cte_columns = node.cte_columns;
    bind->children.push_back(lower(*node.children[0], ColumnSet{node.cte_columns}));
    bind->children.push_back(lower(*node.children[1], required));
    bind->output = bind->children[1]->output;
    return bind;
  }

  PlanNodePtr lower_recursive_union(LogicalNode& node) {
    auto both = make_plan_node(NodeKind::kRecursiveUnion);
    both->cte = node.cte;
    both->cte_name = node.cte_name;
    both->set_all = node.set_all;
    both->output = node.output;
    for (auto& child : node.children) both->children.push_back(lower_exact(*child, child->output));
    return both;
  }

  PlanNodePtr lower_modify(LogicalNode& node, const ColumnSet& required) {
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
      if (is_new || std::ranges::find(out->children[0]->output, id) != out->children[0]->output.end()) out->output.push_back(id);
    }
    out->modify = std::move(node.modify);
    return out;
  }

  PlanNodePtr lower_lock_rows(LogicalNode& node, const ColumnSet& required) {
    auto below = required;
    if (node.condition) add_columns(*node.condition, below);
    for (const auto& lock : node.locks) below.add(lock.row_id);
    auto lock = over(NodeKind::kLockRows, lower(*node.children[0], below));
    lock->filter = std::move(node.condition);
    lock->locks = std::move(node.locks);
    lock->output = select_columns(lock->children[0]->output, required);
    return lock;
  }

  /// Columns of the left side that the right one reads become parameters in all of the right tree.
  std::vector<PlanNode::Binding> bind_parameters(LogicalNode& right, const ColumnSet& left) {
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

  PlanNodePtr lower_join(LogicalNode& node, const ColumnSet& required) {
    if (node.join == JoinType::kRight) {
      std::swap(node.children[0], node.children[1]);
      node.join = JoinType::kLeft;
    }
    auto& left = *node.children[0];
    auto& right = *node.children[1];
    const auto left_columns = outputs_of(left), right_columns = outputs_of(right);
    auto bindings = node.kind == LogicalKind::kDependentJoin ? bind_parameters(right, left_columns)
                                                             : std::vector<PlanNode::Binding>{};
    Conjuncts conditions;
    split(std::move(node.condition), conditions);
    auto join = make_plan_node(bindings.empty() ? NodeKind::kNestedLoopJoin : NodeKind::kApply);
    join->join = node.join;
    join->mark = node.mark;
    auto below = required;
    for (const auto& e : conditions) add_columns(*e, below);
    for (const auto& b : bindings) below.add(b.column);
    join->bindings = std::move(bindings);
    if (join->kind == NodeKind::kNestedLoopJoin && planner_.settings.hashjoin)
      take_hash_keys(*join, conditions, left_columns, right_columns);
    if (!conditions.empty()) join->condition = expression::make_and(std::move(conditions));
    join->children.push_back(lower(left, common(below, left_columns)));
    join->children.push_back(lower(right, common(below, right_columns)));
    // The smaller side is kept in memory.
    if (join->join == JoinType::kInner && join->kind != NodeKind::kApply &&
        join->children[0]->estimated_rows < join->children[1]->estimated_rows) {
      std::swap(join->children[0], join->children[1]);
      for (auto& key : join->hash_keys) std::swap(key.left, key.right), commute_equality(key);
    }
    set_join_output(*join, required);
    return join;
  }

  static void set_join_output(PlanNode& join, const ColumnSet& required) {
    join.output = select_columns(join.children[0]->output, required);
    if (join.join == JoinType::kMark) {
      join.output.push_back(join.mark);
    } else if (join.join != JoinType::kSemi && join.join != JoinType::kAnti) {
      for (const auto id : select_columns(join.children[1]->output, required)) join.output.push_back(id);
    }
  }

  /// The sides of a key changed places: the operator's function too, where it tells them apart.
  static void commute_equality(PlanNode::HashKey& key) {
    const auto* declaration = key.equality.declaration;
    if (declaration == nullptr || declaration->arguments.size() != 2 || declaration->arguments[0] == declaration->arguments[1]) return;
    for (const auto* op : functions::Registry::instance().operators("=")) {
      if (op->left != declaration->arguments[1] || op->right != declaration->arguments[0]) continue;
      const TypeRef types[] = {key.left->type, key.right->type};
      key.equality = functions::resolve_kernels(*functions::Registry::instance().function(op->function), types);
      return;
    }
  }

  void take_hash_keys(PlanNode& join, Conjuncts& conditions, const ColumnSet& left, const ColumnSet& right) {
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

  Planner& planner_;
};

}  // namespace

PlanNodePtr make_physical(Planner& planner, LogicalPtr root) {
  ColumnSet required;
  for (const auto& r : planner.plan.result) required.add(r.column);
  return Lowering{planner}.lower(*root, required);
}

}  // namespace rustbd::optimizer
