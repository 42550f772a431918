"""pgbench: initialisation and its three scripts in all protocol modes, without one error."""
import pathlib
import re
import subprocess

PGBENCH = pathlib.Path("/usr/lib/postgresql/15/bin/pgbench")
SECONDS = 3


def pgbench(context, *arguments):
    done = subprocess.run([str(PGBENCH), "-h", "127.0.0.1", "-p", str(context.server.port), "-U", "postgres", *arguments, "postgres"],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_initialise(context):
    output = pgbench(context, "-i", "-s", "1")
    assert "done in" in output, output
    assert context.server.sql("select count(*) from pgbench_accounts") == "100000"
    assert context.server.sql("select count(*) from pg_constraint where contype = 'p' and conrelid::regclass::text like 'pgbench%'") == "3"
    pgbench(context, "-i", "-s", "1", "--foreign-keys", "-I", "dtGvpf")
    assert context.server.sql("select count(*) from pg_constraint where contype = 'f' and conrelid::regclass::text like 'pgbench%'") == "5"
    pgbench(context, "-i", "-s", "1")


def run_mode(context, mode):
    for script in ("tpcb-like", "simple-update", "select-only"):
        output = pgbench(context, "-M", mode, "-b", script, "-c", "4", "-j", "2", "-T", str(SECONDS), "-n")
        count = int(re.search(r"number of transactions actually processed: (\d+)", output)[1])
        assert count > 10, output
        assert "number of failed transactions: 0 (0.000%)" in output, output
        # What the transactions wrote adds up.
        sums = context.server.sql("select (select sum(abalance) from pgbench_accounts) = coalesce((select sum(delta) from pgbench_history), 0)")
        assert sums == "t", (mode, script)


def test_simple(context):
    run_mode(context, "simple")


def test_extended(context):
    run_mode(context, "extended")


def test_prepared(context):
    run_mode(context, "prepared")
