//! Segments of the write-ahead log that exist before Postgres needs them.
//!
//! Postgres makes a segment when the one before is full: it writes zeros, syncs them, and commits wait. It takes a
//! segment that exists as it is. After a checkpoint, it renames segments that are no longer needed for later use.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::account::Account;
use crate::error::Problem;

/// The size of a segment, for `initdb`. With 16, the default, commits wait for half a second where one is made.
pub(crate) const SEGMENT_MEGABYTES: &str = "1";
/// Segments of a new cluster. The settings of the server keep as many after each checkpoint, and begin the first
/// checkpoint when these are used.
const SEGMENTS: u64 = 64;
pub(crate) const MIN_WAL_SIZE: &str = "64MB";
pub(crate) const MAX_WAL_SIZE: &str = "128MB";

const SEGMENT_BYTES: usize = 1 << 20;
const WAL_DIR: &str = "pg_wal";
/// A segment is named by three numbers of eight hexadecimal digits: the timeline, and the two parts of its number.
const DIGITS: usize = 8;
/// The timeline of a new cluster.
const TIMELINE: &str = "00000001";
/// Segments with the same first part: 4 GB.
const SEGMENTS_OF_PART: u64 = 4_096;

/// Makes the segments of a new cluster whose server does not run.
pub(crate) fn make(cluster: &Path, account: &Account) -> Result<(), Problem> {
    let dir = cluster.join(WAL_DIR);
    let entries = fs::read_dir(&dir).map_err(Problem::io("list", &dir))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let Some(last) = names.filter_map(|name| number(&name)).max() else {
        return Ok(());
    };
    let zeros = vec![0; SEGMENT_BYTES];
    let mut files = Vec::new();
    for number in last + 1..=last + SEGMENTS {
        let path = dir.join(name(number));
        let made = new_file(&path).and_then(|mut file| file.write_all(&zeros).map(|()| file));
        files.push(made.map_err(Problem::io("write", &path))?);
        account.give(&path)?;
    }
    // Together at the end, so that the kernel has less to do.
    let synced = files.iter().try_for_each(File::sync_all);
    let synced = synced.and_then(|()| File::open(&dir)?.sync_all());
    synced.map_err(Problem::io("sync", &dir))
}

fn new_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn name(number: u64) -> String {
    let (part, rest) = (number / SEGMENTS_OF_PART, number % SEGMENTS_OF_PART);
    format!("{TIMELINE}{part:08X}{rest:08X}")
}

/// The number of a segment, unless the file is another one.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(TIMELINE)?;
    let (part, rest) = digits.split_at_checked(DIGITS)?;
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
    (rest.len() == DIGITS).then_some(number(part)? * SEGMENTS_OF_PART + number(rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_named_as_postgres_names_them() {
        for (n, expected) in [
            (1, "000000010000000000000001"),
            (0x2a, "00000001000000000000002A"),
            (4_095, "000000010000000000000FFF"),
            (4_096, "000000010000000100000000"),
        ] {
            assert_eq!(name(n), expected);
            assert_eq!(number(expected), Some(n));
        }
        for other in [
            "archive_status",
            "00000001000000000000",
            "000000010000000000000001.partial",
            "000000020000000000000001",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
