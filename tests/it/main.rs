//! The service as its users meet it: over sockets, with a real Postgres behind it.

mod support;

mod chaos;
mod ending;
mod instances;
mod order;
mod replay;
mod retention;
mod slow;
mod wire;
