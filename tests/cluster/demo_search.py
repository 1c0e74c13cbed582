#!/usr/bin/env python3
"""A search cluster on a shard map: six nodes and three members, of which some are killed while documents
are written and looked for. Run it by itself (make demo-search) to see what happens."""
import json
import math
import subprocess
import threading
import time

from examples import built, library_path
from harness import COORDCTL, Cluster, Program, clean_environment, ctl_ok, expect, free_port, main, until

MAP = "/search/docs"
SHARDS, REPLICAS, NODES = 12, 2, 6
DOCUMENTS = 2000
BUSY = 120  # seconds; the machine may have other things to do


def say(text):
    print("   " + text, flush=True)


class Asker:
    """A search_query that goes on: lines in, answers out."""

    def __init__(self, program, endpoints):
        self.process = subprocess.Popen([program, MAP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**clean_environment(), "COORD_ENDPOINTS": endpoints,
                                             "LD_LIBRARY_PATH": library_path()})

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        expect(answer != "", "search_query has ended")
        return answer.strip()

    def end(self):
        self.process.stdin.close()
        self.process.wait(BUSY)


class Traffic(threading.Thread):
    """Writes and looks up without a pause; what was accepted must be found, always."""

    def __init__(self, asker):
        super().__init__(daemon=True)
        self.asker, self.must_end, self.problem = asker, False, None
        self.accepted, self.looked_up, self.longest = [], 0, 0.0

    def run(self):
        number = 0
        try:
            while not self.must_end:
                begin = time.monotonic()
                key = "live-%d" % number
                answer = self.asker.ask("PUT %s text of %s" % (key, key))
                if answer == "OK":
                    self.accepted.append(key)
                else:
                    self.problem = self.problem or "PUT %s: %s" % (key, answer)
                old = "document-%d" % (number * 37 % DOCUMENTS)
                answer = self.asker.ask("GET " + old)
                if answer != "FOUND text of " + old:
                    self.problem = self.problem or "GET %s: %s" % (old, answer)
                self.looked_up += 1
                self.longest = max(self.longest, time.monotonic() - begin)
                number += 1
        except Exception as error:  # told by the main thread
            self.problem = str(error)


def assignment(cluster):
    status = json.loads(ctl_ok(cluster.endpoints, "shard", "status", MAP, "-o", "json"))
    return status["shards"], status


def replicas(cluster):
    return {s["shard"]: set(s["replicas"]) for s in assignment(cluster)[0]}


def is_whole(cluster, without=None):
    shards, status = assignment(cluster)
    return status["moves"] == 0 and all(s["state"] == "ok" and len(s["replicas"]) == REPLICAS and
                                        without not in s["replicas"] for s in shards)


def check_all_found(asker, keys):
    for key in keys:
        answer = asker.ask("GET " + key)
        expect(answer == "FOUND text of " + key, "%s: %s" % (key, answer))


def check_accepted(lines):
    """Each write that coord let through, in its order: no epoch has two nodes, and none comes after a later one."""
    leaders, last, count = {}, {}, 0
    for line in lines:
        event = json.loads(line)
        value = event.get("value", event.get("data", ""))
        if not isinstance(value, str) or len(value.split()) != 3:
            continue
        epoch, node = int(value.split()[0]), value.split()[1]
        shard = event["path"]
        expect(leaders.setdefault((shard, epoch), node) == node, "two nodes wrote for %s in %d" % (shard, epoch))
        expect(epoch >= last.get(shard, 0), "%s: %d was accepted after %d" % (shard, epoch, last.get(shard, 0)))
        last[shard] = epoch
        count += 1
    return count, len(leaders)


def test_answers_stay_complete_and_moves_are_few(scratch):
    shard_program, query_program = built(scratch, "search_shard"), built(scratch, "search_query")
    cluster = Cluster(scratch).start()
    endpoints = cluster.endpoints
    nodes = {}

    def start(name):
        nodes[name] = Program(scratch, shard_program, MAP, name, str(free_port()), COORD_ENDPOINTS=endpoints,
                              LD_LIBRARY_PATH=library_path())

    ctl_ok(endpoints, "shard", "create", MAP, "shards=%d" % SHARDS, "slots=1024", "replicas=%d" % REPLICAS,
           "concurrent=4", "lost_after=2s")
    ctl_ok(endpoints, "create", "/accepted", "")
    for i in range(SHARDS):
        ctl_ok(endpoints, "create", "/accepted/%d" % i, "")
    accepted = Program(scratch, COORDCTL, "watch", "/accepted", "--recursive", "-o", "jsonl",
                       COORD_ENDPOINTS=endpoints)
    for i in range(1, NODES + 1):
        start("n%d" % i)
    until(lambda: len(assignment(cluster)[1]["nodes"]) == NODES, "all nodes have joined", BUSY)
    ctl_ok(endpoints, "shard", "apply", MAP, "repair")
    ctl_ok(endpoints, "shard", "configure", MAP, "automatic=balance")
    until(lambda: is_whole(cluster), "every shard has its replicas", BUSY)
    say("%d shards of %d replicas are on %d nodes" % (SHARDS, REPLICAS, NODES))

    asker = Asker(query_program, endpoints)
    documents = ["document-%d" % i for i in range(DOCUMENTS)]
    for key in documents:
        answer = asker.ask("PUT %s text of %s" % (key, key))
        expect(answer == "OK", "%s: %s" % (key, answer))
    check_all_found(asker, documents)
    say("%d documents are written and found" % DOCUMENTS)

    traffic = Traffic(Asker(query_program, endpoints))
    traffic.start()
    before = replicas(cluster)
    led = {s["shard"] for s in assignment(cluster)[0] if s["leader"] == "n3"}
    began = time.monotonic()
    nodes["n3"].process.kill()
    until(lambda: all(s["leader"] not in ("", "n3") for s in assignment(cluster)[0]), "others lead", BUSY)
    say("n3 is killed; its %d shards are led by others after %.1f s" % (len(led), time.monotonic() - began))
    leader = until(cluster.leader, "a member leads", BUSY)
    leader.kill()
    say("%s, which led the members, is killed" % leader.name)
    until(lambda: is_whole(cluster, "n3"), "what n3 had is elsewhere", BUSY)
    after = replicas(cluster)
    for shard, had in before.items():
        expect(had - {"n3"} <= after[shard], "shard %d: %s, then %s: more has moved than n3 had" %
               (shard, had, after[shard]))
        expect("n3" in had or had == after[shard], "shard %d has moved without a reason" % shard)
    say("its %d replicas are made anew, and nothing else has moved" % sum("n3" in had for had in before.values()))
    leader.start()

    before = after
    start("n7")
    most = math.ceil(SHARDS * REPLICAS / NODES)
    until(lambda: any("n7" in s["replicas"] for s in assignment(cluster)[0]), "n7 is given something", BUSY)
    until(lambda: is_whole(cluster, "n3"), "all moves are over", BUSY)
    after = replicas(cluster)
    moved = 0
    for shard, had in before.items():
        expect(after[shard] - had <= {"n7"}, "shard %d: %s, then %s" % (shard, had, after[shard]))
        moved += len(after[shard] - had)
    expect(0 < moved <= most, "%d replicas have moved to n7, at most %d should" % (moved, most))
    say("n7 has joined and got %d replicas, of %d that it may get; nothing else has moved" % (moved, most))

    traffic.must_end = True
    traffic.join(BUSY)
    expect(traffic.problem is None, traffic.problem)
    check_all_found(asker, documents + traffic.accepted)
    say("all %d documents are found; %d were written and %d looked up meanwhile, the longest wait was %.1f s" %
        (DOCUMENTS + len(traffic.accepted), len(traffic.accepted), traffic.looked_up, traffic.longest))
    wanted = DOCUMENTS + len(traffic.accepted)
    until(lambda: check_accepted(accepted.printed().splitlines())[0] >= wanted, "the watch has told of all writes", BUSY)
    count, epochs = check_accepted(accepted.printed().splitlines())
    say("%d writes under %d epochs: no two nodes under one, none under an older one than before" % (count, epochs))
    asker.end()


if __name__ == "__main__":
    main(globals())
