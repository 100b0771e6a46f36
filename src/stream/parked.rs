//! A stream that has left HTTP: the log's stream and its socket, polled by the dispatcher.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Weak;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::LogStream;
use super::ending::{LastWait, ServedRef};
use crate::fanout::{ParkedStream, StreamProgress, chunks};

/// Bytes that a client may send after its request. They are dropped. A client that sends more is
/// disconnected.
const MOST_DROPPED_BYTES: u32 = 64 * 1_024;
const READ_BYTES: usize = 512;
/// Writes of one stream at a time. Then others have their turn.
const MOST_WRITES: usize = 4;

/// Where a body leaves its stream for the connection below it.
#[derive(Default)]
pub struct Parking {
    stream: RefCell<Option<Box<LogStream>>>,
    /// A stream that stays with the HTTP server.
    served: RefCell<Option<ServedRef>>,
}

impl fmt::Debug for Parking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parking")
    }
}

impl Parking {
    pub(super) fn leave(&self, stream: Box<LogStream>) {
        *self.stream.borrow_mut() = Some(stream);
    }

    /// The HTTP server writes this stream.
    pub fn serve(&self, stream: ServedRef) {
        *self.served.borrow_mut() = Some(stream);
    }

    /// Whether the connection is to end, because its stream is to end and the socket takes nothing.
    #[must_use]
    pub fn is_given_up(&self, context: &Context<'_>) -> bool {
        let stream = self.served.borrow().as_ref().and_then(Weak::upgrade);
        stream.is_some_and(|stream| stream.is_given_up(context))
    }

    /// Whether a stream waits to be taken.
    #[must_use]
    pub fn has_stream(&self) -> bool {
        self.stream.borrow().is_some()
    }

    /// Parks the stream that waits here: writes `head`, and then the stream, to the socket.
    pub fn park(&self, socket: TcpStream, head: &[u8]) {
        let Some(mut stream) = self.stream.borrow_mut().take() else {
            return;
        };
        let place = stream.parking_place();
        // The head and the first text are one write. A new socket takes it nearly always.
        let mut first = Bytes::from([head, &stream.first_bytes()].concat());
        if let Ok(written) = socket.try_write(&first) {
            first.advance(written);
        }
        let parked = SocketStream {
            socket,
            unwritten: (!first.is_empty()).then(|| Box::new(first.into())),
            stream: *stream,
            dropped_bytes: 0,
            is_over: false,
        };
        place.park(Box::new(parked));
    }
}

/// What exists per parked stream, besides its slot at the dispatcher.
pub(super) struct SocketStream {
    socket: TcpStream,
    stream: LogStream,
    /// What the socket has not taken yet: a shared frame, or the events of one write. Nearly always there is
    /// nothing.
    unwritten: Option<Box<Unwritten>>,
    dropped_bytes: u32,
    /// Only `unwritten` is left to write.
    is_over: bool,
}

/// Bytes that wait for the socket.
struct Unwritten {
    bytes: Bytes,
    last_wait: LastWait,
}

impl From<Bytes> for Unwritten {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            last_wait: LastWait::default(),
        }
    }
}

impl ParkedStream for SocketStream {
    fn poll(&mut self, context: &mut Context<'_>, is_woken: bool) -> Poll<()> {
        if is_woken && self.is_peer_gone(context) {
            return Poll::Ready(());
        }
        let is_over = self.poll_writes(context);
        if is_over.is_pending() && self.is_given_up(context) {
            self.stream.give_up();
            return Poll::Ready(());
        }
        is_over
    }

    fn progress(&self) -> StreamProgress {
        StreamProgress {
            is_blocked: self.unwritten.is_some(),
            ..self.stream.progress()
        }
    }
}

impl SocketStream {
    fn poll_writes(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..MOST_WRITES {
            let Some(next) = ready!(self.poll_next(context)) else {
                self.shut_down(context);
                return Poll::Ready(());
            };
            if ready!(self.poll_write(context, next)).is_err() {
                self.stream.broken();
                return Poll::Ready(());
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the stream is to end, and has waited for its socket for too long.
    fn is_given_up(&self, context: &Context<'_>) -> bool {
        let Some(unwritten) = &self.unwritten else {
            return false;
        };
        if !self.stream.is_to_end() {
            unwritten.last_wait.forget();
            return false;
        }
        let subscription = self.stream.subscription();
        unwritten.last_wait.is_over(subscription, context)
    }

    /// What the socket has not taken, or else what the stream has next. `None`: everything is written.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Unwritten>> {
        if let Some(rest) = self.unwritten.take() {
            return Poll::Ready(Some(*rest));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        match self.stream.poll_bytes(context) {
            Poll::Pending => {
                // It has caught up.
                self.stream.set_fast(true);
                Poll::Pending
            }
            Poll::Ready(Some(bytes)) => Poll::Ready(Some(bytes.into())),
            Poll::Ready(None) => {
                self.is_over = true;
                let is_chunked = self.stream.encoding().chunked;
                Poll::Ready(is_chunked.then(|| Bytes::from_static(chunks::LAST_CHUNK).into()))
            }
        }
    }

    /// Writes these bytes, and keeps those that the socket does not take.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        mut next: Unwritten,
    ) -> Poll<io::Result<()>> {
        while !next.bytes.is_empty() {
            match self.socket.try_write(&next.bytes) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => next.bytes.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.set_fast(false);
                    match self.socket.poll_write_ready(context) {
                        Poll::Ready(is_ready) => is_ready?,
                        Poll::Pending => {
                            self.unwritten = Some(Box::new(next));
                            return Poll::Pending;
                        }
                    }
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads until there is nothing, and waits for more. A client that closes its half of the
    /// connection has gone: no client of a stream does that and goes on reading.
    fn is_peer_gone(&mut self, context: &mut Context<'_>) -> bool {
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.socket.poll_read_ready(context) {
                Poll::Pending => return false,
                Poll::Ready(Err(_)) => {
                    self.stream.broken();
                    return true;
                }
                Poll::Ready(Ok(())) => {}
            }
            match self.socket.try_read(&mut buffer) {
                Ok(0) => return true,
                Ok(n) => self.dropped_bytes += u32::try_from(n).unwrap_or(u32::MAX),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.stream.broken();
                    return true;
                }
            }
            if self.dropped_bytes > MOST_DROPPED_BYTES {
                return true;
            }
        }
    }

    /// Bytes that nobody reads would make the kernel reset the connection, and the client would lose
    /// the last text.
    fn shut_down(&mut self, context: &mut Context<'_>) {
        let _ = self.is_peer_gone(context);
        let _ = Pin::new(&mut self.socket).poll_shutdown(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Raise the limit only for what every stream needs all the time.
    #[test]
    #[expect(
        clippy::print_stdout,
        reason = "the size is worth knowing when it changes"
    )]
    fn what_exists_per_parked_stream_is_small() {
        let size = std::mem::size_of::<SocketStream>();
        println!("{size} bytes per parked stream");
        assert!(size <= 448, "{size} bytes");
    }
}
