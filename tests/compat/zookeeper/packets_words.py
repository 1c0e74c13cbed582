"""Four-letter words, read as existing monitoring does."""
import datetime
import re

import wire
from checks import check, equal
from harness import expect, until
from target import ask
from wire import Client, Raw

# What go-zookeeper (srvr, cons), Telegraf and the exporters (mntr), kazoo (envi) and zktop (stat) look for.
SRVR = re.compile(r"""Zookeeper version: (\d+\.\d+\.\d+[^,\n]*), built on ([^\n]+)
Latency min/avg/max: (\d+)/([0-9.]+)/(\d+)
Received: (\d+)
Sent: (\d+)
Connections: (\d+)
Outstanding: (\d+)
Zxid: (0x[0-9a-f]+)
Mode: (leader|follower)
Node count: (\d+)
(?:Proposal sizes last/min/max: (-?\d+)/(-?\d+)/(-?\d+)
)?$""")
CLIENT = re.compile(r" /127\.0\.0\.1:(\d+)\[(\d+)\]\(queued=(\d+),recved=(\d+),sent=(\d+)(,[^)]*)?\)")


@check("ruok is answered imok, also with a newline behind it")
def _(t):
    for server in t.servers:
        equal(ask(server.port, "ruok"), "imok")
        equal(ask(server.port, "ruok\n"), "imok")


@check("isro is answered rw")
def _(t):
    for server in t.servers:
        equal(ask(server.port, "isro"), "rw")


@check("srvr has the lines that parsers look for, on leader and followers")
def _(t):
    modes = []
    for server in t.servers:
        text = ask(server.port, "srvr")
        found = SRVR.match(text)
        expect(found, "not as expected: %r" % text)
        modes.append(found.group(11))
        equal(found.group(13) is not None, found.group(11) == "leader", "proposal sizes")
        if t.is_coord:
            expect(found.group(4).isdigit(), "average latency %s" % found.group(4))
            # go-zookeeper takes no other form, and no such server for well: ZooKeeper's until 3.6.
            datetime.datetime.strptime(found.group(2), "%m/%d/%Y %H:%M GMT")
    equal(sorted(modes), ["follower", "follower", "leader"])


@check("stat is srvr with the clients in between")
def _(t):
    with Client(t.servers[0]) as client:
        client.call(wire.PING, xid=-2)
        text = ask(t.servers[0].port, "stat")
        head, clients, tail = re.match(r"(.*\n)Clients:\n(.*?)\n\n(.*)", text, re.DOTALL).groups()
        expect(SRVR.match(head + tail), "not as srvr: %r" % (head + tail))
        ports = []
        for line in clients.split("\n"):
            expect(CLIENT.fullmatch(line), "not a client: %r" % line)
            ports.append(int(CLIENT.fullmatch(line).group(1)))
        expect(client.socket.getsockname()[1] in ports, "the client is not listed: %r" % text)


@check("the zxid of srvr is that of replies; the node count follows creates")
def _(t):
    with Client(t.servers[0]) as client:
        before = int(SRVR.match(ask(t.servers[0].port, "srvr")).group(12))
        client.create(t.base)
        zxid = client.call(wire.PING, xid=-2).zxid
        found = SRVR.match(ask(t.servers[0].port, "srvr"))
        equal(int(found.group(10), 16), zxid)
        equal(int(found.group(12)), before + 1)


@check("cons has a line for each connection, with session, last operation, timeout and latencies")
def _(t):
    with Client(t.servers[0], timeout=12000) as client:
        client.create(t.base)
        client.get(t.base)
        text = ask(t.servers[0].port, "cons")
        expect(text.endswith("\n\n"), "ends with %r" % text[-20:])
        port = client.socket.getsockname()[1]
        line = [one for one in text.splitlines() if ":%d[" % port in one][0]
        fields = dict(pair.split("=") for pair in re.search(r"\((.*)\)", line).group(1).split(","))
        equal(fields["sid"], "0x%x" % client.session)
        equal((fields["lop"], fields["to"], fields["lcxid"]), ("GETD", "12000", "0x%x" % client.xid))
        equal((fields["queued"], fields["recved"], fields["sent"]), ("0", "3", "3"))
        for name in ("est", "lresp", "llat", "minlat", "avglat", "maxlat"):
            expect(fields[name].isdigit(), "%s is %s" % (name, fields[name]))
        expect(int(fields["lzxid"], 16) > 0, "lzxid")
        # go-zookeeper's pattern, in its parts
        expect(CLIENT.match(line), line)


MNTR = """zk_version zk_server_state zk_peer_state zk_avg_latency zk_min_latency zk_max_latency
zk_packets_received zk_packets_sent zk_num_alive_connections zk_outstanding_requests zk_znode_count
zk_watch_count zk_ephemerals_count zk_approximate_data_size zk_open_file_descriptor_count
zk_max_file_descriptor_count zk_global_sessions zk_local_sessions zk_uptime zk_connection_rejected
zk_bytes_received_count zk_response_bytes zk_connection_request_count zk_avg_readlatency zk_max_readlatency
zk_cnt_readlatency zk_sum_readlatency zk_avg_updatelatency zk_max_updatelatency zk_cnt_updatelatency""".split()
MNTR_LEADER = """zk_learners zk_synced_followers zk_synced_observers zk_pending_syncs zk_quorum_size
zk_leader_uptime""".split()


@check("mntr is lines of name, tab, value, with the names that monitoring collects")
def _(t):
    leader = t.leader()
    for server in t.servers:
        values = {}
        for line in ask(server.port, "mntr").splitlines():
            parts = line.split("\t")
            equal(len(parts), 2, line)
            values[parts[0]] = parts[1]
        for name in MNTR + (MNTR_LEADER if server is leader else []):
            expect(name in values, "no %s in mntr of %s" % (name, server.mode()))
        for name, value in values.items():
            if name not in ("zk_version", "zk_server_state", "zk_peer_state"):
                float(value)
                expect(not t.is_coord or value.lstrip("-").isdigit(), "%s is %s" % (name, value))
        equal(values["zk_server_state"], "leader" if server is leader else "follower")
        state = values["zk_peer_state"]
        expect(state.startswith("leading" if server is leader else "following"), state)
        if server is leader:
            equal((float(values["zk_synced_followers"]), float(values["zk_quorum_size"])), (2, 3))


@check("mntr counts nodes, ephemerals, watches and connections")
def _(t):
    server = t.servers[0]

    def value(name):
        return float(re.search(r"^%s\t(\S+)$" % name, ask(server.port, "mntr"), re.MULTILINE).group(1))
    before = [value(name) for name in ("zk_znode_count", "zk_ephemerals_count")]
    with Client(server) as client:
        client.create(t.base)
        client.create(t.base + "/e", flags=1)
        equal([value(name) for name in ("zk_znode_count", "zk_ephemerals_count")], [before[0] + 2, before[1] + 1])
        watches = value("zk_watch_count")
        client.get(t.base, watch=True)
        client.stat(t.base + "/none", watch=True)
        equal(value("zk_watch_count"), watches + 2)
        expect(value("zk_num_alive_connections") >= 1, "no connection")
        client.end_session()
    equal(value("zk_ephemerals_count"), before[1])


@check("conf has the settings that clients and consoles show, and the membership")
def _(t):
    for server in t.servers:
        text = ask(server.port, "conf")
        head, _, membership = text.partition("membership: ")
        values = dict(line.split("=", 1) for line in head.splitlines() if line)
        equal(values["clientPort"], str(server.port))
        for name in ("dataDir", "tickTime", "minSessionTimeout", "maxSessionTimeout", "serverId", "maxClientCnxns"):
            expect(name in values, "no %s" % name)
        equal((values["minSessionTimeout"], values["maxSessionTimeout"]), ("4000", "40000"))
        equal(len(re.findall(r"^server\.\d+=", membership, re.MULTILINE)), 3)


@check("envi begins with the version as kazoo wants it")
def _(t):
    lines = ask(t.servers[0].port, "envi").splitlines()
    equal(lines[0], "Environment:")
    expect(re.match(r"zookeeper\.version=(\d+)\.(\d+)\.(\d+)", lines[1]), lines[1])
    for name in ("host.name", "os.name", "os.arch", "os.version", "user.name"):
        expect(any(line.startswith(name + "=") for line in lines), "no " + name)


@check("wchs counts connections and paths; wchc and wchp list them")
def _(t):
    server = t.servers[0]
    with Client(server) as client:
        client.create(t.base)
        client.get(t.base, watch=True)
        client.children(t.base, watch=True)
        client.stat(t.base + "/none", watch=True)
        found = re.fullmatch(r"(\d+) connections watching (\d+) paths\nTotal watches:(\d+)\n*",
                             ask(server.port, "wchs"))
        expect(found and int(found.group(1)) >= 1 and int(found.group(3)) >= 2, "wchs")
        session = "0x%x" % client.session
        by_client = sections(ask(server.port, "wchc"))
        equal(sorted(set(by_client[session])), [t.base, t.base + "/none"])
        by_path = sections(ask(server.port, "wchp"))
        equal((by_path[t.base], by_path[t.base + "/none"]), ([session], [session]))
        client.end_session()


def sections(text):
    """Lines behind a tab, by the line without one before them."""
    found, name = {}, None
    for line in text.splitlines():
        if line.startswith("\t"):
            found[name].append(line[1:])
        elif line:
            name = line
            found[name] = []
    return found


@check("dump on the leader lists sessions by expiry, and the sessions with their ephemerals")
def _(t):
    with Client(t.servers[0]) as client:
        client.create(t.base, flags=1)
        text = ask(t.leader().port, "dump")
        expect(text.startswith("SessionTracker dump:\n"), text[:60])
        expect(re.search(r"^Session Sets \(\d+\)/\(\d+\):$", text, re.MULTILINE), text)
        expect(re.search(r"^\t0x%x$" % client.session, text, re.MULTILINE), "the session is not listed: " + text)
        found = re.search(r"ephemeral nodes dump:\nSessions with Ephemerals \((\d+)\):\n(.*)", text, re.DOTALL)
        expect(found, text)
        equal(sections(found.group(2).replace("0x%x:" % client.session, "me"))["me"], [t.base])
        client.end_session()


@check("dump on a follower lists sessions with their timeouts; dump ends with the connections of the member")
def _(t):
    follower = t.followers()[0]
    with Client(follower, timeout=12000) as client:
        text = ask(follower.port, "dump")
        expect(re.match(r"SessionTracker dump:\nGlobal Sessions\(\d+\):\n0x", text), text)
        expect("\n0x%x\t12000ms\n" % client.session in text, "the session is not listed: " + text)
        found = re.search(r"\nConnections dump:\nConnections Sets \(\d+\)/\(\d+\):\n(.*)", text, re.DOTALL)
        expect(found, text)
        mine = "ip: /127.0.0.1:%d sessionId: 0x%x" % (client.socket.getsockname()[1], client.session)
        lines = found.group(1).split("\n")
        expect("\t" + mine in lines, "the connection is not listed: " + text)
        expect(re.match(r"\d+ expire at \w{3} \w{3} \d\d \d\d:\d\d:\d\d UTC \d{4}:$", lines[0]), lines[0])
        client.end_session()


@check("dirs names the sizes of data and log")
def _(t):
    expect(re.fullmatch(r"datadir_size: \d+\nlogdir_size: \d+\n*", ask(t.servers[0].port, "dirs")), "dirs")


@check("crst and srst reset the counters")
def _(t):
    server = t.servers[0]
    with Client(server) as client:
        client.create(t.base)
        equal(ask(server.port, "crst").strip(), "Connection stats reset.")
        line = [one for one in ask(server.port, "cons").splitlines()
                if ":%d[" % client.socket.getsockname()[1] in one][0]
        expect("recved=0,sent=0" in line, line)
        equal(ask(server.port, "srst").strip(), "Server stats reset.")
        expect(int(SRVR.match(ask(server.port, "srvr")).group(6)) < 3, "packets are still counted")


@check("an unknown word is a length nobody accepts: closed without an answer")
def _(t):
    for word in (b"xyzw", b"RUOK", b"!!!!"):
        with Raw(t.servers[0]) as raw:
            raw.send(word)
            raw.expect_close()


@check("words are answered while there is no quorum: ruok imok, the others that it is not serving")
def _(t):
    leader, first, second = t.leader(), *t.followers()
    leader.kill()
    first.kill()
    until(lambda: ask(second.port, "srvr").strip() == "This ZooKeeper instance is not currently serving requests"
          or (t.is_coord and second.mode() is None), "the last server knows that it does not serve", 30)
    equal(ask(second.port, "ruok"), "imok")
    equal(ask(second.port, "isro"), "null")
    not_serving = "This ZooKeeper instance is not currently serving requests"
    for word in ("stat", "mntr", "cons", "wchs"):
        answer = ask(second.port, word).strip()
        expect(answer == not_serving or (t.is_coord and answer), "%s: %r" % (word, answer))
    with Raw(second) as raw:
        try:
            raw.send_packet(wire.connect_request())
        except ConnectionError:
            pass
        else:
            raw.expect_close()
    leader.start()
    first.start()
    for server in t.servers:
        until(server.is_serving, "%s serves again" % server.address, 30)
