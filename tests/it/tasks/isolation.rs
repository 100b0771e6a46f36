//! Nobody sees or changes tasks that are not theirs.

use serde_json::json;

use super::{QUICK, admin, ann, claim, create, get, id, post, say, task, two, worker};
use crate::support::{Answer, Token};

#[tokio::test]
async fn a_foreign_task_is_the_same_as_none() {
    let [a, b] = &two(QUICK).await;
    let id = task(a, &ann()).await;
    let elsewhere = admin(&[]).of("c");
    for stranger in [
        Token::user("bob", &["a"]),
        ann().of("c"),
        elsewhere,
        worker("ann").of("c"),
    ] {
        let who = format!("{stranger:?}");
        let found = Answer::to(b.get(&format!("/tasks/{id}"), &stranger)).await;
        found.refused(404, "unknown_task", &who);
        let output = Answer::to(b.get(&format!("/tasks/{id}/output"), &stranger)).await;
        output.refused(404, "unknown_task", &who);
        for what in ["cancel", "retry"] {
            let path = format!("/tasks/{id}/{what}");
            post(a, &stranger, &path, &json!({}))
                .await
                .refused(404, "unknown_task", &who);
        }
        let body = json!({"type": "import", "parent": id});
        if stranger.role == porchlight::identity::Role::Agent {
            let parent = post(a, &stranger, "/tasks", &body).await;
            let field = parent.refused(404, "unknown_task", &who);
            assert_eq!(field.as_deref(), Some("parent"));
        }
        let tasks = b.list("/tasks", &stranger).await;
        assert_eq!(tasks["tasks"], json!([]), "{who}");
    }
    let foreign = worker("wes").of("c");
    let none = post(b, &foreign, "/tasks/claim", &json!({"types": ["import"]})).await;
    assert_eq!(none.status, 204);
    claim(a, &worker("wes")).await;
    let report = say(b, &foreign, &id, "progress", json!({"fence": 1})).await;
    report.refused(404, "unknown_task", "another broker's worker");
    let thief = say(b, &worker("max"), &id, "complete", json!({"fence": 1})).await;
    thief.refused(409, "lease_lost", "a guessed fence");
    assert_eq!(get(a, &admin(&[]), &id).await["state"], "running");
}

#[tokio::test]
async fn the_tasks_team_may_read_it_and_an_admin_may_end_it() {
    let [a, b] = &two(QUICK).await;
    let made = create(a, &ann(), json!({"type": "import", "team": "a"})).await;
    let id = id(&made);
    let bob = Token::user("bob", &["a"]);
    assert_eq!(get(b, &bob, &id).await["state"], "queued");
    assert_eq!(b.list("/tasks", &bob).await["tasks"][0]["id"], json!(id));
    for what in ["cancel", "retry"] {
        let refused = post(b, &bob, &format!("/tasks/{id}/{what}"), &json!({})).await;
        refused.refused(403, "not_your_task", what);
    }
    assert_eq!(
        b.list("/tasks?user=ann", &admin(&[])).await["tasks"][0]["id"],
        json!(id)
    );
    let ended = post(a, &admin(&[]), &format!("/tasks/{id}/cancel"), &json!({})).await;
    assert_eq!(ended.json()["state"], "cancelled");
    let refused = post(a, &admin(&[]), &format!("/tasks/{id}/retry"), &json!({})).await;
    refused.refused(403, "not_your_task", "an admin retries");
    let other = json!({"type": "import", "team": "z"});
    let refused = post(a, &ann(), "/tasks", &other).await;
    refused.refused(404, "unknown_team", "a foreign team");
}

#[tokio::test]
async fn workers_and_users_have_endpoints_of_their_own() {
    let [a, _] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let id = task(a, &ann).await;
    let made = post(a, &wes, "/tasks", &json!({"type": "import"})).await;
    made.refused(403, "role_needed", "a worker asks for work");
    let claims = post(a, &ann, "/tasks/claim", &json!({"types": ["import"]})).await;
    claims.refused(403, "role_needed", "a user claims");
    let bodies = [
        ("progress", json!({"fence": 1})),
        ("complete", json!({"fence": 1})),
        (
            "fail",
            json!({"fence": 1, "error": {"code": "x", "message": "x"}}),
        ),
        ("cancelled", json!({"fence": 1})),
        ("output", json!({"fence": 1, "offset": 0, "text": "x"})),
    ];
    for (what, body) in bodies {
        say(a, &ann, &id, what, body)
            .await
            .refused(403, "role_needed", what);
    }
    for who in [&ann, &admin(&[]), &Token::service("b")] {
        let stream = Answer::to(a.get("/stream/worker", who)).await;
        stream.refused(403, "role_needed", "a stream of workers");
        let page = Answer::to(a.get("/events?scope=worker", who)).await;
        page.refused(403, "role_needed", "a page of workers");
    }
    // Nobody else can publish to workers, nor read what is published to them.
    for audience in [
        json!({"workers": true}),
        json!({"broker": true}),
        json!({"user": "wes"}),
    ] {
        let forged = json!({"type": "ai:task:available", "audience": audience});
        assert_eq!(a.post("b", &forged).await.status, 400);
    }
    let events = a.list("/events?scope=all", &ann).await;
    let events = events["events"].as_array().unwrap();
    assert!(
        events
            .iter()
            .all(|event| event["type"] != "ai:task:available"),
        "{events:?}"
    );
    let offers = a.list("/events?scope=worker", &wes).await;
    assert_eq!(offers["events"][0]["data"]["taskId"], json!(id));
}

#[tokio::test]
async fn a_retry_goes_to_no_team_that_its_user_has_left() {
    let [a, b] = &two(QUICK).await;
    let ann = Token::user("ann", &["a", "b"]);
    let step = json!({"type": "import"});
    let mut made = Vec::new();
    for body in [
        json!({"type": "import", "team": "b"}),
        json!({"type": "flow", "team": "b", "children": [step]}),
    ] {
        let task = id(&create(a, &ann, body).await);
        post(a, &ann, &format!("/tasks/{task}/cancel"), &json!({})).await;
        made.push(task);
    }
    let left = Token::user("ann", &["a"]);
    let body = json!({"type": "import", "team": "b"});
    let created = post(b, &left, "/tasks", &body).await;
    created.refused(404, "unknown_team", "a new task");
    for task in &made {
        let path = format!("/tasks/{task}/retry");
        let again = post(b, &left, &path, &json!({})).await;
        again.refused(404, "unknown_team", "a retry");
    }
    // Nothing has happened to the tasks. Back on the team, they are retried.
    for task in &made {
        let path = format!("/tasks/{task}/retry");
        assert_eq!(post(b, &ann, &path, &json!({})).await.status, 201);
    }
}

#[tokio::test]
async fn a_retry_is_published_to_the_same_team() {
    let [a, b] = &two(QUICK).await;
    let (ann, bob) = (ann(), Token::user("bob", &["a"]));
    let step = json!({"type": "import"});
    for body in [
        json!({"type": "import", "team": "a"}),
        json!({"type": "flow", "team": "a", "children": [step]}),
    ] {
        let made = id(&create(a, &ann, body).await);
        post(a, &ann, &format!("/tasks/{made}/cancel"), &json!({})).await;
        let mut team = b.stream("/stream/team?types=ai:task:queued", &bob).await;
        team.next().await;
        let again = post(a, &ann, &format!("/tasks/{made}/retry"), &json!({})).await;
        assert_eq!(again.status, 201, "{}", again.text);
        let again = id(&again.json());
        // Events of the first tasks may come to this instance after the stream has begun.
        while team.next_logged().await.json()["data"]["taskId"] != json!(again) {}
        assert_eq!(get(b, &bob, &again).await["teamId"], "a");
    }
}
