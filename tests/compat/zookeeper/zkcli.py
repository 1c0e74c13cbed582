#!/usr/bin/python3
"""zkCli.sh of Debian's zookeeper package, and cli_mt of zookeeper-bin: what they print."""
import os
import re
import subprocess
import threading

import checks
import harness
import target
import wire
from checks import check, equal
from harness import PATIENCE, expect, until

ZKCLI = ["nice", "-n", "5", "bash", "/usr/share/zookeeper/bin/zkCli.sh"]
CLI_MT = "/usr/lib/zookeeper/bin/cli_mt"
STAT_LINES = ["cZxid", "ctime", "mZxid", "mtime", "pZxid", "cversion", "dataVersion", "aclVersion",
              "ephemeralOwner", "dataLength", "numChildren"]


def environment():
    return dict(os.environ, JVMFLAGS=" ".join(target.JAVA_FLAGS))


class ZkCli:
    """One zkCli.sh. run() answers the lines that a command prints; watch events go to `events`."""

    def __init__(self, t, server=None, timeout_ms=20000):
        hosts = server.address if server else t.hosts
        self.process = subprocess.Popen([*ZKCLI, "-timeout", str(timeout_ms), "-server", hosts],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=environment(), text=True)
        harness._processes.append(self.process)
        self.lines = []
        self.events = []
        self.count = 0
        self.read = 0
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: "SyncConnected None" in self.events, "zkCli is connected", 30)

    def _read(self):
        for line in self.process.stdout:
            line = line.rstrip("\n")
            event = re.match(r"WatchedEvent state:(\w+) type:(\w+) path:(.*)", line)
            if event:
                state, kind, path = event.groups()
                self.events.append("%s None" % state if kind == "None" else "%s %s" % (kind, path))
            elif line and line != "WATCHER::" and not line.startswith("SLF4J"):
                self.lines.append(line)

    def _send(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def run(self, command):
        """What it prints; a question whose answer is known comes behind it."""
        self.count += 1
        end = "Node does not exist: /end-of-%d" % self.count
        self.read = len(self.lines)
        self._send(command)
        self._send("stat /end-of-%d" % self.count)
        until(lambda: end in self.lines[self.read:], "zkCli has executed %r" % command, 20)
        return self.lines[self.read:self.lines.index(end)]

    def expect(self, command, *lines):
        equal(self.run(command), list(lines), command)

    def stat(self, command):
        """Of a command that prints a Stat: what comes before it, and its fields as numbers or text."""
        printed = self.run(command)
        fields = dict(line.split(" = ", 1) for line in printed[-len(STAT_LINES):])
        equal(list(fields), STAT_LINES, command)
        for name, value in fields.items():
            if name not in ("ctime", "mtime"):
                fields[name] = int(value, 0)
            else:
                expect(re.fullmatch(r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}", value), "%s: %r" % (name, value))
        return printed[:-len(STAT_LINES)], fields

    def heard(self, *events):
        """Exactly these watch events since the last time, sessions' apart."""
        def told():
            return [event for event in self.events if not event.endswith(" None")]
        until(lambda: len(told()) >= len(events), "%r are told" % (events,))
        equal(told(), list(events))
        self.events.clear()

    def quit(self):
        self._send("quit")
        # Its exit code is that of the last command.
        until(lambda: self.process.poll() is not None, "zkCli ends", 20)


_shared = []


def cli(t):
    """One that most checks share: each start costs a second."""
    if not _shared:
        _shared.append(ZkCli(t))
    _shared[0].events.clear()
    return _shared[0]


def once(t, *arguments):
    """zkCli.sh with a command: exit code, what it prints."""
    done = subprocess.run([*ZKCLI, "-server", t.hosts, *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), text=True,
                          timeout=60 * PATIENCE, check=False)
    return done.returncode, done.stdout


@check("zkCli: create, get, set, delete")
def _(t):
    zk = cli(t)
    zk.expect("create %s hello" % t.base, "Created " + t.base)
    zk.expect("create %s again" % t.base, "Node already exists: " + t.base)
    zk.expect("get " + t.base, "hello")
    zk.expect("set %s new" % t.base)
    zk.expect("get " + t.base, "new")
    zk.expect("create %s/none" % t.base, "Created %s/none" % t.base)
    zk.expect("get %s/none" % t.base, "null")
    zk.expect("delete " + t.base, "Node not empty: " + t.base)
    zk.expect("delete %s/none" % t.base)
    zk.expect("delete " + t.base)
    for command in ("get", "delete", "ls", "stat", "deleteall"):
        zk.expect("%s %s" % (command, t.base), "Node does not exist: " + t.base)
    zk.expect("create %s/x/y z" % t.base, "Node does not exist: %s/x/y" % t.base)
    zk.expect("create noslash", "Path must start with / character")


@check("zkCli: create -e, -s, -c, -t and what cannot be combined")
def _(t):
    zk = cli(t)
    zk.expect("create %s" % t.base, "Created " + t.base)
    for options, name, made in (("-e", "e", "e"), ("-s", "s-", "s-0000000001"), ("-e -s", "es-", "es-0000000002"),
                                ("-c", "c", "c"), ("-t 500000", "t", "t"),
                                ("-t 500000 -s", "ts-", "ts-0000000005")):
        zk.expect("create %s %s/%s v" % (options, t.base, name), "Created %s/%s" % (t.base, made))
    zk.expect("create -e -t 50 %s/x" % t.base, "TTLs cannot be used with Ephemeral znodes")
    zk.expect("create -e -c %s/x" % t.base,
              "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
    zk.expect("create %s/e/x" % t.base, "Ephemerals cannot have children: %s/e/x" % t.base)
    zk.expect("ls " + t.base, "[c, e, es-0000000002, s-0000000001, t, ts-0000000005]")
    owners = {name: zk.stat("stat %s/%s" % (t.base, name))[1]["ephemeralOwner"] for name in "ecst" if name != "s"}
    equal((owners["c"], owners["t"]), (0, 0))
    expect(owners["e"] != 0, "owner of an ephemeral")
    listed = zk.run("getEphemerals " + t.base)
    equal(sorted(listed[0].strip("[]").split(", ")), [t.base + "/e", t.base + "/es-0000000002"])


@check("zkCli: ls, ls -s, ls -R")
def _(t):
    zk = cli(t)
    for name in ("", "/b", "/a", "/a/x", "/a/y"):
        zk.run("create %s%s v" % (t.base, name))
    zk.expect("ls " + t.base, "[a, b]")
    zk.expect("ls %s/b" % t.base, "[]")
    zk.expect("ls -R " + t.base, t.base, *(t.base + name for name in ("/a", "/b", "/a/x", "/a/y")))
    before, fields = zk.stat("ls -s " + t.base)
    equal((before, fields["numChildren"], fields["cversion"]), (["[a, b]"], 2, 2))
    zk.expect("getAllChildrenNumber " + t.base, "4")
    expect("zookeeper" in zk.run("ls /")[0], "ls /")


@check("zkCli: get -s, stat, set -s show the same Stat, set -v guards it")
def _(t):
    zk = cli(t)
    zk.run("create %s hello" % t.base)
    before, fields = zk.stat("get -s " + t.base)
    equal(before, ["hello"])
    equal(zk.stat("stat " + t.base), ([], fields))
    equal([fields[name] for name in ("cversion", "dataVersion", "aclVersion", "ephemeralOwner", "dataLength")],
          [0, 0, 0, 0, 5])
    equal((fields["cZxid"], fields["cZxid"]), (fields["mZxid"], fields["pZxid"]))
    zk.expect("set -v 0 %s x" % t.base)
    zk.expect("set -v 0 %s y" % t.base, "version No is not valid : " + t.base)
    zk.expect("delete -v 0 " + t.base, "version No is not valid : " + t.base)
    _, after = zk.stat("set -s -v 1 %s longer" % t.base)
    equal((after["dataVersion"], after["dataLength"], after["cZxid"]), (2, 6, fields["cZxid"]))
    expect(after["mZxid"] > fields["mZxid"], "mZxid")
    zk.expect("set %s/none x" % t.base, "Node does not exist: %s/none" % t.base)
    zk.expect("delete -v 2 " + t.base)


@check("zkCli: deleteall takes what is below as well, in batches too")
def _(t):
    zk = cli(t)
    for name in ("", "/a", "/a/b", "/c"):
        zk.run("create %s%s" % (t.base, name))
    zk.expect("deleteall " + t.base)
    zk.expect("stat " + t.base, "Node does not exist: " + t.base)
    zk.run("create " + t.base)
    for number in range(7):
        zk.run("create %s/%d" % (t.base, number))
    zk.expect("deleteall %s -b 3" % t.base)
    zk.expect("stat " + t.base, "Node does not exist: " + t.base)


@check("zkCli: addWatch in both modes, removewatches")
def _(t):
    zk = cli(t)
    with wire.Client(t.servers[0]) as other:
        other.create(t.base)
        zk.run("sync /")
        zk.expect("addWatch " + t.base)
        other.set(t.base, b"x")
        other.create(t.base + "/c")
        other.set(t.base + "/c", b"x")
        other.delete(t.base + "/c")
        zk.heard("NodeDataChanged " + t.base, "NodeCreated %s/c" % t.base, "NodeDataChanged %s/c" % t.base,
                 "NodeDeleted %s/c" % t.base)
        zk.run("removewatches " + t.base)
        zk.heard("PersistentWatchRemoved " + t.base)
        zk.expect("addWatch -m PERSISTENT %s" % t.base)
        other.set(t.base, b"y")
        other.create(t.base + "/c")
        other.set(t.base + "/c", b"not told")
        other.delete(t.base + "/c")
        zk.heard("NodeDataChanged " + t.base, "NodeChildrenChanged " + t.base, "NodeChildrenChanged " + t.base)
        zk.run("removewatches " + t.base)
        zk.heard("PersistentWatchRemoved " + t.base)
        zk.expect("removewatches " + t.base, "KeeperErrorCode = No such watcher for " + t.base)
        other.set(t.base, b"z")
        zk.run("sync /")
        zk.heard()


@check("zkCli: get -w, ls -w and stat -w tell once")
def _(t):
    zk = cli(t)
    zk.run("create %s v" % t.base)
    zk.expect("get -w " + t.base, "v")
    zk.expect("ls -w " + t.base, "[]")
    zk.run("set %s w" % t.base)
    zk.run("set %s x" % t.base)
    zk.run("create %s/c" % t.base)
    zk.run("create %s/d" % t.base)
    zk.heard("NodeDataChanged " + t.base, "NodeChildrenChanged " + t.base)
    zk.run("stat -w %s/c" % t.base)
    zk.run("delete %s/c" % t.base)
    zk.heard("NodeDeleted %s/c" % t.base)


@check("zkCli: sync, whoami, version, history, redo, printwatches")
def _(t):
    zk = cli(t)
    zk.run("create %s v" % t.base)
    zk.expect("sync " + t.base, "Sync is OK")
    zk.expect("sync noslash", "Path must start with / character")
    equal([line.replace(" ", "") for line in zk.run("whoami")][:2], ["Authscheme:User", "ip:127.0.0.1"])
    history = zk.run("history")
    expect(history[-1].endswith(" - history") and len(history) == 11, "history %r" % history)
    number = [line.split(" - ")[0] for line in history if line.endswith(" - sync " + t.base)][0]
    zk.expect("redo " + number, "Sync is OK")
    zk.expect("printwatches", "printwatches is on")


@check("zkCli: getAcl, setAcl, addauth, and who is refused")
def _(t):
    zk = ZkCli(t)
    zk.run("create %s v" % t.base)
    zk.expect("getAcl " + t.base, "'world,'anyone", ": cdrwa")
    zk.expect("create %s/cr v world:anyone:cr" % t.base, "Created %s/cr" % t.base)
    zk.expect("getAcl %s/cr" % t.base, "'world,'anyone", ": cr")
    zk.expect("set %s/cr x" % t.base, "Insufficient permission : %s/cr" % t.base)
    zk.expect("setAcl %s/cr world:anyone:r" % t.base, "Insufficient permission : %s/cr" % t.base)
    zk.expect("create %s/bad v nosuch:x:r" % t.base, "KeeperErrorCode = InvalidACL for %s/bad" % t.base,
              "Acl is not valid : %s/bad" % t.base)
    zk.expect("create %s/bad v auth::cdrwa" % t.base, "KeeperErrorCode = InvalidACL for %s/bad" % t.base,
              "Acl is not valid : %s/bad" % t.base)
    zk.expect("addauth digest ann:secret")
    zk.expect("create %s/mine v auth:x:cdrwa" % t.base, "Created %s/mine" % t.base)
    zk.expect("getAcl %s/mine" % t.base, "'digest,'ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM=", ": cdrwa")
    equal(sorted(line.replace(" ", "") for line in zk.run("whoami")),
          ["Authscheme:User", "digest:ann", "ip:127.0.0.1"])
    other = cli(t)
    other.run("sync /")
    other.expect("get %s/mine" % t.base, "Insufficient permission : %s/mine" % t.base)
    before, fields = zk.stat("setAcl -s -v 0 %s/mine world:anyone:cdrwa" % t.base)
    equal((before, fields["aclVersion"], fields["dataVersion"]), ([], 1, 0))
    zk.expect("setAcl -v 0 %s/mine world:anyone:cdrwa" % t.base, "version No is not valid : %s/mine" % t.base)
    before, fields = zk.stat("getAcl -s %s/mine" % t.base)
    equal((before, fields["aclVersion"]), (["'world,'anyone", ": cdrwa"], 1))
    other.run("sync /")
    other.expect("get %s/mine" % t.base, "v")
    zk.run("create %s/mine/below" % t.base)
    zk.expect("setAcl -R %s/mine world:anyone:crda" % t.base)
    zk.expect("getAcl %s/mine/below" % t.base, "'world,'anyone", ": cdra")
    zk.quit()


@check("zkCli: addauth with an unknown scheme is AuthFailed")
def _(t):
    zk = ZkCli(t)
    zk._send("addauth nosuch")
    until(lambda: "AuthFailed None" in zk.events, "the failure is told")
    zk.quit()


@check("zkCli: super, by addauth, reads what nobody may")
def _(t):
    zk = ZkCli(t)
    zk.run("create %s v digest:nobody:x:r" % t.base)
    zk.expect("get " + t.base, "Insufficient permission : " + t.base)
    zk.expect("addauth digest " + target.SUPER)
    zk.expect("get " + t.base, "v")
    zk.quit()


@check("zkCli: config shows /zookeeper/config")
def _(t):
    with wire.Client(t.servers[0]) as client:
        data = client.get("/zookeeper/config")[0]
    # An empty one is shown as an empty line, which is skipped here.
    equal(cli(t).run("config"), data.decode().split("\n") if data else [])


@check("zkCli: a command on the command line, with its exit code")
def _(t):
    code, printed = once(t, "create", t.base, "v")
    equal((code, "Created " + t.base in printed), (0, True), printed)
    code, printed = once(t, "get", t.base + "/none")
    equal((code, "Node does not exist: %s/none" % t.base in printed), (1, True), printed)


@check("zkCli: goes on at another server when its own is killed, with its ephemerals and its watches")
def _(t):
    zk = ZkCli(t)
    zk.run("create %s v" % t.base)
    zk.run("create -e %s/e v" % t.base)
    zk.run("addWatch " + t.base)
    session = zk.stat("stat %s/e" % t.base)[1]["ephemeralOwner"]
    holder = [server for server in t.servers if "sid=0x%x," % session in target.ask(server.port, "cons")]
    equal(len(holder), 1, "servers that know of the connection")
    zk.events.clear()
    holder[0].kill()
    until(lambda: "Disconnected None" in zk.events and zk.events[-1] == "SyncConnected None", "it is back", 30)
    zk.events.clear()
    other = [server for server in t.servers if server is not holder[0]][0]
    with wire.Client(other) as writer:
        writer.sync()
        equal(writer.stat(t.base + "/e").ephemeralOwner, session)
        writer.set(t.base, b"told")
        zk.heard("NodeDataChanged " + t.base)
    zk.expect("get " + t.base, "told")
    holder[0].restart()
    zk.quit()
    with wire.Client(holder[0]) as reader:
        reader.sync()
        equal(reader.stat(t.base + "/e"), None)


@check("cli_mt: create, set, get, ls and delete")
def _(t):
    def ask(command, *expected):
        done = subprocess.run([CLI_MT, t.hosts, "cmd:" + command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=30 * PATIENCE, check=False, cwd=t.scratch)
        for line in expected:
            expect(line in done.stdout.splitlines(), "%s: no %r in\n%s" % (command, line, done.stdout))
    ask("create " + t.base, "[%s]: rc = 0" % t.base, "\tname = " + t.base)
    ask("create %s/c" % t.base, "[%s/c]: rc = 0" % t.base)
    ask("set %s hello" % t.base, "%s: rc = 0 Stat:" % t.base)
    ask("get " + t.base, "%s: rc = 0" % t.base, " value_len = 5", "hello")
    ask("ls " + t.base, "%s: rc = 0" % t.base, "\tc")
    ask("delete " + t.base, "%s: rc = -111" % t.base)
    ask("delete %s/c" % t.base, "%s/c: rc = 0" % t.base)
    ask("ls " + t.base, "%s: rc = 0" % t.base)


if __name__ == "__main__":
    checks.main()
