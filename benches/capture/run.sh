#!/usr/bin/env bash
# What watching costs the CRM, and how fast it is told: a table is updated 10,000 rows at a time
# beside an equal one that is not watched, then 200 rows a second, one at a time.
#
#   benches/capture/run.sh
#
# Everything runs on a Postgres of its own with full durability.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${PORCHLIGHT_BIN:=target/release/porchlight}"
: "${PG_BIN_DIR:=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1)}"
: "${ROUNDS:=15}"  # bulk updates of each table
: "${SECONDS_AT_RATE:=20}" "${RATE:=200}"
work=$(mktemp -d /tmp/porchlight-capture.XXXXXX) && chmod 755 "$work"
server_pid=

main() {
    trap stop EXIT
    [ -x "$PORCHLIGHT_BIN" ] || { echo "$PORCHLIGHT_BIN is missing: cargo build --release" >&2; exit 1; }
    start_postgres
    start_porchlight
    psql -q <<<"$TABLES"
    bulk
    until [ "$(psql -c 'select count(*) from porchlight.outbox')" = 0 ]; do sleep 0.2; done
    rate "nobody else at work"
    psql -qc "begin; select porchlight.emit('test:long', '{\"broker\": \"b\"}'); select pg_sleep($((SECONDS_AT_RATE + 5)))" >/dev/null &
    sleep 1
    rate "a transaction held open"
}

start_postgres() {
    as_server=()
    if [ "$(id -u)" = 0 ]; then # Postgres refuses root
        chown postgres "$work"
        as_server=(runuser -u postgres --)
    fi
    (cd "$work" && "${as_server[@]}" "$PG_BIN_DIR/initdb" -D "$work/data" -U postgres -A trust -E UTF8 >/dev/null)
    (cd "$work" && "${as_server[@]}" "$PG_BIN_DIR/pg_ctl" -D "$work/data" -l "$work/log" -w start \
        -o "-k $work -c listen_addresses=''" >/dev/null)
}

start_porchlight() {
    DATABASE_URL="postgres://postgres@localhost/postgres?host=$work" JWT_SECRET=benches-only-secret-of-32-bytes \
        PORCHLIGHT_ADDR=127.0.0.1:0 "$PORCHLIGHT_BIN" serve 2>"$work/porchlight.log" &
    server_pid=$!
    until grep -q 'listening on' "$work/porchlight.log"; do sleep 0.1; done
}

stop() {
    [ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true
    (cd "$work" && "${as_server[@]}" "$PG_BIN_DIR/pg_ctl" -D "$work/data" -m immediate stop >/dev/null) || true
    rm -rf "$work"
}

psql() { "$PG_BIN_DIR/psql" -h "$work" -U postgres -d postgres -XAt -v ON_ERROR_STOP=1 "$@"; }

readonly TABLES="
create table unwatched (id int primary key, broker_id text not null default 'b', team_id text,
    agent_id text, version int not null default 1, archived_at timestamptz, address text, city text,
    list_price numeric, commission numeric, beds int, meta jsonb, tags text[], notes text,
    created_at timestamptz default now(), updated_at timestamptz);
create index on unwatched (broker_id, team_id); create index on unwatched (agent_id);
create index on unwatched (city, list_price);
create table listings (like unwatched including all);
insert into unwatched (id, team_id, agent_id, address, city, list_price, commission, beds, meta, tags, notes)
    select n, 't' || n % 10, 'u' || n % 50, n || ' Main Street', 'City ' || n % 100, 100000 + n, n, n % 6,
        '{\"source\": \"mls\"}', '{pool,garden}', 'note ' || n from generate_series(1, 50000) n;
insert into listings select * from unwatched;
select porchlight.watch('listings', module => 'listings', broker_column => 'broker_id',
    team_column => 'team_id', owner_column => 'agent_id', version_column => 'version',
    archived_column => 'archived_at', private_columns => '{commission}', hidden_columns => '{notes}');
vacuum analyze unwatched, listings"

# Milliseconds that an update of 10,000 rows takes, commit included.
update_ms() {
    psql -c '\timing on' -c "update $1 set list_price = list_price + 1, version = version + 1,
        updated_at = clock_timestamp() where id <= 10000" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}

median() { sort -n | awk '{ at[NR] = $1 } END { print at[int((NR + 1) / 2)] }'; }

bulk() {
    local round table
    for round in $(seq "$ROUNDS"); do
        for table in unwatched listings; do
            psql -qc 'vacuum unwatched, listings, porchlight.outbox' -c checkpoint
            until [ "$(psql -c 'select count(*) from porchlight.outbox')" = 0 ]; do sleep 0.2; done
            update_ms "$table" >>"$work/$table.ms"
        done
    done
    local without with
    without=$(median <"$work/unwatched.ms") with=$(median <"$work/listings.ms")
    awk -v a="$without" -v b="$with" 'BEGIN {
        printf "10,000 rows: %.0f ms unwatched, %.0f ms watched, %.2f times\n", a, b, b / a }'
}

# From the statement to its place in the log, by the database's clock.
rate() {
    local since
    since=$(psql -c 'select clock_timestamp()')
    echo '\set id random(1, 50000)
update listings set beds = beds + 1, updated_at = clock_timestamp() where id = :id;' >"$work/one.sql"
    "$PG_BIN_DIR/pgbench" -h "$work" -U postgres -n -c 4 -R "$RATE" -T "$SECONDS_AT_RATE" \
        -f "$work/one.sql" postgres >/dev/null 2>&1
    sleep 1
    psql -F ', ' -c "
        select '$RATE a second, $1: ' || count(*) || ' events, p50 '
            || round(percentile_cont(0.5) within group (order by ms)::numeric, 1) || ' ms, p99 '
            || round(percentile_cont(0.99) within group (order by ms)::numeric, 1) || ' ms, longest '
            || round(max(ms)::numeric, 1) || ' ms'
        from (select extract(epoch from created_at - (changes ->> 'updatedAt')::timestamptz) * 1000 as ms
              from porchlight.events where type = 'listing:updated' and created_at > '$since') e"
}

main
