"""Backups under load, restored to random moments: every table is what a model says of that moment. Full and incremental, by position
and by time, plain and sealed; damage is found by `verify` and by `restore`; kill -9 in the middle of a backup leaves a running database
and a directory that is known to be unfinished.

RUSTBD_BACKUP_SEED chooses the moments (printed on failure).
"""
import datetime
import hashlib
import os
import pathlib
import random
import secrets
import shutil
import subprocess
import tempfile
import threading
import time

import psycopg2

import harness

CLIENTS, ACCOUNTS, TELLERS = 4, 2000, 10
SEED = int(os.environ.get("RUSTBD_BACKUP_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
TABLES = {"account": "id, balance", "teller": "id, balance", "branch": "id, balance", "history": "id, account, teller, delta"}


def rustbd(*arguments, env=None, code=0) -> str:
    done = subprocess.run([harness.binary(), *map(str, arguments)], capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})})
    assert done.returncode == code, f"rustbd {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def backup(server, to, *options):
    return rustbd("backup", "--to", to, "-h", "127.0.0.1", "-p", server.port, "-U", "postgres", *options)


class Load:
    """TPC-B: each transaction adds one delta to an account, a teller and the branch, and notes it in the history."""

    def __init__(self, server, seed: int):
        self.server, self.seed = server, seed
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.sent, self.acknowledged, self.next_id, self.failures = {}, {}, 0, []  # id: (row of the history, time), id: time
        server.sql("create table account (id int primary key, balance bigint not null, filler text); "
                   "create table teller (id int primary key, balance bigint not null); create table branch (id int primary key, balance bigint not null); "
                   "create table history (id int primary key, account int, teller int, delta int); "
                   f"insert into account select i, 0, repeat(md5(i::text), 8) from generate_series(1, {ACCOUNTS}) i; "
                   f"insert into teller select i, 0 from generate_series(1, {TELLERS}) i; insert into branch values (1, 0)")

    def client(self, number: int):
        rng = random.Random(self.seed * 100 + number)
        try:
            connection = psycopg2.connect(host="127.0.0.1", port=self.server.port, user="postgres", dbname="postgres")
            cursor = connection.cursor()
            while not self.stopping.is_set():
                with self.lock:
                    self.next_id += 1
                    row = (self.next_id, rng.randint(1, ACCOUNTS), rng.randint(1, TELLERS), rng.randint(-1000, 1000))
                cursor.execute("update account set balance = balance + %s where id = %s", (row[3], row[1]))
                cursor.execute("update teller set balance = balance + %s where id = %s", (row[3], row[2]))
                cursor.execute("update branch set balance = balance + %s where id = 1", (row[3],))
                cursor.execute("insert into history values (%s, %s, %s, %s)", row)
                with self.lock:
                    self.sent[row[0]] = (row, time.time())
                connection.commit()
                with self.lock:
                    self.acknowledged[row[0]] = time.time()
        except psycopg2.Error as e:
            if not self.stopping.is_set():
                self.failures.append(str(e))

    def __enter__(self):
        self.threads = [threading.Thread(target=self.client, args=(n,)) for n in range(CLIENTS)]
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self.threads:
            t.join()

    def more(self, transactions: int):
        goal = len(self.acknowledged) + transactions
        harness.wait_until(lambda: self.failures or len(self.acknowledged) >= goal, f"{transactions} more transactions")
        assert not self.failures, self.failures

    def moment(self):
        """(position, its time, acknowledged before it, sent before it) of now."""
        before = time.time()
        position = self.server.sql("select pg_current_wal_lsn()")
        after = time.time()
        with self.lock:
            surely = {i for i, at in self.acknowledged.items() if at < before}
            maybe = {i for i, (_, at) in self.sent.items() if at <= after}
        return position, surely, maybe

    def at(self, when: float):
        with self.lock:
            return {i for i, at in self.acknowledged.items() if at < when}, {i for i, (_, at) in self.sent.items() if at <= when}

    def digests(self, ids) -> dict:
        """What the tables hold after these transactions and no others."""
        rows = [self.sent[i][0] for i in sorted(ids)]
        account, teller = dict.fromkeys(range(1, ACCOUNTS + 1), 0), dict.fromkeys(range(1, TELLERS + 1), 0)
        for _, a, t, delta in rows:
            account[a] += delta
            teller[t] += delta
        tables = {"account": account.items(), "teller": teller.items(), "branch": [(1, sum(r[3] for r in rows))], "history": rows}
        return {name: digest("\n".join("|".join(map(str, row)) for row in content)) for name, content in tables.items()}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check_restored(load, data, surely, maybe, what, env):
    assert load.acknowledged, "the load did nothing"
    with harness.Rustbd(data, env=env) as server:
        found = {int(i) for i in server.sql("select id from history").split()}
        assert surely <= found, f"{what}: {len(surely - found)} transactions that were acknowledged before are missing"
        assert found <= maybe, f"{what}: {len(found - maybe)} transactions that were sent later are there"
        expected = load.digests(found)
        for table, columns in TABLES.items():
            assert digest(server.sql(f"select {columns} from {table} order by id")) == expected[table], f"{what}: {table} is not the model's"
        # It is a database like any other.
        server.sql("update account set balance = balance + 1 where id = 1; checkpoint")
        server.kill()
        server.start()
        assert int(server.sql("select balance from account where id = 1")) == int(server.sql(
            "select coalesce(sum(delta), 0) + 1 from history where account = 1"))
    rustbd("check", "--deep", "--data", data, env=env)


def instant(when: float) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.timezone.utc).isoformat()


def backup_under_load(top: pathlib.Path, secret_env: dict):
    rng = random.Random(SEED)
    archive = top / "archive"
    archive.mkdir()
    env = {"RUSTBD_WAL_ARCHIVE_TO": str(archive), "RUSTBD_WAL_SEGMENT_SIZE": "1MiB", **secret_env}
    with harness.Rustbd(top / "data", env=env) as server:
        load = Load(server, SEED)
        with load:
            load.more(100)
            backup(server, top / "full", "--compress", rng.choice(("zstd", "lz4", "none")))
            load.more(rng.randint(50, 400))
            position, *between = load.moment()
            load.more(rng.randint(50, 400))
            server.sql("checkpoint")
            backup(server, top / "second", "--incremental-from", top / "full")
            load.more(rng.randint(50, 400))
            first = time.time()
            load.more(rng.randint(50, 400))
            before = time.time()
            server.sql("select rustbd_create_restore_point('here')")
            named = load.at(before)[0], load.at(time.time())[1]
            load.more(rng.randint(50, 300))
            load.stopping.set()
            server.kill()  # what the archive lacks is in wal/ only
        server.start()
        harness.wait_until(lambda: len(list(archive.glob("*.wal"))) >= 1, "segments in the archive")
        server.sql("create table later as select 1 as one")  # this start's key has sealed it, and is in the data directory alone
        server.kill()
    logs = ["--archive", archive, "--archive", top / "data/wal"]
    moments = [
        ("a position behind the full backup", top / "full", ["--to-lsn", position], between),
        ("a time behind the incremental backup", top / "second", ["--to-time", instant(first)], load.at(first)),
        ("a restore point", top / "second", ["--to-name", "here"], named),
        ("the end", top / "second", [], (set(load.acknowledged), set(load.sent))),
    ]
    for number, (what, source, target, (surely, maybe)) in enumerate(moments):
        rustbd("restore", "--from", source, "--to", top / f"r{number}", *logs, *target, env=secret_env)
        check_restored(load, top / f"r{number}", surely, maybe, what, secret_env)
        with harness.Rustbd(top / f"r{number}", env=secret_env) as server:
            assert server.sql("select count(*) from pg_tables where tablename = 'later'") == ("1" if what == "the end" else "0"), what


def with_directory(run, *arguments):
    top = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        return run(top, *arguments)
    except AssertionError as e:
        raise AssertionError(f"RUSTBD_BACKUP_SEED={SEED}: {e}") from e
    finally:
        shutil.rmtree(top, ignore_errors=True)


def test_under_load(context):
    with_directory(backup_under_load, {})


def test_under_load_sealed(context):
    with_directory(backup_under_load, {"RUSTBD_ENCRYPTION_ENABLED": "true", "RUSTBD_ENCRYPTION_KEY_SOURCE": "env:MASTER", "MASTER": secrets.token_hex(32)})


def damage_and_refusals(top: pathlib.Path):
    with harness.Rustbd(top / "data") as server:
        server.sql("create table t (a int, b text); insert into t select i, md5(i::text) from generate_series(1, 20000) i")
        assert "restorable from" in backup(server, top / "full")
        assert server.sql("select value > 0 from rustbd_metrics where name = 'rustbd_last_backup_timestamp_seconds'") == "t"
        assert server.sql("select state, incremental_from is null from rustbd_backups") == "done|t"
        backup(server, top / "next", "--incremental-from", top / "full")
        listed = rustbd("backup", "list", top)
        assert " full " in listed and " since " in listed, listed
        assert "not empty" in rustbd("backup", "--to", top / "full", "-h", "127.0.0.1", "-p", server.port, code=1)
        server.sql("create role mere login")
        refused = subprocess.run([harness.binary(), "backup", "--to", top / "x", "-h", "127.0.0.1", "-p", str(server.port), "-U", "mere"],
                                 capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1 and "42501" in refused.stderr, refused
    rustbd("backup", "verify", top / "next")
    for flag in ("--to-time", "--to-lsn", "--to-name", "--target-time", "--archive"):  # a variable that is not set
        assert "empty" in rustbd("restore", "--from", top / "next", "--to", top / "unset", flag, "", code=2), flag
        assert not (top / "unset").exists(), flag
    (top / "nothing").mkdir()
    for directory, hint in ((top / "data", f'meant "{top}/data/wal"'), (top / "nothing", f'segments in "{top}/nothing"')):
        assert hint in rustbd("restore", "--from", top / "next", "--to", top / "unset", "--archive", directory, code=1), directory
        assert not (top / "unset").exists(), directory
    assert "not an empty directory" in rustbd("restore", "--from", top / "next", "--to", top / "data", code=1)
    rustbd("restore", "--from", top / "next", "--to", top / "dry", "--dry-run")
    assert not (top / "dry").exists()
    rustbd("restore", "--from", top / "full", "--to", top / "f", "--target-time", "2000-01-01", code=1)
    rustbd("restore", "--from", top / "full", "--to", top / "g", "--target-time", "2100-01-01", code=1)
    for moment in ("infinity", "-infinity"):
        assert "is no moment" in rustbd("restore", "--from", top / "full", "--to", top / "h", "--to-time", moment, code=1)
    (top / "full").rename(top / "moved")  # beside the other one it is found
    rustbd("backup", "verify", top / "next")
    rng = random.Random(SEED)
    for directory, name in (("moved", "pages"), ("moved", "extents"), ("next", "log"), ("next", "manifest.json")):
        path = top / directory / name
        content = path.read_bytes()
        at = rng.randrange(len(content)) if name != "manifest.json" else content.index(b"end_lsn") + 12
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
        which = "next" if name != "extents" else "moved"
        assert "damaged" in rustbd("backup", "verify", top / which, code=4), f"{path} byte {at}"
        rustbd("restore", "--from", top / which, "--to", top / f"bad-{directory}-{name}", code=4)
        if name == "manifest.json":
            listed = rustbd("backup", "list", top, code=4)
            assert " full " in listed and f"{top / directory}: " in listed, listed
        path.write_bytes(content)
    rustbd("restore", "--from", top / "next", "--to", top / "good")
    with harness.Rustbd(top / "good") as server:
        assert server.sql("select count(*), count(distinct b) from t") == "20000|20000"
    (top / "moved").rename(top.parent / (top.name + "-away"))
    try:
        assert "that it needs" in rustbd("restore", "--from", top / "next", "--to", top / "lost", code=1)
    finally:
        shutil.rmtree(top.parent / (top.name + "-away"))


def test_damage_and_refusals(context):
    with_directory(damage_and_refusals)


def cut_short(top: pathlib.Path):
    with harness.Rustbd(top / "data") as server:
        server.sql("create table t (a int, b text); insert into t select i, md5(i::text) from generate_series(1, 100000) i")
        slow = "select rustbd_backup('{}', '', 'none', 1000000)"
        job = server.sql(slow.format(top / "cancelled"))
        harness.wait_until(lambda: server.sql(f"select bytes > 0 from rustbd_backups where id = {job}") == "t", "the backup has begun")
        second = subprocess.run(["psql", "-X", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-v", "VERBOSITY=sqlstate", "-c",
                                 slow.format(top / "other")], capture_output=True, text=True, timeout=60)
        assert "55006" in second.stderr, second.stderr
        assert server.sql(f"select rustbd_cancel_backup({job})") == "t"
        harness.wait_until(lambda: server.sql(f"select state, sqlstate from rustbd_backups where id = {job}") == "cancelled|57014", "it is cancelled")
        assert not list((top / "cancelled").iterdir())
        job = server.sql(slow.format(top / "killed"))
        harness.wait_until(lambda: server.sql(f"select bytes > 2000000 from rustbd_backups where id = {job}") == "t", "the backup is under way")
        server.kill()
        assert "no finished backup" in rustbd("backup", "verify", top / "killed", code=1)
        server.start()
        server.sql("insert into t select i, md5(i::text) from generate_series(1, 1000) i")
        backup(server, top / "whole")
        rustbd("restore", "--from", top / "whole", "--to", top / "restored")
        job = server.sql(slow.format(top / "stopped"))
        server.stop()  # does not wait for the backup
    rustbd("check", "--deep", "--data", top / "data")
    with harness.Rustbd(top / "restored") as server:
        assert server.sql("select count(*) from t") == "101000"


def test_cut_short(context):
    with_directory(cut_short)


def named_behind_another_key(top: pathlib.Path):
    """The restore point stands in log that a later start's key has sealed."""
    env = {"RUSTBD_ENCRYPTION_ENABLED": "true", "RUSTBD_ENCRYPTION_KEY_SOURCE": "env:MASTER", "MASTER": secrets.token_hex(32)}
    with harness.Rustbd(top / "data", env=env) as server:
        server.sql("create table t (a int); insert into t values (1)")
        backup(server, top / "full")
        server.kill()
        server.start()
        for statement in ("insert into t values (2)", "select rustbd_create_restore_point('here')", "insert into t values (3)"):
            server.sql(statement)
        server.kill()
    wanted = ["restore", "--from", top / "full", "--to-name", "here"]
    rustbd(*wanted, "--to", top / "r", "--archive", top / "data/wal", env=env)
    with harness.Rustbd(top / "r", env=env) as server:
        assert server.sql("select string_agg(a::text, ',' order by a) from t") == "1,2"
    shutil.copytree(top / "data/wal", top / "logs")
    said = rustbd(*wanted, "--to", top / "x", "--archive", top / "logs", env=env, code=1)
    assert "encryption key" in said and "--archive" in said, said
    assert not list((top / "x").iterdir()), "what is refused leaves nothing"
    rustbd("restore", "--from", top / "full", "--to", top / "x", env=env)


def test_named_behind_another_key(context):
    with_directory(named_behind_another_key)
