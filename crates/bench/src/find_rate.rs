//! The search for the highest rate that the server keeps up with.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use crate::error::BenchError;
use crate::load;
use crate::plan::Plan;
use crate::report::{Report, Step};
use crate::units::float;
use crate::warnings;

/// The search ends when the rate is known to this share.
const PRECISION: f64 = 0.05;
const MAX_STEPS: usize = 40;
/// A rate is too high when it fails this often. One failure may come from other programs on
/// the machine.
const ATTEMPTS: usize = 2;
/// The pause after a step, for the server to become idle.
const PAUSE: Duration = Duration::from_secs(1);
/// The share of events that may be unsent when the time is up.
const UNSENT: f64 = 0.02;

/// Doubles the rate until it is too high, then bisects. Reports the best step.
pub(crate) async fn run(plan: Rc<Plan>) -> Result<Report, BenchError> {
    let mut search = Search::new(plan.args.rate);
    let mut best: Option<Report> = None;
    let mut failed: Option<Report> = None;
    let mut steps = Vec::new();
    while let Some(rate) = search.next().filter(|_| steps.len() < MAX_STEPS) {
        let mut passed = false;
        for _ in 0..ATTEMPTS {
            let report = load::run(plan.clone(), rate).await?;
            let step = judge(&report, plan.args.p99_limit);
            tracing::info!(rate, p99_ms = step.p99_ms, fault = step.fault, "step");
            passed = step.fault.is_none();
            steps.push(step);
            if passed || best.is_none() {
                best = Some(report);
            } else {
                failed = Some(report);
            }
            sleep(PAUSE).await;
            if passed {
                break;
            }
        }
        search.enter(rate, passed);
    }
    let mut report = best.expect("the search has a first step");
    report.warnings = warnings::of_search(&report, failed.as_ref(), &plan.args);
    report.steps = steps;
    Ok(report)
}

fn judge(report: &Report, limit_ms: f64) -> Step {
    let publishes = report.publishes.clone().unwrap_or_default();
    let deliveries = report.deliveries.clone().unwrap_or_default();
    // Without subscribers only the answers can be late.
    let is_alone = report.load.subscribers == 0;
    let latency = if is_alone {
        &publishes.answer
    } else {
        &deliveries.latency
    };
    let behind = float(publishes.unsent) > UNSENT * float(publishes.unsent + publishes.accepted);
    let faults = [
        (report.lost_streams > 0, "streams lost"),
        (publishes.refused > 0, "publishes refused"),
        (publishes.unanswered > 0, "publishes unanswered"),
        (deliveries.missing > 0, "events missing"),
        (
            !is_alone && deliveries.per_second == 0.0,
            "nothing received",
        ),
        (deliveries.repeated > 0, "events repeated"),
        (behind || publishes.accepted == 0, "publishing fell behind"),
        (latency.p99_ms >= limit_ms, "too late"),
    ];
    Step {
        rate: report.load.rate,
        per_second: deliveries.per_second,
        p99_ms: latency.p99_ms,
        fault: faults
            .into_iter()
            .find(|(is_so, _)| *is_so)
            .map(|(_, fault)| fault),
    }
}

/// The highest rate that passed, the lowest that failed, and the next to try.
struct Search {
    next: f64,
    passed: f64,
    failed: Option<f64>,
}

impl Search {
    fn new(first: f64) -> Self {
        Self {
            next: first,
            passed: 0.0,
            failed: None,
        }
    }

    fn next(&self) -> Option<f64> {
        let known = |failed: f64| (failed - self.passed) <= PRECISION * failed;
        (!self.failed.is_some_and(known)).then_some(self.next)
    }

    fn enter(&mut self, rate: f64, passed: bool) {
        if passed {
            self.passed = rate;
        } else {
            self.failed = Some(rate);
        }
        self.next = match self.failed {
            None => rate * 2.0,
            Some(failed) => f64::midpoint(self.passed, failed),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_ends_just_under_the_limit() {
        for (first, limit) in [(50.0, 1_234.0), (50.0, 7.0), (1.0, 1e6), (50.0, 50.0)] {
            let mut search = Search::new(first);
            let mut steps = 0;
            while let Some(rate) = search.next() {
                search.enter(rate, rate <= limit);
                steps += 1;
            }
            assert!(
                search.passed <= limit && search.passed > 0.94 * limit,
                "{limit}"
            );
            assert!(steps < MAX_STEPS);
        }
    }
}
