//! Something that all brokerages share. One user and one brokerage can have a part of it at most,
//! so that there is always some for others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::identity::Caller;
use crate::platform::{BrokerId, UserId};

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) user: u32,
    pub(super) brokerage: u32,
    pub(super) total: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    User,
    /// The one of the user's brokerage.
    Brokerage,
    Total,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Group {
    User(BrokerId, UserId),
    Brokerage(BrokerId),
}

#[derive(Debug)]
pub(super) struct Shares {
    limits: Limits,
    total: Arc<Semaphore>,
    /// Those of which somebody has some, or waits for some.
    groups: Mutex<FxHashMap<Group, Arc<Semaphore>>>,
}

/// A part of it, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    groups: [Group; 2],
    permits: Vec<OwnedSemaphorePermit>,
}

impl Shares {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            total: Arc::new(Semaphore::new(permits(limits.total))),
            groups: Mutex::default(),
        })
    }

    /// Takes so many units, or says which limit is reached.
    pub(super) fn try_take(self: &Arc<Self>, caller: &Caller, units: u32) -> Result<Share, Full> {
        let mut share = self.none(caller);
        let [user, brokerage] = self.semaphores(&share.groups);
        let total = Arc::clone(&self.total);
        for (semaphore, full) in [
            (user, Full::User),
            (brokerage, Full::Brokerage),
            (total, Full::Total),
        ] {
            let permit = semaphore.try_acquire_many_owned(units);
            share.permits.push(permit.map_err(|_| full)?);
        }
        Ok(share)
    }

    /// Waits for one unit. A user has the next one when the one before is given back, and so has
    /// a brokerage; so of all that waits, a brokerage has no more in the last line than it may take.
    pub(super) async fn take(self: &Arc<Self>, caller: &Caller) -> Share {
        let mut share = self.none(caller);
        let [user, brokerage] = self.semaphores(&share.groups);
        for semaphore in [user, brokerage, Arc::clone(&self.total)] {
            let permit = semaphore.acquire_owned().await;
            // They are never closed.
            share.permits.extend(permit.ok());
        }
        share
    }

    /// So many are taken, of all.
    pub(super) fn taken(&self) -> usize {
        permits(self.limits.total).saturating_sub(self.total.available_permits())
    }

    fn none(self: &Arc<Self>, caller: &Caller) -> Share {
        let (broker, user) = (caller.broker.clone(), caller.user.clone());
        Share {
            shares: Arc::clone(self),
            groups: [Group::User(broker.clone(), user), Group::Brokerage(broker)],
            permits: Vec::with_capacity(3),
        }
    }

    fn semaphores(&self, groups: &[Group; 2]) -> [Arc<Semaphore>; 2] {
        let mut known = self.groups();
        groups.each_ref().map(|group| {
            let limit = match group {
                Group::User(..) => self.limits.user,
                Group::Brokerage(_) => self.limits.brokerage,
            };
            let semaphore = known.entry(group.clone());
            let semaphore = semaphore.or_insert_with(|| Arc::new(Semaphore::new(permits(limit))));
            Arc::clone(semaphore)
        })
    }

    fn groups(&self) -> MutexGuard<'_, FxHashMap<Group, Arc<Semaphore>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.permits.clear();
        let mut known = self.shares.groups();
        for group in &self.groups {
            // Permits and those who wait for one hold it, too.
            if known.get(group).is_some_and(|s| Arc::strong_count(s) == 1) {
                known.remove(group);
            }
        }
    }
}

fn permits(units: u32) -> usize {
    usize::try_from(units).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use time::OffsetDateTime;

    use super::*;
    use crate::identity::Role;

    fn caller(broker: &str, user: &str) -> Caller {
        Caller {
            user: user.parse().unwrap(),
            broker: broker.parse().unwrap(),
            teams: Arc::default(),
            role: Role::Agent,
            expires_at: OffsetDateTime::UNIX_EPOCH,
            token_id: None,
        }
    }

    fn shares() -> Arc<Shares> {
        Shares::new(Limits {
            user: 2,
            brokerage: 3,
            total: 6,
        })
    }

    #[test]
    fn each_limit_is_named_when_it_is_reached_and_nothing_is_taken_then() {
        let shares = shares();
        let _ann = shares.try_take(&caller("b", "ann"), 2).unwrap();
        let refused = shares.try_take(&caller("b", "ann"), 1);
        assert_eq!(refused.unwrap_err(), Full::User);
        let refused = shares.try_take(&caller("b", "bob"), 2);
        assert_eq!(refused.unwrap_err(), Full::Brokerage);
        let _bob = shares.try_take(&caller("b", "bob"), 1).unwrap();
        let _other = shares.try_take(&caller("c", "ann"), 2).unwrap();
        let refused = shares.try_take(&caller("d", "ann"), 2);
        assert_eq!(refused.unwrap_err(), Full::Total);
        assert_eq!(shares.taken(), 5);
        let _last = shares.try_take(&caller("d", "ann"), 1).unwrap();
    }

    #[test]
    fn what_is_dropped_is_free_again_and_nobody_is_remembered() {
        let shares = shares();
        for _ in 0..3 {
            let taken = [("b", "ann"), ("b", "bob"), ("c", "ann")]
                .map(|(broker, user)| shares.try_take(&caller(broker, user), 1).unwrap());
            assert!(shares.try_take(&caller("b", "ann"), 2).is_err());
            assert_eq!((shares.taken(), shares.groups().len()), (3, 5));
            drop(taken);
            assert_eq!((shares.taken(), shares.groups().len()), (0, 0));
        }
    }

    #[test]
    fn who_waits_stands_behind_no_more_of_another_brokerage_than_its_share() {
        let shares = shares();
        let mut context = Context::from_waker(Waker::noop());
        let mut held: Vec<_> = ["a", "b"]
            .iter()
            .flat_map(|broker| ["x", "y", "z"].map(|user| caller(broker, user)))
            .map(|caller| shares.try_take(&caller, 1).unwrap())
            .collect();
        let callers: Vec<_> = (0..50).map(|n| caller("a", &format!("u{n}"))).collect();
        let mut crowd: Vec<_> = callers.iter().map(|c| Box::pin(shares.take(c))).collect();
        for one in &mut crowd {
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        let other = caller("c", "ann");
        let mut other = pin!(shares.take(&other));
        assert!(other.as_mut().poll(&mut context).is_pending());
        // One of `b` ends: none of the crowd may have it, because `a` has its share.
        held.pop();
        assert!(
            crowd
                .iter_mut()
                .all(|one| one.as_mut().poll(&mut context).is_pending())
        );
        let Poll::Ready(taken) = other.as_mut().poll(&mut context) else {
            panic!("it is the first in line");
        };
        drop((taken, held));
        let done = crowd.iter_mut().map(|one| one.as_mut().poll(&mut context));
        let done: Vec<_> = done.filter(Poll::is_ready).collect();
        assert_eq!(done.len(), 3, "as many as one brokerage may have");
        drop((crowd, done));
        assert_eq!((shares.taken(), shares.groups().len()), (0, 0));
    }
}
