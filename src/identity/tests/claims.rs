//! What is read from valid tokens.

use super::super::{ClaimNames, MAX_TEAMS, Role};
use super::*;
use crate::platform::TeamId;

fn at(seconds: f64) -> Value {
    json!(f64::from(u32::try_from(NOW.unix_timestamp()).unwrap()) + seconds)
}

fn teams(changes: &Value) -> Vec<String> {
    let caller = verify_claims(changes).unwrap();
    caller.teams.iter().map(ToString::to_string).collect()
}

fn refusal(changes: &Value) -> (&'static str, String) {
    let error = verify_claims(changes).unwrap_err();
    (error.code(), error.claim().unwrap_or_default().to_owned())
}

#[test]
fn a_token_is_valid_until_exactly_its_expiry() {
    for (exp, valid) in [
        (1.0, true),
        (0.5, true),
        (0.0, false),
        (-0.5, false),
        (-9e9, false),
    ] {
        let result = verify_claims(&json!({ "exp": at(exp) }));
        assert_eq!(result.is_ok(), valid, "{exp}");
        if !valid {
            assert_eq!(code(result), "token_expired");
        }
    }
    let caller = verify_claims(&json!({ "exp": at(0.5) })).unwrap();
    assert_eq!(caller.expires_at, NOW + time::Duration::milliseconds(500));
}

#[test]
fn times_must_be_present_and_valid() {
    assert_eq!(
        refusal(&json!({ "exp": null })),
        ("token_claim_missing", "exp".into())
    );
    // The last two are milliseconds instead of seconds, and a date beyond the calendar.
    for bad in [
        json!("1767268800"),
        json!({}),
        json!([1]),
        json!(true),
        json!(1_767_268_800_000_i64),
        json!(1e300),
    ] {
        assert_eq!(
            refusal(&json!({ "exp": bad })),
            ("token_claim_invalid", "exp".into())
        );
        assert_eq!(
            refusal(&json!({ "nbf": bad })),
            ("token_claim_invalid", "nbf".into())
        );
    }
}

#[test]
fn a_token_from_a_clock_slightly_ahead_is_valid_already() {
    for (nbf, valid) in [
        (-60.0, true),
        (0.0, true),
        (30.0, true),
        (30.5, false),
        (3600.0, false),
    ] {
        let result = verify_claims(&json!({ "nbf": at(nbf) }));
        assert_eq!(result.is_ok(), valid, "{nbf}");
        if !valid {
            assert_eq!(code(result), "token_not_yet_valid");
        }
    }
}

#[test]
fn a_token_that_was_issued_in_the_future_escapes_neither_limit_nor_revocation() {
    for (iat, valid) in [
        (0.0, true),
        (30.0, true),
        (30.5, false),
        (31_536_000.0, false),
    ] {
        let result = verify_claims(&json!({ "iat": at(iat), "exp": at(iat + 60.0) }));
        assert_eq!(result.is_ok(), valid, "{iat}");
        if let Err(error) = result {
            assert_eq!(error.code(), "token_not_yet_valid");
            assert!(error.to_string().contains("iat"), "{error}");
        }
    }
}

#[test]
fn issuer_and_audience_are_checked_when_configured() {
    let settings = IdentitySettings {
        issuers: vec!["https://a".into(), "https://b".into()],
        audiences: vec!["porchlight".into()],
        ..with_secret()
    };
    let verify = |changes| verify_claims_with(&settings, &changes);
    assert!(verify(json!({ "iss": "https://b", "aud": "porchlight" })).is_ok());
    assert!(verify(json!({ "iss": "https://a", "aud": ["x", "porchlight"] })).is_ok());
    for (claims, claim, code) in [
        (json!({ "aud": "porchlight" }), "iss", "token_claim_missing"),
        (
            json!({ "iss": "https://c", "aud": "porchlight" }),
            "iss",
            "token_claim_invalid",
        ),
        // An issuer is one text.
        (
            json!({ "iss": ["https://a"], "aud": "porchlight" }),
            "iss",
            "token_claim_invalid",
        ),
        (json!({ "iss": "https://a" }), "aud", "token_claim_missing"),
        (
            json!({ "iss": "https://a", "aud": [] }),
            "aud",
            "token_claim_invalid",
        ),
        (
            json!({ "iss": "https://a", "aud": { "porchlight": 1 } }),
            "aud",
            "token_claim_invalid",
        ),
    ] {
        let error = verify(claims).unwrap_err();
        assert_eq!((error.claim(), error.code()), (Some(claim), code));
    }
    assert!(verify_claims(&json!({ "iss": 1, "aud": "anything" })).is_ok());
}

#[test]
fn the_user_claim_has_many_names_and_can_be_a_number() {
    for (changes, user) in [
        (json!({ "sub": "s", "id": "i" }), "s"),
        (json!({ "sub": null, "id": 42, "user_id": "x" }), "42"),
        (json!({ "sub": null, "user_id": "u_1" }), "u_1"),
        (json!({ "sub": "auth0|5f7c" }), "auth0|5f7c"),
        (
            json!({ "sub": null, "userId": u64::MAX }),
            "18446744073709551615",
        ),
    ] {
        assert_eq!(verify_claims(&changes).unwrap().user.as_str(), user);
    }
    assert_eq!(
        refusal(&json!({ "sub": null })),
        ("token_claim_missing", "sub".into())
    );
    for bad in [
        json!(""),
        json!(" a"),
        json!("ünï"),
        json!(1.5),
        json!(true),
        json!(["u"]),
        json!("x".repeat(129)),
    ] {
        assert_eq!(
            refusal(&json!({ "sub": bad })),
            ("token_claim_invalid", "sub".into())
        );
    }
}

#[test]
fn the_broker_claim_is_in_snake_case_or_camel_case() {
    let camel = json!({ "broker_id": null, "brokerId": 7 });
    assert_eq!(verify_claims(&camel).unwrap().broker.as_str(), "7");
    let none = refusal(&json!({ "broker_id": null }));
    assert_eq!(none, ("token_claim_missing", "broker_id".into()));
    let bad = refusal(&json!({ "broker_id": null, "brokerId": "a/b" }));
    assert_eq!(bad, ("token_claim_invalid", "brokerId".into()));
}

#[test]
fn teams_of_all_claims_are_joined_in_order_and_without_duplicates() {
    assert!(teams(&json!({})).is_empty());
    assert!(teams(&json!({ "teams": "" })).is_empty());
    assert_eq!(teams(&json!({ "teamId": "t" })), ["t"]);
    assert_eq!(teams(&json!({ "teams": "a, b,,a" })), ["a", "b"]);
    assert_eq!(
        teams(&json!({ "teams": ["a", 2, "a"], "team_id": "c" })),
        ["a", "2", "c"]
    );
    let all =
        json!({ "team_id": "d", "teamId": 5, "teamIds": ["c"], "team_ids": "b,c", "teams": ["a"] });
    assert_eq!(teams(&all), ["a", "b", "c", "d", "5"]);
    for bad in [
        json!([""]),
        json!([null]),
        json!([["a"]]),
        json!({ "a": 1 }),
        json!(["a,b"]),
    ] {
        assert_eq!(
            refusal(&json!({ "teams": bad })),
            ("token_claim_invalid", "teams".into())
        );
    }
    let caller = verify_claims(&json!({ "teams": "a,b" })).unwrap();
    assert!(caller.is_on(&TeamId::parse("b").unwrap()));
    assert!(!caller.is_on(&TeamId::parse("c").unwrap()));
}

#[test]
fn teams_are_limited_and_the_error_has_the_limit() {
    let most: Vec<_> = (0..MAX_TEAMS).collect();
    assert_eq!(
        teams(&json!({ "teams": most, "team_id": 0 })).len(),
        MAX_TEAMS
    );
    let error = verify_claims(&json!({ "teams": most, "team_id": "one-more" })).unwrap_err();
    assert_eq!(error.claim(), Some("team_id"));
    assert!(error.to_string().contains("more than 64 teams"));
}

#[test]
fn the_default_role_is_agent() {
    assert_eq!(verify_claims(&json!({})).unwrap().role, Role::Agent);
    for (name, rights) in [
        ("agent", [false, false, false]),
        ("admin", [false, false, true]),
        ("service", [true, false, false]),
        ("worker", [false, true, false]),
    ] {
        let caller = verify_claims(&json!({ "role": name })).unwrap();
        assert_eq!(caller.role.as_str(), name);
        assert_eq!(
            [
                caller.may_publish(),
                caller.may_work(),
                caller.may_administer()
            ],
            rights
        );
    }
    let error = verify_claims(&json!({ "role": "root\n" })).unwrap_err();
    assert_eq!(
        (error.code(), error.claim()),
        ("token_claim_invalid", Some("role"))
    );
    assert!(error.to_string().contains(r#"not "root\n""#), "{error}");
    assert!(verify_claims(&json!({ "role": ["admin"] })).is_err());
    assert!(verify_claims(&json!({ "role": "Admin" })).is_err());
}

#[test]
fn the_jti_is_read() {
    let id = |jti: Value| {
        verify_claims(&json!({ "jti": jti })).map(|caller| caller.credential.token_id.clone())
    };
    assert_eq!(id(json!("j-1")).unwrap().as_deref(), Some("j-1"));
    assert_eq!(id(json!(9)).unwrap().as_deref(), Some("9"));
    assert_eq!(id(json!(null)).unwrap(), None);
    for bad in [json!(""), json!({}), json!("a\0b"), json!("j".repeat(129))] {
        assert_eq!(
            code(verify_claims(&json!({ "jti": bad }))),
            "token_claim_invalid"
        );
    }
}

#[test]
fn mapped_names_come_before_the_built_in_ones() {
    let names = |name: &str| vec![name.to_owned()];
    let settings = IdentitySettings {
        claims: ClaimNames {
            user: names("https://crm.example/claims.user.name"),
            broker: names("app.broker"),
            teams: names("app.groups"),
            role: names("x.role"),
            ..ClaimNames::default()
        },
        ..with_secret()
    };
    let mapped = json!({
        "https://crm.example/claims": { "user.name": "mapped" },
        "app": { "broker": 9, "groups": ["g"] },
        "x.role": "service", "x": { "role": "admin" },
        "teams": ["built-in"], "role": "worker",
    });
    let caller = verify_claims_with(&settings, &mapped).unwrap();
    assert_eq!(
        (caller.user.as_str(), caller.broker.as_str()),
        ("mapped", "9")
    );
    assert_eq!(
        caller.teams.iter().map(TeamId::as_str).collect::<Vec<_>>(),
        ["g"]
    );
    assert_eq!(caller.role, Role::Service);

    let plain = verify_claims_with(&settings, &json!({ "app": 1, "teams": "t" })).unwrap();
    assert_eq!((plain.user.as_str(), plain.teams.len()), ("u-1", 1));
}
