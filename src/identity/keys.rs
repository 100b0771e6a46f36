//! Keys, and which of them check which token.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey, crypto};

use super::credential::KeyId;
use super::error::KeyProblem;

/// The name of the secret. Fingerprints are longer.
pub(super) const SECRET: &str = "secret";
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key, and the only algorithms that it is used with. A public key never has an HS algorithm, so
/// that it is never used as a secret.
#[derive(Clone, Debug)]
pub(super) struct VerificationKey {
    id: Option<Box<str>>,
    key_id: KeyId,
    algorithms: Vec<Algorithm>,
    material: DecodingKey,
}

impl VerificationKey {
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self {
            id: None,
            key_id: KeyId::new(SECRET),
            algorithms: AlgorithmFamily::Hmac.algorithms().to_vec(),
            material: DecodingKey::from_secret(secret),
        }
    }

    /// A public key, if it is of a safe kind.
    pub(super) fn public(key: &DecodingKey) -> Result<Self, KeyProblem> {
        let jwk = Jwk::from_decoding_key(key, None).map_err(|_| KeyProblem::UnsupportedKey)?;
        let material = DecodingKey::from_jwk(&jwk).map_err(|_| KeyProblem::UnsupportedKey)?;
        let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256);
        let thumbprint = thumbprint.map_err(|_| KeyProblem::UnsupportedKey)?;
        let algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => rsa_algorithms(&material)?,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                vec![Algorithm::ES256]
            }
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => {
                vec![Algorithm::ES384]
            }
            AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
            _ => return Err(KeyProblem::UnsupportedKey),
        };
        Ok(Self {
            id: None,
            key_id: KeyId::new(&thumbprint),
            algorithms,
            material,
        })
    }

    pub(super) fn named(self, id: Option<&str>) -> Self {
        Self {
            id: id.map(Into::into),
            ..self
        }
    }

    /// The same key under another fingerprint.
    pub(super) fn known_as(self, key_id: KeyId) -> Self {
        Self { key_id, ..self }
    }

    /// By this, streams and tickets name the key that verified their token.
    pub(super) fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    pub(super) fn is_secret(&self) -> bool {
        self.key_id.as_str() == SECRET
    }

    /// The keyed hash (HS256) of a message. Only a secret has one.
    pub(super) fn keyed_hash(&self, message: &str) -> Option<String> {
        let secret = self.material.try_get_as_bytes().ok()?;
        let key = EncodingKey::from_secret(secret);
        crypto::sign(message.as_bytes(), &key, Algorithm::HS256).ok()
    }

    /// Whether this is the secret's keyed hash of the message.
    pub(super) fn made(&self, message: &str, hash: &str) -> bool {
        self.verifies(&SignedMessage {
            algorithm: Algorithm::HS256,
            key_id: None,
            message,
            signature: hash,
        })
    }

    /// The same key, restricted to `algorithm`.
    pub(super) fn only_for(self, algorithm: Algorithm) -> Result<Self, KeyProblem> {
        if !self.fits(algorithm) {
            return Err(KeyProblem::WrongAlgorithm);
        }
        Ok(Self {
            algorithms: vec![algorithm],
            ..self
        })
    }

    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(super) fn is_named(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }

    pub(super) fn has_name(&self) -> bool {
        self.id.is_some()
    }

    fn verifies(&self, signed: &SignedMessage<'_>) -> bool {
        crypto::verify(
            signed.signature,
            signed.message.as_bytes(),
            &self.material,
            signed.algorithm,
        )
        .unwrap_or(false)
    }
}

#[derive(Clone, Copy)]
pub(super) struct SignedMessage<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<&'a str>,
    pub(super) message: &'a str,
    pub(super) signature: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SignatureCheck {
    /// Verified by the key with this fingerprint.
    Good(KeyId),
    Bad,
    /// There are keys for the algorithm, but none with the token's `kid`.
    NoSuchKey,
    NoKeyForAlgorithm,
}

/// Checks a signature with the keys that have the token's `kid`. If no key has it, those without a
/// name are used. For a token without `kid`, all keys that fit are used.
pub(super) fn check<'k>(
    signed: &SignedMessage<'_>,
    keys: impl Iterator<Item = &'k VerificationKey>,
) -> SignatureCheck {
    let fitting: Vec<&VerificationKey> = keys.filter(|key| key.fits(signed.algorithm)).collect();
    if fitting.is_empty() {
        return SignatureCheck::NoKeyForAlgorithm;
    }
    let named = |key: &VerificationKey| signed.key_id.is_some_and(|id| key.is_named(id));
    let any_named = fitting.iter().any(|key| named(key));
    let is_candidate = |key: &&&VerificationKey| match signed.key_id {
        None => true,
        Some(_) if any_named => named(key),
        Some(_) => !key.has_name(),
    };
    let mut candidates = fitting.iter().filter(is_candidate).peekable();
    if candidates.peek().is_none() {
        return SignatureCheck::NoSuchKey;
    }
    match candidates.find(|key| key.verifies(signed)) {
        Some(key) => SignatureCheck::Good(key.key_id.clone()),
        None => SignatureCheck::Bad,
    }
}

fn rsa_algorithms(key: &DecodingKey) -> Result<Vec<Algorithm>, KeyProblem> {
    let DecodingKeyKind::RsaModulusExponent { n, .. } = key.kind() else {
        return Err(KeyProblem::UnsupportedKey);
    };
    let digits = n.iter().skip_while(|byte| **byte == 0);
    let top_zeros = digits.clone().next().map_or(0, |byte| byte.leading_zeros());
    let bits = digits.count() * 8 - top_zeros as usize;
    if !RSA_BITS.contains(&bits) {
        return Err(KeyProblem::RsaSize(bits));
    }
    Ok(AlgorithmFamily::Rsa.algorithms().to_vec())
}
