//! Parsers as functions of bytes: for `cargo fuzz` and for the property tests, which share one list of them
//! (`api/entry_points.rs`).

/// A parser of something that a stranger sends.
#[derive(Clone, Copy, Debug)]
pub struct EntryPoint {
    /// The name of its folder in `fuzz/corpus`, and of its target.
    pub name: &'static str,
    /// Parses the bytes, whatever they are. Panics if the parser breaks a promise.
    pub read: fn(&[u8]),
}

/// The same for a parser of text.
pub(crate) fn with_text(bytes: &[u8], read: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
}

/// Bytes cut into pieces, whose lengths come from the bytes themselves.
pub(crate) fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let len = (usize::from(*first) % 11 + 1).min(rest.len());
        let (piece, after) = rest.split_at(len);
        pieces.push(piece);
        rest = after;
    }
    pieces
}
