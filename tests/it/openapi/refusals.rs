//! What every operation refuses in the same way.

use futures_util::future::join_all;

use super::calls::Call;
use crate::support::sql::run;
use crate::support::{Answer, Service, raw};

#[tokio::test]
async fn every_operation_refuses_pages_of_other_origins_and_requests_without_a_token() {
    let service = Service::start().await;
    for call in Call::all() {
        let foreign = call
            .request(&service)
            .header("origin", "https://example.com");
        let foreign = Answer::to(foreign).await;
        foreign.refused(403, "origin_not_allowed", &call.name());
        if !call.operation.is_public {
            let nobody = Answer::to(call.bare(&service)).await;
            nobody.refused(401, "token_missing", &call.name());
        }
    }
}

#[tokio::test]
async fn every_operation_refuses_bodies_of_another_kind_or_size() {
    let service = Service::with(&["--demo", "--body-bytes=1024"]).await;
    for call in Call::with_json() {
        let text = call.bodiless(&service).header("content-type", "text/plain");
        let text = Answer::to(text.body("{}")).await;
        text.refused(415, "unsupported_media_type", &call.name());
        let large = call
            .bodiless(&service)
            .header("content-type", "application/json");
        let large = Answer::to(large.body(" ".repeat(1_025))).await;
        large.refused(413, "body_too_large", &call.name());
    }
}

#[tokio::test]
async fn a_head_or_a_body_that_does_not_arrive_is_given_up() {
    let flags = [
        "--demo",
        "--head-timeout-seconds=1",
        "--body-timeout-seconds=1",
    ];
    let service = Service::with(&flags).await;
    let mut beginnings = vec![(
        "head_timeout",
        "GET /health/live HTTP/1.1\r\nHost: x\r\n".to_owned(),
    )];
    beginnings.extend(Call::with_json().map(|call| {
        let Call { operation, .. } = &call;
        let beginning = format!(
            "{} {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{",
            operation.method,
            call.path(),
            call.token()
        );
        ("body_timeout", beginning)
    }));
    let answers = beginnings
        .iter()
        .map(|(_, beginning)| raw::exchange_open(service.addr, beginning.as_bytes()));
    for (answer, (code, beginning)) in join_all(answers).await.iter().zip(&beginnings) {
        let is_refused = answer.starts_with("HTTP/1.1 408 ") && answer.contains(code);
        assert!(is_refused, "{beginning}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_every_operation_that_needs_it_says_that_a_retry_may_help() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    service.database.allow_connections(false).await;
    let cut = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
        where datname = current_database() and application_name = 'porchlight'";
    run(&mut sql, cut).await;
    let calls: Vec<_> = Call::with_status(503).collect();
    let answers = calls.iter().map(|call| Answer::to(call.request(&service)));
    for (answer, call) in join_all(answers).await.iter().zip(&calls) {
        assert_eq!(answer.status, 503, "{}: {}", call.name(), answer.text);
    }
    service.database.allow_connections(true).await;
}
