// Definitions of objects as SQL text: what pg_get_expr, pg_get_indexdef, pg_get_constraintdef and
// pg_get_viewdef answer. Stored expressions are texts; here they are bound again and written in PostgreSQL's
// canonical form.
#include "rustbd/engine/context/definitions.h"
#include "rustbd/catalog/pg_catalog/operator_classes.h"
#include "rustbd/engine/context/object_names.h"
#include "rustbd/engine/context/session_context.h"
#include "rustbd/expression/sql_text.h"
#include "rustbd/sql/ast_expression.h"
#include "rustbd/sql/deparse.h"
#include "rustbd/sql/keywords.h"
#include "rustbd/sql/parser.h"

namespace rustbd::engine {

namespace {

using catalog::AttributeNumber;
using catalog::Constraint;
using catalog::ConstraintType;
using catalog::Index;
using catalog::Relation;

std::string column_list(const Relation& relation, std::span<const AttributeNumber> columns) {
  std::string out;
  for (const auto n : columns)
    out += (out.empty() ? "" : ", ") + sql::quote_identifier(relation.column(n).name);
  return out;
}

/// A function call stands in an index without parentheses around it; every other expression needs them.
bool is_call(std::string_view text) {
  const auto open = text.find('(');
  if (open == std::string_view::npos || open == 0 || text.back() != ')') return false;
  for (const char c : text.substr(0, open))
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.'))
      return false;
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    depth += text[i] == '(' ? 1 : (text[i] == ')' ? -1 : 0);
    if (depth == 0) return i + 1 == text.size();
  }
  return false;
}

std::string_view action_text(char action) {
  switch (action) {
    case 'c': return "CASCADE";
    case 'n': return "SET NULL";
    case 'd': return "SET DEFAULT";
    case 'r': return "RESTRICT";
    default: return {};
  }
}

}  // namespace

std::string SessionContext::expression_text(const Relation& relation, std::string_view sql,
                                            const types::TypeRef* target, bool pretty) {
  Arena ast;
  const auto* node = sql::parse_expression(sql, ast);
  if (node->kind == sql::NodeKind::kSqlValueFunction) return sql::deparse(node);
  const auto catalog = parts_.catalog();
  const auto path = parts_.search_path(*catalog);
  auto input = bind_input(parts_, *catalog, path);
  input.arena = std::make_shared<Arena>();
  const auto names = [&](expression::ColumnId id) {
    return sql::quote_identifier(relation.column(static_cast<AttributeNumber>(id)).name);
  };
  try {
    // The cast to the column's type is implicit and not shown, but a literal takes the type.
    const auto* literal = sql::try_as<sql::Literal>(node);
    const bool typed = target != nullptr && literal != nullptr && literal->type == sql::LiteralType::kString;
    const types::TypeRef plain = typed ? types::make_type(target->oid, -1) : types::TypeRef{};
    const auto bound = binder::bind_table_expression(*node, &relation, input, typed ? &plain : nullptr,
                                                     "DEFAULT expressions");
    return pretty ? expression::to_pretty_sql(*bound, names, this) : expression::to_sql(*bound, names, this);
  } catch (const Error&) {
    return std::string{sql};  // refers to what is gone: as it was written
  }
}

std::string index_column_text(SessionContext& context, const Relation& relation,
                              const catalog::IndexColumn& column, bool with_options, bool pretty) {
  std::string out;
  if (column.attribute != 0) {
    out = sql::quote_identifier(relation.column(column.attribute).name);
  } else {
    out = context.expression_text(relation, column.expression_sql, nullptr, pretty);
    if (!is_call(out)) out = "(" + out + ")";
  }
  if (!with_options) return out;
  const Oid usual = catalog::default_operator_class(column.type.oid, catalog::oid::kBtree);
  if (column.operator_class != 0 && column.operator_class != usual)
    if (const auto name = catalog::operator_class_name(column.operator_class); !name.empty())
      out += " " + std::string{name};
  if (column.descending) out += column.nulls_first ? " DESC" : " DESC NULLS LAST";
  else if (column.nulls_first) out += " NULLS FIRST";
  return out;
}

std::string SessionContext::index_definition(const Index& index, bool pretty) {
  const auto catalog = parts_.catalog();
  const auto relation = catalog->relation(index.relation);
  if (relation == nullptr) return {};
  std::string out = index.unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ";
  out += sql::quote_identifier(index.name) + " ON " +
         (pretty ? class_name(parts_, *catalog, relation->oid)
                 : qualified_name(*catalog, relation->schema, relation->name, false)) +
         " USING " + index.method + " (";
  for (std::size_t i = 0; i < index.columns.size(); ++i)
    out += (i > 0 ? ", " : "") + index_column_text(*this, *relation, index.columns[i], true, pretty);
  out += ")";
  if (!index.included.empty()) out += " INCLUDE (" + column_list(*relation, index.included) + ")";
  if (index.nulls_not_distinct) out += " NULLS NOT DISTINCT";
  if (!index.predicate_sql.empty())
    out += " WHERE " + expression_text(*relation, index.predicate_sql, nullptr, pretty);
  return out;
}

namespace {

std::string foreign_key_text(Session::Parts& parts, const catalog::CatalogSnapshot& catalog,
                             const Relation& relation, const Constraint& k) {
  std::string out = "FOREIGN KEY (" + column_list(relation, k.columns) + ") REFERENCES " +
                    class_name(parts, catalog, k.referenced_relation);
  if (const auto target = catalog.relation(k.referenced_relation))
    out += "(" + column_list(*target, k.referenced_columns) + ")";
  if (k.match == 'f') out += " MATCH FULL";
  if (const auto text = action_text(k.on_update); !text.empty()) out += fmt::format(" ON UPDATE {}", text);
  if (const auto text = action_text(k.on_delete); !text.empty()) {
    out += fmt::format(" ON DELETE {}", text);
    if (!k.on_delete_columns.empty()) out += " (" + column_list(relation, k.on_delete_columns) + ")";
  }
  return out;
}

}  // namespace

std::string SessionContext::constraint_definition(const Relation& relation, const Constraint& k,
                                                  bool pretty) {
  const auto catalog = parts_.catalog();
  std::string out;
  switch (k.type) {
    case ConstraintType::kPrimaryKey:
    case ConstraintType::kUnique: {
      const auto index = catalog->index(k.index);
      out = k.type == ConstraintType::kPrimaryKey ? "PRIMARY KEY " : "UNIQUE ";
      if (index != nullptr && index->nulls_not_distinct) out += "NULLS NOT DISTINCT ";
      out += "(" + column_list(relation, k.columns) + ")";
      if (index != nullptr && !index->included.empty())
        out += " INCLUDE (" + column_list(relation, index->included) + ")";
      break;
    }
    case ConstraintType::kForeignKey: out = foreign_key_text(parts_, *catalog, relation, k); break;
    case ConstraintType::kCheck:
      out = "CHECK (" + expression_text(relation, k.expression_sql, nullptr, pretty) + ")";
      if (k.no_inherit) out += " NO INHERIT";
      break;
    case ConstraintType::kNotNull: out = "NOT NULL " + column_list(relation, k.columns); break;
  }
  if (k.deferrable) out += " DEFERRABLE";
  if (k.initially_deferred) out += " INITIALLY DEFERRED";
  if (!k.validated) out += " NOT VALID";
  return out;
}

std::string SessionContext::view_definition(const Relation& relation) {
  return " " + relation.view_sql + ";";
}

std::vector<catalog::CursorRow> SessionContext::cursors() {
  std::vector<catalog::CursorRow> out;
  for (const auto& [name, p] : parts_.portals) {
    if (name.empty() || p->statement == nullptr) continue;
    out.push_back({name, p->statement->text, p->hold, false, p->scroll, p->statement->prepare_time_us});
  }
  return out;
}

}  // namespace rustbd::engine
