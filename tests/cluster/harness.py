"""Real coordd processes for the cluster tests, and a way to run those tests.

A test module defines functions test_*(scratch) and calls main(globals()). `scratch` is a directory
of its own. Every process started here is killed when its test ends, however that ends. Nothing
sleeps for luck: `until` waits for a condition and fails by name when it does not come true in time.

Programs come from the environment, as tests/run.sh and the Makefile set it.
"""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get("COORD_BUILD", "build/release")
COORDD = os.environ.get("COORDD", BUILD + "/coordd")
COORDCTL = os.environ.get("COORDCTL", BUILD + "/coordctl")
WRITERS = BUILD + "/tests/cluster/writers"
# Sanitized programs are several times slower; so is a machine that runs other tests as well.
PATIENCE = float(os.environ.get("PATIENCE", "4" if os.environ.get("VARIANT", "release") != "release" else "1"))

PORTS = range(20000, 24000)
HOST = "127.0.0.1"
CRASH = re.compile(r"Sanitizer|runtime error|^crash kind=")
_given = {}
_nodes = []
_processes = []


class Failure(Exception):
    """What a test expected did not happen."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def until(condition, what, seconds=10.0):
    """Returns the first true value of condition(); an error inside it means: not yet."""
    end = time.monotonic() + seconds * PATIENCE
    last = None
    while time.monotonic() < end:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, ValueError, http.client.HTTPException) as error:
            last = error
        time.sleep(0.01)
    raise Failure("not within %gs: %s (last: %r)" % (seconds * PATIENCE, what, last))


def has_address(host):
    """Whether servers can be at this address of the machine: where there is no IPv6, none is at ::1."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
            return True
        except OSError:
            return False


def free_port():
    """A port that nothing listens on, and that no run of tests has given away yet, this one or another: who gives it
    away holds a name for it (of an abstract Unix socket, which ends with its process)."""
    for port in random.sample(PORTS, len(PORTS)):
        name = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                name.bind("\0coord-test-port-%d" % port)
                probe.bind((HOST, port))
            except OSError:
                name.close()
                continue
        _given[port] = name
        return port
    raise Failure("no free port left")


def give_back(port):
    """Nobody of this run uses it any more."""
    name = _given.pop(port, None)
    if name:
        name.close()


class Node:
    """One coordd: its flags, and the process while it runs."""

    def __init__(self, scratch, name="coord", peers=None, port=None, **flags):
        """Of a cluster: `peers` by name. One that joins has the flags join and peer_listen."""
        self.name = name
        self.scratch = scratch
        self.data_dir = os.path.join(scratch, name)
        self.log_path = os.path.join(scratch, name + ".log")
        self.host = HOST
        self.port = port or free_port()
        self.peers = peers
        self.flags = flags
        self.program = COORDD
        self.process = None
        self.was_ended = False
        _nodes.append(self)

    @property
    def endpoint(self):
        return "%s:%d" % (self.host, self.port)

    @property
    def peer_port(self):
        return int(self.peers[self.name].rsplit(":", 1)[1])

    def arguments(self):
        flags = {"name": self.name, "data-dir": self.data_dir, "listen": self.endpoint}
        if self.peers:
            flags["initial-cluster"] = ",".join("%s=%s" % item for item in self.peers.items())
        for key, value in self.flags.items():
            flags[key.replace("_", "-")] = str(value)
        return [self.program] + ["--%s=%s" % item for item in flags.items()]

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.arguments(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=clean_environment())
        self.was_ended = False
        if wait:
            until(self.answers, self.name + " answers")
        return self

    def answers(self):
        code = self.process.poll()
        if code is not None:
            raise Failure("%s ended with %d:\n%s" % (self.name, code, self.log_tail()))
        return self.http("/health")[0] == 200

    def send_signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.check_health()
        self.was_ended = True
        self.process.kill()
        self.process.wait()

    def terminate(self, number=signal.SIGTERM, seconds=15):
        """Asks it to end; returns the exit code."""
        self.check_health()
        self.was_ended = True
        self.process.send_signal(number)
        until(lambda: self.process.poll() is not None, self.name + " ends after a signal", seconds)
        return self.process.returncode

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def http(self, page, seconds=2.0):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds * PATIENCE)
        try:
            connection.request("GET", page)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.http("/status")[1])

    def metric(self, name):
        for line in self.http("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise Failure("%s has no metric %s" % (self.name, name))

    def is_ready(self):
        return self.http("/ready")[0] == 200

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def check_health(self):
        """Fails if the process ended by itself, or anything in its log is a crash or a finding."""
        for line in self.log().splitlines() if os.path.exists(self.log_path) else ():
            expect(not CRASH.search(line), "%s crashed or a sanitizer spoke: %s" % (self.name, line))
        expect(self.process is None or self.was_ended or self.is_running(),
               "%s ended by itself" % self.name)

    def log_tail(self):
        return "\n".join(self.log().splitlines()[-12:])


class Cluster:
    def __init__(self, scratch, size=3, **flags):
        names = ["n%d" % (i + 1) for i in range(size)]
        peers = {name: "%s:%d" % (HOST, free_port()) for name in names}
        self.nodes = [Node(scratch, name, peers, **flags) for name in names]

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            until(node.is_ready, node.name + " is ready", 15)
        return self

    @property
    def endpoints(self):
        return ",".join(node.endpoint for node in self.nodes)

    def leader(self):
        """The node that leads in the highest term, once a majority follows it."""
        def find():
            seen = [(node, node.status()) for node in self.nodes if node.is_running()]
            led = [(s["term"], node) for node, s in seen if s["role"] == "leader" and s["serving"]]
            if not led:
                return None
            term, node = max(led, key=lambda item: item[0])
            agree = sum(s["term"] == term and s["serving"] for _, s in seen)
            return node if agree > len(self.nodes) / 2 else None
        return until(find, "one node leads", 15)

    def followers(self):
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]

    def converge(self, nodes=None, seconds=30):
        """Waits until the nodes are at one applied index, and compares their digests there."""
        nodes = nodes or self.nodes
        def same_index():
            all_status = [node.status() for node in nodes]
            return all_status if len({s["applied_index"] for s in all_status}) == 1 else None
        found = until(same_index, "all nodes have applied the same", seconds)
        expect(len({s["digest"] for s in found}) == 1, "digests differ: %r" % found)
        expect(len({s["revision"] for s in found}) == 1, "revisions differ: %r" % found)
        return found[0]


class Writers:
    """Clients that write without a pause, and what became of each write."""

    def __init__(self, scratch, endpoints, prefix, count=8, value_bytes=100):
        self.bytes = value_bytes
        self.out_path = os.path.join(scratch, "writers-%s.out" % prefix.strip("/"))
        self.out = open(self.out_path, "wb")
        self.process = subprocess.Popen([WRITERS, "write", endpoints, prefix, str(count), str(value_bytes)],
                                        stdin=subprocess.PIPE, stdout=self.out)
        _processes.append(self.process)

    def lines(self, word):
        with open(self.out_path, encoding="utf-8") as out:
            return [line.split()[1] for line in out if line.startswith(word + " ")]

    def acked(self):
        return self.lines("ok")

    def wait_for_more(self, count, seconds=15):
        """Waits until so many more writes than now have been acknowledged."""
        begin = len(self.acked())
        until(lambda: len(self.acked()) >= begin + count, "%d more writes are acknowledged" % count,
              seconds)

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=30 * PATIENCE)
        self.out.close()
        expect(code == 0, "the writers ended with %d" % code)
        failed = self.lines("failed")
        return self.acked(), self.lines("unknown"), failed

    def check(self, node, paths):
        """Every path is there, with its value, on this very node."""
        done = subprocess.run([WRITERS, "check", node.endpoint, str(self.bytes)], text=True,
                              input="".join(path + "\n" for path in paths),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60 * PATIENCE, check=False)
        lost = done.stdout.splitlines()
        expect(done.returncode == 0, "%s lost %d of %d acknowledged writes: %s" %
               (node.name, len(lost), len(paths), lost[:3]))


def clean_environment():
    """Without settings of coord's, and without contexts of whoever runs this."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COORD_")}
    return {**kept, "COORD_CONTEXTS": "/dev/null/none"}


def ctl(endpoints, *arguments, stdin=b"", timeout=None):
    """Runs coordctl; returns exit code, standard output as bytes, standard error as text."""
    if isinstance(endpoints, Node):
        endpoints = endpoints.endpoint
    done = subprocess.run([COORDCTL, "--endpoints", endpoints, *arguments], input=stdin,
                          capture_output=True, timeout=timeout or 30 * PATIENCE, check=False,
                          env=clean_environment())
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def ctl_ok(endpoints, *arguments, stdin=b""):
    code, out, error = ctl(endpoints, *arguments, stdin=stdin)
    expect(code == 0, "coordctl %s: exit %d, %s" % (" ".join(arguments), code, error.strip()))
    return out


class Program:
    """A program that goes on: its output is read while it runs."""

    def __init__(self, scratch, *arguments, out=None, **environment):
        self.name = " ".join(os.path.basename(word) if word is arguments[0] else word for word in arguments)
        base = os.path.join(scratch, "program-%d" % len(_processes))
        self.out_path, self.error_path = out or base + ".out", base + ".err"
        with open(self.out_path, "wb") as to_out, open(self.error_path, "wb") as to_error:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_error,
                                            env={**clean_environment(), **environment})
        _processes.append(self.process)

    def printed(self):
        with open(self.out_path, encoding="utf-8") as out:
            return out.read()

    def complained(self):
        with open(self.error_path, encoding="utf-8") as error:
            return error.read()

    def lines(self, count, seconds=10):
        """The lines printed so far, once there are so many."""
        def enough():
            lines = self.printed().splitlines()
            expect(self.process.poll() is None or len(lines) >= count, "%s ended with %r after %r: %s" %
                   (self.name, self.process.returncode, lines, self.complained()))
            return lines if len(lines) >= count else None
        return until(enough, "%s prints %d lines" % (self.name, count), seconds)

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=10):
        until(lambda: self.process.poll() is not None, self.name + " ends", seconds)
        return self.process.returncode


class Ctl(Program):
    """A coordctl that goes on."""

    def __init__(self, scratch, endpoints, *arguments, out=None, **environment):
        if isinstance(endpoints, Node):
            endpoints = endpoints.endpoint
        super().__init__(scratch, COORDCTL, "--endpoints", endpoints, *arguments, out=out, **environment)


def run_coordd(*arguments, environment=None, seconds=10):
    """Runs a coordd that is expected to end by itself; returns exit code and standard error."""
    done = subprocess.run([COORDD, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=seconds * PATIENCE, check=False,
                          env={**clean_environment(), **(environment or {})})
    return done.returncode, done.stderr.decode(errors="replace")


def connect(port):
    return socket.create_connection((HOST, port), timeout=5 * PATIENCE)


def is_closed_by_other_side(connection, seconds):
    """True once the other side ends the connection; what it says before that is skipped."""
    connection.settimeout(seconds * PATIENCE)
    try:
        while connection.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except socket.timeout:
        return False


def _end_all():
    for process in _processes + [node.process for node in _nodes if node.process]:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
    _processes.clear()
    _nodes.clear()
    for port in list(_given):
        give_back(port)


def _run_one(name, test):
    scratch = tempfile.mkdtemp(prefix="coord-cluster-")
    begin = time.monotonic()
    try:
        test(scratch)
        for node in _nodes:
            node.check_health()
        print("ok %s (%.1fs)" % (name, time.monotonic() - begin), flush=True)
        return True
    except Exception:  # a test may fail in any way, and the others still run
        print("FAIL %s (%.1fs)\n%s" % (name, time.monotonic() - begin, traceback.format_exc()))
        for node in _nodes:
            if os.path.exists(node.log_path):
                print("--- log of %s\n%s" % (node.name, node.log_tail()), flush=True)
        return False
    finally:
        _end_all()
        shutil.rmtree(scratch, ignore_errors=True)


def main(module):
    """Runs the tests of a module; an argument picks those whose name contains it."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for number in signal.SIGINT, signal.SIGHUP:
        if signal.getsignal(number) == signal.SIG_IGN:  # by & or nohup; what is started here is not to inherit that
            signal.signal(number, lambda *_: None)
    passed = failed = 0
    try:
        for name, test in list(module.items()):
            if name.startswith("test_") and wanted in name:
                if _run_one(name[5:], test):
                    passed += 1
                else:
                    failed += 1
    finally:
        _end_all()
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed or not passed else 0)
