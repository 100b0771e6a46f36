//! A message between instances: a line with the version and the name of the sender, then a line for each
//! notice. The first letter of a line says what it is; a letter that this version does not know is passed
//! over.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::log::CommittedBatch;
use crate::log::event::{Audience, Epoch, Event, NewEvent, Private};
use crate::log::hints::{PendingNotices, TaskKey};
use crate::log::peers::PeerListener;
use crate::platform::{BrokerId, EventType, ModuleName, RecordId, UserId, traces};

/// A message of another version says only that something has changed.
const VERSION: &str = "1";
/// The most bytes of a message, unless it has one line only.
const MESSAGE_BYTES: usize = 256 * 1_024;
/// A larger event becomes the position of the log.
const LINE_BYTES: usize = MESSAGE_BYTES;

const EVENT: char = 'e';
const HEAD: char = 'h';
const PRESENCE: char = 'p';
/// Changes of presence.
const SIGNS: char = 'l';
const SIGNAL: char = 's';
/// Without an id: any task.
const TASK: char = 't';
const SESSIONS: char = 'x';

/// A message, and the brokerage that it is about; `None`: it is for all instances.
#[derive(Debug)]
pub(super) struct PeerMessage {
    pub(super) broker: Option<BrokerId>,
    pub(super) payload: String,
}

/// An event of the log. Its names have one letter because there are many.
#[derive(Serialize, Deserialize)]
struct PeerEvent<'a> {
    #[serde(rename = "p")]
    position: i64,
    /// Microseconds since 1970.
    #[serde(rename = "c")]
    created_at: i64,
    #[serde(rename = "a", borrow)]
    audience: Cow<'a, str>,
    #[serde(rename = "t")]
    event_type: Cow<'a, str>,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    module: Option<Cow<'a, str>>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    record: Option<Cow<'a, str>>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none", borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none", borrow)]
    changes: Option<&'a RawValue>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none", borrow)]
    private: Option<&'a RawValue>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    owner: Option<Cow<'a, str>>,
    #[serde(rename = "n", default, skip_serializing_if = "std::ops::Not::not")]
    is_new_owner: bool,
    #[serde(rename = "z", default, skip_serializing_if = "std::ops::Not::not")]
    is_truncated: bool,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    trace: Option<Cow<'a, str>>,
}

/// The part of a signal that says where it belongs.
#[derive(Deserialize)]
struct SignalBroker {
    #[serde(rename = "b")]
    broker: BrokerId,
}

impl<'a> PeerEvent<'a> {
    fn of(event: &'a Event) -> Self {
        let body = &event.body;
        let borrowed = Cow::Borrowed::<str>;
        let micros = event.created_at.unix_timestamp_nanos() / 1_000;
        Self {
            position: event.position,
            created_at: i64::try_from(micros).unwrap_or_default(),
            audience: body.audience.to_string().into(),
            event_type: borrowed(body.event_type.as_str()),
            module: body.module().map(|module| borrowed(module.as_str())),
            record: body.record_id().map(|record| borrowed(record.as_str())),
            user: body.user.as_ref().map(|user| borrowed(user.as_str())),
            version: body.version,
            data: body.data.as_deref(),
            changes: body.changes.as_deref(),
            private: body.private.as_ref().map(|private| &*private.0),
            owner: body.owner.as_ref().map(|owner| borrowed(owner.as_str())),
            is_new_owner: body.is_new_owner,
            is_truncated: body.is_truncated,
            trace: body.trace.as_ref().map(|trace| trace.to_string().into()),
        }
    }

    /// `None` if it is not an event.
    fn event(self) -> Option<Event> {
        let user = |id: Option<Cow<'_, str>>| id.map(|id| UserId::parse(&id)).transpose().ok();
        let raw = |raw: Option<&RawValue>| raw.map(|raw| Arc::from(raw.to_owned()));
        let record = self
            .record
            .map(|id| RecordId::parse(&id))
            .transpose()
            .ok()?;
        let module = self.module.map(|id| ModuleName::parse(&id));
        let body = NewEvent {
            audience: self.audience.parse::<Audience>().ok()?,
            event_type: EventType::parse(&self.event_type).ok()?,
            record: module.transpose().ok()?.map(|module| (module, record)),
            user: user(self.user)?,
            version: self.version,
            data: raw(self.data),
            changes: raw(self.changes),
            private: raw(self.private).map(Private),
            owner: user(self.owner)?,
            is_new_owner: self.is_new_owner,
            previous: None,
            is_truncated: self.is_truncated,
            trace: traces::stored(self.trace.as_deref()),
        };
        let nanos = i128::from(self.created_at) * 1_000;
        Some(Event {
            position: self.position,
            created_at: OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?,
            body,
        })
    }
}

/// The line of an event. The position of the log, if the event is too large or cannot be one line.
fn event_line(epoch: &Epoch, event: &Event) -> String {
    let json = serde_json::to_string(&PeerEvent::of(event)).unwrap_or_default();
    let is_line = (1..LINE_BYTES).contains(&json.len()) && !json.contains(['\n', '\r']);
    if is_line {
        format!("\n{EVENT}{epoch} {json}")
    } else {
        format!("\n{HEAD}{}", event.position)
    }
}

/// The messages with these notices, in as few as they fit.
pub(super) fn messages(instance: &str, notices: &PendingNotices) -> Vec<PeerMessage> {
    let mut lines = FxHashMap::<Option<&BrokerId>, Vec<String>>::default();
    let mut add = |broker, line| lines.entry(broker).or_default().push(line);
    for batch in &notices.batches {
        for event in batch.events.iter() {
            add(Some(&batch.broker), event_line(&batch.epoch, event));
        }
    }
    for (broker, head) in &notices.heads {
        add(Some(broker), format!("\n{HEAD}{head}"));
    }
    for broker in &notices.presence {
        add(Some(broker), format!("\n{PRESENCE}"));
    }
    for signs in &notices.signs {
        add(Some(&signs.broker), format!("\n{SIGNS}{}", signs.text));
    }
    for signal in &notices.signals {
        add(Some(&signal.broker), format!("\n{SIGNAL}{}", signal.text));
    }
    for key in &notices.tasks.tasks {
        add(Some(&key.broker), format!("\n{TASK}{}", key.task));
    }
    if notices.tasks.everywhere {
        add(None, format!("\n{TASK}"));
    }
    if notices.sessions {
        add(None, format!("\n{SESSIONS}"));
    }
    let begin = format!("{VERSION} {instance}");
    let packed = lines.into_iter().flat_map(|(broker, lines)| {
        let payloads = pack(&begin, lines).into_iter();
        payloads.map(move |payload| PeerMessage {
            broker: broker.cloned(),
            payload,
        })
    });
    packed.collect()
}

fn pack(begin: &str, lines: Vec<String>) -> Vec<String> {
    let mut payloads: Vec<String> = Vec::new();
    for line in lines {
        match payloads.last_mut() {
            Some(last) if last.len() + line.len() <= MESSAGE_BYTES => last.push_str(&line),
            _ => payloads.push(format!("{begin}{line}")),
        }
    }
    payloads
}

/// Passes a message on, unless this instance sent it.
pub(super) fn pass_on(
    payload: &str,
    instance: &str,
    broker: Option<&BrokerId>,
    peer_listener: &PeerListener,
) {
    let mut lines = payload.split('\n');
    match lines.next().and_then(|begin| begin.split_once(' ')) {
        Some((VERSION, sender)) if sender == instance => {}
        Some((VERSION, _)) => match broker {
            Some(broker) => pass_on_lines(lines, broker, peer_listener),
            None => lines.for_each(|line| pass_on_to_all(line, peer_listener)),
        },
        // A newer version.
        _ => match broker {
            Some(broker) => peer_listener.missed(broker),
            None => peer_listener.missed_common(),
        },
    }
}

fn pass_on_to_all(line: &str, peer_listener: &PeerListener) {
    match line.chars().next() {
        Some(SESSIONS) => peer_listener.sessions.notify_one(),
        Some(TASK) => peer_listener.tasks.changed_anywhere(),
        _ => {}
    }
}

fn pass_on_lines<'a>(
    lines: impl Iterator<Item = &'a str>,
    broker: &BrokerId,
    peer_listener: &PeerListener,
) {
    let mut batch = None;
    for line in lines {
        let Some(kind) = line.chars().next() else {
            continue;
        };
        let rest = &line[kind.len_utf8()..];
        if kind != EVENT {
            batch = pass_on_batch(batch, peer_listener);
        }
        match kind {
            EVENT => match read_event(rest) {
                Some(received) => batch = Some(joined(batch, received, broker, peer_listener)),
                None => peer_listener.logs.may_have_grown(broker),
            },
            HEAD => match rest.parse() {
                Ok(head) => peer_listener.logs.grown(broker, head),
                Err(_) => peer_listener.logs.may_have_grown(broker),
            },
            PRESENCE => peer_listener.presence.notify_one(),
            SIGNS => peer_listener.signs(broker, rest),
            SIGNAL if is_signal_of(rest, broker) => peer_listener.signal(rest),
            TASK => hint_task(rest, broker, peer_listener),
            _ => {}
        }
    }
    pass_on_batch(batch, peer_listener);
}

struct ReceivedEvent {
    epoch: Epoch,
    event: Event,
}

fn read_event(rest: &str) -> Option<ReceivedEvent> {
    let (epoch, json) = rest.split_once(' ')?;
    let line: PeerEvent<'_> = serde_json::from_str(json).ok()?;
    let epoch = Epoch::stored(epoch);
    Some(ReceivedEvent {
        epoch,
        event: line.event()?,
    })
}

/// The batch with one more event. If the event does not continue it, the batch is passed on and another
/// one begins.
fn joined(
    batch: Option<CommittedBatch>,
    received: ReceivedEvent,
    broker: &BrokerId,
    peer_listener: &PeerListener,
) -> CommittedBatch {
    let ReceivedEvent { epoch, event } = received;
    let continues = |batch: &CommittedBatch| {
        batch.epoch == epoch && batch.head.checked_add(1) == Some(event.position)
    };
    match batch {
        Some(mut batch) if continues(&batch) => {
            batch.head = event.position;
            Arc::make_mut(&mut batch.events).push(event);
            batch
        }
        other => {
            pass_on_batch(other, peer_listener);
            CommittedBatch {
                broker: broker.clone(),
                epoch,
                head: event.position,
                others: None,
                events: Arc::new(vec![event]),
                committed_at: Instant::now(),
                is_own: false,
            }
        }
    }
}

/// A batch that does not fit becomes a hint.
fn pass_on_batch(
    batch: Option<CommittedBatch>,
    peer_listener: &PeerListener,
) -> Option<CommittedBatch> {
    if let Err(refused) = peer_listener.batches.try_send(batch?) {
        let batch = refused.into_inner();
        peer_listener.logs.grown(&batch.broker, batch.head);
    }
    None
}

/// Whether a signal is of the channel's brokerage. Who may write to one channel must not reach other
/// brokerages.
fn is_signal_of(text: &str, broker: &BrokerId) -> bool {
    let signal: Option<SignalBroker> = serde_json::from_str(text).ok();
    signal.is_some_and(|signal| signal.broker == *broker)
}

fn hint_task(id: &str, broker: &BrokerId, peer_listener: &PeerListener) {
    match id.parse() {
        Ok(task) => {
            let broker = broker.clone();
            peer_listener.tasks.changed(TaskKey { broker, task });
        }
        Err(_) => peer_listener.tasks.changed_anywhere(),
    }
}

#[cfg(test)]
mod tests;
