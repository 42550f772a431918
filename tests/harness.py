"""Servers for tests: a RustBD, or a PostgreSQL to compare with, each with its own directory and port."""
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
POSTGRES_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")


def binary() -> str:
    return os.environ.get("RUSTBD", str(ROOT / "build/release/rustbd"))


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, what: str, seconds: float = 60.0):
    """Asks again and again until `condition` gives something true; raises after the limit."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds:g} s")


def psql(port: int, sql: str, *options: str, user="postgres", check=True, timeout=300) -> str:
    done = subprocess.run(
        ["psql", "-X", "-h", "127.0.0.1", "-p", str(port), "-U", user, "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-At", *options, "-c", sql],
        capture_output=True, text=True, timeout=timeout, env={**os.environ, "PGCONNECT_TIMEOUT": "10"})
    if check and done.returncode != 0:
        raise AssertionError(f"psql failed ({done.returncode}): {sql}\n{done.stderr}")
    return done.stdout.rstrip("\n")


class Rustbd:
    """A server process. `with Rustbd(dir) as server:` or start() and stop() or kill(). `socket_dir`: it listens on a Unix-domain socket
    there too. `open_files`: its soft and hard limit of file descriptors."""

    def __init__(self, data=None, *flags: str, env=None, socket_dir=None, open_files=None):
        self.own = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="rustbd-"))
        self.flags = list(flags)
        self.env = env or {}
        self.socket_dir = socket_dir
        self.open_files = open_files
        self.port = self.http = 0
        self.process = None
        self.log_path = pathlib.Path(str(self.data) + ".log")

    def start(self, wait=True, seconds=120, port=None):
        self.port, self.http = port or free_port(), free_port()
        listen = f"127.0.0.1:{self.port}" + (f",{self.socket_dir}:{self.port}" if self.socket_dir else "")
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [binary(), "serve", "--data", str(self.data), "--insecure", "--listen", listen, "--http", f"127.0.0.1:{self.http}", *self.flags],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.env},
            preexec_fn=self.open_files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, self.open_files)))
        log.close()
        if wait:
            self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=120):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            try:
                return psql(self.port, "select 1") == "1"
            except AssertionError:
                return False
        wait_until(ready, "server ready", seconds)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def sql(self, text: str, *options: str, **more) -> str:
        return psql(self.port, text, *options, **more)

    def refusal(self, text: str) -> str:
        """What psql says of statements of which one fails: `ERROR:  XX001: ...`."""
        done = subprocess.run(["psql", "-X", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-v", "VERBOSITY=verbose", "-v",
                               "ON_ERROR_STOP=1", "-c", text], capture_output=True, text=True, timeout=120)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def stop(self):
        """Nothing to do if the server has ended; one that runs must end well."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the server did not stop within 60 s of SIGTERM")
        assert self.process.returncode == 0, f"the server ended with {self.process.returncode} on SIGTERM:\n{self.log()[-4000:]}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            if kind is not None and self.process is not None and self.process.poll() is not None:
                print(f"the server ended with {self.process.returncode}:\n{self.log()[-4000:]}", flush=True)
            self.stop() if kind is None else self.kill()
        finally:
            if self.own:
                shutil.rmtree(self.data, ignore_errors=True)
                self.log_path.unlink(missing_ok=True)


class Postgres:
    """A PostgreSQL 15 of its own, to compare with. Needs the package postgresql-15."""

    def __init__(self, *options: str):
        self.options = options

    def _as_postgres(self, *command: str):
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] if os.geteuid() == 0 else []
        subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        self.dir = self.socket_dir = pathlib.Path(tempfile.mkdtemp(prefix="postgres-"))
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres", "postgres")
        self.data = self.dir / "data"
        self.port = free_port()
        self._as_postgres(str(POSTGRES_BIN / "initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8")
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.dir}", "timezone=UTC",
                    "max_prepared_transactions=64", *self.options]
        flags = " ".join(f"-c {s}" for s in settings)
        self._as_postgres(str(POSTGRES_BIN / "pg_ctl"), "-D", str(self.data), "-w", "-l", str(self.dir / "log"), "-o", flags, "start")
        return self

    def sql(self, text: str, *options: str, **more) -> str:
        return psql(self.port, text, *options, **more)

    def __exit__(self, *_):
        self._as_postgres(str(POSTGRES_BIN / "pg_ctl"), "-D", str(self.data), "-m", "immediate", "stop")
        shutil.rmtree(self.dir, ignore_errors=True)


class Context:
    """What a test gets: a shared server of the file, made when first asked for."""

    def __init__(self):
        self._server = self._postgres = None

    @property
    def server(self) -> Rustbd:
        if self._server is None:
            self._server = Rustbd().__enter__()
        return self._server

    @property
    def postgres(self) -> Postgres:
        if self._postgres is None:
            self._postgres = Postgres().__enter__()
        return self._postgres

    def close(self, failed: bool):
        if self._server is not None:
            self._server.__exit__(Exception if failed else None)
        if self._postgres is not None:
            self._postgres.__exit__(None, None, None)
