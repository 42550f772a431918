// INSERT, UPDATE and DELETE, and expressions over one relation (defaults, checks, index keys).
#include "rustbd/binder/binder_impl.h"
#include "rustbd/sql/parser.h"

namespace rustbd::binder {

namespace {
LogicalPtr filter_node(LogicalPtr root, ExpressionPtr condition) {
  if (condition == nullptr) return root;
  auto filter = make_node(LogicalKind::kFilter);
  filter->condition = std::move(condition);
  filter->children.push_back(std::move(root));
  return filter;
}
}  // namespace

std::shared_ptr<const catalog::Relation> Binder::modify_target(const sql::RelationRef& ref,
                                                               std::string_view verb) {
  auto relation = find_relation(ref, input_);
  using catalog::RelationKind;
  switch (relation->kind) {
    case RelationKind::kTable: break;
    case RelationKind::kView: throw not_supported("{} a view", verb).at(ref.location);
    case RelationKind::kMaterializedView:
      throw error(sqlstate::kWrongObjectType, "cannot change materialized view \"{}\"", relation->name)
          .at(ref.location);
    case RelationKind::kSequence:
      throw error(sqlstate::kWrongObjectType, "cannot change sequence \"{}\"", relation->name)
          .at(ref.location);
    default:
      throw error(sqlstate::kWrongObjectType, "cannot open relation \"{}\"", relation->name).at(ref.location);
  }
  if (relation->is_catalog())
    throw error(sqlstate::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                relation->name)
        .at(ref.location);
  bool known = false;
  for (const auto& d : plan_->dependencies) known = known || d.relation == relation->oid;
  if (!known) plan_->dependencies.push_back({relation->oid, input_.catalog->version});
  plan_->read_only = false;
  return relation;
}

const catalog::Column& Binder::target_column(const catalog::Relation& relation, std::string_view name,
                                             std::int32_t location) {
  if (const auto* c = relation.find_column(name)) return *c;
  throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
              relation.name)
      .at(location);
}

std::vector<plan::TargetColumn> Binder::number_columns(const catalog::Relation& relation,
                                                       std::string_view qualifier) {
  std::vector<plan::TargetColumn> out;
  for (const auto& c : relation.columns)
    if (!c.dropped)
      out.push_back(
          {c.number, add_column(c.name, c.type, std::string{qualifier}, relation.oid, c.number, true)});
  return out;
}

ExpressionPtr Binder::relation_expression(const std::string& text, const catalog::Relation& relation,
                                          std::span<const plan::TargetColumn> columns,
                                          const TypeRef* target) {
  view_arenas_.push_back(std::make_unique<Arena>());
  const auto* node = sql::parse_expression(text, *view_arenas_.back());
  QueryLevel level;
  level.clause = "this expression";
  ScopeTable table;
  table.alias = relation.name;
  for (const auto& c : columns)
    if (c.attribute > 0) table.columns.push_back({relation.column(c.attribute).name, c.id});
  level.scope.star = table.columns;
  level.scope.tables.push_back(std::move(table));
  // What an expression of the table's own reads needs no privilege of the user.
  const auto privileges = plan_->privileges;
  try {
    auto e = bind_expression(node, level);
    e = target != nullptr ? coerce_to_column(std::move(e), *target, "", -1) : resolve_unknown(std::move(e));
    plan_->privileges = privileges;
    return e;
  } catch (Error& e) {
    e.position = -1;
    throw;
  }
}

ExpressionPtr Binder::default_for(const catalog::Relation& relation, const catalog::Column& column,
                                  std::int32_t) {
  if (column.identity != 0) {
    auto sequence = expression::make_constant(
        {types::make_type(oid::kRegclass), false, types::Datum::of(column.identity_sequence)});
    std::vector<ExpressionPtr> args;
    args.push_back(std::move(sequence));
    return coerce_to_column(call_builtin("nextval", std::move(args), -1), column.type, column.name, -1);
  }
  if (column.default_sql.empty() || column.generated != 0) return expression::make_null(column.type);
  return relation_expression(column.default_sql, relation, {}, &column.type);
}

/// CHECKs, generated columns and index expressions, over new_columns.
void Binder::add_table_rules(plan::Modify& modify, QueryLevel&) {
  const auto& relation = *modify.target;
  for (const auto& c : relation.constraints) {
    if (c->type != catalog::ConstraintType::kCheck) continue;
    auto condition = relation_expression(c->expression_sql, relation, modify.new_columns, nullptr);
    modify.checks.push_back({c->name, coerce_to_boolean(std::move(condition), "CHECK")});
  }
  for (const auto& c : relation.columns)
    if (!c.dropped && c.generated == 's')
      modify.generated.push_back(
          {c.number, relation_expression(c.default_sql, relation, modify.new_columns, &c.type)});
  for (const auto& index : relation.indexes) {
    plan::IndexExpressions e;
    e.index = index->oid;
    for (const auto& k : index->columns)
      if (k.attribute == 0)
        e.keys.push_back(relation_expression(k.expression_sql, relation, modify.new_columns, &k.type));
    if (!index->predicate_sql.empty())
      e.predicate = coerce_to_boolean(
          relation_expression(index->predicate_sql, relation, modify.new_columns, nullptr), "WHERE");
    if (!e.keys.empty() || e.predicate != nullptr) modify.index_expressions.push_back(std::move(e));
  }
}

LogicalPtr Binder::bind_returning(sql::List<sql::TargetItem*> items, LogicalPtr modify, QueryLevel& level,
                                  std::vector<OutputColumn>& out) {
  if (items.empty()) return modify;
  modify->modify->has_returning = true;
  level.clause = "RETURNING";
  level.allow_aggregates = level.allow_windows = level.allow_srf = false;
  auto targets = bind_targets(items, level);
  for (const auto& t : targets) out.push_back({t.name, 0, t.expression->type, t.relation, t.attribute});
  std::vector<ColumnId> ids;
  auto node = project(std::move(modify), targets, ids, level);
  for (std::size_t i = 0; i < ids.size(); ++i) out[i].id = ids[i];
  return node;
}

LogicalPtr Binder::bind_insert(const sql::InsertStatement& insert, QueryLevel* parent,
                               std::vector<OutputColumn>& returning) {
  QueryLevel level;
  level.parent = parent;
  CteDefinitions ctes;
  bind_with(insert.with, level, ctes);
  auto node = make_node(LogicalKind::kModify);
  node->modify = std::make_unique<plan::Modify>();
  auto& modify = *node->modify;
  modify.kind = plan::ModifyKind::kInsert;
  modify.target = modify_target(*insert.relation, "INSERT into");
  const auto& relation = *modify.target;
  modify.alias =
      insert.relation->alias != nullptr ? std::string{insert.relation->alias->name} : relation.name;

  std::vector<const catalog::Column*> targets;
  if (insert.columns.empty()) {
    for (const auto& c : relation.columns)
      if (!c.dropped) targets.push_back(&c);
  } else {
    for (const auto* t : insert.columns) {
      if (!t->indirection.empty()) throw not_supported("assignment to a part of a column").at(t->location);
      const auto& c = target_column(relation, t->name, t->location);
      if (std::find(targets.begin(), targets.end(), &c) != targets.end())
        throw error(sqlstate::kDuplicateColumn, "column \"{}\" specified more than once", t->name)
            .at(t->location);
      targets.push_back(&c);
      require(relation.oid, 2, c.number);
    }
  }
  require(relation.oid, 2);

  const auto too_many = [&](std::size_t have, const sql::Node* at) {
    if (have > targets.size())
      throw error(sqlstate::kSyntaxError, "INSERT has more expressions than target columns")
          .at(at != nullptr ? at->location : insert.location);
    if (have < targets.size() && !insert.columns.empty())
      throw error(sqlstate::kSyntaxError, "INSERT has more target columns than expressions")
          .at(insert.columns[have]->location);
  };
  // A value for a column that only the table may set.
  const auto check_generated = [&](const catalog::Column& c, bool is_default) {
    if (is_default) return;
    if (c.generated != 0)
      throw error(sqlstate::kGeneratedAlways, "cannot insert a non-DEFAULT value into column \"{}\"", c.name)
          .with_detail(fmt::format("Column \"{}\" is a generated column.", c.name));
    if (c.identity == 'a' && insert.overriding == sql::Overriding::kNone)
      throw error(sqlstate::kGeneratedAlways, "cannot insert a non-DEFAULT value into column \"{}\"", c.name)
          .with_detail(
              fmt::format("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", c.name))
          .with_hint("Use OVERRIDING SYSTEM VALUE to override.");
  };
  const auto use_default = [&](const catalog::Column& c) {
    return c.identity != 0 && insert.overriding == sql::Overriding::kUser;
  };
  std::vector<bool> given(relation.columns.size(), false);
  LogicalPtr source;
  if (insert.source == nullptr) {
    source = make_node(LogicalKind::kResult);
  } else if (!insert.source->values.empty() && insert.source->set_operation == sql::SetOperation::kNone &&
             insert.source->order_by.empty() && insert.source->limit == nullptr &&
             insert.source->offset == nullptr && insert.source->with == nullptr) {
    // VALUES: each cell goes to its column's type where it stands; DEFAULT is allowed.
    level.clause = "VALUES";
    auto values = make_node(LogicalKind::kValues);
    const auto width = insert.source->values[0].size();
    for (const auto& row : insert.source->values) {
      if (row.size() != width)
        throw error(sqlstate::kSyntaxError, "VALUES lists must all be the same length")
            .at(row.empty() ? insert.location : row[0]->location);
      too_many(row.size(), row.size() > targets.size() ? row[targets.size()] : nullptr);
      std::vector<ExpressionPtr> cells;
      for (std::size_t i = 0; i < row.size(); ++i) {
        const auto& c = *targets[i];
        const bool is_default = row[i]->kind == sql::NodeKind::kDefaultMarker;
        check_generated(c, is_default);
        if (is_default || use_default(c)) cells.push_back(default_for(relation, c, row[i]->location));
        else
          cells.push_back(coerce_to_column(bind_expression(row[i], level), c.type, c.name, row[i]->location));
      }
      values->rows.push_back(std::move(cells));
    }
    for (std::size_t i = 0; i < width; ++i) {
      const ColumnId id = add_column(targets[i]->name, targets[i]->type, "*VALUES*");
      values->output.push_back(id);
      if (targets[i]->generated == 0)
        modify.assignments.push_back({targets[i]->number, expression::make_column(id, targets[i]->type)});
      given[static_cast<std::size_t>(targets[i]->number - 1)] = true;
    }
    source = std::move(values);
  } else {
    auto query = bind_select(*insert.source, &level, false);
    const auto& chosen = insert.source->targets;
    too_many(query.columns.size(), chosen.size() > targets.size()
                                       ? static_cast<const sql::Node*>(chosen[targets.size()])
                                       : insert.source);
    // Literals of unknown type in the select list are read as the column's type.
    LogicalNode* below = query.root->kind == LogicalKind::kProject ? query.root.get() : nullptr;
    auto convert = make_node(LogicalKind::kProject);
    for (std::size_t i = 0; i < query.columns.size(); ++i) {
      const auto& c = *targets[i];
      check_generated(c, false);
      ExpressionPtr value = expression::make_column(query.columns[i].id, query.columns[i].type);
      if (query.columns[i].type.oid == oid::kUnknown && below != nullptr)
        for (const auto& computed : below->computed)
          if (computed.id == query.columns[i].id && computed.expression->type.oid == oid::kUnknown)
            value = computed.expression->clone();
      value = coerce_to_column(std::move(value), c.type, c.name, insert.source->location);
      ColumnId id = 0;
      if (value->kind == Kind::kColumn) id = value->column;
      else {
        id = add_column(c.name, c.type);
        convert->computed.push_back({id, std::move(value)});
      }
      convert->output.push_back(id);
      if (use_default(c)) modify.assignments.push_back({c.number, default_for(relation, c, -1)});
      else modify.assignments.push_back({c.number, expression::make_column(id, c.type)});
      given[static_cast<std::size_t>(c.number - 1)] = true;
    }
    convert->children.push_back(std::move(query.root));
    source = std::move(convert);
  }
  for (const auto& c : relation.columns)
    if (!c.dropped && !given[static_cast<std::size_t>(c.number - 1)] && c.generated == 0)
      modify.assignments.push_back({c.number, default_for(relation, c, -1)});
  modify.new_columns = number_columns(relation, modify.alias);
  add_table_rules(modify, level);
  if (insert.on_conflict != nullptr) bind_on_conflict(*insert.on_conflict, modify, level);
  node->children.push_back(std::move(source));
  for (const auto& c : modify.new_columns) node->output.push_back(c.id);

  ScopeTable table;
  table.alias = modify.alias;
  table.relation = modify.target;
  for (const auto& c : modify.new_columns) table.columns.push_back({relation.column(c.attribute).name, c.id});
  level.scope = {};
  level.scope.star = table.columns;
  for (const auto& c : modify.new_columns) level.own_columns.insert(c.id);
  level.scope.tables.push_back(std::move(table));
  auto root = bind_returning(insert.returning, std::move(node), level, returning);
  return wrap_ctes(std::move(root), ctes);
}

void Binder::bind_on_conflict(const sql::OnConflict& clause, plan::Modify& modify, QueryLevel& level) {
  const auto& relation = *modify.target;
  modify.conflict = clause.action == sql::ConflictAction::kNothing ? plan::ConflictAction::kNothing
                                                                   : plan::ConflictAction::kUpdate;
  if (!clause.constraint.empty()) {
    for (const auto& c : relation.constraints)
      if (c->name == clause.constraint && c->index != 0 && c->type != catalog::ConstraintType::kForeignKey)
        modify.arbiters.push_back(c->index);
    if (modify.arbiters.empty())
      throw error(sqlstate::kUndefinedObject, "constraint \"{}\" for table \"{}\" does not exist",
                  clause.constraint, relation.name)
          .at(clause.location);
  } else if (!clause.columns.empty()) {
    std::vector<catalog::AttributeNumber> wanted;
    for (const auto* e : clause.columns) {
      if (e->expression != nullptr) throw not_supported("an expression in ON CONFLICT").at(e->location);
      const auto* c = relation.find_column(e->column);
      if (c == nullptr)
        throw error(sqlstate::kUndefinedColumn, "column \"{}\" does not exist", e->column).at(e->location);
      wanted.push_back(c->number);
    }
    for (const auto& index : relation.indexes) {
      if (!index->unique || index->deferrable) continue;
      if (!index->predicate_sql.empty() && clause.index_where == nullptr) continue;
      std::vector<catalog::AttributeNumber> have;
      for (const auto& k : index->columns) have.push_back(k.attribute);
      auto a = have, b = wanted;
      std::sort(a.begin(), a.end());
      std::sort(b.begin(), b.end());
      b.erase(std::unique(b.begin(), b.end()), b.end());
      if (a == b) modify.arbiters.push_back(index->oid);
    }
    if (modify.arbiters.empty())
      throw error(sqlstate::kInvalidColumnReference,
                  "there is no unique or exclusion constraint matching the ON CONFLICT specification")
          .at(clause.location);
  } else if (clause.action == sql::ConflictAction::kUpdate) {
    throw error(sqlstate::kSyntaxError,
                "ON CONFLICT DO UPDATE requires inference specification or constraint name")
        .with_hint("For example, ON CONFLICT (column_name).")
        .at(clause.location);
  }
  if (clause.action != sql::ConflictAction::kUpdate) return;
  require(relation.oid, 4);
  require(relation.oid, 1);
  modify.existing_columns = number_columns(relation, modify.alias);
  modify.excluded_columns = number_columns(relation, "excluded");
  const Scope saved = level.scope;
  level.scope = {};
  const auto add = [&](std::string alias, const std::vector<plan::TargetColumn>& columns, bool star) {
    ScopeTable t;
    t.alias = std::move(alias);
    t.aliased = true;
    for (const auto& c : columns) {
      t.columns.push_back({relation.column(c.attribute).name, c.id});
      level.own_columns.insert(c.id);
    }
    if (star) level.scope.star = t.columns;
    level.scope.tables.push_back(std::move(t));
  };
  add(modify.alias, modify.existing_columns, true);
  add("excluded", modify.excluded_columns, false);
  level.clause = "UPDATE";
  modify.conflict_assignments = bind_assignments(clause.assignments, relation, level);
  if (clause.where != nullptr) {
    level.clause = "WHERE";
    modify.conflict_where = coerce_to_boolean(bind_expression(clause.where, level), "WHERE");
  }
  level.scope = saved;
}

std::vector<plan::Assignment> Binder::bind_assignments(sql::List<sql::Assignment*> items,
                                                       const catalog::Relation& relation, QueryLevel& level) {
  std::vector<plan::Assignment> out;
  const auto assign = [&](const sql::AssignmentTarget& target, const sql::Node* value, ExpressionPtr bound) {
    if (!target.indirection.empty()) {
      target_column(relation, target.name, target.location);  // t.a = 1: there is no column t
      throw not_supported("assignment to a part of a column").at(target.location);
    }
    const auto& c = target_column(relation, target.name, target.location);
    for (const auto& a : out)
      if (a.attribute == c.number)
        throw error(sqlstate::kSyntaxError, "multiple assignments to same column \"{}\"", c.name)
            .at(target.location);
    const bool is_default = value != nullptr && value->kind == sql::NodeKind::kDefaultMarker;
    if (!is_default && (c.generated != 0 || c.identity == 'a'))
      throw error(sqlstate::kGeneratedAlways, "column \"{}\" can only be updated to DEFAULT", c.name)
          .with_detail(fmt::format(
              "Column \"{}\" is {}.", c.name,
              c.generated != 0 ? "a generated column" : "an identity column defined as GENERATED ALWAYS"))
          .at(target.location);
    require(relation.oid, 4, c.number);
    if (is_default) {
      if (c.generated == 0) out.push_back({c.number, default_for(relation, c, value->location)});
      return;
    }
    const auto at = value != nullptr ? value->location : target.location;
    if (bound == nullptr) bound = bind_expression(value, level);
    out.push_back({c.number, coerce_to_column(std::move(bound), c.type, c.name, at)});
  };
  for (const auto* item : items) {
    if (!item->is_multiple) {
      assign(*item->targets[0], item->value, nullptr);
      continue;
    }
    if (const auto* row = sql::try_as<sql::RowExpression>(item->value)) {
      if (row->fields.size() != item->targets.size())
        throw error(sqlstate::kSyntaxError, "number of columns does not match number of values")
            .at(item->targets[0]->location);
      for (std::size_t i = 0; i < item->targets.size(); ++i)
        assign(*item->targets[i], row->fields[i], nullptr);
      continue;
    }
    const auto* sub = sql::try_as<sql::SubLink>(item->value);
    if (sub == nullptr || sub->type != sql::SubLinkType::kScalar)
      throw error(sqlstate::kFeatureNotSupported,
                  "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression")
          .at(item->value->location);
    // The subquery once per column; each takes its own.
    for (std::size_t i = 0; i < item->targets.size(); ++i) {
      auto query = bind_select(*sub->query, &level);
      if (query.columns.size() != item->targets.size())
        throw error(sqlstate::kSyntaxError, "number of columns does not match number of values")
            .at(item->targets[0]->location);
      auto e = std::make_unique<Expression>();
      e->kind = Kind::kSubquery;
      e->subquery_kind = expression::SubqueryKind::kScalar;
      e->type = query.columns[i].type;
      e->location = sub->location;
      e->subquery = static_cast<expression::SubqueryId>(plan_->subplans.size());
      plan::Subplan plan;
      plan.correlated = query.correlated;
      plan.value = query.columns[i].id;
      auto narrow = make_node(LogicalKind::kProject);
      narrow->output = {plan.value};
      narrow->children.push_back(std::move(query.root));
      plan.root = std::move(narrow);
      plan_->subplans.push_back(std::move(plan));
      assign(*item->targets[i], nullptr, std::move(e));
    }
  }
  return out;
}

namespace {
void set_recheck(plan::Modify& modify, const ExpressionPtr& where) {
  if (where == nullptr) return;
  if (expression::contains(*where, Kind::kSubquery)) modify.recheck_needs_restart = true;
  else modify.recheck = where->clone();
}
}  // namespace

LogicalPtr Binder::bind_update(const sql::UpdateStatement& update, QueryLevel* parent,
                               std::vector<OutputColumn>& returning) {
  QueryLevel level;
  level.parent = parent;
  CteDefinitions ctes;
  bind_with(update.with, level, ctes);
  auto node = make_node(LogicalKind::kModify);
  node->modify = std::make_unique<plan::Modify>();
  auto& modify = *node->modify;
  modify.kind = plan::ModifyKind::kUpdate;
  modify.target = modify_target(*update.relation, "UPDATE of");
  const auto& relation = *modify.target;
  FromItem target = bind_stored(modify.target, *update.relation, level);
  modify.alias = target.scope.tables.front().alias;
  FromItem others = bind_from_list(update.from, level);
  Scope scope = target.scope;
  add_to_scope(scope, others.scope, update.relation->location);
  level.scope = std::move(scope);
  auto* get = static_cast<LogicalNode*>(target.node.get());
  for (const auto& c : get->columns) level.own_columns.insert(c.id);
  TypeRef row_type = types::make_type(oid::kInt8);
  row_type.phys = types::Phys::kU64;
  modify.row_id = add_column("rowid", row_type, modify.alias, relation.oid, catalog::kRowIdAttribute, false);
  for (const auto& c : get->columns)
    if (c.attribute > 0) modify.old_columns.push_back(c);
  get->columns.push_back({catalog::kRowIdAttribute, modify.row_id});
  get->output.push_back(modify.row_id);
  require(relation.oid, 4);
  ExpressionPtr where;
  if (update.where != nullptr) {
    level.clause = "WHERE";
    where = coerce_to_boolean(bind_expression(update.where, level), "WHERE");
    set_recheck(modify, where);
  }
  level.clause = "UPDATE";
  modify.assignments = bind_assignments(update.assignments, relation, level);
  modify.new_columns = number_columns(relation, modify.alias);
  add_table_rules(modify, level);
  LogicalPtr source = std::move(target.node);
  if (!update.from.empty()) {
    const bool dependent = !others.lateral.empty();
    source =
        join_nodes(std::move(source), std::move(others.node), plan::JoinType::kInner, nullptr, dependent);
  }
  source = filter_node(std::move(source), std::move(where));
  node->children.push_back(std::move(source));
  // RETURNING sees the new row and the other inputs.
  for (const auto& c : modify.new_columns) node->output.push_back(c.id);
  for (const auto& t : others.scope.tables)
    for (const auto& c : t.columns)
      if (std::find(node->output.begin(), node->output.end(), c.id) == node->output.end())
        node->output.push_back(c.id);
  ScopeTable& own = level.scope.tables.front();
  own.columns.clear();
  own.get = nullptr;
  for (const auto& c : modify.new_columns) {
    own.columns.push_back({relation.column(c.attribute).name, c.id});
    level.own_columns.insert(c.id);
  }
  level.scope.star = own.columns;
  level.scope.star.insert(level.scope.star.end(), others.scope.star.begin(), others.scope.star.end());
  auto root = bind_returning(update.returning, std::move(node), level, returning);
  return wrap_ctes(std::move(root), ctes);
}

LogicalPtr Binder::bind_delete(const sql::DeleteStatement& del, QueryLevel* parent,
                               std::vector<OutputColumn>& returning) {
  QueryLevel level;
  level.parent = parent;
  CteDefinitions ctes;
  bind_with(del.with, level, ctes);
  auto node = make_node(LogicalKind::kModify);
  node->modify = std::make_unique<plan::Modify>();
  auto& modify = *node->modify;
  modify.kind = plan::ModifyKind::kDelete;
  modify.target = modify_target(*del.relation, "DELETE from");
  const auto& relation = *modify.target;
  FromItem target = bind_stored(modify.target, *del.relation, level);
  modify.alias = target.scope.tables.front().alias;
  FromItem others = bind_from_list(del.using_items, level);
  Scope scope = target.scope;
  add_to_scope(scope, others.scope, del.relation->location);
  level.scope = std::move(scope);
  auto* get = target.node.get();
  for (const auto& c : get->columns) level.own_columns.insert(c.id);
  TypeRef row_type = types::make_type(oid::kInt8);
  row_type.phys = types::Phys::kU64;
  modify.row_id = add_column("rowid", row_type, modify.alias, relation.oid, catalog::kRowIdAttribute, false);
  for (const auto& c : get->columns)
    if (c.attribute > 0) modify.old_columns.push_back(c);
  get->columns.push_back({catalog::kRowIdAttribute, modify.row_id});
  get->output.push_back(modify.row_id);
  require(relation.oid, 8);
  ExpressionPtr where;
  if (del.where != nullptr) {
    level.clause = "WHERE";
    where = coerce_to_boolean(bind_expression(del.where, level), "WHERE");
    set_recheck(modify, where);
  }
  LogicalPtr source = std::move(target.node);
  if (!del.using_items.empty()) {
    const bool dependent = !others.lateral.empty();
    source =
        join_nodes(std::move(source), std::move(others.node), plan::JoinType::kInner, nullptr, dependent);
  }
  source = filter_node(std::move(source), std::move(where));
  node->children.push_back(std::move(source));
  for (const auto& c : modify.old_columns) node->output.push_back(c.id);
  for (const auto& t : others.scope.tables)
    for (const auto& c : t.columns)
      if (std::find(node->output.begin(), node->output.end(), c.id) == node->output.end())
        node->output.push_back(c.id);
  level.scope.tables.front().get = nullptr;
  auto root = bind_returning(del.returning, std::move(node), level, returning);
  return wrap_ctes(std::move(root), ctes);
}

ExpressionPtr Binder::bind_over_relation(const sql::Node& node, const catalog::Relation* relation,
                                         const TypeRef* target, std::string_view what) {
  QueryLevel level;
  const std::string clause{what};
  level.clause = clause.c_str();
  if (relation != nullptr) {
    ScopeTable table;
    table.alias = relation->name;
    // ColumnId = attribute number: the caller knows the columns by that.
    for (const auto& c : relation->columns) {
      const auto id = static_cast<ColumnId>(c.number);
      while (plan_->columns.columns.size() <= id) add_column("", {});
      plan_->columns.columns[id] = {c.name, relation->name, c.type, relation->oid, c.number, !c.not_null};
      if (!c.dropped) table.columns.push_back({c.name, id});
    }
    level.scope.star = table.columns;
    level.scope.tables.push_back(std::move(table));
  }
  auto e = bind_expression(&node, level);
  if (expression::contains(*e, Kind::kSubquery))
    throw error(sqlstate::kFeatureNotSupported, "cannot use subquery in {}",
                what == "DEFAULT expressions" ? "DEFAULT expression" : what)
        .at(node.location);
  return target != nullptr ? coerce_to_column(std::move(e), *target, "", node.location)
                           : resolve_unknown(std::move(e));
}

ExpressionPtr Binder::bind_constant(const sql::Node& node, const TypeRef& target) {
  QueryLevel level;
  level.clause = "EXECUTE";
  auto e = bind_expression(&node, level);
  const TypeRef from = e->type;
  auto cast = try_coerce(std::move(e), target, CastContext::kAssignment);
  if (cast == nullptr)
    throw error(sqlstate::kDatatypeMismatch, "parameter of type {} cannot be coerced to the expected type {}",
                type_name(from), type_name(target))
        .with_hint("You will need to rewrite or cast the expression.")
        .at(node.location);
  return apply_modifier(std::move(cast), target, false);
}

plan::ExpressionPtr bind_table_expression(const sql::Node& node, const catalog::Relation* relation,
                                          BindInput& input, const types::TypeRef* target,
                                          std::string_view what) {
  Binder binder{input};
  return binder.bind_over_relation(node, relation, target, what);
}

plan::ExpressionPtr bind_constant_expression(const sql::Node& node, BindInput& input,
                                             const types::TypeRef& target) {
  Binder binder{input};
  return binder.bind_constant(node, target);
}

}  // namespace rustbd::binder
