#!/bin/sh
# Fails on text that must not be committed: unfinished-work markers, trailing blanks, long lines
# of C, paths of somebody's machine. Looks at tracked and at new, unignored files alike.
set -eu
status=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git ls-files -z --cached --others --exclude-standard | sort -zu >"$scratch/listed"
# A file deleted but not yet committed is still listed; binary test data has no lines.
: >"$scratch/all"
xargs -0 -r grep -IlZ '' <"$scratch/listed" 2>/dev/null |
    grep -zv -e '^LICENSE$' -e '^tests/fuzz/corpus/' >"$scratch/all" || true
grep -z '\.[ch]$' "$scratch/all" >"$scratch/c" || true

# Usage: refuse WHAT FILE-LIST GREP-OPTION...
refuse() {
    what=$1
    list=$2
    shift 2
    if xargs -0 -r grep -Hn "$@" <"$list" >"$scratch/hits" 2>/dev/null && [ -s "$scratch/hits" ]; then
        echo "text: $what" >&2
        sed 's/^/  /' "$scratch/hits" >&2
        status=1
    fi
}

# Written so that this file does not match itself.
refuse 'unfinished work' "$scratch/all" -wE 'TOD[O]|FIXM[E]|XX[X]|HAC[K]'
refuse 'trailing blanks' "$scratch/all" -E '[[:blank:]]+$'
refuse 'tab in C' "$scratch/c" -P '\t'
refuse 'longer than 100 columns' "$scratch/c" -E '^.{101,}'
refuse 'path of one machine' "$scratch/all" -E '(^|[^A-Za-z0-9_.~/-])/(wor[k]|roo[t]|hom[e])/'
exit $status
