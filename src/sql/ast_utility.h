// Statements that are neither queries nor table definitions.
#pragma once

#include "rustbd/sql/ast_table.h"

namespace rustbd::sql {

/// Any object by name. `name` is enough for most; functions, procedures, aggregates and operators may have
/// argument types (`has_arguments`); casts have `types` {from, to}; constraints, triggers, rules and policies
/// have `on` (the table or, for domain constraints, the type in `types`) and a one-part name; types and
/// domains have `types` {type}.
struct ObjectName : NodeOf<NodeKind::kObjectName> {
  NameList name;
  bool has_arguments = false;
  NodeList arguments;  // TypeName or FunctionParameter; nullptr: NONE of an operator
  List<TypeName*> types;
  NameList on;
  std::string_view method;  // USING x, of operator classes; the language of a transform
  std::string_view number;  // large objects: the oid as text
};

/// ALTER <object> name RENAME … TO new_name. `sub_name`: the column, constraint, attribute of kColumn,
/// kConstraint…
struct RenameStatement : NodeOf<NodeKind::kRenameStatement> {
  ObjectType object = ObjectType::kTable;
  ObjectType relation_object =
      ObjectType::kTable;  // for kColumn, kConstraint, kAttribute: what it is part of
  bool if_exists = false;
  RelationRef* relation = nullptr;  // relations and their parts
  ObjectName* name = nullptr;       // everything else
  std::string_view sub_name;
  std::string_view new_name;
  bool cascade = false;  // attributes
};
struct AlterSchemaStatement : NodeOf<NodeKind::kAlterSchemaStatement> {
  ObjectType object = ObjectType::kTable;
  bool if_exists = false;
  RelationRef* relation = nullptr;  // relations
  ObjectName* name = nullptr;       // everything else
  std::string_view new_schema;
};
/// Relations' owners change by AlterTableStatement.
struct AlterOwnerStatement : NodeOf<NodeKind::kAlterOwnerStatement> {
  ObjectType object = ObjectType::kSchema;
  ObjectName* name = nullptr;
  RoleSpec* owner = nullptr;
};

struct DropStatement : NodeOf<NodeKind::kDropStatement> {
  ObjectType object = ObjectType::kTable;
  List<ObjectName*> names;
  bool if_exists = false;
  bool cascade = false;
  bool concurrently = false;
};

struct CommentStatement : NodeOf<NodeKind::kCommentStatement> {
  ObjectType object = ObjectType::kTable;
  ObjectName* name = nullptr;  // kColumn: the table's name with the column as last part
  bool is_null = false;        // COMMENT … IS NULL
  std::string_view text;
};

struct TruncateStatement : NodeOf<NodeKind::kTruncateStatement> {
  List<RelationRef*> relations;
  bool restart_identity = false;
  bool cascade = false;
};

struct CreateSchemaStatement : NodeOf<NodeKind::kCreateSchemaStatement> {
  std::string_view name;  // empty: the owner's name
  RoleSpec* owner = nullptr;
  bool if_not_exists = false;
  NodeList elements;
};

struct CreateEnumStatement : NodeOf<NodeKind::kCreateEnumStatement> {
  NameList name;
  NameList labels;
};
/// ADD VALUE label [BEFORE|AFTER neighbour], or RENAME VALUE old_label TO label.
struct AlterEnumStatement : NodeOf<NodeKind::kAlterEnumStatement> {
  NameList name;
  std::string_view old_label;
  std::string_view label;
  std::string_view neighbour;
  bool has_neighbour = false;
  bool is_rename = false;
  bool after = false;
  bool if_not_exists = false;
};

struct CreateDatabaseStatement : NodeOf<NodeKind::kCreateDatabaseStatement> {
  std::string_view name;
  List<Option*> options;  // values: Literal; absent: DEFAULT
};
struct AlterDatabaseStatement : NodeOf<NodeKind::kAlterDatabaseStatement> {
  std::string_view name;
  List<Option*> options;
};
struct DropDatabaseStatement : NodeOf<NodeKind::kDropDatabaseStatement> {
  std::string_view name;
  bool if_exists = false;
  bool force = false;
};

enum class RoleKind : std::uint8_t { kRole, kUser, kGroup };
/// Options as PostgreSQL names them: "password" (string Literal; NULL Literal for PASSWORD NULL),
/// "superuser", "inherit", "createrole", "createdb", "canlogin", "isreplication", "bypassrls" (boolean
/// Literal), "connectionlimit" (integer), "validUntil" (string), "sysid", "addroleto", "rolemembers",
/// "adminmembers" (`values`: RoleSpec).
struct CreateRoleStatement : NodeOf<NodeKind::kCreateRoleStatement> {
  RoleKind role_kind = RoleKind::kRole;
  std::string_view name;
  List<Option*> options;
};
struct AlterRoleStatement : NodeOf<NodeKind::kAlterRoleStatement> {
  RoleSpec* role = nullptr;
  List<Option*> options;
  bool drop_members = false;  // ALTER GROUP … DROP USER
};
struct SetStatement;
/// ALTER ROLE | DATABASE … SET name = value / RESET name.
struct AlterSetStatement : NodeOf<NodeKind::kAlterSetStatement> {
  bool all_roles = false;
  RoleSpec* role = nullptr;   // absent: database only
  std::string_view database;  // empty: any
  SetStatement* setting = nullptr;
};
struct DropRoleStatement : NodeOf<NodeKind::kDropRoleStatement> {
  List<RoleSpec*> roles;
  bool if_exists = false;
};

/// `select`, `insert (a, b)`; ALL [PRIVILEGES] (columns) has an empty name.
struct Privilege : NodeOf<NodeKind::kPrivilege> {
  std::string_view name;  // lower case
  NameList columns;
};
enum class GrantTarget : std::uint8_t { kObjects, kAllInSchema, kDefaults };
struct GrantStatement : NodeOf<NodeKind::kGrantStatement> {
  bool is_grant = true;         // else REVOKE
  bool grant_option = false;    // WITH GRANT OPTION, GRANT OPTION FOR
  List<Privilege*> privileges;  // empty: ALL
  GrantTarget target = GrantTarget::kObjects;
  ObjectType object = ObjectType::kTable;
  NodeList objects;  // RelationRef for tables and sequences, else ObjectName (schemas, too)
  List<RoleSpec*> grantees;
  RoleSpec* granted_by = nullptr;
  bool cascade = false;
  // ALTER DEFAULT PRIVILEGES (target kDefaults):
  List<RoleSpec*> for_roles;
  NameList in_schemas;
};
struct GrantRoleStatement : NodeOf<NodeKind::kGrantRoleStatement> {
  bool is_grant = true;
  bool admin_option = false;
  NameList roles;
  List<RoleSpec*> grantees;
  RoleSpec* granted_by = nullptr;
  bool cascade = false;
};

/// Old option syntax is stored as the new one: "format", "delimiter", "null", "header", "quote", "escape",
/// "force_quote", "force_not_null", "force_null", "encoding", "freeze". `file` empty: STDIN or STDOUT.
struct CopyStatement : NodeOf<NodeKind::kCopyStatement> {
  RelationRef* relation = nullptr;
  NameList columns;
  Node* query = nullptr;  // COPY (query) TO
  bool is_from = false;
  bool is_program = false;
  bool has_file = false;
  std::string_view file;
  List<Option*> options;
  Node* where = nullptr;
};

enum class TransactionType : std::uint8_t {
  kBegin,
  kStart,
  kCommit,
  kRollback,
  kSavepoint,
  kRelease,
  kRollbackTo,
  kPrepare,
  kCommitPrepared,
  kRollbackPrepared,
};
enum class IsolationLevel : std::uint8_t { kReadUncommitted, kReadCommitted, kRepeatableRead, kSerializable };
enum class ModeFlag : std::uint8_t { kUnset, kOn, kOff };
struct TransactionModes {
  bool has_isolation = false;
  IsolationLevel isolation = IsolationLevel::kReadCommitted;
  ModeFlag read_only = ModeFlag::kUnset;
  ModeFlag deferrable = ModeFlag::kUnset;
};
struct TransactionStatement : NodeOf<NodeKind::kTransactionStatement> {
  TransactionType type = TransactionType::kBegin;
  TransactionModes modes;  // kBegin, kStart
  bool chain = false;      // kCommit, kRollback: AND CHAIN
  std::string_view name;   // savepoint, or the gid of the prepared forms
};

enum class SetType : std::uint8_t { kValue, kDefault, kFromCurrent, kReset, kResetAll };
/// SET [LOCAL] name = values; special forms under their setting's name: TIME ZONE "timezone" (LOCAL:
/// kDefault), NAMES "client_encoding", ROLE "role", SESSION AUTHORIZATION "session_authorization", SCHEMA
/// "search_path", XML OPTION "xmloption". `SET x TO DEFAULT` is kDefault; RESET x kReset.
struct SetStatement : NodeOf<NodeKind::kSetStatement> {
  SetType type = SetType::kValue;
  bool is_local = false;
  std::string_view name;  // dotted names joined with '.'
  NodeList values;        // Literal (bare words are strings; negative numbers folded), TypeCast (interval)
};
/// SET [LOCAL] TRANSACTION modes, SET TRANSACTION SNAPSHOT, SET SESSION CHARACTERISTICS AS TRANSACTION modes.
struct SetTransactionStatement : NodeOf<NodeKind::kSetTransactionStatement> {
  bool session_characteristics = false;
  bool is_local = false;
  TransactionModes modes;
  bool has_snapshot = false;
  std::string_view snapshot;
};
/// SHOW name; SHOW ALL has the name "all".
struct ShowStatement : NodeOf<NodeKind::kShowStatement> {
  std::string_view name;
};
struct AlterSystemStatement : NodeOf<NodeKind::kAlterSystemStatement> {
  SetStatement* setting = nullptr;
};
struct SetConstraintsStatement : NodeOf<NodeKind::kSetConstraintsStatement> {
  List<RelationRef*> constraints;  // empty: ALL
  bool deferred = false;
};

struct PrepareStatement : NodeOf<NodeKind::kPrepareStatement> {
  std::string_view name;
  List<TypeName*> types;
  Node* statement = nullptr;
};
struct ExecuteStatement : NodeOf<NodeKind::kExecuteStatement> {
  std::string_view name;
  NodeList arguments;
};
struct DeallocateStatement : NodeOf<NodeKind::kDeallocateStatement> {
  std::string_view name;  // empty: ALL
};

struct DeclareCursorStatement : NodeOf<NodeKind::kDeclareCursorStatement> {
  std::string_view name;
  bool binary = false;
  ModeFlag scroll = ModeFlag::kUnset;
  ModeFlag sensitive = ModeFlag::kUnset;  // kOn ASENSITIVE is kUnset; kOff: INSENSITIVE
  bool asensitive = false;
  bool hold = false;
  SelectStatement* query = nullptr;
};
enum class FetchDirection : std::uint8_t { kForward, kBackward, kAbsolute, kRelative };
/// NEXT is forward 1, PRIOR backward 1, FIRST absolute 1, LAST absolute -1; `all`: FORWARD ALL, BACKWARD ALL.
struct FetchStatement : NodeOf<NodeKind::kFetchStatement> {
  FetchDirection direction = FetchDirection::kForward;
  std::int64_t count = 1;
  bool all = false;
  bool is_move = false;
  std::string_view cursor;
};
struct CloseStatement : NodeOf<NodeKind::kCloseStatement> {
  std::string_view name;  // empty: ALL
};

/// Old syntax is stored as options "analyze", "verbose" without value.
struct ExplainStatement : NodeOf<NodeKind::kExplainStatement> {
  Node* statement = nullptr;
  List<Option*> options;
};

struct VacuumRelation : NodeOf<NodeKind::kVacuumRelation> {
  RelationRef* relation = nullptr;
  NameList columns;
};
/// VACUUM and ANALYZE; old syntax is stored as options "full", "freeze", "verbose", "analyze" without value.
struct VacuumStatement : NodeOf<NodeKind::kVacuumStatement> {
  bool is_vacuum = true;  // else ANALYZE
  List<Option*> options;
  List<VacuumRelation*> relations;  // empty: all
};

struct CheckpointStatement : NodeOf<NodeKind::kCheckpointStatement> {};

/// In ascending strength; PostgreSQL's lock numbers are value + 1.
enum class TableLockMode : std::uint8_t {
  kAccessShare,
  kRowShare,
  kRowExclusive,
  kShareUpdateExclusive,
  kShare,
  kShareRowExclusive,
  kExclusive,
  kAccessExclusive,
};
struct LockStatement : NodeOf<NodeKind::kLockStatement> {
  List<RelationRef*> relations;
  TableLockMode mode = TableLockMode::kAccessExclusive;
  bool no_wait = false;
};

struct ListenStatement : NodeOf<NodeKind::kListenStatement> {
  std::string_view channel;
};
struct NotifyStatement : NodeOf<NodeKind::kNotifyStatement> {
  std::string_view channel;
  std::string_view payload;
  bool has_payload = false;
};
struct UnlistenStatement : NodeOf<NodeKind::kUnlistenStatement> {
  std::string_view channel;  // empty: *
};
enum class DiscardType : std::uint8_t { kAll, kPlans, kSequences, kTemporary };
struct DiscardStatement : NodeOf<NodeKind::kDiscardStatement> {
  DiscardType type = DiscardType::kAll;
};
struct DoStatement : NodeOf<NodeKind::kDoStatement> {
  std::string_view language;    // empty: plpgsql
  bool language_first = false;  // written before the body
  std::string_view body;
};

enum class ParameterMode : std::uint8_t { kDefault, kIn, kOut, kInOut, kVariadic, kTable };
struct FunctionParameter : NodeOf<NodeKind::kFunctionParameter> {
  ParameterMode mode = ParameterMode::kDefault;
  std::string_view name;
  TypeName* type = nullptr;
  Node* default_value = nullptr;
};
/// Options by name: "language", "as" (`values`: one or two string Literals), "volatility", "strict",
/// "security", "leakproof", "window", "cost", "rows", "support", "parallel", "set" (value: SetStatement),
/// "transform" (`values`: TypeName).
struct CreateFunctionStatement : NodeOf<NodeKind::kCreateFunctionStatement> {
  bool is_procedure = false;
  bool or_replace = false;
  NameList name;
  List<FunctionParameter*> parameters;
  TypeName* returns = nullptr;  // absent: none, or RETURNS TABLE (parameters of mode kTable)
  bool returns_table = false;
  List<Option*> options;
  bool has_sql_body = false;  // RETURN expression, BEGIN ATOMIC … END
  Node* return_value = nullptr;
  NodeList body;  // BEGIN ATOMIC: statements
};

enum class ReindexTarget : std::uint8_t { kIndex, kTable, kSchema, kSystem, kDatabase };
struct ReindexStatement : NodeOf<NodeKind::kReindexStatement> {
  ReindexTarget target = ReindexTarget::kTable;
  RelationRef* relation = nullptr;
  std::string_view name;  // kSchema, kSystem, kDatabase
  List<Option*> options;
};
struct ClusterStatement : NodeOf<NodeKind::kClusterStatement> {
  RelationRef* relation = nullptr;
  std::string_view index;
  List<Option*> options;
};

/// A statement of PostgreSQL that is not run here: answered with 0A000, `name` like "CREATE TRIGGER". Its
/// inside is not checked. `text` is its source text.
struct UnsupportedStatement : NodeOf<NodeKind::kUnsupportedStatement> {
  std::string_view name;
  std::string_view text;
};

}  // namespace rustbd::sql
