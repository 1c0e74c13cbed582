"""Runs checks: each is a sentence that is true of ZooKeeper 3.8, and a function that tries it.

A check is written once for both targets (target.py). Where coord differs on purpose, it says both:
`differs(t, zookeeper=..., coord=...)` chooses what is expected. A sentence that ZooKeeper cannot be
asked without harm has coord_only.

Checks share three servers, so each works below a node of its own (`t.base`), and whoever kills a
server starts it again.
"""
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import target
import harness
from harness import expect, until

_checks = []


def check(sentence, coord_only=False):
    def add(function):
        _checks.append((sentence, function, coord_only))
        return function
    return add


def equal(got, wanted, what=""):
    expect(got == wanted, "%sgot %r, expected %r" % (what + ": " if what else "", got, wanted))


def differs(t, zookeeper, coord):
    """What is expected where coord is meant to do something else than ZooKeeper 3.8."""
    return coord if t.is_coord else zookeeper


def since(t, version, newer, older):
    """What is expected where later releases of ZooKeeper differ; coord does as they do."""
    return newer if t.is_coord or t.version >= version else older


class Tally:
    passed = 0
    failed = 0

    def ok(self, sentence, seconds):
        self.passed += 1
        print("ok %s (%.1fs)" % (sentence, seconds), flush=True)

    def fail(self, sentence, why):
        self.failed += 1
        print("FAIL %s\n%s" % (sentence, why), flush=True)

    def end(self):
        print("%d passed, %d failed" % (self.passed, self.failed))
        sys.exit(1 if self.failed or not self.passed else 0)


def relay(t, tally, arguments, environment, seconds):
    """Runs a client program that makes checks itself. It prints "ok SENTENCE" or "FAIL SENTENCE: WHY"
    for each and "end" when it is through. "kill ADDRESS" and "start ADDRESS" ask for a server to be
    killed or started; "done" on its standard input tells that this has happened."""
    with open(t.scratch + "/client.log", "wb") as log:
        program = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=log, text=True, env=environment)
    harness._processes.append(program)
    signal.alarm(int(seconds * target.PATIENCE))
    begin = time.monotonic()
    ended = False
    for line in program.stdout:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "ok":
            tally.ok(rest, time.monotonic() - begin)
            begin = time.monotonic()
        elif word == "FAIL":
            tally.fail(rest, "")
        elif word in ("kill", "start"):
            server = t.at(rest)
            (server.kill if word == "kill" else server.restart)()
            program.stdin.write("done\n")
            program.stdin.flush()
        elif word == "end":
            ended = True
        else:
            print(line, end="", flush=True)
    signal.alarm(0)
    code = program.wait()
    if not ended or code != 0:
        with open(t.scratch + "/client.log", encoding="utf-8", errors="replace") as log:
            tally.fail("the client comes to its end", "exit %d\n%s" % (code, log.read()[-2000:]))


def _out_of_time(*_):
    raise harness.Failure("out of time")


def run(body, prepare=None):
    """Calls body(target, tally) with three servers, after prepare(scratch) without any; prints the sum
    and ends the program."""
    scratch = tempfile.mkdtemp(prefix="coord-zookeeper-")
    tally = Tally()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGALRM, _out_of_time)
    t = None
    try:
        if prepare:
            prepare(scratch)
        t = target.Target.__new__(target.Target)
        t.__init__(scratch)
        body(t, tally)
        for server in t.servers:
            server.check_health()
    except Exception:
        tally.fail("the servers start and outlive the checks", traceback.format_exc())
        for server in getattr(t, "servers", ()):
            print("--- log of %s\n%s" % (server.address, server.log_tail()), flush=True)
    finally:
        harness._end_all()
        shutil.rmtree(scratch, ignore_errors=True)
    tally.end()


def main(prepare=None):
    """Runs the checks of the modules that were imported; an argument picks those whose sentence has it."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""

    def body(t, tally):
        for number, (sentence, function, coord_only) in enumerate(_checks):
            if wanted not in sentence or (coord_only and not t.is_coord):
                continue
            t.base = "/check-%d" % number
            begin = time.monotonic()
            signal.alarm(int(60 * target.PATIENCE))
            try:
                function(t)
                signal.alarm(0)
                tally.ok(sentence, time.monotonic() - begin)
            except Exception:  # a check may fail in any way, and the others still run
                signal.alarm(0)
                tally.fail(sentence, traceback.format_exc())
                for server in t.servers:
                    print("--- log of %s\n%s" % (server.address, server.log_tail()), flush=True)
                    if not until_serving(server):
                        server.restart()
    run(body, prepare)


def until_serving(server):
    """False if it was left dead by a check that failed."""
    try:
        return until(server.is_serving, "it serves", 5)
    except harness.Failure:
        return False
