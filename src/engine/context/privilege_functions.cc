// has_*_privilege and pg_has_role. What they get is described in functions/system_kernels.cc: role (0: the
// current one), object, object name, column name, column number, privilege text.
#include <algorithm>

#include "rustbd/catalog/pg_catalog/acl.h"
#include "rustbd/engine/context/catalog_functions.h"

namespace rustbd::engine {

namespace {

struct PrivilegeName {
  std::string_view name;
  char letter;
};
constexpr PrivilegeName kTable[] = {{"SELECT", 'r'},   {"INSERT", 'a'},     {"UPDATE", 'w'},  {"DELETE", 'd'},
                                    {"TRUNCATE", 'D'}, {"REFERENCES", 'x'}, {"TRIGGER", 't'}, {"RULE", 0}};
constexpr PrivilegeName kColumn[] = {{"SELECT", 'r'}, {"INSERT", 'a'}, {"UPDATE", 'w'}, {"REFERENCES", 'x'}};
constexpr PrivilegeName kSequence[] = {{"USAGE", 'U'}, {"SELECT", 'r'}, {"UPDATE", 'w'}};
constexpr PrivilegeName kSchema[] = {{"CREATE", 'C'}, {"USAGE", 'U'}};
constexpr PrivilegeName kDatabase[] = {{"CREATE", 'C'}, {"TEMPORARY", 'T'}, {"TEMP", 'T'}, {"CONNECT", 'c'}};
constexpr PrivilegeName kFunction[] = {{"EXECUTE", 'X'}};
constexpr PrivilegeName kUsage[] = {{"USAGE", 'U'}};
constexpr PrivilegeName kTablespace[] = {{"CREATE", 'C'}};
constexpr PrivilegeName kRole[] = {{"USAGE", 'U'}, {"MEMBER", 'M'}};

struct Wanted {
  char letter;
  bool grantable;
};
/// "SELECT, UPDATE WITH GRANT OPTION": any of them is enough.
std::vector<Wanted> wanted(std::string_view text, std::span<const PrivilegeName> known) {
  std::vector<Wanted> out;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    std::string word{text.substr(at, comma - at)};
    at = comma + 1;
    const auto first = word.find_first_not_of(" \t\n"), last = word.find_last_not_of(" \t\n");
    word = first == std::string::npos ? std::string{} : word.substr(first, last - first + 1);
    const std::string original = word;
    for (char& ch : word) ch = ch >= 'a' && ch <= 'z' ? static_cast<char>(ch - 32) : ch;
    constexpr std::string_view kOption = " WITH GRANT OPTION", kAdmin = " WITH ADMIN OPTION";
    const bool grantable = word.ends_with(kOption) || word.ends_with(kAdmin);
    if (word.ends_with(kOption)) word.resize(word.size() - kOption.size());
    else if (word.ends_with(kAdmin)) word.resize(word.size() - kAdmin.size());
    const auto it = std::ranges::find(known, std::string_view{word}, &PrivilegeName::name);
    if (it == known.end())
      throw error(sqlstate::kInvalidParameterValue, "unrecognized privilege type: \"{}\"", original);
    out.push_back({it->letter, grantable});
  }
  return out;
}

Oid role_of(const CatalogCall& c) { return c.oid(0) != 0 ? c.oid(0) : c.parts().current_oid; }

/// Owner and list decide. Nobody but the owner and superusers can grant on, unless the list says so.
bool allowed(const CatalogCall& c, std::span<const PrivilegeName> known, std::string_view acl, Oid owner,
             std::string_view everybody) {
  const Oid id = role_of(c);
  const auto* role = c.catalog->role(id);
  for (const auto& w : wanted(c.text(5), known)) {
    if (w.letter == 0) continue;  // RULE: accepted, never held
    if (!catalog::acl_allows(*c.catalog, acl, owner, id, w.letter, everybody)) continue;
    if (!w.grantable || id == owner || (role != nullptr && role->superuser)) return true;
    for (const auto& item : catalog::parse_acl(acl))
      if (role != nullptr && item.grantee == role->name && item.grantable.find(w.letter) != std::string::npos)
        return true;
  }
  return false;
}

bool on_relation(const CatalogCall& c, std::span<const PrivilegeName> known) {
  auto relation = c.catalog->relation(c.oid(1));
  if (relation == nullptr)
    if (const auto index = c.catalog->index(c.oid(1))) relation = c.catalog->relation(index->relation);
  if (relation == nullptr) return false;
  return c.put(allowed(c, known, relation->acl, relation->owner, {}));
}
bool on_table(const CatalogCall& c) { return on_relation(c, kTable); }
bool on_any_column(const CatalogCall& c) { return on_relation(c, kColumn); }
bool on_sequence(const CatalogCall& c) {
  const auto relation = c.catalog->relation(c.oid(1));
  if (relation != nullptr && !relation->sequence)
    throw error(sqlstate::kWrongObjectType, "\"{}\" is not a sequence", relation->name);
  return on_relation(c, kSequence);
}
/// There are no grants on columns alone: the table's list decides.
bool on_column(const CatalogCall& c) {
  const auto relation = c.catalog->relation(c.oid(1));
  if (relation == nullptr) return false;
  if (c.has(3)) {
    if (relation->find_column(c.text(3)) == nullptr)
      throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", c.text(3),
                  relation->name);
  } else {
    const std::int32_t n = c.int4(4);
    if (n < 1 || static_cast<std::size_t>(n) > relation->columns.size() ||
        relation->columns[static_cast<std::size_t>(n - 1)].dropped)
      return false;
  }
  return on_relation(c, kColumn);
}
bool on_schema(const CatalogCall& c) {
  const auto* schema = c.catalog->schema(c.oid(1));
  if (schema == nullptr) return false;
  const bool open = schema->oid == catalog::oid::kPgCatalog ||
                    schema->oid == catalog::oid::kInformationSchema || schema->oid == catalog::oid::kPublic;
  return c.put(allowed(c, kSchema, schema->acl, schema->owner, open ? "U" : ""));
}
bool on_database(const CatalogCall& c) {
  if (c.has(2)) {
    if (c.text(2) != "postgres")
      throw error(sqlstate::kInvalidCatalogName, "database \"{}\" does not exist", c.text(2));
  } else if (c.oid(1) != catalog::oid::kDatabasePostgres) {
    return false;
  }
  return c.put(allowed(c, kDatabase, {}, catalog::oid::kBootstrapRole, "Tc"));
}
bool on_function(const CatalogCall& c) {
  const auto& registry = functions::Registry::instance();
  if (registry.function(c.oid(1)) == nullptr && registry.aggregate(c.oid(1)) == nullptr) return false;
  return c.put(allowed(c, kFunction, {}, catalog::oid::kBootstrapRole, "X"));
}
bool on_type(const CatalogCall& c) {
  return c.put(allowed(c, kUsage, {}, catalog::oid::kBootstrapRole, "U"));
}
bool on_tablespace(const CatalogCall& c) {
  if (c.has(2) && c.text(2) != "pg_default" && c.text(2) != "pg_global")
    throw error(sqlstate::kUndefinedObject, "tablespace \"{}\" does not exist", c.text(2));
  return c.put(allowed(c, kTablespace, {}, catalog::oid::kBootstrapRole, {}));
}
bool has_role(const CatalogCall& c) {
  (void)wanted(c.text(5), kRole);
  const Oid me = role_of(c);
  const auto* role = c.catalog->role(me);
  return c.put(me == c.oid(1) || (role != nullptr && role->superuser));
}

constexpr CatalogFunction kFunctions[] = {
    {"has_table_privilege", &on_table},
    {"has_any_column_privilege", &on_any_column},
    {"has_sequence_privilege", &on_sequence},
    {"has_column_privilege", &on_column},
    {"has_schema_privilege", &on_schema},
    {"has_database_privilege", &on_database},
    {"has_function_privilege", &on_function},
    {"has_language_privilege", &on_type},
    {"has_type_privilege", &on_type},
    {"has_tablespace_privilege", &on_tablespace},
    {"pg_has_role", &has_role},
};

}  // namespace

std::span<const CatalogFunction> privilege_functions() { return kFunctions; }

}  // namespace rustbd::engine
