//! Streams whose brokerage was looked up. They end when the answer changes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use rustc_hash::FxHashMap;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Brokerages, ForgetRequest, MOST_AT_ONCE, Member};
use crate::fanout::SubscriptionId;
use crate::fanout::{CloseReason, Mailbox};
use crate::platform::BrokerId;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The time between a lookup that failed and the next one.
const RETRY: Duration = Duration::from_secs(1);
/// How long a stream stays open after its answer has expired, while lookups fail.
const CONFIRM_WITHIN: Duration = Duration::from_secs(30);

/// Where to send the request that a stream ends.
#[derive(Clone, Debug)]
pub struct StreamAddress {
    /// The mailbox of the stream's worker thread.
    pub mailbox: Arc<Mailbox>,
    pub subscription: SubscriptionId,
}

impl StreamAddress {
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.subscription == other.subscription && Arc::ptr_eq(&self.mailbox, &other.mailbox)
    }
}

/// The answer that a stream was opened with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Membership {
    member: Member,
    broker: BrokerId,
}

struct WatchedMembership {
    /// When it is looked up again.
    due_at: Instant,
    /// When the last answer that confirmed it expires.
    confirmed_until: Instant,
    streams: Vec<StreamAddress>,
}

#[derive(Default)]
pub(super) struct WatchedStreams(FxHashMap<Membership, WatchedMembership>);

impl WatchedStreams {
    /// Forgotten answers are looked up again at once.
    pub(super) fn forget(&mut self, what: &ForgetRequest, now: Instant) {
        for (membership, watched) in &mut self.0 {
            if what.matches(&membership.member) {
                watched.due_at = now;
            }
        }
    }

    fn due(&self, now: Instant) -> Vec<Membership> {
        let due = self.0.iter().filter(|(_, watched)| watched.due_at <= now);
        due.map(|(membership, _)| membership.clone()).collect()
    }

    fn confirm(&mut self, membership: &Membership, until: Instant) {
        if let Some(watched) = self.0.get_mut(membership) {
            watched.due_at = until;
            watched.confirmed_until = until;
        }
    }

    /// A lookup has failed. Returns whether the streams must end.
    fn postpone(&mut self, membership: &Membership, now: Instant) -> bool {
        let Some(watched) = self.0.get_mut(membership) else {
            return false;
        };
        watched.due_at = now + RETRY;
        now >= watched.confirmed_until + CONFIRM_WITHIN
    }
}

/// Watches one stream until it is dropped.
pub struct StreamWatch {
    brokerages: Brokerages,
    membership: Membership,
    stream: StreamAddress,
}

impl Drop for StreamWatch {
    fn drop(&mut self) {
        let mut state = self.brokerages.state();
        let streams = &mut state.streams.0;
        if let Some(watched) = streams.get_mut(&self.membership) {
            watched.streams.retain(|other| !other.is(&self.stream));
            if watched.streams.is_empty() {
                streams.remove(&self.membership);
            }
        }
    }
}

impl Brokerages {
    /// Ends a stream when `member` does not belong to `broker` any more.
    #[must_use]
    pub fn watch(&self, member: Member, broker: BrokerId, stream: StreamAddress) -> StreamWatch {
        let now = Instant::now();
        let mut state = self.state();
        let cached = state.cache.get(&member, now);
        let cached = cached.filter(|answer| answer.broker.as_ref() == Some(&broker));
        let membership = Membership { member, broker };
        // An answer that has expired in the meantime is checked soon.
        let until = cached.map_or(now, |answer| answer.until);
        let watched = state.streams.0.entry(membership.clone());
        let watched = watched.or_insert_with(|| WatchedMembership {
            due_at: until,
            confirmed_until: until,
            streams: Vec::new(),
        });
        watched.streams.push(stream.clone());
        drop(state);
        StreamWatch {
            brokerages: self.clone(),
            membership,
            stream,
        }
    }

    pub(super) async fn run_checks(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.forgotten.notified() => {}
                () = sleep(CHECK_INTERVAL) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.check_due() => {}
            }
        }
    }

    async fn check_due(&self) {
        let due = self.state().streams.due(Instant::now());
        let checks = stream::iter(due);
        checks
            .for_each_concurrent(MOST_AT_ONCE, |membership| self.check(membership))
            .await;
    }

    async fn check(&self, membership: Membership) {
        match self.answer(&membership.member).await {
            Ok(answer) if answer.broker.as_ref() == Some(&membership.broker) => {
                self.state().streams.confirm(&membership, answer.until);
            }
            // As with an expired token, the right to these streams has ended.
            Ok(_) => self.end(&membership, CloseReason::Expired),
            Err(_) => {
                let must_end = self.state().streams.postpone(&membership, Instant::now());
                if must_end {
                    self.end(&membership, CloseReason::Unavailable);
                }
            }
        }
    }

    fn end(&self, membership: &Membership, reason: CloseReason) {
        let ended = self.state().streams.0.remove(membership);
        for stream in ended.into_iter().flat_map(|watched| watched.streams) {
            stream.mailbox.close(stream.subscription, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_checked_when_their_answer_is_old_or_forgotten() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let membership = |user: &str| Membership {
            member: Member {
                user: user.parse().unwrap(),
                team: None,
            },
            broker: "b".parse().unwrap(),
        };
        let (ann, bob) = (membership("ann"), membership("bob"));
        let mut streams = WatchedStreams::default();
        for (one, until) in [(&ann, now + second), (&bob, now + 9 * second)] {
            let watched = WatchedMembership {
                due_at: until,
                confirmed_until: until,
                streams: Vec::new(),
            };
            streams.0.insert(one.clone(), watched);
        }
        assert_eq!(streams.due(now), []);
        assert_eq!(streams.due(now + second), std::slice::from_ref(&ann));
        streams.confirm(&ann, now + 2 * second);
        assert_eq!(streams.due(now + second), []);
        streams.forget(&ForgetRequest::parse(r#"{"user":"bob"}"#), now);
        assert_eq!(streams.due(now), std::slice::from_ref(&bob));
        // While the query fails, they stay open for a limited time.
        let later = now + 9 * second;
        assert!(!streams.postpone(&bob, later));
        assert_eq!(streams.due(later + RETRY).len(), 2);
        assert!(!streams.postpone(&bob, later + CONFIRM_WITHIN - second));
        assert!(streams.postpone(&bob, later + CONFIRM_WITHIN));
    }
}
