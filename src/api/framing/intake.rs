//! Between a socket and actix: lets accepted bytes through, and keeps the rest.
//!
//! Bytes that arrive as whole heads and bodies are only looked at, in the buffer of actix. The beginning
//! of a head is copied and kept until the rest arrives, so that actix gets whole heads only. An incomplete
//! head costs memory up to its limit, as it would in the buffer of actix.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::{Framing, Then};

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
}

impl Intake {
    pub(in crate::api) fn new() -> Self {
        Self {
            framing: Framing::new(),
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
            ready!(Pin::new(&mut *socket).poll_read(context, buffer))?;
            let is_end = buffer.filled().len() == before;
            if is_end || self.accept(buffer, before) {
                return Poll::Ready(Ok(()));
            }
        }
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
