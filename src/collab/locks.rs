//! Locks: who is at work on a record. A lease on the database's clock, shared by the
//! holder's devices, with a fence that grows with every grant.
//!
//! The row of a lock is locked first and the log last, in one transaction; whoever is to
//! know is told by the log. [`Locks`] is the way in for requests, [`expiry`] ends what
//! nobody renews, and the [`desk`] says what is held to streams that open.

use crate::directory::Modules;
use crate::identity::Caller;
use crate::log::EventCommitter;
use crate::platform::Pool;
use crate::platform::{RecordPath, SessionName};

mod acquire;
mod error;
mod events;
pub mod expiry;
pub mod guard;
mod holder;
mod lease;
mod list;
mod lock;
mod release;
mod renew;
mod request;
mod row;
mod sessions;
pub mod snapshot;
mod takeover;
mod waiting;

pub use error::LockError;
pub use guard::Barred;
pub use lease::{InvalidLease, LeaseDuration};
pub use list::{LockListQuery, MOST_LISTED};
pub use lock::{Holder, Lock};
pub use takeover::TakeoverRight;

/// The locks of all records, for requests.
#[derive(Clone, Debug)]
pub struct Locks {
    pool: Pool,
    modules: Modules,
    committer: EventCommitter,
}

/// What a caller wants to hold, or goes on holding.
#[derive(Clone, Debug)]
pub struct LockClaim {
    pub record: RecordPath,
    /// On which of the caller's devices.
    pub session: SessionName,
    /// For how long; as long as before, or as usual, where it is left open.
    pub lease: Option<LeaseDuration>,
}

impl Locks {
    /// A way to the locks of these modules.
    #[must_use]
    pub fn new(pool: Pool, modules: Modules, committer: EventCommitter) -> Self {
        Self {
            pool,
            modules,
            committer,
        }
    }

    /// The lock on a record that the caller may see, if it is held.
    pub async fn find(
        &self,
        caller: &Caller,
        record: &RecordPath,
    ) -> Result<Option<Lock>, LockError> {
        let mut connection = self.pool.acquire().await?;
        crate::directory::audience_for(&mut connection, caller, record).await?;
        let key = row::LockKey::of(caller, record);
        let row = row::peek(&mut connection, key).await?;
        Ok(row.and_then(|row| row.lock()))
    }
}
