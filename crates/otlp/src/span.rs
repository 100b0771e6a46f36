//! Spans that are over.

use std::borrow::Cow;

use crate::context::{SpanContext, SpanId};

/// The most links of a span. Further ones are counted.
pub const MOST_LINKS: usize = 128;

/// The role of a span between services. The numbers are those of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    Internal = 1,
    /// It serves a request.
    Server = 2,
    /// It sends a message to others.
    Producer = 4,
    /// It receives messages.
    Consumer = 5,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    Text(Cow<'static, str>),
    Number(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: &'static str,
    pub value: AttributeValue,
}

impl Attribute {
    pub fn text(name: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        let value = AttributeValue::Text(text.into());
        Self { name, value }
    }

    #[must_use]
    pub fn number(name: &'static str, number: i64) -> Self {
        let value = AttributeValue::Number(number);
        Self { name, value }
    }

    #[must_use]
    pub fn count(name: &'static str, count: usize) -> Self {
        Self::number(name, i64::try_from(count).unwrap_or(i64::MAX))
    }
}

/// Other spans that a span is about, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkedSpans {
    pub spans: Vec<SpanContext>,
    /// Those for which there was no space.
    pub dropped: u32,
}

impl LinkedSpans {
    pub fn add(&mut self, span: SpanContext) {
        if self.spans.contains(&span) {
            return;
        }
        if self.spans.len() < MOST_LINKS {
            self.spans.push(span);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub name: Cow<'static, str>,
    pub kind: SpanKind,
    pub context: SpanContext,
    /// In the same trace.
    pub parent: Option<SpanId>,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    /// Nanoseconds since 1970.
    pub end_ns: u64,
    pub attributes: Vec<Attribute>,
    pub links: LinkedSpans,
    /// Whether it failed.
    pub is_error: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::TraceId;

    #[test]
    fn each_span_is_linked_once_and_links_are_bounded() {
        let mut links = LinkedSpans::default();
        let number = u8::try_from(MOST_LINKS).unwrap() + 10;
        for n in (1..=number).chain(1..=10) {
            links.add(SpanContext {
                trace: TraceId::of([n; 16]).unwrap(),
                span: SpanId::of([1; 8]).unwrap(),
            });
        }
        assert_eq!((links.spans.len(), links.dropped), (MOST_LINKS, 10));
    }
}
