#!/usr/bin/python3
"""The same random packets to a ZooKeeper 3.8 and to a coord node: what a client can see must be alike.

    tests/compat/zookeeper/differential.py [--seed N] [--sequences N] [--steps N] [--seconds N]

A difference is printed with its seed and the shortest sequence of steps that shows it. RULES are those
on purpose; docs/protocols/zookeeper.md says why.
"""
import argparse
import concurrent.futures
import os
import random
import shutil
import sys
import tempfile
import time

import target
import wire
import harness
from differential_steps import OPEN, Chooser, Run, ranked


# ---- differences on purpose -----------------------------------------------------------------

def replies(shown):
    """Every reply of a step: ("reply", type, xid, error, zxid, content)."""
    return [thing for thing in everything(shown) if thing[0] == "reply"]


def events(shown):
    return {thing for thing in everything(shown) if thing[0] == "event"}


def everything(shown):
    return [thing for _, *told in shown if isinstance(told[0], tuple)
            for thing in told[0] if isinstance(thing, tuple)]


def pairs(theirs, ours):
    return list(zip(replies(theirs), replies(ours)))


def types(step):
    return [packet[0] for packet in step[2]] if step[0] == "send" else []


def hidden_paths(fields):
    """Of nodes that were given a list that is not open to all."""
    paths, is_open = set(), True
    for kind, value in fields:
        if kind == "multi":
            for _, inner in value:
                paths |= hidden_paths(inner)
        elif kind == "path":
            path = value
        elif kind == "acl":
            is_open = value == OPEN
    return paths if is_open else paths | {path}


def exists_without_read(_steps, theirs, ours):
    return any(a[1] == wire.EXISTS and (a[3], b[3]) == (0, wire.NO_AUTH) for a, b in pairs(theirs, ours))


def missed_without_read(steps, theirs, ours):
    restores = {wire.SET_WATCHES, wire.SET_WATCHES2} & set(types(steps[-1]))
    return bool(restores) and replies(theirs) == replies(ours) and events(ours) < events(theirs)


def wrong_flags(_steps, theirs, ours):
    return any(a[1] == wire.MULTI and (a[3], b[3]) == (0, wire.MARSHALLING) and
               any(result[1] == wire.BAD_ARGUMENTS for result in a[5]) for a, b in pairs(theirs, ours))


def odd_delete(_steps, theirs, ours):
    codes = (wire.NO_AUTH, wire.NO_NODE)
    return any((a[1] == wire.DELETE and (a[3], b[3]) == codes) or
               (a[1] == wire.MULTI and (a[3], b[3]) == (0, 0) and
                any((x[1], y[1]) == codes for x, y in zip(a[5], b[5]))) for a, b in pairs(theirs, ours))


def kept_watch(steps, theirs, ours):
    hidden = set()
    for step in steps:
        for packet in step[2] if step[0] == "send" else ():
            hidden |= hidden_paths(packet[1])
    more = events(ours) - events(theirs)
    unlike = [(a, b) for a, b in pairs(theirs, ours) if a != b]
    return bool(hidden) and all(event[3] in hidden for event in more) and \
        all(a[1] == wire.REMOVE_WATCHES and (a[3], b[3]) == (wire.NO_WATCHER, 0) for a, b in unlike)


def damaged_text(steps, theirs, ours):
    damaged = steps[-1][0] == "send" and any(packet[2] and packet[2][0] == "poke" for packet in steps[-1][2])
    return damaged and any(a != b and b[3] == wire.INVALID_ACL for a, b in pairs(theirs, ours))


def list_too_late(steps, theirs, ours):
    unlike = [pair for pair in pairs(theirs, ours) if pair[0] != pair[1]]
    return wire.SET_ACL in types(steps[-1]) and bool(unlike) and wire.NO_AUTH in (unlike[0][0][3], unlike[0][1][3])


def cannot_be(path):
    return not isinstance(path, str) or path[:1] not in ("/", "~") or \
        (path != "/" and any(part in ("", ".", "..") for part in path.split("/")[1:]))


def vain_watch(steps, theirs, ours):
    kinds = (wire.CHECK_WATCHES, wire.REMOVE_WATCHES)
    odd = steps[-1][0] == "send" and any(packet[0] in kinds and cannot_be(dict(packet[1]).get("path"))
                                         for packet in steps[-1][2])
    unlike = [(a, b) for a, b in pairs(theirs, ours) if a != b]
    return odd and bool(unlike) and all(a[1] in kinds and (a[3], b[3]) == (0, wire.NO_WATCHER) for a, b in unlike)


# Whether the difference that the last of these steps shows is one on purpose. Behind it the two are no longer alike.
RULES = (
    ("exists takes READ, as since 3.8.4", exists_without_read),
    ("setWatches tells nothing of nodes that may not be read", missed_without_read),
    ("wrong flags fail a multi as a whole, as since 3.8.4", wrong_flags),
    ("a path that cannot be has no parent that refuses a delete", odd_delete),
    ("what a client may not read does not use up its watch", kept_watch),
    ("an id that is not UTF-8 is refused", damaged_text),
    ("a pipelined request sees the list that was set before it", list_too_late),
    ("a watch of a path that no node can have is not kept", vain_watch),
)


def plain(thing):
    """3.8.0 answers a create2 inside a multi as a create; that was mended later. A reconfig, switched off there, is
    refused by coord with what every client knows."""
    if not isinstance(thing, (tuple, list)):
        return thing
    if thing[:2] == ("reply", wire.RECONFIG) and thing[3] == -123:
        return (*thing[:3], -6, *thing[4:])
    if len(thing) == 3 and thing[0] == wire.CREATE2 and isinstance(thing[2], tuple):
        return (wire.CREATE, thing[1], thing[2][0])
    return tuple(plain(item) for item in thing)


# ---- two servers ----------------------------------------------------------------------------

class Server:
    """A server, and a session on it that may do everything."""

    def __init__(self, name, server):
        self.name = name
        self.server = server
        self.keeper = None
        self.kept = 0

    def start(self):
        self.server.start()
        harness.until(lambda: self.server.mode() is not None, self.name + " serves", 40)
        self.keep()

    def keep(self):
        if self.keeper:
            self.keeper.close()
        self.keeper = wire.Client(self.server, timeout=40000)
        self.keeper.auth("digest", target.SUPER)
        self.kept = time.monotonic()

    def tree(self, path, base):
        """All nodes at and below path: what they are, but for times and zxids."""
        found = self.keeper.call(wire.GET, wire.buf(path) + wire.flag(False))
        if found.err != 0:
            return []
        data, stat = found.body.buf(), found.body.stat()
        acl = self.keeper.good(wire.GET_ACL, wire.buf(path)).acl()
        nodes = [(path.replace(base, "~"), data, sorted((perms & 31, scheme, who) for perms, scheme, who in acl),
                  stat.version, stat.cversion, max(0, stat.aversion), stat.ephemeralOwner != 0, stat.numChildren)]
        for child in self.keeper.children(path):
            nodes += self.tree(path.rstrip("/") + "/" + child, base)
        return nodes

    def remove(self, path):
        for child in self.keeper.children(path):
            self.remove(path + "/" + child)
        self.keeper.call(wire.DELETE, wire.buf(path) + wire.i32(-1))

    def clear(self):
        self.keeper.call(wire.SET_ACL, wire.buf("/") + wire.acl(wire.ANYBODY) + wire.i32(-1))
        for folder, kept in (("/", ("zookeeper",)), ("/zookeeper/", ("config", "quota"))):
            for name in self.keeper.children(folder.rstrip("/") or "/"):
                if name not in kept:
                    self.remove(folder + name)

    def play(self, steps, base):
        if time.monotonic() - self.kept > 10:
            self.keep()
        run = Run(self.server.port, base)
        shown = run.play(steps)
        left = self.tree(base, base) + self.tree("/zookeeper", base)
        run.close()
        self.clear()
        return plain(shown), left


class Pair:
    def __init__(self, scratch):
        harness.PORTS = range(17900, 18000)
        node = harness.Node(scratch, "coord", zookeeper_words="*", super_digest=target.SUPER_DIGEST)
        self.servers = (Server("zookeeper", target.ZooKeeperServer(scratch, 1, harness.free_port(), [])),
                        Server("coord", target.CoordServer(node)))
        for server in self.servers:
            server.start()
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        self.runs = 0
        self.on_purpose = {}

    def play(self, steps):
        """The first difference, as (number of the step, zookeeper's, coord's), or None."""
        self.runs += 1
        base = "/s%07d" % self.runs
        jobs = [self.pool.submit(server.play, steps, base) for server in self.servers]
        (theirs, their_tree), (ours, our_tree) = [job.result() for job in jobs]
        if ranked(theirs) != ranked(ours):
            for number in range(len(steps)):
                a, b = ranked(theirs[:number + 1])[number], ranked(ours[:number + 1])[number]
                if a != b:
                    return None if self.is_on_purpose(steps[:number + 1], a, b) else (number, a, b)
        if their_tree != our_tree:
            return (len(steps) - 1, [node for node in their_tree if node not in our_tree],
                    [node for node in our_tree if node not in their_tree])
        return None

    def is_on_purpose(self, steps, theirs, ours):
        for name, applies in RULES:
            if applies(steps, theirs, ours):
                self.on_purpose[name] = self.on_purpose.get(name, 0) + 1
                return True
        return False


# ---- making it short ------------------------------------------------------------------------

def shorter(steps):
    """Everything that is a little shorter: without some steps, or without a packet of one."""
    size = max(1, len(steps) // 2)
    while size >= 1:
        for at in range(0, len(steps), size):
            yield steps[:at] + steps[at + size:]
        size //= 2
    for at, step in enumerate(steps):
        if step[0] == "send" and len(step[2]) > 1:
            for leave in range(len(step[2])):
                packets = step[2][:leave] + step[2][leave + 1:]
                yield steps[:at] + [(*step[:2], packets)] + steps[at + 1:]


def shrink(pair, steps, found, seconds=20):
    end = time.monotonic() + seconds
    steps = steps[:found[0] + 1]
    progress = True
    while progress:
        progress = False
        for fewer in shorter(steps):
            if time.monotonic() > end:
                return steps, found
            again = pair.play(fewer) if fewer else None
            if again:
                steps, found, progress = fewer[:again[0] + 1], again, True
                break
    return steps, found


def report(seed, steps, found):
    print("FAIL a difference at seed %d, behind these steps:" % seed)
    for step in steps:
        print("   ", step)
    print("  zookeeper:", found[1])
    print("  coord:    ", found[2], flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sequences", type=int, default=1000000)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20, help="begin no sequence after that")
    parser.add_argument("--differences", type=int, default=1, help="stop after so many")
    options = parser.parse_args()
    memory = "/dev/shm"
    scratch = tempfile.mkdtemp(prefix="coord-differential-", dir=memory if os.path.isdir(memory) else None)
    failed = played = 0
    try:
        pair = Pair(scratch)
        begin = time.monotonic()
        for seed in range(options.seed, options.seed + options.sequences):
            if time.monotonic() - begin > options.seconds or failed >= options.differences:
                break
            steps = Chooser(random.Random(seed)).steps(options.steps)
            found = pair.play(steps)
            played += 1
            if found:
                failed += 1
                report(seed, *shrink(pair, steps, found))
        print("%d sequences of %d steps in %.1fs" % (played, options.steps, time.monotonic() - begin))
        for name, count in sorted(pair.on_purpose.items()):
            print("on purpose, %d times: %s" % (count, name))
    finally:
        harness._end_all()
        shutil.rmtree(scratch, ignore_errors=True)
    print("%d passed, %d failed" % (played - failed, failed))
    sys.exit(1 if failed or not played else 0)


if __name__ == "__main__":
    main()
