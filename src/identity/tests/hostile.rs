//! Tokens made to break something.

use proptest::prelude::*;

use super::super::MAX_TOKEN_BYTES;
use super::*;

fn honest() -> String {
    let changes = json!({ "teams": ["t-1", "t-2"], "role": "admin", "jti": "j-1" });
    sign(Algorithm::HS256, None, &claims(&changes))
}

fn refuse(token: &str) -> TokenError {
    verifier(&with_secret()).verify(token).unwrap_err()
}

#[test]
fn whatever_is_not_a_token_is_malformed() {
    let honest = honest();
    let five_parts = format!("{honest}.a.b");
    let bearer = format!("Bearer {honest}");
    let padded = format!("{honest} ");
    for rubbish in [
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        "🦀.🦀.🦀",
        "\0.\0.\0",
        "e30.e30.",
        "e30.e30.e30",
        &five_parts,
        &bearer,
    ] {
        assert_eq!(refuse(rubbish).code(), "token_malformed", "{rubbish:?}");
    }
    assert_eq!(refuse(&padded).code(), "token_signature_invalid");
}

#[test]
fn a_truncated_token_is_refused_wherever_it_is_cut() {
    let honest = honest();
    let verifier = verifier(&with_secret());
    assert!(verifier.verify(&honest).is_ok());
    for end in 0..honest.len() {
        assert!(verifier.verify(&honest[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_changed_token_is_refused_wherever_it_is_changed() {
    let honest = honest();
    let verifier = verifier(&with_secret());
    for at in 0..honest.len() {
        let mut forged = honest.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert!(verifier.verify(&forged).is_err(), "{at}");
    }
}

#[test]
fn claims_are_not_looked_at_before_the_signature() {
    let expired = sign(Algorithm::HS256, None, &claims(&json!({ "exp": 1 })));
    assert_eq!(refuse(&expired).code(), "token_expired");
    let forged = &expired[..expired.len() - 2];
    assert_eq!(refuse(forged).code(), "token_signature_invalid");
}

#[test]
fn a_token_beyond_the_limit_is_refused_unread() {
    let big = |n: usize| {
        sign(
            Algorithm::HS256,
            None,
            &claims(&json!({ "pad": "x".repeat(n) })),
        )
    };
    assert!(verifier(&with_secret()).verify(&big(5900)).is_ok());
    let too_big = big(MAX_TOKEN_BYTES);
    assert_eq!(refuse(&too_big), TokenError::TooLong);
    assert_eq!(refuse(&too_big).code(), "token_malformed");
}

#[test]
fn deeply_nested_claims_are_refused_without_harm() {
    // A header of two thousand opening brackets, in base64.
    let deep = "W1tb".repeat(666);
    assert_eq!(
        refuse(&format!("{deep}.{deep}.{deep}")).code(),
        "token_malformed"
    );
}

#[test]
fn genuine_claims_of_any_shape_are_answered() {
    let key = private_key(Algorithm::HS256);
    for claims in [json!([]), json!("sub"), json!(null), json!(1)] {
        let token = encode(&Header::default(), &claims, &key).unwrap();
        assert_eq!(refuse(&token).code(), "token_malformed");
    }
}

#[test]
fn nothing_printed_contains_a_token_or_a_secret() {
    let settings = with_secret();
    let verifier = verifier(&settings);
    let honest = honest();
    let wrong_key = EncodingKey::from_secret(b"another secret");
    let forged = encode(&Header::default(), &claims(&json!({})), &wrong_key).unwrap();
    let expired = sign(Algorithm::HS256, None, &claims(&json!({ "exp": 1 })));
    let odd_role = sign(Algorithm::HS256, None, &claims(&json!({ "role": honest })));
    let refused = format!("{honest}.x");
    for token in [&forged, &expired, &odd_role, &refused] {
        let error = verifier.verify(token).unwrap_err();
        let printed = format!("{error} {error:?} {error:#?}");
        for part in token
            .split('.')
            .chain(honest.split('.'))
            .filter(|part| part.len() > 8)
        {
            assert!(!printed.contains(part), "{printed}");
        }
    }
    let caller = verifier.verify(&honest).unwrap();
    let printed = format!("{settings:?} {verifier:?} {caller:?}");
    assert!(!printed.contains(SECRET) && !printed.contains(&honest));
}

proptest! {
    #[test]
    fn random_text_never_panics_and_is_never_repeated(token in ".{24,200}") {
        let error = refuse(&token);
        let printed = format!("{error} {error:?}");
        prop_assert!(!printed.contains(&token));
    }

    #[test]
    fn random_bytes_between_dots_never_panic(parts in prop::collection::vec("[A-Za-z0-9_-]{0,80}", 0..6)) {
        refuse(&parts.join("."));
    }

    #[test]
    fn random_bytes_in_a_good_token_are_noticed(at in 0_usize..200, byte in any::<u8>()) {
        let honest = honest();
        let mut token = honest.clone().into_bytes();
        let at = at % token.len();
        token[at] = byte;
        let token = String::from_utf8_lossy(&token).into_owned();
        prop_assert!(token == honest || verifier(&with_secret()).verify(&token).is_err());
    }

    #[test]
    fn random_genuine_claims_never_panic(name in "(sub|broker_id|teams|role|exp|nbf|jti)", text in ".{0,80}", number in any::<f64>()) {
        for value in [json!(text), json!(number), json!([text, number]), json!({ text.clone(): number })] {
            let _ = verify_claims(&json!({ &name: value }));
        }
    }
}
