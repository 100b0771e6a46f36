//! Receives the notices of the other instances. After a broken connection, everything counts as
//! changed, because notices may have been lost.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgNotification;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::notify::{head, lines, task};
use super::{BROKERS, LOGS, PRESENCE, SESSIONS, SIGNALS, TASKS};
use crate::log::hints::{ChangeHints, TaskHints};
use crate::platform::Dice;
use crate::platform::Pool;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The receivers of notices.
#[derive(Clone, Debug)]
pub struct PeerListener {
    pub logs: ChangeHints,
    /// Woken when presence has changed on another instance.
    pub presence: Arc<Notify>,
    /// Woken when another instance has revoked or renewed something.
    pub sessions: Arc<Notify>,
    pub tasks: TaskHints,
    /// A signal that does not fit is dropped.
    pub signals: mpsc::Sender<String>,
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
    /// This instance's name. The listener ignores the instance's own notices.
    pub instance: String,
    /// For the jitter of reconnects.
    pub dice: Dice,
    pub stop: CancellationToken,
}

pub async fn run(parts: ListenerParts) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            () = parts.stop.cancelled() => return,
            Err(error) = listen(&parts, &mut pause) => {
                tracing::debug!(%error, "the connection for notices is lost");
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
    let channels = [LOGS, PRESENCE, SESSIONS, SIGNALS, TASKS, BROKERS];
    let mut listener = parts.pool.listen(&channels).await?;
    *pause = FIRST_PAUSE;
    // Notices from before are lost.
    parts.peer_listener.logs.grown_anywhere();
    parts.peer_listener.presence.notify_one();
    parts.peer_listener.sessions.notify_one();
    parts.peer_listener.tasks.changed_anywhere();
    if let Some(memberships) = &parts.peer_listener.memberships {
        memberships.missed();
    }
    loop {
        pass_on(parts, &listener.next().await?);
    }
}

fn pass_on(parts: &ListenerParts, notice: &PgNotification) {
    if notice.channel() == BROKERS {
        // The sender is the CRM's database, not an instance.
        if let Some(memberships) = &parts.peer_listener.memberships {
            memberships.changed(notice.payload());
        }
        return;
    }
    let Some(lines) = lines(&parts.instance, notice.payload()) else {
        return;
    };
    let peer_listener = &parts.peer_listener;
    match notice.channel() {
        TASKS if peer_listener.tasks.has_listeners() => hint_tasks(&peer_listener.tasks, lines),
        TASKS => {}
        PRESENCE => peer_listener.presence.notify_one(),
        SESSIONS => peer_listener.sessions.notify_one(),
        SIGNALS => lines.for_each(|line| {
            // Signals last seconds, so that it is not worth waiting for space.
            let _ = peer_listener.signals.try_send(line.to_owned());
        }),
        _ => lines
            .filter_map(head)
            .for_each(|(broker, head)| peer_listener.logs.grown(&broker, head)),
    }
}

/// No line means that any task may have changed.
fn hint_tasks<'a>(hints: &TaskHints, lines: impl Iterator<Item = &'a str>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        hints.changed_anywhere();
    }
    lines.filter_map(task).for_each(|key| hints.changed(key));
}
