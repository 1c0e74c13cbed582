#!/usr/bin/env python3
"""A single node grows to three under load, then to five and back: no acknowledged write is lost, and
sessions, ephemerals, watches and the revision go on."""
import json
import re
import time

from harness import HOST, PATIENCE, Cluster, Ctl, Node, Writers, ctl, ctl_ok, expect, free_port, main, until

SHORT_LOG = {"snapshot_log_bytes": "64k", "trailing_log_bytes": "16k", "wal_segment_bytes": "128k"}
LIMIT = ("--timeout", "%ds" % int(30 * PATIENCE))


def states(node):
    return {m["name"]: m["state"] for m in json.loads(ctl_ok(node, "member", "list", "-o", "json"))}


def single(scratch):
    return Node(scratch, "n1", peer_listen="%s:%d" % (HOST, free_port()), **SHORT_LOG).start()


def joining(scratch, name, endpoint):
    return Node(scratch, name, join=endpoint, peer_listen="%s:%d" % (HOST, free_port()), **SHORT_LOG)


def wait_for_voters(node, names):
    until(lambda: states(node) == {name: "voter" for name in names}, "voters are %r" % sorted(names), 30)


def as_cluster(scratch, nodes):
    cluster = Cluster.__new__(Cluster)
    cluster.scratch = scratch
    cluster.nodes = nodes
    return cluster


def paused_ms(node):
    with open(node.log_path, encoding="utf-8", errors="replace") as log:
        return [int(ms) for ms in re.findall(r"member\.grown.*paused_ms=(\d+)", log.read())]


def test_one_grows_to_three_to_five_and_back_under_load(scratch):
    first = single(scratch)
    session = ctl_ok(first, "session", "open", "--ttl", "60s").decode().split()[0]
    ctl_ok(first, "--session", session, "create", "/mine", "x", "--ephemeral")
    writers = Writers(scratch, first.endpoint, "/load", count=4)
    writers.wait_for_more(300)
    watching = Ctl(scratch, first.endpoint, "watch", "/", "--recursive")
    watching.lines(20)
    nodes = [first] + [joining(scratch, name, first.endpoint).start() for name in ("n2", "n3")]
    before = first.status()
    cluster_id = before["cluster_id"]
    began = time.monotonic()
    ctl_ok(first, *LIMIT, "member", "grow")
    grown = time.monotonic() - began
    writers.wait_for_more(50)
    wait_for_voters(first, ["n1", "n2", "n3"])
    for node in nodes:
        until(lambda n=node: n.status()["cluster_id"] == cluster_id, "it is the same cluster")
    after = first.status()
    expect(before["revision"] <= after["revision"] < before["revision"] + 2 ** 30,
           "the revision goes on: %r, %r" % (before["revision"], after["revision"]))
    watching.lines(len(watching.printed().splitlines()) + 20, 15)
    owner = json.loads(ctl_ok(nodes[1], "stat", "/mine", "-o", "json"))
    expect(owner, "the ephemeral node is there: %r" % owner)
    print("    grown in %.0f ms; the single node paused writes for %r ms" % (grown * 1000, paused_ms(first)))
    cluster = as_cluster(scratch, nodes)
    # Any one of the three may go.
    nodes[0].kill()
    until(lambda: ctl(nodes[1], "create", "/still", "x")[0] == 0, "two of three write", 20)
    nodes[0].start()
    writers.wait_for_more(50)
    for i, name in enumerate(("n4", "n5")):
        nodes.append(joining(scratch, name, nodes[i].endpoint).start())
        until(lambda n=name: states(nodes[0]).get(n) == "voter", name + " is a voter", 30)
    for node in list(nodes[1:3]):
        out = ctl_ok(nodes[0], *LIMIT, "member", "remove", node.name)
        expect(out == b"%s is removed\n" % node.name.encode(), "it says %r" % out)
        nodes.remove(node)
        node.terminate()
    wait_for_voters(nodes[0], ["n1", "n4", "n5"])
    writers.wait_for_more(50)
    acked, _, failed = writers.stop()
    expect(not failed, "writes failed: %r" % failed[:3])
    cluster.converge()
    for node in nodes:
        writers.check(node, acked)
    expect(ctl(nodes[1], "stat", "/mine")[0] == 0, "the session lives on")


def test_grow_says_who_is_missing_and_waits(scratch):
    first = single(scratch)
    code, _, error = ctl(first, "--timeout", "6s", "member", "grow")
    expect(code == 6 and "nobody has asked to join" in error, "%d %s" % (code, error))
    joining(scratch, "n2", first.endpoint).start(wait=False)
    code, _, error = ctl(first, "--timeout", "6s", "member", "grow", "n2", "n3")
    expect(code == 6 and "n3 has not asked to join" in error, "%d %s" % (code, error))
    ctl_ok(first, "create", "/a", "x")
    lonely = Node(scratch, "lonely").start()
    code, _, error = ctl(lonely, "member", "grow")
    expect(code == 1 and "--peer-listen" in error, "%d %s" % (code, error))


if __name__ == "__main__":
    main(globals())
