"""Random steps for the differential test, and what becomes of them on one server.

A step is a tuple that means the same on every server:

    ("open", slot, timeout, read_only)     a new session on a new connection
    ("resume", slot, how, seen, read_only) the slot's session on a new connection; how: good, bad
    ("drop", slot)                         the connection ends without a word
    ("send", slot, (packet, ...))          requests in one go
    ("bytes", slot, data)                  what is no request

A packet is (type, fields, twist). A field is (kind, value); a path that begins with ~ lies below the
node of this run. A twist damages the encoded packet: ("cut", bytes), ("add", bytes), ("poke", at,
bytes), ("xid", number), ("jump", number to be added to the xid).

`Run` plays the steps on one server and notes what a client can see, as far as it must be alike: see
docs/protocols/zookeeper.md for what may differ.
"""
import base64
import hashlib
import re
import socket
import struct

import wire
from wire import i32, i64

PASSWORDS = {"u": "u:p", "v": "v:p"}


def digest(credentials):
    name = credentials.partition(":")[0]
    return name + ":" + base64.b64encode(hashlib.sha1(credentials.encode()).digest()).decode()


# ---- choosing -------------------------------------------------------------------------------

GOOD_PATHS = ("~", "~/a", "~/b", "~/a/c", "~/a/d", "~/a/c/e", "~/f")
ODD_PATHS = ("", "a", "/", "//", "~/", "~/a/", "~//a", "~/./a", "~/..", "~/a/../b", "~/missing/x/y", "~/\0",
             "~/a\1b", "~/\x7f", "~/\u00e9", "~/\u20ac", "~/\U0001f600", "~/\ue000", "~/\ufff0", "~/\ufffd",
             "~/...", "~/ ", "~/a b", "~/" + "n" * 300, b"~/\xff", b"~/\xc3", b"~/\xed\xa0\x80", None,
             "/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/missing")
ONCE_PATHS = ("~/\u00e9", "~/\u20ac", "~/...", "~/ ", "~/a b", "~/missing/x/y")
PREFIXES = ("~/q-", "~/a/", "~/", "~/a/q", "~/missing/q-")
DATA = (b"", None, b"x", b"0123456789", b"\0\xff", b"y" * 1000)
OPEN = ((31, "world", "anyone"),)
ACLS = (
    ((1, "world", "anyone"),), ((30, "world", "anyone"),), ((15, "world", "anyone"),),
    ((31, "auth", ""),), ((31, "auth", None),), ((1, "auth", "ignored"), (31, "world", "anyone")),
    ((31, "digest", digest("u:p")),), ((1, "digest", digest("u:p")), (2, "digest", digest("v:p"))),
    ((31, "digest", "no colon"),), ((31, "digest", "a:b:c"),), ((31, "digest", ":"),), ((31, "digest", ""),),
    ((31, "ip", "127.0.0.1"),), ((31, "ip", "127.0.0.0/8"),), ((31, "ip", "10.0.0.1"),), ((31, "ip", "127.0.0.1/33"),),
    ((31, "ip", "127.0.0.1/0"),), ((31, "ip", "127.0.0.1/-1"),), ((31, "ip", "127.0.0"),), ((31, "ip", "x"),),
    ((31, "ip", "127.0.0.1/"),), ((31, "ip", "256.0.0.1"),), ((31, "ip", ""),),
    (), None, ((31, "world", "somebody"),), ((31, "world", ""),), ((0, "world", "anyone"),), ((-1, "world", "anyone"),),
    ((32, "world", "anyone"),), ((63, "world", "anyone"),), ((31, "nosuch", "x"),), ((31, "", ""),), ((31, None, "x"),),
    ((31, "world", None),), OPEN + OPEN, ((1, "world", "anyone"), (31, "digest", digest("u:p"))),
    ((31, "super", "x"),),
    OPEN + ((31, "nosuch", "x"),),
)
AUTHS = (("digest", b"u:p"), ("digest", b"v:p"), ("digest", b"nocolon"), ("digest", b""), ("digest", b":"),
         ("digest", b"super:compat"), ("digest", b"super:wrong"), ("ip", b""), ("ip", b"1.2.3.4"), ("world", b"anyone"),
         ("nosuch", b"x"), ("", b""), ("auth", b"x"), ("digest", b"a:b:c"))
VERSIONS = (-1, -1, -1, 0, 1, 2, -2, 7, 2**31 - 1, -2**31)
CREATES = (wire.CREATE, wire.CREATE2, wire.CREATE_CONTAINER, wire.CREATE_TTL)


def ends_connection(kind):
    return kind == wire.CLOSE or kind < wire.CREATE_SESSION or kind > wire.WHO_AM_I


class Chooser:
    """Steps from a seed. One path is watched in one way only: where several meet, 3.8 lets the last
    one win, and coord, as 3.9, keeps them all."""

    def __init__(self, random):
        self.random = random
        self.watched = {path: random.choice(("once", "once", "persistent", "recursive")) for path in GOOD_PATHS}
        self.wild = random.choice((0.0, 0.05, 0.3))
        self.damage = random.choice((0.0, 0.0, 0.05))

    def steps(self, count):
        steps = [("open", slot, 40000, slot != 1) for slot in range(3)]
        while len(steps) < count:
            steps.append(self.step())
        return steps

    def step(self):
        random = self.random
        slot = random.choice((0, 0, 0, 1, 1, 2))
        dice = random.random()
        if dice < 0.02:
            return ("open", slot, random.choice((40000, 4000, 30000, 1, -5, 100000)), random.choice((True, False, None)))
        if dice < 0.06:
            return ("resume", slot, random.choice(("good", "good", "good", "bad")),
                    random.choice(("seen", "zero", "seen", "seen", "ahead")), random.choice((False, None)))
        if dice < 0.08:
            return ("drop", slot)
        if dice < 0.085 and self.wild:
            return ("bytes", slot, random.choice((i32(-1), i32(2**20), i32(0), i32(4) + i32(1), i32(7) + b"1234567", b"\xff" * 8)))
        if dice < 0.11:
            return ("send", slot, (self.auth(),))
        count = random.choice((1, 1, 1, 1, 2, 3, 6))
        packets = [self.packet() for _ in range(count)]
        # What ends the connection goes alone: how much of what comes before and behind it is answered
        # is a matter of luck with ZooKeeper.
        last = [packet for packet in packets if ends_connection(packet[0])]
        return ("send", slot, tuple(last[:1] or packets))

    def path(self):
        if self.random.random() < self.wild:
            return self.random.choice(ODD_PATHS)
        return self.random.choice(GOOD_PATHS)

    def data(self):
        return self.random.choice(DATA)

    def acl(self):
        return OPEN if self.random.random() < 0.75 else self.random.choice(ACLS)

    def version(self):
        return self.random.choice(VERSIONS)

    def auth(self):
        random = self.random
        scheme, credentials = random.choice(AUTHS[:2]) if random.random() < 0.6 else random.choice(AUTHS)
        return (wire.AUTH, (("int", random.choice((0, 0, 5))), ("buf", scheme), ("buf", credentials)), random.choice((("xid", -4), None)))

    def creation(self, in_multi=False):
        random = self.random
        kind = random.choice((wire.CREATE, wire.CREATE, wire.CREATE2, wire.CREATE2, wire.CREATE_CONTAINER, wire.CREATE_TTL))
        path = self.path()
        flags = random.choice((0, 0, 0, 1, 2, 3))
        if kind == wire.CREATE_TTL:
            flags = random.choice((5, 6))
        elif kind == wire.CREATE_CONTAINER:
            flags = 4
        if random.random() < self.wild and not in_multi:
            flags = random.choice((-1, 7, 100) if kind == wire.CREATE_TTL else (-1, 0, 1, 2, 3, 4, 5, 6, 7, 100))
        if flags in (2, 3, 6):
            path = random.choice(PREFIXES) if random.random() < 0.8 else path
        # Emptied containers go by themselves, at a time of the server's choice.
        if flags == 4 or kind == wire.CREATE_CONTAINER:
            path = random.choice(("~/box", "~/a/box", path if path not in GOOD_PATHS else "~/box"))
        fields = [("path", path), ("buf", self.data()), ("acl", self.acl()), ("int", flags)]
        if kind == wire.CREATE_TTL:
            fields.append(("long", random.choice((10**9, 10**9, 10**9, 1 << 39, 0, -1, (1 << 40) - 1, 1 << 40, 1 << 62))))
        return kind, tuple(fields)

    def change(self):
        """What a multi may hold."""
        random = self.random
        dice = random.random()
        if dice < 0.45:
            return self.creation(in_multi=True)
        if dice < 0.65:
            return wire.DELETE, (("path", self.path()), ("int", self.version()))
        if dice < 0.9:
            return wire.SET, (("path", self.path()), ("buf", self.data()), ("int", self.version()))
        return wire.CHECK, (("path", self.path()), ("int", self.version()))

    def operations(self, choose):
        random = self.random
        operations = [choose() for _ in range(random.choice((0, 1, 1, 2, 2, 3, 5)))]
        if random.random() < self.wild:
            operations.append(random.choice((self.reading(), self.watching(), self.change(), self.other())))
        return (("multi", tuple(operations)),)

    def read_many(self):
        random = self.random
        if random.random() < 0.5:
            return wire.CHILDREN, (("path", self.path()), ("bool", random.random() < 0.5))
        return wire.GET, (("path", self.path()), ("bool", random.random() < 0.5))

    def watch_path(self, *ways):
        """A path that is watched in one of these ways, or an odd one."""
        paths = [path for path, way in self.watched.items() if way in ways]
        if not paths or (ways == ("once",) and self.random.random() < self.wild):
            return self.random.choice(ONCE_PATHS if "once" in ways else ("~/" + ways[0],))
        return self.random.choice(paths)

    def reading(self):
        random = self.random
        kind = random.choice((wire.EXISTS, wire.GET, wire.CHILDREN, wire.CHILDREN2))
        path = self.path()
        watch = random.random() < 0.6 and self.watched.get(path, "once") == "once"
        return kind, (("path", path), ("bool", watch))

    def watching(self):
        random = self.random
        dice = random.random()
        if dice < 0.4:
            mode = random.choice(("persistent", "recursive"))
            number = {"persistent": 0, "recursive": 1}[mode]
            if random.random() < self.wild:
                return wire.ADD_WATCH, (("path", self.watch_path(mode)), ("int", random.choice((-1, 2, 5))))
            return wire.ADD_WATCH, (("path", self.watch_path(mode)), ("int", number))
        if dice < 0.75:
            kind = random.choice((wire.CHECK_WATCHES, wire.REMOVE_WATCHES, wire.REMOVE_WATCHES))
            if random.random() < self.wild:
                return kind, (("path", self.path()), ("int", random.choice((0, -1, 6, 100))))
            if random.random() < 0.5:
                return kind, (("path", self.watch_path("once")), ("int", random.choice((1, 2, 3))))
            return kind, (("path", self.path()), ("int", 3))
        lists = [tuple({self.watch_path("once") for _ in range(random.choice((0, 1, 2)))}) for _ in range(3)]
        fields = [("zxid", random.choice(("seen", "zero", "now", "ahead")))] + [("paths", paths) for paths in lists]
        if random.random() < 0.5:
            return wire.SET_WATCHES, tuple(fields)
        for way in ("persistent", "recursive"):
            fields.append(("paths", tuple({self.watch_path(way) for _ in range(random.choice((0, 1)))})))
        return wire.SET_WATCHES2, tuple(fields)

    def other(self):
        random = self.random
        return random.choice((
            lambda: (wire.GET_ACL, (("path", self.path()),)),
            lambda: (wire.SET_ACL, (("path", self.path()), ("acl", self.acl()), ("int", self.version()))),
            lambda: (wire.SET_ACL, (("path", self.path()), ("acl", self.acl()), ("int", self.version()))),
            lambda: (wire.SYNC, (("path", self.path()),)),
            lambda: (wire.PING, ()),
            lambda: (wire.EPHEMERALS, (("path", random.choice(("~", "~/a", None, "", "/", "~/a/q", "x"))),)),
            lambda: (wire.ALL_CHILDREN, (("path", self.path() or "~"),)),
            lambda: (wire.WHO_AM_I, ()),
            lambda: (wire.MULTI_READ, self.operations(self.read_many)),
        ))()

    def rare(self):
        random = self.random
        return random.choice((
            lambda: (wire.CLOSE, ()),
            lambda: (wire.RECONFIG, (("buf", None), ("buf", None), ("buf", "x"), ("long", -1))),
            lambda: (random.choice((108, 500, -12, 2**31 - 1, -2**31)), (("path", "~/a"),)),
        ))()

    def body(self):
        dice = self.random.random()
        if dice < 0.30:
            return self.creation()
        if dice < 0.46:
            return self.change()
        if dice < 0.66:
            return self.reading()
        if dice < 0.78:
            return self.watching()
        if dice < 0.86:
            return wire.MULTI, self.operations(self.change)
        if dice < 0.99:
            return self.other()
        return self.rare()

    def packet(self):
        random = self.random
        kind, fields = self.body()
        if kind == wire.CHECK:
            kind, fields = wire.DELETE, fields
        twist = None
        if random.random() < self.damage:
            twist = random.choice((
                lambda: ("cut", random.randrange(1, 40)),
                lambda: ("add", bytes(random.randrange(256) for _ in range(random.randrange(1, 9)))),
                lambda: ("poke", random.randrange(0, 60), random.choice((i32(-1), i32(-2), i32(2**31 - 1), i32(0), b"\xff"))),
                lambda: ("jump", random.choice((-2000, 2000, 2**31 - 10000, -2**31))),
            ))()
        return kind, fields, twist


# ---- playing --------------------------------------------------------------------------------

# A read that fails; everything before it has been answered then.
BARRIER = wire.buf("/nowhere") + wire.flag(False)


class Slot:
    def __init__(self):
        self.socket = None
        self.received = b""
        self.xid = 0
        self.session = 0
        self.password = b""
        self.seen = 0
        self.sent = {}  # xid -> type of the request


class Run:
    """One sequence on one server."""

    def __init__(self, port, base, seconds=2.0):
        self.port = port
        self.base = base
        self.seconds = seconds
        self.slots = [Slot() for _ in range(3)]
        self.sessions = {0: 0}  # id -> label
        self.passwords = {}     # of those that were opened

    def play(self, steps):
        """What each step shows, as a list of (slot, things seen)."""
        return [self.step(step) for step in steps]

    def close(self):
        """Ends all sessions, and so their ephemeral nodes."""
        slot = Slot()
        for peer in self.slots:
            self.drop(peer)
        for session, password in self.passwords.items():
            self.connect(slot, 40000, session, password, 0, False)
            if slot.socket:
                self.talk(slot, ("send", 0, ((wire.CLOSE, (), None),)))

    def step(self, step):
        kind, number = step[0], step[1]
        slot = self.slots[number]
        shown = []
        if kind == "open":
            self.drop(slot)
            shown.append((number, self.connect(slot, step[2], 0, b"\0" * 16, 0, step[3])))
        elif kind == "resume":
            if slot.session == 0:
                return shown
            if step[2] == "bad":
                self.drop(slot)
            password = slot.password if step[2] == "good" else b"?" * 16
            seen = {"seen": slot.seen, "zero": 0, "ahead": 1 << 60}[step[3]]
            before = slot.socket
            shown.append((number, self.connect(slot, 40000, slot.session, password, seen, step[4])))
            if before:
                if step[3] == "ahead":
                    before.close()
                else:
                    shown.append((number, "the former connection", self.ends(before)))
        elif kind == "drop":
            self.drop(slot)
        else:
            shown.append((number, self.talk(slot, step)))
        for other, peer in enumerate(self.slots):
            if peer.socket and other != number:
                told = self.talk(peer, ("send", other, ()))
                if told:
                    shown.append((other, told))
        return shown

    def drop(self, slot):
        if slot.socket:
            slot.socket.close()
        slot.socket = None
        slot.received = b""

    def ends(self, connection):
        connection.settimeout(self.seconds)
        try:
            data = b"."
            while data:
                data = connection.recv(65536)
        except socket.timeout:
            return "is left open"
        except ConnectionError:
            pass
        connection.close()
        return "ends"

    def connect(self, slot, timeout, session, password, seen, read_only):
        slot.socket = socket.create_connection(("127.0.0.1", self.port), timeout=self.seconds)
        slot.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        slot.received = b""
        request = wire.connect_request(timeout, session, password, seen, read_only)
        slot.socket.sendall(i32(len(request)) + request)
        answer = self.packet(slot)
        if not isinstance(answer, bytes):
            return answer
        version, given, got, size = struct.unpack(">iiqi", answer[:20])
        if given <= 0:
            slot.session, same = 0, "none"
            if self.packet(slot) != "end":
                same = "refused, but not closed"
        else:
            same = "resumed" if got == session else "new"
            slot.session, slot.password = got, answer[20:36]
            self.sessions.setdefault(got, len(self.sessions))
            self.passwords[got] = slot.password
        return (len(answer), version, given, self.sessions.get(got, "odd"), size, same, answer[36:])

    def packet(self, slot):
        """The next packet, or what came instead."""
        while True:
            if len(slot.received) >= 4:
                size = struct.unpack(">i", slot.received[:4])[0]
                if len(slot.received) >= 4 + size:
                    packet, slot.received = slot.received[4:4 + size], slot.received[4 + size:]
                    return packet
            try:
                piece = slot.socket.recv(65536)
            except socket.timeout:
                self.drop(slot)
                return "silence"
            except ConnectionError:
                piece = b""
            if not piece:
                torn = slot.received
                self.drop(slot)
                return "a torn packet" if torn else "end"
            slot.received += piece

    def talk(self, slot, step):
        """Sends, and takes everything up to the reply to a request behind it."""
        if not slot.socket:
            return ("no connection",)
        last = 1000000 + slot.xid
        slot.xid += 1
        data = b""
        if step[0] == "bytes":
            data = step[2]
        else:
            for packet in step[2]:
                data += self.encode(slot, packet)
        try:
            if not (step[0] == "send" and step[2] and ends_connection(step[2][-1][0])):
                data += i32(len(BARRIER) + 8) + i32(last) + i32(wire.EXISTS) + BARRIER
            slot.socket.sendall(data)
        except ConnectionError:
            pass
        told = []
        while True:
            packet = self.packet(slot)
            if not isinstance(packet, bytes):
                told.append(packet)
                return tuple(told)
            if len(packet) < 16:
                told.append(("short", packet))
                continue
            xid, zxid, error = struct.unpack(">iqi", packet[:16])
            if xid == last:
                if (error, packet[16:]) != (wire.NO_NODE, b""):
                    told.append(("barrier", error, packet[16:]))
                return tuple(told)
            told.append(self.shown(slot, xid, zxid, error, packet[16:]))

    # -- requests --

    def text(self, path):
        if path is None or not path:
            return path
        path = path if isinstance(path, bytes) else path.encode()
        return self.base.encode() + path[1:] if path[:1] == b"~" else path

    def field(self, slot, field):
        kind, value = field
        if kind == "path":
            return wire.buf(self.text(value))
        if kind == "buf":
            return wire.buf(value)
        if kind == "int":
            return i32(value)
        if kind == "long":
            return i64(value)
        if kind == "bool":
            return wire.flag(value)
        if kind == "acl":
            return wire.acl(value)
        if kind == "paths":
            return wire.vector([self.text(path) for path in value])
        if kind == "zxid":
            return i64({"seen": slot.seen, "zero": 0, "now": max(s.seen for s in self.slots), "ahead": 1 << 60}[value])
        return wire.multi(*((op, self.fields(slot, fields)) for op, fields in value))

    def fields(self, slot, fields):
        return b"".join(self.field(slot, field) for field in fields)

    def encode(self, slot, packet):
        kind, fields, twist = packet
        slot.xid += 1
        xid = slot.xid
        body = self.fields(slot, fields)
        if twist:
            if twist[0] == "cut":
                body = body[:max(0, len(body) - twist[1])]
            elif twist[0] == "add":
                body += twist[1]
            elif twist[0] == "poke":
                body = body[:twist[1]] + twist[2] + body[twist[1] + len(twist[2]):]
            else:
                xid = twist[1] if twist[0] == "xid" else twist[1] + xid
        slot.sent[xid] = kind
        return i32(8 + len(body)) + i32(xid) + i32(kind) + body

    # -- what came --

    def shown(self, slot, xid, zxid, error, body):
        reader = wire.Reader(body)
        if xid == -1 and len(body) >= 12 and -1 not in slot.sent:
            try:
                kind, state, path = reader.i32(), reader.i32(), self.name(reader.buf())
                reader.end()
                return ("event", kind, state, path, error)
            except wire.Failure:
                return ("odd event", body)
        kind = slot.sent.get(xid)
        about = zxid
        if zxid > 0:
            if zxid < slot.seen:
                return ("zxid went back", xid)
            slot.seen = zxid
        about = "zxid %d" % zxid if kind == wire.AUTH else ""
        if error == 0 and kind in (*CREATES, wire.DELETE, wire.SET):
            about = Zxid(zxid)
        try:
            content = self.content(kind, error, reader)
            reader.end()
        except (wire.Failure, KeyError, UnicodeDecodeError, struct.error) as problem:
            content = ("odd", str(problem), body)
        if kind == wire.CHECK_WATCHES:
            error = "any"  # 3.8.0 finds everybody's watches, and those above
        return ("reply", kind, xid, error, about, content)

    def name(self, path):
        if path is None:
            return None
        # What is not UTF-8, or beyond U+FFFF, ZooKeeper does not repeat as it was.
        return re.sub("[\ufffd\U00010000-\U0010ffff]+", "\ufffd", path.replace(self.base.encode(), b"~").decode("utf-8", "replace"))

    def stat(self, reader):
        stat = reader.stat()
        return ("stat", Zxid(stat.czxid), Zxid(stat.mzxid), Zxid(stat.pzxid), stat.ctime > 0, stat.mtime >= stat.ctime,
                stat.version, stat.cversion, max(0, stat.aversion),  # of /zookeeper/config -1 in 3.8, and 0 here
                self.sessions.get(stat.ephemeralOwner, "odd owner"), stat.dataLength, stat.numChildren)

    def content(self, kind, error, reader):
        if error != 0 and kind in (wire.MULTI, wire.MULTI_READ):  # with an empty result or without one
            return reader.take(len(reader.data)) and b""
        if error != 0 or kind is None:
            return reader.take(len(reader.data) - reader.at)
        if kind == wire.CREATE:
            return self.name(reader.buf())
        if kind in CREATES:
            return self.name(reader.buf()), self.stat(reader)
        if kind in (wire.EXISTS, wire.SET, wire.SET_ACL):
            return self.stat(reader)
        if kind == wire.GET:
            return reader.buf(), self.stat(reader)
        if kind == wire.GET_ACL:
            # Permissions that mean nothing are not kept here; what auth stands for has no order.
            return sorted((perms & 31, scheme, who) for perms, scheme, who in reader.acl()), self.stat(reader)
        if kind in (wire.CHILDREN, wire.EPHEMERALS):
            return sorted(map(self.name, reader.vector(reader.buf)))
        if kind == wire.CHILDREN2:
            return sorted(map(self.name, reader.vector(reader.buf))), self.stat(reader)
        if kind == wire.SYNC:
            return self.name(reader.buf())
        if kind == wire.ALL_CHILDREN:
            return reader.i32()
        if kind == wire.WHO_AM_I:
            return sorted(reader.vector(lambda: (reader.text(), reader.text())))
        if kind in (wire.MULTI, wire.MULTI_READ):
            return self.results(reader)
        return reader.take(len(reader.data) - reader.at)

    def results(self, reader):
        results = []
        while True:
            kind, done, error = reader.i32(), reader.flag(), reader.i32()
            if done:
                return results + [("end", kind, error)]
            content = {
                -1: lambda: reader.i32(),
                wire.CREATE: lambda: self.name(reader.buf()),
                wire.CREATE2: lambda: (self.name(reader.buf()), self.stat(reader)),
                wire.SET: lambda: self.stat(reader),
                wire.DELETE: lambda: None,
                wire.CHECK: lambda: None,
                wire.CHILDREN: lambda: sorted(map(self.name, reader.vector(reader.buf))),
                wire.GET: lambda: (reader.buf(), self.stat(reader)),
            }[kind]()
            results.append((kind, error, content))


class Zxid(int):
    """To be compared by its rank among those of the run."""


def zxids_in(thing):
    if isinstance(thing, Zxid):
        return {int(thing)}
    if isinstance(thing, (list, tuple)):
        return set().union(*map(zxids_in, thing)) if thing else set()
    return set()


def ranked(thing, ranks=None):
    """With each zxid replaced by its rank among those there are."""
    if ranks is None:
        ranks = {zxid: rank for rank, zxid in enumerate(sorted(zxids_in(thing)))}
    if isinstance(thing, Zxid):
        return "z%d" % ranks[int(thing)]
    if isinstance(thing, (list, tuple)):
        return tuple(ranked(item, ranks) for item in thing)
    return thing
