"""kill -9 at random moments under load: what was acknowledged is there, nothing is half there, and the server comes back.

RUSTBD_KILL_SEED chooses the moments (printed on failure); RUSTBD_KILL_ROUNDS and
RUSTBD_MIXED_KILL_ROUNDS the numbers of kills.
"""
import os
import random
import subprocess
import sys
import threading
import time

import harness
import loads

ROUNDS = int(os.environ.get("RUSTBD_KILL_ROUNDS", "20"))
MIXED_ROUNDS = int(os.environ.get("RUSTBD_MIXED_KILL_ROUNDS", "10"))
CLIENTS = 8


def make_tpcb(server):
    loader = loads.pgbench(server.port, "-i", "-s", "1", "-q")
    output = loader.communicate(timeout=120)[0]
    assert loader.returncode == 0, output


def kill_under(server, load, clients, stop):
    """kill -9 of a server that works; `load` is a pgbench, `clients` end with the server."""
    assert server.process.poll() is None, f"the server ended by itself ({server.process.returncode}):\n{server.log()[-4000:]}"
    assert load.poll() is None, f"pgbench ended before the kill:\n{load.communicate()[0][-4000:]}"
    server.kill()
    stop.set()
    for c in clients:
        c.finish()
    load.communicate(timeout=60)


def check_deep(server):
    checked = subprocess.run([harness.binary(), "check", "--deep", "--data", str(server.data)], capture_output=True, text=True, timeout=300)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_kill_under_load(context):
    seed = int(os.environ.get("RUSTBD_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
    rng, ledger = random.Random(seed), loads.Ledger()
    with harness.Rustbd() as server:
        make_tpcb(server)
        server.sql("create table ledger_account (id int primary key, balance bigint not null); "
                   "create table ledger_entry (id int, part int, amount int not null, primary key (id, part)); "
                   "insert into ledger_account select i, 0 from generate_series(1, 50) i")
        history = 0
        try:
            for turn in range(ROUNDS):
                stop = threading.Event()
                load = loads.pgbench(server.port, "-n", "-c", str(CLIENTS), "-j", "2", "-T", "120", "-M", rng.choice(("simple", "extended", "prepared")))
                clients = [loads.Client(ledger.client, server.port, rng.randrange(1 << 30), stop) for _ in range(2)]
                before = len(ledger.acknowledged)
                harness.wait_until(lambda: len(ledger.acknowledged) > before or load.poll() is not None, "a first commit", 60)
                if rng.random() < 0.2:
                    clients.append(loads.Client(lambda: server.sql("checkpoint", check=False)))
                # Not a wait for something: the moment of the kill is what is random.
                time.sleep(rng.uniform(0, 2.5))
                kill_under(server, load, clients, stop)
                if rng.random() < 0.25:  # a second kill in the middle of recovery
                    server.start(wait=False)
                    time.sleep(rng.uniform(0, 0.3))
                    server.kill()
                server.start()
                ledger.check(server)
                now = loads.check_tpcb(server)
                assert now >= history, f"the history has shrunk from {history} to {now}"
                history = now
            assert len(ledger.acknowledged) >= ROUNDS and history > ROUNDS, "too little work to prove anything"
            server.stop()
            check_deep(server)
        except BaseException:
            print(f"RUSTBD_KILL_SEED={seed}, kill {turn + 1}; {len(ledger.acknowledged)} acknowledged, history {history}", file=sys.stderr)
            raise


def test_kill_under_mixed_load(context):
    """TPC-B, COPY, mass DELETE, CREATE INDEX and forced checkpoints at once; the deep check after each recovery."""
    seed = int(os.environ.get("RUSTBD_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
    rng, batches, turn, history = random.Random(seed), loads.Batches(), 0, 0
    with harness.Rustbd() as server:
        make_tpcb(server)
        batches.prepare(server)
        try:
            for turn in range(MIXED_ROUNDS):
                stop = threading.Event()
                load = loads.pgbench(server.port, "-n", "-c", "4", "-j", "1", "-T", "120", "-M", rng.choice(("simple", "extended", "prepared")))
                clients = [loads.Client(run, server.port, rng.randrange(1 << 30), stop)
                           for run in (batches.loader, batches.loader, batches.deleter, batches.indexer, batches.checkpointer)]
                before = batches.next_batch
                harness.wait_until(lambda: batches.next_batch > before + 2 or load.poll() is not None, "the first batches", 60)
                time.sleep(rng.uniform(0, 1.5))  # the moment of the kill is what is random
                kill_under(server, load, clients, stop)
                server.start()
                batches.check(server)
                now = loads.check_tpcb(server)
                assert now >= history, f"the history has shrunk from {history} to {now}"
                history = now
                server.kill()
                check_deep(server)
                server.start()
            assert batches.indexes_built > 0 and batches.deleted and history > 0, "too little work to prove anything"
        except BaseException:
            print(f"RUSTBD_KILL_SEED={seed}, kill {turn + 1}; {len(batches.loaded)} batches, history {history}", file=sys.stderr)
            raise


def test_the_check_sees_a_loss(context):
    """The checks above fail when a row is missing or half there: else they would prove nothing."""
    ledger = loads.Ledger()
    ledger.tried, ledger.acknowledged = {1: 5, 2: 7}, {1: 5, 2: 7}

    class Answers:
        def __init__(self, rows):
            self.rows = rows

        def sql(self, text):
            return self.rows if "part" in text else ("0" if "sum" in text else str(len(self.rows.splitlines())))

    ledger.check(Answers("1|1|-5\n1|2|5\n2|1|-7\n2|2|7"))
    for rows in ("1|1|-5\n1|2|5", "1|1|-5\n1|2|5\n2|1|-7", "1|1|-5\n1|2|5\n2|1|-7\n2|2|6", "1|1|-5\n1|2|5\n2|1|-7\n2|2|7\n3|1|-1\n3|2|1"):
        try:
            ledger.check(Answers(rows))
        except AssertionError:
            continue
        raise RuntimeError(f"not seen: {rows!r}")
