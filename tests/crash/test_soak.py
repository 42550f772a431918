"""A server at work for minutes on data five times its buffer pool: memory stays within what docs/operations.md says, answers stay right.

RUSTBD_SOAK_MINUTES: how long (5). An hour is a good test of a release.
"""
import os
import pathlib
import random
import subprocess
import time

import psycopg2

import harness
import loads

MINUTES = float(os.environ.get("RUSTBD_SOAK_MINUTES", "5"))
POOL = 64 << 20
ALLOWED = POOL * 11 // 10 + (160 << 20)  # docs/operations.md, "Memory"
CLIENTS, ROWS, PAYLOAD = 4, 90_000, 900  # rows of each client


def peak_resident(server) -> int:
    """The most that the process has ever had."""
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


class Owner:
    """Works on rows of its own, of which it knows every value."""

    def __init__(self, number: int, port: int):
        self.first, self.port, self.rng = number * 10_000_000, port, random.Random(number)
        self.values, self.next_id, self.statements = {}, self.first, 0

    def work(self, until: float):
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres")
        connection.autocommit = True
        cursor, rng = connection.cursor(), self.rng
        while time.monotonic() < until or len(self.values) < ROWS:
            self.statements += 1
            kind = rng.random()
            if len(self.values) < ROWS:
                ids = range(self.next_id, self.next_id + 2000)
                cursor.execute("insert into soak select i, i %% 997, repeat(md5(i::text), %s) from generate_series(%s, %s) i", (PAYLOAD // 32, ids[0], ids[-1]))
                self.next_id += len(ids)
                self.values.update((i, i % 997) for i in ids)
            elif kind < 0.6:
                some = rng.randrange(self.first, self.next_id)
                cursor.execute("select k from soak where id = %s", (some,))
                found = cursor.fetchall()
                assert found == ([(self.values[some],)] if some in self.values else []), f"row {some}: {found}"
            elif kind < 0.85:
                some, value = rng.randrange(self.first, self.next_id), rng.randrange(100_000)
                cursor.execute("update soak set k = %s, v = repeat(md5(%s), %s) where id = %s", (value, str(value), rng.randrange(PAYLOAD // 32 + 1), some))
                assert cursor.rowcount == (some in self.values)
                if some in self.values:
                    self.values[some] = value
            elif kind < 0.95:
                begin = rng.randrange(self.first, self.next_id)
                cursor.execute("delete from soak where id >= %s and id < %s", (begin, min(begin + 20, self.next_id)))
                gone = [i for i in range(begin, begin + 20) if self.values.pop(i, None) is not None]
                assert cursor.rowcount == len(gone)
            elif kind < 0.998:
                begin = rng.randrange(self.first, self.next_id)
                cursor.execute("select count(*), coalesce(sum(k), 0) from soak where id between %s and %s", (begin, begin + 300))
                mine = [self.values[i] for i in range(begin, begin + 301) if i in self.values]
                assert cursor.fetchone() == (len(mine), sum(mine))
            else:
                cursor.execute("select count(*), sum(k), sum(length(v)) from soak where id >= %s and id < %s", (self.first, self.first + 10_000_000))
                assert cursor.fetchone()[:2] == (len(self.values), sum(self.values.values()))
        connection.close()


def test_soak(context):
    with harness.Rustbd(env={"RUSTBD_BUFFER_SIZE": "64MiB", "RUSTBD_STORAGE_COMPRESSION": "none"}) as server:
        server.sql("create table soak (id int primary key, k int, v text); create index soak_k on soak (k)")
        until = time.monotonic() + MINUTES * 60
        owners = [Owner(n, server.port) for n in range(1, CLIENTS + 1)]
        clients = [loads.Client(owner.work, until) for owner in owners]
        for c in clients:
            c.join()
            c.finish()
        peak = peak_resident(server)
        assert sum(o.statements for o in owners) > 1000, "too little work to prove anything"
        data = sum(f.stat().st_blocks * 512 for f in server.data.glob("rustbd.db"))
        assert data >= 5 * POOL, f"only {data >> 20} MiB of data"
        assert peak <= ALLOWED, f"peak resident memory {peak >> 20} MiB, allowed {ALLOWED >> 20}"
        expected = f"{sum(len(o.values) for o in owners)}|{sum(sum(o.values.values()) for o in owners)}"
        assert server.sql("select count(*), sum(k) from soak") == expected
        print(f"{sum(o.statements for o in owners)} statements, {data >> 20} MiB of data, peak resident memory {peak >> 20} MiB of {ALLOWED >> 20} allowed", flush=True)
        server.stop()
        checked = subprocess.run([harness.binary(), "check", "--deep", "--data", str(server.data)], capture_output=True, text=True, timeout=600)
        assert checked.returncode == 0, checked.stdout + checked.stderr
