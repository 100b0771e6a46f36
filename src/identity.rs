//! Who is calling: a token, checked, becomes a [`Caller`]. No HTTP in here.
//!
//! [`Verifier`] splits the token, `keys` check its signature, `claims` read
//! it. No claim is looked at before the signature holds. No error and no
//! `Debug` output contains a token or a key.

mod bearer;
mod caller;
mod claims;
mod development;
mod error;
mod introduction;
mod jwks;
mod keys;
mod known;
mod mint;
mod pem;
mod rules;
mod settings;
mod verifier;

pub use bearer::{Bearer, Identified};
pub use caller::{Caller, MAX_TEAMS, Role, UnknownRole};
pub use development::development_secret;
pub use error::{IdentityError, KeyProblem, TokenError};
pub use introduction::Introduction;
pub use mint::{MintRequest, mint};
pub use settings::{ClaimNames, IdentitySettings, Secret};
pub use verifier::{MAX_TOKEN_BYTES, Verifier};

#[cfg(test)]
mod tests;
