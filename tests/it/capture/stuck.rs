//! Bulk changes whose description does not end: they are given up, and only they.

use super::{Crm, MARKER, agent, run, until_counted, until_marker};

/// The bulk inserts of a transaction into `table` are described for an hour.
fn slow(table: &str) -> String {
    format!(
        "update porchlight.bulk_staging set queries = jsonb_build_object('INSERT', format(
             'select q.* from (%s) q, (select pg_sleep(3600) offset 0) s', queries ->> 'INSERT'))
         where watched = '{table}'::regclass"
    )
}

/// Cancels what is being unpacked, as the server does when the time of the statement is over. Counts it.
const CANCEL: &str = "select count(pg_cancel_backend(pid)) from pg_stat_activity
    where datname = current_database() and state = 'active' and query like '%unpack_bulk_change%'
        and pid <> pg_backend_pid()";
/// Breaks the connection that unpacks. Counts what was set aside.
const BREAK: &str =
    "select count(pg_terminate_backend(pid)) * 0 + (select count(*) from porchlight.poison)
    from pg_stat_activity
    where datname = current_database() and state = 'active' and query like '%unpack_bulk_change%'
        and pid <> pg_backend_pid()";
const UNPACKING: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and state = 'active' and query like '%unpack_bulk_change%'
        and pid <> pg_backend_pid()";

#[tokio::test]
async fn a_bulk_change_that_is_committed_while_another_is_described_is_not_given_up_in_its_place() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "create table public.flats (id int primary key);
         select porchlight.watch('public.flats', module => 'flats', broker => 'b')",
    )
    .await;
    // It has the smaller number.
    let mut earlier = crm.a.database.connect().await;
    run(
        &mut earlier,
        "begin; insert into public.listings (id, team_id) select n, 'a' from generate_series(1, 1500) n",
    )
    .await;
    let slow = slow("public.flats");
    crm.run(&format!(
        "begin; {slow}; insert into public.flats select generate_series(1, 1500); commit"
    ))
    .await;
    until_counted(&mut crm.sql, UNPACKING, 1).await;
    run(&mut earlier, "commit").await;
    until_counted(&mut crm.sql, CANCEL, 1).await;
    let listings = "select count(*) from porchlight.events where module = 'listings'";
    until_counted(&mut crm.sql, listings, 1_500).await;
    let aside = "select count(*) from porchlight.poison where outbox_row ->> 'module' = 'flats'";
    until_counted(&mut crm.sql, aside, 1).await;
    assert_eq!(crm.reasons().await.len(), 1);
}

#[tokio::test]
async fn a_bulk_change_that_breaks_its_connection_each_time_is_given_up_with_a_reset() {
    let mut crm = Crm::with_listings().await;
    let mut stream = crm.b.stream("/stream", &agent("ann")).await;
    crm.run(MARKER).await;
    until_marker(&mut stream).await;
    let slow = slow("public.listings");
    crm.run(&format!(
        "begin; {slow}; insert into public.listings (id, team_id) select n, 'a' from generate_series(1, 1500) n;
         commit; insert into public.listings (id, team_id) values ('l-1', 'a')"
    ))
    .await;
    until_counted(&mut crm.sql, BREAK, 1).await;
    while stream.next().await.name != "stream:reset" {}
    let reasons = crm.reasons().await;
    assert!(reasons[0].contains("no answer"), "{reasons:?}");
    until_counted(&mut crm.sql, "select count(*) from porchlight.outbox", 0).await;
    let received = crm.listed().await;
    assert_eq!(
        (received.len(), &received[0]["recordId"]),
        (1, &"l-1".into())
    );
}
