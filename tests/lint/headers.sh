#!/bin/sh
# Fails when a header does not compile alone. Arguments: the compiler and its flags.
set -eu
status=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for header in $(find . -name '*.h' -not -path './build/*' -not -path './.git/*' -printf '%P\n' | sort); do
    printf '#include "%s"\n' "$header" >"$scratch/alone.c"
    if ! "$@" -Wno-unused -fsyntax-only "$scratch/alone.c" 2>"$scratch/errors"; then
        echo "headers: $header does not compile alone" >&2
        cat "$scratch/errors" >&2
        status=1
    fi
done
exit $status
