//! The names of the people and records of a page: two queries.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::action;
use super::text::ActivitySentence;
use super::values::plain;
use crate::directory::Modules;
use crate::directory::people;
use crate::log::{Audience, Event, REDACTED};
use crate::log::{LabelCandidates, LabelQuery, labels};
use crate::platform::{BrokerId, RecordPath, UserId};

/// The name of an unknown user.
const SOMEBODY: &str = "Somebody";
/// The most characters of a record's label.
const LABEL_CHARS: usize = 80;

#[derive(Debug, Default)]
pub struct Names {
    users: BTreeMap<UserId, Option<String>>,
    records: BTreeMap<RecordPath, RecordLabel>,
}

#[derive(Debug, Default)]
struct RecordLabel {
    /// The field that has the name of the record.
    field: Option<String>,
    text: Option<String>,
}

impl Names {
    /// The users and records of these events; their names are not known yet.
    #[must_use]
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>, modules: &Modules) -> Self {
        let mut names = Self::default();
        for event in events {
            let body = &event.body;
            let holder = body.data.as_deref().and_then(holder);
            names.add_users(body.user.iter().cloned().chain(holder));
            if let Some(record) = body.record_path() {
                let module = modules.get(&record.module);
                let field = module.and_then(|module| module.label.clone());
                let label = RecordLabel { field, text: None };
                names.records.insert(record, label);
            }
        }
        names
    }

    pub fn add_users(&mut self, users: impl IntoIterator<Item = UserId>) {
        self.users
            .extend(users.into_iter().map(|user| (user, None)));
    }

    /// Looks the names up, those of records from events that `visible_to` received.
    pub async fn look_up(
        mut self,
        connection: &mut PgConnection,
        broker: &BrokerId,
        visible_to: &[Audience],
    ) -> sqlx::Result<Self> {
        let users: Vec<_> = self.users.keys().cloned().collect();
        if !users.is_empty() {
            for (user, name) in people::names(connection, broker, &users).await? {
                self.users.insert(user, Some(name));
            }
        }
        let fields = self.records.iter();
        let asked: Vec<_> = fields
            .filter_map(|(record, label)| Some((record, label.field.as_deref()?)))
            .collect();
        let query = LabelQuery {
            broker,
            seen_by: visible_to,
            records: &asked,
        };
        let mut found = Vec::new();
        if !asked.is_empty() {
            let find = |candidates: LabelCandidates| {
                let (record, field) = asked[candidates.record];
                let mut labels = candidates.objects.iter();
                let label = labels.find_map(|object| label(object, field));
                found.extend(label.map(|label| (record.clone(), label)));
            };
            labels::find(connection, &query, find).await?;
        }
        for (record, label) in found {
            // The newest label comes first.
            let known = self.records.entry(record).or_default();
            known.text.get_or_insert(label);
        }
        Ok(self)
    }

    #[must_use]
    pub fn user<'a>(&'a self, user: Option<&'a UserId>) -> &'a str {
        let Some(user) = user else { return SOMEBODY };
        let name = self.users.get(user).and_then(Option::as_deref);
        name.unwrap_or(user.as_str())
    }

    /// The name of a record, if the log has it.
    #[must_use]
    pub fn label(&self, record: &RecordPath) -> Option<&str> {
        self.records.get(record)?.text.as_deref()
    }

    /// The name of a record, or else its kind and id.
    #[must_use]
    pub fn record(&self, record: &RecordPath, modules: &Modules) -> String {
        let kind = modules.get(&record.module);
        let kind = kind.map_or("record", |module| module.singular());
        let label = self.label(record).map(ToOwned::to_owned);
        label.unwrap_or_else(|| format!("{kind} {}", record.id))
    }

    /// The sentence about an event, as its reader may see it.
    #[must_use]
    pub fn text(&self, seen: &Event, modules: &Modules) -> String {
        let record = seen.body.record_path();
        let label = record.map(|record| self.record(&record, modules));
        let sentence = ActivitySentence {
            who: self.user(seen.body.user.as_ref()),
            label: label.as_deref().unwrap_or("a record"),
            action: action::of(seen, modules, self),
        };
        sentence.text()
    }
}

/// The user in `holder.userId`.
fn holder(data: &RawValue) -> Option<UserId> {
    let data: Value = serde_json::from_str(data.get()).ok()?;
    UserId::parse(data["holder"]["userId"].as_str()?).ok()
}

/// The value of the field, if it can be a name.
fn label(object: &RawValue, field: &str) -> Option<String> {
    let object: BTreeMap<String, &RawValue> = serde_json::from_str(object.get()).ok()?;
    let text = match serde_json::from_str(object.get(field)?.get()).ok()? {
        Value::String(text) if text != REDACTED => plain(&text, LABEL_CHARS),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}
