#!/usr/bin/env python3
"""A shard map of 10,000 shards of 3 replicas on 100 nodes: what a plan takes, what subscribers are sent when a node
is lost and its replicas are made anew, and how long a shard is without a leader whose node was killed. JSON lines.

    tests/bench/shards.py [--quick]     (1,000 shards on 20 nodes)
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
import examples  # noqa: E402
import harness  # noqa: E402
import rpc  # noqa: E402

MAP = "/search/docs"
LOTS = 1000  # moves in one report
ROUNDS = 5


def show(**line):
    print(json.dumps(line), flush=True)


class Meter:
    """Passes the connections of one client on to a member, and counts what it is sent."""

    def __init__(self, node):
        self.to = node.endpoint.rsplit(":", 1)
        self.received, self.last = 0, time.monotonic()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection((self.to[0], int(self.to[1])))
            threading.Thread(target=self.pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(server, client, True), daemon=True).start()

    def pass_on(self, source, sink, counts):
        try:
            while data := source.recv(1 << 16):
                if counts:
                    self.received += len(data)
                    self.last = time.monotonic()
                sink.sendall(data)
        except OSError:
            pass
        sink.close()

    def wait_for_silence(self, seconds=1.5):
        harness.until(lambda: time.monotonic() - self.last > seconds, "the subscriber is told nothing more", 60)


def moves(node):
    status, outcome, text = rpc.Call(node, "Tree/List", "ListRequest", 'path: "%s/moves" with_data: true' % MAP,
                                     "ListReply").end(120)
    harness.expect(status == 0, outcome)
    for number, data in re.findall(r'path: "[^"]*-([0-9]+)"\s+data: "([^"]*)"', text):
        yield int(number), dict(line.split("=", 1) for line in data.split("\\n") if "=" in line)


# enum ShardMoveState: what is reported of a move in each state.
STEPS = {"preparing": 2, "copying": 3, "catching-up": 4, "switching": 5, "cleaning-up": 6}


def varint(number):
    out = b""
    while number > 0x7f:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def part(tag, content):
    return varint(tag << 3 | 2) + varint(len(content)) + content


def report(node, who, reports):
    """ShardMap/Report, packed by hand: there are hundreds of them."""
    body = part(2, MAP.encode()) + part(3, who.encode()) + b"".join(
        part(4, b"\x08" + varint(number) + b"\x10" + varint(state)) for number, state in reports)
    done = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-D", "-", "-o", "/dev/null", "-H", "te: trailers",
                           "-H", "content-type: application/grpc", "--data-binary", "@-",
                           "http://%s/coord.v1.ShardMap/Report" % node.endpoint],
                          input=b"\0" + len(body).to_bytes(4, "big") + body, stdout=subprocess.PIPE, check=True)
    harness.expect(b"grpc-status: 0" in done.stdout, done.stdout)


def carry_out(node):
    """Nodes report each state of each move, until none is left."""
    count = 0
    while True:
        todo = {}
        waiting = 0
        for number, says in moves(node):
            waiting += 1
            if says["state"] in STEPS:
                who = says["cleans"] if says["state"] == "cleaning-up" else says["to"]
                todo.setdefault(who, []).append((number, STEPS[says["state"]]))
        if waiting == 0:
            return count
        for who, reports in todo.items():
            for at in range(0, len(reports), LOTS):
                report(node, who, reports[at:at + LOTS])
                count += len(reports[at:at + LOTS])


def large(scratch, shards, nodes):
    cluster = harness.Cluster(tempfile.mkdtemp(dir=scratch)).start()
    node = cluster.leader()
    harness.ctl_ok(node, "shard", "create", MAP, "shards=%d" % shards, "replicas=3", "zone_max=1", "concurrent=1000")
    leases = {}
    for i in range(nodes):
        leases["n%d" % i] = rpc.lease(node, 3600000)
        harness.ctl_ok(node, "shard", "join", MAP, "n%d" % i, "10.0.0.%d:9200" % i, "zone=z%d" % (i % 5), "--lease",
                       "%x" % leases["n%d" % i])
    begin = time.monotonic()
    harness.ctl_ok(node, "shard", "apply", MAP, "repair")
    show(bench="shards", what="a new map is planned, applied and told of", ms=round((time.monotonic() - begin) * 1000))

    meters = {"a map of libcoord": Meter(node), "a watch of the map": Meter(node)}
    library = {**harness.clean_environment(), "COORD_ENDPOINTS": meters["a map of libcoord"].endpoint,
               "LD_LIBRARY_PATH": examples.library_path()}
    subscribers = [subprocess.Popen([examples.built(scratch, "search_query"), MAP], stdin=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL, env=library),
                   subprocess.Popen([harness.COORDCTL, "--endpoints", meters["a watch of the map"].endpoint, "watch",
                                     MAP, "--recursive"], stdout=subprocess.DEVNULL,
                                    env=harness.clean_environment())]
    harness.until(lambda: meters["a map of libcoord"].received > 50 * shards, "the subscriber has the map", 120)
    before = {}
    for name, meter in meters.items():
        meter.wait_for_silence()
        before[name] = meter.received
        show(bench="shards", what="first look", subscriber=name, bytes=meter.received)

    harness.ctl_ok(node, "lease", "revoke", "%x" % leases["n7"])
    begin = time.monotonic()
    plan = json.loads(harness.ctl_ok(node, "shard", "plan", MAP, "repair", "-o", "json"))
    show(bench="shards", what="plan of a repair, with its way", steps=len(plan["steps"]),
         ms=round((time.monotonic() - begin) * 1000))
    harness.ctl_ok(node, "shard", "apply", MAP, "repair")
    reports = carry_out(node)
    for name, meter in meters.items():
        meter.wait_for_silence()
        show(bench="shards", what="a node is lost, and its replicas are made anew", subscriber=name,
             bytes=meter.received - before[name], reports=reports)
    for subscriber in subscribers:
        subscriber.kill()
        subscriber.wait()


def failover(scratch):
    """From the kill of the leader's node until another node's write under the new epoch is accepted."""
    cluster = harness.Cluster(tempfile.mkdtemp(dir=scratch)).start()
    node = cluster.leader()
    took = []
    harness.ctl_ok(node, "create", "/data", "-")

    def shard():
        return json.loads(harness.ctl_ok(node, "shard", "status", at, "-o", "json"))["shards"][0]

    for attempt in range(ROUNDS):
        at = "%s-%d" % (MAP, attempt)
        harness.ctl_ok(node, "shard", "create", at, "shards=1", "replicas=2")
        programs = {name: harness.Program(scratch, harness.COORDCTL, "shard", "join", at, name, "127.0.0.1:1",
                                          "--session-ttl", "1s", COORD_ENDPOINTS=node.endpoint) for name in "ab"}
        harness.until(lambda: len(harness.ctl_ok(node, "ls", at + "/nodes").split()) == 2, "the nodes have joined", 60)
        harness.ctl_ok(node, "shard", "apply", at, "repair")
        leader = harness.until(lambda: shard()["leader"], "somebody leads", 60)
        begin = time.monotonic()
        programs[leader].process.kill()
        other = harness.until(lambda: (lambda s: s if s["leader"] not in ("", leader) else None)(shard()),
                              "another one leads", 60)
        harness.ctl_ok(node, "set", "/data", other["leader"], "--guard",
                       "%s/shards/s-0000000000@%d" % (at, other["epoch"]))
        took.append((time.monotonic() - begin) * 1000)
    show(bench="shards", what="a shard's leader is killed, another node writes", session_ttl_ms=1000,
         median_ms=round(sorted(took)[len(took) // 2]), worst_ms=round(max(took)), rounds=len(took))


def main():
    quick = "--quick" in sys.argv[1:] or os.environ.get("QUICK")
    subprocess.run([harness.BUILD + "/tests/bench/plan_bench"], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            large(scratch, *((1000, 20) if quick else (10000, 100)))
            failover(scratch)
        finally:
            harness._end_all()


if __name__ == "__main__":
    main()
