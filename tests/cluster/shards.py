#!/usr/bin/env python3
"""Shard maps of a real cluster, through coord.v1.ShardMap."""
from harness import Cluster, ctl_ok, expect, main, until
from rpc import Call, lease

MAP = "/search/docs"


def ask(node, method, request, message=None):
    """(status, outcome, text)"""
    return Call(node, "ShardMap/" + method, "ShardMap%sRequest" % (message or method),
                'path: "%s" %s' % (MAP, request), "ShardMapReply").end()


def done(node, method, request, message=None):
    status, outcome, text = ask(node, method, request, message)
    expect(status == 0, "%s: %s %s" % (method, outcome, text))


def says(node, path):
    """What a node of the map says, as a dictionary."""
    text = ctl_ok(node, "get", MAP + path).decode()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def shard(node, number):
    return says(node, "/shards/s-%010d" % number)


def set_guarded(node, number, epoch):
    """A write by who believes to lead the shard."""
    return Call(node, "Tree/Set", "SetRequest",
                'path: "/data" data: "x" guards { path: "%s/shards/s-%010d" revision: %d }' % (MAP, number, epoch),
                "SetReply").end()[:2]


def a_map_of_two(node):
    done(node, "Create", "shards: 4 slots: 1024 policy { replicas: 2 concurrent_moves: 1 }")
    leases = {name: lease(node) for name in ("n1", "n2", "n3")}
    for name, number in leases.items():
        done(node, "Join", 'node: "%s" lease: %d address: "127.0.0.1:1" zone: "z-%s"' % (name, number, name))
    base = revision(node)
    steps = " ".join('steps { shard: %d kind: ASSIGN_REPLICAS to: "n1,n2" }' % i for i in range(4))
    done(node, "Apply", "revision: %d %s" % (base, steps))
    ctl_ok(node, "create", "/data", "-")
    return leases


def revision(node):
    status, _, text = Call(node, "Tree/Sync", "SyncRequest", "", "SyncReply").end()
    expect(status == 0, text)
    return int(next(line.split(": ")[1] for line in text.splitlines() if line.strip().startswith("revision: ")))


def test_a_shard_moves_and_whoever_led_it_can_write_no_more(scratch):
    a, b, c = Cluster(scratch).start().nodes
    a_map_of_two(a)
    before = shard(b, 0)
    expect((before["leader"], before["replicas"], before["high"]) == ("n1", "n1,n2", "255"), before)
    epoch = int(before["epoch"])
    expect(set_guarded(c, 0, epoch) == (0, "OK"), "who leads may write")
    done(a, "Apply", 'revision: %d steps { shard: 0 from: "n1" to: "n3" why: "balance" }' % revision(a))
    move = "moves { move: 0 state: %s }"
    refused = ask(b, "Report", 'node: "n2" ' + move % "COPYING_MOVE")
    expect(refused[1] == "MISMATCH", refused)
    for state in ("COPYING_MOVE", "CATCHING_UP_MOVE"):
        done(b, "Report", 'node: "n3" ' + move % state)
    expect(set_guarded(a, 0, epoch) == (0, "OK"), "it leads until the switch")
    done(b, "Report", 'node: "n3" ' + move % "SWITCHING_MOVE")
    after = shard(c, 0)
    expect(after["leader"] == "n3" and int(after["epoch"]) > epoch, after)
    expect(set_guarded(a, 0, epoch)[1] == "GUARD_STALE", "and not after it")
    expect(set_guarded(a, 0, int(after["epoch"])) == (0, "OK"), "another one leads")
    done(c, "Report", 'node: "n3" ' + move % "CLEANING_UP_MOVE")
    done(c, "Report", 'node: "n1" ' + move % "DONE_MOVE")
    expect(sorted(shard(a, 0)["replicas"].split(",")) == ["n2", "n3"], shard(a, 0))
    expect(ctl_ok(a, "ls", MAP + "/moves").strip() == b"", "nothing moves any more")


def test_the_end_of_a_session_gives_its_shards_another_leader_at_once(scratch):
    a, b, c = Cluster(scratch).start().nodes
    leases = a_map_of_two(a)
    epochs = [int(shard(b, i)["epoch"]) for i in range(4)]
    status, _, text = Call(b, "Lease/Revoke", "LeaseRevokeRequest", "id: %d" % leases["n1"], "LeaseRevokeReply").end()
    expect(status == 0, text)
    for i in range(4):
        now = shard(a, i)
        expect(now["leader"] == "n2" and int(now["epoch"]) > epochs[i], now)
        expect(set_guarded(c, i, epochs[i])[1] == "GUARD_STALE", "the lost one writes no more")


def test_a_plan_of_what_has_changed_since_is_refused(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    leases = a_map_of_two(a)
    base = revision(a)
    done(b, "Leave", 'node: "n3"')
    expect(leases["n3"] > 0, "it had joined")
    refused = ask(a, "Apply", 'revision: %d steps { shard: 0 from: "n1" to: "n3" }' % base)
    expect(refused[1] == "BAD_VERSION", refused)


def revoke(node, number):
    status, _, text = Call(node, "Lease/Revoke", "LeaseRevokeRequest", "id: %d" % number, "LeaseRevokeReply").end()
    expect(status == 0, text)


def work_off(node, limit=500):
    """Every node of the map does what its moves ask for, until there are none."""
    states = {"preparing": "COPYING", "copying": "CATCHING_UP", "catching-up": "SWITCHING",
              "switching": "CLEANING_UP", "cleaning-up": "DONE"}
    for _ in range(limit):
        names = ctl_ok(node, "ls", MAP + "/moves").decode().split()
        if not names:
            return
        for name in names:
            move = says(node, "/moves/" + name)
            if move["state"] in states:
                who = move["cleans"] if move["state"] == "cleaning-up" else move["to"]
                done(node, "Report", 'node: "%s" moves { move: %d state: %s_MOVE }'
                     % (who, int(name[2:]), states[move["state"]]))
    expect(False, "moves do not end")


def test_a_plan_says_what_it_does_and_why_and_is_applied_as_it_is(scratch):
    a, b, c = Cluster(scratch).start().nodes
    leases = a_map_of_two(a)
    revoke(b, leases["n1"])
    status, outcome, text = Call(c, "ShardMap/Plan", "ShardMapPlanRequest", 'path: "%s"' % MAP,
                                 "ShardMapPlanReply").end()
    expect(status == 0, "%s %s" % (outcome, text))
    expect(text.count("steps {") == 4 and text.count('why: "lost"') == 4, text)
    expect(text.count('from: "n1"') == 4 and text.count('to: "n3"') == 4, text)
    base = int(text.split("\nrevision: ")[1].split()[0]) if "\nrevision: " in text else revision(c)
    steps = " ".join('steps { shard: %d from: "n1" to: "n3" why: "lost" }' % i for i in range(4))
    done(a, "Apply", "revision: %d %s" % (base, steps))
    work_off(a)
    for i in range(4):
        expect(sorted(shard(b, i)["replicas"].split(",")) == ["n2", "n3"], shard(b, i))
    status, _, text = Call(b, "ShardMap/Plan", "ShardMapPlanRequest", 'path: "%s"' % MAP,
                           "ShardMapPlanReply").end()
    expect(status == 0 and "steps {" not in text, text)
    status, outcome, _ = Call(b, "ShardMap/Plan", "ShardMapPlanRequest", 'path: "/data"',
                              "ShardMapPlanReply").end()
    expect(outcome == "NO_NODE", outcome)


def test_a_map_that_plans_by_itself_is_assigned_and_repaired(scratch):
    cluster = Cluster(scratch).start()
    a, b, _ = cluster.nodes
    done(a, "Create", "shards: 6 slots: 1024 policy { replicas: 2 automatic: GOAL_BALANCE "
         "lost_after_ms: 1000 }")
    leases = {name: lease(b) for name in ("n1", "n2", "n3")}
    for name, number in leases.items():
        done(a, "Join", 'node: "%s" lease: %d address: "127.0.0.1:1"' % (name, number))

    def is_whole(without=None):
        shards = [shard(a, i) for i in range(6)]
        return all(s.get("leader") and len(s["replicas"].split(",")) == 2 and
                   without not in s["replicas"].split(",") for s in shards)

    def is_assigned():
        work_off(a)  # the first plan may have come before the last node, and then there are moves
        return is_whole()
    until(is_assigned, "the map is assigned by itself", 60)
    revoke(a, leases["n2"])

    def is_repaired():
        work_off(a)
        return is_whole("n2")
    until(is_repaired, "what was lost is replaced by itself", 60)


def test_who_comes_back_with_old_data_does_not_lead(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    leases = a_map_of_two(a)
    revoke(a, leases["n2"])  # goes first: what n1 writes from now on it lacks
    revoke(a, leases["n1"])
    done(b, "Join", 'node: "n2" lease: %d' % lease(b))
    expect("leader" not in shard(b, 0) and shard(b, 0)["awaits"] == "n1", shard(b, 0))
    _, _, text = Call(b, "ShardMap/Plan", "ShardMapPlanRequest", 'path: "%s"' % MAP,
                      "ShardMapPlanReply").end()
    expect("steps {" not in text and text.count('awaits: "n1"') == 4, text)
    done(a, "Apply", 'revision: %d steps { shard: 1 kind: LEAD_REPLICA to: "n2" }' % revision(a))
    done(a, "Report", 'node: "n2" moves { move: 0 state: SWITCHING_MOVE }')
    expect(shard(b, 1)["leader"] == "n2", "somebody has said so")
    done(a, "Join", 'node: "n1" lease: %d' % lease(a))
    expect(shard(b, 0)["leader"] == "n1" and "awaits" not in shard(b, 0), shard(b, 0))
    expect(shard(b, 1)["leader"] == "n2", shard(b, 1))


if __name__ == "__main__":
    main(globals())
