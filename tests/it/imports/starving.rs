//! Many imports of one brokerage do not delay another's.

use std::sync::Arc;

use serde_json::json;

use super::{WORKING, ann, ask, count, database, ended, result};
use crate::support::Service;
use crate::support::worker::Worker;

#[tokio::test]
async fn an_import_is_not_delayed_by_many_bad_ones_of_another_brokerage() {
    let (database, mut sql) = database().await;
    let service = Service::on(Arc::clone(&database), &WORKING[1..]).await;
    // Tasks of older versions, whose parameters nobody has checked.
    let bad = "insert into porchlight.tasks
            (broker_id, id, user_id, type, params, max_attempts, created_at)
        select 'a', 'bad-' || n, 'eve', 'import_csv', '{}', 10, now() - interval '1 hour'
        from generate_series(1, 6000) n";
    sqlx::query(bad).execute(&mut sql).await.expect("tasks");
    let ann = ann();
    let id = ask(
        &service,
        &ann,
        json!({"module": "leads", "csv": "Name\nAnn\n"}),
    )
    .await;
    let _worker = Worker::start(&database.url());
    result(&ended(&service, &ann, &id).await);
    let begun = "select count(*) from porchlight.tasks
        where broker_id = 'a' and started_at <=
            (select started_at from porchlight.tasks where broker_id = 'b')";
    assert!(
        count(&mut sql, begun).await <= 1,
        "it was second at the latest"
    );
}
