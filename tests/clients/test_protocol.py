"""The wire protocol message by message: order, formats, pipelining, portals, COPY, bad input."""
import os
import pathlib
import random
import socket
import struct
import sys
import threading
import time

import harness
import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from wire import Wire, bind, describe, encode, error, execute, fields, kinds, parse, rows  # noqa: E402


def connected(context) -> Wire:
    wire = Wire(context.server.port)
    wire.login()
    return wire


def usable(wire):
    assert rows(wire.query("select 41 + 1")) == [[b"42"]]


def test_copied_text_is_valid(context):
    """COPY takes no text that is not UTF-8, and no zero byte, whether written as it is or as an escape."""
    with psycopg.connect(host="127.0.0.1", port=context.server.port, user="postgres", dbname="postgres", autocommit=True) as c:
        c.execute("create table valid_text (a int, b text)")
        for form, rows in (("text", (b"1\t\xff\n", b"1\ta\x00b\n", b"1\t\\xff\n", b"1\t\\000\n", b"1\t\xc3\n")), ("csv", (b"1,\xff\xfe\n", b'1,"\xe2\x82"\n'))):
            for row in rows:
                try:
                    with c.cursor() as cursor, cursor.copy(f"copy valid_text from stdin (format {form})") as copy:
                        copy.write(b"0\tgood\n" if form == "text" else b"0,good\n")
                        copy.write(row)
                    raise AssertionError(f"{row} was taken")
                except psycopg.errors.CharacterNotInRepertoire as e:
                    assert "line 2" in str(e), e
        assert c.execute("select count(*) from valid_text").fetchone()[0] == 0
        with c.cursor() as cursor, cursor.copy("copy valid_text from stdin") as copy:
            copy.write("1\tgr\u00fc\u00dfe \U0001f418\n".encode())
        assert c.execute("select b from valid_text").fetchone()[0] == "gr\u00fc\u00dfe \U0001f418"
        c.execute("drop table valid_text")


def test_startup_reports_parameters(context):
    with Wire(context.server.port) as wire:
        messages = wire.login(application_name="probe", options="-c statement_timeout=12345 --extra_float_digits=2")
        status = dict(body[:-1].split(b"\0") for kind, body in messages if kind == "S")
        assert status[b"server_version"].startswith(b"15"), status
        assert status[b"client_encoding"] == b"UTF8" and status[b"standard_conforming_strings"] == b"on"
        assert status[b"integer_datetimes"] == b"on" and status[b"application_name"] == b"probe"
        assert status[b"session_authorization"] == b"postgres"
        for name in (b"DateStyle", b"TimeZone", b"IntervalStyle", b"server_encoding", b"is_superuser"):
            assert name in status, name
        assert kinds(messages).startswith("R") and kinds(messages).endswith("KZ")
        assert rows(wire.query("show statement_timeout")) == [[b"12345ms"]]
        assert rows(wire.query("show extra_float_digits")) == [[b"2"]]


def test_startup_errors(context):
    for more, state in (({"user": "nobody"}, "28000"), ({"database": "nowhere"}, "3D000"), ({"user": ""}, "28000"), ({"no_such_setting": "1"}, "42704"),
                        ({"replication": "true"}, "0A000"), ({"options": "-Z"}, "42601")):
        with Wire(context.server.port) as wire:
            wire.startup(**more)
            e = error(wire.until("E"))
            assert (e["C"], e["S"]) == (state, "FATAL"), (more, e)
            assert wire.at_end()


def test_newer_minor_protocol_is_negotiated(context):
    with Wire(context.server.port) as wire:
        messages = wire.login(protocol=196608 + 2, **{"_pq_.command_compression": "on"})
        (body,) = [b for k, b in messages if k == "v"]
        assert struct.unpack("!ii", body[:8]) == (196608, 1) and body[8:] == b"_pq_.command_compression\0"
        usable(wire)
    with Wire(context.server.port) as wire:
        wire.startup(protocol=2 << 16)
        assert error(wire.until("E"))["C"] == "0A000"


def test_ssl_and_gss_requests_are_refused(context):
    with Wire(context.server.port) as wire:
        for code in (80877103, 80877104):
            wire.raw(struct.pack("!ii", 8, code))
            assert wire.read(1) == b"N"
        wire.login()
        usable(wire)


def test_simple_query_with_several_statements(context):
    with connected(context) as wire:
        messages = wire.query("select 1; select 2; select 3/0; select 4")
        assert kinds(messages) == "TDCTDCTEZ" or kinds(messages) == "TDCTDCEZ", kinds(messages)
        assert error(messages)["C"] == "22012"
        assert kinds(wire.query("")) == "IZ" and kinds(wire.query("  ; ")) in ("IZ",)
        # One transaction: the first insert is undone with the rest.
        wire.query("create table if not exists several (i int primary key)")
        wire.query("insert into several values (1); insert into several values (1)")
        assert rows(wire.query("select count(*) from several")) == [[b"0"]]


def test_transaction_status(context):
    with connected(context) as wire:
        def status(sql):
            return wire.query(sql)[-1][1]
        assert status("select 1") == b"I"
        assert status("begin") == b"T"
        assert status("select 1/0") == b"E"
        messages = wire.query("select 1")
        assert error(messages)["C"] == "25P02" and messages[-1][1] == b"E"
        assert status("rollback") == b"I"


def test_error_fields_and_position(context):
    with connected(context) as wire:
        e = error(wire.query("select 'äöü', nocolumn from pg_class"))
        assert (e["S"], e["V"], e["C"], e["P"]) == ("ERROR", "ERROR", "42703", "15"), e    # characters, not bytes
        assert e["M"] == 'column "nocolumn" does not exist'
        wire.query("create table if not exists parent (id int primary key); create table if not exists fielded (i int constraint positive check (i > 0), p int references parent)")
        e = error(wire.query("insert into fielded values (-1, null)"))
        assert (e["C"], e["s"], e["t"], e["n"]) == ("23514", "public", "fielded", "positive"), e
        assert e["D"] == "Failing row contains (-1, null)."
        e = error(wire.query("insert into fielded values (1, 77)"))
        assert (e["C"], e["D"]) == ("23503", 'Key (p)=(77) is not present in table "parent".'), e
        usable(wire)


def test_invalid_utf8_leaves_the_connection_usable(context):
    with connected(context) as wire:
        wire.message("Q", b"select '\xff'\0")
        messages = wire.until("Z")
        e = error(messages)
        assert (e["C"], e["M"]) == ("22021", 'invalid byte sequence for encoding "UTF8": 0xff'), e
        wire.raw(parse("select $1::text") + bind([b"\xc3\x28"]) + execute() + encode("S"))
        assert error(wire.until("Z"))["C"] == "22021"
        usable(wire)


def test_extended_query_formats(context):
    with connected(context) as wire:
        wire.raw(parse("select $1::int4, $2::text, $3::bool, $4::float8, $5::bytea, null::int8", "s", (23, 25)) + describe("S", "s") + encode("S"))
        messages = wire.until("Z")
        assert kinds(messages) == "1tTZ", kinds(messages)
        types = struct.unpack("!h5I", messages[1][1])
        assert types == (5, 23, 25, 16, 701, 17), types
        values = [struct.pack("!i", 7), b"text", b"t", struct.pack("!d", 0.5), b"\x00\xff"]
        wire.raw(bind(values, "p", "s", (1, 0, 0, 1, 1), (1, 1, 1, 1, 1, 1)) + describe("P", "p") + execute("p") + encode("S"))
        messages = wire.until("Z")
        assert kinds(messages) == "2TDCZ", kinds(messages)
        assert rows(messages) == [[struct.pack("!i", 7), b"text", b"\x01", struct.pack("!d", 0.5), b"\x00\xff", None]]
        wire.raw(bind([b"7", b"x", b"true", b"0.5", b"\\x00ff"], "", "s") + execute() + encode("S"))
        assert rows(wire.until("Z")) == [[b"7", b"x", b"t", b"0.5", b"\\x00ff", None]]
        wire.raw(encode("C", b"Ss\0") + bind([b"1"], "", "s") + encode("S"))
        messages = wire.until("Z")
        assert kinds(messages) == "3EZ" and error(messages)["C"] == "26000"


def test_portal_with_row_limit(context):
    with connected(context) as wire:
        wire.raw(parse("select g from generate_series(1, 10) g") + bind(portal="p") + execute("p", 4) + execute("p", 4) + execute("p", 4) + execute("p", 4) + encode("S"))
        messages = wire.until("Z")
        assert kinds(messages) == "12" + "DDDDs" + "DDDDs" + "DDC" + "CZ", kinds(messages)
        assert [r[0] for r in rows(messages)] == [str(i).encode() for i in range(1, 11)]
        wire.raw(execute("p") + encode("S"))      # Sync ended the transaction and with it the portal
        assert error(wire.until("Z"))["C"] == "34000"


def test_cursors_and_portals_are_the_same(context):
    """A cursor of SQL can be described and executed by the protocol, a portal of the protocol fetched from by SQL."""
    with connected(context) as wire:
        wire.query("begin")
        wire.query("declare c cursor for select g, 'row ' || g from generate_series(1, 5) g")
        wire.raw(describe("P", "c") + execute("c", 2) + encode("S"))
        messages = wire.until("Z")
        assert kinds(messages) == "TDDsZ" and [r[0] for r in rows(messages)] == [b"1", b"2"], messages
        assert [r[0] for r in rows(wire.query("fetch 2 from c"))] == [b"3", b"4"]
        wire.raw(execute("c") + execute("c") + encode("S"))
        messages = wire.until("Z")
        assert kinds(messages) == "DCCZ" and rows(messages)[0][1] == b"row 5", messages
        wire.raw(parse("select g from generate_series(1, 4) g") + bind(portal="p") + execute("p", 1) + bind(portal="q") + encode("S"))
        assert rows(wire.until("Z")) == [[b"1"]]
        assert rows(wire.query("fetch 2 from p")) == [[b"2"], [b"3"]]
        assert error(wire.query("fetch 2 from q"))["C"] == "0A000"
        wire.query("rollback")
        wire.raw(parse("set work_mem = '5MB'", name="set") + bind(portal="u", name="set") + describe("P", "u") + encode("S"))
        assert kinds(wire.until("Z")) == "12nZ"
        wire.raw(describe("P", "nothing") + execute("nothing") + encode("S"))
        assert error(wire.until("Z"))["C"] == "34000"
        wire.raw(describe("S", "nothing") + encode("S"))
        assert error(wire.until("Z"))["C"] == "26000"
        assert rows(wire.query("select 1")) == [[b"1"]]


def test_a_suspended_portal_keeps_its_snapshot(context):
    """Other statements come between; what it reads, and what it locks, goes by the snapshot that it began with."""
    for more in ("", " for update"):
        with connected(context) as wire, connected(context) as other:
            other.query("drop table if exists suspended")
            other.query("create table suspended (i int primary key, v int)")
            other.query("insert into suspended select g, 0 from generate_series(1, 3000) g")
            wire.query("begin")
            wire.raw(parse("select i, v from suspended" + more) + bind(portal="p") + execute("p", 1) + encode("S"))
            assert kinds(wire.until("Z")) == "12DsZ"
            other.query("update suspended set v = 1 where i > 1 and i % 2 = 1")
            other.query("delete from suspended where i % 2 = 0")
            other.query("vacuum suspended")
            assert rows(wire.query("select sum(v), count(*) from suspended")) == [[b"1499", b"1500"]]
            wire.raw(execute("p", 10) + encode("S"))
            got = rows(wire.until("Z"))
            wire.raw(execute("p") + encode("S"))
            messages = wire.until("Z")
            assert messages[-1] == ("Z", b"T") and kinds(messages)[-2] == "C", messages[-2:]
            got += rows(messages)
            if more:
                want = {(b"%d" % i, b"1") for i in range(3, 3000, 2)}
            else:
                want = {(b"%d" % i, b"0") for i in range(2, 3001)}
            assert len(got) == len(want) and {tuple(r) for r in got} == want, (more, len(got), got[:3])
            wire.query("commit")
            other.query("drop table suspended")


def test_a_suspended_portal_goes_on_after_a_rollback_to_a_savepoint(context):
    with connected(context) as wire:
        wire.query("begin")
        wire.raw(parse("select g / (4500 - g) from generate_series(1, 5000) g") + bind(portal="p") + execute("p", 1) + encode("S"))
        assert rows(wire.until("Z")) == [[b"0"]]
        wire.query("savepoint s")
        wire.raw(parse("select 1 / 0") + bind() + execute() + encode("S"))
        assert error(wire.until("Z"))["C"] == "22012"
        wire.raw(execute("p", 1) + encode("S"))
        assert error(wire.until("Z"))["C"] == "25P02"
        wire.query("rollback to s")
        wire.raw(execute("p", 1) + encode("S"))
        assert rows(wire.until("Z")) == [[b"0"]]
        wire.raw(execute("p") + encode("S"))
        assert error(wire.until("Z"))["C"] == "22012"
        wire.query("rollback to s")
        wire.raw(execute("p", 1) + encode("S"))
        assert error(wire.until("Z"))["M"] == 'portal "p" cannot be run'
        wire.query("rollback")


def test_isolation_is_chosen_before_a_portal_reads(context):
    with connected(context) as wire:
        wire.raw(parse("select g from generate_series(1, 3) g") + bind(portal="p") + execute("p", 1)
                 + parse("begin isolation level repeatable read") + bind() + execute() + execute("p") + encode("S"))
        messages = wire.until("Z")
        assert kinds(messages) == "12Ds12EZ" and error(messages)["C"] == "25001", messages
        assert rows(wire.query("select 1")) == [[b"1"]]


def test_prepared_statement_waits_for_its_tables(context):
    """The second of its locks is held: it gives up in time, waits, and sees what the holder has made of the table."""
    with connected(context) as holder, connected(context) as wire:
        holder.query("drop table if exists first_table, second_table; create table first_table (i int); create table second_table (i int)")
        holder.query("insert into first_table values (1); insert into second_table values (1), (2)")
        run = bind(name="p") + execute() + encode("S")
        wire.raw(parse("select count(*) from first_table f, second_table s", name="p") + run)
        assert rows(wire.until("Z")) == [[b"2"]]
        holder.query("begin")
        holder.query("lock table second_table in access exclusive mode")
        wire.query("set lock_timeout = '50ms'")
        wire.raw(run)
        assert error(wire.until("Z"))["C"] == "55P03"
        wire.query("reset lock_timeout")
        wire.raw(run)
        harness.wait_until(lambda: rows(holder.query("select count(*) from pg_locks where not granted")) == [[b"1"]], "a waiter")
        holder.query("alter table second_table add column more int; insert into second_table values (3)")
        holder.query("commit")
        messages = wire.until("Z")
        assert rows(messages) == [[b"3"]], messages
        assert rows(holder.query("select count(*) from pg_locks where relation in ('first_table'::regclass, 'second_table'::regclass)")) == [[b"0"]]
        holder.query("drop table first_table, second_table")


def test_a_reader_behind_a_rewrite_finds_the_rows(context):
    """It is let in when the writer has committed, which may be before that is durable: new columns go with new rows."""
    with connected(context) as writer, connected(context) as reader:
        for number in range(40):
            writer.query("drop table if exists rewritten; create table rewritten (i int); insert into rewritten select generate_series(1, 5)")
            if number % 2:
                read = encode("Q", b"select count(*) from rewritten\0")
            else:
                reader.raw(parse("select count(*) from rewritten", name=f"r{number}") + encode("S"))
                reader.until("Z")
                read = bind(name=f"r{number}") + execute() + encode("S")
            if number % 4 < 2:
                writer.query("begin; lock table rewritten in access exclusive mode")
                reader.raw(read)
                harness.wait_until(lambda: rows(writer.query("select count(*) from pg_locks where not granted")) == [[b"1"]], "a waiter")
                writer.query("alter table rewritten alter column i type text; commit")
            else:
                writer.raw(encode("Q", b"alter table rewritten alter column i type text\0"))
                reader.raw(read)
                writer.until("Z")
            messages = reader.until("Z")
            assert rows(messages) == [[b"5"]], (number, messages)


def test_settings_that_end_with_the_transaction_are_reported(context):
    with connected(context) as wire:
        wire.raw(parse("set local datestyle = 'German'") + bind() + execute() + encode("S"))
        told = [m[1] for m in wire.until("Z") if m[0] == "S"]
        assert [b"German" in t for t in told] == [True, False], told


def test_error_skips_to_sync(context):
    with connected(context) as wire:
        wire.raw(parse("select 1/0") + bind() + execute() + parse("select 2") + bind() + execute() + encode("S") +
                 parse("select 3") + bind() + execute() + encode("S"))
        first, second = wire.until("Z"), wire.until("Z")
        assert "E" in kinds(first) and "D" not in kinds(first) and error(first)["C"] == "22012", kinds(first)
        assert rows(second) == [[b"3"]]


def test_pipeline_is_one_transaction_up_to_sync(context):
    with connected(context) as wire:
        wire.query("drop table if exists piped; create table piped (i int primary key)")
        wire.raw(b"".join(parse(f"insert into piped values ({i})") + bind() + execute() for i in (1, 2, 2)) + encode("S"))
        assert error(wire.until("Z"))["C"] == "23505"
        assert rows(wire.query("select count(*) from piped")) == [[b"0"]]
        wire.raw(b"".join(parse(f"insert into piped values ({i})") + bind() + execute() + encode("S") for i in range(200)))
        for _ in range(200):
            assert kinds(wire.until("Z")) == "12CZ"
        assert rows(wire.query("select count(*), sum(i) from piped")) == [[b"200", b"19900"]]


def test_flush_sends_what_there_is(context):
    with connected(context) as wire:
        wire.raw(parse("select 5") + bind() + execute() + encode("H"))
        assert rows(wire.until("C")) == [[b"5"]]
        wire.message("S")
        assert kinds(wire.until("Z")) == "Z"


def test_bad_extended_messages(context):
    with connected(context) as wire:
        for data, state in ((bind([b"1"], "", "nothing"), "26000"), (execute("nothing"), "34000"), (describe("X"), "08P01"), (encode("B", b"\0"), "08P01"),
                            (parse("select $1::int") + bind(), "08P01"), (parse("select $1::int") + bind([b"x"]), "22P02"),
                            (parse("select $1::int") + bind([b"123"], formats=[1]), "08P01"), (parse("select 1; select 2"), "42601"),
                            (parse("select 1") + bind(results=[1, 1]), "08P01"), (parse("select 1") + bind(results=[7]), "22023")):
            wire.raw(data + encode("S"))
            messages = wire.until("Z")
            assert error(messages)["C"] == state, (data, messages)
        wire.message("F", struct.pack("!ihhh", 1, 0, 0, 0))
        assert error(wire.until("Z"))["C"] == "0A000"
        usable(wire)


def test_copy_in(context):
    with connected(context) as wire:
        wire.query("drop table if exists copied; create table copied (i int, t text)")
        wire.message("Q", b"copy copied from stdin\0")
        assert kinds(wire.until("G")) == "G"
        wire.raw(encode("d", b"1\ton") + encode("d", b"e\n2\t\\N\n") + encode("d", b"\\.\n") + encode("c"))
        messages = wire.until("Z")
        assert kinds(messages) == "CZ" and messages[0][1] == b"COPY 2\0", messages
        assert rows(wire.query("select * from copied order by i")) == [[b"1", b"one"], [b"2", None]]
        wire.message("Q", b"copy copied from stdin\0")
        wire.until("G")
        wire.raw(encode("d", b"3\tx\n") + encode("f", b"changed my mind\0"))
        e = error(wire.until("Z"))
        assert (e["C"], e["M"]) == ("57014", "COPY from stdin failed: changed my mind"), e
        # What goes on being sent after a failure is ignored.
        wire.message("Q", b"copy copied from stdin\0")
        wire.until("G")
        wire.raw(b"".join(encode("d", b"bad\tx\n") for _ in range(100)) + encode("c"))
        assert error(wire.until("Z"))["C"] == "22P02"
        assert rows(wire.query("select count(*) from copied")) == [[b"2"]]


def test_copy_out_sends_a_row_a_message(context):
    with connected(context) as wire:
        messages = wire.query("copy (select g, 'a' || g from generate_series(1, 5) g) to stdout")
        assert kinds(messages) == "HdddddcCZ", kinds(messages)
        assert messages[1][1] == b"1\ta1\n"
        messages = wire.query("copy (select E'two\\nlines', 2) to stdout with (format csv)")
        assert [b for k, b in messages if k == "d"] == [b'"two\nlines",2\n']


def test_notices_and_changed_parameters(context):
    with connected(context) as wire:
        messages = wire.query("drop table if exists never_was_there")
        (notice,) = [fields(b) for k, b in messages if k == "N"]
        assert (notice["S"], notice["C"]) == ("NOTICE", "00000"), notice
        messages = wire.query("set application_name = 'renamed'")
        assert [b for k, b in messages if k == "S"] == [b"application_name\0renamed\0"]


def test_oversize_and_broken_lengths_end_the_connection(context):
    for header in (struct.pack("!i", 0x7FFFFFFF), struct.pack("!i", -5), struct.pack("!i", 3)):
        with connected(context) as wire:
            wire.raw(b"Q" + header + b"select 1\0")
            e = error(wire.until("E"))
            assert (e["S"], e["C"]) == ("FATAL", "08P01"), e
            assert wire.at_end()
    with connected(context) as wire:
        wire.message("!", b"what is this")
        assert error(wire.until("E"))["C"] == "08P01"
        assert wire.at_end()


def test_garbage_ends_that_connection_only(context):
    seed = int(os.environ.get("RUSTBD_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    chance = random.Random(seed)
    with connected(context) as witness:
        for i in range(300):
            with Wire(context.server.port) as wire:
                try:
                    if i % 3:
                        wire.login()
                    if i % 3 == 1:
                        wire.raw(bytes(chance.randrange(256) for _ in range(chance.randrange(1, 200))))
                    elif i % 3 == 2:   # the form of messages, with random bodies
                        for _ in range(chance.randrange(1, 20)):
                            wire.message(chance.choice("QPBDECHSFdcfp"), bytes(chance.randrange(256) for _ in range(chance.randrange(60))))
                    else:
                        wire.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" if i % 2 else bytes(chance.randrange(256) for _ in range(64)))
                    wire.socket.shutdown(socket.SHUT_WR)
                    wire.at_end()
                except (OSError, UnicodeDecodeError):
                    pass
            assert context.server.process.poll() is None, f"the server died, seed {seed}, round {i}"
        usable(witness)


def test_slow_reader_does_not_fill_memory(context):
    def resident():
        return int(next(line for line in open(f"/proc/{context.server.process.pid}/status") if line.startswith("VmRSS")).split()[1])
    with connected(context) as wire:
        before = resident()
        wire.message("Q", b"select g, repeat('x', 500) from generate_series(1, 400000) g\0")
        time.sleep(2)     # the time that a reader is slow; not a wait for anything
        grown = resident() - before
        assert grown < 64 * 1024, f"{grown} kB more while nobody reads"
        messages = wire.until("Z")
        assert len(messages) == 400003, len(messages)


def test_cancel_request(context):
    with connected(context) as wire:
        pass
    wire = Wire(context.server.port)
    key = [b for k, b in wire.login() if k == "K"][0]

    def cancel(data):
        with Wire(context.server.port) as other:
            other.raw(struct.pack("!ii", 16, 80877102) + data)
            assert other.at_end()
    wire.message("Q", b"select count(*) from generate_series(1, 2000000000)\0")
    cancel(key[:4] + bytes(4) if key[4:] != bytes(4) else key[:4] + b"\0\0\0\1")    # a wrong key does nothing
    begin = time.monotonic()
    stopper = threading.Timer(0.3, cancel, (key,))
    stopper.start()
    e = error(wire.until("Z"))
    assert (e["C"], e["M"]) == ("57014", "canceling statement due to user request"), e
    assert 0.25 < time.monotonic() - begin < 20
    stopper.join()
    usable(wire)


def test_client_that_goes_away_is_noticed(context):
    with Wire(context.server.port) as wire:
        wire.login(application_name="leaver")
        wire.message("Q", b"select count(*) from generate_series(1, 20000000000)\0")
        deadline = time.monotonic() + 20
        while context.server.sql("select count(*) from pg_stat_activity where application_name = 'leaver' and state = 'active'") != "1":
            assert time.monotonic() < deadline
    deadline = time.monotonic() + 20
    while context.server.sql("select count(*) from pg_stat_activity where application_name = 'leaver'") != "0":
        assert time.monotonic() < deadline, "its statement still runs"


def test_terminate_backend(context):
    with connected(context) as wire:
        pid = rows(wire.query("select pg_backend_pid()"))[0][0].decode()
        assert context.server.sql(f"select pg_terminate_backend({pid})") == "t"
        e = error(wire.until("E"))
        assert (e["S"], e["C"]) == ("FATAL", "57P01"), e
        assert wire.at_end()


def test_idle_timeouts(context):
    with connected(context) as wire:
        wire.query("set idle_in_transaction_session_timeout = 200")
        wire.query("begin")
        e = error(wire.until("E"))
        assert (e["S"], e["C"]) == ("FATAL", "25P03"), e
    with connected(context) as wire:
        wire.query("set idle_session_timeout = 200")
        e = error(wire.until("E"))
        assert (e["S"], e["C"]) == ("FATAL", "57P05"), e


def test_now_from_the_client_is_the_transactions_start(context):
    with psycopg.connect(f"host=127.0.0.1 port={context.server.port} user=postgres dbname=postgres", autocommit=True) as c:
        for prepare in (False, True):
            assert c.execute("select %s::timestamptz = now(), %s::date = current_date", ["now", "today"], prepare=prepare).fetchone() == (True, True)
        with c.transaction():
            c.execute("create table moments (t timestamptz)")
            with c.cursor() as cursor, cursor.copy("copy moments from stdin") as copy:
                copy.write("now\n")
            assert c.execute("select %s::timestamptz = now(), t = now() from moments", ["now"]).fetchone() == (True, True)
            c.execute("drop table moments")
