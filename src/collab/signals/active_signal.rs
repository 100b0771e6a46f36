//! One signal of one user: when it is published, and when it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::log::Audience;
use crate::platform::SessionName;

/// How long a signal lasts without a renewal.
pub const SIGNAL_TTL: Duration = Duration::from_secs(6);
/// The shortest time between two events that a signal is active.
pub const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);
/// A renewal that is early by this much is published at once. So a client that renews once a second
/// is not delayed.
pub const JITTER: Duration = Duration::from_millis(50);
/// The longest expected delay between instances. A signal of another instance ends so much later,
/// because a renewal may be on its way. A start that was sent before a stop arrived is ignored for
/// so long.
pub const PEER_DELAY: Duration = Duration::from_millis(250);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignalDetails {
    pub session: Option<SessionName>,
    /// Who gets the events. Empty if there is nothing to publish to streams of this instance.
    pub audiences: Arc<[Audience]>,
}

impl SignalDetails {
    /// Whether its audiences are those who may see a record of this audience, and nobody else.
    #[must_use]
    pub fn fits(&self, audience: &Audience) -> bool {
        let may_see = |own: &Audience| match audience {
            Audience::Broker => true,
            _ => own == audience || matches!(own, Audience::User(_)),
        };
        self.audiences.contains(audience) && self.audiences.iter().all(may_see)
    }
}

/// The instance that received a signal from its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalOrigin {
    /// This instance, which sends it to the others.
    Here,
    Peer,
}

/// A start or a renewal.
#[derive(Clone, Debug)]
pub struct SignalStart {
    pub details: SignalDetails,
    pub at: Instant,
    pub origin: SignalOrigin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalEnd {
    /// The user stopped it.
    Stopped,
    /// It was not renewed, or its audience has changed.
    Expired,
}

impl SignalEnd {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "said",
            Self::Expired => "ended",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalState {
    /// It is active, and ends after this time unless it is renewed.
    Active(Duration),
    Ended(SignalEnd),
}

/// A change to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalChange {
    pub state: SignalState,
    pub details: SignalDetails,
    /// Whether to send it to the other instances.
    pub for_peers: bool,
}

#[derive(Debug)]
struct DelayedStart {
    details: SignalDetails,
    origin: SignalOrigin,
}

#[derive(Clone, Copy, Debug)]
struct SignalStop {
    at: Instant,
    origin: SignalOrigin,
}

/// One signal. It is remembered for a moment after it was stopped, so that starting and stopping it
/// in turn is not published more often.
#[derive(Debug)]
pub struct ActiveSignal {
    /// What was published last, unless that was the end.
    published: Option<SignalDetails>,
    /// When the next renewal may be published.
    next_publish: Option<Instant>,
    /// A renewal that came before `next_publish`.
    delayed: Option<DelayedStart>,
    stopped: Option<SignalStop>,
    ends_at: Instant,
}

impl ActiveSignal {
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            published: None,
            next_publish: None,
            delayed: None,
            stopped: None,
            ends_at: now,
        }
    }

    /// Starts or renews it. The change is published at once, or when [`PUBLISH_INTERVAL`] is over.
    pub fn start(&mut self, now: Instant, start: SignalStart) -> Vec<SignalChange> {
        let (extra, early) = match start.origin {
            SignalOrigin::Here => (Duration::ZERO, JITTER),
            // The other instance kept the interval. Only the delay was shorter than last time.
            SignalOrigin::Peer => (PEER_DELAY, PEER_DELAY),
        };
        if self.is_before_stop(&start) {
            return Vec::new();
        }
        self.ends_at = self.ends_at.max(start.at + SIGNAL_TTL + extra);
        let origin = match self.delayed.take() {
            Some(delayed) if delayed.origin == SignalOrigin::Here => SignalOrigin::Here,
            _ => start.origin,
        };
        self.delayed = Some(DelayedStart {
            details: start.details,
            origin,
        });
        self.publish_delayed(now, early)
    }

    /// The user stops it. The other instances get the stop even if the signal is not known here: it
    /// may have started there, and the start may be on its way.
    pub fn stop(
        &mut self,
        now: Instant,
        session: Option<SessionName>,
        origin: SignalOrigin,
    ) -> Vec<SignalChange> {
        self.delayed = None;
        self.stopped = Some(SignalStop { at: now, origin });
        self.ends_at = now;
        let for_peers = origin == SignalOrigin::Here;
        let published = self.published.take();
        if published.is_none() && !for_peers {
            return Vec::new();
        }
        let mut details = published.unwrap_or_default();
        details.session = session.or(details.session);
        vec![SignalChange {
            state: SignalState::Ended(SignalEnd::Stopped),
            details,
            for_peers,
        }]
    }

    /// The record of the signal has a new audience. If the signal was published to another one, it
    /// ends there.
    pub fn update_audience(&mut self, audience: &Audience) -> Vec<SignalChange> {
        self.delayed
            .take_if(|delayed| !delayed.details.fits(audience));
        let lost = self.published.take_if(|details| !details.fits(audience));
        lost.map(expired).into_iter().collect()
    }

    /// What is due.
    pub fn due_changes(&mut self, now: Instant) -> Vec<SignalChange> {
        if now < self.ends_at {
            return self.publish_delayed(now, Duration::ZERO);
        }
        self.delayed = None;
        let published = self.published.take();
        published.map(expired).into_iter().collect()
    }

    #[must_use]
    pub fn due_at(&self) -> Instant {
        match (&self.delayed, &self.published) {
            (Some(_), _) => self.next_publish.unwrap_or(self.ends_at),
            (None, Some(_)) => self.ends_at,
            (None, None) => {
                let after_stop = self.stopped.map(|stop| stop.at + PUBLISH_INTERVAL);
                self.next_publish.max(after_stop).unwrap_or(self.ends_at)
            }
        }
    }

    /// Whether it can be removed.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.delayed.is_none() && self.published.is_none() && self.due_at() <= now
    }

    /// The signals of one instance arrive in order. A start of another instance may have been sent
    /// before it received the stop.
    fn is_before_stop(&self, start: &SignalStart) -> bool {
        self.stopped.is_some_and(|stop| {
            let is_crossing =
                stop.origin == SignalOrigin::Here && start.origin == SignalOrigin::Peer;
            start.at
                < if is_crossing {
                    stop.at + PEER_DELAY
                } else {
                    stop.at
                }
        })
    }

    fn publish_delayed(&mut self, now: Instant, early: Duration) -> Vec<SignalChange> {
        if self.next_publish.is_some_and(|next| now + early < next) {
            return Vec::new();
        }
        let Some(DelayedStart { details, origin }) = self.delayed.take() else {
            return Vec::new();
        };
        // An event that is about in time keeps the rhythm, so that delays do not add up.
        let in_time = self.next_publish.filter(|next| now < *next + JITTER);
        self.next_publish = Some(in_time.unwrap_or(now) + PUBLISH_INTERVAL);
        let before = self.published.replace(details.clone());
        let active = SignalChange {
            state: SignalState::Active((self.ends_at - now).min(SIGNAL_TTL)),
            details: details.clone(),
            for_peers: origin == SignalOrigin::Here,
        };
        let lost = before.and_then(|before| lost_audiences(before, &details.audiences));
        lost.into_iter().chain([active]).collect()
    }
}

fn expired(details: SignalDetails) -> SignalChange {
    SignalChange {
        state: SignalState::Ended(SignalEnd::Expired),
        details,
        for_peers: false,
    }
}

/// The end of the signal for audiences that do not get it any more.
fn lost_audiences(before: SignalDetails, audiences: &[Audience]) -> Option<SignalChange> {
    let lost = before.audiences.iter();
    let lost = lost.filter(|audience| !audiences.contains(audience));
    let audiences: Arc<[Audience]> = lost.cloned().collect();
    let details = SignalDetails {
        audiences,
        ..before
    };
    (!details.audiences.is_empty()).then(|| expired(details))
}
