//! The body of a stream's response.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::{LastWait, LogStream, Parking, ServedStream};

/// Leaves its stream to the connection, which takes it when the head has been written, or writes the stream itself.
pub enum StreamBody {
    /// The connection takes the stream. `None`: it was left there.
    Parked {
        stream: Option<Box<LogStream>>,
        parking: Rc<Parking>,
    },
    Served(Rc<ServedLog>),
}

/// A stream that stays with the HTTP server.
pub struct ServedLog {
    stream: RefCell<LogStream>,
    last_wait: LastWait,
}

impl StreamBody {
    /// A stream that is to be parked.
    #[must_use]
    pub fn parked(stream: LogStream, parking: Rc<Parking>) -> Self {
        let stream = Some(Box::new(stream));
        Self::Parked { stream, parking }
    }

    /// A stream that stays with the HTTP server. The connection, if it is ours, ends it if its client does not read.
    #[must_use]
    pub fn served(stream: LogStream, connection: Option<&Rc<Parking>>) -> Self {
        let served = Rc::new(ServedLog {
            stream: RefCell::new(stream),
            last_wait: LastWait::default(),
        });
        if let Some(connection) = connection {
            let served: Rc<dyn ServedStream> = Rc::clone(&served) as _;
            connection.serve(Rc::downgrade(&served));
        }
        Self::Served(served)
    }
}

impl MessageBody for StreamBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        match self.get_mut() {
            Self::Parked { stream, parking } => {
                if let Some(stream) = stream.take() {
                    parking.leave(stream);
                }
                // The connection ends.
                Poll::Pending
            }
            Self::Served(served) => {
                let mut stream = served.stream.borrow_mut();
                stream.poll_bytes(context).map(|bytes| bytes.map(Ok))
            }
        }
    }
}

impl ServedStream for ServedLog {
    fn is_given_up(&self, context: &Context<'_>) -> bool {
        let mut stream = self.stream.borrow_mut();
        if !stream.is_to_end() {
            self.last_wait.forget();
            stream.subscription().wait(context, stream.end());
            return false;
        }
        let is_over = self.last_wait.is_over(stream.subscription(), context);
        if is_over {
            stream.give_up();
        }
        is_over
    }
}
