#!/usr/bin/python3
"""Curator's recipes, in Java. Needs a JDK and Debian's libcurator-recipes-java; says so without them."""
import os
import shutil
import subprocess

import checks
from harness import expect
from target import IS_COORD, JAVA_FLAGS

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "curator")
JARS = ["/usr/share/java/%s.jar" % name for name in
        ("curator-recipes", "curator-framework", "curator-client", "zookeeper", "zookeeper-jute", "guava",
         "slf4j-simple", "jackson-core", "jackson-databind", "jackson-annotations")]


def build(scratch):
    built = subprocess.run(["javac", "-J-Xmx192m", "-J-XX:TieredStopAtLevel=1", "-nowarn", "-d", scratch,
                            "-cp", ":".join(JARS), FOLDER + "/Recipes.java"],
                           stderr=subprocess.PIPE, text=True, check=False)
    expect(built.returncode == 0, "the program does not build:\n" + built.stderr)


def body(t, tally):
    # A ZooKeeper 3.8 that was killed under CuratorCache does not always bring it up to date again.
    caches = ["caches"] if IS_COORD else []
    checks.relay(t, tally, ["java", *JAVA_FLAGS, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                            "-cp", ":".join([t.scratch, *JARS]), "Recipes", t.hosts, *caches], None, 120)


if __name__ == "__main__":
    missing = [jar for jar in JARS if not os.path.exists(jar)]
    if missing or shutil.which("javac") is None:
        print("skipped: there is no %s" % (missing[0] if missing else "javac"))
    else:
        checks.run(body, build)
