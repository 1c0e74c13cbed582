#!/usr/bin/env python3
"""coordd recover: a lost quorum. What is left says what will be lost, stays as it is, and becomes a new cluster."""
import os
import shutil

from harness import Cluster, Node, Writers, ctl, ctl_ok, expect, main, until
from restore import GAP, Content, coordd, coordd_ok, files, inspect, refused, restore_members, save


def lose(cluster, kept):
    """All members die at once, and the disks of those that are not kept with them."""
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        if node not in kept:
            shutil.rmtree(node.data_dir)


def test_last_member_left_becomes_a_new_cluster_with_all_it_had(scratch):
    cluster = Cluster(scratch).start()
    content = Content(cluster.leader())
    writers = Writers(scratch, cluster.endpoints, "/load", count=8)
    writers.wait_for_more(300)
    acked, _, failed = writers.stop()
    expect(not failed, "writes: %r" % failed[:3])
    before = cluster.converge()
    left = cluster.leader()
    lose(cluster, [left])
    # It alone cannot go on, and must not.
    left.start()
    until(lambda: left.status()["reason"], "it knows that it has no quorum")
    expect(ctl(left, "--timeout", "1s", "get", "/config")[0] == 7, "nothing is served")
    refused("recover", "--data-dir", left.data_dir, why="in use.*\"%s\" still runs" % left.name)
    left.kill()

    evidence = files(left.data_dir)
    code, report, out, _ = coordd("recover", "--data-dir", left.data_dir)
    expect(code == 3 and "nothing was done" in report["result"], "%d %s" % (code, out))
    expect("2 of 3 voters that were not shown" in report["lost"], "it says what may be lost: %s" % out)
    expect(report["revision"] == str(before["revision"]), "it has everything: %s" % out)
    new = os.path.join(scratch, "new")
    report = coordd_ok("recover", "--data-dir", left.data_dir, "--into", new, "--yes")
    expect(report["last revision"].endswith("was %d" % before["revision"]), "report: %r" % report)
    expect(report["content-digest"] == report["last content-digest"], "report: %r" % report)
    expect(files(left.data_dir) == evidence, "the old data dir is as it was")
    refused("recover", "--data-dir", left.data_dir, "--into", new, "--yes", why="not empty")

    os.rename(left.data_dir, left.data_dir + ".lost")
    os.rename(new, left.data_dir)
    single = Node(scratch, left.name)
    single.start()
    until(single.is_ready, "it serves")
    expect(single.status()["cluster_id"] != before["cluster_id"], "another cluster")
    writers.check(single, acked)
    content.check(single, before["revision"])


def test_most_advanced_of_those_shown_is_taken(scratch):
    cluster = Cluster(scratch).start()
    ctl_ok(cluster.leader(), "create", "/config", "one")
    behind = cluster.followers()[0]
    cluster.converge()
    behind.kill()
    ctl_ok(cluster.leader(), "set", "/config", "two")
    others = [node for node in cluster.nodes if node is not behind]
    cluster.converge(others)
    for node in others:
        node.kill()
    shown = [word for node in [behind] + others for word in ("--data-dir", node.data_dir)]
    code, report, out, _ = coordd("recover", *shown)
    expect(code == 3, "%d %s" % (code, out))
    first = [line for line in out.splitlines() if line.endswith("the most advanced")]
    expect(len(first) == 1 and "member %s:" % behind.name not in first[0], "which one: %s" % out)
    expect("nothing that was acknowledged" in report["lost"] and "start them instead" in report["lost"],
           "all were shown: %s" % out)
    # One that cannot be read does not spoil the others.
    shown += ["--data-dir", os.path.join(scratch, "nowhere")]
    new = Node(scratch, "new")
    report = coordd_ok("recover", *shown, "--into", new.data_dir, "--yes", "--name", "new")
    expect("nowhere is no data dir" in report["unusable"], "report: %r" % report)
    new.start()
    until(new.is_ready, "it serves")
    expect(ctl_ok(new, "get", "/config") == b"two", "the value of the most advanced")
    copy = os.path.join(scratch, "copy")
    shutil.copytree(behind.data_dir, copy)
    refused("recover", "--data-dir", behind.data_dir, "--data-dir", copy, why="both of member")
    refused("recover", "--data-dir", copy, "--data-dir", copy, code=2, why="given twice")
    refused("recover", "--data-dir", behind.data_dir, "--data-dir", others[0].data_dir + "/wal", "--yes", code=2,
            why="--into NEW")
    new.terminate()
    refused("recover", "--data-dir", behind.data_dir, "--data-dir", new.data_dir, why="of cluster")


def test_three_new_members_out_of_what_is_left(scratch):
    cluster = Cluster(scratch, snapshot_log_bytes="64k", trailing_log_bytes="16k", wal_segment_bytes="128k").start()
    content = Content(cluster.leader())
    writers = Writers(scratch, cluster.endpoints, "/load", count=4, value_bytes=500)
    writers.wait_for_more(400)
    acked, _, _ = writers.stop()
    before = cluster.converge()
    left = cluster.followers()[0]
    lose(cluster, [left])
    saved = os.path.join(scratch, "left.db")
    report = coordd_ok("recover", "--data-dir", left.data_dir, "--save", saved)
    facts = inspect(saved)
    expect(facts["content_digest"] == report["content-digest"] and facts["revision"] == before["revision"],
           "what was saved: %r %r" % (facts, report))

    os.mkdir(os.path.join(scratch, "new"))
    new = Cluster(os.path.join(scratch, "new"))
    restore_members(new, "--from", saved)
    new.start()
    new.converge()
    expect(save(new.leader(), os.path.join(scratch, "again.db"))["content_digest"] == facts["content_digest"],
           "the content is the same")
    writers.check(new.leader(), acked)
    content.check(new.leader(), before["revision"])
    expect(new.leader().status()["revision"] >= before["revision"] + GAP, "the revision has grown")


def test_damaged_log_is_named_and_its_snapshot_can_still_be_restored(scratch):
    node = Node(scratch, "n1", snapshot_log_bytes="16k", trailing_log_bytes="4k", wal_segment_bytes="64k").start()
    for i in range(150):
        ctl_ok(node, "create", "/node-%d" % i, "x" * 200)
    until(lambda: node.status()["snapshot_index"] > 50, "there is a snapshot")
    node.terminate()
    wal = os.path.join(node.data_dir, "wal")
    segment = os.path.join(wal, max(name for name in os.listdir(wal) if name.startswith("wal-") and
                                    open(os.path.join(wal, name), "rb").read(8) == b"COORDWAL"))
    with open(segment, "r+b") as damaged:
        damaged.seek(128 + 44)
        damaged.write(b"\xff\xff\xff\xff")
    code, report, out, error = coordd("recover", "--data-dir", node.data_dir)
    expect(code == 1 and os.path.basename(segment) in error, "%d %r %s %s" % (code, report, out, error))
    snapshots = os.path.join(node.data_dir, "snapshots")
    newest = os.path.join(snapshots, max(os.listdir(snapshots)))
    new = Node(scratch, "new")
    coordd_ok("restore", "--from", newest, "--data-dir", new.data_dir, "--name", "new")
    new.start()
    until(new.is_ready, "it serves")
    expect(len(ctl_ok(new, "ls", "/").decode().split()) > 50, "all that the snapshot has")


if __name__ == "__main__":
    main(globals())
