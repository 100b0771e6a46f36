//! Spans that wait to be sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use otlp::Span;
use tokio::time::Instant;

use super::{DeliveryTrace, EndedSpan};

/// The most spans of one request.
const BATCH_SPANS: usize = 512;
/// Deliveries whose streams are still counted. One more ends the oldest.
const MOST_DELIVERIES: usize = 4_096;
/// Streams that get an event within so many intervals are counted.
const DELIVERY_INTERVALS: u32 = 2;

pub(super) struct CollectedSpans {
    /// In the order in which they ended.
    pub(super) spans: Vec<Span>,
    /// When the first of them came.
    since: Instant,
    /// The oldest first.
    deliveries: VecDeque<Arc<DeliveryTrace>>,
    /// How long spans wait for others.
    delay: Duration,
}

impl CollectedSpans {
    pub(super) fn new(delay: Duration) -> Self {
        Self {
            spans: Vec::new(),
            since: Instant::now(),
            deliveries: VecDeque::new(),
            delay,
        }
    }

    pub(super) fn take(&mut self, ended: EndedSpan) {
        match ended {
            EndedSpan::Span(span) => self.add(*span),
            EndedSpan::Delivery(delivery) => {
                self.deliveries.push_back(delivery);
                if self.deliveries.len() > MOST_DELIVERIES {
                    self.end_oldest_delivery();
                }
            }
        }
    }

    /// Whether spans are to be sent now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        while self.next_end().is_some_and(|end| end <= now) {
            self.end_oldest_delivery();
        }
        let is_due = self.spans.len() >= BATCH_SPANS || self.since + self.delay <= now;
        is_due && !self.spans.is_empty()
    }

    /// When there is something to do, if nothing else comes.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let sent_at = (!self.spans.is_empty()).then(|| self.since + self.delay);
        [sent_at, self.next_end()].into_iter().flatten().min()
    }

    /// The number of spans that the next request has, if there are any.
    pub(super) fn batch(&self) -> Option<usize> {
        let count = self.spans.len().min(BATCH_SPANS);
        (count > 0).then_some(count)
    }

    /// Forgets the first spans.
    pub(super) fn remove(&mut self, count: usize) {
        self.spans.drain(..count);
    }

    pub(super) fn end_all_deliveries(&mut self) {
        while !self.deliveries.is_empty() {
            self.end_oldest_delivery();
        }
    }

    fn next_end(&self) -> Option<Instant> {
        let oldest = self.deliveries.front()?;
        Some(oldest.began() + self.delay * DELIVERY_INTERVALS)
    }

    fn end_oldest_delivery(&mut self) {
        let ended = self.deliveries.pop_front();
        if let Some(span) = ended.and_then(|delivery| delivery.span()) {
            self.add(span);
        }
    }

    fn add(&mut self, span: Span) {
        if self.spans.is_empty() {
            self.since = Instant::now();
        }
        self.spans.push(span);
    }
}

#[cfg(test)]
mod tests {
    use otlp::{AttributeValue, LinkedSpans, SpanContext, SpanId, SpanKind, TraceId};

    use super::*;

    const DELAY: Duration = Duration::from_secs(1);

    fn span() -> Span {
        Span {
            name: "x".into(),
            kind: SpanKind::Internal,
            context: SpanContext {
                trace: TraceId::of([1; 16]).unwrap(),
                span: SpanId::of([1; 8]).unwrap(),
            },
            parent: None,
            start_ns: 1_000,
            end_ns: 2_000,
            attributes: Vec::new(),
            links: LinkedSpans::default(),
            is_error: false,
        }
    }

    fn ended() -> EndedSpan {
        EndedSpan::Span(Box::new(span()))
    }

    fn delivery() -> Arc<DeliveryTrace> {
        Arc::new(DeliveryTrace::new(span()))
    }

    #[test]
    fn spans_are_sent_when_they_have_waited_or_when_there_are_many() {
        let mut collected = CollectedSpans::new(DELAY);
        let now = Instant::now();
        assert!(!collected.is_due(now + DELAY) && collected.wakes_at().is_none());
        collected.take(ended());
        assert!(!collected.is_due(now) && collected.is_due(Instant::now() + DELAY));
        assert!(collected.wakes_at().is_some_and(|at| at >= now + DELAY));
        for _ in 0..BATCH_SPANS {
            collected.take(ended());
        }
        assert!(collected.is_due(now));
        assert_eq!(collected.batch(), Some(BATCH_SPANS));
        collected.remove(BATCH_SPANS);
        assert_eq!(collected.batch(), Some(1));
    }

    #[test]
    fn a_delivery_has_the_number_of_streams_and_ends_with_the_last() {
        let mut collected = CollectedSpans::new(DELAY);
        let (seen, unseen) = (delivery(), delivery());
        for delivery in [&seen, &unseen] {
            collected.take(EndedSpan::Delivery(Arc::clone(delivery)));
        }
        let ends_at = seen.began() + DELAY * DELIVERY_INTERVALS;
        assert_eq!(collected.wakes_at(), Some(ends_at));
        for micros in [7, 9, 8] {
            seen.written(seen.began() + Duration::from_micros(micros));
        }
        assert!(!collected.is_due(ends_at - Duration::from_millis(1)));
        assert!(collected.spans.is_empty(), "more streams may get it");
        collected.is_due(unseen.began() + DELAY * DELIVERY_INTERVALS);
        assert_eq!(collected.spans.len(), 1, "one reached nobody");
        let span = &collected.spans[0];
        assert_eq!(span.end_ns, span.start_ns + 9_000);
        assert_eq!(span.attributes[0].value, AttributeValue::Number(3));
    }

    #[test]
    fn deliveries_are_bounded() {
        let mut collected = CollectedSpans::new(DELAY);
        for _ in 0..MOST_DELIVERIES + 3 {
            let delivery = delivery();
            delivery.written(delivery.began());
            collected.take(EndedSpan::Delivery(delivery));
        }
        assert_eq!(collected.spans.len(), 3);
        collected.end_all_deliveries();
        assert_eq!(collected.spans.len(), MOST_DELIVERIES + 3);
        assert!(collected.wakes_at().is_some());
    }
}
