// Queries and data modification.
#pragma once

#include "rustbd/sql/ast_expression.h"

namespace rustbd::sql {

/// `AS name (column, …)`. Name empty: none (only a function's column definition list may come without).
struct Alias : NodeOf<NodeKind::kAlias> {
  std::string_view name;
  NameList columns;
};

enum class Persistence : std::uint8_t { kPermanent, kTemporary, kUnlogged };

/// A relation by name, in FROM or as the target of a statement.
struct RelationRef : NodeOf<NodeKind::kRelationRef> {
  std::string_view catalog;  // empty: not given
  std::string_view schema;   // empty: not given
  std::string_view name;
  bool only = false;                                  // ONLY t
  Persistence persistence = Persistence::kPermanent;  // where a relation is created
  Alias* alias = nullptr;
  Node* as_of = nullptr;  // AS OF SYSTEM TIME expression
};

struct TargetItem : NodeOf<NodeKind::kTargetItem> {
  Node* value = nullptr;  // `*` and `t.*` are ColumnRef with star
  std::string_view name;  // the alias; empty: none
};

enum class CteMaterialized : std::uint8_t { kDefault, kAlways, kNever };
struct CteSearch {
  bool present = false;
  bool breadth_first = false;
  NameList columns;
  std::string_view sequence_column;
};
struct CteCycle {
  bool present = false;
  NameList columns;
  std::string_view mark_column;
  Node* mark_value = nullptr;  // absent: true and false
  Node* mark_default = nullptr;
  std::string_view path_column;
};
struct CommonTableExpression : NodeOf<NodeKind::kCommonTableExpression> {
  std::string_view name;
  NameList columns;
  CteMaterialized materialized = CteMaterialized::kDefault;
  Node* query = nullptr;  // SelectStatement, InsertStatement, UpdateStatement or DeleteStatement
  CteSearch search;
  CteCycle cycle;
};
struct WithClause : NodeOf<NodeKind::kWithClause> {
  bool recursive = false;
  List<CommonTableExpression*> items;
};

/// SELECT … INTO, CREATE TABLE … AS, CREATE MATERIALIZED VIEW: what is made.
struct IntoClause : NodeOf<NodeKind::kIntoClause> {
  RelationRef* relation = nullptr;
  NameList columns;
  std::string_view access_method;
  List<struct Option*> options;
  enum class OnCommit : std::uint8_t { kNone, kPreserveRows, kDeleteRows, kDrop } on_commit = OnCommit::kNone;
  std::string_view tablespace;
};

enum class LockStrength : std::uint8_t { kKeyShare, kShare, kNoKeyUpdate, kUpdate };
enum class LockWait : std::uint8_t { kBlock, kSkipLocked, kNoWait };
struct LockingClause : NodeOf<NodeKind::kLockingClause> {
  LockStrength strength = LockStrength::kUpdate;
  LockWait wait = LockWait::kBlock;
  List<RelationRef*> relations;  // OF …; empty: all
};

enum class GroupingSetType : std::uint8_t { kEmpty, kRollup, kCube, kSets };
/// An item of GROUP BY that is not a plain expression. Items of kSets may be expressions (a RowExpression
/// stands for several columns) or nested GroupingSet; kEmpty is `()`.
struct GroupingSet : NodeOf<NodeKind::kGroupingSet> {
  GroupingSetType type = GroupingSetType::kEmpty;
  NodeList items;
};

enum class DistinctType : std::uint8_t { kNone, kAll, kDistinct, kOn };  // kAll: written `SELECT ALL`
enum class SetOperation : std::uint8_t { kNone, kUnion, kIntersect, kExcept };

/// Three shapes: a set operation (set_operation != kNone: `left`, `right`, `set_all`), VALUES (`values` not
/// empty), or a plain SELECT. Around each: with, order_by, limit, offset, locking. `TABLE t` is SELECT * FROM
/// t. Parentheses leave no node: `(SELECT …) LIMIT 1` merges, as in PostgreSQL.
struct SelectStatement : NodeOf<NodeKind::kSelectStatement> {
  WithClause* with = nullptr;
  // plain SELECT
  DistinctType distinct = DistinctType::kNone;
  NodeList distinct_on;
  List<TargetItem*> targets;
  IntoClause* into = nullptr;
  NodeList from;  // RelationRef, RangeSubquery, RangeFunction, JoinExpression, TableSample
  Node* where = nullptr;
  NodeList group_by;  // expressions and GroupingSet
  bool group_by_distinct = false;
  Node* having = nullptr;
  List<WindowDefinition*> windows;
  // VALUES: rows of expressions and DefaultMarker
  List<NodeList> values;
  // set operation
  SetOperation set_operation = SetOperation::kNone;
  bool set_all = false;
  SelectStatement* left = nullptr;
  SelectStatement* right = nullptr;
  // all
  List<SortItem*> order_by;
  Node* limit = nullptr;  // LIMIT ALL: a NULL Literal
  Node* offset = nullptr;
  bool limit_with_ties = false;
  List<LockingClause*> locking;
};

struct RangeSubquery : NodeOf<NodeKind::kRangeSubquery> {
  bool lateral = false;
  SelectStatement* query = nullptr;
  Alias* alias = nullptr;  // may be absent (accepted as in PostgreSQL 16)
};

struct ColumnDefinition;
/// One call of a FROM item; `columns` is the `AS (a int, …)` inside ROWS FROM.
struct RangeFunctionItem : NodeOf<NodeKind::kRangeFunctionItem> {
  Node* call = nullptr;  // FunctionCall, or what the grammar takes for one (SqlValueFunction, TypeCast…)
  List<ColumnDefinition*> columns;
};
struct RangeFunction : NodeOf<NodeKind::kRangeFunction> {
  bool lateral = false;
  bool ordinality = false;
  bool rows_from = false;
  List<RangeFunctionItem*> functions;
  Alias* alias = nullptr;
  List<ColumnDefinition*> columns;  // f(…) AS [alias] (a int, …)
};

enum class JoinType : std::uint8_t { kInner, kLeft, kRight, kFull, kCross };
struct JoinExpression : NodeOf<NodeKind::kJoinExpression> {
  JoinType type = JoinType::kInner;
  bool natural = false;
  Node* left = nullptr;
  Node* right = nullptr;
  NameList using_columns;
  Alias* using_alias = nullptr;  // USING (…) AS x
  Node* on = nullptr;
  Alias* alias = nullptr;  // (a JOIN b …) AS x
};

struct TableSample : NodeOf<NodeKind::kTableSample> {
  RelationRef* relation = nullptr;
  NameList method;
  NodeList arguments;
  Node* repeatable = nullptr;
};

/// A column that is written: `c`, `c[1]`, `c.f`.
struct AssignmentTarget : NodeOf<NodeKind::kAssignmentTarget> {
  std::string_view name;
  List<IndirectionItem> indirection;
};
/// `a = x` (one target) or `(a, b) = x` (is_multiple; x a RowExpression, a SubLink or another row-valued
/// expression).
struct Assignment : NodeOf<NodeKind::kAssignment> {
  bool is_multiple = false;
  List<AssignmentTarget*> targets;
  Node* value = nullptr;  // may be DefaultMarker
};

enum class ConflictAction : std::uint8_t { kNothing, kUpdate };
struct IndexElement;
struct OnConflict : NodeOf<NodeKind::kOnConflict> {
  ConflictAction action = ConflictAction::kNothing;
  List<IndexElement*> columns;  // ON CONFLICT (…)
  Node* index_where = nullptr;
  std::string_view constraint;  // ON CONFLICT ON CONSTRAINT x
  List<Assignment*> assignments;
  Node* where = nullptr;
};

enum class Overriding : std::uint8_t { kNone, kUser, kSystem };
struct InsertStatement : NodeOf<NodeKind::kInsertStatement> {
  WithClause* with = nullptr;
  RelationRef* relation = nullptr;
  List<AssignmentTarget*> columns;  // empty: all
  Overriding overriding = Overriding::kNone;
  SelectStatement* source = nullptr;  // absent: DEFAULT VALUES
  OnConflict* on_conflict = nullptr;
  List<TargetItem*> returning;
};

struct UpdateStatement : NodeOf<NodeKind::kUpdateStatement> {
  WithClause* with = nullptr;
  RelationRef* relation = nullptr;
  List<Assignment*> assignments;
  NodeList from;
  Node* where = nullptr;  // may be CurrentOf
  List<TargetItem*> returning;
};

struct DeleteStatement : NodeOf<NodeKind::kDeleteStatement> {
  WithClause* with = nullptr;
  RelationRef* relation = nullptr;
  NodeList using_items;
  Node* where = nullptr;  // may be CurrentOf
  List<TargetItem*> returning;
};

enum class MergeAction : std::uint8_t { kNothing, kUpdate, kDelete, kInsert };
struct MergeWhen : NodeOf<NodeKind::kMergeWhen> {
  bool matched = false;
  Node* condition = nullptr;
  MergeAction action = MergeAction::kNothing;
  List<Assignment*> assignments;    // kUpdate
  List<AssignmentTarget*> columns;  // kInsert
  Overriding overriding = Overriding::kNone;
  NodeList values;  // kInsert; empty: DEFAULT VALUES
};
struct MergeStatement : NodeOf<NodeKind::kMergeStatement> {
  WithClause* with = nullptr;
  RelationRef* relation = nullptr;
  Node* source = nullptr;
  Node* on = nullptr;
  List<MergeWhen*> whens;
  List<TargetItem*> returning;  // accepted as in PostgreSQL 17
};

}  // namespace rustbd::sql
