// Catalog objects as the rest of the server sees them: immutable, shared, found by oid or name in a
// CatalogSnapshot. They are built from the stored pg_* relations; nobody changes one in place (DDL makes new
// ones).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/catalog/statistics.h"
#include "rustbd/storage/rows/table_layout.h"
#include "rustbd/types/type.h"

namespace rustbd::catalog {

/// 1-based as pg_attribute.attnum; 0 = whole row; kRowIdAttribute = the internal row id (kU64), which SQL
/// can't name.
using AttributeNumber = std::int16_t;
inline constexpr AttributeNumber kRowIdAttribute = -100;
inline constexpr AttributeNumber kTableOidAttribute = -6;  // tableoid
inline constexpr AttributeNumber kCtidAttribute = -1;      // ctid: shown as (0,rowid)

enum class RelationKind : char {
  kTable = 'r',
  kIndex = 'i',
  kSequence = 'S',
  kView = 'v',
  kMaterializedView = 'm',
  kComposite = 'c'
};

struct Column {
  std::string name;
  types::TypeRef type;
  AttributeNumber number = 0;  // position + 1 = storage::ColumnNumber + 1; dropped ones stay
  bool not_null = false;
  bool dropped = false;
  char identity = 0;          // 'a' always, 'd' by default, 0 none
  char generated = 0;         // 's' stored, 0 none
  std::string default_sql;    // deparsed expression; empty: none. Also the generation expression
  Oid default_oid = 0;        // pg_attrdef.oid
  Oid identity_sequence = 0;  // sequence owned for identity
  std::int32_t statistics_target = -1;
};

struct IndexColumn {
  AttributeNumber attribute = 0;  // 0: an expression
  std::string expression_sql;
  types::TypeRef type;
  bool descending = false, nulls_first = false;
  Oid operator_class = 0;
};

struct Index {
  Oid oid = 0;
  std::string name;
  Oid relation = 0;
  Oid schema = 0;
  IndexId tree;
  bool unique = false, primary = false, valid = true, nulls_not_distinct = false, deferrable = false;
  std::vector<IndexColumn> columns;  // key columns
  std::vector<AttributeNumber> included;
  std::string predicate_sql;     // partial index; empty: none
  std::string method = "btree";  // as declared
  Oid constraint = 0;            // pg_constraint.oid it serves
};

enum class ConstraintType : char {
  kCheck = 'c',
  kForeignKey = 'f',
  kPrimaryKey = 'p',
  kUnique = 'u',
  kNotNull = 'n'
};

struct Constraint {
  Oid oid = 0;
  std::string name;
  Oid schema = 0;
  Oid relation = 0;
  ConstraintType type = ConstraintType::kCheck;
  std::vector<AttributeNumber> columns;
  std::string expression_sql;  // CHECK
  Oid index = 0;               // PK, UNIQUE: own index; FK: the referenced index
  bool deferrable = false, initially_deferred = false, validated = true, no_inherit = false;
  // FOREIGN KEY
  Oid referenced_relation = 0;
  std::vector<AttributeNumber> referenced_columns;
  char on_update = 'a', on_delete = 'a',
       match = 's';  // a no action, r restrict, c cascade, n set null, d set default
  std::vector<AttributeNumber> on_delete_columns;  // SET NULL (columns)
};

struct SequenceOptions {
  Oid type = types::oid::kInt8;
  std::int64_t start = 1, increment = 1, minimum = 1, maximum = INT64_MAX, cache = 1;
  bool cycle = false;
  Oid owner_relation = 0;  // OWNED BY
  AttributeNumber owner_column = 0;
};

/// Where rows of a relation come from.
enum class RowSource : std::uint8_t {
  kStored,         // a table of txn
  kStoredCatalog,  // static rows of the registry in front of a stored table (pg_class, pg_proc, ...)
  kVirtual,        // computed at scan time (pg_settings, pg_stat_activity, pg_locks, ...)
};

struct Relation {
  Oid oid = 0;
  std::string name;
  Oid schema = 0;
  std::string schema_name;
  Oid owner = 10;
  Oid row_type = 0;  // pg_type of the row
  RelationKind kind = RelationKind::kTable;
  char persistence = 'p';  // p permanent, u unlogged, t temporary
  RowSource source = RowSource::kStored;
  std::vector<Column> columns;                                   // index = attnum - 1
  std::vector<std::shared_ptr<const Index>> indexes;             // ascending by tree id
  std::vector<std::shared_ptr<const Constraint>> constraints;    // CHECKs in name order
  std::vector<std::shared_ptr<const Constraint>> referenced_by;  // FOREIGN KEYs of others that point here
  std::shared_ptr<const storage::TableLayout> layout;            // of stored relations
  std::string view_sql;                                          // views: deparsed SELECT
  bool view_check_option = false;
  std::optional<SequenceOptions> sequence;
  std::vector<std::string> options;                   // reloptions
  std::string acl;                                    // text of aclitem[]; empty: default
  std::shared_ptr<const TableStatistics> statistics;  // nullptr before the first ANALYZE

  [[nodiscard]] const Column* find_column(std::string_view column) const {
    for (const auto& c : columns)
      if (!c.dropped && c.name == column) return &c;
    return nullptr;
  }
  [[nodiscard]] const Column& column(AttributeNumber number) const {
    return columns[static_cast<std::size_t>(number - 1)];
  }
  [[nodiscard]] bool is_catalog() const { return source != RowSource::kStored; }
};

/// All ids that came from TransactionSystem::new_object_id() for it, those of its layout aside.
template <class Visit>
void each_object_id(const Relation& relation, Visit&& visit) {
  visit(relation.oid);
  visit(relation.row_type);
  for (const Column& column : relation.columns) visit(column.default_oid);
  for (const auto& index : relation.indexes) visit(index->oid);
  for (const auto& constraint : relation.constraints) visit(constraint->oid);
}

struct Schema {
  Oid oid = 0;
  std::string name;
  Oid owner = 10;
  std::string acl;
};

struct EnumType {
  Oid oid = 0, array_oid = 0, schema = 0, owner = 10;
  std::string name;
  struct Label {
    Oid oid;
    std::uint64_t code;
    std::string text;
  };
  std::vector<Label> labels;  // ascending by code
};

/// As for a relation.
template <class Visit>
void each_object_id(const EnumType& type, Visit&& visit) {
  visit(type.oid);
  visit(type.array_oid);
  for (const EnumType::Label& label : type.labels) visit(label.oid);
}

struct Role {
  Oid oid = 0;
  std::string name;
  bool superuser = false, inherit = true, create_role = false, create_db = false, login = false,
       replication = false, bypass_rls = false;
  std::int32_t connection_limit = -1;
  std::string password_verifier;  // "SCRAM-SHA-256$..."; empty: none
  std::string valid_until;
};

namespace oid {
inline constexpr Oid kPgCatalog = 11, kInformationSchema = 13000, kPublic = 2200, kPgToast = 99,
                     kBootstrapRole = 10, kDatabasePostgres = 5, kFirstUserObject = 16384, kBtree = 403,
                     kHash = 405, kHeap = 2;
inline constexpr Oid kPgClass = 1259, kPgAttribute = 1249, kPgType = 1247, kPgProc = 1255,
                     kPgNamespace = 2615, kPgIndex = 2610, kPgConstraint = 2606, kPgAttrdef = 2604,
                     kPgDatabase = 1262, kPgAuthid = 1260, kPgDepend = 2608, kPgDescription = 2609,
                     kPgRewrite = 2618, kPgSequence = 2224, kPgEnum = 3501, kPgOperator = 2617,
                     kPgCast = 2605, kPgAggregate = 2600, kPgTrigger = 2620;
}  // namespace oid

}  // namespace rustbd::catalog
