//! The target of a request line.

use std::ops::Range;

use actix_web::http::Uri;
use memchr::memrchr;

use crate::api::framing::FramingError;

/// A longer target is parsed as actix does it.
const MAX_PLAIN_BYTES: usize = 1_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Path,
    /// An address, as proxies get it. `host` is the place of its host and port.
    Absolute {
        host: Range<usize>,
    },
    /// `OPTIONS *`.
    Server,
}

impl Target {
    /// A target that actix can read.
    pub(super) fn parse(method: &[u8], target: &[u8]) -> Result<Self, FramingError> {
        // actix would cut a fragment off. A proxy may take it for a part of the path.
        if target.contains(&b'#') {
            return Err(FramingError::Target);
        }
        let parsed = match target {
            [b'/', ..] => Self::Path,
            b"*" if method == b"OPTIONS" => return Ok(Self::Server),
            _ => Self::absolute(target).ok_or(FramingError::Target)?,
        };
        let is_plain = target.len() <= MAX_PLAIN_BYTES && target.iter().all(|b| is_plain(*b));
        if (parsed == Self::Path && is_plain) || Uri::try_from(target).is_ok() {
            return Ok(parsed);
        }
        Err(FramingError::Target)
    }

    fn absolute(target: &[u8]) -> Option<Self> {
        let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
            target
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })?;
        let start = scheme.len();
        let rest = &target[start..];
        let length = rest.iter().position(|b| matches!(b, b'/' | b'?'));
        let length = length.unwrap_or(rest.len());
        (length > 0 && is_host(&rest[..length])).then_some(Self::Absolute {
            host: start..start + length,
        })
    }
}

/// Bytes that every parser of addresses takes.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'/' | b'?'
                | b'&'
                | b'='
                | b'-'
                | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b','
                | b':'
                | b'*'
                | b'+'
                | b'@'
        )
}

/// One host, with or without a port. It may be empty.
pub(super) fn is_host(value: &[u8]) -> bool {
    let colon = memrchr(b':', value);
    // The colons of an IPv6 address are within brackets.
    let port = colon.filter(|at| !value[*at..].contains(&b']'));
    let (host, port) = value.split_at(port.unwrap_or(value.len()));
    let is_port = port.iter().skip(1).all(u8::is_ascii_digit);
    is_port
        && match host {
            [b'[', address @ .., b']'] => address
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b".:%-_~".contains(byte)),
            name => name.iter().all(|byte| is_name_byte(*byte)),
        }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&'..=b'+' | b';' | b'='
        )
}
