#!/usr/bin/env python3
"""coordctl --chroot: one subtree is the whole tree, whatever is asked for and however it is said."""
import json
import os
import subprocess

from coordctl import one
from harness import COORDCTL, Program, clean_environment, ctl, ctl_ok, expect, main, until


def told(node, *words, **environment):
    done = subprocess.run([COORDCTL, "--endpoints", node.endpoint, *words], stdin=subprocess.DEVNULL, check=False,
                          capture_output=True, text=True, timeout=120, env={**clean_environment(), **environment})
    return done.returncode, done.stdout, done.stderr


def inside(node, *words, status=0):
    code, out, error = ctl(node, "--chroot", "/team/a", *words)
    expect(code == status, "%r: exit %d: %s" % (words, code, error))
    return out.decode()


def test_nodes_are_below_it_and_shown_without_it(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/team/a", "root", "--parents")
    ctl_ok(node, "create", "/team/ab", "beside")
    ctl_ok(node, "create", "/outside", "x")
    expect(inside(node, "create", "/app/job-", "1", "--sequential", "--parents") == "/app/job-0000000000\n", "created")
    expect(ctl_ok(node, "get", "/team/a/app/job-0000000000") == b"1", "below it")
    expect(inside(node, "get", "/") == "root", "/ is it")
    expect(inside(node, "ls", "/") == "app\n", "its children")
    expect(inside(node, "get", "/outside", status=3) == "", "nothing else is there")
    inside(node, "set", "/app", "v", "--note", "why")
    past = inside(node, "history", "/app", "--recursive")
    expect("/app" in past and "/team" not in past, "history: " + past)
    expect(json.loads(inside(node, "get", "/app", "-o", "json"))["path"] == "/app", "as JSON")
    script = os.path.join(scratch, "txn")
    with open(script, "w", encoding="ascii") as out:
        out.write('{"if": [{"path": "/app", "exists": true}], "then": [{"create": "/copy", "data": "x"}]}')
    with subprocess.Popen([COORDCTL, "--chroot", "/team/a", "txn", "-f", script],
                          env=dict(clean_environment(), COORD_ENDPOINTS=node.endpoint), stdout=subprocess.PIPE) as txn:
        said = txn.communicate()[0]
    expect(txn.returncode == 0 and b"/team" not in said, "a transaction: %r" % said)
    expect(ctl_ok(node, "get", "/team/a/copy") == b"x", "is inside too")
    lines = inside(node, "export", "/")
    expect("/team" not in lines and "app" in lines, "an export: " + lines)
    expect("/team" not in inside(node, "tree", "/"), "a tree")
    expect(inside(node, "rm", "/app", "--recursive") != "", "removed")
    expect(ctl(node, "get", "/team/a/app")[0] == 3 and ctl_ok(node, "get", "/team/ab") == b"beside", "and no more")


def test_watches_locks_and_elections_are_inside(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/team/a", "", "--parents")
    watcher = Program(scratch, COORDCTL, "--chroot", "/team/a", "watch", "/", "--recursive", "--list", "-o", "jsonl",
                      COORD_ENDPOINTS=node.endpoint)
    until(lambda: watcher.printed() != "", "it watches", 60)
    ctl_ok(node, "create", "/team/a/seen", "1")
    until(lambda: '"/seen"' in watcher.printed(), "a change is told", 60)
    expect("/team" not in watcher.printed(), "by its path inside: " + watcher.printed())
    code, out, error = told(node, "lock", "db", "--", "sh", "-c", "echo $COORD_LOCK; %s lock get db" % COORDCTL,
                            COORD_CHROOT="/team/a", COORD_ENDPOINTS=node.endpoint)
    expect(code == 0 and "/team" not in out and "/locks/db/q-" in out, (code, out, error))
    expect(ctl(node, "get", "/team/a/locks")[0] == 0, "the lock was inside")
    expect(inside(node, "counter", "add", "jobs", "5") == "5\n", "a counter")
    expect(ctl_ok(node, "counter", "get", "/team/a/counters/jobs") == b"5\n", "is inside")
    inside(node, "elect", "e", "v", "--", "true")
    expect(ctl(node, "get", "/team/a/elections")[0] == 0, "so are elections")
    for what in ["watch", "/seen", "--from-revision", "1", "--once"], ["lock", "db"], ["elect", "e", "v"]:
        inside(node, *what, "--", COORDCTL, "create", "/by-" + what[0])
        expect(ctl(node, "stat", "/team/a/by-" + what[0])[0] == 0, "what coordctl writes below %s is inside" % what[0])
    ctl_ok(node, "lock", "outer", "--", COORDCTL, "--chroot", "/team/a", "lock", "db", "--", COORDCTL, "create", "/in-both")
    expect(ctl(node, "stat", "/team/a/in-both")[0] == 0, "a lock of other paths does not guard what is written inside")


def test_it_is_an_option_a_variable_and_part_of_a_context(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/team/a/x", "1", "--parents")
    contexts = {"COORD_CONTEXTS": os.path.join(scratch, "contexts.json")}
    expect(told(node, "get", "/x", COORD_CHROOT="/team/a")[1] == "1", "by the environment")
    expect(told(node, "context", "set", "team", "--chroot", "/team/a", **contexts)[0] == 0, "kept in a context")
    expect(told(node, "--context", "team", "get", "/x", **contexts)[1] == "1", "and used")
    for bad in "team", "/", "/team/", "/a//b":
        code, out, error = ctl(node, "--chroot", bad, "get", "/x")
        expect(code == 2 and "chroot" in error, (bad, code, out, error))
    expect(ctl(node, "--chroot", "", "get", "/team/a/x")[1] == b"1", "an empty one is none")
    expect(ctl(node, "--chroot", "/team/a", "bench", "write")[0] == 2, "bench does not take it")


if __name__ == "__main__":
    main(globals())
