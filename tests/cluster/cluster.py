#!/usr/bin/env python3
"""Three nodes: one log, one truth, whatever happens to one of them."""
import json
import os
import random
import shutil
import signal
import time

from harness import PATIENCE, Cluster, Writers, ctl, ctl_ok, expect, main, until

# Small enough that a second of writing brings snapshots and truncation.
SHORT_LOG = {"snapshot_log_bytes": "64k", "trailing_log_bytes": "16k", "wal_segment_bytes": "128k"}


def test_write_through_one_follower_is_read_through_the_other_at_once(scratch):
    cluster = Cluster(scratch).start()
    one, other = cluster.followers()
    for i in range(20):
        ctl_ok(one, "create", "/k%d" % i, "value %d" % i)
        expect(ctl_ok(other, "get", "/k%d" % i) == b"value %d" % i, "linearizable read of /k%d" % i)


def test_follower_waits_for_no_heartbeat(scratch):
    # With a heartbeat each second, 100 writes or reads that had to wait for one would take minutes.
    cluster = Cluster(scratch, heartbeat_ms=1000, election_timeout_ms=3000).start()
    one, other = cluster.followers()
    writers = Writers(scratch, one.endpoint, "/load", count=1)
    writers.wait_for_more(100, 10)
    begin = time.monotonic()
    for path in writers.acked()[:20]:
        ctl_ok(other, "get", path)
    expect(time.monotonic() - begin < 5 * PATIENCE, "reads through a follower are as quick")
    acked, unknown, failed = writers.stop()
    expect(not failed and not unknown, "nothing failed: %r %r" % (failed[:3], unknown[:3]))
    cluster.converge()
    writers.check(other, acked)


def test_status_names_the_members_and_their_roles(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    for node in cluster.nodes:
        status = json.loads(ctl_ok(node, "status", "-o", "json"))
        expect(status["name"] == node.name, "name of %s" % node.name)
        expect(status["role"] == ("leader" if node is leader else "follower"), "role of " + node.name)
        roles = {member["name"]: member["role"] for member in status["members"]}
        expect(roles == {n.name: "leader" if n is leader else "follower" for n in cluster.nodes},
               "%s sees %r" % (node.name, roles))


def test_first_member_that_waits_for_the_others_answers_and_serves_nothing(scratch):
    cluster = Cluster(scratch)
    first = cluster.nodes[0].start()
    status = json.loads(ctl_ok(first, "status", "-o", "json"))
    expect(not status["serving"] and "waiting" in status["reason"], "it waits: %r" % status)
    for command in (["create", "/a", "1"], ["get", "/"], ["--consistency", "local", "get", "/"], ["sync"]):
        code, _, error = ctl(first, "--timeout", "0.3", *command)
        expect(code in (6, 7), "%r: exit %d, %r" % (command, code, error))
    expect("coord_serving 0" in first.http("/metrics")[1], "metrics say so")
    expect(first.terminate() == 0, "it ends gracefully")
    # There was nothing to keep yet: it may begin anew.
    cluster.start()
    ctl_ok(first, "create", "/a", "1")


def test_kill_9_of_the_leader_loses_no_acknowledged_write(scratch):
    cluster = Cluster(scratch).start()
    writers = Writers(scratch, cluster.endpoints, "/load", count=8)
    for _ in range(3):
        writers.wait_for_more(200)
        leader = cluster.leader()
        leader.kill()
        writers.wait_for_more(200)
        leader.start()
    writers.wait_for_more(200)
    acked, _, failed = writers.stop()
    expect(not failed, "libcoord found a way for each write: %r" % failed[:3])
    cluster.converge()
    for node in cluster.nodes:
        writers.check(node, acked)


def test_kill_9_of_all_loses_no_acknowledged_write(scratch):
    cluster = Cluster(scratch, **SHORT_LOG).start()
    writers = Writers(scratch, cluster.endpoints, "/load", count=8)
    for _ in range(2):
        writers.wait_for_more(300)
        for node in cluster.nodes:
            node.kill()
        cluster.start()
    writers.wait_for_more(100)
    acked, _, _ = writers.stop()
    cluster.converge()
    for node in cluster.nodes:
        writers.check(node, acked)


def test_paused_leader_is_replaced_and_comes_back_as_follower(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    ctl_ok(leader, "create", "/before", "1")
    leader.send_signal(signal.SIGSTOP)
    until(lambda: ctl(others[0], "create", "/during", "2")[0] == 0, "the other two go on")
    leader.send_signal(signal.SIGCONT)
    # It may still believe that it leads; a linearizable read must not believe it.
    expect(ctl_ok(leader, "get", "/during") == b"2", "no stale read from the deposed leader")
    until(lambda: leader.status()["role"] == "follower", "it follows")
    cluster.converge()


def test_lagging_node_catches_up_by_snapshot_while_writes_go_on(scratch):
    cluster = Cluster(scratch, **SHORT_LOG).start()
    late = cluster.followers()[0]
    writers = Writers(scratch, cluster.endpoints, "/load", count=4, value_bytes=500)
    writers.wait_for_more(50)
    late.kill()
    behind = max(node.status()["last_index"] for node in cluster.nodes if node is not late)
    leader = cluster.leader()
    # The log on the others begins above what the late one has: a snapshot is the only way.
    until(lambda: leader.status()["snapshot_index"] > behind + 200, "the log is truncated", 20)
    late.start()
    until(lambda: "snapshot.installed" in late.log(), "it installs the leader's snapshot", 20)
    writers.wait_for_more(100)
    until(lambda: late.status()["applied_index"] + 500 > leader.status()["applied_index"],
          "it keeps up while writes go on", 20)
    acked, _, failed = writers.stop()
    expect(not failed, "writes went on: %r" % failed[:3])
    cluster.converge()
    writers.check(late, acked)
    # And what it installed is its own now: it starts from that.
    late.kill()
    late.start()
    cluster.converge()
    writers.check(late, acked)


def test_node_with_an_emptied_data_dir_is_refused_and_the_others_go_on(scratch):
    cluster = Cluster(scratch).start()
    ctl_ok(cluster.endpoints, "create", "/a", "1")
    lost = cluster.followers()[0]
    lost.kill()
    shutil.rmtree(lost.data_dir)
    lost.start()
    until(lambda: lost.status()["role"] == "refused", "it says that it is refused")
    status = lost.status()
    expect("lost" in status["reason"] and not status["serving"], "and why: %r" % status["reason"])
    expect(lost.http("/ready")[0] == 503, "it is not ready")
    expect(lost.is_running(), "it stays up, to say so")
    code, _, error = ctl(lost, "--timeout", "1", "get", "/a")
    expect(code != 0, "it serves nothing: %r" % error)
    others = ",".join(node.endpoint for node in cluster.nodes if node is not lost)
    ctl_ok(others, "set", "/a", "2")
    expect(ctl_ok(others, "get", "/a") == b"2", "the others go on")
    # It must not help the other two to a majority either.
    two = [node for node in cluster.nodes if node is not lost]
    two[0].kill()
    until(lambda: not two[1].is_ready(), "one of three has no quorum")
    expect(ctl(two[1], "--timeout", "1", "set", "/a", "3")[0] in (6, 7), "no write without a majority")
    two[0].start()
    until(lambda: ctl(others, "set", "/a", "4")[0] == 0, "with the second one back, writes go on")
    expect(lost.terminate() == 0, "the refused one ends gracefully")


def test_leader_cut_off_from_both_others_steps_down_and_recovers(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    for node in others:
        node.send_signal(signal.SIGSTOP)
    until(lambda: not leader.is_ready(), "the leader steps down")
    code, _, error = ctl(leader, "--timeout", "1", "create", "/nowhere", "1")
    expect(code in (6, 7), "a write without a majority: exit %d, %r" % (code, error))
    expect(ctl(leader, "--timeout", "1", "get", "/")[0] in (6, 7), "a linearizable read likewise")
    expect(ctl(leader, "--consistency", "local", "ls", "/")[0] == 0, "a local read is served")
    for node in others:
        node.send_signal(signal.SIGCONT)
    until(lambda: ctl(leader, "create", "/back", "1")[0] == 0, "it recovers by itself")
    cluster.converge()


def test_sigterm_hands_leadership_over_at_once(scratch):
    cluster = Cluster(scratch).start()
    writers = Writers(scratch, cluster.endpoints, "/load", count=4)
    writers.wait_for_more(100)
    leader = cluster.leader()
    expect(leader.terminate() == 0, "exit code 0")
    expect("raft.hand_over" in leader.log(), "it handed over")
    new = cluster.leader()
    expect(new is not leader, "another leads")
    writers.wait_for_more(100)
    leader.start()
    acked, unknown, failed = writers.stop()
    expect(not failed and not unknown, "nothing was cut off: %r %r" % (failed[:3], unknown[:3]))
    cluster.converge()
    for node in cluster.nodes:
        writers.check(node, acked)


def test_five_nodes_survive_two(scratch):
    cluster = Cluster(scratch, size=5).start()
    ctl_ok(cluster.endpoints, "create", "/a", "1")
    gone = cluster.leader(), cluster.followers()[0]
    for node in gone:
        node.kill()
    rest = [node for node in cluster.nodes if node.is_running()]
    endpoints = ",".join(node.endpoint for node in rest)
    until(lambda: ctl(endpoints, "set", "/a", "2")[0] == 0, "three of five go on")
    for node in gone:
        node.start()
    cluster.converge()
    expect(ctl_ok(gone[0], "get", "/a") == b"2", "the restarted one knows")


def test_whole_cluster_restarts_from_its_data_dirs(scratch):
    cluster = Cluster(scratch, **SHORT_LOG).start()
    ctl_ok(cluster.endpoints, "create", "/a", "1")
    before = cluster.converge()
    for node in cluster.nodes:
        expect(node.terminate() == 0, "exit code 0")
    # The first members are in the log by now; the flag still has to name the same cluster.
    cluster.start()
    expect(ctl_ok(cluster.endpoints, "get", "/a") == b"1", "it is all there")
    after = cluster.converge()
    expect(after["cluster_id"] == before["cluster_id"], "the same cluster")
    expect(after["revision"] >= before["revision"], "revisions do not go back")
    expect(all(os.path.isdir(node.data_dir) for node in cluster.nodes), "in their data dirs")


def test_random_faults_lose_no_acknowledged_write(scratch):
    seconds = float(os.environ.get("SOAK_SECONDS", "8"))
    seed = int(os.environ.get("SOAK_SEED", "1"))
    rng = random.Random(seed)
    cluster = Cluster(scratch, **SHORT_LOG).start()
    writers = Writers(scratch, cluster.endpoints, "/load", count=8)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        # Most of the time one node, sometimes two; sometimes whoever leads.
        victims = rng.sample(cluster.nodes, rng.choice((1, 1, 1, 2)))
        if rng.random() < 0.4:
            victims = [cluster.leader()]
        fault = rng.choice(("kill", "kill", "pause", "terminate"))
        for node in victims:
            if fault == "kill":
                node.kill()
            elif fault == "pause":
                node.send_signal(signal.SIGSTOP)
            else:
                expect(node.terminate() == 0, "%s: exit code 0 after SIGTERM" % node.name)
        if len(victims) == 1 and rng.random() < 0.5:
            writers.wait_for_more(rng.randrange(20, 400), 20)
        for node in victims:
            if fault == "pause":
                node.send_signal(signal.SIGCONT)
            else:
                node.start()
        writers.wait_for_more(rng.randrange(10, 400), 20)
    acked, _, _ = writers.stop()
    cluster.converge()
    for node in cluster.nodes:
        writers.check(node, acked)


main(globals())
