//! Progress: much is reported, little is published, and nothing that counts is lost.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{QUICK, ann, claim, get, post, say, task, two, worker};

async fn task_events(service: &crate::support::Service, task: &str) -> Vec<Value> {
    let path = "/events?scope=user&types=ai:task:*&limit=1000";
    let page = service.list(path, &ann()).await;
    let events = page["events"].as_array().expect("events").iter();
    events
        .filter(|e| e["data"]["taskId"] == task)
        .cloned()
        .collect()
}

/// Of five events in a row the last one comes a second after the first one, or later.
#[track_caller]
fn at_most_four_in_any_second(events: &[Value]) {
    let is_progress = |event: &&Value| event["type"] == "ai:task:progress";
    let at = |event: &Value| OffsetDateTime::parse(event["timestamp"].as_str()?, &Rfc3339).ok();
    let received: Vec<_> = events.iter().filter(is_progress).filter_map(at).collect();
    for five in received.windows(5) {
        assert!(five[4] - five[0] >= Duration::from_secs(1), "{five:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_reports_few_are_published_but_the_first_and_the_last_always() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let id = task(a, &ann).await;
    let (_, fence) = claim(a, &wes).await;
    let began = tokio::time::Instant::now();
    let mut reports = 0;
    let mut answered = Vec::new();
    while began.elapsed() < Duration::from_secs(3) {
        reports += 1;
        // At either instance, in turn.
        let at = if u32::is_multiple_of(reports, 2) {
            a
        } else {
            b
        };
        let report = json!({"fence": fence, "message": reports.to_string()});
        let answer = say(at, &wes, &id, "progress", report).await;
        assert_eq!(answer.status, 200);
        answered.push(answer.json()["version"].as_i64().expect("a version"));
    }
    say(b, &wes, &id, "complete", json!({"fence": fence})).await;
    let events = task_events(a, &id).await;
    let progress: Vec<u32> = events
        .iter()
        .filter(|e| e["type"] == "ai:task:progress")
        .map(|e| e["data"]["message"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(reports > 20, "{reports}");
    assert!(progress.len() >= 6, "{progress:?} of {reports}");
    at_most_four_in_any_second(&events);
    assert_eq!((progress[0], *progress.last().unwrap()), (1, reports));
    assert!(progress.is_sorted(), "{progress:?}");
    assert_eq!(events.last().unwrap()["type"], "ai:task:completed");
    let versions: Vec<_> = events
        .iter()
        .map(|e| e["version"].as_i64().unwrap())
        .collect();
    assert!(
        versions
            .iter()
            .copied()
            .eq(1..=i64::try_from(events.len()).unwrap())
    );
    // Each answer has the version up to which reports were published then; the first report was published at once.
    let first = events.iter().find(|e| e["type"] == "ai:task:progress");
    assert_eq!(first.unwrap()["version"], answered[0]);
    assert!(answered.is_sorted(), "{answered:?}");
    assert!(answered.iter().all(|version| versions.contains(version)));
}

#[tokio::test]
async fn a_cancel_in_between_makes_no_second_fuller() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let id = task(a, &ann).await;
    let (_, fence) = claim(a, &wes).await;
    let report = async |n: u32| {
        let report = json!({"fence": fence, "message": n.to_string()});
        assert_eq!(say(b, &wes, &id, "progress", report).await.status, 200);
    };
    for n in 0..20 {
        report(n).await;
    }
    let path = format!("/tasks/{id}/cancel");
    assert_eq!(post(a, &ann, &path, &json!({})).await.status, 200);
    for n in 20..24 {
        report(n).await;
    }
    say(a, &wes, &id, "cancelled", json!({"fence": fence})).await;
    at_most_four_in_any_second(&task_events(a, &id).await);
}

#[tokio::test]
async fn the_last_report_is_published_without_another_one() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let mut user = a.stream("/stream/user?types=ai:task:progress", &ann).await;
    let id = task(a, &ann).await;
    let (_, fence) = claim(a, &wes).await;
    for percent in [10, 20, 30] {
        let report = json!({"fence": fence, "percent": percent});
        assert_eq!(say(b, &wes, &id, "progress", report).await.status, 200);
    }
    let mut percent = 0;
    while percent != 30 {
        percent = user.next_logged().await.json()["data"]["percent"]
            .as_i64()
            .unwrap();
    }
}

#[tokio::test]
async fn what_a_report_leaves_out_stays_as_it_was() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let id = task(a, &ann).await;
    let (_, fence) = claim(a, &wes).await;
    for report in [
        json!({"percent": 33.3, "partial": [1.50, {"a": "ü"}]}),
        json!({"message": "One."}),
        json!({"step": 1, "steps": 4}),
        json!({}),
        json!({"percent": 12}),
    ] {
        let mut body = report.clone();
        body["fence"] = json!(fence);
        assert_eq!(say(b, &wes, &id, "progress", body).await.status, 200);
    }
    let task = get(a, &ann, &id).await;
    let seen = ["percent", "message", "step", "steps", "partial"].map(|field| task[field].clone());
    assert_eq!(json!(seen), json!([12, "One.", 1, 4, [1.5, {"a": "ü"}]]));
}

#[tokio::test]
async fn no_progress_is_published_after_the_end() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    for _ in 0..10 {
        let id = task(a, &ann).await;
        let (_, fence) = claim(a, &wes).await;
        let path = format!("/tasks/{id}/cancel");
        assert_eq!(post(a, &ann, &path, &json!({})).await.status, 200);
        let report = |n: u8| {
            let at = if n.is_multiple_of(2) { a } else { b };
            let body = json!({"fence": fence, "percent": n});
            let (wes, id) = (&wes, &id);
            async move { say(at, wes, id, "progress", body).await.status }
        };
        let reports = futures_util::future::join_all((0..12).map(report));
        let stop = say(b, &wes, &id, "cancelled", json!({"fence": fence}));
        let (statuses, stopped) = tokio::join!(reports, stop);
        assert_eq!(stopped.json()["state"], "cancelled");
        assert!(
            statuses.iter().all(|s| [200, 409].contains(s)),
            "{statuses:?}"
        );
        let events = task_events(a, &id).await;
        assert_eq!(events.last().unwrap()["type"], "ai:task:cancelled");
    }
}

#[tokio::test]
async fn progress_of_a_workflow_is_published_at_most_four_times_a_second() {
    let [a, b] = &two(QUICK).await;
    let wes = worker("wes");
    let steps = vec![json!({"type": "import"}); 12];
    let flow = super::create(a, &ann(), json!({"type": "flow", "children": steps})).await;
    let flow = super::id(&flow);
    for _ in 0..12 {
        let (step, fence) = claim(a, &wes).await;
        say(b, &wes, &step, "complete", json!({"fence": fence})).await;
    }
    let events = task_events(a, &flow).await;
    assert_eq!(events.last().unwrap()["type"], "ai:task:completed");
    at_most_four_in_any_second(&events);
}
