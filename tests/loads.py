"""Load for tests that kill the server: clients that note what was acknowledged, and checks of what is there afterwards."""
import functools
import io
import os
import random
import subprocess
import threading

import psycopg2


# What a client may be told when its server dies, or when it loses a deadlock.
EXPECTED = ("40P01", "08006")


def connect(port: int):
    return psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", connect_timeout=30)


def must_be_the_kill(e: psycopg2.Error):
    assert e.pgcode is None or e.pgcode.startswith("57") or e.pgcode in EXPECTED, f"{e.pgcode} {e}"


def until_the_kill(work):
    """The errors that a killed server explains end the work."""
    @functools.wraps(work)
    def run(*arguments):
        try:
            work(*arguments)
        except psycopg2.Error as e:
            must_be_the_kill(e)
    return run


def autocommit_cursor(port: int):
    connection = connect(port)
    connection.autocommit = True
    return connection.cursor()


class Client(threading.Thread):
    """A thread whose failure is the test's."""

    def __init__(self, target, *args):
        super().__init__()
        self.work, self.args, self.failure = target, args, None
        self.start()

    def run(self):
        try:
            self.work(*self.args)
        except BaseException as e:
            self.failure = e

    def finish(self):
        self.join(60)
        assert not self.is_alive(), "a client hangs after the kill"
        if self.failure is not None:
            raise self.failure


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
            connection = connect(port)
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
            must_be_the_kill(e)

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


class Batches:
    """COPY of whole batches, deletes of whole batches, an index that comes and goes, forced checkpoints."""

    ROWS = 3000

    def __init__(self):
        self.lock = threading.Lock()
        self.next_batch, self.indexes_built = 0, 0
        # Batches by what was acknowledged last; `unsure`: the last statement on it had no answer.
        self.loaded, self.deleted, self.unsure = set(), set(), set()

    @staticmethod
    def prepare(server):
        server.sql("create table batch (id int primary key, batch int not null, note text); create index batch_batch on batch (batch)")

    @until_the_kill
    def loader(self, port: int, seed: int, stop: threading.Event):
        rng = random.Random(seed)
        cursor = autocommit_cursor(port)
        while not stop.is_set():
            with self.lock:
                self.next_batch += 1
                batch = self.next_batch
                self.unsure.add(batch)
            rows = "".join(f"{batch * self.ROWS + i}\t{batch}\t{'x' * rng.randint(0, 60)}\n" for i in range(self.ROWS))
            cursor.copy_expert("copy batch from stdin", io.StringIO(rows))
            with self.lock:
                self.unsure.discard(batch)
                self.loaded.add(batch)

    @until_the_kill
    def deleter(self, port: int, seed: int, stop: threading.Event):
        rng = random.Random(seed)
        cursor = autocommit_cursor(port)
        while not stop.is_set():
            with self.lock:
                some = sorted(self.loaded)
                gone = rng.sample(some, min(len(some), rng.randint(1, 4))) if len(some) > 3 else []
                self.loaded.difference_update(gone)
                self.unsure.update(gone)
            if not gone:
                stop.wait(0.02)
                continue
            cursor.execute("delete from batch where batch = any(%s)", (gone,))
            assert cursor.rowcount == self.ROWS * len(gone), f"{cursor.rowcount} rows of {len(gone)} batches deleted"
            with self.lock:
                self.unsure.difference_update(gone)
                self.deleted.update(gone)

    @until_the_kill
    def indexer(self, port: int, seed: int, stop: threading.Event):
        rng = random.Random(seed)
        cursor = autocommit_cursor(port)
        while not stop.is_set():
            cursor.execute("drop index if exists batch_extra")
            cursor.execute(rng.choice(("create index batch_extra on batch (note, id)", "create unique index batch_extra on batch (batch, id)")))
            self.indexes_built += 1

    @staticmethod
    @until_the_kill
    def checkpointer(port: int, seed: int, stop: threading.Event):
        rng = random.Random(seed)
        cursor = autocommit_cursor(port)
        while not stop.wait(rng.uniform(0, 0.6)):
            cursor.execute("checkpoint")

    def check(self, server):
        for settings in ("set enable_seqscan = off;", "set enable_indexscan = off;"):
            there = {}
            for line in server.sql(settings + "select batch, count(*), min(id), max(id) from batch where batch > 0 group by batch").splitlines():
                if "|" in line:
                    batch, count, low, high = map(int, line.split("|"))
                    there[batch] = count
                    assert (count, low, high) == (self.ROWS, batch * self.ROWS, batch * self.ROWS + self.ROWS - 1), f"half there: {line}"
            lost, back = self.loaded - set(there), self.deleted & set(there)
            assert not lost, f"acknowledged COPYs are lost: {sorted(lost)[:10]}"
            assert not back, f"acknowledged DELETEs are undone: {sorted(back)[:10]}"
            assert set(there) <= self.loaded | self.unsure, f"never sent: {sorted(set(there) - self.loaded - self.unsure)[:10]}"
        # What had no answer is decided now.
        self.loaded, self.deleted, self.unsure = set(there), self.deleted | (self.unsure - set(there)), set()
