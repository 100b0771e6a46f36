# Makes a cluster of Postgres in "$work/postgres". Benchmarks with several instances source it after they have made `work`.
bin=${PG_BIN_DIR:-$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/postgres' | tail -n 1)")}
as=() # what Postgres runs with: it refuses to run as root

make_cluster() {
    mkdir "$work/postgres"
    if [ "$(id -u)" = 0 ]; then
        chown postgres "$work/postgres"
        as=(setpriv --reuid=postgres --regid=postgres --init-groups)
    fi
    (cd "$work/postgres" && "${as[@]}" "$bin/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-instructions >/dev/null)
}
