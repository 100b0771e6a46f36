//! Creates tokens, for development and for services that have the secret.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use time::OffsetDateTime;

use super::caller::Role;
use super::settings::{IdentitySettings, Secret};
use crate::platform::{BrokerId, TeamId, UserId};

/// The content of a new token.
#[derive(Clone, Debug)]
pub struct MintRequest {
    /// `sub`
    pub user: UserId,
    /// `broker_id`
    pub broker: BrokerId,
    /// `teams`
    pub teams: Vec<TeamId>,
    /// `role`
    pub role: Role,
    /// How long the token is valid, from `now` on.
    pub ttl: Duration,
    /// `iat`
    pub now: OffsetDateTime,
    /// `name`
    pub name: Option<String>,
    /// `jti`
    pub token_id: Option<String>,
}

#[derive(Serialize)]
struct NewClaims<'a> {
    sub: &'a UserId,
    broker_id: &'a BrokerId,
    teams: &'a [TeamId],
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Signs tokens that a service with the same settings accepts.
#[derive(Clone, Debug)]
pub struct TokenSigner {
    secret: Secret,
    issuer: Option<String>,
    audience: Option<String>,
    longest: Duration,
}

impl TokenSigner {
    /// None if the service knows public keys only.
    #[must_use]
    pub fn new(settings: &IdentitySettings) -> Option<Self> {
        let longest = settings.max_lifetime.and_then(|most| most.try_into().ok());
        Some(Self {
            secret: settings.secret.clone()?,
            issuer: settings.issuers.first().cloned(),
            audience: settings.audiences.first().cloned(),
            longest: longest.unwrap_or(Duration::MAX),
        })
    }

    /// The longest lifetime that the service accepts.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// A token that is signed with HS256, and lasts as long as it is to, or as long as it may.
    #[must_use]
    pub fn sign(&self, request: &MintRequest) -> String {
        let iat = request.now.unix_timestamp();
        let ttl = request.ttl.min(self.longest).as_secs();
        let claims = NewClaims {
            sub: &request.user,
            broker_id: &request.broker,
            teams: &request.teams,
            role: request.role,
            name: request.name.as_deref(),
            iat,
            exp: iat.saturating_add_unsigned(ttl),
            jti: request.token_id.as_deref(),
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        };
        jwt_ring::install();
        let key = EncodingKey::from_secret(self.secret.reveal().as_bytes());
        encode(&Header::new(Algorithm::HS256), &claims, &key)
            .expect("plain strings and numbers always encode")
    }
}
