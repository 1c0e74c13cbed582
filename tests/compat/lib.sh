# For the scripts of this folder: a server to talk to. Sourced, with `root` and `scratch` set: the
# source's folder, and one that is removed at the end.
#
# COORD_ENDPOINT  a server that is up already; without it one is started from COORDD
# shellcheck shell=sh disable=SC2154
server=

cleanup() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
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
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
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
    server=$!
    tries=0
    until curl -fs -o /dev/null "http://$COORD_ENDPOINT/ready"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
            tail -n 5 "$scratch/coordd.log"
            give_up "coordd does not get ready"
        fi
        sleep 0.1
    done
}
