//! The storm: all subscribers come back at once and have missed the same events.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use crate::error::BenchError;
use crate::fleet::Fleet;
use crate::gauge::{Gauge, Span};
use crate::load::{connected, deliveries};
use crate::plan::Plan;
use crate::progress::ProgressDisplay;
use crate::publishing::Publishing;
use crate::report::{Load, Publishes, Report, Storm};
use crate::schedule::Schedule;
use crate::shared::{Run, Stage};
use crate::units::{millis, per};

/// The pause between the disconnect, the publishing and the return.
const PAUSE: Duration = Duration::from_secs(2);

/// Disconnects all subscribers, publishes `events` to each topic, and connects them again.
pub(crate) async fn run(plan: Rc<Plan>, events: u32) -> Result<Report, BenchError> {
    let run = Run::new(plan);
    let _progress = ProgressDisplay::start(&run);
    let (mut fleet, connects, memory) = connected(&run).await?;
    prime(&run, &fleet).await?;
    fleet.disconnect().await;
    run.enter(Stage::Preparing);
    sleep(PAUSE).await;
    let publishes = publish(&run, events).await;
    fleet.prepare()?;
    sleep(PAUSE).await;
    let (started, gauge) = (run.now_ns(), Gauge::read(&run));
    let reconnects = fleet.connect().await?;
    fleet.drain().await;
    let span = gauge.until_now(&run);
    Ok(Report {
        load: Load::of(&run.plan.args, 0.0),
        publishes: Some(publishes),
        deliveries: Some(deliveries(&run, &fleet, Some(&span))),
        server: span.server(&memory),
        generator: Some(span.generator()),
        lost_streams: fleet.lost(),
        storm: Some(Storm {
            reconnects,
            ..caught_up(&fleet, &span, started)
        }),
        ..Report::new(connects)
    })
}

/// Publishes one event to each topic: some servers send no id before the first event.
async fn prime(run: &Rc<Run>, fleet: &Fleet) -> Result<(), BenchError> {
    publish(run, 1).await;
    fleet.drain().await;
    match fleet.unprimed() {
        0 => Ok(()),
        missing => Err(BenchError::NotPrimed { missing }),
    }
}

async fn publish(run: &Rc<Run>, events: u32) -> Publishes {
    let started = run.now_ns();
    let mut publishing = Publishing::start(run, Schedule::burst(run, events));
    publishing.done().await;
    let took = Duration::from_nanos(run.now_ns() - started);
    publishing.finish(took).await
}

fn caught_up(fleet: &Fleet, span: &Span, started: u64) -> Storm {
    let ends = fleet.last_receipts();
    let after = |end: u64| millis(end.saturating_sub(started) / 1_000);
    let at = |share: usize| ends.get(ends.len() * share / 100).or(ends.last());
    let quantile = |share| at(share).copied().map_or(0.0, after);
    let seconds = quantile(100) / 1e3;
    Storm {
        caught_up_seconds: seconds,
        p50_ms: quantile(50),
        p99_ms: quantile(99),
        events_per_second: per(span.received, seconds),
        ..Storm::default()
    }
}
