#!/usr/bin/env python3
"""coordctl before somebody's eyes: colours and diffs on a terminal and nowhere else, Ctrl-C at any moment."""
import json
import re

from coordctl import one
from harness import Cluster, Ctl, ctl, ctl_ok, expect, main, until
from pseudo_terminal import COLOUR, coordctl


def changed(node):
    ctl_ok(node, "create", "/app", '{"debug": false, "hosts": ["a"]}')
    ctl_ok(node, "set", "/app", '{"debug": true, "hosts": ["a", "b"]}', "--note", "look closer")
    ctl_ok(node, "set", "/app", "one\ntwo\n")
    ctl_ok(node, "set", "/app", "one\nthree\n")
    ctl_ok(node, "rm", "/app")


SHOWN = r"""\d+ \S+Z created /app \{"debug": false, "hosts": \["a"\]\}
\d+ \S+Z set /app  \(note: look closer\)
    \.debug: false -> true
    \.hosts\[1\]: "b" \(new\)
\d+ \S+Z set /app
.*    \+one
    \+two
\d+ \S+Z set /app
    @@ -1,2 \+1,2 @@
     one
    -two
    \+three
\d+ \S+Z deleted /app \(was "one\\nthree\\n"\)
"""


def seen(node, scratch, *arguments, **environment):
    with coordctl(node, "watch", "/app", "--from-revision", "1", *arguments, scratch=scratch,
                  environment=environment) as terminal:
        terminal.wait_for("deleted", "all changes")
        terminal.send("\x03")
        expect(terminal.finish("Ctrl-C ends it") == 130, "exit 130")
        return terminal.raw, terminal.shown()


def test_a_watch_on_a_terminal_shows_what_is_different_in_colours(scratch):
    node = one(scratch)
    changed(node)
    raw, text = seen(node, scratch)
    expect(COLOUR.search(raw), "colours")
    expect(re.match(SHOWN, text, re.S), "what people see: %s" % text)
    raw, text = seen(node, scratch, NO_COLOR="1")
    expect(not COLOUR.search(raw) and re.match(SHOWN, text, re.S), "NO_COLOR: %r" % raw)
    raw, text = seen(node, scratch, NO_COLOR="")
    expect(COLOUR.search(raw), "an empty NO_COLOR is none")
    raw, text = seen(node, scratch, TERM="dumb")
    expect(not COLOUR.search(raw), "a dumb terminal has no colours")
    raw, text = seen(node, scratch, "-o", "jsonl")
    expect(not COLOUR.search(raw) and text.count('{"type"') == 5, "JSON is JSON on terminals, too")


def test_no_colours_and_no_diff_without_a_terminal(scratch):
    node = one(scratch)
    changed(node)
    watch = Ctl(scratch, node, "watch", "/app", "--from-revision", "1", TERM="xterm")
    lines = watch.lines(5)
    watch.send_signal(2)
    expect(watch.wait() == 130, "exit 130")
    expect(lines[1] == '%d set /app {"debug": true, "hosts": ["a", "b"]}' % int(lines[1].split()[0]), "a line: %r" % lines)
    expect("\x1b" not in watch.printed() + watch.complained(), "no colours")
    watch = Ctl(scratch, node, "watch", "/app", "--from-revision", "1", "--diff", TERM="xterm")
    watch.lines(14)
    watch.send_signal(2)
    expect(watch.wait() == 130 and re.match(SHOWN, watch.printed(), re.S) and "\x1b" not in watch.printed(),
           "--diff has it all the same, without colours: %s" % watch.printed())


def test_a_shell_command_is_run_for_each_change(scratch):
    node = one(scratch)
    changed(node)
    code, out, error = ctl(node, "watch", "/app", "--from-revision", "1", "--once", "--exec",
                           'echo "$COORD_EVENT_TYPE $COORD_PATH" | tr a-z A-Z; exit 7')
    expect((code, out) == (7, b"CREATED /APP\n"), "%r" % ((code, out, error),))
    code, out, error = ctl(node, "watch", "/app", "--exec", "true", "--", "true")
    expect((code, error) == (2, "coordctl: watch: --exec and a program behind -- exclude each other\n"), error)


def test_ctrl_c_ends_whatever_waits(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a", "x")
    session = ctl_ok(node, "session", "open", "--ttl", "1m").decode().strip()
    with coordctl(node, "session", "keepalive", session, scratch=scratch) as terminal:
        terminal.send("\x03")
        expect(terminal.finish("keepalive ends") in (0, -2), "at once")
    with coordctl(node, "create", "/worker", "--ephemeral", scratch=scratch) as terminal:
        terminal.wait_for("^/worker$", "the node is there")
        terminal.send("\x03")
        expect(terminal.finish("it closes its session") == 0, "exit 0")
    until(lambda: ctl(node, "stat", "/worker")[0] == 3, "its node has gone")
    # Not a program of the shell's: dash loses a signal that comes while it starts one.
    with coordctl(node, "watch", "/a", "--exec", "echo running; read line", "--from-revision", "1",
                  scratch=scratch) as terminal:
        terminal.wait_for("^running$", "the program runs")
        terminal.send("\x03")
        expect(terminal.finish("with its program") == 130, "exit 130")


def test_top_shows_the_members_at_work_and_one_that_died(scratch):
    cluster = Cluster(scratch, 3).start()
    endpoints = cluster.endpoints
    ctl_ok(endpoints, "create", "/a", "x")
    with coordctl(endpoints, "top", "--interval", "200ms", scratch=scratch, columns=140) as terminal:
        terminal.wait_for(r"3 of 3 members up, n\d leads in term", "the head", 60)
        terminal.wait_for(r"^n1 +(leader|follower) +\d+ +\d+ +\d+ +\d+ +\d+ +\d+ ", "figures and rates", 60)
        cluster.nodes[0].kill()
        terminal.wait_for("2 of 3 members up", "one is gone", 60)
        terminal.wait_for("^n1 +down", "and said to be down", 60)
        expect(COLOUR.search(terminal.raw) and b"\x1b[?25l" in terminal.raw, "it is drawn")
        terminal.send("q")
        expect(terminal.finish("q ends it") == 0, "exit 0")
        expect(terminal.raw.rstrip().endswith(b"\x1b[?25h"), "the cursor is back")
    with coordctl(endpoints, "top", scratch=scratch) as terminal:
        terminal.wait_for("members up", "it is there", 60)
        terminal.send("\x03")
        expect(terminal.finish("Ctrl-C ends it") == 130, "exit 130")
    with coordctl("127.0.0.1:1", "top", "--interval", "200ms", scratch=scratch) as terminal:
        terminal.wait_for("no member answers: .*refused.*; trying on", "nobody is there", 60)
        terminal.send("q")
        expect(terminal.finish("q ends it") == 0, "exit 0")
    got = json.loads(ctl_ok(endpoints, "top", "--once", "--interval", "200ms", "-o", "jsonl"))
    expect(sorted(m["is_up"] for m in got["members"]) == [False, True, True], "for programs: %r" % got)
    expect(all("requests_per_s" in m and "lag" in m for m in got["members"] if m["is_up"]), "with rates: %r" % got)


def test_top_ends_where_it_may_not_ask(scratch):
    node = one(scratch)
    ctl_ok(node, "user", "add", "admin", "pw")
    ctl_ok(node, "user", "grant-role", "admin", "root")
    ctl_ok(node, "auth", "enable")
    with coordctl(node, "top", scratch=scratch) as terminal:
        expect(terminal.finish("it is denied", 60) == 8, "exit 8")
        expect("coordctl: top: authentication is required" in terminal.shown(), "and says so: %r" % terminal.shown())
    code, _, error = ctl(node, "top", "--once", "-o", "json")
    expect(code == 8 and '"code": "not allowed"' in error, "so it does for programs: %d %s" % (code, error))
    code, _, error = ctl("127.0.0.1:1", "top", "--once", "-o", "json")
    expect(code == 7, "nobody there is 7: %d %s" % (code, error))


if __name__ == "__main__":
    main(globals())
