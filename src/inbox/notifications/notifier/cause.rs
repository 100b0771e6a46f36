//! Which events are somebody's business, and whose. Pure.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::subject::Subject;
use crate::directory::Modules;
use crate::inbox::notifications::{Kind, Level};
use crate::log::{Audience, Event};
use crate::platform::UserId;

/// An event that one user is to be told of.
#[derive(Clone, Debug)]
pub(super) struct Cause<'a> {
    pub(super) to: UserId,
    pub(super) kind: Kind,
    pub(super) level: Level,
    /// What it is about, within the kind.
    pub(super) subject: Subject,
    pub(super) event: &'a Event,
}

/// What is looked for in the data of an event.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    reason: Option<String>,
    holder: Option<Person>,
    task_id: Option<String>,
    parent_id: Option<String>,
    fence: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    user_id: Option<UserId>,
}

/// Whether the notifier should look at it at all. Cheap: every commit is asked.
#[must_use]
pub fn may_matter(event: &Event) -> bool {
    let told = &event.told;
    told.record_id().is_some() || told.event_type.as_str().starts_with("ai:task:")
}

/// Whom an event is to be told by name, and why.
pub(super) fn of<'a>(event: &'a Event, modules: &Modules) -> Option<Cause<'a>> {
    let told = &event.told;
    let action = told.event_type.action();
    let cause = match action {
        _ if told.event_type.as_str().starts_with("ai:task:") => task(event),
        "unlocked" => lock_taken(event),
        "lock_requested" => lock_requested(event),
        _ => changed(event, modules),
    };
    // What one did oneself is no news.
    cause.filter(|cause| told.user.as_ref() != Some(&cause.to))
}

fn data(event: &Event) -> Data {
    let data = event.told.data.as_deref();
    let data = data.and_then(|data| serde_json::from_str(data.get()).ok());
    data.unwrap_or_default()
}

fn task(event: &Event) -> Option<Cause<'_>> {
    let level = match event.told.event_type.action() {
        "completed" => Level::Success,
        "failed" => Level::Error,
        "cancelled" => Level::Info,
        _ => return None,
    };
    let Audience::User(to) = &event.told.audience else {
        return None;
    };
    let data = data(event);
    // A part of another task, or the word to its worker that somebody else has ended it.
    if data.parent_id.is_some() || data.fence.is_some() {
        return None;
    }
    let at = Subject::Event(event.position);
    let subject = data.task_id.map_or(at, Subject::Task);
    let kind = Kind::TaskEnded;
    Some(Cause {
        to: to.clone(),
        kind,
        level,
        subject,
        event,
    })
}

fn lock_taken(event: &Event) -> Option<Cause<'_>> {
    let data = data(event);
    let is_taken = data.reason.as_deref() == Some("taken_over");
    let holder = data.holder.and_then(|holder| holder.user_id);
    Some(Cause {
        to: holder.filter(|_| is_taken)?,
        kind: Kind::LockTakenOver,
        level: Level::Warning,
        subject: Subject::Record(event.told.record_path()?),
        event,
    })
}

fn lock_requested(event: &Event) -> Option<Cause<'_>> {
    let Audience::User(to) = &event.told.audience else {
        return None;
    };
    Some(Cause {
        to: to.clone(),
        kind: Kind::LockRequested,
        level: Level::Info,
        subject: Subject::Record(event.told.record_path()?),
        event,
    })
}

/// Something happened to a record, of all that its module says happens.
fn changed<'a>(event: &'a Event, modules: &Modules) -> Option<Cause<'a>> {
    let told = &event.told;
    let record = told.record_path()?;
    let module = modules.get(&record.module)?;
    let verb = told.event_type.action();
    let mut verbs = module.verbs().filter(|(known, _)| *known != "created");
    let is_known = verbs.any(|(known, _)| known == verb);
    let is_its = is_known && module.told(verb) == told.event_type;
    let to = told.owner.clone().filter(|_| is_its)?;
    Some(Cause {
        to,
        kind: Kind::RecordChanged,
        level: Level::Info,
        subject: Subject::Record(record),
        event,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::log::NewEvent;
    use crate::platform::EventType;

    fn event(event_type: &str, audience: &str, data: &serde_json::Value) -> Event {
        let event_type = EventType::parse(event_type).unwrap();
        let mut told = NewEvent::new(audience.parse().unwrap(), event_type).with(data);
        told.record = Some(("listings".parse().unwrap(), Some("l-1".parse().unwrap())));
        told.owner = Some("ann".parse().unwrap());
        told.user = Some("bob".parse().unwrap());
        Event {
            position: 7,
            created_at: time::OffsetDateTime::UNIX_EPOCH,
            told,
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn everybody_is_told_of_what_is_theirs() {
        let taken = json!({"reason": "taken_over", "holder": {"userId": "cid"}});
        let released = json!({"reason": "released", "holder": {"userId": "cid"}});
        let task = json!({"taskId": "t-1"});
        let child = json!({"taskId": "t-2", "parentId": "t-1"});
        let worker = json!({"taskId": "t-1", "fence": 3});
        for (event_type, audience, data, expected) in [
            (
                "ai:task:completed",
                "user:eve",
                &task,
                "eve taskEnded success task:t-1",
            ),
            (
                "ai:task:failed",
                "user:eve",
                &task,
                "eve taskEnded error task:t-1",
            ),
            (
                "ai:task:cancelled",
                "user:eve",
                &task,
                "eve taskEnded info task:t-1",
            ),
            (
                "ai:task:completed",
                "user:eve",
                &json!(7),
                "eve taskEnded success event:7",
            ),
            // By oneself.
            ("ai:task:cancelled", "user:bob", &task, ""),
            ("ai:task:completed", "user:eve", &child, ""),
            ("ai:task:cancelled", "user:eve", &worker, ""),
            ("ai:task:progress", "user:eve", &task, ""),
            ("ai:task:completed", "team:a", &task, ""),
            (
                "listing:unlocked",
                "team:a",
                &taken,
                "cid lockTakenOver warning record:listings/l-1",
            ),
            ("listing:unlocked", "team:a", &released, ""),
            ("listing:unlocked", "team:a", &json!(null), ""),
            (
                "listing:lock_requested",
                "user:eve",
                &json!({}),
                "eve lockRequested info record:listings/l-1",
            ),
            ("listing:lock_requested", "team:a", &json!({}), ""),
            (
                "listing:updated",
                "team:a",
                &json!({}),
                "ann recordChanged info record:listings/l-1",
            ),
            (
                "listing:deleted",
                "team:a",
                &json!({}),
                "ann recordChanged info record:listings/l-1",
            ),
            (
                "listing:sold",
                "team:a",
                &json!({}),
                "ann recordChanged info record:listings/l-1",
            ),
            ("listing:created", "team:a", &json!({}), ""),
            ("listing:opened", "team:a", &json!({}), ""),
            ("escrow:updated", "team:a", &json!({}), ""),
            ("listing:locked", "team:a", &json!({}), ""),
        ] {
            let event = event(event_type, audience, data);
            let cause = of(&event, &Modules::default());
            let told = cause.map(|c| format!("{} {} {} {}", c.to, c.kind, c.level, c.subject));
            assert_eq!(told.unwrap_or_default(), expected, "{event_type} {data}");
        }
    }

    #[test]
    fn nobody_is_told_of_what_they_did_themselves() {
        let mut event = event("listing:updated", "team:a", &json!({}));
        event.told.owner.clone_from(&event.told.user);
        assert!(of(&event, &Modules::default()).is_none());
        event.told.user = None;
        assert!(of(&event, &Modules::default()).is_some());
        event.told.owner = None;
        assert!(of(&event, &Modules::default()).is_none());
    }
}
