//! Changes of records.

use serde_json::Value;
use sqlx::{PgConnection, Postgres, Transaction};

use super::error::RecordsError;
use super::fields::Kind;
use super::line::{self, Wait};
use super::parse::{Fault, FieldError, Given, Parsed, Purpose};
use super::record::{Record, is_seen_by, sees_private};
use super::row::{self, RecordKey, RecordRow};
use super::stale::{Known, refuse_stale};
use super::{Fields, Records};
use crate::collab::guard;
use crate::directory::rights;
use crate::identity::Caller;
use crate::platform::{RecordPath, TeamId};

/// Letters of the name of a record that was given none.
const ID_LEN: usize = 20;
/// The column that names a record.
const ID: &str = "id";
/// Why an agent may not have the id that it chose; the field's name stands before it.
const UUID_NEEDED: &str = "must be a random UUID (version 4 or 7), which nobody can guess; leave it out to have an id made. \
     Admins and services choose any";
/// The columns that say whose a record is.
const TEAM: &str = "team_id";
const OWNER: &str = "owner_id";

/// Which record is to change, and what its writer knows of it.
#[derive(Clone, Debug)]
pub struct RecordChange {
    pub record: RecordPath,
    /// The versions it may be, where the writer says so.
    pub versions: Option<Vec<i64>>,
    /// The fence of the lock that the writer holds.
    pub fence: Option<i64>,
    /// Whether what others did to other fields may stand.
    pub may_merge: bool,
}

impl RecordChange {
    fn known(&self) -> Known<'_> {
        Known {
            versions: self.versions.as_deref(),
            may_merge: self.may_merge,
        }
    }
}

/// A record that is the transaction's.
struct Taken<'a> {
    transaction: Transaction<'a, Postgres>,
    row: RecordRow,
}

impl Records {
    pub async fn create<'a>(
        &self,
        caller: &Caller,
        kind: &Kind,
        given: impl IntoIterator<Item = (&'a str, Given<'a>)>,
    ) -> Result<Record, RecordsError> {
        let fields = self.new_record(caller, kind, given)?;
        let Taken { transaction, row } = self.insert(caller, kind, &fields).await?;
        self.conclude(transaction).await?;
        Ok(Record::of(&row, kind, &rights::of(caller))?)
    }

    /// All that a new record of the caller's begins with, if it may be.
    pub fn new_record<'a>(
        &self,
        caller: &Caller,
        kind: &Kind,
        given: impl IntoIterator<Item = (&'a str, Given<'a>)>,
    ) -> Result<Fields, RecordsError> {
        let mut parsed = kind.parse(given, Purpose::Create);
        let id: Option<String> = parsed
            .fields
            .get(ID)
            .and_then(|json| serde_json::from_str(json).ok());
        if id.is_some_and(|id| !self.ids.allows(caller, &id)) {
            parsed.errors.push(FieldError {
                field: ID.to_owned(),
                fault: Fault::Invalid,
                reason: UUID_NEEDED.to_owned(),
            });
        }
        self.begun(caller, parsed)
    }

    /// The same of values that are known to be good, whoever would have chosen the id.
    pub(super) fn begun(&self, caller: &Caller, parsed: Parsed) -> Result<Fields, RecordsError> {
        let mut fields = parsed.checked().map_err(RecordsError::Invalid)?;
        refuse_foreign_team(caller, &fields)?;
        let quoted = |name: &str| Value::from(name).to_string();
        for (column, usual) in [
            (ID, quoted(&self.dice.tag(ID_LEN))),
            (OWNER, quoted(caller.user.as_str())),
            (
                TEAM,
                Value::from(caller.teams.first().map(TeamId::as_str)).to_string(),
            ),
        ] {
            if fields.get(column).is_none() {
                fields.set(column, usual);
            }
        }
        Ok(fields)
    }

    /// Makes records of what [`Records::new_record`] gave, in a transaction of the caller's own.
    pub async fn insert_all(
        connection: &mut PgConnection,
        (caller, kind): (&Caller, &Kind),
        records: impl IntoIterator<Item = &Fields>,
    ) -> Result<(), RecordsError> {
        row::sign(connection, &caller.user).await?;
        let records: Vec<_> = records.into_iter().map(Fields::json).collect();
        let given = format!("[{}]", records.join(","));
        let inserted = row::insert_all(connection, (&caller.broker, kind), &given).await;
        inserted.map_err(|error| RecordsError::of_write(error, kind))
    }

    /// Records were made in a transaction that is committed: they are told of at once.
    pub fn has_changed(&self) {
        self.waker.ring();
    }

    /// Writes some fields of a record.
    pub async fn patch<'a>(
        &self,
        caller: &Caller,
        change: &RecordChange,
        given: impl IntoIterator<Item = (&'a str, Given<'a>)>,
    ) -> Result<Record, RecordsError> {
        let kind = self.kind(&change.record.module).await?;
        let parsed = kind.parse(given, Purpose::RecordChange);
        if parsed.is_plainly_wrong() {
            return Err(RecordsError::Invalid(parsed.errors));
        }
        let Taken {
            mut transaction,
            mut row,
        } = self.take(caller, change).await?;
        refuse_without_right(caller, &row, &parsed)?;
        let fields = parsed.checked().map_err(RecordsError::Invalid)?;
        refuse_foreign_owner(caller, &row, &fields)?;
        if fields.get(TEAM) != Some(&*Value::from(row.team_id.as_deref()).to_string()) {
            refuse_foreign_team(caller, &fields)?;
        }
        let reader = rights::of(caller);
        refuse_stale(&change.known(), (&row, kind, &reader), &fields)?;
        if row.is_archived {
            return Err(RecordsError::Archived);
        }
        if !fields.is_empty() {
            let key = key(caller, change);
            let patched = row::patch(&mut transaction, key, &fields).await;
            row = patched.map_err(|error| RecordsError::of_write(error, kind))?;
        }
        self.conclude(transaction).await?;
        Ok(Record::of(&row, kind, &reader)?)
    }

    /// Puts a record away, or brings it back.
    pub async fn archive(
        &self,
        caller: &Caller,
        change: &RecordChange,
        is_away: bool,
    ) -> Result<Record, RecordsError> {
        let kind = self.kind(&change.record.module).await?;
        let mut taken = self.take_unchanged(caller, change, kind).await?;
        if taken.row.is_archived != is_away {
            let key = key(caller, change);
            taken.row = row::archive(&mut taken.transaction, key, is_away).await?;
        }
        self.conclude(taken.transaction).await?;
        Ok(Record::of(&taken.row, kind, &rights::of(caller))?)
    }

    pub async fn delete(&self, caller: &Caller, change: &RecordChange) -> Result<(), RecordsError> {
        let kind = self.kind(&change.record.module).await?;
        let mut taken = self.take_unchanged(caller, change, kind).await?;
        row::delete(&mut taken.transaction, key(caller, change)).await?;
        self.conclude(taken.transaction).await
    }

    /// Makes the row, and waits for who is about to make one of this name.
    async fn insert(
        &self,
        caller: &Caller,
        kind: &Kind,
        fields: &Fields,
    ) -> Result<Taken<'static>, RecordsError> {
        let of = (kind, fields);
        match self.try_insert(caller, of, Wait::Moment).await {
            Err(RecordsError::Busy) => {}
            outcome => return outcome,
        }
        let _turn = self.line.turn().await?;
        self.try_insert(caller, of, Wait::Turn).await
    }

    async fn try_insert(
        &self,
        caller: &Caller,
        (kind, fields): (&Kind, &Fields),
        wait: Wait,
    ) -> Result<Taken<'static>, RecordsError> {
        let mut transaction = self.pool.begin().await?;
        line::sign(&mut transaction, &caller.user, wait).await?;
        let row = row::insert(&mut transaction, (&caller.broker, kind), fields).await;
        let row = row.map_err(|error| RecordsError::of_write(error, kind))?;
        Ok(Taken { transaction, row })
    }

    /// Takes a record, and waits for who has it.
    async fn take(
        &self,
        caller: &Caller,
        change: &RecordChange,
    ) -> Result<Taken<'static>, RecordsError> {
        match self.try_take(caller, change, Wait::Moment).await {
            Err(RecordsError::Busy) => {}
            outcome => return outcome,
        }
        let _turn = self.line.turn().await?;
        self.try_take(caller, change, Wait::Turn).await
    }

    /// Takes the lock's row first and the record's second. What the lock says is of no
    /// concern to who does not see the record.
    async fn try_take(
        &self,
        caller: &Caller,
        change: &RecordChange,
        wait: Wait,
    ) -> Result<Taken<'static>, RecordsError> {
        let mut transaction = self.pool.begin().await?;
        line::sign(&mut transaction, &caller.user, wait).await?;
        let who = (caller, &change.record);
        let barred = guard::bars(&mut transaction, who, change.fence).await?;
        let row = row::take(&mut transaction, key(caller, change)).await?;
        let row = row.filter(|row| is_seen_by(row, caller));
        let row = row.ok_or_else(|| RecordsError::Unknown(change.record.clone()))?;
        match barred {
            Some(barred) => Err(barred.into()),
            None => Ok(Taken { transaction, row }),
        }
    }

    /// The same, of a record that is as the writer knows it.
    async fn take_unchanged(
        &self,
        caller: &Caller,
        change: &RecordChange,
        kind: &Kind,
    ) -> Result<Taken<'static>, RecordsError> {
        let taken = self.take(caller, change).await?;
        let whose = (&taken.row, kind, &rights::of(caller));
        refuse_stale(&change.known(), whose, &Fields::default())?;
        Ok(taken)
    }

    /// Commits, and has the outbox looked at.
    pub(super) async fn conclude(
        &self,
        transaction: Transaction<'_, Postgres>,
    ) -> Result<(), RecordsError> {
        transaction.commit().await?;
        self.waker.ring();
        Ok(())
    }
}

fn key<'a>(caller: &'a Caller, change: &'a RecordChange) -> RecordKey<'a> {
    RecordKey {
        broker: &caller.broker,
        record: &change.record,
    }
}

/// What only the owner and admins see, only they write: whatever was meant by it.
fn refuse_without_right(
    caller: &Caller,
    row: &RecordRow,
    parsed: &Parsed,
) -> Result<(), RecordsError> {
    match parsed.private.first() {
        Some(field) if !sees_private(row, &rights::of(caller)) => {
            Err(RecordsError::PrivateField(field.clone()))
        }
        _ => Ok(()),
    }
}

fn refuse_foreign_owner(
    caller: &Caller,
    row: &RecordRow,
    fields: &Fields,
) -> Result<(), RecordsError> {
    let owner = Value::from(row.owner_id.as_deref()).to_string();
    let is_given = fields.get(OWNER).is_some_and(|wished| wished != owner);
    if is_given && !sees_private(row, &rights::of(caller)) {
        return Err(RecordsError::NotOwner);
    }
    Ok(())
}

fn refuse_foreign_team(caller: &Caller, fields: &Fields) -> Result<(), RecordsError> {
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
