//! The head of a response.

use crate::body::Body;

const MAX_HEADERS: usize = 64;
/// A longer head is an error.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    pub body: Body,
    /// Whether the connection may be used again.
    pub keep_alive: bool,
    /// The length of the head: the body begins here.
    pub len: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    #[error("the answer is not HTTP: {0}")]
    Syntax(#[from] httparse::Error),
    #[error("the head of the answer is over {MAX_HEAD_BYTES} bytes")]
    TooLong,
}

/// Parses a head. `None` when it is not complete yet.
pub fn parse(bytes: &[u8]) -> Result<Option<Head>, BadHead> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(len) = response.parse(bytes)? else {
        return if bytes.len() > MAX_HEAD_BYTES {
            Err(BadHead::TooLong)
        } else {
            Ok(None)
        };
    };
    let status = response.code.unwrap_or(0);
    let value = |name: &str| {
        let named = |h: &&httparse::Header<'_>| h.name.eq_ignore_ascii_case(name);
        let header = response.headers.iter().find(named)?;
        std::str::from_utf8(header.value).ok().map(str::trim)
    };
    let says_close = value("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
    let body = body(status, value("transfer-encoding"), value("content-length"));
    Ok(Some(Head {
        status,
        body,
        keep_alive: response.version == Some(1) && !says_close && body != Body::Open,
        len,
    }))
}

/// The first value of a header in a head that [`parse`] has accepted.
#[must_use]
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).ok()?;
    let mut headers = response.headers.iter();
    let found = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok().map(str::trim)
}

fn body(status: u16, encoding: Option<&str>, length: Option<&str>) -> Body {
    if matches!(status, 100..=199 | 204 | 304) {
        return Body::Done;
    }
    let chunked = |e: &str| e.to_ascii_lowercase().ends_with("chunked");
    match (encoding, length.map(str::parse)) {
        (Some(encoding), _) if chunked(encoding) => Body::CHUNKED,
        (None, Some(Ok(0))) => Body::Done,
        (None, Some(Ok(length))) => Body::Sized(length),
        _ => Body::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Head {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn the_head_says_how_the_body_ends() {
        let chunked = of("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5");
        assert_eq!((chunked.body, chunked.keep_alive), (Body::CHUNKED, true));
        let sized = of("HTTP/1.1 201 Created\r\ncontent-length: 12\r\n\r\n");
        assert_eq!((sized.status, sized.body), (201, Body::Sized(12)));
        let open = of("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!((open.body, open.keep_alive), (Body::Open, false));
        let none = of("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        assert_eq!((none.body, none.keep_alive), (Body::Done, false));
    }

    #[test]
    fn a_header_is_found_by_its_name() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type:  text/event-stream \r\nA: \xff\r\n\r\nbody";
        assert_eq!(header(head, "content-type"), Some("text/event-stream"));
        assert_eq!((header(head, "a"), header(head, "b")), (None, None));
        assert_eq!(header(b"HTTP/1.1 2", "a"), None);
    }

    #[test]
    fn half_a_head_is_waited_for_up_to_a_limit() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(None));
        let endless = [&b"HTTP/1.1 200 OK\r\nA: "[..], &vec![b'b'; MAX_HEAD_BYTES]].concat();
        assert_eq!(parse(&endless), Err(BadHead::TooLong));
        assert!(parse(b"SSH-2.0-OpenSSH_9\r\n").is_err());
    }
}
