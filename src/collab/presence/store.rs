//! Signs of life in the table. Each instance writes its own and reads those of the others.

use std::sync::Arc;
use std::time::Duration;

use super::sign_of_life::{Session, SignOfLife};
use crate::platform::{BrokerId, UserId};

mod clean_up;
mod leases;
mod peer_signs;
mod sign_columns;
mod sign_row;
mod sign_text;
mod signs;

pub use clean_up::delete_old;
pub use leases::{PeerLease, end_lease, peer_leases, renew_lease};
pub use peer_signs::PeerSigns;
pub use signs::{read_all, read_new, write};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PresenceKey {
    pub broker: BrokerId,
    pub user: UserId,
    pub session: Session,
}

/// A sign, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedSign {
    pub key: PresenceKey,
    pub sign: SignOfLife,
}

/// A sign that another instance wrote.
#[derive(Debug)]
pub struct StoredSign {
    pub key: PresenceKey,
    pub instance: Arc<str>,
    /// The number of the write by which it came, counted by its instance.
    pub flush: i64,
    pub sign: SignOfLife,
}

/// The newest write of an instance that was read.
#[derive(Clone, Debug)]
pub struct LastRead {
    pub instance: Arc<str>,
    pub flush: i64,
}

/// Instances and their newest writes, as arrays of one statement.
struct LastReadColumns<'a> {
    instances: Vec<&'a str>,
    flushes: Vec<i64>,
}

impl<'a> LastReadColumns<'a> {
    fn of(last_read: &'a [LastRead]) -> Self {
        Self {
            instances: last_read.iter().map(|last| &*last.instance).collect(),
            flushes: last_read.iter().map(|last| last.flush).collect(),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
