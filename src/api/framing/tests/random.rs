//! Random requests, well formed and damaged.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Parsed, decode, pass};

/// What is put into requests, or in the place of a byte.
const DAMAGES: &[&str] = &[
    "",
    "\n",
    "\r",
    "\r\n",
    "\0",
    " ",
    ":",
    ";",
    "\"",
    "5",
    "0\r\n",
    "\r\n\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
];

/// A well-formed request: its bytes, and what is in it.
#[derive(Clone, Debug)]
struct Request {
    bytes: Vec<u8>,
    parsed: Parsed,
}

fn target() -> impl Strategy<Value = String> {
    "/[a-z0-9%./-]{0,20}(\\?[a-z=&:,*]{0,20})?"
}

fn headers() -> impl Strategy<Value = String> {
    let header = "X-[A-Za-z0-9!#$&'*+.^_`|~-]{1,12}:[ \t]{0,2}[ -~\u{80}-\u{ff}\t]{0,20}\r\n";
    vec(header, 0..4).prop_map(|headers| headers.concat())
}

fn extension() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ \t]{0,2};[ \t]{0,2}[a-z]{1,5}([ \t]?=[ \t]?[a-z0-9]{1,5})?",
        "(;[a-z]{1,3}=\"([a-z ;=]|\\\\\"){0,6}\"){1,3}",
    ]
}

/// A body, the headers that belong to it, and its bytes on the wire.
fn body() -> impl Strategy<Value = Body> {
    let data = || vec(any::<u8>(), 0..40);
    let sized = data().prop_map(|data| Body {
        headers: format!("Content-Length: {}\r\n", data.len()),
        wire: data.clone(),
        data,
    });
    let chunk = (vec(any::<u8>(), 1..20), extension(), any::<bool>());
    let trailers = "([A-Z][a-z-]{0,5}:[ -~]{0,9}\r\n){0,2}";
    let chunked = (vec(chunk, 0..4), extension(), trailers);
    let chunked = chunked.prop_map(|(chunks, extension, trailers)| {
        let (mut data, mut wire) = (Vec::new(), Vec::new());
        for (chunk, extension, is_upper) in chunks {
            let size = if is_upper {
                format!("0{:X}", chunk.len())
            } else {
                format!("{:x}", chunk.len())
            };
            wire.extend(format!("{size}{extension}\r\n").bytes());
            wire.extend(&chunk);
            wire.extend(b"\r\n");
            data.extend(chunk);
        }
        wire.extend(format!("0{extension}\r\n{trailers}\r\n").bytes());
        Body {
            headers: "Transfer-Encoding: chunked\r\n".to_owned(),
            wire,
            data,
        }
    });
    let none = Just(Body {
        headers: String::new(),
        wire: Vec::new(),
        data: Vec::new(),
    });
    prop_oneof![none, sized, chunked]
}

#[derive(Clone, Debug)]
struct Body {
    headers: String,
    wire: Vec<u8>,
    data: Vec<u8>,
}

fn request() -> impl Strategy<Value = Request> {
    let method = prop_oneof![Just("GET"), Just("POST"), Just("DELETE"), Just("FROB")];
    (method, target(), headers(), headers(), body()).prop_map(
        |(method, target, before, after, body)| {
            let headers = format!("{before}Host: x\r\n{}{after}", body.headers);
            let head = format!("{method} {target} HTTP/1.1\r\n{headers}\r\n");
            // Each character is one byte.
            let head = head
                .chars()
                .map(|c| u8::try_from(u32::from(c)).expect("a byte"));
            Request {
                bytes: head.chain(body.wire).collect(),
                parsed: Parsed {
                    line: format!("{method} {target}"),
                    body: body.data,
                },
            }
        },
    )
}

/// The pieces between these places.
fn split<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|at| at.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for at in places.into_iter().chain([bytes.len()]) {
        pieces.push(&bytes[start..at]);
        start = at;
    }
    pieces
}

proptest! {
    #[test]
    fn well_formed_requests_pass_unchanged_however_they_are_split(
        requests in vec(request(), 1..5),
        places in vec(any::<Index>(), 0..8),
    ) {
        let bytes = requests.iter().flat_map(|request| request.bytes.clone()).collect::<Vec<u8>>();
        let passed = pass(split(&bytes, &places));
        prop_assert_eq!(&*passed, &*bytes);
        let decoded = decode(passed);
        let parsed: Vec<Parsed> = requests.into_iter().map(|request| request.parsed).collect();
        prop_assert_eq!(decoded.requests, parsed);
        prop_assert!(!decoded.is_refused);
    }

    /// Whatever the bytes are, actix never waits for others than the checker, and sees what is refused.
    #[test]
    fn actix_agrees_about_damaged_requests(
        requests in vec(request(), 1..4),
        damages in vec((any::<Index>(), select(DAMAGES), any::<bool>()), 1..3),
        places in vec(any::<Index>(), 0..4),
    ) {
        let mut bytes = requests.iter().flat_map(|request| request.bytes.clone()).collect::<Vec<u8>>();
        for (at, inserted, replaces) in damages {
            let at = at.index(bytes.len());
            let end = if replaces { at + 1 } else { at };
            bytes.splice(at..end, inserted.bytes());
        }
        let whole = decode_any(pass([&*bytes]));
        let pieces = decode_any(pass(split(&bytes, &places)));
        prop_assert_eq!(whole, pieces);
    }
}

/// The complete requests, and whether the last one is refused. A body may be incomplete.
fn decode_any(bytes: bytes::BytesMut) -> (usize, bool) {
    let decoded = decode(bytes);
    (decoded.requests.len(), decoded.is_refused)
}
