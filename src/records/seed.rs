//! An example brokerage: people on two teams, and records of every module that look like those of a
//! CRM.
//!
//! People and records are defined in `seed/*.toml`: no module is named here. The same day gives the
//! same records.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::platform::Dice;
use crate::platform::{BrokerId, ModuleName};
use crate::records::{Records, RecordsError};

mod data;
mod deck;
mod make;
mod value;

pub use data::{Brokerage, InvalidSeed, SeedPerson};

/// The seed of the random numbers.
const SEED: u64 = 1_908;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeedOutcome {
    /// The number of records that were created, by module.
    Made(BTreeMap<ModuleName, usize>),
    /// The brokerage had records, so nothing was changed.
    LeftAlone,
}

/// Why a brokerage was not filled. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("the data of the example brokerage is wrong: {0}")]
    Data(#[from] InvalidSeed),
    #[error("the records of the example brokerage could not be created: {0}")]
    Records(#[from] RecordsError),
}

/// Creates the records of the example for a brokerage that has none. Dates are around `now`.
pub async fn fill(
    records: &Records,
    brokerage: &Brokerage,
    broker: &BrokerId,
    now: OffsetDateTime,
) -> Result<SeedOutcome, SeedError> {
    let mut drafts = make::drafts(brokerage, broker, now, &Dice::seeded(SEED))?;
    let catalogue = records.catalogue().await?;
    drafts.retain(|draft| catalogue.kind(&draft.module).is_some());
    if !records.fill(broker, &drafts).await? {
        return Ok(SeedOutcome::LeftAlone);
    }
    let mut counts = BTreeMap::new();
    for draft in drafts {
        *counts.entry(draft.module).or_default() += 1;
    }
    Ok(SeedOutcome::Made(counts))
}
