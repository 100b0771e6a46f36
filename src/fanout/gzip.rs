//! Gzip whose blocks are independent, so that one compressed frame serves every stream.
//!
//! A stream is a gzip header, then blocks that refer to nothing before them, in any
//! number and order, and never a trailer: the stream does not end, it is cut.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

/// What a gzip stream begins with.
pub const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Deflate may grow what does not compress by a few bytes a block.
const ROOM_BYTES: usize = 128;
/// What one stored block holds at the most.
const STORED_MAX_BYTES: usize = 65_535;

thread_local! {
    // Its tables are large and clean to reuse; one a thread is enough.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(6), false));
}

/// `plain` as blocks that stand alone, ended by a full flush.
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

/// `plain` as stored blocks: for what is short or written once.
#[must_use]
pub fn stored(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + 5);
    for part in plain.chunks(STORED_MAX_BYTES) {
        let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn unzipped(bytes: &[u8]) -> String {
        let mut text = String::new();
        // The missing trailer is an error at the end, after every byte was read.
        let _ = flate2::read::GzDecoder::new(bytes).read_to_string(&mut text);
        text
    }

    #[test]
    fn blocks_read_right_in_any_order_and_number() {
        let long = "the same words again and again ".repeat(9_000);
        let (a, b) = (
            "event: a\ndata: {\"a\":\"aaaaaaaa\"}\n\n",
            "event: b\ndata: aaaaaaaa\n\n",
        );
        for order in [vec![a, b], vec![b, a, a], vec![b], vec![a, &long, b]] {
            let mut stream = HEADER.to_vec();
            let mut told = String::new();
            for (i, part) in order.iter().enumerate() {
                let beat = format!(":{i}\n");
                stream.extend_from_slice(&deflated(part.as_bytes()));
                stream.extend(stored(beat.as_bytes()));
                told.push_str(part);
                told.push_str(&beat);
            }
            assert_eq!(unzipped(&stream), told);
        }
    }

    #[test]
    fn a_heartbeat_is_nine_bytes() {
        assert_eq!(stored(b":hb\n").len(), 9);
    }
}
