//! The service as its users meet it: over sockets, with a real Postgres behind it.

mod support;

mod commands;
mod cors;
mod history;
mod isolation;
mod openapi;
mod operations;
mod publishing;
mod replay;
mod rubbish;
mod tokens;
mod wire;
