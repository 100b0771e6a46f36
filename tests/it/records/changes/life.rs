//! All that can happen to a record, as requests and as statements.

use reqwest::Method;
use serde_json::{Value, json};

use super::By;

/// The event that a change is to cause.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    Created,
    /// The verb, and the fields besides the version and the time.
    Changed(&'static str, &'static [&'static str]),
    Moved,
    Deleted,
    Nothing,
}

/// A change, as a request and as a statement.
pub struct Change {
    pub method: Method,
    pub path: &'static str,
    pub body: Value,
    pub sql: String,
    pub effect: Effect,
}

/// A record that goes through all that can happen to it.
pub struct Life<'a> {
    pub module: &'a str,
    pub singular: &'a str,
    pub required: &'a str,
    pub id: String,
    pub by: By,
}

impl Life<'_> {
    /// Names of its private field, as a field and as a column.
    fn private(&self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self.module {
            "escrows" => ("commission", "commission", &["commission"]),
            "listings" => ("commissionRate", "commission_rate", &["commissionRate"]),
            _ => ("notes", "notes", &["notes"]),
        }
    }

    /// Names of one of its fields that everybody may see.
    fn open(&self) -> (&'static str, &'static [&'static str]) {
        match self.module {
            "escrows" | "listings" => ("city", &["city"]),
            "appointments" => ("location", &["location"]),
            _ => ("phone", &["phone"]),
        }
    }

    fn update(&self, set: &str) -> String {
        let Self { module, id, .. } = self;
        format!("update porchlight.{module} set {set} where broker_id = 'b' and id = '{id}'")
    }

    fn patch(&self, body: Value, set: &str, effect: Effect) -> Change {
        Change {
            method: Method::PATCH,
            path: "",
            body,
            sql: self.update(set),
            effect,
        }
    }

    fn put(&self, path: &'static str, set: &str, verb: &'static str) -> Change {
        Change {
            method: Method::POST,
            path,
            body: Value::Null,
            sql: self.update(set),
            effect: Effect::Changed(verb, &["archivedAt"]),
        }
    }

    fn created(&self) -> Change {
        let Self {
            module,
            required,
            id,
            ..
        } = self;
        let (private, column, _) = self.private();
        let secret = if private == "notes" {
            json!("5")
        } else {
            json!(5)
        };
        Change {
            method: Method::POST,
            path: "",
            body: json!({"id": id, *required: "one", private: secret}),
            sql: format!(
                "insert into porchlight.{module} (broker_id, id, team_id, owner_id, {required}, {column})
                 values ('b', '{id}', 'a', 'ann', 'one', '5')"
            ),
            effect: Effect::Created,
        }
    }

    pub fn changes(&self) -> Vec<Change> {
        let (open, opened) = self.open();
        let (private, column, kept) = self.private();
        let secret = if private == "notes" {
            json!("6")
        } else {
            json!(6)
        };
        let set = format!("{open} = 'two'");
        vec![
            self.created(),
            self.patch(
                json!({open: "two"}),
                &set,
                Effect::Changed("updated", opened),
            ),
            self.patch(json!({open: "two"}), &set, Effect::Nothing),
            self.patch(
                json!({private: secret}),
                &format!("{column} = '6'"),
                Effect::Changed("updated", kept),
            ),
            self.put("/archive", "archived_at = now()", "archived"),
            self.put("/restore", "archived_at = null", "restored"),
            self.patch(json!({"teamId": "z"}), "team_id = 'z'", Effect::Moved),
            self.patch(json!({"teamId": null}), "team_id = null", Effect::Moved),
            self.patch(json!({"teamId": "a"}), "team_id = 'a'", Effect::Moved),
            Change {
                method: Method::DELETE,
                path: "",
                body: Value::Null,
                sql: format!(
                    "delete from porchlight.{} where broker_id = 'b' and id = '{}'",
                    self.module, self.id
                ),
                effect: Effect::Deleted,
            },
        ]
    }
}
