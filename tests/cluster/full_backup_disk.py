#!/usr/bin/env python3
"""Backups and the archive on a disk that is full: a small file system of their own, mounted for the test."""
import os
import subprocess

from backup import names
from harness import Node, ctl_ok, expect, main, until
from isolation import isolate
from restore import inspect


def small_disk(scratch, size):
    """A directory on a disk of that size; None where nothing may be mounted."""
    directory = os.path.join(scratch, "disk")
    os.mkdir(directory)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", directory],
                             stderr=subprocess.PIPE, text=True, check=False)
    if mounted.returncode != 0:
        print("   not tried, nothing can be mounted here: " + mounted.stderr.strip())
        return None
    return directory


def resize(directory, size):
    subprocess.run(["mount", "-o", "remount,size=" + size, directory], check=True)


def fill_state(node, count):
    for i in range(count):
        ctl_ok(node, "create", "/large-%d" % i, "-", stdin=os.urandom(500000))


def test_backups_on_a_full_disk_fail_loudly_and_keep_what_there_is(scratch):
    disk = small_disk(scratch, "1m")
    if disk is None:
        return
    backups = os.path.join(disk, "backups")
    node = Node(scratch, backup_dir=backups, backup_interval="1s", backup_keep=1).start()
    until(lambda: len(names(backups)) == 1 and "backup.taken" in node.log(), "a backup fits", 15)
    first = names(backups)[0]
    fill_state(node, 4)
    until(lambda: node.metric("coord_backup_failures_total") >= 2, "the next one does not, and is tried again", 30)
    kept = names(backups)
    expect(len(kept) == 1, "one is kept: %r" % kept)
    expect(inspect(os.path.join(backups, kept[0]))["verified"], "it is whole")
    expect("space" in node.status()["backup"]["problem"], "the status has the reason: %r" % node.status()["backup"])
    expect(node.http("/ready")[0] == 200 and "backup failed" in node.http("/ready")[1], node.http("/ready")[1])
    expect("BACKUP FAILED" in ctl_ok(node, "status").decode(), "coordctl status tells it")
    line = [line for line in node.log().splitlines() if "backup.failed" in line][-1]
    expect(" warn " in line and "space" in line and backups in line, "the log says what and where: %s" % line)
    last = node.metric("coord_backup_last_success_seconds")
    ctl_ok(node, "create", "/a", "x")
    expect(node.metric("coord_disk_short") == 0, "the node's own disk is not short: writes go on")
    expect(node.metric("coord_backup_last_success_seconds") == last, "the time of the alarm stands still")

    resize(disk, "64m")
    until(lambda: node.http("/ready")[1] == "ready\n", "with space there is a backup again", 60)
    until(lambda: names(backups) and first not in names(backups), "and the old one goes", 30)
    expect(inspect(os.path.join(backups, names(backups)[-1]))["nodes"] >= 5, "all is in it")
    expect(not [name for name in os.listdir(backups) if name.endswith(".part")], "nothing half is left")


def test_an_archive_on_a_full_disk_says_so_and_goes_on_when_there_is_space(scratch):
    disk = small_disk(scratch, "2m")
    if disk is None:
        return
    archive, backups = os.path.join(disk, "archive"), os.path.join(scratch, "backups")
    node = Node(scratch, backup_dir=backups, backup_interval="1h", archive_dir=archive).start()
    until(lambda: names(backups), "a backup", 15)
    fill_state(node, 6)
    until(lambda: node.metric("coord_archive_failures_total") >= 1, "the archive cannot be written", 30)
    expect("archive.failed" in node.log(), "the log says so")
    ctl_ok(node, "create", "/a", "x")
    resize(disk, "64m")
    until(lambda: node.metric("coord_archive_index") >= node.status()["applied_index"], "it has caught up", 60)


if __name__ == "__main__":
    isolate("--mount")
    main(globals())
