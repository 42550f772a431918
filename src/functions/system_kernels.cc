// Session, sequences, settings, and the functions that read the catalog, which
// StatementContext::catalog_function does.
//
// What catalog_function gets: the SQL name and the arguments as they are, but
//  - the has_*_privilege family and pg_has_role always come as six: role oid (0: current user), object oid,
//  object name
//    (null when the oid is known), column name, column number (int4), privilege text; what was not given is
//    null;
//  - pg_get_viewdef(text) gets the view's oid.
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/types/array.h"
#include "rustbd/types/cast.h"

namespace rustbd::functions {

namespace {

namespace oid = types::oid;
using Args = const Datum*;

void forward(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  const std::size_t n = c.argument_types.size();
  *is_null = !c.statement->catalog_function(c.function->name, {a, n}, {nulls, n}, *c.arena, &out);
}

types::ObjectNames& names(EvalContext& c) {
  auto* n = c.statement->io().names;
  if (n == nullptr) throw not_supported("names of objects here");
  return *n;
}
bool is_oid_like(const TypeRef& t) { return t.phys == types::Phys::kU32; }

/// The reg type whose names the privilege function takes; 0 where there is none (databases, tablespaces,
/// ...).
Oid object_kind(std::string_view function) {
  if (function == "pg_has_role") return oid::kRegrole;
  if (function == "has_schema_privilege") return oid::kRegnamespace;
  if (function == "has_function_privilege") return oid::kRegprocedure;
  if (function == "has_type_privilege") return oid::kRegtype;
  if (function == "has_table_privilege" || function == "has_sequence_privilege" ||
      function == "has_column_privilege" || function == "has_any_column_privilege")
    return oid::kRegclass;
  return 0;
}
void privilege(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  const std::string_view function = c.function->name;
  const std::size_t n = c.argument_types.size(), columns = function == "has_column_privilege" ? 1 : 0;
  std::size_t at = 0;
  Datum arguments[6];
  bool nulls[6] = {false, true, true, true, true, false};
  arguments[0] = Datum::of(Oid{0});
  if (n == 3 + columns) {
    arguments[0] =
        is_oid_like(c.argument_types[0]) ? a[0] : Datum::of(names(c).find(oid::kRegrole, text_of(a[0])));
    at = 1;
  }
  const Oid kind = object_kind(function);
  if (is_oid_like(c.argument_types[at])) {
    arguments[1] = a[at];
    nulls[1] = false;
  } else if (kind != 0) {
    arguments[1] = Datum::of(names(c).find(kind, text_of(a[at])));
    nulls[1] = false;
  } else {
    arguments[2] = a[at];
    nulls[2] = false;
  }
  ++at;
  if (columns != 0) {
    const bool by_number = c.argument_types[at].phys == types::Phys::kI16;
    if (by_number) arguments[4] = Datum::of(std::int32_t{a[at].i16});
    else arguments[3] = a[at];
    nulls[by_number ? 4 : 3] = false;
    ++at;
  }
  arguments[5] = a[at];
  *is_null = !c.statement->catalog_function(function, arguments, nulls, *c.arena, &out);
}
void view_by_name(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  Datum arguments[2] = {Datum::of(names(c).find(oid::kRegclass, text_of(a[0]))), Datum{}};
  const std::size_t n = c.argument_types.size();
  if (n > 1) arguments[1] = a[1];
  *is_null = !c.statement->catalog_function(c.function->name, {arguments, n}, {nulls, n}, *c.arena, &out);
}

// ---- sequences, settings, session
// -------------------------------------------------------------------------------
void nextval(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(c.statement->nextval(a[0].u32));
}
void currval(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(c.statement->currval(a[0].u32));
}
void lastval(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  out = Datum::of(c.statement->lastval());
}
void setval(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  c.statement->setval(a[0].u32, a[1].i64, c.argument_types.size() < 3 || a[2].boolean);
  out = Datum::of(a[1].i64);
}
void current_setting(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  bool found = true;
  const std::string value =
      c.statement->get_setting(text_of(a[0]), c.argument_types.size() > 1 && a[1].boolean, &found);
  *is_null = !found;
  if (found) out = text_result(c, value);
}
void set_config(EvalContext& c, Args a, const bool* nulls, Datum& out, bool*) {
  if (nulls[0]) throw error(sqlstate::kNullValueNotAllowed, "SET requires parameter name");
  out = text_result(c, c.statement->set_setting(text_of(a[0]), nulls[1] ? std::string_view{} : text_of(a[1]),
                                                !nulls[2] && a[2].boolean));
}
void version(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  bool found = true;
  out =
      text_result(c, fmt::format("PostgreSQL {} on x86_64-pc-linux-gnu, RustBD {}",
                                 c.statement->get_setting("server_version", false, &found), RUSTBD_VERSION));
}
void current_user(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  out = text_result(c, c.statement->current_user());
}
void session_user(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  out = text_result(c, c.statement->session_user());
}
void current_database(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  out = text_result(c, c.statement->current_database());
}
void current_schema(EvalContext& c, Args, const bool*, Datum& out, bool* is_null) {
  const std::string_view schema = c.statement->current_schema();
  *is_null = schema.empty();
  out = text_result(c, schema);
}
void current_schemas(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  types::ArrayBuilder builder{oid::kName};
  for (const std::string& schema : c.statement->current_schemas(a[0].boolean)) builder.add(text_part(schema));
  out = Datum::of(builder.finish(*c.arena));
}
void utf8(EvalContext&, Args, const bool*, Datum& out, bool*) { out = text_part("UTF8"); }
void encoding_name(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = text_part(a[0].i32 == 6 ? "UTF8" : (a[0].i32 == 0 ? "SQL_ASCII" : ""));
}
void encoding_number(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const std::string name = to_lower(text_of(a[0]));
  out = Datum::of(std::int32_t{name == "utf8" || name == "utf-8" ? 6 : (name == "sql_ascii" ? 0 : -1)});
}
void uuid(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  types::Uuid u{c.statement->random_u64(), c.statement->random_u64()};
  u.hi = (u.hi & ~0xF000ull) | 0x4000ull;        // version 4
  u.lo = (u.lo & ~(3ull << 62)) | (2ull << 62);  // variant of RFC 4122
  out = Datum::of(u);
}

// ---- types
// ------------------------------------------------------------------------------------------------------
void type_of(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  out = Datum::of(c.argument_types[0].oid);
}
void format_type(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0]) {
    *is_null = true;
    return;
  }
  if (a[0].u32 == 0) {
    out = text_part("-");
    return;
  }
  // An explicit "no length" is told apart from "not asked": a bpchar without length is not character(1).
  if (a[0].u32 == oid::kBpchar && !nulls[1] && a[1].i32 < 0) {
    out = text_part("bpchar");
    return;
  }
  if (types::find_type(a[0].u32) != nullptr) {
    out = text_result(c, types::format_type(a[0].u32, nulls[1] ? -1 : a[1].i32));
    return;
  }
  forward(c, a, nulls, out, is_null);
}
void type_list(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const types::ArrayView view{a[0].str};
  std::string text;
  for (types::ArrayView::Cursor cursor{view, *c.arena}; cursor.next();) {
    if (!text.empty()) text += ", ";
    text += types::format_type(cursor.value().u32);
  }
  out = text_result(c, text);
}
template <Oid Reg>
void find_object(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  try {
    out = Datum::of(names(c).find(Reg, text_of(a[0])));
  } catch (const Error& e) {
    // Not there is NULL; a malformed name stays an error.
    if (e.state.error_class() != "42" && e.state != sqlstate::kInvalidSchemaName) throw;
    if (e.state == sqlstate::kSyntaxError || e.state == sqlstate::kInvalidName) throw;
    *is_null = true;
  }
}
void count_nulls(EvalContext& c, Args, const bool* nulls, Datum& out, bool*) {
  std::int32_t n = 0;
  for (std::size_t i = 0; i < c.argument_types.size(); ++i) n += nulls[i] ? 1 : 0;
  out = Datum::of(n);
}
void count_non_nulls(EvalContext& c, Args, const bool* nulls, Datum& out, bool*) {
  std::int32_t n = 0;
  for (std::size_t i = 0; i < c.argument_types.size(); ++i) n += nulls[i] ? 0 : 1;
  out = Datum::of(n);
}
/// Units as PostgreSQL: a unit is used up to 10239 of it, then the next, rounded half away from zero.
std::string pretty_size(std::int64_t size) {
  static constexpr std::string_view units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
  const auto half = [](std::int64_t v) { return v < 0 ? (v - 1) / 2 : (v + 1) / 2; };
  if (std::abs(static_cast<double>(size)) < 10 * 1024) return fmt::format("{} bytes", size);
  std::int64_t value = size >> 9;  // keeps one bit more for rounding
  for (std::size_t unit = 1;; ++unit) {
    if (unit == std::size(units) - 1 || std::abs(static_cast<double>(value)) < 20 * 1024 - 1)
      return fmt::format("{} {}", half(value), units[unit]);
    value /= 1024;
  }
}
void size_pretty(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, pretty_size(a[0].i64));
}
void size_pretty_numeric(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, pretty_size(types::numeric_to_int64(a[0].numeric)));
}

void add_forwarded(KernelTable& t) {
  for (const std::string_view name : {"pg_get_expr",
                                      "pg_get_expr_ext",
                                      "pg_get_constraintdef",
                                      "pg_get_constraintdef_ext",
                                      "pg_get_indexdef",
                                      "pg_get_indexdef_ext",
                                      "pg_get_viewdef",
                                      "pg_get_viewdef_ext",
                                      "pg_get_viewdef_wrap",
                                      "pg_get_ruledef",
                                      "pg_get_ruledef_ext",
                                      "pg_get_triggerdef",
                                      "pg_get_triggerdef_ext",
                                      "pg_get_userbyid",
                                      "pg_get_functiondef",
                                      "pg_get_function_arguments",
                                      "pg_get_function_result",
                                      "pg_get_function_identity_arguments",
                                      "pg_get_function_arg_default",
                                      "pg_get_function_sqlbody",
                                      "pg_get_partkeydef",
                                      "pg_get_partition_constraintdef",
                                      "pg_get_statisticsobjdef",
                                      "pg_get_statisticsobjdef_columns",
                                      "pg_get_statisticsobjdef_expressions",
                                      "pg_get_serial_sequence",
                                      "pg_get_replica_identity_index",
                                      "pg_table_is_visible",
                                      "pg_type_is_visible",
                                      "pg_function_is_visible",
                                      "pg_operator_is_visible",
                                      "pg_opclass_is_visible",
                                      "pg_opfamily_is_visible",
                                      "pg_conversion_is_visible",
                                      "pg_collation_is_visible",
                                      "pg_ts_parser_is_visible",
                                      "pg_ts_dict_is_visible",
                                      "pg_ts_config_is_visible",
                                      "pg_ts_template_is_visible",
                                      "pg_statistics_obj_is_visible",
                                      "obj_description_1215",
                                      "obj_description_1348",
                                      "col_description_1216",
                                      "shobj_description_1993",
                                      "pg_relation_size",
                                      "pg_relation_size_2325",
                                      "pg_total_relation_size",
                                      "pg_table_size",
                                      "pg_indexes_size",
                                      "pg_relation_filenode",
                                      "pg_relation_filepath",
                                      "pg_database_size_oid",
                                      "pg_database_size_name",
                                      "pg_tablespace_size_oid",
                                      "pg_tablespace_size_name",
                                      "pg_tablespace_location",
                                      "pg_column_size",
                                      "pg_relation_is_publishable",
                                      "pg_relation_is_updatable",
                                      "pg_column_is_updatable",
                                      "pg_is_in_recovery",
                                      "pg_my_temp_schema",
                                      "pg_is_other_temp_schema",
                                      "pg_postmaster_start_time",
                                      "pg_conf_load_time",
                                      "pg_current_wal_lsn",
                                      "pg_current_wal_flush_lsn",
                                      "pg_current_wal_insert_lsn",
                                      "pg_backend_pid",
                                      "pg_cancel_backend",
                                      "pg_terminate_backend",
                                      "pg_reload_conf",
                                      "rustbd_rotate_keys",
                                      "rustbd_rotate_keys_source",
                                      "rustbd_backup",
                                      "rustbd_backup_incremental",
                                      "rustbd_backup_with",
                                      "rustbd_cancel_backup",
                                      "rustbd_create_restore_point",
                                      "rustbd_create_log_consumer",
                                      "rustbd_advance_log_consumer",
                                      "rustbd_drop_log_consumer",
                                      "pg_notify",
                                      "pg_current_xact_id",
                                      "pg_current_xact_id_if_assigned",
                                      "pg_encoding_max_length_sql",
                                      "pg_trigger_depth",
                                      "pg_blocking_pids",
                                      "pg_describe_object",
                                      "pg_collation_for",
                                      "pg_sequence_last_value",
                                      "pg_jit_available",
                                      "row_security_active",
                                      "row_security_active_name",
                                      "current_query",
                                      "inet_server_port",
                                      "inet_client_port",
                                      "inet_server_addr",
                                      "inet_client_addr",
                                      "acldefault_sql",
                                      "pg_partition_root",
                                      "pg_index_column_has_property",
                                      "pg_index_has_property",
                                      "pg_indexam_has_property",
                                      "pg_export_snapshot",
                                      "pg_stat_get_numscans",
                                      "pg_stat_get_live_tuples",
                                      "pg_stat_get_dead_tuples",
                                      "pg_stat_get_tuples_returned",
                                      "pg_advisory_lock_int8",
                                      "pg_advisory_lock_shared_int8",
                                      "pg_try_advisory_lock_int8",
                                      "pg_try_advisory_lock_shared_int8",
                                      "pg_advisory_unlock_int8",
                                      "pg_advisory_unlock_shared_int8",
                                      "pg_advisory_lock_int4",
                                      "pg_try_advisory_lock_int4",
                                      "pg_advisory_unlock_int4",
                                      "pg_advisory_unlock_all",
                                      "pg_advisory_xact_lock_int8",
                                      "pg_try_advisory_xact_lock_int8",
                                      "pg_advisory_xact_lock_int4",
                                      "pg_try_advisory_xact_lock_int4"})
    t.scalar(name, &forward);
  for (const std::string_view name : {"pg_get_viewdef_name", "pg_get_viewdef_name_ext"})
    t.scalar(name, &view_by_name);
}
void add_privileges(KernelTable& t) {
  for (const std::string_view name : {"has_table_privilege_name_name",
                                      "has_table_privilege_name_id",
                                      "has_table_privilege_id_name",
                                      "has_table_privilege_id_id",
                                      "has_table_privilege_name",
                                      "has_table_privilege_id",
                                      "has_sequence_privilege_name_name",
                                      "has_sequence_privilege_name_id",
                                      "has_sequence_privilege_id_name",
                                      "has_sequence_privilege_id_id",
                                      "has_sequence_privilege_name",
                                      "has_sequence_privilege_id",
                                      "has_database_privilege_name_name",
                                      "has_database_privilege_name_id",
                                      "has_database_privilege_id_name",
                                      "has_database_privilege_id_id",
                                      "has_database_privilege_name",
                                      "has_database_privilege_id",
                                      "has_function_privilege_name_name",
                                      "has_function_privilege_name_id",
                                      "has_function_privilege_id_name",
                                      "has_function_privilege_id_id",
                                      "has_function_privilege_name",
                                      "has_function_privilege_id",
                                      "has_language_privilege_name_name",
                                      "has_language_privilege_name",
                                      "has_language_privilege_id",
                                      "has_schema_privilege_name_name",
                                      "has_schema_privilege_name_id",
                                      "has_schema_privilege_id_name",
                                      "has_schema_privilege_id_id",
                                      "has_schema_privilege_name",
                                      "has_schema_privilege_id",
                                      "has_tablespace_privilege_name_name",
                                      "has_tablespace_privilege_name",
                                      "has_tablespace_privilege_id",
                                      "has_type_privilege_name_name",
                                      "has_type_privilege_name",
                                      "has_type_privilege_id",
                                      "has_any_column_privilege_name_name",
                                      "has_any_column_privilege_name_id",
                                      "has_any_column_privilege_name",
                                      "has_any_column_privilege_id",
                                      "has_column_privilege_name_name_name",
                                      "has_column_privilege_name_name_attnum",
                                      "has_column_privilege_name_id_name",
                                      "has_column_privilege_name_id_attnum",
                                      "has_column_privilege_id_name_name",
                                      "has_column_privilege_id_id_name",
                                      "has_column_privilege_id_id_attnum",
                                      "has_column_privilege_name_name",
                                      "has_column_privilege_name_attnum",
                                      "has_column_privilege_id_name",
                                      "has_column_privilege_id_attnum",
                                      "pg_has_role_name_name",
                                      "pg_has_role_name_id",
                                      "pg_has_role_id_name",
                                      "pg_has_role_id_id",
                                      "pg_has_role_name",
                                      "pg_has_role_id"})
    t.scalar(name, &privilege);
}

}  // namespace

void register_system_kernels(KernelTable& t) {
  add_forwarded(t);
  add_privileges(t);
  t.scalar("nextval_oid", &nextval);
  t.scalar("currval_oid", &currval);
  t.scalar("lastval", &lastval);
  t.scalar("setval_oid", &setval);
  t.scalar("setval3_oid", &setval);
  t.scalar("show_config_by_name", &current_setting);
  t.scalar("show_config_by_name_missing_ok", &current_setting);
  t.scalar("set_config_by_name", &set_config);
  t.scalar("pgsql_version", &version);
  t.scalar("current_user", &current_user);
  t.scalar("session_user", &session_user);
  t.scalar("current_database", &current_database);
  t.scalar("current_schema", &current_schema);
  t.scalar("current_schemas", &current_schemas);
  t.scalar("getdatabaseencoding", &utf8, false);
  t.scalar("pg_client_encoding", &utf8, false);
  t.scalar("PG_encoding_to_char", &encoding_name, false);
  t.scalar("PG_char_to_encoding", &encoding_number, false);
  t.scalar("gen_random_uuid", &uuid);
  t.scalar("pg_typeof", &type_of, false);
  t.scalar("format_type", &format_type);
  t.scalar("oidvectortypes", &type_list);
  t.scalar("to_regclass", &find_object<oid::kRegclass>);
  t.scalar("to_regtype", &find_object<oid::kRegtype>);
  t.scalar("to_regproc", &find_object<oid::kRegproc>);
  t.scalar("to_regprocedure", &find_object<oid::kRegprocedure>);
  t.scalar("to_regnamespace", &find_object<oid::kRegnamespace>);
  t.scalar("to_regrole", &find_object<oid::kRegrole>);
  t.scalar("pg_num_nulls", &count_nulls, false);
  t.scalar("pg_num_nonnulls", &count_non_nulls, false);
  t.scalar("pg_size_pretty", &size_pretty, false);
  t.scalar("pg_size_pretty_numeric", &size_pretty_numeric);
}

}  // namespace rustbd::functions
