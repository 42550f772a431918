// ALTER TABLE and its kin.
#include "rustbd/base/bytes.h"
#include "rustbd/engine/access/local_table.h"
#include "rustbd/engine/utility/table_builder.h"
#include "rustbd/sql/deparse.h"

namespace rustbd::engine {

namespace {

class TableChange {
 public:
  TableChange(UtilityContext& c, std::shared_ptr<const catalog::Relation> relation)
      : c_(c), before_(std::move(relation)), relation_(std::make_shared<catalog::Relation>(*before_)) {}

  Task<> apply(const sql::AlterTableCommand& a) {
    using sql::AlterTableType;
    switch (a.type) {
      case AlterTableType::kAddColumn: co_await add_column(a); break;
      case AlterTableType::kDropColumn: co_await drop_column(a); break;
      case AlterTableType::kAlterType: co_await alter_type(a); break;
      case AlterTableType::kSetDefault: set_default(a); break;
      case AlterTableType::kDropDefault: {
        auto& column = named(a.name);
        if (column.identity != 0)
          throw error(sqlstate::kSyntaxError, "column \"{}\" of relation \"{}\" is an identity column",
                      column.name, relation_->name)
              .with_hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.");
        column.default_sql.clear();
        column.default_oid = 0;
        break;
      }
      case AlterTableType::kSetNotNull: {
        auto& column = named(a.name);
        if (!column.not_null)
          co_await check_existing_rows(
              c_, c_.parts.catalog()->relation(relation_->oid), nullptr,
              before_->find_column(a.name) != nullptr ? before_->find_column(a.name) : &column);
        named(a.name).not_null = true;
        break;
      }
      case AlterTableType::kDropNotNull: {
        auto& column = named(a.name);
        for (const auto& k : relation_->constraints)
          if (k->type == catalog::ConstraintType::kPrimaryKey &&
              std::find(k->columns.begin(), k->columns.end(), column.number) != k->columns.end())
            throw error(sqlstate::kInvalidTableDefinition, "column \"{}\" is in a primary key", column.name);
        if (column.identity != 0)
          throw error(sqlstate::kSyntaxError, "column \"{}\" of relation \"{}\" is an identity column",
                      column.name, relation_->name);
        column.not_null = false;
        break;
      }
      case AlterTableType::kAddConstraint: co_await add_constraint(*a.constraint); break;
      case AlterTableType::kDropConstraint: co_await drop_constraint(a); break;
      case AlterTableType::kValidateConstraint: co_await validate(a); break;
      case AlterTableType::kOwner: relation_->owner = existing_role(c_, role_name(c_, *a.role))->oid; break;
      case AlterTableType::kSetOptions:
      case AlterTableType::kResetOptions:
      case AlterTableType::kSetStatistics:
      case AlterTableType::kSetStorage:
      case AlterTableType::kSetCompression:
      case AlterTableType::kSetColumnOptions:
      case AlterTableType::kResetColumnOptions:
      case AlterTableType::kSetWithoutCluster:
      case AlterTableType::kSetWithoutOids:
      case AlterTableType::kClusterOn:
      case AlterTableType::kReplicaIdentityDefault:
      case AlterTableType::kReplicaIdentityFull:
      case AlterTableType::kReplicaIdentityNothing:
      case AlterTableType::kReplicaIdentityIndex: break;  // of PostgreSQL's heap: accepted without effect
      case AlterTableType::kSetLogged: relation_->persistence = 'p'; break;
      case AlterTableType::kSetUnlogged: relation_->persistence = 'u'; break;
      case AlterTableType::kAddIdentity: co_await add_identity(a); break;
      case AlterTableType::kDropIdentity: co_await drop_identity(a); break;
      default: throw not_supported("this form of ALTER TABLE").at(a.location);
    }
    co_await flush();
  }

 private:
  catalog::Column& named(std::string_view name) {
    for (auto& column : relation_->columns)
      if (!column.dropped && column.name == name) return column;
    throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                relation_->name);
  }
  /// Stores what has changed so far and reads it back: the next command builds on it.
  Task<> flush() {
    co_await store_relation(c_, relation_, layout_changed_);
    layout_changed_ = false;
    before_ = c_.parts.catalog()->relation(relation_->oid);
    relation_ = std::make_shared<catalog::Relation>(*before_);
  }

  Task<> add_column(const sql::AlterTableCommand& a) {
    if (a.if_not_exists && relation_->find_column(a.column->name) != nullptr) {
      c_.parts.notice(Severity::kNotice, error(sqlstate::kDuplicateColumn,
                                               "column \"{}\" of relation \"{}\" already exists, skipping",
                                               a.column->name, relation_->name));
      co_return;
    }
    if (relation_->find_column(a.column->name) != nullptr)
      throw error(sqlstate::kDuplicateColumn, "column \"{}\" of relation \"{}\" already exists",
                  a.column->name, relation_->name);
    const auto indexes = relation_->indexes.size();
    TableBuilder builder{c_, relation_};
    builder.add_column(*a.column);
    co_await builder.finish();
    auto& column = relation_->columns.back();
    const auto number = column.number;
    const bool not_null = column.not_null, generated = column.generated != 0,
               volatile_default = column.identity != 0;
    // Rows of before get the default as their value without being rewritten, if it is one value for all.
    bool constant = !generated && !volatile_default;
    types::Value missing{column.type, true, {}};
    Arena values;
    if (constant && !column.default_sql.empty()) {
      const auto catalog = c_.parts.catalog();
      const auto path = c_.parts.search_path(*catalog);
      auto input = bind_input(c_.parts, *catalog, path);
      input.arena = std::make_shared<Arena>();
      Arena ast;
      const auto bound = binder::bind_table_expression(*sql::parse_expression(column.default_sql, ast),
                                                       nullptr, input, &column.type, "DEFAULT expressions");
      if (expression::is_volatile(*bound)) constant = false;
      else {
        expression::RunContext run;
        run.statement = input.statement;
        missing = expression::evaluate_constant(*bound, run, values);
      }
    }
    auto layout = catalog::make_layout(*relation_, relation_->layout->table, catalog::oid::kDatabasePostgres);
    layout.schema_version = relation_->layout->schema_version + 1;
    auto& stored = layout.columns[static_cast<std::size_t>(number - 1)];
    stored.since_version = layout.schema_version;
    if (constant && !missing.is_null) {
      stored.has_missing_value = true;
      if (types::is_variable(column.type.phys))
        types::append_stored(missing.datum, column.type.phys, stored.missing_value);
      else {
        stored.missing_value.resize(types::width_of(column.type.phys));
        types::store_datum(stored.missing_value.data(), missing.datum, types::width_of(column.type.phys));
      }
      constexpr std::size_t kMissingMax = 4000;  // of all columns together (storage/rows)
      std::size_t total = 0;
      for (const auto& k : layout.columns) total += k.missing_value.size();
      if (total > kMissingMax) throw not_supported("a default value this long for a new column");
    }
    if (!storage::RowFormat(std::make_shared<storage::TableLayout>(layout)).holds_earlier_rows())
      throw error(sqlstate::kTooManyColumns,
                  "table \"{}\" is too wide for another column: rows that are there might not fit with it",
                  relation_->name)
          .with_hint("Make a new table that has it (CREATE TABLE AS), or a second table with the same key.");
    co_await await_outcome(c_, [&] { return c_.system().alter_table(c_.transaction(), layout); });
    const auto new_indexes = builder.new_indexes();
    const auto new_constraints = builder.new_constraints();
    (void)indexes;
    co_await c_.store().put(c_.transaction(), c_.parts.changes, relation_);
    auto now = c_.parts.catalog()->relation(relation_->oid);
    if (!constant) {
      // A value for each row: written like an UPDATE.
      co_await fill_column(now, now->column(number));
      now = c_.parts.catalog()->relation(relation_->oid);
    }
    if (not_null && (!constant || missing.is_null))
      co_await check_existing_rows(c_, now, nullptr, &now->column(number));
    for (const auto& index : new_indexes) co_await fill_index(c_, now, *index);
    for (const auto& k : new_constraints) {
      if (k->type == catalog::ConstraintType::kCheck) co_await check_existing_rows(c_, now, k.get(), nullptr);
      if (k->type == catalog::ConstraintType::kForeignKey) co_await check_existing_foreign_key(c_, now, *k);
    }
    before_ = now;
    relation_ = std::make_shared<catalog::Relation>(*before_);
  }

  /// Gives a column its default, generated or next identity value in every row.
  Task<> fill_column(std::shared_ptr<const catalog::Relation> relation, const catalog::Column& column) {
    c_.transaction().next_command();
    StatementAccess access{c_.parts};
    auto& table = access.local(relation);
    const auto catalog = c_.parts.catalog();
    const auto path = c_.parts.search_path(*catalog);
    auto input = bind_input(c_.parts, *catalog, path);
    input.arena = std::make_shared<Arena>();
    std::unique_ptr<expression::Program> program;
    expression::Program::LocalPtr local;
    expression::RunContext run;
    run.statement = input.statement;
    if (column.identity == 0) {
      Arena ast;
      const auto bound = binder::bind_table_expression(*sql::parse_expression(column.default_sql, ast),
                                                       column.generated != 0 ? relation.get() : nullptr,
                                                       input, &column.type, "DEFAULT expressions");
      const expression::Expression* one[] = {bound.get()};
      program = expression::Program::compile(one, columns_of(*relation));
      local = program->make_local();
    }
    std::vector<storage::ColumnNumber> all;
    for (storage::ColumnNumber i = 0; i < relation->columns.size(); ++i) all.push_back(i);
    txn::TableScan scan{table.table(), c_.transaction().fresh_view(), all};
    types::ChunkBuffer buffer;
    const catalog::AttributeNumber changed[] = {column.number};
    for (;;) {
      const auto outcome = scan.next(buffer);
      if (outcome.blocked()) {
        co_await wait(c_.parts, outcome.token);
        continue;
      }
      if (outcome.status == txn::Status::kEnd) break;
      if (!outcome.ok()) c_.system().throw_outcome(outcome, c_.parts.locker.get());
      auto& chunk = buffer.chunk();
      types::Vector value;
      types::VectorBuffer memory{column.type.phys};
      if (program) program->evaluate(*local, run, chunk, {&value, 1});
      else {
        value = memory.flat();
        for (std::uint32_t i = 0; i < chunk.selection.count; ++i) {
          const auto v = run.statement->nextval(column.identity_sequence);
          const auto d =
              column.type.phys == types::Phys::kI16
                  ? types::Datum::of(static_cast<std::int16_t>(v))
                  : (column.type.phys == types::Phys::kI32 ? types::Datum::of(static_cast<std::int32_t>(v))
                                                           : types::Datum::of(v));
          types::store_datum(static_cast<char*>(value.data) + std::size_t{chunk.selection[i]} * value.width,
                             d, value.width);
        }
      }
      std::vector<types::Vector> columns(chunk.columns, chunk.columns + relation->columns.size());
      columns[static_cast<std::size_t>(column.number - 1)] = value;
      exec::NewRows rows{columns, {}, {}};
      for (std::uint32_t i = 0; i < chunk.selection.count; ++i) {
        const auto row = chunk.selection[i];
        const RowId id{chunk[relation->columns.size()].datum(row).u64};
        for (;;) {
          const auto flow = table.update(id, changed, rows, row);
          if (flow.result == exec::WriteResult::kDone) break;
          if (flow.result != exec::WriteResult::kBlocked)
            throw error(sqlstate::kSerializationFailure,
                        "could not serialize access due to concurrent update");
          co_await wait(c_.parts, flow.token);
        }
      }
    }
    co_await access.finish();
  }

  Task<> drop_column(const sql::AlterTableCommand& a) {
    const auto* found = relation_->find_column(a.name);
    if (found == nullptr) {
      if (!a.if_exists)
        throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", a.name,
                    relation_->name);
      c_.parts.notice(Severity::kNotice,
                      error(sqlstate::kSuccess, "column \"{}\" of relation \"{}\" does not exist, skipping",
                            a.name, relation_->name));
      co_return;
    }
    const auto number = found->number;
    const auto now = c_.parts.catalog();
    const auto stored = now->relation(relation_->oid);
    for (const auto& fk : stored->referenced_by) {
      if (std::find(fk->referenced_columns.begin(), fk->referenced_columns.end(), number) ==
          fk->referenced_columns.end())
        continue;
      const auto child = now->relation(fk->relation);
      if (!a.cascade)
        throw error(sqlstate::kDependentObjectsStillExist,
                    "cannot drop column {} of table {} because other objects depend on it", a.name,
                    relation_->name)
            .with_detail(fmt::format("constraint {} on table {} depends on column {} of table {}", fk->name,
                                     child->name, a.name, relation_->name))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too.");
      if (child->oid != relation_->oid) co_await drop_foreign_key(c_, *fk);
    }
    // Views that read the column stand in its way.
    const auto catalog = c_.parts.catalog();
    for (const auto& [id, view] : catalog->relations()) {
      if (view->kind != catalog::RelationKind::kView || view->is_catalog() ||
          view->schema == catalog::oid::kInformationSchema)
        continue;
      Arena arena;
      const auto path = c_.parts.search_path(*catalog);
      auto input = bind_input(c_.parts, *catalog, path);
      const auto plan = binder::bind(*sql::parse(view->view_sql, arena)[0].statement, input);
      for (const auto& p : plan->privileges)
        if (p.relation == relation_->oid &&
            std::find(p.columns.begin(), p.columns.end(), number) != p.columns.end())
          throw error(sqlstate::kDependentObjectsStillExist,
                      "cannot drop column {} of table {} because other objects depend on it", a.name,
                      relation_->name)
              .with_detail(fmt::format("view {} depends on column {} of table {}", view->name, a.name,
                                       relation_->name))
              .with_hint("Use DROP ... CASCADE to drop the dependent objects too.");
    }
    const auto mentions = [&](const std::vector<catalog::AttributeNumber>& list) {
      return std::find(list.begin(), list.end(), number) != list.end();
    };
    std::erase_if(relation_->constraints, [&](const auto& k) { return mentions(k->columns); });
    std::erase_if(relation_->indexes, [&](const auto& i) {
      for (const auto& k : i->columns)
        if (k.attribute == number) return true;
      return mentions(i->included);
    });
    std::vector<std::shared_ptr<const catalog::Relation>> owned;
    for (const auto& [id, r] : catalog->relations())
      if (r->sequence && r->sequence->owner_relation == relation_->oid && r->sequence->owner_column == number)
        owned.push_back(r);
    auto& column = relation_->columns[static_cast<std::size_t>(number - 1)];
    column.dropped = true;
    column.name = fmt::format("........pg.dropped.{}........", number);
    column.default_sql.clear();
    column.default_oid = 0;
    column.not_null = false;
    column.identity = 0;
    column.generated = 0;
    auto layout = catalog::make_layout(*relation_, relation_->layout->table, catalog::oid::kDatabasePostgres);
    layout.schema_version = relation_->layout->schema_version + 1;
    co_await await_outcome(c_, [&] { return c_.system().alter_table(c_.transaction(), layout); });
    co_await c_.store().put(c_.transaction(), c_.parts.changes, relation_);
    for (const auto& r : owned) co_await drop_relation(c_, r);
    before_ = c_.parts.catalog()->relation(relation_->oid);
    relation_ = std::make_shared<catalog::Relation>(*before_);
  }

  void set_default(const sql::AlterTableCommand& a) {
    auto& column = named(a.name);
    if (column.generated != 0)
      throw error(sqlstate::kSyntaxError, "column \"{}\" of relation \"{}\" is a generated column",
                  column.name, relation_->name);
    if (column.identity != 0)
      throw error(sqlstate::kSyntaxError, "column \"{}\" of relation \"{}\" is an identity column",
                  column.name, relation_->name);
    const auto catalog = c_.parts.catalog();
    const auto path = c_.parts.search_path(*catalog);
    auto input = bind_input(c_.parts, *catalog, path);
    input.arena = std::make_shared<Arena>();
    (void)binder::bind_table_expression(*a.expression, nullptr, input, &column.type, "DEFAULT expressions");
    column.default_sql = sql::deparse(a.expression);
    if (column.default_oid == 0) column.default_oid = c_.system().new_object_id();
  }

  Task<> add_constraint(const sql::Constraint& constraint) {
    TableBuilder builder{c_, relation_};
    builder.add_constraint(constraint);
    co_await builder.finish();
    const auto indexes = builder.new_indexes();
    const auto constraints = builder.new_constraints();
    // A primary key makes its columns NOT NULL.
    std::vector<catalog::AttributeNumber> not_null;
    for (const auto& column : relation_->columns)
      if (column.not_null && !before_->column(column.number).not_null) not_null.push_back(column.number);
    for (auto n : not_null) co_await check_existing_rows(c_, before_, nullptr, &before_->column(n));
    layout_changed_ = layout_changed_ || !indexes.empty();
    co_await flush();
    for (const auto& index : indexes) co_await fill_index(c_, before_, *index);
    for (const auto& k : constraints) {
      if (!k->validated) continue;
      if (k->type == catalog::ConstraintType::kCheck)
        co_await check_existing_rows(c_, before_, k.get(), nullptr);
      if (k->type == catalog::ConstraintType::kForeignKey)
        co_await check_existing_foreign_key(c_, before_, *k);
    }
  }

  Task<> drop_constraint(const sql::AlterTableCommand& a) {
    std::shared_ptr<const catalog::Constraint> found;
    for (const auto& k : relation_->constraints)
      if (k->name == a.name) found = k;
    if (found == nullptr) {
      if (!a.if_exists)
        throw error(sqlstate::kUndefinedObject, "constraint \"{}\" of relation \"{}\" does not exist", a.name,
                    relation_->name);
      c_.parts.notice(
          Severity::kNotice,
          error(sqlstate::kSuccess, "constraint \"{}\" of relation \"{}\" does not exist, skipping", a.name,
                relation_->name));
      co_return;
    }
    if (found->type == catalog::ConstraintType::kForeignKey) {
      const auto referenced = c_.parts.catalog()->relation(found->referenced_relation);
      require_not_in_use(c_, referenced->oid, referenced->name, "ALTER TABLE");
    }
    if (found->type == catalog::ConstraintType::kPrimaryKey ||
        found->type == catalog::ConstraintType::kUnique) {
      const auto now = c_.parts.catalog();
      const auto stored = now->relation(relation_->oid);
      for (const auto& fk : stored->referenced_by) {
        if (fk->index != found->index) continue;
        const auto child = now->relation(fk->relation);
        if (!a.cascade)
          throw error(sqlstate::kDependentObjectsStillExist,
                      "cannot drop constraint {} on table {} because other objects depend on it", found->name,
                      relation_->name)
              .with_detail(fmt::format("constraint {} on table {} depends on index {}", fk->name, child->name,
                                       found->name))
              .with_hint("Use DROP ... CASCADE to drop the dependent objects too.");
        if (child->oid == relation_->oid) {
          std::erase_if(relation_->constraints, [&](const auto& k) { return k->oid == fk->oid; });
          continue;
        }
        co_await drop_foreign_key(c_, *fk);
      }
      std::erase_if(relation_->indexes, [&](const auto& i) { return i->oid == found->index; });
      layout_changed_ = true;
    }
    std::erase_if(relation_->constraints, [&](const auto& k) { return k->oid == found->oid; });
  }

  Task<> validate(const sql::AlterTableCommand& a) {
    for (auto& k : relation_->constraints) {
      if (k->name != a.name) continue;
      if (!k->validated) {
        if (k->type == catalog::ConstraintType::kCheck)
          co_await check_existing_rows(c_, before_, k.get(), nullptr);
        if (k->type == catalog::ConstraintType::kForeignKey)
          co_await check_existing_foreign_key(c_, before_, *k);
        auto copy = std::make_shared<catalog::Constraint>(*k);
        copy->validated = true;
        k = std::move(copy);
      }
      co_return;
    }
    throw error(sqlstate::kUndefinedObject, "constraint \"{}\" of relation \"{}\" does not exist", a.name,
                relation_->name);
  }

  Task<> add_identity(const sql::AlterTableCommand& a) {
    auto& column = named(a.name);
    if (!column.not_null)
      throw error(sqlstate::kObjectNotInPrerequisiteState,
                  "column \"{}\" of relation \"{}\" must be declared NOT NULL before identity can be added",
                  column.name, relation_->name);
    if (column.identity != 0)
      throw error(sqlstate::kObjectNotInPrerequisiteState,
                  "column \"{}\" of relation \"{}\" is already an identity column", column.name,
                  relation_->name);
    if (!column.default_sql.empty())
      throw error(sqlstate::kObjectNotInPrerequisiteState,
                  "column \"{}\" of relation \"{}\" already has a default value", column.name,
                  relation_->name);
    catalog::SequenceOptions options;
    options.type = column.type.oid;
    read_sequence_options(a.constraint->sequence_options, options, false, nullptr);
    options.owner_relation = relation_->oid;
    options.owner_column = column.number;
    const auto name =
        free_name(*c_.parts.catalog(), relation_->schema, object_name(relation_->name, column.name, "seq"));
    const bool always = a.constraint->identity_always;
    const auto sequence = co_await store_sequence(c_, relation_->schema, name, options);
    auto& again = named(a.name);
    again.identity = always ? 'a' : 'd';
    again.identity_sequence = sequence->oid;
  }
  Task<> drop_identity(const sql::AlterTableCommand& a) {
    auto& column = named(a.name);
    if (column.identity == 0) {
      if (a.if_exists) co_return;
      throw error(sqlstate::kObjectNotInPrerequisiteState,
                  "column \"{}\" of relation \"{}\" is not an identity column", column.name, relation_->name);
    }
    const auto sequence = c_.parts.catalog()->relation(column.identity_sequence);
    column.identity = 0;
    column.identity_sequence = 0;
    if (sequence != nullptr) co_await drop_relation(c_, sequence);
  }

  /// A new type for a column: all rows are written anew under a new table id.
  Task<> alter_type(const sql::AlterTableCommand& a) {
    const auto* old = relation_->find_column(a.name);
    if (old == nullptr)
      throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", a.name,
                  relation_->name);
    const auto number = old->number;
    const auto catalog = c_.parts.catalog();
    const auto path = c_.parts.search_path(*catalog);
    auto input = bind_input(c_.parts, *catalog, path);
    input.arena = std::make_shared<Arena>();
    const auto target = binder::bind_type(*a.column->type, input);
    for (const auto& fk : relation_->referenced_by)
      if (std::find(fk->referenced_columns.begin(), fk->referenced_columns.end(), number) !=
          fk->referenced_columns.end())
        throw not_supported("a new type for a column that foreign keys refer to");
    for (const auto& k : relation_->constraints)
      if (k->type == catalog::ConstraintType::kForeignKey &&
          std::find(k->columns.begin(), k->columns.end(), number) != k->columns.end())
        throw not_supported("a new type for a column of a foreign key");
    for (const auto& column : relation_->columns)
      if (!column.dropped && column.generated != 0)
        throw not_supported("a new type for a column of a table with generated columns");
    expression::ExpressionPtr conversion;
    Arena ast;
    if (a.expression != nullptr) {
      conversion = binder::bind_table_expression(*a.expression, relation_.get(), input, nullptr,
                                                 "transform expressions");
    } else {
      conversion = expression::make_column(static_cast<expression::ColumnId>(number), old->type);
    }
    const auto from = conversion->type;
    conversion = binder::coerce_for_assignment(std::move(conversion), target, input);
    if (conversion == nullptr)
      throw error(sqlstate::kDatatypeMismatch, "column \"{}\" cannot be cast automatically to type {}",
                  a.name, types::format_type(target.oid, target.typmod))
          .with_hint(fmt::format("You might need to specify \"USING {}::{}\".", a.name,
                                 types::format_type(target.oid, target.typmod)));
    (void)from;
    // The default moves along, if it can.
    auto& column = relation_->columns[static_cast<std::size_t>(number - 1)];
    if (!column.default_sql.empty()) {
      try {
        (void)binder::bind_table_expression(*sql::parse_expression(column.default_sql, ast), nullptr, input,
                                            &target, "DEFAULT expressions");
      } catch (const Error&) {
        throw error(sqlstate::kDatatypeMismatch,
                    "default for column \"{}\" cannot be cast automatically to type {}", a.name,
                    types::format_type(target.oid, target.typmod));
      }
    }
    const auto source = before_;
    column.type = target;
    for (auto& index : relation_->indexes) {
      auto copy = std::make_shared<catalog::Index>(*index);
      copy->tree = c_.system().new_index_id();
      for (auto& k : copy->columns)
        if (k.attribute == number) k.type = target;
      index = std::move(copy);
    }
    std::sort(relation_->indexes.begin(), relation_->indexes.end(),
              [](const auto& x, const auto& y) { return x->tree < y->tree; });
    auto fresh = *relation_;
    fresh.layout = nullptr;  // no history: new trees start with the newest schema
    auto layout = catalog::make_layout(fresh, c_.system().new_table_id(), catalog::oid::kDatabasePostgres);
    txn::Table old_table{c_.system(), source->layout};
    c_.transaction().next_command();
    // All rows, also those that a REPEATABLE READ transaction does not see.
    const auto read_view = c_.transaction().fresh_view();
    co_await lock_column_types(c_, *relation_);
    co_await await_outcome(c_, [&] { return c_.system().alter_table(c_.transaction(), layout); });
    co_await c_.store().put(c_.transaction(), c_.parts.changes, relation_);
    const auto now = c_.parts.catalog()->relation(relation_->oid);
    StatementAccess access{c_.parts};
    auto& table = access.local(now);
    expression::ColumnMap columns;
    for (std::uint32_t i = 0; i < source->columns.size(); ++i)
      columns.emplace_back(static_cast<expression::ColumnId>(source->columns[i].number), i);
    const expression::Expression* one[] = {conversion.get()};
    const auto program = expression::Program::compile(one, columns);
    const auto local = program->make_local();
    expression::RunContext run;
    run.statement = input.statement;
    std::vector<storage::ColumnNumber> all;
    for (storage::ColumnNumber i = 0; i < source->columns.size(); ++i) all.push_back(i);
    txn::TableScan scan{old_table, read_view, all};
    types::ChunkBuffer buffer;
    for (;;) {
      const auto outcome = scan.next(buffer);
      if (outcome.blocked()) {
        co_await wait(c_.parts, outcome.token);
        continue;
      }
      if (outcome.status == txn::Status::kEnd) break;
      if (!outcome.ok()) c_.system().throw_outcome(outcome, c_.parts.locker.get());
      auto& chunk = buffer.chunk();
      types::Vector value;
      program->evaluate(*local, run, chunk, {&value, 1});
      std::vector<types::Vector> row_values(chunk.columns, chunk.columns + source->columns.size());
      row_values[static_cast<std::size_t>(number - 1)] = value;
      exec::NewRows rows{row_values, {}, {}};
      for (std::uint32_t i = 0; i < chunk.selection.count; ++i) {
        for (;;) {
          const auto flow = table.insert(rows, chunk.selection[i], false, {});
          if (flow.result != exec::WriteResult::kBlocked) break;
          co_await wait(c_.parts, flow.token);
        }
      }
    }
    before_ = now;
    relation_ = std::make_shared<catalog::Relation>(*before_);
  }

  UtilityContext& c_;
  std::shared_ptr<const catalog::Relation> before_;
  std::shared_ptr<catalog::Relation> relation_;
  bool layout_changed_ = false;
};

std::string alter_tag(sql::ObjectType object) {
  switch (object) {
    case sql::ObjectType::kIndex: return "ALTER INDEX";
    case sql::ObjectType::kSequence: return "ALTER SEQUENCE";
    case sql::ObjectType::kView: return "ALTER VIEW";
    case sql::ObjectType::kSchema: return "ALTER SCHEMA";
    case sql::ObjectType::kType: return "ALTER TYPE";
    case sql::ObjectType::kRole: return "ALTER ROLE";
    default: return "ALTER TABLE";
  }
}

void skip_notice(UtilityContext& c, std::string_view name) {
  c.parts.notice(Severity::kNotice,
                 error(sqlstate::kSuccess, "relation \"{}\" does not exist, skipping", name));
}

Task<> rename_index(UtilityContext& c, const sql::RelationRef& ref, std::string_view name) {
  std::shared_ptr<const catalog::Index> index;
  const auto find = [&] {
    index = owned_index(c, ref.schema, ref.name);
    return c.parts.catalog()->relation(index->relation);
  };
  const auto relation =
      co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kShareUpdateExclusive, find);
  co_await lock_name_in_schema(c, index->schema, name);
  if (c.parts.catalog()->class_oid(index->schema, name) != 0)
    throw error(sqlstate::kDuplicateTable, "relation \"{}\" already exists", name);
  auto copy = std::make_shared<catalog::Relation>(*relation);
  for (auto& i : copy->indexes)
    if (i->oid == index->oid) {
      auto fresh = std::make_shared<catalog::Index>(*i);
      fresh->name = name;
      i = std::move(fresh);
    }
  for (auto& k : copy->constraints)
    if (index->constraint != 0 && k->oid == index->constraint) {
      auto fresh = std::make_shared<catalog::Constraint>(*k);
      fresh->name = name;
      k = std::move(fresh);
    }
  co_await store_relation(c, std::move(copy), false);
}

}  // namespace

Task<std::string> alter_table(UtilityContext& c, const sql::AlterTableStatement& s) {
  if (s.object == sql::ObjectType::kIndex)
    throw not_supported("ALTER INDEX of storage parameters").at(s.location);
  const auto find = [&] {
    auto relation = owned_relation(c, *s.relation, s.if_exists);
    const bool owner_only = s.commands.size() == 1 && s.commands[0]->type == sql::AlterTableType::kOwner;
    if (relation != nullptr && s.object == sql::ObjectType::kTable && !owner_only &&
        relation->kind != catalog::RelationKind::kTable)
      throw error(sqlstate::kWrongObjectType, "\"{}\" is not a table", relation->name);
    return relation;
  };
  const auto relation =
      co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kAccessExclusive, find);
  if (relation == nullptr) {
    skip_notice(c, s.relation->name);
    co_return alter_tag(s.object);
  }
  require_not_in_use(c, relation->oid, relation->name, "ALTER TABLE");
  TableChange change{c, relation};
  for (const auto* a : s.commands) co_await change.apply(*a);
  co_return alter_tag(s.object);
}

Task<std::string> rename_object(UtilityContext& c, const sql::RenameStatement& s) {
  using sql::ObjectType;
  if (s.relation == nullptr) {
    const auto name = type_name(*s.name).back();
    if (s.object == ObjectType::kSchema) {
      co_await lock_name(c, 0, s.new_name);
      const auto find = [&] { return owned_schema(c, name); };
      const auto schema =
          co_await find_and_lock(c, catalog::oid::kPgNamespace, txn::TableLockMode::kAccessExclusive, find);
      if (c.parts.catalog()->schema(s.new_name) != nullptr)
        throw error(sqlstate::kDuplicateSchema, "schema \"{}\" already exists", s.new_name);
      catalog::Schema copy = *schema;
      copy.name = s.new_name;
      co_await c.store().put(c.transaction(), c.parts.changes, std::move(copy));
      co_return "ALTER SCHEMA";
    }
    if (s.object == ObjectType::kRole) {
      co_await lock_name(c, catalog::oid::kPgAuthid, s.new_name);
      const auto find = [&] { return existing_role(c, name); };
      const auto role =
          co_await find_and_lock(c, catalog::oid::kPgAuthid, txn::TableLockMode::kAccessExclusive, find);
      if (!c.parts.is_superuser())
        throw error(sqlstate::kInsufficientPrivilege, "permission denied to rename role");
      if (c.parts.catalog()->role(s.new_name) != nullptr)
        throw error(sqlstate::kDuplicateObject, "role \"{}\" already exists", s.new_name);
      catalog::Role copy = *role;
      copy.name = s.new_name;
      co_await c.store().put(c.transaction(), c.parts.changes, std::move(copy));
      co_return "ALTER ROLE";
    }
    throw not_supported("RENAME of this kind of object").at(s.location);
  }
  if (s.object == ObjectType::kIndex || s.object == ObjectType::kTable) {
    // ALTER TABLE may name an index, and the other way round.
    if (find_index(c, s.relation->schema, s.relation->name).index != nullptr) {
      co_await rename_index(c, *s.relation, s.new_name);
      co_return alter_tag(s.object);
    }
  }
  const auto find = [&] { return owned_relation(c, *s.relation, s.if_exists); };
  const auto relation =
      co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kAccessExclusive, find);
  if (relation == nullptr) {
    skip_notice(c, s.relation->name);
    co_return alter_tag(s.object);
  }
  auto copy = std::make_shared<catalog::Relation>(*relation);
  // Stored texts name columns and tables: those of views, checks and indexes would break by a rename.
  const auto refuse_if_named = [&](const std::string& what) {
    const auto catalog = c.parts.catalog();
    for (const auto& [id, view] : catalog->relations()) {
      if (view->kind != catalog::RelationKind::kView || view->is_catalog() ||
          view->schema == catalog::oid::kInformationSchema)
        continue;
      Arena arena;
      const auto path = c.parts.search_path(*catalog);
      auto input = bind_input(c.parts, *catalog, path);
      const auto plan = binder::bind(*sql::parse(view->view_sql, arena)[0].statement, input);
      for (const auto& d : plan->dependencies)
        if (d.relation == relation->oid)
          throw not_supported("renaming {} that view \"{}\" uses", what, view->name);
    }
  };
  if (s.object == ObjectType::kColumn) {
    const auto* column = relation->find_column(s.sub_name);
    if (column == nullptr)
      throw error(sqlstate::kUndefinedColumn, "column \"{}\" does not exist", s.sub_name);
    if (relation->find_column(s.new_name) != nullptr)
      throw error(sqlstate::kDuplicateColumn, "column \"{}\" of relation \"{}\" already exists", s.new_name,
                  relation->name);
    refuse_if_named("a column of a table");
    for (const auto& k : relation->constraints)
      if (k->type == catalog::ConstraintType::kCheck &&
          std::find(k->columns.begin(), k->columns.end(), column->number) != k->columns.end())
        throw not_supported("renaming a column that a CHECK uses");
    for (const auto& i : relation->indexes) {
      if (!i->predicate_sql.empty()) throw not_supported("renaming a column of a table with a partial index");
      for (const auto& k : i->columns)
        if (k.attribute == 0)
          throw not_supported("renaming a column of a table with an index on an expression");
    }
    for (const auto& k : relation->columns)
      if (!k.dropped && k.generated != 0)
        throw not_supported("renaming a column of a table with generated columns");
    copy->columns[static_cast<std::size_t>(column->number - 1)].name = s.new_name;
  } else if (s.object == ObjectType::kConstraint) {
    bool found = false;
    for (auto& k : copy->constraints) {
      if (k->name == s.new_name)
        throw error(sqlstate::kDuplicateObject, "constraint \"{}\" for relation \"{}\" already exists",
                    s.new_name, relation->name);
      if (k->name != s.sub_name) continue;
      found = true;
      auto fresh = std::make_shared<catalog::Constraint>(*k);
      fresh->name = s.new_name;
      for (auto& i : copy->indexes)
        if (i->oid == fresh->index && i->constraint == fresh->oid) {
          auto index = std::make_shared<catalog::Index>(*i);
          index->name = s.new_name;
          i = std::move(index);
        }
      k = std::move(fresh);
    }
    if (!found)
      throw error(sqlstate::kUndefinedObject, "constraint \"{}\" for table \"{}\" does not exist", s.sub_name,
                  relation->name);
  } else {
    co_await lock_name_in_schema(c, relation->schema, s.new_name);
    if (c.parts.catalog()->class_oid(relation->schema, s.new_name) != 0)
      throw error(sqlstate::kDuplicateTable, "relation \"{}\" already exists", s.new_name);
    refuse_if_named("a relation");
    const auto catalog = c.parts.catalog();
    if (relation->sequence)
      for (const auto& [id, t] : catalog->relations())
        for (const auto& column : t->columns)
          if (!column.dropped && column.default_sql.find("'" + relation->name + "'") != std::string::npos)
            throw not_supported("renaming a sequence that a default uses");
    copy->name = s.new_name;
  }
  co_await store_relation(c, std::move(copy), false);
  co_return alter_tag(
      s.object == ObjectType::kColumn || s.object == ObjectType::kConstraint ? s.relation_object : s.object);
}

Task<std::string> alter_schema_of(UtilityContext& c, const sql::AlterSchemaStatement& s) {
  if (s.relation == nullptr) throw not_supported("SET SCHEMA of this kind of object").at(s.location);
  const auto find = [&] { return owned_relation(c, *s.relation, s.if_exists); };
  const auto relation =
      co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kAccessExclusive, find);
  if (relation == nullptr) {
    skip_notice(c, s.relation->name);
    co_return alter_tag(s.object);
  }
  const Oid schema = target_schema(c, s.new_schema, s.location);
  co_await lock_name_in_schema(c, schema, relation->name);
  if (c.parts.catalog()->class_oid(schema, relation->name) != 0)
    throw error(sqlstate::kDuplicateTable, "relation \"{}\" already exists in schema \"{}\"", relation->name,
                s.new_schema);
  auto copy = std::make_shared<catalog::Relation>(*relation);
  copy->schema = schema;
  copy->schema_name = s.new_schema;
  for (auto& i : copy->indexes) {
    auto fresh = std::make_shared<catalog::Index>(*i);
    fresh->schema = schema;
    i = std::move(fresh);
  }
  for (auto& k : copy->constraints) {
    auto fresh = std::make_shared<catalog::Constraint>(*k);
    fresh->schema = schema;
    k = std::move(fresh);
  }
  co_await store_relation(c, std::move(copy), false);
  co_return alter_tag(s.object);
}

Task<std::string> alter_owner(UtilityContext& c, const sql::AlterOwnerStatement& s) {
  const auto role = existing_role(c, role_name(c, *s.owner));
  if (s.object == sql::ObjectType::kSchema) {
    const auto find = [&] { return owned_schema(c, s.name->name.back()); };
    catalog::Schema copy =
        *co_await find_and_lock(c, catalog::oid::kPgNamespace, txn::TableLockMode::kAccessExclusive, find);
    copy.owner = role->oid;
    co_await c.store().put(c.transaction(), c.parts.changes, std::move(copy));
    co_return "ALTER SCHEMA";
  }
  if (s.object == sql::ObjectType::kType) {
    const auto find = [&] { return owned_enum(c, type_name(*s.name)); };
    catalog::EnumType copy =
        *co_await find_and_lock(c, catalog::oid::kPgType, txn::TableLockMode::kAccessExclusive, find);
    copy.owner = role->oid;
    co_await c.store().put(c.transaction(), c.parts.changes, std::move(copy));
    co_return "ALTER TYPE";
  }
  if (s.object == sql::ObjectType::kDatabase) co_return "ALTER DATABASE";
  throw not_supported("ALTER OWNER of this kind of object").at(s.location);
}

}  // namespace rustbd::engine
