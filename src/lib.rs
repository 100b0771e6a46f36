//! Porchlight: the real-time layer of a CRM over plain HTTP.
//!
//! The way of an event, module by module:
//!
//! - [`http`] takes a request: extract, call, respond. [`identity`] says who is calling, and
//!   [`brokerages`] where they belong if their token does not.
//! - [`event_log`] appends events to the log in Postgres; its writer commits in groups.
//! - [`hints`] say that a log has grown; the [`follower`] reads on.
//! - The [`hub`] keeps recent frames in memory and wakes the streams they are for.
//! - [`signals`] are told to streams and to other instances, and never logged.
//! - [`locks`] say who is at work on a record, and tell of it by the log.
//! - [`tasks`] are what users ask for and workers do; [`claiming`] waits for them.
//! - [`notifications`] tell people by name; [`activity`] says in words what was done, with the
//!   names of [`people`].
//! - The [`worker`] is built in, and does the [`imports`] of [`uploads`].
//! - The [`relay`] moves to the log what transactions on watched tables have written.
//! - A [`stream`] is a cursor over a log; [`history`] is the same log as pages. [`paging`] limits the pages
//!   of every list.
//!
//! Around it: [`config`] and [`cli`], [`database`] (embedded or not), [`app`] (the wiring),
//! [`lifecycle`] (tasks), [`telemetry`] and [`metrics`]. Two crates of their own know nothing of
//! the service: [`embedded_postgres`], and [`bench`](::bench), a load generator.
//! `docs/ARCHITECTURE.md` has the map and what must never be.

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
pub mod platform;
pub mod records;
pub mod stream;
pub mod tasks;
