//! Reading keys, and the public parts of them.

use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::KeyUtils;
use jsonwebtoken::errors::{Error, ErrorKind, Result};
use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
use ring::digest;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RsaKeyPair,
};
use simple_asn1::ASN1Block;

use crate::{rejected, unfit_key};

pub(crate) const UTILS: KeyUtils = KeyUtils {
    rsa_pub_components_from_private_key: rsa_components_of_private,
    rsa_pub_components_from_public_key: rsa_components_of_public,
    ec_pub_components_from_private_key: ec_components,
    ed_pub_components_from_private_key: ed_component,
    compute_digest,
};

/// The first byte of a point whose two coordinates follow.
const UNCOMPRESSED: u8 = 4;

pub(crate) fn rsa_pair(der: &[u8]) -> Result<RsaKeyPair> {
    RsaKeyPair::from_der(der).map_err(|reason| rejected(&reason))
}

pub(crate) fn ec_pair(pkcs8: &[u8], algorithm: Algorithm) -> Result<EcdsaKeyPair> {
    let signing = match algorithm {
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => return Err(unfit_key()),
    };
    let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8, &SystemRandom::new());
    pair.map_err(|reason| rejected(&reason))
}

/// Keys of OpenSSL do not have the public part that the stricter function of ring requires.
pub(crate) fn ed_pair(pkcs8: &[u8]) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|reason| rejected(&reason))
}

fn rsa_components_of_private(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let components = PublicKeyComponents::from(rsa_pair(der)?.public());
    Ok((components.n, components.e))
}

/// A sequence of the modulus and the exponent (PKCS #1).
fn rsa_components_of_public(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let blocks = simple_asn1::from_der(der).map_err(|reason| rejected(&reason))?;
    let [ASN1Block::Sequence(_, parts)] = blocks.as_slice() else {
        return Err(unfit_key());
    };
    let [ASN1Block::Integer(_, n), ASN1Block::Integer(_, e)] = parts.as_slice() else {
        return Err(unfit_key());
    };
    Ok((n.to_bytes_be().1, e.to_bytes_be().1))
}

fn ec_components(pkcs8: &[u8], algorithm: Algorithm) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>)> {
    let curve = match algorithm {
        Algorithm::ES256 => EllipticCurve::P256,
        Algorithm::ES384 => EllipticCurve::P384,
        _ => return Err(unfit_key()),
    };
    let pair = ec_pair(pkcs8, algorithm)?;
    let [UNCOMPRESSED, coordinates @ ..] = pair.public_key().as_ref() else {
        return Err(unfit_key());
    };
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    Ok((curve, x.to_vec(), y.to_vec()))
}

fn ed_component(pkcs8: &[u8], curve: &EllipticCurve) -> Result<Vec<u8>> {
    if *curve != EllipticCurve::Ed25519 {
        return Err(Error::from(ErrorKind::InvalidAlgorithm));
    }
    Ok(ed_pair(pkcs8)?.public_key().as_ref().to_vec())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "jsonwebtoken asks for this signature"
)]
fn compute_digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}
