"""What the clients of a round have written down, as objects. Lines are described in clients/worker.h, txn.h,
session.c, lock.c, held.h, elect.c, watch.c, dump.h, and in zk_traffic.py."""
import os

FOREVER = 1 << 62
READS = ("get", "sget")
# Outcomes that the store decided, without a change, and one where nothing was decided.
NEGATIVE = ("not_found", "exists", "bad_version", "not_empty", "refused")


class Op:
    """One call on one node. `sget` is a read that may be old, as a session allows."""
    __slots__ = ("client", "kind", "path", "arg", "expect", "begin", "end", "result", "revision", "data",
                 "modified", "version", "found")

    def __init__(self, client, kind, path, arg, expect, begin, end, result, revision, data, modified, version):
        self.client, self.kind, self.path, self.arg = client, kind, path, arg
        self.expect, self.begin, self.end = int(expect), int(begin), int(end)
        self.result, self.revision, self.data = result, int(revision), data
        self.modified, self.version = int(modified), int(version)
        self.found = None  # the change that it made, once replay has found it

    def __repr__(self):
        return "%s %s %s %s expect %d [%d..%d] -> %s at %d: %s %d v%d" % (
            self.client, self.kind, self.path, self.arg, self.expect, self.begin, self.end, self.result,
            self.revision, self.data, self.modified, self.version)


class Txn:
    __slots__ = ("client", "begin", "end", "result", "revision", "sets", "fences", "reads", "found")

    def __init__(self, client, words):
        self.client = client
        self.begin, self.end, self.result, self.revision = int(words[0]), int(words[1]), words[2], int(words[3])
        self.sets, self.fences, self.reads = [], [], []
        self.found = None
        at = 4
        while at < len(words):
            if words[at] == "set":
                self.sets.append((words[at + 1], int(words[at + 2]), words[at + 3]))
                at += 4
            elif words[at] == "fence":
                self.fences.append((words[at + 1], int(words[at + 2])))
                at += 3
            elif words[at] == "read":
                self.reads.append((words[at + 1], words[at + 2], int(words[at + 3]), int(words[at + 4])))
                at += 5
            else:
                raise ValueError("a transaction with '%s'" % words[at])

    def __repr__(self):
        return "%s txn [%d..%d] -> %s at %d: sets %r fences %r reads %r" % (
            self.client, self.begin, self.end, self.result, self.revision, self.sets, self.fences, self.reads)


class Change:
    """A line of the change log."""
    __slots__ = ("revision", "sub", "type", "path", "value", "modified", "version", "created", "lease",
                 "reason", "session", "note", "by")

    def __init__(self, words):
        self.revision, self.sub, self.type, self.path, self.value = \
            int(words[0]), int(words[1]), words[2], words[3], words[4]
        self.modified, self.version, self.created, self.lease, self.reason, self.session = map(int, words[5:11])
        self.note = words[11]
        self.by = None  # the call that asked for it

    def __repr__(self):
        return "%d.%d %s %s %s v%d reason %d by %s" % (self.revision, self.sub, self.type, self.path, self.value,
                                                      self.version, self.reason, self.note)


class Watch:
    def __init__(self, client, words):
        self.client = client
        self.scope, self.path = words[0], words[1]
        self.first, self.begin, self.end = int(words[2]), int(words[3]), int(words[4])
        self.events = []  # (revision, sub, type, path, value, version)
        self.seen = None  # everything up to there was handed out
        self.lost = None

    def covers(self, path):
        if self.scope == "node":
            return path == self.path
        if self.scope == "children":
            return path.rpartition("/")[0] == self.path.rstrip("/")
        if self.scope == "prefix":
            return path.startswith(self.path)
        return self.path == "/" or path == self.path or path.startswith(self.path + "/")

    def __repr__(self):
        return "%s watch of %s %s from %d [%d..%d]" % (self.client, self.scope, self.path, self.first, self.begin,
                                                       self.end)


class Grant:
    """`client` held `lock` from `begin` to `end`, or took itself for the holder."""

    def __init__(self, client, words):
        self.client = client
        self.lock, self.node = words[0], words[1]
        self.created, self.begin, self.end = map(int, words[2:5])

    def __repr__(self):
        return "%s held %s by %s (created at %d) [%d..%d]" % (self.client, self.lock, self.node, self.created,
                                                             self.begin, self.end)


class Held:
    """`client` was granted `lock`, or the lead in it, with `epoch`, by the cluster."""

    def __init__(self, client, words):
        self.client = client
        self.lock, self.node = words[0], words[1]
        self.created, self.epoch, self.begin, self.end = map(int, words[2:6])

    def __repr__(self):
        return "%s held %s by %s (created at %d, epoch %d) [%d..%d]" % (
            self.client, self.lock, self.node, self.created, self.epoch, self.begin, self.end)


class Campaign:
    """`client` asked to lead, and to be known by `value`."""

    def __init__(self, client, words):
        self.client = client
        self.election, self.value = words[0], words[1]
        self.begin, self.end, self.result = int(words[2]), int(words[3]), words[4]

    def __repr__(self):
        return "%s campaigned in %s as %s [%d..%d] -> %s" % (self.client, self.election, self.value, self.begin,
                                                             self.end, self.result)


class History:
    """All that was recorded in a round."""

    def __init__(self):
        self.ops, self.txns, self.watches, self.grants, self.held = [], [], [], [], []
        self.campaigns = []
        self.trusts = []    # (session, sent, until)
        self.endings = []   # (session, when)
        self.changes = []
        self.events = []    # of one-shot watches: (client, word, ...) as in zk_traffic.py
        self.sessions = {}  # id: client

        self.floor = None
        self.problems = []  # lines that make no sense

    def add_line(self, client, line):
        word, _, rest = line.partition(" ")
        words = rest.split()
        if word == "op":
            self.ops.append(Op(client, *words))
        elif word == "txn":
            self.txns.append(Txn(client, words))
        elif word == "watch":
            self.watches.append(Watch(client, words[1:]))
        elif word == "event":
            _, kind, path, revision, sub, value, _, version, _ = words
            self.watches[-1].events.append((int(revision), int(sub), kind, path, value, int(version)))
        elif word == "seen":
            self.watches[-1].seen = int(words[1])
        elif word == "lost":
            self.watches[-1].lost = words[1]
        elif word == "grant":
            self.grants.append(Grant(client, words))
        elif word == "held":
            self.held.append(Held(client, words))
        elif word == "campaign":
            self.campaigns.append(Campaign(client, words))
        elif word == "trust":
            self.trusts.append((int(words[0]), int(words[1]), int(words[2])))
        elif word == "session":
            self.sessions[int(words[0])] = client
        elif word == "ended":
            self.endings.append((int(words[0]), int(words[1])))
        elif word in ("armed", "fired", "reply", "gone"):
            self.events.append((client, word, *words))
        elif word == "wrong":
            self.problems.append("%s: %s" % (client, rest))
        elif word not in ("close", "#"):
            self.problems.append("%s: what is '%s'?" % (client, line))

    def add_log(self, lines):
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "floor":
                self.floor = int(rest)
            elif word == "change":
                self.changes.append(Change(rest.split()))

    def calls(self):
        return len(self.ops) + len(self.txns)


def load(folder):
    """Of all files NAME.history."""
    history = History()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".history"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                for line in file:
                    history.add_line(name[:-len(".history")], line.rstrip("\n"))
    return history
