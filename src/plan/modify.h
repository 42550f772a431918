// INSERT, UPDATE and DELETE: what the logical and the physical node share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rustbd/plan/columns.h"

namespace rustbd::plan {

enum class ModifyKind : std::uint8_t { kInsert, kUpdate, kDelete };
enum class ConflictAction : std::uint8_t { kError, kNothing, kUpdate };

/// A column of the target with the number under which expressions see it.
struct TargetColumn {
  catalog::AttributeNumber attribute;
  ColumnId id;
};
struct Assignment {
  catalog::AttributeNumber attribute;
  ExpressionPtr value;
};
struct CheckedConstraint {
  std::string name;
  ExpressionPtr condition;  // over new_columns; fails when FALSE
};
/// Key expressions and the predicate of an index that has some; over new_columns.
struct IndexExpressions {
  Oid index;
  std::vector<ExpressionPtr> keys;  // the expression parts, in order
  ExpressionPtr predicate;          // nullptr: every row belongs
};

/// How rows of the child change the target.
/// INSERT: `assignments` gives every live column a value over the child's output (defaults are in already; a
/// generated
///   column's value is over new_columns and is computed after the others).
/// UPDATE: the child delivers `row_id` and `old_columns` (every column that assignments, recheck, checks or
/// RETURNING
///   read) beside the other inputs' columns; assignments are over that.
/// DELETE: `row_id` and old_columns.
/// READ COMMITTED conflict: the sink puts the newest version's values into old_columns, evaluates `recheck`
/// again (WHERE and join conditions, over the child's output), then the assignments; no match skips the row
/// (query.md §10.6). Output: new_columns (INSERT, UPDATE) or old_columns (DELETE), then the child's other
/// columns: RETURNING is a Project above.
struct Modify {
  ModifyKind kind = ModifyKind::kInsert;
  std::shared_ptr<const catalog::Relation> target;
  std::string alias;
  std::vector<Assignment> assignments;
  std::vector<Assignment> generated;  // stored generated columns, over new_columns
  ColumnId row_id = 0;
  std::vector<TargetColumn> old_columns;
  std::vector<TargetColumn> new_columns;  // all live columns
  ExpressionPtr recheck;                  // nullptr: always matches
  /// The condition has a subquery: a row that changed after the snapshot restarts the statement.
  bool recheck_needs_restart = false;
  std::vector<CheckedConstraint> checks;  // in name order
  std::vector<IndexExpressions> index_expressions;
  bool has_returning = false;
  // ON CONFLICT
  ConflictAction conflict = ConflictAction::kError;
  std::vector<Oid> arbiters;                     // indexes; empty with kNothing: any unique index
  std::vector<TargetColumn> existing_columns;    // the row in the table, as DO UPDATE's expressions see it
  std::vector<TargetColumn> excluded_columns;    // the proposed row (`excluded`)
  std::vector<Assignment> conflict_assignments;  // over existing and excluded columns
  ExpressionPtr conflict_where;
};

enum class LockStrength : std::uint8_t { kKeyShare, kShare, kNoKeyUpdate, kUpdate };
enum class LockWait : std::uint8_t { kWait, kNoWait, kSkipLocked };
/// SELECT ... FOR UPDATE and the like, for one table of the query.
struct RowLock {
  std::shared_ptr<const catalog::Relation> relation;
  ColumnId row_id;
  LockStrength strength;
  LockWait wait;
  std::vector<TargetColumn> columns;  // what the query reads of it, for re-evaluation
};

}  // namespace rustbd::plan
