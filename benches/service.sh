# Starts a service with a Postgres of its own on one core. Benchmarks source it after they have made `work`.
readonly SECRET="benches-only-secret-of-32-bytes-or-more"
: "${PORCHLIGHT_BIN:=target/release/porchlight}"
: "${SERVER_CORE:=0}" "${CLIENT_CORE:=1}"
server_pid= port=

fail() { echo "$*" >&2; exit 1; }

free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)); (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

# start_service PROGRAM LOG [SETTING=VALUE ...]
start_service() {
    local program=$1 log=$2 tries
    shift 2
    port=$(free_port)
    env -u DATABASE_URL PORCHLIGHT_ADDR="127.0.0.1:$port" JWT_SECRET="$SECRET" PORCHLIGHT_DATA_DIR="$work/data" "$@" \
        taskset -c "$SERVER_CORE" "$program" serve >"$log" 2>&1 &
    server_pid=$!
    for tries in $(seq 600); do
        kill -0 "$server_pid" 2>/dev/null || break
        if curl -sf -o "$work/answer" "http://127.0.0.1:$port/health/ready"; then return; fi
        sleep 0.1
    done
    tail "$log" >&2
    fail "the service did not start after $tries checks"
}

stop_service() {
    [ -n "$server_pid" ] || return 0
    kill "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
    server_pid=
}
