#include "rustbd/engine/utility/table_builder.h"

#include "rustbd/engine/access/key_equality.h"
#include "rustbd/engine/access/local_table.h"
#include "rustbd/sql/deparse.h"
#include "rustbd/sql/keywords.h"

namespace rustbd::engine {

namespace {

constexpr std::size_t kColumnsMax = 1600;

/// serial, bigserial, smallserial and their numbers: an integer with a sequence.
std::optional<Oid> serial_type(const sql::TypeName& type) {
  if (type.name.size() != 1) return std::nullopt;
  const auto n = type.name[0];
  if (n == "serial" || n == "serial4") return types::oid::kInt4;
  if (n == "bigserial" || n == "serial8") return types::oid::kInt8;
  if (n == "smallserial" || n == "serial2") return types::oid::kInt2;
  return std::nullopt;
}
bool is_system_name(std::string_view name) {
  return name == "ctid" || name == "xmin" || name == "xmax" || name == "cmin" || name == "cmax" ||
         name == "tableoid";
}
std::string default_name(const catalog::Relation& relation, std::span<const std::string> columns,
                         std::string_view suffix) {
  std::string list;
  for (const auto& c : columns) list += (list.empty() ? "" : "_") + c;
  return object_name(relation.name, list, suffix);
}

}  // namespace

catalog::Column& TableBuilder::column_named(std::string_view name, std::int32_t location) {
  for (auto& c : relation_->columns)
    if (!c.dropped && c.name == name) return c;
  throw error(sqlstate::kUndefinedColumn, "column \"{}\" named in key does not exist", name).at(location);
}

void TableBuilder::add_column(const sql::ColumnDefinition& definition) {
  if (relation_->columns.size() >= kColumnsMax)
    throw error(sqlstate::kTooManyColumns, "tables can have at most {} columns", kColumnsMax);
  const std::string name{definition.name};
  if (relation_->find_column(name) != nullptr)
    throw error(sqlstate::kDuplicateColumn, "column \"{}\" specified more than once", name)
        .at(definition.location);
  if (is_system_name(name))
    throw error(sqlstate::kDuplicateColumn, "column name \"{}\" conflicts with a system column name", name)
        .at(definition.location);
  catalog::Column column;
  column.name = name;
  column.number = static_cast<catalog::AttributeNumber>(relation_->columns.size() + 1);
  if (definition.type == nullptr) throw not_supported("a column without a type").at(definition.location);
  if (const auto serial = serial_type(*definition.type)) {
    column.type = types::make_type(*serial);
    column.not_null = true;
    serials_.emplace_back(name, column.type);
  } else {
    const auto catalog = context_.parts.catalog();
    const auto path = context_.parts.search_path(*catalog);
    column.type = binder::bind_type(*definition.type, bind_input(context_.parts, *catalog, path));
    const auto* info = types::find_type(column.type.oid);
    if (info != nullptr && info->type == 'p')
      throw error(sqlstate::kInvalidTableDefinition, "column \"{}\" has pseudo-type {}", name, info->sql_name)
          .at(definition.location);
  }
  if (!definition.collation.empty()) {
    const auto c = definition.collation.back();
    if (c != "C" && c != "POSIX" && c != "default" && c != "ucs_basic")
      throw error(sqlstate::kUndefinedObject, "collation \"{}\" for encoding \"UTF8\" does not exist", c)
          .at(definition.location);
  }
  relation_->columns.push_back(std::move(column));
  for (const auto* c : definition.constraints) pending_.push_back({c, name});
}

void TableBuilder::add_like(const sql::LikeClause& clause) {
  const auto catalog = context_.parts.catalog();
  const auto path = context_.parts.search_path(*catalog);
  const auto from = binder::find_relation(*clause.relation, bind_input(context_.parts, *catalog, path));
  for (const auto& c : from->columns) {
    if (c.dropped) continue;
    if (relation_->find_column(c.name) != nullptr)
      throw error(sqlstate::kDuplicateColumn, "column \"{}\" specified more than once", c.name)
          .at(clause.location);
    catalog::Column copy;
    copy.name = c.name;
    copy.type = c.type;
    copy.number = static_cast<catalog::AttributeNumber>(relation_->columns.size() + 1);
    copy.not_null = c.not_null;
    if ((clause.options & sql::kLikeDefaults) != 0 && c.generated == 0) copy.default_sql = c.default_sql;
    if ((clause.options & sql::kLikeGenerated) != 0 && c.generated != 0) {
      copy.generated = c.generated;
      copy.default_sql = c.default_sql;
    }
    if ((clause.options & sql::kLikeIdentity) != 0 && c.identity != 0)
      throw not_supported("LIKE INCLUDING IDENTITY").at(clause.location);
    relation_->columns.push_back(std::move(copy));
  }
  if ((clause.options & sql::kLikeConstraints) != 0) {
    for (const auto& c : from->constraints) {
      if (c->type != catalog::ConstraintType::kCheck) continue;
      auto copy = std::make_shared<catalog::Constraint>(*c);
      copy->oid = context_.system().new_object_id();
      copy->relation = relation_->oid;
      copy->schema = relation_->schema;
      relation_->constraints.push_back(copy);
      new_constraints_.push_back(std::move(copy));
    }
  }
  if ((clause.options & sql::kLikeIndexes) != 0 && !from->indexes.empty())
    throw not_supported("LIKE INCLUDING INDEXES").at(clause.location);
}

std::string TableBuilder::constraint_name(const sql::Constraint& c, std::string base) {
  const auto taken = [&](const std::string& n) {
    for (const auto& k : relation_->constraints)
      if (k->name == n) return true;
    return false;
  };
  if (!c.name.empty()) {
    std::string name{c.name};
    if (taken(name))
      throw error(sqlstate::kDuplicateObject, "constraint \"{}\" for relation \"{}\" already exists", name,
                  relation_->name)
          .at(c.location);
    return name;
  }
  std::string name = base;
  for (int i = 1; taken(name); ++i) name = fmt::format("{}{}", base, i);
  return name;
}

void read_sequence_options(std::span<sql::Option* const> list, catalog::SequenceOptions& o, bool is_alter,
                           std::optional<std::int64_t>* restart) {
  const auto number = [](const sql::Option& option) -> std::int64_t {
    const auto* l = sql::try_as<sql::Literal>(option.value);
    if (l == nullptr)
      throw error(sqlstate::kSyntaxError, "invalid value for sequence option {}", option.name)
          .at(option.location);
    if (l->type == sql::LiteralType::kInteger) return l->integer;
    types::IoContext io;
    Arena arena;
    io.arena = &arena;
    return types::input_text(l->text, types::make_type(types::oid::kInt8), io).i64;
  };
  const auto limits = [](Oid type) -> std::pair<std::int64_t, std::int64_t> {
    if (type == types::oid::kInt2) return {INT16_MIN, INT16_MAX};
    if (type == types::oid::kInt4) return {INT32_MIN, INT32_MAX};
    return {INT64_MIN, INT64_MAX};
  };
  bool has_max = is_alter, has_min = is_alter, has_start = is_alter;
  for (const auto* option : list) {
    if (option->name == "as") {
      const auto& t = sql::as<sql::TypeName>(option->value);
      const auto* info = types::find_type(t.name.back());
      if (info == nullptr || (info->oid != types::oid::kInt2 && info->oid != types::oid::kInt4 &&
                              info->oid != types::oid::kInt8))
        throw error(sqlstate::kInvalidParameterValue, "sequence type must be smallint, integer, or bigint")
            .at(option->location);
      o.type = info->oid;
    } else if (option->name == "increment") {
      o.increment = number(*option);
      if (o.increment == 0) throw error(sqlstate::kInvalidParameterValue, "INCREMENT must not be zero");
    } else if (option->name == "maxvalue") {
      has_max = option->value != nullptr;
      if (has_max) o.maximum = number(*option);
    } else if (option->name == "minvalue") {
      has_min = option->value != nullptr;
      if (has_min) o.minimum = number(*option);
    } else if (option->name == "start") {
      o.start = number(*option);
      has_start = true;
    } else if (option->name == "cache") {
      o.cache = number(*option);
      if (o.cache <= 0)
        throw error(sqlstate::kInvalidParameterValue, "CACHE ({}) must be greater than zero", o.cache);
    } else if (option->name == "cycle") {
      o.cycle = sql::as<sql::Literal>(option->value).boolean;
    } else if (option->name == "restart" && restart != nullptr) {
      *restart = option->value != nullptr ? number(*option) : o.start;
    } else if (option->name == "owned_by" || option->name == "sequence_name" || option->name == "logged" ||
               option->name == "unlogged") {
      continue;  // the caller's
    } else {
      throw not_supported("sequence option {}", option->name).at(option->location);
    }
  }
  const auto [low, high] = limits(o.type);
  if (!has_max) o.maximum = o.increment > 0 ? high : -1;
  if (!has_min) o.minimum = o.increment > 0 ? 1 : low;
  if (o.maximum > high || o.maximum < low)
    throw error(sqlstate::kInvalidParameterValue, "MAXVALUE ({}) is out of range for sequence data type {}",
                o.maximum, types::format_type(o.type));
  if (o.minimum > high || o.minimum < low)
    throw error(sqlstate::kInvalidParameterValue, "MINVALUE ({}) is out of range for sequence data type {}",
                o.minimum, types::format_type(o.type));
  if (o.minimum >= o.maximum)
    throw error(sqlstate::kInvalidParameterValue, "MINVALUE ({}) must be less than MAXVALUE ({})", o.minimum,
                o.maximum);
  if (!has_start) o.start = o.increment > 0 ? o.minimum : o.maximum;
  if (o.start < o.minimum)
    throw error(sqlstate::kInvalidParameterValue, "START value ({}) cannot be less than MINVALUE ({})",
                o.start, o.minimum);
  if (o.start > o.maximum)
    throw error(sqlstate::kInvalidParameterValue, "START value ({}) cannot be greater than MAXVALUE ({})",
                o.start, o.maximum);
}

Task<std::shared_ptr<catalog::Relation>> store_sequence(UtilityContext& c, Oid schema, std::string name,
                                                        catalog::SequenceOptions options) {
  auto relation = std::make_shared<catalog::Relation>();
  relation->oid = c.system().new_object_id();
  relation->name = std::move(name);
  relation->schema = schema;
  relation->owner = c.parts.current_oid;
  relation->kind = catalog::RelationKind::kSequence;
  // What SELECT * FROM a sequence shows; computed from its state.
  const auto column = [&](const char* n, Oid type) {
    catalog::Column col;
    col.name = n;
    col.type = types::make_type(type);
    col.number = static_cast<catalog::AttributeNumber>(relation->columns.size() + 1);
    col.not_null = true;
    relation->columns.push_back(std::move(col));
  };
  column("last_value", types::oid::kInt8);
  column("log_cnt", types::oid::kInt8);
  column("is_called", types::oid::kBool);
  relation->sequence = options;
  const auto layout =
      catalog::make_layout(*relation, c.system().new_table_id(), catalog::oid::kDatabasePostgres);
  co_await await_outcome(c, [&] { return c.system().create_table(c.transaction(), layout); });
  co_await c.store().put(c.transaction(), c.parts.changes, relation);
  co_return relation;
}

Task<> TableBuilder::make_sequence(catalog::Column& column, std::span<sql::Option* const> list, bool identity,
                                   types::TypeRef type) {
  catalog::SequenceOptions options;
  options.type = type.oid;
  read_sequence_options(list, options, false, nullptr);
  options.owner_relation = relation_->oid;
  options.owner_column = column.number;
  const auto catalog = context_.parts.catalog();
  std::string name = free_name(*catalog, relation_->schema, object_name(relation_->name, column.name, "seq"));
  for (const auto* o : list)
    if (o->name == "sequence_name") name = sql::as<sql::ObjectName>(o->value).name.back();
  const std::string column_name = column.name;
  auto sequence = co_await store_sequence(context_, relation_->schema, name, options);
  sequences_.push_back(sequence->oid);
  auto& again = column_named(column_name, -1);
  if (identity) {
    again.identity_sequence = sequence->oid;
  } else {
    const auto* schema = catalog->schema(relation_->schema);
    again.default_sql = fmt::format("nextval({}::regclass)",
                                    sql::quote_literal((schema != nullptr && schema->name != "public"
                                                            ? sql::quote_identifier(schema->name) + "."
                                                            : std::string{}) +
                                                       sql::quote_identifier(sequence->name)));
    again.default_oid = context_.system().new_object_id();
  }
}

void TableBuilder::apply_default(catalog::Column& column, const sql::Node& expression) {
  if (!column.default_sql.empty())
    throw error(sqlstate::kSyntaxError, "multiple default values specified for column \"{}\" of table \"{}\"",
                column.name, relation_->name)
        .at(expression.location);
  const auto catalog = context_.parts.catalog();
  const auto path = context_.parts.search_path(*catalog);
  auto input = bind_input(context_.parts, *catalog, path);
  input.arena = std::make_shared<Arena>();
  if (sql::try_as<sql::ColumnRef>(&expression) != nullptr)
    throw error(sqlstate::kFeatureNotSupported, "cannot use column reference in DEFAULT expression")
        .at(expression.location);
  try {
    (void)binder::bind_table_expression(expression, nullptr, input, &column.type, "DEFAULT expressions");
  } catch (Error& e) {
    if (e.state == sqlstate::kDatatypeMismatch && e.message.starts_with("column \"\""))
      throw error(sqlstate::kDatatypeMismatch,
                  "column \"{}\" is of type {} but default expression is of type {}", column.name,
                  types::format_type(column.type.oid, -1), e.message.substr(e.message.rfind(' ') + 1))
          .with_hint("You will need to rewrite or cast the expression.");
    throw;
  }
  column.default_sql = sql::deparse(&expression);
  column.default_oid = context_.system().new_object_id();
}

void TableBuilder::apply_generated(catalog::Column& column, const sql::Node& expression) {
  const auto catalog = context_.parts.catalog();
  const auto path = context_.parts.search_path(*catalog);
  auto input = bind_input(context_.parts, *catalog, path);
  input.arena = std::make_shared<Arena>();
  const auto bound = binder::bind_table_expression(expression, relation_.get(), input, &column.type,
                                                   "column generation expressions");
  if (!expression::is_immutable(*bound))
    throw error(sqlstate::kInvalidObjectDefinition, "generation expression is not immutable");
  std::vector<expression::ColumnId> used;
  expression::collect_columns(*bound, used);
  for (auto id : used)
    if (relation_->column(static_cast<catalog::AttributeNumber>(id)).generated != 0)
      throw error(sqlstate::kInvalidObjectDefinition,
                  "cannot use generated column \"{}\" in column generation expression",
                  relation_->column(static_cast<catalog::AttributeNumber>(id)).name);
  column.generated = 's';
  column.default_sql = sql::deparse(&expression);
  column.default_oid = context_.system().new_object_id();
}

void TableBuilder::apply_check(const sql::Constraint& c, const std::string& column) {
  const auto catalog = context_.parts.catalog();
  const auto path = context_.parts.search_path(*catalog);
  auto input = bind_input(context_.parts, *catalog, path);
  input.arena = std::make_shared<Arena>();
  const auto boolean = types::make_type(types::oid::kBool);
  const auto bound =
      binder::bind_table_expression(*c.expression, relation_.get(), input, nullptr, "check constraints");
  if (bound->type.oid != boolean.oid)
    throw error(sqlstate::kDatatypeMismatch, "argument of CHECK must be type boolean, not type {}",
                types::format_type(bound->type.oid))
        .at(c.expression->location);
  std::vector<expression::ColumnId> used;
  expression::collect_columns(*bound, used);
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  auto constraint = std::make_shared<catalog::Constraint>();
  constraint->oid = context_.system().new_object_id();
  constraint->schema = relation_->schema;
  constraint->relation = relation_->oid;
  constraint->type = catalog::ConstraintType::kCheck;
  for (auto id : used) constraint->columns.push_back(static_cast<catalog::AttributeNumber>(id));
  std::vector<std::string> names;
  if (!column.empty()) names.push_back(column);
  else if (used.size() == 1)
    names.push_back(relation_->column(static_cast<catalog::AttributeNumber>(used[0])).name);
  constraint->name = constraint_name(c, default_name(*relation_, names, "check"));
  constraint->expression_sql = sql::deparse(c.expression);
  constraint->no_inherit = c.no_inherit;
  constraint->validated = !c.not_valid;
  relation_->constraints.push_back(constraint);
  new_constraints_.push_back(std::move(constraint));
}

void TableBuilder::apply_key(const sql::Constraint& c, const std::string& column) {
  const bool primary = c.type == sql::ConstraintType::kPrimaryKey;
  if (!c.using_index.empty()) throw not_supported("USING INDEX of a constraint").at(c.location);
  if (primary)
    for (const auto& k : relation_->constraints)
      if (k->type == catalog::ConstraintType::kPrimaryKey)
        throw error(sqlstate::kInvalidTableDefinition,
                    "multiple primary keys for table \"{}\" are not allowed", relation_->name)
            .at(c.location);
  IndexRequest request;
  request.unique = true;
  request.primary = primary;
  request.nulls_not_distinct = c.nulls_not_distinct;
  request.deferrable = c.deferrable;
  std::vector<std::string> names;
  auto constraint = std::make_shared<catalog::Constraint>();
  const auto add = [&](std::string_view name, std::int32_t location) {
    auto& col = column_named(name, location);
    for (auto n : constraint->columns)
      if (n == col.number)
        throw error(sqlstate::kDuplicateColumn, "column \"{}\" appears twice in {} constraint", name,
                    primary ? "primary key" : "unique")
            .at(c.location);
    if (primary) col.not_null = true;
    constraint->columns.push_back(col.number);
    catalog::IndexColumn part;
    part.attribute = col.number;
    part.type = col.type;
    request.columns.push_back(part);
    names.emplace_back(name);
  };
  if (!column.empty()) add(column, c.location);
  for (const auto n : c.columns) add(n, c.location);
  for (const auto n : c.including) request.included.push_back(column_named(n, c.location).number);
  const auto catalog = context_.parts.catalog();
  if (!c.name.empty()) {
    request.name = constraint_name(c, {});
    if (catalog->class_oid(relation_->schema, request.name) != 0)
      throw error(sqlstate::kDuplicateTable, "relation \"{}\" already exists", request.name);
  } else {
    const std::string base =
        primary ? object_name(relation_->name, "", "pkey") : default_name(*relation_, names, "key");
    request.name = constraint_name(c, base);
    for (int i = 1; catalog->class_oid(relation_->schema, request.name) != 0; ++i)
      request.name = constraint_name(c, fmt::format("{}{}", base, i));
  }
  auto index = make_index(context_, *relation_, request);
  constraint->oid = context_.system().new_object_id();
  constraint->name = request.name;
  constraint->schema = relation_->schema;
  constraint->relation = relation_->oid;
  constraint->type = primary ? catalog::ConstraintType::kPrimaryKey : catalog::ConstraintType::kUnique;
  constraint->index = index->oid;
  constraint->deferrable = c.deferrable;
  constraint->initially_deferred = c.initially_deferred;
  index->constraint = constraint->oid;
  relation_->indexes.push_back(index);
  new_indexes_.push_back(std::move(index));
  relation_->constraints.push_back(constraint);
  new_constraints_.push_back(std::move(constraint));
}

Task<> TableBuilder::apply_foreign_key(const sql::Constraint& c, const std::string& column) {
  auto constraint = std::make_shared<catalog::Constraint>();
  std::vector<std::string> names;
  const auto add = [&](std::string_view name) {
    const catalog::Column* col = relation_->find_column(name);
    if (col == nullptr)
      throw error(sqlstate::kUndefinedColumn,
                  "column \"{}\" referenced in foreign key constraint does not exist", name)
          .at(c.location);
    constraint->columns.push_back(col->number);
    names.emplace_back(name);
  };
  if (!column.empty()) add(column);
  for (const auto n : c.columns) add(n);
  const auto catalog = context_.parts.catalog();
  const auto path = context_.parts.search_path(*catalog);
  auto input = bind_input(context_.parts, *catalog, path);
  // A table may refer to itself while it is being made.
  std::shared_ptr<const catalog::Relation> parent;
  if (c.referenced->schema.empty() && c.referenced->name == relation_->name) parent = relation_;
  else {
    const auto find = [&] { return named_relation(context_, *c.referenced); };
    parent = co_await find_and_lock(context_, catalog::oid::kPgClass, txn::TableLockMode::kShareRowExclusive,
                                    find);
  }
  if (parent->kind != catalog::RelationKind::kTable || parent->is_catalog())
    throw error(sqlstate::kWrongObjectType, "referenced relation \"{}\" is not a table", parent->name)
        .at(c.location);
  if (c.referenced_columns.empty()) {
    for (const auto& k : parent->constraints)
      if (k->type == catalog::ConstraintType::kPrimaryKey) {
        constraint->referenced_columns = k->columns;
        constraint->index = k->index;
      }
    if (constraint->index == 0)
      throw error(sqlstate::kUndefinedObject, "there is no primary key for referenced table \"{}\"",
                  parent->name)
          .at(c.location);
  } else {
    for (const auto n : c.referenced_columns) {
      const auto* col = parent->find_column(n);
      if (col == nullptr)
        throw error(sqlstate::kUndefinedColumn,
                    "column \"{}\" referenced in foreign key constraint does not exist", n)
            .at(c.location);
      constraint->referenced_columns.push_back(col->number);
    }
    auto wanted = constraint->referenced_columns;
    std::sort(wanted.begin(), wanted.end());
    for (const auto& i : parent->indexes) {
      if (!i->unique || !i->predicate_sql.empty()) continue;
      std::vector<catalog::AttributeNumber> have;
      for (const auto& k : i->columns) have.push_back(k.attribute);
      std::sort(have.begin(), have.end());
      if (have == wanted) constraint->index = i->oid;
    }
    if (constraint->index == 0)
      throw error(sqlstate::kInvalidForeignKey,
                  "there is no unique constraint matching given keys for referenced table \"{}\"",
                  parent->name)
          .at(c.location);
  }
  if (constraint->columns.size() != constraint->referenced_columns.size())
    throw error(sqlstate::kInvalidForeignKey,
                "number of referencing and referenced columns for foreign key disagree")
        .at(c.location);
  for (std::size_t i = 0; i < constraint->columns.size(); ++i) {
    const auto& a = relation_->column(constraint->columns[i]);
    const auto& b = parent->column(constraint->referenced_columns[i]);
    if (!KeyEquality::of(b.type, a.type))
      throw error(sqlstate::kDatatypeMismatch, "foreign key constraint \"{}\" cannot be implemented",
                  c.name.empty() ? default_name(*relation_, names, "fkey") : std::string{c.name})
          .with_detail(fmt::format("Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                                   a.name, b.name, types::format_type(a.type.oid),
                                   types::format_type(b.type.oid)))
          .at(c.location);
  }
  static constexpr char kActions[] = {'a', 'r', 'c', 'n', 'd'};
  if (c.match == sql::MatchType::kPartial)
    throw error(sqlstate::kFeatureNotSupported, "MATCH PARTIAL not yet implemented").at(c.location);
  if (c.deferrable && c.initially_deferred) throw not_supported("INITIALLY DEFERRED").at(c.location);
  constraint->oid = context_.system().new_object_id();
  constraint->name = constraint_name(c, default_name(*relation_, names, "fkey"));
  constraint->schema = relation_->schema;
  constraint->relation = relation_->oid;
  constraint->type = catalog::ConstraintType::kForeignKey;
  constraint->referenced_relation = parent->oid;
  constraint->on_delete = kActions[static_cast<std::size_t>(c.on_delete)];
  constraint->on_update = kActions[static_cast<std::size_t>(c.on_update)];
  for (const auto n : c.on_delete_columns) {
    const auto* col = relation_->find_column(n);
    if (col == nullptr)
      throw error(sqlstate::kUndefinedColumn,
                  "column \"{}\" referenced in ON DELETE SET action must be part of foreign key", n)
          .at(c.location);
    constraint->on_delete_columns.push_back(col->number);
  }
  constraint->match = c.match == sql::MatchType::kFull ? 'f' : 's';
  constraint->deferrable = c.deferrable;
  constraint->initially_deferred = c.initially_deferred;
  constraint->validated = !c.not_valid;
  relation_->constraints.push_back(constraint);
  new_constraints_.push_back(std::move(constraint));
}

Task<> TableBuilder::finish() {
  co_await lock_column_types(context_, *relation_);
  // Sequences first: defaults may name them.
  for (std::size_t i = 0; i < serials_.size(); ++i)
    co_await make_sequence(column_named(serials_[i].first, -1), {}, false, serials_[i].second);
  serials_.clear();
  const auto pending = std::move(pending_);
  pending_.clear();
  for (const auto& p : pending) {
    const auto& c = *p.constraint;
    switch (c.type) {
      case sql::ConstraintType::kNull: break;
      case sql::ConstraintType::kNotNull: column_named(p.column, c.location).not_null = true; break;
      case sql::ConstraintType::kDefault:
        apply_default(column_named(p.column, c.location), *c.expression);
        break;
      case sql::ConstraintType::kIdentity: {
        auto& column = column_named(p.column, c.location);
        if (column.type.oid != types::oid::kInt2 && column.type.oid != types::oid::kInt4 &&
            column.type.oid != types::oid::kInt8)
          throw error(sqlstate::kInvalidParameterValue,
                      "identity column type must be smallint, integer, or bigint")
              .at(c.location);
        if (!column.default_sql.empty())
          throw error(sqlstate::kSyntaxError,
                      "both default and identity specified for column \"{}\" of table \"{}\"", column.name,
                      relation_->name)
              .at(c.location);
        column.identity = c.identity_always ? 'a' : 'd';
        column.not_null = true;
        co_await make_sequence(column, c.sequence_options, true, column.type);
        break;
      }
      default: break;
    }
  }
  for (const auto& p : pending)
    if (p.constraint->type == sql::ConstraintType::kGenerated)
      apply_generated(column_named(p.column, p.constraint->location), *p.constraint->expression);
  for (const auto& p : pending)
    if (p.constraint->type == sql::ConstraintType::kPrimaryKey) apply_key(*p.constraint, p.column);
  for (const auto& p : pending) {
    const auto& c = *p.constraint;
    switch (c.type) {
      case sql::ConstraintType::kUnique: apply_key(c, p.column); break;
      case sql::ConstraintType::kCheck: apply_check(c, p.column); break;
      case sql::ConstraintType::kForeignKey: co_await apply_foreign_key(c, p.column); break;
      case sql::ConstraintType::kExclusion: throw not_supported("EXCLUDE").at(c.location);
      default: break;
    }
  }
  std::sort(relation_->constraints.begin(), relation_->constraints.end(),
            [](const auto& a, const auto& b) { return a->name < b->name; });
  std::sort(relation_->indexes.begin(), relation_->indexes.end(),
            [](const auto& a, const auto& b) { return a->tree < b->tree; });
}

namespace {
/// Calls `each` for chunks of all rows that are there, also those that a REPEATABLE READ transaction does not
/// see: all columns in order, then the row id. @pre a lock that keeps writers out.
Task<> for_all_rows(UtilityContext& c, const catalog::Relation& relation,
                    std::function<void(const types::Chunk&)> each) {
  txn::Table table{c.system(), relation.layout};
  std::vector<storage::ColumnNumber> all;
  for (storage::ColumnNumber i = 0; i < relation.columns.size(); ++i) all.push_back(i);
  c.transaction().next_command();
  txn::TableScan scan{table, c.transaction().fresh_view(), all};
  types::ChunkBuffer buffer;
  for (;;) {
    const auto outcome = scan.next(buffer);
    if (outcome.blocked()) {
      co_await wait(c.parts, outcome.token);
      continue;
    }
    if (outcome.status == txn::Status::kEnd) co_return;
    if (!outcome.ok()) c.system().throw_outcome(outcome, c.parts.locker.get());
    each(buffer.chunk());
  }
}
}  // namespace

Task<> check_existing_rows(UtilityContext& c, std::shared_ptr<const catalog::Relation> relation,
                           const catalog::Constraint* check, const catalog::Column* column) {
  if (column != nullptr) {
    const auto at = static_cast<std::size_t>(column->number - 1);
    co_await for_all_rows(c, *relation, [&](const types::Chunk& chunk) {
      for (std::uint32_t i = 0; i < chunk.selection.count; ++i)
        if (!chunk[at].is_valid(chunk.selection[i]))
          throw error(sqlstate::kNotNullViolation, "column \"{}\" of relation \"{}\" contains null values",
                      column->name, relation->name)
              .on_table(relation->schema_name, relation->name)
              .on_column(column->name);
    });
  }
  if (check == nullptr) co_return;
  const auto catalog = c.parts.catalog();
  const auto path = c.parts.search_path(*catalog);
  auto input = bind_input(c.parts, *catalog, path);
  input.arena = std::make_shared<Arena>();
  Arena ast;
  const auto bound = binder::bind_table_expression(*sql::parse_expression(check->expression_sql, ast),
                                                   relation.get(), input, nullptr, "check constraints");
  const expression::Expression* list[] = {bound.get()};
  const auto program = expression::Program::compile(list, columns_of(*relation));
  const auto local = program->make_local();
  expression::RunContext run;
  run.statement = input.statement;
  run.cancel = c.parts.session.cancel_flag();
  co_await for_all_rows(c, *relation, [&](const types::Chunk& chunk) {
    types::Vector out;
    program->evaluate(*local, run, chunk, {&out, 1});
    for (std::uint32_t i = 0; i < chunk.selection.count; ++i) {
      const auto row = chunk.selection[i];
      if (out.is_valid(row) && !out.datum(row).boolean)
        throw error(sqlstate::kCheckViolation,
                    "check constraint \"{}\" of relation \"{}\" is violated by some row", check->name,
                    relation->name)
            .on_table(relation->schema_name, relation->name)
            .on_constraint(check->name);
    }
  });
}

Task<> check_existing_foreign_key(UtilityContext& c, std::shared_ptr<const catalog::Relation> relation,
                                  const catalog::Constraint& constraint) {
  c.transaction().next_command();
  StatementAccess access{c.parts};
  auto shared = std::make_shared<const catalog::Constraint>(constraint);
  co_await for_all_rows(c, *relation, [&](const types::Chunk& chunk) {
    const auto& ids = chunk[relation->columns.size()];
    for (std::uint32_t i = 0; i < chunk.selection.count; ++i)
      access.queue(StatementAccess::ChildCheck{shared, RowId{ids.datum(chunk.selection[i]).u64}});
  });
  co_await access.finish();
}

}  // namespace rustbd::engine
