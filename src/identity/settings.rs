//! Settings.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::error::IdentityError;

#[derive(Clone, Debug, Default)]
pub struct IdentitySettings {
    /// The secret of HS tokens.
    pub secret: Option<Secret>,
    /// A PEM file with one public key.
    pub public_key_file: Option<PathBuf>,
    /// A JWKS file with public keys, read again when it changes.
    pub jwks_file: Option<PathBuf>,
    /// Accepted values of `iss`. Without any, it is not checked.
    pub issuers: Vec<String>,
    /// Accepted values of `aud`. Without any, it is not checked.
    pub audiences: Vec<String>,
    pub claims: ClaimNames,
    /// The longest time from `iat` to `exp`. Without it, tokens may last as long as they say.
    pub max_lifetime: Option<time::Duration>,
}

impl IdentitySettings {
    /// Whether there is anything to check tokens with.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.secret.is_some() || self.public_key_file.is_some() || self.jwks_file.is_some()
    }
}

/// Names of claims that are tried before the built-in ones. Each is tried as a key, and then as a
/// dotted path into nested objects.
#[derive(Clone, Debug, Default)]
pub struct ClaimNames {
    pub user: Vec<String>,
    pub broker: Vec<String>,
    /// In a token that has one of these, the built-in names are not used.
    pub teams: Vec<String>,
    pub role: Vec<String>,
    /// For the user's name.
    pub name: Vec<String>,
}

/// A shared secret. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// An error if nothing must be signed or checked with it.
    pub fn refuse_unusable(&self) -> Result<(), IdentityError> {
        if self.0.is_empty() {
            return Err(IdentityError::SecretEmpty);
        }
        if self.0.contains("-----BEGIN ") {
            return Err(IdentityError::SecretIsPem);
        }
        Ok(())
    }
}

impl FromStr for Secret {
    // An unusable secret is refused later: an error of the flag parser would contain it.
    type Err = Infallible;

    fn from_str(secret: &str) -> Result<Self, Infallible> {
        Ok(Self::new(secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
