//! A JWKS file that changes under a running verifier.

use super::*;

struct Rotation {
    dir: tempfile::TempDir,
    hand: Hand,
    verifier: Verifier,
}

impl Rotation {
    fn start(keys: &[Value]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        std::fs::write(&path, jwks(keys)).unwrap();
        let hand = Hand::new();
        let settings = IdentitySettings {
            jwks_file: Some(path),
            ..IdentitySettings::default()
        };
        let verifier = Verifier::new(&settings, hand.clock()).unwrap();
        Self {
            dir,
            hand,
            verifier,
        }
    }

    fn write(&self, content: &str) {
        std::fs::write(self.dir.path().join("jwks.json"), content).unwrap();
    }

    /// As secrets are mounted: a new file, renamed over the old one.
    fn replace(&self, content: &str) {
        let new = self.dir.path().join("new.json");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, self.dir.path().join("jwks.json")).unwrap();
    }

    fn verify(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Caller, TokenError> {
        self.verifier
            .verify(&sign(algorithm, kid, &claims(&json!({}))))
    }
}

fn old() -> Value {
    jwk(Algorithm::ES256, &json!({ "kid": "old" }))
}

fn new() -> Value {
    jwk(Algorithm::EdDSA, &json!({ "kid": "new" }))
}

#[test]
fn a_changed_file_is_picked_up_within_a_second() {
    let rotation = Rotation::start(&[old()]);
    assert!(rotation.verify(Algorithm::ES256, None).is_ok());
    rotation.replace(&jwks(&[new()]));
    rotation.hand.forward(500);
    assert!(rotation.verify(Algorithm::ES256, None).is_ok());
    rotation.hand.forward(500);
    assert!(rotation.verify(Algorithm::ES256, None).is_err());
    assert!(rotation.verify(Algorithm::EdDSA, None).is_ok());
}

#[test]
fn an_unknown_key_is_looked_for_at_once_but_not_in_a_rush() {
    let rotation = Rotation::start(&[old()]);
    let known = || rotation.verify(Algorithm::EdDSA, Some("new"));
    assert!(known().is_err());
    rotation.write(&jwks(&[old(), new()]));
    assert!(known().is_err(), "looked a moment ago");
    rotation.hand.forward(100);
    assert!(known().is_ok());
    assert!(rotation.verify(Algorithm::ES256, Some("old")).is_ok());
}

#[test]
fn many_clients_with_the_new_key_are_all_let_in() {
    let rotation = Rotation::start(&[old()]);
    rotation.hand.forward(1000);
    rotation.replace(&jwks(&[new()]));
    std::thread::scope(|scope| {
        let client = || rotation.verify(Algorithm::EdDSA, Some("new"));
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(client)).collect();
        for client in clients {
            assert!(client.join().unwrap().is_ok());
        }
    });
}

#[test]
fn a_spoilt_or_vanished_file_leaves_the_old_keys() {
    let rotation = Rotation::start(&[old()]);
    let too_many = jwks(&vec![new(); 65]);
    for spoilt in [
        "",
        "{",
        "[]",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[{}]}"#,
        &too_many,
    ] {
        rotation.write(spoilt);
        rotation.hand.forward(1000);
        assert!(
            rotation.verify(Algorithm::ES256, Some("old")).is_ok(),
            "{spoilt}"
        );
    }
    std::fs::remove_file(rotation.dir.path().join("jwks.json")).unwrap();
    rotation.hand.forward(1000);
    assert!(rotation.verify(Algorithm::ES256, Some("old")).is_ok());
    rotation.write(&jwks(&[new()]));
    rotation.hand.forward(1000);
    assert!(rotation.verify(Algorithm::EdDSA, Some("new")).is_ok());
    assert!(rotation.verify(Algorithm::ES256, Some("old")).is_err());
}

#[test]
fn a_failure_is_said_once() {
    let rotation = Rotation::start(&[old()]);
    let warnings = Warnings::default();
    // Of a single subscriber nobody asks but the thread that comes first to a warning, and that may be
    // another test's: what it does not hear, nobody would.
    let _second = tracing::Dispatch::new(Warnings::default());
    tracing::subscriber::with_default(warnings.clone(), || {
        rotation.write("{");
        for _ in 0..5 {
            rotation.hand.forward(1000);
            rotation.verify(Algorithm::ES256, None).unwrap();
        }
    });
    assert_eq!(warnings.0.load(Ordering::SeqCst), 1);
}

#[derive(Clone, Default)]
struct Warnings(Arc<AtomicI64>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
