//! Tokens that are refused although they are valid.

use super::super::{Revocation, Revoked};
use super::*;

fn revoke(verifier: &Verifier, what: Revoked, kept_until: Option<OffsetDateTime>) {
    verifier.revocations().add(&Revocation {
        broker: "b-1".parse().unwrap(),
        what,
        kept_until,
    });
}

fn user(issued_before: OffsetDateTime) -> Revoked {
    Revoked::User {
        user: "u-1".parse().unwrap(),
        issued_before,
    }
}

fn issued(seconds: i64, changes: &Value) -> String {
    let mut claims = claims(changes);
    claims["iat"] = json!(NOW.unix_timestamp() + seconds);
    sign(Algorithm::HS256, None, &claims)
}

#[test]
fn a_known_token_is_refused_as_soon_as_it_is_revoked() {
    let verifier = verifier(&with_secret());
    let (old, new) = (issued(-10, &json!({})), issued(0, &json!({})));
    assert!(verifier.verify(&old).is_ok() && verifier.verify(&new).is_ok());
    revoke(&verifier, user(NOW), None);
    assert_eq!(code(verifier.verify(&old)), "token_revoked");
    assert!(verifier.verify(&new).is_ok());
    let without_time = sign(Algorithm::HS256, None, &claims(&json!({})));
    assert_eq!(code(verifier.verify(&without_time)), "token_revoked");
    for others in [json!({"sub": "u-2"}), json!({"broker_id": "b-2"})] {
        assert!(verifier.verify(&issued(-10, &others)).is_ok(), "{others}");
    }
}

#[test]
fn a_revocation_that_is_applied_late_takes_nothing_back() {
    let verifier = verifier(&with_secret());
    let token = issued(-10, &json!({"jti": "t-1"}));
    let (soon, late) = (NOW - time::Duration::SECOND, NOW + time::Duration::HOUR);
    revoke(&verifier, user(NOW), Some(late));
    revoke(&verifier, user(NOW - time::Duration::MINUTE), Some(soon));
    assert_eq!(code(verifier.verify(&token)), "token_revoked");
    verifier.revocations().forget_expired(NOW);
    assert_eq!(code(verifier.verify(&token)), "token_revoked");
    verifier.revocations().forget_expired(late);
    assert!(verifier.verify(&token).is_ok());
    revoke(&verifier, Revoked::Token("t-1".into()), None);
    revoke(&verifier, Revoked::Token("t-1".into()), Some(soon));
    verifier.revocations().forget_expired(NOW);
    assert_eq!(code(verifier.verify(&token)), "token_revoked");
}

#[test]
fn revocations_are_by_token_and_by_brokerage_too() {
    let verifier = verifier(&with_secret());
    let with_id = |id: &str| issued(-10, &json!({"jti": id}));
    revoke(&verifier, Revoked::Token("t-1".into()), None);
    assert_eq!(code(verifier.verify(&with_id("t-1"))), "token_revoked");
    let elsewhere = issued(-10, &json!({"jti": "t-1", "broker_id": "b-2"}));
    assert!(verifier.verify(&elsewhere).is_ok());
    assert!(verifier.verify(&with_id("t-2")).is_ok());
    let issued_before = NOW;
    revoke(&verifier, Revoked::Brokerage { issued_before }, None);
    assert_eq!(code(verifier.verify(&with_id("t-2"))), "token_revoked");
    assert!(verifier.verify(&elsewhere).is_ok());
}

#[test]
fn a_team_that_was_left_is_taken_out_of_earlier_tokens() {
    let verifier = verifier(&with_secret());
    let teams = |token: &str| {
        let caller = verifier.verify(token).unwrap();
        caller
            .teams
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let (old, new) = (
        issued(-10, &json!({"teams": ["a", "b"]})),
        issued(0, &json!({"teams": ["a", "b"]})),
    );
    let left = Revoked::Member {
        user: "u-1".parse().unwrap(),
        team: "a".parse().unwrap(),
        issued_before: NOW,
    };
    let caller = verifier.verify(&old).unwrap();
    assert_eq!(verifier.check_again(&caller).unwrap().teams.len(), 2);
    revoke(&verifier, left, None);
    assert_eq!(teams(&old), ["b"]);
    assert_eq!(teams(&new), ["a", "b"]);
    let checked = verifier.check_again(&caller).unwrap();
    assert_eq!(checked.teams[..], ["b".parse().unwrap()]);
}

#[test]
fn a_revocation_is_forgotten_when_its_tokens_have_expired() {
    let verifier = verifier(&with_secret());
    let hour = time::Duration::HOUR;
    revoke(&verifier, user(NOW), Some(NOW + hour));
    revoke(&verifier, Revoked::Token("t-1".into()), None);
    let old = issued(-10, &json!({}));
    verifier.revocations().forget_expired(NOW);
    assert_eq!(code(verifier.verify(&old)), "token_revoked");
    verifier.revocations().forget_expired(NOW + hour);
    assert!(verifier.verify(&old).is_ok());
    let unknown_end = issued(-10, &json!({"jti": "t-1"}));
    assert_eq!(code(verifier.verify(&unknown_end)), "token_revoked");
}

#[test]
fn a_longest_lifetime_counts_from_iat() {
    let settings = IdentitySettings {
        max_lifetime: Some(time::Duration::seconds(100)),
        ..with_secret()
    };
    let verifier = verifier(&settings);
    // `exp` is 60 seconds from now.
    assert!(verifier.verify(&issued(-40, &json!({}))).is_ok());
    let long = issued(-41, &json!({}));
    assert_eq!(code(verifier.verify(&long)), "token_claim_invalid");
    let without_time = sign(Algorithm::HS256, None, &claims(&json!({})));
    assert_eq!(code(verifier.verify(&without_time)), "token_claim_missing");
}
