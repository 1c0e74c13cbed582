#!/usr/bin/python3
"""A C program on Debian's libzookeeper_mt."""
import glob
import os
import subprocess

import checks
from harness import expect

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "c")
FLAGS = ["-std=c17", "-D_POSIX_C_SOURCE=200809L", "-DTHREADED", "-O1", "-Wall", "-Wextra", "-Werror"]


def build(scratch):
    built = subprocess.run([os.environ.get("CC", "cc"), *FLAGS, "-o", scratch + "/client",
                            *sorted(glob.glob(FOLDER + "/*.c")), "-lzookeeper_mt", "-lpthread"],
                           stderr=subprocess.PIPE, text=True, check=False)
    expect(built.returncode == 0, "the program does not build:\n" + built.stderr)


def body(t, tally):
    checks.relay(t, tally, [t.scratch + "/client", t.hosts], None, 240)


if __name__ == "__main__":
    checks.run(body, build)
