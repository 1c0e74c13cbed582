#!/usr/bin/env python3
"""Each exit code of the table in docs/coordctl.md, brought about by commands at a real server."""
import json
import os
import re
import signal

from coordctl import one
from harness import COORDCTL, Ctl, Program, ctl, ctl_ok, expect, main, until

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/coordctl.md")
UNREACHABLE = "127.0.0.1:1"


def documented():
    with open(PAGE, encoding="utf-8") as page:
        table = page.read().split("## Exit codes\n")[1].split("\n\n")[0]
    return {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.M) for code in row.split(",")}


def holders(scratch, node):
    """Somebody who holds the lock `held`; two sessions of which one holds `a` and waits for `b`, the other holds `b`."""
    sessions = [ctl_ok(node, "session", "open", "--ttl", "10m").decode().strip() for _ in range(2)]
    hold = ["--", "sleep", "1000"]
    for lock, session in ("held", []), ("a", ["--session", sessions[0]]), ("b", ["--session", sessions[1]]):
        Program(scratch, COORDCTL, "lock", lock, *(session or ["--session-ttl", "10m"]), *hold,
                COORD_ENDPOINTS=node.endpoint)
        until(lambda name=lock: b'"held"' in ctl(node, "lock", "get", name, "-o", "json")[1], lock + " is held", 60)
    Program(scratch, COORDCTL, "lock", "b", "--session", sessions[0], *hold, COORD_ENDPOINTS=node.endpoint)
    until(lambda: b'"waiting"' in ctl(node, "lock", "get", "b", "-o", "json")[1], "the first waits for b", 60)
    return sessions


def cases(node, sessions):
    """(exit code, the command, what standard error says)"""
    number, secret = sessions[0].split(":")
    wrong = number + ":" + secret[:-1] + ("0" if secret[-1] != "0" else "1")
    return [
        (0, ["get", "/a"], ""),
        (1, ["rm", "/full"], "children"),
        (1, ["export", "/a", "/nowhere/file"], "/nowhere/file"),
        (1, ["set", "/a", "@/nowhere/file"], "/nowhere/file"),
        (2, ["frob"], "unknown command"),
        (2, ["get"], "usage:"),
        (2, ["get", "/a", "--frob"], "--frob"),
        (2, ["get", "/a", "--timeout", "never"], "--timeout"),
        (3, ["get", "/nowhere"], "does not exist"),
        (3, ["create", "/nowhere/b"], "parent"),
        (3, ["lease", "ttl", "123456"], "lease"),
        (4, ["set", "/a", "x", "--version", "9"], "version"),
        (4, ["set", "/a", "x", "--guard", "/locks/held/q-9999999999@3"], "not held"),
        (5, ["create", "/a"], "exists"),
        (5, ["lock", "held", "--try", "--", "true"], "held"),
        (6, ["lock", "held", "--wait", "50ms", "--", "true"], ""),
        (7, ["--endpoints", UNREACHABLE, "--timeout", "300ms", "get", "/a"], UNREACHABLE),
        (8, ["session", "close", wrong], ""),
        (9, ["create", "/small/b", "x"], "quota"),
        (10, ["lock", "a", "--session", sessions[1], "--", "true"], "/locks/b"),
    ]


def test_every_code_that_is_documented(scratch):
    node = one(scratch)
    for path in "/a", "/full", "/full/child", "/small":
        ctl_ok(node, "create", path, "x")
    ctl_ok(node, "quota", "set", "/small", "--nodes", "1")
    seen = set()
    for code, command, says in cases(node, holders(scratch, node)):
        got, out, error = ctl(node, *command)
        expect(got == code, "%s: exit %d, not %d: %s" % (" ".join(command), got, code, error))
        expect(says in error and (error == "" if code == 0 else error.startswith("coordctl")),
               "%s says %r" % (" ".join(command), error))
        expect(code == 0 or out == b"", "%s: data on standard output: %r" % (" ".join(command), out))
        seen.add(code)
    for number in signal.SIGINT, signal.SIGTERM:
        waits = Ctl(scratch, node, "lock", "held", "--session-ttl", "10m", "--", "true")
        until(lambda: b'"waiting"' in ctl(node, "lock", "get", "held", "-o", "json")[1], "it waits", 60)
        waits.send_signal(number)
        expect(waits.wait() == 128 + number, "a signal ends it: %s" % waits.complained())
        until(lambda: b'"waiting"' not in ctl(node, "lock", "get", "held", "-o", "json")[1], "it waits no more", 60)
        seen.add(128 + number)
    expect(seen == documented(), "codes of the table: %r, seen: %r" % (documented(), seen))


def test_a_transaction_and_an_import_end_as_single_commands_do(scratch):
    node = one(scratch)
    for path in "/gate", "/full", "/full/child":
        ctl_ok(node, "create", path, "x")
    ctl_ok(node, "acl", "set", "/gate", "read,admin:world:anyone")
    for code, arguments, then in ((8, ["set", "/gate", "y"], {"set": "/gate", "data": "y"}),
                                  (1, ["rm", "/full"], {"delete": "/full"}),
                                  (3, ["rm", "/nowhere"], {"delete": "/nowhere"}),
                                  (3, ["create", "/no/parent"], {"create": "/no/parent"}),
                                  (4, ["set", "/full", "y", "--version", "9"], {"set": "/full", "version": 9}),
                                  (5, ["create", "/full"], {"create": "/full"})):
        text = json.dumps({"then": [then]}).encode()
        for got, _, error in ctl(node, *arguments), ctl(node, "txn", "-f", "-", stdin=text):
            expect(got == code, "%r: exit %d, not %d: %s" % (arguments, got, code, error))
    code, _, error = ctl(node, "import", "/gate", "--conflict", "replace", stdin=b'{"path": ".", "data": "y"}')
    expect(code == 8 and "/gate: NO_AUTH" in error, "an import: %d %s" % (code, error))


if __name__ == "__main__":
    main(globals())
