"""Checker 1: every reply against the change log of the cluster.

The log is replayed through a model of the tree. Then each call must have been answered as the model would
have at some revision, and that revision must lie within the call's real time: behind all that had been answered before
it began, before all that began after it ended. A call of unknown outcome took effect if the log has its change,
else it did not; a call that was answered with a refusal must have no change in the log. Every change must
have been asked for by somebody, or be the end of a lease."""
import bisect

from history import FOREVER, NEGATIVE, READS

LEASE_EXPIRED, LEASE_REVOKED, SESSION_CLOSED = 1, 2, 3
# Nodes that the cluster changes itself, as its clients ask for locks and leadership; holders.py judges these.
LEADS = "/lead/"
GRANTED = ("/held/", LEADS)
# Nodes by which kazoo makes its locks; who holds them is seen in what their holders write.
KAZOO = "/kazoo/"
OF_RECIPES = GRANTED + (KAZOO,)
LEASE_ENDS = (LEASE_EXPIRED, LEASE_REVOKED, SESSION_CLOSED)


def is_held(value):
    """Of what an entry of a lock or an election says."""
    return "state=held" in value.split(",")


class State:
    """A node between two of its changes; `first` is the revision that made it so, `next` the one that ended it."""
    __slots__ = ("first", "next", "exists", "value", "version", "created", "modified", "lease")

    def __init__(self, first, exists=False, value="-", version=0, created=0, modified=0, lease=0):
        self.first, self.next = first, FOREVER
        self.exists, self.value, self.version = exists, value, version
        self.created, self.modified, self.lease = created, modified, lease


class Tree:
    """All states of all nodes."""

    def __init__(self):
        self.of = {"/": [State(0, exists=True)]}

    def last(self, path):
        states = self.of.setdefault(path, [State(0)])
        return states[-1]

    def add(self, path, state):
        before = self.last(path)
        before.next = state.first
        if before.first == state.first:  # twice in one revision: only the last one can be seen
            self.of[path].pop()
        self.of[path].append(state)

    def between(self, path, low, high):
        """The states that were current at some revision in low..high, both included."""
        states = self.of.get(path) or [State(0)]
        at = bisect.bisect_right(states, low, key=lambda state: state.first) - 1
        found = []
        while at < len(states) and states[at].first <= high:
            found.append(states[at])
            at += 1
        return found

    def at(self, path, revision):
        return self.between(path, revision, revision)[0]


class Replay:
    def __init__(self, history):
        self.history = history
        self.violations = []
        self.tree = Tree()
        self.by_value = {}
        self.deletes = {}
        self.leases = {}

    def complain(self, text, *things):
        self.violations.append(text + "".join("\n      " + repr(thing) for thing in things))

    def run(self):
        self._replay()
        self._find_changes()
        self._order()
        for op in self.history.ops:
            self._judge_op(op)
        for txn in self.history.txns:
            self._judge_txn(txn)
        for change in self.history.changes:
            if change.by is None and change.reason not in LEASE_ENDS and not change.path.startswith(OF_RECIPES):
                self.complain("nobody asked for this change", change)
        return self.violations

    # ---- the log itself ------------------------------------------------------------------------
    def _replay(self):
        before = (0, 0)
        for change in self.history.changes:
            place = (change.revision, change.sub)
            if place <= before:
                self.complain("the log goes back behind %d.%d" % before, change)
            before = place
            self._apply(change)
        self._check_leases()

    def _apply(self, change):
        state = self.tree.last(change.path)
        new = State(change.revision, True, change.value, change.version, change.created, change.modified,
                    change.lease)
        if change.type == "create":
            parent = self.tree.last(change.path.rpartition("/")[0] or "/")
            if state.exists or not parent.exists or change.version != 0 or change.created != change.revision:
                self.complain("a create that cannot be", change)
            if change.lease:
                self.leases.setdefault(change.lease, set()).add(change.path)
        elif change.type == "set":
            if not state.exists or change.version != state.version + 1 or change.created != state.created:
                self.complain("a set that cannot be", change)
        elif change.type == "delete":
            if not state.exists or change.version != state.version or change.created != state.created:
                self.complain("a delete that cannot be", change)
            new = State(change.revision)
            if state.lease:
                self.leases[state.lease].discard(change.path)
            if change.reason in LEASE_ENDS:
                self.leases.setdefault(state.lease, set())
            self.deletes.setdefault(change.path, []).append(change)
        if change.type in ("create", "set"):
            if change.value != "-" and (change.path, change.value) in self.by_value and \
                    not change.path.startswith(OF_RECIPES):
                self.complain("a value was written twice", self.by_value[change.path, change.value], change)
            self.by_value[change.path, change.value] = change
        self.tree.add(change.path, new)

    def _check_leases(self):
        """When a lease ends all its nodes go, in one revision."""
        ends = {}
        for changes in self.deletes.values():
            for change in changes:
                if change.reason in LEASE_ENDS and ends.setdefault(change.lease, change).revision != change.revision:
                    self.complain("a lease that ends twice", ends[change.lease], change)
        for lease, change in ends.items():
            if self.leases.get(lease):
                self.complain("nodes that outlive their lease: %r" % sorted(self.leases[lease]), change)
        self.lease_ends = ends

    # ---- which call made which change ----------------------------------------------------------
    def _find_changes(self):
        for op in self.history.ops:
            if op.kind in ("set", "create"):
                change = self.by_value.get((op.path, op.arg))
                if change is None and op.kind == "create" and op.result != "ok":
                    change = self._sequential(op)
                self._claim(op, change)
        for txn in self.history.txns:
            for path, _, value in txn.sets:
                self._claim(txn, self.by_value.get((path, value)))
        self._find_deletes()

    def _sequential(self, op):
        """A create that ended without its real path: the value tells."""
        return self._sequentials().get(op.arg) if op.path.endswith("-") else None

    def _sequentials(self):
        if not hasattr(self, "_by_value_alone"):
            self._by_value_alone = {change.value: change for change in self.history.changes
                                    if change.type == "create" and change.path[-10:].isdigit()}
        return self._by_value_alone

    def _claim(self, call, change):
        if change is None:
            return
        if change.by is not None and change.by is not call:
            self.complain("two calls made one change", change, change.by, call)
        change.by = call
        call.found = change

    def _writer(self, change):
        return self.history.sessions.get(change.session) or change.note

    def _find_deletes(self):
        """Deletes carry no value; the client does. First those that are known to have happened."""
        deletes = sorted((op for op in self.history.ops if op.kind == "delete"), key=lambda op: op.begin)
        for op in deletes:
            if op.result == "ok":  # the last one that it can have been told of
                self._claim_delete(op, reversed(self.deletes.get(op.path, ())))
        for op in deletes:
            if op.result == "unknown":
                self._claim_delete(op, self.deletes.get(op.path, ()))

    def _claim_delete(self, op, changes):
        for change in changes:
            if change.by is None and change.reason not in LEASE_ENDS and self._writer(change) == op.client and \
                    (op.revision == 0 or change.revision <= op.revision):
                self._claim(op, change)
                return

    # ---- real time -----------------------------------------------------------------------------
    def _order(self):
        """`low`: what had been answered by a time, `high`: what only began after it."""
        answered, began = [], []
        for call in self.history.ops + self.history.txns:
            revision = call.revision if call.result == "ok" else 0
            if call.found is not None:
                if call.result == "ok":
                    revision = max(revision, call.found.revision)
                began.append((call.begin, call.found.revision))
            if revision:
                answered.append((call.end, revision))
        answered.sort()
        began.sort()
        self.answer_times = [time for time, _ in answered]
        self.answer_revisions = []
        highest = 0
        for _, revision in answered:
            highest = max(highest, revision)
            self.answer_revisions.append(highest)
        self.begin_times = [time for time, _ in began]
        self.begin_revisions = [revision for _, revision in began]
        lowest = FOREVER
        for at in range(len(began) - 1, -1, -1):
            lowest = min(lowest, self.begin_revisions[at])
            self.begin_revisions[at] = lowest

    def low(self, time):
        """The highest revision that anybody had been told of before this time."""
        at = bisect.bisect_left(self.answer_times, time)
        return self.answer_revisions[at - 1] if at else 0

    def high(self, time):
        """The highest revision that there may have been at this time."""
        at = bisect.bisect_right(self.begin_times, time)
        return self.begin_revisions[at] - 1 if at < len(self.begin_times) else FOREVER

    def _in_time(self, call, change):
        if change.revision <= self.low(call.begin):
            self.complain("a write behind which others had been answered before it began (revision %d)" %
                          self.low(call.begin), call, change)
        elif change.revision > self.high(call.end) and call.result != "unknown":
            self.complain("a write before which others that began after its end were done", call, change)

    # ---- single calls --------------------------------------------------------------------------
    def _judge_op(self, op):
        if op.kind in READS:
            self._judge_read(op)
        elif op.result == "ok":
            self._judge_write(op)
        else:
            if op.found is not None:
                if op.result == "unknown":
                    self._in_time(op, op.found)
                else:
                    self.complain("answered as not done, but it was", op, op.found)
            if op.result in NEGATIVE:
                self._judge_refusal(op)

    def _judge_write(self, op):
        change = op.found
        if change is None:
            self.complain("an acknowledged write is not in the log", op)
            return
        if change.type != op.kind:
            self.complain("the log has another kind of change", op, change)
        self._in_time(op, change)
        if op.kind != "delete" and (op.modified != change.revision or op.version != change.version):
            self.complain("the reply is not what the log says", op, change)
        if op.expect >= 0:
            before = self.tree.between(op.path, change.revision - 1, change.revision - 1)[0]
            if before.version != op.expect:
                self.complain("done at another version than expected", op, change)

    def _judge_read(self, op):
        low, high = self.low(op.begin), self.high(op.end)
        if op.result == "ok":
            if op.revision:
                state = self.tree.at(op.path, op.revision)
                if not state.exists or (state.modified, state.version, state.value) != \
                        (op.modified, op.version, op.data):
                    self.complain("a read that shows what was not there at its revision", op)
            if op.revision > high:
                self.complain("a read of what was written only later", op)
            if op.kind == "get":
                states = self.tree.between(op.path, low, high)
                if not any(s.exists and s.modified == op.modified and s.value == op.data for s in states):
                    self.complain("a stale read: revision %d had been answered before it began" % low, op)
        elif op.result == "not_found":
            if op.kind == "sget":
                low = 0
            if op.revision and self.tree.at(op.path, op.revision).exists:
                self.complain("a read does not find what was there at its revision", op)
            if all(state.exists for state in self.tree.between(op.path, low, high)):
                self.complain("a read does not find what is there", op)

    def _judge_refusal(self, op):
        states = self.tree.between(op.path, self.low(op.begin), self.high(op.end))
        if op.result == "exists":
            right = any(state.exists for state in states)
        elif op.result == "not_found" and op.kind == "create":
            right = not op.path.startswith("/kv/")
        elif op.result == "not_found":
            right = any(not state.exists for state in states)
        elif op.result == "bad_version":
            right = any(state.exists and state.version != op.expect for state in states)
        else:
            right = True
        if not right:
            self.complain("a refusal for a reason that there was not", op)

    # ---- transactions --------------------------------------------------------------------------
    def _judge_txn(self, txn):
        changes = [self.by_value.get((path, value)) for path, _, value in txn.sets]
        if txn.result in ("ok", "unknown"):
            if any(changes) and not all(changes):
                self.complain("half a transaction is in the log", txn, *changes)
                return
            if all(changes) and changes:
                self._judge_commit(txn, changes)
            elif txn.result == "ok" and txn.sets:
                self.complain("an acknowledged transaction is not in the log", txn)
        elif any(changes):
            self.complain("answered as not done, but it was", txn, *changes)
        if txn.result == "ok" and txn.reads:
            self._judge_reads(txn)
        if txn.result == "refused" and not self._refusal_is_right(txn):
            self.complain("guards are said not to hold, but they did all the time", txn)

    def _judge_commit(self, txn, changes):
        if len({change.revision for change in changes}) != 1:
            self.complain("one transaction in several revisions", txn, *changes)
        revision = changes[0].revision
        self._in_time(txn, changes[0])
        for path, expect, _ in txn.sets:
            if expect >= 0 and self.tree.at(path, revision - 1).version != expect:
                self.complain("a transaction at another version than expected", txn, *changes)
        for path, created in txn.fences:
            state = self.tree.at(path, revision - 1)
            waits = path.startswith(GRANTED) and not is_held(state.value)
            if not state.exists or (created and state.created != created) or waits:
                self.complain("a write by a holder whose grant had ended", txn, *changes)

    def _judge_reads(self, txn):
        if txn.revision < self.low(txn.begin) or txn.revision > self.high(txn.end):
            self.complain("a stale read of several nodes", txn)
        for path, value, modified, version in txn.reads:
            state = self.tree.at(path, txn.revision)
            if (state.value, state.modified, state.version) != (value, modified, version):
                self.complain("a read of several nodes that shows what was not there at its revision", txn)

    def _refusal_is_right(self, txn):
        low, high = self.low(txn.begin), self.high(txn.end)
        for path, expect, _ in txn.sets:
            if expect >= 0 and any(not s.exists or s.version != expect for s in self.tree.between(path, low, high)):
                return True
        for path, created in txn.fences:
            if any(not s.exists or (created and s.created != created) for s in self.tree.between(path, low, high)):
                return True
        return False
