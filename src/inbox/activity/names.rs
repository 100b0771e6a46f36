//! What people and records are called, of all that a page speaks of: two queries.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::doing::doing;
use super::text::Said;
use super::values::{REDACTED, plain};
use crate::directory::Modules;
use crate::directory::people;
use crate::log::{Audience, Event};
use crate::log::{Question, Told, labels};
use crate::platform::{BrokerId, RecordPath, UserId};

/// Who did it, when nobody knows.
const SOMEBODY: &str = "Somebody";
/// Characters of a record's label.
const LABEL_CHARS: usize = 80;

/// What people and records are called.
#[derive(Debug, Default)]
pub struct Names {
    users: BTreeMap<UserId, Option<String>>,
    /// The field that each is known by, and what stands there.
    records: BTreeMap<RecordPath, (Option<String>, Option<String>)>,
}

impl Names {
    /// All that these acts name, not looked up yet.
    #[must_use]
    pub fn of<'a>(acts: impl IntoIterator<Item = &'a Event>, modules: &Modules) -> Self {
        let mut names = Self::default();
        for act in acts {
            let told = &act.told;
            let holder = told.data.as_deref().and_then(holder);
            names.add_users(told.user.iter().cloned().chain(holder));
            if let Some(record) = told.record_path() {
                let module = modules.get(&record.module);
                let field = module.and_then(|module| module.label.clone());
                names.records.insert(record, (field, None));
            }
        }
        names
    }

    pub fn add_users(&mut self, users: impl IntoIterator<Item = UserId>) {
        self.users
            .extend(users.into_iter().map(|user| (user, None)));
    }

    /// With what the database knows, as far as `seen_by` were told of it (none: everybody).
    pub async fn looked_up(
        mut self,
        connection: &mut PgConnection,
        (broker, seen_by): (&BrokerId, Option<&[Audience]>),
    ) -> sqlx::Result<Self> {
        let users: Vec<_> = self.users.keys().cloned().collect();
        if !users.is_empty() {
            for (user, name) in people::names(connection, broker, &users).await? {
                self.users.insert(user, Some(name));
            }
        }
        let fields = self.records.iter();
        let asked: Vec<_> = fields
            .filter_map(|(record, (field, _))| Some((record, field.as_deref()?)))
            .collect();
        let question = Question {
            broker,
            seen_by,
            records: &asked,
        };
        let mut found = Vec::new();
        if !asked.is_empty() {
            let find = |told: Told| {
                let (record, field) = asked[told.of];
                let mut labels = told.objects.iter();
                let label = labels.find_map(|object| label(object, field));
                found.extend(label.map(|label| (record.clone(), label)));
            };
            labels::find(connection, &question, find).await?;
        }
        for (record, label) in found {
            // The newest comes first.
            let known = self.records.entry(record).or_default();
            known.1.get_or_insert(label);
        }
        Ok(self)
    }

    /// What a user is called.
    #[must_use]
    pub fn user<'a>(&'a self, user: Option<&'a UserId>) -> &'a str {
        let Some(user) = user else { return SOMEBODY };
        let name = self.users.get(user).and_then(Option::as_deref);
        name.unwrap_or(user.as_str())
    }

    /// What a record is called, where the log knows.
    #[must_use]
    pub fn label(&self, record: &RecordPath) -> Option<&str> {
        self.records.get(record)?.1.as_deref()
    }

    /// What a record is called, or else its kind and id.
    #[must_use]
    pub fn record(&self, record: &RecordPath, modules: &Modules) -> String {
        let kind = modules.get(&record.module);
        let kind = kind.map_or("record", |module| module.singular());
        let label = self.label(record).map(ToOwned::to_owned);
        label.unwrap_or_else(|| format!("{kind} {}", record.id))
    }

    /// What was done, in words, by the event as its reader sees it.
    #[must_use]
    pub fn text(&self, seen: &Event, modules: &Modules) -> String {
        let record = seen.told.record_path();
        let label = record.map(|record| self.record(&record, modules));
        let said = Said {
            who: self.user(seen.told.user.as_ref()),
            label: label.as_deref().unwrap_or("a record"),
            doing: doing(seen, modules, self),
        };
        said.text()
    }
}

/// Who held a lock that this tells of.
fn holder(data: &RawValue) -> Option<UserId> {
    let data: Value = serde_json::from_str(data.get()).ok()?;
    UserId::parse(data["holder"]["userId"].as_str()?).ok()
}

/// What stands in the field, if it can be a name.
fn label(object: &RawValue, field: &str) -> Option<String> {
    let object: BTreeMap<String, &RawValue> = serde_json::from_str(object.get()).ok()?;
    let text = match serde_json::from_str(object.get(field)?.get()).ok()? {
        Value::String(text) if text != REDACTED => plain(&text, LABEL_CHARS),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}
