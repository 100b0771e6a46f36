//! Reading a stream: the hot path of the generator.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http1::Body;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::connect::Opened;
use crate::cursor::Cursor;
use crate::marker::Carry;
use crate::shared::Run;
use crate::tracker::Tracker;

pub(crate) struct Reader {
    socket: TcpStream,
    body: Body,
    carry: Carry,
}

/// What a subscriber has received, over all its streams.
pub(crate) struct Receipts {
    pub tracker: RefCell<Tracker>,
    /// Set only where it is needed: reading lines costs more than finding marks.
    pub cursor: RefCell<Option<Cursor>>,
    /// `false` for a stalled stream, which says nothing about the server's latency.
    pub timed: bool,
}

impl Reader {
    /// Reads a stream until the server closes it.
    pub(crate) async fn read_to_end(opened: Opened, receipts: &Receipts, run: &Run) {
        let mut reader = Self {
            socket: opened.socket,
            body: opened.head.body,
            carry: Carry::default(),
        };
        if reader.take(&opened.early, receipts, run) {
            poll_fn(|cx| reader.poll_read(cx, receipts, run)).await;
        }
    }

    /// Ready at the end of the stream. The buffer is borrowed for one poll only: all streams
    /// share it, and a waiting stream holds none.
    fn poll_read(&mut self, cx: &mut Context<'_>, receipts: &Receipts, run: &Run) -> Poll<()> {
        let mut buffer = run.read_buffer.borrow_mut();
        loop {
            let mut read = ReadBuf::new(&mut buffer);
            let result = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read));
            let is_over = result.is_err() || read.filled().is_empty();
            if is_over || !self.take(read.filled(), receipts, run) {
                return Poll::Ready(());
            }
        }
    }

    /// Records what has arrived. Returns whether more may come.
    fn take(&mut self, bytes: &[u8], receipts: &Receipts, run: &Run) -> bool {
        let Self { body, carry, .. } = self;
        let mut tracker = receipts.tracker.borrow_mut();
        let mut cursor = receipts.cursor.borrow_mut();
        let mut latency = run.latency.borrow_mut();
        let mut timeline = run.timeline.as_ref().map(RefCell::borrow_mut);
        let ledger = run.ledger.borrow();
        let (now, window) = (run.now_ns(), run.window.get());
        let mut found = 0;
        let taken = body.take(bytes, |data| {
            if let Some(cursor) = cursor.as_mut() {
                cursor.take(data);
            }
            run.marks.scan(carry, data, |mark| {
                found += 1;
                tracker.receive(mark, &ledger);
                if receipts.timed && window.holds(mark.due_ns) {
                    let micros = now.saturating_sub(mark.due_ns) / 1_000;
                    latency.saturating_record(micros);
                    if let Some(timeline) = &mut timeline {
                        timeline.record(now, micros);
                    }
                }
            });
        });
        if found > 0 {
            tracker.last_ns = now;
            run.received.set(run.received.get() + found);
        }
        taken.is_ok() && *body != Body::Done
    }
}
