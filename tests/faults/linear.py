"""Checker 2: are the calls on one key linearizable? It looks at calls and times alone and trusts no log.

The search is that of Wing and Gong, with Lowe's memory of what was tried: choose, among the calls that nothing
unfinished precedes, one whose answer fits the state, and go on; go back when there is none. A call of unknown
outcome may take its place at any time from its begin on, or never."""
from history import FOREVER

STEPS_MAX = 30000


class Undecided(Exception):
    """Too many orders to try."""


def step(op, state):
    """The state behind `op` in `state`, (value, version) or None, or False if its answer does not fit."""
    fits = op.expect < 0 or (state is not None and state[1] == op.expect)
    if op.result == "unknown":
        return _effect(op, state) if _is_possible(op, state, fits) else False
    if op.kind == "get":
        return state if (state == (op.data, op.version) if op.result == "ok" else state is None) else False
    if op.result == "ok":
        if not _is_possible(op, state, fits):
            return False
        after = _effect(op, state)
        return after if op.kind == "delete" or after[1] == op.version else False
    right = {
        "not_found": state is None and op.kind != "create",
        "exists": state is not None and op.kind == "create",
        "bad_version": state is not None and not fits,
    }
    return state if right.get(op.result, False) else False


def _is_possible(op, state, fits):
    return state is None if op.kind == "create" else state is not None and fits


def _effect(op, state):
    if op.kind == "create":
        return (op.arg, 0)
    if op.kind == "set":
        return (op.arg, state[1] + 1)
    return None


def is_linearizable(ops, steps_max=STEPS_MAX):
    """`ops` of one key, which begins absent. Raises Undecided."""
    ops = sorted(ops, key=lambda op: op.begin)
    ends = [FOREVER if op.result == "unknown" else op.end for op in ops]
    required = 0
    for at, op in enumerate(ops):
        if op.result != "unknown":
            required |= 1 << at
    tried = set()
    stack = [(0, None, iter(_choices(ops, ends, 0, None)))]
    steps = 0
    if not required:
        return True
    while stack:
        done, _, choices = stack[-1]
        for at, after in choices:
            now = done | 1 << at
            if now & required == required:
                return True
            if (now, after) not in tried:
                tried.add((now, after))
                steps += 1
                if steps > steps_max:
                    raise Undecided()
                stack.append((now, after, iter(_choices(ops, ends, now, after))))
                break
        else:
            stack.pop()
    return False


def _choices(ops, ends, done, state):
    """What may come next, those that end first before others; the unknown ones last."""
    found = []
    latest = FOREVER
    # The lowest call that is not done yet; all before it are.
    at = (~done & (done + 1)).bit_length() - 1
    while at < len(ops) and ops[at].begin <= latest:
        if not done >> at & 1:
            latest = min(latest, ends[at])
            after = step(ops[at], state)
            if after is not False:
                found.append((ends[at], at, after))
        at += 1
    found.sort(key=lambda choice: choice[:2])
    return [(at, after) for _, at, after in found]


def relevant(ops):
    """By key; reads that may be old, and calls that are known to have done nothing, say nothing here."""
    keys = {}
    for op in ops:
        if op.path.startswith("/kv/") and op.kind != "sget" and op.result not in ("failed", "ended"):
            if op.result != "unknown" or op.kind != "get":
                keys.setdefault(op.path, []).append(op)
    return keys


class Result:
    def __init__(self):
        self.violations, self.undecided = [], []
        self.keys = self.resolved = 0


def check(history, resolve=True):
    """All keys below /kv. Keys with too many unknown outcomes are searched once more, without those that
    replay (checker 1) has not found in the log, if `resolve`."""
    result = Result()
    for path, ops in sorted(relevant(history.ops).items()):
        result.keys += 1
        try:
            good = is_linearizable(ops)
        except Undecided:
            good = _with_log(ops) if resolve else None
            result.resolved += 1
        if good is None:
            result.undecided.append(path)
        elif not good:
            result.violations.append("no order explains the %d calls on %s:%s" % (
                len(ops), path, "".join("\n      %r" % op for op in sorted(ops, key=lambda op: op.begin)[:40])))
    return result


def _with_log(ops):
    try:
        return is_linearizable([op for op in ops if op.result != "unknown" or op.found is not None])
    except Undecided:
        return None
