#!/usr/bin/env python3
"""Three nodes under varied load for hours: what grows that should not?

    tests/bench/soak.py [--hours H] [--cycle SECONDS] [--out FILE]

A cycle is a burst of each work (KINDS) with pauses between, so that the cluster sees load, idle times
and the change between them. Each cycle makes its nodes anew and deletes them, so the tree has the same size
after each. Then every member's memory, descriptors, threads and disk are noted, and all members must have the same
digest.

At the end: the slope of memory over the second half, in MiB an hour and in percent, as a straight line of least
squares; descriptors and threads at the first and the last cycle; the largest disk of each half; p99 of each work,
median of the first quarter of the cycles and of the last. Figures are reported and judge nothing; what ends the run
is what must not happen: a revision that does not count the writes, digests that differ, or clients that do not get on.
Requests that failed (a busy machine may change its leader) are counted.
Writes all samples as JSON lines to FILE, build/soak.jsonl unless named.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
import harness  # noqa: E402
import process_figures  # noqa: E402

CLIENTS = ["--connections", "6", "--in-flight", "1"]
WITH_RETRIES = ("mixed", "write", "create")  # the others end at the first failure, and are begun once more
KINDS = {  # name: (work, its arguments, share of a cycle)
    "mixed": ("mixed", ["--write-percent", "30", "--keys", "2000"], 0.1),
    "mixed, ZooKeeper": ("mixed", ["--write-percent", "30", "--keys", "2000", "--protocol", "zookeeper"], 0.1),
    "large values": ("write", ["--keys", "100", "--value-size", "20000"], 0.03),
    "create and delete": ("create", [], 0.05),
    "sessions": ("session", [], 0.05),
    "locks": ("lock", ["--locks", "100"], 0.05),
    "watches": ("watch", ["--watches", "600"], 0.05),
}


def figures(node):
    pid = node.process.pid
    return {"rss_kib": process_figures.rss_bytes(pid) // 1024, "threads": process_figures.threads(pid),
            "descriptors": process_figures.descriptors(pid), "disk_kib": disk_kib(node.data_dir)}


def disk_kib(folder):
    """Files may be removed while they are counted."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_blocks // 2
            except FileNotFoundError:
                pass
    return total


def burst(cluster, kind, cycle_s):
    work, arguments, share = KINDS[kind]
    command = [harness.COORDCTL, "--endpoints", cluster.endpoints, "bench", work, "-o", "json", "--warm-up", "0",
               "--duration", "%dms" % (share * cycle_s * 1000), "--timeout", "30s", *CLIENTS, *arguments]
    if work in WITH_RETRIES:
        command.append("--retry")
    failures = -1
    code = 1
    while code != 0 and failures < 1:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=harness.clean_environment())
        code = done.returncode
        failures += 1
    harness.expect(code == 0, "%s: coordctl bench ended with %d" % (kind, code))
    result = json.loads(done.stdout)
    failures += result["refused"] + result["lost"]
    if work in ("mixed", "write", "create"):
        rise, writes = result["revision_rise"], result["writes"]
        harness.expect(writes <= rise <= writes + failures, "%s: %d writes, %d requests failed, and the revision rose "
                       "by %d" % (kind, writes, failures, rise))
    return {"ops": result["acknowledged"], "failures": failures, "p50_us": result["latency"]["p50_us"],
            "p99_us": result["latency"]["p99_us"]}


def one_cycle(cluster, number, cycle_s):
    begun = time.monotonic()
    works = {}
    pause_s = cycle_s * (1 - sum(share for _, _, share in KINDS.values())) / len(KINDS)
    for kind in KINDS:
        works[kind] = burst(cluster, kind, cycle_s)
        time.sleep(max(0, min(pause_s, begun + cycle_s - time.monotonic())))
    digest = cluster.converge(seconds=60)["digest"]
    return {"cycle": number, "load_average": os.getloadavg()[0], "digest": digest, "works": works,
            "members": {node.name: figures(node) for node in cluster.nodes}}


def report(samples):
    half = samples[len(samples) // 2:]
    quarter = max(1, len(samples) // 4)
    print("\n| member | memory, second half | slope | descriptors | threads | largest disk, by halves |")
    print("|---|---|---|---|---|---|")
    for name in samples[0]["members"]:
        rss = [s["members"][name]["rss_kib"] / 1024 for s in half]
        first, last = samples[0]["members"][name], samples[-1]["members"][name]
        rise = statistics.linear_regression([s["hour"] for s in half], rss).slope if len(half) > 1 else 0.0
        middle = statistics.median(rss)
        print("| %s | %.0f to %.0f MiB | %+.1f MiB/h (%+.1f %%) | %d to %d | %d to %d | %.0f, %.0f MiB |" % (
            name, min(rss), max(rss), rise, 100 * rise / middle,
            first["descriptors"], last["descriptors"], first["threads"], last["threads"],
            max(s["members"][name]["disk_kib"] for s in samples[:len(samples) // 2] or samples) / 1024,
            max(s["members"][name]["disk_kib"] for s in half) / 1024))
    print("\n| work | requests | failed | p99, first quarter | p99, last quarter |\n|---|---|---|---|---|")
    for kind in KINDS:
        def p99_ms(part, kind=kind):
            return statistics.median(s["works"][kind]["p99_us"] for s in part) / 1000
        print("| %s | %s | %d | %.1f ms | %.1f ms |" % (
            kind, "{:,}".format(sum(s["works"][kind]["ops"] for s in samples)),
            sum(s["works"][kind]["failures"] for s in samples), p99_ms(samples[:quarter]),
            p99_ms(samples[-quarter:])))
    print("\n%d cycles in %.2f hours, load average %.1f to %.1f, digests agreed." % (
        len(samples), samples[-1]["hour"], min(s["load_average"] for s in samples),
        max(s["load_average"] for s in samples)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--cycle", type=float, default=60)
    parser.add_argument("--out", default="build/soak.jsonl")
    options = parser.parse_args()
    samples = []
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="coord-soak-") as scratch, \
                open(options.out, "w", encoding="utf-8") as out:
            cluster = harness.Cluster(scratch).start()
            while time.monotonic() < begun + options.hours * 3600:
                sample = one_cycle(cluster, len(samples), options.cycle)
                sample["hour"] = (time.monotonic() - begun) / 3600
                samples.append(sample)
                print(json.dumps(sample), file=out, flush=True)
                member = sample["members"]["n1"]
                print("cycle %d, hour %.2f: n1 %.1f MiB, %d descriptors, disk %.0f MiB" % (
                    sample["cycle"], sample["hour"], member["rss_kib"] / 1024, member["descriptors"],
                    member["disk_kib"] / 1024), flush=True)
    finally:
        harness._end_all()
        if samples:
            report(samples)


if __name__ == "__main__":
    main()
