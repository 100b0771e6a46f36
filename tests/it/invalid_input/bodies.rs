//! Bodies of a wrong type or size, and invalid keys.

use bytes::Bytes;

use super::{json_body, publish, with, works_and_holds_nothing};
use crate::support::{Answer, Service};

#[tokio::test]
async fn a_body_of_another_kind_is_refused() {
    let service = Service::start().await;
    let good = with("version", "1");
    for media_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "json",
        "\u{e4}",
    ] {
        let request = publish(&service).header("content-type", media_type.as_bytes());
        let answer = Answer::to(request.body(good.clone())).await;
        let field = answer.refused(415, "unsupported_media_type", media_type);
        assert_eq!(field.as_deref(), Some("Content-Type"));
    }
    let answer = Answer::to(publish(&service).body(good.clone())).await;
    answer.refused(415, "unsupported_media_type", "no media type");
    for coding in ["gzip", "br", "identity", "nonsense"] {
        let request = json_body(&service, good.clone()).header("content-encoding", coding);
        let field = Answer::to(request)
            .await
            .refused(415, "unsupported_encoding", coding);
        assert_eq!(field.as_deref(), Some("Content-Encoding"));
    }
    for bytes in [
        &b"{\"type\":\"\xff\"}"[..],
        b"\xff\xfe{\0}\0",
        b"{\"type\":\"t\",\"data\":\"\xc3\"}",
    ] {
        let answer = Answer::to(json_body(&service, bytes.to_vec())).await;
        answer.refused(400, "invalid_body", "not UTF-8");
    }
    let bad_data = [&b"{\"type\":\"t\",\"audience\":{\"broker\":true},\"data\":\"\xc3\x28\"}"[..]];
    for bytes in bad_data {
        let answer = Answer::to(json_body(&service, bytes.to_vec())).await;
        answer.refused(400, "invalid_body", "data that is not UTF-8");
    }
    works_and_holds_nothing(&service).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_comes() {
    let service = Service::start().await;
    for bytes in [262_145, 1 << 20, 8 << 20] {
        let body = " ".repeat(bytes);
        let answer = Answer::to(json_body(&service, body.clone())).await;
        answer.refused(413, "body_too_large", "with a length");
        let parts = body
            .into_bytes()
            .chunks(65_536)
            .map(Bytes::copy_from_slice)
            .collect::<Vec<_>>();
        let parts = futures_util::stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>));
        let request = json_body(&service, reqwest::Body::wrap_stream(parts));
        Answer::to(request)
            .await
            .refused(413, "body_too_large", "in parts");
    }
    let padded = format!("{}{}", with("version", "1"), " ".repeat(262_144));
    works_and_holds_nothing(&service).await;
    let answer = Answer::to(json_body(&service, padded[..262_144].to_owned())).await;
    assert_eq!(
        answer.status, 201,
        "the limit itself is allowed: {}",
        answer.text
    );
}

#[tokio::test]
async fn a_bad_idempotency_key_is_refused() {
    let service = Service::start().await;
    let long = "k".repeat(256);
    for key in [
        &b""[..],
        b"\xff",
        b"a\tb",
        "schl\u{fc}ssel".as_bytes(),
        long.as_bytes(),
    ] {
        let request = json_body(&service, with("version", "1")).header("idempotency-key", key);
        let answer = Answer::to(request).await;
        let field = answer.refused(400, "invalid_parameter", &String::from_utf8_lossy(key));
        assert_eq!(field.as_deref(), Some("Idempotency-Key"));
    }
    works_and_holds_nothing(&service).await;
}
