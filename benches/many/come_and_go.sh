#!/usr/bin/env bash
# Lets many streams come and go, and prints the memory of the service before and after: what a stream leaves behind.
#
#   benches/many/come_and_go.sh [ROUNDS [STREAMS]]     default 10 and 10000
#
# One round comes before the first measurement: caches and lists have their sizes then. The service (with a Postgres of
# its own) runs on one core, the generator on another.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly SETTLE=15 # seconds after which unused memory has been returned
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
. benches/service.sh

main() {
    local rounds=${1:-10} streams=${2:-10000} before after
    trap 'stop_service; rm -rf "$work"' EXIT
    ulimit -n "$(ulimit -Hn)"
    [ -x "$PORCHLIGHT_BIN" ] || fail "$PORCHLIGHT_BIN is missing: cargo build --release"
    start_service "$PORCHLIGHT_BIN" "$work/server.log"
    sleep "$SETTLE"
    echo "with no stream so far: $(pss) kB"
    come_and_go 1 "$streams"
    before=$(pss)
    echo "after $streams streams: $before kB"
    come_and_go "$rounds" "$streams"
    after=$(pss)
    echo "after $((rounds * streams)) more: $after kB, $(((after - before) * 100 / before)) % more"
}

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

main "$@"
