"""kazoo's own recipes, each with several clients at different servers."""
import datetime
import threading

from kazoo import exceptions as no
from kazoo.recipe.cache import TreeCache, TreeEvent

from checks import check, equal
from harness import expect, until
from kazoo_setup import WAIT_S, Clients, Thread, raises, settled


def spread(clients, t, count=3, **options):
    return [clients.open(t.servers[i % 3], **options) for i in range(count)]


class Overlap:
    """Counts who is inside; `most` is the highest count there ever was."""

    def __init__(self):
        self.lock = threading.Lock()
        self.inside = self.most = self.visits = 0

    def __enter__(self):
        with self.lock:
            self.inside += 1
            self.visits += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_):
        with self.lock:
            self.inside -= 1


@check("Lock: one holder at a time, in the order of arrival, contenders are named")
def _(t):
    with Clients(t) as clients:
        overlap = Overlap()
        zks = spread(clients, t)

        def work(zk):
            for _ in range(10):
                with zk.Lock(t.base, "name"):
                    with overlap:
                        pass
        for thread in [Thread(work, zk) for zk in zks]:
            thread.result()
        equal((overlap.most, overlap.visits), (1, 30))
        locks = [zk.Lock(t.base, "c%d" % i) for i, zk in enumerate(zks)]
        locks[0].acquire()
        waiting = []
        for i in (1, 2):
            waiting.append(Thread(locks[i].acquire))
            until(lambda: settled(zks[0]) or len(locks[0].contenders()) == len(waiting) + 1, "one more waits")
        equal(locks[0].contenders(), ["c0", "c1", "c2"])
        for i in (0, 1):
            locks[i].release()
            equal(waiting[i].result(), True)
            expect(locks[i + 1].is_acquired and not locks[i].is_acquired, "order")
        locks[2].release()


@check("Lock: does not wait when asked not to, or not longer than the timeout; a waiter can be cancelled")
def _(t):
    with Clients(t) as clients:
        one, two = spread(clients, t, 2)
        held, wanted = one.Lock(t.base), two.Lock(t.base)
        expect(held.acquire(), "acquired")
        equal(wanted.acquire(blocking=False), False)
        raises(no.LockTimeout, wanted.acquire, timeout=0.3)
        waiting = Thread(wanted.acquire)
        until(lambda: len(held.contenders()) == 2, "it waits")
        wanted.cancel()
        raises(no.CancelledError, waiting.result)
        held.release()
        expect(two.Lock(t.base).acquire(timeout=WAIT_S), "free again")


@check("Lock: passes on when the holder's session ends")
def _(t):
    with Clients(t) as clients:
        one, two = spread(clients, t, 2)
        one.Lock(t.base).acquire()
        waiting = Thread(two.Lock(t.base).acquire)
        until(lambda: len(one.get_children(t.base)) == 2, "it waits")
        one.stop()
        equal(waiting.result(), True)


@check("Lock: is kept, and passed on, when the holder's server is killed")
def _(t):
    with Clients(t) as clients:
        one = clients.open(timeout=20.0)
        server = clients.server_of(one)
        others = [s for s in t.servers if s is not server]
        two = clients.open(others[0], timeout=20.0)
        held = one.Lock(t.base)
        held.acquire()
        waiting = Thread(two.Lock(t.base).acquire)
        until(lambda: len(one.get_children(t.base)) == 2, "it waits")
        server.kill()
        until(lambda: "SUSPENDED" in one.states and one.connected, "the holder goes on elsewhere", 30)
        expect(waiting.is_alive(), "granted while it was held")
        one.retry(held.release)
        equal(waiting.result(), True)
        server.restart()


@check("ReadLock and WriteLock: readers share, a writer is alone, nobody overtakes a waiting writer")
def _(t):
    with Clients(t) as clients:
        zks = spread(clients, t, 4)
        readers = [zk.ReadLock(t.base) for zk in zks[:2]]
        for lock in readers:
            expect(lock.acquire(timeout=WAIT_S), "readers share")
        writer = zks[2].WriteLock(t.base)
        waiting = Thread(writer.acquire)
        until(lambda: len(zks[0].get_children(t.base)) == 3, "the writer waits")
        late = zks[3].ReadLock(t.base)
        late_waiting = Thread(late.acquire)
        until(lambda: len(zks[0].get_children(t.base)) == 4, "the late reader waits")
        readers[0].release()
        settled(zks[3])
        expect(waiting.is_alive() and late_waiting.is_alive(), "granted beside a reader")
        readers[1].release()
        equal(waiting.result(), True)
        expect(late_waiting.is_alive() and not late.is_acquired, "read beside a writer")
        writer.release()
        equal(late_waiting.result(), True)
        equal(zks[0].WriteLock(t.base).acquire(blocking=False), False)
        late.release()


@check("Semaphore: no more holders than leases, all get their turn")
def _(t):
    with Clients(t) as clients:
        overlap = Overlap()
        zks = spread(clients, t, 4)

        def work(zk):
            for _ in range(5):
                with zk.Semaphore(t.base, max_leases=2):
                    with overlap:
                        settled(zk)
        for thread in [Thread(work, zk) for zk in zks]:
            thread.result()
        expect(overlap.most <= 2, "%d inside" % overlap.most)
        equal(overlap.visits, 20)
        first, second, third = (zk.Semaphore(t.base, max_leases=2) for zk in zks[:3])
        expect(first.acquire() and second.acquire(), "two leases")
        equal(third.acquire(blocking=False), False)
        raises(no.LockTimeout, third.acquire, timeout=0.3)
        settled(zks[0])
        equal(len(first.lease_holders()), 2)
        zks[0].stop()
        expect(third.acquire(timeout=WAIT_S), "a lease is free once its holder's session is gone")


@check("Semaphore: who wants another number of leases is refused")
def _(t):
    with Clients(t) as clients:
        one, two = spread(clients, t, 2)
        one.Semaphore(t.base, max_leases=2).acquire()
        settled(two)
        try:
            two.Semaphore(t.base, max_leases=3).acquire()
            raise AssertionError("not refused")
        except ValueError:
            pass


@check("Election: one leads at a time, everybody's turn comes, contenders are named in order")
def _(t):
    with Clients(t) as clients:
        overlap = Overlap()
        led = []
        go_on = threading.Event()

        def lead(number):
            with overlap:
                led.append(number)
                go_on.wait(WAIT_S)
        elections, threads = [], []
        for number, zk in enumerate(spread(clients, t)):
            election = zk.Election(t.base, "c%d" % number)
            elections.append(election)
            threads.append(Thread(election.run, lead, number))
            until(lambda: len(elections[0].contenders()) == len(elections), "it runs for it")
        until(lambda: led == [0], "the first leads")
        equal(elections[0].contenders(), ["c0", "c1", "c2"])
        go_on.set()
        for thread in threads:
            thread.result()
        equal((led, overlap.most), ([0, 1, 2], 1))


@check("Election: a leader whose session ends is replaced; a candidate can withdraw")
def _(t):
    with Clients(t) as clients:
        one, two, three = spread(clients, t)
        led = []
        go_on = threading.Event()
        Thread(one.Election(t.base, "one").run, lambda: led.append(1) or go_on.wait(WAIT_S))
        until(lambda: led == [1], "the first leads")
        withdrawn = two.Election(t.base, "two")
        withdrawing = Thread(withdrawn.run, lambda: led.append(2))
        until(lambda: len(one.get_children(t.base)) == 2, "the second waits")
        third = Thread(three.Election(t.base, "three").run, lambda: led.append(3))
        until(lambda: len(one.get_children(t.base)) == 3, "the third waits")
        withdrawn.cancel()
        withdrawing.result()
        equal(led, [1])
        one.stop()
        third.result()
        equal(led, [1, 3])


@check("Barrier: holds everybody until it is removed")
def _(t):
    with Clients(t) as clients:
        zks = spread(clients, t)
        barrier = zks[0].Barrier(t.base)
        barrier.create()
        for zk in zks[1:]:
            settled(zk)
        waiting = [Thread(zk.Barrier(t.base).wait, WAIT_S) for zk in zks[1:]]
        equal(zks[1].Barrier(t.base).wait(0.3), False)
        expect(all(thread.is_alive() for thread in waiting), "let through")
        equal(barrier.remove(), True)
        equal([thread.result() for thread in waiting], [True, True])
        equal(barrier.remove(), False)
        settled(zks[1])
        equal(zks[1].Barrier(t.base).wait(0.3), True)


@check("DoubleBarrier: all enter together and all leave together")
def _(t):
    with Clients(t) as clients:
        zks = spread(clients, t)
        barriers = [zk.DoubleBarrier(t.base, 3) for zk in zks]
        entering = [Thread(barrier.enter) for barrier in barriers[:2]]
        until(lambda: zks[2].exists(t.base) and len(zks[2].get_children(t.base)) == 2, "two are there")
        expect(all(thread.is_alive() for thread in entering), "entered without the third")
        entering.append(Thread(barriers[2].enter))
        for thread in entering:
            thread.result()
        expect(all(barrier.participating for barrier in barriers), "all take part")
        leaving = [Thread(barrier.leave) for barrier in barriers[:2]]
        settled(zks[0])
        expect(any(thread.is_alive() for thread in leaving), "left without the third")
        leaving.append(Thread(barriers[2].leave))
        for thread in leaving:
            thread.result()
        settled(zks[0])
        equal([name for name in zks[0].get_children(t.base) if name != "ready"], [])


@check("Queue: first in, first out within a priority, every item to one consumer")
def _(t):
    with Clients(t) as clients:
        zks = spread(clients, t)
        queues = [zk.Queue(t.base) for zk in zks]
        equal(queues[0].get(), None)
        queues[0].put(b"later", priority=200)
        for i in range(5):
            queues[0].put(b"%d" % i)
        queues[0].put(b"first", priority=1)
        equal(len(queues[0]), 7)
        equal([queues[0].get() for _ in range(8)], [b"first", b"0", b"1", b"2", b"3", b"4", b"later", None])
        for i in range(60):
            queues[i % 3].put(b"%d" % i)
        taken = []

        def take(queue):
            item = queue.get()
            while item is not None:
                taken.append(item)
                item = queue.get()
        for zk in zks:
            settled(zk)
        for thread in [Thread(take, queue) for queue in queues]:
            thread.result()
        take(zks[0].Queue(t.base))
        equal(sorted(taken), sorted(b"%d" % i for i in range(60)))


@check("LockingQueue: an item is held until consumed, released to others otherwise")
def _(t):
    with Clients(t) as clients:
        one, two, three = (zk.LockingQueue(t.base) for zk in spread(clients, t))
        one.put(b"a")
        one.put_all([b"b", b"c"])
        equal(len(one), 3)
        settled(two.client)
        equal((one.get(WAIT_S), two.get(WAIT_S)), (b"a", b"b"))
        expect(one.holds_lock() and two.holds_lock(), "held")
        equal(one.get(WAIT_S), b"a")
        equal(one.consume(), True)
        two.release()
        settled(three.client)
        equal(three.get(WAIT_S), b"b")
        waiting = Thread(one.get, WAIT_S)
        equal(waiting.result(), b"c")
        three.client.stop()
        settled(two.client)
        equal(two.get(WAIT_S), b"b")
        equal((one.consume(), two.consume()), (True, True))
        equal(one.get(0.2), None)
        waiting = Thread(one.get, WAIT_S)
        two.put(b"z", priority=5)
        equal(waiting.result(), b"z")


@check("Counter: no increment of several clients is lost, of integers and floats")
def _(t):
    with Clients(t) as clients:
        zks = spread(clients, t)
        counters = [zk.Counter(t.base) for zk in zks]

        def work(counter):
            for _ in range(10):
                counter += 2
                counter -= 1
        for thread in [Thread(work, counter) for counter in counters]:
            thread.result()
        settled(zks[0])
        equal(counters[0].value, 30)
        floating = zks[0].Counter(t.base + "-f", default=1.5)
        floating += 2.25
        equal((floating.value, floating.pre_value, floating.post_value), (3.75, 1.5, 3.75))


@check("Party and ShallowParty: members are who has joined and lives")
def _(t):
    with Clients(t) as clients:
        zks = spread(clients, t)
        parties = [zk.Party(t.base, "m%d" % i) for i, zk in enumerate(zks)]
        for party in parties:
            party.join()
        settled(zks[0])
        equal((len(parties[0]), sorted(parties[0])), (3, ["m0", "m1", "m2"]))
        expect("m1" in set(parties[0]), "m1")
        parties[1].leave()
        zks[2].stop()
        settled(zks[0])
        equal(list(parties[0]), ["m0"])
        shallow = zks[0].ShallowParty(t.base + "-s", "me")
        shallow.join()
        equal((len(shallow), list(shallow)), (1, ["me"]))


@check("SetPartitioner: shares everything out, without overlap, also as members come and go")
def _(t):
    items = tuple(range(9))
    with Clients(t) as clients:
        zks = spread(clients, t)
        made = []

        def join(zk, name):
            made.append(zk.SetPartitioner(t.base, items, identifier=name, time_boundary=0.5))

        def drive(active):
            """Moves each on by what its state asks for; True once all have acquired, without overlap."""
            for one in active:
                expect(not one.failed, "a partitioner failed")
                if one.release:
                    one.release_set()
                elif one.allocating:
                    one.wait_for_acquire(0.1)
            shares = [list(one) for one in active if one.acquired]
            every = sorted(item for share in shares for item in share)
            expect(len(every) == len(set(every)), "an item has two owners: %r" % shares)
            return every == sorted(items) and len(shares) == len(active) and min(map(len, shares)) > 0
        for number, zk in enumerate(zks):
            join(zk, "p%d" % number)
            until(lambda: drive(made), "%d members share everything" % len(made), 30)
        leaver = made.pop()
        leaver.finish()
        zks[2].stop()
        until(lambda: drive(made) and sorted(len(list(one)) for one in made) == [4, 5],
              "what a leaver had is shared out", 30)
        for one in made:
            one.finish()


@check("TreeCache: follows a tree, tells of each node, knows data and children")
def _(t):
    with Clients(t) as clients:
        writer, reader = spread(clients, t, 2)
        writer.create(t.base, b"root")
        writer.create(t.base + "/a", b"1")
        settled(reader)
        events = []
        cache = TreeCache(reader, t.base)
        cache.listen(lambda event: events.append((event.event_type, event.event_data and event.event_data.path)))
        cache.listen_fault(lambda error: events.append(("fault", error)))
        cache.start()
        until(lambda: (TreeEvent.INITIALIZED, None) in events, "it has read everything")
        equal(cache.get_data(t.base + "/a").data, b"1")
        writer.create(t.base + "/a/b", b"2")
        writer.set(t.base + "/a", b"11")
        writer.create(t.base + "/c")
        writer.delete(t.base + "/c")
        writer.create(t.base + "/end")
        until(lambda: (TreeEvent.NODE_ADDED, t.base + "/end") in events, "it hears of the last")
        until(lambda: cache.get_data(t.base + "/a").data == b"11", "it knows the new data")
        equal(sorted(cache.get_children(t.base)), ["a", "end"])
        equal(sorted(cache.get_children(t.base + "/a")), ["b"])
        equal(cache.get_data(t.base + "/c"), None)
        expect((TreeEvent.NODE_UPDATED, t.base + "/a") in events, "the update is told")
        writer.delete(t.base + "/a", recursive=True)
        until(lambda: (TreeEvent.NODE_REMOVED, t.base + "/a") in events, "the removal is told")
        expect(not [event for event in events if event[0] == "fault"], "faults: %r" % events)
        cache.close()


@check("TreeCache: is right again after its server was killed")
def _(t):
    with Clients(t) as clients:
        reader = clients.open(timeout=20.0)
        server = clients.server_of(reader)
        writer = clients.open([s for s in t.servers if s is not server][0], timeout=20.0)
        writer.create(t.base, b"")
        writer.create(t.base + "/a", b"1")
        settled(reader)
        cache = TreeCache(reader, t.base)
        cache.start()
        until(lambda: cache.get_data(t.base + "/a"), "it has read everything")
        server.kill()
        writer.retry(writer.set, t.base + "/a", b"2")
        writer.retry(writer.create, t.base + "/b", b"3")
        until(lambda: cache.get_data(t.base + "/a").data == b"2" and cache.get_data(t.base + "/b"),
              "it has caught up", 30)
        server.restart()
        cache.close()


@check("DataWatch: calls back with each new value, None for no node, ends when told to")
def _(t):
    with Clients(t) as clients:
        writer, reader = spread(clients, t, 2)
        seen = []
        reader.DataWatch(t.base, lambda data, stat: seen.append(data))
        until(lambda: seen == [None], "there is no node yet")
        for step in ((writer.create, b"1"), (writer.set, b"2"), (writer.set, b"3")):
            step[0](t.base, step[1])
            until(lambda value=step[1]: seen[-1] == value, "the value is told")
        writer.delete(t.base)
        until(lambda: seen[-1] is None, "the delete is told")
        equal(seen, [None, b"1", b"2", b"3", None])
        once = []

        @reader.DataWatch(t.base + "-2")
        def stops(data, stat, event):
            once.append(event and event.type)
            return data is None
        writer.create(t.base + "-2", b"x")
        until(lambda: "CREATED" in once, "the create is told")
        writer.set(t.base + "-2", b"y")
        settled(reader)
        equal(once, [None, "CREATED"])


@check("ChildrenWatch: calls back with each new list")
def _(t):
    with Clients(t) as clients:
        writer, reader = spread(clients, t, 2)
        writer.create(t.base)
        settled(reader)
        seen = []
        reader.ChildrenWatch(t.base, lambda children: seen.append(sorted(children)))
        for step in (lambda: writer.create(t.base + "/a"), lambda: writer.create(t.base + "/b"),
                     lambda: writer.delete(t.base + "/a")):
            before = len(seen)
            step()
            until(lambda count=before: len(seen) > count, "the new list is told")
        equal(seen, [[], ["a"], ["a", "b"], ["b"]])


@check("NonBlockingLease: one holder until its time is over")
def _(t):
    with Clients(t) as clients:
        one, two = spread(clients, t, 2)
        hour = datetime.timedelta(hours=1)
        expect(one.NonBlockingLease(t.base, hour, "one"), "the first gets it")
        settled(two)
        expect(not two.NonBlockingLease(t.base, hour, "two"), "a second got it as well")
        expect(one.NonBlockingLease(t.base, hour, "one"), "its holder renews it")
