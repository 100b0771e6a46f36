//! Rows of locks that nobody needs are removed, and no fence is given twice.

use reqwest::Method;
use serde_json::{Value, json};

use super::{lock, unlock};
use crate::support::Service;
use crate::support::people::ann;
use crate::support::requests::{posted, send};
use crate::support::sql::{run, until_counted};

#[tokio::test]
async fn the_row_of_a_deleted_record_goes_and_its_fences_do_not_come_again() {
    let service = Service::with(&["--retention-interval-seconds=1"]).await;
    let ann = ann();
    let create = async |id: &str| {
        let fields = json!({"id": id, "address": "1 Oak St"});
        posted(&service, &ann, "/records/escrows", &fields).await;
    };
    let grant = async |id: &str| {
        let granted = lock(&service, &ann, id, "tab").await;
        unlock(&service, &ann, id).await;
        granted.json()["fence"].as_i64().expect("a fence")
    };
    for id in ["e-1", "e-2"] {
        create(id).await;
    }
    let fences = [grant("e-1").await, grant("e-1").await, grant("e-2").await];
    assert_eq!(fences, [1, 2, 1]);
    let path = "/records/escrows/e-1";
    send(&service, &ann, Method::DELETE, path, &Value::Null).await;
    let mut sql = service.database.connect().await;
    let rows = "select count(*) from porchlight.locks where record_id = 'e-1'";
    until_counted(&mut sql, rows, 0).await;
    create("e-1").await;
    assert_eq!(grant("e-1").await, 3);
    // Rows that were free for long go too. One that is held stays.
    lock(&service, &ann, "e-3", "tab").await;
    let age = "update porchlight.locks set free_since = free_since - interval '25 hours'";
    run(&mut sql, age).await;
    let all = "select count(*) from porchlight.locks";
    until_counted(&mut sql, all, 1).await;
    assert_eq!([grant("e-1").await, grant("e-2").await], [4, 4]);
}
