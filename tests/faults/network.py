"""The network between the nodes of a fault round: a namespace for each node and a switch in user space
(network/switch.c), or, without the rights for that, the loopback device with a proxy (network/proxy.c)."""
import os
import subprocess

from disks import run
from harness import BUILD, HOST, free_port, give_back

SWITCH = BUILD + "/tests/faults/network/switch"
PROXY = BUILD + "/tests/faults/network/proxy"
CLIENTS = 0  # the machine that all clients are on


class Commanded:
    """What a switch and a proxy have in common: links.h."""

    def __init__(self):
        self.process = None

    def start(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise OSError("%s does not start" % os.path.basename(command[0]))

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "ok\n":
            raise OSError("not understood: " + line)

    def set(self, source, target, **what):
        """One direction; what is not named is well: cut, delay, jitter, loss, dup (network/links.h)."""
        self.tell("link %d %d %s" % (source, target, " ".join("%s=%d" % item for item in what.items())))

    def clear(self):
        self.tell("clear")

    def end(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()


class Proxied(Commanded):
    """One loopback device; what machines say to each other passes through proxies."""
    has_packets = False

    def __init__(self, machines):
        super().__init__()
        # For clients, for members: where the world connects to, and where the node listens.
        self.ports = [None] + [[free_port() for _ in range(4)] for _ in range(machines)]
        doors = ["%d:%d:%d" % (machine, *ports[at:at + 2]) for machine, ports in enumerate(self.ports)
                 if ports for at in (0, 2)]
        self.start(PROXY, *doors)

    def host(self, _machine):
        return HOST

    def client_port(self, machine):
        return self.ports[machine][0]

    def peer_port(self, machine):
        return self.ports[machine][2]

    def flags(self, machine):
        """What a node must be told besides its own address."""
        _, client, _, peer = self.ports[machine]
        return {"listen": "%s:%d" % (HOST, client), "client_address": "%s:%d" % (HOST, self.client_port(machine)),
                "peer_listen": "%s:%d" % (HOST, peer)}

    def environment(self, machine):
        return {"FAULT_SOURCE": "127.0.0.%d" % (100 + machine)}

    def prefix(self, _machine):
        """What is put before a command that shall run on that machine."""
        return []

    def close(self):
        self.end()
        for ports in self.ports[1:]:
            for port in ports:
                give_back(port)


class Namespaces(Commanded):
    has_packets = True

    def __init__(self, machines):
        super().__init__()
        # Several runs at a time must not meet: the process id is in all names.
        self.tag = "cf%d" % os.getpid()
        self.subnet = "10.%d.%d" % (64 + os.getpid() // 256 % 64, os.getpid() % 256)
        self.machines = machines
        names = [self._name(machine) for machine in range(1, machines + 1)]
        try:
            for name in names:
                run("ip", "netns", "add", name)
            self.start(SWITCH, self.tag, *names)
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

    def flags(self, _machine):
        return {}

    def environment(self, _machine):
        return {}

    def close(self):
        self.end()
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
