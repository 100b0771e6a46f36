#!/usr/bin/env bash
# Measures how long a revocation takes over two instances: from `POST /sessions/revoke` at one of them to the end of a
# stream at each of them. Then each of them must refuse the token. Once with notices between the instances, and once
# without: what sends them is hidden, so that only polling is left.
#
#   benches/revocation/run.sh                     ROUNDS=100 revocations each way
#   PORCHLIGHT_BIN=PATH benches/revocation/run.sh
#
# It fails if the p99 is a second or more, or if a token is not refused.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${ROUNDS:=100}"
work=$(mktemp -d) && chmod 755 "$work" # the embedded Postgres runs as another user
. benches/service.sh
first_pid= first_port= failed=0

main() {
    trap 'stop; rm -rf "$work"' EXIT
    [ -x "$PORCHLIGHT_BIN" ] || fail "$PORCHLIGHT_BIN is missing: cargo build --release"
    psql=$(command -v psql || compgen -G '/usr/lib/postgresql/*/bin/psql' | head -n 1)
    [ -n "$psql" ] || fail "psql is missing: apt-get install postgresql-client"
    start
    measure "with notices"
    # New connections do not find the function that sends notices.
    "$psql" -h "$work/data/socket" -U postgres -d porchlight -XAtqc \
        "create schema hiding;
         create function hiding.pg_notify(text, text) returns void language sql as '';
         alter database porchlight set search_path = hiding, pg_catalog, public"
    stop
    start
    measure "by polling alone"
    exit "$failed"
}

start() {
    # Revocations come faster than one user may send them.
    start_service "$PORCHLIGHT_BIN" "$work/first.log" PORCHLIGHT_USER_RATE=0
    first_pid=$server_pid first_port=$port
    start_service "$PORCHLIGHT_BIN" "$work/second.log" PORCHLIGHT_USER_RATE=0 \
        DATABASE_URL="postgres://postgres@localhost/porchlight?host=$work/data/socket"
}

measure() {
    taskset -c "$CLIENT_CORE" python3 benches/revocation/revocation.py \
        --name "$1" --rounds "$ROUNDS" --ports "$first_port" "$port" || failed=1
}

# The first instance stops last, with its Postgres.
stop() {
    stop_service
    server_pid=$first_pid first_pid=
    stop_service
}

main "$@"
