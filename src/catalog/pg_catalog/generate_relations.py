#!/usr/bin/env python3
"""Writes relations.inc and rows.inc from the catalog of a running PostgreSQL 15: names, oids, columns and built-in rows,
which are facts of the interface. Usage: generate_relations.py <psql connection string> (psql in PATH or $PSQL)."""
import os, subprocess, sys

PSQL = os.environ.get("PSQL", "/usr/lib/postgresql/15/bin/psql")
HERE = os.path.dirname(os.path.abspath(__file__))

CATALOG = """pg_class pg_attribute pg_type pg_namespace pg_proc pg_operator pg_cast pg_aggregate pg_index pg_constraint
pg_attrdef pg_database pg_authid pg_roles pg_user pg_shadow pg_group pg_auth_members pg_am pg_opclass pg_opfamily pg_amop
pg_amproc pg_collation pg_language pg_enum pg_sequence pg_tablespace pg_description pg_depend pg_settings pg_tables
pg_views pg_indexes pg_sequences pg_matviews pg_stat_activity pg_locks pg_stats pg_statistic pg_prepared_statements
pg_prepared_xacts pg_cursors pg_timezone_names pg_stat_user_tables pg_stat_all_tables
pg_stat_user_indexes pg_stat_all_indexes pg_stat_database pg_stat_bgwriter pg_rewrite pg_trigger pg_inherits pg_policy
pg_policies pg_publication pg_publication_rel pg_publication_namespace pg_publication_tables pg_subscription
pg_subscription_rel pg_foreign_server pg_foreign_table pg_foreign_data_wrapper pg_event_trigger pg_extension
pg_available_extensions pg_available_extension_versions pg_range pg_conversion pg_partitioned_table pg_statistic_ext
pg_statistic_ext_data pg_stats_ext pg_transform pg_ts_config pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template
pg_largeobject pg_largeobject_metadata pg_seclabel pg_seclabels pg_shseclabel pg_shdescription pg_shdepend
pg_default_acl pg_init_privs pg_db_role_setting pg_user_mapping pg_user_mappings pg_replication_origin pg_rules
pg_parameter_acl pg_file_settings pg_hba_file_rules pg_replication_slots pg_stat_replication pg_stat_progress_vacuum
pg_stat_progress_analyze pg_stat_progress_create_index pg_stat_progress_copy pg_stat_ssl pg_stat_gssapi""".split()
INFORMATION = """schemata tables columns views table_constraints key_column_usage constraint_column_usage
constraint_table_usage referential_constraints check_constraints sequences routines parameters role_table_grants
table_privileges column_privileges domains domain_constraints triggers enabled_roles applicable_roles
administrable_role_authorizations information_schema_catalog_name character_sets collations element_types
view_table_usage view_column_usage routine_privileges usage_privileges user_defined_types foreign_tables
foreign_servers""".split()
# Built-in rows: of the index access methods that exist here.
ROWS = {
    "pg_am": "oid IN (2, 403, 405)",
    "pg_opfamily": "opfmethod IN (403, 405)",
    "pg_opclass": "opcmethod IN (403, 405)",
    "pg_amop": "amopmethod IN (403, 405)",
    "pg_amproc": "amprocfamily IN (SELECT oid FROM pg_opfamily WHERE opfmethod IN (403, 405))",
    "pg_collation": "oid IN (100, 950, 951) OR collname IN ('ucs_basic')",
    "pg_language": "lanname IN ('internal', 'c', 'sql')",
    "pg_tablespace": "true",
    "pg_type": "typtype IN ('b', 'p', 'r', 'm') AND oid < 12000 AND typrelid = 0",
}
# Type input and output functions that pg_type names, for clients that join pg_type with pg_proc.
IO_FUNCTIONS = """SELECT p.oid, proname, prorettype, proargtypes, provolatile FROM pg_proc p WHERE oid < 12000 AND oid IN (
 SELECT unnest(ARRAY[typinput, typoutput, typreceive, typsend, typmodin, typmodout]::oid[]) FROM pg_type WHERE oid < 12000
 UNION SELECT unnest(ARRAY['enum_in', 'enum_out', 'enum_recv', 'enum_send', 'record_in', 'record_out', 'record_recv', 'record_send',
   'array_in', 'array_out', 'array_recv', 'array_send', 'array_subscript_handler', 'array_typanalyze']::regproc[]::oid[])
 UNION SELECT amproc::oid FROM pg_amproc WHERE amprocfamily IN (SELECT oid FROM pg_opfamily WHERE opfmethod IN (403, 405)))
 ORDER BY 1"""


def ask(sql):
    out = subprocess.run([PSQL, "-XqAt", "-F", "\t", "-P", "null=\\N", "-c", "SET quote_all_identifiers = off", "-c", sql, sys.argv[1]],
                         check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in out.splitlines()]


def names(list_):
    return ", ".join("'%s'" % n for n in list_)


def relations():
    base = """CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END"""
    rows = ask(f"""SELECT n.nspname, c.relname, c.oid, c.reltype, c.relkind, a.attname, {base}, a.attnotnull, c.relisshared
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
      JOIN pg_type t ON t.oid = a.atttypid
      WHERE a.attnum > 0 AND ((n.nspname = 'pg_catalog' AND relname IN ({names(CATALOG)}))
         OR (n.nspname = 'information_schema' AND relname IN ({names(INFORMATION)}))) ORDER BY c.oid, a.attnum""")
    found = {}
    for schema, name, oid, row_type, kind, column, type_, not_null, shared in rows:
        found.setdefault(int(oid), (schema, name, row_type, kind, shared, []))[5].append((column, type_, not_null))
    missing = set(CATALOG + INFORMATION) - {r[1] for r in found.values()}
    if missing:
        sys.exit(f"not in this server: {missing}")
    columns, out = [], []
    for oid, (schema, name, row_type, kind, shared, cs) in found.items():
        s = "oid::kPgCatalog" if schema == "pg_catalog" else "oid::kInformationSchema"
        out.append(f'    {{{oid}, {row_type}, {s}, "{name}", \'{kind}\', {"true" if shared == "t" else "false"}, {len(columns)}, {len(cs)}}},')
        columns += [f'    {{"{c}", {t}, {"true" if nn == "t" else "false"}}},' for c, t, nn in cs]
    with open(os.path.join(HERE, "relations.inc"), "w") as f:
        f.write("// Generated by generate_relations.py from PostgreSQL 15: relations and columns of pg_catalog and information_schema.\n")
        f.write("constexpr StaticColumn kStaticColumns[] = {\n" + "\n".join(columns) + "\n};\n")
        f.write("constexpr StaticRelation kStaticRelations[] = {\n" + "\n".join(out) + "\n};\n")


def rows():
    with open(os.path.join(HERE, "rows.inc"), "w") as f:
        f.write("// Generated by generate_relations.py from PostgreSQL 15: built-in rows, tab-separated, \\N for NULL.\n")
        for name, condition in ROWS.items():
            columns = ask(f"""SELECT attname, atttypid FROM pg_attribute WHERE attrelid = 'pg_catalog.{name}'::regclass AND attnum > 0
                ORDER BY attnum""")
            wanted = ", ".join(f"{c}::oid" if t == "24" else f"{c}::text" for c, t in columns)
            f.write(f"constexpr std::string_view kRowsOf_{name} = R\"rows(" +
                    "\n".join("\t".join(r) for r in ask(f"SELECT {wanted} FROM pg_catalog.{name} WHERE {condition} ORDER BY oid")) + ")rows\";\n")
        f.write("// oid, name, result, arguments, volatility\nconstexpr std::string_view kIoFunctions = R\"rows(" +
                "\n".join("\t".join(r) for r in ask(IO_FUNCTIONS)) + ")rows\";\n")

        f.write("constexpr std::string_view kTimeZoneNames = R\"rows(" +
                "\n".join(r[0] for r in ask("SELECT name FROM pg_timezone_names WHERE name NOT LIKE 'posix%' AND name <> 'localtime' ORDER BY 1")) + ")rows\";\n")


relations()
rows()
