//! Looks whether the outbox has rows, and wakes the relay. One instance looks at a time.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RelayWaker;
use super::outbox::{self, Sighting};
use crate::platform::{BackgroundTask, DedicatedConnection, Dice, InstanceCount};

/// How long one transaction looks.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// Pause of all other instances together while one looks. If that one ends, this is about how long nobody looks.
const STANDBY_PAUSE: Duration = Duration::from_secs(1);
/// After rows have come, more are expected for this long.
const ALERT: Duration = Duration::from_mins(1);
/// Pause after a failure of the database.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct OutboxWatch {
    pub database: DedicatedConnection,
    pub waker: RelayWaker,
    /// How often it looks at an empty outbox.
    pub poll: Duration,
    pub instances: InstanceCount,
    /// Spreads the looks of the instances.
    pub dice: Dice,
    pub stop: CancellationToken,
}

impl OutboxWatch {
    #[must_use]
    pub fn start(self) -> BackgroundTask {
        BackgroundTask::new("the outbox watch", self.run())
    }

    async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.look_again_and_again() => {}
        }
    }

    async fn look_again_and_again(&mut self) {
        let mut alert_until = Instant::now();
        loop {
            let pause = match self.look(Instant::now() < alert_until).await {
                Ok(Sighting::Rows) => {
                    alert_until = Instant::now() + ALERT;
                    self.waker.wake();
                    // The relay needs time to move them.
                    self.poll
                }
                Ok(Sighting::Empty) if self.poll < LONGEST_LOOK => continue,
                Ok(Sighting::Empty) => self.poll,
                Ok(Sighting::OtherInstance) => self.instances.spread(STANDBY_PAUSE).max(self.poll),
                Err(error) => {
                    tracing::warn!(%error, "nobody could look whether the outbox has rows");
                    FAILED_PAUSE
                }
            };
            tokio::time::sleep(self.dice.between(pause, pause + pause / 8)).await;
        }
    }

    async fn look(&mut self, is_expecting: bool) -> sqlx::Result<Sighting> {
        let (every, most) = (self.poll.min(LONGEST_LOOK), LONGEST_LOOK);
        let look = async |c: &mut PgConnection| outbox::look(c, most, every, is_expecting).await;
        self.database.run(look).await
    }
}
