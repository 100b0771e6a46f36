//! Output: written once, read from any byte.

use serde_json::json;

use super::{QUICK, ann, claim, post, say, task, two, worker};
use crate::support::ends::last_words;
use crate::support::tasks::whole_output;
use crate::support::{Answer, Service};

const CHUNKS: [&str; 4] = ["Dear Ms. Ünal, ", "€ 1.250.000 ", "👩‍👧 ", "\"quoted\"\n\n"];

async fn write(service: &Service, task: &str, fence: i64, offset: usize, text: &str) -> Answer {
    let body = json!({"fence": fence, "offset": offset, "text": text});
    say(service, &worker("wes"), task, "output", body).await
}

#[tokio::test]
async fn a_text_is_read_live_and_from_every_byte() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let id = task(a, &ann).await;
    let (_, fence) = claim(a, &wes).await;
    let path = format!("/tasks/{id}/output");
    let mut streams = [a.stream(&path, &ann).await, b.stream(&path, &ann).await];
    let mut offset = 0;
    for chunk in CHUNKS {
        let kept = write(b, &id, fence, offset, chunk).await;
        offset += chunk.len();
        assert_eq!((kept.status, &kept.json()["offset"]), (200, &json!(offset)));
        for stream in &mut streams {
            let message = stream.next_output().await;
            assert_eq!(message.json()["text"], chunk);
            assert_eq!(message.id, format!("{fence}-{offset}"));
        }
    }
    say(a, &wes, &id, "complete", json!({"fence": fence})).await;
    for stream in &mut streams {
        assert_eq!(
            whole_output(stream).await,
            (String::new(), json!("completed"))
        );
        assert!(stream.try_next().await.is_none(), "the stream ends");
    }
    let whole = CHUNKS.concat();
    for byte in 0..=whole.len() {
        let expected = &whole[whole.floor_char_boundary(byte)..];
        let mut by_query = a.stream(&format!("{path}?offset={byte}"), &ann).await;
        let mut by_header = b.resume(&path, &ann, &format!("{fence}-{byte}")).await;
        for stream in [&mut by_query, &mut by_header] {
            assert_eq!(whole_output(stream).await.0, expected, "{byte}");
        }
    }
    for id in ["rubbish", "7-0", "-1-0", "1-99999", "1--1"] {
        let mut stream = a.resume(&path, &ann, id).await;
        assert_eq!(stream.next_output().await.name, "restart", "{id}");
        assert_eq!(whole_output(&mut stream).await.0, whole, "{id}");
    }
}

#[tokio::test]
async fn a_chunk_is_kept_once_and_a_gap_is_refused() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let id = task(a, &ann).await;
    let (_, fence) = claim(a, &wes).await;
    for (offset, chunk) in [(0, "aé"), (3, "b"), (4, "c€")] {
        assert_eq!(write(a, &id, fence, offset, chunk).await.status, 200);
        let again = write(b, &id, fence, offset, chunk).await;
        assert_eq!(again.status, 200, "{}", again.text);
    }
    // Chunks cut otherwise are the same text.
    for (offset, text, is_kept) in [
        (0, "aébc€", true),
        (1, "éb", true),
        (3, "bc", true),
        (0, "aè", false),
        (4, "c€!", false),
        (2, "b", false),
        (9, "x", false),
        (1 << 30, "x", false),
    ] {
        let answer = write(b, &id, fence, offset, text).await;
        if is_kept {
            assert_eq!(
                (answer.status, &answer.json()["offset"]),
                (200, &json!(8)),
                "{text}"
            );
        } else {
            let field = answer.refused(409, "wrong_offset", text);
            assert_eq!(
                (field.as_deref(), &answer.json()["offset"]),
                (Some("offset"), &json!(8))
            );
        }
    }
    let mut lengths = 8;
    let large = "x".repeat(200 << 10);
    let refused = loop {
        let answer = write(a, &id, fence, lengths, &large).await;
        if answer.status != 200 {
            break answer;
        }
        lengths += large.len();
    };
    refused.refused(413, "output_too_large", "more than 4 MiB");
    assert!(lengths + large.len() > 4 << 20 && lengths <= 4 << 20);
    let path = format!("/tasks/{id}/output");
    let mut stream = b.stream(&path, &ann).await;
    post(a, &ann, &format!("/tasks/{id}/cancel"), &json!({})).await;
    let received = write(a, &id, fence, lengths, "!").await;
    assert_eq!(received.json()["cancel"], true, "{}", received.text);
    say(b, &wes, &id, "cancelled", json!({"fence": fence})).await;
    let late = write(a, &id, fence, lengths + 1, "!").await;
    late.refused(409, "lease_lost", "after the end");
    let (text, state) = whole_output(&mut stream).await;
    assert_eq!((text.len(), state), (lengths + 1, json!("cancelled")));
}

#[tokio::test]
async fn another_attempt_begins_another_output() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let id = task(a, &ann).await;
    claim(a, &wes).await;
    let path = format!("/tasks/{id}/output");
    let mut stream = b.stream(&path, &ann).await;
    write(a, &id, 1, 0, "the first").await;
    assert_eq!(stream.next_output().await.json()["text"], "the first");
    let error = json!({"code": "busy", "message": "Later.", "retryable": true});
    say(b, &wes, &id, "fail", json!({"fence": 1, "error": error})).await;
    let body = json!({"types": ["import"], "waitSeconds": 20});
    assert_eq!(
        post(b, &wes, "/tasks/claim", &body).await.json()["fence"],
        2
    );
    let restart = stream.next_output().await;
    assert_eq!(
        (&restart.name[..], &restart.json()["attempt"]),
        ("restart", &json!(2))
    );
    write(b, &id, 1, 9, "!")
        .await
        .refused(409, "lease_lost", "the old attempt");
    write(b, &id, 2, 0, "the second").await;
    say(a, &wes, &id, "complete", json!({"fence": 2})).await;
    assert_eq!(
        whole_output(&mut stream).await,
        ("the second".to_owned(), json!("completed"))
    );
    let mut late = a.resume(&path, &ann, "1-9").await;
    assert_eq!(whole_output(&mut late).await.0, "the second");
}

#[tokio::test]
async fn streams_of_output_end_with_the_token_and_with_the_service() {
    let [a, b] = two(QUICK).await;
    let id = task(&a, &ann()).await;
    let path = format!("/tasks/{id}/output");
    let mut short = a.stream(&path, &ann().lasting(2)).await;
    let mut long = b.stream(&path, &ann()).await;
    assert_eq!(last_words(&mut short).await["reason"], "expired");
    b.begin_stop();
    assert_eq!(last_words(&mut long).await["reason"], "drain");
    b.stop().await;
}

#[tokio::test]
async fn output_of_an_attempt_is_deleted_when_the_next_one_begins() {
    let [a, b] = &two(QUICK).await;
    let wes = worker("wes");
    let id = task(a, &ann()).await;
    claim(a, &wes).await;
    write(a, &id, 1, 0, "the first").await;
    let error = json!({"code": "busy", "message": "Later.", "retryable": true});
    say(b, &wes, &id, "fail", json!({"fence": 1, "error": error})).await;
    let body = json!({"types": ["import"], "waitSeconds": 20});
    let claimed = post(b, &wes, "/tasks/claim", &body).await;
    assert_eq!(claimed.json()["fence"], 2);
    let left: i64 = sqlx::query_scalar("select count(*) from porchlight.task_output")
        .fetch_one(&mut a.database.connect().await)
        .await
        .expect("a count");
    assert_eq!(left, 0);
}
