//! `porchlight seed`: creates an example brokerage.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use super::run::{block_on, fail, print, stored_secret};
use super::token::TokenArgs;
use crate::app;
use crate::app::{Environment, Example};
use crate::config::Config;
use crate::identity::IdentitySettings;
use crate::platform::telemetry;
use crate::platform::telemetry::progress;
use crate::platform::{BrokerId, TeamId};
use crate::records::{Brokerage, SeedOutcome, SeedPerson};

const TTL: Duration = Duration::from_hours(12);

#[derive(clap::Args, Debug)]
pub(super) struct SeedCommand {
    /// The broker to fill; acme when not set
    #[arg(long, value_name = "B")]
    broker: Option<BrokerId>,
    #[command(flatten)]
    config: Config,
}

pub(super) fn run(command: &SeedCommand) -> ExitCode {
    if let Err(error) =
        telemetry::start(&command.config.server.log, command.config.server.log_format)
    {
        return fail(&error);
    }
    block_on(async {
        let brokerage = Brokerage::example().map_err(|error| error.to_string())?;
        let broker = command.broker.as_ref().unwrap_or(&brokerage.broker);
        let environment = Environment::system();
        let example = Example {
            brokerage: &brokerage,
            broker,
        };
        let seed = app::seed(&command.config, example, &environment);
        let filled = progress::during("creating the example records", seed).await;
        let filled = filled.map_err(|error| error.to_string())?;
        print(&outcome(broker, &filled));
        if let Some(settings) = signing(&command.config)? {
            for person in &brokerage.people {
                let token = token(person, broker, &settings, &environment)?;
                print(&line(person, &token));
            }
        }
        Ok::<_, String>(())
    })
}

fn outcome(broker: &BrokerId, filled: &SeedOutcome) -> String {
    let SeedOutcome::Made(made) = filled else {
        return format!("{broker} already has records: nothing was changed.");
    };
    if made.is_empty() {
        return "No module has its records here: nothing was created.".to_owned();
    }
    let counts = made
        .iter()
        .map(|(module, count)| format!("{count} {module}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    format!("{broker} has {counts} now.")
}

/// The settings that sign tokens; none if the service has public keys only.
fn signing(config: &Config) -> Result<Option<IdentitySettings>, String> {
    let mut settings = config.identity.settings();
    if !settings.has_keys() {
        settings.secret = Some(stored_secret(&config.database)?);
    }
    Ok(settings.secret.is_some().then_some(settings))
}

fn token(
    person: &SeedPerson,
    broker: &BrokerId,
    settings: &IdentitySettings,
    environment: &Environment,
) -> Result<String, String> {
    let args = TokenArgs {
        user: person.user.clone(),
        broker: broker.clone(),
        teams: person.teams.clone(),
        role: person.role,
        name: Some(person.name.clone()),
        ttl: TTL,
    };
    let token = args.token(settings, &environment.clock, &environment.dice);
    token.map_err(|error| error.to_string())
}

/// A line for a shell: a variable with the token.
fn line(person: &SeedPerson, token: &str) -> String {
    let mut line = format!("{}={token}", person.user.as_str().to_uppercase());
    let teams: Vec<_> = person.teams.iter().map(TeamId::as_str).collect();
    let (name, role, teams) = (&person.name, person.role, teams.join(" and "));
    // Writing to a string does not fail.
    let _ = write!(line, "  # {name}, {role}, {teams}");
    line
}
