#!/usr/bin/env python3
"""coordctl lock: a program that runs while a lock is held, and what becomes of it when processes die, are
stopped, or are told to end."""
import json
import os
import pty
import re
import select
import signal
import sys
import time

import process_figures
from coordctl import check, complaint, one, with_environment
from harness import COORDCTL, PATIENCE, Cluster, Ctl, ctl, ctl_ok, expect, main, until

PYTHON = sys.executable
# Prints what it is told, and each signal that it gets; SIGTERM and SIGINT do not end it.
STUBBORN = """
import os, signal, sys, time
def got(number, frame):
    print(signal.Signals(number).name, flush=True)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, got)
print("began", os.getpid(), flush=True)
while True:
    signal.pause()
"""
# Leaves a file behind when it runs again after it was stopped, and ends; SIGTERM does not end it.
RESUMED = """
import signal, sys
def resumed(number, frame):
    open(sys.argv[1], "w").close()
    sys.exit(9)
signal.signal(signal.SIGCONT, resumed)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("began", flush=True)
while True:
    signal.pause()
"""


def queue(node, lock):
    """How many hold or wait."""
    code, out, _ = ctl(node, "ls", lock)
    return len(out.split()) if code == 0 else 0


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return process_figures.has_ended(pid)


def holder(scratch, node, *more):
    """A lock that is held until the process is told to end."""
    held = Ctl(scratch, node, "lock", "a", *more)
    held.lines(1, 30)
    return held


def test_a_program_runs_while_the_lock_is_held(scratch):
    node = one(scratch)
    code, out, error = ctl(node, "lock", "a", "--note", "why not", "--", "sh", "-c",
                           'echo "$COORD_LOCK $COORD_LOCK_EPOCH $COORD_LOCK_PATH $COORD_LOCK_REVISION"; '
                           '%s get "$COORD_LOCK_PATH"; exit 42' % os.path.abspath(COORDCTL))
    expect((code, error) == (42, ""), "the program's exit code: %d %s" % (code, error))
    lines = out.decode().splitlines()
    expect(re.fullmatch(r"/locks/a (\d+) /locks/a/q-0000000000 \1", lines[0]), "its environment: %r" % lines)
    expect("state=held" in lines and "note=why not" in lines, "it is held meanwhile: %r" % lines)
    expect(queue(node, "/locks/a") == 0, "and not afterwards")
    epoch = int(lines[0].split()[1])
    later = ctl_ok(node, "lock", "a", "--", "sh", "-c", "echo $COORD_LOCK_EPOCH")
    expect(int(later) > epoch, "epochs grow: %d %d" % (epoch, int(later)))


def test_exit_codes(scratch):
    node = one(scratch)
    held = holder(scratch, node)
    check(node, [
        (["lock", "a", "--try", "--", "true"], 5, b"", complaint("lock /locks/a: held by somebody else: .*")),
        (["lock", "a", "--wait", "100ms", "--", "true"], 6, b"", complaint("lock /locks/a: .*waited.*")),
        (["lock", "b", "--", "/nowhere/to/be/found"], 127, b"", complaint("lock /locks/b: /nowhere.*: No such file.*")),
        (["lock", "b", "--", "/"], 126, b"", complaint("lock /locks/b: /: .*")),
        (["lock", "b", "--", "sh", "-c", "kill -9 $$"], 137, b""),
        (["lock", "/x/y/z", "--", "true"], 0, b""),
        (["lock", "a", "--try", "--wait", "1s"], 2, b"", complaint("lock: --try and --wait exclude each other")),
        (["lock", "a", "--read", "--permits", "1"], 2, b"", complaint("lock: --read, --write and --permits .*")),
        (["lock", "a", "--"], 2, b"", complaint("lock: behind -- a program is missing")),
        (["lock"], 2, b"", complaint("usage: coordctl lock NAME .*")),
        (["lock", "/locks/a/q-0000000000", "--", "true"], 1, b"", complaint("lock /locks/a/q-0000000000: .*")),
    ])
    held.send_signal(signal.SIGINT)
    expect(held.wait() == 0, "who only holds it ends well: " + held.complained())
    expect(queue(node, "/locks/a") == 0, "and it is free")
    code, _, error = ctl("127.0.0.1:1", "--timeout", "1s", "lock", "a", "--", "true")
    expect(code == 7, "nobody there: %d %s" % (code, error))


def test_modes_and_several_locks(scratch):
    node = one(scratch)
    reader = holder(scratch, node, "--read")
    check(node, [
        (["lock", "a", "--read", "--try", "--", "true"], 0, b""),
        (["lock", "a", "--try", "--", "true"], 5, b"", complaint(".*")),
        (["lock", "b", "a", "--try", "--", "true"], 5, b"", complaint(".*")),
        (["lock", "c", "b", "--try", "--", "sh", "-c", "echo ${COORD_GUARD##*,}"], 0, r"/locks/b/q-\d{10}@\d+\n"),
        (["lock", "cpu", "--permits", "2", "--limit", "3", "--", "true"], 0, b""),
    ])
    reader.send_signal(signal.SIGTERM)
    expect(reader.wait() == 0, reader.complained())
    some = Ctl(scratch, node, "lock", "cpu", "--permits", "2", "--limit", "3", "-o", "json")
    until(lambda: queue(node, "/locks/cpu") == 1, "two of three are taken", 30)
    check(node, [
        (["lock", "cpu", "--permits", "2", "--try", "--", "true"], 5, b"", complaint(".*")),
        (["lock", "cpu", "--permits", "1", "--try", "--", "true"], 0, b""),
    ])
    some.send_signal(signal.SIGINT)
    expect(some.wait() == 0, some.complained())
    told = json.loads(some.printed())
    expect(told[0]["lock"] == "/locks/cpu" and told[0]["epoch"] > 0, "JSON: %r" % told)


def test_a_deadlock_is_refused(scratch):
    node = one(scratch)
    inner = "%s lock %%s --wait 60s -- true" % os.path.abspath(COORDCTL)
    # Each of the two sessions holds one lock and its program waits for the other: no deadlock for the cluster,
    # which sees four owners. So one session that asks twice has to do it.
    del inner
    session = ctl_ok(node, "session", "open", "--ttl", "1m").decode().strip()
    other = ctl_ok(node, "session", "open", "--ttl", "1m").decode().strip()
    one_has = Ctl(scratch, node, "lock", "a", "--session", session)
    one_has.lines(1, 30)
    other_has = Ctl(scratch, node, "lock", "b", "--session", other)
    other_has.lines(1, 30)
    waits = Ctl(scratch, node, "lock", "b", "--session", session)
    until(lambda: queue(node, "/locks/b") == 2, "it waits", 30)
    code, _, error = ctl(node, "lock", "a", "--session", other, "--", "true")
    expect(code == 10 and "/locks/a" in error and "/locks/b" in error, "a deadlock: %d %s" % (code, error))
    other_has.send_signal(signal.SIGTERM)
    expect(other_has.wait() == 0, other_has.complained())
    waits.lines(1, 30)


def test_locks_are_listed_and_explained(scratch):
    node = one(scratch)
    session = ctl_ok(node, "session", "open", "--ttl", "5m").decode().strip()
    other = ctl_ok(node, "session", "open", "--ttl", "5m").decode().strip()
    expect(ctl_ok(node, "lock", "list", "-o", "json").split() == [b"[]"], "no locks")
    a = Ctl(scratch, node, "lock", "a", "--session", session, "--note", 'the "why"')
    a.lines(1, 60)
    b = Ctl(scratch, node, "lock", "b", "--session", other)
    b.lines(1, 60)
    deep = Ctl(scratch, node, "lock", "/x/deep", "--session", other)
    deep.lines(1, 60)
    waits = Ctl(scratch, node, "lock", "b", "--session", session)
    until(lambda: queue(node, "/locks/b") == 2, "the first waits for b", 60)
    reader = Ctl(scratch, node, "lock", "a", "--read")
    until(lambda: queue(node, "/locks/a") == 2, "a reader waits for a", 60)
    told = json.loads(ctl_ok(node, "lock", "list", "-o", "json"))
    expect([(t["path"], t["held"], t["waiting"]) for t in told] ==
           [("/locks/a", 1, 1), ("/locks/b", 1, 1), ("/x/deep", 1, 0)], told)
    expect(told[0]["first"]["note"] == 'the "why"' and told[0]["first"]["lease"] == session.split(":")[0], told)
    for words, locks in [(["/locks"], 2), (["a"], 1), (["--limit", "1"], 1), (["/nowhere"], 0)]:
        lines = ctl_ok(node, "lock", "list", *words).decode().splitlines()
        expect(len(lines) == 1 + locks and lines[0].startswith("LOCK"), "%r: %r" % (words, lines))
    why = json.loads(ctl_ok(node, "lock", "explain", "a", "-o", "json"))
    expect([w["lock"] for w in why["waits"]] == ["/locks/a", "/locks/b"] and not why["more"], why)
    expect(why["waits"][0]["blocker"]["lease"] == why["waits"][1]["lease"] == session.split(":")[0], why)
    expect(why["waits"][1]["blocker"] == {"lease": other.split(":")[0], "owner": "", "holds": True, "mode": "write"}, why)
    lines = ctl_ok(node, "lock", "explain", "a").decode().splitlines()
    expect(lines[0].startswith("STATE") and "waits for /locks/b (write), held by " in lines[-1], lines)
    graph = ctl_ok(node, "lock", "explain", "a", "-o", "dot").decode()
    expect(graph.startswith('digraph "/locks/a" {\n') and graph.count(" -> ") == 2, graph)
    check(node, [
        (["lock", "explain", "nothing"], 3, b"", complaint("lock explain /locks/nothing: .*")),
        (["lock", "get", "a", "-o", "dot"], 2, b"", complaint("lock get does not take --output dot")),
    ])
    for process in (reader, waits, deep, b, a):
        process.send_signal(signal.SIGTERM)
        process.wait()
    until(lambda: ctl_ok(node, "lock", "list").count(b"\n") == 1, "none is left", 60)


def test_counters_and_latches(scratch):
    node = one(scratch)
    check(node, [
        (["counter", "get", "jobs"], 3, b"", complaint("counter get /counters/jobs: .*")),
        (["counter", "add", "jobs"], 0, b"1\n"),
        (["counter", "add", "jobs", "-5"], 0, b"-4\n"),
        (["counter", "add", "jobs", "10", "--max", "5"], 9, b"", complaint("counter add /counters/jobs: .*at most 5.*")),
        (["counter", "add", "jobs", "-1", "--min", "-4"], 9, b"", complaint("counter add /counters/jobs: .*at least -4.*")),
        (["counter", "get", "jobs", "-o", "jsonl"], 0, b'{"counter": "/counters/jobs", "value": -4}\n'),
        (["counter", "add", "jobs", "x"], 2, b"", complaint('counter add: "x" is not a number')),
        (["counter", "ids", "orders", "10"], 0, b"1 10\n"),
        (["counter", "ids", "orders", "10"], 0, b"11 20\n"),
        (["counter", "ids", "orders", "2", "--max", "21"], 9, b"", complaint("counter ids /ids/orders: .*")),
        (["counter", "add", "/ids/orders", "-1"], 1, b"", complaint("counter add /ids/orders: .*")),
        (["latch", "count-down", "start"], 3, b"", complaint("latch count-down /latches/start: .*")),
        (["latch", "set", "start", "2"], 0, b""),
        (["latch", "get", "start"], 0, b"2\n"),
        (["latch", "count-down", "start"], 0, b"1\n"),
        (["barrier", "get", "nothing"], 3, b"", complaint("barrier get /barriers/nothing: .*")),
    ])
    waits = Ctl(scratch, node, "latch", "await", "start")
    expect(ctl_ok(node, "latch", "count-down", "start", "5") == b"0\n", "it is open")
    expect(waits.wait() == 0, waits.complained())


def test_signals_reach_the_program_and_its_group(scratch):
    node = one(scratch)
    held = Ctl(scratch, node, "lock", "a", "--", PYTHON, "-c", STUBBORN)
    held.lines(1, 30)
    for count, number in enumerate((signal.SIGUSR1, signal.SIGINT, signal.SIGHUP, signal.SIGTERM)):
        held.send_signal(number)
        expect(held.lines(2 + count, 30)[-1] == number.name, "%s is passed on: %s" % (number.name, held.printed()))
    pid = int(held.lines(1)[0].split()[1])
    expect(os.getpgid(pid) == pid, "it has a group of its own")
    os.kill(pid, signal.SIGKILL)
    expect(held.wait(30) == 137, "what ended it is handed on")
    expect(queue(node, "/locks/a") == 0, "and the lock is free")


def test_a_signal_while_waiting_ends_it_and_leaves_nothing_behind(scratch):
    node = one(scratch)
    held = holder(scratch, node)
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        waits = Ctl(scratch, node, "lock", "a", "--", "touch", os.path.join(scratch, "ran"))
        until(lambda: queue(node, "/locks/a") == 2, "it waits", 30)
        waits.send_signal(number)
        expect(waits.wait(30) == 128 + number, "%r: %d %s" % (number, waits.process.returncode, waits.complained()))
        until(lambda: queue(node, "/locks/a") == 1, "its place is free", 30)
    held.send_signal(signal.SIGINT)
    expect(held.wait() == 0, held.complained())
    expect(not os.path.exists(os.path.join(scratch, "ran")), "the program never ran")


def test_a_wait_in_a_session_of_others_is_given_up(scratch):
    node = one(scratch)
    session = ctl_ok(node, "session", "open", "--ttl", "1m").decode().strip()
    held = holder(scratch, node)
    waits = Ctl(scratch, node, "lock", "a", "--session", session)
    until(lambda: queue(node, "/locks/a") == 2, "it waits", 30)
    waits.send_signal(signal.SIGINT)
    expect(waits.wait(30) == 130, waits.complained())
    expect(queue(node, "/locks/a") == 1, "its place is free, though its session lives on")
    has = Ctl(scratch, node, "lock", "b", "--session", session)
    has.lines(1, 30)
    has.send_signal(signal.SIGINT)
    expect(has.wait(30) == 0 and queue(node, "/locks/b") == 0, "and what it had is released: " + has.complained())
    held.send_signal(signal.SIGINT)
    expect(held.wait() == 0, held.complained())


def test_who_asks_for_it_is_told(scratch):
    node = one(scratch)
    held = holder(scratch, node)
    ctl_ok(node, "lock", "ask-release", "a", "--owner", "ann", "--note", "50 % of\nit")
    until(lambda: "ann asks for it: 50 % of" in held.complained(), "the holder is told", 30)
    entry = json.loads(ctl_ok(node, "lock", "get", "a", "-o", "json"))["entries"][0]
    expect((entry["asked_by"], entry["asked_why"]) == ("ann", "50 % of\nit"), "and others: %r" % entry)
    ctl_ok(node, "lock", "remove", entry["path"])
    expect(held.wait(30) == 3 and "lost" in held.complained(), "it is taken away: " + held.complained())


def test_what_others_have_written_is_no_line_of_its_own(scratch):
    node = one(scratch)
    owner, plain = "me\x1b]0;you\x07\n\u009bK", "me ]0;you   K"
    session = ctl_ok(node, "session", "open", "--ttl", "10m", "--owner", owner).decode().strip()
    held = Ctl(scratch, node, "lock", "a", "--session", session, "--note", "for\nyou")
    held.lines(1, 30)
    ctl_ok(node, "lock", "ask-release", "a", "--owner", "an\rn", "--note", "50 %\x1b[2J")
    for command in (["lock", "get", "a"], ["lock", "list"], ["lock", "explain", "a"], ["session", "list"],
                    ["lease", "ttl", session.split(":")[0]]):
        shown = ctl_ok(node, *command).decode()
        expect(all(char == "\n" or char.isprintable() for char in shown), "%s: %r" % (" ".join(command), shown))
        expect(plain in shown or command[0] == "lock", "%s: %r" % (" ".join(command), shown))
    shown = ctl_ok(node, "lock", "get", "a").decode()
    expect("(for you)  asked for by an n: 50 % [2J\n" in shown, "%r" % shown)
    held.send_signal(signal.SIGINT)
    expect(held.wait() == 0, held.complained())


def in_terminal(arguments):
    """The program in a terminal of its own; its pid, and our end of the terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(arguments[0], arguments)
    return pid, fd


def read_until(fd, text, seconds=30):
    seen = b""
    end = time.monotonic() + seconds * PATIENCE
    while text not in seen:
        expect(time.monotonic() < end, "the terminal shows %r: %r" % (text, seen))
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 4096)
            except OSError:
                expect(text in seen, "the terminal shows %r: %r" % (text, seen))
    return seen


def exit_code(pid, seconds=30):
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended == pid:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def test_ctrl_c_at_a_terminal(scratch):
    node = one(scratch)
    base = [os.path.abspath(COORDCTL), "--endpoints", node.endpoint, "lock", "a"]
    held = holder(scratch, node)
    pid, fd = in_terminal(base + ["--", "true"])
    until(lambda: queue(node, "/locks/a") == 2, "it waits", 30)
    os.write(fd, b"\x03")
    expect(exit_code(pid) == 130, "Ctrl-C while waiting")
    os.close(fd)
    held.send_signal(signal.SIGINT)
    expect(held.wait() == 0, held.complained())

    pid, fd = in_terminal(base + ["--", PYTHON, "-c", STUBBORN])
    read_until(fd, b"began")
    os.write(fd, b"\x03")
    read_until(fd, b"SIGINT")
    expect(queue(node, "/locks/a") == 1, "Ctrl-C is the program's, which goes on")
    os.kill(pid, signal.SIGTERM)
    read_until(fd, b"SIGTERM")
    os.write(fd, b"\x1c")  # Ctrl-\, which ends it
    expect(exit_code(pid) == 128 + signal.SIGQUIT, "its end is handed on")
    os.close(fd)

    pid, fd = in_terminal(base + ["--", "sh", "-c", "echo ready; read line; echo \"got $line\""])
    read_until(fd, b"ready")
    os.write(fd, b"words\n")
    read_until(fd, b"got words")
    expect(exit_code(pid) == 0, "it has the terminal")
    os.close(fd)
    expect(queue(node, "/locks/a") == 0, "and nothing is left")


def suspended(node, ttl, mark):
    """A program that holds the lock, with coordctl before it, after Ctrl-Z; pid and terminal of coordctl."""
    pid, fd = in_terminal([os.path.abspath(COORDCTL), "--endpoints", node.endpoint, "lock", "a", "--session-ttl", ttl,
                           "--", PYTHON, "-c", RESUMED, mark])
    read_until(fd, b"began")
    os.write(fd, b"\x1a")
    until(lambda: process_figures.stat(pid)[0] == "T", "coordctl is suspended too", 30)
    return pid, fd


def test_ctrl_z_at_a_terminal(scratch):
    node = one(scratch)
    mark = os.path.join(scratch, "resumed")
    pid, fd = suspended(node, "1h", mark)
    expect(queue(node, "/locks/a") == 1, "the lock is held meanwhile")
    os.kill(pid, signal.SIGCONT)
    expect(exit_code(pid) == 9 and os.path.exists(mark), "the program goes on")
    os.close(fd)
    os.remove(mark)

    pid, fd = suspended(node, "1s", mark)
    until(lambda: queue(node, "/locks/a") == 0, "the cluster gives it up", 30)
    other = holder(scratch, node)
    os.kill(pid, signal.SIGCONT)
    code = exit_code(pid)
    expect(not os.path.exists(mark), "the program does not run beside the new holder")
    expect(code == 6, "its lock may be lost: %r" % code)
    read_until(fd, b"may be lost")
    os.close(fd)
    other.send_signal(signal.SIGINT)
    expect(other.wait() == 0, other.complained())


def in_a_shell(scratch, node, program):
    """A shell at a terminal of its own, where coordctl runs a program that has begun; both, and coordctl's pid."""
    script = os.path.join(scratch, "program.py")
    with open(script, "w", encoding="utf-8") as out:
        out.write('import os, sys, time\nprint("%d runs %d." % (os.getppid(), os.getpid()), flush=True)\n' + program)
    pid, fd = in_terminal(["/bin/sh", "-i"])
    os.write(fd, ("%s --endpoints %s lock a --session-ttl 1h -- %s %s\n" %
                  (os.path.abspath(COORDCTL), node.endpoint, PYTHON, script)).encode())
    above, inside = map(int, re.search(rb"(\d+) runs (\d+)", read_until(fd, b".\r\n")).groups())
    until(lambda: os.tcgetpgrp(fd) == inside, "the program has the terminal", 30)
    return pid, fd, above


def to_the_background(fd, pid):
    """Ctrl-Z, and then bg."""
    os.write(fd, b"\x1a")
    until(lambda: process_figures.stat(pid)[0] == "T", "coordctl is suspended", 30)
    os.write(fd, b"bg; echo the answer is $((6 * 7))\n")
    read_until(fd, b"answer is 42")


def leave_shell(pid, fd):
    os.write(fd, b"exit 7\n")
    expect(exit_code(pid) == 7, "the shell has its terminal")
    os.close(fd)


def test_a_program_that_ends_in_the_background_leaves_the_shell_its_terminal(scratch):
    node = one(scratch)
    mark = os.path.join(scratch, "mark")
    shell, fd, pid = in_a_shell(scratch, node, "while not os.path.exists(%r):\n    time.sleep(0.05)\n" % mark)
    to_the_background(fd, pid)
    with open(mark, "w", encoding="utf-8"):
        pass
    until(lambda: queue(node, "/locks/a") == 0 and is_gone(pid), "the program has ended", 30)
    os.write(fd, b"echo and now $((6 * 9))\n")
    read_until(fd, b"and now 54")
    leave_shell(shell, fd)


def test_a_program_that_comes_to_the_foreground_has_the_terminal(scratch):
    node = one(scratch)
    shell, fd, pid = in_a_shell(scratch, node, "while True:\n    time.sleep(0.05)\n")
    program = os.tcgetpgrp(fd)
    to_the_background(fd, pid)
    os.write(fd, b"fg\n")
    until(lambda: os.tcgetpgrp(fd) == program, "without wanting it", 30)
    os.write(fd, b"\x03")
    until(lambda: is_gone(pid) and is_gone(program), "Ctrl-C is the program's", 30)
    leave_shell(shell, fd)


def test_a_program_that_wants_the_terminal_in_the_background_waits_for_it(scratch):
    node = one(scratch)
    shell, fd, pid = in_a_shell(scratch, node, 'print("got", sys.stdin.readline())\n')
    to_the_background(fd, pid)
    until(lambda: process_figures.stat(pid)[0] == "T", "coordctl is suspended with it", 30)
    os.write(fd, b"fg\nwords\n")
    read_until(fd, b"got words")
    until(lambda: is_gone(pid), "and it ends", 30)
    leave_shell(shell, fd)


def test_the_program_is_ended_when_the_lock_is_lost(scratch):
    node = one(scratch)
    held = Ctl(scratch, node, "lock", "a", "--session-ttl", "2s", "--", PYTHON, "-c", STUBBORN)
    pid = int(held.lines(1, 30)[0].split()[1])
    ctl_ok(node, "session", "list")
    node.send_signal(signal.SIGSTOP)
    code = held.wait(60)
    node.send_signal(signal.SIGCONT)
    expect(code in (6, 7), "it may be lost: %d %s" % (code, held.complained()))
    expect("SIGTERM" in held.printed().splitlines(), "it was asked to end: %r" % held.printed())
    until(lambda: is_gone(pid), "and then ended", 30)
    expect("may be lost" in held.complained(), held.complained())


def test_a_session_that_expired_while_all_was_stopped(scratch):
    node = one(scratch)
    held = Ctl(scratch, node, "lock", "a", "--session-ttl", "1s", "--", PYTHON, "-c", STUBBORN)
    pid = int(held.lines(1, 30)[0].split()[1])
    held.send_signal(signal.SIGSTOP)
    until(lambda: queue(node, "/locks/a") == 0, "the cluster gives it up", 30)
    ctl_ok(node, "lock", "a", "--", "true")
    held.send_signal(signal.SIGCONT)
    expect(held.wait(30) in (3, 6), "%d %s" % (held.process.returncode, held.complained()))
    until(lambda: is_gone(pid), "the program is ended", 30)


def test_a_wait_and_a_hold_survive_the_death_of_the_server(scratch):
    cluster = Cluster(scratch).start()
    for _ in range(2):
        leader = cluster.leader()
        others = [node for node in cluster.nodes if node is not leader]
        first_leader = ",".join(node.endpoint for node in [leader] + others)
        other = others[0]
        held = Ctl(scratch, first_leader, "lock", "a")
        guard = held.lines(1, 30)[0]
        waits = Ctl(scratch, first_leader, "lock", "a", "--", "sh", "-c", "echo $COORD_LOCK_EPOCH")
        until(lambda: queue(other, "/locks/a") == 2, "it waits", 30)
        leader.kill()
        until(lambda: ctl(other, "sync")[0] == 0, "another one leads", 30)
        expect(waits.process.poll() is None and held.process.poll() is None, "both go on: %s %s" %
               (waits.complained(), held.complained()))
        expect(queue(other, "/locks/a") == 2, "each has its place, once")
        held.send_signal(signal.SIGINT)
        expect(held.wait(30) == 0, held.complained())
        expect(waits.wait(30) == 0, "then it is granted: " + waits.complained())
        expect(int(waits.lines(1)[0]) > int(guard.split()[-1]), "in a later epoch")
        until(lambda: queue(other, "/locks/a") == 0, "nothing is left", 30)
        leader.start()
        until(leader.is_ready, "it is back", 30)


def test_writes_inside_are_guarded(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/data", "0")
    program = os.path.abspath(COORDCTL)
    code, _, error = ctl(node, "lock", "a", "--", program, "set", "/data", "1")
    expect(code == 0, error)
    held = holder(scratch, node)
    guard = held.lines(1)[0].split()[0]
    check(node, [(["set", "/data", "2", "--guard", guard], 0, b"")])
    held.send_signal(signal.SIGINT)
    expect(held.wait() == 0, held.complained())
    check(node, [
        (["set", "/data", "3", "--guard", guard], 4, b"", complaint("set /data: .*grant.*")),
        (["create", "/more", "--guard", guard], 4, b"", complaint("create /more: .*grant.*")),
        (["rm", "/data", "--guard", guard], 4, b"", complaint("rm /data: .*grant.*")),
        (["set", "/data", "3", "--guard", "nonsense"], 2, b"", complaint('--guard "nonsense" is not .*')),
        (["get", "/data"], 0, b"2"),
    ])
    code, _, error = with_environment(["set", "/data", "4"], COORD_ENDPOINTS=node.endpoint, COORD_GUARD=guard)
    expect(code == 4, "COORD_GUARD: %d %s" % (code, error))


def test_writes_inside_a_lock_inside_a_lock_are_guarded_by_both(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/data", "0")
    program = os.path.abspath(COORDCTL)
    job = 'trap "" TERM; echo "$COORD_GUARD"; "$0" set /data 1; "$0" lock remove "${COORD_GUARD%%,*}"; ' \
          '"$0" set /data 2; echo "then $?"'
    code, out, error = ctl(node, "lock", "a", "--", program, "lock", "b", "--", "sh", "-c", job, program)
    expect(re.fullmatch(rb"/locks/a/q-\d+@\d+,/locks/b/q-\d+@\d+\nthen 4\n", out), "%d %r %s" % (code, out, error))
    expect(ctl_ok(node, "get", "/data") == b"1", "nothing is written once the outer lock is gone")
    expect(code == 3 and "lost" in error, "which ends: %d %s" % (code, error))


if __name__ == "__main__":
    main(globals())
