//! Tokens that were found genuine before. Checking one costs more than most requests
//! that come with it, and clients send the same one again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::bearer::Bearer;
use super::keys::VerificationKey;

/// Tokens that are remembered; then all of them are forgotten.
const MOST_KNOWN: usize = 16_384;
/// How long a token is taken for genuine without another look.
const FRESH: Duration = Duration::minutes(10);
/// So shortly before its end a token is looked at closely.
const CLOSE_TO_THE_END: Duration = Duration::seconds(2);

/// The keys that a file holds; another file, another set.
pub(super) type KeySet = Option<Arc<[VerificationKey]>>;

struct Known {
    bearer: Bearer,
    keys: KeySet,
    at: OffsetDateTime,
}

/// Who holds which token. The tokens themselves are not kept.
#[derive(Default)]
pub(super) struct KnownTokens(Mutex<FxHashMap<[u8; 32], Known>>);

/// What a token is known by.
pub(super) fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl KnownTokens {
    /// The bearer of a token that these keys found genuine.
    pub(super) fn find(
        &self,
        fingerprint: &[u8; 32],
        keys: &KeySet,
        now: OffsetDateTime,
    ) -> Option<Bearer> {
        let known = self.known();
        let known = known.get(fingerprint)?;
        let is_fresh = known.at <= now && now - known.at < FRESH;
        let is_valid = now + CLOSE_TO_THE_END < known.bearer.expires_at;
        (is_fresh && is_valid && are_same(&known.keys, keys)).then(|| known.bearer.clone())
    }

    /// Remembers that these keys found a token genuine.
    pub(super) fn keep(
        &self,
        fingerprint: [u8; 32],
        (keys, now): (KeySet, OffsetDateTime),
        bearer: &Bearer,
    ) {
        let bearer = bearer.clone();
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        let at = now;
        known.insert(fingerprint, Known { bearer, keys, at });
    }

    fn known(&self) -> MutexGuard<'_, FxHashMap<[u8; 32], Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn are_same(one: &KeySet, other: &KeySet) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}
