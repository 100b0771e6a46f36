//! Changes of records.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

use super::begin::{Begun, Insertion, LockedRecord, key};
use super::error::RecordsError;
use super::fields::RecordKind;
use super::parse::{FieldError, FieldFault, InputValue, Parsed, Purpose};
use super::record::{Record, may_see_private};
use super::row::{self, RecordRow};
use super::stale::{Precondition, refuse_stale};
use super::{RecordFields, Records};
use crate::directory::rights;
use crate::identity::Caller;
use crate::log::{Answered, IdempotencyKey, store_answer};
use crate::platform::{RecordPath, TeamId, Transaction};

/// Characters of an id that the service makes.
const ID_LEN: usize = 20;
const ID: &str = "id";
/// Why an agent may not choose an id. The name of the field stands before it.
const UUID_NEEDED: &str = "must be a random UUID (version 4 or 7), which nobody can guess; leave it out to have an id made. \
     Admins and services choose any";
const TEAM: &str = "team_id";
const OWNER: &str = "owner_id";

/// The record to change, and what the writer requires of it.
#[derive(Clone, Debug)]
pub struct RecordChange {
    pub record: RecordPath,
    /// The versions that the record may have. None for any.
    pub versions: Option<Vec<i64>>,
    /// The fence of the lock that the writer must hold.
    pub fence: Option<i64>,
    /// Whether others may have changed other fields.
    pub may_merge: bool,
    /// With a key, the request can be repeated safely.
    pub key: Option<IdempotencyKey>,
}

/// The answer to the deletion of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedRecord {
    /// The last version, which the event has too.
    pub version: i64,
}

impl RecordChange {
    pub(super) fn precondition(&self) -> Precondition<'_> {
        Precondition {
            versions: self.versions.as_deref(),
            may_merge: self.may_merge,
        }
    }
}

impl Records {
    pub async fn create<'a>(
        &self,
        caller: &Caller,
        kind: &RecordKind,
        inputs: impl IntoIterator<Item = (&'a str, InputValue<'a>)>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Record>, RecordsError> {
        let fields = self.new_record(caller, kind, inputs)?;
        let insertion = Insertion {
            caller,
            kind,
            fields: &fields,
            key,
        };
        match self.insert(insertion).await? {
            Begun::Answered(answered) => Ok(answered),
            Begun::Locked(locked) => {
                let LockedRecord {
                    transaction, row, ..
                } = *locked;
                let record = Record::of(&row, kind, &rights::of(caller))?;
                self.answer(transaction, key, record).await
            }
        }
    }

    /// The fields of a new record of the caller's, with defaults.
    pub fn new_record<'a>(
        &self,
        caller: &Caller,
        kind: &RecordKind,
        inputs: impl IntoIterator<Item = (&'a str, InputValue<'a>)>,
    ) -> Result<RecordFields, RecordsError> {
        let mut parsed = kind.parse(inputs, Purpose::Create);
        let id: Option<String> = parsed
            .fields
            .get(ID)
            .and_then(|json| serde_json::from_str(json).ok());
        if id.is_some_and(|id| !self.ids.allows(caller, &id)) {
            parsed.errors.push(FieldError {
                field: ID.to_owned(),
                fault: FieldFault::Invalid,
                reason: UUID_NEEDED.to_owned(),
            });
        }
        self.with_defaults(caller, parsed)
    }

    /// Adds defaults, without the rule for ids.
    pub(super) fn with_defaults(
        &self,
        caller: &Caller,
        parsed: Parsed,
    ) -> Result<RecordFields, RecordsError> {
        let mut fields = parsed.checked().map_err(RecordsError::Invalid)?;
        refuse_foreign_team(caller, &fields)?;
        let quoted = |name: &str| Value::from(name).to_string();
        for (column, default) in [
            (ID, quoted(&self.dice.tag(ID_LEN))),
            (OWNER, quoted(caller.user.as_str())),
            (
                TEAM,
                Value::from(caller.teams.first().map(TeamId::as_str)).to_string(),
            ),
        ] {
            if fields.get(column).is_none() {
                fields.set(column, default);
            }
        }
        Ok(fields)
    }

    /// Inserts records that [`Records::new_record`] has made, in the caller's transaction.
    pub async fn insert_all(
        connection: &mut PgConnection,
        caller: &Caller,
        kind: &RecordKind,
        records: impl IntoIterator<Item = &RecordFields>,
    ) -> Result<(), RecordsError> {
        row::set_user(connection, &caller.user).await?;
        let records: Vec<_> = records.into_iter().map(RecordFields::json).collect();
        let records = format!("[{}]", records.join(","));
        let inserted = row::insert_all(connection, &caller.broker, kind, &records).await;
        inserted.map_err(|error| RecordsError::of_write(error, kind))
    }

    /// Publishes at once what another transaction has committed.
    pub fn notify_changed(&self) {
        self.waker.wake();
    }

    /// Writes some fields of a record.
    pub async fn patch<'a>(
        &self,
        caller: &Caller,
        change: &RecordChange,
        inputs: impl IntoIterator<Item = (&'a str, InputValue<'a>)>,
    ) -> Result<Answered<Record>, RecordsError> {
        let kind = self.kind(&change.record.module).await?;
        let parsed = kind.parse(inputs, Purpose::Update);
        if parsed.has_public_error() {
            return Err(RecordsError::Invalid(parsed.errors));
        }
        // The turn is dropped last, also where a `?` ends this.
        let LockedRecord {
            turn: _turn,
            mut transaction,
            mut row,
        } = match self.lock(caller, change).await? {
            Begun::Answered(answered) => return Ok(answered),
            Begun::Locked(locked) => *locked,
        };
        refuse_private_fields(caller, &row, &parsed)?;
        let fields = parsed.checked().map_err(RecordsError::Invalid)?;
        refuse_new_owner(caller, &row, &fields)?;
        if fields.get(TEAM) != Some(&*Value::from(row.team_id.as_deref()).to_string()) {
            refuse_foreign_team(caller, &fields)?;
        }
        let reader = rights::of(caller);
        refuse_stale(&change.precondition(), &row, kind, &reader, &fields)?;
        if row.is_archived {
            return Err(RecordsError::Archived);
        }
        if !fields.is_empty() {
            let key = key(caller, change);
            let patched = row::patch(&mut transaction, key, &fields).await;
            row = patched.map_err(|error| RecordsError::of_write(error, kind))?;
        }
        let record = Record::of(&row, kind, &reader)?;
        self.answer(transaction, change.key.as_ref(), record).await
    }

    /// Archives a record, or restores it.
    pub async fn archive(
        &self,
        caller: &Caller,
        change: &RecordChange,
        is_archived: bool,
    ) -> Result<Answered<Record>, RecordsError> {
        let kind = self.kind(&change.record.module).await?;
        let mut locked = match self.lock_unchanged(caller, change, kind).await? {
            Begun::Answered(answered) => return Ok(answered),
            Begun::Locked(locked) => locked,
        };
        if locked.row.is_archived != is_archived {
            let key = key(caller, change);
            locked.row = row::archive(&mut locked.transaction, key, is_archived).await?;
        }
        let record = Record::of(&locked.row, kind, &rights::of(caller))?;
        let key = change.key.as_ref();
        self.answer(locked.transaction, key, record).await
    }

    pub async fn delete(
        &self,
        caller: &Caller,
        change: &RecordChange,
    ) -> Result<Answered<DeletedRecord>, RecordsError> {
        let kind = self.kind(&change.record.module).await?;
        let mut locked = match self.lock_unchanged(caller, change, kind).await? {
            Begun::Answered(answered) => return Ok(answered),
            Begun::Locked(locked) => locked,
        };
        row::delete(&mut locked.transaction, key(caller, change)).await?;
        let version = locked.row.version;
        let key = change.key.as_ref();
        self.answer(locked.transaction, key, DeletedRecord { version })
            .await
    }

    /// Stores the answer with the key, and commits.
    async fn answer<T: Serialize>(
        &self,
        mut transaction: Transaction<'_>,
        key: Option<&IdempotencyKey>,
        answer: T,
    ) -> Result<Answered<T>, RecordsError> {
        let answered = store_answer(&mut transaction, key, answer).await?;
        self.commit(transaction).await?;
        Ok(answered)
    }

    /// Commits, and wakes the relay.
    pub(super) async fn commit(&self, transaction: Transaction<'_>) -> Result<(), RecordsError> {
        transaction.commit().await?;
        self.waker.wake();
        Ok(())
    }
}

/// Only the owner and admins may write private fields.
fn refuse_private_fields(
    caller: &Caller,
    row: &RecordRow,
    parsed: &Parsed,
) -> Result<(), RecordsError> {
    match parsed.private.first() {
        Some(field) if !may_see_private(row, &rights::of(caller)) => {
            Err(RecordsError::PrivateField(field.clone()))
        }
        _ => Ok(()),
    }
}

fn refuse_new_owner(
    caller: &Caller,
    row: &RecordRow,
    fields: &RecordFields,
) -> Result<(), RecordsError> {
    let owner = Value::from(row.owner_id.as_deref()).to_string();
    let is_new = fields.get(OWNER).is_some_and(|given| given != owner);
    if is_new && !may_see_private(row, &rights::of(caller)) {
        return Err(RecordsError::NotOwner);
    }
    Ok(())
}

fn refuse_foreign_team(caller: &Caller, fields: &RecordFields) -> Result<(), RecordsError> {
    let team = fields
        .get(TEAM)
        .and_then(|json| serde_json::from_str(json).ok());
    let team: Option<TeamId> = team.unwrap_or_default();
    match team {
        Some(team) if !caller.is_on(&team) && !caller.may_administer() => {
            Err(RecordsError::NotYourTeam(team))
        }
        _ => Ok(()),
    }
}
