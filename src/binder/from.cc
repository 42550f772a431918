// FROM: relations, views, subqueries, functions, CTEs and their joins.
#include "rustbd/base/statement_assert.h"
#include "rustbd/binder/binder_impl.h"
#include "rustbd/sql/parser.h"

namespace rustbd::binder {

namespace {
constexpr int kViewDepthMax = 100;

void rename_columns(Scope& scope, const sql::Alias& alias, std::string_view table) {
  auto& columns = scope.tables.front().columns;
  if (alias.columns.size() > columns.size())
    throw error(sqlstate::kInvalidColumnReference,
                "table \"{}\" has {} columns available but {} columns specified", table, columns.size(),
                alias.columns.size())
        .at(alias.location);
  for (std::size_t i = 0; i < alias.columns.size(); ++i) columns[i].name = alias.columns[i];
  scope.star = columns;
}
}  // namespace

void Binder::require(Oid relation, std::uint32_t kinds, catalog::AttributeNumber column) {
  for (auto& p : plan_->privileges) {
    if (p.relation != relation || p.kinds != kinds || p.role != view_owner_) continue;
    if (column != 0 && std::find(p.columns.begin(), p.columns.end(), column) == p.columns.end())
      p.columns.push_back(column);
    return;
  }
  plan_->privileges.push_back({relation, kinds, {}, view_owner_});
  if (column != 0) plan_->privileges.back().columns.push_back(column);
}

std::vector<ColumnId> Binder::delivered(const LogicalNode& node) {
  switch (node.kind) {
    case LogicalKind::kFilter:
    case LogicalKind::kSort:
    case LogicalKind::kLimit:
    case LogicalKind::kDistinct:
    case LogicalKind::kLockRows: return delivered(*node.children[0]);
    case LogicalKind::kCteBind: return delivered(*node.children[1]);
    case LogicalKind::kJoin:
    case LogicalKind::kDependentJoin: {
      auto out = delivered(*node.children[0]);
      if (node.join == plan::JoinType::kSemi || node.join == plan::JoinType::kAnti) return out;
      if (node.join == plan::JoinType::kMark) {
        out.push_back(node.mark);
        return out;
      }
      for (ColumnId id : delivered(*node.children[1])) out.push_back(id);
      return out;
    }
    default: return node.output;
  }
}

void complete_outputs(LogicalNode& node) {
  for (auto& c : node.children) complete_outputs(*c);
  switch (node.kind) {
    case LogicalKind::kFilter:
    case LogicalKind::kSort:
    case LogicalKind::kLimit:
    case LogicalKind::kDistinct:
    case LogicalKind::kLockRows: node.output = node.children[0]->output; break;
    case LogicalKind::kCteBind: node.output = node.children[1]->output; break;
    case LogicalKind::kJoin:
    case LogicalKind::kDependentJoin:
      node.output = node.children[0]->output;
      if (node.join == plan::JoinType::kMark) node.output.push_back(node.mark);
      else if (node.join != plan::JoinType::kSemi && node.join != plan::JoinType::kAnti)
        node.output.insert(node.output.end(), node.children[1]->output.begin(),
                           node.children[1]->output.end());
      break;
    case LogicalKind::kWindow:
    case LogicalKind::kProjectSet: {
      std::vector<ColumnId> own = std::move(node.output);
      node.output = node.children[0]->output;
      for (ColumnId id : own)
        if (std::find(node.output.begin(), node.output.end(), id) == node.output.end())
          node.output.push_back(id);
      break;
    }
    default: break;
  }
}

void Binder::add_to_scope(Scope& to, Scope& from, std::int32_t location) {
  for (const auto& t : from.tables) {
    if (t.only_columns || t.alias.empty()) continue;
    for (const auto& other : to.tables)
      if (!other.only_columns && other.alias == t.alias &&
          (t.aliased || other.aliased || t.schema == other.schema))
        throw error(sqlstate::kDuplicateAlias, "table name \"{}\" specified more than once", t.alias)
            .at(location);
  }
  to.tables.insert(to.tables.end(), from.tables.begin(), from.tables.end());
  to.star.insert(to.star.end(), from.star.begin(), from.star.end());
}

LogicalPtr Binder::join_nodes(LogicalPtr left, LogicalPtr right, plan::JoinType type, ExpressionPtr condition,
                              bool dependent) {
  auto join = make_node(dependent ? LogicalKind::kDependentJoin : LogicalKind::kJoin);
  join->lateral = dependent;
  join->join = type;
  join->condition = std::move(condition);
  join->children.push_back(std::move(left));
  join->children.push_back(std::move(right));
  return join;
}

FromItem Binder::bind_from_list(sql::NodeList items, QueryLevel& level) {
  FromItem all;
  level.scope = {};
  for (const auto* item : items) {
    FromItem next = bind_from_item(item, level);
    add_to_scope(level.scope, next.scope, item->location);
    for (const auto& t : next.scope.tables)
      for (const auto& c : t.columns) level.own_columns.insert(c.id);
    for (const auto& c : next.scope.star) level.own_columns.insert(c.id);
    if (all.node == nullptr) all.node = std::move(next.node);
    else {
      const bool dependent = !next.lateral.empty();
      all.node =
          join_nodes(std::move(all.node), std::move(next.node), plan::JoinType::kInner, nullptr, dependent);
    }
  }
  if (all.node == nullptr) all.node = make_node(LogicalKind::kResult);
  all.scope = level.scope;
  return all;
}

FromItem Binder::bind_from_item(const sql::Node* node, QueryLevel& level) {
  switch (node->kind) {
    case sql::NodeKind::kRelationRef: return bind_relation(sql::as<sql::RelationRef>(node), level);
    case sql::NodeKind::kRangeSubquery: {
      const auto& sub = sql::as<sql::RangeSubquery>(node);
      auto query = bind_select(*sub.query, &level, true, !sub.lateral);
      std::vector<ColumnId> lateral;
      for (ColumnId id : query.correlated)
        if (level.own_columns.contains(id)) lateral.push_back(id);
      auto item = bind_subquery(std::move(query), sub.alias, {}, node->location);
      item.lateral = std::move(lateral);
      return item;
    }
    case sql::NodeKind::kRangeFunction: return bind_range_function(sql::as<sql::RangeFunction>(node), level);
    case sql::NodeKind::kJoinExpression: return bind_join(sql::as<sql::JoinExpression>(node), level);
    case sql::NodeKind::kTableSample: throw not_supported("TABLESAMPLE").at(node->location);
    default: throw not_supported("this FROM item").at(node->location);
  }
}

LogicalNode* Binder::add_get(FromItem& item, const std::shared_ptr<const catalog::Relation>& relation,
                             std::string alias) {
  auto get = make_node(LogicalKind::kGet);
  get->relation = relation;
  get->alias = alias;
  ScopeTable table;
  table.alias = std::move(alias);
  table.relation = relation;
  for (const auto& c : relation->columns) {
    if (c.dropped) continue;
    const ColumnId id = add_column(c.name, c.type, table.alias, relation->oid, c.number, !c.not_null);
    get->columns.push_back({c.number, id});
    get->output.push_back(id);
    table.columns.push_back({c.name, id});
  }
  table.get = get.get();
  item.scope.star = table.columns;
  item.scope.tables.push_back(std::move(table));
  item.node = std::move(get);
  return item.node.get();
}

FromItem Binder::bind_stored(const std::shared_ptr<const catalog::Relation>& relation,
                             const sql::RelationRef& ref, QueryLevel&) {
  if (relation->kind == catalog::RelationKind::kComposite)
    throw error(sqlstate::kWrongObjectType, "\"{}\" is a composite type", relation->name).at(ref.location);
  FromItem item;
  const std::string alias{
      ref.alias != nullptr && !ref.alias->name.empty() ? ref.alias->name : std::string_view{relation->name}};
  add_get(item, relation, alias);
  auto& table = item.scope.tables.front();
  table.aliased = ref.alias != nullptr;
  table.schema = relation->schema_name;
  if (ref.alias != nullptr) rename_columns(item.scope, *ref.alias, alias);
  require(relation->oid, 1);
  bool known = false;
  for (const auto& d : plan_->dependencies) known = known || d.relation == relation->oid;
  if (!known) plan_->dependencies.push_back({relation->oid, input_.catalog->version});
  return item;
}

FromItem Binder::scan_cte(CteEntry& cte, const sql::RelationRef& ref, const QueryLevel& level) {
  if (cte.is_work_table) {
    if (cte.references > 0)
      throw error(sqlstate::kInvalidRecursion,
                  "recursive reference to query \"{}\" must not appear more than once", cte.name)
          .at(ref.location);
    cte.work_level = &level;
  }
  ++cte.references;
  FromItem item;
  auto scan = make_node(cte.is_work_table ? LogicalKind::kWorkTableScan : LogicalKind::kCteScan);
  scan->cte = cte.number;
  scan->cte_name = cte.name;
  const std::string alias{ref.alias != nullptr ? ref.alias->name : ref.name};
  scan->alias = alias;
  ScopeTable table;
  table.alias = alias;
  table.aliased = true;
  for (const auto& c : cte.columns) {
    const ColumnId id = add_column(c.name, c.type, alias);
    scan->output.push_back(id);
    scan->cte_columns.push_back(c.id);
    table.columns.push_back({c.name, id});
  }
  item.scope.star = table.columns;
  item.scope.tables.push_back(std::move(table));
  item.node = std::move(scan);
  if (ref.alias != nullptr) rename_columns(item.scope, *ref.alias, alias);
  return item;
}

FromItem Binder::bind_relation(const sql::RelationRef& ref, QueryLevel& level) {
  if (ref.as_of != nullptr) throw not_supported("AS OF SYSTEM TIME").at(ref.location);
  if (ref.schema.empty()) {
    for (QueryLevel* at = &level; at != nullptr; at = at->parent)
      for (auto it = at->ctes.rbegin(); it != at->ctes.rend(); ++it)
        if ((*it)->name == ref.name) return scan_cte(**it, ref, level);
  }
  auto relation = find_relation(ref, input_);
  if (relation->kind != catalog::RelationKind::kView || relation->view_sql.empty())
    return bind_stored(relation, ref, level);
  // A view is its query, bound anew under the names of its own schema search.
  if (++view_depth_ > kViewDepthMax)
    throw error(sqlstate::kInvalidRecursion, "infinite recursion detected in rules for relation \"{}\"",
                relation->name);
  require(relation->oid, 1);
  plan_->dependencies.push_back({relation->oid, input_.catalog->version});
  view_arenas_.push_back(std::make_unique<Arena>());
  auto statements = sql::parse(relation->view_sql, *view_arenas_.back());
  RUSTBD_STATEMENT_ASSERT(statements.size() == 1, "a view holds one query");
  const Oid owner =
      std::exchange(view_owner_, relation->owner);  // who must be allowed to read what lies behind
  const auto first = static_cast<ColumnId>(plan_->columns.columns.size());
  BoundQuery query;
  try {
    query = bind_select(sql::as<sql::SelectStatement>(statements[0].statement), nullptr);
  } catch (Error& e) {
    e.position = -1;  // offsets are into the view's text
    throw;
  }
  view_owner_ = owner;
  view_columns_.emplace_back(first, static_cast<ColumnId>(plan_->columns.columns.size()));
  --view_depth_;
  std::size_t i = 0;
  for (const auto& c : relation->columns) {
    if (c.dropped) continue;
    RUSTBD_STATEMENT_ASSERT(i < query.columns.size(), "a view delivers its columns");
    query.columns[i++].name = c.name;
  }
  auto item = bind_subquery(std::move(query), ref.alias, relation->name, ref.location);
  auto& table = item.scope.tables.front();
  table.relation = relation;
  table.schema = relation->schema_name;
  table.aliased = ref.alias != nullptr;
  return item;
}

FromItem Binder::bind_subquery(BoundQuery query, const sql::Alias* alias, std::string_view default_alias,
                               std::int32_t) {
  FromItem item;
  ScopeTable table;
  table.alias = alias != nullptr ? alias->name : default_alias;
  table.aliased = true;
  table.only_columns = table.alias.empty();
  for (const auto& c : query.columns) table.columns.push_back({c.name, c.id});
  // Two names for one column must stay apart in the scope, as they are: a name maps to an id.
  item.scope.star = table.columns;
  const std::string name = table.alias;
  item.scope.tables.push_back(std::move(table));
  if (alias != nullptr) rename_columns(item.scope, *alias, name);
  for (const auto& c : item.scope.star) {
    auto& info = plan_->columns.columns[c.id];
    if (info.relation == 0 && info.qualifier.empty()) info.qualifier = name;
  }
  item.node = std::move(query.root);
  return item;
}

FromItem Binder::bind_range_function(const sql::RangeFunction& range, QueryLevel& level) {
  auto node = make_node(LogicalKind::kFunctionScan);
  FromItem item;
  ScopeTable table;
  table.aliased = true;
  QueryLevel inner;  // arguments see the items to the left, as LATERAL
  inner.parent = &level;
  inner.allow_srf = true;
  for (const auto* f : range.functions) {
    if (!f->columns.empty() || !range.columns.empty())
      throw not_supported("a column definition list").at(range.location);
    auto call = bind_expression(f->call, inner);
    const auto* as_call = sql::try_as<sql::FunctionCall>(f->call);
    const std::string name{as_call != nullptr ? as_call->name.back()
                                              : std::string_view{target_name(f->call)}};
    if (table.alias.empty()) table.alias = range.alias != nullptr ? std::string{range.alias->name} : name;
    std::vector<std::pair<std::string, TypeRef>> columns;
    LogicalNode::Function function;
    // In FROM the call itself is the row source: take it back out of the select-list machinery.
    if (!inner.srfs.empty() && call->kind == Kind::kColumn &&
        call->column == inner.srfs.back().columns.front()) {
      call = std::move(inner.srfs.back().call);
      inner.srfs.pop_back();
    }
    if (!inner.srfs.empty())
      throw not_supported("a set-returning function inside another call in FROM").at(range.location);
    function.set_returning = call->kind == Kind::kCall && call->function.declaration != nullptr &&
                             call->function.declaration->is(functions::kSetReturning);
    if (function.set_returning) set_returning_columns(*call, columns);
    else columns.emplace_back(name, call->type);
    if (columns.size() == 1 && range.functions.size() == 1 && range.alias != nullptr &&
        !range.alias->name.empty()) {
      const bool named_output = function.set_returning && !call->function.declaration->argument_names.empty();
      if (!named_output) columns[0].first = range.alias->name;
    } else if (columns.size() == 1 && function.set_returning &&
               call->function.declaration->argument_names.empty()) {
      columns[0].first = name;
    }
    for (auto& [column, type] : columns) {
      const ColumnId id = add_column(column, type, table.alias);
      function.columns.push_back(id);
      node->output.push_back(id);
      table.columns.push_back({column, id});
    }
    function.call = std::move(call);
    node->functions.push_back(std::move(function));
  }
  if (range.ordinality) {
    node->has_ordinality = true;
    node->ordinality = add_column("ordinality", types::make_type(oid::kInt8), table.alias, 0, 0, false);
    node->output.push_back(node->ordinality);
    table.columns.push_back({"ordinality", node->ordinality});
  }
  node->alias = table.alias;
  for (ColumnId id : inner.correlated)
    if (level.own_columns.contains(id)) item.lateral.push_back(id);
  const std::string name = table.alias;
  item.scope.star = table.columns;
  item.scope.tables.push_back(std::move(table));
  if (range.alias != nullptr) rename_columns(item.scope, *range.alias, name);
  item.node = std::move(node);
  return item;
}

FromItem Binder::bind_join(const sql::JoinExpression& join, QueryLevel& level) {
  FromItem left = bind_from_item(join.left, level);
  // The right side may refer to the left one if it is LATERAL.
  Scope saved = level.scope;
  {
    Scope visible = left.scope;
    add_to_scope(level.scope, visible, join.location);
  }
  const auto note_own = [&](const FromItem& item) {
    for (const auto& t : item.scope.tables)
      for (const auto& c : t.columns) level.own_columns.insert(c.id);
  };
  note_own(left);
  FromItem right = bind_from_item(join.right, level);
  note_own(right);
  level.scope = saved;
  FromItem out;
  out.lateral = left.lateral;
  const auto left_columns = delivered(*left.node);
  bool lateral = false;
  for (ColumnId id : right.lateral) {
    if (std::find(left_columns.begin(), left_columns.end(), id) != left_columns.end()) lateral = true;
    else out.lateral.push_back(id);
  }
  Scope both = left.scope;
  add_to_scope(both, right.scope, join.location);

  std::vector<std::string> using_columns(join.using_columns.begin(), join.using_columns.end());
  if (join.natural) {
    for (const auto& l : left.scope.star)
      for (const auto& r : right.scope.star)
        if (l.name == r.name) {
          using_columns.push_back(l.name);
          break;
        }
  }
  plan::JoinType type = plan::JoinType::kInner;
  switch (join.type) {
    case sql::JoinType::kInner:
    case sql::JoinType::kCross: type = plan::JoinType::kInner; break;
    case sql::JoinType::kLeft: type = plan::JoinType::kLeft; break;
    case sql::JoinType::kRight: type = plan::JoinType::kRight; break;
    case sql::JoinType::kFull: type = plan::JoinType::kFull; break;
  }
  if (lateral && (type == plan::JoinType::kRight || type == plan::JoinType::kFull))
    throw error(sqlstate::kUndefinedTable, "invalid reference to FROM-clause entry for table \"{}\"",
                left.scope.tables.front().alias)
        .with_detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
        .at(join.location);

  ExpressionPtr condition;
  std::vector<NamedColumn> merged;
  std::vector<plan::ComputedColumn> coalesced;
  for (const auto& name : using_columns) {
    const auto find_one = [&](const Scope& scope, std::string_view side) {
      const NamedColumn* found = nullptr;
      for (const auto& c : scope.star) {
        if (c.name != name) continue;
        if (found != nullptr)
          throw error(sqlstate::kAmbiguousColumn,
                      "common column name \"{}\" appears more than once in {} table", name, side)
              .at(join.location);
        found = &c;
      }
      if (found == nullptr)
        throw error(sqlstate::kUndefinedColumn,
                    "column \"{}\" specified in USING clause does not exist in {} table", name, side)
            .at(join.location);
      return found->id;
    };
    const ColumnId l = find_one(left.scope, "left"), r = find_one(right.scope, "right");
    auto equal = apply_operator("=", make_column_use(l, level, level, join.location),
                                make_column_use(r, level, level, join.location), join.location);
    std::vector<ExpressionPtr> parts;
    if (condition != nullptr) parts.push_back(std::move(condition));
    parts.push_back(std::move(equal));
    condition = expression::make_and(std::move(parts));
    const bool same_type = type_of(l).oid == type_of(r).oid;
    if (type == plan::JoinType::kFull || (!same_type && type != plan::JoinType::kFull)) {
      ExpressionPtr lv = expression::make_column(l, type_of(l)), rv = expression::make_column(r, type_of(r));
      const TypeRef common = unify({&lv, &rv}, "JOIN/USING");
      auto value = std::make_unique<Expression>();
      value->kind = Kind::kCoalesce;
      value->type = common;
      if (type == plan::JoinType::kRight) value->args.push_back(std::move(rv));
      else value->args.push_back(std::move(lv));
      if (type == plan::JoinType::kFull) value->args.push_back(std::move(rv));
      const ColumnId id = add_column(name, common);
      coalesced.push_back({id, std::move(value)});
      merged.push_back({name, id});
    } else {
      merged.push_back({name, type == plan::JoinType::kRight ? r : l});
    }
  }
  if (join.on != nullptr) {
    level.scope = both;
    // LATERAL references of the condition to items further left are allowed as well.
    const char* clause = level.clause;
    const bool aggregates = level.allow_aggregates, windows = level.allow_windows, srf = level.allow_srf;
    level.clause = "JOIN conditions";
    level.allow_aggregates = level.allow_windows = level.allow_srf = false;
    condition = coerce_to_boolean(bind_expression(join.on, level), "JOIN/ON");
    level.clause = clause;
    level.allow_aggregates = aggregates;
    level.allow_windows = windows;
    level.allow_srf = srf;
    // System columns may have been added to the tables' Gets: keep what the scope learned.
    both = level.scope;
    level.scope = saved;
  }
  out.node = join_nodes(std::move(left.node), std::move(right.node), type, std::move(condition), lateral);
  if (!coalesced.empty()) {
    auto merge = make_node(LogicalKind::kProject);
    merge->output = delivered(*out.node);
    for (const auto& c : coalesced) merge->output.push_back(c.id);
    merge->computed = std::move(coalesced);
    merge->children.push_back(std::move(out.node));
    out.node = std::move(merge);
    for (const auto& c : merged) level.own_columns.insert(c.id);
  }
  out.scope.tables = both.tables;
  if (using_columns.empty()) out.scope.star = both.star;
  else {
    out.scope.star = merged;
    const auto is_merged = [&](const std::string& n) {
      return std::find(using_columns.begin(), using_columns.end(), n) != using_columns.end();
    };
    for (const auto* side : {&left.scope, &right.scope})
      for (const auto& c : side->star)
        if (!is_merged(c.name)) out.scope.star.push_back(c);
  }
  if (join.using_alias != nullptr) {
    ScopeTable t;
    t.alias = join.using_alias->name;
    t.aliased = true;
    t.columns = merged;
    out.scope.tables.push_back(std::move(t));
  }
  if (join.alias != nullptr) {
    ScopeTable t;
    t.alias = join.alias->name;
    t.aliased = true;
    t.columns = out.scope.star;
    out.scope.tables.clear();
    out.scope.tables.push_back(std::move(t));
    rename_columns(out.scope, *join.alias, join.alias->name);
  }
  return out;
}

}  // namespace rustbd::binder
