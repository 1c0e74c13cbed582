#!/usr/bin/env python3
"""The programs of docs/examples: each is built against the installed library, as its reader would build
it, and does on real nodes what it says."""
import os
import re
import signal
import subprocess
import tempfile

from harness import Cluster, Failure, Node, Program, ctl, ctl_ok, expect, main, until

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
SOURCES = os.path.join(ROOT, "docs", "examples")
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]


def run(*words, **environment):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd=ROOT,
                          env={**{key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
                               **environment})
    if done.returncode != 0:
        raise Failure("%s: exit %d\n%s" % (" ".join(words), done.returncode, done.stdout.decode(errors="replace")))
    return done.stdout.decode(errors="replace")


INSTALLED = tempfile.TemporaryDirectory(prefix="coord-installed-")


def installed():
    """The root that the library was installed under, once for all tests."""
    root = INSTALLED.name
    if not os.path.isdir(root + "/usr"):
        run("make", "--no-print-directory", "VARIANT=release", "install", "DESTDIR=" + root, "PREFIX=/usr")
    return root


def flags(root, *packages):
    return run("pkg-config", "--define-prefix", "--cflags", "--libs", "coord", *packages,
               PKG_CONFIG_PATH=root + "/usr/lib/pkgconfig").split()


def built(scratch, name, *packages):
    """The example's program, from its source alone and what is installed."""
    root = installed()
    program = os.path.join(scratch, name)
    run(os.environ.get("CC", "cc"), "-std=c11", "-D_POSIX_C_SOURCE=200809L", *STRICT, "-o", program,
        os.path.join(SOURCES, name + ".c"), *flags(root, *packages))
    return program


def library_path():
    return os.path.join(installed(), "usr", "lib")


def start(scratch, program, endpoints, *arguments):
    return Program(scratch, program, *arguments, COORD_ENDPOINTS=endpoints, LD_LIBRARY_PATH=library_path())


def test_config_watcher(scratch):
    cluster = Cluster(scratch)
    cluster.start()
    program = built(scratch, "config_watcher")
    node = cluster.nodes[0]
    ctl_ok(node, "create", "/config", "")
    ctl_ok(node, "create", "/config/limit", "10")
    watcher = start(scratch, program, cluster.endpoints)
    expect(watcher.lines(3) == ["= /config ", "= /config/limit 10", "ready"], "it tells what there is")
    ctl_ok(node, "set", "/config/limit", "20")
    expect(watcher.lines(4)[3] == "+ /config/limit 20", "and what changes")
    leader = cluster.leader()
    leader.kill()
    other = [n for n in cluster.nodes if n is not leader][0]
    until(lambda: cluster.leader() not in (None, leader), "there is another leader")
    ctl_ok(other, "rm", "/config/limit")
    expect(watcher.lines(5)[4] == "- /config/limit", "also when its member has died: %s" % watcher.complained())
    watcher.process.send_signal(signal.SIGTERM)
    expect(watcher.wait() == 0, watcher.complained())


def test_instance_settings(scratch):
    cluster = Cluster(scratch)
    cluster.start()
    program = built(scratch, "instance_settings")
    leader = cluster.leader()
    at = [n.endpoint for n in cluster.nodes if n is not leader]
    ctl_ok(at[0], "config", "init", "/config/shop")
    watcher = start(scratch, program, cluster.endpoints, "/config/shop", "/config/shop/a", "web-1", "zone=a")

    def told(line, why):
        until(lambda: watcher.printed().splitlines().count(line) == 1 or watcher.process.poll() is not None, why, 60)
        expect(watcher.printed().splitlines().count(line) == 1, "%s: %r, %s" % (
            why, watcher.printed(), watcher.complained()))
    told("no value", "there is none yet")
    told("health 1", "its member serves")
    ctl_ok(at[0], "config", "set", "/config/shop/first", "0")
    until(lambda: "change" in watcher.printed() or not ctl_ok(at[0], "config", "set", "/config/shop/first", "0"),
          "changes are told", 60)
    ctl_ok(at[0], "config", "set", "/config/shop/a", "old")
    told("value old", "the value comes")
    told("change /config/shop/a  old", "and so does the change")
    leader.kill()
    until(lambda: cluster.leader() not in (None, leader), "there is another leader", 60)
    ctl_ok(at[0], "config", "rollout", "start", "/config/shop/a", "new", "--percents", "100", "--labels", "zone=a")
    told("value new of a rollout", "the rollout gives it the new value")
    ctl_ok(at[0], "config", "rollout", "finish", "/config/shop/a")
    told("value new", "which is the key's at its end")
    told("change /config/shop/a old new", "each change is told once, also over the death of its member")
    ctl_ok(at[0], "config", "drop", "/config/shop")
    expect(watcher.wait(60) == 1, "the end of the configuration ends it")
    expect("there is no configuration root" in watcher.complained(), watcher.complained())


def test_guarded_write(scratch):
    node = Node(scratch)
    node.start()
    program = built(scratch, "guarded_write")
    for text in "first", "second":
        done = start(scratch, program, node.endpoint, text)
        expect(done.wait() == 0, done.complained())
        lines = done.lines(2)
        expect(re.match(r"written in epoch \d+$", lines[0]), lines[0])
        expect(lines[1] == "a late write: grant is not held any more", lines[1])
        expect(ctl_ok(node, "get", "/jobs/result") == text.encode(), "only the first write counts")


def test_critical_section(scratch):
    node = Node(scratch)
    node.start()
    program = built(scratch, "critical_section")
    first = [start(scratch, program, node.endpoint, "50") for _ in range(5)]
    for done in first:
        expect(done.wait(60) == 0, done.complained())
    expect(ctl_ok(node, "get", "/count") == b"5", "each has counted")
    counted = sorted(tuple(int(word) for word in re.match(r"(\d+) in epoch (\d+)$", done.lines(1)[0]).groups())
                     for done in first)
    expect([count for count, _ in counted] == [1, 2, 3, 4, 5], "one after the other: %r" % counted)
    expect(counted == sorted(counted, key=lambda pair: pair[1]), "in growing epochs: %r" % counted)

    slow = start(scratch, program, node.endpoint, "60000")
    until(lambda: b"q-" in ctl(node, "ls", "/locks/count")[1], "it has the lock")
    slow.process.send_signal(signal.SIGSTOP)
    next_one = start(scratch, program, node.endpoint)
    expect(next_one.wait(60) == 0, "another one gets it: " + next_one.complained())
    slow.process.send_signal(signal.SIGCONT)
    expect(slow.wait(60) == 1 and "grant is not held any more" in slow.complained() or "session" in slow.complained(),
           "and the late write is refused: " + slow.complained())
    expect(ctl_ok(node, "get", "/count") == b"6", "nothing was lost")


def test_grant_read(scratch):
    node = Node(scratch)
    node.start()
    program = built(scratch, "grant_read")
    ctl_ok(node, "create", "/config", "10")
    for count, network in enumerate(("10.1.0.0/16", "10.2.0.0/16"), 1):
        done = start(scratch, program, node.endpoint, "/config", network)
        expect(done.wait(60) == 0, done.complained())
        lines = done.lines(count + 2)
        expect(lines[0] == "31 world:anyone", "what was there stays: %r" % lines)
        expect(lines[count:] == [" 1 ip:" + network, "version %d" % count], "and one more: %r" % lines)
    for path, network, why in (("/config", "10.3.0.0/99", "not valid: "), ("/none", "10.3.0.0/16", "not found: ")):
        done = start(scratch, program, node.endpoint, path, network)
        expect(done.wait(60) == 1 and done.complained().startswith(why), done.complained())


def test_batch_job(scratch):
    node = Node(scratch)
    node.start()
    program = built(scratch, "batch_job")
    first = [start(scratch, program, node.endpoint, name, "3") for name in ("anna", "bob")]
    until(lambda: ctl(node, "ls", "/batch/barrier")[1].count(b"q-") == 2, "two wait", 60)
    expect(all(worker.process.poll() is None for worker in first), "for the third")
    workers = first + [start(scratch, program, node.endpoint, "carl", "3")]
    lines = []
    for worker in workers:
        expect(worker.wait(60) == 0, worker.complained())
        lines.append(worker.lines(2))
    blocks = sorted(int(re.search(r"done (\d+) to", line[0]).group(1)) for line in lines)
    expect(blocks == [1, 11, 21], "nobody has another's ids: %r" % lines)
    expect(len({line[0].rsplit(" ", 1)[1] for line in lines}) == 1, "all went in together: %r" % lines)
    expect({line[1] for line in lines} == {"all have left: 30 done"}, "and left when all was done: %r" % lines)


def test_worker_pool(scratch):
    node = Node(scratch)
    node.start()
    program = built(scratch, "worker_pool")
    anna = start(scratch, program, node.endpoint, "anna")
    anna.lines(1, 30)
    bob = start(scratch, program, node.endpoint, "bob")
    until(lambda: ctl_ok(node, "elect", "list", "pool").count(b"waits") == 1, "bob stands by", 30)
    until(lambda: ctl_ok(node, "get", "/pool/plan").startswith(b"anna"), "anna plans", 30)
    anna.process.send_signal(signal.SIGSTOP)
    bob.lines(1, 60)
    until(lambda: ctl_ok(node, "get", "/pool/plan").startswith(b"bob"), "bob plans", 30)
    anna.process.send_signal(signal.SIGCONT)
    anna.wait(60)
    expect(ctl_ok(node, "get", "/pool/plan").startswith(b"bob"), "and anna does no more: " + anna.complained())
    bob.process.send_signal(signal.SIGTERM)
    expect(bob.wait(30) == 0, bob.complained())
    expect(ctl(node, "elect", "leader", "pool")[0] == 3, "nobody leads")


def test_guarded_file(scratch):
    program = built(scratch, "guarded_file")
    resource = os.path.join(scratch, "resource")

    def append(text, epoch):
        done = Program(scratch, program, resource, text, COORD_LOCK="/locks/a", COORD_LOCK_EPOCH=str(epoch),
                       LD_LIBRARY_PATH=library_path())
        return done.wait(), done.complained()

    expect(append("one", 7)[0] == 0, "the first holder")
    expect(append("two", 9)[0] == 0, "the next one")
    code, complaint = append("late", 7)
    expect(code == 1 and "epoch 7 is over, 9 was seen" in complaint, "the first one again: " + complaint)
    expect(append("three", 9)[0] == 0, "who has it may go on")
    with open(resource, encoding="ascii") as lines:
        expect(lines.read() == "one\ntwo\nthree\n", "what was written")


def test_session_in_a_loop_of_libuv(scratch):
    node = Node(scratch)
    node.start()
    program = built(scratch, "session_uv", "libuv")
    worker = start(scratch, program, node.endpoint, "anna", "1500")
    expect(worker.lines(2) == ["safe", "."], "it works when it has its place: %s" % worker.complained())
    expect(ctl_ok(node, "ls", "/pool").split() == [b"worker-0000000000"], "and is in the group")
    node.process.send_signal(signal.SIGSTOP)
    until(lambda: "unsafe" in worker.printed().splitlines(), "it learns that it may have lost it")
    count = len(worker.printed().splitlines())
    node.process.send_signal(signal.SIGCONT)
    until(lambda: len(worker.printed().splitlines()) > count + 1, "and that it has not")
    expect(worker.printed().splitlines()[count:count + 2] == ["safe", "."], "no work was done in between")
    worker.process.send_signal(signal.SIGTERM)
    expect(worker.wait() == 0, worker.complained())
    expect(ctl_ok(node, "ls", "/pool") == b"", "it has left the group")


def test_a_session_that_was_taken_is_lost(scratch):
    node = Node(scratch)
    node.start()
    program = built(scratch, "session_uv", "libuv")
    worker = start(scratch, program, node.endpoint, "bob", "1500")
    expect(worker.lines(1) == ["safe"], worker.complained())
    worker.process.send_signal(signal.SIGSTOP)
    until(lambda: ctl_ok(node, "ls", "/pool") == b"", "the cluster gives it up")
    count = len(worker.printed().splitlines())
    worker.process.send_signal(signal.SIGCONT)
    expect(worker.wait() == 1, "it ends")
    told = worker.printed().splitlines()[count:]
    expect("lost" in told, "it is told: %r" % told)
    expect("." not in told[told.index("lost"):], "and does no work any more: %r" % told)


def test_the_headers_in_c_and_in_cpp(scratch):
    root = installed()
    source = os.path.join(scratch, "alone.c")
    with open(source, "w", encoding="ascii") as out:
        out.write("#include <coord/uv.h>\n#include <coord/client.h>\n#include <coord/uv.h>\n"
                  "#include <coord/methods.h>\n#include <coord/acls.h>\n"
                  "int main(void)\n{\n    struct coord_guard guard = coord_guard_held(\"/a\", 1);\n"
                  "    coord_close(NULL);\n    return guard.number == 1 ? 0 : 1;\n}\n")
    for words in (["cc", "-std=c11"], ["c++", "-x", "c++", "-std=c++11"]):
        program = os.path.join(scratch, words[0].replace("+", "p"))
        run(*words, "-D_POSIX_C_SOURCE=200809L", *STRICT, "-Wno-unused-function", source, "-x", "none", "-o", program,
            *flags(root, "libuv"))
        run(program, LD_LIBRARY_PATH=library_path())


if __name__ == "__main__":
    main(globals())
