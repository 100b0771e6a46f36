//! The mark in every payload, by which an event is recognized in a stream.

use std::io::Write;

use memchr::memmem::Finder;

use crate::units::index;

/// `:tag.topic.sequence.time:`, with the numbers in hex. JSON and URLs change none of its
/// characters, and all of them are allowed in a name.
pub(crate) const MARK_LEN: usize = 1 + TAG_LEN + 1 + 6 + 1 + 8 + 1 + 16 + 1;
/// The tag distinguishes the marks of this run from those of another.
pub(crate) const TAG_LEN: usize = 6;
const CARRY_LEN: usize = MARK_LEN - 1;

/// One event, and when it was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub topic: u32,
    pub seq: u32,
    pub due_ns: u64,
}

/// Writes and finds the marks of one run.
pub(crate) struct Marks {
    start: String,
    finder: Finder<'static>,
}

/// The last bytes of a stream, which may be the beginning of a mark.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carry {
    bytes: [u8; CARRY_LEN],
    len: usize,
}

impl Default for Carry {
    fn default() -> Self {
        Self {
            bytes: [0; CARRY_LEN],
            len: 0,
        }
    }
}

impl Marks {
    pub(crate) fn new(tag: &str) -> Self {
        assert_eq!(tag.len(), TAG_LEN, "a mark has a fixed length");
        let start = format!(":{tag}.");
        let finder = Finder::new(start.as_bytes()).into_owned();
        Self { start, finder }
    }

    /// Appends a payload of `len` bytes that begins with `mark`.
    pub(crate) fn payload(&self, mark: Mark, len: usize, out: &mut Vec<u8>) {
        let (start, Mark { topic, seq, due_ns }) = (&self.start, mark);
        let end = out.len() + len;
        // Writing to a vector does not fail.
        let _ = write!(out, "{start}{topic:06x}.{seq:08x}.{due_ns:016x}:");
        out.resize(end, b'x');
    }

    /// Reports each mark that ends in `bytes`, the bytes after those in `carry`.
    pub(crate) fn scan(&self, carry: &mut Carry, bytes: &[u8], mut found: impl FnMut(Mark)) {
        if carry.len > 0 {
            let (joint, len) = carry.joined(bytes);
            self.each(&joint[..len], |at, mark| {
                // A mark that begins in the new bytes is found below.
                if at < carry.len {
                    found(mark);
                }
            });
        }
        self.each(bytes, |_, mark| found(mark));
        carry.keep(bytes);
    }

    fn each(&self, bytes: &[u8], mut found: impl FnMut(usize, Mark)) {
        let mut from = 0;
        while let Some(at) = self.finder.find(&bytes[from..]).map(|at| from + at) {
            let Some(text) = bytes.get(at..at + MARK_LEN) else {
                return;
            };
            let mark = self.parse(text);
            from = at + mark.map_or(self.start.len(), |_| MARK_LEN);
            if let Some(mark) = mark {
                found(at, mark);
            }
        }
    }

    fn parse(&self, text: &[u8]) -> Option<Mark> {
        let mut fields = text[self.start.len()..MARK_LEN - 1].split(|b| *b == b'.');
        let (topic, seq, due) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Mark {
            topic: u32::try_from(hex(topic)?).ok()?,
            seq: u32::try_from(hex(seq)?).ok()?,
            due_ns: hex(due)?,
        })
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    let digit = |b: u8| char::from(b).to_digit(16).map(u64::from);
    digits
        .iter()
        .try_fold(0, |n, b| Some((n << 4) | digit(*b)?))
}

impl Carry {
    fn joined(&self, bytes: &[u8]) -> ([u8; 2 * CARRY_LEN], usize) {
        let mut joint = [0; 2 * CARRY_LEN];
        let more = bytes.len().min(CARRY_LEN);
        joint[..self.len].copy_from_slice(&self.bytes[..self.len]);
        joint[self.len..self.len + more].copy_from_slice(&bytes[..more]);
        (joint, self.len + more)
    }

    /// Keeps the last bytes. They are one byte shorter than a mark, so no mark is found twice.
    fn keep(&mut self, bytes: &[u8]) {
        if let Some(tail) = bytes.last_chunk::<CARRY_LEN>() {
            self.bytes = *tail;
            self.len = CARRY_LEN;
            return;
        }
        let (joint, len) = self.joined(bytes);
        self.len = len.min(CARRY_LEN);
        self.bytes[..self.len].copy_from_slice(&joint[len - self.len..len]);
    }
}

/// The name of a topic, as {topic} in a template.
pub(crate) fn topic_names(first_part: &str, topics: u32) -> Vec<String> {
    let mut names = Vec::with_capacity(index(topics));
    names.extend((0..topics).map(|n| format!("{first_part}-team-{n}")));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(marks: &Marks) -> (Vec<u8>, Vec<Mark>) {
        let mut text = Vec::new();
        let mut all = Vec::new();
        for seq in 0..5 {
            let mark = Mark {
                topic: 0x00ab_cdef,
                seq,
                due_ns: u64::MAX - u64::from(seq),
            };
            text.extend_from_slice(b":abcde :abcdef. data: :");
            marks.payload(mark, MARK_LEN + usize::try_from(seq).unwrap(), &mut text);
            all.push(mark);
        }
        (text, all)
    }

    #[test]
    fn a_mark_is_found_once_wherever_the_reads_are_split() {
        let marks = Marks::new("abcdef");
        let (text, all) = text(&marks);
        for size in 1..=text.len() {
            let (mut carry, mut found) = (Carry::default(), Vec::new());
            for piece in text.chunks(size) {
                marks.scan(&mut carry, piece, |mark| found.push(mark));
            }
            assert_eq!(found, all, "in pieces of {size}");
        }
    }

    #[test]
    fn a_payload_has_its_length() {
        let mark = Mark {
            topic: 1,
            seq: 2,
            due_ns: 3,
        };
        let mut out = b"before".to_vec();
        Marks::new("abcdef").payload(mark, 400, &mut out);
        assert_eq!(out.len(), 406);
    }

    #[test]
    fn marks_of_another_run_are_ignored() {
        let (text, _) = text(&Marks::new("abcdef"));
        Marks::new("abcdeg").scan(&mut Carry::default(), &text, |_| panic!("of another run"));
    }
}
