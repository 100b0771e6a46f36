//! Ends of imports whose rows are all done.

use super::{ann, ask, count, ended, result, upload, working};
use crate::support::eventually;
use crate::support::requests::posted;
use crate::support::sql::{free_writes, hold_writes, run, until_counted, until_held};
use serde_json::json;

const LEADS: &str = "select count(*) from porchlight.leads";

/// The end of a first attempt cannot be stored.
const REFUSE: &str = "create function public.refuse() returns trigger language plpgsql as $$ begin
        raise exception 'locked' using errcode = 'lock_not_available';
    end $$;
    create trigger refuse before update on porchlight.tasks for each row
        when (new.state = 'completed' and new.attempt = 1) execute function public.refuse()";

#[tokio::test]
async fn an_import_whose_end_could_not_be_stored_completes_with_its_next_attempt() {
    let service = working().await;
    let ann = ann();
    let mut sql = service.database.connect().await;
    run(&mut sql, REFUSE).await;
    let file = upload(&service, &ann, "Name\nAnn\nBob\n").await;
    let id = ask(&service, &ann, json!({"module": "leads", "upload": file})).await;
    let task = ended(&service, &ann, &id).await;
    let done = result(&task);
    assert_eq!((&task["attempt"], &done["created"]), (&json!(2), &json!(2)));
    assert_eq!(count(&mut sql, LEADS).await, 2);
    until_counted(&mut sql, "select count(*) from porchlight.uploads", 0).await;
}

#[tokio::test]
async fn an_import_that_is_cancelled_when_all_rows_are_done_has_completed() {
    let service = working().await;
    let ann = ann();
    let mut sql = service.database.connect().await;
    hold_writes(&mut sql, "insert on porchlight.leads for each statement").await;
    let params = json!({"module": "leads", "csv": "Name\nAnn\nBob\n"});
    let id = ask(&service, &ann, params).await;
    until_held(&mut sql).await;
    let path = format!("/tasks/{id}/cancel");
    let asked = posted(&service, &ann, &path, &json!({})).await;
    assert_eq!(asked["state"], "cancelling", "{asked}");
    free_writes(&mut sql).await;
    let done = result(&ended(&service, &ann, &id).await);
    assert_eq!((&done["created"], &done["rows"]), (&json!(2), &json!(2)));
    assert_eq!(count(&mut sql, LEADS).await, 2);
}

#[tokio::test]
async fn the_notification_of_an_import_tells_of_its_bad_rows() {
    let service = working().await;
    let ann = ann();
    let params = json!({"module": "leads", "csv": "Name,Score\nAnn,1\nBob,bad\n"});
    let id = ask(&service, &ann, params).await;
    assert_eq!(result(&ended(&service, &ann, &id).await)["bad"], 1);
    let notified = eventually("Ann is notified", async || {
        let listed = service.list("/notifications", &ann).await;
        let newest = listed["notifications"].get(0)?;
        Some((newest["level"].clone(), newest["title"].clone()))
    });
    let expected = (json!("warning"), json!("Import is done, but 1 row is bad"));
    assert_eq!(notified.await, expected);
    let listed = service.list("/activity", &ann).await;
    assert_eq!(listed["activity"][0]["text"], expected.1);
}
