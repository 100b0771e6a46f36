//! The service as its users meet it: over sockets, with a real Postgres behind it.

mod support;

mod commands;
mod cors;
mod history;
mod idempotency;
mod isolation;
mod openapi;
mod operations;
mod polling;
mod publishing;
mod replay;
mod rubbish;
mod starting;
mod tokens;
mod wire;
