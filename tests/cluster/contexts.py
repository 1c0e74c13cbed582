#!/usr/bin/env python3
"""Where coordctl takes its options from: the line, the environment, contexts; and what formats it prints in."""
import json
import os
import re
import stat
import subprocess

from coordctl import complaint, one
from harness import COORDCTL, COORDD, PATIENCE, clean_environment, ctl, ctl_ok, expect, main

NOBODY = "127.0.0.1:1"
SOURCES = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))


class Caller:
    """coordctl with a file of contexts of its own, and nothing else said."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.file = os.path.join(scratch, "config", "coord", "contexts.json")

    def __call__(self, *arguments, **environment):
        env = {**clean_environment(), "XDG_CONFIG_HOME": os.path.join(self.scratch, "config"), **environment}
        env.pop("COORD_CONTEXTS")
        done = subprocess.run([os.path.abspath(COORDCTL), *arguments], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60 * PATIENCE, check=False, cwd=self.scratch)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def ok(self, *arguments, **environment):
        code, out, error = self(*arguments, **environment)
        expect(code == 0, "coordctl %s: exit %d: %s" % (" ".join(arguments), code, error))
        return out


def test_a_context_stands_for_options_that_are_said_nowhere_else(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a", "v")
    call = Caller(scratch)
    expect(call.ok("context", "list") == "", "none yet")
    call.ok("context", "set", "here", "--endpoints", node.endpoint)
    call.ok("context", "set", "nowhere", "--endpoints", NOBODY, "--timeout", "300ms")
    expect(stat.S_IMODE(os.stat(call.file).st_mode) == 0o600, "only its owner may read it")
    expect(call.ok("get", "/a") == "v", "the first context is the current one")
    expect(call("get", "/a", "--context", "nowhere")[0] == 7, "--context")
    expect(call("get", "/a", COORD_CONTEXT="nowhere")[0] == 7, "COORD_CONTEXT")
    expect(call.ok("get", "/a", "--context", "here", COORD_CONTEXT="nowhere") == "v", "the line wins")
    expect(call.ok("get", "/a", "--context", "nowhere", COORD_ENDPOINTS=node.endpoint) == "v", "the environment wins")
    expect(call("get", "/a", "--endpoints", NOBODY)[0] == 7, "the line wins over all")
    call.ok("context", "use", "nowhere")
    expect(call("get", "/a")[0] == 7, "another one is used from now on")
    # Somebody may have a server there: it has no such node.
    only_here = "/only-%d" % node.port
    call.ok("create", only_here, "v", "--context", "here")
    expect(call("get", only_here, "--context", "", "--timeout", "300ms")[0] in (3, 7), "none: the default endpoint")
    listed = json.loads(call.ok("context", "list", "-o", "json"))
    expect(listed == [{"name": "here", "current": False, "endpoints": node.endpoint},
                      {"name": "nowhere", "current": True, "endpoints": NOBODY, "timeout": "300ms"}], "%r" % listed)
    expect(call.ok("context", "list", "-o", "name") == "here\nnowhere\n", "names")
    expect(re.fullmatch(r"  here +endpoints=\S+\n\* nowhere +endpoints=\S+ timeout=300ms\n", call.ok("context", "list")),
           "the current one is marked")
    call.ok("context", "set", "nowhere", "--endpoints", node.endpoint, "--timeout", "")
    expect(call.ok("get", "/a") == "v", "it was changed, and nothing is left of what was removed")
    call.ok("context", "set", "nowhere", "--insecure-skip-verify")
    call.ok("context", "set", "nowhere", "--insecure-skip-verify=")
    expect("insecure-skip-verify" not in call.ok("context", "list"), "a flag is removed, too")
    call.ok("context", "remove", "nowhere")
    expect(call("context", "use", "nowhere")[0] == 3, "it is gone")
    expect(call.ok("context", "list", "-o", "name") == "here\n", "the other stays")


def test_contexts_keep_files_and_users(scratch):
    call = Caller(scratch)
    call.ok("context", "set", "prod", "--cacert", "ca.pem", "--user", "web:secret")
    with open(call.file, encoding="utf-8") as file:
        kept = json.load(file)["contexts"]["prod"]
    expect(kept == {"cacert": os.path.join(os.path.realpath(scratch), "ca.pem"), "user": "web:secret"} or
           kept == {"cacert": os.path.join(scratch, "ca.pem"), "user": "web:secret"}, "found from everywhere: %r" % kept)
    expect("secret" not in call.ok("context", "list") + call.ok("context", "list", "-o", "json"), "no password is shown")
    code, _, error = call("get", "/a", "--token-file", "/nowhere/token")
    expect(code == 1 and "/nowhere/token" in error, "a token of the line goes without the context's user: %s" % error)


def test_what_is_wrong_with_contexts_is_said(scratch):
    call = Caller(scratch)
    call.ok("context", "set", "production", "--endpoints", NOBODY)
    for arguments, code, error in (
            (["get", "/a", "--context", "prodction"], 2,
             'there is no context "prodction", did you mean production\\?; see coordctl context list'),
            (["context", "use", "x"], 3, 'there is no context "x"; see coordctl context list'),
            (["context", "remove", "x"], 3, 'there is no context "x"; see coordctl context list'),
            (["context", "set", "x"], 2, "context set: what it is to hold is missing.*"),
            (["context", "set", "x", "--insecure-skip-verify=yes"], 2, "--insecure-skip-verify takes no value"),
            (["context", "set", "x\udcff", "--endpoints", NOBODY], 2, "context set: the name is not UTF-8"),
            (["context", "set", "x", "--user", "x\udcff:y"], 2, "context set: --user is not UTF-8"),
            (["context", "set", "x", "--cacert", "x\udcff"], 2, "context set: --cacert is not UTF-8"),
            (["context", "set", "x", "--timeout", "soon"], 2, '--timeout "soon" is not a time.*'),
            (["context", "frob"], 2, 'unknown command "context frob"; see coordctl help context')):
        got, _, said = call(*arguments)
        expect(got == code and re.fullmatch(complaint(error), said), "%r: %d %s" % (arguments, got, said))
    with open(call.file, "w", encoding="utf-8") as file:
        file.write('{"current": "a",\n "contexts": }')
    got, _, said = call("get", "/a")
    expect(got == 2 and "contexts.json: line 2: " in said, "a broken file: %s" % said)
    with open(call.file, "w", encoding="utf-8") as file:
        json.dump({"current": "a", "contexts": {"a": {"endpoint": "x"}}}, file)
    got, _, said = call("get", "/a")
    expect(got == 2 and 'context "a": endpoint is no option' in said, "an unknown option: %s" % said)


def test_every_option_has_a_variable(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a/b/c", "v", "--parents")
    call = Caller(scratch)
    here = {"COORD_ENDPOINTS": node.endpoint}
    texts = [call.ok("help")]
    for name in re.findall(r"^  ([a-z]+(?: [a-z-]+)?) ", texts[0].split("\n  help [")[0], re.M):
        got = call("help", *name.split())
        texts.append("Options" + got[1].split("\nOptions", 1)[1] if got[0] == 0 and "\nOptions" in got[1] else "")
    found = re.findall(r"^  (?:-\w, )?--([a-z-]+)[^\n]*?(?:\((COORD_[A-Z_]+)\))?$", "\n".join(texts), re.M)
    without = {option for option, variable in found if not variable}
    expect(without <= {"help", "version"} and len(found) > 60, "options without one: %r" % without)
    expect("/a\n/a/b\n/a/b/c\n" in call.ok("ls", "/", COORD_RECURSIVE="true", **here), "a flag")
    expect("/a/b" not in call.ok("ls", "/", COORD_RECURSIVE="0", **here), "a flag that is off")
    expect(call.ok("get", "/a/b/c", COORD_RECURSIVE="what", **here) == "v", "of other commands nobody minds")
    code, _, error = call("ls", COORD_RECURSIVE="what", **here)
    expect((code, error) == (2, 'coordctl: COORD_RECURSIVE: "what" is neither true nor false\n'), error)
    code, _, error = call("set", "/a", "x", COORD_EXPECT_VERSION="7", **here)
    expect(code == 4, "a value: %s" % error)
    call.ok("set", "/a", "x", COORD_NOTE="because", **here)
    expect("note: because" in call.ok("history", "/a", **here), "COORD_NOTE")


def test_formats(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/app/config", "on", "--parents")
    ctl_ok(node, "create", "/app/text", "two words\n")
    for arguments, wanted in (
            (["ls", "/app", "-o", "name"], "/app/config\n/app/text\n"),
            (["ls", "/app", "-o", "yaml"], "- name: config\n  path: /app/config\n- name: text\n  path: /app/text\n"),
            (["get", "/app/config", "-o", "name"], "/app/config\n"),
            (["create", "/app/new", "-o", "name"], "/app/new\n"),
            (["member", "list", "-o", "name"], "coord\n"),
            (["watch", "/app/config", "--from-revision", "1", "--once", "-o", "name"], "/app/config\n")):
        got = ctl_ok(node, *arguments).decode()
        expect(got == wanted, "%r: %r" % (arguments, got))
    text = ctl_ok(node, "get", "/app/config", "-o", "yaml").decode()
    expect(text.startswith('path: /app/config\ndata: "on"\nrevision: ') and "\nstat:\n  kind: persistent\n" in text, text)
    text = ctl_ok(node, "get", "/app/text", "-o", "yaml").decode()
    expect('data: "two words\\n"\n' in text, text)
    text = ctl_ok(node, "watch", "/app/config", "--from-revision", "1", "--once", "-o", "yaml").decode()
    expect(text.startswith("---\ntype: created\npath: /app/config\n"), text)
    expect(ctl_ok(node, "ls", "/app", "-o", "wide") == ctl_ok(node, "ls", "-l", "/app"), "wide is with all there is")
    wide = ctl_ok(node, "status", "-o", "wide").decode()
    expect(re.search(r"^NAME +ID +STATE +ROLE +UP +LAG +CLIENTS +PEERS$", wide, re.M), wide)


def test_did_you_mean(scratch):
    del scratch
    for arguments, error in (
            (["craete", "/a"], 'unknown command "craete", did you mean create\\?; see coordctl help'),
            (["sesion", "open"], 'unknown command "sesion", did you mean session\\?; see coordctl help'),
            (["session", "opne"], 'unknown command "session opne", did you mean open\\?; see coordctl help session'),
            (["help", "wacth"], 'unknown command "wacth", did you mean watch\\?; see coordctl help'),
            (["ls", "--recursve"], "unknown option --recursve, did you mean --recursive\\?; see coordctl help ls"),
            (["ls", "--frobnicate"], "unknown option --frobnicate; see coordctl help ls")):
        code, _, said = ctl(NOBODY, *arguments)
        expect(code == 2 and re.fullmatch(complaint(error), said), "%r: %d %s" % (arguments, code, said))


def test_words_of_other_stores_are_answered_with_ours(scratch):
    del scratch
    for arguments, error in (
            (["put", "/a", "1"], 'unknown command "put"; here it is set PATH DATA, .*; see coordctl help'),
            (["endpoint", "status"], 'unknown command "endpoint"; here it is status, or doctor; see coordctl help'),
            (["lease", "timetolive", "1"], 'unknown command "lease timetolive"; here it is lease ttl ID; see .* lease'),
            (["get", "--prefix", "/a"], r"get does not take --prefix; here it is export PATH, .*; usage: .*"),
            (["snapshot", "restore", "f"], 'unknown command "snapshot restore"; here it is coordd restore --from FILE; .*'),
            (["watch", "/a", "--rev", "3"], "watch does not take --rev; here it is --from-revision N; usage: .*"),
            (["create", "-c", "/a"], "unknown option -c; here it is --container; data that begins with - goes .*"),
            (["create", "-s", "/a"], "unknown option -s; here it is --sequential; data that begins with - goes .*"),
            (["create", "/a", "--sequental"], "unknown option --sequental, did you mean --sequential\\?; data .*"),
            (["ls", "-R", "/"], "unknown option -R; here it is -r; see coordctl help ls")):
        code, _, said = ctl(NOBODY, *arguments)
        expect(code == 2 and re.fullmatch(complaint(error), said), "%r: %d %s" % (arguments, code, said))


def test_what_other_words_are_answered_with_exists(scratch):
    del scratch
    with open(os.path.join(SOURCES, "cmd/coordctl/text/foreign.c"), encoding="utf-8") as file:
        answers = re.findall(r'^    \{(?:NULL|"\S+"), "\S+", "(.*)"\},$', file.read(), re.M)
    expect(len(answers) > 40, "the table: %r" % answers)
    for answer in answers:
        words = re.match(r"-*[a-z]+( [a-z]+)?", answer).group(0).split()
        if words[0].startswith("-"):
            pages = ctl_ok(NOBODY, "help"), ctl_ok(NOBODY, "help", "ls"), ctl_ok(NOBODY, "help", "create"), \
                ctl_ok(NOBODY, "help", "set"), ctl_ok(NOBODY, "help", "watch")
            expect(re.search(r"^ .*%s\b" % words[0], b"".join(pages).decode(), re.M), answer)
        elif words[0] == "coordd":
            subprocess.run([COORDD, words[1], "--help"], check=True, stdout=subprocess.DEVNULL)
        else:
            ctl_ok(NOBODY, "help", *words)


def test_help_explains_itself(scratch):
    del scratch
    expect(ctl_ok(NOBODY, "help", "help") == ctl_ok(NOBODY, "help"), "help of help is all of it")


def test_errors_say_what_to_do_next(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/a/b", "-p")
    for arguments, error in (
            (["rm", "/a"], "rm /a: node has children; --recursive takes them along"),
            (["create", "/x/y"], "create /x/y: .*parent.*; --parents creates it")):
        _, _, said = ctl(node, *arguments)
        expect(re.fullmatch(complaint(error), said), "%r: %s" % (arguments, said))
    code, _, said = ctl(NOBODY, "get", "/a", "--timeout", "300ms")
    expect(code == 7 and re.fullmatch(complaint("get /a: 127.0.0.1:1: Connection refused; --endpoints, COORD_ENDPOINTS "
                                                "or a context says where members are"), said), said)


if __name__ == "__main__":
    main(globals())
