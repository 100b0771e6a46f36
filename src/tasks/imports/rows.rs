//! Splits CSV into rows: one at a time, of a bounded size, each with its line number.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// The most columns of a file.
pub(super) const MOST_COLUMNS: usize = 1_000;
/// The most bytes of a row.
const ROW_BYTES: usize = 1_024 * 1_024;

/// Where in a file a row begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CsvPosition {
    byte: usize,
    /// From 1.
    pub(super) line: i32,
}

impl CsvPosition {
    /// The beginning of the file.
    pub(super) const FIRST: Self = Self { byte: 0, line: 1 };
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct CsvRow {
    pub(super) line: i32,
    pub(super) cells: Result<Vec<String>, UnreadableRow>,
}

/// Why a row was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnreadableRow {
    /// It has too many cells.
    Cells,
    /// It has too many bytes.
    Bytes,
    /// A quote is never closed.
    OpenQuote,
}

/// The rows of a text from a position on.
pub(super) struct CsvRows<'a> {
    text: &'a [u8],
    position: CsvPosition,
    reader: Reader,
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> CsvRows<'a> {
    pub(super) fn new(text: &'a str, delimiter: u8, position: CsvPosition) -> Self {
        let mut rows = Self {
            text: text.as_bytes(),
            position,
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            cells: vec![0; ROW_BYTES.min(text.len() + 1)],
            ends: vec![0; MOST_COLUMNS + 1],
        };
        // The reader takes a byte order mark away from the first bytes that it gets. The mark of the file is gone by
        // now, and a row may begin with this character.
        let empty_line = b"\n";
        rows.reader
            .read_record(empty_line, &mut rows.cells, &mut rows.ends);
        rows
    }

    /// Where the next row begins, or empty lines before it.
    pub(super) fn position(&self) -> CsvPosition {
        self.position
    }

    /// The next row, even if all of its cells are empty.
    pub(super) fn next_row(&mut self) -> Option<CsvRow> {
        while let [b'\r' | b'\n', ..] = self.rest() {
            self.skip(1);
        }
        if self.rest().is_empty() {
            return None;
        }
        let line = self.position.line;
        let (mut bytes, mut ends, mut unread) = (0, 0, None);
        let mut is_at_end = false;
        loop {
            let rest = &self.text[self.position.byte..];
            // The end of the input would close an open quote. The end of a line does not.
            let is_last_line = rest.is_empty() && !is_at_end;
            let input = if is_last_line { b"\n" } else { rest };
            let (cells, row_ends) = (&mut self.cells[bytes..], &mut self.ends[ends..]);
            let (result, read, written, ended) = self.reader.read_record(input, cells, row_ends);
            if rest.is_empty() {
                is_at_end = true;
            } else {
                self.skip(read);
            }
            bytes += written;
            ends += ended;
            match result {
                ReadRecordResult::InputEmpty if is_at_end => {
                    unread = Some(UnreadableRow::OpenQuote);
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    unread = unread.or(Some(UnreadableRow::Bytes));
                    bytes = 0;
                }
                ReadRecordResult::OutputEndsFull => {
                    unread = unread.or(Some(UnreadableRow::Cells));
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
        Some(CsvRow { line, cells })
    }

    fn rest(&self) -> &[u8] {
        &self.text[self.position.byte..]
    }

    /// Skips bytes, and counts their lines. A line ends with `\n`, `\r\n` or, in old files, `\r`.
    fn skip(&mut self, bytes: usize) {
        let end = self.position.byte + bytes;
        for at in memchr::memchr2_iter(b'\r', b'\n', &self.text[self.position.byte..end]) {
            let at = self.position.byte + at;
            let is_crlf = self.text[at] == b'\r' && self.text.get(at + 1) == Some(&b'\n');
            self.position.line = self.position.line.saturating_add(i32::from(!is_crlf));
        }
        self.position.byte = end;
    }

    fn cells(&self, ends: usize) -> Vec<String> {
        let ends = &self.ends[..ends];
        let starts = [0].into_iter().chain(ends.iter().copied());
        // The text is UTF-8, and cells end at ASCII characters.
        let cell = |(start, end): (usize, &usize)| {
            String::from_utf8_lossy(&self.cells[start..*end]).into_owned()
        };
        starts.zip(ends).map(cell).collect()
    }
}

/// The rows that are not empty: spreadsheets often end with empty ones.
impl Iterator for CsvRows<'_> {
    type Item = CsvRow;

    fn next(&mut self) -> Option<CsvRow> {
        loop {
            let row = self.next_row()?;
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
        let rows = CsvRows::new(text, b',', CsvPosition::FIRST);
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
        let mut from = CsvRows::new(text, b',', CsvPosition::FIRST);
        while from.next().is_some() {
            let rest: Vec<_> = CsvRows::new(text, b',', from.position()).collect();
            let mut same = CsvRows::new(text, b',', CsvPosition::FIRST);
            let skipped = same
                .by_ref()
                .take_while(|row| row.line < from.position().line);
            let all = skipped.count() + 1 + same.count();
            assert!(rest.len() < 3 && all >= rest.len(), "{rest:?}");
        }
        assert_eq!(CsvRows::new(text, b',', from.position()).next(), None);
    }

    #[test]
    fn a_row_that_begins_with_a_byte_order_mark_keeps_it_wherever_reading_begins() {
        let text = "a\n\u{feff}b\n\u{feff}c\n";
        let expected = [
            row(1, &["a"]),
            row(2, &["\u{feff}b"]),
            row(3, &["\u{feff}c"]),
        ];
        assert_eq!(rows(text), expected);
        let mut from = CsvRows::new(text, b',', CsvPosition::FIRST);
        from.next();
        let rest: Vec<_> = CsvRows::new(text, b',', from.position()).collect();
        assert_eq!(rest[0].cells, Ok(vec!["\u{feff}b".to_owned()]));
    }

    #[test]
    fn rows_that_are_too_large_are_skipped() {
        let wide = format!("{}\na\n", ",".repeat(3_000_000));
        let cells: Vec<_> = CsvRows::new(&wide, b',', CsvPosition::FIRST)
            .map(|row| row.cells)
            .collect();
        assert_eq!(cells, [Err(UnreadableRow::Cells), Ok(vec!["a".to_owned()])]);
        let long = format!("\"{}\"\nb", "x\n".repeat(ROW_BYTES));
        let rows: Vec<_> = CsvRows::new(&long, b',', CsvPosition::FIRST).collect();
        assert_eq!(rows[0].cells, Err(UnreadableRow::Bytes));
        assert_eq!(rows[1].cells, Ok(vec!["b".to_owned()]));
    }

    #[test]
    fn a_quote_that_is_never_closed_hides_no_rows() {
        let long = format!("a,\"{}", "x\n".repeat(ROW_BYTES));
        for open in [
            "a,\"b\nc,d\n",
            "a,\"b\nc,d",
            "a,\"",
            "a,\"b\"\"",
            "a,\"b\r\n",
            &long,
        ] {
            let rows: Vec<_> = CsvRows::new(open, b',', CsvPosition::FIRST).collect();
            let cells: Vec<_> = rows.into_iter().map(|row| row.cells).collect();
            assert_eq!(cells, [Err(UnreadableRow::OpenQuote)]);
        }
        for closed in [
            "a,\"b\"",
            "a,\"b\"\n",
            "a,\"b\"\r",
            "a,b",
            "a,b\"",
            "a,\"b\"\"\"",
        ] {
            let rows: Vec<_> = CsvRows::new(closed, b',', CsvPosition::FIRST).collect();
            assert!(rows.iter().all(|row| row.cells.is_ok()), "{rows:?}");
            assert_eq!(rows.len(), 1, "{closed:?}");
        }
    }
}
