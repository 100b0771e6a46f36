//! Bodies in chunks that nobody reads to their end.
//!
//! After the answer, actix goes on reading such a body to use the connection again, and waits for its end
//! without a limit. It does so only when nobody has the body any more. As long as somebody does, it closes the
//! connection after the answer, as with bodies whose length is known. So the answer keeps the body.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// A body that its handler and the answer share.
#[derive(Clone)]
pub(super) struct ChunkedBody(Rc<RefCell<Payload>>);

impl ChunkedBody {
    /// The body of a request, if it is in chunks.
    pub(super) fn of(request: &mut ServiceRequest) -> Option<Self> {
        if !request.chunked().unwrap_or(false) {
            return None;
        }
        let body = Self(Rc::new(RefCell::new(request.take_payload())));
        let payload = Box::pin(body.clone());
        request.set_payload(Payload::Stream { payload });
        Some(body)
    }

    /// The answer, which has the body as long as it is written.
    pub(super) fn kept_by(self, answer: BoxBody) -> BoxBody {
        BoxBody::new(Answer {
            answer,
            _body: self,
        })
    }
}

impl Stream for ChunkedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next_unpin(context)
    }
}

struct Answer {
    answer: BoxBody,
    _body: ChunkedBody,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().answer).poll_next(context)
    }
}
