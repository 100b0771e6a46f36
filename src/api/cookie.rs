//! The cookie that may carry the token.
//!
//! Its name counts as it is: browsers keep rules for names such as `__Host-…`, so that an escaped form of one is another
//! cookie, which anybody may have set. Whatever other cookies look like does not matter.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderValue};

/// The cookie is there more than once: one may be of another site of the domain, and nobody knows which.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AmbiguousCookie;

/// The value of the cookie with this name.
pub(super) fn cookie<'a>(
    request: &'a HttpRequest,
    name: &str,
) -> Result<Option<&'a [u8]>, AmbiguousCookie> {
    let headers = request.headers().get_all(header::COOKIE);
    only(headers.map(HeaderValue::as_bytes), name)
}

fn only<'a>(
    headers: impl Iterator<Item = &'a [u8]>,
    name: &str,
) -> Result<Option<&'a [u8]>, AmbiguousCookie> {
    let pairs = headers.flat_map(|header| header.split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| value(pair, name));
    let value = values.next();
    match values.next() {
        Some(_) => Err(AmbiguousCookie),
        None => Ok(value),
    }
}

/// The value of a pair, if it has this name.
fn value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (its_name, value) = pair.split_at(equals);
    (its_name.trim_ascii() == name.as_bytes()).then(|| value[1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(headers: &[&'a [u8]]) -> Result<Option<&'a [u8]>, AmbiguousCookie> {
        only(headers.iter().copied(), "__Host-t")
    }

    #[test]
    fn the_cookie_is_found_among_others_whatever_they_are() {
        for header in [
            &b"__Host-t=a.b.c"[..],
            b"a=b; __Host-t=a.b.c; c=d",
            b"a=b;__Host-t=a.b.c",
            b" __Host-t = a.b.c ;",
            b"n=Andr\xe9; \xff; ;=;==; %00=%ff; __Host-t=a.b.c; \"",
            b"__host-t=x; x__Host-t=x; __Host-t2=x; __Host-t=a.b.c",
        ] {
            let what = String::from_utf8_lossy(header);
            assert_eq!(read(&[header]), Ok(Some(&b"a.b.c"[..])), "{what}");
            assert_eq!(read(&[b"a=b", header]), Ok(Some(&b"a.b.c"[..])), "{what}");
        }
    }

    #[test]
    fn other_names_and_names_without_a_value_are_not_the_cookie() {
        for header in [
            &b""[..],
            b";;;=;",
            b"__Host-t",
            b"__Host%2Dt=x",
            b"%5F_Host-t=x",
            b"__HOST-T=x",
            b"a=__Host-t=x",
            b"\"__Host-t\"=x",
        ] {
            assert_eq!(read(&[header]), Ok(None), "{header:?}");
        }
    }

    #[test]
    fn values_are_not_changed() {
        for (header, value) in [
            (&b"__Host-t="[..], &b""[..]),
            (b"__Host-t=%41", b"%41"),
            (b"__Host-t=\xff", b"\xff"),
            (b"__Host-t=a=b", b"a=b"),
            (b"__Host-t=\"a\"", b"\"a\""),
        ] {
            assert_eq!(read(&[header]), Ok(Some(value)));
        }
    }

    #[test]
    fn two_of_the_name_are_ambiguous_even_if_they_are_equal() {
        let (one, two) = (&b"__Host-t=x"[..], &b"__Host-t=x; a=b; __Host-t=x"[..]);
        assert_eq!(read(&[two]), Err(AmbiguousCookie));
        assert_eq!(read(&[one, one]), Err(AmbiguousCookie));
        assert_eq!(read(&[b"__Host-t=; __Host-t=x"]), Err(AmbiguousCookie));
    }
}
