// CREATE INDEX and REINDEX, and building an index from a table's rows.
#include "rustbd/engine/access/local_table.h"
#include "rustbd/engine/utility/table_builder.h"
#include "rustbd/sql/deparse.h"

namespace rustbd::engine {

std::shared_ptr<catalog::Index> make_index(UtilityContext& c, const catalog::Relation& relation,
                                           const IndexRequest& request) {
  constexpr std::size_t kKeysMax = 32;
  if (request.columns.size() + request.included.size() > kKeysMax)
    throw error(sqlstate::kTooManyColumns, "cannot use more than {} columns in an index", kKeysMax);
  for (const auto& k : request.columns) {
    const auto* info = types::find_type(k.type.oid);
    const bool unordered = info != nullptr && (info->oid == types::oid::kJson ||
                                               info->oid == types::oid::kXml || info->type == 'p');
    if (unordered)
      throw error(sqlstate::kUndefinedObject,
                  "data type {} has no default operator class for access method \"btree\"",
                  types::format_type(k.type.oid))
          .with_hint(
              "You must specify an operator class for the index or define a default operator class for the "
              "data type.");
  }
  auto index = std::make_shared<catalog::Index>();
  index->oid = c.system().new_object_id();
  index->tree = IndexId{index->oid};
  index->name = request.name;
  index->relation = relation.oid;
  index->schema = relation.schema;
  index->unique = request.unique;
  index->primary = request.primary;
  index->nulls_not_distinct = request.nulls_not_distinct;
  index->deferrable = request.deferrable;
  index->columns = request.columns;
  index->included = request.included;
  index->predicate_sql = request.predicate_sql;
  index->method = request.method;
  return index;
}

Task<> fill_index(UtilityContext& c, std::shared_ptr<const catalog::Relation> relation,
                  const catalog::Index& index) {
  txn::Table table{c.system(), relation->layout};
  c.transaction().next_command();
  IndexKeyComputer computer{c.parts, *relation};
  txn::ComputeKeys compute = [&](const types::Chunk& chunk, std::vector<types::Vector>* parts,
                                 std::uint8_t* member) {
    computer.compute_for(index.tree, chunk, parts, member);
  };
  bool computed = !index.predicate_sql.empty();
  for (const auto& k : index.columns) computed = computed || k.attribute == 0;
  const auto outcome =
      co_await txn::build_index(table, index.tree, c.transaction(), computed ? &compute : nullptr);
  if (outcome.status == txn::Status::kDuplicate) {
    // Name the key that is there twice.
    std::string names, values;
    std::vector<storage::ColumnNumber> columns;
    for (const auto& k : index.columns) {
      names += (names.empty() ? "" : ", ") +
               (k.attribute == 0 ? k.expression_sql : relation->column(k.attribute).name);
      if (k.attribute != 0) columns.push_back(static_cast<storage::ColumnNumber>(k.attribute - 1));
    }
    types::ChunkBuffer buffer;
    std::uint64_t version = 0;
    const auto read = co_await txn::until_done(
        [&] { return table.fetch_newest(c.transaction(), outcome.row, columns, buffer, &version); });
    auto e = error(sqlstate::kUniqueViolation, "could not create unique index \"{}\"", index.name)
                 .on_table(relation->schema_name, relation->name)
                 .on_constraint(index.name);
    if (read.ok() && buffer.chunk().selection.count != 0 && columns.size() == index.columns.size()) {
      auto io = c.parts.session.io_context();
      Arena scratch;
      io.arena = &scratch;
      const auto row = buffer.chunk().selection[0];
      for (std::size_t i = 0; i < columns.size(); ++i) {
        if (!values.empty()) values += ", ";
        const auto& v = buffer.chunk()[i];
        if (v.is_valid(row)) types::output_text(v.datum(row), relation->columns[columns[i]].type, io, values);
        else values += "null";
      }
      e.detail = fmt::format("Key ({})=({}) is duplicated.", names, values);
    }
    throw e;
  }
  if (!outcome.ok()) c.system().throw_outcome(outcome, c.parts.locker.get());
}

Task<std::string> create_index(UtilityContext& c, const sql::CreateIndexStatement& s) {
  if (s.concurrently && (c.parts.in_block || !c.top_level))
    throw error(sqlstate::kActiveTransaction,
                "CREATE INDEX CONCURRENTLY cannot run inside a transaction block");
  const auto find = [&] {
    auto relation = named_relation(c, *s.relation);
    if (relation->kind != catalog::RelationKind::kTable)
      throw error(sqlstate::kWrongObjectType, "cannot create index on relation \"{}\"", relation->name)
          .with_detail("This operation is not supported for views.");
    require_owned(c, *relation);
    return relation;
  };
  // Stronger than PostgreSQL's SHARE by one: two index builds change the same catalog object.
  const auto relation =
      co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kShareRowExclusive, find);
  require_not_in_use(c, relation->oid, relation->name, "CREATE INDEX");
  IndexRequest request;
  request.unique = s.unique;
  request.nulls_not_distinct = s.nulls_not_distinct;
  request.method = s.access_method.empty() ? "btree" : std::string{s.access_method};
  if (request.method == "hash" && s.unique)
    throw error(sqlstate::kFeatureNotSupported, "access method \"hash\" does not support unique indexes");
  if (request.method != "btree" && request.method != "hash") {
    if (request.method == "gin" || request.method == "gist" || request.method == "brin" ||
        request.method == "spgist")
      throw not_supported("access method {}", request.method).at(s.location);
    throw error(sqlstate::kUndefinedObject, "access method \"{}\" does not exist", request.method);
  }
  const auto catalog = c.parts.catalog();
  const auto path = c.parts.search_path(*catalog);
  auto input = bind_input(c.parts, *catalog, path);
  input.arena = std::make_shared<Arena>();
  std::vector<std::string> names;
  for (const auto* e : s.columns) {
    catalog::IndexColumn part;
    part.descending = e->direction == sql::SortDirection::kDescending;
    part.nulls_first =
        e->nulls == sql::SortNulls::kFirst || (e->nulls == sql::SortNulls::kDefault && part.descending);
    const auto column_of = [&](std::string_view name) {
      const auto* column = relation->find_column(name);
      if (column == nullptr)
        throw error(sqlstate::kUndefinedColumn, "column \"{}\" does not exist", name).at(e->location);
      part.attribute = column->number;
      part.type = column->type;
      names.emplace_back(name);
    };
    if (e->expression == nullptr) {
      column_of(e->column);
    } else if (const auto* ref = sql::try_as<sql::ColumnRef>(e->expression);
               ref != nullptr && ref->fields.size() == 1 && !ref->star) {
      column_of(ref->fields[0]);
    } else {
      const auto bound =
          binder::bind_table_expression(*e->expression, relation.get(), input, nullptr, "index expressions");
      if (!expression::is_immutable(*bound))
        throw error(sqlstate::kInvalidObjectDefinition,
                    "functions in index expression must be marked IMMUTABLE")
            .at(e->location);
      part.expression_sql = sql::deparse(e->expression);
      part.type = types::find_type(bound->type.oid) == nullptr
                      ? bound->type
                      : types::make_type(bound->type.oid, std::max(bound->type.typmod, -1));
      const auto* call = sql::try_as<sql::FunctionCall>(e->expression);
      names.emplace_back(call != nullptr ? std::string{call->name.back()} : "expr");
    }
    request.columns.push_back(std::move(part));
  }
  for (const auto* e : s.including) {
    const auto* column = relation->find_column(e->column);
    if (column == nullptr)
      throw error(sqlstate::kUndefinedColumn, "column \"{}\" does not exist", e->column).at(e->location);
    request.included.push_back(column->number);
  }
  if (s.where != nullptr) {
    const auto bound =
        binder::bind_table_expression(*s.where, relation.get(), input, nullptr, "index predicates");
    if (bound->type.oid != types::oid::kBool)
      throw error(sqlstate::kDatatypeMismatch, "argument of WHERE must be type boolean, not type {}",
                  types::format_type(bound->type.oid));
    if (!expression::is_immutable(*bound))
      throw error(sqlstate::kInvalidObjectDefinition, "functions in index predicate must be marked IMMUTABLE")
          .at(s.where->location);
    request.predicate_sql = sql::deparse(s.where);
  }
  if (s.name.empty()) {
    std::string list;
    for (const auto& n : names) list += (list.empty() ? "" : "_") + n;
    request.name = free_name(*catalog, relation->schema, object_name(relation->name, list, "idx"));
  } else {
    request.name = s.name;
  }
  co_await lock_name_in_schema(c, relation->schema, request.name);
  if (c.parts.catalog()->class_oid(relation->schema, request.name) != 0) {
    if (!s.if_not_exists)
      throw error(sqlstate::kDuplicateTable, "relation \"{}\" already exists", request.name);
    c.parts.notice(Severity::kNotice, error(sqlstate::kDuplicateTable,
                                            "relation \"{}\" already exists, skipping", request.name));
    co_return "CREATE INDEX";
  }
  auto index = make_index(c, *relation, request);
  auto copy = std::make_shared<catalog::Relation>(*relation);
  copy->indexes.push_back(index);
  std::sort(copy->indexes.begin(), copy->indexes.end(),
            [](const auto& a, const auto& b) { return a->tree < b->tree; });
  co_await store_relation(c, std::move(copy), true);
  co_await fill_index(c, c.parts.catalog()->relation(relation->oid), *index);
  co_return "CREATE INDEX";
}

Task<std::string> reindex(UtilityContext& c, const sql::ReindexStatement& s) {
  if (s.relation == nullptr) throw not_supported("REINDEX of a schema or database").at(s.location);
  Oid only = 0;
  const auto find = [&] {
    if (s.target != sql::ReindexTarget::kIndex) {
      auto relation = owned_relation(c, *s.relation);
      if (relation->kind != catalog::RelationKind::kTable)
        throw error(sqlstate::kWrongObjectType, "\"{}\" is not a table or materialized view", relation->name);
      return relation;
    }
    const auto index = owned_index(c, s.relation->schema, s.relation->name);
    only = index->oid;
    return c.parts.catalog()->relation(index->relation);
  };
  const auto relation =
      co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kAccessExclusive, find);
  auto copy = std::make_shared<catalog::Relation>(*relation);
  std::vector<std::shared_ptr<const catalog::Index>> fresh;
  for (auto& index : copy->indexes) {
    if (only != 0 && index->oid != only) continue;
    require_not_in_use(c, index->oid, index->name, "REINDEX INDEX");
    auto again = std::make_shared<catalog::Index>(*index);
    again->tree = c.system().new_index_id();
    fresh.push_back(again);
    index = std::move(again);
  }
  std::sort(copy->indexes.begin(), copy->indexes.end(),
            [](const auto& a, const auto& b) { return a->tree < b->tree; });
  co_await store_relation(c, std::move(copy), true);
  const auto stored = c.parts.catalog()->relation(relation->oid);
  for (const auto& index : fresh) co_await fill_index(c, stored, *index);
  co_return "REINDEX";
}

}  // namespace rustbd::engine
