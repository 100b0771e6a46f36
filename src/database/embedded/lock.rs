//! Who owns a data directory. The system frees the lock of a process that dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::EmbeddedError;

/// The right to run a server on a data directory, for as long as it is kept. The file is
/// closed on exec, as all of ours are, so that no child can hold it longer than we do.
#[derive(Debug)]
pub(super) struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// None if somebody else has it, in this process or another.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>, EmbeddedError> {
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path);
        let mut file = open.map_err(EmbeddedError::io("open the lock file", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(EmbeddedError::io("lock", path)(error));
            }
        }
        // Only told to people: the lock itself is what counts.
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(EmbeddedError::io("write", path))?;
        Ok(Some(Self { _file: file }))
    }
}
