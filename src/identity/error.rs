//! Why a token is refused, and why the verifier cannot be created.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use super::verifier::MAX_TOKEN_BYTES;

/// The longest text from a token that an error repeats.
const MAX_QUOTED_CHARS: usize = 32;

/// Why a token was refused. The text is for the holder and does not contain the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("the token is not a signed JWT: {0}")]
    Malformed(&'static str),
    #[error("the token has expired; get a fresh one")]
    Expired,
    #[error("the token is not valid yet ({0}); check the clock of the machine that issued it")]
    NotYetValid(&'static str),
    #[error("the token's signature does not match; it was signed with another key or changed")]
    SignatureInvalid,
    #[error("tokens signed with algorithm {0} are not accepted here")]
    AlgorithmRefused(String),
    #[error("the token was revoked; sign in again")]
    Revoked,
    #[error("the token names a key (kid) that is not known here")]
    KeyUnknown,
    #[error("the token has no claim {0}")]
    ClaimMissing(&'static str),
    #[error("the token's claim {claim} {problem}")]
    ClaimInvalid {
        /// The name in the token or in the configuration.
        claim: String,
        problem: Cow<'static, str>,
    },
}

impl TokenError {
    /// The claim at fault, where one is.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match self {
            Self::ClaimMissing(claim) => Some(claim),
            Self::ClaimInvalid { claim, .. } => Some(claim),
            _ => None,
        }
    }

    pub(super) fn invalid(claim: &str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::ClaimInvalid {
            claim: claim.to_owned(),
            problem: problem.into(),
        }
    }
}

/// The beginning of a text from a token, escaped for the log.
pub(super) fn quoted(text: &str) -> String {
    format!(
        "{:?}",
        text.chars().take(MAX_QUOTED_CHARS).collect::<String>()
    )
}

/// Why the verifier could not be created.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("no key to check tokens with: set JWT_SECRET, JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE")]
    NoKeys,
    /// With an empty secret, anybody can sign.
    #[error("JWT_SECRET is empty: set it to 32 random bytes or more, or leave it unset")]
    SecretEmpty,
    /// With a public key as the secret, anybody who knows the key can sign.
    #[error("JWT_SECRET holds a PEM key; name its file in JWT_PUBLIC_KEY_FILE instead")]
    SecretIsPem,
    #[error("{setting} {}: {problem}", path.display())]
    KeyFile {
        /// The setting that names the file.
        setting: &'static str,
        path: PathBuf,
        problem: KeyProblem,
    },
    #[error(
        "the development secret {} cannot be used: {source}. Run this as the user of the service, or set \
         JWT_SECRET",
        path.display()
    )]
    DevelopmentSecret { path: PathBuf, source: io::Error },
}

/// What is wrong with a key or a file of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyProblem {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("is not a regular file")]
    NotAFile,
    #[error("is larger than {0} bytes")]
    TooLarge(u64),
    #[error("is not PEM text with exactly one key; several keys belong into JWT_JWKS_FILE")]
    NotOnePem,
    #[error("holds a private key; only the public one belongs here")]
    PrivateKey,
    #[error("is not an RSA, EC P-256, EC P-384 or Ed25519 public key")]
    UnsupportedKey,
    #[error("is an RSA key of {0} bits; 2048 to 8192 are accepted")]
    RsaSize(usize),
    #[error("is for an algorithm (alg) that does not fit its type or is not supported")]
    WrongAlgorithm,
    #[error("is not for signatures (use, key_ops)")]
    NotForSignatures,
    #[error("is a symmetric key; a shared secret belongs into JWT_SECRET")]
    Symmetric,
    #[error("is not a JWKS: an object with an array \"keys\"")]
    NotJwks,
    #[error("has more than {0} keys")]
    TooManyKeys(usize),
    #[error("has no key that can be used")]
    NoUsableKey,
}
