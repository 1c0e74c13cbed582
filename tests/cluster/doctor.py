#!/usr/bin/env python3
"""coordctl doctor: what it finds in a cluster that is well, and in one that is not."""
import json
import socket

from harness import Cluster, Node, ctl, ctl_ok, expect, main, until


def findings(node, *options):
    code, out, error = ctl(node, "doctor", "-o", "json", *options)
    expect(error == "", "doctor complains: %s" % error)
    return code, {(f["check"], f["level"]): f["text"] for f in json.loads(out)}


def test_a_healthy_cluster(scratch):
    cluster = Cluster(scratch)
    cluster.start()
    cluster.converge()
    cluster.leader()

    def well():
        code, found = findings(cluster.nodes[1])
        return code == 0 and found
    found = until(well, "all is well")
    for check in ("members", "quorum", "leader", "elections", "versions", "state", "clock", "disk", "limits", "memory", "users",
                  "quotas"):
        expect((check, "ok") in found or (check, "warn") in found and check in ("disk", "memory"), "%s: %r" % (check, found))
    expect(found["members", "ok"] == "3 of 3 answer and serve", "members: %r" % found)
    expect(found["quorum", "ok"] == "3 of 3 voters answer, 1 may fail", "quorum: %r" % found)
    expect(not any(check == "certificates" for check, level in found), "there are no certificates")
    expect("--backup-dir" in found["backup", "warn"], "nobody takes backups")


def test_a_member_is_missing(scratch):
    cluster = Cluster(scratch)
    cluster.start()
    cluster.converge()
    victim = cluster.followers()[0]
    victim.kill()
    other = next(node for node in cluster.nodes if node is not victim)
    code, found = findings(other)
    expect(code == 1, "it ends with 1")
    expect(found["members", "fail"].startswith("%s (%s) does not answer" % (victim.name, victim.endpoint)),
           "who is missing: %r" % found)
    expect("one more loss stops the cluster" in found["quorum", "warn"], "what that means: %r" % found)


def test_what_is_nearly_used_up(scratch):
    node = Node(scratch, connections_max=20)
    node.start()
    at = node.endpoint
    for path in ("/app", "/app/a", "/app/b", "/app/c"):
        ctl_ok(at, "create", path, "x")
    ctl_ok(at, "quota", "set", "/app", "--nodes", "5")
    code, found = findings(node)
    expect(code == 0, "nothing fails yet: %r" % found)
    expect(found["quotas", "warn"] == "/app is nearly full: 80 % of its nodes", "a quota: %r" % found)
    ctl_ok(at, "create", "/app/d", "x")
    code, found = findings(node)
    expect(code == 1, "a full quota fails")
    expect(found["quotas", "fail"].startswith("/app is full"), "a full one: %r" % found)
    ctl_ok(at, "quota", "remove", "/app")
    deep = "/x" + "\u00e9" * 400  # whole characters, wherever the finding is cut
    ctl_ok(at, "create", deep, "x")
    ctl_ok(at, "quota", "set", deep, "--nodes", "1")
    code, found = findings(node)
    expect(code == 1 and found["quotas", "fail"] == deep + " is full, what grows there is refused: 100 % of its nodes",
           "a full one with a long path: %r" % found)
    ctl_ok(at, "quota", "remove", deep)

    held = []

    def held_connections_are_told():
        # Who says nothing is let go of after a while: so new ones are opened with each attempt.
        while held:
            held.pop().close()
        held.extend(socket.create_connection((at.split(":")[0], int(at.split(":")[1]))) for _ in range(16))
        code, found = findings(node)
        return "of 20 connections: see --connections-max" in found.get(("limits", "warn"), "")
    until(held_connections_are_told, "most connections are used", 60)
    for one in held:
        one.close()


def test_quotas_that_one_may_not_see_are_counted(scratch):
    node = Node(scratch)
    node.start()
    at = node.endpoint
    for path in ("/app", "/app/a", "/mine"):
        ctl_ok(at, "create", path, "x")
    for user, role in (("admin", "root"), ("monitor", "looks")):
        ctl_ok(at, "user", "add", user, "pw")
        if role != "root":
            ctl_ok(at, "role", "add", role)
        ctl_ok(at, "user", "grant-role", user, role)
    ctl_ok(at, "role", "grant", "looks", "/mine", "read")
    ctl_ok(at, "auth", "enable")
    ctl_ok(at, "quota", "set", "/mine", "--nodes", "9", "--user", "admin:pw")
    code, found = findings(node, "--user", "monitor:pw")
    expect(("quotas", "ok") in found, "none is full: %r" % found)
    ctl_ok(at, "quota", "set", "/app", "--nodes", "2", "--user", "admin:pw")
    code, found = findings(node, "--user", "monitor:pw")
    expect(code == 1, "a full quota fails")
    expect(found["quotas", "fail"].startswith("1 more are full, 0 nearly"), "one more is full: %r" % found)
    code, found = findings(node, "--user", "admin:pw")
    expect(found["quotas", "fail"].startswith("/app is full"), "and which one: %r" % found)


if __name__ == "__main__":
    main(globals())
