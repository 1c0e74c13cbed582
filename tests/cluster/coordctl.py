#!/usr/bin/env python3
"""coordctl against real nodes: every command, option and exit code, and every example of the docs."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

from harness import (BUILD, COORDCTL, HOST, PATIENCE, Cluster, Node, Program, clean_environment, ctl, ctl_ok, expect,
                     main, until)


def check(node, table):
    """Rows of arguments, exit code, standard output (bytes, or a pattern), and, if they are not empty,
    standard error (a pattern) and standard input. Patterns must match whole."""
    for row in table:
        arguments, code, out, error, stdin = row + ("", b"")[len(row) - 3:]
        got_code, got_out, got_error = ctl(node, *arguments, stdin=stdin)
        name = "coordctl %s" % " ".join(arguments)
        expect(got_code == code, "%s: exit %d, not %d: %s" % (name, got_code, code, got_error))
        if isinstance(out, bytes):
            expect(got_out == out, "%s: printed %r, not %r" % (name, got_out, out))
        else:
            expect(re.fullmatch(out, got_out.decode(errors="replace"), re.S), "%s: printed %r, not %r" %
                   (name, got_out, out))
        expect(re.fullmatch(error, got_error, re.S), "%s: complained %r, not %r" % (name, got_error, error))


def complaint(text):
    """One line of standard error."""
    return "coordctl: %s\n" % text


def hold(port):
    """Keeps a port so that nothing listens there, and nobody else can."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, port))
    return held


def one(scratch):
    return Node(scratch).start()


def test_nodes(scratch):
    node = one(scratch)
    check(node, [
        (["create", "/a", "hello"], 0, b"/a\n"),
        (["get", "/a"], 0, b"hello"),
        (["get", "-o", "raw", "/a"], 0, b"hello"),
        (["create", "/a", "x"], 5, b"", complaint("create /a: node already exists")),
        (["create", "/empty"], 0, b"/empty\n"),
        (["get", "/empty"], 0, b""),
        (["create", "/x/y"], 3, b"", complaint("create /x/y: .*parent.*")),
        (["create", "/x/y/z", "deep", "--parents"], 0, b"/x/y/z\n"),
        (["create", "-p", "/x/q/z"], 0, b"/x/q/z\n"),
        (["create", "/x/job-", "--sequential"], 0, r"/x/job-\d{10}\n"),
        (["create", "/x/job-", "1", "--sequential"], 0, r"/x/job-\d{10}\n"),
        (["set", "/a", "one"], 0, b""),
        (["set", "/a", "two", "--version", "1"], 0, b""),
        (["set", "/a", "no", "--version", "1"], 4, b"", complaint("set /a: version does not match: it is 2, 1 was expected")),
        (["set", "/a", "three", "--version=-1"], 0, b""),
        (["--version", "3", "set", "/a", "four"], 0, b""),
        (["get", "/a"], 0, b"four"),
        (["set", "/none", "x"], 3, b"", complaint("set /none: node does not exist")),
        (["get", "/none"], 3, b"", complaint("get /none: node does not exist")),
        (["stat", "/none"], 3, b"", complaint("stat /none: node does not exist")),
        (["ls", "/none"], 3, b"", complaint("ls /none: node does not exist")),
        (["tree", "/none"], 3, b"", complaint("tree /none: node does not exist")),
        (["stat", "/a"], 0, r"kind +persistent\nversion +4\ndata_bytes +4\n.*"),
        (["rm", "/none"], 3, b"", complaint("rm /none: node does not exist")),
        (["rm", "/x"], 1, b"", complaint("rm /x: node has children; --recursive takes them along")),
        (["rm", "/a", "--version", "9"], 4, b"", complaint("rm /a: version does not match: it is 4, 9 was expected")),
        (["rm", "/a", "--version", "4"], 0, b""),
        (["rm", "-rn", "/x"], 0, b"7 nodes would be deleted\n"),
        (["rm", "/x", "--recursive"], 0, b"7 nodes deleted\n"),
        (["rm", "/empty", "-r"], 0, b"1 node deleted\n"),
        (["sync"], 0, r"coord is at revision \d+\n"),
        (["get", "no-slash"], 1, b"", complaint("get no-slash: path: no leading '/' at byte 0")),
        (["get", "/a//b"], 1, b"", complaint("get /a//b: path: empty component at byte 3")),
        (["create", "/" + "x" * 4096], 1, b"", complaint("create /x{199}\\.\\.\\.: path: 4097 bytes, .*4096.*")),
    ])


def test_stat_of_the_root_begins_as_in_zookeeper(scratch):
    node = one(scratch)
    expect(re.search(rb"(?m)^children_version   -1$", ctl_ok(node, "stat", "/")), "/zookeeper was made by nobody")


def test_data(scratch):
    node = one(scratch)
    binary = bytes(range(256)) * 3
    path = os.path.join(scratch, "binary")
    with open(path, "wb") as out:
        out.write(binary)
    check(node, [
        (["create", "/d", "@" + path], 0, b"/d\n"),
        (["get", "/d"], 0, binary),
        (["set", "/d", "-"], 0, b"", "", b"from\0stdin\n"),
        (["get", "/d"], 0, b"from\0stdin\n"),
        (["set", "/d", "-"], 0, b"", "", b""),
        (["get", "/d"], 0, b""),
        (["set", "/d", ""], 0, b""),
        (["set", "/d", "-5"], 0, b""),
        (["get", "/d"], 0, b"-5"),
        (["set", "/d", "-1.5e3"], 0, b""),
        (["set", "/d", "-5x"], 2, b"", complaint("unknown option -5x; data that begins with - goes behind --, "
                                                 "as in: coordctl set PATH -- -5x")),
        (["set", "/d", "--", "-5x"], 0, b""),
        (["get", "/d"], 0, b"-5x"),
        (["set", "--", "/d", "-l"], 0, b""),
        (["set", "/d", "--", "--"], 0, b""),
        (["get", "/d"], 0, b"--"),
        (["set", "/d", "--", "-"], 0, b"", "", b"behind -- too, - is standard input"),
        (["get", "/d"], 0, b"behind -- too, - is standard input"),
        (["set", "/d", "-"], 0, b"", "", b"@no-file"),
        (["get", "/d"], 0, b"@no-file"),
        (["set", "/d", "@%s/none" % scratch], 1, b"",
         complaint("set /d: file .*/none: No such file or directory")),
        (["set", "/d", "@" + scratch], 1, b"", complaint("set /d: .*: Is a directory")),
        (["set", "/d", "@/dev/zero"], 1, b"", complaint("set /d: /dev/zero: more than 4 MiB; a value has at most 1 MiB")),
        (["set", "/d", "-"], 0, b"", "", b"x" * (1 << 20)),
        (["get", "/d"], 0, b"x" * (1 << 20)),
        (["set", "/d", "-"], 1, b"", complaint("set /d: .*1048576.*"), b"x" * ((1 << 20) + 1)),
        (["set", "/d", "-"], 1, b"", complaint("set /d: .*"), b"x" * (4 << 20)),
        (["get", "/d"], 0, b"x" * (1 << 20)),
    ])


def test_get_adds_a_newline_on_a_terminal_only(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a", "value")
    for flags, expected in ([], b"value\r\n"), (["-o", "raw"], b"value"):
        ours, theirs = os.openpty()
        done = subprocess.run([COORDCTL, "--endpoints", node.endpoint, "get", "/a", *flags], stdout=theirs,
                              env=clean_environment(), timeout=30 * PATIENCE, check=False)
        os.close(theirs)
        expect(done.returncode == 0, "exit 0")
        got = b""
        try:
            while True:
                piece = os.read(ours, 1000)
                if not piece:
                    break
                got += piece
        except OSError:  # what Linux says at the end of a terminal
            pass
        os.close(ours)
        expect(got == expected, "%s: on a terminal it is %r" % (flags, got))


def test_listings(scratch):
    node = one(scratch)
    for path in "/l", "/l/b", "/l/a", "/l/a-b", "/l/a/deep", "/l/a/deep/er":
        ctl_ok(node, "create", path, path)
    check(node, [
        (["ls", "/l"], 0, b"a\na-b\nb\n"),
        (["ls", "/l/b"], 0, b""),
        (["ls"], 0, r"l\n.*"),
        (["ls", "/l", "--recursive"], 0, b"/l/a\n/l/a/deep\n/l/a/deep/er\n/l/a-b\n/l/b\n"),
        (["ls", "-l", "/l"], 0, r"(persistent v0 +\d+ B +\d children +\d{4}-\d\d-\d\dT[0-9:]{8}Z +\S+\n){3}"),
        (["ls", "-lr", "/l/a"], 0, r".* /l/a/deep\n.* /l/a/deep/er\n"),
        (["tree", "/l"], 0, b"/l\n  a\n    deep\n      er\n  a-b\n  b\n"),
        (["tree"], 0, r"/\n.*  l\n    a\n.*"),
    ])
    listed = json.loads(ctl_ok(node, "ls", "/l", "-o", "json"))
    expect(listed[0] == {"name": "a", "path": "/l/a"}, "ls as JSON: %r" % listed)
    listed = json.loads(ctl_ok(node, "ls", "/l", "-l", "-o", "json"))
    expect(listed[0]["stat"]["data_bytes"] == 4 and listed[0]["stat"]["child_count"] == 1, "with its stat")
    drawn = json.loads(ctl_ok(node, "tree", "/l/a", "-o", "json"))
    expect(drawn == ["/l/a/deep", "/l/a/deep/er"], "tree as JSON: %r" % drawn)


def test_listings_of_many_pages(scratch):
    node = one(scratch)
    names = ["n%04d-%s" % (i, "x" * 200) for i in range(3000)]
    for begin in range(0, len(names), 1000):
        then = [{"create": "/many/" + name, "parents": True} for name in names[begin:begin + 1000]]
        ctl_ok(node, "txn", "-f", "-", stdin=json.dumps({"then": then}).encode())
    expect(ctl_ok(node, "ls", "/many").decode().split() == names, "all names, in order")
    expect(len(ctl_ok(node, "ls", "/many", "-l").splitlines()) == 3000, "all with their stat")
    expect(len(ctl_ok(node, "tree", "/many").splitlines()) == 3001, "and the tree")


def test_json(scratch):
    node = one(scratch)
    created = json.loads(ctl_ok(node, "-o", "json", "create", "/j", "text"))
    expect(created["path"] == "/j" and created["stat"]["version"] == 0, "create: %r" % created)
    written = json.loads(ctl_ok(node, "set", "/j", "-", "-o", "json", stdin=b"\xff\xfe"))
    expect(written["stat"]["version"] == 1 and written["revision"] == created["revision"] + 1, "set: %r" % written)
    got = json.loads(ctl_ok(node, "get", "/j", "-ojson"))
    expect(got["data"] == {"base64": "//4="} and got["stat"]["data_bytes"] == 2, "get: %r" % got)
    expect(json.loads(ctl_ok(node, "stat", "/j", "--output=json")) == got["stat"], "stat")
    expect(json.loads(ctl_ok(node, "sync", "-o", "json"))["node"] == "coord", "sync")
    lines = ctl_ok(node, "-o", "jsonl", "ls", "/").splitlines()
    expect({"name": "j", "path": "/j"} in [json.loads(line) for line in lines], "an object a line: %r" % lines)
    expect(len(ctl_ok(node, "get", "/j", "-o", "jsonl").splitlines()) == 1, "on one line")
    expect(json.loads(ctl_ok(node, "rm", "/j", "-o", "json"))["count"] == 1, "rm")
    code, out, error = ctl(node, "rm", "/j", "-o", "json")
    expect(code == 3 and out == b"" and json.loads(error) == {
        "command": "rm", "path": "/j", "error": "node does not exist", "code": "not found", "outcome": "NO_NODE"},
        "an error as JSON: %r" % error)


def txn(node, what, *arguments):
    code, out, error = ctl(node, "txn", "-f", "-", *arguments, stdin=json.dumps(what).encode())
    return code, out.decode(), error


def test_transactions(scratch):
    node = one(scratch)
    code, out, _ = txn(node, {"then": [{"create": "/t", "data": "v"}, {"create": "/t/s-", "sequential": True},
                                       {"create": "/t/x/y", "parents": True, "data_base64": "AP8="},
                                       {"set": "/t", "data": "w", "version": 0}, {"get": "/t"},
                                       {"check": "/t", "version": 1}, {"list": "/t"},
                                       {"delete": "/t/x", "recursive": True, "limit": 2}]}, "-o", "json")
    results = json.loads(out)["results"]
    expect(code == 0 and [r["outcome"] for r in results] == ["OK"] * 8, "all kinds of operations: %s" % out)
    expect(results[1]["path"].startswith("/t/s-0") and results[4]["data"] == "w" and results[7]["count"] == 2,
           "their results: %s" % out)
    expect("x" in results[6]["children"], "a listing sees what came before it")
    stat = json.loads(ctl_ok(node, "stat", "/t", "-o", "json"))

    held = [{"exists": True}, {"version": 1}, {"version": 0, "is": ">"}, {"version": 2, "is": "<"},
            {"version": 7, "is": "!="}, {"value": "w"}, {"value_base64": "dw=="}, {"value": "a", "is": ">"},
            {"children_version": stat["children_version"]}, {"create_revision": stat["create_revision"]},
            {"modify_revision": stat["modify_revision"], "is": "="}]
    for guard in held:
        code, out, error = txn(node, {"if": [{"path": "/t", **guard}], "then": [{"get": "/t"}], "else": []})
        expect(code == 0 and out == "then\n  1 OK w\n", "%r holds: %d %s %s" % (guard, code, out, error))
    for guard in [{"exists": False}, {"version": 2}, {"value": "x"}, {"version": 1, "is": "<"}]:
        code, out, error = txn(node, {"if": [{"path": "/t", **guard}], "then": [{"delete": "/t"}]})
        expect(code == 4 and out == "" and "guards do not hold" in error, "%r does not: %s%s" % (guard, out, error))
        code, out, _ = txn(node, {"if": [{"path": "/t", **guard}], "then": [], "else": [{"get": "/t"}]})
        expect(code == 0 and out == "else\n  1 OK w\n", "%r does not, with else: %s" % (guard, out))

    for op, code in ({"set": "/none"}, 3), ({"create": "/none/x"}, 3), ({"create": "/t"}, 5), \
                    ({"check": "/t", "version": 5}, 4), ({"delete": "/t"}, 1):
        got, out, error = txn(node, {"then": [{"set": "/t", "data": "changed"}, op]})
        expect(got == code and "then 2: " in error and "nothing was done" in error, "%r: %d %s" % (op, got, error))
    expect(ctl_ok(node, "get", "/t") == b"w", "a failed transaction changed nothing")


def test_transactions_that_are_not_understood(scratch):
    node = one(scratch)
    before = json.loads(ctl_ok(node, "status", "-o", "json"))["revision"]
    for what, error in [
            ([], "transaction: must be an object"), ({}, "transaction: must be an object"),
            ({"then": {}}, "then: must be an array"), ({"if": 1}, "if: must be an array"),
            ({"do": [], "then": []}, 'transaction: unknown field "do"'),
            ({"then": [{"create": "/x"}, {"create": "/y", "dat": 1}]}, 'then 2: unknown field "dat"'),
            ({"then": [1]}, "then 1: needs one of create,"), ({"then": [{"create": 5}]}, '"create" must be a path'),
            ({"then": [{"create": "/x", "data": 5}]}, 'then 1: "data" must be a string'),
            ({"then": [{"create": "/x", "data": "", "data_base64": ""}]}, "exclude each other"),
            ({"then": [{"create": "/x", "data_base64": "a"}]}, '"data_base64" must be a string in base64'),
            ({"then": [{"create": "/x", "data_base64": "a==="}]}, "base64"),
            ({"then": [{"create": "/x", "data_base64": "ab=c"}]}, "base64"),
            ({"then": [{"create": "/x", "sequential": 1}]}, '"sequential" must be true or false'),
            ({"then": [{"set": "/x", "version": -1}]}, '"version" must be a whole number from 0'),
            ({"then": [{"set": "/x", "version": 4294967295}]}, "whole number"),
            ({"then": [{"set": "/x", "version": 1.5}]}, "whole number"),
            ({"else": [{"delete": "/x", "limit": "1"}]}, 'else 1: "limit" must be'),
            ({"then": [{"get": "/x", "set": "/x"}]}, "unknown field"),
            ({"if": [{"version": 1}]}, 'if 1: needs a "path"'), ({"if": [{"path": "/x"}]}, "exactly one of"),
            ({"if": ["/x"]}, 'if 1: needs a "path"'),
            ({"if": [{"path": "/x", "version": 1, "value": ""}]}, "exactly one of"),
            ({"if": [{"path": "/x", "version": 1, "is": "=="}]}, '"is" must be'),
            ({"if": [{"path": "/x", "exists": True, "is": "="}]}, '"is" says nothing'),
            ({"if": [{"path": "/x", "exists": 1}]}, '"exists" must be true or false'),
            ({"if": [{"path": "/x", "vers": 1}]}, 'if 1: unknown field "vers"')]:
        code, out, got = txn(node, what)
        expect(code == 2 and out == "" and error in got and got.count("\n") == 1, "%r: %d %s" % (what, code, got))
    for text in b"", b"{", b'{"then": [], "then": []}', b"nonsense", b'{"then": [{"create": "/\\u0000"}]}':
        code, _, error = ctl(node, "txn", "-f", "-", stdin=text)
        expect(code == 2 and error.startswith("coordctl: txn: standard input: line "), "%r: %s" % (text, error))
    check(node, [(["txn"], 2, b"", complaint("txn needs -f FILE .*")),
                 (["txn", "-f", "/none"], 1, b"", complaint("txn: .*/none.*"))])
    expect(json.loads(ctl_ok(node, "status", "-o", "json"))["revision"] == before, "nothing was written")


def test_usage(scratch):
    node = one(scratch)
    check(node, [
        ([], 2, b"", complaint("a command is missing, see coordctl help")),
        (["frob"], 2, b"", complaint('unknown command "frob"; see coordctl help')),
        (["get"], 2, b"", complaint("usage: coordctl get PATH .*")),
        (["get", "/a", "/b"], 2, b"", complaint('"/b" is one word too many; usage: coordctl get PATH .*')),
        (["status", "1", "2", "3", "4"], 2, b"", complaint('"1" is one word too many; usage: coordctl status')),
        (["session"], 2, b"", complaint("session needs a verb, see coordctl help session")),
        (["lease", "frob", "1"], 2, b"", complaint('unknown command "lease frob"; see coordctl help lease')),
        (["grant"], 2, b"", complaint('unknown command "grant"; see coordctl help')),
        (["set", "/a", "b", "c"], 2, b"", complaint('"c" is one word too many; usage: coordctl set .*')),
        (["get", "/a", "--recursive"], 2, b"", complaint("get does not take --recursive; usage: coordctl get PATH .*")),
        (["policy", "list", "--age", "1h"], 2, b"",
         complaint("policy list does not take --age; usage: coordctl policy list")),
        (["get", "/a", "--rev", "0"], 2, b"", complaint('--rev "0" is not a revision: a number from 1')),
        (["history", "/a", "--limit", "x"], 2, b"", complaint('--limit "x" is not a number from 1')),
        (["diff", "/a", "x"], 2, b"", complaint('diff: "x" is not a revision: a number from 1')),
        (["diff", "/a", "5", "4"], 2, b"", complaint("diff: revision 4 is before 5")),
        (["policy", "set", "/a", "0"], 2, b"", complaint('policy set: "0" is not a number of versions from 1')),
        (["policy", "retention", "--bytes", "5T"], 2, b"", complaint('--bytes "5T" is not a size from 1, such as .*')),
        (["rm", "/a", "-n"], 2, b"", complaint("rm: --dry-run counts what --recursive would delete; give both")),
        (["get", "/a", "-x"], 2, b"", complaint("unknown option -x; see coordctl help get")),
        (["get", "/a", "--time", "3"], 2, b"", complaint("unknown option --time; see coordctl help get")),
        (["get", "/a", "--timeout"], 2, b"", complaint("--timeout needs a value: --timeout TIME")),
        (["rm", "/a", "--recursive=yes"], 2, b"", complaint("--recursive takes no value")),
        (["get", "/a", "-o", "xml"], 2, b"", complaint('--output "xml" is not table, wide, json, jsonl, yaml, raw or name')),
        (["get", "/a", "--consistency", "strong"], 2, b"", complaint('--consistency "strong" is not linearizable, .*')),
        (["get", "/a", "--consistency", "bounded="], 2, b"", complaint('--consistency "bounded=" is not .*')),
        *[(["get", "/a", "--timeout", time], 2, b"", complaint('--timeout "%s" is not a time such .*' % time))
          for time in ("0", "-1", "25h", "1d", "inf", "nan", "x", "", "1e9", " 1", "0.0001")],
        *[(["set", "/a", "x", "--version", version], 2, b"", complaint('--version ".*" is not a version: .*'))
          for version in ("-2", "1.5", "x", "", "4294967295", "99999999999999999999", "+1")],
        (["get", "/a", "--endpoints", "nope:x"], 2, b"", complaint('endpoint "nope:x" is not HOST:PORT')),
        (["get", "/a", "--endpoints", ""], 2, b"", complaint('endpoint "" is not HOST:PORT')),
    ])


def test_help_and_version(scratch):
    del scratch
    nobody = "127.0.0.1:1"  # none of these asks a server
    code, version, error = ctl(nobody)
    expect(code == 2, "no command: %s%s" % (version, error))
    done = subprocess.run([COORDCTL, "--version"], capture_output=True, check=False, env=clean_environment())
    expect(done.returncode == 0 and re.fullmatch(rb"coordctl \S+\n", done.stdout), "--version: %r" % done.stdout)
    for arguments in ["help"], ["--help"], ["-h"]:
        text = ctl_ok(nobody, *arguments).decode()
        expect(text.startswith("usage: coordctl ") and "COORD_ENDPOINTS" in text and "7 no quorum" in text,
               "%r: %s" % (arguments, text))
    listed = ctl_ok(nobody, "help").decode().split("\n  help [")[0].splitlines()
    listed = [line for line in listed if re.match("  [a-z]", line)]
    commands = [re.match(r"  ([a-z]+( [a-z-]+)?)", line).group(1) for line in listed]
    nouns = "context|session|lease|policy|quota|snapshot|member|upgrade|auth|user|role|acl|bench|svc|config|shard" \
            "|counter|latch|barrier"
    verbs = r"(%s) [a-z-]+|lock (get|list|explain|ask-release|remove)" \
            r"|elect (leader|list|observe|resign|hand-over)|[a-z]+" % nouns
    commands = [re.match(verbs, command).group(0) for command in commands]
    expect(len(commands) == len(set(commands)) > 26, "commands: %r" % commands)
    known = subprocess.run([COORDCTL, "complete", ""], capture_output=True, text=True, check=True,
                           env=clean_environment()).stdout
    known = [line.split("\t")[0] for line in known.splitlines()]
    expect({command.split()[0] for command in commands} | {"help"} == set(known), "in no group: %r" % known)
    for command in commands:
        text = ctl_ok(nobody, "help", *command.split()).decode()
        expect(text.startswith("usage: coordctl " + command), "help %s: %r" % (command, text))
        expect(ctl_ok(nobody, *command.split(), "--help").decode() == text, "%s --help is the same" % command)
        expect(re.search(r"^  .*coordctl %s" % command, text, re.M), "help %s has an example: %s" % (command, text))
        expect(any(line.startswith("  " + text.splitlines()[0][len("usage: coordctl "):]) for line in listed),
               "the list has the usage of " + command)
    for noun in "session", "lease", "policy", "quota", "snapshot", "bench", "svc", "config":
        text = ctl_ok(nobody, "help", noun).decode()
        expect(text == ctl_ok(nobody, noun, "--help").decode(), "%s --help is the same" % noun)
        for command in commands:
            expect((noun == command.split()[0]) == ("\n  " + command in text), "help %s: %s" % (noun, text))
    check(nobody, [(["help", "frob"], 2, b"", complaint('unknown command "frob"; see coordctl help')),
                   (["help", "lease", "frob"], 2, b"", complaint('unknown command "lease frob"; see coordctl help'))])


def with_environment(arguments, **environment):
    done = subprocess.run([COORDCTL, *arguments], capture_output=True, timeout=30 * PATIENCE, check=False,
                          env={**clean_environment(), **environment})
    return done.returncode, done.stdout, done.stderr.decode()


def test_environment(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a", "v")
    expect(with_environment(["get", "/a"], COORD_ENDPOINTS=node.endpoint) == (0, b"v", ""), "COORD_ENDPOINTS")
    code, out, _ = with_environment(["get", "/a"], COORD_ENDPOINTS=node.endpoint, COORD_OUTPUT="json")
    expect(code == 0 and json.loads(out)["data"] == "v", "COORD_OUTPUT")
    expect(with_environment(["get", "/a", "-o", "raw"], COORD_ENDPOINTS=node.endpoint, COORD_OUTPUT="json")[1] == b"v",
           "the command line wins")
    expect(with_environment(["get", "/a", "--endpoints", node.endpoint], COORD_ENDPOINTS="127.0.0.1:1")[0] == 0,
           "the command line wins")
    code, _, error = with_environment(["get", "/a"], COORD_TIMEOUT="soon")
    expect(code == 2 and 'COORD_TIMEOUT: "soon" is not a time' in error, "COORD_TIMEOUT: %s" % error)


def test_consistency(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a", "v")
    for how in "linearizable", "session", "local", "bounded=10s":
        expect(ctl_ok(node, "get", "/a", "--consistency", how) == b"v", how)


def test_unreachable_and_silent_endpoints(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a", "v")
    held = hold(0)
    nobody = "%s:%d" % held.getsockname()
    for arguments in ["get", "/a"], ["set", "/a", "x"], ["status"], ["sync"], ["txn", "-f", "-"]:
        code, out, error = ctl(nobody, "--timeout", "200ms", *arguments, stdin=b'{"then": []}')
        expect(code == 7 and out == b"" and "Connection refused" in error and error.count("\n") == 1,
               "%r: %d %s" % (arguments, code, error))
    for endpoints in "%s,%s" % (nobody, node.endpoint), "%s,%s,%s" % (nobody, nobody, node.endpoint):
        expect(ctl_ok(endpoints, "get", "/a") == b"v", "the other endpoint is tried")
        ctl_ok(endpoints, "set", "/a", "v")
        expect(json.loads(ctl_ok(endpoints, "status", "-o", "json"))["endpoint"] == node.endpoint, "who answered")

    with socket.socket() as silent:  # its queue accepts, and nobody ever answers
        silent.bind((HOST, 0))
        silent.listen(8)
        name = "%s:%d" % silent.getsockname()
        for arguments in ["get", "/a"], ["set", "/a", "x"]:
            code, _, error = ctl(name, "--timeout", "300ms", *arguments)
            expect(code == 6 and name in error, "%r at a silent endpoint: %d %s" % (arguments, code, error))
        expect(ctl_ok("%s,%s" % (name, node.endpoint), "--timeout", "4s", "get", "/a") == b"v",
               "a silent endpoint does not use up the time")
    held.close()
    code, _, error = ctl("no-such-host.invalid:1", "--timeout", "200ms", "get", "/a")
    expect(code == 7 and "no-such-host.invalid:1" in error, "no such host: %d %s" % (code, error))


def test_a_paused_node_is_a_timeout(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a", "v")
    node.send_signal(signal.SIGSTOP)
    code, _, error = ctl(node, "--timeout", "300ms", "get", "/a")
    expect(code == 6 and "no answer in time" in error, "a read: %d %s" % (code, error))
    node.send_signal(signal.SIGCONT)
    expect(ctl_ok(node, "get", "/a") == b"v", "and it goes on")


def test_status_of_a_cluster_with_and_without_quorum(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    for node in cluster.nodes:
        status = json.loads(ctl_ok(node, "status", "-o", "json"))
        expect(status["name"] == node.name and status["endpoint"] == node.endpoint, "its own name: %r" % status)
        expect(status["role"] == ("leader" if node is leader else "follower"), "its own role: %r" % status)
        expect(status["leader"] == leader.name and status["serving"], "who leads: %r" % status)
        roles = {m["name"]: m["role"] for m in status["members"]}
        expect(set(roles) == {"n1", "n2", "n3"} and roles[leader.name] == "leader" and
               list(roles.values()).count("follower") == 2, "members: %r" % roles)
        table = ctl_ok(node, "status").decode()
        expect(re.search(r"^%s +leader " % leader.name, table, re.M), "as a table: %s" % table)

    ctl_ok(cluster.followers()[0], "create", "/a", "v")
    left = cluster.followers()[0]
    held = []
    for node in cluster.nodes:
        if node is not left:
            node.kill()
            held.append(hold(node.port))
    until(lambda: not left.status()["serving"], "the last node notices", 15)
    for arguments in ["get", "/a"], ["set", "/a", "w"], ["sync"]:
        for endpoints in left.endpoint, cluster.endpoints:
            # A second is enough for an answer, but on a machine that is very busy.
            until(lambda: ctl(endpoints, "--timeout", "1s", *arguments)[0] == 7, "%r without a quorum" % arguments, 20)
    expect(ctl_ok(left, "get", "/a", "--consistency", "local") == b"v", "a local read needs no quorum")
    status = json.loads(ctl_ok(cluster.endpoints, "status", "-o", "json"))
    expect(status["name"] == left.name and not status["serving"] and status["role"] != "leader" and
           len(status["members"]) == 3, "status without a quorum: %r" % status)
    left.kill()
    held.append(hold(left.port))
    expect(ctl(cluster.endpoints, "--timeout", "300ms", "status")[0] == 7, "no node is up")
    for port in held:
        port.close()


def test_output_that_cannot_be_written(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a", "v")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([COORDCTL, "--endpoints", node.endpoint, "get", "/a"], stdout=full,
                              stderr=subprocess.PIPE, env=clean_environment(), timeout=30 * PATIENCE, check=False)
    expect(done.returncode == 1 and b"standard output" in done.stderr, "full: %r" % done)


# ---- the documentation ----------------------------------------------------------------------------

def blocks(page, language):
    with open(os.path.join("docs", page), encoding="utf-8") as text:
        return re.findall(r"^```%s\n(.*?)^```" % language, text.read(), re.M | re.S)


def examples(page):
    """(command, expected output) of all console blocks."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def matches(expected, got):
    """`...` stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, expected.split("..."))), got, re.S)


def test_examples_of_the_manual(scratch):
    node = one(scratch)
    programs = os.path.join(scratch, "bin")
    os.mkdir(programs)
    os.symlink(os.path.abspath(COORDCTL), os.path.join(programs, "coordctl"))
    environment = {**clean_environment(), "COORD_ENDPOINTS": node.endpoint,
                   "COORD_CONTEXTS": os.path.join(scratch, "contexts.json"), "PATH": programs + ":" + os.environ["PATH"]}
    count, last_code = 0, 0
    for command, expected in examples("coordctl.md"):
        if command == "echo $?":
            got = "%d\n" % last_code
        else:
            done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, cwd=scratch, env=environment, text=True,
                                  timeout=30 * PATIENCE, check=False)
            got, last_code = done.stdout, done.returncode
        expect(matches(expected, got), "$ %s\n%s--- the manual says\n%s" % (command, got, expected))
        count += 1
    expect(count > 30, "only %d examples were found" % count)


def stubs(scratch, *names):
    """What the manual tells to make out of proto/: where it is, and its sources."""
    place = os.path.join(scratch, "stubs")
    os.mkdir(place)
    protos = ["coord/v1/%s.proto" % name for name in names]
    subprocess.run(["protoc-c", "--proto_path=proto", "--c_out=" + place, *protos], check=True)
    return place, [os.path.join(place, proto[:-len("proto")] + "pb-c.c") for proto in protos]


SANITIZE = {"asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}


def test_the_header_and_the_example_program(scratch):
    node = one(scratch)
    include = os.path.join(scratch, "include", "coord")
    os.makedirs(include)
    with open("Makefile", encoding="utf-8") as file:
        headers = re.search(r"^HEADERS +:= ([a-z ]+) #", file.read(), re.M).group(1).split()
    headers.remove("uv")  # libuv's own want more than C11; tests/cluster/examples.py builds with it
    for header in headers:
        shutil.copy("client/%s.h" % header, include)
    programs = []
    for text in blocks("libcoord.md", "c"):
        programs.append(os.path.join(scratch, "example-%d" % len(programs)))
        with open(programs[-1] + ".c", "w", encoding="utf-8") as out:
            out.write(text)
    with open(os.path.join(scratch, "alone.c"), "w", encoding="utf-8") as out:
        out.write("".join("#include <coord/%s.h>\n" % header for header in headers[::-1] + headers) +
                  "enum coord_code f(void);\nenum coord_code f(void)\n{\n    return COORD_OK;\n}\n")
    place, stub_sources = stubs(scratch, "types", "quota")
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-I",
             os.path.join(scratch, "include"), "-isystem", place]
    compiler = os.environ.get("CC", "cc")
    builds = [*[[compiler, "-std=c11", *flags, program + ".c", *stub_sources, BUILD + "/libcoord.a", "-lnghttp2",
                 "-lprotobuf-c", "-lssl", "-lcrypto", "-o", program,
                 *SANITIZE.get(os.environ.get("VARIANT", "release"), [])] for program in programs],
              [compiler, "-std=c11", *flags, "-fsyntax-only", scratch + "/alone.c"]]
    if shutil.which("c++"):
        builds.append(["c++", "-x", "c++", "-std=c++11", *flags, "-fsyntax-only", scratch + "/alone.c"])
    for build in builds:
        done = subprocess.run(build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        expect(done.returncode == 0, "%s: %s" % (" ".join(build), done.stdout))
    expect(len(programs) == 3, "three examples")
    for run in 1, 2, 3:
        done = subprocess.run([programs[0]], capture_output=True, timeout=30 * PATIENCE, check=False,
                              env={**clean_environment(), "COORD_ENDPOINTS": node.endpoint})
        expect(done.returncode == 0 and done.stdout == b"run %d\n" % run, "run %d: %r" % (run, done))

    for _ in 1, 2:
        done = subprocess.run([programs[1]], capture_output=True, timeout=30 * PATIENCE, check=False,
                              env={**clean_environment(), "COORD_ENDPOINTS": node.endpoint})
        expect(done.returncode == 0 and done.stdout == b"/tenants/a: 0 of 1000 nodes\n", "a quota: %r" % done)

    anna = Program(scratch, programs[2], "anna", COORD_ENDPOINTS=node.endpoint)
    expect(anna.lines(1) == ["+ anna"], "a member sees itself: %s" % anna.complained())
    bob = Program(scratch, programs[2], "bob", COORD_ENDPOINTS=node.endpoint)
    expect(sorted(bob.lines(2)) == ["+ anna", "+ bob"], "and the others")
    expect(anna.lines(2)[1] == "+ bob", "who come")
    bob.process.kill()
    expect(anna.lines(3)[2] == "- bob (expired)", "and go: %s" % anna.complained())
    node.kill()
    expect(anna.wait() == 1 and anna.complained().startswith("the session is lost: "), anna.complained())

    symbols = subprocess.run(["nm", "-g", "--defined-only", BUILD + "/libcoord.a"], stdout=subprocess.PIPE,
                             text=True, check=True).stdout
    foreign = [line for line in symbols.splitlines() if re.search(r" [A-Z] (?!coord_[a-z]|__odr_asan)", line)]
    expect(not foreign and " T coord_open" in symbols, "exports more than its header: %r" % foreign[:5])


if __name__ == "__main__":
    main(globals())
