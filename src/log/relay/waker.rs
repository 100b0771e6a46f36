//! Wakes the relay after a commit that wrote to the outbox, before its next poll.

use std::sync::Arc;

use tokio::sync::Notify;

/// A hint that the outbox has rows. A lost hint costs one poll interval.
#[derive(Clone, Debug, Default)]
pub struct RelayWaker(Arc<Notify>);

impl RelayWaker {
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits for a call of `wake` since the last wait.
    pub(super) async fn woken(&self) {
        self.0.notified().await;
    }
}
