// Type names to types.
#include "rustbd/binder/binder_impl.h"
#include "rustbd/sql/deparse.h"

namespace rustbd::binder {

namespace {

std::vector<int> modifiers_of(const sql::TypeName& name) {
  std::vector<int> out;
  for (const auto* m : name.modifiers) {
    const auto* l = sql::try_as<sql::Literal>(m);
    if (l == nullptr || l->type != sql::LiteralType::kInteger)
      throw error(sqlstate::kInvalidParameterValue, "type modifiers must be simple constants or identifiers")
          .at(name.location);
    out.push_back(l->integer);
  }
  return out;
}

[[noreturn]] void no_such_type(const sql::TypeName& name) {
  throw error(sqlstate::kUndefinedObject, "type \"{}\" does not exist", sql::deparse(&name))
      .at(name.location);
}

}  // namespace

types::TypeRef bind_type(const sql::TypeName& name, const BindInput& input) {
  std::string_view schema, base;
  if (name.name.size() == 1) base = name.name[0];
  else if (name.name.size() == 2) {
    schema = name.name[0];
    base = name.name[1];
  } else if (name.name.size() == 3) {
    schema = name.name[1];
    base = name.name[2];
  } else no_such_type(name);
  if (name.set_of) throw not_supported("SETOF here").at(name.location);
  Oid found = 0;
  Oid array_of_found = 0;
  if (schema.empty() || schema == "pg_catalog") {
    if (const auto* info = types::find_type(base)) {
      found = info->oid;
      array_of_found = info->array_oid;
    }
  }
  if (found == 0) {
    for (Oid s : input.search_path) {
      const auto* in = input.catalog->schema(s);
      if (in == nullptr || (!schema.empty() && in->name != schema)) continue;
      if (auto e = input.catalog->enum_type(s, base)) {
        found = e->oid;
        array_of_found = e->array_oid;
        break;
      }
    }
    if (found == 0 && !schema.empty())
      if (const auto* in = input.catalog->schema(schema))
        if (auto e = input.catalog->enum_type(in->oid, base)) {
          found = e->oid;
          array_of_found = e->array_oid;
        }
  }
  if (found == 0) no_such_type(name);
  const auto modifiers = modifiers_of(name);
  std::int32_t typmod = -1;
  if (!modifiers.empty()) {
    try {
      typmod = types::typmod_in(found, modifiers);
    } catch (Error& e) {
      throw std::move(e).at(name.location);
    }
  }
  if (!name.array_bounds.empty()) {
    if (array_of_found == 0)
      throw error(sqlstate::kUndefinedObject, "could not find array type for data type {}", base)
          .at(name.location);
    return types::make_type(array_of_found, typmod);
  }
  return types::make_type(found, typmod);
}

std::shared_ptr<const catalog::Relation> find_relation(const sql::RelationRef& name, const BindInput& input,
                                                       bool missing_ok) {
  if (!name.catalog.empty() && name.catalog != input.database)
    throw error(sqlstate::kFeatureNotSupported, "cross-database references are not implemented: \"{}.{}.{}\"",
                name.catalog, name.schema, name.name)
        .at(name.location);
  const auto note = [&](std::shared_ptr<const catalog::Relation> found) {
    if (input.opened != nullptr && !found->is_catalog()) input.opened->push_back(found->oid);
    return found;
  };
  const auto kind_is_index = [&](Oid class_oid) {
    return class_oid != 0 && input.catalog->index(class_oid) != nullptr;
  };
  if (!name.schema.empty()) {
    const auto* schema = input.catalog->schema(name.schema);
    if (schema == nullptr) {
      if (missing_ok) return nullptr;
      throw error(sqlstate::kUndefinedTable, "relation \"{}.{}\" does not exist", name.schema, name.name)
          .at(name.location);
    }
    if (auto r = input.catalog->relation(schema->oid, name.name)) return note(std::move(r));
    if (!missing_ok && kind_is_index(input.catalog->class_oid(schema->oid, name.name)))
      throw error(sqlstate::kWrongObjectType, "\"{}\" is an index", name.name).at(name.location);
  } else {
    for (Oid s : input.search_path) {
      if (auto r = input.catalog->relation(s, name.name)) return note(std::move(r));
      if (!missing_ok && kind_is_index(input.catalog->class_oid(s, name.name)))
        throw error(sqlstate::kWrongObjectType, "\"{}\" is an index", name.name).at(name.location);
    }
  }
  if (missing_ok) return nullptr;
  if (!name.schema.empty())
    throw error(sqlstate::kUndefinedTable, "relation \"{}.{}\" does not exist", name.schema, name.name)
        .at(name.location);
  throw error(sqlstate::kUndefinedTable, "relation \"{}\" does not exist", name.name).at(name.location);
}

}  // namespace rustbd::binder
