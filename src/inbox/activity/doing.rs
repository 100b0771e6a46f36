//! From an event to what was done.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Names;
use super::text::{Change, Doing};
use super::values::{field, in_words, plain};
use crate::directory::{Module, Modules};
use crate::log::Event;
use crate::platform::UserId;

/// Characters of a task's title, and of why it failed.
const TITLE_CHARS: usize = 100;
const REASON_CHARS: usize = 200;
/// Fields that change with every write, and say nothing.
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

type Fields = BTreeMap<String, Box<RawValue>>;

/// What is looked for in the data of an event.
#[derive(Default, Deserialize)]
struct Data {
    reason: Option<String>,
    holder: Option<Person>,
    title: Option<String>,
    #[serde(rename = "taskType")]
    task_type: Option<String>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    user_id: Option<UserId>,
}

#[derive(Deserialize)]
struct Failure {
    message: Option<String>,
}

/// What an event says was done, as a reader sees it.
pub(super) fn doing(seen: &Event, modules: &Modules, names: &Names) -> Doing {
    let told = &seen.told;
    let data = told
        .data
        .as_deref()
        .map(|data| serde_json::from_str(data.get()));
    let data: Data = data.and_then(Result::ok).unwrap_or_default();
    let action = told.event_type.action();
    if told.event_type.as_str().starts_with("ai:task:") {
        return task(action, data, told.user.is_some());
    }
    let module = told.module().and_then(|module| modules.get(module));
    match action {
        "unlocked" => {
            let holder = data.holder.and_then(|holder| holder.user_id);
            Doing::TookLock(names.user(holder.as_ref()).to_owned())
        }
        "deleted" if data.reason.as_deref() == Some("moved") => Doing::MovedAway,
        "updated" => Doing::Changed(changes(seen, module)),
        verb => Doing::Did(said(module, verb)),
    }
}

/// How people say a verb of a module.
fn said(module: Option<&Module>, verb: &str) -> String {
    let mut verbs = module.into_iter().flat_map(Module::verbs);
    let known = verbs.find(|(known, _)| *known == verb);
    known.map_or_else(|| field(verb), |(_, said)| said.to_owned())
}

fn task(action: &str, data: Data, is_known: bool) -> Doing {
    let title = data.title.map(|title| plain(&title, TITLE_CHARS));
    let kind = data.task_type.map(|kind| field(&kind));
    let mut words = title.into_iter().chain(kind);
    let title = words.find(|words| !words.is_empty());
    let title = title.unwrap_or_else(|| "A task".to_owned());
    let why = data.error.and_then(|error| error.message);
    match action {
        "failed" => Doing::Failed(title, why.map(|why| plain(&why, REASON_CHARS))),
        "cancelled" => Doing::Cancelled(title, is_known),
        _ => Doing::Completed(title),
    }
}

/// What changed, without what changes always.
fn changes(seen: &Event, module: Option<&Module>) -> Vec<Change> {
    let now = fields(seen.told.changes.as_deref());
    let before = fields(seen.told.previous.as_deref());
    let said = |name: &str, value: &RawValue| {
        let is_money = module.is_some_and(|module| module.money.contains(name));
        let to = in_words(value, is_money);
        let from = before.get(name).and_then(|value| in_words(value, is_money));
        Change {
            field: field(name),
            // Who may not see what it is may not see what it was.
            from: from.filter(|_| to.is_some()),
            to,
        }
    };
    // With a new owner what is private is told again, changed or not; only of the rest is it
    // known what was before.
    let is_news = |name: &String| !seen.told.is_new_owner || before.contains_key(name);
    let said_of = now
        .iter()
        .filter(|(name, _)| !BOOKKEEPING.contains(&name.as_str()) && is_news(name));
    said_of.map(|(name, value)| said(name, value)).collect()
}

fn fields(object: Option<&RawValue>) -> Fields {
    let fields = object.map(|object| serde_json::from_str(object.get()));
    fields.and_then(Result::ok).unwrap_or_default()
}
