"""A full disk: writes fail with 53100, reads go on, and once there is room writes work again without a restart.

Needs a small file system of its own: a tmpfs, which root may mount here. Where that is refused, the whole test runs
again inside a user and mount namespace (`unshare -rm`); where that is refused too it fails and says so.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import harness  # noqa: E402
import loads  # noqa: E402

SIZE = "160m"


def attempt(cursor, sql: str):
    try:
        cursor.execute(sql)
        return None
    except psycopg2.Error as e:
        if e.pgcode is None:
            raise
        return e.pgcode


def scenario(mount: pathlib.Path):
    ballast = mount / "ballast"
    ballast.write_bytes(b"\1" * (24 << 20))
    server = harness.Rustbd(mount / "data", env={"RUSTBD_BUFFER_SIZE": "32MiB", "RUSTBD_WAL_SEGMENT_SIZE": "4MiB"})
    server.log_path = pathlib.Path(tempfile.gettempdir()) / f"rustbd-full-{os.getpid()}.log"  # not on the full disk
    with server:
        connection = psycopg2.connect(host="127.0.0.1", port=server.port, user="postgres", dbname="postgres")
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("create table fill (id int primary key, v text)")
        ends = {}

        def fill(number: int):
            """Until the disk is full; each client has ids of its own."""
            own = psycopg2.connect(host="127.0.0.1", port=server.port, user="postgres", dbname="postgres")
            own.autocommit = True
            batch, code = 0, None
            while code is None and batch < 2000:
                # Bytes that no compression shrinks.
                code = attempt(own.cursor(), f"insert into fill select ({number} * 2000 + {batch}) * 100 + i, "
                                             f"string_agg(md5((i * 7919 + j + {number * 2000 + batch} * 1000003::bigint)::text), '') "
                                             "from generate_series(1, 100) i, generate_series(1, 60) j group by i")
                batch += code is None
            ends[number] = batch, code
            own.close()

        clients = [loads.Client(fill, number) for number in range(4)]
        while any(c.is_alive() for c in clients):  # reads go on while the disk fills up
            cursor.execute("select count(*) % 100 from fill")
            assert cursor.fetchone() == (0,)
        for c in clients:
            c.finish()
        assert all(code == "53100" for _, code in ends.values()), ends
        batches = sum(batch for batch, _ in ends.values())
        assert batches > 0, "not one batch fitted"
        rows = batches * 100

        def count():
            cursor.execute("select count(*), count(distinct id) from fill")
            return cursor.fetchone()

        # Reads go on, and nothing of the statement that failed is there; writes keep failing the same way.
        assert count() == (rows, rows), "something of the failed statement is there, or something acknowledged is not"
        cursor.execute("select length(v) from fill where id = 1")
        assert cursor.fetchone() == (1920,)
        big = ("insert into fill select -i, string_agg(md5((i * 31 + j)::text), '') from generate_series(1, 8000) i, generate_series(1, 60) j "
               "group by i")
        assert attempt(cursor, big) == "53100"
        assert count() == (rows, rows)
        other = psycopg2.connect(host="127.0.0.1", port=server.port, user="postgres", dbname="postgres")
        other.cursor().execute("select 1")  # a new connection is served too
        other.close()

        ballast.unlink()
        harness.wait_until(lambda: attempt(cursor, "insert into fill values (-100000, 'room again')") is None, "writes after there is room")
        assert count() == (rows + 1, rows + 1)
        assert attempt(cursor, "update fill set v = 'short' where id = 1") is None
        connection.close()
        # Recovery finds the same.
        server.kill()
        server.start()
        assert server.sql("select count(*), count(distinct id) from fill") == f"{rows + 1}|{rows + 1}"
        assert server.sql("select v from fill where id in (1, -100000) order by id").splitlines() == ["room again", "short"]
        server.log_path.unlink(missing_ok=True)


def in_mount():
    mount = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-full-"))
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "rustbd-full", str(mount)], capture_output=True, text=True)
        if done.returncode != 0:
            return done.stderr.strip() or "mount failed"
        try:
            scenario(mount)
        finally:
            subprocess.run(["umount", "-l", str(mount)], check=True)
        return ""
    finally:
        shutil.rmtree(mount, ignore_errors=True)


def test_disk_full(context):
    refused = in_mount()
    if not refused:
        return
    done = subprocess.run(["unshare", "-rm", sys.executable, __file__], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"mount: {refused}; in a namespace:\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    if message := in_mount():
        sys.exit(message)
