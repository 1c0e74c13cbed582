#!/usr/bin/env python3
"""The rules about disks, each on a real one: a torn tail is cut, damage is refused, a full disk turns writes away until
there is space again, and a failed sync ends the node before anything was acknowledged on it."""
import errno
import os
import random
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "cluster")]

from control import Control  # noqa: E402
from damage import damage_log, damage_snapshot, records_of, tear  # noqa: E402
from disks import Loop, loops_work  # noqa: E402
from harness import Cluster, Node, Writers, clean_environment, ctl, ctl_ok, expect, main, run_coordd, until  # noqa: E402

SHORT_LOG = {"snapshot_log_bytes": "64k", "trailing_log_bytes": "16k", "wal_segment_bytes": "128k"}


def newest_segment(node):
    """With records in it."""
    folder = os.path.join(node.data_dir, "wal")
    for name in sorted((name for name in os.listdir(folder) if name.startswith("wal-")), reverse=True):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            if records_of(file.read()):
                return path
    raise AssertionError("no segment has a record")


def test_torn_tail_is_cut_and_nothing_else_is_lost(scratch):
    cluster = Cluster(scratch, **SHORT_LOG).start()
    writers = Writers(scratch, cluster.endpoints, "/load", count=4)
    writers.wait_for_more(200)
    node = cluster.followers()[0]
    node.kill()
    tear(newest_segment(node))
    begin = len(node.log())
    node.start()
    recovered = [line for line in node.log()[begin:].splitlines() if "wal.recovered" in line]
    expect(len(recovered) == 1 and "cut_bytes=" in recovered[0] and "cut_bytes=0" not in recovered[0],
           "it says what it cut: %r" % recovered)
    writers.wait_for_more(100)
    acked, _, failed = writers.stop()
    expect(not failed, "writes went on: %r" % failed[:3])
    cluster.converge()
    writers.check(node, acked)


def refused_with(scratch, damage, *words):
    """A node of three, with so much written that its log and a snapshot matter; its disk is damaged while it is down."""
    cluster = Cluster(scratch, **SHORT_LOG).start()
    writers = Writers(scratch, cluster.endpoints, "/load", count=4, value_bytes=500)
    node = cluster.followers()[0]
    until(lambda: "snapshot.taken" in node.log(), "it has a snapshot", 30)
    writers.wait_for_more(100)
    node.kill()
    writers.stop()
    whole = os.path.join(scratch, "whole")
    shutil.copytree(node.data_dir, whole)
    for seed in range(4):
        shutil.rmtree(node.data_dir)
        shutil.copytree(whole, node.data_dir)
        what = damage(node.data_dir, random.Random(seed))
        code, error = run_coordd(*node.arguments()[1:])
        expect(code == 1, "%s: exit code %d, %s" % (what, code, error))
        for word in words:
            expect(word in error, "%s: it says '%s': %s" % (what, word, error))
    ctl_ok(cluster.leader(), "create", "/after", "the others go on")


def test_flipped_bit_in_the_log_is_refused_by_segment_offset_and_way_back(scratch):
    refused_with(scratch, damage_log, "wal-", "offset", "to rejoin, replace this member")


def test_flipped_bit_in_a_snapshot_is_refused_by_file_and_way_back(scratch):
    refused_with(scratch, damage_snapshot, "snapshot-", "to rejoin, replace this member")


def test_full_disk_turns_writes_away_and_the_node_recovers_by_itself(scratch):
    reason = loops_work(scratch)
    if reason is not None:
        print("skipped, no file system to fill: " + reason)
        return
    disk = Loop(scratch, "small")
    try:
        node = Node(scratch, **SHORT_LOG)
        node.data_dir = os.path.join(disk.path, "coord")
        node.start()
        ctl_ok(node, "create", "/a", "before")
        acked = []
        disk.fill()

        def is_refused():
            path = "/full-%d" % len(acked)
            code, _, error = ctl(node, "--timeout", "2", "create", path, "x" * 4000)
            if code == 0:
                acked.append(path)
                return False
            expect("no space left on the data disk: not executed" in error, "exit %d, %r" % (code, error))
            return True
        until(is_refused, "writes are refused when there is no space", 30)
        expect(ctl_ok(node, "get", "/a") == b"before", "reads go on")
        expect("wal.no_space" in node.log(), "the log says why")
        disk.free()
        until(lambda: ctl(node, "create", "/b", "after")[0] == 0, "writes go on by themselves", 15)
        for path in acked + ["/a", "/b"]:
            ctl_ok(node, "get", path)
        node.kill()
        node.start()
        for path in acked + ["/a", "/b"]:
            ctl_ok(node, "get", path)
        node.terminate()
    finally:
        for process in [node.process]:
            if process.poll() is None:
                process.kill()
                process.wait()
        disk.close()


class Failing(Node):
    """A node whose disk fails when it is told to."""

    def __init__(self, scratch):
        super().__init__(scratch)
        self.control = Control(os.path.join(scratch, "control"))
        self.data_dir = os.path.join(scratch, "data", "coord")
        os.makedirs(os.path.dirname(self.data_dir))

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.arguments(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**clean_environment(), **self.control.environment()})
        self.was_ended = False
        until(self.answers, "it answers")
        return self


def ends_by_itself_with(scratch, **fault):
    node = Failing(scratch).start()
    for i in range(20):
        ctl_ok(node, "create", "/n%d" % i, "x")
    node.was_ended = True
    node.control.set(**fault)
    code, _, _ = ctl(node, "--timeout", "2", "create", "/lost", "x")
    expect(code != 0, "what was not synced is not acknowledged")
    until(lambda: node.process.poll() is not None, "the node ends", 10)
    expect(node.process.returncode not in (0, None), "with an exit code that is not 0")
    expect("wal.failed" in node.log(), "the log says why: " + node.log_tail())
    node.control.set(sync_errno=0, write_errno=0)
    node.start()
    for i in range(20):
        ctl_ok(node, "get", "/n%d" % i)


def test_failed_sync_ends_the_node_and_nothing_is_acknowledged(scratch):
    ends_by_itself_with(scratch, sync_errno=errno.EIO)


def test_failed_write_ends_the_node_and_nothing_is_acknowledged(scratch):
    ends_by_itself_with(scratch, write_errno=errno.EIO)


if __name__ == "__main__":
    main(globals())
