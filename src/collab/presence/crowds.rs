//! Crowds: the people of a team or of the brokerage who are present. Of a large crowd, streams get
//! counts instead of each person.

use std::collections::BTreeSet;
use std::ops::Bound;

use rustc_hash::{FxHashMap, FxHashSet};

use super::group::PresentUser;
use crate::log::Audience;
use crate::platform::UserId;

/// At this share of the limit, a large crowd becomes small again.
const SMALL_AGAIN_PERCENT: usize = 80;

#[derive(Debug, Default)]
struct Crowd {
    /// In the order of lists.
    people: BTreeSet<UserId>,
    online: usize,
}

#[derive(Debug)]
pub(super) struct Crowds {
    by_audience: FxHashMap<Audience, Crowd>,
    large: FxHashSet<Audience>,
    /// A crowd of more people is large.
    limit: usize,
}

impl Crowds {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            by_audience: FxHashMap::default(),
            large: FxHashSet::default(),
            limit,
        }
    }

    /// The people of a crowd in order, from the first one after `after` on.
    pub(super) fn people(
        &self,
        audience: &Audience,
        after: Option<&UserId>,
    ) -> impl Iterator<Item = &UserId> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let crowd = self.by_audience.get(audience).into_iter();
        crowd.flat_map(move |crowd| crowd.people.range::<UserId, _>((begin, Bound::Unbounded)))
    }

    pub(super) fn online(&self, audience: &Audience) -> usize {
        let crowd = self.by_audience.get(audience);
        crowd.map_or(0, |crowd| crowd.online)
    }

    pub(super) fn is_large(&self, audience: &Audience) -> bool {
        self.large.contains(audience)
    }

    pub(super) fn large(&self) -> &FxHashSet<Audience> {
        &self.large
    }

    /// Adds a person to all of their crowds. Returns those that became large.
    pub(super) fn add(&mut self, user: &UserId, present: &PresentUser) -> Vec<Audience> {
        let mut resized = Vec::new();
        for audience in present.crowds() {
            let crowd = self.by_audience.entry(audience.clone()).or_default();
            crowd.online += usize::from(present.is_online());
            crowd.people.insert(user.clone());
            resized.extend(self.resize(&audience).then_some(audience));
        }
        resized
    }

    /// Removes a person from all of their crowds. Returns those that became small.
    pub(super) fn remove(&mut self, user: &UserId, present: &PresentUser) -> Vec<Audience> {
        let mut resized = Vec::new();
        for audience in present.crowds() {
            let crowd = self.by_audience.entry(audience.clone()).or_default();
            crowd.online -= usize::from(present.is_online());
            crowd.people.remove(user);
            if crowd.people.is_empty() {
                self.by_audience.remove(&audience);
            }
            resized.extend(self.resize(&audience).then_some(audience));
        }
        resized
    }

    /// Returns whether a crowd has just become large or small. The two limits differ, so that a
    /// crowd at the limit does not change with each person.
    fn resize(&mut self, audience: &Audience) -> bool {
        let crowd = self.by_audience.get(audience);
        let size = crowd.map_or(0, |crowd| crowd.people.len());
        let is_large = self.large.contains(audience);
        if !is_large && size > self.limit {
            self.large.insert(audience.clone())
        } else if is_large && size <= self.limit * SMALL_AGAIN_PERCENT / 100 {
            self.large.remove(audience)
        } else {
            false
        }
    }
}
