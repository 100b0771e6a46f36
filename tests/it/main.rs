//! The service as its users meet it: over sockets, with a real Postgres behind it.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests are read by people who run them, and may fail"
)]

mod support;

mod chaos;
mod ending;
mod instances;
mod isolation;
mod openapi;
mod order;
mod publishing;
mod replay;
mod retention;
mod rubbish;
mod slow;
mod tokens;
mod wire;
