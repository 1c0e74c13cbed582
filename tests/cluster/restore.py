#!/usr/bin/env python3
"""coordd restore: from a backup to a new cluster that goes on, that nobody takes for the old one, and for whom
nothing goes back; to a point in time; the drill; and everything that must be refused."""
import json
import os
import re
import shutil
import socket
import sqlite3
import struct
import subprocess
import time

from harness import (COORDCTL, COORDD, HOST, PATIENCE, Cluster, Node, Writers, clean_environment, ctl, ctl_ok, expect,
                     main, until)

GAP = 1 << 40


def coordd(*arguments, cwd=None):
    """Exit code, the report as a dictionary, everything printed, and the complaint."""
    done = subprocess.run([os.path.abspath(COORDD), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd,
                          timeout=60 * PATIENCE, check=False, env=clean_environment())
    report = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(":")
        if re.fullmatch("[a-z-]+", key):
            report.setdefault(key, value.strip())
            report["last " + key] = value.strip()
    return done.returncode, report, done.stdout, done.stderr


def coordd_ok(*arguments):
    code, report, out, error = coordd(*arguments)
    expect(code == 0, "coordd %s: exit %d, %s%s" % (" ".join(arguments), code, out, error))
    return report


def refused(*arguments, code=1, why):
    got, _, out, error = coordd(*arguments)
    expect(got == code and re.search(why, error), "coordd %s: exit %d, %r, %s" % (" ".join(arguments), got, error, out))


def inspect(path):
    done = subprocess.run([COORDCTL, "snapshot", "inspect", path, "-o", "json"], capture_output=True, check=False,
                          env=clean_environment(), timeout=60 * PATIENCE)
    expect(done.returncode == 0, "inspect %s: %s" % (path, done.stderr))
    return json.loads(done.stdout)


def save(node, path):
    ctl_ok(node, "snapshot", "save", path)
    return inspect(path)


def files(directory):
    """All that is in it, byte for byte."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as content:
                found[os.path.relpath(os.path.join(folder, name), directory)] = content.read()
    return found


# ---- a ZooKeeper client, as far as sessions go ----------------------------------------------------

def zookeeper_session(node, session=0, password=b"\0" * 16, zxid=0):
    """Connects, or resumes; (timeout, session, password): timeout 0 means that the session has ended."""
    with socket.create_connection((HOST, node.port), timeout=10 * PATIENCE) as connection:
        request = struct.pack(">iqiqi", 0, zxid, 30000, session, 16) + password + b"\0"
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = b""
        while len(answer) < 4 or len(answer) < 4 + struct.unpack(">i", answer[:4])[0]:
            piece = connection.recv(4096)
            expect(piece, "the connection is answered before it is closed")
            answer += piece
        _, timeout, number, size = struct.unpack(">iiqi", answer[4:24])
        return timeout, number, answer[24:24 + size]


# ---- content that shows what a restore does -------------------------------------------------------

class Content:
    """Nodes of every kind, sessions, numbers: written before, looked for after."""

    def __init__(self, node):
        ctl_ok(node, "policy", "set", "/config", "10")
        ctl_ok(node, "create", "/config", "one")
        self.first = json.loads(ctl_ok(node, "stat", "/config", "-o", "json"))["modify_revision"]
        ctl_ok(node, "set", "/config", "two")
        ctl_ok(node, "create", "/queue")
        for _ in range(3):
            self.last = ctl_ok(node, "create", "/queue/job-", "x", "--sequential").decode().strip()
        self.session = ctl_ok(node, "session", "open", "--ttl", "10m").decode().strip()
        ctl_ok(node, "create", "/queue/of-a-session", "x", "--ephemeral", "--session", self.session)
        self.lease = ctl_ok(node, "lease", "grant", "10m").decode().strip()
        ctl_ok(node, "create", "/queue/of-a-lease", "x", "--ephemeral", "--lease", self.lease)
        timeout, self.zk_session, self.zk_password = zookeeper_session(node)
        expect(timeout > 0, "a ZooKeeper session is open")
        self.revision = node.status()["revision"]

    def check(self, node, revision):
        """On a member of the new cluster; `revision` is the highest one of the old one."""
        now = node.status()["revision"]
        expect(now >= self.revision + GAP and now > revision + GAP // 2, "the revision has grown: %d" % now)
        expect(ctl_ok(node, "get", "/config") == b"two", "the content is there")
        expect(ctl_ok(node, "get", "/config", "--rev", str(self.first)) == b"one", "so are kept versions")
        listed = ctl_ok(node, "ls", "/queue").decode().split()
        expect(len(listed) == 3, "what was of a session or lease is gone: %r" % listed)
        following = ctl_ok(node, "create", "/queue/job-", "x", "--sequential").decode().strip()
        # The ephemerals were children too, and counted.
        expect(int(following[-10:]) == int(self.last[-10:]) + 3, "%s after %s" % (following, self.last))
        code, _, error = ctl(node, "create", "/x", "x", "--ephemeral", "--session", self.session)
        expect(code != 0 and "session" in error, "the session has ended: %d %s" % (code, error))
        code, _, error = ctl(node, "create", "/x", "x", "--ephemeral", "--lease", self.lease)
        expect(code != 0 and "lease" in error, "the lease has ended: %d %s" % (code, error))
        # A client that saw more of the old cluster than the backup has is not turned away as from the future.
        timeout, _, _ = zookeeper_session(node, self.zk_session, self.zk_password, revision + 1000)
        expect(timeout == 0, "the ZooKeeper session is told that it has expired: %d" % timeout)
        timeout, _, _ = zookeeper_session(node)
        expect(timeout > 0, "a new one opens")
        for position in self.revision, revision + 1000:
            code, _, error = ctl(node, "--timeout", "5s", "watch", "/config", "--from-revision", str(position))
            expect(code == 1 and re.search("retained|compacted", error, re.I),
                   "a watch from %d is told so: %d %s" % (position, code, error))


def restore_members(cluster, *arguments):
    """Restores each member by the command that the first one printed for it; returns the reports."""
    first = cluster.nodes[0]
    peers = ",".join("%s=%s" % item for item in first.peers.items())
    code, report, out, error = coordd("restore", *arguments, "--data-dir", first.data_dir, "--name", first.name,
                                      "--initial-cluster", peers)
    expect(code == 0, "exit %d: %s%s" % (code, out, error))
    reports = [report]
    for node in cluster.nodes[1:]:
        command = re.search(r"^  %s: coordd (.*)$" % node.name, out, re.M).group(1).split()
        command[command.index("--data-dir") + 1] = node.data_dir
        reports.append(coordd_ok(*command))
    for other in reports[1:]:
        expect(other["cluster-id"] == report["cluster-id"] and other["last digest"] == report["last digest"],
               "members agree: %r, %r" % (report, other))
    return reports


# ---- tests ----------------------------------------------------------------------------------------

def test_backup_under_load_restored_into_a_new_cluster_has_the_same_content(scratch):
    old = Cluster(scratch).start()
    content = Content(old.leader())
    writers = Writers(scratch, old.endpoints, "/load", count=8)
    writers.wait_for_more(200)
    before = writers.acked()
    backup = os.path.join(scratch, "backup.db")
    saved = save(old.followers()[0], backup)
    writers.wait_for_more(200)
    _, _, failed = writers.stop()
    expect(not failed, "nobody noticed the backup: %r" % failed[:3])
    highest = old.converge()["revision"]
    expect(highest > saved["revision"], "the old cluster went on after the backup")
    old_id = old.nodes[0].status()["cluster_id"]
    for node in old.nodes:
        node.kill()

    os.mkdir(os.path.join(scratch, "new"))
    new = Cluster(os.path.join(scratch, "new"))
    reports = restore_members(new, "--from", backup)
    expect(reports[0]["content-digest"] == saved["content_digest"] == reports[0]["last content-digest"],
           "the content is that of the backup: %r, %r" % (saved, reports[0]))
    new.start()
    status = new.converge()
    expect(status["cluster_id"] != old_id, "the cluster is another one")
    again = save(new.leader(), os.path.join(scratch, "again.db"))
    expect(again["content_digest"] == saved["content_digest"], "and what it serves is that content")
    writers.check(new.leader(), before)
    content.check(new.followers()[0], highest)

    # It is as good as any cluster: it goes on without any of its members.
    leader = new.leader()
    leader.kill()
    ctl_ok(new.endpoints, "set", "/config", "three")
    leader.start()
    new.converge()


def test_single_node_restored_goes_on_and_is_restored_again(scratch):
    node = Node(scratch, "first").start()
    content = Content(node)
    backup = os.path.join(scratch, "1.db")
    save(node, backup)
    highest = node.status()["revision"]
    node.terminate()
    for life in 2, 3:
        node = Node(scratch, "life-%d" % life)
        report = coordd_ok("restore", "--from", backup, "--data-dir=" + node.data_dir, "--name=" + node.name)
        expect(report["sessions-ended"] == ("2" if life == 2 else "1"), "sessions: %r" % report)
        node.start()
        if life == 2:
            content.check(node, highest)
        expect(node.status()["revision"] >= highest + GAP, "never back")
        highest = node.status()["revision"]
        node.kill()
        node.start()  # what was restored is durable
        until(node.is_ready, "it serves")
        backup = os.path.join(scratch, "%d.db" % life)
        save(node, backup)
        node.terminate()


def test_members_of_different_restores_do_not_mix(scratch):
    node = Node(scratch, "old").start()
    backup = os.path.join(scratch, "backup.db")
    save(node, backup)
    node.terminate()
    cluster = Cluster(scratch)
    peers = ",".join("%s=%s" % item for item in cluster.nodes[0].peers.items())
    for node in cluster.nodes:  # without the token of the first
        coordd_ok("restore", "--from", backup, "--data-dir", node.data_dir, "--name", node.name,
                  "--initial-cluster", peers)
    for node in cluster.nodes:
        node.start()
    until(lambda: any("peer.refused" in node.log() for node in cluster.nodes), "they refuse each other")
    expect(not any(node.status()["serving"] for node in cluster.nodes), "none of them serves")


def test_drill_proves_a_backup_and_touches_nothing(scratch):
    node = Node(scratch).start()
    Content(node)
    backup = os.path.join(scratch, "backup.db")
    saved = save(node, backup)
    drill = os.path.join(scratch, "drill")
    os.mkdir(drill)
    shutil.copy(backup, drill)
    os.chmod(os.path.join(drill, "backup.db"), 0o400)
    before = files(drill)
    code, report, out, error = coordd("restore", "--from", "backup.db", "--verify", cwd=drill)
    expect(code == 0 and "proven" in report["result"], "%d %s %s" % (code, out, error))
    expect(report["content-digest"] == saved["content_digest"] and report["digest"] == saved["digest"],
           "digests: %r %r" % (report, saved))
    expect(report["would-end-sessions"] == "2" and report["would-end-leases"] == "1", "what ends: %r" % report)
    expect(files(drill) == before, "nothing was touched")


def test_what_cannot_be_restored_is_refused_and_says_why(scratch):
    node = Node(scratch).start()
    for i in range(50):
        ctl_ok(node, "create", "/node-%d" % i, "value %d" % i)
    backup = os.path.join(scratch, "backup.db")
    save(node, backup)
    new = os.path.join(scratch, "new")
    refused("restore", "--from", backup, "--data-dir", node.data_dir, why="not empty.*nothing is overwritten")
    refused("restore", "--data-dir", new, code=2, why="--from FILE is missing")
    refused("restore", "--from", backup, "--nonsense", code=2, why="unknown flag '--nonsense'")
    refused("restore", "--from", backup, "--to-revision", "7", code=2, why="needs --archive")
    refused("restore", "--from", backup, "--archive", new, "--to-time", "yesterday", code=2,
            why="'yesterday' is not a time like")
    refused("restore", "--from", backup, "--archive", new, "--to-time", "2026-02-30T00:00:00Z", code=2, why="not a time")
    refused("restore", "--from", backup, "--archive", new, "--to-revision", "-1", code=2, why="not a number")
    refused("restore", "--from", backup, "--initial-cluster", "a=127.0.0.1:1", "--name", "b", code=2, why="'b'")
    refused("restore", "--from", os.path.join(scratch, "none.db"), "--data-dir", new, why="none.db")
    refused("restore", "--from", node.log_path, "--data-dir", new, why="coord.log")
    expect(not os.path.exists(new), "nothing was made")
    with open(backup, "rb") as content:
        whole = content.read()
    place = whole.index(b"value 17")
    damaged = os.path.join(scratch, "damaged.db")
    for wrong in whole[:place] + b"V" + whole[place + 1:], whole[:len(whole) // 2], b"":
        with open(damaged, "wb") as content:
            content.write(wrong)
        refused("restore", "--from", damaged, "--verify", why="damaged.db")
        refused("restore", "--from", damaged, "--data-dir", new, why="damaged.db")
    expect(not os.path.exists(new), "nothing was made")
    code, _, out, _ = coordd("restore", "--help")
    expect(code == 0 and "--to-revision" in out and "Exit codes" in out, "help: %s" % out)


# ---- a point in time ------------------------------------------------------------------------------

def crc32c(data, table=[]):
    if not table:
        for byte in range(256):
            for _ in range(8):
                byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
            table.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def read_log(data_dir):
    """(cluster id, entries) of the log of a node that does not run, as docs/formats.md describes it."""
    entries = {}
    cluster = 0
    for name in sorted(os.listdir(os.path.join(data_dir, "wal"))):
        with open(os.path.join(data_dir, "wal", name), "rb") as segment:
            data = segment.read()
        if not name.startswith("wal-") or data[:8] != b"COORDWAL":
            continue
        segment_id, cluster = struct.unpack_from("<QQ", data, 16)
        mark = segment_id ^ struct.unpack_from("<Q", data, 96)[0]
        at = 128
        while at + 40 <= len(data):
            crc, _, record_mark, offset, size = struct.unpack_from("<IIQII", data, at)
            if crc != crc32c(data[at + 4:at + 40]) or record_mark != mark or offset != at:
                break
            body = data[at + 40:at + 40 + size]
            if data[at + 36] == 1:
                index, count = struct.unpack_from("<QI", body)
                place = 12
                for _ in range(count):
                    term, kind, length = struct.unpack_from("<QBI", body, place)
                    entries[index] = (term, kind, body[place + 13:place + 13 + length])
                    index, place = index + 1, place + 13 + length
            at += 40 + (size + 7) // 8 * 8
    return cluster, entries


def write_archive(directory, cluster, entries, first, last, sealed=True):
    """Entries as archived log, as docs/formats.md describes it."""
    os.makedirs(directory, exist_ok=True)
    header = b"COORDARC" + struct.pack("<IIQQQQ12x", 1, 0, cluster, first, entries[first][0], 0)
    data = header + struct.pack("<I", crc32c(header))
    for index in range(first, last + 1):
        term, kind, payload = entries[index]
        rest = struct.pack("<IQQB7x", len(payload), index, term, kind) + payload
        data += struct.pack("<I", crc32c(rest)) + rest
    name = "archive-%016x-%020d" % (cluster, first) + ("-%020d.log" % last if sealed else ".part")
    with open(os.path.join(directory, name), "wb") as out:
        out.write(data)
    return os.path.join(directory, name)


def time_text(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + ".%03dZ" % (ms % 1000)


def test_restore_to_a_revision_or_a_time_between_backups(scratch):
    node = Node(scratch).start()
    ctl_ok(node, "create", "/config", "before")
    backup = os.path.join(scratch, "backup.db")
    saved = save(node, backup)
    values = {}
    for i in range(12):
        ctl_ok(node, "set", "/config", "value %d" % i)
        stat = json.loads(ctl_ok(node, "stat", "/config", "-o", "json"))
        values[stat["modify_revision"]] = (b"value %d" % i, time_text(stat["modify_time_ms"]))
    node.terminate()
    archive = os.path.join(scratch, "archive")
    cluster, entries = read_log(node.data_dir)
    first, middle, last = saved["index"] + 1, saved["index"] + 5, max(entries)
    write_archive(archive, cluster, entries, first - 1, middle)
    write_archive(archive, cluster, entries, middle + 1, last, sealed=False)

    def restored(name, *arguments):
        copy = Node(scratch, name)
        report = coordd_ok("restore", "--from", backup, "--archive", archive, "--data-dir", copy.data_dir,
                           "--name", name, *arguments)
        copy.start()
        until(copy.is_ready, "it serves")
        value = ctl_ok(copy, "get", "/config")
        copy.terminate()
        return value, report

    revisions = sorted(values)
    for revision in revisions[0], revisions[5]:
        value, report = restored("r%d" % revision, "--to-revision", str(revision))
        expect(value == values[revision][0], "at revision %d: %r" % (revision, value))
        expect(report["last revision"].endswith("was %d" % revision), "report: %r" % report)
    value, _ = restored("all")
    expect(value == values[revisions[-1]][0], "to the end of the archive: %r" % value)
    value, report = restored("at", "--to-time", values[revisions[7]][1])
    expect(value == values[revisions[7]][0], "at %s: %r" % (values[revisions[7]][1], value))

    new = os.path.join(scratch, "never")
    arguments = ["restore", "--from", backup, "--archive", archive, "--data-dir", new]
    refused(*arguments, "--to-revision", str(revisions[-1] + 1), why="does not reach revision %d" % (revisions[-1] + 1))
    refused(*arguments, "--to-revision", str(saved["revision"] - 1), why="take an earlier backup")
    refused(*arguments, "--to-time", "2001-01-01T00:00:00Z", why="take an earlier backup")
    refused(*arguments, "--to-index", "1", "--to-revision", "5", code=2, why="exclude each other")
    os.remove(os.path.join(archive, "archive-%016x-%020d-%020d.log" % (cluster, first - 1, middle)))
    refused(*arguments, why="entries %d to %d are missing" % (first, middle))
    path = write_archive(archive, cluster, entries, first, middle)
    with open(path, "r+b") as damaged:
        damaged.seek(64 + 40)
        byte = damaged.read(1)
        damaged.seek(64 + 40)
        damaged.write(bytes([byte[0] ^ 1]))
    refused(*arguments, why="damaged")
    expect(not os.path.exists(new), "nothing was made")


def test_of_a_directory_the_latest_whole_backup_before_the_point_is_taken(scratch):
    node = Node(scratch).start()
    backups = os.path.join(scratch, "backups")
    os.mkdir(backups)
    saved = []
    for i in range(4):
        ctl_ok(node, *(["set", "/config"] if i else ["create", "/config"]), "value %d" % i)
        saved.append(save(node, os.path.join(backups, "%d.db" % (10 - i))))
    first = coordd_ok("restore", "--from", os.path.join(backups, "10.db"), "--verify")["last-change"]
    last = os.path.join(backups, "7.db")
    with open(last, "r+b") as damaged:
        damaged.seek(os.path.getsize(last) // 2)
        damaged.write(b"\xff" * 4096)
    with open(os.path.join(backups, "notes.db"), "w", encoding="utf-8") as other:
        other.write("no backup")
    archive = os.path.join(scratch, "archive")
    os.mkdir(archive)

    code, report, out, error = coordd("restore", "--from", backups, "--verify")
    expect(code == 0 and report["backup"].endswith("/8.db"), "the latest whole one: %s%s" % (out, error))
    expect("7.db" in out and "notes.db" in out, "what was passed over is named: %s" % out)
    report = coordd_ok("restore", "--from", backups, "--verify", "--archive", archive, "--to-revision",
                       str(saved[1]["revision"]))
    expect(report["backup"].endswith("/9.db"), "of a revision: %r" % report)
    report = coordd_ok("restore", "--from", backups, "--verify", "--archive", archive, "--to-time", first)
    expect(report["backup"].endswith("/10.db"), "of a time: %r" % report)
    refused("restore", "--from", backups, "--verify", "--archive", archive, "--to-time", "2001-01-01T00:00:00Z",
            why="no whole backup from before")
    refused("restore", "--from", archive, "--verify", why="no whole backup")


def test_three_members_restored_to_one_point_agree(scratch):
    node = Node(scratch, "old").start()
    backup = os.path.join(scratch, "backup.db")
    saved = save(node, backup)
    for i in range(10):
        ctl_ok(node, "create", "/node-%d" % i, "x")
    node.terminate()
    cluster_id, entries = read_log(node.data_dir)
    archive = os.path.join(scratch, "archive")
    write_archive(archive, cluster_id, entries, saved["index"] + 1, max(entries))
    cluster = Cluster(scratch)
    restore_members(cluster, "--from", backup, "--archive", archive)
    cluster.start()
    expect(len(ctl_ok(cluster.leader(), "ls", "/").decode().split()) == 11, "all ten, and /zookeeper")
    cluster.converge()


# ---- the documentation ----------------------------------------------------------------------------

def examples(page):
    with open(os.path.join("docs", page), encoding="utf-8") as text:
        for block in re.findall(r"^```console\n(.*?)^```", text.read(), re.M | re.S):
            for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
                command, _, output = part.partition("\n")
                while command.endswith("\\"):
                    more, _, output = output.partition("\n")
                    command = command[:-1] + more.lstrip("> ")
                yield command, output


def test_examples_of_the_page_on_backups(scratch):
    node = Node(scratch, "coord").start()
    programs = os.path.join(scratch, "bin")
    os.mkdir(programs)
    for program in COORDCTL, COORDD:
        os.symlink(os.path.abspath(program), os.path.join(programs, os.path.basename(program)))
    environment = {**clean_environment(), "COORD_ENDPOINTS": node.endpoint,
                   "PATH": programs + ":" + os.environ["PATH"]}
    count, last_code = 0, 0
    for command, expected in examples("backup.md"):
        if command == "echo $?":
            got = "%d\n" % last_code
        else:
            done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, cwd=scratch, env=environment, text=True,
                                  timeout=60 * PATIENCE, check=False)
            got, last_code = done.stdout, done.returncode
        expect(re.fullmatch(".*".join(map(re.escape, expected.split("..."))), got, re.S),
               "$ %s\n%s--- the page says\n%s" % (command, got, expected))
        count += 1
    expect(count >= 8, "only %d examples were found" % count)
    with open(os.path.join("docs", "backup.md"), encoding="utf-8") as text:
        queries = re.findall(r"^```sql\n(.*?)^```", text.read(), re.M | re.S)
    with sqlite3.connect("file:%s?mode=ro" % os.path.join(scratch, "backup.db"), uri=True) as database:
        statements = [s for block in queries for s in block.split(";") if s.strip()]
        expect(len(statements) >= 5, "queries: %r" % statements)
        for statement in statements:
            database.execute(statement).fetchall()


if __name__ == "__main__":
    main(globals())
