#!/usr/bin/env python3
"""What a client notices of others that mean no good: its latencies before, while and after each kind of them is
at work, as JSON lines.

    tests/bench/hostile.py [KIND ...]

One node on this machine, one client that sets keys over 8 connections, one call at a time on each. The others are
tests/bench/hostile.c, in a process of their own on the same cores: what they take of these is part of the figures.
"""
import os
import resource
import subprocess
import sys
import tempfile

from run import TOOLS, bench, harness, rss_mib, show

KINDS = {
    "idle": 10000,   # connections
    "churn": 1000,   # a second
    "loris": 1000,   # connections, a byte a second each
    "window": 100,   # connections, 20 calls each
    "reset": 5000,   # calls a second
    "headers": 100,  # connections a second, 640 KB of headers each
    "deaf": 100,     # connections, 1,000 pages each
}


def sets(node, label):
    return bench([node], node.endpoint, "write", label, "-c", "8", "--in-flight", "1", "--path", "/bench", "--keep")


def against(scratch, kind):
    node = harness.Node(scratch, kind, connections_max=20000).start()
    harness.until(node.is_ready, "ready")
    big = os.path.join(scratch, "big")
    with open(big, "wb") as out:
        out.write(b"x" * 500000)
    harness.ctl_ok(node, "create", "/big", "@" + big)
    before = sets(node, "alone")
    host, port = node.endpoint.rsplit(":", 1)
    others = subprocess.Popen([TOOLS + "hostile", kind, host, port, str(KINDS[kind])], stdout=subprocess.PIPE, text=True)
    try:
        harness.expect(others.stdout.readline() == "ready\n", "they have begun")
        during = sets(node, kind)
        grown = rss_mib(node)
    finally:
        others.kill()
        others.wait()
    after = sets(node, "alone again")
    alone = max(one["latency"]["p99_us"] for one in (before, after))
    show(bench="hostile", kind=kind, count=KINDS[kind], p99_us=[one["latency"]["p99_us"] for one in (before, during, after)],
         ratio=round(during["latency"]["p99_us"] / alone, 2), rate_ratio=round(during["ops_per_s"] / before["ops_per_s"], 2),
         rss_mib=grown)
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
