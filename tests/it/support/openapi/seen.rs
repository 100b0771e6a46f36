//! What the tests received of what the document describes, kept in a file: `coverage` compares it with the
//! document when all tests have run.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

/// `scripts/test` removes it before the tests run. A run of some tests adds to it.
const FILE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/openapi-seen.txt");

struct Notes {
    /// Every write is one line at the end, so that processes can share the file.
    file: File,
    noted: BTreeSet<String>,
}

static NOTES: LazyLock<Mutex<Notes>> = LazyLock::new(|| {
    let file = OpenOptions::new().create(true).append(true).open(FILE);
    Mutex::new(Notes {
        file: file.expect("a file for notes"),
        noted: BTreeSet::new(),
    })
});

/// Notes that this was received.
pub fn note(what: String) {
    let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
    if notes.noted.contains(&what) {
        return;
    }
    let line = format!("{what}\n");
    let written = notes.file.write_all(line.as_bytes());
    written.expect("a note that can be written");
    notes.noted.insert(what);
}

/// All that was noted, by whatever process.
pub fn all() -> BTreeSet<String> {
    let text = std::fs::read_to_string(FILE).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}
