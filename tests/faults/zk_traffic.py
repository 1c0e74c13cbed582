"""Clients of the fault rounds that speak ZooKeeper's protocol; the lines they write are those of
clients/worker.h, txn.h and lock.c, and of one-shot watches:

    armed PATH REVISION       a watch was set by a read of the node at that revision
    fired TYPE PATH           it fired (the next line says what was read or answered behind it)
    reply REVISION            a reply with that zxid was received
    gone                      the connection was lost, and with it what was armed

    zk_traffic.py DIR BEGIN_US ROTATE_MS SLOTS SEED HOST:PORT,... KIND=COUNT...

runs until standard input ends. KIND: kv, bank, lock, session."""
import os
import random
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
from zk_client import Ended, Lost, Session, Unsent, now_us, wire  # noqa: E402

RESULTS = {0: "ok", wire.NO_NODE: "not_found", wire.EXISTS_ALREADY: "exists", wire.BAD_VERSION: "bad_version",
           wire.NOT_EMPTY: "not_empty"}
SESSION_MS = 2000
EPHEMERAL, SEQUENTIAL = 1, 2
ACCOUNTS, LOCKS = 5, 2


class Answer:
    def __init__(self, result, packet=None):
        self.result = result
        self.revision = packet.zxid if packet is not None and packet.zxid > 0 else 0
        self.body = packet.body if packet is not None else None
        self.data, self.stat, self.path = "-", None, None


class Client:
    def __init__(self, name, number, plan, stop):
        self.name, self.plan, self.stop = name, plan, stop
        self.random = random.Random("%d %s" % (plan.seed, name))
        self.file = open(os.path.join(plan.folder, name + ".history"), "w", encoding="utf-8", buffering=1 << 20)
        servers = plan.servers[number % len(plan.servers):] + plan.servers[:number % len(plan.servers)]
        self.session = Session(servers, SESSION_MS, self.on_event)
        self.written = 0

    def write(self, *words):
        self.file.write(" ".join(str(word) for word in words) + "\n")

    def on_event(self, kind, path):
        self.write("fired", kind, path)

    def value(self):
        self.written += 1
        return "%s.%d" % (self.name, self.written)

    def think(self, ms):
        time.sleep(self.random.random() * ms / 1000)

    def is_ready(self):
        """Connected, with a session."""
        if self.session.socket is not None:
            return True
        self.write("gone")
        before = self.session.id
        try:
            self.session.connect()
        except Lost:
            self.think(20)
            return False
        except Ended:
            self.session.forget()
            return False
        if self.session.id != before:
            self.write("session", self.session.id, 0, 0)
        return True

    def call(self, *requests):
        begin = now_us()
        try:
            packet = self.session.call(*requests)
            answer = Answer(RESULTS.get(packet.err, "failed"), packet)
            if answer.revision:
                self.write("reply", answer.revision)
        except Unsent:
            answer = Answer("failed")
        except Lost:
            answer = Answer("unknown")
        except Ended:
            self.session.forget()
            answer = Answer("ended")
        return begin, now_us(), answer

    def op(self, kind, path, arg, expect, begin, end, answer):
        stat = answer.stat
        modified, version = (stat.mzxid, stat.version) if stat is not None else (0, 0)
        self.write("op", kind, path, arg, expect, begin, end, answer.result, answer.revision, answer.data, modified,
                   version)
        return answer

    # ---- calls -----------------------------------------------------------------------------------
    def get(self, path, fresh=True, watch=False):
        request = (wire.GET, wire.buf(path) + wire.flag(watch))
        requests = ((wire.SYNC, wire.buf(path)), request) if fresh else (request,)
        begin, end, answer = self.call(*requests)
        if answer.result == "unknown":
            answer.result = "failed"  # a read that was not answered says nothing
        if answer.result == "ok":
            answer.data, answer.stat = answer.body.buf().decode() or "-", answer.body.stat()
            if watch:
                self.write("armed", path, answer.revision)
        return self.op("get" if fresh else "sget", path, "-", -1, begin, end, answer)

    def set(self, path, value, expect=-1):
        begin, end, answer = self.call((wire.SET, wire.buf(path) + wire.buf(value) + wire.i32(expect)))
        if answer.result == "ok":
            answer.stat = answer.body.stat()
        return self.op("set", path, value, expect, begin, end, answer)

    def create(self, path, value, flags=0):
        begin, end, answer = self.call((wire.CREATE2, wire.create(path, value, flags=flags)))
        if answer.result == "ok":
            answer.path, answer.stat = answer.body.text(), answer.body.stat()
        return self.op("create", answer.path or path, value, -1, begin, end, answer)

    def delete(self, path):
        begin, end, answer = self.call((wire.DELETE, wire.buf(path) + wire.i32(-1)))
        return self.op("delete", path, "-", -1, begin, end, answer)

    def txn(self, sets, fence=None):
        """`sets`: (path, expect, value). `fence`: a node that must be there."""
        operations = [(wire.SET, wire.buf(p) + wire.buf(v) + wire.i32(e)) for p, e, v in sets]
        words = [word for item in sets for word in ("set", *item)]
        if fence is not None:
            operations.insert(0, (wire.CHECK, wire.buf(fence) + wire.i32(-1)))
            words += ["fence", fence, 0]
        begin, end, answer = self.call((wire.MULTI, wire.multi(*operations)))
        if answer.result == "ok" and any(result[0] == "error" for result in wire.multi_results(answer.body)):
            answer.result = "refused"
        elif answer.result in ("not_found", "bad_version"):
            answer.result = "refused"
        self.write("txn", begin, end, answer.result, answer.revision, *words)
        return begin, end, answer

    # ---- what clients do -------------------------------------------------------------------------
    def run_kv(self):
        generation = (now_us() - self.plan.begin_us) // self.plan.rotate_us
        path = "/kv/s%d.%d" % (self.random.randrange(self.plan.slots), max(generation, 0))
        dice = self.random.randrange(100)
        if dice < 20:
            self.get(path)
        elif dice < 40:
            self.get(path, fresh=False, watch=self.random.random() < 0.7)
        elif dice < 60:
            self.set(path, self.value())
        elif dice < 72:
            seen = self.get(path, fresh=False)
            if seen.result == "ok":
                self.set(path, self.value(), seen.stat.version)
        elif dice < 92:
            self.create(path, self.value())
        else:
            self.delete(path)
        self.think(12)

    def run_bank(self):
        one, other = self.random.sample(range(ACCOUNTS), 2)
        paths = ["/bank/a%d" % number for number in (one, other)]
        seen = [self.get(path, fresh=self.random.random() < 0.5) for path in paths]
        if all(answer.result == "ok" for answer in seen):
            amount = self.random.randrange(1, 9)
            self.txn([(path, answer.stat.version, "%d:%s" % (int(answer.data.partition(":")[0]) + change, self.value()))
                      for path, answer, change in zip(paths, seen, (-amount, amount))])
        self.think(20)

    def run_session(self):
        """Ephemeral nodes; now and then the session is closed, or left to die."""
        path = "/eph/%s.%d" % (self.name, self.random.randrange(4))
        dice = self.random.randrange(100)
        if dice < 50:
            self.create(path, self.value(), EPHEMERAL)
        elif dice < 90:
            self.get(path)
        elif dice < 95:
            self.delete(path)
        elif dice < 98:
            self.call((wire.CLOSE, b""))
            self.session.forget()
        else:
            self.session.forget()
        self.think(25)

    def run_lock(self):
        lock = self.random.randrange(LOCKS)
        folder, counter = "/lock/z%d" % lock, "/count/z%d" % lock
        place = self.create(folder + "/q-", self.value(), EPHEMERAL | SEQUENTIAL)
        if place.result != "ok":
            # It may be in the queue all the same; with the session it goes.
            self.session.forget()
            return
        node, name = place.path, place.path.rpartition("/")[2]
        while not self.stop.is_set():
            if not self.is_ready():
                if self.session.id == 0:
                    return
                continue
            _, _, answer = self.call((wire.SYNC, wire.buf(folder)), (wire.CHILDREN, wire.buf(folder) + wire.flag(False)))
            if answer.result == "ok":
                names = sorted(answer.body.vector(answer.body.text))
                if name not in names:
                    return
                if names[0] == name:
                    self.count(folder, node, place.stat.czxid, counter)
                    break
            self.think(20)
        if self.session.socket is None or self.delete(node).result not in ("ok", "not_found"):
            self.session.forget()

    def count(self, folder, node, created, counter):
        """Certainly the holder: from the end of the first write that its place in the queue allowed to the begin
        of the last one."""
        first = last = None
        for _ in range(5):
            seen = self.get(counter)
            if seen.result != "ok":
                break
            value = "%d:%s" % (int(seen.data.partition(":")[0]) + 1, self.value())
            begin, end, answer = self.txn([(counter, -1, value)], node)
            if answer.result != "ok":
                break
            first = first or end
            last = begin
        if first is not None and last > first:
            self.write("grant", folder, node, created, first, last)

    def run(self, kind):
        try:
            while not self.stop.is_set():
                if self.is_ready():
                    kind(self)
            self.session.drop()
        except Exception as failure:  # whatever a reply did to this client, the round is told
            self.write("wrong", repr(failure).replace("\n", " "))
        finally:
            self.file.close()


class Plan:
    def __init__(self, words):
        self.folder, self.begin_us, self.rotate_us, self.slots, self.seed = \
            words[0], int(words[1]), int(words[2]) * 1000, int(words[3]), int(words[4])
        self.servers = [(host, int(port)) for host, port in
                        (server.rsplit(":", 1) for server in words[5].split(","))]


KINDS = {"kv": Client.run_kv, "bank": Client.run_bank, "lock": Client.run_lock, "session": Client.run_session}


def main():
    plan = Plan(sys.argv[1:7])
    stop = threading.Event()
    threads = []
    for word in sys.argv[7:]:
        kind, _, count = word.partition("=")
        for number in range(int(count)):
            client = Client("zk-%s-%d" % (kind, number), number, plan, stop)
            threads.append(threading.Thread(target=client.run, args=(KINDS[kind],)))
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
