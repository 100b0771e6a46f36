//! The body of a request, in the JSON of OTLP: ids are hexadecimal, and numbers of 64 bits are texts.

use std::fmt::Display;

use serde::{Serialize, Serializer};

use crate::context::{SpanContext, SpanId, TraceId};
use crate::span::{Attribute, AttributeValue, Span};

/// The flags of a sampled span.
const SAMPLED: u32 = 1;
/// The status of a span that failed.
const ERROR: u32 = 2;

/// The JSON of spans. `resource` says what made them; `scope` and `version` name the code.
pub(crate) fn json(
    resource: &[Attribute],
    scope: &str,
    version: &str,
    spans: &[Span],
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&RequestJson {
        resource_spans: [ResourceSpansJson {
            resource: ResourceJson {
                attributes: attributes(resource),
            },
            scope_spans: [ScopeSpansJson {
                scope: ScopeJson {
                    name: scope,
                    version,
                },
                spans: spans.iter().map(SpanJson::of).collect(),
            }],
        }],
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestJson<'a> {
    resource_spans: [ResourceSpansJson<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpansJson<'a> {
    resource: ResourceJson<'a>,
    scope_spans: [ScopeSpansJson<'a>; 1],
}

#[derive(Serialize)]
struct ResourceJson<'a> {
    attributes: Vec<AttributeJson<'a>>,
}

#[derive(Serialize)]
struct ScopeSpansJson<'a> {
    scope: ScopeJson<'a>,
    spans: Vec<SpanJson<'a>>,
}

#[derive(Serialize)]
struct ScopeJson<'a> {
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanJson<'a> {
    #[serde(serialize_with = "text")]
    trace_id: TraceId,
    #[serde(serialize_with = "text")]
    span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    flags: u32,
    name: &'a str,
    kind: u32,
    #[serde(serialize_with = "text")]
    start_time_unix_nano: u64,
    #[serde(serialize_with = "text")]
    end_time_unix_nano: u64,
    attributes: Vec<AttributeJson<'a>>,
    links: Vec<LinkJson>,
    dropped_links_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<StatusJson>,
}

impl<'a> SpanJson<'a> {
    fn of(span: &'a Span) -> Self {
        Self {
            trace_id: span.context.trace,
            span_id: span.context.span,
            parent_span_id: span.parent.map(|parent| parent.to_string()),
            flags: SAMPLED,
            name: &span.name,
            kind: span.kind as u32,
            start_time_unix_nano: span.start_ns,
            end_time_unix_nano: span.end_ns,
            attributes: attributes(&span.attributes),
            links: span.links.spans.iter().map(LinkJson::of).collect(),
            dropped_links_count: span.links.dropped,
            status: span.is_error.then_some(StatusJson { code: ERROR }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkJson {
    #[serde(serialize_with = "text")]
    trace_id: TraceId,
    #[serde(serialize_with = "text")]
    span_id: SpanId,
    flags: u32,
}

impl LinkJson {
    fn of(context: &SpanContext) -> Self {
        Self {
            trace_id: context.trace,
            span_id: context.span,
            flags: SAMPLED,
        }
    }
}

#[derive(Serialize)]
struct StatusJson {
    code: u32,
}

#[derive(Serialize)]
struct AttributeJson<'a> {
    key: &'a str,
    value: ValueJson<'a>,
}

impl<'a> AttributeJson<'a> {
    fn of(attribute: &'a Attribute) -> Self {
        Self {
            key: attribute.name,
            value: match &attribute.value {
                AttributeValue::Text(text) => ValueJson::StringValue(text),
                AttributeValue::Number(number) => ValueJson::IntValue(*number),
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ValueJson<'a> {
    StringValue(&'a str),
    IntValue(#[serde(serialize_with = "text")] i64),
}

fn attributes(attributes: &[Attribute]) -> Vec<AttributeJson<'_>> {
    attributes.iter().map(AttributeJson::of).collect()
}

fn text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::span::{LinkedSpans, SpanKind};

    #[test]
    fn the_json_is_that_of_the_specification() {
        let context = |n| SpanContext {
            trace: TraceId::of([n; 16]).unwrap(),
            span: SpanId::of([n; 8]).unwrap(),
        };
        let mut links = LinkedSpans::default();
        links.add(context(0xab));
        let span = Span {
            name: "commit".into(),
            kind: SpanKind::Internal,
            context: context(1),
            parent: SpanId::of([2; 8]),
            start_ns: 1_700_000_000_000_000_001,
            end_ns: 1_700_000_000_000_000_002,
            attributes: vec![Attribute::number("events", -3)],
            links,
            is_error: true,
        };
        let resource = [Attribute::text("service.name", "porchlight")];
        let json = super::json(&resource, "scope", "1.2", &[span]).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let expected = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "porchlight"}}]},
            "scopeSpans": [{
                "scope": {"name": "scope", "version": "1.2"},
                "spans": [{
                    "traceId": "01010101010101010101010101010101",
                    "spanId": "0101010101010101",
                    "parentSpanId": "0202020202020202",
                    "flags": 1,
                    "name": "commit",
                    "kind": 1,
                    "startTimeUnixNano": "1700000000000000001",
                    "endTimeUnixNano": "1700000000000000002",
                    "attributes": [{"key": "events", "value": {"intValue": "-3"}}],
                    "links": [{
                        "traceId": "abababababababababababababababab",
                        "spanId": "abababababababab",
                        "flags": 1,
                    }],
                    "droppedLinksCount": 0,
                    "status": {"code": 2},
                }],
            }],
        }]});
        assert_eq!(json, expected);
    }
}
