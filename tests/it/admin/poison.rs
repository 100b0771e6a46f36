//! Changes of watched tables that could not become events.

use serde_json::{Value, json};

use super::{admin, ann, seen};
use crate::support::requests::post;
use crate::support::sql::run;
use crate::support::{Answer, Service, eventually};

async fn rows(service: &Service, count: u64) -> Vec<Value> {
    eventually("the rows are set aside", async || {
        let list = seen(service, "/admin/poison").await;
        let rows = list["rows"].as_array().expect("rows").clone();
        (list["total"] == count).then_some(rows)
    })
    .await
}

async fn act(service: &Service, row: &Value, what: &str) -> Answer {
    let id = row["id"].as_str().expect("an id");
    let path = format!("/admin/poison/{id}/{what}");
    post(service, &admin(), &path, &json!({})).await
}

#[tokio::test]
async fn a_row_that_was_set_aside_is_retried_or_discarded() {
    let service = Service::with(&["--relay-poll-ms=20"]).await;
    let mut stream = service.stream("/stream/team", &ann()).await;
    assert_eq!(stream.next().await.name, "stream:ready");
    let mut sql = service.database.connect().await;
    run(
        &mut sql,
        "alter table porchlight.events add constraint cursed check (record_id is distinct from 'cursed');
         select porchlight.emit('listing:sold', '{\"team\": \"a\"}', '{\"price\": 7}'::json, broker => 'b',
             module => 'listings', record_id => 'cursed', user_id => 'u-1');
         insert into porchlight.outbox (broker_id, audience, type) values ('b', 'nobody', 'x:y');
         insert into porchlight.outbox (broker_id, module, failure) values ('b', 'listings', 'no column');
         insert into porchlight.outbox (broker_id, audience, type) values ('c', 'nobody', 'x:y');
         insert into porchlight.outbox (audience, type) values ('broker', 'x:y')",
    )
    .await;
    let all = rows(&service, 3).await;
    let list = eventually("the row without a brokerage is counted", async || {
        let list = seen(&service, "/admin/poison?limit=2").await;
        (list["withoutBrokerage"] == 1).then_some(list)
    })
    .await;
    assert_eq!(list["rows"], json!(all[..2]));
    let next = list["next"].as_str().expect("another page");
    let rest = seen(&service, &format!("/admin/poison?cursor={next}")).await;
    assert_eq!(rest["rows"], json!(all[2..]));
    let cursed = all.iter().find(|row| row["recordId"] == "cursed");
    let cursed = cursed.expect("the cursed row");
    assert_eq!(
        (&cursed["type"], &cursed["userId"]),
        (&json!("listing:sold"), &json!("u-1"))
    );
    assert_eq!(
        (&cursed["audience"], &cursed["canRetry"]),
        (&json!("team:a"), &json!(true))
    );
    assert!(
        cursed["reason"]
            .as_str()
            .expect("a reason")
            .contains("cursed")
    );
    let failed = all.iter().find(|row| row["canRetry"] == false);
    let failed = failed.expect("the row without an event");
    // Without its cause, it becomes an event.
    run(
        &mut sql,
        "alter table porchlight.events drop constraint cursed",
    )
    .await;
    assert_eq!(act(&service, cursed, "retry").await.status, 200);
    let event = stream.next_logged().await;
    assert_eq!(
        (&*event.name, &event.json()["data"]["price"]),
        ("listing:sold", &json!(7))
    );
    act(&service, cursed, "retry")
        .await
        .refused(404, "unknown_poison", "it is gone");
    act(&service, failed, "retry")
        .await
        .refused(409, "cannot_retry", "it has no event");
    assert_eq!(act(&service, failed, "discard").await.status, 200);
    act(&service, failed, "discard")
        .await
        .refused(404, "unknown_poison", "it is gone");
    // A row that is still wrong is set aside again.
    let wrong = &rows(&service, 1).await[0];
    assert_eq!(act(&service, wrong, "retry").await.status, 200);
    let again = eventually("it is back", async || {
        let again = seen(&service, "/admin/poison").await["rows"][0].clone();
        (again.is_object() && again["id"] != wrong["id"]).then_some(again)
    })
    .await;
    assert_eq!(again["reason"], wrong["reason"]);
    for path in ["/admin/poison/a%20b/retry", "/admin/poison/%2F/discard"] {
        let answer = post(&service, &admin(), path, &json!({})).await;
        answer.refused(400, "invalid_parameter", path);
    }
    let bad = Answer::to(service.get("/admin/poison?cursor=x", &admin())).await;
    bad.refused(400, "invalid_parameter", "a cursor that is none");
}
