//! The cursor in a file, so that it survives restarts.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

const MAX_CURSOR_CHARS: usize = 128;
/// A cursor that no service knows: it is answered with a reset, so that nothing is skipped in silence.
const UNREADABLE: &str = "unreadable";

/// A file with a cursor in one line. It is replaced as a whole, so a crash leaves the old or the new one.
#[derive(Debug)]
pub struct CursorFile {
    path: PathBuf,
    stored: String,
}

impl CursorFile {
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            stored: String::new(),
        }
    }

    /// The stored cursor, or nothing without a file. What is no cursor leads to a reset by the service.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(&mut self) -> io::Result<String> {
        let mut content = Vec::new();
        let most = MAX_CURSOR_CHARS as u64 + 2;
        match fs::File::open(&self.path) {
            Ok(file) => file.take(most).read_to_end(&mut content)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(error),
        };
        let line = content.strip_suffix(b"\n").unwrap_or(&content);
        let text = str::from_utf8(line).unwrap_or_default();
        readable(text).clone_into(&mut self.stored);
        Ok(self.stored.clone())
    }

    /// Stores the cursor, if it has changed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&mut self, cursor: &str) -> io::Result<()> {
        if cursor == self.stored || cursor.is_empty() {
            return Ok(());
        }
        let mut fresh = self.path.clone().into_os_string();
        fresh.push(format!(".{}.new", std::process::id()));
        fs::write(&fresh, format!("{cursor}\n"))?;
        fs::rename(&fresh, &self.path)?;
        cursor.clone_into(&mut self.stored);
        Ok(())
    }
}

/// The cursor, if it is one that a header can carry.
pub(crate) fn readable(cursor: &str) -> &str {
    let is_printable = cursor.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if (1..=MAX_CURSOR_CHARS).contains(&cursor.len()) && is_printable {
        cursor
    } else {
        UNREADABLE
    }
}
