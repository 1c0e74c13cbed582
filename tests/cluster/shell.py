#!/usr/bin/env python3
"""coordctl shell: in a pseudo-terminal as people use it, and with lines from a pipe."""
import json
import os
import subprocess

from coordctl import one
from harness import COORDCTL, PATIENCE, clean_environment, ctl_ok, expect, main, until
from pseudo_terminal import coordctl

PROMPT = r"coord:%s> $"


def some_nodes(node):
    for path, value in (("/app/config", "debug"), ("/app/cache", "x"), ("/app/queue/job", "1"), ("/tmp", "")):
        ctl_ok(node, "create", path, value, "--parents")


def shell(node, scratch, **more):
    terminal = coordctl(node, "shell", scratch=scratch, **more)
    terminal.wait_for(PROMPT % "/", "the first prompt")
    return terminal


def type_line(terminal, line, answer, where="/"):
    """A line, what it prints, and the prompt behind it."""
    terminal.send(line + "\n")
    terminal.wait_for(r"^%s$" % answer, "%r answers" % line)
    terminal.wait_for(PROMPT % where, "the prompt behind %r" % line)


def leave(terminal, code=0):
    terminal.send("exit\n")
    got = terminal.finish("the shell ends")
    expect(got == code, "exit code %d, not %d" % (got, code))


def test_one_walks_through_the_tree(scratch):
    node = one(scratch)
    some_nodes(node)
    with shell(node, scratch) as terminal:
        type_line(terminal, "ls", "app\ntmp")
        terminal.send("cd app\n")
        terminal.wait_for(PROMPT % "/app", "the prompt says where")
        type_line(terminal, "pwd", "/app", "/app")
        type_line(terminal, "ls", "cache\nconfig\nqueue", "/app")
        type_line(terminal, "get config", "debug", "/app")
        type_line(terminal, "get ../app/./cache", "x", "/app")
        type_line(terminal, "create queue/next 'two words'", "/app/queue/next", "/app")
        type_line(terminal, "get /app/queue/next", "two words", "/app")
        type_line(terminal, "get nowhere", "coordctl: get /app/nowhere: node does not exist", "/app")
        type_line(terminal, "cd nowhere", "coordctl: cd /app/nowhere: node does not exist", "/app")
        type_line(terminal, "ls queue | sort -r", "next\njob", "/app")
        terminal.send("cd\n")
        terminal.wait_for(PROMPT % "/", "cd alone goes to the root")
        type_line(terminal, "cd -", "/app", "/app")
        leave(terminal)


def test_tab_completes_commands_options_and_paths(scratch):
    node = one(scratch)
    some_nodes(node)
    with shell(node, scratch) as terminal:
        terminal.send("hist\t")
        terminal.wait_for("history $", "a command, and a blank behind it")
        terminal.send("--rec\t")
        terminal.wait_for("--recursive $", "an option of it")
        terminal.send("/a\t")
        terminal.wait_for(r"/app/$", "a path that goes on")
        terminal.send("con\t\n")
        terminal.wait_for(r"created +/app/config +debug$", "the whole line runs")
        terminal.wait_for(PROMPT % "/", "the prompt")
        terminal.send("cd app/qu\t\n")
        terminal.wait_for(PROMPT % "/app/queue", "cd completes, relative to where one is")
        terminal.send("get ../c\t")
        terminal.wait_for(r"^cache +config *$", "what there is to choose from")
        terminal.wait_for(r"get \.\./c$", "the line stays")
        terminal.send("o\t\n")
        terminal.wait_for("^debug$", "and goes on")
        terminal.wait_for(PROMPT % "/app/queue", "the prompt")
        terminal.send("lease re\t")
        terminal.wait_for("lease revoke $", "a verb")
        terminal.send("\x15")  # Ctrl-U
        leave(terminal)


def test_ctrl_c_ends_the_command_and_not_the_shell(scratch):
    node = one(scratch)
    some_nodes(node)
    with shell(node, scratch) as terminal:
        terminal.send("watch /app/config --from-revision 1\n")
        terminal.wait_for("created /app/config", "the watch is there")
        ctl_ok(node, "set", "/app/config", "one more")
        terminal.wait_for("set /app/config", "and goes on")
        terminal.send("\x03")
        terminal.wait_for(PROMPT % "/", "the prompt is back")
        terminal.send("get /app/con\x03")
        terminal.wait_for(r"get /app/con\^C\s+" + PROMPT % "/", "a line is left")
        terminal.send("get /app/con\x01\x03")  # Ctrl-A
        terminal.wait_for(r"get /app/con\^C\s+" + PROMPT % "/", "wherever in it one is")
        type_line(terminal, "get /app/config", "one more")
        terminal.send("user add ann\n")
        terminal.wait_for("assword", "a question whose answer is not shown")
        terminal.send("\x03")
        terminal.wait_for(PROMPT % "/", "the prompt is back")
        terminal.send("watch /app/cache --types set --once --from-revision 1\n")
        until(terminal.takes_lines, "what is typed is shown again", 30)
        ctl_ok(node, "set", "/app/cache", "y")
        terminal.wait_for(PROMPT % "/", "the prompt")
        terminal.send("watch /app/config --from-revision 1 --once --keys-only\n")
        terminal.wait_for("created /app/config", "and commands still run")
        terminal.wait_for(PROMPT % "/", "the prompt")
        terminal.send("\x04")
        expect(terminal.finish("Ctrl-D ends it") == 0, "with the code of the last command")


def test_what_is_typed_ahead_is_kept(scratch):
    node = one(scratch)
    some_nodes(node)
    with shell(node, scratch) as terminal:
        terminal.send("get /app/config\nget /app/co\x03get /app/cache\n\x04")
        terminal.wait_for("^debug$", "the first line")
        terminal.wait_for(r"get /app/co\^C$", "the line that is left")
        terminal.wait_for("^x$", "the line behind it")
        expect(terminal.finish("and the end") == 0, "exit 0")
    with shell(node, scratch) as terminal:
        terminal.send("get /app/con\x1afig\n")
        terminal.wait_for("^debug$", "Ctrl-Z, which nobody can undo here, leaves the line alone")
        terminal.wait_for(PROMPT % "/", "the prompt")
        terminal.send("watch /app/config --types set --once --from-revision 1\n")
        until(terminal.takes_lines, "a command that runs has the terminal as it was", 30)
        terminal.send("get /app/\x7f/config\nget /app/cache\n\x04")  # Backspace
        ctl_ok(node, "set", "/app/config", "full")
        terminal.wait_for("^full$", "the first line behind it")
        terminal.wait_for("^x$", "the second")
        expect(terminal.finish("and the end") == 0, "exit 0")
        expect(terminal.takes_lines(), "the terminal is as it was")


def test_history_is_there_the_next_time(scratch):
    node = one(scratch)
    some_nodes(node)
    with shell(node, scratch) as terminal:
        type_line(terminal, "get /app/config", "debug")
        type_line(terminal, " get /app/cache", "x")
        leave(terminal)
    kept = os.path.join(scratch, ".local/state/coord/history")
    expect(os.stat(kept).st_mode & 0o77 == 0, "the history is for its owner only")
    with open(kept, encoding="utf-8") as file:
        text = file.read()
    expect("config" in text and "cache" not in text, "a blank in front hides a line: %r" % text)
    with shell(node, scratch) as terminal:
        terminal.send("\x10")  # Ctrl-P
        terminal.wait_for(r"exit$", "the last line")
        terminal.send("\x10")
        terminal.wait_for(r"get /app/config$", "the line before")
        terminal.send("\n")
        terminal.wait_for("^debug$", "runs again")
        leave(terminal)


def from_pipe(node, text, *options, **environment):
    done = subprocess.run([COORDCTL, "shell", *options], input=text.encode(), timeout=60 * PATIENCE, check=False,
                          env=dict(clean_environment(), COORD_ENDPOINTS=node.endpoint, **environment),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_lines_may_come_from_a_pipe(scratch):
    node = one(scratch)
    some_nodes(node)
    kept = os.path.join(scratch, "kept")
    expect(from_pipe(node, "cd app\n# a comment\n\nls\npwd\n") == (0, "cache\nconfig\nqueue\n/app\n", ""),
           "no prompt, no colours, nothing else")
    expect(from_pipe(node, "get /nowhere\nget /app/cache\n") ==
           (0, "x", "coordctl: get /nowhere: node does not exist\n"), "it goes on; the last code counts")
    expect(from_pipe(node, "get /app/cache\nget /nowhere") ==
           (3, "x", "coordctl: get /nowhere: node does not exist\n"), "a last line needs no end")
    expect(from_pipe(node, "get /app/cache\nexit\nget /nowhere")[0] == 0, "exit is the end")
    expect(from_pipe(node, "get '/app\n") == (2, "", "coordctl: a quote is not closed: '\n"), "an open quote")
    expect(from_pipe(node, "shell\n") == (2, "", "coordctl: this is a shell already\n"), "one is enough")
    expect(from_pipe(node, "cd /nowhere\npwd\n")[1] == "/\n", "one stays when there is nowhere to go")
    expect(from_pipe(node, "cd app\nls >%s\n" % kept) == (0, "", ""), "into a file")
    with open(kept, encoding="utf-8") as file:
        expect(file.read() == "cache\nconfig\nqueue\n", "which has it")
    expect(from_pipe(node, "cd app\nget nowhere | cat\n")[0] == 3, "a failure is not lost in a pipe")
    code, out, _ = from_pipe(node, "cd app\nls\nget -o table config\n", "-o", "json")
    expect(code == 0 and '"path": "/app/cache"' in out and out.endswith("debug"),
           "options of the shell hold for all, unless a line says otherwise: %r" % out)


def test_a_line_takes_no_other_context(scratch):
    node = one(scratch)
    some_nodes(node)
    contexts = os.path.join(scratch, "contexts.json")
    with open(contexts, "w", encoding="utf-8") as file:
        json.dump({"current": "lab", "contexts": {"lab": {"chroot": "/app"}, "prod": {"timeout": "10s"}}}, file)
    for name in "prod", "":
        got = from_pipe(node, "set /config taken --context '%s'\n" % name, COORD_CONTEXTS=contexts)
        expect(got == (2, "", "coordctl: --context is that of the whole shell; start another one, as in: coordctl shell "
                       "--context '%s'\n" % name), "%r" % (got,))
    expect(from_pipe(node, "get /config\n", COORD_CONTEXTS=contexts) == (0, "debug", ""), "nothing was written")


if __name__ == "__main__":
    main(globals())
