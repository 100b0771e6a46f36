//! The stream's own events while it runs: reset, heartbeat, warning before the end, closing.

use bytes::Bytes;
use tokio::time::Instant;

use super::LogStream;
use super::deadlines::DueText;
use crate::fanout::CloseReason;
use crate::log::Cursor;
use crate::stream::resume::{ResetReason, reset_data};
use crate::stream::wire;

impl LogStream {
    /// The cursor cannot be served. The stream continues at `to`, and shows what is locked there: it has skipped events
    /// that changed it.
    pub(super) fn reset(&mut self, reason: ResetReason, to: &Cursor) -> Bytes {
        self.services
            .metrics
            .resets
            .get_or_create(&[("reason", reason.as_str())])
            .inc();
        self.reader.figures().resets.add(1);
        let data = reset_data(reason, to, &self.scope);
        self.place.go_to(to);
        let mut text = wire::control(self.encoding.named, &data, Some(to));
        self.add_locks(&mut text);
        let text = self.encoded(&text);
        self.unsent.put(text);
        self.unsent.take_part().unwrap_or_default()
    }

    /// A warning before the token ends, or a heartbeat, if one is due.
    pub(super) fn due_text(&mut self, now: Instant) -> Option<Bytes> {
        let named = self.encoding.named;
        Some(match self.deadlines.take_due(now)? {
            DueText::Expiring(left) => self.encoded(&wire::expiring(named, left)),
            DueText::Heartbeat => self.encoded(wire::HEARTBEAT),
            DueText::HeartbeatEvent => self.encoded(&wire::heartbeat(named, &self.place.cursor())),
        })
    }

    /// The stream has got a fresh token, which ends then.
    pub(super) fn renew(&mut self, expires_at: Instant) -> Bytes {
        let now = Instant::now();
        let expiring_at = self.services.expiring_at(now, expires_at);
        self.deadlines.renew(expiring_at, expires_at);
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
