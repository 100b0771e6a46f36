//! The head of a request: its line, its headers, and the length of its body.

mod target;

use memchr::memchr;

use super::FramingError;
use target::Target;

/// The limits of actix. A head beyond them would be refused there too.
pub(super) const MAX_HEAD_BYTES: usize = 131_072;
pub(super) const MAX_HEADERS: u8 = 96;
/// actix panics at a name of 65,536 bytes.
const MAX_NAME_BYTES: usize = 1_024;
/// More digits could overflow.
const MAX_LENGTH_DIGITS: usize = 19;

/// The body that follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    None,
    Sized(u64),
    Chunked,
}

/// A head that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeadEnd {
    pub(super) bytes: usize,
    pub(super) body: BodyFraming,
    /// No other request can follow on the connection.
    pub(super) is_last: bool,
}

/// A part of the head.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start as usize..self.end as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HttpVersion {
    Http10,
    Http11,
}

/// What the Connection headers ask for, as actix understands them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionWish {
    Close,
    KeepAlive,
    Upgrade,
}

/// A head, as far as it has been read.
#[derive(Debug)]
pub(super) struct HeadScan {
    /// Where the next line begins.
    line: u32,
    /// The bytes up to here contain no end of that line.
    seen: u32,
    headers: u8,
    /// None before the request line.
    version: Option<HttpVersion>,
    connection: Option<ConnectionWish>,
    is_post: bool,
    /// actix takes all that follows such a head for its body.
    is_websocket: bool,
    body: BodyFraming,
    host: Option<Span>,
    /// The host in the request line.
    authority: Option<Span>,
}

impl Default for HeadScan {
    fn default() -> Self {
        Self {
            line: 0,
            seen: 0,
            headers: 0,
            version: None,
            connection: None,
            is_post: false,
            is_websocket: false,
            body: BodyFraming::None,
            host: None,
            authority: None,
        }
    }
}

impl HeadScan {
    /// Reads on. `bytes` begins with the head, also with the part that has been read already.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<HeadEnd>, FramingError> {
        loop {
            let (start, seen) = (self.line as usize, self.seen as usize);
            let Some(found) = memchr(b'\n', &bytes[seen..]) else {
                return self.wait(bytes).map(|()| None);
            };
            let line = &bytes[start..seen + found];
            let next = position(seen + found + 1)?;
            (self.line, self.seen) = (next, next);
            let line = line.strip_suffix(b"\r").ok_or(FramingError::LineEnd)?;
            if has_control(line) {
                return Err(control_error(line));
            }
            match self.version {
                // One empty line before a request is allowed.
                None if line.is_empty() && start == 0 => {}
                None => self.request_line(line, start)?,
                Some(version) if line.is_empty() => return self.end(bytes, version).map(Some),
                Some(_) => self.header(line, start)?,
            }
        }
    }

    /// Refuses what can never become a line.
    fn wait(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        let rest = &bytes[self.seen as usize..];
        // The CR may be the first byte of the end of the line.
        let text = rest.strip_suffix(b"\r").unwrap_or(rest);
        if has_control(text) {
            return Err(control_error(text));
        }
        self.seen = position(bytes.len() - (rest.len() - text.len()))?;
        Ok(())
    }

    fn request_line(&mut self, line: &[u8], start: usize) -> Result<(), FramingError> {
        let error = FramingError::RequestLine;
        let first = memchr(b' ', line).ok_or(error)?;
        let (method, rest) = (&line[..first], &line[first + 1..]);
        let second = memchr(b' ', rest).ok_or(error)?;
        if !is_token(method) {
            return Err(error);
        }
        self.version = Some(match &rest[second + 1..] {
            b"HTTP/1.1" => HttpVersion::Http11,
            b"HTTP/1.0" => HttpVersion::Http10,
            _ => return Err(error),
        });
        self.is_post = method == b"POST";
        if let Target::Absolute { host } = Target::parse(method, &rest[..second])? {
            let start = start + first + 1;
            self.authority = Some(Span {
                start: position(start + host.start)?,
                end: position(start + host.end)?,
            });
        }
        Ok(())
    }

    fn header(&mut self, line: &[u8], start: usize) -> Result<(), FramingError> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(FramingError::FoldedLine);
        }
        let colon = memchr(b':', line).ok_or(FramingError::HeaderName)?;
        let name = &line[..colon];
        if !is_token(name) || name.len() > MAX_NAME_BYTES {
            return Err(FramingError::HeaderName);
        }
        self.headers += 1;
        if self.headers > MAX_HEADERS {
            return Err(FramingError::HeadTooLarge);
        }
        let value = trim(&line[colon + 1..]);
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                let end = start + line.trim_ascii_end().len();
                self.host(value, end)
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.is_websocket |= value.eq_ignore_ascii_case(b"websocket");
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                // actix does not read one that is not ASCII.
                if !value.is_ascii() {
                    return Err(FramingError::Connection);
                }
                self.connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.body(FramingError::Length, length(value)?)
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let is_chunked = value.eq_ignore_ascii_case(b"chunked");
                if !is_chunked || self.version == Some(HttpVersion::Http10) {
                    return Err(FramingError::Encoding);
                }
                self.body(FramingError::Encoding, BodyFraming::Chunked)
            }
            _ => Ok(()),
        }
    }

    /// The value ends at this byte of the head.
    fn host(&mut self, value: &[u8], end: usize) -> Result<(), FramingError> {
        if self.host.is_some() || !target::is_host(value) {
            return Err(FramingError::Host);
        }
        self.host = Some(Span {
            start: position(end - value.len())?,
            end: position(end)?,
        });
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(trim) {
            if option.eq_ignore_ascii_case(b"close") {
                self.connection = Some(ConnectionWish::Close);
            } else if self.connection == Some(ConnectionWish::Close) {
                return;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.connection = Some(ConnectionWish::Upgrade);
            } else if option.eq_ignore_ascii_case(b"keep-alive") && self.connection.is_none() {
                self.connection = Some(ConnectionWish::KeepAlive);
            }
        }
    }

    /// Only one header may say how long the body is.
    fn body(&mut self, twice: FramingError, body: BodyFraming) -> Result<(), FramingError> {
        let is_same_kind = matches!(
            (self.body, body),
            (BodyFraming::Sized(_), BodyFraming::Sized(_))
                | (BodyFraming::Chunked, BodyFraming::Chunked)
        );
        match self.body {
            BodyFraming::None => self.body = body,
            _ if is_same_kind => return Err(twice),
            _ => return Err(FramingError::LengthAndEncoding),
        }
        Ok(())
    }

    fn end(&self, bytes: &[u8], version: HttpVersion) -> Result<HeadEnd, FramingError> {
        let is_10 = version == HttpVersion::Http10;
        if self.host.is_none() && !is_10 {
            return Err(FramingError::Host);
        }
        if let (Some(authority), Some(host)) = (self.authority, self.host)
            && !authority.of(bytes).eq_ignore_ascii_case(host.of(bytes))
        {
            return Err(FramingError::OtherHost);
        }
        if is_10 && self.is_post && self.body == BodyFraming::None {
            return Err(FramingError::Length);
        }
        let has_body = !matches!(self.body, BodyFraming::None | BodyFraming::Sized(0));
        if self.is_websocket && has_body {
            return Err(FramingError::Upgrade);
        }
        let is_last = self.is_websocket
            || match self.connection {
                None => is_10,
                Some(ConnectionWish::KeepAlive) => false,
                Some(ConnectionWish::Close | ConnectionWish::Upgrade) => true,
            };
        Ok(HeadEnd {
            bytes: self.line as usize,
            body: self.body,
            is_last,
        })
    }
}

/// A position in a head, whose length is limited.
fn position(at: usize) -> Result<u32, FramingError> {
    if at > MAX_HEAD_BYTES {
        return Err(FramingError::HeadTooLarge);
    }
    u32::try_from(at).map_err(|_| FramingError::HeadTooLarge)
}

fn length(value: &[u8]) -> Result<BodyFraming, FramingError> {
    let is_number = (1..=MAX_LENGTH_DIGITS).contains(&value.len());
    if !is_number || !value.iter().all(u8::is_ascii_digit) {
        return Err(FramingError::Length);
    }
    let digits = value.iter().map(|digit| u64::from(digit - b'0'));
    Ok(BodyFraming::Sized(digits.fold(0, |sum, n| sum * 10 + n)))
}

/// Without the white space that may stand around a value.
fn trim(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(is_text).unwrap_or(value.len());
    let end = value.iter().rposition(is_text).map_or(start, |at| at + 1);
    &value[start..end]
}

/// Without an early end, so that many bytes are looked at at once.
fn has_control(line: &[u8]) -> bool {
    line.iter()
        .fold(false, |found, byte| found | is_control(*byte))
}

const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

fn control_error(line: &[u8]) -> FramingError {
    if line.contains(&b'\r') {
        FramingError::LineEnd
    } else {
        FramingError::Control
    }
}

pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        )
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| is_token_byte(*byte))
}
