// The physical plan: what the executor runs and EXPLAIN prints. Immutable once made; shared by sessions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rustbd/plan/logical.h"

namespace rustbd::plan {

enum class NodeKind : std::uint8_t {
  kTableScan,
  kIndexScan,
  kIndexOnlyScan,
  kValues,
  kFunctionScan,
  kCteScan,
  kWorkTableScan,
  kResult,
  kFilter,
  kProject,
  kProjectSet,
  kHashJoin,
  kNestedLoopJoin,
  kIndexJoin,
  kMergeJoin,
  kApply,
  kSort,
  kTopN,
  kAggregate,
  kWindow,
  kDistinctOn,
  kLimit,
  kSetOperation,
  kAppend,
  kRecursiveUnion,
  kCteBind,
  kMaterialize,
  kModify,
  kLockRows,
};
enum class AggregateStrategy : std::uint8_t { kPlain, kHash, kSorted };

struct PlanNode;
using PlanNodePtr = std::unique_ptr<PlanNode>;

/// A range of an index: equality on the first parts, then at most one range on the next. Expressions have no
/// columns of the scanned table; in a kIndexJoin they may have columns of the left child.
struct IndexRange {
  std::vector<ExpressionPtr> equal;    // part i = equal[i]; NULL values match nothing unless null_safe[i]
  std::vector<bool> null_safe;         // IS NULL on that part (the expression is then nullptr)
  std::vector<ExpressionPtr> in_list;  // optional: the part after `equal` takes each of these values in turn
  ExpressionPtr lower, upper;          // on the part after `equal` (and in_list)
  bool lower_inclusive = true, upper_inclusive = true;
};

struct PlanNode {
  NodeKind kind = NodeKind::kResult;
  std::vector<PlanNodePtr> children;  // joins: [0] left (outer, probe), [1] right (inner, build)
  std::vector<ColumnId> output;       // chunk layout: position -> column
  double estimated_rows = 1, startup_cost = 0, total_cost = 0;  // cost in ns of one core
  std::uint32_t estimated_width = 8;
  std::uint32_t id = 0;  // pre-order number, for run-time statistics

  // scans
  std::shared_ptr<const catalog::Relation> relation;
  std::string alias;
  std::vector<TargetColumn> columns;  // what is read; output is a subset in this order
  std::shared_ptr<const catalog::Index> index;
  IndexRange range;
  bool backward = false;
  ExpressionPtr filter;  // scans and kFilter: over `columns` / the child's output
  // kValues, kResult (one row, no columns), functions
  std::vector<std::vector<ExpressionPtr>> rows;
  std::vector<LogicalNode::Function> functions;
  ColumnId ordinality = 0;
  bool has_ordinality = false;
  // kProject: output[i] is computed by computed[k].id == output[i], or passed through
  std::vector<ComputedColumn> computed;
  // joins
  JoinType join = JoinType::kInner;
  /// kMark: keys with `selects` name the group of right rows (a correlation: NULL finds none); the others are
  /// what IN compares (NULL makes the mark NULL).
  struct HashKey {
    ExpressionPtr left, right;
    bool null_safe = false;
    functions::ResolvedFunction equality;
    bool selects = false;
  };
  std::vector<HashKey> hash_keys;
  ExpressionPtr condition;  // residual over left ++ right
  ColumnId mark = 0;
  /// kApply: for each left row the right child runs again with parameters[index] = the left column. Results
  /// of equal bindings are remembered. join tells what comes out (inner, left, semi, anti, mark, single).
  struct Binding {
    ColumnId column;
    std::uint32_t parameter;
  };
  std::vector<Binding> bindings;
  // kAggregate
  AggregateStrategy strategy = AggregateStrategy::kHash;
  std::vector<ComputedColumn> groups, aggregates;
  std::vector<GroupingSet> grouping_sets;
  std::vector<LogicalNode::Grouping> grouping_calls;
  // kWindow
  std::vector<ComputedColumn> windows;
  std::vector<ColumnId> partition_by;
  LogicalNode::Frame frame;
  ExpressionPtr frame_start, frame_end;
  // kSort, kTopN, kWindow, kMergeJoin
  std::vector<SortKey> sort_keys;
  // kLimit, kTopN
  ExpressionPtr limit, offset;
  bool with_ties = false;
  std::vector<ColumnId> distinct_on;  // kDistinctOn: input is sorted by these first
  // kSetOperation (children of equal layout), kAppend: children's outputs map by position to output
  SetOperationKind set_operation = SetOperationKind::kUnion;
  bool set_all = false;
  // CTEs
  std::uint32_t cte = 0;
  std::string cte_name;
  std::vector<ColumnId> cte_columns;
  // kModify, kLockRows
  std::unique_ptr<Modify> modify;
  std::vector<RowLock> locks;
  bool recheck_needs_restart = false;  // kLockRows: as in Modify
};

struct PlanStatistics {
  double planning_ms = 0;
  std::uint64_t plans_considered = 0;
  std::vector<std::string> rules_fired;
};

/// Plan of one statement. Subplans that stay as expressions (uncorrelated scalar subqueries and such) have
/// been turned into joins or kApply: no kSubquery is left in any expression.
struct ExecutionPlan {
  PlanNodePtr root;
  ColumnTable columns;
  std::vector<ResultColumn> result;
  std::vector<TypeRef> parameters;    // of the statement; bindings use numbers from here on
  std::uint32_t parameter_slots = 0;  // statement parameters and bindings together
  StatementTag tag = StatementTag::kSelect;
  bool read_only = true;
  /// A node needs exec::StatementRestart on a READ COMMITTED conflict: results are held back to the end.
  bool may_restart = false;
  bool of_one_moment = false;  // as LogicalPlan's
  double estimated_cost = 0, estimated_rows = 0;
  PlanStatistics statistics;
  std::vector<ObjectDependency> dependencies;
  std::vector<RequiredPrivilege> privileges;
  std::uint32_t node_count = 0;
  std::shared_ptr<Arena> arena;
};

}  // namespace rustbd::plan
