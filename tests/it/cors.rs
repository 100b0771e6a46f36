//! Web pages of other origins: only those that are configured may call.

use std::collections::BTreeSet;

use porchlight::api::DOCUMENT;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Service, Stream, Token, for_team};

const CRM: &str = "https://crm.example.com";
const PATHS: [&str; 6] = [
    "/stream",
    "/events",
    "/health/live",
    "/metrics",
    "/",
    "/nowhere",
];

async fn service() -> Service {
    Service::with(&["--cors-origins=https://crm.example.com,http://localhost:3000"]).await
}

#[tokio::test]
async fn a_foreign_page_is_refused_before_anything_happens() {
    let service = service().await;
    let port = service.addr.port();
    let (elsewhere, nearly) = (
        format!("http://127.0.0.1:{}", port ^ 1),
        format!("{CRM}.evil.example"),
    );
    for origin in [
        "https://evil.example",
        "null",
        "",
        "https://crm.example.com:444",
        "file://",
        "http://crm.example.com",
        "crm.example.com",
        &elsewhere,
        &nearly,
        "\u{e4}",
    ] {
        for path in PATHS {
            let request = service
                .get(path, &Token::service("b"))
                .header("origin", origin.as_bytes());
            let answer = Answer::to(request).await;
            let field = answer.refused(403, "origin_not_allowed", &format!("{origin} {path}"));
            assert_eq!(field.as_deref(), Some("Origin"));
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
        let request = service
            .client
            .post(service.url("/events"))
            .header("origin", origin.as_bytes());
        let request = request
            .bearer_auth(Token::service("b").signed())
            .json(&for_team("a", 1));
        Answer::to(request)
            .await
            .refused(403, "origin_not_allowed", origin);
        let preflight = service
            .client
            .request(Method::OPTIONS, service.url("/events"));
        let preflight = preflight.header("access-control-request-method", "POST");
        let answer = Answer::to(preflight.header("origin", origin.as_bytes())).await;
        answer.refused(403, "origin_not_allowed", origin);
    }
    let token = Token::user("u", &["a"]);
    assert_eq!(service.list("/events", &token).await["events"], json!([]));
    assert_eq!(service.metric("porchlight_streams_opened_total").await, 0.0);
}

#[tokio::test]
async fn an_allowed_page_may_call_with_credentials() {
    let service = service().await;
    let token = Token::user("u", &["a"]);
    service.publish(&for_team("a", 1)).await;
    for origin in [CRM, "http://localhost:3000"] {
        for path in [
            "/stream",
            "/events",
            "/events?limit=x",
            "/stream/team?team=x",
            "/nowhere",
            "/",
        ] {
            let request = service.get(path, &token).header("origin", origin);
            let headers = match path {
                "/stream" => Stream::open(request).await.headers,
                _ => Answer::to(request).await.headers,
            };
            let header = |name: &str| headers[name].to_str().unwrap().to_lowercase();
            assert_eq!(header("access-control-allow-origin"), origin, "{path}");
            assert_eq!(header("access-control-allow-credentials"), "true", "{path}");
            let vary: Vec<_> = headers
                .get_all("vary")
                .iter()
                .map(|v| v.to_str().unwrap().to_lowercase())
                .collect();
            assert!(vary.join(",").contains("origin"), "{path}: {vary:?}");
        }
        let request = service
            .client
            .get(service.url("/stream"))
            .header("origin", origin);
        let answer = Answer::to(request).await;
        answer.refused(401, "token_missing", "without a token");
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
}

#[tokio::test]
async fn a_page_may_read_every_header_that_is_described() {
    let service = service().await;
    let request = service
        .get("/events", &Token::user("u", &[]))
        .header("origin", CRM);
    let answer = Answer::to(request).await;
    let exposed = answer
        .header("access-control-expose-headers")
        .to_lowercase();
    let exposed: BTreeSet<_> = exposed.split(',').map(str::trim).collect();
    let mut described = BTreeSet::from(["retry-after".to_owned(), "x-request-id".to_owned()]);
    for response in DOCUMENT["paths"]["/events"]["get"]["responses"]
        .as_object()
        .unwrap()
        .values()
        .chain(
            DOCUMENT["paths"]["/events"]["post"]["responses"]
                .as_object()
                .unwrap()
                .values(),
        )
    {
        let headers = response["headers"].as_object().into_iter().flatten();
        described.extend(headers.map(|(name, _)| name.to_lowercase()));
    }
    assert!(described.contains("stream-position") && described.contains("idempotency-replayed"));
    let missing: Vec<_> = described
        .iter()
        .filter(|name| !exposed.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {exposed:?}");
}

#[tokio::test]
async fn a_preflight_request_is_allowed() {
    let service = service().await;
    for (path, method, headers) in [
        ("/stream", "GET", "last-event-id"),
        (
            "/stream",
            "GET",
            "authorization,cache-control,last-event-id",
        ),
        ("/events", "GET", "authorization"),
        (
            "/events",
            "POST",
            "authorization,content-type,idempotency-key,x-request-id",
        ),
    ] {
        let request = service
            .client
            .request(Method::OPTIONS, service.url(path))
            .header("origin", CRM);
        let request = request.header("access-control-request-method", method);
        let answer = Answer::to(request.header("access-control-request-headers", headers)).await;
        assert_eq!(answer.status, 200, "{path} {headers}: {}", answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), CRM);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(
            answer
                .header("access-control-allow-methods")
                .contains(method)
        );
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        for name in headers.split(',') {
            assert!(allowed.contains(name), "{name} in {allowed}");
        }
        assert!(
            answer
                .header("access-control-max-age")
                .parse::<u32>()
                .unwrap()
                > 0
        );
    }
    for (method, headers) in [("TRACE", "authorization"), ("GET", "x-strange")] {
        let request = service
            .client
            .request(Method::OPTIONS, service.url("/events"))
            .header("origin", CRM);
        let request = request.header("access-control-request-method", method);
        let answer = Answer::to(request.header("access-control-request-headers", headers)).await;
        assert!((400..500).contains(&answer.status), "{method} {headers}");
    }
}

#[tokio::test]
async fn a_page_may_send_every_header_that_is_described() {
    let service = service().await;
    let parameters = DOCUMENT["components"]["parameters"].as_object();
    let of_operations = DOCUMENT["paths"].as_object().into_iter().flatten();
    let of_operations = of_operations
        .flat_map(|(_, path)| path.as_object().into_iter().flatten())
        .flat_map(|(_, operation)| operation["parameters"].as_array().into_iter().flatten());
    let headers: BTreeSet<_> = parameters
        .into_iter()
        .flat_map(|named| named.values())
        .chain(of_operations)
        .filter(|parameter| parameter["in"] == "header")
        .filter_map(|parameter| Some(parameter["name"].as_str()?.to_lowercase()))
        // The other half of a trace's context.
        .chain(["tracestate".to_owned()])
        .collect();
    assert!(headers.contains("idempotency-key") && headers.contains("traceparent"));
    for header in headers {
        let request = service
            .client
            .request(Method::OPTIONS, service.url("/events"))
            .header("origin", CRM)
            .header("access-control-request-method", "POST");
        let answer = Answer::to(request.header("access-control-request-headers", &header)).await;
        assert_eq!(answer.status, 200, "{header}: {}", answer.text);
    }
}

#[tokio::test]
async fn our_own_pages_and_those_who_are_no_pages_may_call() {
    let service = Service::start().await;
    let own = format!("http://{}", service.addr);
    for origin in [Some(own.as_str()), None] {
        let post = service
            .client
            .post(service.url("/events"))
            .bearer_auth(Token::service("b").signed());
        let with = |request: reqwest::RequestBuilder| match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        assert_eq!(
            Answer::to(with(post.json(&for_team("a", 1)))).await.status,
            201
        );
        let opened = with(service.get("/stream", &Token::user("u", &["a"])));
        assert_eq!(Stream::open(opened).await.status, 200);
    }
    // Nothing is configured here: every other origin is refused.
    let request = service
        .get("/events", &Token::user("u", &[]))
        .header("origin", CRM);
    Answer::to(request)
        .await
        .refused(403, "origin_not_allowed", CRM);
}

#[tokio::test]
async fn a_page_that_embeds_an_address_is_refused_and_a_link_is_not() {
    let service = service().await;
    let from = async |site: &'static str, mode: &'static str| {
        let request = service.get("/events", &Token::user("u", &[]));
        let request = request.header("sec-fetch-site", site);
        Answer::to(request.header("sec-fetch-mode", mode)).await
    };
    for site in ["cross-site", "same-site"] {
        let answer = from(site, "no-cors").await;
        answer.refused(403, "origin_not_allowed", site);
    }
    for (site, mode) in [
        ("cross-site", "navigate"),
        ("same-origin", "cors"),
        ("none", "navigate"),
    ] {
        assert_eq!(from(site, mode).await.status, 200, "{site} {mode}");
    }
}

#[tokio::test]
async fn a_page_of_our_host_over_plain_http_may_not_call_https() {
    let service = service().await;
    let port = service.addr.port();
    let from = async |scheme: &str, headers: &[(&'static str, &'static str)]| {
        let origin = format!("{scheme}://127.0.0.1:{port}");
        let request = service.get("/events", &Token::user("u", &[]));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        Answer::to(request.header("origin", origin)).await.status
    };
    let behind_tls = [("x-forwarded-proto", "https")];
    assert_eq!(from("http", &behind_tls).await, 403);
    assert_eq!(from("https", &behind_tls).await, 200);
    assert_eq!(from("http", &[]).await, 200);
    // The browser knows whether it is the same origin.
    assert_eq!(from("http", &[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(
        from("https", &[("sec-fetch-site", "same-origin")]).await,
        200
    );
}
