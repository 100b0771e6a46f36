//! The time limits that several modules share.

use std::time::Duration;

/// How long the owner's server may take to answer, crash recovery included.
pub(crate) const START_LIMIT: Duration = Duration::from_mins(1);
/// The interval at which conditions outside this process are checked.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// How often an instance looks whether the owner of the server that it uses has ended.
pub(crate) const TAKEOVER_POLL: Duration = Duration::from_secs(1);
