#!/bin/sh
# grpc-go as Debian packages it, with generated stubs. Needs golang-go, golang-google-grpc-dev,
# golang-github-golang-protobuf-1-5-dev, protoc-gen-go-1-5, protoc-gen-go-grpc.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
# shellcheck disable=SC1091
. "$root/tests/compat/lib.sh"

export GO111MODULE=off GOFLAGS=-buildvcs=false GOCACHE="$scratch/cache"
export GOPATH="$scratch:/usr/share/gocode"
mkdir -p "$scratch/src/compat"
protoc --proto_path="$root/proto" --go_out="$scratch/src" --go-grpc_out="$scratch/src" \
    coord/v1/types.proto coord/v1/tree.proto coord/v1/cluster.proto coord/v1/lease.proto \
    coord/v1/session.proto || give_up "no stubs"
cp "$root/tests/compat/go/main.go" "$scratch/src/compat"
go build -o "$scratch/client" compat || give_up "go build failed"
start_server
"$scratch/client" "$COORD_ENDPOINT"
