//! The search for the highest rate that a server keeps up with.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::error::BenchError;
use super::load;
use super::plan::Plan;
use super::report::{Report, Step};

/// The search ends when it knows the rate this well.
const PRECISION: f64 = 0.05;
const MAX_STEPS: usize = 40;
/// A rate counts as too high when it fails this often: others use the machine too.
const ATTEMPTS: usize = 2;
/// After a step, for the server to become quiet.
const PAUSE: Duration = Duration::from_secs(1);
/// Events that may be left over when the time is up, as a share.
const UNSENT: f64 = 0.02;

/// Doubles the rate until it is too high, then bisects. Reports the best step.
pub(super) async fn run(plan: Rc<Plan>) -> Result<Report, BenchError> {
    let mut search = Search::new(plan.args.rate);
    let mut best: Option<Report> = None;
    let mut steps = Vec::new();
    while let Some(rate) = search.next().filter(|_| steps.len() < MAX_STEPS) {
        let mut passed = false;
        for _ in 0..ATTEMPTS {
            let report = load::run(plan.clone(), rate).await?;
            let step = judge(&report, plan.args.p99_limit);
            tracing::info!(rate, p99_ms = step.p99_ms, passed = step.passed, "step");
            passed = step.passed;
            steps.push(step);
            if passed || best.is_none() {
                best = Some(report);
            }
            sleep(PAUSE).await;
            if passed {
                break;
            }
        }
        search.enter(rate, passed);
    }
    let mut report = best.expect("the search has a first step");
    report.steps = steps;
    Ok(report)
}

fn judge(report: &Report, limit_ms: f64) -> Step {
    let (publishes, deliveries) = (report.publishes.as_ref(), report.deliveries.as_ref());
    let nobody = report.load.subscribers == 0;
    // Without subscribers the answers are what can be late.
    let latency = if nobody {
        publishes.map(|p| &p.answer)
    } else {
        deliveries.map(|d| &d.latency)
    };
    let p99_ms = latency.map_or(f64::INFINITY, |l| l.p99_ms);
    let sent = publishes.is_some_and(|p| {
        let all = p.accepted + p.unsent;
        let behind = super::units::float(p.unsent) > UNSENT * super::units::float(all);
        p.accepted > 0 && p.refused == 0 && p.unanswered == 0 && !behind
    });
    let whole = deliveries.is_some_and(|d| d.missing == 0 && d.repeated == 0);
    Step {
        rate: report.load.rate,
        per_second: deliveries.map_or(0.0, |d| d.per_second),
        p99_ms,
        passed: sent && whole && p99_ms < limit_ms && report.lost_streams == 0,
    }
}

/// Where the limit is, as far as known.
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
