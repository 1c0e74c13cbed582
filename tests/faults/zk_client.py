"""A ZooKeeper client for fault rounds: one session, one call at a time, whatever happens to connections.

It speaks the packets of tests/compat/zookeeper/wire.py. A call that lost its connection is not repeated: its
outcome is not known. The session is taken along to the next server, until a server says that it has ended."""
import os
import socket
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat", "zookeeper"))
import wire  # noqa: E402  (found through the path above)

CALL_S = 1.2
NO_SESSION = -112


class Lost(Exception):
    """The connection is gone, and the outcome of what was under way is not known."""


class Unsent(Exception):
    """There is no connection, so nothing was done."""


class Ended(Exception):
    """The session has ended, says the server."""


def now_us():
    return time.monotonic_ns() // 1000


class Session:
    def __init__(self, servers, timeout_ms, on_event=None):
        self.servers = servers  # (host, port), in the order in which they are tried
        self.timeout_ms = timeout_ms
        self.on_event = on_event  # (type, path), before any reply behind it is returned
        self.id, self.password = 0, b"\0" * 16
        self.seen = 0             # the highest zxid
        self.socket = None
        self.xid = 0

    def drop(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def connect(self):
        """At the next server that answers; Lost if this one does not. Ended: begin anew with forget()."""
        host, port = self.servers[0]
        self.servers = self.servers[1:] + self.servers[:1]
        try:
            self.socket = socket.create_connection((host, port), timeout=CALL_S)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._send(wire.connect_request(self.timeout_ms, self.id, self.password, self.seen))
            reply = wire.Reader(self._packet())
        except OSError as error:
            self.drop()
            raise Lost() from error
        _, timeout, session, password = reply.i32(), reply.i32(), reply.i64(), reply.buf()
        if timeout <= 0:
            self.drop()
            raise Ended()
        self.id, self.password = session, password

    def forget(self):
        self.drop()
        self.id, self.password = 0, b"\0" * 16

    def _send(self, body):
        self.socket.sendall(wire.i32(len(body)) + body)

    def _read(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionError("closed")
            data += piece
        return data

    def _packet(self):
        return self._read(int.from_bytes(self._read(4), "big"))

    def call(self, *requests):
        """Each of (type, body) is sent at once; returns the last one's packet. Unsent, Lost, Ended."""
        if self.socket is None:
            raise Unsent()
        try:
            for kind, body in requests:
                self.xid += 1
                self._send(wire.i32(self.xid) + wire.i32(kind) + body)
            wanted = self.xid - len(requests) + 1
            while True:
                packet = wire.Packet(self._packet())
                if packet.xid == -1:
                    if self.on_event is not None:
                        self.on_event(*packet.as_event())
                    continue
                if packet.xid != wanted:
                    raise wire.Failure("a reply to %d instead of %d" % (packet.xid, wanted))
                if packet.zxid > 0:
                    if packet.zxid < self.seen:
                        raise wire.Failure("zxid went back from %d to %d" % (self.seen, packet.zxid))
                    self.seen = packet.zxid
                if packet.err == NO_SESSION:
                    raise Ended()
                if wanted == self.xid:
                    return packet
                wanted += 1
        except OSError as error:
            self.drop()
            raise Lost() from error
