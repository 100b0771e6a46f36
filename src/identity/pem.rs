//! Reads key files, and a public key in PEM.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use jsonwebtoken::DecodingKey;

use super::error::KeyProblem;
use super::keys::VerificationKey;

const MAX_KEY_FILE_BYTES: u64 = 256 * 1024;

/// Reads a whole file of keys. It must be a regular file, because pipes and devices can block.
pub(super) fn read_key_file(path: &Path) -> Result<Vec<u8>, KeyProblem> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(KeyProblem::NotAFile);
    }
    let mut content = Vec::new();
    File::open(path)?
        .take(MAX_KEY_FILE_BYTES + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(KeyProblem::TooLarge(MAX_KEY_FILE_BYTES));
    }
    Ok(content)
}

/// The one public key (or certificate) in `pem`.
pub(super) fn public_key(pem: &[u8]) -> Result<VerificationKey, KeyProblem> {
    let text = std::str::from_utf8(pem).map_err(|_| KeyProblem::NotOnePem)?;
    if text.matches("-----BEGIN ").count() != 1 {
        return Err(KeyProblem::NotOnePem);
    }
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyProblem::PrivateKey);
    }
    let key = DecodingKey::from_rsa_pem(pem)
        .or_else(|_| DecodingKey::from_ec_pem(pem))
        .or_else(|_| DecodingKey::from_ed_pem(pem))
        .map_err(|_| KeyProblem::UnsupportedKey)?;
    VerificationKey::public(&key)
}
