//! Records for those who have no tables of their own: read, written, and told of by the very
//! triggers that watch the tables of others.
//!
//! A change takes the row of the lock first and the record's second, in one transaction. Which
//! fields there are is read from the database: nothing here knows a module by its name.

use sqlx::PgConnection;
use tokio::sync::OnceCell;

use crate::directory::Modules;
use crate::directory::rights;
use crate::identity::Caller;
use crate::log::Cursor;
use crate::log::RelayWaker;
use crate::log::heads;
use crate::platform::Dice;
use crate::platform::Pool;
use crate::platform::{BrokerId, ModuleName, RecordPath};

mod catalogue;
mod error;
mod fields;
mod fill;
mod id;
mod line;
mod list;
mod marker;
mod parse;
mod record;
mod row;
pub mod seed;
mod stale;
mod value;
mod write;

pub use error::{RecordsError, Stale};
pub use fields::{Catalogue, Field, FieldType, Kind, Writer};
pub use fill::Draft;
pub use id::{IdRule, UnknownIdRule};
use line::Line;
pub use list::{LIMIT_DEFAULT, LIMIT_MOST, Listed, RecordListQuery};
pub use parse::{Fault, FieldError, Fields, Given, Parsed, Purpose};
pub use record::Record;
pub use seed::{Brokerage, Filled, Person, SeedError};
pub use write::RecordChange;

#[derive(Debug)]
pub struct Records {
    pool: Pool,
    line: Line,
    modules: Modules,
    dice: Dice,
    waker: RelayWaker,
    catalogue: OnceCell<Catalogue>,
    ids: IdRule,
}

impl Records {
    /// The records of those of these modules that have a table. Whoever changes one rings.
    #[must_use]
    pub fn new(pool: Pool, modules: Modules, (dice, waker): (Dice, RelayWaker)) -> Self {
        Self {
            line: Line::before(&pool),
            pool,
            modules,
            dice,
            waker,
            catalogue: OnceCell::new(),
            ids: IdRule::default(),
        }
    }

    /// The same, with this rule for the ids that agents choose.
    #[must_use]
    pub fn with_ids(self, ids: IdRule) -> Self {
        Self { ids, ..self }
    }

    /// Which records are kept here, with which fields; read from the database once.
    pub async fn catalogue(&self) -> Result<&Catalogue, RecordsError> {
        let read = || async {
            let mut connection = self.pool.acquire().await?;
            catalogue::read(&mut connection, &self.modules).await
        };
        Ok(self.catalogue.get_or_try_init(read).await?)
    }

    /// The records of a module, which are kept here.
    pub async fn kind(&self, module: &ModuleName) -> Result<&Kind, RecordsError> {
        let kind = self.catalogue().await?.kind(module);
        kind.ok_or_else(|| RecordsError::NoRecords(module.clone()))
    }

    /// A record, and where the log stood when it was so.
    pub async fn get(
        &self,
        caller: &Caller,
        path: &RecordPath,
    ) -> Result<(Record, Cursor), RecordsError> {
        let kind = self.kind(&path.module).await?;
        let mut connection = self.pool.acquire().await?;
        let which = (&caller.broker, kind, &path.id);
        let mut seen = row::one(&mut connection, which).await?;
        if seen.is_none() {
            self.begin_log(&mut connection, &caller.broker).await?;
            seen = row::one(&mut connection, which).await?;
        }
        let seen = seen.ok_or(RecordsError::Busy)?;
        let row = seen.rows.into_iter().next();
        let row = row.filter(|row| record::is_seen_by(row, caller));
        let row = row.ok_or_else(|| RecordsError::Unknown(path.clone()))?;
        let record = Record::of(&row, kind, &rights::of(caller))?;
        Ok((record, seen.position))
    }

    /// A broker whose records were never told of has no log, and so no position.
    async fn begin_log(
        &self,
        connection: &mut PgConnection,
        broker: &BrokerId,
    ) -> Result<(), RecordsError> {
        heads::ensure(connection, &self.dice, std::slice::from_ref(broker)).await?;
        Ok(())
    }
}
