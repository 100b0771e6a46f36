//! A brokerage to try things out with: people on two teams, and records of every module that
//! look like those of a CRM.
//!
//! Who works there and what the records look like is data (`seed/*.toml`): nothing here knows
//! a module by its name. The same day makes the same records.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::platform::Dice;
use crate::platform::{BrokerId, ModuleName};
use crate::records::{Records, RecordsError};

mod data;
mod deck;
mod make;
mod value;

pub use data::{Brokerage, InvalidSeed, Person};

/// What the dice of the example begin with.
const SEED: u64 = 1_908;

/// What became of a broker that was to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filled {
    /// It has records of each of these modules now.
    Made(BTreeMap<ModuleName, usize>),
    /// It had records: nothing was changed.
    LeftAlone,
}

/// Why a broker was not filled; nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("the example brokerage makes no sense: {0}")]
    Data(#[from] InvalidSeed),
    /// A record was not taken.
    #[error("the records of the example brokerage could not be made: {0}")]
    Records(#[from] RecordsError),
}

/// Fills a broker that has no records yet with the example's, around this moment.
pub async fn fill(
    records: &Records,
    (brokerage, broker): (&Brokerage, &BrokerId),
    now: OffsetDateTime,
) -> Result<Filled, SeedError> {
    let mut drafts = make::drafts(brokerage, broker, (now, Dice::seeded(SEED)))?;
    let catalogue = records.catalogue().await?;
    drafts.retain(|draft| catalogue.kind(&draft.module).is_some());
    if !records.fill(broker, &drafts).await? {
        return Ok(Filled::LeftAlone);
    }
    let mut made = BTreeMap::new();
    for draft in drafts {
        *made.entry(draft.module).or_default() += 1;
    }
    Ok(Filled::Made(made))
}
