//! Traces for OpenTelemetry: spans of sampled requests, and of what becomes of their events.
//!
//! Without an endpoint there is no tracer, and nothing is done. Spans are made for sampled requests and
//! events only. They go into a bounded queue, which nothing ever waits for.

use std::sync::Arc;

use otlp::Traceparent;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{BackgroundTask, Clock, Dice, Metrics};

mod collected;
mod context;
mod delivery;
mod export;
mod open_span;
mod settings;

pub use context::{current, stored, within};
pub use delivery::DeliveryTrace;
pub use open_span::OpenSpan;
pub use otlp::{Attribute, BadTarget, ExportTarget, SpanContext, SpanKind};
pub use settings::TraceSettings;

use export::SpanExport;

/// Spans that may wait to be sent. One more is dropped.
const WAITING_SPANS: usize = 2_048;

/// Makes spans, or none where there is no endpoint.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<SharedTracer>>);

#[derive(Debug)]
struct SharedTracer {
    clock: Clock,
    dice: Dice,
    /// The share of the requests without `traceparent` that are sampled.
    ratio: f64,
    queue: mpsc::Sender<EndedSpan>,
    metrics: Arc<Metrics>,
}

/// What waits to be sent.
#[derive(Debug)]
enum EndedSpan {
    Span(Box<otlp::Span>),
    /// Streams may still get the event.
    Delivery(Arc<DeliveryTrace>),
}

pub struct TracerParts<'a> {
    pub settings: &'a TraceSettings,
    pub target: ExportTarget,
    /// The name of this instance.
    pub instance: Arc<str>,
    pub clock: Clock,
    pub dice: Dice,
    pub metrics: Arc<Metrics>,
    pub stop: CancellationToken,
}

impl Tracer {
    /// The tracer, and the background task that sends its spans.
    #[must_use]
    pub fn start(parts: TracerParts<'_>) -> (Self, BackgroundTask) {
        let (queue, ended) = mpsc::channel(WAITING_SPANS);
        let tracer = SharedTracer {
            clock: parts.clock.clone(),
            dice: parts.dice.clone(),
            ratio: parts.settings.trace_ratio,
            queue,
            metrics: Arc::clone(&parts.metrics),
        };
        let export = SpanExport::new(parts, ended);
        let task = BackgroundTask::new("the export of traces", export.run());
        (Self(Some(Arc::new(tracer))), task)
    }

    /// The span of a request with this header, if the request is sampled. A header that is not valid counts
    /// as missing.
    #[must_use]
    pub fn request(&self, traceparent: Option<&str>) -> Option<OpenSpan> {
        let tracer = self.0.as_ref()?;
        let parent = traceparent.and_then(Traceparent::parse);
        let is_sampled = match parent {
            Some(parent) => parent.is_sampled,
            None => tracer.dice.chance(tracer.ratio),
        };
        let parent = parent.map(|parent| parent.context);
        is_sampled.then(|| OpenSpan::begin(tracer, SpanKind::Server, parent))
    }

    /// The span of a request that its database transaction has named. `None` without traces.
    #[must_use]
    pub fn stored(&self, traceparent: Option<&str>) -> Option<Arc<SpanContext>> {
        self.0.as_ref()?;
        stored(traceparent)
    }

    /// A span about the events of these requests, in a trace of its own. `None` if there is none: most
    /// events belong to no sampled request.
    pub fn about<'a>(
        &self,
        name: &'static str,
        kind: SpanKind,
        requests: impl IntoIterator<Item = &'a Arc<SpanContext>>,
    ) -> Option<OpenSpan> {
        let tracer = self.0.as_ref()?;
        let mut requests = requests.into_iter().peekable();
        requests.peek()?;
        let mut span = OpenSpan::begin(tracer, kind, None);
        span.name(name);
        requests.for_each(|request| span.link(**request));
        Some(span)
    }
}

impl SharedTracer {
    fn send(&self, ended: EndedSpan) {
        if self.queue.try_send(ended).is_err() {
            self.metrics.spans_dropped("queue_full", 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        traces: TraceSettings,
    }

    /// A tracer whose spans nobody sends, and its metrics.
    fn tracer(ratio: &str) -> (Tracer, BackgroundTask, Arc<Metrics>) {
        let ratio = format!("--trace-ratio={ratio}");
        let endpoint = "--otlp-endpoint=http://127.0.0.1:9";
        let settings = Flags::parse_from(["porchlight", endpoint, &ratio]).traces;
        let metrics = Metrics::new();
        let (tracer, task) = Tracer::start(TracerParts {
            target: settings.target().unwrap().unwrap(),
            settings: &settings,
            instance: "i".into(),
            clock: Clock::system(),
            dice: Dice::seeded(1),
            metrics: Arc::clone(&metrics),
            stop: CancellationToken::new(),
        });
        (tracer, task, metrics)
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_request_is_sampled_as_its_header_says_and_otherwise_by_chance() {
        let unsampled = format!("{}00", &PARENT[..53]);
        for (ratio, by_chance) in [("0", 0), ("1", 100)] {
            let (tracer, _task, _) = tracer(ratio);
            let sampled = |header| {
                let requests = (0..100).filter_map(|_| tracer.request(header));
                requests.count()
            };
            assert_eq!(sampled(Some(PARENT)), 100);
            assert_eq!(sampled(Some(&unsampled)), 0);
            assert_eq!(sampled(None), by_chance);
            assert_eq!(sampled(Some("no header")), by_chance);
        }
        let (some, _task, _) = tracer("0.5");
        let sampled = (0..200).filter(|_| some.request(None).is_some()).count();
        assert!((60..140).contains(&sampled), "{sampled}");
        assert!(Tracer::default().request(Some(PARENT)).is_none());
    }

    #[test]
    fn spans_of_a_request_are_below_the_callers_and_others_link_to_it() {
        let (tracer, _task, _) = tracer("0");
        let request = tracer.request(Some(PARENT)).unwrap().context();
        let caller = stored(Some(PARENT)).unwrap();
        assert_eq!(request.trace, caller.trace);
        assert_ne!(request.span, caller.span);
        let about = |requests: &[Arc<SpanContext>]| {
            let span = tracer.about("commit", SpanKind::Internal, requests);
            span.map(|span| span.context())
        };
        let commit = about(&[Arc::new(request)]).unwrap();
        assert_ne!(commit.trace, request.trace);
        assert_eq!(about(&[]), None);
        assert!(tracer.stored(Some(PARENT)).is_some());
        assert!(Tracer::default().stored(Some(PARENT)).is_none());
    }

    #[test]
    fn spans_that_do_not_fit_into_the_queue_are_dropped_and_counted() {
        let (tracer, _task, metrics) = tracer("0");
        for _ in 0..WAITING_SPANS + 5 {
            tracer.request(Some(PARENT)).unwrap().end();
        }
        let text = metrics.text();
        let dropped = "porchlight_spans_dropped_total{reason=\"queue_full\"} 5\n";
        assert!(text.contains(dropped), "{text}");
    }
}
