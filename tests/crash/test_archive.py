"""wal.archive_to: complete log files arrive in the archive, whole and without a gap, also after kill -9; a directory that is not
there refuses the start; keys that sealed archived log stay, also those that the directory has no more; another database changes nothing there."""
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile

import harness

SEGMENT = 1 << 20


def segments(archive: pathlib.Path) -> list:
    return sorted(p for p in archive.iterdir() if p.name.endswith(".wal"))


def write_log(server, rounds: int):
    for _ in range(rounds):
        server.sql("insert into t select i, md5(i::text) || md5((i + 1)::text) from generate_series(1, 10000) i")


def refused_start(data, archive) -> str:
    server = harness.Rustbd(data, "--set", f"wal.archive_to={archive}")
    try:
        server.start()
        server.kill()
    except AssertionError as e:
        return str(e)
    raise AssertionError(f"a start with the archive {archive} should fail")


def refused_backup(server, to) -> str:
    assert not to.exists()
    said = server.refusal(f"select rustbd_backup('{to}')")
    assert not to.exists()
    return said


def test_archive_and_backups_stand_apart_from_the_data(context):
    top = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        data, elsewhere, archive = top / "around/data", top / "elsewhere", top / "archive"
        data.parent.mkdir()
        archive.mkdir()
        with harness.Rustbd(data):
            pass
        (top / "link").symlink_to(data)
        (data / "mine").mkdir()
        for place in (data, data / "wal", data / "mine", top / "link", top / "link/wal", top / "archive/../link/wal", data.parent):
            assert "wal.archive_to" in refused_start(data, place), place
            assert "wal.archive_to" in refused_start(top / "link", place), place
        (data / "mine").rmdir()
        (data / "wal").rename(elsewhere)  # on another disk, as some have it
        (data / "wal").symlink_to(elsewhere)
        assert "wal.archive_to" in refused_start(data, elsewhere)
        with harness.Rustbd(data, "--set", f"wal.archive_to={archive}") as server:
            for place in (data / "b", data / "wal/b", elsewhere / "b", archive / "b", top / "link/b"):
                assert "22023" in refused_backup(server, place), place
            server.sql(f"select rustbd_backup('{top / 'b'}')")
            harness.wait_until(lambda: server.sql("select state from rustbd_backups") == "done", "the backup")
    finally:
        shutil.rmtree(top, ignore_errors=True)


def test_a_failing_archive_is_a_warning(context):
    top = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        (top / "archive").mkdir()
        with harness.Rustbd(top / "data", "--log-level", "warning", "--set", f"wal.archive_to={top}/archive", "--set", "wal.segment_size=1MiB") as server:
            server.sql("create table t (a int, b text)")
            shutil.rmtree(top / "archive")
            write_log(server, 3)
            harness.wait_until(lambda: " UTC warning the log segment " in server.log() and "cannot be archived" in server.log(), "the warning")
            assert " info " not in server.log()
    finally:
        shutil.rmtree(top, ignore_errors=True)


def test_the_server_archives_its_log(context):
    top = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        archive = top / "archive"
        environment = {"RUSTBD_WAL_ARCHIVE_TO": str(archive), "RUSTBD_WAL_SEGMENT_SIZE": "1MiB", "RUSTBD_ENCRYPTION_ENABLED": "true",
                       "RUSTBD_ENCRYPTION_KEY_SOURCE": "env:MASTER", "MASTER": secrets.token_hex(32)}
        with harness.Rustbd(top / "d", env=environment) as server:
            raise AssertionError("a start without the directory should fail")
    except AssertionError as e:
        assert "there is no directory" in str(e), e
    try:
        archive.mkdir()
        with harness.Rustbd(top / "e", env=environment) as server:
            server.sql("create table t (a int, b text)")
            keys = set(server.sql("select key_id from rustbd_keys").splitlines())
            write_log(server, 3)
            harness.wait_until(lambda: len(segments(archive)) >= 2, "segments in the archive")
            server.kill()
            server.start()
            write_log(server, 3)
            for _ in range(4):
                server.sql("checkpoint")
            harness.wait_until(lambda: len(segments(archive)) >= 5, "the archive goes on after the next start")
            names = [int(p.name[:20]) for p in segments(archive)]
            assert names == list(range(names[0], names[0] + len(names) * SEGMENT, SEGMENT)), f"a gap: {names}"
            assert all(os.path.getsize(p) == SEGMENT for p in segments(archive)), "a copy is cut short"
            kept = set(server.sql("select key_id from rustbd_keys").splitlines())
            assert keys <= kept, f"{keys - kept} sealed log that is archived"
            assert server.sql("select value > 0 from rustbd_metrics where name = 'rustbd_wal_archived_segments_total'") == "t"
    finally:
        shutil.rmtree(top, ignore_errors=True)


def rustbd(*arguments, env=None, code=0) -> str:
    done = subprocess.run([harness.binary(), *map(str, arguments)], capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})})
    assert done.returncode == code, f"rustbd {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def backup(server, to):
    rustbd("backup", "--to", to, "-h", "127.0.0.1", "-p", server.port, "-U", "postgres")


def failures(server):
    return int(float(server.sql("select value from rustbd_metrics where name = 'rustbd_wal_archive_failures_total'")))


def keys_stay(top: pathlib.Path):
    archive = top / "archive"
    archive.mkdir()
    key = {"RUSTBD_WAL_SEGMENT_SIZE": "1MiB", "RUSTBD_ENCRYPTION_ENABLED": "true", "RUSTBD_ENCRYPTION_KEY_SOURCE": "env:MASTER", "MASTER": secrets.token_hex(32)}
    with harness.Rustbd(top / "d", env={**key, "RUSTBD_WAL_ARCHIVE_TO": str(archive)}) as server:
        server.sql("create table t (a int, b text)")
        backup(server, top / "backup")
        write_log(server, 2)
        server.kill()
        server.start()  # this start's key is in no backup
        server.sql("insert into t select i, 'later' from generate_series(1, 10000) i")
        at = server.sql("select pg_current_wal_lsn()")
        write_log(server, 4)
        harness.wait_until(lambda: len(segments(archive)) >= 4, "segments in the archive")
        server.stop()

        # Another database with the same configuration: the one that the backup becomes.
        rustbd("restore", "--from", top / "backup", "--to", top / "other", env=key)
        with harness.Rustbd(top / "other", env=server.env) as other:
            write_log(other, 4)
            harness.wait_until(lambda: failures(other) > 0, "its log is not archived there")
        rustbd("restore", "--from", top / "backup", "--to", top / "r", "--archive", archive, "--to-lsn", at, env=key)
        with harness.Rustbd(top / "r", env=key) as restored:
            assert restored.sql("select count(*) from t") == "30000"

        # The archive is off while the old keys go.
        before = (archive / "keys.tab").read_bytes()
        server.env = key
        server.start()
        server.sql("select rustbd_rotate_keys('data')")

        def gone():
            server.sql("checkpoint")
            return server.sql("select count(*) from rustbd_keys") == "1"
        harness.wait_until(gone, "the old keys go")
        server.stop()
        server.env = {**key, "RUSTBD_WAL_ARCHIVE_TO": str(archive)}
        server.start()
        write_log(server, 2)
        harness.wait_until(lambda: (archive / "keys.tab").read_bytes() != before, "the new keys are there")
        assert failures(server) == 0, server.log()[-1000:]
        rustbd("restore", "--from", top / "backup", "--to", top / "r2", "--archive", archive, "--to-lsn", at, env=key)
        with harness.Rustbd(top / "r2", env=key) as restored:
            assert restored.sql("select count(*) from t") == "30000"


def test_keys_stay_in_the_archive(context):
    top = pathlib.Path(tempfile.mkdtemp(prefix="rustbd-"))
    try:
        keys_stay(top)
    finally:
        shutil.rmtree(top, ignore_errors=True)
