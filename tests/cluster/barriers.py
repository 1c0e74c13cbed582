#!/usr/bin/env python3
"""Barriers, latches, counters and ids of a real cluster, through coord.v1.Barrier and coord.v1.Counter."""
from harness import Cluster, ctl_ok, expect, main, until
from rpc import Call, field
from rpc import lease as short_lease


def lease(node):
    """One that outlives every pause of a busy machine."""
    return short_lease(node, 3600000)


def ask(node, method, request_type, request, reply_type):
    status, outcome, text = Call(node, method, request_type, request, reply_type).end(60)
    return outcome if status != 0 else text


def enter(node, lease_id, path, parties, more=""):
    return Call(node, "Barrier/Enter", "BarrierEnterRequest",
                'path: "%s" lease: %d parties: %d %s' % (path, lease_id, parties, more), "BarrierEnterReply")


def entered(call):
    status, outcome, text = call.end(60)
    expect(status == 0, "not inside: %s %s %s" % (status, outcome, text))
    grant = text.split("grant {", 1)[1]
    return field(grant, "path"), int(field(grant, "revision")), int(field(grant, "epoch"))


def leave(node, entry, method="Leave"):
    return Call(node, "Barrier/" + method, "BarrierLeaveRequest",
                'entry { path: "%s" revision: %d }' % entry[:2], "BarrierReply")


def parties(node, path):
    """How many are there, inside, and leave."""
    text = ask(node, "Barrier/Get", "BarrierGetRequest", 'path: "%s"' % path, "BarrierGetReply")
    return text.count("entries {"), text.count("inside: true"), text.count("leaving: true")


def test_parties_go_in_together_and_leave_together(scratch):
    nodes = Cluster(scratch).start().nodes
    leases = [lease(node) for node in nodes]
    first = enter(nodes[0], leases[0], "/b/x", 3)
    until(lambda: parties(nodes[2], "/b/x") == (1, 0, 0), "one waits", 60)
    second = enter(nodes[1], leases[1], "/b/x", 0)
    until(lambda: parties(nodes[2], "/b/x") == (2, 0, 0), "two wait", 60)
    expect(first.is_open() and second.is_open(), "they wait")
    status, outcome, text = enter(nodes[2], leases[2], "/b/x", 2).end(60)
    expect((status, outcome) == (9, "MISMATCH") and "3" in text, (status, outcome, text))
    inside = [entered(call) for call in (enter(nodes[2], leases[2], "/b/x", 3), first, second)]
    expect(len({epoch for _, _, epoch in inside}) == 1, "all went in at one revision: %r" % inside)
    late = enter(nodes[0], leases[0], "/b/x", 3, 'name: "late"')
    until(lambda: parties(nodes[1], "/b/x") == (4, 3, 0), "who comes late waits", 60)
    ctl_ok(nodes[0], "create", "/data", "0")
    guard = 'path: "/data" data: "1" guards { path: "%s" revision: %d }' % inside[0][:2]
    expect("stat" in ask(nodes[1], "Tree/Set", "SetRequest", guard, "SetReply"), "who is inside may write")
    leaving = [leave(nodes[2], inside[0]), leave(nodes[0], inside[1])]
    until(lambda: parties(nodes[1], "/b/x") == (4, 3, 2), "two leave", 60)
    expect(all(call.is_open() for call in leaving), "and wait for the third")
    last = leave(nodes[1], inside[2])
    for call in leaving + [last]:
        status, outcome, text = call.end(60)
        expect(status == 0, (status, outcome, text))
    expect(parties(nodes[1], "/b/x") == (1, 0, 0), "they have gone, one still waits")
    expect(ask(nodes[1], "Tree/Set", "SetRequest", guard, "SetReply") == "GUARD_STALE", "and may not write any more")
    late.kill()
    until(lambda: parties(nodes[1], "/b/x")[0] == 0, "who has gone does not wait", 60)


def test_a_party_that_is_lost_holds_up_nobody_who_leaves(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    one, two = lease(a), lease(b)
    first = enter(a, one, "/b/y", 2)
    until(lambda: parties(b, "/b/y")[0] == 1, "one waits", 60)
    status, outcome, _ = enter(b, two, "/b/y", 2, 'name: "late" wait_ms: 1 no_wait: false').end(60)
    expect(status == 0, "two are enough: %s" % outcome)
    entry = entered(first)
    leaves = leave(a, entry)
    until(lambda: parties(b, "/b/y") == (2, 2, 1), "one leaves", 60)
    status, outcome, text = Call(a, "Lease/Revoke", "LeaseRevokeRequest", "id: %d" % two, "LeaseRevokeReply").end(60)
    expect(status == 0, text)
    status, outcome, text = leaves.end(60)
    expect(status == 0, "it left: %s %s" % (outcome, text))
    status, outcome, _ = enter(a, one, "/b/y", 2, "no_wait: true").end(60)
    expect((status, outcome) == (6, "HELD"), (status, outcome))
    status, outcome, _ = enter(a, one, "/b/y", 2, "wait_ms: 50").end(60)
    expect((status, outcome) == (4, "WAIT_TIMEOUT"), (status, outcome))
    waits = enter(a, one, "/b/y", 2)
    until(lambda: parties(b, "/b/y")[0] == 1, "it waits", 60)
    path = 'entry { path: "%s" }' % field(
        ask(b, "Barrier/Get", "BarrierGetRequest", 'path: "/b/y"', "BarrierGetReply").split("entries {")[1], "path")
    status, outcome, text = Call(b, "Barrier/Withdraw", "BarrierLeaveRequest", path, "BarrierReply").end(60)
    expect(status == 0, text)
    status, outcome, _ = waits.end(60)
    expect((status, outcome) == (10, "WAIT_ENDED"), (status, outcome))


def latch(node, method, request):
    kind = {"SetLatch": "LatchSetRequest", "CountDown": "LatchCountDownRequest"}[method]
    text = ask(node, "Barrier/" + method, kind, request, "LatchReply")
    return int(field(text, "count")) if "count:" in text else 0 if "header" in text else text


def await_latch(node, path, more=""):
    return Call(node, "Barrier/AwaitLatch", "LatchAwaitRequest", 'path: "%s" %s' % (path, more), "LatchReply")


def test_a_latch_opens_for_all_who_await_it(scratch):
    cluster = Cluster(scratch).start()
    a, b, c = cluster.nodes
    expect(await_latch(a, "/latch").end(60)[1] == "NO_NODE", "there is none")
    expect(latch(a, "SetLatch", 'path: "/latch" count: 3') == 3, "three are to come")
    waiting = [await_latch(node, "/latch") for node in (a, b, c)]
    expect(latch(b, "CountDown", 'path: "/latch"') == 2 and latch(c, "CountDown", 'path: "/latch"') == 1, "one is missing")
    status, _, text = await_latch(c, "/latch", "no_wait: true").end(60)
    expect(status == 0 and field(text, "count") == "1", text)
    expect(all(call.is_open() for call in waiting), "all wait")
    expect(latch(a, "CountDown", 'path: "/latch" by: 7') == 0, "it is open")
    for call in waiting + [await_latch(b, "/latch")]:
        status, outcome, text = call.end(60)
        expect(status == 0, (status, outcome, text))
    expect(latch(a, "SetLatch", 'path: "/latch" count: 1') == 1, "it is shut again")
    waits = await_latch(b, "/latch")
    expect(waits.is_open(), "it waits")
    ctl_ok(c, "rm", "/latch")
    status, outcome, _ = waits.end(60)
    expect(outcome in ("WAIT_ENDED", "NO_NODE"), (status, outcome))


def add(node, path, delta, more=""):
    text = ask(node, "Counter/Add", "CounterAddRequest", 'path: "%s" delta: %d %s' % (path, delta, more), "CounterAddReply")
    return int(field(text, "value")) if "value:" in text else 0 if "header" in text else text


def test_counters_add_up_and_keep_their_bounds(scratch):
    nodes = Cluster(scratch).start().nodes
    calls = [Call(nodes[i % 3], "Counter/Add", "CounterAddRequest", 'path: "/n" delta: 1 high { value: 10 }', "CounterAddReply")
             for i in range(12)]
    ends = sorted(call.end(60)[1] for call in calls)
    expect(ends == ["LIMIT"] * 2 + ["OK"] * 10, "ten of twelve fit: %r" % ends)
    expect(add(nodes[0], "/n", -25) == -15 and add(nodes[1], "/n", -1, "low { value: -15 }") == "LIMIT", "down")
    text = ask(nodes[2], "Counter/Get", "CounterGetRequest", 'path: "/n"', "CounterGetReply")
    expect(field(text, "value") == "-15", text)
    expect(b"value=-15" in ctl_ok(nodes[0], "get", "/n"), "people can read it")
    ctl_ok(nodes[0], "create", "/plain", "7")
    expect(add(nodes[0], "/plain", 1) == "NO_RECIPE", "no counter")
    ctl_ok(nodes[0], "rm", "/n")
    expect(add(nodes[0], "/n", 2) == 2, "it begins anew")


def test_blocks_of_ids_never_overlap(scratch):
    nodes = Cluster(scratch).start().nodes
    calls = [Call(nodes[i % 3], "Counter/AllocateIds", "CounterAllocateIdsRequest", 'path: "/ids" count: %d' % (i + 1),
                  "CounterAllocateIdsReply") for i in range(9)]
    given, created = [], set()
    for call in calls:
        status, outcome, text = call.end(60)
        expect(status == 0, (outcome, text))
        first, count = int(field(text, "first")), int(field(text, "count"))
        given += range(first, first + count)
        created.add(field(text, "created"))
    expect(sorted(given) == list(range(1, 46)) and len(created) == 1, "each once, without gaps: %r" % sorted(given))
    expect(ask(nodes[0], "Counter/AllocateIds", "CounterAllocateIdsRequest", 'path: "/ids" count: 2 last: 46',
               "CounterAllocateIdsReply") == "LIMIT", "no half of a block")
    expect(add(nodes[0], "/ids", -1) == "NO_RECIPE", "ids never go down")


if __name__ == "__main__":
    main(globals())
