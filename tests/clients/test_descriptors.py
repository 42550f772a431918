"""Clients that take all file descriptors there are: the log goes on, and who finds no room is told so."""
import os
import pathlib
import resource
import socket
import subprocess
import sys
import urllib.request

import psycopg

import harness

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import wire  # noqa: E402

LIMIT = 128


def metric(server, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


def test_silent_clients_leave_the_log_its_files(context):
    with harness.Rustbd(None, "--set", "server.network_threads=2", "--set", "server.connection_timeout=1h", open_files=(LIMIT, LIMIT),
                        env={"RUSTBD_WAL_SEGMENT_SIZE": "1MiB"}) as server:
        assert "server.max_connections is 10000: raise ulimit -n" in server.log(), server.log()
        session = psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres", autocommit=True)
        session.execute("create table t (id int primary key, v text)")
        silent = []
        for _ in range(140):
            silent.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        harness.wait_until(lambda: metric(server, "rustbd_connections_refused_total") > 90, "the rest is refused")
        descriptors = f"/proc/{server.process.pid}/fd"
        assert len(os.listdir(descriptors)) < LIMIT - 16, "there is a reserve"
        rows = 0
        for _ in range(80):
            session.execute(f"insert into t select g, repeat(md5(g::text), 20) from generate_series({rows + 1}, {rows + 100}) g")
            rows += 100
        assert session.execute("select count(*), sum(length(v)) from t").fetchone() == (rows, rows * 640)
        # Both a client that waits for words and libpq, which speaks first, get a reason.
        with wire.Wire(server.port) as refused:
            kind, body = refused.next()
            assert kind == "E" and b"C53300\0" in body and refused.at_end(), (kind, body)

        def refusal():
            try:
                psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres").close()
            except psycopg.OperationalError as e:
                return str(e)
            raise AssertionError("it got in")

        harness.wait_until(lambda: "sorry, too many clients already" in refusal(), "those that say nothing go soon when there is no room")
        for _ in range(20):
            assert "sorry, too many clients already" in refusal()
        assert "connections are refused: the limit of open files is reached" in server.log()
        for s in silent:
            s.close()
        harness.wait_until(lambda: server.sql("select 1", check=False) == "1", "there is room again")
        session.close()
        server.kill()
        server.start()
        assert server.sql("select count(*), sum(length(v)) from t") == f"{rows}|{rows * 640}"


def test_a_limit_taken_away_refuses_writes_until_it_is_back(context):
    """Nothing can be opened any more, as if another process had used up what the machine has (ENFILE)."""
    with harness.Rustbd(env={"RUSTBD_WAL_SEGMENT_SIZE": "1MiB"}) as server:
        session = psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres", autocommit=True)
        session.execute("create table t (id int primary key, v text)")
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        rows = 0

        def insert():
            nonlocal rows
            session.execute(f"insert into t select g, repeat(md5(g::text), 20) from generate_series({rows + 1}, {rows + 100}) g")
            rows += 100

        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            for _ in range(200):
                insert()
            raise AssertionError("nothing is refused")
        except psycopg.errors.InsufficientResources as e:
            assert "too many open files" in str(e), e
        assert "cannot be made ahead: too many open files" in server.log()
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
        harness.wait_until(lambda: "the log can grow again" in server.log(), "a segment is made")
        for _ in range(40):
            insert()
        assert metric(server, "rustbd_wal_segment_failures_total") > 0
        session.close()
        server.kill()
        server.start()
        assert server.sql("select count(*), sum(length(v)) from t") == f"{rows}|{rows * 640}"


def test_a_limit_that_is_no_use_is_refused_at_start(context):
    done = subprocess.run(["bash", "-c", f"ulimit -n 40; exec {harness.binary()} serve --data /tmp/rustbd-never-made-{os.getpid()} --insecure"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "the limit of open files is 40, and this server needs at least" in done.stderr, done


def test_the_soft_limit_is_raised(context):
    with harness.Rustbd(open_files=(256, 1024)) as server:
        assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (1024, 1024)
