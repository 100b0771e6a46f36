//! The way from a token to a caller.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use jsonwebtoken::AlgorithmFamily;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::warn;

use super::bearer::{Bearer, Identified};
use super::caller::Caller;
use super::error::{IdentityError, TokenError, quoted};
use super::introduction::Introduction;
use super::jwks::{JwksFile, algorithm};
use super::keys::{Outcome, Signed, VerificationKey, check};
use super::known::{KnownTokens, fingerprint};
use super::pem::{public_key, read_key_file};
use super::rules::TokenRules;
use super::settings::{IdentitySettings, Secret};
use crate::platform::BrokerId;
use crate::platform::Clock;

/// The longest token that is looked at. Servers and proxies cut headers at 8 KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A shorter secret than the hash it feeds can be guessed offline from one token.
const MIN_STRONG_SECRET_BYTES: usize = 32;

const NOT_THREE_PARTS: TokenError = TokenError::Malformed("it has not three parts");

/// Checks tokens. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    /// The secret and the PEM key, which do not change.
    fixed: Vec<VerificationKey>,
    jwks: Option<JwksFile>,
    rules: TokenRules,
    clock: Clock,
    known: KnownTokens,
    introductions: OnceLock<mpsc::Sender<Introduction>>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Verifier {
    /// Reads the keys, or says in words why they cannot be used.
    pub fn new(settings: &IdentitySettings, clock: Clock) -> Result<Self, IdentityError> {
        jwt_ring::install();
        let fixed = fixed_keys(settings)?;
        let jwks = settings.jwks_file.as_deref();
        let jwks = jwks.map(JwksFile::open).transpose()?;
        if fixed.is_empty() && jwks.is_none() {
            return Err(IdentityError::NoKeys);
        }
        let rules = TokenRules::new(settings);
        Ok(Self(Arc::new(Inner {
            fixed,
            jwks,
            rules,
            clock,
            known: KnownTokens::default(),
            introductions: OnceLock::new(),
        })))
    }

    /// Whoever comes with a name is introduced here from now on. What does not fit is lost.
    pub fn introduce(&self, to: mpsc::Sender<Introduction>) {
        // The first one to ask for introductions gets them.
        let _ = self.0.introductions.set(to);
    }

    /// The caller who holds `token`, if it is genuine, valid now, and names a broker.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        let Identified { bearer, is_new } = self.identify(token)?;
        let broker = bearer.broker.clone();
        let broker = broker.ok_or(TokenError::ClaimMissing("broker_id"))?;
        if is_new {
            self.present(&bearer, &broker);
        }
        Ok(bearer.caller(broker))
    }

    /// Tells whoever keeps names that this bearer is here.
    pub fn present(&self, bearer: &Bearer, broker: &BrokerId) {
        if let Some(to) = self.0.introductions.get() {
            let _ = to.try_send(Introduction {
                broker: broker.clone(),
                user: bearer.user.clone(),
                teams: Arc::clone(&bearer.teams),
                name: bearer.name.clone(),
            });
        }
    }

    /// Whoever holds `token`, if it is genuine and valid now.
    pub fn identify(&self, token: &str) -> Result<Identified, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let (now, known) = (self.0.clock.now(), &self.0.known);
        let keys = self.0.jwks.as_ref().map(|jwks| jwks.keys(now));
        let fingerprint = fingerprint(token);
        if let Some(bearer) = known.find(&fingerprint, &keys, now) {
            let is_new = false;
            return Ok(Identified { bearer, is_new });
        }
        let bearer = self.look_closely(token)?;
        known.keep(fingerprint, (keys, now), &bearer);
        let is_new = true;
        Ok(Identified { bearer, is_new })
    }

    fn look_closely(&self, token: &str) -> Result<Bearer, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(NOT_THREE_PARTS)?;
        let (header, claims) = message.split_once('.').ok_or(NOT_THREE_PARTS)?;
        if claims.contains('.') {
            return Err(NOT_THREE_PARTS);
        }
        let header: Header = decode_part(header).ok_or(TokenError::Malformed("its header"))?;
        self.check_signature(&header.signed(message, signature)?)?;
        let claims = decode_part(claims).ok_or(TokenError::Malformed("its claims"))?;
        self.0.rules.bearer(&claims, self.0.clock.now())
    }

    fn check_signature(&self, signed: &Signed<'_>) -> Result<(), TokenError> {
        let outcome = match &self.0.jwks {
            Some(jwks) => self.check_with(jwks, signed),
            None => check(signed, self.0.fixed.iter()),
        };
        match outcome {
            Outcome::Good => Ok(()),
            Outcome::Bad => Err(TokenError::SignatureInvalid),
            Outcome::NoSuchKey => Err(TokenError::KeyUnknown),
            Outcome::NoKeyForAlgorithm => Err(refused(&format!("{:?}", signed.algorithm))),
        }
    }

    fn check_with(&self, jwks: &JwksFile, signed: &Signed<'_>) -> Outcome {
        let now = self.0.clock.now();
        let mut keys = jwks.keys(now);
        let unknown = |id| !keys.iter().any(|key| key.is_named(id));
        if signed.algorithm.family() != AlgorithmFamily::Hmac && signed.key_id.is_some_and(unknown)
        {
            keys = jwks.keys_looked_for(now);
        }
        check(signed, self.0.fixed.iter().chain(keys.iter()))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Header {
    fn signed<'a>(
        &'a self,
        message: &'a str,
        signature: &'a str,
    ) -> Result<Signed<'a>, TokenError> {
        if self.crit.is_some() {
            return Err(TokenError::Malformed(
                "its header needs an extension (crit)",
            ));
        }
        Ok(Signed {
            algorithm: algorithm(&self.alg).ok_or_else(|| refused(&self.alg))?,
            key_id: self.kid.as_deref(),
            message,
            signature,
        })
    }
}

fn refused(algorithm: &str) -> TokenError {
    TokenError::AlgorithmRefused(quoted(algorithm))
}

/// Base64 and JSON. The library's decoder of claims does both; given a part
/// between two dots, it decodes that part and looks at nothing else.
fn decode_part<T: DeserializeOwned>(part: &str) -> Option<T> {
    insecure_decode_claims(format!(".{part}.")).ok()
}

fn fixed_keys(settings: &IdentitySettings) -> Result<Vec<VerificationKey>, IdentityError> {
    let secret = settings.secret.as_ref().map(secret_key).transpose()?;
    let public = settings.public_key_file.as_deref();
    let public = public.map(public_key_of).transpose()?;
    Ok(secret.into_iter().chain(public).collect())
}

fn secret_key(secret: &Secret) -> Result<VerificationKey, IdentityError> {
    secret.refuse_unusable()?;
    let secret = secret.reveal();
    if secret.len() < MIN_STRONG_SECRET_BYTES {
        warn!("JWT_SECRET is shorter than {MIN_STRONG_SECRET_BYTES} bytes and can be guessed");
    }
    Ok(VerificationKey::secret(secret.as_bytes()))
}

fn public_key_of(path: &Path) -> Result<VerificationKey, IdentityError> {
    let key = read_key_file(path).and_then(|pem| public_key(&pem));
    key.map_err(|problem| IdentityError::KeyFile {
        setting: "JWT_PUBLIC_KEY_FILE",
        path: path.to_owned(),
        problem,
    })
}
