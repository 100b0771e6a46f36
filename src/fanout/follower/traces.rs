//! The spans of events of sampled requests: one for all that are published together, and one for the
//! delivery of each.

use std::sync::Arc;

use super::Follower;
use crate::log::Event;
use crate::platform::DeliveryTrace;
use crate::platform::traces::{Attribute, OpenSpan, SpanKind};

/// Events that are published together, some of them of sampled requests.
pub(super) struct FanOutTrace {
    span: OpenSpan,
}

impl Follower {
    /// `None` for nearly all events: none of them is of a sampled request.
    pub(super) fn fan_out_trace(&self, events: &[Event]) -> Option<FanOutTrace> {
        let requests = events.iter().filter_map(|event| event.body.trace.as_ref());
        let tracer = &self.parts.tracer;
        let mut span = tracer.about("fan-out", SpanKind::Consumer, requests)?;
        span.add(Attribute::count("porchlight.events", events.len()));
        Some(FanOutTrace { span })
    }
}

impl FanOutTrace {
    /// Counts the streams that get this event, if it is of a sampled request.
    pub(super) fn delivery(&self, event: &Event) -> Option<Arc<DeliveryTrace>> {
        let request = event.body.trace.as_ref()?;
        let event_type = event.body.event_type.as_str().to_owned();
        let attributes = vec![
            Attribute::text("porchlight.event.type", event_type),
            Attribute::number("porchlight.event.position", event.position),
        ];
        Some(self.span.delivery(**request, attributes))
    }

    pub(super) fn end(self) {
        self.span.end();
    }
}
