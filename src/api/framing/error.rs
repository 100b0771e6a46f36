//! What is wrong with a request that is refused for its framing, and how the refusal reaches a handler.
//!
//! Answers must stay in order: requests that came before are answered first. So [`Intake`] puts a
//! request of its own in the place of the refused one, and actix queues it like all others.
//!
//! [`Intake`]: super::Intake

use actix_web::dev::RequestHead;
use actix_web::http::{Method, StatusCode};

use super::head::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::api::problem::{Code, Problem};

/// The header of our own request.
const REASON: &str = "x-refused";

macro_rules! errors {
    ($($name:ident = $text:literal),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::api) enum FramingError {
            $(#[doc = $text] $name),+
        }

        impl FramingError {
            const ALL: &[Self] = &[$(Self::$name),+];

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

errors! {
    RequestLine = "The request line must be a method, a path and HTTP/1.1, with one space between them.",
    Target = "The request target must be a path, or an address that begins with http:// or https://. It has no fragment.",
    OtherHost = "The address in the request line and the Host header name different hosts.",
    Host = "A request needs exactly one Host header, with the name of one host.",
    Connection = "A Connection header must consist of ASCII characters.",
    LineEnd = "Each line of a request must end with CR and LF, and neither may stand elsewhere.",
    FoldedLine = "A line of the head must not begin with white space.",
    HeaderName = "A header must begin with a name and a colon, without white space between them.",
    Control = "A head must not contain control characters.",
    Length = "Content-Length must be one number.",
    Encoding = "Transfer-Encoding must be exactly \"chunked\", and needs HTTP/1.1.",
    LengthAndEncoding = "A request must not have both Content-Length and Transfer-Encoding.",
    Upgrade = "A request that asks for another protocol must not have a body.",
    HeadTimeout = "The head of the request did not arrive in time.",
    HeadTooLarge = "The head of the request has more than 96 headers, or more than 131,072 bytes.",
    ChunkSize = "The size of a chunk must be a hexadecimal number of at most 16 digits below 2^32.",
    ChunkExtension = "The extension of a chunk is malformed or too long.",
    ChunkEnd = "A chunk must have as many bytes as its size says, and then CR and LF.",
    Trailer = "The lines after the last chunk are malformed or too long.",
}

const _: () = assert!(MAX_HEADERS == 96 && MAX_HEAD_BYTES == 131_072);

impl FramingError {
    /// The error that a request of our own stands for. No other request has this target: [`Framing`]
    /// accepts `*` with OPTIONS only.
    ///
    /// [`Framing`]: super::Framing
    pub(in crate::api) fn of(head: &RequestHead) -> Option<Self> {
        if head.uri.path() != "*" || head.method != Method::GET {
            return None;
        }
        let index: usize = head.headers.get(REASON)?.to_str().ok()?.parse().ok()?;
        Self::ALL.get(index).copied()
    }

    /// The request that stands in the place of the refused one.
    pub(super) fn request(self) -> Vec<u8> {
        let index = self as usize;
        format!("GET * HTTP/1.1\r\nhost:\r\nconnection: close\r\n{REASON}: {index}\r\n\r\n").into()
    }

    pub(in crate::api) fn problem(self) -> Problem {
        let (status, code) = match self {
            Self::HeadTimeout => (StatusCode::REQUEST_TIMEOUT, Code::HeadTimeout),
            Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Code::HeadTooLarge,
            ),
            _ => (StatusCode::BAD_REQUEST, Code::MalformedRequest),
        };
        Problem::new(status, code, self.text())
    }
}
