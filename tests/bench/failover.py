#!/usr/bin/env python3
"""How long writes stop when something happens to the leader of three: of coord, etcd or ZooKeeper.

    tests/bench/failover.py [ROUNDS]

As a program: so many kill -9 of coord's leader, 100 unless given, under light load; prints median, p90, worst,
how they spread, and for each slow one what the members that stayed have logged meanwhile.
tests/bench/peers.py uses what is here for all three.
"""
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cluster"))
import harness  # noqa: E402
from peers_servers import Coord  # noqa: E402

SLOW_MS = 200
BOUNDS_MS = (25, 50, 100, 200, 300, 400, 600, 1000)


def flows(cluster, load, writes):
    """Waits until so many writes more are there. First for any: a new leader's epoch may count in itself."""
    def rises(by):
        begin = harness.until(lambda: [cluster.revision()], "the revision of " + cluster.name, 60)[0]
        harness.until(lambda: load.poll() is not None or cluster.revision() > begin + by,
                      "writes flow in " + cluster.name, 60)
        harness.expect(load.poll() is None, "the load ended with %r" % load.returncode)
    rises(0)
    rises(writes)


def gap_while(cluster, protocol, act, endpoints):
    """The longest time between two acknowledged writes while something happens, in milliseconds."""
    out = os.path.join(cluster.scratch, "gap.json")
    with open(out, "wb") as to:
        load = subprocess.Popen([harness.COORDCTL, "--endpoints", endpoints, "bench", "write", "--protocol", protocol,
                                 "--retry", "--timeout", "200ms", "-c", "4", "--in-flight", "1", "--keys", "20",
                                 "--warm-up", "0", "--duration", "10m", "--path", "/gap", "--keep", "-o", "json",
                                 "--processes", str(os.getpid())], stdout=to, env=harness.clean_environment())
    harness._processes.append(load)
    flows(cluster, load, 400)  # what is made first is far less
    began = time.monotonic()
    act()
    flows(cluster, load, 100)
    seconds = time.monotonic() - began
    load.send_signal(signal.SIGINT)
    harness.expect(load.wait(timeout=60) in (0, 130), "the load ended with %r" % load.returncode)
    with open(out, encoding="utf-8") as result:
        found = json.load(result)
    harness.expect(found["seconds"] > seconds, "it was measured while that happened: %r" % found)
    return found["longest_gap_us"] / 1000


def kill_leaders(cluster, protocol, rounds, look=lambda leader, gap_ms: None):
    """The pauses of so many rounds. `look` is called after each, before the leader is started again."""
    gaps = []
    for _ in range(rounds):
        leader = cluster.leader_index()
        gaps.append(gap_while(cluster, protocol, lambda n=leader: cluster.kill(n), cluster.endpoints(without=leader)))
        look(leader, gaps[-1])
        cluster.restart(leader)
    return gaps


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def summary(gaps):
    return "%d times: median %.0f, p90 %.0f, worst %.0f ms" % (
        len(gaps), statistics.median(gaps), percentile(gaps, 90), max(gaps))


class Logs:
    """What members log from one look to the next."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.ends = [0, 0, 0]

    def news(self, index):
        with open(os.path.join(self.cluster.scratch, "log-%d" % index), "rb") as log:
            log.seek(self.ends[index])
            text = log.read()
        self.ends[index] += len(text)
        return text.decode(errors="replace").splitlines()


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    harness.PORTS = range(18400, 18500)
    with tempfile.TemporaryDirectory(prefix="coord-failover-") as scratch:
        cluster = Coord(scratch)
        logs = Logs(cluster)

        def look(leader, gap_ms):
            lines = [line for i in range(3) for line in logs.news(i) if i != leader]
            print("%4.0f ms" % gap_ms, flush=True)
            if gap_ms > SLOW_MS:
                print("\n".join(lines), flush=True)
        try:
            cluster.start()
            gaps = kill_leaders(cluster, "grpc", rounds, look)
        finally:
            harness._end_all()
    for low, high in zip((0,) + BOUNDS_MS, BOUNDS_MS + (float("inf"),)):
        print("%4g to %4g ms: %d" % (low, high, sum(low <= gap < high for gap in gaps)))
    print("kill -9 of the leader until the next acknowledged write, %s; load average %.1f" %
          (summary(gaps), os.getloadavg()[0]))


if __name__ == "__main__":
    main()
