"""Encryption: nothing readable in the files, another key or none is refused, a rotation under load that is killed in the middle ends
after the next start, and then the old keys are gone and nothing is sealed with them."""
import json
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


def test_an_older_table_of_keys(context):
    """A copy of keys.tab from before the last start, or none, is told as what it is; the newest one put back, all goes on."""
    key = secrets.token_hex(32)
    data = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        with harness.Rustbd(data / "d", env=environment(key)) as server:
            fill(server)
            table = server.data / "keys.tab"
            older = table.read_bytes()
            server.kill()
            server.start()
            server.sql("update secret set note = 'later'")
            server.kill()
            newest = table.read_bytes()
            for lose, why in ((lambda: table.write_bytes(older), "is an older copy: it knows of no key 2"),
                              (table.unlink, "(keys.tab) is missing")):
                lose()
                server.start(wait=False)
                assert server.process.wait(60) != 0 and why in server.log().rstrip().splitlines()[-1], server.log()[-1000:]
                assert not table.exists() or table.read_bytes() == older, "the refused start has written"
                for command in (("check",), ("log", "dump")):
                    done = tool(server.data, key, *command)
                    assert done.returncode != 0 and why in done.stderr and not done.stdout, done.stderr + done.stdout[-500:]
            table.write_bytes(newest)
            server.start()
            assert server.sql("select count(*), min(note) from secret") == "4000|later"
    finally:
        shutil.rmtree(data, ignore_errors=True)


def tool(data, key: str, *command: str):
    return subprocess.run([harness.binary(), *command, "--data", str(data), "--json"], capture_output=True, text=True,
                          env={**os.environ, **environment(key)}, timeout=300)


def stored_by_key(data, key: str) -> dict:
    """What a stopped directory has sealed with which key (id; 0: not sealed)."""
    done = tool(data, key, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    return {by["key_id"]: by for by in json.loads(done.stdout)["keys"]}


def pages_of(stored: dict, ids) -> int:
    return sum(stored[i]["pages"] for i in ids if i in stored)


def position(lsn: str) -> int:
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def log_keys(data, key: str) -> list:
    """Of each batch of the log that can be opened where it begins, and the id of its key."""
    done = tool(data, key, "log", "dump")
    assert done.returncode == 0, done.stderr + done.stdout[-500:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [(position(line["lsn"]), line["key_id"]) for line in lines if "lsn" in line and {"sealed": True} not in line["events"]]


def wrapped_keys(table: pathlib.Path) -> dict:
    """Key id -> its wrapped secret, of both copies in a keys.tab (docs/formats/keys.md)."""
    content, found = table.read_bytes(), {}
    for at in (0, len(content) // 2):
        assert content[at:at + 8] == b"RUSTBDKT"
        for entry in range(at + 64, at + 64 + 96 * int.from_bytes(content[at + 16:at + 20], "little"), 96):
            found[int.from_bytes(content[entry:entry + 4], "little")] = content[entry + 36:entry + 68]
    return found


PROGRESS = "select state, pages_left > 0, pages_total >= pages_left from rustbd_key_rotation_progress"


def as_new_as(table: bytes, newer: bytes) -> bytes:
    """The older keys.tab with the next key id of the newer one: otherwise it is refused as an older copy."""
    copy = bytearray(table[:len(table) // 2])
    copy[12:16], copy[20:24] = bytes(4), newer[20:24]
    crc = 0xFFFFFFFF  # CRC-32C
    for byte in copy:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    copy[12:16] = (crc ^ 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(2 * copy)


def test_encryption_can_be_switched_on(context):
    """Pages that were written before are sealed in the background, also if the server is killed meanwhile."""
    data, key = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-")), secrets.token_hex(32)
    try:
        with harness.Rustbd(data / "d", env={"RUSTBD_STORAGE_COMPRESSION": "none"}) as server:
            fill(server, 60000)
            server.stop()
            assert files_with(server.data, WORD), "without encryption it can be read"
            server.env = environment(key, RUSTBD_STORAGE_COMPRESSION="none", RUSTBD_ENCRYPTION_RESEAL_RATE="256KiB")
            server.start()
            assert server.sql(PROGRESS) == "running|t|t"
            assert server.sql("select value < 1 from rustbd_metrics where name = 'rustbd_key_rotation_progress'") == "t"
            server.kill()
            assert pages_of(stored_by_key(server.data, key), [0]) > 0, "it was to be killed in the middle"
            server.env["RUSTBD_ENCRYPTION_RESEAL_RATE"] = "64MiB"
            server.start()
            harness.wait_until(lambda: server.sql(PROGRESS) == "done|f|t", "the pages are sealed")
            server.kill()
            stored = stored_by_key(server.data, key)
            assert pages_of(stored, [0]) == 0 and pages_of(stored, stored) > 100, stored
            server.start()
            assert server.sql("select count(*) from secret") == "60000"
            server.stop()
            server.env = {}
            server.start(wait=False)
            assert server.process.wait(timeout=60) != 0 and "there is no master key" in server.log(), server.log()[-500:]
    finally:
        shutil.rmtree(data, ignore_errors=True)


def rotate_under_load(server, ledger: Ledger) -> int:
    """Rotates the data key while clients commit, and goes on until the pages are being sealed anew. Returns a position of the log
    that every transaction begun before the rotation lies before."""
    stop = threading.Event()
    clients = [threading.Thread(target=ledger.client, args=(server.port, n, stop)) for n in range(4)]
    try:
        for thread in clients:
            thread.start()
        harness.wait_until(lambda: len(ledger.acknowledged) > 20, "there is load")
        server.sql("select rustbd_rotate_keys('data')")
        begun = ledger.next_id
        harness.wait_until(lambda: all(i in ledger.acknowledged for i in range(1, begun + 1)), "what was under way has ended")
        behind = position(server.sql("select pg_current_wal_lsn()"))
        more = len(ledger.acknowledged) + 20
        harness.wait_until(lambda: len(ledger.acknowledged) > more, "the load goes on")
        harness.wait_until(lambda: server.sql(PROGRESS) == "running|t|t", "pages are sealed anew")
        return behind
    finally:
        server.kill()
        stop.set()
        for thread in clients:
            thread.join()


def test_rotation_under_load_killed_in_the_middle(context):
    key = secrets.token_hex(32)
    data = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        with harness.Rustbd(data / "d", env=environment(key, RUSTBD_ENCRYPTION_RESEAL_RATE="256KiB")) as server:
            table, table_before = server.data / "keys.tab", data / "keys.before"
            fill(server, 60000)
            server.sql("create table ledger_account (id int primary key, balance bigint not null)")
            server.sql("insert into ledger_account select i, 0 from generate_series(1, 50) i")
            server.sql("create table ledger_entry (id int, part int, amount bigint not null, primary key (id, part))")
            server.sql("checkpoint")
            shutil.copy(table, table_before)
            before, ledger = wrapped_keys(table_before), Ledger()
            behind = rotate_under_load(server, ledger)

            # Killed in the middle: the old keys still seal pages, but no log from the rotation on.
            stored = stored_by_key(server.data, key)
            assert pages_of(stored, before) > 0 and all(stored[i]["state"] == "retiring" for i in before), stored
            sealed_by = {i for at, i in log_keys(server.data, key) if at >= behind}
            assert len(sealed_by) == 1 and not sealed_by & {0, *before}, f"log behind the rotation by {sealed_by}, old are {set(before)}"
            assert {i for at, i in log_keys(server.data, key) if at < behind} & set(before), "the log before it has the old key"

            # Killed once more, and before anything is done.
            server.start()
            ledger.check(server)
            assert server.sql(PROGRESS) == "running|t|t", "after a restart it says what is left"
            server.kill()
            server.env["RUSTBD_ENCRYPTION_RESEAL_RATE"] = "64MiB"
            server.start()

            def finished():
                server.sql("checkpoint")
                return server.sql("select count(*) from rustbd_keys where state = 'retiring'") == "0"
            harness.wait_until(finished, "the rotation ends after the next start", 120)
            assert server.sql(PROGRESS) == "done|f|t"
            ledger.check(server)
            server.sql("insert into secret values (0, 'after')")
            server.kill()

            # As the files are: nothing has an old key, and no file has the old keys' secrets, which the master key would open.
            stored = stored_by_key(server.data, key)
            pages = pages_of(stored, stored)
            assert pages > 100 and sum(by["log_batches"] for by in stored.values()) > 0, stored
            assert not stored.keys() & {0, *before} and all(by["state"] == "active" for by in stored.values()), stored
            assert not {i for _, i in log_keys(server.data, key)} & {0, *before}
            assert not wrapped_keys(table).keys() & before.keys()
            held = [str(p) for p in server.data.rglob("*") if p.is_file() and any(secret in p.read_bytes() for secret in before.values())]
            assert not held, f"the old keys are in {held}"
            # Whoever has kept the old keys and their master key opens no page with them.
            kept = table.read_bytes()
            table.write_bytes(as_new_as(table_before.read_bytes(), kept))
            findings = json.loads(tool(server.data, key, "check").stdout)["findings"]
            closed = [f for f in findings if f.startswith("page ") and "sealed with a key that is not" in f]
            assert len(closed) == pages, f"of {pages} pages {len(closed)} cannot be opened: {findings[:5]}"
            table.write_bytes(kept)

            # Another master key: the data keys stay, the old master key opens nothing.
            server.start()
            assert server.sql("select count(*) from secret") == "60001"
            other = data / "master"
            other.write_text(secrets.token_hex(32))
            other.chmod(0o600)
            server.sql(f"select rustbd_rotate_keys('master', 'file:{other}')")
            server.kill()
            assert "master key is not the one" in check(server.data, key).stderr
            server.env["MASTER"] = key = other.read_text()
            done = check(server.data, key, "--deep")
            assert done.returncode == 0, done.stdout + done.stderr
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
