#!/usr/bin/env python3
"""coordctl shard, on a real cluster."""
import json
import re
import signal

from harness import COORDCTL, Cluster, Program, ctl, ctl_ok, expect, main, until
from rpc import lease

MAP = "/search/docs"


def shard(node, verb, *words):
    return ctl_ok(node, "shard", verb, MAP, *words).decode()


def status(node):
    return json.loads(ctl_ok(node, "shard", "status", MAP, "-o", "json"))


def a_map(node, *policy, nodes=("n1", "n2", "n3")):
    shard(node, "create", "shards=4", "slots=1024", *policy)
    return {name: join(node, name) for name in nodes}


def join(node, name):
    number = lease(node)
    shard(node, "join", name, "127.0.0.1:1", "zone=z-" + name, "--lease", "%x" % number)
    return number


def test_a_map_is_made_planned_and_shown(scratch):
    a, b, c = Cluster(scratch).start().nodes
    a_map(a, "replicas=2", "zone_max=1", "bandwidth=1M")
    plan = shard(b, "plan")
    expect(plan.count("assign") == 4 and "4 steps" in plan, plan)
    expect(all(s["state"] == "nowhere" for s in status(c)["shards"]), status(c))
    nobody = shard(c, "locate", "document-17")
    expect("leader -  replicas -  epoch 0" in nobody, nobody)
    expect(re.search(rb"(?m)^map ", ctl_ok(a, "ls", "-l", MAP)), "a map's nodes are of a kind of their own")
    expect("4 steps" in shard(a, "apply", "repair"), "it is done as planned")
    now = status(c)
    expect(all(s["state"] == "ok" and len(s["replicas"]) == 2 for s in now["shards"]), now)
    expect(now["imbalance_permille"] < 300 and now["moves"] == 0, now)
    table = shard(b, "status")
    expect(table.splitlines()[0].split() == ["SHARD", "LEADER", "REPLICAS", "EPOCH", "STATE", "PROGRESS"], table)
    expect("4 shards, 3 nodes, imbalance" in table.splitlines()[-1], table)
    where = json.loads(ctl_ok(a, "shard", "locate", MAP, "document-17", "-o", "json"))
    expect(where["leader"] and where["shard"] in range(4), where)


def test_a_move_by_hand_is_held_resumed_and_aborted(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    a_map(a, "replicas=1", nodes=("n1",))
    shard(a, "apply")
    join(a, "n2")
    shard(b, "move", "0", "n1", "n2")
    move = status(b)["shards"][0]["move"]
    expect((move["state"], move["from"], move["to"]) == ("preparing", "n1", "n2"), move)
    shard(a, "hold", "0")
    expect(status(b)["shards"][0]["move"]["held"], "it is held")
    shard(b, "resume", "0")
    expect("move 0 move n1->n2" in shard(a, "status"), shard(a, "status"))
    shard(a, "abort", "0")
    expect(status(b)["shards"][0]["move"]["aborted"], "who had begun cleans up")
    done = ctl(a, "shard", "move", MAP, "0", "n7", "n2")
    expect(done[0] == 1, done)


def test_shards_are_split_merged_and_set(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    a_map(a, "replicas=1", nodes=("n1",))
    shard(a, "apply")
    shard(b, "split", "0")
    expect(len(status(b)["shards"]) == 5, status(b))
    shard(b, "merge", "0", "4")
    expect(len(status(a)["shards"]) == 4, status(a))
    shard(a, "set", "1", "replicas=2")
    plan = shard(a, "plan", "repair")
    expect("no place" in plan and "1 have another replica" in plan, plan)
    shard(a, "configure", "replicas=2", "automatic=repair", "hours=22:00-06:00", "unclean=yes")
    spec = dict(line.split("=") for line in ctl_ok(a, "get", MAP).decode().split())
    expect((spec["slots"], spec["replicas"], spec["automatic"], spec["hours_begin"], spec["unclean"])
           == ("1024", "2", "repair", "1320", "1"), spec)
    shard(a, "configure", "concurrent=7", "timeout=2h", "imbalance=0.25")
    spec = dict(line.split("=") for line in ctl_ok(a, "get", MAP).decode().split())
    expect((spec["concurrent"], spec["timeout_ms"], spec["imbalance_permille"], spec["automatic"])
           == ("7", "7200000", "250", "repair"), spec)


def test_ranges_and_directories_say_where_a_key_is(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    shard(a, "create", "strategy=range", "bounds=g,p")
    where = [json.loads(ctl_ok(b, "shard", "locate", MAP, key, "-o", "json"))["shard"] for key in ("a", "g", "ox", "p")]
    expect(where == [0, 1, 1, 2], where)
    shard(a, "split", "1", "k")
    expect(json.loads(ctl_ok(b, "shard", "locate", MAP, "ox", "-o", "json"))["shard"] == 3, "the upper part")
    shard(a, "drop")
    shard(a, "create", "strategy=directory", "shards=3")
    shard(a, "key", "acme", "2")
    expect(json.loads(ctl_ok(b, "shard", "locate", MAP, "acme", "-o", "json"))["shard"] == 2, "as it was told")
    shard(a, "key", "acme")
    expect(ctl(b, "shard", "locate", MAP, "acme")[0] == 3, "nothing has it any more")


def test_what_is_wrong_is_said(scratch):
    a = Cluster(scratch).start().nodes[0]
    for words, code, text in ((("create", MAP, "replicas=x"), 2, "a number from 1 to 16"),
                              (("create", MAP, "colour=red"), 2, "is not a NAME=VALUE"),
                              (("create", MAP, "shards=4294967297"), 2, "a number up to 4294967295"),
                              (("create", MAP, "automatic=maybe"), 2, "no, repair, fill or balance"),
                              (("status", "/nowhere"), 3, "/nowhere"),
                              (("plan", "/nowhere"), 3, "/nowhere"),
                              (("plan", MAP, "everything"), 2, "repair, fill or balance"),
                              (("create", MAP, "shards=1"), 0, ""),
                              (("set", MAP, "0", "replicas=4294967299"), 2, "a number from 1 to 16"),
                              (("set", MAP, "0", "weight=4294967296"), 2, "a number up to 4294967295"),
                              (("join", MAP, "n1", "127.0.0.1:1", "capacity=4611686018427387905"), 2, "is not bytes"),
                              (("move", MAP, "0", "a", "b"), 1, "; coordctl shard status says what the map has")):
        done = ctl(a, "shard", *words)
        expect(done[0] == code and text in str(done[2]), (words, done))


def test_a_watch_and_a_join_last_as_long_as_they_run(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    shard(a, "create", "shards=2", "replicas=1", "automatic=repair", "lost_after=2s")
    watch = Program(scratch, COORDCTL, "shard", "watch", MAP, COORD_ENDPOINTS=a.endpoint)
    node = Program(scratch, COORDCTL, "shard", "join", MAP, "n1", "127.0.0.1:1", COORD_ENDPOINTS=b.endpoint)
    until(lambda: [s["leader"] for s in status(a)["shards"]] == ["n1", "n1"], "it is given the shards", 60)
    node.process.send_signal(signal.SIGTERM)
    node.process.wait(60)
    until(lambda: [s["state"] for s in status(a)["shards"]] == ["leaderless"] * 2, "it has left", 60)
    until(lambda: "gone nodes/n1" in watch.printed() and "awaits=n1" in watch.printed(), "and the watch says so", 60)


if __name__ == "__main__":
    main(globals())
