//! Limits on the number of streams: in total, and per user.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::dispatcher::Mailbox;
use super::subscription::{CloseReason, Subscription, SubscriptionId};
use crate::platform::{BrokerId, UserId};

/// A user of a brokerage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamUser {
    pub broker: BrokerId,
    pub user: UserId,
}

#[derive(Debug)]
struct OpenStream {
    mailbox: Arc<Mailbox>,
    id: SubscriptionId,
}

/// Counts streams and enforces their limits.
#[derive(Debug)]
pub struct ConnectionLimits {
    most: usize,
    most_per_user: usize,
    open: AtomicUsize,
    /// The streams of each user, the oldest first.
    users: Mutex<FxHashMap<StreamUser, VecDeque<OpenStream>>>,
}

/// The limit of all streams is reached.
#[derive(Debug)]
pub struct LimitReached;

impl ConnectionLimits {
    #[must_use]
    pub fn new(most: usize, most_per_user: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_user,
            open: AtomicUsize::new(0),
            users: Mutex::default(),
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

    /// Admits a stream. When the user has too many, the oldest is closed.
    pub fn admit(
        self: &Arc<Self>,
        user: StreamUser,
        subscription: &Subscription,
    ) -> Result<Permit, LimitReached> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(LimitReached);
        }
        let mailbox = subscription.dispatcher().mailbox();
        let id = subscription.id();
        let mut users = self.users();
        let streams = users.entry(user.clone()).or_default();
        streams.push_back(OpenStream {
            mailbox: Arc::clone(mailbox),
            id,
        });
        if streams.len() > self.most_per_user
            && let Some(oldest) = streams.pop_front()
        {
            oldest.mailbox.close(oldest.id, CloseReason::Evicted);
        }
        drop(users);
        Ok(Permit {
            limits: Arc::clone(self),
            user,
            mailbox: Arc::clone(mailbox),
            id,
        })
    }

    fn users(&self) -> MutexGuard<'_, FxHashMap<StreamUser, VecDeque<OpenStream>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The admission of one stream. Dropping it frees the place.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<ConnectionLimits>,
    user: StreamUser,
    mailbox: Arc<Mailbox>,
    id: SubscriptionId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        let mut users = self.limits.users();
        if let Some(streams) = users.get_mut(&self.user) {
            streams.retain(|stream| {
                stream.id != self.id || !Arc::ptr_eq(&stream.mailbox, &self.mailbox)
            });
            if streams.is_empty() {
                users.remove(&self.user);
            }
        }
    }
}
