//! Telling the other instances: one statement for all that gathered in a moment.
//!
//! Never inside a publishing transaction, where a NOTIFY would make all commits of the
//! database stand in one line.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{LOGS, PRESENCE, SIGNALS, TASKS};
use crate::log::hints::{PeerNotifier, PendingNotices, TaskKey};
use crate::platform::BrokerId;
use crate::platform::DedicatedConnection;

/// What is said within this long shares a notification.
const GATHER: Duration = Duration::from_millis(10);
/// Postgres takes up to 8,000 bytes.
const PAYLOAD_BYTES: usize = 7_900;

/// Announces what is spoken into `megaphone`, signed with this instance's name.
pub async fn run(
    mut database: DedicatedConnection,
    peer_notifier: PeerNotifier,
    instance: String,
    stop: CancellationToken,
) {
    loop {
        let speech = tokio::select! {
            () = stop.cancelled() => return,
            speech = peer_notifier.take() => speech,
        };
        if let Err(error) = tell(&mut database, &notes(&instance, &speech)).await {
            // Only hints: the others look by themselves before long.
            tracing::debug!(%error, "could not announce");
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// A channel and a payload.
type Note = (&'static str, String);

async fn tell(database: &mut DedicatedConnection, notes: &[Note]) -> sqlx::Result<()> {
    let (channels, payloads): (Vec<_>, Vec<_>) =
        notes.iter().map(|(c, p)| (*c, p.as_str())).unzip();
    let tell = sqlx::query!(
        "select pg_notify(c, p) from unnest($1::text[], $2::text[]) as n(c, p)",
        &channels as &[&str],
        &payloads as &[&str],
    );
    let told = database.run(async |connection| tell.execute(connection).await);
    told.await.map(drop)
}

fn notes(instance: &str, speech: &PendingNotices) -> Vec<Note> {
    let heads = speech
        .heads
        .iter()
        .map(|(broker, head)| format!("\n{broker} {head}"));
    let signals = speech.signals.iter().map(|line| format!("\n{line}"));
    let tasks = speech.tasks.tasks.iter().map(task_line);
    let mut notes = packed(instance, LOGS, heads);
    notes.extend(packed(instance, SIGNALS, signals));
    notes.extend(packed(instance, TASKS, tasks));
    let all_tasks = speech.tasks.everywhere.then_some(TASKS);
    let without_lines = speech
        .presence
        .then_some(PRESENCE)
        .into_iter()
        .chain(all_tasks);
    notes.extend(without_lines.map(|channel| (channel, instance.to_owned())));
    notes
}

/// `instance`, then the lines, in as many parts as it takes.
fn packed(instance: &str, channel: &'static str, lines: impl Iterator<Item = String>) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    for line in lines {
        match notes.last_mut() {
            Some((_, last)) if last.len() + line.len() <= PAYLOAD_BYTES => last.push_str(&line),
            _ => notes.push((channel, format!("{instance}{line}"))),
        }
    }
    notes
}

/// The lines of an announcement, unless it is our own.
#[must_use]
pub fn lines<'a>(instance: &str, payload: &'a str) -> Option<impl Iterator<Item = &'a str>> {
    let mut lines = payload.lines();
    (lines.next() != Some(instance)).then_some(lines)
}

/// A line that says how far a log has grown.
#[must_use]
pub fn head(line: &str) -> Option<(BrokerId, i64)> {
    let (broker, head) = line.split_once(' ')?;
    Some((broker.parse().ok()?, head.parse().ok()?))
}

fn task_line(key: &TaskKey) -> String {
    format!("\n{} {}", key.broker, key.task)
}

/// A line that names a task that has changed.
#[must_use]
pub fn task(line: &str) -> Option<TaskKey> {
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
    use crate::platform::ids::tests::any_name;

    proptest! {
        #[test]
        fn a_head_reads_back_as_it_was_written((broker, position) in (any_name(), any::<i64>())) {
            let broker: BrokerId = broker;
            let mut speech = PendingNotices::default();
            speech.heads.insert(broker.clone(), position);
            let notes = notes("me", &speech);
            let heads: Vec<_> = lines("you", &notes[0].1).unwrap().map(head).collect();
            prop_assert_eq!(heads, [Some((broker, position))]);
        }
    }

    #[test]
    fn announcements_fit_and_say_everything() {
        let id = |n| BrokerId::parse(&format!("{n:0>64}")).unwrap();
        let mut speech = PendingNotices::default();
        speech.heads.extend((0..500).map(|n| (id(n), i64::from(n))));
        speech
            .signals
            .extend((0..500).map(|n| format!("{{\"n\":{n:0>200}}}")));
        speech.presence = true;
        let notes = notes("me", &speech);
        assert!(notes.iter().all(|(_, p)| p.len() < 8_000));
        let said = |channel| {
            let of_channel = notes.iter().filter(move |(c, _)| *c == channel);
            of_channel.flat_map(|(_, p)| lines("you", p).unwrap())
        };
        let mut heads: Vec<_> = said(LOGS).map(|line| head(line).unwrap()).collect();
        heads.sort();
        let grown: Vec<_> = (0..500).map(|n| (id(n), i64::from(n))).collect();
        assert_eq!(heads, grown);
        assert!(said(SIGNALS).eq(speech.signals.iter()));
        assert_eq!(notes.iter().filter(|(c, _)| *c == PRESENCE).count(), 1);
        assert!(notes.iter().all(|(_, p)| lines("me", p).is_none()));
    }

    #[test]
    fn changed_tasks_are_named_or_all_meant() {
        let key = |n: usize| TaskKey {
            broker: BrokerId::parse(&format!("{n:b>64}")).unwrap(),
            task: format!("{n:t>64}").parse().unwrap(),
        };
        let mut speech = PendingNotices::default();
        let said = |speech: &PendingNotices| {
            let notes = notes("me", speech);
            assert!(notes.iter().all(|(c, p)| *c == TASKS && p.len() < 8_000));
            let lines = notes.iter().flat_map(|(_, p)| lines("you", p).unwrap());
            let mut keys: Vec<_> = lines.map(|line| task(line).unwrap()).collect();
            keys.sort();
            (notes.len(), keys)
        };
        assert_eq!(said(&speech), (0, Vec::new()));
        speech.tasks.tasks.extend((0..500).map(key));
        let mut all: Vec<_> = (0..500).map(key).collect();
        all.sort();
        assert_eq!(said(&speech).1, all);
        speech.tasks.tasks.clear();
        speech.tasks.everywhere = true;
        assert_eq!(said(&speech), (1, Vec::new()));
    }
}
