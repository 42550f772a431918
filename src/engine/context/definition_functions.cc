// pg_get_*, *_is_visible, *_description: names and definitions of objects.
#include <algorithm>

#include "rustbd/catalog/pg_catalog/io_functions.h"
#include "rustbd/catalog/pg_catalog/operator_classes.h"
#include "rustbd/engine/context/catalog_functions.h"
#include "rustbd/engine/context/definitions.h"
#include "rustbd/engine/context/object_names.h"
#include "rustbd/sql/keywords.h"

namespace rustbd::engine {

namespace {

using catalog::Relation;
using functions::Registry;
namespace catalog_oid = catalog::oid;

// ---- definitions ----

bool get_expr(const CatalogCall& c) {
  const auto relation = c.catalog->relation(c.oid(1));
  if (relation == nullptr) return c.oid(1) == 0 && c.put(c.text(0));
  const types::TypeRef* target = nullptr;
  for (const auto& column : relation->columns)
    if (column.default_sql == c.text(0)) target = &column.type;
  return c.put(c.context.expression_text(*relation, c.text(0), target, c.flag(2)));
}
bool get_constraintdef(const CatalogCall& c) {
  for (const auto& [id, relation] : c.catalog->relations())
    for (const auto& k : relation->constraints)
      if (k->oid == c.oid(0)) return c.put(c.context.constraint_definition(*relation, *k, c.flag(1)));
  return false;
}
bool get_indexdef(const CatalogCall& c) {
  const auto index = c.catalog->index(c.oid(0));
  if (index == nullptr) return false;
  const std::int32_t column = c.args.size() > 1 ? c.int4(1) : 0;
  if (column == 0) return c.put(c.context.index_definition(*index, c.flag(2)));
  const auto relation = c.catalog->relation(index->relation);
  const auto at = static_cast<std::size_t>(column - 1);
  if (column < 0 || relation == nullptr || at >= index->columns.size() + index->included.size())
    return c.put(std::string_view{});
  if (at < index->columns.size())
    return c.put(index_column_text(c.context, *relation, index->columns[at], false, c.flag(2)));
  return c.put(sql::quote_identifier(relation->column(index->included[at - index->columns.size()]).name));
}
bool get_viewdef(const CatalogCall& c) {
  const auto relation = c.catalog->relation(c.oid(0));
  if (relation == nullptr) return false;
  if (relation->view_sql.empty()) return c.put(std::string_view{"Not a view"});
  return c.put(c.context.view_definition(*relation));
}
bool get_ruledef(const CatalogCall& c) {
  const auto relation = c.catalog->relation(c.oid(0));  // a view's rule has the view's oid
  if (relation == nullptr || relation->view_sql.empty()) return false;
  return c.put(fmt::format("CREATE RULE \"_RETURN\" AS\n    ON SELECT TO {} DO INSTEAD {}",
                           qualified_name(*c.catalog, relation->schema, relation->name, false),
                           c.context.view_definition(*relation)));
}
/// Triggers, partitions and extended statistics do not exist: asked by an oid of none, NULL as PostgreSQL.
bool nothing(const CatalogCall&) { return false; }

bool get_serial_sequence(const CatalogCall& c) {
  const Oid id = c.context.find(types::oid::kRegclass, c.text(0));
  const auto relation = c.catalog->relation(id);
  const auto* column = relation != nullptr ? relation->find_column(c.text(1)) : nullptr;
  if (column == nullptr)
    throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", c.text(1),
                relation != nullptr ? relation->name : std::string{c.text(0)});
  for (const auto& [oid, s] : c.catalog->relations())
    if (s->sequence && s->sequence->owner_relation == id && s->sequence->owner_column == column->number)
      return c.put(qualified_name(*c.catalog, s->schema, s->name, false));
  return false;
}

// ---- functions ----

struct FunctionFacts {
  std::vector<Oid> arguments;
  std::span<const std::string_view> names;
  Oid result = 0, variadic = 0;
  bool set = false, aggregate = false;
};
std::optional<FunctionFacts> facts_of(Oid oid) {
  if (const auto* f = Registry::instance().function(oid))
    return FunctionFacts{{f->arguments.begin(), f->arguments.end()},
                         f->argument_names,
                         f->result,
                         f->variadic_element,
                         f->is(functions::kSetReturning),
                         false};
  if (const auto* a = Registry::instance().aggregate(oid))
    return FunctionFacts{{a->arguments.begin(), a->arguments.end()}, {}, a->result, 0, false, a->kind != 'w'};
  for (const auto& f : catalog::io_functions())
    if (f.oid == oid) return FunctionFacts{f.arguments, {}, f.result, 0, false, false};
  return std::nullopt;
}
std::string type_name(const CatalogCall& c, Oid type) {
  return type_display_name(c.parts(), *c.catalog, type, -1, false);
}

bool get_function_arguments(const CatalogCall& c) {
  const auto f = facts_of(c.oid(0));
  if (!f) return false;
  std::string out;
  for (std::size_t i = 0; i < f->arguments.size(); ++i) {
    if (i > 0) out += ", ";
    if (f->variadic != 0 && i + 1 == f->arguments.size()) out += "VARIADIC ";
    if (i < f->names.size() && f->names[i] != ">" && !f->names[i].empty())
      out += sql::quote_identifier(f->names[i]) + " ";
    out += type_name(c, f->arguments[i]);
  }
  return c.put(out);
}
bool get_function_result(const CatalogCall& c) {
  const auto f = facts_of(c.oid(0));
  return f && c.put((f->set ? "SETOF " : "") + type_name(c, f->result));
}
bool get_functiondef(const CatalogCall& c) {
  const auto f = facts_of(c.oid(0));
  if (!f) return false;
  if (f->aggregate) {
    const auto* a = Registry::instance().aggregate(c.oid(0));
    throw error(sqlstate::kWrongObjectType, "\"{}\" is an aggregate function", a->name);
  }
  throw not_supported("the definition of a built-in function");
}

// ---- visibility ----

bool table_is_visible(const CatalogCall& c) {
  if (const auto r = c.catalog->relation(c.oid(0)))
    return c.put(relation_is_visible(c.parts(), *c.catalog, r->schema, r->name, r->oid));
  if (const auto i = c.catalog->index(c.oid(0)))
    return c.put(relation_is_visible(c.parts(), *c.catalog, i->schema, i->name, i->oid));
  return false;
}
bool visible_type(const CatalogCall& c) {
  const Oid type = c.oid(0);
  if (types::find_type(type) != nullptr) return c.put(true);
  if (const auto e = c.catalog->enum_type(type))
    return c.put(type_is_visible(c.parts(), *c.catalog, e->schema, e->name));
  for (const auto& [id, e] : c.catalog->enums())
    if (e->array_oid == type) return c.put(type_is_visible(c.parts(), *c.catalog, e->schema, "_" + e->name));
  for (const auto& [id, r] : c.catalog->relations())
    if (r->row_type == type)
      return c.put(relation_is_visible(c.parts(), *c.catalog, r->schema, r->name, r->oid));
  return false;
}
/// Functions, operators, collations, ... live in pg_catalog, which is always searched. Of text search, none
/// exist.
bool in_pg_catalog(const CatalogCall& c) {
  const auto path = c.parts().search_path(*c.catalog);
  return c.put(std::ranges::find(path, catalog_oid::kPgCatalog) != path.end());
}

// ---- comments and names ----

Oid class_of(const CatalogCall& c, std::string_view name) {
  return c.catalog->class_oid(catalog_oid::kPgCatalog, name);
}

bool put_comment(const CatalogCall& c, Oid class_oid, Oid object, std::int32_t sub) {
  const std::string text = c.parts().database.catalog().comment({class_oid, object, sub});
  return !text.empty() && c.put(text);
}
bool obj_description(const CatalogCall& c) {
  if (c.args.size() > 1) return put_comment(c, class_of(c, c.text(1)), c.oid(0), 0);
  for (const auto& [key, text] : c.parts().database.catalog().comments())
    if (std::get<1>(key) == c.oid(0) && std::get<2>(key) == 0) return c.put(text);
  return false;
}
bool col_description(const CatalogCall& c) {
  return put_comment(c, catalog_oid::kPgClass, c.oid(0), c.int4(1));
}

bool get_userbyid(const CatalogCall& c) {
  const auto* role = c.catalog->role(c.oid(0));
  return c.put(role != nullptr ? role->name : fmt::format("unknown (OID={})", c.oid(0)));
}
/// Only types of the catalog come here: the built-in ones are answered without it.
bool format_type(const CatalogCall& c) {
  const bool with_typmod = c.has(1);
  return c.put(type_display_name(c.parts(), *c.catalog, c.oid(0), with_typmod ? c.int4(1) : -1, with_typmod));
}

std::string_view kind_text(const Relation& relation) {
  switch (relation.kind) {
    case catalog::RelationKind::kView: return "view";
    case catalog::RelationKind::kMaterializedView: return "materialized view";
    case catalog::RelationKind::kSequence: return "sequence";
    case catalog::RelationKind::kIndex: return "index";
    case catalog::RelationKind::kComposite: return "composite type";
    case catalog::RelationKind::kTable: return "table";
  }
  return {};
}
bool describe_object(const CatalogCall& c) {
  const Oid class_oid = c.oid(0), object = c.oid(1);
  if (class_oid == catalog_oid::kPgClass) {
    if (const auto r = c.catalog->relation(object)) {
      const std::string name = class_name(c.parts(), *c.catalog, object);
      const std::int32_t sub = c.int4(2);
      if (sub == 0) return c.put(fmt::format("{} {}", kind_text(*r), name));
      if (sub < 0 || static_cast<std::size_t>(sub) > r->columns.size()) return false;
      return c.put(fmt::format("column {} of {} {}",
                               r->column(static_cast<catalog::AttributeNumber>(sub)).name, kind_text(*r),
                               name));
    }
    if (c.catalog->index(object) != nullptr)
      return c.put("index " + class_name(c.parts(), *c.catalog, object));
  } else if (class_oid == catalog_oid::kPgType) {
    const std::string name = type_name(c, object);
    return name != "???" && c.put("type " + name);
  } else if (class_oid == catalog_oid::kPgNamespace) {
    const auto* schema = c.catalog->schema(object);
    return schema != nullptr && c.put("schema " + schema->name);
  } else if (class_oid == catalog_oid::kPgAuthid) {
    const auto* role = c.catalog->role(object);
    return role != nullptr && c.put("role " + role->name);
  } else if (class_oid == catalog_oid::kPgConstraint) {
    for (const auto& [id, relation] : c.catalog->relations())
      for (const auto& k : relation->constraints)
        if (k->oid == object)
          return c.put(fmt::format("constraint {} on {} {}", k->name, kind_text(*relation),
                                   class_name(c.parts(), *c.catalog, id)));
  }
  return false;
}

// ---- properties of indexes ----

std::optional<bool> column_property(const catalog::Index& index, const catalog::IndexColumn& column,
                                    std::string_view property) {
  const bool ordered = index.method == "btree";
  if (property == "asc") return ordered && !column.descending;
  if (property == "desc") return ordered && column.descending;
  if (property == "nulls_first") return ordered && column.nulls_first;
  if (property == "nulls_last") return ordered && !column.nulls_first;
  if (property == "orderable" || property == "returnable" || property == "search_array" ||
      property == "search_nulls")
    return ordered;
  if (property == "distance_orderable") return false;
  return std::nullopt;
}
bool index_column_has_property(const CatalogCall& c) {
  const auto index = c.catalog->index(c.oid(0));
  const std::int32_t column = c.int4(1);
  if (index == nullptr || column < 1 || static_cast<std::size_t>(column) > index->columns.size())
    return false;
  const auto value = column_property(*index, index->columns[static_cast<std::size_t>(column - 1)], c.text(2));
  return value && c.put(*value);
}
bool index_has_property(const CatalogCall& c) {
  const auto property = c.text(1);
  if (c.catalog->index(c.oid(0)) == nullptr) return false;
  if (property == "clusterable" || property == "index_scan" || property == "backward_scan")
    return c.put(property != "clusterable");
  return property == "bitmap_scan" && c.put(false);
}
bool access_method_has_property(const CatalogCall& c) {
  const auto property = c.text(1);
  const bool btree = c.oid(0) == catalog_oid::kBtree;
  if (!btree && c.oid(0) != catalog_oid::kHash) return false;
  if (property == "can_exclude") return c.put(false);
  const bool known = property == "can_order" || property == "can_unique" || property == "can_multi_col" ||
                     property == "can_include";
  return known && c.put(btree);
}

constexpr CatalogFunction kFunctions[] = {
    {"pg_get_expr", &get_expr},
    {"pg_get_constraintdef", &get_constraintdef},
    {"pg_get_indexdef", &get_indexdef},
    {"pg_get_viewdef", &get_viewdef},
    {"pg_get_ruledef", &get_ruledef},
    {"pg_get_triggerdef", &nothing},
    {"pg_get_partkeydef", &nothing},
    {"pg_get_partition_constraintdef", &nothing},
    {"pg_get_statisticsobjdef", &nothing},
    {"pg_get_statisticsobjdef_columns", &nothing},
    {"pg_get_statisticsobjdef_expressions", &nothing},
    {"pg_get_replica_identity_index", &nothing},
    {"pg_get_function_arg_default", &nothing},
    {"pg_get_function_sqlbody", &nothing},
    {"pg_partition_root", &nothing},
    {"pg_get_serial_sequence", &get_serial_sequence},
    {"pg_get_function_arguments", &get_function_arguments},
    {"pg_get_function_identity_arguments", &get_function_arguments},
    {"pg_get_function_result", &get_function_result},
    {"pg_get_functiondef", &get_functiondef},
    {"pg_table_is_visible", &table_is_visible},
    {"pg_type_is_visible", &visible_type},
    {"pg_function_is_visible", &in_pg_catalog},
    {"pg_operator_is_visible", &in_pg_catalog},
    {"pg_opclass_is_visible", &in_pg_catalog},
    {"pg_opfamily_is_visible", &in_pg_catalog},
    {"pg_conversion_is_visible", &in_pg_catalog},
    {"pg_collation_is_visible", &in_pg_catalog},
    {"pg_ts_parser_is_visible", &nothing},
    {"pg_ts_dict_is_visible", &nothing},
    {"pg_ts_config_is_visible", &nothing},
    {"pg_ts_template_is_visible", &nothing},
    {"pg_statistics_obj_is_visible", &nothing},
    {"obj_description", &obj_description},
    {"col_description", &col_description},
    {"shobj_description", &obj_description},
    {"pg_get_userbyid", &get_userbyid},
    {"format_type", &format_type},
    {"pg_describe_object", &describe_object},
    {"pg_index_column_has_property", &index_column_has_property},
    {"pg_index_has_property", &index_has_property},
    {"pg_indexam_has_property", &access_method_has_property},
};

}  // namespace

std::span<const CatalogFunction> definition_functions() { return kFunctions; }

}  // namespace rustbd::engine
