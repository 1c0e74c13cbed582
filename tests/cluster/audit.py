#!/usr/bin/env python3
"""The audit log of real processes: who did what, over both protocols, once, over rotation and restarts; and
nothing of it in the way of the node."""
import collections
import json
import os
import stat
import struct
import subprocess

from harness import (COORDCTL, HOST, PATIENCE, Cluster, Node, Writers, clean_environment, connect, ctl, ctl_ok,
                     expect, main, until)


def files(node):
    """Of the node's audit log, the oldest first."""
    folder = os.path.join(node.data_dir, "audit")
    found = [name for name in os.listdir(folder) if name.startswith("audit.jsonl")]
    old = sorted((name for name in found if name != "audit.jsonl"), key=lambda name: -int(name.rsplit(".", 1)[1]))
    return [os.path.join(folder, name) for name in old + ["audit.jsonl"]]


def lines(node):
    """All lines, each of which must be JSON with what every line has. May be asked while files are renamed."""
    def read():
        all_lines = []
        for path in files(node):
            with open(path, encoding="utf-8") as file:
                all_lines += [json.loads(line) for line in file]
        return (all_lines,)
    found, = until(read, "%s has an audit log" % node.name)
    for line in found:
        expect(line["node"] == node.name and line["time"].endswith("Z") and len(line["time"]) == 24, repr(line))
        expect(("dropped" in line) or {"protocol", "peer", "request", "outcome"} <= set(line), repr(line))
    return found


def wait_for(node, what, **fields):
    """The last line with these values, once it is there."""
    def find():
        fitting = [line for line in lines(node) if all(line.get(key) == value for key, value in fields.items())]
        return fitting[-1] if fitting else None
    return until(find, what)


def ctl_as(user, node, *arguments):
    done = subprocess.run([COORDCTL, "--endpoints", node.endpoint, *arguments], capture_output=True,
                          timeout=30 * PATIENCE, check=False, env={**clean_environment(), "COORD_USER": user})
    return done.returncode


class ZooKeeper:
    """A client in a few bytes."""

    def __init__(self, node):
        self.socket = connect(node.port)
        self.xid = 0
        self.send(struct.pack(">iqiq", 0, 0, 10000, 0) + self.text(bytes(16)) + b"\0")
        hello = self.receive()
        self.session = "%016x" % struct.unpack(">q", hello[8:16])[0]

    @staticmethod
    def text(data):
        data = data.encode() if isinstance(data, str) else data
        return struct.pack(">i", len(data)) + data

    def send(self, packet):
        self.socket.sendall(self.text(packet))

    def take(self, count):
        got = b""
        while len(got) < count:
            more = self.socket.recv(count - len(got))
            expect(more, "the node closed the connection")
            got += more
        return got

    def receive(self):
        return self.take(struct.unpack(">i", self.take(4))[0])

    def ask(self, kind, body, xid=None):
        """The error code of the reply."""
        self.xid += 1
        self.send(struct.pack(">ii", self.xid if xid is None else xid, kind) + body)
        return struct.unpack(">i", self.receive()[12:16])[0]

    def create(self, path, data="x", entry=("world", "anyone")):
        acl = struct.pack(">ii", 1, 31) + self.text(entry[0]) + self.text(entry[1])
        return self.ask(1, self.text(path) + self.text(data) + acl + struct.pack(">i", 0))

    def set(self, path, data):
        return self.ask(5, self.text(path) + self.text(data) + struct.pack(">i", -1))

    def get(self, path):
        return self.ask(4, self.text(path) + b"\0")

    def auth(self, name_and_password):
        return self.ask(100, struct.pack(">i", 0) + self.text("digest") + self.text(name_and_password), -4)


def test_who_did_what_over_both_protocols(scratch):
    node = Node(scratch).start()
    until(node.is_ready, "it is ready")
    ctl_ok(node, "create", "/a", "secret-value")
    ctl_ok(node, "set", "/a", "other-value", "--note", "a reason")
    ctl_ok(node, "get", "/a")
    expect(ctl(node, "set", "/missing", "v")[0] != 0, "there is no such node")
    line = wait_for(node, "a set is told", request="coord.v1.Tree/Set", outcome="ok")
    expect(line["protocol"] == "grpc" and line["peer"].startswith(HOST + ":"), repr(line))
    expect(line["ops"] == [{"op": "set", "path": "/a", "bytes": 11}], repr(line))
    expect(line["note"] == "a reason" and line["outcome"] == "ok" and line["revision"] > 0, repr(line))
    wait_for(node, "what failed is told", request="coord.v1.Tree/Set", outcome="NO_NODE")

    client = ZooKeeper(node)
    expect(client.create("/z", "secret-value") == 0 and client.get("/z") == 0, "a ZooKeeper client writes")
    expect(client.create("/hidden", "v", ("digest", "ann:c2VjcmV0")) == 0, "a node for another one")
    expect(client.get("/hidden") == -102 and client.set("/hidden", "v") == -102, "which it may not touch")
    line = wait_for(node, "a create is told", request="create", session=client.session)
    expect(line["protocol"] == "zookeeper", repr(line))
    line = wait_for(node, "a denied read is told", request="getData")
    expect(line["outcome"] == "NO_AUTH" and line["denied"] == {"right": "read", "path": "/hidden"}, repr(line))
    line = wait_for(node, "a denied write is told", request="setData")
    expect(line["denied"] == {"right": "write", "path": "/hidden", "by": "acl"}, repr(line))

    expect(not [line for line in lines(node) if line["request"].endswith("/Get")], "reads are not told")
    with open(files(node)[-1], encoding="utf-8") as file:
        text = file.read()
    expect("secret-value" not in text and "c2VjcmV0" not in text, "values and digests are not told")
    mode = stat.S_IMODE(os.stat(files(node)[-1]).st_mode)
    expect(mode & 0o137 == 0 and mode & 0o600 == 0o600, "the file's mode is %o" % mode)


def test_logins_rights_and_administration(scratch):
    node = Node(scratch).start()
    until(node.is_ready, "it is ready")
    ctl_ok(node, "user", "add", "admin", "-", stdin=b"open-sesame\n")
    ctl_ok(node, "user", "grant-role", "admin", "root")
    ctl_ok(node, "user", "add", "web", "web-password")
    ctl_ok(node, "role", "add", "app")
    ctl_ok(node, "role", "grant", "app", "/app", "read,write,create,delete")
    ctl_ok(node, "user", "grant-role", "web", "app")
    ctl_ok(node, "auth", "enable")
    expect(ctl_as("web:wrong", node, "get", "/app") == 8, "a wrong password")
    line = wait_for(node, "a failed login is told", outcome="UNAUTHENTICATED", login="web")
    expect(line["user"] == "anonymous", repr(line))
    expect(ctl_as("web:web-password", node, "create", "/elsewhere", "v") == 8, "web may not")
    line = wait_for(node, "a denial is told", user="web", outcome="NO_AUTH")
    expect(line["denied"] == {"right": "create", "path": "/elsewhere", "by": "roles"}, repr(line))
    expect(ctl_as("web:web-password", node, "get", "/elsewhere") == 8, "nor read")
    line = wait_for(node, "a denied read is told", request="coord.v1.Tree/Get")
    expect(line["denied"] == {"right": "read", "path": "/elsewhere"}, repr(line))
    expect(ctl_as("web:web-password", node, "user", "delete", "admin") == 8, "nor rule")
    line = wait_for(node, "so is this", request="coord.v1.Auth/UserDelete")
    expect(line["denied"]["right"] == "admin", repr(line))
    client = ZooKeeper(node)
    expect(client.auth("web:guess") == -115, "a wrong password")
    wait_for(node, "a failed login of a ZooKeeper client is told", request="auth", login="web",
             outcome="AUTH_FAILED")

    expect(ctl_as("admin:open-sesame", node, "snapshot", "save", os.path.join(scratch, "copy.db")) == 0, "a backup")
    wait_for(node, "a backup is told", request="coord.v1.Maintenance/SnapshotSave", user="admin", outcome="ok")
    expect(ctl_as("admin:open-sesame", node, "member", "transfer") != 0, "there is nobody to hand over to")
    wait_for(node, "a hand-over is told", request="coord.v1.Cluster/TransferLeadership", user="admin")
    line = wait_for(node, "a change of roles is told", action="role_grant")
    expect(line["role"] == "app" and line["path"] == "/app" and line["rights"] == "rwcd", repr(line))
    with open(files(node)[-1], encoding="utf-8") as file:
        text = file.read()
    for secret in ("open-sesame", "web-password", "wrong", "guess", "scrypt"):
        expect(secret not in text, "%s is told" % secret)


def test_every_acknowledged_write_is_told_once(scratch):
    cluster = Cluster(scratch, audit_size="64k", audit_keep=1000)
    cluster.start()
    writers = Writers(scratch, cluster.endpoints, "/w", count=6)
    client = ZooKeeper(cluster.followers()[0])
    writers.wait_for_more(500)
    ctl_ok(cluster.endpoints, "member", "transfer", cluster.followers()[1].name)
    over_zookeeper = ["/zk-%d" % number for number in range(300)]
    for path in over_zookeeper:
        expect(client.create(path) == 0, "create %s" % path)
    writers.wait_for_more(500)
    acked, _, _ = writers.stop()
    cluster.converge()
    for node in cluster.nodes:
        expect(node.terminate() == 0, node.name + " ends in order")
    told = collections.Counter()
    revisions = {}
    for node in cluster.nodes:
        for line in lines(node):
            if line.get("outcome") == "ok" and "ops" in line and not line.get("repeated"):
                path = line["ops"][0]["path"]
                told[path] += 1
                revisions[path] = line["revision"]
    for path in acked + over_zookeeper:
        expect(told[path] == 1, "%s is told %d times" % (path, told[path]))
    expect(len(set(revisions.values())) == len(revisions), "each with a revision of its own")
    expect(any(len(files(node)) > 2 for node in cluster.nodes), "files were rotated")
    for node in cluster.nodes:
        for path in files(node):
            expect(os.path.getsize(path) <= 65536, "%s is larger than it may be" % path)


def test_a_restart_goes_on_and_completes_a_torn_line(scratch):
    node = Node(scratch).start()
    until(node.is_ready, "it is ready")
    ctl_ok(node, "create", "/first", "v")
    wait_for(node, "the first is told", request="coord.v1.Tree/Create")
    node.kill()
    with open(files(node)[-1], "ab") as file:
        file.write(b'{"time":"2025-')
    node.start()
    until(node.is_ready, "it is ready again")
    ctl_ok(node, "create", "/second", "v")

    def both():
        with open(files(node)[-1], encoding="utf-8") as file:
            text = file.read().splitlines()
        return text if any('"/second"' in line for line in text) else None
    text = until(both, "the second is told")
    torn = text.index('{"time":"2025-')
    expect(any('"/first"' in line for line in text[:torn]), "the first is in front of what is torn")
    expect(all(json.loads(line) for line in text[:torn] + text[torn + 1:]), "the rest is whole")


def test_what_is_written_is_a_setting(scratch):
    off = Node(scratch, "off", audit="off").start()
    everything = Node(scratch, "all", audit="all", audit_file=os.path.join(scratch, "elsewhere.jsonl")).start()
    denials = Node(scratch, "denials", audit="denials").start()
    for node in (off, everything, denials):
        until(node.is_ready, node.name + " is ready")
        ctl_ok(node, "create", "/a", "v")
        ctl_ok(node, "get", "/a")

    def all_of():
        with open(os.path.join(scratch, "elsewhere.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    until(lambda: [line for line in all_of() if line["request"] == "coord.v1.Tree/Get" and line["path"] == "/a"],
          "reads are told")
    until(lambda: os.path.exists(files(denials)[-1]), "the file is made")
    for node in (off, everything, denials):
        expect(node.terminate() == 0, node.name + " ends in order")
    expect(not os.path.exists(os.path.join(off.data_dir, "audit")), "off makes no file")
    expect(os.path.getsize(files(denials)[-1]) == 0, "nothing was denied")


def test_an_audit_log_that_cannot_be_written_stops_nothing(scratch):
    folder = os.path.join(scratch, "no-folder")
    with open(folder, "wb"):
        pass  # a file where a folder should be
    node = Node(scratch, audit_file=os.path.join(folder, "audit.jsonl")).start()
    until(node.is_ready, "it is ready")
    ctl_ok(node, "create", "/a", "v")
    until(lambda: node.metric("coord_audit_failing") == 1, "the metric says so")
    expect("audit.failed" in node.log(), "and the log")
    os.remove(folder)
    until(lambda: node.metric("coord_audit_failing") == 0, "it goes on by itself", 20)
    with open(os.path.join(folder, "audit.jsonl"), encoding="utf-8") as file:
        expect([line for line in file if '"/a"' in line], "with what had to wait")
    expect(node.terminate() == 0, "it ends in order")


if __name__ == "__main__":
    main(globals())
