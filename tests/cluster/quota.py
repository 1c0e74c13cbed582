#!/usr/bin/env python3
"""Quotas of subtrees in a real cluster: the same on every member, for clients of both protocols, over restarts and
snapshots, and shown where an operator looks."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat", "zookeeper"))

import wire
from harness import Cluster, ctl, ctl_ok, expect, main, until

QUOTA_EXCEEDED = -125


def shown(endpoints, path):
    return json.loads(ctl_ok(endpoints, "quota", "get", path, "-o", "json"))


def refused(endpoints, text, *arguments):
    code, _, error = ctl(endpoints, *arguments)
    expect(code == 9, "%s: exit %d, %s" % (" ".join(arguments), code, error))
    expect(text in error, "%s: %s" % (" ".join(arguments), error))


def limited(scratch, **flags):
    """Three members, and /app with a quota of five nodes and 2000 bytes, of which it has three."""
    cluster = Cluster(scratch, **flags)
    cluster.start()
    cluster.converge()
    at = cluster.endpoints
    ctl_ok(at, "create", "/app", "x")
    ctl_ok(at, "create", "/app/1", "x")
    ctl_ok(at, "create", "/app/2", "x")
    ctl_ok(at, "quota", "set", "/app", "--bytes", "2000", "--nodes", "5", "--soft", "80")
    return cluster


def test_a_quota_holds_on_every_member_and_says_by_name_what_was_refused(scratch):
    cluster = limited(scratch)
    at = cluster.endpoints
    expect(shown(at, "/app") == {"path": "/app", "bytes": 2000, "used_bytes": 19, "nodes": 5, "used_nodes": 3,
                                 "soft_percent": 80, "state": "ok"}, shown(at, "/app"))
    ctl_ok(at, "create", "/app/3")
    expect(shown(at, "/app")["state"] == "warning", shown(at, "/app"))
    ctl_ok(at, "create", "/app/4")
    for node in cluster.nodes:
        refused(node.endpoint, "the quota of /app leaves no room: 5 of 5 nodes are used, 1 more is wanted",
                "create", "/app/5")
        refused(node.endpoint, "the quota of /app leaves no room: ", "set", "/app/1", "x" * 2000)
        until(lambda: node.metric("coord_quotas_full") == 1, "%s shows a full quota" % node.name)
        expect(node.metric("coord_quota_refusals_total") >= 2, "%s counts what it refused" % node.name)
    code, _, error = ctl(at, "txn", "-f", "-", stdin=json.dumps(
        {"then": [{"delete": "/app/4"}, {"create": "/app/5"}, {"create": "/app/6"}]}).encode())
    expect(code == 9 and "then 3: QUOTA: the quota of /app" in error, (code, error))
    ctl_ok(at, "rm", "/app/4")
    ctl_ok(at, "create", "/app/5")
    listed = ctl_ok(at, "quota", "list").decode()
    expect(listed.startswith("/app  bytes ") and "nodes 5 of 5  warning from 80%  full" in listed, listed)


def test_setting_changes_what_is_given_and_removing_frees(scratch):
    cluster = limited(scratch)
    at = cluster.endpoints
    ctl_ok(at, "quota", "set", "/app", "--nodes", "1")
    now = shown(at, "/app")
    expect((now["bytes"], now["nodes"], now["soft_percent"], now["state"]) == (2000, 1, 80, "full"), now)
    refused(at, "3 of 1 nodes are used", "create", "/app/3")
    ctl_ok(at, "set", "/app/1", "")
    for said, bytes_ in (("5000000000", 5000000000), ("5G", 5 << 30), ("4611686018427387904", 1 << 62)):
        ctl_ok(at, "quota", "set", "/app", "--bytes", said)
        expect(shown(at, "/app")["bytes"] == bytes_, shown(at, "/app"))
    for said in ("0", "4611686018427387905", "4294967297G", "1T"):
        code, _, error = ctl(at, "quota", "set", "/app", "--bytes", said, "--nodes", "2")
        expect(code == 2 and '--bytes "%s" is not a size from 1' % said in error, (said, code, error))
    ctl_ok(at, "quota", "remove", "/app")
    ctl_ok(at, "create", "/app/3")
    for command in ("get", "remove"):
        code, _, error = ctl(at, "quota", command, "/app")
        expect(code == 3 and "there is no quota at this path" in error, (command, code, error))
    code, _, error = ctl(at, "quota", "set", "/app")
    expect(code == 2 and "--bytes" in error, error)
    code, _, error = ctl(at, "quota", "set", "app", "--nodes", "1")
    expect(code == 1 and "path" in error, (code, error))


def test_zookeeper_clients_are_told_quota_exceeded(scratch):
    cluster = limited(scratch)
    at = cluster.endpoints
    with wire.Client(cluster.nodes[1]) as zk:
        for path, error in (("/app/3", wire.OK), ("/app/4", wire.OK), ("/app/5", QUOTA_EXCEEDED)):
            reply = zk.call(wire.CREATE, wire.create(path))
            expect(reply.err == error, "create %s: %r" % (path, reply))
        reply = zk.call(wire.SET, wire.buf("/app") + wire.buf(b"x" * 2000) + wire.i32(-1))
        expect(reply.err == QUOTA_EXCEEDED, "set: %r" % reply)
        reply = zk.call(wire.MULTI, wire.multi((wire.DELETE, wire.buf("/app/4") + wire.i32(-1)),
                                               (wire.CREATE, wire.create("/app/5")),
                                               (wire.CREATE, wire.create("/app/6"))))
        expect(("error", QUOTA_EXCEEDED) in wire.multi_results(reply.body), "multi: %r" % reply)
        expect(shown(at, "/app")["used_nodes"] == 5, shown(at, "/app"))
        reply = zk.call(wire.DELETE, wire.buf("/app/4") + wire.i32(-1))
        expect(reply.err == wire.OK, "delete: %r" % reply)
        reply = zk.call(wire.CREATE, wire.create("/app/e", flags=1))
        expect(reply.err == wire.OK, "create: %r" % reply)
        reply = zk.call(wire.CLOSE, b"")
        expect(reply.err == wire.OK, "close: %r" % reply)
    expect(shown(at, "/app")["used_nodes"] == 4, "the ephemeral node gave back what it took: %s" % shown(at, "/app"))


def test_quotas_outlive_restarts_and_come_with_snapshots(scratch):
    cluster = limited(scratch, snapshot_log_bytes=65536, trailing_log_bytes=65536)
    at = cluster.endpoints
    behind = cluster.followers()[0]
    ctl_ok(at, "create", "/filler")
    behind.terminate()
    rest = [node for node in cluster.nodes if node is not behind]
    reach = ",".join(node.endpoint for node in rest)

    def has_snapshots():
        ctl_ok(reach, "set", "/filler", "x" * 20000)
        return all(node.metric("coord_snapshots_taken_total") >= 2 for node in rest)

    until(has_snapshots, "snapshots of a log that one member lacks", 120)
    ctl_ok(reach, "create", "/app/3")
    behind.start()
    cluster.converge()
    expect(behind.metric("coord_snapshots_received_total") >= 1, "the one that was away got a snapshot")
    before = shown(behind.endpoint, "/app")
    expect(before["used_nodes"] == 4, before)
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start()
    for node in cluster.nodes:
        ctl_ok(node.endpoint, "sync", "--timeout", "30s")
        now = json.loads(ctl_ok(node.endpoint, "quota", "list", "-o", "json", "--consistency", "local"))
        expect(now == [before], (now, before))
    ctl_ok(at, "create", "/app/4")
    for node in cluster.nodes:
        refused(node.endpoint, "5 of 5 nodes are used", "create", "/app/5")
    expect(all(node.metric("coord_serving") == 1 for node in cluster.nodes), "all go on")


main(globals())
