"""What the benches share: the two servers, CPU time, medians, the table that most of them load, tables of results."""
import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import harness  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
BIN = harness.POSTGRES_BIN


def _stat(pid: int):
    """Parent, and utime + stime + (of children that were waited for) cutime + cstime in ticks; None: no such process."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2:].split()  # the name may hold anything: count from its closing bracket
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def cpu_seconds(root: int) -> float:
    """CPU time of a server so far: the process, its living descendants, and those that have ended."""
    processes = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := _stat(int(entry))):
            processes[int(entry)] = found
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        if pid in processes:
            total += processes[pid][1] + processes[pid][2]
            todo += [child for child, (parent, _, _) in processes.items() if parent == pid]
    return total / TICKS


def disk_bytes(path: pathlib.Path, but: str = "") -> int:
    """Allocated bytes of a directory, without its subdirectory `but`."""
    total = 0
    for folder, folders, files in os.walk(path):
        if but in folders:
            folders.remove(but)
        for name in files:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(folder, name)).st_blocks * 512
    return total


class Server:
    """One side of the comparison."""

    def __init__(self, name: str, server, pid: int, data: pathlib.Path, log_folder: str):
        self.name, self.server, self.pid, self.data, self.log_folder = name, server, pid, pathlib.Path(data), log_folder
        self.port, self.socket_dir = server.port, server.socket_dir

    def sql(self, text: str, *options: str) -> str:
        return self.server.sql(text, *options, timeout=3600)

    def cpu(self) -> float:
        return cpu_seconds(self.pid)

    def log_position(self) -> int:
        high, low = self.sql("select pg_current_wal_lsn()").split("/")
        return (int(high, 16) << 32) + int(low, 16)

    def log_syncs(self) -> int:
        """Syncs of the log so far."""
        if self.name == "PostgreSQL":
            return int(self.sql("select wal_sync from pg_stat_wal"))
        return int(self.metric("rustbd_wal_fsync_seconds_count"))

    def metric(self, name: str) -> float:
        """Of RustBD."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.http}/metrics") as metrics:
            return float(re.search(rf"^{name}(?:{{}})? (\S+)", metrics.read().decode(), re.M)[1])

    def data_bytes(self) -> int:
        return disk_bytes(self.data, self.log_folder)


@contextlib.contextmanager
def servers(options, rustbd_env=None, postgres_options=(), sealed=False):
    """RustBD and a PostgreSQL 15, each new and empty, both durable (fsync on), with the same buffer size if one is asked for. `sealed`:
    also a RustBD with encryption."""
    with contextlib.ExitStack() as stack:
        env = {**(rustbd_env or {}), **({"RUSTBD_BUFFER_SIZE": options.buffer} if options.buffer else {})}
        postgres_settings = ["fsync=on", *postgres_options]
        if options.buffer:
            postgres_settings.append("shared_buffers=" + options.buffer.replace("iB", "B"))
        rustbd = stack.enter_context(harness.Rustbd(None, env=env, socket_dir=stack.enter_context(scratch())))
        pair = [Server("RustBD", rustbd, rustbd.process.pid, rustbd.data, "wal")]
        if sealed:
            secret = pathlib.Path(stack.enter_context(scratch())) / "master.key"
            secret.write_text("5a" * 32)
            secret.chmod(0o600)
            other = stack.enter_context(harness.Rustbd(None, env={**env, "RUSTBD_ENCRYPTION_ENABLED": "true",
                                                                  "RUSTBD_ENCRYPTION_KEY_SOURCE": f"file:{secret}"},
                                                       socket_dir=stack.enter_context(scratch())))
            pair.append(Server("RustBD sealed", other, other.process.pid, other.data, "wal"))
        if not options.alone:
            postgres = stack.enter_context(harness.Postgres(*postgres_settings))
            pid = int((postgres.data / "postmaster.pid").read_text().split()[0])
            pair.append(Server("PostgreSQL", postgres, pid, postgres.data, "pg_wal"))
        for server in pair:
            print(f"{server.name}: {server.sql('show server_version')}, buffer pool {server.sql('show shared_buffers')}", flush=True)
        yield pair


def in_turn(pair, round_number: int):
    """Both servers, the other one first in every second round: what drifts (heat, page cache) hits both alike."""
    return pair if round_number % 2 == 0 else list(reversed(pair))


def arguments(description: str, **defaults):
    """The options that all benches have, and one for each of `defaults`: name=(default, help)."""
    parser = argparse.ArgumentParser(description=description)
    for name, (default, text) in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default, help=f"{text} ({default})")
    parser.add_argument("--buffer", default="", help="buffer pool of both servers, as 128MiB (each server's own default)")
    parser.add_argument("--json", default="", metavar="FILE", help="also writes all measurements to a file")
    parser.add_argument("--alone", action="store_true", help="measures RustBD only")
    options = parser.parse_args()
    subprocess.run([str(ROOT / "scripts/install-dependencies"), "build", "peers"], check=True)
    if "RUSTBD" not in os.environ:
        subprocess.run([str(ROOT / "scripts/build"), "release", "rustbd"], check=True, stdout=subprocess.DEVNULL)
    return options


def psql_file(server: Server, path: pathlib.Path, *options: str) -> str:
    done = subprocess.run(["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-d", "postgres",
                           "-v", "ON_ERROR_STOP=1", "-At", *options, "-f", str(path)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{server.name}: {done.stderr.strip()}")
    return done.stdout


# The table that load and query use: six columns, a primary key. The same rows for the same number, on every machine.
TABLE = """create table sales (id bigint primary key, customer integer not null, placed timestamp not null,
                    amount numeric(12,2) not null, status text not null, note text)"""
CUSTOMERS = "create table customers (id integer primary key, name text not null, region text not null)"
STATES = ("new", "paid", "packed", "shipped", "returned")
REGIONS = ("north", "east", "south", "west")


def write_rows(folder: pathlib.Path, rows: int):
    """Writes sales.tsv and customers.tsv (a tenth of the rows) for COPY."""
    pick = random.Random(rows)
    customers = max(1, rows // 10)
    with open(folder / "sales.tsv", "w") as out:
        for i in range(1, rows + 1):
            minute = pick.randrange(527040)  # of the year 2024
            day, month_day = minute // 1440, None
            month_day = time.strftime("%m-%d", time.gmtime(1704067200 + day * 86400))
            note = "\\N" if i % 3 else f"order {i} of customer, {pick.getrandbits(40):010x}"
            out.write(f"{i}\t{pick.randrange(customers) + 1}\t2024-{month_day} {minute % 1440 // 60:02}:{minute % 60:02}:00\t"
                      f"{pick.randrange(1, 1000000) / 100:.2f}\t{STATES[pick.randrange(5)]}\t{note}\n")
    with open(folder / "customers.tsv", "w") as out:
        for i in range(1, customers + 1):
            out.write(f"{i}\tcustomer {i}\t{REGIONS[pick.randrange(4)]}\n")


def copy_in(server: Server, table: str, path: pathlib.Path):
    """COPY FROM STDIN through psql; gives wall seconds and the server's CPU seconds."""
    before, begin = server.cpu(), time.monotonic()
    with open(path, "rb") as rows:
        done = subprocess.run(["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-d", "postgres",
                               "-v", "ON_ERROR_STOP=1", "-c", f"copy {table} from stdin"], stdin=rows, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{server.name}: {done.stderr.strip()}")
    return time.monotonic() - begin, server.cpu() - before


def scratch():
    return tempfile.TemporaryDirectory(prefix="rustbd-bench-")


def median(values):
    return statistics.median(values) if values else float("nan")


def ratio(a: float, b: float) -> str:
    return f"{a / b:.2f}" if b else "-"


def print_table(head, rows):
    table = [[str(cell) for cell in row] for row in [head, *rows]]
    width = [max(len(row[i]) for row in table) for i in range(len(head))]
    for number, row in enumerate(table):
        print("  ".join(cell.ljust(width[i]) if i == 0 else cell.rjust(width[i]) for i, cell in enumerate(row)).rstrip())
        if number == 0:
            print("  ".join("-" * w for w in width))
    sys.stdout.flush()


def save(options, measurements):
    if options.json:
        machine = {"cores": os.cpu_count(), "load": os.getloadavg(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        pathlib.Path(options.json).write_text(json.dumps({"machine": machine, "options": vars(options), "measurements": measurements}, indent=1) + "\n")


def note_load():
    load = os.getloadavg()[0]
    if load > 0.5 * os.cpu_count():
        print(f"note: other work keeps the machine busy (load {load:.1f} on {os.cpu_count()} cores); the numbers are not to be trusted", flush=True)
