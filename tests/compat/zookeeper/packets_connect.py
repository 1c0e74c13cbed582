"""Connect requests, sessions, framing, and packets that are wrong."""
import selectors
import struct
import time

import wire
from checks import check, differs, equal
from harness import Failure, expect, until
from wire import Client, Raw, Reader, Refused, buf, connect_request, i32, i64


def answered(server, request):
    """The connect reply's bytes."""
    with Raw(server) as raw:
        raw.send_packet(request)
        return raw.packet()


@check("a connect request of 44 bytes is answered with 36 bytes, one of 45 with 37")
def _(t):
    for server in t.servers:
        short, long = connect_request(read_only=None), connect_request()
        equal((len(short), len(long)), (44, 45))
        equal(len(answered(server, short)), 36)
        equal(len(answered(server, long)), 37)


@check("a connect reply has version 0, the timeout, a session id, 16 bytes of password and readOnly 0")
def _(t):
    reply = Reader(answered(t.servers[0], connect_request(timeout=10000)))
    equal(reply.i32(), 0, "version")
    equal(reply.i32(), 10000, "timeout")
    session = reply.i64()
    expect(session != 0 and session != -2**63 and (session >> 56) & 0xff != 0xff, "session %#x" % session)
    equal(len(reply.buf()), 16, "password")
    equal(reply.flag(), False, "readOnly")
    reply.end()


@check("the protocol version of a connect request does not matter")
def _(t):
    equal(Reader(answered(t.servers[0], connect_request(version=99))).i32(), 0)


@check("a null password is good enough for a new session, in 28 and in 29 bytes")
def _(t):
    short = connect_request(password=None, read_only=None)
    long = connect_request(password=None)
    equal((len(short), len(long)), (28, 29))
    equal(len(answered(t.servers[0], short)), 36)
    equal(len(answered(t.servers[0], long)), 37)


@check("a client that would go along with a read-only server is served as any other")
def _(t):
    equal(answered(t.servers[0], connect_request(read_only=True))[-1], 0)


@check("timeouts are clamped to 4 and 40 seconds")
def _(t):
    for wanted, given in ((1, 4000), (-5, 4000), (0, 4000), (10000, 10000), (1000000, 40000)):
        with Client(t.servers[0], timeout=wanted) as client:
            equal(client.timeout, given, "of %d" % wanted)


@check("a session is resumed on every server with its id and password, and a new timeout")
def _(t):
    first = Client(t.servers[0], timeout=10000)
    first.create(t.base, b"", flags=1)
    for number, server in enumerate(t.servers):
        first.close()
        second = Client(server, timeout=11000 + number, of=first)
        equal((second.session, second.password), (first.session, first.password))
        equal(second.timeout, 11000 + number)
        second.sync()
        equal(second.stat(t.base).ephemeralOwner, first.session)
        first = second
    first.end_session()


def expired_reply(read_only):
    return i32(0) + i32(0) + i64(0) + buf(b"\0" * 16) + (b"" if read_only is None else b"\0")


@check("resuming an unknown session is answered with timeout 0, id 0 and zeros, then closed")
def _(t):
    for server in t.servers:
        for read_only in (None, False):
            with Raw(server) as raw:
                raw.send_packet(connect_request(session=0x1234567, password=b"p" * 16, read_only=read_only))
                equal(raw.packet(), expired_reply(read_only))
                raw.expect_close()


@check("a wrong password is answered like an expired session, whatever its length")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, flags=1)
        wrong = bytes([client.password[0] ^ 1]) + client.password[1:]
        for password in (b"x" * 16, wrong, b"", None, client.password[:15], client.password + b"\0"):
            with Raw(t.servers[1]) as raw:
                raw.send_packet(connect_request(session=client.session, password=password))
                equal(raw.packet(), expired_reply(False))
                raw.expect_close()
        equal(client.stat(t.base).ephemeralOwner, client.session)
        client.end_session()


@check("a wrong password at the holder's own server: ZooKeeper cuts the holder off, coord does not")
def _(t):
    with Client(t.servers[0]) as client:
        equal(answered(t.servers[0], connect_request(session=client.session, password=b"x" * 16)),
              expired_reply(False))
        if differs(t, zookeeper=False, coord=True):
            equal(client.call(wire.PING, xid=-2).err, 0)
        else:
            client.expect_close()


@check("a closed session cannot be resumed anywhere")
def _(t):
    client = Client(t.servers[0])
    client.end_session()
    for server in t.servers:
        try:
            Client(server, of=client)
            raise Failure("resumed")
        except Refused:
            pass


@check("who has seen a later zxid than the server is disconnected without a word")
def _(t):
    for server in t.servers:
        with Raw(server) as raw:
            raw.send_packet(connect_request(seen=2**62))
            raw.expect_close()


@check("a zxid that was seen elsewhere is good enough for a server that has caught up")
def _(t):
    with Client(t.leader()) as client:
        client.create(t.base)
        seen = client.call(wire.PING, xid=-2).zxid
        for server in t.servers:
            def try_it(server=server):
                try:
                    return Client(server, seen=seen)
                except Failure:
                    return None
            until(try_it, "%s takes the client" % server.address).close()


@check("a session that is resumed on its server loses the former connection at once")
def _(t):
    with Client(t.servers[0]) as old:
        new = Client(t.servers[0], of=old)
        old.expect_close()
        equal(new.call(wire.PING, xid=-2).err, 0)
        new.end_session()


@check("after a resume elsewhere a write through the former connection is not executed, which closes")
def _(t):
    with Client(t.servers[0]) as old:
        new = Client(t.servers[1], of=old)
        new.create(t.base)
        try:
            old.request(wire.CREATE, wire.create(t.base + "/late"))
            data = old.packet()
        except ConnectionError:
            data = None
        expect(data is None, "answered: %r" % data)
        new.sync()
        equal(new.children(t.base), [])
        new.end_session()


@check("requests sent right behind the connect request are all answered, in order")
def _(t):
    for server in t.servers:
        base = t.base + "-%d" % server.port
        with Raw(server) as raw:
            data = connect_request()
            packets = [data, i32(1) + i32(wire.CREATE) + wire.create(base, b"v"),
                       i32(2) + i32(wire.GET) + buf(base) + b"\0",
                       i32(-4) + i32(wire.AUTH) + i32(0) + buf("digest") + buf("a:b"),
                       i32(-2) + i32(wire.PING), i32(3) + i32(wire.DELETE) + buf(base) + i32(-1)]
            raw.send(b"".join(i32(len(p)) + p for p in packets))
            equal(len(raw.packet()), 37)
            got = [wire.Packet(raw.packet()) for _ in range(5)]
            equal(sorted(p.xid for p in got), [-4, -2, 1, 2, 3])
            equal([p.err for p in got], [0] * 5)
            equal([p.xid for p in got if p.xid > 0], [1, 2, 3])


@check("bytes may arrive one by one")
def _(t):
    with Raw(t.servers[0]) as raw:
        for packet in (connect_request(), i32(7) + i32(wire.EXISTS) + buf("/") + b"\0"):
            for byte in i32(len(packet)) + packet:
                raw.send(bytes([byte]))
        equal(len(raw.packet()), 37)
        equal(wire.Packet(raw.packet()).xid, 7)


@check("any xid is echoed, 0 and negative ones as well")
def _(t):
    with Client(t.servers[0]) as client:
        for xid in (0, 1, 2**31 - 1, -2**31, -7, -5):
            equal(client.call(wire.EXISTS, buf("/") + b"\0", xid=xid).err, 0)


@check("a session may be closed with xid 2147483647: the reply, then the end")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, flags=1)
        reply = client.call(wire.CLOSE, xid=2**31 - 1)
        equal(reply.err, 0)
        reply.body.end()
        client.expect_close()
    with Client(t.servers[0]) as other:
        equal(other.stat(t.base), None)


@check("a ping is answered with xid -2, no error, no body, and a zxid that does not go back")
def _(t):
    with Client(t.servers[1]) as client:
        before = client.call(wire.PING, xid=-2)
        client.create(t.base)
        after = client.call(wire.PING, xid=-2)
        equal((before.err, after.err), (0, 0))
        before.body.end()
        after.body.end()
        expect(after.zxid > before.zxid, "%#x, then %#x" % (before.zxid, after.zxid))
        equal(client.stat(t.base).czxid, after.zxid)


@check("error replies carry the zxid, and failed reads do not change it")
def _(t):
    with Client(t.leader()) as client:
        client.create(t.base)
        zxid = client.call(wire.PING, xid=-2).zxid
        reply = client.call(wire.GET, buf(t.base + "/none") + b"\0")
        equal((reply.err, reply.zxid), (wire.NO_NODE, zxid))


@check("bytes behind the last field are ignored")
def _(t):
    with Client(t.servers[0]) as client:
        path = client.good(wire.CREATE, wire.create(t.base, b"v") + b"more").text()
        equal(path, t.base)
        equal(client.error(wire.GET, buf(t.base) + b"\0" + b"more"), 0)
        equal(client.error(wire.DELETE, buf(t.base) + i32(-1) + b"\0\0\0\0"), 0)
        equal(client.error(wire.CLOSE, b"more"), 0)


@check("a missing field is -5 and the connection stays open")
def _(t):
    with Client(t.servers[0]) as client:
        for kind, body in ((wire.CREATE, wire.create(t.base)[:-1]), (wire.CREATE, b""), (wire.GET, buf("/")),
                           (wire.SET, buf("/") + buf(b"")), (wire.EXISTS, i32(100) + b"/"),
                           (wire.DELETE, buf("/x")), (wire.MULTI, i32(1) + b"\0"), (wire.SYNC, b"\0\0")):
            equal(client.error(kind, body), wire.MARSHALLING, "operation %d" % kind)
        equal(client.error(wire.EXISTS, buf("/") + b"\0"), 0)


@check("a string or buffer of a negative length other than -1 is -5")
def _(t):
    with Client(t.servers[0]) as client:
        equal(client.error(wire.GET, i32(-2) + b"\0"), wire.MARSHALLING)
        equal(client.error(wire.CREATE, buf(t.base) + i32(-7) + wire.acl(wire.ANYBODY) + i32(0)), wire.MARSHALLING)
        equal(client.error(wire.EXISTS, buf("/") + b"\0"), 0)


@check("a vector that promises more than there is, is -5")
def _(t):
    with Client(t.servers[0]) as client:
        equal(client.error(wire.CREATE, buf(t.base) + buf(b"") + i32(1000) + i32(0)), wire.MARSHALLING)
        equal(client.error(wire.EXISTS, buf("/") + b"\0"), 0)


@check("a path that is not UTF-8 is -8")
def _(t):
    with Client(t.servers[0]) as client:
        equal(client.error(wire.CREATE, wire.create(b"/\xff\xfe")), wire.BAD_ARGUMENTS)


@check("an unknown operation is -6, then the server closes")
def _(t):
    for kind in (0, 10, 23, 99, 108, 500, -1, -3, 2**31 - 1, -2**31):
        with Client(t.servers[0]) as client:
            equal(client.error(kind), wire.UNIMPLEMENTED, "operation %d" % kind)
            client.expect_close()


@check("createSession, deleteContainer and check on their own: -6 and a close at coord", coord_only=True)
def _(t):
    with Client(t.servers[0]) as holder:
        holder.create(t.base, flags=4)
        for kind, body in ((wire.CREATE_SESSION, i32(10000)), (wire.DELETE_CONTAINER, buf(t.base)),
                           (wire.CHECK, buf("/") + i32(-1))):
            with Client(t.servers[0]) as client:
                equal(client.error(kind, body), wire.UNIMPLEMENTED, "operation %d" % kind)
                client.expect_close()
        expect(holder.stat(t.base) is not None, "the container is gone")


@check("a packet too short for its header closes the connection")
def _(t):
    for size in (1, 4, 7):
        with Client(t.servers[0]) as client:
            client.send_packet(b"\0" * size)
            client.expect_close()


@check("a negative packet length closes the connection, before and after the connect request")
def _(t):
    for length in (-1, -2**31):
        with Raw(t.servers[0]) as raw:
            raw.send(i32(length) + b"\0" * 44)
            raw.expect_close()
        with Client(t.servers[0]) as client:
            client.send(i32(length))
            client.expect_close()


@check("a packet above 1048575 bytes closes the connection, one of 1 MiB - 300 bytes of data does not")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, b"x" * (2**20 - 300))
        equal(len(client.get(t.base)[0]), 2**20 - 300)
        client.set(t.base, b"")
        client.send(i32(2**20 + 10) + b"\0" * 64)
        client.expect_close()


@check("a connect request too short for its fields closes the connection")
def _(t):
    for size in (0, 4, 20, 27):
        with Raw(t.servers[0]) as raw:
            raw.send_packet(connect_request()[:size])
            raw.expect_close()


@check("ten thousand requests may be under way on one connection")
def _(t):
    with Client(t.followers()[0]) as client:
        client.create(t.base)
        count = 10000
        packets = []
        for xid in range(1, count + 1):
            body = i32(xid + 1000) + (i32(wire.GET) + buf(t.base) + b"\0" if xid % 5 else
                                      i32(wire.SET) + buf(t.base) + buf(b"%d" % xid) + i32(-1))
            packets.append(i32(len(body)) + body)
        replies = []
        client.socket.setblocking(False)
        # Writing and reading must go on at the same time.
        left = memoryview(b"".join(packets))
        got = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(client.socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while len(replies) < count:
                for _, ready in selector.select(30):
                    if ready & selectors.EVENT_WRITE and left:
                        left = left[client.socket.send(left):]
                        if not left:
                            selector.modify(client.socket, selectors.EVENT_READ)
                    if ready & selectors.EVENT_READ:
                        piece = client.socket.recv(1 << 20)
                        expect(piece, "closed after %d replies" % len(replies))
                        got += piece
                while len(got) >= 4 and len(got) >= 4 + struct.unpack(">i", got[:4])[0]:
                    size = struct.unpack(">i", got[:4])[0]
                    replies.append(wire.Packet(bytes(got[4:4 + size])))
                    del got[:4 + size]
        equal([r.xid - 1000 for r in replies], list(range(1, count + 1)))
        equal({r.err for r in replies}, {0})
        value = b""
        for xid, reply in enumerate(replies, 1):
            if xid % 5 == 0:
                value = b"%d" % xid
            else:
                equal(reply.body.buf(), value, "read %d" % xid)


@check("a session that nobody keeps alive is gone after its timeout, not before, with its ephemerals")
def _(t):
    with Client(t.servers[1]) as watcher:
        watcher.create(t.base)
        doomed = Client(t.servers[0], timeout=4000)
        doomed.create(t.base + "/a", flags=1)
        doomed.create(t.base + "/b", flags=1)
        last = time.monotonic()
        doomed.close()
        watcher.sync()
        expect(watcher.stat(t.base + "/a", watch=True) is not None, "gone at once")
        watcher.socket.settimeout(30)
        while True:
            packet = watcher.next()
            if packet.xid == -1:
                break
        equal(packet.as_event(), (wire.DELETED, t.base + "/a"))
        expect(time.monotonic() - last >= 3.9, "expired early, after %.1fs" % (time.monotonic() - last))
        equal(watcher.children(t.base), [])
        stat = watcher.stat(t.base)
        equal((stat.cversion, stat.numChildren), (4, 0))
        try:
            Client(t.servers[0], of=doomed)
            raise Failure("resumed")
        except Refused:
            pass
        watcher.end_session()


@check("who says nothing is disconnected when its session has expired, by every server")
def _(t):
    clients = [Client(server, timeout=4000) for server in t.servers]
    begin = time.monotonic()
    for client in clients:
        client.socket.settimeout(20)
        client.expect_close()
        expect(time.monotonic() - begin >= 3.9, "after %.1fs" % (time.monotonic() - begin))
        client.close()


@check("reads and pings through a follower keep a session alive")
def _(t):
    reader = Client(t.followers()[0], timeout=4000)
    pinger = Client(t.followers()[1], timeout=4000)
    reader.create(t.base, flags=1)
    end = time.monotonic() + 7
    while time.monotonic() < end:
        equal(reader.error(wire.EXISTS, buf("/") + b"\0"), 0)
        equal(pinger.call(wire.PING, xid=-2).err, 0)
        reader.is_silent(0.5)
    equal(reader.stat(t.base).ephemeralOwner, reader.session)
    pinger.create(t.base + "-2", flags=1)
    reader.end_session()
    pinger.end_session()


@check("a session outlives its server: resumed elsewhere it still owns its ephemerals")
def _(t):
    client = Client(t.leader(), timeout=20000)
    server = t.at("x:%d" % client.socket.getpeername()[1])
    client.create(t.base, b"mine", flags=1)
    seen = client.call(wire.PING, xid=-2).zxid
    server.kill()
    client.close()
    others = [other for other in t.servers if other is not server]

    def resume():
        try:
            return Client(others[0], timeout=20000, of=client, seen=seen)
        except Refused:
            raise
        except Failure:
            return None
    again = until(resume, "the session is resumed", 20)
    equal(again.session, client.session)
    equal(again.get(t.base)[1].ephemeralOwner, client.session)
    again.set(t.base, b"still")
    server.restart()
    moved = Client(server, timeout=20000, of=again)
    moved.sync()
    equal(moved.get(t.base)[0], b"still")
    moved.end_session()
    with Client(others[0]) as other:
        other.sync()
        equal(other.stat(t.base), None)
