"""Locks of kazoo (kazoo.recipe.lock: ephemeral sequential nodes) in the fault rounds, by that client as it is:
it reconnects, resumes and repeats as it likes. Each holder counts, with its place in the queue as the guard of every
write. Lines are those of clients/lock.c: "txn" for a write, "grant" for a time in which it was certainly the holder.

    kazoo_traffic.py DIR SEED HOST:PORT,... COUNT

runs until standard input ends."""
import logging
import os
import random
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, KazooException, NoNodeError, RolledBackError, RuntimeInconsistency
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.retry import KazooRetry

LOCKS = 2
SESSION_S, CALL_S, ACQUIRE_S = 2.0, 1.2, 4.0
STOP_S = 10
REFUSALS = (BadVersionError, NoNodeError, RolledBackError, RuntimeInconsistency)
# Of kazoo's own, about connections; the last three are what is raised amid a change of state.
TROUBLE = (KazooException, KazooTimeoutError, OSError, AttributeError, RuntimeError)


def now_us():
    return time.monotonic_ns() // 1000


class Holder:
    def __init__(self, folder, seed, servers, number, stop):
        self.name = "kazoo-lock-%d" % number
        self.random = random.Random("%d %s" % (seed, self.name))
        self.servers, self.stop = servers, stop
        self.file = open(os.path.join(folder, self.name + ".history"), "w", encoding="utf-8", buffering=1)
        self.written = 0
        self.client = None

    def write(self, *words):
        self.file.write(" ".join(str(word) for word in words) + "\n")

    def connect(self):
        if self.client is None:
            once = KazooRetry(max_tries=1)
            self.client = KazooClient(hosts=",".join(self.servers), timeout=SESSION_S, randomize_hosts=True,
                                      command_retry=once, connection_retry=KazooRetry(max_tries=-1, max_delay=0.2))
            self.client.start_async()
        return self.client.connected or self.stop.wait(0.02)

    def drop(self):
        """Its session ends by itself: a client that is gone says nothing."""
        if self.client is not None:
            self.client._session_id = None
            threading.Thread(target=self.client.stop, daemon=True).start()
            self.client = None

    def add(self, node, created, counter):
        """One more, if nobody else has written meanwhile and the place in the queue is still there. The times of
        the write, None if it was not done for certain."""
        value, stat = self.client.get_async(counter).get(timeout=CALL_S)
        self.written += 1
        wanted = "%d:%s.%d" % (int(value.decode().partition(":")[0]) + 1, self.name, self.written)
        transaction = self.client.transaction()
        transaction.check(node, -1)
        transaction.set_data(counter, wanted.encode(), stat.version)
        result, begin = "unknown", now_us()
        try:
            answers = transaction.commit_async().get(timeout=CALL_S)
            result = "refused" if any(isinstance(answer, REFUSALS) for answer in answers) else "ok"
        except REFUSALS:
            result = "refused"
        except TROUBLE:
            pass
        end = now_us()
        self.write("txn", begin, end, result, 0, "set", counter, stat.version, wanted, "fence", node, created)
        return (begin, end) if result == "ok" else None

    def hold(self, lock, folder, counter):
        node = "%s/%s" % (folder, lock.node)
        stat = self.client.exists_async(node).get(timeout=CALL_S)
        first = last = None
        while stat is not None and self.random.random() < 0.8:
            times = self.add(node, stat.czxid, counter)
            if times is None:
                break
            first, last = first or times[1], times[0]
        if first is not None and last > first:
            self.write("grant", folder, node, stat.czxid, first, last)

    def take_turn(self):
        number = self.random.randrange(LOCKS)
        folder, counter = "/kazoo/k%d" % number, "/count/k%d" % number
        lock = self.client.Lock(folder, self.name)
        if lock.acquire(timeout=ACQUIRE_S):
            self.hold(lock, folder, counter)
            lock.release()

    def run(self):
        while not self.stop.is_set():
            try:
                if self.connect():
                    self.take_turn()
            except TROUBLE:
                self.drop()
            self.stop.wait(self.random.random() * 0.02)


def main():
    logging.disable(logging.CRITICAL)
    folder, seed, servers = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
    stop = threading.Event()
    holders = [Holder(folder, seed, servers, number, stop) for number in range(int(sys.argv[4]))]
    threads = [threading.Thread(target=holder.run, daemon=True) for holder in holders]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join(STOP_S)
    sys.stdout.flush()
    os._exit(0)  # whatever kazoo's threads still wait for


if __name__ == "__main__":
    main()
