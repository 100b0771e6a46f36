//! The current owners of records, for frames that were encoded before a change of owners.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::fanout::{Frame, Visibility};
use crate::log::Rights;
use crate::platform::{RecordPath, UserId};

/// Changes of owners that are kept for one brokerage. When one is dropped, older frames leave
/// memory too: streams read them from the table, which has the current owners.
const MOST_CHANGES: usize = 1_024;

/// The last changes of owners in one log.
#[derive(Debug)]
pub struct RecordOwners {
    since: i64,
    latest: FxHashMap<RecordPath, OwnerChange>,
    order: VecDeque<(i64, RecordPath)>,
}

#[derive(Debug)]
struct OwnerChange {
    position: i64,
    owner: Option<UserId>,
}

impl RecordOwners {
    /// Changes up to `since` are unknown.
    pub(super) fn new(since: i64) -> Self {
        Self {
            since,
            latest: FxHashMap::default(),
            order: VecDeque::new(),
        }
    }

    /// All changes after this position are known.
    #[must_use]
    pub fn since(&self) -> i64 {
        self.since
    }

    /// The event at `position` changes the owner of a record.
    pub(super) fn change(&mut self, position: i64, record: &RecordPath, owner: Option<&UserId>) {
        let owner = owner.cloned();
        let change = OwnerChange { position, owner };
        self.latest.insert(record.clone(), change);
        self.order.push_back((position, record.clone()));
        while self.order.len() > MOST_CHANGES
            && let Some((oldest, record)) = self.order.pop_front()
        {
            let latest = self.latest.get(&record);
            if latest.is_some_and(|change| change.position == oldest) {
                self.latest.remove(&record);
                self.since = oldest;
            }
        }
    }

    /// Depends on the owner that the record has now.
    #[must_use]
    pub fn visibility(&self, frame: &Frame, rights: &Rights) -> Visibility {
        if !frame.encoded.has_private_fields() {
            return Visibility::Masked;
        }
        let change = frame.encoded.record.as_ref();
        let change = change.and_then(|record| self.latest.get(record));
        let owner = match change {
            Some(change) if change.position > frame.position => change.owner.as_ref(),
            _ => frame.encoded.private_to(),
        };
        if rights.allow(owner) {
            Visibility::Unmasked
        } else {
            Visibility::Masked
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_changes_are_kept_and_a_record_counts_once() {
        let record = |n: usize| RecordPath {
            module: "m".parse().unwrap(),
            id: format!("r-{n}").parse().unwrap(),
        };
        let mut owners = RecordOwners::new(5);
        // Many changes of one record do not drop those of others.
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
