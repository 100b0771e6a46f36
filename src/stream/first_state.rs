//! The state of its brokerage that a stream shows before any event: who is present, and what is locked.

use super::resume::StreamStart;
use super::{Filter, StreamServices, presence};
use crate::collab::{LOCK_SNAPSHOT_TYPE, LockSnapshotAnswer, PresenceError, PresenceGuard};
use crate::fanout::Reader;
use crate::identity::Caller;

/// The state of its brokerage that a stream shows first.
pub struct FirstState {
    /// Keeps the user present.
    pub attendance: PresenceGuard,
    /// The data of the snapshot of presence, unless the filter leaves it out.
    pub presence: Option<String>,
    /// The first ephemeral event after the snapshot. `None`: there is no state yet, because many clients arrive.
    pub next_ephemeral: Option<u64>,
    /// The snapshot of locks, unless the filter leaves it out.
    pub locks: Option<LockSnapshotAnswer>,
}

/// What decides about the first state.
pub(super) struct FirstView<'a> {
    pub(super) caller: &'a Caller,
    pub(super) reader: &'a Reader,
    pub(super) filter: &'a Filter,
    pub(super) start: &'a StreamStart,
}

impl FirstView<'_> {
    pub(super) async fn state(
        &self,
        services: &StreamServices,
    ) -> Result<FirstState, PresenceError> {
        // A client that missed events gets them at once.
        if services.rush.arrive() && self.is_at_head() {
            return self.later(services).await;
        }
        let attendance = services.presence.stream_opened(self.caller).await?;
        let view = presence::view(self.reader, self.filter);
        let snapshot = services.presence.snapshot(self.reader.broker(), &view);
        let snapshot = snapshot.await?;
        // The snapshot is requested after the start is known. Changes after the snapshot are events.
        let asks_for_locks = self.filter.passes_type(LOCK_SNAPSHOT_TYPE);
        let at = self.start.epoch.at(self.start.position);
        let locks = asks_for_locks.then(|| services.locks.load(self.reader.broker(), &at));
        Ok(FirstState {
            attendance,
            presence: presence::snapshot(&snapshot.people, self.filter),
            next_ephemeral: Some(snapshot.next),
            locks,
        })
    }

    fn is_at_head(&self) -> bool {
        self.start.reset.is_none() && self.start.position >= self.reader.log_head().1
    }

    async fn later(&self, services: &StreamServices) -> Result<FirstState, PresenceError> {
        let attendance = services.presence.stream_arrived(self.caller).await?;
        self.reader.subscription().wait_for_others();
        Ok(FirstState {
            attendance,
            presence: None,
            next_ephemeral: None,
            locks: None,
        })
    }
}
