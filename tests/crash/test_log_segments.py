"""The size of log files belongs to a data directory: a later wal.segment_size changes nothing, and loses nothing."""
import harness


def test_another_segment_size_loses_nothing(context):
    rows = 0
    with harness.Rustbd(env={"RUSTBD_WAL_SEGMENT_SIZE": "1MiB"}) as server:
        server.sql("create table t (i int)")
        for size in ("4MiB", "64MiB", "1MiB"):
            for _ in range(5):
                server.sql("insert into t select generate_series(1, 20000)")
                rows += 20000
            server.kill()
            server.env = {"RUSTBD_WAL_SEGMENT_SIZE": size}
            server.start()
            assert server.sql("select count(*) from t") == str(rows), size
