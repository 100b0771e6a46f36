//! Who is calling: a verified token becomes a [`Caller`]. This module knows no HTTP.
//!
//! [`Verifier`] splits the token, `keys` checks its signature, and `claims` reads it. No claim is read
//! before the signature is verified. No error and no `Debug` output contains a token or a key.

mod bearer;
mod caller;
mod claims;
mod development;
mod error;
mod jwks;
mod keys;
mod known_tokens;
mod mint;
mod pem;
mod profile;
mod rules;
mod settings;
mod verifier;

pub use bearer::{Bearer, Identified};
pub use caller::{Caller, MAX_TEAMS, Role, UnknownRole};
pub use development::development_secret;
pub use error::{IdentityError, KeyProblem, TokenError};
pub use mint::{MintRequest, mint};
pub use profile::UserProfile;
pub use settings::{ClaimNames, IdentitySettings, Secret};
pub use verifier::{MAX_TOKEN_BYTES, Verifier};

#[cfg(test)]
mod tests;
