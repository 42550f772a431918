// Definition of tables, indexes, sequences, views.
#pragma once

#include "rustbd/sql/ast_query.h"

namespace rustbd::sql {

/// `name`, `name = value`, `name value` of WITH lists, COPY, EXPLAIN, role and sequence options. Names are
/// folded. `value`: absent, Literal, TypeName (a bare word or type), ObjectName, RoleSpec, ColumnRef, or see
/// the statement.
struct Option : NodeOf<NodeKind::kOption> {
  std::string_view name_space;  // toast.autovacuum_enabled: "toast"
  std::string_view name;
  Node* value = nullptr;
  NodeList values;  // a list: COPY's force_quote (a, b), *: one ColumnRef with star
};

enum class RoleSpecType : std::uint8_t { kName, kPublic, kCurrentRole, kCurrentUser, kSessionUser };
struct RoleSpec : NodeOf<NodeKind::kRoleSpec> {
  RoleSpecType type = RoleSpecType::kName;
  std::string_view name;  // kName
};

/// One element of an index or ON CONFLICT target: a column by name or an expression.
struct IndexElement : NodeOf<NodeKind::kIndexElement> {
  std::string_view column;
  Node* expression = nullptr;
  NameList collation;
  NameList operator_class;
  List<Option*> operator_class_options;
  SortDirection direction = SortDirection::kDefault;
  SortNulls nulls = SortNulls::kDefault;
};

enum class ConstraintType : std::uint8_t {
  kNull,
  kNotNull,
  kDefault,
  kIdentity,
  kGenerated,  // of columns only
  kCheck,
  kPrimaryKey,
  kUnique,
  kForeignKey,
  kExclusion,
};
enum class ReferentialAction : std::uint8_t { kNoAction, kRestrict, kCascade, kSetNull, kSetDefault };
enum class MatchType : std::uint8_t { kSimple, kFull, kPartial };
struct ExclusionElement {
  IndexElement* element = nullptr;
  NameList schema;
  std::string_view op;
};
/// A constraint of a column (key columns empty) or of a table.
struct Constraint : NodeOf<NodeKind::kConstraint> {
  ConstraintType type = ConstraintType::kCheck;
  std::string_view name;            // CONSTRAINT name; empty: none
  Node* expression = nullptr;       // kDefault, kCheck, kGenerated
  bool no_inherit = false;          // kCheck
  bool identity_always = false;     // kIdentity: ALWAYS, else BY DEFAULT
  List<Option*> sequence_options;   // kIdentity
  bool nulls_not_distinct = false;  // kUnique
  NameList columns;                 // kPrimaryKey, kUnique, kForeignKey of a table
  NameList including;
  List<Option*> options;         // WITH (…)
  std::string_view tablespace;   // USING INDEX TABLESPACE
  std::string_view using_index;  // PRIMARY KEY USING INDEX x
  List<ExclusionElement> exclusions;
  std::string_view access_method;     // kExclusion
  Node* where = nullptr;              // kExclusion
  RelationRef* referenced = nullptr;  // kForeignKey
  NameList referenced_columns;
  MatchType match = MatchType::kSimple;
  ReferentialAction on_delete = ReferentialAction::kNoAction;
  ReferentialAction on_update = ReferentialAction::kNoAction;
  NameList on_delete_columns;  // ON DELETE SET NULL (a, b)
  bool deferrable = false;
  bool initially_deferred = false;
  bool not_valid = false;
};

/// A column of a table, of OF type (`type` absent), of a view's or function's column definition list.
struct ColumnDefinition : NodeOf<NodeKind::kColumnDefinition> {
  std::string_view name;
  TypeName* type = nullptr;
  std::string_view compression;
  NameList collation;  // COLLATE x
  List<Constraint*> constraints;
  List<Option*> foreign_options;
};

/// LIKE t INCLUDING …: bits by LikeOption.
enum LikeOption : std::uint32_t {
  kLikeComments = 1,
  kLikeCompression = 2,
  kLikeConstraints = 4,
  kLikeDefaults = 8,
  kLikeGenerated = 16,
  kLikeIdentity = 32,
  kLikeIndexes = 64,
  kLikeStatistics = 128,
  kLikeStorage = 256,
  kLikeAll = 0x7fffffff,
};
struct LikeClause : NodeOf<NodeKind::kLikeClause> {
  RelationRef* relation = nullptr;
  std::uint32_t options = 0;
};

struct PartitionSpec : NodeOf<NodeKind::kPartitionSpec> {
  std::string_view strategy;  // range, list, hash as written, folded
  List<IndexElement*> columns;
};
enum class PartitionBoundType : std::uint8_t { kDefault, kList, kRange, kHash };
struct PartitionBound : NodeOf<NodeKind::kPartitionBound> {
  PartitionBoundType type = PartitionBoundType::kDefault;
  NodeList values;        // kList; kRange: FROM (MINVALUE, MAXVALUE are ColumnRef)
  NodeList upper_values;  // kRange: TO
  std::int32_t modulus = 0, remainder = 0;
};

using OnCommit = IntoClause::OnCommit;

struct CreateTableStatement : NodeOf<NodeKind::kCreateTableStatement> {
  RelationRef* relation = nullptr;  // with persistence
  bool if_not_exists = false;
  NodeList elements;  // ColumnDefinition, Constraint, LikeClause
  List<RelationRef*> inherits;
  RelationRef* partition_of = nullptr;
  PartitionBound* partition_bound = nullptr;
  TypeName* of_type = nullptr;
  PartitionSpec* partition_by = nullptr;
  std::string_view access_method;
  List<Option*> options;  // WITH (…)
  bool without_oids = false;
  OnCommit on_commit = OnCommit::kNone;
  std::string_view tablespace;
};

struct CreateTableAsStatement : NodeOf<NodeKind::kCreateTableAsStatement> {
  bool materialized_view = false;
  bool if_not_exists = false;
  IntoClause* into = nullptr;
  Node* query = nullptr;  // SelectStatement or ExecuteStatement
  bool with_data = true;
};

enum class ObjectType : std::uint8_t {
  kTable,
  kIndex,
  kSequence,
  kView,
  kMaterializedView,
  kForeignTable,
  kColumn,
  kConstraint,
  kDomainConstraint,
  kSchema,
  kType,
  kDomain,
  kDatabase,
  kRole,
  kFunction,
  kProcedure,
  kRoutine,
  kAggregate,
  kOperator,
  kOperatorClass,
  kOperatorFamily,
  kCollation,
  kConversion,
  kExtension,
  kLanguage,
  kTablespace,
  kTrigger,
  kRule,
  kPolicy,
  kCast,
  kTransform,
  kAccessMethod,
  kEventTrigger,
  kPublication,
  kSubscription,
  kServer,
  kForeignDataWrapper,
  kStatistics,
  kTextSearchParser,
  kTextSearchDictionary,
  kTextSearchTemplate,
  kTextSearchConfiguration,
  kLargeObject,
  kAttribute,
  kParameter,
};

enum class AlterTableType : std::uint8_t {
  kAddColumn,   // column, if_not_exists
  kDropColumn,  // name, if_exists, cascade
  kAlterType,   // name, column->type, column->collation, expression (USING)
  kSetDefault,  // name, expression
  kDropDefault,
  kSetNotNull,
  kDropNotNull,     // name
  kAddIdentity,     // name, constraint
  kSetIdentity,     // name, options (generated, restart, sequence options)
  kDropIdentity,    // name, if_exists
  kDropExpression,  // name, if_exists
  kSetStatistics,   // name (or number as text), expression
  kSetStorage,
  kSetCompression,  // name, value
  kSetColumnOptions,
  kResetColumnOptions,  // name, options
  kAddConstraint,       // constraint
  kDropConstraint,      // name, if_exists, cascade
  kAlterConstraint,     // constraint (name and deferrability)
  kValidateConstraint,  // name
  kOwner,               // role
  kSetOptions,
  kResetOptions,  // options
  kSetTablespace,
  kSetAccessMethod,  // value
  kClusterOn,
  kReplicaIdentityIndex,  // value
  kSetWithoutCluster,
  kSetWithoutOids,
  kSetLogged,
  kSetUnlogged,
  kReplicaIdentityDefault,
  kReplicaIdentityFull,
  kReplicaIdentityNothing,
  kInherit,
  kNoInherit,        // relation
  kAttachPartition,  // relation, bound (absent for an index)
  kDetachPartition,  // relation, value: "", "concurrently", "finalize"
  kOf,
  kNotOf,  // type
  kEnableTrigger,
  kDisableTrigger,
  kEnableAlwaysTrigger,
  kEnableReplicaTrigger,  // value: a name, "all" or "user"
  kEnableRule,
  kDisableRule,
  kEnableAlwaysRule,
  kEnableReplicaRule,
  kEnableRowSecurity,
  kDisableRowSecurity,
  kForceRowSecurity,
  kNoForceRowSecurity,
};
struct AlterTableCommand : NodeOf<NodeKind::kAlterTableCommand> {
  AlterTableType type = AlterTableType::kAddColumn;
  std::string_view name;  // column or constraint
  ColumnDefinition* column = nullptr;
  Constraint* constraint = nullptr;
  Node* expression = nullptr;
  List<Option*> options;
  RoleSpec* role = nullptr;
  RelationRef* relation = nullptr;
  PartitionBound* bound = nullptr;
  TypeName* type_name = nullptr;
  std::string_view value;
  bool if_exists = false;
  bool if_not_exists = false;
  bool cascade = false;
  bool quoted = false;  // triggers: `value` is a name even if it reads all or user
};
/// ALTER TABLE | INDEX | SEQUENCE | VIEW | MATERIALIZED VIEW | FOREIGN TABLE name command, …
/// (RENAME: RenameStatement; SET SCHEMA: AlterSchemaStatement.)
struct AlterTableStatement : NodeOf<NodeKind::kAlterTableStatement> {
  ObjectType object = ObjectType::kTable;
  bool if_exists = false;
  RelationRef* relation = nullptr;
  List<AlterTableCommand*> commands;
};

struct CreateIndexStatement : NodeOf<NodeKind::kCreateIndexStatement> {
  std::string_view name;  // empty: to be chosen
  RelationRef* relation = nullptr;
  bool unique = false;
  bool concurrently = false;
  bool if_not_exists = false;
  bool nulls_not_distinct = false;
  std::string_view access_method;  // empty: btree
  List<IndexElement*> columns;
  List<IndexElement*> including;
  List<Option*> options;
  std::string_view tablespace;
  Node* where = nullptr;
};

/// Sequence options by name: "as" (TypeName), "cache", "increment", "maxvalue", "minvalue", "start",
/// "restart" (Literal; absent for NO MAXVALUE, NO MINVALUE, bare RESTART), "cycle" (boolean Literal),
/// "owned_by" (ObjectName; NONE is the one-part name none), "sequence_name" (ObjectName), "logged",
/// "unlogged".
struct CreateSequenceStatement : NodeOf<NodeKind::kCreateSequenceStatement> {
  RelationRef* relation = nullptr;
  bool if_not_exists = false;
  List<Option*> options;
};
struct AlterSequenceStatement : NodeOf<NodeKind::kAlterSequenceStatement> {
  RelationRef* relation = nullptr;
  bool if_exists = false;
  List<Option*> options;
};

enum class CheckOption : std::uint8_t { kNone, kLocal, kCascaded };
struct CreateViewStatement : NodeOf<NodeKind::kCreateViewStatement> {
  RelationRef* relation = nullptr;
  NameList columns;
  bool or_replace = false;
  bool recursive = false;  // CREATE RECURSIVE VIEW: query is already the WITH RECURSIVE form
  List<Option*> options;
  SelectStatement* query = nullptr;
  CheckOption check_option = CheckOption::kNone;
};
struct RefreshMaterializedViewStatement : NodeOf<NodeKind::kRefreshMaterializedViewStatement> {
  RelationRef* relation = nullptr;
  bool concurrently = false;
  bool with_data = true;
};

}  // namespace rustbd::sql
