#!/usr/bin/env python3
"""Backups of a running cluster: saved while everybody works, taken by themselves, kept and thrown away, followed by the
archived log to any revision; and processes that die in the middle of it."""
import json
import os
import re
import sqlite3
import stat
import subprocess
import time

from harness import COORDCTL, Cluster, Ctl, Node, PATIENCE, Writers, ctl, ctl_ok, expect, main, run_coordd, until
from restore import GAP, coordd, coordd_ok, inspect
from watching import Watchers, check_seen


def names(directory, suffix=".db"):
    return sorted(name for name in os.listdir(directory) if name.endswith(suffix)) if os.path.isdir(directory) else []


def revision_of(name):
    return int(re.fullmatch(r"backup-[0-9a-f]{16}-\d{8}T\d{6}Z-r(\d+)-i\d+-.*\.db", name).group(1))


def paths_in(path):
    """Path and value of each node of the file below /load."""
    with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as db:
        return dict(db.execute("SELECT path, data FROM nodes WHERE space = 'Z' AND path GLOB '/load-*'"))


def created_up_to(node, revision):
    """The paths below /load that the change log says were there at that revision."""
    found = set()
    for line in ctl_ok(node, "history", "/", "--recursive", "--keys-only", "-o", "jsonl").splitlines():
        event = json.loads(line)
        if event["path"].startswith("/load-") and event["type"] == "created" and event["revision"] <= revision:
            found.add(event["path"])
    return found


def test_save_under_load_is_the_state_at_its_revision_and_disturbs_nobody(scratch):
    cluster = Cluster(scratch).start()
    watchers = Watchers(scratch, cluster.endpoints, "/load", count=4)
    writers = Writers(scratch, cluster.endpoints, "/load", count=6)
    watchers.wait_for_more(100)
    for number, node in enumerate(cluster.nodes):
        path = os.path.join(scratch, "%d.db" % number)
        before = set(writers.acked())
        told = json.loads(ctl_ok(node, "snapshot", "save", path, "-o", "json"))
        proved = inspect(path)
        expect(told["member"] == node.name and told["revision"] == proved["revision"], "%r %r" % (told, proved))
        expect(told["digest"] == proved["digest"] and proved["verified"], "%r %r" % (told, proved))
        expect(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "only its owner may read it")
        saved = paths_in(path)
        lost = before - set(saved)
        expect(not lost, "acknowledged before the save, and not in it: %r" % sorted(lost)[:3])
        there = created_up_to(node, told["revision"])
        expect(set(saved) == there, "%d paths in the file, %d in the history: %r" %
               (len(saved), len(there), sorted(set(saved) ^ there)[:3]))
        writers.wait_for_more(50)
    acked, unknown, failed = writers.stop()
    expect(not failed, "nobody noticed: %r" % failed[:3])
    check_seen(watchers.stop(cluster.converge()["revision"]), acked, unknown)
    for node in cluster.nodes:
        expect(node.metric("coord_snapshot_saves_total") == 1, "each was asked once")
    expect(not [name for name in os.listdir(scratch) if name.endswith(".part")], "nothing half is left")


def test_a_save_goes_on_at_another_member_and_an_interrupted_one_leaves_nothing(scratch):
    cluster = Cluster(scratch).start()
    value = b"x" * 1000000
    for i in range(24):
        ctl_ok(cluster.endpoints, "create", "/large-%d" % i, "-", stdin=value)
    cluster.converge()
    path = os.path.join(scratch, "save.db")
    dead = cluster.followers()[0]
    endpoints = ",".join([dead.endpoint] + [node.endpoint for node in cluster.nodes if node is not dead])

    def saves():
        return sum(node.metric("coord_snapshot_saved_bytes_total") > 0 for node in cluster.nodes if node.is_running())
    save = Ctl(scratch, endpoints, "snapshot", "save", path)
    until(lambda: saves() > 0 or save.process.poll() is not None, "bytes flow")
    dead.kill()
    expect(save.wait(30) == 0, "another member went on: %s" % save.complained())
    expect(inspect(path)["nodes"] >= 24, "all is there")

    other = os.path.join(scratch, "interrupted.db")
    save = Ctl(scratch, endpoints, "snapshot", "save", other)
    until(lambda: os.path.exists(other + ".part") or save.process.poll() is not None, "it has begun")
    save.send_signal(15)
    code = save.wait(10)
    expect(code in (143, 0), "it ends with the signal, unless it was faster: %d" % code)
    expect(os.path.exists(other) == (code == 0), "no name without a whole file")
    expect(not os.path.exists(other + ".part"), "and nothing half")
    code, out, error = ctl(endpoints, "snapshot", "save", path)
    expect(code == 5 and "--force" in error, "%d %s" % (code, error))
    before = os.stat(path).st_ino
    ctl_ok(endpoints, "snapshot", "save", path, "--force")
    expect(os.stat(path).st_ino != before, "replaced")
    inode = os.stat(path).st_ino
    with open(path + ".part", "w", encoding="utf-8") as left:
        os.chmod(left.fileno(), 0o666)
        ctl_ok(endpoints, "snapshot", "save", path, "--force")
        expect(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "only its owner may read it, whatever was left there")
        expect(os.fstat(left.fileno()).st_size == 0, "nor who has that open")
    expect(os.stat(path).st_ino != inode and not os.path.exists(path + ".part"), "nothing is left beside it")
    os.symlink(os.path.join(scratch, "elsewhere"), path + ".part")
    code, out, error = ctl(endpoints, "snapshot", "save", path, "--force")
    expect(code == 1 and path + ".part" in error, "it goes nowhere else: %d %s" % (code, error))
    os.remove(path + ".part")
    code, out, error = ctl(endpoints, "snapshot", "save", "/proc/none/x.db")
    expect(code == 1 and "/proc/none/x.db" in error, "%d %s" % (code, error))
    streamed = subprocess.run([COORDCTL, "--endpoints", endpoints, "snapshot", "save", "-"], capture_output=True,
                              timeout=60 * PATIENCE, check=True).stdout
    with open(other, "wb") as out:
        out.write(streamed)
    expect(inspect(other)["nodes"] >= 24, "through standard output as well")


def test_without_a_quorum_what_a_member_has_can_be_saved(scratch):
    cluster = Cluster(scratch).start()
    ctl_ok(cluster.endpoints, "create", "/a", "x")
    cluster.converge()
    left = cluster.followers()[0]
    for node in cluster.nodes:
        if node is not left:
            node.kill()
    path = os.path.join(scratch, "local.db")
    until(lambda: not left.is_ready(), "it notices")
    code, _, _ = ctl(left, "snapshot", "save", path, timeout=40 * PATIENCE)
    expect(code != 0 and not os.path.exists(path), "not as of now: nobody can say what that is")
    ctl_ok(left, "snapshot", "save", path, "--consistency", "local")
    expect(inspect(path)["revision"] == left.status()["revision"], "what it has")


def test_the_queries_of_the_manual_run(scratch):
    node = Node(scratch).start()
    ctl_ok(node, "create", "/app")
    ctl_ok(node, "create", "/app/config", "a")
    ctl_ok(node, "set", "/app/config", "b", "--note", "why not")
    session = ctl_ok(node, "session", "open", "--ttl", "10m", "--owner", "somebody").decode().strip()
    ctl_ok(node, "create", "/app/e", "x", "--ephemeral", "--session", session)
    path = os.path.join(scratch, "backup.db")
    ctl_ok(node, "snapshot", "save", path)
    with open(os.path.join("docs", "backup.md"), encoding="utf-8") as text:
        block = re.search(r"^```sql\n(.*?)^```", text.read(), re.M | re.S).group(1)
    queries = [query for query in re.sub(r"^--.*\n", "", block, flags=re.M).split(";\n") if query.strip()]
    expect(len(queries) >= 7, "queries: %r" % queries)
    with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as db:
        answers = [db.execute(query).fetchall() for query in queries]
    expect(all(answers), "each finds something: %r" % answers)
    expect(answers[0] == [("/app/config", b"b"), ("/app/e", b"x")], "below a path: %r" % answers[0])
    expect([row[1] for row in answers[4]] == [b"a", b"b"], "values of a node: %r" % answers[4])
    expect(answers[5] == [(session.split(":")[0], "somebody", 1)], "sessions: %r" % answers[5])
    expect(inspect(path)["verified"], "reading has changed nothing")


# ---- by themselves --------------------------------------------------------------------------------

def scheduled(scratch, **flags):
    directory = os.path.join(scratch, "backups")
    node = Node(scratch, backup_dir=directory, backup_interval="1s", **flags)
    return node, directory


def test_backups_come_by_themselves_stay_as_long_as_wanted_and_are_whole(scratch):
    node, directory = scheduled(scratch, backup_keep=3)
    node.start()
    writers = Writers(scratch, node.endpoint, "/load", count=2)
    until(lambda: len(names(directory)) == 3, "three backups", 15)
    first = names(directory)[0]
    until(lambda: first not in names(directory), "the oldest goes", 15)
    acked, _, failed = writers.stop()
    expect(not failed, "nobody noticed: %r" % failed[:3])
    until(lambda: revision_of(names(directory)[-1]) == node.status()["revision"], "the last state is saved", 15)
    time_of_last = node.metric("coord_backup_last_success_seconds")
    expect(abs(time_of_last - time.time()) < 60, "when: %r" % time_of_last)
    status = node.status()["backup"]
    expect(status["problem"] == "" and status["failures"] == 0, "%r" % status)
    expect("last backup 20" in ctl_ok(node, "status").decode(), "coordctl status tells it")
    newest = names(directory)[-1]
    expect(set(acked) <= set(paths_in(os.path.join(directory, newest))), "all is in the newest")
    # Killed at any moment, only whole files have names, and what is half goes.
    for life in range(3):
        before = set(names(directory))
        ctl_ok(node, "create", "/life-%d" % life, "x")
        until(lambda: set(os.listdir(directory)) - before, "another one is begun", 15)
        node.kill()
        for name in names(directory):
            inspect(os.path.join(directory, name))
        node.start()
        until(node.is_ready, "it is back")
        until(lambda: len(names(directory)) <= 3 and "/life-%d" % life in everything(directory), "tidy and up to date",
              15)


def everything(directory):
    """All paths of the newest backup."""
    with sqlite3.connect("file:%s?mode=ro" % os.path.join(directory, names(directory)[-1]), uri=True) as db:
        return [path for path, in db.execute("SELECT path FROM nodes WHERE space = 'Z'")]


def test_a_failing_backup_is_seen_everywhere_and_hurts_no_write(scratch):
    blocked = os.path.join(scratch, "backups")
    with open(blocked, "wb"):
        pass  # a file where the directory should be
    node = Node(scratch, backup_dir=blocked, backup_interval="1s").start()
    until(lambda: node.metric("coord_backup_failures_total") >= 2, "it fails, and is tried again", 15)
    expect(node.http("/ready")[0] == 200 and "backup failed" in node.http("/ready")[1], node.http("/ready")[1])
    expect(node.status()["backup"]["problem"] != "", "%r" % node.status()["backup"])
    expect("BACKUP FAILED" in ctl_ok(node, "status").decode(), "coordctl status tells it")
    expect("backup.failed" in node.log(), "so does the log")
    ctl_ok(node, "create", "/a", "x")
    os.unlink(blocked)
    until(lambda: names(blocked), "made good", 15)
    until(lambda: node.http("/ready")[1] == "ready\n", "and said so")


def test_settings_that_make_no_sense_are_refused(scratch):
    for flags, why in [(["--archive-dir", "x"], "--archive-dir needs --backup-dir"),
                       (["--backup-dir", "x", "--backup-interval", "0s"], "--backup-interval: '0s' is not a time"),
                       (["--backup-dir", "x", "--backup-interval", "1"], "is not a time"),
                       (["--backup-dir", "x", "--backup-interval", "31d"], "more than 30d"),
                       (["--backup-keep", "-1"], "--backup-keep: '-1' is not a number"),
                       (["--backup-keep-for", "4000d"], "is not a time")]:
        code, error = run_coordd("--data-dir", os.path.join(scratch, "none"), *flags)
        expect(code == 2 and why in error, "%r: %d %s" % (flags, code, error))


# ---- to a point in time ---------------------------------------------------------------------------

def test_any_revision_between_two_backups_can_be_restored_from_the_archive(scratch):
    directory, archive = os.path.join(scratch, "backups"), os.path.join(scratch, "archive")
    cluster = Cluster(scratch, backup_dir=directory, backup_interval="1h").start()
    archived = cluster.nodes[0]
    archived.terminate()
    archived.flags["archive_dir"] = archive
    archived.start()
    until(archived.is_ready, "it is back")
    backup = until(lambda: [name for name in names(directory) if name.endswith("-n1.db")], "a backup", 15)[0]
    ctl_ok(cluster.endpoints, "create", "/config", "good")
    writers = Writers(scratch, cluster.endpoints, "/load", count=4)
    writers.wait_for_more(300)
    before = set(writers.acked())
    wanted = cluster.leader().status()["revision"]
    told = os.path.join(scratch, "then.db")
    writers.wait_for_more(100)
    writers.stop()
    ctl_ok(cluster.endpoints, "set", "/config", "bad")
    ctl_ok(cluster.endpoints, "rm", "/config")
    status = cluster.converge()
    until(lambda: archived.metric("coord_archive_index") >= status["applied_index"], "all of it is archived", 15)
    ctl_ok(archived, "snapshot", "save", told)
    expect(archived.metric("coord_archive_gaps_total") == 0, "without a gap")
    for node in cluster.nodes:
        node.kill()

    source = os.path.join(directory, backup)
    new = Node(scratch, "new")
    report = coordd_ok("restore", "--from", source, "--archive", archive, "--to-revision", str(wanted),
                       "--data-dir", new.data_dir, "--name", "new")
    expect(report, "a report")
    new.start()
    until(new.is_ready, "it serves")
    expect(ctl_ok(new, "get", "/config") == b"good", "what was then")
    writers.check(new, sorted(before))
    expect(new.status()["revision"] >= wanted + GAP, "never back")
    new.terminate()

    # To the end of the archive: the content is that of the cluster when it ended.
    last = Node(scratch, "last")
    report = coordd_ok("restore", "--from", source, "--archive", archive, "--data-dir", last.data_dir,
                       "--name", "last")
    expect(report["content-digest"] == inspect(told)["content_digest"] or
           report["last content-digest"] == inspect(told)["content_digest"], "%r %r" % (report, inspect(told)))
    code, _, _, error = coordd("restore", "--from", source, "--archive", archive, "--to-revision",
                               str(wanted + 100000), "--verify")
    expect(code == 1 and error, "beyond its end there is nothing: %d %s" % (code, error))


if __name__ == "__main__":
    main(globals())
