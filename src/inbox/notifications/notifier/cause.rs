//! Which events lead to a notification, and for whom. Pure.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::subject::Subject;
use crate::directory::Modules;
use crate::inbox::bad_rows::bad_rows;
use crate::inbox::notifications::{Level, NotificationKind};
use crate::log::{Audience, Event};
use crate::platform::UserId;

/// An event that leads to a notification for one user.
#[derive(Clone, Debug)]
pub(super) struct Cause<'a> {
    pub(super) to: UserId,
    pub(super) kind: NotificationKind,
    pub(super) level: Level,
    pub(super) subject: Subject,
    pub(super) event: &'a Event,
}

/// The fields that matter in the data of an event.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CauseData {
    reason: Option<String>,
    holder: Option<FormerHolder>,
    task_id: Option<String>,
    parent_id: Option<String>,
    fence: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FormerHolder {
    user_id: Option<UserId>,
}

/// Whether the notifier should read the event. Cheap: it is called for every committed event.
#[must_use]
pub fn may_notify(event: &Event) -> bool {
    let body = &event.body;
    body.record_id().is_some() || body.event_type.as_str().starts_with("ai:task:")
}

/// The notification that an event leads to.
pub(super) fn of<'a>(event: &'a Event, modules: &Modules) -> Option<Cause<'a>> {
    let body = &event.body;
    let action = body.event_type.action();
    let cause = match action {
        _ if body.event_type.as_str().starts_with("ai:task:") => task(event),
        "unlocked" => lock_taken(event),
        "lock_requested" => lock_requested(event),
        _ => changed(event, modules),
    };
    // Nobody is notified of their own action.
    cause.filter(|cause| body.user.as_ref() != Some(&cause.to))
}

fn data(event: &Event) -> CauseData {
    let data = event.body.data.as_deref();
    let data = data.and_then(|data| serde_json::from_str(data.get()).ok());
    data.unwrap_or_default()
}

fn task(event: &Event) -> Option<Cause<'_>> {
    let level = match event.body.event_type.action() {
        "completed" if bad_rows(event) > 0 => Level::Warning,
        "completed" => Level::Success,
        "failed" => Level::Error,
        "cancelled" => Level::Info,
        _ => return None,
    };
    let Audience::User(to) = &event.body.audience else {
        return None;
    };
    let data = data(event);
    // A step of a workflow, or the event for the worker of a task that someone else has ended.
    if data.parent_id.is_some() || data.fence.is_some() {
        return None;
    }
    let at = Subject::Event(event.position);
    let subject = data.task_id.map_or(at, Subject::Task);
    let kind = NotificationKind::TaskEnded;
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
        kind: NotificationKind::LockTakenOver,
        level: Level::Warning,
        subject: Subject::Record(event.body.record_path()?),
        event,
    })
}

fn lock_requested(event: &Event) -> Option<Cause<'_>> {
    let Audience::User(to) = &event.body.audience else {
        return None;
    };
    Some(Cause {
        to: to.clone(),
        kind: NotificationKind::LockRequested,
        level: Level::Info,
        subject: Subject::Record(event.body.record_path()?),
        event,
    })
}

/// A change of a record, if its type is a verb of the module.
fn changed<'a>(event: &'a Event, modules: &Modules) -> Option<Cause<'a>> {
    let body = &event.body;
    let record = body.record_path()?;
    let module = modules.get(&record.module)?;
    let verb = body.event_type.action();
    let mut verbs = module.verbs().filter(|(known, _)| *known != "created");
    let is_known = verbs.any(|(known, _)| known == verb);
    let is_change = is_known && module.event_type(verb) == body.event_type;
    let to = body.owner.clone().filter(|_| is_change)?;
    Some(Cause {
        to,
        kind: NotificationKind::RecordChanged,
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
        let mut body = NewEvent::new(audience.parse().unwrap(), event_type).with(data);
        body.record = Some(("listings".parse().unwrap(), Some("l-1".parse().unwrap())));
        body.owner = Some("ann".parse().unwrap());
        body.user = Some("bob".parse().unwrap());
        Event {
            position: 7,
            created_at: time::OffsetDateTime::UNIX_EPOCH,
            body,
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn users_are_notified_of_their_tasks_locks_and_records() {
        let taken = json!({"reason": "taken_over", "holder": {"userId": "cid"}});
        let released = json!({"reason": "released", "holder": {"userId": "cid"}});
        let task = json!({"taskId": "t-1"});
        let child = json!({"taskId": "t-2", "parentId": "t-1"});
        let worker = json!({"taskId": "t-1", "fence": 3});
        let import = |bad| json!({"taskId": "t-1", "taskType": "import_csv", "result": {"rows": 9, "bad": bad}});
        let another = json!({"taskId": "t-1", "taskType": "count", "result": {"bad": 3}});
        for (event_type, audience, data, expected) in [
            (
                "ai:task:completed",
                "user:eve",
                &task,
                "eve taskEnded success task:t-1",
            ),
            (
                "ai:task:completed",
                "user:eve",
                &import(3),
                "eve taskEnded warning task:t-1",
            ),
            (
                "ai:task:completed",
                "user:eve",
                &import(0),
                "eve taskEnded success task:t-1",
            ),
            (
                "ai:task:completed",
                "user:eve",
                &another,
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
            // Bob did it himself.
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
            let body = cause.map(|c| format!("{} {} {} {}", c.to, c.kind, c.level, c.subject));
            assert_eq!(body.unwrap_or_default(), expected, "{event_type} {data}");
        }
    }

    #[test]
    fn nobody_is_notified_of_their_own_action() {
        let mut event = event("listing:updated", "team:a", &json!({}));
        event.body.owner.clone_from(&event.body.user);
        assert!(of(&event, &Modules::default()).is_none());
        event.body.user = None;
        assert!(of(&event, &Modules::default()).is_some());
        event.body.owner = None;
        assert!(of(&event, &Modules::default()).is_none());
    }
}
