#!/usr/bin/env bash
# Measures how long everything else waits while events go out to many streams of one team: GET /health/live, a
# durable POST, and an event for a team of 5.
#
#   benches/latencies/run.sh [STREAMS [EVENTS-A-SECOND]]     default 10000 and 5
#
# The service and its Postgres run on one core, the load on another. The generator that measures runs on that
# core too, before the load in the scheduler's order where that is allowed (as root).
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${MEASURE:=20}" # seconds
readonly POSTS_A_SECOND=20
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
. benches/service.sh
load_pid=

main() {
    local streams=${1:-10000} rate=${2:-5}
    trap 'stop; rm -rf "$work"' EXIT
    ulimit -n "$(ulimit -Hn)"
    [ -x "$PORCHLIGHT_BIN" ] || fail "$PORCHLIGHT_BIN is missing: cargo build --release"
    start_service "$PORCHLIGHT_BIN" "$work/server.log"
    common=(--json --url "http://127.0.0.1:$port" --secret "$SECRET")
    taskset -c "$CLIENT_CORE" "$PORCHLIGHT_BIN" bench "${common[@]}" --pid "$server_pid" -n "$streams" -t 1 -r "$rate" \
        -s "$((MEASURE + 10))" --warmup 1 --sequential >"$work/load.json" &
    load_pid=$!
    until [ "$(open_streams)" -ge "$streams" ]; do
        kill -0 "$load_pid" || fail "the load failed"
        sleep 0.5
    done
    sleep 3
    measurer -n 5 -t 1 -r "$POSTS_A_SECOND" -s "$MEASURE" --sequential --names beside --get /health/live >"$work/beside.json"
    wait "$load_pid"
    load_pid=
    report "$streams" "$rate"
}

open_streams() {
    curl -s "http://127.0.0.1:$port/metrics" | awk '$1 == "porchlight_streams_open" { print $2 }'
}

# The load would delay its measurements otherwise.
measurer() {
    local first=()
    ! chrt -f 1 true 2>/dev/null || first=(chrt -f 1)
    "${first[@]}" taskset -c "$CLIENT_CORE" "$PORCHLIGHT_BIN" bench "${common[@]}" "$@"
}

report() {
    jq -r --arg streams "$1" --arg rate "$2" --slurpfile load "$work/load.json" '
        def ms: . * 10 | round / 10;
        def row(title; latency; aim): "| \(title) | \(latency.p50Ms | ms) | \(latency.p99Ms | ms) | \(latency.maxMs | ms) | \(aim) |";
        "\($rate) events/s to \($streams) streams of one team: \($load[0].deliveries.perSecond | round) deliveries/s, p99 \(
            $load[0].deliveries.latency.p99Ms | ms) ms, service \($load[0].server.cpuShare * 100 | round) % of its core",
        "",
        "| beside it | p50 ms | p99 ms | max ms | aim p99 ms |", "|---|---|---|---|---|",
        row("GET /health/live"; .gets.latency; 5),
        row("durable POST"; .publishes.answer; 10),
        row("an event for a team of 5"; .deliveries.latency; 20),
        (.warnings[], $load[0].warnings[] | "WARNING: \(.)")' "$work/beside.json"
}

stop() {
    [ -z "$load_pid" ] || { kill "$load_pid" && wait "$load_pid"; } 2>/dev/null || true
    stop_service
}

main "$@"
