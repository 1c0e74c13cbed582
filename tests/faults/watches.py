"""Watches against the change log: a watch hands out each change that it is for, once, in order, from where it
began up to where it says that it has got. It begins behind nothing that was asked for after it had been opened.

ZooKeeper's one-shot watches: the first change behind the read that armed one fires it, once, before anything of that
revision or a later one is answered on that connection."""
from history import FOREVER

FIRED_BY = {"set": "3", "delete": "2"}


def expected(watch, changes):
    return [(c.revision, c.sub, c.type, c.path, "-" if c.type == "delete" else c.value, c.version)
            for c in changes if c.type != "other" and watch.covers(c.path)]


def check_watch(watch, changes, replay):
    """`changes` of the whole log; `replay` knows what was answered when."""
    found = []
    events = watch.events
    wanted = expected(watch, changes)
    places = {event[:2]: at for at, event in enumerate(wanted)}
    for before, event in zip(events, events[1:]):
        if event[:2] <= before[:2]:
            found.append("an event twice or out of order: %r behind %r\n      %r" % (event, before, watch))
    for event in events:
        if event[:2] not in places or wanted[places[event[:2]]] != event:
            found.append("an event of what did not happen: %r\n      %r" % (event, watch))
            return found
    if watch.seen is None:
        return found + ["a watch without an end\n      %r" % watch]
    if watch.lost is not None and watch.lost != "failed":
        found.append("a watch was ended: %s\n      %r" % (watch.lost, watch))
    first = first_place(watch, wanted, places, replay)
    got = {event[:2] for event in events}
    missing = [event for event in wanted[first:] if event[0] <= watch.seen and event[:2] not in got]
    if missing:
        found.append("a watch says that it has all up to %d and misses %d events, the first %r\n      %r" %
                     (watch.seen, len(missing), missing[0], watch))
    if events:
        between = wanted[first:places[events[-1][:2]] + 1]
        gaps = [event for event in between if event[:2] not in got]
        if gaps and not missing:
            found.append("a gap in a watch: %r\n      %r" % (gaps[0], watch))
    return found


def first_place(watch, wanted, places, replay):
    """The place of the first change that it has to hand out."""
    if watch.first:
        return next((at for at, event in enumerate(wanted) if event[0] >= watch.first), len(wanted))
    # From now on: what began after it was opened must come; with the first event it is known exactly.
    sure = replay.high(watch.end)
    place = next((at for at, event in enumerate(wanted) if event[0] > sure), len(wanted))
    return min(place, places[watch.events[0][:2]]) if watch.events else place


def check_one_shot(history):
    """Armed, fired and replies of each client in the order in which they were received."""
    found = []
    changes = {}
    for change in history.changes:
        changes.setdefault(change.path, []).append(change)
    armed = {}  # (client, path): the revision that fires it, and how
    for client, word, *words in history.events:
        if word == "gone":
            armed = {key: value for key, value in armed.items() if key[0] != client}
        elif word == "armed":
            path, revision = words[0], int(words[1])
            first = next((c for c in changes.get(path, ()) if c.revision > revision and c.type in FIRED_BY), None)
            armed.setdefault((client, path), (first.revision, FIRED_BY[first.type]) if first else (FOREVER, None))
        elif word == "fired":
            kind, path = words
            _, wanted = armed.pop((client, path), (0, "none"))
            if wanted != kind:
                found.append("%s: a watch of %s fired with type %s, expected %s" % (client, path, kind, wanted))
        else:
            late = [key for key, (at, _) in armed.items() if key[0] == client and at <= int(words[0])]
            for key in late:
                found.append("%s was answered of revision %s before the event of %d at %s" %
                             (client, words[0], armed[key][0], key[1]))
                del armed[key]
    return found


def check(history, replay):
    found = check_one_shot(history)
    for watch in history.watches:
        found += check_watch(watch, history.changes, replay)
        # The log is the truth; whoever follows it to the end has seen the end.
        if watch.client.startswith("watch-") and not any(event[3] == "/end" for event in watch.events):
            found.append("a watch did not get to the end of the log\n      %r" % watch)
    return found
