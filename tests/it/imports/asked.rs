//! Imports that cannot be done are refused when they are asked for, not failed later.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use super::{WORKING, ann, ask, count, database, ended, failure, post, refused, upload};
use crate::support::worker::Worker;
use crate::support::{Answer, Service, Token};

const TASKS: &str = "select count(*) from porchlight.tasks";

/// Parameters with one fault each: the field, the reason, and a word of the sentence.
fn faults() -> Vec<(Value, &'static str, &'static str, &'static str)> {
    let with = |name: &str, value: Value| {
        let mut params = json!({"module": "leads", "csv": "Name\nx"});
        params[name] = value;
        params
    };
    let upload = |params: &mut Value| params["upload"] = json!("nothing");
    let (mut both, mut unknown) = (with("mode", json!("keep")), json!({"module": "leads"}));
    upload(&mut both);
    upload(&mut unknown);
    vec![
        (json!([]), "params", "invalid_params", "object"),
        (json!("csv"), "params", "invalid_params", "object"),
        (
            json!(["leads", null, "Name\nx"]),
            "params",
            "invalid_params",
            "object",
        ),
        (json!({}), "params.module", "invalid_params", "module"),
        (
            json!({"csv": "Name\nx"}),
            "params.module",
            "invalid_params",
            "module",
        ),
        (
            json!({"module": "leads"}),
            "params.upload",
            "invalid_params",
            "upload or csv",
        ),
        (both, "params.upload", "invalid_params", "upload or csv"),
        (unknown, "params.upload", "no_such_upload", "nothing"),
        (
            with("upload", json!("a/b")),
            "params.upload",
            "invalid_params",
            "characters",
        ),
        (
            with("module", json!("cars")),
            "params.module",
            "no_such_module",
            "listings",
        ),
        (
            with("module", json!("a/b")),
            "params.module",
            "no_such_module",
            "listings",
        ),
        (
            with("more", json!(1)),
            "params.more",
            "invalid_params",
            "more",
        ),
        (
            with("mode", json!("some")),
            "params.mode",
            "invalid_params",
            "some",
        ),
        (
            with("encoding", json!("utf-16")),
            "params.encoding",
            "invalid_params",
            "utf-16",
        ),
        (
            with("delimiter", json!("ab")),
            "params.delimiter",
            "invalid_params",
            "delimiter",
        ),
        (
            with("teamId", json!("z")),
            "params.teamId",
            "not_your_team",
            "z",
        ),
        (
            with("mapping", json!({"Name": 5})),
            "params.mapping.Name",
            "invalid_params",
            "string",
        ),
        (
            with("mapping", json!({"Name": "nom"})),
            "params.mapping",
            "unknown_column",
            "nom",
        ),
        (
            with("onlyColumns", json!("Name")),
            "params.onlyColumns",
            "invalid_params",
            "sequence",
        ),
    ]
}

#[tokio::test]
async fn what_cannot_be_imported_is_refused_by_name_and_no_task_is_made() {
    let service = Service::start().await;
    for (params, field, reason, word) in faults() {
        let what = params.to_string();
        let (found, why, detail) = refused(&service, &ann(), params).await;
        assert_eq!((&*found, &*why), (field, reason), "{what}");
        assert!(detail.contains(word), "{what}: {detail}");
    }
    let none = json!({"type": "import_csv"});
    let sent = post(&service, &ann(), "/tasks", &none).await;
    let field = sent.refused(400, "invalid_params", "no parameters");
    assert_eq!(field.as_deref(), Some("params.module"));
    let long = json!({"module": "m".repeat(100_000), "csv": ""});
    let (_, reason, detail) = refused(&service, &ann(), long).await;
    assert!(reason == "no_such_module" && detail.len() < 2_000);
    let mut sql = service.database.connect().await;
    assert_eq!(count(&mut sql, TASKS).await, 0);
    assert_eq!(
        count(&mut sql, "select count(*) from porchlight.events").await,
        0
    );
}

#[tokio::test]
async fn a_step_of_a_workflow_is_refused_by_its_place() {
    let service = Service::start().await;
    let ann = ann();
    let step =
        |module: &str| json!({"type": "import_csv", "params": {"module": module, "csv": ""}});
    let other = json!({"type": "other", "params": {"module": "cars"}});
    let flow = |steps: Value| json!({"type": "import_csv", "children": steps});
    let bad = flow(json!([step("leads"), other, step("cars")]));
    let sent = post(&service, &ann, "/tasks", &bad).await;
    let field = sent.refused(400, "invalid_params", "the last step");
    assert_eq!(field.as_deref(), Some("children[2].params.module"));
    assert_eq!(sent.json()["reason"], "no_such_module");
    let mut sql = service.database.connect().await;
    assert_eq!(count(&mut sql, TASKS).await, 0);
    let good = flow(json!([step("leads"), other]));
    let made = post(&service, &ann, "/tasks", &good).await;
    assert_eq!(made.status, 201, "{}", made.text);
    // One that is added later.
    let mut late = step("cars");
    late["parent"] = made.json()["id"].clone();
    let sent = post(&service, &ann, "/tasks", &late).await;
    let field = sent.refused(400, "invalid_params", "a step that is added");
    assert_eq!(field.as_deref(), Some("params.module"));
    assert_eq!(count(&mut sql, TASKS).await, 3);
}

#[tokio::test]
async fn nothing_is_done_again_that_cannot_be_done_any_more() {
    let service = Service::start().await;
    let ann = ann();
    let file = upload(&service, &ann, "Name\nAnn\n").await;
    let params = json!({"module": "leads", "upload": file});
    let id = ask(&service, &ann, params.clone()).await;
    let step = json!({"type": "import_csv", "params": params});
    let flow = json!({"type": "flow", "children": [{"type": "other"}, step]});
    let flow = post(&service, &ann, "/tasks", &flow).await.json();
    let flow = flow["id"].as_str().expect("an id");
    let again = async |who: &Token, id: &str| {
        post(&service, who, &format!("/tasks/{id}/retry"), &json!({})).await
    };
    let mut sql = service.database.connect().await;
    let tasks = count(&mut sql, TASKS).await;
    let gone = "delete from porchlight.uploads";
    sqlx::query(gone).execute(&mut sql).await.expect("an end");
    // Other problems are reported first.
    again(&ann, &id)
        .await
        .refused(409, "wrong_state", "a task that waits");
    for id in [&id, flow] {
        let ended = post(&service, &ann, &format!("/tasks/{id}/cancel"), &json!({})).await;
        assert_eq!(ended.json()["state"], "cancelled", "{}", ended.text);
        let sent = again(&ann, id).await;
        let field = sent.refused(400, "invalid_params", "without its file");
        assert_eq!(field.as_deref(), Some("params.upload"));
        assert_eq!(sent.json()["reason"], "no_such_upload");
        let bob = Token::user("bob", &["a"]);
        again(&bob, id)
            .await
            .refused(404, "unknown_task", "another's");
    }
    assert_eq!(count(&mut sql, TASKS).await, tasks);
    let back = "insert into porchlight.uploads (broker_id, id, user_id, content)
        values ('b', $1, 'ann', 'Name')";
    sqlx::query(back)
        .bind(&file)
        .execute(&mut sql)
        .await
        .expect("a file");
    for id in [&id, flow] {
        assert_eq!(again(&ann, id).await.status, 201);
        again(&ann, id)
            .await
            .refused(409, "already_retried", "twice");
    }
}

#[tokio::test]
async fn a_request_that_is_repeated_is_not_looked_at_again() {
    let service = Service::start().await;
    let ann = ann();
    let file = upload(&service, &ann, "Name\nAnn\n").await;
    let params = json!({"module": "leads", "upload": file});
    let body = json!({"type": "import_csv", "params": params});
    let send = async || {
        let request = service.client.request(Method::POST, service.url("/tasks"));
        let request = request.bearer_auth(ann.signed()).json(&body);
        Answer::to(request.header("Idempotency-Key", "k-1")).await
    };
    let first = send().await;
    assert_eq!(first.status, 201, "{}", first.text);
    let mut sql = service.database.connect().await;
    let gone = "delete from porchlight.uploads";
    sqlx::query(gone).execute(&mut sql).await.expect("an end");
    let second = send().await;
    assert_eq!(
        (second.status, &second.json()["id"]),
        (200, &first.json()["id"])
    );
}

#[tokio::test]
async fn a_file_that_goes_before_its_import_begins_fails_it() {
    let (database, mut sql) = database().await;
    let service = Service::on(Arc::clone(&database), &WORKING[1..]).await;
    let ann = ann();
    let file = upload(&service, &ann, "Name\nAnn\n").await;
    let id = ask(&service, &ann, json!({"module": "leads", "upload": file})).await;
    let gone = "delete from porchlight.uploads";
    sqlx::query(gone).execute(&mut sql).await.expect("an end");
    let _worker = Worker::start(&database.url());
    assert_eq!(
        failure(&ended(&service, &ann, &id).await).0,
        "no_such_upload"
    );
}
