//! The tokens that subscribers and publishers show.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

use super::error::BenchError;
use crate::clock::Clock;

/// Longer than any run.
const LIFETIME_SECONDS: i64 = 24 * 3600;

/// Signs tokens with the server's secret.
pub(super) struct Minter {
    key: EncodingKey,
    broker: String,
    now: i64,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    broker_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<&'a str>,
    role: &'static str,
    iat: i64,
    exp: i64,
}

impl Minter {
    pub(super) fn new(secret: &str, broker: &str) -> Self {
        Self {
            key: EncodingKey::from_secret(secret.as_bytes()),
            broker: broker.to_owned(),
            now: Clock::system().now().unix_timestamp(),
        }
    }

    /// A token of a subscriber.
    pub(super) fn agent(&self, user: &str, team: &str) -> Result<String, BenchError> {
        self.sign(user, Some(team), "agent")
    }

    /// A token that may publish to everyone.
    pub(super) fn service(&self) -> Result<String, BenchError> {
        self.sign("bench-publisher", None, "service")
    }

    fn sign(
        &self,
        sub: &str,
        team: Option<&str>,
        role: &'static str,
    ) -> Result<String, BenchError> {
        let claims = Claims {
            sub,
            broker_id: &self.broker,
            team_id: team,
            role,
            iat: self.now,
            exp: self.now + LIFETIME_SECONDS,
        };
        Ok(encode(&Header::default(), &claims, &self.key)?)
    }
}
