#!/usr/bin/env python3
"""Configurations in a real cluster: values with versions, history, diff and rollback, schemas that bind all writers, watches,
over restarts, and on every member the same."""
import json


from harness import Cluster, Ctl, ctl, ctl_ok, expect, main, until

SCHEMA = json.dumps({"type": "object", "required": ["max"], "additionalProperties": False,
                     "properties": {"max": {"type": "integer", "minimum": 1, "maximum": 100}}})


def configured(scratch, **flags):
    cluster = Cluster(scratch, **flags)
    cluster.start()
    cluster.converge()
    ctl_ok(cluster.endpoints, "config", "init", "/config/shop", "--versions", "50")
    return cluster, cluster.endpoints


def refused(at, code, text, *arguments, stdin=b""):
    got, _, error = ctl(at, *arguments, stdin=stdin)
    expect(got == code and text in error, "%s: exit %d, %s" % (" ".join(arguments), got, error))


def change(at, *arguments, stdin=b""):
    """Runs a change; its revision."""
    return json.loads(ctl_ok(at, *arguments, "-o", "json", stdin=stdin))["revision"]


def values(at, *arguments):
    return {entry["key"]: entry["value"] for entry in
            json.loads(ctl_ok(at, "config", "get", "/config/shop", "-r", "-o", "json", *arguments))}


def test_a_value_is_set_by_version_read_at_any_revision_and_told_with_who_and_why(scratch):
    cluster, at = configured(scratch)
    first = change(at, "config", "set", "/config/shop/a", "1", "--note", "begin")
    change(at, "config", "set", "/config/shop/a", "2", "--version", "0", "--note", "more")
    refused(at, 4, "version does not match: it is 1, 0 was expected", "config", "set", "/config/shop/a", "3", "--version", "0")
    for node in cluster.nodes:
        expect(ctl_ok(node.endpoint, "config", "get", "/config/shop/a") == b"2", node.name)
        old = ctl_ok(node.endpoint, "config", "get", "/config/shop/a", "--rev", str(first))
        expect(old == b"1", "%s: %r" % (node.name, old))
    history = json.loads(ctl_ok(at, "config", "history", "/config/shop/a", "-o", "json"))
    expect([(c["old"], c["new"], c["version"], c["note"]) for c in history] ==
           [(None, "1", 0, "begin"), ("1", "2", 1, "more")], history)
    refused(at, 3, "there is no configuration root", "config", "set", "/elsewhere", "1")
    refused(at, 1, "begin with a dot", "config", "set", "/config/shop/.hidden", "1")
    refused(at, 3, "does not exist", "config", "get", "/config/shop/none")


def test_a_note_is_no_line_of_its_own(scratch):
    _, at = configured(scratch)
    note = "ok\n9 2026-11-22T10:00:00Z set /config/shop/a 7\x1b[2J\x7f\u009b2J\u00e9"
    ctl_ok(at, "config", "set", "/config/shop/a", "1", "--note", note)
    shown = ctl_ok(at, "config", "history", "/config/shop/a").decode()
    expect(shown.endswith("created /config/shop/a 1: ok 9 2026-11-22T10:00:00Z set /config/shop/a 7 [2J  2J\u00e9\n") and
           shown.count("\n") == 1, "%r" % shown)
    expect(json.loads(ctl_ok(at, "config", "history", "/config/shop/a", "-o", "json"))[0]["note"] == note, "whole as JSON")


def test_many_keys_change_together_or_not_at_all(scratch):
    _, at = configured(scratch)
    both = [{"key": "/config/shop/a", "value": {"n": 1}}, {"key": "/config/shop/b/c", "text": "plain"}]
    revision = change(at, "config", "update", "-f", "-", stdin=json.dumps(both).encode())
    expect(values(at) == {"/config/shop/a": '{"n":1}', "/config/shop/b/c": "plain"}, values(at))
    stale = [{"key": "/config/shop/a", "value": 2}, {"key": "/config/shop/b/c", "value": 3, "version": 7}]
    refused(at, 4, "version", "config", "update", "-f", "-", stdin=json.dumps(stale).encode())
    there = [{"key": "/config/shop/new", "value": 2}, {"key": "/config/shop/a", "value": 3, "absent": True}]
    refused(at, 5, "exists", "config", "update", "-f", "-", stdin=json.dumps(there).encode())
    expect(values(at)["/config/shop/a"] == '{"n":1}', values(at))
    change(at, "config", "update", "-f", "-",
           stdin=json.dumps([{"key": "/config/shop/a", "delete": True}, {"key": "/config/shop/d", "value": 4}]).encode())
    expect(values(at) == {"/config/shop/b/c": "plain", "/config/shop/d": "4"}, values(at))
    expect(values(at, "--rev", str(revision))["/config/shop/a"] == '{"n":1}', "as it was")
    change(at, "config", "update", "-f", "-", stdin=b'[{"key": "/config/shop/n", "value": {"ratio": 0.1, "most": [0.35, 7]}}]')
    expect(values(at)["/config/shop/n"] == '{"ratio":0.1,"most":[0.35,7]}', "numbers as they were said: %r" % values(at))


def test_an_update_that_is_not_understood_whole_changes_nothing(scratch):
    _, at = configured(scratch)
    before = values(at)
    for more, named in (({"versoin": 3}, "versoin"), ({"absent": "true"}, "absent"), ({"delete": 1}, "delete"),
                        ({"version": 4294967296}, "version"), ({"version": -1}, "version"), ({"version": "0"}, "version"),
                        ({"text": 5}, "text"), ({"text": "a"}, "one of"), ({"delete": True}, "one of"), ({"key": 1}, "key")):
        update = [{"key": "/config/shop/fine", "value": 1}, {"key": "/config/shop/a", "value": 1, **more}]
        refused(at, 2, "number 2", "config", "update", "-f", "-", stdin=json.dumps(update).encode())
        refused(at, 2, named, "config", "update", "-f", "-", stdin=json.dumps(update).encode())
    refused(at, 2, "number 1", "config", "update", "-f", "-", stdin=b"[1]")
    refused(at, 2, scratch + " is a directory", "config", "update", "-f", scratch)
    expect(values(at) == before, values(at))
    fine = [{"key": "/config/shop/a", "value": None, "delete": False, "absent": False}]
    change(at, "config", "update", "-f", "-", stdin=json.dumps(fine).encode())
    expect(values(at) == {"/config/shop/a": "null"}, values(at))


def test_a_subtree_goes_back_to_what_it_was_by_a_new_revision(scratch):
    cluster, at = configured(scratch)
    change(at, "config", "set", "/config/shop/kept", "k")
    change(at, "config", "set", "/config/shop/changed", "1")
    then = change(at, "config", "set", "/config/shop/gone/deep", "g")
    before = values(at)
    change(at, "config", "set", "/config/shop/changed", "2")
    change(at, "config", "set", "/config/shop/new/deep", "n")
    change(at, "config", "update", "-f", "-", stdin=b'[{"key": "/config/shop/gone/deep", "delete": true}]')
    diff = json.loads(ctl_ok(at, "config", "diff", "/config/shop", str(then), "-o", "json"))
    expect([(c["type"], c["key"]) for c in diff] ==
           [("set", "/config/shop/changed"), ("deleted", "/config/shop/gone/deep"), ("created", "/config/shop/new/deep")], diff)
    ctl_ok(at, "config", "rollback", "/config/shop", str(then), "-r", "--dry-run")
    expect(values(at) != before, "a dry run changes nothing")
    told = ctl_ok(at, "config", "rollback", "/config/shop", str(then), "-r", "--note", "undo").decode()
    expect("deleted /config/shop/new/deep" in told and told.count("\n") == 3, told)
    for node in cluster.nodes:
        expect(values(node.endpoint) == before, "%s: %r" % (node.name, values(node.endpoint)))
    expect(ctl_ok(at, "config", "rollback", "/config/shop", str(then), "-r") == b"", "there is nothing left to do")
    last = json.loads(ctl_ok(at, "config", "history", "/config/shop", "-r", "--reverse", "--limit", "1", "-o", "json"))
    expect(last[0]["note"] == "undo", last)
    refused(at, 1, "in the future", "config", "rollback", "/config/shop", "99999")


def test_a_schema_binds_every_writer_and_says_where_and_which_rule(scratch):
    cluster, at = configured(scratch)
    ctl_ok(at, "config", "set", "/config/shop/old", "text")
    ctl_ok(at, "config", "schema", "set", "/config/shop", SCHEMA)
    for node in cluster.nodes:
        refused(node.endpoint, 1, "at /max: maximum: 101, must be at most 100 (the schema of /config/shop)",
                "config", "set", "/config/shop/limits", '{"max": 101}')
        refused(node.endpoint, 1, "\"max\" is missing", "config", "set", "/config/shop/limits", "{}")
    ctl_ok(at, "config", "set", "/config/shop/limits", '{"max": 100}')
    refused(at, 1, "protected", "set", "/config/shop/limits", '{"max": 101}')
    refused(at, 1, "protected", "create", "/config/shop/more", "1")
    refused(at, 1, "protected", "rm", "/config", "--recursive")
    code, out, _ = ctl(at, "config", "schema", "check", "/config/shop")
    expect(code == 1 and b"/config/shop/old: the value is no JSON" in out, (code, out))
    expect(ctl(at, "config", "schema", "check", "/config/shop/x", '{"max":1}')[0] == 0, "a good value")
    ctl_ok(at, "config", "schema", "set", "/config/shop/old", '{"type":"string"}')
    refused(at, 1, "must be string", "config", "set", "/config/shop/old", "7")
    expect(ctl_ok(at, "config", "schema", "list", "/config/shop") == b"/config/shop\n/config/shop/old\n", "both")
    refused(at, 1, "this word is not supported", "config", "schema", "set", "/config/shop", '{"typ":"object"}')
    ctl_ok(at, "config", "schema", "remove", "/config/shop/old")
    ctl_ok(at, "config", "schema", "remove", "/config/shop")
    ctl_ok(at, "config", "set", "/config/shop/limits", "anything")
    expect(ctl(at, "config", "schema", "get", "/config/shop")[0] == 3, "no schema any more")


def test_a_rollback_must_fit_the_schema_of_today(scratch):
    _, at = configured(scratch)
    then = change(at, "config", "set", "/config/shop/limits", "7")
    change(at, "config", "set", "/config/shop/limits", '{"max": 7}')
    ctl_ok(at, "config", "schema", "set", "/config/shop", SCHEMA)
    refused(at, 1, "must be object", "config", "rollback", "/config/shop/limits", str(then))


def test_a_watch_tells_old_and_new_values_and_no_schemas(scratch):
    _, at = configured(scratch)
    ctl_ok(at, "config", "set", "/config/shop/a", "1")
    watch = Ctl(scratch, at, "config", "watch", "/config/shop", "--recursive", "-o", "jsonl", "--from-revision", "2")
    ctl_ok(at, "config", "schema", "set", "/config/shop", "true")
    ctl_ok(at, "config", "set", "/config/shop/a", "2")
    seen = [json.loads(line) for line in watch.lines(3, seconds=30)]
    expect([(e["path"], e.get("data", e.get("value"))) for e in seen[-2:]] ==
           [("/config/shop/a", "1"), ("/config/shop/a", "2")], seen)


def test_roots_and_history_outlive_snapshots_and_restarts(scratch):
    cluster, at = configured(scratch, snapshot_log_bytes=65536)
    then = change(at, "config", "set", "/config/shop/a", "first")
    ctl_ok(at, "policy", "retention", "--revisions", "1", "--age", "1s", "--bytes", "1M")
    for i in range(12):
        ctl_ok(at, "create", "/load%d" % i, "x" * 60000)
    change(at, "config", "set", "/config/shop/a", "second")
    for node in cluster.nodes:
        until(lambda: node.metric("coord_snapshots_taken_total") > 0, "%s has taken a snapshot" % node.name, 30)
    for node in cluster.nodes:
        node.terminate()
    for node in cluster.nodes:
        node.start(wait=False)
    cluster.converge()
    until(lambda: ctl(at, "config", "get", "/config/shop/a", "--rev", str(then))[1] == b"first", "what it was", 30)
    refused(at, 1, "protected", "set", "/config/shop/a", "plain")
    ctl_ok(at, "config", "drop", "/config/shop")
    ctl_ok(at, "set", "/config/shop/a", "plain")


def rollout(at, *arguments):
    return json.loads(ctl_ok(at, "config", "rollout", *arguments, "-o", "json"))


def seen(at, instance, *arguments):
    return ctl_ok(at, "config", "effective", "/config/shop/a", instance, *arguments).decode().strip()


def test_instances_are_given_a_value_step_by_step_and_the_key_at_the_end(scratch):
    cluster, at = configured(scratch)
    ctl_ok(at, "config", "set", "/config/shop/a", "old")
    started = rollout(at, "start", "/config/shop/a", "new", "--percents", "20,60,100")
    expect((started["state"], started["percent"]) == ("in progress", 20), started)
    refused(at, 5, "has not ended", "config", "rollout", "start", "/config/shop/a", "x", "--percents", "1")
    names = ["i%d" % i for i in range(60)]
    first = {name for name in names if seen(at, name) == "new"}
    expect(0 < len(first) < 60, "some see it: %d" % len(first))
    for node in cluster.nodes:
        expect({name for name in names[:10] if seen(node.endpoint, name) == "new"} == first & set(names[:10]), node.name)
    rollout(at, "promote", "/config/shop/a")
    second = {name for name in names if seen(at, name) == "new"}
    expect(first <= second and len(first) < len(second), "those keep it")
    expect(values(at)["/config/shop/a"] == "old", "the key is as it was")
    ctl_ok(at, "config", "init", "/config/shop", "--versions", "50")  # it says so already
    rollout(at, "finish", "/config/shop/a")
    expect(values(at)["/config/shop/a"] == "new" and seen(at, "i0") == "new", "everybody")
    refused(at, 1, "has ended", "config", "rollout", "promote", "/config/shop/a")
    expect(rollout(at, "rollback", "/config/shop/a")["state"] == "rolled back", "back from there")
    expect(values(at)["/config/shop/a"] == "old", "as it was")
    expect(rollout(at, "rollback", "/config/shop/a")["state"] == "rolled back", "again")
    expect([r["state"] for r in rollout(at, "list", "/config/shop")] == ["rolled back"], "listed")


def test_a_watch_tells_the_value_that_is_meant_for_an_instance(scratch):
    cluster, at = configured(scratch)
    watch = Ctl(scratch, at, "config", "watch", "/config/shop/a", "--effective", "web-1", "--labels", "zone=a")
    expect(watch.lines(1, 60) == ["(no value)"], "there is no key")
    ctl_ok(at, "config", "set", "/config/shop/a", "old")
    expect(watch.lines(2, 60)[1:] == ["old"], watch.complained())
    cluster.leader().kill()
    rollout(at, "start", "/config/shop/a", "new", "--percents", "100", "--labels", "zone=a")
    expect(watch.lines(3, 60)[2:] == ["new"], "the rollout gives it the new value, over a new leader")
    rollout(at, "rollback", "/config/shop/a")
    expect(watch.lines(4, 60)[3:] == ["old"], "and takes it back")
    got = json.loads(ctl_ok(at, "config", "watch", "/config/shop/a", "--effective", "x", "--once", "-o", "jsonl"))
    expect(got == {"key": "/config/shop/a", "value": "old", "rollout": False}, got)
    refused(at, 2, "--effective goes with", "config", "watch", "/config/shop", "-r", "--effective", "x")
    ctl_ok(at, "config", "drop", "/config/shop")
    expect(watch.wait(60) == 3 and "no configuration root" in watch.complained(), watch.complained())


def test_a_rollout_goes_on_by_itself_over_a_new_leader_and_back_when_the_gate_says_no(scratch):
    cluster, at = configured(scratch)
    ctl_ok(at, "create", "/health", "ok")
    ctl_ok(at, "config", "set", "/config/shop/a", "old")
    rollout(at, "start", "/config/shop/a", "new", "--percents", "10,50", "--step", "1s", "--gate", "/health=ok")
    cluster.leader().kill()
    until(lambda: rollout(at, "status", "/config/shop/a")["state"] == "completed", "it is completed by time", 60)
    expect(values(at)["/config/shop/a"] == "new", "the key has it")
    rollout(at, "start", "/config/shop/a", "worse", "--percents", "10,50", "--step", "1h", "--gate", "/health=ok")
    ctl_ok(at, "set", "/health", "bad")
    back = until(lambda: (lambda r: r if r["state"] == "rolled back" else None)(rollout(at, "status", "/config/shop/a")),
                 "the gate rolls it back", 60)
    expect(back["why"] == "the gate said no" and values(at)["/config/shop/a"] == "new", back)


def test_a_rollout_goes_back_when_too_few_instances_of_a_service_pass(scratch):
    _, at = configured(scratch)
    ctl_ok(at, "config", "set", "/config/shop/a", "old")
    refused(at, 2, "SERVICE[/TAG]=N", "config", "rollout", "start", "/config/shop/a", "x", "--gate-health", "shop=101")
    lease = ctl_ok(at, "lease", "grant", "1h").decode().strip()
    ctl_ok(at, "svc", "register", "shop", "10.0.0.7:80", "--id", "shop-1", "--lease", lease, "--tag", "canary")
    begun = rollout(at, "start", "/config/shop/a", "new", "--percents", "10,50", "--step", "1h", "--gate-health", "shop=60")
    expect((begun["gate_service"], begun["gate_percent"]) == ("shop", 60), begun)
    # It promises heartbeats, and sends none: half of them pass.
    ctl_ok(at, "svc", "register", "shop", "10.0.0.8:80", "--id", "shop-2", "--lease", lease, "--check", "heartbeat",
           "--check-interval", "100ms")
    back = until(lambda: (lambda r: r if r["state"] == "rolled back" else None)(rollout(at, "status", "/config/shop/a")),
                 "it is rolled back", 60)
    expect(back["why"] == "too few instances pass", back)
    # Of those with the tag all pass.
    rollout(at, "start", "/config/shop/a", "newer", "--percents", "10,50", "--step", "1s", "--gate-health", "shop/canary=100")
    until(lambda: rollout(at, "status", "/config/shop/a")["state"] == "completed", "it is completed by time", 60)


def test_labels_say_who_is_green_and_a_set_of_the_key_ends_a_rollout(scratch):
    _, at = configured(scratch)
    ctl_ok(at, "config", "set", "/config/shop/a", "old")
    refused(at, 1, "who is green", "config", "rollout", "start", "/config/shop/a", "new", "--strategy", "blue-green")
    planned = rollout(at, "start", "/config/shop/a", "new", "--strategy", "blue-green", "--labels", "color=green", "--plan")
    expect(planned["state"] == "planning" and seen(at, "i", "--labels", "color=green") == "old", planned)
    rollout(at, "promote", "/config/shop/a")
    expect(seen(at, "i", "--labels", "color=green,zone=a") == "new" and seen(at, "i") == "old", "the green ones")
    ctl_ok(at, "config", "set", "/config/shop/a", "other")
    expect(seen(at, "i", "--labels", "color=green") == "other", "at once")
    until(lambda: rollout(at, "status", "/config/shop/a")["why"] == "the key was changed meanwhile", "it ends", 60)
    rollout(at, "start", "/config/shop/a", "new", "--percents", "50")
    ctl_ok(at, "config", "set", "/config/shop/a", "another")
    code, _, error = ctl(at, "config", "rollout", "finish", "/config/shop/a")
    expect(code == 1, "whether it has ended already or ends by this, what was asked for is not done: %d %s" % (code, error))
    ctl_ok(at, "config", "schema", "set", "/config/shop", SCHEMA)
    refused(at, 1, "must be object", "config", "rollout", "start", "/config/shop/a", "7", "--percents", "1")
    refused(at, 3, "there is no rollout", "config", "rollout", "status", "/config/shop/b")


def test_an_open_root_lets_plain_writers_in(scratch):
    _, at = configured(scratch)
    ctl_ok(at, "config", "init", "/open", "--open")
    ctl_ok(at, "create", "/open/a", "1")
    expect(ctl_ok(at, "config", "get", "/open/a") == b"1", "it is a key")
    refused(at, 1, "protected", "create", "/open/.schema", "{}")
    listed = json.loads(ctl_ok(at, "config", "list", "-o", "json"))
    expect([(r["path"], r["versions"], r["open"]) for r in listed] == [("/config/shop", 50, False), ("/open", 100, True)], listed)
    refused(at, 5, "above or below", "config", "init", "/open/below")


main(globals())
