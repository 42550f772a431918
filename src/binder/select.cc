// One SELECT from FROM to LIMIT.
#include "rustbd/base/statement_assert.h"
#include "rustbd/binder/binder_impl.h"

namespace rustbd::binder {

std::vector<ExpressionPtr> clone_all(const std::vector<ExpressionPtr>& from) {
  std::vector<ExpressionPtr> out;
  for (const auto& e : from) out.push_back(e->clone());
  return out;
}

namespace {
constexpr int kFieldNameDepth = 8;

/// PostgreSQL's FigureColname: the name and how sure it is (0: none, 1: from a type, 2: from a column or
/// function).
int figure_name(const sql::Node* node, std::string& name, int depth = 0) {
  if (node == nullptr || depth > kFieldNameDepth) return 0;
  switch (node->kind) {
    case sql::NodeKind::kColumnRef: {
      const auto& c = sql::as<sql::ColumnRef>(node);
      if (c.fields.empty() || c.star) return 0;
      name = c.fields.back();
      return 2;
    }
    case sql::NodeKind::kIndirection: {
      const auto& i = sql::as<sql::Indirection>(node);
      for (auto it = i.items.rbegin(); it != i.items.rend(); ++it)
        if (it->type == sql::IndirectionType::kField) {
          name = it->field;
          return 2;
        }
      return figure_name(i.base, name, depth + 1);
    }
    case sql::NodeKind::kFunctionCall: name = sql::as<sql::FunctionCall>(node).name.back(); return 2;
    case sql::NodeKind::kNullIfExpression: name = "nullif"; return 2;
    case sql::NodeKind::kTypeCast: {
      const auto& c = sql::as<sql::TypeCast>(node);
      const int strength = figure_name(c.argument, name, depth + 1);
      if (strength <= 1 && !c.type->name.empty()) {
        name = c.type->name.back();
        return 1;
      }
      return strength;
    }
    case sql::NodeKind::kCollateExpression:
      return figure_name(sql::as<sql::CollateExpression>(node).argument, name, depth + 1);
    case sql::NodeKind::kCaseExpression: {
      const int strength = figure_name(sql::as<sql::CaseExpression>(node).otherwise, name, depth + 1);
      if (strength <= 1) {
        name = "case";
        return 1;
      }
      return strength;
    }
    case sql::NodeKind::kArrayExpression: name = "array"; return 2;
    case sql::NodeKind::kRowExpression: name = "row"; return 2;
    case sql::NodeKind::kCoalesceExpression: name = "coalesce"; return 2;
    case sql::NodeKind::kMinMaxExpression:
      name = sql::as<sql::MinMaxExpression>(node).greatest ? "greatest" : "least";
      return 2;
    case sql::NodeKind::kGroupingFunction: name = "grouping"; return 2;
    case sql::NodeKind::kSqlValueFunction: {
      static constexpr std::string_view names[] = {"current_date",    "current_time",   "current_timestamp",
                                                   "localtime",       "localtimestamp", "current_role",
                                                   "current_user",    "user",           "session_user",
                                                   "current_catalog", "current_schema"};
      name = names[static_cast<std::size_t>(sql::as<sql::SqlValueFunction>(node).type)];
      return 2;
    }
    case sql::NodeKind::kSubLink: {
      const auto& s = sql::as<sql::SubLink>(node);
      if (s.type == sql::SubLinkType::kExists) {
        name = "exists";
        return 2;
      }
      if (s.type == sql::SubLinkType::kArray) {
        name = "array";
        return 2;
      }
      if (s.type == sql::SubLinkType::kScalar) {
        const auto* q = s.query;
        while (q->set_operation != sql::SetOperation::kNone) q = q->left;
        if (!q->values.empty()) {
          name = "column1";
          return 2;
        }
        if (q->targets.empty()) return 0;
        if (!q->targets[0]->name.empty()) {
          name = q->targets[0]->name;
          return 2;
        }
        return figure_name(q->targets[0]->value, name, depth + 1);
      }
      return 0;
    }
    default: return 0;
  }
}
}  // namespace

std::string Binder::target_name(const sql::Node* node) {
  std::string name;
  return figure_name(node, name) > 0 ? name : "?column?";
}

std::vector<Binder::Target> Binder::bind_targets(sql::List<sql::TargetItem*> items, QueryLevel& level) {
  std::vector<Target> out;
  const auto note_origin = [&](Target& t) {
    if (t.expression->kind != Kind::kColumn) return;
    const auto& info = plan_->columns[t.expression->column];
    t.relation = info.relation;
    t.attribute = info.attribute > 0 ? info.attribute : catalog::AttributeNumber{0};
    if (t.attribute == 0) t.relation = 0;
  };
  for (const auto* item : items) {
    if (const auto* ref = sql::try_as<sql::ColumnRef>(item->value); ref != nullptr && ref->star) {
      std::vector<std::pair<std::string, ExpressionPtr>> columns;
      expand_star(*ref, level, columns);
      for (auto& [name, e] : columns) {
        out.push_back({name, std::move(e)});
        note_origin(out.back());
      }
      continue;
    }
    if (const auto* ind = sql::try_as<sql::Indirection>(item->value);
        ind != nullptr && !ind->items.empty() && ind->items.back().type == sql::IndirectionType::kStar) {
      auto row = bind_expression(ind->base, level);
      if (row->kind != Kind::kRow)
        throw not_supported("expansion of this composite value").at(item->location);
      int n = 0;
      for (auto& f : row->args) {
        std::string name =
            f->kind == Kind::kColumn ? plan_->columns[f->column].name : fmt::format("f{}", n + 1);
        ++n;
        out.push_back({std::move(name), std::move(f)});
      }
      continue;
    }
    Target t;
    t.name = item->name.empty() ? target_name(item->value) : std::string{item->name};
    t.expression = bind_expression(item->value, level);
    if (level.resolve_unknowns) t.expression = resolve_unknown(std::move(t.expression));
    note_origin(t);
    out.push_back(std::move(t));
  }
  return out;
}

void Binder::sort_direction(const sql::SortItem& item, bool& descending, bool& nulls_first) {
  descending = item.direction == sql::SortDirection::kDescending;
  if (item.direction == sql::SortDirection::kUsing) {
    if (item.using_op == ">") descending = true;
    else if (item.using_op != "<")
      throw error(sqlstate::kWrongObjectType, "operator {} is not a valid ordering operator", item.using_op)
          .with_hint("Ordering operators must be \"<\" or \">\" members of btree operator families.")
          .at(item.location);
  }
  nulls_first =
      item.nulls == sql::SortNulls::kFirst || (item.nulls == sql::SortNulls::kDefault && descending);
}

std::uint32_t Binder::sort_target(const sql::Node* node, std::vector<Target>& targets, QueryLevel& level,
                                  bool allow_hidden, const char* clause) {
  if (const auto* ref = sql::try_as<sql::ColumnRef>(node);
      ref != nullptr && !ref->star && ref->fields.size() == 1) {
    const std::string_view name = ref->fields[0];
    // GROUP BY prefers an input column; ORDER BY and DISTINCT ON an output name.
    const bool input_first = std::string_view{clause} == "GROUP BY";
    ExpressionPtr input;
    if (input_first) {
      for (const auto& c : level.scope.star)
        if (c.name == name) {
          input = column_reference(*ref, level);
          break;
        }
    }
    if (input == nullptr) {
      std::optional<std::uint32_t> found;
      for (std::uint32_t i = 0; i < targets.size(); ++i) {
        if (targets[i].hidden || targets[i].name != name) continue;
        if (found && !expression::same(*targets[*found].expression, *targets[i].expression))
          throw error(sqlstate::kAmbiguousColumn, "{} \"{}\" is ambiguous", clause, name).at(node->location);
        if (!found) found = i;
      }
      if (found) return *found;
    } else {
      for (std::uint32_t i = 0; i < targets.size(); ++i)
        if (expression::same(*targets[i].expression, *input)) return i;
      targets.push_back({"?column?", std::move(input), true});
      return static_cast<std::uint32_t>(targets.size() - 1);
    }
  }
  if (const auto* l = sql::try_as<sql::Literal>(node)) {
    if (l->type != sql::LiteralType::kInteger)
      throw error(sqlstate::kSyntaxError, "non-integer constant in {}", clause).at(node->location);
    std::int32_t n = 0;
    for (std::uint32_t i = 0; i < targets.size(); ++i)
      if (!targets[i].hidden && ++n == l->integer) return i;
    throw error(sqlstate::kInvalidColumnReference, "{} position {} is not in select list", clause, l->integer)
        .at(node->location);
  }
  auto value = resolve_unknown(bind_expression(node, level));
  for (std::uint32_t i = 0; i < targets.size(); ++i)
    if (expression::same(*targets[i].expression, *value)) return i;
  if (!allow_hidden)
    throw error(sqlstate::kInvalidColumnReference,
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list")
        .at(node->location);
  targets.push_back({"?column?", std::move(value), true});
  return static_cast<std::uint32_t>(targets.size() - 1);
}

std::vector<Binder::SortItem> Binder::bind_order_by(sql::List<sql::SortItem*> items,
                                                    std::vector<Target>& targets, QueryLevel& level,
                                                    bool allow_hidden) {
  std::vector<SortItem> out;
  for (const auto* item : items) {
    SortItem s{};
    s.target = sort_target(item->value, targets, level, allow_hidden, "ORDER BY");
    sort_direction(*item, s.descending, s.nulls_first);
    bool repeated = false;
    for (const auto& o : out) repeated = repeated || o.target == s.target;
    if (!repeated) out.push_back(s);
  }
  return out;
}

LogicalPtr Binder::make_sort(LogicalPtr root, std::vector<plan::SortKey> keys) {
  if (keys.empty()) return root;
  auto sort = make_node(LogicalKind::kSort);
  sort->sort_keys = std::move(keys);
  sort->children.push_back(std::move(root));
  return sort;
}

LogicalPtr Binder::add_limit(LogicalPtr root, const sql::SelectStatement& select, QueryLevel& level) {
  if (select.limit == nullptr && select.offset == nullptr) return root;
  auto limit = make_node(LogicalKind::kLimit);
  const auto count = [&](const sql::Node* node, const char* what) -> ExpressionPtr {
    if (node == nullptr) return nullptr;
    QueryLevel inner;
    inner.parent = level.parent;
    inner.clause = what;
    Scope saved = std::move(level.scope);  // LIMIT sees no column of its query
    level.scope = {};
    auto e = bind_expression(node, level);
    level.scope = std::move(saved);
    const TypeRef from = e->type;
    auto cast = try_coerce(std::move(e), types::make_type(oid::kInt8), CastContext::kAssignment);
    if (cast == nullptr)
      throw error(sqlstate::kDatatypeMismatch, "argument of {} must be type bigint, not type {}", what,
                  type_name(from))
          .at(node->location);
    std::vector<ColumnId> used;
    expression::collect_columns(*cast, used);
    for (ColumnId id : used)
      if (level.own_columns.contains(id))
        throw error(sqlstate::kInvalidColumnReference, "argument of {} must not contain variables", what)
            .at(node->location);
    return cast;
  };
  limit->limit = count(select.limit, "LIMIT");
  limit->offset = count(select.offset, "OFFSET");
  limit->with_ties = select.limit_with_ties;
  if (limit->with_ties && select.order_by.empty())
    throw error(sqlstate::kSyntaxError, "WITH TIES cannot be specified without ORDER BY clause")
        .at(select.location);
  limit->children.push_back(std::move(root));
  return limit;
}

bool Binder::is_outer(const Expression& e, const QueryLevel& level) {
  return e.kind == Kind::kColumn &&
         std::find(level.correlated.begin(), level.correlated.end(), e.column) != level.correlated.end();
}

LogicalPtr Binder::project(LogicalPtr root, std::vector<Target>& targets, std::vector<ColumnId>& ids,
                           const QueryLevel& level) {
  auto node = make_node(LogicalKind::kProject);
  for (auto& t : targets) {
    if (t.expression->kind == Kind::kColumn && !is_outer(*t.expression, level)) {
      ids.push_back(t.expression->column);
    } else {
      const ColumnId id = add_column(t.name, t.expression->type, {}, 0, 0, true);
      node->computed.push_back({id, std::move(t.expression)});
      ids.push_back(id);
    }
  }
  node->output = ids;
  node->children.push_back(std::move(root));
  return node;
}

BoundQuery Binder::bind_select(const sql::SelectStatement& select, QueryLevel* parent, bool resolve_unknowns,
                               bool hide_parent) {
  QueryLevel level;
  level.parent = parent;
  level.resolve_unknowns = resolve_unknowns;
  const bool hidden_before = parent != nullptr && parent->hidden;
  if (parent != nullptr && hide_parent) parent->hidden = true;
  if (select.into != nullptr)
    throw error(sqlstate::kSyntaxError, "SELECT ... INTO is not allowed here").at(select.into->location);
  CteDefinitions ctes;
  bind_with(select.with, level, ctes);
  BoundQuery query;
  if (select.set_operation != sql::SetOperation::kNone) query = bind_set_operation(select, level);
  else if (!select.values.empty()) query = bind_values(select, level);
  else query = bind_plain_select(select, level);
  query.root = wrap_ctes(std::move(query.root), ctes);
  query.correlated = std::move(level.correlated);
  if (parent != nullptr) parent->hidden = hidden_before;
  return query;
}

BoundQuery Binder::bind_plain_select(const sql::SelectStatement& select, QueryLevel& level) {
  level.window_definitions = select.windows;
  FromItem from = bind_from_list(select.from, level);
  LogicalPtr root = std::move(from.node);
  ExpressionPtr where;
  if (select.where != nullptr) {
    level.clause = "WHERE";
    where = coerce_to_boolean(bind_expression(select.where, level), "WHERE");
  }
  ExpressionPtr where_copy = where != nullptr && !select.locking.empty() ? where->clone() : nullptr;
  if (where != nullptr) {
    auto filter = make_node(LogicalKind::kFilter);
    filter->condition = std::move(where);
    filter->children.push_back(std::move(root));
    root = std::move(filter);
  }
  level.allow_aggregates = level.allow_windows = level.allow_srf = true;
  level.clause = "SELECT";
  auto targets = bind_targets(select.targets, level);
  for (const auto& t : targets)
    if (t.expression->type.oid == oid::kUnknown && level.resolve_unknowns)
      RUSTBD_STATEMENT_UNREACHABLE("unknowns are resolved");
  ExpressionPtr having;
  if (select.having != nullptr) {
    level.allow_windows = level.allow_srf = false;
    level.clause = "HAVING";
    having = coerce_to_boolean(bind_expression(select.having, level), "HAVING");
    level.allow_windows = level.allow_srf = true;
  }
  const bool distinct = select.distinct == sql::DistinctType::kDistinct,
             distinct_on = select.distinct == sql::DistinctType::kOn;
  level.clause = "ORDER BY";
  auto sort = bind_order_by(select.order_by, targets, level, !distinct);
  std::vector<std::uint32_t> on;
  for (const auto* d : select.distinct_on) on.push_back(sort_target(d, targets, level, true, "DISTINCT ON"));
  if (distinct_on) {
    for (std::size_t i = 0; i < sort.size() && i < on.size(); ++i)
      if (std::find(on.begin(), on.end(), sort[i].target) == on.end())
        throw error(sqlstate::kInvalidColumnReference,
                    "SELECT DISTINCT ON expressions must match initial ORDER BY expressions")
            .at(select.distinct_on[0]->location);
    for (std::uint32_t t : on) {  // those without an order are sorted by too
      bool there = false;
      for (const auto& s : sort) there = there || s.target == t;
      if (!there) sort.push_back({t, false, false});
    }
  }
  level.allow_aggregates = level.allow_windows = level.allow_srf = false;

  const bool grouped = !select.group_by.empty() || !level.aggregates.empty() || having != nullptr ||
                       !level.grouping_calls.empty();
  if (!select.locking.empty()) {
    for (const auto* l : select.locking) {
      static constexpr std::string_view names[] = {"FOR KEY SHARE", "FOR SHARE", "FOR NO KEY UPDATE",
                                                   "FOR UPDATE"};
      const auto refuse = [&](std::string_view what) {
        throw error(sqlstate::kFeatureNotSupported, "{} is not allowed with {}",
                    names[static_cast<std::size_t>(l->strength)], what)
            .at(l->location);
      };
      if (distinct || distinct_on) refuse("DISTINCT clause");
      if (!select.group_by.empty()) refuse("GROUP BY clause");
      if (having != nullptr) refuse("HAVING clause");
      if (grouped) refuse("aggregate functions");
      if (!level.windows.empty()) refuse("window functions");
      if (!level.srfs.empty()) refuse("set-returning functions in the target list");
    }
    return bind_locking_select(select, level, std::move(root), std::move(targets), sort,
                               std::move(where_copy));
  }
  if (grouped) root = group(std::move(root), select, level, targets, std::move(having));
  root = add_windows(std::move(root), level);
  root = add_set_returning(std::move(root), level, targets);

  std::vector<ColumnId> ids;
  BoundQuery out;
  for (const auto& t : targets)
    if (!t.hidden) out.columns.push_back({t.name, 0, t.expression->type, t.relation, t.attribute});
  root = project(std::move(root), targets, ids, level);
  std::vector<ColumnId> visible;
  for (std::size_t i = 0; i < targets.size(); ++i)
    if (!targets[i].hidden) visible.push_back(ids[i]);
  for (std::size_t i = 0; i < visible.size(); ++i) out.columns[i].id = visible[i];

  std::vector<plan::SortKey> keys;
  for (const auto& s : sort) keys.push_back({ids[s.target], s.descending, s.nulls_first});
  if (distinct) {
    auto node = make_node(LogicalKind::kDistinct);
    node->children.push_back(std::move(root));
    root = std::move(node);
  }
  root = make_sort(std::move(root), std::move(keys));
  if (distinct_on) {
    auto node = make_node(LogicalKind::kDistinct);
    node->is_distinct_on = true;
    for (std::uint32_t t : on) node->distinct_on.push_back(ids[t]);
    node->children.push_back(std::move(root));
    root = std::move(node);
  }
  level.clause = "LIMIT";
  root = add_limit(std::move(root), select, level);
  if (visible.size() != ids.size()) {
    auto drop = make_node(LogicalKind::kProject);
    drop->output = visible;
    drop->children.push_back(std::move(root));
    root = std::move(drop);
  }
  out.root = std::move(root);
  return out;
}

/// SELECT ... FOR UPDATE: rows are locked behind the sort and in front of the limit, and the select list is
/// computed from what was locked.
BoundQuery Binder::bind_locking_select(const sql::SelectStatement& select, QueryLevel& level, LogicalPtr root,
                                       std::vector<Target> targets, const std::vector<SortItem>& sort,
                                       ExpressionPtr where) {
  auto lock = make_node(LogicalKind::kLockRows);
  for (const auto* clause : select.locking) {
    static constexpr std::string_view names[] = {"FOR KEY SHARE", "FOR SHARE", "FOR NO KEY UPDATE",
                                                 "FOR UPDATE"};
    const auto lock_table = [&](ScopeTable& t) {
      if (t.get == nullptr || t.relation == nullptr || t.relation->kind != catalog::RelationKind::kTable ||
          t.relation->is_catalog())
        return false;
      ColumnId row_id = 0;
      bool have = false;
      for (const auto& c : t.get->columns)
        if (c.attribute == catalog::kRowIdAttribute) {
          row_id = c.id;
          have = true;
        }
      if (!have) {
        TypeRef type = types::make_type(oid::kInt8);
        type.phys = types::Phys::kU64;
        row_id = add_column("rowid", type, t.alias, t.relation->oid, catalog::kRowIdAttribute, false);
        t.get->columns.push_back({catalog::kRowIdAttribute, row_id});
        t.get->output.push_back(row_id);
      }
      plan::RowLock l;
      l.relation = t.relation;
      l.row_id = row_id;
      l.strength = static_cast<plan::LockStrength>(clause->strength);
      l.wait = clause->wait == sql::LockWait::kBlock
                   ? plan::LockWait::kWait
                   : (clause->wait == sql::LockWait::kNoWait ? plan::LockWait::kNoWait
                                                             : plan::LockWait::kSkipLocked);
      for (const auto& c : t.get->columns)
        if (c.attribute > 0) l.columns.push_back(c);
      require(t.relation->oid, 4);
      lock->locks.push_back(std::move(l));
      return true;
    };
    if (clause->relations.empty()) {
      for (auto& t : level.scope.tables) lock_table(t);
    } else {
      for (const auto* r : clause->relations) {
        auto* t = find_table(level.scope, {}, r->name);
        if (t == nullptr)
          throw error(sqlstate::kUndefinedTable, "relation \"{}\" in {} clause not found in FROM clause",
                      r->name, names[static_cast<std::size_t>(clause->strength)])
              .at(r->location);
        if (!lock_table(*t)) throw not_supported("row locking of \"{}\"", r->name).at(r->location);
      }
    }
  }
  plan_->read_only = false;
  lock->condition = std::move(where);
  // Sort keys that are no columns are computed before the lock.
  auto before = make_node(LogicalKind::kProject);
  std::vector<plan::SortKey> keys;
  for (const auto& s : sort) {
    auto& e = targets[s.target].expression;
    if (e->kind != Kind::kColumn) {
      const ColumnId id = add_column("sort key", e->type);
      before->computed.push_back({id, e->clone()});
      keys.push_back({id, s.descending, s.nulls_first});
    } else {
      keys.push_back({e->column, s.descending, s.nulls_first});
    }
  }
  if (!before->computed.empty()) {
    before->output = delivered(*root);
    for (const auto& c : before->computed) before->output.push_back(c.id);
    before->children.push_back(std::move(root));
    root = std::move(before);
  }
  root = make_sort(std::move(root), std::move(keys));
  if (!lock->locks.empty()) {
    lock->children.push_back(std::move(root));
    root = std::move(lock);
  }
  root = add_limit(std::move(root), select, level);
  std::erase_if(targets, [](const Target& t) { return t.hidden; });
  BoundQuery out;
  for (const auto& t : targets)
    out.columns.push_back({t.name, 0, t.expression->type, t.relation, t.attribute});
  std::vector<ColumnId> ids;
  out.root = project(std::move(root), targets, ids, level);
  for (std::size_t i = 0; i < ids.size(); ++i) out.columns[i].id = ids[i];
  return out;
}

LogicalPtr Binder::add_windows(LogicalPtr root, QueryLevel& level) {
  // One node per (partition, order, frame); expressions are computed in a Project below.
  std::vector<bool> placed(level.windows.size(), false);
  const auto same_list = [](const auto& a, const auto& b, auto equal) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
      if (!equal(a[i], b[i])) return false;
    return true;
  };
  for (std::size_t i = 0; i < level.windows.size(); ++i) {
    if (placed[i]) continue;
    auto& first = level.windows[i];
    auto node = make_node(LogicalKind::kWindow);
    auto below = make_node(LogicalKind::kProject);
    below->output = delivered(*root);
    const auto column_of = [&](ExpressionPtr e) {
      if (e->kind == Kind::kColumn &&
          std::find(below->output.begin(), below->output.end(), e->column) != below->output.end())
        return e->column;
      for (const auto& c : below->computed)
        if (expression::same(*c.expression, *e)) return c.id;
      const ColumnId id = add_column("window key", e->type);
      below->computed.push_back({id, std::move(e)});
      below->output.push_back(id);
      return id;
    };
    for (std::size_t j = i; j < level.windows.size(); ++j) {
      auto& w = level.windows[j];
      if (placed[j]) continue;
      const auto same_expr = [](const ExpressionPtr& a, const ExpressionPtr& b) {
        return expression::same(*a, *b);
      };
      const auto same_key = [](const expression::OrderKey& a, const expression::OrderKey& b) {
        return a.descending == b.descending && a.nulls_first == b.nulls_first &&
               expression::same(*a.expression, *b.expression);
      };
      const auto same_bound = [](const ExpressionPtr& a, const ExpressionPtr& b) {
        return (a == nullptr) == (b == nullptr) && (a == nullptr || expression::same(*a, *b));
      };
      if (j != i &&
          !(same_list(first.partition_by, w.partition_by, same_expr) &&
            same_list(first.order_by, w.order_by, same_key) && first.frame.unit == w.frame.unit &&
            first.frame.start == w.frame.start && first.frame.end == w.frame.end &&
            first.frame.exclude == w.frame.exclude && same_bound(first.frame_start, w.frame_start) &&
            same_bound(first.frame_end, w.frame_end)))
        continue;
      placed[j] = true;
      node->windows.push_back({w.id, std::move(w.call)});
      node->output.push_back(w.id);
    }
    for (auto& p : first.partition_by) node->partition_by.push_back(column_of(p->clone()));
    for (auto& k : first.order_by)
      node->sort_keys.push_back({column_of(k.expression->clone()), k.descending, k.nulls_first});
    node->frame = first.frame;
    if (first.frame_start) node->frame_start = first.frame_start->clone();
    if (first.frame_end) node->frame_end = first.frame_end->clone();
    below->children.push_back(std::move(root));
    root = std::move(below);
    node->children.push_back(std::move(root));
    auto own = node->output;
    node->output = delivered(*node->children[0]);
    node->output.insert(node->output.end(), own.begin(), own.end());
    root = std::move(node);
  }
  return root;
}

LogicalPtr Binder::add_set_returning(LogicalPtr root, QueryLevel& level, std::vector<Target>&) {
  if (level.srfs.empty()) return root;
  auto node = make_node(LogicalKind::kProjectSet);
  node->output = delivered(*root);
  for (auto& s : level.srfs) {
    node->output.insert(node->output.end(), s.columns.begin(), s.columns.end());
    node->functions.push_back({std::move(s.call), s.columns, true});
  }
  level.srfs.clear();
  node->children.push_back(std::move(root));
  return node;
}

std::unique_ptr<plan::LogicalPlan> Binder::bind_statement(const sql::Node& statement) {
  std::vector<OutputColumn> columns;
  switch (statement.kind) {
    case sql::NodeKind::kSelectStatement: {
      auto query = bind_select(sql::as<sql::SelectStatement>(&statement), nullptr);
      plan_->root = std::move(query.root);
      columns = std::move(query.columns);
      break;
    }
    case sql::NodeKind::kInsertStatement:
      plan_->tag = plan::StatementTag::kInsert;
      plan_->root = bind_insert(sql::as<sql::InsertStatement>(&statement), nullptr, columns);
      break;
    case sql::NodeKind::kUpdateStatement:
      plan_->tag = plan::StatementTag::kUpdate;
      plan_->root = bind_update(sql::as<sql::UpdateStatement>(&statement), nullptr, columns);
      break;
    case sql::NodeKind::kDeleteStatement:
      plan_->tag = plan::StatementTag::kDelete;
      plan_->root = bind_delete(sql::as<sql::DeleteStatement>(&statement), nullptr, columns);
      break;
    case sql::NodeKind::kMergeStatement: throw not_supported("MERGE").at(statement.location);
    default: RUSTBD_STATEMENT_UNREACHABLE("only queries and DML are bound");
  }
  complete_outputs(*plan_->root);
  for (auto& s : plan_->subplans)
    if (s.root != nullptr) complete_outputs(*s.root);
  for (const auto& c : columns) plan_->result.push_back({c.name, c.id, c.type, c.relation, c.attribute});
  if (input_.parameters != nullptr) {
    for (std::size_t i = 0; i < input_.parameters->size(); ++i)
      if ((*input_.parameters)[i].oid == oid::kUnknown)
        throw error(sqlstate::kIndeterminateDatatype, "could not determine data type of parameter ${}",
                    i + 1);
    plan_->parameters = *input_.parameters;
  }
  return std::move(plan_);
}

std::unique_ptr<plan::LogicalPlan> bind(const sql::Node& statement, BindInput& input) {
  Binder binder{input};
  return binder.bind_statement(statement);
}

}  // namespace rustbd::binder
