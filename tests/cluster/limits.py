#!/usr/bin/env python3
"""Limits of users in a real cluster: leases over all members, the others at each member, for clients of both
protocols, over restarts."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat", "zookeeper"))

import wire
from harness import COORDCTL, PATIENCE, Cluster, Program, clean_environment, ctl_ok, expect, main, until

ADMIN = "admin:secret"
WEB = "web:pw"


def ctl_as(user, endpoints, *arguments):
    environment = {**clean_environment(), "COORD_USER": user}
    done = subprocess.run([COORDCTL, "--endpoints", endpoints, "--timeout", "20s", *arguments], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=30 * PATIENCE, check=False, env=environment)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def ok_as(user, endpoints, *arguments):
    code, out, error = ctl_as(user, endpoints, *arguments)
    expect(code == 0, "%s: coordctl %s: exit %d, %s" % (user, " ".join(arguments), code, error.strip()))
    return out


def limited(user, endpoints, text, *arguments):
    code, _, error = ctl_as(user, endpoints, *arguments)
    expect(code == 9 and text in error, "%s: exit %d, %s" % (" ".join(arguments), code, error))


def secured(scratch, *limits):
    cluster = Cluster(scratch)
    cluster.start()
    cluster.converge()
    at = cluster.endpoints
    for user, password in (("admin", "secret"), ("web", "pw")):
        ctl_ok(at, "user", "add", user, password, "--timeout", "20s")
    ctl_ok(at, "user", "grant-role", "admin", "root")
    ctl_ok(at, "role", "add", "app")
    ctl_ok(at, "role", "grant", "app", "/", "read,write,create,delete")
    ctl_ok(at, "user", "grant-role", "web", "app")
    ctl_ok(at, "create", "/a", "v")
    ctl_ok(at, "auth", "enable")
    ok_as(ADMIN, at, "user", "limit", "web", *limits)
    for node in cluster.nodes:
        ok_as(ADMIN, node.endpoint, "sync")
    return cluster


def zookeeper_as(node, name_and_password):
    client = wire.Client(node)
    client.send_packet(wire.i32(-4) + wire.i32(wire.AUTH) + wire.i32(0) + wire.buf("digest") +
                       wire.buf(name_and_password))
    return client


def test_leases_are_counted_over_all_members_and_outlive_restarts(scratch):
    cluster = secured(scratch, "--leases", "2")
    at = cluster.endpoints
    shown = json.loads(ok_as(ADMIN, at, "user", "get", "web", "-o", "json"))
    expect(shown["limits"] == {"requests_per_second": 0, "connections": 0, "watches": 0, "leases": 2}, shown)
    leases = [ok_as(WEB, node.endpoint, "lease", "grant", "1h").strip() for node in cluster.nodes[:2]]
    text = "the limit of user web leaves no room: 2 of 2 leases and sessions are used, 1 more is wanted"
    for node in cluster.nodes:
        limited(WEB, node.endpoint, text, "lease", "grant", "1h")
        limited(WEB, node.endpoint, text, "session", "open")
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start()
    for node in cluster.nodes:
        until(lambda: node.http("/ready")[0] == 200, "%s serves again" % node.name)
        ok_as(WEB, node.endpoint, "sync")
    limited(WEB, at, text, "lease", "grant", "1h")
    ok_as(WEB, at, "lease", "revoke", leases[0])
    ok_as(WEB, at, "lease", "grant", "1h")


def test_what_is_not_given_stays_and_everybody_has_a_default(scratch):
    cluster = secured(scratch, "--leases", "2", "--watches", "7")
    at = cluster.endpoints
    ok_as(ADMIN, at, "user", "limit", "web", "--watches", "0", "--connections", "5")
    expect("at most 5 connections to each member" in ok_as(ADMIN, at, "user", "get", "web"), "shown in words")
    ok_as(ADMIN, at, "user", "limit", "*", "--leases", "1")
    ok_as(ADMIN, at, "user", "limit", "web", "--leases", "0", "--connections", "0")
    expect(json.loads(ok_as(ADMIN, at, "user", "get", "web", "-o", "json"))["limits"] is None, "none of his own")
    ok_as(WEB, at, "lease", "grant", "1h")
    limited(WEB, at, "1 of 1 leases", "lease", "grant", "1h")
    expect("beyond a user's limit of leases" in ok_as(ADMIN, at, "doctor"), "doctor tells of refusals")
    for _ in range(3):
        ok_as(ADMIN, at, "lease", "grant", "1h")
    code, _, error = ctl_as(WEB, at, "user", "limit", "web", "--leases", "100")
    expect(code == 8, error)


def test_requests_beyond_the_rate_are_refused_by_name_and_zookeeper_clients_wait(scratch):
    cluster = secured(scratch, "--requests-per-second", "2")
    node = cluster.nodes[0]

    def refused():
        code, _, error = ctl_as(WEB, node.endpoint, "get", "/a")
        expect(code in (0, 9), error)
        return "user web: 2 requests a second at each member are the limit" in error

    until(refused, "more requests than two a second", 30)
    expect(node.metric('coord_user_limit_refusals_total{limit="requests"}') > 0, "it is counted")
    for _ in range(5):
        ok_as(ADMIN, node.endpoint, "get", "/a")
    with zookeeper_as(cluster.nodes[1], WEB) as zk:
        expect(wire.Packet(zk.packet()).err == wire.OK, "the password is right")
        began = time.monotonic()
        for _ in range(8):
            zk.request(wire.GET, wire.buf("/a") + wire.flag(False))
        for _ in range(8):
            expect(wire.Packet(zk.packet()).err == wire.OK, "it waits and is answered")
        expect(time.monotonic() - began > 2.5, "six of eight requests wait for half a second each")


def test_connections_and_watches_beyond_the_limit_are_refused(scratch):
    cluster = secured(scratch, "--connections", "2", "--watches", "1")
    node = cluster.nodes[0]
    first = Program(scratch, COORDCTL, "--endpoints", node.endpoint, "watch", "/a", COORD_USER=WEB)
    until(lambda: node.metric("coord_watches") >= 1, "one watch")
    limited(WEB, node.endpoint, "user web: 1 watches at each member are the limit", "watch", "/a", "--once")
    with zookeeper_as(node, WEB) as zk:
        expect(wire.Packet(zk.packet()).err == wire.OK, "the second connection")
        reply = zk.call(wire.GET, wire.buf("/a") + wire.flag(True))
        expect(reply.err == -1, "a watch more is refused: %r" % reply)
        limited(WEB, node.endpoint, "user web: 2 connections at each member are the limit", "get", "/a")
        with zookeeper_as(node, WEB) as third:
            expect(third.packet() is None, "a third connection of both protocols together is closed")
        ok_as(WEB, cluster.nodes[1].endpoint, "get", "/a")
    until(lambda: ctl_as(WEB, node.endpoint, "get", "/a")[0] == 0, "there is room again")
    first.send_signal(2)
    first.wait()


def test_a_load_of_watches_beyond_the_limit_says_so(scratch):
    cluster = secured(scratch, "--watches", "5")
    code, _, error = ctl_as(WEB, cluster.nodes[0].endpoint, "bench", "watch", "-c", "2", "--watches", "400", "--path",
                            "/load", "--duration", "100ms", "--warm-up", "0")
    expect(code == 1 and "user web: 5 watches at each member are the limit" in error, "%d, %s" % (code, error))


main(globals())
