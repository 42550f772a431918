// What the handlers of utility statements share.
#include "rustbd/base/hash.h"
#include "rustbd/engine/utility/utility.h"

namespace rustbd::engine {

Task<> await_outcome(UtilityContext& c, std::function<txn::Outcome()> attempt) {
  for (;;) {
    const auto outcome = attempt();
    if (outcome.ok()) co_return;
    if (!outcome.blocked()) c.system().throw_outcome(outcome, c.parts.locker.get());
    co_await wait(c.parts, outcome.token);
  }
}

Task<> send_text_rows(UtilityContext& c, std::span<const std::string> names,
                      std::vector<std::vector<std::optional<std::string>>> rows) {
  std::vector<ResultColumn> columns;
  std::vector<types::Phys> phys;
  for (const auto& n : names) {
    columns.push_back({n, types::make_type(types::oid::kText)});
    phys.push_back(types::Phys::kStr);
  }
  c.sink.columns(columns);
  types::ChunkBuffer buffer{phys};
  auto io = c.parts.session.io_context();
  for (std::size_t done = 0; done < rows.size();) {
    auto& chunk = buffer.begin();
    std::uint32_t n = 0;
    for (; n < types::kVectorSize && done < rows.size(); ++n, ++done)
      for (std::uint32_t i = 0; i < names.size(); ++i) {
        const auto& value = rows[done][i];
        buffer.put(i, n, value ? types::Datum::of(types::Str{*value}) : types::Datum{}, !value.has_value());
      }
    chunk.select_all(n);
    const auto token = c.sink.rows(chunk, columns, io);
    if (!token.fired()) co_await wait(c.parts, token);
  }
}

std::string object_name(std::string_view first, std::string_view second, std::string_view suffix) {
  constexpr std::size_t kNameMax = 63;
  std::size_t overhead = (second.empty() ? 0 : 1) + (suffix.empty() ? 0 : suffix.size() + 1);
  std::size_t a = first.size(), b = second.size();
  while (a + b + overhead > kNameMax) (a > b ? a : b) -= 1;   // the longer one is cut
  const auto whole = [](std::string_view s, std::size_t n) {  // not inside a UTF-8 sequence
    while (n > 0 && n < s.size() && (static_cast<unsigned char>(s[n]) & 0xC0) == 0x80) --n;
    return s.substr(0, n);
  };
  std::string out{whole(first, a)};
  if (!second.empty()) out += "_" + std::string{whole(second, b)};
  if (!suffix.empty()) out += "_" + std::string{suffix};
  return out;
}

std::string free_name(const catalog::CatalogSnapshot& catalog, Oid schema, std::string base) {
  std::string name = base;
  for (int i = 1; catalog.class_oid(schema, name) != 0; ++i)
    name = object_name(base, "", fmt::format("{}", i)).replace(base.size(), 1, "");
  return name;
}

Task<> lock_name(UtilityContext& c, Oid space, std::string_view name) {
  const auto hash = static_cast<Oid>(hash_combine(hash_bytes(name.data(), name.size()), space));
  co_await await_outcome(c, [&] {
    return c.transaction().lock_table(catalog::oid::kPgClass, hash | 1u, txn::TableLockMode::kExclusive);
  });
}

Oid target_schema(UtilityContext& c, std::string_view schema, std::int32_t location) {
  const auto catalog = c.parts.catalog();
  if (schema.empty()) return c.parts.creation_schema(*catalog);
  if (schema == "pg_temp") throw not_supported("a temporary table").at(location);
  const auto* found = catalog->schema(schema);
  if (found == nullptr)
    throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist", schema).at(location);
  if (found->oid == catalog::oid::kPgCatalog || found->oid == catalog::oid::kInformationSchema)
    throw error(sqlstate::kInsufficientPrivilege, "permission denied to create in \"{}\"", schema)
        .with_detail("System catalog modifications are currently disallowed.");
  return found->oid;
}

std::string_view kind_name(catalog::RelationKind kind) {
  switch (kind) {
    case catalog::RelationKind::kTable: return "table";
    case catalog::RelationKind::kView: return "view";
    case catalog::RelationKind::kSequence: return "sequence";
    case catalog::RelationKind::kMaterializedView: return "materialized view";
    case catalog::RelationKind::kIndex: return "index";
    default: return "composite type";
  }
}

std::shared_ptr<const catalog::Relation> named_relation(UtilityContext& c, const sql::RelationRef& ref,
                                                        bool missing_ok) {
  const auto catalog = c.parts.catalog();
  const auto path = c.parts.search_path(*catalog);
  return binder::find_relation(ref, bind_input(c.parts, *catalog, path), missing_ok);
}

void refuse_catalog(const catalog::Relation& relation) {
  if (relation.is_catalog())
    throw error(sqlstate::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                relation.name);
}

void require_owned(UtilityContext& c, const catalog::Relation& relation) {
  refuse_catalog(relation);
  c.parts.require_owner(relation.owner, kind_name(relation.kind), relation.name);
}

namespace {

bool reads(const plan::PlanNode& node, Oid oid) {
  if (node.relation != nullptr && node.relation->oid == oid) return true;
  if (node.index != nullptr && node.index->oid == oid) return true;
  return std::ranges::any_of(node.children, [&](const auto& c) { return reads(*c, oid); });
}

}  // namespace

void require_not_in_use(UtilityContext& c, Oid oid, std::string_view name, std::string_view statement) {
  for (const auto& [portal_name, portal] : c.parts.portals) {
    if (portal->plan == nullptr) continue;
    // One that has given all its rows is open all the same.
    const bool open =
        portal->run != nullptr || (portal->done && portal->plan->tag == plan::StatementTag::kSelect);
    if (open && reads(*portal->plan->root, oid))
      throw error(sqlstate::kObjectInUse,
                  "cannot {} \"{}\" because it is being used by active queries in this session", statement,
                  name);
  }
}

QualifiedName split_name(std::span<const std::string_view> parts) {
  return {parts.size() > 1 ? parts[parts.size() - 2] : std::string_view{}, parts.back()};
}

std::shared_ptr<const catalog::Relation> owned_relation(UtilityContext& c, const sql::RelationRef& ref,
                                                        bool missing_ok) {
  auto relation = named_relation(c, ref, missing_ok);
  if (relation != nullptr) require_owned(c, *relation);
  return relation;
}

Task<> lock_object(UtilityContext& c, Oid object_class, Oid object, txn::TableLockMode mode, bool no_wait) {
  if (object_class == catalog::oid::kPgClass) {
    co_await lock_relation(c.parts, object, mode, no_wait);
    co_return;
  }
  const auto policy = no_wait ? txn::WaitPolicy::kNoWait : txn::WaitPolicy::kWait;
  co_await await_outcome(c, [&] { return c.transaction().lock_table(object_class, object, mode, policy); });
}

Task<> lock_name_in_schema(UtilityContext& c, Oid schema, std::string_view name) {
  co_await lock_object(c, catalog::oid::kPgNamespace, schema, txn::TableLockMode::kAccessShare);
  if (c.parts.catalog()->schema(schema) == nullptr)
    throw error(sqlstate::kInvalidSchemaName, "the schema of \"{}\" was dropped meanwhile", name);
  co_await lock_name(c, schema, name);
}

Task<> drop_foreign_key(UtilityContext& c, const catalog::Constraint& key) {
  co_await lock_relation(c.parts, key.relation, txn::TableLockMode::kAccessExclusive);
  const auto child = c.parts.catalog()->relation(key.relation);
  if (child == nullptr) co_return;
  auto copy = std::make_shared<catalog::Relation>(*child);
  if (std::erase_if(copy->constraints, [&](const auto& k) { return k->oid == key.oid; }) > 0)
    co_await store_relation(c, std::move(copy), false);
}

/// Where a name is looked for: the schema that was given with it, or the search path.
static std::vector<Oid> schemas_of(UtilityContext& c, const catalog::CatalogSnapshot& catalog,
                                   std::string_view schema) {
  if (schema.empty()) return c.parts.search_path(catalog);
  const auto* in = catalog.schema(schema);
  return in == nullptr ? std::vector<Oid>{} : std::vector<Oid>{in->oid};
}

std::span<const std::string_view> type_name(const sql::ObjectName& name) {
  return name.types.empty() ? name.name : name.types[0]->name;
}

std::shared_ptr<const catalog::EnumType> find_enum(UtilityContext& c,
                                                   std::span<const std::string_view> name) {
  const auto catalog = c.parts.catalog();
  for (const Oid at : schemas_of(c, *catalog, split_name(name).schema))
    if (auto found = catalog->enum_type(at, name.back())) return found;
  return nullptr;
}

std::shared_ptr<const catalog::EnumType> owned_enum(UtilityContext& c,
                                                    std::span<const std::string_view> name) {
  auto found = find_enum(c, name);
  const auto schema = split_name(name).schema;
  if (found == nullptr && !schema.empty() && c.parts.catalog()->schema(schema) == nullptr)
    throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist", schema);
  if (found == nullptr)
    throw error(sqlstate::kUndefinedObject, "type \"{}\" does not exist", fmt::join(name, "."));
  c.parts.require_owner(found->owner, "type", found->name);
  return found;
}

std::shared_ptr<const catalog::Schema> owned_schema(UtilityContext& c, std::string_view name) {
  const auto catalog = c.parts.catalog();
  const auto* found = catalog->schema(name);
  if (found == nullptr) throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist", name);
  c.parts.require_owner(found->owner, "schema", found->name);
  return {catalog, found};
}

std::shared_ptr<const catalog::Role> existing_role(UtilityContext& c, std::string_view name) {
  const auto catalog = c.parts.catalog();
  const auto* found = catalog->role(name);
  if (found == nullptr) throw error(sqlstate::kUndefinedObject, "role \"{}\" does not exist", name);
  return {catalog, found};
}

std::string name_of_role(UtilityContext& c, Oid role) {
  const auto catalog = c.parts.catalog();
  const auto* found = catalog->role(role);
  if (found == nullptr) throw error(sqlstate::kUndefinedObject, "role with OID {} does not exist", role);
  return found->name;
}

std::string role_name(UtilityContext& c, const sql::RoleSpec& spec) {
  switch (spec.type) {
    case sql::RoleSpecType::kName: return std::string{spec.name};
    case sql::RoleSpecType::kSessionUser: return name_of_role(c, c.parts.user_oid);
    case sql::RoleSpecType::kPublic: return {};
    default: return name_of_role(c, c.parts.current_oid);
  }
}

FoundIndex find_index(UtilityContext& c, std::string_view schema, std::string_view name) {
  const auto catalog = c.parts.catalog();
  for (const Oid at : schemas_of(c, *catalog, schema)) {
    const Oid oid = catalog->class_oid(at, name);
    if (oid == 0) continue;
    if (auto index = catalog->index(oid)) return {std::move(index), nullptr};
    return {nullptr, catalog->relation(oid)};
  }
  return {};
}

std::shared_ptr<const catalog::Index> owned_index(UtilityContext& c, std::string_view schema,
                                                  std::string_view name) {
  auto found = find_index(c, schema, name);
  if (found.other != nullptr) throw error(sqlstate::kWrongObjectType, "\"{}\" is not an index", name);
  const auto catalog = c.parts.catalog();
  if (found.index == nullptr) {
    if (!schema.empty() && catalog->schema(schema) == nullptr)
      throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist", schema);
    throw error(sqlstate::kUndefinedTable, "relation \"{}{}{}\" does not exist", schema,
                schema.empty() ? "" : ".", name);
  }
  c.parts.require_owner(catalog->relation(found.index->relation)->owner, "index", found.index->name);
  return found.index;
}

Task<> lock_column_types(UtilityContext& c, const catalog::Relation& relation) {
  for (const auto& column : relation.columns) {
    if (column.dropped || column.type.oid < catalog::oid::kFirstUserObject) continue;
    const auto find = [&] {
      const auto catalog = c.parts.catalog();
      for (const auto& [id, type] : catalog->enums())
        if (id == column.type.oid || type->array_oid == column.type.oid) return type;
      throw error(sqlstate::kUndefinedObject, "the type of column \"{}\" does not exist", column.name);
    };
    co_await find_and_lock(c, catalog::oid::kPgType, txn::TableLockMode::kAccessShare, find);
  }
}

Task<> store_relation(UtilityContext& c, std::shared_ptr<catalog::Relation> relation, bool layout_changed) {
  if (layout_changed && relation->kind != catalog::RelationKind::kView) {
    auto layout = catalog::make_layout(*relation, relation->layout->table, catalog::oid::kDatabasePostgres);
    co_await await_outcome(c, [&] { return c.system().alter_table(c.transaction(), layout); });
  }
  co_await c.store().put(c.transaction(), c.parts.changes, std::move(relation));
}

}  // namespace rustbd::engine
