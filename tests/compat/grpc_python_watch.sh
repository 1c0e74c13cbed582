#!/bin/sh
# Watches on a cluster of three by grpc C-core's Python binding, with generated stubs. Needs what
# grpc_python.sh needs.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
# shellcheck disable=SC1091
. "$root/tests/compat/lib.sh"

python_stubs "$root/proto" coord/v1/types.proto coord/v1/tree.proto coord/v1/watch.proto \
    coord/v1/history.proto
start_cluster
PYTHONPATH=$scratch /usr/bin/python3 "$root/tests/compat/python/watch.py" "$COORD_ENDPOINTS"
