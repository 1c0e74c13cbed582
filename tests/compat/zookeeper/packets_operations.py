"""Every operation: results, Stat fields, error codes and their order, multi."""
import time

import wire
from checks import check, differs, equal, since
from harness import expect, until
from wire import ANYBODY, BAD_ARGUMENTS, Client, buf, create, i32, i64

VERSION_ANY = i32(-1)


def stats(client, path, *names):
    stat = client.stat(path).as_dict()
    return tuple(stat[name] for name in names)


@check("a fresh node's Stat: one zxid three times, versions 0, the time of now, its length, no children")
def _(t):
    with Client(t.servers[0]) as client:
        before = time.time()
        body = client.good(wire.CREATE2, create(t.base, b"four"))
        equal(body.text(), t.base)
        stat = body.stat()
        body.end()
        zxid = client.call(wire.PING, xid=-2).zxid
        equal((stat.czxid, stat.mzxid, stat.pzxid), (zxid, zxid, zxid))
        equal((stat.version, stat.cversion, stat.aversion, stat.ephemeralOwner), (0, 0, 0, 0))
        equal((stat.dataLength, stat.numChildren), (4, 0))
        equal(stat.ctime, stat.mtime)
        expect(abs(stat.ctime / 1000 - before) < 60, "ctime %d" % stat.ctime)
        equal(client.get(t.base), (b"four", stat))
        equal(client.stat(t.base), stat)


@check("setData raises version and mzxid, leaves czxid and pzxid, and answers the new Stat")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, b"v")
        first = client.stat(t.base)
        second = client.set(t.base, b"longer")
        equal(second, client.stat(t.base))
        equal((second.version, second.dataLength, second.cversion, second.aversion), (1, 6, 0, 0))
        equal((second.czxid, second.ctime, second.pzxid), (first.czxid, first.ctime, first.pzxid))
        equal(second.mzxid, client.call(wire.PING, xid=-2).zxid)
        expect(second.mzxid > first.mzxid and second.mtime >= first.mtime, "not modified")
        equal(client.set(t.base, b"", version=1).version, 2)
        equal(client.error(wire.SET, buf(t.base) + buf(b"") + i32(1)), wire.BAD_VERSION)
        equal(client.stat(t.base).version, 2)


@check("setACL raises aversion only")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, b"v")
        first = client.stat(t.base)
        stat = client.good(wire.SET_ACL, buf(t.base) + wire.acl(ANYBODY) + i32(0)).stat()
        equal(stat.aversion, 1)
        wanted = first.as_dict()
        wanted["aversion"] = 1
        equal(stat.as_dict(), wanted)
        equal(client.error(wire.SET_ACL, buf(t.base) + wire.acl(ANYBODY) + i32(0)), wire.BAD_VERSION)


@check("cversion counts creates and deletes of children, pzxid is the last of them, a child's setData nothing")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        equal(stats(client, t.base, "cversion", "numChildren"), (0, 0))
        client.create(t.base + "/a")
        client.create(t.base + "/b")
        made = client.stat(t.base + "/b").czxid
        equal(stats(client, t.base, "cversion", "numChildren", "pzxid"), (2, 2, made))
        client.set(t.base + "/a", b"x")
        client.create(t.base + "/a/grandchild")
        equal(stats(client, t.base, "cversion", "numChildren", "pzxid"), (2, 2, made))
        client.delete(t.base + "/b")
        gone = client.call(wire.PING, xid=-2).zxid
        equal(stats(client, t.base, "cversion", "numChildren", "pzxid"), (3, 1, gone))
        equal(stats(client, t.base, "version", "mzxid"), (0, client.stat(t.base).czxid))


@check("null data stays null, empty data empty; both have length 0")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, None)
        data, stat = client.get(t.base)
        equal((data, stat.dataLength), (None, 0))
        equal(client.set(t.base, b"").dataLength, 0)
        equal(client.get(t.base)[0], b"")
        client.set(t.base, None)
        equal(client.get(t.base)[0], None)
        client.create(t.base + "-2", b"")
        equal(client.get(t.base + "-2")[0], b"")


@check("sequential nodes count all creates of their parent, not deletes, ten digits, prefix or none")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        equal(client.create(t.base + "/s-", flags=2), t.base + "/s-0000000000")
        client.create(t.base + "/plain")
        client.delete(t.base + "/plain")
        equal(client.create(t.base + "/s-", flags=3), t.base + "/s-0000000002")
        equal(client.create(t.base + "/", flags=2), t.base + "/0000000003")
        equal(client.error(wire.CREATE, create(t.base + "/plain/s-", flags=2)), wire.NO_NODE)
        equal(client.create(t.base + "/other-", flags=2), t.base + "/other-0000000004")
        equal(client.stat(t.base + "/s-0000000002").ephemeralOwner, client.session)


@check("an ephemeral belongs to its session, has no children, and goes with closeSession")
def _(t):
    with Client(t.servers[0]) as client, Client(t.servers[1]) as other:
        client.create(t.base, flags=1)
        other.sync()
        equal(other.stat(t.base).ephemeralOwner, client.session)
        equal(client.error(wire.CREATE, create(t.base + "/child")), wire.NO_CHILDREN)
        equal(client.error(wire.CREATE, create(t.base + "/child", flags=1)), wire.NO_CHILDREN)
        client.end_session()
        other.sync()
        equal(other.stat(t.base), None)


@check("all ephemerals of a closed session go in one zxid")
def _(t):
    with Client(t.servers[0]) as client, Client(t.servers[0]) as other:
        other.create(t.base)
        other.create(t.base + "/p")
        other.create(t.base + "/q")
        client.create(t.base + "/p/a", flags=1)
        client.create(t.base + "/q/b", flags=1)
        client.end_session()
        other.sync()
        equal(stats(other, t.base + "/p", "pzxid"), stats(other, t.base + "/q", "pzxid"))


@check("delete: of any or of the right version, never with children")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.create(t.base + "/c")
        equal(client.error(wire.DELETE, buf(t.base) + VERSION_ANY), wire.NOT_EMPTY)
        equal(client.error(wire.DELETE, buf(t.base) + i32(7)), wire.BAD_VERSION)
        equal(client.error(wire.DELETE, buf(t.base + "/c") + i32(1)), wire.BAD_VERSION)
        client.delete(t.base + "/c", version=0)
        equal(client.error(wire.DELETE, buf(t.base + "/c") + VERSION_ANY), wire.NO_NODE)
        client.delete(t.base)
        equal(client.stat(t.base), None)


@check("getChildren and getChildren2 list names, the latter with the Stat")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        equal(client.children(t.base), [])
        for name in ("b", "a", "ä", "c d"):
            client.create(t.base + "/" + name)
        equal(client.children(t.base), sorted(["a", "b", "c d", "ä"]))
        body = client.good(wire.CHILDREN2, buf(t.base) + b"\0")
        equal(sorted(body.vector(body.text)), sorted(["a", "b", "c d", "ä"]))
        equal(body.stat(), client.stat(t.base))
        body.end()
        equal(client.error(wire.CHILDREN, buf(t.base + "/x") + b"\0"), wire.NO_NODE)
        equal(client.error(wire.CHILDREN2, buf(t.base + "/x") + b"\0"), wire.NO_NODE)


@check("the root has zookeeper below it, with config and quota, none of which can be deleted (-8)")
def _(t):
    with Client(t.servers[0]) as client:
        expect("zookeeper" in client.children("/"), "no /zookeeper")
        equal(client.children("/zookeeper"), ["config", "quota"])
        for path in ("/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"):
            equal(client.error(wire.DELETE, buf(path) + VERSION_ANY), BAD_ARGUMENTS, path)
        before = client.stat("/").version
        equal(client.set("/", b"").version, before + 1)
        path = "/zookeeper/compat-%d" % t.servers[0].port
        equal(client.create(path), path)
        client.delete(path)


@check("sync echoes its path, whether there is such a node or not")
def _(t):
    with Client(t.followers()[0]) as client:
        for path in ("/", t.base, "/no/such/node"):
            equal(client.sync(path), path)


@check("after a sync a follower shows what was acknowledged elsewhere before")
def _(t):
    with Client(t.leader()) as writer, Client(t.followers()[0]) as reader:
        writer.create(t.base)
        for number in range(50):
            writer.set(t.base, b"%d" % number)
            reader.sync()
            equal(reader.get(t.base)[0], b"%d" % number)


@check("a read sees the connection's own writes that were sent before it")
def _(t):
    with Client(t.followers()[0]) as client:
        client.create(t.base, b"0")
        for number in range(1, 100):
            client.request(wire.SET, buf(t.base) + buf(b"%d" % number) + VERSION_ANY)
            read = client.request(wire.GET, buf(t.base) + b"\0")
            client.reply(read - 1)
            equal(client.reply(read).body.buf(), b"%d" % number)


BAD_PATHS = ["a", "", "/a/", "//a", "/a//b", "/.", "/..", "/./a", "/../a", "/a/..", "/a\0b", "/a\x01b",
             "/a\x1f", "/a\x7f", "/a\x9f", "/\ufff0", "/\uf8ff", "/\U0001f600"]


@check("a create of a bad path is -8, or what comes before the full check of the path")
def _(t):
    # Until the parent was looked for only a slash is asked for, and no NUL.
    first = {"//a": wire.BAD_ARGUMENTS, "/./a": wire.NO_NODE, "/../a": wire.NO_NODE, "/a//b": wire.NO_NODE,
             "/a/..": wire.NO_NODE, "/a/": wire.NO_NODE}
    with Client(t.servers[0]) as client:
        for path in BAD_PATHS:
            equal(client.error(wire.CREATE, create(path)), first.get(path, BAD_ARGUMENTS), repr(path))
        client.create(t.base)
        for name in ("/", "//x", "/.", "/..", "/\x01", "/\U0001f600", "/\ue000"):
            equal(client.error(wire.CREATE, create(t.base + name)),
                  wire.NO_NODE if name == "//x" else BAD_ARGUMENTS, repr(name))
        equal(client.create(t.base + "/é ü.:%~"), t.base + "/é ü.:%~")
        equal(client.create(t.base + "/..."), t.base + "/...")


@check("a bad path is only a missing node to reads, but that exists refuses a NUL (-8)")
def _(t):
    with Client(t.servers[0]) as client:
        for path in BAD_PATHS + ["no-slash"]:
            if path == "":  # ZooKeeper takes it for the root
                continue
            for kind in (wire.EXISTS, wire.GET, wire.CHILDREN, wire.CHILDREN2):
                refused = kind == wire.EXISTS and "\0" in path
                equal(client.error(kind, buf(path) + b"\0"), BAD_ARGUMENTS if refused else wire.NO_NODE,
                      "%d of %r" % (kind, path))


@check("create of / is -110")
def _(t):
    with Client(t.servers[0]) as client:
        equal(client.error(wire.CREATE, create("/")), wire.EXISTS_ALREADY)


@check("errors of create come in ZooKeeper's order")
def _(t):
    nobody = [(1, "digest", "x:y")]
    bad_acl = [(31, "nosuch", "x")]
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.create(t.base + "/closed", entries=nobody)
        client.create(t.base + "/eph", flags=1)
        for what, request, wanted in (
                ("flags before path", create("a", flags=9), BAD_ARGUMENTS),
                ("path without slash before ACL", create("a", entries=bad_acl), BAD_ARGUMENTS),
                ("ACL before parent", create(t.base + "/x/y", entries=bad_acl), wire.INVALID_ACL),
                ("empty ACL", create(t.base + "/x", entries=[]), wire.INVALID_ACL),
                ("parent before full path", create(t.base + "/x/."), wire.NO_NODE),
                ("permission before full path", create(t.base + "/closed/."), wire.NO_AUTH),
                ("permission before existence", create(t.base + "/closed/c"), wire.NO_AUTH),
                ("full path before existence", create(t.base + "/."), BAD_ARGUMENTS),
                ("existence", create(t.base + "/eph"), wire.EXISTS_ALREADY),
                ("ephemeral parent", create(t.base + "/eph/x"), wire.NO_CHILDREN)):
            equal(client.error(wire.CREATE, request), wanted, what)
            equal(client.error(wire.CREATE2, request), wanted, "create2: " + what)
        null_acl = buf(t.base + "/n") + buf(b"") + i32(-1) + i32(0)
        equal(client.error(wire.CREATE, null_acl), wire.INVALID_ACL)


@check("create's flags: 0 to 4 are kinds, 5 and 6 miss a TTL, others are -8")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        equal(client.create(t.base + "/container", flags=4), t.base + "/container")
        for flags in (5, 6, 7, 8, -1, 100):
            for kind in (wire.CREATE, wire.CREATE2):
                equal(client.error(kind, create(t.base + "/f", flags=flags)), BAD_ARGUMENTS, "flags %d" % flags)
        equal(client.children(t.base), ["container"])


@check("delete, setData, setACL and getACL: errors and their order")
def _(t):
    nobody = [(16, "digest", "x:y")]
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.create(t.base + "/closed", entries=nobody)
        client.create(t.base + "/open")
        equal(client.error(wire.DELETE, buf("no-slash") + VERSION_ANY), BAD_ARGUMENTS)
        equal(client.error(wire.DELETE, buf(t.base + "/x/y") + VERSION_ANY), wire.NO_NODE)
        equal(client.error(wire.DELETE, buf(t.base + "/x") + i32(5)), wire.NO_NODE)
        for bad in ("/", "/.", "/\x01", "/x//y"):
            equal(client.error(wire.DELETE, buf(t.base + "/open" + bad) + VERSION_ANY), wire.NO_NODE, repr(bad))
        for bad in ("/", "/..", "/\x01"):
            equal(client.error(wire.DELETE, buf(t.base + "/closed" + bad) + VERSION_ANY), wire.NO_AUTH, repr(bad))
        equal(client.error(wire.DELETE, buf("//x") + VERSION_ANY), wire.NO_NODE)
        equal(client.error(wire.SET, buf(t.base + "/x") + buf(b"") + i32(5)), wire.NO_NODE)
        equal(client.error(wire.SET, buf(t.base + "/closed") + buf(b"") + i32(5)), wire.NO_AUTH)
        equal(client.error(wire.SET, buf(t.base + "/open") + buf(b"") + i32(5)), wire.BAD_VERSION)
        equal(client.error(wire.SET, buf("no-slash") + buf(b"") + i32(5)), BAD_ARGUMENTS)
        equal(client.error(wire.SET, buf(t.base + "/") + buf(b"") + i32(5)), BAD_ARGUMENTS)
        equal(client.error(wire.SET_ACL, buf(t.base + "/") + wire.acl(ANYBODY) + i32(0)), BAD_ARGUMENTS)
        equal(client.error(wire.SET_ACL, buf(t.base + "/x") + wire.acl([]) + i32(0)), wire.INVALID_ACL)
        equal(client.error(wire.SET_ACL, buf(t.base + "/x") + wire.acl(ANYBODY) + i32(9)), wire.NO_NODE)
        equal(client.error(wire.SET_ACL, buf(t.base + "/closed") + wire.acl(ANYBODY) + i32(9)), wire.NO_AUTH)
        equal(client.error(wire.SET_ACL, buf(t.base + "/open") + wire.acl(ANYBODY) + i32(9)), wire.BAD_VERSION)
        equal(client.error(wire.GET_ACL, buf(t.base + "/x")), wire.NO_NODE)
        equal(client.error(wire.GET_ACL, buf(t.base + "/closed")), wire.NO_AUTH)


@check("createContainer and create with flags 4 make containers, with ephemeralOwner 0")
def _(t):
    with Client(t.servers[0]) as client:
        body = client.good(wire.CREATE_CONTAINER, create(t.base, b"c", flags=4))
        equal(body.text(), t.base)
        stat = body.stat()
        body.end()
        equal(stat.ephemeralOwner, 0)
        equal(client.stat(t.base), stat)


@check("a container goes some time after its last child, one that never had any stays")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.good(wire.CREATE_CONTAINER, create(t.base + "/used", flags=4))
        client.good(wire.CREATE_CONTAINER, create(t.base + "/unused", flags=4))
        client.create(t.base + "/used/child")
        client.stat(t.base + "/used", watch=True)
        client.delete(t.base + "/used/child")
        until(lambda: client.stat(t.base + "/used") is None, "the container is removed", 70)
        equal(client.pending_events(), [(wire.DELETED, t.base + "/used")])
        equal(client.children(t.base), ["unused"])


def create_ttl(path, ttl, flags=5, data=b""):
    return create(path, data, flags=flags) + i64(ttl)


@check("a TTL node goes when it was not changed for so long; ephemeralOwner is 0")
def _(t):
    with Client(t.servers[0], timeout=40000) as client:
        client.create(t.base)
        body = client.good(wire.CREATE_TTL, create_ttl(t.base + "/short", 300))
        equal(body.text(), t.base + "/short")
        equal(body.stat().ephemeralOwner, 0)
        body.end()
        client.good(wire.CREATE_TTL, create_ttl(t.base + "/long", 10**9))
        equal(client.good(wire.CREATE_TTL, create_ttl(t.base + "/s-", 10**9, flags=6)).text(),
              t.base + "/s-0000000002")
        client.good(wire.CREATE_TTL, create_ttl(t.base + "/parent", 300))
        client.create(t.base + "/parent/child")
        until(lambda: client.stat(t.base + "/short") is None, "the node is removed", 70)
        equal(client.children(t.base), ["long", "parent", "s-0000000002"])


@check("a TTL is 1 to 2^40 - 1 milliseconds, anything else -8")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        for ttl in (0, -1, 2**40, 2**62):
            equal(client.error(wire.CREATE_TTL, create_ttl(t.base + "/x", ttl)), BAD_ARGUMENTS, "ttl %d" % ttl)
        equal(client.error(wire.CREATE_TTL, create_ttl(t.base + "/max", 2**40 - 1)), 0)
        for flags in (7, -1):
            equal(client.error(wire.CREATE_TTL, create_ttl(t.base + "/x", 5000, flags=flags)), BAD_ARGUMENTS)


def make(path, data=b"", flags=0):
    return wire.CREATE, create(path, data, flags=flags)


def remove(path, version=-1):
    return wire.DELETE, buf(path) + i32(version)


def put(path, data, version=-1):
    return wire.SET, buf(path) + buf(data) + i32(version)


def guard(path, version=-1):
    return wire.CHECK, buf(path) + i32(version)


@check("a multi executes all, in one zxid, each operation seeing the former ones")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        results = client.multi(make(t.base + "/a", b"1"), make(t.base + "/a/b"), put(t.base + "/a", b"2", 0),
                               guard(t.base + "/a", 1), remove(t.base + "/a/b"), make(t.base + "/s-", flags=2))
        equal([r[0] for r in results], ["create", "create", "set", "check", "delete", "create"])
        equal([results[0][1], results[5][1]], [t.base + "/a", t.base + "/s-0000000001"])
        stat = client.stat(t.base + "/a")
        equal(results[2][1].version, 1)
        zxid = client.call(wire.PING, xid=-2).zxid
        equal((stat.czxid, stat.mzxid, stat.pzxid), (zxid, zxid, zxid))
        equal(client.stat(t.base).pzxid, zxid)
        equal(client.get(t.base + "/a")[0], b"2")


@check("a failed multi: 0 before the failing operation, its code, -2 behind; nothing is done")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, b"v")
        before = client.stat(t.base)
        results = client.multi(make(t.base + "/a"), put(t.base, b"w"), remove(t.base + "/none"),
                               make(t.base + "/b"), guard("/"))
        equal(results, [("error", 0), ("error", 0), ("error", wire.NO_NODE), ("error", -2), ("error", -2)])
        equal(client.multi(make("/")), [("error", wire.EXISTS_ALREADY)])
        equal(client.multi(guard(t.base, 3), put(t.base, b"x")), [("error", wire.BAD_VERSION), ("error", -2)])
        equal(client.multi(make(t.base + "/s-", flags=2), guard(t.base + "/none")),
              [("error", 0), ("error", wire.NO_NODE)])
        equal(client.stat(t.base), before)
        equal(client.create(t.base + "/s-", flags=2), t.base + "/s-0000000000")


@check("the bytes of a failed multi")
def _(t):
    with Client(t.servers[0]) as client:
        reply = client.call(wire.MULTI, wire.multi(guard("/"), guard("/none"), guard("/")))
        equal(reply.err, 0)
        error = lambda code: i32(-1) + b"\0" + i32(code) + i32(code)
        equal(reply.body.data, error(0) + error(-101) + error(-2) + i32(-1) + b"\1" + i32(-1))


@check("a multi with an error in ACL, path or flags answers as the operation alone would")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        equal(client.multi(guard("/"), (wire.CREATE, create(t.base + "/x", entries=[]))),
              [("error", 0), ("error", wire.INVALID_ACL)])
        equal(client.multi(guard("/"), make(t.base + "/.")), [("error", 0), ("error", BAD_ARGUMENTS)])
        equal(client.multi(guard("no-slash")), [("error", BAD_ARGUMENTS)])
        equal(client.multi(put("no-slash", b"")), [("error", BAD_ARGUMENTS)])
        equal(client.multi(remove(t.base + "/none")), [("error", wire.NO_NODE)])


@check("create2 in a multi answers type 15 with the Stat (3.8.0: type 1, the path only)")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        results = client.multi((wire.CREATE2, create(t.base + "/a", b"xyz")),
                               (wire.CREATE_CONTAINER, create(t.base + "/c", flags=4)),
                               (wire.CREATE_TTL, create_ttl(t.base + "/t", 10**9)))
        equal([r[1] for r in results], [t.base + "/a", t.base + "/c", t.base + "/t"])
        kinds = [r[0] for r in results]
        equal(kinds, since(t, (3, 9), newer=["create2"] * 3, older=["create", "create2", "create2"]))
        for result, path in zip(results, "act"):
            if result[0] == "create2":
                equal(result[2], client.stat(t.base + "/" + path))


@check("a multi of ephemerals and sequential nodes")
def _(t):
    with Client(t.servers[0]) as client, Client(t.servers[1]) as other:
        client.create(t.base)
        results = client.multi(make(t.base + "/e", flags=1), make(t.base + "/es-", flags=3), remove(t.base + "/e"),
                               make(t.base + "/e", flags=1))
        equal([r[1] if r[0] == "create" else None for r in results],
              [t.base + "/e", t.base + "/es-0000000001", None, t.base + "/e"])
        other.sync()
        equal(other.stat(t.base + "/e").ephemeralOwner, client.session)
        equal(client.multi(make(t.base + "/e/x")), [("error", wire.NO_CHILDREN)])
        client.end_session()
        other.sync()
        equal(other.children(t.base), [])


@check("an empty multi succeeds with nothing but the end")
def _(t):
    with Client(t.servers[0]) as client:
        reply = client.call(wire.MULTI, wire.multi())
        equal((reply.err, reply.body.data), (0, i32(-1) + b"\1" + i32(-1)))


@check("a multi with a read, or what is no operation, is -5 as a whole")
def _(t):
    with Client(t.servers[0]) as client:
        for kind, body in ((wire.GET, buf("/") + b"\0"), (wire.EXISTS, buf("/") + b"\0"), (wire.SYNC, buf("/")),
                           (wire.MULTI, wire.multi()), (77, b"")):
            code = client.error(wire.MULTI, wire.multi(guard("/"), (kind, body)))
            equal(code, wire.MARSHALLING, "type %d" % kind)


@check("a multi of a thousand operations")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        results = client.multi(*(make("%s/%d" % (t.base, i), b"x" * 100) for i in range(1000)))
        equal([r[1] for r in results], ["%s/%d" % (t.base, i) for i in range(1000)])
        equal(stats(client, t.base, "cversion", "numChildren"), (1000, 1000))
        client.multi(*(remove("%s/%d" % (t.base, i)) for i in range(1000)))
        equal(stats(client, t.base, "cversion", "numChildren"), (2000, 0))


@check("multiRead answers each read with its result or error")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, b"v")
        client.create(t.base + "/c")
        get, children = (wire.GET, buf(t.base) + b"\1"), (wire.CHILDREN, buf(t.base) + b"\1")
        missing = (wire.GET, buf(t.base + "/none") + b"\0")
        results = wire.multi_results(client.good(wire.MULTI_READ, wire.multi(get, missing, children)))
        equal(results, [("get", b"v", client.stat(t.base)), ("error", wire.NO_NODE), ("children", ["c"])])
        equal(wire.multi_results(client.good(wire.MULTI_READ, wire.multi())), [])
        client.set(t.base, b"w")
        client.delete(t.base + "/c")
        equal(client.pending_events(), [])


@check("getEphemerals lists those of this session whose path starts with the prefix")
def _(t):
    with Client(t.servers[0]) as client, Client(t.servers[0]) as other:
        client.create(t.base)
        for name in ("/a1", "/a2", "/b"):
            client.create(t.base + name, flags=1)
        other.create(t.base + "/a3", flags=1)

        def listed(prefix):
            body = client.good(wire.EPHEMERALS, buf(prefix))
            names = body.vector(body.text)
            body.end()
            return sorted(name[len(t.base):] for name in names)
        equal(listed(t.base + "/a"), ["/a1", "/a2"])
        for everything in ("/", t.base, None, ""):
            equal(listed(everything), ["/a1", "/a2", "/b"])
        equal(listed("/none"), [])
        client.end_session()
        other.end_session()


@check("getAllChildrenNumber counts all descendants")
def _(t):
    with Client(t.servers[0]) as client:
        for name in ("", "/a", "/a/b", "/a/b/c", "/d"):
            client.create(t.base + name)
        client.create(t.base + "-not-below")
        for path, count in (("", 4), ("/a", 2), ("/d", 0)):
            equal(client.good(wire.ALL_CHILDREN, buf(t.base + path)).i32(), count)
        equal(client.error(wire.ALL_CHILDREN, buf(t.base + "/none")), wire.NO_NODE)


@check("setData checks the version before nothing is written, under contention exactly one wins")
def _(t):
    with Client(t.servers[0]) as one, Client(t.servers[1]) as two:
        one.create(t.base, b"0")
        two.sync()
        for version in range(30):
            requests = [(c, c.request(wire.SET, buf(t.base) + buf(b"x") + i32(version))) for c in (one, two)]
            codes = sorted(client.reply(xid).err for client, xid in requests)
            equal(codes, [wire.BAD_VERSION, 0])
        equal(one.sync() and one.stat(t.base).version, 30)


@check("reconfig is refused with -123, by coord with what every client knows, -6; the connection goes on")
def _(t):
    with Client(t.servers[0]) as client:
        client.auth("digest", "super:compat")
        code = client.error(wire.RECONFIG, buf("") + buf("") + buf("") + i64(-1))
        equal(code, differs(t, zookeeper=-123, coord=-6))
        equal(client.error(wire.EXISTS, buf("/") + b"\0"), 0)
