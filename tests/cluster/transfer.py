#!/usr/bin/env python3
"""coordctl export and import: what goes out comes in again, and what must not be written is not."""
import json
import os
import re
import stat

from coordctl import check, complaint, one
from harness import ctl, ctl_ok, expect, main
from pseudo_terminal import coordctl

BINARY = bytes(range(256))


def some_nodes(node, scratch):
    path = os.path.join(scratch, "binary")
    with open(path, "wb") as out:
        out.write(BINARY)
    for arguments in (["/app", "root"], ["/app/text", "zwölf\n\"lines\"\n"], ["/app/binary", "@" + path],
                      ["/app/empty"], ["/app/deep/er/down", "x", "-p"], ["/app/box", "--container"],
                      ["/app/short", "t", "--ttl", "1h"], ["/app2", "not part of it"]):
        ctl_ok(node, "create", *arguments)


def lines(data):
    return [json.loads(line) for line in data.decode().splitlines()]


def listing(node, path):
    found = json.loads(ctl_ok(node, "ls", "-l", "-o", "json", "--recursive", path))
    return {(e["path"][len(path):], e["stat"]["kind"], e["stat"]["data_bytes"], e["stat"]["ttl_ms"]) for e in found}


def test_an_export_is_whole_and_leaves_out_what_has_an_owner(scratch):
    node = one(scratch)
    some_nodes(node, scratch)
    ctl_ok(node, "create", "/app/worker", "--ephemeral", "--lease", ctl_ok(node, "lease", "grant", "1h").decode().strip())
    code, out, error = ctl(node, "export", "/app")
    expect(code == 0 and error == "9 nodes, 277 B, at revision %d; left out 1 that lives by a session, lease or recipe\n"
           % lines(out)[0]["revision"], "what it says: %r" % error)
    header, *nodes = lines(out)
    expect(header["coord_export"] == 1 and header["path"] == "/app", "a header: %r" % header)
    by_path = {entry["path"]: entry for entry in nodes}
    expect(list(by_path) == sorted(by_path, key=lambda p: p.split("/")) and nodes[0]["path"] == ".",
           "parents come first: %r" % list(by_path))
    expect(by_path["."] == {"path": ".", "data": "root"}, "the node itself")
    expect(by_path["text"]["data"] == "zwölf\n\"lines\"\n", "text is text")
    expect(list(by_path["binary"]["data"]) == ["base64"], "what is no text is base64")
    expect(by_path["box"]["kind"] == "container" and "kind" not in by_path["text"], "kinds")
    expect(by_path["short"]["kind"] == "ttl" and by_path["short"]["ttl_ms"] == 3600000, "with their TTL")
    expect("acl" not in by_path["text"], "no lists unless they are asked for")
    check(node, [(["export", "/nowhere"], 3, b"", complaint("export /nowhere: node does not exist"))])


def test_what_was_exported_can_be_imported_anywhere(scratch):
    node = one(scratch)
    some_nodes(node, scratch)
    kept = os.path.join(scratch, "app.jsonl")
    ctl_ok(node, "export", "/app", kept)
    expect(stat.S_IMODE(os.stat(kept).st_mode) == 0o600, "only its owner may read it")
    expect(not os.path.exists(kept + ".part"), "nothing else is left")
    check(node, [
        (["export", "/app", kept], 5, b"", complaint("export /app: .*exists already; --force replaces it")),
        (["export", "/app", kept, "--force"], 0, r"9 nodes, 277 B, at revision \d+\n"),
        (["import", "/copy/of/app", kept, "--dry-run"], 0, b"9 nodes would be created, 0 replaced, 0 kept\n"),
        (["stat", "/copy"], 3, b"", complaint(".*")),
        (["import", "/copy/of/app", kept], 0, b"9 nodes created, 0 replaced, 0 kept\n"),
        (["get", "/copy/of/app/binary"], 0, BINARY),
        (["get", "/copy/of/app"], 0, b"root"),
    ])
    expect(listing(node, "/copy/of/app") == listing(node, "/app"), "all as it was")
    expect(ctl_ok(node, "export", "/copy/of/app").split(b"\n")[1:] == ctl_ok(node, "export", "/app").split(b"\n")[1:],
           "and exported again the same")
    with open(kept, "rb") as file:
        check(node, [(["import", "/piped", "-o", "jsonl"], 0,
                      b'{"path": "/piped", "created": 9, "replaced": 0, "kept": 0, "dry_run": false}\n', "", file.read())])


def test_nodes_that_are_there_are_left_kept_or_replaced(scratch):
    node = one(scratch)
    some_nodes(node, scratch)
    kept = os.path.join(scratch, "app.jsonl")
    ctl_ok(node, "export", "/app", kept)
    ctl_ok(node, "set", "/app/text", "changed")
    ctl_ok(node, "rm", "/app/empty")
    check(node, [
        (["import", "/app", kept], 5, b"", complaint("import /app: /app exists already, and 7 more; nothing was written. "
                                                     "--conflict keep leaves such nodes alone, --conflict replace sets "
                                                     "their values")),
        (["stat", "/app/empty"], 3, b"", complaint(".*")),
        (["import", "/app", kept, "--conflict", "keep"], 0, b"1 node created, 0 replaced, 8 kept\n"),
        (["get", "/app/text"], 0, b"changed"),
        (["import", "/app", kept, "--conflict", "replace"], 0, b"0 nodes created, 9 replaced, 0 kept\n"),
        (["get", "/app/text"], 0, "zwölf\n\"lines\"\n".encode()),
        (["import", "/app", kept, "--conflict", "guess"], 2, b"",
         complaint('--conflict "guess" is not fail, keep or replace')),
    ])


def test_access_control_lists_go_along_when_asked_for(scratch):
    node = one(scratch)
    ctl_ok(node, "create", "/app", "x")
    ctl_ok(node, "acl", "set", "/app", "read,admin:world:anyone", "all:user:web")
    out = ctl_ok(node, "export", "/app", "--acl")
    expect(lines(out)[1]["acl"] == [{"rights": "read,admin", "scheme": "world", "id": "anyone"},
                                    {"rights": "all", "scheme": "user", "id": "web"}], "a list: %r" % out)
    ctl_ok(node, "create", "/there", "y")
    check(node, [(["import", "/new"], 0, b"1 node created, 0 replaced, 0 kept\n", "", out),
                 (["acl", "get", "/new"], 0, b"read,admin:world:anyone\nall:user:web\n"),
                 (["import", "/there", "--conflict", "replace"], 0, b"0 nodes created, 1 replaced, 0 kept\n", "", out),
                 (["acl", "get", "/there"], 0, b"read,admin:world:anyone\nall:user:web\n")])


def test_what_is_not_understood_is_refused_by_line_before_anything_is_written(scratch):
    node = one(scratch)
    good = b'{"path": "a", "data": "x"}\n'
    for line, why in (
            (b"nonsense", "column .*"),
            (b"[]", "must be a JSON object"),
            (b'{"data": "x"}', "path: is missing"),
            (b'{"path": "/a"}', 'path: "/a" must be relative to the subtree'),
            (b'{"path": "../../b"}', "path: leads out of the subtree"),
            (b'{"path": "../in2/b"}', "path: leads out of the subtree"),
            (b'{"path": "../in2"}', "path: leads out of the subtree"),
            (b'{"path": "a", "dada": "x"}', 'unknown field "dada"'),
            (b'{"path": "a", "data": 5}', 'data: must be a text, or {"base64": "..."}'),
            (b'{"path": "a", "data": {"base64": "?"}}', "data: base64 that is none"),
            (b'{"path": "a", "kind": "ephemeral"}', "kind: must be persistent, container or ttl"),
            (b'{"path": "a", "kind": "ttl"}', "ttl_ms: belongs to nodes of the kind ttl, and to all of these"),
            (b'{"path": "a", "ttl_ms": 5}', "ttl_ms: belongs to nodes of the kind ttl, and to all of these"),
            (b'{"path": "a", "acl": []}', "acl: must be an array of 1 to 256 entries"),
            (b'{"path": "a", "acl": [{"rights": "all"}]}', "acl: an entry must have rights, scheme and id"),
            (b'{"coord_export": 2}', "an export of another format; this coordctl knows format 1")):
        code, out, error = ctl(node, "import", "/in", stdin=good + b"\n" + line + b"\n")
        expect(code == 2 and out == b"" and error.startswith("coordctl: import: standard input: line 3: ")
               and (why == "column .*" or error.endswith(": %s\n" % why)), "%r: %d %r" % (line, code, error))
    check(node, [(["stat", "/in"], 3, b"", complaint(".*")),
                 (["import", "/in"], 0, b"0 nodes created, 0 replaced, 0 kept\n", "", b""),
                 (["import", "/in", "/nowhere/at/all"], 1, b"", complaint("import /in: /nowhere/at/all: No such file.*"))])


def test_lines_that_are_in_each_others_way_are_refused_before_anything_is_written(scratch):
    node = one(scratch)
    many = b"".join(b'{"path": "n/%d"}\n' % i for i in range(100))
    for text, why in (
            (b'{"path": "a/b", "data": "1"}\n{"path": "a", "data": "2"}\n',
             "line 2: path: /in/a must stand before line 1, as /in/a/b is below it"),
            (many + b'{"path": "n", "data": "kept?"}\n',
             "line 101: path: /in/n must stand before line 1, as /in/n/0 is below it"),
            (b'{"path": "a/b/c"}\n{"path": "."}\n{"path": "a"}\n',
             "line 2: path: /in must stand before line 1, as /in/a/b/c is below it"),
            (b'{"path": "a"}\n{"path": "b"}\n{"path": "b/../a"}\n', "line 3: path: /in/a is that of line 1 already")):
        for how in "fail", "keep":
            check(node, [(["import", "/in", "--conflict", how], 2, b"",
                          complaint("import: standard input: " + re.escape(why)), text)])
    check(node, [(["stat", "/in"], 3, b"", complaint(".*")),
                 (["create", "/in/a", "-p"], 0, b"/in/a\n"),
                 (["import", "/in", "--conflict", "replace"], 0, b"1 node created, 1 replaced, 0 kept\n", "",
                  b'{"path": "a/b", "data": "1"}\n{"path": "a", "data": "2"}\n'),
                 (["get", "/in/a"], 0, b"2")])


def test_many_nodes_show_progress_on_a_terminal_and_a_failure_says_how_far_it_came(scratch):
    node = one(scratch)
    many = "".join('{"path": "n%04d", "data": "%s"}\n' % (i, "x" * 100) for i in range(3000))
    check(node, [(["import", "/many"], 0, b"3000 nodes created, 0 replaced, 0 kept\n", "", many.encode())])
    kept = os.path.join(scratch, "many.jsonl")
    with coordctl(node, "export", "/many", kept, scratch=scratch) as terminal:
        expect(terminal.finish("the export") == 0, "exit 0")
        expect("3001 nodes" in terminal.shown() or "3000 nodes" in terminal.shown(), "how many: " + terminal.shown())
    ctl_ok(node, "create", "/small")
    ctl_ok(node, "quota", "set", "/small", "--nodes", "100")
    code, out, error = ctl(node, "import", "/small/in", stdin=many.encode())
    expect(code == 9 and out == b"" and "of 3000 nodes are written; the same with --conflict keep goes on" in error,
           "a quota: %d %r" % (code, error))
    ctl_ok(node, "quota", "remove", "/small")
    out = ctl_ok(node, "import", "/small/in", kept, "--conflict", "keep")
    expect(len(ctl_ok(node, "ls", "/small/in").splitlines()) == 3000, "and it goes on: %r" % out)


if __name__ == "__main__":
    main(globals())
