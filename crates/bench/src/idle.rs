//! Idle streams: connected and held, with nothing published.

use std::rc::Rc;

use tokio::time::sleep;

use crate::error::BenchError;
use crate::gauge::Gauge;
use crate::load::connected;
use crate::plan::Plan;
use crate::progress::ProgressDisplay;
use crate::report::{Load, Report};
use crate::shared::{Run, Stage};

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
    Ok(Report {
        load: Load::of(&run.plan.args, 0.0),
        server: span.server(&memory),
        generator: Some(span.generator()),
        lost_streams: fleet.lost(),
        ended_early,
        ..Report::new(connects)
    })
}
