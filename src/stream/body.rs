//! The body of a stream's response.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::{LogStream, Parking};

/// Leaves its stream to the connection, which takes it when the head has been written. Without a
/// connection that does, it writes the stream itself.
pub struct StreamBody {
    stream: Option<Box<LogStream>>,
    parking: Option<Rc<Parking>>,
}

impl StreamBody {
    #[must_use]
    pub fn new(stream: LogStream, parking: Option<Rc<Parking>>) -> Self {
        Self {
            stream: Some(Box::new(stream)),
            parking,
        }
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
        let body = self.get_mut();
        if let Some(parking) = body.parking.take()
            && let Some(stream) = body.stream.take()
        {
            parking.leave(stream);
        }
        match &mut body.stream {
            Some(stream) => stream.poll_bytes(context).map(|bytes| bytes.map(Ok)),
            // The connection ends.
            None => Poll::Pending,
        }
    }
}
