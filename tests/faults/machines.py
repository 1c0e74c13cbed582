"""The cluster of a fault round: coordd processes, each on a machine of its own as far as this host allows it:
a file system, a network namespace, clocks, a share of the processors."""
import json
import os
import shutil
import signal
import subprocess
import time

from control import Control
from disks import Folder, Loop
from harness import PATIENCE, Failure, Node, clean_environment, ctl, until

# Small enough that a round brings snapshots, truncation and catching up by snapshot.
SHORT_LOG = {"snapshot_log_bytes": "256k", "trailing_log_bytes": "64k", "wal_segment_bytes": "128k"}
CPU_GROUPS = "/sys/fs/cgroup/cpu"
CPU_PERIOD_US = 20000


class Machine(Node):
    def __init__(self, scratch, number, network, use_loops, peers):
        super().__init__(scratch, "n%d" % number, peers, network.client_port(number))
        self.number = number
        self.network = network
        self.host = network.host(number)
        self.disk = (Loop if use_loops else Folder)(scratch, self.name)
        self.control = Control(os.path.join(scratch, self.name + ".control"))
        self.data_dir = os.path.join(self.disk.path, "coord")
        self.group = None
        self.is_paused = False
        self.has_power = True
        self.expects_end = False  # a fault makes it end by itself
        self.flags = dict(SHORT_LOG, insecure="true", zookeeper_timeout_min_ms="1000", zookeeper_words="*",
                          **network.flags(number))

    def status_within(self, seconds):
        return json.loads(self.http("/status", seconds / PATIENCE)[1])

    def arguments(self):
        return self.network.prefix(self.number) + super().arguments()

    def start(self, wait=True):
        environment = {**clean_environment(), **self.control.environment(),
                       **self.network.environment(self.number)}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.arguments(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment)
        self.was_ended = False
        self.expects_end = False
        if self.group is not None:
            self._enter_group()
        if wait:
            until(self.answers, self.name + " answers")
        return self

    def kill(self):
        """kill -9. A process that had to end by itself may have done so."""
        self.was_ended = True
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.is_paused = False

    def pause(self):
        self.is_paused = True
        self.send_signal(signal.SIGSTOP)

    def go_on(self):
        if self.is_paused and self.is_running():
            self.send_signal(signal.SIGCONT)
        self.is_paused = False

    def power_off(self):
        """The network is silent at once, nobody is told of the end; what was not synced is lost."""
        self.disk.power_off()
        self.kill()
        self.has_power = False

    def power_on(self):
        self.disk.power_on()
        self.has_power = True
        self.start(wait=False)

    def starve(self, share):
        """Only so much of one processor."""
        if not os.path.isdir(CPU_GROUPS):
            raise OSError("there is no cpu controller at " + CPU_GROUPS)
        self.group = os.path.join(CPU_GROUPS, "coord-faults-%d-%s" % (os.getpid(), self.name))
        os.makedirs(self.group, exist_ok=True)
        self._write_group("cpu.cfs_period_us", CPU_PERIOD_US)
        self._write_group("cpu.cfs_quota_us", int(CPU_PERIOD_US * share))
        if self.is_running():
            self._enter_group()

    def _write_group(self, name, value):
        with open(os.path.join(self.group, name), "w", encoding="ascii") as file:
            file.write("%d\n" % value)

    def _enter_group(self):
        self._write_group("cgroup.procs", self.process.pid)

    def feed(self):
        if self.group is None:
            return
        with open(os.path.join(self.group, "cgroup.procs"), encoding="ascii") as file:
            inside = file.read().split()
        for pid in inside:
            with open(os.path.join(CPU_GROUPS, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(pid)
        end = time.monotonic() + 5
        while os.path.isdir(self.group):
            try:
                os.rmdir(self.group)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        self.group = None

    def become_new(self, contacts):
        """From now on it is started as one that joins, with an empty disk."""
        self.disk.wipe()
        if self.peers is not None:
            self.flags["peer_address"] = self.peers[self.name]
            self.flags.setdefault("peer_listen", self.peers[self.name])
            self.peers = None
        self.flags["join"] = contacts

    def complaints(self):
        """What in its log or its end no fault explains."""
        found = []
        try:
            self.check_health()
        except Failure as failure:
            if self.expects_end and "ended by itself" in str(failure):
                return found
            found.append("%s\n%s" % (failure, self.log_tail()))
        return found

    def close(self):
        self.go_on()
        self.kill()
        self.feed()
        self.control.close()
        self.disk.close()


class Machines:
    def __init__(self, scratch, size, network, use_loops):
        self.network = network
        names = ["n%d" % number for number in range(1, size + 1)]
        peers = {name: "%s:%d" % (network.host(number), network.peer_port(number))
                 for number, name in enumerate(names, 1)}
        self.nodes = []
        try:
            for number in range(1, size + 1):
                self.nodes.append(Machine(scratch, number, network, use_loops, dict(peers)))
        except BaseException:
            self.close()
            raise

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            until(node.is_ready, node.name + " is ready", 30)

    @property
    def endpoints(self):
        return ",".join(node.endpoint for node in self.nodes)

    def find_leader(self):
        """The running node that leads in the highest term, or None; asks each for half a second at most."""
        led = []
        for node in self.nodes:
            if node.is_running() and not node.is_paused and node.has_power:
                try:
                    status = node.status_within(0.5)
                except (OSError, ValueError):
                    continue
                if status["role"] == "leader":
                    led.append((status["term"], node.number, node))
        return max(led)[2] if led else None

    def call(self, *arguments, seconds=5):
        """coordctl at whoever answers; its exit code and what it said."""
        code, out, error = ctl(self.endpoints, "--timeout", str(seconds), *arguments, timeout=seconds + 15)
        return code, out.decode(errors="replace") + error

    def close(self):
        for node in self.nodes:
            try:
                node.close()
            except OSError as error:
                print("cannot clean up %s: %s" % (node.name, error), flush=True)
            shutil.rmtree(os.path.join(node.scratch, node.name), ignore_errors=True)
