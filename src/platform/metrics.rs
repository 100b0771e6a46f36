//! The metrics of an instance, for Prometheus.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

mod classic;
mod durations;
mod loops;
mod permits;
mod queues;
mod writer;

pub use durations::{DurationCounts, Durations};
pub use loops::{LoopMeter, LoopRound, Loops};
pub use permits::Permits;
pub(super) use queues::BatcherFigures;
pub use queues::{ChannelSender, Queues};
use writer::SourceCollector;
pub use writer::{MetricSource, MetricWriter, number};

/// A family whose name is shown also while it has no samples.
#[derive(Debug)]
struct Named<F>(F);

impl<F: EncodeMetric> EncodeMetric for Named<F> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

type Labels<const N: usize> = [(&'static str, &'static str); N];

#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    pub queues: Queues,
    pub loops: Loops,
    pub permits: Permits,
    pub streams_open: Gauge,
    pub claims_waiting: Gauge,
    pub streams_opened: Counter,
    /// By reason.
    pub streams_closed: Family<Labels<1>, Counter>,
    /// By reason.
    pub resets: Family<Labels<1>, Counter>,
    /// Events that were written to streams.
    pub delivered: Counter,
    /// Writes of events to streams.
    pub deliveries: Counter,
    pub published: Counter,
    pub publish_seconds: Histogram,
    pub signals: Counter,
    pub signals_dropped: Counter,
    pub replay_queries: Counter,
    pub replay_queries_running: Gauge,
    pub replay_logs_waiting: Gauge,
    pub follower_queries: Counter,
    pub output_reads: Counter,
    pub output_checks: Counter,
    pub follower_failures: Counter,
    pub follower_gaps: Counter,
    pub backplane_connected: Gauge,
    pub backplane_sent: Counter,
    pub backplane_received: Counter,
    pub backplane_failures: Counter,
    pub relayed: Counter,
    pub relay_poisoned: Counter,
    pub lost_changes: Counter,
    pub removed: Counter,
    pub heartbeats: Counter,
    pub presence_changes: Counter,
    pub memory_bytes: Gauge,
    pub upload_memory_bytes: Gauge,
    pub brokers_active: Gauge,
    /// By outcome.
    pub broker_lookups: Family<Labels<1>, Counter>,
    pub responses: Family<Labels<1>, Counter<u64, AtomicU64>>,
    /// By status class and code.
    pub refusals: Family<Labels<2>, Counter>,
    /// By name.
    pub alerts_firing: Family<Labels<1>, Gauge>,
    pub spans_exported: Counter,
    /// By reason.
    pub spans_dropped: Family<Labels<1>, Counter>,
}

impl Metrics {
    #[must_use]
    pub fn new() -> Arc<Self> {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("porchlight")),
            queues: Queues::default(),
            loops: Loops::default(),
            permits: Permits::default(),
            streams_open: Gauge::default(),
            claims_waiting: Gauge::default(),
            streams_opened: Counter::default(),
            streams_closed: Family::default(),
            resets: Family::default(),
            delivered: Counter::default(),
            deliveries: Counter::default(),
            published: Counter::default(),
            publish_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
            signals: Counter::default(),
            signals_dropped: Counter::default(),
            replay_queries: Counter::default(),
            replay_queries_running: Gauge::default(),
            replay_logs_waiting: Gauge::default(),
            follower_queries: Counter::default(),
            output_reads: Counter::default(),
            output_checks: Counter::default(),
            follower_failures: Counter::default(),
            follower_gaps: Counter::default(),
            backplane_connected: Gauge::default(),
            backplane_sent: Counter::default(),
            backplane_received: Counter::default(),
            backplane_failures: Counter::default(),
            relayed: Counter::default(),
            relay_poisoned: Counter::default(),
            lost_changes: Counter::default(),
            removed: Counter::default(),
            heartbeats: Counter::default(),
            presence_changes: Counter::default(),
            memory_bytes: Gauge::default(),
            upload_memory_bytes: Gauge::default(),
            brokers_active: Gauge::default(),
            broker_lookups: Family::default(),
            responses: Family::default(),
            refusals: Family::default(),
            alerts_firing: Family::default(),
            spans_exported: Counter::default(),
            spans_dropped: Family::default(),
        };
        let metrics = Arc::new(metrics);
        metrics.register(&mut metrics.registry());
        metrics.read(metrics.queues.clone());
        metrics.read(metrics.loops.clone());
        metrics.read(metrics.permits.clone());
        metrics
    }

    /// Reads metrics from this source, too, whenever they are asked for.
    pub fn read(&self, source: impl MetricSource) {
        let collector = Box::new(SourceCollector(source));
        self.registry().register_collector(collector);
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, r: &mut Registry) {
        r.register("streams_open", "Open streams", self.streams_open.clone());
        let help = "Claims that are waiting for a task";
        r.register("claims_waiting", help, self.claims_waiting.clone());
        r.register(
            "streams_opened",
            "Streams that were opened",
            self.streams_opened.clone(),
        );
        let help = "Streams that the service ended, by reason";
        r.register("streams_closed", help, Named(self.streams_closed.clone()));
        r.register(
            "resets",
            "Resets of streams because a cursor could not be served, by reason",
            Named(self.resets.clone()),
        );
        r.register(
            "events_delivered",
            "Events written to streams",
            self.delivered.clone(),
        );
        let help = "Writes of events to streams";
        r.register("stream_writes", help, self.deliveries.clone());
        let help = "Events that this instance committed";
        r.register("events_published", help, self.published.clone());
        let help = "Seconds from a request to publish until its events are durable";
        r.register("publish_seconds", help, self.publish_seconds.clone());
        let help = "Accepted signals";
        r.register("signals", help, self.signals.clone());
        let help = "Signals that were dropped because too many were active";
        r.register("signals_dropped", help, self.signals_dropped.clone());
        self.register_queries(r);
        let help = "Events that this instance moved from the outbox to the log";
        r.register("events_relayed", help, self.relayed.clone());
        let help = "Rows of the outbox that could not become events and were set aside";
        r.register("relay_poisoned", help, self.relay_poisoned.clone());
        let help = "Changes of watched tables that are without an event, because they could not be recorded";
        r.register("lost_changes", help, self.lost_changes.clone());
        r.register(
            "events_removed",
            "Events that retention removed",
            self.removed.clone(),
        );
        let help = "Heartbeats of devices and tabs";
        r.register("heartbeats", help, self.heartbeats.clone());
        let help = "Changes of who is online and what they have open";
        r.register("presence_changes", help, self.presence_changes.clone());
        self.register_memory(r);
    }

    fn register_memory(&self, r: &mut Registry) {
        r.register(
            "memory_bytes",
            "Bytes of frames in memory",
            self.memory_bytes.clone(),
        );
        let help = "Bytes of memory reserved for files that are being uploaded";
        r.register(
            "upload_memory_bytes",
            help,
            self.upload_memory_bytes.clone(),
        );
        r.register(
            "brokers_active",
            "Brokerages whose recent events are in memory",
            self.brokers_active.clone(),
        );
        self.register_answers(r);
    }

    fn register_queries(&self, r: &mut Registry) {
        let help = "Queries for events that are no longer in memory";
        r.register("replay_queries", help, self.replay_queries.clone());
        let help = "Queries for events that are no longer in memory, now";
        let running = self.replay_queries_running.clone();
        r.register("replay_queries_running", help, running);
        let help = "Logs that wait for a query for events that are no longer in memory";
        let waiting = self.replay_logs_waiting.clone();
        r.register("replay_logs_waiting", help, waiting);
        let help = "Queries of the follower for new events";
        r.register("follower_queries", help, self.follower_queries.clone());
        let help = "Queries for the output of tasks that streams wait for";
        r.register("output_reads", help, self.output_reads.clone());
        let help = "Queries for the state of tasks whose output streams wait for";
        r.register("output_checks", help, self.output_checks.clone());
        let help = "Failures of the follower to reach the database";
        r.register("follower_failures", help, self.follower_failures.clone());
        let help = "Queries for the brokerage of a user, by outcome";
        r.register("broker_lookups", help, Named(self.broker_lookups.clone()));
        self.register_backplane(r);
    }

    fn register_backplane(&self, r: &mut Registry) {
        let help = "1 while notices of other instances are received and own ones are sent";
        r.register(
            "backplane_connected",
            help,
            self.backplane_connected.clone(),
        );
        let help = "Messages to other instances through Redis";
        r.register("backplane_sent", help, self.backplane_sent.clone());
        let help = "Messages from Redis, own ones included";
        r.register("backplane_received", help, self.backplane_received.clone());
        let help = "Failures to reach Redis";
        r.register("backplane_failures", help, self.backplane_failures.clone());
        let help = "Reads of the log because events of another instance did not arrive";
        r.register("follower_gaps", help, self.follower_gaps.clone());
    }

    fn register_answers(&self, r: &mut Registry) {
        let help = "Responses by class of status";
        r.register("responses", help, Named(self.responses.clone()));
        let help = "Refused requests by class of status and code";
        r.register("refusals", help, Named(self.refusals.clone()));
        let help = "Alerts that are firing at this instance, by name";
        r.register("alerts_firing", help, Named(self.alerts_firing.clone()));
        let help = "Spans that the receiver of traces has taken";
        r.register("spans_exported", help, self.spans_exported.clone());
        let help = "Spans that were dropped, by reason";
        r.register("spans_dropped", help, Named(self.spans_dropped.clone()));
    }

    /// Counts spans that were dropped for this reason.
    pub fn spans_dropped(&self, reason: &'static str, spans: u64) {
        if spans > 0 {
            let dropped = self.spans_dropped.get_or_create(&[("reason", reason)]);
            dropped.inc_by(spans);
        }
    }

    /// What Prometheus reads: `OpenMetrics`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry());
        text
    }

    /// The same in the older text format.
    #[must_use]
    pub fn classic_text(&self) -> String {
        classic::classic(&self.text())
    }
}
