"""Damage on disk as operators meet it: what statements, `rustbd check`, `rustbd log` and the next start say and do."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.request

import harness

POSITION = r"[0-9A-F]+/[0-9A-F]+"  # in the log
PLAIN = {"RUSTBD_STORAGE_COMPRESSION": "none"}  # the test looks for the text of a row


def rustbd(*arguments, env=None):
    return subprocess.run([harness.binary(), *map(str, arguments)], capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})})


def flip_behind(path, text: bytes, every=True):
    """Turns a bit of the byte before `text`, wherever it stands in the file. How many times."""
    content = path.read_bytes()
    at, count = content.find(text), 0
    with open(path, "r+b") as file:
        while at >= 0:
            file.seek(at)
            file.write(bytes([content[at] ^ 2]))
            count += 1
            at = content.find(text, at + 1) if every else -1
    return count


def test_one_table_is_hurt_the_others_work(context):
    with harness.Rustbd(None, "--log-level", "warning", env=PLAIN) as server:
        server.sql("create table hurt (i int primary key, t text); create index hurt_t on hurt (t)")
        server.sql("create table sound (i int primary key, t text)")
        server.sql("insert into hurt select g, 'row' || g || repeat('.', 50) from generate_series(1, 5000) g")
        server.sql("insert into sound select g, 'fine' || g from generate_series(1, 5000) g")
        server.stop()
        assert flip_behind(server.data / "rustbd.db", b"row2500.") >= 1  # in the table and in its index
        server.start()
        said = server.refusal("select count(*), max(t) from hurt")
        page = re.search(r'XX001: page (\d+) of table "public\.hurt" is damaged', said)
        assert page, said
        assert f' UTC error a statement failed: XX001: page {page[1]} of table "public.hurt" is damaged\n' in server.log(), server.log()
        assert "42P01" in server.refusal("select * from no_such_table") and "no_such_table" not in server.log()
        for _ in range(100):
            server.refusal("select count(*), max(t) from hurt")
        assert server.log().count("a statement failed: XX001") <= 60, "30 in a minute"
        assert server.sql("select count(*), max(i) from sound") == "5000|5000"
        server.sql("update sound set t = t || '!'; checkpoint")
        assert server.sql("select i from hurt where i = 1") == "1"
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{server.http}/metrics", timeout=30).read().decode()
        assert re.search(r"^rustbd_checksum_failures_total [1-9]", metrics, re.M), "the metric does not count"
        server.stop()
        fast, deep = rustbd("check", "--data", server.data), rustbd("check", "--deep", "--format", "json", "--data", server.data)
        assert fast.returncode == 4 and f"page {page[1]}: " in fast.stdout, fast
        report = json.loads(deep.stdout)
        assert deep.returncode == 4 and not report["ok"] and report["mode"] == "deep", deep
        assert f'table "public.hurt": page {page[1]}: cannot be read' in report["findings"], report
        assert not [f for f in report["findings"] if "sound" in f], report
        server.start()
        server.sql("drop table hurt")
        assert server.sql("select count(*) from sound") == "5000"


def test_an_index_is_built_anew(context):
    key = hashlib.md5(b"15000").hexdigest()
    with harness.Rustbd(env=PLAIN) as server:
        server.sql("create table t (i int primary key, k text)")
        server.sql("insert into t select g, md5(g::text) from generate_series(1, 20000) g")
        server.sql("create unique index t_k on t (k desc)")
        server.sql("analyze t")
        server.stop()
        # Behind what the keys of a page have in common. Bytes of descending keys are inverted: the table has them not.
        assert flip_behind(server.data / "rustbd.db", bytes(255 - b for b in key[8:].encode())) >= 1
        server.start()
        look = f"select i from t where k = '{key}'"
        assert 'of index "public.t_k" is damaged' in server.refusal(look)
        assert server.sql(f"select i from t where k || '' = '{key}'") == "15000"
        server.sql("begin; reindex index t_k; rollback")
        assert "XX001" in server.refusal(look), "the old index is there again"
        server.sql("reindex index t_k")
        assert server.sql(look) == "15000"
        server.kill()
        server.start()
        assert server.sql(look) == "15000"
        server.stop()
        checked = rustbd("check", "--deep", "--data", server.data)
        assert checked.returncode == 0 and "no damage found" in checked.stdout, checked
        assert flip_behind(server.data / "rustbd.db", bytes(255 - b for b in key[8:].encode())) >= 1
        repaired = rustbd("check", "--repair", "--data", server.data)
        assert repaired.returncode == 0 and 'repaired: index "public.t_k": was damaged and is built anew' in repaired.stdout, repaired
        server.start()
        assert server.sql(look) == "15000"


def test_a_table_is_made_anew_from_the_log(context):
    """`check --repair`: where the kept log has every row of the page. Where it has not, the page stays what it is."""
    with harness.Rustbd(env={**PLAIN, "RUSTBD_WAL_RETENTION": "1d"}) as server:
        server.sql("create table t (i int primary key, t text); create index t_t on t (t)")
        server.sql("insert into t select g, 'row' || g || repeat('.', 50) from generate_series(1, 5000) g")
        server.sql("alter table t add column c int default 7; update t set c = i where i % 10 = 0; delete from t where i % 1000 = 1")
        before = server.sql("select count(*), md5(string_agg(t::text, ',' order by i)) from t")
        server.stop()
        assert flip_behind(server.data / "rustbd.db", b"row2500.") >= 1  # in the table and in its index
        assert rustbd("check", "--deep", "--data", server.data).returncode == 4
        done = subprocess.run([harness.binary(), "check", "--repair", "--format", "json", "--data", server.data],
                              capture_output=True, text=True, timeout=300, env={**os.environ, **server.env})
        report = json.loads(done.stdout)
        assert done.returncode == 0 and report["ok"] and report["mode"] == "repair", done
        assert any(re.match(r'table "public\.t": page \d+ was damaged; its \d+ rows were made anew from the log', line)
                   for line in report["repaired"]), report
        server.start()
        assert server.sql("select count(*), md5(string_agg(t::text, ',' order by i)) from t") == before
        assert server.sql("select i from t where t like 'row2500.%'") == "2500"
        server.sql("insert into t values (9001, 'and on'); checkpoint")
        server.stop()
        assert rustbd("check", "--deep", "--data", server.data).returncode == 0
    with harness.Rustbd(env={**PLAIN, "RUSTBD_WAL_SEGMENT_SIZE": "1MiB"}) as server:
        server.sql("create table t (i int primary key, t text)")
        server.sql("insert into t select g, 'row' || g || repeat('.', 50) from generate_series(1, 5000) g")
        for _ in range(4):  # the log's files are used again
            server.sql("create table other as select repeat(g::text, 10) from generate_series(1, 20000) g; drop table other; checkpoint")
        server.stop()
        assert flip_behind(server.data / "rustbd.db", b"row2500.") >= 1
        done = rustbd("check", "--repair", "--data", server.data)
        assert done.returncode == 4, done
        assert re.search(r"page \d+ is damaged and cannot be made anew from the log: row \d+ is older than the log that is kept", done.stdout), done
        server.start()
        assert "XX001" in server.refusal("select count(*), max(t) from t")
        assert server.sql("select i from t where i = 1") == "1"
        assert rustbd("check", "--repair", "--data", server.data).returncode == 1, "a server has the directory"


def test_an_index_on_an_expression_is_built_anew(context):
    """Only a session can make its keys: `check --repair` sets it aside with its table's page, and then has one."""
    key = hashlib.md5(b"2500").hexdigest().upper()
    with harness.Rustbd(env={**PLAIN, "RUSTBD_WAL_RETENTION": "1d"}) as server:
        server.sql("create table t (i int primary key, t text, m text); create index t_upper on t (upper(m)); create index t_even on t (t) where i % 2 = 0")
        server.sql("insert into t select g, 'row' || g || repeat('.', 50), md5(g::text) from generate_series(1, 5000) g; analyze t")
        server.stop()
        for needle in (b"row2500.", key[8:].encode()):  # a page of the table; then of an index alone
            assert flip_behind(server.data / "rustbd.db", needle) >= 1
            done = subprocess.run([harness.binary(), "check", "--repair", "--data", server.data], capture_output=True, text=True, timeout=300,
                                  env={**os.environ, **server.env})
            assert done.returncode == 0 and "repaired: index public.t_upper: was damaged and is built anew" in done.stdout, done
            assert ("rows were made anew from the log" in done.stdout) == (needle == b"row2500."), done
            assert "set aside" not in done.stdout, done
        server.start()
        assert server.sql("select count(*), min(t) from t where upper(m) = '" + key + "'") == "1|row2500" + "." * 50
        server.sql("insert into t values (9001, 'x', 'y'); delete from t where i = 1")
        server.stop()
        assert rustbd("check", "--deep", "--data", server.data).returncode == 0


def test_the_check_computes_keys(context):
    """It has the session for it that the tests of the check itself bring along, and says so where it has none."""
    def deep(*changes):
        for change in changes:
            server.sql(change)
        server.stop()
        checked = rustbd("check", "--deep", "--data", server.data)
        return checked.returncode, checked.stdout
    with harness.Rustbd() as server:
        server.sql("create type mood as enum ('sad', 'ok'); create table t (i int primary key, m mood); create index t_sad on t (i) where m = 'sad'")
        code, said = deep("insert into t select g, case when g % 2 = 0 then 'sad'::mood else 'ok' end from generate_series(1, 1000) g")
        assert code == 0 and "warning" not in said, said
        server.start()
        code, said = deep("alter type mood rename value 'sad' to 'low'")
        assert code == 4 and 'index "public.t_sad": its keys cannot be computed' in said, said
        server.start()
        code, said = deep("create role other superuser login", "alter role postgres nologin")
        assert code == 0 and "warning: keys of indexes with expressions or a predicate were not verified" in said, said


def test_a_start_builds_an_index_on_an_expression_anew(context):
    """It has an entry to write to a bad page of it; the keys come from a session, before clients may come."""
    key = hashlib.md5(b"15000").hexdigest().upper()
    with harness.Rustbd(env=PLAIN) as server:
        server.sql('create schema "Odd one"; create table "Odd one".t (i int primary key, k text); create index "T upper" on "Odd one".t (upper(k))')
        server.sql('insert into "Odd one".t select g, md5(g::text) from generate_series(1, 20000) g')
        server.stop()  # so that no undo has the key too
        server.start()
        server.sql("""delete from "Odd one".t where i = 15000; insert into "Odd one".t values (20001, 'x')""")
        server.kill()
        assert flip_behind(server.data / "rustbd.db", key[8:].encode()) >= 1
        server.start()
        assert "changes of it had to be left out: REINDEX makes it usable again" in server.log()
        assert 'index "Odd one"."T upper": was damaged and is built anew' in server.log()
        assert server.sql('select count(*), max(i) from "Odd one".t') == "20000|20001"
        server.sql("""insert into "Odd one".t values (20002, 'y')""")
        look = """select count(*) from "Odd one".t where upper(k) in ('X', 'Y', '%s')""" % key
        assert server.sql(look) == "2"
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{server.http}/metrics", timeout=30).read().decode()
        assert re.search(r"^rustbd_trees_set_aside 0", metrics, re.M), "it is set aside no more"
        server.kill()
        server.start()
        assert "built anew" not in server.log().split("opened data=")[-1], "once is enough"
        assert server.sql(look) == "2"
        server.sql('reindex index "Odd one"."T upper"')
        assert 'schema "nowhere" does not exist' in server.refusal('reindex index nowhere."T upper"')
        server.stop()
        assert rustbd("check", "--deep", "--data", server.data).returncode == 0


def test_a_table_is_set_aside(context):
    """A start that cannot bring a change in goes without the table, and only without it."""
    with harness.Rustbd(env={**PLAIN, "RUSTBD_WAL_SEGMENT_SIZE": "1MiB"}) as server:
        server.sql("create table sound (i int primary key); insert into sound select generate_series(1, 100)")
        server.sql("create table hurt (i int primary key, k int, t text); create index on hurt (k)")
        server.sql("insert into hurt select g, g, 'row' || g || repeat('.', 50) from generate_series(1, 5000) g")
        for _ in range(4):  # the log's files are used again
            server.sql("create table other as select repeat(g::text, 10) from generate_series(1, 20000) g; drop table other; checkpoint")
        server.sql("update hurt set k = -1 where i = 2500; insert into sound values (101)")
        server.kill()
        assert flip_behind(server.data / "rustbd.db", b"row2500.") >= 1
        server.start()
        assert "is damaged, and changes of it had to be left out: the table is set aside" in server.log()
        for sql in ("select count(*) from hurt", "select i from hurt where k = -1", "select i from hurt where i = 1",
                    "insert into hurt values (9999, 1, 'x')", "create index on hurt (t)"):
            assert re.search(r'XX001: page \d+ of table "public\.hurt" is damaged', server.refusal(sql)), sql
        assert server.sql("select count(*) from sound") == "101"
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{server.http}/metrics", timeout=30).read().decode()
        assert re.search(r"^rustbd_trees_set_aside 1", metrics, re.M), "the metric does not count"
        server.stop()
        checked = rustbd("check", "--deep", "--data", server.data)
        assert checked.returncode == 4 and 'table "public.hurt": page' in checked.stdout, checked
        server.start()
        assert "XX001" in server.refusal("select i from hurt where i = 1"), "it is still set aside"
        server.sql("truncate hurt; insert into hurt values (1, 1, 'new')")
        assert server.sql("select * from hurt") == "1|1|new"
        server.stop()
        assert rustbd("check", "--repair", "--data", server.data).returncode == 0
        server.start()
        assert server.sql("select * from hurt where k = 1") == "1|1|new"


def test_log_dump(context):
    with harness.Rustbd() as server:
        server.sql("create table money (id int primary key, amount numeric, note text)")
        server.sql("insert into money values (1, 12.50, 'first'), (2, null, 'zweite Zeile \"x\"')")
        server.sql("update money set amount = 13.75 where id = 1")
        server.sql("delete from money where id = 2")
        live = rustbd("log", "dump", "--data", server.data, "--table", "public.money")
        assert live.returncode == 0, live  # read-only on a running one
        server.kill()
        text = rustbd("log", "dump", "--data", server.data)
        assert text.returncode == 0, text
        assert 'INSERT public.money row 1 id="1", amount="12.50", note="first"' in text.stdout, text.stdout[-3000:]
        assert re.search(r'UPDATE public.money row 1 from amount="12.50" to amount="13.75"', text.stdout), text.stdout[-3000:]
        assert re.search(r'DELETE public.money row 2 had id="2", amount=null', text.stdout), text.stdout[-3000:]
        assert "the log ends at" in text.stdout
        lines = [json.loads(line) for line in rustbd("log", "dump", "--data", server.data, "--format", "json", "--table", "money").stdout.splitlines()]
        assert [e["op"] for b in lines[:-1] for e in b["events"]] == ["INSERT", "INSERT", "UPDATE", "DELETE"], lines
        update = lines[1]
        assert update["events"][0]["after"] == {"amount": "13.75"} and update["kind"] == "COMMIT" and update["txid"] > 0, update
        part = rustbd("log", "dump", "--data", server.data, "--format", "json", "--table", "money", "--from", update["lsn"], "--to", update["end"])
        assert [json.loads(line)["lsn"] for line in part.stdout.splitlines()] == [update["lsn"]], part
        assert rustbd("log", "dump", "--data", server.data, "--from", "nonsense").returncode == 1
        none = rustbd("log", "dump", "--data", server.data, "--table", "mony")
        assert none.returncode == 0 and 'nothing that was read is of a table "mony"' in none.stderr and "table" not in part.stderr, (none, part)


def test_damage_in_the_middle_of_the_log(context):
    with harness.Rustbd(env={"RUSTBD_WAL_SEGMENT_SIZE": "1MiB"}) as server:
        server.sql("create table t (i int, t text)")
        for i in range(6):
            server.sql(f"insert into t values ({i}, 'entry number {i} of the log')")
        assert server.sql("select count(*) from t") == "6"
        server.kill()
        hit = [s for s in sorted((server.data / "wal").iterdir()) if flip_behind(s, b"entry number 3 of", every=False)]
        assert len(hit) == 1, hit
        server.start(wait=False)
        assert server.process.wait(60) != 0
        said = server.log()
        place = re.search(rf"log damaged at ({POSITION})", said)
        assert place and "log truncate" in said and "backup" in said, said[-2000:]
        dump = rustbd("log", "dump", "--data", server.data)
        assert dump.returncode == 4 and f"log damaged at {place[1]}" in dump.stdout and "a start refuses" in dump.stdout, dump
        assert rustbd("check", "--data", server.data).returncode == 4
        before = {p: p.read_bytes() for p in server.data.rglob("*") if p.is_file()}
        told = rustbd("log", "truncate", "--data", server.data, "--at", place[1])
        assert told.returncode == 0 and told.stdout.count("drops ") >= 2 and "nothing was changed" in told.stdout, told
        assert before == {p: p.read_bytes() for p in server.data.rglob("*") if p.is_file()}
        assert rustbd("log", "truncate", "--data", server.data, "--at", f"0/{int(place[1][2:], 16) + 8:X}", "--drop").returncode == 1
        done = rustbd("log", "truncate", "--data", server.data, "--at", place[1], "--drop")
        assert done.returncode == 0 and "the log ends at" in done.stdout, done
        server.start()
        assert server.sql("select string_agg(i::text, ',' order by i) from t") == "0,1,2"
        server.sql("insert into t values (9, 'and on')")
        server.stop()
        assert rustbd("check", "--deep", "--data", server.data).returncode == 0


def test_a_cut_log_is_another_one(context):
    """What `log truncate` gives up comes back from no archive, and what comes after it is not lost silently."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        for name in ("archive", "second"):
            (top / name).mkdir()
        with harness.Rustbd(top / "data", env={"RUSTBD_WAL_SEGMENT_SIZE": "1MiB", "RUSTBD_WAL_ARCHIVE_TO": str(top / "archive")}) as server:
            server.sql("create table t (i int, t text)")
            rustbd("backup", "--to", top / "backup", "-h", "127.0.0.1", "-p", server.port, "-U", "postgres")
            server.sql("insert into t values (1, 'kept')")
            seen = [None]

            def idle():  # the position lies behind the PAD of an idle log then
                seen.append(server.sql("select pg_current_wal_lsn()"))
                return seen[-1] == seen[-2]

            harness.wait_until(idle, "an idle log")
            at = seen[-1]
            for _ in range(3):
                server.sql("insert into t select i, repeat(md5(i::text), 4) from generate_series(1, 10000) i")
            harness.wait_until(lambda: len(list((top / "archive").glob("*.wal"))) >= 2, "segments in the archive")
            server.kill()
            cut = ["log", "truncate", "--data", server.data, "--at", at, "--drop"]
            refused = rustbd(*cut, env=server.env)
            assert refused.returncode == 1 and "the archive" in refused.stderr and "new directory" in refused.stderr, refused
            server.env["RUSTBD_WAL_ARCHIVE_TO"] = str(top / "second")
            done = rustbd(*cut, env=server.env)
            assert done.returncode == 0 and "full backup" in done.stdout, done
            server.start()
            assert server.sql("select string_agg(t, ',') from t") == "kept"
            server.sql("insert into t select i, repeat(md5(i::text), 4) from generate_series(1, 10000) i")
            server.sql("insert into t values (2, 'after')")
            server.kill()
        restore = ["restore", "--from", top / "backup", "--to", top / "r", "--archive"]
        refused = rustbd(*restore, top / "data/wal")
        assert refused.returncode == 1 and "another log" in refused.stderr, refused
        done = rustbd(*restore, top / "archive", "--target-lsn", at)
        assert done.returncode == 0, done
        with harness.Rustbd(top / "r") as server:
            assert server.sql("select string_agg(t, ',') from t") == "kept"
    finally:
        shutil.rmtree(top, ignore_errors=True)


def lose_a_segment(lose, name, place_of, **settings):
    """A server that has five segments of log is killed, `lose` damages one: refused, named by the check, given up by truncate."""
    with harness.Rustbd(env={"RUSTBD_WAL_SEGMENT_SIZE": "1MiB", **settings}) as server:
        server.sql("create table t (i int, t text)")
        wal, rounds, more = server.data / "wal", 0, 3
        while more:
            more -= len(list(wal.glob("*.wal"))) == 5
            server.sql(f"insert into t select g, repeat('x', 90) from generate_series({rounds * 1000 + 1}, {rounds * 1000 + 1000}) g")
            rounds += 1
        server.kill()
        lose(wal)
        server.start(wait=False)
        assert server.process.wait(60) != 0, "it starts without a part of the log"
        said = server.log()
        place = re.search(place_of, said)
        assert place and name in said and "log truncate" in said, said[-2000:]
        for mode in ("--fast", "--deep"):
            checked = rustbd("check", mode, "--data", server.data)
            assert checked.returncode == 4 and name in checked.stdout and not checked.stderr, checked
        dump = rustbd("log", "dump", "--data", server.data)
        assert dump.returncode == 4 and name in dump.stdout and "PANIC" not in dump.stderr, dump
        done = rustbd("log", "truncate", "--data", server.data, "--at", place[1], "--drop")
        assert done.returncode == 0 and "the log ends at" in done.stdout, done
        server.start()
        count, last = server.sql("select count(*), max(i) from t").split("|")
        assert count == last and 0 < int(count) < rounds * 1000 and int(count) % 1000 == 0, (count, last, rounds)
        server.sql("insert into t values (-1, 'and on')")
        server.kill()
        server.start()
        assert server.sql("select count(*) from t") == str(int(count) + 1)
        server.stop()
        assert rustbd("check", "--deep", "--data", server.data).returncode == 0


def test_a_segment_of_the_log_is_missing(context):
    """Those behind it have been prepared only: nothing but the gap tells that it was there."""
    lose_a_segment(lambda wal: (wal / f"{2 << 20:020}.wal").unlink(), f"segment {2 << 20:020}.wal is missing", rf"log damaged at ({POSITION})")


def test_a_segment_of_the_log_is_cut_short(context):
    """No error of the disk, which a later start might be spared."""
    for number, size in ((1, 100_000), (2, 100_000), (2, 0)):
        name = f"{number << 20:020}.wal"
        lose_a_segment(lambda wal: os.truncate(wal / name, size), f"segment {name} is cut short, it has {size} bytes", rf"log damaged at ({POSITION}): segment")


def test_the_segment_of_the_checkpoint_has_lost_its_header(context):
    """Examined without a PANIC; the log is restarted at the checkpoint, whose state is all that is left."""
    def flip(path):
        with open(path, "r+b") as file:
            file.seek(10)
            file.write(bytes([path.read_bytes()[10] ^ 4]))
    for lose, why in ((flip, "has no good header"), (lambda path: path.unlink(), "is missing"),
                      (lambda path: os.truncate(path, 0), "is cut short")):
        with harness.Rustbd(env={"RUSTBD_WAL_SEGMENT_SIZE": "1MiB", "RUSTBD_WAL_RETENTION": "1h"}) as server:
            for sql in ("create table t (i int)", "insert into t values (1)", "checkpoint", "insert into t values (2)"):
                server.sql(sql)
            server.kill()
            first = sorted((server.data / "wal").glob("*.wal"))[0]
            lose(first)
            server.start(wait=False)
            assert server.process.wait(60) != 0
            place = re.search(rf"log damaged at ({POSITION}): segment {first.name} {why}", server.log())
            assert place, server.log()[-2000:]
            for mode in ("--fast", "--deep"):
                checked = rustbd("check", mode, "--data", server.data)
                assert checked.returncode == 4 and f"{first.name} {why}" in checked.stdout and not checked.stderr, checked
            dump = rustbd("log", "dump", "--data", server.data)
            assert dump.returncode == 4 and f"{first.name} {why}" in dump.stdout and "PANIC" not in dump.stderr, dump
            told = rustbd("log", "truncate", "--data", server.data, "--at", place[1])
            assert told.returncode == 0 and "cannot be listed" in told.stdout, told
            done = rustbd("log", "truncate", "--data", server.data, "--at", place[1], "--drop")
            assert done.returncode == 0 and "the log ends at" in done.stdout, done
            server.start()
            assert server.sql("select string_agg(i::text, ',') from t") == "1"
            server.sql("insert into t values (3)")
            server.kill()
            server.start()
            assert server.sql("select string_agg(i::text, ',') from t") == "1,3"
            server.sql("checkpoint")
            server.stop()
            assert rustbd("check", "--deep", "--data", server.data).returncode == 0


def test_the_log_that_only_retention_or_a_consumer_keeps(context):
    """It is dumped, with the layouts of its time, and verified; a start does not need it."""
    for settings, by_consumer in (({"RUSTBD_WAL_RETENTION": "1h"}, False), ({}, True)):
        with harness.Rustbd(env={"RUSTBD_WAL_SEGMENT_SIZE": "1MiB", **settings}) as server:
            if by_consumer:
                server.sql("select rustbd_create_log_consumer('reader')")
            for sql in ("create table t (i int, t text)", "insert into t values (1, 'an early row')", "alter table t add column k int default 4",
                        "insert into t values (2, 'a wider row', 5)",
                        "insert into t select g, repeat('x', 90), 6 from generate_series(1, 30000) g", "checkpoint"):
                server.sql(sql)
            server.stop()
            wal = server.data / "wal"
            dump = rustbd("log", "dump", "--data", server.data)
            assert dump.returncode == 0 and 'INSERT public.t row 1 i="1", t="an early row"\n' in dump.stdout, dump.stdout[:3000]
            assert 'i="2", t="a wider row", k="5"' in dump.stdout and dump.stdout.count(" row ") > 30000
            lines = [json.loads(x) for x in rustbd("log", "dump", "--data", server.data, "--format", "json", "--table", "t").stdout.splitlines()]
            part = rustbd("log", "dump", "--data", server.data, "--from", lines[1]["lsn"], "--to", lines[1]["end"])
            assert "a wider row" in part.stdout and "an early row" not in part.stdout, part
            early = rustbd("log", "dump", "--data", server.data, "--from", "0/100")
            assert early.returncode == 1 and "the log that is there begins at 0/" in early.stderr, early
            assert rustbd("check", "--data", server.data).returncode == 0
            assert flip_behind(wal / f"{0:020}.wal", b"a wider row") == 1
            for mode in ("--fast", "--deep"):
                checked = rustbd("check", mode, "--data", server.data)
                assert checked.returncode == 4 and re.search(r"log before 0/[0-9A-F]+, which no start needs: log damaged", checked.stdout), checked
            dump = rustbd("log", "dump", "--data", server.data)
            assert dump.returncode == 4 and "an early row" in dump.stdout and "on only" in dump.stdout and "the log ends at" in dump.stdout, dump
            server.start()
            assert server.sql("select count(*) from t") == "30002"
            server.stop()
            if by_consumer:
                (wal / f"{0:020}.wal").unlink()
                checked = rustbd("check", "--data", server.data)
                assert checked.returncode == 4 and "a consumer needs it from 0/" in checked.stdout, checked
