"""Drives coordd by grpc C-core, as an application would, and then as no application should."""
import sys
import threading
import time
import uuid

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from coord.v1 import cluster_pb2, cluster_pb2_grpc, lease_pb2, lease_pb2_grpc
from coord.v1 import session_pb2, session_pb2_grpc, tree_pb2, tree_pb2_grpc, types_pb2
from health.v1 import health_pb2, health_pb2_grpc
from reflection.v1 import reflection_pb2, reflection_pb2_grpc
from reflection.v1alpha import reflection_pb2 as alpha_pb2
from reflection.v1alpha import reflection_pb2_grpc as alpha_pb2_grpc

TESTS = []
TIMEOUT = 60


def test(function):
    TESTS.append(function)
    return function


class World:
    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.channel = grpc.insecure_channel(endpoint)
        self.tree = tree_pb2_grpc.TreeStub(self.channel)
        self.cluster = cluster_pb2_grpc.ClusterStub(self.channel)
        self.lease = lease_pb2_grpc.LeaseStub(self.channel)
        self.session = session_pb2_grpc.SessionStub(self.channel)
        self.base = f"/compat-{uuid.uuid4()}"
        self.tree.Create(tree_pb2.CreateRequest(path=self.base), timeout=TIMEOUT)

    def path(self, name):
        return f"{self.base}/{name}"

    def exists(self, name):
        request = tree_pb2.ExistsRequest(path=self.path(name))
        return self.tree.Exists(request, timeout=TIMEOUT).exists

    def create(self, name, data=b""):
        request = tree_pb2.CreateRequest(path=self.path(name), data=data)
        return self.tree.Create(request, timeout=TIMEOUT)


def fails(code, call, *args, **kwargs):
    kwargs.setdefault("timeout", TIMEOUT)
    try:
        call(*args, **kwargs)
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        return error
    raise AssertionError(f"no {code}")


def eventually(condition):
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.02)


def trailer(error, name):
    return dict(error.trailing_metadata()).get(name)


@test
def create_get_set_delete(w):
    created = w.create("a", b"one")
    assert created.path == w.path("a") and created.stat.data_bytes == 3
    got = w.tree.Get(tree_pb2.GetRequest(path=w.path("a")), timeout=TIMEOUT)
    assert got.data == b"one" and got.stat == created.stat
    assert got.header.revision >= created.header.revision
    assert got.header.cluster_id and got.header.node_id and got.header.node and got.header.term
    reply = w.tree.Set(
        tree_pb2.SetRequest(path=w.path("a"), data=b"two", expect=tree_pb2.Expect(version=0)),
        timeout=TIMEOUT,
    )
    assert reply.stat.version == 1
    assert w.tree.Exists(tree_pb2.ExistsRequest(path=w.path("a")), timeout=TIMEOUT).exists
    deleted = w.tree.Delete(tree_pb2.DeleteRequest(path=w.path("a")), timeout=TIMEOUT)
    assert deleted.count == 1
    assert not w.tree.Exists(tree_pb2.ExistsRequest(path=w.path("a")), timeout=TIMEOUT).exists


@test
def refusals_have_code_text_and_outcome(w):
    error = fails(
        grpc.StatusCode.NOT_FOUND, w.tree.Get, tree_pb2.GetRequest(path=w.path("none"))
    )
    assert error.details() == f"{w.path('none')}: node does not exist", error.details()
    assert trailer(error, "coord-outcome") == "NO_NODE"
    w.create("twice")
    error = fails(
        grpc.StatusCode.ALREADY_EXISTS,
        w.tree.Create,
        tree_pb2.CreateRequest(path=w.path("twice")),
    )
    assert trailer(error, "coord-outcome") == "NODE_EXISTS"
    fails(
        grpc.StatusCode.ABORTED,
        w.tree.Set,
        tree_pb2.SetRequest(path=w.path("twice"), expect=tree_pb2.Expect(version=7)),
    )
    fails(
        grpc.StatusCode.FAILED_PRECONDITION,
        w.tree.Delete,
        tree_pb2.DeleteRequest(path=w.base),
    )
    fails(grpc.StatusCode.INVALID_ARGUMENT, w.tree.Get, tree_pb2.GetRequest(path="no-slash"))


@test
def texts_beyond_ascii_survive(w):
    path = w.path("käse-☃-100%")
    error = fails(grpc.StatusCode.NOT_FOUND, w.tree.Get, tree_pb2.GetRequest(path=path))
    assert error.details() == f"{path}: node does not exist", error.details()


@test
def values_up_to_the_limit(w):
    w.create("big", b"x" * (1 << 20))
    got = w.tree.Get(tree_pb2.GetRequest(path=w.path("big")), timeout=TIMEOUT)
    assert len(got.data) == 1 << 20
    error = fails(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        w.tree.Set,
        tree_pb2.SetRequest(path=w.path("big"), data=b"x" * ((1 << 20) + 1)),
    )
    assert "1048576" in error.details()
    fails(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        w.tree.Set,
        tree_pb2.SetRequest(path=w.path("big"), data=b"x" * (5 << 20)),
    )


@test
def lists_in_pages(w):
    w.create("list")
    for i in range(8):
        w.create(f"list/{i}", bytes([i]) * 500000)
    seen, after, pages = [], "", 0
    while True:
        page = w.tree.List(
            tree_pb2.ListRequest(
                path=w.path("list"), with_data=True, with_stat=True, after=after
            ),
            timeout=TIMEOUT,
        )
        assert page.ByteSize() <= (2 << 20) + 4096
        for entry in page.entries:
            assert len(entry.data) == entry.stat.data_bytes == 500000
        seen += [entry.path for entry in page.entries]
        after, pages = page.next, pages + 1
        if not after:
            break
    assert seen == [w.path(f"list/{i}") for i in range(8)] and pages > 1


@test
def transactions(w):
    def run():
        return w.tree.Txn(
            tree_pb2.TxnRequest(
                guards=[tree_pb2.Guard(path=w.path("t"), exists=False)],
                then_ops=[
                    tree_pb2.Operation(create=tree_pb2.CreateOp(path=w.path("t"), data=b"v")),
                    tree_pb2.Operation(get=tree_pb2.GetOp(path=w.path("t"))),
                ],
                else_ops=[tree_pb2.Operation(check=tree_pb2.CheckOp(path=w.path("none")))],
            ),
            timeout=TIMEOUT,
        )

    first, second = run(), run()
    assert first.took_then and first.outcome == types_pb2.OK
    assert [r.outcome for r in first.results] == [types_pb2.OK, types_pb2.OK]
    assert first.results[1].data == b"v"
    assert not second.took_then and second.outcome == types_pb2.NO_NODE


@test
def a_write_that_is_repeated_is_executed_once(w):
    now = w.tree.Sync(tree_pb2.SyncRequest(), timeout=TIMEOUT).header.cluster_ms
    request = tree_pb2.CreateRequest(
        header=types_pb2.RequestHeader(
            request_id=types_pb2.RequestId(issued_ms=now, high=uuid.uuid4().int >> 64, low=1)
        ),
        path=w.path("s-"),
        sequential=True,
    )
    first = w.tree.Create(request, timeout=TIMEOUT)
    second = w.tree.Create(request, timeout=TIMEOUT)
    assert second.path == first.path and second.header.repeated and not first.header.repeated


@test
def every_consistency(w):
    w.create("c", b"v")
    index = w.tree.Sync(tree_pb2.SyncRequest(), timeout=TIMEOUT).header.applied_index
    for header in (
        types_pb2.RequestHeader(),
        types_pb2.RequestHeader(consistency=types_pb2.LOCAL),
        types_pb2.RequestHeader(consistency=types_pb2.SESSION, min_index=index),
        types_pb2.RequestHeader(consistency=types_pb2.BOUNDED, bound_ms=10000),
    ):
        request = tree_pb2.GetRequest(header=header, path=w.path("c"))
        assert w.tree.Get(request, timeout=TIMEOUT).data == b"v"


@test
def a_lease_is_kept_alive_and_revoked(w):
    granted = w.lease.Grant(
        lease_pb2.LeaseGrantRequest(ttl_ms=20000, owner="compat"), timeout=TIMEOUT
    )
    assert 0 < granted.id < 1 << 63 and granted.ttl_ms == 20000
    for name in ("l1", "l2"):
        created = w.tree.Create(
            tree_pb2.CreateRequest(
                path=w.path(name), kind=types_pb2.EPHEMERAL, lease=granted.id
            ),
            timeout=TIMEOUT,
        )
        assert created.stat.lease == granted.id
    left = w.lease.TimeToLive(
        lease_pb2.LeaseTimeToLiveRequest(id=granted.id, with_paths=True), timeout=TIMEOUT
    )
    assert list(left.paths) == [w.path("l1"), w.path("l2")] and left.lease.owner == "compat"
    assert 10000 < left.remaining_ms <= 20000

    ids = [granted.id, 1] * 500
    requests = (lease_pb2.LeaseKeepAliveRequest(id=i) for i in ids)
    replies = list(w.lease.KeepAlive(requests, timeout=60))
    assert [r.id for r in replies] == ids
    assert {(r.ttl_ms, r.outcome) for r in replies[::2]} == {(20000, types_pb2.OK)}
    assert {(r.ttl_ms, r.outcome) for r in replies[1::2]} == {(0, types_pb2.NO_LEASE)}

    page = w.lease.List(lease_pb2.LeaseListRequest(after=granted.id - 1, limit=1), timeout=TIMEOUT)
    assert page.leases[0].id == granted.id and page.leases[0].attached == 2
    request = lease_pb2.LeaseRevokeRequest(id=granted.id)
    assert w.lease.Revoke(request, timeout=TIMEOUT).removed == 2
    assert not w.exists("l1") and not w.exists("l2")
    error = fails(grpc.StatusCode.NOT_FOUND, w.lease.Revoke, request)
    assert trailer(error, "coord-outcome") == "NO_LEASE"
    error = fails(
        grpc.StatusCode.OUT_OF_RANGE, w.lease.Grant, lease_pb2.LeaseGrantRequest(ttl_ms=499)
    )
    assert "499" in error.details() and "500" in error.details()


@test
def a_lease_that_nobody_keeps_alive_ends(w):
    begin = time.monotonic()
    granted = w.lease.Grant(lease_pb2.LeaseGrantRequest(ttl_ms=600), timeout=TIMEOUT)
    w.tree.Create(
        tree_pb2.CreateRequest(
            path=w.path("short"), kind=types_pb2.EPHEMERAL, lease=granted.id
        ),
        timeout=TIMEOUT,
    )
    eventually(lambda: not w.exists("short"))
    assert time.monotonic() - begin > 0.6
    stream = w.lease.KeepAlive(iter([lease_pb2.LeaseKeepAliveRequest(id=granted.id)]))
    assert next(stream).outcome == types_pb2.NO_LEASE


def open_session(w, ttl_ms):
    return w.session.Open(session_pb2.SessionOpenRequest(ttl_ms=ttl_ms), timeout=TIMEOUT)


@test
def a_session_writes_once_and_takes_its_nodes_along(w):
    mine = open_session(w, 0)
    assert len(mine.secret) == 16 and mine.ttl_ms == 10000

    def create(sequence, answered_to=0):
        ref = types_pb2.SessionRef(id=mine.id, sequence=sequence, answered_to=answered_to)
        request = tree_pb2.CreateRequest(
            header=types_pb2.RequestHeader(session=ref),
            path=w.path("e-"),
            sequential=True,
            kind=types_pb2.EPHEMERAL,
        )
        return w.tree.Create(request, timeout=TIMEOUT)

    first, second, third = create(1), create(1), create(2, 1)
    assert first.path == second.path != third.path and first.stat.lease == mine.id
    assert second.header.repeated and not third.header.repeated
    fails(grpc.StatusCode.FAILED_PRECONDITION, lambda timeout: create(1))
    fails(grpc.StatusCode.INVALID_ARGUMENT, lambda timeout: create(3, 3))

    resumed = w.session.Resume(
        session_pb2.SessionResumeRequest(id=mine.id, secret=mine.secret, ttl_ms=20000),
        timeout=TIMEOUT,
    )
    assert resumed.ttl_ms == 20000
    fails(
        grpc.StatusCode.PERMISSION_DENIED,
        w.session.Resume,
        session_pb2.SessionResumeRequest(id=mine.id, secret=bytes(16)),
    )
    alive = [
        session_pb2.SessionKeepAliveRequest(id=mine.id, secret=mine.secret),
        session_pb2.SessionKeepAliveRequest(id=mine.id, secret=bytes(16)),
    ]
    replies = list(w.session.KeepAlive(iter(alive), timeout=TIMEOUT))
    assert [(r.ttl_ms, r.outcome) for r in replies] == [
        (20000, types_pb2.OK),
        (0, types_pb2.BAD_SECRET),
    ]
    closed = w.session.Close(
        session_pb2.SessionCloseRequest(id=mine.id, secret=mine.secret), timeout=TIMEOUT
    )
    assert closed.removed == 2
    error = fails(grpc.StatusCode.NOT_FOUND, lambda timeout: create(4))
    assert error.details() == f"session {mine.id:016x}: session does not exist or has ended"


@test
def reads_keep_a_session_alive(w):
    mine = open_session(w, 500)
    ref = types_pb2.SessionRef(id=mine.id)
    get = tree_pb2.GetRequest(header=types_pb2.RequestHeader(session=ref), path="/")
    alive = session_pb2.SessionKeepAliveRequest(id=mine.id, secret=mine.secret)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        w.tree.Get(get, timeout=TIMEOUT)
        time.sleep(0.05)
    assert next(w.session.KeepAlive(iter([alive]))).outcome == types_pb2.OK

    def is_gone():
        page = w.lease.List(
            lease_pb2.LeaseListRequest(after=mine.id - 1, limit=1), timeout=TIMEOUT
        )
        return mine.id not in [lease.id for lease in page.leases]

    eventually(is_gone)
    assert next(w.session.KeepAlive(iter([alive]))).outcome == types_pb2.NO_SESSION


@test
def status_and_members(w):
    status = w.cluster.Status(cluster_pb2.StatusRequest(), timeout=TIMEOUT)
    assert status.serving and status.role in ("leader", "follower") and status.version
    assert status.name in [m.name for m in status.members] and status.digest
    members = w.cluster.Members(cluster_pb2.MembersRequest(), timeout=TIMEOUT)
    assert [m.role for m in members.members].count("leader") == 1


@test
def health(w):
    stub = health_pb2_grpc.HealthStub(w.channel)
    for name in ("", "coord.v1.Tree", "coord.v1.Cluster"):
        reply = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    fails(grpc.StatusCode.NOT_FOUND, stub.Check, health_pb2.HealthCheckRequest(service="no"))
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="no"), timeout=TIMEOUT)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def reflect(stub, module, **question):
    request = module.ServerReflectionRequest(**question)
    return next(stub.ServerReflectionInfo(iter([request]), timeout=TIMEOUT))


@test
def reflection_lets_a_generic_client_call(w):
    for stub, module in (
        (reflection_pb2_grpc.ServerReflectionStub(w.channel), reflection_pb2),
        (alpha_pb2_grpc.ServerReflectionStub(w.channel), alpha_pb2),
    ):
        listed = reflect(stub, module, list_services="")
        names = [s.name for s in listed.list_services_response.service]
        assert "coord.v1.Tree" in names and "grpc.health.v1.Health" in names
        found = reflect(stub, module, file_containing_symbol="coord.v1.Tree")
        pool = descriptor_pool.DescriptorPool()
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(f)
            for f in found.file_descriptor_response.file_descriptor_proto
        ]
        for file in reversed(files):
            pool.Add(file)
        method = pool.FindServiceByName("coord.v1.Tree").FindMethodByName("Get")
        factory = message_factory.MessageFactory(pool)
        request = factory.GetPrototype(method.input_type)(path="/")
        call = w.channel.unary_unary(
            f"/coord.v1.Tree/{method.name}",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=factory.GetPrototype(method.output_type).FromString,
        )
        assert call(request, timeout=TIMEOUT).stat.child_count > 0
        missing = reflect(stub, module, file_containing_symbol="no.such.Thing")
        assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@test
def many_questions_on_one_reflection_stream(w):
    stub = reflection_pb2_grpc.ServerReflectionStub(w.channel)
    request = reflection_pb2.ServerReflectionRequest(file_by_filename="coord/v1/tree.proto")
    replies = list(stub.ServerReflectionInfo(iter([request] * 500), timeout=TIMEOUT))
    assert len(replies) == 500


@test
def unknown_methods(w):
    for path in ("/coord.v1.Tree/Nothing", "/no.such.Service/Get"):
        call = w.channel.unary_unary(path)
        fails(grpc.StatusCode.UNIMPLEMENTED, call, b"")


@test
def compression_is_refused(w):
    fails(
        grpc.StatusCode.UNIMPLEMENTED,
        w.tree.Get,
        tree_pb2.GetRequest(path="/" + "a" * 1000),
        compression=grpc.Compression.Gzip,
    )


@test
def bytes_that_are_no_message(w):
    call = w.channel.unary_unary("/coord.v1.Tree/Get")
    fails(grpc.StatusCode.INTERNAL, call, b"\xff\xff\xff")
    error = fails(grpc.StatusCode.INVALID_ARGUMENT, call, b"\x12\x02/\xff")
    assert "path" in error.details()
    nested = b""
    for _ in range(6000):
        size, length = len(nested), b""
        while size > 127:
            length += bytes([size & 127 | 128])
            size >>= 7
        nested = b"\x1a" + length + bytes([size]) + nested
    call = w.channel.unary_unary("/coord.v1.Tree/Txn")
    try:
        call(nested, timeout=TIMEOUT)
    except grpc.RpcError as error:
        assert error.code() in (
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.INVALID_ARGUMENT,
        ), error.code()
    else:
        raise AssertionError("taken")


@test
def deadlines(w):
    # A call that does not end by itself: whoever notices first, server or client, ends it.
    stub = health_pb2_grpc.HealthStub(w.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=0.3)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    try:
        next(watch)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error.code()
    else:
        raise AssertionError("a second message")
    assert w.tree.Get(tree_pb2.GetRequest(path="/"), timeout=TIMEOUT).stat.child_count > 0


@test
def metadata_of_any_kind(w):
    metadata = [("x-token", "t" * 6000), ("x-raw-bin", bytes(range(256)))]
    w.tree.Get(tree_pb2.GetRequest(path="/"), timeout=TIMEOUT, metadata=metadata)


@test
def thousands_of_cancelled_calls_keep_the_connection(w):
    states = []
    w.channel.subscribe(states.append)
    for _ in range(3000):
        w.tree.Get.future(tree_pb2.GetRequest(path="/"), timeout=TIMEOUT).cancel()
    assert w.tree.Get(tree_pb2.GetRequest(path="/"), timeout=TIMEOUT).stat.child_count > 0
    assert grpc.ChannelConnectivity.TRANSIENT_FAILURE not in states


@test
def thousands_of_concurrent_calls(w):
    w.create("n")
    requests = [
        tree_pb2.CreateRequest(path=w.path("n/x-"), sequential=True) for _ in range(3000)
    ]
    calls = [w.tree.Create.future(request, timeout=60) for request in requests]
    paths = {call.result().path for call in calls}
    assert len(paths) == 3000


@test
def many_channels_at_once(w):
    def work(results, index):
        with grpc.insecure_channel(
            w.endpoint, options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub = tree_pb2_grpc.TreeStub(channel)
            reply = stub.Get(tree_pb2.GetRequest(path="/"), timeout=TIMEOUT)
            results[index] = reply.stat.child_count > 0

    results = [False] * 50
    threads = [threading.Thread(target=work, args=(results, i)) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(results)


def main():
    world = World(sys.argv[1])
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
