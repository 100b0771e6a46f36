#!/usr/bin/env bash
# Measures several instances around one Postgres, with nginx in front:
#
#   benches/cluster/run.sh [INSTANCES] [postgres|redis] [--faults]      default: 3 redis
#
# STREAMS streams are spread over TEAMS teams (20 streams each by default), and RATE events a second of PAYLOAD bytes go
# to one team each, for SECONDS_OF_LOAD seconds. There is a generator for each instance: it opens its streams at that instance and publishes at
# the others, so that every event is received at another instance than it was posted at. Streams and requests go through
# nginx. It prints a row of a table; percentiles are those of the worst generator.
#
# The run fails unless every event that was acknowledged arrived at each stream of its team, once and in order, warm-up
# included, and unless something arrived while it was measured.
#
# With STATEMENTS=yes it also prints what Postgres was asked, by statement.
#
# With --faults, Redis is killed, stopped, flushed, cut off from half of the instances, and delayed by 200 ms meanwhile.
# For each fault it prints how slow events became, and how long after its end they were not within LIMIT_MS again.
#
# Everything shares the machine: nothing is pinned. It needs nginx, jq, and redis-server for `redis`; with --faults also
# `cargo build --release -p bench --example faulty_proxy`.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${STREAMS:=10000}" "${RATE:=2000}" "${PAYLOAD:=400}" "${SECONDS_OF_LOAD:=60}"
: "${FAULT_SECONDS:=20}" "${REST_SECONDS:=20}" "${LIMIT_MS:=100}"
: "${SERVER_CORE:=$(cut -d ' ' -f 2 < <(taskset -pc $$ | sed 's/.*: / /'))}" "${CLIENT_CORE:=$SERVER_CORE}"
: "${FAULTY_PROXY:=target/release/examples/faulty_proxy}"
readonly WARMUP=5 SLICE_MS=100
work=$(mktemp -d) && chmod 755 "$work" # Postgres runs as another user
. benches/service.sh
. benches/postgres.sh
postgres_pid= nginx_pid= redis_pid= proxy_pid= watch_pid=
instance_pids=() instance_ports=() generator_pids=() taken=' '
instances=3 backplane=redis with_faults=

main() {
    local argument
    for argument; do
        case $argument in
            [1-9]) instances=$argument ;;
            postgres | redis) backplane=$argument ;;
            --faults) with_faults=yes ;;
            *) fail "unknown argument: $argument" ;;
        esac
    done
    [ -z "$with_faults" ] || [ "$backplane" = redis ] || fail 'the faults are those of Redis'
    : "${TEAMS:=$((STREAMS / 20 > instances ? STREAMS / 20 : instances))}"
    streams_each=$((STREAMS / instances)) teams_each=$((TEAMS / instances))
    [ "$teams_each" -gt 0 ] && [ "$streams_each" -ge "$teams_each" ] ||
        fail "$STREAMS streams and $TEAMS teams at $instances instances leave teams without streams, or instances without teams"
    [ -z "$with_faults" ] || SECONDS_OF_LOAD=$((5 * (FAULT_SECONDS + REST_SECONDS) + 10))
    [ -x "$PORCHLIGHT_BIN" ] || fail "$PORCHLIGHT_BIN is missing: cargo build --release"
    trap stop_all EXIT
    ulimit -n "$(ulimit -Hn)"
    start_postgres
    [ "$backplane" = postgres ] || start_redis
    start_instances
    start_nginx
    start_generators
    until_open
    sleep $((WARMUP + 2))
    sample "$work/before"
    # The generators must not have ended when they are sampled.
    if [ -n "$with_faults" ]; then faults; else sleep $((SECONDS_OF_LOAD > 9 ? SECONDS_OF_LOAD * 3 / 4 - 3 : 3)); fi
    sample "$work/after"
    wait_for_generators
    report
    [ -z "${STATEMENTS:-}" ] || report_statements
    [ -z "$with_faults" ] || report_faults
    check
}

# A port that no earlier call has returned.
new_port() {
    until port=$(free_port) && [[ $taken != *" $port "* ]]; do :; done
    taken+="$port "
}

# ---- the servers ----------------------------------------------------------------------------

start_postgres() {
    make_cluster
    (cd "$work/postgres" && exec "${as[@]}" "$bin/postgres" -D data -k "$work/postgres" -c listen_addresses= -c jit=off \
        -c max_connections=400 -c shared_buffers=256MB -c max_wal_size=4GB -c shared_preload_libraries="$(statements_library "$bin")") \
        >"$work/postgres.log" 2>&1 &
    postgres_pid=$!
    psql=$(command -v psql || echo "$bin/psql")
    until sql 'select 1' postgres >"$work/answer" 2>&1; do
        kill -0 "$postgres_pid" 2>/dev/null || { tail "$work/postgres.log" >&2; fail 'Postgres did not start'; }
        sleep 0.1
    done
    sql 'create database porchlight' postgres
    [ -z "$(statements_library "$bin")" ] || sql 'create extension pg_stat_statements'
}

# What counts queries, if it is installed.
statements_library() {
    if [ -e "$("$1/pg_config" --pkglibdir 2>/dev/null || echo "${1%/bin}/lib")/pg_stat_statements.so" ]; then echo pg_stat_statements; fi
}

sql() { "$psql" -h "$work/postgres" -U postgres -d "${2:-porchlight}" -Atqc "$1"; }

start_redis() {
    new_port
    redis_port=$port
    run_redis
}

run_redis() {
    redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
    redis_pid=$!
    until redis-cli -p "$redis_port" ping >"$work/answer" 2>&1; do sleep 0.1; done
}

start_instances() {
    local n settings
    if [ -n "$with_faults" ]; then start_proxy; fi
    for ((n = 0; n < instances; n++)); do
        settings=("DATABASE_URL=postgres://postgres@localhost/porchlight?host=$work/postgres")
        if [ -n "$with_faults" ]; then
            settings+=("PORCHLIGHT_BACKPLANE=redis://127.0.0.1:${proxy_ports[n]}")
        elif [ "$backplane" = redis ]; then
            settings+=("PORCHLIGHT_BACKPLANE=redis://127.0.0.1:$redis_port")
        fi
        start_service "$PORCHLIGHT_BIN" "$work/instance-$n.log" "${settings[@]}"
        instance_pids+=("$server_pid") instance_ports+=("$port")
        server_pid=
    done
}

start_proxy() {
    local n addresses=()
    [ -x "$FAULTY_PROXY" ] || fail "$FAULTY_PROXY is missing: cargo build --release -p bench --example faulty_proxy"
    proxy_ports=()
    for ((n = 0; n < instances; n++)); do
        new_port
        proxy_ports+=("$port") addresses+=("127.0.0.1:$port")
    done
    mkfifo "$work/network"
    "$FAULTY_PROXY" "127.0.0.1:$redis_port" "${addresses[@]}" <"$work/network" 2>"$work/proxy.log" &
    proxy_pid=$!
    exec {network}>"$work/network"
}

# For each instance, a port for its streams and a port for requests to the others.
start_nginx() {
    local n m others
    stream_ports=() post_ports=()
    {
        echo "worker_processes 2; worker_rlimit_nofile $(ulimit -n); pid $work/nginx.pid; error_log $work/nginx.log; daemon off;"
        # A proxied stream needs two connections.
        echo "events { worker_connections $(($(ulimit -n) < 2 * STREAMS + 2000 ? $(ulimit -n) : 2 * STREAMS + 2000)); }"
        echo "http { access_log off; keepalive_requests 1000000; proxy_http_version 1.1; proxy_set_header Connection '';"
        echo "proxy_set_header Host \$http_host;"
        echo "proxy_buffering off; proxy_read_timeout 1h;"
        for n in body proxy fastcgi uwsgi scgi; do echo "${n/body/client_body}_temp_path $work/$n;"; done
        for ((n = 0; n < instances; n++)); do
            others=
            for ((m = 0; m < instances; m++)); do
                [ "$m" = "$n" ] && [ "$instances" != 1 ] || others+="server 127.0.0.1:${instance_ports[m]}; "
            done
            echo "upstream one$n { server 127.0.0.1:${instance_ports[n]}; } upstream others$n { $others keepalive 64; }"
            new_port && stream_ports+=("$port")
            echo "server { listen 127.0.0.1:$port reuseport backlog=4096; location / { proxy_pass http://one$n; } }"
            new_port && post_ports+=("$port")
            echo "server { listen 127.0.0.1:$port reuseport; location / { proxy_pass http://others$n; } }"
        done
        echo '}'
    } >"$work/nginx.conf"
    nginx -p "$work" -c "$work/nginx.conf" -e "$work/nginx.log" 2>"$work/nginx.err" &
    nginx_pid=$!
    until curl -sf -o "$work/answer" "http://127.0.0.1:${stream_ports[0]}/health/live"; do
        kill -0 "$nginx_pid" 2>/dev/null || { cat "$work/nginx.err" >&2; fail 'nginx did not start'; }
        sleep 0.1
    done
}

# ---- the load -------------------------------------------------------------------------------

start_generators() {
    local n
    for ((n = 0; n < instances; n++)); do
        "$PORCHLIGHT_BIN" bench --json --secret "$SECRET" --names "g$n" --url "http://127.0.0.1:${stream_ports[n]}" \
            --publish-url "http://127.0.0.1:${post_ports[n]}" -n "$streams_each" -t "$teams_each" \
            -r "$(awk -v rate="$RATE" -v n="$instances" 'BEGIN { print rate / n }')" -p "$PAYLOAD" -s "$SECONDS_OF_LOAD" \
            --warmup "$WARMUP" --timeline "$SLICE_MS" >"$work/generator-$n.json" 2>"$work/generator-$n.log" &
        generator_pids+=($!)
    done
}

until_open() {
    local n open
    while true; do
        open=0
        for ((n = 0; n < instances; n++)); do
            open=$((open + $(metric "$n" porchlight_streams_open)))
            kill -0 "${generator_pids[n]}" 2>/dev/null || { cat "$work/generator-$n.log" >&2; fail 'a generator failed'; }
        done
        [ "$open" -lt $((streams_each * instances)) ] || return 0
        sleep 0.5
    done
}

# The sum of a metric of an instance over its labels.
metric() {
    curl -s "http://127.0.0.1:${instance_ports[$1]}/metrics" |
        awk -v name="$2" 'index($1, name) == 1 && $1 ~ "^" name "([{]|$)" { n += $2 } END { printf "%d\n", n }'
}

wait_for_generators() {
    local n
    for ((n = 0; n < instances; n++)); do
        wait "${generator_pids[n]}" || { cat "$work/generator-$n.log" >&2; fail 'a generator failed'; }
    done
    generator_pids=()
}

# ---- the faults -----------------------------------------------------------------------------

faults() {
    watch_health &
    watch_pid=$!
    fault killed 'kill -KILL "$redis_pid"; wait "$redis_pid" 2>/dev/null || true' run_redis
    fault stopped 'kill -STOP "$redis_pid"' 'kill -CONT "$redis_pid"'
    fault flushed 'redis-cli -p "$redis_port" flushall' :
    fault "cut off from $(((instances + 1) / 2)) instances" "echo partition $(((instances + 1) / 2)) >&$network" "echo free >&$network"
    fault 'delayed by 200 ms' "echo delay 200 >&$network" "echo free >&$network"
}

# fault NAME BEGIN END: notes when it began and ended.
fault() {
    local from
    from=$(date +%s.%N)
    eval "$2" >"$work/answer"
    sleep "$FAULT_SECONDS"
    eval "$3" >"$work/answer"
    jq -nc --arg name "$1" --argjson from "$from" --argjson to "$(date +%s.%N)" '{$name, $from, $to}' >>"$work/faults.json"
    sleep "$REST_SECONDS"
}

# Twice a second: how many instances say that they are connected to Redis.
watch_health() {
    local urls=() n
    for ((n = 0; n < instances; n++)); do urls+=("http://127.0.0.1:${instance_ports[n]}/health/ready"); done
    while sleep 0.5; do
        n=$(curl -s "${urls[@]}" | grep -o '"backplane" *: *"connected"' | wc -l) || true
        echo "{\"at\": $(date +%s.%N), \"connected\": $n}"
    done >"$work/health.json"
}

# ---- the figures ----------------------------------------------------------------------------

# Counters, as JSON.
sample() {
    local n sent=0 received=0 gaps=0 queries=0 redis_bytes=0
    for ((n = 0; n < instances; n++)); do
        sent=$((sent + $(metric "$n" porchlight_backplane_sent_total)))
        received=$((received + $(metric "$n" porchlight_backplane_received_total)))
        gaps=$((gaps + $(metric "$n" porchlight_follower_gaps_total)))
        queries=$((queries + $(metric "$n" porchlight_follower_queries_total)))
    done
    if [ -n "$redis_pid" ]; then
        redis_bytes=$(redis-cli -p "$redis_port" info stats | awk -F '[:\r]' '$1 == "total_net_output_bytes" { print $2 }')
    fi
    jq -n --argjson at "$(date +%s.%N)" --argjson transactions "$(sql "select xact_commit + xact_rollback from pg_stat_database where datname = 'porchlight'")" \
        --argjson statements "$(sql 'select sum(calls) from pg_stat_statements where toplevel' 2>/dev/null || echo null)" \
        --argjson sent "$sent" --argjson received "$received" --argjson gaps "$gaps" --argjson queries "$queries" \
        --argjson redisBytes "${redis_bytes:-0}" --argjson service "$(cpu "${instance_pids[@]}")" \
        --argjson postgres "$(cpu "$postgres_pid" $(pgrep -P "$postgres_pid"))" --argjson redis "$(cpu ${redis_pid:-})" \
        --argjson nginx "$(cpu $(pgrep -P "$nginx_pid"))" --argjson load "$(cpu "${generator_pids[@]}")" \
        '$ARGS.named' >"$1"
    [ -z "${STATEMENTS:-}" ] || sql "select coalesce(json_object_agg(query, calls), '{}') from (select query, sum(calls) as calls
        from pg_stat_statements where toplevel group by 1) as s" >"$1.statements"
}

# The CPU of these processes so far, in ticks of 10 ms.
cpu() {
    local pid total=0
    for pid; do
        total=$((total + $(awk '{ print $14 + $15 }' "/proc/$pid/stat" 2>/dev/null || echo 0)))
    done
    echo "$total"
}

report() {
    local n bytes=0
    for n in "${instance_pids[@]}"; do bytes=$((bytes + $(awk '$1 == "Pss:" { print $2 * 1024 }' "/proc/$n/smaps_rollup"))); done
    jq -rn --arg instances "$instances" --arg backplane "$backplane" --argjson bytes "$bytes" \
        --argjson limit "$LIMIT_MS" --argjson slice "$SLICE_MS" \
        --slurpfile before "$work/before" --slurpfile after "$work/after" --slurpfile reports <(cat "$work"/generator-*.json) '
        def tenths: . * 10 | round / 10;
        ($after[0] | with_entries(.value = ((.value // 0) - ($before[0][.key] // 0)))) as $d | ($d.at) as $s
        | def rate(n): n / $s | round; def cores(n): n / $s | round / 100;
        [$reports[].deliveries] as $got | [$reports[].publishes] as $sent
        | "| instances | between them | streams | events/s | deliveries/s | received of due | lost | repeated | out of order | POST to receipt: p50 / p99 / max ms | POST to answer: p50 / p99 ms | transactions/s, queries/s in Postgres | queries/s of followers, gaps/s | Redis: messages/s in, out; MB/s out | cores: service, Postgres, Redis, nginx, generators | service PSS, MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        ("| " + ([$instances, $backplane, ([$reports[].connects.connected] | add), ([$sent[].acceptedPerSecond] | add | round),
            ([$got[].perSecond] | add | round), "\([$got[].delivered] | add) of \([$got[].due] | add)", ([$got[].missing] | add), ([$got[].repeated] | add), ([$got[].outOfOrder] | add),
            "\([$got[].latency.p50Ms] | max | tenths) / \([$got[].latency.p99Ms] | max | tenths) / \([$got[].latency.maxMs] | max | tenths)",
            "\([$sent[].answer.p50Ms] | max | tenths) / \([$sent[].answer.p99Ms] | max | tenths)",
            "\(rate($d.transactions)), \(if $after[0].statements then rate($d.statements) else "not counted" end)",
            "\(rate($d.queries)), \($d.gaps / $s | tenths)",
            "\(rate($d.sent)), \(rate($d.received)); \($d.redisBytes / $s / 1e6 | tenths)",
            ([$d.service, $d.postgres, $d.redis, $d.nginx, $d.load] | map(cores(.) | tostring) | join(", ")),
            ($bytes / 1e6 | round)] | map(tostring) | join(" | ")) + " |"),
        ($reports[] | select(.lostStreams > 0) | "STREAMS LOST: \(.lostStreams)"),
        ($sent[] | select(.refused + .unanswered + .unsent > 0) | "NOT PUBLISHED: refused \(.refused), unanswered \(.unanswered), unsent \(.unsent): \(.firstProblem)"),
        ([$reports[].timeline[] | select(.p99Ms > $limit) | .seconds * 10 | floor / 10] | unique
            | select(length > 0) | "SLOW: \(length) slices of \($slice) ms with a p99 over \($limit) ms, the first and last \(first) and \(last) s after the start"),
        ($reports[].warnings[] | "WARNING: \(.)")'
}

# Fails unless what was acknowledged is what each stream received.
check() {
    jq -en --slurpfile reports <(cat "$work"/generator-*.json) '[$reports[]
        | .deliveries as $got | .publishes as $sent
        | $got.perSecond > 0 and $got.due > 0 and .connects.failed == 0 and .lostStreams == 0
            and $got.missing + $got.repeated + $got.outOfOrder + $got.misrouted == 0
            and $sent.refused + $sent.unanswered == 0 and $got.delivered == $got.due] | all' >"$work/answer" ||
        fail 'NOT EXACT: acknowledged events were lost, repeated, out of order or misrouted, or nothing was received'
}

# Statements a second.
report_statements() {
    echo
    echo '| statements/s | statement |'
    echo '|---|---|'
    jq -rn --slurpfile before "$work/before.statements" --slurpfile after "$work/after.statements" \
        --argjson seconds "$(jq -n --slurpfile b "$work/before" --slurpfile a "$work/after" '$a[0].at - $b[0].at')" '
        [$after[0] | to_entries[] | .value = (.value - ($before[0][.key] // 0)) / $seconds | select(.value >= 0.1)]
        | sort_by(-.value)[] | "| \(.value * 10 | round / 10) | `\(.key | gsub("\\s+"; " ") | .[:110] | gsub("[|]"; "\\|"))` |"'
}

# For each fault, the slices from its beginning to the next fault.
report_faults() {
    kill "$watch_pid" && wait "$watch_pid" || true
    watch_pid=
    jq -rn --argjson limit "$LIMIT_MS" --argjson slice "$SLICE_MS" --arg instances "$instances" \
        --slurpfile faults "$work/faults.json" --slurpfile health "$work/health.json" \
        --slurpfile reports <(cat "$work"/generator-*.json) '
        def tenths: . * 10 | round / 10;
        def worst: "\(map(.p99Ms) | max // 0 | tenths), \(map(.maxMs) | max // 0 | tenths)";
        [$reports[] | .beganAt as $began | .timeline[] | .at = $began + .seconds] as $slices
        | "", "| Redis is | highest p99 of 0.1 s, and longest wait, during it: ms | the same after it | instances connected meanwhile | after its end, events within \($limit) ms: s | all connected: s |",
        "|---|---|---|---|---|---|",
        (range($faults | length) as $i | $faults[$i] as $f | ($faults[$i + 1].from // 1e12) as $next
        | [$slices[] | select(.at >= $f.from and .at < $next)] as $mine
        | [$mine[] | select(.at < $f.to)] as $during | [$mine[] | select(.at >= $f.to)] as $later
        | [$health[] | select(.at >= $f.from and .at < $next)] as $looks
        | [$later[] | select(.p99Ms > $limit) | .at + $slice / 1000 - $f.to] as $slow
        | "| \($f.name) | \($during | worst) | \($later | worst) | \(
            [$looks[] | select(.at < $f.to) | .connected] | min) of \($instances) | \(
            # Then there is no slow one for a second.
            [0, $slow[]] | map(select(. as $over | all($slow[]; . <= $over or . > $over + 1))) | first | tenths) | \(
            [0, ($looks[] | select(.at >= $f.to and .connected < ($instances | tonumber)) | .at - $f.to)] | max | tenths) |")'
}

stop_all() {
    local pid
    for pid in $watch_pid "${generator_pids[@]}" $nginx_pid $server_pid "${instance_pids[@]}" $proxy_pid; do kill "$pid" 2>/dev/null || true; done
    [ -z "$redis_pid" ] || kill -KILL "$redis_pid" 2>/dev/null || true
    for pid in "${instance_pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    [ -z "$postgres_pid" ] || kill -INT "$postgres_pid" 2>/dev/null || true
    wait 2>/dev/null || true
    [ -n "${KEEP:-}" ] && echo "kept: $work" >&2 || rm -rf "$work"
}

main "$@"
