#!/bin/sh
# Runs test commands and adds up their results.
#
#   tests/run.sh LOGDIR COMMAND... -- COMMAND...
#
# Two commands run at a time, those before the -- first. Those after it start servers: they mostly
# wait, on ports that they keep from each other (harness.py).
# A test command says how it went with its last line, "N passed, M failed", and its exit status.
# One that crashes, hangs, prints no such line, or fails while claiming 0 failures counts as a
# failure. "skipped: WHY" as the last line says that what the command needs is not there: that is
# shown, and counts as nothing. The last line printed here is the sum; the exit status is 0 only
# without failures.
#
# TEST_AGAIN=yes: a command behind the -- that failed runs once more, alone, when all others have
# ended, and counts as it then goes. It starts servers on a machine that may stand still for a
# second. Both logs are kept, and it is shown as AGAIN, for somebody to find out why. What runs
# before the -- has no such excuse.
set -u

# The longest that any one command may take.
limit_s=${TEST_LIMIT_S:-1200}

if [ "${1:-}" = --one ]; then
    # One command: its output goes to a log, its result to LOG.result as "passed failed". With
    # --or-again one that fails is noted, to run once more.
    verdict=FAIL
    if [ "$2" = --or-again ]; then
        verdict=AGAIN
        shift
    fi
    logs=$2
    command=$3
    name=$(echo "${command#build/*/tests/}" | sed 's,^[./]*,,; s,^tests/,,; s,[^A-Za-z0-9_.-]\{1\,\},_,g')
    log=$logs/$name.log
    begin=$(date +%s)
    # shellcheck disable=SC2086
    timeout -k 10 "$limit_s" $command >"$log" 2>&1 </dev/null
    code=$?
    seconds=$(($(date +%s) - begin))
    counts=$(sed -n '$s/^\([0-9]\{1,\}\) passed, \([0-9]\{1,\}\) failed$/\1 \2/p' "$log")
    passed=${counts% *}
    failed=${counts#* }
    skipped=$(sed -n '$s/^skipped: //p' "$log")
    why=
    if [ -n "$skipped" ] && [ "$code" -eq 0 ]; then
        echo "  SKIP  $name  $skipped"
        echo "0 0" >"$log.result"
        exit 0
    fi
    if [ -z "$counts" ]; then
        passed=0 failed=1 why=", no result line"
    elif [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
    elif [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ]; then
        failed=1 why=", ran nothing"
    fi
    if [ "$failed" -eq 0 ]; then
        echo "  PASS  $name  $passed passed  ${seconds}s"
    else
        [ "$code" -ne 124 ] || why=", longer than ${limit_s}s"
        if [ "$verdict" = AGAIN ]; then
            mv "$log" "$logs/$name.first"
            log=$logs/$name.first
            printf '%s\0' "$command" >>"$logs/again"
        fi
        {
            echo "  $verdict  $name  $passed passed, $failed failed, exit $code$why; $log ends with:"
            tail -n 40 "$log" | sed 's/^/        /'
        } >"$log.shown"
        cat "$log.shown"
        rm -f "$log.shown"
        [ "$verdict" = FAIL ] || exit 0
    fi
    echo "$passed $failed" >"$log.result"
    exit 0
fi

logs=$1
shift
mkdir -p "$logs"
rm -f "$logs"/*.result "$logs"/*.log "$logs"/*.first "$logs"/queue "$logs"/again
: >"$logs/queue"
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    printf '%s\0' "$1" >>"$logs/queue"
    shift
done
xargs -0 -r -n 1 -P 2 "$0" --one "$logs" <"$logs/queue"
[ $# -eq 0 ] || shift

: >"$logs/queue"
[ $# -eq 0 ] || printf '%s\0' "$@" >"$logs/queue"
again=
[ "${TEST_AGAIN:-no}" = no ] || again=--or-again
# shellcheck disable=SC2086
xargs -0 -r -n 1 -P 2 "$0" --one $again "$logs" <"$logs/queue"
if [ -s "$logs/again" ]; then
    xargs -0 -n 1 "$0" --one "$logs" <"$logs/again"
fi

find "$logs" -name '*.result' -exec cat {} + | awk '
    { passed += $1; failed += $2 }
    END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed == 0 }'
