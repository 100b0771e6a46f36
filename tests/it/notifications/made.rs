//! Notifications that the service makes: of tasks, locks and records.

use std::time::Duration;

use porchlight::platform::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use super::{admin, agent, done, had, post_notifications, send, two, until_had};
use crate::support::appending::{append_events, append_own};
use crate::support::forge::honest;
use crate::support::requests::post;
use crate::support::sql::until_counted;
use crate::support::{Answer, Service, Token, eventually};

/// Records that a task of Ann's ended, by somebody.
async fn ended(service: &Service, how: &str, by: &str, mut data: Value) {
    if how == "progress" {
        data = json!({"taskId": data["taskId"], "state": "running", "attempt": 1});
    } else {
        (data["taskType"], data["state"]) = (json!("import"), json!(how));
        data["attempt"] = json!(1);
    }
    let event = json!({"type": format!("ai:task:{how}"), "audience": {"user": "ann"}, "userId": by,
        "version": 3, "data": data});
    append_own(service, &event).await;
}

async fn happened(service: &Service, events: Vec<porchlight::log::NewEvent>) {
    let mut sql = service.database.connect().await;
    append_events(&mut sql, &[("b".parse().unwrap(), events)])
        .await
        .unwrap();
}

/// Makes a request with a name in the token, so that the service knows it.
async fn introduced(service: &Service, who: &Token) {
    service.list("/events", who).await;
    eventually("the name is known", async || {
        let mut sql = service.database.connect().await;
        let known = "select count(*) from porchlight.people where user_id = $1";
        let known = sqlx::query_scalar(known)
            .bind(&who.user)
            .fetch_one(&mut sql);
        let known: i64 = known.await.unwrap();
        (known == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_task_notifies_its_owner() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    let mut stream = b.stream("/stream/user", &ann).await;
    let failure = json!({"code": "bad_row", "message": "row 3 has no address"});
    for (how, by, data) in [
        (
            "completed",
            "robot",
            json!({"taskId": "t-1", "title": "Import escrows"}),
        ),
        (
            "failed",
            "robot",
            json!({"taskId": "t-2", "title": "Import leads", "error": failure}),
        ),
        (
            "cancelled",
            "boss",
            json!({"taskId": "t-3", "title": "Import clients"}),
        ),
        (
            "cancelled",
            "ann",
            json!({"taskId": "t-4", "title": "Import listings"}),
        ),
        (
            "completed",
            "robot",
            json!({"taskId": "t-5", "title": "A part", "parentId": "t-1"}),
        ),
        (
            "progress",
            "robot",
            json!({"taskId": "t-1", "title": "Import escrows"}),
        ),
        (
            "completed",
            "robot",
            json!({"taskId": "t-6", "title": "\u{0}\n"}),
        ),
    ] {
        ended(a, how, by, data).await;
    }
    until_had(b, &ann, 4).await;
    assert_eq!(
        had(b, &ann).await,
        [
            "taskEnded success import is done",
            "taskEnded info boss cancelled Import clients",
            "taskEnded error Import leads failed: row 3 has no address",
            "taskEnded success Import escrows is done",
        ]
    );
    let mut names = Vec::new();
    while names.len() < 4 {
        let message = stream.next_logged().await;
        if message.name.starts_with("notification:") {
            names.push(message.name);
        }
    }
    let levels = ["success", "error", "info", "success"];
    assert_eq!(names, levels.map(|level| format!("notification:{level}")));
    assert_eq!(had(a, &agent("bob")).await, [""; 0]);
}

#[tokio::test]
async fn a_request_for_a_lock_and_a_takeover_notify_its_holder() {
    let [a, b] = &two(&[]).await;
    let (ann, bob) = (agent("ann").called("Ann"), agent("bob").called("Bob Lee"));
    let boss = admin(&["a"]).called("The Boss");
    for who in [&ann, &bob, &boss] {
        introduced(a, who).await;
    }
    let known = json!({"type": "listing:created", "audience": {"team": "a"}, "module": "listings",
        "recordId": "l-1", "data": {"address": "12 Oak St"}});
    a.publish(&known).await;
    let lock = json!({"module": "listings", "recordId": "l-1", "session": "tab"});
    assert_eq!(
        send(a, &ann, Method::POST, "/locks", &lock).await.status,
        201
    );
    let asked = send(
        b,
        &bob,
        Method::POST,
        "/locks/listings/l-1/request",
        &json!({}),
    )
    .await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let received = until_had(b, &ann, 1).await;
    assert_eq!(
        received[0]["title"],
        "Bob Lee asks for your lock on 12 Oak St"
    );
    assert_eq!(
        (&received[0]["module"], &received[0]["recordId"]),
        (&json!("listings"), &json!("l-1"))
    );
    let session = json!({"session": "tab"});
    let taken = send(
        b,
        &boss,
        Method::POST,
        "/locks/listings/l-1/takeover",
        &session,
    )
    .await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    until_had(a, &ann, 2).await;
    assert_eq!(
        had(a, &ann).await,
        [
            "lockTakenOver warning The Boss took over your lock on 12 Oak St",
            "lockRequested info Bob Lee asks for your lock on 12 Oak St",
        ]
    );
    assert_eq!((had(a, &bob).await, had(a, &boss).await), (vec![], vec![]));
}

#[tokio::test]
async fn the_owner_of_a_record_is_notified_of_what_others_do_to_it() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    let raw = |json: &str| {
        serde_json::value::RawValue::from_string(json.to_owned())
            .unwrap()
            .into()
    };
    let mut priced = done("l-1", "updated", "bob", "ann");
    priced.changes = Some(raw(r#"{"listPrice":395000,"commission":"[REDACTED]"}"#));
    priced.private = Some(porchlight::log::Private(raw(r#"{"commission":12000}"#)));
    let mut alone = done("l-2", "updated", "bob", "ann");
    alone.changes = Some(raw(r#"{"listPrice":395000}"#));
    alone.previous = Some(raw(r#"{"listPrice":400000}"#));
    // Private fields stay out: the record may belong to somebody else when this is read.
    let mut secret = done("l-7", "updated", "bob", "ann");
    secret.changes = Some(raw(r#"{"commission":"[REDACTED]"}"#));
    secret.private = Some(porchlight::log::Private(raw(r#"{"commission":12000}"#)));
    let own = done("l-3", "updated", "ann", "ann");
    let created = done("l-4", "created", "bob", "ann");
    let mut nobody = done("l-5", "archived", "bob", "ann");
    nobody.user = None;
    happened(
        a,
        vec![
            priced,
            secret,
            alone,
            own,
            created,
            nobody,
            done("l-6", "sold", "bob", "ann"),
        ],
    )
    .await;
    until_had(b, &ann, 5).await;
    assert_eq!(
        had(b, &ann).await,
        [
            "recordChanged info bob sold listing l-6",
            "recordChanged info Somebody archived listing l-5",
            "recordChanged info bob changed the list price of listing l-2 from $400,000 to $395,000",
            "recordChanged info bob changed the commission of listing l-7",
            "recordChanged info bob changed the commission and the list price of listing l-1",
        ]
    );
    assert_eq!(had(a, &agent("bob")).await, [""; 0]);
}

#[tokio::test]
async fn nobody_is_notified_of_what_goes_to_a_team_that_they_have_left() {
    let [a, b] = &two(&[]).await;
    let old = Token::user("ann", &["a", "b"]).issued_before(Duration::from_mins(1));
    introduced(a, &old.called("Ann")).await;
    let ann = agent("ann");
    a.list("/notifications", &ann).await;
    eventually("her new teams are known", async || {
        let mut sql = a.database.connect().await;
        let known = "select count(*) from porchlight.memberships
            where user_id = 'ann' and teams = '{a}'";
        let known: i64 = sqlx::query_scalar(known).fetch_one(&mut sql).await.unwrap();
        (known == 1).then_some(())
    })
    .await;
    let of_team_b = |verb: &str| {
        let mut event = done("l-1", verb, "bob", "ann");
        event.audience = "team:b".parse().unwrap();
        event
    };
    let mut to_eve = done("l-3", "sold", "bob", "ann");
    to_eve.audience = "user:eve".parse().unwrap();
    // The last one tells that the others were read.
    let events = vec![of_team_b("sold"), to_eve, done("l-2", "sold", "bob", "ann")];
    happened(a, events).await;
    until_had(b, &ann, 1).await;
    let had = had(b, &ann).await;
    assert_eq!(had, ["recordChanged info bob sold listing l-2"]);
}

#[tokio::test]
async fn nobody_is_notified_of_what_goes_to_a_team_that_a_service_has_removed_them_from() {
    let [a, b] = &two(&[]).await;
    // Tokens of Cy tell no time: only what he asks for tells his teams.
    let tokens = [
        json!({"sub": "ann", "teams": ["a", "b"], "iat": 1_700_000_000}),
        json!({"sub": "cy", "teams": ["a", "b"]}),
    ];
    let tokens = tokens.map(|claims| honest(&claims));
    let list = async |token: &str| {
        let request = a.client.get(a.url("/notifications")).bearer_auth(token);
        assert_eq!(Answer::to(request).await.status, 200);
    };
    for token in &tokens {
        list(token).await;
    }
    let mut sql = a.database.connect().await;
    let known = "select count(*) from porchlight.memberships where teams = '{a,b}'";
    until_counted(&mut sql, known, 1).await;
    for user in ["ann", "cy"] {
        let what = json!({"user": user, "team": "b"});
        let answer = post(a, &admin(&[]), "/sessions/revoke", &what).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    list(&tokens[0]).await;
    let of_team_b = |owner: &str| {
        let mut event = done("l-1", "sold", "bob", owner);
        event.audience = "team:b".parse().unwrap();
        event
    };
    let of_team_a = |owner: &str| done("l-2", "sold", "bob", owner);
    let events = ["ann", "cy"].map(of_team_b).into_iter();
    let events = events.chain(["ann", "cy"].map(of_team_a)).collect();
    happened(a, events).await;
    // One of them each: all were read together.
    let told = "select count(*) from porchlight.notifications where record_id = 'l-2'";
    until_counted(&mut sql, told, 2).await;
    let told = "select count(*) from porchlight.notifications";
    until_counted(&mut sql, told, 2).await;
    // A token that was issued later says that Ann is back.
    let later = Clock::system().now().unix_timestamp() + 2;
    list(&honest(
        &json!({"sub": "ann", "teams": ["a", "b"], "iat": later}),
    ))
    .await;
    let known = "select count(*) from porchlight.memberships m join porchlight.revocations r
        on r.subject = m.user_id and r.issued_before < m.as_of";
    until_counted(&mut sql, known, 1).await;
    happened(b, vec![of_team_b("ann")]).await;
    until_counted(&mut sql, told, 3).await;
}

#[tokio::test]
async fn a_notification_names_a_record_as_its_reader_has_last_seen_it() {
    let [a, _] = &two(&[]).await;
    let (ann, bea) = (agent("ann"), Token::user("bea", &["b"]));
    for who in [&ann, &bea] {
        a.list("/notifications", who).await;
    }
    for (record, audience, address) in [
        ("l-1", json!({"team": "a"}), Some("7 Old Rd")),
        ("l-2", json!({"broker": true}), None),
    ] {
        let data = json!({"address": address});
        let known = json!({"type": "listing:created", "audience": audience, "module": "listings",
            "recordId": record, "data": data});
        a.publish(&known).await;
        let lock = json!({"module": "listings", "recordId": record, "session": "tab"});
        let locked = send(a, &ann, Method::POST, "/locks", &lock).await;
        assert_eq!(locked.status, 201, "{}", locked.text);
        let moved = json!({"type": "listing:updated", "audience": {"team": "b"},
            "module": "listings", "recordId": record, "data": {"address": "9 Secret Rd"}});
        a.publish(&moved).await;
        let boss = admin(&["b"]).called("The Boss");
        let path = format!("/locks/listings/{record}/takeover");
        let taken = send(a, &boss, Method::POST, &path, &json!({"session": "tab"})).await;
        assert_eq!(taken.status, 201, "{}", taken.text);
    }
    until_had(a, &ann, 2).await;
    assert_eq!(
        had(a, &ann).await,
        [
            "lockTakenOver warning Somebody took over your lock on listing l-2",
            "lockTakenOver warning Somebody took over your lock on 7 Old Rd",
        ]
    );
}

#[tokio::test]
async fn the_same_again_raises_the_count_until_it_is_read() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    // A list, so that numbers come from now on.
    b.list("/notifications", &ann).await;
    let mut stream = b.stream("/stream/user", &ann).await;
    let again = async |verb: &str| {
        happened(a, vec![done("l-1", verb, "bob", "ann")]).await;
        let event = stream.next_logged().await.json();
        let data = &event["data"];
        let of = |name: &str| data[name].clone();
        (of("id"), of("count"), of("title"), of("body"), of("unread"))
    };
    let mut again = again;
    let (id, count, ..) = again("archived").await;
    assert_eq!(count, 1);
    let newest = json!("The newest of 2 changes.");
    let title = json!("bob restored listing l-1");
    assert_eq!(
        again("restored").await,
        (id.clone(), json!(2), title, newest, json!(1))
    );
    post_notifications(a, &ann, &format!("/{id}/read"), Value::Null).await;
    let read = again("archived").await;
    assert_eq!(read.1, json!(null), "the event that it was read");
    let received = until_had(b, &ann, 2).await;
    assert_eq!(
        (&received[0]["count"], &received[0]["read"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(
        (&received[1]["count"], &received[1]["read"]),
        (&json!(2), &json!(true))
    );
    // After a while it is news again.
    let mut sql = a.database.connect().await;
    let older =
        "update porchlight.notifications set created_at = created_at - interval '11 minutes'";
    sqlx::query(older).execute(&mut sql).await.unwrap();
    happened(a, vec![done("l-1", "restored", "bob", "ann")]).await;
    assert_eq!(until_had(b, &ann, 3).await[0]["count"], 1);
}

#[tokio::test]
async fn a_change_of_five_hundred_records_is_one_notification() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    let many = |range: std::ops::Range<i32>, owner: &'static str| {
        range.map(move |n| done(&format!("l-{n}"), "archived", "bob", owner))
    };
    happened(
        a,
        many(0..500, "ann").chain(many(500..520, "eve")).collect(),
    )
    .await;
    let received = until_had(b, &ann, 1).await;
    assert_eq!(
        (received.len(), &received[0]["title"]),
        (1, &json!("bob changed 500 of your listings"))
    );
    assert_eq!(
        (&received[0]["count"], &received[0]["module"]),
        (&json!(500), &json!("listings"))
    );
    assert_eq!(received[0].get("recordId"), None);
    assert_eq!(until_had(b, &agent("eve"), 20).await.len(), 20);
    happened(a, many(0..30, "ann").collect()).await;
    let received = eventually("they are added up", async || {
        let received = until_had(b, &ann, 1).await;
        (received[0]["count"] == 530).then_some(received)
    })
    .await;
    assert_eq!(
        (received.len(), &received[0]["title"]),
        (1, &json!("bob changed 530 of your listings"))
    );
}

#[tokio::test]
async fn nobody_is_notified_of_kinds_that_they_have_turned_off() {
    let [a, b] = &two(&[]).await;
    let (ann, eve) = (agent("ann"), agent("eve"));
    let path = "/notifications/preferences";
    let all = json!({"taskEnded": true, "lockTakenOver": true, "lockRequested": true, "recordChanged": true});
    assert_eq!(a.list(path, &ann).await, all);
    let put = async |who: &Token, body: Value| send(a, who, Method::PUT, path, &body).await.json();
    let mut mine = all.clone();
    mine["recordChanged"] = json!(false);
    assert_eq!(put(&ann, json!({"recordChanged": false})).await, mine);
    mine["taskEnded"] = json!(false);
    assert_eq!(
        put(&ann, json!({"taskEnded": false, "lockRequested": true})).await,
        mine
    );
    assert_eq!(put(&ann, json!({})).await, mine);
    for who in [&eve, &ann.clone().of("c")] {
        assert_eq!(b.list(path, who).await, all, "{who:?}");
    }
    ended(
        a,
        "completed",
        "robot",
        json!({"taskId": "t", "title": "Import"}),
    )
    .await;
    happened(
        a,
        vec![
            done("l-1", "sold", "bob", "ann"),
            done("l-2", "sold", "bob", "eve"),
        ],
    )
    .await;
    until_had(b, &eve, 1).await;
    assert_eq!(had(b, &ann).await, [""; 0]);
    put(&ann, json!({"recordChanged": true})).await;
    happened(a, vec![done("l-3", "sold", "bob", "ann")]).await;
    until_had(b, &ann, 1).await;
    assert_eq!(
        had(b, &ann).await,
        ["recordChanged info bob sold listing l-3"]
    );
}

#[tokio::test]
async fn records_and_tasks_of_the_service_notify_as_any_others() {
    let [a, b] = &two(&[]).await;
    let (ann, bob) = (agent("ann"), agent("bob").called("Bob"));
    introduced(a, &bob).await;
    let fields = json!({"id": "l-1", "address": "12 Oak St", "listPrice": 400_000});
    let made = send(a, &ann, Method::POST, "/records/listings", &fields).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let request = b
        .client
        .patch(b.url("/records/listings/l-1"))
        .bearer_auth(bob.signed());
    let request = request
        .header("If-Match", "\"1\"")
        .json(&json!({"listPrice": 395_000}));
    let changed = crate::support::Answer::to(request).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let received = until_had(b, &ann, 1).await;
    let text = "Bob changed the list price of 12 Oak St from $400,000 to $395,000";
    assert_eq!(
        (&received[0]["title"], &received[0]["recordId"]),
        (&json!(text), &json!("l-1"))
    );
    let params = json!({"module": "escrows", "csv": "Address\n1 Oak St\n"});
    let task =
        json!({"type": "import_csv", "title": "Import escrows", "team": "a", "params": params});
    let made = send(a, &ann, Method::POST, "/tasks", &task).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let robot = agent("robot").in_role(porchlight::identity::Role::Worker);
    let claim = json!({"types": ["import_csv"], "leaseSeconds": 60});
    let claimed = send(b, &robot, Method::POST, "/tasks/claim", &claim)
        .await
        .json();
    let id = claimed["task"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{claimed}"));
    let done = json!({"fence": claimed["fence"], "result": {}});
    let done = send(
        b,
        &robot,
        Method::POST,
        &format!("/tasks/{id}/complete"),
        &done,
    )
    .await;
    assert_eq!(done.status, 200, "{}", done.text);
    until_had(b, &ann, 2).await;
    assert_eq!(
        had(a, &ann).await[0],
        "taskEnded success Import escrows is done"
    );
    for who in [&bob, &robot] {
        assert_eq!(had(a, who).await, [""; 0], "{who:?}");
    }
    let page = a.list("/activity", &ann).await;
    let texts = page["activity"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["text"].clone());
    let texts: Vec<_> = texts.collect();
    assert_eq!(
        texts,
        ["Import escrows is done", text, "ann created 12 Oak St"]
    );
}
