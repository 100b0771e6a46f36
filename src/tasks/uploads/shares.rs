//! A resource that all brokerages share. A user and a brokerage can have a part of it at most, so
//! that others always get some.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::identity::Caller;
use crate::platform::{BrokerId, Permits, UserId};

#[derive(Clone, Copy, Debug)]
pub(super) struct ShareLimits {
    pub(super) user: u32,
    pub(super) brokerage: u32,
    pub(super) total: u32,
}

/// The limit that an upload would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadLimit {
    User,
    Brokerage,
    Total,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ShareGroup {
    User(BrokerId, UserId),
    Brokerage(BrokerId),
}

#[derive(Debug)]
pub(super) struct Shares {
    limits: ShareLimits,
    total: Arc<Semaphore>,
    /// Users and brokerages that have a share, or wait for one.
    groups: Mutex<FxHashMap<ShareGroup, Arc<Semaphore>>>,
}

/// A part of the resource. Dropping it returns the part.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    groups: [ShareGroup; 2],
    permits: Vec<OwnedSemaphorePermit>,
}

impl Shares {
    pub(super) fn new(limits: ShareLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            total: Arc::new(Semaphore::new(permits(limits.total))),
            groups: Mutex::default(),
        })
    }

    /// Takes units, or returns the limit that is reached.
    pub(super) fn try_take(
        self: &Arc<Self>,
        caller: &Caller,
        units: u32,
    ) -> Result<Share, UploadLimit> {
        let mut share = self.empty_share(caller);
        let [user, brokerage] = self.semaphores(&share.groups);
        let total = Arc::clone(&self.total);
        for (semaphore, full) in [
            (user, UploadLimit::User),
            (brokerage, UploadLimit::Brokerage),
            (total, UploadLimit::Total),
        ] {
            let permit = semaphore.try_acquire_many_owned(units);
            share.permits.push(permit.map_err(|_| full)?);
        }
        Ok(share)
    }

    /// Waits for one unit: first within the user, then within the brokerage, then among all. So a
    /// brokerage never has more waiters among all than its limit.
    pub(super) async fn take(self: &Arc<Self>, caller: &Caller) -> Share {
        let mut share = self.empty_share(caller);
        let [user, brokerage] = self.semaphores(&share.groups);
        for semaphore in [user, brokerage, Arc::clone(&self.total)] {
            let permit = semaphore.acquire_owned().await;
            // The semaphores are never closed.
            share.permits.extend(permit.ok());
        }
        share
    }

    pub(super) fn watched_by(&self, name: &'static str, all: &Permits) {
        all.watch(name, self.most(), &self.total);
    }

    pub(super) fn most(&self) -> usize {
        permits(self.limits.total)
    }

    pub(super) fn taken(&self) -> usize {
        self.most().saturating_sub(self.total.available_permits())
    }

    fn empty_share(self: &Arc<Self>, caller: &Caller) -> Share {
        let (broker, user) = (caller.broker.clone(), caller.user.clone());
        Share {
            shares: Arc::clone(self),
            groups: [
                ShareGroup::User(broker.clone(), user),
                ShareGroup::Brokerage(broker),
            ],
            permits: Vec::with_capacity(3),
        }
    }

    fn semaphores(&self, groups: &[ShareGroup; 2]) -> [Arc<Semaphore>; 2] {
        let mut known = self.groups();
        groups.each_ref().map(|group| {
            let limit = match group {
                ShareGroup::User(..) => self.limits.user,
                ShareGroup::Brokerage(_) => self.limits.brokerage,
            };
            let semaphore = known.entry(group.clone());
            let semaphore = semaphore.or_insert_with(|| Arc::new(Semaphore::new(permits(limit))));
            Arc::clone(semaphore)
        })
    }

    fn groups(&self) -> MutexGuard<'_, FxHashMap<ShareGroup, Arc<Semaphore>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.permits.clear();
        let mut known = self.shares.groups();
        for group in &self.groups {
            // Permits and waiters have a reference, too.
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
            credential: std::sync::Arc::default(),
        }
    }

    fn shares() -> Arc<Shares> {
        Shares::new(ShareLimits {
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
        assert_eq!(refused.unwrap_err(), UploadLimit::User);
        let refused = shares.try_take(&caller("b", "bob"), 2);
        assert_eq!(refused.unwrap_err(), UploadLimit::Brokerage);
        let _bob = shares.try_take(&caller("b", "bob"), 1).unwrap();
        let _other = shares.try_take(&caller("c", "ann"), 2).unwrap();
        let refused = shares.try_take(&caller("d", "ann"), 2);
        assert_eq!(refused.unwrap_err(), UploadLimit::Total);
        assert_eq!(shares.taken(), 5);
        let _last = shares.try_take(&caller("d", "ann"), 1).unwrap();
    }

    #[test]
    fn a_dropped_share_is_free_again_and_no_group_stays() {
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
    fn no_more_waiters_of_one_brokerage_are_ahead_than_its_limit() {
        let shares = shares();
        let mut context = Context::from_waker(Waker::noop());
        let mut taken_by_others: Vec<_> = ["a", "b"]
            .iter()
            .flat_map(|broker| ["x", "y", "z"].map(|user| caller(broker, user)))
            .map(|caller| shares.try_take(&caller, 1).unwrap())
            .collect();
        let callers: Vec<_> = (0..50).map(|n| caller("a", &format!("u{n}"))).collect();
        let mut waiters: Vec<_> = callers.iter().map(|c| Box::pin(shares.take(c))).collect();
        for one in &mut waiters {
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        let other = caller("c", "ann");
        let mut other = pin!(shares.take(&other));
        assert!(other.as_mut().poll(&mut context).is_pending());
        // One of `b` ends: no waiter of `a` may have it, because `a` has reached its limit.
        taken_by_others.pop();
        assert!(
            waiters
                .iter_mut()
                .all(|one| one.as_mut().poll(&mut context).is_pending())
        );
        let Poll::Ready(taken) = other.as_mut().poll(&mut context) else {
            panic!("it is the first waiter");
        };
        drop((taken, taken_by_others));
        let done = waiters
            .iter_mut()
            .map(|one| one.as_mut().poll(&mut context));
        let done: Vec<_> = done.filter(Poll::is_ready).collect();
        assert_eq!(done.len(), 3, "as many as one brokerage may have");
        drop((waiters, done));
        assert_eq!((shares.taken(), shares.groups().len()), (0, 0));
    }
}
