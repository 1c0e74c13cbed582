#!/usr/bin/env python3
"""The checkers of fault rounds find what was planted, and nothing in histories that are right."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "cluster")]

import holders  # noqa: E402
import linear  # noqa: E402
import watches  # noqa: E402
from harness import expect, main  # noqa: E402
from history import Op  # noqa: E402
from story import COUNTER, ELECTED, GRANTED, GRANTED_COUNTER, LOCK, Story  # noqa: E402

SEEDS = range(1, 13)


def all_findings(story):
    history, model, found = story.judged()
    result = linear.check(history)
    return found + watches.check(history, model) + holders.check(history, model) + result.violations + result.undecided


def expect_finding(found, words):
    expect(any(words in text for text in found), "expected a finding about '%s', got %r" % (words, found[:3]))


def expect_nothing(found):
    expect(not found, "nothing is wrong, and yet: %s" % "\n".join(found[:3]))


# ---- histories that are right ------------------------------------------------------------------
def test_nothing_is_found_in_histories_without_faults(_scratch):
    for seed in SEEDS:
        expect_nothing(all_findings(Story(seed)))


def test_nothing_is_found_where_outcomes_are_unknown(_scratch):
    for seed in SEEDS:
        expect_nothing(all_findings(Story(seed, unknown=4)))


def test_nothing_is_found_where_many_outcomes_are_unknown_on_one_key(_scratch):
    for seed in SEEDS[:3]:
        expect_nothing(all_findings(Story(seed, calls=120, keys=1, unknown=30)))


def test_write_of_unknown_outcome_may_take_effect_long_after_its_client_went_on(_scratch):
    ops = [Op("a", "create", "/kv/k", "a.1", -1, 1, 2, "ok", 2, "-", 2, 0),
           Op("b", "set", "/kv/k", "b.1", -1, 3, 4, "unknown", 0, "-", 0, 0),
           Op("a", "get", "/kv/k", "-", -1, 5, 6, "ok", 2, "a.1", 2, 0),
           Op("b", "get", "/kv/k", "-", -1, 7, 8, "ok", 3, "b.1", 3, 1)]
    expect(linear.is_linearizable(ops), "the write came between the two reads")
    expect(linear.is_linearizable(ops[:3]), "or it never came")
    back = Op("a", "get", "/kv/k", "-", -1, 9, 10, "ok", 2, "a.1", 2, 0)
    expect(not linear.is_linearizable(ops + [back]), "but it does not go away again")


# ---- checker 1: replies against the log ---------------------------------------------------------
def read_after_a_set(story):
    """A read that certainly began after a set of its key had been answered: its place, and what was there before."""
    before = {}
    ended = {}
    for at, (_, line) in enumerate(story.lines):
        words = line.split()
        if words[0] != "op" or not words[2].startswith("/kv/"):
            continue
        path, begin, end = words[2], int(words[5]), int(words[6])
        if words[1] == "get" and words[7] == "ok" and path in ended and ended[path][0] < begin and \
                ended[path][1] == words[9]:
            return at, ended[path][2]
        if words[1] == "set" and words[7] == "ok":
            if path in before:
                ended[path] = (end, words[3], before[path])
            before[path] = (words[3], words[10], words[11])
        elif words[1] in ("create", "delete") and words[7] == "ok":
            before.pop(path, None)
            ended.pop(path, None)
    return None, None


def plant_stale_read(seed):
    story = Story(seed)
    at, old = read_after_a_set(story)
    if at is None:
        return None
    value, modified, version = old
    story.edit(at, data=value, modified=modified, version=version, revision=modified)
    return story


def test_stale_read_is_found_by_the_log_and_without_it(_scratch):
    planted = 0
    for seed in SEEDS:
        story = plant_stale_read(seed)
        if story is not None:
            planted += 1
            history, _, found = story.judged()
            expect_finding(found, "stale read")
            expect(linear.check(history).violations, "seed %d: no order explains it, and none was missed" % seed)
    expect(planted > len(SEEDS) / 2, "enough of the stories have a read to be made stale: %d" % planted)


def test_lost_acknowledged_write_is_found(_scratch):
    for seed in SEEDS:
        story = Story(seed)
        at = [at for at in story.find("op", "set") if story.lines[at][1].split()[7] == "ok"][-1]
        value = story.lines[at][1].split()[3]
        story.log = [line for line in story.log if line.split()[5] != value]
        expect_finding(story.judged()[2], "an acknowledged write is not in the log")


def test_two_swaps_of_one_version_are_found_without_the_log(_scratch):
    ops = [Op("a", "create", "/kv/k", "a.1", -1, 1, 2, "ok", 2, "-", 2, 0),
           Op("a", "set", "/kv/k", "a.2", 0, 3, 9, "ok", 3, "-", 3, 1),
           Op("b", "set", "/kv/k", "b.1", 0, 4, 8, "ok", 4, "-", 4, 1)]
    expect(not linear.is_linearizable(ops), "a lost update")
    ops[2].result = "bad_version"
    expect(linear.is_linearizable(ops), "one of them is refused")


def test_write_that_was_refused_and_done_all_the_same_is_found(_scratch):
    story = Story(3)
    at = [at for at in story.find("op", "set") if story.lines[at][1].split()[7] == "ok"][-1]
    story.edit(at, result="failed")
    expect_finding(story.judged()[2], "answered as not done, but it was")


def test_change_that_nobody_asked_for_is_found(_scratch):
    story = Story(4)
    del story.lines[story.find("op", "create", "/end")[0]]
    expect_finding(story.judged()[2], "nobody asked for this change")


def test_refusal_without_its_reason_is_found(_scratch):
    for kind, result in (("create", "exists"), ("get", "not_found")):
        story = Story(5)
        path = "/kv/k0" if "/kv/k0" not in story.nodes and result == "exists" else "/kv/fresh"
        if result == "not_found":
            path = next(path for path in story.nodes if path.startswith("/kv/"))
        begin = max(story.free_at.values()) + 10
        story.op("kv-0", kind, path, "kv-0.late" if kind == "create" else "-", -1, begin, begin + 1, result)
        found = all_findings(story)
        expect(found, "a %s answered as %s for nothing" % (kind, result))


def test_write_that_takes_effect_before_what_had_been_answered_is_found(_scratch):
    story = Story(6)
    at = story.find("op", "create", "/end")[0]
    # It is said to have begun long after something of a later revision was answered.
    story.op("kv-0", "get", "/bank", "-", -1, 1, 2, "ok", "-", story.nodes["/bank"], revision=story.revision)
    expect(story.lines[at][1].split()[8] == str(story.revision), "the last one of all")
    expect_finding(story.judged()[2], "before it began")


def test_reply_with_another_version_than_the_log_is_found(_scratch):
    story = Story(7)
    at = [at for at in story.find("op", "set") if story.lines[at][1].split()[7] == "ok"][0]
    story.edit(at, version=99)
    expect_finding(story.judged()[2], "the reply is not what the log says")


def test_log_that_contradicts_itself_is_found(_scratch):
    story = Story(8)
    sets = [at for at, line in enumerate(story.log) if line.split()[3] == "set"]
    del story.log[sets[0]]
    expect_finding(story.judged()[2], "that cannot be")


def test_half_a_transaction_is_found(_scratch):
    story = Story(9)
    story.log = [line for line in story.log if not (line.split()[4] == "/bank/a1" and line.split()[3] == "set")]
    found = all_findings(story)
    expect_finding(found, "half a transaction")
    expect_finding(found, "in all accounts")


# ---- watches ---------------------------------------------------------------------------------
def test_watch_gap_is_found(_scratch):
    for seed in SEEDS:
        story = Story(seed, calls=60)
        del story.lines[story.random.choice(story.find("event", "1", of="watch-0")[:-1])]
        expect_finding(all_findings(story), "misses")


def test_watch_event_twice_or_out_of_order_is_found(_scratch):
    for seed in SEEDS:
        story = Story(seed, calls=60)
        at = story.random.choice(story.find("event", "1", of="watch-0")[:-1])
        story.lines.insert(at, story.lines[at])
        expect_finding(all_findings(story), "twice or out of order")
        story = Story(seed, calls=60)
        story.lines[at], story.lines[at + 1] = story.lines[at + 1], story.lines[at]
        expect_finding(all_findings(story), "twice or out of order")


def test_watch_event_with_another_value_is_found(_scratch):
    story = Story(1)
    at = story.find("event", "1", "set")[0]
    client, line = story.lines[at]
    words = line.split()
    words[6] = "somebody.else"
    story.lines[at] = (client, " ".join(words))
    expect_finding(all_findings(story), "an event of what did not happen")


def test_watch_that_ends_early_is_found(_scratch):
    story = Story(2)
    places = story.find("event", "1", of="watch-0")
    for at in reversed(places[-5:]):
        del story.lines[at]
    expect_finding(all_findings(story), "misses 5 events")


def test_watch_from_now_on_that_begins_too_late_is_found(_scratch):
    def late(first_event):
        story = Story(3, calls=200)
        writes = [line.split() for _, line in story.lines if line.startswith("op set /kv/k0 ") and " ok " in line]
        opened = int(writes[1][6])  # when that was answered
        story.lines.append(("late-0", "watch 1 node /kv/k0 0 %d %d" % (opened - 1, opened)))
        for line in story.log:
            _, revision, sub, kind, path, value, modified, version = line.split()[:8]
            if path == "/kv/k0" and int(revision) >= first_event(writes):
                story.lines.append(("late-0", "event 1 %s %s %s %s %s %s %s 0" % (
                    kind, path, revision, sub, value, modified, version)))
        story.lines.append(("late-0", "seen 1 %d" % story.revision))
        return all_findings(story)
    begun_later = [0]

    def right(writes):
        return int(writes[1][10]) + 1

    def wrong(writes):
        opened = int(writes[1][6])
        after = [int(words[10]) for words in writes if int(words[5]) > opened]
        begun_later[0] = len(after)
        return after[0] + 1
    expect_nothing(late(right))
    expect(late(wrong) and begun_later[0] > 1, "what began after the watch was opened is missing")


def with_one_shot(*lines):
    story = Story(1, calls=1)
    story.log += ["change 50 0 set /kv/w a 50 1 40 0 0 0 x", "change 60 0 delete /kv/w - 50 1 40 0 0 0 x"]
    story.lines += [("zk-0", line) for line in lines]
    return watches.check_one_shot(story.told())


def test_one_shot_watch_that_fires_late_twice_or_wrongly_is_found(_scratch):
    expect_nothing(with_one_shot("reply 45", "armed /kv/w 45", "reply 49", "fired 3 /kv/w", "reply 50"))
    expect_nothing(with_one_shot("armed /kv/w 45", "gone", "reply 70", "armed /kv/w 51", "fired 2 /kv/w"))
    expect_finding(with_one_shot("armed /kv/w 45", "reply 50", "fired 3 /kv/w"), "before the event of 50")
    expect_finding(with_one_shot("armed /kv/w 45", "fired 3 /kv/w", "fired 2 /kv/w"), "fired with type 2")
    expect_finding(with_one_shot("armed /kv/w 45", "fired 2 /kv/w"), "expected 3")
    expect_finding(with_one_shot("fired 3 /kv/w"), "expected none")


# ---- locks, counters, money, sessions ----------------------------------------------------------
def test_double_grant_is_found(_scratch):
    story = Story(1)
    first, second = story.find("grant", LOCK)
    words = story.lines[first][1].split()
    words[5] = str(int(story.lines[second][1].split()[4]) + 1)
    story.lines[first] = (story.lines[first][0], " ".join(words))
    expect_finding(all_findings(story), "two holders of one lock at a time")


def test_grant_of_an_older_place_is_found(_scratch):
    story = Story(2)
    second = story.find("grant", LOCK)[1]
    words = story.lines[second][1].split()
    words[3] = "3"
    story.lines[second] = (story.lines[second][0], " ".join(words))
    expect_finding(all_findings(story), "older place in the queue")


def edit_log(story, path, kind, old, new):
    """In the first change of that kind that has it."""
    for at, line in enumerate(story.log):
        words = line.split()
        if words[3] == kind and words[4] == path and old in words[5]:
            story.log[at] = line.replace(old, new)
            return
    raise ValueError("nothing to edit")


def second_holder(story):
    """The place of its line, and its words."""
    at = story.find("held", GRANTED)[1]
    return at, story.lines[at][1].split()


def test_double_grant_by_the_cluster_is_found_in_the_log(_scratch):
    story = Story(1)
    entry = GRANTED + "/q-0000000001"
    created = [line.split()[1] for line in story.log if line.split()[3:5] == ["create", entry]][0]
    edit_log(story, entry, "create", "state=waiting,mode=write,", "state=held,mode=write,epoch=%s," % created)
    expect_finding(all_findings(story), "several holders of " + GRANTED)


def test_grant_with_an_epoch_that_does_not_grow_is_found(_scratch):
    story = Story(2)
    first = story.lines[story.find("held", GRANTED)[0]][1].split()[4]
    second = second_holder(story)[1][4]
    edit_log(story, GRANTED + "/q-0000000001", "set", "epoch=" + second, "epoch=" + first)
    expect_finding(all_findings(story), "a grant with epoch %s behind one with %s" % (first, first))


def test_overlapping_holders_of_granted_locks_are_found(_scratch):
    story = Story(3)
    at, words = second_holder(story)
    words[5] = str(int(story.lines[story.find("held", GRANTED)[0]][1].split()[6]) - 1)
    story.lines[at] = (story.lines[at][0], " ".join(words))
    expect_finding(all_findings(story), "two holders of a granted lock at a time")


def test_grant_that_the_log_does_not_have_is_found(_scratch):
    story = Story(4)
    at, words = second_holder(story)
    words[4] = str(int(words[4]) + 1)
    story.lines[at] = (story.lines[at][0], " ".join(words))
    expect_finding(all_findings(story), "a grant that the log does not have")


def test_one_epoch_for_two_holders_is_found(_scratch):
    story = Story(5)
    at, words = second_holder(story)
    words[4] = story.lines[story.find("held", GRANTED)[0]][1].split()[4]
    story.lines[at] = (story.lines[at][0], " ".join(words))
    expect_finding(all_findings(story), "two grants with one epoch")


def test_guarded_write_of_who_only_waits_is_found(_scratch):
    story = Story(6)
    for at in story.find("txn"):
        client, line = story.lines[at]
        if client == "held-0":
            words = second_holder(story)[1]
            story.lines[at] = (client, line[:line.index("fence")] + "fence %s %s" % (words[2], words[3]))
    expect_finding(all_findings(story), "a holder whose grant had ended")


def test_lost_increment_of_a_granted_lock_is_found(_scratch):
    story = Story(7)
    edit_log(story, GRANTED_COUNTER, "set", "2:held-1", "1:held-1")
    story.lines = [(client, line.replace("2:held-1", "1:held-1")) for client, line in story.lines]
    expect_finding(all_findings(story), "a counter went from 1 to 1")


# ---- elections ---------------------------------------------------------------------------------
def lines_of_leaders(story):
    """The words of both."""
    return [story.lines[at][1].split() for at in story.find("held", ELECTED)]


def test_two_leaders_at_a_time_are_found_in_the_log(_scratch):
    story = Story(1)
    entry = ELECTED + "/q-0000000001"
    created = [line.split()[1] for line in story.log if line.split()[3:5] == ["create", entry]][0]
    edit_log(story, entry, "create", "state=waiting,", "state=held,epoch=%s," % created)
    expect_finding(all_findings(story), "several holders of " + ELECTED)


def test_epoch_of_a_leader_that_repeats_is_found(_scratch):
    story = Story(2)
    first, second = (words[4] for words in lines_of_leaders(story))
    edit_log(story, ELECTED + "/q-0000000001", "set", "epoch=" + second, "epoch=" + first)
    expect_finding(all_findings(story), "a grant with epoch %s behind one with %s" % (first, first))


def test_leaders_that_were_told_of_one_epoch_are_found(_scratch):
    story = Story(3)
    first, second = story.find("held", ELECTED)
    words = story.lines[second][1].split()
    words[4] = story.lines[first][1].split()[4]
    story.lines[second] = (story.lines[second][0], " ".join(words))
    expect_finding(all_findings(story), "two grants with one epoch")


def test_leader_that_goes_on_when_the_next_one_leads_is_found(_scratch):
    story = Story(4)
    first, second = story.find("held", ELECTED)
    words = story.lines[first][1].split()
    words[6] = str(int(story.lines[second][1].split()[5]) + 1)
    story.lines[first] = (story.lines[first][0], " ".join(words))
    expect_finding(all_findings(story), "two holders of a granted lock at a time")


def test_guarded_write_of_a_former_leader_is_found(_scratch):
    story = Story(5)
    first = lines_of_leaders(story)[0]
    for at in story.find("txn", of="elect-1"):
        client, line = story.lines[at]
        story.lines[at] = (client, line[:line.index("fence")] + "fence %s %s" % (first[2], first[3]))
    expect_finding(all_findings(story), "a holder whose grant had ended")


def test_leader_that_never_campaigned_is_found(_scratch):
    story = Story(6)
    del story.lines[story.find("campaign", of="elect-1")[0]]
    expect_finding(all_findings(story), "somebody leads who never campaigned")


def test_leader_that_is_older_than_its_campaign_is_found(_scratch):
    story = Story(7)
    at = story.find("campaign", of="elect-1")[0]
    words = story.lines[at][1].split()
    words[3] = lines_of_leaders(story)[1][5]
    story.lines[at] = ("elect-1", " ".join(words))
    expect_finding(all_findings(story), "older than its campaign")


def test_leader_whose_time_to_wait_had_run_out_is_found(_scratch):
    story = Story(8)
    at = story.find("campaign", of="elect-1")[0]
    story.lines[at] = ("elect-1", story.lines[at][1].replace(" ok", " timeout"))
    expect_finding(all_findings(story), "whose time to wait had run out")


# ---- what holders write, money, sessions --------------------------------------------------------
def test_write_by_a_former_holder_is_found(_scratch):
    story = Story(3)
    for at in story.find("txn"):
        client, line = story.lines[at]
        if client == "lock-1":
            first = story.lines[story.find("grant", LOCK)[0]][1].split()
            story.lines[at] = (client, line[:line.index("fence")] + "fence %s %s" % (first[2], first[3]))
    expect_finding(all_findings(story), "a holder whose grant had ended")


def test_lost_increment_is_found(_scratch):
    story = Story(4)
    for at, line in enumerate(story.log):
        if line.split()[4] == COUNTER and "2:lock-1" in line:
            story.log[at] = line.replace("2:lock-1", "1:lock-1")
    story.lines = [(client, line.replace("2:lock-1", "1:lock-1")) for client, line in story.lines]
    expect_finding(all_findings(story), "a counter went from 1 to 1")


def test_money_out_of_nowhere_is_found(_scratch):
    story = Story(5)
    for at, line in enumerate(story.log):
        if line.split()[3] == "set" and line.split()[4] == "/bank/a0":
            story.log[at] = line.replace("95:", "96:")
    story.lines = [(client, line.replace("95:", "96:")) for client, line in story.lines]
    expect_finding(all_findings(story), "in all accounts")


def with_session(reason, trusted_until, seen_at):
    """A session with one node, which goes for that reason; somebody saw that revision at `seen_at`."""
    story = Story(6, calls=20)
    story.revision += 1
    created = story.revision
    story.log.append("change %d 0 create /eph/e session-0.1 %d 0 %d 77 0 77 session-0" % (created, created, created))
    story.lines.append(("session-0", "op create /eph/e session-0.1 -1 100000 100001 ok %d - %d 0" % (created, created)))
    story.lines.append(("session-0", "session 77 99000 99001"))
    story.lines.append(("session-0", "trust 77 100002 %d" % trusted_until))
    story.revision += 1
    story.log.append("change %d 0 delete /eph/e - %d 0 %d 77 %d 77 -" % (story.revision, created, created, reason))
    bank = story.nodes["/bank"]
    story.op("kv-0", "get", "/bank", "-", -1, seen_at - 1, seen_at, "ok", "-", bank)
    history, model, found = story.judged()
    return found + holders.check(history, model)


def test_session_that_expires_while_it_can_be_relied_on_is_found(_scratch):
    expired, closed = 1, 3
    expect_nothing(with_session(expired, 200000, 200001))
    expect_nothing(with_session(closed, 200000, 150000))
    expect_finding(with_session(expired, 200000, 150000), "while its owner could rely on it")


if __name__ == "__main__":
    main(globals())
