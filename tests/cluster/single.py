#!/usr/bin/env python3
"""One node: what it keeps over kill -9, how it starts and ends, what it refuses."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

from harness import (COORDD, PATIENCE, Cluster, Ctl, Failure, Node, Writers, clean_environment, connect, ctl,
                     ctl_ok, expect, free_port, has_address, main, run_coordd, until)


def test_keeps_acknowledged_writes_over_kill_9(scratch):
    node = Node(scratch).start()
    ctl_ok(node, "create", "/a", "hello")
    expect(ctl_ok(node, "get", "/a") == b"hello", "get prints what create stored")
    node.kill()
    node.start()
    expect(ctl_ok(node, "get", "/a") == b"hello", "and again after kill -9")


def test_keeps_acknowledged_writes_over_kill_9_under_load(scratch):
    node = Node(scratch, snapshot_log_bytes="64k", wal_segment_bytes="256k").start()
    writers = Writers(scratch, node.endpoint, "/load")
    for _ in range(3):
        writers.wait_for_more(300)
        node.kill()
        node.start()
    writers.wait_for_more(100)
    acked, _, failed = writers.stop()
    expect(not failed, "no write was refused: %r" % failed[:3])
    writers.check(node, acked)


def test_sigterm_ends_it_with_0_and_loses_nothing(scratch):
    node = Node(scratch).start()
    ctl_ok(node, "create", "/a", "hello")
    expect(node.terminate() == 0, "exit code 0")
    node.start()
    expect(ctl_ok(node, "get", "/a") == b"hello", "get after a graceful stop")


def test_sigterm_does_not_wait_long_for_clients_that_hang(scratch):
    """A second for their last bytes: half a request, connections that only listen, clients that do not run any more."""
    node = Node(scratch).start()
    until(node.is_ready, "it serves")
    ctl_ok(node, "create", "/a", "hello")
    said = [b"", b"\x00", b"GET /metrics HTTP/1.1\r\nHost:", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"]
    open_ones = [connect(node.port) for _ in said]
    for connection, words in zip(open_ones, said):
        connection.sendall(words)
    watch = Ctl(scratch, node, "watch", "/", "--recursive", "--from-revision", "1")
    watch.lines(1)
    holder = Ctl(scratch, node, "create", "/e", "x", "--ephemeral")
    until(lambda: ctl(node, "get", "/e")[0] == 0, "somebody keeps a session alive")
    for client in watch, holder:
        client.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    expect(node.terminate() == 0, "exit code 0")
    took = time.monotonic() - begin
    expect(took < 2 * PATIENCE, "it took %.1f s" % took)
    expect("server.stop cut_off=" in node.log(), "it had to cut some off")
    for connection in open_ones:
        connection.close()


def test_sigint_ends_it_with_0(scratch):
    node = Node(scratch).start()
    expect(node.terminate(signal.SIGINT) == 0, "exit code 0")


def catches(pid, number):
    """whether the process has a handler for the signal by now"""
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        caught = int(re.search(r"^SigCgt:\s*(\w+)", status.read(), re.M).group(1), 16)
    return caught >> (number - 1) & 1 == 1


def test_a_signal_ends_it_at_once_before_it_serves(scratch):
    for number in (signal.SIGTERM, signal.SIGINT):
        pipe = os.path.join(scratch, "pipe-%d" % number)
        os.mkfifo(pipe)  # whose reader waits for a writer, which never comes
        node = Node(scratch, name="n%d" % number, tls_cert=pipe, tls_key=pipe)
        node.start(wait=False)
        until(lambda: catches(node.process.pid, number), "it takes signals")
        expect(node.terminate(number) == 0, "it ends at once")


def test_greets_and_logs(scratch):
    node = Node(scratch).start()
    until(lambda: "coordctl --endpoints %s status" % node.endpoint in node.log(), "it says how to reach it")
    lines = [line for line in node.log().splitlines() if " info " in line]
    expect(any("raft.state state=leader" in line for line in lines), "the state change is logged")


def test_second_process_on_one_data_dir_is_refused(scratch):
    node = Node(scratch).start()
    code, error = run_coordd("--data-dir", node.data_dir, "--listen", "127.0.0.1:%d" % free_port())
    expect(code == 1 and "locked" in error and len(error.strip().splitlines()) == 1,
           "exit %d, %r" % (code, error))
    expect(node.is_ready(), "the first one goes on")


def test_client_port_in_use_is_refused(scratch):
    node = Node(scratch).start()
    code, error = run_coordd("--data-dir", scratch + "/other", "--listen", node.endpoint)
    expect(code == 1 and str(node.port) in error, "exit %d, %r" % (code, error))


def test_data_dir_in_a_directory_that_is_not_there_is_refused(scratch):
    code, error = run_coordd("--data-dir", scratch + "/no/where", "--listen", "127.0.0.1:%d" % free_port())
    expect(code == 1 and "no/where: the directory above it does not exist" in error, "exit %d, %r" % (code, error))


def test_other_nodes_and_clusters_data_dirs_are_refused(scratch):
    cluster = Cluster(scratch).start()
    n1 = cluster.nodes[0]
    for node in cluster.nodes:
        expect(node.terminate() == 0, "exit code 0")
    members = ",".join("%s=%s" % item for item in n1.peers.items())
    listen = ["--listen", n1.endpoint, "--data-dir", n1.data_dir]
    code, error = run_coordd("--name=n2", "--initial-cluster=" + members, *listen)
    expect(code == 1 and '"n1"' in error and '"n2"' in error, "another node's: %d %r" % (code, error))
    others = "n1=127.0.0.1:%d,x=127.0.0.1:%d,y=127.0.0.1:%d" % (free_port(), free_port(), free_port())
    code, error = run_coordd("--name=n1", "--initial-cluster=" + others, *listen)
    expect(code == 1 and "another cluster" in error, "another cluster's: %d %r" % (code, error))
    code, error = run_coordd("--name=n1", *listen)
    expect(code == 1 and "member of a cluster" in error, "as a single node: %d %r" % (code, error))


def test_log_of_another_node_is_refused(scratch):
    first = Node(scratch, "first").start()
    second = Node(scratch, "second").start()
    ctl_ok(first, "create", "/a", "1")
    ctl_ok(second, "create", "/b", "2")
    first.kill()
    second.kill()
    shutil.rmtree(first.data_dir + "/wal")
    shutil.copytree(second.data_dir + "/wal", first.data_dir + "/wal")
    code, error = run_coordd(*first.arguments()[1:])
    expect(code == 1 and "belongs to" in error, "exit %d, %r" % (code, error))


def test_corruption_is_refused_by_segment_and_offset(scratch):
    node = Node(scratch).start()
    for i in range(20):
        ctl_ok(node, "create", "/n%d" % i, "x" * 200)
    expect(node.terminate() == 0, "exit code 0")
    segment = sorted(os.listdir(node.data_dir + "/wal"))[0]
    with open(os.path.join(node.data_dir, "wal", segment), "r+b") as log:
        at = log.read().index(b"/n3") # in the middle of what was acknowledged
        log.seek(at)
        log.write(b"/m3")
    code, error = run_coordd(*node.arguments()[1:])
    expect(code == 1 and segment in error and "offset" in error, "exit %d, %r" % (code, error))


REFUSED = [
    (["--frobnicate"], "--frobnicate"),
    (["stray"], "stray"),
    (["--listen"], "--listen"),
    (["--listen", "127.0.0.1"], "port"),
    (["--listen", "127.0.0.1:0"], "port"),
    (["--listen", "127.0.0.1:65536"], "port"),
    (["--listen", "::1:7400"], "brackets"),
    (["--listen", ":7400"], "host"),
    (["--listen", "0.0.0.0:7400"], "--listen 0.0.0.0:7400"),
    (["--listen", "[::]:7400"], "--insecure"),
    (["--peer-listen", "0.0.0.0:7401"], "--peer-listen"),
    (["--listen", "no-such-host.invalid:7400"], "no-such-host.invalid"),
    (["--listen=127.0.0.1:7401", "--peer-listen=127.0.0.1:7401"], "7401"),
    (["--name", ""], "--name"),
    (["--name", "a b"], "a b"),
    (["--name", "a", "--name", "b"], "twice"),
    (["--name", "x", "--initial-cluster", "a=localhost:1,b=localhost:2,c=localhost:3"], "'x'"),
    (["--name", "a", "--initial-cluster", "a=localhost:1,b=localhost:2,a=localhost:3"], "twice"),
    (["--name", "a", "--initial-cluster", "a=localhost:1,b=localhost:1"], "two members"),
    (["--name", "a", "--initial-cluster", "a=localhost:1,b=localhost,c=localhost:3"], "port"),
    (["--name", "a", "--initial-cluster", "a,b"], "NAME=HOST:PORT"),
    (["--log-level", "loud"], "loud"),
    (["--heartbeat-ms", "soon"], "soon"),
    (["--heartbeat-ms", "150"], "--election-timeout-ms"),
    (["--insecure=perhaps"], "perhaps"),
    (["--tls-cert", "a.pem"], "--tls-key"),
    (["--tls-key", "a.key"], "--tls-cert"),
    (["--tls-ca", "ca.pem"], "--tls-cert"),
    (["--peer-tls-cert", "a.pem", "--peer-tls-key", "a.key"], "--peer-tls-ca"),
    (["--tls-client-auth", "required"], "--tls-cert"),
    (["--tls-client-auth", "required", "--tls-cert", "a.pem", "--tls-key", "a.key"], "--tls-ca"),
    (["--tls-client-auth", "maybe"], "maybe"),
    (["--tls-plaintext", "some"], "some"),
    (["--listen", "0.0.0.0:7400", "--peer-tls-cert", "a", "--peer-tls-key", "b", "--peer-tls-ca", "c"],
     "--listen 0.0.0.0:7400"),
    (["--config", "/nonexistent/coord.json"], "/nonexistent/coord.json"),
]


def test_settings_that_make_no_sense_end_it_with_2(scratch):
    for arguments, word in REFUSED:
        code, error = run_coordd("--data-dir", scratch + "/none", *arguments)
        expect(code == 2, "%r: exit %d, %r" % (arguments, code, error))
        expect(word in error and len(error.strip().splitlines()) == 1,
               "%r must be named in one line: %r" % (word, error))
    expect(not os.path.exists(scratch + "/none"), "nothing was created")


def test_config_files_that_make_no_sense_end_it_with_2(scratch):
    path = scratch + "/coord.json"
    code, error = run_coordd("--config", scratch)
    expect(code == 2 and "--config: %s is a directory" % scratch in error, "exit %d, %r" % (code, error))
    for content, word in [('{"nam": "a"}', "unknown key nam"), ('{"name": 3}', "string"), ('{"name": ', "line 1"),
                          ('["name"]', "object"), ('{"name": "a", "name": "b"}', "line 1"),
                          ('{"config": "x"}', "unknown key config"), ('{"insecure": "maybe"}', '"insecure"'),
                          ('{"n\\\nyR":}', "invalid escape")]:
        with open(path, "w", encoding="utf-8") as out:
            out.write(content)
        code, error = run_coordd("--config", path)
        expect(code == 2 and word in error and len(error.strip().splitlines()) == 1,
               "%s: exit %d, %r" % (content, code, error))


def test_flag_wins_over_environment_over_file(scratch):
    port = free_port()
    path = scratch + "/coord.json"
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"name": "file", "data-dir": scratch + "/file", "listen": "127.0.0.1:%d" % port,
                   "heartbeat-ms": 50, "insecure": False}, out)
    environment = {**clean_environment(), "COORD_CONFIG": path, "COORD_NAME": "environment",
                   "COORD_DATA_DIR": scratch + "/environment", "COORD_LOG_LEVEL": ""}
    node = Node(scratch, "flag")
    node.port = port
    with open(node.log_path, "wb") as log:
        node.process = subprocess.Popen([COORDD, "--name", "flag"], env=environment, stdout=log, stderr=log)
    until(node.answers, "it answers where the file says")
    expect(node.status()["name"] == "flag", "the flag wins")
    expect(os.path.isdir(scratch + "/environment") and not os.path.exists(scratch + "/file"),
           "the environment wins over the file")


def test_ipv6_and_host_names_work(scratch):
    for name, host in (("by-name", "localhost"), ("v6", "[::1]")):
        if name == "v6" and not has_address("::1"):
            continue
        address = "%s:%d" % (host, free_port())
        node = Node(scratch, name, listen=address).start(wait=False)
        def answers(node=node, address=address):
            if not node.is_running():
                raise Failure(node.log_tail())
            return ctl(address, "status")[0] == 0
        until(answers, "it answers at " + address)
        node.kill()


def test_connections_leave_files_for_the_rest(scratch):
    node = Node(scratch)
    arguments = node.arguments()
    node.arguments = lambda: ["prlimit", "--nofile=600"] + arguments
    node.start()
    expect(node.metric("coord_connections_max") == 600 - 256, "%r" % node.metric("coord_connections_max"))
    expect("daemon.connections_bounded connections_max=344 instead_of=10000" in node.log(), node.log())
    node.terminate()


def test_help_and_version(scratch):
    del scratch
    done = subprocess.run([COORDD, "--help"], capture_output=True, text=True, check=False)
    expect(done.returncode == 0 and "--initial-cluster" in done.stdout, "help")
    done = subprocess.run([COORDD, "--version"], capture_output=True, text=True, check=False)
    expect(done.returncode == 0 and done.stdout.startswith("coordd "), "version")


main(globals())
