// The base of every AST node, and the small value types they share.
// Ownership: nodes, strings and lists live in the Arena given to the parser (strings may also point to the
// statement text copied there); all nodes are trivially destructible. Threads: immutable once the parser has
// returned.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "rustbd/base/statement_assert.h"

namespace rustbd::sql {

enum class NodeKind : std::uint8_t {
  // expressions: ast_expression.h
  kColumnRef,
  kParameterRef,
  kLiteral,
  kTypeName,
  kTypeCast,
  kCollateExpression,
  kBoolExpression,
  kNotExpression,
  kOperatorExpression,
  kAnyAllExpression,
  kSubLink,
  kInExpression,
  kBetweenExpression,
  kLikeExpression,
  kNullTest,
  kBooleanTest,
  kDistinctExpression,
  kNormalizedTest,
  kDocumentTest,
  kCaseExpression,
  kCoalesceExpression,
  kMinMaxExpression,
  kNullIfExpression,
  kFunctionCall,
  kNamedArgument,
  kSqlValueFunction,
  kRowExpression,
  kArrayExpression,
  kIndirection,
  kGroupingFunction,
  kDefaultMarker,
  kCurrentOf,
  kUnsupportedExpression,
  kSortItem,
  kWindowDefinition,
  // queries: ast_query.h
  kSelectStatement,
  kWithClause,
  kCommonTableExpression,
  kTargetItem,
  kIntoClause,
  kLockingClause,
  kGroupingSet,
  kAlias,
  kRelationRef,
  kRangeSubquery,
  kRangeFunction,
  kRangeFunctionItem,
  kJoinExpression,
  kTableSample,
  kInsertStatement,
  kUpdateStatement,
  kDeleteStatement,
  kMergeStatement,
  kMergeWhen,
  kAssignment,
  kAssignmentTarget,
  kOnConflict,
  // tables and their parts: ast_table.h
  kOption,
  kRoleSpec,
  kColumnDefinition,
  kConstraint,
  kLikeClause,
  kPartitionSpec,
  kPartitionBound,
  kIndexElement,
  kCreateTableStatement,
  kCreateTableAsStatement,
  kAlterTableStatement,
  kAlterTableCommand,
  kCreateIndexStatement,
  kCreateSequenceStatement,
  kAlterSequenceStatement,
  kCreateViewStatement,
  kRefreshMaterializedViewStatement,
  // everything else: ast_utility.h
  kObjectName,
  kRenameStatement,
  kAlterSchemaStatement,
  kAlterOwnerStatement,
  kDropStatement,
  kCommentStatement,
  kTruncateStatement,
  kCreateSchemaStatement,
  kCreateEnumStatement,
  kAlterEnumStatement,
  kCreateDatabaseStatement,
  kAlterDatabaseStatement,
  kDropDatabaseStatement,
  kCreateRoleStatement,
  kAlterRoleStatement,
  kAlterSetStatement,
  kDropRoleStatement,
  kPrivilege,
  kGrantStatement,
  kGrantRoleStatement,
  kCopyStatement,
  kTransactionStatement,
  kSetStatement,
  kSetTransactionStatement,
  kShowStatement,
  kPrepareStatement,
  kExecuteStatement,
  kDeallocateStatement,
  kDeclareCursorStatement,
  kFetchStatement,
  kCloseStatement,
  kExplainStatement,
  kVacuumStatement,
  kVacuumRelation,
  kCheckpointStatement,
  kLockStatement,
  kListenStatement,
  kNotifyStatement,
  kUnlistenStatement,
  kDiscardStatement,
  kDoStatement,
  kCreateFunctionStatement,
  kFunctionParameter,
  kReindexStatement,
  kClusterStatement,
  kSetConstraintsStatement,
  kAlterSystemStatement,
  kUnsupportedStatement,
};

/// `location`: byte offset in the text given to parse(); -1: unknown.
struct Node {
  NodeKind kind;
  std::int32_t location;
};

template <NodeKind K>
struct NodeOf : Node {
  static constexpr NodeKind kKind = K;
  constexpr NodeOf() : Node{K, -1} {}
};

/// Lists are spans into the arena.
template <class T>
using List = std::span<T>;
using NodeList = List<Node*>;
/// A dotted name: {"a"}, {"schema", "a"}, {"catalog", "schema", "a"}; identifiers are already folded.
using NameList = List<std::string_view>;

/// Checked downcast: `node` must be a T.
template <class T>
[[nodiscard]] const T& as(const Node* node) {
  RUSTBD_STATEMENT_ASSERT(node != nullptr && node->kind == T::kKind);
  return *static_cast<const T*>(node);
}
template <class T>
[[nodiscard]] T& as(Node* node) {
  RUSTBD_STATEMENT_ASSERT(node != nullptr && node->kind == T::kKind);
  return *static_cast<T*>(node);
}
/// Downcast, or nullptr when `node` is null or of another kind.
template <class T>
[[nodiscard]] const T* try_as(const Node* node) {
  return node != nullptr && node->kind == T::kKind ? static_cast<const T*>(node) : nullptr;
}
template <class T>
[[nodiscard]] T* try_as(Node* node) {
  return node != nullptr && node->kind == T::kKind ? static_cast<T*>(node) : nullptr;
}

}  // namespace rustbd::sql
