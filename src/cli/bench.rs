//! `porchlight bench`: the load generator, with tokens that this service accepts.

use std::process::ExitCode;
use std::time::Duration;

use bench::{BenchArgs, Surroundings, Tokens};
use time::OffsetDateTime;
use tokio::runtime::Builder;

use super::run::{fail, print};
use crate::identity::{MintRequest, Role, Secret, mint};
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
    secret: Option<String>,

    /// Broker that the tokens name
    #[arg(long, default_value = "bench")]
    broker: BrokerId,
}

pub(super) fn run(command: BenchCommand) -> ExitCode {
    let json = command.load.json;
    let surroundings = Surroundings {
        tokens: Box::new(ServerTokens {
            secret: command.secret.as_deref().map(Secret::new),
            broker: command.broker,
            now: Clock::system().now(),
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
    secret: Option<Secret>,
    broker: BrokerId,
    now: OffsetDateTime,
}

impl ServerTokens {
    fn sign(&self, user: &str, teams: Vec<TeamId>, role: Role) -> Result<String, String> {
        let secret = self
            .secret
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
            now: self.now,
            name: None,
            token_id: None,
            issuer: None,
            audience: None,
        };
        Ok(mint(secret, &request))
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
    use crate::identity::{IdentitySettings, Verifier};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn tokens(secret: Option<&str>) -> ServerTokens {
        ServerTokens {
            secret: secret.map(Secret::new),
            broker: "b-1".parse().unwrap(),
            now: Clock::system().now(),
        }
    }

    #[test]
    fn a_service_with_the_same_secret_accepts_the_tokens() {
        let settings = IdentitySettings {
            secret: Some(Secret::new(SECRET)),
            ..IdentitySettings::default()
        };
        let verifier = Verifier::new(&settings, Clock::system()).unwrap();
        let tokens = tokens(Some(SECRET));
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
        let error = tokens(None).service().unwrap_err();
        assert!(error.contains("--secret") && error.contains("JWT_SECRET"));
    }
}
