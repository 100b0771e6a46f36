//! How tokens are verified: keys, expected values and names of claims.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, NonEmptyStringValueParser};

use crate::identity::{ClaimNames, IdentitySettings, Secret};

/// All configured sources of keys are active.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Identity")]
pub struct IdentityArgs {
    /// Secret for HS256, HS384 and HS512 tokens, 32 bytes or more. Prefer the
    /// environment: a flag can be seen in the process list
    #[arg(
        long,
        env = "JWT_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,

    /// PEM file with one public key for RS, PS, ES or `EdDSA` tokens: RSA (2048
    /// bits or more), EC P-256 or P-384, or Ed25519. Read at start
    #[arg(long, env = "JWT_PUBLIC_KEY_FILE", value_name = "FILE")]
    pub jwt_public_key_file: Option<PathBuf>,

    /// JWKS file with public keys. A changed file is picked up within a second
    #[arg(long, env = "JWT_JWKS_FILE", value_name = "FILE")]
    pub jwt_jwks_file: Option<PathBuf>,

    #[command(flatten)]
    pub checks: TokenChecks,

    /// Claims to look for the user in before `sub`, `id`, `user_id` and `userId`.
    /// A name may be a path into nested objects: `app.user`
    #[arg(long, env = "PORCHLIGHT_CLAIM_USER", value_name = "NAME", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub claim_user: Vec<String>,

    /// Claims to look for the broker in before `broker_id` and `brokerId`
    #[arg(long, env = "PORCHLIGHT_CLAIM_BROKER", value_name = "NAME", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub claim_broker: Vec<String>,

    /// Claims to take the teams from instead of `teams`, `team_ids`, `teamIds`,
    /// `team_id` and `teamId`, where a token has them
    #[arg(long, env = "PORCHLIGHT_CLAIM_TEAMS", value_name = "NAME", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub claim_teams: Vec<String>,

    /// Claims to look for the role in before `role`
    #[arg(long, env = "PORCHLIGHT_CLAIM_ROLE", value_name = "NAME", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub claim_role: Vec<String>,

    /// Claims to look for the name of the user in before `name`
    #[arg(long, env = "PORCHLIGHT_CLAIM_NAME", value_name = "NAME", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub claim_name: Vec<String>,

    /// SQL query for the brokerage of users whose tokens name none: one SELECT with one
    /// column. $1 is the user's id, $2 the id of the first team of the token or null,
    /// both as text. Without it, such tokens are refused
    #[arg(long, env = "PORCHLIGHT_BROKER_QUERY", value_name = "SQL", value_parser = NonEmptyStringValueParser::new())]
    pub broker_query: Option<String>,

    /// Seconds that an answer of this query is cached. A change takes effect after this time,
    /// or at once with `porchlight.forget_broker`, unless a Redis is set as backplane
    #[arg(long, env = "PORCHLIGHT_BROKER_CACHE_SECONDS", value_name = "SECONDS",
        default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub broker_cache_seconds: u64,

    /// Whether the parameter `access_token` may carry a token; a ticket may always
    #[arg(long, env = "PORCHLIGHT_TOKEN_IN_QUERY", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set,
        value_parser = BoolishValueParser::new())]
    pub token_in_query: bool,

    /// Name of the cookie that may carry a token
    #[arg(long, env = "PORCHLIGHT_TOKEN_COOKIE", value_name = "NAME", default_value = "access_token", value_parser = cookie_name)]
    pub token_cookie: String,
}

/// What a token must say, beside its signature. Who signs tokens for a service needs it too.
#[derive(clap::Args, Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "they are the names of flags")]
pub struct TokenChecks {
    /// Issuers that are accepted in `iss`, comma separated; `any`: not checked. It must be set to
    /// listen on an address that is not a loopback address
    #[arg(long, env = "JWT_ISSUER", value_name = "ISS", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub jwt_issuer: Vec<String>,

    /// Audiences of which `aud` must name one, comma separated; `any`: not checked. It must be set
    /// to listen on an address that is not a loopback address
    #[arg(long, env = "JWT_AUDIENCE", value_name = "AUD", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub jwt_audience: Vec<String>,

    /// Longest time from `iat` to `exp` of a token, in seconds; tokens must then have `iat`.
    /// A revocation is kept that long. Without it, tokens may last as long as they say
    #[arg(long, env = "JWT_MAX_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..))]
    pub jwt_max_seconds: Option<u32>,
}

impl TokenChecks {
    /// The settings of a service with these checks and no keys.
    #[must_use]
    pub fn settings(&self) -> IdentitySettings {
        let seconds = self.jwt_max_seconds.map(i64::from);
        IdentitySettings {
            issuers: accepted(&self.jwt_issuer),
            audiences: accepted(&self.jwt_audience),
            max_lifetime: seconds.map(time::Duration::seconds),
            ..IdentitySettings::default()
        }
    }
}

impl IdentityArgs {
    #[must_use]
    pub fn broker_ttl(&self) -> Duration {
        Duration::from_secs(self.broker_cache_seconds)
    }

    /// The first setting that says for whom tokens are made and is missing.
    #[must_use]
    pub fn missing_check(&self) -> Option<&'static str> {
        let checks = &self.checks;
        let issuer = checks.jwt_issuer.is_empty().then_some("JWT_ISSUER");
        issuer.or_else(|| checks.jwt_audience.is_empty().then_some("JWT_AUDIENCE"))
    }

    #[must_use]
    pub fn settings(&self) -> IdentitySettings {
        IdentitySettings {
            secret: self.jwt_secret.clone(),
            public_key_file: self.jwt_public_key_file.clone(),
            jwks_file: self.jwt_jwks_file.clone(),
            claims: ClaimNames {
                user: self.claim_user.clone(),
                broker: self.claim_broker.clone(),
                teams: self.claim_teams.clone(),
                role: self.claim_role.clone(),
                name: self.claim_name.clone(),
            },
            ..self.checks.settings()
        }
    }
}

/// The value of a setting that switches a check off.
const ANY: &str = "any";

/// The values that a claim may have; none if it is not checked.
fn accepted(values: &[String]) -> Vec<String> {
    if values.iter().any(|value| value == ANY) {
        return Vec::new();
    }
    values.to_vec()
}

fn cookie_name(name: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.is_empty() && name.bytes().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err("a cookie's name is letters, digits and !#$%&'*+-.^_`|~".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        identity: IdentityArgs,
    }

    const SECRET: &str = "not-for-other-eyes-0123456789abcdef";

    fn parse(flags: &[&str]) -> Result<IdentityArgs, clap::Error> {
        Cli::try_parse_from([&["porchlight"], flags].concat()).map(|cli| cli.identity)
    }

    #[test]
    fn flags_become_settings() {
        let args = parse(&[
            "--jwt-secret",
            SECRET,
            "--jwt-issuer=https://a,https://b",
            "--claim-user=app.user",
            "--token-cookie=session",
        ])
        .unwrap();
        assert_eq!(args.token_cookie, "session");
        let settings = args.settings();
        assert_eq!(settings.issuers, ["https://a", "https://b"]);
        assert_eq!(settings.claims.user, ["app.user"]);
        assert_eq!(settings.secret.unwrap().reveal(), SECRET);
    }

    #[test]
    fn an_empty_expectation_is_refused_rather_than_not_checked() {
        assert!(parse(&["--jwt-audience="]).is_err());
        assert!(parse(&["--claim-role="]).is_err());
        assert!(parse(&["--token-cookie=a b"]).is_err());
    }

    #[test]
    fn the_secret_is_shown_neither_in_debug_nor_in_help() {
        let args = parse(&["--jwt-secret", SECRET]).unwrap();
        assert!(!format!("{args:?} {:?}", args.settings()).contains(SECRET));
        let command = Cli::command();
        let secret = command
            .get_arguments()
            .find(|arg| arg.get_id() == "jwt_secret");
        assert!(secret.is_some_and(clap::Arg::is_hide_env_values_set));
    }
}
