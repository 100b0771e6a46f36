use std::sync::Arc;

use tokio::sync::mpsc;

use super::*;
use crate::log::hints::{PeerNotifier, PeerText};
use crate::platform::Queues;

struct Receiver {
    peer_listener: PeerListener,
    batches: mpsc::Receiver<CommittedBatch>,
    signals: mpsc::Receiver<String>,
    signs: mpsc::Receiver<PeerText>,
}

fn receiver() -> Receiver {
    let queues = Queues::default();
    let (batches, received) = queues.channel("batches", 4);
    let (signals, received_signals) = queues.channel("signals", 4);
    let (signs, received_signs) = queues.channel("signs", 4);
    let peer_listener = PeerListener {
        state: Arc::default(),
        logs: crate::log::ChangeHints::default(),
        batches,
        presence: Arc::default(),
        sessions: Arc::default(),
        tasks: crate::log::TaskHints::default(),
        signals,
        signs,
        memberships: None,
    };
    Receiver {
        peer_listener,
        batches: received,
        signals: received_signals,
        signs: received_signs,
    }
}

fn broker() -> BrokerId {
    "b".parse().unwrap()
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn raw(json: &str) -> Option<Arc<RawValue>> {
    RawValue::from_string(json.to_owned()).ok().map(Arc::from)
}

fn event(position: i64, data: &str) -> Event {
    let audience = Audience::User("auth0|\"e".parse().unwrap());
    let mut body = NewEvent::new(audience, EventType::parse("boat:sold").unwrap());
    body.record = Some(("boats".parse().unwrap(), "b-1".parse().ok()));
    body.user = "ann".parse().ok();
    body.version = Some(7);
    body.data = raw(data);
    body.changes = raw(r#"{"fee":"[REDACTED]"}"#);
    body.private = raw(r#"{"fee":1.50}"#).map(Private);
    body.owner = "ann".parse().ok();
    body.is_new_owner = true;
    body.is_truncated = true;
    body.trace = traces::stored(Some(TRACEPARENT));
    assert!(body.trace.is_some());
    Event {
        position,
        created_at: time::macros::datetime!(2026-01-02 03:04:05.678901 UTC),
        body,
    }
}

fn batch(events: Vec<Event>) -> CommittedBatch {
    CommittedBatch {
        broker: broker(),
        epoch: Epoch::stored("k7q2mw"),
        head: events.last().map_or(0, |event| event.position),
        others: None,
        events: Arc::new(events),
        committed_at: Instant::now(),
        is_own: true,
    }
}

async fn sent(batches: &[CommittedBatch]) -> Vec<PeerMessage> {
    let peers = PeerNotifier::carrying_contents();
    for batch in batches {
        peers.committed(batch);
    }
    messages("me", &peers.take().await)
}

fn shown(event: &Event) -> String {
    let (body, json) = (&event.body, PeerEvent::of(event));
    let private = body.private.as_ref().map(|private| private.0.get());
    format!(
        "{} {private:?} {}",
        serde_json::to_string(&json).unwrap(),
        event.created_at
    )
}

#[tokio::test]
async fn what_is_received_is_what_was_sent() {
    let data = r#"{"text":"a \u2028 line\n","n":1.0,"deep":[[{"x":null}]]}"#;
    let events = vec![event(3, data), event(4, "1")];
    let sent = sent(&[batch(events.clone()), batch(vec![event(5, "[]")])]).await;
    let [message] = &sent[..] else {
        panic!("{sent:?}");
    };
    let mut other = receiver();
    pass_on(
        &message.payload,
        "me",
        message.broker.as_ref(),
        &other.peer_listener,
    );
    assert!(other.batches.try_recv().is_err(), "its own message");
    pass_on(
        &message.payload,
        "you",
        message.broker.as_ref(),
        &other.peer_listener,
    );
    let received = other.batches.try_recv().unwrap();
    assert_eq!(
        (received.head, received.events.len(), received.is_own),
        (5, 3, false)
    );
    assert_eq!(received.epoch, Epoch::stored("k7q2mw"));
    for (received, sent) in received.events.iter().zip(&events) {
        assert_eq!(shown(received), shown(sent));
    }
}

#[tokio::test]
async fn messages_have_a_limit_and_a_larger_event_is_a_hint() {
    let large = format!("\"{}\"", "x".repeat(100_000));
    let huge = format!("\"{}\"", "x".repeat(300_000));
    let mut events: Vec<_> = (1..=9).map(|n| event(n, &large)).collect();
    events.push(event(10, &huge));
    let sent = sent(&[batch(events)]).await;
    assert!(sent.len() >= 4);
    assert!(
        sent.iter()
            .all(|message| message.payload.len() < 2 * MESSAGE_BYTES)
    );
    let mut other = receiver();
    let mut seen = 0;
    for message in &sent {
        pass_on(
            &message.payload,
            "you",
            message.broker.as_ref(),
            &other.peer_listener,
        );
        while let Ok(batch) = other.batches.try_recv() {
            assert_eq!(batch.events[0].position, seen + 1);
            seen = batch.head;
        }
    }
    assert_eq!(seen, 9);
    assert_eq!(other.peer_listener.logs.take().await.heads[&broker()], 10);
}

#[tokio::test]
async fn a_message_of_another_version_means_that_something_has_changed() {
    let other = receiver();
    for payload in ["2 you\nx", "", "1\n"] {
        pass_on(payload, "me", Some(&broker()), &other.peer_listener);
        let changes = other.peer_listener.logs.take().await;
        assert!(changes.unverified.contains(&broker()), "{payload:?}");
    }
    let lines = "1 you\ne\nek7q2mw {}\nhx\nq new\n";
    pass_on(lines, "me", Some(&broker()), &other.peer_listener);
    assert_eq!(other.peer_listener.logs.take().await.unverified.len(), 1);
}

#[tokio::test]
async fn other_notices_reach_those_whom_they_concern() {
    let peers = PeerNotifier::default();
    peers.committed(&batch(vec![event(3, "1")]));
    peers.presence([broker()]);
    peers.sessions();
    let task = TaskKey {
        broker: broker(),
        task: "t-1".parse().unwrap(),
    };
    peers.task(task.clone());
    assert!(peers.signal(PeerText {
        broker: broker(),
        text: r#"{"b":"b","u":"ann"}"#.to_owned(),
    }));
    peers.signs(PeerText {
        broker: broker(),
        text: "{}".to_owned(),
    });
    let sent = messages("you", &peers.take().await);
    let mut other = receiver();
    let _listener = other.peer_listener.tasks.listen();
    for message in &sent {
        pass_on(
            &message.payload,
            "me",
            message.broker.as_ref(),
            &other.peer_listener,
        );
    }
    let peer_listener = &other.peer_listener;
    assert_eq!(peer_listener.logs.take().await.heads[&broker()], 3);
    assert!(peer_listener.tasks.take().tasks.contains(&task));
    peer_listener.presence.notified().await;
    peer_listener.sessions.notified().await;
    assert_eq!(other.signals.try_recv().unwrap(), r#"{"b":"b","u":"ann"}"#);
    assert_eq!(other.signs.try_recv().unwrap().text, "{}");
    assert!(other.batches.try_recv().is_err());
}

#[tokio::test]
async fn a_channel_reaches_its_own_brokerage_only() {
    let mut other = receiver();
    for signal in [r#"{"b":"c","u":"ann"}"#, r#"{"u":"ann"}"#, "{", ""] {
        let payload = format!("1 you\ns{signal}");
        pass_on(&payload, "me", Some(&broker()), &other.peer_listener);
        assert!(other.signals.try_recv().is_err(), "{signal}");
    }
}

#[tokio::test]
async fn positions_that_no_log_has_are_no_batch() {
    let mut other = receiver();
    let epoch = Epoch::stored("k7q2");
    let events = [i64::MAX, i64::MIN, 0].map(|position| event_line(&epoch, &event(position, "1")));
    let payload = format!("1 you{}", events.concat());
    pass_on(&payload, "me", Some(&broker()), &other.peer_listener);
    for head in [i64::MAX, i64::MIN, 0] {
        assert_eq!(other.batches.try_recv().unwrap().head, head);
    }
}
