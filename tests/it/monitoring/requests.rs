//! Requests by route, queues, and the latency of events.

use super::scrape::Scrape;
use crate::support::{Answer, Service, Token, for_team};

const REQUESTS: &str = "porchlight_http_requests_total";

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let service = Service::start().await;
    let token = Token::user("ann", &["a"]);
    let before = Scrape::of(&service).await;
    for (path, status) in [
        ("/records/listings/one", 404),
        ("/records/listings/two", 404),
        ("/records/listings", 200),
        ("/nowhere", 404),
        ("/health/live", 200),
    ] {
        let answer = Answer::to(service.get(path, &token)).await;
        assert_eq!(answer.status, status, "{path}");
    }
    let head = service.client.head(service.url("/health/live"));
    assert_eq!(Answer::to(head).await.status, 200);
    let other_method = service.client.delete(service.url("/events"));
    assert_eq!(Answer::to(other_method).await.status, 405);
    let scrape = Scrape::of(&service).await;
    let moved = |metric: &str, labels: &[(&str, &str)]| {
        scrape.sum(metric, labels) - before.sum(metric, labels)
    };
    for (method, route, class, count) in [
        ("GET", "/records/{module}/{id}", "4xx", 2.0),
        ("GET", "/records/{module}", "2xx", 1.0),
        ("GET", "/records/{module}", "5xx", 0.0),
        ("GET", "/health/live", "2xx", 2.0),
        ("any", "none", "4xx", 2.0),
    ] {
        let labels = [("method", method), ("route", route)];
        let of_class = [labels[0], labels[1], ("class", class)];
        assert_eq!(moved(REQUESTS, &of_class), count, "{of_class:?}");
        let all = moved(REQUESTS, &labels);
        let timed = moved("porchlight_http_request_seconds_count", &labels);
        assert_eq!(timed, all, "{labels:?}");
        let slowest = [labels[0], labels[1], ("le", "+Inf")];
        let within = moved("porchlight_http_request_seconds_bucket", &slowest);
        assert_eq!(within, all, "{labels:?}");
    }
    let expected = [
        "/health/live",
        "/metrics",
        "/records/{module}",
        "/records/{module}/{id}",
        "none",
    ];
    let routes = scrape.values(REQUESTS, "route").into_iter();
    assert_eq!(routes.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn queues_loops_and_the_latency_of_events_are_counted() {
    let service = Service::start().await;
    let token = Token::user("ann", &["a"]);
    let mut stream = service.stream("/stream", &token).await;
    for n in 0..3 {
        service.publish(&for_team("a", n)).await;
        stream.logged(1).await;
    }
    let scrape = Scrape::of(&service).await;
    let writes = "porchlight_commit_to_write_seconds";
    assert_eq!(scrape.sum(&format!("{writes}_count"), &[]), 3.0);
    let buckets = format!("{writes}_bucket");
    let buckets = scrape
        .samples
        .iter()
        .filter(|sample| sample.name == buckets);
    let buckets: Vec<_> = buckets.map(|sample| sample.value).collect();
    assert!(
        buckets.is_sorted() && buckets.last() == Some(&3.0),
        "{buckets:?}"
    );
    let sum = scrape.sum(&format!("{writes}_sum"), &[]);
    assert!(sum > 0.0 && sum < 60.0, "{sum}");
    let queue = [("queue", "writer")];
    let served = scrape.sum("porchlight_queue_requests_total", &queue);
    let busy = scrape.sum("porchlight_queue_busy_seconds_total", &queue);
    assert!(served == 3.0 && busy > 0.0, "{served} {busy}");
    assert_eq!(scrape.sum("porchlight_queue_waiting", &queue), 0.0);
    assert_eq!(scrape.sum("porchlight_queue_limit", &queue), 4_096.0);
    for (metric, of) in [
        ("porchlight_loop_rounds_total", ("loop", "writer")),
        ("porchlight_loop_busy_seconds_total", ("loop", "follower")),
        ("porchlight_pool_limit", ("pool", "requests")),
        ("porchlight_pool_open", ("pool", "background")),
        ("porchlight_permits_limit", ("of", "row_waits")),
    ] {
        assert!(scrape.sum(metric, &[of]) > 0.0, "{metric} {of:?}");
    }
    assert_eq!(scrape.sum("porchlight_streams_limit", &[]), 100_000.0);
    assert!(scrape.sum("porchlight_resident_bytes", &[]) > 1e6);
}
