//! The file: read at start, looked at now and then, read again when it changed.

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

/// Unknown key names cause at most one look at the file in this time.
const LOOK_GAP: Duration = Duration::milliseconds(100);

/// The keys of a file, as fresh as the last look at it.
pub(in super::super) struct JwksFile {
    path: PathBuf,
    keys: RwLock<Arc<[VerificationKey]>>,
    /// The second of the last regular look.
    looked_in: AtomicI64,
    watch: Mutex<Watch>,
}

struct Watch {
    /// What the file was like when it was last read; `None` when it was not there.
    stamp: Option<Stamp>,
    looked_at: Option<OffsetDateTime>,
}

/// What changes when a file changes, however it was written.
#[derive(PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let file = std::fs::metadata(path)?;
        Ok(Self {
            place: (file.dev(), file.ino()),
            len: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

impl JwksFile {
    pub(in super::super) fn open(path: &Path) -> Result<Self, IdentityError> {
        // The stamp comes first: a change in between is then seen at the next look.
        let stamp = Stamp::of(path).ok();
        let keys = read(path).map_err(|problem| IdentityError::KeyFile {
            setting: "JWT_JWKS_FILE",
            path: path.to_owned(),
            problem,
        })?;
        Ok(Self {
            path: path.to_owned(),
            keys: RwLock::new(keys),
            looked_in: AtomicI64::new(i64::MIN),
            watch: Mutex::new(Watch {
                stamp,
                looked_at: None,
            }),
        })
    }

    /// The keys, after a look at the file if there was none this second. Only the
    /// caller that looks touches the file; the others do not wait for it.
    pub(in super::super) fn keys(&self, now: OffsetDateTime) -> Arc<[VerificationKey]> {
        let second = now.unix_timestamp();
        if self.looked_in.load(Ordering::Relaxed) != second
            && self.looked_in.swap(second, Ordering::Relaxed) != second
            && let Some(watch) = self.try_watch()
        {
            self.look(watch, now);
        }
        self.current()
    }

    /// The keys after a fresh look, for a token whose key is unknown. This one
    /// waits for a look that is under way: the new key may be what it brings, and
    /// a refusal would end the client's stream for good.
    pub(in super::super) fn keys_looked_for(&self, now: OffsetDateTime) -> Arc<[VerificationKey]> {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |at: OffsetDateTime| (now - at).abs() < LOOK_GAP;
        if !watch.looked_at.is_some_and(recent) {
            self.look(watch, now);
        }
        self.current()
    }

    fn current(&self) -> Arc<[VerificationKey]> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }

    fn try_watch(&self) -> Option<MutexGuard<'_, Watch>> {
        match self.watch.try_lock() {
            Ok(watch) => Some(watch),
            Err(TryLockError::Poisoned(watch)) => Some(watch.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Reads the file if it is not what it was. What cannot be read leaves the old
    /// keys, and is said once: until the file changes again it is not read again.
    fn look(&self, mut watch: MutexGuard<'_, Watch>, now: OffsetDateTime) {
        watch.looked_at = Some(now);
        let stamp = Stamp::of(&self.path).ok();
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
