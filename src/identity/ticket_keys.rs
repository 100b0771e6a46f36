//! The key of a ticket's token, as the table of tickets has it: a ticket outlives the run in which the key verified the
//! token, and must not outlive the key.
//!
//! A public key is stored by its fingerprint. For the secret, there is a keyed hash of the ticket, which is not in the table
//! itself: whoever reads the table cannot even try out whether a secret is the right one.

use super::credential::KeyId;
use super::keys::SECRET;
use super::verifier::Verifier;

/// What stands before the keyed hash. No fingerprint has a colon.
const BY_SECRET: &str = "secret:";

impl Verifier {
    /// What is stored with a ticket for the key of its token.
    #[must_use]
    pub fn key_for_ticket(&self, key: &KeyId, ticket: &str) -> Option<String> {
        match self.secret().filter(|secret| secret.key_id() == key) {
            Some(secret) => {
                let hash = secret.keyed_hash(&message(ticket))?;
                Some(format!("{BY_SECRET}{hash}"))
            }
            None => Some(key.as_str().to_owned()),
        }
    }

    /// The key that was stored with a ticket. `None`: it was another secret than that of today.
    #[must_use]
    pub fn key_of_ticket(&self, stored: &str, ticket: &str) -> Option<KeyId> {
        let Some(hash) = stored.strip_prefix(BY_SECRET) else {
            return (stored != SECRET).then(|| KeyId::new(stored));
        };
        let secret = self.secret()?;
        let is_same = secret.made(&message(ticket), hash);
        is_same.then(|| secret.key_id().clone())
    }
}

/// No token can have the hash as its signature: what is signed of a token has a dot and no space.
fn message(ticket: &str) -> String {
    format!("ticket {ticket}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{IdentitySettings, Secret};
    use crate::platform::Clock;

    fn with_secret(secret: &str) -> Verifier {
        let settings = IdentitySettings {
            secret: Some(Secret::new(secret)),
            ..IdentitySettings::default()
        };
        Verifier::new(&settings, Clock::system()).unwrap()
    }

    #[test]
    fn only_the_same_secret_finds_itself_and_only_with_the_same_ticket() {
        let [one, same, other] = ["short", "short", "other"].map(with_secret);
        let key = one.secret().unwrap().key_id().clone();
        let stored = one.key_for_ticket(&key, "t-1").unwrap();
        assert_eq!(same.key_of_ticket(&stored, "t-1"), Some(key.clone()));
        assert_eq!(same.key_of_ticket(&stored, "t-2"), None);
        assert_eq!(other.key_of_ticket(&stored, "t-1"), None);
        // Nobody gets past it by the name alone.
        for text in [key.as_str(), "secret:", "secret:secret", "secret:ä"] {
            assert_eq!(one.key_of_ticket(text, "t-1"), None);
        }
        // Where there is no secret any more, its tickets have ended.
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa.public.pem");
        let settings = IdentitySettings {
            public_key_file: Some(file.into()),
            ..IdentitySettings::default()
        };
        let without = Verifier::new(&settings, Clock::system()).unwrap();
        assert_eq!(without.key_of_ticket(&stored, "t-1"), None);
    }

    #[test]
    fn what_is_stored_of_a_secret_differs_for_each_ticket() {
        let verifier = with_secret("short");
        let key = verifier.secret().unwrap().key_id();
        let stored = |ticket| verifier.key_for_ticket(key, ticket).unwrap();
        assert_eq!(stored("t-1"), stored("t-1"));
        assert_ne!(stored("t-1"), stored("t-2"));
    }
}
