//! Who owns records by now, for frames and pages that were made when others did.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::fanout::{Frame, Sight};
use crate::log::Rights;
use crate::platform::{RecordPath, UserId};

/// Records whose owner changed, as many as are remembered of one broker. What is older than
/// what was forgotten leaves memory, and is read from the table, which knows.
const MOST_CHANGES: usize = 1_024;

/// The last changes of owners in one broker's log.
#[derive(Debug)]
pub struct Owners {
    since: i64,
    latest: FxHashMap<RecordPath, (i64, Option<UserId>)>,
    order: VecDeque<(i64, RecordPath)>,
}

impl Owners {
    /// Nothing is known of what was before this position.
    pub(super) fn new(since: i64) -> Self {
        Self {
            since,
            latest: FxHashMap::default(),
            order: VecDeque::new(),
        }
    }

    /// All changes after this position are known: what was read from the table when it was at
    /// least so long can be judged.
    #[must_use]
    pub fn since(&self) -> i64 {
        self.since
    }

    /// With this position, a record got another owner.
    pub(super) fn change(&mut self, at: i64, record: &RecordPath, owner: Option<&UserId>) {
        self.latest.insert(record.clone(), (at, owner.cloned()));
        self.order.push_back((at, record.clone()));
        while self.order.len() > MOST_CHANGES
            && let Some((at, record)) = self.order.pop_front()
        {
            if self.latest.get(&record).is_some_and(|known| known.0 == at) {
                self.latest.remove(&record);
                self.since = at;
            }
        }
    }

    /// How a reader sees a frame: by who owns its record now.
    #[must_use]
    pub fn sight(&self, frame: &Frame, reader: &Rights) -> Sight {
        if !frame.encoded.is_private() {
            return Sight::Masked;
        }
        let change = frame.encoded.record.as_ref();
        let change = change.and_then(|record| self.latest.get(record));
        let owner = match change {
            Some((at, owner)) if *at > frame.position => owner.as_ref(),
            _ => frame.encoded.private_to(),
        };
        if reader.reach(owner) {
            Sight::Unmasked
        } else {
            Sight::Masked
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_changes_are_known_and_a_record_counts_once() {
        let record = |n: usize| RecordPath {
            module: "m".parse().unwrap(),
            id: format!("r-{n}").parse().unwrap(),
        };
        let mut owners = Owners::new(5);
        // One record that changes hands all the time makes nothing be forgotten.
        for at in 6..5_000 {
            owners.change(at, &record(0), None);
        }
        assert_eq!((owners.since(), owners.latest.len()), (5, 1));
        for n in 1..=MOST_CHANGES {
            owners.change(5_000 + i64::try_from(n).unwrap(), &record(n), None);
        }
        assert_eq!(owners.since(), 4_999);
        assert_eq!(owners.latest.len(), MOST_CHANGES);
        assert_eq!(owners.order.len(), MOST_CHANGES);
    }
}
