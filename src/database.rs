//! Postgres: where the events live.

pub mod embedded;
