#!/usr/bin/env python3
"""How cost grows: what a request costs with more members, nodes, watches, sessions and larger values.

    tests/bench/growth.py [--quick] [--out FILE] [PART ...]

Parts: members, nodes, values, watches, sessions. Processor time of the servers for each request tells more
than requests a second, since all members and the load share this machine. Writes tables as Markdown.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
import harness  # noqa: E402

SECONDS = os.environ.get("BENCH_SECONDS", "3")


def bench(cluster, work, *arguments):
    done = subprocess.run([harness.COORDCTL, "--endpoints", cluster.endpoints, "bench", work, "-o", "json",
                           "--duration", SECONDS, "--processes",
                           ",".join(str(node.process.pid) for node in cluster.nodes), *arguments],
                          stdout=subprocess.PIPE, check=False, env=harness.clean_environment())
    harness.expect(done.returncode == 0, "coordctl bench %s ended with %d" % (work, done.returncode))
    result = json.loads(done.stdout)
    harness.expect(result["revision_rise"] in (None, result["writes"]), "every write is there, once")
    return result


def cells(result):
    rss = max(server["rss_bytes"] for server in result["servers"]) / (1 << 20)
    return ["{:,.0f}".format(result["ops_per_s"]), "%.1f" % result["server_cpu_us_per_op"],
            "%.2f" % (result["latency"]["p50_us"] / 1000), "%.2f" % (result["latency"]["p99_us"] / 1000),
            "%.0f" % rss]


FIGURES = ["a second", "CPU us each, all servers", "p50 ms", "p99 ms", "RSS MiB, largest"]


def cluster_of(scratch, size):
    return harness.Cluster(tempfile.mkdtemp(dir=scratch), size=size).start()


def stop(cluster):
    cluster.converge(seconds=120)
    for node in cluster.nodes:
        node.kill()
    harness._end_all()


def members(scratch, quick):
    rows = []
    for size in (1, 3, 5):
        cluster = cluster_of(scratch, size)
        for work in ("write", "read"):
            rows.append(["%d members, %s" % (size, work)] + cells(bench(cluster, work)))
        stop(cluster)
    return FIGURES, rows


def nodes(scratch, quick):
    rows = []
    for count in (1000, 10000, 100000) + (() if quick else (1000000,)):
        cluster = cluster_of(scratch, 3)
        bench(cluster, "fill", "--path", "/bench", "--keys", str(count), "--in-flight", "64")
        for work in ("write", "read"):
            rows.append(["%s nodes, %s" % ("{:,}".format(count), work)] +
                        cells(bench(cluster, work, "--path", "/bench", "--keys", str(count), "--keep")))
        stop(cluster)
    return FIGURES, rows


def values(scratch, quick):
    rows = []
    cluster = cluster_of(scratch, 3)
    for size in ("10", "100", "1000", "10000", "100000"):
        for work in ("write", "read"):
            rows.append(["values of %s B, %s" % (size, work)] +
                        cells(bench(cluster, work, "--keys", "100", "--value-size", size, "--in-flight", "2")))
    stop(cluster)
    return FIGURES, rows


def watches(scratch, quick):
    rows = []
    for count in (100, 1000, 10000) + (() if quick else (100000,)):
        cluster = cluster_of(scratch, 3)
        result = bench(cluster, "watch", "-c", "100", "--watches", str(count))
        rows.append(["%s watches of one node, an event" % "{:,}".format(count)] + cells(result) +
                    ["%.2f" % (result["last_event"]["p50_us"] / 1000)])
        stop(cluster)
    return FIGURES + ["last event, p50 ms"], rows


def sessions(scratch, quick):
    rows = []
    for count in (100, 1000, 10000) + (() if quick else (100000,)):
        cluster = cluster_of(scratch, 3)
        leader = cluster.leader()
        done = subprocess.run([harness.BUILD + "/tests/bench/session_load", "--endpoints", leader.endpoint,
                               "--sessions", str(count), "--connections", "16", "--in-flight", str(min(count, 1024)),
                               "--seconds", SECONDS, "--pid", str(leader.process.pid)], stdout=subprocess.PIPE,
                              check=True, text=True)
        for line in map(json.loads, done.stdout.splitlines()):
            if "ops_per_s" in line or "per_s" in line:
                rows.append(["%s sessions, %s" % ("{:,}".format(count), line["bench"]),
                             "{:,.0f}".format(line.get("ops_per_s", line.get("per_s")))])
        stop(cluster)
    return ["a second"], rows


PARTS = {"members": members, "nodes": nodes, "values": values, "watches": watches, "sessions": sessions}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK", "") not in ("", "0"))
    parser.add_argument("--out", default="build/growth.md")
    parser.add_argument("parts", nargs="*")
    options = parser.parse_args()
    text = "Load average at the beginning %.1f.\n" % os.getloadavg()[0]
    try:
        for part in options.parts or PARTS:
            with tempfile.TemporaryDirectory(prefix="coord-growth-") as scratch:
                head, rows = PARTS[part](scratch, options.quick)
                text += "\n| %s |%s\n" % (" | ".join([part] + head), "\n|" + "---|" * (len(head) + 1))
                text += "".join("| %s |\n" % " | ".join(row) for row in rows)
                print(part, flush=True)
    finally:
        harness._end_all()
    with open(options.out, "w", encoding="utf-8") as out:
        out.write(text)
    print(text)


if __name__ == "__main__":
    main()
