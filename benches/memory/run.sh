#!/usr/bin/env bash
# Measures whether PORCHLIGHT_MEMORY_MB holds while large events are published all the time: the growth of the service's memory
# (anonymous PSS), at the peak and 4 seconds after the last event, as a percentage of the setting. It needs no quiet machine.
#
#   benches/memory/run.sh                                    2, 8 and 64 connections, target/release/porchlight
#   benches/memory/run.sh 64                                 64 connections
#   benches/memory/run.sh --binary old=PATH --binary new=PATH [CONNECTIONS ...]    two binaries, in turn
#
# Half of the connections publish to each of two brokerages: the frames of one take at most half of the setting. Each line is a
# new service with a Postgres of its own. MEMORY_MB (64), PAYLOAD (60000 bytes), SECONDS_EACH (20) and SETTINGS ("NAME=VALUE ...",
# for the service) change it.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${SERVER_CORE:=0-$(($(nproc) - 1))}" # many threads have more memory than one
: "${MEMORY_MB:=64}" "${PAYLOAD:=60000}" "${SECONDS_EACH:=20}" "${SETTINGS:=}"
readonly SETTLE=4    # seconds after which freed memory has been returned
readonly RATE=100000 # more than the service can take: every connection always publishes
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
. benches/service.sh
sampler_pid= watchers=()

main() {
    local binaries=() connections=() binary n
    while [ $# -gt 0 ]; do
        case $1 in
        --binary) binaries+=("${2:?--binary [NAME=]PATH}") && shift 2 ;;
        -*) fail "unknown option $1" ;;
        *) connections+=("$1") && shift ;;
        esac
    done
    [ ${#binaries[@]} -gt 0 ] || binaries=("$PORCHLIGHT_BIN")
    [ ${#connections[@]} -gt 0 ] || connections=(2 8 64)
    trap 'stop; rm -rf "$work"' EXIT
    echo "binary | connections | events | before, MB | growth at the peak | $SETTLE s later (of $MEMORY_MB MB)"
    for n in "${connections[@]}"; do
        for binary in "${binaries[@]}"; do measure "${binary%%=*}" "${binary#*=}" "$n"; done
    done
}

# measure NAME PROGRAM CONNECTIONS
measure() {
    local name=$1 program=$2 connections=$3 first before peak after published
    [ -x "$program" ] || fail "$program is missing: cargo build --release"
    rm -rf "$work/data"
    # shellcheck disable=SC2086 # several settings
    start_service "$program" "$work/server.log" PORCHLIGHT_MEMORY_MB="$MEMORY_MB" $SETTINGS
    sleep "$SETTLE"
    before=$(pss_kb)
    sample_pss >"$work/samples" &
    sampler_pid=$!
    watch "$program" one
    watch "$program" two
    publish "$program" one $((connections / 2)) &
    first=$!
    publish "$program" two $((connections - connections / 2))
    wait "$first"
    stop_sampler
    peak=$(sort -n "$work/samples" | tail -1)
    sleep "$SETTLE"
    after=$(pss_kb)
    published=$(jq -s 'map(.publishes.accepted) | add' "$work"/one.json "$work"/two.json)
    stop_watchers
    stop_service
    echo "$name | $connections | $published | $((before / 1024)) | $(percent $((peak - before))) | $(percent $((after - before)))"
}

# watch PROGRAM BROKERAGE: a stream that gets none of the events. Frames are kept for brokerages with streams. One that
# cannot keep up would read the table, which has a limit of its own (16 MiB).
watch() {
    local token
    token=$(JWT_SECRET=$SECRET "$1" token --user watcher --broker "$2")
    curl -sN -o "$work/stream" -H "Authorization: Bearer $token" "http://127.0.0.1:$port/stream/user" &
    watchers+=($!)
}

# publish PROGRAM BROKERAGE CONNECTIONS
publish() {
    taskset -c "$CLIENT_CORE" "$1" bench --json --url "http://127.0.0.1:$port" --secret "$SECRET" --broker "$2" -n 0 -t 1 \
        --publishers "$3" -r "$RATE" -p "$PAYLOAD" --warmup 0 -s "$SECONDS_EACH" >"$work/$2.json"
}

percent() { awk -v kb="$1" -v mb="$MEMORY_MB" 'BEGIN { printf "%.0f %%", kb / mb / 10.24 }'; }

pss_kb() { awk '/^Pss_Anon:/ { print $2 }' "/proc/$server_pid/smaps_rollup"; }

sample_pss() { while pss_kb; do sleep 0.1; done 2>/dev/null; }

stop_sampler() {
    [ -n "$sampler_pid" ] || return 0
    kill "$sampler_pid" 2>/dev/null || true
    wait "$sampler_pid" 2>/dev/null || true
    sampler_pid=
}

stop_watchers() {
    [ ${#watchers[@]} -eq 0 ] || kill "${watchers[@]}" 2>/dev/null || true
    watchers=()
}

stop() {
    stop_sampler
    stop_watchers
    stop_service
}

main "$@"
