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
