//! Tokens as others make them: honest, old, forged and damaged.

use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use porchlight::platform::Clock;
use serde_json::{Value, json};

use super::service::SECRET;

/// A file of `tests/keys`.
pub fn key_file(name: &str) -> PathBuf {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    keys.join(name)
}

/// A key of `tests/keys`.
pub fn key(name: &str) -> Vec<u8> {
    std::fs::read(key_file(name)).expect("a key")
}

/// Claims that are in order, with changes; `null` takes one away.
pub fn claims(changes: &Value) -> Value {
    let now = Clock::system().now().unix_timestamp();
    let mut claims = json!({"sub": "u", "broker_id": "b", "teams": ["a"], "exp": now + 3_600});
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

/// So many seconds from now, as claims have it.
pub fn seconds_from_now(seconds: i64) -> Value {
    json!(Clock::system().now().unix_timestamp() + seconds)
}

/// A token signed with the service's secret.
pub fn honest(changes: &Value) -> String {
    hs256(SECRET.as_bytes(), changes)
}

/// A token signed with any secret.
pub fn hs256(secret: &[u8], changes: &Value) -> String {
    jwt_ring::install();
    let key = EncodingKey::from_secret(secret);
    encode(&Header::default(), &claims(changes), &key).expect("a token")
}

/// A token signed with a private key, under the key's name.
pub fn signed_by(algorithm: Algorithm, kid: Option<&str>) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(ToOwned::to_owned);
    encode(&header, &claims(&json!({})), &private_key(algorithm)).expect("a token")
}

/// A file of keys with the public half of one private key.
pub fn jwks(algorithm: Algorithm, kid: &str) -> String {
    let jwk = Jwk::from_encoding_key(&private_key(algorithm), algorithm).expect("a key");
    let mut jwk = serde_json::to_value(jwk).expect("JSON");
    jwk["kid"] = json!(kid);
    json!({"keys": [jwk]}).to_string()
}

fn private_key(algorithm: Algorithm) -> EncodingKey {
    jwt_ring::install();
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(&key("p256.private.pem")),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&key("ed25519.private.pem")),
        _ => EncodingKey::from_rsa_pem(&key("rsa.private.pem")),
    };
    key.expect("a key")
}
