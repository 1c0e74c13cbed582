#!/usr/bin/env python3
"""coord, etcd and ZooKeeper side by side: three nodes each on this machine, the same load, in turn.

    tests/bench/peers.py [--quick] [--out FOLDER] [PART ...]

Parts: idle, throughput, latency, failover, disturbed, million. QUICK=1 is --quick: fewer and shorter
rounds, and not the million. A part that fails says why, and the others go on; the exit code is 1 then.

Every server runs with its defaults and real fsyncs, its data on one and the same file system; what had
to be set is in the constants below. All three clusters are up at a time, for a JVM that was restarted
is a cold one; rounds alternate (coord, peer, coord, peer, ...), and a ratio is that of one round. The
load is `coordctl bench`, which speaks all three protocols, looks at every answer, and compares how far
the server's revision rose with the writes that were acknowledged; h2load repeats the gRPC rows.

Writes results.json, the plot and the table into FOLDER, build/peers unless named, after each part anew.
With docs/performance as FOLDER both also go into docs/performance.md, between its marks.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cluster"))
import harness  # noqa: E402
import peers_report  # noqa: E402
from failover import gap_while, kill_leaders, summary  # noqa: E402
from process_figures import rss_mib  # noqa: E402
from peers_servers import Coord, Etcd, ZooKeeper, ZOOKEEPER_PACKAGE, java_version, package_version  # noqa: E402


class Bench:
    """The clusters, and what was measured so far."""

    def __init__(self, scratch, quick):
        self.scratch = scratch
        self.quick = quick
        self.rounds = 3 if quick else 4
        self.seconds = 3 if quick else 6
        self.rows = []
        self.figures = {}
        self.coord = Coord(scratch)
        self.etcd = Etcd(scratch)
        self.zookeeper = ZooKeeper(scratch)
        self.failed = {}
        self.seconds_of = {}

    def start(self, clusters):
        """Those of them that do not run yet."""
        for cluster in clusters:
            if not any(map(cluster.is_up, range(3))):
                cluster.start()

    def load(self, cluster, protocol, work, *arguments, endpoints=None, seconds=None, warm_up="1s"):
        """One run of coordctl bench, with nothing refused and every write in the server's revision."""
        command = [harness.COORDCTL, "--endpoints", endpoints or cluster.endpoints(), "bench", work, "--protocol",
                   protocol, "--processes", ",".join(map(str, cluster.pids())), "--duration",
                   "%gs" % (seconds or self.seconds), "--warm-up", warm_up, "-o", "json", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=harness.clean_environment())
        harness.expect(done.returncode == 0, "%s ended with %d" % (" ".join(command), done.returncode))
        result = json.loads(done.stdout)
        if work in ("write", "read"):
            harness.expect(result["revision_rise"] == result["writes"],
                           "%s: %d writes acknowledged, revision rose by %d" %
                           (cluster.name, result["writes"], result["revision_rise"]))
        return result

    def note(self, name, goal, better, pairs, unit="/s", figure=lambda r: r):
        """A row: pairs of (coord, peer) by round. `better` says whether the ratio should be high."""
        ours = [figure(a) for a, _ in pairs]
        theirs = [figure(b) for _, b in pairs]
        ratios = [a / b for a, b in zip(ours, theirs)]
        self.rows.append({"name": name, "goal": goal, "higher_is_better": better, "unit": unit, "coord": ours,
                          "peer": theirs, "ratios": ratios})
        print("%-62s coord %.4g, peer %.4g %s, ratio %.2f (%.2f to %.2f), goal %s %g" %
              (name, statistics.median(ours), statistics.median(theirs), unit, statistics.median(ratios),
               min(ratios), max(ratios), ">=" if better else "<=", goal), flush=True)

    def note_alone(self, name, goal, values, unit, better=False):
        """A row without a peer, or whose goal is absolute."""
        self.rows.append({"name": name, "goal": goal, "higher_is_better": better, "unit": unit, "coord": values})
        print("%-62s coord %.4g %s (%.4g to %.4g), goal %s %g" %
              (name, statistics.median(values), unit, min(values), max(values), ">=" if better else "<=", goal),
              flush=True)


# ---- throughput and CPU ----------------------------------------------------------------------------


def in_turn(bench, one, other):
    """A first pair for the JVM's and the caches' sake, then the rounds that count."""
    one(), other()
    return [(one(), other()) for _ in range(bench.rounds)]


def throughput(bench):
    wide = ["-c", "64", "--in-flight", "16"]
    read = ["-c", "16", "--in-flight", "16"]

    def ops(result):
        return result["ops_per_s"]

    def cpu(result):
        return result["server_cpu_us_per_op"]

    warm_up_zookeeper(bench)
    pairs = in_turn(bench, lambda: bench.load(bench.coord, "zookeeper", "write", *wide),
                    lambda: bench.load(bench.zookeeper, "zookeeper", "write", *wide))
    bench.note("writes, 64 x 16, ZooKeeper's protocol, to ZooKeeper", 4, True, pairs, figure=ops)
    bench.note("server CPU per write, all nodes, to ZooKeeper", 0.3, False, pairs, "us", cpu)
    pairs = in_turn(bench, lambda: bench.load(bench.coord, "grpc", "write", *wide),
                    lambda: bench.load(bench.etcd, "etcd", "write", *wide))
    bench.note("writes, 64 x 16, gRPC, to etcd", 3, True, pairs, figure=ops)
    bench.note("server CPU per write, all nodes, to etcd", 0.3, False, pairs, "us", cpu)
    pairs = in_turn(bench, lambda: bench.load(bench.coord, "zookeeper", "read", *read),
                    lambda: bench.load(bench.zookeeper, "zookeeper", "read", *read))
    bench.note("reads, 16 x 16, ZooKeeper's protocol, to ZooKeeper", 4, True, pairs, figure=ops)
    pairs = in_turn(bench, lambda: bench.load(bench.coord, "grpc", "read", *read),
                    lambda: bench.load(bench.etcd, "etcd", "read", *read))
    bench.note("linearizable reads, 16 x 16, gRPC, to etcd", 2, True, pairs, figure=ops)
    pairs = in_turn(bench, lambda: bench.load(bench.coord, "grpc", "read", *read),
                    lambda: bench.load(bench.coord, "grpc", "read", "--consistency", "local", *read))
    bench.note("linearizable reads, 16 x 16, gRPC, to our own local ones", 0.9, True, pairs, figure=ops)
    h2load_rows(bench)


def warm_up_zookeeper(bench):
    """A JVM compiles what is used often."""
    bench.load(bench.zookeeper, "zookeeper", "mixed", "--write-percent", "50", seconds=8 if bench.quick else 30)


def h2load(bench, cluster, path, messages, connections, streams, requests):
    """All endpoints at a time, a process and a message each. Requests a second, over all."""
    processes = []
    begin = time.monotonic()
    for i, endpoint in enumerate(cluster.endpoints().split(",")):
        data = os.path.join(bench.scratch, "message-%d" % i)
        with open(data, "wb") as out:
            out.write(b"\0" + len(messages[i]).to_bytes(4, "big") + messages[i])
        processes.append(subprocess.Popen(
            ["h2load", "-c", str(connections // 3), "-m", str(streams), "-n", str(requests // 3), "-d", data, "-H",
             "content-type: application/grpc", "-H", "te: trailers", "http://%s%s" % (endpoint, path)],
            stdout=subprocess.PIPE, text=True))
    good = size = 0
    for process in processes:
        text = process.communicate()[0]
        good += int(re.search(r"(\d+) succeeded", text).group(1))
        size += int(re.search(r"\((\d+)\) data", text).group(1))
    return {"ops_per_s": good / (time.monotonic() - begin), "good": good, "bytes": size}


def field(number, value):
    """Of a protobuf message: bytes of at most 127."""
    return bytes([number << 3 | 2, len(value)]) + value


def h2load_rows(bench):
    keys = [b"/h2load/%d" % i for i in range(3)]
    value = b"v" * 100
    for key in keys:
        harness.ctl(bench.coord.endpoints(), "create", key.decode(), "x" * 100, "--parents")

    def written(cluster, path, messages):
        begin = cluster.revision()
        result = h2load(bench, cluster, path, messages, 63, 16, 30000 if bench.quick else 90000)
        rise = cluster.revision() - begin
        harness.expect(rise == result["good"], "%s: %d writes answered, revision rose by %d" %
                       (cluster.name, result["good"], rise))
        return result

    def was_read(cluster, path, messages):
        result = h2load(bench, cluster, path, messages, 15, 16, 30000 if bench.quick else 60000)
        harness.expect(result["bytes"] >= 100 * result["good"], "%s: values came" % cluster.name)
        return result
    sets = [field(2, key) + field(3, value) for key in keys]
    puts = [field(1, key) + field(2, value) for key in keys]
    pairs = in_turn(bench, lambda: written(bench.coord, "/coord.v1.Tree/Set", sets),
                    lambda: written(bench.etcd, "/etcdserverpb.KV/Put", puts))
    bench.note("writes, 63 x 16, gRPC, to etcd, by h2load", 3, True, pairs, figure=lambda r: r["ops_per_s"])
    gets = [field(2, key) for key in keys]
    ranges = [field(1, key) for key in keys]
    pairs = in_turn(bench, lambda: was_read(bench.coord, "/coord.v1.Tree/Get", gets),
                    lambda: was_read(bench.etcd, "/etcdserverpb.KV/Range", ranges))
    bench.note("linearizable reads, 15 x 16, gRPC, to etcd, by h2load", 2, True, pairs,
               figure=lambda r: r["ops_per_s"])


# ---- one at a time ----------------------------------------------------------------------------------


def latency(bench):
    """One write at a time, spoken to the leader of each."""
    one = ["-c", "1", "--in-flight", "1", "--keys", "100"]

    def p50(result):
        return result["latency"]["p50_us"]
    warm_up_zookeeper(bench)
    pairs = in_turn(bench, lambda: bench.load(bench.coord, "zookeeper", "write", *one, endpoints=bench.coord.leader()),
                    lambda: bench.load(bench.zookeeper, "zookeeper", "write", *one,
                                       endpoints=bench.zookeeper.leader()))
    bench.note("one write at a time, p50, to ZooKeeper", 0.45, False, pairs, "us", p50)
    pairs = in_turn(bench, lambda: bench.load(bench.coord, "grpc", "write", *one, endpoints=bench.coord.leader()),
                    lambda: bench.load(bench.etcd, "etcd", "write", *one, endpoints=bench.etcd.leader()))
    bench.note("one write at a time, p50, to etcd", 0.45, False, pairs, "us", p50)


# ---- what is not under load -------------------------------------------------------------------------


def idle(bench):
    """Resident memory of clusters that nobody has spoken to yet."""
    del bench
    with tempfile.TemporaryDirectory(prefix="coord-peers-") as scratch:
        sizes = {}
        for kind in (Coord, Etcd, ZooKeeper):
            cluster = kind(scratch)
            cluster.start()
            settle(cluster)
            sizes[kind.name] = [rss_mib(pid) for pid in cluster.pids()]
            cluster.stop()
        return sizes


def settle(cluster):
    """Until the memory of its processes has not changed for two seconds."""
    last = []

    def is_steady():
        last.append([rss_mib(pid) for pid in cluster.pids()])
        return len(last) > 8 and last[-1] == last[-9] or len(last) > 60
    while not is_steady():
        time.sleep(0.25)


# ---- kill -9 and hand-over --------------------------------------------------------------------------


def failover(bench):
    rounds = {"coord": 10 if bench.quick else 100, "ZooKeeper": 2 if bench.quick else 10, "etcd": 2 if bench.quick else 10}
    gaps = {}
    for cluster, protocol in ((bench.coord, "grpc"), (bench.zookeeper, "zookeeper"), (bench.etcd, "etcd")):
        gaps[cluster.name] = kill_leaders(cluster, protocol, rounds[cluster.name])
        print("%-62s %s, %s" % ("kill -9 of the leader until the next write", cluster.name,
                                summary(gaps[cluster.name])), flush=True)
    bench.figures["kill -9 of the leader until the next acknowledged write, ms"] = gaps
    bench.note_alone("kill -9 of the leader, median until the next write", 250, [statistics.median(gaps["coord"])], "ms")
    bench.note_alone("kill -9 of the leader, worst of %d" % rounds["coord"], 600, [max(gaps["coord"])], "ms")
    handed = [gap_while(bench.coord, "grpc", bench.coord.hand_over, bench.coord.endpoints())
              for _ in range(5 if bench.quick else 20)]
    bench.note_alone("planned hand-over, longest pause of writes", 20, handed, "ms")


# ---- much data --------------------------------------------------------------------------------------


def stall_ms(cluster, scratch):
    """For how long the leader's loop does nothing else while its state is saved."""
    harness.until(lambda: cluster.longest_turn_ms() < 2, "the loop has had small turns for a while", 120)
    code, _, error = harness.ctl(cluster.leader(), "snapshot", "save", os.path.join(scratch, "save.db"), "--force",
                               timeout=300)
    harness.expect(code == 0, error)
    return cluster.longest_turn_ms()


def million(bench):
    """1,000,000 nodes of 256 bytes in each: memory, how long coord's loop stands still while they are saved, and
    how long each takes to serve again."""
    figures = {}
    fill = ["--path", "/million", "--keys", "1000000", "--value-size", "256", "--in-flight", "64"]
    for kind, protocol in ((Coord, "grpc"), (Etcd, "etcd"), (ZooKeeper, "zookeeper")):
        with tempfile.TemporaryDirectory(prefix="coord-peers-") as scratch:
            cluster = kind(scratch)
            cluster.start()
            result = bench.load(cluster, protocol, "fill", *fill)
            settle(cluster)
            figures[kind.name] = {"rss_mib": [rss_mib(pid) for pid in cluster.pids()],
                                  "creates_per_s": result["ops_per_s"]}
            if kind is Coord:
                figures[kind.name]["change_log_mib"] = cluster.change_logs_mib()
                figures[kind.name]["stall_ms"] = [stall_ms(cluster, scratch) for _ in range(5)]
            last = cluster.leader_index()
            cluster.kill(last)
            begin = time.monotonic()
            cluster.restart(last)
            figures[kind.name]["restart_s"] = time.monotonic() - begin
            cluster.stop()
    bench.figures["1,000,000 nodes of 256 bytes"] = figures
    coord = figures["coord"]
    bench.note_alone("1,000,000 nodes, RSS of the largest node, change log of %.0f MiB not counted" %
                     max(coord["change_log_mib"]), 400,
                     [max(a - b for a, b in zip(coord["rss_mib"], coord["change_log_mib"]))], "MiB")
    bench.note_alone("1,000,000 nodes, longest turn of the leader's loop while they are saved", 5, coord["stall_ms"],
                     "ms")
    bench.note_alone("1,000,000 nodes, restart to serving", 3, [figures["coord"]["restart_s"]], "s")


# ---- disturbances -----------------------------------------------------------------------------------


def disturbed(bench):
    """p99 of writes, undisturbed, while the leader's state is saved, and while a follower is caught up."""
    work = ["-c", "8", "--in-flight", "1"]

    def p99(**arguments):
        return bench.load(bench.coord, "grpc", "write", *work, **arguments)["latency"]["p99_us"]

    def saves(over):
        while not over.is_set():
            harness.ctl(bench.coord.leader(), "snapshot", "save", os.path.join(bench.scratch, "save.db"), "--force",
                        timeout=300)

    def while_saving():
        over = threading.Event()
        thread = threading.Thread(target=saves, args=(over,))
        thread.start()
        try:
            return p99()
        finally:
            over.set()
            thread.join()

    def while_catching_up():
        follower = next(i for i in range(3) if i != bench.coord.leader_index())
        bench.coord.kill(follower)
        bench.load(bench.coord, "grpc", "write", "-c", "16", "--in-flight", "64",
                   endpoints=bench.coord.endpoints(without=follower), seconds=bench.seconds)
        bench.coord.restart(follower, wait=False)
        value = p99(endpoints=bench.coord.endpoints(without=follower), warm_up="0")
        bench.coord.await_ready(follower)
        return value
    pairs = [(while_saving(), p99()) for _ in range(bench.rounds)]
    bench.note("p99 of writes while the leader is saved, to undisturbed", 2, False, pairs, "us")
    pairs = [(while_catching_up(), p99()) for _ in range(bench.rounds)]
    bench.note("p99 of writes while a follower catches up, to undisturbed", 2, False, pairs, "us")


def idle_part(bench):
    bench.figures["idle memory of each node, MiB"] = sizes = idle(bench)
    bench.note_alone("idle memory of a node", 12, [max(sizes["coord"])], "MiB")
    print("%-62s %s" % ("    the same", {k: v for k, v in sizes.items() if k != "coord"}), flush=True)


def with_all(part):
    """A part that speaks to all three at a time."""
    def run(bench):
        bench.start((bench.coord, bench.etcd, bench.zookeeper))
        part(bench)
    return run


def disturbed_part(bench):
    bench.start((bench.coord,))
    disturbed(bench)


def million_part(bench):
    for cluster in (bench.coord, bench.etcd, bench.zookeeper):
        cluster.stop()
    million(bench)


PARTS = {"idle": idle_part, "throughput": with_all(throughput), "latency": with_all(latency),
         "failover": with_all(failover), "disturbed": disturbed_part, "million": million_part}


def run_part(bench, name):
    """A part that fails takes none of the others' figures with it."""
    began = time.monotonic()
    try:
        PARTS[name](bench)
    except Exception as error:  # it may fail in any way
        bench.failed[name] = "%s: %s" % (type(error).__name__, error)
        traceback.print_exc()
        harness._end_all()  # the next part starts them again
    bench.seconds_of[name] = round(time.monotonic() - began)
    print("-- %s took %d s" % (name, bench.seconds_of[name]), flush=True)


def machine(folder):
    with open("/proc/cpuinfo", encoding="ascii") as info:
        model = next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    system = subprocess.run(["df", "--output=fstype", folder], stdout=subprocess.PIPE, check=True, text=True)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": memory, "kernel": os.uname().release,
            "file_system": system.stdout.split()[-1], "etcd": package_version("etcd-server"),
            "zookeeper": package_version(ZOOKEEPER_PACKAGE),
            "coord": subprocess.run([harness.COORDD, "--version"], stdout=subprocess.PIPE, check=True,
                                    text=True).stdout.strip(),
            "java": java_version(), "h2load": package_version("nghttp2-client")}


def command(options):
    return " ".join(["make bench-peers"] + (["QUICK=1"] if options.quick else []) +
                    (['PARTS="%s"' % " ".join(options.parts)] if options.parts else []))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK", "") not in ("", "0"))
    parser.add_argument("--out", default="build/peers")
    parser.add_argument("parts", nargs="*")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error("no part %s; there are: %s" % (" ".join(unknown), " ".join(PARTS)))
    wanted = options.parts or [part for part in PARTS if part != "million" or not options.quick]
    harness.PORTS = range(18000, 18400)
    with tempfile.TemporaryDirectory(prefix="coord-peers-") as scratch:
        where = machine(scratch)
        harness.expect(where["file_system"] not in ("tmpfs", "ramfs", "overlayfs"),
                       "TMPDIR is on %s, where an fsync is none: choose a disk" % where["file_system"])
        began = {"load_average": os.getloadavg(), "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}
        bench = Bench(scratch, options.quick)
        try:
            for part in wanted:
                run_part(bench, part)
                text = peers_report.write({
                    "machine": where, "began": began, "load_average_at_end": os.getloadavg(), "quick": options.quick,
                    "command": command(options), "rows": bench.rows, "figures": bench.figures,
                    "failed": bench.failed, "seconds": bench.seconds_of}, options.out)
        finally:
            harness._end_all()
    print("\n" + text, flush=True)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
