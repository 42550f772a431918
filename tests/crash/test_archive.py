"""wal.archive_to: complete log files arrive in the archive, whole and without a gap, also after kill -9; a directory that is not
there refuses the start; keys that sealed archived log stay."""
import os
import pathlib
import secrets
import shutil
import tempfile

import harness

SEGMENT = 1 << 20


def segments(archive: pathlib.Path) -> list:
    return sorted(p for p in archive.iterdir() if p.name.endswith(".wal"))


def write_log(server, rounds: int):
    for _ in range(rounds):
        server.sql("insert into t select i, md5(i::text) || md5((i + 1)::text) from generate_series(1, 10000) i")


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
