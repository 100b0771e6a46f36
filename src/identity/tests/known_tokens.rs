//! Known tokens are never accepted longer than they are valid.

use super::*;

fn verifier_at(clock: &ManualClock) -> Verifier {
    Verifier::new(&with_secret(), clock.clock()).unwrap()
}

fn token_for(seconds: i64) -> String {
    let claims = claims(&json!({"exp": NOW.unix_timestamp() + seconds}));
    sign(Algorithm::HS256, None, &claims)
}

#[test]
fn a_known_token_is_refused_when_it_has_expired() {
    let clock = ManualClock::new();
    let (verifier, token) = (verifier_at(&clock), token_for(30));
    for _ in 0..29 {
        assert!(verifier.verify(&token).is_ok());
        clock.forward(1_000);
    }
    clock.forward(999);
    assert!(verifier.verify(&token).is_ok());
    clock.forward(1);
    assert_eq!(code(verifier.verify(&token)), "token_expired");
}

#[test]
fn a_clock_that_is_set_back_extends_no_token() {
    let clock = ManualClock::new();
    let (verifier, token) = (verifier_at(&clock), token_for(30));
    assert!(verifier.verify(&token).is_ok());
    clock.forward(-3_600_000);
    assert!(verifier.verify(&token).is_ok());
    clock.forward(3_600_000 + 30_000);
    assert_eq!(code(verifier.verify(&token)), "token_expired");
}

#[test]
fn a_token_that_was_refused_is_not_known() {
    let verifier = verifier_at(&ManualClock::new());
    let token = token_for(30);
    let forged = format!("{}x", &token[..token.len() - 1]);
    for _ in 0..3 {
        assert!(verifier.verify(&token).is_ok());
        assert_eq!(code(verifier.verify(&forged)), "token_signature_invalid");
    }
}

#[test]
fn tokens_of_colleagues_share_their_brokerage_and_teams() {
    let verifier = verifier_at(&ManualClock::new());
    let of = |user: &str, team: &str| {
        let claims = claims(&json!({"sub": user, "teams": [team]}));
        verifier
            .verify(&sign(Algorithm::HS256, None, &claims))
            .unwrap()
    };
    let (ann, bob, cid) = (of("ann", "a"), of("bob", "a"), of("cid", "c"));
    assert!(Arc::ptr_eq(&ann.teams, &bob.teams));
    assert_ne!(ann.teams, cid.teams);
    let address = |caller: &Caller| caller.broker.as_str().as_ptr();
    assert_eq!(address(&ann), address(&bob));
    assert_eq!(address(&ann), address(&cid));
}
