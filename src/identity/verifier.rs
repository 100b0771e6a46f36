//! Verifies a token.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use jsonwebtoken::AlgorithmFamily;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::warn;

use super::bearer::{Bearer, Identified};
use super::caller::Caller;
use super::credential::{Credential, KeyId};
use super::error::{IdentityError, TokenError, quoted};
use super::jwks::{JwksFile, algorithm};
use super::keys::{SignatureCheck, SignedMessage, VerificationKey, check};
use super::known_tokens::{KeySet, KnownTokens, fingerprint};
use super::pem::{public_key, read_key_file};
use super::profile::UserProfile;
use super::revocations::Revocations;
use super::rules::TokenRules;
use super::settings::{IdentitySettings, Secret};
use crate::platform::BrokerId;
use crate::platform::ChannelSender;
use crate::platform::Clock;

/// Servers and proxies limit headers to 8 KiB, too.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A secret that is shorter than the hash can be guessed from one token.
const MIN_STRONG_SECRET_BYTES: usize = 32;

const NOT_THREE_PARTS: TokenError = TokenError::Malformed("it has not three parts");

/// Verifies tokens. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Arc<VerifierParts>);

struct VerifierParts {
    /// The secret and the PEM key. They do not change.
    fixed: Vec<VerificationKey>,
    jwks: Option<JwksFile>,
    rules: TokenRules,
    clock: Clock,
    known: KnownTokens,
    revocations: Revocations,
    profiles: OnceLock<ChannelSender<UserProfile>>,
}

#[derive(Deserialize)]
struct TokenHeader {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Verifier {
    /// Reads the keys.
    pub fn new(settings: &IdentitySettings, clock: Clock) -> Result<Self, IdentityError> {
        jwt_ring::install();
        let fixed = fixed_keys(settings)?;
        let jwks = settings.jwks_file.as_deref();
        let jwks = jwks.map(JwksFile::open).transpose()?;
        if fixed.is_empty() && jwks.is_none() {
            return Err(IdentityError::NoKeys);
        }
        let rules = TokenRules::new(settings);
        Ok(Self(Arc::new(VerifierParts {
            fixed,
            jwks,
            rules,
            clock,
            known: KnownTokens::default(),
            revocations: Revocations::default(),
            profiles: OnceLock::new(),
        })))
    }

    /// Sends the profiles of users to this channel from now on. A profile is dropped if the channel is
    /// full.
    pub fn send_profiles_to(&self, profiles: ChannelSender<UserProfile>) {
        // Only the first channel gets profiles.
        let _ = self.0.profiles.set(profiles);
    }

    /// The caller with this token, if it is valid and names a brokerage.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        let Identified { bearer, is_new } = self.identify(token)?;
        let broker = bearer.broker.clone();
        let broker = broker.ok_or(TokenError::ClaimMissing("broker_id"))?;
        if is_new {
            self.send_profile(&bearer, &broker);
        }
        self.caller(bearer, broker)
    }

    /// The caller at a brokerage, unless the token was revoked there.
    pub fn caller(&self, bearer: Bearer, broker: BrokerId) -> Result<Caller, TokenError> {
        self.0.revocations.check(bearer.caller(broker))
    }

    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Whether the key that verified a token is still there.
    #[must_use]
    pub fn has_key(&self, credential: &Credential) -> bool {
        let is_key = |id: &KeyId| {
            let jwks = self.jwks_keys();
            self.all_keys(&jwks).any(|key| key.key_id() == id)
        };
        credential.key.as_ref().is_none_or(is_key)
    }

    /// The secret, if there is one.
    pub(super) fn secret(&self) -> Option<&VerificationKey> {
        self.0.fixed.iter().find(|key| key.is_secret())
    }

    /// The secret, the PEM key, and these of the JWKS file.
    pub(super) fn all_keys<'k>(
        &'k self,
        jwks: &'k KeySet,
    ) -> impl Iterator<Item = &'k VerificationKey> {
        self.0
            .fixed
            .iter()
            .chain(jwks.iter().flat_map(|keys| keys.iter()))
    }

    /// The keys of the JWKS file, if there is one.
    pub(super) fn jwks_keys(&self) -> KeySet {
        let now = self.0.clock.now();
        self.0.jwks.as_ref().map(|jwks| jwks.keys(now))
    }

    /// The longest time from `iat` to `exp`, if there is a limit.
    #[must_use]
    pub fn max_lifetime(&self) -> Option<time::Duration> {
        self.0.rules.max_lifetime()
    }

    /// Sends the profile of a user whose brokerage is known.
    pub fn send_profile(&self, bearer: &Bearer, broker: &BrokerId) {
        if let Some(profiles) = self.0.profiles.get() {
            let _ = profiles.try_send(UserProfile {
                broker: broker.clone(),
                user: bearer.user.clone(),
                teams: Arc::clone(&bearer.teams),
                name: bearer.credential.name.clone(),
            });
        }
    }

    /// The holder of a token, if it is valid.
    pub fn identify(&self, token: &str) -> Result<Identified, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let (now, known, keys) = (self.0.clock.now(), &self.0.known, self.jwks_keys());
        let fingerprint = fingerprint(token);
        if let Some(bearer) = known.find(&fingerprint, &keys, now) {
            let is_new = false;
            return Ok(Identified { bearer, is_new });
        }
        let bearer = self.verify_fully(token)?;
        let bearer = known.insert(fingerprint, keys, now, bearer);
        let is_new = true;
        Ok(Identified { bearer, is_new })
    }

    /// The caller as it is now: without the teams that the user has left since it was verified. An error if
    /// the token was revoked since then, or its key removed.
    pub fn check_again(&self, caller: &Caller) -> Result<Caller, TokenError> {
        let checked = self.0.revocations.check(caller.clone())?;
        if self.has_key(&caller.credential) {
            Ok(checked)
        } else {
            Err(TokenError::KeyUnknown)
        }
    }

    fn verify_fully(&self, token: &str) -> Result<Bearer, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(NOT_THREE_PARTS)?;
        let (header, claims) = message.split_once('.').ok_or(NOT_THREE_PARTS)?;
        if claims.contains('.') {
            return Err(NOT_THREE_PARTS);
        }
        let header: TokenHeader = decode_part(header).ok_or(TokenError::Malformed("its header"))?;
        let key = self.check_signature(&header.signed(message, signature)?)?;
        let claims = decode_part(claims).ok_or(TokenError::Malformed("its claims"))?;
        self.0.rules.bearer(&claims, key, self.0.clock.now())
    }

    fn check_signature(&self, signed: &SignedMessage<'_>) -> Result<KeyId, TokenError> {
        let check = match &self.0.jwks {
            Some(jwks) => self.check_with(jwks, signed),
            None => check(signed, self.0.fixed.iter()),
        };
        match check {
            SignatureCheck::Good(key) => Ok(key),
            SignatureCheck::Bad => Err(TokenError::SignatureInvalid),
            SignatureCheck::NoSuchKey => Err(TokenError::KeyUnknown),
            SignatureCheck::NoKeyForAlgorithm => Err(refused(&format!("{:?}", signed.algorithm))),
        }
    }

    fn check_with(&self, jwks: &JwksFile, signed: &SignedMessage<'_>) -> SignatureCheck {
        let now = self.0.clock.now();
        let mut keys = jwks.keys(now);
        let unknown = |id| !keys.iter().any(|key| key.is_named(id));
        if signed.algorithm.family() != AlgorithmFamily::Hmac && signed.key_id.is_some_and(unknown)
        {
            keys = jwks.keys_after_check(now);
        }
        check(signed, self.0.fixed.iter().chain(keys.iter()))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl TokenHeader {
    fn signed<'a>(
        &'a self,
        message: &'a str,
        signature: &'a str,
    ) -> Result<SignedMessage<'a>, TokenError> {
        if self.crit.is_some() {
            return Err(TokenError::Malformed(
                "its header needs an extension (crit)",
            ));
        }
        Ok(SignedMessage {
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

/// Decodes Base64 and JSON. The library's decoder of claims does both, for the part between two dots,
/// and reads nothing else.
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
