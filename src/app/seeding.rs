//! Filling a broker with the example brokerage.

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

/// A brokerage, and the broker that is to be filled with it.
type Example<'a> = (&'a Brokerage, &'a BrokerId);

/// Fills a broker of the configured database, whether a service runs on it or not.
pub async fn seed(
    config: &Config,
    example: Example<'_>,
    environment: &Environment,
) -> Result<SeedOutcome, AppError> {
    let database = Database::open(&config.database).await?;
    let filled = fill(config, (&database, example), environment).await;
    database.close().await;
    filled
}

/// Fills the demo's broker before anybody is served.
pub(super) async fn begin(
    (pool, records): (&Pool, &Records),
    clock: &Clock,
) -> Result<Brokerage, AppError> {
    let brokerage = Brokerage::example().map_err(seed::SeedError::from)?;
    let broker = &brokerage.broker;
    match seed::fill(records, &brokerage, broker, clock.now()).await? {
        SeedOutcome::Made(made) => {
            introduce(pool, (&brokerage, broker)).await?;
            let records: usize = made.values().sum();
            tracing::info!(%broker, records, "the example brokerage was made");
        }
        SeedOutcome::LeftAlone => {
            tracing::info!(%broker, "this broker has records already: they are left as they are");
        }
    }
    Ok(brokerage)
}

async fn fill(
    config: &Config,
    (database, example): (&Database, Example<'_>),
    environment: &Environment,
) -> Result<SeedOutcome, AppError> {
    prepare(database).await?;
    // Nobody listens here: a service that runs looks into the outbox by itself, and one that
    // does not will when it starts.
    let quiet = RelayWaker::default();
    let modules = config.modules.modules();
    let dice = environment.dice.clone();
    let records = Records::new(database.pool.clone(), modules, dice, quiet);
    let now = environment.clock.now();
    let filled = seed::fill(&records, example.0, example.1, now).await?;
    if filled != SeedOutcome::LeftAlone {
        introduce(&database.pool, example).await?;
    }
    Ok(filled)
}

/// What they are called is known before they come.
async fn introduce(pool: &Pool, (brokerage, broker): Example<'_>) -> Result<(), AppError> {
    let people = brokerage.people.iter().map(|person| UserProfile {
        broker: broker.clone(),
        user: person.user.clone(),
        teams: [].into(),
        name: Some(person.name.as_str().into()),
    });
    let people: Vec<_> = people.collect();
    let mut connection = pool.acquire().await.map_err(DatabaseError::Connect)?;
    let kept = people::write_names(&mut connection, &people).await;
    Ok(kept.map_err(DatabaseError::Prepare)?)
}
