"""Data five times the buffer pool: everything works, and resident memory stays within the limit plus a stated overhead."""
import pathlib
import random

import psycopg2

import harness

POOL = 32 << 20
DATA = 5 * POOL
# What a server holds beside the pool: the binary, threads' stacks and arenas, the log's buffers, the page directory of
# the data (32 bytes a page), lock tables, the undo of one running statement of this test, and memory for queries.
OVERHEAD = 160 << 20
ROWS_A_BATCH = 10_000
PAYLOAD = 400


def resident(server) -> int:
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


def connect(server):
    connection = psycopg2.connect(host="127.0.0.1", port=server.port, user="postgres", dbname="postgres")
    connection.autocommit = True
    return connection


def expected(row_id: int, version: int) -> str:
    return f"{row_id}:{version}:" + "p" * PAYLOAD


def size_of(server) -> int:
    return sum(f.stat().st_blocks * 512 for f in pathlib.Path(server.data).rglob("*") if f.is_file() and "wal" not in f.parts and "log" not in f.parts)


def test_data_five_times_the_pool(context):
    rng, versions = random.Random(5), {}
    with harness.Rustbd(env={"RUSTBD_BUFFER_SIZE": "32MiB", "RUSTBD_STORAGE_COMPRESSION": "none"}) as server:
        connection = connect(server)
        cursor = connection.cursor()
        cursor.execute("create table big (id int primary key, k int, v text)")
        cursor.execute("create index big_k on big (k)")
        rows = 0
        # The payload alone is more than five pools; row headers and two indexes come on top.
        while rows * PAYLOAD < DATA:
            cursor.execute(f"insert into big select i, i %% 1000, i || ':0:' || repeat('p', {PAYLOAD}) "
                           "from generate_series(%s, %s) i", (rows + 1, rows + ROWS_A_BATCH))
            rows += ROWS_A_BATCH
        peak_load = resident(server)
        cursor.execute("checkpoint")
        assert size_of(server) >= DATA, f"only {size_of(server) >> 20} MiB in the data files"

        def check_some(n):
            for _ in range(n):
                row_id = rng.randint(1, rows)
                cursor.execute("select v from big where id = %s", (row_id,))
                assert cursor.fetchall() == [(expected(row_id, versions.get(row_id, 0)),)], row_id

        check_some(500)
        for _ in range(2000):
            row_id = rng.randint(1, rows)
            versions[row_id] = versions.get(row_id, 0) + 1
            cursor.execute("update big set v = id || ':' || %s || ':' || repeat('p', %s) where id = %s", (versions[row_id], PAYLOAD, row_id))
            assert cursor.rowcount == 1
        check_some(500)
        cursor.execute("select count(*), sum(id), count(distinct k), sum(length(v)) from big")
        count, total, keys, _ = cursor.fetchone()
        assert (count, total, keys) == (rows, rows * (rows + 1) // 2, 1000)
        cursor.execute("select count(*) from big where k = 77")
        assert cursor.fetchone() == (rows // 1000,)
        cursor.execute("select k, count(*) from big where k < 3 group by k order by k")
        assert cursor.fetchall() == [(0, rows // 1000), (1, rows // 1000), (2, rows // 1000)]
        peak = resident(server)
        assert peak <= POOL + OVERHEAD, f"peak resident memory {peak >> 20} MiB ({peak_load >> 20} after the load), allowed {(POOL + OVERHEAD) >> 20}"

        for clean in (True, False):
            connection.close()
            server.stop() if clean else server.kill()
            server.start()
            connection = connect(server)
            cursor = connection.cursor()
            check_some(300)
            cursor.execute("select count(*), sum(id) from big")
            assert cursor.fetchone() == (rows, rows * (rows + 1) // 2)
            peak = resident(server)
            assert peak <= POOL + OVERHEAD, f"peak after the restart {peak >> 20} MiB, allowed {(POOL + OVERHEAD) >> 20}"
        connection.close()
