//! `POST /sessions/ticket`: a ticket opens streams and nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{ann, revoke};
use crate::support::cluster::TestDatabase;
use crate::support::ends::last_words;
use crate::support::instances::two;
use crate::support::requests::{posted, send};
use crate::support::tickets::{self, with_ticket};
use crate::support::{Answer, Service, Stream, Token, eventually, for_team, number};

async fn ticket(service: &Service, who: &Token) -> String {
    tickets::ticket(service, &who.signed()).await
}

async fn opens(service: &Service, path: &str, ticket: &str) -> Stream {
    let mut stream = Stream::open(with_ticket(service, path, ticket)).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.next().await.name, "stream:ready");
    stream
}

async fn is_refused(request: RequestBuilder, code: &str) {
    Answer::to(request).await.refused(401, code, "a stream");
}

#[tokio::test]
async fn a_ticket_opens_streams_at_every_instance_again_and_again() {
    let instances = two(&[]).await;
    let ticket = ticket(&instances[0], &ann()).await;
    for n in 1..7 {
        let instance = &instances[usize::from(n % 2 == 0)];
        let mut stream = opens(instance, "/stream/team?types=test:*", &ticket).await;
        instance.publish(&for_team("a", n)).await;
        // An event of the other instance may come late.
        while number(&stream.next_logged().await) != n {}
    }
    let body = json!({"type": "x", "team": "a"});
    let task = posted(&instances[0], &ann(), "/tasks", &body).await;
    let path = format!("/tasks/{}/output", task["id"].as_str().expect("an id"));
    let output = Stream::open(with_ticket(&instances[1], &path, &ticket)).await;
    assert_eq!(output.status, 200);
    // Without a body it is the same.
    let (one, path) = (&instances[0], "/sessions/ticket");
    let answer = send(one, &ann(), Method::POST, path, &Value::Null).await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn who_guesses_tickets_gets_no_lookups_and_others_come_back_later() {
    let instances = two(&["--address-rate=1"]).await;
    let [here, elsewhere] = &instances;
    let known = ticket(here, &ann()).await;
    opens(here, "/stream/team", &known).await;
    let fresh = ticket(elsewhere, &ann()).await;
    let mut looked_up = 0;
    // Guesses, until the address has no points left: those of ten seconds, and some that come while this runs.
    let closing = loop {
        let guess = format!("{looked_up:064x}");
        let mut stream = Stream::open(with_ticket(here, "/stream/team", &guess)).await;
        if stream.status == 200 {
            break last_words(&mut stream).await;
        }
        assert_eq!(stream.status, 401);
        looked_up += 1;
        assert!(looked_up < 60, "guesses are not limited");
    };
    assert_eq!(closing["reason"], "rate_limited");
    // What was used here before is known without a lookup.
    opens(here, "/stream/team", &known).await;
    let opened = async || {
        let mut stream = Stream::open(with_ticket(here, "/stream/team", &fresh)).await;
        // Another status would end an EventSource for good.
        assert_eq!(stream.status, 200);
        (stream.next().await.name == "stream:ready").then_some(())
    };
    eventually("the ticket is looked up", opened).await;
    // What has not the form of a ticket is not looked up.
    is_refused(with_ticket(elsewhere, "/stream", "guess"), "ticket_invalid").await;
}

#[tokio::test]
async fn a_ticket_is_good_for_nothing_else() {
    let service = Service::start().await;
    let ticket = ticket(&service, &ann()).await;
    for path in [
        "/events",
        "/records/escrows",
        "/presence",
        "/session",
        "/tasks",
    ] {
        is_refused(with_ticket(&service, path, &ticket), "token_missing").await;
    }
    for path in ["/sessions/ticket", "/presence/heartbeat", "/tasks"] {
        let request = service.client.post(service.url(path)).json(&json!({}));
        is_refused(request.query(&[("ticket", &ticket)]), "token_missing").await;
    }
    // It is no token either.
    let request = service
        .client
        .get(service.url("/stream"))
        .bearer_auth(&ticket);
    is_refused(request, "token_malformed").await;
    let request = service.client.get(service.url("/stream"));
    is_refused(
        request.query(&[("access_token", &ticket)]),
        "token_malformed",
    )
    .await;
    let answer = Answer::to(service.get(&format!("/events?ticket={ticket}"), &ann())).await;
    answer.refused(400, "invalid_parameter", "an unknown parameter");
}

#[tokio::test]
async fn a_ticket_is_used_soon_or_never() {
    let service = Service::start().await;
    let (used, unused) = (
        ticket(&service, &ann()).await,
        ticket(&service, &ann()).await,
    );
    opens(&service, "/stream", &used).await;
    service.ahead_seconds.store(61, Ordering::Relaxed);
    is_refused(with_ticket(&service, "/stream", &unused), "ticket_invalid").await;
    opens(&service, "/stream", &used).await;
    is_refused(
        with_ticket(&service, "/stream", "no-ticket"),
        "ticket_invalid",
    )
    .await;
    // The token lasts an hour.
    service.ahead_seconds.store(3_601, Ordering::Relaxed);
    is_refused(with_ticket(&service, "/stream", &used), "ticket_invalid").await;
}

#[tokio::test]
async fn a_ticket_ends_with_its_token() {
    let service = Service::start().await;
    let ticket = ticket(&service, &ann()).await;
    let mut stream = opens(&service, "/stream", &ticket).await;
    revoke(&service, &json!({"user": "ann"})).await;
    assert_eq!(last_words(&mut stream).await["reason"], "revoked");
    is_refused(with_ticket(&service, "/stream", &ticket), "token_revoked").await;
}

#[tokio::test]
async fn a_ticket_belongs_to_the_page_that_asked_for_it() {
    let (crm, other) = ("https://crm.example", "https://other.example");
    let flags = [&format!("--cors-origins={crm},{other}")[..]];
    let service = Service::with(&flags).await;
    let ask = |origin: &str| {
        let request = service.client.post(service.url("/sessions/ticket"));
        request.bearer_auth(ann().signed()).header("Origin", origin)
    };
    let answer = Answer::to(ask(crm)).await;
    let ticket = answer.json()["ticket"]
        .as_str()
        .expect("a ticket")
        .to_owned();
    let stream = |origin: &str| with_ticket(&service, "/stream", &ticket).header("Origin", origin);
    assert_eq!(Stream::open(stream(crm)).await.status, 200);
    is_refused(stream(other), "ticket_invalid").await;
    is_refused(with_ticket(&service, "/stream", &ticket), "ticket_invalid").await;
    // A browser sends no origin with a GET to the page's own host.
    let own = format!("http://{}", service.addr);
    let answer = Answer::to(ask(&own)).await;
    let ticket = answer.json()["ticket"]
        .as_str()
        .expect("a ticket")
        .to_owned();
    opens(&service, "/stream", &ticket).await;
}

#[tokio::test]
async fn tickets_are_stored_hashed_and_only_the_newest_of_a_user() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &[]).await;
    let first = ticket(&service, &ann()).await;
    let bobs = ticket(&service, &Token::user("bob", &[])).await;
    let mut last = String::new();
    for _ in 0..64 {
        last = ticket(&service, &ann()).await;
    }
    is_refused(with_ticket(&service, "/stream", &first), "ticket_invalid").await;
    opens(&service, "/stream", &last).await;
    opens(&service, "/stream", &bobs).await;
    let mut sql = database.connect().await;
    let all = "select string_agg(t::text, E'\\n') from porchlight.tickets t";
    let all: String = sqlx::query_scalar(all)
        .fetch_one(&mut sql)
        .await
        .expect("rows");
    assert_eq!(all.lines().count(), 65);
    assert!(!all.contains(&last));
}

#[tokio::test]
async fn tokens_in_addresses_can_be_switched_off() {
    let service = Service::with(&["--token-in-query=false"]).await;
    let ticket = ticket(&service, &ann()).await;
    opens(&service, "/stream", &ticket).await;
    for path in ["/stream", "/events"] {
        let request = service.client.get(service.url(path));
        let request = request.query(&[("access_token", ann().signed())]);
        let answer = Answer::to(request).await;
        let field = answer.refused(401, "token_missing", path);
        assert_eq!(field.as_deref(), Some("access_token"));
    }
}
