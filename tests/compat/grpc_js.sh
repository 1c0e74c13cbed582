#!/bin/sh
# @grpc/grpc-js with stubs from @grpc/proto-loader. Needs nodejs and, for its packages, npm and a
# registry that npm is set up for.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
# shellcheck disable=SC1091
. "$root/tests/compat/lib.sh"

cp "$root"/tests/compat/js/client.js "$root"/tests/compat/js/package.json "$scratch"
(cd "$scratch" && npm install --silent --no-audit --no-fund --no-package-lock) ||
    give_up "npm install failed"
start_server
PROTO=$root/proto node "$scratch/client.js" "$COORD_ENDPOINT"
