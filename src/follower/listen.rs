//! Hearing the other instances. The line may go dead at any time; then everything is
//! looked at again once it is back.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::announce::{CHANNEL, parse};
use crate::clock::Dice;
use crate::hints::HintBoard;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the listener needs.
#[derive(Debug)]
pub struct ListenerParts {
    /// The database.
    pub pool: PgPool,
    /// Where hints go.
    pub hints: HintBoard,
    /// This instance's name: its own announcements are old news.
    pub instance: String,
    /// For the jitter of reconnects.
    pub dice: Dice,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Listens until it is stopped.
pub async fn run(parts: ListenerParts) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            () = parts.stop.cancelled() => return,
            heard = listen(&parts, &mut pause) => if let Err(error) = heard {
                tracing::debug!(%error, "not listening for hints");
            },
        }
        let jittered = parts.dice.between(pause / 2, pause);
        tokio::select! {
            () = parts.stop.cancelled() => return,
            () = tokio::time::sleep(jittered) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn listen(parts: &ListenerParts, pause: &mut Duration) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(&parts.pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    *pause = FIRST_PAUSE;
    // Whatever was announced while nobody listened.
    parts.hints.anything();
    while let Some(note) = listener.try_recv().await? {
        for (broker, head) in parse(&parts.instance, note.payload()).unwrap_or_default() {
            parts.hints.grown(&broker, head);
        }
    }
    Ok(())
}
