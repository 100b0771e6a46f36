//! What Prometheus is told.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Counters and gauges of one instance.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Streams that are open.
    pub streams_open: Gauge,
    /// Claims that wait for a task.
    pub claims_waiting: Gauge,
    /// Streams that were opened.
    pub streams_opened: Counter,
    /// Streams the service ended, by reason.
    pub streams_closed: Family<Labels<1>, Counter>,
    /// Cursors that could not be served, by reason.
    pub resets: Family<Labels<1>, Counter>,
    /// Events written to streams.
    pub delivered: Counter,
    /// Writes to streams that carried events.
    pub deliveries: Counter,
    /// Events committed by this instance.
    pub published: Counter,
    /// From a request's arrival to its events being durable.
    pub publish_seconds: Histogram,
    pub signals: Counter,
    /// Signals that did not reach everybody because too many were about.
    pub signals_dropped: Counter,
    /// Queries for events that had left memory.
    pub replay_queries: Counter,
    /// Queries the follower made to read on.
    pub follower_queries: Counter,
    /// Queries for output that streams wait for.
    pub output_reads: Counter,
    /// Queries that looked for changes of tasks whose output streams wait for.
    pub output_checks: Counter,
    /// Times the follower lost the database.
    pub follower_failures: Counter,
    /// Events that the relay moved from the outbox to the log.
    pub relayed: Counter,
    /// Rows of the outbox that could not be told.
    pub relay_poisoned: Counter,
    pub removed: Counter,
    /// Heartbeats of devices and tabs.
    pub heartbeats: Counter,
    /// Changes of who is here, and where.
    pub presence_changes: Counter,
    pub memory_bytes: Gauge,
    /// Room that files on their way in have.
    pub upload_memory_bytes: Gauge,
    pub brokers_active: Gauge,
    /// Queries for the brokerage of a user, by outcome.
    pub broker_lookups: Family<Labels<1>, Counter>,
    pub responses: Family<Labels<1>, Counter<u64, AtomicU64>>,
    /// Refusals, by status class and code.
    pub refusals: Family<Labels<2>, Counter>,
}

impl Metrics {
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::with_prefix("porchlight"),
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
            follower_queries: Counter::default(),
            output_reads: Counter::default(),
            output_checks: Counter::default(),
            follower_failures: Counter::default(),
            relayed: Counter::default(),
            relay_poisoned: Counter::default(),
            removed: Counter::default(),
            heartbeats: Counter::default(),
            presence_changes: Counter::default(),
            memory_bytes: Gauge::default(),
            upload_memory_bytes: Gauge::default(),
            brokers_active: Gauge::default(),
            broker_lookups: Family::default(),
            responses: Family::default(),
            refusals: Family::default(),
        };
        metrics.register();
        Arc::new(metrics)
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "streams_open",
            "Streams that are open",
            self.streams_open.clone(),
        );
        let help = "Claims that wait for a task";
        r.register("claims_waiting", help, self.claims_waiting.clone());
        r.register(
            "streams_opened",
            "Streams that were opened",
            self.streams_opened.clone(),
        );
        let help = "Streams that the service ended, by reason";
        r.register("streams_closed", help, self.streams_closed.clone());
        r.register(
            "resets",
            "Cursors that could not be served, by reason",
            self.resets.clone(),
        );
        r.register(
            "events_delivered",
            "Events written to streams",
            self.delivered.clone(),
        );
        let help = "Writes to streams that carried events";
        r.register("stream_writes", help, self.deliveries.clone());
        let help = "Events that this instance committed";
        r.register("events_published", help, self.published.clone());
        let help = "From a request to publish to its events being durable";
        r.register("publish_seconds", help, self.publish_seconds.clone());
        let help = "Signals that were taken";
        r.register("signals", help, self.signals.clone());
        let help = "Signals that did not reach everybody because too many were about";
        r.register("signals_dropped", help, self.signals_dropped.clone());
        self.register_queries();
        let r = &mut self.registry;
        let help = "Events that this instance moved from the outbox to the log";
        r.register("events_relayed", help, self.relayed.clone());
        let help = "Rows of the outbox that could not be told and were set aside";
        r.register("relay_poisoned", help, self.relay_poisoned.clone());
        r.register(
            "events_removed",
            "Events that retention removed",
            self.removed.clone(),
        );
        let help = "Heartbeats of devices and tabs";
        r.register("heartbeats", help, self.heartbeats.clone());
        let help = "Changes of who is here, and where";
        r.register("presence_changes", help, self.presence_changes.clone());
        self.register_memory();
    }

    fn register_memory(&mut self) {
        let r = &mut self.registry;
        r.register(
            "memory_bytes",
            "Frames in memory",
            self.memory_bytes.clone(),
        );
        let help = "Memory set aside for files that are arriving";
        r.register(
            "upload_memory_bytes",
            help,
            self.upload_memory_bytes.clone(),
        );
        r.register(
            "brokers_active",
            "Brokers in memory",
            self.brokers_active.clone(),
        );
        self.register_answers();
    }

    fn register_queries(&mut self) {
        let r = &mut self.registry;
        let help = "Queries for events that had left memory";
        r.register("replay_queries", help, self.replay_queries.clone());
        let help = "Queries by which the follower read on";
        r.register("follower_queries", help, self.follower_queries.clone());
        let help = "Queries for output that streams wait for";
        r.register("output_reads", help, self.output_reads.clone());
        let help = "Queries for changes of tasks whose output streams wait for";
        r.register("output_checks", help, self.output_checks.clone());
        let help = "Times the follower could not reach the database";
        r.register("follower_failures", help, self.follower_failures.clone());
        let help = "Queries for the brokerage of a user, by outcome";
        r.register("broker_lookups", help, self.broker_lookups.clone());
    }

    fn register_answers(&mut self) {
        let r = &mut self.registry;
        let help = "Answers by class of status";
        r.register("responses", help, self.responses.clone());
        let help = "Refusals by class of status and code";
        r.register("refusals", help, self.refusals.clone());
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
