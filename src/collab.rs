//! What people do together: locks, presence, signals.

mod locks;
mod presence;
mod signals;

pub use locks::expiry::LockSweeper;
pub use locks::snapshot::{LockSnapshotAnswer, LockSnapshotLoader, PATIENCE, SNAPSHOT};
pub use locks::{
    Barred, InvalidLease, LeaseDuration, Lock, LockClaim, LockError, LockListQuery, Locks,
    MOST_LISTED, TakeoverRight, guard,
};
pub use presence::events::MOST_USERS_LISTED;
pub use presence::sync::PresenceSyncParts;
pub use presence::{
    Heartbeat, Presence, PresenceError, PresenceGuard, PresenceParts, PresenceRules, PresenceSync,
    PresenceTimers, Status, View,
};
pub use signals::{About, Signal, SignalError, SignalNames, SignalParts, Signals};
