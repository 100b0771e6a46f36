//! How many streams an event of a sampled request reached, and when the last of them.

use std::sync::atomic::{AtomicU64, Ordering};

use otlp::{Attribute, Span};
use tokio::time::Instant;

/// A stream that gets the event costs two atomic operations, and no stream costs anything for other events.
#[derive(Debug)]
pub struct DeliveryTrace {
    /// Without its end.
    span: Span,
    began: Instant,
    streams: AtomicU64,
    /// Nanoseconds from the beginning to the last stream.
    last_ns: AtomicU64,
}

impl DeliveryTrace {
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            began: Instant::now(),
            streams: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
        }
    }

    /// One more stream got the event.
    pub fn written(&self, at: Instant) {
        let ns = at.saturating_duration_since(self.began).as_nanos();
        let ns = u64::try_from(ns).unwrap_or(u64::MAX);
        self.last_ns.fetch_max(ns, Ordering::Relaxed);
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// The span of what was delivered until now. `None`: no stream got it.
    pub(super) fn span(&self) -> Option<Span> {
        let streams = self.streams.load(Ordering::Relaxed);
        if streams == 0 {
            return None;
        }
        let mut span = self.span.clone();
        let last_ns = self.last_ns.load(Ordering::Relaxed);
        span.end_ns = span.start_ns.saturating_add(last_ns);
        let streams = i64::try_from(streams).unwrap_or(i64::MAX);
        let count = Attribute::number("porchlight.streams", streams);
        span.attributes.push(count);
        Some(span)
    }
}
