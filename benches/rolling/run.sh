#!/usr/bin/env bash
# A rolling restart behind each balancer of `deploy`: instances stop and start one after the other, while clients hold streams
# and events are published through the balancer. Prints what was lost, repeated or out of order, how long a client had no
# stream at most, and what the restart cost the database.
#
#   benches/rolling/run.sh                         five instances, 2,000 streams in 100 teams, 200 events a second: five minutes
#   BALANCERS=nginx CLIENTS=500 benches/rolling/run.sh
#
# One more instance only keeps the database. Needs `scripts/setup --test`, for the balancers and for packages of web.
set -euo pipefail
cd "$(dirname "$0")/../.."

export PORCHLIGHT_BIN=${PORCHLIGHT_BIN:-target/release/porchlight}
export INSTANCES=${INSTANCES:-5} CLIENTS=${CLIENTS:-2000} TEAMS=${TEAMS:-100} EVENTS_PER_SECOND=${EVENTS_PER_SECOND:-200}
export SECONDS_QUIET=${SECONDS_QUIET:-20} SECONDS_BETWEEN=${SECONDS_BETWEEN:-5} BALANCERS=${BALANCERS:-nginx haproxy caddy}

[ -x "$PORCHLIGHT_BIN" ] || { echo "$PORCHLIGHT_BIN is missing: cargo build --release" >&2; exit 1; }
PORCHLIGHT_BIN=$(realpath "$PORCHLIGHT_BIN")
ulimit -n "$(ulimit -Hn)"
echo "$INSTANCES instances, $CLIENTS streams in $TEAMS teams, $EVENTS_PER_SECOND events/s; $(nproc) cores, $("$PORCHLIGHT_BIN" --version)"
exec node benches/rolling/rolling.mjs
