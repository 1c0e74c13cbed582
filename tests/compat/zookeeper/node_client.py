#!/usr/bin/python3
"""npm's node-zookeeper-client. Needs nodejs and, for its packages, npm and a registry npm is set up for."""
import os
import shutil
import subprocess

import checks
from harness import expect

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")


def install(scratch):
    for name in ("package.json", "client.js"):
        shutil.copy(os.path.join(FOLDER, name), scratch)
    done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"],
                          cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    expect(done.returncode == 0, "npm install failed:\n" + done.stdout)


def body(t, tally):
    checks.relay(t, tally, ["node", t.scratch + "/client.js", t.hosts], None, 240)


if __name__ == "__main__":
    checks.run(body, install)
