//! Traces by OTLP: a sampled request leaves spans of each step at each instance, and nothing else does.
//! A receiver that fails costs spans and nothing else.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;

use crate::support::cluster::TestDatabase;
use crate::support::otlp::{ReceivedSpan, SpanRef, TraceAnswer, TraceReceiver};
use crate::support::wait::soon;
use crate::support::{Answer, Service, Token, for_team, number};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const RECORD_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00f067aa0ba902b7";
const SERVER: u64 = 2;

fn sampled(trace: &str) -> String {
    format!("00-{trace}-{PARENT}-01")
}

fn ann() -> Token {
    Token::user("ann", &["a"])
}

/// A request with these headers `traceparent`.
async fn send(service: &Service, who: &Token, path: &str, body: &Value, parents: &[&str]) -> u16 {
    let request = service.client.request(Method::POST, service.url(path));
    let mut request = request.bearer_auth(who.signed()).json(body);
    for parent in parents {
        request = request.header("traceparent", *parent);
    }
    Answer::to(request).await.status
}

async fn publish(service: &Service, n: u64, parents: &[&str]) {
    let who = Token::service("b");
    let status = send(service, &who, "/events", &for_team("a", n), parents).await;
    assert_eq!(status, 201);
}

/// The stored spans, in the order of the events.
async fn stored(database: &TestDatabase) -> Vec<Option<String>> {
    let sql = "select traceparent from porchlight.events order by position";
    let rows = sqlx::query(sql)
        .fetch_all(&mut database.connect().await)
        .await;
    let rows = rows.expect("rows");
    rows.iter().map(|row| row.get("traceparent")).collect()
}

fn is_about(span: &ReceivedSpan, request: &SpanRef) -> bool {
    span.links == [request.clone()]
}

#[tokio::test]
async fn a_sampled_request_leaves_spans_of_each_step_at_each_instance_and_others_leave_none() {
    let receiver = TraceReceiver::start().await;
    let endpoint = format!("--otlp-endpoint={}/", receiver.url);
    let flags = [
        &endpoint[..],
        "--otlp-headers=x-key=a%20b",
        "--otlp-delay-ms=300",
        "--service-name=live",
        "--relay-poll-ms=20",
    ];
    let database = Arc::new(TestDatabase::create().await);
    let a = Service::on(Arc::clone(&database), &flags).await;
    let b = Service::on(Arc::clone(&database), &flags).await;
    let silent = Service::on(Arc::clone(&database), &[]).await;
    let mut streams = Vec::new();
    for service in [&a, &a, &b] {
        let mut stream = service.stream("/stream/team", &ann()).await;
        assert_eq!(stream.next().await.name, "stream:ready");
        streams.push(stream);
    }
    // None of these is sampled.
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    let broken = format!("00-{TRACE}-{PARENT}-1");
    let parent = sampled(TRACE);
    let none: [&[&str]; 4] = [&[], &[&unsampled], &[&broken], &[&parent, &parent]];
    for (n, parents) in (0..).zip(none) {
        publish(&a, n, parents).await;
    }
    publish(&silent, 4, &[&parent]).await;
    publish(&a, 5, &[&parent]).await;
    for stream in &mut streams {
        for n in 0..=5 {
            assert_eq!(number(&stream.next_logged().await), n);
        }
    }

    // Strangers leave nothing.
    let stranger = a
        .client
        .post(a.url("/events"))
        .header("traceparent", &parent);
    assert_eq!(Answer::to(stranger).await.status, 401);

    // A record goes through the outbox.
    let escrow = json!({"address": "1"});
    let parents = [&sampled(RECORD_TRACE)[..]];
    let status = send(&a, &ann(), "/records/escrows", &escrow, &parents).await;
    assert_eq!(status, 201);
    for stream in &mut streams {
        assert_eq!(stream.next_logged().await.name, "escrow:created");
    }

    let mut requests = receiver
        .wait("two requests", 2, |span| span.kind == SERVER)
        .await;
    requests.sort_by(|one, other| one.name.cmp(&other.name));
    let [published, created] = &requests[..] else {
        panic!("more than two requests: {requests:?}");
    };
    for (request, name, trace) in [
        (published, "POST /events", TRACE),
        (created, "POST /records/{module}", RECORD_TRACE),
    ] {
        assert_eq!(request.name, name);
        assert_eq!(request.at.trace, trace);
        assert_eq!(request.parent.as_deref(), Some(PARENT));
        assert_eq!(request.attribute("http.response.status_code"), "201");
        assert!(request.start_ns < request.end_ns && !request.is_error);
        assert_eq!(request.resource["service.name"], "live");
        assert_steps(&receiver, request).await;
    }
    let stored = stored(&database).await;
    let text =
        |request: &ReceivedSpan| Some(format!("00-{}-{}-01", request.at.trace, request.at.span));
    assert_eq!(stored[..5], [const { None }; 5]);
    assert_eq!(stored[5..], [text(published), text(created)]);
    let traced = [published.at.clone(), created.at.clone()];
    let spans = receiver.spans();
    assert!(
        spans
            .iter()
            .flat_map(|span| &span.links)
            .all(|link| traced.contains(link))
    );
    for span in &spans {
        let shown = format!("{} {:?}", span.name, span.attributes);
        let is_private = ["ann", "svc", "\"n\"", "team"]
            .iter()
            .find(|word| shown.contains(**word));
        assert_eq!(is_private, None, "{shown}");
    }
    let heads = receiver.heads();
    assert!(
        heads.iter().all(|head| head.contains("\r\nx-key: a b\r\n")),
        "{heads:?}"
    );
}

/// Commit, fan-out and delivery of a request's event, of which two streams are at its instance and one at
/// another.
async fn assert_steps(receiver: &TraceReceiver, request: &ReceivedSpan) {
    let step = async |name: &str, count| {
        let is_one = |span: &ReceivedSpan| span.name == name && is_about(span, &request.at);
        receiver.wait(name, count, is_one).await
    };
    let commits = step("commit", 1).await;
    let deliveries = step("delivery", 2).await;
    let rounds = step("fan-out", 2).await;
    assert_eq!((commits.len(), rounds.len(), deliveries.len()), (1, 2, 2));
    assert_eq!(commits[0].attribute("porchlight.events"), "1");
    assert!(commits[0].parent.is_none() && commits[0].at.trace != request.at.trace);
    for delivery in &deliveries {
        let round = rounds
            .iter()
            .find(|round| Some(&round.at.span) == delivery.parent.as_ref());
        let round = round.expect("the fan-out that the delivery belongs to");
        assert_eq!(round.at.trace, delivery.at.trace);
        let instance = |span: &ReceivedSpan| span.resource["service.instance.id"].clone();
        assert_eq!(instance(round), instance(delivery));
        let is_here = instance(round) == instance(request);
        let streams = if is_here { "2" } else { "1" };
        assert_eq!(delivery.attribute("porchlight.streams"), streams);
        assert!(!delivery.attribute("porchlight.event.position").is_empty());
    }
}

#[tokio::test]
async fn the_last_spans_are_sent_at_the_stop_and_a_receiver_that_fails_costs_nothing_but_spans() {
    let receiver = TraceReceiver::start().await;
    let endpoint = format!("--otlp-endpoint={}", receiver.url);
    let database = Arc::new(TestDatabase::create().await);
    let flags = [&endpoint[..], "--otlp-delay-ms=60000", "--trace-ratio=1"];
    let service = Service::on(Arc::clone(&database), &flags).await;
    let mut stream = service.stream("/stream/team", &ann()).await;
    publish(&service, 0, &[]).await;
    assert_eq!(number(&stream.next_logged().await), 0);
    assert_eq!(receiver.requests(), 0, "the spans wait");
    drop(stream);
    service.stop().await;
    let names: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
    for name in [
        "POST /events",
        "commit",
        "fan-out",
        "delivery",
        "GET /stream/team",
    ] {
        assert!(
            names.iter().any(|other| other == name),
            "{name} in {names:?}"
        );
    }

    receiver.answer(TraceAnswer::Refused(500));
    let service = Service::on(database, &[&endpoint, "--otlp-delay-ms=10"]).await;
    let mut stream = service.stream("/stream/team", &ann()).await;
    let refused = "porchlight_spans_dropped_total{reason=\"refused\"}";
    let parent = sampled(TRACE);
    let mut sent = 0;
    while service.metric(refused).await == 0.0 {
        publish(&service, sent, &[&parent]).await;
        assert_eq!(number(&stream.next_logged().await), sent);
        sent += 1;
    }
    assert_eq!(service.metric("porchlight_spans_exported_total").await, 0.0);
    receiver.answer(TraceAnswer::Never);
    let before = receiver.requests();
    while receiver.requests() == before || sent < 20 {
        publish(&service, sent, &[&parent]).await;
        assert_eq!(number(&stream.next_logged().await), sent);
        sent += 1;
    }
    drop(stream);
    soon("a stop in spite of the receiver", service.stop()).await;
}
