//! Making signatures.

use jsonwebtoken::crypto::JwtSigner;
use jsonwebtoken::errors::Result;
use jsonwebtoken::signature::{Error, Signer};
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};

use crate::verifier::hash;
use crate::{keys, unfit_key};

struct RingSigner {
    algorithm: Algorithm,
    key: Key,
}

enum Key {
    Secret(hmac::Key),
    Rsa {
        encoding: &'static dyn RsaEncoding,
        pair: Box<RsaKeyPair>,
    },
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "jsonwebtoken asks for this signature"
)]
pub(crate) fn new(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if key.family() != algorithm.family() {
        return Err(unfit_key());
    }
    Ok(Box::new(RingSigner {
        algorithm: *algorithm,
        key: Key::new(*algorithm, key.as_bytes())?,
    }))
}

impl Key {
    fn new(algorithm: Algorithm, content: &[u8]) -> Result<Self> {
        Ok(match algorithm.family() {
            AlgorithmFamily::Hmac => Self::Secret(hmac::Key::new(hash(algorithm)?, content)),
            AlgorithmFamily::Rsa => Self::Rsa {
                encoding: rsa(algorithm)?,
                pair: Box::new(keys::rsa_pair(content)?),
            },
            AlgorithmFamily::Ec => Self::Ec(keys::ec_pair(content, algorithm)?),
            AlgorithmFamily::Ed => Self::Ed(keys::ed_pair(content)?),
        })
    }
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Secret(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Key::Rsa { encoding, pair } => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(*encoding, &random, message, &mut signature);
                signed.map(|()| signature).map_err(|_| Error::new())
            }
            Key::Ec(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| Error::new())?;
                Ok(signature.as_ref().to_vec())
            }
            Key::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn rsa(algorithm: Algorithm) -> Result<&'static dyn RsaEncoding> {
    Ok(match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_SHA512,
        Algorithm::PS256 => &RSA_PSS_SHA256,
        Algorithm::PS384 => &RSA_PSS_SHA384,
        Algorithm::PS512 => &RSA_PSS_SHA512,
        _ => return Err(unfit_key()),
    })
}
