//! What a token says about itself: it decides whether the token is still accepted later.

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    /// The claim `jti`.
    pub token_id: Option<Arc<str>>,
    /// The claim `iat`.
    pub issued_at: Option<OffsetDateTime>,
    /// Whether the token has a claim of teams, which may be empty.
    pub names_teams: bool,
    /// The key that verified the token. `None`: there was no token to verify.
    pub key: Option<KeyId>,
    /// The user's name, if the token has it.
    pub name: Option<Arc<str>>,
}

impl Credential {
    /// Whether the token may have been issued before `moment`. A token without `iat` may always.
    #[must_use]
    pub fn is_from_before(&self, moment: OffsetDateTime) -> bool {
        self.issued_at.is_none_or(|issued_at| issued_at < moment)
    }
}

/// A fingerprint of a public key, or the word `secret` for the secret, which a fingerprint would help to guess.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyId")
    }
}
