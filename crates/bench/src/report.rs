//! The result of a run, for people and for programs.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::args::BenchArgs;
use crate::units::millis;

/// A whole report.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was asked for.
    pub load: Load,
    /// How the streams were opened.
    pub connects: Connects,
    /// How the events were published.
    pub publishes: Option<Publishes>,
    /// How the events were received.
    pub deliveries: Option<Deliveries>,
    /// How a path was answered meanwhile.
    pub gets: Option<Gets>,
    /// The server's CPU and memory, when its process is known.
    pub server: Option<Server>,
    /// The generator's own CPU.
    pub generator: Option<Generator>,
    /// How all streams were opened again.
    pub storm: Option<Storm>,
    /// How one event reached idle streams.
    pub announcement: Option<Announcement>,
    /// What makes these numbers those of the generator or the publisher.
    pub warnings: Vec<String>,
    /// Streams that the server closed.
    pub lost_streams: u32,
    /// Whether the server closed all streams before the time was up.
    pub ended_early: bool,
    /// The steps of a search for the highest rate. The report is that of the best step.
    pub steps: Vec<Step>,
    /// When the run began, in seconds since 1970: slices count from here.
    pub began_at: f64,
    /// How long events took over the time of the run, if it was noted.
    pub timeline: Vec<Slice>,
}

/// What was asked for.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "they are the options of the same names")]
pub struct Load {
    pub url: String,
    pub subscribers: u32,
    pub topics: u32,
    pub rate: f64,
    pub seconds: f64,
    pub payload_bytes: usize,
    pub batch: u32,
    pub sequential: bool,
}

/// How the streams were opened. A stream counts when the head of its answer has arrived.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connects {
    /// Streams opened.
    pub connected: u32,
    /// Streams not opened.
    pub failed: u32,
    /// The error of the first of them.
    pub first_failure: Option<String>,
    /// The time until all were open.
    pub seconds: f64,
    /// Streams opened per second.
    pub per_second: f64,
    /// The CPU time that a server on this machine used for each, until all were open.
    pub server_cpu_us: Option<f64>,
    /// The same, with its child processes.
    pub tree_cpu_us: Option<f64>,
}

/// How the events were published, counted in events.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Publishes {
    /// Answered with a status of 200 to 299.
    pub accepted: u64,
    /// The same per second.
    pub accepted_per_second: f64,
    /// Answered with another status.
    pub refused: u64,
    /// Not answered: they may or may not have been published.
    pub unanswered: u64,
    /// Due but not sent when the time was up, because all publishers were waiting.
    pub unsent: u64,
    /// Sent more than 10 ms after they were due, because the connections waited for answers.
    pub late: u64,
    /// The first refusal or failure.
    pub first_problem: Option<String>,
    /// The time from when an event was due to the answer.
    pub answer: Latency,
}

/// How the events were received, over all subscribers.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deliveries {
    /// Accepted events, each counted for every stream of its topic, including the warm-up.
    pub due: u64,
    /// Different events received, including the warm-up: those that were due, and those without an answer.
    pub delivered: u64,
    /// Receipts per second of the measurement.
    pub per_second: f64,
    /// The time from when an event was due to its receipt.
    pub latency: Latency,
    /// Those that were due and did not arrive.
    pub missing: u64,
    /// Events that a subscriber received again.
    pub repeated: u64,
    /// Events that arrived after a later one, although they were accepted before that was sent.
    pub out_of_order: u64,
    /// Events that arrived in another order while both were being published: not an error.
    pub interleaved: u64,
    /// Events that a subscriber of another topic received.
    pub misrouted: u64,
}

/// How a path was answered while events were published.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gets {
    /// The path.
    pub path: String,
    /// Answers with a status of 200 to 299.
    pub answered: u64,
    /// Everything else.
    pub failed: u64,
    /// The time from when a request was due to the end of its answer.
    pub latency: Latency,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    clippy::struct_field_names,
    reason = "the names say everything"
)]
pub struct Latency {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// The server's CPU and memory: of its process alone, and with its descendants.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Microseconds of CPU per delivery.
    pub cpu_us_per_delivery: Option<f64>,
    /// CPU, in cores.
    pub cpu_share: f64,
    /// Proportional set size per stream.
    pub bytes_per_connection: Option<f64>,
    /// The same with the descendants.
    pub tree_cpu_us_per_delivery: Option<f64>,
    /// The same with the descendants.
    pub tree_cpu_share: Option<f64>,
    /// The same with the descendants.
    pub tree_bytes_per_connection: Option<f64>,
    /// Memory of the kernel for one end of a stream: the growth while streams were opened, halved
    /// because both ends are on this machine.
    pub kernel_bytes_per_connection: Option<f64>,
}

/// The generator's own CPU.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generator {
    /// CPU, in cores. The generator has one thread.
    pub cpu_share: f64,
    /// Whether the generator was so busy that the numbers may be its own limit.
    pub is_saturated: bool,
}

/// How all streams were opened again, and when they had everything.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Storm {
    /// How the streams were opened the second time.
    pub reconnects: Connects,
    /// The time until all streams had all events.
    pub caught_up_seconds: f64,
    /// The time until half of the streams had all events.
    pub p50_ms: f64,
    /// The time until 99 of 100 streams had all events.
    pub p99_ms: f64,
    /// Events replayed per second.
    pub events_per_second: f64,
}

/// How one event for each topic reached idle streams, counted from its POST.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// Streams that received it.
    pub receipts: u64,
    /// The time until half of them had it.
    pub p50_ms: f64,
    /// The time until 99 of 100 had it.
    pub p99_ms: f64,
    /// The time until the last one had it.
    pub last_ms: f64,
}

/// One step of the search for the highest rate.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Events published per second.
    pub rate: f64,
    /// Deliveries per second.
    pub per_second: f64,
    /// The time from when an event was due to its receipt.
    pub p99_ms: f64,
    /// Why the rate is too high, or `None`.
    pub fault: Option<&'static str>,
}

/// A piece of the time of a run.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slice {
    /// When it began, in seconds since the run began.
    pub seconds: f64,
    /// Events received in it.
    pub deliveries: u64,
    /// The time from when these events were due to their receipt.
    pub p50_ms: f64,
    /// The same.
    pub p99_ms: f64,
    /// The same.
    pub max_ms: f64,
}

impl Report {
    pub(crate) fn new(connects: Connects) -> Self {
        Self {
            connects,
            ..Self::default()
        }
    }

    /// Whether all subscribers connected and received every event once and in order. If they received nothing,
    /// this says nothing about the server, so it is `false`.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let published = |p: &Publishes| p.refused + p.unanswered == 0;
        let delivered = |d: &Deliveries| {
            let faults = d.missing + d.repeated + d.out_of_order + d.misrouted;
            faults == 0 && (d.delivered > 0 || self.load.subscribers == 0)
        };
        self.connects.failed == 0
            && self.lost_streams == 0
            && self.publishes.as_ref().is_none_or(published)
            && self.deliveries.as_ref().is_none_or(delivered)
    }

    /// The first problem, if the server accepted none of the events that were sent. Then this says nothing about it.
    #[must_use]
    pub fn why_nothing_was_accepted(&self) -> Option<&str> {
        let publishes = self.publishes.as_ref()?;
        let was_sent = publishes.refused + publishes.unanswered > 0;
        let problem = publishes.first_problem.as_deref().unwrap_or("no answer");
        (was_sent && publishes.accepted == 0).then_some(problem)
    }
}

impl Load {
    pub(crate) fn of(args: &BenchArgs, rate: f64) -> Self {
        Self {
            url: args.url.clone(),
            subscribers: args.subscribers,
            topics: args.topics,
            rate,
            seconds: args.window().as_secs_f64(),
            payload_bytes: args.payload,
            batch: args.batch,
            sequential: args.sequential,
        }
    }
}

impl Latency {
    pub(crate) fn of(micros: &Histogram<u64>) -> Self {
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
