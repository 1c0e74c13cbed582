#!/usr/bin/env python3
"""Locks of a real cluster, through coord.v1.Lock."""
from harness import Cluster, ctl_ok, expect, main, until
from rpc import Call, field, lease


def acquire(node, lease_id, paths, more=""):
    targets = " ".join('targets { path: "%s" }' % p for p in paths.split())
    return Call(node, "Lock/Acquire", "LockAcquireRequest", "%s lease: %d %s" % (targets, lease_id, more),
                "LockAcquireReply")


def held(call):
    status, outcome, text = call.end()
    expect(status == 0, "not held: %s %s %s" % (status, outcome, text))
    return field(text, "path"), int(field(text, "epoch"))


def release(node, path):
    status, outcome, text = Call(node, "Lock/Release", "LockReleaseRequest", 'grants { path: "%s" }' % path,
                                 "LockReply").end()
    expect(status == 0, "not released: %s %s" % (outcome, text))


def queue(node, path):
    """How many hold or wait."""
    status, outcome, text = Call(node, "Lock/Get", "LockGetRequest", 'path: "%s"' % path, "LockGetReply").end()
    return 0 if outcome == "NO_NODE" else text.count("entries {") if status == 0 else -1


def test_a_lock_is_handed_over_across_members(scratch):
    a, b, c = Cluster(scratch).start().nodes
    one, two, three = lease(a), lease(b), lease(c)
    entry, epoch = held(acquire(a, one, "/locks/a"))
    waiting = acquire(b, two, "/locks/a", 'header { note: "why not" } owner: "w 2"')
    until(lambda: queue(c, "/locks/a") == 2, "the second waits")
    status, outcome, text = acquire(c, three, "/locks/a", "no_wait: true").end()
    expect((status, outcome) == (6, "HELD") and "held by" in text, (status, outcome, text))
    expect(b"q-" in ctl_ok(a, "ls", "/locks/a"), "people see the queue")
    expect(waiting.is_open(), "the second waits")
    release(c, entry)
    next_entry, next_epoch = held(waiting)
    expect(next_entry != entry and next_epoch > epoch, (next_entry, next_epoch))
    release(a, next_entry)


def test_a_deadlock_is_refused_and_named(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    one, two = lease(a), lease(b)
    held(acquire(a, one, "/x"))
    entry, _ = held(acquire(b, two, "/y"))
    waiting = acquire(a, one, "/y")
    until(lambda: queue(a, "/y") == 2, "one waits")
    refused = acquire(b, two, "/x")
    status, outcome, text = refused.end()
    expect((status, outcome) == (10, "DEADLOCK"), (status, outcome, text))
    expect("/x" in text and "/y" in text, text)
    cycle = refused.detail("coord-deadlock-bin", "LockDeadlock")
    expect("length: 2" in cycle and cycle.count("cycle {") == 2, cycle)
    expect(cycle.index("lease: %d" % two) < cycle.index("lease: %d" % one), "begins with who was refused: " + cycle)
    release(b, entry)
    held(waiting)


def test_waits_end_with_their_client_their_time_and_their_lease(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    one, two = lease(a), lease(b)
    held(acquire(a, one, "/l"))
    gone = acquire(b, two, "/l", 'owner: "gone"')
    until(lambda: queue(a, "/l") == 2, "it waits")
    gone.kill()
    until(lambda: queue(a, "/l") <= 1, "who has gone does not wait")
    status, outcome, text = acquire(b, two, "/l /m", 'owner: "late" wait_ms: 100').end()
    expect((status, outcome) == (4, "WAIT_TIMEOUT"), (status, outcome, text))
    waiting = acquire(b, two, "/l", 'owner: "patient"')
    until(lambda: queue(a, "/l") == 2, "another one waits")
    status, outcome, text = Call(a, "Lease/Revoke", "LeaseRevokeRequest", "id: %d" % one, "LeaseRevokeReply").end()
    expect(status == 0, text)
    held(waiting)


def test_a_wait_survives_another_leader(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    stays = [n for n in cluster.nodes if n is not leader]
    one, two = lease(stays[0]), lease(stays[1])
    entry, epoch = held(acquire(stays[0], one, "/l"))
    waiting = acquire(stays[1], two, "/l")
    until(lambda: queue(stays[0], "/l") == 2, "it waits")
    leader.kill()
    cluster.leader()
    expect(waiting.is_open(), "it still waits")
    release(stays[0], entry)
    expect(held(waiting)[1] > epoch, "a later epoch")


def test_locks_are_listed_by_pages_and_explained_on_any_member(scratch):
    nodes = Cluster(scratch).start().nodes
    one, two = lease(nodes[0]), lease(nodes[1])
    for path in ("/l/a", "/l/b", "/l/c/d", "/m"):
        held(acquire(nodes[0], one, path))
    waiting = acquire(nodes[1], two, "/l/b /m", 'owner: "w 2"')
    until(lambda: queue(nodes[2], "/m") == 2, "it waits", 60)
    seen, after = [], ""
    while True:
        status, _, text = Call(nodes[2], "Lock/List", "LockListRequest", 'path: "/l" limit: 1 after: "%s"' % after,
                               "LockListReply").end()
        expect(status == 0, text)
        seen.append(field(text, "path") if "locks {" in text else None)
        if "next:" not in text:
            break
        after = field(text, "next")
    expect([s for s in seen if s] == ["/l/a", "/l/b", "/l/c/d"], seen)
    status, _, text = Call(nodes[2], "Lock/Explain", "LockExplainRequest", 'path: "/m"', "LockExplainReply").end()
    expect(status == 0 and text.count("waits {") == 2 and 'owner: "w 2"' in text and "blocker_holds: true" in text, text)
    expect(text.index('path: "/m"') < text.index('path: "/l/b"'), "the lock itself comes first: " + text)
    status, outcome, _ = Call(nodes[2], "Lock/Explain", "LockExplainRequest", 'path: "/l"', "LockExplainReply").end()
    expect(outcome == "NO_RECIPE", (status, outcome))
    waiting.kill()


def guarded(node, method, request, guard):
    text = '%s guards { path: "%s" revision: %d }' % (request, *guard)
    status, outcome, text = Call(node, "Tree/" + method, method + "Request", text, method + "Reply").end()
    return outcome if status != 0 else "OK"


def test_writes_of_a_holder_that_lost_its_lock_are_refused(scratch):
    a, b, c = Cluster(scratch).start().nodes
    one, two = lease(a), lease(b)
    entry, epoch = held(acquire(a, one, "/l"))  # made and granted at once: the same revision
    waiting = acquire(b, two, "/l")
    until(lambda: queue(a, "/l") == 2, "the second waits")
    guard = entry, epoch
    writes = [("Create", 'path: "/new"'), ("Set", 'path: "/a" data: "1"'), ("SetAcl", 'path: "/a" acl { permissions: 31 scheme: "world" id: "anyone" }'),
              ("Delete", 'path: "/new"')]
    ctl_ok(a, "create", "/a", "0")
    for method, request in writes:
        outcome = guarded(b, method, request, guard)
        expect(outcome == "OK", "%s of the holder: %s" % (method, outcome))
    ctl_ok(a, "create", "/new", "0")
    release(c, entry)
    next_entry, _ = held(waiting)
    for method, request in [("Create", 'path: "/newer"')] + writes[1:]:
        outcome = guarded(b, method, request, guard)
        expect(outcome == "GUARD_STALE", "%s of who held it: %s" % (method, outcome))
    expect(ctl_ok(a, "get", "/new").strip() == b"0" and ctl_ok(a, "get", "/a").strip() == b"1", "nothing was written")
    expect(guarded(b, "Set", 'path: "/a"', (next_entry, 0)) == "BAD_ARGUMENTS", "a guard says which grant")


if __name__ == "__main__":
    main(globals())
