#!/bin/sh
# @grpc/grpc-js with stubs from @grpc/proto-loader. Needs nodejs and, for its packages, npm and a
# registry that npm is set up for.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck disable=SC2034
scratch=$(mktemp -d)
# shellcheck disable=SC1091
. "$root/tests/compat/lib.sh"

NODE_PATH=$(sh "$root/tests/compat/node_modules.sh" "$root/tests/compat/js") ||
    give_up "no packages of npm"
export NODE_PATH
start_server
PROTO=$root/proto node "$root/tests/compat/js/client.js" "$COORD_ENDPOINT"
