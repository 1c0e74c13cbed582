"""The clients of a round: those of clients/ over libcoord, zk_traffic.py and kazoo_traffic.py."""
import json
import os
import subprocess
import sys
import time

from harness import BUILD, COORDCTL, Failure, clean_environment

CLIENTS = BUILD + "/tests/faults/clients/clients"
ZK_TRAFFIC, KAZOO_TRAFFIC = (os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
                             for name in ("zk_traffic.py", "kazoo_traffic.py"))
# With the packages of the system, which another python3 of the PATH does not see.
DEBIAN_PYTHON = "/usr/bin/python3"
SLOTS, ROTATE_MS = 5, 1000
OVER_GRPC = {"kv": 6, "read": 5, "bank": 2, "lock": 3, "held": 4, "elect": 4, "session": 3, "watch": 2, "late": 4}
OVER_ZOOKEEPER = {"kv": 3, "bank": 1, "lock": 2, "session": 2}
KAZOO_LOCKS = 3
ACCOUNTS = 5
STOP_S = 90

SETUP = ["create /kv -", "create /bank -", "create /lock -", "create /count -", "create /eph -", "create /held -",
         "create /lead -", "create /kazoo -"] + \
    ["create /bank/a%d 100:setup.%d" % (i, i) for i in range(ACCOUNTS)] + \
    ["create /lock/%s -" % name for name in ("l0", "l1", "z0", "z1")] + \
    ["create /count/%s 0:setup.%s" % (name, name) for name in ("l0", "l1", "z0", "z1", "g0", "g1", "e0", "k0", "k1")]


class Traffic:
    def __init__(self, scratch, endpoints, seed):
        self.folder = os.path.join(scratch, "histories")
        self.endpoints = endpoints
        self.seed = seed
        self.processes = []
        os.makedirs(self.folder, exist_ok=True)

    def set_up(self):
        """The nodes that clients work on; they are calls like any other."""
        with open(os.path.join(self.folder, "setup.history"), "w", encoding="utf-8") as file:
            for line in SETUP:
                _, path, value = line.split()
                self.create(file, path, value)

    def create(self, file, path, value):
        begin = time.monotonic_ns() // 1000
        done = subprocess.run([COORDCTL, "--endpoints", self.endpoints, "--timeout", "30", "-o", "json", "create", path,
                               "" if value == "-" else value], stdin=subprocess.DEVNULL, capture_output=True,
                              check=False, env=clean_environment())
        if done.returncode != 0:
            raise Failure("create %s: %s" % (path, done.stderr.decode(errors="replace")))
        revision = json.loads(done.stdout)["stat"]["create_revision"]
        file.write("op create %s %s -1 %d %d ok %d - %d 0\n" % (
            path, value, begin, time.monotonic_ns() // 1000, revision, revision))

    def start(self):
        common = [self.folder, str(time.monotonic_ns() // 1000), str(ROTATE_MS), str(SLOTS), str(self.seed)]
        self._run([CLIENTS, "run", *common] +
                  ["%s=%d@%s" % (kind, count, self.endpoints) for kind, count in OVER_GRPC.items()])
        self._run([sys.executable, ZK_TRAFFIC, *common, self.endpoints] +
                  ["%s=%d" % item for item in OVER_ZOOKEEPER.items()])
        self._run([DEBIAN_PYTHON, KAZOO_TRAFFIC, self.folder, str(self.seed), self.endpoints, str(KAZOO_LOCKS)])

    def _run(self, command):
        self.processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, env={
            **clean_environment(), "COORD_BUILD": BUILD}))

    def stop(self):
        """No new calls, but for watches: they go on until they have seen the node /end."""
        for process in self.processes:
            process.stdin.close()

    def finish(self):
        for process in self.processes:
            try:
                if process.wait(timeout=STOP_S) != 0:
                    raise Failure("clients ended with %d" % process.returncode)
            except subprocess.TimeoutExpired:
                raise Failure("clients do not end") from None

    def mark_end(self):
        with open(os.path.join(self.folder, "end.history"), "w", encoding="utf-8") as file:
            self.create(file, "/end", "end")

    def kill(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def dump(node, path):
    """The change log of a node, as lines in a file."""
    with open(path, "wb") as file:
        done = subprocess.run([CLIENTS, "dump", node.endpoint], stdin=subprocess.DEVNULL, stdout=file,
                              stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise Failure("%s does not tell its change log: %s" % (node.name, done.stderr.decode(errors="replace")))
