"""PostgreSQL's protocol 3.0 by hand, for what no driver would send."""
import socket
import struct


class Wire:
    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def raw(self, data: bytes):
        self.socket.sendall(data)

    def startup(self, user="postgres", database="postgres", protocol=196608, **more):
        body = struct.pack("!i", protocol)
        for name, value in {"user": user, "database": database, **more}.items():
            body += name.encode() + b"\0" + str(value).encode() + b"\0"
        body += b"\0"
        self.raw(struct.pack("!i", len(body) + 4) + body)
        return self

    def login(self, **more):
        self.startup(**more)
        return self.until("Z")

    def message(self, kind: str, body: bytes = b""):
        self.raw(encode(kind, body))

    def read(self, n: int) -> bytes:
        while len(self.buffer) < n:
            got = self.socket.recv(65536)
            if not got:
                raise EOFError(f"connection ended, {len(self.buffer)} bytes left over")
            self.buffer += got
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def next(self):
        kind = self.read(1).decode()
        length = struct.unpack("!i", self.read(4))[0]
        return kind, self.read(length - 4)

    def until(self, kind: str):
        """Messages up to and with one of this kind."""
        out = []
        while True:
            out.append(self.next())
            if out[-1][0] == kind:
                return out

    def at_end(self) -> bool:
        """True if the server closed the connection (after whatever it still sent)."""
        try:
            while True:
                self.next()
        except (EOFError, ConnectionResetError):
            return True

    def query(self, sql: str):
        self.message("Q", sql.encode() + b"\0")
        return self.until("Z")


def encode(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def parse(sql: str, name="", types=()) -> bytes:
    return encode("P", name.encode() + b"\0" + sql.encode() + b"\0" + struct.pack("!h", len(types)) + b"".join(struct.pack("!I", t) for t in types))


def bind(values=(), portal="", name="", formats=(), results=()) -> bytes:
    body = portal.encode() + b"\0" + name.encode() + b"\0" + struct.pack("!h", len(formats)) + b"".join(struct.pack("!h", f) for f in formats)
    body += struct.pack("!h", len(values))
    for v in values:
        body += struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v
    return encode("B", body + struct.pack("!h", len(results)) + b"".join(struct.pack("!h", f) for f in results))


def execute(portal="", rows=0) -> bytes:
    return encode("E", portal.encode() + b"\0" + struct.pack("!i", rows))


def describe(kind: str, name="") -> bytes:
    return encode("D", kind.encode() + name.encode() + b"\0")


def kinds(messages) -> str:
    return "".join(kind for kind, _ in messages)


def error(messages) -> dict:
    """Fields of the (only) ErrorResponse."""
    bodies = [body for kind, body in messages if kind == "E"]
    assert len(bodies) == 1, messages
    return fields(bodies[0])


def fields(body: bytes) -> dict:
    return {f[:1].decode(): f[1:].decode() for f in body.split(b"\0") if f}


def rows(messages):
    """Values of the DataRow messages, as bytes or None."""
    out = []
    for kind, body in messages:
        if kind != "D":
            continue
        count, at, row = struct.unpack("!h", body[:2])[0], 2, []
        for _ in range(count):
            n = struct.unpack("!i", body[at:at + 4])[0]
            at += 4
            row.append(None if n < 0 else body[at:at + n])
            at += max(n, 0)
        out.append(row)
    return out
