//! The stream's own events while it runs: reset, heartbeat, warning before the end, closing.

use bytes::Bytes;
use tokio::time::Instant;

use super::LogStream;
use crate::fanout::CloseReason;
use crate::log::Cursor;
use crate::platform::SmallInstant;
use crate::stream::resume::{ResetReason, reset_data};
use crate::stream::wire;

/// One heartbeat of this many is an event, which moves the cursor of an idle client.
const HEARTBEATS_PER_EVENT: u8 = 2;

impl LogStream {
    /// The cursor cannot be served. The stream continues at `to`.
    pub(super) fn reset(&mut self, reason: ResetReason, to: &Cursor) -> Bytes {
        self.services
            .metrics
            .resets
            .get_or_create(&[("reason", reason.as_str())])
            .inc();
        self.reader.figures().resets.add(1);
        let data = reset_data(reason, to, &self.scope);
        self.cursor = to.position;
        if let Some(epoch) = &to.epoch {
            self.epoch = epoch.clone();
        }
        self.encoded(&wire::control(self.encoding.named, &data, Some(to)))
    }

    /// A warning before the token ends, or a heartbeat, if one is due.
    pub(super) fn due_text(&mut self, now: Instant) -> Option<Bytes> {
        let named = self.encoding.named;
        if self.expiring_at.is_some_and(|at| at.get() <= now) {
            self.expiring_at = None;
            return Some(self.encoded(&wire::expiring(named, self.expires_at.get() - now)));
        }
        if self.next_heartbeat.get() > now {
            return None;
        }
        self.next_heartbeat = (now + self.heartbeat.duration()).into();
        self.heartbeats = (self.heartbeats + 1) % HEARTBEATS_PER_EVENT;
        Some(if self.heartbeats == 0 {
            self.encoded(&wire::heartbeat(named, &self.epoch.at(self.cursor)))
        } else {
            self.encoded(wire::HEARTBEAT)
        })
    }

    /// The stream has got a fresh token, which ends then.
    pub(super) fn renew(&mut self, expires_at: Instant) -> Bytes {
        let now = Instant::now();
        self.expires_at = expires_at.into();
        let expiring_at = self.services.expiring_at(now, expires_at);
        self.expiring_at = expiring_at.map(SmallInstant::from);
        let left = expires_at.saturating_duration_since(now);
        self.encoded(&wire::renewed(self.encoding.named, left))
    }

    pub(super) fn close(&mut self, reason: CloseReason) -> Bytes {
        self.ended = Some(reason);
        let services = &self.services;
        services.count_closed(self.reader.figures(), reason);
        let dispatcher = self.reader.subscription().dispatcher();
        let retry = services.retry_after_end(dispatcher, reason);
        self.encoded(&wire::closing(self.encoding.named, reason, retry))
    }

    fn encoded(&self, text: &str) -> Bytes {
        wire::encoded(self.encoding, text)
    }
}
