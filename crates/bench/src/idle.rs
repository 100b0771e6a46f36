//! Idle streams: connected and held, with nothing published.

use std::rc::Rc;

use tokio::time::sleep;

use crate::error::BenchError;
use crate::fleet::Fleet;
use crate::gauge::Gauge;
use crate::load::connected;
use crate::plan::Plan;
use crate::progress::ProgressDisplay;
use crate::publishing::Publishing;
use crate::report::{Announcement, Load, Report};
use crate::schedule::Schedule;
use crate::shared::{Run, Stage};
use crate::units::{count, millis};

/// Connects all subscribers and holds the streams.
pub(crate) async fn run(plan: Rc<Plan>) -> Result<Report, BenchError> {
    let run = Run::new(plan);
    let _progress = ProgressDisplay::start(&run);
    let (fleet, connects, memory) = connected(&run).await?;
    run.enter(Stage::Holding);
    let gauge = Gauge::read(&run);
    let ended_early = tokio::select! {
        () = sleep(run.plan.args.window()) => false,
        () = fleet.all_lost() => true,
    };
    let span = gauge.until_now(&run);
    let announcement = if run.plan.args.announce {
        Some(announce(&run, &fleet).await)
    } else {
        None
    };
    Ok(Report {
        load: Load::of(&run.plan.args, 0.0),
        announcement,
        server: span.server(&memory),
        generator: Some(span.generator()),
        lost_streams: fleet.lost(),
        ended_early,
        ..Report::new(connects)
    })
}

/// Publishes one event to each topic, and waits until all streams have it.
async fn announce(run: &Rc<Run>, fleet: &Fleet) -> Announcement {
    let started = run.now_ns();
    let mut publishing = Publishing::start(run, Schedule::burst(run, 1));
    publishing.done().await;
    fleet.drain().await;
    let mut receipts = fleet.last_receipts();
    receipts.retain(|at| *at >= started);
    let at = |share: usize| {
        let at = receipts
            .get(receipts.len() * share / 100)
            .or(receipts.last());
        at.map_or(0.0, |at| millis((at - started) / 1_000))
    };
    Announcement {
        receipts: count(receipts.len()),
        p50_ms: at(50),
        p99_ms: at(99),
        last_ms: at(100),
    }
}
