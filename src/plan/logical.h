// The logical plan: what the binder makes of a query or DML statement, and what rules rewrite. Data with
// invariants.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/plan/modify.h"

namespace rustbd::plan {

enum class LogicalKind : std::uint8_t {
  kGet,
  kValues,
  kFunctionScan,
  kFilter,
  kProject,
  kProjectSet,
  kJoin,
  kDependentJoin,
  kAggregate,
  kWindow,
  kSort,
  kLimit,
  kDistinct,
  kSetOperation,
  kCteScan,
  kCteBind,
  kRecursiveUnion,
  kWorkTableScan,
  kModify,
  kLockRows,
  kResult,
};
enum class SetOperationKind : std::uint8_t { kUnion, kIntersect, kExcept };

struct LogicalNode;
using LogicalPtr = std::unique_ptr<LogicalNode>;

struct GroupingSet {
  std::vector<std::uint32_t> groups;
};  // indexes into LogicalNode::groups

/// One node. Which members count depends on `kind`; the rest is empty.
struct LogicalNode {
  LogicalKind kind = LogicalKind::kResult;
  std::vector<LogicalPtr> children;
  std::vector<ColumnId> output;  // columns that it delivers, in order

  // kGet
  std::shared_ptr<const catalog::Relation> relation;
  std::string alias;
  std::vector<TargetColumn> columns;  // attribute -> id; includes kRowIdAttribute when asked for
  // kValues: rows of expressions, one per output column
  std::vector<std::vector<ExpressionPtr>> rows;
  // kFunctionScan: set-returning (or scalar) functions side by side; kProjectSet: in the select list
  struct Function {
    ExpressionPtr call;
    std::vector<ColumnId> columns;
    bool set_returning = true;
  };
  std::vector<Function> functions;
  ColumnId ordinality = 0;  // WITH ORDINALITY when has_ordinality
  bool has_ordinality = false;
  // kFilter, kJoin (ON), kDependentJoin
  ExpressionPtr condition;  // nullptr: none
  JoinType join = JoinType::kInner;
  ColumnId mark = 0;     // kMark: its boolean; kSingle scalar subqueries output the right's columns
  bool lateral = false;  // kDependentJoin made by LATERAL
  // kProject
  std::vector<ComputedColumn> computed;  // output = passed-through columns and these, as `output` says
  // kAggregate
  std::vector<ComputedColumn> groups;
  std::vector<ComputedColumn> aggregates;  // expressions of Kind::kAggregate
  std::vector<GroupingSet> grouping_sets;  // empty: one set of all groups
  struct Grouping {
    ColumnId id;
    std::vector<std::uint32_t> groups;
  };
  std::vector<Grouping> grouping_calls;  // GROUPING(...)
  // kWindow
  std::vector<ComputedColumn> windows;  // expressions of Kind::kWindow with the same partition and order
  std::vector<ColumnId> partition_by;
  struct Frame {
    enum class Unit : std::uint8_t { kRange, kRows, kGroups } unit = Unit::kRange;
    enum class Bound : std::uint8_t {
      kUnboundedPreceding,
      kPreceding,
      kCurrentRow,
      kFollowing,
      kUnboundedFollowing
    };
    Bound start = Bound::kUnboundedPreceding, end = Bound::kCurrentRow;
    enum class Exclude : std::uint8_t { kNone, kCurrentRow, kGroup, kTies } exclude = Exclude::kNone;
  } frame;
  ExpressionPtr frame_start, frame_end;
  // kSort, kWindow
  std::vector<SortKey> sort_keys;
  // kLimit
  ExpressionPtr limit, offset;  // int8; nullptr or NULL: none
  bool with_ties = false;
  // kDistinct: on `distinct_on` (empty: all output columns); DISTINCT ON keeps the first of the child's order
  std::vector<ColumnId> distinct_on;
  bool is_distinct_on = false;
  // kSetOperation: both children have as many outputs of the same types; output columns are new
  SetOperationKind set_operation = SetOperationKind::kUnion;
  bool set_all = false;
  // kCteBind: children[0] defines CTE `cte`, children[1] uses it; kCteScan; kRecursiveUnion: children seed,
  // step; kWorkTableScan
  std::uint32_t cte = 0;
  std::string cte_name;
  bool materialized = true;           // false: the optimizer may inline
  std::vector<ColumnId> cte_columns;  // kCteScan/kWorkTableScan: the definition's columns behind `output`
  // kModify, kLockRows
  std::unique_ptr<Modify> modify;
  std::vector<RowLock> locks;
  bool recheck_needs_restart = false;  // kLockRows: as in Modify
};

/// A column of the result.
struct ResultColumn {
  std::string name;
  ColumnId column;
  TypeRef type;
  Oid relation = 0;
  catalog::AttributeNumber attribute = 0;
};

/// A subquery inside an expression (Expression::subquery). Its plan may have columns of enclosing queries in
/// it: kColumn with ids that none of its own nodes deliver.
struct Subplan {
  LogicalPtr root;
  std::vector<ColumnId> correlated;  // outer columns it uses
  ColumnId value = 0;                // kScalar, kAny, kAll, kArray: its output column
  /// kAny/kAll/kRow: compares the outer operands with a row of the subquery. `operands` are the columns that
  /// stand in it for the args of the kSubquery expression.
  ExpressionPtr comparison;
  std::vector<ColumnId> operands;
};

/// What the plan depends on; checked when a cached plan is used again.
struct ObjectDependency {
  Oid relation;
  std::uint64_t version;  // catalog version under which it was bound
};
/// Privileges that a role must have: relation, kind bits, columns (empty: the whole relation).
struct RequiredPrivilege {
  Oid relation;
  std::uint32_t kinds;  // 1 select, 2 insert, 4 update, 8 delete, 16 truncate, 32 references
  std::vector<catalog::AttributeNumber> columns;
  Oid role = 0;  // the owner of the view that reads it; 0: the current one
};

enum class StatementTag : std::uint8_t { kSelect, kInsert, kUpdate, kDelete, kMerge };

struct LogicalPlan {
  LogicalPtr root;
  std::vector<Subplan> subplans;  // index = SubqueryId
  ColumnTable columns;
  std::vector<ResultColumn> result;  // empty: no rows go out (DML without RETURNING)
  std::vector<TypeRef> parameters;   // types of $1..$n
  std::vector<ObjectDependency> dependencies;
  std::vector<RequiredPrivilege> privileges;
  StatementTag tag = StatementTag::kSelect;
  bool read_only = true;
  bool needs_snapshot = true;
  bool of_one_moment = false;  // a literal like 'today' was read: for the session that said it alone
  std::shared_ptr<Arena> arena = std::make_shared<Arena>();  // constants' strings
};

}  // namespace rustbd::plan
