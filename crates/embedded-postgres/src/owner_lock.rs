//! The lock of the data directory. The operating system frees it when its process dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::Problem;

/// The right to run a server on a data directory. The file is closed on exec, so no child
/// process keeps the lock.
#[derive(Debug)]
pub(crate) struct OwnerLock {
    file: File,
}

impl Drop for OwnerLock {
    /// Closing the file is not enough: a child process that another thread has just begun has a copy until it
    /// executes its program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl OwnerLock {
    /// `None` when another instance has it, in this process or another.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, Problem> {
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path);
        let mut file = open.map_err(Problem::io("open the lock file", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(Problem::io("lock", path)(error));
            }
        }
        // For messages: only the lock itself decides.
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(Problem::io("write", path))?;
        Ok(Some(Self { file }))
    }
}
