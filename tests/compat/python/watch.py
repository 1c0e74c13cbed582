"""Watches by grpc C-core over three nodes: list, follow, lose the node, go on at another."""
import queue
import sys
import threading
import uuid

import grpc

from coord.v1 import history_pb2, history_pb2_grpc, tree_pb2, tree_pb2_grpc, types_pb2
from coord.v1 import watch_pb2, watch_pb2_grpc

TESTS = []
TIMEOUT = 60


def test(function):
    TESTS.append(function)
    return function


class Stream:
    """One watch stream to one node: requests in, replies out of a thread into a queue."""

    def __init__(self, endpoint):
        self.channel = grpc.insecure_channel(
            endpoint, options=[("grpc.use_local_subchannel_pool", 1)]
        )
        self.requests = queue.Queue()
        self.replies = queue.Queue()
        stub = watch_pb2_grpc.WatchStub(self.channel)
        self.call = stub.Watch(iter(self.requests.get, None))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for reply in self.call:
                self.replies.put(reply)
        except grpc.RpcError as error:
            self.replies.put(error)

    def create(self, **fields):
        create = watch_pb2.WatchCreate(**fields)
        self.requests.put(watch_pb2.WatchRequest(create=create))

    def next(self, kind):
        reply = self.replies.get(timeout=TIMEOUT)
        assert not isinstance(reply, grpc.RpcError), reply
        assert reply.type == kind, f"{reply}"
        return reply

    def close(self):
        self.call.cancel()
        self.requests.put(None)
        self.channel.close()


class World:
    def __init__(self, endpoints):
        self.endpoints = endpoints
        self.channels = [grpc.insecure_channel(e) for e in endpoints]
        self.trees = [tree_pb2_grpc.TreeStub(c) for c in self.channels]
        self.history = history_pb2_grpc.HistoryStub(self.channels[0])
        self.base = f"/compat-{uuid.uuid4()}"
        self.create(0, "")

    def path(self, name):
        return f"{self.base}/{name}" if name else self.base

    def create(self, node, name, data=b""):
        request = tree_pb2.CreateRequest(path=self.path(name), data=data)
        return self.trees[node].Create(request, timeout=TIMEOUT).header.revision

    def set(self, node, name, data):
        request = tree_pb2.SetRequest(path=self.path(name), data=data)
        return self.trees[node].Set(request, timeout=TIMEOUT).header.revision


@test
def list_then_follow_then_resume_elsewhere(w):
    names = [f"n{i}" for i in range(5)]
    for name in names:
        w.create(0, name, b"0")
    first = Stream(w.endpoints[0])
    first.create(
        watch_id=1, path=w.base, scope=watch_pb2.WatchCreate.SUBTREE, list=True, relist=True
    )
    created = first.next(watch_pb2.WatchReply.CREATED)
    listing = first.next(watch_pb2.WatchReply.LISTING)
    assert listing.revision + 1 == created.revision and not listing.more
    assert [e.path for e in listing.entries] == [w.base] + [w.path(n) for n in names]
    assert [e.data for e in listing.entries] == [b""] + [b"0"] * 5

    wanted = {}
    last = listing.revision
    for i in range(50):
        name = names[i % 5]
        wanted[w.set(i % 3, name, b"%d" % i)] = (w.path(name), b"%d" % i)
    for _ in range(20):
        reply = first.next(watch_pb2.WatchReply.EVENTS)
        assert reply.revision > last and len(reply.events) == 1
        event = reply.events[0]
        assert wanted.pop(reply.revision) == (event.path, event.data)
        last = reply.revision
    first.close()

    second = Stream(w.endpoints[1])
    second.create(
        watch_id=9, path=w.base, scope=watch_pb2.WatchCreate.SUBTREE, from_revision=last + 1
    )
    assert second.next(watch_pb2.WatchReply.CREATED).revision == last + 1
    while wanted:
        reply = second.next(watch_pb2.WatchReply.EVENTS)
        assert reply.revision > last
        event = reply.events[0]
        assert wanted.pop(reply.revision) == (event.path, event.data)
        last = reply.revision
    second.requests.put(watch_pb2.WatchRequest(progress=watch_pb2.WatchProgress()))
    mark = second.next(watch_pb2.WatchReply.PROGRESS)
    assert mark.watch_id == 0 and mark.revision >= last
    second.close()


@test
def every_node_tells_the_same_story(w):
    streams = [Stream(e) for e in w.endpoints]
    for stream in streams:
        stream.create(
            watch_id=1, path=w.base, scope=watch_pb2.WatchCreate.PREFIX, with_previous=True
        )
    for stream in streams:
        stream.next(watch_pb2.WatchReply.CREATED)
    w.create(1, "same", b"a")
    w.set(2, "same", b"b")
    delete = tree_pb2.DeleteRequest(path=w.path("same"))
    w.trees[0].Delete(delete, timeout=TIMEOUT)
    stories = []
    for stream in streams:
        story = [stream.next(watch_pb2.WatchReply.EVENTS) for _ in range(3)]
        stories.append([[e.SerializeToString() for e in reply.events] for reply in story])
        kinds = [reply.events[0].type for reply in story]
        assert kinds == [
            watch_pb2.CREATE_EVENT,
            watch_pb2.SET_EVENT,
            watch_pb2.DELETE_EVENT,
        ]
        assert [reply.events[0].previous for reply in story] == [b"", b"a", b"b"]
        stream.close()
    assert stories[0] == stories[1] == stories[2]


@test
def refusals_name_the_field_and_leave_the_stream_alone(w):
    stream = Stream(w.endpoints[2])
    stream.create(watch_id=1, path="no path")
    reply = stream.next(watch_pb2.WatchReply.CANCELED)
    assert reply.watch_id == 1 and reply.outcome == types_pb2.BAD_PATH and reply.text
    stream.create(watch_id=1, path="/", glob="[")
    reply = stream.next(watch_pb2.WatchReply.CANCELED)
    assert reply.outcome == types_pb2.BAD_PATTERN and "glob" in reply.text
    stream.create(watch_id=1, path=w.path("once"), once=True)
    stream.next(watch_pb2.WatchReply.CREATED)
    w.create(0, "once")
    stream.next(watch_pb2.WatchReply.EVENTS)
    assert stream.next(watch_pb2.WatchReply.CANCELED).outcome == types_pb2.OK
    stream.close()


@test
def a_thousand_watches_share_a_stream(w):
    w.create(0, "busy")
    stream = Stream(w.endpoints[1])
    for i in range(1000):
        stream.create(watch_id=i + 1, path=w.path("busy"), keys_only=True)
    for _ in range(1000):
        stream.next(watch_pb2.WatchReply.CREATED)
    revision = w.set(0, "busy", b"x")
    told = set()
    for _ in range(1000):
        reply = stream.next(watch_pb2.WatchReply.EVENTS)
        assert reply.revision == revision
        told.add(reply.watch_id)
    assert len(told) == 1000
    stream.close()


@test
def history_tells_what_the_watch_told(w):
    first = w.create(1, "h", b"one")
    last = w.set(2, "h", b"two")
    request = history_pb2.ChangesRequest(path=w.path("h"))
    reply = w.history.Changes(request, timeout=TIMEOUT)
    assert [e.revision for e in reply.changes] == [first, last]
    assert [e.data for e in reply.changes] == [b"one", b"two"]
    assert [e.previous for e in reply.changes] == [b"", b"one"]
    for revision, value in ((first, b"one"), (last, b"two")):
        get = tree_pb2.GetRequest(path=w.path("h"), revision=revision)
        assert w.trees[1].Get(get, timeout=TIMEOUT).data == value
    policy = history_pb2.HistoryPolicy(path=w.base, versions=10)
    w.history.SetPolicy(history_pb2.SetPolicyRequest(policy=policy), timeout=TIMEOUT)
    reply = w.history.GetPolicies(history_pb2.GetPoliciesRequest(), timeout=TIMEOUT)
    assert policy in reply.policies and reply.retention.revisions == 10000


def main():
    world = World(sys.argv[1].split(","))
    failed = 0
    for function in TESTS:
        try:
            function(world)
        except Exception as error:  # every failure counts, none ends the run
            failed += 1
            print(f"FAIL {function.__name__}: {type(error).__name__}: {error}")
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
