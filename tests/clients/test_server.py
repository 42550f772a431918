"""The process: start, stop, passwords, TLS, configuration, health, metrics."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import harness
import psycopg


def get(port, path, host=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def serve(*arguments, env=None, timeout=60):
    """Runs `rustbd serve` that is expected to fail."""
    return subprocess.run([harness.binary(), "serve", *arguments], capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})})


def test_health_and_metrics(context):
    server = context.server
    status, body = get(server.http, "/healthz")
    assert status == 200 and json.loads(body)["status"] == "ok" and json.loads(body)["uptime_s"] >= 0
    assert get(server.http, "/readyz")[0] == 200
    assert get(server.http, "/nothing")[0] == 404
    assert get(server.http, "/metrics", host="evil.example")[0] == 421
    assert get(server.http, "/metrics", host="localhost:8433")[0] == 200

    def metrics():
        out = {}
        for line in get(server.http, "/metrics")[1].splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out
    before = metrics()
    for name in ("rustbd_queries_total", "rustbd_query_duration_seconds_count", "rustbd_active_connections", "rustbd_buffer_hit_ratio", "rustbd_transactions_total"):
        assert name in before, name
    with psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres", autocommit=True) as c:
        for _ in range(10):
            c.execute("select 1")
        try:
            c.execute("select 1/0")
        except psycopg.errors.DivisionByZero:
            pass
        now = metrics()
        assert now["rustbd_active_connections"] >= 1
    assert now["rustbd_queries_total"] - before["rustbd_queries_total"] == 11
    assert now["rustbd_queries_total"] == now["rustbd_query_duration_seconds_count"]
    assert 0 <= now["rustbd_buffer_hit_ratio"] <= 1
    assert now["rustbd_transactions_total"] > before["rustbd_transactions_total"]
    assert now['rustbd_errors_total{sqlstate="22012"}'] >= 1


def test_buffer_stats(context):
    server = context.server
    server.sql("create table buffer_stats_load as select g, repeat('x', 500) t from generate_series(1, 20000) g")
    server.sql("checkpoint")
    row = dict(zip(("hits", "misses", "evictions", "dirty", "failures", "ratio", "waits", "read_us", "write_us"), server.sql(
        "select hits, misses, evictions, dirty_pages, checksum_failures, hit_ratio, frame_waits, mean_read_us, mean_write_us"
        " from rustbd_buffer_stats").split("|")))
    assert int(row["hits"]) > 0 and int(row["failures"]) == 0 and int(row["waits"]) >= 0 and 0 < float(row["ratio"]) <= 1, row
    assert 0 < float(row["write_us"]) < 60e6, row
    written = server.sql("select value from rustbd_metrics where name = 'rustbd_io_seconds_count{op=\"write\"}'")
    synced = server.sql("select value from rustbd_metrics where name = 'rustbd_io_seconds_count{op=\"sync\"}'")
    assert float(written) >= 1 and float(synced) >= 1, (written, synced)
    server.sql("drop table buffer_stats_load")


def test_direct_io(context):
    env = {"RUSTBD_BUFFER_DIRECT_IO": "true", "RUSTBD_BUFFER_SIZE": "16MiB"}
    with harness.Rustbd(env=env) as server:
        def flags():
            for link in pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir():
                if os.readlink(link).endswith("/rustbd.db"):
                    return int(re.search(r"flags:\s+(\d+)", (link.parent.parent / "fdinfo" / link.name).read_text())[1], 8)
            raise AssertionError("rustbd.db is not open")
        server.sql("create table d as select g, repeat(md5(g::text), 10) t from generate_series(1, 100000) g; checkpoint")
        refused = "does not grant direct I/O" in server.log()
        assert bool(flags() & os.O_DIRECT) != refused, "it is direct, or the log says that it is not"
        wanted = server.sql("select count(*), md5(string_agg(t, ',' order by g)) from d where g % 7 = 0")
        server.kill()
        server.start()
        assert server.sql("select count(*), md5(string_agg(t, ',' order by g)) from d where g % 7 = 0") == wanted
        server.stop()
        server.env["RUSTBD_BUFFER_DIRECT_IO"] = "false"
        server.start()
        assert not flags() & os.O_DIRECT
        assert server.sql("select count(*), md5(string_agg(t, ',' order by g)) from d where g % 7 = 0") == wanted


def test_second_server_on_the_directory(context):
    done = serve("--data", str(context.server.data), "--insecure", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    assert done.returncode == 1, done
    assert "data directory is in use by another server" in done.stderr, done.stderr
    assert context.server.sql("select 1") == "1"


def test_address_in_use(context):
    data = tempfile.mkdtemp(prefix="rustbd-")
    try:
        for flags in (("--listen", f"127.0.0.1:{context.server.port}", "--http", "127.0.0.1:0"), ("--listen", "127.0.0.1:0", "--http", f"127.0.0.1:{context.server.http}")):
            done = serve("--data", data, "--insecure", *flags)
            port = context.server.port if flags[1].endswith(str(context.server.port)) else context.server.http
            assert done.returncode == 1 and f"could not listen on 127.0.0.1:{port}" in done.stderr, done
    finally:
        shutil.rmtree(data)


def test_usage_and_configuration_errors(context):
    data = tempfile.mkdtemp(prefix="rustbd-")
    try:
        assert serve("--nonsense").returncode == 2
        assert subprocess.run([harness.binary()], capture_output=True).returncode == 2
        done = serve("--data", data, "--insecure", "--listen", "0.0.0.0:0")
        assert done.returncode == 1 and "loopback" in done.stderr, done
        path = pathlib.Path(data) / "rustbd.toml"
        for text, expected in (("[server]\nlisten_adress = \"x\"\n", 'Perhaps you meant "server.listen"'), ("[buffer]\nsize = \"lots\"\n", "rustbd.toml:2: buffer.size"),
                               ("[exec]\nthreads = 5000\n", "rustbd.toml:2: exec.threads: 5000 is not between 0 and 512"),
                               ("[server\n", "rustbd.toml:1"), ("[log]\nformat = \"xml\"\n", "text,json")):
            path.write_text(text)
            done = serve("--data", data, "--insecure")
            assert done.returncode == 1 and expected in done.stderr, (text, done.stderr)
        # flag > variable > file > default
        path.write_text("[server]\nmax_connections = 11\n[checkpoint]\ntimeout = \"1m\"\n[exec]\nlock_timeout = \"2s\"\n")
        done = subprocess.run([harness.binary(), "config", "--data", data, "--json", "--set", "exec.lock_timeout=4s"], capture_output=True, text=True,
                              env={**os.environ, "RUSTBD_EXEC_LOCK_TIMEOUT": "3s", "RUSTBD_CHECKPOINT_TIMEOUT": "2m"})
        values = {v["key"]: (v["value"], v["source"]) for v in json.loads(done.stdout)}
        assert values["server.max_connections"] == ("11", "file") and values["checkpoint.timeout"] == ("2m", "environment"), values
        assert values["exec.lock_timeout"] == ("4s", "flag") and values["log.level"] == ("info", "default"), values
    finally:
        shutil.rmtree(data)


def test_configured_limits(context):
    with harness.Rustbd(None, "--set", "server.max_connections=3", "--set", "exec.lock_timeout=1500ms", "--log-format", "json") as server:
        assert server.sql("show max_connections") == "3"
        assert server.sql("show lock_timeout") == "1500ms"
        held = [psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres") for _ in range(3)]
        try:
            psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres")
            raise AssertionError("no error")
        except psycopg.OperationalError as e:
            assert "too many" in str(e), e
        for c in held:
            c.close()
        harness.wait_until(lambda: server.sql("select 1", check=False) == "1", "a place is free again")
    # The log is one JSON object a line, behind what is printed for people.


def test_as_many_threads_as_may_be(context):
    with harness.Rustbd(None, "--set", "exec.threads=512", "--set", "server.network_threads=256", "--set", "recovery.workers=128",
                        "--set", "server.max_connections=16000") as server:
        server.sql("create table t as select g, g % 7 as k from generate_series(1, 200000) g")
        server.kill()
        server.start()
        connections = [psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres") for _ in range(300)]
        for c in connections:
            assert c.execute("select count(distinct k) from t").fetchone() == (7,)
            c.close()


def test_reload(context):
    """SIGHUP and pg_reload_conf() read the file again; what cannot change while the server runs says so."""
    with harness.Rustbd() as server:
        configuration = server.data / "rustbd.toml"
        configuration.write_text('[buffer]\neviction_policy = "lru"\nwrite_strategy = "writethrough"\n[checkpoint]\ntimeout = "7m"\n')
        assert server.sql("select pg_reload_conf()") == "t"
        for line in ('reload: buffer.eviction_policy = "lru" from now on', 'reload: buffer.write_strategy = "writethrough" from now on',
                     'reload: checkpoint.timeout = "7m" waits for a restart'):
            assert line in server.log(), server.log()[-2000:]
        # Write-through: what a statement changes is written without a checkpoint.
        def writes():
            return float(re.search(r"^rustbd_page_writes_total (\S+)", get(server.http, "/metrics")[1], re.M)[1])
        before = writes()
        server.sql("create table t (id int primary key); insert into t select generate_series(1, 1000)")
        harness.wait_until(lambda: writes() > before, "written through")

        configuration.write_text('[buffer]\neviction_policy = "newest"\n')
        assert server.sql("select pg_reload_conf()") == "f"
        assert "reload failed, nothing has changed" in server.log()
        configuration.write_text('[buffer]\neviction_policy = "random"\n')
        server.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: 'reload: buffer.eviction_policy = "random" from now on' in server.log(), "SIGHUP")
        server.sql("create role plain login")
        try:
            harness.psql(server.port, "select pg_reload_conf()", user="plain")
        except AssertionError as e:
            assert "permission denied for function pg_reload_conf" in str(e)
        else:
            raise AssertionError("anybody may reload")


def test_json_log_has_no_secrets(context):
    server = harness.Rustbd(None, "--log-format", "json")
    try:
        server.start()
        server.sql("create role logged login password 'tops3cret'")
        server.stop()
        lines = [line for line in server.log().splitlines() if line.startswith("{")]
        events = [json.loads(line) for line in lines]
        assert any("ready" in e["event"] for e in events) and any("stopped" in e["event"] for e in events), lines
        assert "tops3cret" not in server.log()
    finally:
        shutil.rmtree(server.data, ignore_errors=True)


def test_sigterm_drains(context):
    server = harness.Rustbd().start()
    try:
        server.sql("create table drained (i int)")
        server.sql("insert into drained values (1)")
        idle = psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres", autocommit=True)
        idle.execute("select 1")
        holder = psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres")
        holder.execute("select i from drained for update")
        busy = psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres", autocommit=True)
        outcome = []

        def work():
            try:
                outcome.append(busy.execute("update drained set i = i + 1 returning i").fetchone())
            except psycopg.Error as e:
                outcome.append(e)
        thread = threading.Thread(target=work)
        thread.start()
        harness.wait_until(lambda: server.sql("select count(*) from pg_stat_activity where query like 'update drained%' and state = 'active'") == "1", "the update waits")
        server.process.send_signal(signal.SIGTERM)

        def ended():
            try:
                idle.execute("select 1")
                return False
            except psycopg.OperationalError as e:
                assert e.sqlstate in ("57P01", None), e
                return True
        harness.wait_until(ended, "the idle session is told to go", 10)
        assert not outcome and server.process.poll() is None
        holder.commit()          # running transactions may end
        thread.join(60)
        assert outcome == [(2,)], outcome
        assert server.process.wait(60) == 0
        assert "stopped" in server.log()
        server.start()
        assert server.sql("select * from drained") == "2"
        # A second signal does not wait for anybody.
        stuck = psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres")
        stuck.execute("insert into drained values (2)")
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)      # the first signal has been taken; the transaction is still open
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        server.start()
        assert server.sql("select count(*) from drained") == "1"
    finally:
        server.stop()
        shutil.rmtree(server.data, ignore_errors=True)


class Secured:
    """A server without --insecure."""

    def __init__(self, data, *flags, env=None, socket_dir=None):
        self.port, self.http = harness.free_port(), harness.free_port()
        listen = f"127.0.0.1:{self.port}" + (f",{socket_dir}:{self.port}" if socket_dir else "")
        self.log = pathlib.Path(str(data) + ".secured.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([harness.binary(), "serve", "--data", str(data), "--listen", listen, "--http", f"127.0.0.1:{self.http}", *flags],
                                            stdout=log, stderr=log, env={**os.environ, **(env or {})})
        try:
            harness.wait_until(lambda: "Connect with" in self.log.read_text() or self.process.poll() is not None, "secured server")
            assert self.process.poll() is None, self.log.read_text()
        except AssertionError:
            self.stop()
            raise

    def password(self):
        found = re.search(r"Password of postgres \(shown once\): (\S+)", self.log.read_text())
        return found and found[1]

    def connect(self, user="postgres", host="127.0.0.1", **more):
        return psycopg.connect(host=host, port=self.port, user=user, dbname="postgres", autocommit=True, **more)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.log.unlink(missing_ok=True)


def test_scram_login(context):
    data = tempfile.mkdtemp(prefix="rustbd-")
    try:
        server = Secured(data)
        password = server.password()
        assert password and len(password) >= 16, server.log.read_text()
        assert os.stat(data).st_mode & 0o777 == 0o700
        with server.connect(password=password) as c:
            c.execute("create role alice login password 'wonder«land»'")
            c.execute("create role bob nologin password 'x'")
            c.execute("create role carol login")
            verifier = c.execute("select rolpassword from pg_authid where rolname = 'alice'").fetchone()[0]
            assert re.fullmatch(r"SCRAM-SHA-256\$4096:[A-Za-z0-9+/=]{24}\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}", verifier), verifier
        with server.connect("alice", password="wonder«land»") as c:
            assert c.execute("select current_user").fetchone() == ("alice",)
            c.execute("alter role alice password 'changed'")
        texts = set()
        for user, wrong in (("alice", "wonder«land»"), ("carol", ""), ("nobody", "x"), ("postgres", "x")):
            try:
                server.connect(user, password=wrong or " ")
                raise AssertionError(f"{user} came in")
            except psycopg.OperationalError as e:
                assert f'password authentication failed for user "{user}"' in str(e), e
                texts.add(str(e).replace(user, "X").split("FATAL")[1])
        assert len(texts) == 1, texts
        try:
            server.connect("bob", password="x")
            raise AssertionError("bob came in")
        except psycopg.OperationalError as e:
            assert "is not permitted to log in" in str(e), e
        server.stop()
        # The password is not shown again, and it still works.
        server = Secured(data)
        assert server.password() is None
        server.connect("alice", password="changed").close()
        server.connect(password=password).close()
        server.stop()
    finally:
        shutil.rmtree(data, ignore_errors=True)


def test_unix_socket(context):
    with tempfile.TemporaryDirectory(prefix="rustbd-") as sockets:
        server = harness.Rustbd(None, socket_dir=sockets)
        with server:
            path = pathlib.Path(f"{sockets}/.s.PGSQL.{server.port}")
            at = f"host={sockets} port={server.port} user=postgres dbname=postgres"
            with psycopg.connect(at, autocommit=True) as c:
                # As PostgreSQL has it for a client without an address.
                assert c.execute("select client_addr, client_port, inet_client_port() from pg_stat_activity where pid = pg_backend_pid()").fetchone() == (None, -1, None)
                c.execute("create table over_socket (t text)")
                with c.cursor() as cursor, cursor.copy("copy over_socket from stdin") as copy:
                    for _ in range(3000):
                        copy.write("y" * 500 + "\n")
                rows = c.execute("select repeat('x', 1000) from over_socket").fetchall()
                assert len(rows) == 3000 and all(r == ("x" * 1000,) for r in rows)
                c.cancel()
            for mode, wrong in ((f"127.0.0.1:0,{sockets}:{server.port}", "another server is listening there"), (f"{sockets}/missing:5433", "No such file or directory"),
                                (f"{sockets}/{'x' * 100}:5433", "longer than 107 bytes"), (f"{sockets}:0", "invalid address"), (f"{sockets}", "invalid address")):
                done = serve("--data", f"{sockets}/other", "--insecure", "--listen", mode, "--http", "127.0.0.1:0")
                assert done.returncode == 1 and wrong in done.stderr, done
            done = serve("--data", f"{sockets}/other", "--insecure", "--listen", "127.0.0.1:0", "--http", f"{sockets}:8433")
            assert done.returncode == 1 and "takes no Unix-domain socket" in done.stderr, done
            assert path.is_socket() and server.sql("select count(*) from over_socket") == "3000"
            server.stop()
            assert not path.exists()
            # A server that is killed leaves its socket behind; the next one takes its place.
            server.start()
            killed = server.port
            server.kill()
            path = pathlib.Path(f"{sockets}/.s.PGSQL.{killed}")
            assert path.is_socket()
            server.start(port=killed)
            with psycopg.connect(f"host={sockets} port={killed} user=postgres dbname=postgres") as c:
                assert c.execute("select count(*) from over_socket").fetchone() == (3000,)
            server.stop()
            assert not path.exists()
            # A file that is no socket is nobody's to remove.
            path.write_text("mine")
            done = serve("--data", f"{sockets}/other", "--insecure", "--listen", f"{sockets}:{killed}", "--http", "127.0.0.1:0")
            assert done.returncode == 1 and "Address already in use" in done.stderr and path.read_text() == "mine", done


def ssl_answer(connection):
    with connection:
        connection.sendall(struct.pack("!ii", 8, 80877103))
        return connection.recv(1)


def test_tls(context):
    data = tempfile.mkdtemp(prefix="rustbd-")
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", f"{data}/key.pem", "-out", f"{data}/cert.pem"],
                       check=True, capture_output=True)
        server = Secured(f"{data}/data", "--set", f"tls.cert={data}/cert.pem", "--set", f"tls.key={data}/key.pem", env={"RUSTBD_ADMIN_PASSWORD": "given by env"},
                         socket_dir=data)
        try:
            assert server.password() is None
            with server.connect(password="given by env", sslmode="require") as c:
                assert c.pgconn.ssl_in_use
                assert c.execute("show ssl").fetchone() == ("on",)
                rows = c.execute("select repeat('x', 1000) from generate_series(1, 5000)").fetchall()
                assert len(rows) == 5000 and all(r == ("x" * 1000,) for r in rows)
                with c.cursor() as cursor:
                    c.execute("create table over_tls (t text)")
                    with cursor.copy("copy over_tls from stdin") as copy:
                        for _ in range(3000):
                            copy.write("y" * 500 + "\n")
                assert c.execute("select count(*), min(length(t)) from over_tls").fetchone() == (3000, 500)
            with server.connect(password="given by env", sslmode="verify-ca", sslrootcert=f"{data}/cert.pem") as c:
                assert c.pgconn.ssl_in_use
            with server.connect(password="given by env", sslmode="disable") as c:
                assert not c.pgconn.ssl_in_use
            assert ssl_answer(socket.create_connection(("127.0.0.1", server.port))) == b"S"
            local = socket.socket(socket.AF_UNIX)
            local.connect(f"{data}/.s.PGSQL.{server.port}")
            assert ssl_answer(local) == b"N"
            with server.connect(password="given by env", host=data) as c:
                assert not c.pgconn.ssl_in_use
        finally:
            server.stop()
        done = serve("--data", f"{data}/data", "--insecure", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--set", f"tls.cert={data}/missing.pem")
        assert done.returncode == 1 and "missing.pem" in done.stderr, done
    finally:
        shutil.rmtree(data, ignore_errors=True)


def test_wide_tables(context):
    """What a page cannot hold is refused by CREATE, ALTER, INSERT and UPDATE; nothing hangs, and the server goes on."""
    def columns(count, kind):
        return ", ".join(f"c{i} {kind}" for i in range(count))

    def values(count, value):
        return ", ".join([value] * count)
    with harness.Rustbd() as server:
        server.sql("create table after (a int)")
        assert "54011" in server.refusal(f"create table w ({columns(1200, 'bool')})")
        assert "54011" in server.refusal(f"create table w ({columns(1100, 'bigint')})")
        server.sql(f"create table bools ({columns(1000, 'bool')}); insert into bools values ({values(1000, 'true')})")
        assert server.sql("update bools set c5 = false; select count(*) from bools where c999 and not c5", "-q") == "1"
        assert "54011" in server.refusal(f"alter table bools {', '.join(f'add column d{i} int' for i in range(20))}")
        server.sql(f"create table texts ({columns(700, 'text')})")
        assert "54000" in server.refusal(f"insert into texts values ({values(700, chr(39) + 'fourteen bytes' + chr(39))})")
        server.sql(f"insert into texts values ({values(700, chr(39) + 'four' + chr(39))})")
        assert "54000" in server.refusal(f"update texts set {', '.join(f'c{i} = repeat(c{i}, 4)' for i in range(700))}")
        assert server.sql("select c0, c699, count(*) over () from texts") == "four|four|1"
        assert "rows that are there might not fit" in server.refusal("alter table texts add column d int")
        server.sql("update texts set c0 = repeat('long', 100000)")
        server.kill()
        server.start()
        assert server.sql("select length(c0), c699 from texts; select count(*) from bools where c999 and not c5") == "400000|four\n1"
        server.stop()
        done = subprocess.run([harness.binary(), "check", "--deep", "--data", str(server.data)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
