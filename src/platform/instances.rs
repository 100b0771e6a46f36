//! How many instances share the database. What each of them repeats, each does less often when there are more,
//! so that all together ask the database as often as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// With more instances than this, the load of the database grows with them: a longer pause would delay events.
const MOST_SPREAD: u32 = 10;

/// An instance among others pauses for this much more: what one commits costs all of them some work, and a little more
/// latency is hardly noticed there.
const MORE_AMONG_OTHERS: Duration = Duration::from_millis(1);

/// The number of live instances, as far as this one knows. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InstanceCount(Arc<AtomicU32>);

impl InstanceCount {
    /// Takes the number of the other instances that are alive.
    pub fn set_others(&self, others: usize) {
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        self.0.store(others, Ordering::Relaxed);
    }

    /// Whether another instance is alive.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// The pause of this instance, where all instances together pause for `pause`.
    #[must_use]
    pub fn spread(&self, pause: Duration) -> Duration {
        let others = self.0.load(Ordering::Relaxed).min(MOST_SPREAD - 1);
        pause + (pause + MORE_AMONG_OTHERS) * others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_the_instances_up_to_a_limit() {
        let (count, pause) = (InstanceCount::default(), Duration::from_millis(3));
        assert_eq!(count.spread(pause), pause);
        assert!(!count.has_others());
        count.clone().set_others(4);
        assert!(count.has_others());
        assert_eq!(
            count.spread(pause) + MORE_AMONG_OTHERS,
            5 * (pause + MORE_AMONG_OTHERS)
        );
        count.set_others(usize::MAX);
        let longest = MOST_SPREAD * (pause + MORE_AMONG_OTHERS);
        assert_eq!(count.spread(pause) + MORE_AMONG_OTHERS, longest);
    }
}
