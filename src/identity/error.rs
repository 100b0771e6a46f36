//! Why a token was refused, and why the verifier could not be set up.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use super::verifier::MAX_TOKEN_BYTES;

/// The most of a token's own words that an error repeats.
const MAX_QUOTED_CHARS: usize = 32;

/// Why a token was refused. The text helps its holder and never repeats the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any honest token.
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Not the shape of a JWT.
    #[error("the token is not a signed JWT: {0}")]
    Malformed(&'static str),
    /// `exp` has passed.
    #[error("the token has expired; get a fresh one")]
    Expired,
    /// `nbf` is still to come.
    #[error("the token is not valid yet (nbf); check the clock of the machine that issued it")]
    NotYetValid,
    /// No fitting key made this signature.
    #[error("the token's signature does not match; it was signed with another key or changed")]
    SignatureInvalid,
    /// An algorithm that no configured key is for.
    #[error("tokens signed with algorithm {0} are not accepted here")]
    AlgorithmRefused(String),
    /// A `kid` that no configured key has.
    #[error("the token names a key (kid) that is not known here")]
    KeyUnknown,
    /// A claim that must be there and is not.
    #[error("the token has no claim {0}")]
    ClaimMissing(&'static str),
    /// A claim that says what it must not.
    #[error("the token's claim {claim} {problem}")]
    ClaimInvalid {
        /// The claim, as the token or the configuration spells it.
        claim: String,
        /// What is wrong with it.
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

/// A few of the token's own words, made safe for a log line.
pub(super) fn quoted(words: &str) -> String {
    format!(
        "{:?}",
        words.chars().take(MAX_QUOTED_CHARS).collect::<String>()
    )
}

/// Why identity could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Nothing to check tokens with.
    #[error("no key to check tokens with: set JWT_SECRET, JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE")]
    NoKeys,
    /// An empty secret signs for everyone.
    #[error("JWT_SECRET is empty: set it to 32 random bytes or more, or leave it unset")]
    SecretEmpty,
    /// A public key as secret would let everyone who knows it sign.
    #[error("JWT_SECRET holds a PEM key; name its file in JWT_PUBLIC_KEY_FILE instead")]
    SecretIsPem,
    /// A file of keys that cannot be used.
    #[error("{setting} {}: {problem}", path.display())]
    KeyFile {
        /// The setting that names the file.
        setting: &'static str,
        path: PathBuf,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// The development secret can be neither read nor made.
    #[error("the development secret {}: {source}", path.display())]
    DevelopmentSecret { path: PathBuf, source: io::Error },
}

/// What is wrong with a key or a file of keys.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
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
