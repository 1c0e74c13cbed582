#!/bin/sh
# Static analysis by cppcheck and shellcheck. A false alarm is silenced where it is, by a
# cppcheck-suppress comment that says why.
#
# For all files: cppcheck 2.10 does not parse attributes of function pointers, so it gets none.
# autoVariables does not see that a message is sent before its parts go out of scope, and uninitvar
# takes an address for a use; gcc finds the real ones. An #error is for the configuration that the
# compiler sees.
set -eu
status=0
folders=$(for folder in base lease plan recipes store watch raft net client cmd; do
    [ ! -d "$folder" ] || echo "$folder"
done)
# shellcheck disable=SC2086
if [ -n "$(find $folders -name '*.c' | head -n 1)" ]; then
    mkdir -p build/cppcheck
    cppcheck --quiet -j 2 --cppcheck-build-dir=build/cppcheck --std=c11 --language=c \
        --enable=warning,portability --inline-suppr --error-exitcode=1 \
        --suppress=missingInclude --suppress=missingIncludeSystem --suppress=unmatchedSuppression \
        --suppress=autoVariables --suppress=uninitvar --suppress=preprocessorErrorDirective \
        '-D__attribute__(x)=' -I . $folders || status=1
fi
git ls-files -z --cached --others --exclude-standard |
    xargs -0 -r grep -lIZ '^#!/bin/\(sh\|bash\)\|^#!/usr/bin/env bash' 2>/dev/null |
    xargs -0 -r shellcheck || status=1
exit $status
