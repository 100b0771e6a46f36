//! Who is calling: a verified token becomes a [`Caller`]. This module knows no HTTP.
//!
//! [`Verifier`] splits the token, `keys` checks its signature, and `claims` reads it. No claim is read
//! before the signature is verified. No error and no `Debug` output contains a token or a key.

mod bearer;
mod caller;
mod claims;
mod credential;
mod development;
#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_points;
mod error;
mod jwks;
mod key_watch;
mod keys;
mod known_tokens;
mod mint;
mod pem;
mod profile;
mod revocations;
mod rules;
mod settings;
mod ticket_keys;
mod verifier;

pub use bearer::{Bearer, Identified};
pub use caller::{Caller, MAX_TEAMS, Role, UnknownRole};
pub use claims::is_token_id;
pub use credential::{Credential, KeyId};
pub use development::{development_secret, random_hex};
pub use error::{IdentityError, KeyProblem, TokenError};
pub use key_watch::KeyWatch;
pub use mint::{MintRequest, TokenSigner};
pub use profile::UserProfile;
pub use revocations::{Revocation, Revocations, Revoked};
pub use rules::CLOCK_LEEWAY;
pub use settings::{ClaimNames, IdentitySettings, Secret};
pub use verifier::{MAX_TOKEN_BYTES, Verifier};

#[cfg(test)]
mod tests;
