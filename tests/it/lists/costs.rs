//! With 100,000 rows for one user, a page reads a small multiple of its rows.

use std::sync::Arc;

use porchlight::identity::Role;
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::run;
use crate::support::cluster::TestDatabase;
use crate::support::{Answer, Service, Token, eventually};

/// Requests in a row: enough that Postgres plans for any parameters, and not for these.
const REQUESTS: i64 = 10;

const ROWS: &str = "
    update porchlight.brokers set head = 100000;
    insert into porchlight.notified values ('b', 100000)
        on conflict (broker_id) do update set position = 100000;
    insert into porchlight.events (broker_id, position, audience, type, module, record_id, user_id,
            version, data, created_at)
        select 'b', i, (array['user:u', 'team:a', 'broker'])[i % 3 + 1], 'listing:updated',
            'listings', 'l-' || i % 1000, 'u', i, '{\"address\":\"1 Oak St\"}', now()
        from generate_series(1, 100000) i;
    insert into porchlight.notification_books values ('b', 100000);
    insert into porchlight.notifications (broker_id, id, audience, level, title)
        select 'b', i, (array['user:u', 'team:a', 'broker'])[i % 3 + 1], 'info', 'Look'
        from generate_series(1, 100000) i;
    insert into porchlight.notification_reads (broker_id, id, user_id)
        select 'b', i, 'u' from generate_series(2, 100000, 2) i;
    -- Somebody who has read all of it, one by one.
    insert into porchlight.notification_reads (broker_id, id, user_id)
        select 'b', i, 'reader' from generate_series(1, 100000) i;
    insert into porchlight.tasks (broker_id, id, user_id, team_id, type, params, max_attempts,
            created_at)
        select 'b', 't-' || i, 'u', 'a', 'x', '{}', 3, now() - i * interval '1 second'
        from generate_series(1, 100000) i;
    insert into porchlight.tasks (broker_id, id, user_id, parent_id, type, params, max_attempts,
            created_at)
        select 'b', 'step-' || i, 'u', 't-1', 'x', '{}', 3, now() - interval '1 year'
        from generate_series(1, 100) i;
    -- For each lock, triggers would make a new version of two rows in `quota_use`, and pass all versions
    -- that this transaction has made: minutes for so many.
    set session_replication_role = replica;
    insert into porchlight.quota_use (broker_id, kind, user_id, used)
        values ('b', 'locks', '', 100000), ('b', 'locks', 'u', 100000);
    insert into porchlight.locks (broker_id, module, record_id, fence, user_id, session, sessions,
            audience, locked_at, renewed_at, locked_until)
        select 'b', 'listings', 'l-' || i, 1, 'u', 's', '{\"s\":{}}', 'team:a',
            now() - i * interval '1 second', now(), now() + interval '1 hour'
        from generate_series(1, 100000) i;
    insert into porchlight.leads (broker_id, id, name, team_id, owner_id, created_at)
        select 'b', 'r-' || i, 'Ann', 'a', 'u', now() - i * interval '1 second'
        from generate_series(1, 100000) i;
    set session_replication_role = origin;
    analyze porchlight.events, porchlight.notifications, porchlight.notification_reads,
        porchlight.tasks, porchlight.locks, porchlight.leads;";

/// Rows that all statements have read so far, from tables and indexes; and how often the number of
/// unread notifications was computed.
#[derive(Clone, Copy, Debug)]
struct Counts {
    rows: i64,
    unread: i64,
}

async fn counts(sql: &mut PgConnection) -> Counts {
    // What this connection has read is counted when its transaction ends, and not a second later.
    run(sql, "select pg_stat_force_next_flush()").await;
    let row = sqlx::query(
        "select (select sum(seq_tup_read) from pg_stat_user_tables)::bigint
                + (select sum(idx_tup_read) from pg_stat_user_indexes)::bigint,
            (select coalesce(sum(calls), 0) from pg_stat_user_functions
             where funcname in ('unread_notifications', 'count_unread'))::bigint",
    );
    let row = row.fetch_one(sql).await.expect("counts");
    Counts {
        rows: row.get(0),
        unread: row.get(1),
    }
}

/// Waits until the service has no connection left: the database counts what they read when they
/// end.
async fn no_connections(database: &TestDatabase) {
    let left = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name = 'porchlight'";
    eventually("all connections have ended", async || {
        let left = sqlx::query_scalar(left)
            .fetch_one(&mut database.connect().await)
            .await;
        let left: i64 = left.expect("a number");
        (left == 0).then_some(())
    })
    .await;
}

async fn cost(
    database: &Arc<TestDatabase>,
    sql: &mut PgConnection,
    who: &Token,
    path: &str,
) -> Counts {
    let before = counts(sql).await;
    let service = Service::on(Arc::clone(database), &["--database-connections=2"]).await;
    for _ in 0..REQUESTS {
        let answer = Answer::to(service.get(path, who)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(answer.text.len() > 200, "{path}: {}", answer.text);
    }
    service.stop().await;
    no_connections(database).await;
    let after = counts(sql).await;
    Counts {
        rows: (after.rows - before.rows) / REQUESTS,
        unread: after.unread - before.unread,
    }
}

async fn value(sql: &mut PgConnection, of: &'static str) -> String {
    sqlx::query_scalar(of)
        .fetch_one(sql)
        .await
        .expect("a value")
}

#[tokio::test]
async fn a_page_of_any_list_reads_few_rows_of_a_hundred_thousand() {
    let database = Arc::new(TestDatabase::create().await);
    let mut sql = database.connect().await;
    let track = format!(
        "alter database {} set track_functions = 'all'",
        database.name()
    );
    run(&mut sql, &track).await;
    let user = Token::user("u", &["a"]);
    let admin = user.clone().in_role(Role::Admin);
    let service = Service::on(Arc::clone(&database), &[]).await;
    service.list("/events", &user).await;
    service.stop().await;
    run(&mut sql, ROWS).await;

    let task = "select (extract(epoch from created_at) * 1000000)::bigint || '-' || id
                from porchlight.tasks where id = 't-50000'";
    let task = format!("/tasks?cursor={}", value(&mut sql, task).await);
    let lock =
        "select (extract(epoch from locked_at) * 1000000)::bigint || '-listings/' || record_id
                from porchlight.locks where record_id = 'l-50000'";
    let lock = format!("/locks?limit=100&cursor={}", value(&mut sql, lock).await);
    let record = "select encode(convert_to(json_build_object('of', 'leads -createdAt',
                      'value', to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
                      'id', id)::text, 'UTF8'), 'hex')
                  from porchlight.leads where id = 'r-50000'";
    let record = format!("/records/leads?cursor={}", value(&mut sql, record).await);

    let reader = Token::user("reader", &["a"]);
    let mut faults = Vec::new();
    for (who, path, most) in [
        (&user, "/events?limit=100", 1_000),
        (&user, "/events?limit=100&after=50000", 1_000),
        (&user, "/events?limit=100&before=50000", 1_000),
        (&user, "/events?limit=100&records=listings/l-7", 1_000),
        (&user, "/notifications", 1_000),
        (&user, "/notifications?cursor=50000", 1_000),
        (&user, "/notifications?unread=true", 1_000),
        (&user, "/notifications?unread=true&cursor=50000", 1_000),
        (&reader, "/notifications", 1_000),
        (&user, "/tasks", 1_000),
        (&user, &task, 1_000),
        (&user, "/tasks?parent=t-1", 1_000),
        (&admin, "/tasks", 1_000),
        (&admin, &task, 1_000),
        (&user, "/locks?limit=100", 1_000),
        (&user, &lock, 1_000),
        (&user, "/locks?record=listings/l-50000", 1_000),
        (&user, "/records/leads", 1_000),
        (&user, &record, 1_000),
        // The names of twenty records are looked for in the 205 events of each.
        (&user, "/activity", 6_000),
        (&user, "/activity?cursor=50000", 6_000),
        (&user, "/activity?module=listings&recordId=l-7", 1_000),
    ] {
        let is_of_notifications = path.starts_with("/notifications");
        if is_of_notifications {
            // What is counted for the first time is counted whole.
            cost(&database, &mut sql, who, path).await;
        }
        let cost = cost(&database, &mut sql, who, path).await;
        let counted = if is_of_notifications { REQUESTS } else { 0 };
        if cost.rows > most || cost.unread != counted {
            faults.push(format!("{path}: {cost:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A notification to somebody with 100,000 unread ones says how many there are then.
#[tokio::test]
async fn notifying_somebody_with_much_unread_reads_few_rows() {
    let database = Arc::new(TestDatabase::create().await);
    let mut sql = database.connect().await;
    let user = Token::user("u", &["a"]);
    let service = Service::on(Arc::clone(&database), &["--unread-per-user=0"]).await;
    service.list("/events", &user).await;
    run(&mut sql, ROWS).await;
    assert_eq!(
        service.list("/notifications", &user).await["unread"],
        50_000
    );
    let body = json!({"audience": {"user": "u"}, "level": "info", "title": "One more"});
    service.stop().await;
    let before = counts(&mut sql).await;
    let service = Service::on(Arc::clone(&database), &["--unread-per-user=0"]).await;
    let mut stream = service
        .stream("/stream/user?types=notification:*", &user)
        .await;
    stream.next().await;
    for n in 0..REQUESTS {
        let request = service.client.post(service.url("/notifications"));
        let request = request.bearer_auth(user.signed()).json(&body);
        assert_eq!(Answer::to(request).await.status, 201);
        let received = stream.next_logged().await.json();
        assert_eq!(received["data"]["unread"], 50_001 + n);
    }
    drop(stream);
    service.stop().await;
    no_connections(&database).await;
    let rows = (counts(&mut sql).await.rows - before.rows) / REQUESTS;
    assert!(rows < 1_000, "{rows} rows for one notification");
}
