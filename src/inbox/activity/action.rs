//! What an event did.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Names;
use super::text::{Action, FieldChange};
use super::values::{field_text, plain, value_text};
use crate::directory::{Module, Modules};
use crate::inbox::bad_rows::bad_rows;
use crate::log::Event;
use crate::platform::UserId;

/// The most characters of a task's title, and of the reason of its failure.
const TITLE_CHARS: usize = 100;
const REASON_CHARS: usize = 200;
/// Fields that change with every write and say nothing.
const BOOKKEEPING: [&str; 10] = [
    "id",
    "version",
    "createdAt",
    "updatedAt",
    "archivedAt",
    "createdBy",
    "updatedBy",
    "created_at",
    "updated_at",
    "brokerId",
];

/// The fields that matter in the data of an event.
#[derive(Default, Deserialize)]
struct ActionData {
    reason: Option<String>,
    holder: Option<ActionHolder>,
    title: Option<String>,
    #[serde(rename = "taskType")]
    task_type: Option<String>,
    error: Option<ActionFailure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActionHolder {
    user_id: Option<UserId>,
}

#[derive(Deserialize)]
struct ActionFailure {
    message: Option<String>,
}

/// What an event did, as its reader may see it.
pub(super) fn of(seen: &Event, modules: &Modules, names: &Names) -> Action {
    let body = &seen.body;
    let data = body
        .data
        .as_deref()
        .map(|data| serde_json::from_str(data.get()));
    let data: ActionData = data.and_then(Result::ok).unwrap_or_default();
    let action = body.event_type.action();
    if body.event_type.as_str().starts_with("ai:task:") {
        return task(seen, data);
    }
    let module = body.module().and_then(|module| modules.get(module));
    match action {
        "unlocked" => {
            let holder = data.holder.and_then(|holder| holder.user_id);
            Action::TookLock(names.user(holder.as_ref()).to_owned())
        }
        "deleted" if data.reason.as_deref() == Some("moved") => Action::MovedAway,
        "updated" => Action::Changed(changes(seen, module)),
        verb => Action::Verb(verb_text(module, verb)),
    }
}

/// The text of a verb, from the module's configuration.
fn verb_text(module: Option<&Module>, verb: &str) -> String {
    let mut verbs = module.into_iter().flat_map(Module::verbs);
    let known = verbs.find(|(known, _)| *known == verb);
    known.map_or_else(|| field_text(verb), |(_, text)| text.to_owned())
}

fn task(seen: &Event, data: ActionData) -> Action {
    let title = data.title.map(|title| plain(&title, TITLE_CHARS));
    let kind = data.task_type.map(|kind| field_text(&kind));
    let mut titles = title.into_iter().chain(kind);
    let title = titles.find(|title| !title.is_empty());
    let title = title.unwrap_or_else(|| "A task".to_owned());
    let why = data.error.and_then(|error| error.message);
    match seen.body.event_type.action() {
        "failed" => Action::Failed(title, why.map(|why| plain(&why, REASON_CHARS))),
        "cancelled" => Action::Cancelled {
            title,
            is_by_user: seen.body.user.is_some(),
        },
        _ => Action::Completed(title, bad_rows(seen)),
    }
}

/// The changed fields, without the bookkeeping.
fn changes(seen: &Event, module: Option<&Module>) -> Vec<FieldChange> {
    let now = fields(seen.body.changes.as_deref());
    let before = fields(seen.body.previous.as_deref());
    let change = |name: &str, value: &RawValue| {
        let is_money = module.is_some_and(|module| module.money.contains(name));
        let to = value_text(value, is_money);
        let from = before
            .get(name)
            .and_then(|value| value_text(value, is_money));
        FieldChange {
            field: field_text(name),
            // A reader who may not see the new value may not see the old one.
            from: from.filter(|_| to.is_some()),
            to,
        }
    };
    // The event for a new owner repeats all private fields, changed or not. A field that did change has
    // a previous value.
    let has_changed = |name: &String| !seen.body.is_new_owner || before.contains_key(name);
    let changed = now
        .iter()
        .filter(|(name, _)| !BOOKKEEPING.contains(&name.as_str()) && has_changed(name));
    changed.map(|(name, value)| change(name, value)).collect()
}

fn fields(object: Option<&RawValue>) -> BTreeMap<String, Box<RawValue>> {
    let fields = object.map(|object| serde_json::from_str(object.get()));
    fields.and_then(Result::ok).unwrap_or_default()
}
