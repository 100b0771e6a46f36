//! What happens to a stream at a time of its own: heartbeats, the warning before its token ends, and the end.

use std::time::Duration;

use tokio::time::Instant;

use crate::fanout::TICK;
use crate::platform::SmallInstant;
use crate::stream::open::StreamRequest;
use crate::stream::{HeartbeatInterval, StreamServices};

/// One heartbeat of this many is an event, which moves the cursor of an idle client.
const HEARTBEATS_PER_EVENT: u8 = 2;

pub(super) struct StreamDeadlines {
    heartbeat: HeartbeatInterval,
    next_heartbeat: SmallInstant,
    /// Heartbeats since the last one that was an event.
    heartbeats: u8,
    /// When the client is warned, unless it has been.
    expiring_at: Option<SmallInstant>,
    expires_at: SmallInstant,
}

/// What a stream has to say now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DueText {
    /// Its token ends after this time.
    Expiring(Duration),
    Heartbeat,
    /// A heartbeat that moves the client's cursor.
    HeartbeatEvent,
}

impl StreamDeadlines {
    pub(super) fn new(services: &StreamServices, request: &StreamRequest) -> Self {
        let now = Instant::now();
        let heartbeat = request.parameters.heartbeat;
        // The first heartbeat comes at a random time, so that streams that were opened together
        // spread out.
        let interval = heartbeat.duration();
        let next_heartbeat = now + services.dice.between(interval / 2, interval);
        let expires_at = services.expires_at(now, &request.caller);
        let expiring_at = services.expiring_at(now, expires_at);
        Self {
            heartbeat,
            next_heartbeat: next_heartbeat.into(),
            heartbeats: 0,
            expiring_at: expiring_at.map(SmallInstant::from),
            expires_at: expires_at.into(),
        }
    }

    /// The stream has got a fresh token, which ends then.
    pub(super) fn renew(&mut self, expiring_at: Option<Instant>, expires_at: Instant) {
        self.expiring_at = expiring_at.map(SmallInstant::from);
        self.expires_at = expires_at.into();
    }

    pub(super) fn expires_at(&self) -> Instant {
        self.expires_at.get()
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        // The next tick would be too late.
        now + TICK >= self.expires_at.get()
    }

    /// When the stream ends at the latest.
    pub(super) fn end(&self) -> Instant {
        let expires_at = self.expires_at.get();
        expires_at.checked_sub(TICK).unwrap_or(expires_at)
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self) -> Instant {
        let next = self.next_heartbeat.get().min(self.end());
        let expiring_at = self.expiring_at.map(SmallInstant::get);
        expiring_at.map_or(next, |at| next.min(at))
    }

    /// After events, a heartbeat can wait.
    pub(super) fn put_off_heartbeat(&mut self, now: Instant, phase: u8) {
        let next = now + self.heartbeat.after_events(phase);
        self.next_heartbeat = next.into();
    }

    /// Takes what is due. The warning comes before a heartbeat.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<DueText> {
        if self.expiring_at.take_if(|at| at.get() <= now).is_some() {
            return Some(DueText::Expiring(self.expires_at.get() - now));
        }
        if self.next_heartbeat.get() > now {
            return None;
        }
        self.next_heartbeat = (now + self.heartbeat.duration()).into();
        self.heartbeats = (self.heartbeats + 1) % HEARTBEATS_PER_EVENT;
        Some(if self.heartbeats == 0 {
            DueText::HeartbeatEvent
        } else {
            DueText::Heartbeat
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadlines(now: Instant, heartbeat_seconds: u64, left_seconds: u64) -> StreamDeadlines {
        let after = |seconds| SmallInstant::from(now + Duration::from_secs(seconds));
        StreamDeadlines {
            heartbeat: HeartbeatInterval::of_seconds(16),
            next_heartbeat: after(heartbeat_seconds),
            heartbeats: 0,
            expiring_at: Some(after(left_seconds / 2)),
            expires_at: after(left_seconds),
        }
    }

    #[test]
    fn every_second_heartbeat_moves_the_cursor() {
        let now = Instant::now();
        let mut deadlines = deadlines(now, 0, 3_600);
        let mut at = now;
        for expected in [
            DueText::Heartbeat,
            DueText::HeartbeatEvent,
            DueText::Heartbeat,
        ] {
            assert_eq!(deadlines.take_due(at), Some(expected));
            assert_eq!(deadlines.take_due(at), None);
            at += Duration::from_secs(16);
            assert_eq!(deadlines.next_due(), at);
        }
    }

    #[test]
    fn after_events_a_heartbeat_is_put_off() {
        let now = Instant::now();
        let mut deadlines = deadlines(now, 0, 3_600);
        deadlines.put_off_heartbeat(now, 0);
        assert_eq!(deadlines.take_due(now), None);
        assert_eq!(deadlines.next_due(), now + Duration::from_secs(16));
    }

    #[test]
    fn a_client_is_warned_once_and_before_a_heartbeat() {
        let now = Instant::now();
        let mut deadlines = deadlines(now, 20, 40);
        assert_eq!(deadlines.next_due(), now + Duration::from_secs(20));
        let at = now + Duration::from_secs(20);
        let warning = DueText::Expiring(Duration::from_secs(20));
        assert_eq!(deadlines.take_due(at), Some(warning));
        assert_eq!(deadlines.take_due(at), Some(DueText::Heartbeat));
        assert_eq!(deadlines.take_due(at), None);
    }

    #[test]
    fn a_stream_ends_a_tick_before_its_token_unless_it_gets_a_fresh_one() {
        let now = Instant::now();
        let mut deadlines = deadlines(now, 3_600, 10);
        deadlines.expiring_at = None;
        let end = deadlines.end();
        assert_eq!(deadlines.next_due(), end);
        assert_eq!(end + TICK, deadlines.expires_at());
        assert!(deadlines.is_expired(end));
        assert!(!deadlines.is_expired(end.checked_sub(TICK).unwrap()));
        deadlines.renew(None, now + Duration::from_mins(1));
        assert!(!deadlines.is_expired(end));
    }
}
