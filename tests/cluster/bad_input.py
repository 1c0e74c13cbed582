#!/usr/bin/env python3
"""Bad input on both ports, while a client keeps working. Nobody crashes, nobody stalls."""
import os
import random
import socket
import struct
import time

from process_figures import rss_bytes
from harness import (PATIENCE, Cluster, Node, Writers, connect, ctl_ok, expect,
                     is_closed_by_other_side, main, until)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
IDLE_CONNECTIONS = 1000


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field for HPACK, spelled out."""
    def string(text):
        expect(len(text) < 127, "short enough for one byte of length")
        return bytes([len(text)]) + text
    return b"\0" + string(name) + string(value)


def request_headers(path, content_type=b"application/grpc"):
    return b"".join(literal(*field) for field in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"coord"),
        (b"te", b"trailers"), (b"content-type", content_type)))


class Progress:
    """A client that works all the while: it must neither fail nor wait."""

    def __init__(self, scratch, node):
        self.node = node
        self.writers = Writers(scratch, node.endpoint, "/work", count=2)
        self.writers.wait_for_more(20)

    def goes_on(self, while_what):
        self.writers.wait_for_more(20, 5)
        begin = time.monotonic()
        expect(self.node.http("/health")[0] == 200, "healthy during " + while_what)
        expect(time.monotonic() - begin < 2 * PATIENCE, "and at once, during " + while_what)
        expect(self.node.is_running(), "still running, during " + while_what)

    def end(self):
        acked, unknown, failed = self.writers.stop()
        expect(not failed and not unknown, "the client was never refused: %r %r" % (failed[:3], unknown[:3]))
        self.writers.check(self.node, acked)


def refused_connections(node):
    """How often the client port turned a connection away, for whatever reason."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in node.http("/metrics")[1].splitlines()
               if line.startswith("coord_connections_refused_total"))


def send_and_expect_close(port, content, what, seconds=5):
    with connect(port) as connection:
        try:
            connection.sendall(content)
        except ConnectionError:
            return
        expect(is_closed_by_other_side(connection, seconds), "%s is not closed" % what)


def test_garbage_on_the_client_port_is_closed(scratch):
    node = Node(scratch).start()
    client = Progress(scratch, node)
    random.seed(1)
    for what, content in [
            ("binary", bytes([0, 0, 0, 45]) + bytes(45)),
            ("a TLS hello", b"\x16\x03\x01\x02\x00" + bytes(512)),
            ("text", b"hello there\r\n\r\n" * 10),
            ("random bytes", b"\xff" + random.randbytes(65536)),
            ("an unknown method", b"BREW /coffee HTTP/1.1\r\n\r\n"),
            ("a broken request line", b"GET\x00 / HTTP/1.1\r\n\r\n"),
            ("a long request line", b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n"),
            ("many headers", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50000 + b"\r\n"),
            ("a body that is too long", b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"),
            ("HTTP/2 garbage", PREFACE + SETTINGS + random.randbytes(4096)),
            ("an oversized frame", PREFACE + SETTINGS + b"\xff\xff\xff\0\0\0\0\0\1" + bytes(100000)),
            ("broken HPACK", PREFACE + SETTINGS + frame(1, 5, 1, b"\xff" * 100)),
    ]:
        send_and_expect_close(node.port, content, what)
        client.goes_on(what)
    client.end()


def test_malformed_grpc_gets_a_status_or_a_close(scratch):
    node = Node(scratch).start()
    client = Progress(scratch, node)
    nested = b""
    for _ in range(5000):  # messages in messages, as deep as the size allows
        nested = b"\x0a" + varint(len(nested)) + nested
    bodies = {
        "no message": b"",
        "half a prefix": b"\0\0",
        "compressed, unannounced": b"\1" + struct.pack(">I", 3) + b"abc",
        "protobuf garbage": b"\0" + struct.pack(">I", 4) + b"\xff\xff\xff\xff",
        "thousands of levels": b"\0" + struct.pack(">I", len(nested)) + nested,
        "a length beyond the limit": b"\0" + struct.pack(">I", 0xFFFFFFF0) + b"x",
        "two messages": (b"\0" + struct.pack(">I", 0)) * 2,
    }
    with connect(node.port) as connection:
        connection.sendall(PREFACE + SETTINGS)
        stream = 1
        for path in (b"/coord.v1.Tree/Create", b"/coord.v1.Tree/Get", b"/coord.v1.Tree/Nothing", b"/x", b"*"):
            for body in bodies.values():
                connection.sendall(frame(1, 4, stream, request_headers(path)) +
                                   b"".join(frame(0, 0, stream, body[i:i + 16384])
                                            for i in range(0, len(body), 16384)) +
                                   frame(0, 1, stream, b""))
                expect(stream_ends(connection, stream), "%s %r has no end" % (path, body[:20]))
                stream += 2
        client.goes_on("malformed calls")
    for content_type in (b"text/plain", b""):
        with connect(node.port) as connection:
            connection.sendall(PREFACE + SETTINGS +
                               frame(1, 5, 1, request_headers(b"/coord.v1.Tree/Get", content_type)))
            expect(stream_ends(connection, 1), "content-type %r has no end" % content_type)
    big = b"".join(frame(9, 0, 1, b"\0\x01a\x7e" + b"b" * 126 * 100) for _ in range(200))
    with connect(node.port) as connection:
        try:
            connection.sendall(PREFACE + SETTINGS + frame(1, 0, 1, request_headers(b"/x")) + big)
        except ConnectionError:
            pass
        expect(is_closed_by_other_side(connection, 5), "endless headers are not closed")
    client.goes_on("endless headers")
    client.end()


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def stream_ends(connection, stream):
    """Reads frames until this stream is over: trailers, RST_STREAM, GOAWAY or the connection."""
    connection.settimeout(5 * PATIENCE)
    try:
        while True:
            head = receive(connection, 9)
            length = struct.unpack(">I", b"\0" + head[:3])[0]
            payload = receive(connection, length)
            kind, flags, about = head[3], head[4], struct.unpack(">I", head[5:])[0] & 0x7FFFFFFF
            if kind == 4 and not flags & 1:
                connection.sendall(frame(4, 1, 0, b""))
            if kind == 6 and not flags & 1:
                connection.sendall(frame(6, 1, 0, payload))
            if about == stream and (kind == 3 or kind in (0, 1) and flags & 1):
                return True
            if kind == 7:
                return True
    except socket.timeout:
        return False
    except ConnectionError:
        return True


def receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


def test_a_thousand_idle_and_half_open_connections_disturb_nobody(scratch):
    node = Node(scratch).start()
    client = Progress(scratch, node)
    idle = []
    beginnings = [b"", PREFACE + SETTINGS, PREFACE[:9], b"GET /hea", b"GET /health HTTP/1.1\r\n"]
    for i in range(IDLE_CONNECTIONS):
        connection = connect(node.port)
        connection.sendall(beginnings[i % len(beginnings)])
        idle.append(connection)
    client.goes_on("%d idle connections" % IDLE_CONNECTIONS)
    # One byte at a time, never a whole request.
    for _ in range(20):
        for connection in idle[3::len(beginnings)][:50]:
            try:
                connection.sendall(b"x")
            except ConnectionError:
                pass
        client.goes_on("a slow loris")
    expect(node.status()["serving"], "it serves")
    # Ended without a good-bye, all at once.
    for connection in idle:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    client.goes_on("a thousand resets")
    client.end()


def test_connection_without_a_protocol_is_closed_in_time(scratch):
    node = Node(scratch).start()
    with connect(node.port) as connection:
        connection.sendall(b"GET /hea")
        before = refused_connections(node)
        expect(is_closed_by_other_side(connection, 25), "half a request is closed")
        expect(refused_connections(node) >= before, "and counted")


def test_connections_beyond_the_limit_are_closed_at_once(scratch):
    node = Node(scratch, connections_max=20).start()
    client = Progress(scratch, node)
    held = [connect(node.port) for _ in range(17)]
    extra = [connect(node.port) for _ in range(30)]
    closed = sum(is_closed_by_other_side(connection, 0.5) for connection in extra)
    expect(closed >= 28, "the limit holds: %d of 30 closed" % closed)
    for connection in held + extra:
        connection.close()
    client.goes_on("too many connections")
    client.end()


def test_client_that_takes_no_answers_costs_only_itself(scratch):
    node = Node(scratch).start()
    ctl_ok(node, "create", "/big", "@" + make_file(scratch, 500000))
    client = Progress(scratch, node)
    memory = rss_bytes(node.process.pid)
    with connect(node.port) as deaf:
        deaf.setblocking(False)
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        sent = 0
        end = time.monotonic() + 2
        while time.monotonic() < end and sent < 20000:
            try:
                sent += deaf.send(request) // len(request)
            except BlockingIOError:
                client.goes_on("a deaf client")
        client.goes_on("a deaf client")
        grown = rss_bytes(node.process.pid) - memory
        expect(grown < PATIENCE * (64 << 20), "it costs its bound: %d bytes more" % grown)
    client.end()


def make_file(scratch, size):
    path = os.path.join(scratch, "content")
    with open(path, "wb") as out:
        out.write(b"x" * size)
    return path


def test_bad_input_on_the_peer_port_leaves_the_cluster_alone(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    term = leader.status()["term"]
    client = Progress(scratch, leader)
    random.seed(2)
    for node in cluster.nodes:
        for what, content in [
                ("HTTP", b"GET / HTTP/1.1\r\n\r\n" + bytes(64)),
                ("random bytes", random.randbytes(65536)),
                ("zeroes", bytes(4096)),
                ("ones", b"\xff" * 4096),
                ("a huge length", struct.pack("<I", 0x7FFFFFFF) + bytes(64)),
        ]:
            send_and_expect_close(node.peer_port, content, "%s on a peer port" % what, 10)
    held = []
    for node in cluster.nodes:
        for _ in range(50):
            try:
                connection = connect(node.peer_port)
                connection.sendall(b"\1")
                held.append(connection)
            except ConnectionError:
                break
    client.goes_on("half-open peers")
    for connection in held:
        connection.close()
    now = leader.status()
    expect(now["role"] == "leader" and now["term"] == term, "nobody had to elect: %r" % now["term"])
    client.end()
    cluster.converge()
    until(lambda: all(m["up"] for m in leader.status()["members"]), "all members are connected")


main(globals())
