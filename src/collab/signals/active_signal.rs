//! One signal of one user: when it is told, and when it is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::log::Audience;
use crate::platform::SessionName;

/// How long a signal goes on without being renewed.
pub const LASTS: Duration = Duration::from_secs(6);
/// Between two tellings that it goes on.
pub const PAUSE: Duration = Duration::from_secs(1);
/// What a renewal may be early or late: who renews once a second is not made to wait.
pub const JITTER: Duration = Duration::from_millis(50);
/// What instances may be apart: a renewal on its way is waited for that much longer, and
/// one that was on its way while the signal was stopped is no new one.
pub const SLACK: Duration = Duration::from_millis(250);

/// Who says it, and whom it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub session: Option<SessionName>,
    /// Whoever may hear it; nobody where there is nothing to tell here.
    pub topics: Arc<[Audience]>,
}

impl Said {
    /// Whether it is told to those who see a record that is shown to `audience`, and to nobody else.
    #[must_use]
    pub fn fits(&self, audience: &Audience) -> bool {
        let sees = |topic: &Audience| match audience {
            Audience::Broker => true,
            _ => topic == audience || matches!(topic, Audience::User(_)),
        };
        self.topics.contains(audience) && self.topics.iter().all(sees)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalOrigin {
    /// To this instance, which tells the others.
    Here,
    Elsewhere,
}

/// A start, or a renewal.
#[derive(Clone, Debug)]
pub struct SignalStart {
    pub said: Said,
    pub at: Instant,
    pub place: SignalOrigin,
}

/// Why a signal is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Said,
    Ended,
}

impl Reason {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Said => "said",
            Self::Ended => "ended",
        }
    }
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalState {
    /// It goes on, and is over after this unless it is renewed.
    Goes(Duration),
    Over(Reason),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalChange {
    pub news: SignalState,
    pub said: Said,
    /// Whether the other instances have to be told, too.
    pub is_spoken: bool,
}

/// One signal. It is also remembered for a moment after it was stopped, so that it is not
/// told again and again by starting and stopping it.
#[derive(Debug)]
pub struct ActiveSignal {
    /// What was told last, unless its end was.
    told: Option<Said>,
    /// When it is the turn of the next telling that it goes on.
    turn: Option<Instant>,
    /// What came too soon after that and will be told.
    held: Option<(Said, SignalOrigin)>,
    stopped: Option<(Instant, SignalOrigin)>,
    ends_at: Instant,
}

impl ActiveSignal {
    /// A signal of which nothing is known yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            told: None,
            turn: None,
            held: None,
            stopped: None,
            ends_at: now,
        }
    }

    /// It begins or goes on: told at once, or when a second is over since it was told.
    pub fn start(&mut self, now: Instant, start: SignalStart) -> Vec<SignalChange> {
        let (slack, early) = match start.place {
            SignalOrigin::Here => (Duration::ZERO, JITTER),
            // The other one saw to the pause; only the way was shorter than last time.
            SignalOrigin::Elsewhere => (SLACK, SLACK),
        };
        if self.is_older_than_its_stop(&start) {
            return Vec::new();
        }
        self.ends_at = self.ends_at.max(start.at + LASTS + slack);
        let place = match self.held.take() {
            Some((_, SignalOrigin::Here)) => SignalOrigin::Here,
            _ => start.place,
        };
        self.held = Some((start.said, place));
        self.tell_held(now, early)
    }

    /// Its user says that it is over. The others are told even if nothing goes on here: it
    /// may have begun there, and the word of it be on its way.
    pub fn stop(
        &mut self,
        now: Instant,
        session: Option<SessionName>,
        place: SignalOrigin,
    ) -> Vec<SignalChange> {
        self.held = None;
        self.stopped = Some((now, place));
        self.ends_at = now;
        let is_spoken = place == SignalOrigin::Here;
        let told = self.told.take();
        if told.is_none() && !is_spoken {
            return Vec::new();
        }
        let mut said = told.unwrap_or_default();
        said.session = session.or(said.session);
        let news = SignalState::Over(Reason::Said);
        vec![SignalChange {
            news,
            said,
            is_spoken,
        }]
    }

    /// The record that it is about is shown to `audience` from now on. Whoever was told hears that it is
    /// over, unless those are the ones who see the record.
    pub fn show(&mut self, audience: &Audience) -> Vec<SignalChange> {
        self.held.take_if(|(said, _)| !said.fits(audience));
        let told = self.told.take_if(|said| !said.fits(audience));
        told.map(over).into_iter().collect()
    }

    /// What is to be told by now.
    pub fn tick(&mut self, now: Instant) -> Vec<SignalChange> {
        if now < self.ends_at {
            return self.tell_held(now, Duration::ZERO);
        }
        self.held = None;
        let told = self.told.take();
        told.map(over).into_iter().collect()
    }

    #[must_use]
    pub fn next(&self) -> Instant {
        match (&self.held, &self.told) {
            (Some(_), _) => self.turn.unwrap_or(self.ends_at),
            (None, Some(_)) => self.ends_at,
            (None, None) => {
                let after_stop = self.stopped.map(|(at, _)| at + PAUSE);
                self.turn.max(after_stop).unwrap_or(self.ends_at)
            }
        }
    }

    /// Whether there is nothing left to remember.
    #[must_use]
    pub fn is_forgotten(&self, now: Instant) -> bool {
        self.held.is_none() && self.told.is_none() && self.next() <= now
    }

    /// What one instance says comes in order. What another one says may have been on its way
    /// while the signal was stopped here.
    fn is_older_than_its_stop(&self, start: &SignalStart) -> bool {
        self.stopped.is_some_and(|(at, place)| {
            let is_crossing = (place, start.place) == (SignalOrigin::Here, SignalOrigin::Elsewhere);
            start.at < if is_crossing { at + SLACK } else { at }
        })
    }

    fn tell_held(&mut self, now: Instant, early: Duration) -> Vec<SignalChange> {
        if self.turn.is_some_and(|turn| now + early < turn) {
            return Vec::new();
        }
        let Some((said, place)) = self.held.take() else {
            return Vec::new();
        };
        // Whoever is about in time keeps the turn, so that delays do not add up.
        let turn = self.turn.filter(|turn| now < *turn + JITTER);
        self.turn = Some(turn.unwrap_or(now) + PAUSE);
        let before = self.told.replace(said.clone());
        let goes = SignalChange {
            news: SignalState::Goes((self.ends_at - now).min(LASTS)),
            said: said.clone(),
            is_spoken: place == SignalOrigin::Here,
        };
        let lost = before.and_then(|before| without(before, &said.topics));
        lost.into_iter().chain([goes]).collect()
    }
}

fn over(said: Said) -> SignalChange {
    SignalChange {
        news: SignalState::Over(Reason::Ended),
        said,
        is_spoken: false,
    }
}

/// To those who may hear of it no longer, it is over.
fn without(before: Said, topics: &[Audience]) -> Option<SignalChange> {
    let lost = before.topics.iter().filter(|topic| !topics.contains(topic));
    let topics: Arc<[Audience]> = lost.cloned().collect();
    let said = Said { topics, ..before };
    (!said.topics.is_empty()).then(|| over(said))
}
