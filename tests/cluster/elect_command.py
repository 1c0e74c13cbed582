#!/usr/bin/env python3
"""coordctl elect: candidates as real processes, the death of leaders and servers, handing over, observing."""
import json
import os
import signal

from coordctl import check, complaint, one
from harness import COORDCTL, Cluster, Ctl, Node, ctl, ctl_ok, expect, main, until


def candidate(scratch, node, name, *more):
    return Ctl(scratch, node, "elect", "w", "value of " + name, "--name", name, *more)


def leader(node):
    """The name of who leads."""
    code, out, _ = ctl(node, "elect", "leader", "w", "-o", "json")
    return json.loads(out)["name"] if code == 0 else None


def end(process):
    process.send_signal(signal.SIGINT)
    expect(process.wait(30) == 0, process.complained())


def test_the_next_one_leads_when_the_leader_goes(scratch):
    node = one(scratch)
    check(node, [(["elect", "leader", "w"], 3, b"", complaint("elect leader .*"))])
    observer = Ctl(scratch, node, "elect", "observe", "w", "-o", "jsonl")
    a = candidate(scratch, node, "a")
    first = int(a.lines(1, 30)[0].split()[-1])
    b = candidate(scratch, node, "b")
    until(lambda: ctl_ok(node, "elect", "list", "w").count(b"waits") == 1, "b waits", 30)
    expect(ctl_ok(node, "elect", "leader", "w") == b"value of a\n", "the leader's value")
    check(node, [(["elect", "w", "x", "--try", "--", "true"], 5, b"", complaint("elect /elections/w: .*"))])
    end(a)
    expect(int(b.lines(1, 30)[0].split()[-1]) > first, "a later epoch")
    expect(leader(node) == "b", "b leads")
    end(b)
    told = [json.loads(line)["leader"] for line in observer.lines(3, 30)]
    names = [l and l["name"] for l in told if l is not None]
    expect(names == ["a", "b"], "each change, once: %r" % told)
    observer.send_signal(signal.SIGINT)
    expect(observer.wait(30) == 130, "SIGINT is 130: " + observer.complained())


def test_a_program_runs_while_one_leads_and_is_ended_with_it(scratch):
    node = one(scratch)
    program = Ctl(scratch, node, "elect", "w", "v", "--name", "a", "--", "sh", "-c",
                  'echo "$COORD_ELECTION $COORD_ELECTION_EPOCH"; exec sleep 300')
    expect(program.lines(1, 30)[0].startswith("/elections/w "), program.printed())
    b = candidate(scratch, node, "b")
    until(lambda: ctl_ok(node, "elect", "list", "w").count(b"waits") == 1, "b waits", 30)
    ctl_ok(node, "elect", "hand-over", "w", "b")
    expect(program.wait(30) == 3 and "lost" in program.complained(), "it is ended: " + program.complained())
    b.lines(1, 30)
    expect(leader(node) == "b", "b leads")
    ctl_ok(node, "elect", "resign", "w")
    expect(b.wait(30) == 3, "who was withdrawn ends: " + b.complained())
    check(node, [(["elect", "hand-over", "w", "nobody"], 3, b"", complaint("elect hand-over .*")),
                 (["elect", "w", "v", "--", os.path.abspath(COORDCTL), "create", "/made"], 0, b"/made\n")])


def test_leaders_survive_the_death_of_servers(scratch):
    cluster = Cluster(scratch).start()
    server = cluster.leader()
    others = [node for node in cluster.nodes if node is not server]
    endpoints = ",".join(node.endpoint for node in [server] + others)
    observer = Ctl(scratch, endpoints, "elect", "observe", "w")
    a = candidate(scratch, endpoints, "a")
    a.lines(1, 30)
    b = candidate(scratch, endpoints, "b")
    until(lambda: ctl_ok(others[0], "elect", "list", "w").count(b"waits") == 1, "b waits", 30)
    server.kill()
    until(lambda: ctl(others[0], "sync")[0] == 0, "another server leads", 30)
    expect(leader(others[0]) == "a" and a.process.poll() is None, "a goes on: " + a.complained())
    a.process.kill()
    b.lines(1, 60)
    until(lambda: "b leads" in observer.printed(), "who observes is told, elsewhere", 60)
    end(b)


def test_an_observer_leaves_a_server_that_falls_silent(scratch):
    cluster = Cluster(scratch).start()
    silent, other = cluster.followers()
    observer = Ctl(scratch, "%s,%s" % (silent.endpoint, other.endpoint), "elect", "observe", "w", "-o", "yaml")
    a = candidate(scratch, other, "a")
    until(lambda: 'value: "value of a"' in observer.printed(), "a leads: " + observer.printed(), 30)
    silent.send_signal(signal.SIGSTOP)
    end(a)
    b = candidate(scratch, other, "b")
    b.lines(1, 30)
    until(lambda: 'value: "value of b"' in observer.printed(), "it is told elsewhere", 60)
    silent.send_signal(signal.SIGCONT)
    end(b)


def test_who_observes_is_told_once_that_nobody_answers(scratch):
    node = Node(scratch)
    observer = Ctl(scratch, node, "elect", "observe", "w")
    until(lambda: "trying on" in observer.complained(), "the outage is told", 30)
    node.start()
    until(lambda: "nobody leads" in observer.printed(), "it goes on", 60)
    until(lambda: "connected again" in observer.complained(), "and that is told", 30)
    expect(observer.complained().count("\n") == 2, "each once: " + observer.complained())
    observer.send_signal(signal.SIGINT)
    expect(observer.wait(30) == 130, observer.complained())


if __name__ == "__main__":
    main(globals())
