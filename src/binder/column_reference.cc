// Names of columns and tables in expressions.
#include "rustbd/binder/binder_impl.h"

namespace rustbd::binder {

ExpressionPtr Binder::make_column_use(ColumnId id, QueryLevel& from, QueryLevel& owner,
                                      std::int32_t location) {
  for (QueryLevel* level = &from; level != &owner; level = level->parent)
    if (std::find(level->correlated.begin(), level->correlated.end(), id) == level->correlated.end())
      level->correlated.push_back(id);
  const auto& info = plan_->columns[id];
  // Columns that a view passes on are those of a table: the privilege for the view is enough.
  const bool of_view =
      std::ranges::any_of(view_columns_, [&](const auto& v) { return id >= v.first && id < v.second; });
  if (info.relation != 0 && info.attribute > 0 && !of_view) require(info.relation, 1, info.attribute);
  return expression::make_column(id, info.type, location);
}

std::optional<ColumnId> Binder::system_column(ScopeTable& table, std::string_view name, QueryLevel& owner) {
  if (table.get == nullptr) return std::nullopt;
  catalog::AttributeNumber attribute = 0;
  TypeRef type;
  if (name == "ctid") {
    attribute = catalog::kCtidAttribute;
    type = types::make_type(oid::kTid);
  } else if (name == "tableoid") {
    attribute = catalog::kTableOidAttribute;
    type = types::make_type(oid::kOid);
  } else return std::nullopt;
  for (const auto& c : table.get->columns)
    if (c.attribute == attribute) return c.id;
  const ColumnId id = add_column(std::string{name}, type, table.alias, table.relation->oid, attribute, false);
  table.get->columns.push_back({attribute, id});
  table.get->output.push_back(id);
  owner.own_columns.insert(id);
  return id;
}

ScopeTable* Binder::find_table(Scope& scope, std::string_view schema, std::string_view name) {
  for (auto& t : scope.tables) {
    if (t.only_columns || t.alias != name) continue;
    if (!schema.empty() && (t.schema != schema || t.aliased)) continue;
    return &t;
  }
  return nullptr;
}

ExpressionPtr Binder::find_unqualified(const std::string& name, QueryLevel& level, std::int32_t location) {
  for (QueryLevel* at = &level; at != nullptr; at = at->parent) {
    if (at->hidden) continue;
    const NamedColumn* found = nullptr;
    for (const auto& c : at->scope.star) {
      if (c.name != name) continue;
      if (found != nullptr)
        throw error(sqlstate::kAmbiguousColumn, "column reference \"{}\" is ambiguous", name).at(location);
      found = &c;
    }
    if (found != nullptr) return make_column_use(found->id, level, *at, location);
    for (auto& t : at->scope.tables)
      if (auto id = system_column(t, name, *at)) return make_column_use(*id, level, *at, location);
  }
  return nullptr;
}

ExpressionPtr Binder::whole_row(ScopeTable& table, QueryLevel& from, QueryLevel& owner,
                                std::int32_t location) {
  auto row = std::make_unique<Expression>();
  row->kind = Kind::kRow;
  row->type = types::make_type(oid::kRecord);
  row->location = location;
  for (const auto& c : table.columns) row->args.push_back(make_column_use(c.id, from, owner, location));
  return row;
}

void Binder::missing_table(std::string_view name, QueryLevel& level, std::int32_t location) {
  for (QueryLevel* at = &level; at != nullptr; at = at->parent) {
    for (const auto& t : at->scope.tables) {
      if (t.relation != nullptr && t.relation->name == name && t.alias != name)
        throw error(sqlstate::kUndefinedTable, "invalid reference to FROM-clause entry for table \"{}\"",
                    name)
            .with_hint(fmt::format("Perhaps you meant to reference the table alias \"{}\".", t.alias))
            .at(location);
      if (at->hidden && t.alias == name)
        throw error(sqlstate::kUndefinedTable, "invalid reference to FROM-clause entry for table \"{}\"",
                    name)
            .with_detail(fmt::format("There is an entry for table \"{}\", but it cannot be referenced from "
                                     "this part of the query.",
                                     name))
            .at(location);
    }
  }
  throw error(sqlstate::kUndefinedTable, "missing FROM-clause entry for table \"{}\"", name).at(location);
}

ExpressionPtr Binder::column_reference(const sql::ColumnRef& ref, QueryLevel& level) {
  if (ref.star)
    throw error(sqlstate::kSyntaxError, "row expansion via \"*\" is not supported here").at(ref.location);
  if (ref.fields.size() == 1) {
    const std::string name{ref.fields[0]};
    if (auto found = find_unqualified(name, level, ref.location)) return found;
    for (QueryLevel* at = &level; at != nullptr; at = at->parent) {
      if (at->hidden) continue;
      if (auto* t = find_table(at->scope, {}, name)) return whole_row(*t, level, *at, ref.location);
    }
    throw error(sqlstate::kUndefinedColumn, "column \"{}\" does not exist", name).at(ref.location);
  }
  std::string_view schema, table, column;
  if (ref.fields.size() == 2) {
    table = ref.fields[0];
    column = ref.fields[1];
  } else if (ref.fields.size() == 3) {
    schema = ref.fields[0];
    table = ref.fields[1];
    column = ref.fields[2];
  } else if (ref.fields.size() == 4) {
    if (ref.fields[0] != input_.database)
      throw error(sqlstate::kFeatureNotSupported, "cross-database references are not implemented: {}",
                  fmt::join(ref.fields, "."))
          .at(ref.location);
    schema = ref.fields[1];
    table = ref.fields[2];
    column = ref.fields[3];
  } else {
    throw error(sqlstate::kSyntaxError, "improper qualified name (too many dotted names): {}",
                fmt::join(ref.fields, "."))
        .at(ref.location);
  }
  for (QueryLevel* at = &level; at != nullptr; at = at->parent) {
    if (at->hidden) continue;
    auto* t = find_table(at->scope, schema, table);
    if (t == nullptr) continue;
    const NamedColumn* found = nullptr;
    for (const auto& c : t->columns) {
      if (c.name != column) continue;
      if (found != nullptr)
        throw error(sqlstate::kAmbiguousColumn, "column reference \"{}\" is ambiguous", column)
            .at(ref.location);
      found = &c;
    }
    if (found != nullptr) return make_column_use(found->id, level, *at, ref.location);
    if (auto id = system_column(*t, column, *at)) return make_column_use(*id, level, *at, ref.location);
    throw error(sqlstate::kUndefinedColumn, "column {}.{} does not exist", table, column).at(ref.location);
  }
  missing_table(table, level, ref.location);
}

void Binder::expand_star(const sql::ColumnRef& ref, QueryLevel& level,
                         std::vector<std::pair<std::string, ExpressionPtr>>& out) {
  if (ref.fields.empty()) {
    if (level.scope.tables.empty() && level.scope.star.empty())
      throw error(sqlstate::kSyntaxError, "SELECT * with no tables specified is not valid").at(ref.location);
    const auto star = level.scope.star;
    for (const auto& c : star) out.emplace_back(c.name, make_column_use(c.id, level, level, ref.location));
    return;
  }
  const std::string_view schema =
      ref.fields.size() > 1 ? ref.fields[ref.fields.size() - 2] : std::string_view{};
  const std::string_view table = ref.fields.back();
  for (QueryLevel* at = &level; at != nullptr; at = at->parent) {
    if (at->hidden) continue;
    if (auto* t = find_table(at->scope, schema, table)) {
      for (const auto& c : t->columns)
        out.emplace_back(c.name, make_column_use(c.id, level, *at, ref.location));
      return;
    }
  }
  missing_table(table, level, ref.location);
}

}  // namespace rustbd::binder
