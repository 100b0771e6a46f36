//! Answers as bytes on a connection, for tests that write requests themselves.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{DESCRIBED, Received, Sent, answer, contradictions, note, seen, text, things};

/// Codes of answers to bytes that are no request.
const OF_NO_REQUEST: [&str; 3] = ["malformed_request", "head_timeout", "head_too_large"];

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub headers: HeaderMap,
}

#[derive(Debug)]
struct RawAnswer {
    head: Head,
    /// Nothing where it did not come whole.
    body: Option<String>,
}

impl Head {
    /// Reads a head without the empty line at its end.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?;
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':')?;
            let name: HeaderName = name.parse().ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        Some(Self {
            status: status.parse().ok()?,
            headers: headers.collect::<Option<HeaderMap>>()?,
        })
    }

    /// Splits the bytes after this head into its body and what follows it.
    fn body<'a>(&self, rest: &'a str) -> (Option<String>, &'a str) {
        if self.status < 200 || self.status == 204 {
            return (Some(String::new()), rest);
        }
        if text(&self.headers, "transfer-encoding") == Some("chunked") {
            return chunks(rest);
        }
        let length = text(&self.headers, "content-length");
        let length = length.and_then(|length| length.parse().ok());
        let length = length.unwrap_or(rest.len());
        match rest.split_at_checked(length) {
            Some((body, rest)) => (Some(body.to_owned()), rest),
            None => (None, ""),
        }
    }
}

/// The text of all chunks, and what follows them.
fn chunks(mut rest: &str) -> (Option<String>, &str) {
    let mut whole = String::new();
    loop {
        let chunk = rest.split_once("\r\n").and_then(|(length, rest)| {
            let length = usize::from_str_radix(length, 16).ok()?;
            let (chunk, rest) = rest.split_at_checked(length)?;
            Some((chunk, rest.strip_prefix("\r\n")?))
        });
        let Some((chunk, after)) = chunk else {
            return (None, "");
        };
        rest = after;
        if chunk.is_empty() {
            return (Some(whole), rest);
        }
        whole += chunk;
    }
}

impl RawAnswer {
    /// All answers on a connection, except for `100 Continue`.
    fn all(mut received: &str) -> Vec<Self> {
        let mut answers = Vec::new();
        while let Some((head, rest)) = received.split_once("\r\n\r\n") {
            let head = Head::parse(head).unwrap_or_else(|| panic!("no head: {head:?}"));
            let (body, rest) = head.body(rest);
            received = rest;
            if head.status >= 200 {
                answers.push(Self { head, body });
            }
        }
        answers
    }

    fn received(&self) -> Received<'_> {
        Received {
            status: self.head.status,
            headers: &self.head.headers,
            body: self.body.as_deref(),
        }
    }

    /// Whether it says that the bytes are no request.
    fn is_of_no_request(&self) -> bool {
        let problem = self.body.as_deref().map(serde_json::from_str::<Value>);
        let problem = problem.and_then(Result::ok).unwrap_or_default();
        problem["code"]
            .as_str()
            .is_some_and(|code| OF_NO_REQUEST.contains(&code))
    }
}

/// The requests whose first line is anywhere in the bytes, also right after a body.
fn requests(sent: &[u8]) -> Vec<Sent> {
    let sent = String::from_utf8_lossy(sent);
    let lines = sent.lines().filter_map(|line| {
        let (line, _) = line.rsplit_once(" HTTP/1.")?;
        let (rest, target) = line.rsplit_once(' ')?;
        // A request to a proxy names the host too.
        let target = match target.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("/", |path| &rest[path..]),
            None => target,
        };
        let method = rest.rsplit(|c: char| !c.is_ascii_uppercase()).next()?;
        Some(Sent::bodiless(method, target))
    });
    lines.collect()
}

/// Panics if an answer on a connection is described for none of the requests that were sent. Which of
/// them it answers is not known.
#[track_caller]
pub fn assert_connection_described(sent: &[u8], received: &str) {
    let requests = requests(sent);
    for answer in RawAnswer::all(received) {
        if answer.is_of_no_request() {
            assert_refusal_described(&answer);
            continue;
        }
        let faults = |sent: &&Sent| contradictions(sent, answer.received()).is_empty();
        let Some(sent) = requests.iter().find(faults) else {
            let faults = requests
                .iter()
                .map(|sent| contradictions(sent, answer.received()));
            let faults = faults.flatten().collect::<Vec<_>>().join("\n");
            panic!("openapi.yaml says otherwise: {answer:?}\n{faults}");
        };
        note(sent, answer.received());
    }
}

#[track_caller]
fn assert_refusal_described(refusal: &RawAnswer) {
    let found = DESCRIBED.of_no_request(refusal.head.status);
    let found = found.expect("a response to what is no request");
    let unknown = Sent::bodiless("", "");
    let mut faults = Vec::new();
    answer(found.response, &unknown, refusal.received(), &mut faults);
    assert!(faults.is_empty(), "{refusal:?}\n{}", faults.join("\n"));
    for thing in things::received(&found, &unknown, refusal.received()) {
        seen::note(thing);
    }
}
