#!/usr/bin/env python3
"""Elections of a real cluster, through coord.v1.Election."""
from harness import Cluster, ctl_ok, expect, main, until
from rpc import Call, Stream, field, lease


def campaign(node, lease_id, name, more=""):
    request = 'path: "/e" name: "%s" value: "at %s" lease: %d %s' % (name, name, lease_id, more)
    return Call(node, "Election/Campaign", "ElectionCampaignRequest", request, "ElectionCampaignReply")


def elected(call):
    status, outcome, text = call.end()
    expect(status == 0, "not elected: %s %s %s" % (status, outcome, text))
    grant = text[text.index("grant {"):]
    return field(grant, "path"), int(field(grant, "revision")), int(field(grant, "epoch"))


def ask(node, method, request, message=None, reply="ElectionReply"):
    return Call(node, "Election/" + method, "Election%sRequest" % (message or method), request, reply).end()


def leader(node):
    """(name, value, epoch), or None."""
    status, outcome, text = ask(node, "Leader", 'path: "/e"', reply="ElectionLeaderReply")
    expect(status == 0, (outcome, text))
    return (field(text, "name"), field(text, "value"), int(field(text, "epoch"))) if "leader {" in text else None


def candidates(node):
    status, outcome, text = ask(node, "List", 'path: "/e"', reply="ElectionListReply")
    if outcome == "NO_NODE":
        return []
    expect(status == 0, (outcome, text))
    return [line.split('"')[1] for line in text.splitlines() if line.startswith('  name: ')]


def observe(node, more=""):
    return Stream(node, "Election/Observe", "ElectionObserveRequest", 'path: "/e" %s' % more, "ElectionObserveReply")


def seen(message):
    return (field(message, "name"), field(message, "value")) if "leader {" in message else None


def grant_of(name, path, revision):
    return '%s { path: "%s" revision: %d }' % (name, path, revision)


def test_leaders_follow_each_other_and_observers_see_each_once(scratch):
    a, b, c = Cluster(scratch).start().nodes
    one, two = lease(a), lease(b)
    watcher = observe(c)
    expect(seen(watcher.next()) is None, "nobody leads yet")
    path, revision, epoch = elected(campaign(a, one, "ann", 'header { note: "first" }'))
    waiting = campaign(b, two, "bob")
    until(lambda: candidates(c) == ["ann", "bob"], "both are there, in order")
    status, outcome, text = campaign(c, two, "eve", "no_wait: true").end()
    expect((status, outcome) == (6, "HELD") and "ann" in text, (status, outcome, text))
    expect(leader(b) == ("ann", "at ann", epoch), leader(b))
    status, outcome, text = ask(b, "Proclaim", grant_of("grant", path, revision) + ' value: "moved"')
    expect(status == 0, (outcome, text))
    expect(leader(a) == ("ann", "moved", epoch), "the epoch stays")
    guarded = 'path: "/data" %s' % grant_of("guards", path, revision)
    status, outcome, text = Call(a, "Tree/Create", "CreateRequest", guarded, "CreateReply").end()
    expect(status == 0, "a write of the leader: %s %s" % (outcome, text))
    status, outcome, text = Call(a, "Lease/Revoke", "LeaseRevokeRequest", "id: %d" % one, "LeaseRevokeReply").end()
    expect(status == 0, text)
    next_path, next_revision, next_epoch = elected(waiting)
    expect(next_epoch > epoch, (next_epoch, epoch))
    status, outcome, text = Call(a, "Tree/Set", "SetRequest", guarded, "SetReply").end()
    expect(outcome == "GUARD_STALE", "a write of who led: %s %s" % (outcome, text))
    status, outcome, text = ask(c, "Resign", grant_of("entry", next_path, next_revision))
    expect(status == 0, (outcome, text))
    messages = [watcher.next() for _ in range(4)]
    expect([seen(m) for m in messages] == [("ann", "at ann"), ("ann", "moved"), ("bob", "at bob"), None], messages)
    at = int(field(messages[1][messages[1].index("}"):], "revision"))  # behind the header
    again = observe(a, "after_revision: %d" % at)
    expect([seen(again.next()) for _ in range(2)] == [("bob", "at bob"), None], "what came after that")
    expect(watcher.is_open() and again.is_open(), "they go on")
    watcher.kill()
    again.kill()
    expect(leader(c) is None, "nobody leads")


def test_policies_decide_and_a_hand_over_overrules_them(scratch):
    a, b, c = Cluster(scratch).start().nodes
    leases = [lease(n) for n in (a, b, c)]
    path, revision, epoch = elected(campaign(a, leases[0], "low", "policy: HIGHEST_PRIORITY priority: 1"))
    middle = campaign(b, leases[1], "middle", "priority: 2")
    until(lambda: candidates(c) == ["low", "middle"], "two are there")
    high = campaign(c, leases[2], "high", "priority: 3")
    until(lambda: candidates(a) == ["low", "high", "middle"], "the higher one is next; nobody is deposed")
    status, outcome, text = campaign(a, leases[0], "other", "policy: FIRST_COME").end()
    expect(outcome == "MISMATCH" and "priority" in text, (outcome, text))
    status, outcome, text = ask(b, "HandOver", 'path: "/e" to: "middle" ' + grant_of("leader", path, revision),
                                reply="ElectionHandOverReply")
    expect(status == 0, (outcome, text))
    middle_path, middle_revision, middle_epoch = elected(middle)
    expect(middle_epoch > epoch and int(field(text, "epoch")) == middle_epoch, text)
    status, outcome, text = ask(b, "HandOver", 'path: "/e" to: "high" ' + grant_of("leader", path, revision),
                                reply="ElectionHandOverReply")
    expect(outcome == "GUARD_STALE", "somebody else leads by now: %s %s" % (outcome, text))
    status, outcome, text = ask(a, "Resign", grant_of("entry", middle_path, middle_revision))
    expect(status == 0, (outcome, text))
    expect(elected(high)[2] > middle_epoch, "the next one")


def test_labels_keep_candidates_from_leading_until_that_is_changed(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    one = lease(a)
    status, outcome, text = ask(a, "Configure", 'path: "/e" eligible: "rack 1"')
    expect(status == 0, (outcome, text))
    waiting = campaign(b, one, "ann", 'label: "rack 2"')
    until(lambda: candidates(a) == ["ann"], "it waits")
    expect(leader(a) is None and waiting.is_open(), "nobody leads")
    status, outcome, text = ask(b, "Configure", 'path: "/e" eligible: "rack 2"')
    expect(status == 0, (outcome, text))
    elected(waiting)
    expect(b"eligible=rack 2" in ctl_ok(a, "get", "/e"), "people see what was set up")


def test_a_candidate_goes_with_its_call_and_survives_another_leader_of_the_cluster(scratch):
    cluster = Cluster(scratch).start()
    first = cluster.leader()
    stays = [n for n in cluster.nodes if n is not first]
    one, two = lease(stays[0]), lease(stays[1])
    path, revision, epoch = elected(campaign(stays[0], one, "ann"))
    gone = campaign(stays[1], two, "gone")
    waiting = campaign(stays[1], two, "bob")
    until(lambda: sorted(candidates(stays[0])) == ["ann", "bob", "gone"], "three are there")
    gone.kill()
    until(lambda: candidates(stays[0]) == ["ann", "bob"], "who has gone is no candidate")
    first.kill()
    cluster.leader()
    expect(waiting.is_open(), "it still waits")
    status, outcome, text = ask(stays[1], "Resign", grant_of("entry", path, revision))
    expect(status == 0, (outcome, text))
    expect(elected(waiting)[2] > epoch, "a later epoch")


if __name__ == "__main__":
    main(globals())
