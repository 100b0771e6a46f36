//! `POST /sessions/renew`: a stream lasts longer than the token that opened it.

use serde_json::{Value, json};

use super::{ann, get, open, revoke, two_without_notices};
use crate::support::ends::last_words;
use crate::support::instances::two;
use crate::support::requests::{post, posted};
use crate::support::{Answer, Message, Service, Stream, Token, for_team, number};

async fn renew(service: &Service, who: &Token, stream: &str) -> Answer {
    post(service, who, "/sessions/renew", &json!({"stream": stream})).await
}

/// The next control event of a stream.
async fn next_control(stream: &mut Stream) -> Message {
    loop {
        let message = stream.next().await;
        if message.name.starts_with("stream:") {
            return message;
        }
    }
}

#[tokio::test]
async fn a_stream_goes_on_with_a_fresh_token_at_whichever_instance_it_is() {
    let instances = two(&["--expiring-seconds=2"]).await;
    let short = ann().lasting(4).signed();
    let mut streams = Vec::new();
    for instance in &instances {
        streams.push(open(instance, "/stream/team", &short).await);
    }
    let mut left = open(&instances[0], "/stream/team", &short).await.0;
    for (stream, id) in &mut streams {
        assert_eq!(next_control(stream).await.name, "stream:expiring");
        // All of them are renewed at the first instance.
        let answer = renew(&instances[0], &ann(), id).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["stream"], id.as_str());
        let renewed = next_control(stream).await;
        assert_eq!(renewed.name, "stream:renewed", "{renewed:?}");
        let seconds = renewed.json()["inSeconds"].as_u64().expect("seconds");
        assert!((3_500..=3_600).contains(&seconds), "{seconds}");
    }
    // The one that was not renewed shows that the first token has ended.
    assert_eq!(last_words(&mut left).await["reason"], "expired");
    instances[0].publish(&for_team("a", 7)).await;
    for (stream, _) in &mut streams {
        assert_eq!(number(&stream.next_logged().await), 7);
    }
    // The stream belongs to the fresh token.
    revoke(&instances[0], &json!({"user": "ann"})).await;
    for (stream, _) in &mut streams {
        assert_eq!(last_words(stream).await["reason"], "revoked");
    }
}

#[tokio::test]
async fn without_notices_a_stream_elsewhere_is_renewed_by_polling() {
    let instances = two_without_notices(&[]).await;
    let (mut stream, id) = open(&instances[1], "/stream/team", &ann().signed()).await;
    for _ in 0..3 {
        assert_eq!(renew(&instances[0], &ann(), &id).await.status, 200);
        assert_eq!(next_control(&mut stream).await.name, "stream:renewed");
    }
}

#[tokio::test]
async fn a_token_with_other_rights_does_not_renew_a_stream() {
    use porchlight::identity::Role;
    let instances = two(&[]).await;
    let others = [
        Token::user("ann", &["a", "z"]),
        Token::user("ann", &[]),
        ann().in_role(Role::Admin),
    ];
    for (n, other) in others.iter().enumerate() {
        let at = &instances[n % 2];
        let (mut stream, id) = open(at, "/stream/team", &ann().signed()).await;
        let answer = renew(&instances[0], other, &id).await;
        answer.refused(409, "rights_changed", &format!("{other:?}"));
        assert_eq!(last_words(&mut stream).await["reason"], "changed");
    }
}

#[tokio::test]
async fn only_the_user_of_a_stream_renews_it() {
    let instances = two(&[]).await;
    let (mut stream, id) = open(&instances[0], "/stream/team", &ann().signed()).await;
    for (who, id) in [
        (Token::user("eve", &["a"]), &*id),
        (ann().of("c"), &*id),
        (ann(), "5f0c2b7e9d4a4c55a1f6f3a0f8f9a001"),
        (ann(), "no id"),
    ] {
        let answer = renew(&instances[0], &who, id).await;
        let field = answer.refused(404, "unknown_stream", id);
        assert_eq!(field.as_deref(), Some("stream"));
    }
    let none = post(&instances[0], &ann(), "/sessions/renew", &json!({})).await;
    none.refused(400, "invalid_body", "no stream");
    let expired: Value = json!({"exp": 1_000});
    let request = instances[0]
        .client
        .post(instances[0].url("/sessions/renew"));
    let request = request.bearer_auth(crate::support::forge::honest(&expired));
    let answer = Answer::to(request.json(&json!({"stream": id}))).await;
    answer.refused(401, "token_expired", "an old token");
    instances[0].publish(&for_team("a", 1)).await;
    assert_eq!(number(&stream.next_logged().await), 1);
}

#[tokio::test]
async fn a_stream_of_output_goes_on_with_a_fresh_token_too() {
    let instances = two(&["--expiring-seconds=2"]).await;
    let task = posted(&instances[0], &ann(), "/tasks", &json!({"type": "x"})).await;
    let path = format!("/tasks/{}/output", task["id"].as_str().expect("an id"));
    let short = ann().lasting(4).signed();
    let mut streams = Vec::new();
    for instance in &instances {
        let mut stream = Stream::open(get(instance, &path, &short)).await;
        let ready = next_control(&mut stream).await;
        assert_eq!((&*ready.name, ready.has_id), ("stream:ready", false));
        let id = ready.json()["stream"].as_str().expect("an id").to_owned();
        streams.push((stream, id));
    }
    for (stream, id) in &mut streams {
        assert_eq!(next_control(stream).await.name, "stream:expiring");
        let answer = renew(&instances[0], &ann(), id).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let renewed = next_control(stream).await;
        assert_eq!(renewed.name, "stream:renewed", "{renewed:?}");
    }
    for (stream, _) in &mut streams {
        revoke(&instances[0], &json!({"user": "ann"})).await;
        assert_eq!(last_words(stream).await["reason"], "revoked");
    }
}
