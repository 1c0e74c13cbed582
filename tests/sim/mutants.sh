#!/bin/bash
# Proves that the tests find bugs: builds the simulator once per planted bug of base/mutant.h and
# runs it until the bug is caught, by a scenario or within SEEDS seeds, else by a unit test.
#
#   tests/sim/mutants.sh [NUMBER...]        all of them by default
#
# Only the files that mention MUTANT_IS are compiled again; the rest is the release build. One line
# per mutant; the last line is "N passed, M failed", a survivor counts as failed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

seeds=${MUTANT_SEEDS:-5000}
limit_s=${MUTANT_LIMIT_S:-300}
jobs=$(nproc)
passed=0
failed=0

mapfile -t names < <(sed -n 's/^ *\(MUTANT_[A-Z_]*\)\( = 1\)\{0,1\},.*/\1/p' base/mutant.h)
mapfile -t touched < <(grep -l -r --include='*.c' 'MUTANT_IS(' base lease recipes store watch raft net | LC_ALL=C sort)
if [ "${#names[@]}" -eq 0 ] || [ "${#touched[@]}" -eq 0 ]; then
    echo "0 passed, 1 failed"
    exit 1
fi

make -j"$jobs" build/release/tests/sim/sim >/dev/null || { echo "0 passed, 1 failed"; exit 1; }

# Without a planted bug all must pass, or a failure below would prove nothing.
if ! build/release/tests/sim/sim --seeds 50 --jobs "$jobs" >build/mutant-baseline.log 2>&1; then
    tail -n 20 build/mutant-baseline.log
    echo "0 passed, 1 failed"
    exit 1
fi

# These need one exact order of messages, or show first in what a member says of itself, or are judged
# by a model of their own: a unit test has it.
declare -A unit_tests=(
    [MUTANT_NO_SPLIT]=raft/test_engine_change
    [MUTANT_NO_GATE]=raft/test_engine_change
    [MUTANT_PROMOTED_BEHIND]=raft/test_node_member
    [MUTANT_REMOVED_STAYS]=raft/test_node_member
    [MUTANT_ID_REUSED]=raft/test_node_member
    [MUTANT_LOCK_WRITE_SHARES]=store/test_lock_model
    [MUTANT_LOCK_READ_OVERTAKES]=store/test_lock_model
    [MUTANT_LOCK_PERMITS_OVERTAKE]=store/test_lock_model
    [MUTANT_LOCK_DEADLOCK_UNSEEN]=store/test_lock_model
    [MUTANT_LOCK_EPOCH_STAYS]=store/test_lock_model
    [MUTANT_LOCK_NOT_HANDED_OVER]=store/test_lock_model
    [MUTANT_LOCK_COUNT_LOST]=store/test_lock_model
    [MUTANT_LOCK_LATE_GRANT]=store/test_lock_model
    [MUTANT_LOCK_GUARD_WAITING]=store/test_lock_model
    [MUTANT_ELECTION_TWO_LEADERS]=store/test_election_model
    [MUTANT_ELECTION_VACANT]=store/test_election_model
    [MUTANT_ELECTION_EPOCH_STAYS]=store/test_election_model
    [MUTANT_ELECTION_HAND_OVER_LOST]=store/test_election_model
    [MUTANT_ELECTION_RANK_IGNORED]=store/test_election_model
    [MUTANT_ELECTION_LABEL_IGNORED]=store/test_election_model
    [MUTANT_BARRIER_EARLY]=store/test_barrier_model
    [MUTANT_BARRIER_LEAVES_ALONE]=store/test_barrier_model
    [MUTANT_BARRIER_JOINS_ROUND]=store/test_barrier_model
    [MUTANT_BARRIER_LATE_GRANT]=store/test_barrier_model
    [MUTANT_COUNTER_UNBOUNDED]=store/test_counter_model
    [MUTANT_IDS_TWICE]=store/test_counter_model
    [MUTANT_LATCH_REOPENS]=store/test_counter_model
    [MUTANT_SHARD_MOVE_UNLOST]=store/test_shard_model
    [MUTANT_OLD_PASSWORD_COUNTS]=store/test_access
)

# Usage: caught NUMBER NAME    prints how; fails if it is not
caught() {
    local number=$1 name=$2 folder=build/mutant/$1 source file use log
    # Of a mutant's own places only those files matter that name it.
    use=$(grep -l "MUTANT_IS($name)" "${touched[@]}")
    [ -n "$use" ] || { echo "is planted nowhere"; return 1; }
    mkdir -p "$folder"
    log=$folder/log
    if [ -n "${unit_tests[$name]:-}" ]; then
        make unit-mutant MUTANT="$number" MUTANT_SOURCES="${use//$'\n'/ }" \
            MUTANT_TEST="${unit_tests[$name]}" >"$log" 2>&1 ||
            { echo "does not build, see $log"; return 1; }
        timeout -k 5 "$limit_s" "$folder/unit" >"$log" 2>&1
        file=$(sed -n 's/^[^ ]*:[0-9]*:[FE]:[^:]*:\([^:]*\):.*/\1/p' "$log" | head -n 1)
        if [ -n "$file" ]; then
            echo "caught by unit test $file"
            return 0
        fi
        echo "survived ${unit_tests[$name]}, see $log"
        return 1
    fi
    make sim-mutant MUTANT="$number" MUTANT_SOURCES="${use//$'\n'/ }" >"$log" 2>&1 ||
        { echo "does not build, see $log"; return 1; }
    timeout -k 5 "$limit_s" "$folder/sim" --seeds 0 --until-failure >"$log" 2>&1
    file=$(sed -n 's/^FAILED scenario //p' "$log" | head -n 1)
    if [ -n "$file" ]; then
        echo "caught by scenario $file after 0 seeds"
        return 0
    fi
    timeout -k 5 "$limit_s" "$folder/sim" --no-scenarios --until-failure --jobs "$jobs" \
        --seeds "$seeds" >>"$log" 2>&1
    source=$(sed -n 's/^FAILED seed \([0-9]*\): .*/\1/p' "$log" | head -n 1)
    if [ -n "$source" ]; then
        echo "caught by seed $source: $(sed -n "s/^FAILED seed $source: //p" "$log" | head -n 1)"
        return 0
    fi
    echo "survived $seeds seeds, see $log"
    return 1
}

for i in "${!names[@]}"; do
    number=$((i + 1))
    if [ $# -gt 0 ] && [[ " $* " != *" $number "* ]]; then
        continue
    fi
    if how=$(caught "$number" "${names[$i]}"); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    echo "mutant $number ${names[$i]#MUTANT_} $how"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
