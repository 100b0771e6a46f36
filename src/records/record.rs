//! A record as one reader may see it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::RecordKind;
use super::row::RecordRow;
use crate::identity::Caller;
use crate::log::fields;
use crate::log::{Private, REDACTED_JSON, Rights};

/// A record as one reader may see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "StoredRecord")]
pub struct Record {
    pub id: String,
    pub version: i64,
    pub json: Arc<RawValue>,
}

/// A record in the answer of an earlier request.
#[derive(Deserialize)]
struct StoredRecord {
    id: String,
    version: i64,
    json: Box<RawValue>,
}

impl From<StoredRecord> for Record {
    fn from(stored: StoredRecord) -> Self {
        Self {
            id: stored.id,
            version: stored.version,
            json: stored.json.into(),
        }
    }
}

pub(super) fn may_see(row: &RecordRow, caller: &Caller) -> bool {
    let Some(team) = &row.team_id else {
        return true;
    };
    caller.teams.iter().any(|mine| mine.as_str() == team)
}

pub(super) fn may_see_private(row: &RecordRow, reader: &Rights) -> bool {
    reader.sees_private || row.owner_id.as_deref() == Some(reader.user.as_str())
}

impl Record {
    /// The record, with its private fields if the reader may see them.
    pub(super) fn of(row: &RecordRow, kind: &RecordKind, reader: &Rights) -> sqlx::Result<Self> {
        let public = raw(row.json.clone())?;
        let json = if may_see_private(row, reader) {
            unmasked(row, &public)?
        } else {
            masked(kind, &public)?
        };
        Ok(Self {
            id: row.id.clone(),
            version: row.version,
            json,
        })
    }

    /// The value of a field. A text comes without its quotes.
    pub(super) fn plain_value(&self, name: &str) -> Option<String> {
        let fields = fields(&self.json)?;
        let (_, value) = fields.into_iter().find(|(field, _)| field == name)?;
        match serde_json::from_str(value.get()).ok()? {
            Value::Null => None,
            Value::String(text) => Some(text),
            _ => Some(value.get().to_owned()),
        }
    }
}

fn unmasked(row: &RecordRow, public: &Arc<RawValue>) -> sqlx::Result<Arc<RawValue>> {
    let Some(secrets) = &row.secrets else {
        return Ok(Arc::clone(public));
    };
    let private = Private(raw(secrets.clone())?);
    Ok(private
        .put_into(public)
        .unwrap_or_else(|| Arc::clone(public)))
}

/// The table has masked the private fields of its watch. The configuration may name more.
fn masked(kind: &RecordKind, public: &Arc<RawValue>) -> sqlx::Result<Arc<RawValue>> {
    let fields = fields(public).unwrap_or_default();
    let is_private = |name: &str| kind.field(name).is_some_and(|field| field.is_private);
    let is_masked =
        |(name, value): &(String, &RawValue)| !is_private(name) || value.get() == REDACTED_JSON;
    if fields.iter().all(is_masked) {
        return Ok(Arc::clone(public));
    }
    let shown = fields.into_iter().map(|(name, value)| {
        let value = if is_private(&name) {
            REDACTED_JSON
        } else {
            value.get()
        };
        format!("{}:{value}", Value::from(name))
    });
    raw(format!("{{{}}}", shown.collect::<Vec<_>>().join(",")))
}

fn raw(json: String) -> sqlx::Result<Arc<RawValue>> {
    let raw = RawValue::from_string(json);
    raw.map(Arc::from)
        .map_err(|e| sqlx::Error::Decode(e.into()))
}
