//! Tokens of attackers.

use proptest::prelude::*;

use super::super::MAX_TOKEN_BYTES;
use super::*;

fn valid() -> String {
    let changes = json!({ "teams": ["t-1", "t-2"], "role": "admin", "jti": "j-1" });
    sign(Algorithm::HS256, None, &claims(&changes))
}

fn refuse(token: &str) -> TokenError {
    verifier(&with_secret()).verify(token).unwrap_err()
}

#[test]
fn a_text_that_is_no_token_is_malformed() {
    let valid = valid();
    let five_parts = format!("{valid}.a.b");
    let bearer = format!("Bearer {valid}");
    let padded = format!("{valid} ");
    for text in [
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
        assert_eq!(refuse(text).code(), "token_malformed", "{text:?}");
    }
    assert_eq!(refuse(&padded).code(), "token_signature_invalid");
}

#[test]
fn a_truncated_token_is_refused_wherever_it_is_cut() {
    let valid = valid();
    let verifier = verifier(&with_secret());
    assert!(verifier.verify(&valid).is_ok());
    for end in 0..valid.len() {
        assert!(verifier.verify(&valid[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_changed_token_is_refused_wherever_it_is_changed() {
    let valid = valid();
    let verifier = verifier(&with_secret());
    for at in 0..valid.len() {
        let mut forged = valid.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert!(verifier.verify(&forged).is_err(), "{at}");
    }
}

#[test]
fn claims_are_not_read_before_the_signature_is_verified() {
    let expired = sign(Algorithm::HS256, None, &claims(&json!({ "exp": 1 })));
    assert_eq!(refuse(&expired).code(), "token_expired");
    let forged = &expired[..expired.len() - 2];
    assert_eq!(refuse(forged).code(), "token_signature_invalid");
}

#[test]
fn a_token_that_is_too_long_is_refused_unread() {
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
    // A header of two thousand opening brackets, in Base64.
    let deep = "W1tb".repeat(666);
    assert_eq!(
        refuse(&format!("{deep}.{deep}.{deep}")).code(),
        "token_malformed"
    );
}

#[test]
fn signed_claims_of_any_shape_are_handled() {
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
    let valid = valid();
    let wrong_key = EncodingKey::from_secret(b"another secret");
    let forged = encode(&Header::default(), &claims(&json!({})), &wrong_key).unwrap();
    let expired = sign(Algorithm::HS256, None, &claims(&json!({ "exp": 1 })));
    let odd_role = sign(Algorithm::HS256, None, &claims(&json!({ "role": valid })));
    let refused = format!("{valid}.x");
    for token in [&forged, &expired, &odd_role, &refused] {
        let error = verifier.verify(token).unwrap_err();
        let printed = format!("{error} {error:?} {error:#?}");
        for part in token
            .split('.')
            .chain(valid.split('.'))
            .filter(|part| part.len() > 8)
        {
            assert!(!printed.contains(part), "{printed}");
        }
    }
    let caller = verifier.verify(&valid).unwrap();
    let printed = format!("{settings:?} {verifier:?} {caller:?}");
    assert!(!printed.contains(SECRET) && !printed.contains(&valid));
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
    fn a_changed_byte_in_a_valid_token_is_detected(at in 0_usize..200, byte in any::<u8>()) {
        let valid = valid();
        let mut token = valid.clone().into_bytes();
        let at = at % token.len();
        token[at] = byte;
        let token = String::from_utf8_lossy(&token).into_owned();
        prop_assert!(token == valid || verifier(&with_secret()).verify(&token).is_err());
    }

    #[test]
    fn random_signed_claims_never_panic(name in "(sub|broker_id|teams|role|exp|nbf|jti)", text in ".{0,80}", number in any::<f64>()) {
        for value in [json!(text), json!(number), json!([text, number]), json!({ text.clone(): number })] {
            let _ = verify_claims(&json!({ &name: value }));
        }
    }
}
