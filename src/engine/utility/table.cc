// CREATE TABLE, CREATE TABLE AS, TRUNCATE.
#include "rustbd/engine/access/statement_access.h"
#include "rustbd/engine/utility/table_builder.h"
#include "rustbd/types/cast.h"

namespace rustbd::engine {

namespace {

void check_table_options(sql::List<sql::Option*> options, catalog::Relation& relation) {
  for (const auto* o : options) {
    // Storage parameters of PostgreSQL's heap are accepted without effect (fillfactor, autovacuum_*).
    if (!o->name_space.empty() && o->name_space != "toast")
      throw error(sqlstate::kInvalidParameterValue, "unrecognized parameter namespace \"{}\"", o->name_space)
          .at(o->location);
    const bool known = o->name == "fillfactor" || o->name == "parallel_workers" ||
                       o->name == "user_catalog_table" || o->name == "toast_tuple_target" ||
                       o->name == "log_autovacuum_min_duration" || o->name == "vacuum_truncate" ||
                       o->name == "vacuum_index_cleanup" || o->name.starts_with("autovacuum_");
    if (!known)
      throw error(sqlstate::kInvalidParameterValue, "unrecognized parameter \"{}\"", o->name).at(o->location);
    std::string value;
    if (const auto* l = sql::try_as<sql::Literal>(o->value))
      value = l->type == sql::LiteralType::kInteger ? fmt::format("{}", l->integer) : std::string{l->text};
    if (o->name == "fillfactor") {
      const auto* l = sql::try_as<sql::Literal>(o->value);
      if (l == nullptr || l->type != sql::LiteralType::kInteger || l->integer < 10 || l->integer > 100)
        throw error(sqlstate::kInvalidParameterValue, "value {} out of bounds for option \"fillfactor\"",
                    value)
            .with_detail("Valid values are between \"10\" and \"100\".");
    }
    relation.options.push_back(fmt::format("{}={}", o->name, value.empty() ? "true" : value));
  }
}

/// Looks for the name; true: it exists and IF NOT EXISTS said so (a notice went out).
bool name_taken(UtilityContext& c, Oid schema, std::string_view name, bool if_not_exists) {
  if (c.parts.catalog()->class_oid(schema, name) == 0) return false;
  if (!if_not_exists) throw error(sqlstate::kDuplicateTable, "relation \"{}\" already exists", name);
  c.parts.notice(Severity::kNotice,
                 error(sqlstate::kDuplicateTable, "relation \"{}\" already exists, skipping", name));
  return true;
}

std::shared_ptr<catalog::Relation> new_relation(UtilityContext& c, Oid schema, std::string_view name,
                                                catalog::RelationKind kind) {
  auto relation = std::make_shared<catalog::Relation>();
  relation->oid = c.system().new_object_id();
  relation->row_type = c.system().new_object_id();
  relation->name = name;
  relation->schema = schema;
  const auto catalog = c.parts.catalog();
  const auto* s = catalog->schema(schema);
  relation->schema_name = s != nullptr ? s->name : "";
  relation->owner = c.parts.current_oid;
  relation->kind = kind;
  return relation;
}

Task<> store_new_table(UtilityContext& c, std::shared_ptr<catalog::Relation> relation) {
  // A user table's first tree has the table's own oid (storage.md §0 item 16).
  const auto layout =
      catalog::make_layout(*relation, TableId{relation->oid}, catalog::oid::kDatabasePostgres);
  co_await await_outcome(c, [&] { return c.system().create_table(c.transaction(), layout); });
  co_await lock_relation(c.parts, relation->oid, txn::TableLockMode::kAccessExclusive);
  co_await c.store().put(c.transaction(), c.parts.changes, std::move(relation));
}

}  // namespace

Task<std::string> create_table(UtilityContext& c, const sql::CreateTableStatement& s) {
  if (s.relation->persistence == sql::Persistence::kTemporary)
    throw not_supported("CREATE TEMPORARY TABLE").at(s.location);
  if (!s.inherits.empty()) throw not_supported("INHERITS").at(s.location);
  if (s.partition_by != nullptr || s.partition_of != nullptr)
    throw not_supported("partitioning").at(s.location);
  if (s.of_type != nullptr) throw not_supported("CREATE TABLE OF").at(s.location);
  const Oid schema = target_schema(c, s.relation->schema, s.relation->location);
  co_await lock_name_in_schema(c, schema, s.relation->name);
  if (name_taken(c, schema, s.relation->name, s.if_not_exists)) co_return "CREATE TABLE";
  auto relation = new_relation(c, schema, s.relation->name, catalog::RelationKind::kTable);
  if (s.relation->persistence == sql::Persistence::kUnlogged) relation->persistence = 'u';
  check_table_options(s.options, *relation);
  TableBuilder builder{c, relation};
  for (const auto* e : s.elements) {
    if (const auto* column = sql::try_as<sql::ColumnDefinition>(e)) builder.add_column(*column);
    else if (const auto* constraint = sql::try_as<sql::Constraint>(e)) builder.add_constraint(*constraint);
    else if (const auto* like = sql::try_as<sql::LikeClause>(e)) builder.add_like(*like);
  }
  co_await builder.finish();
  co_await store_new_table(c, relation);
  co_return "CREATE TABLE";
}

Task<std::string> create_table_as(UtilityContext& c, const sql::CreateTableAsStatement& s) {
  if (s.materialized_view) throw not_supported("CREATE MATERIALIZED VIEW").at(s.location);
  const auto& target = *s.into->relation;
  if (target.persistence == sql::Persistence::kTemporary)
    throw not_supported("CREATE TEMPORARY TABLE").at(s.location);
  if (!is_query(*s.query)) throw not_supported("CREATE TABLE AS EXECUTE").at(s.location);
  const Oid schema = target_schema(c, target.schema, target.location);
  co_await lock_name_in_schema(c, schema, target.name);
  if (name_taken(c, schema, target.name, s.if_not_exists)) co_return "CREATE TABLE AS";
  Portal portal;
  portal.parameters.assign(c.parameters.begin(), c.parameters.end());
  std::vector<types::TypeRef> parameter_types;
  for (const auto& p : portal.parameters) parameter_types.push_back(p.type);
  portal.plan =
      make_plan(c.parts, *s.query, parameter_types.empty() ? nullptr : &parameter_types, portal.parameters);
  while (co_await lock_relations(c.parts, *portal.plan))
    portal.plan =
        make_plan(c.parts, *s.query, parameter_types.empty() ? nullptr : &parameter_types, portal.parameters);
  check_privileges(c.parts, portal.plan->privileges);
  auto relation = new_relation(c, schema, target.name, catalog::RelationKind::kTable);
  if (s.into->columns.size() > portal.plan->result.size())
    throw error(sqlstate::kSyntaxError, "too many column names were specified");
  for (std::size_t i = 0; i < portal.plan->result.size(); ++i) {
    catalog::Column column;
    column.name = i < s.into->columns.size() ? std::string{s.into->columns[i]} : portal.plan->result[i].name;
    if (relation->find_column(column.name) != nullptr)
      throw error(sqlstate::kDuplicateColumn, "column \"{}\" specified more than once", column.name);
    const auto& type = portal.plan->result[i].type;
    column.type = types::make_type(type.oid, type.typmod < 0 ? -1 : type.typmod);
    column.number = static_cast<catalog::AttributeNumber>(i + 1);
    relation->columns.push_back(std::move(column));
  }
  co_await lock_column_types(c, *relation);
  co_await store_new_table(c, relation);
  if (!s.with_data) co_return "CREATE TABLE AS";
  const auto stored = c.parts.catalog()->relation(relation->oid);
  txn::Table table{c.system(), stored->layout};
  begin_statement(c.parts);
  start_run(c.parts, portal);
  std::uint64_t rows = 0;
  types::Chunk chunk;
  for (;;) {
    const auto flow = portal.run->next(&chunk, 0);
    if (flow.state == exec::State::kBlocked) {
      co_await wait(c.parts, flow.token);
      continue;
    }
    if (flow.state == exec::State::kFinished) break;
    // Columns whose static scale has no typmod are stored as the column's own form.
    std::vector<types::Vector> converted(chunk.columns, chunk.columns + chunk.column_count);
    types::ChunkBuffer buffer;
    std::vector<types::Phys> phys;
    bool differs = false;
    for (std::size_t i = 0; i < stored->columns.size(); ++i) {
      phys.push_back(stored->columns[i].type.phys);
      differs = differs || phys.back() != portal.plan->result[i].type.phys ||
                stored->columns[i].type.scale != portal.plan->result[i].type.scale;
    }
    types::Chunk out = chunk;
    if (differs) {
      buffer.reset(phys);
      out = buffer.begin();
      for (std::uint32_t n = 0; n < chunk.selection.count; ++n)
        for (std::uint32_t i = 0; i < phys.size(); ++i) {
          const auto row = chunk.selection[n];
          const auto& v = chunk[i];
          types::Datum d = v.is_valid(row) ? v.datum(row) : types::Datum{};
          const auto& from = portal.plan->result[i].type;
          const auto& to = stored->columns[i].type;
          if (v.is_valid(row) && (from.phys != to.phys || from.scale != to.scale))
            d = types::convert_decimal(d, from, to, buffer.arena());
          buffer.put(i, n, d, !v.is_valid(row));
        }
      buffer.chunk().select_all(chunk.selection.count);
      out = buffer.chunk();
    }
    std::uint32_t done = 0;
    co_await await_outcome(c, [&] { return table.bulk_append(c.transaction(), out, {}, &done); });
    rows += chunk.selection.count;
  }
  portal.run.reset();
  portal.access.reset();
  co_return fmt::format("SELECT {}", rows);
}

/// Of a table that is locked.
Task<> restart_owned_sequences(UtilityContext& c, Oid table) {
  std::vector<Oid> owned;
  const auto before = c.parts.catalog();
  for (const auto& [id, r] : before->relations())
    if (r->sequence && r->sequence->owner_relation == table) owned.push_back(id);
  for (const Oid id : owned) {
    co_await lock_relation(c.parts, id, txn::TableLockMode::kAccessExclusive);
    const auto now = c.parts.catalog()->relation(id);
    if (now == nullptr) continue;  // dropped while this waited
    co_await restart_sequence(c, std::make_shared<catalog::Relation>(*now), now->sequence->start);
  }
}

Task<std::string> truncate(UtilityContext& c, const sql::TruncateStatement& s) {
  std::vector<Oid> tables;
  for (const auto* r : s.relations) {
    const auto find = [&] {
      auto relation = named_relation(c, *r);
      if (relation->kind != catalog::RelationKind::kTable)
        throw error(sqlstate::kWrongObjectType, "\"{}\" is not a table", relation->name).at(r->location);
      refuse_catalog(*relation);
      check_privileges(c.parts, {plan::RequiredPrivilege{relation->oid, 16, {}}});
      return relation;
    };
    const auto relation =
        co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kAccessExclusive, find);
    require_not_in_use(c, relation->oid, relation->name, "TRUNCATE");
    if (std::find(tables.begin(), tables.end(), relation->oid) == tables.end())
      tables.push_back(relation->oid);
  }
  // Tables that refer to these: truncated too with CASCADE, otherwise in the way.
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const auto catalog = c.parts.catalog();
    const auto relation = catalog->relation(tables[i]);
    for (const auto& fk : relation->referenced_by) {
      if (std::find(tables.begin(), tables.end(), fk->relation) != tables.end()) continue;
      const auto child = catalog->relation(fk->relation);
      if (!s.cascade)
        throw error(sqlstate::kFeatureNotSupported,
                    "cannot truncate a table referenced in a foreign key constraint")
            .with_detail(fmt::format("Table \"{}\" references \"{}\".", child->name, relation->name))
            .with_hint(fmt::format("Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                                   child->name));
      co_await lock_relation(c.parts, child->oid, txn::TableLockMode::kAccessExclusive);
      const auto now = c.parts.catalog()->relation(child->oid);
      const auto is_this = [&](const auto& k) { return k->oid == fk->oid; };
      if (now == nullptr || std::none_of(now->constraints.begin(), now->constraints.end(), is_this))
        continue;  // the table or its foreign key was dropped while this waited
      c.parts.notice(Severity::kNotice,
                     error(sqlstate::kSuccess, "truncate cascades to table \"{}\"", child->name));
      require_not_in_use(c, child->oid, child->name, "TRUNCATE");
      tables.push_back(child->oid);
    }
  }
  for (Oid oid : tables) {
    const auto relation = c.parts.catalog()->relation(oid);
    // New trees; the old ones go when the transaction commits.
    auto copy = std::make_shared<catalog::Relation>(*relation);
    for (auto& index : copy->indexes) {
      auto fresh = std::make_shared<catalog::Index>(*index);
      fresh->tree = c.system().new_index_id();
      index = std::move(fresh);
    }
    std::sort(copy->indexes.begin(), copy->indexes.end(),
              [](const auto& a, const auto& b) { return a->tree < b->tree; });
    const auto layout =
        catalog::make_layout(*copy, c.system().new_table_id(), catalog::oid::kDatabasePostgres);
    co_await await_outcome(c, [&] { return c.system().alter_table(c.transaction(), layout); });
    co_await c.store().put(c.transaction(), c.parts.changes, std::move(copy));
    if (s.restart_identity) co_await restart_owned_sequences(c, oid);
  }
  co_return "TRUNCATE TABLE";
}

}  // namespace rustbd::engine
