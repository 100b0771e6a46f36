//! A JWKS file that changes while the verifier runs.

use super::*;

struct Rotation {
    dir: tempfile::TempDir,
    clock: ManualClock,
    verifier: Verifier,
}

impl Rotation {
    fn start(keys: &[Value]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        std::fs::write(&path, jwks(keys)).unwrap();
        let clock = ManualClock::new();
        let settings = IdentitySettings {
            jwks_file: Some(path),
            ..IdentitySettings::default()
        };
        let verifier = Verifier::new(&settings, clock.clock()).unwrap();
        Self {
            dir,
            clock,
            verifier,
        }
    }

    fn write(&self, content: &str) {
        std::fs::write(self.dir.path().join("jwks.json"), content).unwrap();
    }

    /// Renames a new file over the old one, as mounted secrets change.
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
    rotation.clock.forward(500);
    assert!(rotation.verify(Algorithm::ES256, None).is_ok());
    rotation.clock.forward(500);
    assert!(rotation.verify(Algorithm::ES256, None).is_err());
    assert!(rotation.verify(Algorithm::EdDSA, None).is_ok());
}

#[test]
fn an_unknown_key_causes_a_check_at_once_but_not_too_often() {
    let rotation = Rotation::start(&[old()]);
    let known = || rotation.verify(Algorithm::EdDSA, Some("new"));
    assert!(known().is_err());
    rotation.write(&jwks(&[old(), new()]));
    assert!(known().is_err(), "checked a moment ago");
    rotation.clock.forward(100);
    assert!(known().is_ok());
    assert!(rotation.verify(Algorithm::ES256, Some("old")).is_ok());
}

#[test]
fn many_clients_with_the_new_key_are_all_accepted() {
    let rotation = Rotation::start(&[old()]);
    rotation.clock.forward(1000);
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
fn with_an_unusable_or_missing_file_the_old_keys_stay() {
    let rotation = Rotation::start(&[old()]);
    let too_many = jwks(&vec![new(); 65]);
    for unusable in [
        "",
        "{",
        "[]",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[{}]}"#,
        &too_many,
    ] {
        rotation.write(unusable);
        rotation.clock.forward(1000);
        assert!(
            rotation.verify(Algorithm::ES256, Some("old")).is_ok(),
            "{unusable}"
        );
    }
    std::fs::remove_file(rotation.dir.path().join("jwks.json")).unwrap();
    rotation.clock.forward(1000);
    assert!(rotation.verify(Algorithm::ES256, Some("old")).is_ok());
    rotation.write(&jwks(&[new()]));
    rotation.clock.forward(1000);
    assert!(rotation.verify(Algorithm::EdDSA, Some("new")).is_ok());
    assert!(rotation.verify(Algorithm::ES256, Some("old")).is_err());
}

#[test]
fn a_failure_is_logged_once() {
    let rotation = Rotation::start(&[old()]);
    let warnings = Warnings::default();
    // With one subscriber, tracing asks only the first thread that reaches a warning whether it is
    // enabled. That thread may be another test's, without a subscriber.
    let _second = tracing::Dispatch::new(Warnings::default());
    tracing::subscriber::with_default(warnings.clone(), || {
        rotation.write("{");
        for _ in 0..5 {
            rotation.clock.forward(1000);
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
