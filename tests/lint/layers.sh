#!/bin/sh
# Fails when a file includes a folder (layers.txt) or a library (fences.txt) it may not see, or
# when a top-level folder with C in it is in no table.
set -eu
here=$(dirname "$0")
status=0
fail() {
    echo "$1" >&2
    status=1
}

folders=$(sed -n 's/^\([a-z][^:]*\):.*/\1/p' "$here/layers.txt")
for folder in $(find . -name '*.[ch]' -not -path './build/*' -not -path './.git/*' -printf '%P\n' |
    cut -d/ -f1 | sort -u); do
    case " $(echo "$folders" | tr '\n' ' ') tests " in
    *" $folder "*) ;;
    *) fail "layering: $folder/ is not in layers.txt" ;;
    esac
done

# "file:included path" of every quoted include; the path is taken from the source's root.
while IFS=: read -r folder allowed; do
    case $folder in '#'*) continue ;; esac
    [ -d "$folder" ] || continue
    hits=$(grep -rHoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[^"]+"' --include='*.[ch]' "$folder" |
        sed 's/:[^"]*"/:/; s/"$//' | sort -u || true)
    for hit in $hits; do
        path=${hit#*:}
        case " $allowed " in
        *" ${path%%/*} "* | *" $path "*) ;;
        *) fail "layering: ${hit%%:*} must not include \"$path\"" ;;
        esac
    done
done <"$here/layers.txt"

while IFS=: read -r header owners; do
    case $header in '#'*) continue ;; esac
    # A library header is caught in quotes too; ours carry their folder.
    for file in $(echo "$folders" | while read -r folder; do
        [ ! -d "$folder" ] ||
            grep -rlE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]${header}[>\"]" \
                --include='*.[ch]' "$folder" || true
    done); do
        ok=no
        for owner in $owners; do
            case $file in "$owner"*) ok=yes ;; esac
        done
        [ "$ok" = yes ] || fail "fence: $file must not include <$header>"
    done
done <"$here/fences.txt"
exit $status
