#!/bin/sh
# Fails if an outcome is missing from the table of statuses in docs/protocols/grpc.md, or stands in
# the row of another status than grpc_code_of_outcome gives it: clients learn from that table what
# was executed.
set -eu
status=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# "NO_NODE NOT_FOUND"; cases without a return share that of the next.
awk '/^enum grpc_code grpc_code_of_outcome/ { inside = 1 }
     inside && match($0, /case OUTCOME_[A-Z_]+/) {
         names[++n] = substr($0, RSTART + 13, RLENGTH - 13)
     }
     inside && match($0, /return GRPC_[A-Z_]+/) {
         while (n > 0) print names[n--], substr($0, RSTART + 12, RLENGTH - 12)
     }
     inside && /^}/ { exit }' net/grpc/call_answer.c >"$scratch/codes"
awk -F'|' '/^## 6\. Statuses/ { inside = 1 } /^## 7\./ { inside = 0 }
           inside && /^\|/ {
               row = $2 ~ /[A-Z]/ ? $2 : row
               sub(/ *\([0-9]+\)/, "", row); gsub(/ /, "", row)
               count = split($3, words, /[^A-Z_]+/)
               for (i = 1; i <= count; i++) if (words[i] != "") print words[i], row
           }' docs/protocols/grpc.md >"$scratch/told"
awk '/^enum Outcome/ { inside = 1; next } inside && /^}/ { exit }
     inside && $2 == "=" { print $1 }' proto/coord/v1/types.proto >"$scratch/names"
while read -r name; do
    code=$(awk -v name="$name" '$1 == name { print $2; exit }' "$scratch/codes")
    if ! grep -qx "$name $code" "$scratch/told"; then
        echo "outcomes: docs/protocols/grpc.md, section 6, lacks $name in the row of $code" >&2
        status=1
    fi
done <"$scratch/names"
exit $status
