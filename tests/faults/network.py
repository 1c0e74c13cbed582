"""The network between the nodes of a fault round: a namespace for each node and a switch in user space
(network/switch.c), or, without the rights for that, the loopback device, on which nothing can be cut."""
import os
import subprocess

from disks import run
from harness import BUILD, HOST, free_port

SWITCH = BUILD + "/tests/faults/network/switch"
CLIENTS = 0  # the machine that all clients are on


class Loopback:
    has_links = False

    def __init__(self, machines):
        self.ports = [None] + [(free_port(), free_port()) for _ in range(machines)]

    def host(self, _machine):
        return HOST

    def client_port(self, machine):
        return self.ports[machine][0]

    def peer_port(self, machine):
        return self.ports[machine][1]

    def prefix(self, _machine):
        """What is put before a command that shall run on that machine."""
        return []

    def clear(self):
        """All links are well."""

    def close(self):
        """Nothing was made."""


class Namespaces:
    has_links = True

    def __init__(self, machines):
        # Several runs at a time must not meet: the process id is in all names.
        self.tag = "cf%d" % os.getpid()
        self.subnet = "10.%d.%d" % (64 + os.getpid() // 256 % 64, os.getpid() % 256)
        self.machines = machines
        self.process = None
        names = [self._name(machine) for machine in range(1, machines + 1)]
        try:
            for name in names:
                run("ip", "netns", "add", name)
            self.process = subprocess.Popen([SWITCH, self.tag, *names], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True)
            if self.process.stdout.readline() != "ready\n":
                raise OSError("the switch does not start")
            self._configure([], self.tag, CLIENTS)
            for machine, name in enumerate(names, 1):
                run("ip", "-n", name, "link", "set", "lo", "up")
                self._configure(["-n", name], "eth0", machine)
        except OSError:
            self.close()
            raise

    def _name(self, machine):
        return "%s-%d" % (self.tag, machine)

    def _configure(self, where, device, machine):
        run("ip", *where, "address", "add", self.host(machine) + "/24", "dev", device)
        run("ip", *where, "link", "set", device, "mtu", "9000", "up")

    def host(self, machine):
        return "%s.%d" % (self.subnet, 100 + machine)

    def client_port(self, _machine):
        return 7400

    def peer_port(self, _machine):
        return 7401

    def prefix(self, machine):
        return ["nsenter", "--net=/var/run/netns/" + self._name(machine)] if machine != CLIENTS else []

    def _tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "ok\n":
            raise OSError("the switch does not understand: " + line)

    def set(self, source, target, **what):
        """One direction; what is not named is well: cut, delay, jitter, loss, dup (network/links.h)."""
        self._tell("link %d %d %s" % (source, target, " ".join("%s=%d" % item for item in what.items())))

    def clear(self):
        self._tell("clear")

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
        for machine in range(1, self.machines + 1):
            try:
                run("ip", "netns", "delete", self._name(machine))
            except OSError:
                pass  # it was never made


def namespaces_work():
    """The reason why not, or None."""
    if os.geteuid() != 0:
        return "it takes root to make network namespaces"
    try:
        Namespaces(1).close()
    except OSError as error:
        return str(error)
    return None
