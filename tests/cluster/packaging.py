#!/usr/bin/env python3
"""What is installed: the Debian packages, their manual pages, their settings, and that programs are built
against the installed libcoord."""
import glob
import gzip
import os
import re
import subprocess

from harness import Failure, Node, ctl_ok, expect, main

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PROGRAM = """
#include <coord/client.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    struct coord_options options = {.endpoints = argv[argc - 1]};
    struct coord_client *client;
    struct coord_error error;
    if (coord_open(&options, &client, &error) != COORD_OK ||
        coord_create(client, "/built", "x", 1, 0, NULL, NULL, &error) != COORD_OK) {
        printf("%s\\n", error.message);
        return 1;
    }
    coord_close(client);
    return 0;
}
"""


def run(*words, **options):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "COORD_"))}
    environment.update(options.pop("environment", {}))
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=environment,
                          **options)
    if done.returncode != 0:
        raise Failure("%s: exit %d\n%s" % (" ".join(words), done.returncode, done.stdout.decode(errors="replace")))
    return done.stdout.decode(errors="replace")


def unpacked(scratch):
    """The root of a machine on which the packages were unpacked."""
    root = os.path.join(scratch, "root")
    for package in run("make", "--no-print-directory", "VARIANT=release", "deb", cwd=ROOT).splitlines():
        if package.endswith(".deb"):
            run("dpkg-deb", "-x", os.path.join(ROOT, package), root)
    return root


def page_of(path):
    with gzip.open(path, "rt") as page:
        return page.read()


def check_pages(root):
    pages = sorted(glob.glob(root + "/usr/share/man/man?/*.gz"))
    expect([os.path.basename(page) for page in pages] == ["coordctl.1.gz", "libcoord.3.gz", "coordd.8.gz"],
           "manual pages: %r" % pages)
    for page in pages:
        text = page_of(page)
        expect(not re.search(r"@[a-z]+@", text), "%s is filled in" % page)
    for option in re.findall(r"^  (--[a-z-]+)", run(root + "/usr/bin/coordd", "--help"), re.M):
        expect(option.replace("-", "\\-") in page_of(pages[2]), "coordd(8) has %s" % option)
    for command in ("create", "session open", "policy retention", "status"):
        expect('.SS "coordctl %s' % command in page_of(pages[0]), "coordctl(1) has %s" % command)


def build(root, scratch):
    source, program = os.path.join(scratch, "program.c"), os.path.join(scratch, "program")
    with open(source, "w", encoding="ascii") as to:
        to.write(PROGRAM)
    headers = ["acls.h", "backup.h", "barriers.h", "client.h", "core.h", "counters.h", "discovery.h", "elections.h",
               "grants.h", "locks.h", "methods.h", "nodes.h", "sessions.h", "shards.h", "streams.h", "uv.h", "watches.h"]
    expect(sorted(os.listdir(root + "/usr/include/coord")) == headers, "the headers")
    flags = run("pkg-config", "--define-prefix", "--cflags", "--libs", "coord",
                environment={"PKG_CONFIG_PATH": root + "/usr/lib/pkgconfig"}).split()
    run("cc", "-Wall", "-Wextra", "-Werror", "-o", program, source, *flags)
    needed = re.findall(r"NEEDED +(\S+)", run("objdump", "-p", program))
    expect("libcoord.so.0" in needed, "it loads the shared library: %r" % needed)
    shown = [line.split()[-1] for line in run("nm", "-D", "--defined-only", root + "/usr/lib/libcoord.so.0").splitlines()]
    expect(shown and all(name.startswith("coord_") and "__" not in name for name in shown),
           "it shows more than its headers: %r" % shown)
    expect({"coord_open", "coord_subscribe", "coord_picker_pick", "coord_acl_get", "coord_call_method"} <= set(shown), "and all of them: %r" % shown)
    return program


def check_unit(unit):
    for line in ("StartLimitIntervalSec=0", "ReadWritePaths=-/var/backups/coord"):
        expect(re.search("^%s$" % line, unit, re.M), "the service has %s" % line)
    expect(not re.search(r"^SystemCallFilter=~.*@resources", unit, re.M), "it may lower its own priority")
    with open(ROOT + "/docs/backup.md", encoding="utf-8") as page:
        expect("/var/backups/coord" in page.read(), "and its backups go where it may write")


def test_the_packages_hold_a_service_that_runs(scratch):
    root = unpacked(scratch)
    check_pages(root)
    with open(root + "/usr/lib/systemd/system/coordd.service", encoding="ascii") as file:
        unit = file.read()
    check_unit(unit)
    command = re.search(r"^ExecStart=(.*)$", unit, re.M).group(1).split()
    expect(command[:2] == ["/usr/bin/coordd", "--config"], "what the service runs: %r" % command)
    node = Node(scratch, config=root + command[2])
    node.program = root + command[0]
    node.start()
    run(build(root, scratch), node.endpoint, environment={"LD_LIBRARY_PATH": root + "/usr/lib"})
    expect(ctl_ok(node, "get", "/built") == b"x", "a program built against the package wrote")
    expect(node.terminate() == 0, "the service ends as it is told to")


if __name__ == "__main__":
    main(globals())
