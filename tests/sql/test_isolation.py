"""What connections see of one another: each schedule runs on PostgreSQL and on RustBD, and both must give the outcome."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from schedule import Schedule, wait_for  # noqa: E402

TABLE = ("drop table if exists iso_child, iso", "create table iso (id int primary key, v int, tag text)",
         "insert into iso values (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c')")


def both(context, body, *setup):
    """Runs the schedule on each server; what it returns and every step's result must be the same on both."""
    traces = []
    for name, port in (("postgres", context.postgres.port), ("rustbd", context.server.port)):
        with Schedule(port, *(setup or TABLE)) as s:
            try:
                body(s)
            except AssertionError as e:
                lines = "\n".join(f"  {who}: {sql} -> {result}" for who, sql, result in s.trace)
                raise AssertionError(f"{name}: {e}\n{lines}") from e
            traces.append(s.trace)
    for want, mine in zip(*traces):
        assert want == mine, f"PostgreSQL {want}\nRustBD     {mine}"
    assert len(traces[0]) == len(traces[1])


def test_no_dirty_read(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = 99 where id = 1")
        s.step("a", "insert into iso values (4, 40, 'd')")
        s.step("a", "delete from iso where id = 2")
        assert s.step("b", "select id, v from iso") == [(1, 10), (2, 20), (3, 30)]
        assert s.step("a", "select id, v from iso") == [(1, 99), (3, 30), (4, 40)]
        s.step("a", "rollback")
        assert s.step("b", "select id, v from iso") == [(1, 10), (2, 20), (3, 30)]
    both(context, body)


def test_read_committed_sees_each_commit(context):
    def body(s):
        s.step("a", "begin")
        assert s.step("a", "select sum(v) from iso") == [(60,)]
        s.step("b", "update iso set v = v + 1")
        assert s.step("a", "select sum(v) from iso") == [(63,)]
        s.step("a", "commit")
    both(context, body)


def test_repeatable_read_sees_one_snapshot(context):
    def body(s):
        s.step("a", "begin isolation level repeatable read")
        assert s.step("a", "select sum(v) from iso") == [(60,)]
        s.step("b", "update iso set v = v + 1")
        s.step("b", "insert into iso values (4, 40, 'd')")
        s.step("b", "delete from iso where id = 1")
        assert s.step("a", "select id, v from iso") == [(1, 10), (2, 20), (3, 30)]
        assert s.step("a", "select v from iso where id = 1") == [(10,)]
        assert s.step("a", "select count(*) from iso where v > 30") == [(0,)]
        s.step("a", "commit")
        assert s.step("a", "select id, v from iso") == [(2, 21), (3, 31), (4, 40)]
    both(context, body)


MANY_ROWS = ("drop table if exists iso", "create table iso (id int primary key, v int)",
             "insert into iso select g, 0 from generate_series(1, 3000) g", "analyze iso")


def test_a_cursor_keeps_its_snapshot(context):
    """Also at READ COMMITTED, while others change the rows, and while collection takes what nobody needs any more."""
    def body(s):
        s.step("a", "begin")
        s.step("a", "declare begun cursor for select id, v from iso")
        s.step("a", "declare late cursor for select id, v from iso")
        s.step("a", "declare by_key cursor for select id, v from iso where id between 10 and 15")
        s.step("a", "fetch 1 from begun")
        s.step("b", "update iso set v = 1 where id % 2 = 0")
        s.step("b", "delete from iso where id % 2 = 1")
        s.step("a", "declare after cursor for select id, v from iso")
        s.step("b", "vacuum iso")
        s.step("b", "delete from iso")
        s.step("b", "vacuum iso")
        assert s.step("a", "select count(*) from iso") == [(0,)]
        assert s.step("a", "fetch all from begun") == sorted(((i, 0) for i in range(2, 3001)), key=repr)
        assert s.step("a", "fetch all from by_key") == [(i, 0) for i in range(10, 16)]
        s.step("a", "close begun")
        s.step("b", "vacuum iso")
        assert s.step("a", "fetch all from late") == sorted(((i, 0) for i in range(1, 3001)), key=repr)
        s.step("a", "close all")
        s.step("b", "vacuum iso")
        s.step("a", "declare again cursor for select id, v from iso")
        assert s.step("a", "fetch all from again") == []
        s.step("a", "commit")
    both(context, body, *MANY_ROWS)


def test_a_cursor_that_others_outlive(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "declare old cursor for select id, v from iso")
        s.step("b", "update iso set v = v + 1")
        s.step("a", "declare young cursor for select id, v from iso")
        s.step("b", "update iso set v = v + 1")
        s.step("a", "close old")
        s.step("b", "vacuum iso")
        assert s.step("a", "fetch all from young") == [(1, 11), (2, 21), (3, 31)]
        s.step("a", "commit")
    both(context, body)


def test_a_cursor_for_update_gives_the_newest_versions(context):
    """A row that its own transaction has changed since is not the cursor's any more."""
    def body(s):
        s.step("setup", "insert into iso values (4, 40, 'd'), (5, 50, 'e')")
        s.step("a", "begin")
        s.step("a", "declare c cursor for select id, v from iso for update")
        s.step("a", "declare low cursor for select id, v from iso where v < 45 for update")
        s.step("b", "update iso set v = v + 5 where id in (1, 4)")
        s.step("b", "delete from iso where id = 2")
        s.step("b", "vacuum iso")
        s.step("a", "update iso set v = v + 7 where id = 3")
        assert s.step("a", "fetch all from low") == [(1, 15)]
        assert s.step("a", "move 1 from c") == "MOVE 1"
        assert s.step("a", "fetch all from c") == [(4, 45), (5, 50)]
        s.blocks("b", "update iso set v = 0 where id = 5")
        s.step("a", "commit")
        s.join("b")
    both(context, body)


def test_repeatable_read_takes_its_snapshot_with_the_first_statement(context):
    def body(s):
        s.step("a", "begin isolation level repeatable read")
        s.step("b", "update iso set v = 11 where id = 1")
        assert s.step("a", "select v from iso where id = 1") == [(11,)]
        s.step("a", "commit")
    both(context, body)


def test_update_waits_and_sees_the_new_version(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = v + 1 where id = 1")
        s.blocks("b", "update iso set v = v * 10 where id = 1 returning v")
        s.step("a", "commit")
        assert s.join("b") == [(110,)]
        assert s.step("a", "select v from iso where id = 1") == [(110,)]
    both(context, body)


def test_update_after_a_rollback_sees_the_old_version(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = v + 1 where id = 1")
        s.blocks("b", "update iso set v = v * 10 where id = 1 returning v")
        s.step("a", "rollback")
        assert s.join("b") == [(100,)]
    both(context, body)


def test_the_condition_is_evaluated_again_after_the_wait(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = 1000 where id = 1")
        s.blocks("b", "update iso set tag = 'hit' where v < 100")
        s.step("a", "commit")
        assert s.join("b") == "UPDATE 2"
        assert s.step("a", "select id, tag from iso") == [(1, "a"), (2, "hit"), (3, "hit")]
    both(context, body)


def test_a_row_that_was_deleted_meanwhile_is_skipped(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "delete from iso where id = 1")
        s.blocks("b", "update iso set v = v + 1 where id = 1")
        s.step("a", "commit")
        assert s.join("b") == "UPDATE 0"
    both(context, body)


def test_delete_waits_and_evaluates_again(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = 5 where id = 1")
        s.blocks("b", "delete from iso where v = 10")
        s.step("a", "commit")
        assert s.join("b") == "DELETE 0"
        s.step("a", "begin")
        s.step("a", "update iso set v = 6 where id = 1")
        s.blocks("b", "delete from iso where id = 1 and v < 10")
        s.step("a", "commit")
        assert s.join("b") == "DELETE 1"
    both(context, body)


def test_update_from_evaluates_again(context):
    def body(s):
        s.step("setup", "drop table if exists iso_other")
        s.step("setup", "create table iso_other (id int, w int)")
        s.step("setup", "insert into iso_other values (1, 7), (2, 8)")
        s.step("a", "begin")
        s.step("a", "update iso set v = v + 1 where id = 1")
        s.blocks("b", "update iso set v = iso.v + o.w from iso_other o where o.id = iso.id returning iso.id, v")
        s.step("a", "commit")
        assert s.join("b") == [(1, 18), (2, 28)]
    both(context, body)


def test_a_condition_with_a_subquery_is_evaluated_again(context):
    """RustBD runs such a statement again, with what it did taken back and its rows held until it is over."""
    def body(s):
        s.step("setup", "drop table if exists iso_other, iso_log")
        s.step("setup", "create table iso_other (id int, w int)")
        s.step("setup", "insert into iso_other values (1, 15), (2, 25), (3, 35)")
        s.step("a", "begin")
        s.step("a", "update iso set v = v + 1 where id = 3")
        # Rows 1 and 2 are changed before the wait: once, not twice.
        s.blocks("b", "update iso set v = iso.v + 100 where v < (select w from iso_other o where o.id = iso.id) returning id, v")
        s.step("a", "commit")
        assert s.join("b") == [(1, 110), (2, 120), (3, 131)]
        s.step("a", "begin")
        s.step("a", "update iso set v = 1 where id = 2")
        s.blocks("b", "delete from iso where v > (select w from iso_other o where o.id = iso.id)")
        s.step("a", "commit")
        assert s.join("b") == "DELETE 2"
        assert s.step("a", "select id, v from iso") == [(2, 1)]
        s.step("a", "begin")
        s.step("a", "update iso set v = 99 where id = 2")
        s.blocks("b", "select id, v from iso where v < (select w from iso_other o where o.id = iso.id) for update")
        s.step("a", "commit")
        assert s.join("b") == []
        s.step("a", "begin")
        s.step("a", "update iso set v = 3 where id = 2")
        s.blocks("b", "select id, v from iso where id in (select id from iso_other) for update")
        s.step("a", "rollback")
        assert s.join("b") == [(2, 99)]
        # In a block: what it did before the statement stays.
        s.step("b", "begin")
        s.step("b", "insert into iso values (7, 70, 'b')")
        s.step("a", "begin")
        s.step("a", "update iso set v = 4 where id = 2")
        s.blocks("b", "update iso set tag = 'late' where id in (select id from iso_other) returning v")
        s.step("a", "commit")
        assert s.join("b") == [(4,)]
        s.step("b", "commit")
        assert s.step("a", "select id, v, tag from iso") == [(2, 4, "late"), (7, 70, "b")]
    both(context, body)


def test_a_condition_with_a_subquery_fails_at_repeatable_read(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = v + 1 where id = 1")
        s.step("b", "begin isolation level repeatable read")
        s.step("b", "select 1 from iso")
        s.blocks("b", "update iso set v = 0 where id in (select id from iso where v < 15)")
        s.step("a", "commit")
        assert s.join("b") == "40001"
    both(context, body)


def test_increments_are_not_lost(context):
    def body(s):
        for name in "abc":
            s.step(name, "begin")
        s.step("a", "update iso set v = v + 1 where id = 1")
        s.blocks("b", "update iso set v = v + 1 where id = 1")
        s.step("a", "commit")
        s.join("b")
        s.blocks("c", "update iso set v = v + 1 where id = 1")
        s.step("b", "commit")
        s.join("c")
        s.step("c", "commit")
        assert s.step("a", "select v from iso where id = 1") == [(13,)]
    both(context, body)


def test_lost_update_fails_at_repeatable_read(context):
    def body(s):
        for name in "ab":
            s.step(name, "begin isolation level repeatable read")
            s.step(name, "select v from iso where id = 1")
        s.step("a", "update iso set v = v + 1 where id = 1")
        s.blocks("b", "update iso set v = v + 1 where id = 1")
        s.step("a", "commit")
        assert s.join("b") == "40001"
        assert s.step("b", "select 1") == "25P02"
        s.step("b", "rollback")
        assert s.step("b", "select v from iso where id = 1") == [(11,)]
    both(context, body)


def test_repeatable_read_may_write_after_a_rollback(context):
    def body(s):
        for name in "ab":
            s.step(name, "begin isolation level repeatable read")
            s.step(name, "select v from iso where id = 1")
        s.step("a", "update iso set v = v + 1 where id = 1")
        s.blocks("b", "update iso set v = v + 5 where id = 1 returning v")
        s.step("a", "rollback")
        assert s.join("b") == [(15,)]
        s.step("b", "commit")
    both(context, body)


def test_repeatable_read_deletes_and_locks_fail_too(context):
    def body(s):
        for statement in ("delete from iso where id = 1", "select * from iso where id = 1 for update"):
            s.step("b", "begin isolation level repeatable read")
            s.step("b", "select count(*) from iso")
            s.step("a", "update iso set v = v + 1 where id = 1")
            assert s.step("b", statement) == "40001"
            s.step("b", "rollback")
    both(context, body)


def test_unique_conflict_waits_for_the_other_transaction(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "insert into iso values (9, 1, 'mine')")
        s.blocks("b", "insert into iso values (9, 2, 'yours')")
        s.step("a", "commit")
        assert s.join("b") == "23505"
        s.step("a", "begin")
        s.step("a", "insert into iso values (10, 1, 'mine')")
        s.blocks("b", "insert into iso values (10, 2, 'yours')")
        s.step("a", "rollback")
        assert s.join("b") == "INSERT 0 1"
        s.step("a", "begin")
        s.step("a", "delete from iso where id = 10")
        s.blocks("b", "insert into iso values (10, 3, 'again')")
        s.step("a", "commit")
        assert s.join("b") == "INSERT 0 1"
    both(context, body)


def test_upserts_wait_and_update(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "insert into iso values (9, 1, 'mine')")
        s.blocks("b", "insert into iso values (9, 2, 'yours') on conflict (id) do update set v = iso.v + excluded.v returning v")
        s.step("a", "commit")
        assert s.join("b") == [(3,)]
        s.step("a", "begin")
        s.step("a", "insert into iso values (11, 1, 'mine')")
        s.blocks("b", "insert into iso values (11, 2, 'yours') on conflict do nothing")
        s.step("a", "commit")
        assert s.join("b") == "INSERT 0 0"
        s.step("a", "begin")
        s.step("a", "insert into iso values (12, 1, 'mine')")
        s.blocks("b", "insert into iso values (12, 2, 'yours') on conflict (id) do update set v = -1")
        s.step("a", "rollback")
        assert s.join("b") == "INSERT 0 1"
        assert s.step("a", "select v from iso where id = 12") == [(2,)]
    both(context, body)


def test_on_conflict_at_repeatable_read_skips_what_it_sees_only(context):
    def body(s):
        s.step("setup", "alter table iso add constraint iso_v unique (v)")
        skip, change = "on conflict do nothing", "on conflict (id) do update set tag = 'mine'"
        s.step("b", "insert into iso values (8, 80, 'h')")
        for new in ("insert into iso values (9, 90, 'i')", "update iso set tag = 'new' where id = 8"):
            for values, action, result in (("(1, 1, 'a')", skip, "INSERT 0 0"), ("(8, 1, 'a')", skip, None), ("(8, 1, 'a')", change, None),
                                           ("(7, 90, 'a')", skip, None), ("(7, 90, 'a')", change, "23505"), ("(9, 90, 'a')", "", "23505")):
                s.step("a", "begin isolation level repeatable read")
                s.step("a", "select count(*) from iso")
                s.step("b", new)
                got = s.step("a", f"insert into iso values {values} {action}")
                assert got == result or result is None or new.startswith("update"), (new, values, action, got)
                s.step("a", "rollback")
                s.step("b", "delete from iso where id = 9")
        # In the same statement: its own rows are skipped.
        s.step("a", "begin isolation level repeatable read")
        assert s.step("a", "insert into iso values (11, 11), (11, 12) on conflict do nothing") == "INSERT 0 1"
        assert s.step("a", "insert into iso values (11, 13) on conflict do nothing") == "INSERT 0 0"
        s.step("b", "insert into iso values (12, 120)")
        assert s.step("a", "insert into iso values (12, 13) on conflict do nothing") == "40001"
        s.step("a", "rollback")
    both(context, body)


def _deadlock(context, first_a, first_b, second_a, second_b, setup=TABLE):
    """Exactly one of the two ends with 40P01, and at once; which one is the server's choice."""
    for port in (context.postgres.port, context.server.port):
        with Schedule(port, *setup) as s:
            for name, sql in (("a", first_a), ("b", first_b)):
                s.step(name, "begin")
                s.step(name, sql)
            s.blocks("a", second_a)
            s.session("b").start(second_b)
            # The victim's transaction is aborted and has let its locks go: the other ends without its rollback.
            results = {name: s.session(name).finish() for name in "ab"}
            victims = [name for name in "ab" if results[name] == "40P01"]
            assert len(victims) == 1, results
            victim, other = victims[0], "b" if victims == ["a"] else "a"
            assert not isinstance(results[other], str) or not results[other].startswith("40"), results
            assert s.step(victim, "select 1") == "25P02"
            assert s.step(victim, "commit") == "ROLLBACK"
            assert s.step(other, "commit") == "COMMIT"


def test_deadlock_of_two_updates(context):
    _deadlock(context, "update iso set v = 1 where id = 1", "update iso set v = 2 where id = 2", "update iso set v = 1 where id = 2",
              "update iso set v = 2 where id = 1")


def test_deadlock_of_unique_keys(context):
    _deadlock(context, "insert into iso values (21)", "insert into iso values (22)", "insert into iso values (22)", "insert into iso values (21)")


def test_deadlock_of_table_locks(context):
    _deadlock(context, "lock table iso in share mode", "lock table iso in share mode", "update iso set v = 1 where id = 1",
              "update iso set v = 2 where id = 2")


def test_deadlock_of_a_row_and_a_table(context):
    _deadlock(context, "update iso set v = 1 where id = 1", "lock table iso_other in exclusive mode", "update iso_other set w = 1",
              "update iso set v = 2 where id = 1", setup=(*TABLE, "create table if not exists iso_other (id int, w int)"))


def test_deadlock_of_three(context):
    for port in (context.postgres.port, context.server.port):
        with Schedule(port, *TABLE) as s:
            for i, name in enumerate("abc", 1):
                s.step(name, "begin")
                s.step(name, f"update iso set v = 0 where id = {i}")
            s.blocks("a", "update iso set v = 1 where id = 2")
            s.blocks("b", "update iso set v = 1 where id = 3")
            s.session("c").start("update iso set v = 1 where id = 1")
            victims, left = [], set("abc")
            while left:
                wait_for(lambda: any(s.session(n).done.is_set() for n in left), "the deadlock was not found")
                for name in [n for n in left if s.session(n).done.is_set()]:
                    left.discard(name)
                    if s.session(name).result == "40P01":
                        victims.append(name)
                    s.session(name).run("commit")
            assert len(victims) == 1, victims


def test_row_lock_modes(context):
    """Every pair of the four row lock modes: those that conflict answer 55P03 under NOWAIT."""
    modes = ("key share", "share", "no key update", "update")

    def body(s):
        for mine in modes:
            for other in modes:
                s.step("a", "begin")
                s.step("a", f"select id from iso where id = 1 for {mine}")
                result = s.step("b", f"select id from iso where id = 1 for {other} nowait")
                fits = modes.index(mine) + modes.index(other) < 3 or (mine, other) == ("share", "share")
                assert (result == [(1,)]) == fits and (result == "55P03") == (not fits), (mine, other, result)
                s.step("a", "rollback")
    both(context, body)


def test_writers_against_row_locks(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "select id from iso where id = 1 for key share")
        assert s.step("b", "update iso set v = 0 where id = 1") == "UPDATE 1"  # no key changes
        s.blocks("b", "update iso set id = 100 where id = 1")
        s.step("a", "commit")
        assert s.join("b") == "UPDATE 1"
        s.step("a", "begin")
        s.step("a", "select id from iso where id = 2 for share")
        s.blocks("b", "update iso set v = 0 where id = 2")
        s.step("a", "commit")
        assert s.join("b") == "UPDATE 1"
        s.step("a", "begin")
        s.step("a", "update iso set v = 1 where id = 3")
        assert s.step("b", "select id from iso where id = 3 for key share nowait") == [(3,)]
        assert s.step("b", "select id from iso where id = 3 for share nowait") == "55P03"
        assert s.step("b", "select v from iso where id = 3") == [(30,)]  # readers never wait
        s.step("a", "commit")
    both(context, body)


def test_select_for_update_waits_and_gives_the_new_version(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = 77 where id = 1")
        s.blocks("b", "select v from iso where id = 1 for update")
        s.step("a", "commit")
        assert s.join("b") == [(77,)]
        s.step("a", "begin")
        s.step("a", "update iso set v = 78 where id = 1")
        s.blocks("b", "select v from iso where v = 77 for update")
        s.step("a", "commit")
        assert s.join("b") == []
    both(context, body)


def test_skip_locked_is_a_queue(context):
    def body(s):
        s.step("a", "begin")
        s.step("b", "begin")
        assert s.step("a", "select id from iso order by id limit 1 for update skip locked") == [(1,)]
        assert s.step("b", "select id from iso order by id limit 1 for update skip locked") == [(2,)]
        assert s.step("c", "select id from iso order by id for update skip locked") == [(3,)]
        s.step("a", "rollback")
        assert s.step("c", "select id from iso order by id for update skip locked") == [(1,), (3,)]
        s.step("b", "rollback")
    both(context, body)


def test_savepoint_rollback_lets_the_row_locks_go(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "savepoint x")
        s.step("a", "update iso set v = 0 where id = 1")
        assert s.step("b", "select id from iso where id = 1 for update nowait") == "55P03"
        s.step("a", "rollback to x")
        assert s.step("b", "select id, v from iso where id = 1 for update nowait") == [(1, 10)]
        s.step("a", "commit")
    both(context, body)


def test_lock_timeout(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = 0 where id = 1")
        s.step("b", "set lock_timeout = '100ms'")
        assert s.step("b", "update iso set v = 1 where id = 1") == "55P03"
        assert s.step("b", "lock table iso in access exclusive mode") in ("55P03", "25P01")
        s.step("b", "begin")
        assert s.step("b", "lock table iso in access exclusive mode") == "55P03"
        s.step("b", "rollback")
        s.step("a", "commit")
        assert s.step("b", "update iso set v = 1 where id = 1") == "UPDATE 1"
    both(context, body)


def test_statement_timeout(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = 0 where id = 1")
        s.step("b", "set statement_timeout = '150ms'")
        assert s.step("b", "update iso set v = 1 where id = 1") == "57014"
        assert s.step("b", "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b") == "57014"
        assert s.step("b", "select 1") == [(1,)]
        s.step("a", "commit")
    both(context, body)


def test_cancel(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = 0 where id = 1")
        s.blocks("b", "update iso set v = 1 where id = 1")
        s.session("b").cancel()
        assert s.join("b") == "57014"
        s.step("a", "rollback")
        s.blocks("b", "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b")
        s.session("b").cancel()
        assert s.join("b") == "57014"
        assert s.step("b", "select v from iso where id = 1") == [(10,)]
    both(context, body)


CHILD = (*TABLE, "create table iso_child (id int, parent int references iso)", "insert into iso_child values (1, 1)")


def test_parent_delete_against_child_insert(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "insert into iso_child values (2, 2)")
        s.blocks("b", "delete from iso where id = 2")
        s.step("a", "commit")
        assert s.join("b") == "23503"
        s.step("a", "begin")
        s.step("a", "insert into iso_child values (3, 3)")
        s.blocks("b", "delete from iso where id = 3")
        s.step("a", "rollback")
        assert s.join("b") == "DELETE 1"
        assert s.step("a", "insert into iso_child values (3, 3)") == "23503"
    both(context, body, *CHILD)


def test_child_insert_against_parent_delete(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "delete from iso where id = 2")
        s.blocks("b", "insert into iso_child values (2, 2)")
        s.step("a", "commit")
        assert s.join("b") == "23503"
        s.step("a", "begin")
        s.step("a", "delete from iso where id = 3")
        s.blocks("b", "insert into iso_child values (3, 3)")
        s.step("a", "rollback")
        assert s.join("b") == "INSERT 0 1"
        s.step("a", "begin")
        s.step("a", "update iso set v = 5 where id = 3")
        assert s.step("b", "insert into iso_child values (4, 3)") == "INSERT 0 1"  # no key changed: no wait
        s.step("a", "commit")
    both(context, body, *CHILD)


CASCADE = (*TABLE, "create table iso_child (id int primary key, parent int references iso on delete cascade on update cascade, v int, "
                   "twice int generated always as (parent * 2) stored)", "insert into iso_child values (1, 1, 0), (2, 2, 0), (3, 3, 0)")


def test_a_cascade_meets_what_others_commit(context):
    def body(s):
        for action in ("delete from iso where id = 1", "update iso set id = 5 where id = 1"):
            for change in ("insert into iso_child values (10, 1, 0)",  # a child that the statement's snapshot does not show
                           "update iso_child set v = 5 where id = 1", "update iso_child set parent = 2 where id = 1",
                           "update iso_child set parent = 1 where id = 2", "delete from iso_child where id = 1"):
                s.step("b", "begin")
                s.step("b", change)
                s.blocks("a", action)
                s.step("b", "commit")
                assert s.join("a") in ("DELETE 1", "UPDATE 1")
                s.step("a", "select * from iso")
                s.step("a", "select * from iso_child")
                s.step("a", "truncate iso_child, iso")
                s.step("a", "insert into iso values (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c')")
                s.step("a", "insert into iso_child values (1, 1, 0), (2, 2, 0), (3, 3, 0)")
            s.step("setup", "create index on iso_child (parent)")
    both(context, body, *CASCADE)


def test_set_null_meets_what_others_commit(context):
    def body(s):
        s.step("setup", "alter table iso_child drop constraint iso_child_parent_fkey")
        s.step("setup", "alter table iso_child add foreign key (parent) references iso on delete set null")
        for row, change in enumerate(("update iso_child set v = 5 where id = 1", "update iso_child set parent = 3 where id = 2"), 1):
            s.step("b", "begin")
            s.step("b", change)
            s.blocks("a", f"delete from iso where id = {row}")
            s.step("b", "commit")
            assert s.join("a") == "DELETE 1"
            s.step("a", "select * from iso_child")
    both(context, body, *CASCADE)


def test_a_cascade_at_repeatable_read_fails(context):
    def body(s):
        for change in ("insert into iso_child values (10, 1, 0)", "update iso_child set v = v + 1 where id = 1"):
            s.step("a", "begin isolation level repeatable read")
            s.step("a", "select count(*) from iso_child")
            s.step("b", change)
            assert s.step("a", "delete from iso where id = 1") == "40001"
            s.step("a", "rollback")
            s.step("b", "delete from iso_child where id = 10")
    both(context, body, *CASCADE)


def test_key_share_at_repeatable_read_cares_for_the_key(context):
    def body(s):
        s.step("a", "begin isolation level repeatable read")
        s.step("a", "select count(*) from iso")
        s.step("b", "update iso set v = 11 where id = 1")
        assert s.step("a", "select id, v from iso where id = 1 for key share") == [(1, 10)]
        s.step("a", "savepoint before")
        assert s.step("a", "select id from iso where id = 1 for share") == "40001"
        s.step("a", "rollback to before")
        assert s.step("a", "insert into iso_child values (2, 1)") == "INSERT 0 1"
        s.step("b", "update iso set id = 20 where id = 2")
        assert s.step("a", "select id from iso where id = 2 for key share") == "40001"
        s.step("a", "rollback")
    both(context, body, *CHILD)


def test_for_update_of_a_row_that_is_updated_already(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = 11 where id = 1")
        assert s.step("b", "select id from iso where id = 1 for key share nowait") == [(1,)]
        assert s.step("a", "select v from iso where id = 1 for update") == [(11,)]
        s.blocks("b", "insert into iso_child values (2, 1)")
        s.step("a", "commit")
        assert s.join("b") == "INSERT 0 1"
    both(context, body, *CHILD)


def test_ddl_waits_for_readers(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "select count(*) from iso")
        s.blocks("b", "alter table iso add column extra int default 7")
        s.step("a", "commit")
        assert s.join("b") == "ALTER TABLE"
        assert s.step("a", "select extra from iso where id = 1") == [(7,)]
        s.step("a", "begin")
        s.step("a", "select count(*) from iso")
        s.blocks("b", "drop table iso")
        s.step("a", "commit")
        assert s.join("b") == "DROP TABLE"
        assert s.step("a", "select count(*) from iso") == "42P01"
    both(context, body)


def test_ddl_works_on_what_it_waited_for(context):
    """Rows that were committed while ALTER TABLE waited for its lock are rewritten, filled and checked like all others."""
    def body(s):
        for alter in ("alter table iso alter v type bigint", "alter table iso add column s serial", "alter table iso add column f float default random()",
                      "alter table iso add column g int generated always as (v * 2) stored", "alter table iso alter v set not null",
                      "alter table iso add check (v < 1000)", "alter table iso add constraint iso_key unique (v)", "alter table iso add check (v is not null)"):
            s.step("a", "begin")
            s.step("a", "update iso set v = 5000 where id = 1")
            s.step("a", "delete from iso where id = 2")
            s.step("a", "insert into iso values (77, null)")
            s.blocks("b", alter)
            s.step("a", "commit")
            s.join("b")
            s.step("a", "select id, v from iso order by id")
            for column in ("s", "f", "g"):
                s.step("a", f"select count(*) from iso where {column} is null")
                s.step("a", f"alter table iso drop column if exists {column}")
            s.step("a", "delete from iso where id = 77")
            s.step("a", "update iso set v = 10 where id = 1")
            s.step("a", "insert into iso values (2, 20)")
            s.step("a", "alter table iso drop constraint if exists iso_key")
            s.step("a", "alter table iso alter v drop not null")
        s.step("a", "begin")
        s.step("a", "alter table iso alter v type text")
        s.blocks("b", "alter table iso alter tag type varchar(20)")
        s.step("a", "commit")
        assert s.join("b") == "ALTER TABLE"
        assert len(s.step("a", "select id, v from iso")) == 3
        # A snapshot from before them hides no rows from the rewriting.
        s.step("b", "begin isolation level repeatable read")
        s.step("b", "select 1 from iso_child")
        s.step("a", "insert into iso values (50, 'new')")
        assert s.step("b", "alter table iso alter tag type text") == "ALTER TABLE"
        s.step("b", "commit")
        assert len(s.step("a", "select id, v from iso")) == 4
    both(context, body, *CHILD)


def test_readers_wait_for_ddl(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "alter table iso add column extra int default 7")
        s.blocks("b", "select id, extra from iso where id = 1")
        s.step("a", "commit")
        assert s.join("b") == [(1, 7)]
        s.step("a", "begin")
        s.step("a", "truncate iso")
        s.blocks("b", "select count(*) from iso")
        s.step("a", "rollback")
        assert s.join("b") == [(3,)]
    both(context, body)


def test_table_lock_modes(context):
    """Every pair of the eight table lock modes conflicts as in PostgreSQL."""
    modes = ("access share", "row share", "row exclusive", "share update exclusive", "share", "share row exclusive", "exclusive", "access exclusive")

    def body(s):
        for mine in modes:
            for other in modes:
                s.step("a", "begin")
                s.step("a", f"lock table iso in {mine} mode")
                s.step("b", "begin")
                s.step("b", f"lock table iso in {other} mode nowait")
                s.step("b", "rollback")
                s.step("a", "rollback")
    both(context, body)


def test_index_build_waits_for_writers(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "insert into iso values (50, 50, 'x')")
        s.blocks("b", "create index iso_v on iso (v)")
        s.step("a", "commit")
        assert s.join("b") == "CREATE INDEX"
        assert s.step("b", "select id from iso where v = 50") == [(50,)]
    both(context, body)


def test_ddl_is_transactional(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "create table iso_new (a int)")
        s.step("a", "insert into iso_new values (1)")
        assert s.step("b", "select * from iso_new") == "42P01"
        s.step("a", "rollback")
        assert s.step("a", "select * from iso_new") == "42P01"
    both(context, body)


def test_what_waited_for_a_drop_finds_nothing(context):
    statements = (
        "truncate iso", "alter table iso add column w int", "alter table iso rename to iso_other", "alter table iso set schema pg_catalog",
        "create index on iso (v)", "reindex table iso", "reindex index iso_v", "alter index iso_v rename to iso_w", "drop index iso_v",
        "drop index if exists iso_v", "drop table iso", "drop table if exists iso", "analyze iso",
        "create table iso_kid (a int references iso)", "create view iso_view as select * from iso", "insert into iso values (4, 4, 'd')",
        "do_lock")

    def body(s):
        s.step("setup", "create index iso_v on iso (v)")
        s.step("a", "begin")
        s.step("a", "drop table iso")
        for i, sql in enumerate(statements):
            if sql == "do_lock":
                s.step(f"b{i}", "begin")
                sql = "lock table iso in share mode"
            s.blocks(f"b{i}", sql)
        s.step("a", "commit")
        for i in range(len(statements)):
            s.join(f"b{i}")
        s.step("a", "select 1")
    both(context, body)


def test_what_waited_for_a_rename_finds_the_new_one(context):
    def body(s):
        s.step("setup", "create table iso_fresh (id int primary key, v int)")
        s.step("setup", "insert into iso_fresh values (1, 1)")
        s.step("a", "begin")
        s.step("a", "alter table iso rename to iso_old")
        s.step("a", "alter table iso_fresh rename to iso")
        s.blocks("b", "truncate iso")
        s.blocks("c", "alter table iso add column new int")
        s.step("a", "commit")
        assert s.join("b") == "TRUNCATE TABLE"
        assert s.join("c") == "ALTER TABLE"
        assert s.step("a", "select * from iso") == []
        assert len(s.step("a", "select id, v, tag from iso_old")) == 3
        s.step("a", "drop table iso_old")
    both(context, body)


def test_a_type_goes_while_a_table_with_it_is_made(context):
    """Not compared: PostgreSQL 15 makes the table without waiting, and it is of no use then."""
    setup = ("drop table if exists iso_types, iso_late", "drop type if exists iso_mood", "create type iso_mood as enum ('sad', 'ok')",
             "create table iso_late (id int)")
    with Schedule(context.server.port, *setup) as s:
        s.step("a", "begin")
        s.step("a", "drop type iso_mood")
        s.blocks("b", "create table iso_types (m iso_mood)")
        s.blocks("c", "alter table iso_late add column m iso_mood[]")
        s.step("a", "commit")
        assert [s.join(name) for name in "bc"] == ["42704"] * 2
        s.step("b", setup[2])
        s.step("b", "begin")
        s.step("b", "create table iso_types (m iso_mood)")
        s.blocks("a", "drop type iso_mood")
        s.step("b", "commit")
        assert s.join("a") == "2BP01"
        assert s.step("a", "select * from iso_types") == []


def test_truncate_leaves_a_table_alone_that_no_longer_refers(context):
    def body(s):
        s.step("setup", "create table iso_child (id int primary key, parent int constraint to_iso references iso)")
        s.step("setup", "insert into iso_child values (1, 1), (2, 2)")
        s.step("a", "begin")
        s.step("a", "alter table iso_child drop constraint to_iso")
        s.blocks("b", "truncate iso cascade")
        s.step("a", "commit")
        assert s.join("b") == "TRUNCATE TABLE"
        assert s.step("a", "select * from iso") == []
        assert s.step("a", "select * from iso_child") == [(1, 1), (2, 2)]
    both(context, body)


def test_what_waited_for_a_change_keeps_it(context):
    """Not compared: PostgreSQL does not wait, or ends one of them with XX000."""
    with Schedule(context.server.port, *TABLE, "create index iso_v on iso (v)") as s:
        s.step("a", "begin")
        s.step("a", "alter table iso add column late int default 7")
        s.step("a", "grant select on iso to public")
        s.blocks("b", "alter index iso_v rename to iso_w")
        s.blocks("c", "grant insert on iso to public")
        s.step("a", "commit")
        assert [s.join(name) for name in "bc"] == ["ALTER INDEX", "GRANT"]
        assert s.step("a", "select late from iso where v = 10") == [(7,)]
        assert s.step("a", "select relname from pg_class where relname in ('iso_v', 'iso_w')") == [("iso_w",)]
        assert "=ar/postgres" in s.step("a", "select relacl::text from pg_class where relname = 'iso'")[0][0]


def test_a_role_goes_while_its_session_lives(context):
    with Schedule(context.server.port, "drop role if exists iso_role", "create role iso_role") as s:
        s.step("a", "set role iso_role")
        s.step("b", "drop role iso_role")
        assert s.step("a", "create schema authorization current_user") == "42704"
        assert s.step("a", "alter role current_user with createdb") == "42704"
        assert s.step("a", "select 1") == [(1,)]


def test_no_table_is_left_without_its_type(context):
    """Not compared: PostgreSQL drops the column, which is not supported."""
    setup = ("drop table if exists iso_types", "drop schema if exists iso_schema cascade", "create schema iso_schema",
             "create type iso_schema.mood as enum ('sad')", "create table iso_types (m iso_schema.mood)", "insert into iso_types values ('sad')")
    with Schedule(context.server.port, *setup) as s:
        assert s.step("a", "drop schema iso_schema cascade") == "0A000"
        assert s.step("a", "select m::text from iso_types") == [("sad",)]
        assert s.step("a", "grant select on all tables in schema pg_catalog to public") == "0A000"
        s.step("a", "drop table iso_types")
        assert s.step("a", "drop schema iso_schema cascade") == "DROP SCHEMA"


def test_a_schema_goes_while_something_is_made_in_it(context):
    def body(s):
        s.step("setup", "drop schema if exists iso_schema cascade")
        s.step("setup", "create schema iso_schema")
        s.step("a", "begin")
        s.step("a", "drop schema iso_schema")
        s.blocks("b", "create table iso_schema.t (a int)")
        s.blocks("c", "create view iso_schema.v as select 1 as one")
        s.blocks("d", "alter table iso set schema iso_schema")
        s.step("a", "commit")
        assert [s.join(name) for name in "bcd"] == ["3F000"] * 3
        s.step("b", "create schema iso_schema")
        s.step("b", "begin")
        s.step("b", "create table iso_schema.t (a int)")
        s.blocks("a", "drop schema iso_schema")
        s.step("b", "commit")
        assert s.join("a") == "2BP01"
    both(context, body)


def test_write_skew_is_allowed_below_serializable(context):
    def body(s):
        for name in "ab":
            s.step(name, "begin isolation level repeatable read")
            s.step(name, "select sum(v) from iso where id in (1, 2)")
        s.step("a", "update iso set v = v - 30 where id = 1")
        s.step("b", "update iso set v = v - 30 where id = 2")
        assert s.step("a", "commit") == "COMMIT"
        assert s.step("b", "commit") == "COMMIT"
    both(context, body)


def test_a_prepared_statement_follows_ddl(context):
    def body(s):
        s.step("a", "prepare iso_p as select * from iso where id = 1")
        assert s.step("a", "execute iso_p") == [(1, 10, "a")]
        s.step("b", "alter table iso add column late int")
        assert s.step("a", "execute iso_p") == "0A000"  # cached plan must not change result type
        s.step("b", "create index iso_tag on iso (tag)")
        s.step("a", "prepare iso_q as select v from iso where tag = 'a'")
        assert s.step("a", "execute iso_q") == [(10,)]
        s.step("b", "drop index iso_tag")
        assert s.step("a", "execute iso_q") == [(10,)]
    both(context, body)


def test_lost_connection_rolls_back(context):
    def body(s):
        s.step("a", "begin")
        s.step("a", "update iso set v = 0 where id = 1")
        s.sessions.pop("a").close()
        assert s.step("b", "update iso set v = v + 1 where id = 1 returning v") == [(11,)]
    both(context, body)

