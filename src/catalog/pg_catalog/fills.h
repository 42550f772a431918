// The functions that compute the rows of catalog relations, one per relation, and what they share. Internal
// to pg_catalog. Values go to the RowCollector from left to right in PostgreSQL 15's column order
// (relations.inc).
#pragma once

#include "rustbd/catalog/pg_catalog/virtual_relation.h"

namespace rustbd::catalog {

using Fill = void (*)(VirtualContext&, RowCollector&);
struct NamedFill {
  std::string_view relation;  // "pg_class", "information_schema.tables"
  Fill fill;
};
// One table per file.
std::span<const NamedFill> object_fills();  // object_rows.cc: relations, columns, types, constraints, ...
std::span<const NamedFill> code_fills();    // code_rows.cc: functions, operators, casts, access methods, ...
std::span<const NamedFill> server_fills();  // server_rows.cc: roles, settings, activity, locks, ...
std::span<const NamedFill> view_fills();    // view_rows.cc: pg_tables, pg_indexes, pg_stats, ...
std::span<const NamedFill> information_fills();  // information_rows.cc: information_schema

/// Built-in rows of a relation as text (builtin_rows.cc); what fill_from_text reads.
std::string_view builtin_rows(std::string_view relation);
/// One a line; some may be unknown to the system's time zone files.
std::string_view time_zone_names();
/// Calls `with` for each line's values.
template <class F>
void for_each_line(std::string_view lines, F&& with);
/// Rows as text: lines, values separated by tabs, \N for NULL.
void fill_from_text(std::string_view lines, RowCollector& rows);
/// Splits one line at tabs.
std::vector<std::string_view> split_line(std::string_view line);

template <class F>
void for_each_line(std::string_view lines, F&& with) {
  while (!lines.empty()) {
    const auto end = lines.find('\n') == std::string_view::npos ? lines.size() : lines.find('\n');
    with(lines.substr(0, end));
    lines.remove_prefix(end == lines.size() ? end : end + 1);
  }
}
/// A number at the beginning of text; 0 if there is none.
Oid number_of(std::string_view text);

/// acl as aclitem[]; NULL when it is the default.
RowCollector& put_acl(RowCollector& rows, std::string_view acl);
std::string role_name(const CatalogSnapshot& catalog, Oid role);
/// Time in PostgreSQL's columns; 0 is NULL.
RowCollector& put_time(RowCollector& rows, std::int64_t wall_us);
/// "r", "v", ... as pg_class.relkind.
inline char kind_letter(const Relation& relation) { return static_cast<char>(relation.kind); }
[[nodiscard]] inline std::int16_t live_columns(const Relation& relation) {
  return static_cast<std::int16_t>(relation.columns.size());
}

}  // namespace rustbd::catalog
