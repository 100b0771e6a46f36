#!/usr/bin/env bash
# Runs the same loads against raw write(), nchan (nginx) and Porchlight in turn, the server pinned to
# one core and the generator to another, and prints a table for docs/PERFORMANCE.md. raw write() is the floor:
# a program that only writes each prepared event to each socket (crates/bench/examples/raw_write.rs).
#
#   benches/peers/run.sh                     all loads, about half an hour
#   benches/peers/run.sh w2 w4               some loads
#   SERVERS=" " OUT=dir benches/peers/run.sh only the table, from existing reports
#
# Porchlight keeps its events in its own Postgres, which runs on the server's core with it;
# the others keep them in memory. The CPU of both the process and its tree is reported.
#
# Loads of one topic publish one POST after the other on one connection, as a backend does. `rate_concurrent`
# is `rate` with POSTs on many connections, which hides how long a POST waits behind the writes of the event before.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${PORCHLIGHT_BIN:=target/release/porchlight}"
: "${SERVER_CORE:=0}" "${CLIENT_CORE:=1}"
: "${ROUNDS:=1}"      # more rounds give medians
: "${MEASURE:=10}"    # seconds of each measurement
: "${RAW_BIN:=target/release/examples/raw_write}"
: "${SERVERS:=raw nchan porchlight}"
readonly LOADS="idle idle_teams w2 w2b wide w3 rate rate_concurrent w3rate w4 durable durable_max"
readonly SEARCH="--find-rate --seconds 4 --warmup 1"
readonly SECRET="benches-only-secret-of-32-bytes-or-more"
out=${OUT:-$(mktemp -d)} && mkdir -p "$out"
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
server_pid=

main() {
    prepare
    local round load server loads=("$@")
    [ $# -gt 0 ] || read -ra loads <<<"$LOADS"
    for round in $(seq "$ROUNDS"); do
        for load in "${loads[@]}"; do
            for server in $SERVERS; do measure "$load" "$server" "$round"; done
        done
    done
    table
    echo "Reports: $out" >&2
}

prepare() {
    trap 'stop; rm -rf "$work"' EXIT
    ulimit -n "$(ulimit -Hn)"
    need nginx nginx libnginx-mod-nchan
    need jq jq
    need taskset util-linux
    [ -x "$PORCHLIGHT_BIN" ] || fail "$PORCHLIGHT_BIN is missing: cargo build --release"
    [[ " $SERVERS " != *" raw "* ]] || [ -x "$RAW_BIN" ] ||
        fail "$RAW_BIN is missing: cargo build --release -p bench --example raw_write"
    scripts/profile --check || true # a warning
}

# need COMMAND PACKAGE...: installs what is missing, as root on Debian.
need() {
    local command=$1 && shift
    command -v "$command" >/dev/null && return
    [ "$(id -u)" = 0 ] || fail "$command is missing: apt-get install $*"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >&2
}

fail() { echo "$*" >&2; exit 1; }

# Every measurement uses a new server: used memory is not always returned, and a log
# grows.
measure() {
    local load=$1 server=$2 file="$out/$1.$2.$3.json"
    start "$server"
    echo "$load: $server, round $3" >&2
    # shellcheck disable=SC2046 # options are words
    taskset -c "$CLIENT_CORE" "$PORCHLIGHT_BIN" bench --json --url "http://127.0.0.1:$port" \
        --peer "$server" --secret "$SECRET" --pid "$watched" --pid-tree \
        $(options "$load" "$server") >"$file" || echo "$load failed on $server" >&2
    stop
}

options() {
    case $1 in
    idle) echo "-n 10000 --idle -s 5" ;;
    idle_teams) echo "-n 10000 -t 100 --idle -s 5" ;;
    w2) echo "-n 1000 -t 1 -r 50 -s $MEASURE --sequential" ;;
    w2b) echo "-n 1000 -t 1 -r 50 -s $MEASURE --payload 2048 --sequential" ;;
    wide) echo "-n 10000 -t 1 -r 5 -s $MEASURE --sequential" ;;
    w3) echo "-n 10000 -t 2000 -r 1000 -s $MEASURE" ;;
    rate) echo "-n 1000 -t 1 -r 50 $SEARCH --sequential" ;;
    rate_concurrent) echo "-n 1000 -t 1 -r 50 $SEARCH" ;;
    w3rate) echo "-n 10000 -t 2000 -r 1000 $SEARCH" ;;
    w4) echo "-n 5000 -t 1 --storm 100 --connecting 5000" ;;
    durable) echo "-n 100 -t 100 -r 1000 -s $MEASURE" ;;
    durable_max) echo "-n 10 -t 10 -r 2000 $SEARCH $([ "$2" != porchlight ] || echo --batch 100)" ;;
    *) fail "no load $1; there are $LOADS" ;;
    esac
}

start() {
    port=$(free_port)
    "start_$1"
    wait_until_up "$1"
    # nginx's worker does the work; the memory of its master would distort the result.
    watched=$server_pid
    [ "$1" != nchan ] || watched=$(pgrep -P "$server_pid" | head -n 1)
}

start_raw() {
    taskset -c "$SERVER_CORE" "$RAW_BIN" "127.0.0.1:$port" >"$out/raw.log" 2>&1 &
    server_pid=$!
}

start_nchan() {
    local prefix="$work/nginx" modules
    modules=$(nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
    rm -rf "$prefix" && mkdir -p "$prefix/logs"
    sed -e "s#@PREFIX@#$prefix#; s#@PORT@#$port#; s#@MODULES@#$modules#" \
        -e "s#@FILES@#$(ulimit -n)#" benches/peers/nginx.conf >"$prefix/nginx.conf"
    taskset -c "$SERVER_CORE" nginx -p "$prefix" -c "$prefix/nginx.conf" >"$out/nchan.log" 2>&1 &
    server_pid=$!
}

start_porchlight() {
    rm -rf "$work/data"
    env -u DATABASE_URL PORCHLIGHT_ADDR="127.0.0.1:$port" JWT_SECRET="$SECRET" \
        PORCHLIGHT_DATA_DIR="$work/data" PORCHLIGHT_STREAMS_PER_USER=1000 \
        PORCHLIGHT_SERVICE_RATE=0 \
        taskset -c "$SERVER_CORE" "$PORCHLIGHT_BIN" serve >"$out/porchlight.log" 2>&1 &
    server_pid=$!
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)); (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

wait_until_up() {
    local tries
    for tries in $(seq 300); do
        kill -0 "$server_pid" 2>/dev/null || break
        answers && return
        sleep 0.1
    done
    cat "$out/$1.log" >&2
    fail "$1 does not come up (looked $tries times)"
}

# Any answer but a 5xx: the others have no /health/ready and answer with 404.
answers() {
    local status
    status=$({
        exec 3<>"/dev/tcp/127.0.0.1/$port" &&
            printf 'GET /health/ready HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3
    } 2>/dev/null) || return 1
    [[ $status == *" 200"* || $status == *" 404"* ]]
}

stop() {
    [ -n "$server_pid" ] || return 0
    kill "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
    server_pid=
}

table() {
    echo "Machine: $(machine). Server on core $SERVER_CORE with its children, generator on core $CLIENT_CORE."
    echo "Command: \`ROUNDS=$ROUNDS MEASURE=$MEASURE benches/peers/run.sh\`. Medians of $ROUNDS."
    echo
    echo "| measurement | raw write() | nchan | Porchlight | to raw | to nchan |"
    echo "|---|---|---|---|---|---|"
    row idle "idle 10,000: bytes a stream (PSS)" .server.bytesPerConnection 0
    row idle "idle 10,000: bytes a stream with Postgres" .server.treeBytesPerConnection 0
    row idle "idle 10,000: connects/s" .connects.perSecond 0
    row idle_teams "idle 10,000 in teams of 100: connects/s" .connects.perSecond 0
    rows w2 "1,000 subscribers, 50/s"
    rows w2b "the same, 2 KB"
    rows wide "10,000 subscribers, 5/s"
    rows w3 "2,000 topics of 5, 1,000/s"
    row rate "1 topic, highest deliveries/s, p99 < 100 ms" .deliveries.perSecond 0
    row rate "there: us CPU a delivery" .server.cpuUsPerDelivery 2
    row rate_concurrent "the same, POSTs on 64 connections" .deliveries.perSecond 0
    row w3rate "2,000 topics of 5, highest publishes/s" .load.rate 0
    row w4 "storm 5,000 x 100: s until all are caught up" .storm.caughtUpSeconds 2
    row w4 "storm: us CPU an event" .server.cpuUsPerDelivery 2
    row durable "POST to answer at 1,000/s: p50 ms" .publishes.answer.p50Ms 2
    row durable "POST to answer at 1,000/s: p99 ms" .publishes.answer.p99Ms 2
    row durable_max "highest publishes/s (ours durable, POSTs of 100)" .publishes.acceptedPerSecond 0
    faults
}

rows() {
    row "$1" "$2: us CPU a delivery" .server.cpuUsPerDelivery 2
    row "$1" "$2: us with Postgres" .server.treeCpuUsPerDelivery 2
    row "$1" "$2: p50 ms" .deliveries.latency.p50Ms 2
    row "$1" "$2: p99 ms" .deliveries.latency.p99Ms 2
}

# row LOAD TITLE JQ-PATH DIGITS
row() {
    local raw theirs ours
    raw=$(median "$1" raw "$3") theirs=$(median "$1" nchan "$3") ours=$(median "$1" porchlight "$3")
    [ -n "$raw$theirs$ours" ] || return 0
    awk -v title="$2" -v raw="$raw" -v theirs="$theirs" -v ours="$ours" -v digits="$4" '
        function shown(n) { return n == "" ? "" : sprintf("%." digits "f", n) }
        function ratio(to) { return (to + 0 && ours != "") ? sprintf("%.2f", ours / to) : "" }
        BEGIN {
            printf "| %s | %s | %s | %s | %s | %s |\n", title, shown(raw), shown(theirs), shown(ours),
                ratio(raw), ratio(theirs)
        }'
}

median() {
    local files=("$out/$1.$2".*.json)
    [ -e "${files[0]}" ] || return 0
    jq -rs "[.[] | $3 | numbers] | sort | .[length / 2 | floor] // empty" "${files[@]}"
}

# Losses, errors and warnings, which the table does not show.
faults() {
    local file
    for file in "$out"/*.json; do
        jq -r --arg run "$(basename "$file" .json)" '
            . as {$connects, $publishes, $deliveries, $warnings}
            | [ ($deliveries // {} | {missing, repeated, outOfOrder, misrouted} | to_entries[]),
                ($publishes // {} | {refused, unanswered} | to_entries[]),
                {key: "notConnected", value: $connects.failed},
                {key: "lostStreams", value: .lostStreams} ]
            | map(select((.value // 0) != 0) | "\(.key) \(.value)") + ($warnings // [])
            | select(length > 0) | "\n\($run): " + join("; ")' "$file"
    done
}

machine() {
    echo "$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, Linux $(uname -r)"
}

main "$@"
