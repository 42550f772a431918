// WITH: common table expressions, recursive ones too.
#include "rustbd/binder/binder_impl.h"

namespace rustbd::binder {

namespace {
bool mentions(const sql::Node* node, std::string_view name);

bool mentions_select(const sql::SelectStatement& s, std::string_view name) {
  if (s.set_operation != sql::SetOperation::kNone)
    return mentions_select(*s.left, name) || mentions_select(*s.right, name);
  for (const auto* f : s.from)
    if (mentions(f, name)) return true;
  if (s.with != nullptr)
    for (const auto* c : s.with->items)
      if (const auto* q = sql::try_as<sql::SelectStatement>(c->query);
          q != nullptr && mentions_select(*q, name))
        return true;
  return false;
}
bool mentions(const sql::Node* node, std::string_view name) {
  switch (node->kind) {
    case sql::NodeKind::kRelationRef: {
      const auto& r = sql::as<sql::RelationRef>(node);
      return r.schema.empty() && r.name == name;
    }
    case sql::NodeKind::kJoinExpression: {
      const auto& j = sql::as<sql::JoinExpression>(node);
      return mentions(j.left, name) || mentions(j.right, name);
    }
    case sql::NodeKind::kRangeSubquery:
      return mentions_select(*sql::as<sql::RangeSubquery>(node).query, name);
    default: return false;
  }
}

/// Where the recursive term may not refer to itself: what an outer join fills with NULLs, and what a set
/// operation takes away. Throws 42P19.
void check_place(const sql::Node* node, std::string_view name, const char* inside);
void check_place(const sql::SelectStatement& s, std::string_view name, const char* inside) {
  if (s.set_operation != sql::SetOperation::kNone) {
    const bool except = s.set_operation == sql::SetOperation::kExcept,
               intersect = s.set_operation == sql::SetOperation::kIntersect;
    check_place(*s.left, name, intersect ? "INTERSECT" : inside);
    check_place(*s.right, name, intersect ? "INTERSECT" : except ? "EXCEPT" : inside);
    return;
  }
  for (const auto* f : s.from) check_place(f, name, inside);
}
void check_place(const sql::Node* node, std::string_view name, const char* inside) {
  if (const auto* r = sql::try_as<sql::RelationRef>(node);
      r != nullptr && inside != nullptr && mentions(r, name)) {
    throw error(sqlstate::kInvalidRecursion, "recursive reference to query \"{}\" must not appear within {}",
                name, inside)
        .at(r->location);
  } else if (const auto* j = sql::try_as<sql::JoinExpression>(node)) {
    const bool left = j->type == sql::JoinType::kLeft || j->type == sql::JoinType::kFull;
    const bool right = j->type == sql::JoinType::kRight || j->type == sql::JoinType::kFull;
    check_place(j->left, name, right ? "an outer join" : inside);
    check_place(j->right, name, left ? "an outer join" : inside);
  } else if (const auto* q = sql::try_as<sql::RangeSubquery>(node)) {
    check_place(*q->query, name, inside);
  }
}

void name_columns(const sql::CommonTableExpression& cte, std::vector<OutputColumn>& columns) {
  if (cte.columns.size() > columns.size())
    throw error(sqlstate::kInvalidColumnReference,
                "WITH query \"{}\" has {} columns available but {} columns specified", cte.name,
                columns.size(), cte.columns.size())
        .at(cte.location);
  for (std::size_t i = 0; i < cte.columns.size(); ++i) columns[i].name = cte.columns[i];
}
}  // namespace

LogicalPtr Binder::bind_recursive(const sql::CommonTableExpression& cte, CteEntry& entry, QueryLevel& level) {
  const auto& query = sql::as<sql::SelectStatement>(cte.query);
  if (query.set_operation != sql::SetOperation::kUnion)
    throw error(sqlstate::kInvalidRecursion,
                "recursive query \"{}\" does not have the form non-recursive-term UNION [ALL] recursive-term",
                cte.name)
        .at(cte.location);
  if (!query.order_by.empty())
    throw error(sqlstate::kFeatureNotSupported, "ORDER BY in a recursive query is not implemented")
        .at(query.order_by[0]->location);
  if (query.offset != nullptr)
    throw error(sqlstate::kFeatureNotSupported, "OFFSET in a recursive query is not implemented")
        .at(query.offset->location);
  if (query.limit != nullptr)
    throw error(sqlstate::kFeatureNotSupported, "LIMIT in a recursive query is not implemented")
        .at(query.limit->location);
  if (cte.search.present || cte.cycle.present) throw not_supported("SEARCH and CYCLE").at(cte.location);
  if (mentions_select(*query.left, cte.name))
    throw error(sqlstate::kInvalidRecursion,
                "recursive reference to query \"{}\" must not appear within its non-recursive term", cte.name)
        .at(cte.location);
  auto seed = bind_select(*query.left, &level);
  name_columns(cte, seed.columns);
  auto node = make_node(LogicalKind::kRecursiveUnion);
  node->cte = entry.number;
  node->cte_name = entry.name;
  node->set_all = query.set_all;
  for (auto& c : seed.columns) {
    const ColumnId id = add_column(c.name, c.type, entry.name);
    node->output.push_back(id);
    entry.columns.push_back({c.name, id, c.type});
  }
  check_place(*query.right, cte.name, nullptr);
  entry.is_work_table = true;
  auto step = bind_select(*query.right, &level, false);
  entry.is_work_table = false;
  if (step.columns.size() != seed.columns.size())
    throw error(sqlstate::kSyntaxError, "each UNION query must have the same number of columns")
        .at(query.right->location);
  for (std::size_t i = 0; i < step.columns.size(); ++i) {
    const auto &want = seed.columns[i].type, &have = step.columns[i].type;
    const TypeRef pair[] = {want, have};
    const TypeRef common = common_type(pair, "UNION", query.right->location);
    if (have.oid != oid::kUnknown && common.oid != want.oid)
      throw error(sqlstate::kDatatypeMismatch,
                  "recursive query \"{}\" column {} has type {} in non-recursive term but type {} overall",
                  cte.name, i + 1, type_name(want), type_name(common))
          .with_hint("Cast the output of the non-recursive term to the correct type.")
          .at(query.left->location);
  }
  std::vector<TypeRef> wanted;
  for (const auto& c : seed.columns) wanted.push_back(c.type);
  convert_outputs(step, wanted);
  const auto in_order = [](BoundQuery q) {
    auto order = make_node(LogicalKind::kProject);
    for (const auto& c : q.columns) order->output.push_back(c.id);
    order->children.push_back(std::move(q.root));
    return order;
  };
  node->children.push_back(in_order(std::move(seed)));
  node->children.push_back(in_order(std::move(step)));
  return node;
}

void Binder::bind_with(const sql::WithClause* with, QueryLevel& level, CteDefinitions& out) {
  if (with == nullptr) return;
  for (const auto* cte : with->items) {
    for (const auto& other : level.ctes)
      if (other->name == cte->name)
        throw error(sqlstate::kDuplicateAlias, "WITH query name \"{}\" specified more than once", cte->name)
            .at(cte->location);
    auto entry = std::make_shared<CteEntry>();
    entry->name = cte->name;
    entry->number = next_cte_++;
    LogicalPtr definition;
    const auto* select = sql::try_as<sql::SelectStatement>(cte->query);
    const bool recursive = with->recursive && select != nullptr && mentions_select(*select, cte->name);
    if (recursive) {
      level.ctes.push_back(entry);
      definition = bind_recursive(*cte, *entry, level);
      definition->materialized = true;
    } else if (select != nullptr) {
      auto query = bind_select(*select, &level);
      name_columns(*cte, query.columns);
      entry->columns = std::move(query.columns);
      definition = std::move(query.root);
      level.ctes.push_back(entry);
    } else {
      std::vector<OutputColumn> returning;
      if (level.parent != nullptr)
        throw error(sqlstate::kFeatureNotSupported,
                    "WITH clause containing a data-modifying statement must be at the top level")
            .at(cte->location);
      switch (cte->query->kind) {
        case sql::NodeKind::kInsertStatement:
          definition = bind_insert(sql::as<sql::InsertStatement>(cte->query), &level, returning);
          break;
        case sql::NodeKind::kUpdateStatement:
          definition = bind_update(sql::as<sql::UpdateStatement>(cte->query), &level, returning);
          break;
        case sql::NodeKind::kDeleteStatement:
          definition = bind_delete(sql::as<sql::DeleteStatement>(cte->query), &level, returning);
          break;
        default: throw not_supported("this statement in WITH").at(cte->location);
      }
      name_columns(*cte, returning);
      entry->columns = std::move(returning);
      level.ctes.push_back(entry);
      plan_->read_only = false;
    }
    // Whether the optimizer may inline: asked not to materialise, or used once (known only at the end).
    definition->materialized =
        cte->materialized == sql::CteMaterialized::kAlways || recursive || select == nullptr;
    out.emplace_back(entry, std::move(definition));
    if (cte->materialized == sql::CteMaterialized::kNever && !recursive && select != nullptr)
      out.back().second->with_ties = false;
  }
}

LogicalPtr Binder::wrap_ctes(LogicalPtr root, CteDefinitions& definitions) {
  for (auto it = definitions.rbegin(); it != definitions.rend(); ++it) {
    const bool forced = it->second->materialized;
    const bool modifies = it->second->kind == LogicalKind::kModify ||
                          (it->second->kind == LogicalKind::kProject && !it->second->children.empty() &&
                           it->second->children[0]->kind == LogicalKind::kModify);
    if (it->first->references == 0 && !modifies) continue;  // never read, and reading has no effect
    auto bind = make_node(LogicalKind::kCteBind);
    bind->cte = it->first->number;
    bind->cte_name = it->first->name;
    bind->materialized = forced || it->first->references > 1;
    for (const auto& c : it->first->columns) bind->cte_columns.push_back(c.id);
    bind->children.push_back(std::move(it->second));
    bind->children.push_back(std::move(root));
    root = std::move(bind);
  }
  return root;
}

}  // namespace rustbd::binder
