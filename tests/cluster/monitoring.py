#!/usr/bin/env python3
"""docs/monitoring: every metric that the alarms and the dashboard ask for is one that a member has, and
every alarm and every event of the log has its entry in docs/operations.md."""
import glob
import json
import os
import re

from certificates import Authority
from harness import Cluster, ctl_ok, expect, main, until

DOCS = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs"))


def read(name):
    with open(os.path.join(DOCS, name), encoding="utf-8") as file:
        return file.read()


def metrics_of(node):
    return set(re.findall(r"^# TYPE (coord_[a-z_]+) ", node.http("/metrics")[1], re.M))


def asked_for(text):
    """Names of metrics; a histogram's parts are its own."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bcoord_[a-z_]+", text)}


def test_what_is_asked_for_is_there(scratch):
    cluster = Cluster(scratch, backup_dir=os.path.join(scratch, "backups"))
    authority = Authority(os.path.join(scratch, "certs"))
    for node in cluster.nodes:
        authority.issue(node.name)
        node.flags.update(authority.flags(node.name), tls_plaintext="loopback")
        node.flags["archive_dir"] = os.path.join(scratch, "archive-" + node.name)
    cluster.start()
    leader = cluster.leader()
    ctl_ok(leader, "sync")  # a method has figures once it was called
    until(lambda: "coord_peer_up" in metrics_of(leader), "the members know each other")
    there = metrics_of(leader)
    expressions = [target["expr"] for panel in json.loads(read("monitoring/dashboard.json"))["panels"]
                   for target in panel["targets"]]
    for name in asked_for(read("monitoring/alerts.yml")) | asked_for(" ".join(expressions)):
        expect(name in there, "there is no metric %s" % name)


def test_every_alarm_has_its_entry(scratch):
    del scratch
    alarms = re.findall(r"- alert: (\w+)", read("monitoring/alerts.yml"))
    expect(len(alarms) > 5, "the alarms are found")
    operations = read("operations.md")
    for alarm in alarms:
        expect("| `%s` |" % alarm in operations, "docs/operations.md has nothing about %s" % alarm)


def events():
    """Names that the sources log, but for those that are chosen between."""
    names = set()
    for part in ("base", "cmd/coordd", "lease", "net", "plan", "raft", "recipes", "store", "watch"):
        for path in glob.glob(os.path.join(DOCS, "..", part, "**/*.c"), recursive=True):
            with open(path, encoding="utf-8") as file:
                names.update(re.findall(r'\blog_(?:error|warn|info|debug)\([^"]*"([a-z_]+\.[a-z_]+)"', file.read()))
    return names


def test_every_event_of_the_log_has_its_entry(scratch):
    del scratch
    expect(len(events()) > 50, "the events are found")
    table = re.search(r"^\| event \| level .*?\n\n", read("operations.md"), re.M | re.S).group()
    explained = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", table))
    expect(events() <= explained, "docs/operations.md has nothing about %s" % sorted(events() - explained))


if __name__ == "__main__":
    main(globals())
