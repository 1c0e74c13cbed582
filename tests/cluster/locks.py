#!/usr/bin/env python3
"""Locks of a real cluster, through coord.v1.Lock: curl is the client, protoc speaks the messages."""
import os
import struct
import subprocess

from harness import Cluster, ctl_ok, expect, main, until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def protoc(mode, message, data):
    files = [f for f in os.listdir(os.path.join(ROOT, "proto/coord/v1")) if f.endswith(".proto")]
    done = subprocess.run(["protoc", "--proto_path=" + os.path.join(ROOT, "proto"),
                           "--%s=coord.v1.%s" % (mode, message)] + ["coord/v1/" + f for f in files],
                          input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout


class Call:
    """A unary call under way; the request is in protobuf's text format."""

    def __init__(self, node, method, request_type, request, reply_type):
        body = protoc("encode", request_type, request.encode())
        self.reply_type = reply_type
        self.process = subprocess.Popen(
            ["curl", "-s", "--http2-prior-knowledge", "-D", "/dev/stderr", "-H", "te: trailers",
             "-H", "content-type: application/grpc", "--data-binary", "@-",
             "http://%s/coord.v1.%s" % (node.endpoint, method)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process.stdin.write(b"\0" + struct.pack(">I", len(body)) + body)
        self.process.stdin.close()
        self.process.stdin = None

    def is_open(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self, seconds=20):
        """(status, outcome, message or text of the reply)"""
        out, err = self.process.communicate(timeout=seconds * float(os.environ.get("PATIENCE", "1")))
        headers = dict(line.split(": ", 1) for line in err.decode().splitlines() if ": " in line)
        status = int(headers.get("grpc-status", "-1").strip())
        if status != 0:
            return status, headers.get("coord-outcome", "").strip(), headers.get("grpc-message", "").strip()
        text = protoc("decode", self.reply_type, out[5:]).decode()
        return 0, "OK", text


def lease(node, ttl_ms=60000):
    status, _, text = Call(node, "Lease/Grant", "LeaseGrantRequest", "ttl_ms: %d" % ttl_ms, "LeaseGrantReply").end()
    expect(status == 0, text)
    return int(next(line for line in text.splitlines() if line.startswith("id: "))[4:])


def acquire(node, lease_id, paths, more=""):
    targets = " ".join('targets { path: "%s" }' % p for p in paths.split())
    return Call(node, "Lock/Acquire", "LockAcquireRequest", "%s lease: %d %s" % (targets, lease_id, more),
                "LockAcquireReply")


def field(text, name):
    return next(line.split(": ", 1)[1].strip('"') for line in text.splitlines() if line.strip().startswith(name + ": "))


def held(call):
    status, outcome, text = call.end()
    expect(status == 0, "not held: %s %s %s" % (status, outcome, text))
    return field(text, "path"), int(field(text, "epoch"))


def release(node, path):
    status, outcome, text = Call(node, "Lock/Release", "LockReleaseRequest", 'grants { path: "%s" }' % path,
                                 "LockReply").end()
    expect(status == 0, "not released: %s %s" % (outcome, text))


def queue(node, path):
    """How many hold or wait."""
    status, outcome, text = Call(node, "Lock/Get", "LockGetRequest", 'path: "%s"' % path, "LockGetReply").end()
    return 0 if outcome == "NO_NODE" else text.count("entries {") if status == 0 else -1


def test_a_lock_is_handed_over_across_members(scratch):
    a, b, c = Cluster(scratch).start().nodes
    one, two, three = lease(a), lease(b), lease(c)
    entry, epoch = held(acquire(a, one, "/locks/a"))
    waiting = acquire(b, two, "/locks/a", 'header { note: "why not" } owner: "w 2"')
    until(lambda: queue(c, "/locks/a") == 2, "the second waits")
    status, outcome, text = acquire(c, three, "/locks/a", "no_wait: true").end()
    expect((status, outcome) == (6, "HELD") and "held by" in text, (status, outcome, text))
    expect(b"q-" in ctl_ok(a, "ls", "/locks/a"), "people see the queue")
    expect(waiting.is_open(), "the second waits")
    release(c, entry)
    next_entry, next_epoch = held(waiting)
    expect(next_entry != entry and next_epoch > epoch, (next_entry, next_epoch))
    release(a, next_entry)


def test_a_deadlock_is_refused_and_named(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    one, two = lease(a), lease(b)
    held(acquire(a, one, "/x"))
    entry, _ = held(acquire(b, two, "/y"))
    waiting = acquire(a, one, "/y")
    until(lambda: queue(a, "/y") == 2, "one waits")
    status, outcome, text = acquire(b, two, "/x").end()
    expect((status, outcome) == (10, "DEADLOCK"), (status, outcome, text))
    expect("/x" in text and "/y" in text, text)
    release(b, entry)
    held(waiting)


def test_waits_end_with_their_client_their_time_and_their_lease(scratch):
    a, b, _ = Cluster(scratch).start().nodes
    one, two = lease(a), lease(b)
    held(acquire(a, one, "/l"))
    gone = acquire(b, two, "/l", 'owner: "gone"')
    until(lambda: queue(a, "/l") == 2, "it waits")
    gone.kill()
    until(lambda: queue(a, "/l") <= 1, "who has gone does not wait")
    status, outcome, text = acquire(b, two, "/l /m", 'owner: "late" wait_ms: 100').end()
    expect((status, outcome) == (4, "WAIT_TIMEOUT"), (status, outcome, text))
    waiting = acquire(b, two, "/l", 'owner: "patient"')
    until(lambda: queue(a, "/l") == 2, "another one waits")
    status, outcome, text = Call(a, "Lease/Revoke", "LeaseRevokeRequest", "id: %d" % one, "LeaseRevokeReply").end()
    expect(status == 0, text)
    held(waiting)


def test_a_wait_survives_another_leader(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    stays = [n for n in cluster.nodes if n is not leader]
    one, two = lease(stays[0]), lease(stays[1])
    entry, epoch = held(acquire(stays[0], one, "/l"))
    waiting = acquire(stays[1], two, "/l")
    until(lambda: queue(stays[0], "/l") == 2, "it waits")
    leader.kill()
    cluster.leader()
    expect(waiting.is_open(), "it still waits")
    release(stays[0], entry)
    expect(held(waiting)[1] > epoch, "a later epoch")


if __name__ == "__main__":
    main(globals())
