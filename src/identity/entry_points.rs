//! Tokens, and the claims of those that are valid.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::claims::{Claims, TokenLifetime};
use super::credential::KeyId;
use super::{ClaimNames, IdentitySettings, MAX_TEAMS, Secret, Verifier};
use crate::platform::Clock;
use crate::platform::entry_point::{EntryPoint, with_text};

pub const ENTRY_POINTS: [EntryPoint; 2] = [
    EntryPoint {
        name: "token",
        read: |bytes| with_text(bytes, token),
    },
    EntryPoint {
        name: "claims",
        read: claims,
    },
];

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let settings = IdentitySettings {
        secret: Some(Secret::new("a secret that nobody guesses, ever")),
        ..IdentitySettings::default()
    };
    let clock = Clock::of(|| OffsetDateTime::UNIX_EPOCH);
    Verifier::new(&settings, clock).expect("a key")
});

/// Nothing is a token of a secret that nobody knows.
fn token(text: &str) {
    assert!(VERIFIER.verify(text).is_err(), "{text}");
}

fn claims(bytes: &[u8]) {
    let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return;
    };
    let names = ClaimNames {
        teams: vec!["https://example.com/teams".to_owned()],
        ..ClaimNames::default()
    };
    for names in [ClaimNames::default(), names] {
        let claims = Claims::new(&claims, &names);
        let lifetime = TokenLifetime {
            issued_at: None,
            expires_at: OffsetDateTime::UNIX_EPOCH,
            key: KeyId::new("none"),
        };
        if let Ok(bearer) = claims.bearer(lifetime) {
            assert!(bearer.teams.len() <= MAX_TEAMS);
        }
        let name = claims.name();
        assert!(name.is_none_or(|name| !name.is_empty() && name.chars().count() <= 100));
    }
}
