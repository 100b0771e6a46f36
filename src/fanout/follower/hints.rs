//! Hints that come together lead to one read.

use tokio::time::Instant;

use crate::log::{ChangeHints, Changes};

/// The hints at this moment, or the next ones after it.
pub(super) async fn hints_from(hints: &ChangeHints, moment: Instant) -> Changes {
    if Instant::now() < moment {
        tokio::time::sleep_until(moment).await;
    }
    hints.take().await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::platform::BrokerId;

    #[tokio::test]
    async fn hints_that_come_during_the_pause_lead_to_one_read() {
        let (hints, broker) = (ChangeHints::default(), BrokerId::parse("b").unwrap());
        let moment = Instant::now() + Duration::from_millis(20);
        hints.grown(&broker, 1);
        let (changes, ()) = tokio::join!(hints_from(&hints, moment), async {
            tokio::task::yield_now().await;
            hints.grown(&broker, 2);
        });
        assert!(Instant::now() >= moment);
        assert_eq!(changes.heads[&broker], 2);
    }
}
