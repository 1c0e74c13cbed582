#!/usr/bin/env python3
"""What the shells complete: coordctl complete, and the script for bash on top of it."""
import os
import subprocess

from coordctl import one
from harness import COORDCTL, Program, clean_environment, ctl, ctl_ok, expect, main, until

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "../../cmd/coordctl/packaging/completion.bash")


def offered(node, *words, **more):
    environment = dict(clean_environment(), COORD_ENDPOINTS=node.endpoint, **more)
    out = subprocess.run([COORDCTL, "complete", *words], env=environment, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, check=True)
    expect(out.stderr == b"", "completion says nothing else: %r" % out.stderr)
    return [line.split("\t")[0] for line in out.stdout.decode().splitlines()]


def in_bash(node, line):
    environment = dict(clean_environment(), COORD_ENDPOINTS=node.endpoint)
    environment["PATH"] = os.path.dirname(os.path.abspath(COORDCTL)) + ":" + environment["PATH"]
    program = 'source "$1"; COMP_LINE=$2 COMP_POINT=${#2}; _coordctl; printf "%s\\n" "${COMPREPLY[@]}"'
    out = subprocess.run(["bash", "-c", program, "bash", SCRIPT, line], env=environment,
                         stdout=subprocess.PIPE, check=True)
    return out.stdout.decode().split()


def some_nodes(node):
    for path in ("/app/config", "/app/cache", "/app/queue"):
        ctl_ok(node, "create", path, "x", "--parents")


def test_words_follow_from_the_tables(scratch):
    node = one(scratch)
    expect(offered(node, "hi") == ["history"], "a command")
    expect({"session", "lease", "get", "help"} <= set(offered(node, "")), "all commands, nouns once")
    expect(offered(node, "").count("session") == 1, "a noun is there once")
    expect(offered(node, "session", "k") == ["keepalive"], "a verb")
    expect(offered(node, "help", "session", "o") == ["open"], "a verb to be explained")
    expect(offered(node, "-o", "json", "sta") == ["stat", "status"], "behind an option with a value")
    expect(offered(node, "ls", "--lo") == ["--long"], "an option of the command")
    expect("--sequential" not in offered(node, "ls", "--"), "no option of another command")
    expect(offered(node, "get", "-o", "js") == ["json", "jsonl"], "a value")
    expect(offered(node, "get", "--output=r") == ["--output=raw"], "a value behind =")


def test_paths_come_from_the_tree(scratch):
    node = one(scratch)
    some_nodes(node)
    expect(offered(node, "get", "/a") == ["/app"], "below the root")
    expect(offered(node, "get", "/app/c") == ["/app/cache", "/app/config"], "below a node")
    expect(offered(node, "watch", "--recursive", "/app/q") == ["/app/queue"], "behind a switch")
    expect(offered(node, "set", "/app/config", "/a") == [], "data is no path")
    expect(offered(node, "lease", "revoke", "/a") == [], "nor is an id")
    expect(offered(node, "get", "--endpoints", "127.0.0.1:1", "/a") == [], "a cluster that is down")


def test_paths_are_those_that_the_user_may_see(scratch):
    node = one(scratch)
    some_nodes(node)
    ctl_ok(node, "user", "add", "admin", "pw")
    ctl_ok(node, "user", "grant-role", "admin", "root")
    ctl_ok(node, "auth", "enable")
    token = os.path.join(scratch, "token")
    with open(token, "wb") as out:
        out.write(ctl_ok(node, "auth", "login", "--user", "admin:pw"))
    expect(offered(node, "get", "/a") == [], "nobody sees them")
    until(lambda: offered(node, "get", "/a", COORD_TOKEN_FILE=token) == ["/app"], "who has a token does", 60)
    until(lambda: offered(node, "--token-file", token, "get", "/a") == ["/app"], "on the line too", 60)
    until(lambda: offered(node, "get", "/a", COORD_USER="admin", COORD_PASSWORD="pw") == ["/app"], "so does a user", 60)
    until(lambda: offered(node, "--user", "admin:pw", "get", "/a") == ["/app"], "on the line too", 60)
    expect(offered(node, "--user", "admin", "get", "/a") == [], "nobody is asked for a password")


def test_names_of_locks_and_elections_come_from_the_server(scratch):
    node = one(scratch)
    for noun, name in (("lock", "db"), ("lock", "shop/orders"), ("lock", "/elsewhere"), ("elect", "workers")):
        Program(scratch, COORDCTL, noun, name, *(["n1"] if noun == "elect" else []), "--session-ttl", "60s",
                "--", "sleep", "1000", COORD_ENDPOINTS=node.endpoint)
        verb = "list" if noun == "elect" else "get"
        until(lambda v=verb, n=noun, m=name: b"q-" in ctl(node, n, v, m, "-o", "json")[1],
              "%s %s is held" % (noun, name), 60)
    for noun, name in (("counter", "jobs"), ("counter", "errors")):
        ctl_ok(node, noun, "add", name)
    ctl_ok(node, "counter", "ids", "orders", "3")
    ctl_ok(node, "latch", "set", "start", "3")
    expect(offered(node, "lock", "get", "") == ["db", "shop/"], "of locks, and where there are more")
    expect(offered(node, "lock", "explain", "shop/o") == ["shop/orders"], "below a node")
    expect(offered(node, "lock", "get", "/else") == ["/elsewhere"], "by their paths")
    expect(offered(node, "lock", "d") == ["db"], "to hold one")
    expect(offered(node, "lock", "db", "sh") == ["shop/"], "or several")
    expect({"get", "list", "explain", "db"} <= set(offered(node, "lock", "")), "beside the verbs")
    expect(offered(node, "elect", "list", "w") == ["workers"], "of elections")
    expect(offered(node, "elect", "w") == ["workers"], "to campaign in")
    expect(offered(node, "elect", "workers", "w") == [], "a value is no name")
    expect(offered(node, "counter", "add", "") == ["errors", "jobs"], "of counters")
    expect(offered(node, "counter", "ids", "") == ["orders"], "of ids")
    expect(offered(node, "latch", "await", "s") == ["start"], "of latches")
    expect(in_bash(node, "coordctl lock get d") == ["db"], "in bash")
    expect(offered(node, "--chroot", "/locks", "get", "/d") == ["/db"], "paths are below a chroot")


def test_bash_asks_coordctl(scratch):
    node = one(scratch)
    some_nodes(node)
    expect(in_bash(node, "coordctl hist") == ["history"], "a command")
    expect(in_bash(node, "coordctl get /app/c") == ["/app/cache", "/app/config"], "paths")
    expect(in_bash(node, "coordctl get --output=r") == ["raw"], "what bash replaces begins behind =")
    expect(in_bash(node, "coordctl ls -o ") == ["table", "wide", "json", "jsonl", "yaml", "raw", "name"], "an empty word")
    expect(SCRIPT.rsplit("/", 1)[0] + "/completion.bash" in
           in_bash(node, "coordctl txn -f " + SCRIPT[:-4]), "files")


if __name__ == "__main__":
    main(globals())
