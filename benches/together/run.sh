#!/usr/bin/env bash
# Measures what presence and signals cost, on two instances around one Postgres:
#
#   benches/together/run.sh            all of it, about three minutes
#   benches/together/run.sh beats      10,000 users that send a heartbeat every 30 seconds
#   benches/together/run.sh signals    200 signals a second, from one instance to the other
#
# The instances and Postgres run on one core, the generator on another.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${PORCHLIGHT_BIN:=target/release/porchlight}"
: "${SERVER_CORE:=0}" "${CLIENT_CORE:=1}"
: "${SECONDS_OF_BEATS:=60}" "${SECONDS_OF_SIGNALS:=20}"
readonly SECRET="benches-only-secret-of-32-bytes-or-more"
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
pids=()

main() {
    trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$work"' EXIT
    ulimit -n "$(ulimit -Hn)"
    [ -x "$PORCHLIGHT_BIN" ] || { echo "$PORCHLIGHT_BIN is missing: cargo build --release" >&2; exit 1; }
    psql=$(command -v psql || compgen -G '/usr/lib/postgresql/*/bin/psql' | head -n 1)
    start 28081
    url="postgres://postgres@localhost/porchlight?host=$work/data/socket"
    start 28082 "DATABASE_URL=$url"
    local load
    [ $# -gt 0 ] || set -- beats signals
    for load in "$@"; do "$load"; done
}

# start PORT [VARIABLE=VALUE]: the first has a Postgres of its own, which the second uses too.
start() {
    local port=$1 tries
    shift
    env -u DATABASE_URL PORCHLIGHT_ADDR="127.0.0.1:$port" JWT_SECRET="$SECRET" \
        PORCHLIGHT_DATA_DIR="$work/data" "$@" \
        taskset -c "$SERVER_CORE" "$PORCHLIGHT_BIN" serve >"$work/$port.log" 2>&1 &
    pids+=($!)
    for tries in $(seq 300); do
        if curl -sf -o "$work/ready" "http://127.0.0.1:$port/health/ready"; then return; fi
        sleep 0.1
    done
    cat "$work/$port.log" >&2
    echo "the service did not start after $tries checks" >&2
    exit 1
}

bench() {
    taskset -c "$CLIENT_CORE" "$PORCHLIGHT_BIN" bench --secret "$SECRET" --warmup 1 \
        --publish-header 'Authorization: Bearer {token}' \
        --publish-header 'Content-Type: application/json' "$@"
}

# Since the last call: transactions in the database a second, and CPU of a process in percent.
begin() { began=$(date +%s%N) transactions=$(committed) ticks=$(cpu "$1"); }
report() {
    local seconds_milli=$((($(date +%s%N) - began) / 1000000))
    awk -v t="$(($(committed) - transactions))" -v c="$(($(cpu "$1") - ticks))" -v ms="$seconds_milli" \
        'BEGIN { printf "%.1f transactions/s, %.2f %% of a core\n", t * 1000 / ms, c * 10 * 100 / ms }'
}

committed() {
    "$psql" -h "$work/data/socket" -U postgres -d porchlight -Atc \
        "select xact_commit + xact_rollback from pg_stat_database where datname = 'porchlight'"
}

cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

# Each of 10,000 users sends a heartbeat in turn; one stream receives their presence.
beats() {
    local pid=${pids[0]}
    echo "== no users, both instances"
    sleep 5 # Postgres counts late, and the start is not meant
    begin "$pid" && sleep 10 && report "$pid"
    echo "== 10,000 users coming, one heartbeat each in 30 s"
    heartbeats 30 && echo "== 10,000 users beating every 30 s"
    begin "$pid" && heartbeats "$SECONDS_OF_BEATS" && report "$pid"
}

heartbeats() {
    bench --url http://127.0.0.1:28081 --subscribers 1 --topics 10000 --rate 334 --seconds "$1" \
        --subscribe-path '/stream/broker?types=none' --payload 41 \
        --publish-path /presence/heartbeat --publish-header 'X-Mark: {payload}' \
        --publish-body '{"session":"tab-1","status":"online","viewing":{"module":"escrows","recordId":"{topic}"}}' \
        >"$work/beats.txt"
    grep '^published' "$work/beats.txt"
    none_refused "$work/beats.txt"
}

none_refused() {
    grep -q '^published .* refused 0, unanswered 0' "$1" && return
    grep '^FIRST PROBLEM' "$1" >&2 || cat "$1" >&2
    exit 1
}

signals() {
    echo "== 200 signals/s, POST at one instance, stream at the other"
    bench --url http://127.0.0.1:28082 --publish-url http://127.0.0.1:28081 \
        --subscribers 400 --topics 400 --rate 200 --seconds "$SECONDS_OF_SIGNALS" --payload 41 \
        --subscribe-path '/stream/team?types=user:typing' --publish-path /signals \
        --publish-body '{"name":"typing","team":"{topic}","session":"{payload}"}' | tee "$work/signals.txt"
    none_refused "$work/signals.txt"
    echo "rows in the log: $("$psql" -h "$work/data/socket" -U postgres -d porchlight -Atc \
        'select count(*) from porchlight.events')"
}

main "$@"
