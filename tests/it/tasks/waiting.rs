//! Workers that wait for tasks.

use std::collections::BTreeSet;
use std::time::Duration;

use porchlight::platform::Clock;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{QUICK, ann, claim, create, get, id, post, say, task, two, worker};
use crate::support::{Answer, Service, eventually};

#[tokio::test]
async fn a_waiting_claim_gets_the_task_at_once_wherever_it_was_made() {
    let [a, b] = &two(&["--poll-ms=60000"]).await;
    let wes = worker("wes");
    for _ in 0..6 {
        let body = json!({"types": ["import"], "waitSeconds": 30});
        let waiting = post(b, &wes, "/tasks/claim", &body);
        let making = async {
            eventually("it waits", async || {
                (b.metric("porchlight_claims_waiting").await == 1.0).then_some(())
            })
            .await;
            // Of another type: nobody is woken for it.
            create(a, &ann(), json!({"type": "export"})).await;
            task(a, &ann()).await
        };
        let (claimed, made) = tokio::join!(waiting, making);
        assert_eq!(claimed.json()["task"]["id"], json!(made));
    }
    let began = tokio::time::Instant::now();
    let body = json!({"types": ["import"], "waitSeconds": 1});
    assert_eq!(post(a, &wes, "/tasks/claim", &body).await.status, 204);
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_task_goes_to_one_worker() {
    const TASKS: usize = 60;
    let instances = &two(QUICK).await;
    let workers = (0..12).map(|n| async move {
        let (mut ids, wes) = (Vec::new(), worker(&format!("w-{n}")));
        loop {
            let body = json!({"types": ["import", "export"], "waitSeconds": 2, "leaseSeconds": 60});
            let claimed = post(&instances[n % 2], &wes, "/tasks/claim", &body).await;
            match claimed.status {
                204 => return ids,
                200 => ids.push(id(&claimed.json()["task"])),
                _ => panic!("{}", claimed.text),
            }
        }
    });
    let making = async {
        let mut made = BTreeSet::new();
        for n in 0..TASKS / 3 {
            made.insert(task(&instances[n % 2], &ann()).await);
            let children = json!([{"type": "export"}, {"type": "import"}]);
            let flow = json!({"type": "flow", "children": children});
            create(&instances[n % 2], &ann(), flow).await;
        }
        made
    };
    let (claimed, made) = tokio::join!(futures_util::future::join_all(workers), making);
    let all: Vec<_> = claimed.into_iter().flatten().collect();
    let distinct: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!((all.len(), distinct.len()), (TASKS, TASKS));
    assert!(made.is_subset(&distinct));
}

#[tokio::test]
async fn the_oldest_comes_first_over_all_types() {
    let [a, b] = &two(QUICK).await;
    let mut made = Vec::new();
    for n in 0..8 {
        let kind = if n % 3 == 1 { "export" } else { "import" };
        made.push(id(&create(a, &ann(), json!({"type": kind})).await));
    }
    for expected in made {
        let body = json!({"types": ["import", "export"], "leaseSeconds": 60});
        let claimed = post(b, &worker("wes"), "/tasks/claim", &body).await;
        assert_eq!(claimed.json()["task"]["id"], json!(expected));
    }
}

#[tokio::test]
async fn a_client_that_went_away_takes_no_task_along() {
    let [a, _] = &two(QUICK).await;
    let wes = worker("wes");
    let until_waiting = async |claims: f64| {
        eventually("claims wait", async || {
            (a.metric("porchlight_claims_waiting").await == claims).then_some(())
        })
        .await;
    };
    for _ in 0..5 {
        let body = json!({"types": ["import"], "waitSeconds": 30});
        let request = a
            .client
            .post(a.url("/tasks/claim"))
            .bearer_auth(wes.signed());
        let claim = tokio::spawn(Answer::to(request.json(&body)));
        until_waiting(1.0).await;
        claim.abort();
        until_waiting(0.0).await;
        let made = task(a, &ann()).await;
        let body = json!({"types": ["import"], "waitSeconds": 5});
        let claimed = post(a, &wes, "/tasks/claim", &body).await;
        assert_eq!(claimed.json()["task"]["id"], json!(made));
        assert_eq!(claimed.json()["fence"], 1, "nobody had it before");
    }
}

#[tokio::test]
async fn a_worker_of_all_brokers_takes_the_oldest_of_any() {
    use porchlight::tasks::{Completion, LeaseClaim, Report, TaskOutcome};
    let [a, _] = &two(QUICK).await;
    let (store, wanted) = (
        super::turns::TaskStore::of(&a.database).tasks,
        super::turns::wanted(),
    );
    assert!(store.claim_anywhere(&wanted).await.unwrap().is_none());
    for broker in ["b", "c", "b", "d"] {
        let made = task(a, &ann().of(broker)).await;
        let claimed = store
            .claim_anywhere(&wanted)
            .await
            .unwrap()
            .expect("a task");
        assert_eq!(
            (claimed.broker.as_str(), claimed.task.id().as_str()),
            (broker, &made[..])
        );
        let holding = LeaseClaim {
            broker: claimed.broker,
            task: claimed.task.id().clone(),
            worker: wanted.worker.clone(),
            fence: claimed.fence,
        };
        assert!(
            !store
                .report(&holding, Report::default())
                .await
                .unwrap()
                .cancel
        );
        let outcome = TaskOutcome::Completed(Completion::default());
        assert_eq!(
            store
                .finish(&holding, outcome)
                .await
                .unwrap()
                .state
                .as_str(),
            "completed"
        );
    }
}

#[tokio::test]
async fn a_failed_task_waits_for_its_backoff_before_the_next_attempt() {
    let service = Service::with(&["--task-backoff-ms=300000"]).await;
    let (ann, wes) = (ann(), worker("wes"));
    let id = task(&service, &ann).await;
    let (_, fence) = claim(&service, &wes).await;
    let error = json!({"code": "rate_limited", "message": "Later.", "retryable": true});
    let failed = json!({"fence": fence, "error": error});
    let failed = say(&service, &wes, &id, "fail", failed).await;
    assert_eq!(failed.json()["state"], "queued", "{}", failed.text);
    let claim = json!({"types": ["import"], "waitSeconds": 1});
    let none = post(&service, &wes, "/tasks/claim", &claim).await;
    assert_eq!(none.status, 204, "{}", none.text);
    assert!(get(&service, &ann, &id).await["runAfter"].is_string());
}

#[tokio::test]
async fn the_lease_lasts_as_long_as_every_answer_says() {
    let [a, b] = &two(QUICK).await;
    let wes = worker("wes");
    let id = task(a, &ann()).await;
    let mut sql = a.database.connect().await;
    let chunk = json!({"fence": 1, "offset": 0, "text": "x"});
    for (path, body) in [
        (
            "/tasks/claim".to_owned(),
            json!({"types": ["import"], "leaseSeconds": 60}),
        ),
        (format!("/tasks/{id}/progress"), json!({"fence": 1})),
        (format!("/tasks/{id}/output"), chunk),
    ] {
        let asked_at = Clock::system().now();
        let answer = post(b, &wes, &path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let said = answer.json()["leaseUntil"].as_str().unwrap().to_owned();
        let said = OffsetDateTime::parse(&said, &Rfc3339).unwrap();
        let kept: OffsetDateTime = sqlx::query_scalar("select lease_until from porchlight.tasks")
            .fetch_one(&mut sql)
            .await
            .unwrap();
        assert!(
            (said - kept).abs() < Duration::from_secs(1),
            "{path}: {said} {kept}"
        );
        assert!(kept - asked_at > Duration::from_secs(59), "{path}: {kept}");
    }
}
