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

pub mod activity;
pub mod app;
pub mod brokerages;
pub mod claiming;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crm;
pub mod database;
pub mod event;
pub mod event_log;
pub mod follower;
pub mod hints;
pub mod history;
pub mod http;
pub mod hub;
pub mod identity;
pub mod ids;
pub mod imports;
pub mod instances;
pub mod lifecycle;
pub mod locks;
pub mod metrics;
pub mod modules;
pub mod notifications;
pub mod paging;
pub mod people;
pub mod presence;
pub mod records;
pub mod relay;
pub mod seed;
pub mod signals;
pub mod stream;
pub mod tasks;
pub mod telemetry;
pub mod uploads;
pub mod worker;
