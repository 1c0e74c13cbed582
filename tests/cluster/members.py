#!/usr/bin/env python3
"""Members come and go under load: no acknowledged write is lost, and nobody has to be restarted."""
import json
import os
import shutil

from harness import HOST, PATIENCE, Cluster, Ctl, Node, Writers, ctl, ctl_ok, expect, free_port, main, until

# Small enough that who joins needs a snapshot.
SHORT_LOG = {"snapshot_log_bytes": "64k", "trailing_log_bytes": "16k", "wal_segment_bytes": "128k"}
LIMIT = ("--timeout", "%ds" % int(20 * PATIENCE))


def members(node):
    return {m["name"]: m for m in json.loads(ctl_ok(node, "member", "list", "-o", "json"))}


def states(node):
    return {name: m["state"] for name, m in members(node).items()}


def joining(scratch, name, endpoint, **flags):
    """A node with an empty data dir, which asks that member to be added."""
    return Node(scratch, name, join=endpoint, peer_listen="%s:%d" % (HOST, free_port()), **SHORT_LOG,
                **flags)


def wait_for_voters(node, names):
    until(lambda: states(node) == {name: "voter" for name in names}, "voters are %r" % sorted(names), 30)


def test_three_grow_to_five_and_shrink_to_three_under_load(scratch):
    cluster = Cluster(scratch, **SHORT_LOG).start()
    writers = Writers(scratch, cluster.endpoints, "/load", count=4)
    writers.wait_for_more(300)
    for i, name in enumerate(("n4", "n5")):
        node = joining(scratch, name, cluster.nodes[i].endpoint).start()
        cluster.nodes.append(node)
        until(lambda: states(cluster.nodes[0]).get(name) == "voter", name + " is a voter", 30)
        writers.wait_for_more(50)
    wait_for_voters(cluster.nodes[4], ["n1", "n2", "n3", "n4", "n5"])
    first = cluster.leader()
    others = [n.endpoint for n in cluster.nodes if n is not first]
    watching = Ctl(scratch, ",".join([first.endpoint] + others), "watch", "/", "--recursive")
    watching.lines(20)
    for node in (first, next(n for n in cluster.nodes[:3] if n is not first)):
        through = next(n for n in cluster.nodes if n is not node)
        out = ctl_ok(through, *LIMIT, "member", "remove", node.name)
        expect(out == b"%s is removed\n" % node.name.encode(), "it says %r" % out)
        until(lambda: node.status()["state"] == "removed" if "state" in node.status()
              else node.status()["role"] == "removed", node.name + " says that it is removed")
        status, text = node.http("/ready")[:2]
        expect(status == 503 and "was removed from the cluster" in text, "%r %r" % (status, text))
        if node is first:
            watching.lines(len(watching.printed().splitlines()) + 20, 15)  # at another member
        cluster.nodes.remove(node)
        writers.wait_for_more(50)
        out = ctl_ok(through, "member", "remove", node.name)
        expect(out.startswith(b"already done: "), "twice: %r" % out)
        # Neither a restart brings it back.
        node.kill()
        node.start()
        until(lambda: "was removed" in node.http("/ready")[1], "it still says so")
        node.terminate()
    wait_for_voters(cluster.nodes[0], [n.name for n in cluster.nodes])
    acked, _, failed = writers.stop()
    expect(not failed, "writes failed: %r" % failed[:3])
    cluster.converge()
    for node in cluster.nodes:
        writers.check(node, acked)


def test_node_whose_disk_is_lost_is_replaced_under_load(scratch):
    cluster = Cluster(scratch, **SHORT_LOG).start()
    writers = Writers(scratch, cluster.endpoints, "/load", count=4)
    writers.wait_for_more(300)
    lost = cluster.followers()[0]
    other = next(n for n in cluster.nodes if n is not lost)
    lost.kill()
    shutil.rmtree(lost.data_dir)
    writers.wait_for_more(100)
    # Started as before, it takes no part: it may have promised what it has forgotten.
    lost.start()
    until(lambda: "member replace" in lost.http("/ready")[1], "it says how it is replaced")
    lost.kill()
    shutil.rmtree(lost.data_dir)
    out = ctl_ok(other, *LIMIT, "member", "replace", lost.name)
    expect(b"--join" in out, "it says what comes next: %r" % out)
    old_id = members(other)[lost.name]["id"]
    new = Node(scratch, lost.name, join=other.endpoint, peer_listen=lost.peers[lost.name], **SHORT_LOG)
    new.start()
    cluster.nodes[cluster.nodes.index(lost)] = new
    wait_for_voters(other, ["n1", "n2", "n3"])
    expect(members(other)[lost.name]["id"] != old_id, "its id is a new one")
    writers.wait_for_more(100)
    acked, _, failed = writers.stop()
    expect(not failed, "writes failed: %r" % failed[:3])
    cluster.converge()
    for node in cluster.nodes:
        writers.check(node, acked)


def test_learner_serves_and_stays_a_standby_until_it_is_promoted(scratch):
    cluster = Cluster(scratch, **SHORT_LOG).start()
    ctl_ok(cluster.nodes[0], "create", "/a", "1")
    learner = joining(scratch, "n4", ",".join(n.endpoint for n in cluster.nodes), learner="true").start()
    until(lambda: states(learner).get("n4") == "standby", "it is a standby", 30)
    until(learner.is_ready, "it serves", 15)
    expect(ctl_ok(learner, "get", "/a") == b"1", "it reads, linearizably")
    ctl_ok(learner, "set", "/a", "2")
    expect(ctl_ok(cluster.nodes[1], "get", "/a") == b"2", "it writes")
    ctl_ok(learner, *LIMIT, "member", "promote", "n4")
    wait_for_voters(learner, ["n1", "n2", "n3", "n4"])


def test_leadership_is_handed_over_by_name(scratch):
    cluster = Cluster(scratch).start()
    for node in cluster.followers():
        ctl_ok(cluster.nodes[0], *LIMIT, "member", "transfer", node.name)
        expect(cluster.leader() is node, node.name + " leads")
    out = ctl_ok(cluster.nodes[0], "member", "transfer", cluster.leader().name)
    expect(out.startswith(b"already done: "), "%r" % out)


def test_leadership_is_handed_over_once_when_nobody_is_named(scratch):
    cluster = Cluster(scratch).start()
    for node in cluster.nodes:
        before, term = cluster.leader(), cluster.leader().status()["term"]
        out = ctl_ok(node, *LIMIT, "member", "transfer").decode()
        now = cluster.leader()
        expect(now is not before and now.name in out, "%s leads, as was said: %s" % (now.name, out))
        expect(now.status()["term"] == term + 1, "in the very next term")


def test_what_would_end_the_quorum_is_refused_with_the_reason(scratch):
    cluster = Cluster(scratch).start()
    down = cluster.followers()[0]
    others = [n for n in cluster.nodes if n is not down]
    down.kill()
    def refused():
        code, _, error = ctl(others[0], "member", "remove", others[1].name)
        return code != 0 and "no majority" in error and down.name + " is down" in error
    until(refused, "the removal of a second one is refused", 10)
    code, _, error = ctl(others[0], "member", "remove", "nobody")
    expect(code == 3 and "no member is called nobody" in error, "exit %d, %r" % (code, error))
    ctl_ok(others[0], *LIMIT, "member", "remove", down.name)
    code, _, error = ctl(others[0], "member", "remove", others[1].name)
    expect(code != 0 and "single voter" in error, "exit %d, %r" % (code, error))


def test_single_node_names_the_command_that_makes_it_a_cluster(scratch):
    node = Node(scratch).start()
    code, _, error = ctl(node, "member", "add", "n2")
    expect(code != 0 and "coordctl member grow" in error, "exit %d, %r" % (code, error))


if __name__ == "__main__":
    main(globals())
