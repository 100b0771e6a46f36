//! Lists as answers. A page is in memory once; its connection gets it in pieces.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::Value;

use crate::platform::PageItems;

/// The size of a piece. It fits the buffer that each connection has anyway. The connection asks for the
/// next piece when it has written the last one.
const PIECE_BYTES: usize = 7 * 1_024;

/// A list: items under a name, and the other fields of the body.
pub(super) struct Page<'a, F> {
    pub(super) name: &'a str,
    pub(super) items: &'a PageItems,
    pub(super) fields: F,
}

impl<F: Serialize> Page<'_, F> {
    pub(super) fn respond(&self, head: HttpResponseBuilder) -> HttpResponse {
        respond_json(head, self.json())
    }

    fn json(&self) -> String {
        let fields = serde_json::to_value(&self.fields).unwrap_or_default();
        let mut json = format!("{{\"{}\":[{}]", self.name, self.items.json());
        if let Value::Object(fields) = fields {
            for (name, value) in fields {
                // Writing to a string does not fail.
                let _ = write!(json, ",{}:{value}", Value::from(name));
            }
        }
        json.push('}');
        json
    }
}

/// Responds with a list that is JSON already. Caches may not store it.
pub(super) fn respond_json(mut head: HttpResponseBuilder, json: String) -> HttpResponse {
    head.insert_header((header::CACHE_CONTROL, "no-store"));
    head.insert_header(header::ContentType::json());
    head.body(Pieces(Bytes::from(json)))
}

/// A body that is written in pieces.
struct Pieces(Bytes);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(u64::try_from(self.0.len()).unwrap_or(u64::MAX))
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let bytes = self.0.len().min(PIECE_BYTES);
        let piece = self.0.split_to(bytes);
        Poll::Ready((bytes > 0).then_some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use serde_json::json;

    use super::*;
    use crate::platform::PageLimit;

    #[test]
    fn a_page_is_an_object_with_its_items_and_fields() {
        let mut items = PageItems::new(PageLimit::new(10, 1_000));
        let page = |items: &PageItems, fields| {
            let name = "things";
            Page {
                name,
                items,
                fields,
            }
            .json()
        };
        assert_eq!(page(&items, json!({})), r#"{"things":[]}"#);
        assert!(items.push("1") && items.push("{}"));
        let json = page(&items, json!({"next": null}));
        assert_eq!(json, r#"{"things":[1,{}],"next":null}"#);
    }

    #[tokio::test]
    async fn a_body_is_written_in_pieces_that_join_to_it() {
        for length in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let whole: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let mut body = Pieces(Bytes::from(whole.clone()));
            assert_eq!(body.size(), BodySize::Sized(length as u64));
            let mut joined = Vec::new();
            while let Some(piece) = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
                let Ok(piece) = piece;
                assert!(piece.len() <= PIECE_BYTES);
                joined.extend(piece);
            }
            assert_eq!(joined, whole);
        }
    }
}
