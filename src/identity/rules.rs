//! When a token with a correct signature is valid: its times, its issuer, its audience.

use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::bearer::Bearer;
use super::claims::{Claims, TokenLifetime};
use super::credential::KeyId;
use super::error::TokenError;
use super::settings::{ClaimNames, IdentitySettings};

/// How far the issuer's clock may be ahead. It is for `nbf` and `iat` alone: a token is never valid after
/// its `exp`.
pub const CLOCK_LEEWAY: Duration = Duration::seconds(30);

pub(super) struct TokenRules {
    issuers: Vec<String>,
    audiences: Vec<String>,
    max_lifetime: Option<Duration>,
    names: ClaimNames,
}

impl TokenRules {
    pub(super) fn new(settings: &IdentitySettings) -> Self {
        Self {
            issuers: settings.issuers.clone(),
            audiences: settings.audiences.clone(),
            max_lifetime: settings.max_lifetime,
            names: settings.claims.clone(),
        }
    }

    pub(super) fn max_lifetime(&self) -> Option<Duration> {
        self.max_lifetime
    }

    /// The bearer, if the token is valid now.
    pub(super) fn bearer(
        &self,
        claims: &Map<String, Value>,
        key: KeyId,
        now: OffsetDateTime,
    ) -> Result<Bearer, TokenError> {
        let expires_at = date(claims, "exp")?.ok_or(TokenError::ClaimMissing("exp"))?;
        if now >= expires_at {
            return Err(TokenError::Expired);
        }
        let is_ahead = |at: OffsetDateTime| at.saturating_sub(CLOCK_LEEWAY) > now;
        if date(claims, "nbf")?.is_some_and(is_ahead) {
            return Err(TokenError::NotYetValid("nbf"));
        }
        expect(claims, "iss", &self.issuers)?;
        expect(claims, "aud", &self.audiences)?;
        // The longest lifetime and revocations count from `iat`: one far ahead would escape both.
        let issued_at = date(claims, "iat")?;
        if issued_at.is_some_and(is_ahead) {
            return Err(TokenError::NotYetValid("iat"));
        }
        self.expect_lifetime(issued_at, expires_at)?;
        Claims::new(claims, &self.names).bearer(TokenLifetime {
            issued_at,
            expires_at,
            key,
        })
    }

    /// With a longest lifetime, `iat` is needed: otherwise it is not known how long a token lasts.
    fn expect_lifetime(
        &self,
        issued_at: Option<OffsetDateTime>,
        expires_at: OffsetDateTime,
    ) -> Result<(), TokenError> {
        let Some(longest) = self.max_lifetime else {
            return Ok(());
        };
        let issued_at = issued_at.ok_or(TokenError::ClaimMissing("iat"))?;
        if expires_at - issued_at > longest {
            let seconds = longest.whole_seconds();
            let problem =
                format!("is more than {seconds} seconds after iat, the longest lifetime here");
            return Err(TokenError::invalid("exp", problem));
        }
        Ok(())
    }
}

/// A time in seconds since 1970, with or without a fraction.
fn date(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<OffsetDateTime>, TokenError> {
    let value = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let whole = value.as_i64().map(Duration::seconds);
    let since = whole.or_else(|| Duration::checked_seconds_f64(value.as_f64()?));
    match since.and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since)) {
        Some(date) => Ok(Some(date)),
        None => Err(TokenError::invalid(name, "must be a time in seconds")),
    }
}

/// Whether a claim is, or contains, one of the accepted values.
fn expect(
    claims: &Map<String, Value>,
    name: &'static str,
    accepted: &[String],
) -> Result<(), TokenError> {
    if accepted.is_empty() {
        return Ok(());
    }
    let is_accepted = |value: &Value| accepted.iter().any(|one| value.as_str() == Some(one));
    match claims.get(name) {
        None | Some(Value::Null) => Err(TokenError::ClaimMissing(name)),
        // Only an audience may be a list.
        Some(Value::Array(values)) if name == "aud" && values.iter().any(is_accepted) => Ok(()),
        Some(value) if is_accepted(value) => Ok(()),
        Some(_) => Err(TokenError::invalid(
            name,
            "is not one that is accepted here",
        )),
    }
}
