//! Tests with settings and tokens as input, and callers and errors as output.

mod algorithms;
mod claims;
mod hostile;
mod known_tokens;
mod revocations;
mod rotation;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::{Caller, IdentitySettings, Secret, TokenError, Verifier};
use crate::platform::Clock;

const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const SECRET: &str = "a secret of more than thirty-two bytes";

fn key_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/keys")
        .join(name)
}

/// The private test key that fits the algorithm.
fn private_key(algorithm: Algorithm) -> EncodingKey {
    jwt_ring::install();
    let pem = |name: &str| std::fs::read(key_file(name)).unwrap();
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            EncodingKey::from_secret(SECRET.as_bytes())
        }
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem("p256.private.pem")).unwrap(),
        Algorithm::ES384 => EncodingKey::from_ec_pem(&pem("p384.private.pem")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem("ed25519.private.pem")).unwrap(),
        _ => EncodingKey::from_rsa_pem(&pem("rsa.private.pem")).unwrap(),
    }
}

fn public_key_file(algorithm: Algorithm) -> PathBuf {
    key_file(match algorithm {
        Algorithm::ES256 => "p256.public.pem",
        Algorithm::ES384 => "p384.public.pem",
        Algorithm::EdDSA => "ed25519.public.pem",
        _ => "rsa.public.pem",
    })
}

/// The public half of the test key as a JWK, without `alg` and with `changes`.
fn jwk(algorithm: Algorithm, changes: &Value) -> Value {
    let jwk = Jwk::from_encoding_key(&private_key(algorithm), algorithm).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk.as_object_mut().unwrap().remove("alg");
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Valid claims with `changes`. `null` removes a claim.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({ "sub": "u-1", "broker_id": "b-1", "exp": NOW.unix_timestamp() + 60 });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn sign(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    encode(&header, claims, &private_key(algorithm)).unwrap()
}

fn with_secret() -> IdentitySettings {
    IdentitySettings {
        secret: Some(Secret::new(SECRET)),
        ..IdentitySettings::default()
    }
}

fn verifier(settings: &IdentitySettings) -> Verifier {
    Verifier::new(settings, Clock::of(|| NOW)).unwrap()
}

/// The result for these claims with a correct signature.
fn verify_claims(changes: &Value) -> Result<Caller, TokenError> {
    verify_claims_with(&with_secret(), changes)
}

fn verify_claims_with(settings: &IdentitySettings, changes: &Value) -> Result<Caller, TokenError> {
    verifier(settings).verify(&sign(Algorithm::HS256, None, &claims(changes)))
}

fn code(result: Result<Caller, TokenError>) -> &'static str {
    result.expect_err("the token is refused").code()
}

/// A clock that moves only with `forward`.
#[derive(Clone)]
struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(0)))
    }

    fn forward(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let millis = Arc::clone(&self.0);
        Clock::of(move || NOW + time::Duration::milliseconds(millis.load(Ordering::SeqCst)))
    }
}

impl TokenError {
    /// The name of the error, short enough for a table of cases.
    fn code(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Malformed(_) => "token_malformed",
            Self::Expired => "token_expired",
            Self::NotYetValid(_) => "token_not_yet_valid",
            Self::SignatureInvalid => "token_signature_invalid",
            Self::AlgorithmRefused(_) => "token_algorithm_refused",
            Self::Revoked => "token_revoked",
            Self::KeyUnknown => "token_key_unknown",
            Self::ClaimMissing(_) => "token_claim_missing",
            Self::ClaimInvalid { .. } => "token_claim_invalid",
        }
    }
}
