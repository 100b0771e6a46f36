#!/usr/bin/env bash
# Measures what one caller's flood costs others. Each load runs beside a victim of another brokerage. The
# table has the victim's times without and with the load, for each given binary:
#
#   benches/flood/run.sh                                          all loads, target/release/porchlight
#   benches/flood/run.sh --binary old=PATH --binary new=PATH      two binaries, one after the other
#   benches/flood/run.sh output uploads8                          some loads
#
#   notifications   50 connections in a loop: GET /notifications with 5,000 unread; victim: POST /locks
#   uploads8        8 connections that begin an upload and send no body; victim: an upload
#   uploads50       the same with 50
#   uploads_slow    50 uploads of 100 bytes a second; victim: an upload
#   output          50 connections in a loop: open a stream of output, read its first event, close it; victim: POST /locks
#   output_held     the same with streams that stay open until the service ends them
#   imports_bad     6,165 imports with bad parameters, by 50 connections; victim: an import, from
#                   POST /tasks to completed
#   imports_valid   6,165 imports of one good row; the same victim
#   tasks, records  50 connections in a loop: GET /tasks with 100 tasks, GET /records/escrows; victim: the same request
#   record          the same with PATCH of one record
#   locks, heartbeats, signals, events   the same with POST /locks, /presence/heartbeat, /signals, /events
#
# Services and workers may send much more than users. Only when they are named:
#   record_service  PATCH of one record by a service; victim: PATCH of a record
#   record_read     the same; victim: GET of this record, by users of the same brokerage
#   record_key      the same with one Idempotency-Key; victim: PATCH of a record
#   record_stale    the same with an If-Match that is old; victim: PATCH of a record
#   claims          POST /tasks/claim by a worker; victim: GET /tasks
#
# The table says whether the victim's p99 is at most twice its quiet one or 20 ms, whichever is more; the script fails
# if one is not. A load has one token. The server and its Postgres run on one core; load and victim on another.
# The settings are the defaults. All loads take about twenty minutes for each binary. SECONDS_EACH and SECONDS_QUIET shorten it.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${SECONDS_EACH:=60}" "${SECONDS_QUIET:=20}"
: "${CONNECTIONS:=50}" "${UNREAD:=5000}" "${IMPORTS:=6165}"
readonly LOADS="notifications uploads8 uploads50 uploads_slow output output_held imports_bad imports_valid tasks records record locks heartbeats signals events"
readonly FLOOD=(python3 benches/flood/flood.py)
out=${OUT:-$(mktemp -d)} && mkdir -p "$out"
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
. benches/service.sh
load_pid=

main() {
    local binaries=() loads=() binary load
    while [ $# -gt 0 ]; do
        case $1 in
        --binary) binaries+=("${2:?--binary [NAME=]PATH}") && shift 2 ;;
        -*) fail "unknown option $1" ;;
        *) loads+=("$1") && shift ;;
        esac
    done
    [ ${#binaries[@]} -gt 0 ] || binaries=(porchlight=target/release/porchlight)
    [ ${#loads[@]} -gt 0 ] || read -ra loads <<<"$LOADS"
    prepare "${binaries[@]}"
    for load in "${loads[@]}"; do
        for binary in "${binaries[@]}"; do measure "$load" "$(name_of "$binary")" "${binary#*=}"; done
    done
    echo "Server and Postgres on core $SERVER_CORE, load and victim on core $CLIENT_CORE; ${SECONDS_EACH} s each," \
        "quiet ${SECONDS_QUIET} s. $(uname -m), $(nproc) cores, load average at the end: $(cut -d' ' -f1-3 /proc/loadavg)."
    echo
    echo "Reports: $out" >&2
    flood table "$out"
}

name_of() { if [[ $1 == *=* ]]; then echo "${1%%=*}"; else basename "$1"; fi; }

prepare() {
    trap 'stop; rm -rf "$work"' EXIT
    ulimit -n "$(ulimit -Hn)"
    local binary
    for binary in "$@"; do
        [ -x "${binary#*=}" ] || fail "${binary#*=} is missing: cargo build --release"
    done
    command -v taskset >/dev/null || fail "taskset is missing: apt-get install util-linux"
    psql=$(command -v psql || compgen -G '/usr/lib/postgresql/*/bin/psql' | head -n 1)
    [ -n "$psql" ] || fail "psql is missing: apt-get install postgresql-client"
}

# Every measurement uses a new server.
measure() {
    local load=$1 server=$2 report="$out/$1@$2" quiet under
    kind_of "$load" # sets kind, victim and options
    start "$3"
    fill "$load"
    echo "$load: $server" >&2
    sleep 3 # the start is not meant
    begin
    flood victim "$victim" --port "$port" --seconds "$SECONDS_QUIET" >"$report.quiet.json"
    quiet=$(transactions_per_second)
    rm -f "$work/ready"
    # shellcheck disable=SC2086 # options are words
    (exec taskset -c "$CLIENT_CORE" "${FLOOD[@]}" load $kind --port "$port" --ready "$work/ready" $options) \
        >"$report.load.json" &
    load_pid=$!
    until [ -e "$work/ready" ]; do
        kill -0 "$load_pid" 2>/dev/null || fail "the load $load ended by itself"
        sleep 0.1
    done
    begin
    flood victim "$victim" --port "$port" --seconds "$SECONDS_EACH" >"$report.under.json"
    under=$(transactions_per_second)
    echo "{\"quiet\": $quiet, \"under\": $under}" >"$report.rates.json"
    stop_load
    stop
}

kind_of() {
    options="--connections $CONNECTIONS"
    case $1 in
    notifications) kind=notifications victim=lock ;;
    uploads8) kind=uploads victim=upload options="--connections 8" ;;
    uploads50) kind=uploads victim=upload ;;
    uploads_slow) kind=uploads victim=upload options+=" --drip 100" ;;
    output | output_held) kind=$1 victim=lock ;;
    imports_bad) kind=imports victim=import options+=" --count $IMPORTS" ;;
    imports_valid) kind=imports victim=import options+=" --count $IMPORTS --valid" ;;
    record_read) kind=record_service victim=record_read ;;
    record_service | record_key | record_stale) kind=$1 victim=record ;;
    claims) kind=claims victim=tasks ;;
    tasks | records | record | locks | heartbeats | signals | events) kind=$1 victim=$1 ;;
    *) fail "no load $1; there are $LOADS" ;;
    esac
}

# The data in the database before a load.
fill() {
    case $1 in
    notifications)
        sql "insert into porchlight.notification_books (broker_id, last_id) values ('flood', $UNREAD);
             insert into porchlight.notifications (broker_id, id, audience, level, title)
             select 'flood', n, 'user:u', 'info', 'Notification ' || n from generate_series(1, $UNREAD) n;
             analyze porchlight.notifications" ;;
    output | output_held)
        sql "insert into porchlight.tasks (broker_id, id, user_id, type, params, max_attempts, created_at)
             select 'flood', 'flood-' || n, 'u', 'write', '{}', 3, now() from generate_series(0, $CONNECTIONS - 1) n;
             update porchlight.tasks set state = 'running', attempt = 1, worker_id = 'w', lease_seconds = 36000,
                 lease_until = now() + interval '10 hours', started_at = now();
             analyze porchlight.tasks" ;;
    tasks | claims)
        sql "insert into porchlight.tasks (broker_id, id, user_id, type, params, max_attempts, created_at)
             select b, b || '-' || u || '-' || n, u, 'write', '{}', 3, now() from generate_series(1, 100) n,
                 (values ('flood', 'u'), ('quiet', 'v-0'), ('quiet', 'v-1'), ('quiet', 'v-2')) as of(b, u);
             analyze porchlight.tasks" ;;
    esac
}

flood() { taskset -c "$CLIENT_CORE" "${FLOOD[@]}" "$@"; }

sql() { "$psql" -h "$work/data/socket" -U postgres -d porchlight -XAtqc "$1" >/dev/null; }

begin() { began=$(date +%s%N) committed=$(transactions); }

transactions() {
    "$psql" -h "$work/data/socket" -U postgres -d porchlight -XAtqc \
        "select xact_commit + xact_rollback from pg_stat_database where datname = 'porchlight'"
}

transactions_per_second() {
    awk -v n="$(($(transactions) - committed))" -v ns="$(($(date +%s%N) - began))" 'BEGIN { printf "%.0f", n * 1e9 / ns }'
}

start() {
    rm -rf "$work/data"
    start_service "$1" "$out/server.log"
}

stop_load() {
    [ -n "$load_pid" ] || return 0
    kill "$load_pid" 2>/dev/null || true
    wait "$load_pid" 2>/dev/null || true
    load_pid=
}

stop() {
    stop_load
    stop_service
}

main "$@"
