//! How many instances share the database. What each of them repeats, each does less often when there are more,
//! so that all together ask the database as often as one. An instance that is alone and commits nothing rests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// With more instances than this, the load of the database grows with them: a longer pause would delay events.
const MOST_SPREAD: u32 = 10;

/// An instance among others pauses for this much more: what one commits costs all of them some work, and a little more
/// latency is hardly noticed there.
const MORE_AMONG_OTHERS: Duration = Duration::from_millis(1);

/// The longest pause of a loop that rests. An instance that came and went in between, or somebody who changed a table by
/// hand, is noticed so late.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// The number of live instances, as far as this one knows. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InstanceCount(Arc<SharedCount>);

#[derive(Debug, Default)]
struct SharedCount {
    others: AtomicU32,
    /// Whether they were counted. A worker without a service does not count them, so it is never alone.
    is_counted: AtomicBool,
    /// Wakes the loops that rest.
    awake: watch::Sender<()>,
}

/// The pauses of a loop.
#[derive(Debug)]
pub struct Rest {
    instances: InstanceCount,
    awake: watch::Receiver<()>,
}

impl InstanceCount {
    /// Takes the number of the other instances that are alive.
    pub fn set_others(&self, others: usize) {
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        let before = self.0.others.swap(others, Ordering::Relaxed);
        self.0.is_counted.store(true, Ordering::Relaxed);
        if before != others {
            self.wake();
        }
    }

    /// Whether another instance is alive.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.0.others.load(Ordering::Relaxed) > 0
    }

    /// Whether no other instance commits anything.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.is_counted.load(Ordering::Relaxed) && !self.has_others()
    }

    /// This instance has committed something: its loops look at the database.
    pub fn wake(&self) {
        self.0.awake.send_replace(());
    }

    /// The pauses of a loop that looks for what is to do.
    #[must_use]
    pub fn rest(&self) -> Rest {
        Rest {
            instances: self.clone(),
            awake: self.0.awake.subscribe(),
        }
    }

    /// The pause of this instance, where all instances together pause for `pause`.
    #[must_use]
    pub fn spread(&self, pause: Duration) -> Duration {
        let others = self.0.others.load(Ordering::Relaxed).min(MOST_SPREAD - 1);
        pause + (pause + MORE_AMONG_OTHERS) * others
    }
}

impl Rest {
    /// Pauses. If this instance is alone, it rests then for up to `longest` in all, until it commits something or another
    /// instance comes. A commit since the last pause ended counts.
    pub async fn pause(&mut self, pause: Duration, longest: Duration) {
        tokio::time::sleep(pause).await;
        let left = longest.min(LONGEST_REST).saturating_sub(pause);
        if self.instances.is_alone() {
            // The sender is in the count, so it is there.
            let _ = timeout(left, self.awake.changed()).await;
        }
        self.awake.mark_unchanged();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

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

    const SHORT: Duration = Duration::from_millis(5);

    /// Whether a pause ends long before the longest rest does.
    async fn is_short(pause: impl Future<Output = ()>) -> bool {
        timeout(LONGEST_REST / 2, pause).await.is_ok()
    }

    async fn is_long(pause: impl Future<Output = ()>) -> bool {
        timeout(10 * SHORT, pause).await.is_err()
    }

    #[tokio::test]
    async fn only_an_instance_that_is_alone_rests() {
        let count = InstanceCount::default();
        let mut rest = count.rest();
        assert!(is_short(rest.pause(SHORT, Duration::MAX)).await);
        count.set_others(0);
        let began = Instant::now();
        rest.pause(SHORT, 8 * SHORT).await;
        assert!(began.elapsed() >= 8 * SHORT);
        assert!(is_long(rest.pause(SHORT, Duration::MAX)).await);
        count.set_others(1);
        assert!(is_short(rest.pause(SHORT, Duration::MAX)).await);
    }

    #[tokio::test]
    async fn a_commit_and_another_instance_end_the_rest() {
        let count = InstanceCount::default();
        let mut rest = count.rest();
        count.set_others(0);
        assert!(is_long(rest.pause(SHORT, Duration::MAX)).await);
        // While the loop worked.
        count.wake();
        assert!(is_short(rest.pause(SHORT, Duration::MAX)).await);
        let comes = async {
            tokio::time::sleep(4 * SHORT).await;
            count.set_others(1);
        };
        let (ended, ()) = tokio::join!(is_short(rest.pause(SHORT, Duration::MAX)), comes);
        assert!(ended);
    }
}
