"""Checker 3: what clients build on the tree. One holder of a lock at a time, in the order in which their grants were
made, also as the log tells it of locks that the cluster grants; one leader of an election at a time likewise, and
none that did not campaign; counters that count each increment once; money that neither comes nor goes; sessions that
live as long as their owners may rely on, and whose nodes do not outlive them."""
from replay import GRANTED, LEADS, LEASE_EXPIRED, is_held

TOTAL = 500  # of all accounts


def check(history, replay):
    return (_locks(history) + _grants(history) + _held(history) + _campaigns(history, replay) + _counters(history) +
            _bank(history) + _sessions(history, replay))


def _locks(history):
    found = []
    locks = {}
    for grant in history.grants:
        locks.setdefault(grant.lock, []).append(grant)
    for grants in locks.values():
        grants.sort(key=lambda grant: grant.begin)
        last = None
        for grant in grants:
            if last is not None and grant.begin < last.end:
                found.append("two holders of one lock at a time\n      %r\n      %r" % (last, grant))
            if last is not None and grant.created <= last.created:
                found.append("a lock was granted to an older place in the queue\n      %r\n      %r" % (last, grant))
            if last is None or grant.end > last.end:
                last = grant
    return found


def _field(value, name):
    """What an entry says after `name=`, or None."""
    return next((field[len(name) + 1:] for field in value.split(",") if field.startswith(name + "=")), None)


def _epoch(value):
    return int(_field(value, "epoch") or 0)


def _grants(history):
    """What the log says: one holder behind each revision, and epochs that are the revision of the grant."""
    found = []
    holding = {}  # lock: {entry: epoch}
    last = {}     # lock: epoch
    touched = set()
    revision = 0
    for change in history.changes + [None]:
        if change is None or change.revision != revision:
            for lock in sorted(touched):
                if len(holding[lock]) > 1:
                    found.append("revision %d has several holders of %s: %r" % (revision, lock, sorted(holding[lock])))
            touched.clear()
        if change is None:
            break
        revision = change.revision
        lock = change.path.rpartition("/")[0]
        if not lock.startswith(GRANTED):
            continue
        held = holding.setdefault(lock, {})
        touched.add(lock)
        if change.type == "delete":
            held.pop(change.path, None)
        elif is_held(change.value) and change.path not in held:
            epoch = held[change.path] = _epoch(change.value)
            if epoch != revision or epoch <= last.get(lock, 0):
                found.append("a grant with epoch %d behind one with %d\n      %r" % (epoch, last.get(lock, 0), change))
            last[lock] = epoch
    return found


def _held(history):
    """What clients were told: the grants of the log, and each after the end of the one before it."""
    found = []
    granted = {(change.path, change.created, _epoch(change.value)) for change in history.changes
               if change.path.startswith(GRANTED) and is_held(change.value)}
    locks = {}
    for grant in history.held:
        locks.setdefault(grant.lock, []).append(grant)
        if (grant.node, grant.created, grant.epoch) not in granted:
            found.append("a client was told of a grant that the log does not have\n      %r" % grant)
    for grants in locks.values():
        grants.sort(key=lambda grant: grant.epoch)
        for before, grant in zip(grants, grants[1:]):
            if grant.epoch == before.epoch:
                found.append("two grants with one epoch\n      %r\n      %r" % (before, grant))
            elif grant.begin < before.end:
                found.append("two holders of a granted lock at a time\n      %r\n      %r" % (before, grant))
    return found


def _campaigns(history, replay):
    """Whoever leads, as the log says, was asked for by a campaign: not before it began, nor if it waited in vain."""
    found = []
    asked = {(campaign.election, campaign.value): campaign for campaign in history.campaigns}
    led = set()
    for change in history.changes:
        entry = (change.path, change.created)
        if not change.path.startswith(LEADS) or not is_held(change.value) or entry in led:
            continue
        led.add(entry)
        campaign = asked.get((change.path.rpartition("/")[0], _field(change.value, "value")))
        if campaign is None:
            found.append("somebody leads who never campaigned\n      %r" % change)
        elif change.created <= replay.low(campaign.begin):
            found.append("a candidate that is older than its campaign\n      %r\n      %r" % (campaign, change))
        elif campaign.result == "timeout":
            found.append("somebody leads whose time to wait had run out\n      %r\n      %r" % (campaign, change))
    return found


def _number(value):
    return int(value.partition(":")[0])


def _counters(history):
    found = []
    last = {}
    for change in history.changes:
        if change.path.startswith("/count/") and change.type in ("create", "set"):
            number = _number(change.value)
            if change.type == "set" and number != last[change.path] + 1:
                found.append("a counter went from %d to %d\n      %r" % (last[change.path], number, change))
            last[change.path] = number
    done = sum(txn.result == "ok" and txn.sets[0][0].startswith("/count/") for txn in history.txns if txn.sets)
    unknown = sum(txn.result == "unknown" and txn.sets[0][0].startswith("/count/") for txn in history.txns if txn.sets)
    total = sum(last.values())
    if not done <= total <= done + unknown:
        found.append("counters say %d, but %d increments were acknowledged and %d are unknown" % (total, done, unknown))
    return found


def _bank(history):
    found = []
    accounts = {}
    revision = 0
    for change in history.changes + [None]:
        if change is None or change.revision != revision:
            total = sum(accounts.values())
            if len(accounts) == 5 and total != TOTAL:
                found.append("revision %d has %d in all accounts" % (revision, total))
                return found
        if change is not None:
            revision = change.revision
            if change.path.startswith("/bank/") and change.type in ("create", "set"):
                accounts[change.path] = _number(change.value)
    for txn in history.txns:
        if txn.result == "ok" and len(txn.reads) == 5 and sum(_number(read[1]) for read in txn.reads) != TOTAL:
            found.append("money was seen coming or going\n      %r" % txn)
    return found


def _sessions(history, replay):
    """Whoever saw a revision at or behind that of an expiry has proved that it had happened by then."""
    found = []
    until = {}
    for session, _, end in history.trusts:
        until[session] = max(until.get(session, 0), end)
    seen = sorted((call.end, call.revision) for call in history.ops + history.txns
                  if call.result == "ok" and call.revision)
    for session, change in replay.lease_ends.items():
        if change.reason == LEASE_EXPIRED and session in until:
            for time, revision in seen:
                if time >= until[session]:
                    break
                if revision >= change.revision:
                    found.append("session %d expired while its owner could rely on it, until %d\n      %r" %
                                 (session, until[session], change))
                    break
    for session, when in history.endings:
        left = [path for path, states in replay.tree.of.items()
                for state in states if state.lease == session and state.next > (1 << 61)]
        if left:
            found.append("session %d had ended by %d, and %r is still there" % (session, when, left))
    return found
