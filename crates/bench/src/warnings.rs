//! What makes a report say less about the server than it seems to.

use crate::args::BenchArgs;
use crate::report::{Load, Publishes, Report};
use crate::units::float;

/// The share of events that may be sent late before the publisher counts as the limit.
const LATE: f64 = 0.01;

/// The warnings of a search: those of its result, and those of the last step that failed.
pub(crate) fn of_search(best: &Report, failed: Option<&Report>, args: &BenchArgs) -> Vec<String> {
    let mut warnings = of(best, args);
    if let Some(failed) = failed {
        let rate = failed.load.rate;
        let at_failure = of(failed, args).into_iter();
        warnings
            .extend(at_failure.map(|text| format!("at {rate:.1} events/s, which failed: {text}")));
    }
    warnings
}

pub(crate) fn of(report: &Report, args: &BenchArgs) -> Vec<String> {
    let generator = report.generator.iter().filter(|own| own.is_saturated);
    let generator = generator.map(|own| {
        format!(
            "the generator used {:.2} of the one core that it can use, so the server may do better than this \
             says: give the generator a core of its own, or lower the load",
            own.cpu_share
        )
    });
    let publisher = report.publishes.iter().filter(|p| is_behind(p));
    let publisher = publisher.map(|publishes| {
        let (late, unsent) = (publishes.late, publishes.unsent);
        let all = publishes.accepted + publishes.refused + publishes.unanswered + unsent;
        let reason = if args.sequential {
            "the connections of their topics waited for the answer before, so one POST after the other is not faster"
        } else {
            "all connections waited for answers, or the generator was busy: raise --publishers, or lower the rate"
        };
        format!("of {all} events {late} were sent late and {unsent} were not sent: {reason}")
    });
    let refused = report.publishes.iter().filter_map(refused);
    let streams = nothing_received(report).into_iter();
    let all = generator.chain(publisher).chain(refused).chain(streams);
    all.collect()
}

fn refused(publishes: &Publishes) -> Option<String> {
    let Publishes {
        accepted,
        refused,
        unanswered,
        ..
    } = publishes;
    let failed = refused + unanswered;
    let all = accepted + failed;
    (failed > 0).then(|| {
        format!("{failed} of {all} events were refused or not answered: the times are those of the others")
    })
}

/// Why it says nothing that no event is missing.
fn nothing_received(report: &Report) -> Option<String> {
    let deliveries = report.deliveries.as_ref()?;
    let Load {
        subscribers,
        topics,
        ..
    } = report.load;
    if subscribers == 0 || deliveries.per_second > 0.0 {
        return None;
    }
    let without = topics.saturating_sub(subscribers);
    Some(format!(
        "no event was received while it was measured, and {} before: {without} of {topics} topics have no \
         stream, and topics get their events in turn",
        deliveries.delivered
    ))
}

fn is_behind(publishes: &Publishes) -> bool {
    let sent = publishes.accepted + publishes.refused + publishes.unanswered;
    let behind = publishes.late + publishes.unsent;
    float(behind) > LATE * float(sent + publishes.unsent)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::report::Generator;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn warnings(options: &[&str], late: u64, share: f64) -> Vec<String> {
        let args = Cli::parse_from(["bench"].iter().chain(options)).args;
        let report = Report {
            publishes: Some(Publishes {
                accepted: 1_000,
                late,
                ..Publishes::default()
            }),
            generator: Some(Generator {
                cpu_share: share,
                is_saturated: share > 0.9,
            }),
            ..Report::default()
        };
        of(&report, &args)
    }

    #[test]
    fn refused_events_are_named() {
        let args = Cli::parse_from(["bench"]).args;
        let publishes = Publishes {
            accepted: 1,
            refused: 2,
            unanswered: 3,
            first_problem: Some("status 429".to_owned()),
            ..Publishes::default()
        };
        let mut report = Report {
            publishes: Some(publishes),
            ..Report::default()
        };
        let warnings = of(&report, &args);
        assert!(
            warnings.len() == 1 && warnings[0].starts_with("5 of 6 "),
            "{warnings:?}"
        );
        assert_eq!(report.why_nothing_was_accepted(), None);
        let publishes = report.publishes.as_mut();
        publishes.expect("publishes").accepted = 0;
        assert_eq!(report.why_nothing_was_accepted(), Some("status 429"));
    }

    #[test]
    fn a_limit_of_the_generator_or_the_publisher_is_named() {
        assert!(warnings(&[], 9, 0.5).is_empty());
        let busy = warnings(&[], 0, 0.97);
        assert!(busy.len() == 1 && busy[0].contains("0.97"), "{busy:?}");
        let late = warnings(&[], 300, 0.5);
        assert!(
            late.len() == 1 && late[0].contains("--publishers"),
            "{late:?}"
        );
        let waiting = warnings(&["--sequential"], 300, 0.97);
        assert_eq!(waiting.len(), 2, "{waiting:?}");
        assert!(!waiting[1].contains("--publishers"), "{waiting:?}");
    }
}
