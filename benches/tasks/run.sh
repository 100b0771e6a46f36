#!/usr/bin/env bash
# Measures what progress reports cost: TASKS running tasks, PER_TASK reports a second for each,
# and a stream for the user of every task.
#
#   benches/tasks/run.sh
#
# Latency is from when a report was due to when the user's stream had it, of those that were published:
# of ten reports a second about three are, the newest each time. The others show as lost here,
# which they are: a newer one was published instead. The instance and Postgres run on one core (SERVER_CORE;
# "0,1" for both), the generator on another.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${PORCHLIGHT_BIN:=target/release/porchlight}"
: "${SERVER_CORE:=0}" "${CLIENT_CORE:=1}"
: "${TASKS:=1000}" "${PER_TASK:=10}" "${SECONDS_OF_LOAD:=20}"
readonly SECRET="benches-only-secret-of-32-bytes-or-more" URL=http://127.0.0.1:28081
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
pid=

main() {
    trap 'kill "$pid" 2>/dev/null; wait; rm -rf "$work"' EXIT
    ulimit -n "$(ulimit -Hn)"
    [ -x "$PORCHLIGHT_BIN" ] || { echo "$PORCHLIGHT_BIN is missing: cargo build --release" >&2; exit 1; }
    psql=$(command -v psql || compgen -G '/usr/lib/postgresql/*/bin/psql' | head -n 1)
    start
    put_to_work
    local published token
    published=$(events)
    token=$(JWT_SECRET=$SECRET "$PORCHLIGHT_BIN" token --user bench-worker --broker bench --role worker --ttl 1h)
    taskset -c "$CLIENT_CORE" "$PORCHLIGHT_BIN" bench --secret "$SECRET" --url "$URL" \
        --subscribers "$TASKS" --topics "$TASKS" --rate "$((TASKS * PER_TASK))" \
        --seconds "$SECONDS_OF_LOAD" --warmup 2 --payload 41 --publishers "$((TASKS * PER_TASK / 5 + 1))" \
        --subscribe-path '/stream/user?types=ai:task:progress' --publish-path '/tasks/{topic}/progress' \
        --publish-header "Authorization: Bearer $token" --publish-header 'Content-Type: application/json' \
        --publish-body '{"fence":1,"message":"{payload}"}' --pid "$pid" --pid-tree || true
    published=$(($(events) - published))
    echo "events in the log: $published in $((SECONDS_OF_LOAD + 2)) s," \
        "$(awk -v n="$published" -v s="$((SECONDS_OF_LOAD + 2))" -v t="$TASKS" 'BEGIN { printf "%.0f a second, %.2f a second of each task", n / s, n / s / t }')"
    echo "updates in place: $(sql "select round(100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1)) || ' %' from pg_stat_user_tables where relname = 'tasks'")"
}

start() {
    local tries
    env -u DATABASE_URL PORCHLIGHT_ADDR="${URL#http://}" JWT_SECRET="$SECRET" PORCHLIGHT_DATA_DIR="$work/data" \
        PORCHLIGHT_WORKER_RATE=0 taskset -c "$SERVER_CORE" "$PORCHLIGHT_BIN" serve >"$work/log" 2>&1 &
    pid=$!
    for tries in $(seq 300); do
        if curl -sf -o "$work/ready" "$URL/health/ready"; then return; fi
        sleep 0.1
    done
    cat "$work/log" >&2
    echo "the service did not start after $tries checks" >&2
    exit 1
}

# One task for each subscriber, with the name of its topic, all of them with the same worker.
put_to_work() {
    sql "insert into porchlight.tasks (broker_id, id, user_id, type, params, max_attempts, created_at)
         select 'bench', 'bench-team-' || n, 'bench-user-' || n, 'import', '{}', 3, now()
         from generate_series(0, $TASKS) n;
         update porchlight.tasks set state = 'running', attempt = 1, worker_id = 'bench-worker',
             lease_seconds = 3600, lease_until = now() + interval '1 hour', started_at = now();"
}

sql() { "$psql" -h "$work/data/socket" -U postgres -d porchlight -Atc "$1"; }
events() { sql "select coalesce(max(head), 0) from porchlight.brokers where broker_id = 'bench'"; }

main "$@"
