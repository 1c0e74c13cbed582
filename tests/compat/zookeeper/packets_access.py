"""ACLs and authentication."""
import base64
import hashlib

import target
import wire
from checks import check, differs, equal, since
from harness import expect
from wire import ANYBODY, INVALID_ACL, NO_AUTH, Client, buf, create, i32

READ, WRITE, CREATE, DELETE, ADMIN, ALL = 1, 2, 4, 8, 16, 31


def digest(name_password):
    name = name_password.split(":")[0]
    return name + ":" + base64.b64encode(hashlib.sha1(name_password.encode()).digest()).decode()


def as_user(server, name_password):
    client = Client(server)
    equal(client.auth("digest", name_password).err, 0)
    return client


def acl_of(client, path):
    body = client.good(wire.GET_ACL, buf(path))
    entries, stat = body.acl(), body.stat()
    body.end()
    return entries, stat


@check("auth is answered with xid -4, zxid 0 and no body")
def _(t):
    with Client(t.servers[0]) as client:
        for credentials in ("ann:secret", "nocolon", "", "a:b:c"):
            reply = client.auth("digest", credentials)
            equal((reply.xid, reply.err, reply.zxid), (-4, 0, 0))
            reply.body.end()
        equal(client.error(wire.EXISTS, buf("/") + b"\0"), 0)


@check("auth with an unknown scheme is -115, then closed")
def _(t):
    for scheme in ("nosuch", "", "world", "auth"):
        with Client(t.servers[0]) as client:
            reply = client.auth(scheme, "x")
            equal((reply.xid, reply.err), (-4, wire.AUTH_FAILED))
            reply.body.end()
            client.expect_close()


@check("getACL answers what create was given, and the Stat")
def _(t):
    entries = [(ALL, "world", "anyone"), (READ, "digest", digest("bob:x")), (WRITE, "ip", "10.0.0.0/8")]
    with Client(t.servers[0]) as client:
        client.create(t.base, b"v", entries)
        listed, stat = acl_of(client, t.base)
        equal(sorted(listed), sorted(entries))
        equal(stat, client.stat(t.base))
        equal(acl_of(client, "/")[0], ANYBODY)
        equal(acl_of(client, "/zookeeper/config")[0], [(READ, "world", "anyone")])


@check("duplicates in an ACL are dropped")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, entries=ANYBODY + [(READ, "ip", "10.0.0.1")] + ANYBODY)
        equal(sorted(acl_of(client, t.base)[0]), sorted(ANYBODY + [(READ, "ip", "10.0.0.1")]))


@check("what is no ACL is -114")
def _(t):
    with Client(t.servers[0]) as client:
        for entry in ((ALL, "world", "someone"), (ALL, "world", ""), (ALL, "nosuch", "x"), (ALL, "", "x"),
                      (ALL, "digest", "nocolon"), (ALL, "digest", "a:b:c"), (ALL, "ip", "nowhere"),
                      (ALL, "ip", "10.0.0.1/33"), (ALL, "auth", "")):
            equal(client.error(wire.CREATE, create(t.base, entries=[entry])), INVALID_ACL, repr(entry))
            equal(client.error(wire.CREATE, create(t.base, entries=ANYBODY + [entry])), INVALID_ACL, repr(entry))
        client.create(t.base)
        equal(client.error(wire.SET_ACL, buf(t.base) + wire.acl([(ALL, "world", "x")]) + i32(-1)), INVALID_ACL)
        equal(client.error(wire.SET_ACL, buf(t.base) + wire.acl([]) + i32(-1)), INVALID_ACL)
        equal(client.error(wire.SET_ACL, buf(t.base) + i32(-1) + i32(-1)), INVALID_ACL)


@check("the scheme auth stands for every user of the connection")
def _(t):
    with as_user(t.servers[0], "ann:1") as client:
        client.auth("digest", "bob:2")
        client.create(t.base, entries=[(READ | ADMIN, "auth", "ignored")])
        equal(sorted(acl_of(client, t.base)[0]),
              sorted((READ | ADMIN, "digest", digest(user)) for user in ("ann:1", "bob:2")))


@check("a digest entry lets in who has that name and password, and nobody else")
def _(t):
    with as_user(t.servers[0], "ann:1") as ann, as_user(t.servers[1], "ann:2") as other, \
            Client(t.servers[1]) as nobody:
        ann.create(t.base, b"v", [(ALL, "digest", digest("ann:1"))])
        equal(ann.get(t.base)[0], b"v")
        for client in (other, nobody):
            client.sync()
            equal(client.error(wire.GET, buf(t.base) + b"\0"), NO_AUTH)
            equal(client.error(wire.SET, buf(t.base) + buf(b"") + i32(-1)), NO_AUTH)
        nobody.auth("digest", "ann:1")
        equal(nobody.get(t.base)[0], b"v")


@check("each permission opens its own operations only; delete asks the parent")
def _(t):
    with as_user(t.servers[0], "ann:1") as ann, Client(t.servers[0]) as client:
        owner = (ALL, "digest", digest("ann:1"))
        for perms in (0, READ, WRITE, CREATE, DELETE, ADMIN, ALL):
            path = "%s-%d" % (t.base, perms)
            entries = [owner, (perms, "world", "anyone")]
            ann.create(path, entries=entries)
            ann.create(path + "/kept", entries=[owner])
            code = lambda bit: 0 if perms & bit else NO_AUTH
            for kind, body, wanted in (
                    (wire.GET, buf(path) + b"\0", code(READ)),
                    (wire.CHILDREN, buf(path) + b"\0", code(READ)),
                    (wire.CHILDREN2, buf(path) + b"\0", code(READ)),
                    (wire.EXISTS, buf(path) + b"\0", since(t, (3, 9), newer=code(READ), older=0)),
                    (wire.ALL_CHILDREN, buf(path), code(READ)),
                    (wire.SET, buf(path) + buf(b"") + i32(-1), code(WRITE)),
                    (wire.CREATE, create(path + "/new"), code(CREATE)),
                    (wire.CREATE2, create(path + "/new2"), code(CREATE)),
                    (wire.DELETE, buf(path + "/kept") + i32(-1), code(DELETE)),
                    (wire.GET_ACL, buf(path), code(READ | ADMIN)),
                    (wire.SET_ACL, buf(path) + wire.acl(entries) + i32(-1), code(ADMIN))):
                equal(client.error(kind, body), wanted, "perms %d, operation %d" % (perms, kind))
            results = client.multi((wire.CHECK, buf(path) + i32(-1)))
            equal(results, [("check",)] if perms & READ else [("error", NO_AUTH)])


@check("a multi with one operation that is not allowed does nothing")
def _(t):
    with as_user(t.servers[0], "ann:1") as ann, Client(t.servers[0]) as client:
        ann.create(t.base, entries=[(ALL, "digest", digest("ann:1")), (CREATE, "world", "anyone")])
        equal(client.multi((wire.CREATE, create(t.base + "/a")), (wire.SET, buf(t.base) + buf(b"x") + i32(-1))),
              [("error", 0), ("error", NO_AUTH)])
        equal(ann.children(t.base), [])


@check("without permission to administer, getACL hides digests")
def _(t):
    with as_user(t.servers[0], "ann:1") as ann, Client(t.servers[0]) as client:
        ann.create(t.base, entries=[(ALL, "digest", digest("ann:1")), (READ, "world", "anyone")])
        equal(sorted(acl_of(client, t.base)[0]), [(READ, "world", "anyone"), (ALL, "digest", "ann:x")])
        equal(sorted(acl_of(ann, t.base)[0]), [(READ, "world", "anyone"), (ALL, "digest", digest("ann:1"))])


@check("ACLs are not inherited")
def _(t):
    with as_user(t.servers[0], "ann:1") as ann, Client(t.servers[0]) as client:
        ann.create(t.base, entries=[(ALL, "digest", digest("ann:1"))])
        ann.create(t.base + "/open")
        equal(client.set(t.base + "/open", b"x").version, 1)
        equal(client.error(wire.DELETE, buf(t.base + "/open") + i32(-1)), NO_AUTH)


@check("an address, or its network, lets in the connections from there")
def _(t):
    with as_user(t.servers[0], "ann:1") as ann, Client(t.servers[0]) as client:
        for entry, wanted in (("127.0.0.1", 0), ("127.0.0.0/8", 0), ("127.0.0.1/32", 0), ("10.0.0.0/8", NO_AUTH),
                              ("127.0.0.2", NO_AUTH)):
            path = "%s-%s" % (t.base, entry.replace("/", "-"))
            ann.create(path, entries=[(ALL, "ip", entry), (ALL, "digest", digest("ann:1"))])
            equal(client.error(wire.GET, buf(path) + b"\0"), wanted, entry)


@check("users belong to the connection: after a resume they must be told again")
def _(t):
    with as_user(t.servers[0], "ann:1") as ann:
        ann.create(t.base, entries=[(ALL, "auth", "")])
        new = Client(t.servers[0], of=ann)
        equal(new.error(wire.GET, buf(t.base) + b"\0"), NO_AUTH)
        new.auth("digest", "ann:1")
        equal(new.error(wire.GET, buf(t.base) + b"\0"), 0)
        new.end_session()


@check("super may do everything, with the right password only")
def _(t):
    with as_user(t.servers[0], "ann:1") as ann, as_user(t.servers[0], target.SUPER) as root, \
            as_user(t.servers[0], "super:wrong") as liar:
        ann.create(t.base, b"v", entries=[(ALL, "digest", digest("ann:1"))])
        ann.create(t.base + "/c", entries=[(ALL, "digest", digest("ann:1"))])
        equal(liar.error(wire.GET, buf(t.base) + b"\0"), NO_AUTH)
        equal(root.get(t.base)[0], b"v")
        equal(sorted(acl_of(root, t.base)[0]), [(ALL, "digest", digest("ann:1"))])
        root.set(t.base, b"w")
        root.good(wire.SET_ACL, buf(t.base + "/c") + wire.acl(ANYBODY) + i32(-1))
        root.delete(t.base + "/c")
        equal(root.error(wire.SET, buf("/zookeeper/config") + buf(b"") + i32(99)), wire.BAD_VERSION)


@check("/zookeeper/config may not be written by everybody, and names every server's client address")
def _(t):
    with Client(t.servers[0]) as client:
        equal(client.error(wire.SET, buf("/zookeeper/config") + buf(b"") + i32(-1)), NO_AUTH)
        data, stat = client.get("/zookeeper/config")
        equal(len(data or b""), stat.dataLength)
        lines = (data or b"").decode().split("\n")
        if lines != [""]:  # an empty one is ignored by clients
            equal(len([line for line in lines if line.startswith("server.")]), 3)
            expect(lines[-1].startswith("version="), "ends with %r" % lines[-1])


@check("whoAmI lists the address and the users of the connection")
def _(t):
    with Client(t.servers[0]) as client:
        def listed():
            body = client.good(wire.WHO_AM_I)
            users = body.vector(lambda: (body.text(), body.text()))
            body.end()
            return sorted(users)
        equal(listed(), [("ip", "127.0.0.1")])
        client.auth("digest", "ann:1")
        equal(listed(), [("digest", "ann"), ("ip", "127.0.0.1")])


@check("who may not read a node is told nothing of its changes, whatever watch he has")
def _(t):
    with as_user(t.servers[0], "ann:1") as ann, Client(t.servers[0]) as client:
        client.good(wire.ADD_WATCH, buf(t.base) + i32(1))
        client.stat(t.base + "/c", watch=True)
        ann.create(t.base, entries=[(ALL, "digest", digest("ann:1"))])
        ann.set(t.base, b"x")
        ann.create(t.base + "/c", entries=[(ALL, "digest", digest("ann:1"))])
        client.sync()
        equal(client.pending_events(), [])


@check("setACL takes effect at once, also for who could until then")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base)
        client.good(wire.SET_ACL, buf(t.base) + wire.acl([(READ, "world", "anyone")]) + i32(0))
        equal(client.error(wire.SET, buf(t.base) + buf(b"") + i32(-1)), NO_AUTH)
        equal(client.error(wire.SET_ACL, buf(t.base) + wire.acl(ANYBODY) + i32(-1)), NO_AUTH)
        equal(client.error(wire.GET, buf(t.base) + b"\0"), 0)


@check("sasl, of which there is none, is answered with a null token, by coord with -115 and the end of the connection")
def _(t):
    with Client(t.servers[0]) as client:
        reply = client.call(wire.SASL, buf(""))
        equal(reply.err, differs(t, zookeeper=0, coord=wire.AUTH_FAILED))
        equal(reply.body.buf(), None)
        if t.is_coord:
            equal(reply.zxid, 0)
            client.expect_close()
        else:
            equal(client.error(wire.EXISTS, buf("/") + b"\0"), 0)
