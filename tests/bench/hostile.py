#!/usr/bin/env python3
"""What a client notices of others that mean no good, and what they cost the server, as JSON lines.

    tests/bench/hostile.py [KIND ...]

One node on this machine, one client that sets keys over 8 connections, one call at a time on each. The others are
tests/bench/hostile.c, in a process of their own on the same cores: what they take of these is part of the latencies.
For each kind HOSTILE_PAIRS pairs, three unless set, of the client alone and the client while they are at work: on a
machine with other work compare medians. Then they are at work with nobody else there, for the server's CPU time in a
second, its longest turn of the loop, and the lines that it logs.
"""
import os
import random
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from run import SECONDS, TOOLS, bench, harness, process_figures, rss_mib, show

PAIRS = int(os.environ.get("HOSTILE_PAIRS", "3"))


def text(value):
    return struct.pack(">i", len(value)) + value


def packet(body):
    return struct.pack(">i", len(body)) + body


def multi(count):
    checks = b"".join(struct.pack(">i?i", 13, False, -1) + text(b"/") + struct.pack(">i", -1) for _ in range(count))
    return packet(struct.pack(">ii", 1, 14) + checks + struct.pack(">i?i", -1, True, -1))


def set_watches(count):
    paths = [text(b"/watched/%d" % i) for i in range(count)]
    vectors = b"".join(struct.pack(">i", count) + b"".join(paths) for _ in range(3))
    return packet(struct.pack(">iiq", -8, 101, 0) + vectors)


CONNECT = packet(struct.pack(">iqiq", 0, 0, 30000, 0) + text(bytes(16)) + b"\0")
GET_BIG = packet(struct.pack(">ii", 1, 4) + text(b"/big") + b"\0")
PAGE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
GARBAGE = random.Random(1).randbytes(20000)

# What the tool is told: its kind, a number, and what is said first and then again and again; on which port.
KINDS = {
    "idle": ("idle", 10000),       # connections
    "churn": ("churn", 1000),      # a second
    "loris": ("loris", 1000),      # connections, a byte a second each
    "window": ("window", 100),     # connections, 20 calls each
    "reset": ("reset", 5000),      # calls a second
    "flood": ("flood", 10),        # connections, cancelled calls as fast as they are taken
    "headers": ("headers", 100),   # connections a second, 640 KB of headers each
    "deaf": ("deaf", 100),         # connections, 1,000 pages each
    "pages": ("stream", 20, PAGE),
    "zk-sessions": ("knock", 200, CONNECT),
    "zk-huge": ("knock", 200, b"\0\xf0\0\0" + bytes(60000)),
    "zk-watches": ("stream", 5, CONNECT, set_watches(3000)),
    "zk-multi": ("stream", 5, CONNECT, multi(1000)),
    "zk-deaf": ("unread", 50, CONNECT, GET_BIG * 100),
    "garbage": ("knock", 500, b"\xff" + GARBAGE),
    "peer-garbage": ("knock", 500, GARBAGE, b"", "peer"),
    "peer-half": ("knock", 500, b"\x40\0\0\0" + bytes(10), b"", "peer"),
}


def sets(node, label):
    return bench([node], node.endpoint, "write", label, "-c", "8", "--in-flight", "1", "--path", "/bench", "--keep", "--keys", "1000")


def files(scratch, contents):
    for i, content in enumerate(contents):
        with open(os.path.join(scratch, "said-%d" % i), "wb") as out:
            out.write(content)
    return [os.path.join(scratch, "said-%d" % i) for i in range(len(contents))]


class Others:
    """They are at work while this lives."""

    def __init__(self, scratch, node, kind):
        tool, count, *said = KINDS[kind]
        port = node.peer_port if "peer" in said else node.port
        self.process = subprocess.Popen(
            [TOOLS + "hostile", tool, node.host, str(port), str(count)] + files(scratch, said[:2]),
            stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.end()
            raise harness.Failure("they have not begun")

    def end(self):
        self.process.kill()
        self.process.wait()


def pair(scratch, node, kind):
    alone = sets(node, "alone")
    others = Others(scratch, node, kind)
    try:
        during = sets(node, kind)
        grown = rss_mib(node)
    finally:
        others.end()
    return alone, during, grown


def by_themselves(scratch, node, kind):
    """CPU time of the server in a second of it, the longest turn in microseconds, lines logged."""
    lines = len(node.log().splitlines())
    others = Others(scratch, node, kind)
    try:
        began, spent = time.monotonic(), process_figures.cpu_s(node.process.pid)
        time.sleep(float(SECONDS))
        cost = (process_figures.cpu_s(node.process.pid) - spent) / (time.monotonic() - began)
        longest = node.metric("coord_loop_longest_turn_microseconds")
    finally:
        others.end()
    return round(cost, 3), longest, len(node.log().splitlines()) - lines


def against(scratch, kind):
    name = "n1"
    node = harness.Node(scratch, name, {name: "%s:%d" % (harness.HOST, harness.free_port())}, connections_max=20000).start()
    harness.until(node.is_ready, "ready", 30)
    big = os.path.join(scratch, "big")
    with open(big, "wb") as out:
        out.write(b"x" * 500000)
    harness.ctl_ok(node, "create", "/big", "@" + big)
    pairs = [pair(scratch, node, kind) for _ in range(PAIRS)]
    p99 = [[one["latency"]["p99_us"] for one in two[:2]] for two in pairs]
    cost, longest, lines = by_themselves(scratch, node, kind)
    show(bench="hostile", kind=kind, count=KINDS[kind][1], p99_us=p99,
         ratio=round(statistics.median(during / alone for alone, during in p99), 2),
         rate_ratio=round(statistics.median(two[1]["ops_per_s"] / two[0]["ops_per_s"] for two in pairs), 2),
         rss_mib=max(two[2] for two in pairs), cpu_s_per_s=cost, longest_turn_us=longest, log_lines=lines)
    node.kill()


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    show(machine=os.uname().machine, cores=os.cpu_count(), kernel=os.uname().release)
    for kind in sys.argv[1:] or list(KINDS):
        with tempfile.TemporaryDirectory(prefix="coord-bench-") as scratch:
            try:
                against(scratch, kind)
            finally:
                harness._end_all()


if __name__ == "__main__":
    main()
