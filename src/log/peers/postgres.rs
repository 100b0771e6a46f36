//! Notices by LISTEN and NOTIFY: one statement for all that were collected.
//!
//! Commits of posted events are announced by their own statement (`append/shared.rs`). No other publishing transaction
//! uses NOTIFY, because NOTIFY serialises the commits of the database. The CRM sends a notice when a user changes the
//! brokerage.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgNotification;
use tokio::sync::Mutex;

use super::listen::PeerListener;
use super::{Backplane, BackplaneError};
use crate::log::hints::{PendingNotices, TaskHints, TaskKey};
use crate::platform::{BrokerId, DedicatedConnection, InstanceCount, Pool};

pub(in crate::log) const LOGS: &str = "porchlight";
const PRESENCE: &str = "porchlight_presence";
/// A payload without a task means all tasks.
const TASKS: &str = "porchlight_tasks";
/// Something was revoked, or a stream of another instance gets a fresh token.
const SESSIONS: &str = "porchlight_sessions";
const SIGNALS: &str = "porchlight_signals";
/// `porchlight.forget_broker` sends here which user's brokerage must be looked up again.
const BROKERS: &str = "porchlight_brokers";

/// Notices of this long share a statement.
const COLLECT: Duration = Duration::from_millis(10);
/// Without another instance, the time until it looks for one again.
const PAUSE_ALONE: Duration = Duration::from_millis(100);
/// With several instances: the time between two statements of all of them together.
const COLLECT_TOGETHER: Duration = Duration::from_millis(5);
/// The limit of Postgres is 8,000 bytes.
const PAYLOAD_BYTES: usize = 7_900;
/// The rest of the line of a log: the ends of line and name, and the longest head.
const HEAD_BYTES: usize = 21;

#[derive(Debug)]
pub struct PostgresBackplane {
    pool: Pool,
    sender: Mutex<DedicatedConnection>,
    /// This instance's name. It ignores the instance's own notices.
    instance: Arc<str>,
    instances: InstanceCount,
}

impl PostgresBackplane {
    #[must_use]
    pub fn new(
        pool: Pool,
        sender: DedicatedConnection,
        instance: Arc<str>,
        instances: InstanceCount,
    ) -> Self {
        Self {
            pool,
            sender: Mutex::new(sender),
            instance,
            instances,
        }
    }
}

impl Backplane for PostgresBackplane {
    const LONGEST_PAUSE: Duration = Duration::from_secs(10);
    const LONGEST_SEND_PAUSE: Duration = Duration::ZERO;

    async fn send(&self, pending: PendingNotices) -> Result<(), BackplaneError> {
        let notices = notices(&self.instance, &pending);
        let mut database = self.sender.lock().await;
        let sent = send(&mut database, &self.instance, &notices).await;
        let pause = match sent {
            Ok(0) => PAUSE_ALONE,
            _ => COLLECT.max(self.instances.spread(COLLECT_TOGETHER)),
        };
        tokio::time::sleep(pause).await;
        sent?;
        Ok(())
    }

    async fn receive(&self, peer_listener: &PeerListener) -> Result<Infallible, BackplaneError> {
        let channels = [LOGS, PRESENCE, SESSIONS, SIGNALS, TASKS, BROKERS];
        let mut listener = self.pool.listen(&channels).await?;
        peer_listener.missed_any();
        loop {
            pass_on(&self.instance, peer_listener, &listener.next().await?);
        }
    }
}

fn pass_on(instance: &str, peer_listener: &PeerListener, notice: &PgNotification) {
    if notice.channel() == BROKERS {
        // The sender is the CRM's database, not an instance.
        if let Some(memberships) = &peer_listener.memberships {
            memberships.changed(notice.payload());
        }
        return;
    }
    let Some(lines) = lines(instance, notice.payload()) else {
        return;
    };
    match notice.channel() {
        TASKS if peer_listener.tasks.has_listeners() => hint_tasks(&peer_listener.tasks, lines),
        TASKS => {}
        PRESENCE => peer_listener.presence.notify_one(),
        SESSIONS => peer_listener.sessions.notify_one(),
        SIGNALS => lines.for_each(|line| peer_listener.signal(line)),
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

struct Notice {
    channel: &'static str,
    payload: String,
}

/// Sends them if another instance is alive, and returns how many. NOTIFY is a commit of its own, and would come
/// back to this instance.
async fn send(
    database: &mut DedicatedConnection,
    instance: &str,
    notices: &[Notice],
) -> sqlx::Result<u64> {
    let channels: Vec<_> = notices.iter().map(|notice| notice.channel).collect();
    let payloads: Vec<_> = notices.iter().map(|n| n.payload.as_str()).collect();
    let statement = sqlx::query!(
        "select pg_notify(c, p) from unnest($1::text[], $2::text[]) as n(c, p)
         where exists (select from porchlight.instances
             where instance <> $3 and live_until > clock_timestamp())",
        &channels as &[&str],
        &payloads as &[&str],
        instance,
    );
    let sent = database.run(async |connection| statement.execute(connection).await);
    sent.await.map(|sent| sent.rows_affected())
}

fn notices(instance: &str, pending: &PendingNotices) -> Vec<Notice> {
    let heads = pending
        .heads
        .iter()
        .map(|(broker, head)| format!("\n{broker} {head}"));
    let signals = pending.signals.iter();
    let signals = signals.map(|signal| format!("\n{}", signal.text));
    let tasks = pending.tasks.tasks.iter().map(task_line);
    let mut notices = packed(instance, LOGS, heads);
    notices.extend(packed(instance, SIGNALS, signals));
    notices.extend(packed(instance, TASKS, tasks));
    let presence = (!pending.presence.is_empty()).then_some(PRESENCE);
    let sessions = pending.sessions.then_some(SESSIONS);
    let all_tasks = pending.tasks.everywhere.then_some(TASKS);
    let without_lines = [presence, sessions, all_tasks].into_iter().flatten();
    notices.extend(without_lines.map(|channel| Notice {
        channel,
        payload: instance.to_owned(),
    }));
    notices
}

/// Whether one payload has space for the lines of these logs, whatever their heads are.
pub(in crate::log) fn fits_in_notice<'a>(
    instance: &str,
    logs: impl Iterator<Item = &'a BrokerId>,
) -> bool {
    let bytes = logs.map(|broker| broker.as_str().len() + HEAD_BYTES);
    instance.len() + bytes.sum::<usize>() <= PAYLOAD_BYTES
}

/// The lines after the instance's name, in as few payloads as they fit.
fn packed(
    instance: &str,
    channel: &'static str,
    lines: impl Iterator<Item = String>,
) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    for line in lines {
        match notices.last_mut() {
            Some(last) if last.payload.len() + line.len() <= PAYLOAD_BYTES => {
                last.payload.push_str(&line);
            }
            _ => notices.push(Notice {
                channel,
                payload: format!("{instance}{line}"),
            }),
        }
    }
    notices
}

/// The lines of a notice, unless this instance sent it.
fn lines<'a>(instance: &str, payload: &'a str) -> Option<impl Iterator<Item = &'a str>> {
    let mut lines = payload.lines();
    (lines.next() != Some(instance)).then_some(lines)
}

/// Parses the line of a log that has grown.
fn head(line: &str) -> Option<(BrokerId, i64)> {
    let (broker, head) = line.split_once(' ')?;
    Some((broker.parse().ok()?, head.parse().ok()?))
}

fn task_line(key: &TaskKey) -> String {
    format!("\n{} {}", key.broker, key.task)
}

/// Parses the line of a task that has changed.
fn task(line: &str) -> Option<TaskKey> {
    let (broker, task) = line.split_once(' ')?;
    Some(TaskKey {
        broker: broker.parse().ok()?,
        task: task.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::hints::PeerText;
    use crate::platform::ids::tests::any_name;

    proptest! {
        #[test]
        fn a_head_reads_back_as_it_was_written(
            broker in any_name::<BrokerId>(),
            position in any::<i64>(),
        ) {
            let mut pending = PendingNotices::default();
            pending.heads.insert(broker.clone(), position);
            let notices = notices("me", &pending);
            let heads: Vec<_> = lines("you", &notices[0].payload).unwrap().map(head).collect();
            prop_assert_eq!(heads, [Some((broker, position))]);
        }
    }

    #[test]
    fn notices_fit_and_contain_everything() {
        let id = |n| BrokerId::parse(&format!("{n:0>64}")).unwrap();
        let mut pending = PendingNotices::default();
        let heads = (0..500).map(|n| (id(n), i64::from(n)));
        pending.heads.extend(heads);
        pending.signals.extend((0..500).map(|n| PeerText {
            broker: id(n),
            text: format!("{{\"n\":{n:0>200}}}"),
        }));
        pending.presence.insert(id(0));
        let notices = notices("me", &pending);
        assert!(notices.iter().all(|n| n.payload.len() < 8_000));
        let sent = |channel| {
            let of_channel = notices.iter().filter(move |n| n.channel == channel);
            of_channel.flat_map(|n| lines("you", &n.payload).unwrap())
        };
        let mut heads: Vec<_> = sent(LOGS).map(|line| head(line).unwrap()).collect();
        heads.sort();
        let grown: Vec<_> = (0..500).map(|n| (id(n), i64::from(n))).collect();
        assert_eq!(heads, grown);
        assert!(sent(SIGNALS).eq(pending.signals.iter().map(|signal| &signal.text)));
        let of_presence = notices.iter().filter(|n| n.channel == PRESENCE);
        assert_eq!(of_presence.count(), 1);
        assert!(notices.iter().all(|n| lines("me", &n.payload).is_none()));
    }

    #[test]
    fn logs_that_fit_into_one_notice_do_so_whatever_their_heads_are() {
        let ids = |count| (0..count).map(|n| BrokerId::parse(&format!("{n:0>64}")).unwrap());
        let fits = |count| fits_in_notice("me", ids(count).collect::<Vec<_>>().iter());
        let most = (1..500).take_while(|count| fits(*count)).last().unwrap();
        let mut pending = PendingNotices::default();
        pending.heads.extend(ids(most).map(|id| (id, i64::MAX)));
        assert_eq!(notices("me", &pending).len(), 1);
        pending.heads.extend(ids(most + 2).map(|id| (id, i64::MAX)));
        assert_eq!(notices("me", &pending).len(), 2);
    }

    #[test]
    fn changed_tasks_are_listed_or_all_tasks_are_meant() {
        let key = |n: usize| TaskKey {
            broker: BrokerId::parse(&format!("{n:b>64}")).unwrap(),
            task: format!("{n:t>64}").parse().unwrap(),
        };
        let mut pending = PendingNotices::default();
        let sent = |pending: &PendingNotices| {
            let notices = notices("me", pending);
            let is_valid = |n: &Notice| n.channel == TASKS && n.payload.len() < 8_000;
            assert!(notices.iter().all(is_valid));
            let lines = notices
                .iter()
                .flat_map(|n| lines("you", &n.payload).unwrap());
            let mut keys: Vec<_> = lines.map(|line| task(line).unwrap()).collect();
            keys.sort();
            (notices.len(), keys)
        };
        assert_eq!(sent(&pending), (0, Vec::new()));
        pending.tasks.tasks.extend((0..500).map(key));
        let mut all: Vec<_> = (0..500).map(key).collect();
        all.sort();
        assert_eq!(sent(&pending).1, all);
        pending.tasks.tasks.clear();
        pending.tasks.everywhere = true;
        assert_eq!(sent(&pending), (1, Vec::new()));
    }
}
