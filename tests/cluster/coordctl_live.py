#!/usr/bin/env python3
"""coordctl where time passes: sessions, leases, watches; in the foreground, under signals, over the death
of nodes."""
import base64
import json
import os
import re
import signal

from coordctl import check, complaint, hold, one, txn, with_environment
from harness import COORDCTL, Cluster, Ctl, Program, ctl, ctl_ok, expect, main, until

SESSION = re.compile(r"([0-9a-f]{16}):[0-9a-f]{32}")


def revision(node):
    return json.loads(ctl_ok(node, "status", "-o", "json"))["revision"]


def exists(node, path):
    return ctl(node, "stat", path)[0] == 0


def open_session(node, *arguments):
    """ID:SECRET, and the id."""
    text = ctl_ok(node, "session", "open", *arguments).decode().strip()
    expect(SESSION.fullmatch(text), "session open prints ID:SECRET: %r" % text)
    return text, text[:16]


def events(node, path, since, count, *arguments):
    """So many changes of a path, from the revision behind `since` on."""
    watch = Ctl(os.path.dirname(node.data_dir), node, "watch", path, "--from-revision", str(since + 1), "-o",
                "jsonl", *arguments)
    lines = watch.lines(count)
    watch.send_signal(signal.SIGINT)
    expect(watch.wait() == 130, "SIGINT is 130")
    return [json.loads(line) for line in lines]


def outlive(node, ttl="500ms"):
    """Returns when a session of this TTL, which nobody keeps alive, has expired: twice over."""
    for _ in range(2):
        session, _ = open_session(node, "--ttl", ttl)
        ctl_ok(node, "create", "/control", "--ephemeral", "--session", session)
        until(lambda: not exists(node, "/control"), "an abandoned session expires", 15)


# ---- sessions -------------------------------------------------------------------------------------

def test_sessions(scratch):
    node = one(scratch)
    session, number = open_session(node, "--ttl", "10s", "--owner", "me and you")
    other, _ = open_session(node)
    wrong = session[:17] + other[17:]
    check(node, [
        (["session", "list"], 0, r"ID .*\n(.*\n)*%s  10s  +0  \S+Z  me and you\n(.*\n)*" % number),
        (["session", "keepalive", session, "--once"], 0, b""),
        (["create", "/e", "1", "--ephemeral", "--session", session], 0, b"/e\n"),
        (["create", "/e/child"], 1, b"", complaint("create /e/child: .*ephemeral.*")),
        (["stat", "/e"], 0, r"kind +ephemeral\n(.*\n)*lease +%s\n" % number),
        (["ls", "-l"], 0, r"(.*\n)*ephemeral .* e  \(lease %s\)\n(.*\n)*" % number),
        (["set", "/e", "2", "--session", session], 0, b""),
        (["create", "/e2", "--ephemeral", "--session", wrong], 8, b"",
         complaint("create /e2: session %s: wrong credentials" % number)),
        (["session", "close", wrong], 8, b"", complaint("session close %s: wrong credentials" % number)),
        (["session", "close", session], 0, b"1 node removed\n"),
        (["stat", "/e"], 3, b"", complaint("stat /e: .*")),
        (["session", "close", session], 3, b"", complaint("session close %s: session has ended" % number)),
        (["session", "keepalive", session], 3, b"", complaint("session keepalive %s: .* ended" % number)),
        (["create", "/x", "--session", session], 3, b"", complaint("create /x: session %s: .* ended" % number)),
        (["session", "close", "12"], 2, b"", complaint("session close: ID:SECRET is what session open printed")),
        (["session", "close"], 2, b"", complaint("usage: coordctl session close ID:SECRET")),
        (["session", "open", "--ttl", "25h"], 2, b"", complaint('--ttl "25h" is not a time such .*')),
        (["create", "/x", "--session", "1:2"], 2, b"", complaint('--session "1:2" is not a session .*')),
        (["session"], 2, b"", complaint("session needs a verb, see coordctl help session")),
        (["session", "frob"], 2, b"", complaint('unknown command "session frob"; see coordctl help session')),
    ])
    listed = json.loads(ctl_ok(node, "session", "list", "-o", "json"))
    expect([s["kind"] for s in listed] == ["session"] and listed[0]["ttl_ms"] == 10000, "list: %r" % listed)
    opened = json.loads(ctl_ok(node, "session", "open", "--ttl", "1ms", "-o", "json"))
    expect(opened["ttl_ms"] == 500 and SESSION.fullmatch(opened["session"]), "TTLs have bounds: %r" % opened)


def test_the_session_of_the_environment(scratch):
    node = one(scratch)
    session, number = open_session(node, "--ttl", "1m")
    code, out, error = with_environment(["create", "/e", "--ephemeral"], COORD_ENDPOINTS=node.endpoint,
                                        COORD_SESSION=session)
    expect((code, out) == (0, b"/e\n"), "COORD_SESSION: %d %s" % (code, error))
    expect(json.loads(ctl_ok(node, "stat", "/e", "-o", "json"))["lease"] == number, "it owns the node")
    code, out, error = with_environment(["session", "close"], COORD_ENDPOINTS=node.endpoint, COORD_SESSION=session)
    expect((code, out) == (0, b"1 node removed\n"), "session close: %d %s" % (code, error))
    code, _, error = with_environment(["create", "/f"], COORD_ENDPOINTS=node.endpoint, COORD_SESSION="nonsense")
    expect(code == 2 and error.startswith("coordctl: COORD_SESSION: "), "nonsense: %d %s" % (code, error))


def test_a_session_is_kept_alive_in_the_foreground(scratch):
    node = one(scratch)
    session, number = open_session(node, "--ttl", "500ms")
    keeper = Ctl(scratch, node, "session", "keepalive", session)
    ctl_ok(node, "create", "/kept", "--ephemeral", "--session", session)
    outlive(node)
    expect(exists(node, "/kept"), "it lives while it is kept alive")
    keeper.send_signal(signal.SIGTERM)
    expect(keeper.wait() == 0 and keeper.complained() == "", "SIGTERM ends it with 0: " + keeper.complained())
    until(lambda: not exists(node, "/kept"), "then it expires")
    expect(number.encode() not in ctl_ok(node, "session", "list"), "and is gone")


def test_create_ephemeral_stays_and_closes_its_session(scratch):
    node = one(scratch)
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        since = revision(node)
        holder = Ctl(scratch, node, "create", "/e", "value", "--ephemeral", "--session-ttl", "500ms")
        expect(holder.lines(1) == ["/e"], "prints the path")
        expect(ctl_ok(node, "get", "/e") == b"value", "the node is there")
        outlive(node)
        expect(exists(node, "/e") and holder.process.poll() is None, "it outlives its TTL")
        holder.send_signal(number)
        expect(holder.wait() == 0 and holder.complained() == "", "%r ends it with 0: %s" %
               (number, holder.complained()))
        expect(not exists(node, "/e"), "and the node is gone at once")
        changes = events(node, "/e", since, 2)
        expect([(c["type"], c["reason"]) for c in changes] == [("created", "requested"), ("deleted", "closed")],
               "as closed: %r" % changes)


def test_a_signal_that_is_ignored_ends_nothing(scratch):
    node = one(scratch)
    holder = Program(scratch, "nohup", COORDCTL, "--endpoints", node.endpoint, "create", "/e", "--ephemeral",
                     "--session-ttl", "500ms")
    holder.lines(1)
    holder.send_signal(signal.SIGHUP)
    outlive(node)
    expect(exists(node, "/e") and holder.process.poll() is None, "it goes on: " + holder.complained())
    holder.send_signal(signal.SIGTERM)
    expect(holder.wait() == 0 and not exists(node, "/e"), "SIGTERM is not ignored: " + holder.complained())


def test_there_is_no_session_yet_while_the_value_is_read(scratch):
    node = one(scratch)
    pipe = os.path.join(scratch, "pipe")
    os.mkfifo(pipe)
    holder = Ctl(scratch, node, "create", "/e", "@" + pipe, "--ephemeral")
    writer = until(lambda: os.open(pipe, os.O_WRONLY | os.O_NONBLOCK), "it reads")  # ENXIO as long as nobody does
    expect(json.loads(ctl_ok(node, "session", "list", "-o", "json")) == [], "none that could end meanwhile")
    holder.send_signal(signal.SIGTERM)
    expect(holder.wait() == -signal.SIGTERM and not exists(node, "/e"), "a signal ends it: " + holder.complained())
    os.close(writer)


def test_a_killed_holder_loses_its_node_after_the_ttl(scratch):
    node = one(scratch)
    since = revision(node)
    holder = Ctl(scratch, node, "create", "/e-", "--ephemeral", "--sequential", "--session-ttl", "1s")
    path = holder.lines(1)[0]
    expect(re.fullmatch(r"/e-\d{10}", path), "the real path: " + path)
    holder.process.kill()
    holder.wait()
    expect(exists(node, path), "not before")
    until(lambda: not exists(node, path), "it goes")
    changes = events(node, path, since, 2)
    expect(changes[1]["type"] == "deleted" and changes[1]["reason"] == "expired", "as expired: %r" % changes)


def test_a_lost_session_is_told(scratch):
    node = one(scratch)
    paused = Ctl(scratch, node, "create", "/e", "--ephemeral", "--session-ttl", "500ms")
    paused.lines(1)
    paused.send_signal(signal.SIGSTOP)
    until(lambda: not exists(node, "/e"), "a paused holder's session expires")
    paused.send_signal(signal.SIGCONT)
    expect(paused.wait() == 3 and re.fullmatch("coordctl: create /e: .*session.* ended\n", paused.complained()),
           "it says so: %r" % paused.complained())

    cut_off = Ctl(scratch, node, "create", "/f", "--ephemeral", "--session-ttl", "500ms")
    cut_off.lines(1)
    node.kill()
    code = cut_off.wait()
    expect(code in (6, 7) and "the session may have ended" in cut_off.complained(),
           "out of reach: %d %s" % (code, cut_off.complained()))


def test_create_ephemeral_that_fails_leaves_no_session(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a")
    code, out, error = ctl(node, "create", "/a", "--ephemeral")
    expect((code, out) == (5, b"") and "node already exists" in error, "%d %s" % (code, error))
    expect(json.loads(ctl_ok(node, "session", "list", "-o", "json")) == [], "its session is closed")


def test_a_session_outlives_the_death_of_the_leader(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    endpoints = ",".join(node.endpoint for node in [leader] + others)
    holder = Ctl(scratch, endpoints, "create", "/e", "--ephemeral", "--session-ttl", "3s")
    holder.lines(1)
    leader.kill()
    until(lambda: ctl(others[0], "create", "/after")[0] in (0, 5), "another leads", 15)
    for _ in range(2):
        outlive(others[0], "2s")
    expect(exists(others[0], "/e") and holder.process.poll() is None, "it lives on: " + holder.complained())
    holder.send_signal(signal.SIGINT)
    expect(holder.wait() == 0 and not exists(others[1], "/e"), "and is closed: " + holder.complained())


# ---- leases and kinds -----------------------------------------------------------------------------

def test_leases(scratch):
    node = one(scratch)
    lease = ctl_ok(node, "lease", "grant", "1m", "--owner", "job 7").decode().strip()
    expect(re.fullmatch("[0-9a-f]{16}", lease), "its id: " + lease)
    fixed = ctl_ok(node, "lease", "grant", "2h", "--not-renewable").decode().strip()
    check(node, [
        (["create", "/w1", "x", "--ephemeral", "--lease", lease], 0, b"/w1\n"),
        (["create", "/w2", "--ephemeral", "--lease", lease], 0, b"/w2\n"),
        (["lease", "ttl", lease, "--paths"], 0,
         r"lease  (1m|5\d(\.\d)?s) of 1m left, 2 nodes, owner job 7\n/w1\n/w2\n"),
        (["lease", "list"], 0, r"ID .*\n(.*%s  1m  +2 .*  job 7\n|.*%s  2h .*\(not renewable\)\n){2}" % (lease, fixed)),
        (["lease", "keepalive", lease, "--once"], 0, b""),
        (["lease", "keepalive", fixed, "--once"], 1, b"", complaint("lease keepalive %s: .*" % fixed)),
        (["lease", "revoke", lease], 0, b"2 nodes removed\n"),
        (["lease", "revoke", lease], 3, b"", complaint("lease revoke %s: .*lease.*" % lease)),
        (["lease", "keepalive", lease], 3, b"", complaint("lease keepalive %s: .*" % lease)),
        (["lease", "ttl", lease], 3, b"", complaint("lease ttl %s: .*lease.*" % lease)),
        (["create", "/w3", "--ephemeral", "--lease", lease], 3, b"", complaint("create /w3: .*lease.*")),
        (["lease", "revoke", "xyz"], 2, b"", complaint('lease revoke: "xyz" is not a lease\'s id: .*')),
        (["lease", "revoke", "0"], 2, b"", complaint('lease revoke: "0" is not a lease\'s id: .*')),
        (["lease", "grant", "soon"], 2, b"", complaint('lease grant: "soon" is not a time .*')),
        (["lease", "grant", "100ms"], 1, b"", complaint("lease grant 100ms: .*500.*")),
        (["lease", "grant", "25h"], 1, b"", complaint("lease grant 25h: .*86400000.*")),
    ])
    told = json.loads(ctl_ok(node, "lease", "ttl", fixed, "-o", "json"))
    expect(told["ttl_ms"] == 7200000 and told["renewable"] is False and told["paths"] == [], "JSON: %r" % told)
    session, number = open_session(node)
    expect(ctl_ok(node, "lease", "ttl", number).startswith(b"session  "), "a session's time to live")
    code, _, error = ctl(node, "lease", "revoke", number)
    expect(code == 3 and number in error, "a session is not revoked by its id: %d %s" % (code, error))
    expect(ctl_ok(node, "session", "close", session) == b"0 nodes removed\n", "it is closed")


def test_a_lease_is_kept_alive_in_the_foreground(scratch):
    node = one(scratch)
    lease = ctl_ok(node, "lease", "grant", "500ms").decode().strip()
    keeper = Ctl(scratch, node, "lease", "keepalive", lease)
    ctl_ok(node, "create", "/kept", "--ephemeral", "--lease", lease)
    outlive(node)
    expect(exists(node, "/kept"), "it lives while it is kept alive")
    ctl_ok(node, "lease", "revoke", lease)
    expect(keeper.wait() == 3 and "lease" in keeper.complained(), "its end is told: " + keeper.complained())


def test_kinds(scratch):
    node = one(scratch)
    since = revision(node)
    check(node, [
        (["create", "/c", "--container"], 0, b"/c\n"),
        (["create", "/c/child"], 0, b"/c/child\n"),
        (["create", "/t", "--ttl", "500ms"], 0, b"/t\n"),
        (["create", "/long", "x", "--ttl", "1.5h"], 0, b"/long\n"),
        (["stat", "/long"], 0, r"kind +ttl\n(.*\n)*ttl +90m\n"),
        (["stat", "/c"], 0, r"kind +container\n.*"),
        (["rm", "/c/child"], 0, b""),
        (["create", "/x", "--ttl", "1s", "--container"], 2, b"",
         complaint("create: --ephemeral, --container and --ttl exclude each other")),
        (["create", "/x", "--lease", "5"], 2, b"", complaint("create: --lease goes with --ephemeral")),
        (["create", "/x", "--session-ttl", "5s"], 2, b"", complaint("create: --session-ttl goes with --ephemeral")),
        (["create", "/x", "--ephemeral", "--lease", "5", "--session-ttl", "5s"], 2, b"",
         complaint("create: --session-ttl is of a session that is opened; .*")),
    ])
    until(lambda: not exists(node, "/c"), "an emptied container goes")
    until(lambda: not exists(node, "/t"), "a TTL node goes")
    expect(exists(node, "/long"), "but not yet the other")
    expect(events(node, "/c", since, 2)[1]["reason"] == "emptied", "and why")
    expect(events(node, "/t", since, 2)[1]["reason"] == "ttl", "and why")


def test_transactions_with_kinds_and_grants(scratch):
    node = one(scratch)
    session, number = open_session(node, "--ttl", "1m")
    code, out, error = txn(node, {"then": [{"create": "/lock", "data": "me", "kind": "ephemeral"}]},
                           "--session", session)
    expect(code == 0 and out == "then\n  1 OK /lock\n", "in a session: %d %s%s" % (code, out, error))
    stat = json.loads(ctl_ok(node, "stat", "/lock", "-o", "json"))
    expect(stat["lease"] == number, "the session's")
    guard = {"path": "/lock", "grant": stat["create_revision"]}
    code, out, error = txn(node, {"if": [guard], "then": [
        {"create": "/data", "kind": "ttl", "ttl": "1h"}, {"create": "/box", "kind": "container"}]})
    expect(code == 0, "the grant is held: %d %s%s" % (code, out, error))
    expect(json.loads(ctl_ok(node, "stat", "/data", "-o", "json"))["ttl_ms"] == 3600000, "its TTL")
    lease = ctl_ok(node, "lease", "grant", "1m").decode().strip()
    code, _, error = txn(node, {"then": [{"create": "/w", "kind": "ephemeral", "lease": lease}]})
    expect(code == 0 and ctl_ok(node, "lease", "ttl", lease, "--paths").endswith(b"\n/w\n"), "a lease's: " + error)
    ctl_ok(node, "session", "close", session)
    code, _, error = txn(node, {"if": [guard], "then": [{"set": "/data", "data": "stale"}]})
    expect(code == 4 and "not held any more" in error, "a grant that is gone guards: %d %s" % (code, error))
    for what, error in [
            ({"kind": "fifo"}, '"kind" must be'), ({"kind": 1}, '"kind" must be'), ({"kind": "ttl"}, '"ttl" goes with'),
            ({"ttl": "1s"}, '"ttl" goes with'), ({"kind": "ttl", "ttl": 5}, '"ttl" must be a time'),
            ({"kind": "ephemeral", "lease": 5}, '"lease" must be'), ({"lease": "5"}, '"lease" goes with')]:
        code, out, got = txn(node, {"then": [{"create": "/x", **what}]})
        expect(code == 2 and error in got and got.count("\n") == 1, "%r: %d %s" % (what, code, got))
    code, _, got = txn(node, {"if": [{"path": "/x", "grant": 1, "is": "="}]})
    expect(code == 2 and '"is" says nothing about "grant"' in got, got)
    code, _, got = txn(node, {"then": [{"create": "/y", "kind": "ephemeral"}]})
    expect(code != 0 and not exists(node, "/y"), "an ephemeral needs an owner: %d %s" % (code, got))


# ---- watches --------------------------------------------------------------------------------------

def test_watch_prints_changes(scratch):
    node = one(scratch)
    since = revision(node)
    behind = ["--from-revision", str(since + 1)]
    ctl_ok(node, "create", "/w", "one")
    ctl_ok(node, "set", "/w", "two", "--note", "because")
    ctl_ok(node, "create", "/w/kid.txt", "line\nbreak")
    ctl_ok(node, "create", "/w/kid.bin", "-", stdin=b"\xff\x00")
    ctl_ok(node, "create", "/w/kid.txt/deep", "x")
    ctl_ok(node, "create", "/wide", "y")
    ctl_ok(node, "rm", "/w/kid.bin")
    at = since + 1
    lines = {
        (): ["%d created /w one" % at, "%d set /w two" % (at + 1)],
        ("--prev",): ["%d created /w one" % at, "%d set /w two (was one)" % (at + 1)],
        ("--children",): ["%d created /w/kid.txt \"line\\nbreak\"" % (at + 2), "%d created /w/kid.bin (2 bytes)" % (at + 3),
                          "%d deleted /w/kid.bin" % (at + 6)],
        ("--recursive", "--keys-only"): [
            "%d created /w" % at, "%d set /w" % (at + 1), "%d created /w/kid.txt" % (at + 2),
            "%d created /w/kid.bin" % (at + 3), "%d created /w/kid.txt/deep" % (at + 4),
            "%d deleted /w/kid.bin" % (at + 6)],
        ("--recursive", "--depth", "1", "--types", "created", "--keys-only"): [
            "%d created /w" % at, "%d created /w/kid.txt" % (at + 2), "%d created /w/kid.bin" % (at + 3)],
        ("--prefix", "--glob", "w*"): ["%d created /w one" % at, "%d set /w two" % (at + 1),
                                       "%d created /wide y" % (at + 5)],
        ("-r", "--glob", "*.bin", "--types", "deleted,set"): ["%d deleted /w/kid.bin" % (at + 6)],
        ("-o", "raw"): ["one", "two"],
        ("--once",): ["%d created /w one" % at],
    }
    for arguments, expected in lines.items():
        watch = Ctl(scratch, node, "watch", "/w", *behind, *arguments)
        got = watch.lines(len(expected))
        if "--once" in arguments:
            expect(watch.wait() == 0, "--once ends with 0")
        else:
            watch.send_signal(signal.SIGINT)
            expect(watch.wait() == 130, "SIGINT is 130")
        expect(got == expected and watch.complained() == "", "watch %r: %r, not %r" % (arguments, got, expected))

    told = events(node, "/w", since, 2, "--prev")
    expect(told[0] == {**told[0], "type": "created", "path": "/w", "revision": at, "data": "one", "sub": 0,
                       "reason": "requested", "note": ""} and "previous" not in told[0], "as JSON: %r" % told)
    expect(told[1]["previous"] == "one" and told[1]["note"] == "because" and told[1]["stat"]["version"] == 1,
           "as JSON: %r" % told)
    binary = events(node, "/w/kid.bin", since, 2)
    expect(binary[0]["data"] == {"base64": "/wA="} and "data" not in binary[1], "bytes: %r" % binary)


def test_watch_lists_first(scratch):
    node = one(scratch)
    for path in "/w", "/w/a", "/w/b":
        ctl_ok(node, "create", path, path)
    watch = Ctl(scratch, node, "watch", "/w", "--recursive", "--list", "-o", "jsonl")
    listed = [json.loads(line) for line in watch.lines(5)]
    expect([e["type"] for e in listed] == ["listing", "entry", "entry", "entry", "listed"], "%r" % listed)
    expect([e["path"] for e in listed[1:4]] == ["/w", "/w/a", "/w/b"] and listed[2]["data"] == "/w/a", "%r" % listed)
    expect(len({e["revision"] for e in listed}) == 1, "at one revision")
    ctl_ok(node, "set", "/w/a", "new")
    change = json.loads(watch.lines(6)[5])
    expect(change["type"] == "set" and change["revision"] == listed[0]["revision"] + 1, "then changes: %r" % change)
    watch.send_signal(signal.SIGTERM)
    expect(watch.wait() == 143, "SIGTERM is 143")


def test_watch_refuses_what_makes_no_sense(scratch):
    node = one(scratch)
    check(node, [
        (["watch"], 2, b"", complaint("usage: coordctl watch PATH .*")),
        (["watch", "/a", "-r", "--children"], 2, b"", complaint("watch: --recursive, --children and --prefix ex.*")),
        (["watch", "/a", "--depth", "2"], 2, b"", complaint("watch: --depth goes with --recursive")),
        (["watch", "/a", "--list", "--from-revision", "2"], 2, b"", complaint("watch: --list begins now; .*")),
        (["watch", "/a", "--from-revision", "0"], 2, b"", complaint('--from-revision "0" is not a revision: .*')),
        (["watch", "/a", "--types", "made"], 2, b"", complaint('--types "made" is not a list of .*')),
        (["watch", "/a", "--"], 2, b"", complaint("watch: a program is missing behind --")),
        (["watch", "/a", "--glob", "["], 1, b"", complaint("watch /a: .*")),
        (["watch", "a"], 1, b"", complaint("watch a: .*'/'.*")),
        (["watch", "/a", "--from-revision", "100000"], 1, b"", complaint("watch /a: .*future.*")),
    ])
    held = hold(0)
    code, _, error = ctl("%s:%d" % held.getsockname(), "--timeout", "200ms", "watch", "/a")
    expect(code == 7 and "Connection refused" in error, "out of reach: %d %s" % (code, error))
    held.close()


def test_watch_runs_a_program_for_each_change(scratch):
    node = one(scratch)
    since = revision(node)
    ctl_ok(node, "create", "/w", "text")
    ctl_ok(node, "set", "/w", "-", "--note", "a note", stdin=b"\xff\x00")
    ctl_ok(node, "set", "/w", "-", stdin=b"x" * 200000)
    ctl_ok(node, "rm", "/w")
    script = 'env | grep -E "^COORD_(EVENT|PATH|REV|REASON|NOTE|VALUE|PREV)" | cut -c-100 | sort | tr "\\n" " "; echo'
    watch = Ctl(scratch, node, "watch", "/w", "--prev", "--from-revision", str(since + 1), "--", "sh", "-c", script,
                COORD_VALUE="not this", COORD_PREV_VALUE="nor this", COORD_NOTE="mine")
    runs = [dict(item.split("=", 1) for item in line.replace("a note", "a_note").split())
            for line in watch.lines(4)]
    watch.send_signal(signal.SIGINT)
    expect(watch.wait() == 130, "SIGINT is 130")
    expect([run["COORD_EVENT_TYPE"] for run in runs] == ["created", "set", "set", "deleted"], "%r" % runs)
    expect([run["COORD_REVISION"] for run in runs] == [str(since + i) for i in (1, 2, 3, 4)], "%r" % runs)
    expect(runs[0]["COORD_PATH"] == "/w" and runs[0]["COORD_VALUE"] == "text" and
           runs[0]["COORD_VALUE_BYTES"] == "4" and "COORD_PREV_VALUE" not in runs[0], "%r" % runs[0])
    expect(base64.b64decode(runs[1]["COORD_VALUE_BASE64"]) == b"\xff\x00" and "COORD_VALUE" not in runs[1] and
           runs[1]["COORD_PREV_VALUE"] == "text" and runs[1]["COORD_EVENT_NOTE"] == "a_note", "%r" % runs[1])
    expect(runs[1]["COORD_NOTE"] == "mine", "what coordctl inside writes has no note of others: %r" % runs[1])
    expect(runs[2]["COORD_VALUE_BYTES"] == "200000" and "COORD_VALUE" not in runs[2], "too large: %r" % runs[2])
    expect("COORD_VALUE" not in runs[3] and runs[3]["COORD_REASON"] == "requested", "%r" % runs[3])


def test_coordctl_inside_asks_where_the_watch_and_the_lock_do(scratch):
    node = one(scratch)
    since = revision(node)
    ctl_ok(node, "create", "/w")
    contexts = os.path.join(scratch, "contexts.json")
    with open(contexts, "w", encoding="utf-8") as file:
        json.dump({"current": "lab", "contexts": {"lab": {"endpoints": "127.0.0.1:1", "chroot": "/wrong"},
                                                  "prod": {"endpoints": node.endpoint}}}, file)
    inside = ["--", os.path.abspath(COORDCTL), "create", "/in/n-", "--sequential", "--parents"]
    for count, where in enumerate((["--context", "prod"], ["--context", "", "--endpoints", node.endpoint])):
        for what in ["watch", "/w", "--from-revision", str(since + 1), "--once"], ["lock", "a"], ["elect", "e", "me"]:
            code, out, error = with_environment([*where, *what, *inside], COORD_CONTEXTS=contexts)
            expect((code, out[:4]) == (0, b"/in/"), "%r: %d %r %s" % (what, code, out, error))
        expect(len(ctl_ok(node, "ls", "/in").split()) == 3 * count + 3, "all are there")


def test_the_program_of_a_watch_may_fail(scratch):
    node = one(scratch)
    since = revision(node)
    ctl_ok(node, "create", "/w", "1")
    ctl_ok(node, "set", "/w", "2")
    behind = ["watch", "/w", "--from-revision", str(since + 1)]
    watch = Ctl(scratch, node, *behind, "--", "sh", "-c", 'echo "$COORD_VALUE"; exit 3')
    expect(watch.lines(2) == ["1", "2"], "it goes on")
    until(lambda: watch.complained().count("\n") == 2, "failures are told")
    expect(watch.complained() == "coordctl: watch /w: sh ended with 3\n" * 2, watch.complained())
    watch.send_signal(signal.SIGINT)
    expect(watch.wait() == 130, "SIGINT is 130")
    code, out, error = ctl(node, *behind, "--once", "--", "sh", "-c", "exit 5")
    expect((code, out) == (5, b""), "--once has the program's code: %d %s" % (code, error))
    code, _, error = ctl(node, *behind, "--", "/no/such/program")
    expect(code == 1 and error == "coordctl: watch /w: /no/such/program: No such file or directory\n", error)


def test_a_signal_reaches_the_program_of_a_watch(scratch):
    node = one(scratch)
    since = revision(node)
    ctl_ok(node, "create", "/w")
    watch = Ctl(scratch, node, "watch", "/w", "--from-revision", str(since + 1), "--", "sh", "-c",
                'trap "echo told; exit 0" TERM; echo begun; while :; do sleep 0.05; done')
    watch.lines(1)
    watch.send_signal(signal.SIGTERM)
    expect(watch.wait() == 143 and watch.printed() == "begun\ntold\n", "handed on: %r" % watch.printed())


def test_a_watch_survives_the_death_of_its_node(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    for victim in cluster.followers()[0], leader:
        others = [node for node in cluster.nodes if node is not victim and node.is_running()]
        path = "/w-" + victim.name
        since = revision(others[0])
        ctl_ok(others[0], "create", path, "0")
        watch = Ctl(scratch, ",".join(node.endpoint for node in [victim] + others), "watch", path, "--from-revision",
                    str(since + 1))
        watch.lines(1)
        victim.kill()
        for value in range(1, 21):
            until(lambda: ctl(others[0], "set", path, str(value), "--version", str(value - 1))[0] in (0, 4),
                  "a write gets through", 15)
        lines = watch.lines(21)
        values = [int(line.rsplit(" ", 1)[1]) for line in lines]
        expect(values == list(range(21)), "all, once, in order: %r" % lines)
        watch.send_signal(signal.SIGINT)
        expect(watch.wait() == 130 and len(watch.printed().splitlines()) == 21, watch.complained())
        victim.start(wait=False)
        until(victim.is_ready, victim.name + " is ready", 15)


def test_a_watch_waits_for_its_only_node(scratch):
    node = one(scratch)
    since = revision(node)
    ctl_ok(node, "create", "/w", "before")
    watch = Ctl(scratch, node, "watch", "/w", "--from-revision", str(since + 1))
    watch.lines(1)
    node.kill()
    until(lambda: "trying on" in watch.complained(), "the outage is told")
    node.start()
    ctl_ok(node, "set", "/w", "after")
    expect(watch.lines(2)[1].endswith(" set /w after"), "and on: " + watch.printed())
    expect(watch.complained().count("\n") == 2 and watch.complained().endswith("connected again\n"),
           watch.complained())
    watch.send_signal(signal.SIGINT)
    expect(watch.wait() == 130, "SIGINT is 130")


def test_a_watch_whose_output_is_closed_ends(scratch):
    node = one(scratch)
    since = revision(node)
    ctl_ok(node, "create", "/w")
    watch = Ctl(scratch, node, "watch", "/w", "--from-revision", str(since + 1), out="/dev/full")
    expect(watch.wait() == 1 and "standard output" in watch.complained(), watch.complained())


if __name__ == "__main__":
    main(globals())
