//! The embedded Postgres with real processes. Each test has its own data directory.
#![allow(clippy::unwrap_used, reason = "these are tests and their helpers")]

mod dying;
mod refusing;
mod replacing;
mod service;
mod sharing;
mod starting;
mod support;
mod taking_over;
