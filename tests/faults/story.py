"""Made-up histories for the tests of the checkers: a store that does everything right, clients whose calls overlap, and
what they would have written down. Tests then plant what must be found."""
import random

import history as records
import replay

LOCK, COUNTER = "/lock/l0", "/count/l0"
GRANTED, GRANTED_COUNTER = "/held/g0", "/count/g0"
ELECTED, ELECTED_COUNTER = "/lead/e0", "/count/e0"
ACCOUNTS = 5


class Story:
    """`unknown` of 100 calls lose their answer: half of these were done."""

    def __init__(self, seed, calls=300, clients=5, keys=3, unknown=0):
        self.random = random.Random(seed)
        self.lines = []      # (client, line)
        self.log = []
        self.revision = 1
        self.nodes = {}      # path: [value, version, created, modified]
        self.written = 0
        self.unknown = unknown
        for path in ("/kv", "/bank", "/lock", "/count", "/eph", "/held", "/lead", LOCK):
            self.set_up(path, "-")
        for account in range(ACCOUNTS):
            self.set_up("/bank/a%d" % account, "100:setup.%d" % account)
        self.set_up(COUNTER, "0:setup.count")
        self.set_up(GRANTED_COUNTER, "0:setup.granted")
        self.set_up(ELECTED_COUNTER, "0:setup.elected")
        self.free_at = {"kv-%d" % number: 1000 for number in range(clients)}
        for _ in range(calls):
            client = min(self.free_at, key=lambda name: (self.free_at[name], name))
            self.call(client, "/kv/k%d" % self.random.randrange(keys))
        self.hold_locks()
        self.hold_granted_locks()
        self.lead()
        self.watch()

    # ---- the store -------------------------------------------------------------------------------
    def change(self, kind, path, value, client, same=False):
        """Does it, whatever it is; `same`: in the revision of the one before."""
        if not same:
            self.revision += 1
        sub = 1 + int(self.log[-1].split()[2]) if same else 0
        if kind == "create":
            self.nodes[path] = [value, 0, self.revision, self.revision]
        elif kind == "set":
            node = self.nodes[path]
            node[0], node[1], node[3] = value, node[1] + 1, self.revision
        node = self.nodes[path]
        if kind == "delete":
            del self.nodes[path]
        self.log.append("change %d %d %s %s %s %d %d %d 0 0 0 %s" % (
            self.revision, sub, kind, path, value, node[3], node[1], node[2], client))

    def op(self, client, kind, path, arg, expect, begin, end, result, data="-", node=None, revision=None):
        revision = self.revision if revision is None else revision
        modified, version = (node[3], node[1]) if node else (0, 0)
        ok = result == "ok"
        self.lines.append((client, "op %s %s %s %d %d %d %s %d %s %d %d" % (
            kind, path, arg, expect, begin, end, result, revision if ok else 0, data, modified, version)))

    def set_up(self, path, value):
        self.change("create", path, value, "setup")
        self.op("setup", "create", path, value, -1, 10 * self.revision, 10 * self.revision + 1, "ok",
                node=self.nodes[path])

    # ---- calls: each takes effect at its begin plus one, and is answered later --------------------
    def call(self, client, path):
        begin = self.free_at[client]
        end = begin + 2 + self.random.randrange(60)
        self.free_at[client] = end + 1 + self.random.randrange(20)
        lost = self.random.randrange(100) < self.unknown
        if lost:
            # The client gives up and goes on; what it asked for may come later, or never.
            end = begin + 3
            self.free_at[client] = end + 1
        done = not lost or self.random.random() < 0.5
        kind = self.random.choice(("get", "get", "set", "set", "create", "delete", "swap"))
        node = self.nodes.get(path)
        self.written += 1
        value = "%s.%d" % (client, self.written)
        if kind == "get":
            if not lost:
                self.op(client, "get", path, "-", -1, begin, end, "ok" if node else "not_found", node[0] if node else "-",
                        node)
            return
        expect = -1
        if kind == "swap":
            kind = "set"
            expect = node[1] if node and self.random.random() < 0.7 else 7777
        possible = node is None if kind == "create" else node is not None and expect in (-1, node[1])
        if possible and done:
            self.change(kind, path, value if kind != "delete" else "-", client)
        result = "unknown" if lost else "ok" if possible else "exists" if kind == "create" else \
            "not_found" if node is None else "bad_version"
        self.op(client, kind, path, value if kind != "delete" else "-", expect, begin, end, result,
                node=self.nodes.get(path) if result == "ok" else None)

    def transfer(self, client="bank-0"):
        """Behind all other calls."""
        begin = max(self.free_at.values()) + 1
        words = []
        for account, change in ((0, -5), (1, 5)):
            path = "/bank/a%d" % account
            self.written += 1
            balance = int(self.nodes[path][0].partition(":")[0]) + change
            value = "%d:%s.%d" % (balance, client, self.written)
            words.append("set %s %d %s" % (path, self.nodes[path][1], value))
            self.change("set", path, value, client, same=account == 1)
        self.free_at[client] = begin + 10
        self.lines.append((client, "txn %d %d ok %d %s" % (begin, begin + 9, self.revision, " ".join(words))))

    def hold_locks(self):
        """Two holders, one after the other, each of whom counts once."""
        self.transfer()
        for number, client in enumerate(("lock-0", "lock-1")):
            begin = max(self.free_at.values()) + 1
            node = "%s/q-%010d" % (LOCK, number)
            self.written += 1
            self.change("create", node, "%s.%d" % (client, self.written), client)
            created = self.revision
            self.op(client, "create", node, "%s.%d" % (client, self.written), -1, begin, begin + 1, "ok",
                    node=self.nodes[node])
            value = "%d:%s.count" % (number + 1, client)
            self.change("set", COUNTER, value, client)
            self.lines.append((client, "txn %d %d ok %d set %s -1 %s fence %s %d" % (
                begin + 3, begin + 5, self.revision, COUNTER, value, node, created)))
            self.lines.append((client, "grant %s %s %d %d %d" % (LOCK, node, created, begin + 2, begin + 6)))
            self.change("delete", node, "-", client)
            self.op(client, "delete", node, "-", -1, begin + 7, begin + 8, "ok")
            self.free_at[client] = begin + 9

    def hold_granted_locks(self):
        """As above, but the cluster says who holds it: the second one waits for the first."""
        self.hold_in_turn(GRANTED, GRANTED_COUNTER, "recipe=lock,", {"held-0": "mode=write,", "held-1": "mode=write,"})

    def lead(self):
        """The same of an election, whose candidates have campaigned."""
        begin = max(self.free_at.values()) + 1
        says = {}
        for number, client in enumerate(("elect-0", "elect-1")):
            self.written += 1
            value = "%s.%d" % (client, self.written)
            says[client] = "mode=candidate,owner=%s,value=%s," % (client, value)
            self.lines.append((client, "campaign %s %s %d %d ok" % (ELECTED, value, begin, begin + 1 + 6 * number)))
        self.hold_in_turn(ELECTED, ELECTED_COUNTER, "recipe=election,", says)

    def hold_in_turn(self, path, counter, head, says):
        """`says`: of two clients, what the entry of each has beside its state."""
        begin = max(self.free_at.values()) + 1
        clients = list(says)
        self.change("create", path, head, clients[0])
        entries = ["%s/q-%010d" % (path, number) for number in (0, 1)]
        created = [self.revision]
        self.change("create", entries[0], "state=held,epoch=%d,%s" % (self.revision, says[clients[0]]), clients[0],
                    same=True)
        self.change("create", entries[1], "state=waiting," + says[clients[1]], clients[1])
        created.append(self.revision)
        for number, client in enumerate(clients):
            epoch = created[0] if number == 0 else self.revision
            value = "%d:%s.count" % (number + 1, client)
            self.change("set", counter, value, client)
            self.lines.append((client, "txn %d %d ok %d set %s -1 %s fence %s %d" % (
                begin + 1, begin + 3, self.revision, counter, value, entries[number], created[number])))
            self.lines.append((client, "held %s %s %d %d %d %d" % (
                path, entries[number], created[number], epoch, begin, begin + 4)))
            self.change("delete", entries[number], "-", client)
            if number == 0:
                granted = "state=held,epoch=%d,%s" % (self.revision, says[clients[1]])
                self.change("set", entries[1], granted, client, same=True)
            self.free_at[client] = begin + 5
            begin += 6

    def watch(self):
        begin = max(self.free_at.values()) + 1
        self.change("create", "/end", "end", "end")
        self.op("end", "create", "/end", "end", -1, begin, begin + 1, "ok", node=self.nodes["/end"])
        self.lines.append(("watch-0", "watch 1 subtree / 1 5 6"))
        for line in self.log:
            _, revision, sub, kind, path, value, modified, version, _, _, reason, _, _ = line.split()
            self.lines.append(("watch-0", "event 1 %s %s %s %s %s %s %s %s" % (
                kind, path, revision, sub, value, modified, version, reason)))
        self.lines.append(("watch-0", "seen 1 %d" % self.revision))

    # ---- for tests -------------------------------------------------------------------------------
    def find(self, *words, of=None):
        """Places of lines that begin so."""
        return [at for at, (client, line) in enumerate(self.lines)
                if line.split()[:len(words)] == list(words) and (of is None or client == of)]

    def edit(self, at, **changes):
        """Words of an op line by name."""
        names = ("op", "kind", "path", "arg", "expect", "begin", "end", "result", "revision", "data", "modified",
                 "version")
        client, line = self.lines[at]
        words = dict(zip(names, line.split()))
        words.update({name: str(value) for name, value in changes.items()})
        self.lines[at] = (client, " ".join(words[name] for name in names))

    def told(self):
        history = records.History()
        for client, line in self.lines:
            history.add_line(client, line)
        history.add_log(["floor 2"] + self.log)
        return history

    def judged(self):
        """History, replay model, and what checker 1 says."""
        history = self.told()
        model = replay.Replay(history)
        return history, model, model.run()
