"""Three servers that speak ZooKeeper's protocol: coord's, or those of Debian's zookeeper package.

TARGET=zookeeper chooses the latter, to prove that what the checks expect is what ZooKeeper does.
Both are used in one way only: a client address, four-letter words, kill and start. So no check can
tell them apart but by asking for `is_coord`, where a difference is on purpose.

coord's servers come from tests/cluster/harness.py, whose waiting and failing is used here as well.
"""
import base64
import hashlib
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "cluster"))
import harness
from harness import HOST, PATIENCE, Failure, expect, until

IS_COORD = os.environ.get("TARGET") != "zookeeper"
# What super is asked with, and how the servers know it: name:base64(sha1("name:password")).
SUPER = "super:compat"
SUPER_DIGEST = "super:" + base64.b64encode(hashlib.sha1(SUPER.encode()).digest()).decode()
# Small ones, that do not spend the time of a short run on compiling.
JAVA_FLAGS = ["-Xmx128m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
CLASS_PATH = "/usr/share/java/slf4j-simple.jar:/usr/share/java/zookeeper.jar"

ZOO_CFG = """tickTime=500
initLimit=60
syncLimit=20
minSessionTimeout=4000
maxSessionTimeout=40000
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
dataDir=%(folder)s
clientPort=%(port)d
clientPortAddress=127.0.0.1
%(members)s
"""


def ask(port, word, seconds=5.0):
    """The answer to a four-letter word."""
    with socket.create_connection((HOST, port), timeout=seconds * PATIENCE) as connection:
        connection.sendall(word.encode())
        answer = b""
        while True:
            piece = connection.recv(65536)
            if not piece:
                return answer.decode()
            answer += piece


class Server:
    """What both kinds have in common: how a client sees them."""

    port = 0

    @property
    def address(self):
        return "%s:%d" % (HOST, self.port)

    def mode(self):
        """leader or follower; None while the server serves nobody."""
        found = re.search(r"^Mode: (\w+)$", ask(self.port, "srvr"), re.MULTILINE)
        return found.group(1) if found else None

    def is_serving(self):
        return self.mode() in ("leader", "follower")

    def process_of(self):
        raise NotImplementedError

    def await_serving(self, seconds):
        def serves():
            expect(self.process_of().poll() is None, "%s ended by itself:\n%s" % (self.address, self.log_tail()))
            return self.is_serving()
        until(serves, "%s answers ZooKeeper's srvr as a leader or follower" % self.address, seconds)

    def restart(self):
        self.start()
        self.await_serving(30)


class CoordServer(Server):
    def __init__(self, node):
        self.node = node
        self.port = node.port

    def start(self):
        self.node.start(wait=False)

    def kill(self):
        self.node.kill()

    def process_of(self):
        return self.node.process

    def log_tail(self):
        return self.node.log_tail()

    def check_health(self):
        self.node.check_health()


class ZooKeeperServer(Server):
    def __init__(self, scratch, number, port, members):
        self.folder = os.path.join(scratch, "zk%d" % number)
        self.port = port
        os.makedirs(self.folder)
        for name, text in (("myid", "%d\n" % number),
                           ("zoo.cfg", ZOO_CFG % {"folder": self.folder, "port": port,
                                                  "members": "\n".join(members)})):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as out:
                out.write(text)
        self.log_path = os.path.join(self.folder, "log")
        self.process = None

    def start(self):
        settings = {
            "zookeeper.DigestAuthenticationProvider.superDigest": SUPER_DIGEST,
            "zookeeper.extendedTypesEnabled": "true",
            "znode.container.checkIntervalMs": "500",
            "zookeeper.forceSync": "no",
            "zookeeper.preAllocSize": "1024",
            "zookeeper.jmx.log4j.disable": "true",
            "org.slf4j.simpleLogger.defaultLogLevel": "warn",
            "java.net.preferIPv4Stack": "true",
        }
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", "5", "java", *JAVA_FLAGS, *("-D%s=%s" % item for item in settings.items()),
                 "-cp", CLASS_PATH, "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                 os.path.join(self.folder, "zoo.cfg")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        harness._processes.append(self.process)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def process_of(self):
        return self.process

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return "\n".join(log.read().splitlines()[-12:])

    def check_health(self):
        pass


class Target:
    """The three servers, started."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.is_coord = IS_COORD
        # A JVM binds its port long after it was chosen, and a killed server's is free for a while: in a
        # range of their own they are not in the way of the cluster tests, nor these in theirs.
        harness.PORTS = range(17500, 17900)
        self.servers = self._coord() if IS_COORD else self._zookeeper()
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.await_serving(40)
        version = re.match(r"Zookeeper version: (\d+)\.(\d+)", ask(self.servers[0].port, "srvr"))
        self.version = (int(version.group(1)), int(version.group(2)))

    def _coord(self):
        self.cluster = harness.Cluster(self.scratch, zookeeper_words="*",
                                       super_digest=SUPER_DIGEST)
        return [CoordServer(node) for node in self.cluster.nodes]

    def _zookeeper(self):
        members = ["server.%d=%s:%d:%d" % (number, HOST, harness.free_port(), harness.free_port())
                   for number in (1, 2, 3)]
        return [ZooKeeperServer(self.scratch, number, harness.free_port(), members)
                for number in (1, 2, 3)]

    @property
    def hosts(self):
        """The connection string of clients."""
        return ",".join(server.address for server in self.servers)

    def leader(self):
        def find():
            modes = [(server.mode(), server) for server in self.servers]
            leaders = [server for mode, server in modes if mode == "leader"]
            return leaders[0] if len(leaders) == 1 else None
        return until(find, "one server leads", 30)

    def followers(self):
        leader = self.leader()
        return [server for server in self.servers if server is not leader]

    def at(self, address):
        """The server with that host:port."""
        for server in self.servers:
            if address.rsplit(":", 1)[1] == str(server.port):
                return server
        raise Failure("no server at " + address)
