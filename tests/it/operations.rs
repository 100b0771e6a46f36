//! What operators see: health, metrics, ids of requests, and the page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use porchlight::api::DOCUMENT;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::cluster::TestDatabase;
use crate::support::sql::run;
use crate::support::{Answer, Service, Token, eventually, for_team};

async fn ask(service: &Service, path: &str) -> Answer {
    Answer::to(service.client.get(service.url(path))).await
}

/// As Prometheus asks.
async fn ask_metrics(service: &Service) -> Answer {
    let accepted = "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2";
    let request = service.client.get(service.url("/metrics"));
    Answer::to(request.header("Accept", accepted)).await
}

#[tokio::test]
async fn a_service_that_runs_is_live_and_ready() {
    let service = Service::start().await;
    for (path, status) in [("/health/live", "live"), ("/health/ready", "ready")] {
        let answer = ask(&service, path).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"status": status}))
        );
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_service_whose_tables_are_gone_is_live_and_not_ready() {
    let service = Service::start().await;
    let mut database = service.database.connect().await;
    let gone = "alter table porchlight.origin rename to elsewhere";
    sqlx::Executor::execute(&mut database, gone)
        .await
        .expect("renamed");
    assert_eq!(ask(&service, "/health/live").await.status, 200);
    let answer = ask(&service, "/health/ready").await;
    answer.refused(503, "not_ready", "without tables");
    assert_eq!(answer.header("retry-after"), "1");
    let back = "alter table porchlight.elsewhere rename to origin";
    sqlx::Executor::execute(&mut database, back)
        .await
        .expect("renamed");
    eventually("it is ready again", async || {
        let status = ask(&service, "/health/ready").await.status;
        (status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_whether_it_is_ready_cost_few_queries() {
    let database = Arc::new(TestDatabase::create().await);
    database.log_statements().await;
    let service = Service::on(database, &[]).await;
    let began = Instant::now();
    for _ in 0..10 {
        let asked = join_all((0..40).map(|_| ask(&service, "/health/ready"))).await;
        let are_ready = asked.iter().all(|answer| answer.status == 200);
        assert!(are_ready);
    }
    let asked = service.database.statements();
    let asked = asked
        .iter()
        .filter(|text| text.contains("select count(*) as \"n!\" from porchlight.origin"));
    // One answer is kept for half a second.
    let most = usize::try_from(1 + began.elapsed().as_millis() / 500).expect("a count");
    let asked = asked.count();
    assert!((1..=most).contains(&asked), "{asked} queries, not {most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_soon_not_ready_without_its_database_however_many_ask() {
    let service = Service::start().await;
    assert_eq!(ask(&service, "/health/ready").await.status, 200);
    let mut sql = service.database.connect().await;
    service.database.allow_connections(false).await;
    let cut = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
        where datname = current_database() and application_name = 'porchlight'";
    run(&mut sql, cut).await;
    let cut_at = Instant::now();
    eventually("it is not ready", async || {
        let asked = join_all((0..40).map(|_| ask(&service, "/health/ready"))).await;
        asked
            .iter()
            .all(|answer| answer.status == 503)
            .then_some(())
    })
    .await;
    let took = cut_at.elapsed();
    service.database.allow_connections(true).await;
    // A kept answer, and the limit of a check.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// Reads `OpenMetrics` text as its standard has it: families first, samples of theirs, an end.
fn metrics(text: &str) -> BTreeMap<String, f64> {
    let (mut family, mut kind, mut samples) = (String::new(), String::new(), BTreeMap::new());
    let body = text.strip_suffix("# EOF\n").expect("an end");
    for line in body.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let (what, name, rest) = (
                words.next(),
                words.next().expect("a name"),
                words.next().expect("more"),
            );
            assert!(name.starts_with("porchlight_"), "{line}");
            match what {
                Some("TYPE") => rest.clone_into(&mut kind),
                Some("HELP" | "UNIT") => assert!(!rest.is_empty(), "{line}"),
                _ => panic!("{line}"),
            }
            name.clone_into(&mut family);
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        let value: f64 = value.parse().expect("a number");
        let bare = name.split('{').next().expect("a name");
        let end = bare.strip_prefix(&family).expect("a sample of its family");
        match kind.as_str() {
            "counter" => assert_eq!(end, "_total", "{line}"),
            "gauge" => assert_eq!(end, "", "{line}"),
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&end), "{line}"),
            other => panic!("{other}"),
        }
        assert!(
            samples.insert(name.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }
    samples
}

#[tokio::test]
async fn metrics_need_their_token_if_there_is_one() {
    let service = Service::with(&["--metrics-token=for-prometheus"]).await;
    let with = async |token: &str| {
        let request = service.client.get(service.url("/metrics"));
        Answer::to(request.bearer_auth(token)).await
    };
    let without = ask(&service, "/metrics").await;
    without.refused(401, "metrics_token_needed", "without a token");
    let agent = Token::user("u", &[]).signed();
    for wrong in ["", "for-prometheu", &agent] {
        with(wrong)
            .await
            .refused(401, "metrics_token_needed", wrong);
    }
    assert_eq!(with("for-prometheus").await.status, 200);
}

#[tokio::test]
async fn other_addresses_than_loopback_show_no_metrics_without_a_token() {
    let flags = ["--addr=0.0.0.0:0", "--jwt-issuer=any", "--jwt-audience=any"];
    let service = Service::with(&flags).await;
    ask(&service, "/metrics")
        .await
        .refused(401, "metrics_token_needed", "on all addresses");
    assert_eq!(ask(&service, "/health/live").await.status, 200);
}

#[tokio::test]
async fn no_answer_is_taken_for_what_it_is_not() {
    let service = Service::start().await;
    for path in ["/", "/openapi.json", "/events", "/nowhere", "/health/live"] {
        let answer = ask(&service, path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn metrics_are_open_metrics_and_move() {
    let service = Service::start().await;
    let before = ask_metrics(&service).await;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(before.header("content-type"), media_type);
    let before = metrics(&before.text);
    let token = Token::user("u", &["a"]);
    let mut stream = service.stream("/stream", &token).await;
    service
        .publish(&json!({"events": [for_team("a", 1), for_team("a", 2)]}))
        .await;
    stream.logged(2).await;
    ask(&service, "/events").await;
    let mut reset = service.resume("/stream", &token, "1-zzzzzz").await;
    reset.next().await;
    let after = metrics(&ask_metrics(&service).await.text);
    let moved = |name: &str| after.get(name).unwrap_or(&0.0) - before.get(name).unwrap_or(&0.0);
    for (name, by) in [
        ("porchlight_streams_open", 2.0),
        ("porchlight_streams_opened_total", 2.0),
        ("porchlight_events_published_total", 2.0),
        ("porchlight_events_delivered_total", 2.0),
        ("porchlight_publish_seconds_count", 1.0),
        ("porchlight_brokers_active", 1.0),
        ("porchlight_resets_total{reason=\"unknown\"}", 1.0),
        ("porchlight_responses_total{class=\"4xx\"}", 1.0),
    ] {
        assert_eq!(moved(name), by, "{name}: {after:?}");
    }
    assert!(
        moved("porchlight_memory_bytes") > 0.0
            && moved("porchlight_responses_total{class=\"2xx\"}") >= 3.0
    );
    drop((stream, reset));
    eventually("the streams are gone", async || {
        // Nobody reads them any more, so the next event finds that out.
        service.publish(&for_team("a", 3)).await;
        (service.metric("porchlight_streams_open").await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let service = Service::start().await;
    let long = "x".repeat(65);
    for path in [
        "/health/live",
        "/events",
        "/nowhere",
        "/",
        "/stream?since=x",
    ] {
        let with = |id: &str| {
            let request = service.client.get(service.url(path));
            Answer::to(request.header("x-request-id", id.as_bytes()))
        };
        assert_eq!(
            with("req-1:a.B_c").await.header("x-request-id"),
            "req-1:a.B_c"
        );
        let mut own = Vec::new();
        for strange in ["", "a b", &long, "<script>", "\u{e4}", "a\tb"] {
            let answer = with(strange).await;
            let id = answer.header("x-request-id").to_owned();
            assert!(
                id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
                "{strange}: {id}"
            );
            own.push(id);
        }
        own.sort();
        own.dedup();
        assert_eq!(own.len(), 6, "each has a name of its own");
    }
}

#[tokio::test]
async fn the_description_is_served_and_what_it_describes_is_there() {
    let service = Service::start().await;
    let answer = ask(&service, "/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), *DOCUMENT);
    assert_eq!(answer.json()["openapi"], "3.1.0");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(answer.json()["info"]["version"], version);
    for (path, item) in DOCUMENT["paths"].as_object().expect("paths") {
        let there = path
            .replace("{module}", "escrows")
            .replace("{id}", "e-1")
            .replace("{file}", "console/console.js");
        let method = item.as_object().and_then(|item| item.keys().next());
        let method = method.expect("a method").to_uppercase();
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = Answer::to(service.client.request(method, service.url(&there))).await;
        let is_public = item["get"]["security"] == json!([]);
        let expected = if is_public { 200 } else { 401 };
        assert_eq!(answer.status, expected, "{path}");
        if is_public {
            let described = item["get"]["responses"]["200"]["content"]
                .as_object()
                .expect("content");
            let media_type = answer
                .header("content-type")
                .split(';')
                .next()
                .expect("a media type");
            assert!(described.contains_key(media_type), "{path} is {media_type}");
        }
    }
}

#[tokio::test]
async fn published_events_are_counted_by_the_instance_that_published_them() {
    let service = Service::start().await;
    let refused = service
        .post("b", &json!({"type": "hb", "audience": {"broker": true}}))
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        service.metric("porchlight_events_published_total").await,
        0.0
    );
    let body: Value = for_team("a", 1);
    for expected in [1.0, 1.0] {
        let request = service
            .client
            .post(service.url("/events"))
            .header("idempotency-key", "k");
        let request = request
            .bearer_auth(Token::service("b").signed())
            .json(&body);
        assert_eq!(Answer::to(request).await.status, 201);
        assert_eq!(
            service.metric("porchlight_events_published_total").await,
            expected
        );
    }
}
