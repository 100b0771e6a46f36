//! Fills a brokerage with the example data.

use super::prepare::prepare;
use super::{AppError, Environment};
use crate::config::Config;
use crate::directory::people;
use crate::identity::UserProfile;
use crate::log::RelayWaker;
use crate::platform::BrokerId;
use crate::platform::Clock;
use crate::platform::Pool;
use crate::platform::{Database, DatabaseError};
use crate::records::Records;
use crate::records::{Brokerage, SeedOutcome, seed};

/// The example data, and the brokerage that gets it.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    pub brokerage: &'a Brokerage,
    pub broker: &'a BrokerId,
}

/// Fills a brokerage of the configured database, whether a service runs on it or not.
pub async fn seed(
    config: &Config,
    example: Example<'_>,
    environment: &Environment,
) -> Result<SeedOutcome, AppError> {
    let database = Database::open(&config.database, &config.quotas).await?;
    let filled = fill(config, &database, example, environment).await;
    database.close().await;
    filled
}

/// Fills the brokerage of the demo before the service serves anyone.
pub(super) async fn begin(
    pool: &Pool,
    records: &Records,
    clock: &Clock,
) -> Result<Brokerage, AppError> {
    let brokerage = Brokerage::example().map_err(seed::SeedError::from)?;
    let broker = &brokerage.broker;
    match seed::fill(records, &brokerage, broker, clock.now()).await? {
        SeedOutcome::Made(made) => {
            let example = Example {
                brokerage: &brokerage,
                broker,
            };
            introduce(pool, example).await?;
            let records: usize = made.values().sum();
            tracing::info!(%broker, records, "the example brokerage was created");
        }
        SeedOutcome::LeftAlone => {
            tracing::info!(%broker, "this brokerage has records already, so it is left unchanged");
        }
    }
    Ok(brokerage)
}

async fn fill(
    config: &Config,
    database: &Database,
    example: Example<'_>,
    environment: &Environment,
) -> Result<SeedOutcome, AppError> {
    prepare(database).await?;
    // There is no relay here. A service that runs polls the outbox.
    let quiet = RelayWaker::default();
    let modules = config.modules.modules();
    let dice = environment.dice.clone();
    let records = Records::new(database.pool.clone(), modules, dice, quiet);
    let now = environment.clock.now();
    let filled = seed::fill(&records, example.brokerage, example.broker, now).await?;
    if filled != SeedOutcome::LeftAlone {
        introduce(&database.pool, example).await?;
    }
    Ok(filled)
}

/// Stores the names of the example's people before they come.
async fn introduce(pool: &Pool, example: Example<'_>) -> Result<(), AppError> {
    let people = example.brokerage.people.iter().map(|person| UserProfile {
        broker: example.broker.clone(),
        user: person.user.clone(),
        teams: [].into(),
        name: Some(person.name.as_str().into()),
    });
    let people: Vec<_> = people.collect();
    let mut connection = pool.acquire().await.map_err(DatabaseError::Connect)?;
    let kept = people::write_names(&mut connection, &people).await;
    Ok(kept.map_err(DatabaseError::Prepare)?)
}
