//! Which record somebody has open, and who sees it.

use serde_json::{Value, json};

use super::{QUICK, is_here, leave, two};
use crate::support::{Service, Stream, Token, eventually};

fn at(session: &str, viewing: Option<&str>, editing: Option<&str>) -> Value {
    let record = |id: Option<&str>| id.map(|id| json!({"module": "escrows", "recordId": id}));
    json!({"session": session, "viewing": record(viewing), "editing": record(editing)})
}

/// The next change of what somebody has open.
async fn next_place(stream: &mut Stream) -> Value {
    loop {
        let message = stream.next_of_all().await;
        if message.name.starts_with("user:viewing:") || message.name.starts_with("user:editing:") {
            assert!(!message.has_id);
            let data = message.json();
            let mut received = data["data"].clone();
            let received = received.as_object_mut().expect("an object");
            received.retain(|name, _| name != "status" && name != "online");
            return json!([message.name, data["recordId"], data["userId"], received]);
        }
    }
}

async fn known_to_team(service: &Service, record: &str) {
    let event = json!({"type": "escrow:created", "audience": {"team": "t"}, "module": "escrows",
        "recordId": record, "data": {}});
    service.publish(&event).await;
}

#[tokio::test]
async fn whoever_opens_a_record_is_seen_on_its_stream_and_goes_with_the_session() {
    let instances = two(QUICK).await;
    let [a, b] = &instances;
    known_to_team(a, "e-1").await;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut record = a.stream("/stream/records/escrows/e-1", &ann).await;
    let empty = record.next_state("presence:snapshot").await;
    assert_eq!((&empty["users"], &empty["online"]), (&json!([]), &json!(0)));
    is_here(b, &bob, at("s", Some("e-1"), None)).await;
    let viewing = json!(["user:viewing:escrow", "e-1", "bob", {"viewing": true, "viewers": 1}]);
    assert_eq!(next_place(&mut record).await, viewing);
    is_here(b, &bob, at("s", Some("e-1"), Some("e-1"))).await;
    let editing = json!(["user:editing:escrow", "e-1", "bob", {"editing": true, "editors": 1}]);
    assert_eq!(next_place(&mut record).await, editing);
    let path = "/presence?record=escrows/e-1";
    let there = json!([{"module": "escrows", "recordId": "e-1"}]);
    for instance in &instances {
        eventually("both know where he is", || async {
            let seen = instance.list(path, &ann).await;
            let bob = &seen["users"][0];
            let is_there = bob["viewing"] == there && bob["editing"] == there;
            (is_there && seen["online"] == 1).then_some(())
        })
        .await;
    }
    let mut late = b.stream("/stream/records/escrows/e-1", &ann).await;
    let snapshot = late.next_state("presence:snapshot").await;
    assert_eq!(snapshot["users"][0]["editing"], there);
    is_here(b, &bob, at("s", Some("e-2"), None)).await;
    let gone = json!(["user:viewing:escrow", "e-1", "bob", {"viewing": false, "viewers": 0}]);
    assert_eq!(next_place(&mut record).await, gone);
    let idle = json!(["user:editing:escrow", "e-1", "bob", {"editing": false, "editors": 0}]);
    assert_eq!(next_place(&mut record).await, idle);
    is_here(b, &bob, at("s", Some("e-1"), None)).await;
    assert_eq!(next_place(&mut record).await, viewing);
    assert_eq!(leave(b, &bob, "s").await.status, 204);
    assert_eq!(next_place(&mut record).await, gone);
}

#[tokio::test]
async fn what_a_team_has_open_only_the_team_sees() {
    let service = Service::with(QUICK).await;
    known_to_team(&service, "secret").await;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let eve = Token::user("eve", &["else"]);
    let mut eves = service.stream("/stream", &eve).await;
    let mut anns = service.stream("/stream/team", &ann).await;
    is_here(&service, &bob, at("s", Some("secret"), Some("secret"))).await;
    is_here(&service, &bob, at("s", Some("open"), None)).await;
    assert_eq!(next_place(&mut anns).await[1], "secret");
    let seen = next_place(&mut eves).await;
    assert_eq!(seen[1], "open");
    assert!(!eves.text.contains("secret"), "{}", eves.text);
    let mut late = service.stream("/stream", &eve).await;
    is_here(&service, &bob, at("s", Some("secret"), None)).await;
    let snapshot = late.next_state("presence:snapshot").await;
    let open = json!([{"module": "escrows", "recordId": "open"}]);
    let users = snapshot["users"].as_array().expect("users");
    let bob = users.iter().find(|user| user["userId"] == "bob");
    assert_eq!(bob.expect("bob")["viewing"], open);
}

#[tokio::test]
async fn filters_leave_out_what_was_not_asked_for() {
    let service = Service::with(QUICK).await;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let path = "/stream?types=user:viewing:*";
    let mut stream = service.stream(path, &ann).await;
    assert_eq!(stream.next_of_all().await.name, "stream:ready");
    is_here(&service, &bob, at("s", Some("e-1"), None)).await;
    assert_eq!(stream.next_of_all().await.name, "user:viewing:escrow");
    let mut of_records = service.stream("/stream?records=escrows/e-1", &ann).await;
    let snapshot = of_records.next_state("presence:snapshot").await;
    assert_eq!(snapshot["users"].as_array().map(Vec::len), Some(1));
    is_here(&service, &bob, at("s", Some("e-2"), None)).await;
    let gone = next_place(&mut of_records).await;
    assert_eq!(
        (&gone[1], &gone[3]["viewing"]),
        (&json!("e-1"), &json!(false))
    );
}

#[tokio::test]
async fn viewers_of_a_record_see_whether_the_people_there_are_online_or_away() {
    let service = Service::with(QUICK).await;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut record = service.stream("/stream/records/escrows/e-1", &ann).await;
    record.next_state("presence:snapshot").await;
    let mut heartbeat = at("s", Some("e-1"), None);
    is_here(&service, &bob, heartbeat.clone()).await;
    let came = record.next_state("user:viewing:escrow").await;
    assert_eq!(came["data"]["status"], "online");
    heartbeat["status"] = json!("away");
    is_here(&service, &bob, heartbeat).await;
    let away = record.next_state("user:presence:away").await;
    assert_eq!(
        (&away["userId"], &away["data"]["online"]),
        (&json!("bob"), &json!(0))
    );
    assert_eq!(away["data"]["of"], json!({"record": "escrows/e-1"}));
}
