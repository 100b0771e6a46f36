# syntax=docker/dockerfile:1
#
#   docker build -t porchlight .                       needs DATABASE_URL, and PORCHLIGHT_WITH_WORKER=true for imports
#   docker build -t porchlight --target embedded .     runs its own Postgres in /data; compose.yaml starts it
#
# Both need JWT_SECRET, JWT_ISSUER and JWT_AUDIENCE, because they listen on all addresses. There is no HEALTHCHECK: let the
# orchestrator request GET /health/live and GET /health/ready, so that the image needs no client.
# On SIGTERM the service ends its streams, and clients reconnect elsewhere: give it time for that
# (`docker stop --time 30`).

ARG DEBIAN=trixie

FROM rust:1.95-slim-${DEBIAN} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Without cache mounts: Railway refuses those that do not have the id of its service in their names.
RUN cargo build --release --locked --bin porchlight \
    && cp target/release/porchlight /usr/local/bin/porchlight \
    && strip --strip-debug /usr/local/bin/porchlight

FROM debian:${DEBIAN}-slim AS base
# The user has an entry in passwd, which initdb needs, and owns /data.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin porchlight \
    && install -d -o porchlight -g porchlight -m 0755 /data
COPY --from=build /usr/local/bin/porchlight /usr/local/bin/porchlight
WORKDIR /data
# Platforms that choose a port set PORT themselves.
ENV PORT=8080 \
    PORCHLIGHT_DATA_DIR=/data
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["porchlight"]
CMD ["serve"]

# With an embedded Postgres: one machine, one volume, no other parts.
# `docker run --init` reaps processes that Postgres leaves behind.
FROM base AS embedded
RUN mkdir -p /etc/postgresql-common/createcluster.d \
    && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/porchlight.conf \
    && apt-get update \
    && apt-get install -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/*
USER porchlight
VOLUME /data

FROM base AS runtime
USER porchlight
