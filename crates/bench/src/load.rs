//! The steady load: all subscribers connected, and events at a fixed rate.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{sleep, sleep_until};

use crate::error::BenchError;
use crate::fleet::{AllReceipts, Fleet};
use crate::gauge::{Gauge, Memory, Span};
use crate::getter::Getter;
use crate::plan::Plan;
use crate::procfs;
use crate::progress::ProgressDisplay;
use crate::publishing::Publishing;
use crate::report::{Connects, Deliveries, Latency, Load, Report};
use crate::schedule::Schedule;
use crate::shared::{Run, Stage, Window};
use crate::units::{nanos, per};

/// The pause after the last connect.
const SETTLE: Duration = Duration::from_secs(1);
/// The time until the publishers are ready.
const LEAD: Duration = Duration::from_millis(50);

/// Connects all subscribers and publishes `rate` events a second.
pub(crate) async fn run(plan: Rc<Plan>, rate: f64) -> Result<Report, BenchError> {
    let run = Run::new(plan);
    let _progress = ProgressDisplay::start(&run);
    let (fleet, connects, memory) = connected(&run).await?;
    run.enter(Stage::Publishing { rate });
    let (warmup, seconds) = (run.plan.args.warmup, run.plan.args.window());
    let start = run.now_ns() + nanos(LEAD);
    let from = start + nanos(Duration::from_secs_f64(warmup));
    let window = Window {
        from,
        to: from + nanos(seconds),
    };
    run.window.set(window);
    let gets = Getter::start(&run, window);
    let mut publishing = Publishing::start(&run, Schedule::steady(&run, rate, start, window.to));
    let span = tokio::select! {
        span = measured(&run, window) => Some(span),
        () = fleet.all_lost() => None,
    };
    if span.is_none() {
        publishing.abort().await;
    }
    let over = Duration::from_nanos(run.now_ns().saturating_sub(start));
    let publishes = publishing.finish(over).await;
    run.resumed.send_replace(true);
    fleet.drain().await;
    Ok(Report {
        load: Load::of(&run.plan.args, rate),
        publishes: Some(publishes),
        gets: gets.finish().await,
        deliveries: Some(deliveries(&run, &fleet, span.as_ref())),
        server: span.and_then(|span| span.server(&memory)),
        generator: span.map(|span| span.generator()),
        lost_streams: fleet.lost(),
        ended_early: span.is_none(),
        began_at: run.began_at(),
        timeline: run.slices(),
        ..Report::new(connects)
    })
}

/// Connects all subscribers and measures the server's memory before and after.
pub(crate) async fn connected(run: &Rc<Run>) -> Result<(Fleet, Connects, Memory), BenchError> {
    let mut fleet = Fleet::new(run);
    fleet.prepare()?;
    let before = run.plan.watched.pss();
    let kernel_before = procfs::kernel();
    let connects = fleet.connect().await?;
    sleep(SETTLE).await;
    let after = run.plan.watched.pss();
    let kernel_after = procfs::kernel();
    let connected = connects.connected;
    Ok((
        fleet,
        connects,
        Memory {
            before,
            after,
            kernel: kernel_before.zip(kernel_after),
            connected,
        },
    ))
}

async fn measured(run: &Run, window: Window) -> Span {
    sleep_until(run.at(window.from)).await;
    let gauge = Gauge::read(run);
    sleep_until(run.at(window.to)).await;
    gauge.until_now(run)
}

/// The receipts of the whole run.
pub(crate) fn deliveries(run: &Run, fleet: &Fleet, span: Option<&Span>) -> Deliveries {
    let AllReceipts {
        counts,
        due,
        missing,
    } = fleet.receipts();
    Deliveries {
        due,
        delivered: counts.received,
        per_second: span.map_or(0.0, |span| per(span.received, span.took.as_secs_f64())),
        latency: Latency::of(&run.latency.borrow()),
        missing,
        repeated: counts.repeated,
        out_of_order: counts.out_of_order,
        interleaved: counts.interleaved,
        misrouted: counts.misrouted,
    }
}
