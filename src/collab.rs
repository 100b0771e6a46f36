//! Locks, presence and signals: what the people of a brokerage do at the same time.

#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_points;
mod locks;
mod presence;
mod signals;

pub use locks::expiry::LockSweeper;
pub use locks::retention as lock_retention;
pub use locks::snapshot::{
    LOCK_SNAPSHOT_TIMEOUT, LOCK_SNAPSHOT_TYPE, LockSnapshot, LockSnapshotAnswer, LockSnapshotLoader,
};
pub use locks::write_check::{LockConflict, check_write};
pub use locks::{
    InvalidLease, LeaseDuration, Lock, LockClaim, LockError, LockListQuery, Locks, MOST_LISTED,
    TakeoverRight,
};
pub use presence::sync::PresenceSyncParts;
pub use presence::view::MOST_USERS_LISTED;
pub use presence::{
    Heartbeat, Presence, PresenceError, PresenceGuard, PresenceList, PresenceParts, PresenceRules,
    PresenceSnapshot, PresenceSync, PresenceTimers, Status, StreamEvictor, View,
};
pub use signals::{About, Signal, SignalAction, SignalError, SignalNames, SignalParts, Signals};
