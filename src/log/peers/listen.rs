//! Hearing the other instances. The line may go dead at any time; then everything is
//! looked at again once it is back.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgNotification;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::notify::{head, lines, task};
use super::{BROKERS, LOGS, PRESENCE, SIGNALS, TASKS};
use crate::log::hints::{ChangeHints, TaskHints};
use crate::platform::Dice;
use crate::platform::Pool;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Whom the listener tells what it hears.
#[derive(Clone, Debug)]
pub struct PeerListener {
    pub logs: ChangeHints,
    /// Woken when presence has changed elsewhere.
    pub presence: Arc<Notify>,
    /// Where hints for readers of output go.
    pub tasks: TaskHints,
    /// Where signals go; what does not fit is given up.
    pub signals: mpsc::Sender<String>,
    /// What forgets brokerages, where they are looked up.
    pub memberships: Option<Arc<dyn MembershipListener>>,
}

/// Learns that users have moved between brokerages.
pub trait MembershipListener: std::fmt::Debug + Send + Sync {
    /// A notice came from the database.
    fn changed(&self, notice: &str);
    /// Notices may have been missed.
    fn missed(&self);
}

#[derive(Debug)]
pub struct ListenerParts {
    pub pool: Pool,
    pub peer_listener: PeerListener,
    /// This instance's name: its own announcements are old news.
    pub instance: String,
    /// For the jitter of reconnects.
    pub dice: Dice,
    pub stop: CancellationToken,
}

/// Listens until it is stopped.
pub async fn run(parts: ListenerParts) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            () = parts.stop.cancelled() => return,
            Err(error) = listen(&parts, &mut pause) => {
                tracing::debug!(%error, "not listening for hints");
            }
        }
        let jittered = parts.dice.between(pause / 2, pause);
        tokio::select! {
            () = parts.stop.cancelled() => return,
            () = tokio::time::sleep(jittered) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn listen(parts: &ListenerParts, pause: &mut Duration) -> sqlx::Result<Infallible> {
    let channels = [LOGS, PRESENCE, SIGNALS, TASKS, BROKERS];
    let mut listener = parts.pool.listen(&channels).await?;
    *pause = FIRST_PAUSE;
    // Whatever was announced while nobody listened.
    parts.peer_listener.logs.anything();
    parts.peer_listener.presence.notify_one();
    parts.peer_listener.tasks.anything();
    if let Some(memberships) = &parts.peer_listener.memberships {
        memberships.missed();
    }
    loop {
        pass_on(parts, &listener.next().await?);
    }
}

fn pass_on(parts: &ListenerParts, note: &PgNotification) {
    if note.channel() == BROKERS {
        // Not of an instance: its sender is whoever changed the CRM's tables.
        if let Some(memberships) = &parts.peer_listener.memberships {
            memberships.changed(note.payload());
        }
        return;
    }
    let Some(lines) = lines(&parts.instance, note.payload()) else {
        return;
    };
    let peer_listener = &parts.peer_listener;
    match note.channel() {
        TASKS if peer_listener.tasks.has_listeners() => hint_tasks(&peer_listener.tasks, lines),
        TASKS => {}
        PRESENCE => peer_listener.presence.notify_one(),
        SIGNALS => lines.for_each(|line| {
            // Signals are over in seconds; one that does not fit is not worth waiting for.
            let _ = peer_listener.signals.try_send(line.to_owned());
        }),
        _ => lines
            .filter_map(head)
            .for_each(|(broker, head)| peer_listener.logs.grown(&broker, head)),
    }
}

/// No line means all tasks.
fn hint_tasks<'a>(hints: &TaskHints, lines: impl Iterator<Item = &'a str>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        hints.anything();
    }
    lines.filter_map(task).for_each(|key| hints.changed(key));
}
