"""Prepared statements whose executions, in any session, share a plan and its runs (docs/decisions/049)."""
import collections
import contextlib
import pathlib
import random
import re
import sys
import threading
import urllib.request

import psycopg2

from harness import Rustbd

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import differential  # noqa: E402


def metric(server, name: str) -> float:
    text = urllib.request.urlopen(f"http://127.0.0.1:{server.http}/metrics", timeout=30).read().decode()
    return float(re.search(rf"^{name} (\S+)", text, re.M)[1])


def connect(server):
    connection = psycopg2.connect(host="127.0.0.1", port=server.port, user="postgres", dbname="postgres")
    connection.autocommit = True
    psycopg2.extensions.register_type(differential.RAW, connection)
    return connection


@contextlib.contextmanager
def two_sessions():
    """A server and a cursor of each of two sessions on it."""
    with Rustbd() as server, contextlib.closing(connect(server)) as one, contextlib.closing(connect(server)) as two:
        with one.cursor() as a, two.cursor() as b:
            yield server, a, b


def answer(cursor, statement):
    try:
        cursor.execute(statement)
        return collections.Counter(cursor.fetchall()) if cursor.description else cursor.statusmessage
    except psycopg2.Error as failure:
        return failure.pgcode


def test_each_query_again_and_again(context):
    """Every SELECT of the corpus: executed by turns in two sessions it answers as it does alone."""
    files = [f for f in sorted(differential.HERE.glob("cases/*.sql")) if f.name[:2] in ("20", "21", "25", "26", "28")]
    with Rustbd() as server:
        sessions = [connect(server) for _ in range(2)]
        compared = 0
        for path in files:
            case = differential.CaseFile(path)
            for session in sessions:
                with session.cursor() as cursor:
                    schema = case.schema or path.stem
                    cursor.execute(f'create schema if not exists "{schema}"')
                    cursor.execute(f'set search_path = "{schema}", public')
            for statement in case.statements:
                word = statement.key.split()[0].lower()
                if word not in ("select", "values", "with", "(") or re.search(r"\b(insert|update|delete|nextval|setval)\b", statement.key, re.I):
                    for session in sessions[:2 if word == "set" else 1]:
                        if statement.data is None:
                            answer(session.cursor(), statement.text)
                    continue
                want = answer(sessions[0].cursor(), statement.text)
                if not isinstance(want, collections.Counter) or "random" in statement.key or "clock_timestamp" in statement.key:
                    continue
                for session in sessions:
                    assert answer(session.cursor(), f"prepare again as {statement.text}") == "PREPARE", f"{path.name}:{statement.line}: {statement.key}"
                for session in (sessions[0], sessions[1], sessions[1], sessions[0]):
                    assert answer(session.cursor(), "execute again") == want, f"{path.name}:{statement.line}: {statement.key}"
                for session in sessions:
                    answer(session.cursor(), "deallocate again")
                compared += 1
        assert compared > 100, compared
        assert metric(server, "rustbd_runs_again_total") > compared
        assert metric(server, "rustbd_plans_shared_total") > compared / 2
        for session in sessions:
            session.close()


def test_sessions_with_other_settings_have_other_plans(context):
    """What a plan has computed already is of the settings that it was made under."""
    with two_sessions() as (server, a, b):
        a.execute("create schema s; create table public.t (a integer); create table s.t (a integer); insert into public.t values (1); insert into s.t values (2)")
        b.execute("set search_path = s, public; set timezone = 'America/New_York'; set datestyle = 'SQL, DMY'")
        for cursor in (a, b, a, b):
            cursor.execute("prepare p as select a, timestamptz '2024-01-02 00:00:00', date '01/02/2024' from t")
            cursor.execute("execute p")
            cursor.execute("execute p")
            got = cursor.fetchall()
            want = [("1", "2024-01-02 00:00:00+00", "2024-01-02")] if cursor is a else [("2", "02/01/2024 00:00:00 EST", "01/02/2024")]
            assert got == want, got
            cursor.execute("deallocate p")
        shared = metric(server, "rustbd_plans_shared_total")
        b.execute("reset all")
        for cursor in (a, b):
            cursor.execute("prepare p as select a from t")
        assert metric(server, "rustbd_plans_shared_total") == shared + 1
        # A plan is made anew in every session after DDL, also that of the session itself before it commits.
        a.execute("begin; alter table t add column b integer default 5; deallocate p; prepare p as select * from t; execute p")
        assert a.fetchall() == [("1", "5")]
        b.execute("prepare q as select 1")
        a.execute("rollback")
        a.execute("deallocate p; prepare p as select * from t; execute p")
        assert a.fetchall() == [("1",)]


def test_a_moment_is_not_shared(context):
    """'now' is of the moment at which the session itself prepared, whoever prepared the same before."""
    with two_sessions() as (_, a, b):
        a.execute("create table t (at timestamptz)")
        text = "prepare p as select 'now'::timestamptz, array['now', '2001-01-01']::timestamptz[], a.at from t a right join (select 1) b on true"
        a.execute(text)
        a.execute("execute p")
        first = a.fetchall()
        b.execute(text)
        b.execute("execute p")
        second = b.fetchall()
        assert first[0][0] < second[0][0] and first[0][1] < second[0][1], (first, second)
        a.execute("execute p")
        assert a.fetchall() == first
        a.execute("deallocate p")
        a.execute(text)
        a.execute("execute p")
        assert a.fetchall()[0][0] > second[0][0]


def test_rolled_back_changes_take_their_plans_along(context):
    with Rustbd() as server:
        session = connect(server)
        with session.cursor() as cursor:
            cursor.execute("create table t (a integer, b integer); insert into t select i, i % 10 from generate_series(1, 5000) i; create table u (a integer)")
            cursor.execute("prepare p as select count(*) from (select a from t where a = 77) x; begin; savepoint s; create index by_a on t (a); execute p")
            assert cursor.fetchall() == [("1",)]
            cursor.execute("rollback to s; create index by_a on u (a); execute p")
            assert cursor.fetchall() == [("1",)]
            cursor.execute("commit; execute p")
            assert cursor.fetchall() == [("1",)]
        session.close()


def test_tables_that_only_constraints_reach_may_change(context):
    """A DELETE that serves again meets its child tables as they are now: the plan does not name them."""
    with two_sessions() as (server, a, b):
        a.execute("create table parent (id integer primary key); insert into parent select generate_series(1, 40)")
        a.execute("create table child (id integer primary key, parent_id integer references parent on delete cascade, note text)")
        a.execute("insert into child select i, i, repeat('n', i) from generate_series(1, 40) i")
        for cursor in (a, b):
            cursor.execute("prepare gone (integer) as delete from parent where id = $1")
            cursor.execute("prepare seen (integer) as select count(*) from child where parent_id = $1")
        changes = iter(("alter table child add column added integer default 7", "create index by_parent on child (parent_id)",
                        "alter table child drop column note", "insert into child (id, parent_id) select 100 + id, id from parent",
                        "create table other (parent_id integer references parent on delete cascade); insert into other select id from parent",
                        "drop index by_parent", "truncate child, other; insert into other select id from parent"))
        for number in range(1, 41):
            cursor = (a, b)[number % 2]
            cursor.execute(f"execute gone ({number})")
            assert cursor.statusmessage == "DELETE 1", (number, cursor.statusmessage)
            cursor.execute(f"execute seen ({number})")
            assert cursor.fetchall() == [("0",)], number
            if number % 5 == 0 and (change := next(changes, None)):
                b.execute(change)
        a.execute("select count(*) from other where parent_id <= 40")
        assert a.fetchall() == [("0",)]
        assert metric(server, "rustbd_runs_again_total") > 20


def test_many_sessions_count_together(context):
    """Sessions that execute the same statements at once, meeting on few rows, lose no change and see only whole transfers."""
    with Rustbd() as server:
        with connect(server) as setup, setup.cursor() as cursor:
            cursor.execute("create table t (id integer primary key, n bigint, note text); insert into t select i, 0, repeat('n', i * 3) from generate_series(0, 9) i")
        moved = [collections.Counter() for _ in range(8)]
        failures = []

        def work(number):
            try:
                draw = random.Random(number)
                session = connect(server)
                session.autocommit = False
                with session.cursor() as cursor:
                    cursor.execute("prepare change (integer, bigint) as update t set n = n + $2 where id = $1 returning n, note")
                    cursor.execute("prepare total as select sum(n), count(*) from t")
                    cursor.execute("prepare one (integer) as select id, note from t where id = $1")
                    session.commit()
                    for _ in range(150):
                        first, second = sorted(draw.sample(range(10), 2))
                        amount = draw.randrange(1, 100)
                        cursor.execute(f"execute change ({first}, {-amount})")
                        assert cursor.fetchall()[0][1] == "n" * (first * 3)
                        cursor.execute(f"execute change ({second}, {amount})")
                        assert cursor.fetchall()[0][1] == "n" * (second * 3)
                        if draw.random() < 0.2:
                            session.rollback()
                        else:
                            session.commit()
                            moved[number][first] -= amount
                            moved[number][second] += amount
                        cursor.execute("execute total")
                        assert cursor.fetchall() == [("0", "10")]
                        cursor.execute(f"execute one ({second})")
                        assert cursor.fetchall() == [(str(second), "n" * (second * 3))]
                        session.commit()
                session.close()
            except Exception as failure:
                failures.append(failure)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures[0]
        want = {str(i): sum(m[i] for m in moved) for i in range(10)}
        with connect(server) as check, check.cursor() as cursor:
            cursor.execute("select id, n from t")
            assert {row[0]: int(row[1]) for row in cursor.fetchall()} == want
        assert metric(server, "rustbd_runs_again_total") > 1000
