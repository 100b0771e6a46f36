//! Chunks of HTTP/1.1. A shared frame is encoded as a chunk once, so that streams that write to their
//! sockets themselves need no work for it: several chunks are several frames one after the other.

use bytes::Bytes;

/// The chunk that ends a body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const LINE_END: &[u8] = b"\r\n";

/// One chunk that contains `parts`. They must not all be empty: an empty chunk ends the body.
#[must_use]
pub fn chunk(parts: &[&[u8]]) -> Bytes {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let size = format!("{len:x}");
    let all = [&[size.as_bytes(), LINE_END], parts, &[LINE_END]];
    all.concat().concat().into()
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
}
