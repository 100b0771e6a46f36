//! Notices that keys of the JWKS file were removed, also while no request comes.

use rustc_hash::FxHashSet;

use super::credential::KeyId;
use super::known_tokens::{KeySet, are_same};
use super::verifier::Verifier;

/// Compares the keys with those at the last call.
pub struct KeyWatch {
    verifier: Verifier,
    last: KeySet,
}

impl KeyWatch {
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        let last = verifier.jwks_keys();
        Self { verifier, last }
    }

    /// All keys, if those of the JWKS file have changed.
    pub fn changed(&mut self) -> Option<FxHashSet<KeyId>> {
        let keys = self.verifier.jwks_keys();
        if are_same(&self.last, &keys) {
            return None;
        }
        self.last = keys;
        let keys = self.verifier.all_keys(&self.last);
        Some(keys.map(|key| key.key_id().clone()).collect())
    }
}
