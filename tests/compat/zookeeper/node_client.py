#!/usr/bin/python3
"""npm's node-zookeeper-client. Needs nodejs and, for its packages, npm and a registry npm is set up for."""
import os
import subprocess

import checks
from harness import expect

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")


def install(_):
    done = subprocess.run(["sh", os.path.join(FOLDER, "..", "..", "node_modules.sh"), FOLDER],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    expect(done.returncode == 0, "no packages of npm:\n" + done.stderr)
    os.environ["NODE_PATH"] = done.stdout.strip()


def body(t, tally):
    checks.relay(t, tally, ["node", FOLDER + "/client.js", t.hosts], None, 240)


if __name__ == "__main__":
    checks.run(body, install)
