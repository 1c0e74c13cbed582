#!/usr/bin/env python3
"""Real nodes that speak TLS to clients and to each other, with certificates made by openssl."""
import http.client
import json
import os
import signal
import socket
import ssl

from certificates import Authority
from harness import (COORDCTL, HOST, Cluster, Node, Writers, connect, ctl, ctl_ok, expect,
                     is_closed_by_other_side, main, run_coordd, until)
from restore import inspect


class TlsNode(Node):
    """A node whose pages are asked for over TLS."""

    asks_as = None
    authority = None

    def __init__(self, *arguments, authority, **flags):
        super().__init__(*arguments, **flags)
        self.speak_tls(authority)

    def speak_tls(self, authority):
        self.authority = authority
        self.flags.update(authority.flags(self.name))

    def http(self, page, seconds=2.0):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if self.asks_as:
            context.load_cert_chain(self.authority.path(self.asks_as + ".pem"),
                                    self.authority.path(self.asks_as + ".key"))
        connection = http.client.HTTPSConnection(HOST, self.port, timeout=5 * seconds, context=context)
        try:
            connection.request("GET", page)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def presented(self):
        """The serial number of the certificate that it shows to clients now."""
        with socket.create_connection((HOST, self.port), timeout=10) as plain:
            context = ssl.create_default_context(cafile=self.authority.certificate)
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return secure.getpeercert()["serialNumber"]

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    @property
    def secure_endpoint(self):
        return "coords://" + self.endpoint


class TlsCluster(Cluster):
    def __init__(self, scratch, authority, **flags):
        super().__init__(scratch, **flags)
        for node in self.nodes:
            authority.issue(node.name)
            node.__class__ = TlsNode
            node.speak_tls(authority)

    @property
    def secure_endpoints(self):
        return "coords://" + self.endpoints


def test_coordctl_reaches_a_node_over_tls_and_only_so(scratch):
    authority = Authority(scratch + "/certs")
    other = Authority(scratch + "/other", "other")
    authority.issue("n1")
    authority.issue("ann")
    other.issue("eve")
    node = TlsNode(scratch, "n1", authority=authority, tls_client_auth="required")
    node.asks_as = "ann"
    node.start(wait=False)
    until(node.is_ready, "it serves", 15)
    ctl_ok(node.secure_endpoint, *authority.options("ann"), "create", "/a", "hello")
    expect(ctl_ok(node.endpoint, *authority.options("ann"), "-o", "raw", "get", "/a") == b"hello",
           "a CA alone asks for TLS")
    big = os.urandom(900000)
    ctl_ok(node.secure_endpoint, *authority.options("ann"), "create", "/big", "-", stdin=big)
    expect(ctl_ok(node.secure_endpoint, *authority.options("ann"), "-o", "raw", "get", "/big") == big,
           "a large value comes back as it went")
    for options, why in [(authority.options(), "certificate required"),
                         (["--cacert", authority.certificate, "--cert", other.path("eve.pem"),
                           "--key", other.path("eve.key")], "unknown ca"),
                         (other.options("eve"), "'CN=n1' is not accepted"),
                         (other.options("eve"), "; --cacert says whose certificates count"),
                         ([*authority.options("ann"), "--server-name", "n9"], "mismatch"),
                         ([], "; coords:// in front of the endpoints")]:
        def is_refused(options=options, why=why):
            code, _, error = ctl(node.endpoint, *options, "--timeout", "2s", "get", "/a")
            expect(code in (6, 7), "%r: exit %d, %s" % (options, code, error))
            return why in error
        until(is_refused, "%r: refused as %s" % (options, why), 15)
    ctl_ok(node.secure_endpoint, "--insecure-skip-verify", "--cert", authority.path("ann.pem"),
           "--key", authority.path("ann.key"), "get", "/a")
    log = node.log()
    expect("peer did not return a certificate" in log and "'CN=eve' is not accepted" in log, log)


def test_plain_text_is_refused_unless_it_is_allowed(scratch):
    authority = Authority(scratch + "/certs")
    authority.issue("n1")
    node = TlsNode(scratch, "n1", authority=authority)
    node.start(wait=False)
    until(node.is_ready, "it serves", 15)
    with connect(node.port) as plain:
        plain.sendall(b"ruok")
        expect(plain.recv(100) == b"this port speaks TLS only\n", "a word is answered with the reason")
    with connect(node.port) as plain:
        plain.sendall(b"\0\0\0\x2c" + bytes(44))
        expect(is_closed_by_other_side(plain, 5), "a packet closes the connection")
    code, page = Node.http(node, "/health")
    expect(code == 400 and "TLS" in page, "%d %s" % (code, page))
    context = ssl.create_default_context(cafile=authority.certificate)
    with context.wrap_socket(connect(node.port), server_hostname=HOST) as secure:
        secure.sendall(b"ruok")
        expect(secure.recv(100) == b"imok", "the same inside of TLS")
    for offered, chosen in [(["h2"], "h2"), (["h2", "http/1.1"], "http/1.1"), (["other"], None)]:
        context.set_alpn_protocols(offered)
        with context.wrap_socket(connect(node.port), server_hostname=HOST) as secure:
            expect(secure.selected_alpn_protocol() == chosen, "ALPN %r: %r" %
                   (offered, secure.selected_alpn_protocol()))
    old = ssl.create_default_context(cafile=authority.certificate)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    try:
        old.wrap_socket(connect(node.port), server_hostname=HOST).close()
        expect(False, "TLS 1.1 was taken")
    except ssl.SSLError:
        pass
    open_node = TlsNode(scratch, "n1", authority=authority, tls_plaintext="loopback")
    open_node.data_dir += "-open"
    open_node.start(wait=False)
    until(lambda: Node.http(open_node, "/ready")[0] == 200, "plain text from this machine is served", 15)
    ctl_ok(open_node, "create", "/a", "x")
    ctl_ok(open_node.secure_endpoint, *authority.options(), "get", "/a")


def test_a_cluster_whose_members_prove_their_names(scratch):
    authority = Authority(scratch + "/certs")
    cluster = TlsCluster(scratch, authority).start()
    ctl_ok(cluster.secure_endpoints, *authority.options(), "create", "/a", "1")
    cluster.converge()
    for node in cluster.nodes:
        expect("use=peer subject=\"CN=%s\"" % node.name in node.log(), node.log())
        with connect(node.peer_port) as plain:
            plain.sendall(b"not TLS at all")
            expect(is_closed_by_other_side(plain, 5), "who speaks plainly to the peer port is cut off")
        until(lambda n=node: "use=peer address" in n.log() and "it does not speak TLS" in n.log(), "it says so")
    # One of them comes back with a certificate of the same CA, but of another name.
    follower = cluster.followers()[0]
    others = [node for node in cluster.nodes if node is not follower]
    follower.kill()
    authority.issue("mallory")
    follower.flags.update({"peer_tls_cert": authority.path("mallory.pem"),
                           "peer_tls_key": authority.path("mallory.key"),
                           "peer_tls_ca": authority.certificate})
    follower.start(wait=False)
    why = "it calls itself '%s', its certificate says 'CN=mallory'" % follower.name
    until(lambda: any(why in node.log() for node in others), "the others say why they keep it out", 15)
    ctl_ok("coords://" + ",".join(node.endpoint for node in others), *authority.options(), "set", "/a", "2")
    expect(follower.status()["serving"] is False, "it does not serve")
    # And without TLS.
    follower.kill()
    for flag in ["peer_tls_cert", "peer_tls_key", "peer_tls_ca", "tls_ca"]:
        del follower.flags[flag]
    follower.start(wait=False)
    until(lambda: follower.http("/health")[0] == 200, "it runs", 15)
    until(lambda: follower.status()["applied_index"] == 0 or follower.status()["serving"] is False,
          "it is alone")
    # With its own name it is let in again.
    follower.kill()
    follower.flags.update(authority.flags(follower.name))
    follower.start(wait=False)
    until(follower.is_ready, "it serves again", 15)
    cluster.converge()


def test_certificates_are_rotated_under_load_and_no_write_is_lost(scratch):
    authority = Authority(scratch + "/certs")
    cluster = TlsCluster(scratch, authority).start()
    os.environ["SSL_CERT_FILE"] = authority.certificate  # for libcoord's default: the CAs of this machine
    writers = Writers(scratch, cluster.secure_endpoints, "/w", count=4)
    writers.wait_for_more(50)
    before = {node: node.presented() for node in cluster.nodes}
    for node in cluster.nodes:  # noticed by itself
        authority.issue(node.name)
        until(lambda n=node: n.presented() != before[n], node.name + " shows the new certificate", 15)
        writers.wait_for_more(20)
    before = {node: node.presented() for node in cluster.nodes}
    for node in cluster.nodes:  # told by a signal
        authority.issue(node.name)
        node.send_signal(signal.SIGHUP)
        until(lambda n=node: n.presented() != before[n], node.name + " shows the new certificate", 15)
    # Half a file changes nothing but the count of failures.
    node = cluster.nodes[0]
    serial = node.presented()
    with open(authority.path(node.name + ".pem"), "w", encoding="utf-8") as out:
        out.write("-----BEGIN CERTIFICATE-----\nMIIB")
    node.send_signal(signal.SIGHUP)
    failures = 'coord_tls_reloads_total{use="client",result="failed"}'
    until(lambda: node.metric(failures) >= 1, "the failure is counted")
    expect("tls.reload_failed" in node.log() and node.name + ".pem" in node.log(), node.log())
    expect(node.presented() == serial, "the old certificate is shown")
    authority.issue(node.name)
    until(lambda: node.presented() != serial, "a whole file is taken again", 15)
    expect(node.metric('coord_tls_certificate_expiry_seconds{use="client"}') > 1.7e9, "expiry is shown")
    # New connections between members, too.
    cluster.leader().kill()
    writers.wait_for_more(50)
    acked, _, failed = writers.stop()
    expect(not failed, "no write failed: %r" % failed[:3])
    for node in cluster.nodes:
        if not node.is_running():
            node.start(wait=False)
    for node in cluster.nodes:
        until(node.is_ready, node.name + " is ready", 20)
    cluster.converge()
    listed = ctl_ok(cluster.secure_endpoints, *authority.options(), "--timeout", "60s", "ls", "/")
    there = {"/" + line.split()[0].lstrip("/") for line in listed.decode().splitlines() if line}
    lost = [path for path in acked if path not in there]
    expect(not lost, "lost %d of %d: %r" % (len(lost), len(acked), lost[:3]))


def test_a_snapshot_is_saved_over_tls_while_clients_write_and_certificates_change(scratch):
    authority = Authority(scratch + "/certs")
    authority.issue("ann")
    cluster = TlsCluster(scratch, authority, tls_client_auth="optional").start()
    os.environ["SSL_CERT_FILE"] = authority.certificate
    at, ann = cluster.secure_endpoints, authority.options("ann")
    value = os.urandom(900000)
    for i in range(12):
        ctl_ok(at, *ann, "create", "/large-%d" % i, "-", stdin=value)
    writers = Writers(scratch, at, "/w", count=4)
    writers.wait_for_more(50)
    for number, node in enumerate(cluster.nodes):
        path = os.path.join(scratch, "%d.db" % number)
        before = node.presented()
        authority.issue(node.name)
        told = json.loads(ctl_ok(node.secure_endpoint, *ann, "snapshot", "save", path, "-o", "json"))
        proved = inspect(path)
        expect(told["member"] == node.name and told["digest"] == proved["digest"], "%r %r" % (told, proved))
        expect(told["bytes"] == os.path.getsize(path) > 12 * len(value) and proved["verified"], "whole: %r" % told)
        until(lambda n=node, b=before: n.presented() != b, "the new certificate is used", 15)
    code, _, error = ctl(cluster.nodes[0].endpoint, "--timeout", "3s", "snapshot", "save", scratch + "/none.db")
    expect(code in (6, 7) and not os.path.exists(scratch + "/none.db"), "not in plain text: %d %s" % (code, error))
    acked, _, failed = writers.stop()
    expect(acked and not failed, "no write failed: %r" % failed[:3])


def test_files_that_cannot_be_used_end_the_start(scratch):
    authority = Authority(scratch + "/certs")
    authority.issue("a")
    authority.issue("b")
    for flags, word in [({**authority.flags("a"), "tls_key": authority.path("b.key")}, "b.key"),
                        ({**authority.flags("a"), "tls_cert": authority.path("none.pem")}, "none.pem"),
                        ({**authority.flags("a"), "tls_ca": __file__}, "tls.py")]:
        given = ["--%s=%s" % (key.replace("_", "-"), value) for key, value in flags.items()]
        code, error = run_coordd("--data-dir", scratch + "/d", *given)
        expect(code == 1 and word in error, "%r: exit %d, %s" % (flags, code, error))


if __name__ == "__main__":
    expect(os.path.exists(COORDCTL), "there is no " + COORDCTL)
    main(globals())
