"""One round: a cluster, clients, the faults of a plan, healing, and the judgement."""
import json
import os
import random
import time
from collections import Counter

import history
import holders
import linear
import plan
import replay
import watches
from harness import Failure, until
from kinds import KINDS, WHOLE_CLUSTER, Links
from machines import Machines
from network import Namespaces, Proxied
from traffic import Traffic, dump

HEAL_S = 30
# Below this a round proves little: its cluster was hardly ever there.
CALLS_PER_S_MIN = 20


class Verdict:
    def __init__(self):
        self.violations = []
        self.faults = Counter()
        self.counts = Counter()
        self.seconds = 0.0


def common(logs):
    """Lists of lines, up to the last revision that all have: what nobody uses any more is reaped while they are read."""
    last = min(int(log[-1].split()[1]) for log in logs)
    return [[line for line in log if line.startswith("floor ") or int(line.split()[1]) <= last] for log in logs]


class Round:
    def __init__(self, scratch, seed, size, seconds, abilities, only=None):
        self.scratch, self.seed, self.size, self.seconds = scratch, seed, size, seconds
        self.strikes = plan.make(seed, size, seconds, abilities, only)
        self.verdict = Verdict()
        self.journal = open(os.path.join(scratch, "round.log"), "w", encoding="utf-8")
        self.begin = time.monotonic()
        self.network = Namespaces(size) if "packets" in abilities else Proxied(size)
        self.machines = self.traffic = None
        self.repairs = []
        self.busy = set()
        try:
            self.links = Links(self.network)
            self.machines = Machines(scratch, size, self.network, "loops" in abilities)
            self.traffic = Traffic(scratch, self.machines.endpoints, seed)
        except BaseException:
            self.close()
            raise

    # ---- what kinds use --------------------------------------------------------------------------
    def others(self, node):
        return [other for other in self.machines.nodes if other is not node]

    def note(self, text):
        self.journal.write("%7.3f %s\n" % (time.monotonic() - self.begin, text))
        self.journal.flush()

    def complain(self, text):
        self.note("VIOLATION " + text)
        self.verdict.violations.append(text)

    # ---- the course of it ------------------------------------------------------------------------
    def run(self):
        started = time.monotonic()
        for strike in self.strikes:
            self.note("plan: %r" % strike)
        self.machines.start()
        self.traffic.set_up()
        self.traffic.start()
        self._strike_all()
        self._heal()
        self._judge()
        self.verdict.seconds = time.monotonic() - started
        return self.verdict

    def _strike_all(self):
        begin = time.monotonic()
        pending = list(self.strikes)
        active = []  # (until, undo, node numbers)
        while pending or active or time.monotonic() < begin + self.seconds:
            now = time.monotonic() - begin
            for entry in [entry for entry in active if entry[0] <= now]:
                active.remove(entry)
                self._undo(entry)
            if pending and pending[0].at <= now:
                entry = self._strike(pending.pop(0))
                if entry is not None:
                    active.append(entry)
            time.sleep(0.005)

    def _strike(self, strike):
        kind = KINDS[strike.kind]
        node = self._target(kind, strike)
        if kind.of == "all" and self.busy or kind.of in ("node", "leader") and node is None:
            self.note("left out: %r" % strike)
            return None
        numbers = {other.number for other in self.machines.nodes} if kind.of == "all" else \
            {node.number} if kind.of != "links" else set()
        self.busy |= numbers
        self.note("%s %s" % (strike.kind, node.name if node is not None and numbers else ""))
        try:
            undo = kind.do(self, node, random.Random(strike.seed))
        except (Failure, OSError) as error:
            self.complain("%s: %s" % (strike.kind, error))
            self.busy -= numbers
            return None
        self.verdict.faults[strike.kind] += 1
        return strike.until, undo, numbers, strike.kind

    def _target(self, kind, strike):
        """The leader, or the node of the plan; if that has a fault already, the next one that has none."""
        leader = self.machines.find_leader() if kind.of == "leader" else None
        first = leader.number if leader is not None else strike.number
        for i in range(self.size):
            node = self.machines.nodes[(first - 1 + i) % self.size]
            if node.number not in self.busy:
                return node
        return None

    def _undo(self, entry):
        _, undo, numbers, name = entry
        if any(repair.is_alive() and repair.node.number in numbers for repair in self.repairs):
            return  # it stays busy until it is back
        self.note("end of " + name)
        try:
            undo()
        except (Failure, OSError) as error:
            self.complain("the end of %s: %s" % (name, error))
        self.busy -= numbers

    def _heal(self):
        for repair in self.repairs:
            repair.join()
        self.note("healed")
        until(lambda: self.machines.find_leader() is not None, "a leader is elected", HEAL_S)
        for node in self.machines.nodes:
            until(lambda node=node: node.is_running() and node.is_ready(), node.name + " is ready", HEAL_S)
        self.traffic.stop()
        until(self._no_sessions, "all sessions have ended", HEAL_S)
        self.traffic.mark_end()
        self.traffic.finish()
        until(self._no_sessions, "all sessions have ended", HEAL_S)
        self._converge()
        for node in self.machines.nodes:
            for complaint in node.complaints():
                self.complain(complaint)

    def _no_sessions(self):
        """Clients have closed their sessions or left them to die."""
        code, text = self.machines.call("-o", "json", "session", "list")
        return code == 0 and not json.loads(text)

    def _converge(self):
        def same():
            found = [node.status() for node in self.machines.nodes]
            return found if len({status["applied_index"] for status in found}) == 1 else None
        found = until(same, "all nodes have applied the same", HEAL_S)
        if len({status["digest"] for status in found}) != 1:
            self.complain("digests differ: %r" % [(status["name"], status["digest"]) for status in found])
        self.verdict.counts["leader changes"] += max(status["term"] for status in found) - 1

    # ---- the judgement ---------------------------------------------------------------------------
    def _judge(self):
        logs = []
        for node in self.machines.nodes:
            path = os.path.join(self.scratch, node.name + ".changes")
            dump(node, path)
            with open(path, encoding="utf-8") as file:
                logs.append(file.read().splitlines())
        logs = common(logs)
        if any(log != logs[0] for log in logs):
            self.complain("the change logs of the nodes differ: see *.changes")
        self.verdict.violations += judge(self.traffic.folder, logs[0], self.verdict.counts)
        calls = self.verdict.counts["acknowledged"]
        if calls < CALLS_PER_S_MIN * self.seconds:
            self.complain("void: only %d calls were acknowledged in %gs" % (calls, self.seconds))

    def close(self):
        for repair in self.repairs:
            repair.join()
        if self.traffic is not None:
            self.traffic.kill()
        if self.machines is not None:
            self.machines.close()
        self.network.close()
        self.journal.close()


def judge(folder, log_lines, counts):
    """All checkers over the histories in a folder; adds to `counts`, returns the violations."""
    told = history.load(folder)
    told.add_log(log_lines)
    found = list(told.problems)
    if not told.changes or told.floor > told.changes[0].revision:
        found.append("the change log is not all there, it begins at revision %r" % told.floor)
    model = replay.Replay(told)
    found += model.run()
    found += watches.check(told, model)
    found += holders.check(told, model)
    result = linear.check(told)
    found += result.violations
    found += ["too many orders to try for %s" % path for path in result.undecided]
    counts["operations"] += told.calls()
    counts["acknowledged"] += sum(call.result == "ok" for call in told.ops + told.txns)
    counts["unknown outcomes"] += sum(call.result == "unknown" for call in told.ops + told.txns)
    counts["changes"] += len(told.changes)
    counts["watch events"] += sum(len(watch.events) for watch in told.watches)
    counts["watches"] += len(told.watches)
    counts["one-shot watches"] += sum(event[1] == "fired" for event in told.events)
    counts["grants"] += len(told.grants)
    wins = sum(grant.lock.startswith(replay.LEADS) for grant in told.held)
    counts["grants of the cluster"] += len(told.held) - wins
    counts["wins of elections"] += wins
    counts["grants of kazoo"] += sum(grant.lock.startswith(replay.KAZOO) for grant in told.grants)
    refused = [txn.fences[0][0] for txn in told.txns if txn.result == "refused" and txn.fences]
    of_leaders = sum(path.startswith(replay.LEADS) for path in refused)
    counts["writes of former holders refused"] += len(refused) - of_leaders
    counts["writes of former leaders refused"] += of_leaders
    counts["keys searched"] += result.keys
    return found
