//! User ids as identity providers choose them: whatever stands in them, each is one user.

mod elsewhere;

use porchlight::identity::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::forge::honest;
use crate::support::instances::two;
use crate::support::people::{agent, worker};
use crate::support::requests::posted;
use crate::support::{Answer, Service, Token, eventually};

/// Ids with everything in them that separates things elsewhere, and ids that look like something
/// else: an audience, a record, a pattern, markup.
const USERS: [&str; 16] = [
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "google-oauth2|1",
    "ann@example.com",
    "a:b",
    "u/x",
    r#""q'\"#,
    "CN=Ann Lee,O=Oak",
    "50%2F%|_*",
    "a&b=c+d#e?f",
    "<b>&amp;${x}</b>",
    "team:a",
    "user:a",
    "broker",
    "workers",
    "many",
    "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~|~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~:~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~/~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~",
];

/// Invalid user ids.
fn no_users() -> [String; 8] {
    [
        "",
        " ",
        " a",
        "a ",
        "é",
        "a\tb",
        "a\u{7f}",
        &"x".repeat(129),
    ]
    .map(ToOwned::to_owned)
}

/// A list with these parameters, which are written as clients write them.
async fn list(service: &Service, who: &Token, path: &str, query: &[(&str, &str)]) -> Value {
    let answer = Answer::to(service.get(path, who).query(query)).await;
    assert_eq!(answer.status, 200, "{path} {query:?}: {}", answer.text);
    answer.json()
}

#[tokio::test]
async fn every_user_receives_what_is_theirs_and_nothing_else() {
    assert_eq!(USERS[15].len(), 128);
    let [a, b] = &two(&[]).await;
    let mut streams = Vec::new();
    for user in USERS {
        let mut stream = b.stream("/stream/user", &agent(user)).await;
        let ready = stream.next().await.json();
        assert_eq!(ready["scopes"]["user"], user);
        streams.push(stream);
    }
    let event =
        |user: &str| json!({"type": "test:for", "audience": {"user": user}, "userId": user});
    let events: Vec<_> = USERS.iter().map(|user| event(user)).collect();
    let marker = json!({"type": "test:end", "audience": {"user": "nobody"}});
    a.publish(&json!({"events": events})).await;
    a.publish(&marker).await;
    for (user, stream) in USERS.iter().zip(&mut streams) {
        let received = stream.next_logged().await.json();
        assert_eq!(
            (&received["type"], &received["userId"]),
            (&json!("test:for"), &json!(user))
        );
        // From the table, too, and from memory.
        for service in [a, b] {
            let page = list(service, &agent(user), "/events", &[("scope", "user")]).await;
            assert_eq!(page["events"].as_array().unwrap().len(), 1, "{user}");
            assert_eq!(page["events"][0]["userId"], *user);
        }
        let mut again = a.stream("/stream/user?since=0", &agent(user)).await;
        assert_eq!(again.next_logged().await.json(), received);
    }
    // Members of team `a` do not receive what is for the user `team:a`.
    let page = list(a, &agent("eve"), "/events", &[]).await;
    assert_eq!(page["events"], json!([]));
}

#[tokio::test]
async fn locks_presence_and_signals_name_their_user() {
    let [a, b] = &two(&["--streams-per-user=50"]).await;
    let eve = agent("eve");
    let mut seen = b.stream("/stream/team", &eve).await;
    for (n, user) in USERS.iter().enumerate() {
        let (who, record) = (agent(user), format!("e-{n}"));
        let place = json!({"module": "escrows", "recordId": record});
        let body = json!({"module": "escrows", "recordId": record, "session": "tab"});
        let lock = posted(a, &who, "/locks", &body).await;
        assert_eq!(lock["holder"]["userId"], *user);
        let lock = list(
            b,
            &eve,
            "/locks",
            &[("record", &format!("escrows/{record}"))],
        )
        .await;
        assert_eq!(lock["locks"][0]["holder"]["userId"], *user);
        // A colleague with such an id asks for it: the holder learns it.
        let asked_for = "/stream/user?types=escrow:lock_requested";
        let mut holder = b.stream(asked_for, &who).await;
        let asking = agent(USERS[(n + 1) % USERS.len()]);
        posted(
            a,
            &asking,
            &format!("/locks/escrows/{record}/request"),
            &json!({}),
        )
        .await;
        let received = holder.next_logged().await.json();
        assert_eq!(
            (&received["type"], &received["userId"]),
            (&json!("escrow:lock_requested"), &json!(asking.user))
        );
        let renew = format!("/locks/escrows/{record}/renew");
        let renewed = posted(b, &who, &renew, &json!({"session": "tab"})).await;
        assert_eq!(renewed["holder"]["userId"], *user);

        posted(
            a,
            &who,
            "/presence/heartbeat",
            &json!({"session": "tab", "editing": place}),
        )
        .await;
        let at_record = format!("escrows/{record}");
        eventually("they are seen at the other instance", async || {
            let people = list(b, &eve, "/presence", &[("record", &at_record)]).await;
            (people["users"][0]["userId"] == *user).then_some(())
        })
        .await;

        posted(a, &who, "/signals", &json!({"name": "typing", "team": "a"})).await;
        loop {
            let message = seen.next_of_all().await;
            if message.name == "user:typing" {
                assert_eq!(message.json()["userId"], *user);
                break;
            }
        }
        let released = a
            .client
            .delete(a.url(&format!("/locks/escrows/{record}?session=tab")));
        assert_eq!(
            Answer::to(released.bearer_auth(who.signed())).await.status,
            204
        );
    }
    let people = list(b, &eve, "/presence", &[]).await;
    let here: Vec<_> = people["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["userId"])
        .collect();
    for user in USERS {
        assert_eq!(
            here.iter().filter(|id| **id == user).count(),
            1,
            "{user}: {here:?}"
        );
    }
}

#[tokio::test]
async fn tasks_and_notifications_belong_to_their_user() {
    let [a, b] = &two(&[]).await;
    let admin = agent("boss").in_role(Role::Admin);
    for (n, user) in USERS.iter().enumerate() {
        let (who, by) = (agent(user), worker(USERS[(n + 1) % USERS.len()]));
        let task = posted(a, &who, "/tasks", &json!({"type": "sum"})).await;
        assert_eq!(task["userId"], *user);
        let claimed = posted(b, &by, "/tasks/claim", &json!({"types": ["sum"]})).await;
        let path = format!("/tasks/{}/complete", task["id"].as_str().unwrap());
        posted(
            a,
            &by,
            &path,
            &json!({"fence": claimed["fence"], "result": {}}),
        )
        .await;
        // An admin sees all tasks, and asks for those of one.
        let tasks = list(b, &admin, "/tasks", &[("user", user)]).await;
        assert_eq!(tasks["tasks"].as_array().unwrap().len(), 1, "{user}");
        assert_eq!(tasks["tasks"][0]["id"], task["id"]);
        eventually("the user is notified of the end of the task", async || {
            let had = list(b, &who, "/notifications", &[]).await;
            (had["unread"] == 1).then_some(())
        })
        .await;
        let body = json!({"audience": {"user": user}, "level": "info", "title": "t"});
        let made = posted(a, &admin, "/notifications", &body).await;
        assert_eq!(made["audience"], json!({"user": user}));
        let read = posted(
            b,
            &who,
            &format!("/notifications/{}/read", made["id"]),
            &json!({}),
        )
        .await;
        assert_eq!(read["unread"], 1);
    }
    for user in USERS {
        let had = list(a, &agent(user), "/notifications", &[]).await;
        assert_eq!(had["notifications"].as_array().unwrap().len(), 2, "{user}");
    }
}

#[tokio::test]
async fn what_is_no_user_is_refused_wherever_one_is_named() {
    let service = Service::start().await;
    let (svc, admin) = (Token::service("b"), agent("boss").in_role(Role::Admin));
    for bad in no_users() {
        let request = service.client.get(service.url("/events"));
        let answer = Answer::to(request.bearer_auth(honest(&json!({"sub": bad})))).await;
        let field = answer.refused(401, "token_claim_invalid", &bad);
        assert_eq!(field.as_deref(), Some("sub"));
        assert!(
            answer.text.contains("128 printable ASCII"),
            "{}",
            answer.text
        );
        for (who, path, body, field) in [
            (
                &svc,
                "/events",
                json!({"type": "t", "audience": {"user": bad}}),
                "audience.user",
            ),
            (
                &svc,
                "/events",
                json!({"type": "t", "audience": {"team": "a"}, "userId": bad}),
                "userId",
            ),
            (
                &admin,
                "/notifications",
                json!({"audience": {"user": bad}, "level": "info", "title": "t"}),
                "audience.user",
            ),
            (
                &admin,
                "/records/escrows",
                json!({"address": "1 Oak St", "ownerId": bad}),
                "ownerId",
            ),
        ] {
            // A record without a word for its owner has none.
            if bad.is_empty() && field == "ownerId" {
                continue;
            }
            let request = service.client.request(Method::POST, service.url(path));
            let answer = Answer::to(request.bearer_auth(who.signed()).json(&body)).await;
            assert_eq!(answer.status, 400, "{path} {bad:?}: {}", answer.text);
            assert!(
                answer.text.contains(field),
                "{path} {bad:?}: {}",
                answer.text
            );
        }
        for (path, name) in [
            ("/tasks", "user"),
            ("/activity", "user"),
            ("/records/escrows", "owner"),
        ] {
            let answer = Answer::to(service.get(path, &admin).query(&[(name, &bad)])).await;
            let field = answer.refused(400, "invalid_parameter", &format!("{path} {bad:?}"));
            assert_eq!(field.as_deref(), Some(name), "{path}");
        }
    }
}
