#!/usr/bin/env bash
# Lets many streams come and go, and prints the memory of the service before and after: what a stream leaves behind.
#
#   benches/many/come_and_go.sh [ROUNDS [STREAMS]]     default 10 and 10000
#
# One round comes before the first measurement: caches and lists have their sizes then. The service (with a Postgres of
# its own) runs on one core, the generator on another.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${PORCHLIGHT_BIN:=target/release/porchlight}"
: "${SERVER_CORE:=0}" "${CLIENT_CORE:=1}"
readonly SETTLE=15 # seconds after which unused memory has been returned
readonly SECRET="benches-only-secret-of-32-bytes-or-more"
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
server_pid=

main() {
    local rounds=${1:-10} streams=${2:-10000} before after
    trap 'stop; rm -rf "$work"' EXIT
    ulimit -n "$(ulimit -Hn)"
    [ -x "$PORCHLIGHT_BIN" ] || fail "$PORCHLIGHT_BIN is missing: cargo build --release"
    start
    echo "with no stream so far: $(pss) kB"
    come_and_go 1 "$streams"
    before=$(pss)
    echo "after $streams streams: $before kB"
    come_and_go "$rounds" "$streams"
    after=$(pss)
    echo "after $((rounds * streams)) more: $after kB, $(((after - before) * 100 / before)) % more"
}

fail() { echo "$*" >&2; exit 1; }

come_and_go() {
    local round
    for round in $(seq "$1"); do
        taskset -c "$CLIENT_CORE" "$PORCHLIGHT_BIN" bench --json --url "http://127.0.0.1:$port" --secret "$SECRET" \
            -n "$2" -t 100 --idle -s 1 >"$work/report.json" || fail "round $round failed"
        [ "$(jq .connects.connected "$work/report.json")" = "$2" ] || fail "not all streams of round $round were opened"
    done
    sleep "$SETTLE"
}

pss() { awk '/^Pss:/ { print $2 }' "/proc/$server_pid/smaps_rollup"; }

start() {
    local tries
    while port=$((20000 + RANDOM % 10000)); (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    env -u DATABASE_URL PORCHLIGHT_ADDR="127.0.0.1:$port" JWT_SECRET="$SECRET" PORCHLIGHT_DATA_DIR="$work/data" \
        taskset -c "$SERVER_CORE" "$PORCHLIGHT_BIN" serve >"$work/server.log" 2>&1 &
    server_pid=$!
    for tries in $(seq 600); do
        kill -0 "$server_pid" 2>/dev/null || break
        if curl -sf -o "$work/answer" "http://127.0.0.1:$port/health/ready"; then sleep "$SETTLE"; return; fi
        sleep 0.1
    done
    tail "$work/server.log" >&2
    fail "the service did not start after $tries checks"
}

stop() {
    [ -n "$server_pid" ] || return 0
    kill "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
}

main "$@"
