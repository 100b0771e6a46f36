#!/usr/bin/env bash
# A rolling restart behind each balancer of `deploy`: instances stop and start one after the other, while clients hold streams
# and events are published through the balancer. Prints what was lost, repeated or out of order, how long a client had no
# stream at most, and what the restart cost the database.
#
#   benches/rolling/run.sh                         five instances, 2,000 streams in 100 teams, 200 events a second: four minutes
#   BALANCERS=nginx CLIENTS=500 benches/rolling/run.sh
#
# The instances share a Postgres that allows enough connections: 34 for each. Needs `scripts/setup --test`, for the balancers and for
# packages of web.
set -euo pipefail
cd "$(dirname "$0")/../.."

export PORCHLIGHT_BIN=${PORCHLIGHT_BIN:-target/release/porchlight}
export INSTANCES=${INSTANCES:-5} CLIENTS=${CLIENTS:-2000} TEAMS=${TEAMS:-100} EVENTS_PER_SECOND=${EVENTS_PER_SECOND:-200}
export SECONDS_QUIET=${SECONDS_QUIET:-20} SECONDS_BETWEEN=${SECONDS_BETWEEN:-5} BALANCERS=${BALANCERS:-nginx haproxy caddy}
work=$(mktemp -d) && chmod 755 "$work" # Postgres runs as another user
postgres_pid=
trap '[ -z "$postgres_pid" ] || { kill -INT "$postgres_pid"; wait "$postgres_pid"; } 2>/dev/null || true; rm -rf "$work"' EXIT

. benches/postgres.sh

fail() { echo "$*" >&2; exit 1; }

start_postgres() {
    local tries statements=
    make_cluster
    if [ -e "$("$bin/pg_config" --pkglibdir 2>/dev/null)/pg_stat_statements.so" ]; then statements=pg_stat_statements; fi
    (cd "$work/postgres" && exec "${as[@]}" "$bin/postgres" -D data -k "$work/postgres" -c listen_addresses= -c jit=off \
        -c max_connections=400 -c shared_buffers=256MB -c max_wal_size=4GB \
        -c shared_preload_libraries="$statements") >"$work/postgres.log" 2>&1 &
    postgres_pid=$!
    for tries in $(seq 100); do
        if "$bin/psql" -h "$work/postgres" -U postgres -Atqc 'create database porchlight' >"$work/answer" 2>&1; then break; fi
        sleep 0.1
    done
    "$bin/psql" -h "$work/postgres" -U postgres -Atqc 'select' porchlight || { tail "$work/postgres.log" >&2; fail "Postgres did not start after $tries checks"; }
    [ -z "$statements" ] || "$bin/psql" -h "$work/postgres" -U postgres -Atqc 'create extension pg_stat_statements' porchlight
}

[ -x "$PORCHLIGHT_BIN" ] || fail "$PORCHLIGHT_BIN is missing: cargo build --release"
PORCHLIGHT_BIN=$(realpath "$PORCHLIGHT_BIN")
ulimit -n "$(ulimit -Hn)"
start_postgres
export DATABASE_DIRECTORY="$work/postgres"
echo "$INSTANCES instances, $CLIENTS streams in $TEAMS teams, $EVENTS_PER_SECOND events/s; $(nproc) cores, $("$PORCHLIGHT_BIN" --version)"
node benches/rolling/rolling.mjs
