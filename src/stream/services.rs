//! The parts of the service that streams use, and what they ask of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::StreamSettings;
use super::log::StreamLine;
use super::wire::{RETRY_FLOOR, RETRY_USUAL};
use crate::collab::{LockSnapshotLoader, Presence};
use crate::directory::{Brokerages, LookupError, Member, StreamAddress, StreamWatch};
use crate::fanout::{
    CloseReason, ConnectionLimits, Dispatcher, LogHandle, ReplayLoader, Subscription,
};
use crate::identity::Caller;
use crate::platform::{
    ArrivalRush, BrokerId, BrokerageFigures, Clock, Dice, Figures, LineLimit, Metrics, Pool,
};
use crate::sessions::Sessions;

/// The client of a stream that gave way to a newer one, or that an admin ended, comes back within this time.
const EVICTED_RETRY: Duration = Duration::from_mins(4);

/// The parts of the service that streams use.
pub struct StreamServices {
    pub log_handle: LogHandle,
    /// Looks up the callers' brokerages, if the service is configured to.
    pub brokerages: Option<Brokerages>,
    pub presence: Presence,
    pub sessions: Sessions,
    pub replay_loader: ReplayLoader,
    pub locks: LockSnapshotLoader,
    /// For cursors that are not in memory.
    pub pool: Pool,
    /// The connections of the background tasks, which streams depend on.
    pub core: Pool,
    pub connection_limits: Arc<ConnectionLimits>,
    pub metrics: Arc<Metrics>,
    pub figures: Figures,
    pub dice: Dice,
    /// Tells whether many clients arrive at the moment.
    pub rush: ArrivalRush,
    /// For the expiry of tokens.
    pub clock: Clock,
    /// Limits the log lines about streams.
    pub line_limit: Arc<LineLimit<StreamLine>>,
    pub settings: StreamSettings,
}

impl StreamServices {
    /// Whether new streams could not be served: revocations cannot be read, or the background tasks get no connections to
    /// the database.
    #[must_use]
    pub fn are_unavailable(&self) -> bool {
        self.sessions.is_unavailable() || self.core.is_short()
    }

    /// Ends the stream, or the wait of a request, when the user's brokerage changes, if it was looked up.
    #[must_use]
    pub fn watch(
        &self,
        member: Option<Member>,
        broker: &BrokerId,
        subscription: &Subscription,
    ) -> Option<StreamWatch> {
        let at = StreamAddress {
            mailbox: Arc::clone(subscription.dispatcher().mailbox()),
            subscription: subscription.id(),
        };
        let brokerages = self.brokerages.as_ref()?;
        Some(brokerages.watch(member?, broker.clone(), at))
    }

    /// The brokerage of a caller now, if it was looked up and has changed. The answer is cached.
    pub async fn moved_to(
        &self,
        member: Option<&Member>,
        broker: &BrokerId,
    ) -> Result<Option<BrokerId>, LookupError> {
        let (Some(brokerages), Some(member)) = (&self.brokerages, member) else {
            return Ok(None);
        };
        let now = brokerages.find(member).await?;
        Ok(Some(now).filter(|now| now != broker))
    }

    /// When the stream, or the wait, of a caller ends with the token.
    #[must_use]
    pub fn expires_at(&self, now: Instant, caller: &Caller) -> Instant {
        let left = Duration::try_from(caller.expires_at - self.clock.now());
        now + left.unwrap_or_default()
    }

    /// When the stream of a token is to be warned of its end.
    #[must_use]
    pub fn expiring_at(&self, now: Instant, expires_at: Instant) -> Option<Instant> {
        let left = expires_at.saturating_duration_since(now);
        expires_at.checked_sub(self.settings.expiring_notice().min(left / 2))
    }

    /// Clients that cannot be served now come back spread over this window.
    #[must_use]
    pub fn retry_spread(&self) -> Duration {
        self.settings.drain_spread().max(RETRY_USUAL)
    }

    /// When the client of a stream that ends is to come back.
    #[must_use]
    pub fn retry_after_end(&self, dispatcher: &Dispatcher, reason: CloseReason) -> Duration {
        let spread = match (dispatcher.draining(), reason) {
            (Some(spread), _) => spread.max(RETRY_FLOOR),
            // All streams end at once, and their clients must not come back at once.
            (None, CloseReason::Unavailable) => self.retry_spread(),
            // Tabs that take each other's places must not do so all the time, and an admin must see an effect.
            (None, CloseReason::Evicted | CloseReason::Disconnected) => {
                return self.dice.between(EVICTED_RETRY / 2, EVICTED_RETRY);
            }
            (None, _) => RETRY_USUAL,
        };
        self.dice.between(RETRY_FLOOR, spread)
    }
    /// Counts a stream that has been opened. It is in `streams_open` until it is dropped.
    pub fn count_opened(&self, figures: &BrokerageFigures) {
        self.metrics.streams_open.inc();
        self.metrics.streams_opened.inc();
        figures.opened.add(1);
    }

    /// Counts a stream that the service has ended.
    pub fn count_closed(&self, figures: &BrokerageFigures, reason: CloseReason) {
        self.count_refused(reason);
        figures.closed.add(reason.as_str());
    }

    /// Counts a stream that ends at once.
    pub fn count_refused(&self, reason: CloseReason) {
        let closed = &self.metrics.streams_closed;
        closed.get_or_create(&[("reason", reason.as_str())]).inc();
    }
}
