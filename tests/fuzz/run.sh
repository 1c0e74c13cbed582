#!/bin/sh
# Runs one libFuzzer program on what the repository keeps for it, on what earlier runs found, and on
# what it makes of both; one that fails leaves the input beside its log.
#
#   [FUZZ_SEED=N] tests/fuzz/run.sh PROGRAM SECONDS
#
# With a seed the search takes the same way each time, and does without what libFuzzer learns from
# comparisons: it sees addresses among them, which differ from run to run.
#
# The last line is "N passed, M failed": every kept input that passes counts, and the search itself.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$1
seconds=$2
name=${program##*/fuzz_}
build=${program%/tests/fuzz/*}
kept=$root/tests/fuzz/corpus/$name
grown=$build/corpus/$name
found=$build/found/$name
mkdir -p "$grown" "$found"
# A few bytes that keep a decoder busy for so long are a finding as well. (The default: 20 minutes.)
limits="-timeout=60 -rss_limit_mb=2048 -artifact_prefix=$found/"
search=${FUZZ_SEED:+-seed=$FUZZ_SEED -use_cmp=0}
log=$build/found/$name.log

# Usage: fails WHAT COUNT. Ends the run with what the program said.
fails() {
    grep -v '^"' "$log" | tail -n 60
    echo "$name: $1; the input is in $found, tests/fuzz/corpus/$name is where to keep it"
    echo "$2 passed, 1 failed"
    exit 1
}

count=0
if [ -d "$kept" ]; then
    for input in "$kept"/*; do
        # shellcheck disable=SC2086
        "$program" $limits "$input" >"$log" 2>&1 || fails "$input fails" "$count"
        count=$((count + 1))
    done
else
    kept=
fi
# shellcheck disable=SC2086
"$program" $limits $search -max_total_time="$seconds" "$grown" ${kept:+"$kept"} >"$log" 2>&1 ||
    fails "a new input fails" "$count"
grep -E '^#[0-9]+[[:space:]]+DONE|^Done ' "$log"
echo "$((count + 1)) passed, 0 failed"
