//! While the table cannot be seen, what is told of other instances' people may be out of date.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::Presence;
use crate::log::timestamp;

/// Without a look at the table for so long, what is known is stale, and nobody of another
/// instance is taken to be gone; sooner where a heartbeat counts for less.
const BLIND: Duration = Duration::from_millis(2_500);

impl Presence {
    /// For how long the table has not been seen, if that is too long.
    pub(super) fn blindness(&self) -> Option<Duration> {
        let silence_ms = self.now_ms() - self.0.read_at.load(Ordering::Relaxed);
        let silence = Duration::from_millis(u64::try_from(silence_ms).unwrap_or(0));
        let most = BLIND.min(self.rules().timeout * 3 / 4);
        (silence > most).then_some(silence)
    }

    /// Says of a picture of people that it is stale, where it is.
    pub(super) fn dated(&self, mut people: Value) -> Value {
        if let Some(silence) = self.blindness() {
            people["stale"] = json!(true);
            people["staleSince"] = json!(timestamp(self.0.parts.clock.now() - silence));
        }
        people
    }
}
