#!/bin/sh
# grpc C-core by its Python binding, with generated stubs. Needs python3-grpcio, python3-protobuf,
# protobuf-compiler-grpc.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
# shellcheck disable=SC1091
. "$root/tests/compat/lib.sh"

python_stubs "$root/proto" coord/v1/types.proto coord/v1/tree.proto coord/v1/cluster.proto \
    coord/v1/lease.proto coord/v1/session.proto
# Under names that do not hide the grpc module itself.
python_stubs "$root/proto/grpc" health/v1/health.proto reflection/v1/reflection.proto \
    reflection/v1alpha/reflection.proto
start_server
PYTHONPATH=$scratch /usr/bin/python3 "$root/tests/compat/python/client.py" "$COORD_ENDPOINT"
