// Names behind reg* types and labels of enums: SessionContext as types::ObjectNames.
#include <algorithm>
#include <charconv>

#include "rustbd/catalog/pg_catalog/io_functions.h"
#include "rustbd/engine/context/object_names.h"
#include "rustbd/engine/context/session_context.h"
#include "rustbd/sql/ast.h"
#include "rustbd/sql/keywords.h"
#include "rustbd/sql/parser.h"

namespace rustbd::engine {

namespace {

namespace type_oid = types::oid;
using functions::Registry;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// What input of every reg type knows: "-" and numbers. The rest is a name.
std::optional<Oid> number_or_none(std::string_view text) {
  if (text == "-") return Oid{0};
  if (all_digits(text)) return types::parse_oid(text);
  return std::nullopt;
}

}  // namespace

std::vector<std::string> split_qualified_name(std::string_view text) {
  std::vector<std::string> parts;
  const auto invalid = [] { return error(sqlstate::kInvalidName, "invalid name syntax"); };
  text = trim(text);
  std::size_t at = 0;
  for (;;) {
    std::string part;
    while (at < text.size() && is_space(text[at])) ++at;
    if (at < text.size() && text[at] == '"') {
      for (++at;; ++at) {
        if (at >= text.size()) throw invalid();
        if (text[at] == '"') {
          if (at + 1 >= text.size() || text[at + 1] != '"') break;
          ++at;
        }
        part += text[at];
      }
      ++at;
    } else {
      for (; at < text.size() && text[at] != '.' && !is_space(text[at]); ++at)
        part += text[at] >= 'A' && text[at] <= 'Z' ? static_cast<char>(text[at] + 32) : text[at];
    }
    if (part.empty()) throw invalid();
    parts.emplace_back(types::truncate_name(part));
    while (at < text.size() && is_space(text[at])) ++at;
    if (at >= text.size()) return parts;
    if (text[at] != '.') throw invalid();
    ++at;
  }
}

namespace {

struct QualifiedName {
  std::string schema, name;  // schema empty: search the path
};
QualifiedName qualified(std::string_view text, std::string_view kind) {
  auto parts = split_qualified_name(text);
  if (parts.size() == 1) return {{}, parts[0]};
  if (parts.size() == 2) return {parts[0], parts[1]};
  if (parts.size() == 3) {
    if (parts[0] != "postgres")
      throw error(sqlstate::kFeatureNotSupported, "cross-database references are not implemented: {}", text);
    return {parts[1], parts[2]};
  }
  throw error(sqlstate::kSyntaxError, "improper {} name (too many dotted names): {}", kind, text);
}

Oid schema_of(const catalog::CatalogSnapshot& catalog, const std::string& name) {
  const auto* schema = catalog.schema(name);
  if (schema == nullptr) throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist", name);
  return schema->oid;
}

bool searches_catalog(const std::string& schema) { return schema.empty() || schema == "pg_catalog"; }

/// "(a, b)" split at its commas; nullopt without parentheses.
std::optional<std::vector<std::string>> argument_list(std::string_view text) {
  const auto open = text.find('(');
  if (open == std::string_view::npos) return std::nullopt;
  if (text.back() != ')') throw error(sqlstate::kInvalidTextRepresentation, "expected a right parenthesis");
  std::vector<std::string> out;
  std::string_view inside = trim(text.substr(open + 1, text.size() - open - 2));
  int depth = 0;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= inside.size() && !inside.empty(); ++i) {
    if (i == inside.size() || (inside[i] == ',' && depth == 0)) {
      out.emplace_back(trim(inside.substr(from, i - from)));
      from = i + 1;
    } else if (inside[i] == '(') {
      ++depth;
    } else if (inside[i] == ')') {
      --depth;
    }
  }
  return out;
}

}  // namespace

// ---- output ----

bool relation_is_visible(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid schema,
                         std::string_view name, Oid oid) {
  for (const Oid s : parts.search_path(catalog)) {
    const Oid found = catalog.class_oid(s, name);
    if (found != 0) return found == oid && s == schema;
  }
  return false;
}

bool type_is_visible(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid schema,
                     std::string_view name) {
  for (const Oid s : parts.search_path(catalog)) {
    if (s == schema) return true;
    if (s == catalog::oid::kPgCatalog ? types::find_type(name) != nullptr
                                      : catalog.enum_type(s, name) != nullptr)
      return false;
  }
  return false;
}

std::string qualified_name(const catalog::CatalogSnapshot& catalog, Oid schema, std::string_view name,
                           bool visible) {
  if (visible) return sql::quote_identifier(name);
  const auto* s = catalog.schema(schema);
  return (s != nullptr ? sql::quote_identifier(s->name) : std::string{"pg_temp"}) + "." +
         sql::quote_identifier(name);
}

std::string class_name(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid oid) {
  if (auto r = catalog.relation(oid))
    return qualified_name(catalog, r->schema, r->name,
                          relation_is_visible(parts, catalog, r->schema, r->name, oid));
  if (auto i = catalog.index(oid))
    return qualified_name(catalog, i->schema, i->name,
                          relation_is_visible(parts, catalog, i->schema, i->name, oid));
  return fmt::format("{}", oid);
}

namespace {

/// The type of a relation's rows.
std::shared_ptr<const catalog::Relation> relation_of_row_type(const catalog::CatalogSnapshot& catalog,
                                                              Oid type) {
  if (type == 0) return nullptr;
  for (const auto& [oid, r] : catalog.relations())
    if (r->row_type == type) return r;
  return nullptr;
}

}  // namespace

std::string type_display_name(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid type,
                              std::int32_t typmod, bool with_typmod) {
  if (type == 0) return "-";
  // A bpchar without length is not char(1): its internal name says so.
  if (with_typmod && typmod < 0 && type == type_oid::kBpchar) return "bpchar";
  if (types::find_type(type) != nullptr) return types::format_type(type, typmod);
  if (auto e = catalog.enum_type(type))
    return qualified_name(catalog, e->schema, e->name, type_is_visible(parts, catalog, e->schema, e->name));
  for (const auto& [oid, e] : catalog.enums())
    if (e->array_oid == type)
      return qualified_name(catalog, e->schema, e->name,
                            type_is_visible(parts, catalog, e->schema, e->name)) +
             "[]";
  if (auto r = relation_of_row_type(catalog, type))
    return qualified_name(catalog, r->schema, r->name,
                          relation_is_visible(parts, catalog, r->schema, r->name, r->oid));
  return "???";
}

namespace {

std::string function_arguments(Session::Parts& parts, const catalog::CatalogSnapshot& catalog,
                               std::span<const Oid> arguments) {
  std::string out;
  for (const Oid a : arguments)
    out += (out.empty() ? "" : ",") + type_display_name(parts, catalog, a, -1, false);
  return out;
}

std::string function_name(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid oid,
                          bool with_arguments) {
  std::string_view name;
  std::span<const Oid> arguments;
  std::size_t same = 0;
  const auto& registry = Registry::instance();
  if (const auto* f = registry.function(oid)) {
    name = f->name;
    arguments = f->arguments;
  } else if (const auto* a = registry.aggregate(oid)) {
    name = a->name;
    arguments = a->arguments;
  } else {
    for (const auto& io : catalog::io_functions())
      if (io.oid == oid)
        return sql::quote_identifier(io.name) +
               (with_arguments ? "(" + function_arguments(parts, catalog, io.arguments) + ")" : "");
    return fmt::format("{}", oid);
  }
  same = registry.functions(name).size() + registry.aggregates(name).size();
  if (with_arguments)
    return sql::quote_identifier(name) + "(" + function_arguments(parts, catalog, arguments) + ")";
  return (same > 1 ? "pg_catalog." : "") + sql::quote_identifier(name);
}

std::string operator_name(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid oid,
                          bool with_arguments) {
  const auto* op = Registry::instance().op(oid);
  if (op == nullptr) return fmt::format("{}", oid);
  if (!with_arguments)
    return (Registry::instance().operators(op->name).size() > 1 ? "pg_catalog." : "") + std::string{op->name};
  const auto side = [&](Oid t) {
    return t == 0 ? std::string{"NONE"} : type_display_name(parts, catalog, t, -1, false);
  };
  return fmt::format("{}({},{})", op->name, side(op->left), side(op->right));
}

}  // namespace

std::string collation_name(Oid oid) {
  switch (oid) {
    case 100: return "default";
    case 950: return "C";
    case 951: return "POSIX";
    default: return {};
  }
}

std::string SessionContext::name_of(Oid reg_type, Oid object) {
  if (object == 0) return "-";
  const auto catalog = parts_.catalog();
  switch (reg_type) {
    case type_oid::kRegclass: return class_name(parts_, *catalog, object);
    case type_oid::kRegtype: {
      auto name = type_display_name(parts_, *catalog, object, -1, false);
      return name == "???" ? fmt::format("{}", object) : name;
    }
    case type_oid::kRegproc: return function_name(parts_, *catalog, object, false);
    case type_oid::kRegprocedure: return function_name(parts_, *catalog, object, true);
    case type_oid::kRegoper: return operator_name(parts_, *catalog, object, false);
    case type_oid::kRegoperator: return operator_name(parts_, *catalog, object, true);
    case type_oid::kRegnamespace: {
      const auto* s = catalog->schema(object);
      return s != nullptr ? sql::quote_identifier(s->name) : fmt::format("{}", object);
    }
    case type_oid::kRegrole: {
      const auto* r = catalog->role(object);
      return r != nullptr ? sql::quote_identifier(r->name) : fmt::format("{}", object);
    }
    case type_oid::kRegcollation: {
      const auto name = collation_name(object);
      return name.empty() ? fmt::format("{}", object) : sql::quote_identifier(name);
    }
    default: return fmt::format("{}", object);
  }
}

// ---- input ----

namespace {

Oid find_class(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, std::string_view text) {
  const auto n = qualified(text, "relation");
  if (!n.schema.empty()) {
    // A schema that doesn't exist holds no relation: PostgreSQL says it of the relation.
    const auto* schema = catalog.schema(n.schema);
    const Oid oid = schema == nullptr ? 0 : catalog.class_oid(schema->oid, n.name);
    if (oid == 0)
      throw error(sqlstate::kUndefinedTable, "relation \"{}.{}\" does not exist", n.schema, n.name);
    return oid;
  }
  for (const Oid s : parts.search_path(catalog))
    if (const Oid oid = catalog.class_oid(s, n.name); oid != 0) return oid;
  throw error(sqlstate::kUndefinedTable, "relation \"{}\" does not exist", n.name);
}

}  // namespace

types::TypeRef parse_type(Session::Parts& parts, const catalog::CatalogSnapshot& catalog,
                          std::string_view text) {
  Arena arena;
  const auto path = parts.search_path(catalog);
  const auto input = bind_input(parts, catalog, path);
  const auto* name = sql::parse_type_name(text, arena);
  try {
    return binder::bind_type(*name, input);
  } catch (Error& e) {
    e.position = -1;
    throw;
  }
}

namespace {

Oid find_function(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, std::string_view text,
                  bool with_arguments) {
  const auto& registry = Registry::instance();
  if (!with_arguments) {
    const auto n = qualified(text, "function");
    std::vector<Oid> found;
    if (searches_catalog(n.schema)) {
      for (const auto* f : registry.functions(n.name)) found.push_back(f->oid);
      for (const auto* a : registry.aggregates(n.name)) found.push_back(a->oid);
    }
    if (found.empty()) throw error(sqlstate::kUndefinedFunction, "function \"{}\" does not exist", text);
    if (found.size() > 1)
      throw error(sqlstate::kAmbiguousFunction, "more than one function named \"{}\"", text);
    return found[0];
  }
  const auto arguments = argument_list(text);
  if (!arguments) throw error(sqlstate::kInvalidTextRepresentation, "expected a left parenthesis");
  const auto n = qualified(text.substr(0, text.find('(')), "function");
  std::vector<Oid> types;
  for (const auto& a : *arguments) types.push_back(parse_type(parts, catalog, a).oid);
  if (searches_catalog(n.schema)) {
    for (const auto* f : registry.functions(n.name))
      if (std::ranges::equal(f->arguments, types)) return f->oid;
    for (const auto* a : registry.aggregates(n.name))
      if (std::ranges::equal(a->arguments, types)) return a->oid;
  }
  throw error(sqlstate::kUndefinedFunction, "function \"{}\" does not exist", text);
}

Oid find_operator(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, std::string_view text,
                  bool with_arguments) {
  const auto& registry = Registry::instance();
  auto name = trim(text.substr(0, with_arguments ? text.find('(') : text.size()));
  if (name.starts_with("pg_catalog.")) name.remove_prefix(11);
  const auto candidates = registry.operators(name);
  if (!with_arguments) {
    if (candidates.empty()) throw error(sqlstate::kUndefinedFunction, "operator does not exist: {}", text);
    if (candidates.size() > 1)
      throw error(sqlstate::kAmbiguousFunction, "more than one operator named {}", text);
    return candidates[0]->oid;
  }
  const auto arguments = argument_list(text);
  if (!arguments) throw error(sqlstate::kInvalidTextRepresentation, "expected a left parenthesis");
  if (arguments->size() == 1)
    throw error(sqlstate::kUndefinedParameter, "missing argument")
        .with_hint("Use NONE to denote the missing argument of a unary operator.");
  if (arguments->size() != 2)
    throw error(sqlstate::kTooManyArguments, "too many arguments")
        .with_hint("Provide two argument types for operator.");
  const auto side = [&](std::string_view a) {
    return a == "NONE" || a == "none" ? Oid{0} : parse_type(parts, catalog, a).oid;
  };
  const Oid left = side((*arguments)[0]), right = side((*arguments)[1]);
  for (const auto* op : candidates)
    if (op->left == left && op->right == right) return op->oid;
  throw error(sqlstate::kUndefinedFunction, "operator does not exist: {}", text);
}

}  // namespace

Oid SessionContext::find(Oid reg_type, std::string_view text) {
  const auto name = trim(text);
  if (const auto number = number_or_none(name)) return *number;
  const auto catalog = parts_.catalog();
  const auto single = [&]() -> std::string {
    auto p = split_qualified_name(name);
    if (p.size() != 1) throw error(sqlstate::kInvalidName, "invalid name syntax");
    return p[0];
  };
  switch (reg_type) {
    case type_oid::kRegclass: return find_class(parts_, *catalog, name);
    case type_oid::kRegtype: return parse_type(parts_, *catalog, name).oid;
    case type_oid::kRegproc: return find_function(parts_, *catalog, name, false);
    case type_oid::kRegprocedure: return find_function(parts_, *catalog, name, true);
    case type_oid::kRegoper: return find_operator(parts_, *catalog, name, false);
    case type_oid::kRegoperator: return find_operator(parts_, *catalog, name, true);
    case type_oid::kRegnamespace: return schema_of(*catalog, single());
    case type_oid::kRegrole: {
      const auto role = single();
      const auto* r = catalog->role(role);
      if (r == nullptr) throw error(sqlstate::kUndefinedObject, "role \"{}\" does not exist", role);
      return r->oid;
    }
    case type_oid::kRegcollation: {
      const auto n = qualified(name, "collation");
      if (searches_catalog(n.schema))
        for (const Oid c : {100u, 950u, 951u})
          if (collation_name(c) == n.name) return c;
      throw error(sqlstate::kUndefinedObject, "collation \"{}\" for encoding \"UTF8\" does not exist",
                  n.name);
    }
    case type_oid::kRegconfig:
      throw error(sqlstate::kUndefinedObject, "text search configuration \"{}\" does not exist", name);
    case type_oid::kRegdictionary:
      throw error(sqlstate::kUndefinedObject, "text search dictionary \"{}\" does not exist", name);
    default: throw not_supported("input of a value of type {}", types::format_type(reg_type));
  }
}

// ---- enums ----

std::string SessionContext::enum_label(Oid enum_type, std::uint64_t code) {
  const auto e = parts_.catalog()->enum_type(enum_type);
  if (e != nullptr) {
    const auto it = std::lower_bound(e->labels.begin(), e->labels.end(), code,
                                     [](const auto& l, std::uint64_t c) { return l.code < c; });
    if (it != e->labels.end() && it->code == code) return it->text;
  }
  throw error(sqlstate::kInvalidBinaryRepresentation, "invalid internal value for enum: {}", code);
}

std::uint64_t SessionContext::enum_code(Oid enum_type, std::string_view label) {
  const auto e = parts_.catalog()->enum_type(enum_type);
  if (e == nullptr) throw error(sqlstate::kUndefinedObject, "type with OID {} does not exist", enum_type);
  for (const auto& l : e->labels)
    if (l.text == label) return l.code;
  throw error(sqlstate::kInvalidTextRepresentation, "invalid input value for enum {}: \"{}\"",
              sql::quote_identifier(e->name), label);
}

}  // namespace rustbd::engine
