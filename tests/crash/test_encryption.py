"""Encryption: nothing readable in the files, another key or none is refused, a rotation under load that is killed in the middle ends
after the next start, and then the old keys open nothing."""
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile
import threading

import harness
from loads import Ledger

WORD = "xyzzy-plover-"
TOOL_ENVIRONMENT = {"RUSTBD_ENCRYPTION_ENABLED": "true", "RUSTBD_ENCRYPTION_KEY_SOURCE": "env:MASTER"}


def environment(key: str, **more) -> dict:
    return {**TOOL_ENVIRONMENT, "MASTER": key, **more}


def check(data, key: str, *options: str):
    return subprocess.run([harness.binary(), "check", "--data", str(data), *options], capture_output=True, text=True,
                          env={**os.environ, **environment(key)}, timeout=300)


def files_with(data: pathlib.Path, word: str) -> list:
    return [str(p) for p in data.rglob("*") if p.is_file() and word.encode() in p.read_bytes()]


def fill(server, rows=4000):
    server.sql("create table secret (id int primary key, note text)")
    server.sql(f"insert into secret select i, '{WORD}' || i from generate_series(1, {rows}) i")
    server.sql("checkpoint")


def test_nothing_can_be_read(context):
    for algorithm in ("aes256", "chacha20"):
        key = secrets.token_hex(32)
        data = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
        try:
            with harness.Rustbd(data / "d", env=environment(key, RUSTBD_ENCRYPTION_ALGORITHM=algorithm)) as server:
                fill(server)
                assert server.sql("select algorithm, state from rustbd_keys where state = 'current'") == f"{algorithm}|current"
                server.kill()
                server.start()
                assert server.sql("select count(*), min(note) from secret") == f"4000|{WORD}1"
                server.sql(f"update secret set note = '{WORD}again' where id = 1")
                server.kill()  # the log is the only place of it
                assert not files_with(server.data, WORD), "plain text in the files"
                done = check(server.data, key, "--deep")
                assert done.returncode == 0, done.stdout + done.stderr
                dump = subprocess.run([harness.binary(), "log", "dump", "--data", str(server.data)], capture_output=True, text=True,
                                      env={**os.environ, **environment(key)}, timeout=300)
                assert dump.returncode == 0 and WORD + "again" in dump.stdout, dump.stderr + dump.stdout[-500:]
                wrong = check(server.data, secrets.token_hex(32))
                assert wrong.returncode != 0 and "master key is not the one" in wrong.stderr, wrong.stderr
                none = subprocess.run([harness.binary(), "check", "--data", str(server.data)], capture_output=True, text=True, timeout=300)
                assert none.returncode != 0 and "there is no master key" in none.stderr, none.stderr
                server.start()
                assert server.sql("select note from secret where id = 1") == WORD + "again"
        finally:
            shutil.rmtree(data, ignore_errors=True)


def test_encryption_can_be_switched_on(context):
    """Pages that were written before are sealed in the background."""
    data = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        with harness.Rustbd(data / "d", env={"RUSTBD_STORAGE_COMPRESSION": "none"}) as server:
            fill(server)
            server.stop()
            assert files_with(server.data, WORD), "without encryption it can be read"
            server.env = environment(secrets.token_hex(32), RUSTBD_STORAGE_COMPRESSION="none")
            server.start()
            server.sql("checkpoint")
            harness.wait_until(lambda: server.sql("select pages_left from rustbd_key_rotation_progress") == "0", "the pages are sealed")
            server.sql("checkpoint")
            assert server.sql("select count(*) from secret") == "4000"
            server.stop()
            server.env = {}
            server.start(wait=False)
            assert server.process.wait(timeout=60) != 0 and "there is no master key" in server.log(), server.log()[-500:]
    finally:
        shutil.rmtree(data, ignore_errors=True)


def test_rotation_under_load_killed_in_the_middle(context):
    key = secrets.token_hex(32)
    data = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        with harness.Rustbd(data / "d", env=environment(key, RUSTBD_ENCRYPTION_RESEAL_RATE="2MiB")) as server:
            fill(server, 60000)
            server.sql("create table ledger_account (id int primary key, balance bigint not null)")
            server.sql("insert into ledger_account select i, 0 from generate_series(1, 50) i")
            server.sql("create table ledger_entry (id int, part int, amount bigint not null, primary key (id, part))")
            server.sql("checkpoint")
            ledger, stop = Ledger(), threading.Event()
            clients = [threading.Thread(target=ledger.client, args=(server.port, n, stop)) for n in range(4)]
            for thread in clients:
                thread.start()
            server.sql("select rustbd_rotate_keys('data')")
            old = {k for k in server.sql("select key_id from rustbd_keys where state = 'retiring'").splitlines()}
            assert old, "a rotation makes the keys before it retire"
            harness.wait_until(lambda: int(server.sql("select pages_left from rustbd_key_rotation_progress")) > 0, "it runs")
            shutil.copy(server.data / "keys.tab", data / "keys.before")
            server.kill()
            stop.set()
            for thread in clients:
                thread.join()
            server.env["RUSTBD_ENCRYPTION_RESEAL_RATE"] = "64MiB"
            server.start()
            ledger.check(server)

            def finished():
                server.sql("checkpoint")
                return server.sql("select count(*) from rustbd_keys where state = 'retiring'") == "0"
            harness.wait_until(finished, "the rotation ends after the next start", 120)
            left = set(server.sql("select key_id from rustbd_keys").splitlines())
            assert not left & old, f"{left & old} were to go"
            ledger.check(server)
            assert server.sql("select count(*) from secret") == "60000"
            # Another master key: the data keys stay, the old master key opens nothing.
            other = data / "master"
            other.write_text(secrets.token_hex(32))
            other.chmod(0o600)
            server.sql(f"select rustbd_rotate_keys('master', 'file:{other}')")
            server.sql("insert into secret values (0, 'after')")
            server.kill()
            assert "master key is not the one" in check(server.data, key).stderr
            key = other.read_text()
            done = check(server.data, key, "--deep")
            assert done.returncode == 0, done.stdout + done.stderr
            # The table of keys as it was during the rotation has the old keys, and not the one that seals now.
            now = server.data / "keys.tab"
            kept = now.read_bytes()
            shutil.copy(data / "keys.before", now)
            server.start(wait=False)
            assert server.process.wait(timeout=60) != 0, "the old keys open nothing"
            now.write_bytes(kept)
            server.env["MASTER"] = key
            server.start()
            assert server.sql("select note from secret where id = 0") == "after"
    finally:
        shutil.rmtree(data, ignore_errors=True)


def refused(server, text: str, state: str, **more):
    done = subprocess.run(["psql", "-X", "-h", "127.0.0.1", "-p", str(server.port), "-U", more.get("user", "postgres"), "-d", "postgres", "-v",
                           "VERBOSITY=sqlstate", "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and state in done.stderr, f"{text}: {done.stdout} {done.stderr}"


def test_errors(context):
    server = context.server
    refused(server, "select rustbd_rotate_keys('data')", "55000")
    refused(server, "select rustbd_rotate_keys('nothing')", "22023")
    refused(server, "select rustbd_rotate_keys('master', 'file:/no/such/file')", "58030")
    refused(server, "select rustbd_rotate_keys('master', 'somewhere')", "22023")
    assert server.sql("select count(*) from rustbd_keys") == "0"
    server.sql("create role plain login")
    refused(server, "select rustbd_rotate_keys('data')", "42501", user="plain")
