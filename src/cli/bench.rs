//! `porchlight bench`: the load generator, with tokens that this service accepts.

use std::process::ExitCode;
use std::time::Duration;

use bench::{BenchArgs, Surroundings, Tokens};
use tokio::runtime::Builder;

use super::run::{fail, print};
use crate::config::TokenChecks;
use crate::identity::{IdentitySettings, MintRequest, Role, Secret, TokenSigner};
use crate::platform::Clock;
use crate::platform::telemetry::progress;
use crate::platform::{BrokerId, InvalidId, TeamId};

const TTL: Duration = Duration::from_hours(24);

#[derive(clap::Args, Debug)]
pub(super) struct BenchCommand {
    #[command(flatten)]
    load: BenchArgs,

    /// Secret of the server, which signs the tokens (HS256)
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    secret: Option<Secret>,

    #[command(flatten)]
    checks: TokenChecks,

    /// Broker that the tokens name
    #[arg(long, default_value = "bench")]
    broker: BrokerId,
}

pub(super) fn run(command: BenchCommand) -> ExitCode {
    let json = command.load.json;
    let identity = IdentitySettings {
        secret: command.secret,
        ..command.checks.settings()
    };
    let surroundings = Surroundings {
        tokens: Box::new(ServerTokens {
            signer: TokenSigner::new(&identity),
            broker: command.broker,
            clock: Clock::system(),
        }),
        progress: Box::new(progress::show),
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    let report = match runtime {
        Ok(runtime) => runtime.block_on(bench::run(command.load, surroundings)),
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    progress::clear();
    let report = match report {
        Ok(report) => report,
        Err(error) => return fail(&error.to_string()),
    };
    let printed = print(&if json {
        serde_json::to_string_pretty(&report).unwrap_or_default()
    } else {
        report.to_string()
    });
    match report.why_nothing_was_accepted() {
        Some(problem) => fail(&format!("the server accepted no event: {problem}")),
        None => printed,
    }
}

/// Tokens of one brokerage. A topic is a team.
struct ServerTokens {
    signer: Option<TokenSigner>,
    broker: BrokerId,
    clock: Clock,
}

impl ServerTokens {
    fn sign(&self, user: &str, teams: Vec<TeamId>, role: Role) -> Result<String, String> {
        let signer = self
            .signer
            .as_ref()
            .ok_or(
                "tokens need the server's secret: give --secret or set JWT_SECRET. A server without one has a \
                 secret in the file development.secret of its data directory",
            )?;
        let request = MintRequest {
            user: user.parse().map_err(|error: InvalidId| error.to_string())?,
            broker: self.broker.clone(),
            teams,
            role,
            ttl: TTL,
            now: self.clock.now(),
            name: None,
            token_id: None,
        };
        Ok(signer.sign(&request))
    }
}

impl Tokens for ServerTokens {
    fn member(&self, user: &str, topic: &str) -> Result<String, String> {
        let team = topic
            .parse()
            .map_err(|error: InvalidId| error.to_string())?;
        self.sign(user, vec![team], Role::Agent)
    }

    fn service(&self) -> Result<String, String> {
        self.sign("bench-publisher", Vec::new(), Role::Service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Verifier;

    fn tokens(settings: &IdentitySettings) -> ServerTokens {
        ServerTokens {
            signer: TokenSigner::new(settings),
            broker: "b-1".parse().unwrap(),
            clock: Clock::system(),
        }
    }

    #[test]
    fn a_service_with_the_same_settings_accepts_the_tokens() {
        let settings = IdentitySettings {
            secret: Some(Secret::new("0123456789abcdef0123456789abcdef")),
            issuers: vec!["https://crm".to_owned()],
            audiences: vec!["porchlight".to_owned()],
            max_lifetime: Some(time::Duration::hours(1)),
            ..IdentitySettings::default()
        };
        let verifier = Verifier::new(&settings, Clock::system()).unwrap();
        let tokens = tokens(&settings);
        let member = tokens.member("bench-user-0", "bench-team-3").unwrap();
        let member = verifier.verify(&member).unwrap();
        assert_eq!(member.role, Role::Agent);
        assert_eq!(member.broker.as_str(), "b-1");
        let teams: Vec<_> = member.teams.iter().map(TeamId::as_str).collect();
        assert_eq!(teams, ["bench-team-3"]);
        let service = verifier.verify(&tokens.service().unwrap()).unwrap();
        assert_eq!((service.role, service.teams.len()), (Role::Service, 0));
    }

    #[test]
    fn without_a_secret_the_error_names_the_option_and_the_variable() {
        let error = tokens(&IdentitySettings::default()).service().unwrap_err();
        assert!(error.contains("--secret") && error.contains("JWT_SECRET"));
    }
}
