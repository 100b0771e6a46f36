//! Gzip with independent blocks, so that all streams share one compressed frame.
//!
//! A stream is a gzip header and then blocks in any number and order. No block refers to an earlier
//! one. There is no trailer, because a stream has no regular end.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

/// The first bytes of a gzip stream.
pub const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Data that does not compress grows by a few bytes for each block.
const ROOM_BYTES: usize = 128;
/// An empty stored block. Some decoders, Go's among them, pass on what they have only at one of these.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];
/// The limit of one stored block.
const STORED_MAX_BYTES: usize = 65_535;

thread_local! {
    // Its tables are large, so that each thread reuses one.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(6), false));
}

/// `plain` as independent blocks, with a full flush at the end.
#[must_use]
pub fn deflated(plain: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(plain.len() + ROOM_BYTES);
    let whole = DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        let done = deflate.compress_vec(plain, &mut out, FlushCompress::Full);
        let all_in = usize::try_from(deflate.total_in()) == Ok(plain.len());
        done.is_ok() && all_in && out.len() < out.capacity()
    });
    if whole {
        Bytes::from(out)
    } else {
        Bytes::from(stored(plain))
    }
}

/// `plain` as stored blocks with a flush at the end, for text that is short or written once.
#[must_use]
pub fn stored(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + 2 * FLUSH.len());
    for part in plain.chunks(STORED_MAX_BYTES) {
        let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend(part);
    }
    out.extend(FLUSH);
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn unzipped(bytes: &[u8]) -> String {
        let mut text = String::new();
        // The missing trailer is an error after the last byte.
        let _ = flate2::read::GzDecoder::new(bytes).read_to_string(&mut text);
        text
    }

    #[test]
    fn blocks_can_be_read_in_any_order_and_number() {
        let long = "the same words again and again ".repeat(9_000);
        let (a, b) = (
            "event: a\ndata: {\"a\":\"aaaaaaaa\"}\n\n",
            "event: b\ndata: aaaaaaaa\n\n",
        );
        for order in [vec![a, b], vec![b, a, a], vec![b], vec![a, &long, b]] {
            let mut stream = HEADER.to_vec();
            let mut expected = String::new();
            for (i, part) in order.iter().enumerate() {
                let heartbeat = format!(":{i}\n");
                stream.extend_from_slice(&deflated(part.as_bytes()));
                stream.extend(stored(heartbeat.as_bytes()));
                expected.push_str(part);
                expected.push_str(&heartbeat);
            }
            assert_eq!(unzipped(&stream), expected);
        }
    }

    #[test]
    fn a_heartbeat_is_fourteen_bytes() {
        assert_eq!(stored(b":hb\n").len(), 14);
    }

    #[test]
    fn all_text_ends_with_a_flush() {
        for text in ["", ":hb\n", &"x".repeat(STORED_MAX_BYTES)] {
            assert!(stored(text.as_bytes()).ends_with(&FLUSH), "stored");
            assert!(deflated(text.as_bytes()).ends_with(&FLUSH[1..]), "deflated");
        }
    }
}
