//! How many streams there are: in all, and per user.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::mailbox::{CloseReason, Mailbox, SubscriptionId};
use crate::platform::{BrokerId, UserId};

type Person = (BrokerId, UserId);
type Streams = VecDeque<(Arc<Mailbox>, SubscriptionId)>;

/// Counts streams and holds them to their limits.
#[derive(Debug)]
pub struct ConnectionLimits {
    most: usize,
    most_per_user: usize,
    open: AtomicUsize,
    people: Mutex<FxHashMap<Person, Streams>>,
}

/// No room for one more stream.
#[derive(Debug)]
pub struct Full;

impl ConnectionLimits {
    /// An office for `most` streams in all and `most_per_user` of one user.
    #[must_use]
    pub fn new(most: usize, most_per_user: usize) -> Arc<Self> {
        let (open, people) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self {
            most,
            most_per_user,
            open,
            people,
        })
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether one more stream would be too many.
    pub fn is_full(&self) -> bool {
        self.open() >= self.most
    }

    /// Admits a stream; when the user has too many, the oldest gives way.
    pub fn admit(
        self: &Arc<Self>,
        person: Person,
        mailbox: &Arc<Mailbox>,
        subscription: SubscriptionId,
    ) -> Result<Permit, Full> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        let mut people = self.people();
        let streams = people.entry(person.clone()).or_default();
        streams.push_back((Arc::clone(mailbox), subscription));
        if streams.len() > self.most_per_user
            && let Some((mailbox, oldest)) = streams.pop_front()
        {
            mailbox.close(oldest, CloseReason::Evicted);
        }
        drop(people);
        Ok(Permit {
            office: Arc::clone(self),
            person,
            mailbox: Arc::clone(mailbox),
            subscription,
        })
    }

    fn people(&self) -> MutexGuard<'_, FxHashMap<Person, Streams>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream's admission; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    office: Arc<ConnectionLimits>,
    person: Person,
    mailbox: Arc<Mailbox>,
    subscription: SubscriptionId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.office.open.fetch_sub(1, Ordering::Relaxed);
        let mut people = self.office.people();
        if let Some(streams) = people.get_mut(&self.person) {
            streams.retain(|(mailbox, subscription)| {
                *subscription != self.subscription || !Arc::ptr_eq(mailbox, &self.mailbox)
            });
            if streams.is_empty() {
                people.remove(&self.person);
            }
        }
    }
}
