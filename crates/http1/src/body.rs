//! The body of a response, in each of the ways that a server can frame it.

/// The position of a reader in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// `Transfer-Encoding: chunked`.
    Chunked(Chunked),
    /// `Content-Length`: this many bytes are still to come.
    Sized(u64),
    /// Until the connection ends.
    Open,
    /// At the end: the connection may carry another response.
    Done,
}

/// The position of a reader in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunked {
    /// Before the first digit of a size. An empty line is no size, and not the end of the body.
    Start,
    /// In the digits of a size; their value so far.
    Size(u64),
    /// Between the digits and the end of the line.
    Extension(u64),
    /// In the data of a chunk; the bytes that are to come.
    Data(u64),
    /// In the line end after the data.
    DataEnd,
    /// In the trailer; the length of the current line.
    Trailer(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is malformed")]
pub struct Malformed;

/// A larger chunk is an error.
const MAX_CHUNK: u64 = 1 << 40;

impl Body {
    /// At the start of a chunked body.
    pub const CHUNKED: Self = Self::Chunked(Chunked::Start);

    /// Takes the next `bytes` and passes their content on. Bytes after the end of the body are
    /// dropped.
    ///
    /// # Errors
    /// The body is not chunked as it should be.
    pub fn take(
        &mut self,
        mut bytes: &[u8],
        mut content: impl FnMut(&[u8]),
    ) -> Result<(), Malformed> {
        while !bytes.is_empty() && *self != Self::Done {
            let rest = match self {
                Self::Chunked(state) => state.take(bytes, &mut content)?,
                Self::Sized(left) => {
                    let (data, rest) = split(bytes, *left);
                    *left -= count(data.len());
                    content(data);
                    (*left > 0).then_some(rest)
                }
                Self::Open => {
                    content(bytes);
                    Some(&bytes[bytes.len()..])
                }
                Self::Done => None,
            };
            match rest {
                Some(rest) => bytes = rest,
                None => *self = Self::Done,
            }
        }
        Ok(())
    }
}

impl Chunked {
    /// Takes some of `bytes` and returns the rest, or `None` at the end of the body.
    fn take<'a>(
        &mut self,
        bytes: &'a [u8],
        content: &mut impl FnMut(&[u8]),
    ) -> Result<Option<&'a [u8]>, Malformed> {
        if let Self::Data(left) = *self {
            let (data, rest) = split(bytes, left);
            content(data);
            let left = left - count(data.len());
            *self = if left == 0 {
                Self::DataEnd
            } else {
                Self::Data(left)
            };
            return Ok(Some(rest));
        }
        match self.step(bytes[0])? {
            Some(next) => *self = next,
            None => return Ok(None),
        }
        Ok(Some(&bytes[1..]))
    }

    /// The state after one byte that is not data, or `None` at the end of the body.
    fn step(self, byte: u8) -> Result<Option<Self>, Malformed> {
        Ok(Some(match (self, byte) {
            (Self::Size(0) | Self::Extension(0), b'\n') => Self::Trailer(0),
            (Self::Size(size) | Self::Extension(size), b'\n') => Self::Data(size),
            (Self::Size(size), b';' | b' ' | b'\t' | b'\r') | (Self::Extension(size), _) => {
                Self::Extension(size)
            }
            (Self::Start, _) => Self::Size(more(0, byte)?),
            (Self::Size(size), _) => Self::Size(more(size, byte)?),
            (Self::DataEnd, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::Start,
            (Self::Trailer(0), b'\n') => return Ok(None),
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(len), b'\r') => Self::Trailer(len),
            (Self::Trailer(len), _) => Self::Trailer(len + 1),
            (Self::DataEnd | Self::Data(_), _) => return Err(Malformed),
        }))
    }
}

fn more(size: u64, digit: u8) -> Result<u64, Malformed> {
    let digit = char::from(digit).to_digit(16).ok_or(Malformed)?;
    let size = (size << 4) | u64::from(digit);
    if size > MAX_CHUNK {
        Err(Malformed)
    } else {
        Ok(size)
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn split(bytes: &[u8], left: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"5\r\nhello\r\n1;a=b\r\n,\r\n00a \r\n wide\r\nweb\r\n0\r\nX: y\r\n\r\n";

    fn read(mut body: Body, text: &[u8], size: usize) -> (Vec<u8>, Body) {
        let mut out = Vec::new();
        for piece in text.chunks(size) {
            body.take(piece, |data| out.extend_from_slice(data))
                .unwrap();
        }
        (out, body)
    }

    #[test]
    fn chunk_borders_may_fall_anywhere() {
        for size in 1..=TEXT.len() {
            let (out, end) = read(Body::CHUNKED, TEXT, size);
            assert_eq!(out, b"hello, wide\r\nweb", "in pieces of {size}");
            assert_eq!(end, Body::Done);
        }
    }

    #[test]
    fn a_sized_body_ends_by_itself_and_an_open_one_never() {
        assert_eq!(
            read(Body::Sized(5), b"hello", 2),
            (b"hello".to_vec(), Body::Done)
        );
        assert_eq!(
            read(Body::Sized(5), b"hell", 3),
            (b"hell".to_vec(), Body::Sized(1))
        );
        assert_eq!(
            read(Body::Open, b"hello", 2),
            (b"hello".to_vec(), Body::Open)
        );
    }

    #[test]
    fn what_is_not_a_chunk_is_refused() {
        for bad in [
            &b"x\r\n"[..],
            b"1\r\nab",
            b"fffffffffffffffff\r\n",
            b"\r\n\r\n",
            b"\n\n",
            b";a=b\r\n\r\n",
            b" 0\r\n\r\n",
            b"5\r\nhello\r\n\r\n\r\n",
        ] {
            let mut body = Body::CHUNKED;
            let text = String::from_utf8_lossy(bad);
            assert_eq!(body.take(bad, |_| {}), Err(Malformed), "{text:?}");
        }
    }
}
