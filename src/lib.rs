//! Porchlight: the real-time layer of a CRM over plain HTTP.
//!
//! This is the map: one line for each module, in the order in which an event passes through them.
//! First the program starts:
//!
//! - [`cli`]: the commands of the `porchlight` binary.
//! - [`config`]: the settings, one struct of flags and environment variables per concern.
//! - [`app`]: the wiring: builds every part, starts the background tasks, stops them in order.
//!
//! Then a request comes in, changes something, and its event goes out on the streams:
//!
//! - [`api`]: HTTP: handlers extract, call the modules below, and respond.
//! - [`identity`]: verifies the token of a request; the result is a `Caller`.
//! - [`sessions`]: what is open with a token: revocation, renewal, tickets.
//! - [`directory`]: the modules of the CRM, the audience of a record, the names of people.
//! - [`records`]: records of customers without tables of their own, and the example brokerage.
//! - [`tasks`]: tasks, claims, progress, output, uploads, imports, the built-in worker.
//! - [`collab`]: locks, presence and signals.
//! - [`inbox`]: notifications and the activity list, both made from events.
//! - [`log`]: the event log in Postgres: append, commit, read, retention, the outbox relay.
//! - [`fanout`]: the recent events in memory, encoded once; wakes the streams of a topic.
//! - [`stream`]: one open stream: a cursor over a log; also the log as pages and by long-polling.
//! - [`operations`]: what admins see of the running service, and do: figures, connections, alerts.
//!
//! All of them stand on:
//!
//! - [`platform`]: the database, background tasks, telemetry, metrics, the clock, ids.
//!
//! The crates under `crates/` know nothing of the service. `docs/ARCHITECTURE.md` has the map, follows five journeys through the
//! code, and lists the invariants.

pub mod api;
pub mod app;
pub mod cli;
pub mod collab;
pub mod config;
pub mod directory;
pub mod fanout;
pub mod identity;
pub mod inbox;
pub mod log;
pub mod operations;
pub mod platform;
pub mod records;
pub mod sessions;
pub mod stream;
pub mod tasks;
