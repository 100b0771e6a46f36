//! Notices between instances: logs that have grown, changes of presence, changed tasks, revoked
//! sessions, and signals. A lost notice only costs time. A lost signal is acceptable, because signals
//! last only seconds.
//!
//! A [`Backplane`] carries the notices.

pub mod backplane;
pub mod listen;
pub mod postgres;
pub mod redis;
mod subscriptions;

pub use backplane::{Backplane, BackplaneError, BackplaneParts, BackplaneState};
pub use listen::PeerListener;
pub use subscriptions::{BrokerSubscription, BrokerSubscriptions};
