//! `porchlight seed`: creates an example brokerage, and prints what a shell needs to use it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use super::run::{block_on, fail, print, stored_secret};
use super::shell::{Exports, local_url};
use super::token::TokenArgs;
use crate::app;
use crate::app::{Environment, Example};
use crate::config::Config;
use crate::identity::{IdentitySettings, Role, TokenSigner};
use crate::platform::telemetry;
use crate::platform::telemetry::progress;
use crate::platform::{BrokerId, InvalidId};
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
        say(&outcome(broker, &filled));
        let mut exports = Exports::of_this_program(&command.config.database);
        let url = local_url(command.config.server.addr());
        exports.set("URL", &url, &url);
        if let Some(settings) = signing(&command.config)? {
            let signer = Signer {
                broker,
                settings: &settings,
                environment: &environment,
            };
            signer.set_tokens(&brokerage, &mut exports)?;
        }
        say(exports.notes());
        if std::io::stdout().is_terminal() {
            say("Set these variables with: eval \"$(porchlight seed)\"");
        }
        print(exports.lines());
        Ok::<_, String>(())
    })
}

/// Standard output has lines for a shell only.
fn say(text: &str) {
    // Nobody reads it if this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
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

/// Signs tokens of one brokerage.
struct Signer<'a> {
    broker: &'a BrokerId,
    settings: &'a IdentitySettings,
    environment: &'a Environment,
}

impl Signer<'_> {
    /// Tokens of the first agent and the first admin, of a service, of a worker, and of each person.
    fn set_tokens(&self, brokerage: &Brokerage, exports: &mut Exports) -> Result<(), String> {
        for (name, role) in [("TOKEN", Role::Agent), ("ADMIN", Role::Admin)] {
            let person = brokerage.people.iter().find(|one| one.role == role);
            if let Some(person) = person {
                self.set(exports, name, person)?;
            }
        }
        for (name, role) in [("SERVICE", Role::Service), ("WORKER", Role::Worker)] {
            self.set(exports, name, &program(role)?)?;
        }
        for person in &brokerage.people {
            self.set(exports, &person.user.as_str().to_uppercase(), person)?;
        }
        Ok(())
    }

    /// As long as a service with these settings accepts it.
    fn ttl(&self) -> Duration {
        TokenSigner::new(self.settings).map_or(TTL, |signer| TTL.min(signer.longest()))
    }

    fn set(&self, exports: &mut Exports, name: &str, who: &SeedPerson) -> Result<(), String> {
        let args = TokenArgs {
            user: who.user.clone(),
            broker: self.broker.clone(),
            teams: who.teams.clone(),
            role: who.role,
            name: Some(who.name.clone()),
            ttl: Some(self.ttl()),
        };
        let token = args.token(
            self.settings,
            &self.environment.clock,
            &self.environment.dice,
        );
        let token = token.map_err(|error| error.to_string())?;
        let mut note = format!("{}, {}", who.name, who.role);
        for team in &who.teams {
            // Writing to a string does not fail.
            let _ = write!(note, ", {team}");
        }
        exports.set(name, &token, &note);
        Ok(())
    }
}

/// Who a program of this role is.
fn program(role: Role) -> Result<SeedPerson, String> {
    let user = role.to_string();
    Ok(SeedPerson {
        user: user.parse().map_err(|error: InvalidId| error.to_string())?,
        name: format!("the example's {user}"),
        role,
        teams: Vec::new(),
    })
}
