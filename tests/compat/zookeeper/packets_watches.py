"""Watches: one-shot, persistent, recursive; setWatches after a reconnect; order of events and replies."""
import wire
from checks import check, equal, since
from harness import expect, until
from wire import CHANGED, CHILD, CREATED, DELETED, Client, buf, create, i32, i64

PERSISTENT, RECURSIVE = 0, 1
OF_CHILDREN, OF_DATA, ANY = 1, 2, 3


def add_watch(client, path, mode):
    body = client.good(wire.ADD_WATCH, buf(path) + i32(mode))
    equal(body.i32(), 0)
    body.end()


def set_watches(client, since_zxid, data=(), exist=(), child=(), persistent=None, recursive=None, xid=-8):
    body = i64(since_zxid) + wire.vector(data) + wire.vector(exist) + wire.vector(child)
    kind = wire.SET_WATCHES
    if persistent is not None or recursive is not None:
        kind = wire.SET_WATCHES2
        body += wire.vector(persistent or ()) + wire.vector(recursive or ())
    reply = client.call(kind, body, xid=xid)
    equal(reply.err, 0)
    reply.body.end()
    events, client.events = client.events, []
    return events


def through_its_life(client, path):
    """create, set, create child, set child, delete child, delete."""
    client.create(path)
    client.set(path, b"x")
    client.create(path + "/child")
    client.set(path + "/child", b"x")
    client.delete(path + "/child")
    client.delete(path)


@check("getData arms a watch that tells one change of data")
def _(t):
    with Client(t.servers[0]) as client, Client(t.servers[1]) as other:
        client.create(t.base)
        client.get(t.base, watch=True)
        other.set(t.base, b"x")
        other.set(t.base, b"y")
        equal(client.event(), (CHANGED, t.base))
        client.sync()
        equal(client.pending_events(), [])


@check("exists arms a watch that tells of a create, even as it answers -101; of a change, or a delete")
def _(t):
    with Client(t.servers[0]) as client, Client(t.servers[1]) as other:
        for change, event in ((lambda: other.create(t.base), CREATED), (lambda: other.set(t.base, b"x"), CHANGED),
                              (lambda: other.delete(t.base), DELETED)):
            client.sync()
            client.stat(t.base, watch=True)
            change()
            equal(client.event(), (event, t.base))
        client.sync()
        equal(client.pending_events(), [])


@check("getChildren and getChildren2 arm a watch on creates and deletes of children")
def _(t):
    for kind in (wire.CHILDREN, wire.CHILDREN2):
        base = "%s-%d" % (t.base, kind)
        with Client(t.servers[0]) as client:
            client.create(base)
            client.good(kind, buf(base) + b"\1")
            client.set(base, b"neither its own data")
            client.create(base + "/a")
            equal(client.events, [(CHILD, base)])
            client.events.clear()
            client.create(base + "/a/grandchild")
            client.good(kind, buf(base) + b"\1")
            client.set(base + "/a", b"nor a child's")
            client.delete(base + "/a/grandchild")
            equal(client.pending_events(), [])
            client.delete(base + "/a")
            equal(client.events, [(CHILD, base)])


@check("getData and getChildren of a missing node leave no watch")
def _(t):
    with Client(t.servers[0]) as client:
        for kind in (wire.GET, wire.CHILDREN, wire.CHILDREN2):
            equal(client.error(kind, buf(t.base) + b"\1"), wire.NO_NODE)
        client.create(t.base)
        client.create(t.base + "/c")
        client.set(t.base, b"x")
        equal(client.pending_events(), [])


@check("the event comes before the reply that would reveal its change, also to the writer itself")
def _(t):
    for server in t.servers:
        with Client(server) as client:
            path = "%s-%d" % (t.base, server.port)
            client.create(path)
            for kind in ("set", "delete"):
                client.get(path, watch=True)
                xid = client.request(wire.SET, buf(path) + buf(b"x") + i32(-1)) if kind == "set" else \
                    client.request(wire.DELETE, buf(path) + i32(-1))
                equal(client.next().as_event(), (CHANGED if kind == "set" else DELETED, path))
                equal(client.next().xid, xid)


@check("no reply shows another's change before the watch on it has told")
def _(t):
    with Client(t.servers[0]) as writer, Client(t.servers[1]) as reader:
        writer.create(t.base, b"0")
        reader.sync()
        for number in range(1, 60):
            reader.get(t.base, watch=True)
            equal(reader.events, [])
            writer.request(wire.SET, buf(t.base) + buf(b"%d" % number) + i32(-1))
            while reader.get(t.base)[0] != b"%d" % number:
                equal(reader.events, [])
            equal(reader.events, [(CHANGED, t.base)])
            reader.events.clear()
            writer.reply(writer.xid)


@check("a delete is told once to a connection that watches data, existence and children")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.get(t.base, watch=True)
        client.stat(t.base, watch=True)
        client.children(t.base, watch=True)
        client.delete(t.base)
        equal(client.events, [(DELETED, t.base)])
        equal(client.pending_events(), [(DELETED, t.base)])


@check("create tells the node's watch, then the parent's; delete as well")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.children(t.base, watch=True)
        client.stat(t.base + "/a", watch=True)
        client.create(t.base + "/a")
        equal(client.pending_events(), [(CREATED, t.base + "/a"), (CHILD, t.base)])
        client.children(t.base, watch=True)
        client.stat(t.base + "/a", watch=True)
        client.delete(t.base + "/a")
        equal(client.pending_events(), [(DELETED, t.base + "/a"), (CHILD, t.base)])


@check("setACL tells nobody")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.get(t.base, watch=True)
        client.children(t.base, watch=True)
        client.good(wire.SET_ACL, buf(t.base) + wire.acl(wire.ANYBODY) + i32(-1))
        equal(client.pending_events(), [])


@check("watches belong to a connection: who resumes the session elsewhere is told nothing")
def _(t):
    with Client(t.servers[0]) as old:
        old.create(t.base)
        old.get(t.base, watch=True)
        new = Client(t.servers[0], of=old)
        new.set(t.base, b"x")
        equal(new.pending_events(), [])
        new.end_session()


@check("the events of a multi come behind one another before its reply")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.create(t.base + "/a")
        client.get(t.base, watch=True)
        client.children(t.base, watch=True)
        client.get(t.base + "/a", watch=True)
        client.stat(t.base + "/b", watch=True)
        client.multi((wire.SET, buf(t.base) + buf(b"x") + i32(-1)),
                     (wire.SET, buf(t.base + "/a") + buf(b"x") + i32(-1)),
                     (wire.CREATE, create(t.base + "/b")), (wire.DELETE, buf(t.base + "/b") + i32(-1)))
        equal(client.events, [(CHANGED, t.base), (CHANGED, t.base + "/a"), (CREATED, t.base + "/b"),
                              (CHILD, t.base)])


@check("a failed multi tells nobody")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.get(t.base, watch=True)
        client.multi((wire.SET, buf(t.base) + buf(b"x") + i32(-1)), (wire.CHECK, buf("/none") + i32(-1)))
        equal(client.pending_events(), [])


@check("an event carries xid -1, no error, state 3, and the change's zxid (up to 3.8: -1)")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.get(t.base, watch=True)
        client.request(wire.SET, buf(t.base) + buf(b"x") + i32(-1))
        event, reply = client.next(), client.next()
        equal((event.xid, event.err), (-1, 0))
        equal(event.zxid, since(t, (3, 9), newer=reply.zxid, older=-1))
        equal(event.body.data, i32(CHANGED) + i32(3) + buf(t.base))


@check("a persistent watch tells 1, 3, 4, 4, 2 and stays")
def _(t):
    with Client(t.servers[0]) as client:
        add_watch(client, t.base, PERSISTENT)
        for _ in range(2):
            through_its_life(client, t.base)
            equal(client.pending_events(),
                  [(CREATED, t.base), (CHANGED, t.base), (CHILD, t.base), (CHILD, t.base), (DELETED, t.base)])


@check("a recursive watch tells of the node and all below it with their own paths, never 4, and stays")
def _(t):
    with Client(t.servers[0]) as client:
        add_watch(client, t.base, RECURSIVE)
        child = t.base + "/child"
        for _ in range(2):
            through_its_life(client, t.base)
            equal(client.pending_events(),
                  [(CREATED, t.base), (CHANGED, t.base), (CREATED, child), (CHANGED, child), (DELETED, child),
                   (DELETED, t.base)])
        client.create(t.base)
        client.create(child)
        client.create(child + "/deep")
        equal(client.pending_events()[-1], (CREATED, child + "/deep"))
        client.create(t.base + "-beside")
        equal(client.pending_events(), [])


@check("a recursive watch on / sees everything")
def _(t):
    with Client(t.servers[0]) as client:
        add_watch(client, "/", RECURSIVE)
        client.create(t.base)
        expect((CREATED, t.base) in client.pending_events(), "not told")


@check("addWatch with another mode is -5")
def _(t):
    with Client(t.servers[0]) as client:
        for mode in (2, -1, 100):
            equal(client.error(wire.ADD_WATCH, buf(t.base) + i32(mode)), wire.MARSHALLING)
        client.create(t.base)
        equal(client.pending_events(), [])


@check("removeWatches with type any removes every kind; without one to remove -121")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        for arm in (lambda: client.get(t.base, watch=True), lambda: client.children(t.base, watch=True),
                    lambda: add_watch(client, t.base, PERSISTENT), lambda: add_watch(client, t.base, RECURSIVE)):
            equal(client.error(wire.REMOVE_WATCHES, buf(t.base) + i32(ANY)), wire.NO_WATCHER)
            arm()
            equal(client.error(wire.REMOVE_WATCHES, buf(t.base) + i32(ANY)), 0)
            client.set(t.base, b"x")
            client.create(t.base + "/c")
            client.delete(t.base + "/c")
            equal(client.pending_events(), [])


@check("removeWatches of data leaves those of children, and the other way round")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.get(t.base, watch=True)
        client.children(t.base, watch=True)
        equal(client.error(wire.REMOVE_WATCHES, buf(t.base) + i32(OF_DATA)), 0)
        equal(client.error(wire.REMOVE_WATCHES, buf(t.base) + i32(OF_DATA)), wire.NO_WATCHER)
        client.set(t.base, b"x")
        client.create(t.base + "/c")
        equal(client.pending_events(), [(CHILD, t.base)])
        client.get(t.base, watch=True)
        client.children(t.base, watch=True)
        equal(client.error(wire.REMOVE_WATCHES, buf(t.base) + i32(OF_CHILDREN)), 0)
        client.create(t.base + "/d")
        client.set(t.base, b"y")
        equal(client.pending_events(), [(CHANGED, t.base)])


@check("checkWatches says whether there is such a watch and removes nothing")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        for kind in (OF_CHILDREN, OF_DATA, ANY):
            equal(client.error(wire.CHECK_WATCHES, buf(t.base) + i32(kind)), wire.NO_WATCHER, "type %d" % kind)
        client.get(t.base, watch=True)
        for kind, wanted in ((OF_CHILDREN, wire.NO_WATCHER), (OF_DATA, 0), (ANY, 0)):
            equal(client.error(wire.CHECK_WATCHES, buf(t.base) + i32(kind)), wanted, "type %d" % kind)
        client.set(t.base, b"x")
        equal(client.pending_events(), [(CHANGED, t.base)])
        equal(client.error(wire.CHECK_WATCHES, buf(t.base) + i32(ANY)), wire.NO_WATCHER)


@check("checkWatches and removeWatches of an unknown type are -5")
def _(t):
    with Client(t.servers[0]) as client:
        for operation in (wire.CHECK_WATCHES, wire.REMOVE_WATCHES):
            for kind in (0, -1, 99):
                equal(client.error(operation, buf("/") + i32(kind)), wire.MARSHALLING)
        equal(client.error(wire.EXISTS, buf("/") + b"\0"), 0)


def missed(t, client):
    """Nodes as a reconnecting client left them; returns the zxid until which it has seen them."""
    client.create(t.base)
    for name in ("same", "changed", "deleted", "children", "again"):
        client.create("%s/%s" % (t.base, name))
    seen = client.call(wire.PING, xid=-2).zxid
    client.set(t.base + "/changed", b"x")
    client.delete(t.base + "/deleted")
    client.create(t.base + "/children/new")
    client.delete(t.base + "/again")
    client.create(t.base + "/again")
    client.create(t.base + "/made")
    return seen


@check("setWatches tells of each watch what was missed, before its reply, and arms the others")
def _(t):
    for xid in (-8, 55):
        t.base += "x"
        with Client(t.servers[0]) as old:
            seen = missed(t, old)
            new = Client(t.servers[1], of=old)
            new.sync()
            at = lambda *names: ["%s/%s" % (t.base, name) for name in names]
            events = set_watches(new, seen, data=at("same", "changed", "deleted", "again"),
                                 exist=at("made", "never"), child=at("same", "children", "deleted"), xid=xid)
            names = [(kind, path[len(t.base) + 1:]) for kind, path in events]
            equal(sorted(set(names)), sorted([(CHANGED, "changed"), (DELETED, "deleted"), (CHANGED, "again"),
                                              (CREATED, "made"), (CHILD, "children")]))
            new.set(t.base + "/changed", b"y")
            new.create(t.base + "/same/c")
            new.set(t.base + "/same", b"y")
            new.create(t.base + "/never")
            equal(sorted(new.pending_events()),
                  sorted([(CHILD, t.base + "/same"), (CHANGED, t.base + "/same"), (CREATED, t.base + "/never")]))
            new.end_session()


@check("setWatches says data first, then existence, then children, each in the order of the request")
def _(t):
    with Client(t.servers[0]) as client:
        seen = missed(t, client)
        at = lambda *names: ["%s/%s" % (t.base, name) for name in names]
        events = set_watches(client, seen, data=at("again", "changed"), exist=at("made", "same"),
                             child=at("children"))
        equal([path[len(t.base) + 1:] for _, path in events], ["again", "changed", "made", "same", "children"])


@check("setWatches2 arms persistent and recursive watches without telling what was missed")
def _(t):
    with Client(t.servers[0]) as client:
        seen = missed(t, client)
        events = set_watches(client, seen, data=[t.base + "/changed"], persistent=[t.base + "/children"],
                             recursive=[t.base + "/again"], xid=9)
        equal(events, [(CHANGED, t.base + "/changed")])
        client.create(t.base + "/children/c")
        client.create(t.base + "/again/d")
        client.set(t.base + "/again/d", b"x")
        equal(client.pending_events(),
              [(CHILD, t.base + "/children"), (CREATED, t.base + "/again/d"), (CHANGED, t.base + "/again/d")])


@check("empty setWatches are answered")
def _(t):
    with Client(t.servers[0]) as client:
        equal(set_watches(client, 0), [])
        equal(set_watches(client, 0, persistent=[]), [])


@check("an ephemeral's end is told to watchers at other servers")
def _(t):
    with Client(t.servers[0]) as owner, Client(t.servers[1]) as watcher:
        watcher.create(t.base)
        owner.create(t.base + "/e", flags=1)
        watcher.sync()
        watcher.stat(t.base + "/e", watch=True)
        watcher.children(t.base, watch=True)
        owner.end_session()
        equal([watcher.event(), watcher.event()], [(DELETED, t.base + "/e"), (CHILD, t.base)])


@check("a hundred connections are each told once of one change")
def _(t):
    with Client(t.servers[0]) as writer:
        writer.create(t.base)
        clients = [Client(t.servers[i % 3]) for i in range(100)]
        for client in clients:
            client.sync()
            client.get(t.base, watch=True)
        writer.set(t.base, b"x")
        writer.set(t.base, b"y")
        for client in clients:
            equal(client.event(), (CHANGED, t.base))
            client.sync()
            equal(client.pending_events(), [])
            client.request(wire.CLOSE)
        for client in clients:
            client.close()


@check("a recursive and a one-shot watch on one path: one event each (3.8: the newest mode alone)")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        add_watch(client, t.base, RECURSIVE)
        client.get(t.base, watch=True)
        client.set(t.base, b"x")
        client.set(t.base, b"y")
        events = client.pending_events()
        equal(events, since(t, (3, 9), newer=[(CHANGED, t.base)] * 2, older=[(CHANGED, t.base)]))


@check("a node that dies does not keep watchers of other servers waiting")
def _(t):
    leader = t.leader()
    follower = t.followers()[0]
    with Client(follower, timeout=30000) as watcher:
        watcher.create(t.base)
        watcher.get(t.base, watch=True)
        seen = watcher.call(wire.PING, xid=-2).zxid
        leader.kill()

        def write():
            other = [s for s in t.servers if s not in (leader, follower)][0]
            try:
                with Client(other) as client:
                    return client.set(t.base, b"x")
            except (wire.Failure, OSError):
                return None
        until(write, "a write is taken by who is left", 30)
        # ZooKeeper's followers drop their clients when the leader goes; they come back like this.
        try:
            event = watcher.next()
            while event.xid != -1:
                event = watcher.next()
            equal(event.as_event(), (CHANGED, t.base))
        except wire.Failure:
            again = Client(follower, timeout=30000, of=watcher, seen=seen)
            again.sync()
            equal(set_watches(again, seen, data=[t.base]), [(CHANGED, t.base)])
        leader.restart()
