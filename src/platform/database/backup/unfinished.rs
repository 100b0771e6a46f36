//! The file of a backup that is being written.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::BackupError;
use super::file::{Backup, BackupSummary, FORMAT, LAST_LINE_BYTES, MARK, hex};

/// The database that a backup is made of.
#[derive(Debug)]
pub(super) struct BackupSource {
    pub(super) postgres: u32,
    pub(super) migration: i64,
    pub(super) created_at: String,
    pub(super) roles: Vec<String>,
}

/// A file with another name until it is complete. It is removed if it never is.
#[derive(Debug)]
pub(super) struct UnfinishedBackup {
    target: PathBuf,
    unfinished: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl UnfinishedBackup {
    /// Refuses to overwrite anything but a backup.
    pub(super) fn create(target: &Path) -> Result<Self, BackupError> {
        if fs::symlink_metadata(target).is_ok() && Backup::open(target).is_err() {
            return Err(BackupError::Exists(target.to_owned()));
        }
        let mut unfinished = target.as_os_str().to_owned();
        unfinished.push(format!(".unfinished-{}", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        // It has all that users have written: nobody else may read it.
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished);
        Ok(Self {
            file: file.map_err(BackupError::file("write", &unfinished))?,
            target: target.to_owned(),
            unfinished,
            hash: Sha256::new(),
            bytes: 0,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let written = self.file.write_all(bytes);
        written.map_err(BackupError::file("write", &self.target))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the last line, and gives the file its name once it is on the disk.
    pub(super) fn finish(mut self, source: BackupSource) -> Result<BackupSummary, BackupError> {
        let summary = BackupSummary {
            format: FORMAT,
            porchlight: env!("CARGO_PKG_VERSION").to_owned(),
            postgres: source.postgres,
            migration: source.migration,
            created_at: source.created_at,
            roles: source.roles,
            bytes: self.bytes,
            sha256: hex(&self.hash.finalize_reset()),
        };
        let mut last_line = MARK.to_vec();
        let json = serde_json::to_vec(&summary).map_err(std::io::Error::other);
        last_line.extend(json.map_err(BackupError::file("write", &self.target))?);
        last_line.push(b'\n');
        if last_line.len() as u64 > LAST_LINE_BYTES {
            return Err(BackupError::TooManyRoles(summary.roles.len()));
        }
        let done = self.file.write_all(&last_line);
        let done = done.and_then(|()| self.file.sync_all());
        let done = done.and_then(|()| fs::rename(&self.unfinished, &self.target));
        let done = done.and_then(|()| File::open(parent(&self.target))?.sync_all());
        done.map_err(BackupError::file("write", &self.target))?;
        Ok(summary)
    }
}

impl Drop for UnfinishedBackup {
    fn drop(&mut self) {
        // An error means that it has its name by now.
        let _ = fs::remove_file(&self.unfinished);
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
