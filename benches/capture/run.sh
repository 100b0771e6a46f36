#!/usr/bin/env bash
# What watching costs the CRM, and how fast at what price its changes are published:
#
#   benches/capture/run.sh            everything, about four minutes
#   benches/capture/run.sh bulk       updates of 10,000 rows, compared with equal tables that are
#                                     not watched
#   benches/capture/run.sh rates      200 rows a second, one at a time, until they are in the log
#   benches/capture/run.sh receipt    the same, until a client has received them
#   benches/capture/run.sh viewers    the bytes of one change for a viewer, and the queries that viewers cause
#
# Everything runs on a separate Postgres with full durability.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${PORCHLIGHT_BIN:=target/release/porchlight}"
: "${PG_BIN_DIR:=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1)}"
: "${ROUNDS:=15}"  # bulk updates of each table
: "${SECONDS_AT_RATE:=20}" "${RATE:=200}"
: "${SECONDS_OF_RECEIPT:=30}" "${VIEWERS:=200}" "${SECONDS_OF_VIEWERS:=10}"
readonly SECRET="benches-only-secret-of-32-bytes-or-more"
readonly TEAMS=t0,t1,t2,t3,t4,t5,t6,t7,t8,t9
work=$(mktemp -d /tmp/porchlight-capture.XXXXXX) && chmod 755 "$work"
server_pid=
readers=()

main() {
    trap stop EXIT
    [ -x "$PORCHLIGHT_BIN" ] || { echo "$PORCHLIGHT_BIN is missing: cargo build --release" >&2; exit 1; }
    start_postgres
    start_porchlight
    psql -q <<<"$TABLES"
    local load
    [ $# -gt 0 ] || set -- bulk rates receipt viewers
    for load in "$@"; do "$load"; done
}

until_told() {
    until [ "$(psql -c 'select count(*) from porchlight.outbox')" = 0 ]; do sleep 0.2; done
}

rates() {
    until_told
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
    DATABASE_URL="postgres://postgres@localhost/postgres?host=$work" JWT_SECRET="$SECRET" \
        PORCHLIGHT_ADDR=127.0.0.1:0 PORCHLIGHT_STREAMS_PER_USER=1000 "$PORCHLIGHT_BIN" serve 2>"$work/porchlight.log" &
    server_pid=$!
    until grep -q 'listening on' "$work/porchlight.log"; do sleep 0.1; done
    address=$(sed -n 's|.*listening on \(http://[0-9.:]*\).*|\1|p' "$work/porchlight.log" | head -n 1)
    token=$(JWT_SECRET="$SECRET" "$PORCHLIGHT_BIN" token --user viewer --team "$TEAMS" --broker b 2>/dev/null)
}

stop() {
    [ ${#readers[@]} = 0 ] || kill "${readers[@]}" 2>/dev/null || true
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
create table bare_unwatched as select * from unwatched; alter table bare_unwatched add primary key (id);
create table bare as select * from unwatched; alter table bare add primary key (id);
select porchlight.watch('bare', module => 'listings', broker_column => 'broker_id',
    team_column => 'team_id', owner_column => 'agent_id', version_column => 'version',
    archived_column => 'archived_at', private_columns => '{commission}', hidden_columns => '{notes}');
vacuum analyze unwatched, listings, bare_unwatched, bare"

# Milliseconds of an update of 10,000 rows, commit included.
update_ms() {
    psql -c '\timing on' -c "update $1 set list_price = list_price + 1, version = version + 1,
        updated_at = clock_timestamp() where id <= 10000" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}

median() { sort -n | awk '{ at[NR] = $1 } END { print at[int((NR + 1) / 2)] }'; }

bulk() {
    compare "four indexes" unwatched listings
    compare "a primary key" bare_unwatched bare
}

compare() {
    local round table
    for round in $(seq "$ROUNDS"); do
        for table in "$2" "$3"; do
            psql -qc "vacuum $2, $3, porchlight.outbox" -c checkpoint
            until_told
            update_ms "$table" >>"$work/$table.ms"
        done
    done
    local without with
    without=$(median <"$work/$2.ms") with=$(median <"$work/$3.ms")
    awk -v what="$1" -v a="$without" -v b="$with" 'BEGIN {
        printf "10,000 rows, %s: %.0f ms unwatched, %.0f ms watched, %.2f times\n", what, a, b, b / a }'
}

# From the statement to the log, by the database's clock.
rate() {
    local since
    since=$(psql -c 'select clock_timestamp()')
    change_for "$SECONDS_AT_RATE"
    sleep 1
    psql -F ', ' -c "
        select '$RATE a second, $1: ' || count(*) || ' events, p50 '
            || round(percentile_cont(0.5) within group (order by ms)::numeric, 1) || ' ms, p99 '
            || round(percentile_cont(0.99) within group (order by ms)::numeric, 1) || ' ms, longest '
            || round(max(ms)::numeric, 1) || ' ms'
        from (select extract(epoch from created_at - (changes ->> 'updatedAt')::timestamptz) * 1000 as ms
              from porchlight.events where type = 'listing:updated' and created_at > '$since') e"
}

# One row at a time, with a timestamp in the statement itself.
change_for() {
    echo '\set id random(1, 50000)
update listings set beds = beds + 1, updated_at = clock_timestamp() where id = :id;' >"$work/one.sql"
    "$PG_BIN_DIR/pgbench" -h "$work" -U postgres -n -c 4 -R "$RATE" -T "$1" \
        -f "$work/one.sql" postgres 2>/dev/null | sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p'
}

# From the change, commit included, until a client has the line, by the clock of this machine.
receipt() {
    until_told
    curl -sN -H "Authorization: Bearer $token" "$address/stream?types=listing:*&named=false" |
        while IFS= read -r line; do
            [[ $line != *'"changes"'* ]] || printf '%s\t%s\n' "$EPOCHREALTIME" "${line#data: }"
        done >"$work/received" &
    readers+=($!)
    sleep 1
    change_for "$SECONDS_OF_RECEIPT" >"$work/changed"
    sleep 1
    psql -qF ', ' <<SQL
create temp table received (at numeric, event text);
\copy received from '$work/received' with (format csv, delimiter E'\t', quote E'\x01')
select '$RATE a second, from the change to a client: ' || count(*) || ' of $(<"$work/changed") received, p50 '
    || round(percentile_cont(0.5) within group (order by ms)::numeric, 1) || ' ms, p99 '
    || round(percentile_cont(0.99) within group (order by ms)::numeric, 1) || ' ms, longest '
    || round(max(ms)::numeric, 1) || ' ms'
from (select (at - extract(epoch from (event::json -> 'changes' ->> 'updatedAt')::timestamptz)) * 1000 as ms
      from received) r
SQL
}

viewers() {
    until_told
    view 1
    sleep 1
    local before
    before=$(wc -c <"$work/view.1")
    psql -qc "update listings set list_price = list_price - 5000, version = version + 1, updated_at = now()
        where id = 7"
    until [ "$(wc -c <"$work/view.1")" != "$before" ]; do sleep 0.1; done
    echo "one record of 50 changes: $(($(wc -c <"$work/view.1") - before)) bytes for a viewer"
    echo "1 viewer: $(queries)"
    view "$((VIEWERS - 1))"
    sleep 2
    echo "$VIEWERS viewers: $(queries)"
}

# Opens so many more streams of the teams' records; the output of the first is stored.
view() {
    local n
    for n in $(seq "$1"); do
        printf 'url = "%s/stream?types=listing:*"\noutput = "%s"\n' "$address" "$work/view.$n"
    done >"$work/view.conf"
    curl -sN -Z --parallel-immediate --parallel-max 300 -H "Authorization: Bearer $token" -K "$work/view.conf" 2>/dev/null &
    readers+=($!)
}

# Transactions of the database without the changes themselves; idle sessions report theirs late.
queries() {
    local before after changes
    sleep 2
    before=$(psql -c 'select pg_stat_clear_snapshot(), xact_commit from pg_stat_database where datname = current_database()')
    changes=$(change_for "$SECONDS_OF_VIEWERS")
    sleep 2
    after=$(psql -c 'select pg_stat_clear_snapshot(), xact_commit from pg_stat_database where datname = current_database()')
    awk -v t="$((${after#|} - ${before#|} - changes))" -v c="$changes" -v s="$SECONDS_OF_VIEWERS" \
        'BEGIN { printf "%d transactions beside %d changes in %d s\n", t, c, s }'
}

main "$@"
