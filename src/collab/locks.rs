//! Locks: who works on a record. A lock is a lease on the database's clock. All devices of the
//! holder share it. Its fence grows with every grant.
//!
//! A change takes the lock's row first and the brokerage's log last, in one transaction, and
//! appends its events there. [`Locks`] serves requests. [`expiry`] ends leases that nobody renews.
//! [`snapshot`] reads the locks for streams that open.

use crate::directory::Modules;
use crate::identity::Caller;
use crate::log::{EventCommitter, IdempotencyKey};
use crate::platform::BackgroundTask;
use crate::platform::Pool;
use crate::platform::{RecordPath, SessionName};

use expiry::LockSweeper;

mod acquire;
#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_point;
mod error;
mod events;
pub mod expiry;
mod holder;
mod lease;
mod list;
mod lock;
mod release;
mod renew;
mod request;
pub mod retention;
mod row;
mod sessions;
pub mod snapshot;
mod takeover;
mod viewers;
mod waiting_users;
pub mod write_check;

pub use error::LockError;
pub use lease::{InvalidLease, LeaseDuration};
pub use list::{LockListQuery, MOST_LISTED};
pub use lock::{Holder, Lock};
pub use takeover::TakeoverRight;

#[derive(Clone, Debug)]
pub struct Locks {
    pool: Pool,
    modules: Modules,
    committer: EventCommitter,
}

/// What a caller wants to lock, or to keep locked.
#[derive(Clone, Debug)]
pub struct LockClaim {
    pub record: RecordPath,
    /// The caller's device or tab.
    pub session: SessionName,
    /// Without it, the session's last lease counts again, or the default one.
    pub lease: Option<LeaseDuration>,
    /// With a key, the request can be repeated safely.
    pub key: Option<IdempotencyKey>,
}

impl Locks {
    /// The handle of requests, and the task that ends the leases that nobody renews.
    #[must_use]
    pub fn start(pool: Pool, sweeper: LockSweeper) -> (Self, BackgroundTask) {
        let locks = Self {
            pool,
            modules: sweeper.modules.clone(),
            committer: sweeper.committer.clone(),
        };
        let task = BackgroundTask::new("the sweeper of locks", sweeper.run());
        (locks, task)
    }

    /// The lock on a record that the caller may see, if somebody holds it.
    pub async fn find(
        &self,
        caller: &Caller,
        record: &RecordPath,
    ) -> Result<Option<Lock>, LockError> {
        let mut connection = self.pool.acquire().await?;
        crate::directory::audience_for(&mut connection, caller, record).await?;
        let key = row::LockKey::of(caller, record);
        let row = row::read(&mut connection, key).await?;
        Ok(row.and_then(|row| row.lock()))
    }
}
