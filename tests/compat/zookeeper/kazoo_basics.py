"""kazoo's calls: nodes, sessions, watches, transactions, ACLs."""
import queue

from kazoo import exceptions as no
from kazoo.client import KazooState
from kazoo.protocol.states import EventType, KeeperState
from kazoo.security import OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, make_acl, make_digest_acl

import target
from checks import check, equal
from harness import expect, until
from kazoo_setup import WAIT_S, Clients, Thread, raises, settled, until_connected


@check("kazoo: create, get, set, exists and delete with versions")
def _(t):
    with Clients(t) as clients:
        zk = clients.open()
        equal(zk.create(t.base, b"one"), t.base)
        data, stat = zk.get(t.base)
        equal((data, stat.version, stat.data_length, stat.children_count), (b"one", 0, 3, 0))
        equal((stat.czxid, stat.czxid), (stat.mzxid, stat.pzxid))
        after = zk.set(t.base, b"two", version=0)
        equal((after.version, after.czxid), (1, stat.czxid))
        expect(after.mzxid > stat.mzxid, "mzxid")
        raises(no.BadVersionError, zk.set, t.base, b"x", version=0)
        equal(zk.exists(t.base), zk.get(t.base)[1])
        raises(no.BadVersionError, zk.delete, t.base, version=0)
        zk.delete(t.base, version=1)
        equal(zk.exists(t.base), None)
        raises(no.NoNodeError, zk.get, t.base)
        raises(no.NoNodeError, zk.set, t.base, b"")
        raises(no.NoNodeError, zk.delete, t.base)
        raises(no.NoNodeError, zk.get_children, t.base)


@check("kazoo: create with parents, ensure_path, recursive delete, children with Stat")
def _(t):
    with Clients(t) as clients:
        zk = clients.open()
        raises(no.NoNodeError, zk.create, t.base + "/a/b")
        zk.create(t.base + "/a/b", b"x", makepath=True)
        zk.ensure_path(t.base + "/a/c/d")
        raises(no.NodeExistsError, zk.create, t.base + "/a")
        children, stat = zk.get_children(t.base + "/a", include_data=True)
        equal((sorted(children), stat.numChildren, stat.cversion), (["b", "c"], 2, 2))
        raises(no.NotEmptyError, zk.delete, t.base + "/a")
        zk.delete(t.base, recursive=True)
        equal(zk.exists(t.base), None)


@check("kazoo: create2 answers the Stat")
def _(t):
    with Clients(t) as clients:
        zk = clients.open()
        path, stat = zk.create(t.base, b"abc", include_data=True)
        equal((path, stat), (t.base, zk.exists(t.base)))


@check("kazoo: ephemeral and sequential nodes")
def _(t):
    with Clients(t) as clients:
        zk, other = clients.open(t.servers[0]), clients.open(t.servers[1])
        zk.create(t.base)
        equal([zk.create(t.base + "/s-", sequence=True, ephemeral=i % 2 == 1) for i in range(4)],
              ["%s/s-%010d" % (t.base, i) for i in range(4)])
        raises(no.NoChildrenForEphemeralsError, zk.create, t.base + "/s-0000000001/c")
        settled(other)
        equal(other.exists(t.base + "/s-0000000003").ephemeralOwner, zk.client_id[0])
        zk.stop()
        settled(other)
        equal(sorted(other.get_children(t.base)), ["s-0000000000", "s-0000000002"])


@check("kazoo: empty data, a million bytes, unicode names")
def _(t):
    with Clients(t) as clients:
        zk = clients.open()
        for name, data in (("/empty", b""), ("/big", bytes(range(256)) * 3900), ("/käse ☃", b"x")):
            zk.create(t.base + name, data, makepath=True)
            equal(zk.get(t.base + name)[0], data)
        equal(sorted(zk.get_children(t.base)), sorted(["empty", "big", "käse ☃"]))


@check("kazoo: asynchronous calls complete in order")
def _(t):
    with Clients(t) as clients:
        zk = clients.open()
        zk.create(t.base)
        results = [zk.set_async(t.base, b"%d" % i, version=i) for i in range(500)]
        equal([r.get(timeout=WAIT_S).version for r in results], list(range(1, 501)))


@check("kazoo: get, exists and get_children arm watches that tell once")
def _(t):
    with Clients(t) as clients:
        zk, other = clients.open(t.servers[0]), clients.open(t.servers[1])
        events = queue.Queue()
        zk.create(t.base)
        zk.get(t.base, watch=events.put)
        settled(other)
        other.set(t.base, b"x")
        other.set(t.base, b"y")
        event = events.get(timeout=WAIT_S)
        equal((event.type, event.state, event.path), (EventType.CHANGED, KeeperState.CONNECTED, t.base))
        zk.exists(t.base + "/c", watch=events.put)
        zk.get_children(t.base, watch=events.put)
        other.create(t.base + "/c")
        told = [events.get(timeout=WAIT_S) for _ in range(2)]
        equal([(e.type, e.path) for e in told], [(EventType.CREATED, t.base + "/c"), (EventType.CHILD, t.base)])
        zk.get(t.base + "/c", watch=events.put)
        other.delete(t.base + "/c")
        equal(events.get(timeout=WAIT_S).type, EventType.DELETED)
        settled(zk)
        expect(events.empty(), "told more than once")


@check("kazoo: a transaction commits as one, or tells every operation's error")
def _(t):
    with Clients(t) as clients:
        zk = clients.open()
        zk.create(t.base, b"0")
        transaction = zk.transaction()
        transaction.check(t.base, 0)
        transaction.create(t.base + "/a", b"x")
        transaction.create(t.base + "/s-", sequence=True, ephemeral=True)
        transaction.set_data(t.base, b"1", version=0)
        transaction.delete(t.base + "/a", version=0)
        results = transaction.commit()
        equal(results[:3] + results[4:], [True, t.base + "/a", t.base + "/s-0000000001", True])
        equal((results[3].version, zk.get(t.base)[0]), (1, b"1"))

        transaction = zk.transaction()
        transaction.create(t.base + "/b")
        transaction.check(t.base, 0)
        transaction.delete(t.base)
        results = transaction.commit()
        equal([type(r) for r in results], [no.RolledBackError, no.BadVersionError, no.RuntimeInconsistency])
        equal(zk.exists(t.base + "/b"), None)
        with zk.transaction() as transaction:
            transaction.create(t.base + "/with")
        expect(zk.exists(t.base + "/with"), "not committed by the block")


@check("kazoo: ACLs, digest users, super")
def _(t):
    with Clients(t) as clients:
        acl = make_digest_acl("ann", "secret", all=True)
        ann = clients.open(auth_data=[("digest", "ann:secret")])
        other = clients.open()
        root = clients.open(auth_data=[("digest", target.SUPER)])
        ann.create(t.base, b"v", acl=[acl])
        settled(other)
        raises(no.NoAuthError, other.get, t.base)
        raises(no.NoAuthError, other.set, t.base, b"")
        raises(no.NoAuthError, other.create, t.base + "/c")
        raises(no.NoAuthError, other.get_acls, t.base)
        listed, stat = ann.get_acls(t.base)
        equal((listed, stat.aversion), ([acl], 0))
        raises(no.BadVersionError, ann.set_acls, t.base, OPEN_ACL_UNSAFE, version=5)
        equal(ann.set_acls(t.base, [acl] + READ_ACL_UNSAFE, version=0).aversion, 1)
        settled(other)
        equal(other.get(t.base)[0], b"v")
        hidden = [one.id.id for one in other.get_acls(t.base)[0] if one.id.scheme == "digest"]
        equal(hidden, ["ann:x"])
        raises(no.NoAuthError, other.set, t.base, b"")
        other.add_auth("digest", "ann:secret")
        other.set(t.base, b"w")
        settled(root)
        root.set(t.base, b"by super")
        raises(no.InvalidACLError, ann.create, t.base + "/bad", acl=[make_acl("nosuch", "x", all=True)])
        ann.create(t.base + "/ip", acl=[make_acl("ip", "127.0.0.1", all=True)])


@check("kazoo: an unknown scheme fails the authentication")
def _(t):
    with Clients(t) as clients:
        zk = clients.open()
        raises(no.AuthFailedError, zk.add_auth, "nosuch", "x")


@check("kazoo: default_acl and auth_data open nodes to their creator, also after a reconnect")
def _(t):
    with Clients(t) as clients:
        mine = [make_digest_acl("ann", "secret", all=True)]
        zk = clients.open(auth_data=[("digest", "ann:secret")], default_acl=mine, timeout=20.0)
        zk.create(t.base, b"v")
        server = clients.server_of(zk)
        server.kill()
        until(lambda: "SUSPENDED" in zk.states, "the client notices", 20)
        until_connected(zk)
        equal(zk.retry(zk.get, t.base)[0], b"v")
        server.restart()


@check("kazoo: chroot, with its root made first")
def _(t):
    with Clients(t) as clients:
        plain = clients.open()
        plain.create(t.base)
        zk = clients.open()
        zk.chroot = t.base
        zk.create("/x", b"y")
        settled(plain)
        equal(plain.get(t.base + "/x")[0], b"y")
        equal(zk.get_children("/"), ["x"])


@check("kazoo: server_version, command and sync")
def _(t):
    with Clients(t) as clients:
        zk = clients.open()
        expect(zk.server_version() >= (3, 8), "version %r" % (zk.server_version(),))
        equal(zk.command(b"ruok"), "imok")
        zk.create(t.base)
        equal(zk.sync(t.base), t.base)
        equal(zk.get("/zookeeper/config")[1].data_length, len(zk.get("/zookeeper/config")[0]))


@check("kazoo: the session goes on at another server when its own is killed, ephemerals and all")
def _(t):
    with Clients(t) as clients:
        zk = clients.open(timeout=20.0)
        zk.create(t.base, ephemeral=True)
        session = zk.client_id
        server = clients.server_of(zk)
        server.kill()
        until(lambda: KazooState.SUSPENDED in zk.states, "the client notices", 20)
        until_connected(zk)
        expect(KazooState.LOST not in zk.states, "the session was lost: %r" % zk.states)
        equal(zk.client_id, session)
        equal(zk.retry(zk.exists, t.base).ephemeralOwner, session[0])
        expect(clients.server_of(zk) is not server, "connected to the dead")
        server.restart()
        with Clients(t) as more:
            late = more.open(server)
            settled(late)
            equal(late.exists(t.base).ephemeralOwner, session[0])


@check("kazoo: DataWatch and ChildrenWatch go on across a server that is killed, and miss nothing")
def _(t):
    with Clients(t) as clients:
        zk = clients.open(timeout=20.0)
        zk.create(t.base, b"0")
        values, lists = [], []
        zk.DataWatch(t.base, lambda data, stat: values.append(data))
        zk.ChildrenWatch(t.base, lambda children: lists.append(sorted(children)))
        server = clients.server_of(zk)
        others = [other for other in t.servers if other is not server]
        writer = clients.open(others[0], timeout=20.0)
        writer.set(t.base, b"1")
        until(lambda: values[-1:] == [b"1"], "the first change is told")
        server.kill()

        def write():
            writer.retry(writer.set, t.base, b"2")
            writer.retry(writer.ensure_path, t.base + "/a")
        Thread(write).result()
        until(lambda: values[-1:] == [b"2"], "what changed meanwhile is told", 30)
        until(lambda: lists[-1:] == [["a"]], "so are children", 30)
        writer.set(t.base, b"3")
        writer.create(t.base + "/b")
        until(lambda: values[-1:] == [b"3"] and lists[-1:] == [["a", "b"]], "and what comes after")
        expect(len(values) == len(set(values)), "a value is told twice: %r" % values)
        server.restart()


@check("kazoo: a session that its client cannot keep alive is lost, and a new one begins")
def _(t):
    with Clients(t) as clients:
        zk, other = clients.open(t.servers[0], timeout=4.0), clients.open(t.servers[1])
        session = zk.client_id
        zk.create(t.base, ephemeral=True)
        t.servers[0].kill()
        until(lambda: other.retry(other.exists, t.base) is None, "the ephemeral is gone", 30)
        t.servers[0].restart()
        until(lambda: KazooState.LOST in zk.states and zk.connected, "the client is told", 30)
        expect(zk.client_id[0] != session[0], "the same session")
        equal(zk.retry(zk.exists, t.base), None)


@check("kazoo: three servers are killed one after the other, writers and readers go on")
def _(t):
    with Clients(t) as clients:
        zk = clients.open(timeout=20.0)
        zk.create(t.base)
        written = []
        for server in list(t.servers):
            server.kill()
            for _ in range(5):
                written.append(zk.retry(zk.create, t.base + "/n-", b"", sequence=True))
            server.restart()
        settled(zk)
        children = {t.base + "/" + name for name in zk.get_children(t.base)}
        expect(set(written) <= children, "lost: %r" % (set(written) - children))
