//! Instances, clients and a database while networks, processes and disks fail.
//!
//! Actors use the service and write what they did and saw to a history, one line after the other.
//! [`checker`] is a pure function over this history. `scripts/faults` starts a run.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests may fail"
)]

mod actors;
mod checker;
mod history;
mod http;
mod log;
mod plan;
mod report;
mod run;
mod settings;
mod trouble;
mod world;

#[path = "../it"]
#[allow(dead_code, unused_imports, reason = "the socket tests use the rest")]
mod it {
    pub mod support;
}
use it::support;
