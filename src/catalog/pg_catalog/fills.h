// The functions that compute the rows of catalog relations, one per relation, and what they share. Internal to
// pg_catalog. Values go to the RowCollector from left to right in PostgreSQL 15's column order (relations.inc).
#pragma once

#include "rustbd/catalog/pg_catalog/virtual_relation.h"

namespace rustbd::catalog {

using Fill = void (*)(VirtualContext&, RowCollector&);
struct NamedFill {
  std::string_view relation;   // "pg_class", "information_schema.tables"
  Fill fill;
};
// One table per file.
std::span<const NamedFill> object_fills();        // object_rows.cc: relations, columns, types, constraints, ...
std::span<const NamedFill> code_fills();          // code_rows.cc: functions, operators, casts, access methods, ...
std::span<const NamedFill> server_fills();        // server_rows.cc: roles, settings, activity, locks, ...
std::span<const NamedFill> view_fills();          // view_rows.cc: pg_tables, pg_indexes, pg_stats, ...
std::span<const NamedFill> information_fills();   // information_rows.cc: information_schema

/// Rows as text: lines, values separated by tabs, \N for NULL.
void fill_from_text(std::string_view lines, RowCollector& rows);
/// Splits one line at tabs.
std::vector<std::string_view> split_line(std::string_view line);

/// acl as aclitem[]; NULL when it is the default.
RowCollector& put_acl(RowCollector& rows, std::string_view acl);
std::string role_name(const CatalogSnapshot& catalog, Oid role);
/// Time in PostgreSQL's columns; 0 is NULL.
RowCollector& put_time(RowCollector& rows, std::int64_t wall_us);
/// "r", "v", ... as pg_class.relkind.
inline char kind_letter(const Relation& relation) { return static_cast<char>(relation.kind); }
[[nodiscard]] inline std::int16_t live_columns(const Relation& relation) { return static_cast<std::int16_t>(relation.columns.size()); }

}  // namespace rustbd::catalog
