//! Signs of this instance that the table does not have yet.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::sign_of_life::SignOfLife;
use super::store::{KeyedSign, PresenceKey};

/// A map of fewer signs stays as large as it is.
const KEPT_SIGNS: usize = 256;

/// The newest sign of each session. When thousands of clients arrive at once, it takes seconds until all of them
/// are written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Boxed, because a map keeps room for almost as many entries again.
    signs: FxHashMap<PresenceKey, Box<SignOfLife>>,
    /// One of them changes what others see.
    pub(super) is_urgent: bool,
}

impl Outbox {
    pub(super) fn len(&self) -> usize {
        self.signs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.signs.is_empty()
    }

    pub(super) fn put(&mut self, key: PresenceKey, sign: SignOfLife) {
        self.signs.insert(key, Box::new(sign));
    }

    /// Adds a sign, unless there is a newer one of the session already.
    pub(super) fn put_older(&mut self, KeyedSign { key, sign }: KeyedSign) {
        if let Entry::Vacant(place) = self.signs.entry(key) {
            place.insert(Box::new(sign));
        }
    }

    /// Takes out so many signs. The others stay where they are: they are not copied.
    pub(super) fn take(&mut self, most: usize) -> Vec<KeyedSign> {
        let mut taken = Vec::with_capacity(most.min(self.signs.len()));
        let signs = self.signs.extract_if(|_, _| true).take(most);
        taken.extend(signs.map(|(key, sign)| KeyedSign { key, sign: *sign }));
        if self.signs.len() <= self.signs.capacity() / 4 {
            self.signs.shrink_to((self.signs.len() * 2).max(KEPT_SIGNS));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collab::presence::moment::Moment;
    use crate::collab::presence::sign_of_life::Session;

    fn key(user: usize) -> PresenceKey {
        PresenceKey {
            broker: "b".parse().unwrap(),
            user: format!("u-{user}").parse().unwrap(),
            session: Session::Streams,
        }
    }

    fn sign(streams: i64) -> SignOfLife {
        SignOfLife {
            streams: Arc::from([streams]),
            ..SignOfLife::of_stream(Arc::from([]), Moment::BEFORE_ALL)
        }
    }

    #[test]
    fn signs_that_are_not_taken_stay_where_they_are() {
        let mut outbox = Outbox::default();
        (0..5_000).for_each(|user| outbox.put(key(user), sign(1)));
        let mut users: Vec<_> = outbox
            .take(256)
            .into_iter()
            .map(|taken| taken.key)
            .collect();
        assert_eq!((users.len(), outbox.len()), (256, 4_744));
        while !outbox.is_empty() {
            users.extend(outbox.take(1_000).into_iter().map(|taken| taken.key));
        }
        users.sort_unstable();
        users.dedup();
        assert_eq!(users.len(), 5_000);
        assert!(outbox.signs.capacity() < 2 * KEPT_SIGNS, "memory goes back");
    }

    #[test]
    fn a_sign_that_could_not_be_written_does_not_replace_a_newer_one() {
        let mut outbox = Outbox::default();
        outbox.put(key(1), sign(1));
        let taken = outbox.take(10);
        outbox.put(key(1), sign(2));
        for sign in taken {
            outbox.put_older(sign);
        }
        let newer = KeyedSign {
            key: key(1),
            sign: sign(2),
        };
        assert_eq!(outbox.take(10), [newer]);
    }
}
