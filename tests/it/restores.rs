//! Databases that were set back to an earlier state: by a dump, to a point in time, or by losing commits. A client
//! of the lost time gets a reset, and nothing that it may still have is given again.

mod fences;
mod point_in_time;

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use sqlx::Executor;

use crate::support::cluster::TestDatabase;
use crate::support::command::porchlight;
use crate::support::people::agent;
use crate::support::psql::{run_program, try_program};
use crate::support::sse::next_reset;
use crate::support::{Answer, Service, Stream, eventually, for_team, number};

const RECORD: &str = "/stream/records/escrows/e-1";
const STREAMS: [&str; 5] = [
    "/stream",
    "/stream/user",
    "/stream/team",
    "/stream/broker",
    RECORD,
];

/// One event for each of [`STREAMS`].
async fn publish(service: &Service, n: u64) -> String {
    let about = |audience| {
        json!({"type": "test:tick", "audience": audience, "data": {"n": n}, "module": "escrows",
            "recordId": "e-1"})
    };
    let events = json!({"events": [about(json!({"user": "u"})), about(json!({"team": "a"})),
        about(json!({"broker": true}))]});
    let positions = service.publish(&events).await;
    positions.last().expect("a position").clone()
}

/// Streams that have everything of the log.
async fn streams_at_head(service: &Service) -> Vec<Stream> {
    let mut streams = Vec::new();
    for path in STREAMS {
        let mut stream = service
            .stream(&format!("{path}?types=test:*"), &agent("u"))
            .await;
        assert_eq!(stream.next().await.name, "stream:ready", "{path}");
        streams.push(stream);
    }
    streams
}

fn dump(url: &str, file: &Path) {
    run_program(
        "pg_dump",
        &[
            "--format=custom",
            "--file",
            file.to_str().expect("text"),
            url,
        ],
    );
}

/// Replaces everything. The service may have locked some of it in another order: then it is tried again.
async fn load_over(url: &str, file: &Path) {
    let (target, file) = (format!("--dbname={url}"), file.to_owned());
    let load = move || {
        let file = file.to_str().expect("text");
        let how = [
            "--clean",
            "--if-exists",
            "--single-transaction",
            "--exit-on-error",
        ];
        let arguments: Vec<_> = how.into_iter().chain([&*target, file]).collect();
        while let Err(errors) = try_program("pg_restore", &arguments) {
            assert!(errors.contains("deadlock"), "{errors}");
        }
    };
    tokio::task::spawn_blocking(load).await.expect("no panic");
}

#[tokio::test]
async fn a_dump_that_is_loaded_under_a_running_service_resets_its_clients() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("dump");
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &["--poll-ms=50"]).await;
    publish(&service, 0).await;
    dump(&database.url(), &file);
    // The lost time.
    let lost = publish(&service, 1).await;
    let mut streams = streams_at_head(&service).await;
    let path = format!("/events?wait=60&after={lost}");
    let poll = Answer::to(service.get(&path, &agent("u")));
    let url = database.url();
    let (polled, ()) = tokio::join!(poll, load_over(&url, &file));
    polled.refused(410, "cursor_unknown", "a long poll of the lost time");
    for stream in &mut streams {
        let reset = next_reset(stream).await;
        assert_eq!(reset.json()["reason"], "unknown");
        assert_eq!(reset.position(), 3);
    }
    let path = format!("/events?after={lost}");
    let answer = Answer::to(service.get(&path, &agent("u"))).await;
    answer.refused(410, "cursor_unknown", "a position of the lost time");
    let new = publish(&service, 2).await;
    assert_eq!(new.split('-').next(), lost.split('-').next());
    for stream in &mut streams {
        assert_eq!(number(&stream.next().await), 2);
    }
    let mut late = service.resume("/stream/team", &agent("u"), &lost).await;
    assert_eq!(next_reset(&mut late).await.json()["reason"], "unknown");
}

#[tokio::test]
async fn a_log_that_has_lost_events_under_a_running_service_resets_its_clients() {
    let service = Service::with(&["--poll-ms=50"]).await;
    publish(&service, 0).await;
    let lost = publish(&service, 1).await;
    let mut streams = streams_at_head(&service).await;
    // As a disk that was set back would do.
    let mut sql = service.database.connect().await;
    let set_back = "with log as (update porchlight.brokers set head = 3)
        delete from porchlight.events where position > 3";
    sql.execute(set_back).await.expect("it is set back");
    for stream in &mut streams {
        assert_eq!(next_reset(stream).await.json()["reason"], "unknown");
    }
    publish(&service, 2).await;
    for stream in &mut streams {
        assert_eq!(number(&stream.next().await), 2);
    }
    let mut late = service.resume("/stream/team", &agent("u"), &lost).await;
    assert_eq!(next_reset(&mut late).await.json()["reason"], "unknown");
}

/// A hint of another instance says only how far a log has grown.
#[tokio::test]
async fn events_of_a_new_epoch_are_not_read_on_as_events_of_the_old_one() {
    let service = Service::with(&["--poll-ms=60000"]).await;
    publish(&service, 0).await;
    let mut streams = streams_at_head(&service).await;
    let mut sql = service.database.connect().await;
    let renewed = "update porchlight.events set position = position + 3;
        update porchlight.brokers set epoch = 'renewed', head = 6;
        select pg_notify('porchlight', 'another' || chr(10) || broker_id || ' 6')
        from porchlight.brokers";
    sql.execute(renewed).await.expect("another epoch");
    for stream in &mut streams {
        let reset = next_reset(stream).await;
        assert_eq!(reset.json()["reason"], "unknown");
        assert_eq!(reset.id, "6-renewed");
    }
}

/// Before the backup, the log of a brokerage may be empty, and its clients have cursors of later events.
#[tokio::test]
async fn a_log_that_was_empty_in_the_backup_gets_a_new_epoch_too() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &[]).await;
    let mut stream = service.stream("/stream/team", &agent("u")).await;
    let empty = stream.next().await.id;
    assert!(empty.starts_with("0-"), "{empty}");
    service.stop().await;
    let mut sql = database.connect().await;
    let copy = "update porchlight.origin set database_oid = 1";
    sql.execute(copy).await.expect("a copy");
    let copy = Service::on(database, &[]).await;
    let mut stream = copy.stream("/stream/team", &agent("u")).await;
    assert_ne!(stream.next().await.id, empty);
}

#[tokio::test]
async fn the_command_renews_epochs_under_a_running_service_and_revokes_tokens_on_request() {
    let service = Service::with(&["--poll-ms=50"]).await;
    let url = service.database.url();
    let variables = [("DATABASE_URL", &*url)];
    let before = service.publish(&for_team("a", 0)).await;
    let mut stream = service.stream("/stream/team", &agent("u")).await;
    stream.next().await;
    let ended = porchlight(&["new-epochs"], &variables).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("1 log has a new epoch"), "{ended:?}");
    assert!(ended.stdout.contains("revocations of tokens"), "{ended:?}");
    let reset = next_reset(&mut stream).await;
    assert_eq!(reset.json()["reason"], "unknown");
    assert_ne!(reset.id, before[0]);
    let token = agent("u").signed();
    let ended = porchlight(&["new-epochs", "--revoke-tokens"], &variables).await;
    assert!(ended.stdout.contains("are refused"), "{ended:?}");
    eventually("the token is refused", async || {
        let request = service
            .client
            .get(service.url("/session"))
            .bearer_auth(&token);
        let answer = Answer::to(request).await;
        (answer.status == 401).then(|| answer.refused(401, "token_revoked", "an old token"))
    })
    .await;
}
