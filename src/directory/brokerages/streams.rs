//! Streams that were opened with a looked-up brokerage: they end when it has changed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use rustc_hash::FxHashMap;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Brokerages, Forget, MOST_AT_ONCE, Member};
use crate::fanout::SubscriptionId;
use crate::fanout::{CloseReason, Mailbox};
use crate::platform::BrokerId;

/// How often it is looked which streams are to be checked.
const ROUND: Duration = Duration::from_secs(1);
/// After a lookup that failed, the next one waits so long.
const RETRY: Duration = Duration::from_secs(1);
/// An answer that is too old and cannot be checked counts so much longer.
const CONFIRM_WITHIN: Duration = Duration::from_secs(30);

/// Where a stream is told that it must end.
#[derive(Clone, Debug)]
pub struct StreamAt {
    /// The mailbox of its worker thread.
    pub mailbox: Arc<Mailbox>,
    pub subscription: SubscriptionId,
}

impl StreamAt {
    fn is(&self, other: &Self) -> bool {
        self.subscription == other.subscription && Arc::ptr_eq(&self.mailbox, &other.mailbox)
    }
}

/// What a stream relies on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Membership {
    member: Member,
    broker: BrokerId,
}

struct Watched {
    /// When it is to be looked up again.
    due_at: Instant,
    /// Up to then it was known to be true.
    known_until: Instant,
    streams: Vec<StreamAt>,
}

/// Open streams by what they rely on.
#[derive(Default)]
pub(super) struct WatchedStreams(FxHashMap<Membership, Watched>);

impl WatchedStreams {
    /// What is forgotten is to be looked up again now.
    pub(super) fn forget(&mut self, what: &Forget, now: Instant) {
        for (membership, watched) in &mut self.0 {
            if what.is_about(&membership.member) {
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
            (watched.due_at, watched.known_until) = (until, until);
        }
    }

    /// A lookup has failed; says whether these streams have waited long enough.
    fn postpone(&mut self, membership: &Membership, now: Instant) -> bool {
        let Some(watched) = self.0.get_mut(membership) else {
            return false;
        };
        watched.due_at = now + RETRY;
        now >= watched.known_until + CONFIRM_WITHIN
    }
}

/// Held by a stream for as long as it is open.
pub struct StreamWatch {
    brokerages: Brokerages,
    membership: Membership,
    at: StreamAt,
}

impl Drop for StreamWatch {
    fn drop(&mut self) {
        let mut state = self.brokerages.state();
        let streams = &mut state.streams.0;
        if let Some(watched) = streams.get_mut(&self.membership) {
            watched.streams.retain(|stream| !stream.is(&self.at));
            if watched.streams.is_empty() {
                streams.remove(&self.membership);
            }
        }
    }
}

impl Brokerages {
    /// A stream has been opened because `member` belongs to `broker`: it ends when that changes.
    #[must_use]
    pub fn watch(&self, member: Member, broker: BrokerId, at: StreamAt) -> StreamWatch {
        let now = Instant::now();
        let mut state = self.state();
        let known = state.cache.get(&member, now);
        let known = known.filter(|answer| answer.broker.as_ref() == Some(&broker));
        let membership = Membership { member, broker };
        // What is not known any more is checked with the next round.
        let until = known.map_or(now, |answer| answer.until);
        let watched = state.streams.0.entry(membership.clone());
        let watched = watched.or_insert_with(|| Watched {
            due_at: until,
            known_until: until,
            streams: Vec::new(),
        });
        watched.streams.push(at.clone());
        drop(state);
        StreamWatch {
            brokerages: self.clone(),
            membership,
            at,
        }
    }

    /// Checks streams until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.changed.notified() => {}
                () = sleep(ROUND) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    async fn round(&self) {
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
            // The right to these streams has ended, as that of a token does.
            Ok(_) => self.end(&membership, CloseReason::Expired),
            Err(_) => {
                let is_over = self.state().streams.postpone(&membership, Instant::now());
                if is_over {
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
            let watched = Watched {
                due_at: until,
                known_until: until,
                streams: Vec::new(),
            };
            streams.0.insert(one.clone(), watched);
        }
        assert_eq!(streams.due(now), []);
        assert_eq!(streams.due(now + second), std::slice::from_ref(&ann));
        streams.confirm(&ann, now + 2 * second);
        assert_eq!(streams.due(now + second), []);
        streams.forget(&Forget::parse(r#"{"user":"bob"}"#), now);
        assert_eq!(streams.due(now), std::slice::from_ref(&bob));
        // While the query fails, they go on for a stated time.
        let later = now + 9 * second;
        assert!(!streams.postpone(&bob, later));
        assert_eq!(streams.due(later + RETRY).len(), 2);
        assert!(!streams.postpone(&bob, later + CONFIRM_WITHIN - second));
        assert!(streams.postpone(&bob, later + CONFIRM_WITHIN));
    }
}
