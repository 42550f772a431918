"""psycopg 2 and 3 as programs use them."""
import datetime
import decimal
import io
import threading
import uuid

import psycopg
import psycopg2
import psycopg2.errors
import psycopg2.extras


def dsn(context):
    return f"host=127.0.0.1 port={context.server.port} user=postgres dbname=postgres"


def test_psycopg2_values_and_transactions(context):
    with psycopg2.connect(dsn(context)) as connection, connection.cursor() as c:
        assert connection.server_version >= 150000
        c.execute("drop table if exists p2; create table p2 (i int primary key, t text, n numeric(10,3), d date, ts timestamptz, b bytea, f float8, u uuid, o bool)")
        when = datetime.datetime(2024, 2, 29, 12, 30, 45, 123456, tzinfo=datetime.timezone.utc)
        row = (1, "it's \\ «text»", decimal.Decimal("12345.678"), datetime.date(1999, 12, 31), when, b"\x00\x01\xff", 0.1, str(uuid.UUID(int=5)), True)
        c.execute("insert into p2 values (%s, %s, %s, %s, %s, %s, %s, %s, %s)", (*row[:5], psycopg2.Binary(row[5]), *row[6:]))
        c.execute("select * from p2")
        got = c.fetchone()
        assert (*got[:5], bytes(got[5]), *got[6:]) == row, got
        assert [d.name for d in c.description] == ["i", "t", "n", "d", "ts", "b", "f", "u", "o"]
        psycopg2.extras.execute_values(c, "insert into p2 (i, t) values %s", [(i, str(i)) for i in range(2, 1002)])
        assert c.rowcount in (1, 100, 1000)
        connection.commit()
        c.execute("delete from p2 where i > 500")
        assert c.rowcount == 501
        connection.rollback()
        c.execute("select count(*) from p2")
        assert c.fetchone() == (1001,)


def test_reset_goes_back_to_what_came_with_the_connection(context):
    """Drivers send TimeZone and the like at the start; poolers send DISCARD ALL between clients."""
    traces = []
    for port in (context.postgres.port, context.server.port):
        connection = psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", application_name="first",
                                      options="-c statement_timeout=50s -c TimeZone=Asia/Tokyo -c my.own=1")
        connection.autocommit = True
        trace, c = [], connection.cursor()
        for sql in ("set statement_timeout = '7s'", "reset statement_timeout", "set timezone = 'UTC'", "set my.own = '2'", "reset my.own",
                    "set application_name = 'second'", "set lock_timeout = 7", "discard all", "set timezone to default",
                    "begin; set local timezone = 'UTC'", "commit", "set session statement_timeout = 0", "reset all"):
            c.execute(sql)
            for name in ("statement_timeout", "lock_timeout", "timezone", "my.own", "application_name"):
                c.execute(f"show {name}")
                trace.append((sql, name, c.fetchone()[0]))
            c.execute("select name, setting, reset_val, source from pg_settings where name in ('statement_timeout', 'TimeZone', 'lock_timeout', "
                      "'application_name') order by name")
            trace.append((sql, c.fetchall()))
        connection.close()
        traces.append(trace)
    for want, got in zip(*traces):
        assert want == got, f"PostgreSQL {want}\nRustBD     {got}"


def test_psycopg2_errors(context):
    connection = psycopg2.connect(dsn(context))
    with connection.cursor() as c:
        c.execute("drop table if exists p2e; create table p2e (i int primary key, j int not null check (j < 100))")
        connection.commit()
        for sql, kind, field in (("insert into p2e values (1, 1), (1, 2)", psycopg2.errors.UniqueViolation, ("constraint_name", "p2e_pkey")),
                                 ("insert into p2e values (1, null)", psycopg2.errors.NotNullViolation, ("column_name", "j")),
                                 ("insert into p2e values (1, 100)", psycopg2.errors.CheckViolation, ("constraint_name", "p2e_j_check")),
                                 ("selec 1", psycopg2.errors.SyntaxError, ("statement_position", "1")),
                                 ("select 1 / 0", psycopg2.errors.DivisionByZero, ("severity", "ERROR")),
                                 ("select * from nowhere", psycopg2.errors.UndefinedTable, ("statement_position", "15")),
                                 ("select 'x'::int", psycopg2.errors.InvalidTextRepresentation, ("statement_position", "8")),
                                 ("select 2147483647 + 1", psycopg2.errors.NumericValueOutOfRange, ("message_primary", "integer out of range"))):
            try:
                c.execute(sql)
                raise AssertionError(f"no error: {sql}")
            except kind as e:
                assert getattr(e.diag, field[0]) == field[1], (sql, field, getattr(e.diag, field[0]))
            connection.rollback()
    connection.close()


def test_psycopg2_named_cursor_and_copy(context):
    with psycopg2.connect(dsn(context)) as connection:
        with connection.cursor("stream") as c:
            c.itersize = 1000
            c.execute("select g from generate_series(1, 25000) g")
            assert sum(r[0] for r in c) == 25000 * 25001 // 2
        with connection.cursor() as c:

            c.execute("drop table if exists p2c; create table p2c (i int, t text)")
            c.copy_expert("copy p2c from stdin with (format csv)", io.StringIO('1,"a,b"\n2,\n'))
            out = io.StringIO()
            c.copy_expert("copy p2c to stdout with (format csv, header)", out)
            assert out.getvalue() == 'i,t\n1,"a,b"\n2,\n', out.getvalue()


def test_psycopg3_binary(context):
    with psycopg.connect(dsn(context)) as connection:
        when = datetime.datetime(2001, 2, 3, 4, 5, 6, 7, tzinfo=datetime.timezone.utc)
        values = {"int2": 5, "int4": -7, "int8": 1 << 60, "float8": 2.5, "text": "é", "bytea": b"\0\1", "bool": False, "date": datetime.date(2020, 2, 2),
                  "timestamptz": when, "timestamp": when.replace(tzinfo=None), "time": datetime.time(1, 2, 3), "uuid": uuid.UUID(int=77),
                  "numeric": decimal.Decimal("-1234.50"), "interval": datetime.timedelta(days=3, seconds=5)}
        for name, value in values.items():
            for binary in (False, True):
                cursor = connection.cursor(binary=binary)
                got = cursor.execute(f"select %b::{name}" if binary else f"select %s::{name}", (value,)).fetchone()[0]
                if isinstance(got, datetime.datetime) and got.tzinfo is not None:
                    got = got.astimezone(datetime.timezone.utc)
                assert got == value, (name, binary, got, value)
        cursor = connection.cursor(binary=True)
        assert cursor.execute("select %s::int[], %s::text[]", ([1, None, 3], ["a", 'b"c'])).fetchone() == ([1, None, 3], ["a", 'b"c'])


def test_psycopg3_prepared_pipeline_copy(context):
    with psycopg.connect(dsn(context), autocommit=True) as connection:
        connection.execute("drop table if exists p3; create table p3 (i int primary key, t text)")
        with connection.pipeline():
            for i in range(500):
                connection.execute("insert into p3 values (%s, %s)", (i, f"t{i}"), prepare=True)
        assert connection.execute("select count(*), max(t) from p3").fetchone() == (500, "t99")
        try:
            with connection.pipeline():
                connection.execute("insert into p3 values (1000, '')")
                connection.execute("insert into p3 values (1, '')")
            raise AssertionError("no error")
        except psycopg.errors.UniqueViolation:
            pass
        with connection.cursor() as c:
            with c.copy("copy p3 from stdin") as copy:
                for i in range(2000, 4000):
                    copy.write_row((i, None if i % 3 else "x\ty"))
            with c.copy("copy (select i, t from p3 where i >= 2000 order by i) to stdout") as copy:
                copied = list(copy.rows())
            assert len(copied) == 2000 and copied[0] == ("2000", None) and copied[1] == ("2001", "x\ty"), copied[:2]
            try:
                with c.copy("copy p3 from stdin") as copy:
                    copy.write("1\tduplicate\n")
                raise AssertionError("no error")
            except psycopg.Error as e:
                assert "duplicate key value violates unique constraint" in str(e), e
            assert connection.execute("select count(*) from p3").fetchone() == (2500,)


def test_psycopg3_plan_after_ddl(context):
    with psycopg.connect(dsn(context), autocommit=True) as connection:
        connection.execute("drop table if exists replanned; create table replanned (i int)")
        for n in range(12):
            connection.execute("insert into replanned values (%s)", (n,), prepare=True)
            assert connection.execute("select count(*) from replanned where i <= %s", (n,), prepare=True).fetchone() == (n + 1,)
            if n == 6:
                connection.execute("create index on replanned (i)")
                connection.execute("alter table replanned add column extra text default 'e'")


def test_catalog_while_objects_go(context):
    """The catalog's views and size functions take no lock: what they name may be gone by then."""
    over = threading.Event()
    failures, reads = [], [0]

    def read():
        try:
            with psycopg.connect(dsn(context), autocommit=True) as connection:
                while not over.is_set():
                    connection.execute("select relname, relpages, reltuples from pg_class").fetchall()
                    connection.execute("select pg_relation_size(c.oid), pg_indexes_size(c.oid), pg_total_relation_size(c.oid) from pg_class c").fetchall()
                    connection.execute("select pg_database_size('postgres'), count(pg_get_indexdef(indexrelid)) from pg_index").fetchall()
                    reads[0] += 1
        except Exception as e:
            failures.append(e)
    readers = [threading.Thread(target=read) for _ in range(2)]
    for r in readers:
        r.start()
    try:
        with psycopg.connect(dsn(context), autocommit=True) as connection:
            for n in range(400):
                connection.execute("create table passing (i int primary key, t text); insert into passing values (1, 'a'), (2, 'b')")
                connection.execute("create index passing_t on passing (t)")
                connection.execute("drop index passing_t" if n % 2 else "drop table passing")
                connection.execute("drop table if exists passing")
    finally:
        over.set()
        for r in readers:
            r.join(60)
    assert not failures and reads[0] > 0, failures


def test_cancel(context):
    with psycopg.connect(dsn(context)) as connection:
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        try:
            connection.execute("select count(*) from generate_series(1, 2000000000)")
            raise AssertionError("no error")
        except psycopg.errors.QueryCanceled:
            pass
        timer.join()
        connection.rollback()
        connection.execute("set statement_timeout = '200ms'")
        try:
            connection.execute("select count(*) from generate_series(1, 2000000000)")
            raise AssertionError("no error")
        except psycopg.errors.QueryCanceled as e:
            assert "statement timeout" in str(e)


def test_isolation_and_locks(context):
    with psycopg.connect(dsn(context)) as one, psycopg.connect(dsn(context)) as two:
        one.execute("drop table if exists locked; create table locked (i int primary key, v int); insert into locked values (1, 0), (2, 0)")
        one.commit()
        one.execute("update locked set v = 1 where i = 1")
        two.execute("update locked set v = 2 where i = 2")
        failures = []

        def cross(connection, i):
            try:
                connection.execute("update locked set v = v + 10 where i = %s", (i,))
                connection.commit()
            except psycopg.errors.DeadlockDetected as e:
                failures.append(e)
                connection.rollback()
        threads = [threading.Thread(target=cross, args=a) for a in ((one, 2), (two, 1))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        assert len(failures) == 1, failures
    with psycopg.connect(dsn(context)) as one, psycopg.connect(dsn(context), autocommit=True) as two:
        one.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        before = one.execute("select v from locked where i = 1").fetchone()
        two.execute("update locked set v = v + 1 where i = 1")
        assert one.execute("select v from locked where i = 1").fetchone() == before
        try:
            one.execute("update locked set v = 0 where i = 1")
            raise AssertionError("no error")
        except psycopg.errors.SerializationFailure:
            one.rollback()


def test_many_connections(context):
    connections = [psycopg.connect(dsn(context), autocommit=True) for _ in range(60)]
    try:
        pids = {c.execute("select pg_backend_pid()").fetchone()[0] for c in connections}
        assert len(pids) == 60
        threads = [threading.Thread(target=lambda c=c: [c.execute("select 1") for _ in range(20)]) for c in connections]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
    finally:
        for c in connections:
            c.close()
