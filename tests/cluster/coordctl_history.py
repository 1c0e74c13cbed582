#!/usr/bin/env python3
"""coordctl and the past: history, get --rev, diff, and the policies that say how much of it is kept."""
import json
import re

from coordctl import check, complaint, one, txn
from harness import ctl, ctl_ok, expect, main, until

LINE = r"%d +\d{4}-\d\d-\d\dT[0-9:]{8}Z  %s"


def revision(node):
    return json.loads(ctl_ok(node, "status", "-o", "json"))["revision"]


def history(node, *arguments):
    return ctl_ok(node, "history", *arguments).decode().splitlines()


def expect_lines(lines, expected):
    """Pairs of revision and the pattern of what follows the time."""
    expect(len(lines) == len(expected) and all(re.fullmatch(LINE % row, line) for row, line in zip(expected, lines)),
           "%r is not %r" % (lines, expected))


def test_history(scratch):
    node = one(scratch)
    at = revision(node) + 1
    ctl_ok(node, "create", "/h", "one")
    ctl_ok(node, "set", "/h", "two\nlines", "--note", "why not")
    session = ctl_ok(node, "session", "open").decode().strip()
    ctl_ok(node, "create", "/h/x", "x" * 300, "--session", session)
    ctl_ok(node, "set", "/h/x", "-", stdin=b"\xff")
    ctl_ok(node, "rm", "/h", "--recursive")
    number = session[:16]
    own = [(at, "created  one"), (at + 1, r'set      "two\\nlines"  \(note: why not\)'), (at + 4, "deleted")]
    expect_lines(history(node, "/h"), own)
    expect_lines(history(node, "/h", "--reverse"), own[::-1])
    expect_lines(history(node, "/h", "--limit", "2"), own[:2])
    expect_lines(history(node, "/h", "--from-revision", str(at + 1)), own[1:])
    expect_lines(history(node, "/h", "--recursive"), [
        (at, "created  /h  one"), (at + 1, r'set      /h  "two\\nlines"  \(note: why not\)'),
        (at + 2, r'created  /h/x  "x{200}"\.\.\. \(300 bytes\)  \(session %s\)' % number),
        (at + 3, r"set      /h/x  \(1 bytes\)"), (at + 4, "deleted  /h/x"), (at + 4, "deleted  /h")])
    expect_lines(history(node, "/h", "-r", "--reverse", "--limit", "1"), [(at + 4, "deleted  /h")])
    expect_lines(history(node, "/h/x", "--keys-only"), [
        (at + 2, r"created  \(session %s\)" % number), (at + 3, "set    "), (at + 4, "deleted")])
    changes = json.loads(ctl_ok(node, "history", "/h/x", "-o", "json"))
    expect([c["type"] for c in changes] == ["created", "set", "deleted"] and changes[0]["session"] == number and
           changes[1]["data"] == {"base64": "/w=="} and changes[1]["previous"] == "x" * 300, "as JSON: %r" % changes)
    expect(history(node, "/never") == [], "nothing happened")


def test_history_of_many_pages(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/m", "0" * 100000)
    for number in range(1, 8):
        then = [{"set": "/m", "data": str(number * 10 + i) * 50000} for i in range(8)]
        expect(txn(node, {"then": then})[0] == 0, "a transaction")
    lines = history(node, "/m")
    expect(len(lines) == 57, "all pages: %d" % len(lines))
    expect(history(node, "/m", "--reverse") == lines[::-1], "backwards alike")
    expect(history(node, "/m", "--limit", "50") == lines[:50], "up to the limit")


def test_get_at_a_revision(scratch):
    node = one(scratch)
    at = revision(node) + 1
    ctl_ok(node, "create", "/g", "one")
    ctl_ok(node, "set", "/g", "two")
    ctl_ok(node, "rm", "/g")
    check(node, [
        (["get", "/g", "--rev", str(at)], 0, b"one"),
        (["get", "/g", "--rev", str(at + 1)], 0, b"two"),
        (["get", "/g", "--rev", str(at + 2)], 3, b"", complaint("get /g: node does not exist")),
        (["get", "/g", "--rev", str(at - 1)], 3, b"", complaint("get /g: node does not exist")),
        (["get", "/g", "--rev", str(at + 3)], 1, b"", complaint("get /g: .*future.*")),
    ])
    got = json.loads(ctl_ok(node, "get", "/g", "--rev", str(at), "-o", "json"))
    expect(got["data"] == "one" and got["stat"]["version"] == 0, "as JSON: %r" % got)


def test_diff(scratch):
    node = one(scratch)
    at = revision(node) + 1
    lines = ["line %d" % i for i in range(1, 31)]
    ctl_ok(node, "create", "/d", "\n".join(lines) + "\n")
    changed = lines[:4] + ["new"] + lines[4:19] + lines[20:29] + ["last"]
    ctl_ok(node, "set", "/d", "\n".join(changed) + "\n")
    ctl_ok(node, "create", "/d/kid", "a\n")
    ctl_ok(node, "create", "/d/gone", "g")
    ctl_ok(node, "set", "/d/kid", "a")
    ctl_ok(node, "set", "/d/kid", "-", stdin=b"\xff\xfe")
    ctl_ok(node, "rm", "/d/gone")
    hunks = ("@@ -2,6 +2,7 @@\n line 2\n line 3\n line 4\n+new\n line 5\n line 6\n line 7\n"
             "@@ -17,7 +18,6 @@\n line 17\n line 18\n line 19\n-line 20\n line 21\n line 22\n line 23\n"
             "@@ -27,4 +27,4 @@\n line 27\n line 28\n line 29\n-line 30\n+last\n")
    check(node, [
        (["diff", "/d", str(at)], 0, ("--- /d at %d\n+++ /d now\n" % at + hunks).encode()),
        (["diff", "/d", str(at), str(at + 1)], 0, ("--- /d at %d\n+++ /d at %d\n" % (at, at + 1) + hunks).encode()),
        (["diff", "/d", str(at + 1)], 0, b""),
        (["diff", "/d/kid", str(at + 1), str(at + 2)], 0,
         b"--- (none) at %d\n+++ /d/kid at %d\n@@ -0,0 +1,1 @@\n+a\n" % (at + 1, at + 2)),
        (["diff", "/d/kid", str(at + 2), str(at + 4)], 0,
         b"--- /d/kid at %d\n+++ /d/kid at %d\nonly the newline at the end differs\n" % (at + 2, at + 4)),
        (["diff", "/d/kid", str(at + 4)], 0,
         b"--- /d/kid at %d\n+++ /d/kid now\n1 bytes and 2 bytes, not text\n" % (at + 4)),
        (["diff", "/d/gone", str(at + 3)], 0,
         b"--- /d/gone at %d\n+++ (none) now\n@@ -1,1 +0,0 @@\n-g\n" % (at + 3)),
        (["diff", "/d", str(at + 1), str(at + 4), "--recursive"], 0,
         b"--- (none) at %d\n+++ /d/gone at %d\n@@ -0,0 +1,1 @@\n+g\n"
         b"--- (none) at %d\n+++ /d/kid at %d\n@@ -0,0 +1,1 @@\n+a\n" % ((at + 1, at + 4) * 2)),
        (["diff", "/d", str(at + 2), "-r", "--timeout", "10s"], 0,
         b"--- /d/kid at %d\n+++ /d/kid now\n2 bytes and 2 bytes, not text\n" % (at + 2)),
        (["diff", "/never", str(at)], 3, b"", complaint("diff /never: node does not exist")),
        (["diff", "/d", str(at + 100)], 1, b"", complaint("diff /d: .*future.*")),
    ])
    pairs = json.loads(ctl_ok(node, "diff", "/d", str(at + 1), str(at + 4), "-r", "-o", "json"))
    expect(pairs == [{"path": "/d/gone", "before": None, "after": "g"}, {"path": "/d/kid", "before": None, "after": "a"}],
           "as JSON: %r" % pairs)


def test_policies(scratch):
    node = one(scratch)
    check(node, [
        (["policy", "list"], 0, b""),
        (["policy", "retention"], 0, b"at most 64 MiB and 1h, at least 10000 revisions\n"),
        (["policy", "set", "/conf", "100"], 0, b""),
        (["policy", "set", "/", "2"], 0, b""),
        (["policy", "list"], 0, b"/  last 2 versions\n/conf  last 100 versions\n"),
        (["policy", "unset", "/"], 0, b""),
        (["policy", "list"], 0, b"/conf  last 100 versions\n"),
        (["policy", "set", "conf", "5"], 1, b"", complaint("policy set conf: .*")),
        (["policy", "retention", "--bytes", "2M", "--revisions", "1"], 0, b""),
        (["policy", "retention"], 0, b"at most 2 MiB and 1h, at least 1 revision\n"),
        (["policy", "retention", "--age", "2h"], 0, b""),
        (["policy", "retention"], 0, b"at most 2 MiB and 2h, at least 1 revision\n"),
        (["policy", "retention", "--bytes", "5K"], 1, b"", complaint("policy retention: .*")),
    ])
    told = json.loads(ctl_ok(node, "policy", "retention", "-o", "json"))
    expect(told == {"bytes": 2 << 20, "age_ms": 7200000, "revisions": 1}, "as JSON: %r" % told)


def test_what_is_no_longer_retained(scratch):
    node = one(scratch)
    ctl_ok(node, "policy", "set", "/kept", "100")
    ctl_ok(node, "policy", "retention", "--bytes", "1M", "--revisions", "1")
    at = revision(node) + 1
    ctl_ok(node, "create", "/kept", "old")
    ctl_ok(node, "create", "/lost", "old")
    ctl_ok(node, "set", "/kept", "new")
    def compacted():
        ctl_ok(node, "set", "/lost", "-", stdin=b"x" * 500000)
        return ctl(node, "watch", "/lost", "--from-revision", str(at), "--once")[0] == 1
    until(compacted, "the change log is trimmed")
    check(node, [
        (["watch", "/lost", "--from-revision", str(at)], 1, b"", complaint("watch /lost: .*retained.*")),
        (["get", "/lost", "--rev", str(at + 1)], 1, b"", complaint("get /lost: .*retained.*")),
        (["get", "/kept", "--rev", str(at + 1)], 0, b"old"),
        (["diff", "/kept", str(at + 1)], 0, r"--- .*-old\n\+new\n"),
        (["diff", "/", str(at), "-r"], 1, b"", complaint("diff /: .*")),
    ])


if __name__ == "__main__":
    main(globals())
