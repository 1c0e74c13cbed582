#!/usr/bin/env python3
"""coordctl bench against real clusters: every workload over both protocols, and whether its counts are
those of the servers."""
import json
import signal
import socket
import threading

from harness import Cluster, Ctl, Node, ctl, ctl_ok, expect, main, until

SHORT = ["--duration", "400ms", "--warm-up", "100ms", "-o", "json"]


def bench(endpoints, *arguments):
    result = json.loads(ctl_ok(endpoints, "bench", *arguments, *SHORT))
    expect(result["acknowledged"] > 0 and result["refused"] == 0 and result["lost"] == 0,
           "requests are answered, all of them: %r" % result)
    expect(result["latency"]["p50_us"] <= result["latency"]["p99_us"] <= result["latency"]["max_us"],
           "percentiles rise: %r" % result)
    return result


def revision(node):
    return node.status()["revision"]


def test_counts_are_those_of_the_servers(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    for protocol in ("grpc", "zookeeper"):
        for work in (["write", "--keys", "50"], ["mixed", "--keys", "50", "--write-percent", "30"], ["create"]):
            result = bench(cluster.endpoints, *work, "--protocol", protocol, "-c", "6", "--in-flight", "4")
            expect(result["writes"] == result["revision_rise"] > 0, "%s %s: %r" % (protocol, work, result))
            expect(work[0] == "mixed" or result["writes"] == result["acknowledged"], "all are writes: %r" % result)
            expect(work[0] != "mixed" or result["writes"] < result["acknowledged"], "some are reads: %r" % result)
            expect([s["name"] for s in result["servers"]] == ["n1", "n2", "n3"], "all members tell: %r" % result)
            expect(all(s["cpu_s"] > 0 and s["rss_bytes"] > 1 << 20 for s in result["servers"]), "%r" % result)
        result = bench(cluster.endpoints, "read", "--protocol", protocol, "--keys", "50")
        expect(result["revision_rise"] == 0 and result["writes"] == 0, "reads change nothing: %r" % result)
    for how in ("session", "local", "bounded=10s"):
        bench(cluster.endpoints, "read", "--consistency", how, "--keys", "50")
    cluster.converge()
    expect(ctl_ok(leader, "ls", "/").split() == [b"zookeeper"], "nothing is left behind")


def test_sessions_are_opened_and_closed(scratch):
    node = Node(scratch).start()
    for arguments in (["--in-flight", "4"], ["--protocol", "zookeeper", "-c", "4"]):
        result = bench(node, "session", *arguments)
        expect(result["acknowledged"] >= 2, "one was opened and closed: %r" % result)
        expect(json.loads(ctl_ok(node, "session", "list", "-o", "json")) == [], "none is left")


def expect_turns(scratch, work, option):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    for count, waits in (("40", False), ("1", True)):
        result = bench(cluster.endpoints, work, option, count, "-c", "3", "--in-flight", "4")
        expect(result["writes"] == 2 * result["acknowledged"], "a pair is two writes: %r" % result)
        expect(result["revision_rise"] >= result["writes"], "each is in the log: %r" % result)
        expect((result["hand_over"]["max_us"] > 0) == waits, "who waits is handed it over: %r" % result)
    expect(json.loads(ctl_ok(leader, "session", "list", "-o", "json")) == [], "no session is left")
    expect(ctl_ok(leader, "ls", "/").split() == [b"zookeeper"], "nothing is left behind")
    for protocol in ("zookeeper", "etcd"):
        code, _, error = ctl(leader, "bench", work, "--protocol", protocol)
        expect(code == 2 and "only over gRPC" in error, "%d, %s" % (code, error))


def test_locks_are_acquired_released_and_handed_over(scratch):
    expect_turns(scratch, "lock", "--locks")


def test_leaders_are_elected_resign_and_follow(scratch):
    expect_turns(scratch, "elect", "--elections")


def test_every_watch_sees_every_change(scratch):
    node = Node(scratch).start()
    for arguments, watches in ((["-c", "3", "--watches", "50"], 50), (["--protocol", "zookeeper", "-c", "7"], 7)):
        result = bench(node, "watch", *arguments)
        expect(result["revision_rise"] == result["writes"] > 0, "writes are counted: %r" % result)
        expect(result["acknowledged"] == watches * result["writes"], "events are: %r" % result)


def test_large_values_wait_for_windows(scratch):
    node = Node(scratch).start()
    for protocol in ("grpc", "zookeeper"):
        for work in ("write", "read"):
            bench(node, work, "--protocol", protocol, "--value-size", "300K", "--keys", "5", "-c", "2", "--in-flight", "3")


def test_what_was_there_stays_there(scratch):
    node = Node(scratch).start()
    ctl_ok(node, "create", "/mine/k00000001", "short", "--parents")
    ctl_ok(node, "create", "/mine/other", "mine")
    bench(node, "read", "--path", "/mine", "--keys", "3")
    expect(ctl_ok(node, "get", "/mine/other") == b"mine", "other nodes are as before")
    expect(len(ctl_ok(node, "ls", "/mine").split()) == 4, "what was there before is not removed")
    bench(node, "fill", "--path", "/ballast", "--keys", "300", "--value-size", "20")
    expect(ctl_ok(node, "rm", "/ballast", "-r") == b"301 nodes deleted\n", "as many as were asked for")


def test_wrong_requests_are_refused_by_name(scratch):
    node = Node(scratch).start()
    for arguments, text in ((["write", "-c", "0"], "connections"), (["write", "--value-size", "2M"], "value-size"),
                            (["write", "--path", "/"], "path"), (["watch", "--watches", "3"], "watches"),
                            (["session", "--protocol", "zookeeper", "--in-flight", "2"], "in flight"),
                            (["watch", "--protocol", "etcd"], "etcd"), (["read", "--protocol", "redis"], "protocol")):
        code, out, error = ctl(node, "bench", *arguments)
        expect(code == 2 and out == b"" and text in error, "%r: %d, %s" % (arguments, code, error))
    code, _, error = ctl("127.0.0.1:1", "bench", "write", "--protocol", "zookeeper")
    expect(code == 1 and "127.0.0.1:1" in error, "nobody there: %d, %s" % (code, error))


def test_a_signal_ends_it_with_what_was_measured(scratch):
    node = Node(scratch).start()
    before = revision(node)
    load = Ctl(scratch, node, "bench", "write", "--keys", "10", "--duration", "10m", "--warm-up", "0", "-o", "json")
    until(lambda: revision(node) > before + 500, "writes flow")
    load.send_signal(signal.SIGINT)
    expect(load.wait(20) == 130, "it says that it was interrupted: %s" % load.complained())
    result = json.loads(load.printed())
    expect(result["writes"] == result["revision_rise"] > 0, "and what it had measured: %r" % result)
    expect(ctl_ok(node, "ls", "/").split() == [b"zookeeper"], "and tidies up")


def test_however_early_a_signal_comes_all_that_was_made_is_removed(scratch):
    node = Node(scratch).start()
    for keys, flows in ((30000, 30500), (1000000, 10000)):  # while it measures; while it prepares
        before = revision(node)
        load = Ctl(scratch, node, "bench", "write", "--keys", str(keys), "-c", "2", "--in-flight", "8", "--duration",
                   "10m", "--warm-up", "0", "-o", "json")
        until(lambda b=before, f=flows: revision(node) > b + f, "writes flow", 120)
        load.send_signal(signal.SIGINT)
        expect(load.wait(300) == 130, "it says that it was interrupted: %s" % load.complained())
        expect(json.loads(load.printed())["refused"] == 0, load.printed())
        expect(load.complained() == "", load.complained())
        expect(ctl_ok(node, "ls", "/").split() == [b"zookeeper"], "nothing is left of %d" % keys)


class Relay:
    """An endpoint in front of another one, until it falls silent: then it ends what there is, and answers no SYN."""

    def __init__(self, port):
        self.to = ("127.0.0.1", port)
        self.ends = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.is_silent = False
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            ends = [self.listener.accept()[0], socket.create_connection(self.to)]
            self.ends += ends
            if self.is_silent:
                return
            for one, other in (ends, reversed(ends)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    @staticmethod
    def pump(one, other):
        try:
            while other.send(one.recv(65536)) > 0:
                pass
        except OSError:
            pass

    def fall_silent(self):
        address = self.listener.getsockname()
        self.is_silent = True
        self.ends.append(socket.create_connection(address))
        self.thread.join()
        self.listener.listen(0)
        while True:  # until nobody has room
            waiting = socket.socket()
            waiting.settimeout(1)
            self.ends.append(waiting)
            try:
                waiting.connect(address)
            except socket.timeout:
                break
        for end in self.ends:
            end.close()


def test_a_load_that_retries_does_not_wait_for_a_silent_host(scratch):
    node = Node(scratch).start()
    relay = Relay(node.port)
    load = Ctl(scratch, node.endpoint + "," + relay.endpoint, "bench", "write", "--retry", "-c", "16", "--in-flight", "1",
               "--keys", "20", "--warm-up", "0", "--duration", "10m", "-o", "json")
    before = revision(node)
    until(lambda: revision(node) > before + 500, "writes flow")
    relay.fall_silent()
    gone = revision(node)
    until(lambda: revision(node) > gone + 10000, "they flow on where somebody answers", 120)
    load.send_signal(signal.SIGINT)
    expect(load.wait(60) == 130, "it ends: %s" % load.complained())
    expect(json.loads(load.printed())["lost"] > 0, "it has noticed: %s" % load.printed())


def test_a_load_that_retries_outlives_a_leader(scratch):
    cluster = Cluster(scratch).start()
    leader = cluster.leader()
    rest = [node for node in cluster.nodes if node is not leader]
    endpoints = ",".join(node.endpoint for node in cluster.nodes)
    for protocol in ("grpc", "zookeeper"):
        load = Ctl(scratch, endpoints, "bench", "write", "--retry", "--protocol", protocol, "-c", "6", "--in-flight",
                   "1", "--keys", "20", "--warm-up", "0", "--duration", "6s", "-o", "json")
        before = revision(rest[0])
        until(lambda: revision(rest[0]) > before + 100, "writes flow")
        leader.kill()
        gone = revision(rest[0])
        until(lambda: revision(rest[0]) > gone + 100, "writes flow again", 20)
        expect(load.wait(60) == 0, "it goes on: %s" % load.complained())
        result = json.loads(load.printed())
        expect(result["lost"] > 0 and result["longest_gap_us"] > result["latency"]["p50_us"], "has noticed: %r" % result)
        leader.start()
        until(leader.is_ready, "it is back", 20)
        leader = cluster.leader()
        rest = [node for node in cluster.nodes if node is not leader]


if __name__ == "__main__":
    main(globals())
