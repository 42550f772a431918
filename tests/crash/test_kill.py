"""kill -9 at random moments under load: what was acknowledged is there, nothing is half there, and the server comes back.

RUSTBD_KILL_SEED chooses the moments (printed on failure); RUSTBD_KILL_ROUNDS the number of kills.
"""
import os
import random
import subprocess
import sys
import threading
import time

import psycopg2

import harness

ROUNDS = int(os.environ.get("RUSTBD_KILL_ROUNDS", "20"))
CLIENTS = 8


class Ledger:
    """Clients that move money and note what the server acknowledged; a transaction writes two rows and two balances."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged, self.tried, self.next_id = {}, {}, 0

    def new_id(self, amount: int) -> int:
        with self.lock:
            self.next_id += 1
            self.tried[self.next_id] = amount
            return self.next_id

    def client(self, port: int, seed: int, stop: threading.Event):
        rng = random.Random(seed)
        try:
            connection = psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", connect_timeout=30)
        except psycopg2.Error:
            return
        try:
            while not stop.is_set():
                amount, (a, b) = rng.randint(1, 100), sorted(rng.sample(range(1, 51), 2))
                transaction = self.new_id(amount)
                cursor = connection.cursor()
                cursor.execute("update ledger_account set balance = balance - %s where id = %s", (amount, a))
                cursor.execute("insert into ledger_entry values (%s, 1, %s)", (transaction, -amount))
                cursor.execute("update ledger_account set balance = balance + %s where id = %s", (amount, b))
                cursor.execute("insert into ledger_entry values (%s, 2, %s)", (transaction, amount))
                connection.commit()
                with self.lock:
                    self.acknowledged[transaction] = amount
        except psycopg2.Error as e:
            assert e.pgcode is None or e.pgcode.startswith("57") or e.pgcode in ("40P01", "08006"), f"{e.pgcode} {e}"

    def check(self, server):
        entries = [tuple(map(int, line.split("|"))) for line in server.sql("select id, part, amount from ledger_entry").splitlines()]
        found = {}
        for transaction, part, amount in entries:
            found.setdefault(transaction, {})[part] = amount
        assert len(entries) == sum(len(parts) for parts in found.values()), "an entry is there twice"
        half = [t for t, parts in found.items() if set(parts) != {1, 2} or parts[1] != -parts[2]]
        assert not half, f"half there: {half[:10]}"
        lost = sorted(set(self.acknowledged) - set(found))
        assert not lost, f"{len(lost)} acknowledged transactions are lost: {lost[:10]}"
        invented = [t for t in found if self.tried.get(t) != found[t][2]]
        assert not invented, f"never sent, or with another amount: {invented[:10]}"
        assert server.sql("select sum(balance) from ledger_account") == "0"
        by_index = server.sql("set enable_seqscan = off; select count(*) from ledger_entry where id between 1 and 2000000000").splitlines()[-1]
        assert int(by_index) == len(entries), f"the index has {by_index} entries, the table {len(entries)}"


def pgbench(port: int, *options: str, **more):
    return subprocess.Popen(["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", *options, "postgres"], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, env={**os.environ, "PGCONNECT_TIMEOUT": "30"}, **more)


def check_tpcb(server):
    """TPC-B's invariant: each transaction adds one delta to an account, a teller, a branch and the history."""
    sums = [server.sql(f"select coalesce(sum({column}), 0) from {table}") for column, table in (
        ("abalance", "pgbench_accounts"), ("tbalance", "pgbench_tellers"), ("bbalance", "pgbench_branches"), ("delta", "pgbench_history"))]
    assert len(set(sums)) == 1, f"accounts, tellers, branches, history: {sums}"
    rows = server.sql("select (select count(*) from pgbench_accounts), (select count(*) from pgbench_tellers), (select count(*) from pgbench_branches)")
    assert rows == "100000|10|1", rows
    wrong = server.sql(
        "select count(*) from pgbench_accounts a left join (select aid, sum(delta) d from pgbench_history group by aid) h on h.aid = a.aid "
        "where abalance <> coalesce(d, 0)")
    assert wrong == "0", f"{wrong} accounts do not have the sum of their history"
    return int(server.sql("select count(*) from pgbench_history"))


def test_kill_under_load(context):
    seed = int(os.environ.get("RUSTBD_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
    rng, ledger = random.Random(seed), Ledger()
    with harness.Rustbd() as server:
        loader = pgbench(server.port, "-i", "-s", "1", "-q")
        output = loader.communicate(timeout=120)[0]
        assert loader.returncode == 0, output
        server.sql("create table ledger_account (id int primary key, balance bigint not null); "
                   "create table ledger_entry (id int, part int, amount int not null, primary key (id, part)); "
                   "insert into ledger_account select i, 0 from generate_series(1, 50) i")
        history = 0
        try:
            for turn in range(ROUNDS):
                stop = threading.Event()
                load = pgbench(server.port, "-n", "-c", str(CLIENTS), "-j", "2", "-T", "120", "-M", rng.choice(("simple", "extended", "prepared")))
                clients = [threading.Thread(target=ledger.client, args=(server.port, rng.randrange(1 << 30), stop)) for _ in range(2)]
                for c in clients:
                    c.start()
                before = len(ledger.acknowledged)
                harness.wait_until(lambda: len(ledger.acknowledged) > before or load.poll() is not None, "a first commit", 60)
                if rng.random() < 0.2:
                    checkpoint = threading.Thread(target=lambda: server.sql("checkpoint", check=False))
                    checkpoint.start()
                    clients.append(checkpoint)
                # Not a wait for something: the moment of the kill is what is random.
                time.sleep(rng.uniform(0, 2.5))
                assert server.process.poll() is None, f"the server ended by itself:\n{server.log()[-4000:]}"
                assert load.poll() is None, f"pgbench ended before the kill:\n{load.communicate()[0][-4000:]}"
                server.kill()
                stop.set()
                for c in clients:
                    c.join(60)
                    assert not c.is_alive(), "a client hangs after the kill"
                load.communicate(timeout=60)
                if rng.random() < 0.25:  # a second kill in the middle of recovery
                    server.start(wait=False)
                    time.sleep(rng.uniform(0, 0.3))
                    server.kill()
                server.start()
                ledger.check(server)
                now = check_tpcb(server)
                assert now >= history, f"the history has shrunk from {history} to {now}"
                history = now
            assert len(ledger.acknowledged) >= ROUNDS and history > ROUNDS, "too little work to prove anything"
            server.stop()
            checked = subprocess.run([harness.binary(), "check", "--deep", "--data", str(server.data)], capture_output=True, text=True, timeout=300)
            assert checked.returncode == 0, checked.stdout + checked.stderr
        except BaseException:
            print(f"RUSTBD_KILL_SEED={seed}, kill {turn + 1}; {len(ledger.acknowledged)} acknowledged, history {history}", file=sys.stderr)
            raise


def test_the_check_sees_a_loss(context):
    """The checks above fail when a row is missing or half there: else they would prove nothing."""
    ledger = Ledger()
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
