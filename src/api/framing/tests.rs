//! The checker beside the parser of actix: both must find the same requests, however bytes arrive.

#[path = "../../../tests/framing/cases.rs"]
mod cases;
mod head_times;
mod pauses;
mod random;

use std::time::Duration;

use actix_http::ServiceConfig;
use actix_http::h1::{Codec, Message};
use bytes::BytesMut;
use tokio::io::ReadBuf;
use tokio_util::codec::Decoder;

use super::Intake;
use cases::Case;

const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A whole request, as actix reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parsed {
    line: String,
    body: Vec<u8>,
}

/// What actix makes of bytes.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    requests: Vec<Parsed>,
    /// The last request is the one that stands for a refused one, or its body ends with an error.
    is_refused: bool,
}

/// The bytes that reach actix when these pieces arrive.
fn pass<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> BytesMut {
    let (mut intake, mut passed) = (Intake::new(HEAD_TIMEOUT), BytesMut::new());
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        // Room for little more, as in the buffer of actix.
        let mut room = vec![0; piece.len() + 7];
        let mut buffer = ReadBuf::new(&mut room[3..]);
        buffer.put_slice(piece);
        let mut has_bytes = intake.accept(&mut buffer, 0);
        while has_bytes {
            assert!(!buffer.filled().is_empty(), "an empty read is the end");
            passed.extend_from_slice(buffer.filled());
            buffer.clear();
            has_bytes = intake.give(&mut buffer);
        }
        assert!(buffer.filled().is_empty());
    }
    passed
}

thread_local! {
    /// actix makes it within its own runtime only.
    static CONFIG: ServiceConfig =
        actix_web::rt::System::new().block_on(async { ServiceConfig::default() });
}

fn decode(mut bytes: BytesMut) -> Decoded {
    let mut codec = Codec::new(CONFIG.with(Clone::clone));
    let (mut requests, mut open) = (Vec::new(), None::<Parsed>);
    let is_refused = loop {
        match codec.decode(&mut bytes) {
            Ok(Some(Message::Item(request))) => {
                requests.extend(open.take());
                let (method, target) = (request.method(), request.uri());
                open = Some(Parsed {
                    line: format!("{method} {target}"),
                    body: Vec::new(),
                });
            }
            Ok(Some(Message::Chunk(Some(chunk)))) => {
                let request = open.as_mut().expect("a request");
                request.body.extend_from_slice(&chunk);
            }
            Ok(Some(Message::Chunk(None))) => requests.extend(open.take()),
            Ok(None) => {
                requests.extend(open.take());
                assert!(bytes.is_empty(), "actix waits for more: {bytes:?}");
                break false;
            }
            // The body that is open has not ended.
            Err(_) => break true,
        }
    };
    let is_replaced = requests.pop_if(|last| last.line == "GET *").is_some();
    Decoded {
        requests,
        is_refused: is_refused || is_replaced,
    }
}

/// How many requests of a case are well formed, with the one that follows.
fn well_formed(case: &Case) -> usize {
    let statuses = case.statuses().into_iter();
    let answers = statuses.filter(|status| *status >= 200).count();
    answers - usize::from(case.is_refused())
}

#[test]
fn cases_pass_or_are_refused_wherever_they_are_split() {
    let cases = Case::all();
    assert!(cases.len() > 200, "{}", cases.len());
    for case in cases {
        let bytes = case.bytes("t");
        let passed = pass([&*bytes]);
        let whole = decode(passed.clone());
        let name = &case.name;
        assert_eq!(
            whole.requests.len(),
            well_formed(&case),
            "{name}: {whole:?}"
        );
        assert_eq!(whole.is_refused, case.is_refused(), "{name}: {whole:?}");
        let places = (0..=bytes.len()).step_by(1 + bytes.len() / 1_000);
        for at in places {
            let (first, second) = bytes.split_at(at);
            let pieces = pass([first, second]);
            // What passes unchanged needs not be parsed again.
            if pieces != passed {
                assert_eq!(decode(pieces), whole, "{name}: split at {at}");
            }
        }
        if bytes.len() < 1_000 || case.bytewise {
            assert_eq!(decode(pass(bytes.chunks(1))), whole, "{name}: byte by byte");
        }
    }
}
