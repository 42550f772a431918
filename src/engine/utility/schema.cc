// CREATE SCHEMA, CREATE TYPE AS ENUM, views, comments.
#include "rustbd/engine/utility/table_builder.h"
#include "rustbd/sql/deparse.h"

namespace rustbd::engine {

Task<std::string> create_schema(UtilityContext& c, const sql::CreateSchemaStatement& s) {
  std::string name{s.name};
  Oid owner = c.parts.current_oid;
  const auto catalog = c.parts.catalog();
  if (s.owner != nullptr && s.owner->type == sql::RoleSpecType::kName) {
    const auto* role = catalog->role(s.owner->name);
    if (role == nullptr) throw error(sqlstate::kUndefinedObject, "role \"{}\" does not exist", s.owner->name);
    owner = role->oid;
    if (name.empty()) name = role->name;
  }
  if (name.empty()) name = name_of_role(c, owner);
  if (name.starts_with("pg_"))
    throw error(sqlstate::kReservedName, "unacceptable schema name \"{}\"", name)
        .with_detail("The prefix \"pg_\" is reserved for system schemas.");
  co_await lock_name(c, 0, name);
  if (c.parts.catalog()->schema(name) != nullptr) {
    if (!s.if_not_exists) throw error(sqlstate::kDuplicateSchema, "schema \"{}\" already exists", name);
    c.parts.notice(Severity::kNotice,
                   error(sqlstate::kDuplicateSchema, "schema \"{}\" already exists, skipping", name));
    co_return "CREATE SCHEMA";
  }
  if (!s.elements.empty()) throw not_supported("schema elements in CREATE SCHEMA").at(s.location);
  catalog::Schema schema{c.system().new_object_id(), name, owner, {}};
  co_await c.store().put(c.transaction(), c.parts.changes, schema);
  co_return "CREATE SCHEMA";
}

namespace {
constexpr std::uint64_t kLabelStep = std::uint64_t{1} << 40;  // room for labels in between (query.md §4)
constexpr std::size_t kLabelBytesMax = 63;

void check_label(std::string_view label) {
  if (label.size() > kLabelBytesMax)
    throw error(sqlstate::kInvalidName, "invalid enum label \"{}\"", label)
        .with_detail(fmt::format("Labels must be {} bytes or less.", kLabelBytesMax));
}
}  // namespace

Task<std::string> create_enum(UtilityContext& c, const sql::CreateEnumStatement& s) {
  const Oid schema = target_schema(c, split_name(s.name).schema, s.location);
  const std::string name{s.name.back()};
  co_await lock_name_in_schema(c, schema, name);
  const auto catalog = c.parts.catalog();
  if (catalog->enum_type(schema, name) != nullptr)
    throw error(sqlstate::kDuplicateObject, "type \"{}\" already exists", name);
  catalog::EnumType type;
  type.oid = c.system().new_object_id();
  type.array_oid = c.system().new_object_id();
  type.schema = schema;
  type.owner = c.parts.current_oid;
  type.name = name;
  std::uint64_t code = kLabelStep;
  for (const auto label : s.labels) {
    check_label(label);
    for (const auto& l : type.labels)
      if (l.text == label)
        throw error(sqlstate::kUniqueViolation, "enum label \"{}\" used more than once", label);
    type.labels.push_back({c.system().new_object_id(), code, std::string{label}});
    code += kLabelStep;
  }
  co_await c.store().put(c.transaction(), c.parts.changes, std::move(type));
  co_return "CREATE TYPE";
}

Task<std::string> alter_enum(UtilityContext& c, const sql::AlterEnumStatement& s) {
  const auto find = [&] { return owned_enum(c, s.name); };
  const auto found =
      co_await find_and_lock(c, catalog::oid::kPgType, txn::TableLockMode::kAccessExclusive, find);
  catalog::EnumType type = *found;
  const auto position = [&](std::string_view label) {
    for (std::size_t i = 0; i < type.labels.size(); ++i)
      if (type.labels[i].text == label) return i;
    throw error(sqlstate::kInvalidParameterValue, "\"{}\" is not an existing enum label", label);
  };
  if (s.is_rename) {
    const auto at = position(s.old_label);
    for (const auto& l : type.labels)
      if (l.text == s.label)
        throw error(sqlstate::kDuplicateObject, "enum label \"{}\" already exists", s.label);
    type.labels[at].text = s.label;
  } else {
    check_label(s.label);
    for (const auto& l : type.labels)
      if (l.text == s.label) {
        if (!s.if_not_exists)
          throw error(sqlstate::kDuplicateObject, "enum label \"{}\" already exists", s.label);
        c.parts.notice(Severity::kNotice, error(sqlstate::kDuplicateObject,
                                                "enum label \"{}\" already exists, skipping", s.label));
        co_return "ALTER TYPE";
      }
    std::size_t at = type.labels.size();
    if (s.has_neighbour) at = position(s.neighbour) + (s.after ? 1 : 0);
    const std::uint64_t low = at == 0 ? 0 : type.labels[at - 1].code;
    const std::uint64_t high = at == type.labels.size() ? low + 2 * kLabelStep : type.labels[at].code;
    if (high - low < 2)
      throw error(sqlstate::kProgramLimitExceeded, "no room for another label between these two");
    type.labels.insert(type.labels.begin() + static_cast<std::ptrdiff_t>(at),
                       {c.system().new_object_id(), low + (high - low) / 2, std::string{s.label}});
  }
  co_await c.store().put(c.transaction(), c.parts.changes, std::move(type));
  co_return "ALTER TYPE";
}

/// The query, bound; what it reads is locked, so that nobody drops or changes it before the view is there.
static Task<std::unique_ptr<plan::LogicalPlan>> settled_query(UtilityContext& c, const sql::Node& query) {
  for (;;) {
    const auto catalog = c.parts.catalog();
    const auto path = c.parts.search_path(*catalog);
    auto input = bind_input(c.parts, *catalog, path);
    auto plan = binder::bind(query, input);
    for (const auto& d : plan->dependencies)
      co_await lock_relation(c.parts, d.relation, txn::TableLockMode::kAccessShare);
    if (c.parts.catalog()->version == catalog->version) co_return plan;
  }
}

Task<std::string> create_view(UtilityContext& c, const sql::CreateViewStatement& s) {
  if (s.relation->persistence == sql::Persistence::kTemporary)
    throw not_supported("CREATE TEMPORARY VIEW").at(s.location);
  const Oid schema = target_schema(c, s.relation->schema, s.relation->location);
  co_await lock_name_in_schema(c, schema, s.relation->name);
  const auto plan = co_await settled_query(c, *s.query);
  if (s.columns.size() > plan->result.size())
    throw error(sqlstate::kSyntaxError, "CREATE VIEW specifies more column names than columns");
  auto relation = std::make_shared<catalog::Relation>();
  const auto find_old = [&]() -> std::shared_ptr<const catalog::Relation> {
    const auto catalog = c.parts.catalog();
    const Oid taken = catalog->class_oid(schema, s.relation->name);
    if (taken == 0) return nullptr;
    auto found = catalog->relation(taken);
    if (!s.or_replace)
      throw error(sqlstate::kDuplicateTable, "relation \"{}\" already exists", s.relation->name);
    if (found == nullptr || found->kind != catalog::RelationKind::kView)
      throw error(sqlstate::kWrongObjectType, "\"{}\" is not a view", s.relation->name);
    c.parts.require_owner(found->owner, "view", found->name);
    return found;
  };
  const auto old =
      co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kAccessExclusive, find_old);
  if (old != nullptr) {
    *relation = *old;
    relation->columns.clear();
  } else {
    relation->oid = c.system().new_object_id();
    relation->row_type = c.system().new_object_id();
    relation->name = s.relation->name;
    relation->schema = schema;
    relation->owner = c.parts.current_oid;
    relation->kind = catalog::RelationKind::kView;
  }
  for (std::size_t i = 0; i < plan->result.size(); ++i) {
    catalog::Column column;
    column.name = i < s.columns.size() ? std::string{s.columns[i]} : plan->result[i].name;
    column.number = static_cast<catalog::AttributeNumber>(i + 1);
    const auto& type = plan->result[i].type;
    column.type = types::find_type(type.oid) == nullptr
                      ? type
                      : types::make_type(type.oid, type.typmod < 0 ? -1 : type.typmod);
    if (relation->find_column(column.name) != nullptr)
      throw error(sqlstate::kDuplicateColumn, "column \"{}\" specified more than once", column.name);
    relation->columns.push_back(std::move(column));
  }
  if (old != nullptr) {
    if (relation->columns.size() < old->columns.size())
      throw error(sqlstate::kInvalidTableDefinition, "cannot drop columns from view");
    for (std::size_t i = 0; i < old->columns.size(); ++i) {
      const auto &a = old->columns[i], &b = relation->columns[i];
      if (a.name != b.name)
        throw error(sqlstate::kInvalidTableDefinition, "cannot change name of view column \"{}\" to \"{}\"",
                    a.name, b.name)
            .with_hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.");
      if (a.type.oid != b.type.oid)
        throw error(sqlstate::kInvalidTableDefinition,
                    "cannot change data type of view column \"{}\" from {} to {}", a.name,
                    types::format_type(a.type.oid, a.type.typmod),
                    types::format_type(b.type.oid, b.type.typmod));
    }
  }
  relation->view_sql = sql::deparse(s.query);
  relation->view_check_option = s.check_option != sql::CheckOption::kNone;
  co_await store_relation(c, std::move(relation), false);
  co_return "CREATE VIEW";
}

Task<std::string> comment(UtilityContext& c, const sql::CommentStatement& s) {
  using sql::ObjectType;
  const auto catalog = c.parts.catalog();
  const std::string text = s.is_null ? std::string{} : std::string{s.text};
  const auto relation_of = [&](std::span<const std::string_view> name) {
    sql::RelationRef ref;
    ref.location = s.name->location;
    const auto [schema, last] = split_name(name);
    ref.schema = schema;
    ref.name = last;
    return named_relation(c, ref);
  };
  catalog::CommentKey key;
  const std::span<const std::string_view> name = s.name->name;
  switch (s.object) {
    case ObjectType::kTable:
    case ObjectType::kView:
    case ObjectType::kSequence:
    case ObjectType::kMaterializedView: {
      const auto r = relation_of(name);
      c.parts.require_owner(r->owner, "table", r->name);
      key = {catalog::oid::kPgClass, r->oid, 0};
      break;
    }
    case ObjectType::kColumn: {
      if (name.size() < 2) throw error(sqlstate::kSyntaxError, "column name must be qualified");
      const auto r = relation_of(name.first(name.size() - 1));
      c.parts.require_owner(r->owner, "table", r->name);
      const auto* column = r->find_column(name.back());
      if (column == nullptr)
        throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist",
                    name.back(), r->name);
      key = {catalog::oid::kPgClass, r->oid, column->number};
      break;
    }
    case ObjectType::kIndex: {
      const auto [schema, index] = split_name(name);
      key = {catalog::oid::kPgClass, owned_index(c, schema, index)->oid, 0};
      break;
    }
    case ObjectType::kSchema: {
      const auto* schema = catalog->schema(name.back());
      if (schema == nullptr)
        throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist", name.back());
      key = {catalog::oid::kPgNamespace, schema->oid, 0};
      break;
    }
    case ObjectType::kDatabase: key = {catalog::oid::kPgDatabase, catalog::oid::kDatabasePostgres, 0}; break;
    case ObjectType::kRole: {
      const auto* role = catalog->role(name.back());
      if (role == nullptr) throw error(sqlstate::kUndefinedObject, "role \"{}\" does not exist", name.back());
      key = {catalog::oid::kPgAuthid, role->oid, 0};
      break;
    }
    case ObjectType::kConstraint: {
      const auto r = relation_of(s.name->on);
      Oid oid = 0;
      for (const auto& k : r->constraints)
        if (k->name == name.back()) oid = k->oid;
      if (oid == 0)
        throw error(sqlstate::kUndefinedObject, "constraint \"{}\" for table \"{}\" does not exist",
                    name.back(), r->name);
      key = {catalog::oid::kPgConstraint, oid, 0};
      break;
    }
    default: throw not_supported("COMMENT ON this kind of object").at(s.location);
  }
  co_await c.store().put_comment(c.transaction(), c.parts.changes, key, text);
  co_return "COMMENT";
}

}  // namespace rustbd::engine
