//! `porchlight bench`: a load generator for any server of Server-Sent Events.
//!
//! The data flows one way: [`BenchArgs`] become a `Plan`; a `Run` holds what one measured run
//! shares; a `Fleet` of streams reads and `publish` writes, both into the `Run`; a mode
//! (`load`, `idle`, `storm`, `find_rate`) conducts them and fills a [`Report`].
//!
//! Everything runs on one thread, so that the generator can be pinned to one core and its own
//! load can be told; the state is shared by `Rc` and never borrowed across an await.

mod args;
mod body;
mod connect;
mod cursor;
mod error;
mod find_rate;
mod fleet;
mod gauge;
mod head;
mod idle;
mod ledger;
mod limits;
mod load;
mod marker;
mod plan;
mod procfs;
mod publish;
mod publisher;
mod reader;
mod report;
mod request;
mod shared;
mod storm;
mod table;
mod template;
mod token;
mod tracker;
mod units;

use std::rc::Rc;

use tokio::task::LocalSet;

pub use self::args::{BenchArgs, Peer};
pub use self::error::BenchError;
pub use self::report::{
    Connects, Deliveries, Generator, Latency, Load, Publishes, Report, Server, Step, Storm,
};

use self::args::Mode;
use self::plan::Plan;

/// Loads the server that `args` name and reports what it did.
///
/// Meant for a `current_thread` runtime of its own.
pub async fn run(args: BenchArgs) -> Result<Report, BenchError> {
    limits::raise_open_files(args.subscribers + args.publishers)?;
    let plan = Rc::new(Plan::new(args).await?);
    LocalSet::new().run_until(conduct(plan)).await
}

async fn conduct(plan: Rc<Plan>) -> Result<Report, BenchError> {
    match plan.args.mode() {
        Mode::Steady => load::run(plan.clone(), plan.args.rate).await,
        Mode::Idle => idle::run(plan).await,
        Mode::Storm(events) => storm::run(plan, events).await,
        Mode::FindRate => find_rate::run(plan).await,
    }
}
