#!/usr/bin/env python3
"""Users and roles of a real cluster: on every member alike, over restarts and snapshots, and for those who
use coordctl and libcoord."""
import json
import os
import signal
import subprocess

from harness import (COORDCTL, HOST, PATIENCE, Cluster, Ctl, Node, clean_environment, ctl, ctl_ok, expect, free_port,
                     main, until)


def ctl_as(user, endpoints, *arguments, stdin=b""):
    environment = {**clean_environment(), "COORD_USER": user}
    done = subprocess.run([COORDCTL, "--endpoints", endpoints, *arguments], input=stdin, capture_output=True,
                          timeout=30 * PATIENCE, check=False, env=environment)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def ok_as(user, endpoints, *arguments, stdin=b""):
    code, out, error = ctl_as(user, endpoints, *arguments, stdin=stdin)
    expect(code == 0, "%s: coordctl %s: exit %d, %s" % (user, " ".join(arguments), code, error.strip()))
    return out


ADMIN = "admin:secret"
WEB = "web:pw"


def secured(scratch):
    cluster = Cluster(scratch)
    cluster.start()
    cluster.converge()
    at = cluster.endpoints
    code, _, error = ctl(at, "auth", "enable")
    expect(code == 1 and "the role root" in error, "nobody locks himself out: %s" % error)
    ctl_ok(at, "user", "add", "admin", "-", stdin=b"secret\n")
    ctl_ok(at, "user", "grant-role", "admin", "root")
    ctl_ok(at, "user", "add", "web", "pw")
    ctl_ok(at, "role", "add", "app")
    ctl_ok(at, "role", "grant", "app", "/app", "read,write,create,delete")
    ctl_ok(at, "role", "grant", "app", "/app/secret", "all", "--deny")
    ctl_ok(at, "user", "grant-role", "web", "app")
    ctl_ok(at, "create", "/app", "v")
    ctl_ok(at, "create", "/app/secret", "v")
    ctl_ok(at, "auth", "enable")
    return cluster


def test_every_member_asks_alike_and_a_token_is_good_on_all(scratch):
    cluster = secured(scratch)
    for node in cluster.nodes:
        until(lambda: ctl(node.endpoint, "get", "/app")[0] == 8, "%s asks who it is" % node.name)
        expect(ok_as(WEB, node.endpoint, "get", "/app") == b"v", "web reads at %s" % node.name)
        code, _, error = ctl_as(WEB, node.endpoint, "get", "/app/secret")
        expect(code == 8 and "/app/secret: read is not allowed to user web" in error, error)
        code, _, error = ctl_as("web:wrong", node.endpoint, "get", "/app")
        expect(code == 8 and error.endswith("wrong user or password\n"), error)
    token = os.path.join(scratch, "token")
    with open(token, "wb") as out:
        out.write(ok_as(WEB, cluster.nodes[0].endpoint, "auth", "login"))
    for node in cluster.nodes:
        expect(ctl_ok(node.endpoint, "get", "/app", "--token-file", token) == b"v", "the token at %s" % node.name)
    ok_as(ADMIN, cluster.endpoints, "user", "passwd", "web", "other")
    for node in cluster.nodes:
        until(lambda: ctl(node.endpoint, "get", "/app", "--token-file", token)[0] == 8,
              "%s takes the old token no more" % node.name)


def test_members_come_and_go_by_who_may_say_so(scratch):
    cluster = secured(scratch)
    at = cluster.endpoints
    limit = ("--timeout", "%ds" % int(20 * PATIENCE))
    guest = Node(scratch, "n4", join=cluster.nodes[0].endpoint, peer_listen="%s:%d" % (HOST, free_port()))
    guest.start(wait=False)
    until(lambda: "coordctl member add n4 first" in guest.log(), "nobody joins unexpected", 20)
    code, _, error = ctl_as(WEB, at, "member", "add", "n4")
    expect(code == 8, "web may not say who joins: exit %d, %s" % (code, error))
    ok_as(ADMIN, at, *limit, "member", "add", "n4")
    if not guest.is_running():
        guest.was_ended = True
        guest.start(wait=False)

    def states():
        return {m["name"]: m["state"] for m in json.loads(ok_as(ADMIN, at, "member", "list", "-o", "json"))}
    until(lambda: states().get("n4") == "voter", "who is expected joins", 40)
    expect(ctl_as(WEB, at, "member", "remove", "n4")[0] == 8, "web may not say who leaves")
    ok_as(ADMIN, at, *limit, "member", "remove", "n4")
    until(lambda: "n4" not in states(), "it is no member any more", 20)
    until(lambda: "removed" in guest.http("/ready")[1], "it says so itself", 20)


def test_users_and_roles_outlive_the_death_of_all(scratch):
    cluster = secured(scratch)
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start(wait=False)
    until(lambda: ctl_as(WEB, cluster.endpoints, "get", "/app")[0] == 0, "web reads again")
    expect(ctl(cluster.endpoints, "get", "/app")[0] == 8, "nobody may not")
    expect(ok_as(ADMIN, cluster.endpoints, "role", "get", "app").decode().splitlines() ==
           ["app", "  allow read,write,create,delete on /app", "  deny  all on /app/secret"], "the role")


def test_streams_end_with_what_proved_their_user(scratch):
    """On whichever member they are, and though nothing else happens on their connections."""
    cluster = secured(scratch)
    at = cluster.endpoints
    ok_as(ADMIN, at, "user", "add", "other", "pw")
    ok_as(ADMIN, at, "user", "grant-role", "other", "app")

    def watches(user):
        found = [Ctl(scratch, node, "watch", "/app", "--from-revision", "1", COORD_USER=user) for node in cluster.nodes]
        for watch in found:
            watch.lines(1)
        return found
    others = watches("other:pw")
    for change in (["passwd", "web", "new"], ["disable", "web"]):
        ended = watches(WEB)
        ok_as(ADMIN, at, "user", *change)
        for watch in ended:
            expect(watch.wait(5) == 8, "%r ends it: %s" % (change, watch.complained()))
        ok_as(ADMIN, at, "user", "passwd", "web", "pw")
    ok_as(ADMIN, at, "user", "enable", "web")
    ended = watches(WEB)
    ok_as(ADMIN, at, "user", "delete", "web")
    for watch in ended:
        expect(watch.wait(5) == 8, "a deletion ends it: %s" % watch.complained())
    expect(all(watch.process.poll() is None for watch in others), "those of others go on")
    ok_as(ADMIN, at, "set", "/app", "w")
    for watch in others:
        watch.lines(2)


def test_what_goes_on_logs_in_when_it_is_asked_for(scratch):
    """A watch and a lock of clients that have a user from the beginning, while a cluster begins to ask for one; and
    when their tokens become void."""
    cluster = Cluster(scratch)
    cluster.start()
    cluster.converge()
    at = cluster.endpoints
    ctl_ok(at, "user", "add", "admin", "secret")
    ctl_ok(at, "user", "grant-role", "admin", "root")
    ctl_ok(at, "create", "/app", "0")
    watches = [Ctl(scratch, node, "watch", "/app", "--from-revision", "1", COORD_USER=ADMIN) for node in cluster.nodes]
    lock = Ctl(scratch, at, "lock", "a", "--session-ttl", "4s", COORD_USER=ADMIN)
    lock.lines(1, 30)
    for count, changes in enumerate((["enable"], ["disable", "enable"])):
        for watch in watches:
            watch.lines(1 + count)
        for change in changes:
            ok_as(ADMIN, at, "auth", change)
        lease = ok_as(ADMIN, at, "lease", "grant", "6s").decode().strip()
        ok_as(ADMIN, at, "set", "/app", str(count + 1))
        for watch in watches:
            watch.lines(2 + count, 30)
        until(lambda at=at, lease=lease: ctl_as(ADMIN, at, "lease", "ttl", lease)[0] != 0, "longer than its TTL", 30)
        expect(lock.process.poll() is None, "the lock is held: %s" % lock.complained())
    lock.process.send_signal(signal.SIGTERM)
    lock.wait(30)
    expect(not any("lost" in line for line in lock.printed().splitlines()), "all the time: %s" % lock.printed())


def test_a_session_is_not_for_others(scratch):
    cluster = secured(scratch)
    at = cluster.endpoints
    session = ok_as(WEB, at, "session", "open", "--ttl", "1m").decode().strip()
    ok_as(WEB, at, "create", "/app/e", "x", "--ephemeral", "--session", session)
    ok_as(ADMIN, at, "user", "add", "other", "pw")
    ok_as(ADMIN, at, "user", "grant-role", "other", "app")
    for arguments in (["create", "/app/f", "x", "--session", session], ["session", "close", session]):
        code, _, error = ctl_as("other:pw", at, *arguments)
        expect(code == 8, "%r by another: %d %s" % (arguments, code, error))
    ok_as(WEB, at, "session", "close", session)


def test_a_member_that_starts_judges_nobody_by_the_state_that_it_left_with(scratch):
    """One is down while authentication is enabled; when it comes back the others are paused, so it can't know."""
    cluster = Cluster(scratch)
    cluster.start()
    cluster.converge()
    old = cluster.followers()[0]
    rest = [node for node in cluster.nodes if node is not old]
    at = ",".join(node.endpoint for node in rest)
    ctl_ok(at, "user", "add", "admin", "secret")
    ctl_ok(at, "user", "grant-role", "admin", "root")
    ctl_ok(at, "create", "/a", "v")
    cluster.converge()
    old.kill()
    ctl_ok(at, "auth", "enable")
    for node in rest:
        node.send_signal(signal.SIGSTOP)
    old.start()
    expect(not old.is_ready(), "a member that has not caught up is not ready")
    ctl_ok(old.endpoint, "status")
    local = ctl(old.endpoint, "get", "/a", "--consistency", "local", "--timeout", "1s")
    expect(local[0] in (6, 7), "what it left with is shown to nobody: %r" % (local,))
    asked = [Ctl(scratch, old.endpoint, *words, "--timeout", "60s")
             for words in (("lease", "grant", "30s"), ("create", "/b", "x"), ("ls", "/"))]
    until(lambda: old.metric("coord_grpc_in_flight") >= len(asked), "they wait", 30)
    for node in rest:
        node.send_signal(signal.SIGCONT)
    until(old.is_ready, "it has caught up", 60)
    for client in asked:
        expect(client.wait(60) == 8, "asked who it is: %s" % client.complained())
    leases = json.loads(ok_as(ADMIN, at, "lease", "list", "-o", "json"))
    expect(not leases, "no lease is anonymous: %r" % leases)
    expect(ok_as(ADMIN, old.endpoint, "get", "/a") == b"v", "who it is may read")


if __name__ == "__main__":
    main(globals())
