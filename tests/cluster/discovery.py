#!/usr/bin/env python3
"""Service discovery in a real cluster: instances that come, drain, crash and come back, and subscribers that are told of
all of it, whichever member fails."""
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pseudo_terminal
from harness import clean_environment, Cluster, Ctl, free_port, has_address, Node, ctl, ctl_ok, expect, main, until

PATIENT = 60
# Says what it is told; only SIGTERM ends it.
COUNTS = """
import signal
for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda n, frame: print(signal.Signals(n).name, flush=True))
signal.signal(signal.SIGTERM, lambda n, frame: exit(7))
print("began", flush=True)
while True:
    signal.pause()
"""
BUILD = os.environ.get("COORD_BUILD", "build/release")


def start_one(scratch, **flags):
    node = Node(scratch, **flags)
    node.start()
    return node


def start_three(scratch):
    cluster = Cluster(scratch)
    cluster.start()
    cluster.converge()
    return cluster


def lease(at, ttl="1h"):
    return ctl_ok(at, "lease", "grant", ttl).decode().strip()


def found(at, service, *options):
    """ids of the instances"""
    code, out, error = ctl(at, "svc", "get", service, "-o", "json", *options)
    if code == 3:
        return []
    expect(code == 0, "svc get: exit %d, %s" % (code, error))
    return [instance["id"] for instance in json.loads(out)]


def events(program):
    """what `svc watch -o jsonl` has printed, as (type, id or revision)"""
    told = [json.loads(line) for line in program.printed().splitlines() if line.endswith("}")]
    return [(event["type"], event["revision"] if event["type"] == "synced" else event["instance"]["id"])
            for event in told]


def known(program):
    """the ids that a watcher knows"""
    ids = set()
    for kind, what in events(program):
        if kind == "put":
            ids.add(what)
        elif kind == "removed":
            ids.remove(what)
    return ids


def test_an_instance_lives_as_long_as_its_command_and_its_session(scratch):
    node = start_one(scratch)
    at = node.endpoint
    holder = Ctl(scratch, at, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--session-ttl", "1s")
    until(lambda: found(at, "web") == ["a"], "the instance is found", PATIENT)
    holder.send_signal(signal.SIGTERM)
    holder.wait(PATIENT)
    expect(found(at, "web") == [], "it went with its command")
    holder = Ctl(scratch, at, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--session-ttl", "1s")
    until(lambda: found(at, "web") == ["a"], "the instance is found again", PATIENT)
    holder.send_signal(signal.SIGKILL)
    until(lambda: found(at, "web") == [], "it expired", PATIENT)


def test_a_program_is_registered_while_it_runs_and_drains_when_it_is_asked_to_end(scratch):
    node = start_one(scratch)
    at = node.endpoint
    slow = os.path.join(scratch, "slow.sh")
    with open(slow, "w", encoding="utf-8") as out:
        out.write("trap 'until [ -e %s/end ]; do sleep 0.1; done; exit 7' TERM\n"
                  "while :; do sleep 0.1; done\n" % scratch)
    server = Ctl(scratch, at, "svc", "register", "web", "10.0.0.7:80", "--", "sh", slow)
    until(lambda: found(at, "web") == ["10.0.0.7:80"], "it is found", PATIENT)
    server.send_signal(signal.SIGTERM)
    until(lambda: found(at, "web") == [], "it gets no new work", PATIENT)
    expect(found(at, "web", "--all") == ["10.0.0.7:80"], "it is still there")
    with open(os.path.join(scratch, "end"), "w", encoding="utf-8"):
        pass
    code = server.wait(PATIENT)
    expect(code == 7, "the program's exit code, not %r" % code)
    expect(found(at, "web", "--all") == [], "it is gone")


def test_ctrl_c_at_a_terminal_reaches_the_program_once(scratch):
    node = start_one(scratch)
    with pseudo_terminal.coordctl(node, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--session-ttl", "1h", "--",
                                  sys.executable, "-c", COUNTS, scratch=scratch) as shown:
        shown.wait_for("began", "it runs")
        until(lambda: found(node.endpoint, "web") == ["a"], "it is found", PATIENT)
        os.kill(shown.pid, signal.SIGSTOP)  # so that the program has been told long before coordctl is
        shown.send("\x03")
        shown.wait_for("SIGINT", "it is asked to end")
        os.kill(shown.pid, signal.SIGCONT)
        until(lambda: found(node.endpoint, "web") == [], "it gets no new work", PATIENT)
        os.kill(shown.pid, signal.SIGTERM)
        code = shown.finish("it ends")
        expect(code == 7, "with the program's exit code, not %r" % code)
        expect(shown.shown().count("SIGINT") == 1, "it was told once: %r" % shown.shown())


def test_the_end_of_a_terminal_is_told_to_the_program(scratch):
    """By the kernel only to the leader of the session, which coordctl is here."""
    node = start_one(scratch)
    told = os.path.join(scratch, "told")
    program = 'trap "echo hung-up >%s; exit 0" HUP; echo began; while :; do sleep 0.1; done' % told
    with pseudo_terminal.coordctl(node, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--", "sh", "-c", program,
                                  scratch=scratch) as shown:
        shown.wait_for("began", "it runs")
        shown.hang_up()
        until(lambda: os.path.exists(told), "it is told", PATIENT)


def test_signals_are_handed_on_to_a_program(scratch):
    node = start_one(scratch)
    at = node.endpoint
    server = Ctl(scratch, at, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--", sys.executable, "-c", COUNTS)
    until(lambda: "began" in server.printed(), "it runs", PATIENT)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        server.send_signal(number)
        until(lambda n=number: n.name in server.printed(), "it is told %s" % number.name, PATIENT)
    expect(found(at, "web") == ["a"], "which does not ask it to end")
    server.send_signal(signal.SIGINT)
    until(lambda: "SIGINT" in server.printed(), "it is asked to end", PATIENT)
    until(lambda: found(at, "web") == [], "it gets no new work", PATIENT)
    server.send_signal(signal.SIGTERM)
    expect(server.wait(PATIENT) == 7, "its exit code is returned")
    for program, code in (("/no/such/program", 127), ("/etc/passwd", 126)):
        got, _, error = ctl(at, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--", program)
        expect(got == code and program in error, "%s: exit %d, %s" % (program, got, error))


def sessions(at):
    return json.loads(ctl_ok(at, "session", "list", "-o", "json"))


def test_an_instance_that_is_refused_tries_until_it_is_registered_again(scratch):
    node = start_one(scratch)
    at = node.endpoint
    server = Ctl(scratch, at, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--session-ttl", "1s", "--",
                 "sh", "-c", "while :; do sleep 0.1; done")
    until(lambda: found(at, "web") == ["a"], "it is found", PATIENT)
    server.send_signal(signal.SIGSTOP)
    until(lambda: not sessions(at), "its session has ended", PATIENT)
    ctl_ok(at, "quota", "set", "/services", "--nodes", "1")
    server.send_signal(signal.SIGCONT)
    before = node.metric("coord_quota_refusals_total")
    until(lambda: node.metric("coord_quota_refusals_total") >= before + 4, "it goes on to try", PATIENT)
    server.send_signal(signal.SIGSTOP)
    until(lambda: not sessions(at), "its session has ended before it was registered", PATIENT)
    server.send_signal(signal.SIGCONT)
    until(lambda: len(sessions(at)) == 1, "it has another session", PATIENT)
    expect(server.complained().count("the quota of /services leaves no room") == 1, server.complained())
    ctl_ok(at, "quota", "remove", "/services")
    until(lambda: found(at, "web") == ["a"], "it is registered again", PATIENT)
    until(lambda: "web/a is registered again" in server.complained(), "and says so", PATIENT)


def test_an_instance_that_was_asked_to_end_drains_after_it_comes_back_too(scratch):
    node = start_one(scratch)
    at = node.endpoint
    server = Ctl(scratch, at, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--session-ttl", "1s", "--",
                 "sh", "-c", "trap : TERM; while :; do sleep 0.1; done")
    until(lambda: found(at, "web") == ["a"], "it is found", PATIENT)
    server.send_signal(signal.SIGTERM)
    until(lambda: found(at, "web") == [], "it gets no new work", PATIENT)
    server.send_signal(signal.SIGSTOP)
    until(lambda: not sessions(at), "its session has ended", PATIENT)
    server.send_signal(signal.SIGCONT)
    until(lambda: "web/a is registered again" in server.complained(), "it is registered again", PATIENT)
    expect(found(at, "web", "--all") == ["a"], "it is there")
    expect(found(at, "web") == [], "it still gets no new work")


def test_an_instance_whose_keepalive_is_refused_pauses_between_its_tries(scratch):
    node = start_one(scratch)
    at = node.endpoint
    server = Ctl(scratch, at, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--session-ttl", "1s", "--",
                 "sh", "-c", "while :; do sleep 0.1; done")
    until(lambda: found(at, "web") == ["a"], "it is found", PATIENT)
    ctl_ok(at, "user", "add", "admin", "secret")
    ctl_ok(at, "user", "grant-role", "admin", "root")
    ctl_ok(at, "auth", "enable")

    def refused():
        lines = [line for line in node.http("/metrics")[1].splitlines()
                 if line.startswith("coord_grpc_requests_total{") and "KeepAlive" in line and "UNAUTHENTICATED" in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    until(lambda: refused() > 0, "its keepalive is refused", PATIENT)
    before, begun = refused(), time.monotonic()
    until(lambda: refused() >= before + 10, "it goes on trying", PATIENT)
    tries, seconds = refused() - before, time.monotonic() - begun
    expect(tries <= 20 * seconds, "%d tries in %.1f s" % (tries, seconds))
    expect(server.process.poll() is None, "it goes on")


def test_an_instance_that_comes_back_takes_its_place_at_once(scratch):
    node = start_one(scratch)
    at = node.endpoint
    crashed = Ctl(scratch, at, "svc", "register", "web", "10.0.0.7:80", "--id", "a", "--session-ttl", "1h")
    until(lambda: found(at, "web") == ["a"], "it is found", PATIENT)
    crashed.send_signal(signal.SIGKILL)
    crashed.wait(PATIENT)
    ctl_ok(at, "svc", "register", "web", "10.0.0.8:80", "--id", "a", "--lease", lease(at))
    shown = json.loads(ctl_ok(at, "svc", "get", "web", "-o", "json"))
    expect(len(shown) == 1 and shown[0]["address"] == "10.0.0.8", shown)
    code, _, error = ctl(at, "svc", "register", "web", "10.0.0.9:80", "--id", "a", "--lease", lease(at), "--only-new")
    expect(code == 5, "exit %d: %s" % (code, error))


def test_a_subscription_goes_on_at_another_member_without_a_gap_or_a_repeat(scratch):
    cluster = start_three(scratch)
    at = cluster.endpoints
    own = lease(at)
    for i in range(3):
        ctl_ok(at, "svc", "register", "web", "10.0.0.%d:80" % i, "--id", "i%d" % i, "--lease", own)
    watcher = Ctl(scratch, at, "svc", "watch", "web", "-o", "jsonl")
    until(lambda: ("synced" in [kind for kind, _ in events(watcher)]), "the full list", PATIENT)
    expect(known(watcher) == {"i0", "i1", "i2"}, events(watcher))
    for round_, victim in enumerate(list(cluster.nodes)):
        victim.kill()
        rest = ",".join(node.endpoint for node in cluster.nodes if node is not victim)
        until(lambda to=rest, n=round_: ctl(to, "svc", "register", "web", "10.0.1.%d:80" % n, "--id", "r%d" % n,
                                            "--lease", own)[0] == 0, "a new instance", PATIENT)
        until(lambda to=rest, n=round_: ctl(to, "svc", "deregister", "web", "i%d" % n)[0] in (0, 3), "one less", PATIENT)
        want = {"r%d" % n for n in range(round_ + 1)} | {"i%d" % n for n in range(round_ + 1, 3)}
        until(lambda expected=want: known(watcher) == expected, "the watcher knows %r" % want, PATIENT)
        victim.start()
        cluster.converge()
    told = [what for kind, what in events(watcher) if kind != "synced"]
    expect(len(told) == 3 + 3 + 3, "each change once: %r" % events(watcher))
    expect(not watcher.complained(), watcher.complained())


def test_all_instances_of_a_session_go_in_one_revision(scratch):
    node = start_one(scratch)
    at = node.endpoint
    own = lease(at)
    for i in range(5):
        ctl_ok(at, "svc", "register", "web", "10.0.0.%d:80" % i, "--id", "i%d" % i, "--lease", own)
    watcher = Ctl(scratch, at, "svc", "watch", "web", "-o", "jsonl")
    until(lambda: len(known(watcher)) == 5, "the full list", PATIENT)
    ctl_ok(at, "lease", "revoke", own)
    until(lambda: not known(watcher), "all are gone", PATIENT)
    until(lambda: events(watcher)[-1][0] == "synced", "the revision is whole", PATIENT)
    expect([kind for kind, _ in events(watcher)[-6:]] == ["removed"] * 5 + ["synced"], events(watcher))


def test_filters_choose_by_tag_and_zone(scratch):
    node = start_one(scratch)
    at = node.endpoint
    own = lease(at)
    for name, zone, tags in ("a", "z1", ["x"]), ("b", "z2", ["x", "y"]), ("c", "z1", ["y"]):
        ctl_ok(at, "svc", "register", "web", "10.0.0.1:80", "--id", name, "--lease", own, "--zone", zone,
               *[word for tag in tags for word in ("--tag", tag)])
    expect(found(at, "web", "--zone", "z1") == ["a", "c"], "by zone")
    expect(found(at, "web", "--tag", "x") == ["a", "b"], "by tag")
    expect(found(at, "web", "--tag", "x", "--tag", "y") == ["b"], "by two tags")
    expect(found(at, "web", "--tag", "x", "--zone", "z3") == [], "none")
    watcher = Ctl(scratch, at, "svc", "watch", "web", "--zone", "z1", "-o", "jsonl")
    until(lambda: known(watcher) == {"a", "c"}, "those of the zone", PATIENT)
    ctl_ok(at, "svc", "register", "web", "10.0.0.1:80", "--id", "a", "--lease", own, "--zone", "z2")
    until(lambda: known(watcher) == {"c"}, "one has moved elsewhere", PATIENT)


def dig(port, *question, seconds=5, server="127.0.0.1"):
    """(status, lines of the answer), or (None, []) if nobody answered"""
    done = subprocess.run(["dig", "@" + server, "-p", str(port), "+tries=1", "+time=%d" % seconds, *question],
                          capture_output=True, text=True, check=False)
    status = re.search(r"status: (\w+)", done.stdout)
    answer = re.search(r"ANSWER SECTION:\n(.*?)\n\n", done.stdout, re.S)
    return (status.group(1) if status else None,
            sorted(re.sub(r"\s+", " ", line) for line in answer.group(1).splitlines()) if answer else [])


def test_the_dns_answers_about_services(scratch):
    port = free_port()
    node = start_one(scratch, dns_listen="127.0.0.1:%d" % port, dns_ttl=2)
    at = node.endpoint
    own = lease(at)
    ctl_ok(at, "svc", "register", "web", "10.0.0.7:8080", "--id", "a", "--lease", own, "--tag", "blue")
    ctl_ok(at, "svc", "register", "web", "[fd00::8]:8081", "--id", "b", "--lease", own, "--weight", "7")
    expect(dig(port, "web.service.coord", "A") == ("NOERROR", ["web.service.coord. 2 IN A 10.0.0.7"]), "A")
    expect(dig(port, "web.service.coord", "AAAA") == ("NOERROR", ["web.service.coord. 2 IN AAAA fd00::8"]), "AAAA")
    records = ["web.service.coord. 2 IN SRV 0 100 8080 10-0-0-7.ip.coord.",
               "web.service.coord. 2 IN SRV 0 7 8081 fd00--8.ip.coord."]
    expect(dig(port, "web.service.coord", "SRV") == ("NOERROR", records), dig(port, "web.service.coord", "SRV"))
    expect(dig(port, "+tcp", "web.service.coord", "SRV") == ("NOERROR", records), "by TCP")
    expect(dig(port, "10-0-0-7.ip.coord", "A")[1] == ["10-0-0-7.ip.coord. 2 IN A 10.0.0.7"], "what SRV points to")
    expect(dig(port, "web.service.coord", "TXT")[1][0] ==
           'web.service.coord. 2 IN TXT "id=a" "weight=100" "tags=blue"', dig(port, "web.service.coord", "TXT"))
    expect(dig(port, "blue.web.service.coord", "A")[1] == ["blue.web.service.coord. 2 IN A 10.0.0.7"], "by tag")
    expect(dig(port, "nope.service.coord", "A") == ("NXDOMAIN", []), "no such service")
    expect(dig(port, "example.com", "A") == ("REFUSED", []), "not ours")
    ctl_ok(at, "svc", "drain", "web", "a")
    expect(dig(port, "web.service.coord", "A") == ("NOERROR", []), "who drains is left out")
    ctl_ok(at, "lease", "revoke", own)
    expect(dig(port, "web.service.coord", "SRV") == ("NOERROR", []), "all are gone")
    for i in range(60):
        own = own if i else lease(at)
        ctl_ok(at, "svc", "register", "big", "10.0.1.%d:80" % i, "--lease", own)
    expect(len(dig(port, "+noedns", "big.service.coord", "A")[1]) == 60, "too large for a datagram, so by TCP")
    expect(node.metric("coord_dns_answers_total") > 10, "they are counted")


def test_the_dns_answers_at_each_address_of_a_name(scratch):
    """One, where /etc/hosts has no ::1 for localhost or the machine no IPv6."""
    port = free_port()
    start_one(scratch, dns_listen="localhost:%d" % port)
    for server in {found[4][0] for found in socket.getaddrinfo("localhost", port) if has_address(found[4][0])}:
        for way in ("+notcp", "+tcp"):
            expect(dig(port, way, "service.coord", "A", server=server) == ("NOERROR", []), server + " " + way)


def test_a_flood_of_the_dns_by_udp_is_sent_to_tcp(scratch):
    port = free_port()
    node = start_one(scratch, dns_listen="127.0.0.1:%d" % port)
    at = node.endpoint
    ctl_ok(at, "svc", "register", "web", "10.0.0.7:80", "--lease", lease(at))
    name = b"".join(bytes([len(label)]) + label for label in (b"web", b"service", b"coord", b""))
    question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x01\x00\x01"
    refused = []

    def flood():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            for _ in range(100):
                for _ in range(50):
                    s.sendto(question, ("127.0.0.1", port))
                try:
                    for _ in range(50):
                        reply = s.recv(2048)
                        refused.extend([reply] if reply[2] & 2 else [])
                except socket.timeout:
                    continue  # some were lost
        return node.metric("coord_dns_limited_total") > 0

    until(flood, "too many are limited", PATIENT)
    expect(len(refused) > 0 and all(len(reply) == len(question) for reply in refused), "with TC, and no larger")
    expect(dig(port, "web.service.coord", "A")[1] == ["web.service.coord. 1 IN A 10.0.0.7"], "by TCP there is an answer")
    until(lambda: dig(port, "+ignore", "web.service.coord", "A")[1] != [], "and by UDP again later", PATIENT)


def test_the_dns_of_a_member_that_is_cut_off_fails_instead_of_lying(scratch):
    cluster = Cluster(scratch)
    ports = []
    for node in cluster.nodes:
        ports.append(free_port())
        node.flags.update(dns_listen="127.0.0.1:%d" % ports[-1], dns_bound_ms=1000)
    cluster.start()
    at = cluster.endpoints
    ctl_ok(at, "svc", "register", "web", "10.0.0.7:80", "--lease", lease(at))
    for port in ports:
        until(lambda where=port: dig(where, "web.service.coord")[1] == ["web.service.coord. 1 IN A 10.0.0.7"],
              "every member answers", PATIENT)
    for node in cluster.nodes[1:]:
        node.send_signal(signal.SIGSTOP)
    until(lambda: dig(ports[0], "web.service.coord") == ("SERVFAIL", []), "the one that is left cannot know", PATIENT)
    for node in cluster.nodes[1:]:
        node.send_signal(signal.SIGCONT)
    until(lambda: dig(ports[0], "web.service.coord")[0] == "NOERROR", "it answers again", PATIENT)


class Server:
    """An instance's own HTTP server, whose /health says what it is told to."""

    def __init__(self):
        server = self
        self.status, self.asked = 200, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked += 1
                self.send_response(server.status if self.path == "/health" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.address = "127.0.0.1:%d" % self.http.server_address[1]

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def health(at, service, name):
    return next(i["health"] for i in json.loads(ctl_ok(at, "svc", "get", service, "--all", "-o", "json")) if i["id"] == name)


def test_checks_tell_who_is_down_and_who_is_back(scratch):
    cluster = start_three(scratch)
    at = cluster.endpoints
    own = lease(at)
    servers = {name: Server() for name in ("a", "b")}
    for name, server in servers.items():
        ctl_ok(at, "svc", "register", "web", server.address, "--id", name, "--lease", own, "--check", "/health",
               "--check-interval", "100ms")
    watcher = Ctl(scratch, at, "svc", "watch", "web", "-o", "jsonl")
    until(lambda: all(server.asked > 3 for server in servers.values()), "both are checked", PATIENT)
    expect(found(at, "web") == ["a", "b"] and health(at, "web", "a") == "passing", "both are well")
    servers["a"].status = 500
    until(lambda: health(at, "web", "a") == "down", "one is down", PATIENT)
    expect(found(at, "web") == ["b"] and found(at, "web", "--all") == ["a", "b"], "it is left out")
    told = [json.loads(line)["instance"]["health"] for line in watcher.printed().splitlines() if '"id": "a"' in line]
    until(lambda: '"health": "down"' in watcher.printed(), "a subscriber is told", PATIENT)
    expect("suspected_down" in watcher.printed(), "and was told of the suspicion: %r" % told)
    cluster.leader().kill()
    servers["a"].status = 204
    until(lambda: health(at, "web", "a") == "passing", "another leader finds it well again", PATIENT)
    expect(found(at, "web") == ["a", "b"], "it is back")
    ctl_ok(at, "lease", "revoke", own)
    for server in servers.values():
        server.close()


def test_nobody_is_called_down_when_nobody_else_is_left(scratch):
    node = start_one(scratch)
    at = node.endpoint
    own = lease(at)
    servers = {name: Server() for name in ("a", "b")}
    for name, server in servers.items():
        ctl_ok(at, "svc", "register", "web", server.address, "--id", name, "--lease", own, "--check", "/health",
               "--check-interval", "100ms")
    until(lambda: all(server.asked > 3 for server in servers.values()), "both are checked", PATIENT)
    for server in servers.values():
        server.status = 500
    until(lambda: node.metric("coord_checks_protected") == 2, "both would be down", PATIENT)
    expect([health(at, "web", name) for name in servers] == ["suspected_down"] * 2, "and are not called so")
    expect(found(at, "web") == ["a", "b"], "they are still found")
    ctl_ok(at, "svc", "register", "web", "127.0.0.1:9", "--id", "c", "--lease", own)
    until(lambda: found(at, "web") == ["c"], "as soon as there is another one, they are down", PATIENT)
    expect(node.metric("coord_checks_protected") == 0, "nobody is protected any more")
    for server in servers.values():
        server.close()


def vitals(at, service, name, *options):
    """what is known of an instance besides the log, or None"""
    shown = json.loads(ctl_ok(at, "svc", "get", service, "--all", "-o", "json", *options))
    return next(instance["vitals"] for instance in shown if instance["id"] == name)


def queue(at, service, name):
    known = vitals(at, service, name)
    return known["load"]["queue_length"] if known and known["load"] else None


def beating(scratch, at, name, *load):
    return Ctl(scratch, at, "svc", "heartbeat", "web", name, "--interval", "100ms", *load)


def test_heartbeats_tell_who_lives_and_what_it_has_to_do_at_any_member(scratch):
    cluster = start_three(scratch)
    at = cluster.endpoints
    own = lease(at)
    follower = next(node for node in cluster.nodes if node is not cluster.leader())
    for name in "a", "b":
        ctl_ok(at, "svc", "register", "web", "10.0.0.1:80", "--id", name, "--lease", own, "--check", "heartbeat",
               "--check-interval", "1s")
    a = beating(scratch, follower.endpoint, "a", "--queue", "7", "--cpu", "0.5", "--latency", "12ms")
    b = beating(scratch, cluster.leader().endpoint, "b")
    for node in cluster.nodes:
        until(lambda where=node.endpoint: queue(where, "web", "a") == 7, "the load is known everywhere", PATIENT)
        until(lambda where=node.endpoint: vitals(where, "web", "b") is not None, "who says no more is known", PATIENT)
    until(lambda: (health(at, "web", "a"), health(at, "web", "b")) == ("passing", "passing"), "both live", PATIENT)
    watcher = Ctl(scratch, at, "svc", "watch", "web", "--reports", "-o", "jsonl")
    until(lambda: '"report"' in watcher.printed(), "a subscriber is told of reports", PATIENT)
    revision = json.loads(ctl_ok(at, "status", "-o", "json"))["revision"]
    until(lambda: cluster.leader().metric("coord_heartbeats_total") > 50, "many heartbeats", PATIENT)
    grown = json.loads(ctl_ok(at, "status", "-o", "json"))["revision"] - revision
    expect(grown < 10, "only changes of health are logged, and those are few: %d" % grown)
    a.send_signal(signal.SIGKILL)
    until(lambda: health(at, "web", "a") == "down", "who is silent is down", PATIENT)
    expect(found(at, "web") == ["b"] and found(at, "web", "--health", "down") == ["a"], "and left out, unless asked for")
    until(lambda: vitals(at, "web", "a")["phi"] > 3, "its silence is suspicious", PATIENT)
    until(lambda: '"suspected_down"' in watcher.printed(), "a subscriber was told of the suspicion", PATIENT)
    shown = json.loads(ctl_ok(at, "svc", "list", "--long", "-o", "json"))[0]
    expect(shown["health"]["down"] == 1 and shown["load"]["queue_length"] == 7, shown)
    a = beating(scratch, at, "a", "--queue", "3")
    until(lambda: health(at, "web", "a") == "passing", "it is back", PATIENT)
    cluster.leader().kill()
    until(lambda: queue(at, "web", "a") == 3, "another leader knows", PATIENT)
    until(lambda: (health(at, "web", "a"), health(at, "web", "b")) == ("passing", "passing"), "both live on", PATIENT)
    ctl_ok(at, "svc", "deregister", "web", "a")
    expect(a.wait(PATIENT) == 3, "who is not registered is told so")
    code, _, error = ctl(at, "svc", "heartbeat", "web", "b", "--cpu", "1.5")
    expect(code == 2 and "from 0 to 1" in error, error)
    b.send_signal(signal.SIGTERM)


def test_the_least_loaded_by_its_own_word_gets_the_work(scratch):
    node = start_one(scratch)
    at = node.endpoint
    own = lease(at)
    for name in "a", "b", "c":
        ctl_ok(at, "svc", "register", "web", "10.0.0.1:80", "--id", name, "--lease", own)
        ctl_ok(at, "svc", "heartbeat", "web", name, "--queue", "5")
    least, fast = Picker(at, "web", "load"), Picker(at, "web", "fast")
    expect(set(least.picks(12)) == {"a", "b", "c"}, "equals go in turn")
    ctl_ok(at, "svc", "heartbeat", "web", "b", "--queue", "1")
    until(lambda: set(least.picks(6)) == {"b"}, "the shortest queue", PATIENT)
    ctl_ok(at, "svc", "heartbeat", "web", "a", "--latency", "1m")
    ctl_ok(at, "svc", "heartbeat", "web", "c", "--latency", "1m")
    until(lambda: set(fast.picks(6)) == {"b"}, "who says that it is slow is taken at its word", PATIENT)
    ctl_ok(at, "lease", "revoke", own)
    least.end()
    fast.end()


class Picker:
    """A client with a subscription and a picker; a key a line."""

    def __init__(self, at, service, policy):
        self.process = subprocess.Popen([BUILD + "/tests/cluster/picker", at, service, policy], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=clean_environment(), text=True)

    def pick(self, key="x"):
        self.process.stdin.write(key + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def picks(self, count):
        return [self.pick("key %d" % i) for i in range(count)]

    def end(self):
        self.process.stdin.close()
        expect(self.process.wait(PATIENT) == 0, "the picker ended well")


def test_pickers_follow_what_changes_and_go_on_when_no_member_is_up(scratch):
    cluster = start_three(scratch)
    at = cluster.endpoints
    own = lease(at)
    for name, weight in ("a", 30), ("b", 10):
        ctl_ok(at, "svc", "register", "web", "10.0.0.1:80", "--id", name, "--lease", own, "--weight", str(weight))
    turn, hashed = Picker(at, "web", "turn"), Picker(at, "web", "hash")
    expect(sorted(turn.picks(8)) == ["a"] * 6 + ["b"] * 2, "three to one")
    before = hashed.picks(100)
    expect(set(before) == {"a", "b"} and before == hashed.picks(100), before)
    ctl_ok(at, "svc", "register", "web", "10.0.0.1:80", "--id", "c", "--lease", own, "--weight", "20")
    until(lambda: "c" in hashed.picks(100), "the new one gets keys", PATIENT)
    after = hashed.picks(100)
    expect(all(new in (old, "c") for old, new in zip(before, after)), "keys moved to the new one only")
    ctl_ok(at, "svc", "drain", "web", "a")
    until(lambda: "a" not in turn.picks(6), "who drains gets nothing new", PATIENT)
    ctl_ok(at, "svc", "drain", "web", "b")
    ctl_ok(at, "svc", "drain", "web", "c")
    until(lambda: set(turn.picks(12)) == {"a", "b", "c"}, "if all drain, any will do", PATIENT)
    ctl_ok(at, "svc", "drain", "web", "c", "--undo")
    until(lambda: set(turn.picks(12)) == {"c"}, "only one takes work", PATIENT)
    for node in cluster.nodes:
        node.kill()
    expect(set(turn.picks(12)) == {"c"}, "what was known stays known")
    for node in cluster.nodes:
        node.start()
    cluster.converge()
    ctl_ok(at, "lease", "revoke", own)
    until(lambda: turn.pick() == "-" and hashed.pick() == "-", "all are gone", PATIENT)
    turn.end()
    hashed.end()


if __name__ == "__main__":
    main(globals())
