//! While this instance cannot read the table, what it knows of other instances may be out of date.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Presence;
use super::view::PresenceList;

/// When the table was not read for this long, lists are marked as stale, and no sign of another
/// instance ends. It is shorter if a heartbeat lasts shorter.
const STALE_AFTER: Duration = Duration::from_millis(2_500);

impl Presence {
    /// How long ago the table was read, if that is too long.
    pub(super) fn staleness(&self) -> Option<Duration> {
        let age_ms = self.now_ms() - self.0.read_at.load(Ordering::Relaxed);
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        let most = STALE_AFTER.min(self.rules().timeout * 3 / 4);
        (age > most).then_some(age)
    }

    /// Marks a list as stale if it is.
    pub(super) fn with_staleness(&self, mut list: PresenceList) -> PresenceList {
        let now = || self.0.parts.clock.now();
        list.stale_since = self.staleness().map(|age| now() - age);
        list
    }
}
