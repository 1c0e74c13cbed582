#!/usr/bin/env python3
"""A rolling upgrade under load, from a version that knows one feature level less: member by member, one of
them back and forth, finished, and no way back then."""
import json
import os
import struct
import subprocess

from harness import Cluster, Failure, Writers, ctl, ctl_ok, expect, main, until

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
OLDER = os.path.join(ROOT, "build/older/coordd")


def build_older():
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "COORD_"))}
    done = subprocess.run(["make", "--no-print-directory", "-j%d" % os.cpu_count(), "VARIANT=older", "build/older/coordd"],
                          cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise Failure(done.stdout.decode(errors="replace")[-2000:])


def replace_program(cluster, node, program, writers):
    """Stops a member as an operator does, and starts it again with another version."""
    expect(node.terminate() == 0, "%s ends when asked to" % node.name)
    writers.wait_for_more(20)
    node.program = program
    node.start()
    until(node.is_ready, node.name + " serves", 30)
    cluster.converge()


def levels(node):
    status = json.loads(ctl_ok(node, "upgrade", "status", "-o", "json"))
    return [(m["feature_level"], m["feature_level_known"]) for m in status["members"]], status["finished"]


def add_role(node):
    """Something that only the newer version has; returns the trailers of the answer."""
    message = b"\x12\x06reader"  # field 2, the name
    body = b"\0" + struct.pack(">I", len(message)) + message
    done = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-D", "-", "-o", "/dev/null", "-H", "te: trailers",
                           "-H", "content-type: application/grpc", "--data-binary", "@-",
                           "http://%s/coord.v1.Auth/RoleAdd" % node.endpoint],
                          input=body, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def test_a_rolling_upgrade_under_load(scratch):
    build_older()
    cluster = Cluster(scratch)
    newer = cluster.nodes[0].program
    for node in cluster.nodes:
        node.program = OLDER
    cluster.start()
    cluster.leader()
    ctl_ok(cluster.nodes[0], "create", "/before", "x")
    writers = Writers(scratch, cluster.endpoints, "/w", count=4)
    writers.wait_for_more(50)
    a, b, c = cluster.nodes
    expect(levels(a) == ([(1, 1)] * 3, True), "the older version: %r" % (levels(a),))

    replace_program(cluster, a, newer, writers)
    expect("coord-outcome: UNSUPPORTED" in add_role(a), "what is new waits: %s" % add_role(a))
    replace_program(cluster, b, newer, writers)
    code, _, error = ctl(a, "upgrade", "finish")
    expect(code != 0 and "member %s knows feature level 1 only" % c.name in error, "too early: %s" % error)
    replace_program(cluster, b, OLDER, writers)  # it can still go back
    replace_program(cluster, b, newer, writers)
    replace_program(cluster, c, newer, writers)
    expect(levels(a) == ([(1, 2)] * 3, False), "not finished: %r" % (levels(a),))

    ctl_ok(b, "upgrade", "finish")
    until(lambda: levels(c) == ([(2, 2)] * 3, True), "all members use what is new")
    answer = add_role(a)
    expect("grpc-status: 0" in answer, "which works now: %s" % answer)
    writers.wait_for_more(50)
    acked, _, failed = writers.stop()
    expect(not failed, "writes failed: %s" % failed[:3])
    cluster.converge()
    for node in cluster.nodes:
        writers.check(node, acked)

    expect(c.terminate() == 0, "it ends when asked to")
    c.program = OLDER
    c.start(wait=False)
    until(lambda: not c.is_running(), "the older version does not run any more")
    expect("run the newer version" in c.log(), "and says why: %s" % c.log()[-300:])
    c.was_ended = True
    c.program = newer
    c.start()
    cluster.converge()


if __name__ == "__main__":
    main(globals())
