//! Rows: one at a time, of a bounded size, each with the line that it begins on.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// Columns that a file may have.
pub(super) const MOST_COLUMNS: usize = 1_000;
/// Bytes that a row may have.
const ROW_BYTES: usize = 1_024 * 1_024;

/// Where in a file a row begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutputPosition {
    at: usize,
    /// From 1.
    pub(super) line: i32,
}

impl OutputPosition {
    /// The beginning of the file.
    pub(super) const FIRST: Self = Self { at: 0, line: 1 };
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct TaskRow {
    pub(super) line: i32,
    pub(super) cells: Result<Vec<String>, Unread>,
}

/// Why a row was not read: there is too much of it, or no end. It was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Cells,
    Bytes,
    OpenQuote,
}

/// The rows of a text from a place on.
pub(super) struct Rows<'a> {
    text: &'a [u8],
    place: OutputPosition,
    reader: Reader,
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(text: &'a str, delimiter: u8, place: OutputPosition) -> Self {
        Self {
            text: text.as_bytes(),
            place,
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            cells: vec![0; ROW_BYTES.min(text.len() + 1)],
            ends: vec![0; MOST_COLUMNS + 1],
        }
    }

    /// Where the next row begins, or lines without anything before it.
    pub(super) fn place(&self) -> OutputPosition {
        self.place
    }

    /// The next row, also one of empty cells.
    pub(super) fn next_of_all(&mut self) -> Option<TaskRow> {
        while let [b'\r' | b'\n', ..] = self.rest() {
            self.pass(1);
        }
        if self.rest().is_empty() {
            return None;
        }
        let line = self.place.line;
        let (mut bytes, mut ends, mut unread) = (0, 0, None);
        let mut is_at_end = false;
        loop {
            let rest = &self.text[self.place.at..];
            // The end of the text would close any quote, the end of a line does not.
            let is_last_line = rest.is_empty() && !is_at_end;
            let input = if is_last_line { b"\n" } else { rest };
            let (cells, place) = (&mut self.cells[bytes..], &mut self.ends[ends..]);
            let (result, read, written, ended) = self.reader.read_record(input, cells, place);
            if rest.is_empty() {
                is_at_end = true;
            } else {
                self.pass(read);
            }
            bytes += written;
            ends += ended;
            match result {
                ReadRecordResult::InputEmpty if is_at_end => unread = Some(Unread::OpenQuote),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    unread = unread.or(Some(Unread::Bytes));
                    bytes = 0;
                }
                ReadRecordResult::OutputEndsFull => {
                    unread = unread.or(Some(Unread::Cells));
                    ends = 0;
                }
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return None,
            }
        }
        let cells = match unread {
            Some(what) => Err(what),
            None => Ok(self.cells(ends)),
        };
        Some(TaskRow { line, cells })
    }

    fn rest(&self) -> &[u8] {
        &self.text[self.place.at..]
    }

    /// Goes on by so many bytes. A line ends with `\n`, `\r\n` or, long ago, `\r`.
    fn pass(&mut self, bytes: usize) {
        let end = self.place.at + bytes;
        for at in memchr::memchr2_iter(b'\r', b'\n', &self.text[self.place.at..end]) {
            let at = self.place.at + at;
            let goes_on = self.text[at] == b'\r' && self.text.get(at + 1) == Some(&b'\n');
            self.place.line = self.place.line.saturating_add(i32::from(!goes_on));
        }
        self.place.at = end;
    }

    fn cells(&self, ends: usize) -> Vec<String> {
        let ends = &self.ends[..ends];
        let starts = [0].into_iter().chain(ends.iter().copied());
        // The text is UTF-8 and was cut at plain characters.
        let cell = |(start, end): (usize, &usize)| {
            String::from_utf8_lossy(&self.cells[start..*end]).into_owned()
        };
        starts.zip(ends).map(cell).collect()
    }
}

/// Rows that say something: spreadsheets like to end with some that do not.
impl Iterator for Rows<'_> {
    type Item = TaskRow;

    fn next(&mut self) -> Option<TaskRow> {
        loop {
            let row = self.next_of_all()?;
            let is_empty = |cells: &Vec<String>| cells.iter().all(|cell| cell.trim().is_empty());
            if !row.cells.as_ref().is_ok_and(is_empty) {
                return Some(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(i32, Vec<String>)> {
        let rows = Rows::new(text, b',', OutputPosition::FIRST);
        rows.map(|row| (row.line, row.cells.unwrap())).collect()
    }

    fn row(line: i32, cells: &[&str]) -> (i32, Vec<String>) {
        (line, cells.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_row_has_the_line_that_it_begins_on() {
        let expected = [
            row(1, &["a", "b"]),
            row(2, &["1\n2", "3"]),
            row(5, &["4", "x\"y"]),
        ];
        let text = "a,b\n\"1\n2\",3\n\n4,\"x\"\"y\"\n,\n";
        assert_eq!(rows(text), expected);
        let windows = text.replace('\n', "\r\n");
        let lines: Vec<_> = rows(&windows).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 2, 5]);
        let old = text.replace('\n', "\r");
        let lines: Vec<_> = rows(&old).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 2, 5]);
    }

    #[test]
    fn reading_goes_on_from_any_row() {
        let text = "a,b\n\"1\n2\",3\n4,5";
        let mut from = Rows::new(text, b',', OutputPosition::FIRST);
        while from.next().is_some() {
            let rest: Vec<_> = Rows::new(text, b',', from.place()).collect();
            let mut same = Rows::new(text, b',', OutputPosition::FIRST);
            let skipped = same.by_ref().take_while(|row| row.line < from.place().line);
            let all = skipped.count() + 1 + same.count();
            assert!(rest.len() < 3 && all >= rest.len(), "{rest:?}");
        }
        assert_eq!(Rows::new(text, b',', from.place()).next(), None);
    }

    #[test]
    fn what_is_too_large_is_passed_over() {
        let wide = format!("{}\na\n", ",".repeat(3_000_000));
        let cells: Vec<_> = Rows::new(&wide, b',', OutputPosition::FIRST)
            .map(|row| row.cells)
            .collect();
        assert_eq!(cells, [Err(Unread::Cells), Ok(vec!["a".to_owned()])]);
        let long = format!("\"{}\"\nb", "x\n".repeat(ROW_BYTES));
        let rows: Vec<_> = Rows::new(&long, b',', OutputPosition::FIRST).collect();
        assert_eq!(rows[0].cells, Err(Unread::Bytes));
        assert_eq!(rows[1].cells, Ok(vec!["b".to_owned()]));
    }

    #[test]
    fn a_quote_that_is_never_closed_takes_no_rows_along() {
        let long = format!("a,\"{}", "x\n".repeat(ROW_BYTES));
        for open in [
            "a,\"b\nc,d\n",
            "a,\"b\nc,d",
            "a,\"",
            "a,\"b\"\"",
            "a,\"b\r\n",
            &long,
        ] {
            let rows: Vec<_> = Rows::new(open, b',', OutputPosition::FIRST).collect();
            let cells: Vec<_> = rows.into_iter().map(|row| row.cells).collect();
            assert_eq!(cells, [Err(Unread::OpenQuote)]);
        }
        for closed in [
            "a,\"b\"",
            "a,\"b\"\n",
            "a,\"b\"\r",
            "a,b",
            "a,b\"",
            "a,\"b\"\"\"",
        ] {
            let rows: Vec<_> = Rows::new(closed, b',', OutputPosition::FIRST).collect();
            assert!(rows.iter().all(|row| row.cells.is_ok()), "{rows:?}");
            assert_eq!(rows.len(), 1, "{closed:?}");
        }
    }
}
