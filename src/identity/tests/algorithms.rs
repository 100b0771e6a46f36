//! Which key is used with which algorithm, and which never is.

use jsonwebtoken::crypto;

use super::super::IdentityError;
use super::*;

const SYMMETRIC: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const PUBLIC: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

fn with_public_key(algorithm: Algorithm) -> IdentitySettings {
    IdentitySettings {
        public_key_file: Some(public_key_file(algorithm)),
        ..IdentitySettings::default()
    }
}

fn with_jwks(dir: &tempfile::TempDir, keys: &[Value]) -> IdentitySettings {
    let path = dir.path().join("jwks.json");
    std::fs::write(&path, jwks(keys)).unwrap();
    IdentitySettings {
        jwks_file: Some(path),
        ..IdentitySettings::default()
    }
}

fn token(algorithm: Algorithm) -> String {
    sign(algorithm, None, &claims(&json!({})))
}

/// A token with a header that no library would create.
fn token_with_header(header: &Value, key: &EncodingKey) -> String {
    let valid = token(Algorithm::HS256);
    let (_, claims) = valid.split_once('.').unwrap();
    let claims = claims.split('.').next().unwrap();
    // The library's encoder for claims also encodes the header.
    let part = encode(&Header::default(), header, key).unwrap();
    let message = format!("{}.{claims}", part.split('.').nth(1).unwrap());
    let signature = crypto::sign(message.as_bytes(), key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn every_algorithm_is_accepted_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let with_set = verifier(&with_jwks(&dir, &PUBLIC.map(|alg| jwk(alg, &json!({})))));
    for algorithm in SYMMETRIC {
        assert!(verifier(&with_secret()).verify(&token(algorithm)).is_ok());
    }
    for algorithm in PUBLIC {
        let with_pem = verifier(&with_public_key(algorithm));
        for verifier in [&with_pem, &with_set] {
            let caller = verifier.verify(&token(algorithm));
            assert_eq!(caller.unwrap().user.as_str(), "u-1", "{algorithm:?}");
        }
    }
}

#[test]
fn no_algorithm_is_accepted_with_a_key_of_another_kind() {
    for signed in SYMMETRIC.into_iter().chain(PUBLIC) {
        for configured in PUBLIC {
            if public_key_file(signed) != public_key_file(configured) || SYMMETRIC.contains(&signed)
            {
                let verifier = verifier(&with_public_key(configured));
                let refused = code(verifier.verify(&token(signed)));
                assert_eq!(refused, "token_algorithm_refused");
            }
        }
    }
}

#[test]
fn all_key_sources_are_active_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let settings = IdentitySettings {
        secret: Some(Secret::new(SECRET)),
        public_key_file: Some(public_key_file(Algorithm::RS256)),
        ..with_jwks(&dir, &[jwk(Algorithm::ES256, &json!({ "kid": "es" }))])
    };
    let verifier = verifier(&settings);
    for algorithm in [Algorithm::HS512, Algorithm::PS384, Algorithm::ES256] {
        assert!(verifier.verify(&token(algorithm)).is_ok());
    }
    // A key without a name is used for a token whose key name no key has.
    let named = sign(Algorithm::RS256, Some("unlisted"), &claims(&json!({})));
    assert!(verifier.verify(&named).is_ok());
}

#[test]
fn a_public_key_is_never_used_as_a_secret() {
    jwt_ring::install();
    let pem = std::fs::read(public_key_file(Algorithm::RS256)).unwrap();
    let pem = EncodingKey::from_secret(&pem);
    let forged = encode(&Header::default(), &claims(&json!({})), &pem).unwrap();
    let alone = with_public_key(Algorithm::RS256);
    assert_eq!(
        code(verifier(&alone).verify(&forged)),
        "token_algorithm_refused"
    );
    let with_secret_too = IdentitySettings {
        secret: Some(Secret::new(SECRET)),
        ..alone
    };
    let refused = code(verifier(&with_secret_too).verify(&forged));
    assert_eq!(refused, "token_signature_invalid");
}

#[test]
fn none_and_unknown_algorithms_are_refused() {
    let key = private_key(Algorithm::HS256);
    for alg in [
        "none", "None", "NONE", "", "hs256", "HS1", "ES512", "ES256K", "RSA-OAEP",
    ] {
        let token = token_with_header(&json!({ "alg": alg, "typ": "JWT" }), &key);
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        for token in [&token, &format!("{unsigned}.")] {
            let refused = code(verifier(&with_secret()).verify(token));
            assert_eq!(refused, "token_algorithm_refused", "{alg}");
        }
    }
}

#[test]
fn the_newer_name_of_eddsa_is_accepted() {
    let header = json!({ "alg": "Ed25519" });
    let signed = token_with_header(&header, &private_key(Algorithm::HS256));
    let (message, _) = signed.rsplit_once('.').unwrap();
    let key = private_key(Algorithm::EdDSA);
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    let verifier = verifier(&with_public_key(Algorithm::EdDSA));
    assert!(verifier.verify(&format!("{message}.{signature}")).is_ok());
}

#[test]
fn critical_extensions_are_refused() {
    let header = json!({ "alg": "HS256", "crit": ["b64"], "b64": false });
    let token = token_with_header(&header, &private_key(Algorithm::HS256));
    assert_eq!(
        code(verifier(&with_secret()).verify(&token)),
        "token_malformed"
    );
}

#[test]
fn a_token_signed_with_another_key_is_refused() {
    jwt_ring::install();
    let other = std::fs::read(key_file("rsa-other.private.pem")).unwrap();
    let other = EncodingKey::from_rsa_pem(&other).unwrap();
    let header = Header::new(Algorithm::RS256);
    let forged = encode(&header, &claims(&json!({})), &other).unwrap();
    let verifier = verifier(&with_public_key(Algorithm::RS256));
    assert_eq!(code(verifier.verify(&forged)), "token_signature_invalid");
}

#[test]
fn the_kid_selects_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let keys = [
        jwk(Algorithm::RS256, &json!({ "kid": "rsa" })),
        jwk(Algorithm::ES256, &json!({ "kid": "ec" })),
    ];
    let verifier = verifier(&with_jwks(&dir, &keys));
    let verify = |kid| verifier.verify(&sign(Algorithm::RS256, kid, &claims(&json!({}))));
    assert!(verify(Some("rsa")).is_ok());
    assert!(verify(None).is_ok());
    assert_eq!(code(verify(Some("other"))), "token_key_unknown");
    assert_eq!(code(verify(Some("ec"))), "token_key_unknown");
}

#[test]
fn a_jwk_is_used_only_as_it_allows() {
    let dir = tempfile::tempdir().unwrap();
    let only_rs256 = jwk(Algorithm::RS256, &json!({ "alg": "RS256", "use": "sig" }));
    let verifier = verifier(&with_jwks(&dir, &[only_rs256]));
    assert!(verifier.verify(&token(Algorithm::RS256)).is_ok());
    let refused = code(verifier.verify(&token(Algorithm::PS256)));
    assert_eq!(refused, "token_algorithm_refused");
    for unusable in [
        json!({ "use": "enc" }),
        json!({ "key_ops": ["encrypt"] }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "RSA-OAEP" }),
        json!({ "kty": "EC" }),
        json!({ "kid": 7 }),
    ] {
        let settings = with_jwks(&dir, &[jwk(Algorithm::RS256, &unusable)]);
        let error = Verifier::new(&settings, Clock::system()).unwrap_err();
        assert!(
            error.to_string().contains("no key that can be used"),
            "{unusable}"
        );
    }
}

#[test]
fn unusable_keys_do_not_affect_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let keys = [
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "…" }),
        json!("invalid"),
        jwk(Algorithm::ES384, &json!({ "crv": "P-521" })),
        jwk(Algorithm::EdDSA, &json!({ "x": "c2hvcnQ" })),
        jwk(Algorithm::ES256, &json!({ "kid": "good" })),
    ];
    let verifier = verifier(&with_jwks(&dir, &keys));
    assert!(verifier.verify(&token(Algorithm::ES256)).is_ok());
    assert!(verifier.verify(&token(Algorithm::HS256)).is_err());
    assert!(verifier.verify(&token(Algorithm::EdDSA)).is_err());
}

#[test]
fn unusable_keys_stop_the_start_with_an_explanation() {
    let pem = |path: PathBuf| IdentitySettings {
        public_key_file: Some(path),
        ..IdentitySettings::default()
    };
    let secret = |secret| IdentitySettings {
        secret: Some(Secret::new(secret)),
        ..IdentitySettings::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let two = dir.path().join("two.pem");
    let one = std::fs::read_to_string(key_file("p256.public.pem")).unwrap();
    std::fs::write(&two, one.repeat(2)).unwrap();
    for (settings, text) in [
        (IdentitySettings::default(), "no key to check tokens with"),
        (secret(""), "JWT_SECRET is empty"),
        (secret(&one), "JWT_SECRET holds a PEM key"),
        (pem(key_file("p256.private.pem")), "private key"),
        (pem(key_file("p521.public.pem")), "not an RSA, EC P-256"),
        (pem(key_file("rsa-1024.public.pem")), "RSA key of 1024 bits"),
        (pem(key_file("README.md")), "not PEM text"),
        (pem(two), "exactly one key"),
        (pem(key_file("")), "not a regular file"),
        (pem(key_file("absent.pem")), "No such file"),
        (with_jwks(&dir, &[]), "no key that can be used"),
    ] {
        let error: IdentityError = Verifier::new(&settings, Clock::system()).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
