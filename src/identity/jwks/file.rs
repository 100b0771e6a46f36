//! The JWKS file. It is read at start, checked regularly, and read again when it has changed.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use time::{Duration, OffsetDateTime};
use tracing::{info, warn};

use super::super::error::{IdentityError, KeyProblem};
use super::super::keys::VerificationKey;
use super::super::pem::read_key_file;
use super::parse;

/// Tokens with unknown keys cause at most one check of the file in this time.
const CHECK_INTERVAL: Duration = Duration::milliseconds(100);

pub(in super::super) struct JwksFile {
    path: PathBuf,
    keys: RwLock<Arc<[VerificationKey]>>,
    /// The Unix time of the last regular check.
    checked_in_second: AtomicI64,
    watch: Mutex<FileWatch>,
}

struct FileWatch {
    /// Of the file that was read last. `None` if there was no file.
    stamp: Option<FileStamp>,
    checked_at: Option<OffsetDateTime>,
}

/// It changes whenever the file changes, in whatever way it is written.
#[derive(PartialEq, Eq)]
struct FileStamp {
    device_and_inode: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    fn of(path: &Path) -> io::Result<Self> {
        let file = std::fs::metadata(path)?;
        Ok(Self {
            device_and_inode: (file.dev(), file.ino()),
            len: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

impl JwksFile {
    pub(in super::super) fn open(path: &Path) -> Result<Self, IdentityError> {
        // The stamp is read first, so that the next check finds a change in between.
        let stamp = FileStamp::of(path).ok();
        let keys = read(path).map_err(|problem| IdentityError::KeyFile {
            setting: "JWT_JWKS_FILE",
            path: path.to_owned(),
            problem,
        })?;
        Ok(Self {
            path: path.to_owned(),
            keys: RwLock::new(keys),
            checked_in_second: AtomicI64::new(i64::MIN),
            watch: Mutex::new(FileWatch {
                stamp,
                checked_at: None,
            }),
        })
    }

    /// The keys. The first call in each second checks the file. The others do not wait for it.
    pub(in super::super) fn keys(&self, now: OffsetDateTime) -> Arc<[VerificationKey]> {
        let second = now.unix_timestamp();
        if self.checked_in_second.load(Ordering::Relaxed) != second
            && self.checked_in_second.swap(second, Ordering::Relaxed) != second
            && let Some(watch) = self.try_watch()
        {
            self.check(watch, now);
        }
        self.current()
    }

    /// The keys after a new check, for a token whose key is unknown. It waits for a check that runs:
    /// that may find the key, and a refusal would end the client's stream for good.
    pub(in super::super) fn keys_after_check(&self, now: OffsetDateTime) -> Arc<[VerificationKey]> {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |at: OffsetDateTime| (now - at).abs() < CHECK_INTERVAL;
        if !watch.checked_at.is_some_and(recent) {
            self.check(watch, now);
        }
        self.current()
    }

    fn current(&self) -> Arc<[VerificationKey]> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }

    fn try_watch(&self) -> Option<MutexGuard<'_, FileWatch>> {
        match self.watch.try_lock() {
            Ok(watch) => Some(watch),
            Err(TryLockError::Poisoned(watch)) => Some(watch.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Reads the file if it has changed. If it cannot be used, the old keys stay and a warning is
    /// logged. It is not read again before it changes again.
    fn check(&self, mut watch: MutexGuard<'_, FileWatch>, now: OffsetDateTime) {
        watch.checked_at = Some(now);
        let stamp = FileStamp::of(&self.path).ok();
        if stamp == watch.stamp {
            return;
        }
        watch.stamp = stamp;
        let path = self.path.display();
        match read(&self.path) {
            Ok(keys) => {
                info!(%path, keys = keys.len(), "the changed JWKS file was read");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
            }
            Err(problem) => {
                warn!(%path, %problem, "the changed JWKS file cannot be used; the old keys stay");
            }
        }
    }
}

fn read(path: &Path) -> Result<Arc<[VerificationKey]>, KeyProblem> {
    parse(&read_key_file(path)?)
}
