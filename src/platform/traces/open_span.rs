//! A span that is not over.

use std::borrow::Cow;
use std::sync::Arc;

use otlp::{Attribute, LinkedSpans, Span, SpanContext, SpanId, SpanKind, TraceId};
use tokio::time::Instant;

use super::{DeliveryTrace, EndedSpan, SharedTracer};

/// Dropping it leaves no span behind.
#[derive(Debug)]
pub struct OpenSpan(Box<OpenSpanParts>);

#[derive(Debug)]
struct OpenSpanParts {
    tracer: Arc<SharedTracer>,
    span: Span,
    began: Instant,
}

impl OpenSpan {
    /// A span below `parent`, or the first of a trace.
    pub(super) fn begin(
        tracer: &Arc<SharedTracer>,
        kind: SpanKind,
        parent: Option<SpanContext>,
    ) -> Self {
        let start_ns = tracer.clock.now().unix_timestamp_nanos();
        let span = Span {
            name: Cow::Borrowed(""),
            kind,
            context: SpanContext {
                trace: parent.map_or_else(|| tracer.trace_id(), |parent| parent.trace),
                span: tracer.span_id(),
            },
            parent: parent.map(|parent| parent.span),
            start_ns: u64::try_from(start_ns).unwrap_or_default(),
            end_ns: 0,
            attributes: Vec::new(),
            links: LinkedSpans::default(),
            is_error: false,
        };
        Self(Box::new(OpenSpanParts {
            tracer: Arc::clone(tracer),
            span,
            began: Instant::now(),
        }))
    }

    #[must_use]
    pub fn context(&self) -> SpanContext {
        self.0.span.context
    }

    pub fn name(&mut self, name: impl Into<Cow<'static, str>>) {
        self.0.span.name = name.into();
    }

    pub fn add(&mut self, attribute: Attribute) {
        self.0.span.attributes.push(attribute);
    }

    pub fn fail(&mut self) {
        self.0.span.is_error = true;
    }

    pub(super) fn link(&mut self, span: SpanContext) {
        self.0.span.links.add(span);
    }

    /// The span of an event that streams get from now on, below this one.
    #[must_use]
    pub fn delivery(&self, request: SpanContext, attributes: Vec<Attribute>) -> Arc<DeliveryTrace> {
        let OpenSpanParts { tracer, span, .. } = &*self.0;
        let OpenSpanParts { span: below, .. } =
            *Self::begin(tracer, SpanKind::Producer, Some(span.context)).0;
        let mut below = below;
        below.name = Cow::Borrowed("delivery");
        below.attributes = attributes;
        below.links.add(request);
        let delivery = Arc::new(DeliveryTrace::new(below));
        tracer.send(EndedSpan::Delivery(Arc::clone(&delivery)));
        delivery
    }

    /// The span is over.
    pub fn end(self) {
        let OpenSpanParts {
            tracer,
            mut span,
            began,
        } = *self.0;
        let ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        span.end_ns = span.start_ns.saturating_add(ns);
        tracer.send(EndedSpan::Span(Box::new(span)));
    }
}

impl SharedTracer {
    fn trace_id(&self) -> TraceId {
        loop {
            if let Some(id) = TraceId::of(self.dice.bytes()) {
                return id;
            }
        }
    }

    fn span_id(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::of(self.dice.bytes()) {
                return id;
            }
        }
    }
}
