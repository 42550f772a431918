"""Many connections at once, and what must hold whatever the order: sums, uniqueness, each item once."""
import pathlib
import random
import sys
import threading

import psycopg2

from harness import wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import schedule  # noqa: E402

THREADS, ROUNDS = 8, 60


def connect(context):
    connection = psycopg2.connect(host="127.0.0.1", port=context.server.port, user="postgres", dbname="postgres", connect_timeout=30)
    connection.autocommit = True
    return connection


def setup(context, *statements):
    connection = connect(context)
    for sql in statements:
        connection.cursor().execute(sql)
    connection.close()


def together(context, work, threads=THREADS):
    """Runs work(cursor, number, random) on so many connections at once; the first failure of any is raised."""
    failures, results = [], [None] * threads
    barrier = threading.Barrier(threads)

    def run(number):
        try:
            connection = connect(context)
            barrier.wait(60)
            results[number] = work(connection.cursor(), number, random.Random(number))
            connection.close()
        except BaseException as e:  # noqa: BLE001
            failures.append(e)

    running = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(threads)]
    for t in running:
        t.start()
    for t in running:
        t.join(120)
        assert not t.is_alive(), "a connection hangs"
    if failures:
        raise failures[0]
    return results


def retried(cursor, statements, codes=("40001", "40P01")) -> int:
    """A transaction, again until no serialisation failure; how often it failed."""
    failed = 0
    while True:
        try:
            for sql in statements:
                cursor.execute(sql)
            return failed
        except psycopg2.Error as e:
            cursor.execute("rollback")
            assert e.pgcode in codes, f"{e.pgcode} {e}"
            failed += 1


def only(context, sql):
    connection = connect(context)
    cursor = connection.cursor()
    cursor.execute(sql)
    rows = cursor.fetchall()
    connection.close()
    return rows


def test_increments_add_up(context):
    setup(context, "drop table if exists counters", "create table counters (id int primary key, n int)", "insert into counters select i, 0 from generate_series(1, 3) i")

    def work(cursor, number, rng):
        for _ in range(ROUNDS):
            cursor.execute(f"update counters set n = n + 1 where id = {rng.randint(1, 3)}")
            assert cursor.rowcount == 1
    together(context, work)
    assert only(context, "select sum(n) from counters") == [(THREADS * ROUNDS,)]


def test_increments_add_up_at_repeatable_read(context):
    setup(context, "drop table if exists counters", "create table counters (id int primary key, n int)", "insert into counters values (1, 0)")

    def work(cursor, number, rng):
        return sum(retried(cursor, ("begin isolation level repeatable read", "update counters set n = n + 1 where id = 1", "commit"))
                   for _ in range(ROUNDS // 3))
    together(context, work)
    assert only(context, "select n from counters") == [(THREADS * (ROUNDS // 3),)]


def test_a_lock_s_next_holder_sees_what_its_last_one_committed(context):
    """Locks go when the commit has its place, before it is durable; a SELECT alone must see it all the same."""
    setup(context, "drop table if exists counters", "create table counters (id int primary key, n int)", "insert into counters values (1, 0)")

    def work(cursor, number, rng):
        """Only one at a time: the lock is of the transaction, or of the session, whose statements are transactions of their own."""
        if number == 3:
            cursor.execute("set synchronous_commit = off")
        for _ in range(ROUNDS):
            cursor.execute("begin" if number == 0 else "select 1")
            kind = "xact_lock" if number == 0 else "lock"
            while True:
                cursor.execute(f"select pg_try_advisory_{kind}(7301)")
                if cursor.fetchone()[0]:
                    break
            cursor.execute("select n from counters where id = 1")
            n = cursor.fetchone()[0]
            cursor.execute(f"update counters set n = {n + 1} where id = 1")
            cursor.execute("commit" if number == 0 else "select pg_advisory_unlock(7301)")
    together(context, work, threads=4)
    assert only(context, "select n from counters") == [(4 * ROUNDS,)]


def test_a_reader_that_waited_for_a_lock_sees_the_commit_that_ended_it(context):
    setup(context, "drop table if exists counters", "create table counters (id int primary key, n int)", "insert into counters values (1, 0)")
    writer, reader, watcher = connect(context), connect(context), connect(context)
    w, seen = writer.cursor(), watcher.cursor()
    for i in range(1, ROUNDS + 1):
        w.execute("begin; lock table counters in access exclusive mode")
        w.execute(f"update counters set n = {i}")
        read = []

        def run():
            cursor = reader.cursor()
            cursor.execute("select n from counters")
            read.extend(cursor.fetchall())
        running = threading.Thread(target=run, daemon=True)
        running.start()

        def waits():
            seen.execute("select 1 from pg_locks where not granted and pid = %s", (reader.get_backend_pid(),))
            return seen.fetchone() is not None
        wait_until(waits, what="the reader to wait")
        w.execute("commit")
        running.join(60)
        assert read == [(i,)], f"{read} in round {i}"
    for connection in (writer, reader, watcher):
        connection.close()


def test_every_snapshot_has_the_same_sum(context):
    setup(context, "drop table if exists accounts", "create table accounts (id int primary key, balance int)",
          "insert into accounts select i, 1000 from generate_series(1, 100) i")
    deadlocks = []

    def work(cursor, number, rng):
        for i in range(ROUNDS):
            if number < 2:
                if i % 2:
                    cursor.execute("select sum(balance), count(*) from accounts")
                    assert cursor.fetchall() == [(100_000, 100)]
                else:
                    cursor.execute("begin isolation level repeatable read")
                    for sql in ("select sum(balance), count(*) from accounts", "select sum(balance), count(*) from accounts where id > 0"):
                        cursor.execute(sql)
                        assert cursor.fetchall() == [(100_000, 100)]
                    cursor.execute("commit")
            else:  # in any order: deadlocks happen, and end in 40P01
                a, b = rng.sample(range(1, 101), 2)
                deadlocks.append(retried(cursor, ("begin", f"update accounts set balance = balance - 7 where id = {a}",
                                                  f"update accounts set balance = balance + 7 where id = {b}", "commit")))
    together(context, work)
    assert only(context, "select sum(balance), count(*) from accounts") == [(100_000, 100)]


def test_one_of_many_inserts_wins(context):
    setup(context, "drop table if exists uniques", "create table uniques (id int primary key, who int, hits int)")

    def plain(cursor, number, rng):
        won = 0
        for key in range(1, 40):
            try:
                cursor.execute(f"insert into uniques values ({key}, {number}, 0)")
                won += 1
            except psycopg2.Error as e:
                assert e.pgcode == "23505", f"{e.pgcode} {e}"
        return won
    assert sum(together(context, plain)) == 39

    def upsert(cursor, number, rng):
        for key in range(30, 60):
            cursor.execute(f"insert into uniques values ({key}, {number}, 1) on conflict (id) do update set hits = uniques.hits + 1")
    together(context, upsert)
    assert only(context, "select count(*), sum(hits) from uniques where id >= 30") == [(30, 30 * THREADS)]
    assert only(context, "select count(*), count(distinct id) from uniques") == [(59, 59)]


def test_each_item_of_a_queue_is_taken_once(context):
    setup(context, "drop table if exists jobs", "create table jobs (id int primary key, state text)",
          "insert into jobs select i, 'new' from generate_series(1, 200) i")

    def work(cursor, number, rng):
        taken = []
        while True:
            cursor.execute("begin")
            cursor.execute("select id from jobs where state = 'new' order by id limit 1 for update skip locked")
            row = cursor.fetchone()
            if row is None:
                cursor.execute("commit")
                cursor.execute("select count(*) from jobs where state = 'new'")
                if cursor.fetchone() == (0,):
                    return taken
                continue
            cursor.execute(f"update jobs set state = 'done' where id = {row[0]}")
            if rng.random() < 0.1:
                cursor.execute("rollback")
            else:
                cursor.execute("commit")
                taken.append(row[0])
    taken = together(context, work)
    assert sorted(i for one in taken for i in one) == list(range(1, 201))


def test_sequence_values_are_unique(context):
    setup(context, "drop table if exists serials", "create table serials (id serial primary key, who int)")

    def work(cursor, number, rng):
        ids = []
        for _ in range(ROUNDS):
            cursor.execute(f"insert into serials (who) values ({number}) returning id")
            ids.append(cursor.fetchone()[0])
        assert ids == sorted(ids)
        return ids
    ids = [i for one in together(context, work) for i in one]
    assert len(set(ids)) == THREADS * ROUNDS
    assert only(context, "select count(*) from serials") == [(THREADS * ROUNDS,)]


def test_sequences_are_restarted_beside_their_users(context):
    """ALTER SEQUENCE ... RESTART and TRUNCATE ... RESTART IDENTITY, committed and rolled back: nextval and INSERT never fail."""
    setup(context, "create sequence counter", "create table numbered (id int generated always as identity, n int)")

    def work(cursor, number, rng):
        for i in range(4 * ROUNDS):
            if number == 0:
                cursor.execute(rng.choice(("alter sequence counter restart", "begin; alter sequence counter restart with 100; rollback",
                                           "truncate numbered restart identity", "begin; truncate numbered restart identity; rollback")))
            elif number % 2:
                cursor.execute("select nextval('counter')" if i % 20 else "select setval('counter', 1)")
                assert cursor.fetchone()[0] > 0
            else:
                cursor.execute("insert into numbered (n) values (%s) returning id", (i,))
                assert cursor.fetchone()[0] > 0
    together(context, work)
    setup(context, "drop sequence counter", "drop table numbered")


def test_no_orphan_under_load(context):
    setup(context, "drop table if exists kids, parents", "create table parents (id int primary key)", "create table kids (parent int references parents)",
          "insert into parents select generate_series(1, 20)")

    def work(cursor, number, rng):
        for _ in range(ROUNDS):
            parent = rng.randint(1, 20)
            try:
                if number % 2:
                    cursor.execute(f"insert into kids values ({parent})")
                elif rng.random() < 0.5:
                    cursor.execute(f"delete from parents where id = {parent}")
                else:
                    cursor.execute(f"insert into parents values ({parent}) on conflict do nothing")
            except psycopg2.Error as e:
                assert e.pgcode in ("23503", "40P01"), f"{e.pgcode} {e}"
            if rng.random() < 0.2:
                cursor.execute(f"delete from kids where parent = {parent}")
    together(context, work)
    assert only(context, "select count(*) from kids k where not exists (select 1 from parents p where p.id = k.parent)") == [(0,)]


def test_ddl_beside_readers_and_writers(context):
    setup(context, "drop table if exists busy", "create table busy (id int primary key, v int)", "insert into busy select i, i from generate_series(1, 500) i")

    def work(cursor, number, rng):
        for i in range(ROUNDS // 2):
            if number == 0:
                cursor.execute(f"alter table busy add column c{i} int default {i}")
            elif number == 1:
                cursor.execute(f"create index busy_{i} on busy (v)")
                cursor.execute(f"drop index busy_{i}")
            elif number < 5:
                cursor.execute(f"update busy set v = v + 1 where id = {rng.randint(1, 500)}")
                assert cursor.rowcount == 1
            else:
                cursor.execute("select count(*), count(distinct id) from busy where v > 0")
                assert cursor.fetchone() == (500, 500)
    together(context, work)
    assert only(context, "select count(*), sum(v) from busy") == [(500, 125_250 + 3 * (ROUNDS // 2))]


def test_a_cascade_holds_all_tables_that_it_may_reach(context):
    """p <- c <- g <- h: a DELETE on p that waits keeps h as it is, though nothing but cascades leads there."""
    setup(context, "create table p (id int primary key)", "create table c (id int primary key, p int references p on delete cascade)",
          "create table g (id int primary key, c int references c on delete cascade)",
          "create table h (id int primary key, g int references g on delete set null)",
          "insert into p values (1), (2), (3)", "insert into c select id, id from p", "insert into g select id, id from p", "insert into h select id, id from p")
    holder, deleter, changer = (schedule.Session(context.server.port) for _ in range(3))
    changer.run("set lock_timeout = '50ms'")

    def kept(table):
        changer.run("begin")
        result = changer.run(f"lock table {table} in access exclusive mode")
        changer.run("rollback")
        return result == "55P03"

    deleter.run("prepare gone (integer) as delete from p where id = $1")
    for statement, number in (("delete from p where id = 2", 2), ("execute gone (1)", 1), ("execute gone (3)", 3)):  # the last run serves again
        holder.run(f"begin; select * from p where id = {number} for update")
        deleter.start(statement)
        wait_until(lambda: kept("h"), "the DELETE has its locks", 20)
        for change in ("truncate h", "drop table g cascade", "create index on g (c)", "alter table h add column more int", "reindex table h"):
            assert changer.run(change) == "55P03", change
        holder.run("rollback")
        assert deleter.finish() == "DELETE 1"
    assert only(context, "select (select count(*) from c) + (select count(*) from g), (select count(*) from h where g is null)") == [(0, 3)]
    setup(context, "drop table p, c, g, h")


def test_explain_analyze_runs_the_plan_of_the_tables_that_it_locked(context):
    setup(context, "create table changing (id int primary key, n int)", "insert into changing select i, i from generate_series(1, 100) i")
    changer, reader = (schedule.Session(context.server.port) for _ in range(2))
    for number, change in enumerate(("truncate changing", "alter table changing alter column n type bigint", "alter table changing add column more int default 7")):
        changer.run("begin")
        assert changer.run("lock table changing in access exclusive mode") == "LOCK TABLE"
        reader.start("explain analyze update changing set n = n + 1")
        wait_until(lambda: only(context, "select count(*) from pg_locks where not granted") == [(1,)], "EXPLAIN waits", 20)
        changer.run(change)
        changer.run(f"insert into changing (id, n) values ({1000 + number}, 1)")
        assert changer.run("commit") == "COMMIT"
        assert isinstance(reader.finish(), list), reader.result
        assert only(context, f"select n from changing where id = {1000 + number}") == [(2,)]
    setup(context, "drop table changing")
