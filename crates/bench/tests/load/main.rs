//! The load generator, against a server whose faults are known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::rc::Rc;
use std::time::{Duration, Instant};

use bench::{BenchArgs, BenchError, Report, Surroundings, Tokens};
use clap::Parser;
use fake::{Fake, Faults};
use tokio::task::LocalSet;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: BenchArgs,
}

/// The limit of a run, whatever the server does.
const RUN_LIMIT: Duration = Duration::from_mins(1);

/// Tokens that say for whom they are.
struct NamedTokens;

impl Tokens for NamedTokens {
    fn member(&self, user: &str, topic: &str) -> Result<String, String> {
        Ok(format!("member/{user}/{topic}"))
    }

    fn service(&self) -> Result<String, String> {
        Ok("service".to_owned())
    }
}

/// As where no secret is set.
struct NoTokens;

impl Tokens for NoTokens {
    fn member(&self, _: &str, _: &str) -> Result<String, String> {
        self.service()
    }

    fn service(&self) -> Result<String, String> {
        Err("set a secret".to_owned())
    }
}

fn surroundings(tokens: impl Tokens + 'static) -> Surroundings {
    Surroundings {
        tokens: Box::new(tokens),
        progress: Box::new(|_| {}),
    }
}

async fn load(fake: &Fake, options: &str) -> Result<Report, BenchError> {
    let warmup = (!options.contains("--warmup")).then_some(["--warmup", "0"]);
    let url = ["bench", "--url", &fake.url].into_iter();
    let args = url.chain(warmup.into_iter().flatten());
    let args = args.chain(options.split_whitespace());
    let run = bench::run(Cli::parse_from(args).args, surroundings(NamedTokens));
    tokio::time::timeout(RUN_LIMIT, run)
        .await
        .expect("the run ends")
}

/// Runs `options` over plain paths against a server with `faults`.
async fn run(faults: Faults, options: &str) -> (Rc<Fake>, Result<Report, BenchError>) {
    let plain =
        "--subscribe-path /sub/{topic} --publish-path /pub/{topic} --publish-body {payload}";
    let options = format!("{options} {plain}");
    let work = async {
        let fake = Fake::start(faults).await;
        let report = load(&fake, &options).await;
        (fake, report)
    };
    LocalSet::new().run_until(work).await
}

/// Ten subscribers of five topics; twenty events.
const SMALL: &str = "--subscribers 10 --topics 5 --rate 20 --seconds 1 --payload 100";

#[tokio::test]
async fn a_sound_server_gets_a_clean_report() {
    let (_, report) = run(Faults::default(), &format!("{SMALL} --timeline 100")).await;
    let report = report.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.connects.connected, 10);
    let noted = report.timeline.iter().map(|slice| slice.deliveries);
    assert_eq!(noted.sum::<u64>(), 40);
    let (published, delivered) = (report.publishes.unwrap(), report.deliveries.unwrap());
    assert_eq!((published.accepted, published.unsent), (20, 0));
    assert_eq!((delivered.delivered, delivered.interleaved), (40, 0));
    assert_eq!(delivered.due, 40);
    assert!(delivered.latency.p50_ms > 0.0 && published.answer.p50_ms > 0.0);
}

#[tokio::test]
async fn a_run_in_which_nobody_received_anything_is_not_clean() {
    let without_streams = "--subscribers 1 --topics 50 --rate 20 --seconds 1 --warmup 0.2";
    let report = run(Faults::default(), without_streams).await.1.unwrap();
    let deliveries = report.deliveries.as_ref().unwrap();
    assert_eq!((deliveries.missing, deliveries.per_second), (0, 0.0));
    assert_eq!((deliveries.due, deliveries.delivered), (1, 1));
    // On a busy machine another one says that events were sent late.
    let is_told = |warning: &String| warning.contains("49 of 50");
    assert!(report.warnings.iter().any(is_told), "{report}");
    let faults = Faults {
        drop: Some(0),
        ..Faults::default()
    };
    let one = "--subscribers 1 --topics 1 --rate 1 --seconds 1";
    let report = run(faults, one).await.1.unwrap();
    assert!(!report.is_clean(), "{report}");
    let deliveries = report.deliveries.unwrap();
    assert_eq!((deliveries.due, deliveries.missing), (1, 1));
}

#[tokio::test]
async fn events_are_found_wherever_chunks_end() {
    for size in [1, 7, 64] {
        let faults = Faults {
            chunk: Some(size),
            ..Faults::default()
        };
        let report = run(faults, SMALL).await.1.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.deliveries.unwrap().delivered, 40);
    }
}

#[tokio::test]
async fn every_fault_is_counted_as_what_it_is() {
    // Five topics in turn, so the fifth after an event is the next of its topic.
    let faults = Faults {
        drop: Some(3),
        repeat: Some(6),
        misroute: Some(9),
        ..Faults::default()
    };
    let report = run(faults, SMALL).await.1.unwrap();
    assert!(!report.is_clean());
    let delivered = report.deliveries.unwrap();
    // The misrouted one is missing too, and nobody listens where it went.
    assert_eq!((delivered.missing, delivered.repeated), (4, 2));
    assert_eq!((delivered.out_of_order, delivered.misrouted), (0, 0));
}

#[tokio::test]
async fn an_event_that_comes_late_is_out_of_order() {
    let faults = Faults {
        hold: Some(3),
        ..Faults::default()
    };
    let one_topic = "--subscribers 3 --topics 1 --rate 20 --seconds 1";
    let delivered = run(faults, one_topic).await.1.unwrap().deliveries.unwrap();
    assert_eq!((delivered.out_of_order, delivered.missing), (3, 0));
}

#[tokio::test]
async fn an_event_of_another_topic_is_misrouted() {
    let faults = Faults {
        misroute: Some(1),
        ..Faults::default()
    };
    // The eleventh topic is the second with a 0 behind it.
    let many = "--subscribers 11 --topics 11 --rate 22 --seconds 1";
    let delivered = run(faults, many).await.1.unwrap().deliveries.unwrap();
    assert_eq!((delivered.misrouted, delivered.missing), (1, 1));
}

#[tokio::test]
async fn a_refused_event_is_not_missing() {
    let faults = Faults {
        refuse: Some(4),
        ..Faults::default()
    };
    let report = run(faults, SMALL).await.1.unwrap();
    let published = report.publishes.unwrap();
    assert_eq!((published.accepted, published.refused), (19, 1));
    assert_eq!(published.first_problem.unwrap(), "status 503: busy");
    assert_eq!(report.deliveries.unwrap().missing, 0);
}

#[tokio::test]
async fn a_server_that_dies_is_reported_and_not_waited_for() {
    let faults = Faults {
        die: Some(10),
        ..Faults::default()
    };
    let started = Instant::now();
    let long = SMALL.replace("--seconds 1", "--seconds 50");
    let report = run(faults, &long).await.1.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(report.ended_early && !report.is_clean());
    assert_eq!(report.lost_streams, 10);
    assert!(report.to_string().contains("STREAMS LOST"), "{report}");
}

#[tokio::test]
async fn an_answer_that_refuses_a_stream_is_quoted() {
    let faults = Faults {
        refuse_streams: true,
        ..Faults::default()
    };
    let error = run(faults, SMALL).await.1.unwrap_err();
    assert_eq!(
        error.to_string(),
        "none of 10 streams opened: status 403: not you!"
    );
}

#[tokio::test]
async fn after_a_storm_all_subscribers_have_every_event_once() {
    let storm = "--subscribers 10 --topics 5 --storm 30";
    let (fake, report) = run(Faults::default(), storm).await;
    let report = report.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.deliveries.unwrap().delivered, 10 * 31);
    let storm = report.storm.unwrap();
    assert_eq!(storm.reconnects.connected, 10);
    assert!(storm.caught_up_seconds > 0.0);
    let requests = fake.requests.borrow();
    let came_back = |head: &str| head.contains("Last-Event-ID: 1");
    assert_eq!(requests.iter().filter(|r| came_back(&r.head)).count(), 10);
}

#[tokio::test]
async fn stalled_streams_catch_up_at_the_end() {
    let (_, report) = run(Faults::default(), &format!("{SMALL} --stall 5")).await;
    let report = report.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.deliveries.unwrap().delivered, 40);
}

#[tokio::test]
async fn idle_streams_are_only_held() {
    let options = format!(
        "--subscribers 20 --idle --seconds 0.1 --pid {}",
        std::process::id()
    );
    let report = run(Faults::default(), &options).await.1.unwrap();
    assert_eq!(report.connects.connected, 20);
    assert!(report.publishes.is_none());
    assert!(!cfg!(target_os = "linux") || report.server.unwrap().bytes_per_connection.is_some());
}

#[tokio::test]
async fn one_event_reaches_idle_streams() {
    let options = "--subscribers 20 --topics 4 --idle --announce --seconds 0.1";
    let report = run(Faults::default(), options).await.1.unwrap();
    let announcement = report.announcement.unwrap();
    assert_eq!(announcement.receipts, 20);
    assert!(announcement.p50_ms <= announcement.last_ms && announcement.last_ms > 0.0);
    let faults = Faults {
        drop: Some(3),
        ..Faults::default()
    };
    let report = run(faults, options).await.1.unwrap();
    assert_eq!(report.announcement.unwrap().receipts, 15);
}

#[tokio::test]
async fn a_sequential_publisher_has_one_connection_for_each_topic() {
    let options = "--subscribers 4 --topics 2 --rate 40 --seconds 1 --sequential";
    let (fake, report) = run(Faults::default(), options).await;
    let report = report.unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(report.load.sequential);
    assert_eq!(report.publishes.unwrap().accepted, 40);
    assert_eq!(fake.connections.get(), 4 + 2);
}

#[tokio::test]
async fn gets_beside_the_load_are_answered_and_counted() {
    let options = "--subscribers 2 --rate 20 --seconds 1 --get /health --names other";
    let (fake, report) = run(Faults::default(), options).await;
    let report = report.unwrap();
    assert!(report.is_clean(), "{report}");
    let gets = report.gets.unwrap();
    assert_eq!((gets.failed, gets.path.as_str()), (0, "/health"));
    assert!(gets.answered > 0 && gets.latency.max_ms > 0.0, "{gets:?}");
    let requests = fake.requests.take();
    let is_named = |path: &str| requests.iter().any(|r| r.head.contains(path));
    assert!(is_named("GET /sub/other-team-0 ") && is_named("POST /pub/other-team-0 "));
}

#[tokio::test]
async fn the_defaults_are_the_requests_of_porchlight() {
    let work = async {
        let fake = Fake::start(Faults::default()).await;
        let options = "--subscribers 2 --rate 20 --seconds 0.5 --batch 2";
        assert!(load(&fake, options).await.unwrap().is_clean());
        let requests = fake.requests.take();
        let get = requests
            .iter()
            .find(|r| r.head.starts_with("GET /stream/team HTTP/1.1"));
        assert_eq!(
            token(&get.unwrap().head),
            "member/bench-user-0/bench-team-0"
        );
        let post = requests
            .iter()
            .find(|r| r.head.starts_with("POST /events HTTP/1.1"));
        assert_eq!(token(&post.unwrap().head), "service");
        let body: serde_json::Value = serde_json::from_str(&post.unwrap().body).unwrap();
        assert_eq!(body["events"].as_array().unwrap().len(), 2);
        assert_eq!(body["events"][1]["audience"]["team"], "bench-team-0");
        assert_eq!(body["events"][1]["data"]["p"].as_str().unwrap().len(), 400);
    };
    LocalSet::new().run_until(work).await;
}

fn token(head: &str) -> &str {
    head.lines()
        .find_map(|line| line.strip_prefix("Authorization: Bearer "))
        .unwrap()
}

#[tokio::test]
async fn a_publisher_of_each_topic_has_its_own_token_where_templates_show_one() {
    let work = async {
        let fake = Fake::start(Faults::default()).await;
        let options = "--subscribers 2 --topics 2 --rate 20 --seconds 0.5 \
                       --publish-header Authorization:{token} --publish-body {payload}";
        load(&fake, options).await.unwrap();
        let requests = fake.requests.take();
        for topic in ["bench-team-0", "bench-team-1"] {
            let shown = format!("Authorization:member/bench-publisher-of-{topic}/{topic}");
            assert!(requests.iter().any(|r| r.head.contains(&shown)), "{topic}");
        }
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn tokens_are_asked_for_only_where_templates_show_them() {
    let plain =
        "bench --url http://127.0.0.1:9 --subscribe-path /sub --publish-path /pub --seconds 0.1";
    let run = |options: &str| {
        let args = Cli::parse_from(plain.split(' ').chain(options.split(' '))).args;
        bench::run(args, surroundings(NoTokens))
    };
    let without = "--subscribe-header A:b --publish-header A:b --publish-body {payload}";
    let error = run(without).await.unwrap_err();
    assert!(matches!(error, BenchError::NoStreams { .. }), "{error}");
    let error = run("--publish-body {service_token}{payload}").await;
    assert_eq!(error.unwrap_err().to_string(), "set a secret");
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused_by_name() {
    for (options, word) in [
        ("--payload 10", "--payload"),
        ("--rate 0", "--rate"),
        ("--publish-body nothing", "{payload}"),
        ("--stall 2000", "--stall"),
        ("--pid 4294967295", "no such process"),
        ("--url https://a", "http://"),
    ] {
        let args = ["bench"].into_iter().chain(options.split(' '));
        let args = Cli::parse_from(args).args;
        let error = bench::run(args, surroundings(NamedTokens));
        let error = error.await.unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}
