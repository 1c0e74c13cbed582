"""Clusters of three: coord, Debian's etcd-server, Debian's zookeeper. All are used in one way: start, endpoints,
leader, kill, restart, revision, process ids."""
import json
import os
import re
import socket
import subprocess
import urllib.request

import harness
from harness import HOST, expect, free_port, until

ZOOKEEPER_PACKAGE = "zookeeper"
# As Debian's zkServer.sh starts it: the default heap (a quarter of the memory at most) and collector.
JAVA_CLASS_PATH = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar"
# Debian's zoo.cfg but for places and members; maxClientCnxns, 60 by default, would refuse the load.
ZOO_CFG = """tickTime=2000
initLimit=10
syncLimit=5
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
dataDir=%(folder)s
clientPort=%(port)d
clientPortAddress=127.0.0.1
%(members)s
"""


def package_version(name):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False, text=True)
    return done.stdout if done.returncode == 0 else ""


def java_version():
    done = subprocess.run(["java", "-version"], stderr=subprocess.PIPE, check=True, text=True)
    return re.search(r'"([^"]*)"', done.stderr).group(1)


class Cluster:
    """What they have in common."""

    name = ""

    def __init__(self, scratch):
        self.scratch = os.path.join(scratch, self.name)
        os.makedirs(self.scratch)
        self.ports = [free_port() for _ in range(3)]
        self.processes = [None, None, None]

    def endpoints(self, without=None):
        return ",".join("%s:%d" % (HOST, port) for i, port in enumerate(self.ports) if i != without)

    def leader(self):
        return "%s:%d" % (HOST, self.ports[self.leader_index()])

    def leader_index(self):
        return until(lambda: [i for i in range(3) if self.is_leader(i)], self.name + " has a leader", 60)[0]

    def pids(self):
        return [process.pid for process in self.processes]

    def spawn(self, index, command, **environment):
        with open(os.path.join(self.scratch, "log-%d" % index), "ab") as log:
            self.processes[index] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                     env={**harness.clean_environment(), **environment})
        harness._processes.append(self.processes[index])

    def start(self):
        for index in range(3):
            self.launch(index)
        for index in range(3):
            self.await_ready(index)
        self.leader_index()

    def await_ready(self, index):
        def answers():
            expect(self.processes[index].poll() is None, "%s ended, see %s" % (self.name, self.scratch))
            return self.is_ready(index)
        until(answers, "%s %d serves" % (self.name, index), 120)

    def kill(self, index):
        self.processes[index].kill()
        self.processes[index].wait()

    def restart(self, index, wait=True):
        self.launch(index)
        if wait:
            self.await_ready(index)

    def stop(self):
        for index in range(3):
            if self.is_up(index):
                self.kill(index)

    def is_up(self, index):
        return self.processes[index] is not None and self.processes[index].poll() is None

    def first_up(self):
        return next(i for i in range(3) if self.is_up(i))


class Coord(Cluster):
    name = "coord"

    def __init__(self, scratch):
        super().__init__(scratch)
        self.members = ",".join("n%d=%s:%d" % (i, HOST, free_port()) for i in range(3))

    def launch(self, index):
        self.spawn(index, [harness.COORDD, "--name=n%d" % index, "--initial-cluster=" + self.members,
                           "--data-dir=" + os.path.join(self.scratch, "n%d" % index),
                           "--listen=%s:%d" % (HOST, self.ports[index])])

    def ask(self, index, page):
        with urllib.request.urlopen("http://%s:%d%s" % (HOST, self.ports[index], page), timeout=5) as answer:
            return answer.read().decode()

    def is_ready(self, index):
        return "" != self.ask(index, "/ready")

    def status(self, index):
        return json.loads(self.ask(index, "/status"))

    def is_leader(self, index):
        return self.is_up(index) and self.status(index)["role"] == "leader" and self.status(index)["serving"]

    def revision(self):
        return max(self.status(i)["revision"] for i in range(3) if self.is_up(i))

    def metric(self, index, name):
        return float(re.search(r"^%s (\S+)$" % name, self.ask(index, "/metrics"), re.M).group(1))

    def change_logs_mib(self):
        return [self.metric(i, "coord_history_bytes") / 2**20 for i in range(3)]

    def longest_turn_ms(self):
        """Of the leader's loop within the last 10 to 20 s."""
        return self.metric(self.leader_index(), "coord_loop_longest_turn_microseconds") / 1000

    def hand_over(self):
        code, _, error = harness.ctl(self.endpoints(), "member", "transfer")
        expect(code == 0, error)


class Etcd(Cluster):
    """Snapshot count, heartbeat and election timeout are etcd's defaults."""

    name = "etcd"

    def __init__(self, scratch):
        super().__init__(scratch)
        self.peers = ["http://%s:%d" % (HOST, free_port()) for _ in range(3)]

    def launch(self, index):
        client = "http://%s:%d" % (HOST, self.ports[index])
        self.spawn(index, ["etcd", "--name", "e%d" % index, "--data-dir", os.path.join(self.scratch, "e%d" % index),
                           "--listen-client-urls", client, "--advertise-client-urls", client,
                           "--listen-peer-urls", self.peers[index], "--initial-advertise-peer-urls", self.peers[index],
                           "--initial-cluster", ",".join("e%d=%s" % item for item in enumerate(self.peers)),
                           "--log-level", "error"], ETCD_UNSUPPORTED_ARCH="")

    def ask(self, index, page, data=None):
        with urllib.request.urlopen("http://%s:%d%s" % (HOST, self.ports[index], page), data=data, timeout=5) as answer:
            return json.load(answer)

    def is_ready(self, index):
        return self.ask(index, "/health")["health"] == "true"

    def is_leader(self, index):
        if not self.is_up(index):
            return False
        status = self.ask(index, "/v3/maintenance/status", b"{}")
        return status.get("leader") == status["header"]["member_id"]

    def revision(self):
        return int(self.ask(self.first_up(), "/v3/kv/range", b'{"key": "Lw=="}')["header"]["revision"])


class ZooKeeper(Cluster):
    name = "ZooKeeper"

    def __init__(self, scratch):
        super().__init__(scratch)
        members = "\n".join("server.%d=%s:%d:%d" % (i + 1, HOST, free_port(), free_port()) for i in range(3))
        for index, port in enumerate(self.ports):
            folder = os.path.join(self.scratch, "z%d" % index)
            os.makedirs(folder)
            for name, text in (("myid", "%d\n" % (index + 1)),
                               ("zoo.cfg", ZOO_CFG % {"folder": folder, "port": port, "members": members})):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                    out.write(text)

    def launch(self, index):
        folder = os.path.join(self.scratch, "z%d" % index)
        self.spawn(index, ["java", "-Dzookeeper.log.dir=" + folder, "-Dzookeeper.root.logger=INFO,ROLLINGFILE", "-cp",
                           JAVA_CLASS_PATH, "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                           os.path.join(folder, "zoo.cfg")])

    def word(self, index, word):
        with socket.create_connection((HOST, self.ports[index]), timeout=5) as connection:
            connection.sendall(word)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer.decode()

    def mode(self, index):
        found = re.search(r"^Mode: (\w+)$", self.word(index, b"srvr"), re.MULTILINE)
        return found.group(1) if found else None

    def is_ready(self, index):
        return self.mode(index) in ("leader", "follower")

    def is_leader(self, index):
        return self.is_up(index) and self.mode(index) == "leader"

    def revision(self):
        found = re.search(r"^Zxid: 0x([0-9a-f]+)$", self.word(self.first_up(), b"srvr"), re.MULTILINE)
        return int(found.group(1), 16) if found else 0
