//! The server's log file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A larger log is emptied when the next server starts.
const LOG_MAX_BYTES: u64 = 10 * 1024 * 1024;
/// How much of the log an error message repeats.
const LAST_WORDS_MAX_BYTES: u64 = 2 * 1024;

/// Opens the log for appending. Also returns where this server's part of it begins.
pub(crate) fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path)?;
    if file.metadata()?.len() > LOG_MAX_BYTES {
        file.set_len(0)?;
    }
    let begin = file.metadata()?.len();
    Ok((file, begin))
}

/// The end of the log, from `begin` at the earliest.
pub(crate) fn last_words(path: &Path, begin: u64) -> String {
    read_end(path, begin).unwrap_or_else(|error| format!("(no log: {error})"))
}

fn read_end(path: &Path, begin: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        begin.max(end.saturating_sub(LAST_WORDS_MAX_BYTES)),
    ))?;
    let mut bytes = Vec::new();
    file.take(LAST_WORDS_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn last_words_are_short_and_those_of_this_server() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (mut file, _) = open(&path).unwrap();
        writeln!(file, "of an earlier server").unwrap();
        let (mut file, begin) = open(&path).unwrap();
        writeln!(file, "of this one").unwrap();
        assert_eq!(last_words(&path, begin), "of this one");
        file.write_all(&vec![b'x'; 10_000]).unwrap();
        let limit = usize::try_from(LAST_WORDS_MAX_BYTES).unwrap();
        assert_eq!(last_words(&path, begin).len(), limit);
    }

    #[test]
    fn a_log_that_is_too_large_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        File::create(&path).unwrap().set_len(LOG_MAX_BYTES).unwrap();
        assert_eq!(open(&path).unwrap().1, LOG_MAX_BYTES);
        File::create(&path)
            .unwrap()
            .set_len(LOG_MAX_BYTES + 1)
            .unwrap();
        assert_eq!(open(&path).unwrap().1, 0);
    }
}
