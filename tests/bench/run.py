#!/usr/bin/env python3
"""What coord does on this machine: throughput, latency, watches, sessions, memory, failover. JSON
lines.

    tests/bench/run.py [disk|throughput|watch|session|lock|memory|million|failover|handover|backup ...]

Durability is the default one (a real fdatasync on every member of the majority). Numbers compare
only within one run: the disk's own rate is the first line.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
import harness  # noqa: E402
import process_figures  # noqa: E402
from failover import kill_leaders  # noqa: E402
from peers_servers import Coord  # noqa: E402

TOOLS = harness.BUILD + "/tests/bench/"
SECONDS = os.environ.get("BENCH_SECONDS", "5")


def show(**line):
    print(json.dumps(line), flush=True)


def rss_mib(node):
    return process_figures.rss_mib(node.process.pid)


def bench(nodes, endpoint, work, label, *arguments):
    """One run of coordctl bench; its counts must agree with the revision, and nothing be refused."""
    done = subprocess.run([harness.COORDCTL, "--endpoints", endpoint, "bench", work, "-o", "json",
                           "--processes", ",".join(str(node.process.pid) for node in nodes),
                           "--duration", SECONDS, *arguments],
                          stdout=subprocess.PIPE, check=False, env=harness.clean_environment())
    if done.returncode != 0:
        raise harness.Failure("coordctl bench ended with %d" % done.returncode)
    result = json.loads(done.stdout)
    harness.expect(result["revision_rise"] in (None, result["writes"]), "every write is there, once")
    show(bench=label, **result)
    return result


def disk(scratch):
    tool = TOOLS + "wal_bench"
    if os.path.exists(tool):
        subprocess.run([tool], cwd=scratch, check=True)


def throughput(scratch):
    for size in (1, 3):
        if size == 1:
            node = harness.Node(scratch, "single").start()
            harness.until(node.is_ready, "ready")
            nodes = [node]
        else:
            cluster = harness.Cluster(scratch).start()
            nodes = cluster.nodes
            node = cluster.leader()
        label = "%d nodes" % size
        for connections, in_flight in (("1", "1"), ("8", "8"), ("16", "64")):
            bench(nodes, node.endpoint, "write", label, "-c", connections, "--in-flight", in_flight)
        for connections, in_flight in (("1", "1"), ("16", "64")):
            bench(nodes, node.endpoint, "read", label, "-c", connections, "--in-flight", in_flight)
        bench(nodes, node.endpoint, "read", label, "-c", "16", "--in-flight", "64", "--consistency", "local")
        for work in ("write", "read"):
            bench(nodes, node.endpoint, work, label, "--protocol", "zookeeper")
        if size == 3:
            follower = [n for n in nodes if n is not node][0]
            for work in ("write", "read"):
                bench(nodes, follower.endpoint, work, "3 nodes, through a follower", "-c", "1", "--in-flight", "1")
            cluster.converge()
        for n in nodes:
            n.kill()


def tool(name, **options):
    arguments = [TOOLS + name]
    for key, value in options.items():
        arguments += ["--" + key.replace("_", "-"), str(value)]
    if subprocess.run(arguments, check=False).returncode != 0:
        raise harness.Failure("%s failed" % name)


def watch(scratch):
    """One change to 1,000 watches on 100 connections; the memory of 100,000 idle ones. First the
    hub by itself."""
    tool("watch_hub")
    cluster = harness.Cluster(scratch).start()
    leader = cluster.leader()
    follower = [n for n in cluster.nodes if n is not leader][0]
    for node in (leader, follower):
        tool("watch_load", endpoints=node.endpoint, mode="fanout", watches=1000, connections=100)
    tool("watch_load", endpoints=follower.endpoint, mode="idle", watches=100000, connections=100,
         pid=follower.process.pid)
    for n in cluster.nodes:
        n.kill()


def session(scratch):
    cluster = harness.Cluster(scratch).start()
    leader = cluster.leader()
    tool("session_load", endpoints=leader.endpoint, sessions=100000, connections=16,
         in_flight=1024, seconds=SECONDS, pid=leader.process.pid)
    cluster.converge()
    for n in cluster.nodes:
        n.kill()


def pairs(work, nodes, endpoint, label, *arguments):
    """One run of coordctl bench lock or elect: no pair is counted that the revision does not show."""
    done = subprocess.run([harness.COORDCTL, "--endpoints", endpoint, "bench", work, "-o", "json",
                           "--processes", ",".join(str(node.process.pid) for node in nodes),
                           "--duration", SECONDS, *arguments],
                          stdout=subprocess.PIPE, check=False, env=harness.clean_environment())
    harness.expect(done.returncode == 0, "coordctl bench %s ends with %d" % (work, done.returncode))
    result = json.loads(done.stdout)
    harness.expect(result["acknowledged"] > 0 and result["revision_rise"] >= result["writes"],
                   "both halves of every pair are in the log")
    result["pairs_per_s"] = result.pop("ops_per_s")
    show(bench=label, **result)
    return result


def take_turns(scratch, work, things):
    """Pairs over 1,000 of these `things`, and one that 100 clients wait for: what a hand-over takes, beside a round
    trip (a local read) and a round trip with a commit (a write) of a cluster that does nothing else."""
    cluster = harness.Cluster(scratch).start()
    leader = cluster.leader()
    follower = [n for n in cluster.nodes if n is not leader][0]
    alone = ("-c", "1", "--in-flight", "1")
    trip = bench(cluster.nodes, leader.endpoint, "read", "one round trip", "--consistency", "local", *alone)
    write = bench(cluster.nodes, leader.endpoint, "write", "one round trip and commit", *alone)

    def measure(node, label, count, *load):
        return pairs(work, cluster.nodes, node.endpoint, label, "--" + things, count, *load)

    measure(leader, "one client, 1,000 " + things, "1000", *alone)
    many = measure(leader, "1,000 " + things, "1000", "-c", "16", "--in-flight", "32")
    for node, label in ((leader, "leader"), (follower, "follower")):
        one = measure(node, "one %s, 100 clients, at a %s" % (things[:-1], label), "1", "-c", "4", "--in-flight", "25")
        show(bench="hand-over at a " + label, of=work, hand_over_p50_us=one["hand_over"]["p50_us"],
             round_trip_p50_us=trip["latency"]["p50_us"], write_p50_us=write["latency"]["p50_us"],
             two_trips_and_commit_us=trip["latency"]["p50_us"] + write["latency"]["p50_us"])
    for node in cluster.nodes:
        node.kill()
    # What two cores could do if nobody else had them: a busy machine changes that far less.
    cpu_us = many["server_cpu_us_per_op"] + many["client_cpu_us_per_op"]
    return {"pairs_per_s": round(many["pairs_per_s"]), "cpu_us_per_pair": round(cpu_us, 1),
            "pairs_per_s_of_two_cores": round(2e6 / cpu_us)}


def lock(scratch):
    """Pairs of acquire and release."""
    show(bench="lock pairs", goal_per_s=20000, **take_turns(scratch, "lock", "locks"))


def elect(scratch):
    """Pairs of campaign and resign; the hand-over is from a resignation to the next leader."""
    show(bench="election pairs", **take_turns(scratch, "elect", "elections"))


def memory(scratch):
    cluster = harness.Cluster(scratch).start()
    cluster.leader()
    show(bench="rss idle", nodes=3, rss_mib=[rss_mib(n) for n in cluster.nodes])
    for n in cluster.nodes:
        n.kill()
    node = harness.Node(scratch, "million").start()
    harness.until(node.is_ready, "ready")
    show(bench="rss idle", nodes=1, rss_mib=rss_mib(node))
    bench([node], node.endpoint, "fill", "1,000,000 znodes of 256 bytes", "--path", "/bench", "--keys", "1000000",
          "--value-size", "256", "--in-flight", "64")
    show(bench="rss at 1,000,000 znodes", rss_mib=rss_mib(node),
         state_mib=round(node.status()["state_bytes"] / 1048576, 1))
    node.kill()


def metric(node, series):
    """The value of one series, as it is named in /metrics."""
    for line in node.http("/metrics")[1].splitlines():
        if line.startswith(series + " "):
            return float(line.rsplit(" ", 1)[1])
    raise harness.Failure("no " + series)


def turns(node):
    """Turns of the loop so far, and how many of them took no more than 5 ms."""
    return [metric(node, "coord_loop_turn_seconds_count"),
            metric(node, 'coord_loop_turn_seconds_bucket{le="0.005"}')]


def writes(nodes, leader, label):
    """The p99 of writes by eight connections; and the turns of the leader's loop meanwhile."""
    before = turns(leader)
    result = sets(nodes, leader, label, "1")
    count, short = [after - was for was, after in zip(before, turns(leader))]
    show(bench="turns of the leader's loop", label=label, turns=int(count), above_5_ms=int(count - short),
         longest_ms=round(metric(leader, "coord_loop_longest_turn_microseconds") / 1000, 1))
    return result["latency"]["p99_us"]


def sets(nodes, leader, label, in_flight):
    return bench(nodes, leader.endpoint, "write", label, "-c", "8", "--in-flight", in_flight, "--path", "/bench",
                 "--keep", "--value-size", "256")


def million(scratch):
    """Nodes of 256 bytes on three members: memory; what writes notice of a snapshot that is taken and saved,
    and of a follower that lags behind the log and fetches one; the time of a restart."""
    keys = int(os.environ.get("BENCH_NODES", "1000000"))
    cluster = harness.Cluster(scratch).start()
    leader = cluster.leader()
    follower = [n for n in cluster.nodes if n is not leader][0]
    path = os.path.join(scratch, "saved.db")
    bench(cluster.nodes, leader.endpoint, "fill", "%d znodes of 256 bytes" % keys, "--path", "/bench", "--keys",
          str(keys), "--value-size", "256", "--in-flight", "64")
    save(leader, path)
    show(bench="memory", nodes=keys, rss_mib=[rss_mib(n) for n in cluster.nodes],
         **{what: round(metric(leader, series) / 1048576, 1) for what, series in
            (("state_mib", "coord_store_bytes"), ("change_log_mib", "coord_history_bytes"),
             ("cached_log_mib", "coord_raft_cached_bytes"))})
    quiet = [writes(cluster.nodes, leader, "undisturbed")]
    saved = []
    took = saves_meanwhile(leader, path, lambda: saved.append(
        writes(cluster.nodes, leader, "while the leader is saved")))
    show(bench="snapshot save of the leader", saves=len(took), median_seconds=round(statistics.median(took), 2))
    quiet.append(writes(cluster.nodes, leader, "undisturbed"))
    caught_up = lag(cluster, leader, follower, path)
    quiet.append(writes(cluster.nodes, leader, "undisturbed"))
    show(bench="p99 of writes", undisturbed_us=quiet, while_saved_us=saved[0], while_catching_up_us=caught_up)
    restart(leader, keys)
    for node in cluster.nodes:
        node.kill()


def lag(cluster, leader, follower, path):
    """The p99 of writes while a follower comes back whose entries are no longer in the leader's log."""
    rest = [n for n in cluster.nodes if n is not follower]
    follower.kill()
    sets(rest, leader, "without a follower", "64")
    save(leader, path)
    begin = time.monotonic()
    follower.start(wait=False)
    back = []
    thread = threading.Thread(target=lambda: back.append(
        harness.until(follower.is_ready, "the follower is back", 300) and time.monotonic() - begin))
    thread.start()
    p99 = writes(cluster.nodes, leader, "while a follower catches up")
    thread.join()
    show(bench="catch-up", seconds=round(back[0], 2),
         snapshots=int(metric(follower, "coord_snapshots_received_total")))
    cluster.converge(seconds=120)
    return p99


def restart(node, keys):
    """From its process's start, on the data it has, until a member serves."""
    node.kill()
    begin = time.monotonic()
    node.start(wait=False)
    harness.until(node.is_ready, "it serves", 300)
    show(bench="restart", nodes=keys, seconds=round(time.monotonic() - begin, 2),
         cpu_seconds=round(process_figures.cpu_s(node.process.pid), 2), rss_mib=rss_mib(node))


def failover(scratch):
    cluster = Coord(scratch)
    cluster.start()
    gaps = kill_leaders(cluster, "grpc", int(os.environ.get("BENCH_FAILOVERS", "20")))
    show(bench="kill -9 of the leader to the next acknowledged write", rounds=len(gaps),
         median_ms=statistics.median(gaps), min_ms=min(gaps), max_ms=max(gaps))


HANDOVER_CLIENTS = 8


def gap_begin(endpoints, path):
    """A client that writes and measures, once writes flow."""
    gap = subprocess.Popen([TOOLS + "gap", endpoints, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    harness.expect(gap.stdout.readline().strip() == "ready", "writes flow")
    return gap


def gap_end(gap):
    """The longest time between two of its acknowledged writes, in ms."""
    gap.stdin.close()
    result = json.loads(gap.stdout.read())
    gap.wait()
    harness.expect(result["failed"] == 0, "a write failed: %r" % result)
    return result["longest_gap_ms"]


def quiet(nodes):
    """Nothing to do with leaders, for as long as a hand-over may take: what the machine alone does."""
    begin = nodes[0].status()["applied_index"]
    harness.until(lambda: nodes[0].status()["applied_index"] > begin + 100, "writes go on")


def handover(scratch):
    """Planned changes of the leader: by command, and by SIGTERM, seen by a client of another member and by
    one of the leader that ends. First the same without any, which is the noise of this machine."""
    rounds = int(os.environ.get("BENCH_HANDOVERS", "20"))
    cluster = harness.Cluster(scratch).start()

    def transfer(leader, rest):
        code, _, error = harness.ctl(leader, "member", "transfer")
        harness.expect(code == 0, error)
        harness.until(lambda: any(n.status()["role"] == "leader" for n in rest), "a new leader")
        quiet(rest)

    def stop(leader, rest):
        leader.terminate()
        harness.until(lambda: any(n.status()["role"] == "leader" for n in rest), "a new leader")
        quiet(rest)

    for busy in (False, True):
        others = [gap_begin(cluster.endpoints, "/bench/other-%d" % i) for i in range(HANDOVER_CLIENTS if busy else 0)]
        for label, act, own in (("none", lambda leader, rest: quiet(rest), False), ("member transfer", transfer, False),
                                ("SIGTERM, client elsewhere", stop, False), ("SIGTERM, own client", stop, True)):
            gaps = []
            for _ in range(rounds):
                leader = cluster.leader()
                rest = [n for n in cluster.nodes if n is not leader]
                first = [leader] if own else []
                gap = gap_begin(",".join(n.endpoint for n in first + rest), "/bench/gap")
                act(leader, rest)
                gaps.append(gap_end(gap))
                if not leader.is_running():
                    leader.start()
                    harness.until(leader.is_ready, "back")
            gaps.sort()
            show(bench="hand-over", by=label, other_clients=len(others), rounds=rounds, median_ms=statistics.median(gaps),
                 p90_ms=gaps[rounds * 9 // 10], p99_ms=gaps[rounds * 99 // 100], max_ms=gaps[-1])
        for other in others:
            gap_end(other)


def save(node, path):
    """Seconds and bytes of one save."""
    begin = time.monotonic()
    code, out, error = harness.ctl(node, "snapshot", "save", path, "--force", "-o", "json", timeout=600)
    harness.expect(code == 0, error)
    return time.monotonic() - begin, json.loads(out)["bytes"]


def saves_meanwhile(node, path, work):
    """Saves one snapshot after the other while `work` runs; what the saves took."""
    took, over = [], threading.Event()

    def go_on():
        while not over.is_set():
            took.append(save(node, path)[0])
    thread = threading.Thread(target=go_on)
    thread.start()
    work()
    over.set()
    thread.join()
    return took


def backup(scratch):
    """How long a save takes, and what writes notice of one: sets without a save, while a follower is
    saved again and again, and while the leader is."""
    for nodes in os.environ.get("BENCH_BACKUP_NODES", "100000,1000000").split(","):
        count = int(nodes)
        os.mkdir(os.path.join(scratch, nodes))
        cluster = harness.Cluster(os.path.join(scratch, nodes), size=3 if count <= 200000 else 1).start()
        leader = cluster.leader()
        path = os.path.join(scratch, nodes + ".db")
        bench(cluster.nodes, leader.endpoint, "fill", "%d znodes of 256 bytes" % count, "--path", "/bench", "--keys",
              nodes, "--value-size", "256")

        def sets(label):
            bench(cluster.nodes, leader.endpoint, "write", label, "-c", "8", "--in-flight", "1", "--path", "/bench",
                  "--keep", "--value-size", "256")
        sets("no save")
        for name, node in [("a follower", n) for n in cluster.nodes if n is not leader][:1] + [("the leader", leader)]:
            seconds, size = save(node, path)
            show(bench="snapshot save, idle, of " + name, nodes=count, seconds=round(seconds, 2),
                 mib=round(size / 1048576, 1), mib_per_s=round(size / 1048576 / seconds, 1))
            took = saves_meanwhile(node, path, lambda name=name: sets("while %s is saved" % name))
            show(bench="snapshot save, under these writes, of " + name, nodes=count, saves=len(took),
                 median_seconds=round(statistics.median(took), 2))
        sets("no save")
        for node in cluster.nodes:
            node.kill()
        restore_one(scratch, path, count)


def restore_one(scratch, path, count):
    """From a file to a node that answers."""
    node = harness.Node(scratch, "restored-%d" % count)
    begin = time.monotonic()
    done = subprocess.run([harness.COORDD, "restore", "--from", path, "--data-dir", node.data_dir, "--name", node.name],
                          stdout=subprocess.PIPE, check=False)
    harness.expect(done.returncode == 0, "restore ended with %d" % done.returncode)
    restored = time.monotonic()
    node.start(wait=False)
    harness.until(node.is_ready, "it serves", 300)
    show(bench="restore", nodes=count, restore_seconds=round(restored - begin, 2),
         start_seconds=round(time.monotonic() - restored, 2))
    node.kill()


def main():
    parts = {"disk": disk, "throughput": throughput, "watch": watch, "session": session, "lock": lock,
             "elect": elect, "memory": memory, "million": million, "failover": failover,
             "handover": handover, "backup": backup}
    show(machine=os.uname().machine, cores=os.cpu_count(), kernel=os.uname().release)
    for name in sys.argv[1:] or list(parts):
        with tempfile.TemporaryDirectory(prefix="coord-bench-") as scratch:
            try:
                parts[name](scratch)
            finally:
                harness._end_all()


if __name__ == "__main__":
    main()
