// UNION, INTERSECT, EXCEPT and VALUES.
#include "rustbd/binder/binder_impl.h"

namespace rustbd::binder {

void Binder::convert_outputs(BoundQuery& query, std::span<const TypeRef> wanted) {
  bool needed = false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto& t = query.columns[i].type;
    needed = needed || t.oid != wanted[i].oid || t.phys != wanted[i].phys || t.scale != wanted[i].scale;
  }
  if (!needed) return;
  auto node = make_node(LogicalKind::kProject);
  // Unknown literals directly below are coerced where they stand, so that their text is read as the target
  // type.
  LogicalNode* below = query.root->kind == LogicalKind::kProject ? query.root.get() : nullptr;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    auto& c = query.columns[i];
    ExpressionPtr value = expression::make_column(c.id, c.type);
    if (c.type.oid == oid::kUnknown && below != nullptr)
      for (auto& computed : below->computed)
        if (computed.id == c.id && computed.expression->type.oid == oid::kUnknown)
          value = computed.expression->clone();
    const TypeRef from = c.type;
    auto cast = try_coerce(std::move(value), wanted[i], CastContext::kImplicit);
    if (cast == nullptr)
      throw error(sqlstate::kCannotCoerce, "could not convert type {} to {}", type_name(from),
                  type_name(wanted[i]));
    cast = to_physical(std::move(cast), wanted[i]);
    if (cast->kind == Kind::kColumn) {
      node->output.push_back(cast->column);
    } else {
      const ColumnId id = add_column(c.name, wanted[i]);
      node->computed.push_back({id, std::move(cast)});
      node->output.push_back(id);
      c.id = id;
    }
    c.type = wanted[i];
  }
  node->children.push_back(std::move(query.root));
  query.root = std::move(node);
}

/// Where the output column stands in the text, as far as it stands there.
static std::int32_t output_location(const sql::SelectStatement& select, std::size_t column) {
  if (select.set_operation != sql::SetOperation::kNone) return output_location(*select.left, column);
  if (!select.values.empty())
    return column < select.values[0].size() ? select.values[0][column]->location : select.location;
  return column < select.targets.size() ? select.targets[column]->location : select.location;
}

BoundQuery Binder::combine(plan::SetOperationKind kind, bool all, BoundQuery left, BoundQuery right,
                           std::string_view name, const sql::SelectStatement& right_tree) {
  if (left.columns.size() != right.columns.size())
    throw error(sqlstate::kSyntaxError, "each {} query must have the same number of columns", name)
        .at(output_location(right_tree, 0));
  std::vector<TypeRef> wanted;
  for (std::size_t i = 0; i < left.columns.size(); ++i) {
    const TypeRef pair[] = {left.columns[i].type, right.columns[i].type};
    wanted.push_back(common_type(pair, name, output_location(right_tree, i)));
  }
  convert_outputs(left, wanted);
  convert_outputs(right, wanted);
  auto node = make_node(LogicalKind::kSetOperation);
  node->set_operation = kind;
  node->set_all = all;
  BoundQuery out;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const ColumnId id = add_column(left.columns[i].name, wanted[i]);
    node->output.push_back(id);
    out.columns.push_back({left.columns[i].name, id, wanted[i]});
  }
  // The children's outputs are matched by position.
  const auto in_order = [](BoundQuery query) {
    auto order = make_node(LogicalKind::kProject);
    for (const auto& c : query.columns) order->output.push_back(c.id);
    order->children.push_back(std::move(query.root));
    return order;
  };
  node->children.push_back(in_order(std::move(left)));
  node->children.push_back(in_order(std::move(right)));
  out.root = std::move(node);
  return out;
}

void Binder::order_and_limit(BoundQuery& query, const sql::SelectStatement& select, QueryLevel& level) {
  if (!select.locking.empty())
    throw error(sqlstate::kFeatureNotSupported, "FOR UPDATE is not allowed with {}",
                select.values.empty() ? "UNION/INTERSECT/EXCEPT" : "VALUES")
        .at(select.locking[0]->location);
  std::vector<plan::SortKey> keys;
  for (const auto* item : select.order_by) {
    std::optional<std::size_t> at;
    if (const auto* l = sql::try_as<sql::Literal>(item->value);
        l != nullptr && l->type == sql::LiteralType::kInteger) {
      if (l->integer < 1 || static_cast<std::size_t>(l->integer) > query.columns.size())
        throw error(sqlstate::kInvalidColumnReference, "ORDER BY position {} is not in select list",
                    l->integer)
            .at(l->location);
      at = static_cast<std::size_t>(l->integer - 1);
    } else if (const auto* ref = sql::try_as<sql::ColumnRef>(item->value);
               ref != nullptr && !ref->star && ref->fields.size() == 1) {
      for (std::size_t i = 0; i < query.columns.size(); ++i)
        if (query.columns[i].name == ref->fields[0]) {
          at = i;
          break;
        }
      if (!at && !select.values.empty())
        throw error(sqlstate::kUndefinedColumn, "column \"{}\" does not exist", ref->fields[0])
            .at(ref->location);
      if (!at)
        throw error(sqlstate::kUndefinedColumn, "column \"{}\" does not exist", ref->fields[0])
            .at(ref->location);
    }
    if (!at)
      throw error(sqlstate::kFeatureNotSupported, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
          .with_detail("Only result column names can be used, not expressions or functions.")
          .with_hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
          .at(item->value->location);
    bool descending = false, nulls_first = false;
    sort_direction(*item, descending, nulls_first);
    keys.push_back({query.columns[*at].id, descending, nulls_first});
  }
  query.root = make_sort(std::move(query.root), std::move(keys));
  query.root = add_limit(std::move(query.root), select, level);
}

BoundQuery Binder::bind_set_operation(const sql::SelectStatement& select, QueryLevel& level) {
  plan::SetOperationKind kind = plan::SetOperationKind::kUnion;
  std::string_view name = "UNION";
  if (select.set_operation == sql::SetOperation::kIntersect) {
    kind = plan::SetOperationKind::kIntersect;
    name = "INTERSECT";
  }
  if (select.set_operation == sql::SetOperation::kExcept) {
    kind = plan::SetOperationKind::kExcept;
    name = "EXCEPT";
  }
  level.scope = {};
  auto left = bind_select(*select.left, &level, false);
  auto right = bind_select(*select.right, &level, false);
  for (const auto* side : {&left, &right})
    for (ColumnId id : side->correlated)
      if (std::find(level.correlated.begin(), level.correlated.end(), id) == level.correlated.end())
        level.correlated.push_back(id);
  auto out = combine(kind, select.set_all, std::move(left), std::move(right), name, *select.right);
  order_and_limit(out, select, level);
  return out;
}

BoundQuery Binder::bind_values(const sql::SelectStatement& select, QueryLevel& level) {
  auto node = make_node(LogicalKind::kValues);
  level.clause = "VALUES";
  const auto width = select.values[0].size();
  for (const auto& row : select.values) {
    if (row.size() != width)
      throw error(sqlstate::kSyntaxError, "VALUES lists must all be the same length")
          .at(row.empty() ? select.location : row[0]->location);
    std::vector<ExpressionPtr> bound;
    for (const auto* cell : row) {
      if (cell->kind == sql::NodeKind::kDefaultMarker)
        throw error(sqlstate::kSyntaxError, "DEFAULT is not allowed in this context").at(cell->location);
      bound.push_back(bind_expression(cell, level));
    }
    node->rows.push_back(std::move(bound));
  }
  BoundQuery out;
  for (std::size_t c = 0; c < width; ++c) {
    std::vector<ExpressionPtr*> column;
    for (auto& row : node->rows) column.push_back(&row[c]);
    TypeRef type;
    bool all_unknown = true;
    for (auto* e : column) all_unknown = all_unknown && (*e)->type.oid == oid::kUnknown;
    if (all_unknown && !level.resolve_unknowns) type = column[0]->get()->type;
    else type = unify(column, "VALUES");
    const std::string name = fmt::format("column{}", c + 1);
    const ColumnId id = add_column(name, type, "*VALUES*");
    node->output.push_back(id);
    out.columns.push_back({name, id, type});
  }
  out.root = std::move(node);
  order_and_limit(out, select, level);
  return out;
}

}  // namespace rustbd::binder
