// DROP of tables, views, indexes, sequences, schemas, types; what depends on them.
#include "rustbd/engine/utility/table_builder.h"

namespace rustbd::engine {

namespace {

std::string use_drop(catalog::RelationKind kind) {
  std::string upper{kind_name(kind)};
  for (auto& ch : upper) ch = static_cast<char>(std::toupper(ch));
  return fmt::format("Use DROP {} to remove a {}.", upper, kind_name(kind));
}

/// Whether the column's default names the sequence (nextval('s')): bound anew to see that.
bool default_reads(UtilityContext& c, const catalog::Column& column, Oid sequence) {
  if (column.default_sql.find("regclass") == std::string::npos &&
      column.default_sql.find("nextval") == std::string::npos)
    return false;
  const auto catalog = c.parts.catalog();
  const auto path = c.parts.search_path(*catalog);
  auto input = bind_input(c.parts, *catalog, path);
  input.arena = std::make_shared<Arena>();
  Arena ast;
  const auto bound = binder::bind_table_expression(*sql::parse_expression(column.default_sql, ast), nullptr,
                                                   input, &column.type, "DEFAULT expressions");
  bool found = false;
  expression::visit(*bound, [&](const expression::Expression& e) {
    found |= e.kind == expression::Kind::kConstant && e.type.oid == types::oid::kRegclass && !e.is_null &&
             e.value.u32 == sequence;
  });
  return found;
}

/// Views whose query reads the relation: bound anew to see what they depend on.
std::vector<std::shared_ptr<const catalog::Relation>> dependent_views(UtilityContext& c, Oid oid) {
  std::vector<std::shared_ptr<const catalog::Relation>> out;
  const auto catalog = c.parts.catalog();
  const auto path = c.parts.search_path(*catalog);
  for (const auto& [id, view] : catalog->relations()) {
    if (view->kind != catalog::RelationKind::kView || view->is_catalog() || view->oid == oid ||
        view->schema == catalog::oid::kInformationSchema)
      continue;
    Arena arena;
    try {
      auto input = bind_input(c.parts, *catalog, path);
      const auto statements = sql::parse(view->view_sql, arena);
      const auto plan = binder::bind(*statements[0].statement, input);
      for (const auto& d : plan->dependencies)
        if (d.relation == oid) {
          out.push_back(view);
          break;
        }
    } catch (const Error&) {
      continue;  // already broken: it stands in nobody's way
    }
  }
  return out;
}

/// Collects what must go with these relations; without CASCADE anything beyond them is in the way.
class Dropper {
 public:
  Dropper(UtilityContext& c, bool cascade) : c_(c), cascade_(cascade) {}
  void request(Oid oid) { requested_.push_back(oid); }
  Task<> run() {
    order_ = requested_;
    for (std::size_t i = 0; i < order_.size(); ++i) {
      co_await lock_relation(c_.parts, order_[i], txn::TableLockMode::kAccessExclusive);
      const auto catalog = c_.parts.catalog();
      const auto relation = catalog->relation(order_[i]);
      if (relation == nullptr) continue;  // dropped while this waited
      for (const auto& view : dependent_views(c_, relation->oid))
        need(view->oid, fmt::format("view {}", view->name),
             fmt::format("view {} depends on {} {}", view->name, kind_name(relation->kind), relation->name),
             relation);
      for (const auto& fk : relation->referenced_by) {
        if (std::find(order_.begin(), order_.end(), fk->relation) != order_.end()) continue;
        const auto child = catalog->relation(fk->relation);
        details_.push_back(fmt::format("constraint {} on table {} depends on {} {}", fk->name, child->name,
                                       kind_name(relation->kind), relation->name));
        if (!cascade_) blocked(relation);
        notices_.push_back(fmt::format("constraint {} on table {}", fk->name, child->name));
        constraints_.push_back(fk);
      }
      if (relation->kind == catalog::RelationKind::kSequence) {
        for (const auto& [id, t] : catalog->relations())
          for (const auto& column : t->columns) {
            if (column.dropped || std::find(order_.begin(), order_.end(), id) != order_.end()) continue;
            if (column.identity_sequence == relation->oid)
              throw error(sqlstate::kDependentObjectsStillExist,
                          "cannot drop sequence {} because column {} of table {} requires it", relation->name,
                          column.name, t->name)
                  .with_hint(
                      fmt::format("You can drop column {} of table {} instead.", column.name, t->name));
            const bool owns =
                relation->sequence->owner_relation == id && relation->sequence->owner_column == column.number;
            if (!column.default_sql.empty() && (owns || default_reads(c_, column, relation->oid))) {
              details_.push_back(fmt::format("default value for column {} of table {} depends on sequence {}",
                                             column.name, t->name, relation->name));
              if (!cascade_) blocked(relation);
              notices_.push_back(
                  fmt::format("default value for column {} of table {}", column.name, t->name));
              defaults_.emplace_back(id, column.number);
            }
          }
      }
    }
    if (notices_.size() == 1)
      c_.parts.notice(Severity::kNotice, error(sqlstate::kSuccess, "drop cascades to {}", notices_[0]));
    else if (!notices_.empty()) {
      auto e = error(sqlstate::kSuccess, "drop cascades to {} other objects", notices_.size());
      for (const auto& n : notices_)
        e.detail += (e.detail.empty() ? "" : "\n") + fmt::format("drop cascades to {}", n);
      c_.parts.notice(Severity::kNotice, std::move(e));
    }
    for (const auto& fk : constraints_) co_await drop_foreign_key(c_, *fk);
    for (const auto& [oid, number] : defaults_) {
      co_await lock_relation(c_.parts, oid, txn::TableLockMode::kAccessExclusive);
      const auto of = c_.parts.catalog()->relation(oid);
      if (of == nullptr) continue;
      auto copy = std::make_shared<catalog::Relation>(*of);
      copy->columns[static_cast<std::size_t>(number - 1)].default_sql.clear();
      copy->columns[static_cast<std::size_t>(number - 1)].default_oid = 0;
      co_await store_relation(c_, std::move(copy), false);
    }
    for (auto it = order_.rbegin(); it != order_.rend(); ++it)
      if (auto relation = c_.parts.catalog()->relation(*it)) co_await drop_relation(c_, relation);
  }

 private:
  void need(Oid oid, std::string what, std::string detail,
            const std::shared_ptr<const catalog::Relation>& relation) {
    if (std::find(order_.begin(), order_.end(), oid) != order_.end()) return;
    details_.push_back(std::move(detail));
    if (!cascade_) blocked(relation);
    notices_.push_back(std::move(what));
    order_.push_back(oid);
  }
  [[noreturn]] void blocked(const std::shared_ptr<const catalog::Relation>& relation) {
    throw error(sqlstate::kDependentObjectsStillExist, "cannot drop {} {} because other objects depend on it",
                kind_name(relation->kind), relation->name)
        .with_detail(details_.back())
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too.");
  }
  UtilityContext& c_;
  const bool cascade_;
  std::vector<Oid> requested_, order_;
  std::vector<std::string> details_, notices_;
  std::vector<std::shared_ptr<const catalog::Constraint>> constraints_;
  std::vector<std::pair<Oid, catalog::AttributeNumber>> defaults_;
};

/// nullptr: it is not there, and a notice is to say so.
std::shared_ptr<const catalog::Index> index_to_drop(UtilityContext& c, const sql::ObjectName& of,
                                                    bool if_exists) {
  const auto [schema, name] = split_name(of.name);
  const auto catalog = c.parts.catalog();
  auto [index, other] = find_index(c, schema, name);
  if (index == nullptr) {
    if (other != nullptr)
      throw error(sqlstate::kWrongObjectType, "\"{}\" is not an index", name)
          .with_hint(use_drop(other->kind));
    if (!if_exists && !schema.empty() && catalog->schema(schema) == nullptr)
      throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist", schema);
    if (!if_exists) throw error(sqlstate::kUndefinedObject, "index \"{}\" does not exist", name);
    return nullptr;
  }
  const auto relation = catalog->relation(index->relation);
  c.parts.require_owner(relation->owner, "index", index->name);
  if (index->constraint != 0) {
    std::string constraint;
    for (const auto& k : relation->constraints)
      if (k->oid == index->constraint) constraint = k->name;
    throw error(sqlstate::kDependentObjectsStillExist,
                "cannot drop index {} because constraint {} on table {} requires it", index->name, constraint,
                relation->name)
        .with_hint(
            fmt::format("You can drop constraint {} on table {} instead.", constraint, relation->name));
  }
  return index;
}

Task<std::string> drop_indexes(UtilityContext& c, const sql::DropStatement& s) {
  if (s.concurrently && (c.parts.in_block || !c.top_level))
    throw error(sqlstate::kActiveTransaction,
                "DROP INDEX CONCURRENTLY cannot run inside a transaction block");
  for (const auto* n : s.names) {
    std::shared_ptr<const catalog::Index> index;
    const auto find = [&] {
      index = index_to_drop(c, *n, s.if_exists);
      return index == nullptr ? nullptr : c.parts.catalog()->relation(index->relation);
    };
    const auto relation =
        co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kAccessExclusive, find);
    if (relation == nullptr) {
      c.parts.notice(Severity::kNotice, error(sqlstate::kSuccess, "index \"{}\" does not exist, skipping",
                                              split_name(n->name).name));
      continue;
    }
    require_not_in_use(c, index->oid, index->name, "DROP INDEX");
    auto copy = std::make_shared<catalog::Relation>(*relation);
    std::erase_if(copy->indexes, [&](const auto& i) { return i->oid == index->oid; });
    co_await store_relation(c, std::move(copy), true);
  }
  co_return "DROP INDEX";
}

/// A column of this type, in any schema but one; its relation is nullptr if there is none.
struct TypeUse {
  std::shared_ptr<const catalog::Relation> relation;
  std::string column;
};
TypeUse use_of(const catalog::CatalogSnapshot& catalog, const catalog::EnumType& type, Oid but_schema = 0) {
  for (const auto& [id, r] : catalog.relations()) {
    if (r->schema == but_schema) continue;
    for (const auto& column : r->columns)
      if (!column.dropped && (column.type.oid == type.oid || column.type.oid == type.array_oid))
        return {r, column.name};
  }
  return {};
}

Task<std::string> drop_schemas(UtilityContext& c, const sql::DropStatement& s) {
  for (const auto* n : s.names) {
    const auto name = n->name.back();
    const auto find = [&]() -> std::shared_ptr<const catalog::Schema> {
      const auto catalog = c.parts.catalog();
      const auto* found = catalog->schema(name);
      if (found == nullptr && s.if_exists) return nullptr;
      if (found != nullptr && found->oid < catalog::oid::kFirstUserObject &&
          found->oid != catalog::oid::kPublic)
        throw error(sqlstate::kDependentObjectsStillExist,
                    "cannot drop schema {} because it is required by the database system", name);
      return owned_schema(c, name);
    };
    const auto schema =
        co_await find_and_lock(c, catalog::oid::kPgNamespace, txn::TableLockMode::kAccessExclusive, find);
    if (schema == nullptr) {
      c.parts.notice(Severity::kNotice,
                     error(sqlstate::kSuccess, "schema \"{}\" does not exist, skipping", name));
      continue;
    }
    const auto catalog = c.parts.catalog();
    const Oid oid = schema->oid;
    Dropper dropper{c, true};
    std::string first;
    std::size_t count = 0;
    for (const auto& [id, r] : catalog->relations()) {
      if (r->schema != oid) continue;
      if (count++ == 0)
        first = fmt::format("{} {}.{} depends on schema {}", kind_name(r->kind), name, r->name, name);
      // Sequences that a table owns go with it.
      if (!(r->sequence && r->sequence->owner_relation != 0)) dropper.request(id);
    }
    std::vector<Oid> enums;
    for (const auto& [id, e] : catalog->enums())
      if (e->schema == oid) {
        enums.push_back(id);
        if (count++ == 0) first = fmt::format("type {}.{} depends on schema {}", name, e->name, name);
      }
    if (count > 0 && !s.cascade)
      throw error(sqlstate::kDependentObjectsStillExist,
                  "cannot drop schema {} because other objects depend on it", name)
          .with_detail(first)
          .with_hint("Use DROP ... CASCADE to drop the dependent objects too.");
    if (count > 0)
      c.parts.notice(Severity::kNotice, error(sqlstate::kSuccess, "drop cascades to {} other object{}", count,
                                              count == 1 ? "" : "s"));
    for (const Oid e : enums)
      if (const auto use = use_of(*catalog, *catalog->enum_type(e), oid); use.relation != nullptr)
        throw not_supported("DROP SCHEMA ... CASCADE of a type that table \"{}\" of another schema uses",
                            use.relation->name)
            .at(s.location);
    co_await dropper.run();
    for (Oid e : enums)
      co_await c.store().remove(c.transaction(), c.parts.changes, catalog::ObjectClass::kEnum, e);
    co_await c.store().remove(c.transaction(), c.parts.changes, catalog::ObjectClass::kSchema, oid);
  }
  co_return "DROP SCHEMA";
}

/// nullptr: it is not there, and a notice is to say so.
std::shared_ptr<const catalog::EnumType> type_to_drop(UtilityContext& c, const sql::DropStatement& s,
                                                      std::span<const std::string_view> name) {
  if (find_enum(c, name) == nullptr) {
    if (types::find_type(name.back()) != nullptr)
      throw error(sqlstate::kDependentObjectsStillExist,
                  "cannot drop type {} because it is required by the database system", name.back());
    if (s.if_exists) return nullptr;
  }
  auto found = owned_enum(c, name);
  if (const auto use = use_of(*c.parts.catalog(), *found); use.relation != nullptr) {
    if (s.cascade) throw not_supported("DROP TYPE ... CASCADE of a type in use").at(s.location);
    const bool visible = find_enum(c, name.last(1)) == found;
    const std::string shown = visible ? found->name : fmt::format("{}", fmt::join(name, "."));
    throw error(sqlstate::kDependentObjectsStillExist,
                "cannot drop type {} because other objects depend on it", shown)
        .with_detail(
            fmt::format("column {} of table {} depends on type {}", use.column, use.relation->name, shown))
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too.");
  }
  return found;
}

Task<std::string> drop_types(UtilityContext& c, const sql::DropStatement& s) {
  for (const auto* n : s.names) {
    const std::span<const std::string_view> name = type_name(*n);
    const auto find = [&] { return type_to_drop(c, s, name); };
    const auto found =
        co_await find_and_lock(c, catalog::oid::kPgType, txn::TableLockMode::kAccessExclusive, find);
    if (found == nullptr) {
      c.parts.notice(Severity::kNotice,
                     error(sqlstate::kSuccess, "type \"{}\" does not exist, skipping", fmt::join(name, ".")));
      continue;
    }
    co_await c.store().remove(c.transaction(), c.parts.changes, catalog::ObjectClass::kEnum, found->oid);
  }
  co_return "DROP TYPE";
}

/// nullptr: it is not there, and a notice is to say so.
std::shared_ptr<const catalog::Relation> relation_to_drop(UtilityContext& c, const sql::ObjectName& of,
                                                          catalog::RelationKind wanted, bool if_exists) {
  const auto [schema, name] = split_name(of.name);
  sql::RelationRef ref;
  ref.schema = schema;
  ref.name = name;
  auto relation = named_relation(c, ref, true);
  if (relation == nullptr) {
    if (!schema.empty() && c.parts.catalog()->schema(schema) == nullptr && !if_exists)
      throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist", schema);
    if (find_index(c, schema, name).index != nullptr)
      throw error(sqlstate::kWrongObjectType, "\"{}\" is not a {}", name, kind_name(wanted))
          .with_hint("Use DROP INDEX to remove an index.");
    if (!if_exists)
      throw error(sqlstate::kUndefinedTable, "{} \"{}{}{}\" does not exist", kind_name(wanted), schema,
                  schema.empty() ? "" : ".", name);
    return nullptr;
  }
  refuse_catalog(*relation);
  if (relation->kind != wanted)
    throw error(sqlstate::kWrongObjectType, "\"{}\" is not a {}", name, kind_name(wanted))
        .with_hint(use_drop(relation->kind));
  c.parts.require_owner(relation->owner, kind_name(relation->kind), relation->name);
  return relation;
}

}  // namespace

Task<> drop_relation(UtilityContext& c, std::shared_ptr<const catalog::Relation> relation) {
  // Owned sequences first.
  std::vector<std::shared_ptr<const catalog::Relation>> owned;
  const auto catalog = c.parts.catalog();
  if (relation->kind == catalog::RelationKind::kTable)
    for (const auto& [id, r] : catalog->relations())
      if (r->sequence && r->sequence->owner_relation == relation->oid) owned.push_back(r);
  for (const auto& r : owned) co_await drop_relation(c, r);
  require_not_in_use(c, relation->oid, relation->name, "DROP TABLE");
  if (relation->kind != catalog::RelationKind::kView)
    co_await await_outcome(c, [&] {
      return c.system().drop_table(c.transaction(), catalog::oid::kDatabasePostgres, relation->oid);
    });
  co_await c.store().remove(c.transaction(), c.parts.changes, catalog::ObjectClass::kRelation, relation->oid);
}

Task<std::string> drop_objects(UtilityContext& c, const sql::DropStatement& s) {
  using sql::ObjectType;
  catalog::RelationKind wanted{};
  std::string tag;
  switch (s.object) {
    case ObjectType::kTable:
      wanted = catalog::RelationKind::kTable;
      tag = "DROP TABLE";
      break;
    case ObjectType::kView:
      wanted = catalog::RelationKind::kView;
      tag = "DROP VIEW";
      break;
    case ObjectType::kSequence:
      wanted = catalog::RelationKind::kSequence;
      tag = "DROP SEQUENCE";
      break;
    case ObjectType::kMaterializedView:
      wanted = catalog::RelationKind::kMaterializedView;
      tag = "DROP MATERIALIZED VIEW";
      break;
    case ObjectType::kIndex: co_return co_await drop_indexes(c, s);
    case ObjectType::kSchema: co_return co_await drop_schemas(c, s);
    case ObjectType::kType: co_return co_await drop_types(c, s);
    default: throw not_supported("DROP of this kind of object").at(s.location);
  }
  Dropper dropper{c, s.cascade};
  for (const auto* n : s.names) {
    const auto [schema, name] = split_name(n->name);
    const std::string shown = schema.empty() ? std::string{name} : fmt::format("{}.{}", schema, name);
    const auto find = [&] { return relation_to_drop(c, *n, wanted, s.if_exists); };
    const auto relation =
        co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kAccessExclusive, find);
    if (relation != nullptr) dropper.request(relation->oid);
    else
      c.parts.notice(Severity::kNotice, error(sqlstate::kSuccess, "{} \"{}\" does not exist, skipping",
                                              kind_name(wanted), shown));
  }
  co_await dropper.run();
  co_return tag;
}

}  // namespace rustbd::engine
