//! The connection below HTTP. It does three things that actix does not do.
//!
//! It lets a stream go: the body of a stream leaves the stream in [`Parking`], and when actix has
//! written the head, the connection parks the stream together with its socket. Nothing is left of the
//! HTTP connection then.
//!
//! It ends when its stream, which has stayed with actix, is to end and the socket takes nothing: actix does not ask a
//! body for anything then.
//!
//! It answers malformed requests like all others: with a problem, an id, a count and a log line.
//!
//! [`Intake`] keeps bytes that are not strictly framed from actix, and refuses heads that do not arrive. What actix itself
//! refuses (a connection without a first head, a body that broke off) it answers with a head and no body, and offers no hook. This type
//! recognises such a head when actix writes it: it is the only head without the request id that [`access`]
//! sets. For every other write it only compares the last four bytes.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::http::StatusCode;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Services;
use super::access;
use super::framing::Intake;
use super::problem::{Code, Problem};
use super::services::RequestTelemetry;
use crate::stream::Parking;

/// The end of every head, and of few bodies.
const HEAD_END: &[u8] = b"\r\n\r\n";
const HEAD_BEGINNING: &[u8] = b"HTTP/1.";
/// The longest head that actix writes itself.
const MOST_HEAD_BYTES: usize = 512;

/// It is 136 bytes larger than its socket.
pub struct Connection {
    /// `None` after a stream has taken it.
    socket: Option<TcpStream>,
    /// Lets only well-formed requests through.
    intake: Intake,
    services: Arc<Services>,
    parking: Rc<Parking>,
    /// The head of the stream that waits in `parking`.
    head: Vec<u8>,
    /// The answer that replaces a head of actix, while it is being written.
    answer: Option<Box<PendingAnswer>>,
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "a stream has taken the socket")
}

struct PendingAnswer {
    bytes: Vec<u8>,
    written: usize,
}

impl Connection {
    #[must_use]
    pub fn new(socket: TcpStream, services: Arc<Services>) -> Self {
        Self {
            socket: Some(socket),
            intake: Intake::new(services.limits.requests.head_timeout),
            services,
            parking: Rc::default(),
            head: Vec::new(),
            answer: None,
        }
    }

    /// Where the bodies of this connection can leave a stream.
    #[must_use]
    pub fn parking(&self) -> &Rc<Parking> {
        &self.parking
    }

    fn socket(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.socket.as_mut().map(Pin::new).ok_or_else(gone)
    }

    /// Writes the whole answer, then reports that the head of `head` bytes has been written.
    fn poll_answer(&mut self, context: &mut Context<'_>, head: usize) -> Poll<io::Result<usize>> {
        while let Some(answer) = &mut self.answer {
            let left = &answer.bytes[answer.written..];
            if left.is_empty() {
                self.answer = None;
                break;
            }
            let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            match ready!(Pin::new(socket).poll_write(context, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => answer.written += n,
            }
        }
        Poll::Ready(Ok(head))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.socket {
            Some(socket) => this.intake.poll_read(socket, context, buffer),
            None => Poll::Ready(Err(gone())),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.parking.has_stream() {
            this.head.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        if bytes.ends_with(HEAD_END)
            && let Some(refusal) = ActixRefusal::at_the_end_of(bytes)
        {
            if refusal.at > 0 {
                // The answers to the requests before.
                let before = &bytes[..refusal.at];
                return this.socket()?.poll_write(context, before);
            }
            if this.answer.is_none() {
                this.answer = Some(Box::new(refusal.answer(&this.services.telemetry)));
            }
            return this.poll_answer(context, bytes.len());
        }
        let written = this.socket()?.poll_write(context, bytes);
        if written.is_pending() && this.parking.is_given_up(context) {
            // This error ends the HTTP connection.
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.parking.has_stream()
            && let Some(socket) = this.socket.take()
        {
            // actix flushes after it has written all it has: the head is complete.
            this.parking.park(socket, &this.head);
        }
        // Without a socket, this error ends the HTTP connection.
        this.socket()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(socket) = &this.socket {
            this.intake.drain(socket);
        }
        this.socket()?.poll_shutdown(context)
    }
}

/// A head of actix that refuses a malformed request.
struct ActixRefusal<'a> {
    at: usize,
    head: &'a str,
    problem: Problem,
}

impl<'a> ActixRefusal<'a> {
    fn at_the_end_of(bytes: &'a [u8]) -> Option<Self> {
        let tail = bytes.len().saturating_sub(MOST_HEAD_BYTES);
        let at = tail + memmem::rfind(&bytes[tail..], HEAD_BEGINNING)?;
        let head = std::str::from_utf8(&bytes[at..]).ok()?;
        let is_bodiless = header(head, "content-length") == Some("0");
        let is_ours = header(head, "x-request-id").is_some();
        let status = head.get(9..12)?.parse().ok()?;
        let problem = problem(StatusCode::from_u16(status).ok()?)?;
        (is_bodiless && !is_ours).then_some(Self { at, head, problem })
    }

    /// The same head with a body.
    fn answer(&self, telemetry: &RequestTelemetry) -> PendingAnswer {
        let id = access::refuse_unreadable(telemetry, &self.problem);
        let json = self.problem.json();
        let status_line = self.head.lines().next().unwrap_or_default();
        let date = header(self.head, "date").map(|date| format!("date: {date}\r\n"));
        let answer = format!(
            "{status_line}\r\ncontent-length: {}\r\nconnection: close\r\n\
             content-type: application/problem+json\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\nx-request-id: {id}\r\n{}\r\n{json}",
            json.len(),
            date.unwrap_or_default()
        );
        PendingAnswer {
            bytes: answer.into_bytes(),
            written: 0,
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(value.trim())
}

/// The problem that actix means by a status.
fn problem(status: StatusCode) -> Option<Problem> {
    let (code, detail) = match status {
        StatusCode::BAD_REQUEST => (
            Code::MalformedRequest,
            "This is not an HTTP/1.1 request: its request line, a header, or the length or a chunk of \
             its body cannot be parsed.",
        ),
        StatusCode::REQUEST_TIMEOUT => (
            Code::HeadTimeout,
            "The head of the request did not arrive in time.",
        ),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            Code::HeadTooLarge,
            "The head of the request has more than 96 headers, or more than 131,072 bytes.",
        ),
        _ => return None,
    };
    Some(Problem::new(status, code, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &str) -> Option<(usize, &'static str)> {
        let refusal = ActixRefusal::at_the_end_of(bytes.as_bytes())?;
        Some((refusal.at, refusal.problem.code().as_str()))
    }

    #[test]
    fn heads_of_refusals_that_are_not_ours_are_recognised_and_nothing_else() {
        let rest = "content-length: 0\r\ndate: Sun, 02 Nov 2025 12:00:00 GMT\r\n\r\n";
        let bad = format!("HTTP/1.1 400 Bad Request\r\n{rest}");
        let before = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let ours = bad.replace("date:", "x-request-id: r-1\r\ndate:");
        for (bytes, expected) in [
            (bad.clone(), Some((0, "malformed_request"))),
            (bad.replace("1.1", "1.0"), Some((0, "malformed_request"))),
            (
                bad.replace("400 Bad Request", "408 Request Timeout"),
                Some((0, "head_timeout")),
            ),
            (
                bad.replace("400 Bad Request", "431 Request Header Fields Too Large"),
                Some((0, "head_too_large")),
            ),
            (
                format!("{before}{bad}"),
                Some((before.len(), "malformed_request")),
            ),
            (ours, None),
            (bad.replace("length: 0", "length: 7"), None),
            (bad.replace("400 Bad Request", "204 No Content"), None),
            ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), None),
            ("0\r\n\r\n".to_owned(), None),
            ("HTTP/1.1 4\r\n\r\n".to_owned(), None),
            (format!("{bad}{}", "x".repeat(MOST_HEAD_BYTES)), None),
        ] {
            assert_eq!(found(&bytes), expected, "{bytes}");
        }
    }
}
