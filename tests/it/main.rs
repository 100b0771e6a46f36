//! The service as its users meet it: over sockets, with a real Postgres behind it.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::format_push_string,
    reason = "tests may fail, count in whole numbers, and list their cases in one table"
)]

mod support;

mod activity;
mod admin;
mod backplane;
mod backups;
mod brokerages;
mod capture;
mod chaos;
mod commands;
mod console;
mod cors;
mod databases;
mod dedicated;
mod demo;
mod documents;
mod ending;
mod framing;
mod head_times;
mod history;
mod idempotency;
mod imports;
mod instances;
mod invalid_input;
mod isolation;
mod lists;
mod locks;
mod logs;
mod migrating;
mod monitoring;
mod notifications;
mod openapi;
mod operations;
mod order;
mod pacing;
mod parked;
mod people;
mod polling;
mod pooler;
mod presence;
mod publishing;
mod quiet;
mod quotas;
mod rates;
mod records;
mod replay;
mod restores;
mod retention;
mod rights;
mod seeding;
mod service_manager;
mod sessions;
mod sharding;
mod shortage;
mod signals;
mod silent;
mod slow;
mod standby;
mod starting;
mod stopping;
mod tail;
mod takeover;
mod tasks;
mod tokens;
mod traces;
mod upgrades;
mod user_ids;
mod wire;
mod workers;
