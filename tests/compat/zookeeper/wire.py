"""ZooKeeper's packets by hand: bytes in, bytes out, nothing kept from the checks."""
import socket
import struct

from harness import HOST, PATIENCE, Failure

CREATE, DELETE, EXISTS, GET, SET, GET_ACL, SET_ACL, CHILDREN, SYNC = 1, 2, 3, 4, 5, 6, 7, 8, 9
PING, CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = 11, 12, 13, 14, 15, 16, 17, 18
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL, MULTI_READ = 19, 20, 21, 22
AUTH, SET_WATCHES, SASL, EPHEMERALS, ALL_CHILDREN, SET_WATCHES2, ADD_WATCH, WHO_AM_I = 100, 101, 102, 103, 104, 105, 106, 107
CREATE_SESSION, CLOSE = -10, -11

OK, MARSHALLING, UNIMPLEMENTED, BAD_ARGUMENTS = 0, -5, -6, -8
NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN, EXISTS_ALREADY, NOT_EMPTY = -101, -102, -103, -108, -110, -111
INVALID_ACL, AUTH_FAILED, NO_WATCHER = -114, -115, -121
AFTER_FAILURE = -2

CREATED, DELETED, CHANGED, CHILD = 1, 2, 3, 4
ANYBODY = [(31, "world", "anyone")]


def i32(number):
    return struct.pack(">i", number)


def i64(number):
    return struct.pack(">q", number)


def flag(value):
    return b"\1" if value else b"\0"


def buf(data):
    """A buffer or a string; None is null."""
    if data is None:
        return i32(-1)
    data = data.encode() if isinstance(data, str) else data
    return i32(len(data)) + data


def vector(items, encode=buf):
    return i32(-1) if items is None else i32(len(items)) + b"".join(encode(item) for item in items)


def acl(entries):
    return vector(entries, lambda entry: i32(entry[0]) + buf(entry[1]) + buf(entry[2]))


def create(path, data=b"", entries=None, flags=0):
    return buf(path) + buf(data) + acl(ANYBODY if entries is None else entries) + i32(flags)


def multi(*operations):
    """Of (type, body) pairs."""
    return b"".join(i32(kind) + flag(False) + i32(-1) + body for kind, body in operations) + \
        i32(-1) + flag(True) + i32(-1)


class Reader:
    """Takes a reply apart; everything must be used up."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Failure("a reply ends early: %r" % self.data)
        self.at += count
        return self.data[self.at - count:self.at]

    def i32(self):
        return struct.unpack(">i", self.take(4))[0]

    def i64(self):
        return struct.unpack(">q", self.take(8))[0]

    def flag(self):
        return self.take(1) != b"\0"

    def buf(self):
        size = self.i32()
        return None if size < 0 else self.take(size)

    def text(self):
        data = self.buf()
        return None if data is None else data.decode()

    def vector(self, item):
        count = self.i32()
        return None if count < 0 else [item() for _ in range(count)]

    def stat(self):
        return Stat(self.take(68))

    def acl(self):
        return self.vector(lambda: (self.i32(), self.text(), self.text()))

    def end(self):
        if self.at != len(self.data):
            raise Failure("%d bytes too many: %r" % (len(self.data) - self.at, self.data))


class Stat:
    NAMES = ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "ephemeralOwner",
             "dataLength", "numChildren", "pzxid")

    def __init__(self, data):
        self.data = data
        for name, value in zip(self.NAMES, struct.unpack(">qqqqiiiqiiq", data)):
            setattr(self, name, value)

    def as_dict(self):
        return {name: getattr(self, name) for name in self.NAMES}

    def __eq__(self, other):
        return self.data == other.data

    def __repr__(self):
        return repr(self.as_dict())


class Packet:
    def __init__(self, data):
        self.xid, self.zxid, self.err = struct.unpack(">iqi", data[:16])
        self.body = Reader(data[16:])

    def as_event(self):
        """(type, path) of a watch event."""
        if self.xid != -1 or self.err != 0:
            raise Failure("no event: %r" % self)
        event = (self.body.i32(), self.body.i32(), self.body.text())
        self.body.end()
        if event[1] != 3:
            raise Failure("an event of state %d" % event[1])
        return event[0], event[2]

    def __repr__(self):
        return "xid %d zxid %#x err %d body %r" % (self.xid, self.zxid, self.err, self.body.data)


def multi_results(reader):
    """The results of a multi: ("create", path), ("create2", path, Stat), ("set", Stat), ("delete",),
    ("check",), ("children", names), ("get", data, Stat), ("error", code)."""
    results = []
    while True:
        kind, done, err = reader.i32(), reader.flag(), reader.i32()
        if done:
            if (kind, err) != (-1, -1):
                raise Failure("an odd end of a multi: %d, %d" % (kind, err))
            reader.end()
            return results
        if kind == -1:
            code = reader.i32()
            if code != err:
                raise Failure("an error's header says %d, its body %d" % (err, code))
            results.append(("error", code))
            continue
        if err != 0:
            raise Failure("a result of type %d with error %d" % (kind, err))
        results.append({
            CREATE: lambda: ("create", reader.text()),
            CREATE2: lambda: ("create2", reader.text(), reader.stat()),
            SET: lambda: ("set", reader.stat()),
            DELETE: lambda: ("delete",),
            CHECK: lambda: ("check",),
            CHILDREN: lambda: ("children", sorted(reader.vector(reader.text))),
            GET: lambda: ("get", reader.buf(), reader.stat()),
        }[kind]())


class Raw:
    """A connection without a session."""

    def __init__(self, server):
        self.socket = socket.create_connection((HOST, server.port), timeout=10 * PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.socket.sendall(data)

    def send_packet(self, body):
        self.send(i32(len(body)) + body)

    def read(self, count):
        """So many bytes; fewer only at the end of the connection."""
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionError:
                break
            if not piece:
                break
            data += piece
        return data

    def packet(self):
        """The next packet's bytes, or None if the other side has closed."""
        head = self.read(4)
        if not head:
            return None
        size = struct.unpack(">i", head)[0]
        data = self.read(size)
        if len(data) < size:
            raise Failure("the connection ends within a packet")
        return data

    def expect_close(self):
        """Nothing more is said, and the other side closes."""
        data = self.packet()
        if data is not None:
            raise Failure("not closed, but told %r" % data)

    def is_silent(self, seconds=0.3):
        """True if nothing comes for so long; the other side keeps the connection."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b"" and False
        except socket.timeout:
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(10 * PATIENCE)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect_request(timeout=10000, session=0, password=b"\0" * 16, seen=0, read_only=False, version=0):
    """45 bytes; 44 with read_only=None."""
    return i32(version) + i64(seen) + i32(timeout) + i64(session) + buf(password) + \
        (b"" if read_only is None else flag(read_only))


class Refused(Failure):
    """The session has ended, the server says."""


class Client(Raw):
    """A session on one connection. `events` are those that came before an awaited reply."""

    def __init__(self, server, timeout=10000, of=None, seen=0, read_only=False):
        super().__init__(server)
        self.xid = 0
        self.events = []
        self.send_packet(connect_request(timeout, of.session if of else 0,
                                         of.password if of else b"\0" * 16, seen, read_only))
        answer = self.packet()
        if answer is None:
            raise Failure("closed instead of a connect reply")
        reply = Reader(answer)
        self.protocol, self.timeout, self.session, self.password = \
            reply.i32(), reply.i32(), reply.i64(), reply.buf()
        if self.timeout <= 0:
            raise Refused("session refused")

    def request(self, kind, body=b"", xid=None):
        """Sends without waiting; returns the xid."""
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send_packet(i32(xid) + i32(kind) + body)
        return xid

    def next(self):
        data = self.packet()
        if data is None:
            raise Failure("closed by the server")
        return Packet(data)

    def reply(self, xid):
        """The next packet that is no event, which must be the reply to that request."""
        while True:
            packet = self.next()
            if packet.xid != -1:
                break
            self.events.append(packet.as_event())
        if packet.xid != xid:
            raise Failure("a reply to %d instead of %d" % (packet.xid, xid))
        return packet

    def call(self, kind, body=b"", xid=None):
        return self.reply(self.request(kind, body, xid))

    def error(self, kind, body=b""):
        """The reply's code; an error comes without a body."""
        packet = self.call(kind, body)
        if packet.err != 0:
            packet.body.end()
        return packet.err

    def good(self, kind, body=b""):
        """The body of a reply that must be without an error."""
        packet = self.call(kind, body)
        if packet.err != 0:
            raise Failure("operation %d answers %d" % (kind, packet.err))
        return packet.body

    def event(self):
        """The next event, (type, path): kept from before, or the next packet."""
        return self.events.pop(0) if self.events else self.next().as_event()

    def pending_events(self):
        """Every event that is under way: a ping's reply comes behind them."""
        self.call(PING, xid=-2)
        events, self.events = self.events, []
        return events

    # What checks need all the time.
    def create(self, path, data=b"", entries=None, flags=0):
        return self.good(CREATE, create(path, data, entries, flags)).text()

    def delete(self, path, version=-1):
        self.good(DELETE, buf(path) + i32(version)).end()

    def set(self, path, data, version=-1):
        return self.good(SET, buf(path) + buf(data) + i32(version)).stat()

    def get(self, path, watch=False):
        body = self.good(GET, buf(path) + flag(watch))
        return body.buf(), body.stat()

    def stat(self, path, watch=False):
        """None if there is no such node."""
        packet = self.call(EXISTS, buf(path) + flag(watch))
        if packet.err == NO_NODE:
            return None
        if packet.err != 0:
            raise Failure("exists answers %d" % packet.err)
        return packet.body.stat()

    def children(self, path, watch=False):
        body = self.good(CHILDREN, buf(path) + flag(watch))
        return sorted(body.vector(body.text))

    def sync(self, path="/"):
        return self.good(SYNC, buf(path)).text()

    def multi(self, *operations):
        return multi_results(self.good(MULTI, multi(*operations)))

    def auth(self, scheme, credentials):
        return self.call(AUTH, i32(0) + buf(scheme) + buf(credentials), xid=-4)

    def end_session(self):
        reply = self.call(CLOSE)
        if reply.err != 0:
            raise Failure("closeSession answers %d" % reply.err)
        self.expect_close()
        self.close()
