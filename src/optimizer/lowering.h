// Logical nodes to plan nodes. Internal to this folder.
#pragma once

#include "rustbd/optimizer/access_path.h"
#include "rustbd/optimizer/cost.h"

namespace rustbd::optimizer {

using plan::NodeKind;
using plan::PlanNode;
using plan::PlanNodePtr;

PlanNodePtr make_plan_node(NodeKind kind);
/// The table under `node` when it is one, filtered or not; its conditions are added to `conditions` as
/// copies.
const LogicalNode* table_of(const LogicalNode& node, Conjuncts& conditions);

class Lowering {
 public:
  explicit Lowering(Planner& planner) : planner_(planner), estimator_(planner) {}

  /// A plan that delivers the columns of `required` that `node` has.
  PlanNodePtr lower(LogicalNode& node, const ColumnSet& required);
  /// A plan that delivers exactly these columns in this order.
  PlanNodePtr lower_exact(LogicalNode& node, const std::vector<ColumnId>& output);

 private:
  static PlanNodePtr over(NodeKind kind, PlanNodePtr child);
  PlanNodePtr lower_kind(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_get(LogicalNode& node, Conjuncts conditions, const ColumnSet& required);
  PlanNodePtr lower_values(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_function_scan(LogicalNode& node, const ColumnSet& required);
  static bool changes_rows(const LogicalNode& node);
  PlanNodePtr make_empty(const LogicalNode& node, const ColumnSet& required);
  /// A left join whose right side adds no row and no column that is read.
  bool is_superfluous(const LogicalNode& join, const ColumnSet& required);
  PlanNodePtr lower_filter(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_project(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_project_set(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_aggregate(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_window(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_sort(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_sort_by_index(LogicalNode& sort, const ColumnSet& required,
                                  double wanted);  // index_order.cc
  static double rows_wanted(const LogicalNode& limit);
  PlanNodePtr lower_limit(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_distinct(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_set_operation(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_cte_scan(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_cte_bind(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_recursive_union(LogicalNode& node);
  PlanNodePtr lower_modify(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_lock_rows(LogicalNode& node, const ColumnSet& required);

  /// Columns of the left side that the right one reads become parameters in all of the right tree.
  std::vector<PlanNode::Binding> bind_parameters(LogicalNode& right, const ColumnSet& left);
  PlanNodePtr lower_join(LogicalNode& node, const ColumnSet& required);

  /// A scan of a table by itself: the cheapest way.
  PlanNodePtr make_scan(const LogicalNode& get, Conjuncts conditions, const ColumnSet& required,
                        IndexPath* path);
  static std::size_t count_block_tables(const LogicalNode& node);
  PlanNodePtr lower_block(LogicalNode& node, const ColumnSet& required);
  PlanNodePtr lower_by_index(LogicalNode& node, Conjuncts& conditions, PlanNodePtr& left,
                             const ColumnSet& below, const ColumnSet& required);
  static void set_join_output(PlanNode& join, const ColumnSet& required);

  /// The sides of a key changed places: the operator's function too, where it tells them apart.
  static void commute_equality(PlanNode::HashKey& key);

  void take_hash_keys(PlanNode& join, Conjuncts& conditions, const ColumnSet& left, const ColumnSet& right);

  friend class JoinBlock;
  Planner& planner_;
  Estimator estimator_;
};

}  // namespace rustbd::optimizer
