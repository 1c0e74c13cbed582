"""The kinds of faults. Each is a function that does it, to a node of a round or to the whole cluster, and returns
how it is undone. To add one: the function, and its line in KINDS.

A kind needs "loops" (file systems of their own) or "cpu" (a cgroup), or it is skipped. One that is `of` a node has it
for itself until it is undone; "leader" takes whoever leads then."""
import errno
import threading
import time

from damage import damage_log, damage_snapshot
from harness import Failure, until

REPAIR_S = 40


# ---- processes -----------------------------------------------------------------------------------
def kill(_round, node, _rng):
    node.kill()
    return lambda: node.start(wait=False)


def kill_all(round_, _node, _rng):
    for node in round_.machines.nodes:
        node.kill()
    return lambda: [node.start(wait=False) for node in round_.machines.nodes]


def pause(_round, node, _rng):
    node.pause()
    return node.go_on


def terminate(_round, node, _rng):
    code = node.terminate()
    if code != 0:
        raise Failure("%s: exit code %d after SIGTERM" % (node.name, code))
    return lambda: node.start(wait=False)


def starve(_round, node, rng):
    node.starve(rng.choice((0.05, 0.1, 0.2)))
    return node.feed


# ---- the network ---------------------------------------------------------------------------------
def isolate(round_, node, _rng):
    """From the other members, not from clients."""
    return round_.links.add({pair: {"cut": 1} for other in round_.others(node)
                             for pair in ((node.number, other.number), (other.number, node.number))})


def cut_one_way(round_, node, rng):
    """It is heard and hears nothing, or hears and is not heard; of one other member or of all."""
    others = round_.others(node)
    others = others if rng.random() < 0.5 else [rng.choice(others)]
    pairs = [(node.number, other.number) for other in others]
    return round_.links.add({pair if rng.random() < 0.5 else pair[::-1]: {"cut": 1} for pair in pairs})


def ring(round_, _node, rng):
    """Each member reaches a majority, and no two the same one; of three: two do not reach each other."""
    numbers = [node.number for node in round_.machines.nodes]
    rng.shuffle(numbers)
    size = len(numbers)
    rule = {}
    for i in range(size):
        for distance in range(2, size - 1):
            rule[numbers[i], numbers[(i + distance) % size]] = {"cut": 1}
    if size == 3:
        rule = {(numbers[0], numbers[1]): {"cut": 1}, (numbers[1], numbers[0]): {"cut": 1}}
    return round_.links.add(rule)


def split(round_, _node, rng):
    """A majority and the rest."""
    numbers = [node.number for node in round_.machines.nodes]
    rng.shuffle(numbers)
    few, many = numbers[:len(numbers) // 2], numbers[len(numbers) // 2:]
    return round_.links.add({pair: {"cut": 1} for a in few for b in many for pair in ((a, b), (b, a))})


def cut_clients(round_, node, rng):
    """Clients and this member, both ways or one."""
    pairs = [(0, node.number), (node.number, 0)]
    return round_.links.add({pair: {"cut": 1} for pair in rng.choice((pairs, pairs[:1], pairs[1:]))})


def bad_links(round_, _node, rng):
    """Slow links that lose, double and reorder packets, between all members."""
    numbers = [node.number for node in round_.machines.nodes]
    delay, jitter = rng.choice(((5, 10), (20, 40), (0, 5), (60, 60)))
    loss, dup = rng.choice((0, 20, 100)), rng.choice((0, 50))
    return round_.links.add({(a, b): {"delay": delay, "jitter": jitter, "loss": loss, "dup": dup}
                             for a in numbers for b in numbers if a != b})


# ---- disks ---------------------------------------------------------------------------------------
SLOW_DISK_S = 0.3


def slow_down(nodes):
    """Their disks take so long from now on that what is written now is not synced when the power fails."""
    for node in nodes:
        node.control.set(disk_wait_ns=int(SLOW_DISK_S * 1e9))
    time.sleep(SLOW_DISK_S * 1.5)


def power(round_, node, rng):
    if rng.random() < 0.5:
        slow_down([node])
    return cut_power(round_, node)


def cut_power(round_, node):
    silence = round_.links.add({pair: {"cut": 1} for other in range(len(round_.machines.nodes) + 1)
                                for pair in ((node.number, other), (other, node.number)) if other != node.number})
    node.power_off()
    node.control.set(disk_wait_ns=0)

    def undo():
        silence()
        node.power_on()
    return undo


def power_all(round_, _node, rng):
    if rng.random() < 0.7:
        slow_down(round_.machines.nodes)
    undone = [cut_power(round_, node) for node in round_.machines.nodes]
    return lambda: [undo() for undo in undone]


def disk_full(_round, node, _rng):
    node.disk.fill()
    return node.disk.free


def disk_stall(_round, node, rng):
    """Every write and sync hangs: the file system is frozen; or each takes long."""
    if node.disk.is_loop and rng.random() < 0.5:
        node.disk.freeze()
        return node.disk.thaw
    node.control.set(disk_wait_ns=rng.choice((50, 200, 800)) * 1000000)
    return lambda: node.control.set(disk_wait_ns=0)


def disk_error(round_, node, rng):
    """Syncs fail, or writes do: it must stop before it acknowledges anything."""
    node.expects_end = True
    node.control.set(**{rng.choice(("sync_errno", "write_errno")): errno.EIO})

    def undo():
        if node.is_running():
            # Without a quorum nothing is written, and so nothing fails: then a term is, by the next election.
            round_.note("%s had nothing to write while its disk was failing" % node.name)
        elif node.process.returncode >= 0 and "disk.error" not in node.log():
            round_.complain("%s ended for another reason than its disk:\n%s" % (node.name, node.log_tail()))
        node.kill()
        node.control.set(sync_errno=0, write_errno=0)
        node.start(wait=False)
    return undo


# ---- clocks --------------------------------------------------------------------------------------
def clock_jump(_round, node, rng):
    """The wall clock, by up to an hour either way; mostly it stays so."""
    seconds = rng.choice((-3600, 3600, -60, 60, 0.5, -0.5))
    node.control.jump_wall_clock(seconds)
    return (lambda: node.control.jump_wall_clock(-seconds)) if rng.random() < 0.3 else (lambda: None)


def clock_rate(_round, node, rng):
    """All clocks of a node, 5 % fast or slow."""
    node.control.set_clock_rate(rng.choice((50000, -50000)))
    return lambda: node.control.set_clock_rate(0)


# ---- members -------------------------------------------------------------------------------------
class Repair(threading.Thread):
    """A node that has lost what it had comes back as a new member, whatever else goes on meanwhile."""

    def __init__(self, round_, node, verb, refusal):
        super().__init__()
        self.round, self.node, self.verb, self.refusal = round_, node, verb, refusal
        self.start()

    def run(self):
        try:
            self._work()
        except (Failure, OSError, ValueError) as error:
            self.round.complain("%s does not come back after %s: %s\n%s" %
                                (self.node.name, self.verb, error, self.node.log_tail()))

    def _work(self):
        node = self.node
        if self.refusal is not None:
            until(self.refusal, node.name + " refuses to take part", REPAIR_S)
        node.kill()
        others = self.round.others(node)
        contacts = ",".join(other.endpoint for other in others)

        def asked():
            code, text = self.round.machines.call("member", self.verb, node.name, seconds=2)
            if code == 0:
                return True
            raise ValueError(text.strip())
        until(asked, "member %s %s" % (self.verb, node.name), REPAIR_S)
        node.become_new(contacts)
        node.start(wait=False)
        until(self._is_back, node.name + " is a voter again", REPAIR_S)

    def _is_back(self):
        status = self.node.status_within(1)
        return status["serving"] and status["state"] == "voter" if "state" in status else status["serving"]


def repaired(round_, node, verb, refusal):
    repair = Repair(round_, node, verb, refusal)
    round_.repairs.append(repair)
    return repair.join


def lost_disk(round_, node, _rng):
    node.kill()
    node.disk.wipe()
    node.start(wait=False)

    def refuses():
        status, text = node.http("/ready", 1)
        if status == 200:
            round_.complain("%s serves with an empty disk, as if nothing had happened" % node.name)
        return "member replace" in text
    return repaired(round_, node, "replace", refuses)


def corrupt(round_, node, rng):
    node.kill()
    node.expects_end = True
    what = rng.choice((damage_log, damage_snapshot))(node.data_dir, rng) or damage_log(node.data_dir, rng)
    if what is None:
        node.start(wait=False)
        return lambda: None
    round_.note("changed %s of %s" % (what, node.name))
    begin = len(node.log())
    node.start(wait=False)
    node.expects_end = True

    def refuses():
        if node.is_running():
            if node.is_ready():
                round_.complain("%s serves with a damaged disk (%s)" % (node.name, what))
                return True
            return False
        if "replace" not in node.log()[begin:]:
            round_.complain("%s does not say how to rejoin:\n%s" % (node.name, node.log_tail()))
        return True
    return repaired(round_, node, "replace", refuses)


def member_remove(round_, node, _rng):
    """Removed while it runs, and added again as a new one."""
    return repaired(round_, node, "remove", None)


def transfer(round_, node, _rng):
    code, text = round_.machines.call("member", "transfer", node.name, seconds=1)
    round_.note("transfer to %s: exit %d %s" % (node.name, code, text.strip().splitlines()[:1]))
    return lambda: None


class Kind:
    def __init__(self, do, of, weight, shortest, longest, needs=()):
        self.do, self.of, self.weight = do, of, weight
        self.shortest, self.longest = shortest, longest  # seconds until it is undone
        self.needs = needs


KINDS = {
    "kill": Kind(kill, "node", 4, 0.1, 1.5),
    "kill-leader": Kind(kill, "leader", 4, 0.1, 1.5),
    "kill-all": Kind(kill_all, "all", 2, 0.1, 0.5),
    "terminate": Kind(terminate, "node", 1, 0.1, 1.0),
    "pause": Kind(pause, "node", 2, 1.0, 3.0),
    "pause-leader": Kind(pause, "leader", 4, 0.4, 2.5),
    "cpu": Kind(starve, "node", 2, 0.5, 2.0, ("cpu",)),
    "isolate-leader": Kind(isolate, "leader", 4, 0.5, 2.0),
    "cut-one-way": Kind(cut_one_way, "node", 3, 0.5, 2.0),
    "ring": Kind(ring, "links", 3, 0.5, 2.0),
    "split": Kind(split, "links", 2, 0.5, 2.0),
    "cut-clients": Kind(cut_clients, "node", 2, 0.5, 2.0),
    "bad-links": Kind(bad_links, "links", 3, 1.0, 3.0),
    "power": Kind(power, "node", 4, 0.1, 1.0, ("loops",)),
    "power-leader": Kind(power, "leader", 4, 0.1, 1.0, ("loops",)),
    "power-all": Kind(power_all, "all", 3, 0.1, 0.5, ("loops",)),
    "disk-full": Kind(disk_full, "node", 3, 0.5, 2.0, ("loops",)),
    "disk-stall": Kind(disk_stall, "node", 2, 0.5, 2.0),
    "disk-error": Kind(disk_error, "node", 3, 0.5, 1.5),
    "disk-error-leader": Kind(disk_error, "leader", 2, 0.5, 1.5),
    "clock-jump": Kind(clock_jump, "node", 3, 0.2, 1.0),
    "clock-rate": Kind(clock_rate, "node", 2, 1.0, 3.0),
    "corrupt": Kind(corrupt, "node", 2, 0.5, 1.0),
    "lost-disk": Kind(lost_disk, "node", 2, 0.5, 1.0),
    "member-remove": Kind(member_remove, "node", 1, 0.5, 1.0),
    "transfer": Kind(transfer, "node", 2, 0.1, 0.2),
}
# A node of these is gone until it has come back as a new member: not two of them in one round.
REPLACING = ("corrupt", "lost-disk", "member-remove")
# A stopped or frozen process cannot be told to do anything.
WHOLE_CLUSTER = ("kill-all", "power-all")


class Links:
    """The rules of all faults that are in force, as one."""

    def __init__(self, network):
        self.network = network
        self.rules = []
        self.lock = threading.Lock()

    def add(self, rule):
        with self.lock:
            self.rules.append(rule)
            self._apply()
        return lambda: self._remove(rule)

    def _remove(self, rule):
        with self.lock:
            self.rules = [other for other in self.rules if other is not rule]
            self._apply()

    def _apply(self):
        self.network.clear()
        together = {}
        for rule in self.rules:
            for pair, what in rule.items():
                together.setdefault(pair, {}).update(what)
        for (source, target), what in together.items():
            self.network.set(source, target, **what)
