//! The cryptography of [`jsonwebtoken`], done by [`ring`].
//!
//! Call [`install`] before the first use of `jsonwebtoken`. All of its algorithms are
//! supported: HS, RS and PS with 256, 384 and 512 bits, ES256, ES384 and `EdDSA` (Ed25519).

mod keys;
mod signer;
mod verifier;

use jsonwebtoken::crypto::CryptoProvider;
use jsonwebtoken::errors::{Error, ErrorKind};

/// The provider. [`install`] makes it the one of this process.
pub static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer::new,
    verifier_factory: verifier::new,
    key_utils: keys::UTILS,
};

/// Makes this the cryptography of the process, unless another one has been installed before.
pub fn install() {
    let _ = PROVIDER.install_default();
}

fn unfit_key() -> Error {
    ErrorKind::InvalidKeyFormat.into()
}

fn rejected(reason: &impl ToString) -> Error {
    ErrorKind::Provider(reason.to_string()).into()
}
