//! The list of all parsers of what strangers send: `cargo fuzz` has a target for each of them, and the tests
//! below give them chance and the corpus.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::test::TestRequest;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::FutureExt;
use serde::de::DeserializeOwned;

use super::body;
use super::framing::entry_point::FRAMING;
use super::idempotency::KeyHeader;
use super::post_events::entry_point::PUBLICATION;
use super::precondition::Preconditions;
use super::{
    client_address, query, record_fields, sessions, streams, task_output, tasks, tasks_worker,
};
use super::{get_events, locks, notifications, post_signals, presence};
use crate::platform::entry_point::{EntryPoint, pieces, with_text};

#[cfg(test)]
mod tests;

const OWN: [EntryPoint; 8] = [
    FRAMING,
    EntryPoint {
        name: "query",
        read: |bytes| with_text(bytes, query),
    },
    PUBLICATION,
    EntryPoint {
        name: "bodies",
        read: bodies,
    },
    EntryPoint {
        name: "headers",
        read: headers,
    },
    EntryPoint {
        name: "last_event_id",
        read: last_event_id,
    },
    EntryPoint {
        name: "sse_client",
        read: sse_client,
    },
    EntryPoint {
        name: "http1",
        read: http1,
    },
];

/// All parsers.
#[must_use]
pub fn all() -> Vec<EntryPoint> {
    let mut all = OWN.to_vec();
    all.push(crate::platform::ids::entry_point::IDS);
    all.extend(crate::log::entry_points::ENTRY_POINTS);
    all.extend(crate::identity::entry_points::ENTRY_POINTS);
    all.extend(crate::collab::entry_points::ENTRY_POINTS);
    all.extend(crate::records::entry_points::ENTRY_POINTS);
    all.extend(crate::stream::entry_points::ENTRY_POINTS);
    all.extend(crate::tasks::imports::entry_points::ENTRY_POINTS);
    all
}

/// Gives bytes to the parser with this name.
pub fn read(name: &str, bytes: &[u8]) {
    let entry = all().into_iter().find(|entry| entry.name == name);
    let entry = entry.unwrap_or_else(|| panic!("there is no parser {name}"));
    (entry.read)(bytes);
}

/// A query whose pairs are written again means the same.
fn query(text: &str) {
    let _ = query::parse::<get_events::EventsQuery>(text);
    let _ = query::parse::<locks::LocksQuery>(text);
    let pairs: Vec<_> = query::pairs(text).collect();
    let mut again = form_urlencoded::Serializer::new(String::new());
    again.extend_pairs(&pairs);
    let again = again.finish();
    assert_eq!(query::pairs(&again).collect::<Vec<_>>(), pairs);
}

/// Each kind of body. Only objects are accepted.
fn bodies(bytes: &[u8]) {
    fn one<T: DeserializeOwned>(bytes: &[u8]) {
        let is_object = bytes.trim_ascii_start().starts_with(b"{");
        assert!(body::parse::<T>(bytes).is_err() || is_object);
    }
    one::<locks::AcquireBody>(bytes);
    one::<locks::LockClaimBody>(bytes);
    one::<notifications::NotificationBody>(bytes);
    one::<notifications::ReadAllBody>(bytes);
    one::<notifications::PreferencesBody>(bytes);
    one::<post_signals::SignalBody>(bytes);
    one::<presence::HeartbeatBody>(bytes);
    one::<record_fields::FieldsBody>(bytes);
    one::<sessions::RevokeBody>(bytes);
    one::<task_output::OutputBody>(bytes);
    one::<tasks::OrderBody>(bytes);
    one::<tasks_worker::TaskClaimBody>(bytes);
    one::<tasks_worker::ProgressBody>(bytes);
    one::<tasks_worker::FailBody>(bytes);
}

const HEADERS: [&str; 7] = [
    "if-match",
    "lock-fence",
    "idempotency-key",
    "accept-encoding",
    "x-forwarded-for",
    "origin",
    "sec-fetch-site",
];

/// A request with a header; `None` where HTTP does not allow its value.
fn request(name: &'static str, value: &[u8]) -> Option<HttpRequest> {
    let value = HeaderValue::from_bytes(value).ok()?;
    let header = (HeaderName::from_static(name), value);
    Some(
        TestRequest::default()
            .insert_header(header)
            .to_http_request(),
    )
}

/// The first byte chooses the header.
fn headers(bytes: &[u8]) {
    let Some((first, value)) = bytes.split_first() else {
        return;
    };
    let name = HEADERS[usize::from(*first) % HEADERS.len()];
    let Some(request) = request(name, value) else {
        return;
    };
    let _ = Preconditions::of(&request);
    let key = KeyHeader::from_request(&request, &mut Payload::None).now_or_never();
    if let Some(Ok(KeyHeader(Some(key)))) = key {
        assert!((1..=255).contains(&key.len()) && !key.contains(char::is_control));
    }
    let _ = streams::accepts_gzip(request.headers());
    let _ = client_address::client_address(&request, 1);
    let origins = super::Origins::new(&["https://crm.example.com".to_owned()]);
    let _ = origins.refuse(request.head());
}

/// A header of a browser is never an error: an error would end its stream for good.
fn last_event_id(bytes: &[u8]) {
    if let Some(request) = request("last-event-id", bytes) {
        assert!(streams::since(request.headers(), None).is_ok());
        let _ = task_output::last_position(&request);
    }
}

/// The same events come, however the network cuts the bytes.
fn sse_client(bytes: &[u8]) {
    let mut whole = sse_client::Parser::after("before");
    let mut cut = sse_client::Parser::after("before");
    let at_once = whole.feed(bytes).expect("few bytes");
    let pieces = pieces(bytes).into_iter();
    let in_pieces: Vec<_> = pieces
        .flat_map(|piece| cut.feed(piece).expect("few bytes"))
        .collect();
    assert_eq!(at_once, in_pieces);
    assert_eq!(whole.last_id(), cut.last_id());
    assert_eq!(whole.retry(), cut.retry());
}

/// The same content comes, however the network cuts the bytes.
fn http1(bytes: &[u8]) {
    let Ok(Some(head)) = http1::parse(bytes) else {
        return;
    };
    let content = &bytes[head.len..];
    let (mut whole, mut cut) = (head.body, head.body);
    let (mut at_once, mut in_pieces) = (Vec::new(), Vec::new());
    let is_good = whole.take(content, |part| at_once.extend_from_slice(part));
    let pieces = pieces(content).into_iter();
    let is_good_in_pieces = pieces
        .map(|piece| cut.take(piece, |part| in_pieces.extend_from_slice(part)))
        .collect::<Result<Vec<_>, _>>();
    assert_eq!(is_good.is_ok(), is_good_in_pieces.is_ok());
    if is_good.is_ok() {
        assert_eq!(at_once, in_pieces);
    }
}
