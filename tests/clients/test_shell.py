"""`rustbd sql` on a server and on a directory, and `rustbd check`."""
import json
import os
import pathlib
import pty
import select
import shutil
import subprocess
import tempfile
import time

import harness


def sql(*arguments, stdin=None, env=None):
    return subprocess.run([harness.binary(), "sql", *arguments], input=stdin, capture_output=True, text=True, timeout=120, env={**os.environ, **(env or {})})


def on_server(context, *arguments, **more):
    return sql("-h", "127.0.0.1", "-p", str(context.server.port), "-U", "postgres", "-d", "postgres", *arguments, **more)


def test_table_output_is_psqls(context):
    for text in ("select 1 as a, 'two' as b, null as c, 3.50 as d", "select g, repeat('x', g) as x from generate_series(1, 3) g", "select 'a'  as only where false",
                 "select E'two\\nlines' as t, 5 as n", "select 'ünïcode' as u, true as yes"):
        ours = on_server(context, "-c", text)
        theirs = subprocess.run(["psql", "-X", "-h", "127.0.0.1", "-p", str(context.server.port), "-U", "postgres", "-c", text], capture_output=True, text=True)
        # psql ends a result with an empty line when it is not alone on the command line.
        assert ours.returncode == 0 and ours.stdout.rstrip("\n") == theirs.stdout.rstrip("\n"), f"{ours.stdout}{ours.stderr}\n{theirs.stdout}"


def test_formats(context):
    text = "select 1 as n, 'a,\"b' as t, null::int as nothing, true as yes"
    assert on_server(context, "--format", "csv", "-c", text).stdout == 'n,t,nothing,yes\n1,"a,""b",,t\n'
    assert json.loads(on_server(context, "--format", "json", "-c", text).stdout) == [{"n": 1, "t": 'a,"b', "nothing": None, "yes": True}]
    out = on_server(context, "--format", "vertical", "-c", text).stdout
    assert out.startswith("-[ RECORD 1 ]") and "n       | 1\n" in out, out


def test_exit_codes_and_errors(context):
    done = on_server(context, "-c", "select 1/0")
    assert done.returncode == 3 and "ERROR:  division by zero" in done.stderr, done
    done = on_server(context, stdin="select 'a' as x;\nselect wrong;\nselect 'z' as y;\n")
    assert done.returncode == 3 and "LINE 1: select wrong;\n               ^" in done.stderr and "z" in done.stdout, done
    done = on_server(context, "-v", "ON_ERROR_STOP=1", stdin="select wrong;\nselect 'z' as y;\n")
    assert done.returncode == 3 and "z" not in done.stdout, done
    assert sql("-h", "127.0.0.1", "-p", str(harness.free_port())).returncode == 5
    assert sql("--no-such-flag").returncode == 2
    assert sql("--data", "/nonexistent/directory", "-c", "select 1").returncode == 5
    done = sql(f"postgresql://postgres@127.0.0.1:{context.server.port}/postgres", "-c", "select 'by url'")
    assert done.returncode == 0 and "by url" in done.stdout, done


SCRIPT = """
create table if not exists parent (id int primary key, name text);
create table if not exists child (id int primary key, parent int references parent, note text default 'x');
create index if not exists child_note on child (note);
create or replace view some_view as select id from parent;
insert into parent values (1, $$it's; one$$), (2, 'semi;colon'), (3, E'back\\\\slash') on conflict do nothing;
/* a comment; with a semicolon */ select count(*) as parents from parent; select 'second on the line';
copy child (id, parent) from stdin;
1\t1
2\t2
\\.
select count(*) as children from child;
\\dt
\\d child
\\di
\\dv
\\dn
\\du
\\l
\\x
select * from parent where id = 1;
\\timing on
select 1 as done;
"""


def check_script(done):
    out = done.stdout
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    for expected in ("parents \n", "       3\n", "second on the line", "COPY 2", "children", 'Table "public.child"', "note", "child_pkey", "child_note", "some_view", "public", "Superuser",
                     "-[ RECORD 1 ]", "it's; one", "Time:", "FOREIGN KEY (parent) REFERENCES parent(id)", '"child_pkey" PRIMARY KEY'):
        assert expected in out, f"no {expected!r} in\n{out}"


def test_script_on_server(context):
    check_script(on_server(context, stdin=SCRIPT))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rows.csv"
        path.write_text("10,1\n11,2\n")
        done = on_server(context, "-c", f"\\copy child (id, parent) from '{path}' with (format csv)", "-c", f"\\copy (select id from child order by id) to '{folder}/out.txt'")
        assert done.returncode == 0 and "COPY 2" in done.stdout, done
        assert pathlib.Path(folder, "out.txt").read_text() == "1\n2\n10\n11\n"
        script = pathlib.Path(folder) / "inner.sql"
        script.write_text("select :number + 1 as sum, :'text' as quoted;\n")
        done = on_server(context, "-v", "number=41", "-v", "text=it's", "-f", str(script))
        assert "42" in done.stdout and "it's" in done.stdout, done


def test_script_on_directory_and_check(context):
    data = tempfile.mkdtemp(prefix="rustbd-")
    try:
        with harness.Rustbd(data, env={"RUSTBD_STORAGE_COMPRESSION": "none"}) as server:  # damage() looks for a row's text
            server.sql("create table from_server (i int primary key, t text)")
            server.sql("insert into from_server select g, repeat('y', g % 300) from generate_series(1, 20000) g")
            assert sql("--data", data, "-c", "select 1").returncode == 5       # the server has it
        check_script(sql("--data", data, stdin=SCRIPT))
        done = sql("--data", data, "--format", "csv", "-c", "select count(*), sum(length(t)) from from_server")
        assert done.stdout == f"count,sum\n20000,{sum(g % 300 for g in range(1, 20001))}\n", done
        done = sql("--data", data, "-c", "select nothing from from_server")
        assert done.returncode == 3 and "LINE 1: select nothing from" in done.stderr, done

        check = subprocess.run([harness.binary(), "check", "--deep", "--data", data, "--json"], capture_output=True, text=True, timeout=300)
        report = json.loads(check.stdout)
        assert check.returncode == 0 and report["ok"] and report["findings"] == [], check
        files = sorted((p for p in pathlib.Path(data).rglob("*") if p.is_file()), key=lambda p: -p.stat().st_size)
        before = {p: p.stat().st_mtime_ns for p in files}
        assert subprocess.run([harness.binary(), "check", "--deep", "--data", data], capture_output=True, timeout=300).returncode == 0
        assert before == {p: p.stat().st_mtime_ns for p in files}, "check wrote something"
        damage(data)
        check = subprocess.run([harness.binary(), "check", "--deep", "--data", data, "--json"], capture_output=True, text=True, timeout=300)
        assert check.returncode == 4 and json.loads(check.stdout)["findings"], check
    finally:
        shutil.rmtree(data, ignore_errors=True)
        pathlib.Path(data + ".log").unlink(missing_ok=True)


def damage(data):
    """Flips a byte of a row's text in the data file."""
    changed = 0
    for path in pathlib.Path(data).rglob("*"):
        if not path.is_file() or path.parent.name == "wal":
            continue
        content = bytearray(path.read_bytes())
        at = content.find(b"y" * 100)
        if at >= 0:
            content[at + 50] ^= 0x20
            path.write_bytes(content)
            changed += 1
    assert changed, "no row found to damage"


def test_interactive(context):
    """On a terminal: prompts, several lines, history, completion, leaving."""
    master, slave = pty.openpty()
    home = tempfile.mkdtemp()
    process = subprocess.Popen([harness.binary(), "sql", "-h", "127.0.0.1", "-p", str(context.server.port), "-U", "postgres", "-d", "postgres"], stdin=slave, stdout=slave,
                               stderr=slave, env={**os.environ, "TERM": "xterm", "HOME": home}, start_new_session=True)
    os.close(slave)
    seen = b""

    def expect(text: bytes):
        nonlocal seen
        end = time.monotonic() + 30
        while text not in seen:
            assert time.monotonic() < end, f"no {text!r} in {seen!r}"
            if select.select([master], [], [], 0.2)[0]:
                seen += os.read(master, 65536)
        seen = seen[seen.index(text) + len(text):]
    try:
        expect(b"postgres=# ")
        os.write(master, b"select 6 *\n")
        expect(b"postgres-# ")
        os.write(master, b"7 as answer;\n")
        expect(b"42")
        expect(b"postgres=# ")
        os.write(master, b"begin;\n")
        expect(b"postgres=*# ")
        os.write(master, b"select 1/0;\n")
        expect(b"division by zero")
        expect(b"postgres=!# ")
        os.write(master, b"rollback;\n")
        expect(b"postgres=# ")
        os.write(master, b"create table completed_by_tab (i int);\n")
        expect(b"CREATE TABLE")
        os.write(master, b"select count(*) from completed_by\t;\n")
        expect(b"(1 row)")
        os.write(master, b"\\q\n")
        assert process.wait(30) == 0
        assert "answer" in pathlib.Path(home, ".rustbd_history").read_text()
    finally:
        process.kill()
        os.close(master)
        shutil.rmtree(home)
