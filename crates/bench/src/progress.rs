//! How far a run is, for the person who waits for it.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::shared::{Run, Stage};

/// The interval at which progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// Shows the progress of a run until it is dropped.
pub(crate) struct ProgressDisplay(JoinHandle<()>);

impl ProgressDisplay {
    pub(crate) fn start(run: &Rc<Run>) -> Self {
        let run = run.clone();
        Self(tokio::task::spawn_local(async move {
            let mut ticks = interval(SHOW_EVERY);
            loop {
                ticks.tick().await;
                (run.plan.progress)(&line(&run));
            }
        }))
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn line(run: &Run) -> String {
    let args = &run.plan.args;
    let (connected, received) = (run.connected.get(), run.received.get());
    let seconds = run.stage_seconds();
    match run.stage.get() {
        Stage::Connecting => format!("{connected} of {} streams connected", args.subscribers),
        Stage::Publishing { rate } => format!(
            "publishing {rate:.0} events/s for {seconds:.0} of {:.0} s, {received} received",
            args.warmup + args.window().as_secs_f64()
        ),
        Stage::Holding => format!(
            "holding {connected} streams for {seconds:.0} of {:.0} s",
            args.window().as_secs_f64()
        ),
        Stage::Preparing => "preparing the return of all streams".to_owned(),
        Stage::Draining => format!("waiting for the last events, {received} received"),
    }
}
