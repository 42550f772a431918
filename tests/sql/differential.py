"""Sends the same statements to PostgreSQL and to RustBD and compares all that a client sees.

A case file is a list of statements, each ending with `;` at the end of a line; the files run in the order of their
names, each on a connection of its own, in a schema of its own unless its first lines say otherwise:

  -- file: schema big        statements run in this schema, which an earlier file made
  -- file: ordered           every result is compared in its order (each ORDER BY of the file must be total)
  -- ordered                 the next statement's result is compared in its order

Rows are otherwise compared as multisets, as text. After `copy ... from stdin;` the data lines follow up to `\\.`.
`known.txt` lists the differences that are accepted, with the reason.
"""
import io
import pathlib
import re
import socket
import threading

import psycopg2
import psycopg2.extensions

HERE = pathlib.Path(__file__).resolve().parent
CASES = HERE / "cases"
STATEMENT_SECONDS = 60

# Every value as the text that the server sent. Registered for one connection at a time: other tests want Python's types.
RAW = psycopg2.extensions.new_type(tuple(psycopg2.extensions.string_types), "RAW", lambda value, cursor: value)


class Statement:
    def __init__(self, text: str, line: int, ordered: bool):
        self.text, self.line, self.ordered, self.data = text, line, ordered, None

    @property
    def key(self) -> str:
        return re.sub(r"\s+", " ", self.text).strip()


class CaseFile:
    def __init__(self, path: pathlib.Path):
        self.path, self.schema, self.statements = path, None, []
        every_ordered = ordered = False
        lines, start, data = [], 0, None
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if data is not None:
                if line == "\\.":
                    self.statements[-1].data, data = "".join(data), None
                else:
                    data.append(line + "\n")
                continue
            if not lines:
                stripped = line.strip()
                if stripped.startswith("-- file: schema "):
                    self.schema = stripped.split()[-1]
                elif stripped == "-- file: ordered":
                    every_ordered = True
                elif stripped == "-- ordered":
                    ordered = True
                if not stripped or stripped.startswith("--"):
                    continue
                start = number
            lines.append(line)
            text = "\n".join(lines)
            if line.rstrip().endswith(";") and text.count("'") % 2 == 0 and text.count("$$") % 2 == 0:
                self.statements.append(Statement(text.rstrip()[:-1], start, ordered or every_ordered))
                if re.match(r"copy\b.*\bfrom stdin\b", text, re.I | re.S):
                    data = []
                lines, ordered = [], False
        assert not lines and data is None, f"{path.name}: the last statement has no end"


class Outcome:
    """What a client sees of one statement."""

    def __init__(self, error=None, columns=None, rows=None, tag=None):
        self.error, self.columns, self.rows, self.tag = error, columns, rows, tag

    def difference(self, other: "Outcome", ordered: bool) -> str:
        """The first thing that is not as in `other` (PostgreSQL's); empty if nothing."""
        if not _same_error(self.error, other.error):
            return f"error {self.error or 'none'}\n     want {other.error or 'none'}"
        if self.columns != other.columns:
            return f"columns {self.columns}\n     want {other.columns}"
        mine, want = self.rows, other.rows
        if mine is not None and want is not None and not ordered:
            mine, want = sorted(mine, key=repr), sorted(want, key=repr)
        if mine != want:
            return "rows " + _row_difference(mine, want)
        if self.tag != other.tag:
            return f"tag {self.tag}\n     want {other.tag}"
        return ""


def _same_error(mine, want) -> bool:
    """Equal, but for a position where PostgreSQL gives none."""
    return mine == want or bool(mine and want and " | at " not in want and mine.rpartition(" | at ")[0] == want)


def _row_difference(mine, want) -> str:
    if mine is None or want is None:
        return f"{mine!r:.300}\n     want {want!r:.300}"
    for index in range(max(len(mine), len(want))):
        a = mine[index] if index < len(mine) else None
        b = want[index] if index < len(want) else None
        if a != b:
            return f"{len(mine)}, want {len(want)}; row {index}: {a!r:.400}\n     want {b!r:.400}"
    return ""


class Client:
    """A connection that comes back after it was lost, and that no statement can hold for ever."""

    def __init__(self, port: int, schema: str, revive=None):
        self.port, self.schema, self.revive, self.connection = port, schema, revive, None
        self.connect()

    def connect(self):
        self.connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", connect_timeout=30)
        psycopg2.extensions.register_type(RAW, self.connection)
        self.connection.autocommit = True
        cursor = self.connection.cursor()
        cursor.execute("set timezone = 'UTC'")
        if self.schema:
            cursor.execute(f"set search_path = {self.schema}")

    def run(self, statement: Statement) -> Outcome:
        late = threading.Event()

        def cut():
            late.set()
            try:
                with socket.socket(fileno=socket.dup(self.connection.fileno())) as s:
                    s.shutdown(socket.SHUT_RDWR)
            except (OSError, psycopg2.Error):
                pass

        timer = threading.Timer(STATEMENT_SECONDS, cut)
        timer.start()
        try:
            return self._run(statement)
        except (psycopg2.Error, OSError) as e:
            outcome = Outcome(error=f"connection lost ({'no answer' if late.is_set() else str(e).strip()})")
            if self.revive:
                self.port = self.revive()
            self.connect()
            return outcome
        finally:
            timer.cancel()

    def _run(self, statement: Statement) -> Outcome:
        cursor = self.connection.cursor()
        text = statement.text
        try:
            if statement.data is not None:
                cursor.copy_expert(text, io.StringIO(statement.data))
                return Outcome(tag=cursor.statusmessage)
            if re.match(r"copy\b.*\bto stdout\b", text, re.I | re.S):
                out = io.StringIO()
                cursor.copy_expert(text, out)
                return Outcome(rows=out.getvalue().splitlines(), tag=cursor.statusmessage)
            cursor.execute(text)
            if cursor.description is None:
                return Outcome(tag=cursor.statusmessage)
            columns = [(c.name, c.type_code) for c in cursor.description]
            return Outcome(columns=columns, rows=cursor.fetchall(), tag=cursor.statusmessage)
        except psycopg2.Error as e:
            if e.pgcode is None or self.connection.closed:
                raise
            d = e.diag
            fields = [d.sqlstate, d.message_primary]
            if d.sqlstate.startswith(("42", "0A", "21")) and d.statement_position:
                fields.append(f"at {d.statement_position}")
            if d.sqlstate.startswith("23"):
                fields += [d.message_detail, d.schema_name and "schema", d.table_name, d.column_name, d.constraint_name]
            return Outcome(error=" | ".join(str(f) for f in fields))

    def close(self):
        self.connection.close()


def known() -> dict:
    """(file, statement) -> reason."""
    found = {}
    for line in (HERE / "known.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, statement, reason = (part.strip() for part in line.split(" | "))
            found[name, statement] = reason
    return found


def compare(path: pathlib.Path, postgres_port: int, port: int, revive=None) -> tuple[int, list[str]]:
    """Runs one file on both; gives the number of statements and the differences, each as a text."""
    case = CaseFile(path)
    schema = case.schema or "case_" + re.sub(r"\W", "_", path.stem)
    accepted = {statement for name, statement in known() if name == path.name}
    want, mine = Client(postgres_port, ""), Client(port, "", revive)
    differences, stale = [], set(accepted)
    try:
        for client in (want, mine):
            if case.schema is None:
                client.run(Statement(f"create schema {schema}", 0, False))
            client.schema = schema
            client.run(Statement(f"set search_path = {schema}", 0, False))
        for statement in case.statements:
            text = mine.run(statement).difference(want.run(statement), statement.ordered)
            if text and statement.key in accepted:
                stale.discard(statement.key)
            elif text:
                differences.append(f"{path.name}:{statement.line}: {statement.key[:300]}\n     {text}")
        differences += [f"{path.name}: known.txt lists what is no difference: {key}" for key in sorted(stale)]
    finally:
        want.close()
        mine.close()
    return len(case.statements), differences
