#!/usr/bin/python3
"""One tree, two protocols: what is done through ZooKeeper's is seen by coordctl (gRPC), with values, and
the other way round by kazoo and bare packets, with equal Stats. Needs python3-grpcio and
protobuf-compiler-grpc as well, as coordctl has no access control lists."""
import importlib
import json
import os
import queue
import shutil
import subprocess
import sys

import checks
import target
import wire
from checks import check, equal
from harness import Ctl, ctl, ctl_ok, expect, until
from kazoo_setup import WAIT_S, Clients, settled
from wire import CHANGED, CHILD, CREATED, DELETED, Client, Refused, buf, create, i32, i64


def endpoints(t):
    return t.cluster.endpoints


def shown_by_coordctl(t, path):
    """A node's Stat as ZooKeeper would say it, of what gRPC says."""
    stat = json.loads(ctl_ok(endpoints(t), "stat", path, "-o", "json"))
    return {
        "czxid": stat["create_revision"], "mzxid": stat["modify_revision"], "pzxid": stat["children_revision"],
        "ctime": stat["create_time_ms"], "mtime": stat["modify_time_ms"], "version": stat["version"],
        "cversion": stat["children_version"], "aversion": stat["acl_version"],
        "ephemeralOwner": int(stat["lease"], 16) if stat["kind"] == "ephemeral" else 0,
        "dataLength": stat["data_bytes"], "numChildren": stat["child_count"],
    }


def same_stat(t, client, path):
    """Compares both protocols' Stats of a node; returns it."""
    client.sync(path)
    stat = client.stat(path)
    expect(stat is not None, "no node %s through ZooKeeper's protocol" % path)
    equal(stat.as_dict(), shown_by_coordctl(t, path), "Stat of " + path)
    return stat


class Watch:
    """A gRPC watch of a subtree: what happened since the last time one asked."""

    def __init__(self, t, path):
        self.ctl = Ctl(t.scratch, endpoints(t), "watch", path, "--recursive", "--list", "--prev", "-o", "jsonl")
        until(lambda: any(event["type"] == "listed" for event in self._events()), "the watch has listed")
        self.seen = len(self._events())

    def _events(self):
        return [json.loads(line) for line in self.ctl.printed().split("\n")[:-1]]

    def next(self, count):
        """The next events, so many. More must not have come by the time that these are looked for again."""
        until(lambda: len(self._events()) >= self.seen + count, "%d events; there are %r" %
              (count, self._events()[self.seen:]))
        events = self._events()[self.seen:self.seen + count]
        self.seen += count
        return events

    def told(self, *wanted):
        """Exactly (type, path, value, value before) of each; returns their revisions."""
        events = self.next(len(wanted))
        equal([(e["type"], e["path"], e.get("data"), e.get("previous")) for e in events], list(wanted))
        return [e["revision"] for e in events]

    def stop(self):
        equal(len(self._events()), self.seen, "events that nobody made: %r" % self._events()[self.seen:])
        self.ctl.process.kill()


@check("create, create2, set, null data and delete through ZooKeeper are watched through gRPC with values")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, b"root")
        watch = Watch(t, t.base)
        a = t.base + "/a"
        client.create(a, b"one")
        created = watch.told(("created", a, "one", None))
        equal(created[0], client.stat(a).czxid)
        same_stat(t, client, a)
        equal(client.set(a, b"two").mzxid, watch.told(("set", a, "two", "one"))[0])
        same_stat(t, client, a)
        client.set(a, None)
        watch.told(("set", a, "", "two"))
        body = client.good(wire.CREATE2, create(a + "/b", b"x"))
        equal((body.text(), body.stat().czxid), (a + "/b", watch.told(("created", a + "/b", "x", None))[0]))
        same_stat(t, client, a)
        client.delete(a + "/b")
        equal(watch.told(("deleted", a + "/b", None, "x"))[0], same_stat(t, client, a).pzxid)
        client.delete(a)
        watch.told(("deleted", a, None, ""))
        equal(same_stat(t, client, t.base).cversion, 2)
        watch.stop()


@check("a multi through ZooKeeper is one revision, in order; a failed one is nothing")
def _(t):
    with Client(t.servers[1]) as client:
        client.create(t.base, b"0")
        watch = Watch(t, t.base)
        path = t.base + "/a"
        failed = client.multi((wire.CREATE, create(path)), (wire.CHECK, buf("/none") + i32(-1)))
        equal(failed, [("error", 0), ("error", wire.NO_NODE)])
        client.multi((wire.CREATE, create(path, b"1")), (wire.SET, buf(t.base) + buf(b"2") + i32(0)),
                     (wire.CREATE, create(t.base + "/s-", b"3", flags=2)), (wire.CHECK, buf(t.base) + i32(1)),
                     (wire.DELETE, buf(path) + i32(0)))
        events = watch.next(4)
        equal([(e["type"], e["path"], e.get("data"), e["sub"]) for e in events],
              [("created", path, "1", 0), ("set", t.base, "2", 1), ("created", t.base + "/s-0000000001", "3", 2),
               ("deleted", path, None, 3)])
        equal(len({e["revision"] for e in events}), 1)
        equal(events[0]["revision"], same_stat(t, client, t.base).mzxid)
        same_stat(t, client, t.base + "/s-0000000001")
        watch.stop()


@check("a multi through ZooKeeper may do everything that its single requests do, TTL and containers too")
def _(t):
    with Client(t.servers[2]) as client:
        client.create(t.base, b"0")
        watch = Watch(t, t.base)
        results = client.multi(
            (wire.CREATE2, create(t.base + "/a", b"1")), (wire.CREATE, create(t.base + "/e", b"2", flags=1)),
            (wire.CREATE_CONTAINER, create(t.base + "/c", b"3", flags=4)), (wire.CREATE, create(t.base + "/c/x", None)),
            (wire.CREATE_TTL, create(t.base + "/t-", b"4", flags=6) + i64(3600000)),
            (wire.SET, buf(t.base + "/e") + buf(b"5") + i32(0)), (wire.DELETE, buf(t.base + "/a") + i32(-1)))
        equal([one[0] for one in results], ["create2", "create", "create2", "create", "create2", "set", "delete"])
        events = watch.next(7)
        equal([(e["type"], e["path"][len(t.base):], e.get("data"), e.get("previous")) for e in events],
              [("created", "/a", "1", None), ("created", "/e", "2", None), ("created", "/c", "3", None),
               ("created", "/c/x", "", None), ("created", "/t-0000000003", "4", None), ("set", "/e", "5", "2"),
               ("deleted", "/a", None, "1")])
        equal(([e["sub"] for e in events], len({e["revision"] for e in events})), (list(range(7)), 1))
        for name in ("", "/e", "/c", "/c/x", "/t-0000000003"):
            same_stat(t, client, t.base + name)
        watch.stop()


@check("what ZooKeeper refuses is nothing to gRPC's watch either, and costs no revision")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, b"0")
        client.create(t.base + "/e", flags=1)
        watch = Watch(t, t.base)
        revision = same_stat(t, client, t.base).pzxid
        for kind, body, error in (
                (wire.CREATE, create(t.base), wire.EXISTS_ALREADY), (wire.CREATE, create(t.base + "/x/y"), wire.NO_NODE),
                (wire.CREATE2, create(t.base + "/e/x"), wire.NO_CHILDREN),
                (wire.CREATE, create(t.base + "/."), wire.BAD_ARGUMENTS),
                (wire.CREATE_TTL, create(t.base + "/t", flags=5) + i64(0), wire.BAD_ARGUMENTS),
                (wire.SET, buf(t.base) + buf(b"x") + i32(7), wire.BAD_VERSION),
                (wire.DELETE, buf(t.base) + i32(-1), wire.NOT_EMPTY), (wire.DELETE, buf(t.base + "/x") + i32(-1), wire.NO_NODE),
                (wire.SET_ACL, buf(t.base) + wire.acl(wire.ANYBODY) + i32(7), wire.BAD_VERSION)):
            equal(client.error(kind, body), error, "%d" % kind)
        created = client.good(wire.CREATE2, create(t.base + "/a", b"a"))
        created.text()
        equal(created.stat().czxid, revision + 1)
        watch.told(("created", t.base + "/a", "a", None))
        watch.stop()


@check("sequential, ephemeral, container and TTL nodes made through ZooKeeper are such to gRPC")
def _(t):
    with Client(t.servers[2]) as client:
        client.create(t.base)
        watch = Watch(t, t.base)
        client.create(t.base + "/s-", b"s", flags=2)
        client.create(t.base + "/e", b"e", flags=1)
        client.create(t.base + "/es-", b"es", flags=3)
        client.good(wire.CREATE_CONTAINER, create(t.base + "/c", b"c", flags=4))
        client.good(wire.CREATE_TTL, create(t.base + "/t", b"t", flags=5) + i64(3600000))
        events = watch.next(5)
        equal([(e["path"][len(t.base):], e["data"], e["stat"]["kind"], e["stat"]["ttl_ms"]) for e in events],
              [("/s-0000000000", "s", "persistent", 0), ("/e", "e", "ephemeral", 0),
               ("/es-0000000002", "es", "ephemeral", 0), ("/c", "c", "container", 0), ("/t", "t", "ttl", 3600000)])
        equal({int(e["stat"]["lease"], 16) for e in events if e["stat"]["kind"] == "ephemeral"}, {client.session})
        for event in events:
            same_stat(t, client, event["path"])
        listed = ctl_ok(endpoints(t), "session", "list").decode()
        expect("%016x" % client.session in listed, "the session is not listed:\n" + listed)
        client.end_session()
        gone = watch.next(2)
        equal(sorted((e["type"], e["path"], e["previous"], e["reason"]) for e in gone),
              [("deleted", t.base + "/e", "e", "closed"), ("deleted", t.base + "/es-0000000002", "es", "closed")])
        equal(len({e["revision"] for e in gone}), 1)
        watch.stop()


@check("what ends by itself is told with its reason: expired, emptied, ttl")
def _(t):
    with Client(t.servers[0], timeout=40000) as client:
        client.create(t.base)
        watch = Watch(t, t.base)
        with Client(t.servers[1], timeout=4000) as doomed:
            doomed.create(t.base + "/e", b"e", flags=1)
        client.good(wire.CREATE_CONTAINER, create(t.base + "/c", b"c", flags=4))
        client.create(t.base + "/c/x")
        client.delete(t.base + "/c/x")
        client.good(wire.CREATE_TTL, create(t.base + "/t", b"t", flags=5) + i64(100))
        until(lambda: len(watch._events()) >= watch.seen + 8, "all three are gone", 70)
        events = watch.next(8)
        gone = sorted((e["path"][len(t.base):], e["previous"], e["reason"]) for e in events
                      if e["type"] == "deleted")
        equal(gone, [("/c", "c", "emptied"), ("/c/x", "", "requested"), ("/e", "e", "expired"), ("/t", "t", "ttl")])
        watch.stop()


@check("setACL through ZooKeeper shows in gRPC's Stat, and is no change of the value")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, b"v")
        before = same_stat(t, client, t.base)
        client.good(wire.SET_ACL, buf(t.base) + wire.acl(wire.ANYBODY) + i32(0))
        after = same_stat(t, client, t.base)
        equal((after.aversion, after.mzxid, after.version), (1, before.mzxid, 0))


@check("an ACL set through ZooKeeper holds for gRPC")
def _(t):
    with Client(t.servers[0]) as client:
        client.auth("digest", "ann:secret")
        client.create(t.base, b"secret", entries=[(31, "auth", "")])
        for command in (("get", t.base), ("set", t.base, "x"), ("create", t.base + "/c"), ("ls", t.base)):
            code, out, error = ctl(endpoints(t), *command)
            equal((code, out), (8, b""), "%r: %s" % (command, error))
        equal(client.get(t.base)[0], b"secret")
        client.good(wire.SET_ACL, buf(t.base) + wire.acl(wire.ANYBODY) + i32(-1))
        equal(ctl_ok(endpoints(t), "get", t.base), b"secret")


def generate(scratch):
    """Generates what the gRPC checks import."""
    plugin = shutil.which("grpc_python_plugin")
    expect(plugin, "no grpc_python_plugin")
    proto = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "proto")
    subprocess.run(["protoc", "--proto_path=" + proto, "--python_out=" + scratch, "--grpc_python_out=" + scratch,
                    "--plugin=protoc-gen-grpc_python=" + plugin, "coord/v1/types.proto", "coord/v1/tree.proto"],
                   check=True)
    sys.path.insert(0, scratch)


@check("access control lists set through one protocol are shown by, and hold for, the other")
def _(t):
    grpc = importlib.import_module("grpc")
    messages = importlib.import_module("coord.v1.tree_pb2")
    service = importlib.import_module("coord.v1.tree_pb2_grpc")

    def refused(call, *arguments, **options):
        try:
            call(*arguments, **options)
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.PERMISSION_DENIED
        return False
    ann = (("coord-digest", "ann:secret"),)
    digest = "ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM="
    with grpc.insecure_channel(t.servers[0].address) as channel, Client(t.servers[0]) as client:
        tree = service.TreeStub(channel)
        entry = messages.Acl(permissions=31, scheme="auth")
        tree.Create(messages.CreateRequest(path=t.base, data=b"v", acl=[entry]), metadata=ann, timeout=10)
        equal(client.error(wire.GET, buf(t.base) + b"\0"), wire.NO_AUTH)
        equal(client.error(wire.CREATE, create(t.base + "/c")), wire.NO_AUTH)
        client.auth("digest", "ann:secret")
        body = client.good(wire.GET_ACL, buf(t.base))
        equal((body.acl(), body.stat().aversion), ([(31, "digest", digest)], 0))
        client.good(wire.SET_ACL, buf(t.base) + wire.acl([(31, "auth", ""), (1, "ip", "10.0.0.0/8")]) + i32(0))
        get = messages.GetAclRequest(path=t.base)
        expect(refused(tree.GetAcl, get, timeout=10), "GetAcl of a stranger")
        expect(refused(tree.Get, messages.GetRequest(path=t.base), timeout=10), "Get of a stranger")
        reply = tree.GetAcl(get, metadata=ann, timeout=10)
        equal(sorted((one.permissions, one.scheme, one.id) for one in reply.acl),
              [(1, "ip", "10.0.0.0/8"), (31, "digest", digest)])
        equal((reply.stat.acl_version, tree.Get(messages.GetRequest(path=t.base), metadata=ann, timeout=10).data),
              (1, b"v"))
        tree.SetAcl(messages.SetAclRequest(path=t.base, acl=[messages.Acl(permissions=1, scheme="world", id="anyone")]),
                    metadata=ann, timeout=10)
        with Client(t.servers[0]) as stranger:
            equal(stranger.get(t.base)[1].aversion, 2)
            equal(stranger.error(wire.SET, buf(t.base) + buf(b"") + i32(-1)), wire.NO_AUTH)
        root = (("coord-digest", target.SUPER),)
        tree.Set(messages.SetRequest(path=t.base, data=b"by super"), metadata=root, timeout=10)
        equal(same_stat(t, client, t.base).version, 1)


@check("create, set and rm of coordctl are told to kazoo's watches, with equal Stats")
def _(t):
    with Clients(t) as clients, Client(t.servers[0]) as raw:
        zk = clients.open(t.servers[1])
        events = queue.Queue()

        def told(*wanted):
            got = [events.get(timeout=WAIT_S) for _ in wanted]
            equal([(e.type, e.path) for e in got], list(wanted))
        zk.exists(t.base, watch=events.put)
        ctl_ok(endpoints(t), "create", t.base, "one")
        told(("CREATED", t.base))
        data, stat = zk.get(t.base, watch=events.put)
        same = same_stat(t, raw, t.base)
        equal((data, tuple(stat)), (b"one", tuple(same.as_dict().values())))
        ctl_ok(endpoints(t), "set", t.base, "two", "--version", "0")
        told(("CHANGED", t.base))
        data, stat = zk.get(t.base, watch=events.put)
        equal((data, tuple(stat)), (b"two", tuple(same_stat(t, raw, t.base).as_dict().values())))
        zk.get_children(t.base, watch=events.put)
        ctl_ok(endpoints(t), "create", t.base + "/c", "x")
        told(("CHILD", t.base))
        same_stat(t, raw, t.base)
        same_stat(t, raw, t.base + "/c")
        zk.get_children(t.base, watch=events.put)
        ctl_ok(endpoints(t), "rm", t.base + "/c")
        told(("CHILD", t.base))
        same_stat(t, raw, t.base)
        ctl_ok(endpoints(t), "rm", t.base)
        told(("DELETED", t.base))
        settled(zk)
        expect(events.empty(), "told more than once")


@check("coordctl's rm --recursive and txn are told to a recursive watch, in order, one zxid")
def _(t):
    with Client(t.servers[0]) as client:
        client.good(wire.ADD_WATCH, buf(t.base) + i32(1))
        ctl_ok(endpoints(t), "txn", "-f", "-", stdin=json.dumps({"then": [
            {"create": t.base, "data": "1"}, {"create": t.base + "/a", "data": "2"}, {"set": t.base, "data": "3"},
            {"create": t.base + "/s-", "sequential": True}]}).encode())
        client.sync()
        equal(client.pending_events(), [(CREATED, t.base), (CREATED, t.base + "/a"), (CHANGED, t.base),
                                        (CREATED, t.base + "/s-0000000001")])
        stats = [same_stat(t, client, path) for path in (t.base, t.base + "/a", t.base + "/s-0000000001")]
        equal(len({stat.czxid for stat in stats} | {stats[0].mzxid, stats[0].pzxid}), 1)
        ctl_ok(endpoints(t), "rm", t.base, "--recursive")
        client.sync()
        events = client.pending_events()
        equal(sorted(events), sorted((DELETED, path) for path in (t.base, t.base + "/a", t.base + "/s-0000000001")))
        equal(events[-1], (DELETED, t.base))


@check("coordctl's kinds of nodes are ZooKeeper's: sequence, ephemeralOwner, containers, TTL")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.create(t.base + "/s-", flags=2)
        session = ctl_ok(endpoints(t), "session", "open", "--ttl", "30s").decode().strip()
        for options, name in ((("--sequential",), "s-"), (("--ephemeral", "--session", session), "e"),
                              (("--container",), "c"), (("--ttl", "1h"), "t")):
            ctl_ok(endpoints(t), "create", t.base + "/" + name, "v", *options)
        equal(client.sync() and client.children(t.base), ["c", "e", "s-0000000000", "s-0000000001", "t"])
        equal(client.create(t.base + "/s-", flags=2), t.base + "/s-0000000005")
        owners = {name: same_stat(t, client, t.base + "/" + name).ephemeralOwner
                  for name in client.children(t.base)}
        equal({name: owner for name, owner in owners.items() if owner}, {"e": int(session.split(":")[0], 16)})
        equal(client.error(wire.CREATE, create(t.base + "/e/x")), wire.NO_CHILDREN)
        client.stat(t.base + "/e", watch=True)
        client.children(t.base, watch=True)
        ctl_ok(endpoints(t), "session", "close", session)
        equal([client.event(), client.event()], [(DELETED, t.base + "/e"), (CHILD, t.base)])
        client.sync()
        equal(client.stat(t.base + "/e"), None)


@check("create --parents, and nodes of a lease that is revoked, are told to ZooKeeper's watches")
def _(t):
    with Client(t.servers[1]) as client:
        client.create(t.base)
        client.good(wire.ADD_WATCH, buf(t.base) + i32(1))
        deep = [t.base + "/p", t.base + "/p/q", t.base + "/p/q/r"]
        ctl_ok(endpoints(t), "create", deep[-1], "x", "--parents")
        equal([client.event() for _ in deep], [(CREATED, path) for path in deep])
        equal(len({same_stat(t, client, path).czxid for path in deep}), 1)
        lease = ctl_ok(endpoints(t), "lease", "grant", "30s").decode().strip()
        for name in ("/l1", "/l2"):
            ctl_ok(endpoints(t), "create", t.base + name, "v", "--ephemeral", "--lease", lease)
            equal(client.event(), (CREATED, t.base + name))
            equal(same_stat(t, client, t.base + name).ephemeralOwner, int(lease, 16))
        equal(client.error(wire.CREATE, create(t.base + "/l1/x")), wire.NO_CHILDREN)
        ctl_ok(endpoints(t), "lease", "revoke", lease)
        equal(sorted([client.event(), client.event()]), [(DELETED, t.base + "/l1"), (DELETED, t.base + "/l2")])
        client.sync()
        equal(client.children(t.base), ["p"])
        equal(same_stat(t, client, t.base).cversion, 5)


@check("every kind of ZooKeeper watch hears of a gRPC write once, before the reply that shows it")
def _(t):
    with Client(t.servers[2]) as client:
        client.create(t.base, b"0")
        client.create(t.base + "/c", b"0")
        client.create(t.base + "/persistent")
        client.good(wire.ADD_WATCH, buf(t.base + "/persistent") + i32(0))
        client.get(t.base, watch=True)
        client.stat(t.base + "/new", watch=True)
        client.children(t.base, watch=True)
        client.get(t.base + "/c", watch=True)
        wanted = [(("set", t.base, "1"), [(CHANGED, t.base)]), (("set", t.base, "2"), []),
                  (("create", t.base + "/new", "n"), [(CREATED, t.base + "/new"), (CHILD, t.base)]),
                  (("rm", t.base + "/new"), []), (("rm", t.base + "/c"), [(DELETED, t.base + "/c")]),
                  (("set", t.base + "/persistent", "1"), [(CHANGED, t.base + "/persistent")]),
                  (("create", t.base + "/persistent/x"), [(CHILD, t.base + "/persistent")]),
                  (("rm", t.base + "/persistent/x"), [(CHILD, t.base + "/persistent")]),
                  (("rm", t.base + "/persistent"), [(DELETED, t.base + "/persistent")])]
        for command, events in wanted:
            ctl_ok(endpoints(t), *command)
            client.sync()
            client.get(t.base)
            equal(list(client.events), events, " ".join(command))
            equal(client.pending_events(), events, "once: " + " ".join(command))


@check("the Stats of /, /zookeeper and what is in it are the same through both")
def _(t):
    with Client(t.servers[0]) as client:
        for path in ("/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"):
            same_stat(t, client, path)


@check("versions guard across both protocols")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, b"0")
        ctl_ok(endpoints(t), "set", t.base, "1", "--version", "0")
        equal(client.error(wire.SET, buf(t.base) + buf(b"x") + i32(0)), wire.BAD_VERSION)
        equal(client.set(t.base, b"2", version=1).version, 2)
        equal(ctl(endpoints(t), "set", t.base, "x", "--version", "1")[0], 4)
        equal(ctl_ok(endpoints(t), "get", t.base), b"2")
        equal(ctl(endpoints(t), "create", t.base)[0], 5)
        equal(client.multi((wire.CHECK, buf(t.base) + i32(1))), [("error", wire.BAD_VERSION)])


@check("bytes of every value come back the same through the other protocol")
def _(t):
    value = bytes(range(256)) * 2000
    with Client(t.servers[0]) as client:
        client.create(t.base, value)
        equal(ctl_ok(endpoints(t), "get", t.base), value)
        ctl_ok(endpoints(t), "create", t.base + "-2", "-", stdin=value)
        client.sync()
        equal(client.get(t.base + "-2")[0], value)
        client.create(t.base + "/käse ☃", b"x")
        equal(json.loads(ctl_ok(endpoints(t), "get", t.base + "/käse ☃", "-o", "json"))["data"], "x")


@check("a session is one thing to both: closed through gRPC it has ended for its ZooKeeper client")
def _(t):
    with Client(t.servers[0]) as client, Client(t.servers[1]) as other:
        client.create(t.base, flags=1)
        other.sync()
        other.stat(t.base, watch=True)
        ctl_ok(endpoints(t), "session", "close", "%016x:%s" % (client.session, client.password.hex()))
        equal(other.event(), (DELETED, t.base))

        def refused():
            try:
                Client(t.servers[2], of=client).close()
                return False
            except Refused:
                return True
        until(refused, "the session is expired to whoever resumes it")


@check("watchers of both protocols see the same order while a server is killed")
def _(t):
    victim = t.followers()[0]
    others = [server for server in t.servers if server is not victim]
    with Client(others[0], timeout=40000) as client, Client(others[1], timeout=40000) as writer:
        writer.create(t.base)
        client.sync()
        client.good(wire.ADD_WATCH, buf(t.base) + i32(1))
        watch = Watch(t, t.base)
        paths = []
        for number in range(60):
            if number == 20:
                victim.kill()
            if number == 40:
                victim.start()
            if number % 2:
                paths.append("%s/grpc-%d" % (t.base, number))
                ctl_ok(endpoints(t), "create", paths[-1], "%d" % number)
            else:
                paths.append("%s/zk-%d" % (t.base, number))
                writer.create(paths[-1], b"%d" % number)
        events = watch.next(60)
        equal([e["path"] for e in events], paths)
        revisions = [e["revision"] for e in events]
        equal(revisions, sorted(set(revisions)))
        equal([client.event() for _ in paths], [(CREATED, path) for path in paths])
        until(victim.is_serving, "the killed server serves again", 30)
        for path in (paths[0], paths[-1], t.base):
            same_stat(t, client, path)
        watch.stop()


if __name__ == "__main__":
    expect(target.IS_COORD, "ZooKeeper has one protocol only")
    checks.main(generate)
