"""All statements of the case files by many sessions at once, in any order, in one database: most fail, none may end the
server, get an internal error or leave damage. RUSTBD_STORM_SEED and RUSTBD_STORM_STATEMENTS (per session) choose the run.
"""
import os
import pathlib
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import differential  # noqa: E402
import harness  # noqa: E402

SESSIONS = 8
STATEMENTS = int(os.environ.get("RUSTBD_STORM_STATEMENTS", "1500"))
SEED = int(os.environ.get("RUSTBD_STORM_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
CHANGES = re.compile(r"\s*(create|drop|alter|insert|update|delete|truncate|reindex|comment|grant|revoke)\b", re.I)
MORE = ("begin", "begin isolation level repeatable read", "begin isolation level serializable", "commit", "rollback", "savepoint s",
        "rollback to s", "release s", "checkpoint", "analyze", "vacuum", "discard all", "show all", "set search_path = public",
        "select * from pg_stat_activity", "select * from pg_locks", "select * from information_schema.columns",
        "select pg_relation_size(oid), pg_get_viewdef(oid) from pg_class", "select pg_get_indexdef(indexrelid) from pg_index")
# What is there only because a session stumbled over the server: never an answer to a statement.
NEVER = ("XX", "58")


def statements_of_cases():
    files = [differential.CaseFile(path) for path in sorted(differential.CASES.glob("2*.sql"))]
    return [s.text for f in files for s in f.statements if s.text.strip() and s.data is None and not re.match(r"\s*copy\b|prepare transaction", s.text, re.I)]


class Storm:
    def __init__(self, context):
        self.server, self.wrong, self.worked = context.server, [], 0
        self.all = statements_of_cases()
        self.changes = [s for s in self.all if CHANGES.match(s)]

    def connect(self):
        connection = psycopg2.connect(host="127.0.0.1", port=self.server.port, user="postgres", dbname="postgres",
                                      connect_timeout=30, options="-c statement_timeout=30s -c lock_timeout=200ms")
        connection.autocommit = True
        return connection

    def session(self, number: int):
        rng, connection = random.Random(SEED * 1000 + number), self.connect()
        for _ in range(STATEMENTS):
            if rng.random() < 0.01:
                connection.close()
                connection = self.connect()
            part = rng.random()
            sql = rng.choice(MORE) if part < 0.15 else rng.choice(self.changes) if part < 0.8 else rng.choice(self.all)
            try:
                connection.cursor().execute(sql)
                self.worked += 1
            except psycopg2.Error as e:
                if e.pgcode is None or e.pgcode.startswith(NEVER):
                    self.wrong.append(f"{e.pgcode} {e} ON {sql}")
                    return
        connection.close()


def test_everything_at_once(context):
    storm = Storm(context)
    try:
        with ThreadPoolExecutor(SESSIONS) as pool:
            list(pool.map(storm.session, range(SESSIONS)))
        assert not storm.wrong, "\n".join(storm.wrong)
        assert storm.worked > SESSIONS * STATEMENTS / 20, f"only {storm.worked} statements worked: nothing is proven"
        storm.server.stop()
        check = subprocess.run([harness.binary(), "check", "--deep", "--data", str(storm.server.data)], capture_output=True, text=True, timeout=300)
        assert check.returncode == 0, check.stdout + check.stderr
    except BaseException:
        print(f"RUSTBD_STORM_SEED={SEED}", file=sys.stderr)
        raise
