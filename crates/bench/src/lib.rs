//! A load generator for servers of Server-Sent Events.
//!
//! [`run`] takes [`BenchArgs`], the options of a command line, and returns a [`Report`]. The
//! server is known by its requests only: templates say what a subscriber and a publisher send,
//! and the caller signs the [`Tokens`] in them. Every published event carries a mark, and
//! every subscriber counts what arrives, is missing, comes twice or comes out of order.
//!
//! The data flows one way. The options become a `Plan`. A `Run` holds what one measured run
//! shares. A `Fleet` of streams reads and `Publishing` writes, both into the `Run`. A mode
//! (`load`, `idle`, `storm`, `find_rate`) runs them and fills the report.
//!
//! Everything runs on one thread. So the generator can be pinned to one core, and its own load
//! can be measured. The state is shared by `Rc` and is never borrowed across an await.

mod args;
mod connect;
mod cursor;
mod error;
mod find_rate;
mod fleet;
mod gauge;
mod getter;
mod idle;
mod kept_connection;
mod ledger;
mod limits;
mod load;
mod marker;
mod plan;
mod procfs;
mod progress;
mod publisher;
mod publishing;
mod reader;
mod report;
mod request;
mod schedule;
mod shared;
mod storm;
mod surroundings;
mod table;
mod template;
mod timeline;
mod tracker;
mod units;
mod warnings;

use std::rc::Rc;

use tokio::task::LocalSet;

pub use args::{BenchArgs, Peer};
pub use error::BenchError;
pub use report::{
    Announcement, Connects, Deliveries, Generator, Gets, Latency, Load, Publishes, Report, Server,
    Slice, Step, Storm,
};
pub use surroundings::{Progress, Surroundings, Tokens};

use args::Mode;
use plan::Plan;

/// Loads a server and reports what it did.
///
/// Run it on a `current_thread` runtime of its own.
pub async fn run(args: BenchArgs, surroundings: Surroundings) -> Result<Report, BenchError> {
    limits::raise_open_files(args.subscribers + args.publishing_connections())?;
    let plan = Rc::new(Plan::new(args, surroundings).await?);
    LocalSet::new().run_until(conduct(plan)).await
}

async fn conduct(plan: Rc<Plan>) -> Result<Report, BenchError> {
    let report = match plan.args.mode() {
        Mode::Steady => load::run(plan.clone(), plan.args.rate).await,
        Mode::Idle => idle::run(plan.clone()).await,
        Mode::Storm(events) => storm::run(plan.clone(), events).await,
        Mode::FindRate => return find_rate::run(plan).await,
    };
    report.map(|report| Report {
        warnings: warnings::of(&report, &plan.args),
        ..report
    })
}
