//! Ends of imports whose rows are all done.

use serde_json::json;
use sqlx::{Connection, Executor};

use super::{ann, ask, count, ended, result, upload, working};
use crate::support::requests::posted;
use crate::support::sql::{run, until_counted};

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
    // Nobody creates leads until this ends.
    let mut transaction = sql.begin().await.unwrap();
    let lock = "lock table porchlight.leads in share mode";
    transaction.execute(lock).await.unwrap();
    let params = json!({"module": "leads", "csv": "Name\nAnn\nBob\n"});
    let id = ask(&service, &ann, params).await;
    let mut other = service.database.connect().await;
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    until_counted(&mut other, waiting, 1).await;
    let path = format!("/tasks/{id}/cancel");
    let asked = posted(&service, &ann, &path, &json!({})).await;
    assert_eq!(asked["state"], "cancelling", "{asked}");
    transaction.rollback().await.unwrap();
    let done = result(&ended(&service, &ann, &id).await);
    assert_eq!((&done["created"], &done["rows"]), (&json!(2), &json!(2)));
    assert_eq!(count(&mut other, LEADS).await, 2);
}
