//! Tokens: only valid ones give access, and none is ever logged.

use jsonwebtoken::Algorithm;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::cluster::{TestDatabase, open_dir};
use crate::support::forge::{self, honest, hs256, seconds_from_now};
use crate::support::requests::client;
use crate::support::{Answer, Process, Service, Stream, Token, Way, eventually};

/// Everything that needs a token.
const PROTECTED: [(Method, &str); 7] = [
    (Method::GET, "/stream"),
    (Method::GET, "/stream/user"),
    (Method::GET, "/stream/team"),
    (Method::GET, "/stream/broker"),
    (Method::GET, "/stream/records/escrows/e-1"),
    (Method::GET, "/events"),
    (Method::POST, "/events"),
];

fn request(service: &Service, method: &Method, path: &str) -> RequestBuilder {
    let request = service.client.request(method.clone(), service.url(path));
    if method == Method::POST {
        request.json(&json!({"type": "t", "audience": {"broker": true}}))
    } else {
        request
    }
}

/// Tokens that open nothing, and why.
fn bad_tokens() -> Vec<(&'static str, String)> {
    let good = honest(&json!({"role": "service"}));
    let (unsigned, _) = good.rsplit_once('.').expect("three parts");
    let (_, claims_and_signature) = good.split_once('.').expect("three parts");
    let public_key = forge::key("rsa.public.pem");
    let without_algorithm = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    vec![
        (
            "token_signature_invalid",
            hs256(b"another secret of enough bytes..", &json!({})),
        ),
        (
            "token_signature_invalid",
            hs256(&public_key, &json!({"role": "service"})),
        ),
        ("token_signature_invalid", good[..good.len() - 2].to_owned()),
        ("token_signature_invalid", format!("{unsigned}.")),
        ("token_malformed", unsigned.to_owned()),
        ("token_malformed", good[..10].to_owned()),
        ("token_malformed", format!("{good}.{good}")),
        (
            "token_malformed",
            honest(&json!({"pad": "x".repeat(8_192)})),
        ),
        ("token_malformed", "rubbish".to_owned()),
        (
            "token_algorithm_refused",
            format!("{without_algorithm}.{claims_and_signature}"),
        ),
        (
            "token_algorithm_refused",
            format!(
                "{without_algorithm}.{}.",
                &unsigned[unsigned.find('.').unwrap() + 1..]
            ),
        ),
        (
            "token_algorithm_refused",
            forge::signed_by(Algorithm::ES256, None),
        ),
        (
            "token_expired",
            honest(&json!({"exp": seconds_from_now(-1)})),
        ),
        (
            "token_not_yet_valid",
            honest(&json!({"nbf": seconds_from_now(600)})),
        ),
        ("token_claim_missing", honest(&json!({"exp": null}))),
        ("token_claim_missing", honest(&json!({"sub": null}))),
        ("token_claim_missing", honest(&json!({"broker_id": null}))),
        ("token_claim_invalid", honest(&json!({"role": "root"}))),
        ("token_claim_invalid", honest(&json!({"role": ["service"]}))),
        ("token_claim_invalid", honest(&json!({"sub": "a b "}))),
        ("token_claim_invalid", honest(&json!({"broker_id": "b/c"}))),
        ("token_claim_invalid", honest(&json!({"teams": ["a", {}]}))),
        ("token_claim_invalid", honest(&json!({"exp": "tomorrow"}))),
    ]
}

#[tokio::test]
async fn a_bad_token_opens_nothing_however_it_comes() {
    let key = forge::key_file("rsa.public.pem");
    let service = Service::with(&["--jwt-public-key-file", key.to_str().unwrap()]).await;
    for (method, path) in &PROTECTED {
        let answer = Answer::to(request(&service, method, path)).await;
        answer.refused(401, "token_missing", &format!("{method} {path}"));
        for (code, token) in bad_tokens() {
            for way in Way::ALL {
                let answer = Answer::to(way.carry(request(&service, method, path), &token)).await;
                answer.refused(401, code, &format!("{method} {path} {way:?} {token}"));
            }
        }
    }
    // The key that is configured does open, so its refusals above were no accident.
    let answer = service.client.get(service.url("/events"));
    let answer = answer.bearer_auth(forge::signed_by(Algorithm::RS256, None));
    assert_eq!(Answer::to(answer).await.status, 200);
    assert_eq!(
        service.list("/events", &Token::user("u", &[])).await["events"],
        json!([])
    );
}

#[tokio::test]
async fn a_header_that_is_no_bearer_token_is_refused_even_beside_a_good_token() {
    let service = Service::start().await;
    let good = honest(&json!({}));
    let invalid: [&[u8]; 12] = [
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Bearer  ",
        b"Basic dTpw",
        b"Digest a=b",
        b"bearer:x",
        b"Token x",
        b"Bearer \xff\xfe\xfd",
        b"\xc3\xa4",
        b"Bearer a b c",
    ];
    for (method, path) in &PROTECTED {
        for value in invalid {
            let value = HeaderValue::from_bytes(value).expect("a header");
            let request = request(&service, method, path).header("authorization", &value);
            for request in [
                request.try_clone().unwrap(),
                Way::Parameter.carry(request, &good),
            ] {
                let answer = Answer::to(request).await;
                answer.refused(
                    401,
                    "token_malformed",
                    &format!("{method} {path} {value:?}"),
                );
            }
        }
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = service.client.get(service.url("/events"));
        let request = request.header("authorization", format!("{scheme} {good}"));
        assert_eq!(Answer::to(request).await.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn rubbish_as_a_parameter_or_a_cookie_is_no_token() {
    let service = Service::start().await;
    for query in [
        "access_token",
        "access_token=",
        "access_token=%ff%fe",
        "access_token=%00.%00.%00",
    ] {
        for path in ["/stream", "/events"] {
            let answer =
                Answer::to(service.client.get(service.url(&format!("{path}?{query}")))).await;
            answer.refused(401, "token_malformed", query);
        }
    }
    for (cookie, code) in [
        ("access_token=", "token_malformed"),
        ("access_token=a.b.c", "token_malformed"),
        ("Access_Token=a.b.c", "token_missing"),
        ("access_token", "token_missing"),
        (";;;=;", "token_missing"),
    ] {
        let request = service
            .client
            .get(service.url("/stream"))
            .header("cookie", cookie);
        Answer::to(request).await.refused(401, code, cookie);
    }
}

#[tokio::test]
async fn the_cookie_of_the_token_is_found_by_its_exact_name_and_only_once() {
    let service = Service::with(&["--token-cookie=__Host-token"]).await;
    let (good, host) = (honest(&json!({})), "__Host-token=");
    let (mine, legacy) = (format!("{host}{good}"), b"n=Andr\xe9; ");
    let twice = format!("{mine}; {mine}");
    let escaped = format!("__Host%2Dtoken={good}");
    let beside = [&legacy[..], mine.as_bytes(), b"; 50%off; %ff=%ff"].concat();
    let after = [&legacy[..], escaped.as_bytes()].concat();
    for (cookies, expected) in [
        (vec![mine.as_bytes()], None),
        (vec![&beside[..]], None),
        (vec![&legacy[..], mine.as_bytes()], None),
        (vec![escaped.as_bytes()], Some("token_missing")),
        (vec![&after[..]], Some("token_missing")),
        (vec![twice.as_bytes()], Some("token_malformed")),
        (vec![mine.as_bytes(); 2], Some("token_malformed")),
        (vec![b"__Host-token=\xe9"], Some("token_malformed")),
    ] {
        let mut request = service.client.get(service.url("/events"));
        for cookie in &cookies {
            let cookie = HeaderValue::from_bytes(cookie).expect("a header");
            request = request.header("cookie", cookie);
        }
        let (answer, what) = (Answer::to(request).await, format!("{cookies:?}"));
        match expected {
            Some(code) => drop(answer.refused(401, code, &what)),
            None => assert_eq!(answer.status, 200, "{what}: {}", answer.text),
        }
    }
}

#[tokio::test]
async fn only_the_role_service_publishes() {
    let service = Service::start().await;
    for role in [json!("agent"), json!("admin"), json!("worker"), json!(null)] {
        for way in Way::ALL {
            let request = request(&service, &Method::POST, "/events");
            let answer = Answer::to(way.carry(request, &honest(&json!({"role": role})))).await;
            answer.refused(403, "role_needed", &format!("{role} {way:?}"));
        }
    }
    assert_eq!(
        service.list("/events", &Token::user("u", &[])).await["events"],
        json!([])
    );
    for way in Way::ALL {
        let request = request(&service, &Method::POST, "/events");
        let answer = Answer::to(way.carry(request, &honest(&json!({"role": "service"})))).await;
        assert_eq!(answer.status, 201, "{way:?}");
    }
}

#[tokio::test]
async fn keys_change_under_the_running_service() {
    let dir = open_dir();
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, forge::jwks(Algorithm::ES256, "old")).unwrap();
    let service = Service::with(&["--jwt-jwks-file", file.to_str().unwrap()]).await;
    let (old, new) = (
        forge::signed_by(Algorithm::ES256, Some("old")),
        forge::signed_by(Algorithm::EdDSA, Some("new")),
    );
    let ask = async |token: &str| {
        let request = service.client.get(service.url("/events"));
        Answer::to(request.bearer_auth(token)).await
    };
    assert_eq!(ask(&old).await.status, 200);
    ask(&new)
        .await
        .refused(401, "token_algorithm_refused", "before");
    let nobodys = forge::signed_by(Algorithm::ES256, Some("lost"));
    ask(&nobodys)
        .await
        .refused(401, "token_key_unknown", "another name");
    // As programs do it that replace a file at once.
    let next = dir.path().join("next");
    std::fs::write(&next, forge::jwks(Algorithm::EdDSA, "new")).unwrap();
    std::fs::rename(&next, &file).unwrap();
    eventually("the new key", async || {
        (ask(&new).await.status == 200).then_some(())
    })
    .await;
    eventually("the end of the old key", async || {
        (ask(&old).await.status == 401).then_some(())
    })
    .await;
    // A file that is no use leaves the keys that are known.
    std::fs::write(&file, "rubbish").unwrap();
    assert_eq!(ask(&new).await.status, 200);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ask(&new).await.status, 200);
}

#[tokio::test]
async fn no_token_is_seen_in_a_log_a_metric_or_an_answer() {
    let database = TestDatabase::create().await;
    let (url, log) = (database.url(), "trace");
    let variables = [("DATABASE_URL", url.as_str()), ("PORCHLIGHT_LOG", log)];
    let process = Process::start("127.0.0.1:0", &variables).await;
    let client = client(true);
    let mut tokens: Vec<_> = bad_tokens().into_iter().map(|(_, token)| token).collect();
    tokens.push(honest(&json!({"role": "service"})));
    tokens.push(honest(&json!({})));
    let mut seen = String::new();
    for token in &tokens {
        for way in Way::ALL {
            for (method, path) in [
                (Method::GET, "/events"),
                (Method::GET, "/events?limit=x&types=**"),
                (Method::GET, "/events?nonsense=1"),
                (Method::GET, "/stream/team?team=none"),
                (Method::GET, "/stream?since=x"),
                (Method::GET, "/nowhere"),
                (Method::GET, "/health/ready"),
                (Method::DELETE, "/events"),
                (Method::POST, "/events"),
            ] {
                let request = client
                    .request(method, process.url(path))
                    .body("{\"type\":1}");
                let answer = Answer::to(way.carry(request, token)).await;
                seen += &format!("{:?}\n{}\n", answer.headers, answer.text);
            }
            let opened = way.get(&client, &process.url("/stream"), token);
            let opened = Stream::open(opened).await;
            seen += &format!("{:?}\n", opened.headers);
        }
        // The same, written in another way.
        let hidden = token.replace('.', "%2e");
        let url = process.url(&format!(
            "/events?access_token={hidden}&access_token={token}"
        ));
        seen += &Answer::to(client.get(url)).await.text;
    }
    seen += &Answer::to(client.get(process.url("/metrics"))).await.text;
    eventually("the last line", || {
        let is_there = process.log.lock().unwrap().contains("/metrics");
        std::future::ready(is_there.then_some(()))
    })
    .await;
    seen += &process.log.lock().unwrap();
    assert!(
        seen.contains("\"TRACE\"") && seen.contains("/stream/team"),
        "the log is there"
    );
    for token in &tokens {
        let (_, secret) = token.rsplit_once('.').unwrap_or(("", token));
        for part in [secret, &token[token.len() / 2..]] {
            // `rubbish` and an empty signature are no secrets.
            let part = &part[..part.len().min(16)];
            assert!(part.len() < 10 || !seen.contains(part), "{part} of {token}");
        }
    }
}
