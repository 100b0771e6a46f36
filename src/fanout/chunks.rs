//! Chunks of HTTP/1.1. A shared frame is encoded as a chunk once, so that streams that write to their
//! sockets themselves need no work for it: several chunks are several frames one after the other.

use bytes::Bytes;

/// The chunk that ends a body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const LINE_END: &[u8] = b"\r\n";
const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// One chunk that contains `parts`. They must not all be empty: an empty chunk ends the body.
#[must_use]
pub fn chunk(parts: &[&[u8]]) -> Bytes {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let digits = hex_digits(len);
    let mut chunk = Vec::with_capacity(digits + len + 2 * LINE_END.len());
    let digit = |at: usize| HEX_DIGITS[len >> (4 * at) & 0xf];
    chunk.extend((0..digits).rev().map(digit));
    chunk.extend_from_slice(LINE_END);
    for part in parts {
        chunk.extend_from_slice(part);
    }
    chunk.extend_from_slice(LINE_END);
    chunk.into()
}

/// How many hexadecimal digits a number has.
fn hex_digits(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros();
    usize::try_from(bits.div_ceil(4).max(1)).unwrap_or(1)
}

/// The content of a chunk.
#[must_use]
pub fn content_of(chunk: &[u8]) -> &[u8] {
    let line = memchr::memchr(b'\n', chunk).map_or(0, |end| end + 1);
    let end = chunk.len().saturating_sub(LINE_END.len());
    &chunk[line..end.max(line)]
}

/// The content of a chunk, as a part of the same bytes.
#[must_use]
pub fn content(chunk: &Bytes) -> Bytes {
    chunk.slice_ref(content_of(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_has_its_size_and_its_content() {
        let whole = chunk(&[b"data: ", &[b'x'; 20], b"\n\n"]);
        assert_eq!(whole, "1c\r\ndata: xxxxxxxxxxxxxxxxxxxx\n\n\r\n");
        assert_eq!(content(&whole), "data: xxxxxxxxxxxxxxxxxxxx\n\n");
        assert_eq!(content(&Bytes::from_static(LAST_CHUNK)), "");
    }

    #[test]
    fn the_size_of_a_chunk_is_hexadecimal_and_its_memory_is_no_larger() {
        for len in [1, 9, 10, 15, 16, 255, 256, 4_095, 4_096, 70_000] {
            let content = vec![b'x'; len];
            let whole = chunk(&[&content]);
            let expected = format!("{len:x}\r\n{}\r\n", "x".repeat(len));
            assert_eq!(whole, expected.as_bytes());
        }
    }
}
