#!/usr/bin/env bash
# Opens as many idle streams as the hard limit on open files allows, or N, keeps them open while
# heartbeats go out, sends one event to all of them, and prints what they cost.
#
#   benches/many/run.sh [N]
#
# The service (with a Postgres of its own) runs on one core, the generator on another. Both are on this
# machine, so the kernel holds both ends of each stream; half of its growth is counted.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${HOLD:=60}"             # seconds for which the streams are idle
: "${HEARTBEAT_SECONDS:=15}" # the service's default
readonly SPARE_FILES=200    # for the service's database, files and other connections
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
. benches/service.sh

main() {
    prepare
    local streams=${1:-$(most)}
    [ "$streams" -le "$(most)" ] ||
        fail "$streams streams need $((streams + SPARE_FILES)) open files in the service and in the generator, and the hard limit is $(ulimit -Hn): raise it (ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile= of Docker)"
    start_service "$PORCHLIGHT_BIN" "$work/server.log" PORCHLIGHT_MAX_STREAMS="$((streams + SPARE_FILES))" \
        PORCHLIGHT_CONNECTIONS_PER_WORKER="$((streams + SPARE_FILES))" PORCHLIGHT_HEARTBEAT_SECONDS="$HEARTBEAT_SECONDS"
    echo "$streams streams, held for $HOLD s" >&2
    taskset -c "$CLIENT_CORE" "$PORCHLIGHT_BIN" bench --json --url "http://127.0.0.1:$port" --secret "$SECRET" \
        --pid "$server_pid" --pid-tree -n "$streams" -t 1 --idle --announce -s "$HOLD" >"$work/report.json" ||
        { grep -a WARN "$work/server.log" | tail -n 3 >&2; fail "the generator failed"; }
    report
}

prepare() {
    trap 'stop_service; rm -rf "$work"' EXIT
    ulimit -n "$(ulimit -Hn)"
    local command
    for command in jq curl taskset; do
        command -v "$command" >/dev/null || fail "$command is missing: install jq, curl and util-linux"
    done
    [ -x "$PORCHLIGHT_BIN" ] || fail "$PORCHLIGHT_BIN is missing: cargo build --release"
}

# A million is the most that the generator takes.
most() {
    local files
    files=$(ulimit -Hn)
    if [ "$files" = unlimited ] || [ "$files" -gt 1000200 ]; then files=1000200; fi
    echo $((files - SPARE_FILES))
}

report() {
    jq -r --argjson heartbeat "$HEARTBEAT_SECONDS" '
        def n: if . == null then "unknown" else round end;
        def ms: . * 10 | round / 10;
        .connects.connected as $streams
        | "streams: \($streams) of \(.load.subscribers), opened in \(.connects.seconds | ms) s (\(.connects.perSecond | n)/s)",
          (.connects.firstFailure // empty | "  the first that was not opened: \(.)"),
          "service: \(.server.bytesPerConnection | n) bytes a stream (PSS), \(.server.treeBytesPerConnection | n) with its Postgres",
          "kernel: \(.server.kernelBytesPerConnection | n) bytes a stream, for the end of the service",
          "heartbeats every \($heartbeat) s: \(.server.cpuShare * 10000 | round / 100) % of a core, \(
              .server.cpuShare * $heartbeat * 1e7 / $streams | round / 10) us each, everything else of the idle service included",
          (.announcement | "one event to all: \(.receipts) receipts, p50 \(.p50Ms | ms) ms, p99 \(.p99Ms | ms) ms, last \(.lastMs | ms) ms"),
          (if .lostStreams > 0 then "STREAMS LOST: \(.lostStreams)" else empty end),
          (.warnings[] | "WARNING: \(.)")' "$work/report.json"
    grep -a WARN "$work/server.log" | tail -n 3 || true
}

main "$@"
