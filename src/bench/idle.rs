//! Idle streams: connected, held, and nothing published.

use std::rc::Rc;

use tokio::time::sleep;

use super::error::BenchError;
use super::gauge::Gauge;
use super::load::connected;
use super::plan::Plan;
use super::report::{Load, Report};
use super::shared::Run;

/// Connects everyone and holds the streams.
pub(super) async fn run(plan: Rc<Plan>) -> Result<Report, BenchError> {
    let run = Run::new(plan);
    let (fleet, connects, memory) = connected(&run).await?;
    let gauge = Gauge::read(&run);
    let ended_early = tokio::select! {
        () = sleep(run.plan.args.window()) => false,
        () = fleet.all_lost() => true,
    };
    let span = gauge.until_now(&run);
    Ok(Report {
        load: Load::of(&run.plan.args, 0.0),
        server: span.server(&memory),
        generator: Some(span.generator()),
        lost_streams: fleet.lost(),
        ended_early,
        ..Report::new(connects)
    })
}
