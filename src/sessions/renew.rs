//! Gives an open stream a fresh token, at whichever instance the stream is.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::open::RenewalOutcome;
use super::{Sessions, store};
use crate::identity::Caller;

/// How long another instance may take to answer. It reads renewals at least every half second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The time before the first look at the answer; it doubles with each look.
const FIRST_LOOK: Duration = Duration::from_millis(30);
const LONGEST_LOOK: Duration = Duration::from_millis(480);

#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    #[error("you have no open stream with this id; open one with the fresh token")]
    UnknownStream,
    #[error(
        "the fresh token has other teams or another role than the stream's; the stream ends: open one \
         with the fresh token"
    )]
    Changed,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl RenewalOutcome {
    /// The outcome as the table has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Changed => "changed",
        }
    }
}

impl Sessions {
    /// Extends a stream of the caller to the end of the caller's token.
    pub async fn renew(&self, stream: Uuid, fresh: &Caller) -> Result<(), RenewalError> {
        match self.0.open.renew(stream, fresh) {
            Some(RenewalOutcome::Renewed) => Ok(()),
            Some(RenewalOutcome::Changed) => Err(RenewalError::Changed),
            None => self.renew_elsewhere(stream, fresh).await,
        }
    }

    async fn renew_elsewhere(&self, stream: Uuid, fresh: &Caller) -> Result<(), RenewalError> {
        let parts = &self.0.parts;
        let mut connection = parts.pool.acquire().await?;
        let has_peers =
            store::write_renewal(&mut connection, &parts.instance, stream, fresh).await?;
        drop(connection);
        if !has_peers {
            return Err(RenewalError::UnknownStream);
        }
        parts.peers.sessions();
        let (until, mut pause) = (Instant::now() + ANSWER_TIMEOUT, FIRST_LOOK);
        while Instant::now() < until {
            sleep(pause).await;
            pause = LONGEST_LOOK.min(pause * 2);
            let mut connection = parts.pool.acquire().await?;
            let outcome = store::renewal_outcome(&mut connection, stream, fresh).await?;
            match outcome.as_deref() {
                Some("renewed") => return Ok(()),
                Some(_) => return Err(RenewalError::Changed),
                None => {}
            }
        }
        Err(RenewalError::UnknownStream)
    }
}
