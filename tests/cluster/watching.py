#!/usr/bin/env python3
"""Watches and sessions on real processes: nothing is missed and nothing comes twice, whichever node
dies."""
import os
import subprocess
import time

import harness
from harness import BUILD, PATIENCE, Cluster, Writers, ctl, ctl_ok, expect, main, until

WATCHERS = BUILD + "/tests/cluster/watchers"


class Watchers:
    """Clients that watch a prefix from the first revision on, and what each of them saw."""

    def __init__(self, scratch, endpoints, prefix, count=8, value_bytes=100):
        self.count = count
        self.out_path = os.path.join(scratch, "watchers.out")
        self.out = open(self.out_path, "wb")
        self.process = subprocess.Popen([WATCHERS, endpoints, prefix, str(count), str(value_bytes)],
                                        stdin=subprocess.PIPE, stdout=self.out)
        harness._processes.append(self.process)

    def lines(self):
        with open(self.out_path, encoding="utf-8") as out:
            return [line.split() for line in out if line.endswith("\n")]

    def wait_for_more(self, count, seconds=15):
        """Waits until each of them has seen so many more events than now."""
        def seen():
            numbers = [line[0] for line in self.lines()]
            return min(numbers.count(str(i)) for i in range(self.count))
        begin = seen()
        until(lambda: seen() >= begin + count, "every watcher sees %d more events" % count, seconds)

    def stop(self, revision):
        """Ends them once each has been told everything up to `revision`; events by watcher."""
        self.process.stdin.write(b"%d\n" % revision)
        self.process.stdin.close()
        code = self.process.wait(timeout=60 * PATIENCE)
        self.out.close()
        expect(code == 0, "the watchers ended with %d" % code)
        events = {i: [] for i in range(self.count)}
        for line in self.lines():
            expect(line[0] != "bad" and line[1] != "failed", "a watcher said: %s" % " ".join(line))
            if line[1] != "done":
                events[int(line[0])].append((int(line[1]), int(line[2]), line[4]))
        return events


def check_seen(events, acked, unknown):
    """Every watcher has seen each acknowledged write exactly once, and all the same in one order."""
    first = events[0]
    order = [event[:2] for event in first]
    expect(all(a < b for a, b in zip(order, order[1:])), "events come in order, none twice")
    paths = [event[2] for event in first]
    expect(len(paths) == len(set(paths)), "no write is seen twice")
    missing = set(acked) - set(paths)
    expect(not missing, "%d acknowledged writes were not seen: %s" %
           (len(missing), sorted(missing)[:3]))
    strangers = set(paths) - set(acked) - set(unknown)
    expect(not strangers, "writes were seen that nobody made: %s" % sorted(strangers)[:3])
    for number, seen in events.items():
        expect(seen == first, "watcher %d saw %d events, watcher 0 saw %d" %
               (number, len(seen), len(first)))


def test_each_watcher_sees_every_write_once_while_leaders_and_their_own_nodes_are_killed(scratch):
    cluster = Cluster(scratch).start()
    watchers = Watchers(scratch, cluster.endpoints, "/load", count=8)
    writers = Writers(scratch, cluster.endpoints, "/load", count=8)
    watchers.wait_for_more(50)
    for victim in ("leader", "follower", "leader"):
        # Watchers are spread over all nodes: whichever dies, some of them watch through it.
        node = cluster.leader() if victim == "leader" else cluster.followers()[0]
        node.kill()
        writers.wait_for_more(200, 30)
        watchers.wait_for_more(50, 30)
        node.start()
        until(node.is_ready, node.name + " is back", 30)
        writers.wait_for_more(100, 30)
    acked, unknown, failed = writers.stop()
    expect(not failed, "refused though a majority was up: %r" % failed[:3])
    expect(len(acked) > 900, "enough was written: %d" % len(acked))
    cluster.converge()
    events = watchers.stop(cluster.nodes[0].status()["revision"])
    check_seen(events, acked, unknown)


def test_a_watch_survives_the_restart_of_the_only_node(scratch):
    node = harness.Node(scratch).start()
    until(node.is_ready, "ready")
    watchers = Watchers(scratch, node.endpoint, "/load", count=2)
    writers = Writers(scratch, node.endpoint, "/load", count=2)
    watchers.wait_for_more(50)
    node.kill()
    node.start()
    until(node.is_ready, "back")
    writers.wait_for_more(100, 30)
    acked, unknown, _ = writers.stop()
    events = watchers.stop(node.status()["revision"])
    check_seen(events, acked, unknown)


def test_an_ephemeral_node_goes_with_its_session_and_not_before_on_every_node(scratch):
    cluster = Cluster(scratch).start()
    session = ctl_ok(cluster.endpoints, "session", "open", "--ttl", "2s").decode().strip()
    ctl_ok(cluster.endpoints, "create", "/alive", "--ephemeral", "--session", session)
    leader = cluster.leader()
    leader.kill()
    rest = [node for node in cluster.nodes if node is not leader]
    cluster.leader()
    # Kept alive through either of the others, it outlives the leader and several of its TTLs.
    begin = time.monotonic()
    while time.monotonic() - begin < 5:
        for node in rest:
            ctl_ok(node, "session", "keepalive", session, "--once")
            expect(ctl(node, "stat", "/alive")[0] == 0, "the node is there while its session is")
    begin = time.monotonic()
    for node in rest:
        until(lambda: ctl(node, "stat", "/alive")[0] == 3, "the node goes with its session", 10)
    took = time.monotonic() - begin
    expect(took > 1, "not before the TTL was over: %.2fs" % took)


if __name__ == "__main__":
    main(globals())
