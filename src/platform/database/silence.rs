//! Notes when a database did not answer.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

/// When a connection was last closed because the database did not answer.
///
/// The cause, such as a failover or a router that dropped its state, has probably hit the other
/// connections too. So connections that were last used before that moment are suspect.
#[derive(Clone, Debug, Default)]
pub(super) struct Silence(Arc<watch::Sender<Option<Instant>>>);

impl Silence {
    /// An operation that began at `began` got no answer in time. If it began before the last notice, it
    /// changes nothing.
    pub(super) fn notice(&self, began: Instant) {
        let is_new = self.0.send_if_modified(|noticed| {
            let is_new = noticed.is_none_or(|at| began >= at);
            if is_new {
                *noticed = Some(Instant::now());
            }
            is_new
        });
        if is_new {
            tracing::warn!(
                "the database did not answer in time: open connections may be dead and are replaced"
            );
        }
    }

    /// Whether a connection that worked at `moment` is suspect.
    pub(super) fn is_noticed_since(&self, moment: Instant) -> bool {
        self.0.borrow().is_some_and(|at| at > moment)
    }

    /// Waits until a connection that worked at `moment` is suspect.
    pub(super) async fn noticed_since(&self, moment: Instant) {
        let mut noticed = self.0.subscribe();
        let is_since = noticed.wait_for(|at| at.is_some_and(|at| at > moment));
        // The sender is our own, so it is there.
        let _ = is_since.await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_operation_that_began_before_a_notice_is_not_a_second_one() {
        let silence = Silence::default();
        let began = Instant::now() - Duration::from_secs(5);
        assert!(!silence.is_noticed_since(began));
        silence.notice(began);
        assert!(silence.is_noticed_since(began));
        let later = Instant::now();
        assert!(!silence.is_noticed_since(later));
        silence.notice(began + Duration::from_secs(4));
        assert!(!silence.is_noticed_since(later));
        silence.notice(later);
        assert!(silence.is_noticed_since(later));
    }

    #[tokio::test]
    async fn a_waiting_task_gets_the_notice() {
        let silence = Silence::default();
        let began = Instant::now() - Duration::from_secs(5);
        let mut noticed = Box::pin(silence.noticed_since(began));
        let is_early = tokio::time::timeout(Duration::ZERO, &mut noticed).await;
        assert!(is_early.is_err());
        silence.notice(began);
        noticed.await;
        silence.noticed_since(began).await;
    }
}
