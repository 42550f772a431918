"""The same statements to PostgreSQL 15 and to RustBD: rows, columns, types, tags, SQLSTATEs and messages must agree.

By hand, one file or all against servers that run already:
  POSTGRES_PORT=... RUSTBD_PORT=... /usr/bin/python3 tests/sql/test_differential.py [FILE...]
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import differential  # noqa: E402


def _revive(server):
    def revive() -> int:
        if server.process.poll() is not None:
            server.start()
        return server.port
    return revive


def _test(path):
    def run(context):
        count, differences = differential.compare(path, context.postgres.port, context.server.port, _revive(context.server))
        assert count > 0, "no statement in the file"
        assert not differences, f"{len(differences)} of {count} differ\n" + "\n".join(differences[:60])
    return run


for _path in sorted(differential.CASES.glob("*.sql")):
    globals()[f"test_{_path.stem}"] = _test(_path)


def test_the_comparison_sees_differences(context):
    """Each kind of difference is noticed: else the tests above would prove nothing."""
    one = differential.Outcome(columns=[("a", 23)], rows=[("1",), ("2",)], tag="SELECT 2")
    turned = differential.Outcome(columns=[("a", 23)], rows=[("2",), ("1",)], tag="SELECT 2")
    assert not one.difference(turned, ordered=False)
    assert one.difference(turned, ordered=True)
    for other in (dict(columns=[("b", 23)]), dict(columns=[("a", 20)]), dict(rows=[("1",), ("3",)]), dict(rows=[("1",)]), dict(tag="SELECT 3"),
                  dict(error="22012 | division by zero")):
        changed = differential.Outcome(**{"columns": one.columns, "rows": one.rows, "tag": one.tag, **other})
        assert one.difference(changed, ordered=False), other


if __name__ == "__main__":
    names = sys.argv[1:] or [p.name for p in sorted(differential.CASES.glob("*.sql"))]
    for name in names:
        n, found = differential.compare(differential.CASES / name, int(os.environ["POSTGRES_PORT"]), int(os.environ["RUSTBD_PORT"]))
        print(f"{name}: {len(found)} of {n} differ")
        print("\n".join(found))
