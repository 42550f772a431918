"""Ids of objects after a crash: none is given out a second time, whatever kind of object has it."""
import harness


KINDS = [  # of the n-th round
    "create role {p}role{n}", "create schema {p}schema{n}", "create view {p}view{n} as select {n} as one",
    "create type {p}mood{n} as enum ('a', 'b', 'c')", "create sequence {p}seq{n}", "create table {p}plain{n} (a int default 3 check (a > 0), b text unique)",
    "alter table base add column {p}c{n} int default {n}", "create index {p}i{n} on base (a)", "alter table base add constraint {p}k{n} check (a > -{n})",
    "alter type grown add value '{p}v{n}'",
]
ALL = """select id, count(*), string_agg(what, ', ') from (
  select oid, 'class ' || relname from pg_class union all select oid, 'type ' || typname from pg_type union all select oid, 'role ' || rolname from pg_roles
  union all select oid, 'schema ' || nspname from pg_namespace union all select oid, 'label ' || enumlabel from pg_enum
  union all select oid, 'constraint ' || conname from pg_constraint union all select oid, 'default ' || adrelid from pg_attrdef) o (id, what)
  where id >= 16384 group by id"""


def test_no_id_is_given_out_twice(context):
    with harness.Rustbd() as server:
        server.sql("create table base (a int); create type grown as enum ('first')")
        made = []
        for n in range(2 * len(KINDS)):
            server.sql("checkpoint")
            # The last thing before the crash is of each kind once, the first one after it of each other kind.
            for shift in (0, 1 + n % 7):
                kind = KINDS[(n + shift) % len(KINDS)]
                name = "ab"[shift > 0]
                server.sql(kind.format(p=name, n=n))
                made.append(kind.format(p=name, n=n))
                server.kill()
                server.start()
        twice = [row for row in server.sql(ALL).splitlines() if row.split("|")[1] != "1"]
        assert not twice, twice
        count = server.sql("select (select count(*) from pg_roles where oid >= 16384), (select count(*) from pg_namespace where oid >= 16384),"
                           " (select count(*) from pg_views where schemaname = 'public'), (select count(*) from pg_enum), (select count(*) from pg_sequences)")
        of = [sum(statement.startswith(kind) for statement in made) for kind in ("create role", "create schema", "create view", "create type", "create seq")]
        labels = 3 * of[3] + 1 + sum(s.startswith("alter type") for s in made)
        assert count == f"{of[0]}|{of[1]}|{of[2]}|{labels}|{of[4]}", (count, of, labels)


def test_a_role_does_not_inherit_what_another_one_owned(context):
    with harness.Rustbd() as server:
        server.sql("create table t (x int)")
        server.sql("checkpoint")
        for sql in ("create role app login superuser", "alter table t owner to app", "create view v1 as select 1 as one"):
            server.sql(sql)
        server.kill()
        server.start()
        server.sql("create role intern login")
        server.sql("create view v2 as select 2 as two")
        assert server.sql("select tableowner from pg_tables where tablename = 't'") == "app"
        assert server.sql("select rolname, rolsuper from pg_roles where oid >= 16384 order by oid") == "app|t\nintern|f"
        assert server.sql("select one, two from v1, v2") == "1|2"


def test_a_sequence_does_not_go_on_where_another_one_was(context):
    with harness.Rustbd() as server:
        server.sql("checkpoint")
        server.sql("create sequence kept")
        assert server.sql("select nextval('kept')") == "1"
        server.sql("begin; create sequence lost; select nextval('lost'); select pg_terminate_backend(pg_backend_pid())", check=False)
        server.kill()
        server.start()
        for name in ("next1", "next2", "next3"):
            server.sql(f"create sequence {name}")
            assert server.sql(f"select nextval('{name}')") == "1", name
        assert int(server.sql("select nextval('kept')")) > 1
