//! Files of strangers: their bytes, their rows, and the parameters of an import.

use serde_json::value::RawValue;

use super::decode::decode;
use super::params::{ImportParams, TextEncoding};
use super::rows::{CsvPosition, CsvRows, MOST_COLUMNS};
use crate::platform::entry_point::{EntryPoint, with_text};
use crate::tasks::TaskCursor;

pub const ENTRY_POINTS: [EntryPoint; 3] = [
    EntryPoint {
        name: "csv",
        read: csv,
    },
    EntryPoint {
        name: "import_params",
        read: |bytes| with_text(bytes, params),
    },
    EntryPoint {
        name: "task_cursor",
        read: |bytes| with_text(bytes, cursor),
    },
];

/// The first byte chooses encoding and delimiter. Rows that are read from any row on are the same.
fn csv(bytes: &[u8]) {
    let Some((first, file)) = bytes.split_first() else {
        return;
    };
    let encoding = match first % 2 {
        0 => TextEncoding::Utf8,
        _ => TextEncoding::Latin1,
    };
    let delimiter = [b',', b';', b'\t', b'|'][usize::from(first / 2) % 4];
    let Ok(text) = decode(file.to_vec(), encoding) else {
        return;
    };
    let mut rows = CsvRows::new(&text, delimiter, CsvPosition::FIRST);
    let mut line = 0;
    loop {
        let position = rows.position();
        let mut resumed = CsvRows::new(&text, delimiter, position);
        let row = rows.next_row();
        assert_eq!(row, resumed.next_row());
        let Some(row) = row else { break };
        assert!(row.line > line || line == 0, "{} after {line}", row.line);
        line = row.line;
        let cells = row.cells.unwrap_or_default();
        assert!(cells.len() <= MOST_COLUMNS);
    }
}

fn params(text: &str) {
    if let Ok(raw) = serde_json::from_str::<&RawValue>(text) {
        let _ = ImportParams::parse(Some(raw));
    }
}

fn cursor(text: &str) {
    if let Ok(cursor) = text.parse::<TaskCursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
