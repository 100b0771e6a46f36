//! Spans of OpenTelemetry, sent by OTLP over HTTP as JSON. It knows nothing of Porchlight.
//!
//! It has no queue, no clock and no randomness: the caller makes the spans and decides when they are sent.

mod body;
mod context;
mod exporter;
mod headers;
mod span;

pub use context::{SpanContext, SpanId, TraceId, Traceparent};
pub use exporter::{BadTarget, ExportError, ExportTarget, Exported, Exporter};
pub use headers::{BadHeaders, ExportHeaders};
pub use span::{Attribute, AttributeValue, LinkedSpans, MOST_LINKS, Span, SpanKind};
