//! The format of Server-Sent Events: bytes in, events out.

use std::time::Duration;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A larger event breaks the connection: an endless line must not fill the memory.
const MAX_BLOCK_BYTES: usize = 64 << 20;
/// A longer `retry:` counts as this.
const MAX_RETRY: Duration = Duration::from_mins(10);

/// An event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEvent {
    /// The name; `message` if it has none.
    pub name: String,
    pub data: String,
    /// The last id of the stream, or nothing before the first one.
    pub id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {MAX_BLOCK_BYTES} bytes")]
pub struct BlockTooLarge;

/// Reads one connection.
#[derive(Debug, Default)]
pub struct Parser {
    /// The id of the last complete block.
    last_id: String,
    id: String,
    name: String,
    data: Option<String>,
    line: Vec<u8>,
    retry: Option<Duration>,
    block_bytes: usize,
    /// How much of the byte order mark has come. `None` when the beginning is over.
    mark: Option<usize>,
    /// A line has just ended with a carriage return: a line feed after it belongs to it.
    after_return: bool,
}

impl Parser {
    /// A parser for a connection that continues after `last_id`.
    #[must_use]
    pub fn after(last_id: &str) -> Self {
        Self {
            last_id: last_id.to_owned(),
            id: last_id.to_owned(),
            mark: Some(0),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The last `retry:` of this connection.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes bytes, which may end anywhere, and returns the events that they complete.
    ///
    /// # Errors
    /// An event is too large.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<ServerEvent>, BlockTooLarge> {
        let mut events = Vec::new();
        let mut rest = self.after_mark(bytes)?;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return)
                && let Some(after) = rest.strip_prefix(b"\n")
            {
                rest = after;
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.keep(rest)?;
                break;
            };
            self.keep(&rest[..end])?;
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.end_line());
        }
        Ok(events)
    }

    /// The bytes after the mark that a stream may begin with.
    fn after_mark<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], BlockTooLarge> {
        for (at, byte) in bytes.iter().enumerate() {
            let Some(seen) = self.mark else {
                return Ok(&bytes[at..]);
            };
            if *byte == BYTE_ORDER_MARK[seen] {
                self.mark = Some(seen + 1).filter(|seen| *seen < BYTE_ORDER_MARK.len());
            } else {
                self.mark = None;
                self.keep(&BYTE_ORDER_MARK[..seen])?;
                return Ok(&bytes[at..]);
            }
        }
        Ok(&[])
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), BlockTooLarge> {
        self.block_bytes += part.len();
        if self.block_bytes > MAX_BLOCK_BYTES {
            return Err(BlockTooLarge);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) -> Option<ServerEvent> {
        if self.line.is_empty() {
            return self.end_block();
        }
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let (name, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        self.take_field(name, value);
        // The next line uses the same memory.
        self.line = line;
        self.line.clear();
        None
    }

    fn take_field(&mut self, name: &str, value: &str) {
        match name {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => value.clone_into(&mut self.name),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" => self.retry = milliseconds(value).or(self.retry),
            _ => {}
        }
    }

    fn end_block(&mut self) -> Option<ServerEvent> {
        self.last_id.clone_from(&self.id);
        self.block_bytes = 0;
        let name = std::mem::take(&mut self.name);
        let data = self.data.take()?;
        Some(ServerEvent {
            name: if name.is_empty() {
                "message".to_owned()
            } else {
                name
            },
            data,
            id: self.last_id.clone(),
        })
    }
}

/// The value of a `retry:`, however long it is.
fn milliseconds(value: &str) -> Option<Duration> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let value = || value.parse().map_or(MAX_RETRY, Duration::from_millis);
    is_number.then(value).map(|retry| retry.min(MAX_RETRY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_never_ends_is_refused() {
        let mut parser = Parser::after("");
        let part = vec![b'x'; 1 << 20];
        let fed = (0..64).map(|_| parser.feed(&part).map(|events| events.len()));
        assert!(fed.into_iter().all(|fed| fed == Ok(0)));
        assert_eq!(parser.feed(b"x"), Err(BlockTooLarge));
    }
}
