//! The metrics of an instance, for Prometheus.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

type Labels<const N: usize> = [(&'static str, &'static str); N];

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
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
            follower_gaps: Counter::default(),
            backplane_connected: Gauge::default(),
            backplane_sent: Counter::default(),
            backplane_received: Counter::default(),
            backplane_failures: Counter::default(),
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
            alerts_firing: Family::default(),
        };
        metrics.register();
        Arc::new(metrics)
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("streams_open", "Open streams", self.streams_open.clone());
        let help = "Claims that are waiting for a task";
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
            "Resets of streams because a cursor could not be served, by reason",
            self.resets.clone(),
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
        self.register_queries();
        let r = &mut self.registry;
        let help = "Events that this instance moved from the outbox to the log";
        r.register("events_relayed", help, self.relayed.clone());
        let help = "Rows of the outbox that could not become events and were set aside";
        r.register("relay_poisoned", help, self.relay_poisoned.clone());
        r.register(
            "events_removed",
            "Events that retention removed",
            self.removed.clone(),
        );
        let help = "Heartbeats of devices and tabs";
        r.register("heartbeats", help, self.heartbeats.clone());
        let help = "Changes of who is online and what they have open";
        r.register("presence_changes", help, self.presence_changes.clone());
        self.register_memory();
    }

    fn register_memory(&mut self) {
        let r = &mut self.registry;
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
        self.register_answers();
    }

    fn register_queries(&mut self) {
        let r = &mut self.registry;
        let help = "Queries for events that are no longer in memory";
        r.register("replay_queries", help, self.replay_queries.clone());
        let help = "Queries of the follower for new events";
        r.register("follower_queries", help, self.follower_queries.clone());
        let help = "Queries for the output of tasks that streams wait for";
        r.register("output_reads", help, self.output_reads.clone());
        let help = "Queries for the state of tasks whose output streams wait for";
        r.register("output_checks", help, self.output_checks.clone());
        let help = "Failures of the follower to reach the database";
        r.register("follower_failures", help, self.follower_failures.clone());
        let help = "Queries for the brokerage of a user, by outcome";
        r.register("broker_lookups", help, self.broker_lookups.clone());
        self.register_backplane();
    }

    fn register_backplane(&mut self) {
        let r = &mut self.registry;
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

    fn register_answers(&mut self) {
        let r = &mut self.registry;
        let help = "Responses by class of status";
        r.register("responses", help, self.responses.clone());
        let help = "Refused requests by class of status and code";
        r.register("refusals", help, self.refusals.clone());
        let help = "Alerts that are firing at this instance, by name";
        r.register("alerts_firing", help, self.alerts_firing.clone());
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
