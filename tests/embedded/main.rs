//! The Postgres of our own, with real processes. Each test has a data directory of its own.
#![allow(clippy::unwrap_used, reason = "these are tests, their helpers too")]

mod dying;
mod refusing;
mod service;
mod sharing;
mod starting;
mod support;
