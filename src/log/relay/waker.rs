//! The relay's bell: who has just committed something for the outbox need not wait for its
//! next look.

use std::sync::Arc;

use tokio::sync::Notify;

/// Rung by whoever knows that there is something. A hint: a ring that is lost costs time.
#[derive(Clone, Debug, Default)]
pub struct RelayWaker(Arc<Notify>);

impl RelayWaker {
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits until it was rung since it was last waited for.
    pub(super) async fn rung(&self) {
        self.0.notified().await;
    }
}
