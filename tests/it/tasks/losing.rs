//! Workers and instances that disappear.

use std::sync::Arc;

use serde_json::json;
use sqlx::Executor;

use super::{QUICK, ann, claim, create, get, id, next_event, post, say, task, two, worker};
use crate::support::cluster::TestDatabase;
use crate::support::{Answer, Process, Service, eventually};

/// Each task gets 25,000 chunks, and no statement may remove more than ten thousand.
const MUCH_OUTPUT: &str = "
    insert into porchlight.task_output (broker_id, task_id, attempt, at_byte, chunk)
        select broker_id, id, 1, n, 'x' from porchlight.tasks, generate_series(1, 25000) n;
    create function public.few_rows() returns trigger language plpgsql as $$ begin
        if (select count(*) from gone) > 10000 then
            raise exception 'too many rows';
        end if;
        return null;
    end $$;
    create trigger few_rows after delete on porchlight.task_output
        referencing old table as gone for each statement execute function public.few_rows();";

/// Makes every lease end now.
async fn end_every_lease(database: &TestDatabase) {
    let sql = "update porchlight.tasks set lease_until = clock_timestamp()
         where lease_until is not null";
    database
        .connect()
        .await
        .execute(sql)
        .await
        .expect("an update");
}

#[tokio::test]
async fn a_silent_worker_loses_its_task_to_another_and_learns_it() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes, max) = (ann(), worker("wes"), worker("max"));
    let mut user = a.stream("/stream/user?types=ai:*", &ann).await;
    let id = task(a, &ann).await;
    claim(a, &wes).await;
    end_every_lease(&a.database).await;
    let body = json!({"types": ["import"], "waitSeconds": 20});
    let claimed = post(b, &max, "/tasks/claim", &body).await;
    assert_eq!(claimed.status, 200, "{}", claimed.text);
    assert_eq!(claimed.json()["fence"], 2);
    assert_eq!(claimed.json()["task"]["error"]["code"], "worker_lost");
    let error = json!({"code": "c", "message": "M"});
    for (what, body) in [
        ("progress", json!({"fence": 1})),
        ("complete", json!({"fence": 1})),
        ("fail", json!({"fence": 1, "error": error})),
        ("cancelled", json!({"fence": 1})),
        ("output", json!({"fence": 1, "offset": 0, "text": "T"})),
    ] {
        let late = say(a, &wes, &id, what, body).await;
        late.refused(409, "lease_lost", what);
        assert_eq!(late.json()["reason"], "claimed");
    }
    let done = say(b, &max, &id, "complete", json!({"fence": 2})).await;
    assert_eq!(done.json()["state"], "completed");
    for expected in ["queued", "started", "queued", "started", "completed"] {
        assert_eq!(next_event(&mut user).await, expected);
    }
}

#[tokio::test]
async fn a_task_that_every_worker_dies_of_fails() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let made = create(a, &ann, json!({"type": "import", "maxAttempts": 2})).await;
    let id = id(&made);
    for _ in 0..2 {
        let body = json!({"types": ["import"], "waitSeconds": 20, "leaseSeconds": 1});
        assert_eq!(post(b, &wes, "/tasks/claim", &body).await.status, 200);
    }
    eventually("it fails", async || {
        (get(a, &ann, &id).await["state"] == "failed").then_some(())
    })
    .await;
    let task = get(b, &ann, &id).await;
    assert_eq!(
        (&task["error"]["code"], &task["attempt"]),
        (&json!("worker_lost"), &json!(2))
    );
}

#[tokio::test]
async fn a_cancel_that_no_worker_acknowledges_comes_true() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let mut workers = b.stream("/stream/worker?types=ai:task:cancel*", &wes).await;
    let id = task(a, &ann).await;
    let (_, fence) = claim(a, &wes).await;
    post(b, &ann, &format!("/tasks/{id}/cancel"), &json!({})).await;
    // It goes on reporting, and ignores the answers.
    let refused = eventually("it is refused", async || {
        let report = say(
            a,
            &wes,
            &id,
            "progress",
            json!({"fence": fence, "percent": 1}),
        )
        .await;
        (report.status != 200).then_some(report)
    })
    .await;
    refused.refused(409, "lease_lost", "after the cancel");
    assert_eq!(refused.json()["reason"], "cancelled");
    assert_eq!(get(b, &ann, &id).await["state"], "cancelled");
    for expected in ["cancelling", "cancelled"] {
        let message = workers.next_logged().await;
        assert_eq!(message.name, format!("ai:task:{expected}"));
        assert_eq!(message.json()["data"]["fence"], fence);
    }
    let events = a
        .list("/events?scope=user&types=ai:*&limit=1000", &ann)
        .await;
    let last = events["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        last["type"], "ai:task:cancelled",
        "nothing is published after the end"
    );
}

#[tokio::test]
async fn what_a_killed_instance_has_not_published_is_published_by_another() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    for round in 0..3 {
        let url = database.url();
        let process = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url)]).await;
        let id = task(&service, &ann).await;
        let (_, fence) = claim(&service, &wes).await;
        let mut user = service
            .stream("/stream/user?types=ai:task:progress", &ann)
            .await;
        user.next().await;
        // The second one is not yet published when the instance dies.
        for percent in [10, 20 + round] {
            let request = service
                .client
                .post(process.url(&format!("/tasks/{id}/progress")));
            let body = json!({"fence": fence, "percent": percent});
            let answer = Answer::to(request.bearer_auth(wes.signed()).json(&body)).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        process.kill();
        let mut percent = 0;
        while percent != 20 + round {
            percent = user.next_logged().await.json()["data"]["percent"]
                .as_i64()
                .unwrap();
        }
        say(&service, &wes, &id, "complete", json!({"fence": fence})).await;
    }
}

#[tokio::test]
async fn old_tasks_go_with_their_steps_and_output() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &["--retention-interval-seconds=1"]).await;
    let (ann, wes) = (ann(), worker("wes"));
    let body = json!({"type": "flow", "children": [{"type": "import"}]});
    let flow = id(&create(&service, &ann, body).await);
    let (step, fence) = claim(&service, &wes).await;
    let text = json!({"fence": fence, "offset": 0, "text": "x"});
    assert_eq!(say(&service, &wes, &step, "output", text).await.status, 200);
    say(&service, &wes, &step, "complete", json!({"fence": fence})).await;
    let young = task(&service, &ann).await;
    let mut connection = database.connect().await;
    connection.execute(MUCH_OUTPUT).await.unwrap();
    // The rows cannot be changed any more, not even by us; so time is turned off for a moment.
    let sql = "alter table porchlight.tasks disable trigger user;
        update porchlight.tasks set ended_at = ended_at - interval '31 days';
        alter table porchlight.tasks enable trigger user;";
    connection.execute(sql).await.unwrap();
    eventually("they go", async || {
        let answer = Answer::to(service.get(&format!("/tasks/{flow}"), &ann)).await;
        (answer.status == 404).then_some(())
    })
    .await;
    let count = "select (select count(*) from porchlight.tasks)
        + (select count(*) from porchlight.task_output)";
    let left: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    // The young one and its chunks.
    assert_eq!(left, 25_001);
    assert_eq!(get(&service, &ann, &young).await["state"], "queued");
}
