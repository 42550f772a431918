"""The log's files: their size belongs to the data directory; consumers keep them, as SQL makes and drops them."""
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


def test_consumers_keep_the_log(context):
    with harness.Rustbd(env={"RUSTBD_WAL_SEGMENT_SIZE": "1MiB"}) as server:
        def write():
            for _ in range(6):
                server.sql("create table o as select repeat(g::text, 10) from generate_series(1, 20000) g; drop table o; checkpoint")

        def segments():
            return sorted(p.name for p in (server.data / "wal").glob("*.wal"))

        slots = "select string_agg(slot_name || slot_type || restart_lsn, ',' order by slot_name) from pg_replication_slots"
        begin = server.sql("select rustbd_create_log_consumer('reader')")
        oldest = segments()[0]
        write()
        assert segments()[0] == oldest, "the log that the consumer needs is gone"
        assert server.sql(slots) == f"readerphysical{begin}"
        assert server.sql("select value > 4e6 from rustbd_metrics where name = 'rustbd_wal_consumer_lag_bytes'") == "t"
        server.kill()
        server.start()
        assert server.sql(slots) == f"readerphysical{begin}", "a consumer is durable"
        end = server.sql("select rustbd_advance_log_consumer('reader', 'FFFFFFFF/0')")
        assert server.sql(f"select '{end}'::pg_lsn <= pg_current_wal_flush_lsn() and pg_wal_lsn_diff('{end}', '{begin}') > 4e6") == "t"
        write()
        harness.wait_until(lambda: segments()[0] != oldest, "the log that nobody needs is used again")
        for sql, state in ((f"select rustbd_advance_log_consumer('reader', '{begin}')", "55000"),
                           ("select rustbd_advance_log_consumer('nobody', '0/1')", "42704"),
                           ("select rustbd_create_log_consumer('reader')", "42710"),
                           ("select rustbd_create_log_consumer('Reader 1')", "42602"),
                           ("create role mortal login; set role mortal; select rustbd_drop_log_consumer('reader')", "42501")):
            assert f"{state}: " in server.refusal(sql), sql
        server.sql("select rustbd_drop_log_consumer('reader')")
        assert server.sql("select count(*) from pg_replication_slots") == "0"
