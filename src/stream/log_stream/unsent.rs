//! Text that a stream writes before any event.

use bytes::Bytes;

use super::catch_up::WRITE_BYTES;

/// Nearly always there is none, so it is boxed.
pub(super) struct UnsentText(Option<Box<Bytes>>);

impl UnsentText {
    pub(super) fn new(text: Bytes) -> Self {
        Self(Some(Box::new(text)))
    }

    pub(super) fn put(&mut self, text: Bytes) {
        self.0 = Some(Box::new(text));
    }

    /// As much of the text as fits one write.
    pub(super) fn take_part(&mut self) -> Option<Bytes> {
        let mut text = self.0.take()?;
        if text.len() <= WRITE_BYTES {
            return Some(*text).filter(|text| !text.is_empty());
        }
        let part = text.split_to(WRITE_BYTES);
        self.0 = Some(text);
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_taken_in_parts_and_none_is_left() {
        let text = Bytes::from(vec![b'x'; WRITE_BYTES + 1]);
        let mut unsent = UnsentText::new(text);
        let parts = [unsent.take_part(), unsent.take_part(), unsent.take_part()];
        let lens = parts.map(|part| part.map(|part| part.len()));
        assert_eq!(lens, [Some(WRITE_BYTES), Some(1), None]);
    }

    #[test]
    fn an_empty_text_is_none() {
        assert_eq!(UnsentText::new(Bytes::new()).take_part(), None);
    }
}
