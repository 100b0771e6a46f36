//! Between a socket and actix: lets accepted bytes through, and keeps the rest.
//!
//! Bytes that arrive as whole heads and bodies are only looked at, in the buffer of actix. The beginning
//! of a head is copied and kept until the rest arrives, so that actix gets whole heads only. An incomplete
//! head costs memory up to its limit, as it would in the buffer of actix.
//!
//! So actix does not see that a head has begun, and it has a time limit for the first head of a connection only. The
//! limit of all of them is kept here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
#[cfg(test)]
use tokio::time::Instant;
use tokio::time::{Sleep, sleep};

use super::{Framing, FramingError, Then};

/// Ends a body in actix: its parser takes these bytes at no place where [`Framing`] refuses one.
const UNREADABLE: &[u8] = b"\r\0";
/// How much is read after the last answer. A socket that is closed with unread bytes is reset, and the
/// client may lose the answer.
const MAX_DRAINED_BYTES: usize = 256 * 1_024;

/// What actix reads before it passes on what it has: the size of its buffer. It would read all that has arrived, and keep
/// the buffer, which grew to as much as 128 KiB, until the request is answered.
const READ_BYTES: usize = 8 * 1_024;

/// What a connection has read and not passed on.
#[derive(Debug)]
pub(in crate::api) struct Intake {
    framing: Framing,
    /// How long the rest of a head may take.
    head_timeout: Duration,
    held: Option<Box<Held>>,
    /// How much was read since the last time that nothing was.
    read_bytes: usize,
}

#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// So many of them may be passed on.
    ready: usize,
    given: usize,
    /// The time limit of the head that the others begin. A head that comes in one piece has none.
    head_limit: Option<Pin<Box<Sleep>>>,
}

impl Held {
    /// What stands in the place of a refused request.
    fn refusal(error: FramingError) -> Self {
        let bytes = error.request();
        Self {
            ready: bytes.len(),
            bytes,
            ..Self::default()
        }
    }
}

impl Intake {
    pub(in crate::api) fn new(head_timeout: Duration) -> Self {
        Self {
            framing: Framing::new(),
            head_timeout,
            held: None,
            read_bytes: 0,
        }
    }

    /// Reads from a socket as [`AsyncRead`] does, but pauses after some bytes, and wakes the task to go on.
    pub(in crate::api) fn poll_read(
        &mut self,
        socket: &mut TcpStream,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_bytes >= READ_BYTES {
            self.read_bytes = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = self.poll_accepted(socket, context, buffer);
        match polled {
            Poll::Ready(_) => self.read_bytes += buffer.filled().len() - before,
            Poll::Pending => self.read_bytes = 0,
        }
        polled
    }

    /// Reads until there are accepted bytes, or the socket has no more.
    fn poll_accepted(
        &mut self,
        socket: &mut TcpStream,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.give(buffer) {
                return Poll::Ready(Ok(()));
            }
            let before = buffer.filled().len();
            if Pin::new(&mut *socket)
                .poll_read(context, buffer)?
                .is_pending()
            {
                // All that has arrived has been read.
                ready!(self.poll_head_limit(context));
                continue;
            }
            let is_end = buffer.filled().len() == before;
            if is_end || self.accept(buffer, before) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Refuses a head that has begun and has not arrived in time. Then the refusal is ready.
    fn poll_head_limit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(held) = &mut self.held else {
            return Poll::Pending;
        };
        let limit = || Box::pin(sleep(self.head_timeout));
        ready!(
            held.head_limit
                .get_or_insert_with(limit)
                .as_mut()
                .poll(context)
        );
        self.framing.end();
        **held = Held::refusal(FramingError::HeadTimeout);
        Poll::Ready(())
    }

    /// Takes back from the buffer what may not be read, or not yet. Returns whether something is left.
    pub(super) fn accept(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> bool {
        let new = &buffer.filled()[before..];
        let mut held = self.held.take();
        let checked = match &mut held {
            None => self.framing.check(new),
            Some(held) => {
                held.bytes.extend_from_slice(new);
                self.framing.check(&held.bytes)
            }
        };
        if held.is_none() && checked.passed == new.len() && checked.then == Then::Wait {
            return true;
        }
        let mut held = held.unwrap_or_else(|| {
            Box::new(Held {
                bytes: new.to_vec(),
                ..Held::default()
            })
        });
        buffer.set_filled(before);
        held.ready = checked.passed;
        if checked.passed > 0 {
            // What is left begins another head.
            held.head_limit = None;
        }
        if checked.then != Then::Wait {
            held.bytes.truncate(checked.passed);
            match checked.then {
                Then::RefuseRequest(error) => held.bytes.extend(error.request()),
                Then::RefuseBody => held.bytes.extend_from_slice(UNREADABLE),
                Then::Wait | Then::Drop => {}
            }
            held.ready = held.bytes.len();
        }
        self.held = (!held.bytes.is_empty()).then_some(held);
        self.give(buffer)
    }

    /// Copies what is ready into the buffer. Returns whether something was.
    pub(super) fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let Some(held) = &mut self.held else {
            return false;
        };
        let ready = &held.bytes[held.given..held.ready];
        let given = &ready[..ready.len().min(buffer.remaining())];
        buffer.put_slice(given);
        let has_given = !given.is_empty();
        held.given += given.len();
        if held.given == held.bytes.len() {
            self.held = None;
        } else if held.given == held.ready {
            held.bytes.drain(..held.given);
            (held.ready, held.given) = (0, 0);
        }
        has_given
    }

    #[cfg(test)]
    pub(super) fn head_deadline(&self) -> Option<Instant> {
        let limit = self.held.as_ref()?.head_limit.as_ref()?;
        Some(limit.deadline())
    }

    /// Reads what has arrived after the last request, before the socket is closed.
    pub(in crate::api) fn drain(&self, socket: &TcpStream) {
        if !self.framing.has_ended() {
            return;
        }
        let mut scratch = [0; 4_096];
        for _ in 0..MAX_DRAINED_BYTES / scratch.len() {
            if !matches!(socket.try_read(&mut scratch), Ok(1..)) {
                return;
            }
        }
    }
}
