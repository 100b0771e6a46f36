//! Notifications: sent to a user, read on any device, and the same everywhere.

mod bad;
mod fold;
mod made;
mod once;

use porchlight::identity::Role;
use porchlight::log::NewEvent;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::instances::two;
use crate::support::people::{admin, agent};
use crate::support::requests::send;
use crate::support::{Answer, Service, Token, eventually};

/// `POST` to a path below `/notifications`.
async fn post_notifications(service: &Service, who: &Token, below: &str, body: Value) -> Answer {
    let path = format!("/notifications{below}");
    send(service, who, Method::POST, &path, &body).await
}

/// Posts a notification, which must be accepted, and gives its id.
async fn notify(service: &Service, who: &Token, audience: Value, title: &str) -> i64 {
    let body = json!({"audience": audience, "level": "info", "title": title});
    let answer = post_notifications(service, who, "", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["id"].as_i64().expect("an id")
}

/// The notifications of a user, in short: `taskEnded success Import escrows is done`.
async fn had(service: &Service, who: &Token) -> Vec<String> {
    let listed = service.list("/notifications", who).await;
    let notifications = listed["notifications"].as_array().expect("a list").iter();
    let in_short = |one: &Value| {
        let word = |name: &str| one[name].as_str().unwrap_or("-").to_owned();
        [word("kind"), word("level"), word("title")].join(" ")
    };
    notifications.map(in_short).collect()
}

/// Waits until somebody has so many, and gives them, the newest first.
async fn until_had(service: &Service, who: &Token, count: usize) -> Vec<Value> {
    eventually(&format!("{} has {count}", who.user), async || {
        let listed = service.list("/notifications?limit=200", who).await;
        let notifications = listed["notifications"].as_array().expect("a list");
        (notifications.len() >= count).then(|| notifications.clone())
    })
    .await
}

/// An event that somebody did this to somebody's listing.
fn done(record: &str, verb: &str, by: &str, owner: &str) -> NewEvent {
    let event_type = format!("listing:{verb}").parse().expect("a type");
    let mut event = NewEvent::new("team:a".parse().expect("an audience"), event_type);
    event.record = Some((
        "listings".parse().expect("a module"),
        Some(record.parse().expect("an id")),
    ));
    event.user = Some(by.parse().expect("an id"));
    event.owner = Some(owner.parse().expect("an id"));
    event
}

#[tokio::test]
async fn a_notification_reaches_every_device_and_one_of_them_reads_it() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    // The number comes to users that have asked for it before.
    assert_eq!(a.list("/notifications", &ann).await["unread"], 0);
    let mut devices = [
        a.stream("/stream", &ann).await,
        b.stream("/stream/user", &ann).await,
    ];
    let body = json!({"audience": {"user": "ann"}, "level": "warning", "title": "The inspection is due",
        "body": "By Friday.", "module": "listings", "recordId": "l-1"});
    let answer = post_notifications(a, &Token::service("b"), "", body.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let mut received = answer.json();
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(received[field], *value, "{field}");
    }
    assert_eq!(
        (&received["userId"], &received["count"]),
        (&json!("svc"), &json!(1))
    );
    for device in &mut devices {
        let event = device.next_logged().await;
        assert_eq!(event.name, "notification:warning");
        let mut event = event.json();
        // A notification about a record gives no right to see it.
        assert_eq!(
            (&event["module"], &event["recordId"]),
            (&json!(null), &json!(null))
        );
        let data = event["data"].as_object_mut().unwrap();
        assert_eq!(data.remove("unread"), Some(json!(1)));
        assert_eq!(event["data"], received);
    }
    received["read"] = json!(false);
    let listed = b.list("/notifications", &ann).await;
    assert_eq!(
        listed,
        json!({"notifications": [received], "unread": 1, "next": null})
    );
    let read = format!("/{}/read", received["id"]);
    let mut made = Vec::new();
    for _ in 0..2 {
        let answer = post_notifications(b, &ann, &read, Value::Null).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"unread": 0})));
        made.push(answer.header("stream-position").to_owned());
    }
    for device in &mut devices {
        let event = device.next_logged().await;
        assert_eq!(event.name, "notification:read");
        // The first one made this event, and the second one made none.
        assert_eq!(made, [&event.id[..], ""]);
        assert_eq!(
            event.json()["data"],
            json!({"ids": [received["id"]], "unread": 0})
        );
    }
    let listed = a.list("/notifications", &ann).await;
    assert_eq!(
        (&listed["unread"], &listed["notifications"][0]["read"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(
        a.list("/notifications?unread=true", &ann).await["notifications"],
        json!([])
    );
    // What changes nothing is not published.
    post_notifications(a, &ann, "/read-all", json!({})).await;
    self::notify(a, &admin(&["a"]), json!({"user": "ann"}), "Another").await;
    for device in &mut devices {
        assert_eq!(device.next_logged().await.name, "notification:info");
    }
}

#[tokio::test]
async fn a_user_who_has_only_opened_a_stream_receives_the_number_of_unread_notifications() {
    let [a, b] = &two(&[]).await;
    notify(a, &admin(&["a"]), json!({"team": "a"}), "To the team").await;
    let mut device = b.stream("/stream/user", &agent("bob")).await;
    eventually("it is known that he has come", async || {
        let mut sql = a.database.connect().await;
        let query = "select count(*) from porchlight.notification_marks
            where user_id = 'bob' and teams is not null";
        let known = sqlx::query_scalar::<_, i64>(query).fetch_one(&mut sql);
        (known.await.unwrap() == 1).then_some(())
    })
    .await;
    notify(a, &admin(&["a"]), json!({"user": "bob"}), "To him").await;
    let event = device.next_logged().await.json();
    let unread = b.list("/notifications", &agent("bob")).await["unread"].clone();
    assert_eq!((&event["data"]["unread"], unread), (&json!(2), json!(2)));
}

#[tokio::test]
async fn what_is_read_by_one_is_unread_by_others_and_reading_all_is_up_to_a_place() {
    let [a, b] = &two(&[]).await;
    let (ann, bob, boss) = (agent("ann"), agent("bob"), admin(&["a"]));
    let mut ids = Vec::new();
    for (n, audience) in [
        json!({"team": "a"}),
        json!({"broker": true}),
        json!({"user": "ann"}),
    ]
    .into_iter()
    .cycle()
    .take(6)
    .enumerate()
    {
        ids.push(notify(a, &boss, audience, &format!("n{n}")).await);
    }
    assert!(ids.is_sorted(), "{ids:?}");
    let unread = async |who: &Token| b.list("/notifications", who).await["unread"].clone();
    assert_eq!(
        (unread(&ann).await, unread(&bob).await),
        (json!(6), json!(4))
    );
    let answer = post_notifications(b, &ann, "/read-all", json!({"upTo": ids[3]})).await;
    assert_eq!(answer.json(), json!({"unread": 2}));
    assert_eq!(
        (unread(&ann).await, unread(&bob).await),
        (json!(2), json!(4))
    );
    // Read twice, read in any order, and read beyond the end.
    for (below, left) in [
        (format!("/{}/read", ids[0]), 2),
        (format!("/{}/read", ids[5]), 1),
        (format!("/{}/read", ids[5]), 1),
    ] {
        let answer = post_notifications(a, &ann, &below, json!({})).await;
        assert_eq!(answer.json(), json!({"unread": left}), "{below}");
    }
    let unread_ones = b.list("/notifications?unread=true", &ann).await;
    assert_eq!(unread_ones["notifications"][0]["id"], ids[4]);
    let answer = post_notifications(b, &ann, "/read-all", json!({"upTo": i64::MAX})).await;
    assert_eq!(answer.json(), json!({"unread": 0}));
    // What comes later is not read by it.
    notify(b, &boss, json!({"broker": true}), "later").await;
    assert_eq!(
        (unread(&ann).await, unread(&bob).await),
        (json!(1), json!(5))
    );
}

#[tokio::test]
async fn pages_have_all_of_them_once_from_new_to_old() {
    let service = Service::start().await;
    let ann = agent("ann");
    let mut ids = Vec::new();
    for n in 0..11 {
        let audience = [json!({"team": "a"}), json!({"broker": true})][n % 2].clone();
        ids.push(notify(&service, &admin(&["a"]), audience, &format!("n{n}")).await);
    }
    ids.reverse();
    let (mut seen, mut query) = (Vec::new(), "limit=4".to_owned());
    loop {
        let page = service.list(&format!("/notifications?{query}"), &ann).await;
        let page_ids = page["notifications"].as_array().unwrap().iter();
        seen.extend(page_ids.map(|one| one["id"].as_i64().unwrap()));
        // Those that come meanwhile move nothing.
        notify(&service, &admin(&["a"]), json!({"broker": true}), "new").await;
        let Some(next) = page["next"].as_str() else {
            break;
        };
        query = format!("limit=4&cursor={next}");
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn agents_notify_themselves_and_their_teams_and_only_admins_and_services_others() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    let worker = agent("robot").in_role(Role::Worker);
    let service = Token::service("b");
    let audiences = || {
        [
            json!({"user": "ann"}),
            json!({"team": "a"}),
            json!({"user": "bob"}),
            json!({"team": "z"}),
            json!({"broker": true}),
        ]
    };
    for (who, may) in [
        (&ann, [true, true, false, false, false]),
        (&worker, [false, true, false, false, false]),
        (&service, [true; 5]),
        (&admin(&["a"]), [true; 5]),
    ] {
        for (audience, may) in audiences().into_iter().zip(may) {
            let body = json!({"audience": audience, "level": "info", "title": "t"});
            let answer = post_notifications(a, who, "", body).await;
            if may {
                assert_eq!(answer.status, 201, "{who:?} {audience}");
            } else {
                let field = answer.refused(403, "audience_refused", &format!("{who:?} {audience}"));
                assert_eq!(field.as_deref(), Some("audience"));
            }
        }
    }
    let mut stream = b.stream("/stream", &ann).await;
    for notice in ["maintenance", "broadcast"] {
        let body = json!({"audience": {"broker": true}, "level": "warning", "system": notice,
            "title": "Closed on Sunday"});
        post_notifications(b, &ann, "", body.clone())
            .await
            .refused(403, "role_needed", notice);
        post_notifications(b, &worker, "", body.clone())
            .await
            .refused(403, "role_needed", notice);
        assert_eq!(
            post_notifications(b, &admin(&["a"]), "", body).await.status,
            201
        );
        let event = stream.next_logged().await;
        assert_eq!(event.name, format!("system:{notice}"));
        let kept = a.list("/notifications?limit=1", &ann).await;
        assert_eq!(kept["notifications"][0]["system"], notice);
        assert_eq!(kept["notifications"][0]["id"], event.json()["data"]["id"]);
    }
}

#[tokio::test]
async fn nobody_learns_of_notifications_for_others() {
    let [a, b] = &two(&[]).await;
    let (ann, boss) = (agent("ann"), admin(&["a"]));
    let other_team = Token::user("bea", &["b"]);
    let elsewhere = [ann.clone().of("c"), boss.clone().of("c")];
    let id = notify(a, &boss, json!({"user": "ann"}), "a secret").await;
    let of_team = notify(a, &boss, json!({"team": "a"}), "a secret of the team").await;
    let everybody = [
        &other_team,
        &elsewhere[0],
        &elsewhere[1],
        &Token::user("cid", &[]),
    ];
    for who in everybody {
        let listed = b.list("/notifications", who).await;
        assert_eq!(
            (&listed["unread"], &listed["notifications"]),
            (&json!(0), &json!([])),
            "{who:?}"
        );
        for id in [id, of_team, 999] {
            let answer = post_notifications(b, who, &format!("/{id}/read"), Value::Null).await;
            let field = answer.refused(404, "unknown_notification", "another's");
            assert_eq!(field.as_deref(), Some("id"));
            assert!(!answer.text.contains("secret"));
        }
        assert_eq!(
            post_notifications(b, who, "/read-all", json!({}))
                .await
                .json(),
            json!({"unread": 0})
        );
        let events = b.list("/events?types=notification:*", who).await;
        assert_eq!(events["events"], json!([]), "{who:?}");
    }
    // An admin is not everybody.
    post_notifications(b, &boss, &format!("/{id}/read"), Value::Null)
        .await
        .refused(404, "unknown_notification", "");
    assert_eq!(b.list("/notifications", &ann).await["unread"], 2);
    // A notification about a record shows nobody more of it.
    let locked = json!({"module": "escrows", "recordId": "e-b", "session": "tab"});
    let known = json!({"type": "escrow:updated", "audience": {"team": "b"}, "module": "escrows",
        "recordId": "e-b"});
    a.publish(&known).await;
    let link = json!({"audience": {"broker": true}, "level": "info", "title": "t", "module": "escrows",
        "recordId": "e-b"});
    assert_eq!(post_notifications(a, &boss, "", link).await.status, 201);
    let answer = send(a, &ann, Method::POST, "/locks", &locked).await;
    answer.refused(404, "unknown_record", "a record of another team");
}

#[tokio::test]
async fn a_retry_with_the_same_key_notifies_nobody_twice() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    let keyed = async |service: &Service, title: &str| {
        let body = json!({"audience": {"user": "ann"}, "level": "info", "title": title});
        let request = service
            .client
            .post(service.url("/notifications"))
            .bearer_auth(ann.signed());
        Answer::to(request.header("Idempotency-Key", "k-1").json(&body)).await
    };
    let (first, again) = tokio::join!(keyed(a, "once"), keyed(b, "once"));
    assert_eq!(
        (first.status, again.status),
        (201, 201),
        "{} {}",
        first.text,
        again.text
    );
    assert_eq!(first.json(), again.json());
    let replayed = [first, again, keyed(a, "once").await];
    let replayed = replayed
        .iter()
        .filter(|a| a.header("idempotency-replayed") == "true");
    assert_eq!(replayed.count(), 2);
    let other = keyed(b, "other").await;
    let field = other.refused(409, "idempotency_key_reused", "another body");
    assert_eq!(field.as_deref(), Some("Idempotency-Key"));
    assert_eq!(had(a, &ann).await, ["- info once"]);
    // A publisher's key is its own.
    let event = json!({"audience": {"user": "ann"}, "level": "info", "title": "once"});
    let request = a
        .client
        .post(a.url("/events"))
        .bearer_auth(Token::service("b").signed());
    let answer = Answer::to(request.header("Idempotency-Key", "k-1").json(&event)).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn old_notifications_go_read_or_not() {
    let service =
        Service::with(&["--retention-interval-seconds=1", "--notification-days=10"]).await;
    let ann = agent("ann");
    let old = notify(&service, &admin(&["a"]), json!({"user": "ann"}), "old").await;
    notify(&service, &admin(&["a"]), json!({"user": "ann"}), "old too").await;
    post_notifications(&service, &ann, &format!("/{old}/read"), Value::Null).await;
    notify(&service, &admin(&["a"]), json!({"user": "ann"}), "young").await;
    let mut sql = service.database.connect().await;
    let age = "update porchlight.notifications set created_at = now() - case
        when title like 'old%' then interval '11 days' else interval '9 days' end";
    sqlx::query(age).execute(&mut sql).await.unwrap();
    eventually("only the young one is left", async || {
        (had(&service, &ann).await == ["- info young"]).then_some(())
    })
    .await;
    assert_eq!(service.list("/notifications", &ann).await["unread"], 1);
}
