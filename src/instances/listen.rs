//! Hearing the other instances. The line may go dead at any time; then everything is
//! looked at again once it is back.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgNotification;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::announce::{head, lines, task};
use super::{BROKERS, LOGS, PRESENCE, SIGNALS, TASKS};
use crate::brokerages::{Brokerages, Forget};
use crate::clock::Dice;
use crate::database::Pool;
use crate::hints::{HintBoard, TaskHints};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Whom the listener tells what it hears.
#[derive(Clone, Debug)]
pub struct Ears {
    /// Where hints go.
    pub logs: HintBoard,
    /// Woken when presence has changed elsewhere.
    pub presence: Arc<Notify>,
    /// Where hints for readers of output go.
    pub tasks: TaskHints,
    /// Where signals go; what does not fit is given up.
    pub signals: mpsc::Sender<String>,
    /// What forgets brokerages, where they are looked up.
    pub brokerages: Option<Brokerages>,
}

/// What the listener needs.
#[derive(Debug)]
pub struct ListenerParts {
    /// The database.
    pub pool: Pool,
    /// Whom it tells.
    pub ears: Ears,
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
    parts.ears.logs.anything();
    parts.ears.presence.notify_one();
    parts.ears.tasks.anything();
    forget_brokerages(parts, &Forget::everything());
    loop {
        pass_on(parts, &listener.next().await?);
    }
}

fn forget_brokerages(parts: &ListenerParts, what: &Forget) {
    if let Some(brokerages) = &parts.ears.brokerages {
        brokerages.forget(what);
    }
}

fn pass_on(parts: &ListenerParts, note: &PgNotification) {
    if note.channel() == BROKERS {
        // Not of an instance: its sender is whoever changed the CRM's tables.
        return forget_brokerages(parts, &Forget::parse(note.payload()));
    }
    let Some(lines) = lines(&parts.instance, note.payload()) else {
        return;
    };
    let ears = &parts.ears;
    match note.channel() {
        TASKS if ears.tasks.has_listeners() => hint_tasks(&ears.tasks, lines),
        TASKS => {}
        PRESENCE => ears.presence.notify_one(),
        SIGNALS => lines.for_each(|line| {
            // Signals are over in seconds; one that does not fit is not worth waiting for.
            let _ = ears.signals.try_send(line.to_owned());
        }),
        _ => lines
            .filter_map(head)
            .for_each(|(broker, head)| ears.logs.grown(&broker, head)),
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
