//! `porchlight token`: prints a token for tests.

use std::time::Duration;

use crate::identity::{IdentityError, IdentitySettings, MAX_TEAMS, MintRequest, Role, TokenSigner};
use crate::platform::{BrokerId, TeamId, UserId};
use crate::platform::{Clock, Dice};

const DEFAULT_TTL: Duration = Duration::from_hours(1);
const MIN_TTL: Duration = Duration::from_secs(1);
const MAX_TTL: Duration = Duration::from_secs(365 * DAY_SECONDS);
const DAY_SECONDS: u64 = 24 * 60 * 60;
const TOKEN_ID_CHARS: usize = 20;

/// Prints a JWT signed with `JWT_SECRET`.
#[derive(clap::Args, Clone, Debug)]
pub struct TokenArgs {
    /// User of the token
    #[arg(long, value_name = "U")]
    pub user: UserId,

    /// Broker of the user
    #[arg(long, value_name = "B")]
    pub broker: BrokerId,

    /// Teams of the user, comma separated
    #[arg(long = "team", value_name = "T", value_delimiter = ',')]
    pub teams: Vec<TeamId>,

    /// agent, admin, service or worker
    #[arg(long, value_name = "R", default_value_t = Role::Agent)]
    pub role: Role,

    /// Name of the user
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// How long the token is valid: 90s, 15m, 1h, 30d. 1h by default, or `JWT_MAX_SECONDS` if that is less
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub ttl: Option<Duration>,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenCommandError {
    #[error(
        "no JWT_SECRET to sign the token with: a service with these settings accepts what is signed for \
         JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE only"
    )]
    NoSecret,
    #[error(
        "--ttl is longer than JWT_MAX_SECONDS ({0}): a service with these settings would refuse the token"
    )]
    TooLong(u64),
    #[error(transparent)]
    Secret(#[from] IdentityError),
    /// The service would refuse the token.
    #[error("more than {MAX_TEAMS} teams")]
    TooManyTeams,
}

impl TokenArgs {
    /// A token that a service with the same `settings` accepts.
    pub fn token(
        &self,
        settings: &IdentitySettings,
        clock: &Clock,
        dice: &Dice,
    ) -> Result<String, TokenCommandError> {
        let signer = TokenSigner::new(settings).ok_or(TokenCommandError::NoSecret)?;
        if let Some(secret) = &settings.secret {
            secret.refuse_unusable()?;
        }
        if self.ttl.is_some_and(|ttl| ttl > signer.longest()) {
            return Err(TokenCommandError::TooLong(signer.longest().as_secs()));
        }
        if self.teams.len() > MAX_TEAMS {
            return Err(TokenCommandError::TooManyTeams);
        }
        let request = MintRequest {
            user: self.user.clone(),
            broker: self.broker.clone(),
            teams: self.teams.clone(),
            role: self.role,
            ttl: self.ttl.unwrap_or(DEFAULT_TTL),
            now: clock.now(),
            name: self.name.clone(),
            token_id: Some(dice.tag(TOKEN_ID_CHARS)),
        };
        Ok(signer.sign(&request))
    }
}

/// A time to live: a whole number and `s`, `m`, `h` or `d`.
fn ttl(text: &str) -> Result<Duration, String> {
    let form = || "must be a whole number and s, m, h or d: 90s, 15m, 1h, 30d".to_owned();
    let unit = text.chars().last().ok_or_else(form)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => DAY_SECONDS,
        _ => return Err(form()),
    };
    let count = &text[..text.len() - 1];
    if !count.bytes().all(|b| b.is_ascii_digit()) {
        return Err(form());
    }
    let count: u64 = count.parse().map_err(|_| form())?;
    let ttl = Duration::from_secs(count.saturating_mul(seconds));
    if (MIN_TTL..=MAX_TTL).contains(&ttl) {
        Ok(ttl)
    } else {
        Err("must be between 1s and 365d".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use time::macros::datetime;

    use super::*;
    use crate::identity::{Secret, Verifier};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        token: TokenArgs,
    }

    fn parse(flags: &[&str]) -> Result<TokenArgs, clap::Error> {
        Cli::try_parse_from([&["porchlight"], flags].concat()).map(|cli| cli.token)
    }

    fn settings(secret: &str) -> IdentitySettings {
        IdentitySettings {
            secret: Some(Secret::new(secret)),
            issuers: vec!["https://crm".to_owned()],
            audiences: vec!["porchlight".to_owned()],
            ..IdentitySettings::default()
        }
    }

    #[test]
    fn a_printed_token_is_accepted_by_a_service_with_the_same_settings() {
        let now = datetime!(2026-01-01 00:00 UTC);
        let clock = Clock::of(move || now);
        let settings = settings("0123456789abcdef0123456789abcdef");
        let args = parse(&[
            "--user=u-1",
            "--broker=b-1",
            "--team=t-1,t-2",
            "--role=admin",
            "--ttl=15m",
        ]);
        let token = args.unwrap().token(&settings, &clock, &Dice::seeded(1));
        let verifier = Verifier::new(&settings, clock).unwrap();
        let caller = verifier.verify(&token.unwrap()).unwrap();
        assert_eq!(caller.user.as_str(), "u-1");
        assert_eq!(caller.broker.as_str(), "b-1");
        assert_eq!(caller.teams.len(), 2);
        assert_eq!(caller.role, Role::Admin);
        assert_eq!(caller.expires_at, now + time::Duration::minutes(15));
        assert!(caller.credential.token_id.is_some());
    }

    #[test]
    fn without_a_usable_secret_there_is_no_token() {
        let args = parse(&["--user=u", "--broker=b"]).unwrap();
        for settings in [IdentitySettings::default(), settings("")] {
            let token = args.token(&settings, &Clock::system(), &Dice::seeded(1));
            assert!(token.unwrap_err().to_string().contains("JWT_SECRET"));
        }
    }

    #[test]
    fn a_token_lasts_no_longer_than_the_service_accepts() {
        let settings = IdentitySettings {
            max_lifetime: Some(time::Duration::minutes(10)),
            ..settings("0123456789abcdef0123456789abcdef")
        };
        let clock = Clock::system();
        let token = |flags: &[&str]| {
            let flags = [&["--user=u", "--broker=b"], flags].concat();
            let args = parse(&flags).unwrap();
            args.token(&settings, &clock, &Dice::seeded(1))
        };
        let verifier = Verifier::new(&settings, clock.clone()).unwrap();
        for flags in [&[][..], &["--ttl=10m"]] {
            verifier.verify(&token(flags).unwrap()).unwrap();
        }
        let error = token(&["--ttl=11m"]).unwrap_err().to_string();
        assert!(error.contains("JWT_MAX_SECONDS (600)"), "{error}");
    }

    #[test]
    fn times_to_live_are_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3600), ("30d", 2_592_000)] {
            assert_eq!(ttl(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "s",
            "1",
            "1w",
            "-1s",
            "+1s",
            "1.5h",
            "0s",
            "366d",
            "1ä",
            "99999999999999999999d",
        ] {
            assert!(ttl(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_and_roles_are_checked_when_they_are_parsed() {
        assert!(parse(&["--user=u", "--broker=b"]).is_ok());
        assert!(parse(&["--user=auth0|5f7c", "--broker=b"]).is_ok());
        assert!(parse(&["--user=a ", "--broker=b"]).is_err());
        assert!(parse(&["--user=u"]).is_err());
        for bad in ["--team=t,", "--role=root", "--ttl=1y"] {
            assert!(parse(&["--user=u", "--broker=b", bad]).is_err(), "{bad}");
        }
    }
}
