//! Creates tokens, for development and for services that have the secret.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use time::OffsetDateTime;

use super::caller::Role;
use super::settings::Secret;
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
    /// `iss`
    pub issuer: Option<String>,
    /// `aud`
    pub audience: Option<String>,
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

/// A token that is signed with HS256.
#[must_use]
pub fn mint(secret: &Secret, request: &MintRequest) -> String {
    let iat = request.now.unix_timestamp();
    let ttl = i64::try_from(request.ttl.as_secs()).unwrap_or(i64::MAX);
    let claims = NewClaims {
        sub: &request.user,
        broker_id: &request.broker,
        teams: &request.teams,
        role: request.role,
        name: request.name.as_deref(),
        iat,
        exp: iat.saturating_add(ttl),
        jti: request.token_id.as_deref(),
        iss: request.issuer.as_deref(),
        aud: request.audience.as_deref(),
    };
    jwt_ring::install();
    let key = EncodingKey::from_secret(secret.reveal().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key)
        .expect("plain strings and numbers always encode")
}
