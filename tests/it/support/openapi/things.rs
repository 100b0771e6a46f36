//! What there is to receive, by name: operations with their statuses, headers that an answer may have, media
//! types, codes of problems, types of events.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::{Described, Found, Operation, Response};
use super::forms::EventForm;
use super::{Received, Sent, media_type};

/// A kind of things, and what its names begin with.
pub struct Kind {
    pub name: &'static str,
    pub all: BTreeSet<String>,
}

impl Described {
    /// Everything that the document describes.
    pub fn things(&self) -> Vec<Kind> {
        let operations = self.operations.iter();
        let operations = operations.map(Operation::name).collect();
        let mut statuses = BTreeSet::new();
        let mut parts = BTreeSet::new();
        for found in self.all() {
            parts.extend(of_response(&found));
            statuses.insert(found.name);
        }
        let forms = self.operations.iter();
        let forms = forms.flat_map(|operation| operation.responses.values());
        let forms = forms.flat_map(|response| &response.events);
        let events = forms.flat_map(EventForm::types).collect();
        let kind = |name, all| Kind { name, all };
        vec![
            kind("operations", operations),
            kind("statuses", statuses),
            kind("optional headers and media types", parts),
            kind("types of events", events),
            kind("codes of problems", codes()),
        ]
    }
}

/// The codes of problems that the service has.
fn codes() -> BTreeSet<String> {
    let codes = porchlight::api::Code::ALL.iter();
    codes.map(|code| noted_code(code.as_str())).collect()
}

fn noted_code(code: &str) -> String {
    format!("the code {code}")
}

/// The parts of a response that a test does not see by seeing its status.
fn of_response(found: &Found<'_>) -> Vec<String> {
    let Found { name, response, .. } = found;
    let optional = response.headers.iter().filter(|(_, h)| !h.is_required);
    let headers = optional.map(|(header, _)| format!("{name} with {header}"));
    let content = response.content.keys();
    let types = content.filter(|_| has_types(response));
    let types = types.map(|media_type| format!("{name} as {media_type}"));
    headers.chain(types).collect()
}

fn has_types(response: &Response) -> bool {
    response.content.len() > 1
}

/// What was received with an answer.
pub fn received(found: &Found<'_>, sent: &Sent, received: Received<'_>) -> Vec<String> {
    // Its body is missing.
    if sent.method == "HEAD" {
        return Vec::new();
    }
    let Found { name, response, .. } = found;
    let mut things = vec![name.clone()];
    things.extend(found.operation.map(Operation::name));
    let optional = response.headers.iter().filter(|(_, h)| !h.is_required);
    let headers = optional.filter(|(header, _)| received.headers.contains_key(header.as_str()));
    things.extend(headers.map(|(header, _)| format!("{name} with {header}")));
    let media_type = media_type(received.headers);
    if has_types(response) {
        things.push(format!("{name} as {media_type}"));
    }
    if media_type == "application/problem+json" {
        let problem: Value = received
            .body
            .and_then(|body| serde_json::from_str(body).ok())
            .unwrap_or_default();
        things.extend(problem["code"].as_str().map(noted_code));
    }
    things
}
