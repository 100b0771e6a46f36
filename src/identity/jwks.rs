//! Public keys in a JWKS file, which can change while the service runs.

mod file;

pub(super) use file::JwksFile;

use std::str::FromStr;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::warn;

use super::credential::KeyId;
use super::error::{KeyProblem, quoted};
use super::keys::VerificationKey;

/// A token without `kid` is checked with every key that fits, so their number is limited.
const MAX_KEYS: usize = 64;

#[derive(Deserialize)]
struct KeySetFields {
    keys: Vec<Value>,
}

/// The fields of a key that matter here.
#[derive(Deserialize)]
struct JwkFields {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The usable keys of a set. The others are logged and skipped.
pub(super) fn parse(content: &[u8]) -> Result<Arc<[VerificationKey]>, KeyProblem> {
    let set: KeySetFields = serde_json::from_slice(content).map_err(|_| KeyProblem::NotJwks)?;
    if set.keys.len() > MAX_KEYS {
        return Err(KeyProblem::TooManyKeys(MAX_KEYS));
    }
    let usable: Arc<[VerificationKey]> = set.keys.into_iter().filter_map(usable).collect();
    if usable.is_empty() {
        return Err(KeyProblem::NoUsableKey);
    }
    Ok(usable)
}

fn usable(key: Value) -> Option<VerificationKey> {
    let kid = key.get("kid").and_then(Value::as_str).map(quoted);
    // The parser's error is dropped: it could contain key material.
    let read = serde_json::from_value::<JwkFields>(key).map_err(|_| KeyProblem::UnsupportedKey);
    match read.and_then(|jwk| jwk.key()) {
        Ok(key) => Some(key),
        Err(problem) => {
            warn!(kid, "a key of the JWKS is skipped: it {problem}");
            None
        }
    }
}

impl JwkFields {
    fn key(&self) -> Result<VerificationKey, KeyProblem> {
        self.refuse_other_uses()?;
        let key = VerificationKey::public(&self.decoding_key()?)?.named(self.kid.as_deref());
        let key = key.known_as(self.fingerprint());
        match &self.alg {
            Some(name) => key.only_for(algorithm(name).ok_or(KeyProblem::WrongAlgorithm)?),
            None => Ok(key),
        }
    }

    /// It names the key and its material.
    fn fingerprint(&self) -> KeyId {
        let parts = [&self.kid, &self.crv, &self.n, &self.e, &self.x, &self.y];
        let text = json!([self.kty, parts]).to_string();
        let hash = Sha256::digest(text);
        let digits = hash.iter().map(|byte| format!("{byte:02x}"));
        KeyId::new(&digits.collect::<String>())
    }

    fn refuse_other_uses(&self) -> Result<(), KeyProblem> {
        let for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if for_signatures && self.key_ops.as_ref().is_none_or(verifies) {
            Ok(())
        } else {
            Err(KeyProblem::NotForSignatures)
        }
    }

    fn decoding_key(&self) -> Result<DecodingKey, KeyProblem> {
        let part = |part: &Option<String>| part.clone().ok_or(KeyProblem::UnsupportedKey);
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => DecodingKey::from_rsa_components(&part(&self.n)?, &part(&self.e)?),
            ("EC", Some("P-256" | "P-384")) => {
                DecodingKey::from_ec_components(&part(&self.x)?, &part(&self.y)?)
            }
            ("OKP", Some("Ed25519")) => DecodingKey::from_ed_components(&part(&self.x)?),
            ("oct", _) => return Err(KeyProblem::Symmetric),
            _ => return Err(KeyProblem::UnsupportedKey),
        }
        .map_err(|_| KeyProblem::UnsupportedKey)
    }
}

/// The algorithm with this name. `Ed25519` is the newer name of `EdDSA`.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "Ed25519" => Some(Algorithm::EdDSA),
        name => Algorithm::from_str(name).ok(),
    }
}
