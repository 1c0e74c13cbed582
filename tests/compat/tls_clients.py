#!/usr/bin/python3
"""Foreign clients over TLS: kazoo, grpc C-core by its Python binding, curl, openssl s_client. (Debian builds
libzookeeper without TLS.)"""
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))

# pylint: disable=wrong-import-position
import grpc
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import make_acl

from certificates import Authority
from harness import HOST, expect, main, until
from tls import TlsCluster, TlsNode


def start_node(scratch, **flags):
    authority = Authority(scratch + "/certs")
    authority.issue("n1")
    authority.issue("ann")
    node = TlsNode(scratch, "n1", authority=authority, **flags)
    node.asks_as = "ann"
    node.start(wait=False)
    until(node.is_ready, "it serves", 15)
    return authority, node


def kazoo(authority, hosts, own=None):
    files = {"certfile": authority.path(own + ".pem"), "keyfile": authority.path(own + ".key")} if own else {}
    return KazooClient(hosts=hosts, use_ssl=True, ca=authority.certificate, timeout=10, **files)


def test_kazoo_is_known_by_its_certificate(scratch):
    authority, node = start_node(scratch, tls_client_auth="optional")
    ann, nobody = kazoo(authority, node.endpoint, "ann"), kazoo(authority, node.endpoint)
    try:
        ann.start(timeout=20)
        nobody.start(timeout=20)
        ann.create("/mine", b"1", acl=[make_acl("x509", "CN=ann", all=True)])
        expect(ann.get("/mine")[0] == b"1", "ann reads her own")
        try:
            nobody.get("/mine")
            expect(False, "nobody reads it")
        except NoAuthError:
            pass
        value = os.urandom(900000)
        ann.create("/big", value)
        expect(nobody.get("/big")[0] == value, "a large value comes back as it went")
        seen = threading.Event()
        nobody.exists("/w", watch=lambda event: seen.set())
        ann.create("/w", ephemeral=True)
        expect(seen.wait(20), "a watch fires")
        results = [ann.create_async("/many-%d" % i) for i in range(2000)]
        expect(all(r.get(timeout=60) for r in results), "two thousand requests in flight")
    finally:
        ann.stop()
        nobody.stop()


def test_grpc_reaches_a_cluster_with_mutual_tls(scratch):
    authority = Authority(scratch + "/certs")
    authority.issue("ann")
    cluster = TlsCluster(scratch, authority, tls_client_auth="required")
    for node in cluster.nodes:
        node.asks_as = "ann"
    cluster.start()

    def read(file):
        with open(authority.path(file), "rb") as data:
            return data.read()
    ann = grpc.ssl_channel_credentials(read("ca.pem"), read("ann.key"), read("ann.pem"))
    bare = grpc.ssl_channel_credentials(read("ca.pem"))
    for node in cluster.nodes:
        with grpc.secure_channel(node.endpoint, ann) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            expect(check(b"", timeout=20) == b"\x08\x01", "it is serving")
        for channel in (grpc.secure_channel(node.endpoint, bare), grpc.insecure_channel(node.endpoint)):
            with channel:
                try:
                    channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=20)
                    expect(False, "let in without a certificate")
                except grpc.RpcError as error:
                    expect(error.code() == grpc.StatusCode.UNAVAILABLE, str(error))


def test_curl_and_openssl_find_pages_and_words(scratch):
    authority, node = start_node(scratch)
    url = "https://%s/health" % node.endpoint
    page = subprocess.run(["curl", "-sS", "--cacert", authority.certificate, url], capture_output=True, check=True)
    expect(page.stdout == b"ok\n", repr(page.stdout))
    said = subprocess.run(["openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", authority.certificate,
                           "-connect", node.endpoint], input=b"ruok", capture_output=True, timeout=60, check=False)
    # The word's answer ends the connection, unless the end of our input did before.
    expect(said.stdout in (b"imok", b""), repr(said))
    for version, taken in [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)]:
        done = subprocess.run(["openssl", "s_client", version, "-cipher", "DEFAULT:@SECLEVEL=0", "-alpn", "h2",
                               "-CAfile", authority.certificate, "-connect", node.endpoint],
                              input=b"", capture_output=True, timeout=60, check=False)
        expect((b"ALPN protocol: h2" in done.stdout) == taken, "%s: %r" % (version, done.stdout[-600:]))


if __name__ == "__main__":
    expect(HOST == "127.0.0.1", "certificates are made for it")
    main(globals())
