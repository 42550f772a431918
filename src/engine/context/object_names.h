// Names of catalog objects as a session sees them: qualified when the search path hides them, quoted when
// needed.
#pragma once

#include "rustbd/engine/session_parts.h"

namespace rustbd::engine {

/// `a."B c"` → {a, B c}: as PostgreSQL's name input. Throws 42602 "invalid name syntax".
std::vector<std::string> split_qualified_name(std::string_view text);
/// True if the unqualified name finds this relation, index, view or sequence.
bool relation_is_visible(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid schema,
                         std::string_view name, Oid oid);
bool type_is_visible(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid schema,
                     std::string_view name);
std::string qualified_name(const catalog::CatalogSnapshot& catalog, Oid schema, std::string_view name,
                           bool visible);
/// regclass output; a number if there is no such relation.
std::string class_name(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid oid);
/// format_type for built-in types, enums and row types; "???" for unknown ones, "-" for 0.
std::string type_display_name(Session::Parts& parts, const catalog::CatalogSnapshot& catalog, Oid type,
                              std::int32_t typmod, bool with_typmod);
/// Empty: there is none.
std::string collation_name(Oid oid);
/// A type's name in SQL. Throws 42601, 42704.
types::TypeRef parse_type(Session::Parts& parts, const catalog::CatalogSnapshot& catalog,
                          std::string_view text);

}  // namespace rustbd::engine
