#!/usr/bin/env python3
"""What a newcomer does: the shell commands of README.md and of pages in docs/ that say so, typed as they stand
there.

A block marked `sh` is run, block after block in one bash for each section ("## ...") of the page, in a fresh directory.
Every command in it must succeed, unless the page itself goes on with `||`. A `text` block behind it is what it must have
printed; `...` in it stands for anything. `sh example` is for what cannot run here (other machines, the build itself).
Nothing else that looks like a command may stand on these pages.

The pages use fixed ports and names of processes. So that nobody is in the way, and nobody else is hurt, all of it runs in
namespaces of its own (network, processes); where the system does not allow that, the ports must be free.
"""
import os
import re
import signal
import subprocess
import time

from harness import COORDCTL, COORDD, Failure, clean_environment, expect, main, until
from isolation import bring_up_loopback, isolate

BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```", re.M | re.S)
LANGUAGES = {"sh", "sh example", "text", "json", "python", "sql", "mermaid", ""}


def sections(page):
    """(heading, [(language, text, line)]) of a page."""
    with open(page, encoding="utf-8") as file:
        text = file.read()
    outside = BLOCK.sub("", text)
    indented = re.findall(r"\n\n(    \S.*)", outside)
    indented = [line for line in indented if not re.match(r"\s*([*|-]|\d+\.) ", line)]
    expect(not indented, "%s: commands without a fence, so nobody knows whether they run: %r" % (page, indented))
    heads = [(m.start(), m.group(1)) for m in re.finditer(r"^## (.*)", text, re.M)]
    found = {}
    for match in BLOCK.finditer(text):
        heading = ([name for start, name in heads if start < match.start()] or [""])[-1]
        language = match.group(1).strip()
        line = text.count("\n", 0, match.start()) + 1
        expect(language in LANGUAGES, "%s:%d: is a block of '%s' a command or not?" % (page, line, language))
        found.setdefault(heading, []).append((language, match.group(2), line))
    return found.items()


def matches(expected, got):
    """`...` stands for anything; blanks at the ends of lines do not count."""
    got = re.sub(r"[ \t]+$", "", got, flags=re.M).strip()
    return re.fullmatch(".*".join(map(re.escape, expected.strip().split("..."))), got, re.S)


class Shell:
    """One bash that reads commands as they come; what it and its children print goes to a file."""

    def __init__(self, scratch, environment):
        self.printed = os.path.join(scratch, ".printed")
        self.failures = os.path.join(scratch, ".failures")
        self.done = os.path.join(scratch, ".done")
        with open(self.printed, "ab") as out:
            self.process = subprocess.Popen(["bash", "--norc"], stdin=subprocess.PIPE, stdout=out, stderr=out,
                                            cwd=scratch, env=environment, start_new_session=True)
        self.count = 0
        self.say("trap 'echo \"exit code $?: $BASH_COMMAND\" >>%s' ERR; set -E" % self.failures)

    def say(self, text):
        self.process.stdin.write((text + "\n").encode())
        self.process.stdin.flush()

    def run(self, text, what, seconds=60):
        """Runs one block; returns what it printed, without bash's own notes on killed children."""
        begin = os.path.getsize(self.printed)
        self.count += 1
        name = "%s-%d" % (self.done, self.count)
        self.say("%s\n: >%s" % (text.rstrip("\n"), name))
        try:
            until(lambda: os.path.exists(name) or self.process.poll() is not None, what, seconds)
        finally:
            with open(self.printed, encoding="utf-8", errors="replace") as file:
                file.seek(begin)
                got = file.read()
            if not os.path.exists(name):
                print("--- %s printed\n%s" % (what, got))
        expect(self.process.poll() is None, "%s: the shell ended\n%s" % (what, got))
        if os.path.exists(self.failures):
            with open(self.failures, encoding="utf-8") as file:
                raise Failure("%s: %s\n%s" % (what, file.read(), got[-2000:]))
        return re.sub(r"^bash: line \d+: .*Killed.*\n", "", got, flags=re.M)

    def end(self):
        """Nothing that it started stays."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()


def programs_in(directory):
    os.makedirs(directory)
    for program in COORDCTL, COORDD:
        os.symlink(os.path.abspath(program), os.path.join(directory, os.path.basename(program)))
    return directory


def show_logs(directory):
    for folder, _, names in os.walk(directory):
        for name in names:
            if name.endswith((".log", ".err")):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    print("--- %s ends with\n%s" % (name, "".join(file.readlines()[-5:])))


def run_section(scratch, page, heading, blocks, before=None):
    """Runs the blocks of one section; returns how many there were."""
    directory = os.path.join(scratch, re.sub(r"\W+", "-", heading))
    os.makedirs(directory)
    programs = programs_in(os.path.join(directory, "build"))
    environment = {**clean_environment(), "PATH": "%s:%s" % (programs, os.environ["PATH"]), "LANG": "C.UTF-8",
                   "COORD_CONTEXTS": os.path.join(directory, "contexts.json")}
    shell = Shell(directory, environment)
    count = 0
    try:
        if before:
            shell.run(before, "what the page takes for granted")
        for place, (language, text, line) in enumerate(blocks):
            if language != "sh":
                continue
            what = "%s:%d" % (page, line)
            begin = time.monotonic()
            got = shell.run(text, what)
            print("   %s ran, %.1fs" % (what, time.monotonic() - begin), flush=True)
            count += 1
            if place + 1 < len(blocks) and blocks[place + 1][0] == "text":
                expected = blocks[place + 1][1]
                expect(matches(expected, got), "%s printed\n%s--- the page says\n%s" % (what, got, expected))
    except Failure:
        show_logs(directory)
        raise
    finally:
        shell.end()
    return count


def run_page(scratch, page, least, before=None):
    count = 0
    for heading, blocks in sections(page):
        if any(language == "sh" for language, _, _ in blocks):
            count += run_section(scratch, page, heading, blocks, (before or {}).get(heading))
    expect(count >= least, "%s: only %d blocks were found" % (page, count))


def test_the_commands_of_the_page_on_operations(scratch):
    run_page(scratch, os.path.join("docs", "operations.md"), 15)


def test_the_commands_of_the_page_on_discovery(scratch):
    run_page(scratch, os.path.join("docs", "discovery.md"), 4)


def test_the_commands_of_the_tutorial(scratch):
    """One page, one shell: what a section has made the next one uses."""
    page = os.path.join("docs", "tutorial.md")
    blocks = [block for _, found in sections(page) for block in found]
    expect(run_section(scratch, page, "tutorial", blocks) >= 10, "too few blocks were found")
    lines = sum(text.count("\n") for language, text, _ in blocks if language == "sh")
    expect(30 < lines < 75, "%d lines of commands are not for ten minutes" % lines)


def test_the_tour_stays_short_enough_for_ten_minutes(_):
    """Reading and typing is what takes the time; the machine's part is a few seconds."""
    tour = dict(sections(os.path.join("docs", "operations.md")))["A secured cluster in ten minutes"]
    lines = sum(text.count("\n") for language, text, _ in tour if language == "sh")
    expect(30 < lines < 75, "%d lines of commands" % lines)


def test_the_commands_of_the_readme(scratch):
    """`make run` is what the page says before; here it is the node alone."""
    node = "coordd >coordd.log 2>&1 &\nuntil build/coordctl sync >sync.out 2>&1; do sleep 0.1; done"
    run_page(scratch, "README.md", 4, {"First steps": node})


def test_the_figures_of_the_readme_are_those_of_the_page_on_performance(_):
    """There with their spread in brackets."""
    with open(os.path.join("docs", "performance.md"), encoding="utf-8") as file:
        page = re.sub(r" \([^()]*\)", "", file.read())
    with open("README.md", encoding="utf-8") as file:
        rows = re.findall(r"^\| ([^|]*\| [\d.,]+ [^|]*\| [^|]*\| [\d.]*) ?\|$", file.read(), re.M)
    expect(len(rows) >= 5, "the figures in README.md: %r" % rows)
    for row in rows:
        figures = row.split(" | ", 1)[1]
        expect("| " + figures in page, "README.md says %r, docs/performance.md does not" % row)


def test_the_commands_of_the_page_on_configuration(scratch):
    run_page(scratch, os.path.join("docs", "config.md"), 3)


def test_the_commands_of_the_page_on_shard_maps(scratch):
    run_page(scratch, os.path.join("docs", "shards.md"), 3)


def test_the_commands_of_the_page_on_recipes(scratch):
    run_page(scratch, os.path.join("docs", "recipes.md"), 1)


if __name__ == "__main__":
    if isolate("--net", "--pid", "--fork", "--kill-child", "--mount-proc"):
        bring_up_loopback()
    main(globals())
