"""Prepared transactions over kill -9: they are there again, still invisible and still locked, until somebody decides."""
import psycopg2

import harness


def fails(server, sql: str) -> str:
    connection = psycopg2.connect(host="127.0.0.1", port=server.port, user="postgres", dbname="postgres", connect_timeout=30)
    try:
        connection.cursor().execute(sql)
        return ""
    except psycopg2.Error as e:
        return e.pgcode
    finally:
        connection.close()


def check_pending(server):
    assert server.sql("select gid, owner, database from pg_prepared_xacts order by 1") == "keep|postgres|postgres\nno|postgres|postgres\nyes|postgres|postgres"
    assert server.sql("select * from account order by id") == "1|100\n2|200\n3|300"
    assert fails(server, "set lock_timeout = 50; update account set balance = 0 where id = 1") == "55P03"
    assert fails(server, "set lock_timeout = 50; insert into account values (4, 0)") == "55P03"
    assert fails(server, "select 1 from account where id = 2 for update nowait") == "55P03"
    assert fails(server, "lock table account in access exclusive mode nowait") == "55P03"
    assert fails(server, "begin; prepare transaction 'yes'") == "42710"
    assert server.sql("select count(*) from pg_locks where pid is null and relation = 'account'::regclass and locktype = 'relation'") != "0"


def test_prepared_transactions_survive_kills(context):
    with harness.Rustbd() as server:
        server.sql("create table account (id int primary key, balance int); insert into account values (1, 100), (2, 200), (3, 300)")
        server.sql("begin; update account set balance = 101 where id = 1; insert into account values (4, 400); prepare transaction 'yes'")
        server.sql("begin; select 1 from account where id = 2 for share; delete from account where id = 3; prepare transaction 'no'")
        server.sql("begin; insert into account values (5, 500); prepare transaction 'keep'")
        check_pending(server)
        for checkpoints in (0, 1, 2):
            for _ in range(checkpoints):
                server.sql("checkpoint")
            server.kill()
            server.start()
            check_pending(server)
        server.sql("commit prepared 'yes'")
        server.sql("rollback prepared 'no'")
        server.kill()
        server.start()
        decided = "1|101\n2|200\n3|300\n4|400"
        assert server.sql("select * from account order by id") == decided
        assert server.sql("select gid from pg_prepared_xacts") == "keep"
        assert server.sql("select value from rustbd_metrics where name = 'rustbd_prepared_transactions'") == "1"
        server.stop()
        server.start()
        assert server.sql("select gid from pg_prepared_xacts") == "keep"
        server.sql("update account set balance = balance + 1")
        server.sql("commit prepared 'keep'")
        assert server.sql("select * from account order by id") == "1|102\n2|201\n3|301\n4|401\n5|500"
        server.kill()
        server.start()
        assert server.sql("select * from account order by id") == "1|102\n2|201\n3|301\n4|401\n5|500"


def test_too_many(context):
    with harness.Rustbd(env={"RUSTBD_TXN_MAX_PREPARED_TRANSACTIONS": "2"}) as server:
        assert server.sql("show max_prepared_transactions") == "2"
        for gid in "ab":
            server.sql(f"begin; prepare transaction '{gid}'")
        assert fails(server, "begin; prepare transaction 'c'") == "53400"
        server.sql("rollback prepared 'a'")
        server.sql("begin; prepare transaction 'c'")
        server.kill()
        server.env = {"RUSTBD_TXN_MAX_PREPARED_TRANSACTIONS": "0"}
        server.start()
        assert server.sql("select count(*) from pg_prepared_xacts") == "2", "those from before stay"
        assert fails(server, "begin; prepare transaction 'd'") == "55000"
        server.sql("commit prepared 'c'")


def test_catalog_changes_are_refused(context):
    with harness.Rustbd() as server:
        server.sql("create table t (a int)")
        for change in ("create table u (a int)", "alter table t add b int", "drop table t", "truncate t", "comment on table t is 'x'", "analyze t", "create role r"):
            assert fails(server, f"begin; {change}; prepare transaction 'x'") == "0A000", change
            assert server.sql("select count(*) from pg_prepared_xacts") == "0"
            assert server.sql("select count(*) from t") == "0"
        server.sql("begin; savepoint s; create table u (a int); rollback to s; insert into t values (1); prepare transaction 'x'")
        server.sql("commit prepared 'x'")
        assert server.sql("select a from t") == "1"
