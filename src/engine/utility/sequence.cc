// CREATE SEQUENCE and ALTER SEQUENCE.
#include "rustbd/engine/utility/table_builder.h"

namespace rustbd::engine {

namespace {

/// OWNED BY t.c or NONE.
void apply_owner(UtilityContext& c, std::span<sql::Option* const> options, catalog::SequenceOptions& o,
                 Oid schema) {
  for (const auto* option : options) {
    if (option->name != "owned_by") continue;
    const auto name = sql::as<sql::ObjectName>(option->value).name;
    if (name.size() == 1) {
      if (name[0] != "none")
        throw error(sqlstate::kSyntaxError, "invalid OWNED BY option")
            .with_hint("Specify OWNED BY table.column or OWNED BY NONE.");
      o.owner_relation = 0;
      o.owner_column = 0;
      return;
    }
    sql::RelationRef ref;
    ref.name = name[name.size() - 2];
    if (name.size() > 2) ref.schema = name[name.size() - 3];
    const auto catalog = c.parts.catalog();
    const auto path = c.parts.search_path(*catalog);
    const auto table = binder::find_relation(ref, bind_input(c.parts, *catalog, path));
    if (table->schema != schema)
      throw error(sqlstate::kObjectNotInPrerequisiteState,
                  "sequence must be in same schema as table it is linked to");
    const auto* column = table->find_column(name.back());
    if (column == nullptr)
      throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name.back(),
                  table->name);
    o.owner_relation = table->oid;
    o.owner_column = column->number;
  }
}

}  // namespace

Task<std::string> create_sequence(UtilityContext& c, const sql::CreateSequenceStatement& s) {
  if (s.relation->persistence == sql::Persistence::kTemporary)
    throw not_supported("CREATE TEMPORARY SEQUENCE").at(s.location);
  const Oid schema = target_schema(c, s.relation->schema, s.relation->location);
  co_await lock_name_in_schema(c, schema, s.relation->name);
  if (c.parts.catalog()->class_oid(schema, s.relation->name) != 0) {
    if (!s.if_not_exists)
      throw error(sqlstate::kDuplicateTable, "relation \"{}\" already exists", s.relation->name);
    c.parts.notice(Severity::kNotice, error(sqlstate::kDuplicateTable,
                                            "relation \"{}\" already exists, skipping", s.relation->name));
    co_return "CREATE SEQUENCE";
  }
  catalog::SequenceOptions options;
  read_sequence_options(s.options, options, false, nullptr);
  apply_owner(c, s.options, options, schema);
  const std::string name{s.relation->name};
  co_await store_sequence(c, schema, name, options);
  co_return "CREATE SEQUENCE";
}

Task<> restart_sequence(UtilityContext& c, std::shared_ptr<catalog::Relation> sequence, std::int64_t value) {
  const auto layout =
      catalog::make_layout(*sequence, c.system().new_table_id(), catalog::oid::kDatabasePostgres);
  co_await await_outcome(c, [&] { return c.system().alter_table(c.transaction(), layout); });
  co_await c.store().put(c.transaction(), c.parts.changes, std::move(sequence));
  co_await await_outcome(
      c, [&] { return c.system().sequence_set(&c.transaction(), layout.table, value, false); });
}

Task<std::string> alter_sequence(UtilityContext& c, const sql::AlterSequenceStatement& s) {
  const auto find = [&] {
    auto relation = named_relation(c, *s.relation, s.if_exists);
    if (relation == nullptr) return relation;
    if (!relation->sequence)
      throw error(sqlstate::kWrongObjectType, "\"{}\" is not a sequence", relation->name);
    require_owned(c, *relation);
    return relation;
  };
  const auto relation =
      co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kShareRowExclusive, find);
  if (relation == nullptr) {
    c.parts.notice(Severity::kNotice,
                   error(sqlstate::kSuccess, "relation \"{}\" does not exist, skipping", s.relation->name));
    co_return "ALTER SEQUENCE";
  }
  auto copy = std::make_shared<catalog::Relation>(*relation);
  std::optional<std::int64_t> restart;
  read_sequence_options(s.options, *copy->sequence, true, &restart);
  apply_owner(c, s.options, *copy->sequence, copy->schema);
  if (restart && (*restart < copy->sequence->minimum || *restart > copy->sequence->maximum))
    throw error(sqlstate::kInvalidParameterValue, "RESTART value ({}) cannot be {} than {} ({})", *restart,
                *restart < copy->sequence->minimum ? "less" : "greater",
                *restart < copy->sequence->minimum ? "MINVALUE" : "MAXVALUE",
                *restart < copy->sequence->minimum ? copy->sequence->minimum : copy->sequence->maximum);
  if (restart) co_await restart_sequence(c, std::move(copy), *restart);
  else co_await store_relation(c, std::move(copy), false);
  co_return "ALTER SEQUENCE";
}

}  // namespace rustbd::engine
