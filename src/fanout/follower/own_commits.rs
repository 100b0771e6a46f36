//! Commits of this instance return what other instances have committed before. While they come often, a hint waits for
//! the next one, which costs no query.

use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::platform::BrokerId;

/// The logs that this instance commits to.
#[derive(Debug, Default)]
pub(super) struct OwnCommits(FxHashMap<BrokerId, OwnCommit>);

#[derive(Debug)]
struct OwnCommit {
    at: Instant,
    /// The head of a hint that waits for the next commit.
    hinted: Option<i64>,
}

/// A hint that no commit has answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LateHint {
    pub(super) broker: BrokerId,
    pub(super) head: i64,
}

impl OwnCommits {
    /// A commit has returned what was in front of it. The log is known up to `head`.
    pub(super) fn add(&mut self, broker: &BrokerId, head: i64, now: Instant) {
        if let Some(commit) = self.0.get_mut(broker) {
            commit.at = now;
            commit.hinted = commit.hinted.filter(|hinted| *hinted > head);
            return;
        }
        let commit = OwnCommit {
            at: now,
            hinted: None,
        };
        self.0.insert(broker.clone(), commit);
    }

    /// A commit has not returned what was in front of it.
    pub(super) fn remove(&mut self, broker: &BrokerId) {
        self.0.remove(broker);
    }

    /// Whether this instance has committed to the log since `since`. Then the hint waits.
    pub(super) fn hold(&mut self, hint: &LateHint, since: Instant) -> bool {
        let Some(commit) = self.0.get_mut(&hint.broker) else {
            return false;
        };
        if commit.at <= since {
            return false;
        }
        commit.hinted = commit.hinted.max(Some(hint.head));
        true
    }

    /// When the first hint has waited for `longest` after the last commit.
    pub(super) fn due_at(&self, longest: Duration) -> Option<Instant> {
        let waiting = self.0.values().filter(|commit| commit.hinted.is_some());
        waiting.map(|commit| commit.at + longest).min()
    }

    /// Removes the logs without a commit since `since`, and returns the hints that waited.
    pub(super) fn take_late(&mut self, since: Instant) -> Vec<LateHint> {
        let mut late = Vec::new();
        self.0.retain(|broker, commit| {
            let is_late = commit.at <= since;
            if let Some(head) = commit.hinted.filter(|_| is_late) {
                let broker = broker.clone();
                late.push(LateHint { broker, head });
            }
            !is_late
        });
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(20);

    fn hint(head: i64) -> LateHint {
        let broker = "b".parse().unwrap();
        LateHint { broker, head }
    }

    #[test]
    fn a_hint_waits_for_the_next_commit_if_there_was_one_just_now() {
        let (mut commits, broker) = (OwnCommits::default(), hint(0).broker);
        let start = Instant::now();
        let now = start + LONGEST;
        assert!(!commits.hold(&hint(7), start));
        commits.add(&broker, 5, now);
        assert!(commits.hold(&hint(8), start));
        assert!(commits.hold(&hint(7), start));
        assert_eq!(commits.due_at(LONGEST), Some(now + LONGEST));
        assert!(commits.take_late(start).is_empty());
        // It came while the commit was on its way.
        commits.add(&broker, 7, now + LONGEST / 2);
        assert_eq!(commits.due_at(LONGEST), Some(now + LONGEST * 3 / 2));
        commits.add(&broker, 9, now + LONGEST);
        assert_eq!(commits.due_at(LONGEST), None);
    }

    #[test]
    fn a_hint_that_no_commit_answers_is_late() {
        let (mut commits, broker) = (OwnCommits::default(), hint(0).broker);
        let now = Instant::now();
        let before = now.checked_sub(LONGEST).unwrap();
        commits.add(&broker, 5, now);
        assert!(commits.hold(&hint(8), before));
        assert_eq!(commits.take_late(now), [hint(8)]);
        assert!(commits.0.is_empty());
        commits.add(&broker, 5, now);
        commits.remove(&broker);
        assert!(!commits.hold(&hint(9), before));
    }
}
