//! Strict framing of requests: follows the bytes of a connection from request to request, and decides
//! which of them actix may read.
//!
//! actix-http reads some malformed requests on as if they were well formed: after a chunked body,
//! `0\r\n\n` and `0\r\nX\n` make it take the body of the next request for a request. [`Framing`] accepts
//! only what RFC 9112 allows, so that actix and every proxy in front find the same boundaries.
//! [`Intake`] stands between the socket and actix and lets only accepted bytes through.

mod chunks;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod entry_point;
mod error;
mod head;
mod intake;
#[cfg(test)]
mod tests;

use chunks::{ChunkScan, ChunkThen};
pub(super) use error::FramingError;
use head::{BodyFraming, HeadScan};
pub(super) use intake::Intake;

/// What a connection expects next.
#[derive(Debug)]
pub(super) struct Framing(Expected);

#[derive(Debug)]
enum Expected {
    Head(HeadScan),
    /// So many bytes of a body.
    Sized {
        left: u64,
        is_last: bool,
    },
    Chunks {
        scan: ChunkScan,
        is_last: bool,
    },
    /// Nothing more: the last request has ended or was refused.
    Nothing,
}

/// How many of the given bytes may be read, and what follows them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) passed: usize,
    pub(super) then: Then,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The other bytes begin a head. They are to be given again, with more behind them.
    Wait,
    /// The other bytes are to be dropped, as is all that comes later.
    Drop,
    /// The same, and the request is to be answered with this. None of it has passed.
    RefuseRequest(FramingError),
    /// The same. The head of the request has passed earlier.
    RefuseBody,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self(Expected::Head(HeadScan::default()))
    }

    /// Whether all later bytes are dropped.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.0, Expected::Nothing)
    }

    /// Checks the bytes that follow those that have passed. A request whose body is malformed does not
    /// pass at all, unless its head has passed in an earlier call.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Checked {
        let mut passed = 0;
        let mut request = None;
        loop {
            let rest = &bytes[passed..];
            if rest.is_empty() {
                let then = Then::Wait;
                return Checked { passed, then };
            }
            match &mut self.0 {
                Expected::Nothing => {
                    let then = Then::Drop;
                    return Checked { passed, then };
                }
                Expected::Head(scan) => match scan.scan(rest) {
                    Ok(Some(head)) => {
                        request = Some(passed);
                        passed += head.bytes;
                        self.0 = Expected::after_head(head.body, head.is_last);
                    }
                    Ok(None) => {
                        let then = Then::Wait;
                        return Checked { passed, then };
                    }
                    Err(error) => return self.refuse(passed, Then::RefuseRequest(error)),
                },
                Expected::Sized { left, is_last } => {
                    let taken = usize::try_from(*left).map_or(rest.len(), |n| n.min(rest.len()));
                    passed += taken;
                    *left -= taken as u64;
                    if *left == 0 {
                        self.0 = Expected::after_request(*is_last);
                    }
                }
                Expected::Chunks { scan, is_last } => {
                    let progress = scan.scan(rest);
                    passed += progress.bytes;
                    match (progress.then, request) {
                        (ChunkThen::More, _) => {}
                        (ChunkThen::End, _) => self.0 = Expected::after_request(*is_last),
                        (ChunkThen::Refuse(error), Some(start)) => {
                            return self.refuse(start, Then::RefuseRequest(error));
                        }
                        (ChunkThen::Refuse(_), None) => {
                            return self.refuse(passed, Then::RefuseBody);
                        }
                    }
                }
            }
        }
    }

    /// Drops all later bytes.
    fn end(&mut self) {
        self.0 = Expected::Nothing;
    }

    fn refuse(&mut self, passed: usize, then: Then) -> Checked {
        self.end();
        Checked { passed, then }
    }
}

impl Expected {
    fn after_head(body: BodyFraming, is_last: bool) -> Self {
        match body {
            BodyFraming::Sized(0) | BodyFraming::None => Self::after_request(is_last),
            BodyFraming::Sized(left) => Self::Sized { left, is_last },
            BodyFraming::Chunked => Self::Chunks {
                scan: ChunkScan::default(),
                is_last,
            },
        }
    }

    fn after_request(is_last: bool) -> Self {
        if is_last {
            Self::Nothing
        } else {
            Self::Head(HeadScan::default())
        }
    }
}
