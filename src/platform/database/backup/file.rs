//! The file of a backup, and its last line.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BackupError;

/// The beginning of the last line. The bytes before it are those of `pg_dump --format=custom`, and
/// `pg_restore` reads the file too.
pub(super) const MARK: &[u8] = b"\nporchlight-backup ";
/// The last line is not longer: that is enough for some thousand roles.
pub(super) const LAST_LINE_BYTES: u64 = 256 * 1_024;
/// The format that this version writes and reads.
pub(super) const FORMAT: u32 = 1;
pub(super) const CHUNK_BYTES: usize = 64 * 1_024;

/// What the last line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupSummary {
    pub(super) format: u32,
    /// The version that made it.
    pub porchlight: String,
    /// The major version of the Postgres that it comes from.
    pub postgres: u32,
    /// The newest migration of the database.
    pub migration: i64,
    pub created_at: String,
    /// The roles that its objects and their rights name. Older builds did not tell them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The bytes before the last line, and their SHA-256.
    pub bytes: u64,
    pub(super) sha256: String,
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A file whose last line is that of a backup of the right length.
#[derive(Debug)]
pub struct Backup {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub summary: BackupSummary,
}

impl Backup {
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let read = BackupError::file;
        let mut file = File::open(path).map_err(read("open", path))?;
        let found = file.metadata().map_err(read("read", path))?;
        if !found.is_file() {
            return Err(BackupError::NotWhole(path.to_owned()));
        }
        let end = end_of(&mut file, found.len()).map_err(read("read", path))?;
        let not_whole = || BackupError::NotWhole(path.to_owned());
        let summary = last_line(&end).ok_or_else(not_whole)?;
        let newer = |by: &str| BackupError::NewerVersion {
            path: path.to_owned(),
            by: by.to_owned(),
        };
        let Ok(whole) = serde_json::from_slice::<BackupSummary>(summary) else {
            return Err(not_whole());
        };
        if whole.format > FORMAT {
            return Err(newer(&whole.porchlight));
        }
        let last_line_bytes = MARK.len() as u64 + summary.len() as u64 + 1;
        if whole.bytes.checked_add(last_line_bytes) != Some(found.len()) {
            return Err(not_whole());
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            summary: whole,
        })
    }

    /// Fails if the database would have newer tables than this version knows.
    pub fn must_be_known(&self, newest_migration: i64) -> Result<(), BackupError> {
        if self.summary.migration <= newest_migration {
            return Ok(());
        }
        Err(BackupError::NewerVersion {
            path: self.path.clone(),
            by: self.summary.porchlight.clone(),
        })
    }

    /// Reads all of it, and fails if it is not what was written. Tells how far it is.
    pub fn check(&mut self, mut at_percent: impl FnMut(u64)) -> Result<(), BackupError> {
        let (mut hash, mut read) = (Sha256::new(), 0);
        let (path, summary) = (self.path.clone(), self.summary.clone());
        let mut content = self.content().map_err(BackupError::file("read", &path))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let bytes = content.read(&mut chunk);
            let bytes = bytes.map_err(BackupError::file("read", &path))?;
            if bytes == 0 {
                break;
            }
            hash.update(&chunk[..bytes]);
            read += bytes as u64;
            at_percent(read * 100 / summary.bytes.max(1));
        }
        if read != summary.bytes || hex(&hash.finalize()) != summary.sha256 {
            return Err(BackupError::Damaged(path));
        }
        Ok(())
    }

    /// The bytes before the last line, from the first one on.
    pub(super) fn content(&mut self) -> std::io::Result<impl Read> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(Read::take(&self.file, self.summary.bytes))
    }
}

fn end_of(file: &mut File, length: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_LINE_BYTES)))?;
    let mut end = Vec::new();
    file.take(LAST_LINE_BYTES).read_to_end(&mut end)?;
    Ok(end)
}

/// The JSON of the last line.
fn last_line(end: &[u8]) -> Option<&[u8]> {
    let mut places = end.windows(MARK.len());
    let begin = places.rposition(|place| place == MARK)? + MARK.len();
    let json = end[begin..].strip_suffix(b"\n")?;
    json.ends_with(b"}").then_some(json)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::platform::database::backup::unfinished::{BackupSource, UnfinishedBackup};

    fn source() -> BackupSource {
        BackupSource {
            postgres: 15,
            migration: 19,
            created_at: "2026-11-29T10:00:00Z".to_owned(),
            roles: Vec::new(),
        }
    }

    fn write(target: &Path, content: &[u8]) -> BackupSummary {
        write_from(source(), target, content).unwrap()
    }

    fn write_from(
        source: BackupSource,
        target: &Path,
        content: &[u8],
    ) -> Result<BackupSummary, BackupError> {
        let mut unfinished = UnfinishedBackup::create(target).unwrap();
        for part in content.chunks(7) {
            unfinished.write(part).unwrap();
        }
        unfinished.finish(source)
    }

    fn with_roles(count: usize) -> BackupSource {
        let roles = (0..count).map(|n| format!("a \"role\"\nporchlight-backup {n}"));
        BackupSource {
            roles: roles.collect(),
            ..source()
        }
    }

    #[test]
    fn a_backup_tells_its_roles_and_one_that_does_not_is_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("b");
        for count in [0, 1, 1_000] {
            let source = with_roles(count);
            let roles = source.roles.clone();
            write_from(source, &target, b"rows").unwrap();
            let summary = Backup::open(&target).unwrap().summary;
            assert_eq!(summary.roles, roles);
            let text = fs::read_to_string(&target).unwrap();
            assert_eq!(text.contains("\"roles\""), count > 0);
        }
        let refused = write_from(with_roles(10_000), &target, b"rows").unwrap_err();
        assert!(matches!(refused, BackupError::TooManyRoles(10_000)));
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_backup_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("b");
        let contents = [
            Vec::new(),
            b"some rows\nporchlight-backup {}\n".to_vec(),
            vec![7; 200_000],
        ];
        for content in contents {
            let summary = write(&target, &content);
            let mut backup = Backup::open(&target).unwrap();
            assert_eq!(backup.summary, summary);
            backup.check(|percent| assert!(percent <= 100)).unwrap();
            let mut read = Vec::new();
            backup.content().unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, content);
        }
        assert_eq!(names(dir.path()), ["b"]);
    }

    #[test]
    fn a_file_that_was_cut_off_or_grew_is_no_backup() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("b");
        write(&target, &[7; 5_000]);
        let whole = fs::read(&target).unwrap();
        for length in [0, 1, 4_999, 5_000, 5_010, whole.len() - 1] {
            fs::write(&target, &whole[..length]).unwrap();
            let refused = Backup::open(&target).unwrap_err();
            assert!(
                matches!(refused, BackupError::NotWhole(_)),
                "{length}: {refused}"
            );
        }
        for whole in [[&whole[..], b"\n"].concat(), [b"x", &whole[..]].concat()] {
            fs::write(&target, whole).unwrap();
            let refused = Backup::open(&target).unwrap_err();
            assert!(matches!(refused, BackupError::NotWhole(_)), "{refused}");
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("b");
        write(&target, &vec![7; 100_000]);
        let mut whole = fs::read(&target).unwrap();
        whole[70_000] = 8;
        fs::write(&target, whole).unwrap();
        let damaged = Backup::open(&target).unwrap().check(drop);
        assert!(
            matches!(damaged, Err(BackupError::Damaged(_))),
            "{damaged:?}"
        );
    }

    #[test]
    fn a_backup_of_a_newer_version_is_refused_as_that() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("b");
        write(&target, b"rows");
        let backup = Backup::open(&target).unwrap();
        assert!(backup.must_be_known(19).is_ok());
        let refused = backup.must_be_known(18).unwrap_err();
        assert!(
            matches!(refused, BackupError::NewerVersion { .. }),
            "{refused}"
        );
        let text = fs::read_to_string(&target).unwrap();
        fs::write(&target, text.replace("\"format\":1", "\"format\":2")).unwrap();
        let refused = Backup::open(&target).unwrap_err();
        assert!(
            matches!(refused, BackupError::NewerVersion { .. }),
            "{refused}"
        );
    }

    #[test]
    fn only_a_backup_is_overwritten_and_an_unfinished_one_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("b");
        fs::write(&target, "a diary").unwrap();
        let refused = UnfinishedBackup::create(&target).unwrap_err();
        assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "a diary");
        fs::remove_file(&target).unwrap();
        let first = write(&target, b"first");
        let mut unfinished = UnfinishedBackup::create(&target).unwrap();
        unfinished.write(b"second").unwrap();
        drop(unfinished);
        assert_eq!(Backup::open(&target).unwrap().summary, first);
        let second = write(&target, b"second");
        assert_eq!(Backup::open(&target).unwrap().summary, second);
        assert_eq!(names(dir.path()), ["b"]);
    }

    #[test]
    fn a_directory_is_no_backup() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Backup::open(dir.path()).is_err());
        assert!(UnfinishedBackup::create(dir.path()).is_err());
        let missing = Backup::open(&dir.path().join("missing")).unwrap_err();
        assert!(
            missing.to_string().contains("missing: No such file"),
            "{missing}"
        );
    }
}
