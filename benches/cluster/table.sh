#!/usr/bin/env bash
# Prints the tables of docs/SCALING.md: 1, 3 and 5 instances with and without Redis, then the faults of Redis. About 25
# minutes on an otherwise idle machine, with a binary of a release build. Settings are those of run.sh;
# SECONDS_OF_LOAD is the load of 5 instances, the others have SHORT_LOAD.
set -euo pipefail
cd "$(dirname "$0")"
: "${SECONDS_OF_LOAD:=300}" "${SHORT_LOAD:=60}"
seen_header=

# Without the header, if it was printed before.
rows() {
    SECONDS_OF_LOAD=$seconds ./run.sh "$@" 2>&1 | awk -v seen="$seen_header" 'seen && (/^\| instances \|/ || (NR == 2 && /^\|---/)) { next } 1' ||
        echo "FAILED: run.sh $*"
    seen_header=yes
}

for instances in 1 3 5; do
    if [ "$instances" = 5 ]; then seconds=$SECONDS_OF_LOAD; else seconds=$SHORT_LOAD; fi
    rows "$instances" postgres
    rows "$instances" redis
done
seen_header=
rows 5 redis --faults
