//! Workflows and their steps.

use serde_json::{Value, json};

use super::{QUICK, ann, claim, create, get, id, next_event, post, say, two, worker};
use crate::support::eventually;

async fn workflow(service: &crate::support::Service, steps: usize) -> String {
    let children: Vec<_> = (0..steps)
        .map(|n| json!({"type": "import", "title": format!("step {n}")}))
        .collect();
    let body = json!({"type": "flow", "title": "Flow", "children": children});
    id(&create(service, &ann(), body).await)
}

#[tokio::test]
async fn a_workflow_is_where_its_steps_are() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let flow = workflow(a, 3).await;
    let mut user = b.stream("/stream/user?since=0&types=ai:*", &ann).await;
    let none = post(a, &wes, "/tasks/claim", &json!({"types": ["flow"]})).await;
    assert_eq!(none.status, 204, "a workflow is never claimed");
    let whole = get(b, &ann, &flow).await;
    assert_eq!((&whole["steps"], &whole["step"]), (&json!(3), &json!(0)));
    assert_eq!(whole["isWorkflow"], true);
    for n in 0..3 {
        let (step, fence) = claim(b, &wes).await;
        let task = get(a, &ann, &step).await;
        assert_eq!(
            (&task["title"], &task["parentId"]),
            (&json!(format!("step {n}")), &json!(flow))
        );
        let half = json!({"fence": fence, "percent": 50});
        say(a, &wes, &step, "progress", half).await;
        let expected = json!((f64::from(n * 1_000 + 500) / 3.0).floor() / 10.0);
        eventually("the workflow follows", async || {
            let flow = get(b, &ann, &flow).await;
            (flow["percent"].as_f64() == expected.as_f64()).then_some(())
        })
        .await;
        let done = say(b, &wes, &step, "complete", json!({"fence": fence})).await;
        assert_eq!(done.json()["state"], "completed");
        let flow = get(a, &ann, &flow).await;
        assert_eq!(flow["step"], n + 1);
        assert_eq!(flow["state"], if n == 2 { "completed" } else { "running" });
    }
    let mut of_flow = Vec::new();
    while of_flow.last().is_none_or(|name| name != "completed") {
        let message = user.next_logged().await;
        let data = message.json()["data"].clone();
        if data["taskId"] == json!(flow) && message.name != "ai:task:progress" {
            of_flow.push(message.name.replace("ai:task:", ""));
        }
    }
    assert_eq!(of_flow, ["queued", "started", "completed"]);
}

#[tokio::test]
async fn a_failed_step_fails_the_workflow_at_its_end_and_a_retry_does_what_is_left() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let flow = workflow(a, 2).await;
    let (first, fence) = claim(a, &wes).await;
    let error = json!({"code": "bad_file", "message": "No columns."});
    say(
        b,
        &wes,
        &first,
        "fail",
        json!({"fence": fence, "error": error}),
    )
    .await;
    assert_eq!(get(a, &ann, &flow).await["state"], "running");
    let (second, fence) = claim(a, &wes).await;
    say(b, &wes, &second, "complete", json!({"fence": fence})).await;
    let failed = get(a, &ann, &flow).await;
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["error"]["code"], "child_failed");
    let again = post(b, &ann, &format!("/tasks/{flow}/retry"), &json!({}))
        .await
        .json();
    assert_eq!(
        (&again["steps"], &again["retryOf"]),
        (&json!(1), &json!(flow))
    );
    let (step, fence) = claim(a, &wes).await;
    assert_eq!(get(a, &ann, &step).await["retryOf"], json!(first));
    say(a, &wes, &step, "complete", json!({"fence": fence})).await;
    assert_eq!(get(b, &ann, &id(&again)).await["state"], "completed");
}

#[tokio::test]
async fn a_step_that_is_done_again_stands_for_the_one_that_failed() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let flow = workflow(a, 2).await;
    let (first, fence) = claim(a, &wes).await;
    let error = json!({"code": "bad_file", "message": "No columns."});
    say(
        b,
        &wes,
        &first,
        "fail",
        json!({"fence": fence, "error": error}),
    )
    .await;
    let again = post(b, &ann, &format!("/tasks/{first}/retry"), &json!({}))
        .await
        .json();
    assert_eq!(again["parentId"], json!(flow));
    for _ in 0..2 {
        let (step, fence) = claim(a, &wes).await;
        say(b, &wes, &step, "complete", json!({"fence": fence})).await;
    }
    let flow = get(a, &ann, &flow).await;
    assert_eq!(
        (&flow["state"], &flow["steps"]),
        (&json!("completed"), &json!(2))
    );
}

#[tokio::test]
async fn cancelling_a_workflow_cancels_every_step() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    // Nobody has begun.
    let flow = workflow(a, 3).await;
    let path = format!("/tasks/{flow}/cancel");
    assert_eq!(
        post(b, &ann, &path, &json!({})).await.json()["state"],
        "cancelled"
    );
    // Somebody has.
    let flow = workflow(a, 3).await;
    let (step, fence) = claim(a, &wes).await;
    let path = format!("/tasks/{flow}/cancel");
    assert_eq!(
        post(b, &ann, &path, &json!({})).await.json()["state"],
        "cancelling"
    );
    let states = async || {
        let path = format!("/tasks?parent={flow}");
        let page = a.list(&path, &ann).await;
        let tasks = page["tasks"].as_array().unwrap().clone();
        tasks
            .into_iter()
            .map(|t| t["state"].clone())
            .collect::<Vec<Value>>()
    };
    assert_eq!(states().await, ["cancelled", "cancelled", "cancelling"]);
    let report = json!({"fence": fence, "percent": 60});
    let answer = say(b, &wes, &step, "progress", report).await;
    assert_eq!(answer.json()["cancel"], true);
    say(a, &wes, &step, "cancelled", json!({"fence": fence})).await;
    let flow = get(b, &ann, &flow).await;
    let seen = ["state", "percent", "step"].map(|field| flow[field].clone());
    // What was never done does not count as done.
    assert_eq!(json!(seen), json!(["cancelled", 20, 3]));
}

#[tokio::test]
async fn steps_are_added_to_what_waits_and_to_nothing_else() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let parent = super::task(a, &ann).await;
    let step = json!({"type": "step", "parent": parent});
    let made = create(b, &ann, step.clone()).await;
    assert_eq!(made["parentId"], json!(parent));
    let none = post(a, &wes, "/tasks/claim", &json!({"types": ["import"]})).await;
    assert_eq!(none.status, 204, "it is a workflow now");
    let nested = json!({"type": "step", "parent": id(&made)});
    let refused = post(a, &ann, "/tasks", &nested).await;
    refused.refused(400, "parent_is_child", "a step of a step");
    let both = json!({"type": "step", "parent": parent, "children": [{"type": "x"}]});
    post(a, &ann, "/tasks", &both)
        .await
        .refused(400, "parent_is_child", "both");
    post(a, &ann, &format!("/tasks/{parent}/cancel"), &json!({})).await;
    let late = post(b, &ann, "/tasks", &step).await;
    late.refused(409, "wrong_state", "a step of what has ended");
    let working = super::task(a, &ann).await;
    let mut user = a.stream("/stream/user?types=ai:*", &ann).await;
    claim(b, &wes).await;
    assert_eq!(next_event(&mut user).await, "started");
    let step = json!({"type": "step", "parent": working});
    let late = post(b, &ann, "/tasks", &step).await;
    late.refused(409, "wrong_state", "a step of what a worker is at");
    let full = json!({"type": "step", "parent": workflow(a, 100).await});
    let refused = post(a, &ann, "/tasks", &full).await;
    refused.refused(409, "too_many_children", "a 101st step");
}

#[tokio::test]
async fn steps_are_retried_in_their_order() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let flow = workflow(a, 4).await;
    for n in 0..4 {
        let (step, fence) = claim(a, &wes).await;
        let (what, body) = if n == 1 {
            ("complete", json!({"fence": fence}))
        } else {
            let error = json!({"code": "bad_file", "message": "No columns."});
            ("fail", json!({"fence": fence, "error": error}))
        };
        assert_eq!(say(b, &wes, &step, what, body).await.status, 200);
    }
    let again = post(b, &ann, &format!("/tasks/{flow}/retry"), &json!({})).await;
    assert_eq!(again.json()["steps"], 3, "{}", again.text);
    for n in [0, 2, 3] {
        let (step, _) = claim(b, &wes).await;
        assert_eq!(get(a, &ann, &step).await["title"], format!("step {n}"));
    }
}
