# For the scripts of this folder: a server to talk to. Sourced, with `root` and `scratch` set: the
# source's folder, and one that is removed at the end.
#
# COORD_ENDPOINT  a server that is up already; without it one is started from COORDD
# shellcheck shell=sh disable=SC2154
servers=

cleanup() {
    for pid in $servers; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    # Go makes what it caches read-only.
    chmod -R u+w "$scratch" 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# Usage: give_up WHY. A client that cannot even be built is a failed test.
give_up() {
    echo "$*"
    echo "0 passed, 1 failed"
    exit 1
}

free_port() {
    PYTHONPATH=$root/tests/cluster /usr/bin/python3 -c 'import harness; print(harness.free_port())'
}

# Usage: await_ready PID ENDPOINT LOG
await_ready() {
    tries=0
    until curl -fs -o /dev/null "http://$2/ready"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 600 ] || ! kill -0 "$1" 2>/dev/null; then
            tail -n 5 "$3"
            give_up "coordd does not get ready"
        fi
        sleep 0.1
    done
}

# Sets COORD_ENDPOINT.
start_server() {
    if [ -n "${COORD_ENDPOINT:-}" ]; then
        return 0
    fi
    port=$(free_port)
    COORD_ENDPOINT=127.0.0.1:$port
    export COORD_ENDPOINT
    "${COORDD:-$root/build/coordd}" --data-dir "$scratch/data" --listen "$COORD_ENDPOINT" \
        >"$scratch/coordd.log" 2>&1 &
    servers="$servers $!"
    await_ready $! "$COORD_ENDPOINT" "$scratch/coordd.log"
}

# Three nodes; sets COORD_ENDPOINTS, separated by commas.
start_cluster() {
    members=
    for name in n1 n2 n3; do
        members=$members${members:+,}$name=127.0.0.1:$(free_port)
    done
    COORD_ENDPOINTS=
    for name in n1 n2 n3; do
        endpoint=127.0.0.1:$(free_port)
        COORD_ENDPOINTS=$COORD_ENDPOINTS${COORD_ENDPOINTS:+,}$endpoint
        "${COORDD:-$root/build/coordd}" --name "$name" --data-dir "$scratch/$name" \
            --listen "$endpoint" --initial-cluster "$members" >"$scratch/$name.log" 2>&1 &
        servers="$servers $!"
        eval "pid_$name=$! endpoint_$name=$endpoint"
    done
    for name in n1 n2 n3; do
        eval "await_ready \$pid_$name \$endpoint_$name $scratch/$name.log"
    done
}

# Usage: python_stubs FOLDER FILE...  Generated into `scratch`.
python_stubs() {
    plugin=$(command -v grpc_python_plugin) || give_up "no grpc_python_plugin"
    folder=$1
    shift
    protoc --proto_path="$folder" --python_out="$scratch" --grpc_python_out="$scratch" \
        --plugin=protoc-gen-grpc_python="$plugin" "$@" || give_up "no stubs"
}
