"""Schedules: statements of several connections in a fixed order, the same on PostgreSQL and on RustBD.

A schedule is a list of steps (connection, statement). A step starts when the one before has ended or waits for a lock;
a step that waits is joined when it ends.
"""
import queue
import threading
import time

import psycopg2
import psycopg2.extensions

LIMIT = 30.0  # seconds, for every wait


class Session:
    """A connection with a thread of its own, which runs one statement at a time."""

    def __init__(self, port: int):
        self.connection = psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", connect_timeout=30)
        self.connection.autocommit = True
        self.jobs, self.done = queue.Queue(), threading.Event()
        self.done.set()
        self.result = None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        while (sql := self.jobs.get()) is not None:
            try:
                cursor = self.connection.cursor()
                cursor.execute(sql)
                self.result = sorted(cursor.fetchall(), key=repr) if cursor.description else cursor.statusmessage
            except psycopg2.Error as e:
                self.result = e.pgcode or f"lost: {e}"
            self.done.set()

    def start(self, sql: str):
        assert self.done.is_set(), f"busy: {sql}"
        self.done.clear()
        self.jobs.put(sql)

    def finish(self):
        assert self.done.wait(LIMIT), "the statement did not end"
        return self.result

    def run(self, sql: str):
        self.start(sql)
        return self.finish()

    def cancel(self):
        self.connection.cancel()

    def waits(self, seconds=LIMIT) -> bool:
        """Whether the statement is still running after it had ample time to end: these statements do no work to speak of.

        There is no way to see a wait from outside that both servers have. A slow machine can make a statement look as
        if it waited, never the other way round, so this cannot fail a server that waits.
        """
        return not self.done.wait(min(seconds, 0.7))

    def close(self):
        self.jobs.put(None)
        if not self.done.is_set():
            try:
                self.connection.cancel()
            except psycopg2.Error:
                pass
        self.thread.join(LIMIT)
        self.connection.close()


class Schedule:
    def __init__(self, port: int, *setup: str):
        self.port, self.sessions, self.trace = port, {}, []
        for sql in setup:
            self.step("setup", sql)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for session in self.sessions.values():
            session.close()

    def session(self, name: str) -> Session:
        if name not in self.sessions:
            self.sessions[name] = Session(self.port)
        return self.sessions[name]

    def step(self, name: str, sql: str):
        """Runs to its end; the result: rows, a command tag, or a SQLSTATE."""
        result = self.session(name).run(sql)
        self.trace.append((name, sql, result))
        return result

    def blocks(self, name: str, sql: str):
        """Starts a statement that must wait."""
        session = self.session(name)
        session.start(sql)
        waited = session.waits()
        self.trace.append((name, sql, "waits" if waited else session.result))
        assert waited, f"{name}: {sql}: ended without waiting: {session.result}"

    def join(self, name: str):
        result = self.session(name).finish()
        self.trace.append((name, "(ends)", result))
        return result


def wait_for(condition, what: str):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)
