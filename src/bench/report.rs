//! What a run found out, for people and for programs.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::args::BenchArgs;
use super::units::millis;

/// A whole report.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was asked for.
    pub load: Load,
    /// The connecting.
    pub connects: Connects,
    /// The publishing.
    pub publishes: Option<Publishes>,
    /// The receipts.
    pub deliveries: Option<Deliveries>,
    /// The server's use, when its process is known.
    pub server: Option<Server>,
    /// The generator's own use.
    pub generator: Option<Generator>,
    /// The return of everyone.
    pub storm: Option<Storm>,
    /// Streams that the server ended.
    pub lost_streams: u32,
    /// Whether all streams were lost before the time was up.
    pub ended_early: bool,
    /// The steps of the search; the report is that of the best one.
    pub steps: Vec<Step>,
}

/// What was asked for.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the options say it")]
pub struct Load {
    pub url: String,
    pub subscribers: u32,
    pub topics: u32,
    pub rate: f64,
    pub seconds: f64,
    pub payload_bytes: usize,
    pub batch: u32,
}

/// The connecting: a stream counts when the head of its answer is there.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connects {
    /// Streams opened.
    pub connected: u32,
    /// Streams not opened.
    pub failed: u32,
    /// Why the first of them was not.
    pub first_failure: Option<String>,
    /// Until all were open.
    pub seconds: f64,
    /// Streams opened per second.
    pub per_second: f64,
}

/// The publishing, counted in events.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Publishes {
    /// Answered with a 2xx.
    pub accepted: u64,
    /// The same per second.
    pub accepted_per_second: f64,
    /// Answered otherwise.
    pub refused: u64,
    /// Not answered: they may or may not have been published.
    pub unanswered: u64,
    /// Due but not sent when the time was up, because all publishers were waiting.
    pub unsent: u64,
    /// The first refusal or failure.
    pub first_problem: Option<String>,
    /// From when an event was due to the answer.
    pub answer: Latency,
}

/// The receipts of all subscribers.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deliveries {
    /// Different events received, warm-up included.
    pub delivered: u64,
    /// Receipts per second of the measurement.
    pub per_second: f64,
    /// From when an event was due to its receipt.
    pub latency: Latency,
    /// Accepted events that a subscriber never got.
    pub missing: u64,
    /// Events that a subscriber got again.
    pub repeated: u64,
    /// Events that came after one which was sent when they were already accepted.
    pub out_of_order: u64,
    /// Events that came in another order than sent while both were under way: no fault.
    pub interleaved: u64,
    /// Events that a subscriber of another topic got.
    pub misrouted: u64,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, clippy::struct_field_names, reason = "the names say it")]
pub struct Latency {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// The server's use: of its process, and with its descendants.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Microseconds of CPU per delivery.
    pub cpu_us_per_delivery: Option<f64>,
    /// CPU in cores.
    pub cpu_share: f64,
    /// Proportional set size per stream.
    pub bytes_per_connection: Option<f64>,
    /// The same with the descendants.
    pub tree_cpu_us_per_delivery: Option<f64>,
    /// The same with the descendants.
    pub tree_cpu_share: Option<f64>,
    /// The same with the descendants.
    pub tree_bytes_per_connection: Option<f64>,
}

/// The generator's own use.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generator {
    /// CPU in cores; it has one thread.
    pub cpu_share: f64,
    /// Whether the numbers may be the generator's rather than the server's.
    pub is_saturated: bool,
}

/// The return of everyone.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Storm {
    /// The connecting, the second time.
    pub reconnects: Connects,
    /// Until everyone had everything.
    pub caught_up_seconds: f64,
    /// Until half of them had.
    pub p50_ms: f64,
    /// Until 99 of 100 had.
    pub p99_ms: f64,
    /// Events replayed per second.
    pub events_per_second: f64,
}

/// One step of the search for the highest rate.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Events published per second.
    pub rate: f64,
    /// Deliveries per second.
    pub per_second: f64,
    /// From when an event was due to its receipt.
    pub p99_ms: f64,
    /// Why the rate is too high, if it is.
    pub fault: Option<&'static str>,
}

impl Report {
    pub(super) fn new(connects: Connects) -> Self {
        Self {
            connects,
            ..Self::default()
        }
    }

    /// Whether everyone connected and got everything once and in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let published = |p: &Publishes| p.refused + p.unanswered == 0;
        let delivered = |d: &Deliveries| d.missing + d.repeated + d.out_of_order + d.misrouted == 0;
        self.connects.failed == 0
            && self.lost_streams == 0
            && self.publishes.as_ref().is_none_or(published)
            && self.deliveries.as_ref().is_none_or(delivered)
    }
}

impl Load {
    pub(super) fn of(args: &BenchArgs, rate: f64) -> Self {
        Self {
            url: args.url.clone(),
            subscribers: args.subscribers,
            topics: args.topics,
            rate,
            seconds: args.window().as_secs_f64(),
            payload_bytes: args.payload,
            batch: args.batch,
        }
    }
}

impl Latency {
    pub(super) fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile| millis(micros.value_at_quantile(quantile));
        Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(micros.max()),
        }
    }
}
