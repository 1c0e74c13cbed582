#!/bin/sh
# Fails when an object of the deterministic state machine (the arguments) needs the outside world:
# clocks, randomness, files, sockets, threads, the locale, floating-point maths. SQLite has files
# of its own; store/db.c hands it to the rest as rows.
set -eu
[ $# -gt 0 ] || exit 0
banned='^(time|clock|clock_gettime|gettimeofday|localtime.*|gmtime.*|mktime|strftime'
banned="$banned|rand|random|srand.*|.*rand48|getrandom|getentropy|arc4random.*|getenv|getpid"
banned="$banned|open|open64|openat|fopen.*|read|write|pread.*|pwrite.*|unlink|rename|socket|send|recv"
banned="$banned|setlocale|pthread_.*|thrd_.*|fork|system|usleep|nanosleep|sleep"
banned="$banned|uv_.*|raft_.*|strto[fd]|strtold|atof|pow|exp|log|log2|log10|sqrt)\$"
found=$(for object in "$@"; do
    nm -u "$object" | awk -v object="$object" '{ sub(/@.*/, "", $NF); print $NF, object }'
done | awk -v banned="$banned" '$1 ~ banned { print "  " $2 " uses " $1 }' | sort -u)
if [ -n "$found" ]; then
    printf 'not deterministic:\n%s\n' "$found" >&2
    exit 1
fi
