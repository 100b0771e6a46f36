//! The last event id of a stream, with the rules of an `EventSource`.

/// An id longer than this is not sent back.
const MAX_ID_BYTES: usize = 512;

/// Reads `id:` lines. An id counts when its event is complete.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cursor {
    line: Vec<u8>,
    pending: Option<Vec<u8>>,
    last: Vec<u8>,
}

impl Cursor {
    /// The last id, if the stream has sent one.
    pub(crate) fn last(&self) -> Option<&[u8]> {
        Some(self.last.as_slice()).filter(|id| !id.is_empty())
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let room = MAX_ID_BYTES.saturating_sub(self.line.len());
            let whole = piece.ends_with(b"\n");
            let text = &piece[..piece.len() - usize::from(whole)];
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if whole {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if line.is_empty() {
            self.last = self
                .pending
                .take()
                .unwrap_or(std::mem::take(&mut self.last));
        } else if let Some(id) = line.strip_prefix(b"id:") {
            self.pending = Some(id.strip_prefix(b" ").unwrap_or(id).to_vec());
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_counts_once_its_event_is_complete() {
        let text =
            b"retry: 1\n:ok\nevent: stream:ready\r\nid: 4-ab\r\n\r\ndata: id: 9\nid:5-ab\n\n";
        for size in 1..=text.len() {
            let mut cursor = Cursor::default();
            text.chunks(size).for_each(|piece| cursor.take(piece));
            assert_eq!(cursor.last(), Some(&b"5-ab"[..]), "in pieces of {size}");
            cursor.take(b"data: x\nid: 6-ab\n");
            assert_eq!(
                cursor.last(),
                Some(&b"5-ab"[..]),
                "the event is not complete"
            );
        }
    }
}
