//! Records for users without tables of their own. The triggers that watch a CRM's tables publish
//! changes of these records, too.
//!
//! A change locks the row of the lock first, and then the row of the record, in one transaction. The
//! fields are read from the database: no module is named here.

use sqlx::PgConnection;
use tokio::sync::OnceCell;

use crate::directory::Modules;
use crate::directory::rights;
use crate::identity::Caller;
use crate::log::Cursor;
use crate::log::RelayWaker;
use crate::log::heads;
use crate::platform::Dice;
use crate::platform::Permits;
use crate::platform::Pool;
use crate::platform::{BrokerId, ModuleName, RecordPath};

mod begin;
mod catalogue;
mod cursor;
#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_points;
mod error;
mod fields;
mod fill;
mod id;
mod list;
mod parse;
mod queue;
mod record;
mod row;
pub mod seed;
mod stale;
mod value;
mod wait;
mod write;

pub use error::{RecordsError, Stale};
pub use fields::{Catalogue, Field, FieldType, FieldWriter, RecordKind};
pub use fill::RecordDraft;
pub use id::{IdRule, UnknownIdRule};
pub use list::{LIMIT_DEFAULT, LIMIT_MOST, RecordListQuery, RecordPage};
pub use parse::{FieldError, FieldFault, InputValue, Parsed, Purpose, RecordFields};
use queue::RecordQueues;
pub use record::Record;
pub use seed::{Brokerage, SeedError, SeedOutcome, SeedPerson};
use wait::WaitLimiter;
pub use write::{DeletedRecord, RecordChange};

#[derive(Debug)]
pub struct Records {
    pool: Pool,
    waits: WaitLimiter,
    queues: RecordQueues,
    modules: Modules,
    dice: Dice,
    waker: RelayWaker,
    catalogue: OnceCell<Catalogue>,
    ids: IdRule,
}

impl Records {
    /// The records of the modules that have a table. A change wakes the relay.
    #[must_use]
    pub fn new(pool: Pool, modules: Modules, dice: Dice, waker: RelayWaker) -> Self {
        Self {
            waits: WaitLimiter::new(&pool),
            queues: RecordQueues::default(),
            pool,
            modules,
            dice,
            waker,
            catalogue: OnceCell::new(),
            ids: IdRule::default(),
        }
    }

    /// The same records, with this rule for the ids that agents choose.
    #[must_use]
    pub fn with_ids(self, ids: IdRule) -> Self {
        Self { ids, ..self }
    }

    /// The same records. Metrics show how many requests wait for locked rows.
    #[must_use]
    pub fn watched_by(self, permits: &Permits) -> Self {
        self.waits.watched_by(permits);
        self
    }

    /// The modules that have a table, with their fields. Read from the database once.
    pub async fn catalogue(&self) -> Result<&Catalogue, RecordsError> {
        let read = || async {
            let mut connection = self.pool.acquire().await?;
            catalogue::read(&mut connection, &self.modules).await
        };
        Ok(self.catalogue.get_or_try_init(read).await?)
    }

    /// Fails when the module has no table.
    pub async fn kind(&self, module: &ModuleName) -> Result<&RecordKind, RecordsError> {
        let kind = self.catalogue().await?.kind(module);
        kind.ok_or_else(|| RecordsError::NoRecords(module.clone()))
    }

    /// A record, and the position of the log in the same snapshot.
    pub async fn get(
        &self,
        caller: &Caller,
        path: &RecordPath,
    ) -> Result<(Record, Cursor), RecordsError> {
        let kind = self.kind(&path.module).await?;
        let mut connection = self.pool.acquire().await?;
        let broker = &caller.broker;
        let mut found = row::one(&mut connection, broker, kind, &path.id).await?;
        if found.is_none() {
            self.begin_log(&mut connection, broker).await?;
            found = row::one(&mut connection, broker, kind, &path.id).await?;
        }
        let found = found.ok_or(RecordsError::Busy)?;
        let row = found.rows.into_iter().next();
        let row = row.filter(|row| record::may_see(row, caller));
        let row = row.ok_or_else(|| RecordsError::Unknown(path.clone()))?;
        let record = Record::of(&row, kind, &rights::of(caller))?;
        Ok((record, found.position))
    }

    /// A brokerage without events has no log and no position. This creates its log.
    async fn begin_log(
        &self,
        connection: &mut PgConnection,
        broker: &BrokerId,
    ) -> Result<(), RecordsError> {
        heads::ensure(connection, &self.dice, std::slice::from_ref(broker)).await?;
        Ok(())
    }
}
