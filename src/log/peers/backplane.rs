//! What carries notices between the instances, and the two tasks that use it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::listen::PeerListener;
use crate::log::hints::{PeerNotifier, PendingNotices};
use crate::platform::{BackgroundTask, Dice};

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum BackplaneError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    #[error("the connection is lost")]
    Lost,
}

/// Carries notices between the instances. It may lose them: that costs time, never an event.
pub trait Backplane: Send + Sync + 'static {
    /// The longest pause before the next attempt to receive.
    const LONGEST_PAUSE: Duration;
    /// The longest pause after notices could not be sent. Meanwhile they are collected.
    const LONGEST_SEND_PAUSE: Duration;

    /// Sends notices to the other instances. Notices that it could not send are lost.
    fn send(
        &self,
        notices: PendingNotices,
    ) -> impl Future<Output = Result<(), BackplaneError>> + Send;

    /// Passes on what the other instances send, until the connection breaks. When it begins to
    /// receive, it calls `PeerListener::missed_any`, because notices from before are lost.
    fn receive(
        &self,
        peer_listener: &PeerListener,
    ) -> impl Future<Output = Result<Infallible, BackplaneError>> + Send;
}

/// Whether notices are sent and received at the moment.
#[derive(Debug, Default)]
pub struct BackplaneState {
    /// Whether a server besides the database carries the notices.
    is_external: bool,
    sends: AtomicBool,
    receives: AtomicBool,
}

impl BackplaneState {
    #[must_use]
    pub fn new(is_external: bool) -> Self {
        Self {
            is_external,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn is_external(&self) -> bool {
        self.is_external
    }

    /// Whether this instance receives notices, and could send the last ones.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.sends.load(Ordering::Relaxed) && self.receives.load(Ordering::Relaxed)
    }

    pub(super) fn receives(&self) -> bool {
        self.receives.load(Ordering::Relaxed)
    }

    pub(super) fn set_receives(&self, receives: bool) {
        self.receives.store(receives, Ordering::Relaxed);
    }

    fn set_sends(&self, sends: bool) {
        self.sends.store(sends, Ordering::Relaxed);
    }
}

/// What the tasks of a backplane share.
#[derive(Debug)]
pub struct BackplaneParts<B> {
    pub backplane: Arc<B>,
    pub state: Arc<BackplaneState>,
    /// For the jitter of reconnects.
    pub dice: Dice,
    pub stop: CancellationToken,
}

impl<B: Backplane> BackplaneParts<B> {
    /// The task that sends what `peer_notifier` collects.
    #[must_use]
    pub fn sending(&self, peer_notifier: PeerNotifier) -> BackgroundTask {
        let (backplane, state) = (Arc::clone(&self.backplane), Arc::clone(&self.state));
        let (dice, stop) = (self.dice.clone(), self.stop.clone());
        let send = async move {
            let mut pause = FIRST_PAUSE;
            state.set_sends(true);
            loop {
                let notices = tokio::select! {
                    () = stop.cancelled() => return,
                    notices = peer_notifier.take() => notices,
                };
                let sent = backplane.send(notices).await;
                state.set_sends(sent.is_ok());
                let Err(error) = sent else {
                    pause = FIRST_PAUSE;
                    continue;
                };
                // The other instances also poll.
                tracing::debug!(%error, "notices could not be sent");
                let longest = pause.min(B::LONGEST_SEND_PAUSE);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(dice.between(longest / 2, longest)) => {}
                }
                pause = (pause * 2).min(B::LONGEST_SEND_PAUSE);
            }
        };
        BackgroundTask::new("the peer notifier", send)
    }

    /// The task that passes on what the other instances send.
    #[must_use]
    pub fn receiving(&self, peer_listener: PeerListener) -> BackgroundTask {
        let (backplane, state) = (Arc::clone(&self.backplane), Arc::clone(&self.state));
        let (dice, stop) = (self.dice.clone(), self.stop.clone());
        let receive = async move {
            let mut pause = FIRST_PAUSE;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    Err(error) = backplane.receive(&peer_listener) => {
                        tracing::debug!(%error, "the connection for notices is lost");
                    }
                }
                if state.receives() {
                    pause = FIRST_PAUSE;
                }
                state.set_receives(false);
                let jittered = dice.between(pause / 2, pause);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(jittered) => {}
                }
                pause = (pause * 2).min(B::LONGEST_PAUSE);
            }
        };
        BackgroundTask::new("the peer listener", receive)
    }
}
