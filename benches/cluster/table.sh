#!/usr/bin/env bash
# Prints the tables of docs/SCALING.md: 1, 3 and 5 instances with and without Redis, 5 with twice the rate, and the faults
# of Redis. About 25 minutes on an otherwise idle machine. Settings are those of run.sh; 5 instances are loaded for
# SECONDS_OF_LOAD, the others for SHORT_LOAD. RATE is what two cores carry within 100 ms.
set -euo pipefail
cd "$(dirname "$0")"
export RATE=${RATE:-1000} SECONDS_OF_LOAD=${SECONDS_OF_LOAD:-300}
: "${SHORT_LOAD:=60}"
has_header=

# The row, under the header if there is none yet.
row() {
    ./run.sh "$@" 2>&1 | awk -v without="$has_header" 'without && (/^\| instances \|/ || /^\|---/) { next } 1' || echo "FAILED: run.sh $*"
    has_header=yes
}

for instances in 1 3; do
    SECONDS_OF_LOAD=$SHORT_LOAD row "$instances" postgres
    SECONDS_OF_LOAD=$SHORT_LOAD row "$instances" redis
done
row 5 postgres
row 5 redis
SECONDS_OF_LOAD=$SHORT_LOAD RATE=$((2 * RATE)) row 5 redis
has_header=
echo
row 5 redis --faults
